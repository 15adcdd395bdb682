//! Faults that no place in the driver's own work calls for, by the moment that they come at.

mod callbacks;
mod objects;
mod requests;

use crate::device::{self, OTHER_GUID, REFERENCE};
use crate::wdf::{self, Attributes, Handle, QueueConfig, UnicodeString};
use crate::{fault, io, wide};
use core::ptr::{null, null_mut};

/// In DriverEntry, with the driver object.
pub fn bound(driver: Handle) {
    match fault() {
        // wdf.not-implemented
        112 => _ = wdf::usb_target_device_create(driver),
        // wdf.table-too-short: a function of a later version.
        113 => wdf::beyond_the_table(),
        // wdf.miniport-unload: the framework has the driver's unload.
        114 => wdf::miniport_unload(driver),
        _ => {}
    }
}

/// In EvtDriverUnload.
pub fn unloading() {
    // 311, wdf.object-leak
    if fault() == 311 {
        let (a, mut object) = (Attributes::new(0), 0);
        wdf::object_create(&raw const a, &raw mut object);
        crate::reference(object);
    }
}

/// In EvtDriverDeviceAdd, after NetDeviceInitConfig.
pub fn device_init(init: Handle) {
    let name = UnicodeString::new(wide!("\\Device\\LabFaulty"));
    match fault() {
        // netcx.forbidden-init-call
        214 => _ = wdf::device_init_assign_name(init, &raw const name),
        215 => wdf::device_init_set_device_type(init, 0x12),
        216 => wdf::device_init_set_release_order(init, 1),
        // wdf.bad-device-init: it is the framework's.
        217 => wdf::device_init_free(init),
        _ => {}
    }
}

/// In EvtDriverDeviceAdd, with the device and its queues.
pub fn device_created(device: Handle) {
    let reference = UnicodeString::new(REFERENCE);
    let wrong = QueueConfig { dispatch: 7, evt_default: 1, ..QueueConfig::new(wdf::MANUAL) };
    let manual = QueueConfig::new(wdf::MANUAL);
    match fault() {
        // wdf.unknown-device-interface
        207 => wdf::device_set_interface_state(device, &raw const OTHER_GUID, &raw const reference, 1),
        // wdf.bad-queue-config
        602 => _ = wdf::queue_create(device, &raw const wrong, null(), null_mut()),
        // wdf.wrong-parent: a queue that outlives its device.
        603 => {
            let a = Attributes::new(crate::bind::DRIVER.load(core::sync::atomic::Ordering::Relaxed));
            _ = wdf::queue_create(device, &raw const manual, &raw const a, null_mut());
        }
        _ => {}
    }
}

/// In the device's EvtCleanupCallback.
pub fn device_cleanup() {
    // 218, wdf.use-after-delete: the children are gone already.
    if fault() == 218 {
        wdf::queue_start(io::WAITING.load(core::sync::atomic::Ordering::Relaxed));
    }
}

/// With the control request. True where it completed the request, or gave it away.
pub fn request(queue: Handle, request: Handle) -> bool {
    let device = wdf::queue_device(queue);
    objects::run(device, queue, request);
    callbacks::run(device, queue);
    requests::run(queue, request)
}

/// A plain object of the device's.
fn object(device: Handle) -> Handle {
    let (a, mut o) = (Attributes::new(device), 0);
    wdf::object_create(&raw const a, &raw mut o);
    o
}

/// Waits for what another thread is about to do wrong.
fn wait_for_it() {
    for _ in 0..5000 {
        wdf::sleep(1);
    }
}

/// The network device.
fn network_device() -> Handle {
    device::DEVICE.load(core::sync::atomic::Ordering::Relaxed)
}
