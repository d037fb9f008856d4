//! The subscriptions of a publisher's peers alone: which of them want a message, and what it takes to know.
//!
//! `RUSTFLAGS="--cfg aqueduct_bench" cargo bench -p aqueduct-micro --bench subscriptions`

#[cfg(aqueduct_bench)]
mod measured {
    use std::hint::black_box;

    use aqueduct::bench_internals::Subscriptions;
    use criterion::{BatchSize, Criterion, Throughput};

    const MILLION: usize = 1_000_000;
    const PEERS: usize = 1000;

    fn topic(number: usize) -> String {
        format!("market.{}.symbol.{number:06}", ["XETR", "NYSE"][number % 2])
    }

    /// Topics in an order in which no two that follow each other are neighbours.
    fn shuffled() -> Vec<String> {
        let scatter = |at: usize| at * 618_033 % MILLION;
        (0..MILLION).map(|at| topic(scatter(at))).collect()
    }

    /// Peers that each subscribe to all of some topics.
    fn subscribed<'a>(peers: usize, topics: impl Iterator<Item = &'a str> + Clone) -> Subscriptions {
        let mut subscriptions = Subscriptions::default();
        for peer in 0..peers {
            for topic in topics.clone() {
                subscriptions.subscribe(peer, topic.as_bytes());
            }
        }
        subscriptions
    }

    fn matching(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("subscriptions");
        let cases = [
            ("match, 1 peer, \"\"", 1, &[""][..]),
            ("match, 1000 peers, \"\"", PEERS, &[""]),
            ("match, 1 peer, 3 nested", 1, &["", "market", "market.XETR"]),
            (
                "match, 1000 peers, 3 nested",
                PEERS,
                &["", "market", "market.XETR"],
            ),
        ];
        for (name, peers, topics) in cases {
            let mut subscriptions = subscribed(peers, topics.iter().copied());
            group.throughput(Throughput::Elements(peers as u64));
            group.bench_function(name, |bencher| {
                bencher.iter(|| subscriptions.matches(black_box(b"market.XETR.symbol.4711")).len());
            });
        }
    }

    fn a_million(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("subscriptions");
        let topics = shuffled();
        let mut subscriptions = subscribed(1, topics.iter().map(String::as_str));
        let bytes: usize = topics.iter().map(String::len).sum();
        let heap = subscriptions.heap_bytes();
        println!(
            "{heap} bytes for topics of {bytes}: {:.2}",
            heap as f64 / bytes as f64
        );
        group.throughput(Throughput::Elements(1));
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % MILLION;
            topics[at].as_bytes()
        };
        group.bench_function("match, 1 peer, 1000000 topics, one after another", |bencher| {
            bencher.iter(|| subscriptions.matches(next()).len());
        });
        group.bench_function("match, 1 peer, 1000000 topics, always the same", |bencher| {
            bencher.iter(|| {
                subscriptions
                    .matches(black_box(b"market.XETR.symbol.471100"))
                    .len()
            });
        });
        group.bench_function("match, 1 peer, 1000000 topics, none", |bencher| {
            bencher.iter(|| {
                subscriptions
                    .matches(black_box(b"market.LSE.symbol.471100"))
                    .len()
            });
        });
        group.bench_function("subscribe and cancel among 1000000", |bencher| {
            bencher.iter(|| {
                let topic = next();
                subscriptions.cancel(0, topic);
                subscriptions.subscribe(0, topic);
            });
        });
    }

    fn coming_and_going(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("subscriptions");
        let topics = shuffled();
        group.throughput(Throughput::Elements(MILLION as u64));
        group.sample_size(10);
        group.bench_function("subscribe to 1000000", |bencher| {
            let topics = || topics.iter().map(String::as_str);
            bencher.iter_with_large_drop(|| subscribed(1, topics()));
        });
        group.bench_function("leave 1000000", |bencher| {
            let setup = || subscribed(1, topics.iter().map(String::as_str));
            bencher.iter_batched_ref(
                setup,
                |subscriptions| subscriptions.remove(0),
                BatchSize::PerIteration,
            );
        });
    }

    /// Runs all of them.
    pub(crate) fn run() {
        let mut criterion = Criterion::default().configure_from_args();
        matching(&mut criterion);
        a_million(&mut criterion);
        coming_and_going(&mut criterion);
        criterion.final_summary();
    }
}

fn main() {
    #[cfg(aqueduct_bench)]
    measured::run();
    #[cfg(not(aqueduct_bench))]
    eprintln!("set RUSTFLAGS=\"--cfg aqueduct_bench\": what is measured here is not public");
}
