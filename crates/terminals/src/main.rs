//! The program `terminals`: a fleet from the command line, with its progress and its summary.
//!
//! Progress goes to standard error, the summary to standard output, so that `--json` can be
//! piped. The exit status says what matters: 0 when every record made was acknowledged, 1 when
//! some were left or the run could not be done, 78 when the scenario is wrong. Nothing about
//! terminals is decided here. Devices that are dialled are told at the beginning, each with
//! the command that enrols it.

mod player;
mod report;
mod words;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use console::{Lang, Shell, Told};
use terminals::hikvision::{Device, Excuse, HikvisionGroup};
use terminals::{EXAMPLE, Faults, Fleet, HabitShares, Ledger, Scenario, ScenarioError, Target};
use tokio::time::Instant;

/// The exit status of a wrong configuration, as sysexits.h has it.
const WRONG_CONFIGURATION: u8 = 78;

const ABOUT: &str =
    "Simulated ZKTeco terminals that push or are dialled, and Hikvision devices, over real sockets";

/// The command line.
#[derive(Parser)]
#[command(name = "terminals", version, about = ABOUT, long_about = LONG, after_help = EXAMPLES)]
struct Cli {
    /// Language of what people read [default: from LC_ALL, LC_MESSAGES, LANG]
    #[arg(long, global = true, value_enum)]
    lang: Option<Lang>,
    #[command(subcommand)]
    command: Word,
}

const LONG: &str =
    "Simulated ZKTeco terminals that push or are dialled, and Hikvision devices, over real sockets.

Each terminal shakes hands, polls, and uploads attendance records by the rules of old firmware: \
it forgets a record only when the reply has status 200 and the letters OK, and sends everything \
else again after the error delay. The ledger file holds one JSON line, synced to disk, for every \
record so acknowledged: compare it with what the server stored.

Hikvision devices are made by [[hikvision]] tables of a scenario file. Those that are dialled \
listen on the loopback address, and every row they make goes into the ledger at once; those that \
post send an event again until it is answered 200.

Terminals on port 4370 are made by [[pull]] tables. They listen on the loopback address, over TCP \
and UDP, and what they hold goes into the ledger before anybody can read it.";

const EXAMPLES: &str = "Examples:
  Ten terminals, six punches a minute each, for a minute:
    terminals run --target http://127.0.0.1:8081 --rate 6 --duration 60s
  A backlog of 100,000 records from 100 terminals, with a ledger:
    terminals run --count 100 --backlog 1000 --batch 100 --ledger acked.jsonl
  Everything that real firmware does wrong:
    terminals run --count 50 --backlog 200 --rate 12 --duration 2m --unkind --error-delay 2s
  A scenario of your own:
    terminals scenario > mine.toml; terminals run --scenario mine.toml
  What a real terminal did, once more:
    terminals replay recording-000001.jsonl --serial ABC1

Exit status: 0 all records acknowledged, 1 some left or the run failed, 78 scenario wrong.";

#[derive(Subcommand)]
enum Word {
    /// Run a fleet and print what came of it
    Run(Box<RunArgs>),
    /// Print a commented scenario file
    Scenario,
    /// Play a recording of a real terminal against a server
    Replay(player::Args),
    /// Print the completion script of a shell
    #[command(
        after_help = "Example:\n  terminals completion bash > /etc/bash_completion.d/terminals"
    )]
    Completion {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a folder, for packages
    #[command(
        hide = true,
        after_help = "Example:\n  terminals manual --lang es man/es/man1"
    )]
    Manual {
        /// The folder
        folder: PathBuf,
    },
}

/// Flags override the scenario file.
#[derive(Args)]
struct RunArgs {
    /// Server, http://host:port[/prefix] [default: http://127.0.0.1:8081]
    #[arg(long, value_name = "URL")]
    target: Option<Target>,
    /// Terminals, 1 to 10000 [default: 10]
    #[arg(long, value_name = "N")]
    count: Option<u32>,
    /// New records per minute and terminal [default: 0]
    #[arg(long, value_name = "PER_MINUTE")]
    rate: Option<f64>,
    /// Records that each terminal holds at the beginning [default: 0]
    #[arg(long, value_name = "N")]
    backlog: Option<u64>,
    /// Records in one upload; without it adaptive, 30 to 150
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
    /// How long new records are made, such as 60s or 5m; without it until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Time between polls; without it the server's Delay
    #[arg(long, value_name = "TIME", value_parser = duration)]
    poll: Option<Duration>,
    /// Wait after a refusal; without it the server's ErrorDelay
    #[arg(long, value_name = "TIME", value_parser = duration)]
    error_delay: Option<Duration>,
    /// Give up when nothing was acknowledged for so long after the last record was made
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    patience: Duration,
    /// Append every acknowledged record to this file, synced
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Scenario file; `terminals scenario` prints one
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Equal seeds make equal records (with an explicit start in the scenario) [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Mixed habits of old firmware and a little of every fault
    #[arg(long)]
    unkind: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Reads `60s`, `5m`, `1h 30m`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("'{text}' is not a time such as 60s, 5m or 500ms");
    let signed: jiff::SignedDuration = text.parse().map_err(wrong)?;
    Duration::try_from(signed).map_err(wrong)
}

impl RunArgs {
    fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let mut scenario = match &self.scenario {
            Some(path) => Scenario::from_file(path)?,
            None => Scenario::default(),
        };
        if self.unkind {
            scenario.habits = HabitShares::mixed();
            scenario.faults = Faults::mixed();
        }
        if let Some(target) = &self.target {
            scenario.target = target.clone();
        }
        scenario.count = self.count.unwrap_or(scenario.count);
        scenario.rate = self.rate.unwrap_or(scenario.rate);
        scenario.backlog = self.backlog.unwrap_or(scenario.backlog);
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.batch = self.batch.or(scenario.batch);
        scenario.duration_s = self.duration.map(seconds).or(scenario.duration_s);
        scenario.poll_s = self.poll.map(seconds).or(scenario.poll_s);
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        scenario.error_delay_ms = self
            .error_delay
            .map(milliseconds)
            .or(scenario.error_delay_ms);
        scenario.check()?;
        Ok(scenario)
    }
}

/// Whole seconds, at least one.
fn seconds(time: Duration) -> u64 {
    time.as_secs().max(1)
}

/// Reads the command line; the language comes with it.
fn read() -> Result<(Cli, Lang), Told> {
    let words: Vec<String> = std::env::args().collect();
    let asked = Lang::asked(&words, &["--lang"]).or_else(Lang::from_environment);
    let lang = asked.unwrap_or(Lang::En);
    let matches = console::read(Cli::command(), words, lang, &words::BOOK)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let lang = cli.lang.unwrap_or(lang);
    Ok((cli, lang))
}

fn main() -> ExitCode {
    let (cli, lang) = match read() {
        Ok(read) => read,
        Err(told) => {
            told.print();
            return ExitCode::from(u8::from(told.is_mistake()));
        }
    };
    let outcome = match cli.command {
        Word::Scenario => {
            print!("{EXAMPLE}");
            Ok(ExitCode::SUCCESS)
        }
        Word::Run(args) => run(&args, lang),
        Word::Replay(args) => player::play(args, lang),
        Word::Completion { shell } => {
            let script = console::completion(Cli::command(), shell, lang, &words::BOOK);
            done(console::print(&script))
        }
        Word::Manual { folder } => {
            let pages = console::write_pages(Cli::command(), &folder, lang, &words::BOOK);
            done(pages)
        }
    };
    outcome.unwrap_or_else(|why| {
        eprintln!("terminals: {why:#}");
        let wrong = why.is::<ScenarioError>();
        if wrong {
            ExitCode::from(WRONG_CONFIGURATION)
        } else {
            ExitCode::FAILURE
        }
    })
}

/// Success, or why it could not be written.
fn done(written: std::io::Result<()>) -> anyhow::Result<ExitCode> {
    Ok(written.map(|()| ExitCode::SUCCESS)?)
}

fn run(args: &RunArgs, lang: Lang) -> anyhow::Result<ExitCode> {
    let scenario = args.scenario()?;
    if let Some(advice) = terminals::descriptor_advice(sockets(&scenario)) {
        anyhow::bail!("{advice}");
    }
    let open = |path: &PathBuf| {
        let why = lang.pick("no se puede abrir la bitácora", "cannot open the ledger");
        Ledger::create(path).with_context(|| format!("{why} {}", path.display()))
    };
    let ledger = args.ledger.as_ref().map(open).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let summary = runtime.block_on(async {
        let fleet = Fleet::start(scenario.clone(), ledger)?;
        introduce(&fleet, lang);
        watch(&fleet, args.patience, lang).await;
        explain(&fleet, lang);
        Ok::<_, ScenarioError>(fleet.stop().await)
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print!("{}", report::table(&summary, lang));
    }
    let unseen = summary.faults_not_seen(&scenario);
    if !unseen.is_empty() {
        let words = lang.pick("planeado y no sucedió", "planned and never happened");
        eprintln!("terminals: {words}: {}", unseen.join(", "));
    }
    let fine = summary.pending == 0 && summary.ledger_error.is_none();
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sockets that a fleet needs: one for each terminal that calls, a listener and a few
/// connections for each that is dialled.
fn sockets(scenario: &Scenario) -> u32 {
    let of = |group: &HikvisionGroup| {
        group
            .posting
            .saturating_add(group.dialled.saturating_mul(4))
    };
    let devices = scenario.hikvision.iter().map(of);
    // A socket of each transport and a client.
    let pull = scenario
        .pull
        .iter()
        .map(|group| group.count.saturating_mul(3));
    devices
        .chain(pull)
        .fold(scenario.count, u32::saturating_add)
}

/// Says how to enrol the devices that are dialled, and which ones post.
fn introduce(fleet: &Fleet, lang: Lang) {
    let [listens, both, posts] = lang.pick(
        [
            "escucha; escriba su contraseña en un archivo y delo de alta. La contraseña:",
            "escucha por TCP y UDP. Para darlo de alta:",
            "envía a",
        ],
        [
            "listens; write its password into a file and enrol it. The password:",
            "listens on TCP and UDP. To enrol it:",
            "posts to",
        ],
    );
    let (tenant, file) = lang.pick(("CLIENTE", "ARCHIVO"), ("TENANT", "FILE"));
    for device in fleet.dialled() {
        let (user, password) = device.login();
        let (serial, address) = (device.serial(), device.address());
        eprintln!(
            "{serial} {listens} {password}\n  \
             satellite devices add --tenant {tenant} --vendor hikvision --serial {serial} \
             --address {address} --user {user} --secret-file {file}"
        );
    }
    for terminal in fleet.pulled() {
        let (serial, address) = (terminal.serial(), terminal.address());
        eprintln!(
            "{serial} {both}\n  \
             satellite devices add --tenant {tenant} --vendor zkteco --serial {serial} \
             --address {address}"
        );
    }
    for post in fleet.posting() {
        eprintln!("{} {posts} {}", post.serial(), post.url());
    }
}

/// Shows progress until everything is delivered, patience ends, or Ctrl-C comes twice.
async fn watch(fleet: &Fleet, patience: Duration, lang: Lang) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut line = report::Progress::new(std::io::stderr().is_terminal(), lang);
    let end = fleet.generation_ends();
    let mut ended = false;
    let mut acked = 0;
    let mut moved = Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let summary = fleet.summary();
                line.show(&summary);
                if summary.acked > acked || !ended {
                    acked = summary.acked;
                    moved = Instant::now();
                }
                if ended && moved.elapsed() > patience || summary.ledger_error.is_some() {
                    break;
                }
            }
            () = sleep_until(end), if !ended => {
                fleet.end_generation();
                ended = true;
            }
            () = fleet.drained(), if ended => break,
            pressed = tokio::signal::ctrl_c() => {
                if ended || pressed.is_err() {
                    break;
                }
                fleet.end_generation();
                ended = true;
                line.note(lang.pick(
                    "ya no hay registros nuevos; se entrega lo que falta (otra vez Ctrl-C: termina)",
                    "no new records; delivering what is held (Ctrl-C again: stop at once)",
                ));
            }
        }
    }
    line.close();
}

/// Says of each device that still holds rows why nobody may have them.
fn explain(fleet: &Fleet, lang: Lang) {
    for device in fleet.dialled().filter(|device| device.unserved() > 0) {
        let (serial, rows, why) = (device.serial(), device.unserved(), excuse(device, lang));
        let words = lang.pick("registros que nadie tomó", "rows that nobody took");
        eprintln!("terminals: {serial}: {rows} {words}: {why}");
    }
    for post in fleet.posting().filter(|post| post.pending() > 0) {
        let (serial, events, url) = (post.serial(), post.pending(), post.url());
        let words = lang.pick(
            "eventos sin respuesta 200 de",
            "events without an answer 200 from",
        );
        eprintln!("terminals: {serial}: {events} {words} {url}");
    }
    for terminal in fleet.pulled().filter(|terminal| terminal.unserved() > 0) {
        let (serial, rows) = (terminal.serial(), terminal.unserved());
        let words = lang.pick("registros que nadie leyó", "records that nobody read");
        eprintln!("terminals: {serial}: {rows} {words}");
    }
}

fn excuse(device: &Device, lang: Lang) -> String {
    match device.excuse() {
        Excuse::NotAsked => lang.pick("nadie le preguntó", "nobody has asked it").into(),
        Excuse::NoLogin => lang
            .pick("nadie entró con contraseña", "nobody has logged in")
            .into(),
        Excuse::WrongLogins(n) => lang.pick(
            format!("contraseña equivocada {n} veces"),
            format!("{n} logins were wrong"),
        ),
        Excuse::AskedInPart(n) => lang.pick(
            format!("contestó {n} búsquedas, que no pidieron todo"),
            format!("it answered {n} searches, which did not ask for all"),
        ),
    }
}

/// Sleeps until then, or for ever.
async fn sleep_until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> RunArgs {
        let all = ["terminals", "run"].iter().chain(words);
        match Cli::try_parse_from(all).unwrap().command {
            Word::Run(args) => *args,
            _ => panic!("run was asked for"),
        }
    }

    #[test]
    fn every_text_of_help_has_its_spanish_and_no_spanish_is_left_over() {
        let wrong = console::unspoken(Cli::command(), &words::BOOK);
        assert_eq!(wrong, Vec::<String>::new());
    }

    #[test]
    fn flags_override_the_scenario() {
        let words = [
            "--count",
            "3",
            "--rate",
            "1.5",
            "--duration",
            "5m",
            "--error-delay",
            "50ms",
        ];
        let scenario = args(&words).scenario().unwrap();
        assert_eq!((scenario.count, scenario.duration_s), (3, Some(300)));
        assert_eq!(scenario.error_delay_ms, Some(50));
        assert!((scenario.rate - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn a_wrong_scenario_file_is_told_with_its_name_and_key() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("mine.toml");
        std::fs::write(&path, "contu = 3\n").unwrap();
        let words = ["--scenario", path.to_str().unwrap()];
        let why = args(&words).scenario().unwrap_err().to_string();
        assert!(why.contains("mine.toml") && why.contains("contu"), "{why}");
    }

    #[test]
    fn times_are_read_with_their_unit_only() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1h 30m").unwrap(), Duration::from_secs(5_400));
        assert!(duration("90").unwrap_err().contains("such as 60s"));
    }
}
