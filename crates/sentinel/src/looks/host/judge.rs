//! What is wrong with a machine, from its facts and what was seen of it before. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::forecast::Readings;
use super::gather::{Disk, Facts, Interface};
use crate::looks::wide;
use crate::{Fact, Kind, Observation, Phrase, Severity, Subject, Trouble, Value};

/// Processors are busy without end from this share on.
const BUSY: f64 = 0.95;
/// So many readings in a row must be busy, or bad: ten minutes of them.
const IN_A_ROW: usize = 20;
/// Load for each processor from which on work queues.
const QUEUES: f64 = 4.0;
/// Memory that is available, as a share, below which it runs out.
const MEMORY_LOW: f64 = 0.08;
/// The same, below which programs are about to be killed.
const MEMORY_OUT: f64 = 0.03;
/// Swap that is used, as a share, from which on the machine swaps.
const SWAPPED: f64 = 0.8;
/// A disk is filling from this share on.
const FILLING: f64 = 0.90;
/// A disk is full from this share on.
const FULL: f64 = 0.97;
/// A forecast is told when the disk will be full within this time.
const AHEAD: Duration = Duration::from_secs(24 * 3600);
/// Inodes that are free, as a share, below which they run out.
const INODES_LOW: f64 = 0.05;
/// Packets that are bad, as a share, from which on a network loses much.
const LOSSY: f64 = 0.02;
/// Packets a second below which no share is computed.
const PACKETS: f64 = 10.0;
/// A machine that runs for less than this started again just now.
const JUST_STARTED: f64 = 600.0;

/// What was seen of a machine before.
#[derive(Debug, Default)]
pub(super) struct Past {
    busy: VecDeque<bool>,
    disks: BTreeMap<String, Readings>,
    /// Interfaces that were up.
    up: BTreeMap<String, bool>,
    lossy: BTreeMap<String, usize>,
}

/// The observation of a machine.
pub(super) fn judged(
    subject: Subject,
    facts: &Facts,
    past: &mut Past,
    now: Timestamp,
) -> Observation {
    let mut troubles = Vec::new();
    troubles.extend(processors(facts, past));
    troubles.extend(memory(facts));
    troubles.extend(swap(facts));
    troubles.extend(disks(facts, past, now));
    troubles.extend(network(facts, past));
    troubles.extend(clock(facts));
    troubles.extend(started(facts));
    let mut observation = Observation::wrong(subject, now, troubles);
    for (name, value) in numbers(facts) {
        observation = observation.number(&name, value);
    }
    observation
}

fn processors(facts: &Facts, past: &mut Past) -> Option<Trouble> {
    let busy = facts.cpu_busy.is_some_and(|busy| busy >= BUSY);
    past.busy.push_back(busy);
    if past.busy.len() > IN_A_ROW {
        past.busy.pop_front();
    }
    let always = past.busy.len() == IN_A_ROW && past.busy.iter().all(|busy| *busy);
    let [_, _, load] = facts.load.unwrap_or_default();
    let queues = facts.processors.is_some_and(|n| load >= QUEUES * n);
    (always || queues).then(|| {
        let trouble = Trouble::new(Kind::HostCpu).fact(
            Fact::Setting,
            Phrase::LoadAndCpus.with([
                Value::heard(format!("{load:.1}")),
                Value::heard(facts.processors.unwrap_or(1.0).to_string()),
            ]),
        );
        // The first look has nothing to compare with, and says so by saying nothing.
        match facts.cpu_busy {
            Some(busy) => trouble.fact(Fact::Used, Value::Ratio(busy)),
            None => trouble,
        }
    })
}

fn memory(facts: &Facts) -> Option<Trouble> {
    let memory = facts.memory?;
    let share = wide(memory.available) / wide(memory.total.max(1));
    let severity = match share {
        share if share < MEMORY_OUT => Severity::Critical,
        share if share < MEMORY_LOW => Severity::Warning,
        _ => return None,
    };
    Some(
        Trouble::new(Kind::HostMemory)
            .severity(severity)
            .fact(Fact::Used, Value::Ratio(1.0 - share))
            .fact(Fact::Free, Value::Bytes(memory.available)),
    )
}

fn swap(facts: &Facts) -> Option<Trouble> {
    let memory = facts.memory.filter(|memory| memory.swap_total > 0)?;
    let used = 1.0 - wide(memory.swap_free) / wide(memory.swap_total);
    (used >= SWAPPED).then(|| {
        Trouble::new(Kind::HostSwap)
            .fact(Fact::Used, Value::Ratio(used))
            .fact(Fact::Free, Value::Bytes(memory.swap_free))
    })
}

/// The worst disk of each kind of trouble; the others are named in the text.
fn disks(facts: &Facts, past: &mut Past, now: Timestamp) -> Vec<Trouble> {
    let Some(disks) = &facts.disks else {
        return Vec::new();
    };
    past.disks.retain(|point, _| disks.contains_key(point));
    let mut found: BTreeMap<Kind, Trouble> = BTreeMap::new();
    // Emptiest first, so that the fullest has the last word.
    let mut by_use: Vec<_> = disks.iter().collect();
    by_use.sort_by(|a, b| used(a.1).total_cmp(&used(b.1)));
    for (point, disk) in by_use {
        let readings = past.disks.entry(point.clone()).or_default();
        readings.take(now, wide(disk.free));
        let full_at = readings.empty_at(now, AHEAD);
        for trouble in of_disk(point, disk, full_at) {
            found.insert(trouble.kind, trouble);
        }
    }
    found.into_values().collect()
}

fn used(disk: &Disk) -> f64 {
    1.0 - wide(disk.free) / wide(disk.total.max(1))
}

fn of_disk(point: &str, disk: &Disk, full_at: Option<Timestamp>) -> Vec<Trouble> {
    let mut found = Vec::new();
    let of = |kind: Kind| {
        Trouble::new(kind)
            .fact(Fact::Place, Value::heard(point))
            .fact(Fact::Used, Value::Ratio(used(disk)))
            .fact(Fact::Free, Value::Bytes(disk.free))
    };
    if disk.total > 0 && used(disk) >= FULL {
        found.push(of(Kind::DiskFull));
    } else if disk.total > 0 && (used(disk) >= FILLING || full_at.is_some()) {
        let trouble = of(Kind::DiskFilling);
        found.push(match full_at {
            Some(at) => trouble.fact(Fact::Until, at),
            None => trouble,
        });
    }
    if disk.read_only {
        found.push(of(Kind::DiskReadOnly));
    }
    let inodes = wide(disk.inodes_free) / wide(disk.inodes.max(1));
    if disk.inodes > 0 && inodes < INODES_LOW {
        let left = i64::try_from(disk.inodes_free).unwrap_or(i64::MAX);
        found.push(of(Kind::InodesLow).fact(Fact::Count, left));
    }
    found
}

/// An interface that was up and is not any more, or that loses much for long.
fn network(facts: &Facts, past: &mut Past) -> Option<Trouble> {
    let mut bad = None;
    for (name, interface) in &facts.interfaces {
        let was_up = past.up.entry(name.clone()).or_insert(interface.up);
        *was_up |= interface.up;
        let down = *was_up && !interface.up;
        let lossy = past.lossy.entry(name.clone()).or_default();
        *lossy = if is_lossy(interface) { *lossy + 1 } else { 0 };
        if down {
            bad = Some(Phrase::InterfaceDown.with([Value::heard(name)]));
        } else if *lossy >= IN_A_ROW {
            let share = Value::Ratio(interface.bad / interface.packets.max(1.0));
            bad = Some(Phrase::InterfaceBad.with([Value::heard(name), share]));
        }
    }
    Some(Trouble::new(Kind::HostNetwork).fact(Fact::Place, bad?))
}

fn is_lossy(interface: &Interface) -> bool {
    interface.packets >= PACKETS && interface.bad / interface.packets >= LOSSY
}

fn clock(facts: &Facts) -> Option<Trouble> {
    (facts.clock_synchronised == Some(false)).then(|| Trouble::new(Kind::ClockUnsynchronised))
}

fn started(facts: &Facts) -> Option<Trouble> {
    let uptime = facts
        .uptime_seconds
        .filter(|uptime| *uptime < JUST_STARTED)?;
    Some(Trouble::new(Kind::HostRebooted).fact(Fact::Took, Value::Seconds(uptime)))
}

/// What reports and check lists show.
fn numbers(facts: &Facts) -> Vec<(String, f64)> {
    let mut numbers = Vec::new();
    let mut put = |name: &str, value: Option<f64>| {
        numbers.extend(value.map(|value| (name.to_owned(), value)));
    };
    put("uptime_seconds", facts.uptime_seconds);
    put("cpu_busy_ratio", facts.cpu_busy);
    put("cpu_stolen_ratio", facts.cpu_stolen);
    put("load_15", facts.load.map(|[_, _, load]| load));
    put("memory_total_bytes", facts.memory.map(|it| wide(it.total)));
    put(
        "memory_available_bytes",
        facts.memory.map(|it| wide(it.available)),
    );
    put(
        "swap_used_bytes",
        facts
            .memory
            .map(|it| wide(it.swap_total - it.swap_free.min(it.swap_total))),
    );
    for (point, disk) in facts.disks.iter().flatten().take(8) {
        put(&format!("disk_used_ratio:{point}"), Some(used(disk)));
        put(&format!("disk_free_bytes:{point}"), Some(wide(disk.free)));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;
    use crate::looks::host::gather::Memory;

    fn healthy() -> Facts {
        let disk = Disk {
            total: 1_000,
            free: 500,
            inodes: 1_000,
            inodes_free: 900,
            read_only: false,
        };
        let interface = Interface {
            up: true,
            received: 1.0,
            sent: 1.0,
            packets: 100.0,
            bad: 0.0,
        };
        Facts {
            uptime_seconds: Some(1e6),
            processors: Some(2.0),
            cpu_busy: Some(0.3),
            cpu_stolen: Some(0.0),
            load: Some([0.5; 3]),
            memory: Some(Memory {
                total: 1_000,
                available: 500,
                swap_total: 100,
                swap_free: 90,
            }),
            disks: Some(BTreeMap::from([("/".to_owned(), disk)])),
            interfaces: BTreeMap::from([("eth0".to_owned(), interface)]),
            clock_synchronised: Some(true),
        }
    }

    /// Shows the same facts so many times, half a minute apart; answers the last kinds.
    fn kinds(times: i64, facts: &Facts) -> Vec<Kind> {
        let mut past = Past::default();
        show(times, facts, &mut past)
    }

    fn show(times: i64, facts: &Facts, past: &mut Past) -> Vec<Kind> {
        let mut last = Vec::new();
        for round in 0..times {
            let now = Timestamp::from_second(1_800_000_000 + 30 * round).unwrap();
            last = match judged(Subject::host("vm1"), facts, past, now).finding {
                Finding::Wrong { troubles } => troubles.iter().map(|it| it.kind).collect(),
                _ => Vec::new(),
            };
        }
        last
    }

    #[test]
    fn a_healthy_machine_and_one_that_tells_nothing_have_no_trouble() {
        assert!(kinds(50, &healthy()).is_empty());
        assert!(kinds(50, &Facts::default()).is_empty());
    }

    #[test]
    fn each_thing_that_runs_out_is_told() {
        type Change = fn(&mut Facts);
        let cases: [(Change, Kind); 9] = [
            (|it| it.load = Some([9.0; 3]), Kind::HostCpu),
            (
                |it| it.memory.as_mut().unwrap().available = 50,
                Kind::HostMemory,
            ),
            (
                |it| it.memory.as_mut().unwrap().swap_free = 5,
                Kind::HostSwap,
            ),
            (|it| root(it).free = 80, Kind::DiskFilling),
            (|it| root(it).free = 10, Kind::DiskFull),
            (|it| root(it).read_only = true, Kind::DiskReadOnly),
            (|it| root(it).inodes_free = 10, Kind::InodesLow),
            (
                |it| it.clock_synchronised = Some(false),
                Kind::ClockUnsynchronised,
            ),
            (|it| it.uptime_seconds = Some(60.0), Kind::HostRebooted),
        ];
        for (change, kind) in cases {
            let mut facts = healthy();
            change(&mut facts);
            assert_eq!(kinds(1, &facts), [kind]);
        }
    }

    fn root(facts: &mut Facts) -> &mut Disk {
        facts.disks.as_mut().unwrap().get_mut("/").unwrap()
    }

    #[test]
    fn a_short_peak_is_nothing_and_a_long_one_is_told() {
        let mut busy = healthy();
        busy.cpu_busy = Some(1.0);
        assert!(kinds(10, &busy).is_empty());
        assert_eq!(kinds(20, &busy), [Kind::HostCpu]);
        let mut lossy = healthy();
        lossy.interfaces.get_mut("eth0").unwrap().bad = 10.0;
        assert!(kinds(10, &lossy).is_empty());
        assert_eq!(kinds(20, &lossy), [Kind::HostNetwork]);
    }

    #[test]
    fn an_interface_that_was_never_up_is_no_trouble_and_one_that_went_down_is() {
        let mut down = healthy();
        down.interfaces.get_mut("eth0").unwrap().up = false;
        assert!(kinds(3, &down).is_empty());
        let mut past = Past::default();
        show(1, &healthy(), &mut past);
        assert_eq!(show(1, &down, &mut past), [Kind::HostNetwork]);
    }

    #[test]
    fn a_disk_that_fills_is_told_with_the_time_when_it_will_be_full() {
        let (mut past, mut facts, mut last) = (Past::default(), healthy(), Finding::Fine);
        for minute in 0..120_u32 {
            root(&mut facts).free = 500 - u64::from(minute);
            let now = Timestamp::from_second(1_800_000_000 + 60 * i64::from(minute)).unwrap();
            last = judged(Subject::host("vm1"), &facts, &mut past, now).finding;
        }
        let Finding::Wrong { troubles } = last else {
            panic!("{last:?}");
        };
        assert_eq!(troubles[0].kind, Kind::DiskFilling);
        assert!(troubles[0].facts.contains_key(&Fact::Until));
    }
}
