//! Connection-oriented sockets, called as a driver does, against TCP of the host.

mod accept;
mod connect;

use super::abi::*;
use super::tests::*;
use super::{Completion, address, net, set_completion};
use crate::nt::{MDL, NTSTATUS, af, status};
use crate::{io, irql};
use std::ffi::c_void;
use std::io::{Read, Write};
use std::mem::transmute;
use std::net::{TcpListener, TcpStream};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type AddressFn = extern "win64" fn(*mut c_void, *const u8, u32, Irp) -> NTSTATUS;
type BufFn = extern "win64" fn(*mut c_void, *const Buf, u32, Irp) -> NTSTATUS;

/// What the receive callback does.
const TAKE: i32 = 0;
const KEEP: i32 = 1;
const REFUSE: i32 = 2;
const HALF: i32 = 3;

#[derive(Default)]
struct Peer {
    mode: AtomicI32,
    calls: AtomicUsize,
    got: Mutex<Vec<u8>>,
    kept: Mutex<Vec<usize>>,
    ends: Mutex<Vec<u32>>,
    mdls: AtomicUsize,
}

static EVENTS: ClientConnectionDispatch = ClientConnectionDispatch {
    receive_event: Some(on_data),
    disconnect_event: Some(on_end),
    send_backlog_event: Some(on_backlog),
};

unsafe extern "win64" fn on_data(
    context: *mut c_void,
    flags: u32,
    list: *mut DataIndication,
    indicated: usize,
    accepted: *mut usize,
) -> NTSTATUS {
    // SAFETY: the context given to WskSocket.
    let p = unsafe { &*context.cast::<Peer>() };
    assert_eq!(flags & AT_DISPATCH != 0, irql::current() == irql::DISPATCH);
    p.calls.fetch_add(1, Ordering::SeqCst);
    let (mut node, mut bytes) = (list, Vec::new());
    while !node.is_null() {
        // SAFETY: a node of the list.
        let n = unsafe { &*node };
        let mut mdl = n.buffer.mdl;
        while !mdl.is_null() {
            p.mdls.fetch_add(1, Ordering::SeqCst);
            // SAFETY: the node's chain.
            mdl = unsafe { (*mdl).Next };
        }
        bytes.extend(gather(&n.buffer));
        node = n.next;
    }
    assert_eq!(bytes.len(), indicated);
    match p.mode.load(Ordering::SeqCst) {
        REFUSE => return status::DATA_NOT_ACCEPTED,
        HALF => {
            let half = indicated.div_ceil(2);
            // SAFETY: WSK's variable.
            unsafe { accepted.write(half) };
            p.got.lock().expect("lock").extend(&bytes[..half]);
            return status::SUCCESS;
        }
        KEEP => p.kept.lock().expect("lock").push(list as usize),
        _ => {}
    }
    p.got.lock().expect("lock").extend(bytes);
    if p.mode.load(Ordering::SeqCst) == KEEP { status::PENDING } else { status::SUCCESS }
}

unsafe extern "win64" fn on_end(context: *mut c_void, flags: u32) -> NTSTATUS {
    // SAFETY: the context given to WskSocket.
    unsafe { &*context.cast::<Peer>() }.ends.lock().expect("lock").push(flags & ABORTIVE);
    status::SUCCESS
}

unsafe extern "win64" fn on_backlog(_context: *mut c_void, ideal: usize) -> NTSTATUS {
    assert_ne!(ideal, 0);
    status::SUCCESS
}

#[derive(Clone, Copy)]
struct Wsk(*mut c_void);

// SAFETY: a WSK socket may be used from any thread.
unsafe impl Send for Wsk {}

/// A call in progress, with its memory.
struct Pending {
    done: Box<Done>,
    irp: Irp,
    _mdl: Box<MDL>,
    data: Vec<u8>,
}

impl Pending {
    fn wait(mut self) -> (NTSTATUS, Vec<u8>) {
        wait_for("completion", || self.done.completed.load(Ordering::SeqCst));
        // SAFETY: completed.
        unsafe { io::free_irp(self.irp) };
        let n = self.done.information.load(Ordering::SeqCst) as usize;
        self.data.truncate(n);
        (self.done.status.load(Ordering::SeqCst), std::mem::take(&mut self.data))
    }

    fn is_done(&self) -> bool {
        self.done.completed.load(Ordering::SeqCst)
    }

    /// `IoCancelIrp`.
    fn cancel(&self) -> bool {
        // SAFETY: freed by `wait` only.
        unsafe { io::cancel_irp(self.irp) }
    }
}

impl Wsk {
    fn table(self) -> &'static ConnectionDispatch {
        // SAFETY: a WSK_SOCKET begins with its dispatch table.
        unsafe { &**self.0.cast::<*const ConnectionDispatch>() }
    }

    fn bind(self, family: u16) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: AddressFn = unsafe { transmute(self.table().bind) };
        call(|irp| f(self.0, loopback(family, 0).as_ptr(), 0, irp)).0
    }

    fn start_connect(self, to: &[u8]) -> Pending {
        // SAFETY: the table's function.
        let f: AddressFn = unsafe { transmute(self.table().connect) };
        let done = Box::<Done>::default();
        let irp = irp_for(&done);
        let mut data = Vec::new();
        let mdl = Box::new(mdl_of(&mut data, null_mut()));
        f(self.0, to.as_ptr(), 0, irp);
        Pending { done, irp, _mdl: mdl, data }
    }

    fn start(self, f: usize, mut data: Vec<u8>, flags: u32) -> Pending {
        // SAFETY: the table's function.
        let f: BufFn = unsafe { transmute(f) };
        let done = Box::<Done>::default();
        let irp = irp_for(&done);
        let mut mdl = Box::new(mdl_of(&mut data, null_mut()));
        let buf = Buf { mdl: &raw mut *mdl, offset: 0, length: data.len() };
        f(self.0, &buf, flags, irp);
        Pending { done, irp, _mdl: mdl, data }
    }

    fn start_send(self, data: &[u8]) -> Pending {
        self.start(self.table().send, data.to_vec(), 0)
    }

    fn send(self, data: &[u8]) -> (NTSTATUS, usize) {
        let (s, sent) = self.start_send(data).wait();
        (s, sent.len())
    }

    fn start_receive(self, n: usize, flags: u32) -> Pending {
        self.start(self.table().receive, vec![0; n], flags)
    }

    fn receive(self, n: usize, flags: u32) -> (NTSTATUS, Vec<u8>) {
        self.start_receive(n, flags).wait()
    }

    fn start_disconnect(self, flags: u32) -> Pending {
        // SAFETY: the table's function.
        let f: BufFn = unsafe { transmute(self.table().disconnect) };
        let done = Box::<Done>::default();
        let irp = irp_for(&done);
        let mut data = Vec::new();
        let mdl = Box::new(mdl_of(&mut data, null_mut()));
        f(self.0, std::ptr::null(), flags, irp);
        Pending { done, irp, _mdl: mdl, data }
    }

    fn disconnect(self, flags: u32) -> NTSTATUS {
        self.start_disconnect(flags).wait().0
    }

    fn address(self, f: usize) -> (NTSTATUS, Vec<u8>) {
        // SAFETY: the table's function.
        let f: LocalFn = unsafe { transmute(f) };
        let mut out = vec![0u8; address::MAX];
        (call(|irp| f(self.0, out.as_mut_ptr(), irp)).0, out)
    }

    fn events(self, mask: u32) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: ControlFn = unsafe { transmute(self.table().control) };
        let control = EventCallbackControl { npi_id: &INTERFACE_ID, mask };
        let input = (&raw const control).cast();
        f(self.0, 0, SO_WSK_EVENT_CALLBACK, SOL_SOCKET, 16, input, 0, null_mut(), null_mut(), null_mut())
    }

    fn option(self, level: u32, code: u32, value: u32) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: ControlFn = unsafe { transmute(self.table().control) };
        let v = value.to_le_bytes();
        call(|irp| f(self.0, 0, code, level, 4, v.as_ptr().cast(), 0, null_mut(), null_mut(), irp)).0
    }

    fn release(self, list: usize) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: ReleaseFn = unsafe { transmute(self.table().release) };
        f(self.0, list as *mut DatagramIndication)
    }

    fn close(self) {
        // SAFETY: the table's function.
        let f: CloseFn = unsafe { transmute(self.table().close) };
        assert_eq!(call(|irp| f(self.0, irp)).0, status::SUCCESS);
    }
}

fn socket(client: &Client, family: u16, peer: &Peer) -> Wsk {
    // SAFETY: the provider's table.
    let f: SocketFn = unsafe { transmute((*client.npi.dispatch).wsk_socket) };
    let context = std::ptr::from_ref(peer).cast_mut().cast();
    let events = (&raw const EVENTS).cast();
    let (s, info) = call(|irp| {
        f(client.npi.client, family, 1, 6, FLAG_CONNECTION, context, events, null_mut(), null_mut(), null_mut(), irp)
    });
    assert_eq!(s, status::SUCCESS);
    Wsk(info as *mut c_void)
}

/// A socket connected to a socket of the host's.
fn connected(client: &Client, family: u16, peer: &Peer) -> (Wsk, TcpStream) {
    let listener = TcpListener::bind(if family == af::INET { "127.0.0.1:0" } else { "[::1]:0" }).expect("socket");
    let s = socket(client, family, peer);
    assert_eq!(s.bind(family), status::SUCCESS);
    let to = loopback(family, listener.local_addr().expect("address").port());
    assert_eq!(s.start_connect(&to).wait().0, status::SUCCESS);
    let (other, _) = listener.accept().expect("connection");
    let (code, remote) = s.address(s.table().get_remote_address);
    assert_eq!((code, &remote[..to.len()]), (status::SUCCESS, &to[..]));
    (s, other)
}

/// When calls complete, over which IP version.
const MODES: [(Completion, u16); 4] = [
    (Completion::Inline, af::INET),
    (Completion::Async, af::INET6),
    (Completion::Alternate, af::INET),
    (Completion::Alternate, af::INET6),
];

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i / 251) as u8 ^ (i as u8).wrapping_mul(7)).collect()
}

#[test]
fn a_connection_carries_bytes_both_ways_whatever_completes_when() {
    let _one = alone();
    let before = violations();
    for (mode, family) in MODES {
        set_completion(mode);
        let client = Client::new();
        let peer = Peer::default();
        let (s, mut other) = connected(&client, family, &peer);
        assert_eq!(s.option(IPPROTO_TCP, 1, 1), status::SUCCESS);
        assert_eq!(s.option(SOL_SOCKET, 8, 1), status::SUCCESS);
        let data = bytes(3_000_000);
        let sent = data.clone();
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; sent.len()];
            other.read_exact(&mut got).expect("read");
            assert!(got == sent);
            other.write_all(&sent).expect("write");
            other
        });
        for piece in data.chunks(100_000) {
            assert_eq!(s.send(piece), (status::SUCCESS, piece.len()));
        }
        let mut got = Vec::new();
        while got.len() < data.len() {
            let (code, part) = s.receive(50_000, 0);
            assert_eq!(code, status::SUCCESS);
            assert!(!part.is_empty());
            got.extend(part);
        }
        assert!(got == data);
        let other = reader.join().expect("the peer");
        drop(other);
        assert_eq!(s.receive(10, 0), (status::SUCCESS, Vec::new()), "a FIN is zero bytes");
        assert_eq!(s.receive(10, 0), (status::SUCCESS, Vec::new()));
        assert_eq!(s.disconnect(0), status::SUCCESS);
        assert_eq!(s.send(&[1]).0, status::CONNECTION_DISCONNECTED);
        s.close();
        client.end();
    }
    set_completion(Completion::Alternate);
    assert_eq!(violations(), before);
}

#[test]
fn sends_that_pend_keep_their_order() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    // More than both ends buffer, so that most of it pends.
    let pieces: Vec<Vec<u8>> = (0..200u8).map(|i| vec![i; 100_000 + usize::from(i)]).collect();
    let calls: Vec<Pending> = pieces.iter().map(|p| s.start_send(p)).collect();
    assert!(!calls[199].is_done(), "nobody reads yet");
    let expected = pieces.concat();
    let mut got = vec![0; expected.len()];
    other.read_exact(&mut got).expect("read");
    assert!(got == expected);
    for (c, p) in calls.into_iter().zip(&pieces) {
        let (code, sent) = c.wait();
        assert_eq!((code, sent.len()), (status::SUCCESS, p.len()));
    }
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn a_send_of_an_mdl_chain_with_an_offset() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let (mut a, mut b, mut c) = ([1u8; 10], [2u8; 1], [3u8; 30]);
    let mut third = mdl_of(&mut c, null_mut());
    let mut second = mdl_of(&mut b, &raw mut third);
    let mut first = mdl_of(&mut a, &raw mut second);
    let buf = Buf { mdl: &raw mut first, offset: 4, length: 17 };
    // SAFETY: the table's function.
    let f: BufFn = unsafe { transmute(s.table().send) };
    assert_eq!(call(|irp| f(s.0, &buf, 0, irp)), (status::SUCCESS, 17));
    let mut got = [0; 17];
    other.read_exact(&mut got).expect("read");
    assert_eq!(got, [1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn receives_are_cancelled_one_by_one() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let calls: Vec<Pending> = (0..3).map(|_| s.start_receive(4, 0)).collect();
    assert!(calls[1].cancel());
    other.write_all(b"abcdefgh").expect("write");
    let mut calls = calls.into_iter();
    assert_eq!(calls.next().expect("first").wait(), (status::SUCCESS, b"abcd".to_vec()));
    assert_eq!(calls.next().expect("second").wait().0, status::CANCELLED);
    assert_eq!(calls.next().expect("third").wait(), (status::SUCCESS, b"efgh".to_vec()));
    let pending = s.start_receive(4, 0);
    s.close();
    assert_eq!(pending.wait().0, status::CANCELLED);
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn waitall_waits_and_drain_discards() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let all = s.start_receive(10, WAITALL);
    other.write_all(b"0123").expect("write");
    let other_half = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        other.write_all(b"456789ab").expect("write");
        other
    });
    assert_eq!(all.wait(), (status::SUCCESS, b"0123456789".to_vec()));
    let mut other = other_half.join().expect("thread");
    let all = s.start_receive(10, WAITALL);
    other.write_all(b"c").expect("write");
    other.shutdown(std::net::Shutdown::Write).expect("shutdown");
    assert_eq!(all.wait(), (status::SUCCESS, b"abc".to_vec()), "a FIN ends the wait");
    s.close();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let drain = s.start_receive(0, DRAIN);
    other.write_all(&bytes(100_000)).expect("write");
    assert!(!drain.is_done());
    drop(other);
    assert_eq!(drain.wait(), (status::SUCCESS, Vec::new()));
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

/// Makes the host's socket end with a reset.
fn reset(s: TcpStream) {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a linger of ours, its size stated.
    unsafe { libc::setsockopt(s.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), 8) };
    drop(s);
}

#[test]
fn a_reset_fails_receives_and_sends() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, other) = connected(&client, af::INET, &peer);
    let pending = s.start_receive(10, 0);
    reset(other);
    assert_eq!(pending.wait().0, status::CONNECTION_RESET);
    assert_eq!(s.receive(10, 0).0, status::CONNECTION_RESET);
    assert_eq!(s.send(&[1; 10]).0, status::CONNECTION_RESET);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn an_abortive_disconnect_ends_everything() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let sends: Vec<Pending> = (0..100).map(|_| s.start_send(&[7; 100_000])).collect();
    let receive = s.start_receive(10, 0);
    assert!(!sends[99].is_done());
    let graceful = s.start_disconnect(0);
    assert!(!graceful.is_done(), "it waits for the sends");
    assert_eq!(s.disconnect(ABORTIVE), status::SUCCESS);
    assert_eq!(receive.wait().0, status::CONNECTION_ABORTED);
    assert_ne!(graceful.wait().0, status::SUCCESS);
    assert_ne!(sends.into_iter().map(|p| p.wait().0).last(), Some(status::SUCCESS));
    let mut rest = Vec::new();
    assert_eq!(other.read_to_end(&mut rest).expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(s.send(&[1]).0, status::CONNECTION_ABORTED);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn a_graceful_disconnect_sends_everything_and_still_receives() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET6, &peer);
    let sends: Vec<Pending> = (0..100).map(|_| s.start_send(&[7; 100_000])).collect();
    let graceful = s.start_disconnect(0);
    let mut got = Vec::new();
    other.read_to_end(&mut got).expect("read");
    assert_eq!(got.len(), 10_000_000);
    assert_eq!(graceful.wait().0, status::SUCCESS);
    assert!(sends.into_iter().all(|p| p.wait().0 == status::SUCCESS));
    other.write_all(b"still").expect("write");
    assert_eq!(s.receive(5, WAITALL), (status::SUCCESS, b"still".to_vec()));
    // Not over in both directions: closing resets.
    s.close();
    wait_for("reset", || other.write_all(b"x").is_err());
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn indications_are_taken_kept_refused_and_halved() {
    let _one = alone();
    let before = violations();
    for segments in [0, 700] {
        net::set_segments(segments);
        let client = Client::new();
        let peer = Peer::default();
        let (s, mut other) = connected(&client, af::INET, &peer);
        assert_eq!(s.events(EVENT_RECEIVE | EVENT_DISCONNECT | EVENT_SEND_BACKLOG), status::SUCCESS);
        let data = bytes(200_000);
        let got = |n: usize| wait_for("data", || peer.got.lock().expect("lock").len() >= n);
        other.write_all(&data[..50_000]).expect("write");
        got(50_000);
        peer.mode.store(KEEP, Ordering::SeqCst);
        other.write_all(&data[50_000..100_000]).expect("write");
        got(100_000);
        peer.mode.store(REFUSE, Ordering::SeqCst);
        let calls = peer.calls.load(Ordering::SeqCst);
        other.write_all(&data[100_000..150_000]).expect("write");
        wait_for("refusal", || peer.calls.load(Ordering::SeqCst) == calls + 1);
        std::thread::sleep(Duration::from_millis(10));
        assert_eq!(peer.calls.load(Ordering::SeqCst), calls + 1, "no callback before the next WskReceive");
        // A receive takes what was refused.
        let (code, part) = s.receive(1000, WAITALL);
        assert_eq!((code, part.len()), (status::SUCCESS, 1000));
        peer.got.lock().expect("lock").extend(part);
        peer.mode.store(HALF, Ordering::SeqCst);
        for list in std::mem::take(&mut *peer.kept.lock().expect("lock")) {
            assert_eq!(s.release(list), status::SUCCESS);
        }
        other.write_all(&data[150_000..]).expect("write");
        // Each time half is left, a receive without length lets the callbacks go on.
        while peer.got.lock().expect("lock").len() < data.len() {
            assert_eq!(s.receive(0, 0).0, status::SUCCESS);
        }
        assert!(*peer.got.lock().expect("lock") == data);
        if segments != 0 {
            assert!(peer.mdls.load(Ordering::SeqCst) > 2 * 200_000 / 700, "chains");
        }
        peer.mode.store(TAKE, Ordering::SeqCst);
        drop(other);
        wait_for("the end", || peer.ends.lock().expect("lock").len() == 1);
        assert_eq!(*peer.ends.lock().expect("lock"), [0]);
        s.close();
        client.end();
    }
    net::set_segments(0);
    assert_eq!(violations(), before);
}

#[test]
fn the_disconnect_event_tells_a_reset_though_nobody_reads() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    assert_eq!(s.events(EVENT_DISCONNECT), status::SUCCESS);
    other.write_all(b"unread").expect("write");
    reset(other);
    wait_for("the end", || peer.ends.lock().expect("lock").len() == 1);
    assert_eq!(*peer.ends.lock().expect("lock"), [ABORTIVE]);
    assert_eq!(s.events(EVENT_DISCONNECT | EVENT_DISABLE), status::SUCCESS);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn segments_bound_what_a_receive_gets() {
    let _one = alone();
    let before = violations();
    net::set_segments(5);
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let data = bytes(500);
    other.write_all(&data).expect("write");
    let (mut got, mut sizes) = (Vec::new(), [0; 6]);
    while got.len() < data.len() {
        let (code, part) = s.receive(100, 0);
        assert_eq!(code, status::SUCCESS);
        sizes[part.len()] += 1;
        got.extend(part);
    }
    assert_eq!(got, data);
    assert!(sizes[0] == 0 && sizes[1..].iter().all(|n| *n > 0), "{sizes:?}");
    net::set_segments(0);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

/// Not a check: `cargo test --release wsk -- --ignored --nocapture` prints what a stream carries.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_stream() {
    const PIECE: usize = 44_800;
    const TOTAL: usize = 20_000 * PIECE;
    let _one = alone();
    set_completion(Completion::Alternate);
    let client = Client::new();
    let peer = Peer::default();
    let (s, mut other) = connected(&client, af::INET, &peer);
    let mut sink = other.try_clone().expect("clone");
    let reader = std::thread::spawn(move || {
        let (mut buffer, mut left) = (vec![0; 1 << 18], TOTAL);
        while left != 0 {
            left -= sink.read(&mut buffer).expect("read");
        }
    });
    // A batch of 32 frames, each in an MDL of its own.
    let mut data = vec![[7u8; 1400]; 32];
    let mut mdls: Vec<MDL> = data.iter_mut().map(|d| mdl_of(d, null_mut())).collect();
    for i in 0..31 {
        mdls[i].Next = &raw mut mdls[i + 1];
    }
    let buf = Buf { mdl: mdls.as_mut_ptr(), offset: 0, length: PIECE };
    // SAFETY: the table's functions.
    let send: BufFn = unsafe { transmute(s.table().send) };
    // SAFETY: as above.
    let receive: BufFn = unsafe { transmute(s.table().receive) };
    let run = |what: &str, f: BufFn, buf: &Buf| {
        let start = std::time::Instant::now();
        let (mut left, mut calls) = (TOTAL, 0u64);
        while left != 0 {
            let done = Done::default();
            let irp = irp_for(&done);
            irql::at(irql::DISPATCH, || f(s.0, buf, 0, irp));
            while !done.completed.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            left -= done.information.load(Ordering::SeqCst) as usize;
            // SAFETY: completed.
            unsafe { io::free_irp(irp) };
            calls += 1;
        }
        let t = start.elapsed();
        println!("{what}: {} MB/s, {} bytes a call", TOTAL as u128 / t.as_micros(), TOTAL as u64 / calls);
    };
    run("sent", send, &buf);
    reader.join().expect("the reader");
    let writer = std::thread::spawn(move || {
        let buffer = vec![1; 1 << 18];
        let mut left = TOTAL;
        while left != 0 {
            left -= other.write(&buffer[..left.min(1 << 18)]).expect("write");
        }
        other
    });
    let mut large = vec![0u8; 65536];
    let mut mdl = mdl_of(&mut large, null_mut());
    run("received", receive, &Buf { mdl: &raw mut mdl, offset: 0, length: 65536 });
    let _other = writer.join().expect("the writer");
    s.close();
    client.end();
}
