//! Fuzz harnesses: plain functions of bytes that panic when something does not hold.
//!
//! `fuzz_targets/` hands them to libFuzzer; `tests/corpus.rs` replays `corpus/` and mutations of it with `cargo test`. An input
//! that ever failed is added to the corpus under a name that says what it was.
//!
//! ```text
//! cd fuzz && cargo test
//! cd fuzz && cargo +nightly fuzz run wire --features libfuzzer
//! ```
#![forbid(unsafe_code)]

pub mod control;
pub mod epoch;
pub mod key;
pub mod requests;
pub mod sequence;
pub mod server;
pub mod stream;
pub mod uapi;
pub mod wire;
