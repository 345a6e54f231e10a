//! What a command needs of a Hikvision device: its listening host set over ISAPI, and the name
//! under which the daemon keeps its serial chain.
//!
//! A device is asked who it is before anything is written to it, so that a token never lands in
//! a device that is not the enrolled one. Nothing here touches a store: whoever calls keeps the
//! token's hash only after the device has read back what was written.

use daemon::config::Secret;
use event::{Millis, Serial, Text};
use hikvision_isapi::{
    BadHost, BadUser, DEVICE_INFO_PATH, DeviceInfo, Difference, HostProtocol, ResponseStatus,
};
use hyper::StatusCode;
use store::registry::normal_mac;

use super::client::{self, Client, Trouble};
use super::hosts::{self, NotConfigured};
use super::state;
use crate::detail::{Detail, Says};

/// The name of the cursor (`device_cursor`) that holds a device's serial chain.
pub const CHAIN_CURSOR: &str = state::CHAIN;

/// A device to be configured, and the account used for it.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Where it is dialled, `host:port`.
    pub address: &'a str,
    /// The account's name.
    pub user: &'a str,
    /// Its password.
    pub secret: &'a Secret,
    /// The serial that the device must have.
    pub serial: &'a Serial,
    /// The hardware address that will do as well.
    pub mac: Option<&'a str>,
}

/// Where a device shall post. No `Debug`: the path holds its token.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the path is a secret that no text may show"
)]
pub struct PostTo<'a> {
    /// An IP address or a name.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// `/hikvision/<token>`.
    pub path: &'a str,
    /// Plain or with TLS.
    pub protocol: HostProtocol,
}

/// Why a device was not configured. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// The user name cannot stand in a login.
    #[error(transparent)]
    User(#[from] BadUser),
    /// It does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// It refused user or password, or has locked us out; it is not asked again before then.
    #[error("user or password refused")]
    LoginRefused {
        /// The earliest moment for the next try.
        until: Millis,
    },
    /// Another device answers there; its own name for itself.
    #[error("the device there names itself {0}")]
    WrongDevice(Text),
    /// What is to be written cannot be written to any device.
    #[error(transparent)]
    Setting(#[from] BadHost),
    /// It has no such setting, no free host, or refused the write.
    #[error("{0}")]
    Refused(String),
}

impl From<Trouble> for NotSet {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::LoginRefused(until) => Self::LoginRefused { until },
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl From<NotConfigured> for NotSet {
    fn from(error: NotConfigured) -> Self {
        match error {
            NotConfigured::Trouble(trouble) => trouble.into(),
            NotConfigured::Bad(bad) => Self::Setting(bad),
            NotConfigured::Refused(words) => Self::Refused(words),
        }
    }
}

/// A fresh token of 128 bits: 32 letters and digits that nobody confuses when typing.
///
/// # Errors
/// The system gives no random numbers.
pub fn token() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)))
}

/// Writes where the device shall post, reads it back and answers what differs; empty when the
/// device has exactly what was wanted.
///
/// # Errors
/// The device was not written to, or did not say afterwards what it has.
pub async fn configure(account: &Account<'_>, to: &PostTo<'_>) -> Result<Vec<Difference>, NotSet> {
    let login = client::login(account.user, account.secret, None)?;
    let mut client = Client::new(account.address, login);
    identify(&mut client, account).await?;
    Ok(hosts::configure(&mut client, to.host, to.port, to.path, to.protocol).await?)
}

async fn identify(client: &mut Client, account: &Account<'_>) -> Result<(), NotSet> {
    let said = client.get(DEVICE_INFO_PATH).await?;
    if said.status != StatusCode::OK {
        let words = ResponseStatus::read(&said.body).map(|status| status.sub);
        let words = words.unwrap_or_default();
        return Err(NotSet::Refused(format!(
            "{} {}",
            said.status,
            words.escape_debug()
        )));
    }
    let info = DeviceInfo::read(&said.body)
        .ok_or_else(|| NotSet::Refused(Detail::from(Says::NotHikvision).to_string()))?;
    let same_mac = || {
        let its = info.mac.as_deref().and_then(normal_mac);
        its.is_some() && its == account.mac.and_then(normal_mac)
    };
    if info.is_named(account.serial.as_str()) || same_mac() {
        return Ok(());
    }
    let named = info.serial.as_deref().unwrap_or("no serial");
    Err(NotSet::WrongDevice(Text::from(
        named.escape_debug().to_string(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use terminals::hikvision::{Device, DeviceOptions};

    async fn set(device: &Device, serial: &str, password: &str) -> Result<Vec<Difference>, NotSet> {
        let (address, secret) = (
            device.address().to_string(),
            Secret::new(password.to_owned()),
        );
        let account = Account {
            address: &address,
            user: device.login().0,
            secret: &secret,
            serial: &Serial::new(serial).unwrap(),
            mac: None,
        };
        let to = PostTo {
            host: "192.0.2.5",
            port: 8081,
            path: "/hikvision/0123456789abcdef0123456789abcdef",
            protocol: HostProtocol::Http,
        };
        configure(&account, &to).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_the_enrolled_device_is_written_to_and_only_with_the_right_password() {
        let device = Device::start(DeviceOptions::default(), None).unwrap();
        let password = device.login().1.to_owned();
        let other = set(&device, "OTHER0000001", &password).await.unwrap_err();
        assert!(matches!(other, NotSet::WrongDevice(_)), "{other}");
        let refused = set(&device, device.serial(), "wrong").await.unwrap_err();
        assert!(matches!(refused, NotSet::LoginRefused { .. }), "{refused}");
        assert!(
            device
                .hosts()
                .iter()
                .all(|host| !host.url.contains("hikvision"))
        );
        assert_eq!(set(&device, device.serial(), &password).await.unwrap(), []);
        assert!(
            device
                .hosts()
                .iter()
                .any(|host| host.url.contains("hikvision"))
        );
    }
}
