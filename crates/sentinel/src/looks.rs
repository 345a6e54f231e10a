//! Everything that looks: one file for each sort of thing, all behind [`Look`].
//!
//! A look says what it saw, as soon as it saw it, and never whether somebody is told. What it
//! could not see is unknown; what it may not see is left out and named by `sentinel check`.
//! Facts are read, judged by a pure function, and handed on, in this order, so that the
//! judgements are tested without a network and the reading against real servers.

pub mod backup;
pub mod canary;
pub mod certificate;
pub mod check;
pub mod database;
pub mod host;
pub mod inputs;
pub mod mail;
pub mod outputs;
pub mod round_trip;
pub mod satellite;
pub mod store;
pub mod terminals;

use std::sync::Arc;

use fetch::{Failed, Url};

use crate::history::{Shared, SilenceLook, UptimeLook};
use crate::{Config, Look, Phrase, Value};
use host::board::Board;
use satellite::page::StatusPage;

/// Every look that the configuration asks for. `board` is where other machines put their facts;
/// it listens for those of this configuration from now on.
pub fn all(config: &Config, board: &Arc<Board>) -> Vec<Arc<dyn Look>> {
    let watch = &config.watch;
    let admin = watch.satellite_admin.as_ref();
    let admin: Option<Url> = admin.and_then(|url| url.parse().ok());
    let page = admin.as_ref().map(StatusPage::new);
    let mut looks = satellite::looks(watch, page.as_ref());
    let history = Shared::new(&config.state_dir);
    for store in &watch.stores {
        let (own, holidays) = (store.clone(), config.holidays.clone());
        looks.push(Arc::new(SilenceLook::new(
            own,
            holidays,
            config.zone.clone(),
            Arc::clone(&history),
        )));
        looks.push(Arc::new(database::Database::new(store.clone())));
        let canary = canary::CanaryLook::new(watch, store, &config.zone, page.as_ref());
        looks.extend(canary.map(|canary| Arc::new(canary) as Arc<dyn Look>));
    }
    if let Some((admin, page)) = admin.as_ref().zip(page) {
        looks.push(Arc::new(terminals::Terminals::new(admin, &watch.stores)));
        looks.push(Arc::new(outputs::OutputsLook::new(Arc::clone(&page))));
        looks.push(Arc::new(inputs::InputsLook::new(Arc::clone(&page))));
        let tenants: Vec<String> = config.tenants().map(str::to_owned).collect();
        if !tenants.is_empty() {
            let watched = &config.looks.backup;
            looks.push(Arc::new(backup::BackupLook::new(page, watched, tenants)));
        }
    }
    board.configure(&config.looks.agents);
    looks.extend(host::looks(&config.looks, board));
    looks.extend(certificate::looks(&config.looks.certificates));
    looks.extend(check::looks(&config.looks.checks));
    match round_trip::RoundTripLook::of(config) {
        Some(Ok(look)) => looks.push(Arc::new(look)),
        // The configuration's check rules this out.
        Some(Err(error)) => tracing::error!(%error, "the mailbox of test letters is not looked at"),
        None => {}
    }
    match config.mail.as_ref().map(mail::Relays::new) {
        Some(Ok(relays)) => looks.push(Arc::new(relays)),
        // The configuration's check rules this out.
        Some(Err(error)) => tracing::error!(%error, "the relays are not looked at"),
        None => {}
    }
    let (state_dir, zone) = (config.state_dir.clone(), config.zone.clone());
    looks.push(Arc::new(UptimeLook::new(state_dir, zone, history)));
    looks
}

/// A count as a measurement; far below 2⁵³ it is exact.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2⁵³")]
pub(crate) fn wide(count: u64) -> f64 {
    count as f64
}

/// Why a request failed: our sentence, with the words of the system or the library in it.
pub(crate) fn said(failed: &Failed) -> Value {
    let heard = |words: &String| [Value::heard(words)];
    match failed {
        Failed::Name(words) => Phrase::NameNotFound.with(heard(words)),
        Failed::Refused(words) | Failed::Connect(words) | Failed::Inner(words) => {
            Phrase::NotConnected.with(heard(words))
        }
        Failed::Tls(words, _) => Phrase::TlsFailed.with(heard(words)),
        Failed::Http(words) => Phrase::NoHttp.with(heard(words)),
        Failed::Late { stage, after } => {
            let phrase = match *stage {
                "name" => Phrase::LateName,
                "connect" => Phrase::LateConnect,
                "tls" => Phrase::LateTls,
                _ => Phrase::LateAnswer,
            };
            phrase.with([(*after).into()])
        }
    }
}
