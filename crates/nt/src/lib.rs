//! Safe wrappers over `nt-sys`, as far as a NetAdapterCx driver with WSK sockets and BCrypt keys needs them.
//!
//! This crate is where the driver's unsafe code lives. Each module turns one family of kernel calls into types whose safe use
//! cannot break the kernel's contracts on memory and lifetime:
//!
//! | module | family |
//! |---|---|
//! | [`status`] | NTSTATUS |
//! | [`wide`] | UTF-16 constants and `UNICODE_STRING` |
//! | [`pool`] | tagged non-paged pool, the global allocator |
//! | [`irql`] | running at DISPATCH_LEVEL |
//! | [`lock`] | spin lock (carries the old IRQL), wait lock |
//! | [`time`] | the clock that counts suspend; processor index |
//! | [`wdf`] | framework objects, contexts, devices, queues, requests, timers |
//! | [`netcx`] | NetAdapterCx adapter, queues, rings |
//! | [`wsk`] | sockets, datagram indications, send buffers |
//! | [`bcrypt`] | AES-GCM and ChaCha20-Poly1305 keys |
//! | [`etw`] | event tracing |
//!
//! IRQL is stated for each public function. Callbacks are short trampolines into safe trait methods; no panic leaves them
//! because none of the code they reach panics.
#![no_std]
#![expect(unsafe_code, reason = "this crate is the boundary to the kernel")]

extern crate alloc;

pub mod bcrypt;
pub mod etw;
pub mod irql;
pub mod lock;
pub mod netcx;
pub mod pool;
pub mod status;
pub mod time;
pub mod wdf;
pub mod wide;
pub mod wsk;

/// Stops the system: for the panic handler, which nothing is meant to reach. Any IRQL.
pub fn bug_check() -> ! {
    // DRIVER_VIOLATION, the code for a driver's own checks; the pool tag tells whose.
    const DRIVER_VIOLATION: u32 = 0x0000_0121;
    // SAFETY: any bug check code and parameters are accepted at any IRQL.
    unsafe { nt_sys::bug_check(DRIVER_VIOLATION, [u64::from(pool::TAG) as _, 0, 0, 0]) }
}

/// Raw declarations that the entry-point macro needs; not for other use.
#[doc(hidden)]
pub use nt_sys as sys;
