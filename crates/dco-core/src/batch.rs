//! The data plane: packets sealed and opened, one batch at a time.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::Ordering,
};

use dco_crypto::{Aead, DataKey, KeySlots, OpenError, SealError};
use dco_wire::{
    DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, KeyId, PING, PeerId,
    ip::{self, Fragment, IpHeader},
    mss,
};

use crate::{
    REKEY_AT,
    counters::{Flow, Tally},
    device::{Peers, Section},
    drops::DropReason,
    endpoint::{self, Endpoint, Words},
    keepalive::KeepaliveDue,
    peer::{Peer, PeerSelector, PeerStats, is_own},
    table::Name,
    time::Tick,
};

/// Who an outgoing packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The only peer, point to point.
    Only,
    /// The peer with this address inside the tunnel, the next hop that routing chose; else the one that the longest network around it is
    /// routed to. Point to point, the only peer.
    Address(IpAddr),
    /// The same for the packet's own destination.
    Packet,
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin {
    /// The peer whose connection it came over. `None` over UDP: the header says.
    pub peer: Option<PeerId>,
    /// Where it came from, and the address it came to, if that is known. `None` over TCP, or where the shell's socket talks to
    /// nobody else.
    pub source: Option<Endpoint>,
}

/// A sealed packet: the first `len` bytes of the output buffer are the datagram to send.
///
/// It borrows the section, not the batch, so the batch goes on while packets wait to be sent.
pub struct Sealed<'s, A: Aead, T> {
    /// Bytes of the datagram.
    pub len: usize,
    /// Whom to send it to.
    pub peer: &'s Peer<A, T>,
}

impl<A: Aead, T> Clone for Sealed<'_, A, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Aead, T> Copy for Sealed<'_, A, T> {}

impl<A: Aead, T> fmt::Debug for Sealed<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.len).finish_non_exhaustive()
    }
}

/// An opened packet.
pub enum Opened<'s, A: Aead, T> {
    /// The first `len` bytes of the output buffer are an inner IP packet for the stack.
    Packet {
        /// Bytes of the inner packet.
        len: usize,
        /// Whom it came from.
        peer: &'s Peer<A, T>,
    },
    /// A keepalive ping; there is nothing to hand over.
    Ping {
        /// Whom it came from.
        peer: &'s Peer<A, T>,
    },
}

impl<A: Aead, T> Opened<'_, A, T> {
    /// Bytes of the inner packet; `None` for a ping.
    #[must_use]
    pub fn plain_len(&self) -> Option<usize> {
        match self {
            Self::Packet { len, .. } => Some(*len),
            Self::Ping { .. } => None,
        }
    }
}

impl<A: Aead, T> fmt::Debug for Opened<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("len", &self.plain_len()).finish_non_exhaustive()
    }
}

/// What a look at one of several peers found; see [`Batch::due`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct PeerDue {
    /// A ping should be sent now: [`Batch::seal_ping`].
    pub ping: bool,
    /// Nothing was received for too long.
    pub expired: bool,
    /// The primary key has reached [`REKEY_AT`]; said once a key.
    pub key_old: Option<SendingKey>,
}

/// A key that seals, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendingKey {
    /// The key-id in its packets' headers.
    pub key_id: KeyId,
    /// The peer-id in its packets' headers.
    pub peer_id: PeerId,
    /// The id of its next packet; [`PACKET_ID_LIMIT`](dco_crypto::PACKET_ID_LIMIT) if there is none.
    pub next_packet_id: u32,
}

/// The peer the batch is dealing with, and what is to be added to it.
struct Current<'s, A: Aead, T> {
    peer: &'s Peer<A, T>,
    keys: Option<&'s KeySlots<A>>,
    mss: u16,
    tx_id: PeerId,
    endpoint: Words,
    /// The endpoint's remote end.
    remote: Option<SocketAddr>,
    /// Inside the tunnel; of several peers only.
    addresses: (Option<Ipv4Addr>, Option<Ipv6Addr>),
    /// An inner source that was found to be routed to this peer.
    routed: Option<IpAddr>,
    stats: PeerStats,
    /// The last reason for a loss, and how often it was in a row.
    lost: Option<(DropReason, u64)>,
    sent: bool,
    received: bool,
    moved: bool,
}

/// A packet that was lost, and whether it was the current peer's.
struct Loss {
    reason: DropReason,
    of_current: bool,
}

impl From<DropReason> for Loss {
    #[inline]
    fn from(reason: DropReason) -> Self {
        Self { reason, of_current: false }
    }
}

impl Loss {
    #[inline]
    fn of_current(reason: DropReason) -> Self {
        Self { reason, of_current: true }
    }
}

/// Packets that share one look at the clock, the peer table and the keys, and one addition to the counters.
///
/// Made by [`Section::batch`], for one processor, at DISPATCH_LEVEL or below. Peers and keys are as they were when the
/// batch first met them; a change is seen by the next batch. Counters and keepalive times are written at
/// [`Batch::flush`] or drop.
///
/// Every packet given to [`seal`](Self::seal), [`seal_gathered`](Self::seal_gathered) or [`open`](Self::open) is counted
/// once, as passed or with the [`DropReason`] it returns; the caller only frees its buffers.
#[must_use]
pub struct Batch<'s, A: Aead, T> {
    section: &'s Section<'s, A, T>,
    /// Point to point.
    only: Option<&'s Peer<A, T>>,
    current: Option<Current<'s, A, T>>,
    tally: Tally,
    now: Tick,
    moved: bool,
    #[cfg(feature = "epoch")]
    keys_wanted: bool,
}

impl<'s, A: Aead, T> Batch<'s, A, T> {
    #[inline]
    pub(crate) fn new(section: &'s Section<'s, A, T>, now: Tick) -> Self {
        let only = match &section.device.peers {
            Peers::One(only) => only.load(&section.guard).map(|peer| &**peer),
            Peers::Many(_) => None,
        };
        Self {
            section,
            only,
            current: None,
            tally: Tally::new(),
            now,
            moved: false,
            #[cfg(feature = "epoch")]
            keys_wanted: false,
        }
    }

    /// Seals the inner packet `packet` into `out`, which it must not overlap and which should have
    /// room for the longest packet ([`Device::max_inner`](crate::Device::max_inner)) and [`OVERHEAD`](crate::OVERHEAD) bytes. A TCP SYN above the peer's MSS limit is lowered (on the way through `out`).
    #[inline]
    pub fn seal(&mut self, to: Destination, packet: &[u8], out: &mut [u8]) -> Result<Sealed<'s, A, T>, DropReason> {
        let sealed = self.try_seal(to, packet, out);
        self.account_seal(sealed)
    }

    /// Seals the inner packet that the caller gathered at `out[24..24 + len]`, in place; room as for [`seal`](Self::seal).
    #[inline]
    pub fn seal_gathered(
        &mut self,
        to: Destination,
        out: &mut [u8],
        len: usize,
    ) -> Result<Sealed<'s, A, T>, DropReason> {
        let sealed = self.try_seal_gathered(to, out, len);
        self.account_seal(sealed)
    }

    /// Seals a keepalive ping for `peer` into `out`, at least 16 and [`OVERHEAD`](crate::OVERHEAD) bytes. It counts as data sent, not as tunnel traffic.
    pub fn seal_ping(&mut self, peer: PeerSelector, out: &mut [u8]) -> Result<Sealed<'s, A, T>, DropReason> {
        let sealed = self.try_seal_ping(peer, out);
        self.account_seal(sealed)
    }

    /// Opens the data packet `datagram` into `out`, which it must not overlap and which needs room for its plaintext.
    ///
    /// The shell has [classified](dco_wire::classify) the datagram as data. After an error `out` holds nothing of the
    /// plaintext: what was written is wiped. An authentic packet that came from elsewhere over UDP moves its peer
    /// ([`Batch::moved`]). With several peers and [source checking](crate::Device::set_source_check) on, an inner source that is
    /// not the peer's own address is looked up with `route_back`, which says the next hop the routing tables have for it; that
    /// has to be this peer's address. Point to point any inner source is accepted, and `route_back` not called.
    #[inline]
    pub fn open(
        &mut self,
        from: Origin,
        datagram: &[u8],
        out: &mut [u8],
        route_back: impl FnMut(IpAddr) -> Option<IpAddr>,
    ) -> Result<Opened<'s, A, T>, DropReason> {
        match self.try_open(&from, datagram, out, route_back) {
            Ok(opened) => Ok(opened),
            Err(loss) => Err(self.lose(loss)),
        }
    }

    /// Whether this batch has heard a peer from another remote end than before: [`Device::take_moved`](crate::Device::take_moved)
    /// has something to tell.
    #[must_use]
    pub fn moved(&self) -> bool {
        self.moved || self.current.as_ref().is_some_and(|current| current.moved)
    }

    /// Whether an epoch key that this batch has met wants to be refilled: [`Device::refill_keys`](crate::Device::refill_keys), at
    /// PASSIVE_LEVEL, has something to do.
    #[cfg(feature = "epoch")]
    #[must_use]
    pub fn keys_wanted(&self) -> bool {
        self.keys_wanted || self.current.as_ref().is_some_and(Current::wants_keys)
    }

    /// The only peer, point to point, if there is one.
    #[must_use]
    pub fn only(&self) -> Option<&'s Peer<A, T>> {
        self.only
    }

    /// Looks at the only peer's timers; call it once per second. Includes what this batch has sealed and opened.
    ///
    /// No ping is due as long as there is no key to seal it with. `expired` stays true until [`Batch::ack_expired`].
    pub fn keepalive(&mut self) -> KeepaliveDue {
        let Some(peer) = self.only else { return KeepaliveDue::default() };
        self.timers(peer)
    }

    /// Looks at a peer's timers and its primary key; call it once per second. Includes what this batch has sealed and opened.
    /// Nothing is due for a peer that is not there.
    pub fn due(&mut self, peer: PeerSelector) -> PeerDue {
        let Some(peer) = self.select(peer) else { return PeerDue::default() };
        let KeepaliveDue { ping, expired } = self.timers(peer);
        let current = self.turn_to(peer);
        let key = current.keys.and_then(KeySlots::primary).filter(|key| key.grows_old(REKEY_AT));
        PeerDue { ping, expired, key_old: key.and_then(|key| sending(key, current.tx_id)) }
    }

    fn timers(&mut self, peer: &'s Peer<A, T>) -> KeepaliveDue {
        self.flush_peer();
        let due = peer.keepalive.due(self.now);
        let has_key = self.turn_to(peer).keys.and_then(KeySlots::primary).is_some();
        KeepaliveDue { ping: due.ping && has_key, ..due }
    }

    /// Notes that userspace was told of the only peer's expiry: it is not reported again until a timeout is set anew.
    /// True for the first who notes it.
    pub fn ack_expired(&self) -> bool {
        self.only.is_some_and(|peer| peer.keepalive.acknowledge())
    }

    /// The key that the only peer's packets are sealed with, after what this batch has sealed. `None` without peer or key.
    pub fn sending_key(&mut self) -> Option<SendingKey> {
        let current = self.turn_to(self.only?);
        sending(current.keys.and_then(KeySlots::primary)?, current.tx_id)
    }

    /// Counts a packet that the shell lost.
    #[inline]
    pub fn drop(&mut self, reason: DropReason) {
        self.tally.drop(reason);
    }

    /// Counts a packet that this batch has sealed and the shell lost, with its peer, too.
    #[cold]
    pub fn drop_sealed(&mut self, sealed: &Sealed<'s, A, T>, reason: DropReason) {
        self.tally.drop(reason);
        self.turn_to(sealed.peer).lose(reason);
    }

    /// Counts a data datagram of `len` bytes that the shell lost before it could be offered to [`open`](Self::open); gives the reason back.
    #[inline]
    pub fn refuse(&mut self, reason: DropReason, len: usize) -> DropReason {
        self.tally.add(Flow::ReceivedData, 1);
        self.tally.add(Flow::TransportReceived, len);
        self.tally.drop(reason);
        reason
    }

    /// Counts a control datagram that arrived.
    pub fn count_control_in(&mut self) {
        self.tally.add(Flow::ReceivedControl, 1);
    }

    /// Counts a control datagram that was sent.
    pub fn count_control_out(&mut self) {
        self.tally.add(Flow::SentControl, 1);
    }

    /// Adds everything counted so far to the device's and the peer's counters, and the keepalive times. Dropping the batch
    /// does the same.
    #[inline]
    pub fn flush(&mut self) {
        self.flush_peer();
        self.section.device.counters.flush(self.section.cpu, &mut self.tally);
    }

    /// The peer that is meant.
    fn select(&self, peer: PeerSelector) -> Option<&'s Peer<A, T>> {
        self.section.device.peers.select(peer, &self.section.guard).map(|peer| &**peer)
    }

    #[cold]
    fn lose(&mut self, Loss { reason, of_current }: Loss) -> DropReason {
        self.tally.drop(reason);
        if let Some(current) = &mut self.current
            && of_current
        {
            current.lose(reason);
        }
        reason
    }

    #[inline]
    fn try_seal(&mut self, to: Destination, packet: &[u8], out: &mut [u8]) -> Result<Sealed<'s, A, T>, Loss> {
        if packet.len() > self.section.device.max_inner {
            return Err(DropReason::TxTooLong.into());
        }
        let header = ip::parse(packet).map_err(|_| DropReason::TxNotIp)?;
        let current = self.route(to, &header, packet)?;
        let peer = current.peer;
        let len = current.seal(&header, packet, out).map_err(Loss::of_current)?;
        self.tally.add(Flow::TunSent, packet.len());
        Ok(Sealed { len, peer })
    }

    #[inline]
    fn try_seal_gathered(
        &mut self,
        to: Destination,
        out: &mut [u8],
        plain_len: usize,
    ) -> Result<Sealed<'s, A, T>, Loss> {
        if plain_len > self.section.device.max_inner {
            return Err(DropReason::TxTooLong.into());
        }
        let packet = inner_mut(out, plain_len)?;
        let header = ip::parse(packet).map_err(|_| DropReason::TxNotIp)?;
        let current = self.route(to, &header, packet)?;
        let peer = current.peer;
        if current.clamps(&header) {
            mss::clamp(packet, current.mss);
        }
        let len = current.seal_in_place(out, plain_len).map_err(Loss::of_current)?;
        self.tally.add(Flow::TunSent, plain_len);
        Ok(Sealed { len, peer })
    }

    fn try_seal_ping(&mut self, peer: PeerSelector, out: &mut [u8]) -> Result<Sealed<'s, A, T>, Loss> {
        let peer = self.select(peer).ok_or(DropReason::TxNoPeer)?;
        let len = self.turn_to(peer).seal_ping(out).map_err(Loss::of_current)?;
        Ok(Sealed { len, peer })
    }

    #[inline]
    fn account_seal(&mut self, sealed: Result<Sealed<'s, A, T>, Loss>) -> Result<Sealed<'s, A, T>, DropReason> {
        match sealed {
            Ok(sealed) => {
                self.tally.add(Flow::SentData, 1);
                self.tally.add(Flow::TransportSent, sealed.len);
                Ok(sealed)
            }
            Err(loss) => Err(self.lose(loss)),
        }
    }

    #[inline]
    fn try_open(
        &mut self,
        from: &Origin,
        datagram: &[u8],
        out: &mut [u8],
        route_back: impl FnMut(IpAddr) -> Option<IpAddr>,
    ) -> Result<Opened<'s, A, T>, Loss> {
        let Some(header) = DataHeader::parse(datagram) else {
            let cut = datagram.len() < DATA_HEADER_LEN;
            return Err(if cut { DropReason::RxTooShort } else { DropReason::RxMalformed }.into());
        };
        self.tally.add(Flow::ReceivedData, 1);
        self.tally.add(Flow::TransportReceived, datagram.len());
        let peer = self.sender(from, header.peer_id)?;
        let (section, now) = (self.section, self.now);
        let current = self.turn_to(peer);
        let len = current.open(header.key_id, datagram, out, now).map_err(Loss::of_current)?;
        if let Some(source) = from.source {
            let source = endpoint::pack(Some(source));
            if source != current.endpoint && !current.float(section, source) {
                out.get_mut(..len).unwrap_or_default().fill(0);
                return Err(Loss::of_current(DropReason::RxWrongPeer));
            }
        }

        // The key wrote `len` bytes, so they are there.
        let plain = out.get_mut(..len).ok_or(DropReason::RxTooLong)?;
        if *plain == PING {
            return Ok(Opened::Ping { peer });
        }
        if let Err(reason) = current.check(section, plain, route_back) {
            plain.fill(0);
            return Err(Loss::of_current(reason));
        }
        if current.mss != 0 {
            mss::clamp(plain, current.mss);
        }
        add(&mut current.stats.vpn_rx, len);
        add(&mut current.stats.vpn_rx_packets, 1);
        self.tally.add(Flow::TunReceived, len);
        Ok(Opened::Packet { len, peer })
    }

    /// The peer that an outgoing packet belongs to, unless it would send the tunnel through itself.
    #[inline]
    fn route(&mut self, to: Destination, header: &IpHeader, packet: &[u8]) -> Result<&mut Current<'s, A, T>, Loss> {
        let to = if to == Destination::Packet { Destination::Address(header.dst) } else { to };
        let peer = self.receiver(to).ok_or(DropReason::TxNoPeer)?;
        let current = self.turn_to(peer);
        // The cheap look first: most of what a tunnel over UDP carries is TCP.
        if header.protocol == peer.protocol()
            && let Some(remote) = current.remote
            && header.dst == remote.ip()
            && destination_port(header, packet) == Some(remote.port())
        {
            return Err(Loss::of_current(DropReason::TxRecursiveRoute));
        }
        Ok(current)
    }

    /// Whom packets to there are for.
    #[inline]
    #[must_use]
    pub fn receiver(&self, to: Destination) -> Option<&'s Peer<A, T>> {
        match &self.section.device.peers {
            Peers::One(_) => self.only,
            Peers::Many(table) => {
                let Destination::Address(address) = to else { return None };
                match &self.current {
                    Some(current) if is_own(current.addresses, address) => Some(current.peer),
                    _ => {
                        let guard = &self.section.guard;
                        let peer = table.find(Name::Address(address), guard).or_else(|| table.route(address, guard));
                        peer.map(|peer| &**peer)
                    }
                }
            }
        }
    }

    /// Whom a datagram claims to be from.
    #[inline]
    fn sender(&self, from: &Origin, header: PeerId) -> Result<&'s Peer<A, T>, DropReason> {
        let device = self.section.device;
        let peer = match &device.peers {
            Peers::One(_) => {
                let peer = self.only.ok_or(DropReason::RxUnknownPeer)?;
                if !device.match_id {
                    return Ok(peer);
                }
                let named = from.peer.unwrap_or(header);
                if named != peer.id() && named != PeerId::UNDEFINED {
                    return Err(DropReason::RxUnknownPeer);
                }
                peer
            }
            Peers::Many(table) => {
                let name = match (from.peer, from.source) {
                    (Some(id), _) => Name::Id(id),
                    (None, Some(source)) if header == PeerId::UNDEFINED => Name::Remote(source.remote),
                    (None, _) => Name::Id(header),
                };
                match &self.current {
                    Some(current) if name == Name::Id(current.peer.id()) => current.peer,
                    _ => {
                        #[cfg(feature = "sockets")]
                        let found = self.section.find_from(table, name, from.source);
                        #[cfg(not(feature = "sockets"))]
                        let found = table.find(name, &self.section.guard);
                        found.ok_or(DropReason::RxUnknownPeer)?
                    }
                }
            }
        };
        let outside = from.peer.is_none() && peer.protocol() == ip::TCP;
        if outside || header != peer.id() && header != PeerId::UNDEFINED {
            return Err(DropReason::RxWrongPeer);
        }
        Ok(peer)
    }

    /// Makes `peer` the current one.
    #[inline]
    fn turn_to(&mut self, peer: &'s Peer<A, T>) -> &mut Current<'s, A, T> {
        if self.current.as_ref().is_some_and(|current| !core::ptr::eq(current.peer, peer)) {
            self.flush_peer();
            self.current = None;
        }
        let section = self.section;
        self.current.get_or_insert_with(|| Current::new(section, peer))
    }

    #[inline]
    fn flush_peer(&mut self) {
        let Some(current) = &mut self.current else { return };
        self.moved |= current.moved;
        #[cfg(feature = "epoch")]
        {
            self.keys_wanted |= current.wants_keys();
        }
        current.peer.count(core::mem::take(&mut current.stats));
        if let Some((reason, count)) = current.lost.take() {
            current.peer.count_drops(reason, count);
        }
        if core::mem::take(&mut current.sent) {
            current.peer.keepalive.sent(self.now);
        }
        if core::mem::take(&mut current.received) {
            current.peer.keepalive.received(self.now);
        }
    }
}

impl<A: Aead, T> Drop for Batch<'_, A, T> {
    #[inline]
    fn drop(&mut self) {
        self.flush();
    }
}

impl<A: Aead, T> fmt::Debug for Batch<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'s, A: Aead, T> Current<'s, A, T> {
    /// Once a batch and peer, and long: not in the middle of what every packet goes through.
    #[inline(never)]
    fn new(section: &'s Section<'s, A, T>, peer: &'s Peer<A, T>) -> Self {
        let endpoint = peer.endpoint_words();
        Self {
            peer,
            keys: peer.keys(&section.guard),
            mss: peer.mss(),
            tx_id: peer.tx_id(),
            endpoint,
            remote: endpoint::unpack(endpoint).map(|endpoint| endpoint.remote),
            addresses: match section.device.peers {
                Peers::One(_) => (None, None),
                Peers::Many(_) => peer.addresses(),
            },
            routed: None,
            stats: PeerStats::default(),
            lost: None,
            sent: false,
            received: false,
            moved: false,
        }
    }

    #[cfg(feature = "epoch")]
    #[inline]
    fn wants_keys(&self) -> bool {
        self.keys.is_some_and(KeySlots::wants_keys)
    }

    #[inline]
    fn sending(&self) -> Result<&'s DataKey<A>, DropReason> {
        self.keys.and_then(KeySlots::primary).ok_or(DropReason::TxNoKey)
    }

    #[inline]
    fn seal(&mut self, header: &IpHeader, packet: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        let key = self.sending()?;
        let len = if self.clamps(header) && mss::would_clamp(packet, self.mss) {
            let copy = inner_mut(out, packet.len())?;
            copy.copy_from_slice(packet);
            mss::clamp(copy, self.mss);
            key.seal_in_place(self.tx_id, out, packet.len())
        } else {
            key.seal(self.tx_id, packet, out)
        };
        let len = len.map_err(seal_failure)?;
        self.sealed(len, packet.len());
        Ok(len)
    }

    #[inline]
    fn seal_in_place(&mut self, out: &mut [u8], plain_len: usize) -> Result<usize, DropReason> {
        let len = self.sending()?.seal_in_place(self.tx_id, out, plain_len).map_err(seal_failure)?;
        self.sealed(len, plain_len);
        Ok(len)
    }

    fn seal_ping(&mut self, out: &mut [u8]) -> Result<usize, DropReason> {
        let len = self.sending()?.seal(self.tx_id, &PING, out).map_err(seal_failure)?;
        self.sealed_ping(len);
        Ok(len)
    }

    #[inline]
    fn open(&mut self, key_id: KeyId, datagram: &[u8], out: &mut [u8], now: Tick) -> Result<usize, DropReason> {
        let key = self.keys.and_then(|keys| keys.for_key_id(key_id)).ok_or(DropReason::RxUnknownKey)?;
        let len = key.open(datagram, out, now.0).map_err(open_failure)?;
        self.received = true;
        add(&mut self.stats.link_rx, datagram.len());
        add(&mut self.stats.link_rx_packets, 1);
        Ok(len)
    }

    /// Whether the stack may have an opened packet.
    #[inline]
    fn check(
        &mut self,
        section: &Section<'_, A, T>,
        plain: &[u8],
        mut route_back: impl FnMut(IpAddr) -> Option<IpAddr>,
    ) -> Result<(), DropReason> {
        let Peers::Many(table) = &section.device.peers else {
            return ip::version(plain).map(drop).ok_or(DropReason::RxNotIp);
        };
        let source = ip::source(plain).ok_or(DropReason::RxNotIp)?;
        if !section.device.source_check.load(Ordering::Relaxed)
            || is_own(self.addresses, source)
            || self.routed == Some(source)
        {
            return Ok(());
        }
        let nowhere = source.is_unspecified() || matches!(source, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let guard = &section.guard;
        let mut hop = || route_back(source).and_then(|hop| table.find(Name::Address(hop), guard));
        let owner = if nowhere { None } else { table.owner(source, guard).or_else(&mut hop) };
        if owner.is_none_or(|owner| !core::ptr::eq(&raw const **owner, self.peer)) {
            return Err(DropReason::RxWrongSource);
        }
        self.routed = Some(source);
        Ok(())
    }

    /// An authentic packet came from elsewhere than the batch thinks its peer is: the peer is there from now on. False if it may not be,
    /// because another is.
    #[cold]
    #[inline(never)]
    fn float(&mut self, section: &Section<'_, A, T>, source: Words) -> bool {
        let peer = self.peer;
        if peer.protocol() != ip::UDP {
            return true;
        }
        let before = peer.endpoint_words();
        let source = endpoint::with_local_of(source, before);
        let moves = !endpoint::same_remote(source, before);
        #[cfg(feature = "sockets")]
        let moves = moves || source != before && section.device.tells_ends_apart();
        if moves && section.is_anothers(source, peer) {
            return false;
        }
        // Whoever loses the race for it leaves it to the next packet.
        if source != before && !peer.endpoint.try_store(source) {
            return true;
        }
        self.endpoint = source;
        self.remote = endpoint::unpack(source).map(|endpoint| endpoint.remote);
        if moves {
            // Release, the peer's first: whoever takes the device's sees the peer's, and whoever takes that the endpoint. Swapped,
            // not stored: a store would hide what another processor's before it released.
            peer.moved.swap(true, Ordering::Release);
            section.device.moved.swap(true, Ordering::Release);
            self.moved = true;
        }
        true
    }

    /// Whether the MSS limit concerns a packet with this header.
    #[inline]
    fn clamps(&self, header: &IpHeader) -> bool {
        self.mss != 0 && header.protocol == ip::TCP
    }

    #[inline]
    fn sealed(&mut self, link: usize, vpn: usize) {
        self.sealed_ping(link);
        add(&mut self.stats.vpn_tx, vpn);
        add(&mut self.stats.vpn_tx_packets, 1);
    }

    #[inline]
    fn sealed_ping(&mut self, link: usize) {
        self.sent = true;
        add(&mut self.stats.link_tx, link);
        add(&mut self.stats.link_tx_packets, 1);
    }

    /// Counts a loss; the peer is told when another reason comes, or the batch ends.
    #[cold]
    fn lose(&mut self, reason: DropReason) {
        match &mut self.lost {
            Some((last, count)) if *last == reason => *count = count.wrapping_add(1),
            lost => {
                if let Some((last, count)) = lost.replace((reason, 1)) {
                    self.peer.count_drops(last, count);
                }
            }
        }
    }
}

impl<A: Aead, T> Section<'_, A, T> {
    /// Whether this remote end is another peer's own.
    fn is_anothers(&self, source: Words, peer: &Peer<A, T>) -> bool {
        let Peers::Many(table) = &self.device.peers else { return false };
        #[cfg(feature = "sockets")]
        if self.device.tells_ends_apart() {
            return self.is_anothers_end(table, source, peer);
        }
        let remote = endpoint::unpack(source).map(|endpoint| Name::Remote(endpoint.remote));
        self.device.own_remotes.load(Ordering::Relaxed)
            && remote.is_some_and(|name| table.is_anothers(name, peer, &self.guard))
    }
}

#[inline]
fn add(counter: &mut u64, amount: usize) {
    *counter = counter.wrapping_add(amount as u64);
}

fn sending<A: Aead>(key: &DataKey<A>, tx_id: PeerId) -> Option<SendingKey> {
    let DataHeader { key_id, peer_id } = DataHeader::from_bytes(key.header(tx_id))?;
    Some(SendingKey { key_id, peer_id, next_packet_id: key.next_packet_id() })
}

/// The inner packet's place in a send buffer.
#[inline]
fn inner_mut(out: &mut [u8], len: usize) -> Result<&mut [u8], DropReason> {
    out.get_mut(DATA_OVERHEAD..).and_then(|inner| inner.get_mut(..len)).ok_or(DropReason::TxTooLong)
}

/// The destination port of a UDP or TCP packet whose UDP or TCP header is in it.
#[inline]
fn destination_port(header: &IpHeader, packet: &[u8]) -> Option<u16> {
    if header.fragment == Fragment::Later {
        return None;
    }
    match packet.get(header.header_len..)? {
        &[_, _, high, low, ..] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

#[inline]
fn seal_failure(error: SealError) -> DropReason {
    match error {
        SealError::Exhausted => DropReason::TxPacketIdExhausted,
        SealError::OutputTooSmall => DropReason::TxTooLong,
        SealError::Aead(_) => DropReason::TxCipherError,
    }
}

#[inline]
fn open_failure(error: OpenError) -> DropReason {
    match error {
        OpenError::TooShort => DropReason::RxTooShort,
        OpenError::PacketIdZero => DropReason::RxMalformed,
        OpenError::AuthFailed => DropReason::RxAuthFailed,
        OpenError::Replay => DropReason::RxReplay,
        OpenError::OutputTooSmall => DropReason::RxTooLong,
        OpenError::Aead(_) => DropReason::RxCipherError,
        #[cfg(feature = "epoch")]
        OpenError::EpochTooFar => DropReason::RxEpochTooFar,
        #[cfg(feature = "epoch")]
        OpenError::EpochRetired => DropReason::RxEpochRetired,
    }
}
