//! One access-control terminal: its state, and the loop that decides what to do next.
//!
//! It greets, registers until its code is accepted, asks its configuration, and then sends what it
//! has: events as they come, its door state now and then, its people once (again and again until
//! the reply counts them), and events a second time as rows of its log. One thing happens at a
//! time on one connection; after an exchange without a reply it is offline for a while. An event
//! is forgotten only after its ledger line is durable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::group::AccessGroup;
use super::words::{self, Event};
use crate::fleet::Shared;
use crate::http::{Connection, Delivery, Exchange, Failure, Reply, find};
use crate::ledger::AccessEntry;
use crate::push::{Habits, Spelling};
use crate::random::{draw, hits, unit};
use crate::records::Logbook;

/// What the server's configuration would say, for as long as there is none.
const USUAL_DELAY: Duration = Duration::from_secs(10);
const USUAL_ERROR_DELAY: Duration = Duration::from_secs(30);
/// Events in one `rtlog` request.
const LIVE: u64 = 12;
/// Time between two reports of the door's state.
const STATE_EVERY: Duration = Duration::from_secs(15);
/// Terminals of this family have places of their own in the draws.
const PLACES: u32 = 20_000;

const DRAW_WITHHELD: u64 = 500;
const DRAW_DELIVERY: u64 = 501;
const DRAW_BOTH: u64 = 502;
const DRAW_ANSWERED: u64 = 503;

/// Which contact with the server it has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greet,
    Register,
    Configure,
    Ready,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greet,
    Register,
    Configure,
    Poll,
    Results,
    People,
    Again,
    State,
    Upload,
    Rest(Instant),
    End,
}

/// A simulated access-control terminal.
pub(super) struct Terminal {
    pub(super) shared: Arc<Shared>,
    pub(super) group: AccessGroup,
    pub(super) serial: String,
    pub(super) seed: u64,
    logbook: Logbook,
    spelling: Spelling,
    connection: Connection,
    out: Vec<u8>,
    stage: Stage,
    code: Option<String>,
    /// Events made: all below this number, counted from 0 over all clearings.
    pub(super) made: u64,
    /// All below this one were sent, or are withheld.
    pub(super) settled: u64,
    /// The log begins here.
    pub(super) base: u64,
    /// Withheld events that were fetched.
    pub(super) fetched: BTreeSet<u64>,
    /// Events to be sent once more as rows.
    again: Vec<u64>,
    told_people: bool,
    /// Results of commands that were not delivered yet.
    pub(super) results: Vec<u8>,
    pub(super) results_at: Instant,
    delay: Duration,
    error_delay: Duration,
    offline_until: Instant,
    next_poll: Instant,
    next_state: Instant,
    draws: u64,
}

impl Terminal {
    pub(super) fn new(shared: Arc<Shared>, group: AccessGroup, place: u32) -> Self {
        let scenario = &shared.scenario;
        let at = PLACES + place;
        let begin = shared.instant(0);
        let error_delay = scenario.error_delay_ms.map(Duration::from_millis);
        Self {
            serial: group.serial(place),
            seed: draw(scenario.seed, 0, u64::from(at)),
            logbook: Logbook::new(
                scenario,
                Arc::clone(&shared.schedule),
                at,
                shared.start_wall,
            ),
            spelling: Spelling::new(&scenario.target, Habits::of(scenario, at)),
            connection: Connection::default(),
            out: Vec::new(),
            stage: Stage::Greet,
            code: None,
            made: 0,
            settled: 0,
            base: 0,
            fetched: BTreeSet::new(),
            again: Vec::new(),
            told_people: false,
            results: Vec::new(),
            results_at: begin,
            delay: USUAL_DELAY,
            error_delay: error_delay.unwrap_or(USUAL_ERROR_DELAY),
            offline_until: begin,
            next_poll: begin,
            next_state: begin,
            draws: 0,
            group,
            shared,
        }
    }

    /// Runs until the fleet is stopped, or drained and nothing is left to send.
    pub(super) async fn run(mut self) {
        loop {
            match self.next_step() {
                Step::Greet => self.greet().await,
                Step::Register => self.register().await,
                Step::Configure => self.configure().await,
                Step::Poll => self.poll().await,
                Step::Results => self.post_results().await,
                Step::People => self.tell_people().await,
                Step::Again => self.send_again().await,
                Step::State => self.tell_state().await,
                Step::Upload => self.upload().await,
                Step::Rest(until) => self.rest(until).await,
                Step::End => return,
            }
        }
    }

    fn next_step(&mut self) -> Step {
        self.look_for_events();
        let draining = self.shared.drain.is_cancelled();
        let pending = self.settled < self.made;
        if self.shared.stop.is_cancelled() || (draining && !pending && self.again.is_empty()) {
            return Step::End;
        }
        let now = Instant::now();
        if now < self.offline_until {
            return Step::Rest(self.offline_until);
        }
        match self.stage {
            Stage::Greet => return Step::Greet,
            Stage::Register => return Step::Register,
            Stage::Configure => return Step::Configure,
            Stage::Ready => {}
        }
        if now >= self.next_poll {
            return Step::Poll;
        }
        if !self.results.is_empty() && now >= self.results_at {
            return Step::Results;
        }
        if !self.told_people {
            return Step::People;
        }
        if pending {
            return Step::Upload;
        }
        if !self.again.is_empty() {
            return Step::Again;
        }
        if now >= self.next_state {
            return Step::State;
        }
        self.clear_log();
        let due = self.logbook.due_ms(self.made).filter(|_| !draining);
        let due = due.map(|ms| self.shared.instant(ms));
        let until = [Some(self.next_poll), Some(self.next_state), due];
        Step::Rest(until.into_iter().flatten().min().unwrap_or(now))
    }

    fn look_for_events(&mut self) {
        let made = self.logbook.available(self.shared.elapsed_ms());
        let fresh = (self.made..made).filter(|n| !self.is_withheld(*n)).count();
        self.made = self.made.max(made);
        self.shared
            .tally
            .generated
            .add(u64::try_from(fresh).unwrap_or(0));
        // Withheld events at the front are nobody's to send.
        while self.settled < self.made && self.is_withheld(self.settled) {
            self.settled += 1;
            self.shared.tally.access.withheld.add(1);
        }
    }

    /// Whether this event is never sent by itself.
    pub(super) fn is_withheld(&self, number: u64) -> bool {
        hits(self.group.withheld, draw(self.seed, DRAW_WITHHELD, number))
    }

    /// Clears the log when nothing is left to send, and begins to count anew.
    fn clear_log(&mut self) {
        let full = self
            .group
            .clear_after
            .is_some_and(|most| self.made - self.base >= most);
        if full && self.settled == self.made && self.again.is_empty() {
            self.base = self.made;
            self.fetched.clear();
            self.shared.tally.access.cleared.add(1);
        }
    }

    /// The event of that number as it stands in the log now.
    pub(super) fn event(&self, number: u64) -> Event {
        Event::new(number - self.base + 1, self.logbook.record(number))
    }

    pub(super) fn draw(&mut self, purpose: u64) -> u64 {
        self.draws += 1;
        draw(self.seed, purpose, self.draws)
    }

    async fn rest(&mut self, until: Instant) {
        let shared = &self.shared;
        let draining = shared.drain.is_cancelled();
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = shared.stop.cancelled() => {}
            () = shared.drain.cancelled(), if !draining => {}
        }
    }

    pub(super) fn set_back(&mut self) {
        self.offline_until = Instant::now() + self.error_delay;
    }

    /// What the reply read last says.
    pub(super) fn said(&self, reply: &Reply) -> &[u8] {
        self.connection.body(reply)
    }

    async fn get(&mut self, word: &str, query: &str) -> Result<Reply, Failure> {
        let serial = &self.serial;
        self.spelling
            .get(&mut self.out, word, format_args!("SN={serial}{query}"));
        let at = self.out.len();
        self.whole(at).await
    }

    pub(super) async fn post(
        &mut self,
        word: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Reply, Failure> {
        match self.deliver(word, query, body, Delivery::Whole).await? {
            Exchange::Replied(reply) => Ok(reply),
            Exchange::CutOff => Err(Failure::Broken),
        }
    }

    async fn whole(&mut self, at: usize) -> Result<Reply, Failure> {
        match self.exchange(at, Delivery::Whole).await? {
            Exchange::Replied(reply) => Ok(reply),
            Exchange::CutOff => Err(Failure::Broken),
        }
    }

    async fn deliver(
        &mut self,
        word: &str,
        query: &str,
        body: &[u8],
        delivery: Delivery,
    ) -> Result<Exchange, Failure> {
        let serial = &self.serial;
        let at = self.spelling.post(
            &mut self.out,
            word,
            format_args!("SN={serial}{query}"),
            body,
        );
        self.exchange(at, delivery).await
    }

    async fn exchange(&mut self, at: usize, delivery: Delivery) -> Result<Exchange, Failure> {
        let shared = Arc::clone(&self.shared);
        let close = !self.spelling.habits.keep_alive;
        let patience = Duration::from_secs(shared.scenario.timeout_s);
        let target = &shared.scenario.target;
        let exchange = self
            .connection
            .exchange(target, &self.out, at, delivery, close);
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout(patience, exchange) => {
                outcome.unwrap_or(Err(Failure::Timeout))
            }
            () = shared.stop.cancelled() => Err(Failure::Stopped),
        };
        shared.tally.requests.add(1);
        if outcome.is_err() {
            self.connection.hang_up();
            shared.tally.broken.add(1);
        }
        outcome
    }

    async fn greet(&mut self) {
        let query = "&options=all&pushver=3.1.2&DeviceType=acc&language=69";
        let Ok(reply) = self.get("cdata", query).await else {
            return self.set_back();
        };
        if !reply.is_200 {
            self.shared.tally.handshakes_refused.add(1);
            return self.set_back();
        }
        let body = self.said(&reply).to_vec();
        if body.starts_with(b"registry=ok") {
            self.take_configuration(&body);
            self.code = words::registry_code(&body);
            self.stage = if self.code.is_some() {
                Stage::Ready
            } else {
                Stage::Register
            };
        } else if find(&body, b"OK").is_some() {
            self.stage = Stage::Register;
        } else {
            return self.set_back();
        }
        self.shared.tally.handshakes.add(1);
    }

    /// Registers; without a code that can be used it does so again and again.
    async fn register(&mut self) {
        let body = format!(
            "DeviceType=acc,~DeviceName=SIM-A,FirmVer=Ver 8.0.1.3,PushVersion=Ver 3.1.2S,\
             ~OEMVendor=ZKTECO CO., LTD.,LockCount=1,ReaderCount=2,~MaxAttLogCount=10,\
             TransactionCount={},IPAddress=192.0.2.56",
            self.made - self.base
        );
        let Ok(reply) = self.post("registry", "", body.as_bytes()).await else {
            return self.set_back();
        };
        self.shared.tally.access.registrations.add(1);
        let code = words::registry_code(self.said(&reply)).filter(|_| reply.is_200);
        if code.is_none() {
            return self.set_back();
        }
        // A code that changes under a terminal is not one that it was registered with.
        let same = self.code.is_none() || self.code == code;
        self.shared.tally.access.other_codes.add(u64::from(!same));
        self.code = code;
        self.stage = Stage::Configure;
    }

    async fn configure(&mut self) {
        let Ok(reply) = self.post("push", "", b"").await else {
            return self.set_back();
        };
        let body = self.said(&reply).to_vec();
        if !reply.is_200 || words::setting(&body, "RequestDelay").is_none() {
            return self.set_back();
        }
        self.take_configuration(&body);
        self.stage = Stage::Ready;
        if let Ok(reply) = self.get("rtdata", "&type=time").await {
            let told = reply.is_200 && words::is_time(self.said(&reply));
            self.shared.tally.access.times.add(u64::from(told));
        }
    }

    fn take_configuration(&mut self, body: &[u8]) {
        let own = self.shared.scenario.poll_s;
        let seconds = own.or_else(|| words::setting(body, "RequestDelay"));
        self.delay = seconds.map_or(USUAL_DELAY, Duration::from_secs);
        if self.shared.scenario.error_delay_ms.is_none() {
            let told = words::setting(body, "ErrorDelay").map(Duration::from_secs);
            self.error_delay = told.unwrap_or(USUAL_ERROR_DELAY);
        }
    }

    async fn poll(&mut self) {
        let Ok(reply) = self.get("getrequest", "").await else {
            return self.set_back();
        };
        self.next_poll = Instant::now() + self.delay;
        let body = self.said(&reply).to_vec();
        if !reply.is_200 || body.is_empty() {
            self.shared.tally.polls_refused.add(1);
            return;
        }
        self.shared.tally.polls.add(1);
        self.obey(&body).await;
    }

    async fn post_results(&mut self) {
        let results = std::mem::take(&mut self.results);
        let delivered = match self.post("devicecmd", "", &results).await {
            Ok(reply) => reply.is_200 && reply.has_text_plain,
            Err(_) => false,
        };
        if !delivered {
            self.results = [results, std::mem::take(&mut self.results)].concat();
            self.results_at = Instant::now() + self.error_delay;
        }
    }

    /// Sends its people, until the reply counts them.
    async fn tell_people(&mut self) {
        let body = "user uid=1\tcardno=\tpin=1001\tpassword=4711\tgroup=1\tname=Ann\tprivilege=0\r\n\
                    user uid=2\tcardno=77\tpin=1002\tpassword=\tgroup=1\tname=Bo\tprivilege=14\r\n";
        let query = "&table=tabledata&tablename=user&count=2";
        let Ok(reply) = self.post("cdata", query, body.as_bytes()).await else {
            return self.set_back();
        };
        self.told_people = reply.is_200 && words::takes_rows(self.said(&reply), "user", 2);
        if !self.told_people {
            self.shared.tally.access.repeated_tables.add(1);
            self.set_back();
        }
    }

    async fn tell_state(&mut self) {
        self.next_state = Instant::now() + STATE_EVERY;
        let body = b"sensor=01\trelay=00\talarm=0000000000000000\tdoor=01\r\n";
        if self.post("cdata", "&table=rtstate", body).await.is_err() {
            self.set_back();
        }
    }

    fn delivery(&mut self) -> Delivery {
        let faults = &self.shared.scenario.faults;
        let (lost, half) = (faults.ack_lost, faults.half_body);
        let drawn = unit(self.draw(DRAW_DELIVERY));
        if drawn < lost {
            let answered = hits(0.5, self.draw(DRAW_ANSWERED));
            return Delivery::LoseReply { answered };
        }
        if drawn < lost + half {
            return Delivery::Half;
        }
        Delivery::Whole
    }

    /// Sends the oldest events that it has to send by itself.
    async fn upload(&mut self) {
        let numbers = self.settled..self.made;
        let own = numbers.filter(|n| !self.is_withheld(*n));
        let most = usize::try_from(LIVE).unwrap_or(1);
        let own: Vec<u64> = own.take(most).collect();
        let Some(last) = own.last().copied() else {
            return;
        };
        let odd = self.seed % 2 == 1;
        let mut body = Vec::new();
        own.iter()
            .for_each(|n| self.event(*n).write_live(&mut body, odd));
        let delivery = self.delivery();
        self.shared.tally.uploads.add(1);
        let outcome = self.deliver("cdata", "&table=rtlog", &body, delivery).await;
        self.count_delivery(delivery, &outcome);
        let taken = match &outcome {
            Ok(Exchange::Replied(reply)) => reply.is_200 && find(self.said(reply), b"OK").is_some(),
            _ => false,
        };
        if !taken {
            if let Ok(Exchange::Replied(reply)) = &outcome {
                self.shared.tally.upload_refused(reply.status);
            }
            return self.set_back();
        }
        if self.note(&own).await && hits(self.group.both_ways, self.draw(DRAW_BOTH)) {
            self.again.extend(&own);
        }
        let passed = last + 1 - self.settled;
        let withheld = passed.saturating_sub(u64::try_from(own.len()).unwrap_or(0));
        self.shared.tally.access.withheld.add(withheld);
        self.settled = last + 1;
    }

    fn count_delivery(&self, delivery: Delivery, outcome: &Result<Exchange, Failure>) {
        let done = u64::from(outcome.is_ok());
        match delivery {
            Delivery::LoseReply { .. } => self.shared.tally.acks_lost.add(done),
            Delivery::Half => self.shared.tally.half_bodies.add(done),
            _ => {}
        }
    }

    /// Events that were acknowledged, once more and as rows of the log.
    async fn send_again(&mut self) {
        let mut body = Vec::new();
        let numbers = self.again.clone();
        numbers
            .iter()
            .for_each(|n| self.event(*n).write_row(&mut body, &self.serial));
        let count = u64::try_from(numbers.len()).unwrap_or(0);
        let query = format!("&table=tabledata&tablename=transaction&count={count}");
        match self.post("cdata", &query, &body).await {
            Ok(reply)
                if reply.is_200 && words::takes_rows(self.said(&reply), "transaction", count) =>
            {
                self.again.clear();
                self.shared.tally.replays.add(1);
            }
            Ok(_) => {
                self.shared.tally.access.repeated_tables.add(1);
                self.set_back();
            }
            Err(_) => self.set_back(),
        }
    }

    /// Writes ledger lines for events that were acknowledged for the first time. False when the
    /// ledger failed, which stops the fleet.
    pub(super) async fn note(&mut self, numbers: &[u64]) -> bool {
        let mut lines = Vec::new();
        for number in numbers {
            let event = self.event(*number);
            let time = event.record.time.to_string();
            let entry = AccessEntry {
                vendor: "zkteco-access",
                serial: &self.serial,
                pin: event.pin(),
                time: &time,
                status: 0,
                verify: u16::from(event.record.verify),
                line: "",
                index: event.index,
                event: event.code,
            };
            if entry.write(&mut lines).is_err() {
                return false;
            }
        }
        let durable = self.shared.durable(lines).await.is_ok();
        if durable {
            self.shared
                .tally
                .acked
                .add(u64::try_from(numbers.len()).unwrap_or(0));
        }
        durable
    }
}
