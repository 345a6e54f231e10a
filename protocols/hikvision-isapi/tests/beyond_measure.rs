//! Posts with more text than any event has: what was not read stands whole in quarantine, up to a
//! limit, and beyond that its bytes are counted. Nothing is lost in silence, and nothing that may
//! be a picture is kept.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails its test")]

use event::Bytes;
use hikvision_isapi::{Heard, Post, PostReader, TEXT_LIMIT, reread};

const GOOD: &[u8] = b"\r\n--b\r\n\r\n{\"eventType\":\"GOOD\"}\r\n";

/// What stands among what was heard and was not read, one piece after the other.
fn unread(post: &Post) -> Vec<&[u8]> {
    let unread = post.heard.iter().filter_map(|heard| match heard {
        Heard::Unreadable(unreadable) => Some(&unreadable.raw[..]),
        _ => None,
    });
    unread.collect()
}

#[test]
fn a_part_that_is_too_long_stands_whole_among_what_was_heard_and_so_goes_to_quarantine() {
    let long = format!("{{\"eventType\":\"{}\"}}\r\n", "x\n".repeat(500 * 1024));
    for chunk in [long.len(), 8 * 1024, 1_000, 61] {
        let mut reader = PostReader::new(None);
        reader.push(b"--b\r\n\r\n");
        for piece in long.as_bytes().chunks(chunk) {
            reader.push(piece);
        }
        reader.push(&GOOD[2..]);
        let post = reader.finish();
        assert!(matches!(post.heard.last(), Some(Heard::Record(_))));
        assert_eq!((post.skipped, post.left_out, post.dropped), (1, 0, 0));
        let pieces = unread(&post);
        assert!(pieces.iter().all(|piece| piece.len() <= TEXT_LIMIT));
        assert_eq!(pieces.len(), long.len().div_ceil(TEXT_LIMIT));
        assert!(pieces.concat() == long.as_bytes(), "in chunks of {chunk}");
    }
}

#[test]
fn a_post_keeps_three_megabytes_that_it_does_not_read_and_counts_what_is_beyond() {
    let part = |n: usize| format!("{{\"eventType\":\"{n:05}{}\"}}", "x".repeat(200_000));
    let mut reader = PostReader::new(None);
    for n in 0..50 {
        reader.push(format!("--b\r\n\r\n{}\r\n", part(n)).as_bytes());
        assert!(reader.held() <= 5 << 20);
    }
    let post = reader.finish();
    assert_eq!(post.left_out, 45);
    let kept = unread(&post).concat();
    assert_eq!(kept.len(), 3 << 20);
    let all: Vec<u8> = (5..50).flat_map(|n| part(n).into_bytes()).collect();
    assert!(all.starts_with(&kept));
    assert_eq!(
        usize::try_from(post.dropped).unwrap() + kept.len(),
        all.len()
    );

    let mut reader = PostReader::new(None);
    reader.push(b"--b\r\n\r\n{\"eventType\":\"");
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        reader.push(&megabyte);
        assert!(reader.held() <= 5 << 20);
    }
    let post = reader.finish();
    assert_eq!(unread(&post).concat().len(), 3 << 20);
    assert_eq!(post.dropped, (97 << 20) + 14);
}

#[test]
fn documents_beyond_those_that_are_read_of_a_post_are_kept_whole_and_read_by_a_replay() {
    let mut reader = PostReader::new(None);
    let document = |n: usize| format!("{{\"eventType\":\"{n}\"}}");
    let all: String = (0..5_000).map(document).collect();
    reader.push(all.as_bytes());
    let post = reader.finish();
    assert_eq!((post.left_out, post.dropped), (5_000 - 1_024, 0));
    let pieces = unread(&post);
    assert_eq!(pieces.len(), 1);
    let again = reread(false, &Bytes::copy_from_slice(pieces[0]));
    let kinds = again.iter().map(|heard| match heard {
        Heard::Record(record) => record.event_type.as_deref().unwrap().parse().unwrap(),
        other => panic!("{other:?}"),
    });
    let kinds: Vec<usize> = kinds.collect();
    assert_eq!(kinds, (1_024..5_000).collect::<Vec<_>>());
}

#[test]
fn what_stands_behind_a_head_that_is_too_long_may_be_a_picture_and_is_only_counted() {
    let mut reader = PostReader::new(None);
    reader.push(b"--b\r\nX: ");
    reader.push(&[b'y'; 10_000]);
    reader.push(b"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8");
    reader.push(&[0x55; 100_000]);
    reader.push(GOOD);
    let post = reader.finish();
    assert!(matches!(post.heard.last(), Some(Heard::Record(_))));
    assert!(!unread(&post).concat().contains(&0x55));
    assert!(post.dropped > 100_000);
}
