//! A text that is an endpoint is printed as one that is the same endpoint.
#![no_main]

use aqueduct::Endpoint;

libfuzzer_sys::fuzz_target!(|data: &[u8]| aqueduct_fuzz::bounded(data, endpoint));

fn endpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Endpoint>() {
        Ok(endpoint) => assert_eq!(endpoint.to_string().parse().as_ref(), Ok(&endpoint), "{text:?}"),
        Err(error) => assert!(error.to_string().len() < 2048, "{error}"),
    }
}
