//! The lock-out rule against devices with right, wrong and changed passwords.

use super::*;
use proptest::prelude::*;

const T0: Millis = Millis(1_700_000_000_000);

fn login() -> Login {
    Login::new(Credentials::new("evt", "secret").unwrap())
}

fn challenge(stale: bool) -> Challenge {
    let header = format!("Digest realm=\"r\", nonce=\"n\", qop=\"auth\", stale={stale}");
    Challenge::choose([header.as_str()].into_iter()).unwrap()
}

fn after(minutes: i64) -> Millis {
    Millis(T0.0 + minutes * 60_000)
}

fn sign(login: &mut Login, now: Millis) -> Ticket {
    login.authorization(now, "GET", "/", "c").unwrap().1
}

fn trusted() -> Login {
    let mut login = login();
    assert_eq!(login.next(T0), LoginStep::Probe);
    assert_eq!(
        login.challenged(Some(challenge(false)), None, T0),
        LoginStep::Authorized
    );
    let ticket = sign(&mut login, T0);
    login.accepted(ticket);
    login
}

#[test]
fn a_wrong_password_is_tried_once_and_then_not_for_35_minutes() {
    let mut login = login();
    login.challenged(Some(challenge(false)), None, T0);
    let ticket = sign(&mut login, T0);
    assert_eq!(
        login.refused(ticket, Some(&challenge(false)), None, T0),
        LoginStep::Wait(after(35))
    );
    assert_eq!(
        login.waiting(T0),
        Some((after(35), LoginTrouble::WrongPassword))
    );
    assert_eq!(login.next(after(34)), LoginStep::Wait(after(35)));
    assert_eq!(login.authorization(after(34), "GET", "/", "c"), None);
    assert_eq!(login.next(after(35)), LoginStep::Probe);
    assert_eq!(
        login.challenged(Some(challenge(false)), None, after(35)),
        LoginStep::Authorized
    );
}

#[test]
fn a_nonce_that_was_dropped_silently_costs_one_probe() {
    let mut login = trusted();
    let ticket = sign(&mut login, T0);
    assert_eq!(login.refused(ticket, None, None, T0), LoginStep::Probe);
    assert_eq!(
        login.challenged(Some(challenge(false)), None, T0),
        LoginStep::Authorized
    );
    let ticket = sign(&mut login, T0);
    login.accepted(ticket);
    assert_eq!(login.next(T0), LoginStep::Authorized);
    let ticket = sign(&mut login, T0);
    assert_eq!(login.refused(ticket, None, None, T0), LoginStep::Probe);
}

#[test]
fn a_password_changed_on_the_device_is_tried_with_one_fresh_nonce_only() {
    let mut login = trusted();
    let ticket = sign(&mut login, T0);
    assert_eq!(login.refused(ticket, None, None, T0), LoginStep::Probe);
    login.challenged(Some(challenge(false)), None, T0);
    let ticket = sign(&mut login, T0);
    assert_eq!(
        login.refused(ticket, Some(&challenge(false)), None, T0),
        LoginStep::Wait(after(35))
    );
}

#[test]
fn stale_is_believed_once_not_for_ever() {
    let mut login = login();
    login.challenged(Some(challenge(false)), None, T0);
    let ticket = sign(&mut login, T0);
    assert_eq!(
        login.refused(ticket, Some(&challenge(true)), None, T0),
        LoginStep::Probe
    );
    login.challenged(Some(challenge(true)), None, T0);
    let ticket = sign(&mut login, T0);
    assert_eq!(
        login.refused(ticket, Some(&challenge(true)), None, T0),
        LoginStep::Wait(after(35))
    );
}

#[test]
fn the_lock_time_of_the_device_counts_when_it_is_longer_and_within_a_day() {
    let locked = |unlock_seconds| LockInfo {
        locked: true,
        unlock_seconds,
        tries_left: Some(0),
    };
    let cases = [
        (None, 35),
        (Some(60), 35),
        (Some(3_600), 65),
        (Some(u64::MAX), 24 * 60),
    ];
    for (seconds, minutes) in cases {
        let mut login = trusted();
        let ticket = sign(&mut login, T0);
        // Locked: even a password that was right before gets no second chance now.
        let step = login.refused(ticket, Some(&challenge(false)), Some(locked(seconds)), T0);
        assert_eq!(step, LoginStep::Wait(after(minutes)), "{seconds:?}");
        let mut fresh = self::login();
        let step = fresh.challenged(Some(challenge(false)), Some(locked(seconds)), T0);
        assert_eq!(step, LoginStep::Wait(after(minutes)), "{seconds:?}");
        assert_eq!(fresh.waiting(T0).unwrap().1, LoginTrouble::Locked);
    }
}

#[test]
fn a_device_that_never_takes_a_nonce_twice_is_probed_each_time() {
    let mut login = trusted();
    for _ in 0..2 {
        let ticket = sign(&mut login, T0);
        assert_eq!(login.refused(ticket, None, None, T0), LoginStep::Probe);
        login.challenged(Some(challenge(false)), None, T0);
        let ticket = sign(&mut login, T0);
        login.accepted(ticket);
    }
    assert_eq!(login.next(T0), LoginStep::Probe);
    assert_eq!(login.authorization(T0, "GET", "/", "c"), None);
    assert_eq!(
        login.challenged(Some(challenge(false)), None, T0),
        LoginStep::Authorized
    );
}

#[test]
fn a_401_with_nothing_to_answer_waits_a_minute() {
    assert_eq!(
        login().challenged(None, None, T0),
        LoginStep::Wait(after(1))
    );
}

#[test]
fn a_restart_does_not_forget_the_pause() {
    let credentials = Credentials::new("evt", "secret").unwrap();
    let login = Login::waiting_until(credentials, after(35), LoginTrouble::WrongPassword);
    assert_eq!(login.next(after(20)), LoginStep::Wait(after(35)));
    assert_eq!(login.next(after(36)), LoginStep::Probe);
}

#[test]
fn two_requests_refused_for_one_lost_nonce_are_one_refusal() {
    let mut login = trusted();
    let (stream, search) = (sign(&mut login, T0), sign(&mut login, T0));
    assert_eq!(login.refused(stream, None, None, T0), LoginStep::Probe);
    assert_eq!(login.refused(search, None, None, T0), LoginStep::Probe);
    login.challenged(Some(challenge(false)), None, T0);
    let fresh = sign(&mut login, T0);
    assert_eq!(login.refused(search, None, None, T0), login.next(T0));
    login.accepted(fresh);
    assert_eq!(login.next(T0), LoginStep::Authorized);
}

#[test]
fn one_unproven_answer_is_out_at_a_time() {
    let mut login = login();
    login.challenged(Some(challenge(false)), None, T0);
    sign(&mut login, T0);
    let end = Millis(T0.0 + 30_000);
    assert_eq!(login.next(T0), LoginStep::Wait(end));
    assert_eq!(
        login.challenged(Some(challenge(false)), None, T0),
        LoginStep::Wait(end)
    );
    assert_eq!(login.next(end), LoginStep::Probe);
}

#[test]
fn an_answer_from_before_the_refusal_does_not_end_the_pause() {
    let mut login = login();
    login.challenged(Some(challenge(false)), None, T0);
    let ticket = sign(&mut login, T0);
    login.refused(ticket, None, None, T0);
    login.accepted(ticket);
    assert_eq!(login.next(T0), LoginStep::Wait(after(35)));
    assert_eq!(
        login.challenged(Some(challenge(false)), None, T0),
        LoginStep::Wait(after(35))
    );
}

proptest! {
    /// Whatever the answers to a wrong password look like, and whatever the pace: no 30
    /// minutes hold two tries with it, or two where the device claims once that the nonce
    /// was stale, or where the password had been right before.
    #[test]
    fn a_wrong_password_never_hammers(
        was_right in any::<bool>(),
        answers in prop::collection::vec((any::<bool>(), any::<bool>(), 0i64..600, prop::option::of(0u64..8_000)), 1..200),
    ) {
        let mut login = if was_right { trusted() } else { login() };
        let mut now = T0;
        let mut tries: Vec<(i64, bool)> = Vec::new();
        let mut excuse = was_right;
        for (stale, offers, seconds, unlock) in answers {
            now = Millis(now.0 + seconds * 1_000);
            let lock = unlock.map(|s| LockInfo { locked: s > 4_000, unlock_seconds: Some(s), tries_left: None });
            match login.next(now) {
                LoginStep::Wait(until) => prop_assert!(until > now),
                LoginStep::Probe => {
                    login.challenged(offers.then(|| challenge(stale)), lock, now);
                }
                LoginStep::Authorized => {
                    let ticket = sign(&mut login, now);
                    tries.push((now.0, std::mem::take(&mut excuse)));
                    let offered = challenge(stale);
                    let step = login.refused(ticket, Some(&offered), lock, now);
                    excuse = step == LoginStep::Probe;
                    prop_assert!(!excuse || stale || tries.len() == 1);
                }
            }
        }
        // Tries that were not excused by the device's own `stale` or by an earlier success
        // are a lock time apart.
        for pair in tries.windows(3) {
            prop_assert!(pair[2].0 - pair[0].0 >= 30 * 60_000, "{tries:?}");
        }
    }

    #[test]
    fn without_an_excuse_there_is_one_try_in_a_lock_time(
        steps in prop::collection::vec((any::<bool>(), 0i64..900), 1..300),
    ) {
        let mut login = login();
        let (mut now, mut last) = (T0, None::<i64>);
        for (offers, seconds) in steps {
            now = Millis(now.0 + seconds * 1_000);
            match login.next(now) {
                LoginStep::Wait(_) => {}
                LoginStep::Probe => {
                    login.challenged(offers.then(|| challenge(false)), None, now);
                }
                LoginStep::Authorized => {
                    let ticket = sign(&mut login, now);
                    prop_assert!(last.is_none_or(|last| now.0 - last >= 35 * 60_000));
                    last = Some(now.0);
                    login.refused(ticket, offers.then(|| challenge(false)).as_ref(), None, now);
                }
            }
        }
    }

    #[test]
    fn a_right_password_is_never_kept_waiting(
        requests in prop::collection::vec((any::<bool>(), 0i64..600), 1..200),
    ) {
        let mut login = login();
        let mut now = T0;
        for (nonce_lost, seconds) in requests {
            now = Millis(now.0 + seconds * 1_000);
            let mut fresh = false;
            for leg in 0..4 {
                prop_assert!(leg < 3, "three legs end every request");
                match login.next(now) {
                    LoginStep::Wait(_) => prop_assert!(false, "kept waiting"),
                    LoginStep::Probe => {
                        login.challenged(Some(challenge(false)), None, now);
                        fresh = true;
                    }
                    LoginStep::Authorized => {
                        let ticket = sign(&mut login, now);
                        if nonce_lost && !fresh {
                            login.refused(ticket, None, None, now);
                        } else {
                            login.accepted(ticket);
                            break;
                        }
                    }
                }
            }
        }
    }
}
