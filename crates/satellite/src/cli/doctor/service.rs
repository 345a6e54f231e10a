//! The service: whether it answers, whether its work moves, and whether systemd looks after it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use satellite::config::Edge;
use serde::Deserialize;

use super::words::Says;
use super::{Context, Findings, settings};
use crate::cli::{http, program};

/// Longest wait for systemd's word.
const ASK_WITHIN: Duration = Duration::from_secs(3);
/// An edge that is further behind has a line that is too slow, or is catching up.
const BEHIND: Duration = Duration::from_secs(3_600);
/// Devices that are named with each condition.
const NAMED: usize = 3;

/// What is read of `/status`.
#[derive(Deserialize)]
struct Status {
    version: String,
    uptime_seconds: u64,
    stores: Vec<Store>,
    conditions: Vec<Device>,
    pending: u64,
    stages: Vec<Stage>,
    journal: Journal,
    totals: Totals,
    door: Open,
    #[serde(default)]
    outputs: Vec<Way>,
    #[serde(default)]
    inputs: Vec<Way>,
}

/// An output or an input.
#[derive(Deserialize)]
struct Way {
    name: String,
    state: String,
    trouble: Option<String>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    lag_seconds: f64,
    /// Whose it is, and of an input who sends.
    #[serde(default)]
    tenant: String,
    sender: Option<String>,
}

/// Where the running satellite awaits terminals; an older one does not say it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Open {
    pub(super) address: Option<SocketAddr>,
    pub(super) tls_address: Option<SocketAddr>,
}

#[derive(Deserialize)]
struct Store {
    label: String,
    up: bool,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Device {
    serial: String,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    name: String,
}

#[derive(Deserialize)]
struct Stage {
    name: String,
    stalled: bool,
}

#[derive(Deserialize)]
struct Journal {
    events: u64,
}

#[derive(Deserialize)]
struct Totals {
    panics: u64,
}

/// Answers where its doors are, when it does.
pub(super) async fn look(context: &Context, findings: &mut Findings) -> Open {
    let unit = unit().await;
    let admin = context.config.listen.admin;
    let mut open = Open::default();
    match status(context).await {
        Ok(status) => {
            let since = span(status.uptime_seconds);
            findings.good(Says::Answers, &[&status.version, &since, &admin]);
            judge(&status, findings);
            if is_edge_by_command_alone(&status, context.config.edge.as_ref()) {
                findings.care(Says::EdgeByCommand, &[], settings::edit(context));
            }
            open = status.door;
        }
        Err(why) => {
            let start = if unit.is_some() {
                "systemctl start satellite".to_owned()
            } else {
                format!("{} run", program())
            };
            findings.bad(Says::Silent, &[&admin, &why], start);
        }
    }
    by_systemd(unit.as_ref(), findings);
    open
}

/// A time in the two largest units that it has.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

async fn status(context: &Context) -> Result<Status, String> {
    let asked = http::get(context.config.listen.admin, "/status").await;
    let (code, body) = asked.map_err(|error| error.to_string())?;
    if code != 200 {
        return Err(format!("HTTP {code}"));
    }
    serde_json::from_str(&body).map_err(|error| error.to_string())
}

fn judge(status: &Status, findings: &mut Findings) {
    let own = env!("CARGO_PKG_VERSION");
    if status.version != own {
        let restart = "systemctl restart satellite".to_owned();
        findings.care(Says::OtherVersion, &[&status.version, &own], restart);
    }
    let logs = || "journalctl -u satellite -n 100".to_owned();
    for stage in status.stages.iter().filter(|stage| stage.stalled) {
        findings.bad(Says::WorkWaits, &[&stage.name], logs());
    }
    for store in status.stores.iter().filter(|store| !store.up) {
        let why = store.detail.as_deref().unwrap_or("-");
        let ask = format!("{} check --connect", program());
        findings.bad(Says::StoreRefuses, &[&store.label, &why], ask);
    }
    if let Some(first) = status.conditions.first() {
        let show = format!("{} devices show {}", program(), first.serial);
        let values = (status.conditions.len(), with_conditions(&status.conditions));
        findings.care(Says::Conditions, &[&values.0, &values.1], show);
    }
    if status.pending > 0 {
        let list = format!("{} devices list", program());
        findings.care(Says::Pending, &[&status.pending], list);
    }
    if status.journal.events > 0 {
        let ask = format!("{} check --connect", program());
        findings.care(Says::JournalWaits, &[&status.journal.events], ask);
    }
    ways(status, findings);
    if status.totals.panics > 0 {
        findings.bad(Says::Faults, &[&status.totals.panics], logs());
    }
}

/// Each condition with the devices for which it holds: `unreachable (A1, B2)`; of many the first.
fn with_conditions(devices: &[Device]) -> String {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for device in devices {
        for condition in &device.conditions {
            let serials = names.entry(&condition.name).or_default();
            serials.push(&device.serial);
        }
    }
    let told = |(name, serials): (&str, Vec<&str>)| {
        let beyond = serials.len().saturating_sub(NAMED);
        let serials: Vec<&str> = serials.into_iter().take(NAMED).collect();
        let more = if beyond > 0 {
            format!(" +{beyond}")
        } else {
            String::new()
        };
        format!("{name} ({}{more})", serials.join(", "))
    };
    names.into_iter().map(told).collect::<Vec<_>>().join(", ")
}

/// Outputs and inputs that do not do what they are for.
fn ways(status: &Status, findings: &mut Findings) {
    let ill =
        |way: &&Way| !["fine", "starting", "elsewhere", "store"].contains(&way.state.as_str());
    let all = [
        (Says::OutputIll, &status.outputs, "outputs list"),
        (Says::InputIll, &status.inputs, "check --connect"),
    ];
    for (says, ways, ask) in all {
        for way in ways.iter().filter(ill) {
            let (state, why) = (&way.state, way.trouble.as_deref().unwrap_or("-"));
            let ask = match &way.sender {
                Some(sender) if state == "unenrolled" => {
                    let add = "devices add --vendor other --tenant";
                    format!("{} {add} {} --serial {sender}", program(), way.tenant)
                }
                _ => format!("{} {ask}", program()),
            };
            findings.care(says, &[&way.name, &state, &why], ask);
        }
    }
    let fine = |way: &&Way| way.kind == "edge" && way.state == "fine";
    for edge in status.outputs.iter().filter(fine) {
        let behind = Duration::try_from_secs_f64(edge.lag_seconds).unwrap_or_default();
        if behind < BEHIND {
            findings.good(Says::EdgeFollows, &[&behind.as_secs()]);
        } else {
            let list = format!("{} outputs list", program());
            findings.care(Says::EdgeBehind, &[&span(behind.as_secs())], list);
        }
    }
}

/// An edge of which the configuration knows nothing: whoever reads only that finds no cloud to look at.
fn is_edge_by_command_alone(status: &Status, edge: Option<&Edge>) -> bool {
    edge.is_none() && status.outputs.iter().any(|way| way.kind == "edge")
}

/// What systemd says of the unit `satellite`; `None` where there is no systemd or no such unit.
async fn unit() -> Option<BTreeMap<String, String>> {
    let mut command = tokio::process::Command::new("systemctl");
    command.args(["show", "satellite.service", "--property"]);
    command.arg("LoadState,UnitFileState,NRestarts,WatchdogUSec");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let said = tokio::time::timeout(ASK_WITHIN, command.output()).await;
    let said = String::from_utf8(said.ok()?.ok()?.stdout).ok()?;
    let pairs = said.lines().filter_map(|line| line.split_once('='));
    let unit: BTreeMap<_, _> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (unit.get("LoadState")? == "loaded").then_some(unit)
}

fn by_systemd(unit: Option<&BTreeMap<String, String>>, findings: &mut Findings) {
    let Some(unit) = unit else {
        let install = "apt install ./satellite_*.deb".to_owned();
        return findings.care(Says::NoUnit, &[], install);
    };
    let is = |name: &str, value: &str| unit.get(name).is_some_and(|said| said == value);
    let restarts = unit.get("NRestarts").map_or("0", String::as_str);
    let before = findings.list.len();
    if !is("UnitFileState", "enabled") {
        findings.care(
            Says::UnitDisabled,
            &[],
            "systemctl enable satellite".to_owned(),
        );
    }
    if ["0", "infinity"]
        .iter()
        .any(|none| is("WatchdogUSec", none))
    {
        findings.care(
            Says::UnitUnwatched,
            &[],
            "systemctl edit satellite".to_owned(),
        );
    }
    if restarts != "0" {
        let logs = "journalctl -u satellite".to_owned();
        findings.care(Says::UnitRestarted, &[&restarts], logs);
    }
    if findings.list.len() == before {
        findings.good(Says::UnitRuns, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Grade;
    use crate::cli::words::Lang;

    fn found(work: impl FnOnce(&mut Findings)) -> Vec<(Grade, String)> {
        let mut findings = Findings::new(Lang::En);
        work(&mut findings);
        findings
            .list
            .into_iter()
            .map(|it| (it.grade, it.seen))
            .collect()
    }

    fn told(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_time_is_told_in_its_two_largest_units() {
        let spans = [59, 61, 3_700, 90_000].map(span);
        assert_eq!(spans, ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn a_unit_that_is_not_started_watched_or_was_started_again_needs_care() {
        let well = [
            ("UnitFileState", "enabled"),
            ("NRestarts", "0"),
            ("WatchdogUSec", "30s"),
        ];
        let good = found(|findings| by_systemd(Some(&told(&well)), findings));
        assert!(matches!(good.as_slice(), [(Grade::Good, _)]), "{good:?}");
        let ill = [
            ("UnitFileState", "disabled"),
            ("NRestarts", "3"),
            ("WatchdogUSec", "0"),
        ];
        let care = found(|findings| by_systemd(Some(&told(&ill)), findings));
        assert!(
            care.len() == 3 && care.iter().all(|it| it.0 == Grade::Care),
            "{care:?}"
        );
        let none = found(|findings| by_systemd(None, findings));
        assert!(matches!(none.as_slice(), [(Grade::Care, _)]), "{none:?}");
    }

    #[test]
    fn an_edge_that_is_an_hour_behind_needs_care_and_a_sender_that_is_not_enrolled_is_named() {
        let told = |lag: &str| {
            let text = r#"{"version":"0.1.0","uptime_seconds":5,"stores":[],"conditions":[],"pending":0,
            "stages":[],"journal":{"events":0},"totals":{"panics":0},"door":{},
            "outputs":[{"name":"edge","kind":"edge","state":"fine","trouble":null,"lag_seconds":LAG}],
            "inputs":[{"name":"plant","tenant":"acme","sender":"PLANT","state":"unenrolled","trouble":null}]}"#;
            let status: Status = serde_json::from_str(&text.replace("LAG", lag)).unwrap();
            let mut findings = Findings::new(Lang::En);
            ways(&status, &mut findings);
            assert!(is_edge_by_command_alone(&status, None));
            findings.list
        };
        let near = told("3.5");
        assert_eq!((near[1].grade, near[1].mend.is_none()), (Grade::Good, true));
        assert!(
            near[0]
                .mend
                .as_deref()
                .is_some_and(|mend| mend.ends_with("--tenant acme --serial PLANT")),
            "{near:?}"
        );
        let far = told("90000.0");
        assert_eq!(far[1].grade, Grade::Care);
        assert!(far[1].seen.contains("1 d 1 h"), "{far:?}");
    }

    #[test]
    fn what_stands_still_or_failed_is_bad_and_what_waits_needs_care() {
        let status = |text: &str| -> Status { serde_json::from_str(text).unwrap() };
        let well = status(
            r#"{"version":"0.1.0","uptime_seconds":5,"stores":[{"label":"store","up":true,"detail":null}],
            "conditions":[],"pending":0,"stages":[{"name":"store","stalled":false}],
            "journal":{"events":0},"totals":{"panics":0},"door":{"connections":3}}"#,
        );
        assert_eq!(found(|findings| judge(&well, findings)), []);
        assert!(!is_edge_by_command_alone(&well, None));
        let ill = status(
            r#"{"version":"0.0.9","uptime_seconds":5,"stores":[{"label":"store","up":false,"detail":"gone"}],
            "conditions":[{"serial":"A1","conditions":[{"name":"unreachable"},{"name":"clock_off"}]}],"pending":2,
            "stages":[{"name":"store","stalled":true}],"journal":{"events":7},"totals":{"panics":1},"door":{},
            "outputs":[{"name":"board","state":"standing","trouble":"HTTP 500"}],
            "inputs":[{"name":"plant","state":"failing","trouble":null},{"name":"x","state":"fine","trouble":null}]}"#,
        );
        let found = found(|findings| judge(&ill, findings));
        let graded = |grade| found.iter().filter(|it| it.0 == grade).count();
        assert_eq!(
            (graded(Grade::Bad), graded(Grade::Care)),
            (3, 6),
            "{found:?}"
        );
        assert!(
            found
                .iter()
                .any(|it| it.1.contains("clock_off (A1), unreachable (A1)")),
            "{found:?}"
        );
        let many = ["A", "B", "C", "D", "E"].map(|serial| Device {
            serial: serial.to_owned(),
            conditions: vec![Condition {
                name: "silent".to_owned(),
            }],
        });
        assert_eq!(with_conditions(&many), "silent (A, B, C +2)");
    }
}
