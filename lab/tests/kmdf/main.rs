//! KMDF drivers in the lab, spoken to over its protocol: `drivers/kmdf-echo`, and `drivers/faulty-kmdf` without a fault.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
#[path = "../cross/mod.rs"]
mod cross;
mod echo;
mod wide;
