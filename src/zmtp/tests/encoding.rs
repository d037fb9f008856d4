//! Encoding and decoding: what the batch holds, how buffers grow, and how fast it is.

use std::io::IoSlice;

use smallvec::SmallVec;

use super::super::decoder::{Decoder, Rules};
use super::super::encoder::{MAX_SLICES, REFERENCE};
use super::super::limits;
use super::*;
use crate::queue::Queue;

fn slices(batch: &Batch) -> Vec<usize> {
    let mut slices: SmallVec<[IoSlice<'_>; MAX_SLICES]> = SmallVec::new();
    batch.slices(&mut slices);
    slices.iter().map(|slice| slice.len()).collect()
}

#[test]
fn small_bodies_are_copied_and_large_ones_are_not() {
    let mut batch = Batch::new();
    let large = bytes::Bytes::from(vec![7; REFERENCE]);
    for body in [&b"ab"[..], &[7; REFERENCE - 1]] {
        batch.put_message(Message::from(body));
    }
    batch.put_message(Message::from(large.clone()));
    batch.put_message(Message::from("cd"));
    assert_eq!(slices(&batch), [4 + 9 + REFERENCE - 1 + 9, REFERENCE, 4]);
    let mut found: SmallVec<[IoSlice<'_>; MAX_SLICES]> = SmallVec::new();
    batch.slices(&mut found);
    assert_eq!(found[1].as_ptr(), large.as_ptr());
}

#[test]
fn a_batch_offers_a_bounded_number_of_slices() {
    let mut batch = Batch::new();
    for _ in 0..100 {
        batch.put_message(Message::from(vec![7; REFERENCE]));
    }
    assert_eq!(slices(&batch).len(), MAX_SLICES);
    let len = batch.len();
    batch.advance(slices(&batch).iter().sum());
    assert!(!batch.is_empty() && batch.len() < len);
}

#[test]
fn a_spent_batch_keeps_its_memory_and_the_rest_takes_little() {
    let mut batch = Batch::new();
    batch.put_message(Message::from(vec![7; 1000]));
    let whole = batch.len();
    batch.advance(whole - 10);
    let rest = batch.take_rest();
    assert_eq!((written(&rest), batch.len()), (vec![7; 10], 0));
    batch.put_message(Message::from("again"));
    assert_eq!(written(&batch), b"\0\x05again");
}

#[test]
fn more_and_long_flags_are_set() {
    let mut batch = Batch::new();
    let parts = [vec![1; 255], vec![2; 256], vec![]];
    batch.put_message(parts.iter().map(Vec::as_slice).collect());
    let expected = [frame(1, &parts[0]), frame(1, &parts[1]), frame(0, b"")].concat();
    assert_eq!(written(&batch), expected);
}

fn rules() -> Rules {
    *Config::new(SocketType::Pull, &LinkOptions::default()).rules()
}

fn run(decoder: &mut Decoder, mut input: &[u8], inbox: &mut Queue) {
    decoder
        .run(&mut input, &rules(), &mut Room::UNBOUNDED.clone(), inbox)
        .unwrap();
    assert_eq!(input, b"");
}

#[test]
fn buffers_grow_with_what_arrives() {
    const TOTAL: usize = 50 * 1024 * 1024;
    let mut decoder = Decoder::default();
    let mut inbox = Queue::new();
    run(
        &mut decoder,
        &[&[2][..], &(TOTAL as u64).to_be_bytes()].concat(),
        &mut inbox,
    );
    let mut arrived = 0;
    let mut place = std::ptr::null();
    while arrived < TOTAL {
        let (body, _) = decoder.intake(100_000, &rules());
        assert!(!body.is_empty());
        body.fill(7);
        let count = body.len();
        place = body.as_ptr().wrapping_sub(arrived);
        arrived += count;
        let earned = limits::FIRST_RESERVATION.max(limits::GROWTH * arrived);
        assert!(decoder.reserved() <= earned.min(TOTAL));
        assert_eq!(
            decoder.direct_done(count, &rules(), &mut Room::UNBOUNDED.clone(), &mut inbox),
            None
        );
    }
    let message = inbox.pop().unwrap();
    assert_eq!(message.byte_len(), TOTAL);
    assert_eq!(message[0].as_ptr(), place, "the finished body was not moved");
}

#[test]
fn buffers_grow_with_what_is_fed() {
    const TOTAL: usize = 5 * 1024 * 1024;
    let mut decoder = Decoder::default();
    let mut inbox = Queue::new();
    run(
        &mut decoder,
        &[&[2][..], &(TOTAL as u64).to_be_bytes()].concat(),
        &mut inbox,
    );
    let mut arrived = 0;
    while inbox.is_empty() {
        let n = 30_000.min(TOTAL - arrived);
        run(&mut decoder, &vec![7; n], &mut inbox);
        arrived += n;
        let earned = limits::FIRST_RESERVATION.max(limits::GROWTH * arrived);
        assert!(
            decoder.reserved() <= earned.min(TOTAL),
            "{} for {arrived}",
            decoder.reserved()
        );
    }
    assert_eq!(inbox.load().bytes, TOTAL as u64);
}

#[test]
fn a_body_that_was_only_announced_gets_a_small_buffer() {
    let mut decoder = Decoder::default();
    let header = [&[2][..], &(50_u64 << 20).to_be_bytes()].concat();
    run(&mut decoder, &header, &mut Queue::new());
    assert_eq!(decoder.intake(usize::MAX, &rules()).0.len(), 32 * 1024);
    assert_eq!(decoder.reserved(), 32 * 1024);
}

#[test]
fn no_more_is_read_at_once_than_may_come() {
    let now = Instant::now();
    let mut end = End::new(SocketType::Pull, now);
    assert_eq!(
        end.connection.intake(usize::MAX),
        (&mut [][..], 2 * 1024),
        "a stranger has little to say"
    );
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), now);
    assert_eq!(end.connection.intake(usize::MAX), (&mut [][..], usize::MAX));
}

#[test]
fn little_is_read_with_the_header_of_what_may_be_large() {
    let now = Instant::now();
    let mut end = End::ready(SocketType::Pull, 1, &LinkOptions::default(), now);
    for (len, behind) in [
        (256 * 1024, 1024),
        (256 * 1024 - 1, usize::MAX),
        (10_000_000, 1024),
    ] {
        let message = frame(0, &vec![7; len]);
        end.feed(&message[..100], now).unwrap();
        let (body, more) = end.connection.intake(1000);
        assert_eq!((body.len(), more), (1000, behind), "in a body of {len} bytes");
        end.feed(&message[100..], now).unwrap();
        let (body, more) = end.connection.intake(1000);
        assert_eq!((body.len(), more), (0, behind), "after a body of {len} bytes");
    }
}

#[test]
fn a_peer_that_keeps_its_word_gets_its_buffer_at_once() {
    let mut decoder = Decoder::default();
    let mut inbox = Queue::new();
    let message = frame(0, &vec![7; 200_000]);
    run(&mut decoder, &message[..9], &mut inbox);
    run(&mut decoder, &message[9..], &mut inbox);
    run(&mut decoder, &message[..9], &mut inbox);
    assert_eq!(decoder.intake(usize::MAX, &rules()).0.len(), 200_000);
}

#[test]
fn only_what_is_large_is_read_into_its_place() {
    for (len, straight) in [(8 * 1024, true), (8 * 1024 - 1, false)] {
        let mut decoder = Decoder::default();
        let message = frame(0, &vec![7; len]);
        run(&mut decoder, &message[..message.len() - 10], &mut Queue::new());
        let (body, _) = decoder.intake(usize::MAX, &rules());
        assert_eq!(body.len(), if straight { 10 } else { 0 }, "of {len} bytes");
    }
}
