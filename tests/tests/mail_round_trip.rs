//! Promise: a relay that takes letters and delivers none is noticed, by a test letter that comes
//! back through a mailbox.
//!
//! OpenSMTPD and Dovecot of the distribution, each with a private configuration, in a mount
//! namespace of their own where there is only one of a kind on a machine. Letters go through a
//! script, which can be told to throw them away.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use promises::SentinelProcess;

/// Who runs under which name; each is ended with the value.
struct Servers {
    smtp: u16,
    imaps: u16,
    folder: tempfile::TempDir,
    running: Vec<Child>,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.running {
            // The master ends its workers when it is told to end.
            Command::new("kill")
                .arg(child.id().to_string())
                .status()
                .ok();
            child.wait().ok();
        }
    }
}

/// Hides the machine's own socket and queue, and becomes the mail server.
const APART: &str = "mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=711 tmpfs \
                     /var/spool/smtpd && exec /usr/sbin/smtpd -d -f \"$1\"";

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn started(program: &str, words: &[&str], config: &Path) -> Child {
    let mut command = Command::new(program);
    let silent = command.args(words).arg(config).stdin(Stdio::null());
    let silent = silent.stdout(Stdio::null()).stderr(Stdio::null());
    silent.spawn().unwrap()
}

impl Servers {
    /// `None` without root or the programs.
    async fn start() -> Option<Self> {
        let there = |path: &str| Path::new(path).exists();
        let root = fs::metadata("/proc/self").is_ok_and(|it| {
            use std::os::unix::fs::MetadataExt as _;
            it.uid() == 0
        });
        if !root || !there("/usr/sbin/smtpd") || !there("/usr/sbin/dovecot") {
            return None;
        }
        // Under /tmp, where the user `mail` may go.
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let place = folder.path();
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
        let maildir = place.join("box");
        for name in ["new", "cur", "tmp"] {
            fs::create_dir_all(maildir.join(name)).unwrap();
        }
        let owned = Command::new("chown")
            .args(["-R", "mail:mail"])
            .arg(&maildir)
            .status();
        assert!(owned.unwrap().success());
        let (smtp, imaps) = (free_port(), free_port());
        let mut servers = Self {
            smtp,
            imaps,
            running: Vec::new(),
            folder,
        };
        let (smtpd, dovecot) = (servers.smtpd(&maildir), servers.dovecot(&maildir));
        servers.running = vec![
            started("unshare", &["--mount", "sh", "-c", APART, "smtpd"], &smtpd),
            started("/usr/sbin/dovecot", &["-F", "-c"], &dovecot),
        ];
        for port in [smtp, imaps] {
            let end = Instant::now() + Duration::from_secs(15);
            while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < end, "nobody listens: {}", servers.log());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Some(servers)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("dovecot.log")).unwrap_or_default()
    }

    /// A mail server that gives each letter to a script, which puts it into the mailbox unless
    /// the file `lose` is there.
    fn smtpd(&self, maildir: &Path) -> PathBuf {
        let (lose, maildir) = (self.file("lose"), maildir.display());
        let script = format!(
            "[ -e {} ] && exec cat > /dev/null\nn=$(date +%s%N).$$\n\
             cat > {maildir}/tmp/$n && mv {maildir}/tmp/$n {maildir}/new/$n\n",
            lose.display()
        );
        write(&self.file("keep.sh"), &script, 0o755);
        let config = format!(
            "listen on 127.0.0.1 port {} hostname localhost\n\
             action \"keep\" mda \"/bin/sh {}\" virtual {{ \"@\" = \"mail\" }}\n\
             match from any for any action \"keep\"\n",
            self.smtp,
            self.file("keep.sh").display()
        );
        write(&self.file("smtpd.conf"), &config, 0o600);
        self.file("smtpd.conf")
    }

    fn dovecot(&self, maildir: &Path) -> PathBuf {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        write(&self.file("cert.pem"), &made.cert.pem(), 0o644);
        write(
            &self.file("key.pem"),
            &made.signing_key.serialize_pem(),
            0o600,
        );
        let place = self.folder.path().display();
        let config = format!(
            "base_dir = {place}/run\nstate_dir = {place}/state\nlog_path = {place}/dovecot.log\n\
             protocols = imap\nlisten = 127.0.0.1\nssl = required\n\
             ssl_cert = <{place}/cert.pem\nssl_key = <{place}/key.pem\n\
             mail_location = maildir:{}\nfirst_valid_uid = 1\n\
             passdb {{\n driver = static\n args = password=secreto user=sentinela\n}}\n\
             userdb {{\n driver = static\n args = uid=mail gid=mail home={place}\n}}\n\
             service imap-login {{\n inet_listener imap {{\n port = 0\n }}\n \
             inet_listener imaps {{\n port = {}\n ssl = yes\n }}\n}}\n",
            maildir.display(),
            self.imaps
        );
        write(&self.file("dovecot.conf"), &config, 0o600);
        self.file("dovecot.conf")
    }

    fn configuration(&self) -> String {
        write(&self.file("password"), "secreto\n", 0o640);
        format!(
            "[host]\nwatch = false\n[listen]\nadmin = \"127.0.0.1:0\"\n\
             [mail]\nfrom = \"sentinela@example.mx\"\nrelays = [\"smtp://127.0.0.1:{}\"]\n\
             [mail.round_trip]\naddress = \"prueba@example.mx\"\nurl = \"imaps://127.0.0.1:{}\"\n\
             user = \"sentinela\"\npassword_file = \"{}\"\nauthorities = \"{}\"\n\
             every = \"1m\"\nwithin = \"8s\"\n",
            self.smtp,
            self.imaps,
            self.file("password").display(),
            self.file("cert.pem").display(),
        )
    }

    fn letters(&self) -> usize {
        let count = |name: &str| fs::read_dir(self.file("box").join(name)).unwrap().count();
        count("new") + count("cur")
    }
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

    fs::write(servers.file("lose"), "").unwrap();
    let lost = seen(&sentinel).await;
    assert!(
        lost.contains("mail_round_trip"),
        "{lost}\n{}",
        servers.log()
    );

    fs::remove_file(servers.file("lose")).unwrap();
    write(&servers.file("password"), "equivocada\n", 0o640);
    let shut = seen(&sentinel).await;
    assert!(shut.starts_with("\"unknown\""), "{shut}");
    assert!(!shut.contains("equivocada"), "{shut}");
}
