//! The vendor's numbers, as tables one can read beside its manual.
//!
//! Names are hints for people. A number without a name is as good as one with: nothing is ever
//! dropped or refused by these tables. Punch status keys are absent on purpose: sites re-map
//! them, so that the number has no meaning of its own.

use event::Kind;

/// An operation of the operation log: code, name, what sort of event it makes.
///
/// Source: Attendance PUSH manual 4.0, list of operation codes. Codes that it leaves out are
/// unassigned.
pub const OPERATIONS: &[(u16, &str, Kind)] = &[
    (0, "power on", Kind::Device),
    (1, "power off", Kind::Device),
    (2, "verification failed", Kind::Access),
    (3, "alarm", Kind::Alarm),
    (4, "menu entered", Kind::Operation),
    (5, "settings changed", Kind::Operation),
    (6, "fingerprint enrolled", Kind::Operation),
    (7, "password enrolled", Kind::Operation),
    (8, "HID card enrolled", Kind::Operation),
    (9, "user deleted", Kind::Operation),
    (10, "fingerprint deleted", Kind::Operation),
    (11, "password deleted", Kind::Operation),
    (12, "RF card deleted", Kind::Operation),
    (13, "data cleared", Kind::Operation),
    (14, "MF card created", Kind::Operation),
    (15, "MF card registered", Kind::Operation),
    (16, "MF card enrolled", Kind::Operation),
    (17, "MF card registration deleted", Kind::Operation),
    (18, "MF card cleared", Kind::Operation),
    (19, "enrolment data moved to card", Kind::Operation),
    (20, "card data copied to device", Kind::Operation),
    (21, "clock set", Kind::Operation),
    (22, "factory reset", Kind::Operation),
    (23, "attendance records deleted", Kind::Operation),
    (24, "administrator rights cleared", Kind::Operation),
    (25, "group access settings changed", Kind::Operation),
    (26, "user access settings changed", Kind::Operation),
    (27, "access time zone changed", Kind::Operation),
    (28, "unlock combination changed", Kind::Operation),
    (29, "unlock", Kind::Operation),
    (30, "user enrolled", Kind::Operation),
    (31, "fingerprint attributes changed", Kind::Operation),
    (32, "duress alarm", Kind::Alarm),
    (33, "doorbell", Kind::Access),
    (34, "anti-passback", Kind::Access),
    (35, "attendance photos deleted", Kind::Operation),
    (36, "other user data changed", Kind::Operation),
    (37, "holiday changed", Kind::Operation),
    (38, "data restored", Kind::Operation),
    (39, "data backed up", Kind::Operation),
    (40, "USB upload", Kind::Operation),
    (41, "USB download", Kind::Operation),
    (42, "USB records encrypted", Kind::Operation),
    (43, "records deleted after USB download", Kind::Operation),
    (53, "exit button", Kind::Access),
    (54, "door sensor", Kind::Access),
    (55, "alarm", Kind::Alarm),
    (56, "parameters restored", Kind::Operation),
    (68, "user photo registered", Kind::Operation),
    (69, "user photo changed", Kind::Operation),
    (70, "user name changed", Kind::Operation),
    (71, "user privilege changed", Kind::Operation),
    (76, "IP address changed", Kind::Operation),
    (77, "network mask changed", Kind::Operation),
    (78, "gateway changed", Kind::Operation),
    (79, "DNS changed", Kind::Operation),
    (80, "communication password changed", Kind::Operation),
    (81, "device id changed", Kind::Operation),
    (82, "server address changed", Kind::Operation),
    (83, "server port changed", Kind::Operation),
    (87, "access log settings changed", Kind::Operation),
    (88, "face parameters changed", Kind::Operation),
    (89, "fingerprint parameters changed", Kind::Operation),
    (90, "finger vein parameters changed", Kind::Operation),
    (91, "palm parameters changed", Kind::Operation),
    (92, "firmware upgraded from USB", Kind::Operation),
    (100, "RF card changed", Kind::Operation),
    (101, "face enrolled", Kind::Operation),
    (102, "permission changed", Kind::Operation),
    (103, "permission deleted", Kind::Operation),
    (104, "permission added", Kind::Operation),
    (105, "access records deleted", Kind::Operation),
    (106, "face deleted", Kind::Operation),
    (107, "user photo deleted", Kind::Operation),
    (108, "parameters changed", Kind::Operation),
    (109, "Wi-Fi changed", Kind::Operation),
    (110, "proxy switched", Kind::Operation),
    (111, "proxy address changed", Kind::Operation),
    (112, "proxy port changed", Kind::Operation),
    (113, "password changed", Kind::Operation),
    (114, "face changed", Kind::Operation),
    (115, "operator password changed", Kind::Operation),
    (116, "settings restored", Kind::Operation),
    (117, "operator password wrong", Kind::Operation),
    (118, "operator locked", Kind::Operation),
    (120, "Legic card", Kind::Operation),
    (121, "finger vein or palm changed", Kind::Operation),
    (122, "finger vein or palm changed", Kind::Operation),
    (123, "finger vein or palm changed", Kind::Operation),
    (124, "finger vein or palm changed", Kind::Operation),
    (125, "finger vein or palm changed", Kind::Operation),
    (126, "finger vein or palm changed", Kind::Operation),
];

/// What an alarm (operation 3) was about, by its first object. Source: the same manual.
pub const ALARMS: &[(u16, &str)] = &[
    (50, "door closed"),
    (51, "door open"),
    (53, "exit button"),
    (54, "door broken open"),
    (55, "terminal dismantled"),
    (58, "invalid verification"),
    (65535, "alarm cancelled"),
];

/// Verify modes. Source: Attendance PUSH manual 4.0 and Security PUSH manual 3.1.2.
///
/// Old attendance firmware says 0 for password and 2 for card, and PUSH SDK HTTP 3.2.0 has
/// another table altogether.
pub const VERIFY_MODES: &[(u16, &str)] = &[
    (0, "any"),
    (1, "fingerprint"),
    (2, "PIN"),
    (3, "password"),
    (4, "card"),
    (5, "fingerprint or password"),
    (6, "fingerprint or card"),
    (7, "card or password"),
    (8, "PIN and fingerprint"),
    (9, "fingerprint and password"),
    (10, "card and fingerprint"),
    (11, "card and password"),
    (12, "fingerprint, password and card"),
    (13, "PIN, fingerprint and password"),
    (14, "PIN and fingerprint, or card and fingerprint"),
    (15, "face"),
    (16, "face and fingerprint"),
    (17, "face and password"),
    (18, "face and card"),
    (19, "face, fingerprint and card"),
    (20, "face, fingerprint and password"),
    (21, "finger vein"),
    (22, "finger vein and password"),
    (23, "finger vein and card"),
    (24, "finger vein, password and card"),
    (25, "palm"),
    (26, "palm and card"),
    (27, "palm and face"),
    (28, "palm and fingerprint"),
    (29, "palm, fingerprint and face"),
    (200, "other"),
];

/// Codes of the error log. Source: Attendance PUSH manual 4.0.
pub const ERRORS: &[(&str, &str)] = &[
    ("D01E0001", "no face found"),
    ("D01E0002", "face covered"),
    ("D01E0003", "face not sharp"),
    ("D01E0004", "face at too large an angle"),
    ("D01E0005", "not a living face"),
    ("D01E0006", "features could not be extracted"),
];

/// The name and sort of an operation, if its code is in the table.
pub fn operation(code: &str) -> Option<(&'static str, Kind)> {
    let code: u16 = code.parse().ok()?;
    let at = OPERATIONS.binary_search_by_key(&code, |row| row.0).ok()?;
    OPERATIONS.get(at).map(|row| (row.1, row.2))
}

/// The name of an alarm's first object, if it is in the table.
pub fn alarm(object: &str) -> Option<&'static str> {
    named(ALARMS, object)
}

/// The name of a verify mode, a hint only: see [`VERIFY_MODES`].
pub fn verify_mode(code: &str) -> Option<&'static str> {
    named(VERIFY_MODES, code)
}

/// The name of an error, if its code is in the table.
pub fn error(code: &str) -> Option<&'static str> {
    let row = ERRORS.iter().find(|row| row.0.eq_ignore_ascii_case(code));
    row.map(|row| row.1)
}

fn named(table: &'static [(u16, &'static str)], code: &str) -> Option<&'static str> {
    let code: u16 = code.parse().ok()?;
    table.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_are_in_order_and_each_is_found() {
        assert!(OPERATIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, name, kind) in OPERATIONS {
            assert_eq!(operation(&code.to_string()), Some((*name, *kind)));
        }
        for unknown in ["44", "9999999999", "", "-1", "x"] {
            assert_eq!(operation(unknown), None);
        }
    }

    #[test]
    fn names_are_hints_and_unknown_numbers_have_none() {
        assert_eq!(verify_mode("15"), Some("face"));
        assert_eq!(verify_mode("148"), None);
        assert_eq!(alarm("65535"), Some("alarm cancelled"));
        assert_eq!(alarm("65536"), None);
        assert_eq!(error("d01e0005"), Some("not a living face"));
        assert_eq!(error("D01E0099"), None);
    }
}
