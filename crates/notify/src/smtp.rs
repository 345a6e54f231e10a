//! One SMTP relay: connect, encrypt, log in, hand over one message.
//!
//! Every stage has its own judgement of whose fault a failure is, which is why the stages are
//! driven here one by one. Every stage has a deadline, and one connection may send us at most
//! one mebibyte, so that a hostile relay costs neither time nor memory without end. A password
//! never travels unencrypted, except to this machine itself.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use daemon::config::Secret;
use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::mime::Wire;
use crate::relay::{Brink, Failed, Relay, Whose};
use crate::{Error, tls};

/// Bytes that a relay may send on one connection.
const ANSWER_BYTES: usize = 1024 * 1024;

/// How an `smtp://` relay is asked to encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Encrypt when the relay offers it, with whatever certificate it has, and go on in the
    /// clear when that fails: for relays in one's own network.
    Opportunistic,
    /// Encrypt with a verified certificate, or do not send.
    Required,
    /// Never encrypt: only for a relay on this machine.
    Never,
}

/// A relay to which mail goes by SMTP.
pub struct SmtpRelay {
    name: String,
    host: String,
    port: u16,
    /// TLS from the first byte (`smtps://`).
    implicit: bool,
    /// `None`: required with a password, otherwise opportunistic.
    starttls: Option<StartTls>,
    login: Option<(String, Secret)>,
    authorities: Option<String>,
    hello: ClientId,
    deadline: Duration,
}

impl fmt::Debug for SmtpRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpRelay({})", self.name)
    }
}

impl SmtpRelay {
    /// `smtp://host[:25]` or `smtps://host[:465]`.
    ///
    /// # Errors
    /// [`Error::Relay`]: another scheme, no host, a bad port, or a user or password inside
    /// (they do not belong there; see [`SmtpRelay::login`]).
    pub fn new(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::relay(url, why);
        let (implicit, rest) = match url.split_once("://") {
            Some(("smtp", rest)) => (false, rest),
            Some(("smtps", rest)) => (true, rest),
            _ => return Err(wrong("it must begin with smtp:// or smtps://")),
        };
        if rest.contains('@') {
            // The text is not repeated: it may hold the password.
            return Err(Error::relay(
                "smtp://…@…",
                "user and password stand beside the address (user, password_file), not in it",
            ));
        }
        let (host, port) = split_host(rest.trim_end_matches('/'))
            .ok_or_else(|| wrong("after the scheme comes host or host:port"))?;
        let port = port.unwrap_or(if implicit { 465 } else { 25 });
        let scheme = if implicit { "smtps" } else { "smtp" };
        Ok(Self {
            name: format!("{scheme}://{host}:{port}"),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            implicit,
            starttls: None,
            login: None,
            authorities: None,
            hello: own_name(),
            deadline: Duration::from_secs(30),
        })
    }

    /// Logs in with a password, which has been read from its file.
    #[must_use]
    pub fn login(mut self, user: &str, password: Secret) -> Self {
        self.login = Some((user.to_owned(), password));
        self
    }

    /// How to encrypt on `smtp://`. Without this: required with a password (except to this
    /// machine itself), opportunistic without.
    #[must_use]
    pub fn starttls(mut self, how: StartTls) -> Self {
        self.starttls = Some(how);
        self
    }

    /// Trusts these authorities (PEM) besides the public ones.
    ///
    /// # Errors
    /// [`Error::Relay`] when the text holds something else than certificates.
    pub fn trust(mut self, pem: &str) -> Result<Self, Error> {
        tls::connector(Some(pem)).map_err(|why| Error::relay(&self.name, &why))?;
        self.authorities = Some(pem.to_owned());
        Ok(self)
    }

    /// How long each stage may take: all up to the recipient, the word DATA, the message.
    /// Without this 30 seconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether the relay is there: connected, greeted and encrypted as [`Relay::deliver`] does it,
    /// and then left. [`Relay::would_take`] asks for more, and needs the password for it.
    ///
    /// # Errors
    /// [`Failed`], within a little more than the deadline.
    pub async fn greets(&self) -> Result<(), Failed> {
        let opened = self.encrypted();
        let mut connection = self.within("handshake", Whose::Relay, opened).await?;
        drop(tokio::time::timeout(Duration::from_millis(300), connection.quit()).await);
        Ok(())
    }

    fn is_local(&self) -> bool {
        let address: Result<std::net::IpAddr, _> = self.host.parse();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn how_to_encrypt(&self) -> StartTls {
        self.starttls.unwrap_or_else(|| match &self.login {
            Some(_) if !self.is_local() => StartTls::Required,
            _ => StartTls::Opportunistic,
        })
    }

    async fn within<T>(
        &self,
        what: &str,
        whose: Whose,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let timed = tokio::time::timeout(self.deadline, work).await;
        let seconds = self.deadline.as_secs_f32();
        timed.unwrap_or_else(|_| {
            let words = format!("{what}: no answer within {seconds} s");
            Err(Failed::new(whose, &words))
        })
    }

    /// A stream to the relay, encrypted from the first byte for `smtps://`.
    async fn dial(&self) -> Result<Box<dyn AsyncTokioStream>, Failed> {
        let relay = |words: String| Failed::new(Whose::Relay, &words);
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|error| relay(format!("connect: {error}")))?;
        let peer = tcp.peer_addr();
        let peer = peer.map_err(|error| relay(format!("connect: {error}")))?;
        if !self.implicit {
            return Ok(Box::new(Bounded::new(tcp, peer)));
        }
        let connector: TlsConnector = tls::connector(self.authorities.as_deref()).map_err(relay)?;
        let name = ServerName::try_from(self.host.clone());
        let name = name.map_err(|error| relay(error.to_string()))?;
        let bounded = Bounded::new(tcp, peer);
        let stream = connector.connect(name, bounded).await;
        let stream = stream.map_err(|error| relay(format!("TLS: {error}")))?;
        Ok(Box::new(Bounded::new(stream, peer)))
    }

    async fn greet(&self) -> Result<AsyncSmtpConnection, Failed> {
        let stream = self.dial().await?;
        AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
            .await
            .map_err(|error| of_relay("greeting", &error))
    }

    async fn encrypt(
        &self,
        connection: &mut AsyncSmtpConnection,
        verify: bool,
    ) -> Result<(), Failed> {
        let broken = |error: SmtpError| of_relay("STARTTLS", &error);
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(pem) = self.authorities.as_deref() {
            let certificate = Certificate::from_pem(pem.as_bytes()).map_err(broken)?;
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.dangerous_accept_invalid_certs(!verify);
        let parameters = parameters.build_rustls().map_err(broken)?;
        connection
            .starttls(parameters, &self.hello)
            .await
            .map_err(broken)
    }

    /// Connected, greeted, and encrypted where that is wanted.
    async fn encrypted(&self) -> Result<AsyncSmtpConnection, Failed> {
        let mut connection = self.greet().await?;
        if !self.implicit {
            match self.how_to_encrypt() {
                StartTls::Never => {}
                StartTls::Required => self.encrypt(&mut connection, true).await?,
                StartTls::Opportunistic if connection.can_starttls() => {
                    if self.encrypt(&mut connection, false).await.is_err() {
                        connection = self.greet().await?;
                    }
                }
                StartTls::Opportunistic => {}
            }
        }
        Ok(connection)
    }

    /// The same, and logged in where that is wanted.
    async fn open(&self) -> Result<AsyncSmtpConnection, Failed> {
        let mut connection = self.encrypted().await?;
        if let Some((user, password)) = &self.login {
            let safe = self.implicit || self.is_local();
            if !safe && self.how_to_encrypt() != StartTls::Required {
                let words = "a password is not sent over a connection that is not verified";
                return Err(Failed::new(Whose::Relay, words));
            }
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await
                .map_err(|error| of_relay("login", &error))?;
        }
        Ok(connection)
    }

    async fn sender(connection: &mut AsyncSmtpConnection, from: &Address) -> Result<(), Failed> {
        let sender = Mail::new(Some(from.clone()), vec![]);
        let answer = connection.command(sender).await;
        answer
            .map(drop)
            .map_err(|error| of_relay("the sender is refused", &error))
    }

    async fn envelope(connection: &mut AsyncSmtpConnection, message: &Wire) -> Result<(), Failed> {
        Self::sender(connection, &message.from).await?;
        let recipient = Rcpt::new(message.to.clone(), vec![]);
        let answer = connection.command(recipient).await;
        answer
            .map(drop)
            .map_err(|error| of_message("the recipient is refused", &error, Whose::Relay))
    }
}

#[async_trait]
impl Relay for SmtpRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn deliver(&self, message: &Wire, brink: &Brink) -> Result<String, Failed> {
        let opened = async {
            let mut connection = self.open().await?;
            Self::envelope(&mut connection, message).await?;
            Ok(connection)
        };
        let mut connection = self
            .within("before the message", Whose::Relay, opened)
            .await?;
        brink.reach().await?;
        let asked = async {
            let asked = connection.command(Data).await;
            asked.map_err(|error| of_message("the message is refused", &error, Whose::Relay))
        };
        self.within("DATA", Whose::Relay, asked).await?;
        let handed = async {
            let handed = connection.message(&message.bytes).await;
            handed.map_err(|error| of_message("after the message", &error, Whose::Unknown))
        };
        let answer = self
            .within("after the message", Whose::Unknown, handed)
            .await?;
        // Politeness; the message is theirs already.
        drop(tokio::time::timeout(Duration::from_millis(300), connection.quit()).await);
        let words: Vec<&str> = answer.message().collect();
        Ok(crate::text::short(&words.join(" "), 200))
    }

    async fn would_take(&self, from: &Address) -> Result<(), Failed> {
        let asked = async {
            let mut connection = self.open().await?;
            Self::sender(&mut connection, from).await?;
            Ok(connection)
        };
        let mut connection = self.within("probe", Whose::Relay, asked).await?;
        // Without a recipient there is no letter: leaving is enough.
        drop(tokio::time::timeout(Duration::from_millis(300), connection.quit()).await);
        Ok(())
    }
}

/// A failure for which the relay as a whole answers.
fn of_relay(what: &str, error: &SmtpError) -> Failed {
    Failed::new(Whose::Relay, &format!("{what}: {error}"))
}

/// A failure that may concern this recipient or message alone. 421 says that the relay is
/// closing down (RFC 5321, 3.8), which is not the recipient's fault.
fn of_message(what: &str, error: &SmtpError, otherwise: Whose) -> Failed {
    let code = error.status().map(|code| code.to_string());
    let whose = match code.as_deref() {
        Some("421") => Whose::Relay,
        _ if error.is_transient() => Whose::Later,
        _ if error.is_permanent() => Whose::Refused,
        _ => otherwise,
    };
    Failed::new(whose, &format!("{what}: {error}"))
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(crate) fn split_host(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.rfind(':') {
        Some(at) if !text.ends_with(']') => (&text[..at], Some(text[at + 1..].parse().ok()?)),
        _ => (text, None),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !host.is_empty() && host.bytes().all(plain)
        }
    };
    good.then_some((host, port))
}

/// The name to greet with: the machine's if it is a plain one, otherwise a literal that every
/// server must take.
fn own_name() -> ClientId {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    if !name.is_empty() && name.len() < 200 && name.bytes().all(plain) {
        return ClientId::Domain(name.to_owned());
    }
    ClientId::Ipv4(std::net::Ipv4Addr::LOCALHOST)
}

/// A stream from which only so much can be read.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    peer: SocketAddr,
    left: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S, peer: SocketAddr) -> Self {
        let left = ANSWER_BYTES;
        Self { stream, peer, left }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(std::io::Error::other("the relay talks without end")));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.left = self.left.saturating_sub(read);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S> AsyncTokioStream for Bounded<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug,
{
    fn peer_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_relays_are_read_and_a_password_in_one_is_refused_unrepeated() {
        let named = |url: &str| SmtpRelay::new(url).map(|relay| relay.name);
        assert_eq!(
            named("smtp://mx.example.mx").unwrap(),
            "smtp://mx.example.mx:25"
        );
        assert_eq!(
            named("smtps://mx.example.mx/").unwrap(),
            "smtps://mx.example.mx:465"
        );
        assert_eq!(named("smtp://[::1]:2525").unwrap(), "smtp://[::1]:2525");
        for bad in [
            "mx.example.mx",
            "http://x",
            "smtp://",
            "smtp://x:y",
            "smtp://a b",
            "smtp://[x]",
        ] {
            assert!(named(bad).is_err(), "{bad}");
        }
        let error = named("smtp://u:hunter2@mx.example.mx")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("password_file") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_password_makes_verified_encryption_required_except_on_this_machine() {
        let relay = |url: &str| SmtpRelay::new(url).unwrap();
        let secret = || Secret::new("hunter2".to_owned());
        assert_eq!(relay("smtp://x").how_to_encrypt(), StartTls::Opportunistic);
        assert_eq!(
            relay("smtp://x").login("u", secret()).how_to_encrypt(),
            StartTls::Required
        );
        let local = relay("smtp://127.0.0.1").login("u", secret());
        assert_eq!(local.how_to_encrypt(), StartTls::Opportunistic);
        assert_eq!(format!("{local:?}"), "SmtpRelay(smtp://127.0.0.1:25)");
    }
}
