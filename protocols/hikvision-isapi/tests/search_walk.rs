//! Walks over all pages of devices that cut pages down, promise more than they give, count as
//! text and serve only so many positions.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use hikvision_isapi::{Page, Question, SearchRange, Walk, WalkStep, read_page};
use proptest::prelude::*;

const RANGE: SearchRange = SearchRange::Serials {
    begin: 1,
    end: 3_000_000_000,
};

/// How a device answers a page.
struct Habits {
    holds: u32,
    cap: u32,
    numbers_as_text: bool,
    positions: u32,
}

impl Habits {
    fn answer(&self, question: &Question) -> Page {
        let from = question.position.min(self.holds);
        let came = question.page.min(self.cap).min(self.holds - from);
        // Not in order within the page, as devices do not promise it.
        let items: Vec<String> = (from..from + came)
            .rev()
            .map(|n| {
                format!(
                    r#"{{"major":5,"minor":75,"time":"2026-11-02T08:59:31+05:00","serialNo":{}}}"#,
                    n + 1
                )
            })
            .collect();
        let status = match (from + came < self.holds, came) {
            (true, _) => "MORE",
            (false, 0) => "NO MATCH",
            (false, _) => "OK",
        };
        let total = match self.numbers_as_text {
            true => format!("\"{}\"", self.holds),
            false => self.holds.to_string(),
        };
        let list = match came {
            0 => String::new(),
            _ => format!(r#","InfoList":[{}]"#, items.join(",")),
        };
        let body = format!(
            r#"{{"AcsEvent":{{"searchID":"{}","responseStatusStrg":"{status}","numOfMatches":{came},"totalMatches":{total}{list}}}}}"#,
            question.search_id
        );
        read_page(body.as_bytes()).unwrap()
    }
}

proptest! {
    #[test]
    fn every_record_comes_once_whatever_the_device_makes_of_the_page(
        holds in 0u32..400, cap in 1u32..40, page in 1u32..60, numbers_as_text in any::<bool>(),
    ) {
        let device = Habits { holds, cap, numbers_as_text, positions: 1_000 };
        let mut walk = Walk::new(RANGE, page, device.positions, "walk-1".into());
        let mut serials: Vec<u64> = Vec::new();
        loop {
            let page = device.answer(walk.question());
            prop_assert_eq!(walk.question().search_id.as_str(), "walk-1");
            serials.extend(&page.serials);
            match walk.take(&page) {
                WalkStep::Next => prop_assert!(serials.len() < holds as usize),
                WalkStep::Whole => break,
                other => prop_assert!(false, "{other:?}"),
            }
        }
        serials.sort_unstable();
        prop_assert_eq!(serials, (1..=u64::from(holds)).collect::<Vec<_>>());
    }
}

#[test]
fn a_page_of_30_for_50_asked_does_not_end_the_walk() {
    let device = Habits {
        holds: 95,
        cap: 30,
        numbers_as_text: true,
        positions: 1_000,
    };
    let mut walk = Walk::new(RANGE, 50, 1_000, "a".into());
    let positions: Vec<u32> = std::iter::from_fn(|| {
        let position = walk.question().position;
        let page = device.answer(walk.question());
        (walk.take(&page) == WalkStep::Next).then_some(position)
    })
    .collect();
    assert_eq!(
        (positions.as_slice(), walk.received()),
        (&[0, 30, 60][..], 95)
    );
}

#[test]
fn more_without_a_record_is_asked_three_times_and_no_more() {
    let empty = read_page(
        br#"{"AcsEvent":{"responseStatusStrg":"MORE","numOfMatches":0,"totalMatches":9}}"#,
    )
    .unwrap();
    let mut walk = Walk::new(RANGE, 30, 1_000, "a".into());
    let steps: Vec<WalkStep> = (0..3).map(|_| walk.take(&empty)).collect();
    assert_eq!(steps, [WalkStep::Next, WalkStep::Next, WalkStep::Stuck]);
}

#[test]
fn an_end_before_all_that_was_counted_came_is_not_whole() {
    let short = read_page(br#"{"AcsEvent":{"responseStatusStrg":"OK","totalMatches":2,"InfoList":[{"major":1,"minor":1,"time":"2026-11-02T08:59:31"}]}}"#).unwrap();
    assert_eq!(
        Walk::new(RANGE, 30, 1_000, "a".into()).take(&short),
        WalkStep::Short
    );
    assert!(!short.is_whole());
}

#[test]
fn a_device_that_promises_more_for_ever_is_left_at_its_last_position() {
    let mut walk = Walk::new(RANGE, 30, 100, "a".into());
    let endless = Habits {
        holds: u32::MAX,
        cap: 30,
        numbers_as_text: false,
        positions: 100,
    };
    let mut pages = 0;
    let step = loop {
        pages += 1;
        let page = endless.answer(walk.question());
        match walk.take(&page) {
            WalkStep::Next => {}
            other => break other,
        }
    };
    assert_eq!((step, pages), (WalkStep::TooMany, 4));
}

#[test]
fn the_same_page_again_ends_a_walk_that_would_never_end() {
    let page = |serial: u64| {
        let record = format!("{{\"major\":5,\"minor\":75,\"serialNo\":{serial}}}");
        let text = format!(
            "{{\"AcsEvent\":{{\"responseStatusStrg\":\"MORE\",\"totalMatches\":4294967295,\
             \"InfoList\":[{record}]}}}}"
        );
        read_page(text.as_bytes()).unwrap()
    };
    let mut walk = Walk::new(RANGE, 30, u32::MAX, "a".into());
    let steps: Vec<WalkStep> = [7, 8, 7, 7].map(|serial| walk.take(&page(serial))).to_vec();
    let next = WalkStep::Next;
    assert_eq!(steps, [next, next, next, WalkStep::Stuck]);
}
