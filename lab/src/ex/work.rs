//! Work items, run at PASSIVE_LEVEL by the lab's worker threads.

use crate::fault;
use crate::irql::{self, DISPATCH, PASSIVE};
use crate::ke::sched::Condvar;
use crate::ke::{Balance, spawn_or_abort};
use crate::nt::{DEVICE_OBJECT, WORK_QUEUE_ITEM};
use crate::objects::Kind;
use crate::report::{InCall, Rule, address_text, stop_about};
use crate::{Export, pool};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

const INVALID: Rule =
    Rule::new("workitem.invalid", "WDK: IoQueueWorkItem, IoFreeWorkItem (an item of IoAllocateWorkItem)");
const QUEUED: Rule =
    Rule::new("workitem.queued", "WDK: IoQueueWorkItem, IoFreeWorkItem (not while the item is queued)");

const THREADS: usize = 3;

static ITEMS: Kind = Kind::new("io.workitem");
/// Queued or running: at unload a routine that still runs would run in freed memory.
static PENDING: Kind = Kind::new("ex.work-pending");

#[repr(C)]
struct WorkItem {
    object: *mut c_void,
    queued: AtomicBool,
}

type Job = Box<dyn FnOnce() + Send>;

static QUEUE: Mutex<VecDeque<Job>> = Mutex::new(VecDeque::new());
static WORK: Condvar = Condvar::new();
static START: Once = Once::new();

/// Runs `job` on a worker thread at PASSIVE_LEVEL. The lab's own modules may use it for work that must leave DISPATCH_LEVEL.
pub fn queue(job: impl FnOnce() + Send + 'static) {
    START.call_once(|| {
        for n in 0..THREADS {
            spawn_or_abort(&format!("lab-work{n}"), serve);
        }
    });
    PENDING.add();
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner).push_back(Box::new(job));
    WORK.notify_one();
}

fn serve() {
    let mut q = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(job) = q.pop_front() {
            drop(q);
            let b = Balance::before("a work routine");
            job();
            b.after();
            PENDING.remove();
            q = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
        } else {
            q = WORK.wait(&QUEUE, q);
        }
    }
}

/// Work that is queued or runs.
#[must_use]
pub fn pending() -> i64 {
    PENDING.live()
}

/// An address that a work routine takes to another thread.
struct Ptr(usize);
impl Ptr {
    fn get<T>(&self) -> *mut T {
        self.0 as *mut T
    }
}

/// # Safety
/// `p` is what the driver passed.
unsafe fn item(p: *mut c_void) -> &'static WorkItem {
    // SAFETY: as our caller promises; a live block of this kind is a WorkItem.
    unsafe {
        if !pool::is_lab_block(p.cast(), &ITEMS) {
            stop_about(INVALID, p.addr(), &format!("{p:p}"));
        }
        &*p.cast()
    }
}

extern "win64" fn allocate(object: *mut DEVICE_OBJECT) -> *mut c_void {
    let _c = InCall::enter("IoAllocateWorkItem");
    irql::require_at_most(DISPATCH);
    if fault::fails("IoAllocateWorkItem") {
        return std::ptr::null_mut();
    }
    let w = pool::alloc_lab_zeroed(&ITEMS, size_of::<WorkItem>()).cast::<WorkItem>();
    // SAFETY: fresh block of the right size.
    unsafe { w.write(WorkItem { object: object.cast(), queued: AtomicBool::new(false) }) };
    w.cast()
}

extern "win64" fn free(p: *mut c_void) {
    let _c = InCall::enter("IoFreeWorkItem");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes its item; anything else is refused.
    unsafe {
        if item(p).queued.load(Ordering::Acquire) {
            stop_about(QUEUED, p.addr(), &format!("{p:p} is freed while queued"));
        }
        pool::free_lab(p.cast());
    }
}

type Routine = unsafe extern "win64" fn(*mut c_void, *mut c_void);
type RoutineEx = unsafe extern "win64" fn(*mut c_void, *mut c_void, *mut c_void);

fn mark_queued(p: *mut c_void, routine: usize) {
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes its item; anything else is refused.
    if unsafe { item(p) }.queued.swap(true, Ordering::AcqRel) {
        stop_about(QUEUED, p.addr(), &format!("{p:p} is queued twice, routine {}", address_text(routine)));
    }
}

extern "win64" fn queue_item(p: *mut c_void, routine: Routine, _queue: i32, context: *mut c_void) {
    let _c = InCall::enter("IoQueueWorkItem");
    mark_queued(p, routine as usize);
    let (p, context) = (Ptr(p as usize), Ptr(context as usize));
    queue(move || {
        // SAFETY: a queued item is not freed; its routine and context are the driver's. The routine may free the item.
        unsafe {
            let w = item(p.get());
            let object = w.object;
            w.queued.store(false, Ordering::Release);
            routine(object, context.get());
        }
    });
}

extern "win64" fn queue_item_ex(p: *mut c_void, routine: RoutineEx, _queue: i32, context: *mut c_void) {
    let _c = InCall::enter("IoQueueWorkItemEx");
    mark_queued(p, routine as usize);
    let (p, context) = (Ptr(p as usize), Ptr(context as usize));
    queue(move || {
        // SAFETY: as above.
        unsafe {
            let w = item(p.get());
            let object = w.object;
            w.queued.store(false, Ordering::Release);
            routine(object, context.get(), p.get());
        }
    });
}

extern "win64" fn ex_queue(p: *mut WORK_QUEUE_ITEM, _queue: i32) {
    let _c = InCall::enter("ExQueueWorkItem");
    irql::require_at_most(DISPATCH);
    // SAFETY: the driver passes an item that it initialised and keeps until its routine runs.
    let (routine, parameter) = unsafe { ((*p).WorkerRoutine, Ptr((*p).Parameter as usize)) };
    let Some(routine) = routine else { stop_about(INVALID, p.addr(), &format!("{p:p} has no WorkerRoutine")) };
    queue(move || {
        debug_assert!(irql::current() == PASSIVE);
        // SAFETY: the routine and its parameter are the driver's.
        unsafe { routine(parameter.get()) };
    });
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("IoAllocateWorkItem", allocate),
        export!("IoFreeWorkItem", free),
        export!("IoQueueWorkItem", queue_item),
        export!("IoQueueWorkItemEx", queue_item_ex),
        export!("ExQueueWorkItem", ex_queue),
    ]
}
