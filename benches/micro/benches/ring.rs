//! The ring alone, through the two ends of a pipe in one thread: locks and counts included, nobody to wake.
//!
//! `RUSTFLAGS="--cfg aqueduct_bench" cargo bench -p aqueduct-micro --bench ring`

#[cfg(aqueduct_bench)]
mod measured {
    use aqueduct::Message;
    use aqueduct::bench_internals::Pipe;
    use criterion::{Criterion, Throughput};

    /// As many messages as a queue holds by default.
    const LIMIT: usize = 1000;

    /// As many as a session hands over at once: 64 KiB of small messages.
    const BATCH: usize = 500;

    fn one_by_one(criterion: &mut Criterion) {
        let mut pipe = Pipe::new(LIMIT);
        let mut group = criterion.benchmark_group("ring");
        group.throughput(Throughput::Elements(1));
        group.bench_function("push and pop one", |bencher| {
            bencher.iter(|| {
                pipe.push(Message::from([7; 64]));
                pipe.pop()
            });
        });
    }

    fn in_batches(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("ring");
        group.throughput(Throughput::Elements(BATCH as u64));
        let mut pipe = Pipe::new(LIMIT);
        group.bench_function("push 500, pop 500", |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    pipe.push(Message::from([7; 64]));
                }
                std::iter::from_fn(|| pipe.pop()).count()
            });
        });
        group.bench_function("push 500 together, pop 500", |bencher| {
            bencher.iter(|| {
                pipe.push_all((0..BATCH).map(|_| Message::from([7; 64])));
                std::iter::from_fn(|| pipe.pop()).count()
            });
        });
    }

    /// Runs all of them.
    pub(crate) fn run() {
        let mut criterion = Criterion::default().configure_from_args();
        one_by_one(&mut criterion);
        in_batches(&mut criterion);
        criterion.final_summary();
    }
}

fn main() {
    #[cfg(aqueduct_bench)]
    measured::run();
    #[cfg(not(aqueduct_bench))]
    eprintln!("set RUSTFLAGS=\"--cfg aqueduct_bench\": what is measured here is not public");
}
