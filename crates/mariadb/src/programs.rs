//! Finds MariaDB's programs on this machine.
//!
//! Distributions put the server in `/usr/sbin`, which is not on every user's `PATH`. Nothing
//! is started or installed here; a missing program is an error that says what to do.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where a server may stand when `PATH` does not name the folder.
const OTHER_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin"];

/// Whether everything that a private server needs is installed.
#[must_use]
pub fn installed() -> bool {
    ["mariadbd", "mariadb-install-db", "mariadb"]
        .iter()
        .all(|name| find(name).is_ok())
}

/// The full path of a program.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(OTHER_FOLDERS.iter().map(PathBuf::from));
    match folders
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
    {
        Some(file) => Ok(file),
        None => bail!(
            "{name} is not installed: run `cargo xtask test`, which installs it, \
             or `apt-get install mariadb-server`"
        ),
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_way_to_install_it() {
        let error = find("mariadbd-of-no-machine").unwrap_err().to_string();
        assert!(
            error.starts_with("mariadbd-of-no-machine is not installed"),
            "{error}"
        );
        assert!(error.contains("apt-get install mariadb-server"), "{error}");
    }
}
