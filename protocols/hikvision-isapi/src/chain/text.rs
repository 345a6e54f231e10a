//! A chain as one short text, for the row that is written in the transaction of the events.
//!
//! `1.epoch.newest.searched.held.lost.before.wall.turn` and then `.skip.width` for every
//! missing range, all in base 36. Only what [`Chain::text`] itself would write is read back:
//! any other text is no chain, and a caller then begins anew, which asks everything again.

use event::WallTime;

use super::ranges::Ranges;
use super::{Chain, MAX_RANGES, MAX_SERIAL, MAX_SHIFT};

/// Largest count of lost serials that is kept: seven digits in base 36.
pub(super) const MAX_COUNT: u64 = 78_364_164_095;

impl Chain {
    /// The whole state in at most 180 bytes of ASCII, for one column of the device's row.
    pub fn text(&self) -> String {
        let mut out = String::from("1");
        let turn = u64::from(self.shift) * 2 + u64::from(self.bottom_next);
        let wall = self.wall.map_or(0, wall_number);
        let head = [
            u64::from(self.epoch),
            self.newest,
            self.searched,
            self.held_from,
            self.lost,
            self.before,
            wall,
            turn,
        ];
        head.iter().for_each(|number| push(&mut out, *number));
        let mut last = 0;
        for &(begin, end) in self.missing.all() {
            push(&mut out, begin - last);
            push(&mut out, end - begin);
            last = end;
        }
        out
    }

    /// Reads what [`Chain::text`] writes and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > 180 {
            return None;
        }
        let mut fields = text.split('.');
        if fields.next() != Some("1") {
            return None;
        }
        let mut number = || u64::from_str_radix(fields.next()?, 36).ok();
        let epoch = u32::try_from(number()?).ok()?;
        let serials = [number()?, number()?, number()?];
        let [newest, searched, held_from] = serials;
        let (lost, before, wall, turn) = (number()?, number()?, number()?, number()?);
        let mut missing = Ranges::default();
        let mut last = 0_u64;
        while let Some(skip) = number() {
            let begin = last.checked_add(skip)?;
            let end = begin.checked_add(number()?)?;
            if begin == 0 || end > newest {
                return None;
            }
            missing.insert(begin, end);
            last = end;
        }
        let wall = match wall {
            0 => None,
            number => Some(number_wall(number)?),
        };
        let chain = Self {
            epoch,
            newest,
            searched,
            held_from,
            lost,
            before,
            wall,
            shift: u8::try_from(turn / 2).ok()?,
            bottom_next: turn % 2 == 1,
            missing,
            behind: None,
        };
        (chain.is_sound() && chain.text() == text).then_some(chain)
    }

    fn is_sound(&self) -> bool {
        self.newest <= MAX_SERIAL
            && self.searched <= self.newest
            && self.held_from <= self.newest
            && self.lost <= MAX_COUNT
            && self.before <= MAX_COUNT
            && self.shift <= MAX_SHIFT
            && self.missing.all().len() <= MAX_RANGES
    }
}

fn push(out: &mut String, mut number: u64) {
    let mut digits = Vec::with_capacity(8);
    loop {
        let digit = u32::try_from(number % 36).unwrap_or_default();
        digits.push(char::from_digit(digit, 36).unwrap_or_default());
        number /= 36;
        if number == 0 {
            break;
        }
    }
    out.push('.');
    out.extend(digits.iter().rev());
}

/// `YYYYMMDDhhmmss` as a number.
fn wall_number(wall: WallTime) -> u64 {
    let digits = wall.text().into_iter().filter(u8::is_ascii_digit);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

fn number_wall(number: u64) -> Option<WallTime> {
    let digits = format!("{number:014}");
    let part = |from: usize, to: usize| digits.get(from..to);
    let text = format!(
        "{}-{}-{} {}:{}:{}",
        part(0, 4)?,
        part(4, 6)?,
        part(6, 8)?,
        part(8, 10)?,
        part(10, 12)?,
        part(12, 14)?
    );
    WallTime::parse(text.as_bytes())
}
