//! Whatever sockets of all types, their links and their processes do, every message is where the counters say.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded_world(data, aqueduct::fuzzing::world));
