//! IRPs that the driver passes to WSK: taken, marked while pending, completed exactly once.

use super::abi::Irp;
use super::lent;
use super::socket::{AnySocket, Base};
use crate::irql;
use crate::ke::sched::Condvar;
use crate::nt::{DEVICE_OBJECT, IO_STACK_LOCATION, IRP, NTSTATUS, sl, status};
use crate::report::{Rule, current_call, record};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const DOC: &str = "WDK: Using IRPs with Winsock Kernel Functions";
const MISSING: Rule = Rule::new("wsk.irp-missing", DOC);
const BAD: Rule = Rule::new("wsk.bad-irp", DOC);
const NO_ROUTINE: Rule = Rule::new("wsk.no-completion-routine", DOC);
const REUSED: Rule = Rule::new("wsk.irp-reused-while-pending", DOC);

/// `IO_TYPE_IRP`.
const IO_TYPE_IRP: i16 = 6;
const MARK: usize = 0x5753_4B49_5250_0000;

/// When WSK calls complete their IRPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Completion {
    /// Before the call returns, whenever it can be.
    Inline,
    /// From another thread.
    Async,
    /// Control calls in turn, and one send in 64 from another thread: what finds both kinds of mistake.
    Alternate,
}

static MODE: AtomicU8 = AtomicU8::new(Completion::Alternate as u8);
static TURN: AtomicU32 = AtomicU32::new(0);
static SEND_TURN: AtomicU32 = AtomicU32::new(0);

/// Sets when IRPs complete; [`Completion::Alternate`] at first.
pub fn set_completion(mode: Completion) {
    MODE.store(mode as u8, Ordering::SeqCst);
}

/// When calls complete.
pub fn mode() -> Completion {
    match MODE.load(Ordering::Relaxed) {
        0 => Completion::Inline,
        1 => Completion::Async,
        _ => Completion::Alternate,
    }
}

/// Whether this send is to go through the sender thread though it need not.
pub fn send_async() -> bool {
    match mode() {
        Completion::Inline => false,
        Completion::Async => true,
        Completion::Alternate => SEND_TURN.fetch_add(1, Ordering::Relaxed) % 64 == 63,
    }
}

/// An IRP that WSK holds; must be completed.
#[must_use]
#[derive(Debug)]
pub struct Held {
    irp: Irp,
    /// The WSK call.
    call: &'static str,
    /// [`Self::lend`] has noted memory for it.
    lent: bool,
}

// SAFETY: a held IRP belongs to WSK alone, whichever of its threads completes it.
unsafe impl Send for Held {}

impl Held {
    /// Takes `irp` for a call. `None`, with a record, when it cannot be used: the call then fails without completing.
    ///
    /// # Safety
    /// `irp` is what the driver passed: null or an IRP.
    pub unsafe fn take(irp: Irp) -> Option<Self> {
        if irp.is_null() {
            record(MISSING, "this call needs an IRP");
            return None;
        }
        // SAFETY: the driver's IRP, by the caller's contract.
        let i = unsafe { &mut *irp };
        if i.Type != IO_TYPE_IRP || i.StackCount < 1 {
            record(BAD, &format!("{irp:p} is no IRP (type {}, {} stack locations)", i.Type, i.StackCount));
            return None;
        }
        if Self::mark_of(irp) == i.Tail.DriverContext[3] {
            record(REUSED, &format!("IRP {irp:p} is held by an earlier WSK call that has not completed it"));
            return None;
        }
        if i.CurrentLocation <= 1 {
            record(BAD, &format!("IRP {irp:p} has no stack location left (freed, or not reinitialised by IoReuseIrp)"));
            return None;
        }
        let next = i.Tail.CurrentStackLocation.wrapping_sub(1);
        // SAFETY: CurrentLocation > 1, so a stack location lies below the current one.
        let location: &mut IO_STACK_LOCATION = unsafe { &mut *next };
        let wanted = sl::INVOKE_ON_SUCCESS | sl::INVOKE_ON_ERROR | sl::INVOKE_ON_CANCEL;
        // An IRP that came from above is completed upwards without one.
        let own = i.CurrentLocation > i.StackCount;
        if own && (location.CompletionRoutine.is_none() || location.Control & wanted != wanted) {
            record(
                NO_ROUTINE,
                &format!(
                    "IRP {irp:p} has no completion routine for success, error and cancellation: nobody would free it"
                ),
            );
        }
        i.Tail.DriverContext[3] = Self::mark_of(irp);
        // SAFETY: an IRP with a location left, as checked.
        unsafe { crate::io::take_irp(irp) };
        Some(Self { irp, call: current_call(), lent: false })
    }

    /// The IRP.
    pub fn irp(&self) -> Irp {
        self.irp
    }

    /// The WSK call.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// Notes the memory that the call uses until it completes.
    pub fn lend(&mut self, ranges: Vec<lent::Range>) {
        if !self.lent && !ranges.is_empty() {
            self.lent = true;
            lent::lend(self.irp.addr(), self.call, ranges);
        }
    }

    /// Sets the cancel routine, which will ask `socket` to cancel the call. `false` when the IRP has been cancelled
    /// already: then there is no routine, and the caller completes it.
    pub fn arm(&self, socket: &'static AnySocket) -> bool {
        // SAFETY: a held IRP is live, and its DriverContext is WSK's.
        unsafe {
            (*self.irp).Tail.DriverContext[0] = std::ptr::from_ref(socket).cast_mut().cast();
            crate::io::set_cancel_routine(self.irp, Some(on_cancel));
            (&raw const (*self.irp).Cancel).read_volatile() == 0 || !self.disarm()
        }
    }

    /// Takes the cancel routine back; `false` when it has begun.
    pub fn disarm(&self) -> bool {
        // SAFETY: a held IRP is live.
        unsafe { crate::io::set_cancel_routine(self.irp, None) }.is_some()
    }

    fn mark_of(irp: Irp) -> *mut c_void {
        (irp as usize ^ MARK) as *mut c_void
    }

    /// Marks the IRP pending: the call is going to return `STATUS_PENDING`.
    pub fn mark_pending(&self) {
        // SAFETY: a held IRP is live.
        let location = unsafe { (*self.irp).Tail.CurrentStackLocation };
        // SAFETY: `take` made it the location that WSK owns.
        unsafe { (*location).Control |= sl::PENDING_RETURNED };
    }

    /// Completes with a status and `IoStatus.Information`.
    pub fn complete(self, status: NTSTATUS, information: u64) -> NTSTATUS {
        let irp = self.irp;
        if self.lent {
            lent::give_back(irp.addr());
        }
        // SAFETY: a held IRP is live.
        let i = unsafe { &mut *irp };
        if i.Tail.DriverContext[3] != Self::mark_of(irp) {
            record(REUSED, &format!("IRP {irp:p} was reinitialised or freed while a WSK call held it"));
            return status;
        }
        i.Tail.DriverContext[3] = std::ptr::null_mut();
        i.IoStatus.Status = status;
        i.IoStatus.Information = information;
        super::in_callback(|| {
            // SAFETY: the IRP is WSK's, its current location is ours, and nothing here touches it afterwards.
            unsafe { crate::io::complete_request(irp, 0) };
        });
        status
    }

    /// Completes now, or from the worker thread, as the mode says; gives what the call returns. A control call's end.
    pub fn finish(self, socket: Option<&'static Base>, status: NTSTATUS, information: u64) -> NTSTATUS {
        let later = match mode() {
            Completion::Inline => false,
            Completion::Async => true,
            Completion::Alternate => TURN.fetch_add(1, Ordering::Relaxed) % 2 == 1,
        };
        if later {
            self.mark_pending();
            if let Some(s) = socket {
                s.later.fetch_add(1, Ordering::SeqCst);
            }
            later_do(Box::new(move || {
                self.complete(status, information);
                if let Some(s) = socket {
                    s.later.fetch_sub(1, Ordering::SeqCst);
                }
            }));
            return status::PENDING;
        }
        self.complete(status, information)
    }
}

/// The cancel routine of every call that pends.
unsafe extern "win64" fn on_cancel(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: `IoCancelIrp` calls this with the cancel spin lock held, and the IRP is live until it is completed, which
    // only this routine may do from here on.
    let (irql, socket) = unsafe { ((*irp).CancelIrql, (*irp).Tail.DriverContext[0].cast::<AnySocket>()) };
    crate::io::release_cancel_lock(irql);
    // SAFETY: sockets live for ever; `arm` put the pointer there.
    unsafe { (*socket).cancel(irp) };
}

type Job = Box<dyn FnOnce() + Send>;

static JOBS: Mutex<VecDeque<Job>> = Mutex::new(VecDeque::new());
static WORK: Condvar = Condvar::new();
static START: Once = Once::new();

/// Runs `job` on the worker thread, at PASSIVE_LEVEL and DISPATCH_LEVEL in turn.
pub fn later_do(job: Job) {
    START.call_once(|| {
        let run = || {
            let mut turn = 0u32;
            loop {
                let job = {
                    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
                    loop {
                        match jobs.pop_front() {
                            Some(job) => break job,
                            None => jobs = WORK.wait(&JOBS, jobs),
                        }
                    }
                };
                turn = turn.wrapping_add(1);
                if turn.is_multiple_of(2) { irql::at(irql::DISPATCH, job) } else { job() }
            }
        };
        crate::ke::spawn_or_abort("wsk-worker", run);
    });
    JOBS.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
    WORK.notify_one();
}
