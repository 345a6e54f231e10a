//! The address of something to be fetched, as an operator writes it.
//!
//! Only what a watcher needs: `http` or `https`, host, port, path. A password in it is refused,
//! because configurations are copied and printed; what was refused is never repeated.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// `http://host[:port][/path]` or `https://…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    encrypted: bool,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Where a broker is that an operator writes as `mqtt://host` or `mqtts://host`, each with its
    /// usual port, for [`open`](crate::open); `None` when the text begins otherwise.
    #[must_use]
    pub fn of_broker(text: &str) -> Option<Result<Self, BadUrl>> {
        let (scheme, port, rest) = match text.split_once("://")? {
            ("mqtt", rest) => ("http", 1883, rest),
            ("mqtts", rest) => ("https", 8883, rest),
            _ => return None,
        };
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let has_port = place
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.contains(']'));
        let port = if has_port {
            String::new()
        } else {
            format!(":{port}")
        };
        let more = rest.get(place.len()..).unwrap_or_default();
        Some(format!("{scheme}://{place}{port}{more}").parse())
    }

    /// True for `https`.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Host name or address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or 443 unless it was named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, beginning with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same place with this path and query instead, after whatever path it had.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let base = self.path.split('?').next().unwrap_or_default();
        Self {
            path: format!("{}{path}", base.trim_end_matches('/')),
            ..self.clone()
        }
    }

    /// `host` or `host:port` as the `Host` header wants it.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let usual = if self.encrypted { 443 } else { 80 };
        if self.port == usual {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// Why a text is no address; it does not repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(&'static str);

const FORM: BadUrl = BadUrl("write http://host:port or https://host:port, with a path if need be");

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let (encrypted, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(FORM),
        };
        let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(cut);
        if place.contains('@') {
            return Err(BadUrl("a user or password in the address is not allowed"));
        }
        if path.contains('#') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadUrl(
                "the path may hold only ASCII letters and signs, and no #",
            ));
        }
        let (host, port) = split(place).ok_or(FORM)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            encrypted,
            host,
            port: port.unwrap_or(if encrypted { 443 } else { 80 }),
            path: format!("{slash}{path}"),
        })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split(place: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (place, None),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(plain),
    };
    let host = inner.unwrap_or(host).to_owned();
    (good && port != Some(0)).then_some((host, port))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "https" } else { "http" };
        let path = if self.path == "/" { "" } else { &self.path };
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gives_its_parts_and_reads_back_what_it_writes() {
        for (text, host, port, path) in [
            ("http://a.example.mx", "a.example.mx", 80, "/"),
            ("https://a/x?y=1", "a", 443, "/x?y=1"),
            ("http://127.0.0.1:9810/status", "127.0.0.1", 9810, "/status"),
            ("http://[::1]:80", "::1", 80, "/"),
            ("http://a?b", "a", 80, "/?b"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path));
            assert_eq!(url.to_string().parse::<Url>().unwrap(), url);
        }
        let base: Url = "https://h:8443/door/".parse().unwrap();
        assert_eq!(
            base.join("/iclock/cdata").to_string(),
            "https://h:8443/door/iclock/cdata"
        );
    }

    #[test]
    fn an_address_of_a_broker_gets_its_usual_port() {
        for (text, dialled) in [
            ("mqtt://broker", "http://broker:1883"),
            (
                "mqtts://broker.example.mx",
                "https://broker.example.mx:8883",
            ),
            ("mqtts://broker:9000", "https://broker:9000"),
            ("mqtt://[fd00::7]", "http://[fd00::7]:1883"),
            ("mqtt://[fd00::7]:1884", "http://[fd00::7]:1884"),
        ] {
            assert_eq!(Url::of_broker(text), Some(dialled.parse()), "{text}");
        }
        assert_eq!(Url::of_broker("https://broker"), None);
        assert!(matches!(Url::of_broker("mqtts://u:p@broker"), Some(Err(_))));
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_password_in_it_is_not_repeated() {
        for wrong in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a:x",
            "http://a:0",
            "http://a b/",
            "http://[x]/",
            "http://a/b c",
            "http://a/#b",
            "http://u:hunter2@a/",
            "http://a/\n",
        ] {
            let error = wrong.parse::<Url>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
