//! The decisions over a simulated world in virtual time: every injected fault is found and
//! named, a year of ordinary noise wakes nobody, a storm stays three mails.
//!
//! The world is what looks would see, with the periods that looks have: a process, its unit and
//! doors, two databases, a machine, terminals, an application, mail. A fault changes the world;
//! what follows from it (the canary fails when its database is away) follows here too. The
//! seed of each run is in its failure's message.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::collections::BTreeMap;

use daemon::config::Source;
use jiff::{SignedDuration, Timestamp};
use notify::{History, Letter, Waiting};
use sentinel::decide::{Core, Incident, IncidentId, Setting, State};
use sentinel::observation::{Admin, Canary, Door, NEWEST_ROW_AGE, Rows, Signal, Unit};
use sentinel::run::CAPS;
use sentinel::{Config, Kind, Observation, Phrase, Round, Severity, Subject, Trouble};

const FILE: &str = r#"
time_zone = "America/Mexico_City"
[[watch.store]]
tenant = "acme"
url = "mysql://s@db1/acme"
[[watch.store]]
tenant = "beta"
url = "mysql://s@db2/beta"
[mail]
from = "s@x.mx"
relays = ["smtp://r", "smtp://r2"]
[[level]]
to = [{ address = "uno@x.mx" }]
"#;

/// What can be done to the world, the kind that must be named, and within how many seconds the
/// first level must be told (the promise, where there is one).
const FAULTS: &[(Kind, i64)] = &[
    (Kind::SatelliteDown, 15),
    (Kind::SatelliteHang, 45),
    (Kind::IngestStalled, 60),
    (Kind::AcknowledgedNotFound, 90),
    (Kind::DatabaseDown, 60),
    (Kind::DatabaseHung, 60),
    (Kind::DatabaseReadOnly, 60),
    (Kind::DurabilityWeak, 60),
    (Kind::DatabaseFull, 60),
    (Kind::TerminalOffline, 60),
    (Kind::HostSilent, 60),
    (Kind::DoorUnreachable, 120),
    (Kind::ProbePath, 200),
    (Kind::SatelliteRestarts, 200),
    (Kind::CanarySlow, 200),
    (Kind::JournalGrowing, 200),
    (Kind::QuarantineGrowing, 200),
    (Kind::DatabaseSlow, 400),
    (Kind::DatabaseConnections, 200),
    (Kind::Replication, 200),
    (Kind::DatabaseReplaced, 200),
    (Kind::BackupOverdue, 200),
    (Kind::BackupFailed, 200),
    (Kind::BackupUnverified, 900),
    (Kind::BackupLog, 400),
    (Kind::BackupOneDisk, 900),
    (Kind::BackupSize, 200),
    (Kind::OutputStanding, 200),
    (Kind::InputStanding, 200),
    (Kind::HostCpu, 400),
    (Kind::DiskFilling, 200),
    (Kind::DiskFull, 200),
    (Kind::ClockUnsynchronised, 200),
    (Kind::ApplicationDown, 200),
    (Kind::TerminalSilent, 200),
    (Kind::GapOpen, 200),
    (Kind::UnknownTerminals, 200),
    (Kind::CertificateExpiring, 200),
    (Kind::RelayFailing, 90),
    (Kind::MailDown, 200),
];

/// A small generator, the same everywhere for one seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What is wrong with the world right now.
#[derive(Default)]
struct Wrong {
    fault: Option<Kind>,
    restarting: bool,
    blip: bool,
    /// This look times out.
    deaf: Option<usize>,
}

struct World {
    core: Core,
    config: Config,
    now: Timestamp,
    /// Seconds from the beginning.
    clock: i64,
    /// By how much each look is out of step.
    phase: i64,
    /// Whether people punch at this hour.
    busy: bool,
    /// When the newest row of a real terminal came.
    last_row: i64,
    /// Whether systemd can be asked.
    systemd: bool,
    wrong: Wrong,
    letters: Vec<(i64, Letter)>,
    incidents: BTreeMap<IncidentId, Incident>,
    /// How often terminals, machines and the like are looked at.
    rest_every: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        Self {
            core: Core::default(),
            config: Config::read(&Source::new("t.toml", FILE)).unwrap(),
            now: Timestamp::from_second(
                1_798_000_000 + i64::try_from(random.below(86_400)).unwrap(),
            )
            .unwrap(),
            clock: 0,
            phase: i64::try_from(random.below(30)).unwrap(),
            busy: random.below(2) == 0,
            last_row: -1000,
            systemd: random.below(2) == 0,
            wrong: Wrong::default(),
            letters: Vec::new(),
            incidents: BTreeMap::new(),
            rest_every: 30,
        }
    }

    fn is(&self, kind: Kind) -> bool {
        self.wrong.fault == Some(kind)
    }

    fn dead(&self) -> bool {
        self.is(Kind::SatelliteDown) || self.wrong.restarting
    }

    /// The database of acme takes no commits.
    fn away(&self) -> bool {
        let kinds = [
            Kind::DatabaseDown,
            Kind::DatabaseHung,
            Kind::DatabaseReadOnly,
            Kind::DatabaseFull,
        ];
        self.wrong.blip || kinds.iter().any(|kind| self.is(*kind))
    }

    fn due(&self, every: i64) -> bool {
        (self.clock + self.phase) % every < self.step()
    }

    fn step(&self) -> i64 {
        if self.quiet() { 25 } else { 1 }
    }

    fn quiet(&self) -> bool {
        self.wrong.fault.is_none()
            && !self.wrong.restarting
            && !self.wrong.blip
            && self.wrong.deaf.is_none()
    }

    fn see(&mut self, look: &str, number: usize, observations: Vec<Observation>) {
        let whole = look == "terminals";
        let observations = if self.wrong.deaf == Some(number) {
            let blind =
                |seen: Observation| Observation::unknown(seen.subject, self.now, Phrase::LookLate);
            observations.into_iter().map(blind).collect()
        } else {
            observations
        };
        let round = Round {
            observations,
            whole: whole && self.wrong.deaf != Some(number),
        };
        self.core.observe(look, &round, self.now);
    }

    fn claims(&self, subject: Subject, kinds: &[Kind]) -> Observation {
        let troubles = kinds
            .iter()
            .filter(|kind| self.is(**kind))
            .map(|kind| Trouble::new(*kind));
        Observation::wrong(subject, self.now, troubles.collect())
    }

    /// Every look whose time it is.
    fn look(&mut self) {
        let now = self.now;
        let cut = self.is(Kind::ProbePath);
        let (hang, dead) = (self.is(Kind::SatelliteHang), self.dead());
        if self.due(5) {
            let unit = if dead && !self.wrong.restarting {
                Unit::Inactive
            } else {
                Unit::Active
            };
            if self.systemd {
                let seen = Observation::fine(Subject::Satellite, now).signal(Signal::Unit(unit));
                self.see("unit", 0, vec![seen]);
            }
            let admin = match () {
                () if dead => Admin::Refused,
                () if hang || cut => Admin::Silent,
                () => Admin::Moving,
            };
            let kinds = [
                Kind::SatelliteRestarts,
                Kind::QuarantineGrowing,
                Kind::UnknownTerminals,
                Kind::JournalGrowing,
            ];
            let mut seen = vec![
                self.claims(Subject::Satellite, &kinds)
                    .signal(Signal::Admin(admin)),
            ];
            if admin == Admin::Moving {
                let store = if self.is(Kind::IngestStalled) {
                    Admin::Stuck
                } else {
                    Admin::Moving
                };
                seen.push(
                    Observation::fine(Subject::store("acme"), now).signal(Signal::Admin(store)),
                );
            }
            self.see("satellite", 1, seen);
            let door = match () {
                () if dead => Door::Refused,
                () if hang || cut => Door::Silent,
                () => Door::Answers,
            };
            self.see(
                "door",
                2,
                vec![Observation::fine(Subject::Satellite, now).signal(Signal::Door(door))],
            );
        }
        if self.due(10) {
            self.databases();
        }
        if self.due(20) {
            self.relays();
        }
        if self.due(30) {
            self.canaries();
        }
        if self.due(self.rest_every) {
            self.rest();
        }
    }

    /// Whether punches of real terminals are stored.
    fn flows(&self) -> bool {
        let stopped = self.dead() || self.is(Kind::SatelliteHang) || self.is(Kind::IngestStalled);
        let taken = self.busy && !stopped && !self.away() && !self.is(Kind::DoorUnreachable);
        taken || self.is(Kind::ProbePath)
    }

    fn databases(&mut self) {
        let now = self.now;
        let kinds = [
            Kind::DatabaseDown,
            Kind::DatabaseHung,
            Kind::DatabaseReadOnly,
            Kind::DatabaseFull,
            Kind::DatabaseSlow,
            Kind::DurabilityWeak,
            Kind::DatabaseConnections,
            Kind::Replication,
            Kind::DatabaseReplaced,
        ];
        let mut seen = self.claims(Subject::store("acme"), &kinds);
        if self.wrong.blip {
            seen = Observation::wrong(
                Subject::store("acme"),
                now,
                vec![Trouble::new(Kind::DatabaseDown)],
            );
        } else if !self.is(Kind::DatabaseDown) && !self.is(Kind::DatabaseHung) {
            let age = u32::try_from(self.clock - self.last_row).unwrap();
            let rows = if age <= 20 { Rows::Fresh } else { Rows::Old };
            let signal = Signal::Rows(rows);
            seen = seen.signal(signal).number(NEWEST_ROW_AGE, age.into());
        }
        self.see("database:acme", 3, vec![seen]);
        self.see(
            "database:beta",
            4,
            vec![Observation::fine(Subject::store("beta"), now)],
        );
    }

    fn canaries(&mut self) {
        let failed = self.dead()
            || self.away()
            || [
                Kind::SatelliteHang,
                Kind::IngestStalled,
                Kind::DoorUnreachable,
                Kind::ProbePath,
            ]
            .iter()
            .any(|kind| self.is(*kind));
        let canary = match () {
            () if self.is(Kind::AcknowledgedNotFound) => Canary::Absent,
            () if failed => Canary::Failed,
            () => Canary::Visible,
        };
        let slow = self
            .claims(Subject::store("acme"), &[Kind::CanarySlow])
            .signal(Signal::Canary(canary));
        self.see("canary:acme", 5, vec![slow]);
    }

    fn rest(&mut self) {
        let now = self.now;
        let silent = self.dead() || self.away();
        let terminals = (0..10_u32).map(|n| {
            let subject = Subject::terminal(
                "acme",
                Some(["Toluca", "Lerma"][n as usize % 2]),
                &format!("T{n}"),
            );
            let kinds = [Kind::TerminalOffline, Kind::TerminalSilent, Kind::GapOpen];
            match n {
                7 => self.claims(subject, &kinds),
                // What people punch does not arrive while nothing is taken.
                8 if silent
                    && self.busy
                    && self.wrong.fault.is_some()
                    && self.clock % 1200 > 900 =>
                {
                    Observation::wrong(subject, now, vec![Trouble::new(Kind::TerminalSilent)])
                }
                _ => Observation::fine(subject, now),
            }
        });
        let terminals = terminals.collect();
        self.see("terminals", 6, terminals);
        let host = [
            Kind::HostSilent,
            Kind::HostCpu,
            Kind::DiskFilling,
            Kind::DiskFull,
            Kind::ClockUnsynchronised,
        ];
        let host = self.claims(Subject::host("vm1"), &host);
        self.see("host:vm1", 7, vec![host]);
        let mut application =
            self.claims(Subject::check("acme", "preasyst"), &[Kind::ApplicationDown]);
        if self.is(Kind::DatabaseDown) || self.is(Kind::DatabaseHung) {
            let trouble = vec![Trouble::new(Kind::ApplicationDown)];
            application = Observation::wrong(application.subject, now, trouble);
        }
        self.see("check:acme", 8, vec![application]);
        let backup = self.claims(
            Subject::Backup {
                tenant: "acme".into(),
            },
            &[
                Kind::BackupOverdue,
                Kind::BackupFailed,
                Kind::BackupUnverified,
                Kind::BackupLog,
                Kind::BackupOneDisk,
                Kind::BackupSize,
            ],
        );
        self.see("backup:acme", 9, vec![backup]);
        let output = self.claims(Subject::output("acme", "payroll"), &[Kind::OutputStanding]);
        self.see("outputs", 12, vec![output]);
        let input = Subject::input("acme", "gateway");
        let input = self.claims(input, &[Kind::InputStanding]);
        self.see("inputs", 14, vec![input]);
        let certificate = Subject::Certificate { at: "s:443".into() };
        let certificate = self.claims(certificate, &[Kind::CertificateExpiring]);
        self.see("certificate", 10, vec![certificate]);
    }

    /// The look at relays, and what the letters find out that leave meanwhile: these meet a broken
    /// relay first, and tell of it under their own name.
    fn relays(&mut self) {
        let now = self.now;
        let fails = |fails: bool| fails.then(|| Trouble::new(Kind::RelayFailing));
        let down = self.is(Kind::MailDown);
        let relay = |name: &str, troubles: Option<Trouble>| {
            Observation::wrong(Subject::relay(name), now, troubles.into_iter().collect())
        };
        let each = || {
            vec![
                relay("smtp://r", fails(self.is(Kind::RelayFailing) || down)),
                relay("smtp://r2", fails(down)),
                self.claims(Subject::Mail { relay: None }, &[Kind::MailDown]),
            ]
        };
        let (asked, posted) = (each(), each());
        self.see("relays", 13, asked);
        if !self.letters.is_empty() {
            self.see("sentinel", 11, posted);
        }
    }

    fn pass(&mut self, seconds: i64) {
        let end = self.clock + seconds;
        while self.clock < end {
            if self.flows() {
                self.last_row = self.clock;
            }
            self.look();
            let config = &self.config;
            self.core.tick(
                Setting {
                    config,
                    links: None,
                },
                self.now,
            );
            let changes = self.core.take_changes();
            let clock = self.clock;
            self.letters
                .extend(changes.letters.into_iter().map(|letter| (clock, letter)));
            self.incidents.extend(changes.incidents);
            let step = self.step().min(end - self.clock).max(1);
            self.clock += step;
            self.now += SignedDuration::from_secs(step);
        }
    }
}

#[test]
fn of_more_than_600_injected_faults_each_is_found_in_time_and_named() {
    let (mut injected, mut misnamed) = (0, Vec::new());
    for (kind, within) in FAULTS {
        for seed in 0..20 {
            injected += 1;
            let mut world = World::new(seed);
            world.pass(300);
            assert!(
                world.letters.is_empty(),
                "{kind}, seed {seed}: {:?}",
                world.letters
            );
            let begin = world.clock;
            world.wrong.fault = Some(*kind);
            while world.letters.is_empty() && world.clock < begin + 900 {
                world.pass(1);
            }
            world.pass(120);
            let first = world.letters.first();
            let Some((at, letter)) = first else {
                panic!("{kind}, seed {seed}: nobody was told");
            };
            assert!(
                at - begin <= *within,
                "{kind}, seed {seed}: told after {} s",
                at - begin
            );
            if letter.kind != kind.as_str() {
                misnamed.push((kind.as_str(), seed, letter.kind.clone()));
            }
            let roots = world
                .incidents
                .values()
                .filter(|it| it.severity == Severity::Critical)
                .count();
            assert!(roots <= 1, "{kind}, seed {seed}: {:?}", kinds(&world));
            world.wrong.fault = None;
            let open = |world: &World| world.incidents.values().any(|it| it.state != State::Closed);
            let end = world.clock + 3000;
            while open(&world) && world.clock < end {
                world.pass(25);
            }
            let closed = world.incidents.values().all(|it| it.state == State::Closed);
            assert!(closed, "{kind}, seed {seed}: {:?}", kinds(&world));
            assert!(
                world
                    .letters
                    .iter()
                    .any(|(_, letter)| letter.step == "closed"),
                "{kind}, seed {seed}"
            );
        }
    }
    assert!(injected >= 600);
    assert!(
        misnamed.len() * 50 <= injected,
        "{} of {injected}: {misnamed:?}",
        misnamed.len()
    );
    println!(
        "{injected} faults injected, all found, {} misnamed",
        misnamed.len()
    );
}

fn kinds(world: &World) -> Vec<(Kind, State)> {
    world
        .incidents
        .values()
        .map(|it| (it.kind, it.state))
        .collect()
}

#[test]
fn in_365_days_of_restarts_short_outages_late_looks_and_pauses_nobody_is_woken_for_nothing() {
    let mut world = World::new(365);
    world.rest_every = 600;
    let mut random = Random(42);
    let (mut restarts, mut blips, mut deaf, mut pauses) = (0, 0, 0, 0);
    for _ in 0..365 {
        for _ in 0..4 {
            world.busy = random.below(2) == 0;
            world.systemd = random.below(2) == 0;
            let calm = 21_600 - 600;
            world.pass(calm / 2);
            match random.below(5) {
                0 => {
                    restarts += 1;
                    world.wrong.restarting = true;
                    world.pass(2 + i64::try_from(random.below(4)).unwrap());
                    world.wrong.restarting = false;
                }
                1 => {
                    blips += 1;
                    world.wrong.blip = true;
                    world.pass(20);
                    world.wrong.blip = false;
                }
                2 => {
                    deaf += 1;
                    world.wrong.deaf = Some(usize::try_from(random.below(12)).unwrap());
                    world.pass(60);
                    world.wrong.deaf = None;
                }
                3 => {
                    pauses += 1;
                    world.now +=
                        SignedDuration::from_secs(40 + i64::try_from(random.below(600)).unwrap());
                }
                _ => {}
            }
            world.wrong.deaf = None;
            world.pass(calm / 2);
        }
    }
    assert!(restarts > 200 && blips > 200 && deaf > 200 && pauses > 200);
    let letters: Vec<&str> = world
        .letters
        .iter()
        .map(|(_, letter)| letter.subject.as_str())
        .collect();
    assert!(letters.is_empty(), "{letters:?}");
    println!(
        "365 days, {restarts} restarts, {blips} outages of 20 s, {deaf} late looks, {pauses} pauses: 0 mails"
    );
}

/// What one person gets of these letters in the first ten minutes, by the cap of the outbox: for
/// each mail the second and the kinds in it.
fn mails_within_ten_minutes(letters: &[(i64, Letter)], begin: i64) -> Vec<(i64, Vec<String>)> {
    let (mut history, mut box_, mut mails) = (History::default(), Vec::new(), Vec::new());
    let mut order: Vec<&(i64, Letter)> = letters.iter().collect();
    order.sort_by_key(|(at, _)| *at);
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
    for second in begin..begin + 600 {
        for (id, (_, letter)) in (0_i64..)
            .zip(&order)
            .filter(|(_, (when, _))| *when == second)
        {
            box_.push(Waiting {
                id,
                kind: letter.kind.clone(),
                critical: letter.critical,
            });
        }
        let plan = notify::plan(&CAPS, &history, &box_, at(second));
        let kinds = |ids: &[i64]| -> Vec<String> {
            let sent = box_.iter().filter(|it| ids.contains(&it.id));
            sent.map(|it| it.kind.clone()).collect()
        };
        for id in &plan.send {
            let sent = box_.iter().find(|it| it.id == *id).unwrap();
            if sent.critical || CAPS.pass.contains(&sent.kind.as_str()) {
                history.passed_kinds.insert(sent.kind.clone());
            }
            mails.push((second, kinds(&[*id])));
        }
        if !plan.fold.is_empty() {
            mails.push((second, kinds(&plan.fold)));
        }
        history.delivered = mails.iter().map(|(second, _)| at(*second)).collect();
        box_.retain(|it| !plan.send.contains(&it.id) && !plan.fold.contains(&it.id));
    }
    mails
}

/// Five hundred terminals of twenty sites drop within so many seconds; ten minutes of it.
fn storm(world: &mut World, spread: u64) {
    let mut random = Random(spread);
    let falls: Vec<i64> = (0..500)
        .map(|_| i64::try_from(random.below(spread)).unwrap())
        .collect();
    for second in 0..600 {
        if second % 30 == 0 {
            let now = world.now;
            let seen = falls.iter().enumerate().map(|(n, fall)| {
                let (tenant, site) = (["acme", "beta"][n % 2], format!("site {}", n / 25));
                let subject = Subject::terminal(tenant, Some(&site), &format!("S{n}"));
                let trouble = (second > *fall).then(|| Trouble::new(Kind::TerminalOffline));
                Observation::wrong(subject, now, trouble.into_iter().collect())
            });
            world
                .core
                .observe("all-terminals", &Round::whole(seen.collect()), now);
        }
        world.pass(1);
    }
}

#[test]
fn a_relay_that_breaks_is_one_incident_and_mailed_within_90_seconds_also_in_a_storm() {
    let runs = (0..20).map(|seed| (seed, false));
    for (seed, stormy) in runs.chain((0..4).map(|seed| (seed, true))) {
        let mut world = World::new(seed);
        world.pass(300);
        let begin = world.clock;
        world.wrong.fault = Some(Kind::RelayFailing);
        match stormy {
            true => storm(&mut world, 60),
            false => world.pass(600),
        }
        let mails = mails_within_ten_minutes(&world.letters, begin);
        let told = mails
            .iter()
            .find(|(_, kinds)| kinds.iter().any(|kind| kind == "relay_failing"));
        let (at, kinds) = told.unwrap();
        assert!(
            at - begin <= 90 && kinds.len() == 1,
            "seed {seed}, storm {stormy}: after {} s in {mails:?}",
            at - begin
        );
        assert!(mails.len() <= 4, "seed {seed}: {mails:?}");
        let own = world
            .incidents
            .values()
            .filter(|it| it.kind == Kind::RelayFailing);
        assert_eq!(own.count(), 1, "seed {seed}, storm {stormy}");
    }
}

#[test]
fn five_hundred_terminals_that_drop_at_once_are_at_most_three_mails_in_ten_minutes() {
    for spread in [1, 60, 300] {
        let mut world = World::new(7);
        world.pass(60);
        let begin = world.clock;
        storm(&mut world, spread);
        let mails = mails_within_ten_minutes(&world.letters, begin).len();
        assert!(
            (1..=3).contains(&mails),
            "spread over {spread} s: {mails} mails"
        );
        let critical = world
            .letters
            .iter()
            .find(|(_, letter)| letter.kind == "terminal_offline" && letter.critical);
        assert!(
            critical.is_some(),
            "spread over {spread} s: no critical letter"
        );
        let named: usize = world.incidents.values().map(|it| it.members.len()).sum();
        assert!(named >= 500, "spread over {spread} s: {named} named");
    }
}
