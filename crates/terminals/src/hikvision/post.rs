//! A device that posts: nobody can dial it, and it forgets nothing until it hears 200.
//!
//! Events go out one by one in the order of their serials. Whatever is not answered 200 is
//! sent again after a while, and everything behind it waits. A device can be told to lose
//! events on purpose: their serials are then missing in what it posts, and in the ledger. A
//! ledger line stands for an event that was answered 200, and is durable before the device
//! moves on.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::machine::{Draft, Machine, Placed, Totals};
use super::options::{PostOptions, PostShape, Words};
use super::words::{self, Telling};
use crate::http::{Connection, Delivery, Exchange};
use crate::ledger::Ledger;
use crate::random::{draw, hits};
use crate::target::Target;

const DRAW_LOSE: u64 = 420;
const DRAW_REPLAY: u64 = 421;
const DRAW_REPLAYED: u64 = 422;

/// What a posting device did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PostCounters {
    /// Events answered 200 for the first time.
    pub posted: u64,
    /// Posts answered with another status.
    pub refused: u64,
    /// Posts without a readable answer.
    pub failed: u64,
    /// Events answered 200 that had been posted before.
    pub replayed: u64,
    /// Events lost on purpose.
    pub lost: u64,
    /// Heartbeats answered 200.
    pub heartbeats: u64,
}

#[derive(Debug, Default)]
struct Counts {
    posted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    replayed: AtomicU64,
    heartbeats: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    options: PostOptions,
    machine: Machine,
    target: Target,
    ledger: Option<Ledger>,
    counts: Counts,
    lose_next: AtomicU64,
    /// Epoch and serial of what was lost.
    lost: Mutex<BTreeSet<(u32, u64)>>,
    stop: CancellationToken,
}

/// A posting device. Dropping it stops it.
#[derive(Debug)]
pub struct Post {
    inner: Arc<Inner>,
}

impl Post {
    /// Starts a device on the current tokio runtime. Every event that is answered 200 goes
    /// into the ledger, where there is one.
    ///
    /// # Errors
    /// The options are wrong.
    pub fn start(options: PostOptions, ledger: Option<Ledger>) -> io::Result<Self> {
        Self::with(options, ledger, (Arc::default(), 0))
    }

    /// The same as part of a fleet: with its counters, and a clock so many seconds off.
    pub(crate) fn with(
        options: PostOptions,
        ledger: Option<Ledger>,
        shared: (Arc<Totals>, i64),
    ) -> io::Result<Self> {
        options.check().map_err(io::Error::other)?;
        let (serial, zone, log) = (&options.serial, &options.zone, options.log.clone());
        let inner = Arc::new(Inner {
            machine: Machine::new(serial, zone, options.seed, log, None, shared)?,
            target: options.url.parse().map_err(io::Error::other)?,
            ledger,
            counts: Counts::default(),
            lose_next: AtomicU64::new(0),
            lost: Mutex::default(),
            stop: CancellationToken::new(),
            options,
        });
        let poster = Poster {
            inner: Arc::clone(&inner),
            connection: Connection::default(),
        };
        tokio::spawn(poster.run());
        Ok(Self { inner })
    }

    /// The device's whole serial.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.inner.options.serial
    }

    /// Where it posts.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.options.url
    }

    /// Lets this person in by face; the rows of the door follow where the log has them.
    /// Returns the serial of the person's row, which is not posted yet.
    ///
    /// # Errors
    /// None today; the same signature as that of a dialled device.
    pub async fn punch(&self, person: &str) -> io::Result<u64> {
        self.inner.machine.punch(person, 75, 1).await
    }

    /// Lets so many people in, each in turn.
    ///
    /// # Errors
    /// As [`Post::punch`].
    pub async fn crowd(&self, people: u64) -> io::Result<()> {
        for _ in 0..people {
            self.next_punch().await?;
        }
        Ok(())
    }

    /// Makes so many rows of one kind that names nobody; returns the first serial.
    ///
    /// # Errors
    /// As [`Post::punch`].
    pub async fn rows(&self, major: u16, minor: u16, count: usize) -> io::Result<u64> {
        let drafts = vec![Draft::plain(major, minor); count];
        self.inner.machine.make(drafts).await
    }

    /// Loses the next so many events instead of posting them.
    pub fn lose_next(&self, events: u64) {
        self.inner.lose_next.fetch_add(events, Relaxed);
    }

    /// Serials lost on purpose in this epoch.
    #[must_use]
    pub fn lost(&self) -> Vec<u64> {
        let epoch = self.inner.machine.held().1;
        let lost = self.inner.lost();
        let now = lost.iter().filter(|(of, _)| *of == epoch);
        now.map(|(_, serial)| *serial).collect()
    }

    /// The newest serial; 0 in an empty log.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.inner.machine.bounds().1
    }

    /// Events not yet answered 200.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.newest().saturating_sub(self.inner.machine.uploaded())
    }

    /// Empties the log: serials begin at 1 again.
    pub fn reset_ring(&self) {
        self.inner.machine.reset();
    }

    /// Moves the device's clock by so many seconds.
    pub fn shift_clock(&self, seconds: i64) {
        self.inner.machine.shift_clock(seconds);
    }

    /// What it did so far.
    #[must_use]
    pub fn counters(&self) -> PostCounters {
        let counts = &self.inner.counts;
        PostCounters {
            posted: counts.posted.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            failed: counts.failed.load(Relaxed),
            replayed: counts.replayed.load(Relaxed),
            lost: u64::try_from(self.inner.lost().len()).unwrap_or(0),
            heartbeats: counts.heartbeats.load(Relaxed),
        }
    }

    /// The next person in turn, for a fleet.
    pub(crate) async fn next_punch(&self) -> io::Result<u64> {
        self.inner.machine.next_punch().await
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

impl Inner {
    fn lost(&self) -> std::sync::MutexGuard<'_, BTreeSet<(u32, u64)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when this event is lost on purpose; then it counts as told.
    fn loses(&self, placed: &Placed) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let ordered = self.lose_next.fetch_update(Relaxed, Relaxed, one_less);
        let drawn = draw(self.options.seed, DRAW_LOSE, placed.serial);
        if ordered.is_err() && !hits(self.options.post.lose, drawn) {
            return false;
        }
        self.lost().insert((placed.epoch, placed.serial));
        self.machine.mark_uploaded(placed, true);
        self.machine.count_lost(placed);
        true
    }

    /// Content type and body of one post.
    fn event(&self, placed: &Placed, current: bool) -> (String, Vec<u8>) {
        let habits = &self.options.post;
        let camera = habits.shape == PostShape::CameraXml;
        let pictured = habits.picture_bytes > 0 && (camera || !placed.row.person.is_empty());
        if camera {
            let body = words::camera(&self.machine, placed, u8::from(pictured));
            return self.wrapped(body, pictured);
        }
        let told = Telling {
            port: 80,
            current: habits.current_event.then_some(current),
            serials: true,
            front: self.machine.front(),
            pictures: u8::from(pictured),
        };
        let body = words::event(&self.machine, placed, told, self.words());
        self.wrapped(body, pictured)
    }

    fn words(&self) -> Words {
        match self.options.post.shape {
            PostShape::EventLog | PostShape::AccessController | PostShape::BareJson => Words::Json,
            PostShape::WrongType => Words::Nested,
            PostShape::BareXml | PostShape::CameraXml => Words::Xml,
        }
    }

    fn wrapped(&self, body: Vec<u8>, pictured: bool) -> (String, Vec<u8>) {
        let length = body.len();
        let (token, part) = match self.options.post.shape {
            PostShape::BareXml => return ("application/xml; charset=\"UTF-8\"".to_owned(), body),
            PostShape::BareJson => return ("application/json".to_owned(), body),
            PostShape::WrongType => return ("text/plain".to_owned(), body),
            PostShape::EventLog => (
                "MIME_boundary",
                "Content-Disposition: form-data; name=\"event_log\"\r\n\r\n".to_owned(),
            ),
            PostShape::AccessController => (
                "MIME_boundary",
                format!(
                    "Content-Disposition: form-data; name=\"AccessControllerEvent\"\r\n\
                     Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
                ),
            ),
            PostShape::CameraXml => (
                "boundary",
                format!(
                    "Content-Disposition: form-data; name=\"linedetection\"\r\n\
                     Content-Type: application/xml\r\nContent-Length: {length}\r\n\r\n"
                ),
            ),
        };
        let mut all = format!("--{token}\r\n{part}").into_bytes();
        all.extend_from_slice(&body);
        all.extend_from_slice(b"\r\n");
        if pictured {
            let picture = words::picture(self.options.post.picture_bytes);
            let head = format!(
                "--{token}\r\nContent-Disposition: form-data; name=\"Picture\"; \
                 filename=\"Picture.jpg\"\r\nContent-Type: image/jpeg\r\n\
                 Content-Length: {}\r\n\r\n",
                picture.len()
            );
            all.extend_from_slice(head.as_bytes());
            all.extend_from_slice(picture);
            all.extend_from_slice(b"\r\n");
        }
        all.extend_from_slice(format!("--{token}--\r\n").as_bytes());
        let named = match (self.options.post.boundary_other_case, token) {
            (false, token) => token,
            (true, "boundary") => "Boundary",
            (true, _) => "mime_boundary",
        };
        (format!("multipart/form-data; boundary={named}"), all)
    }

    /// The ledger lines of an event that was answered 200. A camera tells no serial.
    fn lines(&self, placed: &Placed) -> io::Result<Vec<u8>> {
        let mut placed = placed.clone();
        if self.options.post.shape == PostShape::CameraXml {
            placed.serial = 0;
            placed.row.major = 0;
            placed.row.minor = 0;
            placed.row.status = 0;
            placed.row.person = event::Text::default();
        }
        self.machine.lines(&[placed])
    }
}

/// The part of a posting device that posts.
struct Poster {
    inner: Arc<Inner>,
    connection: Connection,
}

impl Poster {
    async fn run(mut self) {
        let stop = self.inner.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.post_all() => {}
        }
    }

    async fn post_all(&mut self) {
        let inner = Arc::clone(&self.inner);
        let habits = &inner.options.post;
        let mut news = inner.machine.watch();
        let beat = Duration::from_millis(habits.heartbeat_ms);
        let retry = Duration::from_millis(habits.retry_ms);
        let mut next_beat = Instant::now();
        // A history is old; what comes into an empty log is not.
        let mut live = inner.options.log.history == 0;
        let mut shown: Option<Placed> = None;
        loop {
            let Some(placed) = inner.machine.next_upload() else {
                live = true;
                tokio::select! {
                    _ = news.changed() => {}
                    () = tokio::time::sleep_until(next_beat), if habits.heartbeat_ms > 0 => {
                        self.heartbeat().await;
                        next_beat = Instant::now() + beat;
                    }
                }
                continue;
            };
            // What was shown to the server once is never lost on purpose: it may have it.
            let again = shown.as_ref() == Some(&placed);
            if !again && inner.loses(&placed) {
                continue;
            }
            let (kind, body) = inner.event(&placed, live && !again);
            shown = Some(placed.clone());
            if self.post(&kind, &body).await {
                if self.acknowledged(&placed).await.is_err() {
                    return;
                }
                self.replay(&placed).await;
            } else {
                live = false;
                tokio::time::sleep(retry).await;
            }
        }
    }

    async fn acknowledged(&self, placed: &Placed) -> io::Result<()> {
        let inner = &self.inner;
        if let Some(ledger) = &inner.ledger {
            ledger.append(inner.lines(placed)?).await?;
        }
        inner.machine.mark_uploaded(placed, true);
        inner.machine.count_served(placed);
        inner.counts.posted.fetch_add(1, Relaxed);
        Ok(())
    }

    /// An older event once more, where the habits have that.
    async fn replay(&mut self, placed: &Placed) {
        let inner = Arc::clone(&self.inner);
        let seed = inner.options.seed;
        if !hits(
            inner.options.post.replay,
            draw(seed, DRAW_REPLAY, placed.serial),
        ) {
            return;
        }
        let (oldest, _) = inner.machine.bounds();
        let choices = (placed.serial + 1).saturating_sub(oldest).max(1);
        let serial = oldest + draw(seed, DRAW_REPLAYED, placed.serial) % choices;
        let Some(old) = inner.machine.placed(serial) else {
            return;
        };
        if old.epoch != placed.epoch || inner.lost().contains(&(old.epoch, serial)) {
            return;
        }
        let (kind, body) = inner.event(&old, false);
        if self.post(&kind, &body).await {
            inner.counts.replayed.fetch_add(1, Relaxed);
        }
    }

    async fn heartbeat(&mut self) {
        let inner = Arc::clone(&self.inner);
        let camera = inner.options.post.shape == PostShape::CameraXml;
        let body = words::heartbeat(&inner.machine, 80, camera, inner.words());
        let (kind, body) = inner.wrapped(body, false);
        if self.post(&kind, &body).await {
            inner.counts.heartbeats.fetch_add(1, Relaxed);
        }
    }

    /// Posts, and tells whether it was answered 200.
    async fn post(&mut self, kind: &str, body: &[u8]) -> bool {
        let inner = Arc::clone(&self.inner);
        let habits = &inner.options.post;
        let path = match inner.target.prefix() {
            "" => "/",
            path => path,
        };
        let connection = if habits.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\
             Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            inner.target.authority(),
            body.len()
        )
        .into_bytes();
        let body_at = request.len();
        request.extend_from_slice(body);
        let patience = Duration::from_secs(habits.timeout_s);
        let exchange = self.connection.exchange(
            &inner.target,
            &request,
            body_at,
            Delivery::Whole,
            !habits.keep_alive,
        );
        let outcome = tokio::time::timeout(patience, exchange).await;
        self.connection.rest();
        match outcome {
            Ok(Ok(Exchange::Replied(reply))) if reply.status == 200 => true,
            Ok(Ok(_)) => {
                inner.counts.refused.fetch_add(1, Relaxed);
                false
            }
            Ok(Err(_)) | Err(_) => {
                self.connection.hang_up();
                inner.counts.failed.fetch_add(1, Relaxed);
                false
            }
        }
    }
}
