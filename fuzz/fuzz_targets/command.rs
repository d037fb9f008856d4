//! A command that parses is emitted as the same bytes, with its properties.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::command));
