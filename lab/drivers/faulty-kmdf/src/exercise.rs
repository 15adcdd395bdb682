//! What the driver does with the framework when it breaks nothing: each answer is held against the documentation by [`expect`].

use crate::wdf::{
    self, Attributes, ContextType, DeferredConfig, Handle, MANUAL, QueueConfig, TimerConfig, UnicodeString,
};
use crate::{dereference, expect, io, ok, reference, wide};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

const OBJECT_NAME_EXISTS: i32 = 0x4000_0000;
const TIMEOUT: i32 = 0x102;
const PAUSED: i32 = 0xC020_0203_u32 as i32;
const BUSY: i32 = 0xC020_0204_u32 as i32;
const NO_MORE_ENTRIES: i32 = 0x8000_001A_u32 as i32;
const BUFFER_TOO_SMALL: i32 = 0xC000_0023_u32 as i32;

/// NonPagedPoolNx and PagedPool.
const NON_PAGED: u32 = 512;
const PAGED: u32 = 1;
const TAG: u32 = u32::from_le_bytes(*b"flty");

/// Of DriverEntry: strings and registry.
pub fn driver(driver: Handle) {
    let mut string = 0;
    ok(wdf::string_create(null(), null(), &raw mut string));
    ok(wdf::driver_version_string(driver, string));
    let mut text = UnicodeString { length: 0, maximum: 0, buffer: null() };
    wdf::string_get(string, &raw mut text);
    expect(text.length > 0 && text.maximum >= text.length && !text.buffer.is_null());
    registry(driver, string);
    wdf::object_delete(string);
}

fn registry(driver: Handle, string: Handle) {
    const ALL: u32 = 0xF003F;
    let (number, word) = (UnicodeString::new(wide!("Number")), UnicodeString::new(wide!("Word")));
    let (number, word) = (&raw const number, &raw const word);
    let below = UnicodeString::new(wide!("Below"));
    let (mut key, mut sub, mut v, mut disposition) = (0, 0, 0, 0);
    ok(wdf::driver_open_parameters(driver, ALL, null(), &raw mut key));
    expect(wdf::registry_query_ulong(key, number, &raw mut v) < 0);
    expect(wdf::registry_open(key, &raw const below, ALL, null(), &raw mut sub) < 0);
    ok(wdf::registry_create(key, &raw const below, ALL, 0, &raw mut disposition, null(), &raw mut sub));
    expect(disposition == 1);
    ok(wdf::registry_assign_ulong(sub, number, 7));
    ok(wdf::registry_query_ulong(sub, number, &raw mut v));
    expect(v == 7);
    let value = UnicodeString::new(wide!("seven"));
    ok(wdf::registry_assign_unicode(sub, word, &raw const value));
    ok(wdf::registry_query_string(sub, word, string));
    let mut text = UnicodeString { length: 0, maximum: 0, buffer: null() };
    wdf::string_get(string, &raw mut text);
    expect(text.length == 10);
    // A number is no text, and a text no number.
    expect(wdf::registry_query_ulong(sub, word, &raw mut v) < 0);
    expect(wdf::registry_query_string(sub, number, string) < 0);
    ok(wdf::registry_remove_value(sub, word));
    expect(wdf::registry_query_string(sub, word, string) < 0);
    ok(wdf::registry_remove_key(sub));
    wdf::registry_close(key);
}

/// Of a control request.
pub fn request(queue: Handle, request: Handle) {
    let device = wdf::queue_device(queue);
    objects(device);
    memory(device);
    request_memory(request);
    collection(device);
    locks(device);
    waiting(device);
}

#[repr(C)]
struct Context {
    number: u64,
}
pub static FIRST: ContextType = ContextType {
    size: 40,
    name: c"FIRST".as_ptr().cast(),
    context_size: size_of::<Context>(),
    unique: &raw const FIRST,
    get_unique: 0,
};
pub static SECOND: ContextType = ContextType {
    size: 40,
    name: c"SECOND".as_ptr().cast(),
    context_size: 64,
    unique: &raw const SECOND,
    get_unique: 0,
};

/// Order of the callbacks of the objects below, four bits each.
static ORDER: AtomicUsize = AtomicUsize::new(0);

fn came(what: usize) {
    ORDER.store(ORDER.load(Ordering::SeqCst) << 4 | what, Ordering::SeqCst);
}

fn number(object: Handle) -> usize {
    let p = wdf::typed_context(object, &raw const FIRST);
    expect(wdf::context_object(p) == object);
    // SAFETY: the object's context of this type.
    unsafe { (*p.cast::<Context>()).number as usize }
}

extern "system" fn cleanup(object: Handle) {
    came(number(object));
}

extern "system" fn destroyed(object: Handle) {
    came(8 | number(object));
}

/// A parent and its child: the child is cleaned up first and, kept by a reference, keeps the parent.
fn objects(device: Handle) {
    let mut a = Attributes::new(device);
    a.cleanup = cleanup as *const () as usize;
    a.destroy = destroyed as *const () as usize;
    a.context_type = &raw const FIRST;
    let (mut parent, mut child) = (0, 0);
    ok(wdf::object_create(&raw const a, &raw mut parent));
    a.parent = parent;
    ok(wdf::object_create(&raw const a, &raw mut child));
    for (object, n) in [(parent, 1), (child, 2)] {
        // SAFETY: the object's context of this type.
        unsafe { (*wdf::typed_context(object, &raw const FIRST).cast::<Context>()).number = n };
    }
    let more = Attributes { context_type: &raw const SECOND, ..Attributes::new(0) };
    let (mut p, mut q) = (null_mut(), null_mut());
    ok(wdf::allocate_context(child, &raw const more, &raw mut p));
    expect(wdf::allocate_context(child, &raw const more, &raw mut q) == OBJECT_NAME_EXISTS && p == q);
    expect(p == wdf::typed_context(child, &raw const SECOND));
    ORDER.store(0, Ordering::SeqCst);
    reference(child);
    wdf::object_delete(parent);
    expect(ORDER.load(Ordering::SeqCst) == 0x21);
    dereference(child);
    expect(ORDER.load(Ordering::SeqCst) == 0x21_A9);
}

fn memory(device: Handle) {
    let a = Attributes::new(device);
    let (mut m, mut p, mut n) = (0, null_mut(), 0);
    for pool in [NON_PAGED, PAGED] {
        ok(wdf::memory_create(&raw const a, pool, TAG, 100, &raw mut m, &raw mut p));
        expect(wdf::memory_buffer(m, &raw mut n) == p && n == 100);
        let (out, mut back) = ([7u8; 40], [0u8; 40]);
        ok(wdf::memory_copy_from(m, 60, out.as_ptr(), 40));
        ok(wdf::memory_copy_to(m, 60, back.as_mut_ptr(), 40));
        expect(back == out && wdf::memory_copy_to(m, 61, back.as_mut_ptr(), 40) == BUFFER_TOO_SMALL);
        wdf::object_delete(m);
    }
    let (mut own, mut other) = ([1u8; 16], [2u8; 32]);
    ok(wdf::memory_create_preallocated(&raw const a, own.as_mut_ptr(), 16, &raw mut m));
    expect(wdf::memory_buffer(m, &raw mut n) == own.as_mut_ptr() && n == 16);
    ok(wdf::memory_assign(m, other.as_mut_ptr(), 32));
    expect(wdf::memory_buffer(m, &raw mut n) == other.as_mut_ptr() && n == 32);
    wdf::object_delete(m);
    let mut list = 0;
    ok(wdf::lookaside_create(&raw const a, 200, NON_PAGED, &raw const a, TAG, &raw mut list));
    let mut blocks = [0; 4];
    for b in &mut blocks {
        ok(wdf::at_dispatch(|| wdf::memory_from_lookaside(list, b)));
        wdf::memory_buffer(*b, &raw mut n);
        expect(n == 200);
    }
    for b in blocks {
        wdf::at_dispatch(|| wdf::object_delete(b));
    }
    wdf::object_delete(list);
}

/// The request's memory objects are its buffers, and the same ones each time.
fn request_memory(request: Handle) {
    let (mut m, mut again, mut n) = (0, 0, 0);
    if wdf::request_input_memory(request, &raw mut m) >= 0 {
        ok(wdf::request_input_memory(request, &raw mut again));
        let p = wdf::memory_buffer(m, &raw mut n);
        expect(m == again && io::input(request).is_ok_and(|b| b.as_mut_ptr() == p && b.len() == n));
    }
    if wdf::request_output_memory(request, &raw mut m) >= 0 {
        let p = wdf::memory_buffer(m, &raw mut n);
        expect(io::output(request).is_ok_and(|b| b.as_mut_ptr() == p && b.len() == n));
        // A reference that ends before completion is allowed.
        reference(m);
        dereference(m);
    }
}

fn collection(device: Handle) {
    let a = Attributes::new(device);
    let (mut c, mut items) = (0, [0; 3]);
    ok(wdf::collection_create(&raw const a, &raw mut c));
    expect(wdf::collection_first(c) == 0 && wdf::collection_count(c) == 0);
    for i in &mut items {
        ok(wdf::object_create(&raw const a, i));
        ok(wdf::collection_add(c, *i));
    }
    expect(wdf::collection_count(c) == 3 && wdf::collection_item(c, 3) == 0);
    expect(wdf::collection_first(c) == items[0] && wdf::collection_last(c) == items[2]);
    wdf::collection_remove(c, items[1]);
    expect(wdf::collection_item(c, 1) == items[2]);
    wdf::collection_remove_item(c, 0);
    // The collection keeps what was deleted while it was in it.
    wdf::object_delete(items[2]);
    wdf::object_delete(c);
    wdf::object_delete(items[0]);
    wdf::object_delete(items[1]);
}

fn locks(device: Handle) {
    let a = Attributes::new(device);
    let (mut spin, mut wait, now) = (0, 0, 0i64);
    ok(wdf::spin_lock_create(&raw const a, &raw mut spin));
    ok(wdf::wait_lock_create(&raw const a, &raw mut wait));
    ok(wdf::wait_lock_acquire(wait, null()));
    wdf::spin_lock_acquire(spin);
    wdf::spin_lock_release(spin);
    wdf::wait_lock_release(wait);
    // Without waiting it may be taken at DISPATCH_LEVEL; it is given back below it or there.
    wdf::at_dispatch(|| {
        ok(wdf::wait_lock_acquire(wait, &raw const now));
        wdf::wait_lock_release(wait);
    });
    wdf::object_delete(spin);
    wdf::object_delete(wait);
}

static TIMER_RAN: AtomicU32 = AtomicU32::new(0);
static PASSIVE_RAN: AtomicU32 = AtomicU32::new(0);
static PERIODIC_RAN: AtomicU32 = AtomicU32::new(0);
static DPC_RAN: AtomicU32 = AtomicU32::new(0);
static WORK_RAN: AtomicU32 = AtomicU32::new(0);
static WORK: AtomicUsize = AtomicUsize::new(0);
static LOCK: AtomicUsize = AtomicUsize::new(0);

extern "system" fn timer_func(_timer: Handle) {
    TIMER_RAN.fetch_add(1, Ordering::SeqCst);
}

extern "system" fn passive_timer_func(_timer: Handle) {
    // PASSIVE_LEVEL: a wait lock may be waited for.
    let lock = LOCK.load(Ordering::SeqCst);
    ok(wdf::wait_lock_acquire(lock, null()));
    wdf::wait_lock_release(lock);
    PASSIVE_RAN.fetch_add(1, Ordering::SeqCst);
}

extern "system" fn periodic_timer_func(_timer: Handle) {
    PERIODIC_RAN.fetch_add(1, Ordering::SeqCst);
}

extern "system" fn dpc_func(_dpc: Handle) {
    DPC_RAN.fetch_add(1, Ordering::SeqCst);
    wdf::work_item_enqueue(WORK.load(Ordering::SeqCst));
}

extern "system" fn work_func(_item: Handle) {
    wdf::sleep(1);
    WORK_RAN.fetch_add(1, Ordering::SeqCst);
}

fn until(f: impl Fn() -> bool) {
    while !f() {
        wdf::sleep(1);
    }
}

/// Timers at both levels, periodic and not; DPCs; work items.
fn waiting(device: Handle) {
    for n in [&TIMER_RAN, &PASSIVE_RAN, &PERIODIC_RAN, &DPC_RAN, &WORK_RAN] {
        n.store(0, Ordering::SeqCst);
    }
    let a = Attributes::new(device);
    let passive = Attributes { execution: wdf::PASSIVE, ..a };
    let (mut timer, mut passive_timer, mut periodic, mut dpc, mut work, mut lock) = (0, 0, 0, 0, 0, 0);
    ok(wdf::wait_lock_create(&raw const a, &raw mut lock));
    LOCK.store(lock, Ordering::SeqCst);
    let c = TimerConfig::new(timer_func, 0);
    ok(wdf::timer_create(&raw const c, &raw const a, &raw mut timer));
    let c = TimerConfig::new(passive_timer_func, 0);
    ok(wdf::timer_create(&raw const c, &raw const passive, &raw mut passive_timer));
    let c = TimerConfig::new(periodic_timer_func, 2);
    ok(wdf::timer_create(&raw const c, &raw const a, &raw mut periodic));
    // Periodic and passive do not go together.
    let mut none = 0;
    expect(wdf::timer_create(&raw const c, &raw const passive, &raw mut none) < 0);
    let c = DeferredConfig::new(dpc_func);
    ok(wdf::dpc_create(&raw const c, &raw const a, &raw mut dpc));
    let c = DeferredConfig::new(work_func);
    ok(wdf::work_item_create(&raw const c, &raw const a, &raw mut work));
    WORK.store(work, Ordering::SeqCst);
    for (f, object) in
        [(wdf::timer_parent as fn(Handle) -> Handle, timer), (wdf::dpc_parent, dpc), (wdf::work_item_parent, work)]
    {
        expect(f(object) == device);
    }
    // Started and taken back: it does not run. Started twice: it runs once.
    expect(wdf::timer_start(timer, -600_000_000_000) == 0);
    expect(wdf::timer_stop(timer, 1) == 1 && wdf::timer_stop(timer, 1) == 0);
    expect(wdf::timer_start(timer, -600_000_000_000) == 0 && wdf::timer_start(timer, -10_000) == 1);
    expect(wdf::timer_start(passive_timer, -10_000) == 0);
    expect(wdf::timer_start(periodic, -10_000) == 0);
    expect(wdf::dpc_enqueue(dpc) == 1);
    until(|| PERIODIC_RAN.load(Ordering::SeqCst) >= 3);
    expect(wdf::timer_stop(periodic, 1) == 1);
    let ran = PERIODIC_RAN.load(Ordering::SeqCst);
    until(|| TIMER_RAN.load(Ordering::SeqCst) == 1 && PASSIVE_RAN.load(Ordering::SeqCst) == 1);
    until(|| DPC_RAN.load(Ordering::SeqCst) == 1);
    wdf::dpc_cancel(dpc, 1);
    wdf::work_item_flush(work);
    expect(WORK_RAN.load(Ordering::SeqCst) == 1 && PERIODIC_RAN.load(Ordering::SeqCst) == ran);
    // Deleting what is queued waits for it or takes it back.
    wdf::work_item_enqueue(work);
    expect(wdf::timer_start(passive_timer, -10_000) == 0);
    for o in [timer, passive_timer, periodic, dpc, work, lock] {
        wdf::object_delete(o);
    }
}

static QUIET: AtomicU32 = AtomicU32::new(0);
static READY: AtomicU32 = AtomicU32::new(0);

extern "system" fn quiet(_queue: Handle, context: usize) {
    QUIET.fetch_or(context as u32, Ordering::SeqCst);
}

extern "system" fn ready(_queue: Handle, _context: usize) {
    READY.fetch_add(1, Ordering::SeqCst);
}

/// States of a manual queue that the request goes through; it is completed at the end.
pub fn queues(own: Handle, request: Handle) {
    let device = wdf::queue_device(own);
    let c = QueueConfig { power: 0, ..QueueConfig::new(MANUAL) };
    let (mut queue, mut r, mut queued, mut owned) = (0, 0, 0, 0);
    ok(wdf::queue_create(device, &raw const c, null(), &raw mut queue));
    let quiet = quiet as *const () as usize;
    QUIET.store(0, Ordering::SeqCst);
    READY.store(0, Ordering::SeqCst);
    // Accepts, dispatches, no requests, driver no requests.
    expect(wdf::queue_state(queue, &raw mut queued, &raw mut owned) == 0b1111);
    expect(wdf::queue_next(queue, &raw mut r) == NO_MORE_ENTRIES && r == 0);
    ok(wdf::queue_ready_notify(queue, ready as *const () as usize, 0));

    // Stopped, it takes but does not give.
    wdf::queue_stop(queue, quiet, 1);
    until(|| QUIET.load(Ordering::SeqCst) == 1);
    ok(wdf::request_forward(request, queue));
    expect(wdf::queue_state(queue, &raw mut queued, &raw mut owned) == 0b1001 && queued == 1 && owned == 0);
    expect(wdf::queue_next(queue, &raw mut r) == PAUSED && READY.load(Ordering::SeqCst) == 0);
    wdf::queue_start(queue);
    until(|| READY.load(Ordering::SeqCst) == 1);
    ok(wdf::queue_next(queue, &raw mut r));
    expect(r == request && wdf::queue_state(queue, &raw mut queued, &raw mut owned) == 0b0111 && owned == 1);

    // Draining, it gives but does not take, and is quiet when the driver has nothing.
    ok(wdf::request_requeue(r));
    wdf::queue_drain(queue, quiet, 2);
    ok(wdf::queue_next(queue, &raw mut r));
    expect(QUIET.load(Ordering::SeqCst) == 1);
    expect(wdf::request_forward(r, io::WAITING.load(Ordering::Relaxed)) == 0);
    until(|| QUIET.load(Ordering::SeqCst) == 3);
    expect(wdf::queue_next(io::WAITING.load(Ordering::Relaxed), &raw mut r) >= 0 && r == request);
    expect(wdf::request_forward(r, queue) == BUSY);

    // Purged, it has nothing left; the request was not in it.
    wdf::queue_purge(queue, quiet, 4);
    until(|| QUIET.load(Ordering::SeqCst) == 7);
    wdf::queue_start(queue);
    wdf::queue_stop_sync(queue);
    wdf::queue_start(queue);
    wdf::queue_drain_sync(queue);
    wdf::queue_purge_sync(queue);
    wdf::queue_start(queue);
    wdf::queue_stop_and_purge(queue, 0, 0);
    wdf::queue_start(queue);

    // Deleted with a request in it, it cancels that.
    ok(wdf::request_forward(request, queue));
    wdf::object_delete(queue);
    let _ = TIMEOUT;
}
