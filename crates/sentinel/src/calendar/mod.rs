//! Attention hours, holidays and due times: when somebody is there, and by when something
//! must be done.
//!
//! A [`Calendar`] is weekly [`Hours`], [`Holidays`] and a time zone. An instant is open when
//! the wall clock of the zone shows an open minute of a day that is no holiday; all arithmetic
//! follows from that one sentence, also on the days on which clocks change (an hour that
//! happens twice counts twice, one that does not happen counts for nothing). [`Allowance`] is
//! what a contract grants: wall time, open time or business days.
//!
//! Nothing here reads a clock, and no calendar, not even one that never opens, makes a
//! question loop for ever.

mod due;
mod holidays;
mod hours;
mod open;

pub use due::{Allowance, BadAllowance, Deadline};
pub use holidays::{BadHoliday, Holidays};
pub use hours::{BadHours, Hours};
pub use open::Calendar;
