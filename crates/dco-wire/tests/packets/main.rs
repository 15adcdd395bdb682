//! Packets built byte by byte, and what the crate makes of them.

mod ip;
mod mss;
mod segment;
