//! The machine's clock, and whether terminals may set theirs from it.
//!
//! This is the one place of the daemon that reads the time of day. A machine that says of
//! itself that its clock is not synchronised must not pass that clock on; one that cannot say
//! (a container without a service manager) is believed, because its host keeps the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event::Millis;
use hyper::header::HeaderValue;

use crate::config::ClockTrust;

/// Longest wait for the system's own word on its clock.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// Now, by the machine's clock.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The clock as terminals may see it.
pub(crate) struct HouseClock {
    synchronised: AtomicBool,
    date: Mutex<(i64, HeaderValue)>,
}

impl HouseClock {
    /// A clock that is believed until [`Self::ask_system`] says otherwise.
    pub(crate) fn new() -> Self {
        Self {
            synchronised: AtomicBool::new(true),
            date: Mutex::new((i64::MIN, HeaderValue::from_static(""))),
        }
    }

    /// False while the system says that its clock is not synchronised.
    pub(crate) fn is_synchronised(&self) -> bool {
        self.synchronised.load(Ordering::Relaxed)
    }

    /// Asks the system about its clock and remembers the answer.
    pub(crate) async fn ask_system(&self, trust: ClockTrust) {
        let said = match trust {
            ClockTrust::Trusted => None,
            ClockTrust::AskSystem => system_word().await,
        };
        let synchronised = said.unwrap_or(true);
        if self.synchronised.swap(synchronised, Ordering::Relaxed) != synchronised {
            if synchronised {
                tracing::info!("the system's clock is synchronised again");
            } else {
                tracing::warn!(
                    "the system's clock is not synchronised; terminals are not given the time"
                );
            }
        }
    }

    /// The value of a `Date` header (RFC 9110), made once a second.
    pub(crate) fn date(&self, now: Millis) -> HeaderValue {
        let second = now.0.div_euclid(1000);
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if date.0 != second {
            let text = now
                .timestamp()
                .strftime("%a, %d %b %Y %H:%M:%S GMT")
                .to_string();
            if let Ok(value) = HeaderValue::from_str(&text) {
                *date = (second, value);
            }
        }
        date.1.clone()
    }
}

/// Whether the system says that its clock is synchronised; `None` where there is no `timedatectl`
/// or no service behind it.
pub async fn system_word() -> Option<bool> {
    let mut command = tokio::process::Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    // Without its own service manager it would report that failure to ours.
    command
        .env_remove("NOTIFY_SOCKET")
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(ASK_WITHIN, command.output())
        .await
        .ok()?
        .ok()?;
    if !output.status.success() {
        return None;
    }
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_has_the_form_that_old_firmware_reads() {
        let clock = HouseClock::new();
        let date = clock.date(Millis(1_795_252_530_000));
        assert_eq!(date, "Sat, 21 Nov 2026 09:15:30 GMT");
        assert_eq!(clock.date(Millis(1_795_252_530_999)), date);
        assert_ne!(clock.date(Millis(1_795_252_531_000)), date);
    }

    #[tokio::test]
    async fn a_trusted_clock_is_synchronised_whatever_the_system_says() {
        let clock = HouseClock::new();
        clock.synchronised.store(false, Ordering::Relaxed);
        clock.ask_system(ClockTrust::Trusted).await;
        assert!(clock.is_synchronised());
    }
}
