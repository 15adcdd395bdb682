//! Locks, published snapshots, bounded queues and fallible allocation for kernels.
#![no_std]
