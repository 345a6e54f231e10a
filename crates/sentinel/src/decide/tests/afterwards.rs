//! What begins just after something else has ended is told as what it is.

use super::*;

/// satellite's doors and the store of acme, as they are seen.
fn seen(admin: Admin, door: Door, store: Option<Admin>, core: &mut Core, now: Timestamp) {
    let satellite = Observation::fine(Subject::Satellite, now).signal(Signal::Admin(admin));
    let mut all = vec![satellite];
    if let Some(admin) = store {
        all.push(Observation::fine(Subject::store("acme"), now).signal(Signal::Admin(admin)));
    }
    core.observe("satellite", &Round::part(all), now);
    let door = Observation::fine(Subject::Satellite, now).signal(Signal::Door(door));
    core.observe("door", &Round::one(door), now);
}

#[test]
fn a_standstill_that_begins_just_after_a_hang_has_ended_is_told_in_its_time() {
    let mut world = World::at("10:00");
    let well = |core: &mut Core, now| {
        seen(Admin::Moving, Door::Answers, Some(Admin::Moving), core, now);
    };
    world.pass(60, well);
    world.pass(60, |core, now| {
        seen(Admin::Silent, Door::Silent, None, core, now);
    });
    assert_eq!(world.only().kind, Kind::SatelliteHang);
    world.pass(130, well);
    assert_eq!(world.only().state, State::Closed);
    world.letters.clear();
    // What stands still is seen after 17 s of it.
    world.pass(17, well);
    world.pass(15, |core, now| {
        seen(Admin::Moving, Door::Answers, Some(Admin::Stuck), core, now);
    });
    assert_eq!(world.kinds(), [Kind::SatelliteHang, Kind::IngestStalled]);
    assert_eq!(world.told(), [("uno@x.mx".into(), "level-1".into())]);
}

#[test]
fn terminals_that_come_back_late_after_a_hang_call_nobody() {
    let mut world = World::at("10:00");
    let all = [("acme", "Toluca", "A1"), ("acme", "Toluca", "A2")];
    world.pass(60, |core, now| {
        seen(Admin::Silent, Door::Silent, None, core, now);
    });
    let well = |core: &mut Core, now| {
        seen(Admin::Moving, Door::Answers, Some(Admin::Moving), core, now);
    };
    world.pass(130, well);
    world.letters.clear();
    world.pass(120, |core, now| {
        well(core, now);
        terminals(&all, &all, core, now);
    });
    world.pass(120, |core, now| {
        well(core, now);
        terminals(&[], &all, core, now);
    });
    assert_eq!(world.kinds(), [Kind::SatelliteHang]);
    assert_eq!(world.told(), []);
}

#[test]
fn a_broker_that_is_away_is_one_incident_of_its_sender_and_a_sender_without_one_its_own() {
    let standing = || vec![Trouble::new(Kind::InputStanding)];
    let both = |offline: bool| {
        move |core: &mut Core, now: Timestamp| {
            let input = Subject::input("acme", "gateway", "GW");
            let input = Observation::wrong(input, now, standing());
            core.observe("inputs", &Round::whole(vec![input]), now);
            let trouble = offline.then(|| Trouble::new(Kind::TerminalOffline));
            let sender = Subject::terminal("acme", Some("Toluca"), "GW");
            let sender = Observation::wrong(sender, now, trouble.into_iter().collect());
            core.observe("terminals", &Round::whole(vec![sender]), now);
        }
    };
    let mut away = World::at("10:00");
    away.pass(300, both(true));
    let incident = away.only();
    assert_eq!(incident.kind, Kind::TerminalOffline);
    assert_eq!((incident.members.len(), incident.roots().count()), (2, 1));
    let mut not_enrolled = World::at("10:00");
    not_enrolled.pass(300, both(false));
    assert_eq!(not_enrolled.only().kind, Kind::InputStanding);
}
