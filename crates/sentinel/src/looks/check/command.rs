//! Any program as a check, by the convention of Nagios plug-ins: status 0 good, 1 poor, 2 bad,
//! 3 unknown, and a first line for people.
//!
//! The program is started as it stands in the configuration, without a shell, with an empty
//! input and a small environment. It gets a time limit, after which it and everything that it
//! started is killed; of its output a bounded part is read, and its words are hostile text.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::{Outcome, Verdict};
use crate::Value;
use crate::config::looks::CommandProbe;
use crate::words::Phrase;

/// Most of the output that is read, in bytes.
const OUTPUT: u64 = 16 * 1024;

/// Runs it.
pub(super) async fn probe(it: &CommandProbe, within: Duration) -> Outcome {
    let Some((program, arguments)) = it.command.split_first() else {
        return Outcome::of(Verdict::Unknown(Phrase::NoProgram.into()));
    };
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        )
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that what it starts ends with it.
        .process_group(0);
    let started = Command::from(command).kill_on_drop(true).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            let places = [Value::heard(program), Value::heard(error.to_string())];
            return Outcome::of(Verdict::Unknown(Phrase::ProgramFailed.with(places)));
        }
    };
    Outcome::of(
        match tokio::time::timeout(within, finished(&mut child)).await {
            Ok(Ok((status, line))) => judge(status, &line),
            Ok(Err(error)) => Verdict::Unknown(Value::heard(error.to_string())),
            Err(_) => {
                kill_group(&child);
                Verdict::Unknown(Phrase::ProgramLate.with([within.into()]))
            }
        },
    )
}

/// Its exit status, and the first line that it wrote.
async fn finished(child: &mut Child) -> std::io::Result<(Option<i32>, String)> {
    let mut output = Vec::new();
    if let Some(out) = child.stdout.take() {
        // The pipe ends with the last process that holds it, or is closed here when it is full.
        out.take(OUTPUT).read_to_end(&mut output).await?;
    }
    let status = child.wait().await?;
    let text = String::from_utf8_lossy(&output);
    let line = text.lines().next().unwrap_or_default();
    // What follows the bar is for machines.
    let line = line.split('|').next().unwrap_or_default().trim();
    Ok((status.code(), line.to_owned()))
}

fn judge(status: Option<i32>, line: &str) -> Verdict {
    let words = || match line {
        "" => Phrase::ProgramSilent.into(),
        line => Value::heard(line),
    };
    match status {
        Some(0) => Verdict::Good,
        Some(1) => Verdict::Poor(words()),
        Some(2) => Verdict::Bad(words()),
        Some(3) => Verdict::Unknown(words()),
        Some(other) => {
            let status = Value::heard(other.to_string());
            Verdict::Unknown(Phrase::ProgramStatus.with([status, words()]))
        }
        None => Verdict::Unknown(Phrase::ProgramKilled.into()),
    }
}

/// Kills a child that was not waited for yet, so that its number is still its own, and all that
/// it started.
fn kill_group(child: &Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(id) = id.and_then(rustix::process::Pid::from_raw) {
        // Gone already is fine.
        rustix::process::kill_process_group(id, rustix::process::Signal::KILL).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(command: &[&str], within: Duration) -> Verdict {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        probe(&CommandProbe { command }, within).await.verdict
    }

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn the_exit_status_decides_and_the_first_line_is_for_people() {
        let sh = |script: &'static str| async move { run(&["sh", "-c", script], SOON).await };
        assert_eq!(sh("echo fine").await, Verdict::Good);
        let poor = sh("printf 'DISK 91 %%|used=91\\nmore\\n'; exit 1").await;
        assert_eq!(poor, Verdict::Poor(Value::heard("DISK 91 %")));
        assert_eq!(
            sh("exit 2").await,
            Verdict::Bad(Phrase::ProgramSilent.into())
        );
        for script in ["exit 3", "exit 77", "kill -9 $$"] {
            assert!(matches!(sh(script).await, Verdict::Unknown(_)), "{script}");
        }
        let nothing = run(&["/nonexistent/plugin"], SOON).await;
        assert!(matches!(nothing, Verdict::Unknown(_)));
    }

    #[tokio::test]
    async fn no_shell_reads_the_arguments_and_the_environment_is_small() {
        let verdict = run(&["test", "$(id)", "=", "$(id)"], SOON).await;
        assert_eq!(verdict, Verdict::Good);
        let seen = run(&["sh", "-c", "env | grep -q CARGO && exit 2; exit 0"], SOON).await;
        assert_eq!(seen, Verdict::Good);
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let verdict = run(&["sh", "-c", &script], Duration::from_millis(500)).await;
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
        let id = std::fs::read_to_string(&file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        for _ in 0..100 {
            match state() {
                Err(_) => return,
                // A zombie waits for its parent, which may be ours.
                Ok(stat) if stat.contains(") Z ") => return,
                Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        panic!("it still runs: {:?}", state());
    }

    #[tokio::test]
    async fn output_without_end_costs_a_bounded_amount() {
        let verdict = run(&["sh", "-c", "yes"], Duration::from_secs(2)).await;
        assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    }
}
