//! How far each terminal got: reached, identified, approved, parsed, stored.
//!
//! "It is connected but nothing arrives" is the first complaint about every server of this
//! kind, and the answer is the first of these steps that is not green. Only in memory, only the
//! last state of each step, for a bounded number of serials; nothing a peer sent is repeated
//! here except its serial.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use event::{Millis, Serial, Vendor};
use serde::Serialize;
use store::registry::Enrolment;

use crate::detail::{Detail, Says};

/// Serials remembered; one more than the enrolled and pending ones of a large installation.
const SERIALS: usize = 50_000;

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A request came in.
    Reached,
    /// It named a serial.
    Identified,
    /// The serial is enrolled.
    Approved,
    /// Records were read.
    Parsed,
    /// They were committed.
    Stored,
}

impl Step {
    const ALL: [Self; 5] = [
        Self::Reached,
        Self::Identified,
        Self::Approved,
        Self::Parsed,
        Self::Stored,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Identified => "identified",
            Self::Approved => "approved",
            Self::Parsed => "parsed",
            Self::Stored => "stored",
        }
    }

    /// What to do when this step is the first that is not green.
    fn advice(self, failed: bool, way: Way) -> &'static str {
        match (self, failed, way) {
            (Self::Approved, true, Way::Push | Way::Listens) => {
                "Enrol it: satellite devices approve SERIAL --tenant TENANT"
            }
            (Self::Parsed, true, Way::Push | Way::Listens) => {
                "Look at the records that could not be read: satellite quarantine list"
            }
            (Self::Stored, true, _) => {
                "The database that holds its events does not take them; see the stores in /status."
            }
            (Self::Stored, false, _) | (Self::Approved, false, Way::Push | Way::Listens) => {
                "It has not come this far yet."
            }
            (_, _, Way::Push) => self.of_push(),
            (_, _, Way::Dialled) => self.of_dialled(),
            (_, _, Way::Pulled) => self.of_pulled(),
            (_, _, Way::Listens) => self.of_listens(),
        }
    }

    fn of_push(self) -> &'static str {
        match self {
            Self::Reached => {
                "No request of this serial has come since satellite started. Check the server address and port in the terminal's cloud or ADMS menu, its network, and the firewall in between."
            }
            Self::Identified => "The request carries no usable serial number; update the firmware.",
            _ => {
                "It is connected and has sent no records yet. Make a punch; if nothing comes, check that the terminal is in T&A PUSH or A&C PUSH mode and that its upload in real time is on."
            }
        }
    }

    fn of_dialled(self) -> &'static str {
        match self {
            Self::Reached => {
                "The device has not answered at its address yet. Check address and port, the way there (VPN, port forwarding, firewall), and its conditions in satellite devices show SERIAL."
            }
            Self::Identified => {
                "Another device answers at its address. Correct the address, or the serial of the enrolment."
            }
            Self::Approved => {
                "The device refuses user or password. Correct the account or the secret's file; nothing is tried before its lock time is over."
            }
            _ => {
                "It answers and has given no records yet. Make a punch; see satellite devices show SERIAL for what its search can do."
            }
        }
    }

    fn of_pulled(self) -> &'static str {
        match self {
            Self::Reached => {
                "The terminal has not answered at its address yet. Check power, address, port 4370, the way there (VPN, firewall) and whether another program (ZKTime, BioTime) holds its only connection; its conditions are in satellite devices show SERIAL."
            }
            Self::Identified => {
                "No terminal with this serial answers at its address. Correct the address, or the serial of the enrolment."
            }
            Self::Approved => {
                "The terminal refuses our communication key. Correct the key's file, or the key in its communication menu; satellite devices show SERIAL says more."
            }
            _ => {
                "It answers and its log has not been read yet, or is empty. Make a punch; see satellite devices show SERIAL."
            }
        }
    }

    fn of_listens(self) -> &'static str {
        match self {
            Self::Reached => {
                "No post with its token has come since satellite started. Check host, port, URL path and protocol in the device (Network, Advanced, HTTP Listening), its gateway and DNS, and the firewall. For new settings: satellite devices add --listen again."
            }
            Self::Identified => {
                "The posts with its token name another device. Give each device its own URL, or correct the serial or MAC of the enrolment."
            }
            _ => {
                "Its posts come and held no events yet, perhaps heartbeats only. Make a punch; if nothing comes, restart the device and set the listening host again."
            }
        }
    }
}

/// How records come from a terminal, which decides what helps when none do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It pushes, in a protocol that names its serial.
    Push,
    /// We dial it.
    Dialled,
    /// We dial it on port 4370.
    Pulled,
    /// It posts with a token.
    Listens,
}

impl Way {
    /// The way of an enrolled terminal. One that is dialled and also posts counts as dialled,
    /// because its search is the truth.
    pub fn of(enrolment: &Enrolment) -> Self {
        match enrolment.vendor {
            Vendor::Hikvision if enrolment.access.address.is_some() => Self::Dialled,
            Vendor::Hikvision | Vendor::Other | Vendor::Satellite => Self::Listens,
            Vendor::Zkteco if enrolment.access.address.is_some() => Self::Pulled,
            _ => Self::Push,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Note {
    ok: bool,
    at: Millis,
    detail: Detail,
}

#[derive(Debug, Default)]
struct Path {
    address: Option<IpAddr>,
    notes: [Option<Note>; 5],
}

/// The memory of all paths.
#[derive(Default)]
pub(crate) struct Trace {
    paths: Mutex<HashMap<Serial, Box<Path>>>,
}

/// What `/trace/SERIAL` answers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The terminal.
    pub serial: String,
    /// Where its last request came from.
    pub address: Option<String>,
    /// The five steps in order.
    pub steps: Vec<StepReport>,
}

/// One step of a [`Report`].
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// `reached`, `identified`, `approved`, `parsed` or `stored`.
    pub step: &'static str,
    /// `ok`, `failed` or `unknown`.
    pub state: &'static str,
    /// When that was last seen, UTC.
    pub at: Option<String>,
    /// More words.
    pub detail: Option<String>,
    /// What to do, on the first step that is not `ok`.
    pub advice: Option<String>,
}

impl Trace {
    /// A request of this serial came from `address`.
    pub(crate) fn reached(&self, serial: &Serial, address: IpAddr, at: Millis) {
        let note = |detail: Says| {
            Some(Note {
                ok: true,
                at,
                detail: detail.into(),
            })
        };
        self.with(serial, |path| {
            path.address = Some(address);
            path.notes[0] = note(Says::Arrived);
            path.notes[1] = note(Says::NamedSerial);
        });
    }

    /// A step was taken, or failed.
    pub(crate) fn step(
        &self,
        serial: &Serial,
        step: Step,
        ok: bool,
        at: Millis,
        detail: impl Into<Detail>,
    ) {
        let note = Note {
            ok,
            at,
            detail: detail.into(),
        };
        self.with(serial, |path| {
            if let Some(slot) = path.notes.get_mut(step as usize) {
                *slot = Some(note);
            }
        });
    }

    fn with(&self, serial: &Serial, change: impl FnOnce(&mut Path)) {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = paths.get_mut(serial) {
            change(path);
        } else if paths.len() < SERIALS {
            change(paths.entry(serial.clone()).or_default());
        }
    }

    /// The path of a serial, with advice on the first step that is not green.
    pub(crate) fn report(&self, serial: &Serial, way: Way) -> Report {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let path = paths.get(serial);
        let mut advised = false;
        let steps = Step::ALL.into_iter().map(|step| {
            let note = path.and_then(|path| path.notes.get(step as usize)?.as_ref());
            let ok = note.is_some_and(|note| note.ok);
            let advise = !ok && !advised;
            advised |= advise;
            StepReport {
                step: step.word(),
                state: note.map_or("unknown", |note| if note.ok { "ok" } else { "failed" }),
                at: note.map(|note| note.at.text()),
                detail: note.map(|note| note.detail.to_string()),
                advice: advise.then(|| {
                    step.advice(note.is_some(), way)
                        .replace("SERIAL", serial.as_str())
                }),
            }
        });
        let steps = steps.collect();
        Report {
            serial: serial.to_string(),
            address: path
                .and_then(|path| path.address)
                .map(|address| address.to_string()),
            steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_that_is_not_green_is_the_one_with_advice() {
        let trace = Trace::default();
        let serial = Serial::new("ABC1234560001").unwrap();
        let nothing = trace.report(&serial, Way::Push);
        assert_eq!(nothing.steps[0].state, "unknown");
        assert!(
            nothing.steps[0]
                .advice
                .as_ref()
                .unwrap()
                .contains("server address")
        );
        assert!(nothing.steps[1..].iter().all(|step| step.advice.is_none()));

        trace.reached(&serial, IpAddr::from([192, 0, 2, 7]), Millis(0));
        trace.step(
            &serial,
            Step::Approved,
            false,
            Millis(0),
            Says::WaitsForApproval,
        );
        let held = trace.report(&serial, Way::Push);
        let states: Vec<_> = held.steps.iter().map(|step| step.state).collect();
        assert_eq!(states, ["ok", "ok", "failed", "unknown", "unknown"]);
        assert!(
            held.steps[2]
                .advice
                .as_ref()
                .unwrap()
                .contains("approve ABC1234560001")
        );
        assert_eq!(held.address.as_deref(), Some("192.0.2.7"));

        trace.step(&serial, Step::Approved, true, Millis(1), Says::Enrolled);
        trace.step(&serial, Step::Parsed, true, Millis(1), Says::PostRead);
        trace.step(&serial, Step::Stored, true, Millis(1), Says::BeingStored);
        assert!(
            trace
                .report(&serial, Way::Push)
                .steps
                .iter()
                .all(|step| step.advice.is_none())
        );
    }

    #[test]
    fn advice_speaks_of_the_way_in_which_records_come() {
        let serial = Serial::new("HIK0000001").unwrap();
        let advice = |trace: &Trace, way| {
            let steps = trace.report(&serial, way).steps.into_iter();
            steps
                .filter_map(|step| step.advice)
                .collect::<Vec<_>>()
                .join("")
        };
        let silent = Trace::default();
        assert!(advice(&silent, Way::Dialled).contains("devices show HIK0000001"));
        assert!(advice(&silent, Way::Listens).contains("HTTP Listening"));
        let refused = Trace::default();
        for step in [Step::Reached, Step::Identified] {
            refused.step(&serial, step, true, Millis(0), Says::Answers);
        }
        refused.step(&serial, Step::Approved, false, Millis(0), Says::Blocked);
        assert!(advice(&refused, Way::Dialled).contains("lock time"));
        assert!(advice(&refused, Way::Listens).contains("devices approve HIK0000001"));
    }
}
