//! `satellite demo`: the whole daemon in this process, on an embedded database, with simulated
//! terminals that behave as badly as real ones.
//!
//! What is shown comes from where it is true: events from `event_feed`, times of
//! acknowledgement from the terminals, doubles from the metrics. At the end the terminals'
//! ledger is compared with the feed. It listens on free loopback ports only and leaves nothing
//! outside its folder.

mod proof;
mod screen;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use daemon::exit::Exit;
use daemon::signals::Signals;
use event::{Serial, Text, Vendor, Zone};
use satellite::config::{ClockTrust, Tenant};
use satellite::{Config, Running, Satellite};
use store::registry::{self, NewEnrolment};
use store::{AnyEngine, schema};
use terminals::{Faults, Fleet, HabitShares, Ledger, Scenario};

use super::words::{Lang, Speaks as _, Word};
use super::{http, now, out};
use screen::{Figures, Screen, View};

pub(crate) const EXAMPLES: &str = "Examples:
  satellite demo
  satellite demo --seconds 20 --terminals 50
Ends by itself, or on Ctrl-C; what it stored stays in the folder that it names.";

/// How often the screen is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for the last deliveries.
const DELIVER_WITHIN: Duration = Duration::from_secs(10);
/// The same after Ctrl-C.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

/// What `demo` is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(3..=3600))]
    seconds: u64,
    /// How many simulated terminals
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    terminals: u32,
}

/// A client of the demo: id, name, zone, prefix of its serials.
type Client = (&'static str, &'static str, &'static str, &'static str);

/// The two of them.
const CLIENTS: [Client; 2] = [
    ("norte", "Planta Norte", "America/Tijuana", "NORTE"),
    ("centro", "Planta Centro", "America/Mexico_City", "CENTRO"),
];

/// Runs the demo.
pub(crate) async fn run(args: Args, lang: Lang) -> anyhow::Result<Exit> {
    let mut signals = Signals::new().context("signals cannot be handled")?;
    let folder = folder()?;
    let config = config(&folder)?;
    out::line(&lang.say(Word::DemoBegins, &[&args.terminals, &folder.display()]))?;
    let target = config.store.clone();
    let scenarios = scenarios(&args);
    enrol(&config, &scenarios).await?;
    let running = Satellite::start(config).await?;
    let ledger_file = folder.join("ledger.jsonl");
    let ledger = Ledger::create(&ledger_file).context("the ledger cannot be written")?;
    let fleets = start(scenarios, &running, &ledger)?;
    drop(ledger);

    let mut reader = target.connect().await?;
    out::print(&look_further(&folder, &running, lang))?;
    let mut screen = Screen::new(lang);
    let mut view = View::new(&fleets, args.terminals);
    let mut tick = tokio::time::interval(DRAW_EVERY);
    let end = tokio::time::sleep(Duration::from_secs(args.seconds));
    tokio::pin!(end);
    let mut left_early = false;
    loop {
        tokio::select! {
            _ = signals.next() => { left_early = true; break; }
            () = &mut end => break,
            _ = tick.tick() => {
                show(&mut view, &mut screen, &fleets, &mut reader, &running).await?;
            }
        }
    }
    let figures = finish(fleets, left_early).await;
    view.update(&mut reader).await?;
    view.duplicates = duplicates(&running).await.unwrap_or(view.duplicates);
    screen.draw(&mut view, &figures)?;
    let proof = proof::compare(&ledger_file, &mut reader).await?;
    running.stop().await;
    out::print(&proof.text(lang))?;
    out::print(&farewell(&folder, lang))?;
    Ok(if proof.holds() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

async fn show(
    view: &mut View,
    screen: &mut Screen,
    fleets: &[Fleet],
    reader: &mut AnyEngine,
    running: &Running,
) -> anyhow::Result<()> {
    view.update(reader).await?;
    view.duplicates = duplicates(running).await.unwrap_or(view.duplicates);
    screen.draw(view, &Figures::of(fleets))
}

/// A folder of its own below the usual state folder, else where temporary files go.
fn folder() -> anyhow::Result<PathBuf> {
    let stamp = now().timestamp().strftime("%Y%m%d-%H%M%S").to_string();
    let name = format!("demo-{stamp}-{}", std::process::id());
    let usual = Path::new(satellite::config::LOCAL_STATE).join(&name);
    if std::fs::create_dir_all(&usual).is_ok() {
        return Ok(std::path::absolute(usual)?);
    }
    let other = std::env::temp_dir().join(format!("satellite-{name}"));
    std::fs::create_dir_all(&other)
        .with_context(|| format!("{} cannot be made", other.display()))?;
    Ok(other)
}

/// The configuration, also left in the folder as a file for looking further.
fn config(folder: &Path) -> anyhow::Result<Config> {
    let mut config = Config::in_folder(folder);
    config.listen.devices = "127.0.0.1:0".parse()?;
    config.listen.admin = "127.0.0.1:0".parse()?;
    config.clock = ClockTrust::Trusted;
    config.tenants.clear();
    // A quoted JSON text is a quoted TOML text as well.
    let mut text = format!("state_dir = {}\n", serde_json::to_string(folder)?);
    for (id, name, zone, _) in CLIENTS {
        config.tenants.push(Tenant {
            id: id.parse()?,
            name: name.to_owned(),
            zone: Zone::named(zone)?,
            set_clock: true,
            networks: Vec::new(),
            keep: Vec::new(),
            own_store: None,
            forward: None,
        });
        text.push_str(&format!(
            "\n[[tenant]]\nid = \"{id}\"\nname = \"{name}\"\ntime_zone = \"{zone}\"\n"
        ));
    }
    std::fs::write(folder.join("satellite.toml"), text)?;
    Ok(config)
}

/// Two fleets, one for each client, of about the same size; a single terminal makes one.
fn scenarios(args: &Args) -> Vec<Scenario> {
    let half = args.terminals / 2;
    let counts = [args.terminals - half, half];
    let made = CLIENTS.iter().zip(counts).zip(1..);
    let scenario = |(((_, _, zone, prefix), count), seed): ((&Client, u32), u64)| Scenario {
        seed,
        count,
        serial_prefix: (*prefix).to_owned(),
        zone: (*zone).to_owned(),
        duration_s: Some(args.seconds),
        rate: 30.0,
        backlog: 40,
        backlog_spacing_s: 20,
        poll_s: Some(5),
        error_delay_ms: Some(1_000),
        timeout_s: 10,
        ramp_ms: 1_500,
        faults: Faults::mixed(),
        habits: HabitShares::mixed(),
        ..Scenario::default()
    };
    made.map(scenario)
        .filter(|scenario| scenario.count > 0)
        .collect()
}

/// Makes the tables and enrols every terminal under a name that people can read.
async fn enrol(config: &Config, scenarios: &[Scenario]) -> anyhow::Result<()> {
    let mut engine = config.store.connect().await?;
    schema::migrate(&mut engine).await?;
    for scenario in scenarios {
        let client = CLIENTS
            .iter()
            .find(|(_, _, _, prefix)| *prefix == scenario.serial_prefix);
        let Some((id, name, _, _)) = client else {
            continue;
        };
        for (number, serial) in scenario.serials().iter().enumerate() {
            let new = NewEnrolment {
                name: Some(Text::from(format!("{name} {}", number + 1))),
                ..NewEnrolment::of(Vendor::Zkteco, Serial::new(serial)?, id.parse()?)
            };
            registry::enrol(&mut engine, new, now(), "demo").await?;
        }
    }
    Ok(())
}

fn start(
    scenarios: Vec<Scenario>,
    running: &Running,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Fleet>> {
    let target = format!("http://{}", running.devices);
    let start = |mut scenario: Scenario| {
        scenario.target = target
            .parse()
            .map_err(|error: String| anyhow::anyhow!(error))?;
        Ok(Fleet::start(scenario, Some(ledger.clone()))?)
    };
    scenarios.into_iter().map(start).collect()
}

/// Lets every terminal deliver what it holds, all of them at once.
async fn finish(fleets: Vec<Fleet>, left_early: bool) -> Figures {
    let within = if left_early {
        LEAVE_WITHIN
    } else {
        DELIVER_WITHIN
    };
    let mut ending = tokio::task::JoinSet::new();
    for fleet in fleets {
        ending.spawn(fleet.finish(within));
    }
    let summaries = ending.join_all().await;
    Figures::sum(&summaries)
}

/// Doubles that satellite folded, by its own metrics.
async fn duplicates(running: &Running) -> Option<u64> {
    let (status, page) = http::get(running.admin, "/metrics").await.ok()?;
    (status == 200).then(|| sum(&page, "satellite_events_duplicate_total"))
}

/// The sum over all series of a counter.
fn sum(page: &str, name: &str) -> u64 {
    let lines = page.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    values.sum()
}

fn query(folder: &Path) -> String {
    let file = folder.join("events.db");
    format!(
        "sqlite3 {} 'SELECT seq, device_name, person, local_time, route FROM event_feed ORDER BY seq DESC LIMIT 10'",
        file.display()
    )
}

/// Where to look while it runs. It stands above the table, because its lines are too long to
/// be drawn over.
fn look_further(folder: &Path, running: &Running, lang: Lang) -> String {
    let lead = lang.say(Word::DemoLook, &[]);
    format!(
        "{lead}\n  curl http://{}/metrics\n  {}\n",
        running.admin,
        query(folder)
    )
}

/// What to do next.
fn farewell(folder: &Path, lang: Lang) -> String {
    let program = super::program();
    let file = folder.join("satellite.toml");
    let command = format!("{program} events --config {} --since 2h", file.display());
    lang.say(
        Word::DemoEnds,
        &[&folder.display(), &query(folder), &command, &program],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_summed_over_its_series_and_not_over_its_neighbours() {
        let page =
            "# HELP a_total x\na_total{t=\"1\"} 3\na_total{t=\"2\"} 4\na_total_more 9\na_total 5\n";
        assert_eq!(sum(page, "a_total"), 12);
        assert_eq!(sum("", "a_total"), 0);
    }

    #[test]
    fn every_terminal_is_in_one_fleet_and_every_fleet_can_be_run() {
        for (terminals, fleets) in [(1, 1), (2, 2), (13, 2), (1000, 2)] {
            let made = scenarios(&Args {
                seconds: 60,
                terminals,
            });
            assert_eq!(made.len(), fleets);
            assert_eq!(
                made.iter().map(|scenario| scenario.count).sum::<u32>(),
                terminals
            );
            assert!(made.iter().all(|scenario| scenario.check().is_ok()));
        }
    }

    #[test]
    fn the_file_that_the_demo_leaves_is_a_configuration_with_its_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let made = config(folder.path()).unwrap();
        let read = Config::load(Some(&folder.path().join("satellite.toml"))).unwrap();
        assert_eq!(read.tenants, made.tenants);
        assert_eq!(read.store, made.store);
    }
}
