//! A command that root runs first becomes the owner of the state folder.
//!
//! Otherwise root would leave files there that the daemon's user cannot write, and the daemon
//! would fail at its next start. The program is run again in its own place with the owner's
//! user and group; who asked goes along as `sudo` would tell it, so that the audit knows.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::actor;

/// Returns when this process may go on as it is. When it is root and the folder belongs to
/// somebody else, it does not return: the same command goes on as that somebody.
///
/// # Errors
/// The program cannot be run as the owner.
pub fn become_owner(state_dir: &Path) -> io::Result<()> {
    // A process belongs to its effective user, and so does its folder in /proc.
    let (Ok(folder), Ok(process)) = (
        std::fs::metadata(state_dir),
        std::fs::metadata("/proc/self"),
    ) else {
        return Ok(());
    };
    if process.uid() != 0 || folder.uid() == 0 {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .uid(folder.uid())
        .gid(folder.gid())
        .env("SUDO_USER", actor::actor())
        .exec();
    let (program, folder, owner) = (program.display(), state_dir.display(), folder.uid());
    Err(io::Error::other(format!(
        "{program} cannot be run as the owner of {folder} (user {owner}); run it as that user: \
         {error}"
    )))
}
