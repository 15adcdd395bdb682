//! What the driver tells ETW: docs/events.md has each event, its fields and when it is written. Any IRQL.
//!
//! Nothing here is called for a packet. What packets meet is counted by the core, and the timer tells the counts once a second.

use crate::link::Link;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use dco_core::{DropReason, REKEY_AT, SendingKey};
use dco_sync::{Box, try_box_slice};
use dco_uapi as uapi;
use nt::etw::{Address, Hex, Level, Provider, Registration, traits, traits_len};
use nt::status::{Result, Status};
use nt::sys::GUID;
use nt::wdf::request::Ioctl;

const NAME: &str = "OpenVPN.DcoRs";

/// {1febeb07-696a-5cda-9c9d-a663f210b0a6}: the hash of the name that ETW's tools make, so that they find the provider by it.
const ID: GUID =
    GUID { Data1: 0x1FEB_EB07, Data2: 0x696A, Data3: 0x5CDA, Data4: [0x9C, 0x9D, 0xA6, 0x63, 0xF2, 0x10, 0xB0, 0xA6] };

static TRAITS: [u8; traits_len(NAME)] = traits(NAME);
static PROVIDER: Provider = Provider::new(ID, &TRAITS);

// Keywords.
const LIFECYCLE: u64 = 1;
const PEER: u64 = 2;
const KEY: u64 = 4;
const DROP: u64 = 8;
const ERROR: u64 = 16;

nt::events! { PROVIDER;
    /// DriverEntry is done.
    Info, LIFECYCLE, "DriverLoaded" => driver_loaded("Version" version: &'static str, "InterfaceMajor" major: u16,
        "InterfaceMinor" minor: u16, "InterfacePatch" patch: u16);
    /// The last event.
    Info, LIFECYCLE, "DriverUnloaded" => driver_unloaded();
    /// EvtDevicePrepareHardware.
    Info, LIFECYCLE, "AdapterStarted" => adapter_started("Adapter" adapter: u32, "Mtu" mtu: u32);
    /// EvtDeviceReleaseHardware.
    Info, LIFECYCLE, "AdapterStopped" => adapter_stopped("Adapter" adapter: u32);
    /// A program has the adapter.
    Info, LIFECYCLE, "DeviceOpened" => device_opened("Adapter" adapter: u32);
    /// It has it no more.
    Info, LIFECYCLE, "DeviceClosed" => device_closed("Adapter" adapter: u32);
    /// SET_MODE to multi-peer.
    Info, LIFECYCLE, "ServerMode" => server_mode("Adapter" adapter: u32);
    /// START_VPN.
    Info, LIFECYCLE, "LinkUp" => link_up("Adapter" adapter: u32);
    /// With the handle's closing.
    Info, LIFECYCLE, "LinkDown" => link_down("Adapter" adapter: u32);

    /// A peer is there, its socket connected.
    Info, PEER, "PeerNew" => peer_new("Adapter" adapter: u32, "PeerId" peer: i32, "Protocol" protocol: &'static str, "Local" local: Address,
        "Remote" remote: Address);
    /// SET_PEER.
    Info, PEER, "PeerSet" => peer_set("Adapter" adapter: u32, "PeerId" peer: i32, "Interval" interval: i32, "Timeout" timeout: i32, "Mss" mss: i32);
    /// MP_START_VPN, MP_LISTEN, or anew: a listener's socket receives.
    Info, PEER, "ServerListening" => server_listening("Adapter" adapter: u32, "Listener" listener: u32, "Protocol" protocol: &'static str,
        "Local" local: Address);
    /// MP_UNLISTEN.
    Info, PEER, "ListenerClosed" => listener_closed("Adapter" adapter: u32, "Listener" listener: u32);
    /// The network stack has given its socket up.
    Warning, ERROR | PEER, "ListenerLost" => listener_lost("Adapter" adapter: u32, "Listener" listener: u32);
    /// No other could be made; a reader is told.
    Warning, ERROR | PEER, "ListenerDown" => listener_down("Adapter" adapter: u32, "Listener" listener: u32, "Status" status: Status);
    /// All listeners are gone, after their peers.
    Info, PEER, "ServerStopped" => server_stopped("Adapter" adapter: u32, "Reason" reason: &'static str);
    /// A connection came to a listener, and has a place.
    Info, PEER, "ConnectionAccepted" => connection_accepted("Adapter" adapter: u32, "Listener" listener: u32, "Remote" remote: Address);
    /// It found none, and was reset.
    Warning, ERROR | PEER, "ConnectionRefused" => connection_refused("Adapter" adapter: u32, "Listener" listener: u32, "Remote" remote: Address,
        "Status" status: Status);
    /// It has left its place, whoever ended it.
    Info, PEER, "ConnectionEnded" => connection_ended("Adapter" adapter: u32, "Listener" listener: u32, "Remote" remote: Address);
    /// MP_ADD_IROUTE.
    Info, PEER, "NetworkAdded" => network_added("Adapter" adapter: u32, "PeerId" peer: i32, "Network" network: Address, "Length" length: u8);
    /// MP_DEL_IROUTE.
    Info, PEER, "NetworkDeleted" => network_deleted("Adapter" adapter: u32, "PeerId" peer: i32, "Network" network: Address, "Length" length: u8);
    /// A peer of a server's is at another address, and the program was told.
    Info, PEER, "PeerFloated" => peer_floated("Adapter" adapter: u32, "PeerId" peer: i32, "Remote" remote: Address);
    /// A peer is gone.
    Info, PEER, "PeerDeleted" => peer_deleted("Adapter" adapter: u32, "PeerId" peer: i32, "Reason" reason: &'static str);
    /// Nothing came from the peer for its timeout, and a reader was told.
    Warning, PEER, "PeerExpired" => peer_expired("Adapter" adapter: u32, "PeerId" peer: i32);

    /// NEW_KEY. Never the key.
    Info, KEY, "KeyNew" => key_new("Adapter" adapter: u32, "PeerId" peer: i32, "Slot" slot: &'static str, "KeyId" key: u8,
        "Cipher" cipher: &'static str);
    /// SWAP_KEYS.
    Info, KEY, "KeysSwapped" => keys_swapped("Adapter" adapter: u32, "PeerId" peer: i32);
    /// DEL_KEY.
    Info, KEY, "KeyDeleted" => key_deleted("Adapter" adapter: u32, "PeerId" peer: i32, "Slot" slot: &'static str);
    /// A key's packet ids come to their end.
    Warning, KEY, "KeyWorn" => key_worn("Adapter" adapter: u32, "PeerId" peer: i32, "KeyId" key: u8, "PacketId" packet: u32);

    /// Packets were dropped since the last such event.
    Warning, DROP, "PacketsDropped" => packets_dropped("Adapter" adapter: u32, "Reason" reason: &'static str, "Count" count: u64,
        "Total" total: u64);

    /// A request ended with an error.
    Warning, ERROR, "RequestFailed" => request_failed("Adapter" adapter: u32, "Ioctl" code: Hex, "Status" status: Status);
    /// The peer's socket, or its connection, is at its end.
    Warning, ERROR | PEER, "SocketLost" => socket_lost("Adapter" adapter: u32, "Status" status: Status);
}

/// Makes the driver known to ETW until what is returned ends. PASSIVE_LEVEL. Without it the driver works, and is silent.
pub fn register() -> Option<Registration> {
    PROVIDER.register().ok()
}

/// Why a peer went.
#[derive(Clone, Copy)]
pub enum Gone {
    /// DEL_PEER.
    Deleted,
    /// NEW_PEER.
    Replaced,
    /// The handle was closed.
    Closed,
    /// The adapter stopped.
    Stopped,
    /// Its socket did not begin to receive.
    Failed,
    /// Nothing came from it for its timeout.
    Expired,
    /// Its connection to a server ended.
    Ended,
}

impl Gone {
    /// For [`peer_deleted`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Replaced => "replaced",
            Self::Closed => "closed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }
}

/// A protocol's name, for [`peer_new`] and [`server_listening`].
pub const fn protocol(protocol: uapi::Protocol) -> &'static str {
    match protocol {
        uapi::Protocol::Udp => "UDP",
        uapi::Protocol::Tcp => "TCP",
    }
}

/// A slot's name, for [`key_new`] and [`key_deleted`].
pub const fn slot(slot: uapi::Slot) -> &'static str {
    match slot {
        uapi::Slot::Primary => "primary",
        uapi::Slot::Secondary => "secondary",
    }
}

/// What the events of one adapter are about, and what was told last.
pub struct Traced {
    /// 1 for the first adapter since the driver was loaded.
    pub adapter: u32,
    pub mtu: u32,
    /// [`key_worn`] was told of the key that sends.
    told_worn: AtomicBool,
    /// Drops that were told of.
    told: Box<[AtomicU64]>,
}

impl Traced {
    /// The next adapter. PASSIVE_LEVEL. Not inlined, for the frame of its caller.
    ///
    /// # Errors
    /// NO_MEMORY.
    #[inline(never)]
    pub fn new(mtu: usize) -> Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let adapter = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let told = try_box_slice(DropReason::COUNT, |_| Ok(AtomicU64::new(0)))?;
        Ok(Self { adapter, mtu: mtu as u32, told_worn: AtomicBool::new(false), told })
    }

    /// A peer is there.
    pub fn peer(&self, id: i32, new: &uapi::NewPeer) {
        peer_new(self.adapter, id, protocol(new.protocol), new.local.into(), new.remote.into());
    }

    /// A server's peer is there. Its own end is the server's.
    pub fn client(&self, id: i32, over: uapi::Protocol, remote: SocketAddr) {
        let local: SocketAddr = match remote {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        peer_new(self.adapter, id, protocol(over), local.into(), remote.into());
    }

    /// A listener was given a connection, and admitted it or not. Not inlined, for the frame of its caller.
    #[inline(never)]
    pub fn accepted(&self, listener: u32, remote: Option<SocketAddr>, admitted: Result<()>) {
        let remote = remote.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into()).into();
        match admitted {
            Ok(()) => connection_accepted(self.adapter, listener, remote),
            Err(status) => connection_refused(self.adapter, listener, remote, status),
        }
    }

    /// The peer was set; -1 is what was left as it is.
    pub fn set(&self, id: i32, set: &uapi::SetPeer) {
        let seconds = |of: Option<u32>| of.map_or(-1, u32::cast_signed);
        peer_set(self.adapter, id, seconds(set.interval), seconds(set.timeout), set.mss.map_or(-1, i32::from));
    }

    /// A key was installed.
    pub fn key(&self, new: &uapi::NewKey) {
        let cipher = match (new.algorithm, new.encrypt.key().len()) {
            (uapi::Algorithm::AesGcm, 16) => "AES-128-GCM",
            (uapi::Algorithm::AesGcm, 24) => "AES-192-GCM",
            (uapi::Algorithm::AesGcm, 32) => "AES-256-GCM",
            (uapi::Algorithm::ChaCha20Poly1305, _) => "CHACHA20-POLY1305",
            _ => "unknown",
        };
        key_new(self.adapter, new.peer_id, slot(new.slot), new.key_id, cipher);
    }

    /// A connect has ended: its request was parked, so that nobody watches it.
    pub fn connected(&self, status: Status) {
        if status.is_error() {
            request_failed(self.adapter, Hex(uapi::Ioctl::NewPeer.code()), status);
        }
    }

    /// Has the request told of, should it fail.
    pub fn watch(&self, request: &mut Ioctl, code: u32) {
        request.on_failure(self.adapter, code, |adapter, code, status| request_failed(adapter, Hex(code), status));
    }

    /// The handle was closed; its closing comes in two steps, of which the first finds it open, and perhaps the link up.
    pub fn closed(&self, open: bool, up: bool) {
        if up {
            link_down(self.adapter);
        }
        if open {
            device_closed(self.adapter);
        }
    }

    /// A key of a server's peer, which the core says once.
    pub fn worn(&self, key: &SendingKey) {
        key_worn(self.adapter, key.peer_id.get().cast_signed(), key.key_id.get(), key.next_packet_id);
    }

    /// Looks at the key that sends. In the timer.
    pub fn look(&self, key: &SendingKey) {
        let worn = key.next_packet_id >= REKEY_AT;
        if worn && !self.told_worn.swap(worn, Ordering::Relaxed) {
            self.worn(key);
        } else if !worn {
            self.told_worn.store(false, Ordering::Relaxed);
        }
    }
}

/// Tells the drops since the last time, an event a reason; not inlined, for the frames of its callers. In the timer, and where it has been stopped: never twice at once.
#[inline(never)]
pub fn drops(link: &Link) {
    if !PROVIDER.wants_at(Level::Warning as u8, DROP) {
        return;
    }
    let traced = &link.traced;
    for ((reason, total), told) in DropReason::ALL.into_iter().zip(link.drop_counts()).zip(&*traced.told) {
        let count = total.wrapping_sub(told.swap(total, Ordering::Relaxed));
        if count != 0 {
            packets_dropped(traced.adapter, reason.name(), count, total);
        }
    }
}
