//! Figures of sentinel: from a fault to the mail, what noise wakes nobody, and its memory.
//!
//! satellite, sentinel and MariaDB are the real programs, the terminals are simulated, and the
//! mail goes through OpenSMTPD into files. A letter counts when it lies in its file, which is a
//! little after the relay has taken it: the figures are never better than the truth.

pub(crate) mod detection;
mod faults;
mod mail;
pub(crate) mod memory;
pub(crate) mod noise;
mod scene;
