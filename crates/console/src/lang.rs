//! The language of what a person reads: asked for on the command line, else by the environment.

use clap::ValueEnum;

/// A language of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Lang {
    /// Español.
    Es,
    /// English.
    En,
}

impl Lang {
    /// The first locale variable that is set decides, as for every program; `None` when it asks
    /// for neither language, or nothing is set.
    pub fn from_environment() -> Option<Self> {
        Self::of(["LC_ALL", "LC_MESSAGES", "LANG"].map(|name| std::env::var(name).ok()))
    }

    fn of(locales: [Option<String>; 3]) -> Option<Self> {
        let set = |locale: &String| !locale.is_empty();
        let first = locales.into_iter().flatten().find(set)?;
        match first.split(['_', '.', '@', '-']).next() {
            Some("es") => Some(Self::Es),
            Some("en") => Some(Self::En),
            _ => None,
        }
    }

    /// What one of these options (`--lang es`, `--lang=es`) asks for on a command line that is
    /// not read yet, because help is asked for in it too.
    pub fn asked(words: &[String], options: &[&str]) -> Option<Self> {
        let value = |at: usize, word: &String, option: &&str| match word.strip_prefix(*option)? {
            "" => words.get(at + 1).cloned(),
            rest => rest.strip_prefix('=').map(str::to_owned),
        };
        let of_word = |(at, word)| options.iter().find_map(|option| value(at, word, option));
        let found = words.iter().enumerate().find_map(of_word)?;
        Self::from_str(&found, false).ok()
    }

    /// One of two texts.
    pub fn pick<T>(self, spanish: T, english: T) -> T {
        match self {
            Self::Es => spanish,
            Self::En => english,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_comes_from_the_first_locale_that_is_set() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(Lang::of([None, None, name("es_MX.UTF-8")]), Some(Lang::Es));
        assert_eq!(Lang::of([name("C.UTF-8"), None, name("es_MX.UTF-8")]), None);
        assert_eq!(Lang::of([name(""), name("es"), None]), Some(Lang::Es));
        assert_eq!(Lang::of([None, None, name("en_US")]), Some(Lang::En));
        assert_eq!(Lang::of([None, None, name("est_EE")]), None);
        assert_eq!(Lang::of([None, None, None]), None);
    }

    #[test]
    fn an_option_asks_for_a_language_before_the_line_is_read() {
        let asked = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            Lang::asked(&words, &["--lang", "--language"])
        };
        assert_eq!(asked("p --lang es x --help"), Some(Lang::Es));
        assert_eq!(asked("p x --lang=en"), Some(Lang::En));
        assert_eq!(asked("p --language=es"), Some(Lang::Es));
        for neither in ["p x", "p --lang", "p --lang fr"] {
            assert_eq!(asked(neither), None, "{neither}");
        }
    }
}
