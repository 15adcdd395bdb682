//! The C runtime's memory functions, which ntoskrnl exports. They are called for every copy of a struct: no checks here.

use crate::Export;
use std::arch::naked_asm;

extern "win64" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the driver's call; ntoskrnl's memcpy is memmove.
    unsafe { libc::memmove(to.cast(), from.cast(), n) };
    to
}

extern "win64" fn memset(to: *mut u8, value: i32, n: usize) -> *mut u8 {
    // SAFETY: the driver's call.
    unsafe { libc::memset(to.cast(), value, n) };
    to
}

extern "win64" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the driver's call.
    unsafe { libc::memcmp(a.cast(), b.cast(), n) }
}

extern "win64" fn memchr(a: *const u8, value: i32, n: usize) -> *mut u8 {
    // SAFETY: the driver's call.
    unsafe { libc::memchr(a.cast(), value, n).cast() }
}

extern "win64" fn fill(to: *mut u8, n: usize, value: u8) {
    // SAFETY: the driver's call.
    unsafe { to.write_bytes(value, n) };
}

extern "win64" fn zero(to: *mut u8, n: usize) {
    // SAFETY: the driver's call.
    unsafe { to.write_bytes(0, n) };
}

/// Number of bytes that are equal from the start.
extern "win64" fn compare(a: *const u8, b: *const u8, n: usize) -> usize {
    // SAFETY: the driver's call.
    unsafe { (0..n).find(|&i| a.wrapping_add(i).read() != b.wrapping_add(i).read()).unwrap_or(n) }
}

extern "win64" fn strlen(s: *const i8) -> usize {
    // SAFETY: the driver's call.
    unsafe { libc::strlen(s.cast()) }
}

extern "win64" fn strcmp(a: *const i8, b: *const i8) -> i32 {
    // SAFETY: the driver's call.
    unsafe { libc::strcmp(a.cast(), b.cast()) }
}

extern "win64" fn strncmp(a: *const i8, b: *const i8, n: usize) -> i32 {
    // SAFETY: the driver's call.
    unsafe { libc::strncmp(a.cast(), b.cast(), n) }
}

extern "win64" fn wcslen(s: *const u16) -> usize {
    let mut n = 0;
    // SAFETY: the driver's call: a NUL-terminated string.
    while unsafe { s.wrapping_add(n).read() } != 0 {
        n += 1;
    }
    n
}

fn wide_compare(a: *const u16, b: *const u16, n: usize, fold: impl Fn(u16) -> u16) -> i32 {
    for i in 0..n {
        // SAFETY: the driver's call: two strings that end by a NUL or at n.
        let (x, y) = unsafe { (fold(a.wrapping_add(i).read()), fold(b.wrapping_add(i).read())) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        if x == 0 {
            break;
        }
    }
    0
}

extern "win64" fn wcscmp(a: *const u16, b: *const u16) -> i32 {
    wide_compare(a, b, usize::MAX, |c| c)
}

extern "win64" fn wcsncmp(a: *const u16, b: *const u16, n: usize) -> i32 {
    wide_compare(a, b, n, |c| c)
}

extern "win64" fn wcsicmp(a: *const u16, b: *const u16) -> i32 {
    wide_compare(a, b, usize::MAX, super::strings::upcase)
}

/// Probes the stack on Windows; here the thread's stack is there.
#[unsafe(naked)]
extern "win64" fn chkstk() {
    naked_asm!("ret")
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("memcpy", memcpy),
        export!("memmove", memcpy),
        export!("memset", memset),
        export!("memcmp", memcmp),
        export!("memchr", memchr),
        export!("RtlCopyMemory", memcpy),
        export!("RtlMoveMemory", memcpy),
        export!("RtlFillMemory", fill),
        export!("RtlZeroMemory", zero),
        export!("RtlSecureZeroMemory", zero),
        export!("RtlCompareMemory", compare),
        export!("strlen", strlen),
        export!("strcmp", strcmp),
        export!("strncmp", strncmp),
        export!("wcslen", wcslen),
        export!("wcscmp", wcscmp),
        export!("wcsncmp", wcsncmp),
        export!("_wcsicmp", wcsicmp),
        export!("__chkstk", chkstk),
    ]
}
