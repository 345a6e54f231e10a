//! Reminders and the clock of recovery: when each is told, and what stops them.

use super::*;

/// The steps that the first level was told in those minutes of a database that is down, each with
/// the minute in which it came.
fn steps(world: &mut World, minutes: i64) -> Vec<(String, i64)> {
    let mut down = store("acme", Some(Kind::DatabaseDown));
    let mut steps = Vec::new();
    for minute in 0..minutes {
        world.letters.clear();
        world.pass(60, &mut down);
        let own = world.letters.iter();
        let own = own.filter(|letter| letter.to.address() == "uno@x.mx");
        steps.extend(own.map(|letter| (letter.step.clone(), minute)));
    }
    steps
}

#[test]
fn what_nobody_answers_is_told_again_and_the_promised_time_as_it_runs_out() {
    let mut world = World::at("10:00");
    let steps = steps(&mut world, 500);
    let expected = [
        ("level-1", 0),
        ("reminder-1", 30),
        ("clock-1", 90),
        ("clock-2", 120),
        ("reminder-2", 120),
        ("clock-3", 180),
        ("reminder-3", 480),
    ];
    assert_eq!(
        steps,
        expected.map(|(step, minute)| (step.to_owned(), minute))
    );
    let times: Vec<_> = world
        .timeline
        .iter()
        .filter(|it| it.what == Happened::Clock)
        .collect();
    assert_eq!(times.len(), 3);
}

#[test]
fn a_workaround_stops_the_clock_of_recovery_and_the_reminders() {
    let mut world = World::at("10:00");
    assert_eq!(steps(&mut world, 20), [("level-1".to_owned(), 0)]);
    let incident = world.only().id;
    let how = "a second server".to_owned();
    world.ask(Ask::Mitigate { incident, how }).unwrap();
    assert_eq!(steps(&mut world, 200), []);
    assert_eq!(world.only().state, State::Mitigated);
}
