//! An output whose receiver is away for long and comes back: what terminals notice, and how fast the
//! backlog is drained.
//!
//! Terminals punch at a steady pace the whole time, and their own latency is what is told: while the
//! receiver takes everything, while it is away, and while the backlog is drained. A day at 200 events
//! a second is 17,280,000 events; the backlog here is smaller, as many as are asked for, and is made
//! as fast as the machine can while the receiver is away. A receiver that is away costs a cursor that
//! does not move, whatever the number. The run fails when an event of the feed did not arrive.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mariadb::{Flavor, Server};
use promises::{Checker, Mosquitto, Place, Receiver, blocking, sum_of};
use serde_json::Value;
use terminals::Fleet;

use crate::load::{self, Seen};
use crate::parse::number;
use crate::process::Satellite;
use crate::report::{Cell, Report, Table};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Events that wait when the receiver comes back.
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Events a second of the terminals whose latency is told.
    #[arg(long, default_value_t = 200)]
    pace: u32,
    /// Seconds of the first two figures.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Most events in one delivery; as many as satellite's own default.
    #[arg(long, default_value_t = 100)]
    batch: u32,
    /// Only this kind of output: mqtt or webhook.
    #[arg(long)]
    only: Option<String>,
}

const DRAINED: &[&str] = &[
    "output",
    "events that waited",
    "first one taken after s",
    "drained in s",
    "drained/s",
    "events in the feed",
    "arrived",
    "missing",
    "arrived twice",
];
const LATENCY: &[&str] = &[
    "output, while its receiver",
    "events/s",
    "ack p50 ms",
    "ack p99 ms",
    "p99 changes by",
    "not accepted",
];
/// Terminals that punch at a pace, and those that fill the backlog.
const PACED: u32 = 100;
const FILLING: u32 = 20;
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(1_800);
/// An output that is behind by no more has drained its backlog.
const NEARLY: f64 = 3.0;

/// Whoever gets the events.
enum Peer {
    Broker(Box<Mosquitto>),
    Hook(Receiver),
}

impl Peer {
    fn name(&self) -> &'static str {
        match self {
            Self::Broker(_) => "mqtt",
            Self::Hook(_) => "webhook",
        }
    }

    async fn down(&mut self) -> Result<()> {
        match self {
            Self::Broker(broker) => broker.down().await?,
            Self::Hook(hook) => hook.down(),
        }
        Ok(())
    }

    async fn up(&mut self) -> Result<()> {
        match self {
            Self::Broker(broker) => {
                let before = broker.subscribed();
                broker.up().await?;
                broker.until_subscribed(before + 1).await
            }
            Self::Hook(hook) => hook.up(),
        }
    }

    /// The names of the events that arrived, each as often as it did.
    fn arrived(&self) -> Result<Vec<String>> {
        match self {
            Self::Broker(broker) => {
                let heard = broker.heard()?;
                let uids = heard.iter().map(|one| {
                    let event: Value = serde_json::from_str(&one.payload)?;
                    let uid = event["event_uid"].as_str().context("no name")?;
                    Ok(uid.to_owned())
                });
                uids.collect()
            }
            Self::Hook(hook) => Ok(hook.arrivals()?.into_iter().map(|one| one.uid).collect()),
        }
    }

    fn table(&self, folder: &Path, batch: u32) -> Result<String> {
        let own = match self {
            Self::Broker(broker) => format!("url = \"mqtt://{}\"", broker.address()),
            Self::Hook(hook) => {
                let key = folder.join("key");
                std::fs::write(&key, "0123456789abcdef0123456789abcdef\n")?;
                let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&key, private)?;
                format!(
                    "url = \"{}\"\nsecret_file = \"{}\"",
                    hook.url(),
                    key.display()
                )
            }
        };
        let kind = self.name();
        Ok(format!(
            "[[output]]\nname = \"bench\"\ntenant = \"bench\"\nkind = \"{kind}\"\nfrom = \"start\"\n\
             allow_internal = true\nbatch = {batch}\n{own}\n"
        ))
    }
}

pub(crate) async fn run(options: &Options) -> Result<Report> {
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let mut drained = Table::new("An output whose receiver comes back", DRAINED);
    let mut latency = Table::new("What terminals notice of it", LATENCY);
    let folder = tempfile::tempdir()?;
    if wanted("mqtt") {
        ensure!(Mosquitto::is_installed(), "mosquitto is not installed");
        // It writes down its session when it is ended, which is enough here.
        let more = "allow_anonymous true\nautosave_on_changes false\nautosave_interval 3600";
        let mut broker = Mosquitto::start(folder.path(), more).await?;
        broker.subscribe(&[]).await?;
        one(
            options,
            folder.path(),
            Peer::Broker(Box::new(broker)),
            (&mut drained, &mut latency),
        )
        .await?;
    }
    if wanted("webhook") {
        let hook = Receiver::start(folder.path(), "hook").await?;
        one(
            options,
            folder.path(),
            Peer::Hook(hook),
            (&mut drained, &mut latency),
        )
        .await?;
    }
    let note = format!(
        "MariaDB durable, terminals, satellite and receiver on one machine; deliveries of {}; a day at \
         200 events/s would be 17,280,000 events",
        options.batch
    );
    Ok(Report::new(vec![drained, latency]).note(note))
}

/// A satellite with one output and terminals that punch.
struct Bench {
    satellite: Satellite,
    place: Place,
    fleet: Fleet,
}

async fn one(
    options: &Options,
    folder: &Path,
    mut peer: Peer,
    (drained, latency): (&mut Table, &mut Table),
) -> Result<()> {
    let server = blocking(|| Server::start(Flavor::Durable)).await?;
    let bench = Bench::start(options, folder, &server, &peer).await?;
    let time = Duration::from_secs(options.seconds.max(1));
    let there = load::watch(&bench.fleet, time, |_| true).await?;
    peer.down().await?;
    let away = load::watch(&bench.fleet, time, |_| true).await?;
    bench.fill(options.events).await?;
    let before = delivered(&bench.satellite).await?;
    let (since, mut draining) = (Instant::now(), Seen::default());
    peer.up().await?;
    let first = bench.first(before).await?;
    let begun = Instant::now();
    while metric(&bench.satellite, "satellite_output_lag_seconds").await? > NEARLY {
        ensure!(begun.elapsed() < LIMIT, "the backlog is not drained");
        draining.join(load::watch(&bench.fleet, Duration::from_secs(1), |_| true).await?);
    }
    let took = begun.elapsed().as_secs_f64();
    let taken = delivered(&bench.satellite).await? - before;
    let name = peer.name();
    for (phase, seen) in [
        ("is there", &there),
        ("is away", &away),
        ("drains", &draining),
    ] {
        let p99 = seen.per_mille_ms(990);
        latency.push(vec![
            Cell::text(format!("{name}, {phase}")),
            Cell::rate(seen.rate()),
            Cell::Number(seen.per_mille_ms(500), 1),
            Cell::Number(p99, 1),
            Cell::Share(p99 / there.per_mille_ms(990) - 1.0),
            Cell::Count(seen.failed),
        ]);
    }
    let (fed, arrived, different) = bench.finish(&peer).await?;
    drained.push(vec![
        Cell::text(name),
        Cell::Count(options.events),
        Cell::Number((first - since).as_secs_f64(), 1),
        Cell::Number(took, 1),
        Cell::rate(taken / took),
        Cell::Count(fed),
        Cell::Count(different),
        Cell::Count(fed - different),
        Cell::Count(arrived - different),
    ]);
    ensure!(
        fed == different,
        "{} events did not arrive",
        fed - different
    );
    Ok(())
}

impl Bench {
    async fn start(options: &Options, folder: &Path, server: &Server, peer: &Peer) -> Result<Self> {
        let place = Place::mariadb(server.address()).await?;
        let tables = format!(
            "[store]\nurl = \"{}\"\n\
             [[tenant]]\nid = \"bench\"\nname = \"Bench\"\ntime_zone = \"America/Mexico_City\"\n{}",
            place.url(),
            peer.table(folder, options.batch)?
        );
        let satellite = Satellite::start(&tables).await?;
        let target = satellite.target()?;
        let each = f64::from(options.pace) * 60.0 / f64::from(PACED);
        let paced = load::paced(&target, PACED, each);
        let filling = load::pushing(&target, FILLING, 100);
        let serials = paced.serials().into_iter().chain(filling.serials());
        let bench = |serial| (serial, "bench".to_owned());
        satellite.enrol(serials.map(bench)).await?;
        let fleet = load::connected(paced).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(Self {
            satellite,
            place,
            fleet,
        })
    }

    /// Lets so many events be stored, as fast as terminals bring them.
    async fn fill(&self, events: u64) -> Result<()> {
        let filling =
            load::connected(load::pushing(&self.satellite.target()?, FILLING, 100)).await?;
        let begun = Instant::now();
        while filling.summary().acked < events {
            ensure!(
                begun.elapsed() < LIMIT,
                "{} events",
                filling.summary().acked
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        filling.stop().await;
        Ok(())
    }

    /// When the receiver took the first event after so many.
    async fn first(&self, before: f64) -> Result<Instant> {
        let begun = Instant::now();
        while delivered(&self.satellite).await? <= before {
            ensure!(begun.elapsed() < LIMIT, "{}", self.satellite.log_end());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Instant::now())
    }

    /// Ends the terminals and waits until everything has arrived: events in the feed, arrivals, and
    /// different ones among these.
    async fn finish(self, peer: &Peer) -> Result<(u64, u64, u64)> {
        let Self {
            satellite,
            place,
            fleet,
        } = self;
        fleet.stop().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut checker = Checker::open(&place).await?;
        let query = "SELECT event_uid FROM event_feed WHERE tenant = 'bench'";
        let fed = checker.texts(query, query).await?;
        let begun = Instant::now();
        while delivered(&satellite).await? < number(u64::try_from(fed.len())?) {
            if begun.elapsed() > LIMIT {
                bail!(
                    "{} of {} were taken",
                    delivered(&satellite).await?,
                    fed.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let arrived = peer.arrived()?;
        let different: HashSet<&str> = arrived.iter().map(String::as_str).collect();
        let here = fed.iter().filter(|uid| different.contains(uid.as_str()));
        let here = u64::try_from(here.count())?;
        let all = u64::try_from(arrived.len())? - u64::try_from(different.len())? + here;
        satellite.stop().await?;
        Ok((u64::try_from(fed.len())?, all, here))
    }
}

async fn metric(satellite: &Satellite, name: &str) -> Result<f64> {
    let text = satellite.metrics().await?;
    sum_of(&text, name, &[("output", "bench")]).with_context(|| format!("no {name}"))
}

async fn delivered(satellite: &Satellite) -> Result<f64> {
    metric(satellite, "satellite_output_events_total").await
}
