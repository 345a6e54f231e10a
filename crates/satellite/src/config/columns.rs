//! `[output.columns]`: what goes into each column of a table that a customer's program reads.
//!
//! The names are written into statements and the values into somebody's payroll. So a name holds
//! nothing that would have to be escaped, a value has exactly one source, a form of time is tried
//! before it is needed, and one column has to take `event_uid`. Whether there is such a table, its
//! owner's database says; nothing here connects.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use daemon::config::{ConfigError, Said, Secret, StoreUrl, secret_file, secret_places};
use event::{Millis, Zone};
use serde::Deserialize;
use serde_json::Value;
use store::Target;

use super::SECRETS_FOLDER;
use super::output::Place;

/// Letters of a name in MySQL and MariaDB.
const NAME: usize = 64;
/// Most columns that one output writes.
const COLUMNS: usize = 60;
/// Longest text of the configuration that goes into a column, and longest form of a time.
const TEXT: usize = 200;
/// The form of a time unless another is asked for.
const FORM: &str = "%Y-%m-%d %H:%M:%S";
/// The column of the feed that a table must take.
const UID: &str = "event_uid";

/// What of the feed can go into a column: its columns, but for the record's bytes.
pub const FIELDS: [&str; 22] = [
    "seq",
    UID,
    "tenant",
    "vendor",
    "serial",
    "device_name",
    "kind",
    "person",
    "card",
    "local_time",
    "time_zone",
    "occurred_at",
    "received_at",
    "status_code",
    "verify_code",
    "vendor_code",
    "direction",
    "door",
    "route",
    "timeliness",
    "clock",
    "attributes",
];

/// A table of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its database.
    pub target: Target,
    /// Its name.
    pub name: String,
    /// What goes into which column.
    pub columns: Vec<Column>,
    /// Which column takes `event_uid`.
    pub uid: usize,
}

/// A column and what goes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What goes into it.
    pub takes: Takes,
}

/// What goes into a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Takes {
    /// This column of the feed; one of [`FIELDS`].
    Field(&'static str),
    /// This text.
    Fixed(String),
    /// A time.
    Time {
        /// Which.
        of: Moment,
        /// Its form, as `strftime` has it.
        form: String,
        /// Whose clock it is shown by, unless it is the terminal's own word.
        zone: Zone,
    },
    /// What a column of the feed means to the other program.
    Code {
        /// One of [`FIELDS`].
        of: &'static str,
        /// From what stands there to what is written.
        codes: BTreeMap<String, String>,
        /// What is written for everything else; without it such an event is refused.
        otherwise: Option<String>,
    },
}

/// Which time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// What the terminal's clock said.
    Local,
    /// When it happened.
    Occurred,
    /// When it came.
    Received,
}

impl Moment {
    /// Every time, with its column in the feed.
    const ALL: [(&'static str, Self); 3] = [
        ("local_time", Self::Local),
        ("occurred_at", Self::Occurred),
        ("received_at", Self::Received),
    ];
}

/// A value that is not just the name of a column of the feed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTakes {
    of: Option<String>,
    codes: Option<BTreeMap<String, Value>>,
    otherwise: Option<Value>,
    time: Option<String>,
    format: Option<String>,
    zone: Option<String>,
    value: Option<Value>,
}

/// The keys of an output that writes a table.
pub(super) struct RawTable {
    pub(super) url: Option<StoreUrl>,
    pub(super) password_file: Option<String>,
    pub(super) table: Option<String>,
    pub(super) columns: BTreeMap<String, Value>,
}

/// Checks them; times are those of `zone` unless a column has another.
pub(super) fn checked(place: &Place<'_>, raw: RawTable, zone: &Zone) -> Result<Table, ConfigError> {
    let needed = ("is needed for a table", "hace falta para una tabla");
    let url = raw.url.ok_or_else(|| place.wrong("url", needed))?;
    let StoreUrl::Mysql(server) = &url else {
        let said = (
            "must be mysql://user@host:3306/database",
            "debe ser mysql://usuario@host:3306/base",
        );
        return Err(place.wrong("url", said));
    };
    let server = format!("{}:{}", server.host, server.port);
    let places = secret_places(Path::new(SECRETS_FOLDER));
    let secret = raw
        .password_file
        .as_deref()
        .map(|name| secret_file(name, &places).map_err(|why| place.wrong("password_file", why)));
    let secret = secret.transpose()?;
    let password = secret.as_ref().map(Secret::expose);
    let name = raw.table.ok_or_else(|| place.wrong("table", needed))?;
    check_name(place, "table", &name)?;
    let columns = columns(place, raw.columns, zone)?;
    let is_uid = |column: &Column| column.takes == Takes::Field(UID);
    let uid = columns.iter().position(is_uid).ok_or_else(|| {
        let said = (
            "no column takes \"event_uid\"; without it an event that is sent again would stand there twice",
            "ninguna columna recibe \"event_uid\"; sin ella, un evento enviado otra vez quedaría doble",
        );
        place.wrong("columns", said)
    })?;
    Ok(Table {
        target: Target::mysql(&url.to_string(), password, &server),
        name,
        columns,
        uid,
    })
}

/// A name that needs nothing but its quotes.
fn check_name(place: &Place<'_>, key: &str, name: &str) -> Result<(), ConfigError> {
    let plain = |letter: char| letter.is_alphanumeric() || "_$- ".contains(letter);
    let fine = !name.is_empty()
        && name.chars().count() <= NAME
        && name.trim() == name
        && name.chars().all(plain);
    if fine {
        return Ok(());
    }
    let shown = name.escape_debug();
    let said = Said::new(
        format!(
            "'{shown}' is no name of a table or column: 1 to 64 letters, digits, _, $, - and blanks"
        ),
        format!(
            "'{shown}' no es nombre de tabla ni de columna: de 1 a 64 letras, dígitos, _, $, - y espacios"
        ),
    );
    Err(place.wrong(key, said))
}

fn columns(
    place: &Place<'_>,
    raw: BTreeMap<String, Value>,
    zone: &Zone,
) -> Result<Vec<Column>, ConfigError> {
    if raw.is_empty() || raw.len() > COLUMNS {
        let said = (
            "write [output.columns] with 1 to 60 columns of the table",
            "escriba [output.columns] con 1 a 60 columnas de la tabla",
        );
        return Err(place.wrong("columns", said));
    }
    let mut seen = HashSet::new();
    let read = raw.into_iter().map(|(name, value)| {
        let key = format!("columns.{name}");
        check_name(place, &key, &name)?;
        if !seen.insert(name.to_lowercase()) {
            let said = (
                "stands here twice: case does not count in names of columns",
                "está dos veces: en los nombres de columnas no cuentan las mayúsculas",
            );
            return Err(place.wrong(&key, said));
        }
        let takes = takes(value, zone).map_err(|said| place.wrong(&key, said))?;
        Ok(Column { name, takes })
    });
    read.collect()
}

/// What a column takes, or why that cannot be.
fn takes(value: Value, zone: &Zone) -> Result<Takes, Said> {
    if let Value::String(name) = &value {
        return field(name).map(Takes::Field);
    }
    let raw: RawTakes = serde_json::from_value(value).map_err(|error| {
        let es = "escriba el nombre de una columna de event_feed, o una tabla con value; con time, \
                  format y zone; o con of, codes y otherwise";
        Said::new(error.to_string(), es)
    })?;
    match raw {
        RawTakes {
            value: Some(value),
            of: None,
            codes: None,
            otherwise: None,
            time: None,
            format: None,
            zone: None,
        } => text(value).map(Takes::Fixed),
        RawTakes {
            time: Some(time),
            format,
            zone: own,
            of: None,
            codes: None,
            otherwise: None,
            value: None,
        } => moment(&time, format, own, zone),
        RawTakes {
            of: Some(of),
            codes: Some(codes),
            otherwise,
            time: None,
            format: None,
            zone: None,
            value: None,
        } => code(&of, codes, otherwise),
        _ => Err(Said::new(
            "has to be one of: value; time with format and zone; of with codes and otherwise",
            "tiene que ser una de: value; time con format y zone; of con codes y otherwise",
        )),
    }
}

fn field(name: &str) -> Result<&'static str, Said> {
    let known = FIELDS.into_iter().find(|known| *known == name);
    known.ok_or_else(|| {
        let (shown, all) = (name.escape_debug(), FIELDS.join(", "));
        Said::new(
            format!("'{shown}' is no column of the feed; there are: {all}"),
            format!("'{shown}' no es una columna de event_feed; existen: {all}"),
        )
    })
}

fn moment(
    time: &str,
    form: Option<String>,
    own: Option<String>,
    zone: &Zone,
) -> Result<Takes, Said> {
    let known = Moment::ALL.into_iter().find(|(name, _)| *name == time);
    let (_, of) = known.ok_or_else(|| {
        Said::new(
            "time is local_time, occurred_at or received_at",
            "time es local_time, occurred_at o received_at",
        )
    })?;
    let zone = match own {
        None => zone.clone(),
        Some(_) if of == Moment::Local => {
            return Err(Said::new(
                "local_time is what the terminal's clock said; it has no zone here",
                "local_time es lo que dijo el reloj del dispositivo; aquí no lleva zona",
            ));
        }
        Some(name) => Zone::named(&name).map_err(|error| {
            let es = "la zona horaria no existe en la base IANA; por ejemplo America/Mexico_City";
            Said::new(error.to_string(), es)
        })?,
    };
    let form = form.unwrap_or_else(|| FORM.to_owned());
    // The same letters at any other moment give a text as well.
    let tried = shown(&form, Millis(1_795_273_203_000), &zone);
    if form.len() > TEXT || tried.is_none() {
        return Err(Said::new(
            "format is not one of strftime for a date and a time of day, as in %d/%m/%Y %H:%M:%S",
            "format no es de strftime para fecha y hora, como en %d/%m/%Y %H:%M:%S",
        ));
    }
    Ok(Takes::Time { of, form, zone })
}

/// The clock of a zone at that moment, in a form; `None` for a form that there is not.
pub fn shown(form: &str, at: Millis, zone: &Zone) -> Option<String> {
    let seconds = at.0.div_euclid(1000) + i64::from(zone.offset_seconds_at(at));
    wall(form, seconds)
}

/// A wall clock, counted in seconds as if it were UTC's, in a form.
pub fn wall(form: &str, seconds: i64) -> Option<String> {
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    let civil = jiff::tz::TimeZone::UTC.to_datetime(at);
    jiff::fmt::strtime::format(form, civil).ok()
}

fn code(of: &str, codes: BTreeMap<String, Value>, otherwise: Option<Value>) -> Result<Takes, Said> {
    let read = codes.into_iter().map(|(from, to)| Ok((from, text(to)?)));
    Ok(Takes::Code {
        of: field(of)?,
        codes: read.collect::<Result<_, Said>>()?,
        otherwise: otherwise.map(text).transpose()?,
    })
}

/// A text or a whole number, as it goes into a column.
fn text(value: Value) -> Result<String, Said> {
    match value {
        Value::String(text) if text.len() <= TEXT => Ok(text),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        _ => Err(Said::new(
            "must be a text of at most 200 bytes, or a whole number",
            "debe ser un texto de 200 bytes a lo más, o un número entero",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daemon::config::Source;
    use serde_json::json;

    fn read(columns: Value, table: &str) -> Result<Table, String> {
        let text =
            "[[output]]\nname = \"p\"\ntable = \"x\"\n[output.columns]\nuid = \"event_uid\"\n";
        let source = Source::new("satellite.toml", text);
        let place = Place::of(&source, 0);
        let Value::Object(columns) = columns else {
            return Err("no table".to_owned());
        };
        let raw = RawTable {
            url: Some("mysql://w@127.0.0.1/portal".parse().unwrap()),
            password_file: None,
            table: Some(table.to_owned()),
            columns: columns.into_iter().collect(),
        };
        let zone = Zone::named("America/Mexico_City").unwrap();
        checked(&place, raw, &zone).map_err(|error| error.to_string())
    }

    #[test]
    fn a_mapping_says_for_each_column_what_goes_into_it() {
        let table = read(
            json!({
                "uid": "event_uid",
                "fecha": { "time": "occurred_at", "format": "%d/%m/%Y" },
                "tipo": { "of": "direction", "codes": { "in": 1, "out": "2" }, "otherwise": 0 },
                "origen": { "value": "satelite" },
            }),
            "checadas del día",
        )
        .unwrap();
        assert_eq!(table.columns.len(), 4);
        assert_eq!(table.columns[table.uid].name, "uid");
        let Takes::Code {
            codes, otherwise, ..
        } = &table.columns[2].takes
        else {
            panic!("{table:?}");
        };
        assert_eq!(
            (codes["in"].as_str(), otherwise.as_deref()),
            ("1", Some("0"))
        );
    }

    #[test]
    fn a_hostile_or_mistaken_mapping_is_refused_with_its_key() {
        let good = json!({ "uid": "event_uid" });
        for table in [
            "",
            " x",
            "a`b",
            "a;b",
            "a.b",
            "a'b",
            "a\nb",
            &"x".repeat(65),
        ] {
            let said = read(good.clone(), table).unwrap_err();
            assert!(said.contains("key 'table'"), "{said}");
        }
        for (columns, words) in [
            (json!({}), "1 to 60"),
            (json!({ "a": "person" }), "event_uid"),
            (
                json!({ "uid": "event_uid", "a`, (SELECT 1)": "person" }),
                "no name",
            ),
            (
                json!({ "uid": "event_uid", "a": "raw" }),
                "no column of the feed",
            ),
            (json!({ "uid": "event_uid", "UID": "person" }), "twice"),
            (
                json!({ "uid": "event_uid", "a": { "value": 1, "time": "occurred_at" } }),
                "one of",
            ),
            (
                json!({ "uid": "event_uid", "a": { "values": 1 } }),
                "unknown field",
            ),
            (
                json!({ "uid": "event_uid", "a": { "value": [1] } }),
                "whole number",
            ),
            (
                json!({ "uid": "event_uid", "a": { "time": "seq" } }),
                "local_time",
            ),
            (
                json!({ "uid": "event_uid", "a": { "time": "occurred_at", "format": "%Q%!" } }),
                "strftime",
            ),
            (
                json!({ "uid": "event_uid", "a": { "time": "occurred_at", "zone": "Mars/Base" } }),
                "IANA",
            ),
            (
                json!({ "uid": "event_uid", "a": { "of": "direction" } }),
                "one of",
            ),
            (json!({ "uid": "event_uid", "a": 7 }), "invalid type"),
        ] {
            let said = read(columns, "checadas").unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_time_is_shown_by_the_clock_of_its_zone() {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let at = Millis(1_795_273_203_999);
        assert_eq!(shown(FORM, at, &zone).unwrap(), "2026-11-21 09:00:03");
        assert_eq!(shown("%d/%m/%y", at, &zone).unwrap(), "21/11/26");
    }
}
