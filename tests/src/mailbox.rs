//! A mail server that takes everything and keeps it, for promises that end in a mail.
//!
//! Enough SMTP for one polite client. It never refuses and never hangs: those faults have tests
//! of their own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A running mail server, and what it was given.
pub struct Mailbox {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Mailbox {
    /// Listens at that address; port 0 is any free one.
    ///
    /// # Errors
    /// The address cannot be used.
    pub async fn open(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mails = Arc::default();
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Ok(Self { address, mails })
    }

    /// The relay's address as it stands in a configuration.
    #[must_use]
    pub fn relay(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Everything that was taken so far, the oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<String> {
        let mails = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.clone()
    }

    /// Waits for a mail that holds this text, and answers it with how long that took.
    ///
    /// # Errors
    /// None came in time; the error holds what came.
    pub async fn wait_for(&self, text: &str, within: Duration) -> Result<(String, Duration)> {
        let began = Instant::now();
        while began.elapsed() < within {
            if let Some(mail) = self.mails().into_iter().find(|mail| mail.contains(text)) {
                return Ok((mail, began.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!(
            "no mail with '{text}' within {within:?}: {:#?}",
            self.mails()
        )
    }
}

async fn serve(stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut data: Option<String> = None;
    if writer.write_all(b"220 mailbox\r\n").await.is_err() {
        return;
    }
    while let Ok(Some(line)) = lines.next_line().await {
        let answer: &[u8] = match (&mut data, line.as_str()) {
            (Some(text), ".") => {
                let mail = std::mem::take(text);
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(mail);
                data = None;
                b"250 taken\r\n"
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                data = Some(String::new());
                b"354 go on\r\n"
            }
            (None, "QUIT") => b"221 bye\r\n",
            (None, _) => b"250 fine\r\n",
        };
        if writer.write_all(answer).await.is_err() {
            return;
        }
    }
}
