//! Reading the feed of events for its counts: how many came, from which terminal, in which
//! quarter hour.
//!
//! A row is looked at once, in the order of `seq`, and only at its terminal, its kind and its
//! times. Who punched is not even asked for; how many people there are is counted by the database.
//! A row that makes no sense counts for nothing and
//! stops nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::looks::store::{Failed, Reader, Texts, moment};

/// Rows of one reading: few enough that they need no memory worth naming.
pub(super) const ROWS: usize = 1_000;
/// Older than so many days an event is nobody's pattern any more.
const PATTERN_DAYS: i64 = 84;
/// Longest serial that is kept, in characters.
const SERIAL_CHARACTERS: usize = 100;
/// Longest time for one question.
const WITHIN: Duration = Duration::from_secs(5);

const ROWS_SQLITE: &str = "SELECT CAST(seq AS TEXT), tenant, serial, kind, occurred_at, \
     received_at, timeliness, clock, time_zone FROM event_feed \
     WHERE seq > ? ORDER BY seq LIMIT 1000";
const ROWS_MYSQL: &str = "SELECT CAST(seq AS CHAR), tenant, serial, kind, \
     CAST(occurred_at AS CHAR), CAST(received_at AS CHAR), timeliness, clock, time_zone \
     FROM event_feed WHERE seq > ? ORDER BY seq LIMIT 1000";
const FIRST_SQLITE: &str = "SELECT CAST(seq AS TEXT), received_at FROM event_feed \
     WHERE seq > ? ORDER BY seq LIMIT 1";
const FIRST_MYSQL: &str = "SELECT CAST(seq AS CHAR), CAST(received_at AS CHAR) FROM event_feed \
     WHERE seq > ? ORDER BY seq LIMIT 1";
const PEOPLE: &str = "SELECT tenant, CAST(COUNT(DISTINCT person) AS CHAR) FROM event_feed \
     WHERE seq > ? AND kind = 'punch' GROUP BY tenant";
const LAST: &str = "SELECT CAST(MAX(seq) AS CHAR) FROM event_feed";

/// What one terminal did in a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// The zone of its clock.
    pub zone: String,
    /// Its newest event: when it came, or when it happened if it came more than a day late.
    pub last: Timestamp,
    /// Events by local day and quarter hour; those of which the time is known.
    pub quarters: BTreeMap<Date, BTreeMap<usize, u32>>,
}

/// What came between two numbers of the feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The highest number in it.
    pub upto: i64,
    /// Rows read, of other tenants too.
    pub rows: usize,
    /// By serial.
    pub terminals: BTreeMap<String, Fresh>,
    /// Punches by local day.
    pub punches: BTreeMap<Date, u64>,
}

impl Batch {
    /// Counts rows of that tenant.
    pub(super) fn of(tenant: &str, rows: &[Texts], zones: &mut Zones) -> Self {
        let mut batch = Self {
            rows: rows.len(),
            ..Self::default()
        };
        for row in rows {
            batch.take(tenant, row, zones);
        }
        batch
    }

    fn take(&mut self, tenant: &str, row: &Texts, zones: &mut Zones) -> Option<()> {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        self.upto = self.upto.max(text(0)?.parse().ok()?);
        if text(1)? != tenant {
            return None;
        }
        let (serial, kind) = (text(2)?, text(3)?);
        let received = moment(text(5)?)?;
        let (historic, suspect) = (text(6) == Some("historic"), text(7) == Some("suspect"));
        let happened = text(4).and_then(moment).filter(|_| !suspect);
        let name = text(8).unwrap_or("UTC");
        let zone = zones.get(name);
        let local = zone.to_datetime(happened.unwrap_or(received));
        if kind == "punch" {
            *self.punches.entry(local.date()).or_default() += 1;
        }
        if kind != "punch" && kind != "access" {
            return None;
        }
        let last = happened.filter(|_| historic).unwrap_or(received);
        let serial: String = serial.chars().take(SERIAL_CHARACTERS).collect();
        let fresh = self.terminals.entry(serial).or_insert_with(|| Fresh {
            zone: name.to_owned(),
            last,
            quarters: BTreeMap::new(),
        });
        fresh.last = fresh.last.max(last);
        let age = received.duration_since(happened?);
        if age < SignedDuration::from_hours(-24)
            || age > SignedDuration::from_hours(24 * PATTERN_DAYS)
        {
            return None;
        }
        let quarter = usize::from(local.hour().unsigned_abs()) * 4
            + usize::from(local.minute().unsigned_abs()) / 15;
        let day = fresh.quarters.entry(local.date()).or_default();
        *day.entry(quarter).or_default() += 1;
        Some(())
    }
}

/// Time zones by name, each looked up once.
#[derive(Debug, Default)]
pub(super) struct Zones(HashMap<String, TimeZone>);

impl Zones {
    /// Names that a database may make up are not kept beyond this.
    const MOST: usize = 100;

    /// The zone; UTC for a name that nobody knows.
    pub(super) fn get(&mut self, name: &str) -> TimeZone {
        if let Some(zone) = self.0.get(name) {
            return zone.clone();
        }
        let zone = TimeZone::get(name).unwrap_or(TimeZone::UTC);
        if self.0.len() < Self::MOST {
            self.0.insert(name.to_owned(), zone.clone());
        }
        zone
    }
}

/// Up to [`ROWS`] rows above that number.
///
/// # Errors
/// [`Failed`].
pub(super) async fn rows_after(reader: &mut Reader, seq: i64) -> Result<Vec<Texts>, Failed> {
    let sql = match reader {
        Reader::Mysql(_) => ROWS_MYSQL,
        Reader::Sqlite(_) => ROWS_SQLITE,
    };
    reader.ask_after(sql, seq, WITHIN).await
}

/// The highest number there is; 0 in an empty feed.
///
/// # Errors
/// [`Failed`].
pub(super) async fn last(reader: &mut Reader) -> Result<i64, Failed> {
    let rows = reader.ask(LAST, WITHIN).await?;
    let text = rows.first().and_then(|row| row.first());
    let text = text.and_then(Option::as_deref);
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// The number after which everything was received at `since` or later, about. Numbers rise with
/// time, so halving finds it in some fifty small questions instead of reading years.
///
/// # Errors
/// [`Failed`].
pub(super) async fn start(reader: &mut Reader, since: Timestamp) -> Result<i64, Failed> {
    let sql = match reader {
        Reader::Mysql(_) => FIRST_MYSQL,
        Reader::Sqlite(_) => FIRST_SQLITE,
    };
    let (mut low, mut high) = (0, last(reader).await?);
    while low < high {
        let middle = low + (high - low) / 2;
        let rows = reader.ask_after(sql, middle, WITHIN).await?;
        match rows.first().and_then(number_and_time) {
            Some((seq, received)) if received < since => low = seq,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// How many people punched since then, at that tenant. They are counted by the database; nobody's
/// name comes here.
///
/// # Errors
/// [`Failed`]; the connection must not be used again then.
pub(super) async fn people(
    reader: &mut Reader,
    tenant: &str,
    since: Timestamp,
) -> Result<f64, Failed> {
    let seq = start(reader, since).await?;
    let rows = reader.ask_after(PEOPLE, seq, WITHIN).await?;
    let own = rows
        .iter()
        .find(|row| row.first().is_some_and(|it| it.as_deref() == Some(tenant)));
    let count = own.and_then(|row| row.get(1)?.as_deref()?.parse().ok());
    Ok(count.unwrap_or_default())
}

fn number_and_time(row: &Texts) -> Option<(i64, Timestamp)> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref);
    Some((text(0)?.parse().ok()?, moment(text(1)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, tenant: &str, kind: &str, happened: Option<&str>, received: &str) -> Texts {
        let text = |text: &str| Some(text.to_owned());
        let mut row = vec![
            text(&seq.to_string()),
            text(tenant),
            text("ABC1"),
            text(kind),
        ];
        row.extend([
            happened.map(str::to_owned),
            text(received),
            text("live"),
            text("ok"),
        ]);
        row.push(text("America/Mexico_City"));
        row
    }

    #[test]
    fn events_are_counted_by_local_quarter_hour_and_nothing_else_of_them_is_kept() {
        let rows = [
            row(
                7,
                "acme",
                "punch",
                Some("2026-06-02 15:01:00.000"),
                "2026-06-02 15:01:02.000",
            ),
            row(
                8,
                "acme",
                "access",
                Some("2026-06-02 15:14:59.000"),
                "2026-06-02 15:15:02.000",
            ),
            row(
                9,
                "acme",
                "alarm",
                Some("2026-06-02 15:14:59.000"),
                "2026-06-02 15:15:03.000",
            ),
            row(
                11,
                "other",
                "punch",
                Some("2026-06-02 15:14:59.000"),
                "2026-06-02 15:15:04.000",
            ),
        ];
        let batch = Batch::of("acme", &rows, &mut Zones::default());
        let day: Date = "2026-06-02".parse().unwrap();
        assert_eq!((batch.upto, batch.rows), (11, 4));
        assert_eq!(batch.punches, BTreeMap::from([(day, 1)]));
        let fresh = &batch.terminals["ABC1"];
        assert_eq!(fresh.last, moment("2026-06-02 15:15:02").unwrap());
        assert_eq!(
            fresh.quarters,
            BTreeMap::from([(day, BTreeMap::from([(36, 2)]))])
        );
    }

    #[test]
    fn a_terminal_that_replays_old_history_has_not_spoken_now() {
        let mut old = row(
            1,
            "acme",
            "punch",
            Some("2026-01-02 15:00:00"),
            "2026-06-02 15:00:00",
        );
        old[6] = Some("historic".to_owned());
        let batch = Batch::of("acme", &[old.clone()], &mut Zones::default());
        let fresh = &batch.terminals["ABC1"];
        assert_eq!(fresh.last, moment("2026-01-02 15:00:00").unwrap());
        assert!(fresh.quarters.is_empty());
        // A clock in doubt tells no time, but its terminal speaks.
        old[7] = Some("suspect".to_owned());
        let batch = Batch::of("acme", &[old], &mut Zones::default());
        assert_eq!(
            batch.terminals["ABC1"].last,
            moment("2026-06-02 15:00:00").unwrap()
        );
    }

    #[test]
    fn rows_that_make_no_sense_count_for_nothing_and_stop_nothing() {
        let mut bad = row(5, "acme", "punch", Some("x"), "2026-06-02 15:00:00");
        let good = row(
            6,
            "acme",
            "punch",
            Some("2026-06-02 15:00:00"),
            "2026-06-02 15:00:01",
        );
        let batch = Batch::of("acme", &[bad.clone(), good.clone()], &mut Zones::default());
        assert_eq!(batch.upto, 6);
        bad[5] = None;
        let short = vec![Some("9".to_owned())];
        let batch = Batch::of("acme", &[bad, short, vec![], good], &mut Zones::default());
        assert_eq!((batch.upto, batch.terminals.len()), (9, 1));
    }
}
