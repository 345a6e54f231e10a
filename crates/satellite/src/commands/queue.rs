//! Commands that have not ended, in memory: what a poll hears, and what answers mean.
//!
//! A poll finds its commands here and nowhere else, so that it never waits for a database. What
//! is handed out is judged at that moment once more, in the dialect that the terminal speaks now:
//! a text that is no order never leaves. Results count for commands that were handed out to this
//! very terminal, so that a forged one changes nothing. Records of an answer and its result come
//! in any order; an answer is whole when the terminal's own count says so, else when nothing more
//! has come for a while. No clock is read here, and nothing is written anywhere.

use std::collections::{BTreeMap, HashMap};

use event::{DeviceId, Millis, Text};
use store::command::{Command, CommandState, RESULT_LIMIT};
use tokio::sync::watch;
use zkteco_push::{CommandResult, Dialect, Order, Outcome, Policy, Question, Window, result_name};

/// Commands handed out with one poll; a terminal takes 200.
const AT_ONCE: usize = 10;
/// Silence after which a command is handed out again that may be.
const AGAIN_AFTER: i64 = 180_000;
/// How often a command is handed out at most.
const ATTEMPTS: i64 = 3;
/// Silence after a result that ends an answer whose length nobody told.
const QUIET: i64 = 20_000;
/// Age from which a command that the database does not list any more has ended elsewhere.
const SETTLED: i64 = 60_000;
/// For how long a command that was taken may wait for a poll here, before others may have it.
const TAKEN_FOR: i64 = 60_000;
/// Parts of one answer that are told apart.
const PARTS: usize = 20_000;

/// How a command came to where it is, for whoever waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) state: CommandState,
    /// The terminal's own code: 0 or a count, negative for failure.
    pub(crate) code: Option<i64>,
    /// Records that came as its answer, each part once.
    pub(crate) records: u64,
    /// The terminal's own count of the records agrees with what came.
    pub(crate) agreed: bool,
    /// The number that a count asked for.
    pub(crate) count: Option<u64>,
}

/// The end of an answer that held everything: the chain may draw its conclusion from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) question: Question,
}

/// One command that has not ended, or whose end is not written yet.
struct Slot {
    command: Command,
    order: Option<Order>,
    /// Records by part, where the answer says which part it is.
    parts: BTreeMap<u32, u64>,
    of: Option<u32>,
    /// Records of parts without a number.
    loose: u64,
    last_records: Option<Millis>,
    question: Option<Question>,
    extra: Vec<(Text, Text)>,
    unsaved: bool,
    /// It stands in no table: a question that is asked anew rather than remembered.
    passing: bool,
    /// Since when this process alone may hand it out, once.
    taken: Option<Millis>,
    told: watch::Sender<Answer>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Queue {
    slots: HashMap<DeviceId, Vec<Slot>>,
    loaded: bool,
}

impl Slot {
    fn new(command: Command) -> Self {
        let answer = Answer {
            state: command.state,
            code: command.return_code,
            records: u64::try_from(command.records).unwrap_or(0),
            agreed: false,
            count: None,
        };
        Self {
            order: None,
            parts: BTreeMap::new(),
            of: None,
            loose: answer.records,
            last_records: None,
            question: None,
            extra: Vec::new(),
            unsaved: false,
            passing: false,
            taken: None,
            told: watch::Sender::new(answer),
            command,
        }
    }

    fn is_open(&self) -> bool {
        self.command.state.is_open()
    }

    fn records(&self) -> u64 {
        self.loose + self.parts.values().sum::<u64>()
    }

    fn has_all_parts(&self) -> bool {
        let of = self.of.and_then(|of| usize::try_from(of).ok());
        of.is_some_and(|of| self.parts.len() >= of)
    }

    /// The terminal's own count, of parts or of records, is what came.
    fn agrees(&self) -> bool {
        let told = self.command.return_code.and_then(|n| u64::try_from(n).ok());
        match told {
            Some(told) if told > 0 => self.records() == told,
            Some(_) => self.has_all_parts(),
            None => false,
        }
    }

    fn turn(&mut self, state: CommandState, now: Millis) {
        self.command.state = state;
        self.command.records = i64::try_from(self.records()).unwrap_or(i64::MAX);
        self.unsaved = !self.passing;
        if matches!(state, CommandState::Done | CommandState::Failed) {
            self.command.answered_at = self.command.answered_at.or(Some(now));
        }
        if !state.is_open() {
            self.command.result = result_text(&self.extra, self.command.return_code);
        }
        let answer = self.answer();
        self.told.send_replace(answer);
    }

    fn answer(&self) -> Answer {
        let result = CommandResult {
            extra: self.extra.clone(),
            ..CommandResult::default()
        };
        Answer {
            state: self.command.state,
            code: self.command.return_code,
            records: self.records(),
            agreed: self.agrees(),
            count: self
                .order
                .as_ref()
                .and_then(|order| order.count_in(&result)),
        }
    }

    /// It was handed out, nothing came back for long, and it may go out once more.
    fn goes_again(&self, now: Millis) -> bool {
        let command = &self.command;
        let since = command.sent_at.max(self.last_records);
        command.state == CommandState::Sent
            && since.is_none_or(|at| now.0 - at.0 >= AGAIN_AFTER)
            && command.attempts < ATTEMPTS
            && self.order.as_ref().is_none_or(Order::may_be_repeated)
    }

    /// What it may hand out now, or the end it comes to instead.
    fn due(&mut self, dialect: Dialect, busy: bool, now: Millis) -> Option<Order> {
        let again = self.goes_again(now);
        let is_its_time = self.command.state == CommandState::Waiting || again;
        if !is_its_time || !(self.passing || self.taken.is_some()) {
            return None;
        }
        let command = &self.command;
        match Order::parse(&command.text, dialect, Policy::READ_ONLY) {
            // Rows without a number belong to the one question that is open.
            Ok(order) if order.brings_records() && busy && !again => None,
            Ok(order) if again && !order.may_be_repeated() => None,
            Ok(order) => Some(order),
            Err(denied) => {
                self.extra = vec![("refused".into(), Text::from(denied.to_string()))];
                self.turn(CommandState::Refused, now);
                None
            }
        }
    }

    /// Notes a result; true when it ends the command.
    fn result(&mut self, result: &CommandResult, now: Millis) {
        let Some(order) = self.order.clone() else {
            return;
        };
        self.command.return_code = result.code;
        self.command.answered_at = Some(now);
        self.extra.extend(result.extra.iter().cloned());
        self.extra.truncate(256);
        let state = match order.outcome(result.code) {
            Outcome::Done if order.brings_records() && !self.agrees() => CommandState::Answered,
            Outcome::Done | Outcome::Empty => CommandState::Done,
            Outcome::Unsupported | Outcome::Failed => CommandState::Failed,
        };
        self.turn(state, now);
    }

    /// Notes records of the answer.
    fn brought(&mut self, part: Option<(u32, u32)>, records: u64, now: Millis) {
        match part.filter(|_| self.parts.len() < PARTS) {
            Some((at, of)) => {
                self.of = Some(of);
                self.parts.insert(at, records);
            }
            None => self.loose += records,
        }
        self.last_records = Some(now);
        let ends = self.command.state == CommandState::Answered && self.agrees();
        let state = if ends {
            CommandState::Done
        } else {
            self.command.state
        };
        self.turn(state, now);
    }

    /// Ends what nothing more will come for.
    fn age(&mut self, now: Millis) {
        let heard = self.command.answered_at.max(self.last_records);
        let quiet = heard.is_none_or(|at| now.0 - at.0 >= QUIET);
        match self.command.state {
            CommandState::Answered if quiet => self.turn(CommandState::Done, now),
            // A long answer does not run out of time while it comes.
            CommandState::Sent if self.last_records.is_some() && !quiet => {}
            CommandState::Waiting | CommandState::Sent if self.command.expires_at <= now => {
                self.turn(CommandState::Expired, now);
            }
            _ => {}
        }
    }

    fn whole(&self) -> Option<Whole> {
        let everything = self.order.as_ref().is_some_and(Order::asks_for_everything);
        let ended = self.command.state == CommandState::Done && everything && self.agrees();
        self.question
            .filter(|_| ended)
            .map(|question| Whole { question })
    }
}

impl Queue {
    /// True once it was read from the database; before that no result can be judged.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Takes over what the database holds: commands that are not known here, and those that
    /// another satellite has handed out or brought to an end.
    pub(crate) fn merge(&mut self, open: Vec<Command>, now: Millis) {
        self.loaded = true;
        let is_there = |slot: &Slot| open.iter().any(|command| command.id == slot.command.id);
        for slots in self.slots.values_mut() {
            // One that was asked for a moment ago may not have been there when that was read.
            slots.retain(|slot| {
                let settled = now.0 - slot.command.created_at.0 > SETTLED;
                slot.unsaved || slot.passing || !slot.is_open() || !settled || is_there(slot)
            });
        }
        for command in open {
            let slots = self.slots.entry(command.device).or_default();
            match slots.iter_mut().find(|slot| slot.command.id == command.id) {
                // One that was taken here stands as handed out there.
                Some(slot) if slot.taken.is_some() => {}
                Some(slot) if !slot.unsaved && slot.order.is_none() => slot.command = command,
                Some(_) => {}
                None => drop(self.add(command)),
            }
        }
    }

    /// Adds a command; whoever waits for it listens at what this gives. One that is known stays.
    pub(crate) fn add(&mut self, command: Command) -> watch::Receiver<Answer> {
        let slots = self.slots.entry(command.device).or_default();
        if let Some(known) = slots.iter().find(|slot| slot.command.id == command.id) {
            return known.told.subscribe();
        }
        let slot = Slot::new(command);
        let told = slot.told.subscribe();
        slots.push(slot);
        told
    }

    /// Adds a command that stands in no table; a restart forgets it.
    pub(crate) fn add_passing(&mut self, command: Command) -> watch::Receiver<Answer> {
        let mut slot = Slot::new(command);
        slot.passing = true;
        let told = slot.told.subscribe();
        self.slots
            .entry(slot.command.device)
            .or_default()
            .push(slot);
        told
    }

    /// Commands whose time it is, and that nobody here may hand out yet: to be taken in the table
    /// first, where another satellite may have been quicker.
    pub(crate) fn to_take(&self, now: Millis) -> Vec<Command> {
        let is_due = |slot: &&Slot| {
            let its_time = slot.command.state == CommandState::Waiting || slot.goes_again(now);
            its_time && !slot.passing && slot.taken.is_none()
        };
        let slots = self.slots.values().flatten();
        slots
            .filter(is_due)
            .map(|slot| slot.command.clone())
            .collect()
    }

    /// A command was taken in the table: it goes out here with the next poll.
    pub(crate) fn taken(&mut self, command: &Command, now: Millis) {
        let slots = self.slots.get_mut(&command.device).into_iter().flatten();
        for slot in slots.filter(|slot| slot.command.id == command.id) {
            slot.taken = Some(now);
        }
    }

    /// Commands that were taken and have waited long for a poll; with `all`, every one that has
    /// not gone out. They do not go out here from now on.
    pub(crate) fn take_back(&mut self, all: bool, now: Millis) -> Vec<Command> {
        let mut back = Vec::new();
        for slot in self.slots.values_mut().flatten() {
            let long = slot
                .taken
                .is_some_and(|since| all || now.0 - since.0 >= TAKEN_FOR);
            if long {
                slot.taken = None;
                back.push(slot.command.clone());
            }
        }
        back
    }

    /// What a poll of this terminal hears: id and text of each command. `question` is how far the
    /// terminal's count has come, for those that ask for everything.
    pub(crate) fn hand_out(
        &mut self,
        device: DeviceId,
        dialect: Dialect,
        question: Option<Question>,
        now: Millis,
    ) -> Vec<(String, String)> {
        let Some(slots) = self.slots.get_mut(&device) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let asks = |slot: &Slot| slot.order.as_ref().is_some_and(Order::brings_records);
        let mut busy = slots.iter().any(|slot| {
            slot.is_open()
                && slot.command.state != CommandState::Waiting
                && (asks(slot) || slot.order.is_none())
        });
        for slot in slots.iter_mut().filter(|slot| slot.is_open()) {
            slot.age(now);
            if lines.len() == AT_ONCE || !slot.is_open() {
                continue;
            }
            let Some(order) = slot.due(dialect, busy, now) else {
                continue;
            };
            busy |= order.brings_records();
            let restarts = !order.may_be_repeated();
            // A restart must be the last line, and alone, or it takes the others with it.
            if restarts && !lines.is_empty() {
                continue;
            }
            slot.question = question.filter(|_| order.asks_for_everything());
            slot.order = Some(order);
            slot.taken = None;
            slot.parts.clear();
            slot.loose = 0;
            slot.command.attempts += 1;
            slot.command.sent_at = Some(now);
            lines.push((slot.command.id.clone(), slot.command.text.clone()));
            slot.turn(CommandState::Sent, now);
            if restarts {
                break;
            }
        }
        lines
    }

    /// Results that a terminal posted. Answers what may be concluded from them.
    pub(crate) fn results(
        &mut self,
        device: DeviceId,
        dialect: Dialect,
        results: &[CommandResult],
        now: Millis,
    ) -> Vec<Whole> {
        let mut whole = Vec::new();
        for result in results {
            if let Some(slot) = self.handed_out(device, &result.id) {
                slot.remember(dialect);
                slot.result(result, now);
                whole.extend(slot.whole());
            }
        }
        whole
    }

    /// Whether this command was handed out to this terminal and has not ended.
    pub(crate) fn is_asked(&mut self, device: DeviceId, id: &str) -> bool {
        self.handed_out(device, id).is_some()
    }

    /// Records that came as the answer to a command, or a list of settings or counts.
    pub(crate) fn brought(
        &mut self,
        device: DeviceId,
        id: &str,
        part: Option<(u32, u32)>,
        records: u64,
        list: &[(Text, Text)],
        now: Millis,
    ) -> Option<Whole> {
        let slot = self.handed_out(device, id)?;
        if list.is_empty() {
            slot.brought(part, records, now);
        } else {
            slot.extra.extend(list.iter().cloned());
            slot.extra.truncate(256);
        }
        slot.whole()
    }

    /// The window of the one open question for records, whose answer may come without its id.
    pub(crate) fn open_window(&self, device: DeviceId) -> Option<(String, Window)> {
        let slots = self.slots.get(&device)?;
        slots.iter().find_map(|slot| {
            let order = slot.order.as_ref().filter(|order| order.brings_records())?;
            let sent = matches!(
                slot.command.state,
                CommandState::Sent | CommandState::Answered
            );
            let window = order.window().filter(|_| sent)?;
            Some((slot.command.id.clone(), window))
        })
    }

    fn handed_out(&mut self, device: DeviceId, id: &str) -> Option<&mut Slot> {
        let slots = self.slots.get_mut(&device)?;
        let sent = |slot: &Slot| {
            matches!(
                slot.command.state,
                CommandState::Sent | CommandState::Answered
            )
        };
        slots
            .iter_mut()
            .find(|slot| slot.command.id == id && sent(slot))
    }

    /// A terminal greeted: a restart that it was told is done.
    pub(crate) fn greeted(&mut self, device: DeviceId, now: Millis) {
        let slots = self.slots.get_mut(&device).into_iter().flatten();
        for slot in slots {
            let restarts = slot
                .order
                .as_ref()
                .is_some_and(|order| !order.may_be_repeated());
            if slot.command.state == CommandState::Sent && restarts {
                slot.turn(CommandState::Done, now);
            }
        }
    }

    /// Everything that is not written yet, after ending what nothing more will come for. It
    /// counts as written from here on.
    pub(crate) fn take_unsaved(&mut self, now: Millis) -> Vec<Command> {
        let mut unsaved = Vec::new();
        for slot in self.slots.values_mut().flatten() {
            slot.age(now);
            if std::mem::take(&mut slot.unsaved) {
                unsaved.push(slot.command.clone());
            }
        }
        unsaved
    }

    /// These could not be written after all.
    pub(crate) fn not_saved(&mut self, commands: &[Command]) {
        for command in commands {
            let slots = self.slots.get_mut(&command.device).into_iter().flatten();
            for slot in slots.filter(|slot| slot.command.id == command.id) {
                slot.unsaved = true;
            }
        }
    }

    /// Forgets what has ended and is written.
    pub(crate) fn forget_ended(&mut self) {
        self.slots.retain(|_, slots| {
            slots.retain(|slot| slot.is_open() || slot.unsaved);
            !slots.is_empty()
        });
    }

    /// Commands that have not ended.
    pub(crate) fn open(&self) -> usize {
        let slots = self.slots.values().flatten();
        slots.filter(|slot| slot.is_open()).count()
    }
}

impl Slot {
    /// After a restart of ours the order is read again from its text.
    fn remember(&mut self, dialect: Dialect) {
        if self.order.is_none() {
            self.order = Order::parse(&self.command.text, dialect, Policy::READ_ONLY).ok();
        }
    }
}

/// What stands in the database of an answer: a JSON object, cut to its limit by whole pairs.
fn result_text(extra: &[(Text, Text)], code: Option<i64>) -> Option<String> {
    let mut object = serde_json::Map::new();
    let mut length = 64;
    if let Some(name) = code.and_then(result_name) {
        object.insert("meaning".to_owned(), name.into());
    }
    for (key, value) in extra {
        length += key.len() + 2 * value.len() + 8;
        if length > RESULT_LIMIT {
            break;
        }
        object.insert(key.to_string(), value.as_str().into());
    }
    (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
