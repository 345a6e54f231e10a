//! The live stream of one device: opened once, read as it comes, a hint and never the truth.
//!
//! The bytes are read from the socket as they are, because several devices announce lengths
//! that would make a proper HTTP client stop after the first event. Any byte counts as a sign
//! of life. A device has one arming slot: a stream is ended by closing its socket before
//! another is opened, and a slot that somebody else holds is asked for less and less often.

use std::time::Duration;

use event::{Millis, Route};
use hikvision_isapi::{
    AlertStream, Heard, Item, ResponseHead, ResponseStatus, Ticket, read_part, read_skipped,
};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::client::{self, SharedLogin, Trouble};
use super::intake::{Brought, Intake};
use super::state::Asked;
use crate::clock;
use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::dial::Link;

/// Where the stream is.
const PATH: &str = "/ISAPI/Event/notification/alertStream";
/// Silence after which a stream counts as dead. Heartbeats come every 10 s, on some models
/// every 30 s, and none while an event lasts; any byte counts.
const DEAD_AFTER: Duration = Duration::from_secs(65);
/// First and longest pause before the stream is opened again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// A stream that lasted this long was a good one: the next pause is the first again.
const GOOD: Duration = Duration::from_secs(60);
/// Most records handed over at once.
const AT_ONCE: usize = 200;
/// Rounds of challenge and answer before the stream is given up for now.
const ROUNDS: u32 = 5;
/// Bytes read at once.
const READ: usize = 16 * 1024;

/// Why a stream ended.
enum Ended {
    /// The device closed it, or it broke.
    Closed(String),
    /// Nothing came for too long.
    Dead,
    /// The device refused it.
    Refused(Refusal),
    /// No connection or no login.
    Trouble(Trouble),
    /// Neither store nor journal takes what comes; where there is a search, it brings it later.
    Store,
}

/// A refusal of the stream itself.
enum Refusal {
    /// Its arming slots are taken.
    SlotsTaken,
    /// Something else, in its own words.
    Other(String),
}

/// Keeps the stream open for as long as the device is dialled.
pub(super) async fn run(intake: &Intake, address: &str, login: &SharedLogin) {
    let mut pause = PAUSES.0;
    loop {
        intake.known.hikvision().view().stream = Link::Connecting;
        let began = Instant::now();
        let ended = once(intake, address, login).await;
        let device = intake.known.hikvision();
        {
            let mut view = device.view();
            view.stream = Link::Down;
            view.replaying = false;
        }
        // Whatever came while nobody listened is found by the search.
        device.wake();
        if began.elapsed() >= GOOD {
            pause = PAUSES.0;
        }
        let wait = report(intake, &ended, pause);
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Says why a stream ended and how long to wait.
fn report(intake: &Intake, ended: &Ended, pause: Duration) -> Duration {
    let serial = &intake.known.enrolment.serial;
    match ended {
        Ended::Closed(detail) => tracing::debug!(%serial, detail, "the stream ended"),
        Ended::Dead => {
            tracing::info!(%serial, "the stream was silent for too long and is opened again")
        }
        Ended::Store => tracing::debug!(%serial, "the stream waits for the store"),
        Ended::Trouble(Trouble::LoginRefused(until)) => {
            let wait = until.0.saturating_sub(clock::now().0).max(0);
            return pause.max(Duration::from_millis(wait.unsigned_abs()));
        }
        Ended::Trouble(trouble) => tracing::debug!(%serial, %trouble, "no stream"),
        Ended::Refused(Refusal::SlotsTaken) => {
            let detail = Says::SlotTaken.with(&[&"deployExceedMax"]);
            intake.raise(Condition::ArmingSlotTaken, detail);
            return pause.max(PAUSES.0 * 6);
        }
        Ended::Refused(Refusal::Other(detail)) => {
            tracing::warn!(%serial, detail = %daemon::logging::Escaped(detail), "the device refuses its stream");
            return pause.max(PAUSES.0 * 6);
        }
    }
    pause
}

/// Opens the stream, answers a challenge, and reads to its end.
async fn once(intake: &Intake, address: &str, login: &SharedLogin) -> Ended {
    for _ in 0..ROUNDS {
        let (header, ticket) = match client::pass(login, &Method::GET, PATH).await {
            Ok(pass) => pass.unzip(),
            Err(trouble) => return Ended::Trouble(trouble),
        };
        let mut socket = match client::open(address).await {
            Ok(socket) => socket,
            Err(trouble) => return Ended::Trouble(trouble),
        };
        let line = header.map(|value| format!("Authorization: {value}\r\n"));
        let ask = format!(
            "GET {PATH} HTTP/1.1\r\nHost: {address}\r\n{}Accept: */*\r\nConnection: keep-alive\r\n\r\n",
            line.unwrap_or_default()
        );
        if let Err(error) = socket.write_all(ask.as_bytes()).await {
            return Ended::Closed(error.to_string());
        }
        let mut reading = Reading::new(intake, login, ticket);
        match reading.run(&mut socket).await {
            Some(ended) => return ended,
            // Challenged: once more with the answer, on a connection of its own.
            None => continue,
        }
    }
    Ended::Closed("it asks for a login again and again".to_owned())
}

/// One stream being read.
struct Reading<'a> {
    intake: &'a Intake,
    login: &'a SharedLogin,
    ticket: Option<Ticket>,
    stream: AlertStream,
    head: Option<ResponseHead>,
}

impl<'a> Reading<'a> {
    fn new(intake: &'a Intake, login: &'a SharedLogin, ticket: Option<Ticket>) -> Self {
        Self {
            intake,
            login,
            ticket,
            stream: AlertStream::new(),
            head: None,
        }
    }

    /// Reads to the end; `None` when the device wants a login first.
    async fn run(&mut self, socket: &mut TcpStream) -> Option<Ended> {
        let mut buffer = vec![0; READ];
        loop {
            let read = tokio::time::timeout(DEAD_AFTER, socket.read(&mut buffer)).await;
            let n = match read {
                Err(_) => return Some(Ended::Dead),
                Ok(Err(error)) => return Some(Ended::Closed(error.to_string())),
                Ok(Ok(0)) => {
                    self.stream.finish();
                    let left = self.take().await;
                    return match left {
                        Ok(()) => Some(Ended::Closed("closed by the device".to_owned())),
                        Err(end) => end,
                    };
                }
                Ok(Ok(n)) => n,
            };
            self.stream.push(buffer.get(..n).unwrap_or_default());
            match self.take().await {
                Ok(()) => {}
                Err(end) => return end,
            }
        }
    }

    /// Takes what is complete by now.
    async fn take(&mut self) -> Result<(), Option<Ended>> {
        let mut brought = Brought::of(Route::Stream);
        loop {
            match self.stream.next() {
                Ok(None) => break,
                Ok(Some(item)) => self.item(item, &mut brought)?,
                Err(error) => {
                    self.intake.hub.metrics.stream_faults.inc();
                    if !error.can_go_on() {
                        return Err(Some(Ended::Closed(error.to_string())));
                    }
                }
            }
            if brought.records.len() >= AT_ONCE {
                self.hand_over(&mut brought).await?;
            }
        }
        self.hand_over(&mut brought).await
    }

    fn item(&mut self, item: Item, brought: &mut Brought) -> Result<(), Option<Ended>> {
        match item {
            Item::Head(head) => {
                if head.status != 401
                    && let Some(ticket) = self.ticket
                {
                    client::lock(self.login).accepted(ticket);
                }
                if head.status == 200 {
                    self.intake.known.hikvision().view().stream = Link::Up;
                    conditions::clear(&self.intake.known, Condition::ArmingSlotTaken);
                }
                self.head = Some(head);
            }
            Item::Part(part) => {
                self.intake.known.facts().last_contact = Some(clock::now());
                for heard in read_part(part.kind, &part.body) {
                    self.heard(heard, brought);
                }
            }
            Item::Body(body) => {
                if let Some(ended) = self.refused(&body) {
                    return Err(Some(ended));
                }
                return Err(None);
            }
            Item::Picture { .. } => {}
            Item::Skipped { why, cut } => {
                self.intake.hub.metrics.stream_faults.inc();
                if let Some(heard) = read_skipped(why, cut) {
                    self.heard(heard, brought);
                }
            }
        }
        Ok(())
    }

    fn heard(&self, heard: Heard, brought: &mut Brought) {
        match heard {
            Heard::Heartbeat | Heard::Notice(_) => {}
            Heard::Record(record) => {
                let replayed = record.current_event == Some(false);
                self.intake.known.hikvision().view().replaying = replayed;
                brought.records.push(*record);
            }
            Heard::Unreadable(unreadable) => {
                let now: Millis = clock::now();
                brought
                    .aside
                    .push(unreadable.quarantined(Route::Stream, now));
            }
        }
    }

    async fn hand_over(&self, brought: &mut Brought) -> Result<(), Option<Ended>> {
        if brought.records.is_empty() && brought.aside.is_empty() {
            return Ok(());
        }
        let brought = std::mem::replace(brought, Brought::of(Route::Stream));
        // What no search would find again waits in the journal while the store is away. For
        // the rest the chain has not moved: the search finds what could not be stored now.
        let asked = self.intake.known.hikvision().view().asked;
        let done = match asked {
            Asked::Nothing => self.intake.kept(&brought, None).await.is_ok(),
            _ => self.intake.hints(&brought).await.is_ok(),
        };
        if done {
            Ok(())
        } else {
            Err(Some(Ended::Store))
        }
    }

    /// What a refusal means; `None` when the device only wants a login.
    fn refused(&self, body: &[u8]) -> Option<Ended> {
        let head = self.head.as_ref()?;
        if head.status == 401 {
            let challenges = head.www_authenticate.iter().map(AsRef::as_ref);
            client::unauthorized(self.login, self.ticket, challenges, body);
            return None;
        }
        let status = ResponseStatus::read(body);
        if status
            .as_ref()
            .is_some_and(ResponseStatus::is_deploy_exceeded)
        {
            return Some(Ended::Refused(Refusal::SlotsTaken));
        }
        let words = status.map(|status| status.sub).unwrap_or_default();
        Some(Ended::Refused(Refusal::Other(format!(
            "{} {words}",
            head.status
        ))))
    }
}
