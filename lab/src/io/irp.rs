//! IRPs: allocation, stack locations, completion, cancellation, and the rules of pending.
//!
//! An IRP that the lab allocates has a record before it ([`Record`]) which outlives the IRP while a dispatch routine that
//! got it has not returned: so that what the routine returns can be held against what became of the IRP.

use crate::fault;
use crate::irql::{self, DISPATCH};
use crate::ke::Balance;
use crate::ke::sched;
use crate::nt::{
    DEVICE_OBJECT, IO_STACK_LOCATION, IO_STATUS_BLOCK, IRP, IRP_TAIL, LIST_ENTRY, NTSTATUS, PDRIVER_CANCEL,
    PIO_COMPLETION_ROUTINE, nt_success, sl, status,
};
use crate::objects::Kind;
use crate::report::{InCall, Rule, address_text, record_about, stop, stop_about};
use crate::{Export, pool};
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

const INVALID: Rule = Rule::new("irp.invalid", "Driver Verifier 0xC9: the pointer is no IRP, or a freed one");
const TWICE: Rule = Rule::new("irp.completed-twice", "WDK: bug check 0x44 MULTIPLE_IRP_COMPLETE_REQUESTS");
const STILL_PENDING: Rule =
    Rule::new("irp.completed-pending", "Driver Verifier 0xC9: IoCompleteRequest with STATUS_PENDING (or -1)");
const CANCELABLE: Rule =
    Rule::new("irp.completed-cancelable", "Driver Verifier 0xC9: IoCompleteRequest with a cancel routine set");
const FORWARDED: Rule =
    Rule::new("irp.forwarded-cancelable", "Driver Verifier 0xC9: IoCallDriver with a cancel routine set");
const NO_STACK: Rule = Rule::new("irp.no-stack-locations", "WDK: bug check 0x35 NO_MORE_IRP_STACK_LOCATIONS");
const NOT_RECLAIMED: Rule = Rule::new(
    "irp.not-reclaimed",
    "WDK: IoAllocateIrp (the completion routine of a driver's own IRP must return STATUS_MORE_PROCESSING_REQUIRED)",
);
const PENDING_MISMATCH: Rule = Rule::new(
    "irp.pending-mismatch",
    "WDK: IoMarkIrpPending if and only if the dispatch routine returns STATUS_PENDING",
);
const LOST: Rule =
    Rule::new("irp.lost", "WDK: a dispatch routine that does not return STATUS_PENDING must have completed the IRP");
const STATUS_MISMATCH: Rule =
    Rule::new("irp.status-mismatch", "Driver Verifier 0xC9/0x14: the status returned differs from the IRP's");
const IN_FLIGHT: Rule =
    Rule::new("irp.freed-in-flight", "WDK: IoFreeIrp, IoReuseIrp (not while a lower driver owns the IRP)");
const TOUCHED: Rule =
    Rule::new("irp.touched-after-completion", "WDK: IoCompleteRequest (the IRP is not the driver's any more)");
const BAD_COMPLETION: Rule = Rule::new("irp.bad-information", "WDK: IO_STATUS_BLOCK.Information");
const NO_DEVICE: Rule = Rule::new("irp.no-device", "WDK: IoCallDriver (DeviceObject is a device object)");

const STUCK: Rule =
    Rule::new("irp.stuck", "WDK: cleanup, close, PnP and power IRPs must complete; the system waits for them");

/// How long the system's own synchronous requests may take: seconds, unless `--patience` says otherwise.
const PATIENCE: u64 = 60;
/// `IRP::Type`.
const IO_TYPE_IRP: i16 = 6;
/// What `IRP::Type` reads in a freed IRP.
const FREED_TYPE: i16 = i16::from_ne_bytes([pool::FREE_PATTERN; 2]);
/// `IRP::AllocationFlags`: the lab's record stands before the IRP.
const HAS_RECORD: u8 = 0x80;
/// Stack locations whose outcome is remembered.
const MAX_STACK: usize = 16;

static IRPS: Kind = Kind::new("io.irp").written_after_free(TOUCHED);

/// What the I/O manager runs when every completion routine is through: it owns the IRP and frees it.
pub type Done = Box<dyn FnOnce(*mut IRP) + Send>;

#[repr(C, align(16))]
struct Record {
    /// One for the IRP itself, one for each dispatch routine that has it.
    references: AtomicU32,
    size: u32,
    /// Bit per location: it was marked pending when it was completed.
    pending: AtomicU64,
    /// Bit per location: completed.
    completed: AtomicU64,
    status: [AtomicI32; MAX_STACK],
    done: Option<Done>,
}

fn bit(location: i8) -> u64 {
    1u64.checked_shl(u32::from(location.unsigned_abs())).unwrap_or(0)
}

/// # Safety
/// `irp` is readable.
unsafe fn record_of(irp: *mut IRP) -> Option<&'static Record> {
    // SAFETY: as our caller promises; the flag says that a record stands before the IRP.
    unsafe {
        if (*irp).AllocationFlags & HAS_RECORD == 0 {
            return None;
        }
        Some(&*irp.cast::<u8>().wrapping_sub(size_of::<Record>()).cast::<Record>())
    }
}

/// # Safety
/// `irp` is readable.
pub(super) unsafe fn check(irp: *mut IRP) {
    if irp.is_null() {
        stop(INVALID, "null");
    }
    // SAFETY: as our caller promises.
    let (kind, count, at) = unsafe { ((*irp).Type, (*irp).StackCount, (*irp).CurrentLocation) };
    if kind != IO_TYPE_IRP || count < 1 || at < 0 || at > count + 1 {
        stop_about(INVALID, irp.addr(), &format!("{irp:p} has type {kind:#x}, {count} stack locations, current {at}"));
    }
}

fn locations(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    irp.wrapping_add(1).cast()
}

/// Writes a fresh IRP at `irp`.
///
/// # Safety
/// `size` bytes at `irp` are writable and hold the IRP and its stack locations.
unsafe fn initialize(irp: *mut IRP, size: u16, stack_size: i8, allocation_flags: u8) {
    // SAFETY: as our caller promises; all-zero bytes are a valid IRP and valid stack locations.
    unsafe {
        irp.cast::<u8>().write_bytes(0, usize::from(size));
        let i = &mut *irp;
        i.Type = IO_TYPE_IRP;
        i.Size = size;
        i.StackCount = stack_size;
        i.CurrentLocation = stack_size + 1;
        i.AllocationFlags = allocation_flags;
        i.ApcEnvironment = 0;
        let list = &raw mut i.ThreadListEntry;
        (*list).Flink = list;
        (*list).Blink = list;
        i.Tail.CurrentStackLocation = locations(irp).wrapping_add(usize::try_from(stack_size).unwrap_or(0));
    }
}

/// Allocates an IRP with `stack_size` locations that a completion routine reclaims: `IoAllocateIrp`.
#[must_use]
pub fn allocate_irp(stack_size: i8) -> *mut IRP {
    allocate(stack_size, None)
}

/// Allocates an IRP of the I/O manager's own; `done` gets it when all are through with it, and frees it.
#[must_use]
pub fn allocate_irp_with(stack_size: i8, done: Done) -> *mut IRP {
    allocate(stack_size, Some(done))
}

fn allocate(stack_size: i8, done: Option<Done>) -> *mut IRP {
    let n = usize::from(stack_size.max(1).unsigned_abs()).min(MAX_STACK - 1);
    let size = size_of::<IRP>() + n * size_of::<IO_STACK_LOCATION>();
    let block = pool::alloc_lab(&IRPS, size_of::<Record>() + size);
    let r = Record {
        references: AtomicU32::new(1),
        size: u32::try_from(size).unwrap_or(0),
        pending: AtomicU64::new(0),
        completed: AtomicU64::new(0),
        status: [const { AtomicI32::new(0) }; MAX_STACK],
        done,
    };
    let irp = block.wrapping_add(size_of::<Record>()).cast::<IRP>();
    // SAFETY: the block holds the record, then the IRP and its locations.
    unsafe {
        block.cast::<Record>().write(r);
        initialize(irp, u16::try_from(size).unwrap_or(u16::MAX), i8::try_from(n).unwrap_or(1), HAS_RECORD);
    }
    irp
}

/// # Safety
/// The caller owns a reference to the record.
unsafe fn drop_record(r: &'static Record) {
    if r.references.fetch_sub(1, Ordering::AcqRel) == 1 {
        let p = std::ptr::from_ref(r).cast_mut();
        // The IRP was freed, or its own reference would be there; a dispatch routine that had it has returned since.
        // SAFETY: the block holds the record, then the IRP's bytes.
        let bytes = unsafe { std::slice::from_raw_parts(p.wrapping_add(1).cast::<u8>(), (*p).size as usize) };
        if let Some(at) = bytes.iter().position(|&b| b != pool::FREE_PATTERN) {
            record_about(
                TOUCHED,
                p.addr(),
                &format!("the IRP was written at offset {at} after it was completed and freed"),
            );
        }
        // SAFETY: that was the last reference; the block came from alloc_lab.
        unsafe {
            std::ptr::drop_in_place(p);
            pool::free_lab(p.cast());
        }
    }
}

/// Frees an IRP: its bytes are filled with the free pattern at once, so that a later touch shows.
///
/// # Safety
/// `irp` is an IRP of [`allocate_irp`] that nobody uses any more.
pub unsafe fn free_irp(irp: *mut IRP) {
    // SAFETY: as our caller promises; what it is not, check() refuses.
    unsafe {
        check(irp);
        let Some(r) = record_of(irp) else {
            stop_about(INVALID, irp.addr(), &format!("{irp:p} did not come from IoAllocateIrp"));
        };
        if (*irp).CurrentLocation != (*irp).StackCount + 1 {
            stop_about(
                IN_FLIGHT,
                irp.addr(),
                &format!("{irp:p} is at location {} of {}", (*irp).CurrentLocation, (*irp).StackCount),
            );
        }
        if !(*irp).CancelRoutine.load(Ordering::Relaxed).is_null() {
            record_about(CANCELABLE, irp.addr(), &format!("{irp:p} is freed with a cancel routine set"));
        }
        pool::check_block(std::ptr::from_ref(r).cast_mut().cast());
        irp.cast::<u8>().write_bytes(pool::FREE_PATTERN, r.size as usize);
        drop_record(r);
    }
}

/// `IoReuseIrp`.
///
/// # Safety
/// `irp` is an IRP of [`allocate_irp`] that no lower driver owns.
pub unsafe fn reuse_irp(irp: *mut IRP, status: NTSTATUS) {
    // SAFETY: as our caller promises; what it is not, check() refuses.
    unsafe {
        check(irp);
        if (*irp).CurrentLocation != (*irp).StackCount + 1 {
            stop_about(
                IN_FLIGHT,
                irp.addr(),
                &format!("{irp:p} is at location {} of {}", (*irp).CurrentLocation, (*irp).StackCount),
            );
        }
        if let Some(r) = record_of(irp) {
            r.pending.store(0, Ordering::Relaxed);
            r.completed.store(0, Ordering::Relaxed);
        }
        initialize(irp, (*irp).Size, (*irp).StackCount, (*irp).AllocationFlags);
        (*irp).IoStatus.Status = status;
    }
}

/// `IoGetCurrentIrpStackLocation`.
///
/// # Safety
/// `irp` is an IRP that the caller's driver owns.
#[must_use]
pub unsafe fn current_stack(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: as our caller promises.
    unsafe { (*irp).Tail.CurrentStackLocation }
}

/// `IoGetNextIrpStackLocation`.
///
/// # Safety
/// `irp` is an IRP that has a lower location.
#[must_use]
pub unsafe fn next_stack(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: as our caller promises.
    unsafe { (*irp).Tail.CurrentStackLocation.wrapping_sub(1) }
}

/// `IoMarkIrpPending`.
///
/// # Safety
/// `irp` is an IRP that the caller owns at its current location.
pub unsafe fn mark_pending(irp: *mut IRP) {
    // SAFETY: as our caller promises.
    unsafe { (*current_stack(irp)).Control |= sl::PENDING_RETURNED };
}

/// `IoSetCancelRoutine`: exchanges the routine and returns the old one.
///
/// # Safety
/// `irp` is valid.
pub unsafe fn set_cancel_routine(irp: *mut IRP, routine: Option<PDRIVER_CANCEL>) -> Option<PDRIVER_CANCEL> {
    let new = routine.map_or(std::ptr::null_mut(), |f| f as *mut c_void);
    // SAFETY: as our caller promises.
    let old = unsafe { (*irp).CancelRoutine.swap(new, Ordering::AcqRel) };
    as_cancel_routine(old)
}

fn as_cancel_routine(p: *mut c_void) -> Option<PDRIVER_CANCEL> {
    // SAFETY: a null pointer is None; anything else was put there as a routine of this type.
    unsafe { std::mem::transmute::<*mut c_void, Option<PDRIVER_CANCEL>>(p) }
}

/// `IoSetCompletionRoutine` for all three outcomes, on the next location.
///
/// # Safety
/// `irp` has a lower location.
pub unsafe fn set_completion(irp: *mut IRP, routine: PIO_COMPLETION_ROUTINE, context: *mut c_void) {
    // SAFETY: as our caller promises.
    unsafe {
        let s = next_stack(irp);
        (*s).CompletionRoutine = Some(routine);
        (*s).Context = context;
        (*s).Control = sl::INVOKE_ON_CANCEL | sl::INVOKE_ON_SUCCESS | sl::INVOKE_ON_ERROR;
    }
}

/// The callee's half of passing an IRP down: makes the next location the current one and returns it. For a provider that
/// takes IRPs by a function table (WSK) rather than as a device; [`complete_request`] ends what this begins.
///
/// # Safety
/// `irp` is what the driver passed.
pub unsafe fn take_irp(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: as our caller promises; what is no IRP is refused.
    unsafe {
        check(irp);
        if !(*irp).CancelRoutine.load(Ordering::Relaxed).is_null() {
            record_about(FORWARDED, irp.addr(), &format!("{irp:p}"));
        }
        if (*irp).CurrentLocation <= 1 {
            stop_about(
                NO_STACK,
                irp.addr(),
                &format!(
                    "{irp:p} with {} locations is passed on at location {}",
                    (*irp).StackCount,
                    (*irp).CurrentLocation
                ),
            );
        }
        (*irp).CurrentLocation -= 1;
        let s = next_stack(irp);
        (*irp).Tail.CurrentStackLocation = s;
        s
    }
}

/// `IofCallDriver`, with the checks of what the dispatch routine did.
///
/// # Safety
/// `device` and `irp` are what a driver passed: a device object and an IRP it owns.
pub unsafe fn call_driver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    irql::require_at_most(DISPATCH);
    // SAFETY: as our caller promises; what is no device or IRP is refused.
    unsafe {
        if !super::device::is_device(device) {
            stop_about(NO_DEVICE, device.addr(), &format!("{device:p}"));
        }
        let s = take_irp(irp);
        let location = (*irp).CurrentLocation;
        (*s).DeviceObject = device;
        (*s).Control &= !sl::PENDING_RETURNED;
        let major = (*s).MajorFunction;
        let dispatch = (*(*device).DriverObject).MajorFunction.get(usize::from(major)).copied().flatten();
        let r = record_of(irp);
        if let Some(r) = r {
            r.references.fetch_add(1, Ordering::Relaxed);
            r.completed.fetch_and(!bit(location), Ordering::Relaxed);
            r.pending.fetch_and(!bit(location), Ordering::Relaxed);
        }
        let balance = Balance::before("a dispatch routine");
        let returned = match dispatch {
            Some(f) => f(device, irp),
            None => super::device::invalid_request(device, irp),
        };
        balance.after();
        if let Some(r) = r {
            let _c = InCall::enter("the driver's dispatch routine");
            check_outcome(r, s, location, major, returned, dispatch.map_or(0, |f| f as usize));
            drop_record(r);
        }
        returned
    }
}

/// Holds what a dispatch routine returned against what it did to the IRP.
///
/// # Safety
/// The record is referenced, so `s` is readable (poisoned when the IRP is freed).
unsafe fn check_outcome(r: &Record, s: *mut IO_STACK_LOCATION, location: i8, major: u8, returned: NTSTATUS, at: usize) {
    // Completion notes the pending bit and the completed bit before it clears Control: read in the reverse order.
    // SAFETY: as our caller promises; another thread may be completing the IRP, hence the volatile read.
    let control = unsafe { (&raw const (*s).Control).read_volatile() };
    let completed = r.completed.load(Ordering::Acquire) & bit(location) != 0;
    let marked = if completed {
        r.pending.load(Ordering::Acquire) & bit(location) != 0
    } else {
        control & sl::PENDING_RETURNED != 0
    };
    let what = || format!("IRP_MJ {major}, dispatch routine {} returned {returned:#010x}", address_text(at));
    if returned == status::PENDING {
        if !marked {
            record_about(PENDING_MISMATCH, s.addr(), &format!("{} without IoMarkIrpPending", what()));
        }
        return;
    }
    if marked {
        record_about(PENDING_MISMATCH, s.addr(), &format!("{} after IoMarkIrpPending", what()));
    }
    if !completed {
        record_about(LOST, s.addr(), &format!("{} and the IRP was not completed", what()));
        return;
    }
    let completed_with =
        r.status.get(usize::from(location.unsigned_abs())).map_or(returned, |s| s.load(Ordering::Relaxed));
    if completed_with != returned {
        record_about(
            STATUS_MISMATCH,
            s.addr(),
            &format!("{}, the IRP was completed with {completed_with:#010x}", what()),
        );
    }
}

/// `IofCompleteRequest`: runs the completion routines upwards from the current location.
///
/// # Safety
/// `irp` is what a driver passed: an IRP that it owns.
pub unsafe fn complete_request(irp: *mut IRP, _boost: i8) {
    irql::require_at_most(DISPATCH);
    // SAFETY: as our caller promises; what is no IRP is refused. Between the steps the IRP is ours alone.
    unsafe {
        if !irp.is_null() && (*irp).Type == FREED_TYPE {
            stop_about(TWICE, irp.addr(), &format!("{irp:p} is complete and freed"));
        }
        check(irp);
        let i = &mut *irp;
        if i.CurrentLocation > i.StackCount {
            stop_about(TWICE, irp.addr(), &format!("{irp:p}: all {} stack locations are completed", i.StackCount));
        }
        if i.IoStatus.Status == status::PENDING || i.IoStatus.Status == -1 {
            record_about(STILL_PENDING, irp.addr(), &format!("{irp:p}, status {:#x}", i.IoStatus.Status));
        }
        if !i.CancelRoutine.load(Ordering::Relaxed).is_null() {
            record_about(CANCELABLE, irp.addr(), &format!("{irp:p}"));
        }
        let r = record_of(irp);
        if let Some(r) = r {
            pool::check_block(std::ptr::from_ref(r).cast_mut().cast());
        }
        while (*irp).CurrentLocation <= (*irp).StackCount {
            let location = (*irp).CurrentLocation;
            let s = (*irp).Tail.CurrentStackLocation;
            let control = (*s).Control;
            let code = (*irp).IoStatus.Status;
            (*irp).PendingReturned = control & sl::PENDING_RETURNED;
            if let Some(r) = r {
                if let Some(place) = r.status.get(usize::from(location.unsigned_abs())) {
                    place.store(code, Ordering::Relaxed);
                }
                if control & sl::PENDING_RETURNED != 0 {
                    r.pending.fetch_or(bit(location), Ordering::Release);
                }
                r.completed.fetch_or(bit(location), Ordering::Release);
            }
            let (routine, context) = ((*s).CompletionRoutine, (*s).Context);
            (*s).MinorFunction = 0;
            (*s).Flags = 0;
            (*s).Control = 0;
            (*s).FileObject = std::ptr::null_mut();
            (*irp).CurrentLocation += 1;
            (*irp).Tail.CurrentStackLocation = s.wrapping_add(1);
            let top = (*irp).CurrentLocation > (*irp).StackCount;
            let wanted = if (*irp).Cancel != 0 && control & sl::INVOKE_ON_CANCEL != 0 {
                true
            } else if nt_success(code) {
                control & sl::INVOKE_ON_SUCCESS != 0
            } else {
                control & sl::INVOKE_ON_ERROR != 0
            };
            match routine {
                Some(f) if wanted => {
                    let device = if top { std::ptr::null_mut() } else { (*s.wrapping_add(1)).DeviceObject };
                    let b = Balance::before("a completion routine");
                    let next = f(device, irp, context);
                    b.after();
                    if next == status::MORE_PROCESSING_REQUIRED {
                        return;
                    }
                }
                _ => {
                    if (*irp).PendingReturned != 0 && !top {
                        mark_pending(irp);
                    }
                }
            }
        }
        let done = r.and_then(|r| (*std::ptr::from_ref(r).cast_mut()).done.take());
        match done {
            Some(f) => f(irp),
            None => stop_about(
                NOT_RECLAIMED,
                irp.addr(),
                &format!("{irp:p} reached the I/O manager, which did not make it"),
            ),
        }
    }
}

/// How long the system waits for a driver: `--patience SECONDS`, or this many.
pub(super) fn patience(seconds: u64) -> Duration {
    Duration::from_secs(crate::options::get("patience").and_then(|s| s.parse().ok()).unwrap_or(seconds))
}

/// Waits for the status of an IRP that NT's own callers wait for. One that does not come ends the lab: Windows would hang.
#[must_use]
pub fn await_status(receiver: &Receiver<NTSTATUS>, what: &str) -> NTSTATUS {
    let patience = patience(PATIENCE);
    match sched::outside("request", || receiver.recv_timeout(patience)) {
        Ok(code) => code,
        Err(_) => stop(STUCK, &format!("{what} has not completed within {patience:?}")),
    }
}

/// Completes with a status and an information value, and no boost.
///
/// # Safety
/// As for [`complete_request`].
pub unsafe fn complete(irp: *mut IRP, code: NTSTATUS, information: u64) {
    // SAFETY: as our caller promises.
    unsafe {
        (*irp).IoStatus = IO_STATUS_BLOCK { Status: code, Pad: 0, Information: information };
        complete_request(irp, 0);
    }
}

/// Checks what a driver reports as the length of its output.
pub(super) fn check_information(information: u64, limit: u64, what: &str) {
    if information > limit {
        stop(BAD_COMPLETION, &format!("{what}: Information {information} exceeds the buffer of {limit} bytes"));
    }
}

extern "win64" fn io_allocate_irp(stack_size: i8, _charge: u8) -> *mut IRP {
    let _c = InCall::enter("IoAllocateIrp");
    irql::require_at_most(DISPATCH);
    if stack_size < 1 || fault::fails("IoAllocateIrp") {
        return std::ptr::null_mut();
    }
    allocate_irp(stack_size)
}

extern "win64" fn io_free_irp(irp: *mut IRP) {
    let _c = InCall::enter("IoFreeIrp");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an IRP of its own; anything else is refused.
    unsafe { free_irp(irp) };
}

extern "win64" fn io_reuse_irp(irp: *mut IRP, status: NTSTATUS) {
    let _c = InCall::enter("IoReuseIrp");
    // SAFETY: as above.
    unsafe { reuse_irp(irp, status) };
}

extern "win64" fn io_initialize_irp(irp: *mut IRP, size: u16, stack_size: i8) {
    let _c = InCall::enter("IoInitializeIrp");
    let need = size_of::<IRP>() + usize::from(stack_size.max(0).unsigned_abs()) * size_of::<IO_STACK_LOCATION>();
    if stack_size < 1 || usize::from(size) < need {
        stop(INVALID, &format!("PacketSize {size} is below IoSizeOfIrp({stack_size}) = {need}"));
    }
    // SAFETY: the driver passes `size` bytes, which hold the IRP.
    unsafe { initialize(irp, size, stack_size, 0) };
}

extern "win64" fn io_complete_request(irp: *mut IRP, boost: i8) {
    let _c = InCall::enter("IofCompleteRequest");
    // SAFETY: the driver passes an IRP that it owns; anything else is refused.
    unsafe { complete_request(irp, boost) };
}

extern "win64" fn io_call_driver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    let _c = InCall::enter("IofCallDriver");
    // SAFETY: the driver passes a device and an IRP that it owns; anything else is refused.
    unsafe { call_driver(device, irp) }
}

pub(super) fn exports() -> Vec<Export> {
    const _: () =
        assert!(size_of::<IRP_TAIL>() == 88 && size_of::<LIST_ENTRY>() == 16 && size_of::<AtomicPtr<c_void>>() == 8);
    vec![
        export!("IoAllocateIrp", io_allocate_irp),
        export!("IoFreeIrp", io_free_irp),
        export!("IoReuseIrp", io_reuse_irp),
        export!("IoInitializeIrp", io_initialize_irp),
        export!("IofCompleteRequest", io_complete_request),
        export!("IoCompleteRequest", io_complete_request),
        export!("IofCallDriver", io_call_driver),
        export!("IoCallDriver", io_call_driver),
    ]
}
