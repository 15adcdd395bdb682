//! A KMDF and NetAdapterCx driver made of functions in this file, bound through WdfVersionBind and WdfVersionBindClass as
//! a loaded one is. The network's side is a socket pair, and, where this runs as root, a TUN device.
#![expect(unsafe_code, reason = "the test plays a driver")]

use dco_lab::nt::{DEVICE_OBJECT, DRIVER_OBJECT, IRP, OwnedUnicode, UNICODE_STRING, mj, mn};
use dco_lab::wdf::table_names::NAMES as WDF_NAMES;
use dco_lab::{io, irql, netcx, report, wdf};
use std::collections::VecDeque;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

type Handle = usize;
type Status = i32;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seen(rule: &str) -> usize {
    report::collected().iter().filter(|t| t.starts_with(&format!("violation: {rule}\n"))).count()
}

fn wait_for(what: &str, f: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !f() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
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

#[repr(C)]
struct ClassInfo {
    size: u32,
    name: *const u16,
    version: [u32; 3],
    table: *mut usize,
    count: u32,
    globals: *mut usize,
    rest: [usize; 3],
}

#[repr(C)]
struct Attributes {
    size: u32,
    cleanup: usize,
    destroy: usize,
    execution: u32,
    synchronization: u32,
    parent: Handle,
    override_size: usize,
    context: usize,
}

#[repr(C)]
struct Extension {
    data: usize,
    stride: usize,
    reserved: [usize; 2],
    enabled: u8,
}

/// NET_RING.
#[repr(C, align(64))]
struct Ring {
    reserved1: u16,
    stride: u16,
    count: u32,
    mask: u32,
    end: u32,
    reserved2: [u64; 4],
    begin: u32,
    next: u32,
    scratch: usize,
}

impl Ring {
    fn at(&self, i: u32) -> *mut u8 {
        (std::ptr::from_ref(self).addr() + 64 + (i & self.mask) as usize * usize::from(self.stride)) as *mut u8
    }
}

const NET: [&str; 75] = {
    let mut names = [""; 75];
    names[0] = "NetAdapterInitAllocate";
    names[1] = "NetAdapterInitFree";
    names[2] = "NetAdapterInitSetDatapathCallbacks";
    names[3] = "NetAdapterCreate";
    names[4] = "NetAdapterStart";
    names[5] = "NetAdapterStop";
    names[6] = "NetAdapterSetLinkLayerCapabilities";
    names[7] = "NetAdapterSetLinkLayerMtuSize";
    names[14] = "NetAdapterSetDataPathCapabilities";
    names[15] = "NetAdapterSetLinkState";
    names[16] = "NetAdapterGetNetLuid";
    names[17] = "NetAdapterOpenConfiguration";
    names[30] = "NetAdapterGetParent";
    names[31] = "NetAdapterGetLinkLayerMtuSize";
    names[35] = "NetConfigurationClose";
    names[37] = "NetConfigurationQueryUlong";
    names[46] = "NetDeviceInitConfig";
    names[58] = "NetRxQueueCreate";
    names[59] = "NetRxQueueNotifyMoreReceivedPacketsAvailable";
    names[60] = "NetRxQueueInitGetQueueId";
    names[61] = "NetRxQueueGetRingCollection";
    names[62] = "NetRxQueueGetExtension";
    names[63] = "NetTxQueueCreate";
    names[64] = "NetTxQueueNotifyMoreCompletedPacketsAvailable";
    names[65] = "NetTxQueueInitGetQueueId";
    names[66] = "NetTxQueueGetRingCollection";
    names[67] = "NetTxQueueGetExtension";
    names
};

static WDF_TABLE: AtomicUsize = AtomicUsize::new(0);
static WDF_G: AtomicUsize = AtomicUsize::new(0);
static NET_TABLE: Mutex<[usize; 75]> = Mutex::new([0; 75]);
static NET_G: AtomicUsize = AtomicUsize::new(0);

fn wdf_at(name: &str) -> usize {
    let i = WDF_NAMES.iter().position(|n| *n == name).expect("a WDF name");
    // SAFETY: the client's table has that many entries.
    unsafe { (WDF_TABLE.load(Ordering::SeqCst) as *const usize).add(i).read() }
}

fn net_at(name: &str) -> usize {
    let i = NET.iter().position(|n| *n == name).expect("a Net name");
    lock(&NET_TABLE)[i]
}

/// Calls a function of either table.
macro_rules! call {
    ($name:literal, ($($arg:expr => $ty:ty),*) $(-> $ret:ty)?) => {{
        let (at, g) = if $name.starts_with("Net") {
            (net_at($name), NET_G.load(Ordering::SeqCst))
        } else {
            (wdf_at($name), WDF_G.load(Ordering::SeqCst))
        };
        // SAFETY: the function's own prototype, with live arguments.
        unsafe {
            let f = std::mem::transmute::<usize, unsafe extern "win64" fn(usize, $($ty),*) $(-> $ret)?>(at);
            f(g, $($arg),*)
        }
    }};
}

/// What the driver does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    ForgetFragments,
    WritePacket,
    WritePayload,
    PastEnd,
    MoveEnd,
    TooLong,
    NoFragments,
    Backwards,
    WrongLayout,
    KeepOnCancel,
    NoQueue,
    HoldTx,
}

static FAULT: Mutex<Fault> = Mutex::new(Fault::None);
static SENT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static TO_RECEIVE: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());
static RX_ARMED: AtomicBool = AtomicBool::new(false);
static ECHO: AtomicBool = AtomicBool::new(false);
static TX: AtomicUsize = AtomicUsize::new(0);
static RX: AtomicUsize = AtomicUsize::new(0);
static TX_VA: Mutex<(usize, usize)> = Mutex::new((0, 0));
static RX_VA: Mutex<(usize, usize)> = Mutex::new((0, 0));
static ADAPTER: AtomicUsize = AtomicUsize::new(0);
static LEVELS: AtomicU32 = AtomicU32::new(0);
static BACKFILL: AtomicUsize = AtomicUsize::new(0);
static STARTS: AtomicU32 = AtomicU32::new(0);
static STOPS: AtomicU32 = AtomicU32::new(0);

fn fault() -> Fault {
    *lock(&FAULT)
}

fn rings(queue: Handle, tx: bool) -> (&'static mut Ring, &'static mut Ring) {
    let c = if tx {
        call!("NetTxQueueGetRingCollection", (queue => Handle) -> *const [*mut Ring; 3])
    } else {
        call!("NetRxQueueGetRingCollection", (queue => Handle) -> *const [*mut Ring; 3])
    };
    // SAFETY: the queue's rings, used on its thread.
    unsafe { (&mut *(*c)[0], &mut *(*c)[1]) }
}

fn va(place: &Mutex<(usize, usize)>, i: u32, mask: u32) -> usize {
    let (data, stride) = *lock(place);
    // SAFETY: the extension of a fragment.
    unsafe { ((data + (i & mask) as usize * stride) as *const usize).read() }
}

unsafe extern "win64" fn start(queue: Handle) {
    assert_eq!(irql::current(), irql::PASSIVE);
    STARTS.fetch_add(1, Ordering::SeqCst);
    let (p, _) = rings(queue, queue == TX.load(Ordering::SeqCst));
    assert_eq!(p.begin, 0);
}

unsafe extern "win64" fn stop(queue: Handle) {
    assert_eq!(irql::current(), irql::PASSIVE);
    STOPS.fetch_add(1, Ordering::SeqCst);
    let which = if TX.load(Ordering::SeqCst) == queue { &TX } else { &RX };
    which.store(0, Ordering::SeqCst);
}

unsafe extern "win64" fn tx_advance(queue: Handle) {
    LEVELS.fetch_or(1 << irql::current(), Ordering::SeqCst);
    let f = fault();
    if f == Fault::HoldTx {
        return;
    }
    let (packets, fragments) = rings(queue, true);
    while packets.begin != packets.end {
        // SAFETY: a packet that the driver owns.
        let (index, count, flags) = unsafe {
            let p = packets.at(packets.begin);
            (
                p.cast::<u32>().read_unaligned(),
                p.wrapping_add(4).cast::<u16>().read_unaligned(),
                p.wrapping_add(11).read(),
            )
        };
        if flags & 1 == 0 {
            let mut bytes = Vec::new();
            for i in 0..u32::from(count) {
                // SAFETY: a fragment that the driver owns.
                let v = unsafe { fragments.at(index + i).cast::<u64>().read_unaligned() };
                let (valid, offset) = ((v & 0x3FF_FFFF) as usize, (v >> 52 & 0x3FF) as usize);
                let at = (va(&TX_VA, index + i, fragments.mask) + offset) as *mut u8;
                // SAFETY: the fragment's bytes.
                bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(at, valid) });
                if f == Fault::WritePayload {
                    // SAFETY: the fragment's bytes: memory that is there, though not ours to write.
                    unsafe { at.wrapping_add(valid - 1).write(0xEE) };
                }
            }
            bytes.drain(..BACKFILL.load(Ordering::SeqCst));
            if ECHO.load(Ordering::SeqCst) && bytes[0] >> 4 == 4 {
                receive(swapped(&bytes));
            }
            lock(&SENT).push(bytes);
            // Scratch is the driver's.
            // SAFETY: a packet that the driver owns.
            unsafe { packets.at(packets.begin).wrapping_add(11).write(flags | 2) };
            if f == Fault::WritePacket {
                // SAFETY: as above.
                unsafe { packets.at(packets.begin).wrapping_add(8).write(0x77) };
            }
            if f != Fault::ForgetFragments {
                fragments.begin = (index + u32::from(count)) & fragments.mask;
            }
        }
        packets.begin = (packets.begin + 1) & packets.mask;
    }
    match f {
        Fault::PastEnd if packets.end != 0 => packets.begin = (packets.end + 5) & packets.mask,
        Fault::MoveEnd if packets.end != 0 => packets.end = (packets.end + 1) & packets.mask,
        _ => {}
    }
}

unsafe extern "win64" fn tx_cancel(queue: Handle) {
    let (packets, fragments) = rings(queue, true);
    if !matches!(fault(), Fault::PastEnd | Fault::MoveEnd) {
        packets.begin = packets.end;
        fragments.begin = fragments.end;
    }
}

unsafe extern "win64" fn tx_notification(_queue: Handle, enabled: u8) {
    assert_eq!(enabled, 1);
}

unsafe extern "win64" fn rx_advance(queue: Handle) {
    LEVELS.fetch_or(1 << irql::current(), Ordering::SeqCst);
    let f = fault();
    let (packets, fragments) = rings(queue, false);
    // One fragment is skipped, two are used.
    while packets.begin != packets.end && (fragments.end.wrapping_sub(fragments.begin) & fragments.mask) >= 3 {
        let Some(bytes) = lock(&TO_RECEIVE).pop_front() else { break };
        let first = fragments.begin;
        // In two fragments when there are two, the first of 21 bytes; after skipping one fragment.
        let skipped = (first + 1) & fragments.mask;
        let parts: Vec<&[u8]> = if bytes.len() > 40 { vec![&bytes[..21], &bytes[21..]] } else { vec![&bytes] };
        let (mut at, begin) = (skipped, skipped);
        for part in &parts {
            // SAFETY: a fragment that the driver owns.
            unsafe {
                let e = fragments.at(at).cast::<u64>();
                let capacity = e.read_unaligned() >> 26 & 0x3FF_FFFF;
                let valid = if f == Fault::TooLong { capacity + 1 } else { part.len() as u64 };
                e.write_unaligned(valid | capacity << 26 | 7 << 52);
                std::ptr::copy_nonoverlapping(
                    part.as_ptr(),
                    (va(&RX_VA, at, fragments.mask) + 7) as *mut u8,
                    part.len(),
                );
            }
            at = (at + 1) & fragments.mask;
        }
        let index = if f == Fault::Backwards { first.wrapping_sub(3) & fragments.mask } else { begin };
        let count = if f == Fault::NoFragments { 0 } else { parts.len() as u16 };
        // SAFETY: a packet that the driver owns.
        unsafe {
            let p = packets.at(packets.begin);
            p.cast::<u32>().write_unaligned(index);
            p.wrapping_add(4).cast::<u16>().write_unaligned(count);
            p.wrapping_add(6).write_bytes(0, 6);
            p.wrapping_add(9).write(if f == Fault::WrongLayout { 0x42 } else { 1 });
        }
        fragments.begin = at;
        packets.begin = (packets.begin + 1) & packets.mask;
    }
}

unsafe extern "win64" fn rx_cancel(queue: Handle) {
    if fault() == Fault::KeepOnCancel {
        return;
    }
    let (packets, fragments) = rings(queue, false);
    while packets.begin != packets.end {
        // SAFETY: a packet that the driver owns.
        unsafe { packets.at(packets.begin).wrapping_add(11).write(1) };
        packets.begin = (packets.begin + 1) & packets.mask;
    }
    fragments.begin = fragments.end;
}

unsafe extern "win64" fn rx_notification(_queue: Handle, enabled: u8) {
    RX_ARMED.store(enabled != 0, Ordering::SeqCst);
}

/// A packet for the system.
fn receive(bytes: Vec<u8>) {
    lock(&TO_RECEIVE).push_back(bytes);
    if RX_ARMED.swap(false, Ordering::SeqCst) {
        let q = RX.load(Ordering::SeqCst);
        if q != 0 {
            call!("NetRxQueueNotifyMoreReceivedPacketsAvailable", (q => Handle));
        }
    }
}

unsafe extern "win64" fn create_tx(_adapter: Handle, init: *mut u8) -> Status {
    if fault() == Fault::NoQueue {
        return 0;
    }
    assert_eq!(call!("NetTxQueueInitGetQueueId", (init => *mut u8) -> u32), 0);
    create_queue(true, init)
}

unsafe extern "win64" fn create_rx(_adapter: Handle, init: *mut u8) -> Status {
    create_queue(false, init)
}

fn create_queue(tx: bool, init: *mut u8) -> Status {
    let mut q: Handle = 0;
    let p = &raw mut q;
    let (advance, notification, cancel) = if tx {
        (tx_advance as *const (), tx_notification as *const (), tx_cancel as *const ())
    } else {
        (rx_advance as *const (), rx_notification as *const (), rx_cancel as *const ())
    };
    let config: [usize; 6] = [
        48,
        start as *const () as usize,
        stop as *const () as usize,
        advance.addr(),
        notification.addr(),
        cancel.addr(),
    ];
    let c = config.as_ptr();
    let s = if tx {
        call!("NetTxQueueCreate", (init => *mut u8, 0 => usize, c => *const usize, p => *mut Handle) -> Status)
    } else {
        call!("NetRxQueueCreate", (init => *mut u8, 0 => usize, c => *const usize, p => *mut Handle) -> Status)
    };
    if s != 0 {
        return s;
    }
    let name: Vec<u16> = "ms_fragment_virtualaddress\0".encode_utf16().collect();
    #[repr(C)]
    struct Query(u32, *const u16, u32, u32);
    let query = Query(24, name.as_ptr(), 1, 2);
    let mut e = Extension { data: 0, stride: 0, reserved: [0; 2], enabled: 0 };
    let (query, e_at) = (&raw const query, &raw mut e);
    if tx {
        call!("NetTxQueueGetExtension", (q => Handle, query => *const Query, e_at => *mut Extension));
        *lock(&TX_VA) = (e.data, e.stride);
        TX.store(q, Ordering::SeqCst);
    } else {
        call!("NetRxQueueGetExtension", (q => Handle, query => *const Query, e_at => *mut Extension));
        *lock(&RX_VA) = (e.data, e.stride);
        RX.store(q, Ordering::SeqCst);
    }
    assert_eq!(e.enabled, 1);
    0
}

/// What `device_add` leaves out, to see the sequence rules.
static SKIP_CONFIG: AtomicBool = AtomicBool::new(false);
static SKIP_FREE: AtomicBool = AtomicBool::new(false);
static START_EARLY: AtomicBool = AtomicBool::new(false);

unsafe extern "win64" fn device_add(_driver: Handle, init: *mut u8) -> Status {
    let mut init = init;
    if !SKIP_CONFIG.load(Ordering::SeqCst) {
        assert_eq!(call!("NetDeviceInitConfig", (init => *mut u8) -> Status), 0);
    }
    let mut device: Handle = 0;
    let (place, out) = (&raw mut init, &raw mut device);
    assert_eq!(
        call!("WdfDeviceCreate", (place => *mut *mut u8, null() => *const Attributes, out => *mut Handle) -> Status),
        0
    );
    let adapter_init = call!("NetAdapterInitAllocate", (device => Handle) -> *mut u8);
    let callbacks: [usize; 3] = [24, create_tx as *const () as usize, create_rx as *const () as usize];
    let c = callbacks.as_ptr();
    call!("NetAdapterInitSetDatapathCallbacks", (adapter_init => *mut u8, c => *const usize));
    let mut adapter: Handle = 0;
    let out = &raw mut adapter;
    let s =
        call!("NetAdapterCreate", (adapter_init => *mut u8, null() => *const Attributes, out => *mut Handle) -> Status);
    if !SKIP_FREE.load(Ordering::SeqCst) {
        call!("NetAdapterInitFree", (adapter_init => *mut u8));
    }
    assert_eq!(s, 0);
    assert_eq!(call!("NetAdapterGetParent", (adapter => Handle) -> Handle), device);
    ADAPTER.store(adapter, Ordering::SeqCst);
    if START_EARLY.load(Ordering::SeqCst) {
        assert_ne!(call!("NetAdapterStart", (adapter => Handle) -> Status), 0);
    }
    let link: [u64; 3] = [24, 1_000_000_000, 1_000_000_000];
    let l = link.as_ptr();
    call!("NetAdapterSetLinkLayerCapabilities", (adapter => Handle, l => *const u64));
    call!("NetAdapterSetLinkLayerMtuSize", (adapter => Handle, 1400 => u32));
    let tx: [u64; 7] = [56, BACKFILL.load(Ordering::SeqCst) as u64, u64::MAX, 1, 0, 1, 0];
    let rx: [u64; 7] = [56, 0, 1500, 1, 0, 1, 0];
    let (t, r) = (tx.as_ptr(), rx.as_ptr());
    call!("NetAdapterSetDataPathCapabilities", (adapter => Handle, t => *const u64, r => *const u64));
    assert_eq!(call!("NetAdapterStart", (adapter => Handle) -> Status), 0);
    link_state(1);
    0
}

fn link_state(connect: u64) {
    let state: [u64; 5] = [40, 1_000_000_000, 1_000_000_000, connect | 2 << 32, 0];
    let (a, s) = (ADAPTER.load(Ordering::SeqCst), state.as_ptr());
    irql::at(irql::DISPATCH, || call!("NetAdapterSetLinkState", (a => Handle, s => *const u64)));
}

/// The driver, loaded and started.
struct Driver {
    driver: *mut DRIVER_OBJECT,
    pdo: *mut DEVICE_OBJECT,
    fdo: *mut DEVICE_OBJECT,
    path: UNICODE_STRING,
    info: Box<BindInfo>,
    class: Box<ClassInfo>,
}

fn export(name: &str) -> usize {
    dco_lab::all_exports().into_iter().find(|e| e.name == name).expect("an export").address
}

unsafe extern "win64" fn pdo_pnp(_d: *mut DEVICE_OBJECT, irp: *mut IRP) -> Status {
    // SAFETY: the I/O manager's IRP.
    unsafe { io::irp::complete(irp, 0, 0) };
    0
}

fn pnp(wdm: *mut DEVICE_OBJECT, minor: u8) -> Status {
    let (tx, rx) = mpsc::channel();
    let done = move |irp: *mut IRP| {
        // SAFETY: the completed IRP.
        let s = unsafe { (*irp).IoStatus.Status };
        let _ = tx.send(s);
    };
    let irp = io::irp::allocate_irp_with(4, Box::new(done));
    // SAFETY: a fresh IRP for a live device.
    unsafe {
        let next = io::next_stack(irp);
        (*next).MajorFunction = mj::PNP;
        (*next).MinorFunction = minor;
        (*irp).IoStatus.Status = 0xC000_00BB_u32.cast_signed();
        io::call_driver(wdm, irp);
    }
    let s = rx.recv().expect("completion");
    // SAFETY: completed.
    unsafe { io::free_irp(irp) };
    s
}

type Bind = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *const UNICODE_STRING, *mut BindInfo, *mut usize) -> Status;
type BindClass = unsafe extern "win64" fn(*mut BindInfo, usize, *mut ClassInfo) -> Status;
type UnbindClass = unsafe extern "win64" fn(*mut BindInfo, usize, *mut ClassInfo);
type Unbind = unsafe extern "win64" fn(*const UNICODE_STRING, *mut BindInfo, usize) -> Status;

impl Driver {
    fn start(backfill: usize, f: Fault) -> Self {
        *lock(&FAULT) = f;
        BACKFILL.store(backfill, Ordering::SeqCst);
        lock(&SENT).clear();
        lock(&TO_RECEIVE).clear();
        let driver = io::device::create_driver(
            r"\Driver\nettest",
            r"\Registry\Machine\System\CurrentControlSet\Services\nettest",
        );
        let bus = io::device::create_driver(r"\Driver\netbus", "");
        // SAFETY: both driver objects are the test's.
        let pdo = unsafe {
            (*bus).MajorFunction[usize::from(mj::PNP)] = Some(pdo_pnp);
            io::create_device(bus, 0, Some(r"\Device\00000077"), 0x22, 0, false).expect("PDO")
        };
        let wide = |s: &str| Box::leak(Box::new(OwnedUnicode::new(s))).unicode();
        let path = wide(r"\Registry\Machine\nettest");
        let table: &'static mut *const usize = Box::leak(Box::new(null()));
        let mut info = Box::new(BindInfo {
            size: 48,
            component: wide("KmdfLibrary").Buffer,
            version: [1, 15, 0],
            count: 444,
            table,
            module: 0,
        });
        let net_table: &'static mut [usize; 75] = Box::leak(Box::new([0; 75]));
        let globals: &'static mut usize = Box::leak(Box::new(0));
        let mut class = Box::new(ClassInfo {
            size: 80,
            name: wide("NetAdapterCx").Buffer,
            version: [2, 0, 0],
            table: net_table.as_mut_ptr(),
            count: 68,
            globals,
            rest: [0; 3],
        });
        let mut g = 0usize;
        // SAFETY: prototypes of the exports, live arguments.
        unsafe {
            let bind = std::mem::transmute::<usize, Bind>(export("WdfVersionBind"));
            assert_eq!(bind(driver, &raw const path, &raw mut *info, &raw mut g), 0);
            let bind_class = std::mem::transmute::<usize, BindClass>(export("WdfVersionBindClass"));
            assert_eq!(bind_class(&raw mut *info, g, &raw mut *class), 0);
        }
        WDF_TABLE.store(table.addr(), Ordering::SeqCst);
        WDF_G.store(g, Ordering::SeqCst);
        *lock(&NET_TABLE) = *net_table;
        NET_G.store(*globals, Ordering::SeqCst);
        #[repr(C)]
        struct Config(u32, usize, usize, u32, u32);
        let config = Config(32, device_add as *const () as usize, 0, 0, 0);
        let (c, p) = (&raw const config, &raw const path);
        let s = call!("WdfDriverCreate", (driver => *mut DRIVER_OBJECT, p => *const UNICODE_STRING, null() => *const Attributes, c => *const Config, null_mut() => *mut Handle) -> Status);
        assert_eq!(s, 0);
        // SAFETY: the framework has filled AddDevice in.
        let fdo = unsafe {
            let add = (*(*driver).DriverExtension).AddDevice.expect("AddDevice");
            assert_eq!(add(driver, pdo), 0);
            (*pdo).AttachedDevice
        };
        assert_eq!(pnp(fdo, mn::START_DEVICE), 0);
        Self { driver, pdo, fdo, path, info, class }
    }

    fn unload(mut self) {
        assert_eq!(pnp(self.fdo, mn::REMOVE_DEVICE), 0);
        // SAFETY: the framework has set DriverUnload; prototypes of the exports.
        unsafe {
            if let Some(u) = (*self.driver).DriverUnload {
                u(self.driver);
            }
            let g = WDF_G.load(Ordering::SeqCst);
            let unbind_class = std::mem::transmute::<usize, UnbindClass>(export("WdfVersionUnbindClass"));
            unbind_class(&raw mut *self.info, g, &raw mut *self.class);
            let unbind = std::mem::transmute::<usize, Unbind>(export("WdfVersionUnbind"));
            assert_eq!(unbind(&raw const self.path, &raw mut *self.info, g), 0);
            io::delete_device(self.pdo);
        }
        netcx::check_leaks();
        assert_eq!(TX.load(Ordering::SeqCst) + RX.load(Ordering::SeqCst), 0, "both queues were stopped");
    }
}

/// One driver at a time.
fn turn() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let turn = lock(&ONE);
    report::collect(true);
    turn
}

fn pair() -> UnixDatagram {
    let mut fds = [0i32; 2];
    // SAFETY: the call writes two descriptors to the array.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0, fds.as_mut_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: fresh descriptors.
    let (ours, labs) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    netcx::hand_over(labs);
    let s = UnixDatagram::from(ours);
    s.set_nonblocking(false).expect("blocking");
    s.set_read_timeout(Some(Duration::from_secs(5))).expect("time-out");
    s
}

fn packet(n: usize, len: usize) -> Vec<u8> {
    let mut p = vec![n as u8; len.max(20)];
    p[0] = 0x45;
    p[9] = 17;
    p[20.min(len - 1)] = (n >> 8) as u8;
    p
}

fn configure(tx_fragments: usize, advance: netcx::Advance, ring: u32) {
    netcx::configure(netcx::Config { tun: None, tx_fragments, advance, ring });
}

#[test]
fn packets_travel_both_ways() {
    let _turn = turn();
    for (backfill, fragments, advance, ring) in [
        (0, 1, netcx::Advance::Alternate, 256),
        (64, 5, netcx::Advance::Alternate, 16),
        (32, 3, netcx::Advance::Dispatch, 8),
    ] {
        configure(fragments, advance, ring);
        LEVELS.store(0, Ordering::SeqCst);
        let net = pair();
        let d = Driver::start(backfill, Fault::None);
        let before = report::collected().len();
        let given: Vec<Vec<u8>> = (0..1000).map(|n| packet(n, 21 + n % 1370)).collect();
        for p in &given {
            net.send(p).expect("send");
        }
        wait_for("sent", || lock(&SENT).len() == given.len());
        assert!(*lock(&SENT) == given, "the driver saw what the network sent");
        let mut buffer = [0u8; 2048];
        // Few at a time: the socket holds ten.
        for few in given.chunks(8) {
            for p in few {
                receive(p.clone());
            }
            for p in few {
                let n = net.recv(&mut buffer).expect("a packet");
                assert!(buffer[..n] == p[..]);
            }
        }
        // Down and up again: new queues, and packets again.
        wdf::pnp::power_down(d.fdo);
        assert_eq!(TX.load(Ordering::SeqCst), 0);
        assert_eq!(wdf::pnp::power_up(d.fdo), 0);
        net.send(&given[7]).expect("send");
        wait_for("after power-up", || lock(&SENT).len() == given.len() + 1);
        let adapter = ADAPTER.load(Ordering::SeqCst);
        assert_eq!(call!("NetAdapterGetLinkLayerMtuSize", (adapter => Handle) -> u32), 1400);
        assert_eq!(call!("NetAdapterGetNetLuid", (adapter => Handle) -> u64) >> 48, 53);
        d.unload();
        assert_eq!(report::collected()[before..], [] as [String; 0]);
        let levels = LEVELS.load(Ordering::SeqCst);
        assert_eq!(levels, if advance == netcx::Advance::Dispatch { 0b100 } else { 0b101 });
    }
    assert_eq!(STARTS.load(Ordering::SeqCst), STOPS.load(Ordering::SeqCst));
}

#[test]
fn broken_rings_are_named() {
    let _turn = turn();
    configure(1, netcx::Advance::Alternate, 32);
    for (f, rule) in [
        (Fault::ForgetFragments, "netcx.ring.tx-fragments"),
        (Fault::WritePacket, "netcx.ring.tx-changed"),
        (Fault::WritePayload, "netcx.tx-payload-changed"),
        (Fault::PastEnd, "netcx.ring.index"),
        (Fault::MoveEnd, "netcx.ring.header-changed"),
        (Fault::TooLong, "netcx.ring.rx-fragment"),
        (Fault::NoFragments, "netcx.ring.rx-packet"),
        (Fault::Backwards, "netcx.ring.rx-fragments"),
        (Fault::WrongLayout, "netcx.rx-layout"),
        (Fault::KeepOnCancel, "netcx.queue-not-drained"),
    ] {
        let net = pair();
        let d = Driver::start(0, f);
        let before = seen(rule);
        // A payload is sampled once in 64; an index past a full ring would be one inside it.
        for n in 0..if f == Fault::WritePayload { 70 } else { 5 } {
            let _ = net.send(&packet(n, 100));
        }
        receive(packet(1, 100));
        std::thread::sleep(Duration::from_millis(30));
        d.unload();
        assert!(seen(rule) > before, "{f:?}: {rule}");
    }
}

#[test]
fn held_packets_are_cancelled() {
    let _turn = turn();
    configure(1, netcx::Advance::Alternate, 32);
    let net = pair();
    let d = Driver::start(0, Fault::HoldTx);
    let before = report::collected().len();
    for n in 0..5 {
        net.send(&packet(n, 100)).expect("send");
    }
    std::thread::sleep(Duration::from_millis(20));
    d.unload();
    assert_eq!(report::collected()[before..], [] as [String; 0]);
}

#[test]
fn sequences_are_checked() {
    let _turn = turn();
    configure(1, netcx::Advance::Alternate, 32);
    let count = |rule: &str, f: &dyn Fn()| {
        let before = seen(rule);
        f();
        assert!(seen(rule) > before, "{rule}");
    };
    count("netcx.sequence", &|| {
        let _net = pair();
        START_EARLY.store(true, Ordering::SeqCst);
        Driver::start(0, Fault::None).unload();
        START_EARLY.store(false, Ordering::SeqCst);
    });
    count("netcx.adapter-init-leak", &|| {
        let _net = pair();
        SKIP_FREE.store(true, Ordering::SeqCst);
        Driver::start(0, Fault::None).unload();
        SKIP_FREE.store(false, Ordering::SeqCst);
    });
    // The next driver does not answer for that.
    let before = seen("netcx.adapter-init-leak");
    {
        let _net = pair();
        Driver::start(0, Fault::None).unload();
    }
    assert_eq!(seen("netcx.adapter-init-leak"), before);
    count("netcx.sequence", &|| {
        let _net = pair();
        Driver::start(0, Fault::NoQueue).unload();
    });
    count("netcx.queue-create-outside-callback", &|| {
        let _net = pair();
        let d = Driver::start(0, Fault::None);
        let p = [0u8; 64].as_mut_ptr();
        assert_eq!(call!("NetRxQueueInitGetQueueId", (p => *mut u8) -> u32), 0);
        d.unload();
    });
    count("netcx.wrong-queue", &|| {
        let _net = pair();
        let d = Driver::start(0, Fault::None);
        let q = TX.load(Ordering::SeqCst);
        call!("NetRxQueueNotifyMoreReceivedPacketsAvailable", (q => Handle));
        d.unload();
    });
}

#[test]
fn configuration_values_are_the_inf_s() {
    let _turn = turn();
    configure(1, netcx::Advance::Alternate, 32);
    let _net = pair();
    let d = Driver::start(0, Fault::None);
    let (mut c, adapter): (Handle, Handle) = (0, ADAPTER.load(Ordering::SeqCst));
    let out = &raw mut c;
    assert_eq!(
        call!("NetAdapterOpenConfiguration", (adapter => Handle, null() => *const Attributes, out => *mut Handle) -> Status),
        0
    );
    let (mut owned, mut missing) = (OwnedUnicode::new("*IfType"), OwnedUnicode::new("NoSuchValue"));
    let (name, none, mut v) = (owned.unicode(), missing.unicode(), 0u32);
    let (n, m, at) = (&raw const name, &raw const none, &raw mut v);
    assert_eq!(
        call!("NetConfigurationQueryUlong", (c => Handle, 0 => u32, n => *const UNICODE_STRING, at => *mut u32) -> Status),
        0
    );
    assert_eq!(v, 53);
    let s = call!("NetConfigurationQueryUlong", (c => Handle, 0 => u32, m => *const UNICODE_STRING, at => *mut u32) -> Status);
    assert_eq!(s, 0xC000_0034_u32.cast_signed());
    call!("NetConfigurationClose", (c => Handle));
    d.unload();
}

/// The answer to a UDP packet: addresses and ports swapped, which leaves both checksums right.
fn swapped(p: &[u8]) -> Vec<u8> {
    let mut q = p.to_vec();
    q[12..16].copy_from_slice(&p[16..20]);
    q[16..20].copy_from_slice(&p[12..16]);
    q[20..22].copy_from_slice(&p[22..24]);
    q[22..24].copy_from_slice(&p[20..22]);
    q
}

fn ip(line: &str) {
    let out = Command::new("ip").args(line.split(' ')).output().expect("ip");
    assert!(out.status.success(), "ip {line}: {}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_tun_device_carries_packets() {
    let _turn = turn();
    // SAFETY: no pointers.
    let user = unsafe { libc::geteuid() };
    assert_eq!(user, 0, "expected root, which a TUN device needs");
    // A network namespace of this thread's own; the threads it starts inherit it.
    // SAFETY: no pointers.
    let own = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(own, 0, "expected a network namespace: {}", std::io::Error::last_os_error());
    configure(2, netcx::Advance::Alternate, 64);
    netcx::configure(netcx::Config {
        tun: Some("labtest0".to_owned()),
        tx_fragments: 2,
        advance: netcx::Advance::Alternate,
        ring: 64,
    });
    let d = Driver::start(16, Fault::None);
    let before = report::collected().len();
    ip("addr add 10.99.0.1/24 dev labtest0");
    ip("link set labtest0 up");
    let out = Command::new("ip").args(["link", "show", "labtest0"]).output().expect("ip");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("mtu 1400") && !text.contains("NO-CARRIER"), "{text}");
    ECHO.store(true, Ordering::SeqCst);
    let s = std::net::UdpSocket::bind("10.99.0.1:0").expect("socket");
    s.set_read_timeout(Some(Duration::from_secs(5))).expect("time-out");
    let mut buffer = [0u8; 2048];
    for n in 0..100usize {
        let data = vec![n as u8; 10 + n * 12];
        s.send_to(&data, "10.99.0.2:4000").expect("send");
        let (got, from) = s.recv_from(&mut buffer).expect("echo");
        assert_eq!(buffer[..got], data[..]);
        assert_eq!(from.to_string(), "10.99.0.2:4000");
    }
    ECHO.store(false, Ordering::SeqCst);
    link_state(2);
    let out = Command::new("ip").args(["link", "show", "labtest0"]).output().expect("ip");
    assert!(String::from_utf8_lossy(&out.stdout).contains("NO-CARRIER"));
    d.unload();
    assert_eq!(report::collected()[before..], [] as [String; 0]);
}
