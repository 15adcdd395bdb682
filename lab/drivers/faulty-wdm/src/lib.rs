//! A WDM driver with a control device, `\??\lab-faulty`, that breaks one rule: the one that the number in its section `.fault` stands
//! for. The test writes that number into a copy of the image; 0 breaks none. `lab/tests/rules/kernel.rs` says which is which.
#![no_std]
#![expect(clippy::missing_safety_doc, reason = "callbacks and FFI of a test driver: their contracts are the WDK's")]

mod faults;
mod nt;

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use nt::*;

/// Written by the test; read volatile, so that no compiler takes it for the 0 it is here.
#[unsafe(link_section = ".fault")]
#[used]
static FAULT: u32 = 0;

fn is(what: u32) -> bool {
    fault() == what
}

/// The rule to break, 0 for none.
pub fn fault() -> u32 {
    unsafe { (&raw const FAULT).read_volatile() }
}

pub const TAG: u32 = u32::from_le_bytes(*b"Flty");
/// METHOD_BUFFERED: the moment for a request's fault.
const BREAK: u32 = 0x22_2000;

pub static DEVICE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// The device in the PnP stack, and the one below it.
static FUNCTION: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static LOWER: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static WAITING: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static mut LOCK: u64 = 0;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { KeBugCheckEx(0xE2, 0, 0, 0, 0) }
}

pub const fn wide<const N: usize>(s: &[u8; N]) -> [u16; N] {
    let mut w = [0; N];
    let mut i = 0;
    while i < N {
        w[i] = s[i] as u16;
        i += 1;
    }
    w
}

static NAME: [u16; 17] = wide(b"\\Device\\LabFaulty");
static LINK: [u16; 22] = wide(b"\\DosDevices\\lab-faulty");

pub fn unicode(s: &'static [u16]) -> Unicode {
    Unicode { length: (s.len() * 2) as u16, maximum: (s.len() * 2) as u16, buffer: s.as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn DriverEntry(driver: Driver, _registry: *const Unicode) -> Status {
    unsafe {
        let mut device = Device(null_mut());
        let status = IoCreateDevice(driver, 0, &unicode(&NAME), 0x22, 0x100, 0, &mut device);
        if status < 0 {
            return status;
        }
        *device.0.wrapping_add(DEVICE_FLAGS).cast::<u32>() |= BUFFERED_IO;
        DEVICE.store(device.0, Ordering::Release);
        let status = IoCreateSymbolicLink(&unicode(&LINK), &unicode(&NAME));
        if status < 0 {
            IoDeleteDevice(device);
            return status;
        }
        *driver.0.wrapping_add(DRIVER_UNLOAD).cast() = unload as unsafe extern "C" fn(Driver);
        let extension = *driver.0.wrapping_add(DRIVER_EXTENSION).cast::<*mut u8>();
        *extension.wrapping_add(8).cast() = add_device as unsafe extern "C" fn(Driver, Device) -> Status;
        let table = driver.0.wrapping_add(MAJOR_FUNCTION).cast::<Dispatch>();
        for (major, f) in [
            (0, succeed as Dispatch),
            (2, close),
            (3, read),
            (4, write),
            (14, control),
            (15, succeed),
            (18, cleanup),
            (22, pass_down),
            (27, pnp),
        ] {
            *table.wrapping_add(major) = f;
        }
        faults::load(driver)
    }
}

unsafe extern "C" fn unload(_driver: Driver) {
    unsafe {
        faults::unload();
        if !is(faults::LINK_LEFT) {
            IoDeleteSymbolicLink(&unicode(&LINK));
        }
        IoDeleteDevice(Device(DEVICE.load(Ordering::Acquire)));
    }
}

unsafe extern "C" fn add_device(driver: Driver, physical: Device) -> Status {
    unsafe {
        if is(faults::NOT_ATTACHED) {
            return SUCCESS;
        }
        let mut device = Device(null_mut());
        let status = IoCreateDevice(driver, 0, core::ptr::null(), 0x22, 0x100, 0, &mut device);
        if status < 0 {
            return status;
        }
        LOWER.store(IoAttachDeviceToDeviceStack(device, physical).0, Ordering::Release);
        FUNCTION.store(device.0, Ordering::Release);
        if !is(faults::STILL_INITIALIZING) {
            *device.0.wrapping_add(DEVICE_FLAGS).cast::<u32>() &= !INITIALIZING;
        }
    }
    SUCCESS
}

unsafe extern "C" fn pass_down(_device: Device, irp: Irp) -> Status {
    unsafe {
        irp.skip();
        IofCallDriver(Device(LOWER.load(Ordering::Acquire)), irp)
    }
}

unsafe extern "C" fn pnp(device: Device, irp: Irp) -> Status {
    unsafe {
        // IRP_MN_REMOVE_DEVICE.
        if *irp.stack::<u8>(1) != 2 {
            return pass_down(device, irp);
        }
        let status = if is(faults::REMOVE_FAILED) { irp.complete(UNSUCCESSFUL, 0) } else { pass_down(device, irp) };
        if !is(faults::NOT_DETACHED) {
            IoDetachDevice(Device(LOWER.load(Ordering::Acquire)));
        }
        IoDeleteDevice(device);
        status
    }
}

unsafe extern "C" fn succeed(_device: Device, irp: Irp) -> Status {
    unsafe { irp.complete(SUCCESS, 0) }
}

unsafe extern "C" fn close(_device: Device, irp: Irp) -> Status {
    unsafe { faults::close(irp).unwrap_or_else(|| irp.complete(SUCCESS, 0)) }
}

/// Takes the waiting read, if its cancel routine has not.
unsafe fn take() -> Option<Irp> {
    unsafe {
        let old = KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        let p = WAITING.load(Ordering::Acquire);
        let irp = Irp(p);
        let mine = !p.is_null() && irp.set_cancel(None);
        if mine {
            WAITING.store(null_mut(), Ordering::Release);
        }
        KeReleaseSpinLock(&raw mut LOCK, old);
        mine.then_some(irp)
    }
}

unsafe extern "C" fn cancel(_device: Device, irp: Irp) {
    unsafe {
        IoReleaseCancelSpinLock(irp.cancel_irql());
        let old = KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        let _ = WAITING.compare_exchange(irp.0, null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        KeReleaseSpinLock(&raw mut LOCK, old);
        irp.complete(CANCELLED, 0);
    }
}

/// One read waits until it is cancelled or a write comes.
unsafe extern "C" fn read(_device: Device, irp: Irp) -> Status {
    unsafe {
        if let Some(status) = faults::read(irp) {
            return status;
        }
        let old = KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        if !WAITING.load(Ordering::Acquire).is_null() {
            KeReleaseSpinLock(&raw mut LOCK, old);
            return irp.complete(INVALID_REQUEST, 0);
        }
        irp.mark_pending();
        irp.set_cancel(Some(cancel));
        if irp.cancelled() && irp.set_cancel(None) {
            KeReleaseSpinLock(&raw mut LOCK, old);
            irp.complete(CANCELLED, 0);
            return PENDING;
        }
        WAITING.store(irp.0, Ordering::Release);
        KeReleaseSpinLock(&raw mut LOCK, old);
    }
    PENDING
}

unsafe extern "C" fn write(_device: Device, irp: Irp) -> Status {
    unsafe {
        let Some(reader) = take() else { return irp.complete(INVALID_REQUEST, 0) };
        let n = (*irp.stack::<u32>(8)).min(*reader.stack::<u32>(8)) as usize;
        core::ptr::copy_nonoverlapping(irp.system_buffer(), reader.system_buffer(), n);
        reader.complete(SUCCESS, n);
        irp.complete(SUCCESS, n)
    }
}

unsafe extern "C" fn cleanup(_device: Device, irp: Irp) -> Status {
    unsafe {
        if let Some(status) = faults::cleanup(irp) {
            return status;
        }
        if let Some(reader) = take()
            && !is(faults::READ_KEPT)
        {
            reader.complete(CANCELLED, 0);
        }
        irp.complete(SUCCESS, 0)
    }
}

unsafe extern "C" fn control(_device: Device, irp: Irp) -> Status {
    unsafe {
        match *irp.stack::<u32>(24) {
            BREAK => faults::request(irp).unwrap_or_else(|| irp.complete(SUCCESS, 0)),
            _ => irp.complete(INVALID_REQUEST, 0),
        }
    }
}

/// What the linker asks for where floating point may be used.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
