//! The Tx side: packets from the TUN device into the rings, completion checked against what was given.

use super::abi::{Fragment, IGNORE, Layout, Packet, SCRATCH};
use super::queue::{Parts, Side};
use super::settings;
use crate::report::{Rule, record};
use std::sync::atomic::{AtomicU64, Ordering};

const CHANGED: Rule = Rule::new(
    "netcx.ring.tx-changed",
    "NetAdapterCx, Verifier: of a Tx packet and fragment only Scratch may be written",
);
const IGNORED_SENT: Rule = Rule::new(
    "netcx.ring.tx-ignore-set",
    "nt-abi.md section 4: Ignore of a packet to send is the system's (to Cancel, too, they are completed as they are)",
);
const FRAGMENTS: Rule = Rule::new(
    "netcx.ring.tx-fragments",
    "NetAdapterCx: the fragment ring's BeginIndex moves past the completed packets' fragments",
);
const PAYLOAD: Rule =
    Rule::new("netcx.tx-payload-changed", "NDIS: the data of a packet to send belongs to the protocol");

/// Payload (or backfill) begins at this Offset: not 0, for drivers that forget it.
pub const OFFSET: usize = 18;
/// One slot in this many is an ignored packet.
const IGNORE_EVERY: u64 = 61;
/// One packet in this many has its payload compared.
const SAMPLE_EVERY: u64 = 64;
/// Fragments a packet can be split into.
const PIECES: usize = 16;

/// Packets given to the driver.
pub static PACKETS: AtomicU64 = AtomicU64::new(0);
/// Their bytes.
pub static BYTES: AtomicU64 = AtomicU64::new(0);
/// Ignored packets given.
pub static IGNORED: AtomicU64 = AtomicU64::new(0);

/// The state of a Tx queue's thread.
pub struct TxSide {
    parts: Parts,
    pieces: usize,
    given: Vec<Packet>,
    given_fragments: Vec<u64>,
    sample: Vec<u8>,
    sampled: Option<u32>,
    number: u64,
    ended: bool,
}

impl TxSide {
    /// With empty rings.
    pub fn new(parts: Parts) -> Self {
        let pieces = settings().tx_fragments.clamp(1, parts.plan.tx.max_fragments.clamp(1, PIECES));
        let (packets, fragments) = (parts.packets.room() + 1, parts.fragments.room() + 1);
        Self {
            pieces,
            given: vec![Packet::default(); packets as usize],
            given_fragments: vec![0; fragments as usize],
            sample: Vec::new(),
            sampled: None,
            number: 0,
            ended: false,
            parts,
        }
    }

    /// Where the parts of the next packet go: odd lengths, and the rest in the last.
    fn places(&self, first: u32) -> [libc::iovec; PIECES] {
        let mut v = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES];
        let n = usize::try_from(self.number).unwrap_or(0);
        for (i, place) in v.iter_mut().enumerate().take(self.pieces) {
            let lead = OFFSET + if i == 0 { self.parts.plan.tx.backfill } else { 0 };
            let buffer = self.parts.buffers.of(self.parts.fragments.after(first, u32::try_from(i).unwrap_or(0)));
            let len = if i + 1 == self.pieces { self.parts.buffers.size - lead } else { 1 + (n * 13 + i * 29) % 61 };
            *place = libc::iovec { iov_base: buffer.wrapping_add(lead).cast(), iov_len: len };
        }
        v
    }

    /// Describes `len` bytes that were read to `places`.
    fn describe(&mut self, slot: u32, first: u32, places: &[libc::iovec; PIECES], len: usize) {
        let mut left = len;
        let mut count = 0u16;
        for (i, place) in places.iter().enumerate().take(self.pieces) {
            if left == 0 && i != 0 {
                break;
            }
            let n = place.iov_len.min(left);
            let backfill = if i == 0 { self.parts.plan.tx.backfill } else { 0 };
            let at = self.parts.fragments.after(first, u32::from(count));
            let f = Fragment::new(n + backfill, self.parts.buffers.size, OFFSET);
            self.parts.fragments.set_fragment(at, f);
            self.parts.fragments.set_va(at, self.parts.buffers.of(at).addr());
            if let Some(g) = self.given_fragments.get_mut(at as usize) {
                *g = f.plain();
            }
            left -= n;
            count += 1;
        }
        // SAFETY: the first part holds that many bytes of the packet.
        let head = unsafe {
            std::slice::from_raw_parts(places[0].iov_base.cast::<u8>().cast_const(), places[0].iov_len.min(len))
        };
        let packet = Packet { fragment: first, count, layout: layout(head), flags: 0 };
        self.give(slot, packet);
        if self.sampled.is_none() && self.number.is_multiple_of(SAMPLE_EVERY) {
            self.sampled = Some(slot);
            let mut sample = std::mem::take(&mut self.sample);
            self.payload(&packet, &mut sample);
            self.sample = sample;
        }
    }

    fn give(&mut self, slot: u32, packet: Packet) {
        // SAFETY: a packet element of the lab's.
        unsafe { packet.write(self.parts.packets.at(slot)) };
        if let Some(g) = self.given.get_mut(slot as usize) {
            *g = packet;
        }
    }

    /// The bytes of a packet, without backfill.
    fn payload(&self, packet: &Packet, out: &mut Vec<u8>) {
        out.clear();
        for i in 0..packet.count {
            let at = self.parts.fragments.after(packet.fragment, u32::from(i));
            let f = Fragment(self.given_fragments.get(at as usize).copied().unwrap_or(0));
            let skip = if i == 0 { self.parts.plan.tx.backfill } else { 0 };
            let p = self.parts.buffers.of(at).wrapping_add(f.offset() + skip);
            // SAFETY: inside the buffer, as `describe` laid it out.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(p, f.valid() - skip) });
        }
    }

    fn check(&mut self, slot: u32) -> Option<u16> {
        let (now, given) = (self.parts.packets.packet(slot), self.given.get(slot as usize).copied()?);
        if (Packet { flags: now.flags & !SCRATCH, ..now }) != given {
            let rule = if (now.flags ^ given.flags) & IGNORE != 0 { IGNORED_SENT } else { CHANGED };
            record(rule, &format!("packet {slot}: given {given:?}, came {now:?}"));
            return None;
        }
        for i in 0..given.count {
            let at = self.parts.fragments.after(given.fragment, u32::from(i));
            let (f, g) = (self.parts.fragments.fragment(at), self.given_fragments.get(at as usize).copied()?);
            if f.plain() != g || self.parts.fragments.va(at) != self.parts.buffers.of(at).addr() {
                record(CHANGED, &format!("fragment {at} of packet {slot}: given {g:#x}, came {:#x}", f.0));
                return None;
            }
            self.parts.buffers.check(at);
        }
        if self.sampled == Some(slot) {
            self.sampled = None;
            let mut now = Vec::with_capacity(self.sample.len());
            self.payload(&given, &mut now);
            if now != self.sample {
                record(PAYLOAD, &format!("the payload of packet {slot} ({} bytes) was written to", now.len()));
            }
        }
        Some(given.count)
    }
}

/// What the stack knows of a packet.
fn layout(head: &[u8]) -> Layout {
    let mut l = Layout { l2: 1, ..Layout::default() };
    let (protocol, at) = match head.first().map(|b| b >> 4) {
        Some(4) if head.len() >= 20 => {
            let len = usize::from(head[0] & 0xF) * 4;
            l.l3 = if len > 20 { 2 } else { 3 };
            l.l3_len = u16::try_from(len).unwrap_or(0);
            let fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3FFF != 0;
            (if fragment { 255 } else { head[9] }, len)
        }
        Some(6) if head.len() >= 40 => {
            l.l3 = 4;
            l.l3_len = 40;
            (head[6], 40)
        }
        _ => return l,
    };
    match protocol {
        6 => {
            if let Some(b) = head.get(at + 12) {
                l.l4 = 1;
                l.l4_len = (b >> 4) * 4;
            }
        }
        17 => (l.l4, l.l4_len) = (2, 8),
        255 => l.l4 = 3,
        _ => {}
    }
    l
}

impl Side for TxSide {
    fn offer(&mut self) -> bool {
        let (mut packet_end, mut fragment_end) = (self.parts.packets.end(), self.parts.fragments.end());
        let (mut packets, mut bytes, mut ignored) = (0u64, 0u64, 0u64);
        let pieces = u32::try_from(self.pieces).unwrap_or(1);
        let (mut room, mut fragment_room) = (self.parts.packets.room(), self.parts.fragments.room());
        while room != 0 && fragment_room >= pieces && !self.ended {
            let places = self.places(fragment_end);
            let count = i32::try_from(self.pieces).unwrap_or(1);
            // SAFETY: the places are parts of this queue's buffers.
            let n = unsafe { libc::readv(self.parts.tun.raw(), places.as_ptr(), count) };
            let Ok(n) = usize::try_from(n) else { break };
            if n == 0 {
                self.ended = true;
                break;
            }
            self.number += 1;
            self.describe(packet_end, fragment_end, &places, n);
            let used = self.given.get(packet_end as usize).map_or(0, |p| u32::from(p.count));
            fragment_end = self.parts.fragments.after(fragment_end, used);
            packet_end = self.parts.packets.after(packet_end, 1);
            room -= 1;
            fragment_room -= used;
            packets += 1;
            bytes += n as u64;
            if self.number.is_multiple_of(IGNORE_EVERY) && room != 0 {
                self.give(packet_end, Packet { flags: IGNORE, ..Packet::default() });
                packet_end = self.parts.packets.after(packet_end, 1);
                room -= 1;
                ignored += 1;
            }
        }
        if packets == 0 {
            return false;
        }
        self.parts.fragments.set_end(fragment_end);
        self.parts.packets.set_end(packet_end);
        PACKETS.fetch_add(packets, Ordering::Relaxed);
        BYTES.fetch_add(bytes, Ordering::Relaxed);
        IGNORED.fetch_add(ignored, Ordering::Relaxed);
        true
    }

    fn collect(&mut self) -> bool {
        let Some(begin) = self.parts.packets.begin("Tx packet") else { return false };
        let Some(fragment_begin) = self.parts.fragments.begin("Tx fragment") else { return false };
        let mut slot = self.parts.packets.reclaimed;
        let mut fragment = self.parts.fragments.reclaimed;
        let any = slot != begin;
        while slot != begin {
            // A changed packet was reported; go on from what was given.
            let given = self.given.get(slot as usize).map_or(0, |p| p.count);
            let count = self.check(slot).unwrap_or(given);
            for i in 0..count {
                self.parts.fragments.clear(self.parts.fragments.after(fragment, u32::from(i)));
            }
            fragment = self.parts.fragments.after(fragment, u32::from(count));
            self.parts.packets.clear(slot);
            slot = self.parts.packets.after(slot, 1);
        }
        if fragment_begin != fragment {
            record(
                FRAGMENTS,
                &format!(
                    "fragment BeginIndex {fragment_begin}, packets up to {begin} are completed and their fragments end at {fragment}"
                ),
            );
        }
        self.parts.packets.set_reclaimed(begin);
        self.parts.fragments.set_reclaimed(fragment);
        any
    }

    fn drained(&self) -> bool {
        self.parts.packets.is_empty() && self.parts.fragments.is_empty()
    }

    fn arms(&self) -> bool {
        !self.parts.packets.is_empty()
    }

    fn rings(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn input(&self) -> Option<i32> {
        let room = self.parts.packets.room() != 0 && self.parts.fragments.room() as usize >= self.pieces;
        (room && !self.ended).then(|| self.parts.tun.raw())
    }
}

impl Drop for TxSide {
    fn drop(&mut self) {
        self.parts.packets.check();
        self.parts.fragments.check();
    }
}
