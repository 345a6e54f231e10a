//! Promise: `satellite top` shows what happens on a terminal of 80 by 24, ends on q and on Ctrl-C
//! with the terminal as it was, and without one says what to use instead. The pictures of it in the
//! manuals are what it draws.
//!
//! The terminal is a pseudo-terminal that Python's own library makes; what came out of it is read
//! here. Without Python a test here says loudly that it tried nothing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use promises::{Place, SatelliteProcess, Setup, Tenant, attlog, blocking, picture};

/// Runs the words in a pseudo-terminal of 80 by 24, presses a key after some seconds, and prints
/// what came, whether the settings of the terminal are the old ones, and the exit status.
const STAGE: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
key, wait, words = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.environ["TERM"] = "xterm"
    os.execv(words[0], words)
said, begun, pressed, status, raw = b"", time.time(), False, None, None
while time.time() - begun < 30:
    if select.select([master], [], [], 0.1)[0]:
        said += os.read(master, 65536)
    if not pressed and time.time() - begun > wait:
        raw = termios.tcgetattr(slave) != before
        os.write(master, key.encode())
        pressed = True
    ended, code = os.waitpid(child, os.WNOHANG)
    if ended:
        status = os.waitstatus_to_exitcode(code)
        break
else:
    os.kill(child, 9)
while select.select([master], [], [], 0.2)[0]:
    said += os.read(master, 65536)
print(json.dumps({"said": said.decode(errors="replace"), "status": status, "raw": raw,
                  "restored": termios.tcgetattr(slave) == before}))
"#;

/// What a terminal saw.
fn staged(key: &str, words: &[&str]) -> Result<serde_json::Value> {
    let output = Command::new("python3")
        .args(["-c", STAGE, key, "5"])
        .args(words)
        .stdin(Stdio::null())
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the stage failed: {errors}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The last screen that was drawn before the terminal was given back.
fn screen(said: &str) -> Result<Vec<String>> {
    let (_, last) = said.rsplit_once("\u{1b}[H").context("nothing was drawn")?;
    let whole = last.split("\u{1b}[?25h").next().unwrap_or_default();
    let lines = whole.split("\r\n");
    Ok(lines.map(|line| line.replace("\u{1b}[K", "")).collect())
}

fn ended_well(seen: &serde_json::Value) -> Result<()> {
    ensure!(seen["raw"] == true, "keys were not taken one by one");
    ensure!(seen["status"] == 0, "status {}", seen["status"]);
    ensure!(seen["restored"] == true, "the terminal is not as it was");
    let said = seen["said"].as_str().unwrap_or_default();
    ensure!(said.contains("\u{1b}[?1049h"), "not on the other screen");
    let left = said.ends_with("\u{1b}[?25h\u{1b}[?1049l");
    ensure!(left, "the screen was not given back");
    Ok(())
}

/// Three clients, and a sender of another make whose mapping does not fit.
fn setup(folder: &Path) -> Result<Setup> {
    let mapping = folder.join("mapping.toml");
    std::fs::write(
        &mapping,
        "make = 'x'\nformat = 'json'\n[fields]\ntime = 'at'\nperson = 'user'\n",
    )?;
    let tenant = |id: &str| Tenant {
        id: id.to_owned(),
        own: None,
    };
    let mut setup = Setup::new(Place::sqlite(folder));
    setup.tenants = ["acme", "norte", "panaderia"].map(tenant).into();
    let enrolled = [
        ("TOP0000001", "acme"),
        ("TOP0000002", "acme"),
        ("TOP0000003", "norte"),
        ("TOP0000004", "panaderia"),
    ];
    setup.terminals = enrolled
        .map(|(serial, tenant)| (serial.to_owned(), tenant.to_owned()))
        .into();
    setup.more = format!("[[mapping]]\nfile = {mapping:?}\n\n");
    Ok(setup)
}

/// Posts what that sender's mapping cannot read, as soon as it is served.
async fn unfit(satellite: &SatelliteProcess) -> Result<()> {
    let add = [
        "devices", "add", "--tenant", "acme", "--vendor", "other", "--serial", "BIO-1", "--listen",
        "--json",
    ];
    let said: serde_json::Value = serde_json::from_str(&satellite.command(add).await?)?;
    let path = said["listen"]["path"].as_str().context("no path")?;
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: 7\r\n\r\n{{\"x\":1}}"
    );
    for _ in 0..150 {
        let reply = satellite.send(post.as_bytes()).await;
        if reply.is_ok_and(|reply| reply.status == 200) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("never served")
}

/// Punches of now at every terminal, one of them unknown, until somebody has seen enough.
async fn punches(satellite: &SatelliteProcess) {
    for person in 1.. {
        let Ok(now) = jiff::Timestamp::now().in_tz("America/Mexico_City") else {
            return;
        };
        let line = format!("{person}\t{}\t0\t1\n", now.strftime("%Y-%m-%d %H:%M:%S"));
        for terminal in 1 + person % 2..=5 {
            let serial = format!("TOP000000{terminal}");
            let punch = attlog(&serial, "9999", line.as_bytes());
            satellite.send(&punch).await.ok();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Both languages: how it ends, and what it shows.
fn shown(program: &Path, config: &Path) -> Result<()> {
    let (program, config) = (program.to_string_lossy(), config.to_string_lossy());
    let words = |lang| {
        let words = ["top", "--lang", lang, "--every", "1s", "--config", &config];
        [&[&*program][..], &words].concat()
    };
    for (key, lang, name, needed) in [
        (
            "q",
            "en",
            "images/top.svg",
            ["acme", "events/s", "q: quit", "mapping_unfit"],
        ),
        (
            "\u{3}",
            "es",
            "es/imagenes/top.svg",
            ["acme", "eventos/s", "q: salir", "mapping_unfit"],
        ),
    ] {
        let seen = staged(key, &words(lang))?;
        ended_well(&seen).with_context(|| format!("{key:?}: {seen:#}"))?;
        let lines = screen(seen["said"].as_str().unwrap_or_default())?;
        ensure!(lines.len() == 24, "{} lines: {lines:#?}", lines.len());
        ensure!(
            lines.iter().all(|line| line.chars().count() <= 80),
            "{lines:#?}"
        );
        let all = lines.join("\n");
        for word in &needed {
            ensure!(all.contains(word), "no {word}: {lines:#?}");
        }
        picture(name, &format!("$ satellite top --lang {lang}"), &lines)?;
    }
    let output = Command::new(&*program)
        .args(&words("en")[1..])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty());
    ensure!(
        said.contains("/status") && said.contains("devices list"),
        "{said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_what_happens_and_gives_the_terminal_back_as_it_was() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3; NOTHING was tried");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let satellite = SatelliteProcess::start(&setup(folder.path()).unwrap())
        .await
        .unwrap();
    unfit(&satellite).await.unwrap();
    let (program, config) = (
        satellite.program().to_owned(),
        satellite.folder().join("satellite.toml"),
    );
    let looking = blocking(move || shown(&program, &config));
    tokio::select! {
        seen = looking => seen.unwrap(),
        () = punches(&satellite) => {}
    }
    // The doctor names the sender too, and how to see more of it.
    let said = satellite.said(&["doctor", "--json"]).await.unwrap();
    assert!(said.contains("mapping_unfit (BIO-1)"), "{said}");
    assert!(said.contains("devices show BIO-1"), "{said}");
}
