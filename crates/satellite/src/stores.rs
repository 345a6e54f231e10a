//! Which writer takes whose events, and whether its database is ready for them.
//!
//! Tenants without a database of their own share the registry's. Every database is opened by
//! itself: one that is down delays nobody else, and is prepared whenever it comes back. A
//! schema that this user may not bring up to date is the one thing that ends a start.

mod record;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use daemon::logging::Escaped;
use event::{DeviceId, Millis, TenantId, Text};
use store::quarantine::{self, QuarantineFilter, QuarantineRow};
use store::schema::{self, SchemaState};
use store::{
    Failure, Gate, Mirror, Observer, Refused, Session, Sessions, Target, Trouble, Want, Writer,
    lease,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use record::Lost;

use crate::clock;
use crate::config::Config;
use crate::metrics::Metrics;

/// Longest that a start waits for databases; those that need longer are prepared later.
const START_WITHIN: Duration = Duration::from_secs(3);
/// Pause before a database that could not be prepared is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Longest wait for a session to ask a small question with.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for a session while other stores use them all.
const SESSION_WITHIN: Duration = Duration::from_secs(60);
/// Stores whose tables are made at the same time. A server that makes tables for many at once
/// has no time left for anybody.
const MAKING: usize = 4;
/// Longest wait for others that make tables. One of them may hang, and must not delay the rest.
const MAKING_WITHIN: Duration = Duration::from_secs(120);

/// A database whose schema is too old, and whose user may not change it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database {place} ({label}) needs its tables made or brought up to date, and this user \
     may not do that ({text}); run: satellite db migrate{config} with a user that may create tables"
)]
pub struct MigrationDenied {
    /// The store's label.
    pub label: String,
    /// The database's address.
    pub place: String,
    /// What the database said.
    pub text: String,
    config: String,
}

/// One store with its writer.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) label: String,
    pub(crate) target: Target,
    pub(crate) writer: Writer,
    sessions: Sessions,
}

impl Store {
    /// Where the reading of a device stands, as it was last committed.
    pub(crate) async fn cursor(
        &self,
        device: DeviceId,
        name: &str,
    ) -> Result<Option<Text>, Refused> {
        let cursors = async {
            let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
            let done = store::cursors(session.engine(), Some(&[device])).await;
            finished(session, done)
        };
        let cursors = cursors.await.map_err(unavailable)?;
        let found = cursors.into_iter().find(|(_, known, _)| known == name);
        Ok(found.map(|(_, _, value)| value))
    }

    /// Rows of its quarantine, the newest first.
    pub(crate) async fn quarantine(
        &self,
        filter: &QuarantineFilter,
    ) -> Result<Vec<QuarantineRow>, Refused> {
        let rows = async {
            let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
            let done = quarantine::list(session.engine(), filter).await;
            finished(session, done)
        };
        rows.await.map_err(unavailable)
    }

    /// Marks rows of its quarantine as dealt with: their records are stored.
    pub(crate) async fn settle(&self, ids: &[i64], now: Millis) -> Result<(), Refused> {
        let settled = async {
            let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
            let mut done = Ok(());
            for id in ids {
                let one = quarantine::settle(session.engine(), *id, now).await;
                if let Err(failure) = one {
                    done = Err(failure);
                    break;
                }
            }
            finished(session, done)
        };
        settled.await.map_err(unavailable)
    }

    /// Every cursor in this database.
    pub(crate) async fn cursors(&self) -> Result<Vec<(DeviceId, Text, Text)>, Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = store::cursors(session.engine(), None).await;
        finished(session, done)
    }

    /// Renews or takes leases: see [`lease::keep`].
    pub(crate) async fn keep_leases(
        &self,
        holder: &str,
        wanted: &[(DeviceId, Option<i64>)],
        ttl: Duration,
    ) -> Result<Vec<(DeviceId, i64)>, Failure> {
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = lease::keep(session.engine(), holder, wanted, clock::now(), ttl).await;
        finished(session, done)
    }

    /// Gives leases back.
    pub(crate) async fn release_leases(
        &self,
        holder: &str,
        held: &[(DeviceId, i64)],
    ) -> Result<(), Failure> {
        if held.is_empty() {
            return Ok(());
        }
        let mut session = self.sessions.take(Want::Any, ASK_WITHIN).await?;
        let done = lease::release_all(session.engine(), holder, held).await;
        finished(session, done)
    }
}

impl Store {
    /// A session of its database, for a moment.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        self.sessions.take(Want::Any, ASK_WITHIN).await
    }
}

fn unavailable(failure: Failure) -> Refused {
    Refused::Unavailable(failure.trouble())
}

/// Gives a session back, or up, by what came of its work.
pub(crate) fn finished<T>(session: Session, done: Result<T, Failure>) -> Result<T, Failure> {
    match &done {
        Ok(_) => session.give_back(),
        Err(failure) => session.give_up(failure),
    }
    done
}

/// All stores of a configuration.
pub(crate) struct Stores {
    list: Vec<Store>,
    by_tenant: HashMap<TenantId, Store>,
}

/// What every writer is made with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) mirror: Mirror,
    pub(crate) gate: Gate,
    pub(crate) metrics: Arc<Metrics>,
}

impl Stores {
    /// Starts a writer for each database of `config`; those that `before` has already go on.
    pub(crate) fn open(config: &Config, means: &Means, before: Option<&Self>) -> Self {
        let list: Vec<Store> = config
            .stores()
            .into_iter()
            .map(|(label, target)| {
                let same = before.and_then(|stores| stores.find(&label, &target));
                let writer = same.unwrap_or_else(|| spawn(&label, &target, means));
                Store {
                    label,
                    sessions: means.gate.sessions(&target),
                    target,
                    writer,
                }
            })
            .collect();
        let tenants = config.tenants.iter();
        let by_tenant = tenants
            .filter_map(|tenant| {
                let target = config.target(&tenant.id)?;
                let store = list.iter().find(|store| store.target == *target)?;
                Some((tenant.id.clone(), store.clone()))
            })
            .collect();
        Self { list, by_tenant }
    }

    fn find(&self, label: &str, target: &Target) -> Option<Writer> {
        let mut stores = self.list.iter();
        let same = stores.find(|store| store.label == label && store.target == *target);
        same.map(|store| store.writer.clone())
    }

    /// The stores of `self` that `next` no longer has.
    pub(crate) fn gone(&self, next: &Self) -> Vec<Store> {
        let gone = |store: &&Store| next.find(&store.label, &store.target).is_none();
        self.list.iter().filter(gone).cloned().collect()
    }

    /// The stores that `before` did not have.
    pub(crate) fn fresh(&self, before: &Self) -> Vec<Store> {
        self.gone(before)
    }

    /// The writer of a tenant; `None` when the configuration has no such tenant.
    pub(crate) fn writer(&self, tenant: &TenantId) -> Option<&Writer> {
        self.of(tenant).map(|store| &store.writer)
    }

    /// The store of a tenant; `None` when the configuration has no such tenant.
    pub(crate) fn of(&self, tenant: &TenantId) -> Option<&Store> {
        self.by_tenant.get(tenant)
    }

    /// Every store, the registry's first.
    pub(crate) fn list(&self) -> &[Store] {
        &self.list
    }

    /// Closes all writers, each after what it has taken.
    pub(crate) async fn close(&self) {
        let mut closing = JoinSet::new();
        for store in &self.list {
            let writer = store.writer.clone();
            closing.spawn(async move { writer.close().await });
        }
        closing.join_all().await;
    }
}

fn spawn(label: &str, target: &Target, means: &Means) -> Writer {
    let observer = Arc::new(StoreObserver {
        label: label.to_owned(),
        metrics: Arc::clone(&means.metrics),
    });
    Writer::spawn(
        label,
        target.clone(),
        means.mirror.clone(),
        means.gate.clone(),
        observer,
    )
}

/// Puts what happens to a store into metrics and logs.
struct StoreObserver {
    label: String,
    metrics: Arc<Metrics>,
}

impl Observer for StoreObserver {
    fn committed(&self, took: Duration, _rows: usize) {
        self.metrics.commit.observe(took.as_secs_f64());
    }

    fn troubled(&self, trouble: Trouble, text: &str) {
        self.metrics
            .store_up
            .with_label_values(&[self.label.as_str()])
            .set(0);
        let (store, trouble) = (self.label.as_str(), trouble.as_str());
        tracing::error!(store, trouble, text = %Escaped(text), "the store takes no events");
    }

    fn recovered(&self) {
        self.metrics
            .store_up
            .with_label_values(&[self.label.as_str()])
            .set(1);
        tracing::info!(store = %self.label, "the store takes events again");
    }

    fn new_epoch(&self, epoch: i64) {
        self.metrics
            .epochs
            .with_label_values(&[self.label.as_str()])
            .inc();
        tracing::warn!(store = %self.label, epoch, "the feed of this store begins a new epoch");
    }
}

/// How far preparing a database came.
enum Prepared {
    Ready,
    Denied(MigrationDenied),
    NotYet(Failure),
}

/// Brings every database's schema up to date. Waits a few seconds at most; databases that do
/// not answer are prepared in the background, whenever they come back.
///
/// # Errors
/// When a database needs tables and its user may not make them.
pub(crate) async fn prepare_all(stores: &[Store], config: &Config) -> Result<(), MigrationDenied> {
    let file = config
        .file
        .as_ref()
        .map(|file| format!(" --config {}", file.display()));
    let file = file.unwrap_or_default();
    let (tell, mut told) = tokio::sync::mpsc::channel(stores.len().max(1));
    let making = Arc::new(Semaphore::new(MAKING));
    for store in stores {
        let (store, file, tell) = (store.clone(), file.clone(), tell.clone());
        let making = Arc::clone(&making);
        tokio::spawn(async move {
            let first = prepare(&store, &file, &making).await;
            let later = matches!(first, Prepared::NotYet(_));
            // Nobody listens any more when the start did not wait for this one; and the start
            // waits until every sender is gone.
            let sent = tell.send(first).await;
            drop((sent, tell));
            if later {
                prepare_later(&store, &file, &making).await;
            }
        });
    }
    drop(tell);
    let all = async {
        while let Some(prepared) = told.recv().await {
            if let Prepared::Denied(denied) = prepared {
                return Err(denied);
            }
        }
        Ok(())
    };
    tokio::time::timeout(START_WITHIN, all)
        .await
        .unwrap_or(Ok(()))
}

async fn prepare_later(store: &Store, config: &str, making: &Semaphore) {
    loop {
        tokio::time::sleep(AGAIN_AFTER).await;
        match prepare(store, config, making).await {
            Prepared::Ready => return,
            Prepared::Denied(denied) => {
                tracing::error!(store = %store.label, "{denied}");
                return;
            }
            Prepared::NotYet(failure) => {
                tracing::debug!(store = %store.label, %failure, "the store is not ready yet");
            }
        }
    }
}

async fn prepare(store: &Store, config: &str, making: &Semaphore) -> Prepared {
    match try_prepare(&store.sessions, making).await {
        Ok(migrated) => {
            if migrated {
                tracing::info!(store = %store.label, place = %store.target, "tables made or brought up to date");
            }
            Prepared::Ready
        }
        Err((true, failure)) if failure.trouble() == Trouble::Denied => {
            Prepared::Denied(MigrationDenied {
                label: store.label.clone(),
                place: store.target.to_string(),
                text: Escaped(&failure.text).to_string(),
                config: config.to_owned(),
            })
        }
        Err((_, failure)) => Prepared::NotYet(failure),
    }
}

/// True when something was changed. The failure says whether it came from the change itself.
async fn try_prepare(sessions: &Sessions, making: &Semaphore) -> Result<bool, (bool, Failure)> {
    let looking = |failure| (false, failure);
    let taken = sessions.take(Want::Any, SESSION_WITHIN).await;
    let mut session = taken.map_err(looking)?;
    let state = schema::state(session.engine()).await;
    if state.map_err(looking)? == SchemaState::Current {
        session.give_back();
        return Ok(false);
    }
    session.give_back();
    let turn = tokio::time::timeout(MAKING_WITHIN, making.acquire()).await;
    // What making tables leaves in a session is not for others: one of its own, then closed.
    let taken = sessions.take(Want::New, SESSION_WITHIN).await;
    let mut session = taken.map_err(looking)?;
    let made = schema::migrate(session.engine()).await;
    drop((session, turn));
    made.map(|()| true).map_err(|failure| (true, failure))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Tenant;
    use event::Zone;

    fn tenant(id: &str, own: Option<Target>) -> Tenant {
        Tenant {
            id: TenantId::new(id).unwrap(),
            name: id.to_owned(),
            zone: Zone::utc(),
            set_clock: true,
            networks: Vec::new(),
            keep: Vec::new(),
            own_store: own,
            forward: None,
        }
    }

    #[tokio::test]
    async fn a_reload_keeps_the_writers_of_stores_that_stay_and_names_those_that_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| Some(Target::Sqlite(folder.path().join(name)));
        let mut config = Config::in_folder(folder.path());
        config.tenants.push(tenant("own", file("own.db")));
        config.tenants.push(tenant("guest", file("own.db")));
        let means = Means {
            mirror: Mirror::in_memory().await.unwrap(),
            gate: Gate::new(4),
            metrics: Arc::new(Metrics::new(&config)),
        };
        let before = Stores::open(&config, &means, None);
        let labels = |stores: &[Store]| stores.iter().map(|s| s.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(before.list()), ["store", "own"]);
        assert!(before.writer(&TenantId::new("guest").unwrap()).is_some());
        assert!(before.writer(&TenantId::new("nobody").unwrap()).is_none());

        config.tenants.truncate(1);
        config.tenants.push(tenant("late", file("late.db")));
        let after = Stores::open(&config, &means, Some(&before));
        assert_eq!(labels(&before.gone(&after)), ["own"]);
        assert_eq!(labels(&after.fresh(&before)), ["late"]);
        after.close().await;
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_reached_does_not_hold_up_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path());
        let away = Target::Sqlite(folder.path().join("no/such/folder/events.db"));
        config.tenants.push(tenant("away", Some(away)));
        let means = Means {
            mirror: Mirror::in_memory().await.unwrap(),
            gate: Gate::new(4),
            metrics: Arc::new(Metrics::new(&config)),
        };
        let stores = Stores::open(&config, &means, None);
        let began = std::time::Instant::now();
        prepare_all(stores.list(), &config).await.unwrap();
        assert!(began.elapsed() < START_WITHIN + Duration::from_secs(1));
        let mut engine = config.store.connect().await.unwrap();
        assert_eq!(
            schema::state(&mut engine).await.unwrap(),
            SchemaState::Current
        );
    }
}
