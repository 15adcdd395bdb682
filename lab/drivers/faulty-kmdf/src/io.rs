//! The device's queues and what is done with their requests.
//!
//! | request | goes to |
//! |---|---|
//! | control 0x222000 | the exercises and a request's fault; its input is its output |
//! | control 0x222004 | forwarded to the sequential queue, whose callbacks run one at a time at PASSIVE_LEVEL; its input is its output |
//! | control 0x222008 | waits here, cancelable, until 0x22200C ends it |
//! | control 0x222010 | forwarded to the manual queue; 0x222014 finds it there, takes it, puts it back, takes and completes it |
//! | control 0x222018 | stops, starts, drains and purges a queue of its own |
//! | control 0x22201F | METHOD_NEITHER: its buffer is looked at in its caller's context |
//! | read | waits in the manual queue |
//! | write | completes a read that waits, and itself |

use crate::wdf::{self, Attributes, Handle, MANUAL, NtStatus, PARALLEL, PASSIVE, QueueConfig, SCOPE_QUEUE, SEQUENTIAL};
use crate::{CANCELLED, INVALID_DEVICE_REQUEST, SUCCESS, adapter, dereference, exercise, expect, fault, faults, rings};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// WDFQUEUE of reads and of requests that are looked for.
pub static WAITING: AtomicUsize = AtomicUsize::new(0);
/// WDFQUEUE with callbacks at PASSIVE_LEVEL, one at a time.
pub static ONE_BY_ONE: AtomicUsize = AtomicUsize::new(0);
/// The request of 0x222008.
static MARKED: AtomicUsize = AtomicUsize::new(0);
/// WDFSPINLOCK of `MARKED`.
static LOCK: AtomicUsize = AtomicUsize::new(0);
/// Callbacks of the sequential queue that run.
static AT_ONCE: AtomicU32 = AtomicU32::new(0);
/// Reads so far.
static READS: AtomicU32 = AtomicU32::new(0);
/// What EvtIoCanceledOnQueue has been told of.
pub static CANCELED_ON_QUEUE: AtomicU32 = AtomicU32::new(0);

fn address(f: *const ()) -> usize {
    f as usize
}

/// On the device's init.
pub fn init(init: Handle) {
    wdf::device_init_set_in_caller_context(init, address(in_caller_context as *const ()));
    let a = Attributes::new(0);
    wdf::device_init_set_request_attributes(init, &raw const a);
}

/// The network device's queues.
pub fn create(device: Handle) -> NtStatus {
    let parallel = QueueConfig {
        default: 1,
        evt_read: address(read as *const ()),
        evt_write: address(write as *const ()),
        evt_control: address(control as *const ()),
        evt_stop: address(stop as *const ()),
        ..QueueConfig::new(PARALLEL)
    };
    let mut default = 0;
    let s = wdf::queue_create(device, &raw const parallel, null(), &raw mut default);
    if s < 0 {
        return s;
    }
    expect(wdf::device_default_queue(device) == default);
    let manual =
        QueueConfig { power: 0, evt_canceled: address(canceled_on_queue as *const ()), ..QueueConfig::new(MANUAL) };
    let mut queue = 0;
    let s = wdf::queue_create(device, &raw const manual, null(), &raw mut queue);
    if s < 0 {
        return s;
    }
    WAITING.store(queue, Ordering::Relaxed);
    let sequential = QueueConfig { evt_default: address(one_by_one as *const ()), ..QueueConfig::new(SEQUENTIAL) };
    let a = Attributes { execution: PASSIVE, scope: SCOPE_QUEUE, ..Attributes::new(0) };
    let s = wdf::queue_create(device, &raw const sequential, &raw const a, &raw mut queue);
    if s < 0 {
        return s;
    }
    ONE_BY_ONE.store(queue, Ordering::Relaxed);
    let (a, mut lock) = (Attributes::new(device), 0);
    let s = wdf::spin_lock_create(&raw const a, &raw mut lock);
    LOCK.store(lock, Ordering::Relaxed);
    s
}

/// The control device's queue: it refuses everything.
pub fn create_control(device: Handle) -> NtStatus {
    let c = QueueConfig { default: 1, evt_default: address(refuse as *const ()), ..QueueConfig::new(SEQUENTIAL) };
    wdf::queue_create(device, &raw const c, null(), null_mut())
}

extern "system" fn refuse(_queue: Handle, request: Handle) {
    wdf::request_complete(request, INVALID_DEVICE_REQUEST);
}

pub extern "system" fn file_create(device: Handle, request: Handle, file: Handle) {
    expect(wdf::file_device(file) == device && wdf::request_file(request) == file);
    wdf::request_complete(request, SUCCESS);
}

pub extern "system" fn file_cleanup(_file: Handle) {}

pub extern "system" fn file_close(_file: Handle) {
    end_marked(CANCELLED);
}

/// Completes the request of 0x222008 unless its cancellation has begun: then its cancel callback does.
fn end_marked(status: NtStatus) {
    let lock = LOCK.load(Ordering::Relaxed);
    wdf::spin_lock_acquire(lock);
    let request = MARKED.swap(0, Ordering::Relaxed);
    let mine = request != 0 && wdf::unmark_cancelable(request) == SUCCESS;
    wdf::spin_lock_release(lock);
    if mine {
        wdf::request_complete(request, status);
    }
}

pub extern "system" fn on_cancel(request: Handle) {
    let lock = LOCK.load(Ordering::Relaxed);
    wdf::spin_lock_acquire(lock);
    let _ = MARKED.compare_exchange(request, 0, Ordering::Relaxed, Ordering::Relaxed);
    wdf::spin_lock_release(lock);
    wdf::request_complete(request, CANCELLED);
}

/// Lets the request wait until 0x22200C or its cancellation.
fn mark(request: Handle) {
    let lock = LOCK.load(Ordering::Relaxed);
    wdf::spin_lock_acquire(lock);
    let mut s = INVALID_DEVICE_REQUEST;
    if MARKED.load(Ordering::Relaxed) == 0 {
        s = wdf::mark_cancelable_ex(request, on_cancel as *const () as usize);
        if s >= 0 {
            MARKED.store(request, Ordering::Relaxed);
        }
    }
    wdf::spin_lock_release(lock);
    if s < 0 {
        wdf::request_complete(request, s);
    }
}

/// Every request but create, cleanup and close comes here first, on its sender's thread.
extern "system" fn in_caller_context(device: Handle, request: Handle) {
    let mut p = [40u64, 0, 0, 0, 0];
    wdf::request_parameters(request, &raw mut p);
    if p[3] as u32 == 0x22_201F && p[0] >> 32 == 14 {
        let (mut b, mut n) = (null_mut(), 0);
        let s = wdf::request_unsafe_input(request, 1, &raw mut b, &raw mut n);
        return wdf::request_complete_with(request, s, n);
    }
    let s = wdf::device_enqueue_request(device, request);
    if s < 0 {
        wdf::request_complete(request, s);
    }
}

/// A request's input.
pub fn input(request: Handle) -> Result<&'static mut [u8], NtStatus> {
    let (mut p, mut n) = (null_mut(), 0);
    let s = wdf::request_input(request, 1, &raw mut p, &raw mut n);
    // SAFETY: the request's buffer, until it is completed.
    if s < 0 { Err(s) } else { Ok(unsafe { core::slice::from_raw_parts_mut(p, n) }) }
}

/// A request's output.
pub fn output(request: Handle) -> Result<&'static mut [u8], NtStatus> {
    let (mut p, mut n) = (null_mut(), 0);
    let s = wdf::request_output(request, 1, &raw mut p, &raw mut n);
    // SAFETY: as above.
    if s < 0 { Err(s) } else { Ok(unsafe { core::slice::from_raw_parts_mut(p, n) }) }
}

/// Completes a buffered request with its input, which lies where its output goes.
pub fn echo(request: Handle) {
    let n = input(request).map_or(0, |i| i.len());
    let m = output(request).map_or(0, |o| o.len());
    wdf::request_complete_with(request, SUCCESS, n.min(m));
}

extern "system" fn control(queue: Handle, request: Handle, _out: usize, _in: usize, code: u32) {
    match code {
        0x22_2000 => {
            exercise::request(queue, request);
            adapter::fault_on_request();
            rings::fault_on_request();
            if !faults::request(queue, request) {
                echo(request);
            }
        }
        0x22_2004 => forward(request, &ONE_BY_ONE),
        0x22_2008 => mark(request),
        0x22_200C => {
            end_marked(SUCCESS);
            wdf::request_complete(request, SUCCESS);
        }
        0x22_2010 => forward(request, &WAITING),
        0x22_2014 => find(request),
        0x22_2018 => exercise::queues(queue, request),
        _ => wdf::request_complete(request, INVALID_DEVICE_REQUEST),
    }
}

fn forward(request: Handle, queue: &AtomicUsize) {
    let s = wdf::request_forward(request, queue.load(Ordering::Relaxed));
    if s < 0 {
        wdf::request_complete(request, s);
    }
}

/// Finds the last control request of this one's file in the manual queue, takes it out, puts it back, takes it out as the next of its
/// file, and completes it.
fn find(request: Handle) {
    let queue = WAITING.load(Ordering::Relaxed);
    let file = wdf::request_file(request);
    let (mut tag, mut found, mut p) = (0, 0, [40u64, 0, 0, 0, 0]);
    loop {
        let mut next = 0;
        let s = wdf::queue_find(queue, tag, file, (&raw mut p).cast(), &raw mut next);
        if tag != 0 {
            dereference(tag);
        }
        tag = next;
        if s < 0 {
            break;
        }
        if p[0] >> 32 == 14 {
            if found != 0 {
                dereference(found);
            }
            crate::reference(next);
            found = next;
        }
    }
    if found == 0 {
        return wdf::request_complete(request, crate::UNSUCCESSFUL);
    }
    let mut taken = 0;
    let s = wdf::queue_take_found(queue, found, &raw mut taken);
    dereference(found);
    if s < 0 {
        return wdf::request_complete(request, s);
    }
    expect(wdf::request_queue(taken) == queue && wdf::request_is_canceled(taken) == 0);
    if wdf::request_requeue(taken) < 0 {
        wdf::request_complete(taken, CANCELLED);
    } else {
        let mut again = 0;
        // At the head again, unless it has been cancelled meanwhile.
        if wdf::queue_next_of_file(queue, file, &raw mut again) >= 0 {
            echo(again);
        }
    }
    wdf::request_complete(request, SUCCESS);
}

extern "system" fn one_by_one(_queue: Handle, request: Handle) {
    expect(AT_ONCE.fetch_add(1, Ordering::SeqCst) == 0);
    // PASSIVE_LEVEL: waiting is allowed.
    wdf::sleep(1);
    expect(AT_ONCE.fetch_sub(1, Ordering::SeqCst) == 1);
    echo(request);
}

extern "system" fn canceled_on_queue(_queue: Handle, request: Handle) {
    CANCELED_ON_QUEUE.fetch_add(1, Ordering::SeqCst);
    wdf::request_complete(request, CANCELLED);
}

extern "system" fn read(_queue: Handle, request: Handle, _length: usize) {
    let number = READS.fetch_add(1, Ordering::SeqCst);
    // 601, wdf.power-stop-blocked: the read that is outstanding over a sleep.
    if fault() == 601 && number == 1 {
        return;
    }
    // 502, wdf.request-never-completed: the one that is outstanding when the device goes, of a queue that no power-down stops.
    if fault() == 502 && number == 2 {
        let (queue, mut kept) = (WAITING.load(Ordering::Relaxed), 0);
        wdf::request_forward(request, queue);
        wdf::queue_next(queue, &raw mut kept);
        return;
    }
    forward(request, &WAITING);
}

extern "system" fn write(_queue: Handle, request: Handle, _length: usize) {
    let bytes = match input(request) {
        Ok(b) => b,
        Err(s) => return wdf::request_complete(request, s),
    };
    let mut reader = 0;
    if wdf::queue_next(WAITING.load(Ordering::Relaxed), &raw mut reader) >= 0 {
        match output(reader) {
            Ok(out) => {
                let n = bytes.len().min(out.len());
                out.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
                wdf::request_complete_with(reader, SUCCESS, n);
            }
            Err(s) => wdf::request_complete(reader, s),
        }
    }
    wdf::request_complete_with(request, SUCCESS, bytes.len());
}

/// EvtIoStop: what waits here is kept over a sleep, and ends with the device.
extern "system" fn stop(_queue: Handle, request: Handle, flags: u32) {
    const PURGE: u32 = 2;
    // 601, wdf.power-stop-blocked: neither.
    if fault() == 601 {
        return;
    }
    if flags & PURGE != 0 {
        end_marked(CANCELLED);
    } else {
        wdf::request_stop_acknowledge(request, 0);
    }
}
