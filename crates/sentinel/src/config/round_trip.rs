//! `[mail.round_trip]`: the mailbox of its own to which test letters go, as the file writes it.
//!
//! What passes here can be used: the address is one, the mailbox takes a password only over an
//! encrypted connection, and a letter is waited for no longer than until the next.

use std::path::PathBuf;
use std::time::Duration;

use daemon::config::{ConfigError, Said, Source, Span};
use notify::{ImapBox, Recipient};
use serde::Deserialize;

use super::RoundTrip;
use super::raw::{no_address, secret};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoundTrip {
    address: String,
    url: String,
    user: String,
    password_file: String,
    authorities: Option<PathBuf>,
    every: Option<Span>,
    within: Option<Span>,
}

/// From one test letter to the next, and for how long one is waited for, unless told otherwise.
const ROUND_TRIP: (Duration, Duration) = (Duration::from_secs(900), Duration::from_secs(300));
/// What a round takes besides waiting: sending, and the last visit to the mailbox.
const ROUND_TRIP_ROOM: Duration = Duration::from_secs(20);

/// Checks it, and that its mailbox can be used.
///
/// # Errors
/// What is wrong, with its key.
pub(super) fn checked(source: &Source, raw: RawRoundTrip) -> Result<RoundTrip, ConfigError> {
    let key = |name: &str| format!("mail.round_trip.{name}");
    Recipient::mail(&raw.address)
        .map_err(|error| source.error(&key("address"), no_address(&error)))?;
    let password = secret(source, &key("password_file"), &raw.password_file)?;
    let authorities = raw.authorities.map(|path| {
        std::fs::read_to_string(&path)
            .map_err(|error| source.error(&key("authorities"), &error.to_string()))
    });
    let authorities = authorities.transpose()?;
    let place = ImapBox::new(&raw.url, &raw.user, password.clone());
    place.map_err(|error| {
        let es = "no se puede usar; escriba imaps://servidor:puerto, sin contraseña, y un usuario y una contraseña en ASCII";
        source.error(&key("url"), Said::new(error.to_string(), es))
    })?;
    let every = raw.every.map_or(ROUND_TRIP.0, |it| it.0);
    let within = raw.within.map_or(ROUND_TRIP.1, |it| it.0);
    if within + ROUND_TRIP_ROOM > every {
        return Err(source.error(
            &key("within"),
            (
                "must be at least 20 s shorter than every",
                "debe ser al menos 20 s más corto que every",
            ),
        ));
    }
    Ok(RoundTrip {
        address: raw.address,
        url: raw.url,
        login: (raw.user, password),
        authorities,
        every,
        within,
    })
}
