//! Versions, random numbers, bug checks, exception support, and look-up of exports by name.

use crate::Export;
use crate::fault;
use crate::irql::{self, APC, PASSIVE};
use crate::nt::{GUID, NTSTATUS, UNICODE_STRING, status};
use crate::report::{InCall, Rule, stop};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

const BUGCHECK: Rule = Rule::new("bugcheck.called", "the driver called KeBugCheckEx: Windows would stop");
const EXCEPTION: Rule = Rule::new("exception.raised", "the lab does not unwind: structured exceptions end it");

/// Windows 11 21H2, the oldest the shipped driver is built for with NetAdapterCx 2.1.
pub(crate) const BUILD: u32 = 22000;
static SEED: AtomicU64 = AtomicU64::new(0x9E37_79B9_7F4A_7C15);

/// `RTL_OSVERSIONINFOW`, and the part of the `EX` form behind it that is filled.
extern "win64" fn get_version(out: *mut u32) -> NTSTATUS {
    let _c = InCall::enter("RtlGetVersion");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes the structure with its size in the first word: 276 or 284 bytes.
    unsafe {
        let size = out.read();
        if size != 276 && size != 284 {
            return status::INVALID_PARAMETER;
        }
        for (i, v) in [10, 0, BUILD, 2].into_iter().enumerate() {
            out.wrapping_add(1 + i).write(v);
        }
        out.wrapping_add(5).cast::<u8>().write_bytes(0, size as usize - 20);
    }
    status::SUCCESS
}

extern "win64" fn ps_get_version(major: *mut u32, minor: *mut u32, build: *mut u32, csd: *mut UNICODE_STRING) -> u8 {
    // SAFETY: the driver passes optional out parameters.
    unsafe {
        for (p, v) in [(major, 10), (minor, 0), (build, BUILD)] {
            if let Some(p) = p.as_mut() {
                *p = v;
            }
        }
        if let Some(c) = csd.as_mut() {
            c.Length = 0;
        }
    }
    0
}

extern "win64" fn is_ntddi_available(version: u32) -> u8 {
    // NTDDI_WIN10_CO.
    u8::from(version <= 0x0A00_000B)
}

extern "win64" fn random_ex(seed: *mut u32) -> u32 {
    // SAFETY: the driver passes its seed.
    unsafe {
        let mut x = u64::from(seed.read()).wrapping_add(SEED.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed));
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let v = u32::try_from((x ^ (x >> 31)) & 0x7FFF_FFFF).unwrap_or(0);
        seed.write(v);
        v
    }
}

extern "win64" fn uuid_create(out: *mut GUID) -> NTSTATUS {
    let _c = InCall::enter("ExUuidCreate");
    irql::require_at_most(APC);
    if fault::fails("ExUuidCreate") {
        return status::RETRY;
    }
    // SAFETY: the driver passes its out parameter.
    unsafe { out.cast::<[u8; 16]>().write_unaligned(random_id()) };
    status::SUCCESS
}

/// A random GUID (version 4).
pub(crate) fn random_id() -> [u8; 16] {
    let mut b = [0u8; 16];
    // SAFETY: the buffer is ours.
    unsafe { libc::getrandom(b.as_mut_ptr().cast(), b.len(), 0) };
    b[6] = b[6] & 0x0F | 0x40;
    b[8] = b[8] & 0x3F | 0x80;
    b
}

extern "win64" fn bug_check_ex(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
    let _c = InCall::enter("KeBugCheckEx");
    stop(BUGCHECK, &format!("code {code:#x}, parameters {p1:#x} {p2:#x} {p3:#x} {p4:#x}"))
}

extern "win64" fn bug_check(code: u32) -> ! {
    let _c = InCall::enter("KeBugCheck");
    stop(BUGCHECK, &format!("code {code:#x}"))
}

extern "win64" fn c_specific_handler(
    _record: *const c_void,
    _frame: *const c_void,
    _context: *const c_void,
    _dispatcher: *const c_void,
) -> i32 {
    let _c = InCall::enter("__C_specific_handler");
    stop(EXCEPTION, "an exception handler was called")
}

extern "win64" fn raise_status(code: NTSTATUS) -> ! {
    let _c = InCall::enter("ExRaiseStatus");
    stop(EXCEPTION, &format!("status {code:#010x}"))
}

extern "win64" fn raise_exception(_record: *const c_void) -> ! {
    let _c = InCall::enter("RtlRaiseException");
    stop(EXCEPTION, "an exception record")
}

extern "win64" fn raise_misalignment() -> ! {
    let _c = InCall::enter("ExRaiseDatatypeMisalignment");
    stop(EXCEPTION, "datatype misalignment")
}

extern "win64" fn raise_access_violation() -> ! {
    let _c = InCall::enter("ExRaiseAccessViolation");
    stop(EXCEPTION, "access violation")
}

extern "win64" fn get_system_routine(name: *const UNICODE_STRING) -> usize {
    let _c = InCall::enter("MmGetSystemRoutineAddress");
    irql::require_at_most(PASSIVE);
    // SAFETY: the driver passes a string.
    let Some(name) = (unsafe { name.as_ref().map(|n| n.to_string_lossy()) }) else { return 0 };
    crate::thunk::address_of("ntoskrnl.exe", &name).unwrap_or(0)
}

static ZERO: u64 = 0;
static ONE: u64 = 1;
static BUILD_NUMBER: u32 = BUILD | 0xF000_0000;

pub(super) fn exports() -> Vec<Export> {
    let data = |name, address| Export { module: "ntoskrnl.exe", name, address };
    vec![
        export!("RtlGetVersion", get_version),
        export!("PsGetVersion", ps_get_version),
        export!("RtlIsNtDdiVersionAvailable", is_ntddi_available),
        export!("RtlRandomEx", random_ex),
        export!("RtlRandom", random_ex),
        export!("ExUuidCreate", uuid_create),
        export!("KeBugCheckEx", bug_check_ex),
        export!("KeBugCheck", bug_check),
        export!("__C_specific_handler", c_specific_handler),
        export!("ExRaiseStatus", raise_status),
        export!("RtlRaiseException", raise_exception),
        export!("ExRaiseDatatypeMisalignment", raise_misalignment),
        export!("ExRaiseAccessViolation", raise_access_violation),
        export!("MmGetSystemRoutineAddress", get_system_routine),
        data("KdDebuggerEnabled", (&raw const ZERO).addr()),
        data("KdDebuggerNotPresent", (&raw const ONE).addr()),
        data("InitSafeBootMode", (&raw const ZERO).addr()),
        data("NtBuildNumber", (&raw const BUILD_NUMBER).addr()),
    ]
}
