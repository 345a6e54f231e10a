//! What a session promises, each tried against a terminal in virtual time.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

mod common;

use common::{Dice, Outcome, Quirks, START, Terminal, WHOLE, Wire, log, log40, options, run};
use event::Millis;
use zkteco_pull::framing::FrameError;
use zkteco_pull::{
    Action, Ask, CommKey, Delivery, Error, Extent, Foreign, Layout, Realtime, Retry, Session,
    SessionOptions, Transport, Unread, VISIT,
};

fn visit(terminal: &mut Terminal, options: SessionOptions) -> (Session, Outcome) {
    let mut session = Session::new(options, START);
    let outcome = run(&mut session, terminal, Wire::default(), &mut Dice::new(1));
    (session, outcome)
}

fn read_log(log: Vec<u8>, quirks: Quirks) -> Outcome {
    let mut terminal = Terminal::new(false, log);
    terminal.quirks = quirks;
    visit(&mut terminal, options(false, WHOLE)).1
}

/// The code instead of an answer to a command, once.
fn instead(command: u16, code: u16, data: &[u8]) -> Quirks {
    Quirks {
        instead: vec![(command, code, data.to_vec())],
        ..Quirks::default()
    }
}

#[test]
fn a_visit_brings_everything_enables_on_entry_and_then_listens() {
    let mut terminal = Terminal::new(false, log40(5000));
    terminal.counts.1 = 5000;
    let (session, outcome) = visit(&mut terminal, options(false, VISIT));
    assert_eq!(outcome.end, Ok(()));
    assert!(session.is_idle());
    assert_eq!(terminal.heard[..2], [1000, 1002]);
    assert!(outcome.records() == terminal.log);
    let mut got = outcome.got.iter();
    let Some(Delivery::Info(info)) = got.next() else {
        panic!("information expected")
    };
    assert_eq!(info.serial(), Some("ABC1234560001"));
    assert_eq!(info.firmware.as_deref(), Some("Ver 6.60 Nov 13 2019"));
    let names: Vec<&str> = got
        .map(|delivery| match delivery {
            Delivery::Clock { device, at } => {
                assert_eq!(device.unwrap().to_string(), "2026-11-21 10:15:45");
                assert!(*at > START);
                "clock"
            }
            Delivery::Sizes(sizes) => {
                assert_eq!((sizes.users, sizes.records), (Some(5), Some(5000)));
                "sizes"
            }
            Delivery::Users(list) => {
                assert_eq!(list.people().len(), 5);
                "users"
            }
            Delivery::Log(log) => {
                assert_eq!(log.layout, Some(Layout::Forty));
                "log"
            }
            Delivery::Listening(Ok(())) => "listening",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        names,
        ["clock", "sizes", "users", "log", "listening", "log"]
    );
}

#[test]
fn no_session_ever_disables_a_terminal_or_clears_anything() {
    for udp in [false, true] {
        let mut terminal = Terminal::new(udp, log40(300));
        let asks = [
            VISIT,
            &[Ask::SetClock(
                event::WallTime::parse(b"2026-11-21 10:00:00").unwrap(),
            )],
        ];
        visit(&mut terminal, options(udp, &asks.concat()));
        let allowed = [
            11, 13, 9, 50, 60, 201, 202, 500, 1000, 1001, 1002, 1013, 1100, 1502, 1503, 1504,
        ];
        assert!(
            terminal
                .heard
                .iter()
                .all(|command| allowed.contains(command))
        );
    }
}

#[test]
fn every_layout_comes_whole_over_both_transports() {
    for layout in Layout::ALL {
        for udp in [false, true] {
            let mut terminal = Terminal::new(udp, log(layout, 3000));
            let (session, outcome) = visit(&mut terminal, options(udp, WHOLE));
            assert_eq!(outcome.end, Ok(()), "{layout:?}");
            assert!(outcome.records() == terminal.log, "{layout:?} udp {udp}");
            assert_eq!(session.layout(), Some(layout));
        }
    }
}

#[test]
fn a_little_log_comes_inline_and_an_empty_one_is_no_error() {
    for count in [0, 1, 20] {
        let inline = Quirks {
            inline: 1024,
            ..Quirks::default()
        };
        let outcome = read_log(log40(count), inline);
        assert_eq!(outcome.end, Ok(()), "{count}");
        assert!(outcome.records() == log40(count));
        let logs = outcome.got.iter().filter(|d| matches!(d, Delivery::Log(_)));
        assert_eq!(logs.count(), 1);
    }
}

#[test]
fn firmware_without_prepared_reads_is_read_directly() {
    let direct = Quirks {
        direct_only: true,
        ..Quirks::default()
    };
    let outcome = read_log(log40(700), direct);
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.records() == log40(700));
}

#[test]
fn a_refused_log_is_empty_only_when_the_terminal_also_counts_none() {
    let asks = [Ask::Sizes, Ask::Log(Extent::Whole)];
    for (count, empty) in [(0, true), (7, false)] {
        let mut terminal = Terminal::new(false, Vec::new());
        terminal.counts.1 = count;
        terminal.quirks.direct_only = true;
        terminal.quirks.instead = vec![(13, 2001, vec![])];
        let (_, outcome) = visit(&mut terminal, options(false, &asks));
        assert_eq!(outcome.end.is_ok(), empty);
        if !empty {
            assert!(matches!(
                outcome.end,
                Err(Error::Refused { code: 2001, .. })
            ));
        }
    }
}

#[test]
fn the_key_is_given_when_it_is_asked_for() {
    let mut terminal = Terminal::new(false, log40(10));
    terminal.quirks.key = Some([0x26, 0x7f, 0x32, 0x92]);
    let with = |key: Option<u32>| SessionOptions {
        key: key.map(CommKey::new),
        ..options(false, WHOLE)
    };
    let (_, outcome) = visit(&mut terminal, with(Some(123_456)));
    assert_eq!(outcome.end, Ok(()));
    let (_, outcome) = visit(&mut terminal, with(Some(1)));
    assert_eq!(outcome.end, Err(Error::WrongKey));
    assert_eq!(terminal.heard.last(), Some(&1001));
    let (_, outcome) = visit(&mut terminal, with(None));
    assert_eq!(outcome.end, Err(Error::KeyWanted));
}

#[test]
fn other_answers_to_connect_are_named() {
    let end = |code, data: &[u8]| {
        read_log(Vec::new(), instead(1000, code, data))
            .end
            .unwrap_err()
    };
    let secure = end(6001, &[]);
    assert_eq!(secure, Error::Foreign(Foreign::SecurePull));
    assert_eq!(secure.retry(), Retry::AfterChange);
    assert!(secure.advice().contains("push"));
    assert_eq!(end(2032, &[]), Error::AuthLocked);
    for code in [65535, 65533, 65532] {
        assert!(matches!(end(code, &[]), Error::Refused { code: c, .. } if c == code));
    }
}

#[test]
fn other_protocols_on_the_port_are_named() {
    for (bytes, foreign) in [
        (&[0xaa, 1, 0x76, 0, 0][..], Foreign::AccessPanel),
        (
            &[0x50, 0x50, 0x83, 0x7c, 0x20, 0, 0, 0][..],
            Foreign::SecurePull,
        ),
    ] {
        for transport in [Transport::Tcp, Transport::Udp] {
            let options = SessionOptions {
                transport,
                ..SessionOptions::default()
            };
            let mut session = Session::new(options, START);
            assert!(matches!(session.next(START), Action::Send(_)));
            session.heard(bytes, START);
            assert_eq!(session.next(START), Action::Close(foreign.into()));
            assert_eq!(session.next(START), Action::Done);
        }
    }
}

#[test]
fn a_silent_terminal_is_called_silent_and_worth_a_try_over_udp() {
    let mute = Quirks {
        mute: vec![1000],
        ..Quirks::default()
    };
    let outcome = read_log(Vec::new(), mute);
    let error = outcome.end.unwrap_err();
    assert_eq!((&error, outcome.took), (&Error::Silent, 5_000));
    assert!(error.try_udp());
}

#[test]
fn a_question_without_an_answer_ends_the_session_over_tcp() {
    let mute = Quirks {
        mute: vec![1504],
        ..Quirks::default()
    };
    let outcome = read_log(log40(100), mute);
    assert!(matches!(outcome.end, Err(Error::Timeout { stale: 0, .. })));
    assert_eq!(outcome.sent.last().map(|p| p.command), Some(1001));
}

#[test]
fn wrong_reply_ids_are_never_bound_to_the_open_question() {
    let shifted = Quirks {
        reply_shift: 1,
        ..Quirks::default()
    };
    let outcome = read_log(log40(100), shifted);
    assert!(
        matches!(outcome.end, Err(Error::Timeout { stale: 1, .. })),
        "{:?}",
        outcome.end
    );
    assert!(outcome.got.is_empty());
}

#[test]
fn a_session_that_is_called_unauthorised_in_the_middle_ends() {
    let outcome = read_log(log40(100), instead(1503, 2005, &[]));
    assert!(matches!(outcome.end, Err(Error::Unauthorised { .. })));
}

#[test]
fn a_terminal_that_says_ask_again_is_asked_again_after_a_pause() {
    let outcome = read_log(log40(100), instead(1504, 2003, &[]));
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.records() == log40(100));
    assert!((1_000..2_000).contains(&outcome.took), "{}", outcome.took);
}

#[test]
fn an_acknowledgement_without_data_may_come_before_the_answer() {
    let mut session = Session::new(options(false, &[Ask::Clock]), START);
    let mut terminal = Terminal::new(false, Vec::new());
    terminal.quirks.instead = vec![(201, 2000, vec![])];
    let outcome = run(
        &mut session,
        &mut terminal,
        Wire::default(),
        &mut Dice::new(1),
    );
    // Nothing more came: the question counts as not answered, and the session goes on.
    assert_eq!((outcome.end, outcome.got.len()), (Ok(()), 0));
    assert_eq!(outcome.sent.last().map(|p| p.command), Some(1001));
}

#[test]
fn a_short_window_is_asked_for_again_and_never_taken_for_success() {
    let withheld = Quirks {
        withheld: 40,
        ..Quirks::default()
    };
    let outcome = read_log(log40(100), withheld);
    let Err(Error::Short { promised, got }) = outcome.end else {
        panic!("{:?}", outcome.end)
    };
    assert_eq!((promised, got), (4004, 3964));
    assert!(outcome.records().is_empty());
    let windows = outcome.sent.iter().filter(|p| p.command == 1504);
    assert_eq!(windows.count(), 4);
}

#[test]
fn a_count_that_lies_is_named() {
    for lie in [-40, -1, 1, 40, 4000] {
        let lying = Quirks {
            size_lie: lie,
            ..Quirks::default()
        };
        let outcome = read_log(log40(100), lying);
        assert!(
            matches!(outcome.end, Err(Error::LyingCount { .. })),
            "{lie}: {:?}",
            outcome.end
        );
        assert!(outcome.records().is_empty());
    }
}

#[test]
fn a_size_that_no_terminal_holds_is_refused_before_anything_is_asked() {
    let data = [&[0][..], &[0xff; 12]].concat();
    let outcome = read_log(log40(100), instead(1503, 2000, &data));
    assert_eq!(outcome.end, Err(Error::TooLarge(u32::MAX)));
}

#[test]
fn announcements_without_end_are_named() {
    let endless = Quirks {
        endless: true,
        ..Quirks::default()
    };
    let outcome = read_log(log40(100), endless);
    assert_eq!(outcome.end, Err(Error::EndlessPrepare));
}

#[test]
fn replies_to_questions_never_asked_end_the_session_after_a_hundred() {
    let mut session = Session::new(options(false, WHOLE), START);
    assert!(matches!(session.next(START), Action::Send(_)));
    let stray = zkteco_pull::packet::Packet {
        command: 2000,
        session: 0,
        reply: 777,
        data: bytes::Bytes::new(),
    };
    let frame = zkteco_pull::framing::tcp_frame(&stray.encode());
    for _ in 0..100 {
        session.heard(&frame, START);
        assert!(matches!(session.next(START), Action::Wait(_)));
    }
    session.heard(&frame, START);
    assert_eq!(session.next(START), Action::Close(Error::Babble(101)));
}

#[test]
fn a_wrong_checksum_ends_a_tcp_session_and_is_a_loss_over_udp() {
    let mut bytes = Terminal::new(false, Vec::new()).event(1).to_vec();
    bytes[2] ^= 0x55;
    let frame = zkteco_pull::framing::tcp_frame(&bytes);
    for lenient in [false, true] {
        let options = SessionOptions {
            lenient_checksums: lenient,
            ..options(false, WHOLE)
        };
        let mut session = Session::new(options, START);
        session.heard(&frame, START);
        assert_eq!(
            session.next(START) == Action::Close(Error::Checksum),
            !lenient
        );
        assert_eq!(session.counters().sums_wrong, 1);
    }
    let mut session = Session::new(options(true, WHOLE), START);
    session.heard(&bytes, START);
    assert!(matches!(session.next(START), Action::Send(_)));
}

#[test]
fn a_stream_without_frames_ends_the_session() {
    let mut session = Session::new(options(false, WHOLE), START);
    session.heard(b"HTTP/1.1 400 Bad Request\r\n", START);
    assert_eq!(
        session.next(START),
        Action::Close(Error::Frame(FrameError::Magic))
    );
}

#[test]
fn events_inside_a_bulk_read_are_delivered_and_acknowledged_after_delivery() {
    let mut terminal = Terminal::new(false, log40(5000));
    terminal.quirks.chatty = true;
    let (_, outcome) = visit(&mut terminal, options(false, WHOLE));
    assert_eq!(outcome.end, Ok(()));
    assert!(outcome.records() == terminal.log);
    let event = |d: &&Delivery| matches!(d, Delivery::Event(Realtime::Punches(p)) if p.len() == 1);
    let events = outcome.got.iter().filter(event).count();
    let acks: Vec<_> = outcome.sent.iter().filter(|p| p.command == 2000).collect();
    assert_eq!((events, acks.len()), (4, 4));
    assert!(
        acks.iter()
            .all(|ack| (ack.session, ack.reply) == (0x6ba0, 0))
    );

    let mut session = Session::new(options(false, &[Ask::Listen]), START);
    run(
        &mut session,
        &mut terminal,
        Wire::default(),
        &mut Dice::new(1),
    );
    let event = zkteco_pull::framing::tcp_frame(&terminal.event(9));
    session.heard(&event, START);
    assert!(matches!(
        session.next(START),
        Action::Got(Delivery::Event(_))
    ));
    assert!(matches!(session.next(START), Action::Send(_)));
}

#[test]
fn a_quiet_terminal_is_asked_for_its_clock_and_a_dead_one_is_noticed() {
    let mut terminal = Terminal::new(false, Vec::new());
    let mut session = Session::new(options(false, &[Ask::Listen]), START);
    run(
        &mut session,
        &mut terminal,
        Wire::default(),
        &mut Dice::new(1),
    );
    let Action::Wait(beat) = session.next(START) else {
        panic!("a wait expected")
    };
    assert!((45_000..46_000).contains(&(beat.0 - START.0)));
    assert!(matches!(session.next(beat), Action::Send(_)));
    let Action::Wait(until) = session.next(beat) else {
        panic!("a wait expected")
    };
    assert_eq!(until.0 - beat.0, 10_000);
    assert!(matches!(session.next(until), Action::Send(_)), "EXIT");
    assert!(matches!(
        session.next(until),
        Action::Close(Error::Timeout { .. })
    ));
}

#[test]
fn only_the_end_of_a_known_log_is_read_again() {
    let mut terminal = Terminal::new(false, log40(5000));
    let asks = [Ask::Log(Extent::New)];
    let (session, first) = visit(&mut terminal, options(false, &asks));
    assert!(first.records() == terminal.log);
    let again = |known: &Session| SessionOptions {
        known: known.known().copied(),
        layout: known.layout(),
        ..options(false, &asks)
    };

    terminal.log = log40(5010);
    terminal.asked = 0;
    let (session, second) = visit(&mut terminal, again(&session));
    assert!(second.records() == log40(5010)[5000 * 40..]);
    assert!(
        terminal.asked < 1000,
        "{} bytes were asked for",
        terminal.asked
    );
    let [Delivery::Log(log)] = &second.got[..] else {
        panic!("{:?}", second.got)
    };
    assert_eq!((log.first, log.len()), (5000, 10));

    let (session, third) = visit(&mut terminal, again(&session));
    assert_eq!((third.end.clone(), third.records().len()), (Ok(()), 0));

    // The log was cleared and has grown beyond what was known: nothing of it is taken for old.
    terminal.log = log40(9000)[3000 * 40..].to_vec();
    let (session, fourth) = visit(&mut terminal, again(&session));
    assert!(fourth.records() == terminal.log);

    // Cleared and short.
    terminal.log = log40(3);
    let (_, fifth) = visit(&mut terminal, again(&session));
    assert!(fifth.records() == terminal.log);
}

#[test]
fn a_log_whose_layout_is_in_doubt_is_handed_over_raw_and_the_session_goes_on() {
    let mut terminal = Terminal::new(false, vec![0xee; 400]);
    let (_, outcome) = visit(&mut terminal, options(false, VISIT));
    assert_eq!(outcome.end, Ok(()));
    let unread = outcome.got.iter().find_map(|delivery| match delivery {
        Delivery::LogUnread(Unread::Layout(_), data) => Some(data.clone()),
        _ => None,
    });
    assert_eq!(unread.as_deref(), Some(&terminal.log[..]));
    assert!(
        outcome
            .got
            .iter()
            .any(|d| matches!(d, Delivery::Listening(Ok(()))))
    );
}

#[test]
fn a_session_that_is_told_to_leave_says_exit() {
    let mut terminal = Terminal::new(false, log40(10));
    let (mut session, _) = visit(&mut terminal, options(false, VISIT));
    session.leave();
    let outcome = run(
        &mut session,
        &mut terminal,
        Wire::default(),
        &mut Dice::new(1),
    );
    assert_eq!(outcome.end, Ok(()));
    assert_eq!(terminal.heard.last(), Some(&1001));
    assert_eq!(session.next(Millis(START.0 + 1)), Action::Done);
}

#[test]
fn more_events_at_once_than_anybody_takes_end_the_session() {
    let mut terminal = Terminal::new(false, Vec::new());
    let (mut session, _) = visit(&mut terminal, options(false, &[Ask::Listen]));
    let event = zkteco_pull::framing::tcp_frame(&terminal.event(1));
    for _ in 0..20_000 {
        session.heard(&event, START);
    }
    let mut waiting = 0;
    let end = loop {
        match session.next(START) {
            Action::Close(error) => break error,
            Action::Done | Action::Wait(_) => panic!("the session must end by an error"),
            _ => waiting += 1,
        }
    };
    assert!(matches!(end, Error::Flood(_)));
    assert!(waiting <= 16_384);
}

#[test]
fn unnumbered_datagrams_are_read_one_by_one_and_never_put_in_a_guessed_order() {
    let mut terminal = Terminal::new(true, log40(2000));
    terminal.quirks.unnumbered = true;
    let shuffled = Wire {
        shuffled: true,
        ..Wire::default()
    };
    for seed in 0..20 {
        let mut session = Session::new(options(true, WHOLE), START);
        let outcome = run(&mut session, &mut terminal, shuffled, &mut Dice::new(seed));
        assert_eq!(outcome.end, Ok(()));
        assert!(outcome.records() == terminal.log);
    }
    terminal.quirks.direct_only = true;
    let mut session = Session::new(options(true, WHOLE), START);
    let outcome = run(&mut session, &mut terminal, shuffled, &mut Dice::new(1));
    assert_eq!(outcome.end, Err(Error::Unordered));
}
