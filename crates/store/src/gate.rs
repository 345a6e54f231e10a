//! How many connections one database server is asked for.
//!
//! Two hundred tenants with a database each on one server would need more connections than a
//! stock server grants. Every writer takes a permit of its server before it connects; an idle
//! writer keeps its connection only as long as nobody else waits for one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections for each server; clones count together.
#[derive(Clone)]
pub struct Gate {
    per_server: usize,
    servers: Arc<Mutex<HashMap<String, Arc<Server>>>>,
}

struct Server {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The right to hold one connection.
pub(crate) struct Permit {
    server: Option<(Arc<Server>, OwnedSemaphorePermit)>,
}

impl Gate {
    /// A gate that grants each server that many connections.
    pub fn new(per_server: usize) -> Self {
        Self {
            per_server: per_server.max(1),
            servers: Arc::default(),
        }
    }

    /// Waits for a connection to `server`; `None` (a file) never waits.
    pub(crate) async fn enter(&self, server: Option<&str>) -> Permit {
        let Some(name) = server else {
            return Permit { server: None };
        };
        let server = self.server(name);
        let waiting = Waiting::on(&server);
        let permit = Arc::clone(&server.permits).acquire_owned().await;
        drop(waiting);
        // The semaphore is never closed, so the permit is always there.
        Permit {
            server: permit.ok().map(|permit| (server, permit)),
        }
    }

    fn server(&self, name: &str) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let made = servers.entry(name.to_owned()).or_insert_with(|| {
            let permits = Arc::new(Semaphore::new(self.per_server));
            Arc::new(Server {
                permits,
                waiting: AtomicUsize::new(0),
            })
        });
        Arc::clone(made)
    }
}

impl Permit {
    /// True when another writer waits for a connection to the same server.
    pub(crate) fn is_wanted(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|(server, _)| server.waiting.load(Ordering::Relaxed) > 0)
    }
}

/// Counts one waiter for as long as it lives, also when its task is dropped.
struct Waiting(Arc<Server>);

impl Waiting {
    fn on(server: &Arc<Server>) -> Self {
        server.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(server))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_server_is_asked_for_no_more_connections_than_granted_and_holders_see_who_waits() {
        let gate = Gate::new(1);
        let first = gate.enter(Some("a:3306")).await;
        assert!(!first.is_wanted());
        let other_server = gate.enter(Some("b:3306")).await;
        assert!(!other_server.is_wanted());
        let second = gate.enter(Some("a:3306"));
        tokio::pin!(second);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), &mut second)
                .await
                .is_err()
        );
        assert!(first.is_wanted());
        drop(first);
        assert!(!second.await.is_wanted());
    }
}
