//! NETADAPTER: creation, capabilities, start and stop, link state; and its data path.

use super::abi::{
    DatapathCallbacks, LinkLayerAddress, LinkLayerCapabilities, LinkState, RxCapabilities, TxCapabilities,
};
use super::bind::{Entry, G, enter, entries};
use super::offload::{self, SetOffload};
use super::queue::{self, Queue};
use super::tun::{self, Tun};
use super::{NOT_IMPLEMENTED, device, settings};
use crate::fault;
use crate::irql::{DISPATCH, PASSIVE};
use crate::nt::{NTSTATUS, nt_success, status};
use crate::objects;
use crate::pool;
use crate::report::{Rule, record};
use crate::wdf::abi::{Handle, RawAttributes};
use crate::wdf::attributes::{self, check_size};
use crate::wdf::object::{self, Body, Kind, Ref, lock};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// NETADAPTER.
pub static ADAPTER: Kind = Kind::new("NETADAPTER", true, true, false);

const SEQUENCE: Rule = Rule::new("netcx.sequence", "NetAdapterCx: Device initialization; nt-abi.md section 4");
const BAD_INIT: Rule = Rule::new(
    "netcx.bad-adapter-init",
    "NetAdapterCx: NETADAPTER_INIT from NetAdapterInitAllocate to NetAdapterInitFree",
);
const INIT_LEAK: Rule =
    Rule::new("netcx.adapter-init-leak", "NetAdapterCx: NetAdapterInitFree, whether NetAdapterCreate succeeded or not");
const BAD_CAPABILITIES: Rule =
    Rule::new("netcx.bad-capabilities", "NetAdapterCx: NET_ADAPTER_TX_CAPABILITIES, NET_ADAPTER_RX_CAPABILITIES");
const BAD_PARAMETER: Rule = Rule::new("netcx.bad-parameter", "NetAdapterCx: the call's page");

static INITS: objects::Kind = objects::Kind::of_lab("netcx.adapter-init");
static LIVE_INITS: Mutex<Option<HashMap<usize, Init>>> = Mutex::new(None);
static ADAPTERS: Mutex<Vec<Ref>> = Mutex::new(Vec::new());

#[derive(Debug, Clone)]
struct Init {
    device: Ref,
    callbacks: Option<DatapathCallbacks>,
    used: bool,
}

/// What the driver has set.
#[derive(Default)]
pub struct Settings {
    link_layer: bool,
    tx: Option<TxCapabilities>,
    rx: Option<RxCapabilities>,
    mtu_set: bool,
    started: bool,
    /// A checksum offload was offered: its extension is there.
    pub checksum: bool,
    /// Callbacks that are told what is enabled.
    pub offloads: Vec<SetOffload>,
}

// SAFETY: the capabilities hold the driver's pointers as values only.
unsafe impl Send for Settings {}

/// What queues are made from.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Tx capabilities.
    pub tx: TxCapabilities,
    /// Rx capabilities.
    pub rx: RxCapabilities,
    /// MTU.
    pub mtu: u32,
    /// The checksum extension is there.
    pub checksum: bool,
}

struct Running {
    queue: Ref,
    thread: JoinHandle<()>,
}

/// The extension's part of an adapter.
pub struct Adapter {
    device: Ref,
    callbacks: DatapathCallbacks,
    /// What the driver has set.
    pub settings: Mutex<Settings>,
    mtu: AtomicU32,
    up: AtomicBool,
    tun: Mutex<Option<Arc<Tun>>>,
    datapath: Mutex<Vec<Running>>,
}

impl Body for Adapter {
    fn dispose(&self, me: Ref) {
        halt(me);
        if let Some(d) = device::of(self.device) {
            d.remove(me);
        }
        lock(&ADAPTERS).retain(|a| !std::ptr::eq(*a, me));
    }
}

/// Adapters alive.
pub fn count() -> usize {
    lock(&ADAPTERS).len()
}

/// Records adapter inits never freed; after the driver's unload. Each once: the next driver's unload does not answer for them.
pub fn check_leaks() {
    let n = lock(&LIVE_INITS).take().map_or(0, |left| left.len());
    if n != 0 {
        record(INIT_LEAK, &format!("{n} NETADAPTER_INIT never freed"));
    }
}

/// `tun`, `ifindex`, `mtu`, `link`: the answer to `QUERY adapter`.
pub fn query() -> String {
    let adapters = lock(&ADAPTERS).clone();
    let mut out = String::new();
    for a in adapters {
        let a: &Adapter = a.body();
        let tun = lock(&a.tun).clone();
        let (name, index) = tun.map_or((String::from("-"), 0), |t| (t.name().to_owned(), t.index()));
        let link = if a.up.load(Ordering::Relaxed) { "up" } else { "down" };
        out.push_str(&format!("tun {name}\nifindex {index}\nmtu {}\nlink {link}\n", a.mtu.load(Ordering::Relaxed)));
    }
    out
}

impl Adapter {
    /// Records when the adapter is started: `what` is set before NetAdapterStart.
    pub fn not_started(&self, what: &str) {
        if lock(&self.settings).started {
            record(SEQUENCE, &format!("{what} after NetAdapterStart"));
        }
    }

    fn plan(&self) -> Option<Plan> {
        let s = lock(&self.settings);
        Some(Plan { tx: s.tx?, rx: s.rx?, mtu: self.mtu.load(Ordering::Relaxed), checksum: s.checksum })
    }

    /// Creates the queues and their threads, if the adapter is started and has none.
    fn create_queues(&self, me: Ref) {
        let mut running = lock(&self.datapath);
        if !running.is_empty() || !lock(&self.settings).started {
            return;
        }
        let (Some(plan), Some(tun)) = (self.plan(), lock(&self.tun).clone()) else { return };
        let offloads = lock(&self.settings).offloads.clone();
        offload::tell(me, &offloads);
        let mut made = Vec::new();
        for (tx, callback) in [(true, self.callbacks.create_tx), (false, self.callbacks.create_rx)] {
            let Some(f) = callback else { continue };
            match queue::create_by_driver(me, tx, f, &plan, &tun) {
                Ok(q) => made.push(q),
                Err(s) => {
                    eprintln!(
                        "dco-lab: the driver could not create its {} queue: {s:#010x}; the adapter has no data path",
                        if tx { "Tx" } else { "Rx" }
                    );
                    made.into_iter().for_each(object::delete);
                    return;
                }
            }
        }
        for q in made {
            let name = if q.body::<Queue>().tx { "netcx-tx" } else { "netcx-rx" };
            match crate::ke::spawn(name, move || queue::run(q)) {
                Ok(thread) => running.push(Running { queue: q, thread }),
                Err(e) => eprintln!("dco-lab: no thread for {name}: {e}"),
            }
        }
    }

    fn destroy_queues(&self) {
        let mut running = lock(&self.datapath);
        for r in running.iter() {
            r.queue.body::<Queue>().stop();
        }
        for r in running.drain(..) {
            // A thread that panicked has printed why.
            let _ = crate::ke::sched::outside("join", || r.thread.join());
            // Not when the driver deletes the adapter: the queues were claimed with it.
            object::delete_if_live(r.queue);
        }
    }
}

/// Power-up: the queues are created now if the adapter is started.
pub fn start_datapath(adapter: Ref) {
    adapter.body::<Adapter>().create_queues(adapter);
}

/// Power-down: the queues go, the adapter stays started.
pub fn stop_datapath(adapter: Ref) {
    adapter.body::<Adapter>().destroy_queues();
}

/// NetAdapterStop, by the driver or by the extension at removal.
pub fn halt(adapter: Ref) {
    let a: &Adapter = adapter.body();
    lock(&a.settings).started = false;
    a.destroy_queues();
    if let Some(t) = lock(&a.tun).take() {
        t.set_carrier(false);
    }
}

fn with_init<R>(init: *mut u8, f: impl FnOnce(&mut Init) -> R) -> Option<R> {
    let mut live = lock(&LIVE_INITS);
    let r = live.get_or_insert_default().get_mut(&init.addr()).map(f);
    drop(live);
    if r.is_none() {
        record(BAD_INIT, &format!("{init:p} is not a live NETADAPTER_INIT"));
    }
    r
}

unsafe extern "win64" fn init_allocate(g: G, device_handle: Handle) -> *mut u8 {
    let _call = enter(g, "NetAdapterInitAllocate", PASSIVE);
    let device = object::any(device_handle);
    if device::of(device).is_none() {
        record(SEQUENCE, "NetDeviceInitConfig was not called for the device");
    }
    if fault::fails("NetAdapterInitAllocate") {
        return std::ptr::null_mut();
    }
    let p = pool::alloc_lab(&INITS, 64);
    lock(&LIVE_INITS).get_or_insert_default().insert(p.addr(), Init { device, callbacks: None, used: false });
    p
}

unsafe extern "win64" fn init_free(g: G, init: *mut u8) {
    let _call = enter(g, "NetAdapterInitFree", PASSIVE);
    if lock(&LIVE_INITS).get_or_insert_default().remove(&init.addr()).is_none() {
        record(BAD_INIT, &format!("{init:p} is not a live NETADAPTER_INIT"));
        return;
    }
    // SAFETY: it was live: from `init_allocate`, freed here only.
    unsafe { pool::free_lab(init) };
}

unsafe extern "win64" fn set_datapath_callbacks(g: G, init: *mut u8, callbacks: *const DatapathCallbacks) {
    let _call = enter(g, "NetAdapterInitSetDatapathCallbacks", PASSIVE);
    // SAFETY: the driver's structure; its size is checked first.
    let c = unsafe {
        check_size(callbacks.cast(), size_of::<DatapathCallbacks>(), "NET_ADAPTER_DATAPATH_CALLBACKS");
        callbacks.read_unaligned()
    };
    if c.create_tx.is_none() || c.create_rx.is_none() {
        record(BAD_PARAMETER, "EvtAdapterCreateTxQueue and EvtAdapterCreateRxQueue must not be NULL");
    }
    with_init(init, |i| i.callbacks = Some(c));
}

unsafe extern "win64" fn create(g: G, init: *mut u8, a: *const RawAttributes, out: *mut Handle) -> NTSTATUS {
    let _call = enter(g, "NetAdapterCreate", PASSIVE);
    // SAFETY: the driver's attributes.
    let a = unsafe { attributes::read(a) };
    if out.is_null() {
        record(BAD_PARAMETER, "Adapter must not be NULL");
        return status::INVALID_PARAMETER;
    }
    let Some(i) = with_init(init, |i| i.clone()) else { return status::INVALID_PARAMETER };
    if i.used {
        record(BAD_INIT, "one NETADAPTER_INIT creates one adapter");
    }
    let Some(callbacks) = i.callbacks else {
        record(SEQUENCE, "NetAdapterCreate before NetAdapterInitSetDatapathCallbacks");
        return status::INVALID_DEVICE_STATE;
    };
    if let Err(s) = a.no_parent().and_then(|()| a.check_levels(&ADAPTER)) {
        return s;
    }
    if fault::fails("NetAdapterCreate") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let body = Adapter {
        device: i.device,
        callbacks,
        settings: Mutex::default(),
        mtu: AtomicU32::new(1500),
        up: AtomicBool::new(false),
        tun: Mutex::new(None),
        datapath: Mutex::new(Vec::new()),
    };
    let o = match object::create(&ADAPTER, &a, Some(i.device), Box::new(body)) {
        Ok(o) => o,
        Err(s) => return s,
    };
    with_init(init, |i| i.used = true);
    if let Some(d) = device::of(i.device) {
        d.add(o);
    }
    lock(&ADAPTERS).push(o);
    // SAFETY: not null; the driver's variable.
    unsafe { out.write_unaligned(o.handle()) };
    status::SUCCESS
}

unsafe extern "win64" fn start(g: G, handle: Handle) -> NTSTATUS {
    let _call = enter(g, "NetAdapterStart", PASSIVE);
    let me = object::expect(handle, &ADAPTER);
    let a: &Adapter = me.body();
    {
        let s = lock(&a.settings);
        if s.started {
            drop(s);
            record(SEQUENCE, "NetAdapterStart of an adapter that is started");
            return status::INVALID_DEVICE_STATE;
        }
        let lacks: Vec<&str> = [
            (s.link_layer, "NetAdapterSetLinkLayerCapabilities"),
            (s.tx.is_some(), "NetAdapterSetDataPathCapabilities"),
            (s.mtu_set, "NetAdapterSetLinkLayerMtuSize"),
        ]
        .into_iter()
        .filter_map(|(done, name)| (!done).then_some(name))
        .collect();
        drop(s);
        if !lacks.is_empty() {
            record(SEQUENCE, &format!("NetAdapterStart before {}", lacks.join(", ")));
            return status::INVALID_DEVICE_STATE;
        }
    }
    if fault::fails("NetAdapterStart") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let opened = match (tun::handed(), settings().tun) {
        (Some(fd), _) => Ok(Tun::over(fd)),
        (None, Some(name)) => Tun::open(&name),
        (None, None) => Tun::open("dco%d"),
    };
    let t = match opened {
        Ok(t) => Arc::new(t),
        Err(e) => {
            eprintln!("dco-lab: TUN device: {e}");
            return status::INSUFFICIENT_RESOURCES;
        }
    };
    t.set_mtu(a.mtu.load(Ordering::Relaxed));
    t.set_carrier(a.up.load(Ordering::Relaxed));
    *lock(&a.tun) = Some(t);
    lock(&a.settings).started = true;
    if device::of(a.device).is_some_and(|d| d.powered.load(Ordering::SeqCst)) {
        // The protocol binds on a thread of its own.
        crate::ke::spawn_or_abort("netcx-bind", move || start_datapath(me));
    }
    status::SUCCESS
}

unsafe extern "win64" fn stop(g: G, handle: Handle) {
    let _call = enter(g, "NetAdapterStop", PASSIVE);
    let me = object::expect(handle, &ADAPTER);
    if !lock(&me.body::<Adapter>().settings).started {
        record(SEQUENCE, "NetAdapterStop of an adapter that is not started");
        return;
    }
    halt(me);
}

unsafe extern "win64" fn set_link_layer_capabilities(g: G, handle: Handle, caps: *const LinkLayerCapabilities) {
    let _call = enter(g, "NetAdapterSetLinkLayerCapabilities", PASSIVE);
    let a: &Adapter = object::expect(handle, &ADAPTER).body();
    // SAFETY: the driver's structure.
    unsafe { check_size(caps.cast(), size_of::<LinkLayerCapabilities>(), "NET_ADAPTER_LINK_LAYER_CAPABILITIES") };
    a.not_started("NetAdapterSetLinkLayerCapabilities");
    lock(&a.settings).link_layer = true;
}

unsafe extern "win64" fn set_mtu(g: G, handle: Handle, mtu: u32) {
    let _call = enter(g, "NetAdapterSetLinkLayerMtuSize", PASSIVE);
    let a: &Adapter = object::expect(handle, &ADAPTER).body();
    if !(68..=65_535).contains(&mtu) {
        record(BAD_PARAMETER, &format!("MtuSize {mtu}"));
        return;
    }
    a.mtu.store(mtu, Ordering::Relaxed);
    lock(&a.settings).mtu_set = true;
    if let Some(t) = lock(&a.tun).as_ref() {
        t.set_mtu(mtu);
    }
}

fn check_tx(c: &TxCapabilities) {
    if c.mapping != 0 {
        crate::report::stop(NOT_IMPLEMENTED, "NetMemoryMappingRequirementDmaMapped");
    }
    if c.max_fragments == 0 || c.max_queues == 0 || !c.alignment.is_power_of_two() || c.backfill > 1024 {
        record(BAD_CAPABILITIES, &format!("{c:?}"));
    }
}

fn check_rx(c: &RxCapabilities) {
    if c.allocation != 0 || c.attachment != 0 || c.mapping != 0 {
        crate::report::stop(NOT_IMPLEMENTED, "Rx buffers allocated or attached by the driver, or DMA-mapped");
    }
    if c.max_frame == 0 || c.max_queues == 0 || !c.alignment.is_power_of_two() {
        record(BAD_CAPABILITIES, &format!("{c:?}"));
    }
}

unsafe extern "win64" fn set_datapath_capabilities(
    g: G,
    handle: Handle,
    tx: *const TxCapabilities,
    rx: *const RxCapabilities,
) {
    let _call = enter(g, "NetAdapterSetDataPathCapabilities", PASSIVE);
    let a: &Adapter = object::expect(handle, &ADAPTER).body();
    // SAFETY: the driver's structures; their sizes are checked first.
    let (tx, rx) = unsafe {
        check_size(tx.cast(), size_of::<TxCapabilities>(), "NET_ADAPTER_TX_CAPABILITIES");
        check_size(rx.cast(), size_of::<RxCapabilities>(), "NET_ADAPTER_RX_CAPABILITIES");
        (tx.read_unaligned(), rx.read_unaligned())
    };
    check_tx(&tx);
    check_rx(&rx);
    a.not_started("NetAdapterSetDataPathCapabilities");
    let mut s = lock(&a.settings);
    (s.tx, s.rx) = (Some(tx), Some(rx));
}

unsafe extern "win64" fn set_link_state(g: G, handle: Handle, state: *const LinkState) {
    let _call = enter(g, "NetAdapterSetLinkState", DISPATCH);
    let a: &Adapter = object::expect(handle, &ADAPTER).body();
    // SAFETY: the driver's structure; its size is checked first.
    let s = unsafe {
        check_size(state.cast(), size_of::<LinkState>(), "NET_ADAPTER_LINK_STATE");
        state.read_unaligned()
    };
    if s.connect > 2 || s.duplex > 2 || s.pause > 4 {
        record(BAD_PARAMETER, &format!("{s:?}"));
        return;
    }
    let up = s.connect == 1;
    a.up.store(up, Ordering::Relaxed);
    if let Some(t) = lock(&a.tun).as_ref() {
        t.set_carrier(up);
    }
}

unsafe extern "win64" fn net_luid(g: G, handle: Handle) -> u64 {
    let _call = enter(g, "NetAdapterGetNetLuid", DISPATCH);
    let a: &Adapter = object::expect_kept(handle, &ADAPTER).body();
    let index = lock(&a.tun).as_ref().map_or(1, |t| t.index().max(1));
    // IfType IF_TYPE_PROP_VIRTUAL.
    53 << 48 | u64::from(index & 0xFF_FFFF) << 24
}

unsafe extern "win64" fn parent(g: G, handle: Handle) -> Handle {
    let _call = enter(g, "NetAdapterGetParent", DISPATCH);
    object::expect_kept(handle, &ADAPTER).body::<Adapter>().device.handle()
}

unsafe extern "win64" fn mtu(g: G, handle: Handle) -> u32 {
    let _call = enter(g, "NetAdapterGetLinkLayerMtuSize", DISPATCH);
    object::expect_kept(handle, &ADAPTER).body::<Adapter>().mtu.load(Ordering::Relaxed)
}

fn address(handle: Handle, address: *const LinkLayerAddress) {
    let _adapter = object::expect(handle, &ADAPTER);
    // SAFETY: the driver's structure, null refused.
    match unsafe { address.as_ref() } {
        Some(a) if a.length <= 32 => {}
        Some(a) => record(BAD_PARAMETER, &format!("an address of {} bytes", a.length)),
        None => record(BAD_PARAMETER, "the address is NULL"),
    }
}

unsafe extern "win64" fn set_permanent_address(g: G, handle: Handle, a: *const LinkLayerAddress) {
    let _call = enter(g, "NetAdapterSetPermanentLinkLayerAddress", PASSIVE);
    address(handle, a);
}

unsafe extern "win64" fn set_current_address(g: G, handle: Handle, a: *const LinkLayerAddress) {
    let _call = enter(g, "NetAdapterSetCurrentLinkLayerAddress", PASSIVE);
    address(handle, a);
}

/// The driver's EvtAdapterCreate...Queue answered success: nothing of it may be missing.
pub fn queue_status(answer: NTSTATUS, made: Option<Ref>, tx: bool) -> Result<Ref, NTSTATUS> {
    match (nt_success(answer), made) {
        (true, Some(q)) => Ok(q),
        (true, None) => {
            record(
                SEQUENCE,
                &format!("EvtAdapterCreate{}Queue succeeded without creating the queue", if tx { "Tx" } else { "Rx" }),
            );
            Err(status::UNSUCCESSFUL)
        }
        (false, made) => {
            made.into_iter().for_each(object::delete);
            Err(answer)
        }
    }
}

/// This file's part of the table.
pub fn entries() -> Vec<Entry> {
    entries! {
        "NetAdapterInitAllocate" => init_allocate,
        "NetAdapterInitFree" => init_free,
        "NetAdapterInitSetDatapathCallbacks" => set_datapath_callbacks,
        "NetAdapterCreate" => create,
        "NetAdapterStart" => start,
        "NetAdapterStop" => stop,
        "NetAdapterSetLinkLayerCapabilities" => set_link_layer_capabilities,
        "NetAdapterSetLinkLayerMtuSize" => set_mtu,
        "NetAdapterSetDataPathCapabilities" => set_datapath_capabilities,
        "NetAdapterSetLinkState" => set_link_state,
        "NetAdapterGetNetLuid" => net_luid,
        "NetAdapterGetParent" => parent,
        "NetAdapterGetLinkLayerMtuSize" => mtu,
        "NetAdapterSetPermanentLinkLayerAddress" => set_permanent_address,
        "NetAdapterSetCurrentLinkLayerAddress" => set_current_address,
    }
}
