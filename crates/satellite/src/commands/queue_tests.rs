//! What polls hear, and what results and records mean, by virtual time.

use super::*;
use zkteco_push::IndexChain;

const DEVICE: DeviceId = DeviceId([1; 16]);
const OTHER: DeviceId = DeviceId([2; 16]);
const WINDOW: &str = "DATA QUERY ATTLOG StartTime=2026-11-20 00:00:00\tEndTime=2026-11-20 23:59:59";
const ALL: &str = "DATA QUERY tablename=transaction,fielddesc=*,filter=*";

fn command(id: &str, text: &str) -> Command {
    Command {
        id: id.to_owned(),
        device: DEVICE,
        serial: "ABC1".to_owned(),
        form: "x".to_owned(),
        text: text.to_owned(),
        state: CommandState::Waiting,
        attempts: 0,
        actor: "ana".to_owned(),
        created_at: Millis(0),
        expires_at: Millis(3_600_000),
        sent_at: None,
        answered_at: None,
        return_code: None,
        records: 0,
        result: None,
    }
}

fn queue(commands: &[(&str, &str)]) -> Queue {
    let mut queue = Queue::default();
    let commands = commands.iter().map(|(id, text)| command(id, text));
    queue.merge(commands.collect(), Millis(0));
    queue
}

/// Every command whose time it is, as the table gives it when nobody else wants it.
fn take(queue: &mut Queue, at: i64) {
    for command in queue.to_take(Millis(at)) {
        queue.taken(&command, Millis(at));
    }
}

fn poll(queue: &mut Queue, at: i64) -> Vec<String> {
    take(queue, at);
    let lines = queue.hand_out(DEVICE, Dialect::Attendance, None, Millis(at));
    lines.into_iter().map(|(id, _)| id).collect()
}

fn result(id: &str, code: i64) -> CommandResult {
    CommandResult {
        id: id.into(),
        code: Some(code),
        ..CommandResult::default()
    }
}

fn answer(queue: &mut Queue, device: DeviceId, id: &str, code: i64, at: i64) {
    queue.results(device, Dialect::Attendance, &[result(id, code)], Millis(at));
}

fn states(queue: &mut Queue, at: i64) -> Vec<(String, CommandState)> {
    let unsaved = queue.take_unsaved(Millis(at));
    unsaved.into_iter().map(|c| (c.id, c.state)).collect()
}

fn one(id: &str, state: CommandState) -> Vec<(String, CommandState)> {
    vec![(id.to_owned(), state)]
}

#[test]
fn a_command_is_handed_out_once_and_ends_with_its_result() {
    let mut queue = queue(&[("a", "INFO")]);
    assert_eq!(poll(&mut queue, 1), ["a"]);
    assert!(poll(&mut queue, 2).is_empty());
    assert_eq!(states(&mut queue, 3), one("a", CommandState::Sent));
    answer(&mut queue, DEVICE, "a", 0, 4);
    assert_eq!(states(&mut queue, 5), one("a", CommandState::Done));
    queue.forget_ended();
    assert_eq!(queue.open(), 0);
}

#[test]
fn a_result_that_was_not_asked_for_changes_nothing() {
    let mut queue = queue(&[("a", "INFO")]);
    answer(&mut queue, DEVICE, "a", 0, 1);
    poll(&mut queue, 2);
    answer(&mut queue, OTHER, "a", 0, 3);
    answer(&mut queue, DEVICE, "b", 0, 4);
    assert_eq!(states(&mut queue, 5), one("a", CommandState::Sent));
    assert!(!queue.is_asked(OTHER, "a") && queue.is_asked(DEVICE, "a"));
}

#[test]
fn a_text_that_is_no_order_never_leaves_whoever_wrote_it_into_the_table() {
    let texts = [
        "CLEAR DATA",
        "INFO\nC:1:CLEAR DATA",
        "AC_UNLOCK",
        ALL,
        "SHELL reboot",
    ];
    for text in texts {
        let mut queue = queue(&[("a", text)]);
        assert!(poll(&mut queue, 1).is_empty(), "{text}");
        assert_eq!(states(&mut queue, 2), one("a", CommandState::Refused));
    }
}

#[test]
fn a_question_without_an_answer_is_asked_again_and_given_up_when_its_time_is_over() {
    let mut queue = queue(&[("a", "INFO")]);
    assert_eq!(poll(&mut queue, 0), ["a"]);
    assert_eq!(poll(&mut queue, AGAIN_AFTER), ["a"]);
    assert_eq!(poll(&mut queue, 2 * AGAIN_AFTER), ["a"]);
    assert!(poll(&mut queue, 3 * AGAIN_AFTER).is_empty());
    assert_eq!(states(&mut queue, 3_599_999), one("a", CommandState::Sent));
    assert_eq!(
        states(&mut queue, 3_600_000),
        one("a", CommandState::Expired)
    );
}

#[test]
fn a_long_answer_does_not_run_out_of_time_while_it_comes() {
    let mut queue = queue(&[("a", WINDOW)]);
    poll(&mut queue, 0);
    queue.brought(DEVICE, "a", Some((1, 9)), 5, &[], Millis(3_599_999));
    assert_eq!(states(&mut queue, 3_600_001), one("a", CommandState::Sent));
    assert_eq!(
        states(&mut queue, 3_599_999 + QUIET),
        one("a", CommandState::Expired)
    );
}

#[test]
fn a_restart_is_told_once_and_alone_and_is_done_when_the_terminal_greets() {
    let mut queue = queue(&[("a", "REBOOT"), ("b", "INFO")]);
    assert_eq!(poll(&mut queue, 0), ["a"]);
    assert_eq!(poll(&mut queue, AGAIN_AFTER), ["b"]);
    queue.greeted(DEVICE, Millis(AGAIN_AFTER + 1));
    let states = states(&mut queue, AGAIN_AFTER + 2);
    assert!(
        states.contains(&("a".to_owned(), CommandState::Done)),
        "{states:?}"
    );
}

#[test]
fn a_result_may_come_before_the_last_batch() {
    let mut queue = queue(&[("a", WINDOW)]);
    poll(&mut queue, 0);
    queue.brought(DEVICE, "a", Some((1, 2)), 62, &[], Millis(1));
    answer(&mut queue, DEVICE, "a", 100, 2);
    assert_eq!(states(&mut queue, 3), one("a", CommandState::Answered));
    // A batch that is sent again counts once.
    queue.brought(DEVICE, "a", Some((1, 2)), 62, &[], Millis(4));
    queue.brought(DEVICE, "a", Some((2, 2)), 38, &[], Millis(5));
    let unsaved = queue.take_unsaved(Millis(6));
    assert_eq!(
        (unsaved[0].state, unsaved[0].records),
        (CommandState::Done, 100)
    );
}

#[test]
fn an_answer_whose_length_nobody_told_ends_when_nothing_more_comes() {
    let mut queue = queue(&[("a", WINDOW)]);
    poll(&mut queue, 0);
    answer(&mut queue, DEVICE, "a", 0, 1);
    let (id, window) = queue.open_window(DEVICE).unwrap();
    assert_eq!(
        (id.as_str(), window.from().to_string().as_str()),
        ("a", "2026-11-20 00:00:00")
    );
    queue.brought(DEVICE, "a", None, 5, &[], Millis(10_000));
    assert_eq!(states(&mut queue, QUIET), one("a", CommandState::Answered));
    assert_eq!(
        states(&mut queue, 10_000 + QUIET),
        one("a", CommandState::Done)
    );
}

#[test]
fn two_questions_for_records_are_not_open_at_the_same_time() {
    let mut queue = queue(&[("a", WINDOW), ("b", WINDOW), ("c", "INFO")]);
    assert_eq!(poll(&mut queue, 0), ["a", "c"]);
    answer(&mut queue, DEVICE, "a", -1002, 1);
    assert_eq!(poll(&mut queue, 2), ["b"]);
}

#[tokio::test]
async fn whoever_asked_hears_the_end_with_the_number_of_records() {
    let mut queue = Queue::default();
    let mut told = queue.add(command("a", WINDOW));
    poll(&mut queue, 0);
    queue.brought(DEVICE, "a", None, 3, &[], Millis(1));
    answer(&mut queue, DEVICE, "a", 3, 2);
    let answer = told
        .wait_for(|answer| !answer.state.is_open())
        .await
        .unwrap()
        .clone();
    assert_eq!(
        (answer.state, answer.code, answer.records),
        (CommandState::Done, Some(3), 3)
    );
    assert!(answer.agreed);
}

#[test]
fn everything_that_a_terminal_holds_is_concluded_only_when_its_count_agrees() {
    let question = Some(IndexChain::new().ask());
    let ask = |told: i64, came: u64| {
        let mut queue = queue(&[("a", ALL)]);
        take(&mut queue, 0);
        queue.hand_out(DEVICE, Dialect::Access, question, Millis(0));
        queue.brought(DEVICE, "a", Some((1, 1)), came, &[], Millis(1));
        let results = [result("a", told)];
        queue
            .results(DEVICE, Dialect::Access, &results, Millis(2))
            .len()
    };
    assert_eq!(ask(7, 7), 1);
    assert_eq!(ask(7, 6), 0);
    assert_eq!(ask(0, 7), 1);
    assert_eq!(ask(-708, 7), 0);
}

#[test]
fn after_a_restart_of_ours_the_result_of_what_was_sent_before_still_counts() {
    let mut queue = Queue::default();
    let before = Command {
        state: CommandState::Sent,
        attempts: 1,
        sent_at: Some(Millis(0)),
        ..command("a", "INFO")
    };
    assert!(!queue.is_loaded());
    queue.merge(vec![before], Millis(10));
    assert!(queue.is_loaded());
    assert!(poll(&mut queue, 20).is_empty());
    answer(&mut queue, DEVICE, "a", 0, 30);
    assert_eq!(states(&mut queue, 40), one("a", CommandState::Done));
}

#[test]
fn what_could_not_be_written_is_written_later_and_not_forgotten_before() {
    let mut queue = queue(&[("a", "INFO")]);
    poll(&mut queue, 0);
    answer(&mut queue, DEVICE, "a", 0, 1);
    let unsaved = queue.take_unsaved(Millis(2));
    queue.not_saved(&unsaved);
    queue.forget_ended();
    assert_eq!(states(&mut queue, 3), one("a", CommandState::Done));
    queue.forget_ended();
    assert!(queue.take_unsaved(Millis(4)).is_empty());
}

#[test]
fn a_command_that_ended_elsewhere_is_not_handed_out_here() {
    let mut queue = queue(&[("a", "INFO")]);
    queue.merge(Vec::new(), Millis(SETTLED));
    assert_eq!(queue.open(), 1, "it may be too new to be listed");
    queue.merge(Vec::new(), Millis(SETTLED + 1));
    assert!(poll(&mut queue, SETTLED + 2).is_empty());
}

#[test]
fn what_nobody_has_taken_is_not_handed_out_and_what_waited_too_long_is_given_back() {
    let mut queue = queue(&[("a", "INFO"), ("b", "INFO")]);
    let hand = |queue: &mut Queue, at: i64| {
        let lines = queue.hand_out(DEVICE, Dialect::Attendance, None, Millis(at));
        lines.into_iter().map(|line| line.0).collect::<Vec<_>>()
    };
    assert!(hand(&mut queue, 0).is_empty());
    let mut wanted = queue.to_take(Millis(0));
    assert_eq!(wanted.len(), 2);
    queue.taken(&wanted.remove(0), Millis(0));
    assert_eq!(hand(&mut queue, 1), ["a"]);
    // The other was taken by another satellite a moment ago; that is read later.
    let sent = Command {
        state: CommandState::Sent,
        attempts: 1,
        sent_at: Some(Millis(0)),
        ..wanted.remove(0)
    };
    queue.merge(vec![sent], Millis(2));
    assert!(queue.to_take(Millis(3)).is_empty());
    // Nothing came back for long: whoever takes it now hands it out once more.
    let later = AGAIN_AFTER + 1;
    assert_eq!(queue.to_take(Millis(later)).len(), 2);
    take(&mut queue, later);
    assert!(queue.take_back(false, Millis(later + 1)).is_empty());
    let back = queue.take_back(false, Millis(later + TAKEN_FOR));
    assert_eq!(back.len(), 2);
    assert!(hand(&mut queue, later + TAKEN_FOR).is_empty());
}
