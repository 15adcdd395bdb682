//! What socket callbacks, packet queues, the timer and ioctls share: the core's device, buffers, queues.

use crate::cipher::CipherKey;
use crate::connection::Connections;
use crate::device::Dco;
use crate::epoch;
use crate::event::Events;
use crate::keyevent::KeyEvents;
use crate::listening::Listening;
use crate::message::Messages;
use crate::rxqueue::Received;
use crate::trace::{self, Traced};
use crate::transport::Transport;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use dco_core::{Device, DropReason, Mode, OVERHEAD, Tick};
use dco_sync::{Box, Shared};
use nt::bcrypt;
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::deferred::{Dpc, WorkItem};
use nt::wdf::device::Handle;
use nt::wdf::queue::ManualQueue;
use nt::wsk::{AcceptEvents, DatagramList, Receive, SendPool, StreamEvents, Traffic};

/// The core's device with this shell's cipher and transport.
pub type Core = Device<CipherKey, Shared<Transport>>;

/// A peer of it.
pub type Peer = dco_core::Peer<CipherKey, Shared<Transport>>;

/// Peers that a server's table has room for at first; it grows.
const BUCKETS: usize = 64;

/// Send buffers of one device: what may be in flight in the network stack, two megabytes (nine with jumbo packets). When it runs dry, packets stay on the
/// transmit ring. It can be as large as one likes, never unbounded (ovpn-dco-win #47).
const SEND_BUFFERS: usize = 1024;

/// Shared by everything that runs for one device.
pub struct Link {
    /// Point to point.
    pub core: Shared<Core>,
    /// Several peers. Of the two, one has peers at a time.
    pub many: Shared<Core>,
    /// Multi-peer mode; written under the control lock, while neither has peers.
    server: AtomicBool,
    /// The server's sockets.
    pub listening: Box<Listening>,
    /// The server's TCP connections.
    pub connections: Box<Connections>,
    /// What all peers of a server's have that come over UDP.
    pub served: Shared<Transport>,
    pub events: Events,
    /// A second has passed, and the work item has not looked at the server's peers.
    pub ticked: AtomicBool,
    pub sends: Shared<SendPool>,
    pub received: Received,
    pub messages: Shared<Messages>,
    pub key_events: KeyEvents,
    /// The NEW_PEER whose connection is being made; at most one.
    pub connects: ManualQueue,
    /// Ends a connect, [`crate::peer::connected`], and makes epoch keys, [`crate::epoch::refill`].
    pub connected: WorkItem,
    /// Where tests have epochs left: [`crate::epoch::usage_limit`].
    pub usage_limit: u64,
    /// Takes what a stream received: [`crate::stream::received`].
    pub streamed: Dpc,
    /// The id of the last key, which outgoing headers carry; -1 before.
    pub peer_id: AtomicI32,
    /// Failed sends when the peer was made, data and control: device statistics count from there.
    pub failed_before: [AtomicU64; 2],
    /// What its events need.
    pub traced: Traced,
}

impl Link {
    /// All parts of a device whose inner packets have up to `mtu` bytes, with nothing in them. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY and the framework's statuses.
    #[inline(never)]
    pub fn new(device: Handle<'_>, mtu: usize) -> Result<Shared<Self>> {
        Ok(Shared::try_new(Self::parts(device, mtu)?)?)
    }

    /// Not inlined: making and moving them would not fit in one stack frame.
    #[inline(never)]
    fn parts(device: Handle<'_>, mtu: usize) -> Result<Self> {
        Ok(Self {
            core: core(Mode::PointToPoint { match_id: false }, mtu)?,
            many: core(Mode::MultiPeer { seed: bcrypt::random()?, buckets: BUCKETS }, mtu)?,
            server: AtomicBool::new(false),
            listening: Listening::new()?,
            connections: Connections::new()?,
            served: Shared::try_new(Transport::Served)?,
            events: Events::new(device)?,
            ticked: AtomicBool::new(false),
            sends: SendPool::new(SEND_BUFFERS, mtu.saturating_add(OVERHEAD))?,
            received: Received::new()?,
            messages: Messages::new(device)?,
            key_events: KeyEvents::new(device)?,
            connects: ManualQueue::telling::<Dco>(device)?,
            connected: WorkItem::new::<Dco>(device)?,
            usage_limit: epoch::usage_limit(device),
            streamed: Dpc::new::<Dco>(device)?,
            peer_id: AtomicI32::new(-1),
            failed_before: [AtomicU64::new(0), AtomicU64::new(0)],
            traced: Traced::new(mtu)?,
        })
    }
}

/// The core's device for one mode. Not inlined: both would not fit in one stack frame.
#[inline(never)]
fn core(mode: Mode, mtu: usize) -> Result<Shared<Core>> {
    let device = Device::try_new(time::max_processors())?.with_mode(mode)?.with_max_inner(mtu);
    device.set_own_remotes(true);
    device.set_both_ends(true);
    Ok(Shared::try_new(device)?)
}

impl Link {
    /// An epoch key has none ready any more: has some made. IRQL <= DISPATCH_LEVEL, in a read section that still has its peer.
    pub fn want_keys(&self) {
        self.connected.enqueue();
    }

    /// Whether this is multi-peer mode. Any IRQL.
    pub fn is_server(&self) -> bool {
        self.server.load(Ordering::Acquire)
    }

    /// Changes the mode. Under the control lock, while there are no peers.
    pub fn set_server(&self, server: bool) {
        self.server.store(server, Ordering::Release);
    }

    /// The core's device of the present mode. One who took the other has one without peers.
    pub fn active(&self) -> &Core {
        if self.is_server() { &self.many } else { &self.core }
    }

    /// A new peer: what was counted here belongs to the one before.
    pub fn restart(&self) {
        self.peer_id.store(-1, Ordering::Relaxed);
        let [data, control] = &self.failed_before;
        data.store(self.sends.failed(Traffic::Data), Ordering::Relaxed);
        control.store(self.sends.failed(Traffic::Control), Ordering::Relaxed);
    }

    /// Packets that the network stack did not send, data and control, since the peer was made.
    pub fn failed_sends(&self) -> [u64; 2] {
        let [data, control] = &self.failed_before;
        [
            self.sends.failed(Traffic::Data).saturating_sub(data.load(Ordering::Relaxed)),
            self.sends.failed(Traffic::Control).saturating_sub(control.load(Ordering::Relaxed)),
        ]
    }
}

impl Link {
    /// All drops since the device was made, in the order of [`DropReason::ALL`]. The two that the network stack causes are counted by the
    /// send pool.
    pub fn drop_counts(&self) -> [u64; DropReason::COUNT] {
        let mut counts = self.core.drop_counts();
        counts.iter_mut().zip(self.many.drop_counts()).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        for (count, reason) in counts.iter_mut().zip(DropReason::ALL) {
            let more = match reason {
                DropReason::TxSendFailed => self.sends.failed(Traffic::Data),
                DropReason::ControlOutSendFailed => self.sends.failed(Traffic::Control),
                _ => 0,
            };
            *count = count.saturating_add(more);
        }
        counts
    }
}

/// Now, for the core.
pub fn now() -> Tick {
    Tick(time::now_ms())
}

/// Takes what a socket receives. Holds the link, which holds (through the core, or as a listener) the socket: a circle that removing
/// the peer, or the listener, breaks.
pub struct Receiver {
    link: Shared<Link>,
    listener: u32,
}

impl Receiver {
    /// For sockets of `link`: this listener's, or the peer's, which is FIRST.
    pub fn new(link: &Shared<Link>, listener: u32) -> Self {
        Self { link: link.clone(), listener }
    }
}

impl Receive for Receiver {
    fn receive(&self, list: DatagramList) -> Option<DatagramList> {
        crate::rxqueue::receive(&self.link, self.listener, list)
    }

    fn dead(&self) {
        if self.link.is_server() {
            // Its clients are to notice nothing: the work item makes another.
            self.link.listening.died(self.listener);
            self.link.connected.enqueue();
        } else {
            // What expiry is told with: OpenVPN makes a new peer on it, as it should here.
            self.link.messages.disconnected(Status::CONNECTION_DISCONNECTED);
            trace::socket_lost(self.link.traced.adapter, Status::CONNECTION_DISCONNECTED);
        }
    }
}

impl StreamEvents for Receiver {
    fn connected(&self) {
        self.link.connected.enqueue();
    }

    fn received(&self) {
        self.link.streamed.enqueue();
    }
}

impl AcceptEvents for Receiver {
    fn accepted(&self) {
        self.link.connected.enqueue();
    }
}
