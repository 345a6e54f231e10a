//! The handshake in front of a connection that speaks TLS.
//!
//! It has its own limits, because it costs more than any request and nobody has said yet who he
//! is: so many at once, so long each. Afterwards the connection is served as any other.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::{AlertDescription, Error, ProtocolVersion};
use tokio_rustls::server::TlsStream;

use super::crowd::Slot;
use super::{Origin, connection};
use crate::clock;
use crate::hub::Hub;

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Too many at once.
    Busy,
    /// It took too long.
    Timeout,
    /// The peer left in the middle, or never began: also what a port scan or a load balancer's
    /// question looks like.
    BrokenOff,
    /// The peer speaks plain HTTP, or something else.
    Plain,
    /// No version or cipher in common: firmware of before TLS 1.2.
    Incompatible,
    /// The peer does not accept the certificate.
    Certificate,
    /// Anything else.
    Other,
}

impl Failed {
    /// Every way.
    pub(crate) const ALL: [Self; 7] = [
        Self::Busy,
        Self::Timeout,
        Self::BrokenOff,
        Self::Plain,
        Self::Incompatible,
        Self::Certificate,
        Self::Other,
    ];

    /// The word in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::BrokenOff => "broken_off",
            Self::Plain => "plain",
            Self::Incompatible => "incompatible",
            Self::Certificate => "certificate",
            Self::Other => "other",
        }
    }

    /// What the log says, with what to do; `None` for what is nobody's mistake.
    fn advice(self) -> Option<&'static str> {
        match self {
            Self::Busy => Some("more handshakes at once than limits.handshakes"),
            Self::Timeout => Some("the handshake took longer than limits.handshake_seconds"),
            Self::BrokenOff => None,
            Self::Plain => Some(
                "it speaks plain HTTP and this port is TLS; switch HTTPS on in the terminal's \
                 server settings, or give it the plain port",
            ),
            Self::Incompatible => Some(
                "it speaks no TLS of 1.2 or later; give it the plain port over a VPN, or newer \
                 firmware",
            ),
            Self::Certificate => Some(
                "it does not accept the certificate; it must be in force, for the name that stands \
                 in the terminal, with the certificates that vouch for it in the same file",
            ),
            Self::Other => Some("the handshake failed"),
        }
    }

    fn of(error: &io::Error) -> Self {
        let inner = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        match inner {
            None => Self::BrokenOff,
            Some(Error::InvalidMessage(_)) => Self::Plain,
            Some(Error::PeerIncompatible(_)) => Self::Incompatible,
            Some(Error::AlertReceived(alert)) if about_certificate(*alert) => Self::Certificate,
            Some(Error::AlertReceived(
                AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
            )) => Self::Incompatible,
            Some(_) => Self::Other,
        }
    }
}

fn about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            // The signature does not fit a certificate that it knows.
            | AlertDescription::DecryptError
    )
}

/// Shakes hands and serves the connection to its end.
pub(super) async fn serve(hub: Arc<Hub>, stream: TcpStream, origin: Origin, slot: Slot) {
    let end = hub.drain.token();
    let shaken = tokio::select! {
        () = end.cancelled() => return,
        shaken = shake(&hub, stream) => shaken,
    };
    match shaken {
        Ok(stream) => {
            let version = stream.get_ref().1.protocol_version();
            hub.metrics.handshake(word(version));
            // In a box, because a state of TLS is large and most of the time nothing moves.
            Box::pin(connection::serve(hub, Box::new(stream), origin, slot)).await;
        }
        Err(failed) => {
            hub.metrics.handshake_failed(failed);
            if let Some(advice) = failed.advice() {
                hub.refusals
                    .note("tls_handshake", None, origin.address, advice, clock::now());
            }
        }
    }
}

async fn shake(hub: &Hub, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failed> {
    let (most, within) = {
        let limits = &hub.config.load().limits;
        (limits.handshakes, limits.handshake_time)
    };
    let tls = hub.tls.as_ref().ok_or(Failed::Other)?;
    let _place = tls.place(most).ok_or(Failed::Busy)?;
    let accepted = tokio::time::timeout(within, tls.acceptor().accept(stream)).await;
    let accepted = accepted.map_err(|_| Failed::Timeout)?;
    accepted.map_err(|error| Failed::of(&error))
}

/// The versions that are served, as metrics name them.
pub(crate) const VERSIONS: [&str; 2] = ["1.2", "1.3"];

fn word(version: Option<ProtocolVersion>) -> &'static str {
    let [older, newer] = VERSIONS;
    match version {
        Some(ProtocolVersion::TLSv1_3) => newer,
        _ => older,
    }
}
