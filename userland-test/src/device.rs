//! The driver's requests, typed: what OpenVPN asks for, in its words.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dco_uapi::{Ioctl, additive, raw};
use zerocopy::{FromBytes, IntoBytes};

pub use crate::key::Slot;
use crate::key::{self, StaticKey};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Null, Pending, Request, Target};

/// The adapter's device.
pub const ADAPTER: &str = r"\??\ovpn-dco";

/// The device that only tells the version, and may be open while the adapter is in use.
pub const VERSION: &str = r"\??\ovpn-dco-ver";

/// How long a request may take that does not wait for anybody.
pub const PROMPT: Duration = Duration::from_secs(10);

/// The buffer that OpenVPN reads control packets into.
pub const READ_LENGTH: usize = 2048;

/// A request that should not wait for anybody, and did not end within [`PROMPT`].
#[derive(Debug)]
pub struct Hang(pub String);

impl fmt::Display for Hang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected it to end at once, it still pends after {PROMPT:?}", self.0)
    }
}

impl std::error::Error for Hang {}

/// An open device of the driver.
pub struct Device {
    file: Box<dyn File>,
}

/// What SET_PEER sets. `None` leaves a value as it is, zero turns it off.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeerSettings {
    /// Seconds of silence after which a ping is sent.
    pub keepalive_interval: Option<u16>,
    /// Seconds of silence after which the peer counts as gone.
    pub keepalive_timeout: Option<u16>,
    /// The largest TCP segment let through, as OpenVPN's `mssfix` computes it.
    pub mss: Option<u16>,
}

impl PeerSettings {
    fn request(self) -> raw::SetPeer {
        let value = |setting: Option<u16>| setting.map_or(-1, i32::from).into();
        raw::SetPeer {
            keepalive_interval: value(self.keepalive_interval),
            keepalive_timeout: value(self.keepalive_timeout),
            mss: value(self.mss),
        }
    }
}

/// A server's peer.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Its id.
    pub id: i32,
    /// Where it is.
    pub remote: SocketAddr,
    /// Inside the tunnel.
    pub vpn4: Option<Ipv4Addr>,
    /// Inside the tunnel.
    pub vpn6: Option<Ipv6Addr>,
}

impl Client {
    /// MP_NEW_PEER's input for one that came by this listener.
    pub fn request_by(&self, listener: u32) -> raw::MpNewPeer {
        let request = self.request();
        raw::MpNewPeer { remote: request.remote.with_listener(listener), ..request }
    }

    /// MP_NEW_PEER's input.
    pub fn request(&self) -> raw::MpNewPeer {
        let local: SocketAddr = match self.remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        raw::MpNewPeer {
            local: local.into(),
            remote: self.remote.into(),
            vpn_addr4: self.vpn4.map_or([0; 4], |v4| v4.octets()),
            vpn_addr6: self.vpn6.map_or([0; 16], |v6| v6.octets()),
            peer_id: self.id.into(),
        }
    }
}

/// MP_LISTEN's input.
pub fn listen_request(protocol: Protocol, at: SocketAddr, ipv6_only: bool) -> raw::MpListen {
    let proto = (protocol as i32).into();
    raw::MpListen { listen_address: at.into(), ipv6_only: i32::from(ipv6_only).into(), proto }
}

/// The input of MP_ADD_IROUTE and MP_DEL_IROUTE.
pub fn iroute(address: IpAddr, netbits: i32, id: i32) -> raw::Iroute {
    let mut addr = [0; 16];
    match address {
        IpAddr::V4(v4) => addr[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => addr = v6.octets(),
    }
    let ipv6 = i32::from(address.is_ipv6()).into();
    raw::Iroute { addr, netbits: netbits.into(), peer_id: id.into(), ipv6 }
}

/// What NOTIFY_EVENT tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A peer is gone, and why.
    DelPeer(i32, i32),
    /// A peer is elsewhere.
    Float(i32, SocketAddr),
}

impl Event {
    /// Reads the 144 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Ok(event) = raw::NotifyEvent::read_from_bytes(bytes) else {
            bail!("NOTIFY_EVENT: expected {} bytes, got {}", size_of::<raw::NotifyEvent>(), bytes.len());
        };
        match event.cmd.get() {
            0 => Ok(Self::DelPeer(event.peer_id.get(), event.del_peer_reason.get())),
            2 => match event.float_address.parse() {
                Ok(address) => Ok(Self::Float(event.peer_id.get(), address)),
                Err(error) => bail!("NOTIFY_EVENT: an address of a float: {error:?}"),
            },
            other => bail!("NOTIFY_EVENT: expected command 0 or 2, got {other}"),
        }
    }
}

/// What carries the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Protocol {
    /// A packet a datagram.
    Udp = 0,
    /// Packets behind their lengths.
    Tcp = 1,
}

impl Device {
    /// Opens a device.
    pub fn open(target: &dyn Target, path: &str) -> Result<Self> {
        match target.open(path)? {
            Ok(file) => Ok(Self { file }),
            Err(NtStatus::ACCESS_DENIED) => {
                bail!("{path}: ACCESS_DENIED: another process (OpenVPN?) holds it")
            }
            Err(status) => bail!("{path}: expected it to open, got {status}"),
        }
    }

    /// Starts an ioctl that may pend, whatever it ends with.
    pub fn start_ioctl(&self, code: u32, input: &[u8], output: usize) -> Result<Box<dyn Pending>> {
        Ok(self.file.start(Request::Ioctl { code, input, output, null: Null::default() })?)
    }

    /// One ioctl, whatever it ends with.
    pub fn ioctl(&self, code: u32, input: &[u8], output: usize) -> Result<Completion> {
        let mut pending = self.file.start(Request::Ioctl { code, input, output, null: Null::default() })?;
        match pending.wait(PROMPT)? {
            Some(completion) => Ok(completion),
            None => Err(Hang(format!("ioctl 0x{code:06X}")).into()),
        }
    }

    /// Starts an ioctl that has to succeed. One that relies on it has to be started after its [end](Begun::end): the driver's queue is
    /// parallel.
    pub fn begin(&self, ioctl: Ioctl, input: &[u8], output: usize) -> Result<Begun> {
        let request = Request::Ioctl { code: ioctl.code(), input, output, null: Null::default() };
        Ok(Begun { name: ioctl.name(), pending: self.file.start(request)? })
    }

    /// One ioctl that has to succeed.
    fn call(&self, ioctl: Ioctl, input: &[u8], output: usize) -> Result<Vec<u8>> {
        self.begin(ioctl, input, output)?.end()
    }

    fn get<T: FromBytes>(&self, ioctl: Ioctl, input: &[u8]) -> Result<T> {
        let size = size_of::<T>();
        let output = self.call(ioctl, input, size)?;
        let came = output.len();
        let name = ioctl.name();
        T::read_from_bytes(&output).map_err(|_| anyhow::anyhow!("{name}: expected {size} bytes, got {came}"))
    }

    /// The driver's version: major, minor, patch.
    pub fn version(&self) -> Result<(i32, i32, i32)> {
        let version: raw::Version = self.get(Ioctl::GetVersion, &[])?;
        Ok((version.major.get(), version.minor.get(), version.patch.get()))
    }

    /// The device's counters.
    pub fn stats(&self) -> Result<Stats> {
        self.get(Ioctl::GetStats, &[]).map(Stats)
    }

    /// Every drop reason and its count, by this driver's own additive request.
    pub fn drops(&self) -> Result<Vec<(String, i64)>> {
        let completion = self.ioctl(additive::GET_DROPS, &[], NAMED_ROOM).context("GET_DROPS")?;
        match completion.status {
            NtStatus::SUCCESS => named_counts("GET_DROPS", &completion.output),
            status => bail!("GET_DROPS: expected SUCCESS, got {status}"),
        }
    }

    /// A peer's packets: those that passed and those that were lost, by name, by this driver's own additive request.
    pub fn peer_drops(&self, id: i32) -> Result<Vec<(String, i64)>> {
        let completion =
            self.ioctl(additive::GET_PEER_DROPS, &id.to_le_bytes(), NAMED_ROOM).context("GET_PEER_DROPS")?;
        match completion.status {
            NtStatus::SUCCESS => named_counts("GET_PEER_DROPS", &completion.output),
            status => bail!("GET_PEER_DROPS of peer {id}: expected SUCCESS, got {status}"),
        }
    }

    /// The only peer's counters.
    pub fn peer_stats(&self) -> Result<raw::PeerStats> {
        self.get(Ioctl::GetPeerStats, raw::PeerRef { peer_id: 0.into() }.as_bytes())
    }

    /// Makes the peer and its UDP socket.
    pub fn new_peer(&self, local: SocketAddr, remote: SocketAddr) -> Result<()> {
        self.new_peer_over(Protocol::Udp, local, remote)
    }

    /// Makes the peer and its socket, and waits for it to be connected.
    pub fn new_peer_over(&self, protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> Result<()> {
        match self.start_new_peer(protocol, local, remote)?.wait(PROMPT)?.map(|completion| completion.status) {
            Some(NtStatus::SUCCESS) => Ok(()),
            Some(status) => bail!("{}: expected SUCCESS, got {status}", Ioctl::NewPeer.name()),
            None => Err(Hang(Ioctl::NewPeer.name().to_owned()).into()),
        }
    }

    /// Begins to make the peer: over TCP that takes as long as connecting does.
    pub fn start_new_peer(
        &self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<Box<dyn Pending>> {
        let request = raw::NewPeer { local: local.into(), remote: remote.into(), proto: (protocol as i32).into() };
        let (code, input) = (Ioctl::NewPeer.code(), request.as_bytes());
        Ok(self.file.start(Request::Ioctl { code, input, output: 0, null: Null::default() })?)
    }

    /// Raises the link.
    pub fn start_vpn(&self) -> Result<()> {
        self.call(Ioctl::StartVpn, &[], 0)?;
        Ok(())
    }

    /// Sets keepalive and MSS.
    pub fn set_peer(&self, settings: PeerSettings) -> Result<()> {
        self.call(Ioctl::SetPeer, settings.request().as_bytes(), 0)?;
        Ok(())
    }

    /// Installs a key.
    pub fn new_key(&self, key: &StaticKey, slot: Slot, key_id: u8, peer_id: u32) -> Result<()> {
        let request = key::request(key, slot, key_id, peer_id);
        self.call(Ioctl::NewKey, request.as_bytes(), 0)?;
        Ok(())
    }

    /// Installs an epoch key.
    pub fn new_epoch_key(&self, key: &StaticKey, slot: Slot, key_id: u8, peer_id: u32) -> Result<()> {
        let request = key::epoch_request(key, slot, key_id, peer_id);
        self.call(Ioctl::NewKeyV2, request.as_bytes(), 0)?;
        Ok(())
    }

    /// Exchanges the slots.
    pub fn swap_keys(&self) -> Result<()> {
        self.call(Ioctl::SwapKeys, &[], 0)?;
        Ok(())
    }

    /// Empties a key slot, by this driver's own additive request.
    pub fn del_key(&self, slot: Slot) -> Result<()> {
        let request = raw::DelKey { slot: (slot as i32).into() };
        let completion = self.ioctl(additive::DEL_KEY, request.as_bytes(), 0).context("DEL_KEY")?;
        match completion.status {
            NtStatus::SUCCESS => Ok(()),
            status => bail!("DEL_KEY: expected SUCCESS, got {status}"),
        }
    }

    /// Starts to wait until the primary key's next packet id is `packet_id` or above (0: where the driver thinks it time for another).
    pub fn key_event(&self, packet_id: u32) -> Result<Box<dyn Pending>> {
        let request = raw::AwaitKey { packet_id: packet_id.into() };
        let (input, output) = (request.as_bytes(), size_of::<raw::KeyEvent>());
        Ok(self.file.start(Request::Ioctl { code: additive::KEY_EVENT, input, output, null: Null::default() })?)
    }

    /// Makes the handle a server's.
    pub fn set_mode_server(&self) -> Result<()> {
        self.call(Ioctl::SetMode, raw::SetMode { mode: 1.into() }.as_bytes(), 0)?;
        Ok(())
    }

    /// Makes the server's socket; says where it is bound.
    pub fn listen(&self, at: SocketAddr, ipv6_only: bool) -> Result<SocketAddr> {
        let request = raw::MpStartVpn { listen_address: at.into(), ipv6_only: i32::from(ipv6_only).into() };
        let bound: raw::MpStartVpn = self.get(Ioctl::MpStartVpn, request.as_bytes())?;
        bound.listen_address.parse().map_err(|error| anyhow::anyhow!("MP_START_VPN's address: {error:?}"))
    }

    /// Adds a peer to a server's.
    pub fn add_peer(&self, client: &Client) -> Result<()> {
        self.call(Ioctl::MpNewPeer, client.request().as_bytes(), 0)?;
        Ok(())
    }

    /// Makes another listener, by this driver's own additive request; gives its number, and where it is bound.
    pub fn listen_more(&self, protocol: Protocol, at: SocketAddr, ipv6_only: bool) -> Result<(u32, SocketAddr)> {
        let request = listen_request(protocol, at, ipv6_only);
        let room = size_of::<raw::MpListener>();
        let came = self.ioctl(additive::MP_LISTEN, request.as_bytes(), room).context("MP_LISTEN")?;
        let Ok(made) = raw::MpListener::read_from_bytes(&came.output) else {
            bail!("MP_LISTEN: expected SUCCESS and {room} bytes, got {} and {:02x?}", came.status, came.output);
        };
        let bound = made.listen_address.parse().map_err(|error| anyhow::anyhow!("MP_LISTEN's address: {error:?}"))?;
        Ok((made.listener.get(), bound))
    }

    /// Closes a listener.
    pub fn unlisten(&self, listener: u32) -> Result<()> {
        match self.ioctl(additive::MP_UNLISTEN, &listener.to_le_bytes(), 0).context("MP_UNLISTEN")?.status {
            NtStatus::SUCCESS => Ok(()),
            status => bail!("MP_UNLISTEN of {listener}: expected SUCCESS, got {status}"),
        }
    }

    /// Ends a connection that is no peer's; whatever comes of it.
    pub fn disconnect(&self, remote: SocketAddr, listener: u32) -> Result<NtStatus> {
        let request = raw::MpDisconnect { remote: raw::SockaddrUnion::from(remote).with_listener(listener) };
        Ok(self.ioctl(additive::MP_DISCONNECT, request.as_bytes(), 0).context("MP_DISCONNECT")?.status)
    }

    /// Adds a peer that came by this listener.
    pub fn add_peer_by(&self, client: &Client, listener: u32) -> Result<()> {
        self.call(Ioctl::MpNewPeer, client.request_by(listener).as_bytes(), 0)?;
        Ok(())
    }

    /// Sets a server's peer's keepalive and MSS.
    pub fn set_client(&self, id: i32, settings: PeerSettings) -> Result<()> {
        let request = raw::MpSetPeer { peer_id: id.into(), settings: settings.request() };
        self.call(Ioctl::MpSetPeer, request.as_bytes(), 0)?;
        Ok(())
    }

    /// Removes a server's peer.
    pub fn del_client(&self, id: i32) -> Result<()> {
        self.call(Ioctl::MpDelPeer, raw::PeerRef { peer_id: id.into() }.as_bytes(), 0)?;
        Ok(())
    }

    /// Exchanges the slots of a server's peer.
    pub fn swap_client_keys(&self, id: i32) -> Result<()> {
        self.call(Ioctl::MpSwapKeys, raw::PeerRef { peer_id: id.into() }.as_bytes(), 0)?;
        Ok(())
    }

    /// Routes a network to a server's peer.
    pub fn add_iroute(&self, address: IpAddr, netbits: i32, id: i32) -> Result<()> {
        self.call(Ioctl::MpAddIroute, iroute(address, netbits, id).as_bytes(), 0)?;
        Ok(())
    }

    /// Removes such a route, whoever has it.
    pub fn del_iroute(&self, address: IpAddr, netbits: i32) -> Result<()> {
        self.call(Ioctl::MpDelIroute, iroute(address, netbits, -1).as_bytes(), 0)?;
        Ok(())
    }

    /// Starts to wait for an event.
    pub fn notify_event(&self) -> Result<Box<dyn Pending>> {
        let (code, output) = (Ioctl::NotifyEvent.code(), size_of::<raw::NotifyEvent>());
        Ok(self.file.start(Request::Ioctl { code, input: &[], output, null: Null::default() })?)
    }

    /// A server's peer's counters.
    pub fn client_stats(&self, id: i32) -> Result<raw::PeerStats> {
        self.get(Ioctl::GetPeerStats, raw::PeerRef { peer_id: id.into() }.as_bytes())
    }

    /// All of a server's peers' counters, asked for as OpenVPN does: first how many bytes they are.
    pub fn all_client_stats(&self) -> Result<Vec<raw::PeerStats>> {
        let all = raw::PeerRef { peer_id: (-1).into() };
        let ask = |room| self.ioctl(Ioctl::GetPeerStats.code(), all.as_bytes(), room);
        let mut room = 4;
        let came = loop {
            let came = ask(room)?;
            match (came.status, <[u8; 4]>::try_from(&*came.output)) {
                (NtStatus::SUCCESS, _) => break came,
                // There may be more of them by then.
                (NtStatus::BUFFER_OVERFLOW, Ok(needed)) => room = u32::from_le_bytes(needed) as usize,
                (status, _) => {
                    bail!("GET_PEER_STATS: expected MORE_DATA and 4 bytes, got {status} and {:?}", came.output)
                }
            }
        };
        let records = <[raw::PeerStats]>::ref_from_bytes(&came.output);
        let records = records.map_err(|_| anyhow::anyhow!("GET_PEER_STATS: expected records of 40 bytes"))?;
        Ok(records.to_vec())
    }

    /// Drops the peer and its socket.
    pub fn del_peer(&self) -> Result<()> {
        self.call(Ioctl::DelPeer, &[], 0)?;
        Ok(())
    }

    /// Starts to send a control packet, whatever comes of it.
    pub fn begin_write(&self, bytes: &[u8]) -> Result<Box<dyn Pending>> {
        Ok(self.file.start(Request::Write { bytes })?)
    }

    /// Sends a control packet.
    pub fn write(&self, bytes: &[u8]) -> Result<Completion> {
        match self.file.start(Request::Write { bytes })?.wait(PROMPT)? {
            Some(completion) => Ok(completion),
            None => Err(Hang("write".into()).into()),
        }
    }

    /// Starts to wait for a control packet.
    pub fn read(&self, length: usize) -> Result<Box<dyn Pending>> {
        Ok(self.file.start(Request::Read { length })?)
    }

    /// Closes the device.
    pub fn close(self) -> Result<()> {
        self.close_beside()
    }

    /// Closes the device, which other threads may use meanwhile.
    pub fn close_beside(&self) -> Result<()> {
        match self.file.close()? {
            NtStatus::SUCCESS => Ok(()),
            status => bail!("close: expected SUCCESS, got {status}"),
        }
    }
}

/// Room for as many named counts as the driver may have.
pub const NAMED_ROOM: usize = 80 * size_of::<raw::DropCount>();

/// The records that `what` gave.
pub fn named_counts(what: &str, output: &[u8]) -> Result<Vec<(String, i64)>> {
    let came = output.len();
    let records = <[raw::DropCount]>::ref_from_bytes(output)
        .map_err(|_| anyhow::anyhow!("{what}: expected records of 40 bytes, got {came} bytes"))?;
    records
        .iter()
        .map(|record| match record.name() {
            Some(name) if !name.is_empty() => Ok((name.to_owned(), record.count.get())),
            _ => bail!("{what}: expected a name in each record, got {:?}", record.name),
        })
        .collect()
}

/// An ioctl that was started.
pub struct Begun {
    name: &'static str,
    pending: Box<dyn Pending>,
}

impl Begun {
    /// Waits for its end, which has to be a success; gives its output.
    pub fn end(self) -> Result<Vec<u8>> {
        self.end_within(PROMPT)
    }

    /// The same for one that may take longer, because of what stands before it.
    pub fn end_within(mut self, patience: Duration) -> Result<Vec<u8>> {
        let name = self.name;
        match self.pending.wait(patience).with_context(|| name)? {
            Some(Completion { status: NtStatus::SUCCESS, output, .. }) => Ok(output),
            Some(completion) => bail!("{name}: expected SUCCESS, got {}", completion.status),
            None => Err(Hang(name.to_owned()).into()),
        }
    }
}

/// GET_STATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats(pub raw::Stats);

impl Stats {
    /// Reads the 64 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match raw::Stats::read_from_bytes(bytes) {
            Ok(stats) => Ok(Self(stats)),
            Err(_) => bail!("GET_STATS: expected {} bytes, got {}", size_of::<raw::Stats>(), bytes.len()),
        }
    }

    /// The counters with their names, in the structure's order.
    pub fn named(&self) -> [(&'static str, i64); 12] {
        let Self(stats) = self;
        [
            ("LostInControlPackets", stats.lost_in_control_packets.get().into()),
            ("LostOutControlPackets", stats.lost_out_control_packets.get().into()),
            ("LostInDataPackets", stats.lost_in_data_packets.get().into()),
            ("LostOutDataPackets", stats.lost_out_data_packets.get().into()),
            ("ReceivedDataPackets", stats.received_data_packets.get().into()),
            ("ReceivedControlPackets", stats.received_control_packets.get().into()),
            ("SentControlPackets", stats.sent_control_packets.get().into()),
            ("SentDataPackets", stats.sent_data_packets.get().into()),
            ("TransportBytesSent", stats.transport_bytes_sent.get()),
            ("TransportBytesReceived", stats.transport_bytes_received.get()),
            ("TunBytesSent", stats.tun_bytes_sent.get()),
            ("TunBytesReceived", stats.tun_bytes_received.get()),
        ]
    }
}

impl Stats {
    /// The head of a table whose lines are [`watch_line`](Self::watch_line)s.
    pub const WATCH_HEAD: &str =
        "      tunnel, Mbit/s        link, Mbit/s     data packets   lost packets  control packets
   sent   received      sent   received      received    in     out        in     out";

    /// What has changed since `before`, `seconds` ago: rates, and how many packets came, went or were lost.
    pub fn watch_line(&self, before: &Self, seconds: u32) -> String {
        let (now, then) = (&self.0, &before.0);
        // A new peer starts at zero.
        let more = |now: i64, then: i64| if now >= then { now - then } else { now };
        let rate = |now: i64, then: i64| more(now, then) as f64 * 8e-6 / f64::from(seconds);
        let count = |now: i32, then: i32| more(now.into(), then.into());
        format!(
            "{:>7.1} {:>10.1} {:>9.1} {:>10.1} {:>13} {:>5} {:>7} {:>9} {:>7}",
            rate(now.tun_bytes_sent.get(), then.tun_bytes_sent.get()),
            rate(now.tun_bytes_received.get(), then.tun_bytes_received.get()),
            rate(now.transport_bytes_sent.get(), then.transport_bytes_sent.get()),
            rate(now.transport_bytes_received.get(), then.transport_bytes_received.get()),
            count(now.received_data_packets.get(), then.received_data_packets.get()),
            count(now.lost_in_data_packets.get(), then.lost_in_data_packets.get()),
            count(now.lost_out_data_packets.get(), then.lost_out_data_packets.get()),
            count(now.received_control_packets.get(), then.received_control_packets.get()),
            count(now.sent_control_packets.get(), then.sent_control_packets.get()),
        )
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.named() {
            writeln!(f, "{name} {value}")?;
        }
        Ok(())
    }
}
