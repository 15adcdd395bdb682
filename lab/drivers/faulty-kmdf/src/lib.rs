//! A KMDF and NetAdapterCx driver, `\??\lab-faulty-kmdf`, that breaks one rule: the one that the number in its section `.fault` stands
//! for. The test writes that number into a copy of the image; 0 breaks none. `lab/tests/rules/{wdf,netcx}.rs` say which is which.
//!
//! Unbroken it is a whole driver: an adapter that answers every packet with its addresses swapped, queues of each kind, requests that
//! wait, are forwarded, found and cancelled, timers, DPCs, work items, locks, memory, registry keys. Where a fault belongs in the
//! middle of that, the place asks [`fault`]; the others stand in `faults`, by area.
//!
//! Numbers: 1xx binding, 2xx device, 3xx objects, 4xx locks and callbacks, 5xx requests, 6xx queues, 7xx adapter, 8xx rings.
#![no_std]

mod adapter;
mod bind;
mod device;
mod exercise;
mod faults;
mod io;
mod net;
mod rings;
mod wdf;

use wdf::{Handle, NtStatus};

/// Written by the test; read volatile, so that no compiler takes it for the 0 it is here.
#[unsafe(link_section = ".fault")]
#[used]
static FAULT: u32 = 0;

/// The rule to break, 0 for none.
fn fault() -> u32 {
    // SAFETY: a static of this image.
    unsafe { (&raw const FAULT).read_volatile() }
}

const SUCCESS: NtStatus = 0;
const PENDING: NtStatus = 0x103;
const CANCELLED: NtStatus = 0xC000_0120_u32 as i32;
const UNSUCCESSFUL: NtStatus = 0xC000_0001_u32 as i32;
const INVALID_DEVICE_REQUEST: NtStatus = 0xC000_0010_u32 as i32;

#[unsafe(no_mangle)]
static _fltused: i32 = 0;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    wdf::bug_check(0xE2, 0, 0, 0, 0);
    loop {}
}

/// Ends an exercise that did not come out as documented: the lab stops with the driver's own bug check, and the place.
#[track_caller]
fn expect(holds: bool) {
    if !holds {
        let at = core::panic::Location::caller();
        wdf::bug_check(0xBAD, u64::from(at.line()), at.file().len() as u64, 0, 0);
    }
}

/// The status is a success.
#[track_caller]
fn ok(status: NtStatus) {
    expect(status >= 0);
}

/// Takes a reference under no tag.
fn reference(object: Handle) {
    wdf::object_reference(object, 0, 0, core::ptr::null());
}

/// Gives one back.
fn dereference(object: Handle) {
    wdf::object_dereference(object, 0, 0, core::ptr::null());
}
