//! WDFFILEOBJECT: create, cleanup and close.

use super::abi::{Handle, NtStatus, PENDING, SUCCESS};
use super::bind::{G, enter};
use super::device::Device;
use super::irp::Irp;
use super::object::{self, Body, Kind, Ref, lock};
use super::sync::{driver_call, under};
use super::table::{Entry, entries};
use super::{dispatch, queue, request};
use crate::irql::{DISPATCH, PASSIVE};
use crate::nt::FILE_OBJECT;

/// WDFFILEOBJECT. The framework alone deletes it.
pub static FILE: Kind = Kind::new("WDFFILEOBJECT", false, true, false);

const USE_FS_CONTEXT: u32 = 2;
const USE_FS_CONTEXT2: u32 = 3;
const NOT_REQUIRED: u32 = 1;

/// The framework's part of a file object.
#[derive(Debug)]
pub struct File {
    /// The device it was opened on.
    pub device: Ref,
    /// FILE_OBJECT.
    pub wdm: usize,
}
impl Body for File {}

fn place(wdm: *mut FILE_OBJECT, class: u32, v: usize) {
    // SAFETY: the I/O manager's file object; the driver gave these fields to the framework by its file object class.
    unsafe {
        match class & 0x7FFF_FFFF {
            USE_FS_CONTEXT => (*wdm).FsContext = v as *mut _,
            USE_FS_CONTEXT2 => (*wdm).FsContext2 = v as *mut _,
            _ => {}
        }
    }
}

/// The file object of an IRP, if the device has file objects.
#[must_use]
pub fn of_irp(d: &Device, irp: Irp) -> Option<Ref> {
    let f = irp.file();
    if f.is_null() {
        return None;
    }
    lock(&d.files).get(&f.addr()).copied()
}

/// IRP_MJ_CREATE.
pub(super) fn create(o: Ref, irp: Irp) -> NtStatus {
    let d: &Device = o.body();
    let wdm = irp.file();
    irp.set_information(0);
    let mut made = None;
    if let Some((config, a)) = &d.file
        && config.class & 0x7FFF_FFFF != NOT_REQUIRED
        && !wdm.is_null()
    {
        let f = match object::create(&FILE, a, Some(o), Box::new(File { device: o, wdm: wdm.addr() })) {
            Ok(f) => f,
            Err(s) => {
                irp.complete(s, 0);
                return s;
            }
        };
        lock(&d.files).insert(wdm.addr(), f);
        place(wdm, config.class, f.handle());
        made = Some(f);
    }
    let callback = d.file.map_or(0, |(c, _)| c.create);
    let queue = lock(&d.queues).by_type.get(&0).copied();
    if callback == 0 && queue.is_none() {
        irp.complete(SUCCESS, 0);
        return SUCCESS;
    }
    let r = match request::create(o, irp) {
        Ok(r) => r,
        Err(s) => {
            forget(d, made, irp);
            irp.complete(s, 0);
            return s;
        }
    };
    irp.mark_pending();
    if callback != 0 {
        request::give_to_driver(r);
        let f = made.map_or(0, |f| f.handle());
        let l = d.callback_lock.clone();
        under(l.as_deref(), || {
            // SAFETY: EvtDeviceFileCreate of the driver's file object configuration.
            unsafe {
                let cb = std::mem::transmute::<usize, unsafe extern "win64" fn(Handle, Handle, Handle)>(callback);
                driver_call("EvtDeviceFileCreate", || cb(o.handle(), r.handle(), f));
            }
        });
    } else {
        dispatch::deliver(o, r);
    }
    PENDING
}

/// A create request was completed with this status.
pub(super) fn create_completed(d: &Device, file: Option<Ref>, irp: Irp, status: NtStatus) {
    if status < 0 {
        forget(d, file, irp);
    }
}

fn forget(d: &Device, file: Option<Ref>, irp: Irp) {
    let wdm = irp.file();
    lock(&d.files).remove(&wdm.addr());
    if let Some(f) = file {
        place(wdm, d.file.map_or(0, |(c, _)| c.class), 0);
        object::delete_if_live(f);
    }
}

fn call(d: &Device, what: &'static str, f: usize, file: Option<Ref>) {
    let Some(file) = file else { return };
    if f == 0 {
        return;
    }
    let l = d.callback_lock.clone();
    under(l.as_deref(), || {
        // SAFETY: EvtFileCleanup or EvtFileClose of the driver's file object configuration.
        unsafe {
            let cb = std::mem::transmute::<usize, super::abi::HandleCallback>(f);
            driver_call(what, || cb(file.handle()));
        }
    });
}

/// IRP_MJ_CLEANUP: the last handle is closed.
pub(super) fn cleanup(o: Ref, irp: Irp) -> NtStatus {
    let d: &Device = o.body();
    let file = of_irp(d, irp);
    call(d, "EvtFileCleanup", d.file.map_or(0, |(c, _)| c.cleanup), file);
    let wdm = irp.file().addr();
    queue::cancel_file(d, wdm);
    irp.complete(SUCCESS, 0);
    SUCCESS
}

/// IRP_MJ_CLOSE: the file object goes away. The I/O manager sends it when nothing of the file is outstanding.
pub(super) fn close(o: Ref, irp: Irp) -> NtStatus {
    let d: &Device = o.body();
    let file = of_irp(d, irp);
    call(d, "EvtFileClose", d.file.map_or(0, |(c, _)| c.close), file);
    forget(d, file, irp);
    irp.complete(SUCCESS, 0);
    SUCCESS
}

unsafe extern "win64" fn get_device(g: G, file: Handle) -> Handle {
    let _call = enter(g, "WdfFileObjectGetDevice", DISPATCH);
    object::expect_kept(file, &FILE).body::<File>().device.handle()
}

unsafe extern "win64" fn wdm(g: G, file: Handle) -> usize {
    let _call = enter(g, "WdfFileObjectWdmGetFileObject", DISPATCH);
    object::expect(file, &FILE).body::<File>().wdm
}

unsafe extern "win64" fn name(g: G, file: Handle) -> usize {
    let _call = enter(g, "WdfFileObjectGetFileName", PASSIVE);
    let f = object::expect(file, &FILE).body::<File>().wdm as *mut FILE_OBJECT;
    // SAFETY: the file object of a live WDFFILEOBJECT.
    unsafe { (&raw const (*f).FileName).addr() }
}

unsafe extern "win64" fn flags(g: G, file: Handle) -> u32 {
    let _call = enter(g, "WdfFileObjectGetFlags", DISPATCH);
    let f = object::expect(file, &FILE).body::<File>().wdm as *mut FILE_OBJECT;
    // SAFETY: as above.
    unsafe { (*f).Flags }
}

/// This file's part of the table.
#[must_use]
pub fn table_entries() -> Vec<Entry> {
    entries! {
        "WdfFileObjectGetDevice" => get_device,
        "WdfFileObjectWdmGetFileObject" => wdm,
        "WdfFileObjectGetFileName" => name,
        "WdfFileObjectGetFlags" => flags,
    }
}
