//! satellite's `/status`, asked once for every look that judges a part of it.
//!
//! The look at satellite asks and never waits for another; the others take what it was told
//! last. They see nothing when it has not been told anything for a while: what was said long ago
//! says nothing of now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fetch::{Failed, Fetch, Url};
use tokio::sync::watch;

use super::skim::Skim;
use super::status::Status;

/// Longest wait for an answer.
const ASK_WITHIN: Duration = Duration::from_secs(4);
/// Longest page that is read, in bytes: tens of thousands of terminals.
const LIMIT: usize = 32 << 20;
/// A page of which no more than this has passed is one of now: a round of the look that asks,
/// and its longest wait.
const FRESH: Duration = Duration::from_secs(9);
/// The lists of terminals, which `/devices` says better.
const LISTS: &[&str] = &["\"hikvision\":", "\"pull\":", "\"conditions\":"];

type Told = Result<Arc<Status>, Failed>;

/// The page, and what it said last.
#[derive(Debug)]
pub struct StatusPage {
    url: Url,
    last: watch::Sender<Option<(Instant, Told)>>,
}

impl StatusPage {
    /// Of the satellite with that admin door.
    pub fn new(admin: &Url) -> Arc<Self> {
        Arc::new(Self {
            url: admin.join("/status"),
            last: watch::Sender::new(None),
        })
    }

    /// Asks now.
    ///
    /// # Errors
    /// Why there is no page, within four seconds.
    pub(in crate::looks) async fn ask(&self) -> Told {
        let told = self.read().await.map(Arc::new);
        self.last.send_replace(Some((Instant::now(), told.clone())));
        told
    }

    /// What was told last, or is told within the next seconds.
    ///
    /// # Errors
    /// Why there is no page.
    pub(in crate::looks) async fn recent(&self) -> Told {
        let mut last = self.last.subscribe();
        let fresh = |told: &Option<(Instant, Told)>| {
            told.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH)
        };
        let waited = tokio::time::timeout(ASK_WITHIN, last.wait_for(fresh)).await;
        let told = waited.ok().and_then(Result::ok);
        let told = told.and_then(|told| told.as_ref().map(|(_, told)| told.clone()));
        told.unwrap_or(Err(Failed::Late {
            stage: "answer",
            after: ASK_WITHIN,
        }))
    }

    async fn read(&self) -> Result<Status, Failed> {
        let asked = Fetch::get(self.url.clone());
        let mut page = Skim::new(LISTS, |_: &[u8]| Ok(()));
        let asked = asked.within(ASK_WITHIN).limit(LIMIT);
        let answer = asked.send_to(|piece| page.push(piece)).await?;
        if answer.status != 200 || answer.is_cut {
            return Err(Failed::Http(format!("status {}", answer.status)));
        }
        page.end().map_err(Failed::Http)
    }
}
