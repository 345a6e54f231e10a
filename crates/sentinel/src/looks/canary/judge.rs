//! What became of a round's punches: an observation of the database, and one of each broker. Pure.
//!
//! Missing is said only of what was acknowledged long ago while the database answers; everything
//! that is still open is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::punch::{Sort, Way};
use crate::words::Phrase;
use crate::{Canary, Fact, Kind, Observation, Signal, Subject, Trouble, Value};

/// A punch that takes longer is slow.
const SLOW: Duration = Duration::from_secs(5);

/// What became of one punch, or of one of an earlier round.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// Its row was read.
    Visible {
        /// From the first byte to the acknowledgement.
        acked: Duration,
        /// From the first byte to the row.
        visible: Duration,
    },
    /// It was not acknowledged.
    Failed(Value),
    /// Acknowledged; its row is not there yet, or may wait in the journal.
    Waiting,
    /// Acknowledged; the database does not answer our reader.
    Unread(Value),
    /// Acknowledged long ago; the database answers, and the row is not there.
    Missing {
        /// Since the acknowledgement.
        age: Duration,
    },
}

impl End {
    /// After how long its row was read.
    fn visible(&self) -> Option<Duration> {
        match self {
            Self::Visible { visible, .. } => Some(*visible),
            _ => None,
        }
    }
}

/// An end, and by which way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) way: usize,
    pub(super) end: End,
}

/// The observations of a round.
pub(super) fn judged(
    tenant: &str,
    ways: &[Way],
    ended: &[Ended],
    now: Timestamp,
) -> Vec<Observation> {
    let brokers = ways.iter().enumerate().filter_map(|(at, way)| {
        let ends = ended.iter().filter(|it| it.way == at).map(|it| &it.end);
        let subject = Subject::input(tenant, way.of_broker()?);
        let (place, shown) = (Value::heard(way.place()), Value::heard(way.shown()));
        Some(of_broker(subject, ends, now, place, shown))
    });
    let mut all: Vec<_> = brokers.collect();
    all.push(of_store(Subject::store(tenant), ways, ended, now));
    all
}

/// What terminals see of the database's doors, and the numbers of all ways.
fn of_store(subject: Subject, ways: &[Way], ended: &[Ended], now: Timestamp) -> Observation {
    let shown = |at: usize| Value::heard(ways.get(at).map_or_else(String::new, Way::shown));
    let sort = |at: usize| ways.get(at).map_or(Sort::Inner, |way| way.sort);
    let failed = |it: &&Ended| matches!(it.end, End::Failed(_));
    let failing = ended.iter().filter(failed).count();
    let observation = if ways.iter().any(|way| way.sort == Sort::Public) {
        verdict(subject, ended, now, &shown, &sort)
    } else {
        only_brokers(subject, ended, now)
    };
    let mut observation = observation.number("failing_ways", count(failing));
    let visible = ended.iter().filter_map(|it| match it.end {
        End::Visible { acked, visible } => Some((acked, visible)),
        _ => None,
    });
    if let Some((acked, seen)) = visible.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))) {
        observation = observation
            .number("ack_seconds", acked.as_secs_f64())
            .number("canary_seconds", seen.as_secs_f64());
    }
    observation
}

/// A broker is nobody's public address, and a way of its own: whatever fails there is told of it. What
/// came shows that satellite lives; what did not says nothing of its doors.
fn of_broker<'a>(
    subject: Subject,
    ends: impl Iterator<Item = &'a End>,
    now: Timestamp,
    place: Value,
    shown: Value,
) -> Observation {
    let (mut has_come, mut open) = (false, Value::from(Phrase::PunchNotSent));
    for end in ends {
        match end {
            // The newest punch stands first, and an older one that came proves nothing.
            End::Failed(words) => {
                let detail = Phrase::ByWay.with([shown, words.clone()]);
                let trouble = Trouble::new(Kind::BrokerFailing).fact(Fact::Place, place);
                let troubles = vec![trouble.fact(Fact::Detail, detail)];
                return Observation::wrong(subject, now, troubles);
            }
            End::Visible { .. } => has_come = true,
            End::Unread(why) => open = why.clone(),
            End::Waiting | End::Missing { .. } => open = Phrase::PunchAwaited.into(),
        }
    }
    if has_come {
        Observation::fine(subject, now)
    } else {
        Observation::unknown(subject, now, open)
    }
}

/// Where no door has a canary: a punch that came by a broker shows that satellite lives, and one that
/// did not is told of the broker.
fn only_brokers(subject: Subject, ended: &[Ended], now: Timestamp) -> Observation {
    let visible = ended.iter().filter_map(|it| it.end.visible()).max();
    let troubles = visible.and_then(slow).into_iter().collect();
    let observation = Observation::wrong(subject, now, troubles);
    match visible {
        Some(_) => observation.signal(Signal::Canary(Canary::Visible)),
        None => observation,
    }
}

/// The worst that was seen decides; the public address stands for what terminals see. A door that
/// fails while another works, or a broker does, is that door's trouble and says nothing of the others.
fn verdict(
    subject: Subject,
    ended: &[Ended],
    now: Timestamp,
    shown: &dyn Fn(usize) -> Value,
    sort: &dyn Fn(usize) -> Sort,
) -> Observation {
    for it in ended {
        if let End::Missing { age } = &it.end {
            let why = Phrase::PunchMissing.with([shown(it.way), (*age).into()]);
            let unknown = Observation::unknown(subject, now, why);
            return unknown.signal(Signal::Canary(Canary::Absent));
        }
    }
    let of_public = || ended.iter().filter(|it| sort(it.way) == Sort::Public);
    let mut failed: BTreeMap<usize, Value> = BTreeMap::new();
    for it in of_public() {
        // The newest punch stands first.
        if let End::Failed(words) = &it.end {
            failed.entry(it.way).or_insert_with(|| words.clone());
        }
    }
    let counts = |it: &&Ended| sort(it.way) != Sort::Inner && !failed.contains_key(&it.way);
    let counted = ended.iter().filter(counts);
    let slowest = counted.filter_map(|it| it.end.visible()).max();
    if let (Some((way, words)), None) = (failed.first_key_value(), slowest) {
        let why = Phrase::ByWay.with([shown(*way), words.clone()]);
        let unknown = Observation::unknown(subject, now, why);
        return unknown.signal(Signal::Canary(Canary::Failed));
    }
    let open = of_public().find_map(|it| match &it.end {
        End::Unread(why) => Some(why.clone()),
        End::Waiting => Some(Phrase::PunchAwaited.into()),
        _ => None,
    });
    if let Some(why) = open.filter(|_| failed.is_empty()) {
        return Observation::unknown(subject, now, why);
    }
    let Some(slowest) = slowest else {
        return Observation::unknown(subject, now, Phrase::PunchNotSent);
    };
    let troubles = slow(slowest).into_iter().chain(failing(&failed, shown));
    let observation = Observation::wrong(subject, now, troubles.collect());
    observation.signal(Signal::Canary(Canary::Visible))
}

fn slow(slowest: Duration) -> Option<Trouble> {
    let seconds = |it: Duration| Value::Seconds(it.as_secs_f64());
    (slowest > SLOW).then(|| {
        Trouble::new(Kind::CanarySlow)
            .fact(Fact::Took, seconds(slowest))
            .fact(Fact::Expected, seconds(SLOW))
    })
}

/// The doors that fail, each by its name, and what the first of them says.
fn failing(failed: &BTreeMap<usize, Value>, shown: &dyn Fn(usize) -> Value) -> Option<Trouble> {
    let (first, words) = failed.first_key_value()?;
    let names: Vec<String> = failed.keys().map(|way| shown(*way).to_string()).collect();
    let detail = Phrase::ByWay.with([shown(*first), words.clone()]);
    let trouble = Trouble::new(Kind::DoorFailing).fact(Fact::Place, Value::heard(names.join(", ")));
    Some(trouble.fact(Fact::Detail, detail))
}

fn count(n: usize) -> f64 {
    u32::try_from(n).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn visible(n: u64) -> End {
        End::Visible {
            acked: seconds(0),
            visible: seconds(n),
        }
    }

    /// Way 0 and 1 are public, 2 is not, 3 is a broker.
    fn seen(ends: Vec<(usize, End)>) -> Observation {
        let ended: Vec<_> = ends
            .into_iter()
            .map(|(way, end)| Ended { way, end })
            .collect();
        let name = |at: usize| Value::heard(format!("way {at}"));
        let subject = Subject::store("acme");
        let sort = |at| match at {
            0 | 1 => Sort::Public,
            2 => Sort::Inner,
            _ => Sort::Broker,
        };
        verdict(subject, &ended, Timestamp::UNIX_EPOCH, &name, &sort)
    }

    fn signal(ends: Vec<(usize, End)>) -> Option<Canary> {
        match seen(ends).signal {
            Some(Signal::Canary(canary)) => Some(canary),
            _ => None,
        }
    }

    #[test]
    fn the_worst_end_decides_and_only_the_public_address_speaks_for_terminals() {
        let failed = || End::Failed(Value::heard("HTTP 503"));
        let missing = || End::Missing { age: seconds(60) };
        for (ends, wanted) in [
            (
                vec![(0, visible(1)), (1, visible(1))],
                Some(Canary::Visible),
            ),
            (vec![(0, failed()), (2, visible(1))], Some(Canary::Failed)),
            (vec![(0, visible(1)), (2, failed())], Some(Canary::Visible)),
            (vec![(0, failed()), (2, missing())], Some(Canary::Absent)),
            (vec![(0, failed()), (3, visible(1))], Some(Canary::Visible)),
            (vec![(0, failed()), (3, failed())], Some(Canary::Failed)),
            (vec![(0, visible(1)), (3, failed())], Some(Canary::Visible)),
            (vec![(0, End::Waiting)], None),
            (vec![(0, End::Unread(Value::heard("down")))], None),
            (vec![], None),
        ] {
            assert_eq!(signal(ends.clone()), wanted, "{ends:?}");
        }
    }

    #[test]
    fn a_door_that_fails_while_another_works_is_named_and_the_way_still_counts_as_seen() {
        let failed = || End::Failed(Value::heard("HTTP 404"));
        for open in [vec![], vec![(0, End::Waiting)]] {
            let mut ends = vec![(0, visible(1)), (1, failed())];
            ends.extend(open);
            assert_eq!(signal(ends.clone()), Some(Canary::Visible));
            let Finding::Wrong { troubles } = seen(ends).finding else {
                panic!("nothing is wrong");
            };
            let [trouble] = troubles.as_slice() else {
                panic!("{troubles:?}");
            };
            assert_eq!(trouble.kind, Kind::DoorFailing);
            assert_eq!(trouble.facts[&Fact::Place], Value::heard("way 1"));
            assert_eq!(trouble.facts[&Fact::Detail].to_string(), "way 1: HTTP 404");
        }
        // An older punch of the same door proves nothing for it.
        let both = vec![(1, visible(1)), (1, failed())];
        assert_eq!(signal(both), Some(Canary::Failed));
    }

    #[test]
    fn a_late_punch_is_slow_and_what_was_not_read_is_never_fine() {
        let slow = seen(vec![(0, visible(7))]);
        assert!(matches!(slow.finding, Finding::Wrong { .. }), "{slow:?}");
        for end in [End::Waiting, End::Unread(Value::heard("x"))] {
            let unknown = seen(vec![(0, end), (2, visible(1))]);
            assert!(matches!(unknown.finding, Finding::Unknown { .. }));
        }
    }

    #[test]
    fn a_broker_that_fails_is_told_of_the_broker_and_never_of_the_public_address() {
        let broker = |ends: &[End]| {
            let (place, shown) = (Value::heard("b:1883"), Value::heard("mqtt b:1883"));
            let subject = Subject::input("acme", "CANARY");
            of_broker(subject, ends.iter(), Timestamp::UNIX_EPOCH, place, shown)
        };
        let failed = End::Failed(Value::heard("Connection refused"));
        // An older punch that comes late proves nothing.
        for ends in [vec![failed.clone()], vec![visible(1), failed.clone()]] {
            let Finding::Wrong { troubles } = broker(&ends).finding else {
                panic!("nothing is wrong");
            };
            assert_eq!(troubles[0].kind, Kind::BrokerFailing);
            assert_eq!(troubles[0].facts[&Fact::Place], Value::heard("b:1883"));
            let detail = troubles[0].facts[&Fact::Detail].to_string();
            assert_eq!(detail, "mqtt b:1883: Connection refused");
        }
        assert_eq!(broker(&[visible(1)]).finding, Finding::Fine);
        for ends in [
            vec![],
            vec![End::Waiting],
            vec![End::Unread(Value::heard("x"))],
        ] {
            let open = broker(&ends);
            assert!(matches!(open.finding, Finding::Unknown { .. }), "{open:?}");
        }
        let alone = |end| {
            let ended = [Ended { way: 0, end }];
            let seen = only_brokers(Subject::store("acme"), &ended, Timestamp::UNIX_EPOCH);
            (seen.finding, seen.signal)
        };
        assert_eq!(alone(failed), (Finding::Fine, None));
        let lives = Some(Signal::Canary(Canary::Visible));
        assert_eq!(alone(visible(1)), (Finding::Fine, lives));
    }
}
