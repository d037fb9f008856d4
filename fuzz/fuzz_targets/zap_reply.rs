//! An answer of a ZAP handler that counts is, frame by frame, what one writes that keeps to RFC 27.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, aqueduct::fuzzing::zap_reply));
