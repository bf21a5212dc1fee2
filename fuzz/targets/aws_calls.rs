//! A caller of SQS and SNS that says meaningful things in any order, while time passes.

#![no_main]

use crossdock_fuzz::caller::Endpoint;
use crossdock_fuzz::calls::{Known, request, scene};
use crossdock_fuzz::methods::Source;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut endpoint, mut known, mut source) = (Endpoint::default(), Known::default(), Source(data));
    for request in scene() {
        let answer = endpoint.answer(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        known.learn(&answer.body);
    }
    while !source.is_empty() {
        match source.byte() {
            0..=15 => endpoint.wait(1_500),
            16..=19 => endpoint.wait(301_000),
            _ => known.learn(&endpoint.answer(&request(&mut source, &known)).body),
        }
    }
});
