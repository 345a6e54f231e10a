//! A session with a terminal on port 4370 that says anything. The first byte chooses the
//! transport; each piece then begins with its length and with the time since the last one.

#![no_main]

#[path = "../../../protocols/zkteco-pull/tests/common/mod.rs"]
mod common;
#[path = "../../../protocols/zkteco-pull/tests/laws/mod.rs"]
mod laws;

use libfuzzer_sys::fuzz_target;
use zkteco_pull::packet::Packet;
use zkteco_pull::{Action, Session, VISIT, framing};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, mut rest)) = bytes.split_first() else {
        return;
    };
    let (udp, framed) = (first & 1 == 1, first & 2 == 2);
    let mut session = Session::new(common::options(udp, VISIT), common::START);
    let mut now = common::START;
    let mut reply = 0;
    while let [length, pause, after @ ..] = rest {
        assert!(laws::drain(&mut session, now) < 200);
        let (piece, later) = after.split_at(usize::from(*length).min(after.len()));
        rest = later;
        now.0 += i64::from(*pause) * 100;
        // Most bytes would fail at the checksum: make packets whose sums are right.
        let made = match piece {
            [low, high, data @ ..] if framed => {
                let packet = Packet {
                    command: u16::from_le_bytes([*low, *high]),
                    session: reply % 3,
                    reply,
                    data: data.to_vec().into(),
                };
                reply = reply.wrapping_add(u16::from(data.len() % 4 != 1));
                let packet = packet.encode();
                if udp {
                    packet
                } else {
                    framing::tcp_frame(&packet)
                }
            }
            piece => piece.to_vec().into(),
        };
        session.heard(&made, now);
    }
    laws::drain(&mut session, now);
    for _ in 0..400 {
        match session.next(now) {
            Action::Wait(until) => now = until.max(event::Millis(now.0 + 1)),
            Action::Done => return,
            _ => {}
        }
    }
    panic!("the session neither ends nor waits");
});
