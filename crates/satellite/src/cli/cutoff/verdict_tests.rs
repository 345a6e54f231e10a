//! The rule of the verdicts, case by case: terminals that prove their record, those that cannot, those
//! that are silent, windows at the edges of the period, and what makes the whole partial. Times are
//! whole days, so that each case can be read at a glance.

use event::{DeviceId, Serial, TenantId, Text, Vendor};
use store::registry::{Access, EnrolmentState};

use super::*;

const DAY: i64 = 86_400_000;
const PERIOD: Period = Period {
    from: Millis(100 * DAY),
    to: Millis(115 * DAY),
};

fn enrolment(dialled: bool) -> Enrolment {
    Enrolment {
        id: DeviceId([1; 16]),
        vendor: if dialled {
            Vendor::Hikvision
        } else {
            Vendor::Zkteco
        },
        serial: Serial::new("ABC1").unwrap(),
        tenant: TenantId::new("acme").unwrap(),
        state: EnrolmentState::Approved,
        name: Some(Text::const_new("Main door")),
        site: None,
        time_zone: None,
        canary: false,
        accept_from: None,
        created_at: Millis(10 * DAY),
        access: Access {
            address: dialled.then(|| Text::const_new("10.0.0.9:80")),
            ..Access::default()
        },
    }
}

fn seen(contact: i64, complete: Option<i64>, word: &str) -> AssuredDevice {
    AssuredDevice {
        device: DeviceId([1; 16]),
        serial: "ABC1".to_owned(),
        name: None,
        site: None,
        last_contact_at: Some(Millis(contact)),
        completeness: Some(word.to_owned()),
        gap_events: None,
        complete_to: complete.map(Millis),
        means: complete.map(|_| "serials".to_owned()),
    }
}

/// Why, and the days from and to.
type Windows = Vec<(Why, i64, i64)>;

fn judge(
    enrolment: Option<&Enrolment>,
    seen: Option<&AssuredDevice>,
    windows: &[Missing],
) -> Option<(Verdict, Windows)> {
    let facts = Facts {
        enrolment,
        seen,
        windows: windows.iter().collect(),
        count: Count::default(),
        review: 0,
    };
    let terminal = facts.judged(PERIOD)?;
    let windows = terminal.missing.iter();
    let windows = windows.map(|it| (it.why, it.period.from.0 / DAY, it.period.to.0 / DAY));
    Some((terminal.verdict, windows.collect()))
}

fn lost(state: WindowState, from: i64, to: i64) -> Missing {
    Missing {
        device: DeviceId([1; 16]),
        begins_at: Millis(from * DAY),
        ends_at: Millis(to * DAY),
        state,
        device_count: Some(9),
        stored_count: Some(7),
        detail: Text::const_new(""),
        found_at: Millis(0),
        changed_at: Millis(0),
    }
}

#[test]
fn only_what_is_proven_up_to_the_end_is_complete() {
    let one = enrolment(true);
    let says = |complete| judge(Some(&one), Some(&seen(120 * DAY, complete, "proven")), &[]);
    assert_eq!(says(Some(115 * DAY)), Some((Verdict::Complete, vec![])));
    let short = Some((Verdict::Missing, vec![(Why::NotAsked, 114, 115)]));
    assert_eq!(says(Some(115 * DAY - 1)), short);
}

#[test]
fn a_terminal_that_is_silent_since_is_missing_from_there_on() {
    let push = enrolment(false);
    let quiet = seen(110 * DAY, None, "unproven");
    let missing = Some((Verdict::Missing, vec![(Why::NoContact, 110, 115)]));
    assert_eq!(judge(Some(&push), Some(&quiet), &[]), missing);

    let dialled = enrolment(true);
    let away = seen(110 * DAY, Some(109 * DAY), "proven");
    let missing = Some((Verdict::Missing, vec![(Why::Unreachable, 109, 115)]));
    assert_eq!(judge(Some(&dialled), Some(&away), &[]), missing);

    let never = Some((Verdict::Missing, vec![(Why::NeverHeard, 100, 115)]));
    assert_eq!(judge(Some(&push), None, &[]), never);
}

#[test]
fn a_terminal_without_means_of_proof_is_never_called_complete() {
    let push = enrolment(false);
    let heard = seen(115 * DAY, None, "unproven");
    let unproven = Some((Verdict::Unproven, vec![]));
    assert_eq!(judge(Some(&push), Some(&heard), &[]), unproven);

    let gap = AssuredDevice {
        gap_events: Some(3),
        ..seen(115 * DAY, None, "seen")
    };
    let asked = Some((Verdict::Missing, vec![(Why::Fetching, 100, 115)]));
    assert_eq!(judge(Some(&push), Some(&gap), &[]), asked);

    // One that only posts takes no commands.
    let mut posts = enrolment(false);
    posts.vendor = Vendor::Hikvision;
    let lost = Some((Verdict::Lost, vec![(Why::CannotAsk, 100, 115)]));
    assert_eq!(judge(Some(&posts), Some(&gap), &[]), lost);
}

#[test]
fn windows_count_only_where_they_touch_the_period_and_are_cut_to_it() {
    let one = enrolment(true);
    let whole = seen(120 * DAY, Some(120 * DAY), "proven");
    let with = |window: Missing| judge(Some(&one), Some(&whole), &[window]);
    let complete = Some((Verdict::Complete, vec![]));
    assert_eq!(with(lost(WindowState::Lost, 90, 100)), complete);
    assert_eq!(with(lost(WindowState::Lost, 115, 118)), complete);
    let gone = Some((Verdict::Lost, vec![(Why::Lost, 100, 101)]));
    assert_eq!(with(lost(WindowState::Lost, 90, 101)), gone);
    let stuck = Some((Verdict::Missing, vec![(Why::Stuck, 103, 104)]));
    assert_eq!(with(lost(WindowState::Stuck, 103, 104)), stuck);
}

#[test]
fn a_terminal_of_another_time_is_left_out_unless_it_has_rows() {
    let later = Enrolment {
        created_at: Millis(116 * DAY),
        ..enrolment(false)
    };
    let heard = seen(120 * DAY, None, "unproven");
    assert_eq!(judge(Some(&later), Some(&heard), &[]), None);
    assert_eq!(judge(None, Some(&heard), &[]), None);
    let facts = Facts {
        enrolment: None,
        seen: Some(&heard),
        windows: Vec::new(),
        count: Count {
            punches: 5,
            ..Count::default()
        },
        review: 0,
    };
    assert_eq!(facts.judged(PERIOD).unwrap().verdict, Verdict::Withdrawn);
}

#[test]
fn anything_in_review_or_without_a_date_makes_the_whole_partial() {
    let one = enrolment(true);
    let whole = seen(120 * DAY, Some(120 * DAY), "proven");
    let cutoff = |undated, review| {
        let facts = Facts {
            enrolment: Some(&one),
            seen: Some(&whole),
            windows: Vec::new(),
            count: Count {
                punches: 9,
                late: 1,
                undated,
            },
            review,
        };
        let terminals = facts.judged(PERIOD).into_iter().collect();
        Cutoff::of("acme", "Acme", "UTC", PERIOD, terminals)
    };
    assert!(cutoff(0, 0).is_complete);
    assert!(!cutoff(1, 0).is_complete);
    assert!(!cutoff(0, 1).is_complete);
    let nobody = Cutoff::of("acme", "Acme", "UTC", PERIOD, Vec::new());
    assert!(!nobody.is_complete);
}
