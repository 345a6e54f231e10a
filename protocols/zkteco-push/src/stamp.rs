//! Upload positions: what a terminal says it has sent, echoed to it at the next handshake.
//!
//! A stamp travels from an upload's URL into the option block, so an unchecked one would let a
//! peer write options of its own: only two forms pass. A stamp is never invented and never
//! converted; old firmware takes a number of another scale for a date and sends nothing more.

use event::{Text, WallTime};

/// An upload position in the form in which its terminal sent it: 1 to 20 digits, or
/// `YYYY-MM-DDThh:mm:ss` (PUSH SDK HTTP 3.2.0).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp(Text);

/// The text is in neither of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stamp is 1 to 20 digits or YYYY-MM-DDThh:mm:ss")]
pub struct BadStamp;

/// A stamp's value within its form.
#[derive(PartialEq, PartialOrd)]
enum Position {
    Number(u128),
    Time(WallTime),
}

impl Stamp {
    /// Checks the text.
    pub fn new(text: &str) -> Result<Self, BadStamp> {
        position(text).map(|_| Self(Text::new(text)))
    }

    /// The text as it was received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `next` may take the place of `self`, the known stamp of the same table.
    ///
    /// It may when it has the same form and is not lower: a repeated query makes old firmware
    /// send stamps that run backwards. A zero says nothing and gives way to either form.
    pub fn gives_way_to(&self, next: &Self) -> bool {
        match (position(&self.0), position(&next.0)) {
            (Ok(Position::Number(0)), Ok(_)) => true,
            (Ok(Position::Number(known)), Ok(Position::Number(next))) => known <= next,
            (Ok(Position::Time(known)), Ok(Position::Time(next))) => known <= next,
            _ => false,
        }
    }
}

fn position(text: &str) -> Result<Position, BadStamp> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits {
        return text.parse().map(Position::Number).map_err(|_| BadStamp);
    }
    if text.as_bytes().get(10) != Some(&b'T') {
        return Err(BadStamp);
    }
    let time = WallTime::parse(text.as_bytes()).ok_or(BadStamp)?;
    Ok(Position::Time(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> Stamp {
        Stamp::new(text).unwrap()
    }

    #[test]
    fn only_digits_and_the_date_time_form_are_stamps() {
        for good in ["0", "9999", "99999999999999999999", "2026-11-21T10:15:30"] {
            assert_eq!(stamp(good).as_str(), good);
        }
        for bad in [
            "",
            "None",
            "-1",
            "1.5",
            "999999999999999999999",
            "2026-11-21 10:15:30",
            "2026-13-21T10:15:30",
            "9999\nICLOCKSVRURL=x",
            "12 ",
        ] {
            assert_eq!(Stamp::new(bad), Err(BadStamp), "{bad:?}");
        }
    }

    #[test]
    fn a_stamp_never_runs_backwards_and_never_changes_its_form() {
        assert!(stamp("9999").gives_way_to(&stamp("9999")));
        assert!(stamp("9999").gives_way_to(&stamp("10000")));
        assert!(!stamp("10000").gives_way_to(&stamp("9999")));
        assert!(stamp("99999999999999999998").gives_way_to(&stamp("99999999999999999999")));
        let (early, late) = (stamp("2026-11-21T10:15:30"), stamp("2026-11-21T10:15:31"));
        assert!(early.gives_way_to(&late));
        assert!(!late.gives_way_to(&early));
        assert!(!stamp("9999").gives_way_to(&late));
        assert!(!late.gives_way_to(&stamp("9999")));
        assert!(stamp("0").gives_way_to(&late));
    }
}
