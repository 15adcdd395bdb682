//! `cargo +nightly fuzz run requests --features libfuzzer`; see [`dco_fuzz::requests`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::requests::run(input));
