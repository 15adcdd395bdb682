//! `cargo +nightly fuzz run control --features libfuzzer`; see [`dco_fuzz::control`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::control::run(input));
