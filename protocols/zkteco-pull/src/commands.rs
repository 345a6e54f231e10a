//! Command and reply codes, with their names.
//!
//! Requests that we send are constants; what only appears in captures has a name here and
//! nothing else. There is no constant for any command that writes people, clears a log, opens
//! a door or locks a terminal's keypad: this crate cannot send one by mistake.

/// Reads a named option.
pub const OPTION_READ: u16 = 11;
/// Attendance log: the direct read, and the inner command of a prepared one.
pub const ATTENDANCE: u16 = 13;
/// User table: the direct read, and the inner command of a prepared one.
pub const USERS: u16 = 9;
/// Counts and capacities.
pub const FREE_SIZES: u16 = 50;
/// Puts the terminal into its normal state of waiting for people.
pub const START_VERIFY: u16 = 60;
/// Reads the clock.
pub const GET_TIME: u16 = 201;
/// Sets the clock.
pub const SET_TIME: u16 = 202;
/// Asks for real-time events; from the terminal: such an event.
pub const EVENT: u16 = 500;
/// Opens a session.
pub const CONNECT: u16 = 1000;
/// Ends a session.
pub const EXIT: u16 = 1001;
/// Lets people use the terminal.
pub const ENABLE: u16 = 1002;
/// Makes the terminal take over changed data.
pub const REFRESH: u16 = 1013;
/// Reads the firmware's version text.
pub const VERSION: u16 = 1100;
/// Answers a demand for the communication key.
pub const AUTH: u16 = 1102;
/// Announces data.
pub const PREPARE_DATA: u16 = 1500;
/// Carries data.
pub const DATA: u16 = 1501;
/// Frees the buffer of a prepared read.
pub const FREE_DATA: u16 = 1502;
/// Prepares a buffer for reading.
pub const PREPARE_BUFFER: u16 = 1503;
/// Reads a window of the prepared buffer.
pub const READ_BUFFER: u16 = 1504;

/// Done.
pub const ACK_OK: u16 = 2000;
/// Not done.
pub const ACK_ERROR: u16 = 2001;
/// Ask again.
pub const ACK_RETRY: u16 = 2003;
/// Ask again.
pub const ACK_REPEAT: u16 = 2004;
/// The communication key is wanted, or was wrong.
pub const ACK_UNAUTH: u16 = 2005;
/// Too many wrong keys on newer firmware.
pub const ACK_AUTH_LOCKED: u16 = 2032;
/// The challenge of firmware that speaks the encrypted protocol only.
pub const ACK_SECURE: u16 = 6001;
/// Unknown command.
pub const ACK_UNKNOWN: u16 = 65535;
/// Bad command.
pub const ACK_ERROR_CMD: u16 = 65533;
/// Not initialised.
pub const ACK_ERROR_INIT: u16 = 65532;
/// Bad data.
pub const ACK_ERROR_DATA: u16 = 65531;

const NAMES: &[(u16, &str)] = &[
    (7, "read table"),
    (8, "write user"),
    (9, "read users"),
    (10, "write template"),
    (11, "read option"),
    (12, "write option"),
    (13, "read attendance"),
    (14, "clear data"),
    (15, "clear attendance"),
    (18, "delete user"),
    (31, "unlock door"),
    (34, "read operations"),
    (50, "read sizes"),
    (60, "start verifying"),
    (62, "cancel capture"),
    (64, "read state"),
    (79, "write verify mode"),
    (201, "read clock"),
    (202, "set clock"),
    (500, "event"),
    (1000, "connect"),
    (1001, "exit"),
    (1002, "enable"),
    (1003, "disable"),
    (1004, "restart"),
    (1005, "power off"),
    (1013, "refresh data"),
    (1100, "read version"),
    (1102, "authenticate"),
    (1500, "prepare data"),
    (1501, "data"),
    (1502, "free buffer"),
    (1503, "prepare buffer"),
    (1504, "read buffer"),
    (2000, "done"),
    (2001, "not done"),
    (2002, "data follows"),
    (2003, "ask again"),
    (2004, "ask again"),
    (2005, "key wanted"),
    (2032, "locked after wrong keys"),
    (4989, "no memory for the buffer"),
    (6001, "encrypted protocol wanted"),
    (65531, "bad data"),
    (65532, "not initialised"),
    (65533, "bad command"),
    (65535, "unknown command"),
];

/// The name of a command or reply code, for people.
pub fn name(code: u16) -> Option<&'static str> {
    let at = NAMES.binary_search_by_key(&code, |row| row.0).ok()?;
    NAMES.get(at).map(|row| row.1)
}

/// Whether a reply says that the terminal does not have what was asked for.
pub(crate) fn is_refusal(code: u16) -> bool {
    matches!(
        code,
        ACK_ERROR | ACK_UNKNOWN | ACK_ERROR_CMD | ACK_ERROR_INIT | ACK_ERROR_DATA | 4989
    )
}

/// Whether a reply asks to be asked again.
pub(crate) fn is_retry(code: u16) -> bool {
    matches!(code, ACK_RETRY | ACK_REPEAT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_in_order_and_each_is_found() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, text) in NAMES {
            assert_eq!(name(*code), Some(*text));
        }
        assert_eq!(name(3), None);
    }
}
