//! systemd's word on a unit, through `systemctl`.
//!
//! Where there is no systemd, or it does not answer, the state is unknown and never active.
//! The unit's name was checked by the configuration, and no shell is involved.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Value;
use crate::words::Phrase;

/// Longest wait for `systemctl show`.
const SHOW_WITHIN: Duration = Duration::from_secs(3);
/// Longest wait for a restart to be accepted.
const RESTART_WITHIN: Duration = Duration::from_secs(5);

/// The state of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It runs, or is about to.
    Active,
    /// It does not; in systemd's words.
    Inactive(String),
    /// It cannot be told.
    Unknown(Value),
}

/// Asks systemd.
pub async fn state(unit: &str) -> State {
    asked("systemctl", unit).await
}

async fn asked(program: &str, unit: &str) -> State {
    let mut command = command(program);
    command.args([
        "show",
        "--property=LoadState,ActiveState,SubState",
        "--",
        unit,
    ]);
    match tokio::time::timeout(SHOW_WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => read(&String::from_utf8_lossy(&output.stdout)),
        Ok(Ok(output)) => {
            let words = String::from_utf8_lossy(&output.stderr);
            State::Unknown(Phrase::SystemctlSays.with([Value::heard(words.trim())]))
        }
        Ok(Err(error)) => {
            State::Unknown(Phrase::NoSystemctl.with([Value::heard(error.to_string())]))
        }
        Err(_) => State::Unknown(Phrase::SystemctlLate.into()),
    }
}

fn read(text: &str) -> State {
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let (Some(load), Some(active)) = (value("LoadState"), value("ActiveState")) else {
        return State::Unknown(Phrase::UnitUnread.into());
    };
    if load != "loaded" {
        return State::Unknown(Phrase::UnitNotLoaded.with([Value::heard(load)]));
    }
    match active {
        "active" | "reloading" | "activating" | "refreshing" => State::Active,
        "inactive" | "failed" | "deactivating" | "maintenance" => {
            let sub = value("SubState").unwrap_or_default();
            State::Inactive(format!("{active} ({sub})"))
        }
        other => State::Unknown(Phrase::UnitOdd.with([Value::heard(other)])),
    }
}

/// Restarts a unit without waiting until it is up.
///
/// # Errors
/// systemd refuses, for example because our user may not; in its words.
pub(super) async fn restart(unit: &str) -> Result<(), String> {
    let mut command = command("systemctl");
    command.args(["restart", "--no-block", "--no-ask-password", "--", unit]);
    match tokio::time::timeout(RESTART_WITHIN, command.output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("systemctl gives no answer".to_owned()),
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        // Without its own service manager it would report that failure to ours.
        .env_remove("NOTIFY_SOCKET")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemds_words_are_read_and_everything_unexpected_is_unknown() {
        let of = |load: &str, active: &str| {
            read(&format!(
                "LoadState={load}\nActiveState={active}\nSubState=x\n"
            ))
        };
        for active in ["active", "activating", "reloading"] {
            assert_eq!(of("loaded", active), State::Active);
        }
        assert_eq!(
            of("loaded", "failed"),
            State::Inactive("failed (x)".to_owned())
        );
        for (load, active) in [
            ("not-found", "inactive"),
            ("masked", "active"),
            ("loaded", "new"),
        ] {
            assert!(
                matches!(of(load, active), State::Unknown(_)),
                "{load} {active}"
            );
        }
        for text in ["", "ActiveState=active\n", "garbage"] {
            assert!(matches!(read(text), State::Unknown(_)), "{text}");
        }
    }

    #[tokio::test]
    async fn without_systemd_the_state_is_unknown_and_never_active() {
        for program in ["/nonexistent/systemctl", "false", "true"] {
            let state = asked(program, "satellite.service").await;
            assert!(matches!(state, State::Unknown(_)), "{program}: {state:?}");
        }
    }
}
