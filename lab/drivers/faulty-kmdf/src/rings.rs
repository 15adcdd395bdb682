//! The packet queues: what is sent comes back as received, with its addresses swapped.
//!
//! Tx copies each packet to a slot of a small table under a spin lock, Rx takes it from there. Both are written for DISPATCH_LEVEL.

use crate::net::{self, Extension, ExtensionQuery, PacketQueueConfig, Ring};
use crate::wdf::{Attributes, Handle, NtStatus};
use crate::{SUCCESS, expect, fault, wide};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// NETPACKETQUEUE, 0 once stopped.
pub static TX: AtomicUsize = AtomicUsize::new(0);
pub static RX: AtomicUsize = AtomicUsize::new(0);
/// Where the virtual-address extension lies, per direction.
static VA: [[AtomicUsize; 2]; 2] = [const { [const { AtomicUsize::new(0) }; 2] }; 2];
static RX_ARMED: AtomicBool = AtomicBool::new(false);
static STARTED: AtomicU32 = AtomicU32::new(0);
/// Levels that Advance has been called at, a bit each.
static LEVELS: AtomicU32 = AtomicU32::new(0);

static FRAGMENT_VA: &[u16] = wide!("ms_fragment_virtualaddress\0");

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn KeGetCurrentIrql() -> u8;
    fn KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> u8;
    fn KeReleaseSpinLock(lock: *mut usize, old: u8);
}

const SLOTS: usize = 64;
const LARGEST: usize = 1500;

/// Packets between the queues.
struct Between {
    lock: UnsafeCell<usize>,
    slots: UnsafeCell<[(usize, [u8; LARGEST]); SLOTS]>,
    /// Numbers of the next slot to fill and to empty.
    filled: UnsafeCell<usize>,
    emptied: UnsafeCell<usize>,
}
// SAFETY: the cells are used under the lock only.
unsafe impl Sync for Between {}

static BETWEEN: Between = Between {
    lock: UnsafeCell::new(0),
    slots: UnsafeCell::new([(0, [0; LARGEST]); SLOTS]),
    filled: UnsafeCell::new(0),
    emptied: UnsafeCell::new(0),
};

impl Between {
    /// Runs `f` under the spin lock.
    fn locked<R>(&self, f: impl FnOnce(&mut [(usize, [u8; LARGEST]); SLOTS], &mut usize, &mut usize) -> R) -> R {
        // SAFETY: a KSPIN_LOCK of this image; what it guards is used here only.
        unsafe {
            let old = KeAcquireSpinLockRaiseToDpc(self.lock.get());
            let r = f(&mut *self.slots.get(), &mut *self.filled.get(), &mut *self.emptied.get());
            KeReleaseSpinLock(self.lock.get(), old);
            r
        }
    }
}

/// NetTxQueueCreate or NetRxQueueCreate.
pub fn create(tx: bool, init: Handle) -> NtStatus {
    let mut queue = 0;
    let f = |f: extern "system" fn(Handle)| f as usize;
    let mut c = PacketQueueConfig {
        size: 48,
        start: f(start),
        stop: f(stop),
        advance: if tx { f(tx_advance) } else { f(rx_advance) },
        set_notification: if tx {
            tx_notification as *const () as usize
        } else {
            rx_notification as *const () as usize
        },
        cancel: if tx { f(tx_cancel) } else { f(rx_cancel) },
    };
    // 722, netcx.bad-queue-config
    if fault() == 722 {
        c.cancel = 0;
    }
    let mut a = Attributes::new(0);
    a.cleanup = f(cleanup);
    let s = if tx {
        net::tx_create(init, &raw const a, &raw const c, &raw mut queue)
    } else {
        net::rx_create(init, &raw const a, &raw const c, &raw mut queue)
    };
    if s < 0 {
        return s;
    }
    if fault() == 723 {
        // netcx.queue-create-outside-callback: one init makes one queue.
        return net::tx_create(init, &raw const a, &raw const c, &raw mut queue);
    }
    let mut q = ExtensionQuery { size: 24, name: FRAGMENT_VA.as_ptr(), version: 1, kind: 2 };
    let mut e = Extension { data: 0, stride: 0, reserved: [0; 2], enabled: 0 };
    // 724, netcx.bad-extension-query: of a packet there is no such extension.
    if fault() == 724 {
        q.kind = 1;
    }
    if tx {
        net::tx_extension(queue, &raw const q, &raw mut e);
    } else {
        net::rx_extension(queue, &raw const q, &raw mut e);
    }
    expect(e.enabled == 1);
    let [data, stride] = &VA[usize::from(tx)];
    data.store(e.data, Ordering::Relaxed);
    stride.store(e.stride, Ordering::Relaxed);
    if tx { &TX } else { &RX }.store(queue, Ordering::Release);
    SUCCESS
}

fn rings(tx: bool, queue: Handle) -> (&'static mut Ring, &'static mut Ring) {
    let c = if tx { net::tx_rings(queue) } else { net::rx_rings(queue) };
    // SAFETY: the queue's rings, used in its callbacks alone, which are serialised.
    unsafe { (&mut *(*c)[0], &mut *(*c)[1]) }
}

/// The address of a fragment's buffer.
fn buffer(tx: bool, fragments: &Ring, index: u32) -> *mut u8 {
    let [data, stride] = &VA[usize::from(tx)];
    let at = data.load(Ordering::Relaxed) + (index & fragments.mask) as usize * stride.load(Ordering::Relaxed);
    // SAFETY: the extension of an element of the ring.
    unsafe { (at as *const *mut u8).read() }
}

extern "system" fn start(queue: Handle) {
    let tx = TX.load(Ordering::Acquire) == queue;
    let (p, f) = rings(tx, queue);
    expect(p.begin == 0 && f.begin == 0);
    STARTED.fetch_add(1, Ordering::Relaxed);
}

extern "system" fn stop(queue: Handle) {
    if TX.load(Ordering::Acquire) == queue {
        TX.store(0, Ordering::Release);
    } else {
        RX_ARMED.store(false, Ordering::Release);
        RX.store(0, Ordering::Release);
    }
}

extern "system" fn cleanup(queue: Handle) {
    // 801, netcx.notify-after-stop
    if fault() == 801 {
        net::tx_notify(queue);
    }
}

/// Fields of a packet: fragment index, fragment count, flags.
fn packet(ring: &Ring, index: u32) -> (u32, u32, u8) {
    let p = ring.at(index);
    // SAFETY: an element of the ring.
    unsafe { (p.cast::<u32>().read_unaligned(), u32::from(p.add(4).cast::<u16>().read_unaligned()), p.add(11).read()) }
}

fn fragment(ring: &Ring, index: u32) -> *mut u64 {
    ring.at(index).cast()
}

const IGNORE: u8 = 1;
const SCRATCH: u8 = 2;
/// TxCapabilities.PayloadBackfill.
const BACKFILL: usize = 16;

extern "system" fn tx_advance(queue: Handle) {
    // SAFETY: takes nothing.
    LEVELS.fetch_or(1 << unsafe { KeGetCurrentIrql() }, Ordering::Relaxed);
    let (packets, fragments) = rings(true, queue);
    // 802: all is held until Cancel, which is allowed. 816, netcx.queue-not-drained: and then, too.
    if matches!(fault(), 802 | 816) {
        return;
    }
    while packets.begin != packets.end {
        let (first, count, flags) = packet(packets, packets.begin);
        if flags & IGNORE == 0 {
            send(fragments, first, count);
            // Scratch is the driver's.
            // SAFETY: a packet that the driver owns.
            unsafe { packets.at(packets.begin).add(11).write(flags | SCRATCH) };
            spoil_sent(packets, fragments, first);
            // 803, netcx.ring.tx-fragments: they are forgotten.
            if fault() != 803 {
                fragments.begin = fragments.after(first, count);
            }
        }
        packets.next = packets.begin;
        packets.scratch = packets.begin as usize;
        packets.begin = packets.after(packets.begin, 1);
        if spoil_ring(packets, fragments) {
            return;
        }
    }
    notify_rx();
}

/// What a driver may not write to.
fn spoil_sent(packets: &Ring, fragments: &Ring, first: u32) {
    let p = packets.at(packets.begin);
    // SAFETY: the packet and the first fragment are the driver's for now, their memory is there.
    unsafe {
        match fault() {
            // netcx.ring.tx-changed: a packet's layout, a fragment's length.
            804 => p.add(8).write(0x77),
            805 => *fragment(fragments, first) -= 1,
            // netcx.ring.tx-ignore-set
            806 => p.add(11).write(IGNORE),
            // netcx.tx-payload-changed
            807 => {
                *buffer(true, fragments, first).add((*fragment(fragments, first) >> 52 & 0x3FF) as usize + BACKFILL) ^=
                    0xFF
            }
            _ => {}
        }
    }
}

/// Indices against the rules. True where there are any.
fn spoil_ring(packets: &mut Ring, fragments: &mut Ring) -> bool {
    match fault() {
        // netcx.ring.index: past the end, and backwards.
        811 => packets.begin = packets.after(packets.end, 5),
        812 => packets.begin = packets.after(packets.begin, packets.mask - 1),
        // netcx.ring.header-changed
        813 => packets.end = packets.after(packets.end, 1),
        814 => packets.reserved2[0] = u64::MAX,
        815 => fragments.begin = u32::MAX,
        _ => return false,
    }
    true
}

fn send(fragments: &Ring, first: u32, count: u32) {
    BETWEEN.locked(|slots, filled, emptied| {
        if *filled - *emptied == SLOTS {
            return;
        }
        let (length, bytes) = &mut slots[*filled % SLOTS];
        *length = 0;
        for i in 0..count {
            let index = first.wrapping_add(i);
            // SAFETY: a fragment that the driver owns.
            let v = unsafe { fragment(fragments, index).read() };
            let skip = if i == 0 { BACKFILL } else { 0 };
            let (valid, offset) = ((v & 0x3FF_FFFF) as usize - skip, (v >> 52 & 0x3FF) as usize + skip);
            let n = valid.min(LARGEST - *length);
            // SAFETY: the fragment's bytes, and room for them in the slot.
            unsafe {
                let from = buffer(true, fragments, index).add(offset);
                core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr().add(*length), n);
            }
            *length += n;
        }
        // IPv4 only, without options: addresses and UDP ports change places, and the checksums stay right.
        if *length < 28 || bytes[0] != 0x45 || bytes[9] != 17 {
            return;
        }
        for i in 0..4 {
            bytes.swap(12 + i, 16 + i);
        }
        bytes.swap(20, 22);
        bytes.swap(21, 23);
        *filled += 1;
    });
}

fn notify_rx() {
    let waiting = BETWEEN.locked(|_, filled, emptied| filled != emptied);
    if waiting && RX_ARMED.swap(false, Ordering::AcqRel) {
        let queue = RX.load(Ordering::Acquire);
        if queue != 0 {
            net::rx_notify(queue);
        }
    }
}

extern "system" fn tx_cancel(queue: Handle) {
    let (packets, fragments) = rings(true, queue);
    if fault() == 816 {
        return;
    }
    packets.begin = packets.end;
    fragments.begin = fragments.end;
}

extern "system" fn tx_notification(_queue: Handle, enabled: u8) {
    expect(enabled == 1);
}

extern "system" fn rx_notification(_queue: Handle, enabled: u8) {
    RX_ARMED.store(enabled != 0, Ordering::Release);
}

/// Packets in two fragments where they are long enough, after a fragment that is skipped.
extern "system" fn rx_advance(queue: Handle) {
    let (packets, fragments) = rings(false, queue);
    while packets.begin != packets.end && fragments.owned() >= 3 {
        let first = fragments.after(fragments.begin, 1);
        let Some(count) = receive(fragments, first) else { break };
        put(packets.at(packets.begin), first, count);
        fragments.begin = fragments.after(first, u32::from(count));
        spoil_received(packets, fragments, first);
        packets.begin = packets.after(packets.begin, 1);
    }
}

/// Describes a received packet.
fn put(p: *mut u8, first: u32, count: u16) {
    // SAFETY: a packet element that the driver owns.
    unsafe {
        p.cast::<u32>().write_unaligned(first);
        p.add(4).cast::<u16>().write_unaligned(count);
        p.add(6).write_bytes(0, 6);
        // Layer2Type Null, Layer3Type IPv4 without options.
        p.add(9).write(1 | 3 << 4);
    }
}

/// The next packet to fragments from `first` on; how many it took.
fn receive(fragments: &Ring, first: u32) -> Option<u16> {
    BETWEEN.locked(|slots, filled, emptied| {
        if filled == emptied {
            return None;
        }
        let (length, bytes) = &slots[*emptied % SLOTS];
        *emptied += 1;
        let cut = if *length > 100 { 61 } else { *length };
        let parts = [&bytes[..cut], &bytes[cut..*length]];
        let count = if cut < *length { 2 } else { 1 };
        for (i, part) in (0u32..).zip(parts).take(count) {
            let index = first.wrapping_add(i);
            let e = fragment(fragments, index);
            // SAFETY: fragments that the driver owns; their capacity is that of a frame and more.
            unsafe {
                let capacity = *e >> 26 & 0x3FF_FFFF;
                core::ptr::copy_nonoverlapping(part.as_ptr(), buffer(false, fragments, index).add(7), part.len());
                // 821, netcx.ring.rx-fragment: Offset and ValidLength stay what they were.
                if fault() != 821 {
                    *e = part.len() as u64 | capacity << 26 | 7 << 52;
                }
                // 822, netcx.ring.rx-fragment: longer than its buffer.
                if fault() == 822 {
                    *e = (capacity + 1) | capacity << 26;
                }
            }
        }
        Some(count as u16)
    })
}

/// Received packets against the rules.
fn spoil_received(packets: &mut Ring, fragments: &mut Ring, first: u32) {
    let p = packets.at(packets.begin);
    // SAFETY: a packet element that the driver owns.
    unsafe {
        match fault() {
            // netcx.ring.rx-packet: no fragment, and no Ignore.
            823 => p.add(4).cast::<u16>().write_unaligned(0),
            // netcx.ring.rx-fragments: one that was returned before; the same one in two packets.
            824 => p.cast::<u32>().write_unaligned(first.wrapping_sub(3) & fragments.mask),
            825 => {
                packets.begin = packets.after(packets.begin, 1);
                put(packets.at(packets.begin), first, 1);
            }
            // netcx.rx-layout: IPv6, it says.
            826 => p.add(9).write(1 | 5 << 4),
            // netcx.ring.rx-fragments: its fragments stay the driver's.
            827 => fragments.begin = first,
            // netcx.ring.header-changed
            829 => fragments.end = fragments.after(fragments.end, 1),
            _ => {}
        }
    }
}

extern "system" fn rx_cancel(queue: Handle) {
    if fault() == 817 {
        // netcx.queue-not-drained
        return;
    }
    let (packets, fragments) = rings(false, queue);
    while packets.begin != packets.end {
        // 830, netcx.ring.rx-packet: returned empty without Ignore.
        if fault() != 830 {
            // SAFETY: a packet that the driver owns.
            unsafe { packets.at(packets.begin).add(11).write(IGNORE) };
        }
        packets.begin = packets.after(packets.begin, 1);
    }
    fragments.begin = fragments.end;
}

/// With a request: rings touched where no callback of their queue runs.
pub fn fault_on_request() {
    // 831, netcx.ring.outside-callback: once the queue sleeps.
    if fault() == 831 {
        while !RX_ARMED.load(Ordering::Acquire) {
            crate::wdf::sleep(1);
        }
        crate::wdf::sleep(50);
        let queue = RX.load(Ordering::Acquire);
        let (packets, _) = rings(false, queue);
        packets.begin = packets.after(packets.begin, 1);
        net::rx_notify(queue);
        // The queue's own thread finds it, and the lab stops; on a busy machine that takes a while.
        crate::wdf::sleep(5000);
    }
}
