//! The network as `--net` makes it: datagrams that leave later, behind the next one, or never. They are copied, so that
//! the send completes as it does when the network is slow.

use super::address::LinuxAddress;
use super::net::{self, Choices};
use crate::ke::sched::Condvar;
use crate::ke::time::Moment;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// Datagrams lost and put behind another since the start.
pub static DROPPED: AtomicU64 = AtomicU64::new(0);
/// See [`DROPPED`].
pub static REORDERED: AtomicU64 = AtomicU64::new(0);

/// A datagram that waits for the next one goes at last after so long.
const ALONE: Duration = Duration::from_millis(50);

struct Packet {
    fd: i32,
    bytes: Vec<u8>,
    to: LinuxAddress,
    /// Linux's control messages.
    control: Vec<u8>,
    /// Leaves behind the next datagram of its socket.
    waiting: bool,
}

struct Line {
    /// By time, then by the order of the sends.
    packets: BTreeMap<(Moment, u64), Packet>,
    order: u64,
}

static LINE: Mutex<Line> = Mutex::new(Line { packets: BTreeMap::new(), order: 0 });
static CHANGE: Condvar = Condvar::new();
static START: Once = Once::new();

/// Whether datagrams go through here.
pub fn active() -> bool {
    let n = net::get();
    !n.delay.is_zero() || n.reorder != 0 || n.drop != 0
}

/// Sends a datagram of the socket `fd`, as the network does today. `vecs` is what the caller owns for the call.
///
/// # Safety
/// The iovecs describe readable memory.
pub unsafe fn send(fd: i32, vecs: &[libc::iovec], to: &LinuxAddress, control: &[u8], choices: &Choices) -> u64 {
    let mut bytes = Vec::new();
    for v in vecs {
        // SAFETY: as our caller promises.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(v.iov_base.cast::<u8>(), v.iov_len) });
    }
    let (n, len) = (net::get(), bytes.len() as u64);
    if choices.one_in(n.drop) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
        return len;
    }
    let waiting = choices.one_in(n.reorder);
    let due = Moment::now() + n.delay;
    let packet = Packet { fd, bytes, to: *to, control: control.to_vec(), waiting };
    START.call_once(|| crate::ke::spawn_or_abort("wsk-net", run));
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    line.order += 2;
    let order = line.order;
    if waiting {
        line.packets.insert((due + ALONE, order), packet);
    } else {
        line.packets.insert((due, order), packet);
        let behind = line.packets.iter().find(|(_, p)| p.waiting && p.fd == fd).map(|(k, _)| *k);
        if let Some(mut p) = behind.and_then(|k| line.packets.remove(&k)) {
            REORDERED.fetch_add(1, Ordering::Relaxed);
            p.waiting = false;
            line.packets.insert((due, order + 1), p);
        }
    }
    CHANGE.notify_one();
    len
}

/// The socket closes: what is under way leaves at once.
pub fn flush(fd: i32) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    for (_, p) in line.packets.extract_if(.., |_, p| p.fd == fd) {
        transmit(&p);
    }
}

fn run() {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(first) = line.packets.first_key_value().map(|(k, _)| k.0) else {
            line = CHANGE.wait(&LINE, line);
            continue;
        };
        if !first.has_come() {
            line = CHANGE.wait_until(&LINE, line, first).0;
            continue;
        }
        // With the lock held: the socket cannot close meanwhile.
        if let Some((_, p)) = line.packets.pop_first() {
            transmit(&p);
        }
    }
}

fn transmit(p: &Packet) {
    let (mut bytes, mut to, mut control) = (p.bytes.clone(), p.to, p.control.clone());
    let mut v = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zeroes is an empty msghdr.
    let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
    if to.len != 0 {
        m.msg_name = to.bytes.as_mut_ptr().cast();
        m.msg_namelen = to.len;
    }
    m.msg_iov = &raw mut v;
    m.msg_iovlen = 1;
    if !control.is_empty() {
        m.msg_control = control.as_mut_ptr().cast();
        m.msg_controllen = control.len();
    }
    // A datagram that the host does not take is one that the network lost. The second try is for the error of an earlier one.
    for _ in 0..2 {
        // SAFETY: the message describes buffers of this frame.
        if unsafe { libc::sendmsg(p.fd, &raw const m, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) } >= 0 {
            return;
        }
    }
}
