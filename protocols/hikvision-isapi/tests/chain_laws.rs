//! The laws of the serial chain, over devices that do all that devices do.
//!
//! A modelled device writes records into a ring, drops the oldest, is reset, and answers
//! searches; a modelled driver hears some of the records in any order, polls, asks what the
//! chain says, loses commits and restarts. Whatever the order of all this: nothing that the
//! device still holds is forgotten, nothing is asked for twice, and the numbers add up.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use std::collections::{BTreeSet, VecDeque};

use event::WallTime;
use hikvision_isapi::{Chain, Completeness, Hint, Newest, PostStep};
use proptest::prelude::*;

/// A device with a ring of records.
#[derive(Debug, Default)]
struct Device {
    ring: VecDeque<u64>,
    newest: u64,
    resets: u32,
}

impl Device {
    fn append(&mut self, n: u64) {
        for _ in 0..n {
            self.newest += 1;
            self.ring.push_back(self.newest);
        }
    }

    fn evict(&mut self, n: usize) {
        // A ring never drops its newest record.
        let n = n.min(self.ring.len().saturating_sub(1));
        self.ring.drain(..n);
    }

    fn search(&self, (begin, end): (u64, u64)) -> Vec<u64> {
        self.ring
            .iter()
            .copied()
            .filter(|s| begin <= *s && *s <= end)
            .collect()
    }
}

/// The driver: a chain, the rows committed so far, and a device.
struct Run {
    chain: Chain,
    rows: BTreeSet<(u32, u64)>,
    device: Device,
    most: u32,
    page: usize,
    /// Serials asked for that had been stored before.
    asked_again: u64,
    questions: u64,
}

impl Run {
    fn new(most: u32, page: usize) -> Self {
        Self {
            chain: Chain::new(),
            rows: BTreeSet::new(),
            device: Device::default(),
            most,
            page,
            asked_again: 0,
            questions: 0,
        }
    }

    /// Rows and chain are committed together or not at all.
    fn commit(&mut self, next: Chain, serials: &[u64], works: bool) {
        if works {
            let epoch = next.epoch();
            self.rows.extend(serials.iter().map(|s| (epoch, *s)));
            self.chain = next;
            let text = self.chain.text();
            assert!(text.len() <= 180, "{text}");
        }
    }

    fn restart(&mut self) {
        let text = self.chain.text();
        self.chain = Chain::parse(&text).unwrap();
        assert_eq!(self.chain.text(), text);
    }

    fn hint(&mut self, serial: u64, works: bool) {
        match self.chain.hint(serial, None) {
            Hint::New | Hint::Filling => {
                let mut next = self.chain.clone();
                next.stored(&[serial], None);
                self.commit(next, &[serial], works);
            }
            Hint::Known | Hint::Doubtful => {}
        }
    }

    fn poll(&mut self, works: bool) {
        if self.device.newest == 0 {
            return;
        }
        let mut next = self.chain.clone();
        let newest = self.device.newest;
        if let Newest::Doubt { ask } = next.device_says_newest(newest) {
            let got = self.device.search(ask);
            next.doubt_answered(newest, ask, &got);
        }
        self.commit(next, &[], works);
    }

    /// One question and its first page. False when nothing is left to ask.
    fn ask(&mut self, works: bool) -> bool {
        let Some(range) = self.chain.next_range(self.most) else {
            return false;
        };
        self.questions += 1;
        let epoch = self.chain.epoch();
        self.asked_again += self.rows.range((epoch, range.0)..=(epoch, range.1)).count() as u64;
        let found = self.device.search(range);
        let mut next = self.chain.clone();
        if found.len() <= self.page {
            next.answered(range, &found);
            self.commit(next, &found, works);
        } else {
            let page = &found[..self.page];
            assert!(
                next.more(range, page),
                "a page of a device that keeps to the range gets on"
            );
            self.commit(next, page, works);
        }
        true
    }

    /// Polls and asks, as a driver does in the quiet, until nothing is left.
    fn settle(&mut self) {
        for _ in 0..6 {
            self.poll(true);
        }
        for left in (0..200_000).rev() {
            if !self.ask(true) {
                break;
            }
            assert!(left > 0, "the questions end");
        }
    }

    fn check(&self, merged: bool) {
        let epoch = self.chain.epoch();
        assert_eq!(self.chain.missing(), 0);
        assert_eq!(self.chain.newest().unwrap_or(0), self.device.newest);
        for serial in &self.device.ring {
            assert!(
                self.rows.contains(&(epoch, *serial)),
                "{serial} of epoch {epoch} is missing"
            );
        }
        let stored = self.rows.range((epoch, 0)..).count() as u64;
        let accounted = stored + self.chain.lost() + self.chain.before();
        if self.device.resets == 0 && !merged {
            assert_eq!(
                accounted, self.device.newest,
                "each serial is in exactly one place"
            );
        }
        assert!(accounted >= self.device.newest);
        if self.device.newest > 0 {
            assert_eq!(self.chain.completeness(true), Completeness::Proven);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Evict(usize),
    Hint(u64),
    Poll,
    Ask,
    Restart,
    Reset(u64),
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    let step = prop_oneof![
        4 => (1u64..60).prop_map(Step::Append),
        1 => (0usize..80).prop_map(Step::Evict),
        6 => (0u64..100).prop_map(Step::Hint),
        3 => Just(Step::Poll),
        5 => Just(Step::Ask),
        1 => Just(Step::Restart),
        1 => (1u64..30).prop_map(Step::Reset),
    ];
    prop::collection::vec((step, prop::bool::weighted(0.7)), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_nothing_that_the_device_holds_is_forgotten(
        first in 0u64..400, gone in 0usize..300, all in steps(), most in 1u32..40, page in 1usize..31,
    ) {
        let mut run = Run::new(most, page);
        run.device.append(first);
        run.device.evict(gone);
        let mut reset_unseen = None;
        for (step, works) in all {
            match step {
                Step::Append(n) => run.device.append(n),
                Step::Evict(n) => run.device.evict(n),
                Step::Hint(back) if back < run.device.ring.len() as u64 => run.hint(run.device.newest - back, works),
                Step::Hint(_) => {}
                Step::Poll => run.poll(works),
                Step::Ask => { run.ask(works); }
                Step::Restart => run.restart(),
                Step::Reset(n) => {
                    run.settle();
                    if n < run.device.newest {
                        run.device = Device { resets: run.device.resets + 1, ..Device::default() };
                        run.device.append(n);
                        reset_unseen = Some(run.chain.epoch());
                    }
                }
            }
            // A reset is seen when the device is polled before it has counted as far again.
            if let Some(epoch) = reset_unseen.take() {
                run.poll(true);
                prop_assert_eq!(run.chain.epoch(), epoch + 1);
                prop_assert_eq!(run.chain.missing(), run.device.newest);
            }
        }
        run.settle();
        run.check(true);
    }

    #[test]
    fn while_few_gaps_are_open_nothing_stored_is_asked_for_and_the_numbers_add_up(
        rounds in prop::collection::vec((1u64..80, 0usize..60, prop::collection::vec(0u64..80, 0..3), 0usize..6, any::<bool>()), 1..20),
        most in 1u32..40,
    ) {
        let mut run = Run::new(most, 30);
        for (append, evict, hints, asks, works) in rounds {
            run.device.append(append);
            run.device.evict(evict);
            for back in hints {
                if back < run.device.ring.len() as u64 {
                    run.hint(run.device.newest - back, works);
                }
            }
            run.poll(works);
            for _ in 0..asks {
                run.ask(works);
            }
            run.settle();
            run.check(false);
        }
        prop_assert_eq!(run.asked_again, 0);
    }

    #[test]
    fn a_gap_is_asked_for_exactly(newest in 1u64..1_000_000, gap in 1u64..300) {
        let mut run = Run::new(300, 300);
        run.chain.stored(&[newest], None);
        run.chain.device_says_newest(newest);
        let mut caught_up = run.chain.clone();
        while let Some(range) = caught_up.next_range(1_000_000) {
            caught_up.answered(range, &[]);
        }
        caught_up.stored(&[newest + gap + 1], None);
        prop_assert_eq!(caught_up.missing(), gap);
        // The search has not shown the new one yet, so what lies below it may not be there yet.
        prop_assert_eq!(caught_up.next_range(300), None);
        caught_up.device_says_newest(newest + gap + 1);
        prop_assert_eq!(caught_up.next_range(300), Some((newest + 1, newest + gap)));
    }

    #[test]
    fn any_text_is_a_chain_or_none(text in "(1\\.)?[0-9a-z.+ -]{0,60}") {
        if let Some(chain) = Chain::parse(&text) {
            prop_assert_eq!(chain.text(), text);
        }
    }

    #[test]
    fn the_text_stays_short_and_comes_back_the_same(
        calls in prop::collection::vec((0u8..7, any::<u64>(), any::<u64>(), any::<u32>()), 1..80),
        big in any::<bool>(),
    ) {
        let mut chain = Chain::new();
        let wall = WallTime::parse(b"2199-12-31 23:59:59");
        for (call, a, b, most) in calls {
            let (a, b) = if big { (a >> 31, b >> 32) } else { (a >> 54, b) };
            match call {
                0 => chain.stored(&[a, b, a / 2], wall),
                1 => { chain.device_says_newest(a); }
                2 => { chain.doubt_answered(a, (a / 2, b), &[]); }
                3 => chain.answered((a.min(b), a.max(b)), &[a]),
                4 => { chain.more((a, b), &[b]); }
                5 => { chain.post_only(a, wall, b); }
                _ => if let Some(range) = chain.next_range(most) {
                    prop_assert!(range.0 >= 1 && range.0 <= range.1 && range.1 <= chain.newest().unwrap());
                    chain.answered(range, &[]);
                }
            }
            chain.hint(a, wall);
            let text = chain.text();
            prop_assert!(text.len() <= 180, "{} {}", text.len(), text);
            let read = Chain::parse(&text);
            prop_assert_eq!(read.as_ref(), Some(&chain), "{}", text);
        }
    }

    #[test]
    fn posts_alone_count_each_gap_and_close_it_when_the_rest_comes_late(
        order in prop::collection::vec(1u64..8, 1..7), seed in any::<u64>(),
    ) {
        // Sixteen serials in an order of their own, so never more gaps than are kept apart;
        // those that never come stay missing.
        let mut serials: Vec<u64> = (0..16).map(|n| 100 + n).collect();
        let mut state = seed | 1;
        for at in (1..serials.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            serials.swap(at, (state >> 33) as usize % (at + 1));
        }
        let skipped: BTreeSet<u64> = order.iter().map(|n| 100 + n * 2).collect();
        let mut chain = Chain::new();
        let first = serials.iter().copied().find(|s| !skipped.contains(s)).unwrap();
        let heard: Vec<u64> = serials.iter().copied().filter(|s| !skipped.contains(s)).collect();
        for serial in &heard {
            chain.post_only(*serial, None, 150_000);
        }
        let newest = *heard.iter().max().unwrap();
        let open = skipped.iter().filter(|s| **s > first && **s < newest).count() as u64;
        prop_assert_eq!(chain.missing() + chain.lost(), open);
        prop_assert_eq!(chain.completeness(false), Completeness::Seen);
    }
}

#[test]
fn an_evicted_prefix_of_150_000_serials_costs_a_few_dozen_questions() {
    let mut run = Run::new(30, 30);
    run.device.append(150_100);
    run.device.evict(150_000);
    run.settle();
    run.check(false);
    assert!(run.questions < 40, "{}", run.questions);
    assert_eq!((run.chain.before(), run.chain.lost()), (150_000, 0));
}

#[test]
fn a_ring_overrun_while_we_were_away_is_lost_and_counted() {
    let mut run = Run::new(30, 30);
    run.device.append(100);
    run.settle();
    run.device.append(1_000);
    run.device.evict(600);
    run.settle();
    run.check(false);
    assert_eq!((run.chain.before(), run.chain.lost()), (0, 500));
}

#[test]
fn a_new_punch_is_asked_for_next_but_one_at_the_latest_while_history_is_read() {
    let mut run = Run::new(30, 30);
    run.device.append(100_000);
    run.poll(true);
    for _ in 0..200 {
        run.device.append(1);
        run.poll(true);
        let asked = [run.ask(true), run.ask(true)];
        assert_eq!(asked, [true, true]);
        assert!(
            run.rows.contains(&(0, run.device.newest)),
            "stored within two questions"
        );
    }
    // And the history went on meanwhile, from its oldest end.
    assert!(
        run.rows.contains(&(0, 1)) && run.rows.len() > 5_000,
        "{}",
        run.rows.len()
    );
}

#[test]
fn a_clock_set_back_is_not_taken_for_a_reset() {
    let mut run = Run::new(30, 30);
    run.device.append(500);
    run.settle();
    // Ordered by time, an old record stands before the newest now.
    let Newest::Doubt { ask } = run.chain.device_says_newest(480) else {
        panic!("no doubt")
    };
    let got = run.device.search(ask);
    assert_eq!(run.chain.doubt_answered(480, ask, &got), Newest::Same);
    assert_eq!((run.chain.epoch(), run.chain.missing()), (0, 0));
    // A device that answers with anything but what was asked proves nothing.
    assert_eq!(
        run.chain.doubt_answered(480, ask, &[3]),
        Newest::Doubt { ask }
    );
    assert_eq!(run.chain.doubt_answered(480, ask, &[]), Newest::Reset);
    assert_eq!(
        (run.chain.epoch(), run.chain.missing(), run.chain.lost()),
        (1, 480, 0)
    );
}

#[test]
fn a_search_that_lags_behind_the_stream_is_waited_for_and_then_doubted() {
    let mut chain = Chain::new();
    chain.device_says_newest(100);
    while let Some(range) = chain.next_range(100) {
        chain.answered(range, &(range.0..=range.1).collect::<Vec<_>>());
    }
    // The stream is ahead of the search; the hole below is not asked for before it shows.
    chain.stored(&[105], None);
    assert_eq!((chain.missing(), chain.next_range(30)), (4, None));
    for _ in 0..3 {
        assert_eq!(chain.device_says_newest(102), Newest::Same);
        assert_eq!(chain.next_range(30), Some((101, 102)));
    }
    assert_eq!(
        chain.device_says_newest(102),
        Newest::Doubt {
            ask: (105, 3_000_000_000)
        }
    );
    assert_eq!(chain.device_says_newest(106), Newest::Ahead(1));
    assert_eq!(
        (chain.missing(), chain.next_range(30)),
        (5, Some((101, 104)))
    );
}

#[test]
fn what_the_search_cannot_show_yet_is_not_given_up() {
    let mut chain = Chain::new();
    chain.device_says_newest(10);
    chain.answered((1, 10), &(1..=10).collect::<Vec<_>>());
    chain.stored(&[20], None);
    chain.answered((10, 3_000_000_000), &[10, 12]);
    assert_eq!((chain.lost(), chain.missing()), (1, 7));
}

#[test]
fn what_the_ring_drops_while_history_is_read_is_lost_and_not_before() {
    let mut run = Run::new(30, 30);
    run.device.append(10_000);
    run.device.evict(5_000);
    run.poll(true);
    while !run.rows.contains(&(0, 5_001)) {
        assert!(run.ask(true));
    }
    let oldest_left = (5_001..).find(|s| !run.rows.contains(&(0, *s))).unwrap();
    run.device
        .evict(usize::try_from(oldest_left - 5_001).unwrap() + 100);
    run.settle();
    run.check(false);
    assert_eq!((run.chain.before(), run.chain.lost()), (5_000, 100));
}

#[test]
fn more_than_eight_gaps_are_joined_and_all_are_closed() {
    let mut run = Run::new(30, 30);
    run.device.append(40);
    for serial in (2..40).step_by(2) {
        run.hint(serial, true);
    }
    // Answering the middle of a gap makes two of it.
    let text = run.chain.text();
    assert_eq!(Chain::parse(&text), Some(run.chain.clone()));
    run.chain.answered((5, 6), &[5, 6]);
    assert_eq!(Chain::parse(&run.chain.text()), Some(run.chain.clone()));
    run.rows.insert((0, 5));
    run.settle();
    run.check(true);
}

#[test]
fn hints_are_believed_within_reason() {
    let wall = |text: &str| WallTime::parse(text.as_bytes());
    let mut chain = Chain::new();
    assert_eq!(chain.hint(0, None), Hint::Doubtful);
    assert_eq!(chain.hint(5_000, None), Hint::New);
    chain.stored(&[5_000], wall("2026-11-02 09:00:00"));
    assert_eq!(chain.hint(5_001, None), Hint::New);
    assert_eq!(chain.hint(205_000, None), Hint::New);
    assert_eq!(chain.hint(205_001, None), Hint::Doubtful);
    assert_eq!(chain.hint(u64::MAX, None), Hint::Doubtful);
    assert_eq!(chain.hint(5_000, None), Hint::Known);
    assert_eq!(chain.hint(7, wall("2026-11-01 09:00:00")), Hint::Filling);
    assert_eq!(chain.hint(7, wall("2026-11-02 09:00:01")), Hint::Doubtful);
    assert_eq!(
        chain.hint(4_999, wall("2026-11-02 09:00:00")),
        Hint::Filling
    );
    assert_eq!(
        chain.hint(4_999, wall("2026-11-02 09:00:01")),
        Hint::Doubtful
    );
}

#[test]
fn a_poster_that_falls_by_more_than_half_its_ring_later_begins_a_new_epoch() {
    let wall = |text: &str| WallTime::parse(text.as_bytes());
    let mut chain = Chain::new();
    assert_eq!(chain.post_only(0, None, 100), PostStep::NoSerial);
    assert_eq!(
        chain.post_only(1_000, wall("2026-11-02 09:00:00"), 100),
        PostStep::First
    );
    assert_eq!(
        chain.post_only(1_003, wall("2026-11-02 09:00:05"), 100),
        PostStep::New { gap: 2 }
    );
    assert_eq!(
        chain.post_only(1_001, wall("2026-11-02 09:00:01"), 100),
        PostStep::Late
    );
    assert_eq!(
        chain.post_only(1_001, wall("2026-11-02 09:00:01"), 100),
        PostStep::Known
    );
    // Replayed history, and one that fell by less than half.
    assert_eq!(
        chain.post_only(3, wall("2026-11-01 09:00:00"), 100),
        PostStep::Known
    );
    assert_eq!(
        chain.post_only(960, wall("2026-11-03 09:00:00"), 100),
        PostStep::Known
    );
    assert_eq!(chain.post_only(3, None, 100), PostStep::Known);
    assert_eq!((chain.epoch(), chain.missing()), (0, 1));
    assert_eq!(
        chain.post_only(3, wall("2026-11-03 09:00:00"), 100),
        PostStep::Reset
    );
    assert_eq!((chain.epoch(), chain.missing(), chain.lost()), (1, 2, 1));
    assert_eq!(
        chain.post_only(1, wall("2026-11-03 08:00:00"), 100),
        PostStep::Late
    );
    assert_eq!(Chain::parse(&chain.text()), Some(chain));
}

#[test]
fn a_device_that_does_not_keep_to_the_range_is_noticed() {
    let mut chain = Chain::new();
    chain.device_says_newest(1_000);
    let range = chain.next_range(30).unwrap();
    assert_eq!(range, (971, 1_000));
    assert!(!chain.more(range, &[1, 2, 3]));
    assert!(chain.more(range, &[971]));
}

#[test]
fn another_record_under_the_newest_serial_shows_that_the_count_began_again() {
    let wall = |text: &str| WallTime::parse(text.as_bytes()).unwrap();
    let mut chain = Chain::new();
    assert_eq!(chain.anchor(), None);
    chain.stored(&[40], Some(wall("2026-11-02 09:00:00")));
    assert_eq!(chain.anchor(), Some(40));
    assert!(chain.is_anchored(wall("2026-11-02 09:00:00")));
    // The same record in another zone, half hours included.
    assert!(chain.is_anchored(wall("2026-11-02 14:30:00")));
    assert!(!chain.is_anchored(wall("2026-11-02 09:00:07")));
    assert!(!chain.is_anchored(wall("2026-11-05 09:00:00")));
    // A newer serial whose time nobody said is no anchor.
    chain.device_says_newest(41);
    assert_eq!(chain.anchor(), None);
    chain.anchor_lost(60);
    assert_eq!(
        (chain.epoch(), chain.newest(), chain.missing()),
        (1, Some(60), 60)
    );
}

#[test]
fn what_a_device_dropped_before_us_is_told_of_after_it_began_again_and_its_new_ones_are_asked_for()
{
    let mut chain = Chain::new();
    chain.device_says_newest(100);
    chain.answered((1, 100), &(41..=100).collect::<Vec<_>>());
    assert_eq!((chain.before(), chain.lost()), (40, 0));
    chain.anchor_lost(60);
    assert_eq!((chain.before(), chain.lost()), (40, 0));
    // The search has shown the new count, so it is asked for without another poll.
    assert_eq!(chain.next_range(100), Some((1, 60)));
    // We knew the device when it wrote them: what it dropped of them is a loss.
    chain.answered((1, 60), &(21..=60).collect::<Vec<_>>());
    assert_eq!((chain.before(), chain.lost()), (40, 20));
}

/// A post-only chain that has heard these serials.
fn heard(mut chain: Chain, serials: &[u64]) -> Chain {
    for &serial in serials {
        chain.post_only(serial, None, 150_000);
    }
    chain
}

proptest! {
    #[test]
    fn two_copies_of_a_chain_put_together_miss_only_what_neither_heard(
        common in prop::collection::vec(100..110_u64, 1..6),
        one in prop::collection::vec(100..125_u64, 0..12),
        other in prop::collection::vec(100..125_u64, 0..12),
    ) {
        // The first is known to both, so that nothing lies below what they count from.
        let base = heard(heard(Chain::new(), &[100]), &common);
        let (a, b) = (heard(base.clone(), &one), heard(base, &other));
        let all: BTreeSet<u64> = [&[100], &common[..], &one, &other].concat().into_iter().collect();
        let newest = *all.iter().max().unwrap();
        let missing = newest - 99 - all.len() as u64;
        for both in [a.with(&b, false), b.with(&a, false)] {
            prop_assert_eq!(both.newest(), Some(newest));
            prop_assert!(both.lost() >= a.lost().max(b.lost()));
            // With more gaps than are kept apart, the oldest are given up.
            if both.lost() == 0 {
                prop_assert_eq!(both.missing(), missing);
            }
        }
    }
}

#[test]
fn a_chain_that_grew_from_an_old_copy_adds_no_gap_to_the_one_it_is_put_together_with() {
    let old = heard(Chain::new(), &(1..=100).collect::<Vec<_>>());
    let stored = heard(old.clone(), &(101..=110).collect::<Vec<_>>());
    let stale = heard(old, &[111]);
    assert_eq!(stale.missing(), 10);
    assert_eq!(stored.with(&stale, false).missing(), 0);
    // One that knew nothing at all does not hide what is missing between.
    assert_eq!(
        stored.with(&heard(Chain::new(), &[113]), false).missing(),
        2
    );
    assert_eq!(Chain::new().with(&stored, false), stored);
}
