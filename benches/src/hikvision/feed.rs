//! Reads `event_feed` as any program would, and remembers when each row could first be read.
//!
//! The reader has a connection of its own and goes on from the last `seq`. That a row is there
//! is known within a few hundredths of a second; what is told as a delay contains that.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::task::JoinHandle;

/// Pause between two questions when nothing new was there.
const PAUSE: Duration = Duration::from_millis(20);
/// Rows of one page.
const PAGE: i64 = 5_000;
/// One page. Times are compared as texts, with a blank in them as in the ledger.
const ROWS: &str = "SELECT seq, serial, COALESCE(vendor_code, ''), COALESCE(person, ''), \
                    COALESCE(CAST(local_time AS CHAR), ''), attributes FROM event_feed \
                    WHERE vendor = 'hikvision' AND seq > ? ORDER BY seq LIMIT ?";
const COUNT: &str = "SELECT COUNT(*) FROM event_feed WHERE vendor = 'hikvision'";

/// What a row of a device is recognised by, in the feed and in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    /// The device.
    pub(super) serial: String,
    /// The row's number in the device's log.
    pub(super) serial_no: u64,
    /// `major/minor`.
    pub(super) code: String,
    /// Who; empty where nobody is named.
    pub(super) person: String,
    /// The wall time, `YYYY-MM-DD HH:MM:SS`.
    pub(super) time: String,
}

/// A row as it was read.
#[derive(Debug, Clone)]
pub(super) struct Fed {
    pub(super) name: Name,
    pub(super) seen: Instant,
}

#[derive(Default)]
struct Inner {
    rows: Vec<Fed>,
    /// Where the latest row with this serial and number stands.
    places: HashMap<String, HashMap<u64, usize>>,
}

/// A row that a device made, and when.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) serial: String,
    pub(super) serial_no: u64,
    pub(super) at: Instant,
}

/// The feed, read without a pause until the value is dropped.
pub(super) struct Feed {
    inner: Arc<Mutex<Inner>>,
    task: JoinHandle<Result<()>>,
    url: String,
}

impl Feed {
    /// Connects and begins to read. The tables must be there.
    pub(super) async fn open(url: &str) -> Result<Self> {
        let mut connection = connect(url).await?;
        let inner = Arc::new(Mutex::new(Inner::default()));
        let told = Arc::clone(&inner);
        let task = tokio::spawn(async move {
            let mut at = i64::MIN;
            loop {
                let read = page(&mut connection, &mut at).await?;
                if read.is_empty() {
                    tokio::time::sleep(PAUSE).await;
                } else {
                    told.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take(read);
                }
            }
        });
        Ok(Self {
            inner,
            task,
            url: url.to_owned(),
        })
    }

    /// Rows so far.
    pub(super) fn count(&self) -> usize {
        self.inner().rows.len()
    }

    /// Rows so far of this device.
    pub(super) fn count_of(&self, serial: &str) -> usize {
        self.inner().places.get(serial).map_or(0, HashMap::len)
    }

    /// Every row so far, once it is certain that the database holds no other.
    pub(super) async fn rows(&self) -> Result<Vec<Fed>> {
        self.alive()?;
        let stored: i64 = sqlx::query(COUNT)
            .fetch_one(&mut connect(&self.url).await?)
            .await?
            .try_get_unchecked(0)?;
        for _ in 0..100 {
            let rows = self.inner().rows.clone();
            if i64::try_from(rows.len())? >= stored {
                return Ok(rows);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{stored} rows are in event_feed, and {} came after one another",
            self.count()
        )
    }

    /// When the row with this number could be read first.
    pub(super) fn seen(&self, serial: &str, serial_no: u64) -> Option<Instant> {
        let inner = self.inner();
        let place = *inner.places.get(serial)?.get(&serial_no)?;
        inner.rows.get(place).map(|row| row.seen)
    }

    /// When the last of these numbers could be read; `None` while one is missing.
    pub(super) fn all_seen(&self, serial: &str, first: u64, last: u64) -> Option<Instant> {
        let inner = self.inner();
        let places = inner.places.get(serial)?;
        let mut latest = None;
        for number in first..=last {
            let seen = inner.rows.get(*places.get(&number)?)?.seen;
            latest = latest.max(Some(seen));
        }
        latest
    }

    /// Waits until there are so many rows.
    pub(super) async fn until(&self, rows: usize, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while self.count() < rows {
            self.alive()?;
            ensure!(
                begin.elapsed() < limit,
                "{} of {rows} rows are in event_feed after {} s",
                self.count(),
                limit.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// How long each of these took from the device to the feed.
    pub(super) fn delays(&self, made: &[Made]) -> Delays {
        let mut delays = Delays::default();
        for one in made {
            match self.seen(&one.serial, one.serial_no) {
                Some(seen) => delays.times.push(seen.saturating_duration_since(one.at)),
                None => delays.unseen += 1,
            }
        }
        delays.times.sort_unstable();
        delays
    }

    /// The same, after waiting for those that are still on their way.
    pub(super) async fn delays_within(&self, made: &[Made], limit: Duration) -> Result<Delays> {
        let begin = Instant::now();
        loop {
            self.alive()?;
            let delays = self.delays(made);
            if delays.unseen == 0 || begin.elapsed() > limit {
                return Ok(delays);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn alive(&self) -> Result<()> {
        ensure!(!self.task.is_finished(), "event_feed can be read no longer");
        Ok(())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Inner {
    fn take(&mut self, read: Vec<Fed>) {
        for row in read {
            let place = self.rows.len();
            let numbers = self.places.entry(row.name.serial.clone()).or_default();
            numbers.insert(row.name.serial_no, place);
            self.rows.push(row);
        }
    }
}

async fn connect(url: &str) -> Result<MySqlConnection> {
    let options = MySqlConnectOptions::from_str(url)?.charset("utf8mb4");
    options
        .connect()
        .await
        .context("the database cannot be reached")
}

async fn page(connection: &mut MySqlConnection, at: &mut i64) -> Result<Vec<Fed>> {
    let rows = sqlx::query(ROWS)
        .bind(*at)
        .bind(PAGE)
        .fetch_all(connection)
        .await?;
    let seen = Instant::now();
    let mut read = Vec::with_capacity(rows.len());
    for row in rows {
        // The columns are utf8mb4_bin, which the driver takes for bytes when it checks types.
        let text = |at: usize| row.try_get_unchecked::<String, _>(at);
        *at = row.try_get_unchecked(0)?;
        let attributes: serde_json::Value = serde_json::from_str(&text(5)?)?;
        let number = attributes
            .get("serialNo")
            .and_then(serde_json::Value::as_u64);
        let time = text(4)?;
        read.push(Fed {
            name: Name {
                serial: text(1)?,
                serial_no: number.unwrap_or(0),
                code: text(2)?,
                person: text(3)?,
                time: time.get(..19).unwrap_or(&time).replace('T', " "),
            },
            seen,
        });
    }
    Ok(read)
}

/// Delays, sorted.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// Those that were not there when it was looked.
    pub(super) unseen: u64,
    times: Vec<Duration>,
}

impl Delays {
    /// From single ones.
    pub(super) fn of(mut times: Vec<Duration>, unseen: u64) -> Self {
        times.sort_unstable();
        Self { unseen, times }
    }

    /// How many were measured.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.times.len()).unwrap_or(u64::MAX)
    }

    /// The delay in seconds that so many per mille did not exceed; 1,000 is the worst.
    pub(super) fn per_mille(&self, per_mille: usize) -> f64 {
        let rank = (self.times.len() * per_mille).div_ceil(1_000);
        let time = self.times.get(rank.saturating_sub(1));
        time.map_or(0.0, Duration::as_secs_f64)
    }

    /// How many did not exceed this.
    pub(super) fn within(&self, limit: Duration) -> u64 {
        let within = self.times.iter().filter(|time| **time <= limit).count();
        u64::try_from(within).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks_and_the_last_one_is_the_worst() {
        let delays = Delays::of((1..=200).rev().map(Duration::from_secs).collect(), 3);
        let ranks = [500, 990, 1_000].map(|rank| delays.per_mille(rank));
        assert_eq!(ranks, [100.0, 198.0, 200.0]);
        assert_eq!(delays.within(Duration::from_secs(60)), 60);
        assert_eq!((delays.count(), delays.unseen), (200, 3));
        assert_eq!(Delays::default().per_mille(990), 0.0);
    }
}
