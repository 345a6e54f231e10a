//! The index chain of an access-control terminal, as a cursor of its event database.
//!
//! It moves in the transaction of the rows that it speaks of, and only from the value that stands
//! there: a restored database or a second satellite is thereby noticed, and the chain is read
//! again. One submission of a terminal that moves it is on its way at a time. What is shown of it
//! is the last committed state; nothing is claimed from anything else. When it leaves a doubt, the
//! terminal is asked (`inquiry`).

mod inquiry;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event::{Completeness, Text};
use store::{Receipt, Refused, Submission};
use zkteco_push::{IndexChain, Place, Question};

use crate::conditions::{self, Condition};
use crate::detail::Says;
use crate::devices::Known;
use crate::hub::Hub;
use crate::stores::Store;

use inquiry::Inquiry;
pub(crate) use inquiry::run;

/// The cursor that holds the chain.
pub(crate) const INDEX: &str = "acc:chain";
/// Tries to move a chain that somebody else moved in between.
const TRIES: u32 = 3;

/// A chain with the text that stands for it in the database; `None` while nothing stands there.
#[derive(Debug, Clone)]
struct Kept {
    chain: IndexChain,
    stored: Option<Text>,
}

/// The chain of one terminal.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Held from reading the chain to the answer of the COMMIT that moves it.
    chain: tokio::sync::Mutex<Option<Kept>>,
    seen: Mutex<Option<IndexChain>>,
    inquiry: Mutex<Inquiry>,
    doubted: AtomicBool,
}

impl Index {
    /// The chain as it was last committed, if that is known.
    pub(crate) fn of(text: Option<&Text>) -> Self {
        let chain = text.and_then(|text| IndexChain::parse(text));
        Self {
            chain: tokio::sync::Mutex::new(None),
            seen: Mutex::new(chain),
            inquiry: Mutex::default(),
            doubted: AtomicBool::new(false),
        }
    }

    fn inquiry(&self) -> MutexGuard<'_, Inquiry> {
        self.inquiry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while records are missing, the terminal has never given all that it holds, or its
    /// count gave reason to ask again.
    fn is_in_doubt(&self) -> bool {
        let claim = self.claim();
        let doubted = self.doubted.load(Ordering::Relaxed);
        claim.is_some_and(|(claim, _)| doubted || claim != Completeness::Proven)
    }

    /// Its count gives reason to ask it for everything, whatever the chain says.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    fn settled(&self) {
        self.doubted.store(false, Ordering::Relaxed);
    }

    /// The highest number among its stored records.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.seen().as_ref().and_then(IndexChain::newest)
    }

    fn seen(&self) -> MutexGuard<'_, Option<IndexChain>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the count has come, for whoever asks the terminal for everything.
    pub(crate) fn question(&self) -> Option<Question> {
        self.seen().as_ref().map(IndexChain::ask)
    }

    /// What may be claimed, and how many records are missing; `None` before the first record.
    pub(crate) fn claim(&self) -> Option<(Completeness, u64)> {
        let seen = self.seen();
        let chain = seen.as_ref()?;
        Some((chain.completeness(), chain.missing()))
    }
}

/// Commits a submission whose records have these places. Its cursors may hold others already.
pub(crate) async fn submit(
    hub: &Hub,
    known: &Known,
    store: &Store,
    submission: Submission,
    places: &[Place],
) -> Result<Receipt, Refused> {
    let mut restarted = false;
    let change = |chain: &mut IndexChain| restarted = chain.stored(places);
    let receipt = moved(known, store, submission, change).await?;
    if restarted {
        let detail = Says::IndexFell;
        conditions::raise(hub, known, Condition::SerialsRestarted, detail);
    }
    Ok(receipt)
}

/// The terminal has given all that it holds, and its own count agrees: what is still missing is
/// gone.
pub(crate) async fn conclude(hub: Arc<Hub>, known: Arc<Known>, question: Question) {
    let Some(store) = hub.stores.load().of(&known.enrolment.tenant).cloned() else {
        return;
    };
    let mut gone = 0;
    let nothing = Submission {
        device: Arc::clone(&known.device),
        events: Vec::new(),
        quarantined: Vec::new(),
        cursors: Vec::new(),
        expects: None,
        fence: None,
    };
    let change = |chain: &mut IndexChain| gone = chain.answered_in_full(question);
    let serial = &known.enrolment.serial;
    match moved(&known, &store, nothing, change).await {
        Ok(_) if gone > 0 => {
            let detail = Says::RecordsGone.with(&[&gone]);
            conditions::raise(&hub, &known, Condition::RingOverrun, detail);
        }
        Ok(_) => tracing::info!(%serial, "all that the terminal holds is stored"),
        // The next full answer says it again.
        Err(refused) => tracing::warn!(%serial, %refused, "a terminal's full answer was not noted"),
    }
}

/// Commits a submission together with a changed chain.
async fn moved(
    known: &Known,
    store: &Store,
    submission: Submission,
    mut change: impl FnMut(&mut IndexChain),
) -> Result<Receipt, Refused> {
    let index = known.index();
    let mut slot = index.chain.lock().await;
    for _ in 0..TRIES {
        // Taken, not borrowed: if this is cut short, the next one reads the database.
        let old = match slot.take() {
            Some(kept) => kept,
            None => load(known, store).await?,
        };
        let mut chain = old.chain;
        change(&mut chain);
        let text = Text::from(chain.text());
        let mut next = submission.clone();
        let same = old.stored.as_ref() == Some(&text);
        next.expects = Some((Text::const_new(INDEX), old.stored));
        if !same {
            next.cursors.push((Text::const_new(INDEX), text.clone()));
        } else if next.events.is_empty() && next.quarantined.is_empty() {
            *slot = Some(Kept {
                chain,
                stored: Some(text),
            });
            return Ok(Receipt::default());
        }
        match store.writer.submit(next).await {
            Ok(receipt) => {
                known.facts().keep_cursor(INDEX, &text);
                *index.seen() = Some(chain.clone());
                *slot = Some(Kept {
                    chain,
                    stored: Some(text),
                });
                return Ok(receipt);
            }
            Err(Refused::Moved) => {}
            Err(refused) => return Err(refused),
        }
    }
    Err(Refused::Moved)
}

async fn load(known: &Known, store: &Store) -> Result<Kept, Refused> {
    let stored = store.cursor(known.enrolment.id, INDEX).await?;
    let chain = stored.as_deref().and_then(IndexChain::parse);
    if stored.is_some() && chain.is_none() {
        let serial = &known.enrolment.serial;
        tracing::error!(%serial, "the index chain in the database cannot be read and begins anew");
    }
    Ok(Kept {
        chain: chain.unwrap_or_default(),
        stored,
    })
}
