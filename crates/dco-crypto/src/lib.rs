//! AEAD trait, nonces, key slots, replay window, packet-id limits.
#![no_std]
