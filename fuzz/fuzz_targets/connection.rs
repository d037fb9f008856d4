//! Nothing that a peer sends, in whatever pieces and over whatever time, breaks a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::connection));
