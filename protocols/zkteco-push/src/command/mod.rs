//! Commands, both ways: what a terminal may be told to do (`order`, and the table of all known
//! forms in `forms`), and what it says became of it (`results`, with the names of its codes).
//!
//! The rule of this room: a text leaves only if it is, byte for byte, the text of an [`Order`].
//! There is no way to write an order that changes people, records, doors, settings or the
//! terminal's programs.

mod forms;
mod order;
mod results;

pub use forms::{Class, FORMS, Form, Policy};
pub use order::{Denied, Order, Outcome, Window};
pub use results::{CommandResult, parse_results, result_name};
