//! Text that is read as Z85 is what would be written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct::fuzzing::z85(data));
