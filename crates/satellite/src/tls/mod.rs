//! The certificate of the door behind TLS while it serves: renewed without dropping anybody.
//!
//! Each new connection takes the certificate that is in force at that moment; those that are open
//! go on with theirs. A new one comes in when its files change or when the configuration is read
//! again, and only if it is good: else the old one stays and what is wrong is told, in the log,
//! in `/status` and in a metric. Everything after the handshake is the door's, as on the plain
//! port.

mod identity;

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use daemon::config::{ConfigError, Said, secret_places};
use event::Millis;
use tokio_rustls::TlsAcceptor;

pub use identity::{Identity, Part, TlsFiles, Wrong, validity};

use crate::clock;
use crate::config::{Config, SECRETS_FOLDER};
use crate::hub::Hub;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What tells two states of a file apart.
type Stamp = [Option<(PathBuf, Option<SystemTime>, u64, u64)>; 2];

/// The certificate in force, and the handshakes that run.
pub(crate) struct Tls {
    places: Vec<PathBuf>,
    identity: ArcSwap<Identity>,
    handshakes: AtomicUsize,
    watch: Mutex<Watch>,
}

/// What is known of the files.
struct Watch {
    files: TlsFiles,
    /// The state of the files that was last tried, whatever came of it.
    tried: Stamp,
    /// The state at the last look. Two files are not written at once: what changed is tried when
    /// it has stayed the same from one look to the next.
    seen: Stamp,
    /// Why what was tried last does not serve.
    trouble: Option<Wrong>,
}

/// The right to a handshake.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tls {
    /// The certificate that the configuration names; `None` without a door behind TLS.
    ///
    /// # Errors
    /// As [`Config::identity`].
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(door) = &config.listen.devices_tls else {
            return Ok(None);
        };
        let places = secret_places(Path::new(SECRETS_FOLDER));
        let stamp = stamp(&door.files, &places);
        let Some(identity) = config.identity()? else {
            return Ok(None);
        };
        if let Err(wrong) = identity.check_time(clock::now()) {
            // Terminals that look at no date are served all the same, and those on the plain
            // port must not suffer for it.
            tracing::error!(key = wrong.part.key(), "{}", wrong.said);
        }
        Ok(Some(Self {
            places,
            identity: ArcSwap::from_pointee(identity),
            handshakes: AtomicUsize::new(0),
            watch: Mutex::new(Watch {
                files: door.files.clone(),
                tried: stamp.clone(),
                seen: stamp,
                trouble: None,
            }),
        }))
    }

    /// What answers the next handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.identity.load().server))
    }

    /// A place among the handshakes that run, unless there are `most` already.
    pub(crate) fn place(&self, most: usize) -> Option<Place<'_>> {
        let before = self.handshakes.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.handshakes);
        (before < most).then_some(place)
    }

    /// When the certificate in force ends.
    pub(crate) fn ends(&self) -> Millis {
        self.identity.load().ends
    }

    /// Why the files as they are now do not serve, if they do not.
    pub(crate) fn trouble(&self) -> Option<Said> {
        let watch = self.watch();
        watch.trouble.as_ref().map(said)
    }

    /// Takes over a certificate that came with a configuration that was read again, unless it is
    /// not good at this moment: then the old one stays. True when it was taken.
    pub(crate) fn take(&self, files: &TlsFiles, identity: Identity, now: Millis) -> bool {
        let timely = identity.check_time(now);
        if let Err(wrong) = &timely {
            let why = told(wrong);
            tracing::error!(
                why,
                "the certificate is of no use; the old one stays in force"
            );
        }
        let mut watch = self.watch();
        if timely.is_ok() {
            watch.files = files.clone();
            self.identity.store(Arc::new(identity));
        }
        watch.tried = stamp(&watch.files, &self.places);
        watch.seen = watch.tried.clone();
        watch.trouble = timely.err();
        watch.trouble.is_none()
    }

    /// Looks at the files; answers the end of a new certificate, or why it does not serve. `None`
    /// when there is nothing new.
    fn look(&self, now: Millis) -> Option<Result<Millis, Wrong>> {
        let mut watch = self.watch();
        let stamp = stamp(&watch.files, &self.places);
        let settled = std::mem::replace(&mut watch.seen, stamp.clone()) == stamp;
        if watch.tried == stamp || !settled {
            return None;
        }
        watch.tried = stamp;
        let loaded = Identity::load(&watch.files, &self.places);
        let fresh = loaded.and_then(|fresh| fresh.check_time(now).map(|()| fresh));
        watch.trouble = fresh.as_ref().err().cloned();
        drop(watch);
        Some(fresh.map(|fresh| {
            let ends = fresh.ends;
            self.identity.store(Arc::new(fresh));
            ends
        }))
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(wrong: &Wrong) -> Said {
    let (key, said) = (wrong.part.key(), &wrong.said);
    Said::new(format!("{key}: {}", said.en), format!("{key}: {}", said.es))
}

fn told(wrong: &Wrong) -> String {
    said(wrong).en
}

fn stamp(files: &TlsFiles, places: &[PathBuf]) -> Stamp {
    files.paths(places).map(|path| {
        let path = path?;
        let state = std::fs::metadata(&path).ok()?;
        Some((path, state.modified().ok(), state.len(), state.ino()))
    })
}

/// Looks for a new certificate until the end begins.
pub(crate) async fn run(hub: Arc<Hub>) {
    let end = hub.drain.token();
    let mut turn = tokio::time::interval(LOOK_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = end.cancelled() => break,
            _ = turn.tick() => {}
        }
        let look = Arc::clone(&hub);
        let looked = tokio::task::spawn_blocking(move || {
            let tls = look.tls.as_ref()?;
            tls.look(clock::now())
        });
        match looked.await {
            Ok(Some(Ok(ends))) => {
                hub.metrics.certificate_taken(true);
                tracing::info!(ends = ends.text(), "a new certificate is in force");
            }
            Ok(Some(Err(wrong))) => {
                hub.metrics.certificate_taken(false);
                let why = told(&wrong);
                tracing::error!(
                    why,
                    "the new certificate is of no use; the old one stays in force"
                );
            }
            Ok(None) | Err(_) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Certificates for tests.

    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::TlsFiles;

    /// Writes a private key that not everybody may read.
    pub(crate) fn write_key(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A certificate for `localhost` with its key, good from the first year to the second.
    pub(crate) fn issue(folder: &Path, name: &str, years: (i32, i32)) -> TlsFiles {
        let mut wanted = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        wanted.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        wanted.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let pair = rcgen::KeyPair::generate().unwrap();
        let made = wanted.self_signed(&pair).unwrap();
        let [certificate, key] = [".crt", ".key"].map(|end| folder.join(format!("{name}{end}")));
        std::fs::write(&certificate, made.pem()).unwrap();
        write_key(&key, &pair.serialize_pem());
        TlsFiles {
            certificate: certificate.display().to_string(),
            key: key.display().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_273_200_000);

    fn opened(folder: &Path) -> (Tls, TlsFiles) {
        let files = testing::issue(folder, "door", (2020, 2090));
        let mut config = Config::in_folder(folder);
        config.listen.devices_tls = Some(crate::config::TlsDoor {
            address: "127.0.0.1:0".parse().unwrap(),
            files: files.clone(),
        });
        (Tls::open(&config).unwrap().unwrap(), files)
    }

    fn replace(files: &TlsFiles, by: &TlsFiles) {
        std::fs::rename(&by.certificate, &files.certificate).unwrap();
        std::fs::rename(&by.key, &files.key).unwrap();
    }

    #[test]
    fn a_new_certificate_is_taken_when_both_files_have_settled_and_a_bad_one_leaves_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let (tls, files) = opened(folder.path());
        let first = tls.ends();
        assert!(tls.look(NOW).is_none());
        let next = testing::issue(folder.path(), "next", (2021, 2095));
        std::fs::rename(&next.certificate, &files.certificate).unwrap();
        assert!(tls.look(NOW).is_none(), "only one of the two is there yet");
        std::fs::rename(&next.key, &files.key).unwrap();
        assert!(tls.look(NOW).is_none());
        let ends = tls.look(NOW).unwrap().unwrap();
        assert!(ends > first && tls.ends() == ends && tls.trouble().is_none());

        let expired = testing::issue(folder.path(), "expired", (2019, 2021));
        replace(&files, &expired);
        assert!(tls.look(NOW).is_none());
        assert_eq!(tls.look(NOW).unwrap().unwrap_err().part, Part::Certificate);
        assert_eq!(tls.ends(), ends);
        let trouble = tls.trouble().unwrap();
        assert!(trouble.en.contains("ended on 2021-"), "{trouble}");
        assert!(!trouble.es.contains("ended on"), "{trouble:?}");
        assert!(tls.look(NOW).is_none(), "told once");

        std::fs::remove_file(&files.key).unwrap();
        assert!(tls.look(NOW).is_none());
        assert_eq!(tls.look(NOW).unwrap().unwrap_err().part, Part::Key);

        let good = testing::issue(folder.path(), "good", (2021, 2096));
        replace(&files, &good);
        assert!(tls.look(NOW).is_none());
        assert!(tls.look(NOW).unwrap().is_ok() && tls.trouble().is_none());
    }

    #[test]
    fn no_more_handshakes_run_at_once_than_the_limit_and_places_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let (tls, _) = opened(folder.path());
        let held = (tls.place(2), tls.place(2));
        assert!(held.0.is_some() && held.1.is_some() && tls.place(2).is_none());
        drop(held);
        assert!(tls.place(1).is_some());
    }
}
