//! The adapter's device: its context, and where the framework's events go.

use crate::control::{self, State};
use crate::entry::Registration;
use crate::link::Link;
use crate::trace::Gone;
use crate::{epoch, message, peer, rxqueue, server, stream, timer, trace, txqueue};
use core::ops::RangeInclusive;
use dco_core::{DropReason, MAX_INNER};
use dco_sync::Shared;
use nt::context;
use nt::lock::WaitLock;
use nt::netcx::{self, Adapter, AdapterEvents, Limits, RxNotifier, RxRing, TxNotifier, TxRing};
use nt::status::{Result, Status};
use nt::time;
use nt::wdf::deferred::{DpcEvents, WorkEvents};
use nt::wdf::device::{DeviceEvents, DeviceInit, Handle};
use nt::wdf::request::{Ioctl, Request};
use nt::wdf::timer::{Periodic, TimerEvents};
use nt::wide;

/// Nominal speed of the adapter, bits per second: what the existing driver reports.
const SPEED: u64 = 1_000_000_000;

/// What the adapter's keyword MTU may say: from what IPv4 asks of every host to a jumbo frame.
const MTU_RANGE: RangeInclusive<u32> = 576..=9000;

/// Keepalive is counted in seconds; a tick may come this much late, so that it wakes no idle processor.
const TICK_MS: u32 = 1_000;
const TICK_TOLERANCE_MS: u32 = 500;

/// GUID_DEVINTERFACE_NET
const DEVINTERFACE_NET: nt::sys::GUID = nt::sys::GUID {
    Data1: 0xCAC8_8484,
    Data2: 0x7515,
    Data3: 0x4C03,
    Data4: [0x82, 0xE6, 0x71, 0xA8, 0x7A, 0xBA, 0xC3, 0x61],
};

/// The device context.
pub struct Dco {
    /// Shared with socket callbacks, which may outlive a callback of the device.
    pub link: Shared<Link>,
    pub adapter: Adapter,
    pub timer: Periodic,
    /// Serialises everything that changes peers and keys. Held at PASSIVE_LEVEL; waits inside are allowed.
    pub control: WaitLock<State>,
    registration: Registration,
}
context!(Dco, c"OvpnDcoDevice");

impl Dco {
    /// Sets up the device, its adapter and names. PASSIVE_LEVEL, in EvtDriverDeviceAdd.
    ///
    /// # Errors
    /// The framework's status; the framework then deletes what was made.
    pub fn add(mut init: DeviceInit, registration: Registration) -> Result<()> {
        init.network()?;
        init.exclusive(true);
        init.file_events::<Self>();
        init.power_events::<Self>();
        let device = init.create(|device| Self::new(device, registration))?;
        device.device().interface(&DEVINTERFACE_NET, wide!("ovpn-dco"))?;
        // The short name belongs to the first adapter; others are reached by their interface.
        match device.device().symbolic_link(wide!("\\DosDevices\\ovpn-dco")) {
            Err(Status::OBJECT_NAME_COLLISION) => Ok(()),
            linked => linked,
        }
    }

    fn new(device: Handle<'_>, registration: Registration) -> Result<Self> {
        let mtu = mtu(device);
        let link = Link::new(device, mtu)?;
        // What one buffer holds sealed, the ring's buffers hold opened.
        let frame = link.sends.buffer_len();
        let control = WaitLock::new(State::new(&link)?)?;
        Ok(Self {
            link,
            adapter: Adapter::new::<Self>(device, Limits { mtu: mtu as u32, frame: frame as u32, speed: SPEED })?,
            timer: Periodic::new::<Self>(device, TICK_MS, TICK_TOLERANCE_MS)?,
            control,
            registration,
        })
    }
}

/// The longest inner packet: the adapter's keyword MTU, or 1500 where there is none or it is out of range.
fn mtu(device: Handle<'_>) -> usize {
    match netcx::keyword(device, wide!("MTU")) {
        Ok(mtu) if MTU_RANGE.contains(&mtu) => mtu as usize,
        _ => MAX_INNER,
    }
}

impl DeviceEvents for Dco {
    fn ioctl(&self, mut request: Ioctl, code: u32) {
        self.link.traced.watch(&mut request, code);
        control::ioctl(self, request, code);
    }

    fn read(&self, request: Request) {
        message::read(&self.link, request);
    }

    fn write(&self, request: Request) {
        message::write(&self.link, request);
    }

    fn cancelled(&self, request: Request) {
        // The work item finds its connect without a request, and cancels it. First, because the device may go once the request is ended.
        self.link.connected.enqueue();
        request.complete(Status::CANCELLED);
    }

    fn file_create(&self) {
        let mut state = self.control.lock();
        state.open = true;
        self.link.messages.open();
        self.link.events.open();
        trace::device_opened(self.link.traced.adapter);
    }

    fn file_cleanup(&self) {
        let mut state = self.control.lock();
        let open = core::mem::take(&mut state.open);
        let up = core::mem::take(&mut state.up);
        peer::close(self, &mut state);
        drop(state);
        self.adapter.set_link(false);
        self.link.traced.closed(open, up);
    }

    fn file_close(&self) {
        // Nothing is made or parked after the cleanup; whatever might be, goes.
        self.file_cleanup();
    }

    fn prepare(&self) -> Result<()> {
        self.adapter.start()?;
        self.control.lock().started = true;
        trace::adapter_started(self.link.traced.adapter, self.link.traced.mtu);
        Ok(())
    }

    fn release(&self) {
        let mut state = self.control.lock();
        state.started = false;
        peer::remove(self, &mut state, Gone::Stopped);
        // The work item takes the lock.
        drop(state);
        self.link.connected.flush();
        self.link.streamed.cancel();
        trace::adapter_stopped(self.link.traced.adapter);
    }

    fn deleted(&self) {
        // No peer is left: `release` ran, and none is made since. What ends here ends at PASSIVE_LEVEL, which the context's own
        // destruction does not promise.
        self.control.lock().release();
        self.registration.end();
    }
}

impl WorkEvents for Dco {
    fn work(&self) {
        peer::connected(self);
        server::work(self);
        epoch::refill(self);
    }
}

impl DpcEvents for Dco {
    fn dpc(&self) {
        stream::received(&self.link);
    }
}

impl TimerEvents for Dco {
    fn tick(&self) {
        timer::tick(&self.link);
    }
}

impl AdapterEvents for Dco {
    fn tx_advance(&self, ring: &mut TxRing<'_>) {
        txqueue::advance(&self.link, ring);
    }

    fn rx_advance(&self, ring: &mut RxRing<'_>) {
        rxqueue::advance(&self.link, ring);
    }

    fn tx_cancelled(&self, packets: usize) {
        for _ in 0..packets {
            self.link.active().count_drop(time::processor(), DropReason::TxCancelled);
        }
    }

    fn tx_notifier(&self) -> &TxNotifier {
        &self.link.sends.tx
    }

    fn rx_notifier(&self) -> &RxNotifier {
        &self.link.received.rx
    }

    fn tx_pending(&self) -> bool {
        self.link.sends.can_resume()
    }

    fn rx_pending(&self) -> bool {
        self.link.received.pending()
    }

    fn rx_stopped(&self) {
        rxqueue::discard(&self.link);
    }
}
