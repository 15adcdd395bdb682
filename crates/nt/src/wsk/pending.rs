//! IRPs for WSK calls that end in their own time, and counts of what is on its way.

use super::irp::MORE_PROCESSING_REQUIRED;
use crate::status::{Result, Status};
use crate::time;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use nt_sys::{_EVENT_TYPE, _KWAIT_REASON, _MODE, DEVICE_OBJECT, IRP, KEVENT, LARGE_INTEGER, NTSTATUS, PIRP, ntddk};

/// IRPs in flight, and the packets that they carry. Whatever they refer to waits for [`settle`](Self::settle) before it goes.
pub(super) struct InFlight(AtomicUsize, AtomicUsize);

impl InFlight {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0), AtomicUsize::new(0))
    }

    /// One more. Any IRQL.
    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One more, with so many packets. Any IRQL.
    pub(super) fn begin_with(&self, packets: usize) {
        self.1.fetch_add(packets, Ordering::Relaxed);
        self.begin();
    }

    /// So many packets fewer: before [`end`](Self::end). Any IRQL.
    pub(super) fn sent(&self, packets: usize) {
        self.1.fetch_sub(packets, Ordering::Relaxed);
    }

    /// Packets that were not sent yet. Any IRQL.
    pub(super) fn packets(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    /// One less: the last act of a completion routine. After it, `this` may be gone. Any IRQL.
    ///
    /// # Safety
    /// `this` has the caller counted.
    pub(super) unsafe fn end(this: NonNull<Self>) {
        // SAFETY: it lives until the count is zero.
        unsafe { this.as_ref() }.0.fetch_sub(1, Ordering::Release);
    }

    /// Waits until there are none. PASSIVE_LEVEL.
    pub(super) fn settle(&self) {
        while self.0.load(Ordering::Acquire) != 0 {
            time::pause();
        }
    }
}

const IDLE: u32 = 0;
const PENDING: u32 = 1;
const DONE: u32 = 2;

/// One WSK call, made once, that somebody may look at, cancel and wait for while it runs. Does not move once it was started.
pub(super) struct PendingIrp {
    irp: NonNull<IRP>,
    state: AtomicU32,
    status: AtomicI32,
    /// Set at the end; initialised by `start`.
    ended: UnsafeCell<MaybeUninit<KEVENT>>,
    notify: UnsafeCell<Option<Notify>>,
}

/// What a completion calls, at DISPATCH_LEVEL or below; it may not call WSK.
pub(super) struct Notify {
    pub(super) call: unsafe fn(NonNull<()>),
    /// Alive until the IRP has ended.
    pub(super) context: NonNull<()>,
}

// SAFETY: the IRP is used by its one call; `state` orders what is written before and after it.
unsafe impl Send for PendingIrp {}
// SAFETY: as above.
unsafe impl Sync for PendingIrp {}

impl PendingIrp {
    /// Nothing started. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub(super) fn new() -> Result<Self> {
        // SAFETY: one stack location, no quota.
        let irp = NonNull::new(unsafe { ntddk::IoAllocateIrp(1, 0) }).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        Ok(Self {
            irp,
            state: AtomicU32::new(IDLE),
            status: AtomicI32::new(0),
            ended: UnsafeCell::new(MaybeUninit::uninit()),
            notify: UnsafeCell::new(None),
        })
    }

    /// Makes the call. The IRP is completed whatever the call returns (WDK: Using IRPs with Winsock Kernel Functions), perhaps before
    /// this returns. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    /// INVALID_DEVICE_STATE where it was started before.
    ///
    /// # Safety
    /// `call` passes the IRP to exactly one IRP-taking WSK function. What it points at, what `notify` points at, and this, stay in place
    /// until the call has ended.
    pub(super) unsafe fn start(&self, notify: Option<Notify>, call: impl FnOnce(PIRP) -> NTSTATUS) -> Result<()> {
        if self.state.compare_exchange(IDLE, PENDING, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return Err(Status::INVALID_DEVICE_STATE);
        }
        let irp = self.irp.as_ptr();
        // SAFETY: the exchange made this the only one to start; nobody looks at event and notification before the IRP has ended,
        // except `wait`, which takes turns with this by the callers' locks.
        unsafe {
            *self.notify.get() = notify;
            ntddk::KeInitializeEvent(self.ended.get().cast(), _EVENT_TYPE::NotificationEvent, 0);
            nt_sys::IoSetCompletionRoutine(
                irp,
                Some(ended),
                core::ptr::from_ref(self).cast_mut().cast(),
                true,
                true,
                true,
            );
        }
        let _ = call(irp);
        Ok(())
    }

    /// How it ended, if it has. Any IRQL.
    pub(super) fn outcome(&self) -> Option<Status> {
        (self.state.load(Ordering::Acquire) == DONE).then(|| Status(self.status.load(Ordering::Relaxed)))
    }

    /// Asks for it to be ended, if it runs. The IRP is this object's until it is dropped, so one that ends at the same moment is
    /// cancelled in vain and no more. Not concurrently with [`start`](Self::start). IRQL <= DISPATCH_LEVEL.
    pub(super) fn cancel(&self) {
        if self.state.load(Ordering::Acquire) == PENDING {
            // SAFETY: the IRP is allocated as long as `self` is.
            let _ = unsafe { ntddk::IoCancelIrp(self.irp.as_ptr()) };
        }
    }

    /// Waits until it has ended, at most so many milliseconds; true if it has, or was never started. Not concurrently with
    /// [`start`](Self::start), and not in a callback of WSK's. PASSIVE_LEVEL.
    pub(super) fn wait(&self, at_most: Option<u32>) -> bool {
        if self.state.load(Ordering::Acquire) == IDLE {
            return true;
        }
        let mut timeout = LARGE_INTEGER { QuadPart: i64::from(at_most.unwrap_or(0)) * -10_000 };
        let timeout = if at_most.is_some() { &raw mut timeout } else { null_mut() };
        // SAFETY: `start` initialised the event; the timeout is a live local, or none.
        let waited = unsafe {
            ntddk::KeWaitForSingleObject(
                self.ended.get().cast(),
                _KWAIT_REASON::Executive,
                _MODE::KernelMode as _,
                0,
                timeout,
            )
        };
        waited == Status::SUCCESS.0
    }
}

impl Drop for PendingIrp {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`. Whoever started it has waited for its end (`start`'s contract).
        unsafe { ntddk::IoFreeIrp(self.irp.as_ptr()) };
    }
}

unsafe extern "C" fn ended(_: *mut DEVICE_OBJECT, irp: *mut IRP, context: *mut c_void) -> NTSTATUS {
    if let Some(this) = NonNull::new(context.cast::<PendingIrp>()) {
        // SAFETY: `start` passed itself, which stays in place until the event below is set and waited for.
        unsafe {
            let this = this.as_ref();
            let (status, _) = nt_sys::IrpStatus(irp);
            this.status.store(status, Ordering::Relaxed);
            this.state.store(DONE, Ordering::Release);
            if let Some(notify) = &*this.notify.get() {
                (notify.call)(notify.context);
            }
            ntddk::KeSetEvent(this.ended.get().cast(), 0, 0);
        }
    }
    MORE_PROCESSING_REQUIRED
}
