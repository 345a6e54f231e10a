//! Plays a recording against a server: the requests of one real terminal, in their order, and
//! whether each is answered as it was.
//!
//! A recording is a file that somebody sent, so that nothing in it is believed: a request that
//! could not have come from a terminal is an error with its line. What stands for the terminal's
//! serial may be exchanged for one that the server knows. A server that is too busy is asked again,
//! as terminals do. What a recording left out (people, templates, pictures) is replaced by as many
//! empty records, so that it is counted as it was.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::http::{Connection, Delivery, Exchange, Failure};
use crate::target::Target;

/// Longest file, in bytes.
const LONGEST: u64 = 64 << 20;
/// Most requests of a recording.
const MOST: usize = 200_000;
/// The version of the form that is read.
const VERSION: u32 = 1;
/// How often in all a request is sent again, because the server is busy or away or does not know
/// the terminal yet.
const AGAIN: u32 = 30;
/// Pause before that.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for one answer.
const WITHIN: Duration = Duration::from_secs(30);
/// Longest pause that is kept between two requests.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a recording cannot be played.
#[derive(Debug)]
pub struct ReplayError(String);

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReplayError {}

/// The first line.
#[derive(Debug, Clone, Deserialize)]
struct Head {
    recording: u32,
    way: String,
    serial: String,
}

/// One request and what it was answered.
#[derive(Debug, Clone, Deserialize)]
struct Recorded {
    #[serde(default)]
    after_ms: u64,
    method: String,
    target: String,
    body: Option<String>,
    removed_records: Option<u64>,
    #[serde(default)]
    length: u64,
    status: u16,
}

impl Recorded {
    /// Whether a terminal could have said this.
    fn check(&self) -> Result<(), &'static str> {
        if !["GET", "POST"].contains(&self.method.as_str()) {
            return Err("the method is neither GET nor POST");
        }
        let is_plain = self.target.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.target.starts_with("/iclock/") || !is_plain {
            return Err("the target is no path of a terminal");
        }
        Ok(())
    }

    fn body(&self) -> String {
        match (&self.body, self.removed_records) {
            (Some(body), _) => body.clone(),
            (None, Some(records)) => {
                let records = usize::try_from(records).unwrap_or(usize::MAX).min(MOST);
                "removed\n".repeat(records)
            }
            (None, None) => String::new(),
        }
    }

    /// A body that was too long to be recorded: nothing true can be sent in its place.
    fn is_missing(&self) -> bool {
        self.body.is_none() && self.removed_records.is_none() && self.length > 0
    }
}

/// A recording.
#[derive(Debug, Clone)]
pub struct Recording {
    head: Head,
    requests: Vec<Recorded>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is none of a recording.
    pub fn read(path: &Path) -> Result<Self, ReplayError> {
        let shown = path.display();
        let wrong = |error: &dyn std::fmt::Display| ReplayError(format!("{shown}: {error}"));
        let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
        let length = file.metadata().map_err(|error| wrong(&error))?.len();
        if length > LONGEST {
            return Err(wrong(&"longer than any recording"));
        }
        let mut lines = BufReader::new(file).lines().enumerate();
        let first = lines.next().ok_or_else(|| wrong(&"is empty"))?.1;
        let first = first.map_err(|error| wrong(&error))?;
        let head: Head = serde_json::from_str(&first)
            .map_err(|error| wrong(&format_args!("line 1 does not begin a recording: {error}")))?;
        if head.recording != VERSION || head.way != "zkteco-push" {
            return Err(wrong(&"a recording of another kind or version"));
        }
        let mut requests = Vec::new();
        for (at, line) in lines {
            let wrong = |why: &dyn std::fmt::Display| {
                ReplayError(format!("{shown}, line {}: {why}", at + 1))
            };
            let line = line.map_err(|error| wrong(&error))?;
            if requests.len() >= MOST {
                return Err(wrong(&"longer than any recording"));
            }
            if line.starts_with("{\"cut\":") || line.starts_with("{\"ended\":") {
                break;
            }
            let request: Recorded = serde_json::from_str(&line).map_err(|error| wrong(&error))?;
            request.check().map_err(|why| wrong(&why))?;
            requests.push(request);
        }
        Ok(Self { head, requests })
    }

    /// The serial that stands in it.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.head.serial
    }

    /// Requests in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// True when nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

/// How a recording is played.
#[derive(Debug, Clone)]
pub struct Play {
    /// The server.
    pub target: Target,
    /// The terminal's serial; without one that of the recording.
    pub serial: Option<String>,
    /// With the pauses between the requests; without, as fast as they are answered.
    pub paced: bool,
}

/// A request that was answered otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otherwise {
    /// Its line in the file.
    pub line: usize,
    /// Its method and path.
    pub request: String,
    /// The recorded status.
    pub recorded: u16,
    /// The status now; 0 without an answer.
    pub now: u16,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Played {
    /// Requests sent.
    pub sent: usize,
    /// Requests left out, because their body was too long to be recorded.
    pub left_out: usize,
    /// Requests that were answered with another status.
    pub otherwise: Vec<Otherwise>,
}

/// Plays it.
pub async fn play(recording: &Recording, how: &Play) -> Played {
    let mut played = Played::default();
    let mut connection = Connection::default();
    let (mut last, mut again) = (0, AGAIN);
    for (at, request) in recording.requests.iter().enumerate() {
        if request.is_missing() {
            played.left_out += 1;
            continue;
        }
        if how.paced {
            let pause = Duration::from_millis(request.after_ms.saturating_sub(last));
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
        last = request.after_ms;
        let now = ask(
            &mut connection,
            &written(recording, request, how),
            how,
            |status| {
                let is_away = matches!(status, 0 | 403 | 429 | 503) && status != request.status;
                let go_on = is_away && again > 0;
                again -= u32::from(go_on);
                go_on
            },
        )
        .await;
        played.sent += 1;
        if now != request.status {
            let path = request.target.split('?').next().unwrap_or_default();
            played.otherwise.push(Otherwise {
                line: at + 2,
                request: format!("{} {path}", request.method),
                recorded: request.status,
                now,
            });
        }
    }
    played
}

/// The status of the answer, 0 when there is none; asked again as long as that is wanted.
async fn ask(
    connection: &mut Connection,
    (bytes, body_at): &(Vec<u8>, usize),
    how: &Play,
    mut again: impl FnMut(u16) -> bool,
) -> u16 {
    loop {
        let sending = connection.exchange(&how.target, bytes, *body_at, Delivery::Whole, false);
        let done = tokio::time::timeout(WITHIN, sending).await;
        let status = match done.unwrap_or(Err(Failure::Timeout)) {
            Ok(Exchange::Replied(reply)) => reply.status,
            Ok(Exchange::CutOff) | Err(_) => {
                connection.hang_up();
                0
            }
        };
        if !again(status) {
            return status;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn written(recording: &Recording, request: &Recorded, how: &Play) -> (Vec<u8>, usize) {
    let serial = how.serial.as_deref().unwrap_or(&recording.head.serial);
    let target = request.target.replace(&recording.head.serial, serial);
    let body = request.body();
    let length = match request.method.as_str() {
        "GET" if body.is_empty() => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!(
        "{} {}{target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: iClock Proxy/1.09\r\n{length}\r\n",
        request.method,
        how.target.prefix(),
        how.target.authority(),
    );
    let body_at = head.len();
    ([head.into_bytes(), body.into_bytes()].concat(), body_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const HEAD: &str = r#"{"recording":1,"way":"zkteco-push","serial":"RECORDED000001"}"#;

    fn read(lines: &[&str]) -> Result<Recording, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for line in lines {
            writeln!(file, "{line}").unwrap();
        }
        Recording::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_recording_is_read_to_its_last_line_and_written_for_another_serial() {
        let post = r#"{"after_ms":5,"method":"POST","target":"/iclock/cdata?SN=RECORDED000001&table=ATTLOG","body":"1\t2\n","length":4,"status":200,"reply":"OK: 1"}"#;
        let gone = r#"{"method":"POST","target":"/iclock/cdata?SN=RECORDED000001&table=USER","body":null,"removed_records":2,"length":0,"status":200}"#;
        let long = r#"{"method":"POST","target":"/iclock/cdata?SN=RECORDED000001&table=X","body":null,"length":900000,"status":200}"#;
        let recording = read(&[HEAD, post, gone, long, r#"{"cut":false,"ended":"x"}"#]).unwrap();
        assert_eq!(recording.len(), 3);
        let how = Play {
            target: "http://127.0.0.1:8081/p".parse().unwrap(),
            serial: Some("MINE1".to_owned()),
            paced: false,
        };
        let (bytes, at) = written(&recording, &recording.requests[0], &how);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("POST /p/iclock/cdata?SN=MINE1&table=ATTLOG HTTP/1.1\r\n"));
        assert_eq!(&text[at..], "1\t2\n");
        assert_eq!(recording.requests[1].body(), "removed\nremoved\n");
        let missing: Vec<bool> = recording
            .requests
            .iter()
            .map(Recorded::is_missing)
            .collect();
        assert_eq!(missing, [false, false, true]);
    }

    #[test]
    fn what_no_terminal_can_have_said_is_refused_with_its_line() {
        for (line, why) in [
            (
                r#"{"method":"GET","target":"/iclock/ping HTTP/1.1\r\nX: y","status":200}"#,
                "path",
            ),
            (
                r#"{"method":"DELETE","target":"/iclock/ping","status":200}"#,
                "method",
            ),
            (
                r#"{"method":"GET","target":"http://other/","status":200}"#,
                "path",
            ),
            ("no json", "expected"),
        ] {
            let error = read(&[HEAD, line]).unwrap_err();
            assert!(error.contains("line 2") && error.contains(why), "{error}");
        }
        assert!(read(&["{}"]).unwrap_err().contains("line 1"));
        assert!(read(&[]).unwrap_err().contains("empty"));
    }
}
