//! A terminal in attendance mode that a test plays by hand: what it counts, what it sends of that
//! when it is asked, and which windows it was asked for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{SatelliteProcess, attlog, get};

/// Longest that a terminal is served for one thing to become so.
const LIMIT: Duration = Duration::from_secs(90);

/// The terminal. Its records are lines as it uploads them.
pub struct ByHand<'a> {
    satellite: &'a SatelliteProcess,
    serial: &'a str,
    /// The records that it counts.
    pub counts: Vec<String>,
    /// Those among them that it sends.
    pub sends: Vec<String>,
    /// The beginning and the end of each time that it was asked to send, on its wall clock.
    pub asked: Vec<(String, String)>,
}

impl<'a> ByHand<'a> {
    /// A terminal that holds nothing.
    #[must_use]
    pub fn new(satellite: &'a SatelliteProcess, serial: &'a str) -> Self {
        Self {
            satellite,
            serial,
            counts: Vec::new(),
            sends: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// It has a record more, and nobody hears of it.
    pub fn keeps(&mut self, row: &str) {
        self.counts.push(row.to_owned());
        self.sends.push(row.to_owned());
    }

    /// Does what it is told with each poll until that holds.
    ///
    /// # Errors
    /// It does not in time, or a request fails.
    pub async fn serve(
        &mut self,
        what: &str,
        mut holds: impl AsyncFnMut() -> Result<bool>,
    ) -> Result<()> {
        until(LIMIT, what, async || {
            let poll = get(&format!("/iclock/getrequest?SN={}", self.serial));
            let told = self.satellite.send(&poll).await?.body;
            for line in told.lines().filter_map(|line| line.strip_prefix("C:")) {
                let (id, words) = line.split_once(':').context("a command without an id")?;
                self.obey(id, words).await?;
            }
            holds().await
        })
        .await
    }

    async fn obey(&mut self, id: &str, words: &str) -> Result<()> {
        let (from, to) = span(words);
        let inside = |row: &&String| {
            row.split('\t')
                .nth(1)
                .is_some_and(|at| from <= at && at <= to)
        };
        if words.starts_with("VERIFY SUM") {
            let count = self.counts.iter().filter(inside).count();
            let result = format!("ID={id}&Return=0&CMD=VERIFY SUM&AttlogSum={count}\n");
            return self.result(&result).await;
        }
        self.asked.push((from.to_owned(), to.to_owned()));
        let rows: Vec<&str> = self
            .sends
            .iter()
            .filter(inside)
            .map(String::as_str)
            .collect();
        self.upload(&rows).await?;
        self.result(&format!("ID={id}&Return={}&CMD=DATA\n", rows.len()))
            .await
    }

    async fn result(&self, text: &str) -> Result<()> {
        let (serial, length) = (self.serial, text.len());
        let request = format!(
            "POST /iclock/devicecmd?SN={serial} HTTP/1.1\r\nHost: x\r\n\
             Content-Length: {length}\r\n\r\n{text}"
        );
        let reply = self.satellite.send(request.as_bytes()).await?;
        ensure!(reply.status == 200, "{reply:?}");
        Ok(())
    }

    /// Uploads these records.
    ///
    /// # Errors
    /// They are not accepted.
    pub async fn upload(&self, rows: &[&str]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let body = rows.join("\n") + "\n";
        let request = attlog(self.serial, "9999", body.as_bytes());
        let reply = self.satellite.send(&request).await?;
        ensure!(reply.accepts(rows.len()), "{reply:?}");
        Ok(())
    }
}

/// The times that a command is about.
fn span(words: &str) -> (&str, &str) {
    let value = |key: &str| {
        let at = words.find(key).map_or(words.len(), |at| at + key.len());
        words.get(at..at + 19).unwrap_or_default()
    };
    (value("StartTime="), value("EndTime="))
}

/// Looks again and again until that holds.
///
/// # Errors
/// It does not within `limit`, or the look fails.
pub async fn until(
    limit: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let begin = Instant::now();
    while !holds().await? {
        if begin.elapsed() > limit {
            bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}
