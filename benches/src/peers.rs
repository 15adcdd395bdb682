//! Many peers in the core: what one costs in memory, how long it takes to make and to remove them, and what finding one costs
//! beside finding one of a thousand.
//!
//! Each peer has an IPv4 and an IPv6 address inside the tunnel, a remote end and a key (of a cipher that holds 32 bytes and does nothing): four
//! names. Look-ups are of peers in random order, [`BATCH`] in a read section as packets are: by id with a look
//! at the peer's timers and key, by address of one that is there, and of one that is not. Memory is what the allocator was asked for.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    net::{Ipv4Addr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use dco_core::{Control, Cursor, Destination, Device, Endpoint, Mode, NewPeer, PeerSelector, PeerUpdate, Tick};
use dco_crypto::{Aead, AeadError, Key, KeyConfig, KeySlot, Nonce, NonceTail, Tag};
use dco_wire::PeerId;

/// Bytes that are allocated.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted.
pub struct Counting;

#[expect(unsafe_code, reason = "a global allocator")]
// SAFETY: forwards to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Look-ups in one read section.
const BATCH: usize = 32;
/// Look-ups per number.
const LOOKS: usize = 1 << 19;
/// Peers removed one by one.
const SINGLE: usize = 1000;

/// A cipher that is a key's size and nothing else.
struct Nothing(#[expect(dead_code, reason = "its size counts")] [u8; 32]);

impl Aead for Nothing {
    fn seal(&self, _: &Nonce, _: &[u8], _: &[u8], _: &mut [u8], _: &mut Tag) -> Result<(), AeadError> {
        Ok(())
    }

    fn seal_in_place(&self, _: &Nonce, _: &[u8], _: &mut [u8], _: &mut Tag) -> Result<(), AeadError> {
        Ok(())
    }

    fn open(&self, _: &Nonce, _: &[u8], _: &[u8], _: &Tag, _: &mut [u8]) -> Result<(), AeadError> {
        Ok(())
    }
}

fn id(n: usize) -> PeerId {
    PeerId::from_low_bits(n as u32)
}

fn vpn4(n: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 | n as u32)
}

/// The same numbers in any machine's order.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// What was measured with so many peers.
struct Row {
    peers: usize,
    bytes: f64,
    key_bytes: f64,
    made: f64,
    longest: f64,
    by_id: f64,
    by_address: f64,
    missed: f64,
    walk: f64,
    removed: f64,
    closed: f64,
}

struct Bench {
    device: Device<Nothing, ()>,
    control: Control,
}

impl Bench {
    fn add(&mut self, n: usize) {
        let remote = (Ipv4Addr::from_bits(0xc000_0000 | n as u32), 1194).into();
        let peer = NewPeer {
            id: id(n),
            tx_id: id(n),
            endpoint: Some(Endpoint { remote, local: None }),
            vpn4: Some(vpn4(n)),
            vpn6: Some(Ipv6Addr::from_bits(0xfd00 << 112 | n as u128)),
            protocol: 17,
            transport: (),
        };
        self.device.new_peer(&mut self.control, peer, Tick(0), || ()).expect("memory");
    }

    fn key(&mut self, n: usize) {
        let cipher = || Nothing([7; 32]);
        let tail = || NonceTail::new([0; 8]);
        let config = KeyConfig {
            key_id: 0,
            peer_id: None,
            seal: cipher(),
            open: cipher(),
            seal_tail: tail(),
            open_tail: tail(),
        };
        let key = Key::try_new(config).expect("memory");
        let selector = PeerSelector::Id(id(n));
        self.device.new_key(&mut self.control, selector, KeySlot::Primary, key, || ()).expect("a peer");
        let timers = PeerUpdate { interval: Some(10), timeout: Some(60), ..PeerUpdate::default() };
        self.device.set_peer(&mut self.control, selector, &timers, Tick(0), || ()).expect("a peer");
    }

    /// Nanoseconds per look-up of one of `numbers`.
    fn look(&self, numbers: &[usize], look: impl Fn(&dco_core::Section<'_, Nothing, ()>, &[usize])) -> f64 {
        let start = Instant::now();
        for numbers in numbers.chunks(BATCH) {
            look(&self.device.enter(0), numbers);
        }
        start.elapsed().as_nanos() as f64 / numbers.len() as f64
    }
}

fn measure(peers: usize) -> Row {
    let mode = Mode::MultiPeer { seed: [1, 2], buckets: 64 };
    let device = Device::try_new(2).and_then(|device| device.with_mode(mode)).expect("memory");
    let control = device.take_control().expect("the first to ask");
    let mut bench = Bench { device, control };

    let before = ALLOCATED.load(Ordering::Relaxed);
    let mut longest = 0.0f64;
    let start = Instant::now();
    let mut last = start;
    for n in 0..peers {
        bench.add(n);
        let now = Instant::now();
        longest = longest.max((now - last).as_secs_f64());
        last = now;
    }
    let made = peers as f64 / start.elapsed().as_secs_f64();
    let alone = ALLOCATED.load(Ordering::Relaxed) - before;
    (0..peers).for_each(|n| bench.key(n));
    let with_key = ALLOCATED.load(Ordering::Relaxed) - before - alone;

    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let numbers: Vec<usize> = (0..LOOKS).map(|_| random.below(peers)).collect();
    let by_id = || {
        bench.look(&numbers, |section, numbers| {
            let mut batch = section.batch(Tick(0));
            for n in numbers {
                black_box(batch.due(PeerSelector::Id(id(*n))).ping);
            }
        })
    };
    let by_address = |offset: usize, there: bool| {
        bench.look(&numbers, |section, numbers| {
            let batch = section.batch(Tick(0));
            for n in numbers {
                let to = Destination::Address(vpn4(n + offset).into());
                assert_eq!(black_box(batch.receiver(to)).is_some(), there);
            }
        })
    };
    let (id_ns, address_ns, missed) =
        (median(by_id), median(|| by_address(0, true)), median(|| by_address(1 << 23, false)));

    let start = Instant::now();
    let (mut cursor, mut met) = (Cursor::default(), 0);
    let mut ended = false;
    while !ended {
        let section = bench.device.enter(0);
        let mut batch = section.batch(Tick(5000));
        for _ in 0..64 {
            let Some(peer) = section.next_peer(&mut cursor) else {
                ended = true;
                break;
            };
            let due = batch.due(PeerSelector::Id(peer.id()));
            assert!(!due.ping && !due.expired);
            met += 1;
        }
    }
    let walk = start.elapsed().as_secs_f64();
    assert_eq!(met, peers, "a walk meets each once");

    let singles = SINGLE.min(peers / 2);
    let start = Instant::now();
    for n in 0..singles {
        assert!(bench.device.del_peer(&mut bench.control, PeerSelector::Id(id(n)), || ()).is_some());
    }
    let removed = singles as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    bench.device.del_peers(&mut bench.control, |_| (), || ());
    let closed = start.elapsed().as_secs_f64();
    assert_eq!(bench.device.peer_count(0), 0);
    Row {
        peers,
        bytes: alone as f64 / peers as f64,
        key_bytes: with_key as f64 / peers as f64,
        made,
        longest: longest * 1e3,
        by_id: id_ns,
        by_address: address_ns,
        missed,
        walk: walk * 1e3,
        removed,
        closed: closed * 1e3,
    }
}

fn median(once: impl Fn() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..5).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Prints a table.
pub fn run() {
    println!(
        "Peers in the core, one thread; look-ups in random order, {BATCH} in a read section, medians of 5 times {LOOKS};"
    );
    println!(
        "(x) is the ratio to 1,000 peers in this run; a peer without its key has 4 names; waits for readers find none\n"
    );
    println!(
        "    peers  bytes/peer  +key   set up/s  longest ms    id ns     (x)  addr ns     (x)  miss ns     (x)  \
         1 s look ms   del/s  all gone ms"
    );
    let mut first: Option<(f64, f64, f64)> = None;
    for peers in [1_000, 100_000, 1_000_000] {
        let row = measure(peers);
        let (id, address, missed) = *first.get_or_insert((row.by_id, row.by_address, row.missed));
        println!(
            "{:>9} {:>11.0} {:>5.0} {:>10.0} {:>11.2} {:>8.1} {:>7.2} {:>8.1} {:>7.2} {:>8.1} {:>7.2} {:>12.1} {:>7.0} {:>12.1}",
            row.peers,
            row.bytes,
            row.key_bytes,
            row.made,
            row.longest,
            row.by_id,
            row.by_id / id,
            row.by_address,
            row.by_address / address,
            row.missed,
            row.missed / missed,
            row.walk,
            row.removed,
            row.closed
        );
    }
}
