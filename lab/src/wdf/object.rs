//! Framework objects: handles, the tree, reference counts, deletion.
//!
//! A handle is the address of a slot in a region that is never unmapped, plus a tag of eight bits that changes whenever the
//! slot is freed. So any value a driver may pass is judged by a range check, a tag and a type, without a lock and without
//! touching memory that is not the lab's. Freed slots go through a long queue before they are used again.
//!
//! Deletion follows the documentation of EvtCleanupCallback and EvtDestroyCallback: cleanup of the whole subtree, children
//! first; then references are given back, children first; destroy of an object when its count reaches zero. An object holds
//! a reference on its parent until it is destroyed.

use super::abi::{DELETE_PENDING, Handle, NtStatus};
use super::attributes::Attributes;
use super::context::ContextHeader;
use super::worker;
use crate::irql;
use crate::objects;
use crate::report::{Origin, Rule, record, stop};
use std::any::Any;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

const BAD_HANDLE: Rule = Rule::new("wdf.bad-handle", "WDK: Framework Object Handles; WDF_VIOLATION (0x10D) code 5");
const USE_AFTER_DELETE: Rule = Rule::new("wdf.use-after-delete", "WDK: Framework Object Life Cycle");
const WRONG_TYPE: Rule = Rule::new("wdf.wrong-type", "WDF_VIOLATION (0x10D) code 5: a handle of an incorrect type");
const NOT_DELETABLE: Rule =
    Rule::new("wdf.not-deletable", "WDK: WdfObjectDelete (some object types may not be deleted by a driver)");
const BAD_DEREFERENCE: Rule =
    Rule::new("wdf.bad-dereference", "WDK: WdfObjectDereference (only after WdfObjectReference)");
const LEAK: Rule = Rule::new(
    "wdf.object-leak",
    "WDK: Framework Object Life Cycle; all objects must be gone when the driver is unloaded",
);

/// What all objects of one type have in common. Declare one `static` per type; identity is by address.
#[derive(Debug)]
pub struct Kind {
    /// `WDFDEVICE`, `NETADAPTER`, ...
    pub name: &'static str,
    /// Whether the driver may call WdfObjectDelete on it.
    pub driver_may_delete: bool,
    /// Whether its EvtCleanupCallback is promised PASSIVE_LEVEL.
    pub passive_cleanup: bool,
    /// Whether WDF_OBJECT_ATTRIBUTES may give an execution level and a synchronization scope.
    pub takes_levels: bool,
    counter: objects::Kind,
}

impl Kind {
    /// A type; the flags are in the fields' order.
    #[must_use]
    pub const fn new(name: &'static str, driver_may_delete: bool, passive_cleanup: bool, takes_levels: bool) -> Self {
        Self { name, driver_may_delete, passive_cleanup, takes_levels, counter: objects::Kind::of_lab(name) }
    }
}

/// The framework's own part of an object. `dispose` runs once at deletion, before the driver's EvtCleanupCallback (stop
/// timers, wait for callbacks …); `destroy` once, after EvtDestroyCallback.
pub trait Body: Any + Send + Sync {
    /// Called once when the object is deleted, at PASSIVE_LEVEL if the kind promises it.
    fn dispose(&self, _me: Ref) {}
    /// Called once when the last reference is gone.
    fn destroy(&self, _me: Ref) {}
}

/// A body for objects that need none.
#[derive(Debug, Default)]
pub struct Plain;
impl Body for Plain {}

const FREE: u8 = 0;
const LIVE: u8 = 1;
const DELETING: u8 = 2;
const DELETED: u8 = 3;
const DESTROYING: u8 = 4;

const SLOT: usize = 256;
const REGION: usize = 1 << 30;
const QUARANTINE: usize = 4096;

/// A reference to a slot. It stays valid memory for ever; whether it still is the same object is what handles tell.
pub type Ref = &'static Object;

/// One framework object.
#[repr(C, align(256))]
pub struct Object {
    tag: AtomicU8,
    phase: AtomicU8,
    execution: AtomicU8,
    synchronization: AtomicU8,
    refs: AtomicI32,
    kind: AtomicPtr<Kind>,
    parent: AtomicPtr<Object>,
    contexts: AtomicPtr<ContextHeader>,
    children: Mutex<Vec<Ref>>,
    origin: UnsafeCell<Origin>,
    body: UnsafeCell<Option<Box<dyn Body>>>,
}

// SAFETY: the two cells are written only between taking a slot from the free queue and publishing its handle, and read after.
unsafe impl Sync for Object {}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:#x} (created in {})", self.kind_name(), self.handle(), self.origin())
    }
}

struct Region {
    base: usize,
    used: AtomicUsize,
    free: Mutex<VecDeque<Ref>>,
}

static REGION_CELL: OnceLock<Region> = OnceLock::new();

/// Locks, whatever a panicking thread left behind: the lab's data stays consistent between statements.
pub fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn region() -> &'static Region {
    REGION_CELL.get_or_init(|| {
        // SAFETY: a fresh anonymous mapping; nothing else knows it.
        let p = unsafe {
            libc::mmap(
                ptr::null_mut(),
                REGION,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if p == libc::MAP_FAILED {
            stop(BAD_HANDLE, "the lab could not reserve its object region");
        }
        Region { base: p.addr(), used: AtomicUsize::new(0), free: Mutex::new(VecDeque::new()) }
    })
}

fn take_slot() -> Ref {
    let r = region();
    {
        let mut free = lock(&r.free);
        if free.len() > QUARANTINE
            && let Some(o) = free.pop_front()
        {
            return o;
        }
    }
    let at = r.used.fetch_add(SLOT, Ordering::AcqRel);
    if at + SLOT > REGION {
        stop(BAD_HANDLE, "more framework objects than the lab can hold");
    }
    let p = (r.base + at) as *mut Object;
    // SAFETY: [at, at + SLOT) of the region belongs to this call alone; the region is page-aligned, never unmapped.
    unsafe {
        p.write(Object {
            tag: AtomicU8::new(1),
            phase: AtomicU8::new(FREE),
            execution: AtomicU8::new(0),
            synchronization: AtomicU8::new(0),
            refs: AtomicI32::new(0),
            kind: AtomicPtr::new(ptr::null_mut()),
            parent: AtomicPtr::new(ptr::null_mut()),
            contexts: AtomicPtr::new(ptr::null_mut()),
            children: Mutex::new(Vec::new()),
            origin: UnsafeCell::new(Origin::NONE),
            body: UnsafeCell::new(None),
        });
        &*p
    }
}

impl Object {
    /// The value the driver holds.
    #[must_use]
    pub fn handle(&self) -> Handle {
        ptr::from_ref(self).addr() | usize::from(self.tag.load(Ordering::Relaxed))
    }

    /// The object's type.
    #[must_use]
    pub fn kind(&self) -> Option<&'static Kind> {
        let k = self.kind.load(Ordering::Acquire);
        // SAFETY: `create` stored the address of a `&'static Kind`, or it is null.
        unsafe { k.as_ref() }
    }

    /// Name of the object's type.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        self.kind().map_or("(free)", |k| k.name)
    }

    /// Whether the object is of this type.
    #[must_use]
    pub fn is(&self, kind: &'static Kind) -> bool {
        ptr::eq(self.kind.load(Ordering::Relaxed), kind)
    }

    /// The framework's part of the object. Stops the lab where the body is of another type: that is the lab's own fault.
    #[must_use]
    pub fn body<T: Body>(&'static self) -> &'static T {
        // SAFETY: the body is set before the handle is published and replaced only after the slot has left quarantine.
        let b = unsafe { &*self.body.get() };
        match b.as_deref().and_then(|b| (b as &dyn Any).downcast_ref::<T>()) {
            Some(t) => t,
            None => stop(WRONG_TYPE, &format!("the lab asked a {} for another type's body", self.kind_name())),
        }
    }

    /// The parent, if any.
    #[must_use]
    pub fn parent(&self) -> Option<Ref> {
        // SAFETY: null or the address of a slot, which is never unmapped.
        unsafe { self.parent.load(Ordering::Acquire).cast_const().as_ref() }
    }

    /// The nearest ancestor of this type (the object itself counts).
    #[must_use]
    pub fn ancestor(&'static self, kind: &'static Kind) -> Option<Ref> {
        let mut at = Some(self);
        while let Some(o) = at {
            if o.is(kind) {
                return Some(o);
            }
            at = o.parent();
        }
        None
    }

    /// Whether deletion has begun.
    #[must_use]
    pub fn deleting(&self) -> bool {
        self.phase.load(Ordering::Acquire) != LIVE
    }

    /// Who allocated the object, also once it is gone and until its slot is used again.
    fn origin(&self) -> Origin {
        // SAFETY: written before the handle is published; the slot is used again only after a long quarantine.
        unsafe { *self.origin.get() }
    }

    /// A copy of the list of children.
    #[must_use]
    pub fn children(&self) -> Vec<Ref> {
        lock(&self.children).clone()
    }

    /// Effective WDF_EXECUTION_LEVEL (2 passive, 3 dispatch), inherited already.
    #[must_use]
    pub fn execution(&self) -> u8 {
        self.execution.load(Ordering::Relaxed)
    }

    /// Effective WDF_SYNCHRONIZATION_SCOPE (2 device, 3 queue, 4 none), inherited already.
    #[must_use]
    pub fn synchronization(&self) -> u8 {
        self.synchronization.load(Ordering::Relaxed)
    }

    /// First of the object's contexts (see `context`).
    pub(super) fn contexts(&self) -> &AtomicPtr<ContextHeader> {
        &self.contexts
    }

    /// Number of references; 1 where there is only that of its creation.
    #[must_use]
    pub fn references(&self) -> i32 {
        self.refs.load(Ordering::Acquire)
    }

    /// Takes a reference.
    pub fn reference(&self) {
        self.refs.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a reference back; destroys the object with the last one.
    pub fn dereference(&'static self) {
        let before = self.refs.fetch_sub(1, Ordering::AcqRel);
        if before <= 0 {
            stop(BAD_DEREFERENCE, &format!("{self:?} had no reference left"));
        }
        if before == 1 {
            if self.phase.load(Ordering::Acquire) != DELETED {
                stop(
                    BAD_DEREFERENCE,
                    &format!(
                        "{self:?} lost its last reference without being deleted: the driver dereferenced more than it referenced"
                    ),
                );
            }
            self.destroy();
        }
    }

    fn destroy(&'static self) {
        self.phase.store(DESTROYING, Ordering::Release);
        super::context::destroy_all(self);
        // SAFETY: as in `body`.
        if let Some(b) = unsafe { &*self.body.get() } {
            b.destroy(self);
        }
        let parent = self.parent.swap(ptr::null_mut(), Ordering::AcqRel);
        if let Some(k) = self.kind() {
            k.counter.remove();
        }
        let tag = self.tag.load(Ordering::Relaxed);
        self.phase.store(FREE, Ordering::Release);
        self.tag.store(if tag == u8::MAX { 1 } else { tag + 1 }, Ordering::Release);
        lock(&region().free).push_back(self);
        // SAFETY: null or a slot; this object held a reference on its parent until here.
        if let Some(p) = unsafe { parent.cast_const().as_ref() } {
            p.dereference();
        }
    }

    fn unlink(&'static self) {
        if let Some(p) = self.parent() {
            let mut c = lock(&p.children);
            if let Some(i) = c.iter().rposition(|x| ptr::eq(*x, self)) {
                c.remove(i);
            }
        }
    }

    fn claim_for_deletion(&self) -> bool {
        self.phase.compare_exchange(LIVE, DELETING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn needs_passive(&'static self) -> bool {
        self.kind().is_some_and(|k| k.passive_cleanup) || self.children().iter().any(|c| c.needs_passive())
    }
}

/// Reports the objects that still live, in one violation: what a reference keeps, keeps its ancestors. The driver is unloaded now.
/// Returns their number.
pub fn report_leaks() -> usize {
    let r = region();
    let end = r.used.load(Ordering::Acquire).min(REGION);
    let left: Vec<String> = (0..end)
        .step_by(SLOT)
        // SAFETY: slots below `used` have been initialised (no object is being created while the driver is unloaded).
        .map(|at| unsafe { &*((r.base + at) as *const Object) })
        .filter(|o| o.phase.load(Ordering::Acquire) != FREE)
        .map(|o: Ref| format!("{o:?}, {} reference(s)", o.references()))
        .collect();
    if !left.is_empty() {
        record(LEAK, &left.join("; "));
    }
    left.len()
}

/// Creates an object.
///
/// `parent` is the parent in effect (the caller has applied its type's rules to `attributes.parent`); `None` only for the
/// driver object and in tests. Levels are inherited from the parent unless `attributes` gives them.
///
/// # Errors
/// STATUS_DELETE_PENDING when the parent is being deleted.
pub fn create(
    kind: &'static Kind,
    attributes: &Attributes,
    parent: Option<Ref>,
    body: Box<dyn Body>,
) -> Result<Ref, NtStatus> {
    let o = take_slot();
    let inherit = |own: u8, from: fn(&Object) -> u8, root: u8| {
        if own > 1 { own } else { parent.map_or(root, from) }
    };
    o.execution.store(inherit(attributes.execution, Object::execution, 3), Ordering::Relaxed);
    o.synchronization.store(inherit(attributes.synchronization, Object::synchronization, 4), Ordering::Relaxed);
    o.kind.store(ptr::from_ref(kind).cast_mut(), Ordering::Relaxed);
    o.refs.store(1, Ordering::Relaxed);
    o.contexts.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: the slot is this call's alone; its handle has not been published.
    let old = unsafe {
        *o.origin.get() = Origin::here();
        (*o.body.get()).replace(body)
    };
    drop(old);
    super::context::attach_first(o, attributes);
    o.phase.store(LIVE, Ordering::Release);
    kind.counter.add();
    if let Some(p) = parent {
        let mut c = lock(&p.children);
        if p.phase.load(Ordering::Acquire) != LIVE {
            drop(c);
            abandon(o);
            return Err(DELETE_PENDING);
        }
        p.reference();
        o.parent.store(ptr::from_ref(p).cast_mut(), Ordering::Release);
        c.push(o);
    }
    Ok(o)
}

/// Ends an object whose creation failed half-way: no callbacks.
fn abandon(o: Ref) {
    super::context::forget_callbacks(o);
    o.phase.store(DELETED, Ordering::Release);
    o.dereference();
}

fn slot_of(handle: Handle) -> Option<Ref> {
    let r = region();
    let at = handle.wrapping_sub(r.base);
    if at >= r.used.load(Ordering::Acquire) || handle & (SLOT - 1) == 0 {
        return None;
    }
    // SAFETY: inside the initialised part of the region, rounded down to a slot.
    Some(unsafe { &*((handle & !(SLOT - 1)) as *const Object) })
}

/// The object of a handle, if the handle is one and the object is not destroyed. For internal use: no violation.
#[must_use]
pub fn find(handle: Handle) -> Option<Ref> {
    let o = slot_of(handle)?;
    (usize::from(o.tag.load(Ordering::Acquire)) == handle & (SLOT - 1) && o.phase.load(Ordering::Acquire) != FREE)
        .then_some(o)
}

/// What a driver's value is.
#[derive(Debug, Clone, Copy)]
pub enum Judged {
    /// A handle of an object that is not destroyed.
    Object(Ref),
    /// A handle of a destroyed object; the slot, whose kind is the last object's in it.
    Stale(Ref),
    /// No handle at all.
    Garbage,
}

/// Judges a driver's value.
#[must_use]
pub fn judge(handle: Handle) -> Judged {
    match (find(handle), slot_of(handle)) {
        (Some(o), _) => Judged::Object(o),
        (None, Some(slot)) => Judged::Stale(slot),
        (None, None) => Judged::Garbage,
    }
}

/// The object of a handle of any type that has not been destroyed (a deleted object with references left is one).
/// Stops with `wdf.bad-handle` or `wdf.use-after-delete`.
#[must_use]
pub fn any(handle: Handle) -> Ref {
    if let Some(o) = slot_of(handle) {
        if usize::from(o.tag.load(Ordering::Acquire)) == handle & (SLOT - 1) && o.phase.load(Ordering::Acquire) != FREE
        {
            return o;
        }
        stop(
            USE_AFTER_DELETE,
            &format!("handle {handle:#x} was of an object that is destroyed; its slot was last of {o:?}"),
        );
    }
    stop(BAD_HANDLE, &format!("{handle:#x} is not a framework handle"))
}

/// The object of a handle of type `kind` that is not yet deleted (its EvtCleanupCallback may be running).
/// Stops with `wdf.bad-handle`, `wdf.use-after-delete` or `wdf.wrong-type`.
#[must_use]
pub fn expect(handle: Handle, kind: &'static Kind) -> Ref {
    let o = any(handle);
    if !o.is(kind) {
        stop(WRONG_TYPE, &format!("expected a {}, came {o:?}", kind.name));
    }
    if o.phase.load(Ordering::Acquire) >= DELETED {
        stop(USE_AFTER_DELETE, &format!("{o:?} is deleted and only kept by a reference"));
    }
    o
}

/// As [`expect`], but a deleted object that references keep is accepted (getters, destroy callbacks).
#[must_use]
pub fn expect_kept(handle: Handle, kind: &'static Kind) -> Ref {
    let o = any(handle);
    if !o.is(kind) {
        stop(WRONG_TYPE, &format!("expected a {}, came {o:?}", kind.name));
    }
    o
}

/// Deletes an object and its subtree on the framework's behalf. Returns before cleanup has run only when some object of the
/// subtree wants PASSIVE_LEVEL and the caller is above it.
pub fn delete(o: Ref) {
    if !o.claim_for_deletion() {
        stop(USE_AFTER_DELETE, &format!("{o:?} is deleted twice"));
    }
    delete_claimed(o);
}

fn delete_claimed(o: Ref) {
    if irql::current() > irql::PASSIVE && o.needs_passive() {
        worker::run(move || {
            finish(o);
        });
    } else {
        finish(o);
    }
}

/// Deletes on the framework's behalf unless deletion has begun already. True when this call began it.
pub fn delete_if_live(o: Ref) -> bool {
    let mine = o.claim_for_deletion();
    if mine {
        delete_claimed(o);
    }
    mine
}

/// Deletes on the framework's behalf and runs `between` after the cleanup callbacks and before any destroy callback: how a
/// request is deleted around the completion of its IRP.
pub fn delete_around(o: Ref, between: impl FnOnce() + Send + 'static) {
    if !o.claim_for_deletion() {
        stop(USE_AFTER_DELETE, &format!("{o:?} is deleted twice"));
    }
    let work = move || {
        o.unlink();
        dispose(o);
        between();
        release(o);
    };
    if irql::current() > irql::PASSIVE && o.needs_passive() { worker::run(work) } else { work() }
}

fn finish(o: Ref) {
    o.unlink();
    dispose(o);
    release(o);
}

/// Cleanup of the subtree, children first. The caller has claimed `o`.
fn dispose(o: Ref) {
    // Children created from now on are refused: the phase is DELETING. Those that another thread deletes leave the list here
    // and are released there.
    let mine: Vec<Ref> = {
        let mut c = lock(&o.children);
        c.retain(|c| c.claim_for_deletion());
        c.clone()
    };
    for c in mine.into_iter().rev() {
        dispose(c);
    }
    // SAFETY: as in `Object::body`.
    if let Some(b) = unsafe { &*o.body.get() } {
        b.dispose(o);
    }
    super::context::cleanup_all(o);
    o.phase.store(DELETED, Ordering::Release);
}

/// Gives the creation references of the subtree back, children first.
fn release(o: Ref) {
    let children = std::mem::take(&mut *lock(&o.children));
    for c in children.into_iter().rev() {
        release(c);
    }
    o.dereference();
}

/// WdfObjectDelete.
pub fn driver_delete(handle: Handle) {
    let o = any(handle);
    if o.kind().is_some_and(|k| !k.driver_may_delete) {
        stop(NOT_DELETABLE, &format!("{o:?}"));
    }
    if !o.claim_for_deletion() {
        stop(USE_AFTER_DELETE, &format!("{o:?} is deleted already"));
    }
    delete_claimed(o);
}
