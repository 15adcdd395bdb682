//! What the core costs over the bare cipher.
fn main() {}
