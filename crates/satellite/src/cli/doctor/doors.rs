//! The doors for terminals: whether somebody opens at each of them, and at the public address.
//!
//! Knocked at from this machine, so that a firewall or a router before it stays unseen: of the public
//! address only a failure is told, and as something to look at. Nothing is sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};

use super::service::Open;
use super::words::Says;
use super::{Context, Findings};
use crate::cli::http::reachable;
use crate::cli::words::Speaks as _;

/// Longest wait for a door to open.
const WITHIN: Duration = Duration::from_secs(3);

/// Knocks at the doors that the running satellite says it has open; where it does not answer, that
/// was said already.
pub(super) async fn look(context: &Context, open: Open, findings: &mut Findings) {
    let doors = [open.address, open.tls_address];
    if doors == [None, None] {
        return;
    }
    for door in doors.into_iter().flatten() {
        opens(door, findings).await;
    }
    if let Some(url) = &context.config.listen.public_url
        && let Some(place) = host_and_port(url)
        && let Err(why) = knock(place).await
    {
        let why = context.lang.detail(&why.to_string());
        findings.care(Says::PublicShut, &[url, &why], format!("curl -v {url}/"));
    }
}

async fn opens(door: SocketAddr, findings: &mut Findings) {
    match knock(reachable(door)).await {
        Ok(()) => findings.good(Says::DoorOpen, &[&door]),
        Err(why) => {
            let restart = "systemctl restart satellite; journalctl -u satellite -n 50".to_owned();
            findings.bad(Says::DoorShut, &[&door, &why], restart);
        }
    }
}

async fn knock(place: impl ToSocketAddrs) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let opened = tokio::time::timeout(WITHIN, TcpStream::connect(place)).await;
    opened.map_err(late)?.map(drop)
}

/// Where an address such as `http://satelite.example.mx:8081/more` leads.
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let place = rest.split('/').next().unwrap_or(rest);
    let usual = if scheme == "https" { 443 } else { 80 };
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (place, usual),
    };
    Some((host.trim_matches(['[', ']']), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_leads_to_its_port_or_to_the_usual_one() {
        let leads = |url| host_and_port(url);
        assert_eq!(leads("http://s.mx:8081/a"), Some(("s.mx", 8081)));
        assert_eq!(leads("https://s.mx"), Some(("s.mx", 443)));
        assert_eq!(leads("http://[2001:db8::1]"), Some(("2001:db8::1", 80)));
        assert_eq!(leads("http://[::1]:8081"), Some(("::1", 8081)));
        assert_eq!(leads("http://s.mx:port"), None);
    }
}
