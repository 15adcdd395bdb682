//! Binding by WdfVersionBindClass, the client's globals, and what the lab has of the function table.

use super::table::{self, COUNT, NAMES, RELEASED};
use super::{adapter, configuration, device, offload, queue};
use crate::irql::{self, Kirql};
use crate::nt::{NTSTATUS, status};
use crate::objects::Kind;
use crate::pool;
use crate::report::{InCall, Rule, record, stop};
use crate::wdf::class::{self, ClassBindInfo};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

const BAD_BIND: Rule = Rule::new("netcx.bad-bind", "nt-abi.md section 1: WDF_CLASS_BIND_INFO of NetAdapterCx");
const BAD_GLOBALS: Rule =
    Rule::new("netcx.bad-globals", "nt-abi.md section 2: each call takes the NetDriverGlobals of the bind first");
const NOT_IMPLEMENTED: Rule =
    Rule::new("netcx.not-implemented", "the lab (docs/lab.md): what it does not implement stops it by name");
const UNBIND: Rule =
    Rule::new("netcx.unbind-with-adapters", "NetAdapterCx: every NETADAPTER is gone when the driver is unloaded");

static CLIENT: Kind = Kind::new("netcx.client");
static GLOBALS: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static MINOR: AtomicU32 = AtomicU32::new(0);

/// The client's globals, as each call passes them.
pub type G = *mut u8;
/// A function by its name.
pub type Entry = (&'static str, usize);

/// Builds a list of [`Entry`] from `"NetName" => function`.
macro_rules! entries {
    ($($name:literal => $f:path),* $(,)?) => {
        vec![$(($name, $f as *const () as usize)),*]
    };
}
pub(super) use entries;

/// Stands first in each function of the table: names the call, checks the globals and the IRQL.
#[must_use]
pub fn enter(g: G, name: &'static str, max: Kirql) -> InCall {
    let call = InCall::enter(name);
    if g.is_null() || g != GLOBALS.load(Ordering::Relaxed) {
        stop(BAD_GLOBALS, &format!("{g:p} is not the client's NetDriverGlobals"));
    }
    irql::require_at_most(max);
    call
}

/// What a slot without a function leads to.
pub extern "win64" fn missing<const INDEX: usize>() -> usize {
    let name = NAMES.get(INDEX).copied().unwrap_or("(no such index)");
    let _call = InCall::enter(name);
    stop(NOT_IMPLEMENTED, &format!("the lab has no {name} (index {INDEX})"))
}

/// All functions of the lab's, behind stubs that note the driver's return address.
pub fn implemented() -> Vec<Entry> {
    let mut v = adapter::entries();
    v.extend(configuration::entries());
    v.extend(device::entries());
    v.extend(offload::entries());
    v.extend(queue::entries());
    for (name, _) in &v {
        debug_assert!(NAMES.contains(name), "{name}");
    }
    v
}

/// Minor version the client was built for.
pub fn minor() -> u32 {
    MINOR.load(Ordering::Relaxed)
}

fn functions() -> &'static [usize] {
    static TABLE: OnceLock<Vec<usize>> = OnceLock::new();
    TABLE.get_or_init(table::build)
}

/// Binds a client.
pub fn bind(info: &ClassBindInfo) -> NTSTATUS {
    let [major, minor, build] = info.version;
    let Some(&count) = RELEASED.get(minor as usize).filter(|_| major == 2) else {
        record(BAD_BIND, &format!("version {major}.{minor}: the lab has 2.0 to 2.5"));
        return status::NOT_SUPPORTED;
    };
    if build != 0 {
        record(BAD_BIND, &format!("version {major}.{minor}.{build}: a preview client"));
        return status::NOT_SUPPORTED;
    }
    if info.function_table_count as usize > count || count > COUNT {
        record(BAD_BIND, &format!("FunctionTableCount {}: version 2.{minor} has {count}", info.function_table_count));
        return status::INVALID_PARAMETER;
    }
    if info.class_bind_info.is_null() || info.function_table.is_null() {
        record(BAD_BIND, "FunctionTable or ClassBindInfo is NULL");
        return status::INVALID_PARAMETER;
    }
    let g = pool::alloc_lab_zeroed(&CLIENT, 16);
    if GLOBALS.compare_exchange(std::ptr::null_mut(), g, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: just allocated.
        unsafe { pool::free_lab(g) };
        record(BAD_BIND, "the driver is bound already");
        return status::INVALID_DEVICE_STATE;
    }
    MINOR.store(minor, Ordering::Relaxed);
    super::configure_by_options();
    // SAFETY: a client's record, as WdfVersionBindClass got it; ClassBindInfo is not null.
    unsafe {
        info.fill(functions());
        info.class_bind_info.write_unaligned(g);
    }
    status::SUCCESS
}

/// Unbinds it.
pub fn unbind(_info: &ClassBindInfo) {
    let adapters = adapter::count();
    if adapters != 0 {
        record(UNBIND, &format!("{adapters} adapters are alive"));
    }
    let g = GLOBALS.swap(std::ptr::null_mut(), Ordering::AcqRel);
    if !g.is_null() {
        // SAFETY: from `bind`; no call can come with it any more.
        unsafe { pool::free_lab(g) };
    }
}

/// Makes the class known to WDF.
pub fn register() {
    class::register("NetAdapterCx", bind, unbind);
}
