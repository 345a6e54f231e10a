//! Who may talk to which database server, and over which session.
//!
//! Two hundred tenants with a database each on one server would need more connections than a
//! stock server grants, and a new connection for every commit costs more than the commit. So
//! stores share sessions: whoever has work takes one, works in its own database, and gives it
//! back at once. Sessions in use and idle ones together never exceed the server's limit; idle
//! ones go to the same account only, and are closed for another one when it needs their place.
//!
//! What must never happen here: a session on the shelf that failed, was cut off in the middle
//! of an answer, or leads to another server than the newest one; a wait without a bound.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sessions::{Idle, Served, Shelf};
use crate::target::Account;
use crate::{AnyEngine, Failure, Target, Trouble};

/// Sessions of one SQLite file. Each is a thread, two descriptors and a cache of pages, and a
/// thousand terminals that come back at one moment ask a thousand questions.
const FILE_SESSIONS: usize = 16;
/// How long an unused session is kept.
const IDLE_CLOSE: Duration = Duration::from_secs(60);
/// How often unused sessions are looked for.
const IDLE_LOOK: Duration = Duration::from_secs(10);
/// Longest that saying good-bye to a server may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Keeps the sessions of every server; clones keep the same ones.
#[derive(Clone)]
pub struct Gate {
    per_server: usize,
    servers: Arc<Mutex<HashMap<Arc<str>, Arc<Server>>>>,
}

/// Where the users of one store take their sessions.
#[derive(Clone)]
pub struct Sessions {
    target: Target,
    account: Account,
    database: Arc<str>,
    server: Arc<Server>,
}

/// Which session will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// One that is idle, or else a new one.
    Any,
    /// A new one: after a failure, an idle one is of doubtful state too.
    New,
}

/// A session, for one user at a time. Dropped, it is closed; that is what has to become of it
/// after any failure. After success it belongs [back](Self::give_back).
pub struct Session {
    engine: AnyEngine,
    opened: Opened,
    fresh: bool,
    account: Account,
    served: Served,
    // Last, so that the connection is closed before its place is free.
    lease: Lease,
}

/// What is known of a connection from its beginning.
#[derive(Clone)]
struct Opened {
    at: Instant,
    /// See [`crate::Engine::server_identity`].
    server: Arc<str>,
}

struct Server {
    /// One for each session in use; idle sessions have none.
    permits: Arc<Semaphore>,
    per_server: usize,
    state: Mutex<State>,
}

struct State {
    shelf: Shelf<(AnyEngine, Opened)>,
    in_use: usize,
    /// What permits come to. Only one until the server has told how many it grants.
    limit: usize,
    asked: bool,
    /// The server that the newest connection ended at.
    identity: Option<Arc<str>>,
    /// Why no connection could be made, until one can.
    failure: Option<Failure>,
    sweeping: bool,
}

/// The right to hold one session of a server.
struct Lease {
    server: Arc<Server>,
    counted: bool,
    _permit: OwnedSemaphorePermit,
}

impl Gate {
    /// A gate that opens at most so many sessions to each server, and at most half of what the
    /// server grants, so that there is room for a second satellite.
    pub fn new(per_server: usize) -> Self {
        Self {
            per_server: per_server.max(1),
            servers: Arc::default(),
        }
    }

    /// Where sessions of that store are taken.
    pub fn sessions(&self, target: &Target) -> Sessions {
        let account = target.account();
        let name = target.server().map_or_else(|| account.address(), Arc::from);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let server = servers.entry(name).or_insert_with(|| {
            Arc::new(match target {
                Target::Mysql { .. } => Server::new(1, self.per_server, false),
                // No server could run out of connections, and none has to be asked.
                Target::Sqlite(_) => Server::new(FILE_SESSIONS, FILE_SESSIONS, true),
            })
        });
        Sessions {
            target: target.clone(),
            account,
            database: target.database().into(),
            server: Arc::clone(server),
        }
    }
}

impl Sessions {
    /// A session that works in this store's database. Waits at most `patience` for one of the
    /// server's places; connecting has a deadline of its own.
    ///
    /// # Errors
    /// No place became free in time, or no connection could be made.
    pub async fn take(&self, want: Want, patience: Duration) -> Result<Session, Failure> {
        let lease = self.server.enter(patience).await?;
        let idle = match want {
            Want::Any => self.pick(),
            Want::New => None,
        };
        if let Some(idle) = idle {
            let (mut engine, opened) = idle.thing;
            match engine.enter(&self.database).await {
                Ok(()) => return Ok(self.session(engine, opened, Some(idle.served), lease)),
                // It has died meanwhile, or may not go there; a new one gives the true reason.
                Err(failure) => tracing::debug!(%failure, "an idle session could not be used"),
            }
        }
        let (engine, opened) = self.open().await.inspect_err(|failure| {
            self.server.state().failure = Some(failure.clone());
        })?;
        Ok(self.session(engine, opened, None, lease))
    }

    /// Closes the idle sessions that stand in this store's database.
    pub async fn close_idle(&self) {
        let gone = self
            .server
            .state()
            .shelf
            .clear(&self.account, &self.database);
        close(gone).await;
    }

    fn pick(&self) -> Option<Idle<(AnyEngine, Opened)>> {
        let mut state = self.server.state();
        let (in_use, limit) = (state.in_use, state.limit);
        let now = Instant::now();
        state
            .shelf
            .pick(&self.account, &self.database, now, in_use, limit)
    }

    async fn open(&self) -> Result<(AnyEngine, Opened), Failure> {
        let surplus = self.server.make_room();
        if !surplus.is_empty() {
            tokio::spawn(close(surplus));
        }
        let mut engine = self.target.connect().await?;
        let server: Arc<str> = engine.server_identity().await?.into();
        let granted = if self.server.state().asked {
            None
        } else {
            engine.most_connections().await?
        };
        let opened = Opened {
            at: Instant::now(),
            server,
        };
        self.server.opened(&opened, granted);
        Ok((engine, opened))
    }

    /// `served` is what an idle session has served before.
    fn session(
        &self,
        engine: AnyEngine,
        opened: Opened,
        served: Option<Served>,
        lease: Lease,
    ) -> Session {
        let fresh = served.is_none();
        let mut served = served.unwrap_or_default();
        served.note(&self.database);
        Session {
            engine,
            opened,
            fresh,
            account: self.account.clone(),
            served,
            lease,
        }
    }
}

impl Session {
    /// The connection, in the database of the store that it was taken for.
    pub fn engine(&mut self) -> &mut AnyEngine {
        &mut self.engine
    }

    /// True when the connection was made for this user, now. One that was idle may have died
    /// unnoticed.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// When the connection was made. What was found out about a store later than that, on the
    /// same server, holds for this connection too: it would not have outlived a restart.
    pub(crate) fn opened(&self) -> Instant {
        self.opened.at
    }

    /// The server it leads to: see [`crate::Engine::server_identity`].
    pub(crate) fn server(&self) -> &str {
        &self.opened.server
    }

    /// Hands it to the next user. Only after success; outside a transaction.
    pub fn give_back(self) {
        if !self.engine.is_sound() {
            return;
        }
        let idle = Idle {
            account: self.account,
            served: self.served,
            used: Instant::now(),
            thing: (self.engine, self.opened),
        };
        self.lease.give_back(idle);
    }

    /// Closes it after a failure. A connection that broke is seldom alone: a server that
    /// restarted has broken them all, so the idle ones go too.
    pub fn give_up(self, failure: &Failure) {
        if failure.trouble() == Trouble::Unreachable {
            self.lease.server.state().shelf.shrink_to(0);
        }
    }
}

impl Server {
    fn new(limit: usize, per_server: usize, asked: bool) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            per_server,
            state: Mutex::new(State {
                shelf: Shelf::new(),
                in_use: 0,
                limit,
                asked,
                identity: None,
                failure: None,
                sweeping: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: &Arc<Self>, patience: Duration) -> Result<Lease, Failure> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        match tokio::time::timeout(patience, waiting).await {
            Ok(Ok(permit)) => {
                self.state().in_use += 1;
                Ok(Lease {
                    server: Arc::clone(self),
                    counted: true,
                    _permit: permit,
                })
            }
            Ok(Err(closed)) => Err(Failure::wait(Trouble::Other, closed)),
            Err(_) => Err(self.state().failure.clone().unwrap_or_else(|| {
                Failure::wait(
                    Trouble::TooManyConnections,
                    "all connections granted to this server are in use",
                )
            })),
        }
    }

    /// Takes idle sessions off the shelf that would be too many with one more connection. The
    /// one that is about to be made is counted as in use already.
    fn make_room(&self) -> Vec<Idle<(AnyEngine, Opened)>> {
        let mut state = self.state();
        let keep = state.limit.saturating_sub(state.in_use);
        state.shelf.shrink_to(keep)
    }

    /// Notes a new connection, and what the first one found out.
    fn opened(&self, opened: &Opened, granted: Option<usize>) {
        let mut state = self.state();
        state.failure = None;
        if state.identity.as_ref() != Some(&opened.server) {
            // The address leads elsewhere now; what still leads to the old place is closed.
            state.shelf.shrink_to(0);
            state.identity = Some(Arc::clone(&opened.server));
        }
        if !state.asked {
            state.asked = true;
            let half = granted.map_or(self.per_server, |most| most / 2);
            let limit = half.clamp(1, self.per_server);
            self.permits.add_permits(limit - state.limit);
            state.limit = limit;
        }
    }

    /// Closes sessions that nobody uses, for as long as there are any.
    async fn sweep(server: Weak<Self>) {
        let mut more = true;
        while more {
            tokio::time::sleep(IDLE_LOOK).await;
            let Some(server) = server.upgrade() else {
                return;
            };
            let gone = {
                let mut state = server.state();
                let since = Instant::now().checked_sub(IDLE_CLOSE);
                let gone = since.map(|since| state.shelf.expire(since));
                more = !state.shelf.is_empty();
                state.sweeping = more;
                gone.unwrap_or_default()
            };
            close(gone).await;
        }
    }
}

impl Lease {
    fn give_back(mut self, idle: Idle<(AnyEngine, Opened)>) {
        let mut state = self.server.state();
        let same_server = state.identity.as_ref() == Some(&idle.thing.1.server);
        state.in_use -= 1;
        if same_server {
            state.shelf.put(idle);
        }
        let first = same_server && !std::mem::replace(&mut state.sweeping, true);
        drop(state);
        if first {
            tokio::spawn(Server::sweep(Arc::downgrade(&self.server)));
        }
        self.counted = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.counted {
            self.server.state().in_use -= 1;
        }
    }
}

/// Says good-bye, so that the server does not log a connection that broke.
async fn close(sessions: Vec<Idle<(AnyEngine, Opened)>>) {
    for idle in sessions {
        let (engine, _) = idle.thing;
        if tokio::time::timeout(CLOSE_WITHIN, engine.close())
            .await
            .is_err()
        {
            tracing::debug!("a server did not hear that a session ended");
        }
    }
}
