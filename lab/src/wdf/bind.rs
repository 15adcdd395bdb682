//! Binding: the exports of wdfldr.sys and the driver globals.

use super::abi::{Handle, INVALID_PARAMETER, NtStatus, SUCCESS, WDF_NO_CALLBACK};
use super::attributes::BAD_CONFIG_SIZE;
use super::class::{self, ClassBindInfo};
use super::object;
use super::{driver, table, table_names};
use crate::fault;
use crate::irql::{self, Kirql};
use crate::nt::{DRIVER_OBJECT, UNICODE_STRING};
use crate::report::{InCall, Rule, record, stop};
use crate::{Export, objects, pool};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

const BAD_BIND: Rule = Rule::new("wdf.bad-bind", "WDF_BIND_INFO (fxldr.h); nt-abi.md section 1");
const BAD_GLOBALS: Rule =
    Rule::new("wdf.bad-globals", "nt-abi.md section 2: each call takes the WdfDriverGlobals of WdfVersionBind first");
const UNBIND: Rule = Rule::new(
    "wdf.unbind-order",
    "nt-abi.md section 1: class unbinds, then WdfVersionUnbind, after the driver's unload",
);

static GLOBALS_KIND: objects::Kind = objects::Kind::new("wdf.client");
static GLOBALS: AtomicPtr<Globals> = AtomicPtr::new(std::ptr::null_mut());
static MINOR: AtomicU32 = AtomicU32::new(0);

/// WDF_DRIVER_GLOBALS.
#[repr(C)]
#[derive(Debug)]
pub struct Globals {
    /// Driver: WDFDRIVER, set by WdfDriverCreate.
    pub driver: Handle,
    /// DriverFlags.
    pub flags: u32,
    /// DriverTag: pool tag.
    pub tag: u32,
    /// DriverName.
    pub name: [u8; 32],
    /// DisplaceDriverUnload.
    pub displace_unload: u8,
}

const _: () = {
    assert!(size_of::<Globals>() == 56);
    assert!(std::mem::offset_of!(Globals, displace_unload) == 48);
};

/// WDF_BIND_INFO.
#[repr(C)]
#[derive(Debug)]
pub struct BindInfo {
    size: u32,
    component: *const u16,
    version: [u32; 3],
    func_count: u32,
    func_table: *mut *const usize,
    module: *mut u8,
}

const _: () = {
    assert!(size_of::<BindInfo>() == 48);
    assert!(std::mem::offset_of!(BindInfo, func_table) == 32);
};

/// The client's globals, as each call passes them.
pub type G = *mut Globals;

/// Stands first in each function of the table: names the call, checks the globals and the IRQL.
#[must_use]
pub fn enter(g: G, name: &'static str, max: Kirql) -> InCall {
    let call = InCall::enter(name);
    if g != GLOBALS.load(Ordering::Relaxed) || g.is_null() {
        stop(BAD_GLOBALS, &format!("{g:p} is not the client's WdfDriverGlobals"));
    }
    irql::require_at_most(max);
    call
}

/// The client's globals, or null before binding.
#[must_use]
pub fn globals() -> G {
    GLOBALS.load(Ordering::Acquire)
}

/// Minor version the client was built for.
#[must_use]
pub fn minor() -> u32 {
    MINOR.load(Ordering::Relaxed)
}

unsafe extern "win64" fn version_bind(
    driver: *mut DRIVER_OBJECT,
    path: *const UNICODE_STRING,
    info: *mut BindInfo,
    out: *mut G,
) -> NtStatus {
    let _call = InCall::enter("WdfVersionBind");
    irql::require_at_most(irql::PASSIVE);
    if driver.is_null() || path.is_null() || out.is_null() {
        stop(BAD_BIND, "a NULL argument");
    }
    // SAFETY: the driver's bind record.
    let Some(i) = (unsafe { info.as_ref() }) else { stop(BAD_BIND, "WDF_BIND_INFO is NULL") };
    if i.size != 48 && i.size != 88 {
        stop(BAD_CONFIG_SIZE, &format!("WDF_BIND_INFO.Size: expected 48 or 88, came {}", i.size));
    }
    // SAFETY: Component of a bind record.
    let component = unsafe { class::wide(i.component) };
    if component != "KmdfLibrary" {
        stop(BAD_BIND, &format!("Component: expected KmdfLibrary, came {component:?}"));
    }
    let [major, minor, _] = i.version;
    let count = i.func_count;
    let released = table_names::RELEASED.iter().find(|(m, _)| *m == minor);
    match released {
        Some((_, n)) if major == 1 && count == *n => {}
        Some((_, n)) if major == 1 => stop(BAD_BIND, &format!("FuncCount: version 1.{minor} has {n}, came {count}")),
        _ => stop(BAD_BIND, &format!("version {major}.{minor} is none that the lab has (1.15 to 1.33)")),
    }
    if i.func_table.is_null() {
        stop(BAD_BIND, "FuncTable is NULL");
    }
    if fault::fails("WdfVersionBind") {
        return super::abi::INSUFFICIENT_RESOURCES;
    }
    let g = pool::alloc_lab_zeroed(&GLOBALS_KIND, size_of::<Globals>()).cast::<Globals>();
    if GLOBALS.compare_exchange(std::ptr::null_mut(), g, Ordering::AcqRel, Ordering::Acquire).is_err() {
        stop(BAD_BIND, "the driver is bound already");
    }
    MINOR.store(minor, Ordering::Relaxed);
    driver::remember_service_path(path);
    // SAFETY: g is fresh; func_table and out are the driver's variables; driver is the object the lab loaded it with.
    unsafe {
        (*g).tag = u32::from_le_bytes(*b"FxDr");
        let name = (*driver).DriverName.to_string_lossy();
        let short = name.rsplit('\\').next().unwrap_or("");
        for (to, from) in (*g).name.iter_mut().take(31).zip(short.bytes()) {
            *to = from;
        }
        i.func_table.write_unaligned(table::for_client(usize::try_from(count).unwrap_or(0)));
        out.write_unaligned(g);
    }
    SUCCESS
}

unsafe extern "win64" fn version_unbind(_path: *const UNICODE_STRING, _info: *mut BindInfo, g: G) -> NtStatus {
    let _call = InCall::enter("WdfVersionUnbind");
    irql::require_at_most(irql::PASSIVE);
    if g.is_null() || g != GLOBALS.load(Ordering::Acquire) {
        stop(UNBIND, &format!("{g:p} is not the client's globals"));
    }
    for c in class::bound() {
        record(UNBIND, &format!("class {c} is still bound"));
    }
    super::quiesce();
    driver::client_gone();
    object::report_leaks();
    GLOBALS.store(std::ptr::null_mut(), Ordering::Release);
    // SAFETY: from version_bind; no call can come with it any more.
    unsafe { pool::free_lab(g.cast()) };
    SUCCESS
}

unsafe extern "win64" fn version_bind_class(_info: *mut BindInfo, g: G, class_info: *mut ClassBindInfo) -> NtStatus {
    let _call = enter(g, "WdfVersionBindClass", irql::PASSIVE);
    // SAFETY: the driver's record.
    unsafe { class::bind(class_info) }
}

unsafe extern "win64" fn version_unbind_class(_info: *mut BindInfo, g: G, class_info: *mut ClassBindInfo) {
    let _call = enter(g, "WdfVersionUnbindClass", irql::PASSIVE);
    // SAFETY: the driver's record.
    unsafe { class::unbind(class_info) }
}

unsafe extern "win64" fn query_interface(interface: *mut u8) -> NtStatus {
    let _call = InCall::enter("WdfLdrQueryInterface");
    if interface.is_null() { INVALID_PARAMETER } else { WDF_NO_CALLBACK }
}

/// The exports of wdfldr.sys.
#[must_use]
pub fn exports() -> Vec<Export> {
    let e = |name, f: *const ()| Export { module: "wdfldr.sys", name, address: f.addr() };
    vec![
        e("WdfVersionBind", version_bind as *const ()),
        e("WdfVersionUnbind", version_unbind as *const ()),
        e("WdfVersionBindClass", version_bind_class as *const ()),
        e("WdfVersionUnbindClass", version_unbind_class as *const ()),
        e("WdfLdrQueryInterface", query_interface as *const ()),
    ]
}
