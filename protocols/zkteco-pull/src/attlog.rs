//! The attendance log: records of 8 (two layouts), 16, 40 and 49 bytes.
//!
//! Nothing in the log says how long its records are. A wrong guess reads the first record right
//! and invents the rest, so that a layout is taken only when nine records in ten make sense in
//! it and no other layout does as well; when in doubt the log is refused with a named error and
//! kept as it is. Which field means what is in `SPEC.md`, section 6.

use bytes::Bytes;
use event::{Millis, Text, WallTime};
use nom::bytes::complete::take;
use nom::number::complete::{le_u16, le_u32, u8 as byte};
use nom::{IResult, Parser};

use crate::time::{self, BadTime};

/// How a terminal lays out one attendance record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// 8 bytes: uid, status, time, punch.
    Eight,
    /// 8 bytes: uid, flags, a zero, time (MA300, ZEM500, ZEM560).
    EightFlags,
    /// 16 bytes: a number, time, state, verify mode, work code.
    Sixteen,
    /// 40 bytes: uid, PIN text, verify mode, time, state.
    Forty,
    /// 49 bytes: the same and nine bytes more (visible-light terminals).
    FortyNine,
}

/// Whom a record is about, as far as the record itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The PIN as text.
    Pin(Text),
    /// The PIN as a number: leading zeros are lost.
    Number(u32),
    /// The terminal's internal index of the person.
    Uid(u16),
}

/// A person field that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// There is nothing in it.
    #[error("no PIN")]
    Empty,
    /// It is not text in UTF-8, or holds control characters.
    #[error("the PIN is not text")]
    Text,
}

/// One attendance record or real-time punch, with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Punch {
    /// Whom it is about.
    pub who: Result<Who, BadId>,
    /// When, by the terminal's wall clock.
    pub time: Result<WallTime, BadTime>,
    /// The in/out state key.
    pub state: u8,
    /// The verify method.
    pub verify: u8,
    /// The work code, where the layout has one; 0 is none.
    pub work_code: u32,
    /// The record as it came.
    pub raw: Bytes,
    /// The name of its form, for example `attlog-40`: what quarantine calls its source.
    pub source: Text,
}

/// Why no layout was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The length is no multiple of any known record.
    #[error("{0} bytes are no whole number of records of 8, 16, 40 or 49 bytes")]
    Length(usize),
    /// No layout makes sense of nine records in ten.
    #[error("{0} bytes make sense in no known record layout")]
    Senseless(usize),
    /// Several layouts make sense.
    #[error("{0} bytes make sense in more than one record layout: {1:?}")]
    Ambiguous(usize, Vec<Layout>),
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 5] = [
        Self::Forty,
        Self::FortyNine,
        Self::Sixteen,
        Self::Eight,
        Self::EightFlags,
    ];

    /// Bytes of one record.
    pub fn size(self) -> usize {
        match self {
            Self::Eight | Self::EightFlags => 8,
            Self::Sixteen => 16,
            Self::Forty => 40,
            Self::FortyNine => 49,
        }
    }

    /// The word that is kept for a terminal and stands as a quarantined record's source.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eight => "attlog-8",
            Self::EightFlags => "attlog-8-flags",
            Self::Sixteen => "attlog-16",
            Self::Forty => "attlog-40",
            Self::FortyNine => "attlog-49",
        }
    }

    /// The layout of that word, so that a quarantined record can be read again.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.as_str() == word)
    }

    /// Reads one record; `None` when it does not have exactly [`Layout::size`] bytes.
    pub fn read(self, raw: &Bytes) -> Option<Punch> {
        let (_, fields) = self.fields(raw).ok()?;
        Some(Punch {
            who: fields.who(),
            time: time::unpack(fields.time),
            state: fields.state,
            verify: fields.verify,
            work_code: fields.work_code,
            raw: raw.clone(),
            source: Text::const_new(self.as_str()),
        })
        .filter(|_| raw.len() == self.size())
    }

    fn fields(self, input: &[u8]) -> IResult<&[u8], Fields<'_>> {
        match self {
            Self::Eight => eight(input),
            Self::EightFlags => eight_flags(input),
            Self::Sixteen => sixteen(input),
            Self::Forty | Self::FortyNine => forty(input),
        }
    }
}

/// The person field before it is judged.
enum Person<'a> {
    Text(&'a [u8]),
    Number(u32),
    Uid(u16),
}

/// A record's fields before they are judged.
struct Fields<'a> {
    person: Person<'a>,
    time: u32,
    state: u8,
    verify: u8,
    work_code: u32,
    /// False when a byte that is always zero in this layout is not.
    shape: bool,
}

impl Fields<'_> {
    fn who(&self) -> Result<Who, BadId> {
        match self.person {
            Person::Text(field) => id_text(field).map(Who::Pin),
            Person::Number(0) | Person::Uid(0) => Err(BadId::Empty),
            Person::Number(number) => Ok(Who::Number(number)),
            Person::Uid(uid) => Ok(Who::Uid(uid)),
        }
    }

    /// How much sense the record makes.
    fn sense(&self, latest: u32) -> Sense {
        // A work code has at most eight digits; a time in its place is far above.
        const WORK_CODES: u32 = 100_000_000;
        let time = time::unpack(self.time).is_ok() && self.time != 0;
        if !time || !self.shape || self.work_code >= WORK_CODES || self.who().is_err() {
            return Sense::None;
        }
        if self.time > latest {
            return Sense::OutOfRange;
        }
        Sense::Good
    }
}

fn eight(input: &[u8]) -> IResult<&[u8], Fields<'_>> {
    let (rest, (uid, verify, time, state)) = (le_u16, byte, le_u32, byte).parse(input)?;
    let fields = Fields {
        person: Person::Uid(uid),
        time,
        state,
        verify,
        work_code: 0,
        shape: state <= 5 || state == u8::MAX,
    };
    Ok((rest, fields))
}

fn eight_flags(input: &[u8]) -> IResult<&[u8], Fields<'_>> {
    let (rest, (uid, flags, zero, time)) = (le_u16, byte, byte, le_u32).parse(input)?;
    let fields = Fields {
        person: Person::Uid(uid),
        time,
        state: flags & 0b111,
        verify: flags >> 3 & 0b11,
        work_code: 0,
        shape: zero == 0,
    };
    Ok((rest, fields))
}

fn sixteen(input: &[u8]) -> IResult<&[u8], Fields<'_>> {
    let (rest, (number, time, state, verify, _, work_code)) =
        (le_u32, le_u32, byte, byte, le_u16, le_u32).parse(input)?;
    let fields = Fields {
        person: Person::Number(number),
        time,
        state,
        verify,
        work_code,
        shape: true,
    };
    Ok((rest, fields))
}

fn forty(input: &[u8]) -> IResult<&[u8], Fields<'_>> {
    let (rest, (_, id, verify, time, state)) =
        (le_u16, take(ID_FIELD), byte, le_u32, byte).parse(input)?;
    let fields = Fields {
        person: Person::Text(id),
        time,
        state,
        verify,
        work_code: 0,
        shape: true,
    };
    Ok((rest, fields))
}

/// Bytes of a PIN field; terminals document 9 and use up to all.
pub(crate) const ID_FIELD: usize = 24;

/// The text of a PIN field: up to the first NUL, behind which old bytes may stand.
pub(crate) fn id_text(field: &[u8]) -> Result<Text, BadId> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(field.get(..end).unwrap_or_default());
    let text = text.map_err(|_| BadId::Text)?;
    if text.chars().any(char::is_control) {
        return Err(BadId::Text);
    }
    if text.trim_ascii().is_empty() {
        return Err(BadId::Empty);
    }
    Ok(Text::new(text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    /// The record makes none.
    None,
    /// All is well but its time, which is more than two days ahead.
    OutOfRange,
    /// It makes sense.
    Good,
}

/// What is known beside the log itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints {
    /// How many records the terminal says it holds.
    pub count: Option<u32>,
    /// The layout in which this terminal was read before.
    pub remembered: Option<Layout>,
}

/// Finds the layout of a log (its records, without the length before them).
///
/// Without a count that fits the length and without a remembered layout, at least half of the
/// times must be of 2010 or later and nine in ten not more than two days after `now`: small
/// numbers read as times of 2000, and that is what memory and shifted records look like. With
/// either, a log passes whose clock was reset or is ahead.
///
/// # Errors
/// When no layout, or more than one, makes sense.
pub fn choose(records: &[u8], hints: Hints, now: Millis) -> Result<Layout, LayoutError> {
    let length = records.len();
    let whole = |layout: &Layout| length > 0 && length.is_multiple_of(layout.size());
    let candidates: Vec<Layout> = Layout::ALL.into_iter().filter(whole).collect();
    if candidates.is_empty() {
        return Err(LayoutError::Length(length));
    }
    let latest = latest(now);
    let named = |layout: &Layout| {
        let counted = usize::try_from(hints.count.unwrap_or(0)).unwrap_or(0);
        counted.checked_mul(layout.size()) == Some(length) || hints.remembered == Some(*layout)
    };
    let verdicts: Vec<(Layout, Verdict)> = candidates
        .into_iter()
        .map(|layout| (layout, Verdict::of(layout, records, latest)))
        .collect();
    let of = |keep: &dyn Fn(&(Layout, Verdict)) -> bool| -> Vec<Layout> {
        verdicts.iter().filter(|v| keep(v)).map(|v| v.0).collect()
    };
    let believable = of(&|v| v.1.believable);
    let counted = of(&|v| named(&v.0) && v.1.good);
    let ahead = of(&|v| named(&v.0) && v.1.calendar);
    match (&believable[..], &counted[..], &ahead[..]) {
        ([layout], ..) | (_, [layout], _) | ([], [], [layout]) => Ok(*layout),
        ([], [], []) => Err(LayoutError::Senseless(length)),
        ([], [], several) | ([], several, _) | (several, ..) => match hints.remembered {
            Some(layout) if several.contains(&layout) => Ok(layout),
            _ => Err(LayoutError::Ambiguous(length, several.to_vec())),
        },
    }
}

/// The latest packed time that is believed without a hint: two days after `now`, which covers
/// every zone.
fn latest(now: Millis) -> u32 {
    const TWO_DAYS: i64 = 2 * 86_400_000;
    let text = Millis(now.0.saturating_add(TWO_DAYS)).text();
    let wall = text.as_bytes().get(..19).and_then(WallTime::parse);
    wall.and_then(|wall| time::pack(&wall)).unwrap_or(u32::MAX)
}

/// What a layout makes of a whole log.
struct Verdict {
    /// Nine records in ten make sense.
    good: bool,
    /// The same with times ahead of ours allowed.
    calendar: bool,
    /// Nine in ten make sense, and at least half of all have a time from 2010 on.
    believable: bool,
}

impl Verdict {
    fn of(layout: Layout, records: &[u8], latest: u32) -> Self {
        // 2010-01-01, before which hardly any record of a terminal in service lies.
        const RECENT: u32 = 10 * 372 * 86_400;
        let (mut total, mut good, mut ahead, mut recent) = (0usize, 0usize, 0usize, 0usize);
        for record in records.chunks_exact(layout.size()) {
            total += 1;
            let Ok((_, fields)) = layout.fields(record) else {
                continue;
            };
            match fields.sense(latest) {
                Sense::Good => {
                    good += 1;
                    recent += usize::from(fields.time >= RECENT);
                }
                Sense::OutOfRange => ahead += 1,
                Sense::None => {}
            }
        }
        let enough = |count: usize| count * 10 >= total * 9;
        Self {
            good: enough(good),
            calendar: enough(good + ahead),
            believable: enough(good) && recent * 2 >= total,
        }
    }
}

/// A log that was read, or its newest part.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The layout; `None` when there are no records.
    pub layout: Option<Layout>,
    /// Index of the first record here; above 0 when only the newest part was read.
    pub first: u32,
    /// The records, one after another.
    pub data: Bytes,
}

impl Log {
    /// Every record, decoded one by one; nothing is copied.
    pub fn records(&self) -> impl Iterator<Item = Punch> + '_ {
        let layout = self.layout.unwrap_or(Layout::Forty);
        let size = layout.size();
        (0..self.data.len() / size)
            .filter_map(move |at| layout.read(&self.data.slice(at * size..(at + 1) * size)))
    }

    /// How many records are here.
    pub fn len(&self) -> usize {
        self.layout
            .map_or(0, |layout| self.data.len() / layout.size())
    }

    /// True when there is no record here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: &str = "2026-11-21 16:00:00";

    fn packed(text: &str) -> u32 {
        time::pack(&WallTime::parse(text.as_bytes()).unwrap()).unwrap()
    }

    /// `count` records a minute apart, the last a few hours before now.
    fn log(layout: Layout, count: u32, first: &str) -> Vec<u8> {
        let start = packed(first);
        (0..count)
            .flat_map(|n| record(layout, n % 50 + 1, start + n * 61 % 80_000))
            .collect()
    }

    fn record(layout: Layout, person: u32, time: u32) -> Vec<u8> {
        let uid = u16::try_from(person).unwrap().to_le_bytes();
        let time = time.to_le_bytes();
        let mut row = vec![0; layout.size()];
        match layout {
            Layout::Eight => {
                row[..2].copy_from_slice(&uid);
                row[2] = 1;
                row[3..7].copy_from_slice(&time);
            }
            Layout::EightFlags => {
                row[..2].copy_from_slice(&uid);
                row[2] = 0x28;
                row[4..].copy_from_slice(&time);
            }
            Layout::Sixteen => {
                row[..4].copy_from_slice(&person.to_le_bytes());
                row[4..8].copy_from_slice(&time);
                row[9] = 1;
            }
            Layout::Forty | Layout::FortyNine => {
                let id = person.to_string();
                row[..2].copy_from_slice(&uid);
                row[2..2 + id.len()].copy_from_slice(id.as_bytes());
                row[26] = 1;
                row[27..31].copy_from_slice(&time);
                row[36] = 0xff;
                if layout == Layout::FortyNine {
                    row[40..44].copy_from_slice(b"\xff255");
                }
            }
        }
        row
    }

    fn chosen(data: &[u8], count: Option<u32>) -> Result<Layout, LayoutError> {
        let hints = Hints {
            count,
            remembered: None,
        };
        choose(data, hints, Millis::parse(NOW).unwrap())
    }

    #[test]
    fn every_layout_is_found_without_any_count() {
        for layout in Layout::ALL {
            // 1960 records have a length that every size divides.
            for count in [1, 2, 5, 49, 100, 1960] {
                let data = log(layout, count, "2026-11-20 07:00:00");
                assert_eq!(chosen(&data, None), Ok(layout), "{layout:?} x {count}");
            }
        }
    }

    #[test]
    fn a_stale_count_does_not_mislead() {
        let data = log(Layout::Forty, 98, "2026-11-20 07:00:00");
        for count in [0, 97, 99, 80, 245, 490] {
            assert_eq!(chosen(&data, Some(count)), Ok(Layout::Forty), "{count}");
        }
    }

    #[test]
    fn a_clock_far_ahead_passes_only_with_a_count_or_a_memory() {
        let data = log(Layout::Forty, 7, "2035-03-01 07:00:00");
        assert_eq!(chosen(&data, None), Err(LayoutError::Senseless(280)));
        assert_eq!(chosen(&data, Some(7)), Ok(Layout::Forty));
        let hints = Hints {
            count: None,
            remembered: Some(Layout::Forty),
        };
        assert_eq!(
            choose(&data, hints, Millis::parse(NOW).unwrap()),
            Ok(Layout::Forty)
        );
    }

    #[test]
    fn memory_full_of_small_numbers_is_not_taken_for_short_records_of_the_year_2000() {
        let words = (0..30u32).flat_map(|n| (n * 9_973 + 65_536 + n % 7).to_le_bytes());
        let data: Vec<u8> = words.collect();
        assert!(Verdict::of(Layout::EightFlags, &data, u32::MAX).good);
        assert_eq!(chosen(&data, None), Err(LayoutError::Senseless(120)));
        assert_eq!(chosen(&data, Some(3)), Err(LayoutError::Senseless(120)));
    }

    #[test]
    fn a_log_of_a_clock_that_was_reset_passes_only_with_a_count_or_a_memory() {
        let data = log(Layout::Forty, 7, "2000-01-01 00:10:00");
        assert_eq!(chosen(&data, None), Err(LayoutError::Senseless(280)));
        assert_eq!(chosen(&data, Some(7)), Ok(Layout::Forty));
    }

    #[test]
    fn what_is_no_log_is_refused_by_name() {
        assert_eq!(chosen(&[1; 41], None), Err(LayoutError::Length(41)));
        assert_eq!(
            chosen(&[0xff; 400], Some(10)),
            Err(LayoutError::Senseless(400))
        );
        assert_eq!(
            chosen(&[0; 400], Some(10)),
            Err(LayoutError::Senseless(400))
        );
    }

    #[test]
    fn two_layouts_that_make_equal_sense_are_refused_unless_one_is_remembered() {
        // One record of 16 bytes whose halves are records of 8 with a flag and a zero.
        let at = packed("2026-11-20 07:00:00");
        let mut row = record(Layout::EightFlags, 7, at);
        row.extend(record(Layout::EightFlags, 8, packed("2003-01-05 08:00:00")));
        let data = [row.clone(), row].concat();
        let both = vec![Layout::Sixteen, Layout::EightFlags];
        assert_eq!(
            chosen(&data, None),
            Err(LayoutError::Ambiguous(32, both.clone()))
        );
        for layout in both {
            let hints = Hints {
                count: None,
                remembered: Some(layout),
            };
            assert_eq!(
                choose(&data, hints, Millis::parse(NOW).unwrap()),
                Ok(layout)
            );
        }
        assert_eq!(chosen(&data, Some(4)), Ok(Layout::EightFlags));
        assert_eq!(chosen(&data, Some(2)), Ok(Layout::Sixteen));
    }

    #[test]
    fn one_bad_record_among_ten_does_not_refuse_the_log() {
        let mut data = log(Layout::Forty, 20, "2026-11-20 07:00:00");
        data[27..31].copy_from_slice(&((26 * 372 + 31 + 29) * 86_400u32).to_le_bytes());
        assert_eq!(chosen(&data, None), Ok(Layout::Forty));
        let log = Log {
            layout: Some(Layout::Forty),
            first: 0,
            data: data.into(),
        };
        let punches: Vec<Punch> = log.records().collect();
        assert_eq!((punches.len(), log.len()), (20, 20));
        assert!(punches[0].time.is_err() && punches[1].time.is_ok());
    }

    #[test]
    fn a_pin_ends_at_the_first_nul_and_must_be_text() {
        assert_eq!(id_text(b"12\0\xc6\x9a"), Ok(Text::new("12")));
        assert_eq!(id_text(&[b'9'; 24]).unwrap().len(), 24);
        assert_eq!(id_text(b"\0abc"), Err(BadId::Empty));
        assert_eq!(id_text(b"   \0"), Err(BadId::Empty));
        assert_eq!(id_text(b"a\tb"), Err(BadId::Text));
        assert_eq!(id_text(b"\xff\xfe"), Err(BadId::Text));
    }

    proptest! {
        #[test]
        fn any_bytes_are_given_a_layout_or_refused(
            data in prop::collection::vec(any::<u8>(), 0..500), count in prop::option::of(0u32..60),
        ) {
            if let Ok(layout) = chosen(&data, count) {
                prop_assert!(data.len().is_multiple_of(layout.size()));
            }
        }
    }
}
