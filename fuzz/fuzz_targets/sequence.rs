//! `cargo +nightly fuzz run sequence --features libfuzzer`; see [`dco_fuzz::sequence`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dco_fuzz::sequence::run(input));
