//! What a report must say, and what hostile names must not do to it.

use jiff::tz::TimeZone;
use notify::Language;

use super::compute::Verdict;
use super::*;
use crate::config::Promises;
use crate::decide::{IncidentId, Scope, State};
use crate::kind::{Class, Kind};
use crate::observation::Subject;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn period() -> Period {
    let month: Month = "2026-03".parse().unwrap();
    let zone = TimeZone::get("America/Mexico_City").unwrap();
    month.period(zone, at("2026-06-01T00:00:00Z")).unwrap()
}

fn incident(number: u32, kind: Kind, since: &str, closed: Option<&str>) -> Incident {
    let since = at(since);
    Incident {
        id: IncidentId { number, year: 2026 },
        kind,
        class: kind.class(),
        severity: kind.severity(),
        state: if closed.is_some() {
            State::Closed
        } else {
            State::Open
        },
        scope: Scope::One {
            subject: Subject::store("acme"),
        },
        since,
        opened_at: since + jiff::SignedDuration::from_secs(60),
        acknowledged: closed.map(|_| {
            (
                since + jiff::SignedDuration::from_secs(360),
                "ana".to_owned(),
            )
        }),
        mitigated: None,
        closed_at: closed.map(at),
        cause: None,
        members: BTreeMap::new(),
        levels: Vec::new(),
        counted_from: since,
        reminders: 0,
        clock_steps: 0,
        told_members: 0,
        told_severity: None,
        grown_at: None,
    }
}

/// A month that was fine but for two hours on the 12th and half a day of which nothing is known.
fn material() -> Material {
    let mut days = BTreeMap::new();
    let mut punches = BTreeMap::new();
    for day in period().month.days() {
        let all = DaySeconds {
            ok: 86_400,
            ..DaySeconds::default()
        };
        days.insert(day, all);
        let weekend = day.weekday().to_monday_zero_offset() > 4;
        punches.insert(
            day,
            if weekend {
                40
            } else {
                3900 + 7 * u64::from(day.day().unsigned_abs())
            },
        );
    }
    days.insert(
        "2026-03-12".parse().unwrap(),
        DaySeconds {
            ok: 77_400,
            partial: 1_800,
            down: 7_200,
        },
    );
    days.insert(
        "2026-03-22".parse().unwrap(),
        DaySeconds {
            ok: 43_200,
            ..DaySeconds::default()
        },
    );
    let mut down = incident(
        7,
        Kind::DatabaseDown,
        "2026-03-12T15:00:00Z",
        Some("2026-03-12T17:00:00Z"),
    );
    down.cause = Some("Disco lleno".to_owned());
    Material {
        tenant: "acme".to_owned(),
        name: "Acme S.A. de C.V.".to_owned(),
        days,
        incidents: vec![
            incident(
                3,
                Kind::DatabaseDown,
                "2026-02-27T15:00:00Z",
                Some("2026-03-01T17:00:00Z"),
            ),
            down,
            incident(9, Kind::TerminalSilent, "2026-03-20T15:00:00Z", None),
        ],
        punches,
        backups: None,
    }
}

fn report() -> Report {
    Report::of(
        "Soporte Ejemplo",
        &period(),
        &[material()],
        &Promises::default(),
    )
}

#[test]
fn availability_is_measured_against_what_was_promised_and_unknown_time_is_never_good() {
    let report = report();
    let it = &report.tenants[0].availability;
    assert_eq!((it.down, it.partial, it.unknown), (7_200, 1_800, 43_200));
    let all = 31 * 86_400;
    assert_eq!(it.ok, all - 7_200 - 1_800 - 43_200);
    // Of 2,635,200 known seconds 2,628,000.
    assert_eq!(it.millionths, Some(997_267));
    let held: Vec<_> = it
        .held
        .iter()
        .map(|held| (held.budget, held.left, held.verdict))
        .collect();
    assert_eq!(
        held,
        [
            // 26,784 may be lost: 7,200 were, and of 43,200 it is not known.
            (26_784, 19_584, Verdict::Unknown),
            (5_356, -1_844, Verdict::Broken),
            (2_678, -4_522, Verdict::Broken),
        ]
    );
}

#[test]
fn a_month_of_which_nothing_is_known_has_no_availability() {
    let empty = Material {
        tenant: "x".to_owned(),
        ..Material::default()
    };
    let report = Report::of("", &period(), &[empty], &Promises::default());
    let it = &report.tenants[0].availability;
    assert_eq!((it.millionths, it.unknown), (None, 31 * 86_400));
    assert!(it.held.iter().all(|held| held.verdict == Verdict::Unknown));
    let page = to_html(&report, Language::Spanish);
    assert!(page.contains("sin datos") && !page.contains("100.000 %"));
}

#[test]
fn incidents_of_the_month_are_counted_by_class_with_their_times() {
    let report = report();
    let tenant = &report.tenants[0];
    let ids: Vec<&str> = tenant.incidents.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["INC-2026-000007", "INC-2026-000009"]);
    let of = |class| tenant.classes.iter().find(|it| it.class == class).unwrap();
    let database = of(Class::Database);
    assert_eq!((database.opened, database.critical), (1, 1));
    assert_eq!(
        (database.to_acknowledge, database.to_repair),
        (Some(300), Some(7_200))
    );
    assert_eq!((database.promised, database.over_promise), (10_800, 0));
    let component = of(Class::Component);
    assert_eq!((component.opened, component.to_repair), (1, None));
    assert_eq!(of(Class::Mail).opened, 0);
}

#[test]
fn a_workaround_counts_as_repair() {
    let mut one = material();
    let long = Some("2026-03-13T15:00:00Z");
    one.incidents = vec![incident(
        7,
        Kind::DatabaseDown,
        "2026-03-12T15:00:00Z",
        long,
    )];
    let figures = |one: &Material| {
        let report = Report::of(
            "",
            &period(),
            std::slice::from_ref(one),
            &Promises::default(),
        );
        let classes = &report.tenants[0].classes;
        let it = classes
            .iter()
            .find(|it| it.class == Class::Database)
            .unwrap();
        (it.longest, it.over_promise)
    };
    assert_eq!(figures(&one), (Some(86_400), 1));
    one.incidents[0].mitigated = Some((at("2026-03-12T16:00:00Z"), "ana".to_owned()));
    assert_eq!(figures(&one), (Some(3_600), 0));
}

#[test]
fn the_same_material_gives_the_same_bytes_in_every_format() {
    let (one, two) = (report(), report());
    for language in [Language::Spanish, Language::English] {
        assert_eq!(to_html(&one, language), to_html(&two, language));
    }
    assert_eq!(to_csv(&one), to_csv(&two));
    assert_eq!(to_json(&one).unwrap(), to_json(&two).unwrap());
}

#[test]
fn hostile_text_stays_text_in_every_format() {
    let evil = "=cmd|'/c calc'!A1</td><script>alert(1)</script>\r\n\"x\u{202e}";
    let mut one = material();
    one.name = evil.to_owned();
    one.tenant = "+acme".to_owned();
    one.incidents[1].cause = Some(evil.to_owned());
    let report = Report::of(evil, &period(), &[one.clone(), one], &Promises::default());
    let page = to_html(&report, Language::English);
    assert!(!page.contains("<script") && !page.contains('\u{202e}'));
    assert_eq!(page.matches("<html").count(), 1);
    let text = to_csv(&report);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    for record in reader.records() {
        let record = record.unwrap();
        assert_eq!(record.len(), 7);
        assert!(
            record
                .iter()
                .all(|cell| !cell.starts_with(['=', '+', '@', '\t', '\r', '\n']))
        );
        assert!(!record.iter().any(|cell| cell.contains('\n')));
    }
    let back: serde_json::Value = serde_json::from_str(&to_json(&report).unwrap()).unwrap();
    assert_eq!(back["tenants"][0]["name"], evil);
}

#[test]
fn the_page_is_complete_in_itself() {
    let page = to_html(&report(), Language::Spanish);
    for outside in [
        "http:", "https:", "src=", "@import", "url(", "<link", "<script",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    for needed in [
        "99.726 %",
        "INC-2026-000007",
        "Disco lleno",
        "marzo de 2026",
        "viewport",
    ] {
        assert!(page.contains(needed), "{needed}");
    }
    // For whoever wants to look at it.
    if let Some(folder) = std::env::var_os("SENTINEL_TEST_PAGES") {
        std::fs::write(std::path::Path::new(&folder).join("report.html"), page).unwrap();
    }
}
