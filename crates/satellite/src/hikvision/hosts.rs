//! The device's own setting of where it posts: read, compared, written.
//!
//! Devices accept a setting and keep another, so that nothing counts as set before it was read
//! back. The path holds a token: it is compared by its hash and never shown.

use bytes::Bytes;
use hikvision_isapi::{
    Difference, HOSTS_PATH, HostProtocol, HostSetting, ResponseStatus, choose_slot, compare,
    read_hosts, slot_path,
};
use hyper::{Method, StatusCode};
use store::registry::TokenHash;

use super::client::{Client, Said, Trouble};
use crate::detail::{Detail, Says};

/// What every path of ours begins with.
pub(crate) const PREFIX: &str = "/hikvision/";

/// Why a setting could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConfigured {
    /// The way to the device.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The address or path cannot be set on any device.
    #[error("{0}")]
    Bad(#[from] hikvision_isapi::BadHost),
    /// The device has no such setting, or refused it.
    #[error("the device refused: {0}")]
    Refused(String),
}

/// Whether one of the device's hosts has the token of that hash; `None` when it does not say.
pub(super) async fn points_here(
    client: &mut Client,
    token: &TokenHash,
) -> Result<Option<bool>, Trouble> {
    let said = client.get(HOSTS_PATH).await?;
    if said.status != StatusCode::OK {
        return Ok(None);
    }
    let Some(slots) = read_hosts(&said.body) else {
        return Ok(None);
    };
    let ours = |said: &str| TokenHash::of(said) == *token;
    Ok(Some(
        slots.iter().any(|slot| slot.token().is_some_and(ours)),
    ))
}

/// Writes where the device posts, reads it back, and answers what differs.
pub(crate) async fn configure(
    client: &mut Client,
    host: &str,
    port: u16,
    path: &str,
    protocol: HostProtocol,
) -> Result<Vec<Difference>, NotConfigured> {
    let read = client.get(HOSTS_PATH).await?;
    let slots = read_hosts(&read.body).ok_or_else(|| refused(&read))?;
    // The folder of a proxy, if there is one, stands before our word.
    let end = path.rfind(PREFIX).map_or(0, |at| at + PREFIX.len());
    let prefix = path.get(..end).unwrap_or(PREFIX);
    let slot = choose_slot(&slots, prefix)
        .ok_or_else(|| NotConfigured::Refused(Detail::from(Says::HostsInUse).to_string()))?;
    let setting = HostSetting::new(slot, host, port, path, protocol)?;
    let xml = |text: String| Some(("application/xml", Bytes::from(text)));
    let one = client
        .ask(&Method::PUT, &slot_path(slot), xml(setting.document()))
        .await?;
    if one.status != StatusCode::OK {
        // Some models take the whole list only.
        let list = setting.list_document(&slots);
        let all = client.ask(&Method::PUT, HOSTS_PATH, xml(list)).await?;
        if all.status != StatusCode::OK {
            return Err(refused(&all));
        }
    }
    let back = client.get(HOSTS_PATH).await?;
    let slots = read_hosts(&back.body).ok_or_else(|| refused(&back))?;
    Ok(compare(&setting, &slots))
}

fn refused(said: &Said) -> NotConfigured {
    let words = ResponseStatus::read(&said.body).map(|status| status.sub);
    let words = words.unwrap_or_default();
    NotConfigured::Refused(format!("{} {}", said.status, words.escape_debug()))
}
