//! Promise: whichever call to the kernel fails, or is the last one, nothing that was acknowledged is
//! lost or doubled, and satellite goes on.
//!
//! While a terminal pushes into a SQLite store, and while a Hikvision device posts into the journal
//! because its database is away, `strace` makes the first call of a kind on those files fail, then
//! the second, and so on until there are no more; each also as the call at which satellite dies.
//! Calls are counted by thread. Then files may only grow up to a length: the write that goes beyond
//! it ends in its middle, and those after it fail. What is not acknowledged is sent again. At the end
//! the feed is held against what was acknowledged, over a connection of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use mariadb::{Flavor, Server};
use promises::hikvision::{enrol_posting, post};
use promises::{Checker, Place, SatelliteProcess, Setup, attlog, blocking, full};
use tokio::process::{Child, Command};

/// What a commit asks of the kernel on files that are open, by what it is for.
const CALLS: [&str; 2] = ["write,pwrite64", "fsync,fdatasync"];
/// What becomes of a call: the disk fails, the disk is full, or satellite gets no further.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=KILL"];
/// Uploads while a call fails.
const POSTS: u64 = 3;
/// About as many bytes as these uploads write into the log of a SQLite file.
const WRITTEN: u64 = 30_000;
/// Longest until an upload that was refused is taken, without a fault or after a restart.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// How long `strace` may take to let go.
const LETS_GO_WITHIN: Duration = Duration::from_secs(5);

/// `strace` on all threads of a process; ends with this value.
struct Strace {
    child: Child,
    told: PathBuf,
}

impl Strace {
    /// Lays itself on the process and lets that call on those files fail.
    async fn on(
        process: u32,
        files: &[PathBuf],
        calls: &str,
        fault: &str,
        told: &Path,
    ) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(told);
        for file in files {
            command.arg("-P").arg(file);
        }
        command
            .args([
                "-e",
                &format!("trace={calls}"),
                "-e",
                &format!("inject={calls}:{fault}"),
            ])
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn().context("strace did not start")?;
        let mut strace = Self {
            child,
            told: told.to_owned(),
        };
        let begin = Instant::now();
        while !is_traced(process) {
            if let Some(status) = strace.child.try_wait()? {
                bail!("strace cannot trace here: {status}");
            }
            ensure!(begin.elapsed() < TAKEN_WITHIN, "strace does not attach");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(strace)
    }

    /// Lets go, and says how many calls failed.
    async fn off(mut self) -> Result<usize> {
        if let Some(process) = self.child.id() {
            let process = process.to_string();
            // It ends by itself when satellite did.
            Command::new("kill")
                .args(["-INT", &process])
                .output()
                .await?;
        }
        let ended = tokio::time::timeout(LETS_GO_WITHIN, self.child.wait()).await;
        if ended.is_err() {
            // What is traced goes on when its tracer is gone.
            self.child.kill().await?;
        }
        let told = std::fs::read(&self.told)?;
        let told = String::from_utf8_lossy(&told);
        Ok(told.matches("(INJECTED)").count() + told.matches("+++ killed by SIGKILL +++").count())
    }
}

/// Whether a tracer holds each thread of the process.
fn is_traced(process: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status"));
        status.is_ok_and(|status| !status.contains("TracerPid:\t0\n"))
    })
}

/// One device, and what became of what it sent.
struct Sweep {
    satellite: SatelliteProcess,
    /// The path at which it posts; a terminal that pushes has none.
    path: Option<String>,
    files: Vec<PathBuf>,
    /// Uploads made so far; each is a row of its own.
    made: u64,
    faults: usize,
    deaths: usize,
}

impl Sweep {
    async fn begin(place: &Place, posts: bool, file: &Path) -> Result<Self> {
        let setup = Setup::new(place.clone()).enrol(["CALL001"]);
        let satellite = SatelliteProcess::start(&setup).await?;
        let path = match posts {
            true => Some(enrol_posting(&satellite, "HIKCALL001", &[]).await?),
            false => None,
        };
        let named = |end: &str| {
            let mut name = satellite.folder().join(file).into_os_string();
            name.push(end);
            PathBuf::from(name)
        };
        let files = ["", "-wal", "-shm", "-journal"].map(named).to_vec();
        let mut sweep = Self {
            satellite,
            path,
            files,
            made: 0,
            faults: 0,
            deaths: 0,
        };
        sweep.until_taken(1).await?;
        Ok(sweep)
    }

    /// Every call of every kind, each with every fault; in the short form, every third.
    async fn run(&mut self) -> Result<()> {
        let step = if full() { 1 } else { 3 };
        for calls in CALLS {
            for fault in FAULTS {
                let mut at = 1;
                while self.with(calls, &format!("{fault}:when={at}")).await? > 0 {
                    at += step;
                }
                println!("{calls} {fault}: {} calls", at - 1);
                ensure!(at > 1, "no call of {calls} was seen on {:?}", self.files);
            }
        }
        Ok(())
    }

    async fn with(&mut self, calls: &str, fault: &str) -> Result<usize> {
        let process = self.satellite.process().context("it does not run")?;
        let told = self.satellite.folder().join("strace");
        let strace = Strace::on(process, &self.files, calls, fault, &told).await?;
        let refused = self.upload().await;
        let failed = strace.off().await?;
        if !self.satellite.is_alive() {
            self.satellite.ended().await?;
            self.satellite.run_until_heard().await?;
            self.deaths += 1;
        }
        let taken = self.upload_again(refused).await;
        taken.with_context(|| format!("{calls} {fault}"))?;
        self.faults += failed;
        Ok(failed)
    }

    /// Every length at which a write can end in its middle; in the short form, some.
    async fn cut_short(&mut self) -> Result<()> {
        let step = if full() { 131 } else { 2_711 };
        // It would end a process that does not expect it.
        self.satellite.is_deaf_to("XFSZ")?;
        let mut planned = 0;
        for length in (1..WRITTEN).step_by(step) {
            planned += 1;
            self.faults += usize::from(self.up_to(length).await?);
        }
        println!(
            "{} of {planned} lengths ended a write in its middle",
            self.faults
        );
        ensure!(self.faults * 3 > planned, "too many writes were whole");
        Ok(())
    }

    /// Uploads while no file may be longer; true when a write ended there.
    async fn up_to(&mut self, length: u64) -> Result<bool> {
        // Whoever ends well leaves no log of its file, so that the next one begins at its start.
        self.satellite.terminate().await?;
        self.satellite.run_until_heard().await?;
        let process = self.satellite.process().context("it does not run")?;
        limit_files(process, &length.to_string()).await?;
        let refused = self.upload().await;
        let is_full = |file: &PathBuf| file.metadata().is_ok_and(|it| it.len() == length);
        let is_cut = self.files.iter().any(is_full);
        limit_files(process, "unlimited").await?;
        ensure!(self.satellite.is_alive(), "a short write ended satellite");
        let taken = self.upload_again(refused).await;
        taken.with_context(|| format!("files of {length} bytes"))?;
        Ok(is_cut)
    }

    /// Makes uploads, and says which of them were not taken.
    async fn upload(&mut self) -> Vec<u64> {
        let mut refused = Vec::new();
        for _ in 0..POSTS {
            self.made += 1;
            if !self.is_taken(self.made).await {
                refused.push(self.made);
            }
        }
        refused
    }

    async fn upload_again(&mut self, refused: Vec<u64>) -> Result<()> {
        for serial in refused {
            self.until_taken(serial).await?;
        }
        Ok(())
    }

    async fn is_taken(&self, serial: u64) -> bool {
        let Some(path) = &self.path else {
            let punch = format!("{serial}\t2026-11-21 10:15:30\t0\t1\n");
            let upload = attlog("CALL001", &serial.to_string(), punch.as_bytes());
            let pushed = self.satellite.send(&upload).await;
            return pushed.is_ok_and(|reply| reply.accepts(1));
        };
        let body = format!(
            "--b\r\n\r\n{{\"eventType\":\"AccessControllerEvent\",\"dateTime\":\
             \"2026-11-21T10:15:30-06:00\",\"AccessControllerEvent\":{{\"majorEventType\":5,\
             \"subEventType\":75,\"serialNo\":{serial},\"employeeNoString\":\"{serial}\"}}}}\r\n"
        );
        let posted = post(&self.satellite, path, body.as_bytes()).await;
        posted.is_ok_and(|reply| reply.status == 200)
    }

    async fn until_taken(&mut self, serial: u64) -> Result<()> {
        self.made = self.made.max(serial);
        let begin = Instant::now();
        while !self.is_taken(serial).await {
            ensure!(
                begin.elapsed() < TAKEN_WITHIN,
                "upload {serial} is never taken"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Everything was acknowledged at last: each is in the feed once.
    async fn is_exact(&mut self, place: &Place) -> Result<()> {
        let owed: Vec<u64> = (1..=self.made).collect();
        let begin = Instant::now();
        loop {
            let feed = Checker::open(place).await?.feed().await?;
            let persons = feed.into_iter().filter_map(|row| row.person?.parse().ok());
            let mut persons: Vec<u64> = persons.collect();
            persons.sort_unstable();
            if persons == owed {
                break;
            }
            let missing = owed.iter().filter(|it| !persons.contains(it)).count();
            ensure!(
                persons.len() <= owed.len() && begin.elapsed() < TAKEN_WITHIN * 4,
                "{} rows for {} uploads, {missing} of them missing",
                persons.len(),
                owed.len()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        println!(
            "{} calls failed, {} of them satellite's last; {} uploads, as many rows",
            self.faults, self.deaths, self.made
        );
        ensure!(
            !self.satellite.log().contains("panicked"),
            "a panic is in the log"
        );
        Ok(())
    }
}

/// How long files may become through this process from now on.
async fn limit_files(process: u32, length: &str) -> Result<()> {
    let status = Command::new("prlimit")
        .args(["--pid", &process.to_string()])
        .arg(format!("--fsize={length}:unlimited"))
        .status()
        .await
        .context("prlimit did not start")?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

fn is_skipped() -> bool {
    let there = std::process::Command::new("strace")
        .arg("--version")
        .output();
    let skipped = !there.is_ok_and(|it| it.status.success());
    if skipped {
        println!("SKIPPED, NOT PROVEN HERE: there is no strace");
    }
    skipped
}

/// A terminal pushes into a SQLite store while that is done to its files.
async fn into_sqlite(attack: impl AsyncFnOnce(&mut Sweep) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = Place::sqlite(folder.path());
    let file = folder.path().join("events.db");
    let mut sweep = Sweep::begin(&place, false, &file).await?;
    attack(&mut sweep).await?;
    sweep.is_exact(&place).await
}

/// A device posts into the journal, because its database is away, while that is done to its files.
async fn into_the_journal(attack: impl AsyncFnOnce(&mut Sweep) -> Result<()>) -> Result<()> {
    let server = blocking(|| Server::start(Flavor::Durable)).await?;
    let place = Place::mariadb(server.address()).await?;
    let mut sweep = Sweep::begin(&place, true, Path::new("state/journal.db")).await?;
    server.stop()?;
    attack(&mut sweep).await?;
    let _server = blocking(move || server.restart().map(|()| server)).await?;
    sweep.is_exact(&place).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_of_a_commit_into_sqlite_fails_or_is_the_last_nothing_is_lost_or_doubled() {
    if is_skipped() {
        return;
    }
    into_sqlite(Sweep::run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_write_into_sqlite_ends_in_its_middle_nothing_is_lost_or_doubled() {
    into_sqlite(Sweep::cut_short).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_of_the_journal_fails_or_is_the_last_nothing_is_lost_or_doubled() {
    if is_skipped() {
        return;
    }
    into_the_journal(Sweep::run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_write_of_the_journal_ends_in_its_middle_nothing_is_lost_or_doubled() {
    into_the_journal(Sweep::cut_short).await.unwrap();
}
