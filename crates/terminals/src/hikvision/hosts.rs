//! The settings of the listening host: `httpHosts`, with the deviations of real devices.
//!
//! Two slots, written by PUT as a list or one by one. A device may accept a `url` and forget
//! it, refuse a host by name, and refuse POST altogether, so that whoever writes must read
//! back. The documents are read by hand: the text of an element by its name, no more.

use std::sync::{Mutex, PoisonError};

use super::documents::refusal_xml;
use super::options::HostOptions;
use super::wire::{Request, Response};
use super::words::escaped;

const SLOTS: usize = 2;
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
const SPACE: &str = " version=\"2.0\" xmlns=\"http://www.isapi.org/ver20/XMLSchema\"";

/// One listening host as it is set in the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The path, at most 128 characters; empty when unset.
    pub url: String,
    /// `HTTP`, `HTTPS`.
    pub protocol: String,
    /// `JSON`, `XML`.
    pub format: String,
    /// `ipaddress`, `hostname`.
    pub addressing: String,
    /// The address or name.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            url: String::new(),
            protocol: "HTTP".to_owned(),
            format: "XML".to_owned(),
            addressing: "ipaddress".to_owned(),
            host: "0.0.0.0".to_owned(),
            port: 0,
        }
    }
}

/// Both slots.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    slots: Mutex<[Host; SLOTS]>,
}

impl Hosts {
    /// What is set in the slots.
    pub(super) fn all(&self) -> [Host; SLOTS] {
        self.slots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Everything unset, as after "restore defaults".
    pub(super) fn clear(&self) {
        *self.slots.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    /// Answers a request for the list (`rest` empty) or for one slot (`/1`).
    pub(super) fn answer(&self, request: &Request, rest: &str, options: &HostOptions) -> Response {
        let slot = match rest.trim_start_matches('/') {
            "" => None,
            "1" => Some(0),
            "2" => Some(1),
            _ => return refusal_xml(403, 4, "Invalid Operation", "invalidOperation", 1),
        };
        match (request.method.as_str(), slot) {
            ("GET", None) => self.list(),
            ("GET", Some(slot)) => self.one(slot),
            ("PUT", slot) => self.put(request, slot, options),
            ("POST", None) if options.post_accepted => self.put(request, Some(0), options),
            _ => refusal_xml(
                403,
                4,
                "Invalid Operation",
                "methodNotAllowed",
                1_073_741_828,
            ),
        }
    }

    fn list(&self) -> Response {
        let items: Vec<String> = (1..)
            .zip(self.all())
            .map(|(n, h)| element(n, &h, ""))
            .collect();
        let name = "HttpHostNotificationList";
        Response::xml(
            200,
            format!("{HEAD}<{name}{SPACE}>\n{}</{name}>\n", items.concat()),
        )
    }

    fn one(&self, slot: usize) -> Response {
        let hosts = self.all();
        match hosts.get(slot) {
            Some(host) => Response::xml(200, format!("{HEAD}{}", element(slot + 1, host, SPACE))),
            None => refusal_xml(403, 4, "Invalid Operation", "invalidOperation", 1),
        }
    }

    fn put(&self, request: &Request, slot: Option<usize>, options: &HostOptions) -> Response {
        let bad = || refusal_xml(400, 6, "Invalid Content", "badXmlContent", 1_610_612_737);
        let text = String::from_utf8_lossy(&request.body);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = 0;
        for part in text.split("<HttpHostNotification").skip(1) {
            // The list's own tag begins with the same letters.
            if part.starts_with("List") {
                continue;
            }
            let id = inner(part, "id").and_then(|id| id.trim().parse::<usize>().ok());
            let at = slot.or_else(|| id?.checked_sub(1)).unwrap_or(0);
            let Some(place) = slots.get_mut(at) else {
                return bad();
            };
            match read(part, options) {
                Some(host) => *place = host,
                None => return bad(),
            }
            written += 1;
        }
        if written == 0 {
            return bad();
        }
        refusal_xml(200, 1, "OK", "ok", 1)
    }
}

fn read(part: &str, options: &HostOptions) -> Option<Host> {
    let text = |name: &str| inner(part, name).map(unescaped).unwrap_or_default();
    let addressing = text("addressingFormatType");
    let host = match addressing.as_str() {
        "ipaddress" => text("ipAddress"),
        "hostname" if options.hostname_accepted => text("hostName"),
        _ => return None,
    };
    let url = text("url");
    if url.len() > 128 || host.is_empty() {
        return None;
    }
    Some(Host {
        url: if options.url_persisted {
            url
        } else {
            String::new()
        },
        protocol: text("protocolType"),
        format: text("parameterFormatType"),
        addressing,
        host,
        port: text("portNo").parse().ok()?,
    })
}

fn element(id: usize, host: &Host, space: &str) -> String {
    let name = if host.addressing == "hostname" {
        "hostName"
    } else {
        "ipAddress"
    };
    format!(
        "<HttpHostNotification{space}>\n<id>{id}</id>\n<url>{}</url>\n\
         <protocolType>{}</protocolType>\n<parameterFormatType>{}</parameterFormatType>\n\
         <addressingFormatType>{}</addressingFormatType>\n<{name}>{}</{name}>\n\
         <portNo>{}</portNo>\n<httpAuthenticationMethod>none</httpAuthenticationMethod>\n\
         </HttpHostNotification>\n",
        escaped(&host.url),
        escaped(&host.protocol),
        escaped(&host.format),
        escaped(&host.addressing),
        escaped(&host.host),
        host.port,
    )
}

/// The text of the first element of that name.
fn inner<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = after.split_once(&format!("</{name}>"))?;
    Some(text)
}

fn unescaped(text: &str) -> String {
    text.trim()
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "<HttpHostNotificationList version=\"2.0\"><HttpHostNotification>\
        <id>1</id><url>/hikvision/t&amp;x</url><protocolType>HTTP</protocolType>\
        <parameterFormatType>JSON</parameterFormatType>\
        <addressingFormatType>ipaddress</addressingFormatType><ipAddress>192.0.2.7</ipAddress>\
        <portNo>8081</portNo></HttpHostNotification></HttpHostNotificationList>";

    fn put(hosts: &Hosts, rest: &str, body: &str, options: &HostOptions) -> u16 {
        let request = Request {
            method: "PUT".to_owned(),
            body: body.as_bytes().to_vec(),
            ..Request::default()
        };
        hosts.answer(&request, rest, options).status
    }

    #[test]
    fn what_is_written_is_read_back_and_the_other_slot_stays_as_it_was() {
        let hosts = Hosts::default();
        assert_eq!(put(&hosts, "", DOCUMENT, &HostOptions::default()), 200);
        let [first, second] = hosts.all();
        assert_eq!((first.url.as_str(), first.port), ("/hikvision/t&x", 8081));
        assert_eq!(second, Host::default());
        let get = Request {
            method: "GET".to_owned(),
            ..Request::default()
        };
        let one = hosts.answer(&get, "/1", &HostOptions::default());
        let text = String::from_utf8(one.body).unwrap();
        assert!(text.contains("<url>/hikvision/t&amp;x</url>"), "{text}");
    }

    #[test]
    fn a_device_may_forget_the_url_and_refuse_names_and_posts() {
        let hosts = Hosts::default();
        let odd = HostOptions {
            url_persisted: false,
            hostname_accepted: false,
            post_accepted: false,
        };
        assert_eq!(put(&hosts, "/1", DOCUMENT, &odd), 200);
        assert_eq!(hosts.all()[0].url, "");
        let by_name = DOCUMENT.replace("ipaddress", "hostname");
        assert_eq!(put(&hosts, "/1", &by_name, &odd), 400);
        assert_eq!(put(&hosts, "/1", "<x/>", &odd), 400);
        let post = Request {
            method: "POST".to_owned(),
            ..Request::default()
        };
        let refused = hosts.answer(&post, "", &odd);
        assert!(
            String::from_utf8(refused.body)
                .unwrap()
                .contains("methodNotAllowed")
        );
    }
}
