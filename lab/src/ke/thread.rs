//! Threads: the lab's own that run driver code, and the driver's system threads.

use super::sched;
use crate::fault;
use crate::irql::{self, PASSIVE};
use crate::nt::{DISPATCHER_HEADER, HANDLE, LIST_ENTRY, NTSTATUS, dispatcher, status};
use crate::objects::Kind;
use crate::report::{InCall, Rule, record, stop};
use crate::{Export, crash, ob, pool};
use std::arch::naked_asm;
use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::thread::JoinHandle;

const AT_EXIT: Rule = Rule::new("thread.exit-state", "WDK: PsTerminateSystemThread (PASSIVE_LEVEL, no locks held)");
const NOT_SYSTEM: Rule =
    Rule::new("thread.not-system", "WDK: PsTerminateSystemThread (only by a system-created thread)");

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
static THREAD: Kind = Kind::new("ps.thread");
/// System threads whose routine has not returned.
static RUNNING: Kind = Kind::new("ps.thread.running");

thread_local! {
    static ID: Cell<u64> = const { Cell::new(0) };
    static OBJECT: Cell<*mut ThreadObject> = const { Cell::new(std::ptr::null_mut()) };
    static EXIT: Cell<*mut u8> = const { Cell::new(std::ptr::null_mut()) };
}

/// The lab's number of this thread, from 1.
#[must_use]
pub fn thread_id() -> u64 {
    let id = ID.get();
    if id != 0 {
        return id;
    }
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    ID.set(id);
    id
}

/// Makes a thread that may run driver code. `name` (Linux keeps 15 characters) shows in tools. Ends the process where the
/// host has no more threads: there is nothing to go on with.
pub fn spawn_or_abort(name: &str, f: impl FnOnce() + Send + 'static) {
    if let Err(e) = spawn(name, f) {
        eprintln!("dco-lab: no thread for {name}: {e}");
        std::process::abort();
    }
}

/// [`spawn_or_abort`] with the host's error and a handle to join.
///
/// # Errors
/// When the host cannot make a thread.
pub fn spawn(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let place = sched::announce(name);
    let thread = spawn_aside(name, move || {
        let _life = sched::Life::begin(place);
        let _ = thread_id();
        f();
    });
    if thread.is_err() {
        sched::withdraw(place);
    }
    thread
}

/// Makes a thread that runs no driver code, and that the scheduler leaves alone.
///
/// # Errors
/// When the host cannot make a thread.
pub fn spawn_aside(name: &str, f: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).stack_size(1 << 20).spawn(move || {
        crash::prepare_thread();
        f();
    })
}

/// System threads whose routine has not returned.
#[must_use]
pub fn running() -> i64 {
    RUNNING.live()
}

/// A thread object, as `PsCreateSystemThread` makes it. The dispatcher header, which waits use, stands first.
#[repr(C)]
pub(crate) struct ThreadObject {
    header: DISPATCHER_HEADER,
    references: AtomicI32,
    id: u64,
    exit_status: AtomicI32,
}

/// Whether the pointer is a live thread object.
///
/// # Safety
/// `p` is null or readable for a pool header before it.
pub(crate) unsafe fn is_thread(p: *const c_void) -> bool {
    // SAFETY: as our caller promises.
    unsafe { pool::is_lab_block(p.cast(), &THREAD) }
}

/// Takes a reference.
///
/// # Safety
/// `p` is a live thread object.
pub(crate) unsafe fn reference(p: *mut c_void) -> i32 {
    // SAFETY: as our caller promises.
    unsafe { (*p.cast::<ThreadObject>()).references.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// Gives a reference back; the last one frees the object.
///
/// # Safety
/// `p` is a live thread object, and the caller owns a reference.
pub(crate) unsafe fn dereference(p: *mut c_void) -> i32 {
    // SAFETY: as our caller promises.
    let left = unsafe { (*p.cast::<ThreadObject>()).references.fetch_sub(1, Ordering::AcqRel) - 1 };
    if left == 0 {
        // SAFETY: that was the last reference.
        unsafe { pool::free_lab(p.cast()) };
    }
    left
}

struct Start {
    routine: unsafe extern "win64" fn(*mut c_void),
    context: *mut c_void,
    object: *mut ThreadObject,
}
// SAFETY: the routine and its context are the driver's to run on another thread: that is what it asked for.
unsafe impl Send for Start {}

/// Calls `routine(context)` so that [`unwind_to_start`] can leave it from any depth: the callee-saved registers are kept at
/// the address stored to `*place`.
#[unsafe(naked)]
extern "win64" fn call_with_exit(
    _routine: unsafe extern "win64" fn(*mut c_void),
    _context: *mut c_void,
    _place: *mut *mut u8,
) {
    naked_asm!(
        "push rbp", "push rbx", "push rdi", "push rsi", "push r12", "push r13", "push r14", "push r15",
        "sub rsp, 0xa8",
        "movaps [rsp], xmm6", "movaps [rsp+0x10], xmm7", "movaps [rsp+0x20], xmm8", "movaps [rsp+0x30], xmm9",
        "movaps [rsp+0x40], xmm10", "movaps [rsp+0x50], xmm11", "movaps [rsp+0x60], xmm12", "movaps [rsp+0x70], xmm13",
        "movaps [rsp+0x80], xmm14", "movaps [rsp+0x90], xmm15",
        "mov [r8], rsp",
        "mov rax, rcx",
        "mov rcx, rdx",
        "sub rsp, 0x20",
        "call rax",
        "add rsp, 0x20",
        "jmp {out}",
        out = sym leave_with_exit,
    )
}

/// The second half of [`call_with_exit`]; `rsp` is what it stored.
#[unsafe(naked)]
extern "win64" fn leave_with_exit() {
    naked_asm!(
        "movaps xmm6, [rsp]",
        "movaps xmm7, [rsp+0x10]",
        "movaps xmm8, [rsp+0x20]",
        "movaps xmm9, [rsp+0x30]",
        "movaps xmm10, [rsp+0x40]",
        "movaps xmm11, [rsp+0x50]",
        "movaps xmm12, [rsp+0x60]",
        "movaps xmm13, [rsp+0x70]",
        "movaps xmm14, [rsp+0x80]",
        "movaps xmm15, [rsp+0x90]",
        "add rsp, 0xa8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rsi",
        "pop rdi",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Leaves the routine that [`call_with_exit`] called.
#[unsafe(naked)]
extern "win64" fn unwind_to_start(_saved: *mut u8) -> ! {
    naked_asm!("mov rsp, rcx", "jmp {out}", out = sym leave_with_exit)
}

fn run(start: &Start) {
    RUNNING.add();
    OBJECT.set(start.object);
    let mut saved: *mut u8 = std::ptr::null_mut();
    // The cell is set through the pointer that the callee stores into before the routine runs.
    EXIT.with(|e| call_with_exit(start.routine, start.context, e.as_ptr()));
    saved = EXIT.replace(saved);
    debug_assert!(!saved.is_null());
    if irql::current() != PASSIVE || super::spin::held() != 0 {
        record(
            AT_EXIT,
            &format!(
                "the thread's routine returned at IRQL {} with {} spin locks held",
                irql::current(),
                super::spin::held()
            ),
        );
    }
    OBJECT.set(std::ptr::null_mut());
    // SAFETY: the thread owns a reference to its object until here.
    unsafe {
        super::wait::signal(&raw mut (*start.object).header, 1);
        dereference(start.object.cast());
    }
    RUNNING.remove();
}

extern "win64" fn create_system_thread(
    handle: *mut HANDLE,
    _access: u32,
    _attributes: *const c_void,
    process: HANDLE,
    _client_id: *mut c_void,
    routine: unsafe extern "win64" fn(*mut c_void),
    context: *mut c_void,
) -> NTSTATUS {
    let _c = InCall::enter("PsCreateSystemThread");
    irql::require_at_most(PASSIVE);
    if handle.is_null() {
        return status::INVALID_PARAMETER;
    }
    if !process.is_null() && process as usize != usize::MAX {
        return status::INVALID_HANDLE;
    }
    if fault::fails("PsCreateSystemThread") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let object = pool::alloc_lab_zeroed(&THREAD, size_of::<ThreadObject>()).cast::<ThreadObject>();
    let t = ThreadObject {
        header: DISPATCHER_HEADER {
            Type: dispatcher::THREAD,
            Signalling: 0,
            Size: 6,
            Reserved1: 0,
            SignalState: AtomicI32::new(0),
            WaitListHead: LIST_ENTRY { Flink: std::ptr::null_mut(), Blink: std::ptr::null_mut() },
        },
        // One for the thread, one for the handle.
        references: AtomicI32::new(2),
        id: 0,
        exit_status: AtomicI32::new(status::PENDING),
    };
    // SAFETY: fresh block of the right size; `handle` is the driver's out parameter.
    unsafe {
        object.write(t);
        *handle = ob::open_handle(object.cast());
    }
    let start = Start { routine, context, object };
    match spawn("lab-system", move || {
        let start = start;
        run(&start);
    }) {
        Ok(_) => status::SUCCESS,
        Err(_) => {
            // SAFETY: the thread does not exist: its reference is ours; the handle's goes with the handle.
            unsafe {
                ob::close_handle(*handle);
                dereference(object.cast());
            }
            status::INSUFFICIENT_RESOURCES
        }
    }
}

extern "win64" fn terminate_system_thread(exit_status: NTSTATUS) -> NTSTATUS {
    let saved = EXIT.get();
    if saved.is_null() {
        let _c = InCall::enter("PsTerminateSystemThread");
        stop(NOT_SYSTEM, "this thread was not made by PsCreateSystemThread");
    }
    // SAFETY: OBJECT is this thread's own live object.
    if let Some(o) = unsafe { OBJECT.get().as_ref() } {
        o.exit_status.store(exit_status, Ordering::Relaxed);
    }
    // No frame of ours between here and the thread's start owns anything.
    unwind_to_start(saved)
}

extern "win64" fn current_thread() -> *mut c_void {
    current_object()
}

/// What stands for the current `KTHREAD`.
pub(crate) fn current_object() -> *mut c_void {
    let o = OBJECT.get();
    if o.is_null() {
        // Threads of the lab have no object; their number, which is never a pointer, identifies them.
        return (thread_id() << 4) as *mut c_void;
    }
    o.cast()
}

extern "win64" fn current_thread_id() -> HANDLE {
    (thread_id() << 2) as HANDLE
}

extern "win64" fn current_process_id() -> HANDLE {
    4 as HANDLE
}

extern "win64" fn current_process() -> *mut c_void {
    0x4000 as *mut c_void
}

extern "win64" fn zero() -> i32 {
    0
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("PsCreateSystemThread", create_system_thread),
        export!("PsTerminateSystemThread", terminate_system_thread),
        export!("KeGetCurrentThread", current_thread),
        export!("PsGetCurrentThread", current_thread),
        export!("PsGetCurrentThreadId", current_thread_id),
        export!("PsGetCurrentProcessId", current_process_id),
        export!("PsGetCurrentProcess", current_process),
        export!("IoGetCurrentProcess", current_process),
        export!("KeSetPriorityThread", zero),
        export!("KeSetBasePriorityThread", zero),
        export!("KeEnterCriticalRegion", zero),
        export!("KeLeaveCriticalRegion", zero),
        export!("KeEnterGuardedRegion", zero),
        export!("KeLeaveGuardedRegion", zero),
    ]
}
