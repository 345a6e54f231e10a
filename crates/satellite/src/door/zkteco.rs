//! What a ZKTeco terminal asks, and what it hears: the protocol crate's answers, given when
//! they are true.
//!
//! The order is fixed: who is it, may it, then only its body. Content never refuses a terminal;
//! identity, the store's state and overload do. No word of a peer goes into an answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use event::{Millis, Serial, Text, Vendor};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use store::registry::EnrolmentState;
use tracing::Instrument;
use zkteco_push::{
    AccessBlock, Ask, Head, Refusal, Reply, Table, Upload, parse_results, read_settings, route,
};

use super::Transport;
use super::body::{self, Fault};
use super::connection::{Answer, Visitor};
use super::greeting;
use super::pace::Phase;
use super::sender::Sender;
use super::settle::{self, Settle};
use super::twins::Seen;
use crate::clock;
use crate::commands::{self, Whole};
use crate::conditions::{self, Condition};
use crate::config::Unknown;
use crate::detail::{Detail, Says};
use crate::devices::Known;
use crate::hub::Hub;
use crate::index;
use crate::origins;
use crate::outputs::signs;
use crate::record::{Exchange, Heard, Note};
use crate::trace::Step;
use crate::tries::Try;

/// Most bytes read of a body that is not wanted, so that its sender can hear why.
const UNWANTED: u64 = 64 * 1024;
/// Most bytes of settings, or of results of commands, taken at once.
const LIST: usize = 256 * 1024;

/// One request being answered.
struct Case {
    visitor: Arc<Visitor>,
    headers: HeaderMap,
    body: Incoming,
    address: IpAddr,
    transport: Transport,
    at: Millis,
    began: Instant,
    /// Where this request is noted, while its terminal is recorded.
    taped: Option<Exchange>,
}

/// A refusal with what the log should say about it.
struct No {
    refusal: Refusal,
    detail: Text,
}

impl From<Refusal> for No {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            detail: Text::const_new(""),
        }
    }
}

/// Answers a request.
pub(super) async fn answer(visitor: Arc<Visitor>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&visitor, &parts.headers);
    let head = Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
    };
    let routed = route(&head);
    let mut case = Case {
        headers: parts.headers,
        body,
        address: sender.address,
        transport: sender.transport,
        at: clock::now(),
        began: Instant::now(),
        visitor,
        taped: None,
    };
    let hub = Arc::clone(&case.visitor.hub);
    if let Some(reason) = sender.is_too_many() {
        hub.refusals.note(reason, None, sender.address, "", case.at);
        return case.refused(None, Refusal::Overloaded.into(), false).await;
    }
    let request = match routed {
        Ok(_) if case.visitor.framing.is_announced_twice() => {
            let no = unframed(Says::LengthAndChunks);
            return case.refused(None, no, false).await;
        }
        Ok(request) => request,
        Err(error) => {
            let detail = Text::from(error.to_string());
            let no = No {
                refusal: error.refusal(),
                detail,
            };
            return case.refused(None, no, false).await;
        }
    };
    let serial = request.serial;
    let known = hub.devices.find(Vendor::Zkteco, &serial);
    let dated = known.as_ref().is_some_and(|known| dated(&hub, known));
    let taped = known.as_ref().filter(|known| known.tape().runs());
    case.taped = taped.map(|_| Exchange::begin(&head));
    let is_sign = matches!(request.ask, Ask::Handshake(_) | Ask::Poll(_) | Ask::Ping);
    let done = match &known {
        Some(known) => case.enrolled(&hub, known, request.ask).await,
        None => case.stranger(&hub, &serial, &request.ask),
    };
    if let (true, Ok(_), Some(known)) = (is_sign && head.method == "GET", &done, &known) {
        signs::leave(&hub, &known.enrolment.tenant, &parts.uri.to_string());
    }
    let answer = match done {
        Ok(reply) => {
            let whole = body::discard(&mut case.body, UNWANTED, &case.visitor.pace).await;
            Answer::zkteco(reply, dated, !whole)
        }
        Err(no) => case.refused(Some(&serial), no, dated).await,
    };
    if let (Some(known), Some(mut taped)) = (known, case.taped) {
        taped.answered(answer.status, &answer.body);
        known.tape().note(Note::Request(taped));
    }
    answer
}

/// A refusal of a request that is not as long as it says.
fn unframed(detail: Says) -> No {
    No {
        refusal: Refusal::BadRequest,
        detail: Detail::from(detail).to_string().into(),
    }
}

/// Whether an answer to this terminal carries our time.
fn dated(hub: &Hub, known: &Known) -> bool {
    known.is_approved() && known.set_clock && hub.clock.is_synchronised()
}

impl Case {
    /// Refuses: counted, logged with restraint, answered when the body is out of the way.
    async fn refused(&mut self, serial: Option<&Serial>, no: No, dated: bool) -> Answer {
        let hub = &self.visitor.hub;
        hub.refusals.note(
            no.refusal.as_str(),
            serial,
            self.address,
            &no.detail,
            self.at,
        );
        let whole = body::discard(&mut self.body, UNWANTED, &self.visitor.pace).await;
        // Where a request ends that is not as long as it says is not known.
        let astray = no.refusal == Refusal::BadRequest;
        Answer::zkteco(Reply::refuse(no.refusal), dated, astray || !whole)
    }

    /// Notes the body, when the terminal is recorded.
    fn tape(&mut self, heard: impl FnOnce() -> Heard) {
        if let Some(taped) = &mut self.taped {
            taped.heard(heard());
        }
    }

    /// A serial that nobody enrolled. Its body is not looked at.
    fn stranger(&self, hub: &Hub, serial: &Serial, ask: &Ask) -> Result<Reply, No> {
        if !hub.devices.is_loaded() {
            let detail = Text::const_new("the enrolled terminals are not known yet");
            return Err(No {
                refusal: Refusal::StoreUnavailable,
                detail,
            });
        }
        hub.refusals
            .tried(Try::Serial, serial, self.address, self.at);
        let unknown = hub.config.load().unknown.clone();
        let is_shut = match &unknown {
            Unknown::Reject => true,
            Unknown::Accept(tenant) => hub.is_locked(Some(tenant)),
            Unknown::Hold => hub.is_locked(None) && !hub.devices.is_pending(Vendor::Zkteco, serial),
        };
        if is_shut {
            return Err(Refusal::UnknownDevice.into());
        }
        let into = match &unknown {
            Unknown::Accept(tenant) => Some(tenant),
            Unknown::Hold | Unknown::Reject => None,
        };
        let from = Text::from(self.address.to_string());
        hub.unknown_is_seen((Vendor::Zkteco, serial), into, from, self.at);
        if hub.devices.is_pending(Vendor::Zkteco, serial) {
            hub.trace.reached(serial, self.address, self.at);
            hub.trace.step(
                serial,
                Step::Approved,
                false,
                self.at,
                Says::WaitsForApproval,
            );
        }
        held(&unknown, serial, ask).map_err(No::from)
    }

    /// Notes from where it speaks, and tells people when that is from two places at once.
    fn twins(&self, hub: &Hub, known: &Known) {
        if known.enrolment.canary {
            // It knocks from everywhere on purpose.
            return;
        }
        let seen = known.facts().twins.contact(self.address, self.at);
        match seen {
            Seen::Nothing => {}
            Seen::One => conditions::clear(known, Condition::DuplicateSerial),
            Seen::Two(one, other) => {
                let detail = Says::TwoPlaces.with(&[&one, &other]);
                conditions::raise(hub, known, Condition::DuplicateSerial, detail);
            }
        }
    }

    /// Lets an approved terminal in, unless it comes from where it may not, or too fast.
    fn admit(&self, hub: &Hub, known: &Known) -> Result<(), No> {
        let serial = &known.enrolment.serial;
        if known.is_elsewhere(self.address) {
            let detail = Says::FromElsewhere.with(&[&self.address]);
            let trace = &hub.trace;
            trace.step(serial, Step::Approved, false, self.at, detail);
            return Err(Refusal::WrongNetwork.into());
        }
        let rate = hub.config.load().limits.requests_per_serial;
        if known.facts().pace.take(rate, self.at) {
            return Ok(());
        }
        let refusals = &hub.refusals;
        refusals.note(
            "requests_per_serial",
            Some(serial),
            self.address,
            "",
            self.at,
        );
        Err(Refusal::Overloaded.into())
    }

    async fn enrolled(
        &mut self,
        hub: &Arc<Hub>,
        known: &Arc<Known>,
        ask: Ask,
    ) -> Result<Reply, No> {
        let serial = &known.enrolment.serial;
        hub.trace.reached(serial, self.address, self.at);
        if known.enrolment.state == EnrolmentState::Blocked {
            hub.trace
                .step(serial, Step::Approved, false, self.at, Says::Blocked);
            return Err(Refusal::Blocked.into());
        }
        if !known.has_tenant {
            let detail = Says::NoTenant;
            hub.trace
                .step(serial, Step::Approved, false, self.at, detail);
            return Err(No {
                refusal: Refusal::StoreUnavailable,
                detail: Detail::from(detail).to_string().into(),
            });
        }
        self.admit(hub, known)?;
        hub.trace
            .step(serial, Step::Approved, true, self.at, Says::Enrolled);
        origins::note(hub, known, self.address);
        let (from, over) = (self.address, self.transport);
        known.facts().heard(from, over, self.at);
        self.twins(hub, known);
        greeting::note(hub, known, &ask, self.at);
        if matches!(ask, Ask::Handshake(_) | Ask::Registry) {
            hub.commands.lock().greeted(known.enrolment.id, self.at);
        }
        let offset = || dated(hub, known).then(|| known.device.zone.offset_seconds_at(self.at));
        match ask {
            Ask::Handshake(hello) => Ok(greeting::handshake(known, &hello, offset())),
            Ask::Upload(upload) => self.upload(hub, known, upload).await,
            Ask::Poll(info) => {
                if let Some(info) = info {
                    known.facts().told(&info);
                }
                Ok(self.commands(hub, known))
            }
            Ask::CommandResults => self.results(hub, known).await,
            Ask::Ping => Ok(Reply::ok()),
            Ask::Registry => {
                let settings = self.list(hub).await?;
                known.facts().settings(&read_settings(&settings));
                Ok(Reply::registered(serial))
            }
            Ask::Configuration => Ok(Reply::configuration(&AccessBlock::new(serial))),
            Ask::Time => offset()
                .map(|offset| Reply::time(self.at, offset))
                .ok_or_else(|| Refusal::NotServed.into()),
            Ask::PackedTime => offset()
                .and_then(|offset| Reply::packed_time(self.at, offset))
                .ok_or_else(|| Refusal::NotServed.into()),
            Ask::Unserved(name) => Err(self.unserved(hub, known, name)),
        }
    }

    /// What a poll hears. No database is asked.
    fn commands(&self, hub: &Hub, known: &Known) -> Reply {
        let (dialect, question) = (commands::dialect(known), known.index().question());
        if hub.is_locked(Some(&known.enrolment.tenant)) {
            // They wait, and end by their own time.
            return Reply::commands(&[]);
        }
        let mut queue = hub.commands.lock();
        let handed = queue.hand_out(known.enrolment.id, dialect, question, self.at);
        drop(queue);
        for (id, text) in &handed {
            let serial = &known.enrolment.serial;
            tracing::info!(%serial, id, text, "a command was handed out");
        }
        Reply::commands(&handed)
    }

    /// Takes results of commands. Only those that were handed out to this terminal count.
    async fn results(&mut self, hub: &Arc<Hub>, known: &Arc<Known>) -> Result<Reply, No> {
        if !hub.commands.lock().is_loaded() {
            return Err(Refusal::StoreUnavailable.into());
        }
        let results = parse_results(&self.list(hub).await?);
        let (device, dialect) = (known.enrolment.id, commands::dialect(known));
        let mut queue = hub.commands.lock();
        for result in &results {
            if queue.is_asked(device, &result.id) {
                known.facts().settings(&result.extra);
            }
        }
        let whole = queue.results(device, dialect, &results, self.at);
        drop(queue);
        for Whole { question } in whole {
            let (hub, known) = (Arc::clone(hub), Arc::clone(known));
            self.visitor
                .hub
                .drain
                .spawn(index::conclude(hub, known, question));
        }
        Ok(Reply::ok())
    }

    /// The body of a request that brings no records.
    async fn list(&mut self, hub: &Hub) -> Result<Bytes, No> {
        let pace = Arc::clone(&self.visitor.pace);
        let kept = body::read(&mut self.body, LIST, &hub.crowd, &pace).await;
        let bytes = kept.map_err(|fault| faulty("answers", fault))?.bytes;
        self.tape(|| Heard::Whole(None, bytes.clone()));
        Ok(bytes)
    }

    /// Refuses what is not served; what keeps a terminal from bringing records is shown in its
    /// trace.
    fn unserved(&self, hub: &Hub, known: &Known, name: &'static str) -> No {
        let refusal = Refusal::of_unserved(name);
        let wish = match refusal {
            Refusal::RemoteVerification => Some((Condition::RemoteVerification, Says::AsksForDoor)),
            Refusal::Encryption => Some((Condition::EncryptionWanted, Says::WantsEncryption)),
            _ => None,
        };
        if let Some((condition, words)) = wish {
            let serial = &known.enrolment.serial;
            hub.trace.step(serial, Step::Parsed, false, self.at, words);
            conditions::raise(hub, known, condition, words);
        }
        No {
            refusal,
            detail: name.into(),
        }
    }

    async fn upload(
        &mut self,
        hub: &Arc<Hub>,
        known: &Arc<Known>,
        upload: Upload,
    ) -> Result<Reply, No> {
        self.check_frame(hub, known)?;
        let Upload {
            table,
            stamp,
            answers_command,
            acknowledge,
            part,
        } = upload;
        // A stamp that answers a command may run backwards.
        let stamp = stamp.filter(|_| answers_command.is_none());
        let pace = Arc::clone(&self.visitor.pace);
        if !table.holds_records() {
            let records = body::count(&mut self.body, &table, &pace)
                .await
                .map_err(|fault| faulty(table.name(), fault))?;
            self.tape(|| Heard::Removed(records));
            settle::dropped(hub, known, &table, stamp, records);
            return Ok(Reply::stored(&acknowledge, records));
        }
        let limit = hub.config.load().limits.body;
        let kept = body::read(&mut self.body, limit, &hub.crowd, &pace).await;
        let kept = kept.map_err(|fault| {
            self.note_fault(hub, known, &table, fault);
            faulty(table.name(), fault)
        })?;
        self.tape(|| Heard::Whole(Some(table.clone()), kept.bytes.clone()));
        if self.visitor.framing.has_surplus() {
            return Err(self.unframed(hub, known, Says::MoreThanLength));
        }
        pace.enter(Phase::Answer, tokio::time::Instant::now());
        let Some(store) = hub.stores.load().of(&known.enrolment.tenant).cloned() else {
            return Err(Refusal::StoreUnavailable.into());
        };
        // An id that was not handed out to this terminal says nothing.
        let device = known.enrolment.id;
        let answers = answers_command.filter(|id| hub.commands.lock().is_asked(device, id));
        let settle = Settle {
            hub: Arc::clone(hub),
            known: Arc::clone(known),
            store,
            table: table.clone(),
            stamp,
            answers,
            part,
            body: kept.bytes,
            room: Some(kept.room),
            at: self.at,
            began: self.began,
        };
        let settled = hub.drain.spawn(settle.run().in_current_span()).await;
        let records = settled.unwrap_or_else(|_| {
            hub.metrics.panics.inc();
            Err(Refusal::Internal)
        })?;
        Ok(Reply::stored(&acknowledge, records))
    }

    /// Refuses an upload that is compressed, or does not say how long it is.
    fn check_frame(&self, hub: &Hub, known: &Known) -> Result<(), No> {
        let encodings = self.headers.get_all(CONTENT_ENCODING);
        if encodings
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(Refusal::UnsupportedEncoding.into());
        }
        // Without a length the body counts as empty; "OK" would make the terminal forget it.
        let has_length = self.headers.contains_key(CONTENT_LENGTH)
            || self.headers.contains_key(TRANSFER_ENCODING);
        if !has_length {
            return Err(self.unframed(hub, known, Says::NoLength));
        }
        Ok(())
    }

    /// Refuses an upload that is not as long as it says.
    fn unframed(&self, hub: &Hub, known: &Known, detail: Says) -> No {
        let serial = &known.enrolment.serial;
        hub.trace.step(serial, Step::Parsed, false, self.at, detail);
        unframed(detail)
    }

    fn note_fault(&self, hub: &Hub, known: &Known, table: &Table, fault: Fault) {
        let detail = said(table.name(), fault);
        if fault == Fault::TooLarge {
            conditions::raise(hub, known, Condition::PostTooLarge, detail.clone());
        }
        hub.trace.step(
            &known.enrolment.serial,
            Step::Parsed,
            false,
            self.at,
            detail,
        );
    }
}

/// What is told of an upload that did not come whole.
fn said(name: &str, fault: Fault) -> Detail {
    let says = match fault {
        Fault::TooLarge => Says::UploadTooLarge,
        Fault::Overloaded => Says::UploadTooBusy,
        Fault::Broken => Says::UploadCut,
    };
    says.with(&[&name])
}

fn faulty(name: &str, fault: Fault) -> No {
    let refusal = match fault {
        Fault::TooLarge => Refusal::TooLarge,
        Fault::Overloaded => Refusal::Overloaded,
        Fault::Broken => Refusal::BadRequest,
    };
    No {
        refusal,
        detail: said(name, fault).to_string().into(),
    }
}

/// What a terminal hears that is not enrolled and not rejected. A held one finishes its
/// handshake, so that it stays connected and keeps its records; it gets neither our time nor a
/// zone. One that is about to be accepted is refused until it is, so that its first handshake
/// already has everything.
fn held(unknown: &Unknown, serial: &Serial, ask: &Ask) -> Result<Reply, Refusal> {
    match ask {
        Ask::Unserved(name) => Err(Refusal::of_unserved(name)),
        _ if *unknown != Unknown::Hold => Err(Refusal::Pending),
        Ask::Handshake(hello) => Ok(greeting::handshake_of_pending(serial, ask, hello)),
        Ask::Registry => Ok(Reply::registered(serial)),
        Ask::Configuration => Ok(Reply::configuration(&AccessBlock::new(serial))),
        Ask::Poll(_) | Ask::Ping => Ok(Reply::ok()),
        Ask::Upload(_) | Ask::CommandResults | Ask::Time | Ask::PackedTime => Err(Refusal::Pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::TenantId;
    use zkteco_push::{Acknowledge, Hello};

    fn upload() -> Ask {
        Ask::Upload(Upload {
            table: Table::AttLog,
            stamp: None,
            answers_command: None,
            part: None,
            acknowledge: Acknowledge::Counted,
        })
    }

    #[test]
    fn a_held_terminal_gets_its_handshake_without_a_zone_and_keeps_its_records() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let hold = |ask: &Ask| held(&Unknown::Hold, &serial, ask);
        let block = hold(&Ask::Handshake(Hello::default())).unwrap();
        assert!(block.body.starts_with("GET OPTION FROM: ABC1234560001\n"));
        assert!(!block.body.contains("TimeZone"));
        assert_eq!(hold(&Ask::Poll(None)), Ok(Reply::ok()));
        assert_eq!(hold(&Ask::Ping), Ok(Reply::ok()));
        assert_eq!(hold(&upload()), Err(Refusal::Pending));
        assert_eq!(hold(&Ask::CommandResults), Err(Refusal::Pending));
        assert_eq!(hold(&Ask::Time), Err(Refusal::Pending));
        assert_eq!(hold(&Ask::PackedTime), Err(Refusal::Pending));
    }

    #[test]
    fn a_held_access_terminal_registers_and_keeps_its_records() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let hold = |ask: &Ask| held(&Unknown::Hold, &serial, ask);
        let hello = Hello {
            device_type: Some("acc".into()),
            ..Hello::default()
        };
        assert_eq!(hold(&Ask::Handshake(hello)), Ok(Reply::ok()));
        assert_eq!(hold(&Ask::Registry), Ok(Reply::registered(&serial)));
        assert!(hold(&Ask::Configuration).is_ok());
        assert_eq!(hold(&upload()), Err(Refusal::Pending));
        assert_eq!(hold(&Ask::Unserved("exchange")), Err(Refusal::Encryption));
    }

    #[test]
    fn a_terminal_about_to_be_accepted_is_refused_until_it_is() {
        let serial = Serial::new("ABC1234560001").unwrap();
        let accept = Unknown::Accept(TenantId::new("main").unwrap());
        for ask in [Ask::Handshake(Hello::default()), Ask::Poll(None), upload()] {
            assert_eq!(held(&accept, &serial, &ask), Err(Refusal::Pending));
        }
    }
}
