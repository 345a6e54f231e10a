//! One dialled terminal while its lease holds: one session after another, each in a connection
//! of its own, and between them the pause that its end deserves.
//!
//! A network that was cut is tried again within seconds, because what happened meanwhile waits
//! in the terminal; what only an operator can mend is tried rarely. TCP comes first; UDP where
//! TCP is refused or stays silent, and afterwards whatever worked. A terminal with a schedule is
//! left after each visit, so that other programs can speak to it in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daemon::config::{secret_file, secret_places};
use store::{Fence, Refused};
use zkteco_pull::{CommKey, Error, Foreign, Retry, Transport};

use super::again;
use super::intake::Intake;
use super::state::NotRead;
use super::talk::{Ended, Learned, Talk, Way};
use crate::conditions::Condition;
use crate::config::SECRETS_FOLDER;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::dial::Link;
use crate::dial::socket::NotOpen;
use crate::hub::Hub;
use crate::record;
use crate::stores::Store;
use crate::trace::Step;

/// Pauses after the first failures in a row; the last one stays.
const SOON: [u64; 4] = [1, 2, 4, 7];
/// Pause after a failure that repeats itself when it is tried soon.
const LATER: Duration = Duration::from_secs(300);
/// Pause before what needs an operator is tried again.
const AFTER_CHANGE: Duration = Duration::from_secs(1_800);
/// Pause between two visits of a terminal that sends no events.
const POLL: Duration = Duration::from_secs(30);
/// Pause while the store takes nothing.
const STORE: Duration = Duration::from_secs(1);
/// How often the file with the key is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// Failures in a row before the terminal counts as unreachable: one lost answer is no news.
const FAILURES: u32 = 2;
/// Every so many failures the other transport is tried as well.
const OTHER_EVERY: u32 = 5;

/// Visits the terminal until it is dropped.
pub(crate) async fn run(hub: Arc<Hub>, known: Arc<Known>, store: Store, fence: Fence) {
    let access = known.enrolment.access.clone();
    let Some(address) = access.address else {
        return;
    };
    let _end = End(Arc::clone(&known));
    let mut visit = Visit {
        intake: Intake {
            hub,
            known,
            store,
            fence,
        },
        address: address.to_string(),
        key_file: access.secret_file.map(|file| file.to_string()),
        every: access.every.map(|every| Duration::from_secs(every.into())),
        learned: Learned::default(),
        works: None,
        failures: 0,
    };
    let known = Arc::clone(&visit.intake.known);
    tokio::select! {
        () = visit.sessions() => {}
        () = again::run(&known) => {}
    }
}

/// Says that nobody dials the terminal any more, however that came.
struct End(Arc<Known>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.pull().view().link = Link::Idle;
        self.0.pull().refuse_errands(&NotRead::Dropped);
    }
}

struct Visit {
    intake: Intake,
    address: String,
    key_file: Option<String>,
    /// From one visit to the next, where it is not to be stayed with.
    every: Option<Duration>,
    learned: Learned,
    /// The transport of the last session that was opened.
    works: Option<Transport>,
    /// Ends in a row before a session got as far as it shall.
    failures: u32,
}

impl Visit {
    /// One session after another.
    async fn sessions(&mut self) {
        loop {
            let Some(key) = self.key() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let ended = self.once(key).await;
            let pause = self.judge(&ended);
            self.rest(pause, key, matches!(ended, Ended::Left)).await;
        }
    }

    /// The communication key; `None` while its file is of no use.
    fn key(&self) -> Option<Option<CommKey>> {
        match read_key(self.key_file.as_deref()) {
            Ok(key) => {
                self.intake.clear(Condition::SecretMissing);
                Some(key)
            }
            Err(why) => {
                self.intake.raise(Condition::SecretMissing, why);
                None
            }
        }
    }

    /// One session, over the other transport too when the first says nothing.
    async fn once(&mut self, key: Option<CommKey>) -> Ended {
        let first = self.works.unwrap_or(Transport::Tcp);
        let ended = self.session(first, key).await;
        let may_help = match &ended {
            Ended::Terminal(error) => error.try_udp(),
            Ended::NotOpen(NotOpen::Refused) => true,
            _ => false,
        };
        let is_time = self.works.is_none() || self.failures % OTHER_EVERY == OTHER_EVERY - 1;
        if !(may_help && is_time) {
            return ended;
        }
        let second = match first {
            Transport::Tcp => Transport::Udp,
            Transport::Udp => Transport::Tcp,
        };
        match self.session(second, key).await {
            // Nobody there either: the first end says more.
            Ended::Terminal(Error::Silent) | Ended::NotOpen(_) | Ended::Wire(_)
                if self.works != Some(second) =>
            {
                ended
            }
            other => other,
        }
    }

    async fn session(&mut self, transport: Transport, key: Option<CommKey>) -> Ended {
        self.intake.known.pull().view().link = Link::Connecting;
        let way = Way {
            address: &self.address,
            transport,
            stays: self.every.is_none(),
        };
        let talk = Talk::open(&self.intake, &mut self.learned, way, key).await;
        let mut talk = match talk {
            Ok(talk) => talk,
            Err(ended) => {
                self.intake.known.pull().view().link = Link::Down;
                return ended;
            }
        };
        let ended = talk.run().await;
        let (opened, arrived) = (talk.opened(), talk.arrived);
        drop(talk);
        if opened {
            self.works = Some(transport);
        }
        if arrived {
            self.failures = 0;
        }
        ended
    }

    /// Names what went wrong, and answers how long to wait.
    fn judge(&mut self, ended: &Ended) -> Duration {
        let serial = &self.intake.known.enrolment.serial;
        tracing::debug!(%serial, ended = ?ended, "a session with a terminal ended");
        let error = match ended {
            Ended::Terminal(error) => Some(error),
            _ => None,
        };
        record::ended(self.intake.known.tape(), error);
        match ended {
            Ended::Left => {
                self.intake.known.pull().view().link = Link::Idle;
                return self.spread(self.every.unwrap_or(POLL));
            }
            Ended::Store(refused) => {
                // A cursor that was moved is no trouble: the next session begins there.
                if *refused != Refused::Moved {
                    self.intake.step(Step::Stored, false, Says::StoreAway);
                }
                return self.spread(STORE);
            }
            _ => self.failures = self.failures.saturating_add(1),
        }
        let told = self.failures >= FAILURES;
        let retry = match ended {
            Ended::WrongDevice(detail) => {
                self.intake
                    .step(Step::Identified, false, Says::OtherAnswers);
                self.intake.raise(Condition::WrongDevice, detail.clone());
                Retry::Later
            }
            Ended::Terminal(error) => {
                // What is tried again only after a long pause is told at once.
                self.named(error, told || error.retry() == Retry::Later);
                error.retry()
            }
            Ended::NotOpen(error) => {
                self.unreachable(error, told);
                Retry::Soon
            }
            Ended::Wire(error) => {
                self.unreachable(Says::WireBroke.with(&[error]), told);
                Retry::Soon
            }
            Ended::Left | Ended::Store(_) => Retry::Soon,
        };
        self.refuse_errands(ended, told);
        match retry {
            Retry::Soon => self.soon(),
            Retry::Later => self.spread(LATER),
            Retry::AfterChange => self.spread(AFTER_CHANGE),
        }
    }

    fn named(&self, error: &Error, told: bool) {
        let text = Detail::from(error);
        match error {
            Error::Foreign(Foreign::SecurePull) => {
                self.raise_and_step(Condition::SecurePull, Step::Approved, text);
            }
            Error::Foreign(Foreign::AccessPanel) => {
                self.raise_and_step(Condition::AccessPanel, Step::Identified, text);
            }
            Error::KeyWanted | Error::WrongKey | Error::AuthLocked => {
                self.raise_and_step(Condition::CommKeyRefused, Step::Approved, text);
            }
            Error::Silent if told => {
                self.raise_and_step(Condition::NoSession, Step::Reached, text);
            }
            Error::Silent => {}
            Error::Timeout { .. } | Error::Short { .. } | Error::Flood(_) => {
                self.unreachable(text, told);
            }
            _ if told => self.raise_and_step(Condition::LogUnreadable, Step::Parsed, text),
            _ => {}
        }
    }

    fn raise_and_step(&self, condition: Condition, step: Step, text: Detail) {
        self.intake.step(step, false, text.clone());
        self.intake.raise(condition, text);
    }

    fn unreachable(&self, why: impl Into<Detail>, told: bool) {
        if told {
            self.raise_and_step(Condition::Unreachable, Step::Reached, why.into());
        }
    }

    /// Who waits for a log hears of a terminal that cannot be reached, and need not wait on.
    fn refuse_errands(&self, ended: &Ended, told: bool) {
        if told {
            let why = match ended {
                Ended::Terminal(error) => error.to_string(),
                Ended::NotOpen(error) => error.to_string(),
                Ended::Wire(error) => error.to_string(),
                Ended::WrongDevice(detail) => detail.to_string(),
                Ended::Left | Ended::Store(_) => return,
            };
            let refused = NotRead::Ended(why);
            self.intake.known.pull().refuse_errands(&refused);
        }
    }

    fn soon(&self) -> Duration {
        let at = usize::try_from(self.failures.saturating_sub(1)).unwrap_or(usize::MAX);
        let longest = SOON.len() - 1;
        let seconds = SOON.get(at.min(longest)).copied().unwrap_or(1);
        self.spread(Duration::from_secs(seconds))
    }

    /// Between 80 and 120 % of a pause, by the terminal and the try, so that many which were cut
    /// off together do not come back at one moment.
    fn spread(&self, pause: Duration) -> Duration {
        let own = self.intake.known.enrolment.id.0.iter();
        let own: u32 = own.map(|byte| u32::from(*byte)).sum();
        let share = (own + self.failures * 7) % 41;
        pause * (80 + share) / 100
    }

    /// Waits; a key that was changed ends a long pause, after a visit a wish does too; a store
    /// that is down keeps it.
    async fn rest(&self, pause: Duration, key: Option<CommKey>, went_well: bool) {
        let changed = async {
            loop {
                tokio::time::sleep(LOOK).await;
                if read_key(self.key_file.as_deref()).is_ok_and(|now| now != key) {
                    return;
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = changed => {}
            () = self.intake.known.pull().woken(), if went_well => {}
        }
        while !self.intake.store.writer.report().up {
            tokio::time::sleep(self.spread(STORE)).await;
        }
    }
}

/// Reads the communication key; without a file there is none.
fn read_key(file: Option<&str>) -> Result<Option<CommKey>, Detail> {
    let Some(file) = file else { return Ok(None) };
    let places = secret_places(Path::new(SECRETS_FOLDER));
    let secret = secret_file(file, &places).map_err(|error| Detail::from(&error))?;
    let key = CommKey::parse(secret.expose().trim());
    key.map(Some).ok_or_else(|| Says::NotAKey.with(&[&file]))
}
