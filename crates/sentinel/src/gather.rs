//! Collects what check lists and reports are made from: sentinel's file, its history, and fresh
//! looks.
//!
//! It only reads. A fresh look that is late or fails leaves what the running sentinel saw a
//! short while ago; what is older than that is not known any more.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use crate::checklist::{Configured, Looked, Matter, OpenIncident};
use crate::config::Config;
use crate::database::{Database, IncidentRow, Seen, Which};
use crate::decide::{Incident, IncidentId};
use crate::history::{History, name_of_backup, name_of_tenant};
use crate::kind::{Class, Kind, Severity};
use crate::looks;
use crate::looks::host::board::Board;
use crate::observation::{Finding, Observation, Round, Subject};
use crate::report::{Backups, Material, Period, Report};
use crate::words::Phrase;

/// Longest that fresh looks may take together; a check list is there in ten seconds.
pub const FRESH_WITHIN: Duration = Duration::from_secs(7);
/// What was seen longer ago is not known any more.
const RECENT: SignedDuration = SignedDuration::from_mins(5);
/// The look whose round names every terminal there is.
const TERMINALS: &str = "terminals";

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sentinel's file.
    #[error(transparent)]
    Database(#[from] crate::database::Error),
    /// Its history.
    #[error(transparent)]
    History(#[from] crate::history::Error),
    /// There is no such tenant.
    #[error("there is no tenant `{0}` in the configuration ([[watch.store]] tenant = …)")]
    Tenant(String),
}

/// The report of a period: of one tenant, or of all.
///
/// # Errors
/// [`Error`].
pub async fn report(
    config: &Config,
    database: &mut Database,
    period: &Period,
    tenant: Option<&str>,
) -> Result<Report, Error> {
    let tenants = tenants(config, tenant)?;
    let incidents = incidents(database, period).await?;
    let mut history = History::existing(&config.state_dir).await?;
    let (first, last) = (period.month.first(), period.month.last());
    let mut materials = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let mut material = Material {
            name: config.tenant_name(&tenant).to_owned(),
            incidents: concerning(&incidents, &tenant),
            ..Material::default()
        };
        if let Some(history) = &mut history {
            material.days = history
                .seconds(&name_of_tenant(&tenant), first, last)
                .await?;
            material.punches = history.punches(&tenant, first, last).await?;
            let worst = history.worst(&name_of_backup(&tenant), first, last).await?;
            material.backups = worst.map(|worst_age| Backups { worst_age });
        }
        material.tenant = tenant;
        materials.push(material);
    }
    Ok(Report::of(
        &config.name,
        period,
        &materials,
        &config.promises,
    ))
}

/// What a check list is made from, with what is seen now.
///
/// # Errors
/// [`Error`]. Without a file of sentinel's the fresh looks stand alone.
pub async fn matter(
    config: &Config,
    database: Option<&mut Database>,
    tenant: &str,
    now: Timestamp,
) -> Result<Matter, Error> {
    tenants(config, Some(tenant))?;
    let fresh = fresh(config, tenant, now).await;
    let mut matter = Matter {
        tenant: tenant.to_owned(),
        name: config.tenant_name(tenant).to_owned(),
        installation: config.name.clone(),
        zone: config.zone.clone(),
        now,
        configured: configured(config, tenant),
        looked: Vec::new(),
        open: Vec::new(),
        state: None,
        promises: config.promises,
    };
    let mut kept = Vec::new();
    if let Some(database) = database {
        let alive = database.alive_at().await?;
        if alive.is_some_and(|alive| now.duration_since(alive) <= RECENT) {
            kept = database.latest().await?;
            let states = database.tenants().await?;
            matter.state = states.into_iter().find(|state| state.tenant == tenant);
        }
        let open = database.incidents(Which::Open).await?;
        let open = open
            .iter()
            .filter(|row| row.tenant.as_deref().is_none_or(|own| own == tenant));
        matter.open = open.filter_map(open_incident).collect();
    }
    matter.looked = together(fresh, kept, tenant, now);
    Ok(matter)
}

fn tenants(config: &Config, tenant: Option<&str>) -> Result<Vec<String>, Error> {
    let all: Vec<String> = config.tenants().map(str::to_owned).collect();
    match tenant {
        None => Ok(all),
        Some(one) if all.iter().any(|tenant| tenant == one) => Ok(vec![one.to_owned()]),
        Some(other) => Err(Error::Tenant(notify::text::short(other, 60))),
    }
}

/// Every incident that touches the period, in the order of their numbers.
async fn incidents(database: &mut Database, period: &Period) -> Result<Vec<Incident>, Error> {
    let rows = database
        .incidents(Which::Between(period.from, period.until))
        .await?;
    let mut incidents = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(id) = IncidentId::parse(&row.id) else {
            continue;
        };
        if let Some(mut incident) = database.incident(id).await? {
            // A cause is noted after the end, in its column.
            incident.cause = row.cause.or(incident.cause);
            incidents.push(incident);
        }
    }
    incidents.sort_by_key(|incident| incident.id.number);
    Ok(incidents)
}

/// Those about the tenant, and those about what all share.
fn concerning(incidents: &[Incident], tenant: &str) -> Vec<Incident> {
    let concerns = |incident: &&Incident| {
        let tenants = incident.tenants();
        tenants.is_empty() || tenants.contains(tenant)
    };
    incidents.iter().filter(concerns).cloned().collect()
}

fn open_incident(row: &IncidentRow) -> Option<OpenIncident> {
    Some(OpenIncident {
        id: row.id.clone(),
        kind: Kind::from_word(&row.kind)?,
        class: Class::from_word(&row.class)?,
        severity: Severity::from_word(&row.severity)?,
        since: row.since,
        mitigated_at: row.mitigated_at,
    })
}

fn configured(config: &Config, tenant: &str) -> Configured {
    let store = config
        .watch
        .stores
        .iter()
        .find(|store| store.tenant == tenant);
    let canary = store.is_some_and(|it| !it.canaries.is_empty());
    let told = |level: &&crate::config::Level| level.to.iter().any(|to| to.phone.is_some());
    Configured {
        unit: config.watch.satellite_unit.is_some(),
        admin: config.watch.satellite_admin.is_some(),
        door: !config.watch.terminal_urls.is_empty(),
        canary: canary && !config.watch.terminal_urls.is_empty(),
        mail: config.mail.is_some(),
        levels: config.levels.len(),
        telephones: config.levels.iter().filter(told).count(),
    }
}

/// What looks see now, by look. Looks of other tenants are left alone, and nothing is
/// restarted because somebody prints a check list.
async fn fresh(config: &Config, tenant: &str, now: Timestamp) -> BTreeMap<String, Round> {
    let mut config = config.clone();
    config.watch.restart = false;
    config.watch.stores.retain(|store| store.tenant == tenant);
    let mut running = JoinSet::new();
    let board = Board::new(&[]);
    for look in looks::all(&config, &board) {
        if is_only_seen_by_the_running(look.name()) {
            continue;
        }
        running.spawn(async move {
            let within = look.deadline().min(FRESH_WITHIN);
            let round = tokio::time::timeout(within, look.look(now)).await;
            let late = |subject| Observation::unknown(subject, now, Phrase::LookLate);
            let round = round
                .unwrap_or_else(|_| Round::part(look.subjects().into_iter().map(late).collect()));
            (look.name().to_owned(), round)
        });
    }
    let mut rounds = BTreeMap::new();
    while let Some(done) = running.join_next().await {
        // A look that panics saw nothing.
        if let Ok((name, round)) = done {
            rounds.insert(name, round);
        }
    }
    rounds
}

/// Looks that write as they look and learn over weeks, and those at machines that speak to the
/// running sentinel only: theirs is what that one saw.
fn is_only_seen_by_the_running(look: &str) -> bool {
    look == "history" || look.starts_with("silence:") || look.starts_with("host:")
}

/// What is known of each subject by each look: what is seen now, else what was seen a short
/// while ago.
fn together(
    fresh: BTreeMap<String, Round>,
    kept: Vec<Seen>,
    tenant: &str,
    now: Timestamp,
) -> Vec<Looked> {
    let own = |subject: &Subject| subject.tenant().is_none_or(|own| own == tenant);
    let enrolled: Option<HashSet<Subject>> =
        fresh
            .get(TERMINALS)
            .filter(|round| round.whole)
            .map(|round| {
                round
                    .observations
                    .iter()
                    .map(|it| it.subject.clone())
                    .collect()
            });
    let mut known: BTreeMap<(String, Subject), Observation> = BTreeMap::new();
    for seen in kept {
        let observation = seen.observation;
        let terminal = matches!(observation.subject, Subject::Terminal { .. });
        // A terminal that goes on as before is not written down each time.
        let recent = terminal || now.duration_since(observation.at) <= RECENT;
        let there = match (&enrolled, terminal) {
            (Some(enrolled), true) => enrolled.contains(&observation.subject),
            _ => true,
        };
        if recent && there && own(&observation.subject) {
            known.insert((seen.look, observation.subject.clone()), observation);
        }
    }
    for (look, round) in fresh {
        if round.whole {
            known.retain(|(its, _), _| *its != look);
        }
        for observation in round.observations.into_iter().filter(|it| own(&it.subject)) {
            let key = (look.clone(), observation.subject.clone());
            let unknown = matches!(observation.finding, Finding::Unknown { .. });
            if !(unknown && known.contains_key(&key)) {
                known.insert(key, observation);
            }
        }
    }
    let looked = known
        .into_iter()
        .map(|((look, _), observation)| Looked { look, observation });
    looked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-06-02T15:20:00Z".parse().unwrap()
    }

    fn seen(look: &str, subject: Subject, minutes_ago: i64) -> Seen {
        let at = now() - SignedDuration::from_mins(minutes_ago);
        Seen {
            look: look.to_owned(),
            observation: Observation::fine(subject, at),
        }
    }

    fn config(folder: &std::path::Path) -> Config {
        let text = format!(
            "state_dir='{0}'\nname='Soporte'\n[[watch.store]]\ntenant='acme'\nname='Acme'\n\
             url='sqlite://{0}/events.db'\n[[watch.store]]\ntenant='other'\n\
             url='sqlite://{0}/other.db'\n",
            folder.display()
        );
        Config::read(&daemon::config::Source::new("t.toml", &text)).unwrap()
    }

    #[tokio::test]
    async fn a_report_comes_from_the_files_and_twice_with_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut database = Database::open(folder.path()).await.unwrap();
        let mut history = History::open(folder.path()).await.unwrap();
        let month: crate::report::Month = "2026-05".parse().unwrap();
        for day in month.days() {
            let seconds = crate::report::DaySeconds {
                ok: 86_000,
                partial: 0,
                down: 400,
            };
            history
                .add_seconds(&name_of_tenant("acme"), day, seconds)
                .await
                .unwrap();
            history
                .note_worst(&name_of_backup("acme"), day, 9_000)
                .await
                .unwrap();
        }
        let period = month.period(config.zone.clone(), now()).unwrap();
        let mut pages = Vec::new();
        for _ in 0..2 {
            let report = report(&config, &mut database, &period, Some("acme"))
                .await
                .unwrap();
            let tenant = &report.tenants[0];
            assert_eq!((tenant.name.as_str(), report.tenants.len()), ("Acme", 1));
            assert_eq!(tenant.availability.down, 31 * 400);
            assert_eq!(tenant.backup_worst_age, Some(9_000));
            pages.push(crate::report::to_html(&report, notify::Language::Spanish));
        }
        assert_eq!(pages[0], pages[1]);
        let all = report(&config, &mut database, &period, None).await.unwrap();
        assert_eq!(all.tenants.len(), 2);
        assert_eq!(all.tenants[1].availability.millionths, None);
        let nobody = report(&config, &mut database, &period, Some("nobody")).await;
        assert!(matches!(nobody, Err(Error::Tenant(_))));
    }

    #[tokio::test]
    async fn a_check_list_without_anything_that_works_is_there_in_time_and_passes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let began = std::time::Instant::now();
        let matter = matter(&config, None, "acme", now()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10));
        let list = crate::checklist::Checklist::of(&matter, false, notify::Language::Spanish);
        assert_eq!(list.result, crate::checklist::Outcome::Fail);
        let mut lines = list.lists.iter().flat_map(|list| &list.lines);
        let database = lines.find(|line| line.key == "database").unwrap();
        assert_eq!(database.result, crate::checklist::Outcome::Fail);
    }

    #[test]
    fn what_is_seen_now_counts_before_what_was_seen_and_old_sights_do_not_count() {
        let (store, host) = (Subject::store("acme"), Subject::host("vm1"));
        let unknown = Observation::unknown(store.clone(), now(), Phrase::LookLate);
        let fresh = BTreeMap::from([
            ("database:acme".to_owned(), Round::one(unknown.clone())),
            ("canary:acme".to_owned(), Round::one(unknown)),
        ]);
        let kept = vec![
            seen("database:acme", store, 1),
            seen("host:vm1", host, 6),
            seen("database:other", Subject::store("other"), 1),
        ];
        let looked = together(fresh, kept, "acme", now());
        let shown: Vec<(&str, bool)> = looked
            .iter()
            .map(|it| (it.look.as_str(), it.observation.finding == Finding::Fine))
            .collect();
        assert_eq!(shown, [("canary:acme", false), ("database:acme", true)]);
    }

    #[test]
    fn a_terminal_that_is_gone_is_not_on_the_list() {
        let there = Subject::terminal("acme", None, "ABC1");
        let gone = Subject::terminal("acme", None, "OLD1");
        let round = Round::whole(vec![Observation::fine(there.clone(), now())]);
        let fresh = BTreeMap::from([(TERMINALS.to_owned(), round)]);
        let kept = vec![
            seen("silence:acme", there.clone(), 600),
            seen("silence:acme", gone.clone(), 600),
            seen(TERMINALS, gone, 600),
        ];
        let looked = together(fresh, kept, "acme", now());
        assert_eq!(looked.len(), 2);
        assert!(looked.iter().all(|it| it.observation.subject == there));
    }
}
