//! A device that is dialled: a small web server on a port of its own, and handles to break it.
//!
//! Every request must log in. One account, few connections, one arming slot. The handles do
//! to a device what the field does: a reboot, a reset, a stream that dies without a word, a
//! clock that jumps. Counters tell what a client did; tests judge clients by them. A device
//! ends when it is dropped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::digest::{Guard, Verdict};
use super::documents::{self, refusal_xml};
use super::hosts::{Host, Hosts};
use super::machine::{Draft, Machine, Totals};
use super::options::DeviceOptions;
use super::stream;
use super::wire::{Request, Response, Wire};
use crate::ledger::Ledger;

/// How long a connection may stand idle.
const IDLE: Duration = Duration::from_secs(60);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const STREAM: &str = "/ISAPI/Event/notification/alertStream";
const HOSTS: &str = "/ISAPI/Event/notification/httpHosts";

/// What clients did to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Connections so far.
    pub connections: u64,
    /// Connections open now.
    pub open: u64,
    /// The most that were open at one time.
    pub peak: u64,
    /// Connections beyond the device's limit.
    pub connections_refused: u64,
    /// Requests.
    pub requests: u64,
    /// Requests without a login that were challenged.
    pub challenges: u64,
    /// Logins: nonces used for the first time, and rightly.
    pub logins: u64,
    /// Wrong logins.
    pub logins_wrong: u64,
    /// Times that wrong logins locked an address.
    pub lockouts: u64,
    /// Logins while locked: each began the time anew.
    pub locked_logins: u64,
    /// Right logins with a nonce that the device no longer knew.
    pub stale: u64,
    /// Nonces for one use that were used again.
    pub spent: u64,
    /// Streams opened.
    pub streams: u64,
    /// Streams refused with `deployExceedMax`.
    pub arming_refused: u64,
    /// Events that went out on streams, repetitions among them.
    pub streamed: u64,
    /// Heartbeats on streams, the first of each stream not counted.
    pub heartbeats: u64,
    /// Searches, each page counted.
    pub questions: u64,
    /// Pages among them that held rows.
    pub pages: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    connections: AtomicU64,
    open: AtomicU64,
    peak: AtomicU64,
    connections_refused: AtomicU64,
    requests: AtomicU64,
    challenges: AtomicU64,
    logins: AtomicU64,
    logins_wrong: AtomicU64,
    lockouts: AtomicU64,
    locked_logins: AtomicU64,
    stale: AtomicU64,
    spent: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) arming_refused: AtomicU64,
    pub(super) streamed: AtomicU64,
    pub(super) heartbeats: AtomicU64,
    questions: AtomicU64,
    pages: AtomicU64,
}

/// Why rows of a device may not have reached anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// There was no request.
    NotAsked,
    /// Nobody has logged in.
    NoLogin,
    /// So many logins were wrong.
    WrongLogins(u64),
    /// It answered so many searches, which did not ask for everything.
    AskedInPart(u64),
}

/// A client that holds an arming slot, or held it until just now.
#[derive(Debug)]
struct Armed {
    number: u64,
    from: IpAddr,
    ends: Option<Instant>,
}

#[derive(Debug, Default)]
struct Slots {
    count: u64,
    armed: Vec<Armed>,
}

/// The inside of a dialled device.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) options: DeviceOptions,
    pub(super) machine: Machine,
    pub(super) counts: Counts,
    /// Rises when every open stream falls silent.
    pub(super) killed: watch::Sender<u64>,
    pub(super) port: u16,
    guard: Guard,
    hosts: Hosts,
    stalled: Mutex<Option<Instant>>,
    slots: Mutex<Slots>,
    down_until: Mutex<Option<Instant>>,
    /// Cancelled when the power goes; a new one after that.
    power: Mutex<CancellationToken>,
    stop: CancellationToken,
}

/// A dialled device. Dropping it stops it.
#[derive(Debug)]
pub struct Device {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl Device {
    /// Starts a device on the current tokio runtime. Every row that it makes goes into the
    /// ledger, where there is one.
    ///
    /// # Errors
    /// The options are wrong, or the port is taken.
    pub fn start(options: DeviceOptions, ledger: Option<Ledger>) -> io::Result<Self> {
        Self::with(options, ledger, (Arc::default(), 0))
    }

    /// The same as part of a fleet: with its counters, and a clock so many seconds off.
    pub(crate) fn with(
        options: DeviceOptions,
        ledger: Option<Ledger>,
        shared: (Arc<Totals>, i64),
    ) -> io::Result<Self> {
        options.check().map_err(io::Error::other)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let salt = format!("{}:{}", options.serial, Timestamp::now().as_nanosecond());
        let (serial, zone, log) = (&options.serial, &options.zone, options.log.clone());
        let machine = Machine::new(serial, zone, options.seed, log, ledger, shared)?;
        let inner = Arc::new(Inner {
            guard: Guard::new(
                &options.user,
                &options.password,
                salt,
                options.login.clone(),
            ),
            machine,
            counts: Counts::default(),
            killed: watch::Sender::new(0),
            port: address.port(),
            hosts: Hosts::default(),
            stalled: Mutex::default(),
            slots: Mutex::default(),
            down_until: Mutex::default(),
            power: Mutex::default(),
            stop: CancellationToken::new(),
            options,
        });
        tokio::spawn(accept(Arc::clone(&inner), listener));
        Ok(Self { inner, address })
    }

    /// The device's whole serial.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.inner.options.serial
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The account, and its password.
    #[must_use]
    pub fn login(&self) -> (&str, &str) {
        (&self.inner.options.user, &self.inner.options.password)
    }

    /// Writes the history into the ledger, where it is owed. To be called once, before
    /// anybody compares.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn own_up(&self) -> io::Result<()> {
        self.inner.machine.own_up().await
    }

    /// Lets this person in by face; the rows of the door follow where the log has them.
    /// Returns the serial of the person's row when its ledger line is durable.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn punch(&self, person: &str) -> io::Result<u64> {
        self.inner.machine.punch(person, 75, 1).await
    }

    /// Lets so many people in, each in turn, as fast as the ledger takes it.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn crowd(&self, people: u64) -> io::Result<()> {
        for _ in 0..people {
            self.inner.machine.next_punch().await?;
        }
        Ok(())
    }

    /// Makes so many rows of one kind that names nobody, all at once; returns the first serial.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn rows(&self, major: u16, minor: u16, count: usize) -> io::Result<u64> {
        self.inner
            .machine
            .make(vec![Draft::plain(major, minor); count])
            .await
    }

    /// The newest serial; 0 in an empty log.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.inner.machine.bounds().1
    }

    /// The oldest serial still held.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.inner.machine.bounds().0
    }

    /// Rows held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.inner.machine.held().0
    }

    /// What stands under that serial in the log now: major, minor and wall time. A row that
    /// a reset or the ring has thrown away stands under none.
    #[must_use]
    pub fn shows(&self, serial_no: u64) -> Option<(u16, u16, String)> {
        let machine = &self.inner.machine;
        let row = machine.placed(serial_no)?.row;
        Some((row.major, row.minor, machine.wall(row.at_s)))
    }

    /// How often the log was reset.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.inner.machine.held().1
    }

    /// The serial up to which the stream has uploaded.
    #[must_use]
    pub fn uploaded(&self) -> u64 {
        self.inner.machine.uploaded()
    }

    /// Rows that no search of all majors has handed out yet.
    #[must_use]
    pub fn unserved(&self) -> u64 {
        self.inner.machine.unserved()
    }

    /// From now on logins and armings leave no rows in the log, whatever the options say: what
    /// is owed comes to an end only when the reader's own traces do.
    pub fn close(&self) {
        self.inner.machine.close();
    }

    /// Why rows may not have reached anybody.
    #[must_use]
    pub fn excuse(&self) -> Excuse {
        let counts = self.counters();
        match (counts.requests, counts.logins, counts.logins_wrong) {
            (0, ..) => Excuse::NotAsked,
            (_, 0, 0) => Excuse::NoLogin,
            (_, _, wrong) if wrong > 0 => Excuse::WrongLogins(wrong),
            _ => Excuse::AskedInPart(counts.questions),
        }
    }

    /// The listening hosts as they are set.
    #[must_use]
    pub fn hosts(&self) -> Vec<Host> {
        self.inner.hosts.all().to_vec()
    }

    /// Forgets the listening hosts, as devices do after an upgrade.
    pub fn forget_hosts(&self) {
        self.inner.hosts.clear();
    }

    /// Empties the log: serials begin at 1 again.
    pub fn reset_ring(&self) {
        self.inner.machine.reset();
    }

    /// Goes down at once and comes back after this time: connections break, nonces and locks
    /// are forgotten, serials survive. 3/123 is logged before and 2/1024 after.
    pub fn reboot(&self, down: Duration) {
        let inner = Arc::clone(&self.inner);
        *lock(&inner.down_until) = Some(Instant::now() + down);
        let power = std::mem::take(&mut *lock(&inner.power));
        power.cancel();
        inner.guard.forget(true);
        lock(&inner.slots).armed.clear();
        tokio::spawn(async move {
            // A ledger that cannot be written shows at the next punch.
            inner.machine.make(vec![Draft::plain(3, 123)]).await.ok();
            tokio::time::sleep(down).await;
            inner.machine.make(vec![Draft::plain(2, 1_024)]).await.ok();
        });
    }

    /// Every open stream falls silent: no byte more, and no end. New ones are fine.
    pub fn kill_stream(&self) {
        self.inner.killed.send_modify(|count| *count += 1);
    }

    /// Streams stop in the middle of the next part and go on after this time.
    pub fn stall(&self, pause: Duration) {
        *lock(&self.inner.stalled) = Some(Instant::now() + pause);
    }

    /// Forgets every nonce, so that the next request is stale.
    pub fn forget_nonces(&self) {
        self.inner.guard.forget(false);
    }

    /// Moves the device's clock by so many seconds.
    pub fn shift_clock(&self, seconds: i64) {
        self.inner.machine.shift_clock(seconds);
    }

    /// What clients did so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counts = &self.inner.counts;
        let get = |count: &AtomicU64| count.load(Relaxed);
        Counters {
            connections: get(&counts.connections),
            open: get(&counts.open),
            peak: get(&counts.peak),
            connections_refused: get(&counts.connections_refused),
            requests: get(&counts.requests),
            challenges: get(&counts.challenges),
            logins: get(&counts.logins),
            logins_wrong: get(&counts.logins_wrong),
            lockouts: get(&counts.lockouts),
            locked_logins: get(&counts.locked_logins),
            stale: get(&counts.stale),
            spent: get(&counts.spent),
            streams: get(&counts.streams),
            arming_refused: get(&counts.arming_refused),
            streamed: get(&counts.streamed),
            heartbeats: get(&counts.heartbeats),
            questions: get(&counts.questions),
            pages: get(&counts.pages),
        }
    }

    /// The next person in turn, for a fleet.
    pub(crate) async fn next_punch(&self) -> io::Result<u64> {
        self.inner.machine.next_punch().await
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// A slot that is given back when the stream ends.
pub(super) struct Slot {
    device: Arc<Inner>,
    number: u64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let linger = Duration::from_millis(self.device.options.stream.slot_lingers_ms);
        let mut slots = lock(&self.device.slots);
        let own = slots.armed.iter_mut().find(|a| a.number == self.number);
        if let Some(own) = own {
            own.ends = Some(Instant::now() + linger);
        }
    }
}

impl Inner {
    /// Takes an arming slot, where there is one.
    pub(super) fn arm(self: &Arc<Self>, from: IpAddr) -> Option<Slot> {
        let mut slots = lock(&self.slots);
        let now = Instant::now();
        slots.armed.retain(|a| a.ends.is_none_or(|end| end > now));
        if slots.armed.len() >= self.options.stream.slots {
            return None;
        }
        slots.count += 1;
        let number = slots.count;
        slots.armed.push(Armed {
            number,
            from,
            ends: None,
        });
        Some(Slot {
            device: Arc::clone(self),
            number,
        })
    }

    /// Logs that somebody armed or disarmed, where the log has that.
    pub(super) async fn note_arming(&self, armed: bool) {
        if self.options.log.arming {
            let minor = if armed { 121 } else { 122 };
            self.note(minor).await;
        }
    }

    async fn note(&self, minor: u16) {
        if self.machine.is_closed() {
            return;
        }
        // A ledger that cannot be written shows at the next punch.
        self.machine.make(vec![Draft::plain(3, minor)]).await.ok();
    }

    /// Until when streams stand still.
    pub(super) fn stalled(&self) -> Option<Instant> {
        lock(&self.stalled).filter(|until| *until > Instant::now())
    }

    fn is_down(&self) -> bool {
        lock(&self.down_until).is_some_and(|until| until > Instant::now())
    }

    fn deploy_info(&self) -> Response {
        let slots = lock(&self.slots);
        let entry = |(n, armed): (usize, &Armed)| {
            format!(
                "<Content>\n<deployNo>{n}</deployNo>\n<deployType>2</deployType>\n\
                 <ipAddr>{}</ipAddr>\n</Content>\n",
                armed.from
            )
        };
        let now = Instant::now();
        let armed = slots.armed.iter();
        let held = armed.filter(|a| a.ends.is_none_or(|end| end > now));
        let list: Vec<String> = (1..).zip(held).map(entry).collect();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeployInfo version=\"2.0\" \
             xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n<DeployList size=\"5\">\n{}\
             </DeployList>\n</DeployInfo>\n",
            list.concat()
        );
        Response::xml(200, body)
    }

    /// The answer to everything but the stream.
    async fn answer(&self, request: &Request) -> Response {
        let path = request.path();
        match (request.method.as_str(), path) {
            ("GET", "/ISAPI/System/deviceInfo") => documents::device_info(&self.machine),
            ("GET", "/ISAPI/System/time") => documents::time(&self.machine),
            ("GET", "/ISAPI/AccessControl/AcsEvent/capabilities") => documents::capabilities(self),
            ("POST", "/ISAPI/AccessControl/AcsEvent") => {
                self.counts.questions.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(self.options.search.page_ms)).await;
                let page = documents::search(self, &request.body);
                let rows = page.status == 200 && !contains(&page.body, b"NO MATCH");
                self.counts.pages.fetch_add(u64::from(rows), Relaxed);
                page
            }
            ("POST", "/ISAPI/AccessControl/AcsEventTotalNum") => {
                documents::total(self, &request.body)
            }
            ("GET", "/ISAPI/AccessControl/DeployInfo") => self.deploy_info(),
            _ => match path.strip_prefix(HOSTS) {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    self.hosts.answer(request, rest, &self.options.hosts)
                }
                _ => refusal_xml(404, 4, "Invalid Operation", "notSupport", 1_073_741_825),
            },
        }
    }

    /// The answer to a request that is not let in; `None` for one that is.
    fn gate(&self, request: &Request, verdict: &Verdict) -> Option<(Response, bool)> {
        let counts = &self.counts;
        let close = self.options.login.close_on_challenge;
        let add = |count: &AtomicU64| count.fetch_add(1, Relaxed);
        let (challenge, lock, seconds, left) = match *verdict {
            Verdict::Welcome { first } => {
                counts.logins.fetch_add(u64::from(first), Relaxed);
                return None;
            }
            Verdict::Challenge { stale } => {
                add(if stale {
                    &counts.stale
                } else {
                    &counts.challenges
                });
                let left = self.options.login.failures;
                (self.guard.challenge(stale), "unlock", 0, left)
            }
            Verdict::Spent => {
                add(&counts.spent);
                (String::new(), "unlock", 0, self.options.login.failures)
            }
            Verdict::Wrong { left } => {
                add(&counts.logins_wrong);
                (self.guard.challenge(false), "unlock", 0, left)
            }
            Verdict::Locked { now, seconds } => {
                if now {
                    add(&counts.logins_wrong);
                    add(&counts.lockouts);
                } else if request.authorization.is_some() {
                    add(&counts.locked_logins);
                }
                (String::new(), "lock", seconds, 0)
            }
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<userCheck version=\"2.0\" \
             xmlns=\"http://www.isapi.org/ver20/XMLSchema\">\n<statusValue>401</statusValue>\n\
             <statusString>Unauthorized</statusString>\n<lockStatus>{lock}</lockStatus>\n\
             <unlockTime>{seconds}</unlockTime>\n<retryLoginTime>{left}</retryLoginTime>\n\
             </userCheck>\n"
        );
        let mut response = Response::xml(401, body);
        response.lines = challenge;
        Some((response, close))
    }
}

/// Takes connections until the device ends.
async fn accept(inner: Arc<Inner>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = inner.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, from)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if inner.is_down() {
            // A device that is down has no listener; a reset is the nearest to that.
            socket.set_zero_linger().ok();
            continue;
        }
        tokio::spawn(converse(Arc::clone(&inner), socket, from.ip()));
    }
}

/// One connection, until it ends, the power goes or the device does.
async fn converse(inner: Arc<Inner>, socket: TcpStream, from: IpAddr) {
    let counts = &inner.counts;
    counts.connections.fetch_add(1, Relaxed);
    let open = counts.open.fetch_add(1, Relaxed) + 1;
    counts.peak.fetch_max(open, Relaxed);
    let power = lock(&inner.power).clone();
    let full = open > u64::from(inner.options.connections);
    // Without a delay of small packets, as the answers are written whole.
    socket.set_nodelay(true).ok();
    tokio::select! {
        () = inner.stop.cancelled() => {}
        () = power.cancelled() => {}
        () = talk(&inner, Wire::new(socket), from, full) => {}
    }
    inner.counts.open.fetch_sub(1, Relaxed);
}

async fn talk(inner: &Arc<Inner>, mut wire: Wire, from: IpAddr, full: bool) {
    let mut sessions = 0;
    while let Some(request) = wire.request(IDLE).await {
        inner.counts.requests.fetch_add(1, Relaxed);
        if full {
            inner.counts.connections_refused.fetch_add(1, Relaxed);
            let refused = refusal_xml(403, 4, "Invalid Operation", "invalidOperation", 1);
            wire.reply(&refused, true).await.ok();
            break;
        }
        let authorization = request.authorization.as_deref();
        let (method, target) = (&request.method, &request.target);
        let verdict = inner
            .guard
            .judge(Instant::now(), from, method, target, authorization);
        if let Some((refused, close)) = inner.gate(&request, &verdict) {
            let close = close || request.close;
            if wire.reply(&refused, close).await.is_err() || close {
                break;
            }
            continue;
        }
        if verdict == (Verdict::Welcome { first: true }) && inner.options.log.logins {
            inner.note(112).await;
            sessions += 1;
        }
        if request.method == "GET" && request.path() == STREAM {
            stream::serve(inner, &mut wire, from).await;
            break;
        }
        let response = inner.answer(&request).await;
        if wire.reply(&response, request.close).await.is_err() || request.close {
            break;
        }
    }
    for _ in 0..sessions {
        inner.note(113).await;
    }
}

fn contains(within: &[u8], what: &[u8]) -> bool {
    crate::http::find(within, what).is_some()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
