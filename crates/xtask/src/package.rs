//! `cargo xtask package`: the Debian packages of satellite and sentinel, and what is in them.
//!
//! Programs are built, asked for their own manual pages and completion, and cargo-deb packs
//! all of it by what stands in the programs' manifests. Beside them lies a list of every
//! component (CycloneDX). Nothing is installed on this machine but the two tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::{self, cargo};
use crate::report::Outcome;
use crate::{inspect, packages};

/// The version of cargo-deb that the manifests are written for.
const CARGO_DEB: &str = "3.8.0";
/// The version of cargo-cyclonedx whose lists were looked at.
const CARGO_CYCLONEDX: &str = "0.5.9";
/// The packages, each with the programs in it; the first has the package's manifest in `crates/`.
const PACKAGES: [(&str, &[&str]); 2] = [
    ("satellite", &["satellite", "terminals"]),
    ("sentinel", &["sentinel"]),
];
/// Shells and the names that they look for.
const COMPLETIONS: [(&str, &str, &str); 3] =
    [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];

/// The number behind the version, and the one of the next version in tests.
const FIRST: &str = "1";
const SECOND: &str = "2";
/// Puts another number into the control file of a package.
const RENUMBER: &str = r#"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkdir "$folder/control"
ar p "$1" control.tar.xz | tar -xJ -C "$folder/control"
sed -i "s/^\(Version: .*\)-$2\$/\1-$3/" "$folder/control/control"
grep -q "^Version: .*-$3\$" "$folder/control/control"
tar -cJ --owner=0 --group=0 --format=gnu -f "$folder/control.tar.xz" -C "$folder/control" .
ar r "$1" "$folder/control.tar.xz"
"#;

/// Builds the release and packs it; prints where the packages are and how large.
pub(crate) fn run() -> Result<()> {
    packages::for_build()?;
    println!("Building the release. This takes several minutes.");
    let built = cargo::build(&["--profile", "release"], &programs())?;
    let debs = pack(&built, "release", &[])?;
    let inspection = inspect::begin(&debs, &[])?;
    let lists = component_lists()?;
    match inspection.end()? {
        Outcome::Fine => {}
        Outcome::Skipped(why) => println!("SKIPPED: {why}"),
        Outcome::Failed(why) => bail!(why),
    }
    println!();
    for file in debs.iter().chain(&lists) {
        let size = std::fs::metadata(file)?.len();
        println!("{:>9} KiB  {}", size.div_ceil(1024), file.display());
    }
    Ok(())
}

/// Every program that is packed.
fn programs() -> Vec<&'static str> {
    PACKAGES.map(|(_, programs)| programs).concat()
}

/// Packs programs that are built in that profile, with these options of cargo-deb; the packages in
/// the order of [`PACKAGES`].
pub(crate) fn pack(built: &[PathBuf], profile: &str, options: &[&str]) -> Result<Vec<PathBuf>> {
    cargo::install_tool("deb", "cargo-deb", CARGO_DEB)?;
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let mut debs = Vec::new();
    for program in programs() {
        let named = |path: &&PathBuf| path.file_name().is_some_and(|name| name == program);
        let executable = built.iter().find(named);
        let executable = executable.with_context(|| format!("{program} was not built"))?;
        write_companions(program, executable, &folder.join(program))?;
    }
    for (package, _) in PACKAGES {
        let deb = deb_of(&folder, package, FIRST);
        let mut command = cargo(["deb", "--quiet", "--no-build", "--no-dbgsym", "--strip"]);
        command.args(["--package", package, "--profile", profile]);
        command.args(["--deb-revision", FIRST]).args(options);
        succeed(command.arg("--output").arg(&folder))?;
        ensure!(deb.exists(), "cargo-deb made no {}", deb.display());
        debs.push(deb);
    }
    Ok(debs)
}

/// Makes the same packages once more as the next version, for upgrades and the way back. What is
/// installed is taken over as it is: to compress it again would take half a minute.
pub(crate) fn renumber() -> Result<()> {
    for (package, _) in PACKAGES {
        let next = deb_of(&folder(), package, SECOND);
        std::fs::copy(deb_of(&folder(), package, FIRST), &next)?;
        let mut command = Command::new("sh");
        command.args(["-ec", RENUMBER, "renumber"]).arg(&next);
        succeed(command.args([FIRST, SECOND]))?;
    }
    Ok(())
}

/// Where packages and what goes into them are made.
pub(crate) fn folder() -> PathBuf {
    cargo::root().join("target").join("package")
}

fn deb_of(folder: &Path, package: &str, revision: &str) -> PathBuf {
    let version = env!("CARGO_PKG_VERSION");
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    folder.join(format!("{package}_{version}-{revision}_{machine}.deb"))
}

/// Manual pages, completion and the change log, where the manifest looks for them.
fn write_companions(program: &str, executable: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        // A page of a command that is no more would be packed again.
        std::fs::remove_dir_all(folder)?;
    }
    for (language, place) in [("en", "man/man1"), ("es", "man/es/man1")] {
        let mut command = Command::new(executable);
        command.args(["--lang", language, "manual"]);
        succeed(command.arg(folder.join(place)))?;
    }
    let completion = folder.join("completion");
    std::fs::create_dir_all(&completion)?;
    for (shell, before, behind) in COMPLETIONS {
        let output = Command::new(executable)
            .args(["completion", shell])
            .output()?;
        ensure!(
            output.status.success(),
            "{program} has no completion for {shell}"
        );
        let file = completion.join(format!("{before}{program}{behind}"));
        std::fs::write(file, output.stdout)?;
    }
    std::fs::write(folder.join("changelog"), changelog(program)?)?;
    Ok(())
}

/// The change log in Debian's form: the changes themselves stand in the operators' own.
fn changelog(program: &str) -> Result<String> {
    let date = Command::new("git")
        .args(["log", "-1", "--format=%cD"])
        .current_dir(cargo::root())
        .output();
    // A copy of the sources that has no history gets the beginning of all times.
    let date = date.ok().filter(|output| output.status.success());
    let date = date
        .map(|output| String::from_utf8(output.stdout))
        .transpose()?;
    let date = date.unwrap_or_else(|| "Thu, 01 Jan 1970 00:00:00 +0000".to_owned());
    Ok(format!(
        "{program} ({}) unstable; urgency=medium\n\n  * See /usr/share/doc/{program}/CHANGELOG.md.\n\n \
         -- The satellite authors <satellite@packages.invalid>  {}\n",
        env!("CARGO_PKG_VERSION"),
        date.trim()
    ))
}

/// A list of every component in each program, in CycloneDX's JSON, beside the packages.
fn component_lists() -> Result<Vec<PathBuf>> {
    cargo::install_tool("cyclonedx", "cargo-cyclonedx", CARGO_CYCLONEDX)?;
    let mut command = cargo(["cyclonedx", "--quiet", "--format", "json"]);
    command.args(["--spec-version", "1.5", "--describe", "binaries"]);
    succeed(command.arg("--no-build-deps"))?;
    let mut lists = Vec::new();
    // The tool writes beside the manifest of every program of the workspace.
    for member in [
        "crates/satellite",
        "crates/sentinel",
        "crates/terminals",
        "crates/xtask",
        "benches",
    ] {
        let name = member.rsplit('/').next().unwrap_or(member);
        let written = cargo::root()
            .join(member)
            .join(format!("{name}_bin.cdx.json"));
        let text = std::fs::read_to_string(&written)
            .with_context(|| format!("cargo-cyclonedx made no {}", written.display()))?;
        std::fs::remove_file(&written)?;
        if programs().contains(&name) {
            let list = folder().join(format!("{name}_{}.cdx.json", env!("CARGO_PKG_VERSION")));
            // Where this was built is nobody's business.
            let root = cargo::root().display().to_string();
            std::fs::write(&list, text.replace(&root, ""))?;
            lists.push(list);
        }
    }
    Ok(lists)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context("it did not start")?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
