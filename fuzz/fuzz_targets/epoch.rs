//! `cargo +nightly fuzz run epoch --features libfuzzer`; see [`dco_fuzz::epoch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::epoch::run(input));
