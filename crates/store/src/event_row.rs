//! A row of the table `event`: its columns, their order, and the INSERT that carries them.
//!
//! One place, because the writer and the opening of an epoch must never disagree about the
//! order. This is the hot path of the store: it makes no statement text twice for the shapes
//! that recur, and writes time texts without a calendar library.

use std::sync::OnceLock;

use event::{Device, Event, EventUid, Millis};
use sqlx::SqlStr;

use crate::Value;
use crate::engine::Dialect;

/// The columns of `event` in the order in which [`EventRow::push`] gives their values.
pub(crate) const EVENT_COLUMNS: &str = "seq, device_id, ident, event_uid, kind, person, card, \
     local_time, time_zone, occurred_at, received_at, status_code, verify_code, vendor_code, \
     direction, door, route, timeliness, clock, attributes, raw";

/// How many columns that are, and so how many placeholders a row takes.
pub(crate) const EVENT_COLUMN_COUNT: usize = 21;

/// Statement shapes are kept for 1, 2, 4 … 2¹⁵ rows.
const KEPT_SHAPES: usize = 16;

/// One event beside everything that its row needs and that has to be computed.
pub(crate) struct EventRow<'a> {
    seq: i64,
    device: &'a Device,
    event: &'a Event,
    uid: [u8; 32],
    occurred: Option<String>,
    received: String,
}

impl<'a> EventRow<'a> {
    /// Computes the event's name for the world and its time texts.
    pub(crate) fn new(seq: i64, device: &'a Device, event: &'a Event) -> Self {
        Self {
            seq,
            device,
            event,
            uid: EventUid::of(device.id, event.ident).0,
            occurred: event.occurred_at.map(time_text),
            received: time_text(event.received_at),
        }
    }

    /// About how many bytes the row takes on the wire: its long parts, and an allowance that
    /// covers the short ones.
    pub(crate) fn size(&self) -> usize {
        const SHORT_PARTS: usize = 512;
        let attributes = self.event.attributes.as_deref().map_or(0, str::len);
        SHORT_PARTS + attributes + self.event.raw.len()
    }

    /// Adds the row's values in the order of [`EVENT_COLUMNS`].
    pub(crate) fn push<'v>(&'v self, values: &mut Vec<Value<'v>>) {
        let event = self.event;
        values.extend([
            Value::Int(self.seq),
            Value::Bytes(&self.device.id.0),
            Value::Bytes(&event.ident.0),
            Value::Bytes(&self.uid),
            Value::Text(event.kind.as_str()),
            Value::opt(event.person.as_deref()),
            Value::opt(event.card.as_deref()),
            Value::opt(event.local_time.as_deref()),
            Value::Text(self.device.zone.name()),
            Value::opt(self.occurred.as_deref()),
            Value::Text(&self.received),
            Value::opt(event.status_code.as_deref()),
            Value::opt(event.verify_code.as_deref()),
            Value::opt(event.vendor_code.as_deref()),
            Value::opt(event.direction.map(event::Direction::as_str)),
            Value::opt(event.door.as_deref()),
            Value::Text(event.route.as_str()),
            Value::Text(event.timeliness.as_str()),
            Value::Text(event.clock.as_str()),
            Value::opt(event.attributes.as_deref()),
            Value::Bytes(&event.raw),
        ]);
    }
}

/// The INSERT of that many rows that leaves an event which is there already as it is.
///
/// Powers of two are made once and kept; other counts are made anew, because keeping every
/// count up to a few thousand would hold tens of megabytes.
pub(crate) fn insert_sql(rows: usize, dialect: Dialect) -> SqlStr {
    static MYSQL: [OnceLock<SqlStr>; KEPT_SHAPES] = [const { OnceLock::new() }; KEPT_SHAPES];
    static SQLITE: [OnceLock<SqlStr>; KEPT_SHAPES] = [const { OnceLock::new() }; KEPT_SHAPES];
    let kept = match dialect {
        Dialect::Mysql => &MYSQL,
        Dialect::Sqlite => &SQLITE,
    };
    let place = rows.is_power_of_two().then(|| rows.ilog2());
    let place = place.and_then(|log| kept.get(usize::try_from(log).ok()?));
    match place {
        Some(place) => place.get_or_init(|| build_sql(rows, dialect)).clone(),
        None => build_sql(rows, dialect),
    }
}

fn build_sql(rows: usize, dialect: Dialect) -> SqlStr {
    let list = crate::transaction::placeholders(rows, EVENT_COLUMN_COUNT);
    let end = dialect.keep_existing("device_id, ident");
    crate::built(format!(
        "INSERT INTO event ({EVENT_COLUMNS}) VALUES {list} {end}"
    ))
}

/// The same text as [`Millis::text`], several times faster.
fn time_text(at: Millis) -> String {
    const DAY: i64 = 86_400_000;
    // Days from the civil calendar backwards, March-based (Howard Hinnant's public
    // algorithm), good for the years 1970 to 9999; the rest takes the long way.
    if !(0..253_402_207_200_000).contains(&at.0) {
        return at.text();
    }
    let (days, time) = (at.0 / DAY, at.0 % DAY);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);

    let mut text = String::with_capacity(23);
    two_digits(&mut text, year / 100);
    two_digits(&mut text, year % 100);
    for (mark, value) in [
        ('-', month),
        ('-', day),
        (' ', time / 3_600_000),
        (':', time / 60_000 % 60),
        (':', time / 1000 % 60),
    ] {
        text.push(mark);
        two_digits(&mut text, value);
    }
    text.push('.');
    text.push(digit(time / 100 % 10));
    two_digits(&mut text, time % 100);
    text
}

fn two_digits(text: &mut String, value: i64) {
    text.push(digit(value / 10 % 10));
    text.push(digit(value % 10));
}

fn digit(value: i64) -> char {
    u32::try_from(value)
        .ok()
        .and_then(|value| char::from_digit(value, 10))
        .unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_columns_are_as_many_as_the_placeholders() {
        assert_eq!(EVENT_COLUMNS.split(',').count(), EVENT_COLUMN_COUNT);
        for rows in [1, 3, 64] {
            let sql = insert_sql(rows, Dialect::Sqlite);
            assert_eq!(sql.as_str().matches('?').count(), rows * EVENT_COLUMN_COUNT);
        }
    }

    proptest! {
        #[test]
        fn the_fast_time_text_is_the_slow_one(at in -70_000_000_000_000i64..260_000_000_000_000) {
            prop_assert_eq!(time_text(Millis(at)), Millis(at).text());
        }
    }
}
