//! Whatever peers send to a REP, each reply goes to who asked, in the envelope of the request.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded_world(data, aqueduct::fuzzing::envelopes));
