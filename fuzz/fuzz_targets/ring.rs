//! Whatever is done with a pipe, it stays a bounded queue and wakes whoever sleeps.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded_pipe(data, aqueduct::fuzzing::ring));
