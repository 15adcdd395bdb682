//! Interlocked lists and lookaside lists.
//!
//! Lookaside lists are given a depth of zero, so that every block goes back to the pool and the pool's checks see it.

use super::pools;
use crate::Export;
use crate::irql::{self, DISPATCH};
use crate::ke::spin::{self, Spinner};
use crate::nt::{KSPIN_LOCK, LIST_ENTRY, NPAGED_LOOKASIDE_LIST, NTSTATUS, SLIST_ENTRY, SLIST_HEADER, status};
use crate::objects::Kind;
use crate::report::{InCall, Origin, Rule, record_about, stop_about};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

const UNALIGNED: Rule =
    Rule::new("slist.unaligned", "WDK: SLIST_HEADER and SLIST_ENTRY are 16-byte aligned on 64-bit Windows");
const NOT_INIT: Rule = Rule::new("lookaside.not-initialized", "WDK: ExInitializeNPagedLookasideList must come first");

static LOOKASIDES: Kind = Kind::new("ex.lookaside").described(initialised);
/// Lookaside lists that are initialised and not deleted, and by whom.
static LISTS: Mutex<BTreeMap<usize, Origin>> = Mutex::new(BTreeMap::new());

fn lists() -> MutexGuard<'static, BTreeMap<usize, Origin>> {
    LISTS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn initialised() -> Vec<String> {
    lists().iter().map(|(at, by)| format!("lookaside list {at:#x}, initialised by {by}")).collect()
}

/// `HeaderX64.Reserved`, bit 0: this lab's lock on the header.
const LOCKED: u64 = 1;

/// Runs `f` on the first entry and the depth, both of which it may change, under the header's lock bit.
fn with<R>(head: &SLIST_HEADER, f: impl FnOnce(&mut *mut SLIST_ENTRY, &mut u16) -> R) -> R {
    if !std::ptr::from_ref(head).addr().is_multiple_of(16) {
        stop_about(UNALIGNED, std::ptr::from_ref(head).addr(), &format!("header {head:p}"));
    }
    let old = irql::raise(irql::current().max(DISPATCH));
    let mut s = Spinner::new();
    let region = loop {
        let v = head.Region.load(Ordering::Relaxed);
        if v & LOCKED == 0
            && head.Region.compare_exchange_weak(v, v | LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        {
            break v;
        }
        s.spin();
    };
    let alignment = head.Alignment.load(Ordering::Relaxed);
    let mut first = (region & !0xF) as *mut SLIST_ENTRY;
    let mut depth = u16::try_from(alignment & 0xFFFF).unwrap_or(0);
    let r = f(&mut first, &mut depth);
    let sequence = (alignment >> 16).wrapping_add(1);
    head.Alignment.store(sequence << 16 | u64::from(depth), Ordering::Relaxed);
    head.Region.store(first as u64, Ordering::Release);
    irql::lower(old);
    r
}

extern "win64" fn initialize_slist(head: &SLIST_HEADER) {
    head.Alignment.store(0, Ordering::Relaxed);
    head.Region.store(0, Ordering::Relaxed);
}

extern "win64" fn push_slist(head: &SLIST_HEADER, entry: *mut SLIST_ENTRY) -> *mut SLIST_ENTRY {
    let _c = InCall::enter("ExpInterlockedPushEntrySList");
    if entry.is_null() || !entry.addr().is_multiple_of(16) {
        stop_about(UNALIGNED, entry.addr(), &format!("entry {entry:p}"));
    }
    with(head, |first, depth| {
        let old = *first;
        // SAFETY: the driver passes an entry that it owns.
        unsafe { (*entry).Next = old };
        *first = entry;
        *depth = depth.wrapping_add(1);
        old
    })
}

extern "win64" fn pop_slist(head: &SLIST_HEADER) -> *mut SLIST_ENTRY {
    let _c = InCall::enter("ExpInterlockedPopEntrySList");
    with(head, |first, depth| {
        let e = *first;
        // SAFETY: entries on the list are valid: the driver pushed them.
        if let Some(entry) = unsafe { e.as_ref() } {
            *first = entry.Next;
            *depth = depth.wrapping_sub(1);
        }
        e
    })
}

extern "win64" fn flush_slist(head: &SLIST_HEADER) -> *mut SLIST_ENTRY {
    let _c = InCall::enter("ExpInterlockedFlushSList");
    with(head, |first, depth| {
        *depth = 0;
        std::mem::replace(first, std::ptr::null_mut())
    })
}

extern "win64" fn depth_slist(head: &SLIST_HEADER) -> u16 {
    u16::try_from(head.Alignment.load(Ordering::Relaxed) & 0xFFFF).unwrap_or(0)
}

/// # Safety
/// The list is consistent and the lock is its lock.
unsafe fn interlocked<R>(lock: &KSPIN_LOCK, f: impl FnOnce() -> R) -> R {
    let old = irql::raise(irql::current().max(DISPATCH));
    spin::acquire(lock);
    let r = f();
    spin::release(lock);
    irql::lower(old);
    r
}

extern "win64" fn insert_head(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, lock: &KSPIN_LOCK) -> *mut LIST_ENTRY {
    let _c = InCall::enter("ExInterlockedInsertHeadList");
    // SAFETY: the driver passes its list, its lock and an entry that it owns.
    unsafe {
        interlocked(lock, || {
            let first = (*head).Flink;
            *entry = LIST_ENTRY { Flink: first, Blink: head };
            (*first).Blink = entry;
            (*head).Flink = entry;
            if std::ptr::eq(first, head) { std::ptr::null_mut() } else { first }
        })
    }
}

extern "win64" fn insert_tail(head: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, lock: &KSPIN_LOCK) -> *mut LIST_ENTRY {
    let _c = InCall::enter("ExInterlockedInsertTailList");
    // SAFETY: as above.
    unsafe {
        interlocked(lock, || {
            let last = (*head).Blink;
            *entry = LIST_ENTRY { Flink: head, Blink: last };
            (*last).Flink = entry;
            (*head).Blink = entry;
            if std::ptr::eq(last, head) { std::ptr::null_mut() } else { last }
        })
    }
}

extern "win64" fn remove_head(head: *mut LIST_ENTRY, lock: &KSPIN_LOCK) -> *mut LIST_ENTRY {
    let _c = InCall::enter("ExInterlockedRemoveHeadList");
    // SAFETY: the driver passes its list and its lock.
    unsafe {
        interlocked(lock, || {
            let first = (*head).Flink;
            if std::ptr::eq(first, head) {
                return std::ptr::null_mut();
            }
            let next = (*first).Flink;
            (*head).Flink = next;
            (*next).Blink = head;
            first
        })
    }
}

type Allocate = extern "win64" fn(i32, usize, u32) -> *mut u8;
type AllocateEx = unsafe extern "win64" fn(i32, usize, u32, *mut NPAGED_LOOKASIDE_LIST) -> *mut u8;
type Free = unsafe extern "win64" fn(*mut u8);
type FreeEx = unsafe extern "win64" fn(*mut u8, *mut NPAGED_LOOKASIDE_LIST);

extern "win64" fn default_allocate_ex(
    pool_type: i32,
    size: usize,
    tag: u32,
    _list: *mut NPAGED_LOOKASIDE_LIST,
) -> *mut u8 {
    pools::allocate_with_tag(pool_type, size, tag)
}

extern "win64" fn default_free_ex(p: *mut u8, _list: *mut NPAGED_LOOKASIDE_LIST) {
    pools::free(p);
}

/// # Safety
/// `list` is writable for the fields before `ListEntry`.
unsafe fn initialize(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: usize,
    free: usize,
    pool_type: i32,
    size: usize,
    tag: u32,
) {
    irql::require_at_most(DISPATCH);
    // SAFETY: as our caller promises.
    unsafe {
        let l = &raw mut *list;
        initialize_slist(&(*l).ListHead);
        (*l).Depth = 0;
        (*l).MaximumDepth = 256;
        (*l).TotalAllocates = 0;
        (*l).AllocateMisses = 0;
        (*l).TotalFrees = 0;
        (*l).FreeMisses = 0;
        (*l).Type = pool_type;
        (*l).Tag = tag;
        (*l).Size = u32::try_from(size).unwrap_or(u32::MAX);
        (*l).Allocate = allocate;
        (*l).Free = free;
    }
    if lists().insert(list.addr(), Origin::here()).is_none() {
        LOOKASIDES.add();
    }
}

extern "win64" fn initialize_npaged(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: usize,
    free: usize,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    let _c = InCall::enter("ExInitializeNPagedLookasideList");
    let allocate = if allocate == 0 { pools::allocate_with_tag as Allocate as usize } else { allocate };
    let free = if free == 0 { pools::free as *const () as usize } else { free };
    // NonPagedPoolNx. SAFETY: the driver passes its storage for a list.
    unsafe { initialize(list, allocate, free, 512, size, tag) };
}

extern "win64" fn initialize_ex(
    list: *mut NPAGED_LOOKASIDE_LIST,
    allocate: usize,
    free: usize,
    pool_type: i32,
    flags: u32,
    size: usize,
    tag: u32,
    depth: u16,
) -> NTSTATUS {
    let _c = InCall::enter("ExInitializeLookasideListEx");
    if flags & !3 != 0 || depth != 0 {
        return status::INVALID_PARAMETER;
    }
    let allocate = if allocate == 0 { default_allocate_ex as *const () as usize } else { allocate };
    let free = if free == 0 { default_free_ex as *const () as usize } else { free };
    // SAFETY: the driver passes its storage for a LOOKASIDE_LIST_EX, which begins as this one does.
    unsafe { initialize(list, allocate, free, pool_type, size, tag) };
    status::SUCCESS
}

extern "win64" fn delete_npaged(list: *mut NPAGED_LOOKASIDE_LIST) {
    let _c = InCall::enter("ExDeleteNPagedLookasideList");
    // SAFETY: the driver passes a list that it initialised; the free routine is what it or the lab put there.
    unsafe {
        if lists().remove(&list.addr()).is_none() {
            record_about(NOT_INIT, list.addr(), &format!("{list:p}"));
            return;
        }
        let free = std::mem::transmute::<usize, Free>((*list).Free);
        loop {
            let e = pop_slist(&(*list).ListHead);
            if e.is_null() {
                break;
            }
            free(e.cast());
        }
    }
    LOOKASIDES.remove();
}

extern "win64" fn delete_ex(list: *mut NPAGED_LOOKASIDE_LIST) {
    let _c = InCall::enter("ExDeleteLookasideListEx");
    // SAFETY: as above.
    unsafe {
        if lists().remove(&list.addr()).is_none() {
            record_about(NOT_INIT, list.addr(), &format!("{list:p}"));
            return;
        }
        let free = std::mem::transmute::<usize, FreeEx>((*list).Free);
        loop {
            let e = pop_slist(&(*list).ListHead);
            if e.is_null() {
                break;
            }
            free(e.cast(), list);
        }
    }
    LOOKASIDES.remove();
}

extern "win64" fn allocate_from_ex(list: *mut NPAGED_LOOKASIDE_LIST) -> *mut u8 {
    let _c = InCall::enter("ExAllocateFromLookasideListEx");
    // SAFETY: the driver passes a list that it initialised.
    unsafe {
        let e = pop_slist(&(*list).ListHead);
        if !e.is_null() {
            return e.cast();
        }
        let allocate = std::mem::transmute::<usize, AllocateEx>((*list).Allocate);
        allocate((*list).Type, (*list).Size as usize, (*list).Tag, list)
    }
}

extern "win64" fn free_to_ex(list: *mut NPAGED_LOOKASIDE_LIST, p: *mut u8) {
    let _c = InCall::enter("ExFreeToLookasideListEx");
    // SAFETY: the driver passes a list that it initialised and a block of it.
    unsafe {
        let free = std::mem::transmute::<usize, FreeEx>((*list).Free);
        free(p, list);
    }
}

pub(super) fn exports() -> Vec<Export> {
    vec![
        export!("InitializeSListHead", initialize_slist),
        export!("ExInitializeSListHead", initialize_slist),
        export!("ExpInterlockedPushEntrySList", push_slist),
        export!("InterlockedPushEntrySList", push_slist),
        export!("ExpInterlockedPopEntrySList", pop_slist),
        export!("InterlockedPopEntrySList", pop_slist),
        export!("ExpInterlockedFlushSList", flush_slist),
        export!("ExQueryDepthSList", depth_slist),
        export!("ExInterlockedInsertHeadList", insert_head),
        export!("ExInterlockedInsertTailList", insert_tail),
        export!("ExInterlockedRemoveHeadList", remove_head),
        export!("ExInitializeNPagedLookasideList", initialize_npaged),
        export!("ExDeleteNPagedLookasideList", delete_npaged),
        export!("ExInitializeLookasideListEx", initialize_ex),
        export!("ExDeleteLookasideListEx", delete_ex),
        export!("ExAllocateFromLookasideListEx", allocate_from_ex),
        export!("ExFreeToLookasideListEx", free_to_ex),
    ]
}
