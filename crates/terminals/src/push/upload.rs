//! Uploads: which records go, how they go, and what the answer means for them.
//!
//! The one rule of this room: a record is forgotten only when its upload was answered with
//! ` 200 ` at the fixed place and `OK` in the body, and only after its ledger line is durable.
//! A lost reply, a refusal, half a body, a reply in another shape: everything stays and is
//! sent again. Replays and answers to queries send records that are acknowledged already;
//! their answers change nothing here.

use std::ops::Range;
use std::time::Duration;

use event::WallTime;
use tokio::time::Instant;

use super::attlog;
use super::terminal::Terminal;
use crate::clock;
use crate::fleet::{Observation, UploadResult};
use crate::http::{Delivery, Exchange, Failure, Reply, find};
use crate::ledger::Entry;
use crate::random::{hits, unit};
use crate::records::Kind;

/// The old firmware's batch: never fewer than this,
pub(super) const SMALLEST_ADAPTIVE: u64 = 30;
/// never more than this,
const LARGEST_ADAPTIVE: u64 = 150;
/// so many more after a success,
const MORE: u64 = 10;
/// and so many fewer after a failure.
const FEWER: u64 = 30;

/// The stamp of firmware that keeps a flag in each row instead of a position.
const CONSTANT_STAMP: i64 = 9999;
/// "Read or write error" as a query's result, when its rows could not be delivered.
const READ_WRITE_ERROR: i64 = -3;
/// Rows looked at in a query before other terminals get their turn.
const ROWS_AT_ONCE: u64 = 4096;

const DRAW_DELIVERY: u64 = 300;
const DRAW_ANSWERED: u64 = 301;
const DRAW_REPLAY: u64 = 302;
const DRAW_REPLAY_ROWS: u64 = 303;
const DRAW_REPLAY_ORDER: u64 = 304;

impl Terminal {
    /// Sends the oldest records held and acts on the answer.
    pub(super) async fn upload(&mut self) {
        let delivery = self.pick_delivery();
        let rows = self.next_rows(delivery);
        self.lay_rows(rows.clone());
        let stamp = self.stamp_of(rows.end - 1);
        let began = Instant::now();
        let outcome = self.post_rows(stamp, delivery).await;
        let latency = began.elapsed();
        self.count_delivery(delivery, &outcome);
        match outcome {
            Ok(Exchange::Replied(reply)) if self.accepts(&reply) => {
                self.accepted(rows, latency).await;
            }
            Ok(Exchange::Replied(reply)) => {
                self.shared.tally.upload_refused(reply.status);
                self.tell(
                    &rows,
                    UploadResult::Refused {
                        status: reply.status,
                    },
                );
                self.keep(false);
            }
            Ok(Exchange::CutOff) | Err(_) => {
                self.tell(&rows, UploadResult::Failed);
                self.keep(true);
            }
        }
    }

    /// Sends the acknowledged rows of that time once more; the result is their number. Terminals
    /// that name the command in the URL number the parts, and tell their result before the last
    /// one; these answer `None` here. The others send what looks like any upload.
    pub(super) async fn answer_query(
        &mut self,
        id: &str,
        from: WallTime,
        to: WallTime,
    ) -> Option<i64> {
        if self.seed.is_multiple_of(2) {
            return self.answer_in_parts(id, from, to).await;
        }
        Some(self.answer_plainly(from, to).await)
    }

    /// Acknowledged rows of that time: those that were sent already.
    pub(super) fn count(&self, from: WallTime, to: WallTime) -> usize {
        let inside = |index: &u64| (from..=to).contains(&self.logbook.wall(*index));
        (0..self.acked).filter(inside).count()
    }

    async fn answer_in_parts(&mut self, id: &str, from: WallTime, to: WallTime) -> Option<i64> {
        let inside = |index: &u64| (from..=to).contains(&self.logbook.wall(*index));
        let rows: Vec<u64> = (0..self.acked).filter(inside).collect();
        let size = usize::try_from(self.batch_size()).unwrap_or(1).max(1);
        let parts: Vec<&[u64]> = rows.chunks(size).collect();
        for (at, part) in parts.iter().enumerate() {
            if at + 1 == parts.len() {
                let result = format!("ID={id}&Return={}&CMD=DATA QUERY\r\n", rows.len());
                self.post("devicecmd", "", result.as_bytes()).await.ok();
            }
            let query = format!(
                "&table=ATTLOG&Stamp={CONSTANT_STAMP}&Count={}&PackCnt={}&PackIdx={}&CmdId={id}",
                part.len(),
                parts.len(),
                at + 1
            );
            self.lay_rows(part.iter().copied());
            let body = std::mem::take(&mut self.body);
            let reply = self.post("cdata", &query, &body).await;
            self.body = body;
            if !reply.is_ok_and(|reply| self.accepts(&reply)) {
                return Some(READ_WRITE_ERROR);
            }
            let count = u64::try_from(part.len()).unwrap_or(0);
            self.shared.tally.queried.add(count);
        }
        // An empty span is told like a wrong parameter by some firmware.
        parts.is_empty().then_some(super::commands::WRONG_PARAMETER)
    }

    async fn answer_plainly(&mut self, from: WallTime, to: WallTime) -> i64 {
        let stamp = if self.spelling.habits.packed_stamp {
            clock::packed(clock::wall_seconds(&from))
        } else {
            CONSTANT_STAMP
        };
        let mut rows = Vec::new();
        let mut sent = 0;
        for index in 0..self.acked {
            if (from..=to).contains(&self.logbook.wall(index)) {
                rows.push(index);
            }
            let full = u64::try_from(rows.len()).is_ok_and(|count| count >= self.batch_size());
            if full && !self.send_again(&mut rows, stamp, &mut sent).await {
                return READ_WRITE_ERROR;
            }
            if index % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        if !rows.is_empty() && !self.send_again(&mut rows, stamp, &mut sent).await {
            return READ_WRITE_ERROR;
        }
        self.shared.tally.queried.add(sent);
        i64::try_from(sent).unwrap_or(i64::MAX)
    }

    /// Sends rows that are acknowledged already; true when they were accepted once more.
    async fn send_again(&mut self, rows: &mut Vec<u64>, stamp: i64, sent: &mut u64) -> bool {
        let count = u64::try_from(rows.len()).unwrap_or(0);
        self.lay_rows(rows.drain(..));
        let outcome = self.post_rows(stamp, self.usual_delivery()).await;
        let accepted = match outcome {
            Ok(Exchange::Replied(reply)) => self.accepts(&reply),
            Ok(Exchange::CutOff) | Err(_) => false,
        };
        *sent += if accepted { count } else { 0 };
        accepted
    }

    /// The old firmware's test of a reply.
    fn accepts(&self, reply: &Reply) -> bool {
        reply.is_200 && find(self.connection.body(reply), b"OK").is_some()
    }

    async fn accepted(&mut self, rows: Range<u64>, latency: Duration) {
        let lines = if self.shared.has_ledger() {
            self.ledger_lines(&rows)
        } else {
            Ok(Vec::new())
        };
        let durable = match lines {
            Ok(lines) => self.shared.durable(lines).await,
            Err(why) => Err(why),
        };
        if durable.is_err() {
            // The fleet stops; without a ledger line the records count as held.
            return;
        }
        self.shared.tally.ack_latency.record(latency);
        self.shared.tally.acked.add(rows.end - rows.start);
        self.count_records(&rows);
        self.tell(&rows, UploadResult::Acked { latency });
        self.acked = rows.end;
        self.upload_patience.restore();
        self.adaptive_batch = (self.adaptive_batch + MORE).min(LARGEST_ADAPTIVE);
        let share = self.shared.scenario.faults.replay;
        if share > 0.0 && hits(share, self.draw(DRAW_REPLAY)) {
            self.replay().await;
        }
    }

    /// Keeps everything and waits; offline when there was no reply at all.
    fn keep(&mut self, offline: bool) {
        let error_delay = self.error_delay();
        let until = Instant::now() + self.upload_patience.next_wait(error_delay);
        self.adaptive_batch = self
            .adaptive_batch
            .saturating_sub(FEWER)
            .max(SMALLEST_ADAPTIVE);
        self.upload_at = until;
        if offline {
            self.offline_until(until);
        }
    }

    /// Acknowledged records once more: others together, shuffled, under an old stamp.
    async fn replay(&mut self) {
        let longest = (2 * self.batch_size()).min(self.acked);
        let count = 1 + self.draw(DRAW_REPLAY_ROWS) % longest;
        let first = self.draw(DRAW_REPLAY_ROWS) % (self.acked - count + 1);
        let mut rows: Vec<u64> = (first..first + count).collect();
        for at in (1..rows.len()).rev() {
            let choices = u64::try_from(at + 1).unwrap_or(1);
            let other = usize::try_from(self.draw(DRAW_REPLAY_ORDER) % choices).unwrap_or(at);
            rows.swap(at, other);
        }
        let mut sent = 0;
        let stamp = self.logbook.packed_stamp(first);
        if self.send_again(&mut rows, stamp, &mut sent).await {
            self.shared.tally.replays.add(1);
            self.shared.tally.replayed.add(sent);
        }
    }

    fn batch_size(&self) -> u64 {
        self.shared
            .scenario
            .batch
            .map_or(self.adaptive_batch, u64::from)
    }

    /// The oldest records held, as many as one upload takes. Twins are not parted.
    fn next_rows(&self, delivery: Delivery) -> Range<u64> {
        let slow = matches!(delivery, Delivery::Slow(_));
        let size = if slow { 1 } else { self.batch_size() };
        let end = self
            .logbook
            .with_twin(self.acked.saturating_add(size))
            .min(self.made);
        self.acked..end
    }

    fn lay_rows(&mut self, rows: impl Iterator<Item = u64>) {
        self.body.clear();
        for index in rows {
            let record = self.logbook.record(index);
            attlog::write_line(&mut self.body, &record, &self.spelling.habits);
        }
        if self.spelling.habits.trailing_nul {
            self.body.push(0);
        }
    }

    fn stamp_of(&self, index: u64) -> i64 {
        if self.spelling.habits.packed_stamp {
            self.logbook.packed_stamp(index)
        } else {
            CONSTANT_STAMP
        }
    }

    fn usual_delivery(&self) -> Delivery {
        if self.spelling.habits.split_body {
            Delivery::Split
        } else {
            Delivery::Whole
        }
    }

    fn pick_delivery(&mut self) -> Delivery {
        let faults = &self.shared.scenario.faults;
        let (lost, half, slow) = (faults.ack_lost, faults.half_body, faults.slow_body);
        if lost + half + slow == 0.0 {
            return self.usual_delivery();
        }
        let pause = Duration::from_millis(faults.slow_byte_ms);
        let drawn = unit(self.draw(DRAW_DELIVERY));
        if drawn < lost {
            Delivery::LoseReply {
                answered: hits(0.5, self.draw(DRAW_ANSWERED)),
            }
        } else if drawn < lost + half {
            Delivery::Half
        } else if drawn < lost + half + slow {
            Delivery::Slow(pause)
        } else {
            self.usual_delivery()
        }
    }

    /// Counts a fault once its bytes are out.
    fn count_delivery(&self, delivery: Delivery, outcome: &Result<Exchange, Failure>) {
        let tally = &self.shared.tally;
        let out = match outcome {
            Ok(_) => true,
            Err(failure) => matches!(failure, Failure::Broken | Failure::Timeout),
        };
        match delivery {
            Delivery::LoseReply { .. } => tally.acks_lost.add(u64::from(outcome.is_ok())),
            Delivery::Half => tally.half_bodies.add(u64::from(outcome.is_ok())),
            Delivery::Slow(_) => tally.slow_bodies.add(u64::from(out)),
            Delivery::Whole | Delivery::Split => {}
        }
    }

    /// Counts what was odd about records that have just been acknowledged.
    fn count_records(&self, rows: &Range<u64>) {
        let tally = &self.shared.tally;
        for index in rows.clone() {
            match self.logbook.kind(index) {
                Kind::Plain => {}
                Kind::Twin => tally.twins.add(1),
                Kind::SameSecond => tally.same_second.add(1),
            }
            if self.logbook.clock_falls_at(index) {
                tally.clock_resets.add(1);
            }
        }
    }

    /// The ledger's lines for the rows that stand in the body just sent.
    fn ledger_lines(&self, rows: &Range<u64>) -> std::io::Result<Vec<u8>> {
        let mut lines = Vec::with_capacity(self.body.len() * 4);
        for (index, line) in rows.clone().zip(attlog::lines(&self.body)) {
            let record = self.logbook.record(index);
            let time = record.time.text();
            let entry = Entry {
                vendor: "zkteco",
                serial: &self.serial,
                pin: &record.pin,
                time: std::str::from_utf8(&time).map_err(std::io::Error::other)?,
                status: u16::from(record.status),
                verify: u16::from(record.verify),
                line: std::str::from_utf8(line).map_err(std::io::Error::other)?,
            };
            entry.write(&mut lines)?;
        }
        Ok(lines)
    }

    fn tell(&self, rows: &Range<u64>, result: UploadResult) {
        if !self.shared.watched() {
            return;
        }
        let last = self.logbook.record(rows.end - 1);
        self.shared.tell(Observation {
            serial: self.serial.clone(),
            pin: last.pin,
            time: last.time,
            result,
            records: rows.end - rows.start,
        });
    }
}
