//! The part of KMDF's interface that this driver uses, by table index (docs: nt-abi.md section 2).

use core::ffi::c_void;
use core::sync::atomic::{AtomicPtr, Ordering};

pub type Handle = usize;
pub type NtStatus = i32;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct UnicodeString {
    pub length: u16,
    pub maximum: u16,
    pub buffer: *const u16,
}

impl UnicodeString {
    pub const fn new(s: &'static [u16]) -> Self {
        let bytes = (s.len() * 2) as u16;
        Self { length: bytes, maximum: bytes, buffer: s.as_ptr() }
    }
}

/// UTF-16 of an ASCII literal at compile time.
#[macro_export]
macro_rules! wide {
    ($s:literal) => {{
        const N: usize = $s.len();
        const W: [u16; N] = {
            let mut w = [0u16; N];
            let mut i = 0;
            while i < N {
                w[i] = $s.as_bytes()[i] as u16;
                i += 1;
            }
            w
        };
        &W
    }};
}

#[repr(C)]
pub struct BindInfo {
    pub size: u32,
    pub component: *const u16,
    pub version: [u32; 3],
    pub func_count: u32,
    pub func_table: *mut *const usize,
    pub module: *mut c_void,
}

#[repr(C)]
pub struct Attributes {
    pub size: u32,
    pub cleanup: usize,
    pub destroy: usize,
    pub execution: u32,
    pub scope: u32,
    pub parent: Handle,
    pub size_override: usize,
    pub context_type: *const ContextType,
}

impl Attributes {
    pub const fn new(parent: Handle) -> Self {
        Self {
            size: 56,
            cleanup: 0,
            destroy: 0,
            execution: 1,
            scope: 1,
            parent,
            size_override: 0,
            context_type: core::ptr::null(),
        }
    }
}

#[repr(C)]
pub struct ContextType {
    pub size: u32,
    pub name: *const u8,
    pub context_size: usize,
    pub unique: *const ContextType,
    pub get_unique: usize,
}
// SAFETY: a static that is never written.
unsafe impl Sync for ContextType {}

#[link(name = "WDFLDR.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn WdfVersionBind(
        driver: *mut c_void,
        path: *const UnicodeString,
        info: *mut BindInfo,
        globals: *mut *mut c_void,
    ) -> NtStatus;
    pub fn WdfVersionUnbind(path: *const UnicodeString, info: *mut BindInfo, globals: *mut c_void) -> NtStatus;
}

/// `WdfFunctions`.
pub static mut TABLE: *const usize = core::ptr::null();
/// `WdfDriverGlobals`.
pub static GLOBALS: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

pub fn globals() -> *mut c_void {
    GLOBALS.load(Ordering::Relaxed)
}

/// Entry of the function table.
///
/// # Safety
/// After WdfVersionBind.
pub unsafe fn entry(index: usize) -> usize {
    // SAFETY: by contract.
    unsafe { TABLE.add(index).read() }
}

/// Calls function `$i` of the table with its prototype.
#[macro_export]
macro_rules! wdf {
    ($i:literal : fn($($a:ty),*) $(-> $r:ty)? ; $($v:expr),*) => {{
        // SAFETY: the table's function of that index has this prototype.
        let f = unsafe { core::mem::transmute::<usize, unsafe extern "system" fn(*mut core::ffi::c_void, $($a),*) $(-> $r)?>($crate::wdf::entry($i)) };
        // SAFETY: the caller passes what the function asks for.
        unsafe { f($crate::wdf::globals(), $($v),*) }
    }};
}
