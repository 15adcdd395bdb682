//! What a device with several peers should do, written as plainly as possible: a map of peers, searched from end to end.
//!
//! As [`crate::model`]: one packet at a time, no cipher, and reasons are names.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::{
    model::{Inner, Ledger, ModelKey},
    packet::PacketSpec,
};

const UNDEFINED: u32 = 0xFF_FFFF;
const OVERHEAD: u64 = 24;
const LAST_PACKET_ID: u64 = 0xEFFF_FFFF;
const OLD: u64 = 0xD200_0000;

/// A peer's traffic: bytes and packets, as the core's `PeerStats` has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "explained at PeerStats")]
pub struct Traffic {
    pub link_rx: (u64, u64),
    pub link_tx: (u64, u64),
    pub vpn_rx: (u64, u64),
    pub vpn_tx: (u64, u64),
}

/// One peer.
#[derive(Debug, Clone)]
pub struct ManyPeer {
    /// Inside the tunnel.
    pub vpn4: Option<Ipv4Addr>,
    /// Inside the tunnel.
    pub vpn6: Option<Ipv6Addr>,
    /// Where it is.
    pub remote: SocketAddr,
    /// Our end, if known.
    pub local: Option<IpAddr>,
    /// Over TCP, so it neither floats nor is found by where it is.
    pub tcp: bool,
    /// The id in headers to it.
    pub tx_id: u32,
    /// The key that seals and opens.
    pub key: Option<ModelKey>,
    /// Seconds.
    pub interval: u32,
    /// Seconds.
    pub timeout: u32,
    /// What it carried.
    pub traffic: Traffic,
    /// What it lost, by name.
    pub drops: BTreeMap<&'static str, u64>,
    /// Where userspace, and who looks it up by its remote end, thinks it is.
    known: SocketAddr,
    /// Our end there, as far as they know.
    known_local: Option<IpAddr>,
    moved: bool,
    last_sent: u64,
    last_received: u64,
    told_old: bool,
}

/// Why a control operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are ControlError's")]
pub enum Refused {
    NoPeer,
    PeerExists,
    AddressInUse,
}

/// A device with several peers.
#[derive(Debug, Default)]
pub struct ManyModel {
    /// By id.
    pub peers: BTreeMap<u32, ManyPeer>,
    /// All losses, by name.
    pub drops: BTreeMap<&'static str, u64>,
    /// Inner sources may be anything.
    pub unchecked: bool,
    /// Nobody moves to where another is known to be.
    pub own_remotes: bool,
    /// A remote end at another end of ours is another.
    pub both_ends: bool,
}

/// What a peer is made of.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "explained at ManyPeer")]
pub struct Join {
    pub id: u32,
    pub tx_id: u32,
    pub vpn4: Option<Ipv4Addr>,
    pub vpn6: Option<Ipv6Addr>,
    pub remote: SocketAddr,
    pub local: Option<IpAddr>,
    pub tcp: bool,
}

/// A datagram as it comes in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Its bytes.
    pub datagram: &'a [u8],
    /// The connection's peer, over TCP.
    pub peer: Option<u32>,
    /// From where and to where, over UDP.
    pub source: Option<(SocketAddr, Option<IpAddr>)>,
}

impl ManyModel {
    fn owner(&self, address: IpAddr) -> Option<u32> {
        let has = |peer: &ManyPeer| match address {
            IpAddr::V4(v4) => peer.vpn4 == Some(v4),
            IpAddr::V6(v6) => peer.vpn6 == Some(v6),
        };
        self.peers.iter().find(|(_, peer)| has(peer)).map(|(id, _)| *id)
    }

    /// Who is known to be there. More than one is possible.
    #[must_use]
    pub fn known_at(&self, remote: SocketAddr, local: Option<IpAddr>) -> Vec<u32> {
        let here = |known: Option<IpAddr>| match (known, local) {
            (Some(known), Some(local)) if self.both_ends => known == local,
            _ => true,
        };
        let there = |peer: &ManyPeer| !peer.tcp && peer.known == remote && here(peer.known_local);
        self.peers.iter().filter(|(_, peer)| there(peer)).map(|(id, _)| *id).collect()
    }

    /// A peer comes.
    pub fn join(&mut self, join: Join, now: u64) -> Result<(), Refused> {
        if self.peers.contains_key(&join.id) {
            return Err(Refused::PeerExists);
        }
        let addresses = [join.vpn4.map(IpAddr::V4), join.vpn6.map(IpAddr::V6)];
        if addresses.into_iter().flatten().any(|address| self.owner(address).is_some()) {
            return Err(Refused::AddressInUse);
        }
        let Join { id, tx_id, vpn4, vpn6, remote, local, tcp } = join;
        let peer = ManyPeer {
            vpn4,
            vpn6,
            remote,
            local,
            tcp,
            tx_id,
            key: None,
            interval: 0,
            timeout: 0,
            traffic: Traffic::default(),
            drops: BTreeMap::new(),
            known: remote,
            known_local: local,
            moved: false,
            last_sent: now,
            last_received: now,
            told_old: false,
        };
        self.peers.insert(id, peer);
        Ok(())
    }

    /// Its addresses change.
    pub fn readdress(
        &mut self,
        id: u32,
        vpn4: Option<Option<Ipv4Addr>>,
        vpn6: Option<Option<Ipv6Addr>>,
    ) -> Result<(), Refused> {
        if !self.peers.contains_key(&id) {
            return Err(Refused::NoPeer);
        }
        let wanted = [vpn4.flatten().map(IpAddr::V4), vpn6.flatten().map(IpAddr::V6)];
        for address in wanted.into_iter().flatten() {
            if self.owner(address).is_some_and(|owner| owner != id) {
                return Err(Refused::AddressInUse);
            }
        }
        let peer = self.peers.get_mut(&id).expect("seen above");
        peer.vpn4 = vpn4.unwrap_or(peer.vpn4);
        peer.vpn6 = vpn6.unwrap_or(peer.vpn6);
        Ok(())
    }

    /// Userspace says where it is, or how it is called, or sets its timers (seconds).
    pub fn set(
        &mut self,
        id: u32,
        remote: Option<SocketAddr>,
        tx_id: Option<u32>,
        timers: Option<(u32, u32)>,
        now: u64,
    ) -> Result<(), Refused> {
        let peer = self.peers.get_mut(&id).ok_or(Refused::NoPeer)?;
        if let Some(remote) = remote {
            (peer.remote, peer.local, peer.known, peer.known_local) = (remote, None, remote, None);
        }
        peer.tx_id = tx_id.unwrap_or(peer.tx_id);
        if let Some((interval, timeout)) = timers {
            (peer.interval, peer.timeout) = (interval, timeout);
            (peer.last_sent, peer.last_received) = (now, now);
        }
        Ok(())
    }

    /// A key replaces the one before. Whether there is a peer for it.
    pub fn key(&mut self, id: u32, key: ModelKey) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        (peer.key, peer.told_old) = (Some(key), false);
        true
    }

    /// Who moved since the last call, and where to.
    pub fn take_moved(&mut self) -> Vec<(u32, SocketAddr)> {
        let mut moved = Vec::new();
        for (id, peer) in &mut self.peers {
            if std::mem::take(&mut peer.moved) {
                (peer.known, peer.known_local) = (peer.remote, peer.local);
                moved.push((*id, peer.remote));
            }
        }
        moved
    }

    /// What is due: ping, expired, a key that is told to be old.
    pub fn due(&mut self, id: u32, now: u64) -> (bool, bool, bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return (false, false, false) };
        let over = |start: u64, setting: u32| setting > 0 && (now - start) / 1000 > u64::from(setting);
        let old = peer.key.as_ref().is_some_and(|key| key.sealed + 1 >= OLD) && !peer.told_old;
        peer.told_old |= old;
        (over(peer.last_sent, peer.interval) && peer.key.is_some(), over(peer.last_received, peer.timeout), old)
    }

    fn lose(&mut self, id: Option<u32>, reason: &'static str) -> &'static str {
        *self.drops.entry(reason).or_default() += 1;
        if let Some(peer) = id.and_then(|id| self.peers.get_mut(&id)) {
            *peer.drops.entry(reason).or_default() += 1;
        }
        reason
    }

    /// A packet (or a ping) to whoever has this address: its peer, key number and header.
    pub fn seal(&mut self, to: IpAddr, inner: &Inner, now: u64) -> Result<(u32, u64, [u8; 8]), &'static str> {
        let Some(id) = self.owner(to) else { return Err(self.lose(None, "TxNoPeer")) };
        self.seal_to(id, inner, now).map(|(key, header)| (id, key, header))
    }

    /// The same to a peer by its id.
    pub fn seal_to(&mut self, id: u32, inner: &Inner, now: u64) -> Result<(u64, [u8; 8]), &'static str> {
        let Some(peer) = self.peers.get_mut(&id) else { return Err(self.lose(None, "TxNoPeer")) };
        let tx_id = peer.tx_id;
        let Some(key) = &mut peer.key else { return Err(self.lose(Some(id), "TxNoKey")) };
        if key.sealed >= LAST_PACKET_ID {
            return Err(self.lose(Some(id), "TxPacketIdExhausted"));
        }
        key.sealed += 1;
        let mut header = [0; 8];
        header[..4].copy_from_slice(&(tx_id & 0xff_ffff).to_be_bytes());
        header[0] = 9 << 3 | key.key_id & 7;
        header[4..].copy_from_slice(&(key.sealed as u32).to_be_bytes());
        let number = key.number;
        peer.last_sent = now;
        let len = inner.len() as u64;
        add(&mut peer.traffic.link_tx, len + OVERHEAD);
        if *inner != Inner::Ping {
            add(&mut peer.traffic.vpn_tx, len);
        }
        Ok((number, header))
    }

    /// A datagram from the network: the peer and what it brought, `None` for a ping.
    pub fn open(
        &mut self,
        incoming: Incoming<'_>,
        ledger: &Ledger,
        route_back: impl Fn(IpAddr) -> Option<IpAddr>,
        now: u64,
    ) -> Result<(u32, Option<PacketSpec>), &'static str> {
        let datagram = incoming.datagram;
        if datagram.len() < 4 {
            return Err(self.lose(None, "RxTooShort"));
        }
        if datagram[0] >> 3 != 9 {
            return Err(self.lose(None, "RxMalformed"));
        }
        let header = u32::from_be_bytes([0, datagram[1], datagram[2], datagram[3]]);
        let id = match (incoming.peer, incoming.source) {
            (Some(id), _) => Some(id),
            (None, Some((remote, local))) if header == UNDEFINED => self.known_at(remote, local).first().copied(),
            _ => Some(header),
        };
        let before = id.and_then(|id| self.peers.get(&id)).and_then(|peer| peer.local);
        let source = incoming.source.filter(|_| self.own_remotes);
        let known = source.map(|(remote, local)| self.known_at(remote, local.or(before))).unwrap_or_default();
        let both_ends = self.both_ends;
        let Some((id, peer)) = id.and_then(|id| self.peers.get_mut(&id).map(|peer| (id, peer))) else {
            return Err(self.lose(None, "RxUnknownPeer"));
        };
        if header != UNDEFINED && header != id || peer.tcp && incoming.peer.is_none() {
            return Err(self.lose(None, "RxWrongPeer"));
        }
        let Some(key) = peer.key.as_mut().filter(|key| key.key_id == datagram[0] & 7) else {
            return Err(self.lose(Some(id), "RxUnknownKey"));
        };
        if datagram.len() < 24 {
            return Err(self.lose(Some(id), "RxTooShort"));
        }
        let packet_id = u32::from_be_bytes([datagram[4], datagram[5], datagram[6], datagram[7]]);
        if packet_id == 0 {
            return Err(self.lose(Some(id), "RxMalformed"));
        }
        // Clients are side 1.
        let Some(inner) = ledger.find(key.number, 1, datagram) else { return Err(self.lose(Some(id), "RxAuthFailed")) };
        if !key.accept(u64::from(packet_id), now) {
            return Err(self.lose(Some(id), "RxReplay"));
        }
        peer.last_received = now;
        add(&mut peer.traffic.link_rx, datagram.len() as u64);
        if let Some((remote, local)) = incoming.source
            && !peer.tcp
        {
            let moves = peer.remote != remote || both_ends && local.is_some() && local != peer.local;
            if moves && known.iter().any(|other| *other != id) {
                return Err(self.lose(Some(id), "RxWrongPeer"));
            }
            peer.moved |= moves;
            peer.remote = remote;
            peer.local = local.or(peer.local);
        }
        let spec = match inner {
            Inner::Ping => return Ok((id, None)),
            Inner::Junk(_) => return Err(self.lose(Some(id), "RxNotIp")),
            Inner::Packet(spec) => spec,
        };
        if !self.unchecked && !self.may_send(id, spec.src, route_back) {
            return Err(self.lose(Some(id), "RxWrongSource"));
        }
        let peer = self.peers.get_mut(&id).expect("seen above");
        add(&mut peer.traffic.vpn_rx, spec.total() as u64);
        Ok((id, Some(spec.clone())))
    }

    fn may_send(&self, id: u32, src: IpAddr, route_back: impl Fn(IpAddr) -> Option<IpAddr>) -> bool {
        if self.owner(src) == Some(id) {
            return true;
        }
        let link_local = matches!(src, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
        !link_local && !src.is_unspecified() && route_back(src).and_then(|hop| self.owner(hop)) == Some(id)
    }
}

fn add((bytes, packets): &mut (u64, u64), len: u64) {
    *bytes += len;
    *packets += 1;
}
