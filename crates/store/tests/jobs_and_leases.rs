//! What leases, jobs, states and quarantine promise.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::{Device, DeviceId, Millis, Serial, TenantId, Text, Vendor, Zone};
use sqlx::SqlStr;
use store::jobs::{self, JobState, NewJob};
use store::quarantine::{self, QuarantineFilter};
use store::status::{self, DeviceState, Silence};
use store::{AnyEngine, Value, lease};

mod common;
use common::stores;

const DEVICE: DeviceId = DeviceId([1; 16]);
const NOW: Millis = Millis(1_795_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn at(seconds: i64) -> Millis {
    Millis(NOW.0 + seconds * 1000)
}

#[tokio::test]
async fn a_lease_is_taken_only_when_it_is_free_or_expired() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let first = lease::acquire(&mut engine, DEVICE, "a", NOW, MINUTE)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(first.expires_at, at(60));
        for holder in ["a", "b"] {
            let taken = lease::acquire(&mut engine, DEVICE, holder, at(59), MINUTE)
                .await
                .unwrap();
            assert_eq!(taken, None, "{}", store.name);
        }
        let second = lease::acquire(&mut engine, DEVICE, "b", at(60), MINUTE)
            .await
            .unwrap();
        let second = second.unwrap();
        assert!(second.fence > first.fence, "{}", store.name);
        // The one that slept past its lease gets nothing by it any more.
        let late = lease::renew(&mut engine, DEVICE, "a", first, at(61), MINUTE)
            .await
            .unwrap();
        assert_eq!(late, None, "{}", store.name);
        assert!(
            !lease::release(&mut engine, DEVICE, "a", first)
                .await
                .unwrap()
        );
        let other = DeviceId([2; 16]);
        assert!(
            lease::acquire(&mut engine, other, "c", NOW, MINUTE)
                .await
                .unwrap()
                .is_some()
        );
    }
}

#[tokio::test]
async fn a_lease_can_be_prolonged_and_given_back() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let held = lease::acquire(&mut engine, DEVICE, "a", NOW, MINUTE)
            .await
            .unwrap()
            .unwrap();
        let held = lease::renew(&mut engine, DEVICE, "a", held, at(50), MINUTE)
            .await
            .unwrap();
        let held = held.unwrap();
        assert_eq!(held.expires_at, at(110));
        let taken = lease::acquire(&mut engine, DEVICE, "b", at(100), MINUTE)
            .await
            .unwrap();
        assert_eq!(taken, None, "{}", store.name);
        assert!(
            lease::release(&mut engine, DEVICE, "a", held)
                .await
                .unwrap(),
            "{}",
            store.name
        );
        let gone = lease::renew(&mut engine, DEVICE, "a", held, at(100), MINUTE)
            .await
            .unwrap();
        assert_eq!(gone, None, "{}", store.name);
        let next = lease::acquire(&mut engine, DEVICE, "b", at(100), MINUTE)
            .await
            .unwrap();
        assert_eq!(next.unwrap().fence, held.fence + 1, "{}", store.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_ask_at_once_one_gets_the_lease() {
    for store in stores().await {
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let target = store.target.clone();
                tokio::spawn(async move {
                    let mut engine = target.connect().await.unwrap();
                    let holder = format!("h{n}");
                    lease::acquire(&mut engine, DEVICE, &holder, NOW, MINUTE)
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            winners += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(winners, 1, "{}", store.name);
    }
}

#[tokio::test]
async fn a_holder_that_starts_again_takes_its_leases_over_under_a_new_fence() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let other = DeviceId([2; 16]);
        let wanted = [(DEVICE, None), (other, None)];
        let first = lease::keep(&mut engine, "a", &wanted, NOW, MINUTE)
            .await
            .unwrap();
        let fence = |kept: &[(DeviceId, i64)], id| {
            let mut kept = kept.iter();
            kept.find(|(known, _)| *known == id)
                .map(|(_, fence)| *fence)
        };
        assert_eq!(first.len(), 2, "{}", store.name);
        // Renewed, the fence stays.
        let held: Vec<_> = first
            .iter()
            .map(|(id, fence)| (*id, Some(*fence)))
            .collect();
        let renewed = lease::keep(&mut engine, "a", &held, at(30), MINUTE).await;
        assert_eq!(renewed.unwrap(), first, "{}", store.name);
        // Somebody else gets nothing of a living holder.
        let robbed = lease::keep(&mut engine, "b", &wanted, at(40), MINUTE).await;
        assert_eq!(robbed.unwrap(), [], "{}", store.name);
        // The same holder in a new life: what it stored before under the old fence is fenced.
        let again = lease::keep(&mut engine, "a", &wanted, at(41), MINUTE)
            .await
            .unwrap();
        assert!(
            fence(&again, DEVICE) > fence(&first, DEVICE),
            "{}",
            store.name
        );
        // The old life cannot renew any more, and takes nothing from the new one.
        lease::release_all(&mut engine, "a", &first).await.unwrap();
        let still = lease::acquire(&mut engine, other, "b", at(42), MINUTE).await;
        assert_eq!(still.unwrap(), None, "{}", store.name);
        lease::release_all(&mut engine, "a", &again).await.unwrap();
        let free = lease::acquire(&mut engine, other, "b", at(43), MINUTE).await;
        assert!(free.unwrap().is_some(), "{}", store.name);
    }
}

fn job(kind: &str, expires_at: Millis) -> NewJob<'_> {
    NewJob {
        device: DEVICE,
        kind,
        request: r#"{"from":"2026-11-01"}"#,
        expires_at,
    }
}

#[tokio::test]
async fn a_job_is_claimed_and_finished_by_one_holder() {
    for store in stores().await {
        let mut engine = store.engine().await;
        assert_eq!(jobs::claim(&mut engine, "a", NOW).await.unwrap(), None);
        let id = jobs::enqueue(&mut engine, &job("backfill", at(60)), NOW)
            .await
            .unwrap();
        let second = jobs::enqueue(&mut engine, &job("reboot", at(60)), NOW)
            .await
            .unwrap();
        assert!(second > id, "{}", store.name);

        let claimed = jobs::claim(&mut engine, "a", at(1)).await.unwrap().unwrap();
        assert_eq!(
            (claimed.id, claimed.state, claimed.attempts),
            (id, JobState::Running, 1)
        );
        assert_eq!((claimed.created_at, claimed.expires_at), (NOW, at(60)));
        assert_eq!(claimed.request, r#"{"from":"2026-11-01"}"#);
        assert!(
            !jobs::progress(&mut engine, id, "b", "mine").await.unwrap(),
            "{}",
            store.name
        );
        assert!(
            !jobs::finish(&mut engine, id, "b", Ok("{}"), at(2))
                .await
                .unwrap()
        );
        let long = "ñ".repeat(500);
        assert!(
            jobs::progress(&mut engine, id, "a", &long).await.unwrap(),
            "{}",
            store.name
        );
        assert!(
            jobs::finish(&mut engine, id, "a", Err(r#"{"why":"x"}"#), at(2))
                .await
                .unwrap()
        );
        assert!(
            !jobs::finish(&mut engine, id, "a", Ok("{}"), at(3))
                .await
                .unwrap()
        );

        let done = jobs::get(&mut engine, id).await.unwrap().unwrap();
        assert_eq!(
            (done.state, done.finished_at),
            (JobState::Failed, Some(at(2)))
        );
        assert_eq!(done.result.as_deref(), Some(r#"{"why":"x"}"#));
        assert_eq!(done.progress.map(|text| text.chars().count()), Some(190));
        let ids = |list: Vec<jobs::Job>| list.iter().map(|job| job.id).collect::<Vec<_>>();
        assert_eq!(
            ids(jobs::list(&mut engine, None, 10).await.unwrap()),
            [second, id]
        );
        let waiting = jobs::list(&mut engine, Some(JobState::Waiting), 10)
            .await
            .unwrap();
        assert_eq!(ids(waiting), [second], "{}", store.name);
    }
}

#[tokio::test]
async fn a_job_whose_time_ran_out_is_expired_and_never_claimed() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let waiting = jobs::enqueue(&mut engine, &job("a", at(10)), NOW)
            .await
            .unwrap();
        let running = jobs::enqueue(&mut engine, &job("b", at(20)), NOW)
            .await
            .unwrap();
        let later = jobs::enqueue(&mut engine, &job("c", at(90)), NOW)
            .await
            .unwrap();
        let claimed = jobs::claim(&mut engine, "x", at(10))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(claimed.id, running, "{}: the first had expired", store.name);
        assert_eq!(
            jobs::expire(&mut engine, at(20)).await.unwrap(),
            2,
            "{}",
            store.name
        );
        assert!(
            !jobs::finish(&mut engine, running, "x", Ok("{}"), at(21))
                .await
                .unwrap()
        );
        for (id, state) in [
            (waiting, JobState::Expired),
            (running, JobState::Expired),
            (later, JobState::Waiting),
        ] {
            assert_eq!(
                jobs::get(&mut engine, id).await.unwrap().unwrap().state,
                state
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_holders_share_the_jobs_and_none_is_done_twice() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let mut all = BTreeSet::new();
        for _ in 0..20 {
            all.insert(
                jobs::enqueue(&mut engine, &job("a", at(60)), NOW)
                    .await
                    .unwrap(),
            );
        }
        let tasks: Vec<_> = (0..4)
            .map(|n| {
                let target = store.target.clone();
                tokio::spawn(async move {
                    let mut engine = target.connect().await.unwrap();
                    let (holder, mut mine) = (format!("h{n}"), Vec::new());
                    while let Some(job) = jobs::claim(&mut engine, &holder, NOW).await.unwrap() {
                        mine.push(job.id);
                    }
                    mine
                })
            })
            .collect();
        let mut claimed = Vec::new();
        for task in tasks {
            claimed.extend(task.await.unwrap());
        }
        assert_eq!(claimed.len(), 20, "{}", store.name);
        assert_eq!(
            claimed.into_iter().collect::<BTreeSet<_>>(),
            all,
            "{}",
            store.name
        );
    }
}

fn terminal(n: u8, canary: bool) -> Arc<Device> {
    Arc::new(Device {
        id: DeviceId([n; 16]),
        tenant: Some(TenantId::new("acme").unwrap()),
        vendor: Vendor::Zkteco,
        serial: Serial::new(&format!("S{n:03}")).unwrap(),
        name: None,
        site: Some(Text::const_new("Planta 1")),
        zone: Zone::named("America/Mexico_City").unwrap(),
        canary,
    })
}

fn seen(device: Arc<Device>, used: Option<i64>) -> DeviceState {
    DeviceState {
        device,
        state: Text::const_new("approved"),
        last_contact_at: Some(at(5)),
        last_event_at: None,
        clock_skew_seconds: Some(-3),
        log_used: used,
        log_capacity: Some(150_000),
        gap_events: None,
        completeness: Text::const_new("unproven"),
        inventory: None,
        assured: None,
    }
}

#[tokio::test]
async fn device_status_shows_the_last_state_of_every_terminal_but_no_canary() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let states: Vec<_> = (0..=249)
            .map(|n| seen(terminal(n, n == 9), Some(1)))
            .collect();
        status::write(&mut engine, &states).await.unwrap();
        status::write(&mut engine, &[seen(terminal(3, false), Some(2))])
            .await
            .unwrap();
        status::write(&mut engine, &[]).await.unwrap();
        let rows = status::read(&mut engine).await.unwrap();
        assert_eq!(rows.len(), 249, "{}", store.name);
        assert!(rows.iter().all(|row| row.serial != "S009"));
        let row = rows.iter().find(|row| row.serial == "S003").unwrap();
        assert_eq!(
            (row.log_used, row.log_capacity, row.gap_events),
            (Some(2), Some(150_000), None)
        );
        assert_eq!(
            (row.last_contact_at, row.last_event_at),
            (Some(at(5)), None)
        );
        assert_eq!(row.clock_skew_seconds, Some(-3), "{}", store.name);
        assert_eq!(row.site.as_deref(), Some("Planta 1"));
        assert_eq!(
            (row.state.as_str(), row.completeness.as_str()),
            ("approved", "unproven")
        );
    }
}

#[tokio::test]
async fn a_row_calls_nobody_online_whom_no_satellite_hears_and_keeps_every_other_word() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let told = |n: u8, state, contact| DeviceState {
            state: Text::const_new(state),
            last_contact_at: Some(at(contact)),
            completeness: Text::const_new("proven"),
            ..seen(terminal(n, false), Some(1))
        };
        let states = [
            told(1, "online", 5),
            told(2, "online", 900),
            told(3, "blocked", 5),
            told(4, "online", 5),
        ];
        status::write(&mut engine, &states).await.unwrap();
        // The fifth has no row; the fourth is asked about by nobody.
        let silent = [1, 2, 3, 5].map(|n| Silence {
            device: DeviceId([n; 16]),
            state: Text::const_new("offline"),
            heard_before: at(900),
        });
        status::write_silences(&mut engine, &silent).await.unwrap();
        let rows = status::read(&mut engine).await.unwrap();
        let words: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
        let expected = ["offline", "online", "blocked", "online"];
        assert_eq!(words, expected, "{}", store.name);
        assert!(rows.iter().all(|row| row.completeness == "proven"));
        assert_eq!(rows[0].last_contact_at, Some(at(5)));
    }
}

async fn set_aside(engine: &mut AnyEngine, device: u8, reason: &str, raw: &[u8]) {
    let sql = "INSERT INTO quarantine (device_id, raw_hash, reason, detail, source, route, \
               first_at, last_at, seen, raw) VALUES (?, ?, ?, 'd', 'ATTLOG', 'push', \
               '2026-11-21 10:00:00.000', '2026-11-21 11:00:00.500', 2, ?)";
    let hash = blake3::hash(raw);
    let values = [
        Value::Bytes(&[device; 16]),
        Value::Bytes(&hash.as_bytes()[..16]),
        Value::Text(reason),
        Value::Bytes(raw),
    ];
    engine
        .execute(SqlStr::from_static(sql), &values)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_stands_in_quarantine_is_found_by_serial_and_reason_and_can_be_settled() {
    for store in stores().await {
        let mut engine = store.engine().await;
        status::write(&mut engine, &[seen(terminal(1, false), None)])
            .await
            .unwrap();
        set_aside(&mut engine, 1, "bad_time", b"1\t2026-02-30\0").await;
        set_aside(&mut engine, 1, "unreadable", b"\xff\xfe").await;
        set_aside(&mut engine, 2, "bad_time", b"x").await;
        let all = QuarantineFilter {
            limit: 10,
            ..QuarantineFilter::default()
        };
        let rows = quarantine::list(&mut engine, &all).await.unwrap();
        let raws: Vec<_> = rows.iter().map(|row| row.raw.as_slice()).collect();
        assert_eq!(
            raws,
            [b"x".as_slice(), b"\xff\xfe", b"1\t2026-02-30\0"],
            "{}",
            store.name
        );
        assert_eq!((&rows[0].serial, &rows[0].tenant), (&None, &None));
        assert_eq!(rows[1].tenant.as_deref(), Some("acme"));
        assert_eq!(rows[1].last_at.text(), "2026-11-21 11:00:00.500");

        let narrow = QuarantineFilter {
            serial: Some("S001".to_owned()),
            reason: Some("bad_time".to_owned()),
            ..all.clone()
        };
        let found = quarantine::list(&mut engine, &narrow).await.unwrap();
        assert_eq!(found, [rows[2].clone()], "{}", store.name);
        let id = found[0].id;
        assert!(
            quarantine::settle(&mut engine, id, at(1)).await.unwrap(),
            "{}",
            store.name
        );
        assert!(
            !quarantine::settle(&mut engine, id, at(2)).await.unwrap(),
            "{}",
            store.name
        );
        assert!(
            quarantine::list(&mut engine, &narrow)
                .await
                .unwrap()
                .is_empty()
        );
        let row = quarantine::get(&mut engine, id).await.unwrap().unwrap();
        assert_eq!(row.settled_at, Some(at(1)), "{}", store.name);
        let with_settled = QuarantineFilter {
            include_settled: true,
            ..narrow
        };
        assert_eq!(
            quarantine::list(&mut engine, &with_settled).await.unwrap(),
            [row]
        );
        assert_eq!(quarantine::get(&mut engine, id + 100).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_job_that_is_given_back_waits_again_and_only_its_holder_can_do_that() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let job = NewJob {
            device: DeviceId([1; 16]),
            kind: "backfill",
            request: "{}",
            expires_at: at(100),
        };
        let id = jobs::enqueue(&mut engine, &job, at(1)).await.unwrap();
        let other = NewJob {
            kind: "record",
            ..job.clone()
        };
        jobs::enqueue(&mut engine, &other, at(1)).await.unwrap();
        let waiting = jobs::waiting(&mut engine, "backfill", at(2), 10)
            .await
            .unwrap();
        assert_eq!(waiting.len(), 1, "{}", store.name);
        assert!(jobs::claim_one(&mut engine, id, "a").await.unwrap());
        assert!(!jobs::claim_one(&mut engine, id, "b").await.unwrap());
        assert!(!jobs::give_back(&mut engine, id, "b").await.unwrap());
        assert!(jobs::give_back(&mut engine, id, "a").await.unwrap());
        assert!(jobs::claim_one(&mut engine, id, "b").await.unwrap());
        assert_eq!(
            jobs::give_back_all(&mut engine, "backfill", "a")
                .await
                .unwrap(),
            0
        );
        assert_eq!(
            jobs::give_back_all(&mut engine, "backfill", "b")
                .await
                .unwrap(),
            1
        );
        let job = jobs::get(&mut engine, id).await.unwrap().unwrap();
        assert_eq!(
            (job.state, job.attempts, job.holder),
            (JobState::Waiting, 2, None)
        );
        let late = jobs::waiting(&mut engine, "backfill", at(100), 10)
            .await
            .unwrap();
        assert!(late.is_empty(), "{}", store.name);
    }
}
