//! What a simulated terminal on port 4370 is and does.
//!
//! The defaults are a plain colour terminal: TCP and UDP, records of 40 bytes, user records of
//! 72, a log that is read in windows, real-time events of 32 bytes, one client at a time.

use serde::{Deserialize, Serialize};

use super::lies::Lie;
use crate::scenario::ScenarioError;

/// How one record of the attendance log is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordSize {
    /// 8 bytes: index, verify, time, state.
    #[serde(rename = "8")]
    Eight,
    /// 8 bytes: index, flags, zero, time.
    #[serde(rename = "8-flags")]
    EightFlags,
    /// 16 bytes with the number of the person.
    #[serde(rename = "16")]
    Sixteen,
    /// 40 bytes with the text of the PIN.
    #[serde(rename = "40")]
    Forty,
    /// The same and nine bytes more.
    #[serde(rename = "49")]
    FortyNine,
}

impl RecordSize {
    /// Bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Eight | Self::EightFlags => 8,
            Self::Sixteen => 16,
            Self::Forty => 40,
            Self::FortyNine => 49,
        }
    }
}

/// What a real-time event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Events {
    /// The question for events is refused.
    Refused,
    /// Events of so many bytes: 10, 12, 14, 32, 36, 37 or 52.
    #[serde(untagged)]
    Bytes(u8),
}

/// What stands in the session field of data packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionField {
    /// The number of the piece, from 0 on.
    Pieces,
    /// The session.
    Session,
    /// Always nought.
    Nought,
}

/// What a second client meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondClient {
    /// Its connection is taken and never answered.
    Silence,
    /// Its connection is closed.
    Closed,
}

/// A terminal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PullOptions {
    /// Its serial number; set by its group in a scenario, as the next three are.
    #[serde(skip)]
    pub serial: String,
    /// Its port for TCP and UDP; 0: any free one.
    #[serde(skip)]
    pub port: u16,
    /// The IANA zone of its clock.
    #[serde(skip)]
    pub zone: String,
    /// Everything that looks random follows from this number.
    #[serde(skip)]
    pub seed: u64,
    /// It listens on TCP.
    pub tcp: bool,
    /// It listens on UDP.
    pub udp: bool,
    /// TCP connections are taken and never answered.
    pub silent_tcp: bool,
    /// The communication key; 0: none.
    pub comm_key: u32,
    /// The records of its log.
    pub record: RecordSize,
    /// User records of 28 bytes instead of 72.
    pub small_users: bool,
    /// People enrolled, 1 to 60,000.
    pub people: u16,
    /// Records in the log at the beginning.
    pub history: u32,
    /// Seconds between two of them.
    pub history_spacing_s: u32,
    /// Records that fit; then the oldest goes.
    pub capacity: u32,
    /// PINs in log and events have no leading zeros.
    pub strip_zeros: bool,
    /// Real-time events.
    pub events: Events,
    /// Share of punches of which no event is sent.
    pub event_loss: f64,
    /// All counts and capacities are told as 0.
    pub zero_counts: bool,
    /// Bytes of the answer to the question for counts: 80, 92 or 112.
    pub sizes_bytes: u8,
    /// No reads in windows, as on old firmware: tables come in one stream.
    pub direct_only: bool,
    /// Tables up to so many bytes come at once with the first answer.
    pub inline: u32,
    /// Data packets over TCP carry at most so many bytes of a window; 0: all of it.
    pub tcp_piece: u32,
    /// The session field of data packets.
    pub session_field: SessionField,
    /// Before so many answers (every n-th) comes one to a question that was never asked; 0: never.
    pub stray_every: u32,
    /// Before every answer comes an acknowledgement without data.
    pub empty_first: bool,
    /// TCP writes are cut into pieces at random places.
    pub split: bool,
    /// Share of datagrams that are lost, both ways.
    pub loss: f64,
    /// Share of datagrams that change places with the next.
    pub swap: f64,
    /// Packets with a wrong checksum are not answered.
    pub strict_sums: bool,
    /// Milliseconds between the packets of one answer over TCP; 0: all in one write.
    pub packet_ms: u64,
    /// Milliseconds to prepare a table.
    pub prepare_ms: u64,
    /// A second client.
    pub second: SecondClient,
    /// Milliseconds for which the place of a client that left without EXIT stays taken.
    pub lingers_ms: u64,
    /// Firmware that speaks only the encrypted protocol: every CONNECT is answered 6001.
    pub secure: bool,
    /// An access panel: frames of another protocol.
    pub panel: bool,
    /// Seconds that its clock is ahead.
    pub ahead_s: i64,
    /// What it answers wrongly from its log on.
    pub lie: Lie,
}

impl Default for PullOptions {
    fn default() -> Self {
        Self {
            serial: "PUL0000001".to_owned(),
            port: 0,
            zone: "America/Mexico_City".to_owned(),
            seed: 1,
            tcp: true,
            udp: true,
            silent_tcp: false,
            comm_key: 0,
            record: RecordSize::Forty,
            small_users: false,
            people: 60,
            history: 0,
            history_spacing_s: 61,
            capacity: 100_000,
            strip_zeros: false,
            events: Events::Bytes(32),
            event_loss: 0.0,
            zero_counts: false,
            sizes_bytes: 80,
            direct_only: false,
            inline: 1_024,
            tcp_piece: 0,
            session_field: SessionField::Pieces,
            stray_every: 0,
            empty_first: false,
            split: false,
            loss: 0.0,
            swap: 0.0,
            strict_sums: false,
            packet_ms: 0,
            prepare_ms: 0,
            second: SecondClient::Silence,
            lingers_ms: 0,
            secure: false,
            panel: false,
            ahead_s: 0,
            lie: Lie::None,
        }
    }
}

impl PullOptions {
    /// Refuses values outside their ranges and what no firmware could be.
    ///
    /// # Errors
    /// The first key found wrong, with the reason.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let need =
            |good: bool, what: &str| good.then_some(()).ok_or_else(|| ScenarioError::new(what));
        let share = |share: f64| (0.0..=1.0).contains(&share);
        need(
            (1..=60_000).contains(&self.people),
            "pull.people: must be 1 to 60000",
        )?;
        need(
            self.tcp || self.udp,
            "pull.tcp: without TCP and UDP nobody can dial it",
        )?;
        need(
            share(self.loss) && share(self.swap) && share(self.event_loss),
            "pull: shares go from 0.0 to 1.0",
        )?;
        let events = [10, 12, 14, 32, 36, 37, 52].map(Events::Bytes);
        need(
            self.events == Events::Refused || events.contains(&self.events),
            "pull.events: must be refused, 10, 12, 14, 32, 36, 37 or 52",
        )?;
        need(
            [80, 92, 112].contains(&self.sizes_bytes),
            "pull.sizes_bytes: must be 80, 92 or 112",
        )?;
        need(
            self.history <= self.capacity && self.capacity > 0,
            "pull.history: more than capacity",
        )?;
        need(
            self.history_spacing_s > 0,
            "pull.history_spacing_s: must be at least 1",
        )
    }
}

/// Terminals of one kind in a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PullGroup {
    /// How many.
    pub count: u32,
    /// What serials start with.
    pub serial_prefix: String,
    /// The number in the first serial.
    pub serial_start: u64,
    /// The port of the first, the others follow; 0: any free ones.
    pub first_port: u16,
    /// What each is. Its serial, port, zone and seed are set by the group.
    pub terminal: PullOptions,
}

impl Default for PullGroup {
    fn default() -> Self {
        Self {
            count: 0,
            serial_prefix: "PUL".to_owned(),
            serial_start: 1,
            first_port: 0,
            terminal: PullOptions::default(),
        }
    }
}

impl PullGroup {
    /// The serial of the terminal in that place of the group.
    #[must_use]
    pub fn serial(&self, place: u32) -> String {
        let number = self.serial_start.saturating_add(u64::from(place));
        format!("{}{number:07}", self.serial_prefix)
    }

    pub(crate) fn terminal(&self, place: u32, zone: &str, seed: u64) -> PullOptions {
        let port = match self.first_port {
            0 => 0,
            first => first.saturating_add(u16::try_from(place).unwrap_or(u16::MAX)),
        };
        PullOptions {
            serial: self.serial(place),
            port,
            zone: zone.to_owned(),
            seed,
            ..self.terminal.clone()
        }
    }

    pub(crate) fn check(&self) -> Result<(), ScenarioError> {
        let ports = u32::from(self.first_port) + self.count;
        if self.count > 10_000 || ports > 65_536 {
            let what = "pull.count: at most 10000, and no port beyond 65535";
            return Err(ScenarioError::new(what));
        }
        self.terminal.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_from_its_table_and_nonsense_is_told_with_its_key() {
        let text = "count = 2\n[terminal]\nrecord = \"8-flags\"\nevents = 10\nloss = 0.05\n";
        let group: PullGroup = toml::from_str(text).unwrap();
        group.check().unwrap();
        assert_eq!(group.terminal.record, RecordSize::EightFlags);
        assert_eq!(group.terminal.events, Events::Bytes(10));
        let refused: PullGroup = toml::from_str("[terminal]\nevents = \"refused\"").unwrap();
        assert_eq!(refused.terminal.events, Events::Refused);
        for (text, key) in [
            ("[terminal]\nevents = 11", "events"),
            ("[terminal]\nloss = 2.0", "shares"),
            ("[terminal]\nhistory = 200000", "history"),
            ("count = 70000", "count"),
        ] {
            let group: PullGroup = toml::from_str(text).unwrap();
            let why = group.check().unwrap_err().to_string();
            assert!(why.contains(key), "{text}: {why}");
        }
        assert!(toml::from_str::<PullGroup>("[terminal]\nrecrod = \"8\"").is_err());
    }
}
