//! Who is told what, and when: levels, hours, reminders, growth, the recovery clock, the end.
//!
//! Every time here is worked out from times that were written down, so that a restart neither
//! forgets a level nor repeats one. A letter is named by incident and step; the same step of
//! the same incident is one letter, however often it is asked for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use notify::Letter;

use super::timing;
use super::{
    BadWindow, Core, Entry, Happened, Incident, IncidentId, LevelState, Setting, State, Window,
};
use crate::kind::Severity;
use crate::message::{self, Step};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// "I am on it."
    Acknowledge {
        /// Which.
        incident: IncidentId,
    },
    /// A workaround holds.
    Mitigate {
        /// Which.
        incident: IncidentId,
        /// Which workaround.
        how: String,
    },
    /// It is over, by a person's word; what is still wrong opens a new one.
    Close {
        /// Which.
        incident: IncidentId,
        /// Why it happened.
        cause: String,
    },
    /// A remark for the timeline.
    Note {
        /// Which.
        incident: IncidentId,
        /// What.
        text: String,
    },
    /// A window of maintenance.
    Maintain {
        /// Whose; `None` is everything.
        tenant: Option<String>,
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        until: Timestamp,
        /// Why.
        why: String,
    },
    /// A window ends now.
    EndMaintenance {
        /// Which.
        id: i64,
    },
}

/// Why what a person asked for cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Denied {
    /// There is no open incident of that number.
    #[error("{0} is not open")]
    NotOpen(IncidentId),
    /// There is no such window.
    #[error("there is no maintenance window {0}")]
    NoWindow(i64),
    /// The window is none.
    #[error(transparent)]
    Window(#[from] BadWindow),
}

impl Core {
    /// Does what a person asks for; `who` is what is known of them.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn ask(
        &mut self,
        ask: &Ask,
        who: &str,
        setting: Setting<'_>,
        now: Timestamp,
    ) -> Result<(), Denied> {
        match ask {
            Ask::Acknowledge { incident } => self.change(*incident, who, now, |it| {
                let first = it.acknowledged.is_none();
                if first {
                    it.acknowledged = Some((now, who.to_owned()));
                }
                if it.state == State::Open {
                    it.state = State::Acknowledged;
                }
                first.then(|| (Happened::Acknowledged, String::new()))
            }),
            Ask::Mitigate { incident, how } => self.change(*incident, who, now, |it| {
                it.mitigated = Some((now, who.to_owned()));
                it.state = State::Mitigated;
                Some((Happened::Mitigated, how.clone()))
            }),
            Ask::Note { incident, text } => self.change(*incident, who, now, |_| {
                Some((Happened::Note, text.clone()))
            }),
            Ask::Close { incident, cause } => self.close_by(*incident, cause, who, setting, now),
            Ask::Maintain {
                tenant,
                from,
                until,
                why,
            } => {
                let window = Window {
                    id: self.windows.keys().last().copied().unwrap_or_default() + 1,
                    tenant: tenant.clone(),
                    from: *from,
                    until: *until,
                    who: who.to_owned(),
                    why: why.clone(),
                    begin_told: false,
                    end_told: false,
                };
                window.check(now)?;
                self.changes.windows.insert(window.id, window.clone());
                self.windows.insert(window.id, window);
                Ok(())
            }
            Ask::EndMaintenance { id } => {
                let window = self.windows.get_mut(id).ok_or(Denied::NoWindow(*id))?;
                window.until = window.until.min(now);
                self.changes.windows.insert(*id, window.clone());
                Ok(())
            }
        }
    }

    fn change(
        &mut self,
        id: IncidentId,
        who: &str,
        now: Timestamp,
        change: impl FnOnce(&mut Incident) -> Option<(Happened, String)>,
    ) -> Result<(), Denied> {
        let incident = self.open.get_mut(&id).ok_or(Denied::NotOpen(id))?;
        if let Some((what, detail)) = change(incident) {
            self.changes.timeline.push(Entry {
                incident: id,
                at: now,
                what,
                who: who.to_owned(),
                detail,
            });
        }
        self.changes.incidents.insert(id, incident.clone());
        Ok(())
    }

    /// Closes what is over by itself.
    pub(super) fn close(&mut self, setting: Setting<'_>, now: Timestamp) {
        let over = |incident: &&Incident| incident.roots().all(|member| member.over_at.is_some());
        let over: Vec<IncidentId> = self.open.values().filter(over).map(|it| it.id).collect();
        for id in over {
            self.finish(id, None, "", setting, now);
        }
    }

    fn close_by(
        &mut self,
        id: IncidentId,
        cause: &str,
        who: &str,
        setting: Setting<'_>,
        now: Timestamp,
    ) -> Result<(), Denied> {
        if !self.open.contains_key(&id) {
            return Err(Denied::NotOpen(id));
        }
        // What is still wrong is seen again, and is an incident of its own then.
        let roots = self.open.get(&id).map(|incident| {
            let roots = incident.roots().map(|it| (it.subject.clone(), it.kind));
            roots.collect::<Vec<_>>()
        });
        for key in roots.unwrap_or_default() {
            self.conditions.remove(&key);
        }
        self.finish(id, Some(cause), who, setting, now);
        Ok(())
    }

    fn finish(
        &mut self,
        id: IncidentId,
        cause: Option<&str>,
        who: &str,
        setting: Setting<'_>,
        now: Timestamp,
    ) {
        let Some(mut incident) = self.open.remove(&id) else {
            return;
        };
        incident.state = State::Closed;
        incident.closed_at = Some(now);
        incident.cause = cause.map(str::to_owned);
        for condition in self.conditions.values_mut() {
            if condition.incident == Some(id) {
                condition.incident = None;
            }
        }
        self.changes.timeline.push(Entry {
            incident: id,
            at: now,
            what: Happened::Closed,
            who: who.to_owned(),
            detail: cause.unwrap_or_default().to_owned(),
        });
        self.write(setting, &incident, Step::Closed, &told(&incident), now);
        self.changes.incidents.insert(id, incident);
        self.stirred = true;
    }

    /// Goes through the open incidents and tells whoever is to be told now.
    pub(super) fn escalate(&mut self, setting: Setting<'_>, now: Timestamp) {
        let ids: Vec<IncidentId> = self.open.keys().copied().collect();
        let mut opened: BTreeMap<usize, Vec<IncidentId>> = BTreeMap::new();
        for id in ids {
            let Some(mut incident) = self.open.get(&id).cloned() else {
                continue;
            };
            let before = incident.clone();
            if let Some(until) = self.hidden_until(&incident, now) {
                if incident.counted_from < until {
                    incident.counted_from = until;
                    self.note(id, now, Happened::Hidden, until.to_string());
                }
            } else {
                for level in self.climb(setting, &mut incident, now) {
                    opened.entry(level).or_default().push(id);
                }
                self.go_on(setting, &mut incident, now);
            }
            if incident != before {
                self.changes.incidents.insert(id, incident.clone());
                self.open.insert(id, incident);
            }
        }
        for (level, ids) in opened {
            self.window_opens(setting, level, &ids, now);
        }
    }

    /// Until when maintenance hides an incident.
    fn hidden_until(&self, incident: &Incident, now: Timestamp) -> Option<Timestamp> {
        let tenants = incident.tenants();
        let hiding = self
            .windows
            .values()
            .filter(|window| window.hides(incident.kind, tenants.iter().copied(), now));
        hiding.map(|window| window.until).max()
    }

    /// Tells each level whose time has come. Answers with the levels that were held outside
    /// their hours and are open now: those go together.
    fn climb(
        &mut self,
        setting: Setting<'_>,
        incident: &mut Incident,
        now: Timestamp,
    ) -> Vec<usize> {
        let levels = &setting.config.levels;
        incident.levels.resize(levels.len(), LevelState::default());
        let mut opened = Vec::new();
        if incident.state != State::Open {
            return opened;
        }
        for (number, level) in levels.iter().enumerate() {
            let Some(mut state) = incident.levels.get(number).copied() else {
                continue;
            };
            let due = after(incident.counted_from, level.after);
            if state.told_at.is_some() || now < due {
                continue;
            }
            if !level.tells(incident.severity, now) {
                if !state.held {
                    state.held = true;
                    self.note(incident.id, now, Happened::Held, level.name.clone());
                }
            } else if state.held {
                opened.push(number);
            } else {
                state.told_at = Some(now);
                self.write(
                    setting,
                    incident,
                    Step::Level(number),
                    &BTreeSet::from([number]),
                    now,
                );
                self.told(incident, &level.name, now);
            }
            if let Some(place) = incident.levels.get_mut(number) {
                *place = state;
            }
        }
        opened
    }

    fn told(&mut self, incident: &mut Incident, level: &str, now: Timestamp) {
        incident.told_members = incident.told_members.max(active(incident));
        incident.grown_at.get_or_insert(now);
        incident.told_severity = incident.told_severity.max(Some(incident.severity));
        self.note(incident.id, now, Happened::Told, level.to_owned());
    }

    /// The hours of a level begin: everything that was held goes at once, several as one.
    fn window_opens(
        &mut self,
        setting: Setting<'_>,
        level: usize,
        ids: &[IncidentId],
        now: Timestamp,
    ) {
        let mut held: Vec<Incident> = ids
            .iter()
            .filter_map(|id| self.open.get(id).cloned())
            .collect();
        if let [one] = held.as_slice() {
            self.write(
                setting,
                one,
                Step::Level(level),
                &BTreeSet::from([level]),
                now,
            );
        } else {
            let letters = message::digest(setting, &held, level, now);
            self.changes.letters.extend(letters);
        }
        let name = setting
            .config
            .levels
            .get(level)
            .map(|it| it.name.clone())
            .unwrap_or_default();
        for incident in &mut held {
            if let Some(state) = incident.levels.get_mut(level) {
                (state.told_at, state.held) = (Some(now), false);
            }
            self.told(incident, &name, now);
            self.changes.incidents.insert(incident.id, incident.clone());
            self.open.insert(incident.id, incident.clone());
        }
    }

    /// Reminders, growth and the recovery clock of what was told.
    fn go_on(&mut self, setting: Setting<'_>, incident: &mut Incident, now: Timestamp) {
        let reachable = reachable(setting, incident, now);
        if reachable.is_empty() {
            return;
        }
        let reminder = incident
            .counted_from
            .saturating_add(timing::reminder(incident.reminders));
        if incident.state == State::Open && reminder.is_ok_and(|due| now >= due) {
            incident.reminders += 1;
            let step = Step::Reminder(incident.reminders);
            self.write(setting, incident, step, &reachable, now);
            self.note(
                incident.id,
                now,
                Happened::Reminded,
                incident.reminders.to_string(),
            );
        }
        if incident.told_severity < Some(incident.severity) {
            incident.told_severity = Some(incident.severity);
            incident.told_members = active(incident);
            self.write(setting, incident, Step::Worse, &reachable, now);
        }
        let active = active(incident);
        let rested = incident
            .grown_at
            .is_none_or(|at| now.duration_since(at) >= timing::GROWTH);
        if active > incident.told_members && rested {
            incident.told_members = active;
            incident.grown_at = Some(now);
            self.write(setting, incident, Step::Grown(active), &reachable, now);
        }
        self.recovery_clock(setting, incident, &reachable, now);
    }

    /// Of a critical incident without a workaround: three quarters of the shorter promised
    /// time, the shorter, and the longer are each told once.
    fn recovery_clock(
        &mut self,
        setting: Setting<'_>,
        incident: &mut Incident,
        levels: &BTreeSet<usize>,
        now: Timestamp,
    ) {
        if incident.severity != Severity::Critical || incident.mitigated.is_some() {
            return;
        }
        let promise = setting.config.promises.of(incident.class);
        let steps = [promise.rto_min * 3 / 4, promise.rto_min, promise.rto_max];
        let used = now.duration_since(incident.since);
        let passed = steps
            .iter()
            .filter(|step| used >= SignedDuration::try_from(**step).unwrap_or(SignedDuration::MAX));
        let passed = u8::try_from(passed.count()).unwrap_or(u8::MAX);
        if passed > incident.clock_steps {
            incident.clock_steps = passed;
            self.write(setting, incident, Step::Clock(passed), levels, now);
            self.note(incident.id, now, Happened::Clock, passed.to_string());
        }
    }

    /// Beginning and end of maintenance are told to the first level.
    pub(super) fn tell_of_windows(&mut self, setting: Setting<'_>, now: Timestamp) {
        let mut told = Vec::new();
        for window in self.windows.values_mut() {
            let begins = !window.begin_told && now >= window.from;
            let ends = !window.end_told && now >= window.until;
            if begins && !ends {
                told.push((window.clone(), false));
            }
            if ends && window.begin_told {
                told.push((window.clone(), true));
            }
            if begins || ends {
                window.begin_told = true;
                window.end_told |= ends;
                self.changes.windows.insert(window.id, window.clone());
            }
        }
        self.windows.retain(|_, window| !window.end_told);
        for (window, ended) in told {
            let letters = message::maintenance(setting, &window, ended, now);
            self.changes.letters.extend(letters);
        }
    }

    /// Writes one step of an incident to everybody on these levels.
    fn write(
        &mut self,
        setting: Setting<'_>,
        incident: &Incident,
        step: Step,
        levels: &BTreeSet<usize>,
        now: Timestamp,
    ) {
        let context = message::Context::new(setting, incident, self, now);
        let letters: Vec<Letter> = levels
            .iter()
            .filter_map(|number| setting.config.levels.get(*number))
            .flat_map(|level| &level.to)
            .map(|contact| message::write(&context, step, contact))
            .collect();
        let mut once = BTreeSet::new();
        let letters = letters
            .into_iter()
            .filter(|letter| once.insert(letter.id()));
        self.changes.letters.extend(letters);
    }
}

/// Levels that were told of an incident.
fn told(incident: &Incident) -> BTreeSet<usize> {
    let told = incident.levels.iter().enumerate();
    let told = told.filter(|(_, level)| level.told_at.is_some());
    told.map(|(number, _)| number).collect()
}

/// Those of them that may be written to now.
fn reachable(setting: Setting<'_>, incident: &Incident, now: Timestamp) -> BTreeSet<usize> {
    let levels = &setting.config.levels;
    let may = |number: &usize| {
        levels
            .get(*number)
            .is_some_and(|level| level.tells(incident.severity, now))
    };
    told(incident).into_iter().filter(may).collect()
}

/// Roots that are not over.
fn active(incident: &Incident) -> usize {
    incident
        .roots()
        .filter(|member| member.over_at.is_none())
        .count()
}

fn after(at: Timestamp, time: std::time::Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}
