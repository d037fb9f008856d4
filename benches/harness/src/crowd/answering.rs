//! One ROUTER, many DEALERs: each asks, and asks again when it has its answer.

use aqueduct::{Dealer, Router};

use super::{Crowd, Findings, PATIENCE, SIZE, Sums, number};
use crate::child::{Child, wait_for_parent};
use crate::{Outcome, heap, idle};
use aqueduct_bench_shared::arguments::Arguments;
use aqueduct_bench_shared::clock;
use aqueduct_bench_shared::figures::thousands;

/// Questions of each DEALER in a round.
const QUESTIONS: usize = 20;

/// The process with the one socket: prints what there is to tell.
pub(crate) fn router(mut arguments: Arguments) -> Outcome<()> {
    let count: usize = arguments.parse()?;
    let rounds: usize = arguments.parse()?;
    idle::allow_files(count as u64)?;
    heap::start_counting();
    let router = Router::new();
    let endpoint = router.bind("tcp://127.0.0.1:0")?.to_string();
    let mut crowd = Child::start(&["dealers", &count.to_string(), &endpoint, &rounds.to_string()])?;
    let alone = heap::live();
    router.wait_for_peers(count, PATIENCE)?;
    let idle = heap::live();
    let mut due = vec![0; count];
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = clock::now();
        crowd.go_on()?;
        for _ in 0..count * QUESTIONS {
            let (id, question) = router.recv_timeout(PATIENCE)?;
            let (dealer, number) = parse(question.as_single().unwrap_or_default())?;
            let due = due.get_mut(dealer).ok_or("a DEALER that is none")?;
            if number != *due {
                return Err(format!("question {number} of DEALER {dealer} came instead of {due}").into());
            }
            *due += 1;
            router.send(&id, question)?;
        }
        let nanos = number(&crowd)? - start;
        rates.push((2 * count * QUESTIONS) as f64 * 1e9 / nanos as f64);
    }
    let heap = [alone, idle, heap::live() - size_of_val(&due[..]) as i64];
    let near = Sums::of([router.stats()].into_iter())?;
    let far = Sums::of_crowd(&crowd, near)?;
    crowd.go_on()?;
    let findings = Findings {
        peers: count,
        heap,
        rates,
        near,
        far,
    };
    println!(
        "1 ROUTER and {} DEALERs over tcp, {rounds} rounds of {QUESTIONS} questions of {SIZE} bytes from each, one after \
         the other, and as many answers: {}",
        thousands(count as f64),
        findings.describe()?
    );
    Ok(())
}

/// The other process: says after each round when its last answer had come.
pub(crate) fn dealers(mut arguments: Arguments) -> Outcome<()> {
    let count: usize = arguments.parse()?;
    let endpoint = arguments.word().unwrap_or_default();
    let rounds: usize = arguments.parse()?;
    idle::allow_files(count as u64)?;
    let mut sockets = Vec::new();
    for _ in 0..count {
        let dealer = Dealer::new();
        dealer.connect(endpoint.as_str())?;
        sockets.push(dealer);
    }
    let mut asked = vec![0; count];
    let mut crowd = Crowd::new(sockets)?;
    for round in 1..=rounds {
        wait_for_parent()?;
        for (key, dealer) in crowd.sockets.iter().enumerate() {
            dealer.send(compose(key, asked[key]))?;
        }
        crowd.receive(count * QUESTIONS, |key, dealer| {
            let answer = dealer.try_recv()?;
            let asked = &mut asked[key];
            if parse(answer.as_single().unwrap_or_default())? != (key, *asked) {
                return Err(format!("DEALER {key} got another answer than to its question {asked}").into());
            }
            *asked += 1;
            if *asked < round * QUESTIONS {
                dealer.send(compose(key, *asked))?;
            }
            Ok(1)
        })?;
        println!("{}", clock::now());
    }
    Sums::of(crowd.sockets.iter().map(Dealer::stats))?.print();
    wait_for_parent()
}

/// A question tells who asks, which of its questions it is, and has the rest filled with what follows from both.
fn compose(dealer: usize, number: usize) -> [u8; SIZE] {
    let mut body = [fill(dealer, number); SIZE];
    body[..8].copy_from_slice(&dealer.to_le_bytes());
    body[8..16].copy_from_slice(&number.to_le_bytes());
    body
}

fn parse(body: &[u8]) -> Outcome<(usize, usize)> {
    let (dealer, rest) = body.split_first_chunk().ok_or("not a question")?;
    let (number, rest) = rest.split_first_chunk().ok_or("not a question")?;
    let (dealer, number) = (usize::from_le_bytes(*dealer), usize::from_le_bytes(*number));
    if body.len() != SIZE || rest.iter().any(|byte| *byte != fill(dealer, number)) {
        return Err("a question that is not as it was asked".into());
    }
    Ok((dealer, number))
}

fn fill(dealer: usize, number: usize) -> u8 {
    (dealer.wrapping_mul(31) ^ number).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_composed_and_not_otherwise() {
        let question = compose(4711, 19);
        assert_eq!(parse(&question).ok(), Some((4711, 19)));
        let mut damaged = question;
        damaged[40] ^= 1;
        assert!(parse(&damaged).is_err());
        assert!(parse(&question[..63]).is_err());
    }
}
