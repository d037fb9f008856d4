//! How a stream of frames is cut does not matter.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::decoder));
