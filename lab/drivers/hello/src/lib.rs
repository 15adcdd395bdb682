//! A WDM driver with a control device, `\??\lab-hello`. Reads wait for writes; device controls exercise the kernel.
#![no_std]
#![expect(clippy::missing_safety_doc, reason = "callbacks and FFI of a test driver: their contracts are the WDK's")]

mod nt;

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use nt::*;

const TAG: u32 = u32::from_le_bytes(*b"HiLb");
const ECHO: u32 = 0x22_2000;
const TIMER: u32 = 0x22_2004;
const THREAD: u32 = 0x22_2008;

static DEVICE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// The read that waits, and the lock that guards it.
static WAITING: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static mut LOCK: u64 = 0;
static TICKS: AtomicU32 = AtomicU32::new(0);

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

static NAME: [u16; 16] = wide(b"\\Device\\LabHello");
static LINK: [u16; 21] = wide(b"\\DosDevices\\lab-hello");

fn unicode(s: &'static [u16]) -> Unicode {
    Unicode { length: (s.len() * 2) as u16, maximum: (s.len() * 2) as u16, buffer: s.as_ptr() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn DriverEntry(driver: Driver, _registry: *const Unicode) -> Status {
    unsafe {
        let mut device = Device(null_mut());
        let status = IoCreateDevice(driver, 0, &unicode(&NAME), 0x22, 0x100, 1, &mut device);
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
            (4, write),
            (14, control),
            (18, cleanup),
        ] {
            *table.wrapping_add(major) = f;
        }
        DbgPrintEx(77, 0, c"hello: loaded, %d %ws %p\n".as_ptr().cast(), -5i32, wide(b"wide\0").as_ptr(), 0x1234usize);
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
        let old = irp.cancel_irql();
        IoReleaseCancelSpinLock(old);
        let old = KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        let _ = WAITING.compare_exchange(irp.0, null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        KeReleaseSpinLock(&raw mut LOCK, old);
        irp.complete(CANCELLED, 0);
    }
}

unsafe extern "C" fn read(_device: Device, irp: Irp) -> Status {
    unsafe {
        let old = KeAcquireSpinLockRaiseToDpc(&raw mut LOCK);
        if !WAITING.load(Ordering::Acquire).is_null() {
            KeReleaseSpinLock(&raw mut LOCK, old);
            return irp.complete(INVALID_REQUEST, 0);
        }
        irp.set_cancel(Some(cancel));
        if irp.cancelled() && irp.set_cancel(None) {
            KeReleaseSpinLock(&raw mut LOCK, old);
            return irp.complete(CANCELLED, 0);
        }
        irp.mark_pending();
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
        if let Some(reader) = take() {
            reader.complete(CANCELLED, 0);
        }
        irp.complete(SUCCESS, 0)
    }
}

unsafe extern "C" fn control(_device: Device, irp: Irp) -> Status {
    unsafe {
        let (out_len, in_len, code) = (*irp.stack::<u32>(8), *irp.stack::<u32>(16), *irp.stack::<u32>(24));
        let buffer = irp.system_buffer();
        match code {
            // METHOD_BUFFERED: the input already stands where the output goes.
            ECHO if out_len >= in_len => irp.complete(SUCCESS, in_len as usize),
            ECHO => irp.complete(TOO_SMALL, 0),
            TIMER if out_len >= 4 => {
                *buffer.cast() = timer();
                irp.complete(SUCCESS, 4)
            }
            THREAD if out_len >= 4 => {
                *buffer.cast() = thread();
                irp.complete(SUCCESS, 4)
            }
            _ => irp.complete(INVALID_REQUEST, 0),
        }
    }
}

#[repr(C)]
struct Timed {
    timer: Storage<8>,
    dpc: Storage<8>,
    event: Storage<3>,
}

unsafe extern "C" fn tick(_dpc: *mut c_void, context: *mut c_void, _: *mut c_void, _: *mut c_void) {
    unsafe {
        if KeGetCurrentIrql() != 2 {
            return;
        }
        if TICKS.fetch_add(1, Ordering::AcqRel) == 2 {
            KeSetEvent(context, 0, 0);
        }
    }
}

/// A periodic timer's DPC sets an event at its third tick. Returns the ticks.
unsafe fn timer() -> u32 {
    unsafe {
        let t = ExAllocatePool2(0x40, size_of::<Timed>(), TAG).cast::<Timed>();
        if t.is_null() {
            return 0;
        }
        TICKS.store(0, Ordering::Release);
        let event = (&raw mut (*t).event).cast();
        KeInitializeEvent(event, 1, 0);
        KeInitializeTimerEx((&raw mut (*t).timer).cast(), 1);
        KeInitializeDpc((&raw mut (*t).dpc).cast(), tick, event);
        KeSetTimerEx((&raw mut (*t).timer).cast(), -10_000, 1, (&raw mut (*t).dpc).cast());
        let status = KeWaitForSingleObject(event, 0, 0, 0, &-100_000_000);
        KeCancelTimer((&raw mut (*t).timer).cast());
        KeFlushQueuedDpcs();
        let ticks = TICKS.load(Ordering::Acquire);
        ExFreePoolWithTag(t.cast(), TAG);
        if status == SUCCESS { ticks } else { 0 }
    }
}

unsafe extern "C" fn worker(context: *mut c_void) {
    unsafe {
        KeSetEvent(context, 0, 0);
        // Never returns: the lab must leave the driver's frames.
        PsTerminateSystemThread(SUCCESS);
        KeBugCheckEx(0xE2, 1, 0, 0, 0)
    }
}

/// A system thread sets an event and terminates itself; its object is waited for. Returns 1.
unsafe fn thread() -> u32 {
    unsafe {
        let event = ExAllocatePool2(0x40, 24, TAG).cast::<c_void>();
        if event.is_null() {
            return 0;
        }
        KeInitializeEvent(event, 0, 0);
        let (mut handle, mut object) = (null_mut(), null_mut());
        let mut ok =
            PsCreateSystemThread(&mut handle, 0x1F_FFFF, null_mut(), null_mut(), null_mut(), worker, event) == SUCCESS;
        ok &= KeWaitForSingleObject(event, 0, 0, 0, core::ptr::null()) == SUCCESS;
        ok &= ObReferenceObjectByHandle(handle, 0, null_mut(), 0, &mut object, null_mut()) == SUCCESS;
        ok &= KeWaitForSingleObject(object, 0, 0, 0, core::ptr::null()) == SUCCESS;
        ObfDereferenceObject(object);
        ok &= ZwClose(handle) == SUCCESS;
        ExFreePoolWithTag(event.cast(), TAG);
        u32::from(ok)
    }
}

/// What the linker asks for where floating point may be used.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
