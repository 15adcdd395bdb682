//! The boundary from C's side: two cores whose shim is this file. Sealed on one, opened on the other.
#![expect(unsafe_code, reason = "plays C")]

use core::{cell::RefCell, ffi::c_void, net::IpAddr, ptr, slice};
use std::{boxed::Box, collections::BTreeMap, vec, vec::Vec};

use crate::{
    export,
    ffi::{self, dco_addr, dco_aead, dco_buf, dco_endpoint, dco_key_new, dco_link, dco_open, dco_peer_set, dco_seal},
};

#[cfg(feature = "epoch")]
mod epoch;

/// What the shim saw.
#[derive(Default)]
struct Seen {
    gone: Vec<(u32, u32)>,
    moved: Vec<(u32, dco_endpoint)>,
    old_keys: Vec<(u32, u32)>,
    sent: Vec<Vec<u8>>,
    released: Vec<usize>,
    keys_alive: usize,
    /// Keys that can still be made, if there is an end to them.
    keys_left: Option<usize>,
    /// The bytes of epochs' keys, as they were made.
    #[cfg(feature = "epoch")]
    derived: Vec<Vec<u8>>,
    wakes: usize,
    now: u64,
    /// Next hops by source.
    routes: BTreeMap<IpAddr, IpAddr>,
}

std::thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

fn seen<R>(look: impl FnOnce(&mut Seen) -> R) -> R {
    SEEN.with_borrow_mut(look)
}

/// No cipher: the key's first byte is added to each byte, and the tag is a sum of everything. Enough to tell two keys apart.
mod shim {
    use super::*;

    /// A key, and the bytes that its tags cover besides the payload.
    struct Key {
        first: u8,
        aad: usize,
    }

    impl Key {
        /// The one behind C's pointer.
        ///
        /// # Safety
        /// The shim made it, and it is not freed.
        unsafe fn of<'a>(aead: *const dco_aead) -> &'a Self {
            // SAFETY: the caller vouches for it.
            unsafe { &*aead.cast() }
        }
    }

    fn tag(key: u8, nonce: &[u8], aad: &[u8], cipher: &[u8]) -> [u8; 16] {
        let mut tag = [key; 16];
        for (at, byte) in nonce.iter().chain(aad).chain(cipher).enumerate() {
            tag[at % 16] = tag[at % 16].rotate_left(3) ^ byte;
        }
        tag
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_aead_new(cipher: u32, key: *const u8, len: u32, aead: *mut *mut dco_aead) -> i32 {
        if cipher == 0 || len != 32 {
            return -22;
        }
        if seen(|seen| seen.keys_left == Some(0)) {
            return -12;
        }
        seen(|seen| {
            seen.keys_alive += 1;
            seen.keys_left = seen.keys_left.map(|left| left - 1);
        });
        // SAFETY: the core passes `len` bytes and a variable.
        unsafe { *aead = Box::into_raw(Box::new(Key { first: *key, aad: 8 })).cast() };
        0
    }

    #[cfg(feature = "epoch")]
    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_aead_new_epoch(
        cipher: u32,
        key: *const u8,
        len: u32,
        aead: *mut *mut dco_aead,
    ) -> i32 {
        // SAFETY: the core passes what dco_shim_aead_new() wants.
        let error = unsafe { dco_shim_aead_new(cipher, key, len, aead) };
        if error == 0 {
            // SAFETY: it was made right now, by nobody else used yet; `key` has `len` bytes.
            unsafe {
                (*(*aead).cast::<Key>()).aad = 12;
                seen(|seen| seen.derived.push(slice::from_raw_parts(key, len as usize).to_vec()));
            }
        }
        error
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_aead_free(aead: *mut dco_aead) {
        seen(|seen| seen.keys_alive -= 1);
        // SAFETY: dco_shim_aead_new() made it, and it is freed once.
        drop(unsafe { Box::from_raw(aead.cast::<Key>()) });
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_aead_seal(
        aead: *mut dco_aead,
        nonce: *const u8,
        aad: *const u8,
        plain: *const u8,
        out: *mut u8,
        len: u32,
        to: *mut u8,
    ) -> i32 {
        // SAFETY: what dco.h says of the arguments; plain and out may be the same, so no two slices at a time.
        unsafe {
            let Key { first: key, aad: covered } = *Key::of(aead);
            for at in 0..len as usize {
                *out.add(at) = (*plain.add(at)).wrapping_add(key);
            }
            let parts = (slice::from_raw_parts(nonce, 12), slice::from_raw_parts(aad, covered));
            let made = tag(key, parts.0, parts.1, slice::from_raw_parts(out, len as usize));
            ptr::copy_nonoverlapping(made.as_ptr(), to, 16);
        }
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_aead_open(
        aead: *mut dco_aead,
        nonce: *const u8,
        aad: *const u8,
        cipher: *const u8,
        out: *mut u8,
        len: u32,
        from: *const u8,
    ) -> i32 {
        // SAFETY: what dco.h says of the arguments.
        unsafe {
            let Key { first: key, aad: covered } = *Key::of(aead);
            let parts = (slice::from_raw_parts(nonce, 12), slice::from_raw_parts(aad, covered));
            if tag(key, parts.0, parts.1, slice::from_raw_parts(cipher, len as usize)) != *from.cast::<[u8; 16]>() {
                return -74;
            }
            for at in 0..len as usize {
                *out.add(at) = (*cipher.add(at)).wrapping_sub(key);
            }
        }
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_link_release(link: *mut dco_link) {
        seen(|seen| seen.released.push(link as usize));
    }

    /// A link's socket is its address without the last digit.
    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_link_uses(link: *const dco_link, sock: *const c_void) -> bool {
        link as usize / 16 == sock as usize / 16
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_peer_gone(_: *mut ffi::dco_dev, _: *const dco_link, id: u32, reason: u32) {
        seen(|seen| seen.gone.push((id, reason)));
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_peer_moved(
        _: *mut ffi::dco_dev,
        _: *const dco_link,
        id: u32,
        endpoint: *const dco_endpoint,
    ) {
        // SAFETY: the core passes an endpoint.
        seen(|seen| seen.moved.push((id, unsafe { *endpoint })));
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_key_old(_: *mut ffi::dco_dev, _: *const dco_link, id: u32, key: u32) {
        seen(|seen| seen.old_keys.push((id, key)));
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_send(
        _: *mut ffi::dco_dev,
        _: *mut dco_link,
        _: *const dco_endpoint,
        _: u32,
        packet: *const u8,
        len: u32,
    ) {
        // SAFETY: the core passes `len` bytes.
        let packet = unsafe { slice::from_raw_parts(packet, len as usize) };
        seen(|seen| seen.sent.push(packet.to_vec()));
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_pause() {
        std::thread::yield_now();
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_alloc(size: usize, align: usize) -> *mut u8 {
        // SAFETY: never called: a test has its own heap.
        unsafe { std::alloc::alloc(std::alloc::Layout::from_size_align(size, align).expect("a layout")) }
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_free(_: *mut u8) {
        unreachable!("a test has its own heap");
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn dco_shim_route_back(_: *mut ffi::dco_dev, from: *const dco_addr, hop: *mut dco_addr) -> bool {
        // SAFETY: the core passes an address and a variable.
        let source = unsafe { (*from).get() }.expect("an address");
        let Some(found) = seen(|seen| seen.routes.get(&source).copied()) else { return false };
        // SAFETY: as above.
        unsafe { *hop = found.into() };
        true
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_wake(_: *mut ffi::dco_dev) {
        seen(|seen| seen.wakes += 1);
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_data_enter() -> u32 {
        1
    }

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_data_leave() {}

    #[unsafe(no_mangle)]
    extern "C" fn dco_shim_now_ms() -> u64 {
        seen(|seen| seen.now)
    }
}

/// A core as C has it.
struct Core(*mut export::Instance);

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe {
            export::dco_core_peers_del(self.0, ptr::null(), ffi::DCO_DEL_TEARDOWN);
            export::dco_core_free(self.0);
        }
    }
}

const NONE: dco_addr = dco_addr::NONE;

fn address(text: &str) -> dco_addr {
    text.parse::<IpAddr>().expect("an address").into()
}

fn endpoint(text: &str) -> dco_endpoint {
    let remote = text.parse().expect("an address and a port");
    Some(dco_core::Endpoint { remote, local: None }).into()
}

/// An IPv4 packet of UDP with a payload of `len` bytes.
fn packet(from: &str, to: &str, len: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(&address(from).addr[..4]);
    packet.extend(&address(to).addr[..4]);
    packet.extend([0, 1, 0, 2, 0, 0, 0, 0]);
    packet.extend((0..len).map(|byte| byte as u8));
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}

impl Core {
    fn new(mode: u32) -> Self {
        let config = ffi::dco_core_config { dev: ptr::null_mut(), cpus: 2, mode, seed: [1, 2] };
        let mut core = ptr::null_mut();
        // SAFETY: both arguments live through the call.
        assert_eq!(unsafe { export::dco_core_new(&raw const config, &raw mut core) }, 0);
        Self(core)
    }

    fn peer(&self, id: u32, vpn4: dco_addr, remote: dco_endpoint, link: usize, tcp: bool) -> i32 {
        let peer = ffi::dco_peer_new {
            id,
            tx_id: ffi::SAME_TX_ID,
            tcp: u32::from(tcp),
            reserved: 0,
            vpn4,
            vpn6: NONE,
            endpoint: remote,
            link: ptr::without_provenance_mut(link),
        };
        // SAFETY: the core is alive and this thread is alone.
        unsafe { export::dco_core_peer_new(self.0, &raw const peer) }
    }

    fn key(&self, peer_id: u32, slot: u32, key_id: u32, encrypt: u8, decrypt: u8) -> i32 {
        let (encrypt, decrypt, tail) = ([encrypt; 32], [decrypt; 32], [7_u8; 8]);
        let key = dco_key_new {
            peer_id,
            slot,
            key_id,
            cipher: 1,
            key_len: 32,
            encrypt_key: encrypt.as_ptr(),
            decrypt_key: decrypt.as_ptr(),
            encrypt_tail: tail.as_ptr(),
            decrypt_tail: tail.as_ptr(),
        };
        // SAFETY: as above; the keys live through the call.
        unsafe { export::dco_core_key_new(self.0, &raw const key) }
    }

    fn set(&self, id: u32, what: u32, change: impl FnOnce(&mut dco_peer_set)) -> i32 {
        let mut set = dco_peer_set {
            what,
            interval: 0,
            timeout: 0,
            mss: 0,
            tx_id: 0,
            vpn4: NONE,
            vpn6: NONE,
            endpoint: dco_endpoint::NONE,
        };
        change(&mut set);
        // SAFETY: as above.
        unsafe { export::dco_core_peer_set(self.0, id, &raw const set) }
    }

    fn info(&self, id: u32) -> Result<ffi::dco_peer_info, i32> {
        let mut info = core::mem::MaybeUninit::uninit();
        // SAFETY: as above; written if the result is 0.
        match unsafe { export::dco_core_peer_get(self.0, id, info.as_mut_ptr()) } {
            // SAFETY: as above.
            0 => Ok(unsafe { info.assume_init() }),
            error => Err(error),
        }
    }

    /// Seals packets laid out one behind the other, as data.c does; the sealed ones, and what else the call said.
    fn seal(&self, next_hop: dco_addr, packets: &[Vec<u8>]) -> (Vec<Vec<u8>>, dco_seal) {
        let room: usize = packets.iter().map(|packet| packet.len() + 24 + 2 + 4).sum();
        let mut out = vec![0xee_u8; room];
        let mut at = 0;
        let mut bufs: Vec<_> = packets
            .iter()
            .map(|packet| {
                let dst = out[at..].as_mut_ptr();
                at += packet.len() + 24;
                buf(packet, dst, packet.len() + 24)
            })
            .collect();
        let mut seal = dco_seal {
            bufs: bufs.as_mut_ptr(),
            count: bufs.len() as u32,
            cpu: 0,
            now_ms: seen(|seen| seen.now),
            next_hop,
            link: ptr::null_mut(),
            to: dco_endpoint::NONE,
            generation: 0,
            passed: 0,
        };
        // SAFETY: the buffers live through the call and have the room that dco.h asks for.
        unsafe { export::dco_core_seal(self.0, &raw mut seal) };
        (results(&bufs), seal)
    }

    fn open(&self, peer_id: u32, from: dco_endpoint, packets: &[Vec<u8>]) -> (Vec<u32>, Vec<Vec<u8>>) {
        let mut out: Vec<_> = packets.iter().map(|packet| vec![0_u8; packet.len()]).collect();
        let mut bufs: Vec<_> =
            packets.iter().zip(&mut out).map(|(packet, out)| buf(packet, out.as_mut_ptr(), out.len())).collect();
        let (bufs_ptr, count) = (bufs.as_mut_ptr(), bufs.len() as u32);
        let mut open =
            dco_open { bufs: bufs_ptr, count, cpu: 0, now_ms: seen(|seen| seen.now), peer_id, passed: 0, from };
        // SAFETY: as in `seal`.
        unsafe { export::dco_core_open(self.0, &raw mut open) };
        let verdicts: Vec<_> = bufs.iter().map(|buf| buf.verdict).collect();
        assert_eq!(open.passed as usize, verdicts.iter().filter(|verdict| **verdict == ffi::DCO_PASS).count());
        (verdicts, results(&bufs))
    }

    fn tick(&self, now: u64) -> u32 {
        seen(|seen| seen.now = now);
        // SAFETY: as above.
        unsafe { export::dco_core_tick(self.0, now) }
    }

    fn drops(&self, name: &str) -> u64 {
        let count = export::dco_core_drop_reasons();
        let mut drops = vec![0; count as usize];
        // SAFETY: as above; room for `count` numbers.
        unsafe { export::dco_core_drops(self.0, drops.as_mut_ptr(), count) };
        let named = |reason: &u32| {
            // SAFETY: a reason's name is a static C string.
            unsafe { core::ffi::CStr::from_ptr(export::dco_core_drop_name(*reason)) }.to_str() == Ok(name)
        };
        drops[(0..count).find(named).expect("a reason's name") as usize]
    }
}

fn buf(src: &[u8], dst: *mut u8, room: usize) -> dco_buf {
    dco_buf { src: src.as_ptr(), dst, src_len: src.len() as u32, dst_room: room as u32, dst_len: 9, verdict: 9 }
}

fn results(bufs: &[dco_buf]) -> Vec<Vec<u8>> {
    let passed = bufs.iter().filter(|buf| buf.verdict == ffi::DCO_PASS);
    // SAFETY: the core says so many bytes are there.
    passed.map(|buf| unsafe { slice::from_raw_parts(buf.dst, buf.dst_len as usize) }.to_vec()).collect()
}

const UDP: u32 = ffi::DCO_PEER_ID_MAX + 1;

/// Two ends, point to point, with keys.
fn pair(tcp: bool) -> (Core, Core) {
    let (a, b) = (Core::new(ffi::DCO_MODE_P2P), Core::new(ffi::DCO_MODE_P2P));
    let remote = if tcp { [dco_endpoint::NONE; 2] } else { [endpoint("192.0.2.2:1194"), endpoint("192.0.2.1:1194")] };
    assert_eq!([a.peer(5, NONE, remote[0], 0x10, tcp), b.peer(5, NONE, remote[1], 0x20, tcp)], [0, 0]);
    assert_eq!([a.key(5, 0, 1, 11, 22), b.key(5, 0, 1, 22, 11)], [0, 0]);
    (a, b)
}

#[test]
fn a_train_passes_and_is_counted() {
    let (a, b) = pair(false);
    let packets: Vec<_> = [100, 1000, 0].map(|len| packet("10.8.0.1", "10.8.0.2", len)).into();
    let (sealed, call) = a.seal(NONE, &packets);
    assert_eq!((call.passed, call.link as usize), (3, 0x10));
    assert_eq!(call.to.get(), endpoint("192.0.2.2:1194").get());
    // One behind the other, without a gap.
    assert_eq!(
        sealed.iter().map(Vec::len).collect::<Vec<_>>(),
        packets.iter().map(|p| p.len() + 24).collect::<Vec<_>>()
    );
    assert_eq!(sealed[2][..8], [0x49, 0, 0, 5, 0, 0, 0, 3]);
    let (verdicts, opened) = b.open(UDP, endpoint("192.0.2.1:1194"), &sealed);
    assert_eq!((verdicts, opened), (vec![ffi::DCO_PASS; 3], packets));
    // Again, and with a wrong tag.
    let mut forged = sealed[0].clone();
    forged[8] ^= 1;
    let (verdicts, _) = b.open(UDP, endpoint("192.0.2.1:1194"), &[sealed[1].clone(), forged]);
    assert_eq!(verdicts, [ffi::DCO_DROP; 2]);
    assert_eq!((b.drops("RxReplay"), b.drops("RxAuthFailed")), (1, 1));
    let (a, b) = (a.info(5).expect("a peer"), b.info(5).expect("a peer"));
    assert_eq!((a.vpn.tx_packets, a.vpn.tx_bytes, a.wire.tx_bytes), (3, 1184, 1184 + 72));
    assert_eq!((b.vpn.rx_packets, b.vpn.rx_bytes, b.wire.rx_bytes), (3, 1184, 1184 + 72));
    assert_eq!((b.link as usize, b.interval, b.tcp), (0x20, 0, 0));
}

#[test]
fn over_tcp_there_is_room_for_each_frame_s_length() {
    let (a, b) = pair(true);
    let packets: Vec<_> = [100, 200, 300].map(|len| packet("10.8.0.1", "10.8.0.2", len)).into();
    let mut out = vec![0xee_u8; packets.iter().map(|packet| packet.len() + 26).sum()];
    let mut at = 0;
    let start = out.as_mut_ptr();
    let mut bufs: Vec<_> = packets
        .iter()
        .map(|packet| {
            at += packet.len() + 24;
            buf(packet, start.wrapping_add(at - packet.len() - 24), packet.len() + 24)
        })
        .collect();
    let mut seal = a.seal(NONE, &[]).1;
    (seal.bufs, seal.count) = (bufs.as_mut_ptr(), 3);
    // SAFETY: two bytes a packet are left behind the last.
    unsafe { export::dco_core_seal(a.0, &raw mut seal) };
    let ends = bufs.iter().map(|buf| buf.dst as usize - start as usize + buf.dst_len as usize).collect::<Vec<_>>();
    assert_eq!((bufs[0].dst as usize - start as usize, ends[2]), (2, out.len()));
    for (before, buf) in ends.iter().zip(&bufs[1..]) {
        assert_eq!(buf.dst as usize - start as usize, before + 2);
    }
    assert_eq!(&out[..2], [0xee; 2]);
    let (verdicts, opened) = b.open(5, dco_endpoint::NONE, &results(&bufs));
    assert_eq!((verdicts, opened), (vec![ffi::DCO_PASS; 3], packets));
}

#[test]
fn links_and_keys_are_given_back_once() {
    {
        let core = Core::new(ffi::DCO_MODE_MP);
        assert_eq!(core.peer(1, address("10.8.0.2"), endpoint("192.0.2.2:1"), 0x10, false), 0);
        assert_eq!(core.key(1, 0, 0, 1, 2), 0);
        assert_eq!(core.key(1, 1, 1, 3, 4), 0);
        assert_eq!(seen(|seen| seen.keys_alive), 4);
        // A peer that is refused leaves its link to the caller.
        assert_eq!(core.peer(1, address("10.8.0.3"), endpoint("192.0.2.3:1"), 0x20, false), -17);
        assert_eq!(core.peer(2, address("10.8.0.2"), endpoint("192.0.2.3:1"), 0x20, false), -98);
        assert_eq!(seen(|seen| seen.released.clone()), []);
        assert_eq!(core.peer(2, address("10.8.0.3"), endpoint("192.0.2.3:1"), 0x21, false), 0);
        assert_eq!(core.peer(3, address("10.8.0.4"), endpoint("192.0.2.4:1"), 0x22, false), 0);
        // Those of one socket.
        // SAFETY: the core is alive and this thread is alone.
        let removed = unsafe { export::dco_core_peers_del(core.0, ptr::without_provenance(0x20), 4) };
        assert_eq!(removed, 2);
        let mut gone = seen(|seen| seen.gone.clone());
        gone.sort_unstable();
        assert_eq!(gone, [(2, 4), (3, 4)]);
        let mut released = seen(|seen| seen.released.clone());
        released.sort_unstable();
        assert_eq!(released, [0x21, 0x22]);
    }
    assert_eq!(seen(|seen| (seen.keys_alive, seen.released.len())), (0, 3));
    assert_eq!(seen(|seen| seen.gone.last().copied()), Some((1, ffi::DCO_DEL_TEARDOWN)));
}

#[test]
fn point_to_point_a_new_peer_replaces_the_old_one() {
    let (a, _b) = pair(false);
    assert_eq!(a.peer(6, NONE, endpoint("192.0.2.9:1194"), 0x30, false), 0);
    assert_eq!(seen(|seen| (seen.gone.clone(), seen.released.clone())), (vec![(5, 0)], vec![0x10]));
    assert_eq!((a.info(5).err(), a.info(6).map(|info| info.id)), (Some(-2), Ok(6)));
    assert_eq!(a.seal(NONE, &[packet("10.8.0.1", "10.8.0.2", 1)]).1.passed, 0);
    assert_eq!(a.drops("TxNoKey"), 1);
}

#[test]
fn keys_are_installed_swapped_and_shown() {
    let (a, _b) = pair(false);
    let get = |slot| {
        let mut info = ffi::dco_key_info { key_id: 9, cipher: 9 };
        // SAFETY: the core is alive, the result is written to a variable.
        let result = unsafe { export::dco_core_key_get(a.0, 5, slot, &raw mut info) };
        (result, info.key_id, info.cipher)
    };
    assert_eq!(get(0), (0, 1, 1));
    assert_eq!(get(1).0, -2);
    assert_eq!(
        (a.key(5, 1, 2, 1, 1), a.key(6, 1, 2, 1, 1), a.key(5, 1, 8, 1, 1), a.key(5, 2, 0, 1, 1)),
        (0, -2, -22, -22)
    );
    // SAFETY: as above.
    unsafe {
        assert_eq!(export::dco_core_key_swap(a.0, 5), 0);
        assert_eq!((get(0).1, get(1).1), (2, 1));
        assert_eq!(export::dco_core_key_del(a.0, 5, 1), 0);
        assert_eq!(export::dco_core_key_del(a.0, 5, 1), 0);
        assert_eq!(export::dco_core_key_swap(a.0, 7), -2);
    }
    assert_eq!((get(0).1, get(1).0), (2, -2));
}

#[test]
fn the_tick_pings_and_ends_the_silent() {
    let (a, b) = pair(false);
    assert_eq!(a.set(5, ffi::DCO_SET_INTERVAL | ffi::DCO_SET_TIMEOUT, |set| (set.interval, set.timeout) = (10, 60)), 0);
    assert_eq!((a.tick(5_000), seen(|seen| seen.sent.len())), (1, 0));
    assert_eq!(a.tick(11_000), 1);
    let ping = seen(|seen| seen.sent.clone());
    assert_eq!(ping.iter().map(Vec::len).collect::<Vec<_>>(), [40]);
    assert_eq!(b.open(UDP, endpoint("192.0.2.1:1194"), &ping).0, [ffi::DCO_TAKEN]);
    assert_eq!(b.info(5).map(|info| (info.vpn.rx_packets, info.wire.rx_packets)), Ok((0, 1)));
    assert_eq!((a.tick(61_000), seen(|seen| seen.gone.clone())), (0, vec![(5, ffi::DCO_DEL_EXPIRED)]));
    assert_eq!(seen(|seen| seen.released.clone()), [0x10]);
}

#[test]
fn a_peer_that_floats_is_followed_and_told_of() {
    let (a, b) = pair(false);
    let (sealed, _) = a.seal(NONE, &[packet("10.8.0.1", "10.8.0.2", 9)]);
    let before = b.seal(NONE, &[packet("10.8.0.2", "10.8.0.1", 9)]).1;
    let _ = before.to;
    assert_eq!(b.open(UDP, endpoint("198.51.100.7:4000"), &sealed).0, [ffi::DCO_PASS]);
    assert_eq!((seen(|seen| seen.wakes), seen(|seen| seen.moved.len())), (1, 0));
    b.tick(1);
    let moved = seen(|seen| seen.moved.clone());
    assert_eq!(
        moved.iter().map(|(id, to)| (*id, to.get())).collect::<Vec<_>>(),
        [(5, endpoint("198.51.100.7:4000").get())]
    );
    // Its keys are a's: b seals with its own.
    let after = b.seal(NONE, &[packet("10.8.0.2", "10.8.0.1", 9)]).1;
    assert_eq!(after.to.get(), endpoint("198.51.100.7:4000").get());
    assert_ne!(after.generation, before.generation);
}

#[test]
fn several_peers_are_found_and_their_sources_checked() {
    let server = Core::new(ffi::DCO_MODE_MP);
    assert_eq!(server.peer(1, address("10.8.0.2"), endpoint("192.0.2.2:1"), 0x10, false), 0);
    assert_eq!(server.peer(2, address("10.8.0.3"), endpoint("192.0.2.3:1"), 0x20, false), 0);
    assert_eq!([server.key(1, 0, 0, 1, 2), server.key(2, 0, 0, 3, 4)], [0, 0]);
    let client = Core::new(ffi::DCO_MODE_P2P);
    assert_eq!(client.peer(1, NONE, endpoint("192.0.2.1:1194"), 0x30, false), 0);
    assert_eq!(client.key(1, 0, 0, 2, 1), 0);

    let hop = address("10.8.0.3");
    let (_, call) = server.seal(hop, &[packet("10.8.0.1", "10.66.0.1", 9)]);
    assert_eq!((call.passed, call.link as usize), (1, 0x20));
    assert_eq!(server.seal(address("10.8.0.9"), &[packet("10.8.0.1", "10.8.0.9", 9)]).1.passed, 0);
    assert_eq!(server.drops("TxNoPeer"), 1);

    let from = endpoint("192.0.2.2:1");
    let try_source = |source: &str| {
        let (sealed, _) = client.seal(NONE, &[packet(source, "10.8.0.1", 9)]);
        server.open(UDP, from, &sealed).0[0]
    };
    assert_eq!(try_source("10.8.0.2"), ffi::DCO_PASS);
    assert_eq!(try_source("10.66.0.1"), ffi::DCO_DROP);
    let route = |hop: &str| {
        let hop = hop.parse().expect("an address");
        seen(|seen| seen.routes.insert(IpAddr::from([10, 66, 0, 1]), hop));
    };
    route("10.8.0.3");
    assert_eq!(try_source("10.66.0.1"), ffi::DCO_DROP);
    route("10.8.0.2");
    assert_eq!(try_source("10.66.0.1"), ffi::DCO_PASS);
    assert_eq!(try_source("10.77.0.1"), ffi::DCO_DROP);
    // SAFETY: the core is alive.
    unsafe { export::dco_core_source_check(server.0, false) };
    assert_eq!(try_source("10.77.0.1"), ffi::DCO_PASS);
    assert_eq!(server.drops("RxWrongSource"), 3);

    let mut cursor = 0;
    let mut ids = Vec::new();
    loop {
        let mut info = server.info(1).expect("a peer");
        // SAFETY: the core is alive, the results are written to variables.
        match unsafe { export::dco_core_peer_next(server.0, &raw mut cursor, &raw mut info) } {
            0 => ids.push(info.id),
            error => break assert_eq!(error, -2),
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn settings_are_set_and_shown() {
    let core = Core::new(ffi::DCO_MODE_MP);
    assert_eq!(core.peer(1, address("10.8.0.2"), endpoint("192.0.2.2:1"), 0x10, false), 0);
    let all = ffi::DCO_SET_MSS | ffi::DCO_SET_TX_ID | ffi::DCO_SET_VPN4 | ffi::DCO_SET_VPN6 | ffi::DCO_SET_ENDPOINT;
    let done = core.set(1, all, |set| {
        (set.mss, set.tx_id, set.vpn6, set.endpoint) = (1300, 77, address("fd00::2"), endpoint("[2001:db8::1]:9"));
    });
    assert_eq!(done, 0);
    let info = core.info(1).expect("a peer");
    assert_eq!((info.mss, info.tx_id, info.vpn4.family), (1300, 77, 0));
    assert_eq!((info.vpn6.get(), info.endpoint.get()), (address("fd00::2").get(), endpoint("[2001:db8::1]:9").get()));
    assert_eq!((core.set(9, all, |_| ()), core.set(1, ffi::DCO_SET_TX_ID, |set| set.tx_id = 1 << 24)), (-2, -22));
}

#[test]
fn what_c_lost_is_counted_by_its_reason() {
    let core = Core::new(ffi::DCO_MODE_P2P);
    for (reason, name) in [
        (ffi::DCO_SHIM_TX_NO_MEMORY, "TxNoMemory"),
        (ffi::DCO_SHIM_TX_QUEUE_FULL, "TxQueueFull"),
        (2, "TxSendFailed"),
        (ffi::DCO_SHIM_RX_NOT_FOR_US, "RxUnsupported"),
    ] {
        // SAFETY: the core is alive.
        unsafe { export::dco_core_count_drop(core.0, 1, reason, 3) };
        assert_eq!(core.drops(name), 3, "{name}");
    }
    assert!(export::dco_core_drop_name(export::dco_core_drop_reasons()).is_null());
}
