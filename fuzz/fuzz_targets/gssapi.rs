#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hs2router_fuzz::gssapi(input));
