//! The data plane: packets sealed and opened, one batch at a time.

use core::{fmt, net::SocketAddr};

use dco_crypto::{Aead, KeySlots, OpenError, SealError};
use dco_wire::{
    DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, KeyId, PING, PeerId,
    ip::{self, Fragment, IpHeader},
    mss,
};

use crate::{
    counters::{Flow, Tally},
    device::Section,
    drops::DropReason,
    keepalive::KeepaliveDue,
    peer::{Peer, PeerSelector, PeerStats, PeerTable},
    time::Tick,
};

/// A sealed packet: the first `len` bytes of the output buffer are the datagram to send.
///
/// It borrows the section, not the batch, so the batch goes on while packets wait to be sent.
pub struct Sealed<'s, T> {
    /// Bytes of the datagram.
    pub len: usize,
    /// Where to send it: the peer's transport handle.
    pub transport: &'s T,
}

impl<T> Clone for Sealed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Sealed<'_, T> {}

impl<T> fmt::Debug for Sealed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.len).finish_non_exhaustive()
    }
}

/// An opened packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The first `len` bytes of the output buffer are an inner IP packet for the stack.
    Packet {
        /// Bytes of the inner packet.
        len: usize,
    },
    /// A keepalive ping; there is nothing to hand over.
    Ping,
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
    bytes: PeerStats,
    sent: bool,
    received: bool,
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
    table: Option<&'s PeerTable<A, T>>,
    current: Option<Current<'s, A, T>>,
    tally: Tally,
    now: Tick,
}

impl<'s, A: Aead, T> Batch<'s, A, T> {
    #[inline]
    pub(crate) fn new(section: &'s Section<'s, A, T>, now: Tick) -> Self {
        let table = section.device.peers.load(&section.guard);
        Self { section, table, current: None, tally: Tally::new(), now }
    }

    /// Seals the inner packet `packet` into `out`, which it must not overlap and which should have
    /// room for the longest packet ([`Device::max_inner`](crate::Device::max_inner)) and 24 bytes. A TCP SYN above the peer's MSS limit is lowered (on the way through `out`).
    #[inline]
    pub fn seal(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed<'s, T>, DropReason> {
        let sealed = self.try_seal(packet, out);
        self.account_seal(sealed)
    }

    /// Seals the inner packet that the caller gathered at `out[24..24 + len]`, in place.
    #[inline]
    pub fn seal_gathered(&mut self, out: &mut [u8], len: usize) -> Result<Sealed<'s, T>, DropReason> {
        let sealed = self.try_seal_gathered(out, len);
        self.account_seal(sealed)
    }

    /// Seals a keepalive ping for `peer` into `out`, at least 40 bytes. It counts as data sent, not as tunnel traffic.
    pub fn seal_ping(&mut self, peer: PeerSelector, out: &mut [u8]) -> Result<Sealed<'s, T>, DropReason> {
        let sealed = self.try_seal_ping(peer, out);
        self.account_seal(sealed)
    }

    /// Opens the data packet `datagram` into `out`, which it must not overlap and which needs room for its plaintext.
    ///
    /// The shell has [classified](dco_wire::classify) the datagram as data. After an error `out` holds nothing of the
    /// plaintext: what was written is wiped. Point to point any sender's address and any inner source is accepted.
    #[inline]
    pub fn open(&mut self, datagram: &[u8], out: &mut [u8]) -> Result<Opened, DropReason> {
        let opened = self.try_open(datagram, out);
        if let Err(reason) = opened {
            self.tally.drop(reason);
        }
        opened
    }

    /// The transport handle of the only peer, if there is one.
    #[must_use]
    pub fn transport(&self) -> Option<&'s T> {
        self.only().map(Peer::transport)
    }

    /// The remote address of the only peer, if there is one.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.only().map(Peer::remote)
    }

    /// Looks at the only peer's timers; call it once per second. Includes what this batch has sealed and opened.
    ///
    /// No ping is due as long as there is no key to seal it with. `expired` stays true until [`Batch::ack_expired`].
    pub fn keepalive(&mut self) -> KeepaliveDue {
        self.flush_peer();
        let Some(peer) = self.only() else { return KeepaliveDue::default() };
        let due = peer.keepalive.due(self.now);
        let has_key = self.select(peer).keys.and_then(KeySlots::primary).is_some();
        KeepaliveDue { ping: due.ping && has_key, ..due }
    }

    /// Notes that userspace was told of the only peer's expiry: it is not reported again until a timeout is set anew.
    /// True for the first who notes it.
    pub fn ack_expired(&self) -> bool {
        self.only().is_some_and(|peer| peer.keepalive.acknowledge())
    }

    /// The key that the only peer's packets are sealed with, after what this batch has sealed. `None` without peer or key.
    pub fn sending_key(&mut self) -> Option<SendingKey> {
        let key = self.select(self.only()?).keys.and_then(KeySlots::primary)?;
        let DataHeader { key_id, peer_id } = DataHeader::from_bytes(key.header())?;
        Some(SendingKey { key_id, peer_id, next_packet_id: key.next_packet_id() })
    }

    /// Counts a packet that the shell lost.
    #[inline]
    pub fn drop(&mut self, reason: DropReason) {
        self.tally.drop(reason);
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

    fn only(&self) -> Option<&'s Peer<A, T>> {
        self.table.and_then(|table| table.select(PeerSelector::Only))
    }

    #[inline]
    fn try_seal(&mut self, packet: &[u8], out: &mut [u8]) -> Result<Sealed<'s, T>, DropReason> {
        if packet.len() > self.section.device.max_inner {
            return Err(DropReason::TxTooLong);
        }
        let header = ip::parse(packet).map_err(|_| DropReason::TxNotIp)?;
        let now_current = self.route(&header, packet)?;
        let peer = now_current.peer;
        let key = now_current.keys.and_then(KeySlots::primary).ok_or(DropReason::TxNoKey)?;
        let len = if now_current.clamps(&header) && mss::would_clamp(packet, now_current.mss) {
            let copy = inner_mut(out, packet.len())?;
            copy.copy_from_slice(packet);
            mss::clamp(copy, now_current.mss);
            key.seal_in_place(out, packet.len())
        } else {
            key.seal(packet, out)
        };
        let len = len.map_err(seal_failure)?;
        now_current.sealed(len, packet.len());
        self.tally.add(Flow::TunSent, packet.len());
        Ok(Sealed { len, transport: peer.transport() })
    }

    #[inline]
    fn try_seal_gathered(&mut self, out: &mut [u8], plain_len: usize) -> Result<Sealed<'s, T>, DropReason> {
        if plain_len > self.section.device.max_inner {
            return Err(DropReason::TxTooLong);
        }
        let packet = inner_mut(out, plain_len)?;
        let header = ip::parse(packet).map_err(|_| DropReason::TxNotIp)?;
        let current = self.route(&header, packet)?;
        let peer = current.peer;
        let key = current.keys.and_then(KeySlots::primary).ok_or(DropReason::TxNoKey)?;
        if current.clamps(&header) {
            mss::clamp(packet, current.mss);
        }
        let len = key.seal_in_place(out, plain_len).map_err(seal_failure)?;
        current.sealed(len, plain_len);
        self.tally.add(Flow::TunSent, plain_len);
        Ok(Sealed { len, transport: peer.transport() })
    }

    fn try_seal_ping(&mut self, peer: PeerSelector, out: &mut [u8]) -> Result<Sealed<'s, T>, DropReason> {
        let peer = self.table.and_then(|table| table.select(peer)).ok_or(DropReason::TxNoPeer)?;
        let current = self.select(peer);
        let key = current.keys.and_then(KeySlots::primary).ok_or(DropReason::TxNoKey)?;
        let len = key.seal(&PING, out).map_err(seal_failure)?;
        current.sealed(len, 0);
        Ok(Sealed { len, transport: peer.transport() })
    }

    #[inline]
    fn account_seal(&mut self, sealed: Result<Sealed<'s, T>, DropReason>) -> Result<Sealed<'s, T>, DropReason> {
        match &sealed {
            Ok(sealed) => {
                self.tally.add(Flow::SentData, 1);
                self.tally.add(Flow::TransportSent, sealed.len);
            }
            Err(reason) => self.tally.drop(*reason),
        }
        sealed
    }

    #[inline]
    fn try_open(&mut self, datagram: &[u8], out: &mut [u8]) -> Result<Opened, DropReason> {
        let Some(header) = DataHeader::parse(datagram) else {
            let cut = datagram.len() < DATA_HEADER_LEN;
            return Err(if cut { DropReason::RxTooShort } else { DropReason::RxMalformed });
        };
        self.tally.add(Flow::ReceivedData, 1);
        self.tally.add(Flow::TransportReceived, datagram.len());
        let peer = self.table.and_then(|table| table.by_header(header.peer_id)).ok_or(DropReason::RxUnknownPeer)?;
        let now = self.now;
        let current = self.select(peer);
        let key = current.keys.and_then(|keys| keys.for_key_id(header.key_id)).ok_or(DropReason::RxUnknownKey)?;
        let len = key.open(datagram, out, now.0).map_err(open_failure)?;
        current.received = true;
        current.bytes.link_rx = current.bytes.link_rx.wrapping_add(datagram.len() as u64);

        // The key wrote `len` bytes, so they are there.
        let plain = out.get_mut(..len).ok_or(DropReason::RxTooLong)?;
        if *plain == PING {
            return Ok(Opened::Ping);
        }
        if ip::version(plain).is_none() {
            plain.fill(0);
            return Err(DropReason::RxNotIp);
        }
        if current.mss != 0 {
            mss::clamp(plain, current.mss);
        }
        current.bytes.vpn_rx = current.bytes.vpn_rx.wrapping_add(len as u64);
        self.tally.add(Flow::TunReceived, len);
        Ok(Opened::Packet { len })
    }

    /// The peer that an outgoing packet belongs to, unless it would send the tunnel through itself.
    #[inline]
    fn route(&mut self, header: &IpHeader, packet: &[u8]) -> Result<&mut Current<'s, A, T>, DropReason> {
        let peer = self.table.and_then(|table| table.by_destination(header.dst)).ok_or(DropReason::TxNoPeer)?;
        let remote = peer.remote();
        if header.dst == remote.ip()
            && header.protocol == peer.protocol()
            && destination_port(header, packet) == Some(remote.port())
        {
            return Err(DropReason::TxRecursiveRoute);
        }
        Ok(self.select(peer))
    }

    /// Makes `peer` the current one.
    #[inline]
    fn select(&mut self, peer: &'s Peer<A, T>) -> &mut Current<'s, A, T> {
        if self.current.as_ref().is_some_and(|current| !core::ptr::eq(current.peer, peer)) {
            self.flush_peer();
            self.current = None;
        }
        let section = self.section;
        self.current.get_or_insert_with(|| Current {
            peer,
            keys: peer.keys(&section.guard),
            mss: peer.mss(),
            bytes: PeerStats::default(),
            sent: false,
            received: false,
        })
    }

    #[inline]
    fn flush_peer(&mut self) {
        let Some(current) = &mut self.current else { return };
        current.peer.count(core::mem::take(&mut current.bytes));
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

impl<A: Aead, T> Current<'_, A, T> {
    /// Whether the MSS limit concerns a packet with this header.
    #[inline]
    fn clamps(&self, header: &IpHeader) -> bool {
        self.mss != 0 && header.protocol == ip::TCP
    }

    #[inline]
    fn sealed(&mut self, link: usize, vpn: usize) {
        self.sent = true;
        self.bytes.link_tx = self.bytes.link_tx.wrapping_add(link as u64);
        self.bytes.vpn_tx = self.bytes.vpn_tx.wrapping_add(vpn as u64);
    }
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
    }
}
