//! The lab: enough of NT, strictly, to run the very `.sys` file that Windows would load. See docs/lab.md.
#![expect(unsafe_code, reason = "the lab is the other side of an FFI boundary: it runs foreign machine code in its own process")]

pub mod irql;
pub mod report;

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
