//! What goes into a statement and what comes out of a row, the same for both engines.
//!
//! Times travel as text (`YYYY-MM-DD HH:MM:SS.mmm`, UTC): MySQL turns it into DATETIME(3),
//! SQLite keeps it, and statements read it back with `CAST(… AS CHAR)`. So no room above this
//! one has to know which engine it talks to.

use event::{DeviceId, Millis};

use crate::Failure;

/// A value bound to a placeholder.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text, or NULL.
    pub fn opt(text: Option<&'a str>) -> Self {
        text.map_or(Value::Null, Value::Text)
    }
}

/// A value read from a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// A text or bytes; the reader knows which.
    Data(Vec<u8>),
}

/// One row of an answer. Readers name columns by position, in the order of their own SELECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Cell>);

impl Row {
    /// The whole number in column `at`.
    pub fn int(&self, at: usize) -> Result<i64, Failure> {
        match self.0.get(at) {
            Some(Cell::Int(value)) => Ok(*value),
            other => Err(Failure::schema(format!(
                "column {at}: expected a number, found {other:?}"
            ))),
        }
    }

    /// The whole number in column `at`, or `None` for NULL.
    pub fn opt_int(&self, at: usize) -> Result<Option<i64>, Failure> {
        if self.0.get(at) == Some(&Cell::Null) {
            Ok(None)
        } else {
            self.int(at).map(Some)
        }
    }

    /// The text in column `at`, or `None` for NULL.
    pub fn opt_text(&self, at: usize) -> Result<Option<String>, Failure> {
        match self.0.get(at) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Data(data)) => Ok(Some(String::from_utf8_lossy(data).into_owned())),
            other => Err(Failure::schema(format!(
                "column {at}: expected a text, found {other:?}"
            ))),
        }
    }

    /// The text in column `at`.
    pub fn text(&self, at: usize) -> Result<String, Failure> {
        self.opt_text(at)?
            .ok_or_else(|| Failure::schema(format!("column {at}: a text is missing")))
    }

    /// The bytes in column `at`.
    pub fn bytes(&self, at: usize) -> Result<&[u8], Failure> {
        match self.0.get(at) {
            Some(Cell::Data(data)) => Ok(data),
            other => Err(Failure::schema(format!(
                "column {at}: expected bytes, found {other:?}"
            ))),
        }
    }

    /// The time in column `at`, or `None` for NULL.
    pub fn opt_time(&self, at: usize) -> Result<Option<Millis>, Failure> {
        let Some(text) = self.opt_text(at)? else {
            return Ok(None);
        };
        let parsed = Millis::parse(&text);
        parsed
            .map(Some)
            .ok_or_else(|| Failure::schema(format!("'{text}' is not a time")))
    }

    /// The time in column `at`.
    pub fn time(&self, at: usize) -> Result<Millis, Failure> {
        let missing = || Failure::schema(format!("column {at}: a time is missing"));
        self.opt_time(at)?.ok_or_else(missing)
    }

    /// The device id in column `at`.
    pub fn device_id(&self, at: usize) -> Result<DeviceId, Failure> {
        let wrong = || Failure::schema(format!("column {at}: a device id has 16 bytes"));
        DeviceId::from_slice(self.bytes(at)?).ok_or_else(wrong)
    }
}
