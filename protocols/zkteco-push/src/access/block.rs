//! What an access-control terminal hears before it sends anything: its registry code, and its
//! configuration.
//!
//! Code and session are derived from the serial, so that they are the same for ever and nothing
//! needs to be stored; they are no secrets, and nothing here proves who a terminal is. As in the
//! option block, everything written is a constant, a number or a checked text. No option that
//! moves, empties or reconfigures a terminal is ever written here.

use event::{IdentForm, Serial};

/// The protocol version that we claim; the lower of both sides' counts. From 3.1.1 on terminals
/// want session encryption, with a closed vendor algorithm.
const PROTOCOL_VERSION: &str = "3.0.1";

/// The configuration of one access-control terminal: [`AccessBlock::new`] has the usual values.
#[derive(Debug, Clone)]
pub struct AccessBlock<'a> {
    /// Whose it is.
    pub serial: &'a Serial,
    /// Seconds until a failed request is tried again, 30 to 300.
    pub error_delay: u16,
    /// Seconds between polls, 2 to 60.
    pub request_delay: u16,
    /// Minutes between checks for records that were not sent.
    pub trans_interval: u16,
}

impl<'a> AccessBlock<'a> {
    /// The usual delays.
    pub fn new(serial: &'a Serial) -> Self {
        Self {
            serial,
            error_delay: 30,
            request_delay: 10,
            trans_interval: 1,
        }
    }

    /// The answer to the first request of a terminal that has registered before.
    pub(crate) fn greeting(&self) -> String {
        let code = registry_code(self.serial);
        format!("registry=ok\nRegistryCode={code}\n{}", self.lines())
    }

    /// The answer to `push`.
    pub(crate) fn lines(&self) -> String {
        let Self {
            error_delay,
            request_delay,
            trans_interval,
            ..
        } = self;
        let session = hex(&self.derived("session"));
        // Only transactions: users come with passwords and cards, which nobody here needs.
        format!(
            "ServerVersion={PROTOCOL_VERSION}\nServerName=satellite\n\
             PushProtVer={PROTOCOL_VERSION}\nErrorDelay={error_delay}\n\
             RequestDelay={request_delay}\nTransTimes=00:00;14:05\n\
             TransInterval={trans_interval}\nTransTables=Transaction\nRealtime=1\n\
             SessionID={session}\nTimeoutSec=10\n"
        )
    }

    fn derived(&self, what: &str) -> [u8; 16] {
        derived(what, self.serial)
    }
}

/// The code that a terminal is registered under: 16 letters and digits, always the same for one
/// serial. At most 32 are allowed.
pub fn registry_code(serial: &Serial) -> String {
    let bytes = derived("registry", serial);
    hex(bytes.get(..8).unwrap_or_default())
}

fn derived(what: &str, serial: &Serial) -> [u8; 16] {
    IdentForm::new(what)
        .field(serial.as_str().as_bytes())
        .finish()
        .0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_code_is_short_plain_and_the_same_for_ever() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let code = registry_code(&serial);
        assert_eq!(code, registry_code(&serial));
        assert!(code.len() == 16 && code.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_ne!(code, registry_code(&Serial::new("ABC1234560002").unwrap()));
    }

    #[test]
    fn the_configuration_asks_for_events_and_neither_for_people_nor_for_encryption() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let block = AccessBlock::new(&serial);
        for text in [block.lines(), block.greeting()] {
            assert!(text.contains("\nTransTables=Transaction\nRealtime=1\n"));
            assert!(text.contains("\nPushProtVer=3.0.1\n") && text.ends_with('\n'));
            for never in ["User", "ICLOCKSVRURL", "QRCodeDecrypt", "\r", "\n\n"] {
                assert!(!text.contains(never), "{never}");
            }
        }
        assert!(block.greeting().starts_with("registry=ok\nRegistryCode="));
        assert!(block.lines().starts_with("ServerVersion="));
    }
}
