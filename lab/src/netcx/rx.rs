//! The Rx side: empty fragments to the driver, received packets checked and written to the TUN device.

use super::abi::{Fragment, IGNORE, Packet};
use super::queue::{Parts, Side};
use crate::report::{Rule, record};
use std::sync::atomic::{AtomicU64, Ordering};

const PACKET: Rule =
    Rule::new("netcx.ring.rx-packet", "NetAdapterCx: a received packet has FragmentCount >= 1, or Ignore");
const FRAGMENTS: Rule = Rule::new(
    "netcx.ring.rx-fragments",
    "NetAdapterCx: fragments of received packets are increasing, and before the fragment BeginIndex",
);
const FRAGMENT: Rule = Rule::new(
    "netcx.ring.rx-fragment",
    "NetAdapterCx: NET_FRAGMENT of a received packet (Offset + ValidLength <= Capacity; Capacity and address are the system's)",
);
const LAYOUT: Rule =
    Rule::new("netcx.rx-layout", "NetAdapterCx: NET_PACKET_LAYOUT of a received packet; nt-abi.md section 4");
const TOO_LARGE: Rule =
    Rule::new("netcx.rx-frame-too-large", "NetAdapterCx: NET_ADAPTER_RX_CAPABILITIES.MaximumFrameSize");

/// Packets written to the device.
pub static PACKETS: AtomicU64 = AtomicU64::new(0);
/// Their bytes.
pub static BYTES: AtomicU64 = AtomicU64::new(0);
/// Packets the driver returned with Ignore.
pub static IGNORED: AtomicU64 = AtomicU64::new(0);
/// Packets the device did not take (it is down, or they are not IP).
pub static DROPS: AtomicU64 = AtomicU64::new(0);

/// What Offset and ValidLength hold until the driver sets them.
const POISON_VALID: usize = 0x3BA_DBAD;
const POISON_OFFSET: usize = 0x2AD;

/// The state of an Rx queue's thread.
pub struct RxSide {
    parts: Parts,
    vecs: Vec<libc::iovec>,
}

impl RxSide {
    /// With all elements but one given to the driver.
    pub fn new(parts: Parts) -> Self {
        let mut s = Self { parts, vecs: Vec::with_capacity(16) };
        let n = s.parts.fragments.room() + 1;
        for i in 0..n {
            s.poison(i);
        }
        s.refill();
        s
    }

    fn poison(&self, at: u32) {
        let r = &self.parts.fragments;
        r.set_fragment(at, Fragment::new(POISON_VALID, self.parts.buffers.size, POISON_OFFSET));
        r.set_va(at, self.parts.buffers.of(at).addr());
    }

    fn refill(&mut self) {
        let p = &mut self.parts;
        let end = p.packets.after(p.packets.end(), p.packets.room());
        p.packets.set_end(end);
        let end = p.fragments.after(p.fragments.end(), p.fragments.room());
        p.fragments.set_end(end);
    }

    /// Checks a packet and writes it; gives the fragment after its last.
    fn take(&mut self, slot: u32, packet: &Packet, from: u32, to: u32) -> Option<u32> {
        let count = u32::from(packet.count);
        let r = &self.parts.fragments;
        if packet.count == 0 {
            record(PACKET, &format!("packet {slot}: {packet:?}"));
            return None;
        }
        if packet.fragment > r.room() + r.distance(r.reclaimed, r.end())
            || r.distance(from, packet.fragment) + count > r.distance(from, to)
        {
            record(
                FRAGMENTS,
                &format!(
                    "packet {slot}: fragments {} and {} more, outside of [{from}, {to})",
                    packet.fragment,
                    count - 1
                ),
            );
            return None;
        }
        self.vecs.clear();
        let mut len = 0;
        for i in 0..count {
            let at = r.after(packet.fragment, i);
            let f = r.fragment(at);
            let va = self.parts.buffers.of(at);
            if f.capacity() != self.parts.buffers.size || r.va(at) != va.addr() || f.offset() + f.valid() > f.capacity()
            {
                record(
                    FRAGMENT,
                    &format!(
                        "fragment {at} of packet {slot}: Offset {}, ValidLength {}, Capacity {} (was {})",
                        f.offset(),
                        f.valid(),
                        f.capacity(),
                        self.parts.buffers.size
                    ),
                );
                return None;
            }
            self.parts.buffers.check(at);
            len += f.valid();
            self.vecs.push(libc::iovec { iov_base: va.wrapping_add(f.offset()).cast(), iov_len: f.valid() });
        }
        if len > self.parts.plan.rx.max_frame {
            record(
                TOO_LARGE,
                &format!("packet {slot} has {len} bytes, MaximumFrameSize is {}", self.parts.plan.rx.max_frame),
            );
        }
        let l = &packet.layout;
        let version = self.vecs.first().filter(|v| v.iov_len != 0).map_or(0, |v| {
            // SAFETY: the first fragment holds at least one byte.
            unsafe { v.iov_base.cast::<u8>().read() >> 4 }
        });
        let fits = match l.l3 {
            0 => true,
            1..=3 => version == 4,
            4..=6 => version == 6,
            _ => false,
        };
        if l.l2 > 1 || l.l2_len != 0 || l.l4 > 4 || !fits {
            record(LAYOUT, &format!("packet {slot}: {l:?}, IP version {version}"));
        }
        let n = i32::try_from(self.vecs.len()).unwrap_or(1);
        // SAFETY: parts of this queue's buffers, checked above.
        let written = unsafe { libc::writev(self.parts.tun.raw(), self.vecs.as_ptr(), n) };
        if written < 0 {
            DROPS.fetch_add(1, Ordering::Relaxed);
        } else {
            PACKETS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(len as u64, Ordering::Relaxed);
        }
        Some(r.after(packet.fragment, count))
    }

    /// Takes back everything up to the driver's indices.
    fn reclaim(&mut self) -> bool {
        let Some(begin) = self.parts.packets.begin("Rx packet") else { return false };
        let Some(fragment_begin) = self.parts.fragments.begin("Rx fragment") else { return false };
        let mut slot = self.parts.packets.reclaimed;
        let mut cursor = self.parts.fragments.reclaimed;
        let any = slot != begin || cursor != fragment_begin;
        while slot != begin {
            let packet = self.parts.packets.packet(slot);
            if packet.flags & IGNORE != 0 {
                IGNORED.fetch_add(1, Ordering::Relaxed);
            } else if let Some(next) = self.take(slot, &packet, cursor, fragment_begin) {
                cursor = next;
            }
            self.parts.packets.clear(slot);
            slot = self.parts.packets.after(slot, 1);
        }
        let mut at = self.parts.fragments.reclaimed;
        while at != fragment_begin {
            self.poison(at);
            at = self.parts.fragments.after(at, 1);
        }
        self.parts.packets.set_reclaimed(begin);
        self.parts.fragments.set_reclaimed(fragment_begin);
        any
    }
}

impl Side for RxSide {
    fn offer(&mut self) -> bool {
        self.refill();
        false
    }

    fn collect(&mut self) -> bool {
        self.reclaim()
    }

    fn drained(&self) -> bool {
        self.parts.packets.is_empty() && self.parts.fragments.is_empty()
    }

    fn arms(&self) -> bool {
        true
    }

    fn rings(&mut self) -> &mut Parts {
        &mut self.parts
    }

    fn input(&self) -> Option<i32> {
        None
    }
}

impl Drop for RxSide {
    fn drop(&mut self) {
        self.parts.packets.check();
        self.parts.fragments.check();
    }
}
