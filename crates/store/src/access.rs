//! How an enrolled terminal is reached: where it is dialled, and what it shows when it posts.
//!
//! It stands beside the enrolment in tables of their own, in the registry and in its mirror. A
//! secret is never kept here, only the name of the file that holds it; a token never, only its
//! hash. Neither name nor hash goes into the audit, which nobody can clean.

use std::fmt;

use event::{DeviceId, Text};
use serde_json::json;

use crate::registry::{RegistryError, fits};
use crate::{AnyEngine, Cell, Failure, Row, Value};

/// The hash under which a listening terminal's token is known: BLAKE3 of the token's bytes.
///
/// The token itself stands in the terminal's settings only. It has to be random and at least
/// 16 bytes long, so that nobody finds it by trying.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash of that token, as it stands in a URL.
    pub fn of(token: &str) -> Self {
        Self(*blake3::hash(token.as_bytes()).as_bytes())
    }

    /// Reads exactly 32 bytes, as the databases hold it.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for TokenHash {
    /// Logs have no use for it, and whoever reads them none either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// How a terminal is reached, as far as that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Where it is dialled, `host:port`, at most 255 characters.
    pub address: Option<Text>,
    /// The account on it, at most 64 characters.
    pub user: Option<Text>,
    /// The name of the file with the account's password, at most 255 characters.
    pub secret_file: Option<Text>,
    /// What the token in its posts hashes to.
    pub token_hash: Option<TokenHash>,
    /// Its MAC address, `44:19:b6:00:11:22`. [`enrol`](crate::registry::enrol) takes the other
    /// usual spellings and keeps this one.
    pub mac: Option<Text>,
    /// Seconds from one visit of a dialled terminal to the next, where that is not left to
    /// satellite.
    pub every: Option<u32>,
}

impl Access {
    /// What is given here, and for the rest what was known before.
    pub(crate) fn or(self, before: Self) -> Self {
        Self {
            address: self.address.or(before.address),
            user: self.user.or(before.user),
            secret_file: self.secret_file.or(before.secret_file),
            token_hash: self.token_hash.or(before.token_hash),
            mac: self.mac.or(before.mac),
            every: self.every.or(before.every),
        }
    }

    /// The same with its MAC address in the form that is kept.
    pub(crate) fn checked(self) -> Result<Self, RegistryError> {
        fits("address", self.address.as_deref(), 255)?;
        fits("user name", self.user.as_deref(), 64)?;
        fits("name of the secret file", self.secret_file.as_deref(), 255)?;
        let mac = match self.mac {
            None => None,
            Some(text) => Some(normal_mac(&text).ok_or(RegistryError::Mac(text))?),
        };
        Ok(Self { mac, ..self })
    }

    /// What the audit may say: never a token, its hash, or what was typed as a secret's name.
    pub(crate) fn described(&self) -> serde_json::Value {
        json!({
            "address": self.address.as_deref(),
            "user": self.user.as_deref(),
            "has_secret_file": self.secret_file.is_some(),
            "has_token": self.token_hash.is_some(),
            "mac": self.mac.as_deref(),
            "every_seconds": self.every,
        })
    }

    /// Reads the six columns from `at` on; they are NULL where the terminal has no row.
    pub(crate) fn read(row: &Row, at: usize) -> Result<Self, Failure> {
        let text = |place: usize| Ok::<_, Failure>(row.opt_text(place)?.map(Text::from));
        let token_hash = match row.0.get(at + 3) {
            Some(Cell::Null) => None,
            _ => Some(
                TokenHash::from_slice(row.bytes(at + 3)?)
                    .ok_or_else(|| Failure::schema("access.token_hash does not have 32 bytes"))?,
            ),
        };
        Ok(Self {
            address: text(at)?,
            user: text(at + 1)?,
            secret_file: text(at + 2)?,
            token_hash,
            mac: text(at + 4)?,
            every: row.opt_int(at + 5)?.and_then(|n| u32::try_from(n).ok()),
        })
    }

    /// The values of a row, in the order of [`COLUMNS`].
    pub(crate) fn values<'a>(&'a self, id: &'a DeviceId) -> [Value<'a>; COLUMN_COUNT] {
        [
            Value::Bytes(&id.0),
            Value::opt(self.address.as_deref()),
            Value::opt(self.user.as_deref()),
            Value::opt(self.secret_file.as_deref()),
            self.token_hash
                .as_ref()
                .map_or(Value::Null, |hash| Value::Bytes(&hash.0)),
            Value::opt(self.mac.as_deref()),
        ]
    }
}

/// The columns of a row as it is written.
pub(crate) const COLUMNS: &str = "device_id, address, user_name, secret_file, token_hash, mac";
/// How many they are.
pub(crate) const COLUMN_COUNT: usize = 6;
/// The columns of how often a terminal is visited.
pub(crate) const SCHEDULE_COLUMNS: &str = "device_id, every_seconds";

/// Writes how that terminal is reached. Nothing known makes no row: what is known of a terminal
/// is only ever added to or replaced.
pub(crate) async fn write(
    engine: &mut AnyEngine,
    id: DeviceId,
    access: &Access,
) -> Result<(), Failure> {
    if access.every.is_some() {
        write_schedule(engine, id, access.every).await?;
    }
    let reached = Access {
        every: None,
        ..access.clone()
    };
    if reached == Access::default() {
        return Ok(());
    }
    let end = engine.dialect().overwrite(
        "device_id",
        &["address", "user_name", "secret_file", "token_hash", "mac"],
    );
    let sql = format!("INSERT INTO access ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) {end}");
    engine
        .execute(crate::built(sql), &access.values(&id))
        .await
        .map(drop)
}

/// Writes how often that terminal is visited; `None` leaves it to satellite.
pub(crate) async fn write_schedule(
    engine: &mut AnyEngine,
    id: DeviceId,
    every: Option<u32>,
) -> Result<(), Failure> {
    let end = engine.dialect().overwrite("device_id", &["every_seconds"]);
    let sql = format!("INSERT INTO schedule ({SCHEDULE_COLUMNS}) VALUES (?, ?) {end}");
    let values = schedule_values(&id, every);
    engine.execute(crate::built(sql), &values).await.map(drop)
}

/// The values of a row, in the order of [`SCHEDULE_COLUMNS`].
pub(crate) fn schedule_values(id: &DeviceId, every: Option<u32>) -> [Value<'_>; 2] {
    let every = every.map_or(Value::Null, |every| Value::Int(i64::from(every)));
    [Value::Bytes(&id.0), every]
}

/// A MAC address as it is kept, `44:19:b6:00:11:22`, from that form, one with dashes, or twelve
/// bare digits, in any case; `None` for anything else.
pub fn normal_mac(text: &str) -> Option<Text> {
    let mark = match text.len() {
        17 => text.chars().nth(2).filter(|c| [':', '-'].contains(c)),
        12 => None,
        _ => return None,
    };
    let parts: Vec<&str> = match mark {
        Some(mark) => text.split(mark).collect(),
        None if text.len() == 12 && text.is_ascii() => (0..6)
            .filter_map(|at| text.get(at * 2..at * 2 + 2))
            .collect(),
        None => return None,
    };
    let pair = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(pair))
        .then(|| Text::from(parts.join(":").to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_of_a_mac_address_becomes_one() {
        for text in [
            "44:19:b6:00:11:22",
            "44:19:B6:00:11:22",
            "44-19-b6-00-11-22",
            "4419B6001122",
        ] {
            assert_eq!(normal_mac(text).as_deref(), Some("44:19:b6:00:11:22"));
        }
        for text in [
            "",
            "44:19:b6:00:11",
            "44:19:b6:00:11:2g",
            "44:19-b6:00:11:22",
            "4419b600112",
            "44.19.b6.00.11.22",
            "ñ419b600112",
            "44:19:b6:00:111:2",
        ] {
            assert_eq!(normal_mac(text), None, "{text}");
        }
    }

    #[test]
    fn neither_logs_nor_the_audit_show_a_token_its_hash_or_the_name_of_a_secret() {
        let access = Access {
            secret_file: Some(Text::const_new("a-password-typed-here")),
            token_hash: Some(TokenHash::of("t0ken")),
            ..Access::default()
        };
        let hash: String = TokenHash::of("t0ken")
            .0
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let told = access.described().to_string();
        assert!(told.contains("\"has_token\":true") && told.contains("\"has_secret_file\":true"));
        assert!(
            !told.contains(&hash) && !told.contains("a-password"),
            "{told}"
        );
        assert!(!format!("{access:?}").contains(&format!("{}", access.token_hash.unwrap().0[0])));
    }
}
