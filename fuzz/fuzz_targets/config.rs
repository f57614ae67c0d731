#![no_main]

#[path = "../harness/mod.rs"]
#[expect(dead_code, reason = "each target uses its own part")]
mod harness;

libfuzzer_sys::fuzz_target!(|input: &[u8]| harness::config(input));
