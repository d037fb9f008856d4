//! Whatever peers subscribe to and cancel, the index does what a plain map would.
#![no_main]

// The map takes more memory than its input; that the index does not is part of the claim.
libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct::fuzzing::subscriptions(data));
