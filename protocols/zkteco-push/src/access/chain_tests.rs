//! What the index chain may claim, by example and by law.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A record whose time rises with a number.
fn at(index: u64, minute: u64) -> Place {
    let packed = 10_002 * 86_400 + minute * 60;
    Place {
        index,
        wall: unpack(packed),
    }
}

fn after(chain: &mut IndexChain, indices: impl IntoIterator<Item = u64>) {
    let places: Vec<Place> = indices.into_iter().map(|n| at(n, n)).collect();
    assert!(!chain.stored(&places));
}

#[test]
fn a_gap_is_seen_and_filled_and_a_full_answer_proves_the_rest() {
    let mut chain = IndexChain::new();
    assert_eq!(chain.completeness(), Completeness::Unproven);
    after(&mut chain, [140, 141, 145]);
    assert_eq!((chain.missing(), chain.gaps()), (3, &[(142, 144)][..]));
    after(&mut chain, [143]);
    assert_eq!(chain.gaps(), [(142, 142), (144, 144)]);
    assert_eq!(chain.completeness(), Completeness::Seen);
    let question = chain.ask();
    after(&mut chain, [142, 146, 148]);
    assert_eq!(chain.answered_in_full(question), 1);
    // 147 was not known to be missing when the terminal was asked.
    assert_eq!((chain.gone(), chain.gaps()), (1, &[(147, 147)][..]));
    assert_eq!(chain.completeness(), Completeness::Seen);
    after(&mut chain, [147]);
    assert_eq!(chain.completeness(), Completeness::Proven);
}

#[test]
fn without_an_answer_of_the_terminal_nothing_is_proven() {
    let mut chain = IndexChain::new();
    after(&mut chain, 1..=500);
    assert_eq!(
        (chain.missing(), chain.completeness()),
        (0, Completeness::Seen)
    );
}

#[test]
fn what_came_before_the_first_record_belongs_to_it_as_soon_as_it_comes() {
    let mut chain = IndexChain::new();
    after(&mut chain, [140]);
    after(&mut chain, [100]);
    assert_eq!(chain.gaps(), [(101, 139)]);
    after(&mut chain, 101..=139);
    assert_eq!(chain.missing(), 0);
}

#[test]
fn a_known_index_with_a_later_time_is_the_beginning_of_another_count() {
    let mut chain = IndexChain::new();
    after(&mut chain, [1, 2, 4, 50]);
    assert!(chain.stored(&[at(3, 60)]));
    assert_eq!((chain.epoch(), chain.newest()), (1, Some(3)));
    assert_eq!(chain.gaps(), [(1, 2)]);
    assert_eq!(chain.gone(), 1 + 45);
    // An answer to a question of the count before says nothing of this one.
    let mut other = chain.clone();
    assert_eq!(other.answered_in_full(IndexChain::new().ask()), 0);
    assert_eq!(other, chain);
}

#[test]
fn a_count_that_has_passed_the_old_one_is_noticed_by_the_time_of_its_newest() {
    let mut chain = IndexChain::new();
    after(&mut chain, [1, 2, 3]);
    assert!(
        !chain.stored(&[at(3, 3)]),
        "the same record again is nothing new"
    );
    assert!(chain.stored(&[at(3, 2)]));
    assert_eq!(chain.epoch(), 1);
}

#[test]
fn a_record_sent_again_and_one_that_was_overtaken_are_no_new_count() {
    let mut chain = IndexChain::new();
    after(&mut chain, [1, 2, 5]);
    after(&mut chain, [1]);
    after(&mut chain, [3, 4]);
    assert_eq!((chain.epoch(), chain.missing()), (0, 0));
}

#[test]
fn a_clock_that_is_not_believed_neither_begins_a_count_nor_sets_its_latest_time() {
    let mut chain = IndexChain::new();
    after(&mut chain, [1, 2]);
    assert!(!chain.stored(&[Place {
        index: 1,
        wall: None
    }]));
    after(&mut chain, [3]);
    assert_eq!(chain.epoch(), 0);
}

#[test]
fn numbers_that_are_no_index_change_nothing() {
    let mut chain = IndexChain::new();
    assert!(!chain.stored(&[at(0, 1), at(MAX_INDEX + 1, 1)]));
    assert_eq!(chain, IndexChain::new());
    for text in [
        "",
        "1",
        "2 0 0 0 0 0 0 0",
        "1 0 5 4 0 0 0 0",
        "1 0 1 4 0 0 0 0 2+9",
        "1 0 1 4 zz zzzzzzzzz 0 0",
    ] {
        assert_eq!(IndexChain::parse(text), None, "{text:?}");
    }
}

/// What a terminal does, and what of it reaches us.
#[derive(Debug, Clone)]
enum Step {
    /// It makes so many records; those whose bit is set come, in a shuffled order.
    Make(Vec<bool>),
    /// A record that it holds is sent again.
    Again(u64),
    /// It is asked for everything and answers in full.
    Answer,
    /// Its log is cleared, and its count begins again.
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(prop::bool::weighted(0.8), 1..12).prop_map(Step::Make),
        2 => (1u64..60).prop_map(Step::Again),
        1 => Just(Step::Answer),
        1 => Just(Step::Clear),
    ]
}

/// A terminal beside its chain: the truth that the chain is measured by.
#[derive(Default)]
struct World {
    chain: IndexChain,
    minute: u64,
    held: Vec<Place>,
    came: BTreeSet<u64>,
    cleared: bool,
}

impl World {
    fn come(&mut self, mut places: Vec<Place>) {
        places.reverse();
        let epoch = self.chain.epoch();
        self.chain.stored(&places);
        if self.chain.epoch() != epoch {
            self.cleared = false;
        }
        self.came.extend(places.iter().map(|place| place.index));
    }

    fn make(&mut self, coming: &[bool]) {
        let mut places = Vec::new();
        for come in coming {
            self.minute += 1;
            let place = at(u64::try_from(self.held.len()).unwrap() + 1, self.minute);
            self.held.push(place);
            if *come {
                places.push(place);
            }
        }
        self.come(places);
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Make(coming) => self.make(coming),
            Step::Again(index) => {
                let place = self.held.iter().find(|place| place.index == *index);
                if let Some(place) = place.copied() {
                    self.come(vec![place]);
                }
            }
            Step::Answer => {
                let question = self.chain.ask();
                self.come(self.held.clone());
                self.chain.answered_in_full(question);
            }
            Step::Clear => {
                // A clock that has not moved since would hide the new count for a minute.
                self.minute += 1;
                self.held.clear();
                self.came.clear();
                self.cleared = true;
            }
        }
    }

    /// Records of the present count that exist up to the newest known and did not come.
    fn truly_missing(&self) -> BTreeSet<u64> {
        let newest = self.chain.newest().unwrap_or(0);
        let first = self.came.first().copied().unwrap_or(u64::MAX);
        let first = if self.chain.epoch() > 0 { 1 } else { first };
        let held = self.held.iter().map(|place| place.index);
        held.filter(|n| first <= *n && *n <= newest && !self.came.contains(n))
            .collect()
    }
}

proptest! {
    #[test]
    fn it_never_claims_more_than_is_true(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World::default();
        for step in &steps {
            world.take(step);
            // Between the clearing and the first record after it nobody can know.
            if world.cleared {
                continue;
            }
            let told: BTreeSet<u64> = world.chain.gaps().iter().flat_map(|(b, e)| *b..=*e).collect();
            let missing = world.truly_missing();
            prop_assert!(told.is_superset(&missing), "{:?} lacks some of {:?}", told, missing);
            if world.chain.completeness() == Completeness::Proven {
                prop_assert!(missing.is_empty());
            }
        }
    }

    #[test]
    fn it_is_written_down_in_180_bytes_and_read_back(steps in prop::collection::vec(step(), 0..40), jump in 0u64..MAX_INDEX) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.take(step));
        let mut chain = world.chain;
        let rows: Vec<Place> = (0..20).map(|n| at(MAX_INDEX - jump.min(MAX_INDEX - 100) - 2 * n, 9_000_000)).collect();
        for chain in [&mut chain.clone(), { chain.stored(&rows); &mut chain }] {
            let text = chain.text();
            prop_assert!(text.len() <= 180, "{}", text);
            prop_assert_eq!(IndexChain::parse(&text), Some(chain.clone()));
        }
    }

    #[test]
    fn the_order_within_one_upload_does_not_matter(indices in prop::collection::vec(1u64..80, 1..30), before in prop::collection::vec(1u64..40, 0..10)) {
        let places: Vec<Place> = indices.iter().map(|n| at(*n, *n)).collect();
        let mut known = IndexChain::new();
        known.stored(&before.iter().map(|n| at(*n, *n)).collect::<Vec<_>>());
        let (mut one, mut other) = (known.clone(), known);
        one.stored(&places);
        other.stored(&places.into_iter().rev().collect::<Vec<_>>());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn no_text_at_all_makes_it_panic(text in "([0-9a-z+ ]{0,60}|\\PC{0,60})") {
        IndexChain::parse(&text);
    }
}
