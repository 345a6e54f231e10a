//! Who may come in: Digest (RFC 7616) as these devices check it, and their lock.
//!
//! A wrong login counts against the address it came from; so many of them lock it, and every
//! login while it is locked begins the time anew. A nonce that may be used once is answered,
//! when it comes again, without any challenge and without `stale`, which is what real
//! intercoms do. A right login with a nonce that the device no longer knows is `stale`. The
//! check is written here and shares nothing with any client.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use md5::Md5;
use sha2::Sha256;
use tokio::time::Instant;

use super::options::{Algorithm, LoginOptions};

/// Nonces that a device remembers; an older one is stale.
const NONCES: usize = 64;
/// Addresses whose wrong logins a device remembers.
const SOURCES: usize = 64;

/// What a device makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let in; `first` when the nonce was not used before, which is a new login.
    Welcome {
        /// The nonce was new.
        first: bool,
    },
    /// 401 with a challenge.
    Challenge {
        /// The login was right and its nonce was not.
        stale: bool,
    },
    /// 401 without a challenge: a nonce for one use was used again.
    Spent,
    /// 401 with a challenge: the login was wrong, so many more are allowed.
    Wrong {
        /// Logins left before the lock.
        left: u32,
    },
    /// 401 without a challenge: locked for so many seconds more.
    Locked {
        /// This very login brought the lock about.
        now: bool,
        /// Seconds.
        seconds: u64,
    },
}

/// The gate of one device.
#[derive(Debug)]
pub(super) struct Guard {
    user: String,
    password: String,
    realm: String,
    salt: String,
    options: LoginOptions,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    made: u64,
    nonces: VecDeque<Nonce>,
    sources: HashMap<IpAddr, Source>,
}

#[derive(Debug)]
struct Nonce {
    text: String,
    born: Instant,
    used: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Source {
    failures: u32,
    locked_until: Option<Instant>,
}

impl Guard {
    /// A gate for one account. The salt makes the nonces of two devices, and of two runs,
    /// different.
    pub(super) fn new(user: &str, password: &str, salt: String, options: LoginOptions) -> Self {
        let realm = hex::<Md5>(salt.as_bytes()).get(..12).map(str::to_owned);
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            realm: format!("DS-{}", realm.unwrap_or_default()),
            salt,
            options,
            state: Mutex::default(),
        }
    }

    /// Forgets every nonce, and the locks too where asked: a reboot.
    pub(super) fn forget(&self, locks: bool) {
        let mut state = self.state();
        state.nonces.clear();
        if locks {
            state.sources.clear();
        }
    }

    /// Judges one request that came at this moment.
    pub(super) fn judge(
        &self,
        now: Instant,
        from: IpAddr,
        method: &str,
        target: &str,
        authorization: Option<&str>,
    ) -> Verdict {
        let mut state = self.state();
        if state.sources.len() >= SOURCES && !state.sources.contains_key(&from) {
            state.sources.clear();
        }
        let source = state.sources.entry(from).or_default();
        if let Some(until) = source.locked_until {
            if now < until {
                let until = match authorization {
                    Some(_) => now + self.lock_time(),
                    None => until,
                };
                source.locked_until = Some(until);
                let seconds = (until - now).as_secs().max(1);
                return Verdict::Locked {
                    now: false,
                    seconds,
                };
            }
            *source = Source::default();
        }
        let Some(authorization) = authorization else {
            return Verdict::Challenge { stale: false };
        };
        let login = Login::read(authorization);
        let right = login
            .as_ref()
            .is_some_and(|login| self.is_right(login, method, target));
        if !right {
            return self.wrong(source, now);
        }
        *source = Source::default();
        let nonce = login.map(|login| login.nonce).unwrap_or_default();
        self.nonce_verdict(&mut state, &nonce, now)
    }

    fn wrong(&self, source: &mut Source, now: Instant) -> Verdict {
        source.failures += 1;
        let left = self.options.failures.saturating_sub(source.failures);
        if left > 0 {
            return Verdict::Wrong { left };
        }
        source.locked_until = Some(now + self.lock_time());
        Verdict::Locked {
            now: true,
            seconds: self.options.lock_s.max(1),
        }
    }

    fn nonce_verdict(&self, state: &mut State, text: &str, now: Instant) -> Verdict {
        let life = Duration::from_secs(self.options.nonce_life_s);
        let known = state.nonces.iter_mut().find(|nonce| nonce.text == text);
        let Some(nonce) = known.filter(|nonce| now - nonce.born < life) else {
            return Verdict::Challenge { stale: true };
        };
        if nonce.used && self.options.nonce_once {
            return Verdict::Spent;
        }
        let first = !std::mem::replace(&mut nonce.used, true);
        Verdict::Welcome { first }
    }

    /// The `WWW-Authenticate` lines with a new nonce.
    pub(super) fn challenge(&self, stale: bool) -> String {
        let nonce = self.new_nonce();
        let mut lines = String::new();
        if self.options.offer_basic {
            self.line(&mut lines, "Basic", "");
        }
        let words = |name: &str| {
            let stale = if stale { ", stale=true" } else { "" };
            format!(", qop=\"auth\", nonce=\"{nonce}\"{name}{stale}")
        };
        let offered: &[&str] = match self.options.algorithm {
            Algorithm::Md5 => &[", algorithm=MD5"],
            Algorithm::Unnamed => &[""],
            Algorithm::Sha256 => &[", algorithm=SHA-256"],
            Algorithm::Both => &[", algorithm=SHA-256", ", algorithm=MD5"],
        };
        for name in offered {
            self.line(&mut lines, "Digest", &words(name));
        }
        lines
    }

    fn line(&self, lines: &mut String, scheme: &str, words: &str) {
        lines.push_str("WWW-Authenticate: ");
        lines.push_str(scheme);
        lines.push_str(" realm=\"");
        lines.push_str(&self.realm);
        lines.push('"');
        lines.push_str(words);
        lines.push_str("\r\n");
    }

    fn new_nonce(&self) -> String {
        let mut state = self.state();
        state.made += 1;
        let text = hex::<Md5>(format!("{}:{}", self.salt, state.made).as_bytes());
        if state.nonces.len() >= NONCES {
            state.nonces.pop_front();
        }
        state.nonces.push_back(Nonce {
            text: text.clone(),
            born: Instant::now(),
            used: false,
        });
        text
    }

    fn is_right(&self, login: &Login, method: &str, target: &str) -> bool {
        let sha256 = match login.algorithm.to_ascii_uppercase().as_str() {
            "" | "MD5" => false,
            "SHA-256" => true,
            _ => return false,
        };
        let offered = match self.options.algorithm {
            Algorithm::Md5 | Algorithm::Unnamed => !sha256,
            Algorithm::Sha256 => sha256,
            Algorithm::Both => true,
        };
        offered
            && login.user == self.user
            && login.realm == self.realm
            && login.uri == target
            && login.qop == "auth"
            && login.response == login.expected(&self.password, method, sha256)
    }

    fn lock_time(&self) -> Duration {
        Duration::from_secs(self.options.lock_s)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fields of an `Authorization: Digest` header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Login {
    user: String,
    realm: String,
    nonce: String,
    uri: String,
    qop: String,
    nc: String,
    cnonce: String,
    response: String,
    algorithm: String,
}

impl Login {
    fn read(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut login = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', ',']);
            let Some((name, after)) = rest.split_once('=') else {
                return Some(login);
            };
            let (value, left) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            rest = left;
            let value = value.trim().to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "username" => login.user = value,
                "realm" => login.realm = value,
                "nonce" => login.nonce = value,
                "uri" => login.uri = value,
                "qop" => login.qop = value,
                "nc" => login.nc = value,
                "cnonce" => login.cnonce = value,
                "response" => login.response = value.to_ascii_lowercase(),
                "algorithm" => login.algorithm = value,
                _ => {}
            }
        }
    }

    /// The response that the right password makes of the other fields.
    fn expected(&self, password: &str, method: &str, sha256: bool) -> String {
        let hash = |text: String| {
            if sha256 {
                hex::<Sha256>(text.as_bytes())
            } else {
                hex::<Md5>(text.as_bytes())
            }
        };
        let who = hash(format!("{}:{}:{password}", self.user, self.realm));
        let what = hash(format!("{method}:{}", self.uri));
        hash(format!(
            "{who}:{}:{}:{}:{}:{what}",
            self.nonce, self.nc, self.cnonce, self.qop
        ))
    }
}

/// A digest in hexadecimal.
fn hex<D: md5::Digest>(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in D::digest(bytes) {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing into memory cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn guard(change: fn(&mut LoginOptions)) -> Guard {
        let mut options = LoginOptions::default();
        change(&mut options);
        Guard::new("eve", "secret", "salt".to_owned(), options)
    }

    /// What a client that knows this password answers to a challenge.
    fn answer(guard: &Guard, challenge: &str, password: &str) -> String {
        let nonce = challenge.split("nonce=\"").nth(1).unwrap();
        let login = Login {
            user: "eve".to_owned(),
            realm: guard.realm.clone(),
            nonce: nonce.split('"').next().unwrap().to_owned(),
            uri: "/x".to_owned(),
            qop: "auth".to_owned(),
            nc: "00000001".to_owned(),
            cnonce: "c".to_owned(),
            ..Login::default()
        };
        let response = login.expected(password, "GET", false);
        format!(
            "Digest username=\"eve\", realm=\"{}\", nonce=\"{}\", uri=\"/x\", qop=auth, \
             nc=00000001, cnonce=\"c\", response=\"{response}\"",
            login.realm, login.nonce
        )
    }

    #[test]
    fn the_examples_of_the_standard_come_out() {
        let mut login = Login {
            user: "Mufasa".to_owned(),
            realm: "http-auth@example.org".to_owned(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
            uri: "/dir/index.html".to_owned(),
            qop: "auth".to_owned(),
            nc: "00000001".to_owned(),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned(),
            ..Login::default()
        };
        assert_eq!(
            login.expected("Circle of Life", "GET", false),
            "8ca523f5e9506fed4657c9700eebdbec"
        );
        login.algorithm = "SHA-256".to_owned();
        assert_eq!(
            login.expected("Circle of Life", "GET", true),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn the_right_password_comes_in_again_and_again_with_one_nonce() {
        let guard = guard(|_| {});
        let login = answer(&guard, &guard.challenge(false), "secret");
        let judged = || guard.judge(Instant::now(), HOME, "GET", "/x", Some(&login));
        assert_eq!(judged(), Verdict::Welcome { first: true });
        assert_eq!(judged(), Verdict::Welcome { first: false });
        assert!(matches!(
            guard.judge(Instant::now(), HOME, "POST", "/x", Some(&login)),
            Verdict::Wrong { .. }
        ));
        assert!(matches!(
            guard.judge(Instant::now(), HOME, "GET", "/y", Some(&login)),
            Verdict::Wrong { .. }
        ));
    }

    #[test]
    fn a_nonce_for_one_use_is_spent_and_an_unknown_one_is_stale() {
        let guard = guard(|options| options.nonce_once = true);
        let login = answer(&guard, &guard.challenge(false), "secret");
        let judged = || guard.judge(Instant::now(), HOME, "GET", "/x", Some(&login));
        assert_eq!(judged(), Verdict::Welcome { first: true });
        assert_eq!(judged(), Verdict::Spent);
        guard.forget(false);
        assert_eq!(judged(), Verdict::Challenge { stale: true });
    }

    #[test]
    fn wrong_logins_lock_the_address_and_each_further_one_begins_the_time_anew() {
        let guard = guard(|options| (options.failures, options.lock_s) = (3, 100));
        let wrong = answer(&guard, &guard.challenge(false), "guess");
        let right = answer(&guard, &guard.challenge(false), "secret");
        let began = Instant::now();
        let at = |s, login: Option<&String>| {
            let login = login.map(String::as_str);
            guard.judge(began + Duration::from_secs(s), HOME, "GET", "/x", login)
        };
        let locked = |now, seconds| Verdict::Locked { now, seconds };
        assert_eq!(at(0, Some(&wrong)), Verdict::Wrong { left: 2 });
        assert_eq!(at(0, Some(&wrong)), Verdict::Wrong { left: 1 });
        assert_eq!(at(0, Some(&wrong)), locked(true, 100));
        assert_eq!(at(60, None), locked(false, 40));
        assert_eq!(at(60, Some(&right)), locked(false, 100));
        assert_eq!(at(120, None), locked(false, 40));
        assert_eq!(at(161, Some(&right)), Verdict::Welcome { first: true });
        assert_eq!(at(161, Some(&wrong)), Verdict::Wrong { left: 2 });
    }
}
