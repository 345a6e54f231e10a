//! Decisions under a simulated clock: what is told, to whom, when, and what is not.

mod afterwards;
mod brokers;
mod clock;

use super::*;
use crate::kind::Severity;
use crate::observation::{
    Admin, Canary, Door, Fact, Observation, Rows, Signal, Trouble, Unit, Value,
};
use daemon::config::Source;

/// One level for all hours, a second after 15 minutes with hours, a third after 45.
const FILE: &str = r#"
time_zone = "America/Mexico_City"
public_url = "https://s.example.mx"
[[watch.store]]
tenant = "acme"
name = "Acme S.A."
url = "mysql://s@db1/acme"
[[watch.store]]
tenant = "beta"
url = "mysql://s@db1/beta"
[mail]
from = "s@x.mx"
relays = ["smtp://r"]
[[level]]
to = [{ address = "uno@x.mx", phone = "+52 1" }]
[[level]]
to = [{ address = "dos@x.mx", language = "en" }]
hours = "Mon-Sun 09:00-18:30"
critical_any_time = false
[[level]]
to = [{ address = "tres@x.mx" }]
"#;

struct World {
    core: Core,
    config: Config,
    now: Timestamp,
    letters: Vec<Letter>,
    incidents: BTreeMap<IncidentId, Incident>,
    timeline: Vec<Entry>,
    tenants: Vec<TenantState>,
    /// Daily mails that were due: of which day, and when.
    daily: Vec<(civil::Date, Timestamp)>,
}

impl World {
    /// 26 November 2026, that time in Mexico City.
    fn at(time: &str) -> Self {
        let config = Config::read(&Source::new("t.toml", FILE)).unwrap();
        let now = format!("2026-11-26T{time}:00-06:00").parse().unwrap();
        Self {
            core: Core::default(),
            config,
            now,
            letters: Vec::new(),
            incidents: BTreeMap::new(),
            timeline: Vec::new(),
            tenants: Vec::new(),
            daily: Vec::new(),
        }
    }

    fn tick(&mut self) {
        let setting = Setting {
            config: &self.config,
            links: None,
        };
        self.core.tick(setting, self.now);
        let changes = self.core.take_changes();
        self.letters.extend(changes.letters);
        self.incidents.extend(changes.incidents);
        self.timeline.extend(changes.timeline);
        self.tenants.extend(changes.tenants);
        self.daily.extend(changes.daily.map(|day| (day, self.now)));
    }

    /// Lets seconds pass; every five the looks look.
    fn pass(&mut self, seconds: i64, mut looks: impl FnMut(&mut Core, Timestamp)) {
        for second in 0..seconds {
            if second % 5 == 0 {
                looks(&mut self.core, self.now);
            }
            self.tick();
            self.now += SignedDuration::from_secs(1);
        }
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Denied> {
        let setting = Setting {
            config: &self.config,
            links: None,
        };
        self.core.ask(&ask, "ana", setting, self.now)
    }

    fn told(&self) -> Vec<(String, String)> {
        let told = self.letters.iter();
        told.map(|letter| (letter.to.address().to_owned(), letter.step.clone()))
            .collect()
    }

    fn kinds(&self) -> Vec<Kind> {
        self.incidents
            .values()
            .map(|incident| incident.kind)
            .collect()
    }

    fn only(&self) -> &Incident {
        assert_eq!(self.incidents.len(), 1, "{:?}", self.kinds());
        self.incidents.values().next().unwrap()
    }
}

fn store(tenant: &str, kind: Option<Kind>) -> impl FnMut(&mut Core, Timestamp) {
    let tenant = tenant.to_owned();
    move |core, now| {
        let troubles = kind.map(Trouble::new).into_iter().collect();
        let seen = Observation::wrong(Subject::store(&tenant), now, troubles);
        core.observe(&format!("database:{tenant}"), &Round::one(seen), now);
    }
}

fn terminals(
    off: &[(&str, &str, &str)],
    all: &[(&str, &str, &str)],
    core: &mut Core,
    now: Timestamp,
) {
    let seen = all.iter().map(|it| {
        let (tenant, site, serial) = *it;
        let subject = Subject::terminal(tenant, Some(site), serial);
        let troubles = off
            .contains(it)
            .then(|| Trouble::new(Kind::TerminalOffline));
        Observation::wrong(subject, now, troubles.into_iter().collect())
    });
    core.observe("terminals", &Round::whole(seen.collect()), now);
}

#[test]
fn a_database_that_is_away_for_20_seconds_wakes_nobody_and_for_longer_within_a_minute() {
    let mut world = World::at("03:00");
    world.pass(60, store("acme", None));
    world.pass(20, store("acme", Some(Kind::DatabaseDown)));
    world.pass(600, store("acme", None));
    assert!(world.letters.is_empty());
    let begin = world.now;
    world.pass(60, store("acme", Some(Kind::DatabaseDown)));
    assert_eq!(world.told(), [("uno@x.mx".into(), "level-1".into())]);
    let incident = world.only().clone();
    assert_eq!((incident.kind, incident.since), (Kind::DatabaseDown, begin));
    assert!(incident.opened_at.duration_since(begin) <= SignedDuration::from_secs(40));
    let letter = &world.letters[0];
    assert_eq!(
        letter.subject,
        "[INC-2026-000001] CRÍTICO: La base de datos no responde (db1:3306)"
    );
    let text = letter.body.text();
    for part in [
        "Clientes afectados: Acme S.A.",
        "2 h 00 min a 3 h 00 min",
        "sentinel ack INC-2026-000001",
        "+52 1",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn levels_climb_without_acknowledgement_in_their_hours_and_recovery_reaches_who_was_told() {
    let mut world = World::at("10:00");
    let mut down = store("acme", Some(Kind::DatabaseDown));
    world.pass(46 * 60, &mut down);
    let mut told = world.told();
    told.retain(|(_, step)| step.starts_with("level"));
    let expected = [
        ("uno@x.mx", "level-1"),
        ("dos@x.mx", "level-2"),
        ("tres@x.mx", "level-3"),
    ];
    assert_eq!(
        told,
        expected.map(|(who, step)| (who.to_owned(), step.to_owned()))
    );
    assert!(
        world.letters[1]
            .subject
            .contains("CRITICAL, Nivel de atención 2: The database is down")
    );
    world.letters.clear();
    world.pass(140, store("acme", None));
    let who: Vec<String> = world
        .told()
        .into_iter()
        .filter(|(_, step)| step == "closed")
        .map(|(who, _)| who)
        .collect();
    assert_eq!(who, ["uno@x.mx", "dos@x.mx", "tres@x.mx"]);
    assert_eq!(world.only().state, State::Closed);
    assert!(world.letters[0].subject.contains("Recuperado"));
}

#[test]
fn an_acknowledgement_stops_the_climb_and_the_reminders() {
    let mut world = World::at("10:00");
    let mut down = store("acme", Some(Kind::DatabaseDown));
    world.pass(60, &mut down);
    let id = world.only().id;
    world.ask(Ask::Acknowledge { incident: id }).unwrap();
    world.pass(80 * 60, &mut down);
    assert_eq!(world.told(), [("uno@x.mx".into(), "level-1".into())]);
    // The recovery clock goes on: three quarters of two hours.
    world.pass(20 * 60, &mut down);
    assert_eq!(world.told().last().unwrap().1, "clock-1");
    assert_eq!(world.only().acknowledged.as_ref().unwrap().1, "ana");
    let missing = IncidentId {
        number: 9,
        year: 2026,
    };
    assert_eq!(
        world.ask(Ask::Acknowledge { incident: missing }),
        Err(Denied::NotOpen(missing))
    );
}

#[test]
fn outside_its_hours_a_level_waits_and_everything_goes_at_once_when_they_begin() {
    let mut world = World::at("08:00");
    let mut both = |core: &mut Core, now| {
        store("acme", Some(Kind::DatabaseDown))(core, now);
        let seen = Observation::wrong(
            Subject::Satellite,
            now,
            vec![Trouble::new(Kind::QuarantineGrowing)],
        );
        core.observe("records", &Round::one(seen), now);
    };
    world.pass(59 * 60, &mut both);
    let second = |world: &World| -> Vec<String> {
        let own = world
            .letters
            .iter()
            .filter(|letter| letter.to.address() == "dos@x.mx");
        own.map(|letter| letter.step.clone()).collect()
    };
    assert!(second(&world).is_empty(), "{:?}", world.told());
    world.pass(70, &mut both);
    assert_eq!(second(&world), ["opening"]);
    let letter = world
        .letters
        .iter()
        .find(|letter| letter.step == "opening")
        .unwrap();
    assert!(
        letter.subject.contains("2 incidents that waited"),
        "{}",
        letter.subject
    );
    assert!(letter.body.text().contains("INC-2026-000002"));
    world.pass(600, &mut both);
    assert_eq!(
        second(&world)
            .iter()
            .filter(|step| *step == "opening")
            .count(),
        1
    );
}

#[test]
fn maintenance_hides_letters_until_its_end_and_never_a_punch_that_is_not_there() {
    let mut world = World::at("10:00");
    let until = world.now + SignedDuration::from_mins(30);
    let window = Ask::Maintain {
        tenant: None,
        from: world.now,
        until,
        why: "upgrade".into(),
    };
    world.ask(window).unwrap();
    let mut down = store("acme", Some(Kind::DatabaseDown));
    world.pass(10 * 60, &mut down);
    assert_eq!(world.told(), [("uno@x.mx".into(), "begin".into())]);
    assert!(world.only().is_open());
    world.pass(30, |core, now| {
        let seen =
            Observation::fine(Subject::store("acme"), now).signal(Signal::Canary(Canary::Absent));
        core.observe("canary:acme", &Round::one(seen), now);
        store("acme", Some(Kind::DatabaseDown))(core, now);
    });
    assert_eq!(world.letters.last().unwrap().kind, "acknowledged_not_found");
    world.letters.clear();
    world.pass(20 * 60, &mut down);
    let steps: Vec<_> = world
        .letters
        .iter()
        .map(|it| (it.kind.as_str(), it.step.as_str()))
        .collect();
    assert!(steps.contains(&("maintenance", "end")), "{steps:?}");
    assert!(steps.contains(&("database_down", "level-1")), "{steps:?}");
}

#[test]
fn a_cut_site_is_one_incident_with_its_names_and_one_recovery() {
    let mut world = World::at("10:00");
    let serials: Vec<String> = (0..30).map(|n| format!("T{n}")).collect();
    let all: Vec<(&str, &str, &str)> = serials
        .iter()
        .map(|it| ("acme", "Toluca", it.as_str()))
        .collect();
    let mut elsewhere = all.clone();
    elsewhere.push(("acme", "Lerma", "X1"));
    world.pass(60, |core, now| terminals(&[], &elsewhere, core, now));
    world.pass(600, |core, now| terminals(&all, &elsewhere, core, now));
    assert_eq!(world.told(), [("uno@x.mx".into(), "level-1".into())]);
    let letter = &world.letters[0];
    assert!(
        letter.subject.contains("(Acme S.A., Toluca: 30)"),
        "{}",
        letter.subject
    );
    assert!(letter.body.text().contains("- T29 (Toluca)"));
    assert_eq!(world.only().severity, Severity::Critical);
    world.pass(300, |core, now| terminals(&[], &elsewhere, core, now));
    assert_eq!(world.letters.len(), 2);
    let recovery = world.letters[1].body.text();
    assert!(recovery.contains("30/30"));
    for serial in &serials {
        let line = format!("- {serial} (Toluca): 12 min");
        assert!(recovery.contains(&line), "{line} in {recovery}");
    }
}

#[test]
fn four_of_ten_terminals_of_a_site_are_critical_however_many_looks_name_them() {
    let mut world = World::at("10:00");
    let serials: Vec<String> = (0..10).map(|n| format!("T{n}")).collect();
    let all = serials.iter().map(|it| ("acme", "Toluca", it.as_str()));
    let all: Vec<(&str, &str, &str)> = all.collect();
    let (off, none) = (&all[..4], []);
    world.pass(60, |core, now| terminals(&none, &all, core, now));
    world.pass(120, |core, now| {
        terminals(off, &all, core, now);
        let seen = all.iter().map(|(tenant, site, serial)| {
            Observation::fine(Subject::terminal(tenant, Some(site), serial), now)
        });
        core.observe("silence:acme", &Round::whole(seen.collect()), now);
    });
    assert_eq!(world.only().severity, Severity::Critical);
}

#[test]
fn what_a_dead_database_explains_is_no_incident_of_its_own() {
    let mut world = World::at("10:00");
    world.pass(900, |core, now| {
        store("acme", Some(Kind::DatabaseDown))(core, now);
        store("beta", Some(Kind::DatabaseDown))(core, now);
        let troubles = vec![
            Trouble::new(Kind::CanarySlow),
            Trouble::new(Kind::JournalGrowing),
        ];
        let seen = Observation::wrong(Subject::store("acme"), now, troubles);
        core.observe("satellite", &Round::one(seen), now);
        let silent = Observation::wrong(
            Subject::terminal("beta", None, "T1"),
            now,
            vec![Trouble::new(Kind::TerminalSilent)],
        );
        core.observe("terminals", &Round::whole(vec![silent]), now);
        let payroll = Subject::check("acme", "payroll");
        let down = vec![Trouble::new(Kind::ApplicationDown)];
        let seen = Observation::wrong(payroll, now, down);
        core.observe("check:payroll", &Round::one(seen), now);
    });
    let incident = world.only();
    assert_eq!(incident.kind, Kind::DatabaseDown);
    assert_eq!(incident.roots().count(), 2);
    assert_eq!(incident.members.len(), 6);
}

/// Unit, admin, port, canary and rows as five looks.
fn looks(
    unit: Unit,
    admin: Admin,
    door: Door,
    canary: Option<Canary>,
    rows: Rows,
) -> impl FnMut(&mut Core, Timestamp) {
    move |core, now| {
        let of =
            |subject: Subject, signal| Round::one(Observation::fine(subject, now).signal(signal));
        core.observe("unit", &of(Subject::Satellite, Signal::Unit(unit)), now);
        core.observe("admin", &of(Subject::Satellite, Signal::Admin(admin)), now);
        core.observe("door", &of(Subject::Satellite, Signal::Door(door)), now);
        core.observe(
            "rows:acme",
            &of(Subject::store("acme"), Signal::Rows(rows)),
            now,
        );
        if let Some(canary) = canary {
            core.observe(
                "canary:acme",
                &of(Subject::store("acme"), Signal::Canary(canary)),
                now,
            );
        }
    }
}

#[test]
fn a_dead_satellite_is_told_within_15_seconds_and_a_restart_is_not() {
    let mut world = World::at("03:00");
    let fine = || {
        looks(
            Unit::Active,
            Admin::Moving,
            Door::Answers,
            Some(Canary::Visible),
            Rows::Old,
        )
    };
    let dead = || {
        looks(
            Unit::Inactive,
            Admin::Refused,
            Door::Refused,
            None,
            Rows::Old,
        )
    };
    world.pass(60, fine());
    world.pass(5, dead());
    world.pass(300, fine());
    assert!(world.letters.is_empty());
    let begin = world.now;
    world.pass(15, dead());
    assert_eq!(world.letters.len(), 1, "{:?}", world.kinds());
    assert_eq!(world.only().kind, Kind::SatelliteDown);
    assert!(world.only().opened_at.duration_since(begin) < SignedDuration::from_secs(15));
}

#[test]
fn a_frozen_satellite_is_a_hang_within_45_seconds_although_its_canary_was_just_seen() {
    let mut world = World::at("03:00");
    world.pass(
        60,
        looks(
            Unit::Active,
            Admin::Moving,
            Door::Answers,
            Some(Canary::Visible),
            Rows::Fresh,
        ),
    );
    world.pass(
        45,
        looks(Unit::Active, Admin::Silent, Door::Silent, None, Rows::Old),
    );
    assert_eq!(world.kinds(), [Kind::SatelliteHang]);
    assert_eq!(world.letters.len(), 1);
}

#[test]
fn where_the_only_door_with_a_canary_fails_the_incident_says_which_and_what_it_answered() {
    let mut world = World::at("10:00");
    let why = || Value::heard("ingest https://a.mx: HTTP 404");
    world.pass(60, |core, now| {
        let seen = Observation::unknown(Subject::store("acme"), now, why());
        let seen = seen.signal(Signal::Canary(Canary::Failed));
        core.observe("canary:acme", &Round::one(seen), now);
    });
    let incident = world.only();
    assert_eq!(incident.kind, Kind::DoorUnreachable);
    let facts = &incident.members.values().next().unwrap().facts;
    assert_eq!(facts[&Fact::Detail], why());
}

#[test]
fn while_rows_flow_a_cut_watch_is_a_warning_about_the_watch() {
    let mut world = World::at("10:00");
    world.pass(
        600,
        looks(
            Unit::Active,
            Admin::Silent,
            Door::Silent,
            Some(Canary::Failed),
            Rows::Fresh,
        ),
    );
    assert_eq!(world.kinds(), [Kind::ProbePath]);
    assert_eq!(world.only().severity, Severity::Warning);
}

#[test]
fn after_a_restart_nothing_is_told_twice_and_the_recovery_is_told() {
    let mut world = World::at("10:00");
    world.pass(60, store("acme", Some(Kind::DatabaseDown)));
    let before = world.only().clone();
    let restored = Restored {
        open: vec![before.clone()],
        last_number: 1,
        ..Restored::default()
    };
    let looks = BTreeSet::from(["database:acme".to_owned()]);
    world.core = Core::restore(restored, &looks, world.now);
    let told = world.letters.len();
    world.pass(120, store("acme", Some(Kind::DatabaseDown)));
    assert_eq!(world.letters.len(), told);
    world.pass(140, store("acme", None));
    assert_eq!(world.letters.last().unwrap().step, "closed");
    // Of a look that is no longer configured nothing more is heard: it is over.
    world.core = Core::restore(
        Restored {
            open: vec![before],
            last_number: 1,
            ..Restored::default()
        },
        &BTreeSet::new(),
        world.now,
    );
    world.tick();
    assert_eq!(
        world.incidents.values().next().unwrap().state,
        State::Closed
    );
}

#[test]
fn a_machine_that_slept_raises_no_alarm_about_the_time_it_slept() {
    let mut world = World::at("03:00");
    world.pass(10, store("acme", Some(Kind::DatabaseDown)));
    world.now += SignedDuration::from_hours(3);
    world.pass(20, store("acme", Some(Kind::DatabaseDown)));
    assert!(world.letters.is_empty());
    world.now -= SignedDuration::from_hours(5);
    world.pass(20, store("acme", Some(Kind::DatabaseDown)));
    assert!(world.letters.is_empty());
}

#[test]
fn a_warning_that_becomes_critical_is_told_by_the_name_of_what_is_critical() {
    let mut world = World::at("10:00");
    let copies = |kind: Kind| {
        move |core: &mut Core, now: Timestamp| {
            let tenant = "acme".to_owned();
            let subject = Subject::Backup { tenant };
            let seen = Observation::wrong(subject, now, vec![Trouble::new(kind)]);
            core.observe("backup", &Round::one(seen), now);
        }
    };
    world.pass(900, copies(Kind::BackupOld));
    assert_eq!(world.only().kind, Kind::BackupOld);
    let told = world.letters.len();
    world.pass(900, copies(Kind::BackupOverdue));
    let incident = world.only();
    assert_eq!(
        (incident.kind, incident.severity),
        (Kind::BackupOverdue, Severity::Critical)
    );
    let title = crate::words::of_kind(Kind::BackupOverdue).title(notify::Language::Spanish);
    let subject = &world.letters[told].subject;
    assert!(subject.contains(title), "{subject}");
}

#[test]
fn what_flaps_is_one_incident() {
    let mut world = World::at("10:00");
    for _ in 0..20 {
        world.pass(60, store("acme", Some(Kind::DatabaseDown)));
        world.pass(90, store("acme", None));
    }
    assert_eq!(world.incidents.len(), 1);
    let first = world
        .letters
        .iter()
        .filter(|letter| letter.step == "level-1");
    assert_eq!(first.count(), 1);
}

#[test]
fn each_relapse_within_an_hour_doubles_the_time_that_must_be_fine() {
    let down = || store("acme", Some(Kind::DatabaseDown));
    let fine = || store("acme", None);
    let mut world = World::at("10:00");
    for minutes_of_calm in [1, 3, 7] {
        world.pass(60, down());
        world.pass(minutes_of_calm * 60, fine());
        assert_eq!(world.only().state, State::Open, "{minutes_of_calm}");
    }
    // Relapses of more than an hour ago count no more: this one is the only one.
    world.pass(61 * 60, down());
    world.pass(60, fine());
    world.pass(60, down());
    world.pass(225, fine());
    assert_eq!(world.only().state, State::Open);
    world.pass(30, fine());
    assert_eq!(world.only().state, State::Closed);
}

#[test]
fn a_tenant_is_ok_partial_down_or_unknown_and_says_by_which_indicator() {
    let mut world = World::at("10:00");
    let last = |world: &World| {
        let own = world
            .tenants
            .iter()
            .rev()
            .find(|state| state.tenant == "acme")
            .unwrap();
        (own.standing, own.indicator.clone())
    };
    world.tick();
    assert_eq!(last(&world), (Standing::Unknown, String::new()));
    world.pass(10, store("acme", None));
    assert_eq!(last(&world), (Standing::Ok, String::new()));
    let one = [("acme", "Toluca", "T1")];
    world.pass(40, |core, now| terminals(&one, &one, core, now));
    assert_eq!(last(&world).0, Standing::Partial);
    assert_eq!(last(&world).1, "terminal_offline@terminal:acme/Toluca/T1");
    world.pass(60, store("acme", Some(Kind::DatabaseReadOnly)));
    assert_eq!(
        last(&world),
        (Standing::Down, "database_read_only@store:acme".into())
    );
    assert!(
        world
            .tenants
            .iter()
            .filter(|it| it.tenant == "beta")
            .all(|it| it.standing == Standing::Unknown)
    );
}

#[test]
fn a_look_that_knows_nothing_for_ten_minutes_is_a_warning_and_never_green() {
    let mut world = World::at("10:00");
    let blind = |core: &mut Core, now| {
        let seen = Observation::unknown(Subject::store("acme"), now, Value::heard("no answer"));
        core.observe("database:acme", &Round::one(seen), now);
    };
    world.pass(9 * 60, blind);
    assert!(world.letters.is_empty());
    world.pass(2 * 60, blind);
    assert_eq!(world.kinds(), [Kind::Blind]);
}

#[test]
fn a_terminal_that_is_no_more_takes_its_incident_with_it() {
    let mut world = World::at("10:00");
    let one = [("acme", "Toluca", "T1")];
    world.pass(60, |core, now| terminals(&one, &one, core, now));
    assert!(world.only().is_open());
    world.pass(5, |core, now| terminals(&[], &[], core, now));
    assert_eq!(world.only().state, State::Closed);
}

/// satellite and both databases on one machine that sends its facts every 30 seconds, the last
/// time at `heard`; from `gone` on nothing of it answers.
fn machine(
    heard: Timestamp,
    gone: bool,
    satellite_hangs: bool,
) -> impl FnMut(&mut Core, Timestamp) {
    move |core, now| {
        let satellite = Observation::fine(Subject::Satellite, now);
        let admin = if gone || satellite_hangs {
            Admin::Silent
        } else {
            Admin::Moving
        };
        let satellite = satellite.signal(Signal::Admin(admin));
        core.observe("satellite", &Round::one(satellite), now);
        for tenant in ["acme", "beta"] {
            let trouble = gone.then(|| Trouble::new(Kind::DatabaseDown));
            let seen =
                Observation::wrong(Subject::store(tenant), now, trouble.into_iter().collect());
            core.observe(&format!("database:{tenant}"), &Round::one(seen), now);
        }
        // Heard again each half minute, as long as it is there.
        let passed = now.duration_since(heard).as_secs();
        let last = if gone { 0 } else { passed - passed % 30 };
        let silent = passed - last >= 90;
        let trouble = silent.then(|| Trouble::new(Kind::HostSilent));
        let host = Subject::host("vm1");
        let mut seen = Observation::wrong(host, now, trouble.into_iter().collect());
        if !silent {
            let at = heard + SignedDuration::from_secs(last);
            let seconds = i32::try_from(at.as_second()).unwrap();
            seen = seen.number(crate::observation::HEARD_AT, seconds.into());
        }
        core.observe("host:vm1", &Round::one(seen), now);
    }
}

fn on_one_machine() -> World {
    let mut world = World::at("03:00");
    world.config.watch.satellite_admin = Some("http://10.0.0.5:9810".to_owned());
    let hosts = ["vm1", "10.0.0.5", "db1", "db2"].map(str::to_owned);
    world.config.looks.machines = vec![("vm1".to_owned(), hosts.into())];
    world
}

#[test]
fn a_machine_that_vanishes_with_satellite_and_databases_is_one_incident_and_one_mail() {
    let mut world = on_one_machine();
    let heard = world.now;
    world.pass(60, machine(heard, false, false));
    assert!(world.letters.is_empty(), "{:?}", world.kinds());
    let heard = world.now;
    world.pass(10, machine(heard, false, false));
    let begin = world.now;
    world.pass(120, machine(heard, true, false));
    let told = world.told();
    assert_eq!(told.len(), 1, "{told:?} {:?}", world.kinds());
    let only = world.only().clone();
    assert_eq!(only.kind, Kind::HostSilent);
    assert!(only.opened_at.duration_since(begin) < SignedDuration::from_secs(105));
    let kinds: BTreeSet<Kind> = only.members.values().map(|it| it.kind).collect();
    for kind in [Kind::HostSilent, Kind::SatelliteHang, Kind::DatabaseDown] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    // Back: one recovery.
    let heard = world.now;
    world.pass(400, machine(heard, false, false));
    assert_eq!(world.only().state, State::Closed);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn a_hang_on_a_machine_that_still_speaks_is_told_within_its_45_seconds() {
    for ahead in 1..30 {
        let mut world = on_one_machine();
        let heard = world.now;
        world.pass(60 + ahead, machine(heard, false, false));
        let begin = world.now;
        world.pass(45, machine(heard, false, true));
        assert_eq!(world.only().kind, Kind::SatelliteHang, "{ahead}");
        assert!(world.only().opened_at.duration_since(begin) < SignedDuration::from_secs(45));
    }
}

#[test]
fn a_clock_that_is_set_neither_uses_up_recovery_time_nor_calls_a_level_early_or_late() {
    for hours in [3, -3, 24 * 400] {
        let mut world = World::at("10:00");
        let wrong = || store("acme", Some(Kind::DatabaseDown));
        world.pass(300, wrong());
        assert_eq!(
            world.told(),
            [("uno@x.mx".to_owned(), "level-1".to_owned())]
        );
        let by = SignedDuration::from_hours(hours);
        world.now += by;
        world.core.clock_was_set(by, world.now);
        // The second level is due a quarter of an hour after the first, five minutes of which
        // had passed; its hours are open around noon, and at seven in the morning they are not.
        world.pass(540, wrong());
        assert_eq!(world.letters.len(), 1, "{hours} h: {:?}", world.told());
        world.pass(120, wrong());
        let second = world
            .told()
            .contains(&("dos@x.mx".to_owned(), "level-2".to_owned()));
        assert_eq!(second, hours != -3, "{hours} h: {:?}", world.told());
        assert!(
            world
                .told()
                .iter()
                .all(|(_, step)| !step.starts_with("clock"))
        );
        let noted = world
            .timeline
            .iter()
            .filter(|it| it.what == Happened::ClockSet);
        assert_eq!(noted.count(), 1);
        world.pass(300, store("acme", None));
        assert_eq!(world.only().state, State::Closed, "{hours} h");
        let used = world
            .only()
            .closed_at
            .unwrap()
            .duration_since(world.only().since);
        assert!(used < SignedDuration::from_mins(25), "{hours} h: {used:?}");
    }
}
