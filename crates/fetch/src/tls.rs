//! TLS for a watcher: always verified, and the certificate is kept in any case, because one
//! that has expired is what the watcher came to see.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto::ring,
};

use crate::{Failed, Url};

/// Whose certificates are good: the public authorities, and one's own if they are given.
#[derive(Clone)]
pub struct Trust(Arc<RootCertStore>);

impl Default for Trust {
    fn default() -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self(Arc::new(roots))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} authorities)", self.0.len())
    }
}

impl Trust {
    /// The public authorities and those in this PEM text.
    ///
    /// # Errors
    /// The text holds something else than certificates.
    pub fn with(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::clone(&Self::default().0);
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("not a certificate: {error}"))?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// The first certificate in a PEM text, as DER.
#[must_use]
pub fn certificate_of(pem: &[u8]) -> Option<Vec<u8>> {
    let first = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    Some(first.to_vec())
}

/// Verifies as usual, and keeps what was shown.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    shown: Mutex<Option<Vec<u8>>>,
}

impl Witness {
    fn shown(&self) -> Option<Vec<u8>> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        self.judge
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

/// Encrypts a connection; answers it with the certificate that the server showed.
pub(crate) async fn wrap<S: AsyncRead + AsyncWrite + Unpin>(
    tcp: S,
    url: &Url,
    trust: &Trust,
) -> Result<(TlsStream<S>, Option<Vec<u8>>), Failed> {
    let early = |words: String| Failed::Tls(words, None);
    let provider = Arc::new(ring::default_provider());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.0), provider.clone())
        .build()
        .map_err(|error| early(error.to_string()))?;
    let witness = Arc::new(Witness {
        judge,
        shown: Mutex::new(None),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| early(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(url.host().to_owned());
    let name = name.map_err(|error| early(error.to_string()))?;
    match TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await
    {
        Ok(stream) => Ok((stream, witness.shown())),
        Err(error) => Err(Failed::Tls(error.to_string(), witness.shown())),
    }
}
