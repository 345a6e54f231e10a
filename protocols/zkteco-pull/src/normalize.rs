//! Records to events: the one place that decides what a terminal's field becomes.
//!
//! | Record | kind | person | identity (form, then fields) |
//! |---|---|---|---|
//! | attendance, from the log or in real time | punch | PIN text, resolved where only a number came | `att`, PIN, wall second |
//!
//! The identity is the one that a pushed record of the same punch has. State and verify method
//! become codes as text and never a direction; on this protocol their numbers differ from the
//! pushed ones. A record whose person is not certain is quarantined, with its form as the source
//! from which it is read again. Times are never corrected; a doubtful clock is flagged.

use event::{
    Bytes, ClockFlag, Event, Ident, Kind, Millis, Quarantined, Reason, Route, Text, Timeliness,
    ToCompactString, Zone, ZoneMemo,
};

use crate::attlog::{BadId, Layout, Punch, Who};
use crate::error::RecordFault;
use crate::realtime::{self, Realtime};
use crate::users::{Held, UserList};

/// What is known around the records.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Where the terminal stands.
    pub zone: &'a Zone,
    /// The terminal's user list, where one was read.
    pub users: Option<&'a UserList>,
    /// [`Route::Pull`], or [`Route::Backfill`] for what was asked for again.
    pub route: Route,
    /// When the records came.
    pub received_at: Millis,
}

/// What stands in quarantine beside an attendance event of an unknown length.
pub const UNKNOWN_LENGTH: &str = "an event of unknown length";

/// Makes events of punches.
#[derive(Debug)]
pub struct Normalizer<'a> {
    context: Context<'a>,
    memo: ZoneMemo<'a>,
}

impl<'a> Normalizer<'a> {
    /// For the records of one answer or event.
    pub fn new(context: Context<'a>) -> Self {
        Self {
            memo: ZoneMemo::new(context.zone),
            context,
        }
    }

    /// An attendance record. It ends in exactly one place: an event, or quarantine.
    ///
    /// # Errors
    /// The quarantine record, when person or time is not certain.
    pub fn punch(&mut self, punch: &Punch) -> Result<Event, Quarantined> {
        self.event(punch).map_err(|fault| Quarantined {
            reason: fault.reason,
            detail: fault.detail.into(),
            source: punch.source.clone(),
            route: self.context.route,
            received_at: self.context.received_at,
            raw: punch.raw.clone(),
        })
    }

    /// A real-time event. Kinds other than attendance give nothing; an attendance event of an
    /// unknown length is quarantined.
    pub fn realtime(&mut self, event: &Realtime) -> Vec<Result<Event, Quarantined>> {
        match event {
            Realtime::Punches(all) => all.iter().map(|punch| self.punch(punch)).collect(),
            Realtime::Other { flag, raw } if *flag == realtime::ATTENDANCE => {
                vec![Err(self.unread(UNKNOWN_LENGTH, "realtime", raw))]
            }
            Realtime::Other { .. } => Vec::new(),
        }
    }

    /// A whole answer whose layout is in doubt, cut into pieces that quarantine holds. Each is
    /// kept under `attlog`, and none is read as records before somebody has decided the layout.
    pub fn refused_log(&self, detail: &str, data: &Bytes) -> Vec<Quarantined> {
        // A multiple of every record size, so that pieces start where records start.
        const PIECE: usize = 1960 * 8 * 16;
        let pieces = (0..data.len()).step_by(PIECE);
        pieces
            .map(|at| data.slice(at..data.len().min(at + PIECE)))
            .map(|piece| self.unread(detail, "attlog", &piece))
            .collect()
    }

    fn unread(&self, detail: &str, source: &str, raw: &Bytes) -> Quarantined {
        Quarantined {
            reason: Reason::Unreadable,
            detail: Text::new(detail),
            source: Text::new(source),
            route: self.context.route,
            received_at: self.context.received_at,
            raw: raw.clone(),
        }
    }

    fn event(&mut self, punch: &Punch) -> Result<Event, RecordFault> {
        let fault = |reason, detail| RecordFault { reason, detail };
        let who = punch.who.as_ref().map_err(|bad| match bad {
            BadId::Empty => fault(Reason::BadField, bad.to_string()),
            BadId::Text => fault(Reason::BadText, bad.to_string()),
        })?;
        let time = punch.time;
        let wall = time.map_err(|bad| fault(Reason::BadTime, bad.to_string()))?;
        let person = UserList::resolve(self.context.users, who)
            .map_err(|unresolved| fault(Reason::BadField, unresolved.to_string()))?;
        let resolved = self.memo.resolve(&wall);
        let received_at = self.context.received_at;
        Ok(Event {
            ident: Ident::attendance(person.as_bytes(), &wall),
            kind: Kind::Punch,
            attributes: attributes(punch, who, &person),
            person: Some(person),
            card: None,
            local_time: Text::from_utf8(wall.text()).ok(),
            occurred_at: Some(resolved.at),
            received_at,
            status_code: Some(punch.state.to_compact_string()),
            verify_code: Some(punch.verify.to_compact_string()),
            vendor_code: None,
            direction: None,
            door: None,
            route: self.context.route,
            timeliness: Timeliness::of(resolved.at, received_at),
            clock: ClockFlag::of(resolved, received_at),
            raw: punch.raw.clone(),
        })
    }
}

/// The work code, and what the record held where its person was found through the user list.
/// PINs in it are digits, so that nothing needs escaping.
fn attributes(punch: &Punch, who: &Who, person: &Text) -> Option<String> {
    let mut pairs = Vec::new();
    if punch.work_code != 0 {
        pairs.push(format!("\"work_code\":\"{}\"", punch.work_code));
    }
    match who {
        Who::Pin(pin) if pin != person => pairs.push(format!("\"sent_as\":\"{pin}\"")),
        Who::Pin(_) => {}
        Who::Number(number) => {
            pairs.push(format!("\"sent_as\":\"{}\"", Held::Number(*number)));
        }
        Who::Uid(uid) => pairs.push(format!("\"sent_as\":\"{}\"", Held::Uid(*uid))),
    }
    (!pairs.is_empty()).then(|| format!("{{{}}}", pairs.join(",")))
}

/// Reads a quarantined record again, for example when the user list has become known; `None`
/// when its source is not one of this crate or its length does not fit.
pub fn reread(source: &str, raw: &Bytes) -> Option<Realtime> {
    if let Some(layout) = Layout::from_word(source) {
        return layout.read(raw).map(|punch| Realtime::Punches(vec![punch]));
    }
    source
        .starts_with("realtime")
        .then(|| realtime::read(realtime::ATTENDANCE, raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::WallTime;

    fn forty(pin: &str, packed: u32) -> Punch {
        let mut raw = vec![0; 40];
        raw[2..2 + pin.len()].copy_from_slice(pin.as_bytes());
        raw[26] = 15;
        raw[27..31].copy_from_slice(&packed.to_le_bytes());
        Layout::Forty.read(&raw.into()).unwrap()
    }

    fn at(text: &str) -> u32 {
        crate::time::pack(&WallTime::parse(text.as_bytes()).unwrap()).unwrap()
    }

    fn normal(punch: &Punch, users: Option<&UserList>) -> Result<Event, Quarantined> {
        let zone = Zone::named("America/Mexico_City").unwrap();
        let context = Context {
            zone: &zone,
            users,
            route: Route::Pull,
            received_at: Millis::parse("2026-11-21 16:15:45").unwrap(),
        };
        Normalizer::new(context).punch(punch)
    }

    #[test]
    fn a_pulled_punch_has_the_identity_of_the_pushed_one() {
        let punch = forty("007", at("2026-11-21 10:15:30"));
        let event = normal(&punch, None).unwrap();
        let wall = WallTime::parse(b"2026-11-21 10:15:30").unwrap();
        assert_eq!(event.ident, Ident::attendance(b"007", &wall));
        assert_eq!(event.local_time.as_deref(), Some("2026-11-21 10:15:30"));
        assert_eq!(event.occurred_at, Millis::parse("2026-11-21 16:15:30"));
        let codes = (event.status_code.as_deref(), event.verify_code.as_deref());
        assert_eq!(codes, (Some("0"), Some("15")));
        assert_eq!((event.attributes, event.direction), (None, None));
    }

    #[test]
    fn every_form_of_one_punch_gives_one_identity() {
        let users = UserList::of([(3, Text::new("007"))]);
        let packed = at("2026-11-21 10:15:30").to_le_bytes();
        let eight = [&[3, 0, 0x28, 0][..], &packed].concat();
        let sixteen = [&[7, 0, 0, 0][..], &packed, &[0, 1, 0, 0, 9, 0, 0, 0]].concat();
        let live = [&[3, 0, 1, 0][..], &[26, 11, 21, 10, 15, 30]].concat();
        let Realtime::Punches(live) = realtime::read(1, &live.into()) else {
            panic!("a punch expected")
        };
        let punches = [
            forty("007", at("2026-11-21 10:15:30")),
            forty("7", at("2026-11-21 10:15:30")),
            Layout::EightFlags.read(&eight.into()).unwrap(),
            Layout::Sixteen.read(&sixteen.into()).unwrap(),
            live[0].clone(),
        ];
        let events = punches.map(|punch| normal(&punch, Some(&users)).unwrap());
        for event in &events {
            assert_eq!(event.person.as_deref(), Some("007"));
            assert_eq!(event.ident, events[0].ident);
        }
        let attributes = events.map(|event| event.attributes.unwrap_or_default());
        assert_eq!(
            attributes,
            [
                "",
                r#"{"sent_as":"7"}"#,
                r#"{"sent_as":"the index 3"}"#,
                r#"{"work_code":"9","sent_as":"the number 7"}"#,
                r#"{"sent_as":"the index 3"}"#,
            ]
        );
    }

    #[test]
    fn a_person_that_is_not_certain_waits_in_quarantine_and_is_read_again_later() {
        let eight = [
            &[3, 0, 0x28, 0][..],
            &at("2026-11-21 10:15:30").to_le_bytes(),
        ]
        .concat();
        let punch = Layout::EightFlags.read(&eight.into()).unwrap();
        let waiting = normal(&punch, None).unwrap_err();
        assert_eq!(waiting.reason, Reason::BadField);
        assert!(waiting.detail.contains("the index 3"), "{}", waiting.detail);
        let Some(Realtime::Punches(again)) = reread(&waiting.source, &waiting.raw) else {
            panic!("the record reads again")
        };
        let users = UserList::of([(3, Text::new("007"))]);
        assert!(normal(&again[0], Some(&users)).is_ok());
        let gone = UserList::of([(4, Text::new("8"))]);
        assert!(normal(&again[0], Some(&gone)).is_err());
    }

    #[test]
    fn thirty_february_and_a_missing_pin_are_quarantined_with_their_reason() {
        let february = forty("7", (26 * 372 + 31 + 29) * 86_400);
        assert_eq!(normal(&february, None).unwrap_err().reason, Reason::BadTime);
        let nobody = forty("", at("2026-11-21 10:15:30"));
        assert_eq!(normal(&nobody, None).unwrap_err().reason, Reason::BadField);
        let broken = forty("\x01", at("2026-11-21 10:15:30"));
        assert_eq!(normal(&broken, None).unwrap_err().reason, Reason::BadText);
    }

    #[test]
    fn a_refused_log_is_kept_in_pieces_that_quarantine_holds() {
        let zone = Zone::utc();
        let context = Context {
            zone: &zone,
            users: None,
            route: Route::Pull,
            received_at: Millis(0),
        };
        let data = Bytes::from(vec![1; 600_000]);
        let pieces = Normalizer::new(context).refused_log("in doubt", &data);
        assert!(pieces.iter().all(|q| q.raw.len() <= Quarantined::RAW_LIMIT));
        let whole: Vec<u8> = pieces.iter().flat_map(|q| q.raw.to_vec()).collect();
        assert_eq!(whole, data);
    }

    #[test]
    fn an_event_of_unknown_length_is_quarantined_and_other_kinds_give_nothing() {
        let zone = Zone::utc();
        let mut normalizer = Normalizer::new(Context {
            zone: &zone,
            users: None,
            route: Route::Pull,
            received_at: Millis(0),
        });
        let other = |flag| Realtime::Other {
            flag,
            raw: Bytes::from_static(b"abc"),
        };
        let [Err(kept)] = &normalizer.realtime(&other(1))[..] else {
            panic!("one quarantined record expected")
        };
        assert_eq!(
            (kept.reason, &kept.source[..]),
            (Reason::Unreadable, "realtime")
        );
        assert!(normalizer.realtime(&other(512)).is_empty());
    }
}
