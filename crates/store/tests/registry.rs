//! What the registry promises about enrolments, and what its mirror keeps.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use event::{DeviceId, Millis, Serial, TenantId, Text, Vendor};
use store::mirror::{FeedMark, Mirror, PENDING_LIMIT, Pending};
use store::registry::{
    Access, Enrolled, Enrolment, EnrolmentState, NewEnrolment, RegistryError, TokenHash, audit,
    audit_tail, change_number, enrol, find, set_state,
};
use store::{AnyEngine, lockdown, registry};

mod common;
use common::stores;

const NOW: Millis = Millis(1_795_000_000_123);
const LATER: Millis = Millis(1_795_000_060_000);

fn serial(text: &str) -> Serial {
    Serial::new(text).unwrap()
}

fn new(text: &str, tenant: &str) -> NewEnrolment {
    NewEnrolment::of(Vendor::Zkteco, serial(text), TenantId::new(tenant).unwrap())
}

async fn add(engine: &mut AnyEngine, new: NewEnrolment, now: Millis) -> Enrolled {
    enrol(engine, new, now, "ana").await.unwrap()
}

#[tokio::test]
async fn a_serial_never_seen_is_taken_with_all_of_its_history() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let wish = NewEnrolment {
            name: Some(Text::const_new("Entrada Ñ")),
            time_zone: Some(Text::const_new("America/Tijuana")),
            canary: true,
            ..new("A1", "acme")
        };
        let Enrolled::New(enrolment) = add(&mut engine, wish, NOW).await else {
            panic!("{}: not new", store.name);
        };
        assert_eq!(enrolment.accept_from, None);
        assert_eq!(enrolment.state, EnrolmentState::Approved);
        assert_eq!(
            registry::all(&mut engine).await.unwrap(),
            std::slice::from_ref(&enrolment)
        );
        let found = find(&mut engine, Some(Vendor::Zkteco), &serial("A1"))
            .await
            .unwrap();
        assert_eq!(found, Some(enrolment), "{}", store.name);
        assert_eq!(
            find(&mut engine, Some(Vendor::Hikvision), &serial("A1"))
                .await
                .unwrap(),
            None
        );
        assert_eq!(find(&mut engine, None, &serial("a1")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn blocking_and_approving_again_keep_the_enrolment() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let wish = NewEnrolment {
            name: Some(Text::const_new("Puerta")),
            ..new("A1", "acme")
        };
        let first = add(&mut engine, wish, NOW).await.enrolment().clone();
        let state = EnrolmentState::Blocked;
        let blocked = set_state(&mut engine, &serial("A1"), state, LATER, "ana")
            .await
            .unwrap();
        assert_eq!(
            (blocked.id, blocked.state),
            (first.id, EnrolmentState::Blocked)
        );
        assert_eq!(registry::all(&mut engine).await.unwrap(), [blocked]);

        let wish = NewEnrolment {
            site: Some(Text::const_new("Planta 2")),
            ..new("A1", "acme")
        };
        let Enrolled::Already(again) = add(&mut engine, wish, LATER).await else {
            panic!("{}: not kept", store.name);
        };
        let expected = Enrolment {
            site: Some(Text::const_new("Planta 2")),
            ..first
        };
        assert_eq!(again, expected, "{}", store.name);
        assert_eq!(registry::all(&mut engine).await.unwrap(), [expected]);
    }
}

#[tokio::test]
async fn a_resold_terminal_gets_a_new_id_and_takes_nothing_from_before_the_move() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let first = add(&mut engine, new("A1", "acme"), NOW)
            .await
            .enrolment()
            .clone();
        let Enrolled::Moved { before, now } = add(&mut engine, new("A1", "zeta"), LATER).await
        else {
            panic!("{}: not moved", store.name);
        };
        assert_eq!(*before, first);
        assert_ne!(now.id, first.id);
        assert_eq!(now.accept_from, Some(LATER));
        assert_eq!(registry::all(&mut engine).await.unwrap(), [now]);

        let wish = NewEnrolment {
            accept_from: Some(None),
            replace: true,
            ..new("A1", "zeta")
        };
        let replaced = add(&mut engine, wish, LATER).await;
        assert!(matches!(replaced, Enrolled::Moved { .. }), "{}", store.name);
        assert_eq!(replaced.enrolment().accept_from, None);
    }
}

#[tokio::test]
async fn a_serial_of_two_vendors_is_two_terminals_and_no_state_is_guessed() {
    for store in stores().await {
        let mut engine = store.engine().await;
        add(&mut engine, new("A1", "acme"), NOW).await;
        let other = NewEnrolment {
            vendor: Vendor::Hikvision,
            ..new("A1", "zeta")
        };
        assert!(
            matches!(add(&mut engine, other, NOW).await, Enrolled::New(_)),
            "{}",
            store.name
        );
        let state = EnrolmentState::Blocked;
        let guessed = set_state(&mut engine, &serial("A1"), state, NOW, "ana").await;
        assert!(
            matches!(guessed, Err(RegistryError::Ambiguous(_))),
            "{}",
            store.name
        );
        let missing = set_state(&mut engine, &serial("B2"), state, NOW, "ana").await;
        assert!(
            matches!(missing, Err(RegistryError::NotFound(_))),
            "{}",
            store.name
        );
        let states: Vec<_> = registry::all(&mut engine).await.unwrap();
        assert!(states.iter().all(|it| it.state == EnrolmentState::Approved));
    }
}

#[tokio::test]
async fn every_change_has_its_line_in_the_audit_and_a_refused_one_has_none() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let mut numbers = vec![change_number(&mut engine).await.unwrap()];
        add(&mut engine, new("A1", "acme"), NOW).await;
        numbers.push(change_number(&mut engine).await.unwrap());
        add(&mut engine, new("A1", "zeta"), NOW).await;
        numbers.push(change_number(&mut engine).await.unwrap());
        let state = EnrolmentState::Blocked;
        set_state(&mut engine, &serial("A1"), state, NOW, "ana")
            .await
            .unwrap();
        numbers.push(change_number(&mut engine).await.unwrap());
        audit(&mut engine, NOW, "luis", "export", "acme", "{}")
            .await
            .unwrap();
        numbers.push(change_number(&mut engine).await.unwrap());
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "{}: {numbers:?}",
            store.name
        );

        let long = NewEnrolment {
            name: Some("ñ".repeat(129).into()),
            ..new("C3", "acme")
        };
        let refused = enrol(&mut engine, long, NOW, "ana").await;
        assert!(matches!(
            refused,
            Err(RegistryError::TooLong { limit: 128, .. })
        ));
        let missing = set_state(&mut engine, &serial("B2"), state, NOW, "ana").await;
        assert!(missing.is_err());
        assert_eq!(
            change_number(&mut engine).await.unwrap(),
            numbers[4],
            "{}",
            store.name
        );

        let tail = audit_tail(&mut engine, 3).await.unwrap();
        let told: Vec<_> = tail
            .iter()
            .map(|l| (l.actor.as_str(), l.action.as_str(), l.subject.as_str()))
            .collect();
        let expected = [
            ("ana", "move", "A1"),
            ("ana", "block", "A1"),
            ("luis", "export", "acme"),
        ];
        assert_eq!(told, expected, "{}", store.name);
        assert_eq!(tail[0].happened_at, NOW);
        assert!(tail[0].detail.contains("\"zeta\""), "{}", tail[0].detail);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_serial_enrolled_from_several_sessions_at_once_has_one_active_enrolment() {
    for store in stores().await {
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let target = store.target.clone();
                tokio::spawn(async move {
                    let mut engine = target.connect().await.unwrap();
                    enrol(&mut engine, new("A1", "acme"), NOW, "ana")
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut fresh = 0;
        for task in tasks {
            fresh += usize::from(matches!(task.await.unwrap(), Enrolled::New(_)));
        }
        assert_eq!(fresh, 1, "{}", store.name);
        assert_eq!(
            registry::all(&mut store.engine().await)
                .await
                .unwrap()
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn the_mirror_gives_back_what_the_registry_said_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(folder.path()).await.unwrap();
    let many: Vec<Enrolment> = (0..250u8)
        .map(|n| Enrolment {
            id: DeviceId([n; 16]),
            vendor: Vendor::Zkteco,
            serial: serial(&format!("S{n:03}")),
            tenant: TenantId::new("acme").unwrap(),
            state: EnrolmentState::Blocked,
            name: (n % 2 == 0).then(|| Text::const_new("Puerta")),
            site: None,
            time_zone: None,
            canary: n == 7,
            accept_from: (n % 3 == 0).then_some(NOW),
            created_at: LATER,
            access: Access {
                address: (n % 5 == 0).then(|| Text::const_new("10.0.0.7:80")),
                token_hash: (n % 4 == 0).then_some(TokenHash([n; 32])),
                ..Access::default()
            },
        })
        .collect();
    mirror.save_enrolments(&many).await.unwrap();
    let stamps = vec![
        (
            DeviceId([1; 16]),
            Text::const_new("stamp:ATTLOG"),
            Text::const_new("9999"),
        ),
        (
            DeviceId([1; 16]),
            Text::const_new("stamp:OPERLOG"),
            Text::const_new("5"),
        ),
    ];
    mirror.save_stamps(&stamps).await.unwrap();
    let newer = (
        DeviceId([1; 16]),
        Text::const_new("stamp:OPERLOG"),
        Text::const_new("6"),
    );
    mirror
        .save_stamps(std::slice::from_ref(&newer))
        .await
        .unwrap();
    let mark = FeedMark {
        store_id: [3; 16],
        server: "host|3306".to_owned(),
        next_seq: 77,
    };
    mirror.set_feed_mark("acme", &mark).await.unwrap();

    let again = Mirror::open(folder.path()).await.unwrap();
    assert_eq!(again.enrolments().await.unwrap(), many);
    assert_eq!(again.stamps().await.unwrap(), [stamps[0].clone(), newer]);
    assert_eq!(again.feed_mark("acme").await.unwrap(), Some(mark.clone()));
    assert_eq!(again.feed_mark("zeta").await.unwrap(), None);

    // Two processes have it open: what one writes, the other reads.
    again.save_enrolments(&many[..2]).await.unwrap();
    let ahead = FeedMark {
        next_seq: 78,
        ..mark
    };
    again.set_feed_mark("acme", &ahead).await.unwrap();
    assert_eq!(mirror.enrolments().await.unwrap(), many[..2]);
    assert_eq!(mirror.feed_mark("acme").await.unwrap(), Some(ahead));
}

#[tokio::test]
async fn a_terminal_that_waits_is_noted_once_and_strangers_end_at_the_limit() {
    let mirror = Mirror::in_memory().await.unwrap();
    let knock = |n: i64| Pending {
        vendor: Vendor::Zkteco,
        serial: serial(&format!("P{n}")),
        first_seen: Millis(NOW.0 + n),
        address: Text::const_new("10.0.0.7"),
        model: (n == 0).then(|| Text::const_new("SenseFace 2A")),
    };
    for n in 0..PENDING_LIMIT {
        assert!(mirror.add_pending(&knock(n)).await.unwrap(), "{n}");
    }
    let known = Pending {
        address: Text::const_new("10.0.0.8"),
        ..knock(0)
    };
    assert!(!mirror.add_pending(&known).await.unwrap());
    assert!(!mirror.add_pending(&knock(PENDING_LIMIT)).await.unwrap());
    mirror.forget_pending(&serial("P1")).await.unwrap();
    assert!(mirror.add_pending(&knock(PENDING_LIMIT)).await.unwrap());
    let all = mirror.pending().await.unwrap();
    assert_eq!(all.len(), 1000);
    assert_eq!(all[..2], [knock(0), knock(2)]);
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_leaves_the_mirror_usable() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(folder.path()).await.unwrap();
    let stamp = [(
        DeviceId([1; 16]),
        Text::const_new("stamp:ATTLOG"),
        Text::const_new("1"),
    )];
    let mut cut = 0;
    for polls in 1..60 {
        let mut work = Box::pin(mirror.save_stamps(&stamp));
        let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
        let mut done = false;
        for _ in 0..polls {
            done = done || work.as_mut().poll(&mut waker).is_ready();
            // The driver's own thread gets a moment, too short for the whole work.
            std::thread::yield_now();
        }
        cut += usize::from(!done);
        drop(work);
        mirror.save_stamps(&stamp).await.unwrap();
    }
    assert!(cut > 0, "no call was cut");
    assert_eq!(mirror.stamps().await.unwrap(), stamp);
}

#[tokio::test]
async fn a_lockdown_is_the_audits_last_word_and_lets_nobody_in_but_those_who_are() {
    for store in stores().await {
        let mut engine = store.engine().await;
        add(&mut engine, new("A1", "acme"), NOW).await;
        add(&mut engine, new("B1", "beta"), NOW).await;
        let (acme, who) = (TenantId::new("acme").unwrap(), (LATER, "ana"));
        let before = change_number(&mut engine).await.unwrap();
        for changed in [true, false] {
            let set = lockdown::set(&mut engine, Some(&acme), true, Some("why"), who).await;
            assert_eq!(set.unwrap(), changed, "{}", store.name);
        }
        assert_eq!(change_number(&mut engine).await.unwrap(), before + 1);
        let held = lockdown::active(&mut engine).await.unwrap();
        assert_eq!((held[0].scope(), held[0].since), ("acme", LATER));
        assert!(held[0].stops(Some(&acme)) && !held[0].stops(None));
        let refused = enrol(&mut engine, new("A2", "acme"), LATER, "ana").await;
        assert!(matches!(refused, Err(RegistryError::LockedDown(_))));
        // Moving one in is letting one in; what is in stays, and may be shut out.
        let moved = enrol(&mut engine, new("B1", "acme"), LATER, "ana").await;
        assert!(matches!(moved, Err(RegistryError::LockedDown(_))));
        add(&mut engine, new("A1", "acme"), LATER).await;
        add(&mut engine, new("B2", "beta"), LATER).await;
        let block = EnrolmentState::Blocked;
        set_state(&mut engine, &serial("A1"), block, LATER, "ana")
            .await
            .unwrap();
        let again = EnrolmentState::Approved;
        let refused = set_state(&mut engine, &serial("A1"), again, LATER, "ana").await;
        assert!(matches!(refused, Err(RegistryError::LockedDown(_))));
        lockdown::set(&mut engine, None, true, None, who)
            .await
            .unwrap();
        lockdown::set(&mut engine, Some(&acme), false, None, who)
            .await
            .unwrap();
        let held = lockdown::active(&mut engine).await.unwrap();
        assert_eq!(held.len(), 1);
        assert!(held[0].stops(None) && held[0].stops(Some(&acme)));
        let mirror = Mirror::in_memory().await.unwrap();
        mirror.save_lockdowns(&held).await.unwrap();
        assert_eq!(mirror.lockdowns().await.unwrap(), held);
        lockdown::set(&mut engine, None, false, None, who)
            .await
            .unwrap();
        assert!(lockdown::active(&mut engine).await.unwrap().is_empty());
        add(&mut engine, new("A2", "acme"), LATER).await;
    }
}

#[tokio::test]
async fn a_mirror_in_memory_leaves_no_file_behind() {
    let mirror = Mirror::in_memory().await.unwrap();
    assert!(mirror.enrolments().await.unwrap().is_empty());
    assert!(!std::path::Path::new(":memory:").exists());
}
