//! How a broker is reached, the same for what goes out and what comes in.
//!
//! Nothing is tried twice here; whoever calls knows how long to wait. A certificate that is not good
//! is believed nowhere.

use std::time::Duration;

use fetch::Trust;
use mqtt::{Failed, Options, Publisher, Stream};

use crate::config::Link;

/// Longest that a broker may take to be reached, and then to let us in.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);

/// A stream to the broker, over TLS where its address says so.
///
/// # Errors
/// Why there is none, in English, in one line.
pub(crate) async fn reach(link: &Link) -> Result<Box<dyn Stream>, String> {
    let trust = match &link.authorities {
        Some(pem) => Trust::with(pem)?,
        None => Trust::default(),
    };
    let stream = fetch::open(&link.url, &trust, !link.allow_internal, WITHIN).await;
    let stream = stream.map_err(|failed| failed.to_string())?;
    Ok(Box::new(stream))
}

/// How to introduce oneself, without a will.
pub(crate) fn options(link: &Link) -> Options {
    let login = link.login.as_ref();
    Options {
        client_id: link.client_id.clone(),
        login: login.map(|(user, password)| (user.clone(), password.expose().to_owned())),
        will: None,
    }
}

/// Why a broker is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// It is not reached, over TLS where that is asked for.
    #[error("{0}")]
    Unreached(String),
    /// It does not let us in.
    #[error("{0}")]
    Refused(Failed),
}

/// Reaches the broker and introduces itself under another name, so that no session is disturbed.
///
/// # Errors
/// [`Away`], after 20 s at the latest.
pub async fn look(link: &Link) -> Result<(), Away> {
    let mut own = options(link);
    own.client_id.push_str("-check");
    let stream = reach(link).await.map_err(Away::Unreached)?;
    let opened = Publisher::open(stream, &own, WITHIN).await;
    opened.map(drop).map_err(Away::Refused)
}
