//! A full log over UDP that loses datagrams, and over TCP that is cut at random places: is the
//! count equal, every time, or is the end an explicit error?
//!
//! The session of `zkteco_pull` over real sockets, without satellite: what is tried is that a
//! short log never passes for a whole one. The run fails when one did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use event::Millis;
use terminals::pull::{PullOptions, Terminal};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zkteco_pull::{Action, Ask, Delivery, Error, Extent, Session, SessionOptions, Transport};

use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Records in the log.
    #[arg(long, default_value_t = 200_000)]
    records: u32,
    /// Reads over each transport.
    #[arg(long, default_value_t = 100)]
    runs: u32,
    /// Reads at the same time, each of a terminal of its own.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Share of datagrams lost, both ways.
    #[arg(long, default_value_t = 0.05)]
    loss: f64,
    /// Longest for one read, in seconds; a longer one counts as an error.
    #[arg(long, default_value_t = 600)]
    limit: u64,
}

const COLUMNS: &[&str] = &[
    "transport",
    "records",
    "runs",
    "count equal",
    "explicit error",
    "short without an error",
    "median s",
    "worst s",
    "requests repeated",
];

/// What came of one read.
struct Read {
    records: usize,
    error: Option<String>,
    seconds: f64,
    repeated: u64,
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let mut table = Table::new("A full log over a bad network", COLUMNS);
    let mut short = 0;
    for transport in [Transport::Tcp, Transport::Udp] {
        let reads = all(options, transport).await?;
        let whole = usize::try_from(options.records)?;
        let count = |wanted: &dyn Fn(&Read) -> bool| reads.iter().filter(|r| wanted(r)).count();
        let equal = count(&|read| read.error.is_none() && read.records == whole);
        let failed = count(&|read| read.error.is_some());
        let wrong = reads.len() - equal - failed;
        short += wrong;
        let mut seconds: Vec<f64> = reads.iter().map(|read| read.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |place: usize| seconds.get(place).copied().unwrap_or_default();
        for why in reads.iter().filter_map(|read| read.error.as_ref()) {
            eprintln!("  {transport:?}: {why}");
        }
        table.push(vec![
            Cell::text(format!("{transport:?}")),
            Cell::Count(options.records.into()),
            Cell::Count(u64::try_from(reads.len())?),
            Cell::Count(u64::try_from(equal)?),
            Cell::Count(u64::try_from(failed)?),
            Cell::Count(u64::try_from(wrong)?),
            Cell::Number(at(seconds.len() / 2), 2),
            Cell::Number(at(seconds.len().saturating_sub(1)), 2),
            Cell::Count(reads.iter().map(|read| read.repeated).sum()),
        ]);
    }
    ensure!(short == 0, "{short} logs were short and passed for whole");
    Ok(Report::new(vec![table]))
}

async fn all(options: &Options, transport: Transport) -> Result<Vec<Read>> {
    let slots = Arc::new(Semaphore::new(options.parallel.max(1)));
    let mut tasks = JoinSet::new();
    for run in 0..options.runs {
        let terminal = PullOptions {
            serial: format!("READ{run:07}"),
            seed: u64::from(run) + 1,
            history: options.records,
            capacity: options.records.max(1),
            split: true,
            loss: options.loss,
            ..PullOptions::default()
        };
        let (slots, limit) = (Arc::clone(&slots), Duration::from_secs(options.limit));
        tasks.spawn(async move {
            let _slot = slots.acquire_owned().await?;
            let terminal = Terminal::start(terminal, None)?;
            ensure!(terminal.held() > 0, "the terminal holds nothing");
            let begin = Instant::now();
            let done = tokio::time::timeout(limit, read(&terminal, transport)).await;
            let mut read = done.unwrap_or_else(|_| Ok(failed("not within the limit")))?;
            read.seconds = begin.elapsed().as_secs_f64();
            Ok::<_, anyhow::Error>(read)
        });
    }
    let mut reads = Vec::new();
    while let Some(done) = tasks.join_next().await {
        reads.push(done??);
    }
    Ok(reads)
}

fn failed(why: &str) -> Read {
    Read {
        records: 0,
        error: Some(why.to_owned()),
        seconds: 0.0,
        repeated: 0,
    }
}

enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

impl Socket {
    async fn open(terminal: &Terminal, transport: Transport) -> Result<Self> {
        Ok(match transport {
            Transport::Tcp => Self::Tcp(TcpStream::connect(terminal.address()).await?),
            Transport::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                socket.connect(terminal.address()).await?;
                Self::Udp(socket)
            }
        })
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await?,
            Self::Udp(socket) => {
                socket.send(bytes).await?;
            }
        }
        Ok(())
    }

    async fn hear(&self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            let read = match self {
                Self::Tcp(stream) => {
                    stream.readable().await?;
                    stream.try_read(buffer)
                }
                Self::Udp(socket) => {
                    socket.readable().await?;
                    socket.try_recv(buffer)
                }
            };
            match read {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(0) => bail!("the terminal closed the connection"),
                done => return Ok(done?),
            }
        }
    }
}

/// Reads the whole log once.
async fn read(terminal: &Terminal, transport: Transport) -> Result<Read> {
    let mut socket = Socket::open(terminal, transport).await?;
    let begin = Instant::now();
    // Records are up to now: a clock that is not behind them.
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let wall = i64::try_from(wall.as_millis())?;
    let now = || Millis(wall + i64::try_from(begin.elapsed().as_millis()).unwrap_or(0));
    let options = SessionOptions {
        transport,
        asks: vec![Ask::Sizes, Ask::Log(Extent::Whole)],
        ..SessionOptions::default()
    };
    let mut session = Session::new(options, now());
    let (mut records, mut error) = (0, None::<Error>);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match session.next(now()) {
            Action::Send(bytes) => socket.send(&bytes).await?,
            Action::Got(Delivery::Log(log)) => records += log.records().count(),
            Action::Got(_) => {}
            Action::Done => break,
            Action::Close(why) => {
                error = Some(why);
                break;
            }
            Action::Wait(until) => {
                let left = until.0.saturating_sub(now().0).max(0).unsigned_abs();
                let pause = tokio::time::sleep(Duration::from_millis(left));
                tokio::select! {
                    heard = socket.hear(&mut buffer) => {
                        let length = heard?;
                        session.heard(buffer.get(..length).unwrap_or_default(), now());
                    }
                    () = pause => {}
                }
            }
        }
    }
    Ok(Read {
        records,
        error: error.map(|why| why.to_string()),
        seconds: 0.0,
        repeated: session.counters().repeated,
    })
}
