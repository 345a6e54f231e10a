//! The keeper of the registry: hears of its changes, mirrors them, and carries out wishes.
//!
//! One task, off the path of every request, that takes a session for a moment at a time. While the registry
//! is down it keeps trying and the door goes on with what it knows. Writes that strangers can
//! cause (a pending serial, an enrolment under `accept`) are limited to ten a second here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::logging::Escaped;
use event::{DeviceId, Serial, TenantId, Text, Vendor};
use store::lockdown::{self, Lockdown};
use store::mirror::Pending;
use store::registry::{self, Enrolment, NewEnrolment, RegistryError};
use store::{Failure, Session, Want};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::now;
use crate::hub::{Hub, Wish};

/// How often the registry is asked whether it changed.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Shortest time between two writes that a stranger caused.
const WISH_EVERY: Duration = Duration::from_millis(100);
/// Longest that a start waits for the registry before it takes the mirror.
const START_WITHIN: Duration = Duration::from_secs(3);
/// Longest silence of this task before it counts as stuck: connecting and a few statements,
/// each with its own deadline, fit in.
const STUCK_AFTER: Duration = Duration::from_secs(120);
/// Longest wait for a session while stores of the same server use them all.
const SESSION_WITHIN: Duration = Duration::from_secs(8);

/// The task's own state.
pub(crate) struct Keeper {
    hub: Arc<Hub>,
    wishes: mpsc::Receiver<Wish>,
    /// The registry's change number that the devices were last built from.
    number: Option<i64>,
    /// What the mirror kept of stamps, until there are terminals to give it to.
    stamps: Vec<(DeviceId, Text, Text)>,
    was_down: bool,
}

impl Keeper {
    pub(crate) fn new(hub: Arc<Hub>, wishes: mpsc::Receiver<Wish>) -> Self {
        Self {
            hub,
            wishes,
            number: None,
            stamps: Vec::new(),
            was_down: false,
        }
    }

    /// Loads the enrolments: from the registry, else from the mirror. Afterwards the devices
    /// are known, unless there is neither.
    pub(crate) async fn load(&mut self) {
        let mirror = &self.hub.means.mirror;
        self.stamps = mirror.stamps().await.unwrap_or_else(|failure| {
            tracing::error!(%failure, "the stamps kept on disk cannot be read");
            Vec::new()
        });
        for pending in mirror.pending().await.unwrap_or_default() {
            self.hub
                .devices
                .first_sight(pending.vendor, &pending.serial, pending.first_seen);
        }
        self.take_cursors().await;
        let fresh = tokio::time::timeout(START_WITHIN, self.read_if_changed()).await;
        let config = self.hub.config.load_full();
        if let Ok(Ok(Some((enrolments, held)))) = &fresh {
            self.lock(held.clone()).await;
            self.mirror(enrolments).await;
            self.hub.devices.replace(
                enrolments.clone(),
                std::mem::take(&mut self.stamps),
                &config,
            );
            return;
        }
        (self.number, self.was_down) = (None, true);
        let held = self.hub.means.mirror.lockdowns().await;
        self.hub.lockdowns.store(Arc::new(held.unwrap_or_default()));
        let mirrored = self
            .hub
            .means
            .mirror
            .enrolments()
            .await
            .unwrap_or_else(|failure| {
                tracing::error!(%failure, "the mirror of the registry cannot be read");
                Vec::new()
            });
        tracing::warn!(
            terminals = mirrored.len(),
            "the registry does not answer; going on with its copy in the state folder"
        );
        if !mirrored.is_empty() {
            self.hub
                .devices
                .replace(mirrored, std::mem::take(&mut self.stamps), &config);
        }
    }

    /// Lays the cursors of the databases over those that the mirror kept: they moved in the
    /// transactions of their records, and the mirror may be older, or gone.
    async fn take_cursors(&mut self) {
        let mut asked = JoinSet::new();
        for store in self.hub.stores.load().list() {
            let store = store.clone();
            asked.spawn(async move { store.cursors().await });
        }
        let all = async {
            while let Some(answer) = asked.join_next().await {
                // A database that does not answer leaves its terminals with the mirror's word.
                if let Ok(Ok(cursors)) = answer {
                    self.stamps.extend(cursors);
                }
            }
        };
        if tokio::time::timeout(START_WITHIN, all).await.is_err() {
            tracing::info!("some databases do not answer; the stamps on disk are used for theirs");
        }
    }

    /// Runs until the end begins.
    pub(crate) async fn run(mut self) {
        let end = self.hub.drain.token();
        let heartbeat = self
            .hub
            .progress
            .heartbeat("registry", STUCK_AFTER, Instant::now());
        let mut tick = tokio::time::interval(ASK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wish = tokio::select! {
                () = end.cancelled() => break,
                _ = tick.tick() => None,
                Some(wish) = self.wishes.recv() => Some(wish),
            };
            // A registry that does not answer must not hold up the end; the session that is
            // cut short is closed.
            tokio::select! {
                () = end.cancelled() => break,
                () = self.turn(wish) => heartbeat.beat(Instant::now()),
            }
        }
        heartbeat.stop();
    }

    async fn turn(&mut self, wish: Option<Wish>) {
        match wish {
            None => self.refresh().await,
            Some(wish) => {
                self.grant(wish).await;
                tokio::time::sleep(WISH_EVERY).await;
            }
        }
    }

    /// Takes over what changed in the registry.
    async fn refresh(&mut self) {
        match self.read_if_changed().await {
            Ok(None) => self.told_up(),
            Ok(Some((enrolments, held))) => {
                self.told_up();
                self.lock(held).await;
                self.mirror(&enrolments).await;
                tracing::info!(terminals = enrolments.len(), "the registry changed");
                let config = self.hub.config.load_full();
                self.hub
                    .devices
                    .replace(enrolments, std::mem::take(&mut self.stamps), &config);
            }
            Err(failure) => self.failed(&failure),
        }
    }

    fn told_up(&mut self) {
        if std::mem::take(&mut self.was_down) {
            tracing::info!("the registry answers again");
        }
    }

    fn failed(&mut self, failure: &Failure) {
        self.number = None;
        if !std::mem::replace(&mut self.was_down, true) {
            let trouble = failure.trouble().as_str();
            tracing::error!(trouble, text = %Escaped(&failure.text), "the registry cannot be asked; known terminals are served");
        }
    }

    /// Follows what lockdowns hold.
    async fn lock(&self, held: Vec<Lockdown>) {
        if **self.hub.lockdowns.load() == held {
            return;
        }
        for one in &held {
            let (since, actor) = (one.since.text(), Escaped(&one.actor));
            tracing::warn!(scope = one.scope(), since, %actor, "a lockdown holds: commands, enrolments and outputs are stopped");
        }
        if held.is_empty() {
            tracing::warn!("no lockdown holds any more");
        }
        if let Err(failure) = self.hub.means.mirror.save_lockdowns(&held).await {
            tracing::error!(%failure, "a restart without the registry would not know of the lockdown");
        }
        self.hub.lockdowns.store(Arc::new(held));
    }

    /// All enrolments and lockdowns, when the registry changed since they were last read.
    async fn read_if_changed(&mut self) -> Result<Option<Registered>, Failure> {
        let mut session = self.session().await?;
        match changed(&mut session, self.number).await {
            Ok(None) => {
                session.give_back();
                Ok(None)
            }
            Ok(Some((number, registered))) => {
                session.give_back();
                self.number = Some(number);
                Ok(Some(registered))
            }
            Err(failure) => {
                session.give_up(&failure);
                Err(failure)
            }
        }
    }

    async fn session(&self) -> Result<Session, Failure> {
        let config = self.hub.config.load_full();
        let sessions = self.hub.means.gate.sessions(config.registry_target());
        sessions.take(Want::Any, SESSION_WITHIN).await
    }

    async fn mirror(&mut self, enrolments: &[Enrolment]) {
        let mirror = &self.hub.means.mirror;
        if let Err(failure) = mirror.save_enrolments(enrolments).await {
            tracing::error!(%failure, "the registry's copy in the state folder is out of date");
        }
        for pending in mirror.pending().await.unwrap_or_default() {
            let same = |e: &Enrolment| e.vendor == pending.vendor && e.serial == pending.serial;
            if enrolments.iter().any(same)
                && let Err(failure) = mirror.forget_pending(&pending.serial).await
            {
                tracing::warn!(%failure, "a terminal that was enrolled is still listed as pending");
            }
        }
    }

    async fn grant(&mut self, wish: Wish) {
        match wish {
            Wish::Pending {
                vendor,
                serial,
                address,
            } => {
                let pending = Pending {
                    vendor,
                    serial,
                    first_seen: now(),
                    address,
                    model: None,
                };
                let serial = pending.serial.clone();
                match self.hub.means.mirror.add_pending(&pending).await {
                    Ok(_) => {
                        tracing::info!(%serial, "a terminal that nobody enrolled waits for approval: satellite devices approve");
                    }
                    Err(failure) => {
                        tracing::error!(%serial, %failure, "a pending terminal cannot be listed");
                        self.hub.devices.forget_pending(vendor, &serial);
                    }
                }
            }
            Wish::Enrol {
                vendor,
                serial,
                tenant,
            } => self.enrol(vendor, serial, tenant).await,
        }
    }

    async fn enrol(&mut self, vendor: Vendor, serial: Serial, tenant: TenantId) {
        let new = NewEnrolment::of(vendor, serial.clone(), tenant.clone());
        match self.enrolled(vendor, &serial, new).await {
            Ok(()) => {
                tracing::info!(%serial, %tenant, "an unknown terminal was enrolled, as configured");
                self.refresh().await;
            }
            Err(RegistryError::Failure(failure)) => self.failed(&failure),
            Err(error) => {
                tracing::error!(%serial, %error, "an unknown terminal cannot be enrolled")
            }
        }
        // If it did not work out, its next request is a first sight again.
        self.hub.devices.forget_pending(vendor, &serial);
    }

    async fn enrolled(
        &self,
        vendor: Vendor,
        serial: &Serial,
        new: NewEnrolment,
    ) -> Result<(), RegistryError> {
        let mut session = self.session().await?;
        let done = enrol(&mut session, vendor, serial, new).await;
        match &done {
            Err(RegistryError::Failure(failure)) => session.give_up(failure),
            _ => session.give_back(),
        }
        done
    }
}

/// What the registry holds.
type Registered = (Vec<Enrolment>, Vec<Lockdown>);

/// The registry's change number and what it holds, unless the number is the one that is known.
async fn changed(
    session: &mut Session,
    known: Option<i64>,
) -> Result<Option<(i64, Registered)>, Failure> {
    // The number is read first: a change in between is read twice rather than never.
    let number = registry::change_number(session.engine()).await?;
    if known == Some(number) {
        return Ok(None);
    }
    let held = lockdown::active(session.engine()).await?;
    let enrolments = registry::all(session.engine()).await?;
    Ok(Some((number, (enrolments, held))))
}

async fn enrol(
    session: &mut Session,
    vendor: Vendor,
    serial: &Serial,
    new: NewEnrolment,
) -> Result<(), RegistryError> {
    // Somebody may have enrolled or blocked it a moment ago; that word stands.
    if registry::find(session.engine(), Some(vendor), serial)
        .await?
        .is_none()
    {
        registry::enrol(session.engine(), new, now(), "satellite").await?;
    }
    Ok(())
}
