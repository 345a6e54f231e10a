//! Links by which a person says "I am on it", signed for one incident and one contact.
//!
//! The signature is an HMAC under a key that never leaves the machine. A link dies with its
//! incident: the caller says whether that is open. What a GET and what a POST of it does is
//! the page's business; a valid link alone acknowledges nothing.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::letter::hex;

/// Bytes of the key, and of a signature in a link.
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Why a link is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// It was not made by us for this incident. Say no more to whoever sent it.
    #[error("this link is not valid")]
    Forged,
    /// It was ours, and its incident is closed.
    #[error("this incident is closed")]
    Closed,
}

/// Makes and checks the links.
#[derive(Clone)]
pub struct AckLink {
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for AckLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AckLink(***)")
    }
}

impl AckLink {
    /// With the key in `state_dir/ack.key`, which is made at the first start (mode 0600,
    /// durable before it is used).
    ///
    /// # Errors
    /// The file cannot be read or made, is not 32 bytes long, or others may read it.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("ack.key");
        match read_key(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_key(state_dir, &path)?;
                read_key(&path)
            }
            other => other,
        }
        .map(|key| Self { key })
    }

    /// The link for a contact (a mail address), below `public_url`.
    pub fn link(&self, public_url: &str, incident: &str, contact: &str) -> String {
        let base = public_url.trim_end_matches('/');
        let tag = hex(&self.mac(incident, contact).finalize().into_bytes()[..TAG_BYTES]);
        format!("{base}/ack/{incident}/{}.{tag}", hex(contact.as_bytes()))
    }

    /// Checks what stands in a link after `/ack/`: the incident and the token behind it.
    /// Answers with the contact. `open` says whether the incident is.
    ///
    /// # Errors
    /// [`BadLink`]; the time it takes does not tell how much of a signature was right.
    pub fn verify(&self, incident: &str, token: &str, open: bool) -> Result<String, BadLink> {
        let (contact, tag) = token.split_once('.').ok_or(BadLink::Forged)?;
        let contact = unhex(contact).and_then(|bytes| String::from_utf8(bytes).ok());
        let contact = contact.ok_or(BadLink::Forged)?;
        let tag = unhex(tag).filter(|tag| tag.len() == TAG_BYTES);
        let tag = tag.ok_or(BadLink::Forged)?;
        let mac = self.mac(incident, &contact);
        mac.verify_truncated_left(&tag)
            .map_err(|_| BadLink::Forged)?;
        if open {
            Ok(contact)
        } else {
            Err(BadLink::Closed)
        }
    }

    fn mac(&self, incident: &str, contact: &str) -> Hmac<Sha256> {
        let mut mac = keyed(&self.key);
        // The length keeps `A` + `Bc` and `AB` + `c` apart.
        mac.update(
            &u64::try_from(incident.len())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        mac.update(incident.as_bytes());
        mac.update(contact.as_bytes());
        mac
    }
}

/// HMAC-SHA256 under a key of any length.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key) {
        Ok(mac) => mac,
        // HMAC takes keys of every length (RFC 2104); the type of the function allows others.
        Err(_) => unreachable!("HMAC takes keys of every length"),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 1024 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

fn read_key(path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let file = fs::File::open(path)?;
    let shown = path.display();
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "others may read the key of acknowledge links; run: chmod 600 '{shown}'"
        )));
    }
    let mut bytes = Vec::new();
    file.take(64).read_to_end(&mut bytes)?;
    <[u8; KEY_BYTES]>::try_from(bytes).map_err(|_| {
        io::Error::other(format!(
            "'{shown}' does not hold 32 bytes; remove it and a new key is made (links in mails \
             that were sent will no longer work)"
        ))
    })
}

/// Written beside its place and moved there, so that a crash leaves no half key.
fn make_key(state_dir: &Path, path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // A link does not replace: of two processes that start at once, both use the first key.
    match fs::hard_link(&beside, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::remove_file(&beside)?;
    fs::File::open(state_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_incident_and_its_contact_while_the_incident_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let links = AckLink::open(folder.path()).unwrap();
        let link = links.link("https://s.example.mx/", "INC-2026-000123", "a@x.mx");
        let rest = link
            .strip_prefix("https://s.example.mx/ack/INC-2026-000123/")
            .unwrap();
        let verify = |incident: &str, token: &str, open| links.verify(incident, token, open);
        assert_eq!(verify("INC-2026-000123", rest, true).unwrap(), "a@x.mx");
        assert_eq!(verify("INC-2026-000123", rest, false), Err(BadLink::Closed));
        assert_eq!(verify("INC-2026-000124", rest, true), Err(BadLink::Forged));
        let other = links.link("", "INC-2026-000123", "b@x.mx");
        let tag = other.split_once('.').unwrap().1;
        let mixed = format!("{}.{tag}", hex(b"a@x.mx"));
        assert_eq!(
            verify("INC-2026-000123", &mixed, true),
            Err(BadLink::Forged)
        );
        for bad in [
            "",
            ".",
            "61",
            "61.",
            "61.00",
            "zz.00",
            &rest[..rest.len() - 2],
            "ñ.ñ",
        ] {
            assert_eq!(
                verify("INC-2026-000123", bad, true),
                Err(BadLink::Forged),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = AckLink::open(folder.path()).unwrap();
        let again = AckLink::open(folder.path()).unwrap();
        assert_eq!(first.link("", "I", "c"), again.link("", "I", "c"));
        let path = folder.path().join("ack.key");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = AckLink::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, b"short").unwrap();
        assert!(AckLink::open(folder.path()).is_err());
        let other = tempfile::tempdir().unwrap();
        let stranger = AckLink::open(other.path()).unwrap();
        assert_ne!(first.link("", "I", "c"), stranger.link("", "I", "c"));
    }
}
