//! The machine: room on the disk of the state folder, who may read it, and the clock.

use std::os::unix::fs::PermissionsExt as _;

use satellite::clock;
use store::{JournalLimits, examine};

use super::words::Says;
use super::{Context, Findings};

/// Below this free share, in percent, somebody should make room.
const NEAR: u64 = 20;

pub(super) async fn look(context: &Context, findings: &mut Findings) {
    let folder = &context.config.state_dir;
    let shown = folder.display();
    match examine::Room::under(folder) {
        Err(_) => findings.care(
            Says::NoFolder,
            &[&shown],
            format!("mkdir -p -m 0750 {shown}"),
        ),
        Ok(room) => {
            let free = room.percent();
            let who = || format!("du -xh --max-depth=2 / | sort -h | tail; df -h {shown}");
            match free {
                _ if JournalLimits::default().is_low(room) => {
                    findings.bad(Says::Room, &[&free, &shown], who())
                }
                _ if free < NEAR => findings.care(Says::Room, &[&free, &shown], who()),
                _ => findings.good(Says::Room, &[&free, &shown]),
            }
        }
    }
    if let Ok(meta) = folder.metadata() {
        if meta.permissions().mode() & 0o007 == 0 {
            findings.good(Says::ClosedFolder, &[&shown]);
        } else {
            findings.care(Says::OpenFolder, &[&shown], format!("chmod o= {shown}"));
        }
    }
    match clock::system_word().await {
        Some(true) => findings.good(Says::ClockRight, &[]),
        Some(false) => {
            let mend = "timedatectl set-ntp true; timedatectl status".to_owned();
            findings.bad(Says::ClockWrong, &[], mend);
        }
        // A container: its host keeps the time.
        None => {}
    }
}
