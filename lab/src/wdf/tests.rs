//! Tests with a driver made of functions in this file: bound, called and unloaded as a loaded one is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::abi::{CANCELLED, ContextTypeInfo, Handle, NtStatus, RawAttributes, SUCCESS};
use super::bind::G;
use super::init::DeviceInit;
use super::object::{self, lock};
use super::table_names::{COUNT, NAMES, RELEASED};
use crate::nt::{DEVICE_OBJECT, DRIVER_OBJECT, FILE_OBJECT, IRP, OwnedUnicode, UNICODE_STRING, mj, mn};
use crate::{io, irql};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn log(s: impl Into<String>) {
    lock(&LOG).push(s.into());
}

#[repr(C)]
struct BindInfo {
    size: u32,
    component: *const u16,
    version: [u32; 3],
    count: u32,
    table: *mut *const usize,
    module: usize,
}

/// A bound driver of the test's.
struct Client {
    _turn: MutexGuard<'static, ()>,
    g: G,
    table: *const usize,
    driver: *mut DRIVER_OBJECT,
    pdo: *mut DEVICE_OBJECT,
    info: Box<BindInfo>,
    path: UNICODE_STRING,
}

fn export(name: &str) -> usize {
    super::exports().into_iter().find(|e| e.name == name).unwrap().address
}

/// A function of the client's table with its type.
macro_rules! wdf {
    ($c:expr, $name:literal, fn($($a:ty),*) $(-> $r:ty)?) => {
        $c.at::<unsafe extern "win64" fn(G, $($a),*) $(-> $r)?>($name)
    };
}

// Below the macro, to see it.
mod order;

fn attributes(parent: Handle) -> RawAttributes {
    RawAttributes {
        size: 56,
        evt_cleanup: None,
        evt_destroy: None,
        execution_level: 1,
        synchronization_scope: 1,
        parent,
        context_size_override: 0,
        context_type: std::ptr::null(),
    }
}

fn context_type(name: &'static std::ffi::CStr, size: usize) -> &'static ContextTypeInfo {
    let t = Box::leak(Box::new(ContextTypeInfo {
        size: 40,
        name: name.as_ptr().cast(),
        context_size: size,
        unique: std::ptr::null(),
        get_unique: 0,
    }));
    t.unique = std::ptr::from_ref(t);
    t
}

unsafe extern "win64" fn pdo_pnp(_d: *mut DEVICE_OBJECT, irp: *mut IRP) -> NtStatus {
    // SAFETY: the I/O manager's IRP.
    unsafe { io::irp::complete(irp, SUCCESS, 0) };
    SUCCESS
}

impl Client {
    fn bind() -> Self {
        let turn = lock(&ONE_AT_A_TIME);
        lock(&LOG).clear();
        let driver =
            io::device::create_driver(r"\Driver\test", r"\Registry\Machine\System\CurrentControlSet\Services\test");
        let bus = io::device::create_driver(r"\Driver\bus", "");
        // SAFETY: both driver objects are the test's.
        let pdo = unsafe {
            *(*bus).MajorFunction.get_mut(usize::from(mj::PNP)).unwrap() = Some(pdo_pnp);
            io::create_device(bus, 0, Some(r"\Device\00000042"), 0x22, 0, false).unwrap()
        };
        let component = OwnedUnicode::new("KmdfLibrary");
        let component = Box::leak(Box::new(component)).unicode().Buffer;
        let path = Box::leak(Box::new(OwnedUnicode::new(r"\Registry\Machine\test"))).unicode();
        let table: &'static mut *const usize = Box::leak(Box::new(std::ptr::null()));
        let mut info = Box::new(BindInfo { size: 48, component, version: [1, 15, 0], count: 444, table, module: 0 });
        let mut g: G = std::ptr::null_mut();
        // SAFETY: WdfVersionBind's prototype, with live arguments.
        let s = unsafe {
            let f = std::mem::transmute::<
                usize,
                unsafe extern "win64" fn(*mut DRIVER_OBJECT, *const UNICODE_STRING, *mut BindInfo, *mut G) -> NtStatus,
            >(export("WdfVersionBind"));
            f(driver, &raw const path, &raw mut *info, &raw mut g)
        };
        assert_eq!(s, SUCCESS);
        Self { _turn: turn, g, table: *table, driver, pdo, info, path }
    }

    fn entry(&self, name: &str) -> usize {
        let i = NAMES.iter().position(|n| *n == name).unwrap();
        // SAFETY: the table has 444 entries and more.
        unsafe { self.table.add(i).read() }
    }

    /// The same as the function pointer type `F`.
    fn at<F: Copy>(&self, name: &str) -> F {
        let entry = self.entry(name);
        assert_eq!(size_of::<F>(), size_of::<usize>());
        // SAFETY: the caller names the prototype of that function.
        unsafe { std::mem::transmute_copy::<usize, F>(&entry) }
    }

    /// WdfDriverCreate; EvtDriverDeviceAdd is [`device_add`].
    fn create_driver(&self) -> Handle {
        self.create_driver_with(0)
    }

    /// The same with WDF_DRIVER_INIT_FLAGS.
    fn create_driver_with(&self, flags: u32) -> Handle {
        #[repr(C)]
        struct Config(u32, usize, usize, u32, u32);
        let config = Config(32, device_add as *const () as usize, 0, flags, 0);
        let f = wdf!(
            self,
            "WdfDriverCreate",
            fn(*mut DRIVER_OBJECT, *const UNICODE_STRING, *const RawAttributes, *const Config, *mut Handle) -> NtStatus
        );
        let mut h = 0;
        // SAFETY: live arguments.
        let status =
            unsafe { f(self.g, self.driver, &raw const self.path, std::ptr::null(), &raw const config, &raw mut h) };
        assert_eq!(status, SUCCESS);
        h
    }

    /// AddDevice and START_DEVICE; the device's handle and its device object.
    fn start_device(&self) -> (Handle, *mut DEVICE_OBJECT) {
        CURRENT.store(std::ptr::from_ref(self).addr(), Ordering::SeqCst);
        // SAFETY: the framework has filled both in.
        unsafe {
            let add = (*(*self.driver).DriverExtension).AddDevice.unwrap();
            assert_eq!(add(self.driver, self.pdo), SUCCESS);
        }
        let o = super::device::of_pdo(self.pdo).unwrap();
        let wdm = o.body::<super::device::Device>().wdm.0;
        assert_eq!(pnp(wdm, mn::START_DEVICE), SUCCESS);
        (o.handle(), wdm)
    }

    fn unbind(mut self) {
        // SAFETY: the framework has set DriverUnload; the prototype of WdfVersionUnbind.
        unsafe {
            if let Some(u) = (*self.driver).DriverUnload {
                u(self.driver);
            }
            let f = std::mem::transmute::<
                usize,
                unsafe extern "win64" fn(*const UNICODE_STRING, *mut BindInfo, G) -> NtStatus,
            >(export("WdfVersionUnbind"));
            assert_eq!(f(&raw const self.path, &raw mut *self.info, self.g), SUCCESS);
            io::delete_device(self.pdo);
        }
        assert_eq!(super::bind::globals(), std::ptr::null_mut());
    }
}

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static QUEUE_HANDLE: AtomicUsize = AtomicUsize::new(0);

fn current() -> &'static Client {
    // SAFETY: the client lives for the whole test.
    unsafe { &*(CURRENT.load(Ordering::SeqCst) as *const Client) }
}

unsafe extern "win64" fn device_add(_driver: Handle, init: *mut DeviceInit) -> NtStatus {
    let c = current();
    let mut init = init;
    let mut device = 0;
    let mut a = attributes(0);
    a.evt_cleanup = Some(cleanup);
    let create = wdf!(c, "WdfDeviceCreate", fn(*mut *mut DeviceInit, *const RawAttributes, *mut Handle) -> NtStatus);
    // SAFETY: live arguments.
    assert_eq!(unsafe { create(c.g, &raw mut init, &raw const a, &raw mut device) }, SUCCESS);
    assert!(init.is_null());
    let config = super::queue::Config {
        size: 96,
        dispatch: super::queue::MANUAL,
        power_managed: 2,
        allow_zero_length: 0,
        default: 1,
        evt_default: 0,
        evt_read: 0,
        evt_write: 0,
        evt_control: 0,
        evt_internal: 0,
        evt_stop: 0,
        evt_resume: 0,
        evt_canceled: 0,
        presented: 0,
        driver: 0,
    };
    let mut q = 0;
    let f = wdf!(
        c,
        "WdfIoQueueCreate",
        fn(Handle, *const super::queue::Config, *const RawAttributes, *mut Handle) -> NtStatus
    );
    // SAFETY: live arguments.
    assert_eq!(unsafe { f(c.g, device, &raw const config, std::ptr::null(), &raw mut q) }, SUCCESS);
    QUEUE_HANDLE.store(q, Ordering::SeqCst);
    SUCCESS
}

unsafe extern "win64" fn cleanup(h: Handle) {
    assert_eq!(irql::current(), irql::PASSIVE);
    log(format!("cleanup {}", label(h)));
}

unsafe extern "win64" fn destroyed(h: Handle) {
    log(format!("destroy {}", label(h)));
}

static LABELS: Mutex<Vec<(Handle, &'static str)>> = Mutex::new(Vec::new());
fn label(h: Handle) -> &'static str {
    lock(&LABELS).iter().rev().find(|(x, _)| *x == h).map_or("?", |(_, n)| n)
}

/// An IRP pointer that goes to another thread.
#[derive(Clone, Copy)]
struct Sent(*mut IRP);
// SAFETY: the test passes it on and keeps the IRP alive.
unsafe impl Send for Sent {}

/// Sends an IRP; its completion status goes to `done`. The IRP is freed by [`free`].
fn send(
    wdm: *mut DEVICE_OBJECT,
    major: u8,
    minor: u8,
    file: *mut FILE_OBJECT,
    done: Option<mpsc::Sender<NtStatus>>,
) -> (Sent, NtStatus) {
    let irp = io::irp::allocate_irp_with(
        4,
        Box::new(move |irp| {
            // SAFETY: the completed IRP.
            let s = unsafe { (*irp).IoStatus.Status };
            if let Some(d) = done {
                let _ = d.send(s);
            }
        }),
    );
    // SAFETY: a fresh IRP.
    let s = unsafe {
        let next = io::next_stack(irp);
        (*next).MajorFunction = major;
        (*next).MinorFunction = minor;
        (*next).FileObject = file;
        (*next).Parameters.Read.Length = 16;
        (*irp).IoStatus.Status = super::abi::NOT_SUPPORTED;
        io::call_driver(wdm, irp)
    };
    (Sent(irp), s)
}

fn free(irp: Sent) {
    // SAFETY: completed, and nobody uses it any more.
    unsafe { io::free_irp(irp.0) };
}

fn pnp(wdm: *mut DEVICE_OBJECT, minor: u8) -> NtStatus {
    let (tx, rx) = mpsc::channel();
    let (irp, _) = send(wdm, mj::PNP, minor, std::ptr::null_mut(), Some(tx));
    let s = rx.recv().unwrap();
    free(irp);
    s
}

#[test]
fn names_are_those_of_the_layout() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/facts/nt-layout.json");
    let text = std::fs::read_to_string(path).expect("docs/facts/nt-layout.json");
    let j: serde_json::Value = serde_json::from_str(&text).unwrap();
    let t = j.get("wdf_table").unwrap().as_object().unwrap();
    assert_eq!(t.len(), COUNT);
    for (name, i) in t {
        let i = usize::try_from(i.as_u64().unwrap()).unwrap();
        assert_eq!(NAMES.get(i), Some(&name.as_str()));
    }
    let n = j.get("wdf_function_count").unwrap().as_object().unwrap();
    assert_eq!(n.len(), RELEASED.len());
    for (m, c) in RELEASED {
        assert_eq!(n.get(&format!("1.{m}")).unwrap().as_u64().unwrap(), u64::from(*c));
    }
}

#[test]
fn children_are_cleaned_up_first_and_destroyed_first() {
    let c = Client::bind();
    c.create_driver();
    let create = wdf!(c, "WdfObjectCreate", fn(*const RawAttributes, *mut Handle) -> NtStatus);
    let make = |parent: Handle, name: &'static str| {
        let mut a = attributes(parent);
        a.evt_cleanup = Some(cleanup);
        a.evt_destroy = Some(destroyed);
        let mut h = 0;
        // SAFETY: live arguments.
        assert_eq!(unsafe { create(c.g, &raw const a, &raw mut h) }, SUCCESS);
        lock(&LABELS).push((h, name));
        h
    };
    let top = make(0, "top");
    let mid = make(top, "mid");
    let leaf = make(mid, "leaf");
    let _other = make(top, "other");
    // SAFETY: live handles.
    unsafe {
        wdf!(c, "WdfObjectReferenceActual", fn(Handle, usize, i32, usize))(c.g, leaf, 0, 0, 0);
        wdf!(c, "WdfObjectDelete", fn(Handle))(c.g, top);
    }
    let l = std::mem::take(&mut *lock(&LOG));
    assert_eq!(l, ["cleanup other", "cleanup leaf", "cleanup mid", "cleanup top", "destroy other"]);
    // The reference kept the leaf, and the leaf its ancestors.
    assert!(object::find(leaf).is_some() && object::find(top).is_some());
    // SAFETY: the leaf lives by its reference.
    unsafe { wdf!(c, "WdfObjectDereferenceActual", fn(Handle, usize, i32, usize))(c.g, leaf, 0, 0, 0) };
    let l = std::mem::take(&mut *lock(&LOG));
    assert_eq!(l, ["destroy leaf", "destroy mid", "destroy top"]);
    assert!([top, mid, leaf].iter().all(|h| object::find(*h).is_none()));
    c.unbind();
}

#[test]
fn a_miniport_keeps_its_own_dispatch_and_unloads_the_framework() {
    /// WdfDriverInitNoDispatchOverride.
    const NO_DISPATCH_OVERRIDE: u32 = 2;
    let c = Client::bind();
    let driver = c.create_driver_with(NO_DISPATCH_OVERRIDE);
    // SAFETY: the driver object is the test's, the globals the framework's.
    unsafe {
        assert!((*c.driver).DriverUnload.is_none() && (*c.g).displace_unload == 0);
        assert!((*(*c.driver).DriverExtension).AddDevice.is_none());
        wdf!(c, "WdfDriverMiniportUnload", fn(Handle))(c.g, driver);
    }
    assert!(object::find(driver).is_none());
    c.unbind();
}

#[test]
fn contexts_are_found_by_type_and_lead_back() {
    let c = Client::bind();
    c.create_driver();
    let (one, two) = (context_type(c"ONE", 24), context_type(c"TWO", 8));
    let mut a = attributes(0);
    a.context_type = one;
    let mut h = 0;
    // SAFETY: live arguments throughout.
    unsafe {
        assert_eq!(
            wdf!(c, "WdfObjectCreate", fn(*const RawAttributes, *mut Handle) -> NtStatus)(
                c.g,
                &raw const a,
                &raw mut h
            ),
            SUCCESS
        );
        let get = wdf!(c, "WdfObjectGetTypedContextWorker", fn(Handle, *const ContextTypeInfo) -> *mut u8);
        let p = get(c.g, h, one);
        assert_eq!(std::slice::from_raw_parts(p, 24), [0; 24]);
        assert!(p.addr().is_multiple_of(16));
        assert_eq!(wdf!(c, "WdfObjectContextGetObject", fn(*mut u8) -> Handle)(c.g, p), h);
        let add = wdf!(c, "WdfObjectAllocateContext", fn(Handle, *const RawAttributes, *mut *mut u8) -> NtStatus);
        a.context_type = two;
        let mut q = std::ptr::null_mut();
        assert_eq!(add(c.g, h, &raw const a, &raw mut q), SUCCESS);
        assert_eq!(get(c.g, h, two), q);
        let mut again = std::ptr::null_mut();
        assert_eq!(add(c.g, h, &raw const a, &raw mut again), super::abi::OBJECT_NAME_EXISTS);
        assert_eq!(again, q);
        wdf!(c, "WdfObjectDelete", fn(Handle))(c.g, h);
    }
    c.unbind();
}

#[test]
fn a_device_starts_sleeps_wakes_and_goes() {
    let c = Client::bind();
    c.create_driver();
    let (device, wdm) = c.start_device();
    lock(&LABELS).push((device, "device"));
    assert_eq!(super::pnp::power_down(wdm), SUCCESS);
    let (tx, rx) = mpsc::channel();
    let (irp, s) = send(wdm, mj::READ, 0, std::ptr::null_mut(), Some(tx));
    assert_eq!(s, super::abi::PENDING);
    let q = QUEUE_HANDLE.load(Ordering::SeqCst);
    let next = wdf!(c, "WdfIoQueueRetrieveNextRequest", fn(Handle, *mut Handle) -> NtStatus);
    let mut r = 0;
    // SAFETY: live arguments.
    unsafe {
        assert_eq!(next(c.g, q, &raw mut r), super::abi::WDF_PAUSED);
        assert_eq!(super::pnp::power_up(wdm), SUCCESS);
        assert_eq!(next(c.g, q, &raw mut r), SUCCESS);
        wdf!(c, "WdfRequestCompleteWithInformation", fn(Handle, NtStatus, u64))(c.g, r, SUCCESS, 3);
    }
    assert_eq!(rx.recv().unwrap(), SUCCESS);
    free(irp);
    // A parked request goes with the device.
    let (tx, rx) = mpsc::channel();
    let (irp, _) = send(wdm, mj::READ, 0, std::ptr::null_mut(), Some(tx));
    assert_eq!(pnp(wdm, mn::QUERY_REMOVE_DEVICE), SUCCESS);
    assert_eq!(pnp(wdm, mn::REMOVE_DEVICE), SUCCESS);
    assert_eq!(rx.recv().unwrap(), CANCELLED);
    free(irp);
    assert!(lock(&LOG).contains(&"cleanup device".to_owned()));
    c.unbind();
}

#[test]
fn parked_requests_are_either_retrieved_or_cancelled() {
    let c = Client::bind();
    c.create_driver();
    let (_, wdm) = c.start_device();
    let (g, q) = (c.g.addr(), QUEUE_HANDLE.load(Ordering::SeqCst));
    let next = wdf!(c, "WdfIoQueueRetrieveNextRequest", fn(Handle, *mut Handle) -> NtStatus);
    let complete = wdf!(c, "WdfRequestComplete", fn(Handle, NtStatus));
    let (mut retrieved, mut cancelled) = (0, 0);
    for i in 0..3000 {
        let (tx, rx) = mpsc::channel();
        let (irp, _) = send(wdm, mj::READ, 0, std::ptr::null_mut(), Some(tx));
        let gate = Arc::new(std::sync::Barrier::new(2));
        let other = Arc::clone(&gate);
        let t = std::thread::spawn(move || {
            let irp = irp;
            other.wait();
            // SAFETY: the IRP is freed after this thread has been joined.
            unsafe { io::cancel_irp(irp.0) }
        });
        gate.wait();
        if i % 2 == 1 {
            std::thread::yield_now();
        }
        for _ in 0..(i % 50) * 40 {
            std::hint::spin_loop();
        }
        let mut r = 0;
        // SAFETY: live arguments.
        let s = unsafe { next(g as G, q, &raw mut r) };
        if s == SUCCESS {
            // SAFETY: the request just retrieved.
            unsafe { complete(g as G, r, SUCCESS) };
        }
        t.join().unwrap();
        let came = rx.recv().unwrap();
        assert_eq!(came, if s == SUCCESS { SUCCESS } else { CANCELLED });
        assert!(rx.try_recv().is_err());
        if s == SUCCESS {
            retrieved += 1
        } else {
            cancelled += 1
        }
        free(irp);
    }
    println!("{retrieved} retrieved, {cancelled} cancelled");
    assert_eq!(pnp(wdm, mn::REMOVE_DEVICE), SUCCESS);
    c.unbind();
}

/// What the test's driver waits with, under the lock a driver has for it.
static WAITING: Mutex<Option<Handle>> = Mutex::new(None);

unsafe extern "win64" fn evt_cancel(r: Handle) {
    assert_eq!(lock(&WAITING).take(), Some(r));
    let c = current();
    // SAFETY: the request whose cancel callback this is.
    unsafe { wdf!(c, "WdfRequestComplete", fn(Handle, NtStatus))(c.g, r, CANCELLED) };
}

#[test]
fn unmarking_and_cancelling_have_one_winner() {
    let c = Client::bind();
    c.create_driver();
    let (_, wdm) = c.start_device();
    let q = QUEUE_HANDLE.load(Ordering::SeqCst);
    let next = wdf!(c, "WdfIoQueueRetrieveNextRequest", fn(Handle, *mut Handle) -> NtStatus);
    let mark = wdf!(c, "WdfRequestMarkCancelableEx", fn(Handle, usize) -> NtStatus);
    let unmark = wdf!(c, "WdfRequestUnmarkCancelable", fn(Handle) -> NtStatus);
    let complete = wdf!(c, "WdfRequestComplete", fn(Handle, NtStatus));
    let (mut won, mut lost, mut early) = (0, 0, 0);
    for i in 0..3000 {
        let (tx, rx) = mpsc::channel();
        let (irp, _) = send(wdm, mj::READ, 0, std::ptr::null_mut(), Some(tx));
        let mut r = 0;
        // SAFETY: live arguments.
        assert_eq!(unsafe { next(c.g, q, &raw mut r) }, SUCCESS);
        let gate = Arc::new(std::sync::Barrier::new(2));
        let other = Arc::clone(&gate);
        let t = std::thread::spawn(move || {
            let irp = irp;
            other.wait();
            // SAFETY: the IRP is freed after this thread has been joined.
            unsafe { io::cancel_irp(irp.0) }
        });
        gate.wait();
        let mut ours = false;
        {
            let mut w = lock(&WAITING);
            // SAFETY: the request is the driver's: EvtRequestCancel waits for the lock.
            if unsafe { mark(c.g, r, evt_cancel as *const () as usize) } == CANCELLED {
                early += 1;
                ours = true;
            } else {
                *w = Some(r);
            }
        }
        if ours {
            // SAFETY: not marked, so nobody else completes it.
            unsafe { complete(c.g, r, CANCELLED) };
        } else {
            if i % 2 == 1 {
                std::thread::yield_now();
            }
            for _ in 0..(i % 50) * 40 {
                std::hint::spin_loop();
            }
            let mut w = lock(&WAITING);
            if w.is_some() {
                // SAFETY: as above: uncompleted while it is in WAITING.
                if unsafe { unmark(c.g, r) } == SUCCESS {
                    *w = None;
                    drop(w);
                    won += 1;
                    // SAFETY: unmarked.
                    unsafe { complete(c.g, r, SUCCESS) };
                    t.join().unwrap();
                    assert_eq!(rx.recv().unwrap(), SUCCESS);
                    free(irp);
                    continue;
                }
            }
            lost += 1;
        }
        t.join().unwrap();
        assert_eq!(rx.recv().unwrap(), CANCELLED);
        free(irp);
    }
    println!("unmarked {won}, cancelled {lost}, cancelled before marking {early}");
    assert_eq!(pnp(wdm, mn::REMOVE_DEVICE), SUCCESS);
    c.unbind();
}

/// Runs one of the scenarios below in a process of its own and returns what it wrote before it was stopped.
fn stopped(scenario: &str) -> String {
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wdf::tests::scenario", "--nocapture"])
        .env("WDF_SCENARIO", scenario)
        .output()
        .unwrap();
    assert_eq!(
        out.status.code(),
        Some(crate::report::EXIT_VIOLATION),
        "{scenario}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[test]
fn scenario() {
    let Ok(name) = std::env::var("WDF_SCENARIO") else { return };
    let c = Client::bind();
    c.create_driver();
    let create = wdf!(c, "WdfObjectCreate", fn(*const RawAttributes, *mut Handle) -> NtStatus);
    let delete = wdf!(c, "WdfObjectDelete", fn(Handle));
    let complete = wdf!(c, "WdfRequestComplete", fn(Handle, NtStatus));
    let acquire = wdf!(c, "WdfSpinLockAcquire", fn(Handle));
    let mut a = attributes(0);
    let mut h = 0;
    // SAFETY: prototypes are right; the wrong values are what the scenarios are about.
    unsafe {
        match name.as_str() {
            "bad-handle" => delete(c.g, 0x1234),
            "use-after-delete" => {
                create(c.g, &raw const a, &raw mut h);
                delete(c.g, h);
                delete(c.g, h);
            }
            "wrong-type" => {
                create(c.g, &raw const a, &raw mut h);
                acquire(c.g, h);
            }
            "wrong-context-type" => {
                create(c.g, &raw const a, &raw mut h);
                let _ = wdf!(c, "WdfObjectGetTypedContextWorker", fn(Handle, *const ContextTypeInfo) -> *mut u8)(
                    c.g,
                    h,
                    context_type(c"NONE", 8),
                );
            }
            "bad-config-size" => {
                a.size = 48;
                create(c.g, &raw const a, &raw mut h);
            }
            "bad-dereference" => {
                create(c.g, &raw const a, &raw mut h);
                wdf!(c, "WdfObjectDereferenceActual", fn(Handle, usize, i32, usize))(c.g, h, 0, 0, 0);
            }
            "not-implemented" => {
                wdf!(c, "WdfUsbTargetDeviceCreate", fn(Handle))(c.g, 0);
            }
            "bad-globals" => delete(std::ptr::null_mut(), 0),
            "wrong-parent" => {
                let config = (24u64, log as fn(String) as usize, 0u64);
                wdf!(
                    c,
                    "WdfWorkItemCreate",
                    fn(*const (u64, usize, u64), *const RawAttributes, *mut Handle) -> NtStatus
                )(c.g, &raw const config, &raw const a, &raw mut h);
            }
            "irql" => {
                irql::raise(irql::DISPATCH);
                wdf!(c, "WdfStringCreate", fn(usize, usize, *mut Handle) -> NtStatus)(c.g, 0, 0, &raw mut h);
            }
            "leak" => {
                create(c.g, &raw const a, &raw mut h);
                wdf!(c, "WdfObjectReferenceActual", fn(Handle, usize, i32, usize))(c.g, h, 0, 0, 0);
                c.unbind();
                return;
            }
            "waitlock" => {
                wdf!(c, "WdfWaitLockCreate", fn(usize, *mut Handle) -> NtStatus)(c.g, 0, &raw mut h);
                let wait = wdf!(c, "WdfWaitLockAcquire", fn(Handle, usize) -> NtStatus);
                wait(c.g, h, 0);
                wait(c.g, h, 0);
            }
            _ => {
                let (_, wdm) = c.start_device();
                let q = QUEUE_HANDLE.load(Ordering::SeqCst);
                let (_irp, _) = send(wdm, mj::READ, 0, std::ptr::null_mut(), None);
                let next = wdf!(c, "WdfIoQueueRetrieveNextRequest", fn(Handle, *mut Handle) -> NtStatus);
                match name.as_str() {
                    "not-owned" => {
                        let r = q_first(q);
                        complete(c.g, r, SUCCESS);
                    }
                    "twice" => {
                        next(c.g, q, &raw mut h);
                        complete(c.g, h, SUCCESS);
                        complete(c.g, h, SUCCESS);
                    }
                    "after" => {
                        next(c.g, q, &raw mut h);
                        complete(c.g, h, SUCCESS);
                        wdf!(c, "WdfRequestSetInformation", fn(Handle, u64))(c.g, h, 1);
                    }
                    "cancelable" => {
                        next(c.g, q, &raw mut h);
                        wdf!(c, "WdfRequestMarkCancelable", fn(Handle, usize))(
                            c.g,
                            h,
                            evt_cancel as *const () as usize,
                        );
                        complete(c.g, h, SUCCESS);
                    }
                    _ => panic!("no scenario {name}"),
                }
            }
        }
    }
    panic!("the scenario {name} was not stopped");
}

fn q_first(q: Handle) -> Handle {
    let q: &super::queue::Queue = object::find(q).unwrap().body();
    q.state().pending.front().unwrap().handle()
}

#[test]
fn rules_stop_a_driver_by_name() {
    for (scenario, rule) in [
        ("bad-handle", "wdf.bad-handle"),
        ("use-after-delete", "wdf.use-after-delete"),
        ("wrong-type", "wdf.wrong-type"),
        ("wrong-context-type", "wdf.wrong-context-type"),
        ("bad-config-size", "wdf.bad-config-size"),
        ("bad-dereference", "wdf.bad-dereference"),
        ("not-implemented", "wdf.not-implemented"),
        ("bad-globals", "wdf.bad-globals"),
        ("wrong-parent", "wdf.wrong-parent"),
        ("irql", "irql.too-high"),
        ("leak", "wdf.object-leak"),
        ("waitlock", "wdf.waitlock-recursive"),
        ("not-owned", "wdf.request-not-owned"),
        ("twice", "wdf.request-completed-twice"),
        ("after", "wdf.request-used-after-completion"),
        ("cancelable", "wdf.request-completed-while-cancelable"),
    ] {
        let text = stopped(scenario);
        assert!(text.contains(&format!("violation: {rule}\n")), "{scenario}: {text}");
    }
}
