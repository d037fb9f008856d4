//! A routing table is a map in both directions, whatever is done with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded_world(
    data,
    aqueduct::fuzzing::routing_table
));
