//! How a greeting is cut does not matter, and only a good one passes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::greeting));
