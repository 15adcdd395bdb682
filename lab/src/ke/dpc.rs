//! Deferred procedure calls: a queue served by the lab's DPC threads at DISPATCH_LEVEL.

use super::{Balance, thread};
use crate::Export;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::ke::sched::Condvar;
use crate::nt::{KDPC, PKDEFERRED_ROUTINE};
use crate::report::{InCall, Rule, record, stop_about};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

const NOT_INIT: Rule = Rule::new("dpc.not-initialized", "WDK: KeInitializeDpc must come before KeInsertQueueDpc");
const FREED: Rule = Rule::new("dpc.freed-while-queued", "WDK: the KDPC must stay valid while it is queued");
const REINIT: Rule = Rule::new("dpc.reinitialized", "WDK: KeInitializeDpc (not while the DPC is queued)");

const LEFT: Rule = Rule::new("dpc.queued-at-unload", "WDK: KeFlushQueuedDpcs before the driver unloads");

/// Type of a KDPC object.
const DPC_OBJECT: u8 = 19;
const THREADS: usize = 2;

struct Queued {
    dpc: usize,
    sequence: u64,
}

struct Queue {
    waiting: VecDeque<Queued>,
    /// Sequence of the DPC that each thread runs.
    running: [Option<u64>; THREADS],
    next: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: VecDeque::new(), running: [None; THREADS], next: 0 });
static WORK: Condvar = Condvar::new();
static DONE: Condvar = Condvar::new();
static START: Once = Once::new();
static PENDING: AtomicUsize = AtomicUsize::new(0);

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() {
    START.call_once(|| {
        for n in 0..THREADS {
            thread::spawn_or_abort(&format!("lab-dpc{n}"), move || serve(n));
        }
    });
}

fn serve(n: usize) {
    let mut q = lock();
    loop {
        let Some(item) = q.waiting.pop_front() else {
            q = WORK.wait(&QUEUE, q);
            continue;
        };
        if let Some(r) = q.running.get_mut(n) {
            *r = Some(item.sequence);
        }
        let dpc = item.dpc as *mut KDPC;
        // SAFETY: a queued KDPC stays valid until it is taken from the queue (freeing it stops the lab in before_free).
        let call = unsafe {
            let c = ((*dpc).DeferredRoutine, (*dpc).DeferredContext, (*dpc).SystemArgument1, (*dpc).SystemArgument2);
            (*dpc).DpcData.store(std::ptr::null_mut(), Ordering::Release);
            c
        };
        PENDING.fetch_sub(1, Ordering::Relaxed);
        drop(q);
        if let Some(routine) = call.0 {
            irql::at(DISPATCH, || {
                let b = Balance::before("a DPC routine");
                // SAFETY: the routine and its arguments are what the driver put into its KDPC.
                unsafe { routine(dpc, call.1, call.2, call.3) };
                b.after();
            });
        }
        q = lock();
        if let Some(r) = q.running.get_mut(n) {
            *r = None;
        }
        DONE.notify_all();
    }
}

/// Queues a DPC; false when it is queued already.
///
/// # Safety
/// `dpc` is an initialised KDPC that stays valid while it is queued.
pub unsafe fn insert(dpc: *mut KDPC, arg1: *mut c_void, arg2: *mut c_void) -> bool {
    start();
    let mut q = lock();
    // SAFETY: as our caller promises; DpcData, SystemArgument1 and 2 are guarded by the queue's lock.
    unsafe {
        if !(*dpc).DpcData.load(Ordering::Acquire).is_null() {
            return false;
        }
        (*dpc).SystemArgument1 = arg1;
        (*dpc).SystemArgument2 = arg2;
        (*dpc).DpcData.store((&raw const QUEUE).cast_mut().cast(), Ordering::Release);
    }
    q.next += 1;
    let sequence = q.next;
    q.waiting.push_back(Queued { dpc: dpc as usize, sequence });
    PENDING.fetch_add(1, Ordering::Relaxed);
    WORK.notify_one();
    true
}

/// Takes a DPC from the queue; false when it was not there.
///
/// # Safety
/// `dpc` is an initialised KDPC.
pub unsafe fn remove(dpc: *mut KDPC) -> bool {
    let mut q = lock();
    let Some(i) = q.waiting.iter().position(|w| w.dpc == dpc as usize) else { return false };
    q.waiting.remove(i);
    PENDING.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: a queued KDPC is valid.
    unsafe { (*dpc).DpcData.store(std::ptr::null_mut(), Ordering::Release) };
    true
}

/// Waits until every DPC that is queued or runs now has returned.
pub fn flush() {
    let mut q = lock();
    let upto = q.next;
    while q.waiting.front().is_some_and(|w| w.sequence <= upto) || q.running.iter().flatten().any(|&s| s <= upto) {
        q = DONE.wait(&QUEUE, q);
    }
}

/// Whether a DPC is queued or runs.
#[must_use]
pub fn busy() -> bool {
    let q = lock();
    !q.waiting.is_empty() || q.running.iter().any(Option::is_some)
}

/// At unload: DPCs of the driver that have not run, or have not returned.
pub fn check_left() {
    let (waiting, running) = {
        let q = lock();
        (q.waiting.len(), q.running.iter().flatten().count())
    };
    if waiting + running != 0 {
        record(LEFT, &format!("{waiting} DPC(s) queued, {running} running"));
    }
}

pub(super) fn before_free(start: usize, size: usize) {
    if PENDING.load(Ordering::Relaxed) == 0 {
        return;
    }
    if let Some(w) = lock().waiting.iter().find(|w| w.dpc >= start && w.dpc < start + size) {
        stop_about(
            FREED,
            start,
            &format!("KDPC {:#x} lies in the block {start:#x} of {size} bytes that is being freed", w.dpc),
        );
    }
}

/// Writes a fresh KDPC.
///
/// # Safety
/// `dpc` is writable.
pub unsafe fn init(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: *mut c_void) {
    if PENDING.load(Ordering::Relaxed) != 0 && lock().waiting.iter().any(|w| w.dpc == dpc as usize) {
        stop_about(REINIT, dpc.addr(), &format!("KDPC {dpc:p} is queued"));
    }
    let fresh = KDPC {
        Type: DPC_OBJECT,
        Importance: 1,
        Number: 0,
        DpcListEntry: std::ptr::null_mut(),
        ProcessorHistory: 0,
        DeferredRoutine: Some(routine),
        DeferredContext: context,
        SystemArgument1: std::ptr::null_mut(),
        SystemArgument2: std::ptr::null_mut(),
        DpcData: AtomicPtr::new(std::ptr::null_mut()),
    };
    // SAFETY: as our caller promises.
    unsafe { dpc.write(fresh) };
}

/// # Safety
/// `dpc` is readable.
pub(super) unsafe fn check(dpc: *const KDPC) {
    // SAFETY: as our caller promises.
    let (kind, routine) = unsafe { ((*dpc).Type, (*dpc).DeferredRoutine) };
    if !(kind == DPC_OBJECT || kind == 24 || kind == 26) || routine.is_none() {
        stop_about(NOT_INIT, dpc.addr(), &format!("KDPC {dpc:p} has type {kind}"));
    }
}

extern "win64" fn initialize(dpc: *mut KDPC, routine: PKDEFERRED_ROUTINE, context: *mut c_void) {
    let _c = InCall::enter("KeInitializeDpc");
    // SAFETY: the driver passes its storage for a KDPC.
    unsafe { init(dpc, routine, context) };
}

extern "win64" fn insert_queue(dpc: *mut KDPC, arg1: *mut c_void, arg2: *mut c_void) -> u8 {
    let _c = InCall::enter("KeInsertQueueDpc");
    // SAFETY: the driver passes a KDPC; check() refuses what is not initialised.
    unsafe {
        check(dpc);
        u8::from(insert(dpc, arg1, arg2))
    }
}

extern "win64" fn remove_queue(dpc: *mut KDPC) -> u8 {
    let _c = InCall::enter("KeRemoveQueueDpc");
    // SAFETY: the driver passes a KDPC; check() refuses what is not initialised.
    unsafe {
        check(dpc);
        u8::from(remove(dpc))
    }
}

extern "win64" fn flush_queued() {
    let _c = InCall::enter("KeFlushQueuedDpcs");
    irql::require_at_most(PASSIVE);
    flush();
}

extern "win64" fn set_target(dpc: *mut KDPC, processor: *const c_void) -> i32 {
    let _c = InCall::enter("KeSetTargetProcessorDpcEx");
    // SAFETY: the driver passes a KDPC and a PROCESSOR_NUMBER (2-byte group, 1-byte number).
    unsafe {
        check(dpc);
        let (group, number) = (processor.cast::<u16>().read_unaligned(), processor.cast::<u8>().add(2).read());
        if group != 0 || usize::from(number) >= irql::PROCESSORS {
            return crate::nt::status::INVALID_PARAMETER;
        }
        (*dpc).Number = u16::from(number) + 1;
    }
    0
}

extern "win64" fn set_importance(dpc: *mut KDPC, importance: i32) {
    let _c = InCall::enter("KeSetImportanceDpc");
    // SAFETY: the driver passes a KDPC; check() refuses what is not initialised.
    unsafe {
        check(dpc);
        (*dpc).Importance = u8::try_from(importance).unwrap_or(1);
    }
}

extern "win64" fn current_processor_ex(out: *mut crate::nt::PROCESSOR_NUMBER) -> u32 {
    let n = irql::processor();
    // SAFETY: ProcNumber is optional and writable.
    if let Some(o) = unsafe { out.as_mut() } {
        *o = crate::nt::PROCESSOR_NUMBER { Group: 0, Number: u8::try_from(n).unwrap_or(0), Reserved: 0 };
    }
    u32::try_from(n).unwrap_or(0)
}

extern "win64" fn processor_count(_group: u16) -> u32 {
    u32::try_from(irql::PROCESSORS).unwrap_or(1)
}

extern "win64" fn active_processors() -> u64 {
    (1 << irql::PROCESSORS) - 1
}

extern "win64" fn processor_number_from_index(index: u32, out: *mut crate::nt::PROCESSOR_NUMBER) -> i32 {
    let Ok(number) = u8::try_from(index) else { return crate::nt::status::INVALID_PARAMETER };
    if usize::from(number) >= irql::PROCESSORS {
        return crate::nt::status::INVALID_PARAMETER;
    }
    // SAFETY: ProcNumber is writable.
    if let Some(o) = unsafe { out.as_mut() } {
        *o = crate::nt::PROCESSOR_NUMBER { Group: 0, Number: number, Reserved: 0 };
    }
    0
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("KeInitializeDpc", initialize),
        export!("KeInitializeThreadedDpc", initialize),
        export!("KeInsertQueueDpc", insert_queue),
        export!("KeRemoveQueueDpc", remove_queue),
        export!("KeFlushQueuedDpcs", flush_queued),
        export!("KeSetTargetProcessorDpcEx", set_target),
        export!("KeSetImportanceDpc", set_importance),
        export!("KeGetCurrentProcessorNumberEx", current_processor_ex),
        export!("KeQueryActiveProcessorCountEx", processor_count),
        export!("KeQueryActiveProcessorCount", processor_count),
        export!("KeQueryMaximumProcessorCountEx", processor_count),
        export!("KeQueryMaximumProcessorCount", processor_count),
        export!("KeQueryActiveProcessors", active_processors),
        export!("KeGetProcessorNumberFromIndex", processor_number_from_index),
    ]
}
