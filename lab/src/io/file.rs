//! File objects: opening, and closing as NT closes: cleanup, the end of what is outstanding, close.

use super::request::{Outcome, Request};
use super::{device, irp, names};
use crate::ke::sched::Condvar;
use crate::nt::{
    DEVICE_OBJECT, FILE_OBJECT, IO_PARAMETERS_CREATE, IO_SECURITY_CONTEXT, IRP, NTSTATUS, OwnedUnicode, dev_flags, mj,
    nt_success, status,
};
use crate::objects::Kind;
use crate::report::{Rule, record};
use crate::{ke, pnp, pool};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

const STUCK: Rule = Rule::new(
    "irp.not-cancelled",
    "WDK: IRP_MJ_CLEANUP and cancel routines must end what a closed file has outstanding",
);
const CLOSE_FAILED: Rule = Rule::new("io.close-failed", "WDK: IRP_MJ_CLEANUP and IRP_MJ_CLOSE must succeed");

/// `FILE_OBJECT::Type`.
const IO_TYPE_FILE: i16 = 5;
static FILE_KIND: Kind = Kind::new("io.file");
static CONTEXTS: Kind = Kind::of_lab("io.security-context");
/// How long a closed file's requests may take to end: seconds, unless `--patience` says otherwise.
const PATIENCE: u64 = 30;
/// Files that are open.
static OPEN: AtomicI64 = AtomicI64::new(0);
/// The files whose open succeeded, in that order.
static FILES: Mutex<Vec<Weak<OpenFile>>> = Mutex::new(Vec::new());

/// The file that has been open for longest.
#[must_use]
pub fn first_open() -> Option<Arc<OpenFile>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(Weak::upgrade)
}

/// Number of open files.
#[must_use]
pub fn open_count() -> i64 {
    OPEN.load(Ordering::Relaxed)
}

/// Whether the pointer is a live file object.
///
/// # Safety
/// `f` is null or readable for a pool header before it.
#[must_use]
pub unsafe fn is_file(f: *const FILE_OBJECT) -> bool {
    // SAFETY: as our caller promises.
    unsafe { pool::is_lab_block(f.cast(), &FILE_KIND) }
}

/// An open file of a user's.
#[derive(Debug)]
pub struct OpenFile {
    pub(super) object: *mut FILE_OBJECT,
    named: *mut DEVICE_OBJECT,
    pub(super) top: *mut DEVICE_OBJECT,
    pub(super) access: u32,
    outstanding: Mutex<Vec<Arc<Request>>>,
    ended: Condvar,
    name: Mutex<OwnedUnicode>,
}

// SAFETY: the objects it points to are the I/O manager's, which any thread may use; they live until `close`.
unsafe impl Send for OpenFile {}
// SAFETY: as above; its own state is behind mutexes.
unsafe impl Sync for OpenFile {}

/// What an open was asked for.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// `ACCESS_MASK`.
    pub access: u32,
    /// `FILE_SHARE_*`.
    pub share: u32,
}

/// What is called when an open is complete: its status, and the file where that is a success.
pub type Opened = Box<dyn FnOnce(NTSTATUS, Option<Arc<OpenFile>>) + Send>;

/// An IRP and its context that move into a completion closure.
struct Carried<T>(*mut T);
// SAFETY: the pointer is a block of the lab's that the closure alone frees.
unsafe impl<T> Send for Carried<T> {}
impl<T> Carried<T> {
    const fn get(&self) -> *mut T {
        self.0
    }
}

/// Opens a device by name: `NtCreateFile`. `opened` runs when IRP_MJ_CREATE is complete, on whatever thread completes it.
pub fn open(path: &str, options: OpenOptions, opened: Opened) {
    let (named, rest) = match names::lookup(path) {
        Ok(v) => v,
        Err(e) => return opened(e, None),
    };
    // SAFETY: the name space holds live devices only.
    let top = unsafe {
        let top = device::attached_device(named);
        if !pnp::accepts_opens(top) || (*named).Flags & dev_flags::DEVICE_INITIALIZING != 0 {
            return opened(status::NO_SUCH_DEVICE, None);
        }
        let exclusive = ((*named).Flags | (*top).Flags) & dev_flags::EXCLUSIVE != 0;
        if device::reference(named) > 0 && exclusive {
            device::release(named);
            return opened(status::ACCESS_DENIED, None);
        }
        top
    };
    let mut name = OwnedUnicode::new(&rest);
    let object = pool::alloc_lab_zeroed(&FILE_KIND, size_of::<FILE_OBJECT>()).cast::<FILE_OBJECT>();
    let security = pool::alloc_lab_zeroed(&CONTEXTS, size_of::<IO_SECURITY_CONTEXT>()).cast::<IO_SECURITY_CONTEXT>();
    // SAFETY: both blocks are fresh, zeroed and large enough; all-zero bytes are valid for both.
    unsafe {
        (*object).Type = IO_TYPE_FILE;
        (*object).Size = 216;
        (*object).DeviceObject = named;
        (*object).FileName = name.unicode();
        (*object).ReadAccess = u8::from(may(options.access, READ));
        (*object).WriteAccess = u8::from(may(options.access, WRITE));
        ke::event_init(&raw mut (*object).Lock, true, true);
        ke::event_init(&raw mut (*object).Event, false, false);
        (*security).DesiredAccess = options.access;
    }
    OPEN.fetch_add(1, Ordering::Relaxed);
    let file = Arc::new(OpenFile {
        object,
        named,
        top,
        access: options.access,
        outstanding: Mutex::new(Vec::new()),
        ended: Condvar::new(),
        name: Mutex::new(name),
    });
    let create = IO_PARAMETERS_CREATE {
        SecurityContext: security,
        // FILE_OPEN in the high byte.
        Options: 1 << 24,
        Pad: 0,
        FileAttributes: 0x80,
        ShareAccess: u16::try_from(options.share & 0xFFFF).unwrap_or(0),
        Pad2: 0,
        EaLength: 0,
    };
    let context = Carried(security);
    let kept = Arc::clone(&file);
    let done = Box::new(move |i: *mut IRP| {
        // SAFETY: the I/O manager hands the completed IRP over; the context is this closure's.
        let code = unsafe {
            let code = (*i).IoStatus.Status;
            irp::free_irp(i);
            pool::free_lab(context.get().cast());
            code
        };
        if nt_success(code) {
            let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
            files.retain(|f| f.strong_count() != 0);
            files.push(Arc::downgrade(&kept));
            drop(files);
            opened(code, Some(kept));
        } else {
            kept.discard();
            opened(code, None);
        }
    });
    // SAFETY: top is a live device; the IRP is fresh and has a location for each device of the stack.
    unsafe {
        let i = irp::allocate_irp_with((*top).StackSize, done);
        file.address(i, mj::CREATE);
        (*irp::next_stack(i)).Parameters.Create = create;
        (*i).Flags = crate::nt::irp_flags::CREATE_OPERATION | crate::nt::irp_flags::SYNCHRONOUS_API;
        irp::call_driver(top, i);
    }
}

/// Rights to read data.
pub(super) const READ: u32 = 0x0001;
/// Rights to write data.
pub(super) const WRITE: u32 = 0x0002;

/// Whether an access mask, with its generic rights, grants `right`.
pub(super) const fn may(access: u32, right: u32) -> bool {
    const GENERIC_ALL: u32 = 0x1000_0000;
    const GENERIC_WRITE: u32 = 0x4000_0000;
    const GENERIC_READ: u32 = 0x8000_0000;
    const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
    let mut rights = access;
    if access & (GENERIC_ALL | MAXIMUM_ALLOWED) != 0 {
        rights |= READ | WRITE;
    }
    if access & GENERIC_READ != 0 {
        rights |= READ;
    }
    if access & GENERIC_WRITE != 0 {
        rights |= WRITE;
    }
    rights & right == right
}

impl OpenFile {
    fn requests(&self) -> MutexGuard<'_, Vec<Arc<Request>>> {
        self.outstanding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills in whom an IRP is for.
    ///
    /// # Safety
    /// `i` is fresh.
    pub(super) unsafe fn address(&self, i: *mut IRP, major: u8) {
        // SAFETY: as our caller promises.
        unsafe {
            (*i).RequestorMode = 1;
            (*i).Tail.Thread = (ke::thread_id() << 4) as *mut _;
            (*i).Tail.OriginalFileObject = self.object;
            let s = irp::next_stack(i);
            (*s).MajorFunction = major;
            (*s).FileObject = self.object;
        }
    }

    pub(super) fn begin(&self, r: &Arc<Request>) {
        self.requests().push(Arc::clone(r));
    }

    pub(super) fn end(&self, r: &Arc<Request>) {
        let mut q = self.requests();
        if let Some(i) = q.iter().position(|o| Arc::ptr_eq(o, r)) {
            q.swap_remove(i);
        }
        if q.is_empty() {
            self.ended.notify_all();
        }
    }

    /// A synchronous request without parameters: cleanup and close.
    fn simple(&self, major: u8) -> NTSTATUS {
        let (sender, receiver) = sync_channel(1);
        let done = Box::new(move |i: *mut IRP| {
            // SAFETY: the I/O manager hands the completed IRP over.
            let code = unsafe {
                let code = (*i).IoStatus.Status;
                irp::free_irp(i);
                code
            };
            // The receiver waits for as long as it takes.
            let _ = sender.send(code);
        });
        // SAFETY: the device lives while the file references it; the IRP is fresh.
        unsafe {
            let i = irp::allocate_irp_with((*self.top).StackSize, done);
            self.address(i, major);
            (*i).Flags = crate::nt::irp_flags::CLOSE_OPERATION | crate::nt::irp_flags::SYNCHRONOUS_API;
            irp::call_driver(self.top, i);
        }
        irp::await_status(&receiver, &format!("IRP_MJ {major}"))
    }

    /// Closes the last handle: cleanup, cancellation of what is outstanding and its end, close. Blocks; at PASSIVE_LEVEL.
    pub fn close(self: &Arc<Self>) {
        FILES.lock().unwrap_or_else(PoisonError::into_inner).retain(|f| !std::ptr::eq(f.as_ptr(), Arc::as_ptr(self)));
        let code = self.simple(mj::CLEANUP);
        if !nt_success(code) {
            record(CLOSE_FAILED, &format!("IRP_MJ_CLEANUP ended with {code:#010x}"));
        }
        let left: Vec<Arc<Request>> = self.requests().clone();
        for r in left {
            r.cancel();
        }
        let patience = irp::patience(PATIENCE);
        let mut q = self.requests();
        while !q.is_empty() {
            let (guard, late) = self.ended.wait_timeout(&self.outstanding, q, patience);
            q = guard;
            if late && !q.is_empty() {
                record(STUCK, &format!("{} request(s) of a closed file still outstanding after {patience:?}", q.len()));
                return;
            }
        }
        drop(q);
        let code = self.simple(mj::CLOSE);
        if !nt_success(code) {
            record(CLOSE_FAILED, &format!("IRP_MJ_CLOSE ended with {code:#010x}"));
        }
        self.discard();
    }

    fn discard(&self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: nothing uses the file object any more; the reference to the device was the file's.
        unsafe {
            pool::free_lab(self.object.cast());
            device::release(self.named);
        }
    }

    /// The path behind the device's name.
    #[must_use]
    pub fn name(&self) -> String {
        let mut n = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the string borrows the units that the lock guards.
        unsafe { n.unicode().to_string_lossy() }
    }
}

/// What is called when a request is complete.
pub type Completed = Box<dyn FnOnce(Outcome) + Send>;
