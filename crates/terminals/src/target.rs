//! Where the terminals send: `http://host:port[/prefix]`.
//!
//! Its own small parser, because a terminal's server address is no more than this and because
//! what stands here goes byte for byte into hand-written requests. TLS is not spoken here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The server that a fleet talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    host: String,
    port: u16,
    prefix: String,
}

impl Default for Target {
    /// The port for terminals on this machine, `http://127.0.0.1:8081`.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8081,
            prefix: String::new(),
        }
    }
}

impl Target {
    /// Host and port as they stand in a `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// What stands before `/iclock`: empty, or a path that starts with `/` and does not end
    /// with one.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The socket address when the host is a number, so that no name has to be looked up.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.host
            .parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, self.port))
    }

    /// Host name and port for a look-up.
    pub(crate) fn name(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!(
                "'{text}': {what}; an example is http://127.0.0.1:8081 or http://host:8081/path"
            )
        };
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| wrong("must start with http://"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) =
            split_port(authority).ok_or_else(|| wrong("the port is not a number"))?;
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let path = path.trim_matches('/');
        let plain = |b: u8| b.is_ascii_graphic() && b != b'?' && b != b'#';
        if !host.bytes().chain(path.bytes()).all(plain) {
            return Err(wrong("blanks, '?' and '#' have no place here"));
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            prefix,
        })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; 80 where no port is named.
fn split_port(authority: &str) -> Option<(&str, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after.strip_prefix(':') {
            Some(port) => Some((host, port.parse().ok()?)),
            None if after.is_empty() => Some((host, 80)),
            None => None,
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, port.parse().ok()?)),
        None => Some((authority, 80)),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.prefix)
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_the_same_way() {
        for (text, written) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://push.example.org", "http://push.example.org:80"),
            ("http://host:9/secret/path/", "http://host:9/secret/path"),
            ("http://[::1]:8081", "http://[::1]:8081"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), written);
        }
        assert!(
            "http://127.0.0.1:1"
                .parse::<Target>()
                .unwrap()
                .address()
                .is_some()
        );
        assert!(
            "http://localhost:1"
                .parse::<Target>()
                .unwrap()
                .address()
                .is_none()
        );
    }

    #[test]
    fn wrong_addresses_are_refused_with_an_example() {
        for text in [
            "https://h:1",
            "h:1",
            "http://:1",
            "http://h:x",
            "http://h:1/a b",
            "http://[::1",
        ] {
            let why = text.parse::<Target>().unwrap_err();
            assert!(why.contains("an example is http://127.0.0.1:8081"), "{why}");
        }
    }
}
