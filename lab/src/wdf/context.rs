//! Context spaces: typed memory attached to objects, and the callbacks given with them.
//!
//! An object has a list of contexts that only grows while it lives, so a lookup walks it without a lock. The space lies
//! directly behind its header, which is how WdfObjectContextGetObject finds the way back.

use super::abi::{ContextTypeInfo, HandleCallback, NtStatus, SUCCESS};
use super::attributes::Attributes;
use super::object::{self, Ref};
use crate::report::{Rule, stop};
use crate::{objects, pool};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

const WRONG_CONTEXT_TYPE: Rule = Rule::new(
    "wdf.wrong-context-type",
    "WDK: WDF_DECLARE_CONTEXT_TYPE_WITH_NAME; the object has no context of that type",
);
const BAD_CONTEXT: Rule =
    Rule::new("wdf.bad-context", "WDK: WdfObjectContextGetObject (takes the address of a context space)");

static CONTEXTS: objects::Kind = objects::Kind::of_lab("wdf.context");

const MAGIC: usize = 0x5764_6643_6f6e_7478;
const DEAD: usize = 0x4465_6164_436f_6e74;

/// In front of each context space.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct ContextHeader {
    magic: AtomicUsize,
    owner: Ref,
    next: AtomicPtr<ContextHeader>,
    unique: *const ContextTypeInfo,
    evt_cleanup: AtomicUsize,
    evt_destroy: AtomicUsize,
    size: usize,
    pad: usize,
}

const _: () = assert!(size_of::<ContextHeader>() == 64);

fn callback(of: Option<HandleCallback>) -> AtomicUsize {
    AtomicUsize::new(of.map_or(0, |f| f as usize))
}

fn call(cell: &AtomicUsize, o: Ref) {
    let f = cell.swap(0, Ordering::AcqRel);
    if f != 0 {
        // SAFETY: `callback` stored a function pointer of this very type.
        let f: HandleCallback = unsafe { std::mem::transmute::<usize, HandleCallback>(f) };
        // SAFETY: the driver's callback, with the handle of the object it was given for.
        unsafe { f(o.handle()) }
    }
}

fn allocate(o: Ref, a: &Attributes) -> *mut ContextHeader {
    let p = pool::alloc_lab_zeroed(&CONTEXTS, size_of::<ContextHeader>() + a.context_size).cast::<ContextHeader>();
    // SAFETY: fresh memory of at least a header's size, 16-byte aligned.
    unsafe {
        p.write(ContextHeader {
            magic: AtomicUsize::new(MAGIC),
            owner: o,
            next: AtomicPtr::new(ptr::null_mut()),
            unique: a.context_type,
            evt_cleanup: callback(a.evt_cleanup),
            evt_destroy: callback(a.evt_destroy),
            size: a.context_size,
            pad: 0,
        });
    }
    p
}

fn body_of(h: *mut ContextHeader) -> *mut u8 {
    // The space begins where the header ends, inside the same allocation.
    h.wrapping_add(1).cast()
}

fn each(o: Ref, mut f: impl FnMut(&ContextHeader)) {
    let mut at = o.contexts().load(Ordering::Acquire);
    // SAFETY: headers live until `destroy_all`, which runs after the last reference is gone.
    while let Some(h) = unsafe { at.as_ref() } {
        f(h);
        at = h.next.load(Ordering::Acquire);
    }
}

/// Attaches the context and callbacks of a create call. The object is not published yet.
pub(super) fn attach_first(o: Ref, a: &Attributes) {
    if !a.context_type.is_null() || a.evt_cleanup.is_some() || a.evt_destroy.is_some() {
        o.contexts().store(allocate(o, a), Ordering::Release);
    }
}

/// Drops the callbacks of an object whose creation failed.
pub(super) fn forget_callbacks(o: Ref) {
    each(o, |h| {
        h.evt_cleanup.store(0, Ordering::Release);
        h.evt_destroy.store(0, Ordering::Release);
    });
}

/// EvtCleanupCallback of each context.
pub(super) fn cleanup_all(o: Ref) {
    each(o, |h| call(&h.evt_cleanup, o));
}

/// EvtDestroyCallback of each context, then their memory.
pub(super) fn destroy_all(o: Ref) {
    each(o, |h| call(&h.evt_destroy, o));
    let mut at = o.contexts().swap(ptr::null_mut(), Ordering::AcqRel);
    while !at.is_null() {
        // SAFETY: the list is this thread's alone now.
        let next = unsafe {
            (*at).magic.store(DEAD, Ordering::Release);
            (*at).next.load(Ordering::Acquire)
        };
        // SAFETY: from `allocate`; the object is destroyed.
        unsafe { pool::free_lab(at.cast()) };
        at = next;
    }
}

/// The context of `o` of this (unique) type, if it has one.
#[must_use]
pub fn find(o: Ref, unique: *const ContextTypeInfo) -> Option<*mut u8> {
    let mut at = o.contexts().load(Ordering::Acquire);
    // SAFETY: as in `each`.
    while let Some(h) = unsafe { at.as_ref() } {
        if ptr::eq(h.unique, unique) {
            return Some(body_of(at));
        }
        at = h.next.load(Ordering::Acquire);
    }
    None
}

/// WdfObjectGetTypedContextWorker: stops where the object has no context of the type.
///
/// # Safety
/// `info` is the driver's pointer to a WDF_OBJECT_CONTEXT_TYPE_INFO.
#[must_use]
pub unsafe fn get(o: Ref, info: *const ContextTypeInfo) -> *mut u8 {
    // SAFETY: by contract.
    let unique = unsafe { (*info).unique };
    match find(o, unique) {
        Some(p) => p,
        None => {
            // SAFETY: by contract.
            let name = unsafe { type_name(info) };
            stop(WRONG_CONTEXT_TYPE, &format!("{o:?} has no context {name}"))
        }
    }
}

/// ContextName of a type.
///
/// # Safety
/// `info` is null or a driver's static type record.
#[must_use]
pub unsafe fn type_name(info: *const ContextTypeInfo) -> String {
    // SAFETY: by contract; the name is NUL-terminated.
    unsafe {
        match info.as_ref() {
            Some(i) if !i.name.is_null() => std::ffi::CStr::from_ptr(i.name.cast()).to_string_lossy().into_owned(),
            _ => "(unnamed)".to_owned(),
        }
    }
}

/// WdfObjectAllocateContext: adds a context, or gives the one there is with STATUS_OBJECT_NAME_EXISTS.
pub fn add(o: Ref, a: &Attributes) -> (NtStatus, *mut u8) {
    if let Some(p) = find(o, a.context_type) {
        return (super::abi::OBJECT_NAME_EXISTS, p);
    }
    let new = allocate(o, a);
    let mut link = o.contexts();
    loop {
        match link.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return (SUCCESS, body_of(new)),
            Err(there) => {
                // SAFETY: as in `each`; a non-null link is a header.
                let h = unsafe { &*there };
                if ptr::eq(h.unique, a.context_type) {
                    // SAFETY: from `allocate`, never published.
                    unsafe { pool::free_lab(new.cast()) };
                    return (super::abi::OBJECT_NAME_EXISTS, body_of(there));
                }
                link = &h.next;
            }
        }
    }
}

/// WdfObjectContextGetObject.
///
/// # Safety
/// `context` is the driver's claim of a context space: 64 readable bytes lie before it.
#[must_use]
pub unsafe fn owner(context: *mut u8) -> Ref {
    let h = context.wrapping_sub(size_of::<ContextHeader>()).cast::<ContextHeader>();
    if !h.is_aligned() {
        stop(BAD_CONTEXT, &format!("{context:p} is not aligned like a context"));
    }
    // SAFETY: by contract.
    let h = unsafe { &*h };
    match h.magic.load(Ordering::Acquire) {
        MAGIC => object::any(h.owner.handle()),
        DEAD => stop(BAD_CONTEXT, &format!("{context:p} is the context of a destroyed object")),
        _ => stop(BAD_CONTEXT, &format!("{context:p} is not a context space")),
    }
}
