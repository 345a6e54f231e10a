//! The system packages that building and testing need.
//!
//! Whether one is there is asked of the machine (can its program be found, does pkg-config
//! know its library), not of the package manager, so that other distributions work too. Only
//! root on a machine with apt-get has packages installed; anybody else is told the line.
//! A service that a package starts is left as it is.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// One package by its Debian name, and how to see that it is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const C_COMPILER: Package = Package {
    name: "gcc",
    present: || answers("cc", "--version"),
};
const C_HEADERS: Package = Package {
    name: "libc6-dev",
    present: || Path::new("/usr/include/stdlib.h").exists(),
};
const PKG_CONFIG: Package = Package {
    name: "pkg-config",
    present: || answers("pkg-config", "--version"),
};
const SYSTEMD: Package = Package {
    name: "libsystemd-dev",
    present: || {
        let asked = Command::new("pkg-config")
            .args(["--exists", "libsystemd"])
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    },
};
const MARIADB: Package = Package {
    name: "mariadb-server",
    present: mariadb::installed,
};

const AGE: Package = Package {
    name: "age",
    present: || answers("age", "--version"),
};

const RCLONE: Package = Package {
    name: "rclone",
    present: || answers("rclone", "version"),
};

const STRACE: Package = Package {
    name: "strace",
    present: || answers("strace", "--version"),
};

const PHP: Package = Package {
    name: "php-cli",
    present: || answers("php", "--version"),
};
const PHP_MYSQL: Package = Package {
    name: "php-mysql",
    present: || {
        let loaded = Command::new("php").arg("-m").output();
        loaded.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("pdo_mysql"))
    },
};

const DEBOOTSTRAP: Package = Package {
    name: "debootstrap",
    present: || answers("debootstrap", "--version"),
};
const NSPAWN: Package = Package {
    name: "systemd-container",
    present: || answers("systemd-nspawn", "--version"),
};

const SMTPD: Package = Package {
    name: "opensmtpd",
    // It would push another mail server off the machine, which is not ours to decide.
    present: || ["smtpd", "sendmail"].iter().any(|it| is_program(it)),
};
const DOVECOT: Package = Package {
    name: "dovecot-imapd",
    present: || is_program("dovecot"),
};
const FAKETIME: Package = Package {
    name: "faketime",
    present: || Path::new("/usr/bin/faketime").exists(),
};

const LINTIAN: Package = Package {
    name: "lintian",
    present: || answers("lintian", "--version"),
};

const MOSQUITTO: Package = Package {
    name: "mosquitto",
    present: || is_program("mosquitto"),
};
const MOSQUITTO_CLIENTS: Package = Package {
    name: "mosquitto-clients",
    present: || Path::new("/usr/bin/mosquitto_sub").exists(),
};

/// What building satellite needs.
const BUILD: &[Package] = &[C_COMPILER, C_HEADERS, PKG_CONFIG, SYSTEMD];
/// What its tests need.
const TEST: &[Package] = &[
    C_COMPILER,
    C_HEADERS,
    PKG_CONFIG,
    SYSTEMD,
    MARIADB,
    AGE,
    RCLONE,
    STRACE,
    PHP,
    PHP_MYSQL,
    MOSQUITTO,
    MOSQUITTO_CLIENTS,
];

/// What a system to install packages in needs.
const CONTAINER: &[Package] = &[DEBOOTSTRAP, NSPAWN];

/// What tests of the mail path need besides: real servers, and clocks that stand ahead.
const MAIL: &[Package] = &[SMTPD, DOVECOT, FAKETIME];

/// Makes sure that satellite can be built here.
pub(crate) fn for_build() -> Result<()> {
    ensure(BUILD)
}

/// Makes sure that satellite can be built and tested here.
pub(crate) fn for_test() -> Result<()> {
    ensure(TEST)
}

/// Makes sure that packages can be judged here.
pub(crate) fn for_packages() -> Result<()> {
    ensure(&[LINTIAN])
}

/// Makes sure that a minimal system can be made and booted here.
pub(crate) fn for_container() -> Result<()> {
    ensure(CONTAINER)
}

/// Makes sure that the mail path can be tested with real servers here.
pub(crate) fn for_mail() -> Result<()> {
    ensure(MAIL)
}

fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect()
}

fn ensure(packages: &[Package]) -> Result<()> {
    let wanted = missing(packages);
    if wanted.is_empty() {
        return Ok(());
    }
    let line = format!(
        "apt-get install --yes --no-install-recommends {}",
        wanted.join(" ")
    );
    if !answers("apt-get", "--version") {
        bail!(
            "missing on this machine, by their Debian names: {}",
            wanted.join(" ")
        );
    }
    if !is_root() {
        bail!("system packages are missing. Install them, then start again:\n\n    sudo {line}\n");
    }
    println!("Installing missing system packages: {line}");
    apt_get(&["update"])?;
    let installed = apt_get(
        &[
            &["install", "--yes", "--no-install-recommends"],
            wanted.as_slice(),
        ]
        .concat(),
    );
    // A package whose service cannot start here (a container) makes apt-get fail after its
    // files are in place; the files are all that we need.
    match missing(packages) {
        none if none.is_empty() => Ok(()),
        still => {
            installed?;
            bail!("still missing after `{line}`: {}", still.join(" "))
        }
    }
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    println!("    apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .arg("-qq")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("apt-get did not start")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!(
            "`apt-get {}` failed:\n{}",
            arguments.join(" "),
            String::from_utf8_lossy(&said)
        );
    }
    Ok(())
}

/// Whether a program can be started.
fn answers(program: &str, argument: &str) -> bool {
    let asked = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Whether a program of the system is there.
fn is_program(name: &str) -> bool {
    Path::new("/usr/sbin").join(name).exists()
}

/// Whether we are root: the owner of our own entry in `/proc`.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|meta| meta.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_lacks_is_asked_for() {
        let packages = [
            Package {
                name: "here",
                present: || answers("true", "--version"),
            },
            Package {
                name: "absent",
                present: || answers("no-program-of-this-name", ""),
            },
        ];
        assert_eq!(missing(&packages), ["absent"]);
    }
}
