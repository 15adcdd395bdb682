//! What socket callbacks, packet queues, the timer and ioctls share: the core's device, buffers, queues.

use crate::message::Messages;
use crate::rxqueue::Received;
use dco_core::{Device, Tick};
use dco_sync::Shared;
use nt::bcrypt::AesGcmKey;
use nt::status::Result;
use nt::time;
use nt::wdf::device::Handle;
use nt::wsk::{DatagramList, DatagramSocket, Receive, SendPool};

/// The socket of a peer.
pub type Socket = DatagramSocket<Receiver>;

/// The core's device with this shell's cipher and transport.
pub type Core = Device<AesGcmKey, Shared<Socket>>;

/// Send buffers of one device: what may be in flight in the network stack, two megabytes. When it runs dry, packets stay on the
/// transmit ring. It can be as large as one likes, never unbounded (ovpn-dco-win #47).
const SEND_BUFFERS: usize = 1024;

/// Shared by everything that runs for one device.
pub struct Link {
    pub core: Core,
    pub sends: Shared<SendPool>,
    pub received: Received,
    pub messages: Messages,
}

impl Link {
    /// All parts of a device, with nothing in them. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY and the framework's statuses.
    pub fn new(device: Handle<'_>) -> Result<Shared<Self>> {
        let link = Self {
            core: Device::try_new(time::max_processors())?,
            sends: SendPool::new(SEND_BUFFERS)?,
            received: Received::new()?,
            messages: Messages::new(device)?,
        };
        Ok(Shared::try_new(link)?)
    }
}

/// Now, for the core.
pub fn now() -> Tick {
    Tick(time::now_ms())
}

/// Takes what a peer's socket receives. Holds the link, which holds (through the core) the socket: a circle that removing the peer
/// breaks.
pub struct Receiver(Shared<Link>);

impl Receiver {
    /// For sockets of `link`.
    pub fn new(link: &Shared<Link>) -> Self {
        Self(link.clone())
    }
}

impl Receive for Receiver {
    fn receive(&self, list: DatagramList) -> Option<DatagramList> {
        crate::rxqueue::receive(&self.0, list)
    }
}
