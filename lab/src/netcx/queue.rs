//! NETPACKETQUEUE: creation inside EvtAdapterCreate{Tx,Rx}Queue, rings and extensions, notification, and the frame of the
//! thread that runs a queue: Start, then Advance and SetNotificationEnabled, then Cancel, then Stop.

use super::abi::{CreateQueue, Extension, ExtensionQuery, QueueCallback, QueueConfig, RingCollection};
use super::adapter::{self, Plan};
use super::bind::{Entry, G, enter, entries};
use super::ring::{Buffers, CHECKSUM_AT, FRAGMENT_STRIDE, PACKET_STRIDE, Ring, VA_AT};
use super::rx::RxSide;
use super::tun::Tun;
use super::tx::TxSide;
use super::{Advance, advance_at, settings};
use crate::fault;
use crate::irql::{self, DISPATCH, Kirql, PASSIVE};
use crate::nt::{NTSTATUS, status};
use crate::objects;
use crate::pool;
use crate::report::{InCall, Rule, record, stop};
use crate::wdf::abi::{Handle, RawAttributes};
use crate::wdf::attributes::{self, check_size};
use crate::wdf::class::wide;
use crate::wdf::object::{self, Body, Judged, Kind, Ref, lock};
use crate::wdf::sync::driver_call;
use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// NETPACKETQUEUE.
pub static QUEUE: Kind = Kind::new("NETPACKETQUEUE", false, true, false);

const OUTSIDE: Rule = Rule::new(
    "netcx.queue-create-outside-callback",
    "NetAdapterCx: NetTxQueueCreate, NetRxQueueCreate (only within EvtAdapterCreate...Queue)",
);
const BAD_CONFIG: Rule = Rule::new("netcx.bad-queue-config", "NetAdapterCx: NET_PACKET_QUEUE_CONFIG");
const NOT_DRAINED: Rule = Rule::new(
    "netcx.queue-not-drained",
    "NetAdapterCx: EvtPacketQueueCancel (all packets are returned, or the queue never goes)",
);
const AFTER_STOP: Rule =
    Rule::new("netcx.notify-after-stop", "nt-abi.md section 4: no NotifyMore... once EvtPacketQueueStop has returned");
const DESTROYED: Rule = Rule::new(
    "netcx.notify-destroyed-queue",
    "nt-abi.md section 4: the stored queue handle is dropped in EvtPacketQueueStop, before anyone can notify with it",
);
const WRONG_QUEUE: Rule =
    Rule::new("netcx.wrong-queue", "NetAdapterCx: NetTxQueue... takes a Tx queue, NetRxQueue... an Rx queue");
const BAD_QUERY: Rule = Rule::new("netcx.bad-extension-query", "NetAdapterCx: NET_EXTENSION_QUERY");

static QUEUE_INITS: objects::Kind = objects::Kind::of_lab("netcx.queue-init");
static COLLECTIONS: objects::Kind = objects::Kind::of_lab("netcx.ring-collection");

/// Notifications that came while none was wanted.
pub static SPURIOUS: AtomicU64 = AtomicU64::new(0);
/// Calls of EvtPacketQueueAdvance.
pub static ADVANCES: AtomicU64 = AtomicU64::new(0);
/// Times a queue's thread went to sleep armed.
pub static SLEEPS: AtomicU64 = AtomicU64::new(0);

const CREATED: u8 = 0;
const STARTED: u8 = 1;
const STOPPED: u8 = 2;
/// How long a queue may take to return its packets after Cancel.
const DRAIN: Duration = Duration::from_secs(3);

/// What the queue's thread takes over.
pub struct Parts {
    /// Packet ring.
    pub packets: Ring,
    /// Fragment ring.
    pub fragments: Ring,
    /// Fragment buffers.
    pub buffers: Buffers,
    /// Capabilities.
    pub plan: Plan,
    /// Device.
    pub tun: Arc<Tun>,
}

// SAFETY: the capabilities hold the driver's pointers as values only.
unsafe impl Send for Parts {}

impl Parts {
    /// The rings are as the last callback left them.
    fn before_callback(&self) {
        self.packets.check_still("packet");
        self.fragments.check_still("fragment");
    }

    /// Notes how a callback left the rings.
    fn after_callback(&mut self) {
        self.packets.note();
        self.fragments.note();
    }
}

/// The extension's part of a queue.
pub struct Queue {
    /// Which way.
    pub tx: bool,
    config: QueueConfig,
    state: AtomicU8,
    armed: AtomicBool,
    stop: AtomicBool,
    wake: OwnedFd,
    turn: AtomicU64,
    checksum: bool,
    packets: (usize, usize),
    fragments: (usize, usize),
    collection: usize,
    parts: Mutex<Option<Parts>>,
}

impl Body for Queue {
    fn destroy(&self, _me: Ref) {
        // SAFETY: from `create`; the queue is destroyed once.
        unsafe { pool::free_lab(self.collection as *mut u8) };
        // Of a queue that never ran: they hold the TUN.
        drop(lock(&self.parts).take());
    }
}

/// A call of EvtAdapterCreate...Queue in progress on this thread.
struct Creation {
    init: *mut u8,
    tx: bool,
    adapter: Ref,
    plan: Plan,
    tun: Arc<Tun>,
    made: Cell<Option<Ref>>,
}

thread_local! {
    static CREATING: RefCell<Option<Creation>> = const { RefCell::new(None) };
}

/// Lets the driver create a queue.
pub fn create_by_driver(
    adapter: Ref,
    tx: bool,
    callback: CreateQueue,
    plan: &Plan,
    tun: &Arc<Tun>,
) -> Result<Ref, NTSTATUS> {
    let init = pool::alloc_lab(&QUEUE_INITS, 64);
    CREATING.set(Some(Creation { init, tx, adapter, plan: *plan, tun: Arc::clone(tun), made: Cell::new(None) }));
    let name = if tx { "EvtAdapterCreateTxQueue" } else { "EvtAdapterCreateRxQueue" };
    // SAFETY: the driver's callback, at PASSIVE_LEVEL, with a live adapter and init.
    let answer = driver_call(name, || unsafe { callback(adapter.handle(), init) });
    let made = CREATING.take().and_then(|c| c.made.get());
    // SAFETY: the init lives for the callback only.
    unsafe { pool::free_lab(init) };
    let _call = InCall::enter(name);
    adapter::queue_status(answer, made, tx)
}

fn create(
    call: &'static str,
    init: *mut u8,
    tx: bool,
    a: *const RawAttributes,
    config: *const QueueConfig,
    out: *mut Handle,
) -> NTSTATUS {
    // SAFETY: the driver's structures; sizes are checked first.
    let (a, config) = unsafe {
        check_size(config.cast(), size_of::<QueueConfig>(), "NET_PACKET_QUEUE_CONFIG");
        (attributes::read(a), config.read_unaligned())
    };
    CREATING.with_borrow(|c| {
        let Some(c) = c.as_ref().filter(|c| c.init == init && c.tx == tx && c.made.get().is_none()) else {
            record(
                OUTSIDE,
                &format!("{init:p} is not the queue init of a callback in progress on this thread, or was used"),
            );
            return status::INVALID_DEVICE_STATE;
        };
        if config.advance.is_none() || config.set_notification.is_none() || config.cancel.is_none() || out.is_null() {
            record(BAD_CONFIG, "EvtAdvance, EvtSetNotificationEnabled, EvtCancel and PacketQueue must not be NULL");
            return status::INVALID_PARAMETER;
        }
        if let Err(s) = a.no_parent().and_then(|()| a.check_levels(&QUEUE)) {
            return s;
        }
        if fault::fails(call) {
            return status::INSUFFICIENT_RESOURCES;
        }
        let parts = build(c, tx);
        let collection = pool::alloc_lab(&COLLECTIONS, size_of::<RingCollection>());
        let rings = [parts.packets.as_ptr(), parts.fragments.as_ptr(), std::ptr::null_mut()];
        // SAFETY: a fresh block of that size.
        unsafe { collection.cast::<RingCollection>().write(RingCollection { rings }) };
        // SAFETY: no pointers.
        let wake = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        let body = Queue {
            tx,
            config,
            state: AtomicU8::new(CREATED),
            armed: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            // SAFETY: a fresh descriptor; where the host had none, using it fails and the queue only polls.
            wake: unsafe { OwnedFd::from_raw_fd(wake.max(0)) },
            turn: AtomicU64::new(0),
            checksum: c.plan.checksum,
            packets: parts.packets.elements(),
            fragments: parts.fragments.elements(),
            collection: collection.addr(),
            parts: Mutex::new(Some(parts)),
        };
        match object::create(&QUEUE, &a, Some(c.adapter), Box::new(body)) {
            Ok(o) => {
                c.made.set(Some(o));
                // SAFETY: not null; the driver's variable.
                unsafe { out.write_unaligned(o.handle()) };
                status::SUCCESS
            }
            Err(s) => s,
        }
    })
}

fn build(c: &Creation, tx: bool) -> Parts {
    let s = settings();
    let ring = s.ring.clamp(8, 4096).next_power_of_two();
    let pieces = if tx { s.tx_fragments.clamp(1, c.plan.tx.max_fragments.clamp(1, 16)) } else { 1 };
    let count = (ring * u32::try_from(pieces).unwrap_or(1)).next_power_of_two();
    let mtu = c.plan.mtu as usize;
    let (size, align) = if tx {
        // Room for packets beyond the MTU, which a driver must survive.
        (mtu.max(1500) + 548 + c.plan.tx.backfill + super::tx::OFFSET, c.plan.tx.alignment)
    } else {
        (c.plan.rx.max_frame.max(mtu).min(65_536), c.plan.rx.alignment)
    };
    Parts {
        packets: Ring::new(ring, PACKET_STRIDE),
        fragments: Ring::new(count, FRAGMENT_STRIDE),
        buffers: Buffers::new(count, size, align),
        plan: c.plan,
        tun: Arc::clone(&c.tun),
    }
}

/// One direction's work between two calls of the driver's.
pub trait Side {
    /// Gives the driver what there is; whether there was anything.
    fn offer(&mut self) -> bool;
    /// Takes back what the driver has completed; whether there was anything.
    fn collect(&mut self) -> bool;
    /// The driver holds nothing.
    fn drained(&self) -> bool;
    /// Whether the queue sleeps armed: the driver is to notify.
    fn arms(&self) -> bool;
    /// Something to wait for besides the driver.
    fn input(&self) -> Option<i32>;
    /// The rings and what goes with them.
    fn rings(&mut self) -> &mut Parts;
}

impl Queue {
    /// Ends the queue's thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.signal();
    }

    fn signal(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of ours; a full counter is readable already.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    fn level(&self) -> Kirql {
        match advance_at() {
            Advance::Passive => PASSIVE,
            Advance::Dispatch => DISPATCH,
            Advance::Alternate => {
                if self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                    DISPATCH
                } else {
                    PASSIVE
                }
            }
        }
    }

    fn call(me: Ref, name: &'static str, level: Kirql, f: Option<QueueCallback>) {
        let Some(f) = f else { return };
        // SAFETY: the driver's callback for this queue, on the queue's thread, at a documented IRQL.
        irql::at(level, || driver_call(name, || unsafe { f(me.handle()) }));
    }

    fn advance(&self, me: Ref, side: &mut dyn Side) {
        ADVANCES.fetch_add(1, Ordering::Relaxed);
        side.rings().before_callback();
        Self::call(me, "EvtPacketQueueAdvance", self.level(), self.config.advance);
        side.rings().after_callback();
    }

    fn arm(&self, me: Ref, side: &mut dyn Side) {
        self.armed.store(true, Ordering::SeqCst);
        let Some(f) = self.config.set_notification else { return };
        let name = "EvtPacketQueueSetNotificationEnabled";
        side.rings().before_callback();
        // SAFETY: as in `call`.
        irql::at(self.level(), || driver_call(name, || unsafe { f(me.handle(), 1) }));
        side.rings().after_callback();
    }

    /// Verifier calls Cancel at DISPATCH_LEVEL, whatever its page says.
    fn cancel(&self, me: Ref, side: &mut dyn Side) {
        let level = if advance_at() == Advance::Passive { PASSIVE } else { DISPATCH };
        side.rings().before_callback();
        Self::call(me, "EvtPacketQueueCancel", level, self.config.cancel);
        side.rings().after_callback();
    }

    fn sleep(&self, input: Option<i32>) {
        let mut p = [
            libc::pollfd { fd: self.wake.as_raw_fd(), events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: input.unwrap_or(-1), events: libc::POLLIN, revents: 0 },
        ];
        crate::ke::sched::poll("adapter", &mut p, -1);
        if p[0].revents != 0 {
            let mut n = 0u64;
            // SAFETY: eight bytes of ours.
            unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut n).cast(), 8) };
        }
        if p[1].revents & (libc::POLLERR | libc::POLLNVAL | libc::POLLHUP) != 0 {
            // The interface is down or gone: nothing comes, and poll would not wait.
            crate::ke::sched::sleep(Duration::from_millis(5));
        }
    }

    fn work(&self, me: Ref, side: &mut dyn Side) {
        Self::call(me, "EvtPacketQueueStart", PASSIVE, self.config.start);
        side.rings().after_callback();
        self.state.store(STARTED, Ordering::SeqCst);
        while !self.stop.load(Ordering::SeqCst) {
            let offered = side.offer();
            self.advance(me, side);
            if side.collect() || offered {
                continue;
            }
            if side.arms() && !self.armed.load(Ordering::SeqCst) {
                self.arm(me, side);
                // Once more: what became ready before the driver was armed is not notified.
                self.advance(me, side);
                if side.collect() {
                    continue;
                }
                SLEEPS.fetch_add(1, Ordering::Relaxed);
            }
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            self.sleep(side.input());
        }
        self.cancel(me, side);
        let end = Instant::now() + DRAIN;
        loop {
            side.collect();
            if side.drained() {
                break;
            }
            if Instant::now() > end {
                record(
                    NOT_DRAINED,
                    &format!(
                        "the {} queue still holds packets {DRAIN:?} after EvtPacketQueueCancel",
                        if self.tx { "Tx" } else { "Rx" }
                    ),
                );
                break;
            }
            self.advance(me, side);
            if !side.collect() {
                crate::ke::sched::sleep(Duration::from_micros(200));
            }
        }
        Self::call(me, "EvtPacketQueueStop", PASSIVE, self.config.stop);
        self.state.store(STOPPED, Ordering::SeqCst);
    }
}

/// The thread of a queue, from Start to Stop.
pub fn run(me: Ref) {
    let q: &Queue = me.body();
    let Some(parts) = lock(&q.parts).take() else { return };
    if q.tx {
        q.work(me, &mut TxSide::new(parts));
    } else {
        q.work(me, &mut RxSide::new(parts));
    }
}

fn queue_of(handle: Handle, tx: bool) -> &'static Queue {
    let q: &Queue = object::expect(handle, &QUEUE).body();
    if q.tx != tx {
        record(WRONG_QUEUE, &format!("{handle:#x} is the {} queue", if q.tx { "Tx" } else { "Rx" }));
    }
    q
}

fn notify(handle: Handle, tx: bool) {
    if let Judged::Stale(slot) = object::judge(handle)
        && slot.is(&QUEUE)
    {
        stop(DESTROYED, &format!("{handle:#x}, the queue is gone: {slot:?}"));
    }
    let q = queue_of(handle, tx);
    if q.state.load(Ordering::SeqCst) == STOPPED {
        record(AFTER_STOP, "the queue is stopped");
        return;
    }
    if q.armed.swap(false, Ordering::SeqCst) {
        q.signal();
    } else {
        SPURIOUS.fetch_add(1, Ordering::Relaxed);
    }
}

fn extension(handle: Handle, tx: bool, query: *const ExtensionQuery, out: *mut Extension) {
    let q = queue_of(handle, tx);
    // SAFETY: the driver's structure; its size is checked first.
    let query = unsafe {
        check_size(query.cast(), size_of::<ExtensionQuery>(), "NET_EXTENSION_QUERY");
        query.read_unaligned()
    };
    if query.name.is_null() || out.is_null() || query.version == 0 || !(1..=2).contains(&query.kind) {
        record(
            BAD_QUERY,
            &format!("Name {:p}, Version {}, Type {}, Extension {out:p}", query.name, query.version, query.kind),
        );
        return;
    }
    // SAFETY: not null; a NUL-terminated string.
    let name = unsafe { wide(query.name) };
    let found = match (name.as_str(), query.kind) {
        ("ms_fragment_virtualaddress", 2) => Some((q.fragments, VA_AT)),
        ("ms_packet_checksum", 1) if q.checksum => Some((q.packets, CHECKSUM_AT)),
        (
            "ms_packet_checksum" | "ms_packet_gso" | "ms_packet_rsc" | "ms_packet_rsc_timestamp" | "ms_packet_hash",
            1,
        ) => None,
        ("ms_fragment_logicaladdress" | "ms_fragment_mdl" | "ms_fragment_returncontext", 2) => None,
        _ => {
            record(BAD_QUERY, &format!("no extension {name:?} of type {}", query.kind));
            None
        }
    };
    let extension = match found {
        Some(((base, stride), at)) if query.version == 1 => {
            Extension { data: base + at, stride, reserved: [0; 2], enabled: 1 }
        }
        _ => Extension { data: 0, stride: 0, reserved: [0; 2], enabled: 0 },
    };
    // SAFETY: not null; the driver's structure.
    unsafe { out.write_unaligned(extension) };
}

fn queue_id(init: *mut u8, tx: bool) -> u32 {
    let mine = CREATING.with_borrow(|c| c.as_ref().is_some_and(|c| c.init == init && c.tx == tx));
    if !mine {
        record(OUTSIDE, &format!("{init:p} is not the queue init of a callback in progress on this thread"));
    }
    0
}

unsafe extern "win64" fn tx_create(
    g: G,
    init: *mut u8,
    a: *const RawAttributes,
    config: *const QueueConfig,
    out: *mut Handle,
) -> NTSTATUS {
    let _call = enter(g, "NetTxQueueCreate", PASSIVE);
    create("NetTxQueueCreate", init, true, a, config, out)
}

unsafe extern "win64" fn rx_create(
    g: G,
    init: *mut u8,
    a: *const RawAttributes,
    config: *const QueueConfig,
    out: *mut Handle,
) -> NTSTATUS {
    let _call = enter(g, "NetRxQueueCreate", PASSIVE);
    create("NetRxQueueCreate", init, false, a, config, out)
}

unsafe extern "win64" fn tx_notify(g: G, queue: Handle) {
    let _call = enter(g, "NetTxQueueNotifyMoreCompletedPacketsAvailable", Kirql::MAX);
    notify(queue, true);
}

unsafe extern "win64" fn rx_notify(g: G, queue: Handle) {
    let _call = enter(g, "NetRxQueueNotifyMoreReceivedPacketsAvailable", Kirql::MAX);
    notify(queue, false);
}

unsafe extern "win64" fn tx_id(g: G, init: *mut u8) -> u32 {
    let _call = enter(g, "NetTxQueueInitGetQueueId", PASSIVE);
    queue_id(init, true)
}

unsafe extern "win64" fn rx_id(g: G, init: *mut u8) -> u32 {
    let _call = enter(g, "NetRxQueueInitGetQueueId", PASSIVE);
    queue_id(init, false)
}

unsafe extern "win64" fn tx_rings(g: G, queue: Handle) -> *const RingCollection {
    let _call = enter(g, "NetTxQueueGetRingCollection", DISPATCH);
    queue_of(queue, true).collection as *const RingCollection
}

unsafe extern "win64" fn rx_rings(g: G, queue: Handle) -> *const RingCollection {
    let _call = enter(g, "NetRxQueueGetRingCollection", DISPATCH);
    queue_of(queue, false).collection as *const RingCollection
}

unsafe extern "win64" fn tx_extension(g: G, queue: Handle, query: *const ExtensionQuery, out: *mut Extension) {
    let _call = enter(g, "NetTxQueueGetExtension", PASSIVE);
    extension(queue, true, query, out);
}

unsafe extern "win64" fn rx_extension(g: G, queue: Handle, query: *const ExtensionQuery, out: *mut Extension) {
    let _call = enter(g, "NetRxQueueGetExtension", PASSIVE);
    extension(queue, false, query, out);
}

/// This file's part of the table.
pub fn entries() -> Vec<Entry> {
    entries! {
        "NetTxQueueCreate" => tx_create,
        "NetRxQueueCreate" => rx_create,
        "NetTxQueueNotifyMoreCompletedPacketsAvailable" => tx_notify,
        "NetRxQueueNotifyMoreReceivedPacketsAvailable" => rx_notify,
        "NetTxQueueInitGetQueueId" => tx_id,
        "NetRxQueueInitGetQueueId" => rx_id,
        "NetTxQueueGetRingCollection" => tx_rings,
        "NetRxQueueGetRingCollection" => rx_rings,
        "NetTxQueueGetExtension" => tx_extension,
        "NetRxQueueGetExtension" => rx_extension,
    }
}
