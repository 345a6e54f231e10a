//! One HTTP request to an address of the operator's choice, for whoever watches something.
//!
//! A watcher's client differs from an ordinary one: the stage at which it failed is the result
//! (no name, nobody there, no TLS, no answer), the time it took is a figure, and a certificate
//! is of interest above all when it is not good. So nothing here retries, follows a redirect,
//! keeps a connection or a cookie, and nothing the other side does takes longer than the
//! deadline or more memory than the limit. Certificates are always verified.

mod prompt;
mod reach;
mod tls;
mod url;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use prompt::Prompt;
pub use tls::{Trust, certificate_of};
pub use url::{BadUrl, Url};

/// A request to be sent once.
#[derive(Debug, Clone)]
pub struct Fetch {
    url: Url,
    method: hyper::Method,
    headers: Vec<(String, String)>,
    body: Bytes,
    within: Duration,
    limit: usize,
    trust: Trust,
    only_public: bool,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 100 to 999.
    pub status: u16,
    /// Where a redirect points.
    pub location: Option<String>,
    /// The body, at most as long as the limit.
    pub body: Vec<u8>,
    /// True when there was more of the body than was read.
    pub is_cut: bool,
    /// From the first look for the name to the last byte that was read.
    pub took: Duration,
    /// The `Date` of the other side, as it wrote it.
    pub date: Option<String>,
    /// The server's own certificate (DER), where the connection was encrypted.
    pub certificate: Option<Vec<u8>>,
}

/// At which stage a request failed. The words are one line, from this side or the system's;
/// none is the other side's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The name has no address.
    #[error("the name was not found: {0}")]
    Name(String),
    /// The machine answers that nobody takes connections there.
    #[error("no connection: {0}")]
    Refused(String),
    /// The name leads only to addresses of inner networks, and those are not allowed.
    #[error("the name leads to an inner address, which is not allowed: {0}")]
    Inner(String),
    /// There is no way there, or nothing came back.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection stands, and encryption failed. With the certificate (DER), if one was
    /// shown.
    #[error("TLS: {0}")]
    Tls(String, Option<Vec<u8>>),
    /// What came is not HTTP, or ended too early.
    #[error("no HTTP answer: {0}")]
    Http(String),
    /// The deadline passed; the word names the stage it was in.
    #[error("no answer within {} s ({stage})", .after.as_secs_f32())]
    Late {
        /// `name`, `connect`, `tls` or `answer`.
        stage: &'static str,
        /// The deadline.
        after: Duration,
    },
}

impl Failed {
    /// True when not even a connection could be made: the other side may be switched off, or
    /// the way to it cut.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Name(_) | Self::Refused(_) | Self::Connect(_) => true,
            Self::Late { stage, .. } => matches!(*stage, "name" | "connect"),
            Self::Inner(_) | Self::Tls(..) | Self::Http(_) => false,
        }
    }
}

/// Bytes of a body that are read unless told otherwise.
const LIMIT: usize = 256 * 1024;
/// The deadline unless told otherwise.
const WITHIN: Duration = Duration::from_secs(10);

impl Fetch {
    /// A GET, within 10 s, of at most 256 KiB.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            url,
            method: hyper::Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
            within: WITHIN,
            limit: LIMIT,
            trust: Trust::default(),
            only_public: false,
        }
    }

    /// The same as a POST with this body.
    #[must_use]
    pub fn post(url: Url, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut fetch = Self::get(url).header("content-type", content_type);
        fetch.method = hyper::Method::POST;
        fetch.body = body.into();
        fetch
    }

    /// Sends this header too.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long all of it may take.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// How much of the body is read, in bytes.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Whose certificates are good.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Goes only to addresses of the open internet: never to this machine, to its network or to
    /// any other inner one, whatever the name leads to at that moment.
    #[must_use]
    pub fn only_public(mut self, only: bool) -> Self {
        self.only_public = only;
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// [`Failed`], never later than the deadline.
    pub async fn send(self) -> Result<Answer, Failed> {
        let mut body = Vec::new();
        let answer = self.send_to(|piece| body.extend_from_slice(piece)).await;
        answer.map(|answer| Answer { body, ..answer })
    }

    /// Sends it, and hands over the body piece by piece as it comes instead of keeping it: the
    /// answer's own is empty. What was handed over counts only if this succeeds.
    ///
    /// # Errors
    /// [`Failed`], never later than the deadline.
    pub async fn send_to(self, mut each: impl FnMut(&[u8]) + Send) -> Result<Answer, Failed> {
        let began = Instant::now();
        let stage = Stage::default();
        let after = self.within;
        let answered = tokio::time::timeout(after, self.run(&stage, began, &mut each)).await;
        answered.unwrap_or_else(|_| {
            Err(Failed::Late {
                stage: stage.name(),
                after,
            })
        })
    }

    async fn run(
        self,
        stage: &Stage,
        began: Instant,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, Failed> {
        let tcp = connect(&self.url, stage, self.only_public).await?;
        if !self.url.is_encrypted() {
            stage.enter("answer");
            return self.exchange(tcp, None, began, each).await;
        }
        stage.enter("tls");
        let (stream, certificate) = tls::wrap(tcp, &self.url, &self.trust).await?;
        stage.enter("answer");
        self.exchange(stream, certificate, began, each).await
    }

    async fn exchange<S>(
        self,
        stream: S,
        certificate: Option<Vec<u8>>,
        began: Instant,
        each: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Answer, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| Failed::Http(error.to_string());
        let request = self.request()?;
        let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = opened.map_err(broken)?;
        let work = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let header = |name| {
                let value = answer.headers().get(name);
                value.and_then(|it| it.to_str().ok()).map(str::to_owned)
            };
            let location = header(hyper::header::LOCATION);
            let date = header(hyper::header::DATE);
            let is_cut = read(answer.into_body(), self.limit, each).await?;
            Ok(Answer {
                status,
                location,
                body: Vec::new(),
                is_cut,
                took: began.elapsed(),
                date,
                certificate,
            })
        };
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => answer,
            // The connection may end in the same moment in which the answer has arrived.
            _ = connection => work.await,
        }
    }

    fn request(&self) -> Result<hyper::Request<Full<Bytes>>, Failed> {
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(self.url.path())
            .header("host", self.url.authority())
            .header("connection", "close");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(self.body.clone()));
        request.map_err(|error| Failed::Http(error.to_string()))
    }
}

/// A connection, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for S {}

/// Opens a connection to where the URL points, encrypted when that begins with `https`, and speaks
/// no HTTP on it: for other protocols that are as careful about names and certificates, and stay
/// connected. The path means nothing. With `only_public`, only to addresses of the open internet.
///
/// # Errors
/// [`Failed`], never later than the deadline.
pub async fn open(
    url: &Url,
    trust: &Trust,
    only_public: bool,
    within: Duration,
) -> Result<Box<dyn Duplex>, Failed> {
    let stage = Arc::new(Stage::default());
    let reach = async {
        let tcp = Prompt(connect(url, &stage, only_public).await?);
        if !url.is_encrypted() {
            return Ok(Box::new(tcp) as Box<dyn Duplex>);
        }
        stage.enter("tls");
        let (stream, _) = tls::wrap(tcp, url, trust).await?;
        Ok(Box::new(stream) as Box<dyn Duplex>)
    };
    let reached = tokio::time::timeout(within, reach).await;
    reached.unwrap_or_else(|_| {
        Err(Failed::Late {
            stage: stage.name(),
            after: within,
        })
    })
}

/// Opens a plain connection to where the URL points, trying each address of the name.
async fn connect(url: &Url, stage: &Stage, only_public: bool) -> Result<TcpStream, Failed> {
    stage.enter("name");
    let found = tokio::net::lookup_host((url.host(), url.port())).await;
    let addresses = found.map_err(|error| Failed::Name(error.to_string()))?;
    stage.enter("connect");
    let mut last = Failed::Connect("the name has no address".to_owned());
    for address in addresses {
        if only_public && !reach::is_public(address.ip()) {
            last = Failed::Inner(address.ip().to_string());
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Or what is written in two pieces waits for the other side to say that it has the
                // first, which it puts off for 40 ms. Without it everything is only slower.
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Err(error) => {
                let words = format!("{address}: {error}");
                last = match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => Failed::Refused(words),
                    _ => Failed::Connect(words),
                };
            }
        }
    }
    Err(last)
}

/// Hands over up to `limit` bytes of a body; true when there was more.
async fn read(
    mut body: Incoming,
    limit: usize,
    each: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<bool, Failed> {
    let mut room = limit;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Http(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        each(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok(true);
        }
        room -= data.len();
    }
    Ok(false)
}

/// The stage that a request is in, for the words of its deadline.
#[derive(Debug, Default)]
struct Stage(std::sync::Mutex<&'static str>);

impl Stage {
    fn enter(&self, name: &'static str) {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = name;
    }

    fn name(&self) -> &'static str {
        *self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The certificate (DER) that a TLS server shows, good or not, without a word of HTTP.
///
/// # Errors
/// [`Failed`]: nobody is there, or it does not speak TLS, in which case there may be a
/// certificate all the same.
pub async fn certificate(url: &Url, trust: &Trust, within: Duration) -> Result<Vec<u8>, Failed> {
    let stage = Arc::new(Stage::default());
    let look = async {
        let tcp = connect(url, &stage, false).await?;
        stage.enter("tls");
        let (_, certificate) = tls::wrap(tcp, url, trust).await?;
        certificate.ok_or_else(|| Failed::Tls("no certificate was shown".to_owned(), None))
    };
    let looked = tokio::time::timeout(within, look).await;
    looked.unwrap_or_else(|_| {
        Err(Failed::Late {
            stage: stage.name(),
            after: within,
        })
    })
}

#[cfg(test)]
mod tests;
