//! Two devices and their models side by side: whatever is done to both has to come to the same.
//!
//! The property tests and the fuzz target `sequence` drive it; it panics at the first difference.

use dco_core::{Destination, DropReason, MAX_SEALED, PeerSelector, PeerUpdate};
use dco_crypto::KeySlot;
use dco_wire::PeerId;

use crate::{
    KeySpec, Pair, Side,
    link::Faults,
    model::{Expected, Inner, Ledger, Model, ModelKey},
};

/// One thing that can be done to the two ends.
#[derive(Debug, Clone)]
pub enum Op {
    /// Packets from the stack, in one batch.
    Send(Side, Vec<Inner>),
    /// As before, gathered in the send buffer and sealed in place.
    SendGathered(Side, Inner),
    /// Datagrams out of all that were ever sealed for this side, in one batch: by distance from the newest.
    Receive(Side, Vec<usize>),
    /// One of them back to its sender.
    Reflect(Side, usize),
    /// One of them with a bit flipped: distance, byte, bit.
    Damage(Side, usize, usize, u8),
    /// One of them cut to a length.
    Cut(Side, usize, usize),
    /// Bytes from anywhere.
    Noise(Side, Vec<u8>),
    /// Sealed by a broken peer: authentic, but not IP.
    Rogue(Side, Vec<u8>),
    /// A look at the keepalive timers.
    Tick(Side),
    /// So many milliseconds pass.
    Wait(u64),
    /// Silence until a ping is due, which the far side receives.
    Idle(Side),
    /// NEW_KEY: slot (0 or 1), number of the key (0 to 4).
    NewKey(Side, usize, u64),
    /// DEL_KEY: slot.
    DelKey(Side, usize),
    /// SWAP_KEYS.
    Swap(Side),
    /// NEW_PEER.
    NewPeer(Side),
    /// DEL_PEER.
    DelPeer(Side),
    /// SET_PEER: interval, timeout (seconds), MSS.
    SetPeer(Side, Option<u32>, Option<u32>, Option<u16>),
}

/// A few keys that both sides may have, alike or not: sharing key-ids, about to be exhausted, with an impossible key-id.
fn key(number: u64) -> KeySpec {
    let (key_id, sealed, key_len) = match number {
        0 => (0, 0, 32),
        1 => (1, 0, 16),
        2 => (0, 0, 24),
        3 => (2, 0xEFFF_FFFF - 3, 32),
        _ => (9, 0, 32),
    };
    KeySpec { number, key_id, key_len, peer_id: 0xAB_0001 + number as u32, sealed }
}

/// Two devices, their models, and everything that was sealed.
#[derive(Debug)]
pub struct World {
    /// The two devices.
    pub pair: Pair,
    models: [Model; 2],
    ledger: Ledger,
    /// All datagrams ever sealed toward each side.
    sealed: [Vec<Vec<u8>>; 2],
    rogue_id: u64,
    /// Whether to open everything that was sealed at once, with a key of its own.
    pub look_inside: bool,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Two ends that have nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            pair: Pair::new(Faults::NONE, 0),
            models: [Model::new(0), Model::new(1)],
            ledger: Ledger::default(),
            sealed: [Vec::new(), Vec::new()],
            rogue_id: 0,
            look_inside: true,
        }
    }

    fn now(&self) -> u64 {
        self.pair.now().0
    }

    fn sealed(&mut self, side: Side, expected: Expected, datagram: Vec<u8>) {
        assert_eq!(datagram[..8], expected.header);
        assert_eq!(datagram.len(), expected.inner.len() + 24);
        if self.look_inside {
            let fresh = key(expected.key).key(side.other());
            let mut plain = vec![0; datagram.len()];
            // A key with an impossible key-id opens all the same when it is asked directly.
            let len = fresh.open(&datagram, &mut plain, 0).expect("sealed under this key");
            let inner = match &expected.inner {
                Inner::Ping => dco_wire::PING.to_vec(),
                inner => bytes(inner),
            };
            assert_eq!(plain[..len], inner);
        }
        self.sealed[side.other() as usize].push(datagram.clone());
        self.ledger.note(expected.key, side as usize, datagram, expected.inner);
    }

    /// Packets from the stack, in one batch.
    pub fn send(&mut self, side: Side, inners: &[Inner]) {
        let packets: Vec<_> = inners.iter().map(bytes).collect();
        let outcomes = self.pair.send_all(side, &packets);
        self.pair.link_to_mut(side.other()).receive();
        for (inner, outcome) in inners.iter().zip(outcomes) {
            let now = self.now();
            match (self.models[side as usize].seal(inner, now), outcome) {
                (Ok(expected), Ok(datagram)) => self.sealed(side, expected, datagram),
                (Err(expected), Err(reason)) => assert_eq!(reason.name(), expected),
                (expected, outcome) => panic!("{inner:?}: expected {expected:?}, got {outcome:?}"),
            }
        }
    }

    fn send_gathered(&mut self, side: Side, inner: &Inner) {
        let packet = bytes(inner);
        let mut out = vec![0xee; MAX_SEALED.max(24 + packet.len())];
        out[24..24 + packet.len()].copy_from_slice(&packet);
        let outcome = {
            let section = self.pair.end(side).device.enter(7);
            section
                .batch(self.pair.now())
                .seal_gathered(Destination::Only, &mut out, packet.len())
                .map(|sealed| sealed.len)
        };
        let now = self.now();
        match (self.models[side as usize].seal(inner, now), outcome) {
            (Ok(expected), Ok(len)) => self.sealed(side, expected, out[..len].to_vec()),
            (Err(expected), Err(reason)) => assert_eq!(reason.name(), expected),
            (expected, outcome) => panic!("{inner:?}: expected {expected:?}, got {outcome:?}"),
        }
    }

    /// Datagrams from the network, in one batch.
    pub fn receive(&mut self, side: Side, datagrams: &[Vec<u8>]) {
        let end = self.pair.end_mut(side);
        end.received.clear();
        end.refused.clear();
        end.pings = 0;
        self.pair.receive(side, datagrams);
        let now = self.now();
        let (mut packets, mut refused, mut pings) = (Vec::new(), Vec::new(), 0);
        for datagram in datagrams {
            match self.models[side as usize].open(datagram, &self.ledger, now) {
                Ok(Some(spec)) => packets.push(spec.bytes()),
                Ok(None) => pings += 1,
                Err(reason) => refused.push(reason),
            }
        }
        let end = self.pair.end(side);
        assert_eq!(end.refused.iter().map(|reason| reason.name()).collect::<Vec<_>>(), refused);
        assert_eq!(end.received, packets);
        assert_eq!(end.pings, pings);
    }

    /// Something that was sealed for `side`, by distance from the newest.
    #[must_use]
    pub fn pick(&self, side: Side, back: usize) -> Option<Vec<u8>> {
        let all = &self.sealed[side as usize];
        all.len().checked_sub(1 + back).map(|place| all[place].clone())
    }

    fn tick(&mut self, side: Side) {
        let expired = self.pair.end(side).expired;
        self.pair.tick(side);
        let now = self.now();
        let model = &mut self.models[side as usize];
        let (ping, expiry) = model.keepalive(now);
        assert_eq!(self.pair.end(side).expired - expired, usize::from(expiry));
        if expiry {
            model.acknowledge();
        }
        let mut sent = self.pair.link_to_mut(side.other()).receive();
        // A key that is exhausted is a key: the ping is due, and lost with a reason.
        if ping && let Ok(expected) = model.seal(&Inner::Ping, now) {
            let datagram = sent.pop().expect("a ping");
            self.sealed(side, expected, datagram);
        }
        assert!(sent.is_empty(), "an unexpected ping; due: {ping}");
    }

    /// Does `op` to the devices and to the models, and compares.
    pub fn apply(&mut self, op: Op) {
        match op {
            Op::Send(side, inners) => self.send(side, &inners),
            Op::SendGathered(side, inner) => self.send_gathered(side, &inner),
            Op::Receive(side, backs) => {
                let datagrams: Vec<_> = backs.into_iter().filter_map(|back| self.pick(side, back)).collect();
                self.receive(side, &datagrams);
            }
            Op::Reflect(side, back) => {
                if let Some(datagram) = self.pick(side, back) {
                    self.receive(side.other(), &[datagram]);
                }
            }
            Op::Damage(side, back, place, bit) => {
                if let Some(mut datagram) = self.pick(side, back) {
                    let place = place % datagram.len();
                    datagram[place] ^= 1 << (bit % 8);
                    self.receive(side, &[datagram]);
                }
            }
            Op::Cut(side, back, len) => {
                if let Some(mut datagram) = self.pick(side, back) {
                    datagram.truncate(len);
                    self.receive(side, &[datagram]);
                }
            }
            Op::Noise(side, bytes) => self.receive(side, &[bytes]),
            Op::Rogue(side, plain) => {
                // Under key 0, from the far side, with ids the real key does not reach.
                self.rogue_id += 1;
                let rogue = KeySpec { sealed: 5_000 + self.rogue_id, ..key(0) }.key(side.other());
                let mut out = vec![0; plain.len() + 24];
                rogue.seal(PeerId::UNDEFINED, &plain, &mut out).expect("room");
                self.ledger.note(0, side.other() as usize, out.clone(), Inner::Junk(plain));
                self.receive(side, &[out]);
            }
            Op::Tick(side) => self.tick(side),
            Op::Wait(milliseconds) => self.pair.advance(milliseconds),
            Op::Idle(side) => {
                self.apply(Op::SetPeer(side, Some(1), None, None));
                self.apply(Op::Wait(2_000));
                self.apply(Op::Tick(side));
                self.apply(Op::Receive(side.other(), vec![0]));
            }
            Op::NewKey(side, slot, number) => {
                let spec = key(number);
                let model = ModelKey::new(number, spec.key_id, spec.peer_id, spec.sealed);
                let expected = self.models[side as usize].new_key(slot, model);
                let slot = [KeySlot::Primary, KeySlot::Secondary][slot];
                assert_eq!(self.pair.new_key(side, slot, spec).is_ok(), expected);
            }
            Op::DelKey(side, slot) => {
                let expected = self.models[side as usize].del_key(slot);
                let slot = [KeySlot::Primary, KeySlot::Secondary][slot];
                assert_eq!(self.pair.del_key(side, slot).is_ok(), expected);
            }
            Op::Swap(side) => {
                assert_eq!(self.pair.swap_keys(side).is_ok(), self.models[side as usize].swap_keys());
            }
            Op::NewPeer(side) => {
                let now = self.now();
                self.models[side as usize].new_peer(Pair::address(side.other()), now);
                self.pair.new_peer(side).expect("memory");
            }
            Op::DelPeer(side) => {
                assert_eq!(self.pair.del_peer(side), self.models[side as usize].del_peer());
            }
            Op::SetPeer(side, interval, timeout, mss) => {
                let now = self.now();
                let expected = self.models[side as usize].set_peer(interval, timeout, mss, now);
                let update = PeerUpdate { interval, timeout, mss, ..PeerUpdate::default() };
                assert_eq!(self.pair.set_peer(side, update).is_ok(), expected);
            }
        }
        self.compare();
    }

    /// Compares all counters, at both ends.
    pub fn compare(&self) {
        for side in Side::BOTH {
            let device = &self.pair.end(side).device;
            let model = &self.models[side as usize];
            for (reason, count) in DropReason::ALL.iter().zip(device.drop_counts()) {
                assert_eq!(count, *model.drops.get(reason.name()).unwrap_or(&0), "{side:?} {reason:?}");
            }
            let (stats, counts) = (device.stats(), model.counts);
            assert_eq!(stats.received_data, counts.received_data, "{side:?}");
            assert_eq!(stats.sent_data, counts.sent_data, "{side:?}");
            assert_eq!(stats.transport_sent, counts.transport_sent, "{side:?}");
            assert_eq!(stats.transport_received, counts.transport_received, "{side:?}");
            assert_eq!(stats.tun_sent, counts.tun_sent, "{side:?}");
            assert_eq!(stats.tun_received, counts.tun_received, "{side:?}");
            assert_eq!(stats.lost_in_data, counts.lost_in, "{side:?}");
            assert_eq!(stats.lost_out_data, counts.lost_out, "{side:?}");
            assert_eq!(device.has_peer(0), model.has_peer());
            let sending = device.enter(0).batch(self.pair.now()).sending_key();
            let sending = sending.map(|key| (key.key_id.get(), key.peer_id.get(), u64::from(key.next_packet_id)));
            assert_eq!(sending, model.sending_key(), "{side:?}");
            match device.peer_stats(0, PeerSelector::Only) {
                Ok(peer) => {
                    let expected = (counts.link_rx, counts.link_tx, counts.vpn_rx, counts.vpn_tx);
                    assert_eq!((peer.link_rx, peer.link_tx, peer.vpn_rx, peer.vpn_tx), expected, "{side:?}");
                }
                Err(_) => assert!(!model.has_peer()),
            }
        }
    }
}

fn bytes(inner: &Inner) -> Vec<u8> {
    match inner {
        Inner::Packet(spec) => spec.bytes(),
        Inner::Junk(bytes) => bytes.clone(),
        Inner::Ping => unreachable!("pings come from keepalive"),
    }
}
