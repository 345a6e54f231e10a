//! HTTP authentication as devices ask for it: Digest (RFC 7616, and RFC 2617 without `qop`),
//! else Basic.
//!
//! Challenges come from devices with odd spacing, several in one header or one in each of
//! several. The strongest that we speak is taken: Digest with SHA-256, Digest with MD5, and
//! Basic only where no Digest is offered. A value from a challenge goes back out in a header
//! of ours, so one with control characters is refused. The password must never appear in
//! anything that is printed.

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256};

/// Longest header value read; challenges of devices have about 200 bytes.
const HEADER_LIMIT: usize = 4096;
/// Longest value of one parameter that is sent back.
const VALUE_LIMIT: usize = 512;
/// Most parameters and schemes of one header looked at.
const PARAM_LIMIT: usize = 64;

/// A user and its password on one device. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

/// The user name cannot be sent in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name has 1 to 64 bytes and no control characters")]
pub struct BadUser;

impl Credentials {
    /// Checks the user name; a password may hold anything.
    pub fn new(user: &str, password: &str) -> Result<Self, BadUser> {
        if user.is_empty() || user.len() > 64 || user.chars().any(char::is_control) {
            return Err(BadUser);
        }
        Ok(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn hex(self, text: &str) -> String {
        let digest: Vec<u8> = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A challenge that we can answer, taken from the `WWW-Authenticate` of a 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(Scheme);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Digest(DigestChallenge),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct DigestChallenge {
    hash: Hash,
    /// The algorithm as the device spelled it; it is sent back only if it was given.
    algorithm: Option<String>,
    per_session: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// `qop=auth` was offered; without it the answer has the older, shorter form.
    qop: bool,
    stale: bool,
}

impl Challenge {
    /// The best challenge of all `WWW-Authenticate` headers of one answer; `None` when there
    /// is none that we speak.
    pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let all = headers.take(8).flat_map(challenges);
        // Of equals the first counts, as the device lists by its own preference.
        all.reduce(|best, next| {
            if next.rank() > best.rank() {
                next
            } else {
                best
            }
        })
    }

    /// The device says that only the nonce was too old, and the password right.
    pub fn is_stale(&self) -> bool {
        matches!(&self.0, Scheme::Digest(digest) if digest.stale)
    }

    fn rank(&self) -> u8 {
        match &self.0 {
            Scheme::Basic => 0,
            Scheme::Digest(digest) if digest.hash == Hash::Md5 => 1,
            Scheme::Digest(_) => 2,
        }
    }

    fn from_raw(raw: &RawChallenge) -> Option<Self> {
        if raw.scheme.eq_ignore_ascii_case("basic") {
            return Some(Self(Scheme::Basic));
        }
        if !raw.scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let algorithm = raw.param("algorithm")?;
        let (hash, per_session) = match algorithm.as_deref() {
            None => (Hash::Md5, false),
            Some(name) => algorithm_of(name)?,
        };
        let qop = raw.param("qop")?;
        let auth = |list: &str| {
            list.split([',', ' '])
                .any(|q| q.eq_ignore_ascii_case("auth"))
        };
        if qop.as_deref().is_some_and(|list| !auth(list)) {
            return None;
        }
        let stale = raw.param("stale")?;
        Some(Self(Scheme::Digest(DigestChallenge {
            hash,
            algorithm,
            per_session,
            realm: raw.param("realm")?.unwrap_or_default(),
            nonce: raw.param("nonce")?.filter(|nonce| !nonce.is_empty())?,
            opaque: raw.param("opaque")?,
            qop: qop.is_some(),
            stale: stale.is_some_and(|word| word.eq_ignore_ascii_case("true")),
        })))
    }
}

fn algorithm_of(name: &str) -> Option<(Hash, bool)> {
    let known = [
        ("MD5", Hash::Md5, false),
        ("MD5-sess", Hash::Md5, true),
        ("SHA-256", Hash::Sha256, false),
        ("SHA-256-sess", Hash::Sha256, true),
    ];
    let found = known.iter().find(|(n, ..)| name.eq_ignore_ascii_case(n));
    found.map(|&(_, hash, per_session)| (hash, per_session))
}

/// One scheme with its parameters, nothing checked yet.
struct RawChallenge {
    scheme: String,
    params: Vec<(String, String)>,
}

impl RawChallenge {
    /// The first parameter of that name. The outer `None` means that it cannot be sent back.
    fn param(&self, name: &str) -> Option<Option<String>> {
        let mut named = self.params.iter();
        let Some((_, value)) = named.find(|(n, _)| n.eq_ignore_ascii_case(name)) else {
            return Some(None);
        };
        let fit = value.len() <= VALUE_LIMIT && !value.chars().any(char::is_control);
        fit.then(|| Some(value.clone()))
    }
}

fn challenges(header: &str) -> Vec<Challenge> {
    if header.len() > HEADER_LIMIT {
        return Vec::new();
    }
    split(header)
        .iter()
        .filter_map(Challenge::from_raw)
        .collect()
}

/// Splits a header into schemes. A word followed by `=` is a parameter of the scheme before
/// it, any other word a scheme: commas alone would not tell, and some devices forget them.
fn split(header: &str) -> Vec<RawChallenge> {
    let mut all: Vec<RawChallenge> = Vec::new();
    let mut rest = header;
    for _ in 0..PARAM_LIMIT {
        rest = rest.trim_start_matches([' ', '\t', ',', '\r', '\n']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() && after.is_empty() {
            break;
        }
        match after.trim_start_matches([' ', '\t']).strip_prefix('=') {
            Some(value) => {
                let (value, left) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some(open) = all.last_mut() {
                    open.params.push((word.to_owned(), value));
                }
                rest = left;
            }
            None => {
                all.push(RawChallenge {
                    scheme: word.to_owned(),
                    params: Vec::new(),
                });
                rest = after;
            }
        }
    }
    all
}

/// A quoted string without its quotes, or all up to the next blank or comma; and the rest.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

/// One challenge being answered again and again: it keeps the nonce and counts its uses.
#[derive(Clone)]
pub struct Session {
    credentials: Credentials,
    challenge: Challenge,
    uses: u32,
    /// The first client nonce, which the `-sess` algorithms keep for the whole session.
    first_cnonce: Option<String>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session that has not been used yet.
    pub fn new(challenge: Challenge, credentials: Credentials) -> Self {
        Self {
            credentials,
            challenge,
            uses: 0,
            first_cnonce: None,
        }
    }

    /// How many requests have been signed with this nonce.
    pub fn uses(&self) -> u32 {
        self.uses
    }

    /// The value of the `Authorization` header for one request. `uri` is the request target
    /// exactly as sent, with its query; `cnonce` must be random and without quotes.
    pub fn authorization(&mut self, method: &str, uri: &str, cnonce: &str) -> String {
        self.uses = self.uses.wrapping_add(1).max(1);
        let Credentials { user, password } = &self.credentials;
        let digest = match &self.challenge.0 {
            Scheme::Basic => return format!("Basic {}", base64(&format!("{user}:{password}"))),
            Scheme::Digest(digest) => digest,
        };
        let cnonce = match (digest.per_session, &self.first_cnonce) {
            (true, Some(first)) => first.as_str(),
            _ => cnonce,
        };
        let out = digest.answer(&self.credentials, self.uses, [method, uri, cnonce]);
        let keep = digest.per_session && self.first_cnonce.is_none();
        self.first_cnonce = match keep {
            true => Some(cnonce.to_owned()),
            false => self.first_cnonce.take(),
        };
        out
    }
}

impl DigestChallenge {
    fn answer(&self, who: &Credentials, uses: u32, parts: [&str; 3]) -> String {
        let [method, uri, cnonce] = parts;
        let hash = |text: String| self.hash.hex(&text);
        let Self { realm, nonce, .. } = self;
        let mut a1 = hash(format!("{}:{realm}:{}", who.user, who.password));
        if self.per_session {
            a1 = hash(format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = hash(format!("{method}:{uri}"));
        let response = if self.qop {
            hash(format!("{a1}:{nonce}:{uses:08x}:{cnonce}:auth:{a2}"))
        } else {
            hash(format!("{a1}:{nonce}:{a2}"))
        };
        let mut out = format!(
            "Digest username={}, realm={}, nonce={}, uri={}",
            quoted(&who.user),
            quoted(realm),
            quoted(nonce),
            quoted(uri)
        );
        if let Some(algorithm) = &self.algorithm {
            out.push_str(&format!(", algorithm={algorithm}"));
        }
        out.push_str(&format!(", response=\"{response}\""));
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.qop {
            out.push_str(&format!(", qop=auth, nc={uses:08x}"));
        }
        if self.qop || self.per_session {
            out.push_str(&format!(", cnonce={}", quoted(cnonce)));
        }
        out
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| char::from(LETTERS.get((bits & 63) as usize).copied().unwrap_or(b'A'));
    let mut out = String::new();
    for group in text.as_bytes().chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        out.push(letter(bits >> 18));
        out.push(letter(bits >> 12));
        out.push(if group.len() > 1 {
            letter(bits >> 6)
        } else {
            '='
        });
        out.push(if group.len() > 2 { letter(bits) } else { '=' });
    }
    out
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
