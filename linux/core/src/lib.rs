//! The Rust half of `ovpn-dco-core.ko` (docs/linux.md): what C calls by `dco_core_*`, over the shared crates.
//!
//! | file | role |
//! |---|---|
//! | `ffi` | the boundary's declarations, with their layout asserted |
//! | `export` | `dco_core_*`: short trampolines into `device` |
//! | `kernel` | safe wrappers of `dco_shim_*`: keys, links, the shell's device, trains of packets |
//! | `device` | one device: what C asks, done with `dco-core` |
//! | `address` | the boundary's addresses and Rust's |
//! | `allocator` | the kernel's memory as Rust's heap |
//! | `epoch`, `epoch_ffi` | epoch keys, with the feature `epoch`: what a device does with them, and their part of the boundary |
//!
//! Unsafe code is in `ffi`, `epoch_ffi`, `export`, `kernel` and `allocator` alone. Nothing here may panic: the panic handler calls a function that
//! exists nowhere, so a module in which one is reachable does not link.
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::cast_possible_truncation
    )
)]

#[cfg(test)]
extern crate std;

mod address;
#[expect(unsafe_code, reason = "a global allocator is unsafe to implement")]
pub mod allocator;
mod device;
#[cfg(feature = "epoch")]
mod epoch;
#[cfg(feature = "epoch")]
#[expect(unsafe_code, reason = "the boundary: declarations of C functions, and what C calls")]
mod epoch_ffi;
#[expect(unsafe_code, reason = "what C calls takes C's pointers")]
mod export;
#[expect(unsafe_code, reason = "declarations of C functions")]
mod ffi;
#[expect(unsafe_code, reason = "calls C")]
mod kernel;
#[cfg(test)]
mod tests;

#[cfg(target_os = "none")]
#[global_allocator]
static HEAP: allocator::KernelAllocator = allocator::KernelAllocator;

/// Reached by nothing, or the module does not link: `dco_panic_is_reachable` exists nowhere.
#[cfg(target_os = "none")]
#[panic_handler]
#[expect(unsafe_code, reason = "calls a function that must not be linked")]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn dco_panic_is_reachable() -> !;
    }
    // SAFETY: never executed: an object with this call is refused by `cargo xtask linux-object`, by modpost and by the loader.
    unsafe { dco_panic_is_reachable() }
}
