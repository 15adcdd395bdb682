//! `cargo +nightly fuzz run wire --features libfuzzer`; see [`dco_fuzz::wire`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::wire::run(input));
