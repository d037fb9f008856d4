//! A file of an allow-list that has a key has white space beside it, and nothing else.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::allow_list));
