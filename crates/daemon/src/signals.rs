//! Signals from the service manager and from the keyboard, as two wishes.
//!
//! SIGTERM and SIGINT both mean "finish what is in flight and end", SIGHUP means "read the
//! configuration again". Handlers are installed once, early; a signal that arrives while
//! nobody waits is kept until the next call. Nothing here decides what a wish leads to.

use std::io;

use tokio::signal::unix::{Signal as Source, SignalKind, signal};

/// What the process was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Finish what is in flight and end: SIGTERM or SIGINT.
    Terminate,
    /// Read the configuration again: SIGHUP.
    Reload,
}

/// The installed handlers.
#[derive(Debug)]
pub struct Signals {
    terminate: Source,
    interrupt: Source,
    hangup: Source,
}

impl Signals {
    /// Installs the handlers. From here on the signals no longer end the process by
    /// themselves.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    ///
    /// # Panics
    /// Outside a tokio runtime with its I/O driver enabled.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next wish. Several equal signals may be told as one. Safe to drop and
    /// call again: nothing is lost.
    pub async fn next(&mut self) -> Signal {
        // An end outranks a reload when both wait. A source that ended (`None`) only happens
        // when the runtime goes down; its branch is then switched off.
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Terminate,
            Some(()) = self.hangup.recv() => Signal::Reload,
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Duration;

    /// The shell's own `kill` is there also where no such program is installed.
    fn send(name: &str) {
        let command = format!("kill -s {name} {}", std::process::id());
        let status = Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success());
    }

    #[tokio::test]
    async fn term_and_int_mean_the_end_and_hup_means_reload() {
        let mut signals = Signals::new().unwrap();
        for (name, wish) in [
            ("HUP", Signal::Reload),
            ("TERM", Signal::Terminate),
            ("INT", Signal::Terminate),
        ] {
            send(name);
            let got = tokio::time::timeout(Duration::from_secs(10), signals.next()).await;
            assert_eq!(got.unwrap(), wish, "SIG{name}");
        }
    }
}
