//! Packet queues: creation inside the adapter's callbacks, and trampolines to the device context.

use super::notify::{Notifier, RxNotifier, TxNotifier};
use super::ring::{Rings, RxRing, TxRing};
use crate::context;
use crate::status::{Result, Status};
use crate::wdf::device::DeviceEvents;
use crate::wdf::object::{Attributes, get, init};
use crate::wide;
use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};
use nt_sys::net::{
    _NET_EXTENSION_TYPE, NET_EXTENSION, NET_PACKET_QUEUE_CONFIG, NETADAPTER, NETPACKETQUEUE, NETRXQUEUE_INIT,
    NETTXQUEUE_INIT,
};
use nt_sys::{BOOLEAN, NTSTATUS, WDFDEVICE, net_call};

/// A device context with one transmit and one receive queue.
pub trait AdapterEvents: DeviceEvents {
    /// Packets may be on the transmit ring, or room in what they are sent with. IRQL <= DISPATCH_LEVEL; serialised.
    fn tx_advance(&self, ring: &mut TxRing<'_>);
    /// Buffers may be on the receive ring, or packets to put in them. IRQL <= DISPATCH_LEVEL; serialised.
    fn rx_advance(&self, ring: &mut RxRing<'_>);
    /// The transmit queue stops: so many packets on its ring are not sent. IRQL <= DISPATCH_LEVEL.
    fn tx_cancelled(&self, packets: usize);
    /// The transmit queue's wake-up.
    fn tx_notifier(&self) -> &TxNotifier;
    /// The receive queue's wake-up.
    fn rx_notifier(&self) -> &RxNotifier;
    /// Whether a transmit queue that was just armed has something to do after all.
    fn tx_pending(&self) -> bool;
    /// Whether a receive queue that was just armed has something to do after all.
    fn rx_pending(&self) -> bool;
    /// The receive queue stopped: what is queued for it will not be received. PASSIVE_LEVEL.
    fn rx_stopped(&self);
}

/// What a queue object carries: its rings, and the device whose context has the events.
pub(super) struct QueueContext {
    rings: Rings,
    device: WDFDEVICE,
    /// The notifier that was told of the queue: the one that is told of its end, whatever the device context says by then.
    started: AtomicPtr<c_void>,
}
context!(QueueContext, c"OvpnDcoPacketQueue");

// SAFETY: see `Rings`; the device handle is only used in callbacks of the queue, which the device outlives.
unsafe impl Send for QueueContext {}
// SAFETY: as above.
unsafe impl Sync for QueueContext {}

fn config<T: AdapterEvents>(rx: bool) -> NET_PACKET_QUEUE_CONFIG {
    NET_PACKET_QUEUE_CONFIG {
        Size: size_of::<NET_PACKET_QUEUE_CONFIG>() as u32,
        EvtStart: Some(if rx { start::<T, true> } else { start::<T, false> }),
        EvtStop: Some(if rx { stop::<T, true> } else { stop::<T, false> }),
        EvtAdvance: Some(if rx { advance::<T, true> } else { advance::<T, false> }),
        EvtSetNotificationEnabled: Some(if rx { set_notification::<T, true> } else { set_notification::<T, false> }),
        EvtCancel: Some(if rx { cancel::<T, true> } else { cancel::<T, false> }),
    }
}

fn extension_query() -> nt_sys::net::NET_EXTENSION_QUERY {
    nt_sys::net::NET_EXTENSION_QUERY {
        Size: size_of::<nt_sys::net::NET_EXTENSION_QUERY>() as u32,
        Name: wide!("ms_fragment_virtualaddress").units().as_ptr(),
        Version: 1,
        Type: _NET_EXTENSION_TYPE::NetExtensionTypeFragment,
    }
}

/// EvtAdapterCreateTxQueue. PASSIVE_LEVEL.
pub(super) unsafe extern "C" fn create_tx<T: AdapterEvents>(
    adapter: NETADAPTER,
    queue_init: *mut NETTXQUEUE_INIT,
) -> NTSTATUS {
    let (mut config, mut attributes) = (config::<T>(false), Attributes::with::<QueueContext>());
    let (mut queue, mut extension, query) = (null_mut(), NET_EXTENSION::new(), extension_query());
    // SAFETY: called in the adapter's callback with its arguments; configuration, attributes and out pointers are live locals.
    let created = unsafe {
        Status(net_call!(NetTxQueueCreate, queue_init, attributes.raw(), &raw mut config, &raw mut queue))
            .ok()
            .and_then(|()| {
                net_call!(NetTxQueueGetExtension, queue, &raw const query, &raw mut extension);
                let rings = Rings::new(net_call!(NetTxQueueGetRingCollection, queue), extension);
                attach(adapter, queue, rings)
            })
    };
    created.err().unwrap_or(Status::SUCCESS).0
}

/// EvtAdapterCreateRxQueue. PASSIVE_LEVEL.
pub(super) unsafe extern "C" fn create_rx<T: AdapterEvents>(
    adapter: NETADAPTER,
    queue_init: *mut NETRXQUEUE_INIT,
) -> NTSTATUS {
    let (mut config, mut attributes) = (config::<T>(true), Attributes::with::<QueueContext>());
    let (mut queue, mut extension, query) = (null_mut(), NET_EXTENSION::new(), extension_query());
    // SAFETY: called in the adapter's callback with its arguments; configuration, attributes and out pointers are live locals.
    let created = unsafe {
        Status(net_call!(NetRxQueueCreate, queue_init, attributes.raw(), &raw mut config, &raw mut queue))
            .ok()
            .and_then(|()| {
                net_call!(NetRxQueueGetExtension, queue, &raw const query, &raw mut extension);
                let rings = Rings::new(net_call!(NetRxQueueGetRingCollection, queue), extension);
                attach(adapter, queue, rings)
            })
    };
    created.err().unwrap_or(Status::SUCCESS).0
}

/// Fills a new queue's context.
///
/// # Safety
/// `queue` was just created for `adapter` with a [`QueueContext`].
unsafe fn attach(adapter: NETADAPTER, queue: NETPACKETQUEUE, rings: Option<Rings>) -> Result<()> {
    let rings = rings.ok_or(Status::INTERNAL_ERROR)?;
    // SAFETY: both handles are live in the adapter's callback (caller).
    unsafe {
        let device = net_call!(NetAdapterGetParent, adapter);
        init(queue.cast(), QueueContext { rings, device, started: AtomicPtr::new(null_mut()) })
    }
}

/// The queue's context and its device's.
///
/// # Safety
/// Called in a callback of `queue`.
unsafe fn contexts<'a, T: AdapterEvents>(queue: NETPACKETQUEUE) -> Option<(&'a QueueContext, &'a T)> {
    // SAFETY: the queue is live in its callback, and its device outlives it.
    unsafe {
        let context = get::<QueueContext>(queue.cast())?;
        Some((context, get::<T>(context.device.cast())?))
    }
}

/// Starts `notifier` for a queue.
///
/// # Safety
/// Called in the start callback of `queue`; `notifier` is borrowed from the device context, which outlives the queue.
unsafe fn started<const RX: bool>(context: &QueueContext, notifier: &Notifier<RX>, queue: NETPACKETQUEUE) {
    context.started.store(core::ptr::from_ref(notifier).cast_mut().cast(), Ordering::Release);
    // SAFETY: the queue is live until its stop callback, which stops this very notifier.
    unsafe { notifier.start(queue) };
}

unsafe extern "C" fn start<T: AdapterEvents, const RX: bool>(queue: NETPACKETQUEUE) {
    // SAFETY: this is the start callback of this queue.
    unsafe {
        if let Some((context, device)) = contexts::<T>(queue) {
            if RX {
                started(context, device.rx_notifier(), queue);
            } else {
                started(context, device.tx_notifier(), queue);
            }
        }
    }
}

unsafe extern "C" fn stop<T: AdapterEvents, const RX: bool>(queue: NETPACKETQUEUE) {
    // SAFETY: this is a callback of this queue.
    if let Some((context, device)) = unsafe { contexts::<T>(queue) } {
        let notifier = context.started.swap(null_mut(), Ordering::AcqRel).cast::<Notifier<RX>>();
        if let Some(notifier) = NonNull::new(notifier) {
            // SAFETY: stored by `start` for a queue of this kind, from the device context, which is alive.
            unsafe { notifier.as_ref() }.stop();
        }
        if RX {
            device.rx_stopped();
        }
    }
}

unsafe extern "C" fn advance<T: AdapterEvents, const RX: bool>(queue: NETPACKETQUEUE) {
    // SAFETY: this is a callback of this queue.
    if let Some((context, device)) = unsafe { contexts::<T>(queue) } {
        if RX {
            device.rx_advance(&mut RxRing::new(&context.rings));
        } else {
            device.tx_advance(&mut TxRing::new(&context.rings));
        }
    }
}

unsafe extern "C" fn set_notification<T: AdapterEvents, const RX: bool>(queue: NETPACKETQUEUE, enabled: BOOLEAN) {
    // SAFETY: this is a callback of this queue.
    if let Some((context, device)) = unsafe { contexts::<T>(queue) } {
        if RX {
            arm(context, device.rx_notifier(), enabled != 0, || device.rx_pending());
        } else {
            arm(context, device.tx_notifier(), enabled != 0, || device.tx_pending());
        }
    }
}

/// Arms, then looks for work once more. With an empty ring there is nothing the driver could do: NetAdapterCx wakes the queue itself
/// when that changes.
fn arm<const RX: bool>(context: &QueueContext, notifier: &Notifier<RX>, on: bool, pending: impl FnOnce() -> bool) {
    notifier.arm(on);
    if on && context.rings.has_packets() && pending() {
        notifier.notify();
    }
}

unsafe extern "C" fn cancel<T: AdapterEvents, const RX: bool>(queue: NETPACKETQUEUE) {
    // SAFETY: this is a callback of this queue.
    if let Some((context, device)) = unsafe { contexts::<T>(queue) } {
        if RX {
            RxRing::new(&context.rings).cancel();
        } else {
            device.tx_cancelled(TxRing::new(&context.rings).cancel());
        }
    }
}
