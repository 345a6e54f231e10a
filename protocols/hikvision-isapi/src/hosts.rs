//! `httpHosts`: where a device posts its events, as documents to write and to read back.
//!
//! Devices answer a write with OK and then keep less than they were given: the path stays
//! empty, a host name is refused, a flag is not stored. So a setting counts only when it has
//! been read back and compared. The path holds the token that authenticates the device: it
//! must never appear in a difference or in `Debug`.

use core::net::{IpAddr, Ipv4Addr};
use std::fmt;

use event::Text;

use crate::status::short;
use crate::xml::{self, Element};

/// The list of all hosts: read it here.
pub const HOSTS_PATH: &str = "/ISAPI/Event/notification/httpHosts";
/// Longest path that devices keep.
const PATH_LIMIT: usize = 128;

/// Where one slot is read and written.
pub fn slot_path(slot: u32) -> String {
    format!("{HOSTS_PATH}/{slot}")
}

/// How the device reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostProtocol {
    /// Plain.
    Http,
    /// With TLS; which certificates devices accept is not documented.
    Https,
}

impl HostProtocol {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
        }
    }
}

/// The setting that a device shall have. `Debug` hides the path.
#[derive(Clone, PartialEq, Eq)]
pub struct HostSetting {
    slot: u32,
    address: Address,
    path: String,
    port: u16,
    protocol: HostProtocol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Ip(IpAddr),
    Name(String),
}

/// Why a setting cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHost {
    /// Slots count from 1.
    #[error("slots count from 1")]
    Slot,
    /// Not an IP address and not a host name.
    #[error("the host must be an IP address or a name of letters, digits, '-' and '.'")]
    Host,
    /// A path begins with `/`, is printable and has at most 128 characters.
    #[error("the path must begin with '/' and have at most 128 printable characters")]
    Path,
    /// Port 0.
    #[error("the port must not be 0")]
    Port,
}

impl HostSetting {
    /// Checks the parts. `host` is an IP address or a name; some terminals refuse names.
    pub fn new(
        slot: u32,
        host: &str,
        port: u16,
        path: &str,
        protocol: HostProtocol,
    ) -> Result<Self, BadHost> {
        let address = match host.parse() {
            Ok(ip) => Address::Ip(ip),
            Err(_) if is_name(host) => Address::Name(host.to_ascii_lowercase()),
            Err(_) => return Err(BadHost::Host),
        };
        let printable = path.bytes().all(|b| b.is_ascii_graphic());
        if !path.starts_with('/') || path.len() > PATH_LIMIT || !printable {
            return Err(BadHost::Path);
        }
        if slot == 0 {
            return Err(BadHost::Slot);
        }
        if port == 0 {
            return Err(BadHost::Port);
        }
        Ok(Self {
            slot,
            address,
            path: path.to_owned(),
            port,
            protocol,
        })
    }

    /// The slot it is for.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The document for `PUT` at [`slot_path`].
    pub fn document(&self) -> String {
        let declared = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
        format!("{declared}\n{}\n", self.element(true))
    }

    /// The document for `PUT` at [`HOSTS_PATH`], for devices that know no single slot: this
    /// one and, as they were read, the others, which the write would clear otherwise.
    pub fn list_document(&self, read: &[HostSlot]) -> String {
        let others = read.iter().filter(|slot| slot.slot != Some(self.slot));
        let mut items: Vec<(u32, String)> = others
            .filter_map(|slot| Some((slot.slot?, slot.element())))
            .collect();
        items.push((self.slot, self.element(false)));
        items.sort();
        let items: String = items.into_iter().map(|(_, item)| item).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<HttpHostNotificationList {NAMESPACE}>{items}</HttpHostNotificationList>\n"
        )
    }

    fn element(&self, is_root: bool) -> String {
        let (kind, address) = match &self.address {
            Address::Ip(ip @ IpAddr::V4(_)) => {
                ("ipaddress", format!("<ipAddress>{ip}</ipAddress>"))
            }
            Address::Ip(ip) => ("ipaddress", format!("<ipv6Address>{ip}</ipv6Address>")),
            Address::Name(name) => ("hostname", format!("<hostName>{name}</hostName>")),
        };
        let space = if is_root {
            format!(" {NAMESPACE}")
        } else {
            String::new()
        };
        format!(
            "<HttpHostNotification{space}><id>{}</id><url>{}</url><protocolType>{}</protocolType>\
             <parameterFormatType>JSON</parameterFormatType>\
             <addressingFormatType>{kind}</addressingFormatType>{address}<portNo>{}</portNo>\
             <httpAuthenticationMethod>none</httpAuthenticationMethod>\
             <httpBroken>true</httpBroken></HttpHostNotification>",
            self.slot,
            escaped(&self.path),
            self.protocol.as_str(),
            self.port
        )
    }
}

const NAMESPACE: &str = r#"version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema""#;

impl fmt::Debug for HostSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSetting")
            .field("slot", &self.slot)
            .field("address", &self.address)
            .field("port", &self.port)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

fn is_name(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (1..=64).contains(&host.len()) && host.bytes().all(allowed) && !numeric
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            _ => out.push(c),
        }
    }
    out
}

/// One slot as a device tells it. `Debug` hides the path.
#[derive(Clone, PartialEq, Eq)]
pub struct HostSlot {
    /// `id`.
    pub slot: Option<u32>,
    url: String,
    protocol: Text,
    ip: Option<Text>,
    name: Option<Text>,
    port: Option<u64>,
    method: Text,
    broken: Option<bool>,
    element: Element,
}

impl HostSlot {
    fn read(element: &Element) -> Self {
        let text = |name: &str| element.text_of(name).map(short);
        let flag = |word: &str| match word {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        Self {
            slot: element.text_of("id").and_then(|id| id.parse().ok()),
            url: element.text_of("url").unwrap_or_default().to_owned(),
            protocol: text("protocolType").unwrap_or_default(),
            ip: text("ipAddress").or_else(|| text("ipv6Address")),
            name: text("hostName"),
            port: element.text_of("portNo").and_then(|port| port.parse().ok()),
            method: text("httpAuthenticationMethod").unwrap_or_default(),
            broken: element.text_of("httpBroken").and_then(flag),
            element: element.clone(),
        }
    }

    /// Nobody is posted to from this slot: no name, and no address or an empty one.
    pub fn is_free(&self) -> bool {
        let nowhere = |ip: &Text| {
            let parsed: Result<IpAddr, _> = ip.parse();
            parsed.is_ok_and(|ip| ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || ip.is_unspecified())
        };
        self.name.is_none() && self.ip.as_ref().is_none_or(nowhere)
    }

    /// Whether the slot posts to a path that begins so, as one of ours does.
    pub fn has_path_under(&self, prefix: &str) -> bool {
        path_of(&self.url).starts_with(prefix)
    }

    /// The slot as it was read, all fields, for a list that is written back.
    /// The token of a path of ours, when this slot has one. It is a secret.
    pub fn token(&self) -> Option<&str> {
        // A folder before ours is that of a proxy.
        let at = self.url.rfind("/hikvision/")?;
        crate::listen::token_of(self.url.get(at..)?)
    }

    fn element(&self) -> String {
        let mut out = String::new();
        write_element(&self.element, &mut out);
        out
    }
}

impl fmt::Debug for HostSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSlot")
            .field("slot", &self.slot)
            .field("ip", &self.ip)
            .field("name", &self.name)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Depth is bounded by the reader of the document.
fn write_element(element: &Element, out: &mut String) {
    out.push_str(&format!("<{}>", element.name));
    out.push_str(&escaped(&element.text));
    for child in &element.children {
        write_element(child, out);
    }
    out.push_str(&format!("</{}>", element.name));
}

/// Reads the answer to `GET` at [`HOSTS_PATH`] or at a [`slot_path`]: a list, or one slot.
/// `None` when it is no XML or another document.
pub fn read_hosts(body: &[u8]) -> Option<Vec<HostSlot>> {
    let root = xml::parse(body).ok()?;
    let named = |name: &str| root.name.eq_ignore_ascii_case(name);
    if named("HttpHostNotification") {
        return Some(vec![HostSlot::read(&root)]);
    }
    if !named("HttpHostNotificationList") {
        return None;
    }
    Some(
        root.all("HttpHostNotification")
            .map(HostSlot::read)
            .collect(),
    )
}

/// The slot to use: the one that posts under `prefix` already, else the lowest free one.
pub fn choose_slot(slots: &[HostSlot], prefix: &str) -> Option<u32> {
    let ours = slots.iter().find(|slot| slot.has_path_under(prefix));
    let mut free: Vec<u32> = slots
        .iter()
        .filter(|s| s.is_free())
        .filter_map(|s| s.slot)
        .collect();
    free.sort_unstable();
    ours.and_then(|slot| slot.slot)
        .or_else(|| free.first().copied())
}

/// One thing that the device has otherwise than it should, in words for people. The path, a
/// secret, is described and not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, in the device's spelling.
    pub key: &'static str,
    /// What it should be.
    pub wanted: String,
    /// What was read back.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: wanted {}, found {}",
            self.key, self.wanted, self.found
        )
    }
}

/// Compares what was read back with what was written; empty means that the device will post
/// to us. `httpBroken` is a difference only when the device says `false`: many do not store it.
pub fn compare(wanted: &HostSetting, read: &[HostSlot]) -> Vec<Difference> {
    let mut out = Vec::new();
    let Some(slot) = read.iter().find(|slot| slot.slot == Some(wanted.slot)) else {
        push(&mut out, "id", &wanted.slot.to_string(), "no such slot");
        return out;
    };
    compare_url(&wanted.path, &slot.url, &mut out);
    if !slot.protocol.eq_ignore_ascii_case(wanted.protocol.as_str()) {
        push(
            &mut out,
            "protocolType",
            wanted.protocol.as_str(),
            &slot.protocol,
        );
    }
    match &wanted.address {
        Address::Ip(ip) => {
            let found: Option<IpAddr> = slot.ip.as_ref().and_then(|found| found.parse().ok());
            if found != Some(*ip) {
                let found = slot.ip.as_deref().unwrap_or_default();
                push(&mut out, "ipAddress", &ip.to_string(), found);
            }
        }
        Address::Name(name) => {
            let found = slot.name.as_deref().unwrap_or_default();
            if !found.eq_ignore_ascii_case(name) {
                push(&mut out, "hostName", name, found);
            }
        }
    }
    if slot.port != Some(u64::from(wanted.port)) {
        let found = slot.port.map(|port| port.to_string()).unwrap_or_default();
        push(&mut out, "portNo", &wanted.port.to_string(), &found);
    }
    if !slot.method.is_empty() && !slot.method.eq_ignore_ascii_case("none") {
        push(&mut out, "httpAuthenticationMethod", "none", &slot.method);
    }
    if slot.broken == Some(false) {
        push(&mut out, "httpBroken", "true", "false");
    }
    out
}

fn compare_url(wanted: &str, found: &str, out: &mut Vec<Difference>) {
    let path = path_of(found);
    let found = match path {
        _ if path == wanted => return,
        "" | "/" => "nothing: the device does not keep it",
        _ if path.eq_ignore_ascii_case(wanted) => "the path in other letter case",
        _ if wanted.starts_with(path) => "the path cut short",
        _ => "another path",
    };
    push(out, "url", "the path with the token", found);
}

fn push(out: &mut Vec<Difference>, key: &'static str, wanted: &str, found: &str) {
    let found = if found.is_empty() { "nothing" } else { found };
    out.push(Difference {
        key,
        wanted: wanted.to_owned(),
        found: found.to_owned(),
    });
}

/// The path of a value that may be an absolute URL.
fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    rest.find('/')
        .and_then(|at| rest.get(at..))
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
