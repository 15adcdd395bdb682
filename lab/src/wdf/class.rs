//! Class extensions: WdfVersionBindClass and the registry of extensions the lab has.
//!
//! NetAdapterCx registers itself with [`register`]; its bind function gets the client's record, checks version and count,
//! fills the client's function table and class globals, and says with which status.

use super::abi::{NtStatus, OBJECT_NAME_NOT_FOUND, SUCCESS};
use super::object::lock;
use crate::fault;
use crate::report::{Rule, stop};
use std::sync::Mutex;

const BAD_CLASS_BIND: Rule = Rule::new("wdf.bad-class-bind", "WDF_CLASS_BIND_INFO (fxldr.h); nt-abi.md section 1");
const UNKNOWN_CLASS: Rule = Rule::new("wdf.unknown-class", "nt-abi.md section 1: WdfVersionBindClass");

/// WDF_CLASS_BIND_INFO: the first 80 bytes of either form.
#[repr(C)]
#[derive(Debug)]
pub struct ClassBindInfo {
    /// 80 or 120.
    pub size: u32,
    /// ClassName, UTF-16, NUL-terminated.
    pub class_name: *const u16,
    /// Major, minor, build.
    pub version: [u32; 3],
    /// The client's array; the extension copies addresses into it.
    pub function_table: *mut usize,
    /// Entries of that array.
    pub function_table_count: u32,
    /// Where the extension writes the pointer to its globals (`&NetDriverGlobals`).
    pub class_bind_info: *mut *mut u8,
    /// ClientBindClass.
    pub client_bind: usize,
    /// ClientUnbindClass.
    pub client_unbind: usize,
    /// ClassModule, the loader's.
    pub class_module: *mut u8,
}

const _: () = {
    assert!(size_of::<ClassBindInfo>() == 80);
    assert!(std::mem::offset_of!(ClassBindInfo, function_table) == 32);
    assert!(std::mem::offset_of!(ClassBindInfo, class_bind_info) == 48);
};

impl ClassBindInfo {
    /// Copies as many of `functions` as the client asked for into the client's array.
    ///
    /// # Safety
    /// The record is a client's, as given to the bind function.
    pub unsafe fn fill(&self, functions: &[usize]) -> bool {
        let Ok(n) = usize::try_from(self.function_table_count) else { return false };
        if n > functions.len() || self.function_table.is_null() {
            return false;
        }
        // SAFETY: the client's array has `function_table_count` entries; ours at least as many.
        unsafe { std::ptr::copy_nonoverlapping(functions.as_ptr(), self.function_table, n) };
        true
    }
}

/// Binds a client: checks the record, fills the client's tables.
pub type Bind = fn(&ClassBindInfo) -> NtStatus;
/// Unbinds a client.
pub type Unbind = fn(&ClassBindInfo);

struct Class {
    name: &'static str,
    bind: Bind,
    unbind: Unbind,
}

static CLASSES: Mutex<Vec<Class>> = Mutex::new(Vec::new());
static BOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Adds a class extension to those the lab has. Call it before the driver is loaded (`netcx::exports()` is a good place).
pub fn register(name: &'static str, bind: Bind, unbind: Unbind) {
    let mut c = lock(&CLASSES);
    if !c.iter().any(|c| c.name == name) {
        c.push(Class { name, bind, unbind });
    }
}

/// Names of the classes that are bound now.
#[must_use]
pub fn bound() -> Vec<String> {
    lock(&BOUND).clone()
}

/// UTF-16 with a NUL, lossy.
///
/// # Safety
/// `p` is null or NUL-terminated.
#[must_use]
pub unsafe fn wide(p: *const u16) -> String {
    let mut v = Vec::new();
    let mut p = p;
    // SAFETY: by contract; at most 260 units are looked at.
    while !p.is_null() && v.len() < 260 && unsafe { p.read_unaligned() } != 0 {
        // SAFETY: as above.
        v.push(unsafe { p.read_unaligned() });
        p = p.wrapping_add(1);
    }
    String::from_utf16_lossy(&v)
}

fn find(info: &ClassBindInfo) -> (String, Option<(Bind, Unbind)>) {
    // SAFETY: ClassName of a client's record.
    let name = unsafe { wide(info.class_name) };
    let f = lock(&CLASSES).iter().find(|c| c.name == name).map(|c| (c.bind, c.unbind));
    (name, f)
}

/// WdfVersionBindClass, after its IRQL check.
///
/// # Safety
/// `info` is the driver's pointer to its class record.
pub unsafe fn bind(info: *mut ClassBindInfo) -> NtStatus {
    // SAFETY: by contract.
    let Some(info) = (unsafe { info.as_ref() }) else { stop(BAD_CLASS_BIND, "the record is NULL") };
    if info.size != 80 && info.size != 120 {
        stop(BAD_CLASS_BIND, &format!("Size: expected 80 or 120, came {}", info.size));
    }
    let (name, f) = find(info);
    let Some((bind, _)) = f else {
        crate::report::record(UNKNOWN_CLASS, &format!("no class extension {name:?} in the lab"));
        return OBJECT_NAME_NOT_FOUND;
    };
    if fault::fails("WdfVersionBindClass") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let status = bind(info);
    if status == SUCCESS {
        lock(&BOUND).push(name);
    }
    status
}

/// WdfVersionUnbindClass.
///
/// # Safety
/// As [`bind`].
pub unsafe fn unbind(info: *mut ClassBindInfo) {
    // SAFETY: by contract.
    let Some(info) = (unsafe { info.as_ref() }) else { stop(BAD_CLASS_BIND, "the record is NULL") };
    let (name, f) = find(info);
    let mut b = lock(&BOUND);
    let Some(i) = b.iter().position(|n| *n == name) else {
        drop(b);
        stop(BAD_CLASS_BIND, &format!("class {name:?} is not bound"));
    };
    b.remove(i);
    drop(b);
    if let Some((_, unbind)) = f {
        unbind(info);
    }
}
