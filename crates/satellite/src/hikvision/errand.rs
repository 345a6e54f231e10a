//! What a command wants of a device that is dialled here: that it be told where to post.
//!
//! The command writes a job; the satellite that holds the device's lease carries it out, over the
//! connection and the login that it has, so that a command is never one more login, and no wrong
//! one. The token is drawn here, goes into the device, and is stored as a hash only after the
//! device has read back what it keeps. It stands in no job and in no log. A lockdown, also one that
//! began after the command was given, stops it before anything is written into the device.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use event::Text;
use hikvision_isapi::{Difference, HostProtocol};
use serde::{Deserialize, Serialize};
use store::jobs::Job;
use store::registry::{self, Access, NewEnrolment, TokenHash};
use store::{Failure, lockdown};
use tokio::sync::{Notify, oneshot};

use super::setup::{NotSet, PostTo, token};
use crate::clock;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;

/// The kind of the jobs.
pub const CONFIGURE: &str = "configure";
/// Longest wait for whoever talks to the device: it may be in the middle of a search.
const WITHIN: Duration = Duration::from_secs(120);
/// What a device may have otherwise without that its posts go astray by it alone: the path,
/// which some models do not keep, and the wish to send again after a break.
const TOLERATED: [&str; 2] = ["url", "httpBroken"];

/// Where a device shall post, as a job says it: without the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// An IP address or a name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What stands before our path, where a proxy asks for it.
    pub folder: String,
    /// With TLS.
    pub https: bool,
}

impl Wish {
    /// The path with a token.
    pub fn path(&self, token: &str) -> String {
        format!("{}/hikvision/{token}", self.folder)
    }

    /// The same with its path, as it is written into a device.
    pub fn post_to<'a>(&'a self, path: &'a str) -> PostTo<'a> {
        PostTo {
            host: &self.host,
            port: self.port,
            path,
            protocol: match self.https {
                true => HostProtocol::Https,
                false => HostProtocol::Http,
            },
        }
    }
}

/// What a device has otherwise than it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Otherwise {
    /// The field, in the device's spelling.
    pub key: String,
    /// What it should be.
    pub wanted: String,
    /// What was read back.
    pub found: String,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What the device kept otherwise.
    pub differences: Vec<Otherwise>,
}

impl Told {
    /// From what was read back.
    pub fn of(differences: Vec<Difference>) -> Self {
        let differences = differences.into_iter().map(|one| Otherwise {
            key: one.key.to_owned(),
            wanted: one.wanted,
            found: one.found,
        });
        Self {
            differences: differences.collect(),
        }
    }

    /// Whether the token counts: the device kept enough of what was written.
    pub fn is_kept(&self) -> bool {
        let tolerated = |one: &Otherwise| TOLERATED.contains(&one.key.as_str());
        self.differences.iter().all(tolerated)
    }
}

/// A wish on its way to whoever talks to the device.
pub(super) struct Errand {
    pub(super) wish: Wish,
    pub(super) path: String,
    pub(super) answer: oneshot::Sender<Result<Vec<Difference>, NotSet>>,
}

/// Where one waits.
#[derive(Default)]
pub(super) struct Errands {
    waiting: Mutex<Option<Errand>>,
    bell: Notify,
}

impl Errands {
    fn slot(&self) -> MutexGuard<'_, Option<Errand>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts one in; an older one is dropped, and whoever wanted it hears that.
    fn put(&self, errand: Errand) {
        *self.slot() = Some(errand);
        self.bell.notify_one();
    }

    /// The one that waits.
    pub(super) fn take(&self) -> Option<Errand> {
        self.slot().take()
    }

    /// Returns when one was put in.
    pub(super) async fn called(&self) {
        self.bell.notified().await;
    }
}

/// Carries out a job: its result, or its error, as the command reads it. `None` when nobody talks
/// to the device any more: it is given back.
pub(crate) async fn configured(
    hub: &Hub,
    known: &Known,
    job: &Job,
) -> Option<Result<String, String>> {
    let done = match serde_json::from_str(&job.request) {
        Ok(wish) => told(hub, known, job, wish).await?,
        Err(_) => Err(NotSet::Refused(Detail::from(Says::JobUnread).to_string())),
    };
    Some(match done {
        Ok(told) => Ok(serde_json::json!(told).to_string()),
        Err(error) => Err(error.words().to_string()),
    })
}

async fn told(hub: &Hub, known: &Known, job: &Job, wish: Wish) -> Option<Result<Told, NotSet>> {
    if let Err(error) = not_locked(hub, known).await {
        return Some(Err(error));
    }
    let token = match token() {
        Ok(token) => token,
        Err(error) => return Some(Err(NotSet::Refused(error.to_string()))),
    };
    let (answer, heard) = oneshot::channel();
    known.hikvision().errands.put(Errand {
        path: wish.path(&token),
        wish,
        answer,
    });
    let end = hub.drain.token();
    let heard = tokio::select! {
        () = end.cancelled() => return None,
        heard = tokio::time::timeout(WITHIN, heard) => heard,
    };
    let told = match heard {
        Ok(Ok(Ok(differences))) => Told::of(differences),
        Ok(Ok(Err(error))) => return Some(Err(error)),
        Ok(Err(_)) => return None,
        Err(_) => {
            let late = Detail::from(Says::NoAnswerInTime);
            return Some(Err(NotSet::Unreachable(late.to_string())));
        }
    };
    if !told.is_kept() {
        return Some(Ok(told));
    }
    let kept = keep(hub, known, job, TokenHash::of(&token)).await;
    Some(kept.map(|()| told))
}

/// Asks the registry itself, which a running satellite otherwise reads some seconds later.
async fn not_locked(hub: &Hub, known: &Known) -> Result<(), NotSet> {
    let lost = |failure: Failure| NotSet::Refused(failure.to_string());
    let mut session = hub.registry_session().await.map_err(lost)?;
    let held = lockdown::active(session.engine()).await;
    session.give_back();
    let held = held.map_err(lost)?;
    let tenant = &known.enrolment.tenant;
    match held.iter().any(|one| one.stops(Some(tenant))) {
        true => Err(NotSet::Refused(
            Detail::from(Says::LockdownHolds).to_string(),
        )),
        false => Ok(()),
    }
}

/// The token counts from now on.
async fn keep(hub: &Hub, known: &Known, job: &Job, hash: TokenHash) -> Result<(), NotSet> {
    let one = &known.enrolment;
    let new = NewEnrolment {
        access: Access {
            token_hash: Some(hash),
            ..Access::default()
        },
        ..NewEnrolment::of(one.vendor, one.serial.clone(), one.tenant.clone())
    };
    let lost = |why: String| NotSet::Refused(Says::RegistryTookNot.with(&[&why]).to_string());
    let session = hub.registry_session().await;
    let mut session = session.map_err(|failure| lost(failure.to_string()))?;
    let actor = format!("satellite, job {}", job.id);
    let done = registry::enrol(session.engine(), new, clock::now(), &actor).await;
    session.give_back();
    done.map(drop).map_err(|error| lost(error.to_string()))
}

impl NotSet {
    /// As a job's result says it.
    fn words(&self) -> serde_json::Value {
        let (kind, until) = match self {
            Self::Unreachable(_) => ("unreachable", None),
            Self::LoginRefused { until } => ("login_refused", Some(until.text())),
            Self::WrongDevice(_) => ("wrong_device", None),
            Self::User(_) | Self::Setting(_) | Self::Refused(_) => ("refused", None),
        };
        let detail = match self {
            Self::WrongDevice(named) => named.to_string(),
            other => other.to_string(),
        };
        serde_json::json!({ "error": kind, "detail": detail, "until": until })
    }

    /// Reads it back.
    pub fn from_words(text: &str) -> Self {
        let said: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let word = |name: &str| said.get(name).and_then(serde_json::Value::as_str);
        let detail = word("detail").unwrap_or("no reason was given").to_owned();
        let until = word("until").and_then(event::Millis::parse);
        match (word("error"), until) {
            (Some("unreachable"), _) => Self::Unreachable(detail),
            (Some("login_refused"), Some(until)) => Self::LoginRefused { until },
            (Some("wrong_device"), _) => Self::WrongDevice(Text::from(detail)),
            _ => Self::Refused(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Millis;

    #[test]
    fn a_refusal_comes_back_from_a_job_as_it_went_in() {
        for error in [
            NotSet::Unreachable("no way".to_owned()),
            NotSet::LoginRefused {
                until: Millis(1_000),
            },
            NotSet::WrongDevice(Text::const_new("OTHER00001")),
            NotSet::Refused("403".to_owned()),
        ] {
            let again = NotSet::from_words(&error.words().to_string());
            assert_eq!(format!("{again:?}"), format!("{error:?}"));
        }
        let empty = NotSet::from_words("");
        assert!(matches!(empty, NotSet::Refused(_)), "{empty}");
    }
}
