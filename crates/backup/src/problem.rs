//! What went wrong with a copy, in both languages, with the next step in it.
//!
//! Every sentence here is for whoever is woken by it: what failed and what to do. The cause is
//! what a program or the system said, in its own words.

use std::fmt;
use std::io;

use daemon::config::Said;

/// Why a copy could not be made, read or proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it means and what to do.
    pub said: Said,
    /// What a program, the system or a database said.
    pub cause: Option<String>,
}

impl Problem {
    /// English and Spanish.
    pub(crate) fn new(en: impl Into<String>, es: impl Into<String>) -> Self {
        Self {
            said: Said::new(en, es),
            cause: None,
        }
    }

    /// With what somebody else said about it.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl fmt::Display) -> Self {
        let cause = cause.to_string();
        self.cause = (!cause.trim().is_empty()).then(|| cause.trim().to_owned());
        self
    }

    /// A file or folder that cannot be used.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        let shown = path.display();
        if error.kind() == io::ErrorKind::StorageFull {
            return Self::no_space(&shown.to_string());
        }
        Self::new(
            format!("{shown} cannot be used; make room, mount it or give it to the user of satellite, then run it again"),
            format!("{shown} no se puede usar; libere espacio, móntelo o déselo al usuario de satellite y ejecútelo otra vez"),
        )
        .because(error)
    }

    /// A disk that is full.
    pub(crate) fn no_space(place: &str) -> Self {
        Self::new(
            format!(
                "no space left at {place}; free some (`satellite backup prune`), then run it again"
            ),
            format!(
                "no hay espacio en {place}; libere un poco (`satellite backup prune`) y ejecútelo otra vez"
            ),
        )
    }

    /// What is wrong with a setting, as the configuration tells it.
    pub fn setting(said: &Said) -> Self {
        Self {
            said: said.clone(),
            cause: None,
        }
    }

    /// A database that cannot be read.
    pub(crate) fn database(failure: &store::Failure) -> Self {
        Self::new(
            "the database cannot be read; `satellite doctor` says what mends it",
            "la base de datos no se puede leer; `satellite doctor` dice qué lo arregla",
        )
        .because(&failure.text)
    }

    /// Work that did not end in its time.
    pub(crate) fn hung(what: (&str, &str), seconds: u64) -> Self {
        Self::new(
            format!(
                "{} had not ended after {seconds} s and was given up; see what holds it up, or raise backup.time_limit",
                what.0
            ),
            format!(
                "{} no había terminado en {seconds} s y se abandonó; vea qué lo detiene, o suba backup.time_limit",
                what.1
            ),
        )
    }

    /// A copy that is not what was written.
    pub(crate) fn damaged(place: &str, what: impl fmt::Display) -> Self {
        Self::new(
            format!("the copy {place} is damaged; use the other location or an older one, and have the disk checked"),
            format!("la copia {place} está dañada; use la otra ubicación o una anterior, y mande revisar el disco"),
        )
        .because(what)
    }

    /// The Spanish text, with the cause.
    pub fn in_spanish(&self) -> String {
        with_cause(&self.said.es, self.cause.as_deref())
    }
}

fn with_cause(text: &str, cause: Option<&str>) -> String {
    match cause {
        Some(cause) => format!("{text}: {cause}"),
        None => text.to_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_cause(&self.said.en, self.cause.as_deref()))
    }
}

impl std::error::Error for Problem {}
