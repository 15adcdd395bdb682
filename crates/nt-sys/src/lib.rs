//! Raw declarations of the NT, KMDF, NetAdapterCx, WSK and CNG interfaces the driver uses.
//!
//! Names and types are those of Microsoft's `wdk-sys`. With the feature `wdk` the NT and KMDF half *is*
//! `wdk-sys` (a Windows machine with the WDK); without it, it is our own declarations, which need nothing but
//! a Rust compiler. NetAdapterCx ([`net`]), WSK ([`wsk`]) and CNG ([`cng`]) are not in `wdk-sys` and are ours
//! in both cases, as are ETW ([`etw`]) and the C headers' inline functions and macros ([`inline`]).
//!
//! | need | spelled |
//! |---|---|
//! | an NT function | `nt_sys::ntddk::KeSetEvent(..)` |
//! | a KMDF function | `wdf_call!(WdfDeviceCreate, ..)` inside `unsafe` |
//! | a NetAdapterCx function | `net_call!(NetAdapterStart, ..)` inside `unsafe` |
//! | a socket function | through the dispatch table of the socket, types in [`wsk`] |
//!
//! Layouts are held to docs/facts/nt-layout.json at compile time (`asserts.rs`, from `cargo xtask layout`).
#![no_std]
#![expect(unsafe_code, reason = "raw declarations: functions of other images, tables they fill")]

#[cfg(not(feature = "wdk"))]
#[expect(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "C declarations under their own names; Microsoft documents them"
)]
mod own;

#[cfg(not(feature = "wdk"))]
pub use own::{ntddk, status::*, types::*, wdf::*};

#[cfg(feature = "wdk")]
pub use wdk_sys::*;

/// Functions exported by the kernel.
#[cfg(feature = "wdk")]
pub mod ntddk {
    pub use wdk_sys::ntddk::*;
}

#[doc(hidden)]
#[cfg(feature = "wdk")]
pub use wdk_sys as __wdk_sys;

#[cfg(not(feature = "wdk"))]
#[doc(hidden)]
pub use own::wdf::table as __wdf;

mod asserts;
pub mod bind;
#[expect(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    reason = "C declarations under their own names; Microsoft documents them"
)]
pub mod cng;
#[expect(
    missing_docs,
    non_snake_case,
    non_upper_case_globals,
    reason = "C declarations under their own names; Microsoft documents them"
)]
pub mod etw;
#[expect(non_snake_case, reason = "C inline functions under their own names")]
pub mod inline;
#[expect(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "C declarations under their own names; Microsoft documents them"
)]
pub mod net;
pub mod table;
#[expect(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "C declarations under their own names; Microsoft documents them"
)]
pub mod wsk;

pub use inline::*;

#[cfg(not(feature = "wdk"))]
pub use status_class::*;

#[cfg(not(feature = "wdk"))]
mod status_class {
    use crate::NTSTATUS;

    /// Success (`0..=0x3FFF_FFFF`) or information (`0x4000_0000..=0x7FFF_FFFF`).
    #[must_use]
    #[expect(non_snake_case, reason = "wdk-sys's name")]
    pub const fn NT_SUCCESS(status: NTSTATUS) -> bool {
        status >= 0
    }
}

/// Symbols the compiler or linker expects of a kernel image without a C runtime.
///
/// `_fltused` marks floating point as used: LLVM refers to it as soon as a float type appears. There is no
/// `__chkstk`: a function whose frame needs more than a page would fail to link, which is what a driver wants
/// with a stack of 24 KiB.
#[cfg(all(windows, not(feature = "wdk")))]
mod runtime {
    #[unsafe(no_mangle)]
    static _fltused: i32 = 0;
}
