//! What is seen without asking the application: a port that takes connections, a process that
//! runs, a file that is fresh.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;

use super::{Outcome, Verdict};
use crate::Value;
use crate::config::looks::{FileAgeProbe, ProcessProbe, TcpProbe};
use crate::words::Phrase;

/// Most of a process's name that is read, in bytes.
const NAME: u64 = 4096;

/// Connects and hangs up.
pub(super) async fn tcp(it: &TcpProbe, within: Duration) -> Outcome {
    let began = Instant::now();
    let connecting = TcpStream::connect((it.host.as_str(), it.port));
    match tokio::time::timeout(within, connecting).await {
        Ok(Ok(_)) => {
            Outcome::of(Verdict::Good).number("took_seconds", began.elapsed().as_secs_f64())
        }
        Ok(Err(error)) => Outcome::of(Verdict::Bad(Value::heard(error.to_string()))),
        Err(_) => Outcome::of(Verdict::Bad(Phrase::LateConnect.with([within.into()]))),
    }
}

/// Counts the processes of that name.
pub(super) fn process(it: &ProcessProbe) -> Outcome {
    let Some(count) = count(Path::new("/proc"), &it.name) else {
        return Outcome::of(Verdict::Unknown(Phrase::ProcUnread.into()));
    };
    let verdict = if count >= it.at_least {
        Verdict::Good
    } else {
        let (name, least) = (&it.name, it.at_least);
        let count = Value::Count(count.into());
        let least = Value::Count(least.into());
        Verdict::Bad(Phrase::TooFewProcesses.with([count, Value::heard(name), least]))
    };
    Outcome::of(verdict).number("processes", count.into())
}

/// Processes whose program has that name. Zombies have no command line and do not count.
fn count(proc: &Path, name: &str) -> Option<u32> {
    let mut count = 0;
    for entry in std::fs::read_dir(proc).ok()?.flatten() {
        let is_process = entry
            .file_name()
            .to_str()
            .is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit()));
        if is_process && program(&entry.path()).is_some_and(|program| program == name) {
            count += 1;
        }
    }
    Some(count)
}

/// The file name of a process's program, from its first argument.
fn program(folder: &Path) -> Option<String> {
    let file = std::fs::File::open(folder.join("cmdline")).ok()?;
    let mut bytes = Vec::new();
    file.take(NAME).read_to_end(&mut bytes).ok()?;
    let first = bytes.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(first);
    // Some programs write more into it: `nginx: master process`.
    let text = text.split([' ', ':']).next()?;
    let name = text.rsplit('/').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// Compares a file's last change with its limit.
pub(super) fn file_age(it: &FileAgeProbe, now: SystemTime) -> Outcome {
    let changed = std::fs::metadata(&it.path).and_then(|it| it.modified());
    let changed = match changed {
        Ok(changed) => changed,
        Err(error) => return Outcome::of(Verdict::Bad(Value::heard(error.to_string()))),
    };
    let age = now.duration_since(changed).unwrap_or_default();
    let verdict = if age <= it.at_most {
        Verdict::Good
    } else {
        Verdict::Bad(Phrase::ChangedAgo.with([age.into(), it.at_most.into()]))
    };
    Outcome::of(verdict).number("age_seconds", age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_good_while_somebody_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let it = TcpProbe {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let within = Duration::from_secs(2);
        assert_eq!(tcp(&it, within).await.verdict, Verdict::Good);
        drop(listener);
        assert!(matches!(tcp(&it, within).await.verdict, Verdict::Bad(_)));
    }

    #[test]
    fn processes_are_counted_by_the_name_of_their_program() {
        let folder = tempfile::tempdir().unwrap();
        for (id, line) in [
            ("1", "/usr/sbin/apache2\0-k\0start\0"),
            ("22", "/usr/sbin/apache2\0"),
            ("3", "nginx: master process"),
            ("4", ""),
            ("x", "/usr/sbin/apache2\0"),
        ] {
            let process = folder.path().join(id);
            std::fs::create_dir(&process).unwrap();
            std::fs::write(process.join("cmdline"), line).unwrap();
        }
        let of = |name: &str| count(folder.path(), name);
        assert_eq!(
            (of("apache2"), of("nginx"), of("apache")),
            (Some(2), Some(1), Some(0))
        );
        assert_eq!(count(Path::new("/nonexistent"), "x"), None);
    }

    #[test]
    fn a_file_is_good_while_it_is_fresh_and_bad_when_it_is_old_or_gone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let it = FileAgeProbe {
            path: file.path().to_owned(),
            at_most: Duration::from_secs(600),
        };
        let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        assert_eq!(file_age(&it, later(60)).verdict, Verdict::Good);
        assert!(matches!(file_age(&it, later(700)).verdict, Verdict::Bad(_)));
        drop(file);
        assert!(matches!(file_age(&it, later(0)).verdict, Verdict::Bad(_)));
    }
}
