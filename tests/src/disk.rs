//! A disk of our own whose power can be cut.
//!
//! It is a file with an ext4 file system, mounted over a folder that a program keeps its state
//! in. A cut is the file system's own emergency stop without a last write of its log, as the
//! file systems' own tests do it: what was not asked to reach the disk is gone. Whoever has a file
//! open there is stopped just before, as a power cut stops everything at once: a program that goes
//! on may be told that its sync succeeded when it did not, if the emergency stop falls into it.
//! Needs root, loop devices and python3; where one is missing nothing is mounted, and the test
//! must say so.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// Bytes of a disk; a sparse file takes what is written only.
const SIZE: &str = "2G";

/// Mounts, and unmounts when its input ends: also when the test is killed. Each line asks for
/// the mount to be made anew.
const KEEPER: &str = r#"
trap '' HUP INT TERM
# What a program that died started, to tell of its death, may live a moment longer.
off() {
    turns=0
    until umount "$1" 2>/dev/null; do
        turns=$((turns + 1))
        [ "$turns" -lt 100 ] || return 1
        sleep 0.1
    done
}
mount -o loop "$1" "$2" || exit 1
echo mounted
while read -r _; do
    off "$2" && mount -o loop "$1" "$2" || exit 1
    # Where somebody else kept it mounted, a container that booted meanwhile, it is still cut off.
    mktemp -p "$2" >/dev/null || exit 1
    echo mounted
done
umount "$2" 2>/dev/null || umount -l "$2"
"#;

/// Stops every program on the disks, then `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`
/// for each. A thread that waits for the disk counts as stopped: it gets no further than there.
const CUT: &str = r"
import fcntl, glob, os, signal, struct, sys, time
folders = {os.stat(folder).st_dev for folder in sys.argv[1:]}
def is_there(file):
    try:
        return os.stat(file).st_dev in folders
    except OSError:
        return False
def runs(thread):
    try:
        return open(thread).read().rsplit(')', 1)[1].split()[0] in 'RS'
    except OSError:
        return False
files = [file for file in glob.glob('/proc/[0-9]*/fd/*') if is_there(file)]
programs = {file.split('/')[2] for file in files}
for program in programs:
    os.kill(int(program), signal.SIGSTOP)
until = time.monotonic() + 10
while any(runs(one) for program in programs for one in glob.glob(f'/proc/{program}/task/*/stat')):
    if time.monotonic() > until:
        sys.exit('a program on the disk does not stop')
disks = [os.open(folder, os.O_RDONLY) for folder in sys.argv[1:]]
for disk in disks:
    fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))
";

/// A disk under a folder. Dropping it unmounts, when the programs on it have ended.
pub struct Disk {
    keeper: Child,
    answers: BufReader<std::process::ChildStdout>,
    folder: PathBuf,
    _image: TempDir,
}

impl Disk {
    /// Moves the folder's content to a disk of its own and mounts that in its place. Nobody may
    /// have a file there open.
    ///
    /// # Errors
    /// This machine cannot mount or cut.
    pub fn under(folder: &Path) -> Result<Self> {
        run(Command::new("python3").arg("--version"))?;
        let image = tempfile::tempdir()?;
        let file = image.path().join("disk");
        run(Command::new("truncate").args(["-s", SIZE]).arg(&file))?;
        // `-d` fills the new file system; the owner of its root is who made it, as before.
        let mut make = Command::new("mkfs.ext4");
        run(make.args(["-q", "-d"]).arg(folder).arg(&file))?;
        empty(folder)?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .args([&file, folder])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its own group: Ctrl-C must not reach it before its work is done.
            .process_group(0)
            .spawn()?;
        let answers = BufReader::new(keeper.stdout.take().context("no pipe")?);
        let mut disk = Self {
            keeper,
            answers,
            folder: folder.to_owned(),
            _image: image,
        };
        disk.mounted()?;
        Ok(disk)
    }

    /// Cuts the power of all of them in one moment, which the programs on them do not survive
    /// either: they stay stopped and have to be killed.
    ///
    /// # Errors
    /// The kernel refused, or a program could not be stopped.
    pub fn cut(disks: &[&Self]) -> Result<()> {
        let folders = disks.iter().map(|disk| &disk.folder);
        run(Command::new("python3").args(["-c", CUT]).args(folders))
    }

    /// Mounts it again after a cut, with what reached it. The programs on it must have ended.
    ///
    /// # Errors
    /// It is still in use, or damaged.
    pub fn power_on(&mut self) -> Result<()> {
        use std::io::Write as _;
        let ask = self.keeper.stdin.as_mut().context("no pipe")?;
        ask.write_all(b"\n")?;
        self.mounted()
    }

    fn mounted(&mut self) -> Result<()> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(
            line == "mounted\n",
            "{} is not mounted anew; does a container run beside it?",
            self.folder.display()
        );
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a failure here.
        self.keeper.wait().ok();
    }
}

/// A file system of four megabytes that can be filled; gone with this value.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    #[must_use]
    pub fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let words = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
        run(Command::new("mount").args(words).arg(folder.path())).ok()?;
        Some(Self(folder))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        run(Command::new("umount").arg(self.0.path())).ok();
    }
}

/// What lies under a mount takes room that nobody sees.
fn empty(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{command:?} did not start"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
