//! A mapping file as it is written: the tables and keys that exist.
//!
//! The types mirror the TOML one to one and mean nothing before [`Mapping::checked`](crate::Mapping::checked)
//! has looked at them. A key that is not named here is an error of whoever parses the file.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMapping {
    pub(crate) make: Option<String>,
    pub(crate) format: RawFormat,
    pub(crate) records: Option<String>,
    pub(crate) separator: Option<String>,
    #[serde(default = "yes")]
    pub(crate) header: bool,
    pub(crate) trim: Option<String>,
    pub(crate) fields: RawFields,
    #[serde(default)]
    pub(crate) time: RawTime,
    #[serde(default)]
    pub(crate) kinds: RawKinds,
    #[serde(default)]
    pub(crate) directions: RawDirections,
    #[serde(default)]
    pub(crate) verify: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RawFormat {
    Json,
    Csv,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFields {
    pub(crate) time: OneOrMore,
    pub(crate) serial: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) person: Option<String>,
    pub(crate) card: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) verify: Option<String>,
    pub(crate) direction: Option<String>,
    pub(crate) door: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTime {
    pub(crate) format: Option<String>,
    pub(crate) zone: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawKinds {
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) punch: Vec<String>,
    #[serde(default)]
    pub(crate) access: Vec<String>,
    #[serde(default)]
    pub(crate) alarm: Vec<String>,
    #[serde(default)]
    pub(crate) operation: Vec<String>,
    #[serde(default)]
    pub(crate) device: Vec<String>,
    #[serde(default)]
    pub(crate) other: Vec<String>,
    #[serde(default)]
    pub(crate) ignore: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawDirections {
    #[serde(default, rename = "in")]
    pub(crate) inward: Vec<String>,
    #[serde(default, rename = "out")]
    pub(crate) outward: Vec<String>,
}

fn yes() -> bool {
    true
}
