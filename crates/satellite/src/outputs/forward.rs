//! Records on to the program that ran before, as a terminal would upload them.
//!
//! Each record of a push terminal goes to the old receiver out of the feed, terminal by terminal and
//! in the feed's order, with the bytes that the terminal sent. So the old program gets every record
//! that a terminal was told is stored, whatever was killed meanwhile, and nothing of it is on the way
//! to an acknowledgement. Of its answers only the status counts. What must never happen here: a word
//! of the old receiver that reaches a terminal; a secret of ours in a request.

use std::collections::HashMap;
use std::time::Duration;

use event::WallTime;
use fetch::Fetch;
use store::feed::FeedRow;
use tokio::task::JoinSet;

use super::course::{Verdict, judge};
use crate::config::Old;

/// Longest that the old receiver may take for one upload.
const WITHIN: Duration = Duration::from_secs(15);
/// Uploads under way at the same time, each of another terminal or table.
const AT_ONCE: usize = 8;
/// Bytes of an answer that are read, in vain.
const ANSWER: usize = 4096;
/// What push terminals call their bodies.
const CONTENT_TYPE: &str = "application/push;charset=UTF-8";

/// An upload of one terminal's records of one table.
#[derive(Debug, PartialEq, Eq)]
struct Upload {
    path: String,
    body: Vec<u8>,
}

/// Uploads them once.
pub(super) async fn post(old: &Old, rows: &[FeedRow]) -> Verdict {
    let mut waiting = uploads(rows).into_iter();
    let begin = |upload| one(old.clone(), upload);
    let mut under_way: JoinSet<Verdict> = waiting.by_ref().take(AT_ONCE).map(begin).collect();
    let mut worst = Verdict::Taken;
    while let Some(done) = under_way.join_next().await {
        let said = done.unwrap_or_else(|_| Verdict::Later("an upload was broken off".to_owned()));
        worst = worse(worst, said);
        if let Some(upload) = waiting.next() {
            under_way.spawn(begin(upload));
        }
    }
    worst
}

/// Of two verdicts the one that holds for both: what has to be waited for is not refused, and what
/// may be somebody else's fault is not yet the content's.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Taken, other) => other,
        (one @ Verdict::Later(_), _) => one,
        (_, later @ Verdict::Later(_)) => later,
        (Verdict::Refused(_), broke @ Verdict::Broke(_)) => broke,
        (one, _) => one,
    }
}

async fn one(old: Old, upload: Upload) -> Verdict {
    let sent = Fetch::post(old.url.join(&upload.path), CONTENT_TYPE, upload.body)
        .only_public(!old.allow_internal)
        .within(WITHIN)
        .limit(ANSWER)
        .send()
        .await;
    match sent {
        Ok(answer) => judge(answer.status),
        Err(failed) => Verdict::Later(failed.to_string()),
    }
}

/// The rows as uploads, in the order in which each terminal and table first comes.
fn uploads(rows: &[FeedRow]) -> Vec<Upload> {
    let mut uploads: Vec<Upload> = Vec::new();
    let mut of = HashMap::new();
    for row in rows {
        let Some(table) = table(row) else { continue };
        let at = *of.entry((row.serial.as_str(), table)).or_insert_with(|| {
            let serial = &row.serial;
            let path = format!("/iclock/cdata?SN={serial}&table={table}&Stamp=9999");
            let body = Vec::new();
            uploads.push(Upload { path, body });
            uploads.len() - 1
        });
        if let Some(upload) = uploads.get_mut(at) {
            upload.body.extend_from_slice(&row.raw);
            upload.body.push(b'\n');
        }
    }
    uploads
}

/// Whether the old receiver hears of a row.
pub(super) fn is_told(row: &FeedRow) -> bool {
    table(row).is_some()
}

/// The table that a terminal would upload the record in; `None` for what did not come as an upload.
fn table(row: &FeedRow) -> Option<&'static str> {
    if row.vendor != "zkteco" || !matches!(row.route.as_str(), "push" | "backfill") {
        return None;
    }
    if row.raw.starts_with(b"OPLOG ") {
        return Some("OPERLOG");
    }
    if row.raw.starts_with(b"time=") {
        return Some("rtlog");
    }
    let time = row.raw.split(|byte| *byte == b'\t').nth(1)?;
    WallTime::parse(time).map(|_| "ATTLOG")
}

#[cfg(test)]
mod tests {
    use super::super::shape::sample;
    use super::*;

    fn row(serial: &str, raw: &str) -> FeedRow {
        FeedRow {
            serial: serial.to_owned(),
            raw: raw.as_bytes().to_vec(),
            ..sample(1)
        }
    }

    #[test]
    fn records_become_uploads_of_their_terminals_with_the_bytes_that_came() {
        let mut dialled = row("C", "7\t2026-11-21 09:00:09\t0\t1");
        dialled.route = "pull".to_owned();
        let rows = [
            row("A", "1\t2026-11-21 09:00:03\t0\t1\t\t\u{fe}"),
            row("B", "2\t2026-11-21 09:00:04\t0\t1"),
            dialled,
            row("A", "3\t2026-11-21 09:00:05\t1\t15"),
            row("A", "OPLOG 4\t0\t2026-11-21 09:00:06\t0\t0\t0\t0"),
            row("D", "time=2026-11-21 09:00:07\tpin=5\tevent=0"),
            row("A", "{\"reason\":\"none of these\"}"),
        ];
        let made = uploads(&rows);
        let paths: Vec<_> = made.iter().map(|upload| upload.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/iclock/cdata?SN=A&table=ATTLOG&Stamp=9999",
                "/iclock/cdata?SN=B&table=ATTLOG&Stamp=9999",
                "/iclock/cdata?SN=A&table=OPERLOG&Stamp=9999",
                "/iclock/cdata?SN=D&table=rtlog&Stamp=9999",
            ]
        );
        let text = "1\t2026-11-21 09:00:03\t0\t1\t\t\u{fe}\n3\t2026-11-21 09:00:05\t1\t15\n";
        assert_eq!(made[0].body, text.as_bytes());
    }
}
