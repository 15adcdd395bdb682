//! Drives the driver from user space.
fn main() {}
