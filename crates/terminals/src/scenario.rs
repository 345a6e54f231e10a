//! What a fleet does: one value that says everything, readable from a TOML file.
//!
//! Every key has a default and unknown keys are errors, so a file holds only what differs and
//! a typing mistake cannot pass for a gentle run. [`Scenario::check`] refuses what would make
//! two different punches look the same or would never end. Equal scenarios with equal seeds
//! and an explicit `start` make equal records. Nothing here sends anything.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use event::{Serial, WallTime, Zone};
use serde::{Deserialize, Serialize};

use crate::access::AccessGroup;
use crate::hikvision::HikvisionGroup;
use crate::pull::PullGroup;
use crate::random;
use crate::target::Target;

/// A commented scenario file that is good for a first run; `terminals scenario` prints it.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The purpose number of the draw that makes a terminal share its neighbour's serial.
const DRAW_SHARED_SERIAL: u64 = 1;

/// A fleet of simulated terminals and everything it will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The server.
    pub target: Target,
    /// Everything that looks random follows from this number.
    pub seed: u64,
    /// Push terminals, 1 to 10,000; 0 only beside devices of another family.
    pub count: u32,
    /// What serials start with: 1 to 20 of `A-Z a-z 0-9 - _`.
    pub serial_prefix: String,
    /// The number in the first terminal's serial.
    pub serial_start: u64,
    /// The IANA zone of the terminals' wall clocks.
    pub zone: String,
    /// The wall time at which the run begins, `YYYY-MM-DD HH:MM:SS`; absent: now in `zone`.
    pub start: Option<String>,
    /// People who punch at each terminal, 2 to 1,000,000.
    pub people: u32,
    /// Seconds during which new records are made; absent: until the fleet is told to end.
    pub duration_s: Option<u64>,
    /// Records of each terminal in all, backlog included; absent: no limit.
    pub records: Option<u64>,
    /// New records per minute and terminal, 0 to 60,000.
    pub rate: f64,
    /// Records that each terminal holds already when the run begins.
    pub backlog: u64,
    /// Seconds between two records of the backlog, at least 1.
    pub backlog_spacing_s: u64,
    /// Records in one upload, 1 to 5,000; absent: adaptive as old firmware does it (30, 10 more
    /// after each success up to 150, 30 fewer after a failure, never under 30).
    pub batch: Option<u32>,
    /// Seconds between two polls, 1 to 86,400; absent: the server's `Delay`.
    pub poll_s: Option<u64>,
    /// Milliseconds before a refused or failed upload is tried again; absent: the server's
    /// `ErrorDelay`. Also the ceiling of the three quick tries (300, 600, 900 ms).
    pub error_delay_ms: Option<u64>,
    /// Seconds that a terminal waits for a whole exchange before it gives up, 1 to 3,600.
    pub timeout_s: u64,
    /// Milliseconds over which the terminals' first contacts are spread.
    pub ramp_ms: u64,
    /// Peaks on top of the steady rate, such as the beginning of a shift.
    #[serde(rename = "burst")]
    pub bursts: Vec<Burst>,
    /// What goes wrong on purpose, and how often.
    pub faults: Faults,
    /// Which HTTP and text habits the terminals have, as shares of the fleet.
    pub habits: HabitShares,
    /// Hikvision devices, in groups of one kind. They share seed, zone, start, duration, rate,
    /// limit and bursts with the push terminals.
    pub hikvision: Vec<HikvisionGroup>,
    /// ZKTeco terminals that are dialled on port 4370, in groups of one kind. They share the
    /// same with the push terminals.
    pub pull: Vec<PullGroup>,
    /// ZKTeco terminals in access-control mode, in groups of one kind.
    pub access: Vec<AccessGroup>,
}

/// A peak: so many punches at each terminal within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Seconds after the beginning of the run.
    pub at_s: u64,
    /// Records of each terminal.
    pub punches: u64,
    /// Seconds over which they come; 0: all at once.
    pub over_s: u64,
}

/// Faults done on purpose. Every share goes from 0.0 (never) to 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Share of every second record that repeats the line before it, in the same body.
    pub twins: f64,
    /// Share of every second record that has person and second of the one before it, but
    /// another status.
    pub same_second: f64,
    /// Share of accepted uploads after which acknowledged records are sent once more, in
    /// another grouping and order and under an old stamp.
    pub replay: f64,
    /// Share of uploads whose connection is dropped after sending, before the reply is read.
    pub ack_lost: f64,
    /// Share of uploads whose body ends half-way, the connection closed.
    pub half_body: f64,
    /// Share of uploads whose body (one record) comes byte by byte.
    pub slow_body: f64,
    /// Milliseconds between two bytes of a slow body, 1 to 60,000.
    pub slow_byte_ms: u64,
    /// Share of terminals whose clock falls back to 2000-01-01 twice, for 12 records each.
    pub clock_reset: f64,
    /// Share of the terminals with an odd place in the fleet that use the serial of the
    /// terminal before them.
    pub duplicate_serial: f64,
}

/// Habits of old and new firmware, as shares of the fleet from 0.0 to 1.0. The default is the
/// plainest client: HTTP/1.1, one connection kept open, seven fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HabitShares {
    /// One connection for all requests; the others open one for each request, ask for
    /// `Connection: close` and read until the server closes.
    pub keep_alive: f64,
    /// HTTP/1.0 in the request line.
    pub http10: f64,
    /// Header names in lower case.
    pub lower_case_headers: f64,
    /// Header names in upper case.
    pub upper_case_headers: f64,
    /// `.aspx` after the last word of the path.
    pub aspx: f64,
    /// `/iclock/iclock/…`, as after typing `/iclock` into the server address.
    pub doubled_path: f64,
    /// Head and body in two writes with a pause of 20 ms between them.
    pub split_body: f64,
    /// Raw blanks in the `INFO` value of the first poll, which makes the request line invalid.
    pub raw_space_info: f64,
    /// Records ended by CR LF.
    pub crlf: f64,
    /// One NUL after the last record.
    pub trailing_nul: f64,
    /// The stamp of the last record as packed seconds in the upload's URL; the others always
    /// send 9999.
    pub packed_stamp: f64,
    /// Numbers of fields that attendance lines have, of 4, 5, 7, 8, 10, 11; each terminal has
    /// one of them.
    pub fields: Vec<u8>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            target: Target::default(),
            seed: 1,
            count: 10,
            serial_prefix: "SIM".to_owned(),
            serial_start: 1,
            zone: "America/Mexico_City".to_owned(),
            start: None,
            people: 1_000,
            duration_s: None,
            records: None,
            rate: 0.0,
            backlog: 0,
            backlog_spacing_s: 3,
            batch: None,
            poll_s: None,
            error_delay_ms: None,
            timeout_s: 60,
            ramp_ms: 0,
            bursts: Vec::new(),
            faults: Faults::default(),
            habits: HabitShares::default(),
            hikvision: Vec::new(),
            pull: Vec::new(),
            access: Vec::new(),
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            twins: 0.0,
            same_second: 0.0,
            replay: 0.0,
            ack_lost: 0.0,
            half_body: 0.0,
            slow_body: 0.0,
            slow_byte_ms: 5,
            clock_reset: 0.0,
            duplicate_serial: 0.0,
        }
    }
}

impl Faults {
    /// A little of everything but shared serials, for a run that should meet each fault.
    pub fn mixed() -> Self {
        Self {
            twins: 0.02,
            same_second: 0.02,
            replay: 0.05,
            ack_lost: 0.05,
            half_body: 0.03,
            slow_body: 0.01,
            clock_reset: 0.2,
            ..Self::default()
        }
    }
}

impl Default for HabitShares {
    fn default() -> Self {
        Self {
            keep_alive: 1.0,
            http10: 0.0,
            lower_case_headers: 0.0,
            upper_case_headers: 0.0,
            aspx: 0.0,
            doubled_path: 0.0,
            split_body: 0.0,
            raw_space_info: 0.0,
            crlf: 0.0,
            trailing_nul: 0.0,
            packed_stamp: 0.0,
            fields: vec![7],
        }
    }
}

impl HabitShares {
    /// Every habit somewhere in the fleet.
    pub fn mixed() -> Self {
        Self {
            keep_alive: 0.6,
            http10: 0.25,
            lower_case_headers: 0.1,
            upper_case_headers: 0.1,
            aspx: 0.1,
            doubled_path: 0.1,
            split_body: 0.2,
            raw_space_info: 0.1,
            crlf: 0.2,
            trailing_nul: 0.15,
            packed_stamp: 0.4,
            fields: vec![4, 5, 7, 7, 8, 10, 11],
        }
    }
}

/// Why a scenario cannot be run: the key and what is wrong with it, or the file's own words
/// with line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError(String);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

impl ScenarioError {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key, or does not pass
    /// [`Scenario::check`].
    pub fn from_file(path: &Path) -> Result<Self, ScenarioError> {
        let told = |why: &dyn fmt::Display| ScenarioError(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|why| told(&why))?;
        Self::from_toml(&text).map_err(|why| told(&why))
    }

    /// Reads and checks the text of a scenario file.
    ///
    /// # Errors
    /// As for [`Scenario::from_file`].
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text).map_err(|why| ScenarioError(why.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Refuses values outside their documented ranges, and combinations in which two different
    /// punches of a terminal would fall on one person and second.
    ///
    /// # Errors
    /// The first key found wrong, with the reason.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let need = |good: bool, what: &str| {
            if good {
                Ok(())
            } else {
                Err(ScenarioError(what.to_owned()))
            }
        };
        let alone = self.hikvision.iter().all(|group| group.devices() == 0)
            && self.pull.iter().all(|group| group.count == 0)
            && self.access.is_empty();
        need(
            (1..=10_000).contains(&self.count) || self.count == 0 && !alone,
            "count: must be 1 to 10000",
        )?;
        need(
            (2..=1_000_000).contains(&self.people),
            "people: must be 2 to 1000000",
        )?;
        need(
            (0.0..=60_000.0).contains(&self.rate),
            "rate: must be 0 to 60000 a minute",
        )?;
        need(
            self.backlog_spacing_s >= 1,
            "backlog_spacing_s: must be at least 1",
        )?;
        let reach = self.backlog.checked_mul(self.backlog_spacing_s);
        let twenty_years = 20 * 366 * 86_400;
        let short = reach.is_some_and(|seconds| seconds < twenty_years);
        need(
            short,
            "backlog: with backlog_spacing_s it reaches more than 20 years back",
        )?;
        let days = self.duration_s.unwrap_or(0) / 86_400;
        need(days < 400, "duration_s: must be under 400 days")?;
        let late = self
            .bursts
            .iter()
            .any(|b| b.at_s.max(b.over_s) >= 400 * 86_400);
        need(!late, "burst: at_s and over_s must be under 400 days")?;
        need(
            self.batch.is_none_or(|n| (1..=5_000).contains(&n)),
            "batch: must be 1 to 5000",
        )?;
        let poll = self.poll_s.is_none_or(|s| (1..=86_400).contains(&s));
        need(poll, "poll_s: must be 1 to 86400")?;
        need(
            (1..=3_600).contains(&self.timeout_s),
            "timeout_s: must be 1 to 3600",
        )?;
        need(self.ramp_ms <= 86_400_000, "ramp_ms: must be under a day")?;
        Serial::new(&self.serial(0))
            .map_err(|why| ScenarioError(format!("serial_prefix: the serial {why}")))?;
        need(
            self.serial_prefix.len() <= 20,
            "serial_prefix: is longer than 20 characters",
        )?;
        self.zone()?;
        self.start_wall()?;
        need(
            self.most_in_a_second() < u64::from(self.people),
            "people: fewer than the punches that fall into one second; raise it",
        )?;
        self.check_hikvision()?;
        self.check_pull()?;
        self.access.iter().try_for_each(AccessGroup::check)?;
        self.check_shares()
    }

    fn check_hikvision(&self) -> Result<(), ScenarioError> {
        let mut serials = HashSet::new();
        for group in &self.hikvision {
            group.check()?;
            for place in 0..group.devices() {
                let serial = group.serial(place);
                if !serials.insert(serial.clone()) {
                    return Err(ScenarioError(format!(
                        "hikvision.serial_prefix: two devices are {serial}; give each group its own"
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_pull(&self) -> Result<(), ScenarioError> {
        let mut serials = HashSet::new();
        for group in &self.pull {
            group.check()?;
            for place in 0..group.count {
                let serial = group.serial(place);
                if !serials.insert(serial.clone()) {
                    return Err(ScenarioError(format!(
                        "pull.serial_prefix: two terminals are {serial}; give each group its own"
                    )));
                }
            }
        }
        Ok(())
    }

    fn check_shares(&self) -> Result<(), ScenarioError> {
        let (f, h) = (&self.faults, &self.habits);
        let shares = [
            ("faults.twins", f.twins),
            ("faults.same_second", f.same_second),
            (
                "faults.twins plus faults.same_second",
                f.twins + f.same_second,
            ),
            ("faults.replay", f.replay),
            ("faults.ack_lost", f.ack_lost),
            ("faults.half_body", f.half_body),
            ("faults.slow_body", f.slow_body),
            ("faults.clock_reset", f.clock_reset),
            ("faults.duplicate_serial", f.duplicate_serial),
            ("habits.keep_alive", h.keep_alive),
            ("habits.http10", h.http10),
            ("habits.lower_case_headers", h.lower_case_headers),
            ("habits.upper_case_headers", h.upper_case_headers),
            ("habits.aspx", h.aspx),
            ("habits.doubled_path", h.doubled_path),
            ("habits.split_body", h.split_body),
            ("habits.raw_space_info", h.raw_space_info),
            ("habits.crlf", h.crlf),
            ("habits.trailing_nul", h.trailing_nul),
            ("habits.packed_stamp", h.packed_stamp),
        ];
        for (key, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(ScenarioError(format!(
                    "{key}: must be 0.0 to 1.0, is {share}"
                )));
            }
        }
        let fail = |what: &str| Err(ScenarioError(what.to_owned()));
        if f.ack_lost + f.half_body + f.slow_body > 0.95 {
            return fail("faults: ack_lost, half_body and slow_body together exceed 0.95");
        }
        if !(1..=60_000).contains(&f.slow_byte_ms) {
            return fail("faults.slow_byte_ms: must be 1 to 60000");
        }
        if h.fields.is_empty() || h.fields.iter().any(|n| ![4, 5, 7, 8, 10, 11].contains(n)) {
            return fail("habits.fields: a list of 4, 5, 7, 8, 10, 11");
        }
        Ok(())
    }

    /// The serial of the terminal in that place (from 0), before serials are shared.
    pub fn serial(&self, place: u32) -> String {
        let number = self.serial_start.saturating_add(u64::from(place));
        format!("{}{number:07}", self.serial_prefix)
    }

    /// All different serials of the fleet, in order: what a server has to know.
    pub fn serials(&self) -> Vec<String> {
        let own = |place: &u32| !self.shares_serial(*place);
        (0..self.count)
            .filter(own)
            .map(|place| self.serial(place))
            .collect()
    }

    /// True when the terminal in that place uses the serial of the one before it.
    pub(crate) fn shares_serial(&self, place: u32) -> bool {
        let drawn = random::draw(self.seed, DRAW_SHARED_SERIAL, u64::from(place));
        place % 2 == 1 && random::hits(self.faults.duplicate_serial, drawn)
    }

    pub(crate) fn zone(&self) -> Result<Zone, ScenarioError> {
        Zone::named(&self.zone).map_err(|why| ScenarioError(format!("zone: {why}")))
    }

    pub(crate) fn start_wall(&self) -> Result<Option<WallTime>, ScenarioError> {
        let Some(text) = &self.start else {
            return Ok(None);
        };
        let wrong = || ScenarioError(format!("start: '{text}' is not YYYY-MM-DD HH:MM:SS"));
        WallTime::parse(text.as_bytes()).ok_or_else(wrong).map(Some)
    }

    /// An upper bound of one terminal's new punches within one second.
    fn most_in_a_second(&self) -> u64 {
        let steady = 1 + per_thousand_minutes(self.rate) / 60_000;
        let peak = |b: &Burst| b.punches.div_ceil(b.over_s.max(1));
        self.bursts
            .iter()
            .map(peak)
            .fold(steady, u64::saturating_add)
    }
}

/// A checked rate as records per 1,000 minutes, so that schedules count in whole numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the rate was checked to be 0 to 60,000, so the product fits"
)]
pub(crate) fn per_thousand_minutes(rate: f64) -> u64 {
    (rate.clamp(0.0, 60_000.0) * 1_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_valid_scenario_and_names_every_key() {
        let scenario = Scenario::from_toml(EXAMPLE).unwrap();
        assert_eq!((scenario.count, scenario.bursts.len()), (20, 1));
        let full = Scenario {
            start: Some("2026-01-01 00:00:00".to_owned()),
            duration_s: Some(1),
            records: Some(1),
            batch: Some(1),
            poll_s: Some(1),
            error_delay_ms: Some(1),
            access: vec![AccessGroup {
                clear_after: Some(2),
                ..AccessGroup::default()
            }],
            hikvision: vec![HikvisionGroup {
                log: crate::hikvision::LogOptions {
                    evict: Some(1),
                    ..Default::default()
                },
                search: crate::hikvision::SearchOptions {
                    position_cap: Some(1),
                    ..Default::default()
                },
                stream: crate::hikvision::StreamOptions {
                    close_after_s: Some(1),
                    ..Default::default()
                },
                ..Default::default()
            }],
            pull: vec![PullGroup::default()],
            ..scenario
        };
        for line in toml::to_string(&full).unwrap().lines() {
            let key = line.split(" = ").next().unwrap();
            let named = EXAMPLE
                .lines()
                .any(|l| l.trim_start_matches("# ").starts_with(key));
            assert!(named, "{key} is missing in example.toml");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let why = Scenario::from_toml("count = 3\nback_log = 4\n")
            .unwrap_err()
            .to_string();
        assert!(why.contains("line 2") && why.contains("back_log"), "{why}");
    }

    #[test]
    fn values_out_of_range_are_refused_by_their_key() {
        for (text, key) in [
            ("count = 0", "count"),
            ("count = 10001", "count"),
            ("rate = -1.0", "rate"),
            ("rate = nan", "rate"),
            ("batch = 0", "batch"),
            ("zone = 'Mars/Base'", "zone"),
            ("start = 'noon'", "start"),
            ("serial_prefix = 'a b'", "serial_prefix"),
            ("target = 'ftp://x'", "target"),
            ("backlog = 10000000000", "backlog"),
            ("people = 10\nrate = 6000.0", "people"),
            ("[faults]\ntwins = 1.5", "faults.twins"),
            ("[faults]\nack_lost = 0.6\nhalf_body = 0.4", "faults"),
            ("[habits]\nfields = [6]", "habits.fields"),
            ("[[access]]\nwithheld = 2.0", "access.withheld"),
            ("[[access]]\ncount = 0", "access.count"),
            ("[[hikvision]]\nposting = 1", "hikvision.urls"),
            ("[[hikvision]]\n[hikvision.strem]", "strem"),
            (
                "[[hikvision]]\ndialled = 2\n[[hikvision]]\ndialled = 1",
                "hikvision.serial_prefix",
            ),
        ] {
            let why = Scenario::from_toml(text).unwrap_err().to_string();
            assert!(why.contains(key), "{text}: {why}");
        }
    }

    #[test]
    fn shared_serials_are_named_once() {
        let mut scenario = Scenario {
            count: 4,
            ..Scenario::default()
        };
        scenario.faults.duplicate_serial = 1.0;
        assert_eq!(scenario.serials(), ["SIM0000001", "SIM0000003"]);
        scenario.faults.duplicate_serial = 0.0;
        assert_eq!(scenario.serials().len(), 4);
    }
}
