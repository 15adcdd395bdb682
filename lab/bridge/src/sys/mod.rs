//! All that is unsafe: the driver model, threads, locks and sockets as Wine has them, behind safe types.
//!
//! A driver under Wine is a DLL of a user process (winedevice.exe). So threads, locks and sockets are simply Win32's,
//! which Wine does well; ntoskrnl.exe is used for what a driver alone has: devices, IRPs and cancellation.
#![allow(unsafe_code)]

pub mod driver;
mod ffi;
pub mod irp;
pub mod net;
pub mod sync;
pub mod thread;

use alloc::format;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

/// The NTSTATUS values that the bridge itself makes or looks for.
pub mod status {
    #![allow(missing_docs)]
    pub const SUCCESS: i32 = 0;
    pub const PENDING: i32 = 0x103;
    pub const INVALID_PARAMETER: i32 = 0xC000_000D_u32 as i32;
    pub const OBJECT_TYPE_MISMATCH: i32 = 0xC000_0024_u32 as i32;
    pub const INVALID_BUFFER_SIZE: i32 = 0xC000_0206_u32 as i32;
    pub const INVALID_DEVICE_REQUEST: i32 = 0xC000_0010_u32 as i32;
    pub const DEVICE_NOT_CONNECTED: i32 = 0xC000_009D_u32 as i32;
    pub const CANCELLED: i32 = 0xC000_0120_u32 as i32;
}

/// One line in Wine's debug output (WINEDEBUG=+debugstr shows it).
pub fn log(message: core::fmt::Arguments) {
    let line = format!("dco-bridge: {message}\n\0");
    // SAFETY: the format takes one string, and `line` is one, NUL-terminated and alive during the call.
    unsafe { ffi::DbgPrint(c"%s".as_ptr().cast(), line.as_ptr()) };
}

/// The process heap.
struct Heap;

/// What the process heap aligns to on x64.
const HEAP_ALIGN: usize = 16;

// SAFETY: HeapAlloc gives distinct blocks of at least the size asked for, aligned to 16, or null; larger alignments
// are refused. The process heap is serialised.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > HEAP_ALIGN {
            return core::ptr::null_mut();
        }
        // SAFETY: has no precondition.
        let heap = unsafe { ffi::GetProcessHeap() };
        // SAFETY: `heap` is the process heap, which lives as long as the process.
        unsafe { ffi::HeapAlloc(heap, 0, layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        // SAFETY: has no precondition.
        let heap = unsafe { ffi::GetProcessHeap() };
        // SAFETY: the caller gives a block that `alloc` took from this heap.
        unsafe { ffi::HeapFree(heap, 0, block.cast::<c_void>()) };
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// A panic is a bug of the bridge: it is named, and the process (Wine's driver host) ends, which the requests of
/// openvpn.exe then end with.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    log(format_args!("{info}"));
    // SAFETY: has no precondition; it does not return.
    unsafe { ffi::ExitProcess(1) }
}

/// The linker expects it of every program that uses floating point, and of core.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
