//! Hikvision devices in promises: what a device made, held against `event_feed`.
//!
//! A dialled device owes every row that it made; a posting one every row that was answered 200.
//! Both write that into a ledger of their own. The feed is read over a connection of its own,
//! and a row is recognised by device, count, serial, codes, person and time, all as sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use terminals::hikvision::Device;
use terminals::{HikvisionRecord, Ledger};

use crate::{Checker, Reply, SatelliteProcess, exchange};

/// The feed's own columns for these rows, on both engines.
const ROWS: &str = "SELECT CONCAT_WS('|', serial, vendor_code, COALESCE(person, ''), local_time, \
                    route, timeliness, kind, attributes) FROM event_feed \
                    WHERE vendor = 'hikvision' ORDER BY seq";
const ROWS_SQLITE: &str = "SELECT serial || '|' || vendor_code || '|' || COALESCE(person, '') || \
                           '|' || local_time || '|' || route || '|' || timeliness || '|' || \
                           kind || '|' || COALESCE(attributes, '{}') FROM event_feed \
                           WHERE vendor = 'hikvision' ORDER BY seq";

/// Longest time until a running satellite lets a device in that was just enrolled.
const NOTICED_WITHIN: Duration = Duration::from_secs(15);

/// Enrols a device with these words more; answers the path of its URL, when it listens.
///
/// # Errors
/// The command fails.
pub async fn enrol(
    satellite: &SatelliteProcess,
    serial: &str,
    more: &[&str],
) -> Result<Option<String>> {
    let words = "devices add --tenant acme --vendor hikvision --serial";
    let words: Vec<&str> = words.split(' ').chain([serial]).collect();
    let told = satellite.command([&words[..], more].concat()).await?;
    let of_path = |c: &char| c.is_ascii_alphanumeric() || "/-_".contains(*c);
    let at = told.find("/hikvision/");
    let path = at.and_then(|at| told.get(at..));
    Ok(path.map(|path| path.chars().take_while(of_path).collect()))
}

/// Enrols a device that is dialled, with its password in a file; as [`enrol`].
///
/// # Errors
/// The file cannot be written, or the command fails.
pub async fn enrol_dialled(
    satellite: &SatelliteProcess,
    device: &Device,
    more: &[&str],
) -> Result<Option<String>> {
    use std::os::unix::fs::PermissionsExt as _;
    let (user, password) = device.login();
    let secret = format!("{}.secret", device.serial());
    let secret = satellite.folder().join(secret);
    std::fs::write(&secret, password)?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let address = device.address().to_string();
    let secret = secret.to_str().context("the folder's name is no text")?;
    let account = [
        "--address",
        &address,
        "--user",
        user,
        "--secret-file",
        secret,
    ];
    enrol(satellite, device.serial(), &[&account[..], more].concat()).await
}

/// Enrols a device that posts to a running satellite, and answers the path of its URL once the
/// door knows it: an empty post is taken then, and stores nothing.
///
/// # Errors
/// The command fails, or the door does not learn of it.
pub async fn enrol_posting(
    satellite: &SatelliteProcess,
    serial: &str,
    more: &[&str],
) -> Result<String> {
    let path = enrol(satellite, serial, &[&["--listen"], more].concat()).await?;
    let path = path.context("no URL was printed")?;
    let begin = Instant::now();
    while post(satellite, &path, b"").await?.status != 200 {
        ensure!(
            begin.elapsed() < NOTICED_WITHIN,
            "the door does not know {serial}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(path)
}

/// Posts a body whose multipart boundary, if it has parts, is `b`.
///
/// # Errors
/// There is no answer.
pub async fn post(satellite: &SatelliteProcess, path: &str, body: &[u8]) -> Result<Reply> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: s\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(satellite.devices(), &[head.as_bytes(), body].concat()).await
}

/// A post that is answered 200 or fails.
///
/// # Errors
/// Another answer, or none.
pub async fn posted(satellite: &SatelliteProcess, path: &str, body: &[u8]) -> Result<()> {
    let reply = post(satellite, path, body).await?;
    ensure!(reply.status == 200, "answered with {reply:?}");
    Ok(())
}

/// One row of a device in the feed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceRow {
    /// The device.
    pub serial: String,
    /// The row's number in the device's log.
    pub serial_no: u64,
    /// `major/minor`.
    pub code: String,
    /// Who; empty where nobody is named.
    pub person: String,
    /// The wall time, to the second, `YYYY-MM-DDTHH:MM:SS`.
    pub time: String,
}

/// A row with how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FedRow {
    /// The row itself.
    pub row: DeviceRow,
    /// `stream`, `poll`, `backfill`, `listen`.
    pub route: String,
    /// `live`, `late`, `historic`.
    pub timeliness: String,
    /// `punch`, `access`, …
    pub kind: String,
}

/// Every row of Hikvision devices in the feed, in its order.
///
/// # Errors
/// The feed cannot be read, or a row has no serial.
pub async fn fed_rows(checker: &mut Checker) -> Result<Vec<FedRow>> {
    let lines = checker.texts(ROWS, ROWS_SQLITE).await?;
    lines.iter().map(|line| fed_row(line)).collect()
}

fn fed_row(line: &str) -> Result<FedRow> {
    let mut fields = line.splitn(8, '|');
    let mut next = || {
        fields
            .next()
            .context("a column is missing")
            .map(str::to_owned)
    };
    let (serial, code, person, time) = (next()?, next()?, next()?, next()?);
    let (route, timeliness, kind, attributes) = (next()?, next()?, next()?, next()?);
    let attributes: serde_json::Value = serde_json::from_str(&attributes)?;
    let number = attributes
        .get("serialNo")
        .and_then(serde_json::Value::as_u64);
    Ok(FedRow {
        row: DeviceRow {
            serial,
            serial_no: number.unwrap_or(0),
            code,
            person,
            time: time.get(..19).unwrap_or(&time).replace(' ', "T"),
        },
        route,
        timeliness,
        kind,
    })
}

fn owed(record: &HikvisionRecord, unnumbered: &[&str]) -> DeviceRow {
    let is_numbered = !unnumbered.contains(&record.serial.as_str());
    DeviceRow {
        serial: record.serial.clone(),
        serial_no: if is_numbered { record.serial_no } else { 0 },
        code: format!("{}/{}", record.major, record.minor),
        person: record.pin.clone(),
        time: record.time.replace(' ', "T"),
    }
}

/// What differs between a ledger and the feed.
#[derive(Debug, Default)]
pub struct Difference {
    /// Rows in the ledger, each once.
    pub owed: usize,
    /// Rows in the feed.
    pub fed: usize,
    /// Owed and not there.
    pub missing: Vec<DeviceRow>,
    /// There more than once.
    pub doubled: Vec<DeviceRow>,
    /// There and owed by nobody.
    pub strange: Vec<DeviceRow>,
}

impl Difference {
    /// # Errors
    /// The numbers, and the first few rows of each list that should be empty.
    pub fn none(&self) -> Result<()> {
        ensure!(self.owed > 0, "the ledger is empty: nothing was compared");
        let few = |rows: &[DeviceRow]| format!("{:?}", rows.iter().take(3).collect::<Vec<_>>());
        ensure!(
            self.missing.is_empty() && self.doubled.is_empty() && self.strange.is_empty(),
            "{} owed, {} fed: {} missing {}, {} doubled {}, {} strange {}",
            self.owed,
            self.fed,
            self.missing.len(),
            few(&self.missing),
            self.doubled.len(),
            few(&self.doubled),
            self.strange.len(),
            few(&self.strange)
        );
        Ok(())
    }
}

/// Holds the ledger against the feed. Rows of `unnumbered` devices, which tell no serials, are
/// recognised by what they say.
///
/// # Errors
/// Either cannot be read.
pub async fn compare(
    checker: &mut Checker,
    ledger: &Path,
    unnumbered: &[&str],
) -> Result<Difference> {
    let records = Ledger::read_hikvision(ledger).context("the ledger cannot be read")?;
    let mut owed_rows: BTreeMap<DeviceRow, usize> = BTreeMap::new();
    for record in &records {
        owed_rows.insert(owed(record, unnumbered), 0);
    }
    let mut difference = Difference {
        owed: owed_rows.len(),
        ..Difference::default()
    };
    for fed in fed_rows(checker).await? {
        difference.fed += 1;
        match owed_rows.get_mut(&fed.row) {
            Some(0) => {
                owed_rows.insert(fed.row, 1);
            }
            Some(_) => difference.doubled.push(fed.row),
            None => difference.strange.push(fed.row),
        }
    }
    let missing = owed_rows.into_iter().filter(|(_, seen)| *seen == 0);
    difference.missing = missing.map(|(row, _)| row).collect();
    Ok(difference)
}

/// Waits until ledger and feed are equal.
///
/// # Errors
/// They still differ after `limit`; with the end of satellite's log.
pub async fn until_equal(
    satellite: &SatelliteProcess,
    checker: &mut Checker,
    (ledger, unnumbered): (&Path, &[&str]),
    limit: Duration,
) -> Result<Difference> {
    let begin = Instant::now();
    loop {
        let difference = compare(checker, ledger, unnumbered).await?;
        let Err(error) = difference.none() else {
            return Ok(difference);
        };
        if begin.elapsed() > limit {
            bail!("after {limit:?}: {error}\n{}", satellite.log_end());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
