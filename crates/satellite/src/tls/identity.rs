//! A certificate with its key, read from files and checked before it serves anybody.
//!
//! Whatever is wrong is told at the key of the configuration that names the file, with what to
//! do next. The private key leaves this module only inside rustls, and no message repeats it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::config::{Said, secret_file};
use event::Millis;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Longest file of certificates that is read, in bytes.
const LIMIT: u64 = 256 * 1024;

/// Where certificate and key are, as the configuration names them: an absolute path, or a bare
/// name that is looked up where passwords are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of this server, then those that vouch for it (PEM).
    pub certificate: String,
    /// Its private key (PEM), which not everybody may read.
    pub key: String,
}

impl TlsFiles {
    /// The paths that both have now, as far as they exist.
    pub(super) fn paths(&self, places: &[PathBuf]) -> [Option<PathBuf>; 2] {
        [&self.certificate, &self.key].map(|name| find(name, places))
    }
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificate's.
    Certificate,
    /// The private key's.
    Key,
}

impl Part {
    /// The key of the configuration that names it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Certificate => "listen.devices_tls.certificate",
            Self::Key => "listen.devices_tls.key",
        }
    }
}

/// What is wrong with one of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which file.
    pub part: Part,
    /// What, and what to do about it.
    pub said: Said,
}

impl Wrong {
    fn certificate(en: impl Into<String>, es: impl Into<String>) -> Self {
        Self {
            part: Part::Certificate,
            said: Said::new(en, es),
        }
    }

    fn key(en: impl Into<String>, es: impl Into<String>) -> Self {
        Self {
            part: Part::Key,
            said: Said::new(en, es),
        }
    }
}

/// A certificate that serves, with its key.
#[derive(Clone)]
pub struct Identity {
    pub(super) server: Arc<ServerConfig>,
    /// From when on it is good.
    pub begins: Millis,
    /// Up to when it is good.
    pub ends: Millis,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Identity({} to {})",
            self.begins.text(),
            self.ends.text()
        )
    }
}

impl Identity {
    /// Reads both files and makes what serves TLS 1.2 and 1.3 with them.
    ///
    /// # Errors
    /// One is missing, cannot be read or is none; everybody may read the key; the key belongs to
    /// another certificate.
    pub fn load(files: &TlsFiles, places: &[PathBuf]) -> Result<Self, Wrong> {
        let chain = chain(&files.certificate, places)?;
        let (begins, ends) = chain.first().and_then(|it| validity(it)).ok_or_else(|| {
            Wrong::certificate(
                "the first certificate in the file cannot be read; ask for it again",
                "no se puede leer el primer certificado del archivo; vuelva a pedirlo",
            )
        })?;
        let key = key(&files.key, places)?;
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
        let resolver = SingleCertAndKey::from(certified.map_err(|error| unpaired(&error))?);
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| unpaired(&error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        Ok(Self {
            server: Arc::new(server),
            begins,
            ends,
        })
    }

    /// Whether the certificate is good at that moment.
    ///
    /// # Errors
    /// It has ended or has not begun.
    pub fn check_time(&self, now: Millis) -> Result<(), Wrong> {
        if now >= self.ends {
            let ends = self.ends.text();
            return Err(Wrong::certificate(
                format!(
                    "the certificate ended on {ends} UTC; renew it and write the new one into the \
                     same file, satellite takes it by itself"
                ),
                format!(
                    "el certificado venció el {ends} UTC; renuévelo y escriba el nuevo en el mismo \
                     archivo, satellite lo toma solo"
                ),
            ));
        }
        if now < self.begins {
            let begins = self.begins.text();
            return Err(Wrong::certificate(
                format!(
                    "the certificate begins on {begins} UTC, which is later than this machine's \
                     clock; look at the clock (timedatectl)"
                ),
                format!(
                    "el certificado empieza el {begins} UTC, después de la hora de este equipo; \
                     revise la hora (timedatectl)"
                ),
            ));
        }
        Ok(())
    }
}

/// Where a file of that name is.
fn find(name: &str, places: &[PathBuf]) -> Option<PathBuf> {
    if Path::new(name).is_absolute() {
        return Some(PathBuf::from(name)).filter(|path| path.exists());
    }
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let mut found = places.iter().map(|place| place.join(name));
    found.find(|path| path.exists())
}

fn chain(name: &str, places: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let Some(path) = find(name, places) else {
        let looked: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        let looked = looked.join(", ");
        return Err(Wrong::certificate(
            format!(
                "there is no file {name}; write an absolute path, or a bare name of a file in \
                 {looked}"
            ),
            format!(
                "no existe el archivo {name}; escriba una ruta absoluta, o el nombre sin ruta de un \
                 archivo en {looked}"
            ),
        ));
    };
    let shown = path.display();
    let bytes = read(&path).map_err(|error| {
        Wrong::certificate(
            format!(
                "{shown} cannot be read: {error}; its group must be that of the service (0640)"
            ),
            format!("{shown} no se puede leer: {error}; su grupo debe ser el del servicio (0640)"),
        )
    })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Wrong::certificate(
            format!(
                "{shown} holds no certificate; it must hold lines from -----BEGIN CERTIFICATE----- on"
            ),
            format!(
                "{shown} no trae ningún certificado; debe llevar líneas desde -----BEGIN \
                 CERTIFICATE-----"
            ),
        )),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LIMIT)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn key(name: &str, places: &[PathBuf]) -> Result<PrivateKeyDer<'static>, Wrong> {
    let secret = secret_file(name, places).map_err(|error| {
        Wrong::key(
            format!("the private key: {error}"),
            format!("la llave privada: {}", error.in_spanish()),
        )
    })?;
    PrivateKeyDer::from_pem_slice(secret.expose().as_bytes()).map_err(|_| {
        Wrong::key(
            format!(
                "{name} holds no private key that can be used; it must hold -----BEGIN PRIVATE \
                 KEY----- and have no password"
            ),
            format!(
                "{name} no trae una llave privada que sirva; debe llevar -----BEGIN PRIVATE \
                 KEY----- y no tener contraseña"
            ),
        )
    })
}

/// Why certificate and key do not go together.
fn unpaired(error: &Error) -> Wrong {
    match error {
        Error::InconsistentKeys(_) => Wrong::key(
            "the key belongs to another certificate; take certificate and key of the same issue, \
             this server's own certificate first in its file",
            "la llave es de otro certificado; use el certificado y la llave de la misma emisión, con \
             el certificado de este servidor primero en su archivo",
        ),
        other => Wrong::key(
            format!(
                "the key is of no use here: {other}; use RSA, ECDSA P-256 or P-384, or Ed25519"
            ),
            format!("la llave no sirve aquí: {other}; use RSA, ECDSA P-256 o P-384, o Ed25519"),
        ),
    }
}

/// From when to when a certificate (DER) is good.
pub fn validity(der: &[u8]) -> Option<(Millis, Millis)> {
    let certificate = Certificate::from_der(der).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let millis = |time: x509_cert::time::Time| {
        let at = i64::try_from(time.to_unix_duration().as_millis()).ok()?;
        Some(Millis(at))
    };
    Some((millis(validity.not_before)?, millis(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing::{self, write_key};

    fn wrong(files: &TlsFiles) -> (Part, String, String) {
        let wrong = Identity::load(files, &[PathBuf::from("/nowhere")]).unwrap_err();
        (wrong.part, wrong.said.en, wrong.said.es)
    }

    #[test]
    fn what_is_wrong_with_certificate_or_key_is_told_at_its_own_key_with_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let files = testing::issue(folder.path(), "one", (2020, 2100));
        let other = testing::issue(folder.path(), "two", (2020, 2100));
        assert!(Identity::load(&files, &[]).is_ok());
        let with = |certificate: &str, key: &str| TlsFiles {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        let (part, en, es) = wrong(&with("/nowhere/c.pem", &files.key));
        assert_eq!(part, Part::Certificate);
        assert!(
            en.contains("there is no file") && es.contains("no existe"),
            "{en} {es}"
        );
        let (part, en, _) = wrong(&with(&files.key, &files.key));
        assert_eq!(part, Part::Certificate);
        assert!(en.contains("holds no certificate"), "{en}");
        let (part, en, es) = wrong(&with(&files.certificate, &other.key));
        assert_eq!(part, Part::Key);
        assert!(
            en.contains("another certificate") && es.contains("otro certificado"),
            "{en}"
        );
        let (part, en, _) = wrong(&with(&files.certificate, &files.certificate));
        assert_eq!(part, Part::Key);
        assert!(
            en.contains("chmod") || en.contains("no private key"),
            "{en}"
        );
        let (part, en, es) = wrong(&with(&files.certificate, "/nowhere/k.pem"));
        assert_eq!(part, Part::Key);
        assert!(
            en.contains("does not exist") && es.contains("no existe"),
            "{en}"
        );
        write_key(Path::new(&files.key), "no key");
        let (part, en, _) = wrong(&files);
        assert_eq!(part, Part::Key);
        assert!(en.contains("no private key"), "{en}");
    }

    #[test]
    fn a_certificate_outside_its_time_is_told_with_the_date_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let files = testing::issue(folder.path(), "one", (2020, 2030));
        let identity = Identity::load(&files, &[]).unwrap();
        let at = |text: &str| Millis::parse(text).unwrap();
        assert!(identity.check_time(at("2026-01-01 00:00:00.000")).is_ok());
        let ended = identity
            .check_time(at("2031-01-01 00:00:00.000"))
            .unwrap_err();
        assert!(
            ended.said.en.contains("ended on 2030-") && ended.said.es.contains("venció el 2030-")
        );
        let early = identity
            .check_time(at("2019-01-01 00:00:00.000"))
            .unwrap_err();
        assert!(early.said.en.contains("begins on 2020-") && early.said.en.contains("timedatectl"));
    }
}
