//! Commands as access-control firmware carries them out.
//!
//! An answer of rows comes in parts, each of which must be answered with the table's name and the
//! exact number; the result is posted before the last part by some terminals and after it by
//! others, and several results stand in one body, ended by CR LF. What a terminal does not know it
//! answers with "not supported". A withheld event is forgotten when the part that held it was
//! taken, like any other.

use event::WallTime;

use super::terminal::Terminal;
use super::words::{self, Event};

/// "Not supported" in a result.
const NOT_SUPPORTED: i64 = -708;
/// "Could not be sent" in a result.
const NOT_SENT: i64 = -1;
/// Tries for one part of an answer.
const TRIES: u32 = 6;

impl Terminal {
    /// Carries out the commands in a poll's reply.
    pub(super) async fn obey(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body).into_owned();
        for line in text.split(['\r', '\n']) {
            let Some((id, words)) = line
                .strip_prefix("C:")
                .and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            self.shared.tally.commands.add(1);
            self.carry_out(id, words).await;
        }
    }

    async fn carry_out(&mut self, id: &str, words: &str) {
        if let Some(filter) =
            words.strip_prefix("DATA QUERY tablename=transaction,fielddesc=*,filter=")
        {
            let code = self.answer_rows(id, filter).await;
            // Some have told their result already.
            if let Some(code) = code {
                self.result(id, code, "DATA QUERY");
            }
        } else if words == "DATA COUNT transaction,filter=*" {
            let count = format!("transaction={}", self.settled - self.base);
            let code = self.answer_list(id, "count", &count).await;
            self.result(id, code, "DATA COUNT");
        } else if let Some(names) = words.strip_prefix("GET OPTIONS ") {
            let list = self.settings(names);
            let code = self.answer_list(id, "options", &list).await;
            self.result(id, code, "GET OPTIONS");
        } else {
            let name = words
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            self.result(id, NOT_SUPPORTED, &name);
        }
    }

    fn result(&mut self, id: &str, code: i64, name: &str) {
        let line = format!("ID={id}&Return={code}&CMD={name}\r\n");
        self.results.extend_from_slice(line.as_bytes());
    }

    fn settings(&self, names: &str) -> String {
        let known = [
            ("~SerialNumber", self.serial.clone()),
            ("FirmVer", "Ver 8.0.1.3".to_owned()),
            ("~DeviceName", "SIM-A".to_owned()),
            ("TransactionCount", (self.settled - self.base).to_string()),
            ("DateTime", "864209730".to_owned()),
        ];
        let asked = names
            .split(',')
            .filter_map(|name| known.iter().find(|(key, _)| *key == name));
        asked
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(",")
    }

    async fn answer_list(&mut self, id: &str, kind: &str, list: &str) -> i64 {
        let query =
            format!("&type={kind}&cmdid={id}&tablename=transaction&count=1&packcnt=1&packidx=1");
        for _ in 0..TRIES {
            if let Ok(reply) = self.post("querydata", &query, list.as_bytes()).await
                && reply.is_200
            {
                return 0;
            }
            self.pause().await;
        }
        NOT_SENT
    }

    /// Sends the rows that a filter asks for. The code of the result, unless it was told before
    /// the last part.
    async fn answer_rows(&mut self, id: &str, filter: &str) -> Option<i64> {
        let numbers: Vec<u64> = match filter {
            "*" => (self.base..self.settled).collect(),
            filter if self.group.windows => {
                let (from, to) = window(filter)?;
                let inside = |n: &u64| (from..=to).contains(&self.event(*n).record.time);
                (self.base..self.settled).filter(inside).collect()
            }
            _ => return Some(NOT_SUPPORTED),
        };
        let total = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
        let part = usize::try_from(self.group.part).unwrap_or(1).max(1);
        let parts: Vec<&[u64]> = numbers.chunks(part).collect();
        let early = self.seed.is_multiple_of(3);
        for (at, numbers) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            if last && early {
                let line = format!("ID={id}&Return={total}&CMD=DATA QUERY\r\n");
                self.post("devicecmd", "", line.as_bytes()).await.ok();
                self.shared.tally.access.early_results.add(1);
            }
            if !self.send_part(id, numbers, (at + 1, parts.len())).await {
                return Some(NOT_SENT);
            }
        }
        (!early || parts.is_empty()).then_some(total)
    }

    async fn send_part(&mut self, id: &str, numbers: &[u64], (at, of): (usize, usize)) -> bool {
        let count = u64::try_from(numbers.len()).unwrap_or(0);
        let query = format!(
            "&type=tabledata&cmdid={id}&tablename=transaction&count={count}&packcnt={of}&packidx={at}"
        );
        let events: Vec<Event> = numbers.iter().map(|n| self.event(*n)).collect();
        let mut body = Vec::new();
        events
            .iter()
            .for_each(|event| event.write_row(&mut body, &self.serial));
        for _ in 0..TRIES {
            if let Ok(reply) = self.post("querydata", &query, &body).await
                && reply.is_200
                && words::takes_rows(self.said(&reply), "transaction", count)
            {
                self.shared.tally.queried.add(count);
                return self.note_fetched(numbers).await;
            }
            self.pause().await;
        }
        false
    }

    /// Withheld events that have just been taken for the first time go into the ledger.
    async fn note_fetched(&mut self, numbers: &[u64]) -> bool {
        let fresh = numbers
            .iter()
            .filter(|n| self.is_withheld(**n) && !self.fetched.contains(n));
        let fresh: Vec<u64> = fresh.copied().collect();
        self.fetched.extend(&fresh);
        let count = u64::try_from(fresh.len()).unwrap_or(0);
        self.shared.tally.generated.add(count);
        self.shared.tally.access.fetched.add(count);
        fresh.is_empty() || self.note(&fresh).await
    }

    async fn pause(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// `starttime=…<TAB>endtime=…`; parted by anything else it is no filter.
fn window(filter: &str) -> Option<(WallTime, WallTime)> {
    let (from, to) = filter.split_once('\t')?;
    let time = |text: &str, key: &str| WallTime::parse(text.strip_prefix(key)?.as_bytes());
    Some((time(from, "starttime=")?, time(to, "endtime=")?))
}
