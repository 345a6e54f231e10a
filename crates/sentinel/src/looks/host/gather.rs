//! What a machine says of itself: read from `/proc` and the file systems, not judged.
//!
//! What cannot be read is absent and not zero. A file system that hangs (a dead network mount)
//! must not hang us: reading happens in a thread of its own, and while one such thread is still
//! busy the next rounds do without the disks. Names of mounts and interfaces may be anything
//! and are treated as hostile text by whoever shows them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use procfs_core::net::{DeviceStatus, InterfaceDeviceStatus};
use procfs_core::process::MountInfos;
use procfs_core::{
    CpuTime, ExplicitSystemInfo, FromRead, FromReadSI as _, KernelStats, LoadAverage, Meminfo,
    Uptime,
};
use serde::{Deserialize, Serialize};

use crate::looks::wide;

/// Longest wait for the disks.
const DISKS_WITHIN: Duration = Duration::from_secs(8);
/// Longest wait for the system's word on its clock.
const CLOCK_WITHIN: Duration = Duration::from_secs(3);
/// Most file systems and interfaces that are told.
const MOST: usize = 64;
/// Kinds of file systems that hold data.
const REAL: [&str; 12] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "vfat", "nfs", "nfs4", "cifs",
];

/// A machine's own words. They travel as JSON from `sentinel host`; what is absent could not be
/// read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// How many seconds it has been running.
    pub uptime_seconds: Option<f64>,
    /// How many processors it has.
    pub processors: Option<f64>,
    /// The share of their time in which they worked, 0 to 1, since the last reading.
    pub cpu_busy: Option<f64>,
    /// The share in which another machine on the same hardware had them.
    pub cpu_stolen: Option<f64>,
    /// Processes that run or wait for a processor or disk, over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Memory and swap.
    pub memory: Option<Memory>,
    /// Its file systems by mount point.
    pub disks: Option<BTreeMap<String, Disk>>,
    /// Its network interfaces by name, without the loopback.
    #[serde(default)]
    pub interfaces: BTreeMap<String, Interface>,
    /// Whether the system says that its clock is synchronised.
    pub clock_synchronised: Option<bool>,
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In all.
    pub total: u64,
    /// What programs can still get without swapping.
    pub available: u64,
    /// Swap in all.
    pub swap_total: u64,
    /// Swap that is free.
    pub swap_free: u64,
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Bytes in all.
    pub total: u64,
    /// Bytes that programs can still get.
    pub free: u64,
    /// Inodes in all; 0 where there is no such number.
    pub inodes: u64,
    /// Inodes that are free.
    pub inodes_free: u64,
    /// True when it takes no writes.
    pub read_only: bool,
}

/// A network interface, in a second, since the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// False when it is not connected.
    pub up: bool,
    /// Bytes received.
    pub received: f64,
    /// Bytes sent.
    pub sent: f64,
    /// Packets in both directions.
    pub packets: f64,
    /// Packets that were broken or dropped.
    pub bad: f64,
}

/// Reads again and again, and remembers counters in between.
pub struct Gatherer {
    /// Mount points to read; every real one when empty.
    disks: Vec<String>,
    before: Mutex<Option<Counters>>,
    disks_busy: Arc<AtomicBool>,
}

struct Counters {
    at: Instant,
    cpu: Option<CpuTime>,
    net: BTreeMap<String, DeviceStatus>,
}

impl Gatherer {
    /// Reads these file systems, or every real one.
    pub fn new(disks: &[String]) -> Self {
        Self {
            disks: disks.to_vec(),
            before: Mutex::default(),
            disks_busy: Arc::default(),
        }
    }

    /// Reads everything that can be read now.
    pub async fn gather(&self) -> Facts {
        let stats = read_stats();
        let counters = Counters {
            at: Instant::now(),
            cpu: stats.as_ref().map(|stats| stats.total.clone()),
            net: read_net(),
        };
        let mut facts = Facts {
            uptime_seconds: file::<Uptime>("/proc/uptime").map(|it| it.uptime),
            processors: stats.map(|stats| wide(stats.cpu_time.len() as u64)),
            load: file::<LoadAverage>("/proc/loadavg")
                .map(|it| [it.one.into(), it.five.into(), it.fifteen.into()]),
            memory: file::<Meminfo>("/proc/meminfo").and_then(|it| memory(&it)),
            disks: self.read_disks().await,
            clock_synchronised: clock().await,
            ..Facts::default()
        };
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &*before {
            rates(before, &counters, &mut facts);
        }
        *before = Some(counters);
        drop(before);
        facts
    }

    /// `None` while an earlier reading hangs.
    async fn read_disks(&self) -> Option<BTreeMap<String, Disk>> {
        if self.disks_busy.swap(true, Ordering::SeqCst) {
            return None;
        }
        let (wanted, busy) = (self.disks.clone(), Arc::clone(&self.disks_busy));
        let reading = tokio::task::spawn_blocking(move || {
            let disks = disks(&wanted);
            busy.store(false, Ordering::SeqCst);
            disks
        });
        tokio::time::timeout(DISKS_WITHIN, reading).await.ok()?.ok()
    }
}

fn file<T: FromRead>(path: &str) -> Option<T> {
    T::from_file(path).ok()
}

fn read_stats() -> Option<KernelStats> {
    // Only shares of time are used, in which the length of a tick cancels out.
    let system = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: true,
    };
    KernelStats::from_file("/proc/stat", &system).ok()
}

fn read_net() -> BTreeMap<String, DeviceStatus> {
    let read: Option<InterfaceDeviceStatus> = file("/proc/net/dev");
    let all = read.map(|it| it.0).unwrap_or_default();
    let real = all.into_iter().filter(|(name, _)| name != "lo");
    real.take(MOST).collect()
}

fn memory(info: &Meminfo) -> Option<Memory> {
    Some(Memory {
        total: info.mem_total,
        available: info.mem_available?,
        swap_total: info.swap_total,
        swap_free: info.swap_free,
    })
}

/// The mount points that are wanted, with what each file system says.
fn disks(wanted: &[String]) -> BTreeMap<String, Disk> {
    let mounts = file::<MountInfos>("/proc/self/mountinfo");
    let mounts = mounts.unwrap_or_else(|| MountInfos(Vec::new()));
    let points = if wanted.is_empty() {
        real_mounts(&mounts)
    } else {
        wanted.to_vec()
    };
    let told = points.into_iter().filter_map(|point| {
        let disk = disk(&point, &mounts)?;
        Some((point, disk))
    });
    told.take(MOST).collect()
}

/// One mount point of each file system that holds data, and the root whatever it is.
fn real_mounts(mounts: &MountInfos) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let mut points = Vec::new();
    for mount in &mounts.0 {
        let point = mount.mount_point.to_string_lossy().into_owned();
        let real = REAL.contains(&mount.fs_type.as_str()) || point == "/";
        if real && Path::new(&point).is_dir() && seen.insert(mount.majmin.clone()) {
            points.push(point);
        }
    }
    points
}

/// Whether the file system under a folder takes no writes. Asked of the file system and not of
/// the mount: systemd shows us most of a machine read-only.
fn is_read_only(mounts: &MountInfos, folder: &Path) -> bool {
    let over = mounts
        .0
        .iter()
        .filter(|it| folder.starts_with(&it.mount_point));
    let nearest = over.max_by_key(|it| it.mount_point.components().count());
    nearest.is_some_and(|it| it.super_options.contains_key("ro"))
}

fn disk(point: &str, mounts: &MountInfos) -> Option<Disk> {
    let it = rustix::fs::statvfs(point).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(it.f_frsize);
    // As `df` counts: what only root may fill is neither free nor used.
    let used = it.f_blocks.saturating_sub(it.f_bfree);
    Some(Disk {
        total: bytes(used.saturating_add(it.f_bavail)),
        free: bytes(it.f_bavail),
        inodes: it.f_files,
        inodes_free: it.f_ffree,
        read_only: is_read_only(mounts, Path::new(point)),
    })
}

/// Fills in what is known only from two readings.
fn rates(before: &Counters, now: &Counters, facts: &mut Facts) {
    if let Some((then, cpu)) = before.cpu.as_ref().zip(now.cpu.as_ref()) {
        (facts.cpu_busy, facts.cpu_stolen) = shares(then, cpu);
    }
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    for (name, status) in &now.net {
        let Some(then) = before.net.get(name) else {
            continue;
        };
        let per_second = |count: fn(&DeviceStatus) -> u64| {
            wide(count(status).saturating_sub(count(then))) / seconds.max(0.001)
        };
        let interface = Interface {
            up: is_up(name),
            received: per_second(|it| it.recv_bytes),
            sent: per_second(|it| it.sent_bytes),
            packets: per_second(|it| it.recv_packets + it.sent_packets),
            bad: per_second(|it| it.recv_errs + it.recv_drop + it.sent_errs + it.sent_drop),
        };
        facts.interfaces.insert(name.clone(), interface);
    }
}

/// The shares of time that were worked, and stolen.
fn shares(then: &CpuTime, now: &CpuTime) -> (Option<f64>, Option<f64>) {
    let idle = |it: &CpuTime| it.idle + it.iowait.unwrap_or(0);
    let stolen = |it: &CpuTime| it.steal.unwrap_or(0);
    let all = |it: &CpuTime| {
        let parts = [
            it.user,
            it.nice,
            it.system,
            it.irq.unwrap_or(0),
            it.softirq.unwrap_or(0),
        ];
        parts.iter().sum::<u64>() + idle(it) + stolen(it)
    };
    let rose = |count: &dyn Fn(&CpuTime) -> u64| wide(count(now).saturating_sub(count(then)));
    let total = rose(&all);
    if total <= 0.0 {
        return (None, None);
    }
    let busy = 1.0 - rose(&idle) / total;
    (Some(busy.clamp(0.0, 1.0)), Some(rose(&stolen) / total))
}

/// False when the kernel says that the interface is down; interfaces that do not tell are up.
fn is_up(name: &str) -> bool {
    if name.contains(['/', '.']) {
        return true;
    }
    let state = std::fs::read_to_string(format!("/sys/class/net/{name}/operstate"));
    !state.is_ok_and(|state| matches!(state.trim(), "down" | "lowerlayerdown"))
}

/// What `timedatectl` says; `None` where there is no such program or no service behind it.
async fn clock() -> Option<bool> {
    let mut command = tokio::process::Command::new("timedatectl");
    command
        .args(["show", "--property=NTPSynchronized", "--value"])
        // Without its own service manager it would report that failure to ours.
        .env_remove("NOTIFY_SOCKET")
        .kill_on_drop(true)
        .stdin(Stdio::null());
    let output = tokio::time::timeout(CLOCK_WITHIN, command.output()).await;
    let output = output.ok()?.ok()?;
    match output.stdout.trim_ascii() {
        b"yes" if output.status.success() => Some(true),
        b"no" if output.status.success() => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_read_only_when_its_file_system_is_and_not_when_only_our_view_of_it_is() {
        let text = "22 1 254:1 / / ro,relatime - ext4 /dev/vda1 rw,errors=remount-ro\n\
                    30 22 254:2 / /var/lib rw,relatime - ext4 /dev/vdb ro,data=ordered\n";
        let mounts = MountInfos::from_read(text.as_bytes()).unwrap();
        let read_only = |folder: &str| is_read_only(&mounts, Path::new(folder));
        assert!(!read_only("/") && !read_only("/var/library"));
        assert!(read_only("/var/lib") && read_only("/var/lib/mysql"));
    }

    #[tokio::test]
    async fn a_running_linux_machine_tells_its_facts() {
        let gatherer = Gatherer::new(&[]);
        let first = gatherer.gather().await;
        assert!(first.uptime_seconds.unwrap() > 0.0 && first.processors.unwrap() >= 1.0);
        assert!(first.cpu_busy.is_none(), "one reading makes no share");
        let memory = first.memory.unwrap();
        assert!(memory.available <= memory.total && memory.total > 1 << 20);
        let disks = first.disks.unwrap();
        assert!(
            disks.get("/").is_some_and(|root| root.total > 0),
            "{disks:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
        let second = gatherer.gather().await;
        assert!((0.0..=1.0).contains(&second.cpu_busy.unwrap()));
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), second);
    }

    #[tokio::test]
    async fn only_the_disks_that_were_named_are_read_and_one_that_is_not_there_is_absent() {
        let wanted = ["/proc/..".to_owned(), "/nonexistent".to_owned()];
        let disks = Gatherer::new(&wanted).gather().await.disks.unwrap();
        assert_eq!(disks.keys().collect::<Vec<_>>(), ["/proc/.."]);
    }

    #[test]
    fn one_mount_of_each_file_system_with_data_is_read() {
        let text = "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / /var rw - ext4 /dev/a rw\n\
                    3 1 8:1 /x /etc rw - ext4 /dev/a rw\n4 1 0:5 / /proc rw - proc proc rw\n";
        let mounts = MountInfos::from_read(text.as_bytes()).unwrap();
        assert_eq!(real_mounts(&mounts), ["/", "/var"]);
    }

    #[test]
    fn shares_of_time_are_those_between_two_readings() {
        let stats = |line: &str| {
            let text = format!("cpu {line}\ncpu0 {line}\nctxt 1\nbtime 1\nprocesses 1\n");
            let system = ExplicitSystemInfo {
                boot_time_secs: 0,
                ticks_per_second: 100,
                page_size: 4096,
                is_little_endian: true,
            };
            KernelStats::from_read(text.as_bytes(), &system)
                .unwrap()
                .total
        };
        let then = stats("100 0 100 800 0 0 0 0 0 0");
        let now = stats("150 0 120 820 0 0 0 10 0 0");
        let (busy, stolen) = shares(&then, &now);
        assert!((busy.unwrap() - 0.8).abs() < 1e-9 && (stolen.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(shares(&now, &now), (None, None));
    }
}
