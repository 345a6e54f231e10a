//! The vectors of `vectors/`, and what comes of each, in words. Used by the tests that need all of
//! them; the list is checked against the folder by a test.
//!
//! `NAME.http` holds the bytes: a response as it comes on a stream, a post (`POST path`, an
//! optional `Content-Type:` line, an empty line, the body), or one item of a search.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]
#![allow(dead_code, reason = "each test uses some of it")]

use std::fmt::Write as _;
use std::sync::OnceLock;

use event::{Event, Millis, Quarantined, Route, Zone};
use hikvision_isapi::{
    AlertStream, Context, Heard, Item, Post, PostReader, Record, StreamError, normalize, read_part,
    read_search_item, token_of,
};

macro_rules! vectors {
    ($($name:literal)+) => {
        /// Name, bytes, expectation.
        pub(crate) const VECTORS: &[(&str, &[u8], &str)] = &[$((
            $name,
            include_bytes!(concat!("../../vectors/", $name, ".http")),
            include_str!(concat!("../../vectors/", $name, ".expect")),
        )),+];
    };
}

vectors! {
    "item-intercom" "item-number-too-long" "item-terminal" "post-bare-json" "post-bare-xml"
    "post-camera" "post-cards" "post-codes" "post-cut-off" "post-doctype" "post-doubled-nesting"
    "post-event-log" "post-flat" "post-heartbeat" "post-list" "post-nested" "post-no-type"
    "post-not-utf8" "post-not-utf8-person" "post-nul-behind-person" "post-nul-in-person"
    "post-persons" "post-remote-check" "post-statuses" "post-times" "post-two-documents"
    "post-types-swapped" "post-unknown-fields" "post-unreadable" "post-without-serial"
    "post-wrapped" "post-wrong-type" "post-xml-door-event" "stream-arming-form"
    "stream-arming-full" "stream-boundary-bare" "stream-boundary-brackets" "stream-boundary-case"
    "stream-boundary-dashed" "stream-boundary-none" "stream-boundary-other"
    "stream-boundary-undeclared" "stream-camera-kinds" "stream-chunked" "stream-chunked-broken"
    "stream-chunked-not" "stream-empty-elements" "stream-face-json" "stream-heartbeats"
    "stream-http10" "stream-length-lies" "stream-line-ends" "stream-namespaces" "stream-not-http"
    "stream-part-lengths" "stream-picture-glued" "stream-picture-holds-delimiter"
    "stream-psia-extensions" "stream-refused" "stream-replay" "stream-second-head"
    "stream-subscribed" "stream-terminal" "stream-type-missing"
}

/// When each vector comes in. The devices stand in Mexico City (UTC-6).
pub(crate) fn context(zone: &Zone, route: Route) -> Context<'_> {
    Context {
        zone,
        route,
        received_at: Millis::parse("2026-11-21 16:15:45").unwrap(),
        epoch: 1,
    }
}

/// What comes of a vector whose bytes arrive in these pieces.
pub(crate) fn show<'a>(bytes: &'a [u8], cut: impl Fn(&'a [u8]) -> Vec<&'a [u8]>) -> String {
    if bytes.starts_with(b"POST ") {
        show_post(bytes, cut)
    } else if bytes.starts_with(b"{") {
        let mut out = String::new();
        match read_search_item(&String::from_utf8_lossy(bytes)) {
            Ok(record) => show_record(&mut out, &record, Route::Poll),
            Err(unreadable) => {
                show_quarantined(&mut out, &unreadable.quarantined(Route::Poll, Millis(0)))
            }
        }
        out
    } else {
        show_stream(cut(bytes))
    }
}

fn show_stream(pieces: Vec<&[u8]>) -> String {
    let mut out = String::new();
    let mut stream = AlertStream::new();
    for piece in pieces {
        stream.push(piece);
        if show_items(&mut out, &mut stream) {
            return out;
        }
    }
    out.push_str("-- end --\n");
    stream.finish();
    show_items(&mut out, &mut stream);
    out
}

/// Takes the items out; true after an error.
fn show_items(out: &mut String, stream: &mut AlertStream) -> bool {
    loop {
        match stream.next() {
            Ok(None) => return false,
            Ok(Some(Item::Part(part))) => {
                let heard = read_part(part.kind, &part.body);
                show_heard(out, &heard, Route::Stream);
            }
            Ok(Some(Item::Head(head))) => {
                writeln!(
                    out,
                    "head {} close={} type={:?} challenges={:?}",
                    head.status, head.close, head.content_type, head.www_authenticate
                )
                .unwrap();
            }
            Ok(Some(Item::Body(body))) => writeln!(out, "body {}", body.escape_ascii()).unwrap(),
            Ok(Some(other)) => writeln!(out, "{other:?}").unwrap(),
            Err(error) => {
                writeln!(out, "error {error}").unwrap();
                assert!(!error.can_go_on());
                return true;
            }
        }
    }
}

/// Path, content type and body of a post.
pub(crate) fn split_post(bytes: &[u8]) -> (&str, Option<&str>, &[u8]) {
    let end = bytes.windows(2).position(|w| w == b"\n\n").unwrap();
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (line, rest) = head.split_once('\n').unwrap_or((head, ""));
    let path = line.strip_prefix("POST ").unwrap();
    (path, rest.strip_prefix("Content-Type: "), &bytes[end + 2..])
}

/// A vector as the response of a stream: a post or an item of a search gets a head.
pub(crate) fn as_response(bytes: &[u8]) -> Vec<u8> {
    let (content_type, body) = match bytes {
        [b'P', b'O', b'S', b'T', ..] => {
            let (_, content_type, body) = split_post(bytes);
            (content_type.unwrap_or("none"), body)
        }
        [b'{', ..] => ("application/json", bytes),
        _ => return bytes.to_vec(),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Everything that comes out of a connection whose bytes come in these pieces.
pub(crate) fn items<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Result<Item, StreamError>> {
    let mut stream = AlertStream::new();
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece);
        if take(&mut stream, &mut out) {
            return out;
        }
    }
    stream.finish();
    take(&mut stream, &mut out);
    out
}

fn take(stream: &mut AlertStream, out: &mut Vec<Result<Item, StreamError>>) -> bool {
    loop {
        match stream.next() {
            Ok(Some(item)) => out.push(Ok(item)),
            Ok(None) => return false,
            Err(error) => {
                out.push(Err(error));
                return true;
            }
        }
    }
}

fn show_post<'a>(bytes: &'a [u8], cut: impl Fn(&'a [u8]) -> Vec<&'a [u8]>) -> String {
    let (path, content_type, body) = split_post(bytes);
    let mut reader = PostReader::new(content_type);
    for piece in cut(body) {
        reader.push(piece);
    }
    let Post {
        heard,
        pictures,
        picture_bytes,
        skipped,
        names,
        ..
    } = reader.finish();
    let mut out = format!("token {:?}\n", token_of(path));
    writeln!(out, "macs {:?} serials {:?}", names.macs, names.serials).unwrap();
    show_heard(&mut out, &heard, Route::Listen);
    writeln!(
        out,
        "pictures {pictures} of {picture_bytes} bytes, skipped {skipped}"
    )
    .unwrap();
    out
}

fn show_heard(out: &mut String, heard: &[Heard], route: Route) {
    for heard in heard {
        match heard {
            Heard::Heartbeat => out.push_str("heartbeat\n"),
            Heard::Notice(name) => writeln!(out, "notice {name}").unwrap(),
            Heard::Record(record) => show_record(out, record, route),
            Heard::Unreadable(unreadable) => {
                show_quarantined(out, &unreadable.clone().quarantined(route, Millis(0)));
            }
        }
    }
}

fn show_record(out: &mut String, record: &Record, route: Route) {
    static ZONE: OnceLock<Zone> = OnceLock::new();
    let zone = ZONE.get_or_init(|| Zone::named("America/Mexico_City").unwrap());
    match normalize(record, &context(zone, route)) {
        Ok(event) => show_event(out, &event),
        Err(quarantined) => show_quarantined(out, &quarantined),
    }
}

fn show_event(out: &mut String, event: &Event) {
    let at = event.occurred_at.map(Millis::text);
    write!(
        out,
        "{} {} {} {} {:?}",
        event.kind, event.route, event.timeliness, event.clock, event.ident
    )
    .unwrap();
    for (name, value) in [
        ("person", event.person.as_deref()),
        ("card", event.card.as_deref()),
        ("local", event.local_time.as_deref()),
        ("utc", at.as_deref()),
        ("status", event.status_code.as_deref()),
        ("verify", event.verify_code.as_deref()),
        ("code", event.vendor_code.as_deref()),
        ("direction", event.direction.map(|way| way.as_str())),
        ("door", event.door.as_deref()),
    ] {
        if let Some(value) = value {
            write!(out, " {name}={value}").unwrap();
        }
    }
    let (start, end) = ends(&event.raw);
    let attributes = event.attributes.as_deref().unwrap_or_default();
    writeln!(
        out,
        "\n  {attributes}\n  raw {} bytes {start} … {end}",
        event.raw.len()
    )
    .unwrap();
}

fn show_quarantined(out: &mut String, q: &Quarantined) {
    let (start, end) = ends(&q.raw);
    let length = q.raw.len();
    writeln!(
        out,
        "quarantine {} {} ({}): {length} bytes {start} … {end}",
        q.source, q.reason, q.detail
    )
    .unwrap();
}

/// How bytes start and end, readable.
fn ends(raw: &[u8]) -> (String, String) {
    let start = &raw[..raw.len().min(20)];
    let end = &raw[raw.len().saturating_sub(20)..];
    (
        start.escape_ascii().to_string(),
        end.escape_ascii().to_string(),
    )
}
