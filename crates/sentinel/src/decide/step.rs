//! The wall clock was set: everything that runs keeps its length.
//!
//! Levels, reminders and recovery clocks are moments on the wall clock, so that they survive a
//! restart. When that clock is set, they are moved with it: an hour that never passed is not an
//! hour of anybody's recovery time, and an hour that is shown twice keeps nobody waiting. What
//! people wrote down as a time of day (maintenance, hours) stays where it is.

use jiff::{SignedDuration, Timestamp};

use super::{Core, Happened, Incident};

fn moved(at: &mut Timestamp, by: SignedDuration) {
    *at = at.saturating_add(by).unwrap_or(*at);
}

impl Incident {
    fn step(&mut self, by: SignedDuration) {
        for at in [&mut self.since, &mut self.opened_at, &mut self.counted_from] {
            moved(at, by);
        }
        let said = [&mut self.acknowledged, &mut self.mitigated];
        said.into_iter().flatten().for_each(|(at, _)| moved(at, by));
        self.grown_at.iter_mut().for_each(|at| moved(at, by));
        for level in &mut self.levels {
            level.told_at.iter_mut().for_each(|at| moved(at, by));
        }
        for member in self.members.values_mut() {
            moved(&mut member.since, by);
            member.over_at.iter_mut().for_each(|at| moved(at, by));
        }
    }
}

impl Core {
    /// The wall clock was set by that much, forward or back, beyond the time that passed; `now`
    /// is what it shows.
    pub fn clock_was_set(&mut self, by: SignedDuration, now: Timestamp) {
        for condition in self.conditions.values_mut() {
            condition.step(|at| moved(at, by));
        }
        self.signals.step(|at| moved(at, by));
        for (_, _, at) in &mut self.ended {
            moved(at, by);
        }
        self.last_tick.iter_mut().for_each(|at| moved(at, by));
        let open: Vec<_> = self.open.keys().copied().collect();
        for id in open {
            if let Some(incident) = self.open.get_mut(&id) {
                incident.step(by);
                self.changes.incidents.insert(id, incident.clone());
            }
            let detail = format!("{:+} s", by.as_secs());
            self.note(id, now, Happened::ClockSet, detail);
        }
    }
}
