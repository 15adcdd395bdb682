//! Two real devices, a faulty link each way, and a clock that only the test moves.

use dco_core::{
    Control, ControlError, Destination, Device, DropReason, Endpoint, MAX_SEALED, NewPeer, Opened, Origin,
    PeerSelector, PeerUpdate, Tick,
};
use dco_crypto::{Key, KeyConfig, KeySlot, NonceTail};
use dco_wire::{PeerId, ip};

use crate::{
    aead::{Direction, TestAead},
    link::{Faults, Link},
    random::Random,
};

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that uses the first half of the key material to send.
    A,
    /// The other.
    B,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The far end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A key that both ends can derive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Names the key material.
    pub number: u64,
    /// The key-id in headers.
    pub key_id: u8,
    /// Bytes of AES key: 16, 24 or 32.
    pub key_len: usize,
    /// The peer-id in headers.
    pub peer_id: u32,
    /// Packet ids that count as used already.
    pub sealed: u64,
}

impl KeySpec {
    /// A fresh AES-256 key for peer 1.
    #[must_use]
    pub const fn new(number: u64, key_id: u8) -> Self {
        Self { number, key_id, key_len: 32, peer_id: 1, sealed: 0 }
    }

    /// The key as `side` uses it, with its own peer-id.
    #[must_use]
    pub fn key(&self, side: Side) -> Key<TestAead> {
        self.key_called(side, Some(PeerId::from_low_bits(self.peer_id)))
    }

    /// The same with another peer-id, or with whichever the peer has.
    #[must_use]
    pub fn key_called(&self, side: Side, peer_id: Option<PeerId>) -> Key<TestAead> {
        let mut random = Random::new(self.number);
        let mut material = [[0; 40]; 2];
        material.iter_mut().for_each(|half| random.fill(half));
        let [a_to_b, b_to_a] = material;
        let (seal, open) = if side == Side::A { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
        let tail = |half: [u8; 40]| NonceTail::new(half[32..].try_into().expect("eight bytes"));
        Key::try_new(KeyConfig {
            key_id: self.key_id,
            peer_id,
            seal: TestAead::new(&seal[..self.key_len], Direction::Seal).expect("a key"),
            open: TestAead::new(&open[..self.key_len], Direction::Open).expect("a key"),
            seal_tail: tail(seal),
            open_tail: tail(open),
        })
        .expect("memory")
        .having_sealed(self.sealed)
    }
}

/// One end: a device and what came out of it.
#[derive(Debug)]
pub struct End {
    /// The device. Its transport handle is the side it sends to.
    pub device: Device<TestAead, Side>,
    /// The right to change it.
    pub control: Control,
    /// Inner packets that were opened, in order.
    pub received: Vec<Vec<u8>>,
    /// Pings that were opened.
    pub pings: usize,
    /// Why received datagrams were dropped, in order.
    pub refused: Vec<DropReason>,
    /// How often an expiry was reported (and acknowledged).
    pub expired: usize,
}

/// Two ends.
#[derive(Debug)]
pub struct Pair {
    ends: [End; 2],
    /// Toward A, toward B.
    links: [Link; 2],
    now: Tick,
}

impl Pair {
    /// Two devices without peers or keys.
    #[must_use]
    pub fn new(faults: Faults, seed: u64) -> Self {
        let end = || {
            let device = Device::try_new(2).expect("memory");
            let control = device.take_control().expect("the first to ask");
            End { device, control, received: Vec::new(), pings: 0, refused: Vec::new(), expired: 0 }
        };
        let links = [Link::new(faults, seed), Link::new(faults, !seed)];
        Self { ends: [end(), end()], links, now: Tick(1_000_000) }
    }

    /// Two devices with peers and a primary key.
    #[must_use]
    pub fn connected(faults: Faults, seed: u64) -> Self {
        let mut pair = Self::new(faults, seed);
        for side in Side::BOTH {
            pair.new_peer(side).expect("memory");
            pair.new_key(side, KeySlot::Primary, KeySpec::new(seed, 0)).expect("a peer");
        }
        pair
    }

    /// An end.
    #[must_use]
    pub fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    /// An end, to change.
    pub fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    /// The link toward an end.
    #[must_use]
    pub fn link_to(&self, side: Side) -> &Link {
        &self.links[side as usize]
    }

    /// The link toward an end, to change.
    pub fn link_to_mut(&mut self, side: Side) -> &mut Link {
        &mut self.links[side as usize]
    }

    /// The time at both ends.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.now
    }

    /// Lets time pass.
    pub fn advance(&mut self, milliseconds: u64) {
        self.now = Tick(self.now.0 + milliseconds);
    }

    /// The transport address of an end.
    #[must_use]
    pub fn address(side: Side) -> std::net::SocketAddr {
        match side {
            Side::A => ([192, 0, 2, 1], 1194).into(),
            Side::B => ([192, 0, 2, 2], 1194).into(),
        }
    }

    /// Makes the far end the peer of `side`.
    pub fn new_peer(&mut self, side: Side) -> Result<(), ControlError> {
        let now = self.now;
        let end = self.end_mut(side);
        let peer = NewPeer {
            id: PeerId::from_low_bits(1),
            tx_id: PeerId::UNDEFINED,
            endpoint: Some(Endpoint { remote: Self::address(side.other()), local: Some(Self::address(side).ip()) }),
            vpn4: None,
            vpn6: None,
            protocol: ip::UDP,
            transport: side.other(),
        };
        end.device.new_peer(&mut end.control, peer, now, || ()).map(drop)
    }

    /// Removes the peer.
    pub fn del_peer(&mut self, side: Side) -> bool {
        let end = self.end_mut(side);
        end.device.del_peer(&mut end.control, PeerSelector::Only, || ()).is_some()
    }

    /// Installs a key.
    pub fn new_key(&mut self, side: Side, slot: KeySlot, key: KeySpec) -> Result<(), ControlError> {
        let end = self.end_mut(side);
        end.device.new_key(&mut end.control, PeerSelector::Only, slot, key.key(side), || ())
    }

    /// Empties a key slot.
    pub fn del_key(&mut self, side: Side, slot: KeySlot) -> Result<(), ControlError> {
        let end = self.end_mut(side);
        end.device.del_key(&mut end.control, PeerSelector::Only, slot, || ())
    }

    /// Exchanges the key slots.
    pub fn swap_keys(&mut self, side: Side) -> Result<(), ControlError> {
        let end = self.end_mut(side);
        end.device.swap_keys(&mut end.control, PeerSelector::Only, || ())
    }

    /// Changes the peer's settings.
    pub fn set_peer(&mut self, side: Side, update: PeerUpdate) -> Result<(), ControlError> {
        let now = self.now;
        let end = self.end_mut(side);
        end.device.set_peer(&mut end.control, PeerSelector::Only, &update, now, || ())
    }

    /// Seals `packets` at `side` in one batch and sends what was sealed. Each packet's outcome is its datagram or a reason.
    pub fn send_all(&mut self, side: Side, packets: &[Vec<u8>]) -> Vec<Result<Vec<u8>, DropReason>> {
        let mut outcomes = Vec::new();
        {
            let end = &self.ends[side as usize];
            let section = end.device.enter(0);
            let mut batch = section.batch(self.now);
            for packet in packets {
                let mut out = vec![0xee; MAX_SEALED];
                let sealed = batch.seal(Destination::Only, packet, &mut out);
                outcomes.push(sealed.map(|sealed| {
                    assert_eq!(*sealed.peer.transport(), side.other());
                    out.truncate(sealed.len);
                    out
                }));
            }
        }
        for datagram in outcomes.iter().flatten() {
            self.links[side.other() as usize].send(datagram.clone());
        }
        outcomes
    }

    /// Seals one packet and sends it.
    pub fn send(&mut self, side: Side, packet: &[u8]) -> Result<(), DropReason> {
        self.send_all(side, &[packet.to_vec()]).remove(0).map(drop)
    }

    /// Opens everything that is in flight toward `side`, in batches of 32.
    pub fn deliver(&mut self, side: Side) {
        let datagrams = self.links[side as usize].receive();
        for batch in datagrams.chunks(32) {
            self.receive(side, batch);
        }
    }

    /// Opens `datagrams` at `side` in one batch.
    pub fn receive(&mut self, side: Side, datagrams: &[Vec<u8>]) {
        let end = &mut self.ends[side as usize];
        let section = end.device.enter(1);
        let mut batch = section.batch(self.now);
        for datagram in datagrams {
            let mut out = vec![0xee; datagram.len()];
            match batch.open(Origin::default(), datagram, &mut out, |_| None) {
                Ok(Opened::Packet { len, .. }) => {
                    out.truncate(len);
                    end.received.push(out);
                }
                Ok(Opened::Ping { .. }) => end.pings += 1,
                Err(reason) => {
                    let written = datagram.len().saturating_sub(24);
                    let wiped = out[..written].iter().all(|b| *b == 0);
                    let untouched = out[..written].iter().all(|b| *b == 0xee);
                    assert!(wiped || untouched, "{reason:?} left something in the output");
                    end.refused.push(reason);
                }
            }
        }
    }

    /// Looks at the timers of `side`, sends the ping that is due, and takes note of an expiry.
    pub fn tick(&mut self, side: Side) {
        let end = &mut self.ends[side as usize];
        let mut ping = None;
        {
            let section = end.device.enter(0);
            let mut batch = section.batch(self.now);
            let due = batch.keepalive();
            if due.ping {
                let mut out = vec![0; 40];
                match batch.seal_ping(PeerSelector::Only, &mut out) {
                    Ok(sealed) => {
                        assert_eq!(sealed.len, 40);
                        ping = Some(out);
                    }
                    Err(reason) => assert_eq!(reason, DropReason::TxPacketIdExhausted, "keepalive saw a key"),
                }
            }
            if due.expired {
                assert!(batch.ack_expired());
                end.expired += 1;
            }
        }
        if let Some(ping) = ping {
            self.links[side.other() as usize].send(ping);
        }
    }
}
