//! Who gives a command, for the audit.
//!
//! The login name as the environment tells it: it is a note for people, not a proof, because
//! whoever may write to the database may write any name. It never keeps a command from running.

use std::os::unix::fs::MetadataExt as _;

/// Longest name that is noted, in characters.
const LIMIT: usize = 64;

/// The person before `sudo` where there was one, else the user, else the user's number.
pub fn actor() -> String {
    let name = pick(["SUDO_USER", "USER", "LOGNAME"].map(|name| std::env::var(name).ok()));
    name.unwrap_or_else(|| match std::fs::metadata("/proc/self") {
        Ok(process) => format!("uid {}", process.uid()),
        Err(_) => "unknown".to_owned(),
    })
}

fn pick(names: [Option<String>; 3]) -> Option<String> {
    let plain = |name: String| -> String {
        let letters = name.chars().filter(|c| !c.is_control());
        letters.take(LIMIT).collect()
    };
    let mut names = names.into_iter().flatten().map(plain);
    names.find(|name| !name.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_behind_sudo_comes_before_the_user() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(pick([name("ana"), name("root"), None]), name("ana"));
        assert_eq!(pick([name(" "), name("ro\not"), None]), name("root"));
        assert_eq!(pick([None, None, None]), None);
        let long = pick([None, name(&"x".repeat(99)), None]);
        assert_eq!(long.map(|name| name.len()), Some(LIMIT));
    }
}
