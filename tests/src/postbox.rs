//! A mail server of our own that keeps what it is given, with the moment at which it said so.
//!
//! It speaks just as much SMTP as a relay needs to hand over a letter, shares no code with what
//! writes the letters, and can be told to refuse everything for a while.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A letter as it was handed over.
#[derive(Debug, Clone)]
pub struct Post {
    /// When it was accepted.
    pub at: Instant,
    /// To whom, as the envelope says.
    pub to: String,
    /// Header and body, with line breaks as sent.
    pub wire: String,
}

impl Post {
    /// A header, unfolded and as it was written; encoded words stay encoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.wire.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let line = head.lines().find(|line| {
            line.split_once(':')
                .is_some_and(|(its, _)| its.eq_ignore_ascii_case(name))
        })?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    /// Subject and text as an independent reader sees them; both empty where it finds no text.
    #[must_use]
    pub fn read(&self) -> (String, String) {
        let read = || {
            let mail = mail_parser::MessageParser::default().parse(self.wire.as_bytes())?;
            let text = mail.body_text(0)?.into_owned();
            Some((mail.subject().unwrap_or_default().to_owned(), text))
        };
        read().unwrap_or_default()
    }
}

/// The server. It ends with the runtime.
#[derive(Debug, Clone)]
pub struct Postbox {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
    refuses: Arc<AtomicBool>,
    door: tokio::task::AbortHandle,
}

impl Postbox {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// There is none.
    pub async fn open() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("no port for mail")?;
        let address = listener.local_addr()?;
        let (posts, refuses) = (Arc::default(), Arc::default());
        let desk = Desk {
            posts: Arc::clone(&posts),
            refuses: Arc::clone(&refuses),
        };
        let door = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = desk.clone();
                tokio::spawn(async move { desk.serve(stream).await.ok() });
            }
        });
        Ok(Self {
            address,
            posts,
            refuses,
            door: door.abort_handle(),
        })
    }

    /// Nobody listens any more.
    pub fn die(&self) {
        self.door.abort();
    }

    /// As it stands in a configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// From now on every sender is told to come again, or no longer.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Everything that was accepted, in order.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until a letter is there that fits.
    ///
    /// # Errors
    /// None came in time; what did come is in the error.
    pub async fn wait(&self, within: Duration, fits: impl Fn(&Post) -> bool) -> Result<Post> {
        let end = Instant::now() + within;
        loop {
            if let Some(post) = self.posts().into_iter().find(|post| fits(post)) {
                return Ok(post);
            }
            if Instant::now() > end {
                let subjects: Vec<_> = self.posts().iter().map(|it| it.header("subject")).collect();
                anyhow::bail!("no such letter within {within:?}; there are: {subjects:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What each conversation shares.
#[derive(Clone)]
struct Desk {
    posts: Arc<Mutex<Vec<Post>>>,
    refuses: Arc<AtomicBool>,
}

impl Desk {
    async fn serve(&self, stream: TcpStream) -> Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        write.write_all(b"220 postbox\r\n").await?;
        let (mut to, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            if read.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let word = line.trim_end().to_ascii_uppercase();
            let reply: &[u8] = match word.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" | "HELO" => b"250 postbox\r\n",
                "MAIL" if self.refuses.load(Ordering::SeqCst) => b"451 come again\r\n",
                "MAIL" | "RSET" | "NOOP" => b"250 fine\r\n",
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                    to = address.to_owned();
                    b"250 fine\r\n"
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let wire = data(&mut read).await?;
                    let post = Post {
                        at: Instant::now(),
                        to: to.clone(),
                        wire,
                    };
                    self.posts
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(post);
                    b"250 kept\r\n"
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                _ => b"502 what\r\n",
            };
            write.write_all(reply).await?;
        }
    }
}

/// The letter up to the lone dot.
async fn data(read: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Result<String> {
    let mut wire = String::new();
    loop {
        let mut line = String::new();
        anyhow::ensure!(read.read_line(&mut line).await? > 0, "the letter broke off");
        if line == ".\r\n" {
            return Ok(wire);
        }
        wire.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
