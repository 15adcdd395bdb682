//! Peers, keepalive, counters, drop reasons, events: the data channel's brain.
#![no_std]
