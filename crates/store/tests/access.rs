//! How terminals are reached: what the registry and its mirror keep of it, and what is said of
//! it nowhere.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use event::{Millis, Serial, TenantId, Text, Vendor};
use sqlx::SqlStr;
use store::registry::{
    self, Access, Enrolled, EnrolmentState, NewEnrolment, RegistryError, TokenHash, audit_tail,
    enrol, find_by_token, set_state, set_token,
};
use store::{AnyEngine, Mirror, Target};

mod common;
use common::stores;

const NOW: Millis = Millis(1_795_000_000_123);
const LATER: Millis = Millis(1_795_000_060_000);
const TOKEN: &str = "q83vEjRWeJCrze8SNFZ4kA";

fn serial(text: &str) -> Serial {
    Serial::new(text).unwrap()
}

fn new(tenant: &str, access: Access) -> NewEnrolment {
    let tenant = TenantId::new(tenant).unwrap();
    NewEnrolment {
        access,
        ..NewEnrolment::of(Vendor::Hikvision, serial("DS1"), tenant)
    }
}

fn dialled() -> Access {
    Access {
        address: Some(Text::const_new("10.0.0.7:80")),
        user: Some(Text::const_new("satélite")),
        secret_file: Some(Text::const_new("hik-acme")),
        ..Access::default()
    }
}

fn listening() -> Access {
    Access {
        token_hash: Some(TokenHash::of(TOKEN)),
        mac: Some(Text::const_new("44-19-B6-00-11-22")),
        ..Access::default()
    }
}

async fn add(engine: &mut AnyEngine, new: NewEnrolment) -> Enrolled {
    enrol(engine, new, NOW, "ana").await.unwrap()
}

#[tokio::test]
async fn what_is_not_given_again_stays_and_a_new_enrolment_inherits_nothing() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let first = add(&mut engine, new("acme", dialled())).await;
        assert_eq!(first.enrolment().access, dialled(), "{}", store.name);
        assert_eq!(
            registry::all(&mut engine).await.unwrap(),
            [first.enrolment().clone()]
        );

        let both = Access {
            token_hash: Some(TokenHash::of(TOKEN)),
            mac: Some(Text::const_new("44:19:b6:00:11:22")),
            ..dialled()
        };
        let again = add(&mut engine, new("acme", listening())).await;
        assert!(matches!(again, Enrolled::Already(_)), "{}", store.name);
        assert_eq!(again.enrolment().access, both, "{}", store.name);
        let state = EnrolmentState::Blocked;
        let blocked = set_state(&mut engine, &serial("DS1"), state, LATER, "ana").await;
        assert_eq!(blocked.unwrap().access, both, "{}", store.name);
        let known = find_by_token(&mut engine, &TokenHash::of(TOKEN))
            .await
            .unwrap();
        assert_eq!(known.map(|it| it.access), Some(both), "{}", store.name);

        let moved = add(&mut engine, new("zeta", Access::default())).await;
        assert_eq!(moved.enrolment().access, Access::default());
        assert_eq!(
            registry::all(&mut engine).await.unwrap(),
            [moved.enrolment().clone()],
            "{}",
            store.name
        );
        let former = find_by_token(&mut engine, &TokenHash::of(TOKEN))
            .await
            .unwrap();
        assert_eq!(
            former, None,
            "{}: the former owner's token works",
            store.name
        );
    }
}

#[tokio::test]
async fn a_new_token_ends_the_one_before_and_no_token_is_told_to_the_audit() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let access = Access {
            secret_file: Some(Text::const_new("typed-a-password")),
            ..listening()
        };
        let first = add(&mut engine, new("acme", access))
            .await
            .enrolment()
            .clone();
        let number = registry::change_number(&mut engine).await.unwrap();
        let next = TokenHash::of("another");
        let given = set_token(&mut engine, &serial("DS1"), next, LATER, "ana")
            .await
            .unwrap();
        assert_eq!(given.id, first.id, "{}", store.name);
        assert_eq!(given.access.mac, first.access.mac);
        assert!(registry::change_number(&mut engine).await.unwrap() > number);
        let before = find_by_token(&mut engine, &TokenHash::of(TOKEN))
            .await
            .unwrap();
        assert_eq!(before, None, "{}", store.name);
        assert_eq!(
            find_by_token(&mut engine, &next).await.unwrap(),
            Some(given)
        );
        let nobody = set_token(&mut engine, &serial("DS2"), next, LATER, "ana").await;
        assert!(matches!(nobody, Err(RegistryError::NotFound(_))));

        let lines = audit_tail(&mut engine, 10).await.unwrap();
        let actions: Vec<_> = lines.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(actions, ["add", "token"], "{}", store.name);
        let hex = |hash: TokenHash| -> String {
            hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
        };
        for line in &lines {
            for secret in [
                TOKEN,
                "another",
                "typed-a-password",
                &hex(next),
                &hex(TokenHash::of(TOKEN)),
            ] {
                assert!(
                    !line.detail.contains(secret),
                    "{}: {}",
                    store.name,
                    line.detail
                );
            }
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_written() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let long = |length| Some(Text::from("x".repeat(length)));
        let wrong = [
            Access {
                address: long(256),
                ..Access::default()
            },
            Access {
                user: long(65),
                ..Access::default()
            },
            Access {
                secret_file: long(256),
                ..Access::default()
            },
            Access {
                mac: Some(Text::const_new("44:19:b6")),
                ..Access::default()
            },
        ];
        for access in wrong {
            let refused = enrol(&mut engine, new("acme", access.clone()), NOW, "ana").await;
            let expected = match &access.mac {
                Some(_) => matches!(refused, Err(RegistryError::Mac(_))),
                None => matches!(refused, Err(RegistryError::TooLong { .. })),
            };
            assert!(expected, "{}: {refused:?}", store.name);
        }
        assert_eq!(registry::change_number(&mut engine).await.unwrap(), 0);
        let longest = Access {
            address: long(255),
            user: long(64),
            secret_file: long(255),
            ..listening()
        };
        add(&mut engine, new("acme", longest)).await;
    }
}

#[tokio::test]
async fn a_mirror_of_an_earlier_version_is_brought_up_to_date_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = Target::Sqlite(folder.path().join("registry.db"))
        .connect()
        .await
        .unwrap();
    for sql in [
        "CREATE TABLE enrolment (device_id BLOB NOT NULL PRIMARY KEY, vendor TEXT NOT NULL, \
         serial TEXT NOT NULL, tenant TEXT NOT NULL, state TEXT NOT NULL, name TEXT NULL, \
         site TEXT NULL, time_zone TEXT NULL, canary INTEGER NOT NULL, accept_from TEXT NULL, \
         created_at TEXT NOT NULL)",
        "INSERT INTO enrolment VALUES (x'01010101010101010101010101010101', 'zkteco', 'A1', \
         'acme', 'approved', 'Puerta', NULL, NULL, 0, NULL, '2026-11-21 10:15:30.123')",
    ] {
        old.execute(SqlStr::from_static(sql), &[]).await.unwrap();
    }
    let mirror = Mirror::open(folder.path()).await.unwrap();
    let kept = mirror.enrolments().await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].name.as_deref(), Some("Puerta"));
    assert_eq!(kept[0].access, Access::default());

    let mut reached = kept.clone();
    reached[0].access = Access {
        mac: Some(Text::const_new("44:19:b6:00:11:22")),
        ..dialled()
    };
    reached[0].access.token_hash = Some(TokenHash::of(TOKEN));
    mirror.save_enrolments(&reached).await.unwrap();
    let again = Mirror::open(folder.path()).await.unwrap();
    assert_eq!(again.enrolments().await.unwrap(), reached);
    // What is no longer so goes with the next copy.
    again.save_enrolments(&kept).await.unwrap();
    assert_eq!(mirror.enrolments().await.unwrap(), kept);
}

#[tokio::test]
async fn how_often_a_terminal_is_visited_stays_with_its_enrolment_and_in_the_mirror() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let id = add(&mut engine, new("acme", dialled()))
            .await
            .enrolment()
            .id;
        let visited = async |engine: &mut AnyEngine, every| {
            let done = registry::set_schedule(engine, &serial("DS1"), every, LATER, "ana").await;
            assert_eq!(done.unwrap().access.every, every, "{}", store.name);
            let found = registry::find(engine, None, &serial("DS1")).await.unwrap();
            assert_eq!(found.unwrap().access.every, every, "{}", store.name);
        };
        visited(&mut engine, Some(900)).await;
        let again = add(&mut engine, new("acme", listening())).await;
        assert_eq!(again.enrolment().access.every, Some(900), "{}", store.name);
        let mirror = Mirror::in_memory().await.unwrap();
        let all = registry::all(&mut engine).await.unwrap();
        mirror.save_enrolments(&all).await.unwrap();
        assert_eq!(mirror.enrolments().await.unwrap(), all, "{}", store.name);
        visited(&mut engine, None).await;
        let last = audit_tail(&mut engine, 1).await.unwrap();
        assert_eq!(
            (last[0].action.as_str(), last[0].actor.as_str()),
            ("schedule", "ana")
        );
        assert!(
            last[0].detail.contains("\"before_seconds\":900"),
            "{}",
            last[0].detail
        );
        // Other hardware under the same serial begins without one.
        visited(&mut engine, Some(60)).await;
        let wish = NewEnrolment {
            replace: true,
            ..new("acme", dialled())
        };
        let fresh = add(&mut engine, wish).await;
        assert_ne!(fresh.enrolment().id, id, "{}", store.name);
        assert_eq!(fresh.enrolment().access.every, None, "{}", store.name);
        let nobody = registry::set_schedule(&mut engine, &serial("DS9"), None, LATER, "ana").await;
        assert!(
            matches!(nobody, Err(RegistryError::NotFound(_))),
            "{}",
            store.name
        );
    }
}
