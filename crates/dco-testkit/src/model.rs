//! What a point-to-point device should do, written as plainly as possible.
//!
//! An oracle for the property tests: sets and maps where the core has windows and stripes, one packet at a time, no
//! concurrency, no cipher. Whether a datagram is authentic is looked up in a [`Ledger`] of everything that was ever sealed.
//! Reasons are names, as the core's own type would be shared code.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

use crate::packet::{PacketSpec, Upper};

const MAX_INNER: usize = 1500;
const OVERHEAD: usize = 24;
const WINDOW: u64 = 2048;
const SILENCE_MS: u64 = 30_000;
const LAST_PACKET_ID: u64 = 0xEFFF_FFFF;

/// What is inside a data packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inner {
    /// A well-formed IP packet.
    Packet(PacketSpec),
    /// A keepalive ping.
    Ping,
    /// Bytes that are no IP packet.
    Junk(Vec<u8>),
}

impl Inner {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Packet(spec) => spec.total(),
            Self::Ping => 16,
            Self::Junk(bytes) => bytes.len(),
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Every datagram that was sealed, by key number and sealing side, with what it carries.
#[derive(Debug, Default)]
pub struct Ledger(HashMap<(u64, usize), HashMap<Vec<u8>, Inner>>);

impl Ledger {
    /// Notes a datagram.
    pub fn note(&mut self, key: u64, side: usize, datagram: Vec<u8>, inner: Inner) {
        self.0.entry((key, side)).or_default().insert(datagram, inner);
    }

    pub(crate) fn find(&self, key: u64, side: usize, datagram: &[u8]) -> Option<&Inner> {
        self.0.get(&(key, side))?.get(datagram)
    }
}

/// A key as an end has it.
#[derive(Debug, Clone)]
pub struct ModelKey {
    /// Names the material.
    pub number: u64,
    /// The key-id it was installed with; above 7 it opens nothing.
    pub key_id: u8,
    /// The peer-id for outgoing headers.
    pub peer_id: u32,
    /// Packet ids used.
    pub sealed: u64,
    seen: BTreeSet<u64>,
    highest: u64,
    floor: u64,
    last_accepted: Option<u64>,
}

impl ModelKey {
    /// A key that has opened nothing.
    #[must_use]
    pub fn new(number: u64, key_id: u8, peer_id: u32, sealed: u64) -> Self {
        Self { number, key_id, peer_id, sealed, seen: BTreeSet::new(), highest: 0, floor: 0, last_accepted: None }
    }

    pub(crate) fn accept(&mut self, id: u64, now: u64) -> bool {
        if self.last_accepted.is_some_and(|last| now - last >= SILENCE_MS) {
            self.floor = self.highest;
        }
        let old = id + WINDOW <= self.highest || id <= self.floor;
        if old || !self.seen.insert(id) {
            return false;
        }
        self.highest = self.highest.max(id);
        self.last_accepted = Some(now);
        true
    }
}

/// Traffic counts, named as the UAPI's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the UAPI's, explained at DeviceStats and PeerStats")]
pub struct Counts {
    pub received_data: u64,
    pub sent_data: u64,
    pub transport_sent: u64,
    pub transport_received: u64,
    pub tun_sent: u64,
    pub tun_received: u64,
    pub lost_in: u64,
    pub lost_out: u64,
    pub link_rx: u64,
    pub link_tx: u64,
    pub vpn_rx: u64,
    pub vpn_tx: u64,
}

#[derive(Debug)]
struct ModelPeer {
    remote: SocketAddr,
    /// Primary, secondary.
    keys: [Option<ModelKey>; 2],
    mss: u16,
    interval: u32,
    timeout: u32,
    last_sent: u64,
    last_received: u64,
    told: bool,
}

/// What sealing should have made.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    /// The key's number.
    pub key: u64,
    /// The first eight bytes.
    pub header: [u8; 8],
    /// What is inside.
    pub inner: Inner,
}

/// One end.
#[derive(Debug)]
pub struct Model {
    side: usize,
    peer: Option<ModelPeer>,
    /// Losses since the beginning, by name.
    pub drops: BTreeMap<&'static str, u64>,
    /// Since the last new peer. The peer's four are meaningless without a peer.
    pub counts: Counts,
}

impl Model {
    /// An end without peer. `side` is 0 or 1.
    #[must_use]
    pub fn new(side: usize) -> Self {
        Self { side, peer: None, drops: BTreeMap::new(), counts: Counts::default() }
    }

    /// Whether there is a peer.
    #[must_use]
    pub fn has_peer(&self) -> bool {
        self.peer.is_some()
    }

    /// A peer replaces the one before.
    pub fn new_peer(&mut self, remote: SocketAddr, now: u64) {
        self.counts = Counts::default();
        self.peer = Some(ModelPeer {
            remote,
            keys: [None, None],
            mss: 0,
            interval: 0,
            timeout: 0,
            last_sent: now,
            last_received: now,
            told: false,
        });
    }

    /// The peer goes. Whether there was one.
    pub fn del_peer(&mut self) -> bool {
        self.peer.take().is_some()
    }

    /// A key is installed, in slot 0 (primary) or 1. Whether there is a peer for it.
    pub fn new_key(&mut self, slot: usize, key: ModelKey) -> bool {
        self.peer.as_mut().map(|peer| peer.keys[slot] = Some(key)).is_some()
    }

    /// A slot is emptied. Whether there is a peer.
    pub fn del_key(&mut self, slot: usize) -> bool {
        self.peer.as_mut().map(|peer| peer.keys[slot] = None).is_some()
    }

    /// The key that seals: its key-id and peer-id as headers carry them, and its next packet id, at most one more than the last.
    #[must_use]
    pub fn sending_key(&self) -> Option<(u8, u32, u64)> {
        let key = self.peer.as_ref()?.keys[0].as_ref()?;
        Some((key.key_id & 7, key.peer_id & 0x00FF_FFFF, (key.sealed + 1).min(LAST_PACKET_ID + 1)))
    }

    /// The slots change places. Whether there is a peer.
    pub fn swap_keys(&mut self) -> bool {
        self.peer.as_mut().map(|peer| peer.keys.swap(0, 1)).is_some()
    }

    /// Settings change. Whether there is a peer.
    pub fn set_peer(&mut self, interval: Option<u32>, timeout: Option<u32>, mss: Option<u16>, now: u64) -> bool {
        let Some(peer) = &mut self.peer else { return false };
        if let Some(interval) = interval {
            peer.interval = interval;
            peer.last_sent = now;
        }
        if let Some(timeout) = timeout {
            peer.timeout = timeout;
            peer.last_received = now;
            peer.told = false;
        }
        if let Some(mss) = mss {
            peer.mss = mss;
        }
        true
    }

    /// What is due: ping, expiry.
    #[must_use]
    pub fn keepalive(&self, now: u64) -> (bool, bool) {
        let Some(peer) = &self.peer else { return (false, false) };
        let over = |start: u64, setting: u32| setting > 0 && (now - start) / 1000 > u64::from(setting);
        let ping = over(peer.last_sent, peer.interval) && peer.keys[0].is_some();
        (ping, over(peer.last_received, peer.timeout) && !peer.told)
    }

    /// The expiry was told.
    pub fn acknowledge(&mut self) {
        if let Some(peer) = &mut self.peer {
            peer.told = true;
        }
    }

    /// A packet from the stack, or a ping.
    pub fn seal(&mut self, inner: &Inner, now: u64) -> Result<Expected, &'static str> {
        let result = self.try_seal(inner, now);
        match &result {
            Err(reason) => {
                *self.drops.entry(reason).or_default() += 1;
                self.counts.lost_out += 1;
            }
            Ok(expected) => {
                let (plain, sealed) = (inner.len() as u64, (expected.inner.len() + OVERHEAD) as u64);
                self.counts.sent_data += 1;
                self.counts.transport_sent += sealed;
                self.counts.link_tx += sealed;
                if *inner != Inner::Ping {
                    self.counts.tun_sent += plain;
                    self.counts.vpn_tx += plain;
                }
            }
        }
        result
    }

    fn try_seal(&mut self, inner: &Inner, now: u64) -> Result<Expected, &'static str> {
        if inner.len() > MAX_INNER {
            return Err("TxTooLong");
        }
        if matches!(inner, Inner::Junk(_)) {
            return Err("TxNotIp");
        }
        let Some(peer) = &mut self.peer else { return Err("TxNoPeer") };
        if let Inner::Packet(spec) = inner
            && let Upper::Udp { port } = spec.upper
            && peer.remote == SocketAddr::new(spec.dst, port)
        {
            return Err("TxRecursiveRoute");
        }
        let Some(key) = &mut peer.keys[0] else { return Err("TxNoKey") };
        if key.sealed >= LAST_PACKET_ID {
            return Err("TxPacketIdExhausted");
        }
        key.sealed += 1;
        peer.last_sent = now;
        let mut header = [0; 8];
        header[..4].copy_from_slice(&(key.peer_id & 0xff_ffff).to_be_bytes());
        header[0] = 9 << 3 | key.key_id & 7;
        header[4..].copy_from_slice(&(key.sealed as u32).to_be_bytes());
        let inner = match inner {
            Inner::Packet(spec) => Inner::Packet(spec.clamped(peer.mss)),
            other => other.clone(),
        };
        Ok(Expected { key: key.number, header, inner })
    }

    /// A datagram from the network. `None` for a ping.
    pub fn open(&mut self, datagram: &[u8], ledger: &Ledger, now: u64) -> Result<Option<PacketSpec>, &'static str> {
        let result = self.try_open(datagram, ledger, now);
        match &result {
            Err(reason) => {
                *self.drops.entry(reason).or_default() += 1;
                self.counts.lost_in += 1;
            }
            Ok(Some(spec)) => {
                self.counts.tun_received += spec.total() as u64;
                self.counts.vpn_rx += spec.total() as u64;
            }
            Ok(None) => {}
        }
        result
    }

    fn try_open(&mut self, datagram: &[u8], ledger: &Ledger, now: u64) -> Result<Option<PacketSpec>, &'static str> {
        if datagram.len() < 4 {
            return Err("RxTooShort");
        }
        if datagram[0] >> 3 != 9 {
            return Err("RxMalformed");
        }
        self.counts.received_data += 1;
        self.counts.transport_received += datagram.len() as u64;
        let Some(peer) = &mut self.peer else { return Err("RxUnknownPeer") };
        let key_id = datagram[0] & 7;
        let key = peer.keys.iter_mut().flatten().find(|key| key.key_id == key_id);
        let Some(key) = key else { return Err("RxUnknownKey") };
        if datagram.len() < OVERHEAD {
            return Err("RxTooShort");
        }
        let id = u64::from(u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]));
        if id == 0 {
            return Err("RxMalformed");
        }
        let Some(inner) = ledger.find(key.number, 1 - self.side, datagram) else { return Err("RxAuthFailed") };
        if !key.accept(id, now) {
            return Err("RxReplay");
        }
        peer.last_received = now;
        self.counts.link_rx += datagram.len() as u64;
        match inner {
            Inner::Ping => Ok(None),
            Inner::Junk(_) => Err("RxNotIp"),
            Inner::Packet(spec) => Ok(Some(spec.clamped(peer.mss))),
        }
    }
}
