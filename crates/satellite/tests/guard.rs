//! satellite writes by itself when sentinel is silent: seen by a mail server and a health page
//! that are both played here, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use satellite::config::SentinelGuard;
use satellite::guard::watch;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A health page that answers with the number it is told.
async fn health(status: Arc<AtomicU16>) -> fetch::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 2048];
            if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                continue;
            }
            let status = status.load(Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nwell");
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    format!("http://{at}/healthz").parse().unwrap()
}

type Mails = Arc<Mutex<Vec<String>>>;

fn header(mail: &str, name: &str) -> String {
    let mut lines = mail.lines();
    let line = lines.find(|line| line.starts_with(name));
    line.unwrap_or_default()
        .trim_start_matches(name)
        .trim()
        .to_owned()
}

/// Keeps a letter. One that goes again, because satellite ended before it knew that the first was
/// taken, has the number of the first and is the same letter to whoever reads it.
fn keep(mails: &Mails, mail: String) {
    let mut mails = mails.lock().unwrap();
    let id = header(&mail, "Message-ID:");
    assert!(!id.is_empty(), "{mail}");
    if mails.iter().all(|known| header(known, "Message-ID:") != id) {
        mails.push(mail);
    }
}

/// A mail server that takes everything.
async fn mail_server() -> (String, Mails) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mails = Mails::default();
    let kept = Arc::clone(&mails);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                let mut lines = BufReader::new(reader).lines();
                writer.write_all(b"220 fake\r\n").await.unwrap();
                let (mut data, mut in_data) = (String::new(), false);
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer: &[u8] = match line.as_str() {
                        "." if in_data => {
                            in_data = false;
                            keep(&kept, std::mem::take(&mut data));
                            b"250 taken\r\n"
                        }
                        line if in_data => {
                            data.push_str(line);
                            data.push('\n');
                            continue;
                        }
                        "DATA" => {
                            in_data = true;
                            b"354 go on\r\n"
                        }
                        "QUIT" => b"221 bye\r\n",
                        _ => b"250 fine\r\n",
                    };
                    if writer.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("smtp://{at}"), mails)
}

async fn until(mails: &Mails, count: usize) {
    for _ in 0..600 {
        if mails.lock().unwrap().len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} mails instead of {count}", mails.lock().unwrap().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sentinel_gives_one_mail_and_its_return_another_in_the_same_thread() {
    let status = Arc::new(AtomicU16::new(503));
    let (relay, mails) = mail_server().await;
    let guard = SentinelGuard {
        health_url: health(Arc::clone(&status)).await,
        // Below what the configuration takes, so that the test is short: asked every 5 s.
        silent_after: Duration::from_secs(6),
        from: "satelite@example.mx".to_owned(),
        to: vec!["soporte@example.mx".to_owned()],
        relays: vec![relay],
        login: None,
        language: notify::Language::Spanish,
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_owned();
    let first = CancellationToken::new();
    let run = |end: CancellationToken| {
        let (guard, state) = (guard.clone(), state.clone());
        tokio::spawn(async move { watch(&guard, &state, end).await })
    };
    let running = run(first.clone());
    until(&mails, 1).await;
    first.cancel();
    running.await.unwrap().unwrap();

    // A restart of satellite: told already, and the end of the silence is told in the thread.
    let second = CancellationToken::new();
    let running = run(second.clone());
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(mails.lock().unwrap().len(), 1);
    status.store(200, Ordering::SeqCst);
    until(&mails, 2).await;
    second.cancel();
    running.await.unwrap().unwrap();
    let mails = mails.lock().unwrap();
    assert!(
        mails[0].contains("systemctl restart sentinel"),
        "{}",
        mails[0]
    );
    assert!(mails[0].contains("HTTP 503"), "{}", mails[0]);
    assert_eq!(
        header(&mails[1], "In-Reply-To:"),
        header(&mails[0], "Message-ID:")
    );
}
