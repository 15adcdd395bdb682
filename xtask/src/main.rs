//! Gates and packaging.
fn main() {}
