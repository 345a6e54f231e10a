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
fn what_stood_for_minutes_before_a_look_may_say_so_began_then() {
    for kind in [Kind::InputStanding, Kind::OutputStanding] {
        let mut world = World::at("10:00");
        let began = world.now - SignedDuration::from_mins(10);
        world.pass(60, |core, now| {
            let trouble = Trouble::new(kind).fact(Fact::Since, began);
            let input = Subject::input("acme", "gateway");
            let input = Observation::wrong(input, now, vec![trouble]);
            core.observe("inputs", &Round::whole(vec![input]), now);
        });
        assert_eq!(world.only().since, began, "{kind:?}");
        let text = world.letters[0].body.text();
        assert!(text.contains("09:50"), "{text}");
    }
}
