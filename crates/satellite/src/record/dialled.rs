//! What is noted of a terminal that is dialled on port 4370 while it is recorded: each packet
//! without what it holds.
//!
//! The outline is made where the bytes pass, so that nothing of them waits anywhere; a recording that
//! begins in the middle of a session sees it from there on.

use zkteco_pull::outline::{Outlined, Outliner};
use zkteco_pull::{Error, Transport};

use super::{Note, Tape};
use crate::clock;

/// The packets of one connection.
#[derive(Debug)]
pub(crate) struct Outlines {
    transport: Transport,
    made: Option<Outliner>,
}

impl Outlines {
    /// A connection that has just been opened.
    pub(crate) fn new(transport: Transport, tape: &Tape) -> Self {
        if tape.runs() {
            let words = match transport {
                Transport::Tcp => "connected over TCP",
                Transport::Udp => "connected over UDP",
            };
            tape.note(Note::Session(clock::now(), words.to_owned()));
        }
        Self {
            transport,
            made: None,
        }
    }

    /// Bytes that went out.
    pub(crate) fn sent(&mut self, tape: &Tape, bytes: &[u8]) {
        self.outlined(tape, true, |outliner| outliner.sent(bytes));
    }

    /// Bytes that came in.
    pub(crate) fn heard(&mut self, tape: &Tape, bytes: &[u8]) {
        self.outlined(tape, false, |outliner| outliner.heard(bytes));
    }

    fn outlined(
        &mut self,
        tape: &Tape,
        sent: bool,
        outline: impl FnOnce(&mut Outliner) -> Vec<Outlined>,
    ) {
        if !tape.runs() {
            self.made = None;
            return;
        }
        let transport = self.transport;
        let made = self.made.get_or_insert_with(|| Outliner::new(transport));
        for told in outline(made) {
            tape.note(Note::Packet(clock::now(), sent, told));
        }
    }
}

/// Notes how a session ended; `None` for an end that is nobody's fault.
pub(crate) fn ended(tape: &Tape, error: Option<&Error>) {
    if tape.runs() {
        // No error of the protocol repeats what the terminal said.
        let words = error.map_or_else(|| "closed".to_owned(), |error| format!("ended: {error}"));
        tape.note(Note::Session(clock::now(), words));
    }
}
