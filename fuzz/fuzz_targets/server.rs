//! `cargo +nightly fuzz run server --features libfuzzer`; see [`dco_fuzz::server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::server::run(input));
