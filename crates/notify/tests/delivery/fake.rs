//! A fake mail server over TCP that behaves as it is told: well, badly, or not at all.
//!
//! It keeps every message that it accepted, so that tests count what really left.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the server does otherwise than well.
#[derive(Clone)]
pub(crate) enum Manner {
    Good,
    /// Answers with something that is no SMTP.
    Nonsense,
    /// One line without end.
    Endless,
    /// Accepts the connection and says nothing.
    Silent,
    /// Says 451 to the first recipients, so many times.
    Grey(usize),
    /// Says 550 to this recipient.
    Refuses(&'static str),
    /// Says 421 to every sender.
    Closing,
    /// Takes the message and drops the connection instead of saying so, so many times.
    DropsAfterData(usize),
    /// Takes the message and never says so.
    HangsAfterData,
    /// Refuses the message itself with 554.
    RefusesContent,
    /// Waits before it says that the message is taken.
    Slow(Duration),
    /// Offers STARTTLS and then talks nonsense.
    BrokenTls,
    /// Offers STARTTLS and means it.
    Encrypts(TlsAcceptor),
    /// Speaks TLS from the first byte.
    Encrypted(TlsAcceptor),
    /// Refuses every login with 535.
    RefusesLogin,
}

/// A message that was taken over.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) to: String,
    pub(crate) data: String,
    pub(crate) encrypted: bool,
}

impl Taken {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ");
        let start = format!("{name}: ");
        let found = unfolded.lines().find_map(|line| line.strip_prefix(&start));
        found.map(str::to_owned)
    }
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    commands: Vec<String>,
    greyed: usize,
    dropped: usize,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            manner: Arc::new(Mutex::new(manner)),
            state: Arc::default(),
        };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let session = Session {
                    manner: server.manner.lock().unwrap().clone(),
                    state: Arc::clone(&server.state),
                };
                tokio::spawn(async move {
                    if let Manner::Encrypted(acceptor) = session.manner.clone() {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            session.serve(stream, true).await;
                        }
                    } else {
                        session.serve(stream, false).await;
                    }
                });
            }
        });
        fake
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.state.lock().unwrap().taken.clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }
}

struct Session {
    manner: Manner,
    state: Arc<Mutex<State>>,
}

/// What follows a command.
enum Step {
    Say(String),
    TakeData,
    Encrypt,
    Quit,
}

impl Session {
    async fn serve<S>(self, stream: S, encrypted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut stream = BufReader::new(stream);
        match self.manner {
            Manner::Silent => return tokio::time::sleep(Duration::from_secs(60)).await,
            Manner::Endless => {
                while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
                return;
            }
            Manner::Nonsense => {
                let said = stream
                    .write_all(b"\xff\xfe<html>no mail here\r\n\0\r\n")
                    .await;
                return drop(said);
            }
            _ => {}
        }
        if self.talk(&mut stream, true, encrypted).await == Some(true) {
            let stream = stream.into_inner();
            match self.manner.clone() {
                Manner::Encrypts(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        let mut stream = BufReader::new(stream);
                        self.talk(&mut stream, false, true).await;
                    }
                }
                _ => {
                    let mut stream = stream;
                    drop(stream.write_all(b"this is not TLS\r\n").await);
                }
            }
        }
    }

    /// Answers true when the other side wants TLS now.
    async fn talk<S>(&self, stream: &mut BufReader<S>, greet: bool, encrypted: bool) -> Option<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if greet {
            stream.write_all(b"220 fake ESMTP\r\n").await.ok()?;
        }
        let mut to = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            self.state
                .lock()
                .unwrap()
                .commands
                .push(line.trim_end().to_owned());
            match self.step(line.trim_end(), &mut to, encrypted) {
                Step::Say(words) => stream.write_all(words.as_bytes()).await.ok()?,
                Step::Quit => return None,
                Step::Encrypt => {
                    stream.write_all(b"220 go ahead\r\n").await.ok()?;
                    return Some(true);
                }
                Step::TakeData => {
                    stream.write_all(b"354 go ahead\r\n").await.ok()?;
                    let data = read_data(stream).await?;
                    let taken = Taken {
                        to: to.clone(),
                        data,
                        encrypted,
                    };
                    let words = self.take(taken).await?;
                    stream.write_all(words.as_bytes()).await.ok()?;
                }
            }
        }
    }

    fn step(&self, line: &str, to: &mut String, encrypted: bool) -> Step {
        let say = |words: &str| Step::Say(format!("{words}\r\n"));
        let offers = matches!(self.manner, Manner::BrokenTls | Manner::Encrypts(_)) && !encrypted;
        let upper = line.to_ascii_uppercase();
        match upper.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" if offers => say("250-fake\r\n250 STARTTLS"),
            "EHLO" => say("250-fake\r\n250 AUTH PLAIN LOGIN"),
            "STARTTLS" => Step::Encrypt,
            "AUTH" if matches!(self.manner, Manner::RefusesLogin) => {
                say("535 5.7.8 wrong password")
            }
            "AUTH" => say("235 welcome"),
            "MAIL" if matches!(self.manner, Manner::Closing) => say("421 going down"),
            "RCPT" => {
                *to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                self.recipient(to)
            }
            "DATA" => Step::TakeData,
            "QUIT" => Step::Quit,
            "MAIL" => say("250 ok"),
            _ => say("500 what?"),
        }
    }

    fn recipient(&self, to: &str) -> Step {
        let words = match self.manner {
            Manner::Grey(times) => {
                let mut state = self.state.lock().unwrap();
                state.greyed += 1;
                if state.greyed <= times {
                    "451 4.7.1 greylisted"
                } else {
                    "250 ok"
                }
            }
            Manner::Refuses(who) if who == to => "550 5.1.1 no such user",
            _ => "250 ok",
        };
        Step::Say(format!("{words}\r\n"))
    }

    async fn take(&self, taken: Taken) -> Option<String> {
        if let Manner::RefusesContent = self.manner {
            return Some("554 5.6.0 not this\r\n".to_owned());
        }
        {
            let mut state = self.state.lock().unwrap();
            state.taken.push(taken);
            if let Manner::DropsAfterData(times) = self.manner {
                state.dropped += 1;
                if state.dropped <= times {
                    return None;
                }
            }
        }
        match self.manner {
            Manner::Slow(pause) => tokio::time::sleep(pause).await,
            Manner::HangsAfterData => tokio::time::sleep(Duration::from_secs(60)).await,
            _ => {}
        }
        Some("250 2.0.0 taken\r\n".to_owned())
    }
}

async fn read_data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return String::from_utf8(data).ok();
        }
        let stuffed = line.starts_with(b".");
        data.extend_from_slice(&line[usize::from(stuffed)..]);
    }
}
