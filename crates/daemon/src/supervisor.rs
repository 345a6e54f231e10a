//! The conversation with systemd, and the only file that touches its library.
//!
//! Readiness, reloads, the end, one line of status, the watchdog, and sockets that were opened
//! for us. Without systemd every call is a quiet no-op, so that callers need no condition. The
//! environment is left as it is: taking variables out of it is not safe once threads run, and
//! all of them name our own process, so that children do not mistake them for theirs. Failures
//! are logged and never returned: no daemon should end because its supervisor did not listen.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use systemd::daemon;

/// Start-up is finished, or a reload is.
pub fn ready() {
    tell(&[(daemon::STATE_READY, "1")]);
}

/// The configuration is being read again; [`ready`] ends this state.
pub fn reloading() {
    tell(&[(daemon::STATE_RELOADING, "1")]);
}

/// The end has begun.
pub fn stopping() {
    tell(&[(daemon::STATE_STOPPING, "1")]);
}

/// One line for `systemctl status`. Control characters become spaces: a line break would
/// start another assignment, and a NUL cannot be sent at all.
pub fn status(text: &str) {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    tell(&[(daemon::STATE_STATUS, line.as_str())]);
}

/// How often to [`ping`]: half of the unit's `WatchdogSec=`. `None` when no watchdog waits
/// for this process.
pub fn watchdog_interval() -> Option<Duration> {
    match daemon::watchdog_enabled() {
        Ok(0) => None,
        Ok(microseconds) => Some(Duration::from_micros(microseconds) / 2),
        Err(error) => {
            tracing::warn!(%error, "the watchdog's setting cannot be read; it is not pinged");
            None
        }
    }
}

/// Tells the watchdog that work moves.
pub fn ping() {
    tell(&[(daemon::STATE_WATCHDOG, "1")]);
}

/// The listening TCP sockets that systemd opened for this process, with the names of their
/// socket units (`FileDescriptorName=`), set to non-blocking. Passed descriptors of another
/// kind are logged and left alone.
///
/// Only the first call in a process returns anything, because a descriptor can have only one
/// owner.
pub fn listeners() -> Vec<(String, TcpListener)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Vec::new();
    }
    let passed = match daemon::listen_fds_with_names() {
        Ok(passed) => passed,
        Err(error) => {
            tracing::warn!(%error, "the sockets passed by systemd cannot be read");
            return Vec::new();
        }
    };
    let mut listeners = Vec::with_capacity(passed.len());
    for (fd, name) in passed.iter() {
        let name = name.to_string_lossy().into_owned();
        match listener(fd) {
            Ok(socket) => listeners.push((name, socket)),
            Err(error) => {
                tracing::warn!(name, fd, %error, "a socket passed by systemd is of no use");
            }
        }
    }
    listeners
}

fn listener(fd: i32) -> Result<TcpListener, Box<dyn std::error::Error>> {
    let socket = daemon::tcp_listener(fd)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tell(state: &[(&str, &str)]) {
    if let Err(error) = daemon::notify(state.iter()) {
        tracing::debug!(%error, ?state, "systemd was not reached");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::process::{Command, Stdio};

    const CHILD: &str = "DAEMON_TEST_IS_CHILD";

    /// True inside the copy of this test program that [`rerun`] started.
    fn is_child() -> bool {
        std::env::var_os(CHILD).is_some()
    }

    /// Runs one test again in a process of its own, because the environment of a running
    /// process cannot be changed safely. `prefix` goes before `exec` in a shell.
    fn rerun(test: &str, prefix: &str) -> Command {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{prefix} exec \"$0\" \"$@\" 3<&0"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &format!("supervisor::tests::{test}")])
            .env(CHILD, "1")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    #[test]
    fn without_systemd_every_call_is_a_quiet_no_op() {
        if !is_child() {
            let status = rerun("without_systemd_every_call_is_a_quiet_no_op", "").status();
            assert!(status.unwrap().success());
            return;
        }
        ready();
        reloading();
        status("taking events");
        ping();
        stopping();
        assert_eq!(watchdog_interval(), None);
        assert!(listeners().is_empty());
    }

    #[test]
    fn systemd_hears_each_state_in_one_datagram_and_status_stays_on_one_line() {
        if is_child() {
            ready();
            status("2 terminals\nREADY=0\0");
            ping();
            reloading();
            stopping();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let status = rerun(
            "systemd_hears_each_state_in_one_datagram_and_status_stays_on_one_line",
            "",
        )
        .env("NOTIFY_SOCKET", &path)
        .status();
        assert!(status.unwrap().success());
        let heard: Vec<String> = (0..5)
            .map(|_| {
                let mut buffer = [0; 256];
                let n = socket.recv(&mut buffer).unwrap();
                String::from_utf8(buffer[..n].to_vec()).unwrap()
            })
            .collect();
        assert_eq!(
            heard,
            [
                "READY=1",
                "STATUS=2 terminals READY=0 ",
                "WATCHDOG=1",
                "RELOADING=1",
                "STOPPING=1"
            ]
        );
    }

    #[test]
    fn the_watchdog_is_pinged_at_half_of_its_time() {
        if is_child() {
            assert_eq!(watchdog_interval(), Some(Duration::from_secs(15)));
            return;
        }
        let status = rerun("the_watchdog_is_pinged_at_half_of_its_time", "")
            .env("WATCHDOG_USEC", "30000000")
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn a_socket_passed_by_systemd_comes_with_its_name_and_only_once() {
        if is_child() {
            let mut sockets = listeners();
            assert_eq!(sockets.len(), 1);
            assert!(listeners().is_empty());
            let (name, socket) = sockets.remove(0);
            socket.set_nonblocking(false).unwrap();
            let (mut peer, _) = socket.accept().unwrap();
            peer.write_all(name.as_bytes()).unwrap();
            return;
        }
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let status = rerun(
            "a_socket_passed_by_systemd_comes_with_its_name_and_only_once",
            "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=devices",
        )
        .stdin(OwnedFd::from(socket))
        .status();
        assert!(status.unwrap().success());
        let mut name = String::new();
        peer.read_to_string(&mut name).unwrap();
        assert_eq!(name, "devices");
    }
}
