//! One transaction: how a batch of submissions becomes rows, each event once.
//!
//! The order of steps is the promise:
//! 1. the numbers of the feed are taken from `feed_head`, whose lock is held until COMMIT, so
//!    that commit order is `seq` order and no other writer can come between;
//! 2. events are numbered and written in the order in which they came, existing ones left as they
//!    are;
//! 3. which rows are new is read back by the numbers just taken: the driver counts matched
//!    rows, so affected rows do not tell;
//! 4. an event whose key was there is compared with the stored one: the same is a duplicate,
//!    another status at the same second or another person goes raw to quarantine;
//! 5. quarantine and cursors move in the same transaction.
//!
//! An error before COMMIT is a failure. An error *at* COMMIT is not known to be one: the
//! caller keeps the same batch, and [`Attempts`] remembers which numbers it took, so that rows
//! which did get in the first time are counted as new, not as duplicates.

use std::collections::HashMap;
use std::ops::Range;

use event::{DeviceId, Event, Ident, Kind, Quarantined, Reason, Route, Text};

use crate::device_row::upsert_devices;
use crate::event_row::{EventRow, insert_sql};
use crate::retention::RETIRED;
use crate::{
    AnyEngine, Dialect, Failure, Receipt, Refused, Remedy, Submission, Trouble, Value, built, fixed,
};

/// Most rows in one statement: with 21 values a row it stays below both engines' limits on
/// placeholders (65,535 and 32,766).
const ROWS_PER_STATEMENT: usize = 512;
/// Most bytes in one statement, so that a server with `max_allowed_packet=1M` takes it.
const BYTES_PER_STATEMENT: usize = 512 * 1024;

/// The ranges of numbers that earlier tries of the same batch took, whose COMMIT was not
/// answered.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Vec<Range<i64>>);

impl Attempts {
    fn made(&self, seq: i64) -> bool {
        self.0.iter().any(|range| range.contains(&seq))
    }

    /// True when an earlier try is still unknown.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.is_empty()
    }
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Committed {
    /// One answer for each submission; a refusal where its fence was out of date, or a cursor
    /// was not where it was expected.
    pub(crate) receipts: Vec<Result<Receipt, Refused>>,
    /// The next free number.
    pub(crate) next_seq: i64,
}

/// How a transaction went wrong.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Rolled back or never committed: nothing of it is in the store.
    NotCommitted(Failure),
    /// The answer to COMMIT was lost: all of it is in the store, or nothing.
    Unknown(Failure),
    /// The store is behind the numbers it has given out before.
    WentBack,
    /// The numbers go up to this one, which was not reserved: nothing of it is in the store.
    NotReserved(i64),
}

/// Which devices' rows this connection has written already.
pub(crate) type KnownDevices = HashMap<DeviceId, event::SharedDevice>;

/// Commits the batch with numbers inside of `allowed`; `careful` is row by row, and refused rows are
/// set aside.
pub(crate) async fn commit(
    engine: &mut AnyEngine,
    batch: &[Submission],
    attempts: &mut Attempts,
    known: &mut KnownDevices,
    allowed: Range<i64>,
    careful: bool,
) -> Result<Committed, Broken> {
    let work = Work {
        engine,
        batch,
        attempts,
        known,
        allowed,
        careful,
    };
    work.run().await
}

struct Work<'w> {
    engine: &'w mut AnyEngine,
    batch: &'w [Submission],
    attempts: &'w mut Attempts,
    known: &'w mut KnownDevices,
    allowed: Range<i64>,
    careful: bool,
}

/// One event of the batch with the submission it came in.
#[derive(Clone, Copy)]
struct Entry<'b> {
    submission: usize,
    event: &'b Event,
    /// The number that it has in the order in which events came.
    came: i64,
}

/// What an event is compared with when its key is taken.
struct Stored {
    seq: i64,
    route: String,
    person: Option<String>,
    local_time: Option<String>,
    status: Option<String>,
    verify: Option<String>,
    /// Who it was is known no more.
    retired: bool,
}

impl Stored {
    fn of(seq: i64, event: &Event) -> Self {
        let own = |text: &Option<Text>| text.as_ref().map(|t| t.as_str().to_owned());
        Self {
            seq,
            route: event.route.as_str().to_owned(),
            person: own(&event.person),
            local_time: own(&event.local_time),
            status: own(&event.status_code),
            verify: own(&event.verify_code),
            retired: false,
        }
    }

    /// Why `event` may not be folded into this one; `None` when it is the same.
    fn differs(&self, event: &Event) -> Option<Reason> {
        let same = |mine: &Option<String>, its: &Option<Text>| mine.as_deref() == its.as_deref();
        let moment = moment(self.local_time.as_deref());
        let same_time = moment == self::moment(event.local_time.as_deref());
        let same_person = self.retired || same(&self.person, &event.person);
        if !same_person || !same_time {
            return Some(Reason::Conflict);
        }
        let codes =
            same(&self.status, &event.status_code) && same(&self.verify, &event.verify_code);
        let own_route = self.route == event.route.as_str();
        (event.kind == Kind::Punch && own_route && !codes).then_some(Reason::SameSecond)
    }
}

/// The wall time to the second, however it is written: a device says one moment with an offset
/// on its stream and without one in its search.
fn moment(local_time: Option<&str>) -> Option<String> {
    local_time.map(|text| text.get(..19).unwrap_or(text).replace('T', " "))
}

type Key = (DeviceId, Ident);

impl<'w> Work<'w> {
    async fn run(mut self) -> Result<Committed, Broken> {
        self.engine.begin().await.map_err(Broken::NotCommitted)?;
        let done = match self.inside().await {
            Ok(done) => done,
            Err(broken) => {
                // A connection that cannot even roll back is dropped by the caller, and the
                // server rolls back by itself.
                if let Err(failure) = self.engine.rollback().await {
                    tracing::debug!(%failure, "rollback failed");
                }
                return Err(broken);
            }
        };
        let range = done.1;
        match self.engine.commit().await {
            Ok(()) => Ok(done.0),
            Err(failure) if failure.remedy == Remedy::TryAgain => {
                Err(Broken::NotCommitted(failure))
            }
            Err(failure) => {
                self.attempts.0.push(range);
                Err(Broken::Unknown(failure))
            }
        }
    }

    async fn inside(&mut self) -> Result<(Committed, Range<i64>), Broken> {
        let mut entries: Vec<Entry<'w>> = Vec::new();
        let count = self.batch.iter().map(|s| s.events.len()).sum::<usize>();
        let taken = i64::try_from(count).unwrap_or(i64::MAX);
        let first = self
            .engine
            .take_numbers(taken)
            .await
            .map_err(Broken::NotCommitted)?;
        if first < self.allowed.start {
            return Err(Broken::WentBack);
        }
        let range = first..first + taken;
        if range.end > self.allowed.end {
            return Err(Broken::NotReserved(range.end));
        }
        let mut receipts = self.check_claims().await.map_err(Broken::NotCommitted)?;
        let mut numbers = range.clone();
        for (submission, brought) in self.batch.iter().enumerate() {
            if receipts.get(submission).is_some_and(Result::is_ok) {
                let numbered = brought.events.iter().zip(&mut numbers);
                entries.extend(numbered.map(|(event, came)| Entry {
                    submission,
                    event,
                    came,
                }));
            }
        }
        self.write_all(entries, &range, &mut receipts)
            .await
            .map_err(Broken::NotCommitted)?;
        Ok((
            Committed {
                receipts,
                next_seq: range.end,
            },
            range,
        ))
    }

    async fn write_all(
        &mut self,
        mut entries: Vec<Entry<'w>>,
        range: &Range<i64>,
        receipts: &mut [Result<Receipt, Refused>],
    ) -> Result<(), Failure> {
        self.write_devices().await?;
        let batch = self.batch;
        let key = |entry: &Entry<'_>| -> Key {
            let device = batch
                .get(entry.submission)
                .map_or(DeviceId([0; 16]), |s| s.device.id);
            (device, entry.event.ident)
        };
        entries.sort_by_key(key);
        let mut stored: HashMap<Key, Stored> = HashMap::new();
        let (mut firsts, repeats) = split_repeats(entries, key);
        // Written in this order, a table that is ordered by its numbers only grows at its end.
        firsts.sort_unstable_by_key(|entry| entry.came);
        let mut aside: Vec<(usize, Quarantined)> = Vec::new();
        let fresh = self.insert(&firsts, range, &mut aside).await?;
        let mut old: Vec<_> = firsts
            .iter()
            .filter(|e| !fresh.contains_key(&key(e)))
            .copied()
            .collect();
        if !old.is_empty() {
            // By device again, so that one question serves all that a device repeats.
            old.sort_unstable_by_key(key);
            stored = self.read_stored(&old, key).await?;
        }
        for entry in &firsts {
            let Some(Ok(receipt)) = receipts.get_mut(entry.submission) else {
                continue;
            };
            if let Some(&seq) = fresh.get(&key(entry)) {
                receipt.count_new(seq);
                stored.insert(key(entry), Stored::of(seq, entry.event));
            } else {
                self.fold(entry, stored.get(&key(entry)), receipt, &mut aside);
            }
        }
        for entry in &repeats {
            let Some(Ok(receipt)) = receipts.get_mut(entry.submission) else {
                continue;
            };
            match stored
                .get(&key(entry))
                .and_then(|stored| stored.differs(entry.event))
            {
                Some(reason) => aside.push((entry.submission, set_aside(entry.event, reason))),
                None => receipt.duplicate += 1,
            }
        }
        self.write_aside(aside, receipts).await?;
        self.write_cursors(receipts).await
    }

    /// Decides about an event whose key was in the store before this transaction.
    fn fold(
        &self,
        entry: &Entry<'_>,
        stored: Option<&Stored>,
        receipt: &mut Receipt,
        aside: &mut Vec<(usize, Quarantined)>,
    ) {
        // A row that is neither new nor there was set aside by the careful way.
        let Some(stored) = stored else { return };
        if self.attempts.made(stored.seq) {
            receipt.count_new(stored.seq);
        } else if let Some(reason) = stored.differs(entry.event) {
            aside.push((entry.submission, set_aside(entry.event, reason)));
        } else {
            receipt.duplicate += 1;
        }
    }

    /// Answers an empty receipt for each submission that stands on what is still so: its lease,
    /// if it needs one, is the newest, and its cursor, if it names one, was not moved by others.
    async fn check_claims(&mut self) -> Result<Vec<Result<Receipt, Refused>>, Failure> {
        let mut receipts = Vec::with_capacity(self.batch.len());
        for submission in self.batch {
            let answer = if !self.holds_lease(submission).await? {
                Err(Refused::Fenced)
            } else if !self.expects_rightly(submission).await? {
                Err(Refused::Moved)
            } else {
                Ok(Receipt::default())
            };
            receipts.push(answer);
        }
        Ok(receipts)
    }

    async fn holds_lease(&mut self, submission: &Submission) -> Result<bool, Failure> {
        let Some(fence) = submission.fence else {
            return Ok(true);
        };
        let sql = match self.engine.dialect() {
            Dialect::Mysql => "SELECT fence FROM lease WHERE device_id = ? FOR UPDATE",
            Dialect::Sqlite => "SELECT fence FROM lease WHERE device_id = ?",
        };
        let values = [Value::Bytes(&submission.device.id.0)];
        let rows = self.engine.fetch(fixed(sql), &values).await?;
        Ok(rows.first().map(|row| row.int(0)).transpose()? == Some(fence.number))
    }

    /// The cursor must be where the submission was made from. Where it is going to be is right
    /// as well: then an earlier try of this batch was committed and its answer lost.
    async fn expects_rightly(&mut self, submission: &Submission) -> Result<bool, Failure> {
        let Some((name, expected)) = &submission.expects else {
            return Ok(true);
        };
        // The lock on the head of the feed, which is held by now, keeps other writers out.
        let sql = "SELECT value FROM device_cursor WHERE device_id = ? AND name = ?";
        let values = [Value::Bytes(&submission.device.id.0), Value::Text(name)];
        let rows = self.engine.fetch(fixed(sql), &values).await?;
        let stored = rows.first().map(|row| row.text(0)).transpose()?;
        let moves = submission.cursors.iter().find(|(moved, _)| moved == name);
        let next = moves.map(|(_, value)| value.as_str());
        let as_expected = stored.as_deref() == expected.as_deref();
        Ok(as_expected || (stored.is_some() && stored.as_deref() == next))
    }

    async fn write_devices(&mut self) -> Result<(), Failure> {
        let mut unknown: Vec<&event::SharedDevice> = Vec::new();
        for submission in self.batch {
            let device = &submission.device;
            let known = self
                .known
                .get(&device.id)
                .is_some_and(|seen| **seen == **device);
            if !known && !unknown.iter().any(|other| other.id == device.id) {
                unknown.push(device);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let rows: Vec<&event::Device> = unknown.iter().map(|device| &***device).collect();
        upsert_devices(self.engine, &rows).await?;
        // Should this transaction fail, its connection goes, and this memory with it.
        self.known.extend(
            unknown
                .into_iter()
                .map(|device| (device.id, device.clone())),
        );
        Ok(())
    }

    /// Inserts the events and answers which of them are new, with their numbers.
    async fn insert(
        &mut self,
        firsts: &[Entry<'w>],
        range: &Range<i64>,
        aside: &mut Vec<(usize, Quarantined)>,
    ) -> Result<HashMap<Key, i64>, Failure> {
        let mut numbers = Vec::with_capacity(firsts.len());
        let mut rows = Vec::with_capacity(firsts.len());
        for entry in firsts {
            let Some(submission) = self.batch.get(entry.submission) else {
                continue;
            };
            numbers.push(((submission.device.id, entry.event.ident), entry.came));
            rows.push(EventRow::new(entry.came, &submission.device, entry.event));
        }
        if self.careful {
            self.insert_one_by_one(firsts, &rows, aside).await?;
        } else {
            for chunk in chunks(&rows) {
                insert_rows(self.engine, chunk).await?;
            }
        }
        let fresh = self.fresh_numbers(range, rows.len()).await?;
        let numbers = numbers.into_iter();
        Ok(match fresh {
            None => numbers.collect(),
            Some(seqs) => numbers
                .filter(|(_, seq)| seqs.binary_search(seq).is_ok())
                .collect(),
        })
    }

    async fn insert_one_by_one(
        &mut self,
        firsts: &[Entry<'w>],
        rows: &[EventRow<'_>],
        aside: &mut Vec<(usize, Quarantined)>,
    ) -> Result<(), Failure> {
        for (row, entry) in rows.iter().zip(firsts) {
            match insert_rows(self.engine, std::slice::from_ref(row)).await {
                Err(failure) if failure.remedy == Remedy::SetRowAside => {
                    let mut refused = set_aside(entry.event, Reason::StoreRefused);
                    refused.detail = failure.text.chars().take(300).collect();
                    aside.push((entry.submission, refused));
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The numbers of this transaction that are in the table; `None` when all of them are.
    async fn fresh_numbers(
        &mut self,
        range: &Range<i64>,
        rows: usize,
    ) -> Result<Option<Vec<i64>>, Failure> {
        if rows == 0 {
            return Ok(None);
        }
        let bounds = [Value::Int(range.start), Value::Int(range.end)];
        let sql = "SELECT COUNT(*) FROM event WHERE seq >= ? AND seq < ?";
        let counted = self.engine.fetch(fixed(sql), &bounds).await?;
        let count = counted.first().map_or(Ok(0), |row| row.int(0))?;
        if usize::try_from(count).is_ok_and(|count| count == rows) {
            return Ok(None);
        }
        let sql = "SELECT seq FROM event WHERE seq >= ? AND seq < ? ORDER BY seq";
        let found = self.engine.fetch(fixed(sql), &bounds).await?;
        found
            .iter()
            .map(|row| row.int(0))
            .collect::<Result<Vec<_>, _>>()
            .map(Some)
    }

    /// Reads what stands under the keys of these events (sorted by key).
    async fn read_stored(
        &mut self,
        old: &[Entry<'w>],
        key: impl Fn(&Entry<'_>) -> Key,
    ) -> Result<HashMap<Key, Stored>, Failure> {
        let mut stored = HashMap::with_capacity(old.len());
        for of_device in old.chunk_by(|a, b| key(a).0 == key(b).0) {
            for chunk in of_device.chunks(64) {
                let Some(first) = chunk.first() else { continue };
                let (device, _) = key(first);
                // A few shapes of the statement serve all sizes: the last key is repeated.
                let places = if chunk.len() == 1 {
                    1
                } else if chunk.len() <= 8 {
                    8
                } else {
                    64
                };
                let last = chunk.last().unwrap_or(first);
                let mut values = vec![Value::Bytes(&device.0)];
                let padded = chunk.iter().chain(std::iter::repeat(last)).take(places);
                values.extend(padded.map(|entry| Value::Bytes(&entry.event.ident.0)));
                let marks = vec!["?"; places].join(",");
                let sql = format!(
                    "SELECT ident, seq, route, person, local_time, status_code, verify_code, \
                     timeliness FROM event WHERE device_id = ? AND ident IN ({marks})"
                );
                for row in self.engine.fetch(built(sql), &values).await? {
                    let ident = Ident::from_slice(row.bytes(0)?)
                        .ok_or_else(|| Failure::schema("event.ident is not 16 bytes"))?;
                    let found = Stored {
                        seq: row.int(1)?,
                        route: row.text(2)?,
                        person: row.opt_text(3)?,
                        local_time: row.opt_text(4)?,
                        status: row.opt_text(5)?,
                        verify: row.opt_text(6)?,
                        retired: row.text(7)? == RETIRED,
                    };
                    stored.insert((device, ident), found);
                }
            }
        }
        Ok(stored)
    }

    /// Writes what is set aside, sorted by its key, once each.
    async fn write_aside(
        &mut self,
        by_comparison: Vec<(usize, Quarantined)>,
        receipts: &mut [Result<Receipt, Refused>],
    ) -> Result<(), Failure> {
        for (at, record) in &by_comparison {
            if let Some(Ok(receipt)) = receipts.get_mut(*at) {
                receipt.by_store.count(record.reason);
            }
        }
        let batch = self.batch;
        let brought = batch
            .iter()
            .enumerate()
            .flat_map(|(at, s)| s.quarantined.iter().map(move |q| (at, q)));
        let mut rows = Vec::new();
        for (at, record) in brought.chain(by_comparison.iter().map(|(at, q)| (*at, q))) {
            let Some(Ok(receipt)) = receipts.get_mut(at) else {
                continue;
            };
            receipt.quarantined += 1;
            let Some(submission) = batch.get(at) else {
                continue;
            };
            let hash = blake3::hash(&record.raw);
            rows.push((submission.device.id, hash, record));
        }
        rows.sort_by(|a, b| (a.0, a.1.as_bytes()).cmp(&(b.0, b.1.as_bytes())));
        let update = match self.engine.dialect() {
            Dialect::Mysql => "ON DUPLICATE KEY UPDATE seen = seen + 1, last_at = VALUES(last_at)",
            Dialect::Sqlite => {
                "ON CONFLICT (device_id, raw_hash) DO UPDATE SET seen = seen + 1, last_at = excluded.last_at"
            }
        };
        let sql: std::sync::Arc<str> = format!(
            "INSERT INTO quarantine (device_id, raw_hash, reason, detail, source, route, first_at, \
             last_at, seen, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?) {update}"
        )
        .into();
        for (device, hash, record) in rows {
            let at = record.received_at.text();
            let detail: String = record.detail.chars().take(450).collect();
            let source: String = record.source.chars().take(60).collect();
            let values = [
                Value::Bytes(&device.0),
                Value::Bytes(hash.as_bytes().split_at(16).0),
                Value::Text(record.reason.as_str()),
                Value::Text(&detail),
                Value::Text(&source),
                Value::Text(record.route.as_str()),
                Value::Text(&at),
                Value::Text(&at),
                Value::Bytes(&record.raw),
            ];
            self.engine
                .execute(built(std::sync::Arc::clone(&sql)), &values)
                .await?;
        }
        Ok(())
    }

    async fn write_cursors(
        &mut self,
        receipts: &[Result<Receipt, Refused>],
    ) -> Result<(), Failure> {
        let overwrite = self
            .engine
            .dialect()
            .overwrite("device_id, name", &["value"]);
        let sql: std::sync::Arc<str> = format!(
            "INSERT INTO device_cursor (device_id, name, value) VALUES (?, ?, ?) {overwrite}"
        )
        .into();
        for (submission, receipt) in self.batch.iter().zip(receipts) {
            if receipt.is_err() {
                continue;
            }
            for (name, value) in &submission.cursors {
                let values = [
                    Value::Bytes(&submission.device.id.0),
                    Value::Text(name),
                    Value::Text(value),
                ];
                self.engine
                    .execute(built(std::sync::Arc::clone(&sql)), &values)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Parts events of one key: the first of each in order of arrival, and the others.
fn split_repeats<'b>(
    sorted: Vec<Entry<'b>>,
    key: impl Fn(&Entry<'_>) -> Key,
) -> (Vec<Entry<'b>>, Vec<Entry<'b>>) {
    let mut firsts: Vec<Entry<'b>> = Vec::with_capacity(sorted.len());
    let mut repeats = Vec::new();
    for entry in sorted {
        if firsts.last().is_some_and(|last| key(last) == key(&entry)) {
            repeats.push(entry);
        } else {
            firsts.push(entry);
        }
    }
    (firsts, repeats)
}

/// Cuts rows into statements of a power of two rows each, so that few shapes have to be
/// prepared, none longer than a small server takes.
fn chunks<'r, 'e>(mut rows: &'r [EventRow<'e>]) -> impl Iterator<Item = &'r [EventRow<'e>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rows.iter().take(ROWS_PER_STATEMENT).take_while(|row| {
            bytes += row.size();
            bytes <= BYTES_PER_STATEMENT
        });
        let fits = fits.count().max(1).min(rows.len());
        let power = fits.checked_ilog2().map_or(0, |log| 1usize << log);
        let (head, tail) = rows.split_at_checked(power)?;
        rows = tail;
        (!head.is_empty()).then_some(head)
    })
}

async fn insert_rows(engine: &mut AnyEngine, rows: &[EventRow<'_>]) -> Result<(), Failure> {
    let mut values = Vec::with_capacity(rows.len() * crate::event_row::EVENT_COLUMN_COUNT);
    for row in rows {
        row.push(&mut values);
    }
    let sql = insert_sql(rows.len(), engine.dialect());
    engine.execute(sql, &values).await.map(drop)
}

/// What stands in quarantine beside an event that the store set aside: of the same second, and
/// in conflict.
pub const SET_ASIDE: [&str; 2] = [
    "same person and second as a stored punch, other status or verify mode",
    "same identity as a stored event, other person or time",
];

/// An event that may not be folded into the stored one, kept raw.
fn set_aside(event: &Event, reason: Reason) -> Quarantined {
    let detail = match reason {
        Reason::SameSecond => SET_ASIDE[0],
        Reason::Conflict => SET_ASIDE[1],
        _ => "",
    };
    Quarantined {
        reason,
        detail: Text::const_new(detail),
        source: Text::const_new(source_of(event.route)),
        route: event.route,
        received_at: event.received_at,
        raw: event.raw.clone(),
    }
}

fn source_of(route: Route) -> &'static str {
    match route {
        Route::Push | Route::Backfill => "ATTLOG",
        _ => "event",
    }
}

/// The failure of a batch whose numbers went back, for whoever has to be told.
pub(crate) fn went_back() -> Failure {
    Failure::wait(
        Trouble::Other,
        "the store holds lower numbers than it gave out before: a restored copy",
    )
}
