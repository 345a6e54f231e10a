//! Event codes: two numbers, major and minor, and what is sure about them.
//!
//! Codes come from every firmware and some stand in no document: an unknown one has no name and
//! is never refused. What a code says about who passed is taken from the documented list alone;
//! which way somebody went is never taken from a code.

mod names;

use event::Direction;

/// Major of alarms.
pub const ALARM: u32 = 1;
/// Major of exceptions: the state of the device.
pub const EXCEPTION: u32 = 2;
/// Major of operations.
pub const OPERATION: u32 = 3;
/// Major of events: doors and authentications.
pub const EVENT: u32 = 5;

/// What a major is called.
pub fn major_name(major: u32) -> Option<&'static str> {
    Some(match major {
        ALARM => "alarm",
        EXCEPTION => "exception",
        OPERATION => "operation",
        EVENT => "event",
        _ => return None,
    })
}

/// What a code is called, in a few English words.
pub fn minor_name(major: u32, minor: u32) -> Option<&'static str> {
    let (table, custom) = match major {
        ALARM => (names::ALARM, 2304..=2367),
        EXCEPTION => (names::EXCEPTION, 2304..=2367),
        OPERATION => (names::OPERATION, 2304..=2367),
        EVENT => (names::EVENT, 1280..=1343),
        _ => return None,
    };
    if custom.contains(&minor) {
        return Some("custom");
    }
    let at = table.binary_search_by_key(&minor, |row| row.0).ok()?;
    table.get(at).map(|row| row.1)
}

/// True for the minors of major 5 by which a person was authenticated with success.
pub fn is_granted(minor: u32) -> bool {
    matches!(
        minor,
        1 | 2
            | 16
            | 38
            | 40
            | 43
            | 46
            | 54
            | 57
            | 60
            | 63
            | 66
            | 69
            | 72
            | 75
            | 77
            | 101
            | 105
            | 153
            | 179
            | 181
    )
}

/// True for what our own logins and armings leave in a terminal's ring.
pub fn is_own_footprint(major: u32, minor: u32) -> bool {
    major == OPERATION && matches!(minor, 112 | 113 | 121 | 122)
}

/// Attendance statuses in the order of their numbers (0 to 6), which some firmware sends instead.
const STATUSES: [(&str, Option<Direction>); 7] = [
    ("undefined", None),
    ("checkIn", Some(Direction::In)),
    ("checkOut", Some(Direction::Out)),
    ("breakOut", Some(Direction::Out)),
    ("breakIn", Some(Direction::In)),
    ("overtimeIn", Some(Direction::In)),
    ("overtimeOut", Some(Direction::Out)),
];

/// Which way a person said to go by the status chosen at the device, in any case of its letters.
pub fn status_direction(status: &str) -> Option<Direction> {
    STATUSES
        .iter()
        .enumerate()
        .find(|(number, (word, _))| {
            word.eq_ignore_ascii_case(status) || status == number.to_string()
        })
        .and_then(|(_, (_, direction))| *direction)
}

/// True when the status says that there is none.
pub fn is_undefined_status(status: &str) -> bool {
    status == "0" || status.eq_ignore_ascii_case("undefined")
}

/// What a number in place of a card means.
pub fn card_sentinel(card: &str) -> Option<&'static str> {
    Some(match card {
        "18446744073709551613" => "super",
        "18446744073709551614" => "duress",
        "18446744073709551615" => "invalid",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_every_granted_code_is_called_accepted() {
        for table in [
            names::ALARM,
            names::EXCEPTION,
            names::OPERATION,
            names::EVENT,
        ] {
            assert!(table.is_sorted_by(|one, other| one.0 < other.0));
        }
        let called =
            |minor: &u32| minor_name(EVENT, *minor).is_some_and(|n| n.ends_with("accepted"));
        let granted: Vec<u32> = (0..=2400).filter(|&minor| is_granted(minor)).collect();
        for minor in &granted {
            assert!(called(minor) || *minor == 105, "{minor}");
        }
        // The two others that are called so open a door without saying who came.
        let others: Vec<u32> = (0..=2400)
            .filter(|m| called(m) && !is_granted(*m))
            .collect();
        assert_eq!(others, [34, 214]);
    }

    #[test]
    fn an_unknown_code_has_no_name() {
        assert_eq!(minor_name(EVENT, 75), Some("face accepted"));
        assert_eq!(minor_name(ALARM, 2304), Some("custom"));
        for (major, minor) in [(5, 148), (5, 0), (3, 311), (4, 1), (u32::MAX, u32::MAX)] {
            assert_eq!(minor_name(major, minor), None);
        }
        assert_eq!(major_name(4), None);
    }

    #[test]
    fn each_major_of_a_table_is_called_by_its_name() {
        let names = [ALARM, EXCEPTION, OPERATION, EVENT].map(major_name);
        let told = ["alarm", "exception", "operation", "event"];
        assert_eq!(names, told.map(Some));
    }

    #[test]
    fn our_own_traces_belong_to_their_major() {
        assert!(is_own_footprint(3, 121) && !is_own_footprint(5, 113));
    }

    #[test]
    fn a_status_gives_its_direction_in_any_case_and_as_a_number() {
        for (status, way) in [
            ("checkIn", Some(Direction::In)),
            ("CHECKOUT", Some(Direction::Out)),
            ("overTimeOut", Some(Direction::Out)),
            ("4", Some(Direction::In)),
            ("undefined", None),
            ("0", None),
            ("7", None),
            ("lunch", None),
        ] {
            assert_eq!(status_direction(status), way, "{status}");
        }
        assert!(
            is_undefined_status("Undefined")
                && is_undefined_status("0")
                && !is_undefined_status("1")
        );
    }
}
