//! Nothing that a peer sends, sealed or not, in whatever pieces and over whatever time, breaks a connection with CURVE.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::curve));
