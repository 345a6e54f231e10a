//! TLS for clients: rustls with ring, the public authorities, and one's own if a file names
//! it.
//!
//! Certificates are always verified here. The one exception, encryption towards a relay that
//! need not offer any, is `smtp.rs`'s own and never carries a password.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A connector that trusts the public authorities and those in `authorities` (PEM).
pub(crate) fn connector(authorities: Option<&str>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in CertificateDer::pem_slice_iter(authorities.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|error| format!("not a certificate: {error}"))?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Bytes to a server and back, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to a server; with `encrypted` by TLS from the first byte, trusting `authorities` (PEM)
/// besides the public ones. `host` has no brackets. Nothing here has a deadline: callers have.
pub(crate) async fn dial(
    host: &str,
    port: u16,
    encrypted: bool,
    authorities: Option<&str>,
) -> Result<Box<dyn Stream>, String> {
    let tcp = TcpStream::connect((host, port)).await;
    let tcp = tcp.map_err(|error| format!("connect: {error}"))?;
    if !encrypted {
        return Ok(Box::new(tcp));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = connector(authorities)?.connect(name, tcp).await;
    Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
}
