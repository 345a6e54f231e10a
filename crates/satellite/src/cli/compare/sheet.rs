//! Another program's export of punches, read as kindly as can be without guessing a punch.
//!
//! Separator, letter set, columns and form of the time are found out from the file; what cannot be
//! read is an error with its line, never a punch left out in silence. No file and no database here:
//! bytes in, punches out.

use serde_json::{Value, json};

/// A punch of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Punch {
    /// Who, as it is written.
    pub(super) person: String,
    /// `YYYY-MM-DD HH:MM:SS` by the terminal's clock.
    pub(super) time: String,
    /// The terminal, where it is known.
    pub(super) serial: Option<String>,
    /// The line of the file it stands in.
    pub(super) line: Option<u64>,
}

impl Punch {
    pub(super) fn as_json(&self) -> Value {
        json!({
            "person": self.person,
            "local_time": self.time,
            "serial": self.serial,
            "line": self.line,
        })
    }

    pub(super) fn cells(&self) -> Vec<String> {
        vec![
            self.time.clone(),
            self.person.clone(),
            self.serial.clone().unwrap_or_default(),
            self.line.map(|line| line.to_string()).unwrap_or_default(),
        ]
    }
}

/// What a person says about the columns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Columns<'a> {
    pub(super) person: Option<&'a str>,
    pub(super) time: Option<&'a str>,
    pub(super) date: Option<&'a str>,
    pub(super) serial: Option<&'a str>,
    pub(super) month_first: bool,
}

/// Why a file cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A column is not there: which, and those there are.
    NoColumn { wanted: String, there: String },
    /// A time that cannot be read.
    Time { line: u64, text: String },
    /// A line that is no CSV, or has no person.
    Line { line: u64, why: String },
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sheet {
    pub(super) punches: Vec<Punch>,
    /// It names the terminals.
    pub(super) has_serials: bool,
    /// None of its times has seconds.
    pub(super) to_the_minute: bool,
}

const PERSONS: &[&str] = &[
    "person",
    "pin",
    "userid",
    "user",
    "usuario",
    "empcode",
    "employee",
    "employeeno",
    "empleado",
    "idempleado",
    "noempleado",
    "numeroempleado",
    "clave",
    "claveempleado",
    "badgenumber",
    "badge",
    "enrollnumber",
    "nomina",
    "personid",
    "id",
];
const MOMENTS: &[&str] = &[
    "localtime",
    "checktime",
    "punchtime",
    "datetime",
    "fechahora",
    "fechayhora",
    "timestamp",
    "checada",
    "eventtime",
    "attendancetime",
];
const DATES: &[&str] = &["date", "fecha", "day", "dia", "checkdate", "punchdate"];
const TIMES: &[&str] = &["time", "hora", "clock", "horachecada"];
const SERIALS: &[&str] = &[
    "serial",
    "sn",
    "serialnumber",
    "terminalsn",
    "devicesn",
    "device",
    "dispositivo",
    "reloj",
    "numeroserie",
    "serie",
];

/// Letters and digits of a heading, small, without accents, so that `No. Empleado` is found.
fn plain(heading: &str) -> String {
    let letters = heading.chars().flat_map(char::to_lowercase);
    letters
        .map(|letter| match letter {
            'á' => 'a',
            'é' => 'e',
            'í' => 'i',
            'ó' => 'o',
            'ú' | 'ü' => 'u',
            other => other,
        })
        .filter(|letter| letter.is_alphanumeric())
        .collect()
}

/// The text, whatever Windows made of it.
fn decoded(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Latin-1: each byte is its letter. Headings and names lose nothing that is compared.
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// The separator that the first line has most of.
fn separator(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |sign: u8| first.bytes().filter(|&byte| byte == sign).count();
    // The last of equals wins, so the comma stands last.
    let best = [b'|', b'\t', b';', b','].into_iter();
    best.max_by_key(|&sign| count(sign)).unwrap_or(b',')
}

/// Where the columns stand.
struct Places {
    person: usize,
    date: Option<usize>,
    time: usize,
    serial: Option<usize>,
}

impl Places {
    fn find(headings: &csv::StringRecord, columns: Columns<'_>) -> Result<Self, Wrong> {
        let plain_headings: Vec<String> = headings.iter().map(plain).collect();
        let missing = |wanted: &str| Wrong::NoColumn {
            wanted: wanted.to_owned(),
            there: headings.iter().collect::<Vec<_>>().join(", "),
        };
        let at = |name: &str| plain_headings.iter().position(|it| *it == plain(name));
        let find = |named: Option<&str>, usual: &[&str]| match named {
            Some(name) => at(name).map(Some).ok_or_else(|| missing(name)),
            None => Ok(usual.iter().find_map(|name| at(name))),
        };
        let person = find(columns.person, PERSONS)?.ok_or_else(|| missing("--person"))?;
        let serial = find(columns.serial, SERIALS)?;
        let moment = find(columns.time, MOMENTS)?;
        let (date, time) = match (moment, columns.date) {
            (Some(time), None) => (None, time),
            (Some(time), Some(name)) => (find(Some(name), &[])?, time),
            (None, named) => {
                let date = find(named, DATES)?.ok_or_else(|| missing("--time"))?;
                match find(None, TIMES)? {
                    Some(time) => (Some(date), time),
                    // One column that is called a date and may hold both.
                    None => (None, date),
                }
            }
        };
        Ok(Self {
            person,
            date,
            time,
            serial,
        })
    }
}

impl Sheet {
    /// Reads a file.
    pub(super) fn read(bytes: &[u8], columns: Columns<'_>) -> Result<Self, Wrong> {
        let text = decoded(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator(&text))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let broken = |error: csv::Error| Wrong::Line {
            line: error.position().map_or(1, csv::Position::line),
            why: error.to_string(),
        };
        let headings = reader.headers().map_err(broken)?.clone();
        let places = Places::find(&headings, columns)?;
        let (mut punches, mut seconds) = (Vec::new(), false);
        for record in reader.records() {
            let record = record.map_err(broken)?;
            if record.iter().all(str::is_empty) {
                continue;
            }
            let (punch, to_the_second) = read_line(&record, &places, columns.month_first)?;
            seconds |= to_the_second;
            punches.push(punch);
        }
        Ok(Self {
            has_serials: places.serial.is_some(),
            to_the_minute: !seconds && !punches.is_empty(),
            punches,
        })
    }

    /// The punches of a day, `YYYY-MM-DD`.
    pub(super) fn of_day(&self, day: &str) -> Vec<Punch> {
        let mut punches = self.punches.clone();
        punches.retain(|punch| punch.time.starts_with(day));
        punches
    }
}

/// A punch, and whether its time has seconds.
fn read_line(
    record: &csv::StringRecord,
    places: &Places,
    month_first: bool,
) -> Result<(Punch, bool), Wrong> {
    let line = record.position().map_or(0, csv::Position::line);
    let cell = |at: usize| record.get(at).unwrap_or_default();
    // A spreadsheet's guard against formulas, also our own.
    let person = cell(places.person).trim_start_matches('\'');
    if person.is_empty() {
        let why = "no person".to_owned();
        return Err(Wrong::Line { line, why });
    }
    let text = match places.date {
        Some(date) => format!("{} {}", cell(date), cell(places.time)),
        None => cell(places.time).to_owned(),
    };
    let Some((time, to_the_second)) = moment(&text, month_first) else {
        return Err(Wrong::Time { line, text });
    };
    let serial = places.serial.map(cell).filter(|serial| !serial.is_empty());
    let punch = Punch {
        person: person.to_owned(),
        time,
        serial: serial.map(str::to_owned),
        line: Some(line),
    };
    Ok((punch, to_the_second))
}

/// A date and a time in the forms that programs write; true when it has seconds.
fn moment(text: &str, month_first: bool) -> Option<(String, bool)> {
    let text = text.trim().replace('T', " ");
    let (date, rest) = text.split_once(' ')?;
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let &[a, b, c] = parts.as_slice() else {
        return None;
    };
    let (year, month, day) = match (a.len(), month_first) {
        (4, _) => (a, b, c),
        (_, true) => (c, a, b),
        (_, false) => (c, b, a),
    };
    let date = jiff::civil::Date::new(
        year.parse().ok().filter(|year| *year > 1900)?,
        month.parse().ok()?,
        day.parse().ok()?,
    );
    let (hour, minute, second) = clock(rest)?;
    let time = jiff::civil::Time::new(hour, minute, second.unwrap_or(0), 0).ok()?;
    let date = date.ok()?;
    let whole = format!(
        "{date} {:02}:{:02}:{:02}",
        time.hour(),
        time.minute(),
        time.second()
    );
    Some((whole, second.is_some()))
}

/// `9:00`, `09:00:03.000`, `9:00:03 p. m.`
fn clock(text: &str) -> Option<(i8, i8, Option<i8>)> {
    let half: String = plain(text)
        .chars()
        .filter(|it| it.is_alphabetic())
        .collect();
    let digits = text.trim_end_matches(|it: char| !it.is_ascii_digit());
    let digits = digits.split('.').next()?.trim();
    let mut parts = digits.split(':');
    let mut hour: i8 = parts.next()?.trim().parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next().map(str::parse).transpose().ok()?;
    if parts.next().is_some() {
        return None;
    }
    match half.as_str() {
        "" => {}
        "am" | "pm" if (1..=12).contains(&hour) => {
            hour = hour % 12 + if half == "pm" { 12 } else { 0 };
        }
        _ => return None,
    }
    Some((hour, minute, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sheet, Wrong> {
        Sheet::read(text.as_bytes(), Columns::default())
    }

    #[test]
    fn exports_of_other_programs_are_read_without_being_told_how() {
        for (text, serials) in [
            (
                "\u{feff}USERID;CHECKTIME\r\n42;25/11/2026 09:00:03\r\n",
                false,
            ),
            (
                "No. Empleado,Fecha,Hora\n42,2026-11-25,9:00:03 a. m.\n",
                false,
            ),
            (
                "emp_code\tpunch_time\tterminal_sn\n42\t2026-11-25 09:00:03\tA1\n",
                true,
            ),
            (
                "person,local_time,serial\n'42,2026-11-25T09:00:03,A1\n\n",
                true,
            ),
            ("pin|fecha\n42|2026/11/25 09:00:03.000\n", false),
        ] {
            let sheet = read(text).unwrap();
            let punch = &sheet.punches[0];
            let found = (punch.person.as_str(), punch.time.as_str());
            assert_eq!(found, ("42", "2026-11-25 09:00:03"), "{text}");
            assert_eq!(sheet.has_serials, serials, "{text}");
            assert!(!sheet.to_the_minute);
        }
    }

    #[test]
    fn letters_of_windows_and_lines_of_other_days_are_no_trouble() {
        let bytes = b"Clave;A\xf1o;Fecha y hora\n7;x;24/11/2026 18:00\n7;x;25/11/2026 06:30\n";
        let sheet = Sheet::read(bytes, Columns::default()).unwrap();
        assert!(sheet.to_the_minute);
        assert_eq!(sheet.of_day("2026-11-25").len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        let wrong = read("pin,checktime\n1,2026-11-25 09:00:00\n2,yesterday\n").unwrap_err();
        assert!(matches!(wrong, Wrong::Time { line: 3, .. }), "{wrong:?}");
        let wrong = read("a,b\n1,2\n").unwrap_err();
        assert!(matches!(wrong, Wrong::NoColumn { .. }), "{wrong:?}");
        let wrong = read("pin,checktime\n,2026-11-25 09:00:00\n").unwrap_err();
        assert!(matches!(wrong, Wrong::Line { line: 2, .. }), "{wrong:?}");
        for text in [
            "",
            "2026-11-25",
            "31/02/2026 09:00",
            "25/11/2026 25:00",
            "1 2 3",
        ] {
            assert_eq!(moment(text, false), None, "{text}");
        }
        assert_eq!(
            moment("11/25/2026 9:00 PM", true),
            Some(("2026-11-25 21:00:00".to_owned(), false))
        );
        assert_eq!(
            moment("25/11/2026 12:05 a.m.", false).unwrap().0,
            "2026-11-25 00:05:00"
        );
    }
}
