//! One kept connection to a device, with its login.
//!
//! A question is asked on the connection that is open, or on a new one; a challenge is
//! answered once, on a new connection when the device closed the old one. What the login says
//! about waiting is obeyed: a wrong password is never tried again before the device's lock
//! time is over. An answer is read whole or not at all, within a deadline and a limit.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use event::Millis;
use hikvision_isapi::{
    BadUser, Challenge, Credentials, LockInfo, Login, LoginStep, LoginTrouble, ResponseStatus,
    Ticket,
};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::clock;
use crate::detail::{Detail, Says};
use crate::dial::socket;

/// Longest from a question to the end of its answer; 3.4 s is the longest that was measured.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Longest answer. A page of thirty records has some 20 KiB.
const ANSWER_LIMIT: usize = 4 << 20;
/// Rounds of challenge and answer before a question is given up: a nonce that is not taken
/// again costs two more than a fresh one.
const ROUNDS: u32 = 5;
/// Pause while another connection of ours waits for the verdict on the same login.
const VERDICT: Duration = Duration::from_millis(200);

/// A password that no text ever shows.
pub(crate) type Secret = daemon::config::Secret;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The device did not answer in time.
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    /// It refused user or password, and is not asked again before then.
    #[error("user or password refused; the next try is at {} UTC", .0.text())]
    LoginRefused(Millis),
    /// It asks for a login in a way that nobody here speaks.
    #[error(
        "it asks for a login in a way that is not spoken here; switch Digest on in its web authentication"
    )]
    NoLogin,
    /// The answer is longer than any answer is.
    #[error("an answer of more than {ANSWER_LIMIT} bytes")]
    TooLong,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// The login of a device, which all connections to it share: a wrong password counts once.
pub(crate) type SharedLogin = Arc<Mutex<Login>>;

/// One kept connection.
pub(crate) struct Client {
    address: Arc<str>,
    login: SharedLogin,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

/// A login that has not been tried yet, or that was refused by an earlier process and is not
/// tried before that moment.
pub(crate) fn login(
    user: &str,
    secret: &Secret,
    refused_until: Option<Millis>,
) -> Result<SharedLogin, BadUser> {
    let credentials = Credentials::new(user, secret.expose())?;
    let login = match refused_until {
        Some(until) => Login::waiting_until(credentials, until, LoginTrouble::WrongPassword),
        None => Login::new(credentials),
    };
    Ok(Arc::new(Mutex::new(login)))
}

impl Client {
    /// A client that connects when it is first asked. `address` is `host:port`.
    pub(crate) fn new(address: &str, login: SharedLogin) -> Self {
        Self {
            address: address.into(),
            login,
            open: None,
        }
    }

    /// Asks for a document.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Said, Trouble> {
        self.ask(&Method::GET, path, None).await
    }

    /// Asks a question and reads the whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Said, Trouble> {
        let asking = self.rounds(method, path, body);
        match tokio::time::timeout(ANSWER_WITHIN, asking).await {
            Ok(done) => done,
            Err(_) => {
                self.open = None;
                Err(Trouble::Silent)
            }
        }
    }

    async fn rounds(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Said, Trouble> {
        for _ in 0..ROUNDS {
            let pass = pass(&self.login, method, path).await?;
            let header = pass.as_ref().map(|(header, _)| header.as_str());
            let answer = self.send(method, path, body.clone(), header).await?;
            let (head, answer) = answer.into_parts();
            let answer = self.read(answer).await?;
            let close = head.headers.get(CONNECTION);
            if close.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close")) {
                self.open = None;
            }
            let ticket = pass.map(|(_, ticket)| ticket);
            if head.status != StatusCode::UNAUTHORIZED {
                if let Some(ticket) = ticket {
                    lock(&self.login).accepted(ticket);
                }
                return Ok(Said {
                    status: head.status,
                    body: answer,
                });
            }
            let challenges = head.headers.get_all(WWW_AUTHENTICATE);
            let challenges = challenges.iter().filter_map(|value| value.to_str().ok());
            unauthorized(&self.login, ticket, challenges, &answer);
        }
        // The login has said by now how long to wait; if it has not, the device is at odds
        // with itself and is tried again later like one that cannot be reached.
        pass(&self.login, method, path).await?;
        Err(Trouble::Unreachable(
            Detail::from(Says::LoginAgain).to_string(),
        ))
    }

    async fn send(
        &mut self,
        method: &Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        authorization: Option<&str>,
    ) -> Result<Response<Incoming>, Trouble> {
        let was_open = self
            .open
            .as_ref()
            .is_some_and(|open| !open.sender.is_closed());
        if !was_open {
            self.open = Some(connect(&self.address).await?);
        }
        let question = question(&self.address, method, path, body.clone(), authorization)?;
        match self.try_send(question).await {
            // A kept connection that the device closed meanwhile says nothing about the device.
            Err(_) if was_open => {
                self.open = Some(connect(&self.address).await?);
                let question = self::question(&self.address, method, path, body, authorization)?;
                self.try_send(question).await
            }
            done => done,
        }
    }

    async fn try_send(
        &mut self,
        question: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Trouble> {
        let Some(open) = &mut self.open else {
            return Err(Trouble::Unreachable(
                Detail::from(Says::ConnectionGone).to_string(),
            ));
        };
        let sent = async {
            open.sender.ready().await?;
            open.sender.send_request(question).await
        };
        match sent.await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.open = None;
                Err(Trouble::Unreachable(error.to_string()))
            }
        }
    }

    async fn read(&mut self, mut body: Incoming) -> Result<Bytes, Trouble> {
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    self.open = None;
                    return Err(Trouble::Unreachable(error.to_string()));
                }
            };
            if let Ok(data) = frame.into_data() {
                if all.len() + data.len() > ANSWER_LIMIT {
                    self.open = None;
                    return Err(Trouble::TooLong);
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(all.freeze())
    }
}

/// What to say in `Authorization`, if anything yet, with the ticket for the verdict.
pub(super) async fn pass(
    login: &SharedLogin,
    method: &Method,
    path: &str,
) -> Result<Option<(String, Ticket)>, Trouble> {
    loop {
        let now = clock::now();
        {
            let mut login = lock(login);
            match (login.next(now), login.waiting(now)) {
                (LoginStep::Probe, _) => return Ok(None),
                (LoginStep::Authorized, _) => {
                    return Ok(login.authorization(now, method.as_str(), path, &nonce()));
                }
                (_, Some((_, LoginTrouble::NoChallenge))) => return Err(Trouble::NoLogin),
                (_, Some((until, LoginTrouble::WrongPassword | LoginTrouble::Locked))) => {
                    return Err(Trouble::LoginRefused(until));
                }
                (LoginStep::Wait(_), None) => {}
            }
        }
        tokio::time::sleep(VERDICT).await;
    }
}

/// Tells the login of a 401.
pub(super) fn unauthorized<'c>(
    login: &SharedLogin,
    ticket: Option<Ticket>,
    challenges: impl Iterator<Item = &'c str>,
    body: &[u8],
) {
    let challenge = Challenge::choose(challenges);
    let locked: Option<LockInfo> = ResponseStatus::read(body).and_then(|status| status.lock);
    let (mut login, now) = (lock(login), clock::now());
    match ticket {
        Some(ticket) => login.refused(ticket, challenge.as_ref(), locked, now),
        None => login.challenged(challenge, locked, now),
    };
}

/// Opens a connection.
pub(super) async fn open(address: &str) -> Result<TcpStream, Trouble> {
    let opened = socket::open(address).await;
    opened.map_err(|error| Trouble::Unreachable(error.to_string()))
}

async fn connect(address: &str) -> Result<Open, Trouble> {
    let stream = open(address).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Trouble::Unreachable(error.to_string()))?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a connection to a device ended");
        }
    });
    Ok(Open {
        sender,
        driver: driver.abort_handle(),
    })
}

fn question(
    address: &str,
    method: &Method,
    path: &str,
    body: Option<(&'static str, Bytes)>,
    authorization: Option<&str>,
) -> Result<Request<Full<Bytes>>, Trouble> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address);
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if let Some((content_type, _)) = &body {
        request = request.header(CONTENT_TYPE, *content_type);
    }
    let body = body.map(|(_, body)| body).unwrap_or_default();
    // An address or a user that cannot stand in a header.
    request
        .body(Full::new(body))
        .map_err(|error| Trouble::Unreachable(error.to_string()))
}

/// A client nonce for the digest.
pub(super) fn nonce() -> String {
    let mut random = [0; 8];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::error!(%error, "the system gives no random numbers");
    }
    format!("{:016x}", u64::from_be_bytes(random))
}

pub(super) fn lock(login: &SharedLogin) -> std::sync::MutexGuard<'_, Login> {
    login.lock().unwrap_or_else(PoisonError::into_inner)
}
