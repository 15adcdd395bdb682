//! What `dco-cli` and `dco-cli-linux` have in common, so that they take the same words, options and key files.

pub mod key;
pub mod options;
