//! Data keys, over two unrelated implementations of AES-GCM and over ciphers that fail.

mod backends;
mod failures;
mod packets;
mod slots;
