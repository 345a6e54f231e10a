//! What a figure depends on besides the program: the machine, its disk, and what processes use.
//!
//! Everything is read from `/proc`. What cannot be read is said so, never guessed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Kernel ticks in a second, as `/proc` counts processor time. Linux fixes it for programs.
const TICKS: f64 = 100.0;

/// The machine in a few named words, in order of name.
pub(crate) fn facts() -> Map<String, Value> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let pairs = [
        ("cores", cores.to_string()),
        (
            "processor",
            named("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        ),
        (
            "memory",
            named("/proc/meminfo", "MemTotal").unwrap_or_else(unknown),
        ),
        (
            "kernel",
            fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
        ),
        (
            "file system of the data",
            file_system(&std::env::temp_dir()).unwrap_or_else(unknown),
        ),
        ("build", build().to_owned()),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect()
}

fn unknown() -> String {
    "not known".to_owned()
}

fn build() -> &'static str {
    if cfg!(debug_assertions) {
        "DEBUG: these figures say nothing, build with --release"
    } else {
        "release"
    }
}

/// The value of `name: value` in one of the kernel's tables.
fn named(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    value_of(&text, name)
}

fn value_of(text: &str, name: &str) -> Option<String> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Type and device of the file system that holds a folder.
fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mount_of(&mounts, &folder)
}

fn mount_of(mounts: &str, folder: &Path) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        // Of two mounts on one point the later one counts.
        if folder.starts_with(point) && best.as_ref().is_none_or(|(len, _)| point.len() >= *len) {
            best = Some((point.len(), format!("{kind} on {device}")));
        }
    }
    best.map(|(_, text)| text)
}

/// Processor time that a process has used, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))
        .with_context(|| format!("process {process} is gone"))?;
    cpu_of(&text).context("the kernel's table of a process cannot be read")
}

/// Fields 14 and 15 of `stat`; the second field, in parentheses, may hold anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let rest = stat.rsplit_once(')')?.1;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// Memory of a process, in MiB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: f64,
    /// Resident at most so far.
    pub(crate) peak: f64,
}

/// What a process holds in memory.
pub(crate) fn memory(process: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))
        .with_context(|| format!("process {process} is gone"))?;
    memory_of(&text).context("the kernel's table of a process cannot be read")
}

fn memory_of(status: &str) -> Option<Memory> {
    let mib = |name| {
        let value = value_of(status, name)?;
        let kib: f64 = value.strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024.0)
    };
    Some(Memory {
        resident: mib("VmRSS")?,
        peak: mib("VmHWM")?,
    })
}

/// Resident memory of a process that is no file's: its heap, stacks and data, in MiB.
pub(crate) fn own(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))
        .with_context(|| format!("process {process} is gone"))?;
    let kib = value_of(&text, "RssAnon").and_then(|value| value.strip_suffix(" kB")?.parse().ok());
    let kib: f64 = kib.context("the kernel does not tell a process's own memory")?;
    Ok(kib / 1024.0)
}

/// Files, connections included, that a process has open.
pub(crate) fn descriptors(process: u32) -> Result<usize> {
    let open = fs::read_dir(format!("/proc/{process}/fd"))
        .with_context(|| format!("process {process} is gone"))?;
    Ok(open.count())
}

/// Bytes that a process has sent to disks so far.
pub(crate) fn written(process: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/io"))
        .with_context(|| format!("process {process} is gone"))?;
    let bytes = value_of(&text, "write_bytes").context("the kernel does not count writes")?;
    Ok(bytes.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "7 (a) b) c) S 1 1 1 0 -1 4194304 1 2 3 4 150 50 0 0 20 0 5 0 100";
        assert_eq!(cpu_of(stat), Some(2.0));
        assert_eq!(cpu_of("7 (a"), None);
    }

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\tx\nVmHWM:\t  20480 kB\nVmRSS:\t   10240 kB\n";
        let memory = memory_of(status).unwrap();
        assert_eq!((memory.resident, memory.peak), (10.0, 20.0));
    }

    #[test]
    fn the_deepest_and_latest_mount_of_a_folder_is_named() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp xfs rw 0 0\n";
        let of = |path| mount_of(mounts, Path::new(path));
        assert_eq!(of("/tmp/x").as_deref(), Some("xfs on /dev/b"));
        assert_eq!(of("/tmpfile").as_deref(), Some("ext4 on /dev/a"));
    }
}
