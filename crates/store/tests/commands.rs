//! What the table of commands promises: an id of its own for each, no change after its end, and a
//! line of audit at both ends.

#![allow(clippy::unwrap_used, reason = "a helper of a test may stop the test")]

use event::{DeviceId, Millis, Serial};
use store::command::{self, Command, CommandState, NewCommand};
use store::{AnyEngine, registry};

mod common;
use common::stores;

const NOW: Millis = Millis(1_795_000_000_000);
const DEVICE: DeviceId = DeviceId([1; 16]);

async fn asked(engine: &mut AnyEngine, text: &str, at: i64) -> Command {
    let new = NewCommand {
        device: DEVICE,
        serial: &Serial::new("ABC1").unwrap(),
        form: "records",
        text,
        actor: "ana",
        expires_at: Millis(NOW.0 + 600_000),
    };
    command::enqueue(engine, &new, Millis(NOW.0 + at))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_command_reads_back_as_it_was_asked_for_under_an_id_that_terminals_take() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let text = "DATA QUERY ATTLOG StartTime=2026-11-20 00:00:00\tEndTime=2026-11-21 00:00:00";
        let one = asked(&mut engine, text, 0).await;
        let other = asked(&mut engine, "INFO", 1).await;
        assert_ne!(one.id, other.id);
        assert!(one.id.len() <= 16 && one.id.bytes().all(|b| b.is_ascii_alphanumeric()));
        let read = command::get(&mut engine, &one.id).await.unwrap();
        assert_eq!(read, Some(one.clone()), "{}", store.name);
        assert_eq!(command::open(&mut engine).await.unwrap(), [one, other]);
    }
}

#[tokio::test]
async fn a_command_that_has_ended_is_never_changed_again_and_leaves_two_lines_of_audit() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let mut one = asked(&mut engine, "INFO", 0).await;
        (one.state, one.attempts, one.sent_at) = (CommandState::Sent, 1, Some(NOW));
        assert!(command::save(&mut engine, &one, NOW).await.unwrap());
        one.state = CommandState::Done;
        (one.return_code, one.records) = (Some(0), 7);
        one.result = Some("{\"UserCount\":\"2\"}".into());
        assert!(command::save(&mut engine, &one, NOW).await.unwrap());
        let late = Command {
            state: CommandState::Expired,
            ..one.clone()
        };
        assert!(
            !command::save(&mut engine, &late, NOW).await.unwrap(),
            "{}",
            store.name
        );
        assert!(command::open(&mut engine).await.unwrap().is_empty());
        assert_eq!(
            command::of_device(&mut engine, DEVICE, 9).await.unwrap(),
            [one]
        );
        let audit = registry::audit_tail(&mut engine, 9).await.unwrap();
        let lines: Vec<_> = audit
            .iter()
            .map(|line| {
                (
                    line.action.as_str(),
                    line.actor.as_str(),
                    line.subject.as_str(),
                )
            })
            .collect();
        let want = [("command", "ana", "ABC1"), ("command_end", "ana", "ABC1")];
        assert_eq!(lines, want, "{}", store.name);
    }
}

#[tokio::test]
async fn a_new_command_is_a_change_that_a_running_satellite_notices() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let before = registry::change_number(&mut engine).await.unwrap();
        asked(&mut engine, "INFO", 0).await;
        assert!(registry::change_number(&mut engine).await.unwrap() > before);
    }
}

#[tokio::test]
async fn of_many_that_take_a_command_one_gets_it_each_time_that_it_goes_out() {
    for store in stores().await {
        let mut engine = store.engine().await;
        let one = asked(&mut engine, "INFO", 0).await;
        let mut takers = Vec::new();
        for _ in 0..8 {
            let (mut engine, one) = (store.engine().await, one.clone());
            let take = async move { command::claim(&mut engine, &one, NOW).await.unwrap() };
            takers.push(tokio::spawn(take));
        }
        let mut got = 0;
        for taker in takers {
            got += u32::from(taker.await.unwrap());
        }
        assert_eq!(got, 1, "{}", store.name);
        let taken = command::open(&mut engine).await.unwrap().remove(0);
        assert_eq!((taken.state, taken.attempts), (CommandState::Sent, 1));

        // Given back, it may be taken once more; and so may one that was handed out in vain.
        command::give_back(&mut engine, &one).await.unwrap();
        assert!(command::claim(&mut engine, &one, NOW).await.unwrap());
        assert!(!command::claim(&mut engine, &one, NOW).await.unwrap());
        assert!(command::claim(&mut engine, &taken, NOW).await.unwrap());
        assert!(!command::claim(&mut engine, &taken, NOW).await.unwrap());
    }
}
