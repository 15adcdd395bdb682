//! `Batch::seal` and `Batch::open` against the cipher calls they make.
//!
//! Both sides use the same key object, the same inner packets, the same datagrams and the same output buffers, in the same
//! order. A round seals (or opens) [`PACKETS`] packets, once through the core in batches of [`BATCH`], entering and leaving
//! a read section and flushing counters each time, and once with the cipher alone; which goes first alternates. For opening,
//! the ring is sealed anew before each round, outside the timing, so that the core sees fresh packet ids; the cipher opens
//! the very same datagrams.
//!
//! Packets are TCP over IPv4, not SYN, and the peer has an MSS limit: the usual case, and the one with most to look at.

use std::{hint::black_box, net::SocketAddr, sync::Arc, time::Instant};

use dco_core::{Destination, Device, Endpoint, MAX_SEALED, NewPeer, Origin, PeerSelector, PeerUpdate, Tick};
use dco_crypto::{Aead, AeadError, Key, KeyConfig, KeySlot, Nonce, NonceTail, Tag};
use dco_testkit::{PacketSpec, TestAead, aead::Direction, packet::Upper};
use dco_wire::{AAD_LEN, DATA_OVERHEAD, PeerId};

use crate::report::Row;

/// Rounds unless the command line says otherwise.
pub const ROUNDS: usize = 2_000;
/// Packets per batch.
const BATCH: usize = 32;
/// Packets per round and side.
const PACKETS: usize = 8 * BATCH;

/// In one line, without quotes.
pub fn method(rounds: usize) -> String {
    format!(
        "AES-256-GCM by {}, one thread; batches of {BATCH}, {rounds} interleaved rounds of {PACKETS} packets per side, \
         same key object and buffers; ns per packet, their difference and ratio are medians over rounds",
        dco_testkit::aead::library_version()
    )
}

/// One key object for both sides.
#[derive(Clone)]
struct OneKey(Arc<TestAead>);

impl Aead for OneKey {
    #[inline]
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        self.0.seal(nonce, aad, plain, out, tag)
    }

    #[inline]
    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        self.0.seal_in_place(nonce, aad, data, tag)
    }

    #[inline]
    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        self.0.open(nonce, aad, cipher, tag, out)
    }
}

/// A device that sends to itself, and its keys.
struct Bench {
    device: Device<OneKey, ()>,
    seal: OneKey,
    open: OneKey,
    packets: Vec<Vec<u8>>,
    sealed: Vec<Vec<u8>>,
    opened: Vec<Vec<u8>>,
    now: u64,
}

const TAIL: [u8; 8] = [9; 8];

impl Bench {
    fn new(bytes: usize) -> Self {
        let material: [u8; 32] = core::array::from_fn(|i| i as u8);
        let key = |direction| OneKey(Arc::new(TestAead::new(&material, direction).expect("a key")));
        let (seal, open) = (key(Direction::Seal), key(Direction::Open));

        let device = Device::try_new(2).expect("memory");
        let mut control = device.take_control().expect("the first to ask");
        let address: SocketAddr = ([192, 0, 2, 1], 1194).into();
        let id = PeerId::from_low_bits(1);
        let endpoint = Some(Endpoint { remote: address, local: Some(address.ip()) });
        let peer = NewPeer { id, tx_id: id, endpoint, vpn4: None, vpn6: None, protocol: 17, transport: () };
        device.new_peer(&mut control, peer, Tick(0), || ()).expect("memory");
        let slot_key = Key::try_new(KeyConfig {
            key_id: 0,
            peer_id: Some(id),
            seal: seal.clone(),
            open: open.clone(),
            seal_tail: NonceTail::new(TAIL),
            open_tail: NonceTail::new(TAIL),
        })
        .expect("memory");
        device.new_key(&mut control, PeerSelector::Only, KeySlot::Primary, slot_key, || ()).expect("a peer");
        let settings = PeerUpdate { interval: Some(10), timeout: Some(60), mss: Some(1300), ..PeerUpdate::default() };
        device.set_peer(&mut control, PeerSelector::Only, &settings, Tick(0), || ()).expect("a peer");

        let mut spec = PacketSpec::syn(false, 1460);
        spec.upper = Upper::Tcp { syn: false, mss: 1460 };
        spec.payload = bytes - spec.total();
        let packets = (0..PACKETS).map(|i| PacketSpec { seed: i as u8, ..spec.clone() }.bytes()).collect();
        let buffers = || vec![vec![0; MAX_SEALED]; PACKETS];
        Self { device, seal, open, packets, sealed: buffers(), opened: buffers(), now: 0 }
    }

    #[inline(never)]
    fn seal_core(&mut self) {
        for (packets, outs) in self.packets.chunks(BATCH).zip(self.sealed.chunks_mut(BATCH)) {
            let section = self.device.enter(0);
            let mut batch = section.batch(Tick(self.now));
            for (packet, out) in packets.iter().zip(outs) {
                let sealed = batch.seal(Destination::Only, packet, out).expect("a key with ids left");
                black_box(sealed.len);
            }
        }
    }

    #[inline(never)]
    fn seal_bare(&mut self) {
        let (mut id, mut aad) = (0u32, [0x48, 0, 0, 1, 0, 0, 0, 0]);
        for (packet, out) in self.packets.iter().zip(&mut self.sealed) {
            id += 1;
            aad[4..].copy_from_slice(&id.to_be_bytes());
            let nonce = nonce(&aad);
            let (head, body) = out.split_at_mut(DATA_OVERHEAD);
            let tag = head.last_chunk_mut().expect("24 bytes end with 16");
            self.seal.seal(&nonce, &aad, packet, &mut body[..packet.len()], tag).expect("sealed");
            black_box(&body);
        }
    }

    #[inline(never)]
    fn open_core(&mut self) {
        let len = DATA_OVERHEAD + self.packets[0].len();
        for (datagrams, outs) in self.sealed.chunks(BATCH).zip(self.opened.chunks_mut(BATCH)) {
            let section = self.device.enter(0);
            let mut batch = section.batch(Tick(self.now));
            for (datagram, out) in datagrams.iter().zip(outs) {
                let opened =
                    batch.open(Origin::default(), &datagram[..len], out, |_| None).expect("fresh and authentic");
                assert_eq!(black_box(opened).plain_len(), Some(len - DATA_OVERHEAD));
            }
        }
    }

    #[inline(never)]
    fn open_bare(&mut self) {
        let len = DATA_OVERHEAD + self.packets[0].len();
        for (datagram, out) in self.sealed.iter().zip(&mut self.opened) {
            let (aad, rest) = datagram[..len].split_first_chunk::<AAD_LEN>().expect("a header");
            let (tag, cipher) = rest.split_first_chunk().expect("a tag");
            self.open.open(&nonce(aad), aad, cipher, tag, &mut out[..cipher.len()]).expect("authentic");
            black_box(&out);
        }
    }
}

fn nonce(aad: &[u8; AAD_LEN]) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&aad[4..]);
    nonce[4..].copy_from_slice(&TAIL);
    nonce
}

/// All comparisons.
pub fn run(rounds: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for (bytes, limit) in [(1420, 1.10), (64, 1.50)] {
        let mut bench = Bench::new(bytes);
        let times = compare(&mut bench, rounds, |_| (), Bench::seal_core, Bench::seal_bare);
        rows.push(row("seal", bytes, limit, &times));
        let times = compare(&mut bench, rounds, Bench::seal_core, Bench::open_core, Bench::open_bare);
        rows.push(row("open", bytes, limit, &times));
        assert!(bench.packets.iter().zip(&bench.opened).all(|(sent, got)| *sent == got[..sent.len()]));
    }
    rows
}

/// Nanoseconds per packet, core and bare, of each round.
fn compare(
    bench: &mut Bench,
    rounds: usize,
    prepare: fn(&mut Bench),
    core: fn(&mut Bench),
    bare: fn(&mut Bench),
) -> Vec<(f64, f64)> {
    let time = |bench: &mut Bench, side: fn(&mut Bench)| {
        let start = Instant::now();
        side(bench);
        start.elapsed().as_nanos() as f64 / PACKETS as f64
    };
    let warm_up = rounds.div_ceil(10);
    let mut times = Vec::new();
    for round in 0..warm_up + rounds {
        bench.now += 1;
        prepare(bench);
        let pair = if round % 2 == 0 {
            let core = time(bench, core);
            (core, time(bench, bare))
        } else {
            let bare = time(bench, bare);
            (time(bench, core), bare)
        };
        if round >= warm_up {
            times.push(pair);
        }
    }
    times
}

fn row(name: &'static str, bytes: usize, limit: f64, times: &[(f64, f64)]) -> Row {
    let sorted = |value: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = times.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let at = |values: &[f64], quarter: usize| values[(values.len() - 1) * quarter / 4];
    let ratios = sorted(|(core, bare)| core / bare);
    Row {
        name,
        bytes,
        core_ns: at(&sorted(|(core, _)| *core), 2),
        bare_ns: at(&sorted(|(_, bare)| *bare), 2),
        added_ns: at(&sorted(|(core, bare)| core - bare), 2),
        ratio: at(&ratios, 2),
        quartiles: (at(&ratios, 1), at(&ratios, 3)),
        limit,
    }
}
