//! The user table: records of 28 and 72 bytes, kept only as "who is uid 7, what PIN is 42".
//!
//! Passwords, names, cards and groups stand in the same records; they are never copied out of
//! them. Records that carry an index or a bare number find their PIN text here, with its
//! leading zeros; what is not certain stays unresolved.

use event::Text;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{le_u16, le_u32, u8 as byte};

use crate::attlog::{ID_FIELD, Who, id_text};

/// Who is who on a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserList {
    /// Uid and PIN, sorted by uid.
    by_uid: Vec<(u16, Text)>,
    /// The PIN's value and its place in `by_uid`, sorted by value; only PINs made of digits.
    by_number: Vec<(u64, usize)>,
    /// Records without a uid or a readable PIN.
    unreadable: usize,
}

/// Why a record's person could not be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No list was read.
    #[error("the terminal's user list is not known, and the record holds only {0}")]
    NoList(Held),
    /// The list has no such person, or no longer.
    #[error("the terminal's user list has nobody with {0}")]
    Unknown(Held),
    /// The list has several.
    #[error("the terminal's user list has several people with {0}")]
    Several(Held),
}

/// What a record held instead of a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A bare number.
    Number(u32),
    /// An internal index.
    Uid(u16),
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Uid(uid) => write!(f, "the index {uid}"),
        }
    }
}

/// The user table cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes of user table make no sense, or double sense, as records of 28 or 72 bytes")]
pub struct BadUsers(pub usize);

impl UserList {
    /// Reads a user table (its records, without the length before them); `count` is how many
    /// people the terminal says it holds, and settles what both sizes would allow.
    ///
    /// # Errors
    /// When neither size of record makes sense, or both do.
    pub fn read(records: &[u8], count: Option<u32>) -> Result<Self, BadUsers> {
        if records.is_empty() {
            return Ok(Self::default());
        }
        let fits = |size: usize| {
            let rows = records.chunks_exact(size);
            let whole = rows.remainder().is_empty();
            let total = rows.len();
            whole && rows.filter_map(|row| user(row, size)).count() * 10 >= total * 9
        };
        let counted = |size: usize| {
            usize::try_from(count.unwrap_or(0)).is_ok_and(|n| n * size == records.len())
        };
        let size = match (fits(28), fits(72)) {
            (true, false) => 28,
            (false, true) => 72,
            (true, true) if counted(28) => 28,
            (true, true) if counted(72) => 72,
            _ => return Err(BadUsers(records.len())),
        };
        let mut list = Self::default();
        for row in records.chunks_exact(size) {
            match user(row, size) {
                Some(entry) => list.by_uid.push(entry),
                None => list.unreadable += 1,
            }
        }
        list.index();
        Ok(list)
    }

    /// A list of these people, for callers that kept one.
    pub fn of(people: impl IntoIterator<Item = (u16, Text)>) -> Self {
        let mut list = Self {
            by_uid: people.into_iter().collect(),
            ..Self::default()
        };
        list.index();
        list
    }

    fn index(&mut self) {
        self.by_uid.sort();
        self.by_uid.dedup();
        let number = |(at, (_, pin)): (usize, &(u16, Text))| number(pin).map(|n| (n, at));
        self.by_number = self.by_uid.iter().enumerate().filter_map(number).collect();
        self.by_number.sort_unstable();
    }

    /// Uids and PINs, sorted by uid.
    pub fn people(&self) -> &[(u16, Text)] {
        &self.by_uid
    }

    /// Records of the table that held no uid or no readable PIN.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The PIN text of whom a record is about.
    ///
    /// A PIN text stands for itself, unless the list does not hold it and holds exactly one that
    /// differs in leading zeros only: some firmware drops them on this protocol.
    ///
    /// # Errors
    /// When an index or number belongs to nobody or to several people, or when there is no list.
    pub fn resolve(list: Option<&Self>, who: &Who) -> Result<Text, Unresolved> {
        let held = match *who {
            Who::Pin(ref pin) => {
                let zeros = list.and_then(|list| list.same_but_for_zeros(pin));
                return Ok(zeros.unwrap_or(pin).clone());
            }
            Who::Number(number) => Held::Number(number),
            Who::Uid(uid) => Held::Uid(uid),
        };
        let Some(list) = list else {
            return Err(Unresolved::NoList(held));
        };
        let mut found = match held {
            Held::Number(number) => list.with_number(u64::from(number)),
            Held::Uid(uid) => list.with_uid(uid),
        };
        let pin = found.next().ok_or(Unresolved::Unknown(held))?;
        if found.any(|other| other != pin) {
            return Err(Unresolved::Several(held));
        }
        Ok(pin.clone())
    }

    fn same_but_for_zeros(&self, pin: &Text) -> Option<&Text> {
        let mut alike = self.with_number(number(pin)?);
        let one = alike.next()?;
        alike.next().is_none().then_some(one)
    }

    fn with_number(&self, number: u64) -> Box<dyn Iterator<Item = &Text> + '_> {
        let from = self.by_number.partition_point(|row| row.0 < number);
        let rows = self.by_number.iter().skip(from);
        let rows = rows.take_while(move |row| row.0 == number);
        Box::new(rows.filter_map(|row| self.by_uid.get(row.1).map(|user| &user.1)))
    }

    fn with_uid(&self, uid: u16) -> Box<dyn Iterator<Item = &Text> + '_> {
        let from = self.by_uid.partition_point(|row| row.0 < uid);
        let rows = self.by_uid.iter().skip(from);
        Box::new(rows.take_while(move |row| row.0 == uid).map(|row| &row.1))
    }
}

/// The value of a PIN made of digits.
fn number(pin: &str) -> Option<u64> {
    let digits = !pin.is_empty() && pin.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| pin.parse().ok()).flatten()
}

/// Uid and PIN of one record; `None` when it is no user.
fn user(row: &[u8], size: usize) -> Option<(u16, Text)> {
    // Privileges are 0 to 15; the lowest bit says "disabled".
    let entry =
        |uid: u16, privilege: u8, pin: Text| (uid != 0 && privilege < 16).then_some((uid, pin));
    let parsed: nom::IResult<&[u8], _> = (le_u16, byte).parse(row);
    let (rest, (uid, privilege)) = parsed.ok()?;
    if size == 72 {
        let parsed: nom::IResult<&[u8], _> = (take(45usize), take(ID_FIELD)).parse(rest);
        let (_, (_, id)) = parsed.ok()?;
        return entry(uid, privilege, id_text(id).ok()?);
    }
    let parsed: nom::IResult<&[u8], _> = (take(21usize), le_u32).parse(rest);
    let (_, (_, number)) = parsed.ok()?;
    // PINs of these terminals have at most nine digits.
    let plausible = (1..1_000_000_000).contains(&number);
    entry(
        uid,
        privilege,
        Text::new(plausible.then(|| number.to_string())?),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seventy_two(uid: u16, pin: &str) -> Vec<u8> {
        let mut row = vec![0; 72];
        row[..2].copy_from_slice(&uid.to_le_bytes());
        row[3..9].copy_from_slice(b"S3CR3T");
        row[11..16].copy_from_slice(b"Alice");
        row[48..48 + pin.len()].copy_from_slice(pin.as_bytes());
        row
    }

    fn twenty_eight(uid: u16, number: u32) -> Vec<u8> {
        let mut row = vec![0; 28];
        row[..2].copy_from_slice(&uid.to_le_bytes());
        row[3..8].copy_from_slice(b"S3CR3");
        row[8..13].copy_from_slice(b"Alice");
        row[24..].copy_from_slice(&number.to_le_bytes());
        row
    }

    fn list(pairs: &[(u16, &str)]) -> UserList {
        UserList::of(pairs.iter().map(|&(uid, pin)| (uid, Text::new(pin))))
    }

    fn resolve(list: &UserList, who: Who) -> Result<String, Unresolved> {
        UserList::resolve(Some(list), &who).map(String::from)
    }

    #[test]
    fn both_sizes_of_record_give_uid_and_pin_and_nothing_else() {
        let rows = [seventy_two(1, "007"), seventy_two(2, "A-9")].concat();
        let read = UserList::read(&rows, Some(2)).unwrap();
        assert_eq!(read, list(&[(1, "007"), (2, "A-9")]));
        assert!(!format!("{read:?}").contains("S3CR3T"));
        let rows = [twenty_eight(1, 7), twenty_eight(2, 900_000_001)].concat();
        assert_eq!(
            UserList::read(&rows, None),
            Ok(list(&[(1, "7"), (2, "900000001")]))
        );
    }

    #[test]
    fn a_length_that_both_sizes_divide_is_settled_by_what_makes_sense() {
        let small: Vec<u8> = (1..=18)
            .flat_map(|n| twenty_eight(n, u32::from(n) + 100))
            .collect();
        let large: Vec<u8> = (1..=7).flat_map(|n| seventy_two(n, "55")).collect();
        assert_eq!((small.len(), large.len()), (504, 504));
        assert_eq!(UserList::read(&small, None).unwrap().people().len(), 18);
        assert_eq!(UserList::read(&large, None).unwrap().people().len(), 7);
    }

    #[test]
    fn a_table_that_makes_no_sense_is_refused() {
        assert_eq!(UserList::read(&[0xff; 504], Some(7)), Err(BadUsers(504)));
        assert_eq!(UserList::read(&[0; 71], Some(1)), Err(BadUsers(71)));
        assert_eq!(UserList::read(&[], Some(3)), Ok(UserList::default()));
    }

    #[test]
    fn numbers_and_indexes_find_the_pin_with_its_zeros() {
        let people = list(&[(1, "007"), (2, "42"), (3, "042"), (4, "A7")]);
        assert_eq!(resolve(&people, Who::Number(7)), Ok("007".into()));
        assert_eq!(resolve(&people, Who::Uid(4)), Ok("A7".into()));
        assert_eq!(
            resolve(&people, Who::Number(42)),
            Err(Unresolved::Several(Held::Number(42)))
        );
        assert_eq!(
            resolve(&people, Who::Uid(9)),
            Err(Unresolved::Unknown(Held::Uid(9)))
        );
        assert_eq!(
            UserList::resolve(None, &Who::Uid(1)),
            Err(Unresolved::NoList(Held::Uid(1)))
        );
    }

    #[test]
    fn a_text_stands_for_itself_unless_only_its_zeros_were_dropped() {
        let people = list(&[(1, "007"), (2, "42"), (3, "042")]);
        let pin = |text: &str| resolve(&people, Who::Pin(Text::new(text))).unwrap();
        assert_eq!(pin("7"), "007");
        assert_eq!((pin("42"), pin("042")), ("42".into(), "042".into()));
        assert_eq!((pin("99"), pin("X")), ("99".into(), "X".into()));
        let alone = UserList::resolve(None, &Who::Pin(Text::new("7")));
        assert_eq!(alone, Ok(Text::new("7")));
    }

    #[test]
    fn two_people_with_one_index_are_several() {
        let people = list(&[(1, "5"), (1, "6")]);
        assert_eq!(
            resolve(&people, Who::Uid(1)),
            Err(Unresolved::Several(Held::Uid(1)))
        );
    }

    proptest! {
        #[test]
        fn any_table_is_read_or_refused(rows in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(list) = UserList::read(&rows, None) {
                prop_assert!(list.people().len() <= rows.len() / 28);
            }
        }
    }
}
