//! The second way to reach somebody: a signed POST to an address of the operator's choice.
//!
//! The body is JSON. The header `X-Notify-Signature: t=SECONDS,v1=HEX` holds the HMAC-SHA256 of
//! `SECONDS.BODY` under the shared key; `X-Notify-Id` is the letter's identity, by which a
//! receiver recognises a repetition. Redirects are not followed: they could lead the signed
//! text elsewhere.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use daemon::config::Secret;
use http_body_util::Full;
use hyper::Request;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;

use crate::relay::{Brink, Failed, Whose};
use crate::smtp::split_host;
use crate::tls::{self, Stream};
use crate::{Error, ack, letter};
use hmac::Mac as _;

/// An address to which letters are posted.
pub struct Webhook {
    name: String,
    host: String,
    port: u16,
    path: String,
    encrypted: bool,
    key: Secret,
    authorities: Option<String>,
    deadline: Duration,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path often holds a token.
        write!(f, "Webhook({} at {}:{})", self.name, self.host, self.port)
    }
}

/// What is posted.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    /// The letter's identity.
    pub(crate) id: String,
    /// JSON.
    pub(crate) body: String,
}

impl Webhook {
    /// A webhook by the name under which letters are addressed to it, its `http://` or
    /// `https://` address, and the key of its signature.
    ///
    /// # Errors
    /// [`Error::Relay`] when the address is none; it is not repeated, for it may hold a token.
    pub fn new(name: &str, url: &str, key: Secret) -> Result<Self, Error> {
        let wrong = |why: &str| Error::relay(name, why);
        let (encrypted, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(wrong("its address must begin with https:// or http://")),
        };
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(cut);
        let (host, port) =
            split_host(place).ok_or_else(|| wrong("its address has no good host"))?;
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(
                "its address holds a space or a character that is not ASCII",
            ));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            name: name.to_owned(),
            host: host.to_owned(),
            port: port.unwrap_or(if encrypted { 443 } else { 80 }),
            path: format!("{slash}{path}"),
            encrypted,
            key,
            authorities: None,
            deadline: Duration::from_secs(30),
        })
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

    /// How long the whole of it may take; without this 30 seconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The name under which letters are addressed to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn deliver(
        &self,
        post: &Post,
        brink: &Brink,
        now: Timestamp,
    ) -> Result<String, Failed> {
        brink.reach().await?;
        let posted = self.post(post, now);
        match tokio::time::timeout(self.deadline, posted).await {
            Ok(answer) => judge(answer.map_err(|why| Failed::new(Whose::Later, &why))?),
            Err(_) => Err(Failed::new(Whose::Later, "no answer in time")),
        }
    }

    async fn post(&self, post: &Post, now: Timestamp) -> Result<u16, String> {
        let host = self.host.trim_matches(['[', ']']);
        let authorities = self.authorities.as_deref();
        let stream = tls::dial(host, self.port, self.encrypted, authorities).await?;
        let request = Request::post(&self.path)
            .header("host", format!("{}:{}", self.host, self.port))
            .header("user-agent", "notify")
            .header("content-type", "application/json")
            .header("x-notify-id", &post.id)
            .header(
                "x-notify-signature",
                signature(&self.key, post.body.as_bytes(), now),
            )
            .body(Full::new(Bytes::from(post.body.clone())))
            .map_err(|error| error.to_string())?;
        exchange(stream, request).await
    }
}

/// The value of a signature's header for a body that is posted now: `t=SECONDS,v1=HEX`, where HEX
/// is the HMAC-SHA256 of `SECONDS.BODY`.
pub fn signature(key: &Secret, body: &[u8], now: Timestamp) -> String {
    let seconds = now.as_second();
    let mut mac = ack::keyed(key.expose().as_bytes());
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let tag = letter::hex(&mac.finalize().into_bytes());
    format!("t={seconds},v1={tag}")
}

/// One request; only the status of the answer is read.
async fn exchange(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<u16, String> {
    let shown = |error: hyper::Error| error.to_string();
    let opened = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(shown)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // The connection may end in the same moment in which the answer has arrived.
        _ = connection => answer.await,
    };
    Ok(answer.map_err(shown)?.status().as_u16())
}

fn judge(status: u16) -> Result<String, Failed> {
    let words = format!("HTTP {status}");
    match status {
        200..=299 => Ok(words),
        // Asked to wait, or to come again.
        408 | 425 | 429 => Err(Failed::new(Whose::Later, &words)),
        400..=499 => Err(Failed::new(Whose::Refused, &words)),
        _ => Err(Failed::new(Whose::Later, &words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(url: &str) -> Result<Webhook, Error> {
        Webhook::new("chat", url, Secret::new("Jefe".to_owned()))
    }

    #[test]
    fn addresses_are_read_and_a_bad_one_is_not_repeated() {
        let hook_ = hook("https://x.example.mx/in?token=hunter2").unwrap();
        assert_eq!(
            (hook_.port, hook_.path.as_str()),
            (443, "/in?token=hunter2")
        );
        assert_eq!(format!("{hook_:?}"), "Webhook(chat at x.example.mx:443)");
        assert_eq!(hook("http://127.0.0.1:8080").unwrap().path, "/");
        assert_eq!(hook("http://x?a").unwrap().path, "/?a");
        for bad in [
            "ftp://x/hunter2",
            "https:///hunter2",
            "https://x/hunter2 x",
            "https://u:p@x/",
        ] {
            let error = hook(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_signature_is_the_hmac_of_time_and_body() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        // printf '1800000000.{}' | openssl dgst -sha256 -hmac Jefe
        let wanted =
            "t=1800000000,v1=563cca7abd54f48855c1c9484a5a2a001686eff21ce90de8ef9f8df772a78c46";
        let key = Secret::new("Jefe".to_owned());
        assert_eq!(signature(&key, b"{}", now), wanted);
    }

    #[test]
    fn only_a_refusal_is_final() {
        let whose = |status| judge(status).map_err(|failed| failed.whose);
        assert!(whose(200).is_ok() && whose(204).is_ok());
        assert_eq!(whose(404), Err(Whose::Refused));
        for later in [302, 408, 429, 500, 503] {
            assert_eq!(whose(later), Err(Whose::Later));
        }
    }
}
