//! A terminal on port 4370: its sockets, the one place that it has for a client, and handles to
//! do to it what the field does.
//!
//! TCP and UDP share the port number and the place. A terminal ends when it is dropped.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answers::{Answer, Client};
use super::lies::Lie;
use super::machine::{Machine, Record, Totals, lock};
use super::options::{PullOptions, SecondClient};
use super::wire::{Reply, Request, framed, request, unframed};
use crate::ledger::Ledger;
use crate::random::{draw, hits};

/// Ports tried until one is free for both transports.
const PORTS: u32 = 50;
/// How long a UDP client may be silent before another one may have its place.
const UDP_IDLE: Duration = Duration::from_secs(3);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest piece of a write that is cut at random places.
const PIECE: u64 = 3_000;
const DRAW_LOSS: u64 = 451;
const DRAW_SWAP: u64 = 452;
const DRAW_CUT: u64 = 453;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What clients did to a terminal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct PullCounters { $($(#[$doc])* pub $name: u64),+ }

        #[derive(Debug, Default)]
        pub(super) struct Counts { $(pub(super) $name: AtomicU64),+ }

        impl Counts {
            fn read(&self) -> PullCounters {
                PullCounters { $($name: self.$name.load(Relaxed)),+ }
            }
        }
    };
}

counters! {
    /// TCP connections.
    connections,
    /// Sessions opened.
    sessions,
    /// Clients that found its place taken.
    turned_away,
    /// Wrong communication keys.
    wrong_keys,
    /// Requests.
    requests,
    /// Requests with a wrong checksum.
    bad_sums,
    /// Sessions that ended with EXIT.
    exits,
    /// Times that it was locked for people: must stay 0.
    disables,
    /// Times that something in it was cleared or deleted: must stay 0.
    destroyed,
    /// Times that its clock was set.
    clock_sets,
    /// Times that its log was prepared for reading.
    logs,
    /// Bytes of tables handed out, roughly.
    bytes,
    /// Events sent.
    events,
    /// Events acknowledged.
    acks,
}

/// The inside of a terminal.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) machine: Machine,
    pub(super) counts: Counts,
    key: AtomicU32,
    sessions: AtomicU32,
    clients: AtomicU64,
    drawn: AtomicU64,
    /// Whose place it is, and until when it stays taken after its client left.
    place: Mutex<Option<(u64, Option<Instant>)>>,
    /// Another program has the place.
    occupied: AtomicBool,
    down: AtomicBool,
    /// It lies no more.
    honest: AtomicBool,
    /// Cancelled when all connections break; a new one after that.
    power: Mutex<CancellationToken>,
    stop: CancellationToken,
}

/// A terminal. Dropping it stops it.
#[derive(Debug)]
pub struct Terminal {
    inner: Arc<Inner>,
    address: SocketAddr,
}

impl Terminal {
    /// Starts a terminal on the current tokio runtime. What comes into its log from now on goes
    /// into the ledger first, where there is one; for what is there already see
    /// [`Terminal::own_up`].
    ///
    /// # Errors
    /// The options are wrong, or the port is taken.
    pub fn start(options: PullOptions, ledger: Option<Ledger>) -> io::Result<Self> {
        Self::with(options, ledger, (Arc::default(), 0))
    }

    pub(crate) fn with(
        options: PullOptions,
        ledger: Option<Ledger>,
        shared: (Arc<Totals>, i64),
    ) -> io::Result<Self> {
        options.check().map_err(io::Error::other)?;
        let (tcp, udp) = sockets(options.port)?;
        let address = tcp.local_addr()?;
        let inner = Arc::new(Inner {
            key: AtomicU32::new(options.comm_key),
            sessions: AtomicU32::new(0x6b9f),
            machine: Machine::new(options, ledger, shared)?,
            counts: Counts::default(),
            clients: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
            place: Mutex::default(),
            occupied: AtomicBool::new(false),
            down: AtomicBool::new(false),
            honest: AtomicBool::new(false),
            power: Mutex::default(),
            stop: CancellationToken::new(),
        });
        let options = &inner.machine.options;
        if options.tcp {
            tcp.set_nonblocking(true)?;
            let listener = TcpListener::from_std(tcp)?;
            tokio::spawn(accept(Arc::clone(&inner), listener));
        }
        if options.udp {
            udp.set_nonblocking(true)?;
            tokio::spawn(datagrams(Arc::clone(&inner), UdpSocket::from_std(udp)?));
        }
        Ok(Self { inner, address })
    }

    /// The serial number under which it is owed what it holds.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.inner.machine.options.serial
    }

    /// Where it listens, TCP and UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes what it held at the beginning into the ledger. To be called once, before anybody
    /// compares.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn own_up(&self) -> io::Result<()> {
        self.inner.machine.own_up().await
    }

    /// So many people punch, each in turn.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn crowd(&self, people: usize) -> io::Result<()> {
        self.inner.machine.punch(&vec![None; people]).await
    }

    /// The person in that place of the list punches.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn punch(&self, place: usize) -> io::Result<()> {
        self.inner.machine.punch(&[Some(place)]).await
    }

    /// Enrols a person; answers the place in the list.
    pub fn enrol(&self, pin: &str) -> usize {
        self.inner.machine.enrol(pin)
    }

    /// The newest `count` records as the same firmware would push them: other verify codes, a
    /// work code, PINs with their zeros.
    #[must_use]
    pub fn pushed(&self, count: usize) -> Vec<String> {
        self.inner.machine.pushed(count)
    }

    /// Records held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.inner.machine.held().0
    }

    /// Records held that no client has read to their end.
    #[must_use]
    pub fn unserved(&self) -> u64 {
        self.inner.machine.unserved()
    }

    /// Empties the log, as somebody at its menu does.
    pub fn clear_log(&self) {
        self.inner.machine.clear_log();
    }

    /// Moves its clock.
    pub fn shift_clock(&self, seconds: i64) {
        self.inner.machine.shift_clock(seconds);
    }

    /// Another communication key from the next session on.
    pub fn set_key(&self, key: u32) {
        self.inner.key.store(key, Relaxed);
    }

    /// Another serial number, as if the hardware was exchanged.
    pub fn rename(&self, serial: &str) {
        self.inner.machine.rename(serial);
    }

    /// Every connection breaks.
    pub fn cut(&self) {
        let power = std::mem::take(&mut *lock(&self.inner.power));
        power.cancel();
        *lock(&self.inner.place) = None;
    }

    /// Goes down, or comes back: connections are refused and break, datagrams are lost.
    pub fn set_down(&self, down: bool) {
        self.inner.down.store(down, Relaxed);
        if down {
            self.cut();
        }
    }

    /// From now on it tells the truth.
    pub fn stop_lying(&self) {
        self.inner.honest.store(true, Relaxed);
    }

    /// Another program takes its one place, or gives it back.
    pub fn occupy(&self, occupied: bool) {
        self.inner.occupied.store(occupied, Relaxed);
        if occupied {
            self.cut();
        }
    }

    /// What clients did so far.
    #[must_use]
    pub fn counters(&self) -> PullCounters {
        self.inner.counts.read()
    }

    pub(crate) async fn next_punch(&self) -> io::Result<()> {
        self.crowd(1).await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.inner.stop.cancel();
    }
}

/// A port that both transports have.
fn sockets(port: u16) -> io::Result<(std::net::TcpListener, std::net::UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..PORTS {
        let tcp = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        match std::net::UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => return Ok((tcp, udp)),
            Err(why) if port != 0 => return Err(why),
            Err(why) => last = why,
        }
    }
    Err(last)
}

impl Inner {
    pub(super) fn key(&self) -> u32 {
        self.key.load(Relaxed)
    }

    /// A session id: a slow counter, never 0.
    pub(super) fn next_session(&self) -> u16 {
        let next = self.sessions.fetch_add(1, Relaxed) % 65_000;
        u16::try_from(next).unwrap_or(0) + 1
    }

    /// Takes the terminal's one place for this client, or finds it taken.
    pub(super) fn take_place(&self, id: u64) -> bool {
        let mut place = lock(&self.place);
        let is_free = match *place {
            None => true,
            Some((whose, ends)) => whose == id || ends.is_some_and(|end| end <= Instant::now()),
        };
        if is_free && !self.occupied.load(Relaxed) {
            *place = Some((id, None));
            return true;
        }
        false
    }

    /// The client left; without EXIT its place stays taken for a while.
    fn leave_place(&self, id: u64, said_exit: bool) {
        let mut place = lock(&self.place);
        if place.is_some_and(|(whose, _)| whose == id) {
            let lingers = Duration::from_millis(self.machine.options.lingers_ms);
            *place =
                (!said_exit && !lingers.is_zero()).then(|| (id, Some(Instant::now() + lingers)));
        }
    }

    pub(super) fn shuts_second(&self) -> bool {
        self.machine.options.second == SecondClient::Closed
    }

    /// What it lies about now.
    pub(super) fn lie(&self) -> Lie {
        match self.honest.load(Relaxed) {
            true => Lie::None,
            false => self.machine.options.lie,
        }
    }

    fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    fn next_client(&self, udp: bool) -> Client {
        Client::new(self.clients.fetch_add(1, Relaxed) + 1, udp)
    }

    /// The next number that looks random.
    fn drawn(&self, purpose: u64) -> u64 {
        let place = self.drawn.fetch_add(1, Relaxed);
        draw(self.machine.options.seed, purpose, place)
    }

    fn hits(&self, share: f64, purpose: u64) -> bool {
        share > 0.0 && hits(share, self.drawn(purpose))
    }
}

/// Takes connections until the terminal ends.
async fn accept(inner: Arc<Inner>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = inner.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if inner.is_down() {
            // A terminal that is down has no listener; a reset is the nearest to that.
            socket.set_zero_linger().ok();
            continue;
        }
        inner.counts.connections.fetch_add(1, Relaxed);
        tokio::spawn(connection(Arc::clone(&inner), socket));
    }
}

/// One TCP connection, until it ends, the power goes or the terminal does.
async fn connection(inner: Arc<Inner>, socket: TcpStream) {
    let power = lock(&inner.power).clone();
    socket.set_nodelay(true).ok();
    let mut client = inner.next_client(false);
    let id = client.id;
    let mut stream = Stream {
        inner: &inner,
        socket,
        buffer: Vec::new(),
    };
    let said_exit = tokio::select! {
        // What was cut brings nothing more, however much was on its way.
        biased;
        () = inner.stop.cancelled() => false,
        () = power.cancelled() => {
            stream.socket.set_zero_linger().ok();
            false
        }
        done = stream.talk(&mut client) => done.unwrap_or(false),
    };
    inner.leave_place(id, said_exit);
}

struct Stream<'a> {
    inner: &'a Inner,
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Stream<'_> {
    /// Answers until the client leaves; true when it said so.
    async fn talk(&mut self, client: &mut Client) -> io::Result<bool> {
        let options = &self.inner.machine.options;
        if options.panel {
            self.socket
                .write_all(&[0xaa, 1, 0xc8, 0, 0, 0, 0, 0x55])
                .await?;
        }
        let mut read = [0; 4_096];
        loop {
            while let Some(request) = self.next()? {
                if options.silent_tcp {
                    continue;
                }
                let answer = client.answer(self.inner, &request);
                tokio::time::sleep(answer.after).await;
                if answer.shut {
                    return Ok(false);
                }
                self.answer(client, &answer).await?;
                if answer.ends {
                    return Ok(true);
                }
            }
            tokio::select! {
                count = self.socket.read(&mut read) => match count? {
                    0 => return Ok(false),
                    count => self.buffer.extend(read.iter().take(count)),
                },
                record = next_event(client) => {
                    let event = Client::event(self.inner, &record);
                    self.write(&event.map(|e| framed(&e.packet())).unwrap_or_default()).await?;
                }
            }
        }
    }

    fn next(&mut self) -> io::Result<Option<Request>> {
        match unframed(&mut self.buffer) {
            Ok(packet) => Ok(packet.as_deref().and_then(request)),
            // A terminal closes a connection that speaks something else.
            Err(()) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Everything that answers goes out together, with the events that happened meanwhile; or
    /// packet by packet, where the terminal takes its time.
    async fn answer(&mut self, client: &mut Client, answer: &Answer) -> io::Result<()> {
        let pause = Duration::from_millis(self.inner.machine.options.packet_ms);
        let mut bytes: Vec<u8> = answer.raw.clone();
        for reply in &answer.replies {
            bytes.extend(framed(&reply.packet()));
            if !pause.is_zero() {
                self.write(&std::mem::take(&mut bytes)).await?;
                tokio::time::sleep(pause).await;
            }
        }
        while let Some(Ok(record)) = client.events.as_mut().map(|events| events.try_recv()) {
            let event = Client::event(self.inner, &record);
            bytes.extend(event.map(|e| framed(&e.packet())).unwrap_or_default());
        }
        self.write(&bytes).await
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.inner.machine.options.split {
            return self.socket.write_all(bytes).await;
        }
        while !bytes.is_empty() {
            let cut = usize::try_from(1 + self.inner.drawn(DRAW_CUT) % PIECE).unwrap_or(1);
            let (piece, rest) = bytes.split_at(cut.min(bytes.len()));
            self.socket.write_all(piece).await?;
            tokio::task::yield_now().await;
            bytes = rest;
        }
        Ok(())
    }
}

/// The next punch, for a client that asked for them.
async fn next_event(client: &mut Client) -> Record {
    loop {
        let Some(events) = &mut client.events else {
            return std::future::pending().await;
        };
        match events.recv().await {
            Ok(record) => return record,
            // Too many at once: a real terminal forgets some as well.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => client.events = None,
        }
    }
}

/// The UDP side, until the terminal ends.
async fn datagrams(inner: Arc<Inner>, socket: UdpSocket) {
    let mut side = Udp {
        inner: &inner,
        socket,
        client: None,
    };
    tokio::select! {
        () = inner.stop.cancelled() => {}
        () = side.serve() => {}
    }
}

struct Udp<'a> {
    inner: &'a Inner,
    socket: UdpSocket,
    client: Option<(SocketAddr, Instant, Client)>,
}

impl Udp<'_> {
    async fn serve(&mut self) {
        let mut datagram = [0; 2_048];
        loop {
            let event = async {
                match &mut self.client {
                    Some((to, _, client)) => (*to, next_event(client).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    // An error tells of a client that is gone.
                    let Ok((length, from)) = received else { continue };
                    let packet = datagram.get(..length).unwrap_or_default();
                    if let Some(request) = request(packet).filter(|_| !self.is_lost()) {
                        self.request(from, &request).await;
                    }
                }
                (to, record) = event => {
                    let event = Client::event(self.inner, &record);
                    self.send(to, event.as_slice()).await;
                }
            }
        }
    }

    fn is_lost(&self) -> bool {
        let loss = self.inner.machine.options.loss;
        self.inner.is_down() || self.inner.hits(loss, DRAW_LOSS)
    }

    async fn request(&mut self, from: SocketAddr, request: &Request) {
        let now = Instant::now();
        let same = self
            .client
            .as_ref()
            .is_some_and(|(whose, _, _)| *whose == from);
        if !same {
            let idle = |(_, heard, _): &(SocketAddr, Instant, Client)| now - *heard >= UDP_IDLE;
            if request.command != 1000 || !self.client.as_ref().is_none_or(idle) {
                return;
            }
            if let Some((_, _, gone)) = self.client.take() {
                self.inner.leave_place(gone.id, true);
            }
            self.client = Some((from, now, self.inner.next_client(true)));
        }
        let Some((_, heard, client)) = &mut self.client else {
            return;
        };
        *heard = now;
        let answer = client.answer(self.inner, request);
        let id = client.id;
        tokio::time::sleep(answer.after).await;
        self.send(from, &answer.replies).await;
        if answer.ends {
            self.inner.leave_place(id, true);
            self.client = None;
        }
    }

    /// Sends what the network leaves of it, in the order that the network makes.
    async fn send(&self, to: SocketAddr, replies: &[Reply]) {
        let swap = self.inner.machine.options.swap;
        let mut waiting: VecDeque<Vec<u8>> = replies.iter().map(Reply::packet).collect();
        let mut sent = 0_u32;
        while let Some(mut packet) = waiting.pop_front() {
            if let Some(next) = waiting
                .front_mut()
                .filter(|_| self.inner.hits(swap, DRAW_SWAP))
            {
                std::mem::swap(&mut packet, next);
            }
            if !self.is_lost() {
                // A full buffer loses datagrams too.
                self.socket.send_to(&packet, to).await.ok();
            }
            sent += 1;
            if sent.is_multiple_of(8) {
                tokio::task::yield_now().await;
            }
        }
    }
}
