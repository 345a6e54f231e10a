//! The pause that follows from our share of a device's rows, over minutes and over a month.

use super::*;

/// What one round of a test sees: every `n`th serial is ours.
fn see(prints: &mut Footprints, serials: u64, n: u64) {
    let now = Instant::now();
    for serial in 0..serials {
        prints.saw(1, u64::from(serial % n == 0), now);
    }
}

#[test]
fn a_share_above_five_percent_doubles_the_pause_up_to_a_minute_and_a_low_one_takes_it_back() {
    let mut prints = Footprints::new();
    see(&mut prints, ENOUGH, 10);
    assert!(prints.is_heavy());
    assert_eq!(prints.pause(true), 2 * SHORTEST);
    see(&mut prints, 2_000, 10);
    assert_eq!(prints.pause(true), LONGEST);
    assert_eq!(prints.pause(false), UNSEEN);
    for _ in 0..40 {
        prints.saw(100, 0, Instant::now());
    }
    assert!(!prints.is_heavy());
    assert_eq!(prints.pause(true), SHORTEST);
}

#[test]
fn a_handful_of_traces_in_a_quiet_night_says_nothing() {
    let mut prints = Footprints::new();
    see(&mut prints, ENOUGH - 1, 1);
    assert!(!prints.is_heavy());
    assert_eq!(prints.pause(true), SHORTEST);
}

/// A terminal that writes two rows for each login, and people who come for ten hours of each
/// weekday.
struct Month {
    people_rows: u64,
    /// Seconds for which a login is good; 0: for one request.
    login_s: u64,
    live: bool,
}

/// What a month of it came to.
struct Came {
    rows: u64,
    ours: u64,
    /// Seconds between two searches at most, after the first day.
    pause_s: u64,
}

impl Month {
    const SECONDS: u64 = 30 * 86_400;

    /// Rows of people until that second: 22 days of 10 hours.
    fn people(&self, second: u64) -> u64 {
        let (day, second) = (second / 86_400, second % 86_400);
        let open = |day: u64| day % 7 < 5;
        let days = u64::try_from((0..day).filter(|day| open(*day)).count()).unwrap();
        let today = if open(day) {
            second.saturating_sub(8 * 3_600).min(36_000)
        } else {
            0
        };
        self.people_rows * (days * 36_000 + today) / (22 * 36_000)
    }

    fn pass(&self) -> Came {
        let (mut prints, begin) = (Footprints::new(), Instant::now());
        let (mut now, mut known, mut ours, mut came) = (
            0,
            0,
            0,
            Came {
                rows: 0,
                ours: 0,
                pause_s: 0,
            },
        );
        let (mut login, mut quarter) = (None, 0);
        while now < Self::SECONDS {
            // The search, and four times an hour the clock and the listening host.
            let asks = if now / 900 > quarter { 3 } else { 1 };
            quarter = now / 900;
            for _ in 0..asks {
                let good = login.is_some_and(|at| now < at + self.login_s);
                if !good {
                    ours += 2;
                    login = Some(now);
                }
            }
            came.rows = self.people(now) + ours;
            prints.saw(
                came.rows - known,
                ours - came.ours,
                begin + Duration::from_secs(now),
            );
            (known, came.ours) = (came.rows, ours);
            let pause_s = prints.pause(self.live).as_secs();
            if now > 86_400 {
                came.pause_s = came.pause_s.max(pause_s);
            }
            now += pause_s;
        }
        came
    }
}

#[test]
fn a_month_of_people_and_of_our_logins_fits_the_memory_of_a_terminal() {
    for (login_s, people, live, pause_s) in [
        // A minute is enough where the month fits at that.
        (0, 0, true, 60),
        (0, 9_000, true, 60),
        (60, 9_000, true, 60),
        (300, 24_000, true, 60),
        (300, 43_000, true, 60),
        // Two minutes where it would not.
        (0, 24_000, true, 120),
        (0, 31_000, true, 120),
        (60, 24_000, true, 120),
        // Without a stream a punch comes by the search alone.
        (0, 0, false, 60),
        (0, 16_000, false, 60),
        (300, 24_000, false, 20),
    ] {
        let month = Month {
            people_rows: 3 * people,
            login_s,
            live,
        };
        let came = month.pass();
        let what = format!(
            "{login_s} s, {people} people, live {live}: {} rows, {} ours",
            came.rows, came.ours
        );
        assert!(came.rows - came.ours >= 3 * people * 9 / 10, "{what}");
        assert!(came.rows <= RING, "{what}");
        assert_eq!(came.pause_s, pause_s, "{what}");
    }
}
