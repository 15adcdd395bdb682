//! `cargo +nightly fuzz run stream --features libfuzzer`; see [`dco_fuzz::stream`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::stream::run(input));
