//! What a simulated Hikvision device is and does, as values with sane defaults.
//!
//! The same tables stand in a scenario file and in the Rust interface, so that a fault found
//! with one can be repeated with the other. Unknown keys are errors. The defaults are the
//! plainest device of the field: serials in the search, 30 rows a page, one arming slot,
//! history replayed at four events a second, a lock after five wrong logins. Nothing here
//! does anything; how each oddity is carried out stands beside the code that does it.

use event::Zone;
use serde::{Deserialize, Serialize};

use crate::scenario::ScenarioError;

/// A device that is dialled: it listens, and somebody asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceOptions {
    /// The whole serial, as `deviceInfo` tells it.
    pub serial: String,
    /// The port on the loopback address; 0: any free one.
    pub port: u16,
    /// The only account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The IANA zone of the device's clock.
    pub zone: String,
    /// What looks random follows from this number.
    pub seed: u64,
    /// Connections at the same time, 1 to 1,000; one more is answered 403 `invalidOperation`.
    pub connections: u32,
    /// The event log.
    pub log: LogOptions,
    /// How it lets somebody in.
    pub login: LoginOptions,
    /// The event search.
    pub search: SearchOptions,
    /// The alert stream.
    pub stream: StreamOptions,
    /// The settings of the listening host.
    pub hosts: HostOptions,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            serial: "HIK0000001".to_owned(),
            port: 0,
            user: "satellite".to_owned(),
            password: "Terminal-2026".to_owned(),
            zone: "America/Mexico_City".to_owned(),
            seed: 1,
            connections: 16,
            log: LogOptions::default(),
            login: LoginOptions::default(),
            search: SearchOptions::default(),
            stream: StreamOptions::default(),
            hosts: HostOptions::default(),
        }
    }
}

/// A device that posts: nobody can dial it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostOptions {
    /// The whole serial.
    pub serial: String,
    /// Where it posts: `http://host:port/hikvision/<token>`.
    pub url: String,
    /// The IANA zone of the device's clock.
    pub zone: String,
    /// What looks random follows from this number.
    pub seed: u64,
    /// The event log from which it posts.
    pub log: LogOptions,
    /// How it posts.
    pub post: PostHabits,
}

impl Default for PostOptions {
    fn default() -> Self {
        Self {
            serial: "HIP0000001".to_owned(),
            url: "http://127.0.0.1:8081/hikvision/token".to_owned(),
            zone: "America/Mexico_City".to_owned(),
            seed: 1,
            log: LogOptions::default(),
            post: PostHabits::default(),
        }
    }
}

/// The event log: a ring in which every major shares one chain of serials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOptions {
    /// Rows held at most.
    pub ring: u64,
    /// Rows thrown away together when the ring is full; absent: a fifth of it, as 30,000 of
    /// 150,000 in the field.
    pub evict: Option<u64>,
    /// Rows that stand in the log already; computed, so that they cost no memory.
    pub history: u64,
    /// Seconds between two people in the history.
    pub history_spacing_s: u64,
    /// True: the history goes into the ledger too, because the server owes it.
    pub history_owed: bool,
    /// The serial of the oldest row of the history, at least 1.
    pub first_serial: u64,
    /// People who come, 1 to 1,000,000.
    pub people: u64,
    /// Door opened (5/21) and locked (5/22) follow each person.
    pub door_rows: bool,
    /// Remote logins (3/112) and logouts (3/113) go into the log.
    pub logins: bool,
    /// Remote arming (3/121) and disarming (3/122) go into the log.
    pub arming: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            ring: 150_000,
            evict: None,
            history: 0,
            history_spacing_s: 20,
            history_owed: false,
            first_serial: 1,
            people: 1_000,
            door_rows: true,
            logins: false,
            arming: false,
        }
    }
}

/// Which digests a device offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// MD5 only, named in the challenge.
    #[default]
    Md5,
    /// MD5 only, and the challenge does not name it.
    Unnamed,
    /// SHA-256 only.
    Sha256,
    /// Two challenges, SHA-256 first.
    Both,
}

/// How a device lets somebody in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginOptions {
    /// The digests offered.
    pub algorithm: Algorithm,
    /// A challenge for Basic stands before the ones for Digest. A Basic login is refused.
    pub offer_basic: bool,
    /// A nonce serves one request; used again it is answered 401 without any challenge.
    pub nonce_once: bool,
    /// Seconds after which a nonce is stale.
    pub nonce_life_s: u64,
    /// Every challenge closes its connection.
    pub close_on_challenge: bool,
    /// Wrong logins from one address that lock it, at least 1.
    pub failures: u32,
    /// Seconds for which it stays locked. Each login meanwhile begins them anew.
    pub lock_s: u64,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Md5,
            offer_basic: false,
            nonce_once: false,
            nonce_life_s: 300,
            close_on_challenge: true,
            failures: 5,
            lock_s: 1_800,
        }
    }
}

/// What a device makes of `beginSerialNo` and `endSerialNo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SerialRange {
    /// Searches by it.
    #[default]
    Works,
    /// Ignores it without a word and answers everything.
    Ignored,
    /// Refuses it with `badParameters`.
    Refused,
}

/// The event search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchOptions {
    /// False: `notSupport` for the search and its capabilities.
    pub supported: bool,
    /// False: rows carry no serial, and the capabilities name no range of serials.
    pub serials: bool,
    /// What becomes of a range of serials in the question.
    pub serial_range: SerialRange,
    /// Rows of one page; a question for more is clamped without a word.
    pub page_cap: u64,
    /// The highest position; absent: 300,000 with serials and 1,000 without. A question
    /// beyond it is answered `NO MATCH`.
    pub position_cap: Option<u64>,
    /// Rows of a page come in no order.
    pub shuffle: bool,
    /// Milliseconds that each page takes.
    pub page_ms: u64,
    /// A question with times in another offset than the device's finds nothing.
    pub own_offset_only: bool,
    /// Times in rows are `2026-11-21 09:00:00`, without offset.
    pub plain_times: bool,
    /// Counts are written as strings.
    pub text_numbers: bool,
    /// `minor` 0 is refused with `invalidOperation` unless `major` is 0 too.
    pub refuse_minor_zero: bool,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            supported: true,
            serials: true,
            serial_range: SerialRange::Works,
            page_cap: 30,
            position_cap: None,
            shuffle: false,
            page_ms: 0,
            own_offset_only: false,
            plain_times: false,
            text_numbers: false,
            refuse_minor_zero: false,
        }
    }
}

/// The head of the stream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamHead {
    /// HTTP/1.1, `multipart/mixed; boundary=…`, no length.
    #[default]
    Mixed,
    /// HTTP/1.0 with `MIME-Version` and no blank before `boundary`.
    Http10,
    /// HTTP/1.1 with `Connection: close` and `multipart/form-data`.
    FormData,
    /// Chunked; chunks end in the middle of parts.
    Chunked,
    /// A `Content-Length` that is exactly the first part's, and then everything else.
    LyingLength,
}

/// How the boundary in the header relates to the one between parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// The same.
    #[default]
    Plain,
    /// The same, in quotes.
    Quoted,
    /// In lower case in the header, in mixed case between parts.
    OtherCase,
    /// With the two dashes already in the header.
    Dashed,
    /// Not named in the header.
    Undeclared,
}

/// The `Content-Length` of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartLength {
    /// As long as the body.
    #[default]
    Exact,
    /// Missing.
    Absent,
    /// Now too large, now too small.
    Wrong,
}

/// In which words events are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Words {
    /// JSON, TAB-indented.
    #[default]
    Json,
    /// JSON, once more inside `EventNotificationAlert`.
    Nested,
    /// XML.
    Xml,
}

/// What comes when nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heartbeat {
    /// An inactive `videoloss`.
    #[default]
    Videoloss,
    /// An active `heartBeat`.
    HeartBeat,
    /// Nothing.
    None,
}

/// The alert stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// The head of the answer.
    pub head: StreamHead,
    /// The boundary in the header.
    pub boundary: Boundary,
    /// The `Content-Length` of parts.
    pub part_length: PartLength,
    /// The words of events.
    pub words: Words,
    /// Header lines end in LF instead of CR LF.
    pub line_feeds: bool,
    /// The delimiter follows the body without a line end of its own.
    pub glued: bool,
    /// The kind of heartbeat.
    pub heartbeat: Heartbeat,
    /// Milliseconds between heartbeats.
    pub heartbeat_ms: u64,
    /// False: what happened while nobody was connected is never streamed.
    pub replay: bool,
    /// Stored events replayed each second, above 0.
    pub replay_per_s: f64,
    /// Events told again after each connect.
    pub redeliver: u64,
    /// False: events on the stream carry no serial.
    pub serials: bool,
    /// Bytes of the picture after each person's event; 0: none.
    pub picture_bytes: usize,
    /// Streams at the same time, at least 1; one more gets `deployExceedMax`.
    pub slots: usize,
    /// Milliseconds for which a slot stays taken after its connection has gone.
    pub slot_lingers_ms: u64,
    /// Seconds after which the device ends the stream; absent: never.
    pub close_after_s: Option<u64>,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            head: StreamHead::Mixed,
            boundary: Boundary::Plain,
            part_length: PartLength::Exact,
            words: Words::Json,
            line_feeds: false,
            glued: false,
            heartbeat: Heartbeat::Videoloss,
            heartbeat_ms: 10_000,
            replay: true,
            replay_per_s: 4.0,
            redeliver: 0,
            serials: true,
            picture_bytes: 0,
            slots: 1,
            slot_lingers_ms: 0,
            close_after_s: None,
        }
    }
}

/// The settings of the listening host, `httpHosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostOptions {
    /// False: what is written as `url` is accepted and forgotten.
    pub url_persisted: bool,
    /// False: a host by name is refused with `badXmlContent`.
    pub hostname_accepted: bool,
    /// False: POST and DELETE are refused with `methodNotAllowed`.
    pub post_accepted: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            url_persisted: true,
            hostname_accepted: true,
            post_accepted: false,
        }
    }
}

/// The shape of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostShape {
    /// Multipart with one JSON part `event_log` that has no `Content-Type`.
    #[default]
    EventLog,
    /// Multipart with a JSON part `AccessControllerEvent`, and a picture where there is one.
    AccessController,
    /// A camera: multipart with an XML part and JPEG parts; events carry no serial.
    CameraXml,
    /// Bare XML.
    BareXml,
    /// Bare JSON.
    BareJson,
    /// Bare JSON as `text/plain`, in another wrapping.
    WrongType,
}

/// How a device posts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PostHabits {
    /// The shape.
    pub shape: PostShape,
    /// Bytes of the picture that goes with a person's event; 0: none.
    pub picture_bytes: usize,
    /// The boundary stands in another case in the header.
    pub boundary_other_case: bool,
    /// True: `currentEvent` is told, `false` for what was sent before or waited; false: the
    /// field is missing, and nothing tells old from new.
    pub current_event: bool,
    /// Milliseconds before a refused or failed post is sent again.
    pub retry_ms: u64,
    /// Milliseconds between heartbeats; 0: none.
    pub heartbeat_ms: u64,
    /// Seconds that the device waits for an answer.
    pub timeout_s: u64,
    /// One connection for all posts; otherwise one for each.
    pub keep_alive: bool,
    /// Share of delivered posts after which an older one is sent once more, 0.0 to 1.0.
    pub replay: f64,
    /// Share of events that are never posted, 0.0 to 1.0: they leave a gap in the serials.
    pub lose: f64,
}

impl Default for PostHabits {
    fn default() -> Self {
        Self {
            shape: PostShape::EventLog,
            picture_bytes: 0,
            boundary_other_case: false,
            current_event: true,
            retry_ms: 5_000,
            heartbeat_ms: 30_000,
            timeout_s: 30,
            keep_alive: true,
            replay: 0.0,
            lose: 0.0,
        }
    }
}

/// So many devices of one kind: a `[[hikvision]]` table of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HikvisionGroup {
    /// Devices that listen and are dialled.
    pub dialled: u32,
    /// Devices that post; each needs its place in `urls`.
    pub posting: u32,
    /// What serials start with. The dialled ones come first.
    pub serial_prefix: String,
    /// The number in the first serial.
    pub serial_start: u64,
    /// The port of the first dialled device, the others follow; 0: any free ones.
    pub first_port: u16,
    /// The account of dialled devices.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Where the posting devices post, one URL each.
    pub urls: Vec<String>,
    /// Connections at the same time to one dialled device.
    pub connections: u32,
    /// The event logs.
    pub log: LogOptions,
    /// How dialled devices let somebody in.
    pub login: LoginOptions,
    /// Their search.
    pub search: SearchOptions,
    /// Their stream.
    pub stream: StreamOptions,
    /// Their settings of the listening host.
    pub hosts: HostOptions,
    /// How the posting devices post.
    pub post: PostHabits,
}

impl Default for HikvisionGroup {
    fn default() -> Self {
        let device = DeviceOptions::default();
        Self {
            dialled: 0,
            posting: 0,
            serial_prefix: "HIK".to_owned(),
            serial_start: 1,
            first_port: 0,
            user: device.user,
            password: device.password,
            urls: Vec::new(),
            connections: device.connections,
            log: device.log,
            login: device.login,
            search: device.search,
            stream: device.stream,
            hosts: device.hosts,
            post: PostHabits::default(),
        }
    }
}

impl HikvisionGroup {
    /// The serial of the device in that place of the group, dialled ones first.
    #[must_use]
    pub fn serial(&self, place: u32) -> String {
        let number = self.serial_start.saturating_add(u64::from(place));
        format!("{}{number:07}", self.serial_prefix)
    }

    /// Devices of the group.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.dialled.saturating_add(self.posting)
    }

    pub(crate) fn device(&self, place: u32, zone: &str, seed: u64) -> DeviceOptions {
        let port = match self.first_port {
            0 => 0,
            first => first.saturating_add(u16::try_from(place).unwrap_or(u16::MAX)),
        };
        DeviceOptions {
            serial: self.serial(place),
            port,
            user: self.user.clone(),
            password: self.password.clone(),
            zone: zone.to_owned(),
            seed,
            connections: self.connections,
            log: self.log.clone(),
            login: self.login.clone(),
            search: self.search.clone(),
            stream: self.stream.clone(),
            hosts: self.hosts.clone(),
        }
    }

    pub(crate) fn poster(&self, place: u32, zone: &str, seed: u64) -> PostOptions {
        let at = usize::try_from(place).unwrap_or(usize::MAX);
        PostOptions {
            serial: self.serial(self.dialled.saturating_add(place)),
            url: self.urls.get(at).cloned().unwrap_or_default(),
            zone: zone.to_owned(),
            seed,
            log: self.log.clone(),
            post: self.post.clone(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        need(
            self.devices() <= 10_000,
            "hikvision: at most 10000 devices in a group",
        )?;
        let urls = u32::try_from(self.urls.len()).unwrap_or(u32::MAX);
        need(
            urls >= self.posting,
            "hikvision.urls: each posting device needs one",
        )?;
        let last = u32::from(self.first_port) + self.dialled;
        need(
            last <= 65_536,
            "hikvision.first_port: the ports go beyond 65535",
        )?;
        self.device(0, "UTC", 1).check()?;
        for place in 0..self.posting {
            self.poster(place, "UTC", 1).check()?;
        }
        self.post.check()
    }
}

fn need(good: bool, what: &str) -> Result<(), ScenarioError> {
    if good {
        Ok(())
    } else {
        Err(ScenarioError::new(what))
    }
}

fn plain_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=48).contains(&name.len()) && name.bytes().all(plain)
}

impl DeviceOptions {
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        need(
            plain_name(&self.serial),
            "hikvision.serial_prefix: 1 to 48 of A-Z a-z 0-9 - _",
        )?;
        let plain = |text: &str| !text.is_empty() && !text.contains(['"', ':', '\\', '\r', '\n']);
        need(
            plain(&self.user) && !self.password.is_empty(),
            "hikvision.user: user and password must not be empty, nor the user hold \" : \\",
        )?;
        need(
            (1..=1_000).contains(&self.connections),
            "hikvision.connections: must be 1 to 1000",
        )?;
        let named = Zone::named(&self.zone).is_ok();
        need(named, "zone: is not a zone of the IANA table")?;
        self.log.check()?;
        need(
            self.login.failures >= 1,
            "hikvision.login.failures: must be at least 1",
        )?;
        need(
            (1..=1_000).contains(&self.search.page_cap),
            "hikvision.search.page_cap: must be 1 to 1000",
        )?;
        let stream = &self.stream;
        need(
            stream.replay_per_s > 0.0 && stream.replay_per_s <= 100_000.0,
            "hikvision.stream.replay_per_s: must be above 0, to 100000",
        )?;
        need(
            (10..=86_400_000).contains(&stream.heartbeat_ms),
            "hikvision.stream.heartbeat_ms: must be 10 to 86400000",
        )?;
        need(
            stream.slots >= 1,
            "hikvision.stream.slots: must be at least 1",
        )?;
        need(
            stream.picture_bytes <= 4 << 20,
            "hikvision.stream.picture_bytes: at most 4 MiB",
        )
    }
}

impl PostOptions {
    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        need(
            plain_name(&self.serial),
            "hikvision.serial_prefix: 1 to 48 of A-Z a-z 0-9 - _",
        )?;
        let parsed = self.url.parse::<crate::Target>();
        parsed.map_err(|why| ScenarioError::new(format!("hikvision.urls: {why}")))?;
        let named = Zone::named(&self.zone).is_ok();
        need(named, "zone: is not a zone of the IANA table")?;
        self.log.check()?;
        self.post.check()
    }
}

impl LogOptions {
    fn check(&self) -> Result<(), ScenarioError> {
        need(
            (5..=10_000_000).contains(&self.ring),
            "hikvision.log.ring: must be 5 to 10000000",
        )?;
        need(
            self.evict.is_none_or(|n| (1..=self.ring).contains(&n)),
            "hikvision.log.evict: must be 1 to ring",
        )?;
        need(
            self.history <= self.ring,
            "hikvision.log.history: more rows than the ring holds",
        )?;
        let serials = (1..=2_000_000_000).contains(&self.first_serial);
        need(
            serials,
            "hikvision.log.first_serial: must be 1 to 2000000000",
        )?;
        let reach = self.history.saturating_mul(self.history_spacing_s);
        need(
            self.history_spacing_s >= 1 && reach < 20 * 366 * 86_400,
            "hikvision.log.history_spacing_s: must be at least 1 and reach under 20 years back",
        )?;
        need(
            (1..=1_000_000).contains(&self.people),
            "hikvision.log.people: must be 1 to 1000000",
        )
    }
}

impl PostHabits {
    fn check(&self) -> Result<(), ScenarioError> {
        let shares = (0.0..=1.0).contains(&self.replay) && (0.0..=1.0).contains(&self.lose);
        need(shares, "hikvision.post: replay and lose must be 0.0 to 1.0")?;
        need(
            (1..=3_600).contains(&self.timeout_s),
            "hikvision.post.timeout_s: must be 1 to 3600",
        )?;
        need(
            self.picture_bytes <= 4 << 20,
            "hikvision.post.picture_bytes: at most 4 MiB",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_wrong_values_are_refused_by_their_key() {
        DeviceOptions::default().check().unwrap();
        PostOptions::default().check().unwrap();
        HikvisionGroup::default().check().unwrap();
        let refused = |change: fn(&mut HikvisionGroup), key: &str| {
            let mut group = HikvisionGroup::default();
            change(&mut group);
            let why = group.check().unwrap_err().to_string();
            assert!(why.contains(key), "{key}: {why}");
        };
        refused(|g| g.posting = 1, "hikvision.urls");
        refused(|g| g.log.history = 150_001, "log.history");
        refused(|g| g.log.ring = 1, "log.ring");
        refused(|g| g.log.evict = Some(0), "log.evict");
        refused(|g| g.stream.replay_per_s = 0.0, "replay_per_s");
        refused(|g| g.stream.slots = 0, "stream.slots");
        refused(|g| g.search.page_cap = 0, "page_cap");
        refused(|g| g.login.failures = 0, "failures");
        refused(|g| g.post.lose = 1.5, "hikvision.post");
        refused(|g| g.serial_prefix = "a b".to_owned(), "serial_prefix");
        refused(|g| g.user = String::new(), "hikvision.user");
    }

    #[test]
    fn a_group_gives_each_device_its_own_serial_and_port() {
        let group = HikvisionGroup {
            dialled: 2,
            posting: 1,
            first_port: 9_000,
            urls: vec!["http://h:1/hikvision/t".to_owned()],
            ..HikvisionGroup::default()
        };
        assert_eq!(group.device(1, "UTC", 1).port, 9_001);
        assert_eq!(group.device(1, "UTC", 1).serial, "HIK0000002");
        let poster = group.poster(0, "UTC", 1);
        assert_eq!(
            (poster.serial.as_str(), poster.url.as_str()),
            ("HIK0000003", "http://h:1/hikvision/t")
        );
    }
}
