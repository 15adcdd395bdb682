//! Strings that cross the boundary, GUIDs.

use super::abi::Handle;
use crate::nt::{GUID, UNICODE_STRING};
use crate::report::{Rule, stop};

const BAD_STRING: Rule =
    Rule::new("wdf.bad-string", "WDK: UNICODE_STRING (Length even, at most MaximumLength, Buffer not NULL)");

/// A driver's UNICODE_STRING, checked; `None` for a null pointer.
///
/// # Safety
/// `s` is null or points to a UNICODE_STRING.
#[must_use]
pub unsafe fn string(s: *const UNICODE_STRING) -> Option<String> {
    // SAFETY: by contract.
    let s = unsafe { s.as_ref() }?;
    if s.Length % 2 != 0 || s.Length > s.MaximumLength || (s.Buffer.is_null() && s.Length != 0) {
        stop(BAD_STRING, &format!("Length {}, MaximumLength {}, Buffer {:p}", s.Length, s.MaximumLength, s.Buffer));
    }
    // SAFETY: checked above as far as it can be.
    Some(unsafe { s.to_string_lossy() })
}

/// As [`string`], where NULL is not allowed.
///
/// # Safety
/// As [`string`].
#[must_use]
pub unsafe fn required(s: *const UNICODE_STRING, what: &str) -> String {
    // SAFETY: by contract.
    match unsafe { string(s) } {
        Some(s) => s,
        None => stop(BAD_STRING, &format!("{what} is NULL")),
    }
}

/// `{8-4-4-4-12}`.
#[must_use]
pub fn guid(g: &GUID) -> String {
    let [a, b, c, d, e, f, h, i] = g.Data4;
    format!(
        "{{{:08x}-{:04x}-{:04x}-{a:02x}{b:02x}-{c:02x}{d:02x}{e:02x}{f:02x}{h:02x}{i:02x}}}",
        g.Data1, g.Data2, g.Data3
    )
}

/// Writes through a driver's out pointer; a null one is the driver's fault.
///
/// # Safety
/// `out` is null or a writable pointer of the driver's.
pub unsafe fn put<T>(out: *mut T, v: T) {
    if out.is_null() {
        stop(NULL_OUT, "an output pointer is NULL");
    }
    // SAFETY: by contract.
    unsafe { out.write_unaligned(v) };
}

/// Writes a handle where the driver may pass NULL for "not interested".
///
/// # Safety
/// As [`put`].
pub unsafe fn put_optional(out: *mut Handle, v: Handle) {
    if !out.is_null() {
        // SAFETY: by contract.
        unsafe { out.write_unaligned(v) };
    }
}

const NULL_OUT: Rule = Rule::new("wdf.null-out-pointer", "WDK: the parameter is [out], not optional");
