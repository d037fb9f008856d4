//! What the tree has to be good at: depth, numbers, little memory, and giving it back.

use super::{Change, Held, Matched, Subscribers, Topics};

/// A peer's million topics; in a slow build, fewer.
const MANY: usize = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };

/// Topics as applications make them, 21 to 40 bytes long.
fn market(number: usize) -> String {
    const VENUES: [&str; 4] = ["XETR", "NYSE", "FRANKFURT", "SINGAPORE-EX"];
    format!("market.{}.symbol.{number:06}", VENUES[number % 4])
}

/// Topics that share nothing, 16 to 40 bytes long: the golden ratio scatters well.
fn scattered(number: usize) -> String {
    let number = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let long = format!("{number:016x}{:024x}", number.rotate_left(32));
    long[..16 + (number % 25) as usize].to_owned()
}

fn matched(subscribers: &Subscribers, frame: &[u8]) -> Vec<usize> {
    let mut matched = Matched::default();
    subscribers.matches(frame, &mut matched);
    let mut pipes = matched.pipes().to_vec();
    pipes.sort_unstable();
    pipes
}

fn subscribe_all(subscribers: &mut Subscribers, pipe: usize, topics: impl Iterator<Item = String>) -> usize {
    topics
        .map(|topic| {
            assert_ne!(subscribers.subscribe(pipe, topic.as_bytes()), Change::Duplicate);
            topic.len()
        })
        .sum()
}

#[test]
fn changes_are_told_apart() {
    let mut subscribers = Subscribers::default();
    assert_eq!(subscribers.cancel(1, b"news"), Change::Unmatched);
    assert_eq!(subscribers.subscribe(1, b"news"), Change::First);
    assert_eq!(subscribers.subscribe(1, b"news"), Change::Duplicate);
    assert_eq!(subscribers.subscribe(2, b"news"), Change::Another);
    assert_eq!(subscribers.cancel(3, b"news"), Change::Unmatched);
    assert_eq!(subscribers.cancel(1, b"new"), Change::Unmatched);
    assert_eq!(subscribers.cancel(1, b"news"), Change::Left, "twice in, once out");
    assert_eq!(subscribers.cancel(1, b"news"), Change::Unmatched);
    assert_eq!(subscribers.cancel(2, b"news"), Change::Last);
    assert_eq!(subscribers.topics(), 0);
}

#[test]
fn a_pipe_that_matches_twice_is_found_once() {
    let mut subscribers = Subscribers::default();
    for topic in ["", "a", "abc", "abd"] {
        subscribers.subscribe(7, topic.as_bytes());
        subscribers.subscribe(8, topic.as_bytes());
    }
    subscribers.subscribe(9, b"ab");
    assert_eq!(matched(&subscribers, b"abcd"), [7, 8, 9]);
    assert_eq!(matched(&subscribers, b"a"), [7, 8]);
    assert_eq!(matched(&subscribers, b""), [7, 8]);
    subscribers.remove_pipe(8, |_, _| {});
    subscribers.cancel(7, b"");
    assert_eq!(matched(&subscribers, b"b"), Vec::<usize>::new());
    assert_eq!(matched(&subscribers, b"abx"), [7, 9]);
}

#[test]
fn a_pipe_is_shown_out_with_its_topics() {
    let mut subscribers = Subscribers::default();
    for (pipe, topic) in [(1, "a"), (1, "b"), (1, ""), (2, "b"), (2, "c")] {
        subscribers.subscribe(pipe, topic.as_bytes());
    }
    subscribers.subscribe(1, b"gone");
    subscribers.cancel(1, b"gone");
    assert_eq!(subscribers.held(1), Held { topics: 3, bytes: 2 });
    let mut shown = Vec::new();
    subscribers.remove_pipe(1, |topic, change| shown.push((topic.to_vec(), change)));
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        (b"".to_vec(), Change::Last),
        (b"a".to_vec(), Change::Last),
        (b"b".to_vec(), Change::Left),
    ];
    assert_eq!(shown, expected);
    assert_eq!(subscribers.held(1), Held::default());
    let mut pairs = Vec::new();
    subscribers.for_each(|topic, pipe| pairs.push((topic.to_vec(), pipe)));
    assert_eq!(pairs, [(b"b".to_vec(), 2), (b"c".to_vec(), 2)]);
}

#[test]
fn a_chain_of_nested_topics_is_no_deep_stack() {
    const DEPTH: usize = if cfg!(debug_assertions) { 1_500 } else { 20_000 };
    let long = vec![b'a'; DEPTH];
    let mut subscribers = Subscribers::default();
    for len in 0..=DEPTH {
        assert_eq!(subscribers.subscribe(1, &long[..len]), Change::First);
    }
    assert_eq!(matched(&subscribers, &long), [1]);
    let mut count = 0;
    subscribers.for_each(|topic, _| {
        assert_eq!(topic.len(), count);
        count += 1;
    });
    assert_eq!(count, DEPTH + 1);
    subscribers.subscribe(2, &long);
    let mut shown = 0;
    subscribers.remove_pipe(1, |_, _| shown += 1);
    assert_eq!((shown, subscribers.topics()), (DEPTH + 1, 1));
    assert_eq!(matched(&subscribers, &long), [2]);
    assert!(subscribers.heap_bytes() < 64 * 1024, "the chain is one again");
}

#[test]
fn a_vast_topic_is_a_chain_of_labels() {
    let vast = vec![b'v'; 16 * 1024 * 1024];
    let mut subscribers = Subscribers::default();
    subscribers.subscribe(1, &vast);
    assert_eq!(matched(&subscribers, &vast), [1]);
    assert_eq!(matched(&subscribers, &vast[1..]), Vec::<usize>::new());
    // A short topic in its middle costs little, and leaves nothing behind.
    let before = subscribers.heap_bytes();
    for len in [1, 100, 254, 255, 256, 300] {
        assert_eq!(subscribers.subscribe(2, &vast[..len]), Change::First);
        assert_eq!(subscribers.cancel(2, &vast[..len]), Change::Last);
    }
    assert!(subscribers.heap_bytes() <= before + 1024);
    assert_eq!(subscribers.cancel(1, &vast), Change::Last);
    assert!(subscribers.heap_bytes() <= 32 * 1024);
}

#[test]
fn every_byte_has_its_branch() {
    let mut subscribers = Subscribers::default();
    for byte in (0..=255u8).rev() {
        subscribers.subscribe(usize::from(byte), &[b'x', byte]);
    }
    for byte in 0..=255u8 {
        assert_eq!(matched(&subscribers, &[b'x', byte, 1]), [usize::from(byte)]);
    }
    for byte in (0..=255u8).filter(|byte| byte % 3 != 0) {
        assert_eq!(subscribers.cancel(usize::from(byte), &[b'x', byte]), Change::Last);
    }
    for byte in 0..=255u8 {
        let expected: &[usize] = if byte % 3 == 0 { &[usize::from(byte)] } else { &[] };
        assert_eq!(matched(&subscribers, &[b'x', byte]), expected);
    }
}

#[test]
fn a_thousand_pipes_want_everything() {
    let mut subscribers = Subscribers::default();
    for pipe in (0..1000).rev() {
        subscribers.subscribe(pipe << 32, b"");
    }
    let all: Vec<_> = (0..1000).map(|pipe| pipe << 32).collect();
    assert_eq!(matched(&subscribers, b"anything"), all);
    assert_eq!(subscribers.topics(), 1);
    for pipe in 0..1000 {
        let expected = if pipe < 999 { Change::Left } else { Change::Last };
        subscribers.remove_pipe(pipe << 32, |topic, change| {
            assert_eq!((topic, change), (&b""[..], expected));
        });
    }
    assert_eq!(matched(&subscribers, b"anything"), Vec::<usize>::new());
}

#[test]
fn rounds_of_marks_start_anew() {
    let mut subscribers = Subscribers::default();
    for topic in ["", "a"] {
        subscribers.subscribe(1, topic.as_bytes());
    }
    let mut matched = Matched::default();
    subscribers.matches(b"a", &mut matched);
    matched.wear_out();
    for _ in 0..3 {
        subscribers.matches(b"a", &mut matched);
        assert_eq!(matched.pipes(), [1]);
    }
}

#[test]
fn many_topics_of_one_pipe_cost_four_times_their_bytes_at_most() {
    let kinds: [fn(usize) -> String; 2] = [market, scattered];
    for topic in kinds {
        let mut subscribers = Subscribers::default();
        let bytes = subscribe_all(&mut subscribers, 1, (0..MANY).map(topic));
        let held = Held { topics: MANY, bytes };
        assert_eq!(subscribers.held(1), held);
        let heap = subscribers.heap_bytes();
        assert!(heap <= 4 * bytes);
        for number in (0..MANY).step_by(997) {
            assert_eq!(matched(&subscribers, topic(number).as_bytes()), [1]);
        }
        subscribers.remove_pipe(1, |_, change| assert_eq!(change, Change::Last));
        assert!(
            subscribers.heap_bytes() <= 32 * 1024,
            "what was taken is given back"
        );
    }
}

#[test]
fn short_topics_that_share_nothing_keep_to_it_too() {
    let mut subscribers = Subscribers::default();
    let short = (0..MANY).map(|number| scattered(number)[..16].to_owned());
    let bytes = subscribe_all(&mut subscribers, 1, short);
    let heap = subscribers.heap_bytes();
    assert!(heap <= 4 * bytes);
}

#[test]
fn a_peer_that_comes_and_goes_for_ever_does_not_grow_us() {
    const AT_ONCE: usize = 2_000;
    const ROUNDS: usize = if cfg!(debug_assertions) { 20 } else { 200 };
    let mut subscribers = Subscribers::default();
    subscribe_all(&mut subscribers, 0, (0..AT_ONCE).map(market));
    let mut most = [0, 0];
    for round in 0..ROUNDS {
        // Other topics each time, and other lengths, so that what is left does not fit as it is.
        let topic =
            |number: usize| format!("{}{}", scattered(number * ROUNDS + round), "-".repeat(round % 90));
        subscribe_all(&mut subscribers, 1, (0..AT_ONCE).map(topic));
        for topic in (0..AT_ONCE).map(topic) {
            assert_eq!(subscribers.cancel(1, topic.as_bytes()), Change::Last);
        }
        subscribe_all(&mut subscribers, 2, (0..AT_ONCE).map(topic));
        let half = usize::from(round >= ROUNDS / 2);
        most[half] = most[half].max(subscribers.heap_bytes());
        subscribers.remove_pipe(2, |_, _| {});
    }
    assert!(most[1] <= most[0] + most[0] / 4);
    assert_eq!(subscribers.topics(), AT_ONCE);
    for number in 0..AT_ONCE {
        assert_eq!(matched(&subscribers, market(number).as_bytes()), [0]);
    }
}

#[test]
fn one_topic_that_comes_and_goes_for_ever_costs_nothing() {
    let mut subscribers = Subscribers::default();
    for _ in 0..10_000 {
        assert_eq!(subscribers.subscribe(1, b"again and again"), Change::First);
        assert_eq!(subscribers.cancel(1, b"again and again"), Change::Last);
    }
    assert!(subscribers.heap_bytes() < 2048);
}

#[test]
fn topics_that_pairs_of_pipes_shared_leave_nothing() {
    let mut subscribers = Subscribers::default();
    for pipe in [1, 2] {
        subscribe_all(&mut subscribers, pipe, (0..20_000).map(market));
    }
    subscribers.remove_pipe(1, |_, change| assert_eq!(change, Change::Left));
    assert_eq!(matched(&subscribers, market(9).as_bytes()), [2]);
    let alone = subscribers.heap_bytes();
    let bytes = subscribers.held(2).bytes;
    assert!(alone <= 4 * bytes);
    subscribers.remove_pipe(2, |_, change| assert_eq!(change, Change::Last));
    assert!(subscribers.heap_bytes() <= 32 * 1024);
}

#[test]
fn own_topics_count() {
    let mut topics = Topics::default();
    assert_eq!(topics.remove(b"a"), None);
    assert!(topics.add(b"a"));
    assert!(!topics.add(b"a"));
    assert!(topics.add(b""));
    assert!(topics.matches(b"b") && topics.matches(b""));
    assert_eq!(topics.remove(b""), Some(true));
    assert!(topics.matches(b"ab") && !topics.matches(b"b"));
    assert_eq!(topics.remove(b"a"), Some(false));
    assert_eq!((topics.len(), topics.bytes()), (1, 1));
    assert_eq!(topics.remove(b"a"), Some(true));
    assert!(!topics.matches(b"a"));
}

#[test]
fn a_replay_goes_on_although_topics_come_and_go() {
    let mut topics = Topics::default();
    for topic in ["b", "ba", "bc", "d"] {
        topics.add(topic.as_bytes());
    }
    let mut next = Vec::new();
    assert!(topics.next_after(None, &mut next));
    assert_eq!(next, b"b");
    assert!(topics.next_after(Some(b"b"), &mut next));
    assert_eq!(next, b"ba");
    topics.remove(b"ba");
    topics.remove(b"bc");
    topics.add(b"a");
    topics.add(b"c");
    assert!(topics.next_after(Some(b"ba"), &mut next));
    assert_eq!(next, b"c");
    assert!(topics.next_after(Some(b"c"), &mut next));
    assert_eq!(next, b"d");
    assert!(!topics.next_after(Some(b"d"), &mut next));
}
