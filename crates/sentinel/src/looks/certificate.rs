//! Certificates: when the one that a server shows, or a file holds, ends, and whether it is
//! accepted at all.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fetch::{Failed, Trust, Url};
use jiff::{SignedDuration, Timestamp};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::looks::WatchedCertificate;
use crate::looks::said;
use crate::{Fact, Kind, Look, Observation, Phrase, Round, Severity, Subject, Trouble, Value};

/// From round to round.
const EVERY: Duration = Duration::from_secs(600);
/// Longest wait for a server.
const ASK_WITHIN: Duration = Duration::from_secs(15);
/// From so many days before its end on a certificate is told.
const DAYS: i64 = 30;
/// From so many days before its end on that is critical.
const LAST_DAYS: i64 = 3;

/// Where a certificate is.
#[derive(Debug, Clone)]
enum Place {
    Server(Url, Trust),
    File(PathBuf),
}

/// The look at one certificate.
pub struct CertificateLook {
    name: String,
    shown: String,
    place: Place,
}

impl CertificateLook {
    /// A look at that certificate.
    pub fn new(watched: &WatchedCertificate) -> Self {
        let (shown, place) = match watched {
            WatchedCertificate::Server(url) => (
                format!("{}:{}", url.host(), url.port()),
                Place::Server(url.clone(), Trust::default()),
            ),
            WatchedCertificate::File(path) => {
                (path.display().to_string(), Place::File(path.clone()))
            }
        };
        Self {
            name: format!("certificate:{shown}"),
            shown,
            place,
        }
    }

    fn subject(&self) -> Subject {
        let at = self.shown.clone();
        Subject::Certificate { at }
    }

    /// The certificate, and why it is not accepted, if it is not.
    async fn see(&self) -> Result<(Vec<u8>, Option<Value>), Value> {
        match &self.place {
            Place::File(path) => {
                let bytes = std::fs::read(path).map_err(|error| Value::heard(error.to_string()))?;
                let der = fetch::certificate_of(&bytes).unwrap_or(bytes);
                Ok((der, None))
            }
            Place::Server(url, trust) => match fetch::certificate(url, trust, ASK_WITHIN).await {
                Ok(der) => Ok((der, None)),
                Err(Failed::Tls(why, Some(der))) => Ok((der, Some(Value::heard(why)))),
                Err(failed) => Err(said(&failed)),
            },
        }
    }

    fn judged(&self, der: &[u8], why: Option<Value>, now: Timestamp) -> Observation {
        let Some(ends) = ends(der) else {
            return Observation::unknown(self.subject(), now, Phrase::CertificateUnread);
        };
        let left = ends.duration_since(now);
        let refused = why.map(|why| {
            let trouble = Trouble::new(Kind::CertificateBad);
            trouble.fact(Fact::Until, ends).fact(Fact::Detail, why)
        });
        let troubles = refused.or_else(|| end(ends, now)).into_iter().collect();
        let seen = Observation::wrong(self.subject(), now, troubles);
        seen.number("left_seconds", left.as_secs_f64())
    }
}

#[async_trait]
impl Look for CertificateLook {
    fn name(&self) -> &str {
        &self.name
    }

    fn every(&self) -> Duration {
        EVERY
    }

    fn deadline(&self) -> Duration {
        ASK_WITHIN + Duration::from_secs(5)
    }

    fn subjects(&self) -> Vec<Subject> {
        vec![self.subject()]
    }

    async fn look(&self, now: Timestamp) -> Round {
        Round::one(match self.see().await {
            Ok((der, why)) => self.judged(&der, why, now),
            Err(why) => Observation::unknown(self.subject(), now, why),
        })
    }
}

/// What is wrong with a certificate that ends then.
pub(super) fn end(ends: Timestamp, now: Timestamp) -> Option<Trouble> {
    let left = ends.duration_since(now);
    let within = |days| left <= SignedDuration::from_hours(24 * days);
    if left <= SignedDuration::ZERO {
        let words = Value::from(Phrase::CertificateEnded);
        let trouble = Trouble::new(Kind::CertificateBad);
        return Some(trouble.fact(Fact::Until, ends).fact(Fact::Detail, words));
    }
    let severity = if within(LAST_DAYS) {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let trouble = Trouble::new(Kind::CertificateExpiring).severity(severity);
    within(DAYS).then(|| trouble.fact(Fact::Until, ends))
}

/// When a certificate (DER) ends.
pub(super) fn ends(der: &[u8]) -> Option<Timestamp> {
    let certificate = Certificate::from_der(der).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    let seconds = i64::try_from(end.to_unix_duration().as_secs()).ok()?;
    Timestamp::from_second(seconds).ok()
}

/// What is said of a certificate that ends before long.
pub(super) fn soon(ends: Timestamp, now: Timestamp) -> Option<Value> {
    let days = ends.duration_since(now).as_hours() / 24;
    (days < DAYS).then(|| Phrase::CertificateEndsIn.with([days.into()]))
}

/// One look for each certificate.
pub fn looks(watched: &[WatchedCertificate]) -> Vec<Arc<dyn Look>> {
    let looks = watched.iter().map(CertificateLook::new);
    looks.map(|look| Arc::new(look) as Arc<dyn Look>).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn file(until: (i32, u8, u8)) -> tempfile::NamedTempFile {
        let mut wanted = rcgen::CertificateParams::new(vec!["a.mx".to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = wanted.self_signed(&key).unwrap().pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pem).unwrap();
        file
    }

    async fn seen(path: &std::path::Path, now: &str) -> Finding {
        let watched = WatchedCertificate::File(path.to_owned());
        let round = CertificateLook::new(&watched)
            .look(now.parse().unwrap())
            .await;
        round.observations.into_iter().next().unwrap().finding
    }

    #[tokio::test]
    async fn a_certificate_is_told_thirty_days_before_its_end_and_is_bad_afterwards() {
        let file = file((2026, 12, 31));
        let kind = |finding: Finding| match finding {
            Finding::Wrong { troubles } => Some((troubles[0].kind, troubles[0].severity)),
            Finding::Fine => None,
            Finding::Unknown { why } => panic!("{why}"),
        };
        for (now, wanted) in [
            ("2026-11-01T00:00:00Z", None),
            (
                "2026-12-10T00:00:00Z",
                Some((Kind::CertificateExpiring, Severity::Warning)),
            ),
            (
                "2026-12-30T00:00:00Z",
                Some((Kind::CertificateExpiring, Severity::Critical)),
            ),
            (
                "2027-01-01T00:00:00Z",
                Some((Kind::CertificateBad, Severity::Critical)),
            ),
        ] {
            assert_eq!(kind(seen(file.path(), now).await), wanted, "{now}");
        }
    }

    #[tokio::test]
    async fn what_is_no_certificate_and_what_is_not_there_are_unknown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(file.path(), text).unwrap();
            let seen = seen(file.path(), "2026-11-01T00:00:00Z").await;
            assert!(matches!(seen, Finding::Unknown { .. }));
        }
        let path = file.path().to_owned();
        drop(file);
        assert!(matches!(
            seen(&path, "2026-11-01T00:00:00Z").await,
            Finding::Unknown { .. }
        ));
    }
}
