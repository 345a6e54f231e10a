//! Who gives a command, for the audit.
//!
//! The login name as the environment tells it: it is a note for people, not a proof, because
//! whoever may write to the database may write any name. It never keeps a command from running.

/// Longest name that is noted, in characters.
const LIMIT: usize = 64;

/// The person before `sudo` where there was one, else the user.
pub(crate) fn actor() -> String {
    pick(["SUDO_USER", "USER", "LOGNAME"].map(|name| std::env::var(name).ok()))
}

fn pick(names: [Option<String>; 3]) -> String {
    let plain = |name: String| -> String {
        let letters = name.chars().filter(|c| !c.is_control());
        letters.take(LIMIT).collect()
    };
    let mut names = names.into_iter().flatten().map(plain);
    names
        .find(|name| !name.trim().is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_behind_sudo_comes_before_the_user_and_nobody_is_unknown() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(pick([name("ana"), name("root"), None]), "ana");
        assert_eq!(pick([name(" "), name("ro\not"), None]), "root");
        assert_eq!(pick([None, None, None]), "unknown");
        assert_eq!(pick([None, name(&"x".repeat(99)), None]).len(), LIMIT);
    }
}
