//! What a run does with the driver: a list of steps, each of which can be done again after it failed.

mod connection;
mod server;
mod stream;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::raw;
use socket2::SockRef;
use zerocopy::FromBytes;

use crate::commands::query_lab;
use crate::device::{ADAPTER, Device, Hang, PeerSettings, READ_LENGTH, Slot, VERSION};
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Machine, Rig, Side, Transport};
use crate::server::Guest;
use crate::status::NtStatus;
use crate::targets::Pending;
use crate::tcp::Relay;
use crate::tunnel::Tunnel;

/// A step, and its name.
pub type Step = (&'static str, fn(&mut Scene<'_>) -> Result<()>);

/// A list of steps, each a method of [`Scene`].
macro_rules! steps {
    ($($name:literal => $step:ident),* $(,)?) => {
        &[$(($name, |scene: &mut Scene<'_>| scene.$step())),*]
    };
}

/// One life of the driver, without waiting for time to pass.
pub const LIFE: &[Step] = steps![
    "version device" => version_device,
    "open" => open,
    "requests without a peer" => idle,
    "first tunnel" => first_tunnel,
    "packets" => packets,
    "rekey" => rekey,
    "epoch keys" => epochs,
    "control packets" => control,
    "forged packets" => forged,
    "connections" => connections,
    "statistics" => statistics,
    "DEL_PEER under a read" => del_peer,
    "second tunnel" => second_tunnel,
    "packets again" => packets,
    "connects taken back" => connects,
    "tunnel over TCP" => over_tcp,
    "the far end ends it" => far_end,
    "close under a read" => close,
    "disable and enable" => disable,
    "open again" => open,
    "third tunnel" => third_tunnel,
    "sleep and wake" => sleep,
    "packets after that" => packets,
];

/// The same as a server.
pub const SERVER: &[Step] = steps![
    "open" => open,
    "server" => serve,
    "echoes" => server_echoes,
    "control packets" => server_control,
    "rekey" => server_rekey,
    "float" => server_float,
    "echoes after that" => server_echoes,
    "epoch keys" => server_epochs,
    "end" => server_ends,
];

/// The same with a client that comes over TCP.
pub const CONNECTION: &[Step] = steps![
    "open" => open,
    "server" => serve,
    "connection" => server_connection,
    "end" => server_ends,
];

/// What takes seconds: pings, and expiry with and without a read that waits.
pub const KEEPALIVE: &[Step] = steps![
    "open" => open,
    "tunnel" => silent_tunnel,
    "packets" => packets,
    "ping" => ping,
    "key event" => keys_last,
    "epoch keys" => epochs,
    "rotation" => rotation,
    "expiry" => expiry,
    "close" => close,
];

/// How often one thing is sent again, and how long each is waited for: what an injected failure loses is sent again at once, and nothing
/// is called lost that may still be under way on a slow machine.
const WAITS: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// How long an end may take that depends on the driver's clock of whole seconds.
const TICKS: Duration = Duration::from_secs(10);

/// The port of the UDP side of what relays between A's connection and B, which speaks UDP.
const RELAY: u16 = 1195;

/// The port where connecting does not end.
const NOWHERE: u16 = 1196;

/// One packet through the tunnel that did not come, though it was sent again and again.
const LOST: &str = "it did not come";

/// What an unload finds open.
pub struct Kept {
    _device: Option<Device>,
    _read: Option<Box<dyn Pending>>,
}

/// Two machines in the middle of a run. Failures are injected into A only.
pub struct Scene<'a> {
    rig: &'a Rig,
    /// The machine under test.
    pub a: &'a Machine,
    b: &'a Machine,
    a_device: Option<Device>,
    b_device: Option<Device>,
    /// Counts what is sent, so that each is different.
    sent: u64,
    restarted: bool,
    /// While the tunnel is one over TCP.
    relay: Option<Relay>,
    /// While A is a server: its client.
    guest: Option<Guest>,
    /// The failure was injected before that tunnel was made: nothing of this tunnel's may be lost to it.
    failed_before: bool,
}

impl<'a> Scene<'a> {
    /// At the start.
    pub fn new(rig: &'a Rig, a: &'a Machine, b: &'a Machine) -> Self {
        Self {
            rig,
            a,
            b,
            a_device: None,
            b_device: None,
            sent: 0,
            restarted: false,
            relay: None,
            guest: None,
            failed_before: false,
        }
    }

    /// The stack that has failed in this run, if one has.
    pub fn injected(&self) -> Result<Option<String>> {
        let text = query_lab(&self.a.lab, "faults")?;
        let line = text.lines().find_map(|line| line.strip_prefix("injected "));
        match line.context("QUERY faults: expected a line `injected`")? {
            "none" => Ok(None),
            stack => Ok(Some(stack.to_owned())),
        }
    }

    fn device(&self) -> Result<&Device> {
        self.a_device.as_ref().context("lab a has no open device")
    }

    fn other(&self) -> Result<&Device> {
        self.b_device.as_ref().context("lab b has no open device")
    }

    fn version_device(&mut self) -> Result<()> {
        let opened = Device::open(&self.a.lab, VERSION);
        // The driver starts without this device rather than not at all (driver/src/entry.rs): the name is missing then.
        let missing = |error: &anyhow::Error| format!("{error:#}").contains("OBJECT_NAME_NOT_FOUND");
        match opened {
            Err(error) if missing(&error) && self.injected()?.is_some_and(|s| s.contains(" AddDevice>")) => Ok(()),
            Err(error) => Err(error),
            Ok(device) => {
                device.version()?;
                device.close()
            }
        }
    }

    fn open(&mut self) -> Result<()> {
        if self.a_device.is_none() {
            self.a_device = Some(Device::open(&self.a.lab, ADAPTER)?);
        }
        if self.b_device.is_none() {
            self.b_device = Some(Device::open(&self.b.lab, ADAPTER)?);
        }
        Ok(())
    }

    fn idle(&mut self) -> Result<()> {
        let device = self.device()?;
        device.version()?;
        device.stats()?;
        device.drops()?;
        let refused = device.write(b"nobody to send this to")?.status;
        ensure!(refused == NtStatus::INVALID_DEVICE_STATE, "write without a peer: expected a refusal, got {refused}");
        Ok(())
    }

    /// One end after the other.
    fn up(&self, transport: Transport, cipher: Cipher, settings: Option<PeerSettings>) -> Result<()> {
        let ends = [(self.other()?, Side::B, Direction::Inverse), (self.device()?, Side::A, Direction::Normal)];
        for (device, side, direction) in ends {
            let key = StaticKey::of_test(1, cipher, direction);
            let (local, remote) = (self.rig.wire(side, transport), self.rig.wire(side.other(), transport));
            let settings = settings.filter(|_| side == Side::A);
            Tunnel { local, remote, peer_id: 7, key: &key, settings }.up(device)?;
        }
        ensure!(self.a.link_is_up()?, "expected the link up, it is down");
        self.rig.configure_some(&[Side::A])
    }

    fn first_tunnel(&mut self) -> Result<()> {
        // Both ends have the timer run; neither pings nor expires during a run.
        let settings = PeerSettings { keepalive_interval: Some(600), keepalive_timeout: Some(1200), mss: Some(1000) };
        self.up(Transport::V4, Cipher::Aes256, Some(settings))
    }

    fn second_tunnel(&mut self) -> Result<()> {
        // Over the first one's remains, and once more over its own.
        self.up(Transport::V6, Cipher::Aes128, None)?;
        self.up(Transport::V6, Cipher::ChaCha20, None)
    }

    fn third_tunnel(&mut self) -> Result<()> {
        self.up(Transport::V4, Cipher::Aes256, None)
    }

    /// Sends until it comes. Once is enough unless a failure was injected.
    fn deliver(
        &self,
        what: &str,
        send: &mut dyn FnMut() -> Result<()>,
        came: &mut dyn FnMut(Duration) -> Result<bool>,
    ) -> Result<()> {
        let mut sent = false;
        for wait in WAITS {
            if !sent || self.injected()?.is_some() {
                send().with_context(|| format!("sending {what}"))?;
                sent = true;
            }
            if came(wait)? {
                return Ok(());
            }
            ensure!(!self.without_data_path()?, "{what}: there is no data path");
            // It may have ended with the connection.
            let may_be_lost = self.relay.is_some() && !self.failed_before && self.injected()?.is_some();
            ensure!(!may_be_lost, "{what}: it did not come over TCP");
        }
        Err(Hang(format!("{what}: {LOST}")).into())
    }

    /// Whether a queue of the adapter was refused: NetAdapterCx then makes no data path until the device starts anew.
    fn without_data_path(&self) -> Result<bool> {
        let refused = |stack: String| stack.starts_with("NetTxQueueCreate ") || stack.starts_with("NetRxQueueCreate ");
        Ok(!self.restarted && self.injected()?.is_some_and(refused))
    }

    /// Disables and enables the device, and makes the tunnel again.
    fn restart(&mut self) -> Result<()> {
        self.close()?;
        self.disable()?;
        self.restarted = true;
        self.open()?;
        self.third_tunnel()
    }

    fn packets(&mut self) -> Result<()> {
        if self.without_data_path()? {
            self.restart()?;
        }
        for inner in [Transport::V4, Transport::V6] {
            let ends = [self.rig.socket(Side::A, inner)?, self.rig.socket(Side::B, inner)?];
            let headers = if inner == Transport::V4 { 28 } else { 48 };
            for size in [0, 100, 1500 - headers] {
                for from in [Side::A, Side::B] {
                    self.sent += 1;
                    let [a, b] = &ends;
                    let (near, far) = if from == Side::A { (a, b) } else { (b, a) };
                    let bytes: Vec<u8> = (0..size).map(|at| (self.sent as usize + at) as u8).collect();
                    let to = (self.rig.tunnel(from.other(), inner), 7);
                    self.deliver(
                        &format!("{size} bytes {inner:?} from {from:?}"),
                        &mut || Ok(near.send_to(&bytes, to).map(|_| ())?),
                        &mut |wait| receive(far, &bytes, wait),
                    )?;
                }
            }
        }
        Ok(())
    }

    fn rekey(&mut self) -> Result<()> {
        let (a, b) = (self.device()?, self.other()?);
        for (device, direction) in [(b, Direction::Inverse), (a, Direction::Normal)] {
            device.new_key(&StaticKey::of_test(2, Cipher::Aes256, direction), Slot::Secondary, 1, 7)?;
        }
        a.swap_keys()?;
        b.swap_keys()?;
        a.del_key(Slot::Secondary)?;
        self.packets()
    }

    /// A key of the other format, under which A leaves its first epoch.
    fn epochs(&mut self) -> Result<()> {
        // Another key each time: what one epoch key has sealed, no second one may.
        self.sent += 1;
        let (number, key_id) = (100 + self.sent, 2 + (self.sent % 6) as u8);
        let (a, b) = (self.device()?, self.other()?);
        for (device, direction) in [(b, Direction::Inverse), (a, Direction::Normal)] {
            device.new_epoch_key(&StaticKey::of_test(number, Cipher::Aes256, direction), Slot::Secondary, key_id, 7)?;
        }
        a.swap_keys()?;
        b.swap_keys()?;
        (0..3).try_for_each(|_| self.packets())
    }

    /// A has left its first epoch, or does with more packets. Where its next key was refused once, it is made a second later.
    fn rotation(&mut self) -> Result<()> {
        let until = Instant::now() + TICKS;
        loop {
            let mut event = self.device()?.key_event(1)?;
            let Some(told) = event.wait(TICKS)? else { return Err(Hang("a key event".into()).into()) };
            ensure!(told.status == NtStatus::SUCCESS, "KEY_EVENT: expected SUCCESS, got {}", told.status);
            let event = raw::KeyEvent::read_from_bytes(&told.output);
            let event = event.map_err(|_| anyhow::anyhow!("KEY_EVENT: expected 16 bytes, got {:?}", told.output))?;
            if event.packet_id.get() >> 16 > 1 || self.without_limit()? {
                return Ok(());
            }
            ensure!(Instant::now() < until, "expected an epoch above 1, got the packet id {:x}", event.packet_id.get());
            self.packets()?;
        }
    }

    /// Whether the keyword that has epochs left early could not be read: then none is left.
    fn without_limit(&self) -> Result<bool> {
        let refused = |stack: String| {
            ["NetDeviceOpenConfiguration ", "NetConfigurationQueryUlong "].iter().any(|call| stack.starts_with(call))
        };
        Ok(self.injected()?.is_some_and(refused))
    }

    /// Control packets both ways, to reads that wait and to reads that come later.
    fn control(&mut self) -> Result<()> {
        for from in [Side::A, Side::B] {
            for parked in [true, false] {
                for length in [14usize, 1500] {
                    self.sent += 1;
                    let number = self.sent.to_le_bytes();
                    let packet: Vec<u8> = [0x38].into_iter().chain(number.into_iter().cycle()).take(length).collect();
                    self.control_packet(from, parked, &packet)?;
                }
            }
        }
        Ok(())
    }

    fn control_packet(&self, from: Side, parked: bool, packet: &[u8]) -> Result<()> {
        let (a, b) = (self.device()?, self.other()?);
        let (near, far) = if from == Side::A { (a, b) } else { (b, a) };
        let mut read = if parked { Some(far.read(READ_LENGTH)?) } else { None };
        self.deliver(
            &format!("a control packet of {} bytes from {from:?}", packet.len()),
            &mut || {
                let written = near.write(packet)?.status;
                ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
                Ok(())
            },
            &mut |wait| {
                let until = Instant::now() + wait;
                loop {
                    let pending = match read.as_mut() {
                        Some(pending) => pending,
                        None => read.insert(far.read(READ_LENGTH)?),
                    };
                    let Some(ended) = pending.wait(until.saturating_duration_since(Instant::now()))? else {
                        return Ok(false);
                    };
                    read = None;
                    // What was sent twice comes twice.
                    if ended.status == NtStatus::SUCCESS && ended.output == packet {
                        return Ok(true);
                    }
                    if ended.status != NtStatus::SUCCESS && self.injected()?.is_none() {
                        bail!("read: expected SUCCESS, got {}", ended.status);
                    }
                }
            },
        )?;
        // A read that the packet did not need waits no longer.
        read.map_or(Ok(()), cancel)
    }

    /// Packets that are nobody's: dropped, and the tunnel does not suffer.
    fn forged(&mut self) -> Result<()> {
        for length in [3usize, 23, 100, 1500] {
            let packet: Vec<u8> =
                [0x48, 0, 0, 7, 0, 0, 0, 1].into_iter().chain(std::iter::repeat(0xA5)).take(length).collect();
            let written = self.other()?.write(&packet)?.status;
            ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
        }
        self.packets()
    }

    /// TCP through the tunnel, whose segments are looked into.
    fn connections(&mut self) -> Result<()> {
        for inner in [Transport::V4, Transport::V6] {
            let address = (self.rig.tunnel(Side::B, inner), 9);
            let listener = self.rig.within(Side::B, || Ok(TcpListener::bind(address)?))?;
            let near = self
                .rig
                .within(Side::A, || Ok(TcpStream::connect_timeout(&address.into(), TICKS)?))
                .context("connecting through the tunnel")?;
            // Ends with one reset, so that nothing is sent again through the next tunnel.
            SockRef::from(&near).set_linger(Some(Duration::ZERO))?;
            SockRef::from(&listener.accept()?.0).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    }

    fn statistics(&mut self) -> Result<()> {
        let device = self.device()?;
        let stats = device.stats()?;
        ensure!(stats.0.tun_bytes_sent.get() > 0, "expected packets counted, got\n{stats}");
        device.drops()?;
        device.peer_stats()?;
        Ok(())
    }

    fn del_peer(&mut self) -> Result<()> {
        let device = self.device()?;
        let (parked, event) = (self.parked()?, self.key_event(0)?);
        device.del_peer()?;
        ended(parked, &[NtStatus::CANCELLED])?;
        ended(event, &[NtStatus::CANCELLED])?;
        self.other()?.del_peer()
    }

    /// A read that waits. One that a failure ended at once fails the step.
    fn parked(&self) -> Result<Box<dyn Pending>> {
        let mut read = self.device()?.read(READ_LENGTH)?;
        loop {
            self.answered()?;
            match read.wait(Duration::ZERO)?.map(|completion| completion.status) {
                None => return Ok(read),
                // A control packet that was sent twice, or told too late.
                Some(NtStatus::SUCCESS) => read = self.device()?.read(READ_LENGTH)?,
                Some(status) => bail!("read: expected it to wait, got {status}"),
            }
        }
    }

    /// Whatever the driver completed at once is answered when this, which was asked for later, is.
    fn answered(&self) -> Result<()> {
        self.device()?.version().map(|_| ())
    }

    /// A request that waits for a packet id.
    fn key_event(&self, packet_id: u32) -> Result<Box<dyn Pending>> {
        let mut event = self.device()?.key_event(packet_id)?;
        self.answered()?;
        match event.wait(Duration::ZERO)?.map(|completion| completion.status) {
            None => Ok(event),
            Some(status) => bail!("KEY_EVENT: expected it to wait, got {status}"),
        }
    }

    fn close(&mut self) -> Result<()> {
        if self.a_device.is_some() {
            let parked = self.parked()?;
            if let Some(device) = self.a_device.take() {
                device.close()?;
            }
            ended(parked, &[NtStatus::CANCELLED])?;
        }
        ensure!(!self.a.link_is_up()?, "expected the link down after close, it is up");
        match self.b_device.take() {
            Some(device) => device.close(),
            None => Ok(()),
        }
    }

    /// For an unload under open handles, with a peer and a read that waits: what is returned is to be kept until then.
    pub fn leave_open(mut self) -> Result<Kept> {
        let read = match &self.a_device {
            Some(_) => Some(self.parked()?),
            None => None,
        };
        let b = self.b_device.take();
        let kept = Kept { _device: self.a_device.take(), _read: read };
        b.map_or(Ok(()), Device::close)?;
        Ok(kept)
    }

    /// For an unload after everything was closed.
    pub fn close_all(mut self) -> Result<Kept> {
        for device in [self.a_device.take(), self.b_device.take()].into_iter().flatten() {
            device.close()?;
        }
        Ok(Kept { _device: None, _read: None })
    }

    fn pnp(&self, transition: &str) -> Result<()> {
        match self.a.lab.pnp(transition)? {
            NtStatus::SUCCESS => Ok(()),
            status => bail!("{transition}: expected SUCCESS, got {status}"),
        }
    }

    fn disable(&mut self) -> Result<()> {
        let there = query_lab(&self.a.lab, "interfaces")?.lines().any(|line| line.ends_with(" enabled"));
        if there {
            self.pnp("disable")?;
        }
        self.pnp("enable")
    }

    fn sleep(&mut self) -> Result<()> {
        self.pnp("sleep")?;
        self.pnp("wake")?;
        // The interface is another one, and has lost its addresses, if the device was restarted.
        self.rig.configure_some(&[Side::A])
    }

    fn silent_tunnel(&mut self) -> Result<()> {
        let settings = PeerSettings { keepalive_interval: Some(20), keepalive_timeout: Some(600), mss: None };
        self.up(Transport::V4, Cipher::Aes256, Some(settings))
    }

    /// A pings, and B counts it.
    fn ping(&mut self) -> Result<()> {
        let received = || Ok::<i32, anyhow::Error>(self.other()?.stats()?.0.received_data_packets.get());
        let (before, until) = (received()?, Instant::now() + TICKS);
        // The driver looks once a second. A ping that was lost is not sent again, but the next one is.
        let mut next = Instant::now();
        while received()? == before {
            let now = Instant::now();
            if now > until {
                return Err(Hang("a ping".into()).into());
            }
            if now >= next {
                query_lab(&self.a.lab, "clock +21")?;
                next = now + Duration::from_secs(2);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A packet id that has been used already: told at the next look.
    fn keys_last(&mut self) -> Result<()> {
        ended(self.device()?.key_event(1)?, &[NtStatus::SUCCESS])
    }

    /// B is silent, so A's peer expires: a read that waits is told, or else the next.
    fn expiry(&mut self) -> Result<()> {
        let mut read = self.device()?.read(READ_LENGTH)?;
        query_lab(&self.a.lab, "clock +601")?;
        let Some(told) = read.wait(TICKS)? else { return Err(Hang("a read at expiry".into()).into()) };
        ensure!(
            told.status == NtStatus::CONNECTION_DISCONNECTED,
            "a read at expiry: expected CONNECTION_DISCONNECTED, got {}",
            told.status
        );
        Ok(())
    }
}

/// Whether these bytes come within `wait`; others are what was sent before, twice.
fn receive(socket: &UdpSocket, bytes: &[u8], wait: Duration) -> Result<bool> {
    let until = Instant::now() + wait;
    let mut buffer = [0; 2048];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(length) if buffer.get(..length) == Some(bytes) => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// A request that ends now, with one of these.
fn ended(mut pending: Box<dyn Pending>, statuses: &[NtStatus]) -> Result<()> {
    match pending.wait(TICKS)?.map(|completion| completion.status) {
        Some(status) if statuses.contains(&status) => Ok(()),
        Some(status) => bail!("a read that waited: expected one of {statuses:?}, got {status}"),
        None => Err(Hang("a read that waited".into()).into()),
    }
}

fn cancel(mut pending: Box<dyn Pending>) -> Result<()> {
    pending.cancel()?;
    match pending.wait(TICKS)? {
        Some(_) => Ok(()),
        None => Err(Hang("a read that was cancelled".into()).into()),
    }
}
