//! `cargo +nightly fuzz run key --features libfuzzer`; see [`dco_fuzz::key`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::key::run(input));
