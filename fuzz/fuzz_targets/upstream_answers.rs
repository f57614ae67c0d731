#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| quotagraph_fuzz::upstream_answers(input));
