//! PnP and power: the order of callbacks at start, sleep, wake and removal.
//!
//! The order is that of the WDK's "PnP and Power Management Scenarios".

use super::abi::{INVALID_DEVICE_STATE, NOT_SUPPORTED, NtStatus, SUCCESS, success};
use super::device::{self, Device};
use super::irp::Irp;
use super::object::{Ref, lock};
use super::sync::driver_call;
use super::{interface, queue};
use crate::irql::{self, PASSIVE};
use crate::nt::{DEVICE_OBJECT, mn};
use crate::report::{Rule, record};
use std::sync::atomic::Ordering;

const STATUS_RULE: Rule = Rule::new(
    "wdf.bad-callback-status",
    "WDK: a PnP callback returns a status for which NT_SUCCESS holds, or an error; never STATUS_PENDING or STATUS_NOT_SUPPORTED",
);

/// IRP_MN_CANCEL_STOP_DEVICE.
const CANCEL_STOP_DEVICE: u8 = 6;

/// WDF_POWER_DEVICE_STATE.
const D0: u32 = 1;
const D3: u32 = 4;
const D3_FINAL: u32 = 5;

/// PnP and power state of a device.
#[derive(Debug)]
pub struct State {
    /// Between a successful start and removal.
    pub started: bool,
    /// In D0.
    pub d0: bool,
    prepared: bool,
    smio: bool,
    removed: bool,
    /// WDF_DEVICE_PNP_CAPABILITIES as words.
    pub pnp_capabilities: [u32; 12],
    /// WDF_DEVICE_STATE without its size.
    pub device_state: [u32; 7],
    /// WdfDeviceSetFailed, or 0.
    pub failed: u32,
    /// WdfDeviceSetStaticStopRemove.
    pub stoppable: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            started: false,
            d0: false,
            prepared: false,
            smio: false,
            removed: false,
            pnp_capabilities: [2; 12],
            device_state: [2; 7],
            failed: 0,
            stoppable: true,
        }
    }
}

type Simple = unsafe extern "win64" fn(usize) -> NtStatus;
type Nothing = unsafe extern "win64" fn(usize);
type WithState = unsafe extern "win64" fn(usize, u32) -> NtStatus;
type Prepare = unsafe extern "win64" fn(usize, usize, usize) -> NtStatus;
type Release = unsafe extern "win64" fn(usize, usize) -> NtStatus;

fn judged(what: &str, s: NtStatus) -> NtStatus {
    if s == super::abi::PENDING || s == NOT_SUPPORTED {
        record(STATUS_RULE, &format!("{what} returned {s:#x}"));
    }
    s
}

fn simple(what: &'static str, f: usize, d: Ref) -> NtStatus {
    if f == 0 {
        return SUCCESS;
    }
    // SAFETY: a callback of the driver's WDF_PNPPOWER_EVENT_CALLBACKS with this prototype.
    judged(what, unsafe { driver_call(what, || std::mem::transmute::<usize, Simple>(f)(d.handle())) })
}

fn nothing(what: &'static str, f: usize, d: Ref) {
    if f != 0 {
        // SAFETY: as above.
        unsafe { driver_call(what, || std::mem::transmute::<usize, Nothing>(f)(d.handle())) }
    }
}

fn with_state(what: &'static str, f: usize, d: Ref, s: u32) -> NtStatus {
    if f == 0 {
        return SUCCESS;
    }
    // SAFETY: as above.
    judged(what, unsafe { driver_call(what, || std::mem::transmute::<usize, WithState>(f)(d.handle(), s)) })
}

fn hooks(b: &Device) -> Vec<std::sync::Arc<dyn super::hooks::DeviceHooks>> {
    lock(&b.hooks).clone()
}

fn start(o: Ref, b: &Device) -> NtStatus {
    let lists = super::resource::empty_lists(o);
    if b.pnp.prepare_hardware != 0 {
        let (raw, translated) = lists;
        // SAFETY: EvtDevicePrepareHardware of the driver's.
        let s = unsafe {
            driver_call("EvtDevicePrepareHardware", || {
                std::mem::transmute::<usize, Prepare>(b.pnp.prepare_hardware)(o.handle(), raw, translated)
            })
        };
        lock(&b.state).prepared = true;
        if !success(judged("EvtDevicePrepareHardware", s)) {
            release(o, b);
            return s;
        }
    }
    lock(&b.state).prepared = true;
    for h in hooks(b) {
        let s = h.prepared(o);
        if !success(s) {
            release(o, b);
            return s;
        }
    }
    let s = up(o, b, D3_FINAL);
    if !success(s) {
        release(o, b);
        return s;
    }
    lock(&b.state).started = true;
    interface::started(b);
    SUCCESS
}

/// Power-up; `from` is the state the device leaves.
fn up(o: Ref, b: &Device, from: u32) -> NtStatus {
    let s = with_state("EvtDeviceD0Entry", b.pnp.d0_entry, o, from);
    if !success(s) {
        return s;
    }
    let s = with_state("EvtDeviceD0EntryPostInterruptsEnabled", b.pnp.d0_entry_post, o, from);
    if !success(s) {
        let _ = with_state("EvtDeviceD0Exit", b.pnp.d0_exit, o, D3_FINAL);
        return s;
    }
    lock(&b.state).d0 = true;
    b.powered.store(true, Ordering::Release);
    queue::power_up(b);
    let first = !std::mem::replace(&mut lock(&b.state).smio, true);
    let s = if first {
        simple("EvtDeviceSelfManagedIoInit", b.pnp.smio_init, o)
    } else {
        simple("EvtDeviceSelfManagedIoRestart", b.pnp.smio_restart, o)
    };
    let mut s = s;
    if success(s) {
        for h in hooks(b) {
            s = h.powered_up(o, first);
            if !success(s) {
                break;
            }
        }
    }
    if !success(s) {
        down(o, b, D3_FINAL);
    }
    s
}

/// Power-down; `to` is the state the device enters.
fn down(o: Ref, b: &Device, to: u32) {
    if !std::mem::replace(&mut lock(&b.state).d0, false) {
        return;
    }
    for h in hooks(b).iter().rev() {
        h.powering_down(o, to == D3_FINAL);
    }
    let _ = simple("EvtDeviceSelfManagedIoSuspend", b.pnp.smio_suspend, o);
    b.powered.store(false, Ordering::Release);
    queue::power_down(b, to == D3_FINAL);
    let _ = with_state("EvtDeviceD0ExitPreInterruptsDisabled", b.pnp.d0_exit_pre, o, to);
    let _ = with_state("EvtDeviceD0Exit", b.pnp.d0_exit, o, to);
}

fn release(o: Ref, b: &Device) {
    if !std::mem::replace(&mut lock(&b.state).prepared, false) {
        return;
    }
    if b.pnp.release_hardware != 0 {
        let (_, translated) = super::resource::empty_lists(o);
        // SAFETY: EvtDeviceReleaseHardware of the driver's.
        let s = unsafe {
            driver_call("EvtDeviceReleaseHardware", || {
                std::mem::transmute::<usize, Release>(b.pnp.release_hardware)(o.handle(), translated)
            })
        };
        judged("EvtDeviceReleaseHardware", s);
    }
    for h in hooks(b).iter().rev() {
        h.released(o);
    }
}

fn remove(o: Ref, b: &Device) {
    interface::stopped(b);
    let started = std::mem::replace(&mut lock(&b.state).started, false);
    down(o, b, D3_FINAL);
    release(o, b);
    queue::purge_device(b, true);
    nothing("EvtDeviceSelfManagedIoFlush", if lock(&b.state).smio { b.pnp.smio_flush } else { 0 }, o);
    queue::purge_device(b, false);
    nothing("EvtDeviceSelfManagedIoCleanup", if lock(&b.state).smio { b.pnp.smio_cleanup } else { 0 }, o);
    if started {
        for h in hooks(b).iter().rev() {
            h.removed(o);
        }
    }
}

/// IRP_MJ_PNP.
pub(super) fn dispatch(o: Ref, irp: Irp) -> NtStatus {
    irql::require_at_most(PASSIVE);
    let b: &Device = o.body();
    let Some(lower) = b.lower else {
        irp.complete(super::abi::INVALID_DEVICE_REQUEST, 0);
        return super::abi::INVALID_DEVICE_REQUEST;
    };
    let (_, minor) = irp.function();
    let finish = |s: NtStatus| {
        irp.complete(s, 0);
        s
    };
    match minor {
        mn::START_DEVICE => {
            let s = irp.pass_down_and_wait(lower);
            finish(if success(s) { start(o, b) } else { s })
        }
        mn::QUERY_REMOVE_DEVICE => {
            let s = if lock(&b.state).stoppable {
                simple("EvtDeviceQueryRemove", b.pnp.query_remove, o)
            } else {
                INVALID_DEVICE_STATE
            };
            if success(s) { pass_with_success(irp, lower) } else { finish(s) }
        }
        mn::QUERY_STOP_DEVICE => {
            let s = if lock(&b.state).stoppable {
                simple("EvtDeviceQueryStop", b.pnp.query_stop, o)
            } else {
                INVALID_DEVICE_STATE
            };
            if success(s) { pass_with_success(irp, lower) } else { finish(s) }
        }
        mn::STOP_DEVICE => {
            down(o, b, D3_FINAL);
            release(o, b);
            pass_with_success(irp, lower)
        }
        mn::SURPRISE_REMOVAL => {
            nothing("EvtDeviceSurpriseRemoval", b.pnp.surprise_removal, o);
            remove(o, b);
            lock(&b.state).removed = true;
            pass_with_success(irp, lower)
        }
        mn::REMOVE_DEVICE => {
            if !std::mem::replace(&mut lock(&b.state).removed, true) {
                remove(o, b);
            }
            let s = pass_with_success(irp, lower);
            device::destroy(o);
            s
        }
        mn::QUERY_PNP_DEVICE_STATE => {
            let failed = lock(&b.state).failed != 0;
            if failed {
                // PNP_DEVICE_FAILED.
                irp.set_information(irp.information() | 4);
            }
            pass_with_success(irp, lower)
        }
        mn::CANCEL_REMOVE_DEVICE | CANCEL_STOP_DEVICE => pass_with_success(irp, lower),
        _ => irp.pass_down(lower),
    }
}

fn pass_with_success(irp: Irp, lower: super::irp::Dev) -> NtStatus {
    irp.set_status(SUCCESS);
    irp.pass_down(lower)
}

/// IRP_MJ_POWER: the lab's sleep and wake come by [`power_down`] and [`power_up`]; IRPs are passed down.
pub(super) fn dispatch_power(o: Ref, irp: Irp) -> NtStatus {
    let b: &Device = o.body();
    match b.lower {
        Some(l) => pass_with_success(irp, l),
        None => {
            irp.complete(super::abi::INVALID_DEVICE_REQUEST, 0);
            super::abi::INVALID_DEVICE_REQUEST
        }
    }
}

/// The system goes to sleep: the device of this driver's device object leaves D0.
pub fn power_down(fdo: *mut DEVICE_OBJECT) -> NtStatus {
    let Some(o) = device::of_wdm(fdo) else { return INVALID_DEVICE_STATE };
    down(o, o.body(), D3);
    SUCCESS
}

/// The system wakes: the device enters D0 again.
pub fn power_up(fdo: *mut DEVICE_OBJECT) -> NtStatus {
    let Some(o) = device::of_wdm(fdo) else { return INVALID_DEVICE_STATE };
    let b: &Device = o.body();
    let (started, d0) = {
        let s = lock(&b.state);
        (s.started, s.d0)
    };
    if !started || d0 {
        return if started { SUCCESS } else { INVALID_DEVICE_STATE };
    }
    up(o, b, D3)
}

/// WDF_POWER_DEVICE_STATE of a powered device, for state queries.
#[must_use]
pub const fn d0() -> u32 {
    D0
}
