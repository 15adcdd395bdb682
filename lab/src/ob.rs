//! The object manager: references to device, file, driver and thread objects, and handles to threads.

use crate::ke::thread;
use crate::nt::{HANDLE, NTSTATUS, status};
use crate::report::{InCall, Origin, Rule, record_about, stop_about};
use crate::{Export, io, irql, objects::Kind};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

const INVALID: Rule = Rule::new("object.invalid", "WDK: ObReferenceObject, ObDereferenceObject (a live object)");
const BAD_HANDLE: Rule = Rule::new("handle.invalid", "WDK: ZwClose (an open handle); Driver Verifier 0x93");

/// By handle the object and who made the handle.
type Table = BTreeMap<usize, (usize, Origin)>;
/// The last number given, and the open handles.
static HANDLES: Mutex<(u64, Table)> = Mutex::new((0, Table::new()));
static HANDLE_KIND: Kind = Kind::new("ob.handle").described(open_handles);
static REFERENCES: Kind = Kind::new("ob.device-reference");

fn open_handles() -> Vec<String> {
    let t = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    t.1.iter().map(|(h, (_, made))| format!("handle {h:#x}, made by {made}")).collect()
}

/// Makes a kernel handle for an object; the handle owns a reference that its maker has taken.
pub fn open_handle(object: *mut c_void) -> HANDLE {
    let mut t = HANDLES.lock().unwrap_or_else(PoisonError::into_inner);
    t.0 += 4;
    // Kernel handles have the high bit set.
    let h = usize::MAX << 31 | usize::try_from(t.0).unwrap_or(0);
    t.1.insert(h, (object as usize, Origin::here()));
    HANDLE_KIND.add();
    h as HANDLE
}

fn object_of(handle: HANDLE) -> Option<*mut c_void> {
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner).1.get(&(handle as usize)).map(|o| o.0 as *mut c_void)
}

/// Closes a handle; false when it is none.
pub fn close_handle(handle: HANDLE) -> bool {
    let o = HANDLES.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&(handle as usize));
    let Some((o, _)) = o else { return false };
    HANDLE_KIND.remove();
    // SAFETY: the handle owned a reference.
    unsafe { dereference(o as *mut c_void) };
    true
}

/// # Safety
/// `o` is what a driver passed.
pub(crate) unsafe fn reference(o: *mut c_void) -> i64 {
    // SAFETY: as our caller promises; what is no object is refused.
    unsafe {
        if thread::is_thread(o) {
            return i64::from(thread::reference(o));
        }
        if io::device::is_device(o.cast()) || io::file::is_file(o.cast()) {
            // Devices and files outlive a driver's reference by their own rules; what is counted is balance.
            REFERENCES.add();
            return 2;
        }
    }
    stop_about(INVALID, o.addr(), &format!("{o:p}"))
}

/// # Safety
/// `o` is what a driver passed.
pub(crate) unsafe fn dereference(o: *mut c_void) -> i64 {
    // SAFETY: as our caller promises; what is no object is refused.
    unsafe {
        if thread::is_thread(o) {
            return i64::from(thread::dereference(o));
        }
        if io::device::is_device(o.cast()) || io::file::is_file(o.cast()) {
            REFERENCES.remove();
            if REFERENCES.live() < 0 {
                stop_about(INVALID, o.addr(), &format!("{o:p} is dereferenced more often than referenced"));
            }
            return 1;
        }
    }
    stop_about(INVALID, o.addr(), &format!("{o:p}"))
}

extern "win64" fn obf_reference(o: *mut c_void) -> i64 {
    let _c = InCall::enter("ObfReferenceObject");
    irql::require_at_most(irql::DISPATCH);
    // SAFETY: the driver passes an object; anything else is refused.
    unsafe { reference(o) }
}

extern "win64" fn obf_dereference(o: *mut c_void) -> i64 {
    let _c = InCall::enter("ObfDereferenceObject");
    irql::require_at_most(irql::PASSIVE);
    // SAFETY: the driver passes an object; anything else is refused.
    unsafe { dereference(o) }
}

extern "win64" fn dereference_defer(o: *mut c_void) {
    let _c = InCall::enter("ObDereferenceObjectDeferDelete");
    irql::require_at_most(irql::DISPATCH);
    // SAFETY: the driver passes an object; anything else is refused.
    unsafe { dereference(o) };
}

extern "win64" fn reference_by_handle(
    handle: HANDLE,
    _access: u32,
    _object_type: *mut c_void,
    _mode: i8,
    out: *mut *mut c_void,
    _information: *mut c_void,
) -> NTSTATUS {
    let _c = InCall::enter("ObReferenceObjectByHandle");
    irql::require_at_most(irql::PASSIVE);
    let Some(o) = object_of(handle) else { return status::INVALID_HANDLE };
    // SAFETY: the handle keeps the object alive; `out` is the driver's out parameter.
    unsafe {
        reference(o);
        *out = o;
    }
    status::SUCCESS
}

extern "win64" fn zw_close(handle: HANDLE) -> NTSTATUS {
    let _c = InCall::enter("ZwClose");
    irql::require_at_most(irql::PASSIVE);
    if close_handle(handle) {
        return status::SUCCESS;
    }
    record_about(BAD_HANDLE, handle.addr(), &format!("{handle:p}"));
    status::INVALID_HANDLE
}

/// `PsThreadType` and its kin are pointers to object types; drivers pass them on without a look inside.
static OBJECT_TYPE: [u64; 8] = [0; 8];
struct TypePointer(*const [u64; 8]);
// SAFETY: the pointer names a static that nobody writes.
unsafe impl Sync for TypePointer {}
static TYPE_POINTER: TypePointer = TypePointer(&raw const OBJECT_TYPE);

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let data = |name| Export { module: "ntoskrnl.exe", name, address: (&raw const TYPE_POINTER.0).addr() };
    vec![
        export!("ObfReferenceObject", obf_reference),
        export!("ObfDereferenceObject", obf_dereference),
        export!("ObDereferenceObjectDeferDelete", dereference_defer),
        export!("ObReferenceObjectByHandle", reference_by_handle),
        export!("ZwClose", zw_close),
        data("PsThreadType"),
        data("IoFileObjectType"),
        data("ExEventObjectType"),
    ]
}
