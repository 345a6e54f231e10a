//! What else answers on port 4370, and what to do about it.
//!
//! Two other protocols live there: the encrypted one of new firmware, and that of C3 and inBio
//! access panels. Neither is spoken here; both are named, because "time-out" would send an
//! installer to the wrong place.

/// Another protocol on the same port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Foreign {
    /// Firmware that demands the encrypted protocol: reply 6001, or the magic `50 50 83 7C`.
    #[error("the terminal demands the encrypted protocol of new firmware")]
    SecurePull,
    /// A C3 or inBio access panel: frames that begin with `AA`.
    #[error("this is a C3 or inBio access panel, not a terminal")]
    AccessPanel,
}

impl Foreign {
    /// What the installer can do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::SecurePull => {
                "set the terminal to push (cloud server, ADMS), or allow the older standalone \
                 protocol in its communication settings where the menu has it"
            }
            Self::AccessPanel => {
                "remove this address from the terminals to be dialled; panels send by the access \
                 push protocol where their firmware has it"
            }
        }
    }
}

/// Judges the first bytes of a TCP stream or of a datagram; `None` when they are ours or too few.
pub(crate) fn stream(bytes: &[u8]) -> Option<Foreign> {
    match bytes {
        [0xaa, ..] => Some(Foreign::AccessPanel),
        [0x50, 0x50, 0x83, 0x7c, ..] => Some(Foreign::SecurePull),
        // The third byte tells the two magics apart, but only the whole is a statement.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_of_the_port_is_named() {
        assert_eq!(stream(&[0xaa, 1, 0]), Some(Foreign::AccessPanel));
        assert_eq!(stream(&[0x50, 0x50, 0x83, 0x7c]), Some(Foreign::SecurePull));
        assert_eq!(stream(&[0x50, 0x50, 0x82, 0x7d]), None);
        assert_eq!(stream(&[]), None);
    }
}
