//! The access-control dialect's numbers, as tables one can read beside the vendor's manual.
//!
//! Source: Security PUSH manual 3.1.2 (2021) with the additions of its 2024 issue. Names and
//! classes are hints: a SenseFace 3A sends 3 ("several people") for one person's face. So a
//! number without a name is as good as one with, and nothing is dropped or refused by a table.

use event::Kind;

/// What an event code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A person was recognised and may pass.
    Passed,
    /// A person or credential was refused, or is not through yet.
    Refused,
    /// A door, relay or input did something.
    Door,
    /// Something is wrong.
    Alarm,
    /// The terminal itself.
    Terminal,
}

impl Class {
    /// What kind of event it makes. Never a punch: only attendance records are that.
    pub fn kind(self) -> Kind {
        match self {
            Self::Passed | Self::Refused | Self::Door => Kind::Access,
            Self::Alarm => Kind::Alarm,
            Self::Terminal => Kind::Device,
        }
    }
}

/// An event code: number, name, class.
pub const EVENTS: &[(u16, &str, Class)] = {
    use Class::{Alarm, Door, Passed, Refused, Terminal};
    &[
        (0, "opened", Passed),
        (1, "verified while normally open", Passed),
        (2, "opened by first user", Passed),
        (3, "opened by several users", Passed),
        (4, "opened by emergency password", Passed),
        (5, "opened in normally-open time", Passed),
        (6, "linkage fired", Door),
        (7, "alarm cancelled", Door),
        (8, "opened remotely", Door),
        (9, "closed remotely", Door),
        (10, "normally-open time switched off for the day", Door),
        (11, "normally-open time switched on for the day", Door),
        (12, "auxiliary output on", Door),
        (13, "auxiliary output off", Door),
        (14, "opened by fingerprint", Passed),
        (15, "opened by several users by fingerprint", Passed),
        (16, "fingerprint in normally-open time", Passed),
        (17, "opened by card and fingerprint", Passed),
        (18, "opened by first user by fingerprint", Passed),
        (19, "opened by first user by card and fingerprint", Passed),
        (20, "interval too short", Refused),
        (21, "outside its time zone", Refused),
        (22, "invalid time zone", Refused),
        (23, "no right", Refused),
        (24, "anti-passback", Refused),
        (25, "interlock", Refused),
        (26, "waits for more users", Refused),
        (27, "not registered", Refused),
        (28, "door open too long", Alarm),
        (29, "expired", Refused),
        (30, "wrong password", Refused),
        (31, "fingerprint interval too short", Refused),
        (32, "waits for more users by fingerprint", Refused),
        (33, "fingerprint expired", Refused),
        (34, "fingerprint not registered", Refused),
        (35, "fingerprint outside its time zone", Refused),
        (36, "exit button outside its time zone", Refused),
        (37, "cannot close in normally-open time", Door),
        (38, "card reported lost", Refused),
        (39, "on the blacklist", Refused),
        (40, "several users failed", Refused),
        (41, "wrong verify mode", Refused),
        (42, "wrong card format", Refused),
        (43, "watched user", Refused),
        (44, "remote verification failed", Refused),
        (45, "remote verification timed out", Refused),
        (47, "command could not be sent", Terminal),
        (48, "several cards failed", Refused),
        (49, "password outside its time zone", Refused),
        (50, "password interval too short", Refused),
        (51, "waits for more users by password", Refused),
        (52, "several users failed by password", Refused),
        (53, "password expired", Refused),
        (54, "battery low", Alarm),
        (55, "battery to be replaced", Alarm),
        (56, "illegal operation", Alarm),
        (57, "backup power", Alarm),
        (58, "normally-open alarm", Alarm),
        (59, "illegal administration", Alarm),
        (60, "locked from inside", Refused),
        (61, "repeated", Refused),
        (62, "forbidden user", Refused),
        (63, "door locked", Refused),
        (64, "exit button not in its time zone", Refused),
        (65, "auxiliary input not in its time zone", Refused),
        (66, "reader upgrade failed", Terminal),
        (67, "recognised remotely without right", Refused),
        (68, "temperature too high", Refused),
        (69, "no mask", Refused),
        (70, "face server at fault", Terminal),
        (71, "face server silent", Terminal),
        (72, "call not answered", Door),
        (73, "QR code invalid", Refused),
        (74, "QR code expired", Refused),
        (75, "combined verification timed out", Refused),
        (76, "module at fault", Terminal),
        (77, "network cable", Terminal),
        (78, "hotspot", Terminal),
        (79, "mobile network", Terminal),
        (80, "no right for the floor", Refused),
        (100, "tamper", Alarm),
        (101, "duress", Alarm),
        (102, "door forced open", Alarm),
        (103, "duress fingerprint", Alarm),
        (104, "invalid card again and again", Alarm),
        (105, "network lost", Alarm),
        (106, "battery", Alarm),
        (107, "mains lost", Alarm),
        (108, "controller unreachable", Alarm),
        (109, "reader tamper", Alarm),
        (110, "reader offline", Alarm),
        (111, "PoE", Alarm),
        (112, "extension board offline", Alarm),
        (113, "security level", Alarm),
        (114, "fire input open", Alarm),
        (115, "fire input short", Alarm),
        (116, "auxiliary input open", Alarm),
        (117, "auxiliary input short", Alarm),
        (118, "exit button open", Alarm),
        (119, "exit button short", Alarm),
        (120, "door sensor open", Alarm),
        (121, "door sensor short", Alarm),
        (200, "door opened", Door),
        (201, "door closed", Door),
        (202, "exit button", Door),
        (
            203,
            "opened by several users by card and fingerprint",
            Passed,
        ),
        (204, "normally-open time ended", Door),
        (205, "opened remotely and stays open", Door),
        (206, "terminal started", Terminal),
        (207, "opened by password", Passed),
        (208, "opened by super user", Passed),
        (209, "exit button while locked", Door),
        (210, "opened by fire alarm", Alarm),
        (211, "closed by super user", Door),
        (212, "floor control on", Door),
        (213, "floor control off", Door),
        (214, "connected to server", Terminal),
        (215, "opened by first user and password", Passed),
        (216, "password in normally-open time", Passed),
        (217, "connected to controller", Terminal),
        (218, "identity card", Passed),
        (220, "auxiliary input open", Door),
        (221, "auxiliary input short", Door),
        (222, "remote verification passed", Passed),
        (223, "remote verification", Door),
        (224, "doorbell", Door),
        (225, "auxiliary input normal", Door),
        (226, "auxiliary input triggered", Door),
        (227, "both doors open", Door),
        (228, "both doors closed", Door),
        (229, "auxiliary output stays on", Door),
        (230, "auxiliary output normal", Door),
        (231, "camera linkage", Door),
        (232, "passed", Passed),
        (233, "locked remotely", Door),
        (234, "unlocked remotely", Door),
        (235, "reader upgraded", Terminal),
        (236, "reader tamper over", Terminal),
        (237, "reader online", Terminal),
        (239, "call", Door),
        (240, "call ended", Door),
        (241, "picture taken", Door),
        (242, "video taken", Door),
        (243, "fire input open", Alarm),
        (244, "fire input short", Alarm),
        (245, "hotspot", Terminal),
        (246, "mobile network", Terminal),
        (247, "extension board", Terminal),
        (248, "network cable", Terminal),
        (255, "door state", Door),
        (6000, "fire", Alarm),
    ]
};

/// What the bits of a verify type mean that is written as 16 zeros and ones, from the right.
/// Source: the manual's `NewVFStyles`. Bit 0 says whether all others are needed or one is enough.
pub const VERIFY_BITS: [&str; 12] = [
    "all of",
    "face",
    "palm print",
    "palm vein",
    "fingerprint",
    "finger vein",
    "voice",
    "iris",
    "retina",
    "password",
    "PIN",
    "card",
];

/// Name and class of an event code; a code without a name has the class of its hundred.
pub fn event(code: &str) -> (Option<&'static str>, Class) {
    let Ok(code) = code.parse::<u16>() else {
        return (None, Class::Refused);
    };
    match EVENTS.binary_search_by_key(&code, |row| row.0) {
        Ok(at) => {
            let row = EVENTS.get(at);
            (row.map(|row| row.1), row.map_or(Class::Door, |row| row.2))
        }
        Err(_) => (None, class_of_range(code)),
    }
}

fn class_of_range(code: u16) -> Class {
    match code {
        20..=99 => Class::Refused,
        // Turnstile faults stand at 5000 to 5016.
        100..=199 | 5_000..=5_999 => Class::Alarm,
        _ => Class::Door,
    }
}

/// The name of a verify type, a hint only: a mode of the common table, or 16 bits.
pub fn verify(code: &str) -> Option<String> {
    let is_bits = code.len() == 16 && code.bytes().all(|b| matches!(b, b'0' | b'1'));
    if !is_bits {
        return crate::codes::verify_mode(code).map(str::to_owned);
    }
    let bits = code.bytes().rev().zip(VERIFY_BITS).skip(1);
    let set: Vec<_> = bits
        .filter(|(bit, _)| *bit == b'1')
        .map(|(_, name)| name)
        .collect();
    let and = if code.ends_with('1') { " and " } else { " or " };
    (!set.is_empty()).then(|| set.join(and))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_in_order_and_each_is_found() {
        assert!(EVENTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, name, class) in EVENTS {
            assert_eq!(event(&code.to_string()), (Some(*name), *class));
        }
    }

    #[test]
    fn no_access_event_is_ever_a_punch() {
        for code in 0..=u16::MAX {
            assert_ne!(event(&code.to_string()).1.kind(), Kind::Punch);
        }
    }

    #[test]
    fn a_code_without_a_name_has_the_class_of_its_range() {
        assert_eq!(event("90"), (None, Class::Refused));
        assert_eq!(event("150"), (None, Class::Alarm));
        assert_eq!(event("5003"), (None, Class::Alarm));
        assert_eq!(event("253"), (None, Class::Door));
        assert_eq!(event("x"), (None, Class::Refused));
    }

    #[test]
    fn a_verify_type_is_a_number_or_sixteen_bits() {
        assert_eq!(verify("4").unwrap(), "card");
        assert_eq!(verify("0000000000000010").unwrap(), "face");
        assert_eq!(verify("0000100000010000").unwrap(), "fingerprint or card");
        assert_eq!(verify("0000100000000011").unwrap(), "face and card");
        assert_eq!(verify("0000000000000000"), None);
        assert_eq!(verify("0000000000000002x"), None);
    }
}
