//! What the lists must say, and that what is unknown never passes.

use jiff::SignedDuration;

use super::*;
use crate::config::Promises;
use crate::decide::Standing;
use crate::observation::{Admin, Canary, Fact, Signal, Subject, Trouble, Unit, Value};

fn now() -> Timestamp {
    "2026-06-02T09:20:00-06".parse().unwrap()
}

fn looked(look: &str, observation: Observation) -> Looked {
    Looked {
        look: look.to_owned(),
        observation,
    }
}

fn fine(look: &str, subject: Subject) -> Looked {
    looked(
        look,
        Observation::fine(subject, now() - SignedDuration::from_secs(12)),
    )
}

fn terminal(serial: &str) -> Subject {
    Subject::terminal("acme", Some("Toluca"), serial)
}

/// A tenant with whom all is well.
fn matter() -> Matter {
    let store = Subject::store("acme");
    let unit = Observation::fine(Subject::Satellite, now()).signal(Signal::Unit(Unit::Active));
    let canary = Observation::fine(store.clone(), now())
        .signal(Signal::Canary(Canary::Visible))
        .number("canary_seconds", 1.24);
    Matter {
        tenant: "acme".to_owned(),
        name: "Acme S.A. de C.V.".to_owned(),
        installation: "Soporte Ejemplo".to_owned(),
        zone: TimeZone::get("America/Mexico_City").unwrap(),
        now: now(),
        configured: Configured {
            unit: true,
            canary: true,
            levels: 3,
            telephones: 3,
            ..Configured::default()
        },
        looked: vec![
            looked("unit", unit),
            looked("canary:acme", canary),
            fine("database:acme", store),
            fine("silence:acme", terminal("ABC1")),
            fine("silence:acme", terminal("ABC2")),
            fine("host", Subject::host("vm1")),
        ],
        open: Vec::new(),
        state: Some(TenantState {
            tenant: "acme".to_owned(),
            since: now(),
            standing: Standing::Ok,
            indicator: String::new(),
        }),
        promises: Promises::default(),
    }
}

fn list(matter: &Matter) -> Checklist {
    Checklist::of(matter, false, Language::Spanish)
}

fn line(checklist: &Checklist, key: &str) -> Line {
    let mut lines = checklist.lists.iter().flat_map(|list| &list.lines);
    lines.find(|line| line.key == key).unwrap().clone()
}

#[test]
fn where_all_was_seen_to_be_well_everything_passes_or_does_not_apply() {
    let checklist = list(&matter());
    assert_eq!(checklist.result, Outcome::Pass, "{checklist:#?}");
    let titles: Vec<&str> = checklist
        .lists
        .iter()
        .map(|list| list.title.as_str())
        .collect();
    assert_eq!(
        titles,
        [
            "Check list de pruebas y verificación",
            "Check list de indicadores de operación"
        ]
    );
    assert_eq!(line(&checklist, "canary").evidence, "1.2 s");
    assert_eq!(line(&checklist, "terminals_silent").evidence, "2/2");
    assert_eq!(line(&checklist, "state").evidence, "Operación normal");
    for key in ["backup", "certificate", "mail", "application", "door"] {
        assert_eq!(
            line(&checklist, key).result,
            Outcome::NotApplicable,
            "{key}"
        );
    }
}

#[test]
fn the_version_of_satellite_is_evidence_that_it_answers() {
    let satellite = Observation::fine(Subject::Satellite, now())
        .signal(Signal::Admin(Admin::Moving))
        .version("0.1.0")
        .number("uptime_seconds", 7200.0);
    let mut matter = matter();
    matter.looked.push(looked("satellite", satellite));
    let line = line(&list(&matter), "satellite_progress");
    assert_eq!(line.evidence, "2 h 00 min, versión 0.1.0");
}

#[test]
fn the_size_of_a_database_is_evidence_that_it_answers() {
    let mut matter = matter();
    matter.looked.retain(|it| !it.look.starts_with("database:"));
    let database = Observation::fine(Subject::store("acme"), now())
        .number("took_seconds", 0.25)
        .number("size_bytes", 3_221_225_472.0);
    matter.looked.push(looked("database:acme", database));
    let line = line(&list(&matter), "database");
    assert_eq!(line.evidence, "0.2 s, 3.0 GiB");
}

#[test]
fn nothing_passes_of_which_nothing_is_known() {
    let mut blind = matter();
    blind.looked.clear();
    blind.state = None;
    let checklist = list(&blind);
    for line in checklist.lists.iter().flat_map(|list| &list.lines) {
        let told_by_ourselves =
            ["levels", "critical_incidents", "recovery_time"].contains(&line.key);
        assert_eq!(line.result == Outcome::Pass, told_by_ourselves, "{line:?}");
    }
    assert_eq!(checklist.result, Outcome::Fail);
    let database = line(&checklist, "database");
    assert_eq!(
        (database.known, database.evidence.as_str()),
        (false, "sin datos")
    );
}

#[test]
fn what_a_look_could_not_see_fails_and_says_why() {
    let mut one = matter();
    let unknown = Observation::unknown(
        Subject::store("acme"),
        now(),
        Value::heard("no answer within 5 s"),
    );
    one.looked[2] = looked("database:acme", unknown);
    let database = line(&list(&one), "database");
    assert_eq!((database.result, database.known), (Outcome::Fail, false));
    assert_eq!(
        database.evidence,
        "no se pudo comprobar: no answer within 5 s"
    );
}

#[test]
fn what_hides_behind_a_failure_does_not_pass() {
    let mut one = matter();
    let down = vec![Trouble::new(Kind::DatabaseDown)];
    let down = Observation::wrong(Subject::store("acme"), now(), down);
    one.looked[2] = looked("database:acme", down);
    let checklist = list(&one);
    assert_eq!(
        (
            line(&checklist, "database").result,
            line(&checklist, "database").known
        ),
        (Outcome::Fail, true)
    );
    for key in ["durability", "replication"] {
        let line = line(&checklist, key);
        assert_eq!(
            (line.result, line.known),
            (Outcome::Fail, false),
            "{line:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_its_numbers() {
    let mut one = matter();
    let trouble = Trouble::new(Kind::TerminalSilent)
        .fact(Fact::Expected, Value::Count(41))
        .fact(Fact::Seen, Value::Count(0));
    one.looked[4] = looked(
        "silence:acme",
        Observation::wrong(terminal("ABC2"), now(), vec![trouble]),
    );
    let silent = line(&list(&one), "terminals_silent");
    assert_eq!(silent.result, Outcome::Fail);
    assert!(
        silent.evidence.starts_with("1/2: ABC2 (Toluca): "),
        "{}",
        silent.evidence
    );
    assert!(
        silent.evidence.contains("Se esperaba: 41; Se vio: 0"),
        "{}",
        silent.evidence
    );
}

#[test]
fn a_signal_that_is_not_well_fails_whatever_else_is_said() {
    let mut one = matter();
    let stopped = Observation::fine(Subject::Satellite, now()).signal(Signal::Unit(Unit::Inactive));
    one.looked.push(looked("unit", stopped));
    let unit = line(&list(&one), "satellite_unit");
    assert_eq!(
        (unit.result, unit.evidence.as_str()),
        (Outcome::Fail, "systemd lo da por detenido")
    );
}

#[test]
fn open_incidents_fail_their_lines_and_a_state_that_is_not_fine_its_own() {
    let mut one = matter();
    one.open.push(OpenIncident {
        id: "INC-2026-000007".to_owned(),
        kind: Kind::AcknowledgedNotFound,
        class: Class::Component,
        severity: Severity::Critical,
        since: now() - SignedDuration::from_hours(4),
        mitigated_at: None,
    });
    if let Some(state) = &mut one.state {
        state.standing = Standing::Down;
        "acknowledged_not_found@store:acme".clone_into(&mut state.indicator);
    }
    let checklist = list(&one);
    for key in [
        "acknowledged_found",
        "critical_incidents",
        "recovery_time",
        "state",
    ] {
        assert_eq!(line(&checklist, key).result, Outcome::Fail, "{key}");
    }
    assert_eq!(
        line(&checklist, "recovery_time").evidence,
        "INC-2026-000007: 4 h 00 min / 3 h 00 min"
    );
    one.open[0].mitigated_at = Some(now() - SignedDuration::from_hours(3));
    assert_eq!(line(&list(&one), "recovery_time").result, Outcome::Pass);
}

#[test]
fn a_level_without_a_telephone_fails() {
    let mut one = matter();
    one.configured.telephones = 2;
    let levels = line(&list(&one), "levels");
    assert_eq!(
        (levels.result, levels.evidence.as_str()),
        (Outcome::Fail, "3 niveles, 2 con teléfono")
    );
}

#[test]
fn the_list_after_a_restore_asks_a_person_for_more() {
    let (usual, restored) = (
        list(&matter()),
        Checklist::of(&matter(), true, Language::English),
    );
    assert_eq!((usual.by_hand.len(), restored.by_hand.len()), (2, 6));
    assert!(restored.lists[0].title.ends_with("after a restore"));
    assert!(
        restored
            .by_hand
            .iter()
            .any(|step| step.contains("db epoch --new"))
    );
}

#[test]
fn every_format_has_every_line_and_a_place_to_sign() {
    let mut one = matter();
    one.name = "<script>\u{202e}Acme".to_owned();
    let evil = Observation::wrong(
        terminal("<b>\r\n1"),
        now(),
        vec![Trouble::new(Kind::TerminalSilent)],
    );
    one.looked.push(looked("silence:acme", evil));
    let zone = one.zone.clone();
    for language in [Language::Spanish, Language::English] {
        let checklist = Checklist::of(&one, true, language);
        let (text, page) = (
            to_text(&checklist, language, &zone),
            to_html(&checklist, language, &zone),
        );
        for line in checklist.lists.iter().flat_map(|list| &list.lines) {
            assert!(text.contains(&line.title) && page.contains(&notify::text::html(&line.title)));
            assert!(!line.evidence.contains('\n'));
        }
        assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains('\u{202e}'));
        for outside in ["http:", "https:", "src=", "url(", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(text.contains("____") && page.contains("sign-line"));
        let back: serde_json::Value = serde_json::from_str(&to_json(&checklist).unwrap()).unwrap();
        assert_eq!(back["lists"][0]["lines"][0]["result"], "PASS");
        if let Some(folder) = std::env::var_os("SENTINEL_TEST_PAGES") {
            let folder = std::path::Path::new(&folder);
            std::fs::write(folder.join("checklist.html"), page).unwrap();
            std::fs::write(folder.join("checklist.txt"), text).unwrap();
        }
    }
}
