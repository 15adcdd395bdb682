//! A WDM driver with a control device, `\??\lab-faulty-wsk`, that uses WSK and breaks one rule: the one that the number in its section
//! `.fault` stands for. The test writes that number into a copy of the image; 0 breaks none, and uses all. `lab/tests/rules/wsk.rs` says which
//! is which.
#![no_std]
#![expect(clippy::missing_safety_doc, reason = "callbacks and FFI of a test driver: their contracts are the WDK's")]

mod faults;
#[allow(dead_code, reason = "another driver's, which uses more of it")]
#[path = "../../faulty-wdm/src/nt.rs"]
mod nt;
mod wsk;

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use nt::*;

/// Written by the test; read volatile, so that no compiler takes it for the 0 it is here.
#[unsafe(link_section = ".fault")]
#[used]
static FAULT: u32 = 0;

/// The rule to break, 0 for none.
pub fn fault() -> u32 {
    unsafe { (&raw const FAULT).read_volatile() }
}

pub const TAG: u32 = u32::from_le_bytes(*b"FlWk");
/// METHOD_BUFFERED: the moment for the fault.
const BREAK: u32 = 0x22_2000;

static DEVICE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// The read that waits for its cancellation.
static WAITING: AtomicPtr<u8> = AtomicPtr::new(null_mut());

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { KeBugCheckEx(0xE2, 0, 0, 0, 0) }
}

const fn wide<const N: usize>(s: &[u8; N]) -> [u16; N] {
    let mut w = [0; N];
    let mut i = 0;
    while i < N {
        w[i] = s[i] as u16;
        i += 1;
    }
    w
}

static NAME: [u16; 20] = wide(b"\\Device\\LabFaultyWsk");
static LINK: [u16; 26] = wide(b"\\DosDevices\\lab-faulty-wsk");

fn unicode(s: &'static [u16]) -> Unicode {
    Unicode { length: (s.len() * 2) as u16, maximum: (s.len() * 2) as u16, buffer: s.as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn DriverEntry(driver: Driver, _registry: *const Unicode) -> Status {
    unsafe {
        faults::at_start();
        let mut device = Device(null_mut());
        let status = IoCreateDevice(driver, 0, &unicode(&NAME), 0x22, 0x100, 0, &mut device);
        if status < 0 {
            return status;
        }
        // DO_BUFFERED_IO.
        *device.0.wrapping_add(48).cast::<u32>() |= 4;
        DEVICE.store(device.0, Ordering::Release);
        let status = IoCreateSymbolicLink(&unicode(&LINK), &unicode(&NAME));
        if status < 0 {
            IoDeleteDevice(device);
            return status;
        }
        *driver.0.wrapping_add(104).cast() = unload as unsafe extern "C" fn(Driver);
        let table = driver.0.wrapping_add(112).cast::<unsafe extern "C" fn(Device, Irp) -> Status>();
        for (major, f) in [
            (0, succeed as unsafe extern "C" fn(Device, Irp) -> Status),
            (2, succeed),
            (3, read),
            (14, control),
            (18, cleanup),
        ] {
            *table.wrapping_add(major) = f;
        }
    }
    SUCCESS
}

unsafe extern "C" fn unload(_driver: Driver) {
    unsafe {
        IoDeleteSymbolicLink(&unicode(&LINK));
        IoDeleteDevice(Device(DEVICE.load(Ordering::Acquire)));
    }
}

unsafe extern "C" fn succeed(_device: Device, irp: Irp) -> Status {
    unsafe { irp.complete(SUCCESS, 0) }
}

unsafe extern "C" fn cancel(_device: Device, irp: Irp) {
    unsafe {
        let _ = WAITING.compare_exchange(irp.0, null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        IoReleaseCancelSpinLock(irp.cancel_irql());
        irp.complete(CANCELLED, 0);
    }
}

/// Waits until it is cancelled or the file is closed.
unsafe extern "C" fn read(_device: Device, irp: Irp) -> Status {
    unsafe {
        irp.mark_pending();
        WAITING.store(irp.0, Ordering::Release);
        irp.set_cancel(Some(cancel));
        if irp.cancelled() && irp.set_cancel(None) {
            WAITING.store(null_mut(), Ordering::Release);
            irp.complete(CANCELLED, 0);
        }
    }
    PENDING
}

unsafe extern "C" fn cleanup(_device: Device, irp: Irp) -> Status {
    unsafe {
        let reader = Irp(WAITING.swap(null_mut(), Ordering::AcqRel));
        if !reader.0.is_null() && reader.set_cancel(None) {
            reader.complete(CANCELLED, 0);
        }
        irp.complete(SUCCESS, 0)
    }
}

unsafe extern "C" fn control(_device: Device, irp: Irp) -> Status {
    unsafe {
        match *irp.stack::<u32>(24) {
            BREAK => {
                faults::run(irp);
                irp.complete(SUCCESS, 0)
            }
            _ => irp.complete(INVALID_REQUEST, 0),
        }
    }
}

/// What the linker asks for where floating point may be used.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
