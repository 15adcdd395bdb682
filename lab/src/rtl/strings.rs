//! Counted strings.

use crate::fault;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::nt::{GUID, NTSTATUS, UNICODE_STRING, status};
use crate::objects::Kind;
use crate::report::{InCall, Rule, record, record_about};
use crate::{Export, io, pool};

const ODD: Rule = Rule::new("string.invalid", "WDK: UNICODE_STRING (Length even, not above MaximumLength)");
const NOT_OURS: Rule =
    Rule::new("string.bad-free", "WDK: RtlFreeUnicodeString (a buffer that an Rtl routine allocated)");

static BUFFERS: Kind = Kind::new("rtl.string-buffer");

/// Upper case of one unit, where that is one unit.
#[must_use]
pub fn upcase(c: u16) -> u16 {
    let Some(ch) = char::from_u32(u32::from(c)) else { return c };
    let mut up = ch.to_uppercase();
    match (up.next(), up.next()) {
        (Some(u), None) => u16::try_from(u32::from(u)).unwrap_or(c),
        _ => c,
    }
}

/// The units of a string.
///
/// # Safety
/// `s` is null or a string whose buffer is readable.
unsafe fn units<'a>(s: *const UNICODE_STRING) -> &'a [u16] {
    // SAFETY: as our caller promises.
    let Some(s) = (unsafe { s.as_ref() }) else { return &[] };
    if s.Length % 2 != 0 || s.Length > s.MaximumLength {
        record(ODD, &format!("Length {}, MaximumLength {}", s.Length, s.MaximumLength));
    }
    if s.Buffer.is_null() {
        return &[];
    }
    // SAFETY: as our caller promises.
    unsafe { std::slice::from_raw_parts(s.Buffer, usize::from(s.Length / 2)) }
}

/// Appends units where they fit; the count that fitted.
///
/// # Safety
/// `to` is a string whose buffer is writable for its maximum.
unsafe fn append(to: *mut UNICODE_STRING, from: &[u16]) -> usize {
    // SAFETY: as our caller promises; the source may overlap, hence copy.
    unsafe {
        let at = usize::from((*to).Length / 2);
        let room = usize::from((*to).MaximumLength / 2).saturating_sub(at);
        let n = from.len().min(room);
        std::ptr::copy(from.as_ptr(), (*to).Buffer.wrapping_add(at), n);
        (*to).Length = u16::try_from((at + n) * 2).unwrap_or(0);
        if n < room {
            (*to).Buffer.wrapping_add(at + n).write(0);
        }
        n
    }
}

extern "win64" fn init_unicode(to: *mut UNICODE_STRING, from: *mut u16) {
    let _c = InCall::enter("RtlInitUnicodeString");
    let mut n = 0usize;
    // SAFETY: the driver passes a NUL-terminated string, or null, and its storage for the result.
    unsafe {
        while !from.is_null() && from.wrapping_add(n).read() != 0 {
            n += 1;
        }
        let bytes = u16::try_from(n * 2).unwrap_or(0xFFFC).min(0xFFFC);
        *to = UNICODE_STRING { Length: bytes, MaximumLength: if from.is_null() { 0 } else { bytes + 2 }, Buffer: from };
    }
}

extern "win64" fn init_unicode_ex(to: *mut UNICODE_STRING, from: *mut u16) -> NTSTATUS {
    init_unicode(to, from);
    status::SUCCESS
}

extern "win64" fn init_ansi(to: *mut UNICODE_STRING, from: *mut u8) {
    let _c = InCall::enter("RtlInitAnsiString");
    // SAFETY: an ANSI_STRING has the same layout; the driver passes a NUL-terminated string, or null.
    unsafe {
        let n = if from.is_null() { 0 } else { libc::strlen(from.cast()) };
        let bytes = u16::try_from(n).unwrap_or(0xFFFE).min(0xFFFE);
        *to = UNICODE_STRING {
            Length: bytes,
            MaximumLength: if from.is_null() { 0 } else { bytes + 1 },
            Buffer: from.cast(),
        };
    }
}

extern "win64" fn copy_unicode(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) {
    let _c = InCall::enter("RtlCopyUnicodeString");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes two strings.
    unsafe {
        (*to).Length = 0;
        append(to, units(from));
    }
}

extern "win64" fn append_unicode_string(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) -> NTSTATUS {
    let _c = InCall::enter("RtlAppendUnicodeStringToString");
    // SAFETY: the driver passes two strings.
    unsafe { append_all(to, units(from)) }
}

extern "win64" fn append_unicode(to: *mut UNICODE_STRING, from: *mut u16) -> NTSTATUS {
    let _c = InCall::enter("RtlAppendUnicodeToString");
    let mut s = UNICODE_STRING::empty();
    init_unicode(&raw mut s, from);
    // SAFETY: the driver passes a string, and s is one.
    unsafe { append_all(to, units(&raw const s)) }
}

/// # Safety
/// As for [`append`].
unsafe fn append_all(to: *mut UNICODE_STRING, from: &[u16]) -> NTSTATUS {
    // SAFETY: as our caller promises.
    unsafe {
        if usize::from((*to).Length) + from.len() * 2 > usize::from((*to).MaximumLength) {
            return status::BUFFER_TOO_SMALL;
        }
        append(to, from);
    }
    status::SUCCESS
}

extern "win64" fn compare_unicode(a: *const UNICODE_STRING, b: *const UNICODE_STRING, insensitive: u8) -> i32 {
    let _c = InCall::enter("RtlCompareUnicodeString");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes two strings.
    let (a, b) = unsafe { (units(a), units(b)) };
    let fold = |c: &u16| if insensitive != 0 { upcase(*c) } else { *c };
    match a.iter().map(fold).cmp(b.iter().map(fold)) {
        std::cmp::Ordering::Less => -1,
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Greater => 1,
    }
}

extern "win64" fn equal_unicode(a: *const UNICODE_STRING, b: *const UNICODE_STRING, insensitive: u8) -> u8 {
    u8::from(compare_unicode(a, b, insensitive) == 0)
}

extern "win64" fn upcase_char(c: u16) -> u16 {
    upcase(c)
}

/// Makes a string with a buffer that [`free_unicode`] frees.
fn allocate(text: &str) -> UNICODE_STRING {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let buffer = pool::alloc_lab(&BUFFERS, units.len() * 2).cast::<u16>();
    // SAFETY: the buffer holds the units.
    unsafe { std::ptr::copy_nonoverlapping(units.as_ptr(), buffer, units.len()) };
    let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX);
    UNICODE_STRING { Length: bytes.saturating_sub(2), MaximumLength: bytes, Buffer: buffer }
}

extern "win64" fn free_unicode(s: *mut UNICODE_STRING) {
    let _c = InCall::enter("RtlFreeUnicodeString");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a string; a buffer that is not the lab's is refused.
    unsafe {
        let buffer = (*s).Buffer.cast::<u8>();
        if buffer.is_null() {
            return;
        }
        if pool::is_lab_block(buffer, &BUFFERS) {
            pool::free_lab(buffer);
        } else if !io::names::free_string(buffer) {
            record_about(NOT_OURS, buffer.addr(), &format!("{buffer:p}"));
        }
        *s = UNICODE_STRING::empty();
    }
}

extern "win64" fn string_from_guid(guid: *const GUID, out: *mut UNICODE_STRING) -> NTSTATUS {
    let _c = InCall::enter("RtlStringFromGUID");
    irql::require_at_most(PASSIVE);
    if fault::fails("RtlStringFromGUID") {
        return status::NO_MEMORY;
    }
    // SAFETY: the driver passes a GUID and an out parameter.
    unsafe {
        let g = *guid;
        let [a, b, c, d, e, f, h, i] = g.Data4;
        *out = allocate(&format!(
            "{{{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-{c:02X}{d:02X}{e:02X}{f:02X}{h:02X}{i:02X}}}",
            g.Data1, g.Data2, g.Data3
        ));
    }
    status::SUCCESS
}

extern "win64" fn integer_to_unicode(value: u32, base: u32, to: *mut UNICODE_STRING) -> NTSTATUS {
    let _c = InCall::enter("RtlIntegerToUnicodeString");
    irql::require_at_most(PASSIVE);
    let text = match base {
        2 => format!("{value:b}"),
        8 => format!("{value:o}"),
        16 => format!("{value:X}"),
        0 | 10 => value.to_string(),
        _ => return status::INVALID_PARAMETER,
    };
    let units: Vec<u16> = text.encode_utf16().collect();
    // SAFETY: the driver passes a string with a buffer.
    unsafe {
        if units.len() * 2 > usize::from((*to).MaximumLength) {
            return status::BUFFER_OVERFLOW;
        }
        (*to).Length = 0;
        append(to, &units);
    }
    status::SUCCESS
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("RtlInitUnicodeString", init_unicode),
        export!("RtlInitUnicodeStringEx", init_unicode_ex),
        export!("RtlInitAnsiString", init_ansi),
        export!("RtlInitString", init_ansi),
        export!("RtlCopyUnicodeString", copy_unicode),
        export!("RtlAppendUnicodeStringToString", append_unicode_string),
        export!("RtlAppendUnicodeToString", append_unicode),
        export!("RtlCompareUnicodeString", compare_unicode),
        export!("RtlEqualUnicodeString", equal_unicode),
        export!("RtlUpcaseUnicodeChar", upcase_char),
        export!("RtlFreeUnicodeString", free_unicode),
        export!("RtlStringFromGUID", string_from_guid),
        export!("RtlIntegerToUnicodeString", integer_to_unicode),
    ]
}
