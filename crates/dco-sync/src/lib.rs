//! Published snapshots, bounded queues, striped values and fallible allocation, for kernels.
//!
//! This is the one crate of the portable core that contains `unsafe`. Everything it exports is safe: no use of the public
//! API, however wrong, leads to undefined behaviour. The worst a misuse can do is leak memory (a [`Retired`] that is never
//! waited for) or wait for ever ([`Domain::synchronize`] inside a read section of the same domain).
//!
//! Rules that hold for every item:
//!
//! - **Allocation** is fallible and happens only in functions named `try_*`. Nothing else allocates, so everything else may
//!   run at `DISPATCH_LEVEL` or in a softirq. The crate builds against an `alloc` compiled with `no_global_oom_handling`.
//! - **Alignment**: no heap allocation asks for more than [`MAX_ALIGN`] bytes (compile-time error otherwise), because
//!   kernel pool allocators commonly promise no more. [`Striped`] places its elements on their own cache lines by hand.
//! - **No panics**: no indexing, no unwrapping, no arithmetic that can overflow.
//!
//! # Models
//!
//! `cfg(loom)` replaces the atomics and cells by loom's; the algorithms are the same lines of code:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p dco-sync --release --test loom
//! ```
//!
//! The unit tests are written to run under Miri (no real time, small loops): `cargo +nightly miri test -p dco-sync`.
#![no_std]
#![expect(unsafe_code, reason = "the synchronisation primitives the safe crates are built on")]
#![expect(unexpected_cfgs, reason = "cfg(loom) is set by hand to build the models")]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::multiple_unsafe_ops_per_block
    )
)]

extern crate alloc as std_alloc;

#[cfg(test)]
extern crate std;

mod alloc;
mod domain;
mod index;
mod latch;
mod primitive;
mod queue;
mod shared;
mod striped;

pub use alloc::{MAX_ALIGN, OutOfMemory, try_box, try_box_slice};
pub use domain::{Domain, Guard, Published, Retired};
pub use index::{Index, Removed};
pub use latch::Latch;
pub use queue::Queue;
pub use shared::Shared;
pub use striped::Striped;

/// The box every fallible constructor hands out: `alloc`'s own.
pub use std_alloc::boxed::Box;
