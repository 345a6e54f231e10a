//! A mapping that was checked: which field is what, how times are written, what codes mean.
//!
//! Whatever can be wrong with a mapping is found here, before a sender is served, and named by its
//! key, so that reading a body never has to doubt one.

use std::collections::BTreeMap;

use event::{Direction, Kind, Text, Zone};

use crate::moment::{BadForm, Form};
use crate::own;
use crate::raw::{OneOrMore, RawDirections, RawFields, RawFormat, RawKinds, RawMapping};

/// Lines that a mapping file may have: one that is longer belongs in code.
pub const MAPPING_LINES: usize = 40;
/// Longest path, name or code in a mapping, in bytes.
const WORD_LIMIT: usize = 128;
/// Most attributes.
const ATTRIBUTES: usize = 16;

/// What is wrong with a mapping: the key, and the sentence in English and Spanish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// `fields.time`.
    pub key: String,
    /// English.
    pub en: String,
    /// Spanish.
    pub es: String,
}

impl Wrong {
    fn new(key: &str, en: impl Into<String>, es: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            en: en.into(),
            es: es.into(),
        }
    }
}

/// How bodies are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// A record, a list of them, or one on each line; `records` leads to the list in an object.
    Json { records: Path },
    /// Delimited text, one record on each line.
    Lines { separator: u8, header: bool },
}

/// The steps to a value: keys of objects, places in lists; for delimited text one column.
pub(crate) type Path = Vec<Text>;

/// The fields of the feed that a sender may fill beside time, serial and its own id. The order
/// and the names are part of every identity that is made of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Person,
    Card,
    Code,
    Status,
    Verify,
    Direction,
    Door,
}

impl Field {
    pub(crate) const ALL: [Self; 7] = [
        Self::Person,
        Self::Card,
        Self::Code,
        Self::Status,
        Self::Verify,
        Self::Direction,
        Self::Door,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Card => "card",
            Self::Code => "code",
            Self::Status => "status",
            Self::Verify => "verify",
            Self::Direction => "direction",
            Self::Door => "door",
        }
    }
}

/// What becomes of a code: a kind of event, or `None` for what makes no event.
pub(crate) type Sort = Option<Kind>;

/// A mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    pub(crate) make: Option<Text>,
    pub(crate) format: Format,
    pub(crate) trim: Option<char>,
    pub(crate) time: Vec<Path>,
    pub(crate) form: Form,
    pub(crate) zone: Option<Zone>,
    pub(crate) serial: Option<Path>,
    pub(crate) id: Option<Path>,
    pub(crate) fields: Vec<(Field, Path)>,
    pub(crate) attributes: Vec<(Text, Path)>,
    pub(crate) kinds: BTreeMap<Text, Sort>,
    pub(crate) default_kind: Sort,
    pub(crate) directions: BTreeMap<Text, Direction>,
    pub(crate) verify: BTreeMap<Text, Text>,
    /// It is our own form, and records have to say what they are.
    pub(crate) is_own: bool,
}

impl Mapping {
    /// Checks a mapping as it was parsed from its file.
    ///
    /// # Errors
    /// The first thing that is wrong: an empty or endless path, a time format that cannot be read
    /// back, a zone that is not in the IANA database, a code that means two things.
    pub fn checked(raw: RawMapping) -> Result<Self, Wrong> {
        let format = format(&raw)?;
        let path = |key: &str, text: &str| path(&format, key, text);
        let time = match &raw.fields.time {
            OneOrMore::One(one) => vec![path("fields.time", one)?],
            OneOrMore::More(more) => {
                let read = more.iter().map(|text| path("fields.time", text));
                read.collect::<Result<Vec<_>, _>>()?
            }
        };
        if time.is_empty() || time.len() > 3 {
            return Err(Wrong::new(
                "fields.time",
                "names one to three fields",
                "nombra de uno a tres campos",
            ));
        }
        let opt = |key: &str, text: Option<&String>| text.map(|text| path(key, text)).transpose();
        let kinds = kinds(&raw.kinds)?;
        let default_kind = default_kind(&raw.kinds, !kinds.is_empty())?;
        if !kinds.is_empty() && raw.fields.code.is_none() {
            return Err(Wrong::new(
                "kinds",
                "needs fields.code, whose values it sorts",
                "necesita fields.code, cuyos valores clasifica",
            ));
        }
        let directions = directions(&raw.directions)?;
        if !directions.is_empty() && raw.fields.direction.is_none() {
            return Err(Wrong::new(
                "directions",
                "needs fields.direction, whose values it names",
                "necesita fields.direction, cuyos valores nombra",
            ));
        }
        Ok(Self {
            make: raw
                .make
                .as_deref()
                .map(|make| word("make", make))
                .transpose()?,
            trim: trim(raw.trim.as_deref())?,
            time,
            form: form(raw.time.format.as_deref())?,
            zone: zone(raw.time.zone.as_deref())?,
            serial: opt("fields.serial", raw.fields.serial.as_ref())?,
            id: opt("fields.id", raw.fields.id.as_ref())?,
            fields: fields(&format, &raw.fields)?,
            attributes: attributes(&format, &raw.attributes)?,
            kinds,
            default_kind,
            directions,
            verify: verify(&raw)?,
            is_own: false,
            format,
        })
    }

    /// The mapping of our own form, `satellite.records/1`, for senders without another one. A body
    /// that is not in it is set aside as one for which there is no mapping.
    pub fn own() -> Self {
        own::mapping()
    }

    /// The make, as the file names it.
    pub fn make(&self) -> Option<&str> {
        self.make.as_deref()
    }

    /// `json` or `csv`.
    pub fn format(&self) -> &'static str {
        match self.format {
            Format::Json { .. } => "json",
            Format::Lines { .. } => "csv",
        }
    }

    /// True when records name their terminal, so that one sender may speak for several.
    pub fn names_terminals(&self) -> bool {
        self.serial.is_some()
    }
}

fn word(key: &str, text: &str) -> Result<Text, Wrong> {
    let fits =
        !text.trim().is_empty() && text.len() <= WORD_LIMIT && !text.contains(char::is_control);
    if fits {
        return Ok(Text::new(text));
    }
    Err(Wrong::new(
        key,
        "must have 1 to 128 characters, none of them a control character",
        "debe tener de 1 a 128 caracteres, ninguno de control",
    ))
}

fn format(raw: &RawMapping) -> Result<Format, Wrong> {
    match raw.format {
        RawFormat::Json => {
            if raw.separator.is_some() {
                return Err(Wrong::new(
                    "separator",
                    "is for format = \"csv\"",
                    "es para format = \"csv\"",
                ));
            }
            let records = match &raw.records {
                Some(text) => steps("records", text)?,
                None => Path::new(),
            };
            Ok(Format::Json { records })
        }
        RawFormat::Csv => {
            if raw.records.is_some() {
                return Err(Wrong::new(
                    "records",
                    "is for format = \"json\"",
                    "es para format = \"json\"",
                ));
            }
            let separator = raw.separator.as_deref().unwrap_or(",");
            let &[separator @ (b',' | b';' | b'\t' | b'|')] = separator.as_bytes() else {
                return Err(Wrong::new(
                    "separator",
                    "must be one of , ; | or \\t",
                    "debe ser uno de , ; | o \\t",
                ));
            };
            Ok(Format::Lines {
                separator,
                header: raw.header,
            })
        }
    }
}

fn steps(key: &str, text: &str) -> Result<Path, Wrong> {
    let text = word(key, text)?;
    let steps: Path = text.split('.').map(Text::new).collect();
    if steps.len() > 8 || steps.iter().any(|step| step.is_empty()) {
        return Err(Wrong::new(
            key,
            "is a path of one to eight names with a dot between them, like user_id.user_id",
            "es una ruta de uno a ocho nombres separados por punto, como user_id.user_id",
        ));
    }
    Ok(steps)
}

fn path(format: &Format, key: &str, text: &str) -> Result<Path, Wrong> {
    match format {
        Format::Json { .. } => steps(key, text),
        Format::Lines { header: true, .. } => Ok(vec![word(key, text)?]),
        Format::Lines { header: false, .. } => match text.parse::<u16>() {
            Ok(1..=256) => Ok(vec![Text::new(text)]),
            _ => Err(Wrong::new(
                key,
                "without a header a column is its number, 1 to 256",
                "sin encabezado una columna es su número, de 1 a 256",
            )),
        },
    }
}

fn fields(format: &Format, raw: &RawFields) -> Result<Vec<(Field, Path)>, Wrong> {
    let mut all = Vec::new();
    for field in Field::ALL {
        let text = match field {
            Field::Person => &raw.person,
            Field::Card => &raw.card,
            Field::Code => &raw.code,
            Field::Status => &raw.status,
            Field::Verify => &raw.verify,
            Field::Direction => &raw.direction,
            Field::Door => &raw.door,
        };
        if let Some(text) = text {
            all.push((
                field,
                path(format, &format!("fields.{}", field.as_str()), text)?,
            ));
        }
    }
    Ok(all)
}

fn attributes(format: &Format, raw: &BTreeMap<String, String>) -> Result<Vec<(Text, Path)>, Wrong> {
    if raw.len() > ATTRIBUTES {
        return Err(Wrong::new(
            "attributes",
            "may name at most 16",
            "puede nombrar a lo más 16",
        ));
    }
    let read = raw.iter().map(|(name, text)| {
        let key = format!("attributes.{name}");
        if name == "make" || name == "verify" {
            return Err(Wrong::new(
                &key,
                "is a name that satellite writes itself",
                "es un nombre que escribe satellite",
            ));
        }
        Ok((word(&key, name)?, path(format, &key, text)?))
    });
    read.collect()
}

fn trim(text: Option<&str>) -> Result<Option<char>, Wrong> {
    let Some(text) = text else {
        return Ok(None);
    };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(one), None) => Ok(Some(one)),
        _ => Err(Wrong::new(
            "trim",
            "must be one character",
            "debe ser un carácter",
        )),
    }
}

fn form(text: Option<&str>) -> Result<Form, Wrong> {
    Form::read(text.unwrap_or("iso8601")).map_err(|BadForm| {
        Wrong::new(
            "time.format",
            "must be iso8601, epoch_seconds, epoch_millis, or a pattern with date, hour and minute like %d/%m/%Y %H:%M:%S",
            "debe ser iso8601, epoch_seconds, epoch_millis, o un patrón con fecha, hora y minuto como %d/%m/%Y %H:%M:%S",
        )
    })
}

fn zone(name: Option<&str>) -> Result<Option<Zone>, Wrong> {
    let Some(name) = name else {
        return Ok(None);
    };
    Zone::named(name).map(Some).map_err(|error| {
        let shown = name.escape_debug();
        let es = format!(
            "'{shown}' no es una zona horaria de la base IANA; por ejemplo America/Mexico_City"
        );
        Wrong::new(
            "time.zone",
            error.to_string().escape_debug().to_string(),
            es,
        )
    })
}

fn kinds(raw: &RawKinds) -> Result<BTreeMap<Text, Sort>, Wrong> {
    let lists = [
        ("punch", Some(Kind::Punch), &raw.punch),
        ("access", Some(Kind::Access), &raw.access),
        ("alarm", Some(Kind::Alarm), &raw.alarm),
        ("operation", Some(Kind::Operation), &raw.operation),
        ("device", Some(Kind::Device), &raw.device),
        ("other", Some(Kind::Other), &raw.other),
        ("ignore", None, &raw.ignore),
    ];
    let mut all = BTreeMap::new();
    for (name, sort, codes) in lists {
        once(&mut all, &format!("kinds.{name}"), codes, sort)?;
    }
    Ok(all)
}

fn default_kind(raw: &RawKinds, sorts: bool) -> Result<Sort, Wrong> {
    match raw.default.as_deref() {
        // What no list names is told apart from attendance, unless nothing is sorted at all.
        None => Ok(Some(if sorts { Kind::Other } else { Kind::Punch })),
        Some("ignore") => Ok(None),
        Some(name) => Kind::from_word(name).map(Some).ok_or_else(|| {
            Wrong::new(
                "kinds.default",
                "must be punch, access, alarm, operation, device, other or ignore",
                "debe ser punch, access, alarm, operation, device, other o ignore",
            )
        }),
    }
}

fn directions(raw: &RawDirections) -> Result<BTreeMap<Text, Direction>, Wrong> {
    let mut all = BTreeMap::new();
    once(&mut all, "directions.in", &raw.inward, Direction::In)?;
    once(&mut all, "directions.out", &raw.outward, Direction::Out)?;
    Ok(all)
}

/// Adds codes that mean `what`; one that means something already is a mistake.
fn once<T: Copy>(
    all: &mut BTreeMap<Text, T>,
    key: &str,
    codes: &[String],
    what: T,
) -> Result<(), Wrong> {
    for code in codes {
        if all.insert(word(key, code)?, what).is_some() {
            let shown = code.escape_debug();
            return Err(Wrong::new(
                key,
                format!("the code '{shown}' is named twice"),
                format!("el código '{shown}' está nombrado dos veces"),
            ));
        }
    }
    Ok(())
}

fn verify(raw: &RawMapping) -> Result<BTreeMap<Text, Text>, Wrong> {
    if !raw.verify.is_empty() && raw.fields.verify.is_none() {
        return Err(Wrong::new(
            "verify",
            "needs fields.verify, whose values it names",
            "necesita fields.verify, cuyos valores nombra",
        ));
    }
    let read = raw.verify.iter().map(|(code, name)| {
        let key = format!("verify.{code}");
        Ok((word(&key, code)?, word(&key, name)?))
    });
    read.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn mapping(text: &str) -> Mapping {
        Mapping::checked(toml::from_str(text).unwrap()).unwrap()
    }

    fn wrong(text: &str) -> String {
        Mapping::checked(toml::from_str(text).unwrap())
            .unwrap_err()
            .key
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let csv = "format = 'csv'\n";
        let json = "format = 'json'\n[fields]\ntime = 't'\n";
        for (text, key) in [
            (
                format!("{csv}separator = 'ab'\n[fields]\ntime = 't'"),
                "separator",
            ),
            (
                format!("{csv}records = 'a'\n[fields]\ntime = 't'"),
                "records",
            ),
            (
                format!("{csv}header = false\n[fields]\ntime = 'Date'"),
                "fields.time",
            ),
            (format!("{csv}trim = 'xy'\n[fields]\ntime = 't'"), "trim"),
            (
                "format = 'json'\nseparator = ','\n[fields]\ntime = 't'".to_owned(),
                "separator",
            ),
            (
                "format = 'json'\n[fields]\ntime = []".to_owned(),
                "fields.time",
            ),
            (
                "format = 'json'\n[fields]\ntime = 'a..b'".to_owned(),
                "fields.time",
            ),
            (format!("{json}person = ''"), "fields.person"),
            (format!("{json}[time]\nformat = '%Y'"), "time.format"),
            (format!("{json}[time]\nformat = '%Q%'"), "time.format"),
            (format!("{json}[time]\nzone = 'Mars/Olympus'"), "time.zone"),
            (format!("{json}[kinds]\npunch = ['1']"), "kinds"),
            (
                format!("{json}code = 'c'\n[kinds]\npunch = ['1']\nalarm = ['1']"),
                "kinds.alarm",
            ),
            (
                format!("{json}code = 'c'\n[kinds]\ndefault = 'clock'"),
                "kinds.default",
            ),
            (format!("{json}[directions]\nin = ['1']"), "directions"),
            (
                format!("{json}direction = 'd'\n[directions]\nin = ['1']\nout = ['1']"),
                "directions.out",
            ),
            (format!("{json}[verify]\n1 = 'face'"), "verify"),
            (format!("{json}[attributes]\nmake = 'x'"), "attributes.make"),
        ] {
            assert_eq!(wrong(&text), key, "{text}");
        }
    }

    #[test]
    fn what_no_list_names_is_no_punch_unless_nothing_is_sorted() {
        let bare = mapping("format = 'json'\n[fields]\ntime = 't'");
        assert_eq!(bare.default_kind, Some(Kind::Punch));
        let sorted =
            mapping("format = 'json'\n[fields]\ntime = 't'\ncode = 'c'\n[kinds]\npunch = ['1']");
        assert_eq!(sorted.default_kind, Some(Kind::Other));
    }
}
