//! Delimited text: which column is what, and the cells of one line.
//!
//! A record is one line. A quote that is not closed therefore costs its own line and never
//! swallows the ones after it.

use std::collections::BTreeMap;

use csv::ByteRecord;
use event::Text;

use crate::mapping::{Mapping, Path};

/// Where the columns of a mapping stand.
pub(crate) struct Columns {
    /// By the name in the mapping; counted from 0.
    places: BTreeMap<Text, usize>,
    /// Cells that a line has to have: as many as its header, or as many as the mapping asks for.
    least: usize,
    exact: bool,
}

impl Columns {
    /// By a header line. `None` when it lacks a column that the mapping names.
    pub(crate) fn of_header(mapping: &Mapping, header: &ByteRecord) -> Option<Self> {
        let mut places = BTreeMap::new();
        for name in names(mapping) {
            let place = header.iter().position(|cell| {
                let cell = std::str::from_utf8(cell).unwrap_or_default();
                cell.trim() == name.as_str()
            })?;
            places.insert(name.clone(), place);
        }
        Some(Self {
            places,
            least: header.len(),
            exact: true,
        })
    }

    /// By their numbers, where there is no header.
    pub(crate) fn by_number(mapping: &Mapping) -> Self {
        let numbered = names(mapping).filter_map(|name| {
            let number: usize = name.parse().ok()?;
            Some((name.clone(), number.checked_sub(1)?))
        });
        let places: BTreeMap<Text, usize> = numbered.collect();
        let least = places.values().max().map_or(0, |most| most + 1);
        Self {
            places,
            least,
            exact: false,
        }
    }

    /// Whether a line has the cells that it must have.
    pub(crate) fn fits(&self, cells: &ByteRecord) -> bool {
        cells.len() == self.least || (!self.exact && cells.len() > self.least)
    }

    /// The cell of a column.
    pub(crate) fn cell<'a>(&self, cells: &'a ByteRecord, path: &Path) -> Option<&'a [u8]> {
        cells.get(*self.places.get(path.first()?)?)
    }
}

/// Every column that a mapping names.
fn names(mapping: &Mapping) -> impl Iterator<Item = &Text> {
    let fields = mapping.fields.iter().map(|(_, path)| path);
    let attributes = mapping.attributes.iter().map(|(_, path)| path);
    let single = mapping.serial.iter().chain(&mapping.id);
    let all = mapping
        .time
        .iter()
        .chain(single)
        .chain(fields)
        .chain(attributes);
    all.filter_map(|path| path.first())
}

/// The lines of a body that hold something, without their ends.
pub(crate) fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = body.split(|&b| b == b'\n');
    let bare = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    bare.filter(|line| !line.trim_ascii().is_empty())
}

/// The cells of a line.
pub(crate) fn cells(line: &[u8], separator: u8) -> ByteRecord {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(line.len().max(64))
        .from_reader(line);
    let mut cells = ByteRecord::new();
    // Reading from memory fails on nothing; no cells fit no columns.
    reader.read_byte_record(&mut cells).ok();
    cells
}
