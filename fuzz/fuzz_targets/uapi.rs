//! `cargo +nightly fuzz run uapi --features libfuzzer`; see [`dco_fuzz::uapi`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::uapi::run(input));
