//! The faults of a protocol's records: one table for each protocol crate, in one form.
//!
//! What a reader says of a record that it cannot read stands in databases and on screens, in two
//! languages; whoever translates it needs every sentence in one list. The words are fixed: a fault
//! never repeats what a peer sent.

/// Makes the type `Fault`, a constant of it for each line, and the list `FAULTS` of their words.
/// A line is a name, the [`Reason`](crate::Reason) and the words.
#[macro_export]
macro_rules! faults {
    ($($name:ident: $reason:ident, $words:literal;)+) => {
        /// Why one record could not become an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct Fault {
            /// The class, as it stands in quarantine.
            pub(crate) reason: $crate::Reason,
            /// For people; fixed words, nothing of what the peer sent.
            pub(crate) detail: &'static str,
        }

        impl Fault {
            $(pub(crate) const $name: Self = Self {
                reason: $crate::Reason::$reason,
                detail: $words,
            };)+
        }

        /// The words of every fault that a record can have, as they stand in quarantine.
        pub const FAULTS: &[&str] = &[$($words),+];
    };
}
