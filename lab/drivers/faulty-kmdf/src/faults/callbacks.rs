//! Faults with locks, timers, DPCs and work items: 4xx; and with a queue's state: 6xx.

use super::{network_device, wait_for_it};
use crate::fault;
use crate::io;
use crate::wdf::{self, Attributes, DeferredConfig, Handle, TimerConfig};
use core::ptr::null;
use core::sync::atomic::Ordering;

extern "system" fn stop_itself(timer: Handle) {
    wdf::timer_stop(timer, 1);
}

extern "system" fn delete_itself(timer: Handle) {
    wdf::object_delete(timer);
}

extern "system" fn flush_itself(item: Handle) {
    wdf::work_item_flush(item);
}

extern "system" fn nothing(_queue: Handle, _context: usize) {}

/// Creates a timer whose callback runs at PASSIVE_LEVEL, and lets it.
fn passive_timer(device: Handle, func: extern "system" fn(Handle)) {
    let a = Attributes { execution: wdf::PASSIVE, ..Attributes::new(device) };
    let (c, mut timer) = (TimerConfig::new(func, 0), 0);
    wdf::timer_create(&raw const c, &raw const a, &raw mut timer);
    wdf::timer_start(timer, -10_000);
    wait_for_it();
}

pub fn run(device: Handle, queue: Handle) {
    let a = Attributes::new(device);
    let mut o = 0;
    let one_by_one = io::ONE_BY_ONE.load(Ordering::Relaxed);
    match fault() {
        // wdf.waitlock-recursive
        401 => {
            wdf::wait_lock_create(&raw const a, &raw mut o);
            wdf::wait_lock_acquire(o, null());
            wdf::wait_lock_acquire(o, null());
        }
        // wdf.waitlock-not-owner
        402 => {
            wdf::wait_lock_create(&raw const a, &raw mut o);
            wdf::wait_lock_release(o);
        }
        // wdf.lock-deleted-while-held
        403 => {
            wdf::wait_lock_create(&raw const a, &raw mut o);
            wdf::wait_lock_acquire(o, null());
            wdf::object_delete(o);
        }
        404 => {
            wdf::spin_lock_create(&raw const a, &raw mut o);
            wdf::spin_lock_acquire(o);
            wdf::object_delete(o);
        }
        // wdf.waitlock-held-after-callback
        405 => {
            wdf::wait_lock_create(&raw const a, &raw mut o);
            wdf::wait_lock_acquire(o, null());
        }
        // wdf.lock-not-held
        406 => wdf::object_unlock(one_by_one),
        // wdf.no-callback-lock: the device has no synchronization scope.
        407 => wdf::object_lock(network_device()),
        // wdf.callback-lock-held-after-callback
        408 => wdf::object_lock(one_by_one),
        // wdf.bad-timer-config
        409 => {
            let c = TimerConfig { func: 0, ..TimerConfig::new(stop_itself, 0) };
            wdf::timer_create(&raw const c, &raw const a, &raw mut o);
        }
        // wdf.bad-deferred-config
        410 => {
            let c = DeferredConfig { func: 0, ..DeferredConfig::new(stop_itself) };
            wdf::dpc_create(&raw const c, &raw const a, &raw mut o);
        }
        // wdf.wait-in-own-callback
        411 => passive_timer(device, stop_itself),
        // wdf.timer-deleted-in-callback
        412 => passive_timer(device, delete_itself),
        // wdf.wait-in-own-callback
        413 => {
            let c = DeferredConfig::new(flush_itself);
            wdf::work_item_create(&raw const c, &raw const a, &raw mut o);
            wdf::work_item_enqueue(o);
            wait_for_it();
        }
        // wdf.sync-call-from-callback
        604 => wdf::queue_stop_sync(queue),
        605 => wdf::queue_purge_sync(queue),
        // wdf.queue-state-busy: the request of this callback keeps the first from its end.
        606 => {
            wdf::queue_stop(queue, nothing as *const () as usize, 0);
            wdf::queue_drain(queue, nothing as *const () as usize, 0);
        }
        _ => {}
    }
}
