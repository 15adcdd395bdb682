//! The parts of NT that this driver uses, by name and by offset.

use core::ffi::c_void;

pub type Status = i32;
pub const SUCCESS: Status = 0;
pub const PENDING: Status = 0x103;
pub const CANCELLED: Status = 0xC000_0120u32 as i32;
pub const INVALID_REQUEST: Status = 0xC000_0010u32 as i32;
pub const TOO_SMALL: Status = 0xC000_0023u32 as i32;

/// UNICODE_STRING.
#[repr(C)]
pub struct Unicode {
    pub length: u16,
    pub maximum: u16,
    pub buffer: *const u16,
}

/// LIST_ENTRY, KEVENT, KTIMER, KDPC and KSPIN_LOCK as storage.
#[repr(C, align(16))]
pub struct Storage<const N: usize>(pub [u64; N]);

macro_rules! handle {
    ($($name:ident),*) => { $(#[derive(Clone, Copy, PartialEq)] #[repr(transparent)] pub struct $name(pub *mut u8);)* };
}
handle!(Device, Driver, Irp);

impl Irp {
    /// # Safety
    /// The offset is that of a field of type `T` in an IRP.
    pub unsafe fn field<T>(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset).cast()
    }
    /// # Safety
    /// As for `field`, in the current stack location.
    pub unsafe fn stack<T>(self, offset: usize) -> *mut T {
        unsafe { (*self.field::<*mut u8>(184)).wrapping_add(offset).cast() }
    }
    pub unsafe fn system_buffer(self) -> *mut u8 {
        unsafe { *self.field(24) }
    }
    pub unsafe fn cancel_irql(self) -> u8 {
        unsafe { *self.field(69) }
    }
    pub unsafe fn mark_pending(self) {
        unsafe { *self.stack::<u8>(3) |= 1 };
    }
    /// IoSetCancelRoutine.
    pub unsafe fn set_cancel(self, f: Option<unsafe extern "C" fn(Device, Irp)>) -> bool {
        let new = f.map_or(core::ptr::null_mut(), |f| f as *mut c_void);
        let place = unsafe { &*self.field::<core::sync::atomic::AtomicPtr<c_void>>(104) };
        !place.swap(new, core::sync::atomic::Ordering::AcqRel).is_null()
    }
    pub unsafe fn cancelled(self) -> bool {
        unsafe { self.field::<u8>(68).read_volatile() != 0 }
    }
    pub unsafe fn complete(self, status: Status, information: usize) -> Status {
        unsafe {
            *self.field(48) = status;
            *self.field(56) = information;
            IofCompleteRequest(self, 0);
        }
        status
    }
}

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub fn DbgPrintEx(component: u32, level: u32, format: *const u8, ...) -> i32;
    pub fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    pub fn IoCreateDevice(
        driver: Driver,
        extension: u32,
        name: *const Unicode,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        out: *mut Device,
    ) -> Status;
    pub fn IoDeleteDevice(device: Device);
    pub fn IoCreateSymbolicLink(link: *const Unicode, target: *const Unicode) -> Status;
    pub fn IoDeleteSymbolicLink(link: *const Unicode) -> Status;
    pub fn IofCompleteRequest(irp: Irp, boost: i8);
    pub fn IoReleaseCancelSpinLock(irql: u8);
    pub fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut u8;
    pub fn ExFreePoolWithTag(p: *mut u8, tag: u32);
    pub fn KeAcquireSpinLockRaiseToDpc(lock: *mut u64) -> u8;
    pub fn KeReleaseSpinLock(lock: *mut u64, irql: u8);
    pub fn KeInitializeEvent(event: *mut c_void, kind: i32, state: u8);
    pub fn KeSetEvent(event: *mut c_void, increment: i32, wait: u8) -> i32;
    pub fn KeWaitForSingleObject(
        object: *mut c_void,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: *const i64,
    ) -> Status;
    pub fn KeInitializeTimerEx(timer: *mut c_void, kind: i32);
    pub fn KeSetTimerEx(timer: *mut c_void, due: i64, period: i32, dpc: *mut c_void) -> u8;
    pub fn KeCancelTimer(timer: *mut c_void) -> u8;
    pub fn KeInitializeDpc(
        dpc: *mut c_void,
        routine: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void),
        context: *mut c_void,
    );
    pub fn KeFlushQueuedDpcs();
    pub fn KeGetCurrentIrql() -> u8;
    pub fn PsCreateSystemThread(
        handle: *mut *mut c_void,
        access: u32,
        attributes: *mut c_void,
        process: *mut c_void,
        client: *mut c_void,
        routine: unsafe extern "C" fn(*mut c_void),
        context: *mut c_void,
    ) -> Status;
    pub fn PsTerminateSystemThread(status: Status) -> Status;
    pub fn ObReferenceObjectByHandle(
        handle: *mut c_void,
        access: u32,
        kind: *mut c_void,
        mode: i8,
        out: *mut *mut c_void,
        information: *mut c_void,
    ) -> Status;
    pub fn ObfDereferenceObject(object: *mut c_void) -> isize;
    pub fn ZwClose(handle: *mut c_void) -> Status;
}
