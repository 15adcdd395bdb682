//! The network device: EvtDriverDeviceAdd, PnP and power callbacks, self-managed I/O, the device's names; and a control device.

use crate::wdf::{self, Attributes, ContextType, FileConfig, Handle, NtStatus, PnpCallbacks, UnicodeString};
use crate::{PENDING, SUCCESS, adapter, expect, fault, faults, io, net, ok, wide};
use core::ptr::null;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// What a device's context holds.
#[repr(C)]
pub struct Device {
    pub entered: u32,
    pub exited: u32,
    pub smio: u32,
}

pub static DEVICE_TYPE: ContextType = ContextType {
    size: 40,
    name: c"DEVICE".as_ptr().cast(),
    context_size: size_of::<Device>(),
    unique: &raw const DEVICE_TYPE,
    get_unique: 0,
};

/// The network device.
pub static DEVICE: AtomicUsize = AtomicUsize::new(0);
/// The control device.
pub static CONTROL: AtomicUsize = AtomicUsize::new(0);
/// Devices that were removed: contexts cleaned up.
pub static REMOVED: AtomicU32 = AtomicU32::new(0);

/// GUID_DEVINTERFACE_NET.
pub static GUID: [u32; 4] = [0xCAC8_8484, 0x4C03_7515, 0xA886_E682, 0x0060_979C];
pub static OTHER_GUID: [u32; 4] = [1, 2, 3, 4];
pub static REFERENCE: &[u16] = wide!("lab-faulty");
/// SDDL_DEVOBJ_SYS_ALL_ADM_ALL.
pub static SDDL: &[u16] = wide!("D:P(A;;GA;;;SY)(A;;GA;;;BA)");
static NAME: &[u16] = wide!("\\Device\\LabFaultyKmdf");
static LINK: &[u16] = wide!("\\DosDevices\\lab-faulty-kmdf");

pub fn context(device: Handle) -> &'static mut Device {
    // SAFETY: the framework's context space; PnP callbacks alone use it, which are serialised.
    unsafe { &mut *wdf::typed_context(device, &raw const DEVICE_TYPE).cast::<Device>() }
}

fn init_pnp(init: Handle) {
    let p = |f: extern "system" fn(Handle) -> NtStatus| f as usize;
    let n = |f: extern "system" fn(Handle)| f as usize;
    let c = PnpCallbacks {
        size: 144,
        d0_entry: d0_entry as *const () as usize,
        d0_entry_post: 0,
        d0_exit: d0_exit as *const () as usize,
        d0_exit_pre: 0,
        prepare: prepare as *const () as usize,
        release: release as *const () as usize,
        smio_cleanup: n(smio_cleanup),
        smio_flush: n(smio_flush),
        smio_init: p(smio_init),
        smio_suspend: p(smio_suspend),
        smio_restart: p(smio_restart),
        surprise: 0,
        query_remove: 0,
        query_stop: 0,
        others: [0; 3],
    };
    wdf::device_init_set_pnp(init, &raw const c);
}

fn init_files(init: Handle) {
    let mut config = FileConfig {
        size: 40,
        create: io::file_create as *const () as usize,
        close: io::file_close as *const () as usize,
        cleanup: io::file_cleanup as *const () as usize,
        forward: 2,
        class: 4,
    };
    let mut attributes = Attributes::new(0);
    match fault() {
        // wdf.bad-file-object-class
        202 => config.class = 9,
        // netcx.fs-context: WdfFileObjectWdfCanUseFsContext is taken, by NDIS.
        210 | 211 => config.class = 2,
        // wdf.wrong-parent: the framework alone says what a file object belongs to.
        212 => attributes.parent = crate::bind::DRIVER.load(Ordering::Relaxed),
        // wdf.bad-attributes: zeroed rather than initialised.
        213 => attributes.execution = 0,
        _ => {}
    }
    wdf::device_init_set_file_config(init, &raw const config, &raw const attributes);
}

/// EvtDriverDeviceAdd.
pub extern "system" fn add(driver: Handle, init: Handle) -> NtStatus {
    let mut init = init;
    if fault() == 110 {
        // wdf.device-add-without-device
        return SUCCESS;
    }
    if fault() == 211 {
        // netcx.fs-context, the other order.
        init_files(init);
    }
    let s = net::device_init_config(init);
    if s < 0 {
        return s;
    }
    faults::device_init(init);
    init_pnp(init);
    init_files(init);
    io::init(init);
    let mut a = Attributes::new(0);
    a.context_type = &raw const DEVICE_TYPE;
    a.cleanup = cleanup as *const () as usize;
    // Callbacks of the queues are serialised, at PASSIVE_LEVEL, where the queue says so.
    let kept = init;
    let mut device = 0;
    let s = wdf::device_create(&raw mut init, &raw const a, &raw mut device);
    if s < 0 {
        return s;
    }
    if fault() == 201 {
        // wdf.bad-device-init: it was used up.
        wdf::device_init_set_exclusive(kept, 1);
    }
    expect(init == 0);
    DEVICE.store(device, Ordering::Relaxed);
    expect(wdf::from_wdm_device(wdf::wdm_device(device)) == device);
    let s = names(device);
    if s < 0 {
        return s;
    }
    let s = io::create(device);
    if s < 0 {
        return s;
    }
    faults::device_created(device);
    control_device(driver);
    adapter::create(device)
}

fn names(device: Handle) -> NtStatus {
    let reference = UnicodeString::new(REFERENCE);
    // 209, netcx.interface-without-reference
    let r = if fault() == 209 { null() } else { &raw const reference };
    let s = wdf::device_create_interface(device, &raw const GUID, r);
    if s < 0 {
        return s;
    }
    let link = UnicodeString::new(LINK);
    wdf::device_create_symbolic_link(device, &raw const link)
}

/// A control device beside the network device, for as long as that lives.
fn control_device(driver: Handle) {
    let sddl = UnicodeString::new(if fault() == 203 { wide!("D:P(everyone)") } else { SDDL });
    // 203, wdf.bad-sddl
    let mut init = wdf::control_device_init_allocate(driver, &raw const sddl);
    if init == 0 {
        return;
    }
    let name = UnicodeString::new(NAME);
    ok(wdf::device_init_assign_name(init, &raw const name));
    match fault() {
        // wdf.not-for-control-device
        204 => init_pnp(init),
        // wdf.device-init-leak
        206 => return,
        _ => {}
    }
    let mut device = 0;
    ok(wdf::device_create(&raw mut init, null(), &raw mut device));
    ok(io::create_control(device));
    wdf::control_finish_initializing(device);
    if fault() == 205 {
        // wdf.control-device-finish: once is enough.
        wdf::control_finish_initializing(device);
    }
    CONTROL.store(device, Ordering::Relaxed);
}

extern "system" fn cleanup(device: Handle) {
    let c = context(device);
    // Each power-up was followed by a power-down, each start of self-managed I/O by its end.
    expect(c.entered == c.exited);
    expect(c.smio == 0 || c.smio == SMIO_CLEANED);
    let control = CONTROL.swap(0, Ordering::Relaxed);
    if control != 0 {
        wdf::object_delete(control);
    }
    DEVICE.store(0, Ordering::Relaxed);
    REMOVED.fetch_add(1, Ordering::Relaxed);
    faults::device_cleanup();
}

extern "system" fn prepare(_device: Handle, _raw: Handle, _translated: Handle) -> NtStatus {
    adapter::start()
}

extern "system" fn release(_device: Handle, _translated: Handle) -> NtStatus {
    SUCCESS
}

extern "system" fn d0_entry(device: Handle, _from: u32) -> NtStatus {
    context(device).entered += 1;
    // 208, wdf.bad-callback-status
    if fault() == 208 { PENDING } else { SUCCESS }
}

extern "system" fn d0_exit(device: Handle, _to: u32) -> NtStatus {
    let c = context(device);
    c.exited += 1;
    expect(c.entered == c.exited);
    SUCCESS
}

const SMIO_RUNNING: u32 = 1;
const SMIO_SUSPENDED: u32 = 2;
const SMIO_FLUSHED: u32 = 3;
const SMIO_CLEANED: u32 = 4;

fn smio(device: Handle, from: u32, to: u32) {
    let c = context(device);
    expect(c.smio == from && (c.entered > c.exited) == (to < SMIO_FLUSHED));
    c.smio = to;
}

extern "system" fn smio_init(device: Handle) -> NtStatus {
    smio(device, 0, SMIO_RUNNING);
    SUCCESS
}

extern "system" fn smio_suspend(device: Handle) -> NtStatus {
    smio(device, SMIO_RUNNING, SMIO_SUSPENDED);
    SUCCESS
}

extern "system" fn smio_restart(device: Handle) -> NtStatus {
    smio(device, SMIO_SUSPENDED, SMIO_RUNNING);
    SUCCESS
}

extern "system" fn smio_flush(device: Handle) {
    smio(device, SMIO_SUSPENDED, SMIO_FLUSHED);
}

extern "system" fn smio_cleanup(device: Handle) {
    smio(device, SMIO_FLUSHED, SMIO_CLEANED);
}
