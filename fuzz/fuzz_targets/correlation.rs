//! Whatever peers send to a REQ, it hears the reply to its request and nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded_world(data, aqueduct::fuzzing::correlation));
