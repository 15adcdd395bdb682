//! The kernel's calls, by the addresses that a loaded image would get. Violations are collected: a rule that ends the lab
//! at once is tested by `hello.rs` in a process of its own.
#![expect(unsafe_code, reason = "the calls under test take NT's pointers")]

use dco_lab::nt::{
    DEVICE_OBJECT, EX_RUNDOWN_REF, FAST_MUTEX, IRP, KDPC, KEVENT, KTIMER, LIST_ENTRY, SLIST_ENTRY, SLIST_HEADER,
    UNICODE_STRING, status,
};
use dco_lab::objects::Kind;
use dco_lab::{io, irql, ke, pool, report, thunk};
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One test at a time looks at the collected violations.
static COLLECTING: Mutex<()> = Mutex::new(());

macro_rules! import {
    ($name:literal as fn($($arg:ty),*) $(-> $ret:ty)?) => {{
        let address = thunk::address_of("ntoskrnl.exe", $name).unwrap_or_else(|| panic!("no {}", $name));
        // SAFETY: the lab's export has this signature; a test that gets it wrong fails.
        unsafe { std::mem::transmute::<usize, unsafe extern "win64" fn($($arg),*) $(-> $ret)?>(address) }
    }};
}

fn zeroed<T>() -> Box<T> {
    // SAFETY: used for structures of NT's that are valid when zeroed.
    unsafe { Box::<T>::new_zeroed().assume_init() }
}

/// Runs `f` and returns the violations it caused.
fn violations(f: impl FnOnce()) -> String {
    let _one = COLLECTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    report::collect(true);
    let before = report::collected().len();
    f();
    let found = report::collected().split_off(before).concat();
    report::collect(false);
    found
}

#[test]
fn events_wake_those_that_wait() {
    let mut event = zeroed::<KEVENT>();
    let e: *mut KEVENT = &raw mut *event;
    // SAFETY: the event is ours and outlives every thread of the scope.
    unsafe {
        ke::event_init(e, true, false);
        let at = e as usize;
        let woken = AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    assert!(ke::wait_event(at as *mut KEVENT, Some(Duration::from_secs(10))));
                    woken.fetch_add(1, Ordering::SeqCst);
                });
            }
            for n in 1..=4 {
                ke::event_set(e);
                let start = Instant::now();
                while woken.load(Ordering::SeqCst) < n {
                    assert!(start.elapsed() < Duration::from_secs(10), "a synchronization event wakes one each time");
                    std::thread::yield_now();
                }
            }
        });
        assert!(!ke::event_is_set(e));
        assert!(!ke::wait_event(e, Some(Duration::from_millis(5))), "nobody set it");
        let start = Instant::now();
        assert!(!ke::wait_event(e, Some(Duration::ZERO)));
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn a_set_and_reset_wakes_all_that_waited() {
    let mut event = zeroed::<KEVENT>();
    let e: *mut KEVENT = &raw mut *event;
    // SAFETY: as above.
    unsafe {
        ke::event_init(e, false, false);
        let at = e as usize;
        let waiting = AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    assert!(ke::wait_event(at as *mut KEVENT, Some(Duration::from_secs(10))));
                });
            }
            while waiting.load(Ordering::SeqCst) < 3 {
                std::thread::yield_now();
            }
            // The waiters say so just before they wait.
            std::thread::sleep(Duration::from_millis(100));
            ke::event_set(e);
            ke::event_clear(e);
        });
    }
}

#[test]
fn several_objects_are_waited_for_at_once() {
    let wait = import!(
        "KeWaitForMultipleObjects" as fn(u32, *const *mut c_void, i32, i32, i8, u8, *const i64, *mut c_void) -> i32
    );
    let (mut a, mut b) = (zeroed::<KEVENT>(), zeroed::<KEVENT>());
    let objects = [(&raw mut *a).cast::<c_void>(), (&raw mut *b).cast()];
    let ten_ms = -100_000i64;
    // SAFETY: the events are ours and outlive the waits.
    unsafe {
        ke::event_init(objects[0].cast(), true, false);
        ke::event_init(objects[1].cast(), true, false);
        let (any, all) = (1, 0);
        let null = std::ptr::null_mut();
        assert_eq!(wait(2, objects.as_ptr(), any, 0, 0, 0, &raw const ten_ms, null), status::TIMEOUT);
        ke::event_set(objects[1].cast());
        assert_eq!(wait(2, objects.as_ptr(), any, 0, 0, 0, std::ptr::null(), null), 1);
        ke::event_set(objects[0].cast());
        assert_eq!(wait(2, objects.as_ptr(), all, 0, 0, 0, &raw const ten_ms, null), status::TIMEOUT);
        assert!(ke::event_is_set(objects[0].cast()), "a wait for all takes nothing before it can take all");
        let second = objects[1] as usize;
        let setter = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            ke::event_set(second as *mut KEVENT)
        });
        assert_eq!(wait(2, objects.as_ptr(), all, 0, 0, 0, std::ptr::null(), null), 0);
        assert!(!ke::event_is_set(objects[0].cast()) && !ke::event_is_set(objects[1].cast()));
        setter.join().expect("set");
    }
}

static TICKS: AtomicU32 = AtomicU32::new(0);

unsafe extern "win64" fn tick(_: *mut KDPC, context: *mut c_void, _: *mut c_void, _: *mut c_void) {
    assert_eq!(irql::current(), irql::DISPATCH);
    if TICKS.fetch_add(1, Ordering::SeqCst) == 2 {
        // SAFETY: the context is the test's event.
        unsafe { ke::event_set(context.cast()) };
    }
}

#[test]
fn timers_queue_dpcs_until_cancelled() {
    let (mut timer, mut dpc, mut event) = (zeroed::<KTIMER>(), zeroed::<KDPC>(), zeroed::<KEVENT>());
    let (t, d, e): (*mut KTIMER, *mut KDPC, *mut KEVENT) = (&raw mut *timer, &raw mut *dpc, &raw mut *event);
    // SAFETY: the objects are ours; the timer is cancelled and the DPCs are flushed before they go.
    unsafe {
        ke::event_init(e, true, false);
        ke::timer::init(t, false);
        ke::dpc::init(d, tick, e.cast());
        assert!(!ke::timer::set(t, -10_000, 1, d));
        assert!(ke::wait_event(e, Some(Duration::from_secs(10))));
        assert!(ke::timer::cancel(t));
        assert!(!ke::timer::cancel(t));
        ke::dpc::flush();
        let n = TICKS.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(TICKS.load(Ordering::SeqCst), n);
        // A timer is waited for like an event.
        assert!(!ke::timer::set(t, -50_000, 0, std::ptr::null_mut()));
        assert!(ke::wait_event(t.cast(), Some(Duration::from_secs(10))));
    }
}

#[test]
fn fast_mutexes_exclude() {
    let acquire = import!("ExAcquireFastMutex" as fn(*mut FAST_MUTEX));
    let release = import!("ExReleaseFastMutex" as fn(*mut FAST_MUTEX));
    let mut mutex = zeroed::<FAST_MUTEX>();
    let m: *mut FAST_MUTEX = &raw mut *mutex;
    let mut value = 0u64;
    // SAFETY: the mutex and the value outlive the scope; the value is only touched under the mutex.
    unsafe {
        (*m).Count.store(1, Ordering::Relaxed);
        ke::event_init(&raw mut (*m).Event, true, false);
        let (m, v) = (m as usize, (&raw mut value) as usize);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(move || {
                    for _ in 0..2000 {
                        acquire(m as *mut FAST_MUTEX);
                        assert_eq!(irql::current(), irql::APC);
                        let p = v as *mut u64;
                        p.write_volatile(p.read_volatile() + 1);
                        release(m as *mut FAST_MUTEX);
                    }
                });
            }
        });
    }
    assert_eq!(value, 8000);
}

#[test]
fn spin_locks_exclude_and_raise() {
    let acquire = import!("KeAcquireSpinLockRaiseToDpc" as fn(*mut u64) -> u8);
    let release = import!("KeReleaseSpinLock" as fn(*mut u64, u8));
    let (mut lock, mut value) = (0u64, 0u64);
    let (l, v) = ((&raw mut lock) as usize, (&raw mut value) as usize);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(move || {
                for _ in 0..2000 {
                    // SAFETY: lock and value outlive the scope; the value is only touched under the lock.
                    unsafe {
                        let old = acquire(l as *mut u64);
                        assert_eq!((old, irql::current()), (irql::PASSIVE, irql::DISPATCH));
                        let p = v as *mut u64;
                        p.write_volatile(p.read_volatile() + 1);
                        release(l as *mut u64, old);
                    }
                }
            });
        }
    });
    assert_eq!((lock, value), (0, 8000));
}

#[test]
fn rundown_waits_for_what_is_inside() {
    let acquire = import!("ExAcquireRundownProtection" as fn(*mut EX_RUNDOWN_REF) -> u8);
    let release = import!("ExReleaseRundownProtection" as fn(*mut EX_RUNDOWN_REF));
    let wait = import!("ExWaitForRundownProtectionRelease" as fn(*mut EX_RUNDOWN_REF));
    let mut r = zeroed::<EX_RUNDOWN_REF>();
    let p = (&raw mut *r) as usize;
    // SAFETY: the reference outlives the thread, which is joined.
    unsafe {
        assert_eq!(acquire(p as *mut _), 1);
        let waiter = std::thread::spawn(move || wait(p as *mut _));
        while r.Count.load(Ordering::SeqCst) & 1 == 0 {
            std::thread::yield_now();
        }
        assert_eq!(acquire(p as *mut _), 0);
        assert!(!waiter.is_finished());
        release(p as *mut _);
        waiter.join().expect("released");
        assert_eq!(acquire(p as *mut _), 0);
    }
}

#[test]
fn interlocked_lists_are_last_in_first_out() {
    let push = import!("ExpInterlockedPushEntrySList" as fn(*mut SLIST_HEADER, *mut SLIST_ENTRY) -> *mut SLIST_ENTRY);
    let pop = import!("ExpInterlockedPopEntrySList" as fn(*mut SLIST_HEADER) -> *mut SLIST_ENTRY);
    let depth = import!("ExQueryDepthSList" as fn(*mut SLIST_HEADER) -> u16);
    let mut head = zeroed::<SLIST_HEADER>();
    let (mut a, mut b) = (zeroed::<SLIST_ENTRY>(), zeroed::<SLIST_ENTRY>());
    let (h, a, b): (*mut SLIST_HEADER, *mut SLIST_ENTRY, *mut SLIST_ENTRY) = (&raw mut *head, &raw mut *a, &raw mut *b);
    // SAFETY: header and entries are ours.
    unsafe {
        assert!(push(h, a).is_null());
        assert_eq!(push(h, b), a);
        assert_eq!(depth(h), 2);
        assert_eq!((pop(h), pop(h)), (b, a));
        assert!(pop(h).is_null());
    }
}

#[test]
fn pool_rules_are_named() {
    let allocate = import!("ExAllocatePool2" as fn(u64, usize, u32) -> *mut u8);
    let free = import!("ExFreePoolWithTag" as fn(*mut u8, u32));
    let tag = u32::from_le_bytes(*b"Test");
    // SAFETY: blocks are used within their bounds, but for the write after free, into memory that quarantine keeps.
    unsafe {
        let found = violations(|| {
            let p = allocate(0x40, 100, tag);
            assert!(std::slice::from_raw_parts(p, 100).iter().all(|&b| b == 0), "zeroed");
            free(p, tag + 1);
            let p = allocate(0x42, 4096, tag);
            assert!(p.addr().is_multiple_of(4096));
            assert!(std::slice::from_raw_parts(p, 4096).iter().all(|&b| b == pool::ALLOC_PATTERN));
            free(p, tag);
            p.wrapping_add(17).write(1);
            allocate(0x40, 0, tag);
            allocate(0x140, 8, tag);
            allocate(0x40, 8, 0);
            pool::check_quarantine();
        });
        for rule in ["pool.wrong-tag", "pool.write-after-free", "pool.zero-size", "pool.bad-flags", "pool.zero-tag"] {
            assert!(found.contains(&format!("violation: {rule}\n")), "{rule} in {found}");
        }
        assert!(found.contains("offset 17"), "{found}");
        let found = violations(|| {
            let old = irql::raise(irql::DISPATCH);
            let p = allocate(0x100, 8, tag);
            irql::lower(old);
            free(p, tag);
        });
        assert!(found.contains("violation: pool.irql\n"), "{found}");
        let found = violations(pool::check_leaks);
        assert!(found.contains("tag 'Test': 1 block(s), 8 bytes"), "{found}");
    }
}

#[test]
fn irql_rules_are_named() {
    let raise = import!("KfRaiseIrql" as fn(u8) -> u8);
    let lower = import!("KeLowerIrql" as fn(u8));
    let delay = import!("KeDelayExecutionThread" as fn(i8, u8, *const i64) -> i32);
    let now = -1i64;
    // SAFETY: the calls take values and a valid interval.
    let found = unsafe {
        violations(|| {
            let old = raise(irql::DISPATCH);
            delay(0, 0, &raw const now);
            lower(old);
        })
    };
    assert!(
        found.contains("violation: irql.too-high\n") && found.contains("KeDelayExecutionThread at IRQL 2"),
        "{found}"
    );
}

#[test]
fn strings_are_counted() {
    let init = import!("RtlInitUnicodeString" as fn(*mut UNICODE_STRING, *const u16));
    let append = import!("RtlAppendUnicodeStringToString" as fn(*mut UNICODE_STRING, *const UNICODE_STRING) -> i32);
    let equal = import!("RtlEqualUnicodeString" as fn(*const UNICODE_STRING, *const UNICODE_STRING, u8) -> u8);
    let wide: Vec<u16> = "Tünnel\0".encode_utf16().collect();
    let upper: Vec<u16> = "TÜNNEL\0".encode_utf16().collect();
    let mut room = [0u16; 10];
    let (mut a, mut b) = (UNICODE_STRING::empty(), UNICODE_STRING::empty());
    let mut c = UNICODE_STRING { Length: 0, MaximumLength: 20, Buffer: room.as_mut_ptr() };
    // SAFETY: the strings' buffers outlive the calls.
    unsafe {
        init(&raw mut a, wide.as_ptr());
        init(&raw mut b, upper.as_ptr());
        assert_eq!((a.Length, a.MaximumLength), (12, 14));
        assert_eq!((equal(&raw const a, &raw const b, 1), equal(&raw const a, &raw const b, 0)), (1, 0));
        assert_eq!(append(&raw mut c, &raw const a), 0);
        assert_eq!(append(&raw mut c, &raw const a), status::BUFFER_TOO_SMALL);
        assert_eq!(c.to_string_lossy(), "Tünnel");
    }
}

#[test]
fn the_same_name_gives_the_same_stub_and_unknown_ones_none() {
    assert_eq!(thunk::address_of("ntoskrnl.exe", "KeSetEvent"), thunk::address_of("HAL.dll", "KeSetEvent"));
    assert_eq!(thunk::address_of("ntoskrnl.exe", "NtNothing"), None);
    assert_eq!(thunk::address_of("netio.sys", "KeSetEvent"), None);
    assert!(size_of::<LIST_ENTRY>() == 16);
}

unsafe extern "win64" fn reclaim(_: *mut DEVICE_OBJECT, _: *mut IRP, _: *mut c_void) -> i32 {
    status::MORE_PROCESSING_REQUIRED
}

/// Nanoseconds that the calls of a data path cost: `cargo test --release -p dco-lab --test kernel cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_calls() {
    static BLOCKS: Kind = Kind::of_lab("test.block");
    let measure = |what: &str, f: &mut dyn FnMut()| {
        const N: u32 = 1_000_000;
        let start = Instant::now();
        (0..N).for_each(|_| f());
        println!("{what}: {} ns", start.elapsed().as_nanos() / u128::from(N));
    };
    let acquire = import!("KeAcquireSpinLockRaiseToDpc" as fn(*mut u64) -> u8);
    let release = import!("KeReleaseSpinLock" as fn(*mut u64, u8));
    let time = import!("KeQueryInterruptTimePrecise" as fn(*mut i64) -> i64);
    let reuse = import!("IoReuseIrp" as fn(*mut IRP, i32));
    let allocate = import!("ExAllocatePool2" as fn(u64, usize, u32) -> *mut u8);
    let free = import!("ExFreePoolWithTag" as fn(*mut u8, u32));
    let mut lock = 0u64;
    let mut t = 0i64;
    let irp = io::allocate_irp(1);
    // SAFETY: each call gets what it asks for, and gives back what it takes.
    unsafe {
        measure("spin lock, raise and back", &mut || {
            let old = acquire(&raw mut lock);
            release(&raw mut lock, old);
        });
        measure("KeQueryInterruptTimePrecise", &mut || {
            time(&raw mut t);
        });
        measure("IRP reused, sent, completed", &mut || {
            reuse(irp, 0);
            io::set_completion(irp, reclaim, std::ptr::null_mut());
            io::take_irp(irp);
            io::irp::complete(irp, 0, 0);
        });
        measure("lab block of 256 bytes", &mut || pool::free_lab(pool::alloc_lab(&BLOCKS, 256)));
        measure("lab block of 2048 bytes", &mut || pool::free_lab(pool::alloc_lab(&BLOCKS, 2048)));
        measure("pool block of 256 bytes", &mut || free(allocate(0x40, 256, 1), 1));
        io::free_irp(irp);
    }
}
