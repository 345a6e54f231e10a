//! One terminal: its state, and the loop that decides what to do next.
//!
//! The loop is the old firmware's: shake hands, tell the options, then upload whenever records
//! are held, poll every `Delay`, post results of commands. One thing happens at a time on one
//! connection. After an exchange without a reply the terminal counts itself offline and does
//! nothing until its wait is over; after a refusal it goes on polling and keeps its records.
//! What an upload's answer means for records is decided in `upload`, not here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::commands::{self, Command, Order};
use super::habits::Habits;
use super::options::Options;
use super::request::Spelling;
use crate::fleet::Shared;
use crate::http::{Connection, Delivery, Exchange, Failure, Reply};
use crate::random::{draw, unit};
use crate::records::Logbook;

/// What the server's option block would say, for as long as there is none.
const USUAL_DELAY: Duration = Duration::from_secs(10);
const USUAL_ERROR_DELAY: Duration = Duration::from_secs(30);
/// First of the three quick waits after a failure; the others are twice and three times that.
const QUICK_WAIT: Duration = Duration::from_millis(300);
/// Results that wait for delivery, in bytes; further commands are not taken meanwhile.
const MOST_RESULTS: usize = 16 * 1024;
/// Rests longer than this give the buffers' memory back.
const LONG_REST: Duration = Duration::from_secs(1);

const DRAW_POLL_PHASE: u64 = 200;

/// Which contact with the server the terminal has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Options,
    Ready,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Handshake,
    Options,
    Poll,
    Results,
    Upload,
    Rest(Instant),
    End,
}

/// Waits after failures: three quick ones, then the error delay, and again.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Patience {
    /// The next wait; no wait is longer than the error delay.
    pub(super) fn next_wait(&mut self, error_delay: Duration) -> Duration {
        self.tries += 1;
        if self.tries <= 3 {
            return (QUICK_WAIT * self.tries).min(error_delay);
        }
        self.tries = 0;
        error_delay
    }

    /// Starts over after a success.
    pub(super) fn restore(&mut self) {
        self.tries = 0;
    }
}

/// A simulated push terminal.
pub(super) struct Terminal {
    pub(super) shared: Arc<Shared>,
    pub(super) serial: Arc<str>,
    pub(super) seed: u64,
    pub(super) spelling: Spelling,
    pub(super) logbook: Logbook,
    pub(super) connection: Connection,
    pub(super) body: Vec<u8>,
    /// Records acknowledged: all below this index.
    pub(super) acked: u64,
    /// Records made: all below this index.
    pub(super) made: u64,
    /// Records in the next upload where the scenario does not say.
    pub(super) adaptive_batch: u64,
    pub(super) upload_patience: Patience,
    pub(super) upload_at: Instant,
    /// Counts draws, so that each is another one.
    pub(super) draws: u64,
    out: Vec<u8>,
    stage: Stage,
    options: Options,
    patience: Patience,
    offline_until: Instant,
    next_poll: Instant,
    results: Vec<u8>,
    results_at: Instant,
    introduced: bool,
}

impl Terminal {
    pub(super) fn new(shared: Arc<Shared>, place: u32) -> Self {
        let scenario = &shared.scenario;
        let shares = scenario.shares_serial(place);
        shared.tally.duplicate_serials.add(u64::from(shares));
        let named_by = if shares {
            place.saturating_sub(1)
        } else {
            place
        };
        let ramp = scenario.ramp_ms * u64::from(place) / u64::from(scenario.count.max(1));
        let begin = shared.instant(ramp);
        let schedule = Arc::clone(&shared.schedule);
        Self {
            serial: scenario.serial(named_by).into(),
            seed: draw(scenario.seed, 0, u64::from(place)),
            spelling: Spelling::new(&scenario.target, Habits::of(scenario, place)),
            logbook: Logbook::new(scenario, schedule, place, shared.start_wall),
            connection: Connection::default(),
            body: Vec::new(),
            acked: 0,
            made: 0,
            adaptive_batch: super::upload::SMALLEST_ADAPTIVE,
            upload_patience: Patience::default(),
            upload_at: begin,
            draws: 0,
            out: Vec::new(),
            stage: Stage::Handshake,
            options: Options::default(),
            patience: Patience::default(),
            offline_until: begin,
            next_poll: begin,
            results: Vec::new(),
            results_at: begin,
            introduced: false,
            shared,
        }
    }

    /// Runs until the fleet is stopped, or drained and nothing is held.
    pub(super) async fn run(mut self) {
        loop {
            match self.next_step() {
                Step::Handshake => self.handshake().await,
                Step::Options => self.tell_options().await,
                Step::Poll => self.poll().await,
                Step::Results => self.post_results().await,
                Step::Upload => self.upload().await,
                Step::Rest(until) => self.rest(until).await,
                Step::End => return,
            }
        }
    }

    /// The wait after a failure: the scenario's word, else the server's.
    pub(super) fn error_delay(&self) -> Duration {
        let own = self
            .shared
            .scenario
            .error_delay_ms
            .map(Duration::from_millis);
        own.or(self.options.error_delay)
            .unwrap_or(USUAL_ERROR_DELAY)
    }

    /// Does nothing at all until then.
    pub(super) fn offline_until(&mut self, until: Instant) {
        self.offline_until = until;
    }

    /// A number from 0 up to 1 that was not drawn before.
    pub(super) fn draw(&mut self, purpose: u64) -> u64 {
        self.draws += 1;
        draw(self.seed, purpose, self.draws)
    }

    /// Sends a GET and reads the reply.
    async fn get(&mut self, word: &str, query: &str) -> Result<Reply, Failure> {
        let serial = &self.serial;
        self.spelling
            .get(&mut self.out, word, format_args!("SN={serial}{query}"));
        let at = self.out.len();
        self.whole(at).await
    }

    /// Sends a POST in the terminal's usual way and reads the reply.
    pub(super) async fn post(
        &mut self,
        word: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Reply, Failure> {
        let serial = &self.serial;
        let at = self.spelling.post(
            &mut self.out,
            word,
            format_args!("SN={serial}{query}"),
            body,
        );
        self.whole(at).await
    }

    /// Sends attendance rows, which stand in the terminal's own body buffer.
    pub(super) async fn post_rows(
        &mut self,
        stamp: i64,
        delivery: Delivery,
    ) -> Result<Exchange, Failure> {
        let at = self.spelling.post(
            &mut self.out,
            "cdata",
            format_args!("SN={}&table=ATTLOG&Stamp={stamp}", self.serial),
            &self.body,
        );
        self.shared.tally.uploads.add(1);
        self.exchange(at, delivery).await
    }

    async fn whole(&mut self, body_at: usize) -> Result<Reply, Failure> {
        match self.exchange(body_at, Delivery::Whole).await? {
            Exchange::Replied(reply) => Ok(reply),
            Exchange::CutOff => Err(Failure::Broken),
        }
    }

    async fn exchange(&mut self, body_at: usize, delivery: Delivery) -> Result<Exchange, Failure> {
        let Self {
            shared,
            connection,
            out,
            spelling,
            ..
        } = self;
        let target = &shared.scenario.target;
        let close = !spelling.habits.keep_alive;
        let patience = Duration::from_secs(shared.scenario.timeout_s);
        let exchange = connection.exchange(target, out, body_at, delivery, close);
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout(patience, exchange) => {
                outcome.unwrap_or(Err(Failure::Timeout))
            }
            () = shared.stop.cancelled() => Err(Failure::Stopped),
        };
        let tally = &shared.tally;
        tally
            .requests
            .add(u64::from(outcome != Err(Failure::Connect)));
        tally.reconnects.add(connection.take_reconnects());
        match outcome {
            Ok(Exchange::Replied(reply)) => {
                tally.without_date.add(u64::from(!reply.has_date));
                tally
                    .without_text_plain
                    .add(u64::from(!reply.has_text_plain));
            }
            Ok(Exchange::CutOff) => {}
            Err(failure) => {
                connection.hang_up();
                match failure {
                    Failure::Connect => tally.connect_failures.add(1),
                    Failure::Broken => tally.broken.add(1),
                    Failure::Unreadable => tally.unreadable.add(1),
                    Failure::Timeout => tally.timeouts.add(1),
                    Failure::Stopped => {}
                }
            }
        }
        outcome
    }

    fn next_step(&mut self) -> Step {
        let draining = self.shared.drain.is_cancelled();
        self.look_for_records();
        let pending = self.made > self.acked;
        if self.shared.stop.is_cancelled() || (draining && !pending) {
            return Step::End;
        }
        let now = Instant::now();
        if now < self.offline_until {
            return Step::Rest(self.offline_until);
        }
        match self.stage {
            Stage::Handshake => return Step::Handshake,
            Stage::Options => return Step::Options,
            Stage::Ready => {}
        }
        if now >= self.next_poll {
            return Step::Poll;
        }
        let results = !self.results.is_empty();
        if results && now >= self.results_at {
            return Step::Results;
        }
        if pending && now >= self.upload_at {
            return Step::Upload;
        }
        let upload = if pending {
            Some(self.upload_at)
        } else {
            self.next_record_at(draining)
        };
        let results = results.then_some(self.results_at);
        Step::Rest(
            [upload, results]
                .into_iter()
                .flatten()
                .fold(self.next_poll, Instant::min),
        )
    }

    fn look_for_records(&mut self) {
        let made = self.logbook.available(self.shared.elapsed_ms());
        if made > self.made {
            self.shared.tally.generated.add(made - self.made);
            self.made = made;
        }
    }

    fn next_record_at(&self, draining: bool) -> Option<Instant> {
        if draining {
            return None;
        }
        self.logbook
            .due_ms(self.made)
            .map(|ms| self.shared.instant(ms))
    }

    async fn rest(&mut self, until: Instant) {
        if until.saturating_duration_since(Instant::now()) > LONG_REST {
            self.connection.rest();
            for buffer in [&mut self.out, &mut self.body] {
                buffer.clear();
                buffer.shrink_to(512);
            }
        }
        let shared = &self.shared;
        let draining = shared.drain.is_cancelled();
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = shared.stop.cancelled() => {}
            () = shared.drain.cancelled(), if !draining => {}
        }
    }

    /// After any exchange but an upload: goes offline for a while.
    fn set_back(&mut self) {
        let wait = self.patience.next_wait(self.error_delay());
        self.offline_until = Instant::now() + wait;
    }

    async fn handshake(&mut self) {
        let query = "&options=all&pushver=2.4.1&language=69&PushOptionsFlag=1";
        let Ok(reply) = self.get("cdata", query).await else {
            return self.set_back();
        };
        let block = Options::read(self.connection.body(&reply), &self.serial);
        let Some(options) = block.filter(|_| reply.is_200) else {
            self.shared.tally.handshakes_refused.add(1);
            return self.set_back();
        };
        self.patience.restore();
        self.shared.tally.handshakes.add(1);
        let zone = options.zone_minutes;
        let wrong_zone = zone.is_some_and(|minutes| minutes != self.shared.zone_minutes);
        self.shared
            .tally
            .wrong_time_zones
            .add(u64::from(wrong_zone));
        let forgotten = self.acked > 0 && options.attlog_stamp == 0;
        self.shared.tally.forgotten_stamps.add(u64::from(forgotten));
        self.stage = if options.options_wanted {
            Stage::Options
        } else {
            Stage::Ready
        };
        self.options = options;
        self.next_poll = Instant::now();
    }

    async fn tell_options(&mut self) {
        let body = format!(
            "~DeviceName=SIM-1,FirmVer=Ver 8.0.4.3-20211015,~OEMVendor=ZKTECO CO., LTD.,\
             ~MaxAttLogCount=20,TransactionCount={},UserCount={},PushVersion=Ver 2.4.1,\
             IPAddress=192.0.2.55,Language=69",
            self.made, self.shared.scenario.people
        );
        match self.post("cdata", "&table=options", body.as_bytes()).await {
            // A refusal does not keep a terminal from its work.
            Ok(_) => self.stage = Stage::Ready,
            Err(_) => self.set_back(),
        }
    }

    async fn poll(&mut self) {
        let info = if self.introduced {
            String::new()
        } else {
            self.info()
        };
        let Ok(reply) = self.get("getrequest", &info).await else {
            return self.set_back();
        };
        let body = self.connection.body(&reply);
        let served = reply.is_200 && !body.is_empty();
        let unknown = body.starts_with(b"UNKNOWN DEVICE");
        let room = self.results.len() < MOST_RESULTS;
        let commands = if served && room {
            commands::read(body)
        } else {
            Vec::new()
        };
        if served {
            self.shared.tally.polls.add(1);
            self.patience.restore();
        } else {
            self.shared.tally.polls_refused.add(1);
        }
        if unknown {
            self.stage = Stage::Handshake;
        }
        let delay = self.shared.scenario.poll_s.map(Duration::from_secs);
        let delay = delay.or(self.options.delay).unwrap_or(USUAL_DELAY);
        // The polls of a fleet that started together must not stay together.
        let first = !self.introduced;
        let share = if first {
            unit(self.draw(DRAW_POLL_PHASE))
        } else {
            1.0
        };
        self.introduced = true;
        let busy = if commands.is_empty() {
            delay
        } else {
            delay.min(Duration::from_secs(1))
        };
        self.next_poll = Instant::now() + busy.mul_f64(share);
        self.obey(commands).await;
    }

    /// The facts of a first poll, as the value of `INFO`.
    fn info(&self) -> String {
        let (people, made) = (self.shared.scenario.people, self.made);
        if self.spelling.habits.raw_space_info {
            format!("&INFO=Ver 8.0.4.3-20211015, {people}, 20, {made}, 192.0.2.55, 10, -12")
        } else {
            format!("&INFO=Ver%208.0.4.3-20211015,{people},20,{made},192.0.2.55,10,58,12,9,11110")
        }
    }

    async fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            self.shared.tally.commands.add(1);
            let code = match command.order {
                Order::Info | Order::Log => 0,
                Order::Check => {
                    self.stage = Stage::Handshake;
                    0
                }
                Order::Query { from, to } => match self.answer_query(&command.id, from, to).await {
                    Some(code) => code,
                    // It has told its result already.
                    None => continue,
                },
                Order::Sum { from, to } => {
                    let held = self.count(from, to);
                    let old = self.seed.is_multiple_of(3);
                    let result = commands::sum(&command, (from, to), held, old);
                    self.results.extend_from_slice(result.as_bytes());
                    continue;
                }
                Order::BadQuery => commands::WRONG_PARAMETER,
                Order::Other => commands::NOT_SUPPORTED,
            };
            self.results
                .extend_from_slice(commands::result(&command, code).as_bytes());
            if command.order == Order::Info {
                let facts = format!(
                    "~SerialNumber={}\nFirmVer=Ver 8.0.4.3-20211015\nTransactionCount={}\n",
                    self.serial, self.made
                );
                self.results.extend_from_slice(facts.as_bytes());
            }
        }
    }

    /// Posts what commands came to. Old firmware takes the delivery for done only when the
    /// reply's head holds `text/plain`; until then it posts the results again and again.
    async fn post_results(&mut self) {
        let results = std::mem::take(&mut self.results);
        let delivered = match self.post("devicecmd", "", &results).await {
            Ok(reply) => reply.is_200 && reply.has_text_plain,
            Err(_) => false,
        };
        if !delivered {
            self.results = results;
            self.results_at = Instant::now() + self.error_delay();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_three_quick_ones_and_then_the_error_delay() {
        let mut patience = Patience::default();
        let mut waits = |delay_s| {
            let delay = Duration::from_secs(delay_s);
            [(); 5].map(|()| patience.next_wait(delay).as_millis())
        };
        assert_eq!(waits(30), [300, 600, 900, 30_000, 300]);
        patience.restore();
        let short = Duration::from_millis(400);
        let waits = [(); 4].map(|()| patience.next_wait(short).as_millis());
        assert_eq!(waits, [300, 400, 400, 400]);
    }
}
