//! Nothing a peer sends can panic a session or make it grow, and no fault of the wire makes a
//! read come out wrong: it ends with the terminal's own bytes or with a named error.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

mod common;
mod laws;

use common::{Dice, START, Terminal, WHOLE, Wire, log40, options, run};
use event::Millis;
use laws::{drain, read_damaged};
use proptest::prelude::*;
use zkteco_pull::framing::tcp_frame;
use zkteco_pull::packet::Packet;
use zkteco_pull::{Action, Ask, Session, VISIT};

#[test]
fn a_long_log_comes_whole_over_udp_with_one_datagram_in_twenty_lost() {
    let wire = Wire {
        lost: 5,
        doubled: 2,
        shuffled: false,
        read: 0,
    };
    let mut terminal = Terminal::new(true, log40(30_000));
    let mut session = Session::new(options(true, WHOLE), START);
    let outcome = run(&mut session, &mut terminal, wire, &mut Dice::new(7));
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.records() == terminal.log);
    assert!(outcome.took < 60_000, "{} ms of virtual time", outcome.took);
}

#[test]
fn a_long_log_comes_whole_over_tcp_split_anywhere() {
    let wire = Wire {
        read: 3_000,
        ..Wire::default()
    };
    let mut terminal = Terminal::new(false, log40(30_000));
    let mut session = Session::new(options(false, WHOLE), START);
    let outcome = run(&mut session, &mut terminal, wire, &mut Dice::new(7));
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.records() == terminal.log);
}

#[test]
fn a_session_of_seventy_thousand_questions_wraps_its_reply_ids() {
    let mut terminal = Terminal::new(false, Vec::new());
    let mut session = Session::new(options(false, &[Ask::Listen]), START);
    for _ in 0..70_000 {
        session.ask(Ask::Clock);
    }
    let outcome = run(
        &mut session,
        &mut terminal,
        Wire::default(),
        &mut Dice::new(1),
    );
    assert_eq!(outcome.end, Ok(()));
    let replies: Vec<u16> = outcome.sent.iter().map(|p| p.reply).collect();
    assert!(
        replies
            .windows(2)
            .all(|pair| pair[1] == (pair[0] + 1) % u16::MAX)
    );
}

/// Any packet, mostly with codes and lengths that mean something.
fn packet() -> impl Strategy<Value = Packet> {
    let command = prop_oneof![
        prop::sample::select(vec![
            2000u16, 1500, 1501, 500, 2001, 2003, 2005, 6001, 65535, 1000, 2002
        ]),
        any::<u16>(),
    ];
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        prop::sample::select(vec![0u32, 1, 4, 44, 1004, 65_472, u32::MAX])
            .prop_map(|n| { [n.to_le_bytes(), n.to_le_bytes()].concat() }),
        prop::sample::select(vec![0u32, 3, 4, 44, 100_004, u32::MAX])
            .prop_map(|n| { [&[0][..], &n.to_le_bytes(), &n.to_le_bytes(), &[0; 4]].concat() }),
    ];
    (command, 0u16..4, 0u16..30, data).prop_map(|(command, session, reply, data)| Packet {
        command,
        session,
        reply,
        data: data.into(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_read_over_udp_ends_with_equal_bytes_or_a_named_error(
        seed: u64, records in 0u32..1200, lost in 0u64..30, doubled in 0u64..20,
        shuffled: bool, unnumbered: bool, direct_only: bool,
    ) {
        let wire = Wire { lost, doubled, shuffled, read: 0 };
        let mut terminal = Terminal::new(true, log40(records));
        terminal.quirks.unnumbered = unnumbered;
        terminal.quirks.direct_only = direct_only;
        let mut session = Session::new(options(true, WHOLE), START);
        let outcome = run(&mut session, &mut terminal, wire, &mut Dice::new(seed));
        let complete = outcome.got.len() == 1;
        match outcome.end {
            Ok(()) => prop_assert!(complete && outcome.records() == terminal.log),
            // After the log is complete the buffer's release or the end may still be lost.
            Err(_) if complete => prop_assert!(outcome.records() == terminal.log),
            Err(error) => {
                prop_assert!(outcome.got.is_empty());
                prop_assert!(lost > 0 || direct_only, "{error:?}");
            }
        }
    }

    #[test]
    fn a_visit_over_tcp_split_anywhere_brings_the_same_as_unsplit(seed: u64, read in 1u64..200, records in 0u32..300) {
        let visit = |read| {
            let mut terminal = Terminal::new(false, log40(records));
            terminal.quirks.chatty = true;
            let wire = Wire { read, ..Wire::default() };
            let mut session = Session::new(options(false, VISIT), START);
            let outcome = run(&mut session, &mut terminal, wire, &mut Dice::new(seed));
            (outcome.end, outcome.got, outcome.sent)
        };
        prop_assert_eq!(visit(read), visit(0));
    }

    #[test]
    fn any_packets_at_any_moment_never_panic_and_end_in_a_wait_or_an_end(
        packets in prop::collection::vec((packet(), 0i64..20_000), 0..60), udp: bool,
    ) {
        let mut session = Session::new(options(udp, VISIT), START);
        let mut now = START;
        for (packet, pause) in packets {
            let said = drain(&mut session, now);
            prop_assert!(said < 200);
            now.0 += pause;
            let bytes = packet.encode();
            let bytes = if udp { bytes } else { tcp_frame(&bytes) };
            session.heard(&bytes, now);
        }
        drain(&mut session, now);
        // Without another word from the peer the session ends, or listens in vain and ends.
        for _ in 0..200 {
            match session.next(now) {
                Action::Wait(until) => now = until.max(Millis(now.0 + 1)),
                Action::Done => return Ok(()),
                _ => {}
            }
        }
        prop_assert_eq!(session.next(now), Action::Done);
    }

    #[test]
    fn a_terminal_whose_answers_are_damaged_is_read_right_or_ends_in_an_error(
        seed: u64, at in 0u64..6_000, flip in 1u8..=255, records in 1u32..100, one_below: bool,
    ) {
        read_damaged(&mut Dice::new(seed), at, flip, records, one_below);
    }
}

#[test]
fn one_damaged_bit_is_never_taken_for_a_terminal_that_counts_its_checksums_otherwise() {
    for at in 0..700 {
        for bit in 0..8 {
            for one_below in [false, true] {
                read_damaged(&mut Dice::new(at), at, 1 << bit, 2, one_below);
            }
        }
    }
}
