//! What is wrong with one terminal, from what satellite says of it and what was seen before.
//! Pure: time comes in. A terminal of which nothing is known is unknown, and never fine.

use std::time::Duration;

use jiff::Timestamp;

use crate::looks::satellite::status::{Condition, Device, DeviceState};
use crate::looks::store::moment;
use crate::looks::wide;
use crate::words::Phrase;
use crate::{Fact, Kind, Observation, Severity, Subject, Trouble, Value};

/// A clock is wrong from so many seconds on.
const SKEW: i64 = 120;
/// A log is nearly full from this share on.
const NEARLY_FULL: f64 = 0.9;
/// A gap that has not closed in this time will not close by itself.
const GAP_STAYS: Duration = Duration::from_secs(3600);

/// What was seen of a terminal before this round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// How long it has had a gap.
    pub(super) gap_for: Option<Duration>,
    /// When it was last heard before satellite was started.
    pub(super) last_contact: Option<Timestamp>,
    /// False while its database could not be asked for that.
    pub(super) is_looked_up: bool,
}

/// The observation of one terminal; none of one that was enrolled and never set up, because
/// that is no fault, and of one that speaks only when it has something to say and has not.
pub(super) fn judged(device: &Device, past: &Past, now: Timestamp) -> Option<Observation> {
    let subject = Subject::terminal(&device.tenant, device.site.as_deref(), &device.serial);
    let last = device.last_contact_at.or(past.last_contact);
    let (mut troubles, mut is_quiet) = (Vec::new(), false);
    match device.state {
        DeviceState::Online => {}
        // Who sends of its own accord is silent while there is nothing to send; whether punches that
        // are usual at this hour stay away is asked elsewhere.
        DeviceState::Quiet => is_quiet = true,
        DeviceState::Offline => troubles.push(offline(device, last)),
        DeviceState::Unheard => match last {
            Some(last) if is_overdue(device, last, now) => {
                troubles.push(offline(device, Some(last)));
            }
            None if past.is_looked_up => return None,
            _ => {
                return Some(Observation::unknown(subject, now, Phrase::NotHeardYet));
            }
        },
        DeviceState::Blocked | DeviceState::Other => {
            return Some(Observation::unknown(subject, now, Phrase::StateUnknown));
        }
    }
    let more = [clock(device), log(device), gap(device, past)];
    troubles.extend(more.into_iter().flatten());
    for condition in &device.conditions {
        // The broker of an input is told by the look at inputs, under its own name.
        if device.vendor == OTHER && condition.name == UNREACHABLE {
            continue;
        }
        let Some(trouble) = of_condition(condition) else {
            continue;
        };
        if troubles.iter().all(|known| known.kind != trouble.kind) {
            troubles.push(trouble);
        }
    }
    if is_quiet && troubles.is_empty() {
        return None;
    }
    Some(Observation::wrong(subject, now, troubles))
}

fn is_overdue(device: &Device, last: Timestamp, now: Timestamp) -> bool {
    let silent = now.duration_since(last).as_secs();
    silent > i64::try_from(device.offline_after_seconds).unwrap_or(i64::MAX)
}

fn offline(device: &Device, last: Option<Timestamp>) -> Trouble {
    let allowed = wide(device.offline_after_seconds);
    let mut trouble =
        Trouble::new(Kind::TerminalOffline).fact(Fact::Expected, Value::Seconds(allowed));
    if let Some(last) = last {
        trouble = trouble.fact(Fact::LastContact, last);
    }
    match device.last_event_at {
        Some(event) => trouble.fact(Fact::LastEvent, event),
        None => trouble,
    }
}

fn clock(device: &Device) -> Option<Trouble> {
    let skew = device.clock_skew_seconds?;
    let off = f64::from(i32::try_from(skew).unwrap_or(i32::MAX));
    (skew.saturating_abs() >= SKEW)
        .then(|| Trouble::new(Kind::ClockSkew).fact(Fact::Off, Value::Seconds(off)))
}

fn log(device: &Device) -> Option<Trouble> {
    let (used, capacity) = device.log_used.zip(device.log_capacity)?;
    let (used_, capacity) = (u32::try_from(used).ok()?, u32::try_from(capacity).ok()?);
    let share = f64::from(used_) / f64::from(capacity.max(1));
    (capacity > 0 && share >= NEARLY_FULL).then(|| {
        Trouble::new(Kind::LogFilling)
            .fact(Fact::Used, Value::Ratio(share))
            .fact(Fact::Count, used)
    })
}

fn gap(device: &Device, past: &Past) -> Option<Trouble> {
    let (missing, open_for) = device.gap_events.zip(past.gap_for)?;
    (open_for >= GAP_STAYS).then(|| {
        let missing = i64::try_from(missing).unwrap_or(i64::MAX);
        let open_for = Value::Seconds(open_for.as_secs_f64());
        Trouble::new(Kind::GapOpen)
            .fact(Fact::Count, missing)
            .fact(Fact::Oldest, open_for)
    })
}

/// The vendor of what posts records of its own accord, or has them on a broker.
const OTHER: &str = "other";
const UNREACHABLE: &str = "unreachable";

/// satellite's names for what holds of a terminal, with what each means here; what needs nobody
/// is not among them. A manual tells more under the same name.
const CONDITIONS: [(&str, Kind, Severity, Phrase); 16] = {
    use Kind::{
        ClockSkew, DuplicateSerial, GapOpen, LogFilling, RefusedTerminals, TerminalOffline,
    };
    use Severity::{Notice, Warning};
    [
        (UNREACHABLE, TerminalOffline, Warning, Phrase::Unreachable),
        (
            "login_refused",
            TerminalOffline,
            Warning,
            Phrase::LoginRefused,
        ),
        (
            "secret_missing",
            TerminalOffline,
            Warning,
            Phrase::SecretMissing,
        ),
        ("no_session", TerminalOffline, Warning, Phrase::NoSession),
        (
            "comm_key_refused",
            TerminalOffline,
            Warning,
            Phrase::CommKeyRefused,
        ),
        ("ring_overrun", GapOpen, Warning, Phrase::RingOverrun),
        ("gap_in_posts", GapOpen, Warning, Phrase::GapInPosts),
        ("log_cleared", GapOpen, Warning, Phrase::LogCleared),
        ("counts_disagree", GapOpen, Warning, Phrase::CountsDisagree),
        ("records_missing", GapOpen, Warning, Phrase::RecordsMissing),
        (
            "serials_restarted",
            GapOpen,
            Notice,
            Phrase::SerialsRestarted,
        ),
        (
            "wrong_device",
            RefusedTerminals,
            Warning,
            Phrase::WrongDevice,
        ),
        (
            "duplicate_serial",
            DuplicateSerial,
            Warning,
            Phrase::TwoPlaces,
        ),
        ("new_network", DuplicateSerial, Notice, Phrase::NewNetwork),
        ("clock_skew", ClockSkew, Warning, Phrase::ClockIsWrong),
        (
            "log_nearly_full",
            LogFilling,
            Warning,
            Phrase::LogNearlyFull,
        ),
    ]
};

/// satellite's name for what holds, as a kind; what needs nobody is none.
fn of_condition(condition: &Condition) -> Option<Trouble> {
    let known = CONDITIONS.iter().find(|(name, ..)| *name == condition.name);
    let (_, kind, severity, phrase) = *known?;
    let detail = Value::in_both(condition.detail_es.as_deref(), &condition.detail);
    let trouble = Trouble::new(kind)
        .severity(severity)
        .fact(Fact::Condition, phrase)
        .fact(Fact::Detail, detail);
    Some(match moment(&condition.since) {
        Some(since) => trouble.fact(Fact::Since, since),
        None => trouble,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finding;

    fn now() -> Timestamp {
        moment("2026-11-21 10:00:00").unwrap()
    }

    fn device(state: DeviceState) -> Device {
        Device {
            serial: "A1".into(),
            vendor: "zkteco".into(),
            tenant: "acme".into(),
            site: Some("Toluca".into()),
            state,
            canary: false,
            last_contact_at: None,
            last_event_at: None,
            offline_after_seconds: 300,
            clock_skew_seconds: None,
            log_used: None,
            log_capacity: None,
            gap_events: None,
            conditions: Vec::new(),
        }
    }

    fn kinds(device: &Device, past: &Past) -> Option<Vec<Kind>> {
        match judged(device, past, now())?.finding {
            Finding::Fine => Some(Vec::new()),
            Finding::Wrong { troubles } => Some(troubles.iter().map(|it| it.kind).collect()),
            Finding::Unknown { .. } => None,
        }
    }

    #[test]
    fn a_terminal_that_satellite_hears_is_fine_and_one_that_it_does_not_is_offline() {
        let past = Past::default();
        assert_eq!(kinds(&device(DeviceState::Online), &past), Some(vec![]));
        assert_eq!(
            kinds(&device(DeviceState::Offline), &past),
            Some(vec![Kind::TerminalOffline])
        );
        assert_eq!(kinds(&device(DeviceState::Other), &past), None);
    }

    #[test]
    fn after_a_restart_of_satellite_a_terminal_is_offline_only_if_it_was_heard_before() {
        let heard = |text: &str| Past {
            last_contact: moment(text),
            ..Past::default()
        };
        let unheard = device(DeviceState::Unheard);
        assert_eq!(kinds(&unheard, &Past::default()), None);
        assert_eq!(kinds(&unheard, &heard("2026-11-21 09:58:00")), None);
        let never = Past {
            is_looked_up: true,
            ..Past::default()
        };
        assert!(judged(&unheard, &never, now()).is_none());
        let long_ago = heard("2026-11-21 09:50:00");
        assert_eq!(
            kinds(&unheard, &long_ago),
            Some(vec![Kind::TerminalOffline])
        );
    }

    #[test]
    fn a_sender_of_another_make_that_is_quiet_is_no_terminal_that_is_offline() {
        let past = Past {
            last_contact: moment("2026-11-20 09:00:00"),
            ..Past::default()
        };
        let mut quiet = device(DeviceState::Quiet);
        quiet.vendor = OTHER.into();
        let told = |it: &Device| judged(it, &past, now());
        assert_eq!(told(&quiet), None);
        let condition = |name: &str| Condition {
            name: name.to_owned(),
            since: "2026-11-21 09:00:00.000".to_owned(),
            detail: "x".to_owned(),
            detail_es: None,
        };
        // Its broker is away, which the look at inputs tells.
        quiet.conditions = vec![condition(UNREACHABLE)];
        assert_eq!(told(&quiet), None);
        quiet.conditions.push(condition("records_missing"));
        assert_eq!(kinds(&quiet, &past), Some(vec![Kind::GapOpen]));
    }

    #[test]
    fn clock_log_and_a_gap_that_stays_are_told() {
        let mut it = device(DeviceState::Online);
        it.clock_skew_seconds = Some(-500);
        (it.log_used, it.log_capacity) = (Some(95), Some(100));
        it.gap_events = Some(7);
        let mut past = Past {
            gap_for: Some(Duration::from_secs(60)),
            last_contact: None,
            is_looked_up: true,
        };
        assert_eq!(
            kinds(&it, &past),
            Some(vec![Kind::ClockSkew, Kind::LogFilling])
        );
        past.gap_for = Some(GAP_STAYS);
        let all = [Kind::ClockSkew, Kind::LogFilling, Kind::GapOpen];
        assert_eq!(kinds(&it, &past), Some(all.to_vec()));
    }

    #[test]
    fn conditions_become_kinds_once_each_and_those_that_need_nobody_do_not() {
        let mut it = device(DeviceState::Offline);
        it.conditions = [
            "unreachable",
            "ring_overrun",
            "arming_slot_taken",
            "duplicate_serial",
        ]
        .map(|name| Condition {
            name: name.to_owned(),
            since: "2026-11-21 09:00:00.000".to_owned(),
            detail: "x".to_owned(),
            detail_es: None,
        })
        .to_vec();
        let wanted = [Kind::TerminalOffline, Kind::GapOpen, Kind::DuplicateSerial];
        assert_eq!(kinds(&it, &Past::default()), Some(wanted.to_vec()));
    }
}
