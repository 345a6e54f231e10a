//! A broker that fails, seen by satellite's inputs and by canaries: one cause, one incident.

use super::*;

const BROKER: &str = "broker:8883";

/// What satellite says of its inputs: `None` for one that is fine, else where it fails.
fn inputs(seen: &[(&str, Option<&str>)], core: &mut Core, now: Timestamp) {
    let seen = seen.iter().map(|(name, place)| {
        let trouble = |place: &&str| {
            Trouble::new(Kind::InputStanding).fact(Fact::Place, Value::heard(*place))
        };
        let troubles = place.as_ref().map(trouble).into_iter().collect();
        Observation::wrong(Subject::input("acme", name), now, troubles)
    });
    core.observe("inputs", &Round::whole(seen.collect()), now);
}

/// What the canary says: whether its broker fails, and whether a door does.
fn canary(broker: bool, door: bool, core: &mut Core, now: Timestamp) {
    let broker =
        broker.then(|| Trouble::new(Kind::BrokerFailing).fact(Fact::Place, Value::heard(BROKER)));
    let door = door.then(|| Trouble::new(Kind::DoorFailing));
    let of = |subject, trouble: Option<Trouble>| {
        Observation::wrong(subject, now, trouble.into_iter().collect())
    };
    let own = of(Subject::input("acme", "CANARY"), broker);
    let round = Round::whole(vec![own, of(Subject::store("acme"), door)]);
    core.observe("canary:acme", &round, now);
}

#[test]
fn a_dead_broker_is_one_incident_whoever_sees_it_first_and_one_recovery() {
    for canary_first in [true, false] {
        let mut world = World::at("03:00");
        world.pass(200, |core, now| {
            inputs(&[("plant", (!canary_first).then_some(BROKER))], core, now);
            canary(canary_first, false, core, now);
        });
        world.pass(400, |core, now| {
            inputs(
                &[("plant", Some(BROKER)), ("yard", Some(BROKER))],
                core,
                now,
            );
            canary(true, false, core, now);
        });
        let told = [("uno@x.mx".to_owned(), "level-1".to_owned())];
        assert_eq!(world.told(), told, "{canary_first}");
        assert_eq!(world.only().members.len(), 3);
        world.pass(200, |core, now| {
            inputs(&[("plant", None), ("yard", None)], core, now);
            canary(false, false, core, now);
        });
        assert_eq!(world.only().state, State::Closed);
        assert_eq!(world.told().last().unwrap().1, "closed");
        assert_eq!(world.told().len(), 2);
    }
}

#[test]
fn a_dead_broker_and_a_door_that_fails_for_its_own_reason_are_both_told_at_any_hour() {
    let mut world = World::at("03:00");
    world.pass(400, |core, now| {
        inputs(&[("plant", Some(BROKER))], core, now);
        canary(true, true, core, now);
    });
    let mut kinds = world.kinds();
    kinds.sort();
    assert_eq!(kinds, [Kind::DoorFailing, Kind::BrokerFailing]);
    let first = world.letters.iter().filter(|it| it.step == "level-1");
    let subjects: Vec<_> = first.map(|it| it.subject.clone()).collect();
    assert_eq!(subjects.len(), 2, "{subjects:?}");
    for words in [
        "CRÍTICO: Una puerta para dispositivos no recibe (Acme S.A.)",
        "CRÍTICO: Una checada de prueba no pasa por un broker (Acme S.A., CANARY)",
    ] {
        let told = |it: &String| it.ends_with(words);
        assert!(subjects.iter().any(told), "{words} in {subjects:?}");
    }
}

#[test]
fn two_brokers_are_two_incidents() {
    let mut world = World::at("10:00");
    world.pass(300, |core, now| {
        inputs(
            &[("plant", Some(BROKER)), ("yard", Some("other:1883"))],
            core,
            now,
        );
        canary(true, false, core, now);
    });
    assert_eq!(world.kinds().len(), 2, "{:?}", world.kinds());
}

#[test]
fn what_a_dead_satellite_explains_is_not_told_of_its_broker_and_what_goes_on_afterwards_is() {
    let mut world = World::at("10:00");
    let mut back = looks(Unit::Active, Admin::Moving, Door::Answers, None, Rows::Old);
    let mut dead = looks(
        Unit::Inactive,
        Admin::Refused,
        Door::Refused,
        None,
        Rows::Old,
    );
    world.pass(200, |core, now| {
        dead(core, now);
        canary(true, false, core, now);
    });
    assert_eq!(world.kinds(), [Kind::SatelliteDown]);
    world.pass(300, |core, now| {
        back(core, now);
        canary(true, false, core, now);
    });
    assert_eq!(world.kinds(), [Kind::SatelliteDown, Kind::BrokerFailing]);
}
