//! Promise: a relay that takes letters and delivers none is noticed, by a test letter that comes
//! back through a mailbox.
//!
//! OpenSMTPD and Dovecot of the distribution, each with a private configuration. Letters go through
//! a script, which can be told to throw them away.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use promises::{SentinelProcess, Smtpd, free_port};

const DOVECOT: &str = "/usr/sbin/dovecot";

/// A mail server that puts letters into a mailbox unless it is told to lose them, and Dovecot, which
/// shows that mailbox.
struct Servers {
    smtp: Smtpd,
    imaps: SocketAddr,
    folder: tempfile::TempDir,
    dovecot: Child,
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The master ends its workers when it is told to end.
        let own = self.dovecot.id().to_string();
        Command::new("kill").arg(own).status().ok();
        self.dovecot.wait().ok();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Puts a letter into a maildir, or throws it away while the file `lose` is there.
fn keep(boxes: &Path) -> String {
    let place = boxes.display();
    format!(
        "[ -e {place}/lose ] && exec cat > /dev/null\n\
         umask 077\nmkdir -p {place}/box/new {place}/box/cur {place}/box/tmp\n\
         n=$(date +%s%N).$$\ncat > {place}/box/tmp/$n && mv {place}/box/tmp/$n {place}/box/new/$n\n"
    )
}

impl Servers {
    /// `None` without root or the programs.
    async fn start() -> Option<Self> {
        if !Smtpd::is_possible() || !Path::new(DOVECOT).exists() {
            return None;
        }
        let smtp = Smtpd::start(keep).await.unwrap();
        // Under /tmp, where the user `mail` may go.
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let imaps = free_port().unwrap();
        let config = dovecot(folder.path(), &smtp.boxes().join("box"), imaps);
        let dovecot = Command::new(DOVECOT)
            .args(["-F", "-c"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let servers = Self {
            smtp,
            imaps,
            folder,
            dovecot,
        };
        let end = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(imaps).is_err() {
            assert!(Instant::now() < end, "nobody listens: {}", servers.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(servers)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("dovecot.log")).unwrap_or_default()
    }

    fn configuration(&self) -> String {
        write(&self.file("password"), "secreto\n", 0o640);
        format!(
            "[host]\nwatch = false\n[listen]\nadmin = \"127.0.0.1:0\"\n\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"{}\"]\n\
             [mail.round_trip]\naddress = \"prueba@example.mx\"\nurl = \"imaps://{}\"\n\
             user = \"sentinela\"\npassword_file = \"{}\"\nauthorities = \"{}\"\n\
             every = \"1m\"\nwithin = \"8s\"\n",
            self.smtp.url(),
            self.imaps,
            self.file("password").display(),
            self.file("cert.pem").display(),
        )
    }

    fn letters(&self) -> usize {
        let count = |name: &str| {
            let folder = self.smtp.boxes().join("box").join(name);
            fs::read_dir(folder).unwrap().count()
        };
        count("new") + count("cur")
    }
}

/// Writes Dovecot's configuration and its certificate; answers where.
fn dovecot(place: &Path, maildir: &Path, imaps: SocketAddr) -> PathBuf {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    write(&place.join("cert.pem"), &made.cert.pem(), 0o644);
    let key = made.signing_key.serialize_pem();
    write(&place.join("key.pem"), &key, 0o600);
    let config = place.join("dovecot.conf");
    let (place, maildir, port) = (place.display(), maildir.display(), imaps.port());
    let text = format!(
        "base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\n\
         protocols = imap\nlisten = 127.0.0.1\nssl = required\n\
         ssl_cert = <{place}/cert.pem\nssl_key = <{place}/key.pem\n\
         mail_location = maildir:{maildir}\nfirst_valid_uid = 1\n\
         passdb {{\n driver = static\n args = password=secreto user=sentinela\n}}\n\
         userdb {{\n driver = static\n args = uid=mail gid=mail home={place}\n}}\n\
         service imap-login {{\n inet_listener imap {{\n port = 0\n }}\n \
         inet_listener imaps {{\n port = {port}\n ssl = yes\n }}\n}}\n"
    );
    write(&config, &text, 0o600);
    config
}

/// What the look at the mailbox saw: its state, kinds and words.
async fn seen(sentinel: &SentinelProcess) -> String {
    let seen = sentinel
        .json(["check", "--connect", "--json"])
        .await
        .unwrap();
    let list = seen["seen"].as_array().unwrap().iter();
    let mut own = list.filter(|it| it["look"] == "round_trip");
    let it = own.next().unwrap_or_else(|| panic!("{seen:#}"));
    format!("{} {} {}", it["state"], it["kinds"], it["words"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_takes_letters_and_delivers_none_is_told_by_a_test_letter_that_stays_away() {
    let Some(servers) = Servers::start().await else {
        eprintln!(
            "SKIPPED, LOUDLY: needs root, OpenSMTPD and Dovecot (apt-get install opensmtpd dovecot-imapd)"
        );
        return;
    };
    let sentinel = SentinelProcess::prepare(&servers.configuration()).unwrap();
    let well = seen(&sentinel).await;
    assert!(well.starts_with("\"fine\""), "{well}\n{}", servers.log());
    assert_eq!(servers.letters(), 0, "a test letter is removed again");

    let lose = servers.smtp.boxes().join("lose");
    fs::write(&lose, "").unwrap();
    let lost = seen(&sentinel).await;
    assert!(
        lost.contains("mail_round_trip"),
        "{lost}\n{}",
        servers.log()
    );

    fs::remove_file(&lose).unwrap();
    write(&servers.file("password"), "equivocada\n", 0o640);
    let shut = seen(&sentinel).await;
    assert!(shut.starts_with("\"unknown\""), "{shut}");
    assert!(!shut.contains("equivocada"), "{shut}");
}
