//! The codec alone: messages to bytes and back, without a stream.
//!
//! `RUSTFLAGS="--cfg aqueduct_bench" cargo bench -p aqueduct-micro --bench codec`

#[cfg(aqueduct_bench)]
mod measured {
    use aqueduct::Message;
    use aqueduct::bench_internals::Codec;
    use bytes::Bytes;
    use criterion::{BenchmarkId, Criterion, Throughput};

    /// As much as a session encodes before it writes, and about as much as it reads at once.
    const CHUNK: usize = 64 * 1024;

    const SIZES: [usize; 2] = [64, 1024];

    fn message(size: usize) -> Message {
        Message::from(Bytes::from(vec![7; size]))
    }

    fn encode(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("encode");
        group.throughput(Throughput::Elements(1));
        for size in SIZES {
            let mut codec = Codec::connected();
            let message = message(size);
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| {
                    if codec.encode(message.clone()) >= CHUNK {
                        codec.clear();
                    }
                });
            });
        }
    }

    fn decode(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("decode 64 KiB");
        for size in SIZES {
            let mut codec = Codec::connected();
            let mut count = 0;
            while codec.encode(message(size)) < CHUNK {
                count += 1;
            }
            let stream = codec.take_encoded();
            // The last message is cut by the end of the chunk, as most are on a stream; the next chunk brings the rest.
            let (chunk, rest) = stream.split_at(CHUNK);
            group.throughput(Throughput::Elements(count + 1));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter(|| codec.decode(chunk) + codec.decode(rest));
            });
        }
    }

    /// Runs all of them.
    pub(crate) fn run() {
        let mut criterion = Criterion::default().configure_from_args();
        encode(&mut criterion);
        decode(&mut criterion);
        criterion.final_summary();
    }
}

fn main() {
    #[cfg(aqueduct_bench)]
    measured::run();
    #[cfg(not(aqueduct_bench))]
    eprintln!("set RUSTFLAGS=\"--cfg aqueduct_bench\": what is measured here is not public");
}
