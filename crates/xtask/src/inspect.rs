//! What a package must be before anybody installs it: no larger than promised, and without an
//! error in the eyes of lintian, the distribution's own judge of packages.
//!
//! Both are asked of the very files that are installed and handed out. No error is ever silenced:
//! there are no overrides.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::packages;
use crate::report::Outcome;

/// The most that a package may take, in bytes.
const LIMIT: u64 = 15 << 20;

/// A lintian at work, or why there is none.
pub(crate) struct Inspection(Result<Child>);

/// Weighs the packages and sets lintian on them with these options; it works while the caller does
/// other things. A package that is too large is an error.
pub(crate) fn begin(debs: &[PathBuf], options: &[&str]) -> Result<Inspection> {
    for deb in debs {
        weigh(deb)?;
    }
    Ok(Inspection(
        packages::for_packages().and_then(|()| lintian(debs, options)),
    ))
}

fn weigh(deb: &Path) -> Result<()> {
    let size = std::fs::metadata(deb)?.len();
    ensure!(
        size <= LIMIT,
        "{} takes {size} bytes; at most {LIMIT} are promised",
        deb.display()
    );
    Ok(())
}

fn lintian(debs: &[PathBuf], options: &[&str]) -> Result<Child> {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error", "--tag-display-limit", "0"]);
    command.args(options).args(debs).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("lintian did not start")
}

impl Inspection {
    /// Waits for lintian and shows what it found.
    pub(crate) fn end(self) -> Result<Outcome> {
        let child = match self.0 {
            Ok(child) => child,
            Err(why) => {
                let what = format!("packages were NOT judged by lintian: {why:#}");
                return Ok(Outcome::Skipped(what));
            }
        };
        let output = child.wait_with_output()?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        Ok(if output.status.success() {
            Outcome::Fine
        } else {
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            Outcome::Failed(format!("lintian found errors: {}", output.status))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_above_the_promised_size_is_refused_and_one_at_it_is_not() {
        let file = std::env::temp_dir().join(format!("satellite-weighed-{}", std::process::id()));
        for (size, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
            // A file of that length with nothing written into it takes no room.
            let made = std::fs::File::create(&file).unwrap();
            made.set_len(size).unwrap();
            assert_eq!(weigh(&file).is_ok(), fits, "{size}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}
