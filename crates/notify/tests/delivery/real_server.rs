//! One run with a mail server of the distribution: OpenSMTPD, on a port of its own.
//!
//! It is started here, takes the letter, and delivers it into a folder, where an independent
//! reader looks at it. Without the server, or the rights that it needs, the test says loudly
//! that it did not run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{Body, SmtpRelay, State};

use crate::support::{Hand, letter, pump, skipped, ways};

const TEST: &str = "a_real_mail_server_takes_the_letter_and_delivers_it_as_it_was";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The server delivers as the user `mail`, who must get through.
fn configure(folder: &Path, port: u16) -> (PathBuf, PathBuf) {
    let (config, boxes) = (folder.join("smtpd.conf"), folder.join("boxes"));
    fs::create_dir(&boxes).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&boxes, Permissions::from_mode(0o777)).unwrap();
    let text = format!(
        "listen on 127.0.0.1 port {port} hostname localhost\n\
         action \"keep\" mda \"/bin/sh -c 'cat > {0}/new && mv {0}/new {0}/mail'\" \
         virtual {{ \"@\" = \"mail\" }}\n\
         match from any for any action \"keep\"\n",
        boxes.display()
    );
    fs::write(&config, text).unwrap();
    (config, boxes.join("mail"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn answers(port: u16) -> bool {
    let end = Instant::now() + Duration::from_secs(15);
    while Instant::now() < end {
        if tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test]
async fn a_real_mail_server_takes_the_letter_and_delivers_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (config, mailbox) = configure(folder.path(), port);
    let log = folder.path().join("log");
    let started = Command::new("/usr/sbin/smtpd")
        .args(["-d", "-f"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn();
    let Ok(child) = started else {
        return skipped(TEST, "OpenSMTPD is not there (apt-get install opensmtpd)");
    };
    let _server = Server(child);
    if !answers(port).await {
        let said = fs::read_to_string(&log).unwrap_or_default();
        return skipped(TEST, &format!("OpenSMTPD does not start here: {said}"));
    }
    let relay = SmtpRelay::new(&format!("smtp://127.0.0.1:{port}")).unwrap();
    let hand = Hand::new();
    let pump = pump(&hand, ways(vec![Arc::new(relay)])).await;
    let mut letter = letter("INC-1", "open", "soporte@example.mx");
    letter.body = Body::new()
        .heading("Año")
        .line(".")
        .line(&"ñ".repeat(500))
        .line("From x");
    pump.outbox()
        .queue_all(std::slice::from_ref(&letter), hand.now())
        .await
        .unwrap();
    pump.tick().await.unwrap();
    let standing = pump.outbox().standing(&letter.id()).await.unwrap().unwrap();
    assert_eq!(standing.state, State::Delivered, "{standing:?}");

    let end = Instant::now() + Duration::from_secs(15);
    while !mailbox.exists() && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mail = fs::read(&mailbox).unwrap();
    let parsed = mail_parser::MessageParser::default().parse(&mail).unwrap();
    assert_eq!(parsed.subject(), Some(letter.subject.as_str()));
    assert_eq!(
        parsed.message_id(),
        Some(format!("{}@example.mx", letter.id()).as_str())
    );
    let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(text, letter.body.text());
    assert_eq!(parsed.parts.len(), 3);
}
