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

/// The daily mails of that many hours, as it is asked for at 08:30.
fn daily(mut world: World, hours: i64) -> Vec<(String, String)> {
    world.config.daily_mail = Some(civil::time(8, 30, 0, 0));
    for _ in 0..hours * 60 {
        world.tick();
        world.now += SignedDuration::from_mins(1);
    }
    let zone = world.config.zone.clone();
    let told = world.daily.into_iter().map(|(day, at)| {
        let at = at.to_zoned(zone.clone()).strftime("%d %H:%M").to_string();
        (day.to_string(), at)
    });
    told.collect()
}

#[test]
fn the_daily_mail_is_due_once_a_day_at_its_time_and_at_a_start_that_comes_too_late() {
    let due = |day: &str, at: &str| (format!("2026-11-{day}"), at.to_owned());
    let expected = [due("26", "26 08:30"), due("27", "27 08:30")];
    assert_eq!(daily(World::at("08:00"), 40), expected);
    // Whoever begins to watch at nine has seen nothing of that day yet.
    assert_eq!(daily(World::at("09:00"), 30), [due("27", "27 08:30")]);
    let mut late = World::at("09:00");
    let restored = Restored {
        last_daily: Some(civil::date(2026, 11, 25)),
        ..Restored::default()
    };
    late.core = Core::restore(restored, &BTreeSet::new(), late.now);
    assert_eq!(daily(late, 20), [due("26", "26 09:00")]);
}
