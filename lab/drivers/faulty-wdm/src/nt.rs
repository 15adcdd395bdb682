//! The parts of NT that this driver uses, by name and by offset.

use core::ffi::c_void;

pub type Status = i32;
pub const SUCCESS: Status = 0;
pub const PENDING: Status = 0x103;
pub const CANCELLED: Status = 0xC000_0120u32 as i32;
pub const INVALID_REQUEST: Status = 0xC000_0010u32 as i32;
pub const UNSUCCESSFUL: Status = 0xC000_0001u32 as i32;

/// DRIVER_OBJECT::DriverExtension, whose second word is AddDevice.
pub const DRIVER_EXTENSION: usize = 48;
pub const DRIVER_UNLOAD: usize = 104;
pub const MAJOR_FUNCTION: usize = 112;
pub const DEVICE_FLAGS: usize = 48;
/// DO_BUFFERED_IO and DO_DEVICE_INITIALIZING.
pub const BUFFERED_IO: u32 = 4;
pub const INITIALIZING: u32 = 0x80;

pub type Dispatch = unsafe extern "C" fn(Device, Irp) -> Status;
pub type Deferred = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void);

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

/// EVENT_DATA_DESCRIPTOR.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Piece {
    pub address: *const u8,
    pub size: u32,
    pub kind: u32,
}

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
    /// IoSkipCurrentIrpStackLocation.
    pub unsafe fn skip(self) {
        unsafe {
            *self.field::<u8>(67) += 1;
            *self.field::<*mut u8>(184) = (*self.field::<*mut u8>(184)).wrapping_add(72);
        }
    }
    /// The next stack location's field.
    pub unsafe fn next<T>(self, offset: usize) -> *mut T {
        unsafe { (*self.field::<*mut u8>(184)).wrapping_sub(72).wrapping_add(offset).cast() }
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
    pub fn KeBugCheckEx(code: u32, a: usize, b: usize, c: usize, d: usize) -> !;
    pub fn DbgPrintEx(component: u32, level: u32, format: *const u8, ...) -> i32;
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
    pub fn IoAttachDeviceToDeviceStack(source: Device, target: Device) -> Device;
    pub fn IoDetachDevice(target: Device);
    pub fn IoCreateSymbolicLink(link: *const Unicode, target: *const Unicode) -> Status;
    pub fn IoDeleteSymbolicLink(link: *const Unicode) -> Status;
    pub fn IofCompleteRequest(irp: Irp, boost: i8);
    pub fn IofCallDriver(device: Device, irp: Irp) -> Status;
    pub fn IoAllocateIrp(stack: i8, charge: u8) -> Irp;
    pub fn IoFreeIrp(irp: Irp);
    pub fn IoReleaseCancelSpinLock(irql: u8);
    pub fn IoAllocateWorkItem(device: Device) -> *mut c_void;
    pub fn IoFreeWorkItem(item: *mut c_void);
    pub fn IoQueueWorkItem(
        item: *mut c_void,
        routine: unsafe extern "C" fn(Device, *mut c_void),
        queue: i32,
        context: *mut c_void,
    );
    pub fn IoInitializeRemoveLockEx(lock: *mut c_void, tag: u32, minutes: u32, high: u32, size: u32);
    pub fn IoReleaseRemoveLockEx(lock: *mut c_void, tag: *const c_void, size: u32);
    pub fn IoAllocateMdl(p: *mut u8, length: u32, secondary: u8, quota: u8, irp: *mut c_void) -> *mut u8;
    pub fn IoFreeMdl(mdl: *mut u8);
    pub fn IoBuildPartialMdl(source: *mut u8, target: *mut u8, address: *mut u8, length: u32);
    pub fn MmBuildMdlForNonPagedPool(mdl: *mut u8);
    pub fn MmProbeAndLockPages(mdl: *mut u8, mode: i8, operation: i32);
    pub fn MmUnlockPages(mdl: *mut u8);
    pub fn MmMapLockedPagesSpecifyCache(
        mdl: *mut u8,
        mode: i8,
        cache: i32,
        address: *mut u8,
        bugcheck: u32,
        priority: u32,
    ) -> *mut u8;
    pub fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut u8;
    pub fn ExFreePoolWithTag(p: *mut u8, tag: u32);
    pub fn ExDeleteNPagedLookasideList(list: *mut c_void);
    pub fn ExpInterlockedPushEntrySList(head: *mut c_void, entry: *mut c_void) -> *mut c_void;
    pub fn ExAcquireFastMutex(mutex: *mut c_void);
    pub fn ExReleaseFastMutex(mutex: *mut c_void);
    pub fn KeInitializeGuardedMutex(mutex: *mut c_void);
    pub fn ExInitializeRundownProtection(r: *mut u64);
    pub fn ExAcquireRundownProtection(r: *mut u64) -> u8;
    pub fn ExReleaseRundownProtection(r: *mut u64);
    pub fn ExRundownCompleted(r: *mut u64);
    pub fn ExRaiseStatus(status: Status);
    pub fn EtwRegister(id: *const u8, callback: *const c_void, context: *mut c_void, handle: *mut u64) -> Status;
    pub fn EtwUnregister(handle: u64) -> Status;
    pub fn EtwSetInformation(handle: u64, class: u32, information: *const u8, length: u32) -> Status;
    pub fn EtwWriteTransfer(
        handle: u64,
        event: *const u8,
        activity: *const u8,
        related: *const u8,
        count: u32,
        data: *const Piece,
    ) -> Status;
    pub fn KeAcquireSpinLockRaiseToDpc(lock: *mut u64) -> u8;
    pub fn KeReleaseSpinLock(lock: *mut u64, irql: u8);
    pub fn KeAcquireSpinLockAtDpcLevel(lock: *mut u64);
    pub fn KeReleaseSpinLockFromDpcLevel(lock: *mut u64);
    pub fn KeInitializeEvent(event: *mut c_void, kind: i32, state: u8);
    pub fn KeSetEvent(event: *mut c_void, increment: i32, wait: u8) -> i32;
    pub fn KeWaitForSingleObject(
        object: *mut c_void,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: *const i64,
    ) -> Status;
    pub fn KeWaitForMultipleObjects(
        count: u32,
        objects: *const *mut c_void,
        kind: i32,
        reason: i32,
        mode: i8,
        alertable: u8,
        timeout: *const i64,
        blocks: *mut c_void,
    ) -> Status;
    pub fn KeDelayExecutionThread(mode: i8, alertable: u8, interval: *const i64) -> Status;
    pub fn KeInitializeSemaphore(semaphore: *mut c_void, count: i32, limit: i32);
    pub fn KeReleaseSemaphore(semaphore: *mut c_void, increment: i32, adjustment: i32, wait: u8) -> i32;
    pub fn KeInitializeTimerEx(timer: *mut c_void, kind: i32);
    pub fn KeSetTimerEx(timer: *mut c_void, due: i64, period: i32, dpc: *mut c_void) -> u8;
    pub fn KeInitializeDpc(dpc: *mut c_void, routine: Deferred, context: *mut c_void);
    pub fn KeInsertQueueDpc(dpc: *mut c_void, a: *mut c_void, b: *mut c_void) -> u8;
    pub fn KeFlushQueuedDpcs();
    pub fn KfRaiseIrql(new: u8) -> u8;
    pub fn KeLowerIrql(old: u8);
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
    pub fn ObfDereferenceObject(object: *mut c_void) -> isize;
    pub fn ZwClose(handle: *mut c_void) -> Status;
    pub fn RtlCopyUnicodeString(to: *mut Unicode, from: *const Unicode);
    pub fn RtlFreeUnicodeString(s: *mut Unicode);
}

#[link(name = "cng.sys", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    pub fn BCryptOpenAlgorithmProvider(
        out: *mut usize,
        algorithm: *const u16,
        implementation: *const u16,
        flags: u32,
    ) -> Status;
    pub fn BCryptCloseAlgorithmProvider(provider: usize, flags: u32) -> Status;
    pub fn BCryptSetProperty(object: usize, name: *const u16, input: *const u8, length: u32, flags: u32) -> Status;
    pub fn BCryptGenerateSymmetricKey(
        provider: usize,
        out: *mut usize,
        object: *mut u8,
        object_length: u32,
        secret: *const u8,
        length: u32,
        flags: u32,
    ) -> Status;
    pub fn BCryptDestroyKey(key: usize) -> Status;
    pub fn BCryptEncrypt(
        key: usize,
        input: *const u8,
        input_length: u32,
        info: *mut c_void,
        iv: *mut u8,
        iv_length: u32,
        output: *mut u8,
        output_length: u32,
        result: *mut u32,
        flags: u32,
    ) -> Status;
}
