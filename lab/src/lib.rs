//! The lab: enough of NT, strictly, to run the very `.sys` file that Windows would load. See docs/lab.md.
#![expect(
    unsafe_code,
    reason = "the lab is the other side of an FFI boundary: it runs foreign machine code in its own process"
)]

/// An entry of the export registry: `export!("KeSetEvent", set_event)` for ntoskrnl.exe, or with the module before it.
macro_rules! export {
    ($name:literal, $f:expr) => {
        $crate::Export { module: "ntoskrnl.exe", name: $name, address: $f as *const () as usize }
    };
    ($module:literal, $name:literal, $f:expr) => {
        $crate::Export { module: $module, name: $name, address: $f as *const () as usize }
    };
}

pub mod cng;
pub mod crash;
pub mod etw;
pub mod ex;
pub mod fault;
pub mod foreign;
pub mod io;
pub mod irql;
pub mod ke;
pub mod mm;
pub mod netcx;
pub mod nt;
pub mod ob;
pub mod objects;
pub mod options;
pub mod pe;
pub mod pnp;
pub mod pool;
pub mod report;
pub mod rtl;
pub mod server;
pub mod thunk;
pub mod unwind;
pub mod wdf;
pub mod wsk;

/// One function (or data item) that a loaded image may import.
#[derive(Debug, Clone, Copy)]
pub struct Export {
    /// Module, lower case, with extension: `ntoskrnl.exe`, `netio.sys`, `cng.sys`, `wdfldr.sys`.
    pub module: &'static str,
    /// Symbol.
    pub name: &'static str,
    /// Address; functions are `extern "win64"`.
    pub address: usize,
}

/// Every export of the lab: what `pe` resolves imports from.
#[must_use]
pub fn all_exports() -> Vec<Export> {
    let mut v = ke::exports();
    v.extend(ex::exports());
    v.extend(rtl::exports());
    v.extend(etw::exports());
    v.extend(mm::exports());
    v.extend(io::exports());
    v.extend(ob::exports());
    v.extend(wdf::exports());
    v.extend(netcx::exports());
    v.extend(wsk::exports());
    v.extend(cng::exports());
    v
}
