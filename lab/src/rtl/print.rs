//! Debug output. `DbgPrint` and `DbgPrintEx` are variadic: short stubs spill the register arguments into their home space,
//! where the stack arguments follow, and pass a pointer to them: that is also what a `va_list` of Windows is.

use crate::Export;
use crate::irql::{self, PASSIVE};
use crate::nt::{NTSTATUS, UNICODE_STRING, status};
use crate::report::{InCall, Rule, record};
use std::arch::naked_asm;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

const UNICODE: Rule = Rule::new("dbgprint.unicode-irql", "WDK: DbgPrint (Unicode format codes only at PASSIVE_LEVEL)");
const BAD_FORMAT: Rule =
    Rule::new("dbgprint.format", "WDK: DbgPrint (floating point is not supported; unknown format code)");

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Shows all debug output, not only what is of level 0 (`DPFLTR_ERROR_LEVEL`).
pub fn set_verbose(on: bool) {
    VERBOSE.store(on, Ordering::Relaxed);
}

#[unsafe(naked)]
extern "win64" fn dbg_print() {
    naked_asm!(
        "mov [rsp+8], rcx",
        "mov [rsp+16], rdx",
        "mov [rsp+24], r8",
        "mov [rsp+32], r9",
        "lea rdx, [rsp+16]",
        "sub rsp, 0x28",
        "call {f}",
        "add rsp, 0x28",
        "ret",
        f = sym dbg_print_list,
    )
}

#[unsafe(naked)]
extern "win64" fn dbg_print_ex() {
    naked_asm!(
        "mov [rsp+8], rcx",
        "mov [rsp+16], rdx",
        "mov [rsp+24], r8",
        "mov [rsp+32], r9",
        "lea r9, [rsp+32]",
        "sub rsp, 0x28",
        "call {f}",
        "add rsp, 0x28",
        "ret",
        f = sym dbg_print_ex_list,
    )
}

extern "win64" fn dbg_print_list(format: *const u8, arguments: *const u64) -> NTSTATUS {
    let _c = InCall::enter("DbgPrint");
    print(None, format, arguments)
}

extern "win64" fn dbg_print_ex_list(_component: u32, level: u32, format: *const u8, arguments: *const u64) -> NTSTATUS {
    let _c = InCall::enter("DbgPrintEx");
    print(Some(level), format, arguments)
}

fn print(level: Option<u32>, format: *const u8, arguments: *const u64) -> NTSTATUS {
    if !VERBOSE.load(Ordering::Relaxed) && level != Some(0) {
        return status::SUCCESS;
    }
    // SAFETY: the driver passes a NUL-terminated format and what it asks for.
    let text = unsafe {
        let n = libc::strlen(format.cast());
        format_text(std::slice::from_raw_parts(format, n), arguments)
    };
    let end = if text.ends_with('\n') { "" } else { "\n" };
    eprint!("driver: {text}{end}");
    status::SUCCESS
}

#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    /// 64-bit integer.
    long: bool,
    /// `l` or `w` before `s`, `c` or `Z`.
    wide: bool,
}

/// # Safety
/// `p` is null or NUL-terminated within `limit` units.
unsafe fn wide_text(p: *const u16, limit: Option<usize>) -> String {
    if p.is_null() {
        return "(null)".to_owned();
    }
    let mut units = Vec::new();
    // SAFETY: as our caller promises.
    while limit.is_none_or(|l| units.len() < l) && unsafe { p.wrapping_add(units.len()).read() } != 0 {
        // SAFETY: as above.
        units.push(unsafe { p.wrapping_add(units.len()).read() });
    }
    String::from_utf16_lossy(&units)
}

/// # Safety
/// `p` is null or NUL-terminated within `limit` bytes.
unsafe fn narrow_text(p: *const u8, limit: Option<usize>) -> String {
    if p.is_null() {
        return "(null)".to_owned();
    }
    let mut bytes = Vec::new();
    // SAFETY: as our caller promises.
    while limit.is_none_or(|l| bytes.len() < l) && unsafe { p.wrapping_add(bytes.len()).read() } != 0 {
        // SAFETY: as above.
        bytes.push(unsafe { p.wrapping_add(bytes.len()).read() });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Formats as `DbgPrint` does, as far as integers, pointers, characters and strings.
///
/// # Safety
/// `arguments` holds what the format asks for.
unsafe fn format_text(format: &[u8], mut arguments: *const u64) -> String {
    let mut out = String::new();
    let mut f = format.iter().copied().peekable();
    while let Some(c) = f.next() {
        if c != b'%' {
            out.push(char::from(c));
            continue;
        }
        let mut s = Spec::default();
        while let Some(&c) = f.peek() {
            match c {
                b'-' => s.left = true,
                b'0' => s.zero = true,
                b'#' => s.alternate = true,
                b'+' | b' ' => {}
                _ => break,
            }
            f.next();
        }
        let mut next = || {
            // SAFETY: as our caller promises.
            let v = unsafe { arguments.read() };
            arguments = arguments.wrapping_add(1);
            v
        };
        let mut number = |f: &mut std::iter::Peekable<_>| {
            let mut n = 0usize;
            while let Some(&d) = f.peek() {
                let d: u8 = d;
                if d == b'*' {
                    n = usize::try_from(next() & 0xFFFF).unwrap_or(0);
                } else if d.is_ascii_digit() {
                    n = n.saturating_mul(10).saturating_add(usize::from(d - b'0'));
                } else {
                    break;
                }
                f.next();
            }
            n.min(4096)
        };
        s.width = number(&mut f);
        if f.peek() == Some(&b'.') {
            f.next();
            s.precision = Some(number(&mut f));
        }
        loop {
            match f.peek() {
                // A long is 32 bits on Windows; two of them are 64.
                Some(b'l') => {
                    f.next();
                    if s.wide {
                        s.long = true;
                    }
                    s.wide = true;
                }
                Some(b'w') => {
                    f.next();
                    s.wide = true;
                }
                Some(b'h') => {
                    f.next();
                }
                Some(b'z' | b'j' | b't') => {
                    f.next();
                    s.long = true;
                }
                Some(b'I') => {
                    f.next();
                    s.long = true;
                    if f.peek() == Some(&b'6') {
                        f.next();
                        f.next();
                    } else if f.peek() == Some(&b'3') {
                        f.next();
                        f.next();
                        s.long = false;
                    }
                }
                _ => break,
            }
        }
        let Some(code) = f.next() else { break };
        let text = match code {
            b'%' => "%".to_owned(),
            b'd' | b'i' => {
                let v = next();
                if s.long {
                    v.cast_signed().to_string()
                } else {
                    (u32::try_from(v & 0xFFFF_FFFF).unwrap_or(0).cast_signed()).to_string()
                }
            }
            b'u' | b'x' | b'X' | b'o' => {
                let v = next();
                let v = if s.long { v } else { v & 0xFFFF_FFFF };
                let prefix = if s.alternate && code != b'u' { "0x" } else { "" };
                match code {
                    b'u' => v.to_string(),
                    b'x' => format!("{prefix}{v:x}"),
                    b'X' => format!("{prefix}{v:X}"),
                    _ => format!("{v:o}"),
                }
            }
            b'p' => format!("{:016X}", next()),
            b'c' => char::from_u32(u32::try_from(next() & 0xFFFF).unwrap_or(0)).unwrap_or('?').to_string(),
            b's' | b'S' if s.wide || code == b'S' => {
                unicode_allowed();
                // SAFETY: as our caller promises.
                unsafe { wide_text(next() as *const u16, s.precision) }
            }
            // SAFETY: as our caller promises.
            b's' => unsafe { narrow_text(next() as *const u8, s.precision) },
            b'Z' => {
                let p = next() as *const UNICODE_STRING;
                // SAFETY: as our caller promises; an ANSI_STRING has the same layout.
                match unsafe { p.as_ref() } {
                    None => "(null)".to_owned(),
                    Some(u) if s.wide => {
                        unicode_allowed();
                        // SAFETY: as our caller promises.
                        unsafe { u.to_string_lossy() }
                    }
                    // SAFETY: as our caller promises.
                    Some(u) => unsafe { narrow_text(u.Buffer.cast(), Some(usize::from(u.Length))) },
                }
            }
            other => {
                record(BAD_FORMAT, &format!("%{}", char::from(other)));
                break;
            }
        };
        let pad = s.width.saturating_sub(text.chars().count());
        let fill = if s.zero && !s.left { '0' } else { ' ' };
        let blanks: String = std::iter::repeat_n(fill, pad).collect();
        // Writing to a String does not fail.
        let _ = if s.left { write!(out, "{text}{blanks}") } else { write!(out, "{blanks}{text}") };
    }
    out
}

fn unicode_allowed() {
    if irql::current() > PASSIVE {
        record(UNICODE, &format!("at IRQL {}", irql::current()));
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![export!("DbgPrint", dbg_print), export!("DbgPrintEx", dbg_print_ex), export!("vDbgPrintEx", dbg_print_ex_list)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_what_drivers_print() {
        let wide: Vec<u16> = "wide\0".encode_utf16().collect();
        let args = [7u64, 0xFFFF_FFFF_FFFF_FFFF, c"narrow".as_ptr() as u64, wide.as_ptr() as u64, 0x1234, 5];
        // SAFETY: the arguments are what the format asks for.
        let s = unsafe { format_text(b"%u %d %s %ws %p %04llu%%", args.as_ptr()) };
        assert_eq!(s, "7 -1 narrow wide 0000000000001234 0005%");
    }
}
