//! A client in Rust that calls WSK as a driver does: by its exports and function tables.

use super::abi::*;
use super::{Completion, address, net, registration, set_completion};
use crate::nt::{IRP, MDL, NTSTATUS, af, mdl_flags, status};
use crate::{io, irql, report};
use std::ffi::c_void;
use std::mem::transmute;
use std::net::UdpSocket;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

mod loopback;

pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    report::collect(true);
    guard
}

pub(super) fn seen(rule: &str) -> usize {
    report::collected().iter().filter(|t| t.starts_with(&format!("violation: {rule}\n"))).count()
}

/// Violations of WSK's, to see that a clean run adds none.
pub(super) fn violations() -> usize {
    report::collected().iter().filter(|t| t.starts_with("violation: wsk.")).count()
}

pub(super) fn wait_for(what: &str, mut f: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !f() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[derive(Default)]
pub(super) struct Done {
    pub(super) completed: AtomicBool,
    pub(super) times: AtomicUsize,
    pub(super) status: AtomicI32,
    pub(super) information: AtomicU64,
}

unsafe extern "win64" fn on_complete(
    _device: *mut crate::nt::DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the context of `irp_for`.
    let done = unsafe { &*context.cast::<Done>() };
    // SAFETY: the completed IRP.
    let s = unsafe { &(*irp).IoStatus };
    done.status.store(s.Status, Ordering::SeqCst);
    done.information.store(s.Information, Ordering::SeqCst);
    done.times.fetch_add(1, Ordering::SeqCst);
    done.completed.store(true, Ordering::SeqCst);
    status::MORE_PROCESSING_REQUIRED
}

pub(super) fn irp_for(done: &Done) -> Irp {
    let irp = io::allocate_irp(1);
    // SAFETY: a fresh IRP with one location; `done` outlives it in these tests.
    unsafe { io::set_completion(irp, on_complete, std::ptr::from_ref(done).cast_mut().cast()) };
    irp
}

/// Runs a call with an IRP and waits for it.
pub(super) fn call(f: impl FnOnce(Irp) -> NTSTATUS) -> (NTSTATUS, u64) {
    let done = Done::default();
    let irp = irp_for(&done);
    let returned = f(irp);
    wait_for("completion", || done.completed.load(Ordering::SeqCst));
    let s = done.status.load(Ordering::SeqCst);
    assert!(returned == status::PENDING || returned == s, "returned {returned:#x}, completed {s:#x}");
    std::thread::sleep(Duration::from_micros(50));
    assert_eq!(done.times.load(Ordering::SeqCst), 1);
    // SAFETY: completed and reclaimed by the routine.
    unsafe { io::free_irp(irp) };
    (s, done.information.load(Ordering::SeqCst))
}

pub(super) type SocketFn = extern "win64" fn(
    *mut c_void,
    u16,
    u16,
    u32,
    u32,
    *mut c_void,
    *const c_void,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    Irp,
) -> NTSTATUS;
pub(super) type ControlFn = extern "win64" fn(
    *mut c_void,
    u32,
    u32,
    u32,
    usize,
    *const c_void,
    usize,
    *mut c_void,
    *mut usize,
    Irp,
) -> NTSTATUS;
pub(super) type CloseFn = extern "win64" fn(*mut c_void, Irp) -> NTSTATUS;
pub(super) type BindFn = extern "win64" fn(*mut c_void, *const u8, u32, Irp) -> NTSTATUS;
type SendToFn = extern "win64" fn(*mut c_void, *const Buf, u32, *const u8, u32, *const u8, Irp) -> NTSTATUS;
type SendMessagesFn = extern "win64" fn(*mut c_void, *const BufList, u32, *const u8, u32, *const u8, Irp) -> NTSTATUS;
type ReceiveFromFn =
    extern "win64" fn(*mut c_void, *const Buf, u32, *mut u8, *mut u32, *mut c_void, *mut u32, Irp) -> NTSTATUS;
pub(super) type ReleaseFn = extern "win64" fn(*mut c_void, *mut DatagramIndication) -> NTSTATUS;
pub(super) type LocalFn = extern "win64" fn(*mut c_void, *mut u8, Irp) -> NTSTATUS;

pub(super) struct Client {
    memory: Box<RegistrationMemory>,
    _dispatch: Box<ClientDispatch>,
    pub(super) npi: ProviderNpi,
}

impl Client {
    pub(super) fn new() -> Self {
        let dispatch = Box::new(ClientDispatch { version: VERSION, reserved: 0, client_event: 0 });
        let npi = ClientNpi { context: null_mut(), dispatch: &raw const *dispatch };
        let mut memory = Box::new(RegistrationMemory { state: 0, context: null_mut(), lock: 0 });
        assert_eq!(registration::register(&npi, &mut *memory), status::SUCCESS);
        let mut provider = ProviderNpi { client: null_mut(), dispatch: null() };
        assert_eq!(registration::capture(&mut *memory, INFINITE_WAIT, &mut provider), status::SUCCESS);
        Self { memory, _dispatch: dispatch, npi: provider }
    }

    fn socket(&self, family: u16, context: &Receiver) -> Wsk {
        // SAFETY: the provider's table.
        let f: SocketFn = unsafe { transmute((*self.npi.dispatch).wsk_socket) };
        let context = std::ptr::from_ref(context).cast_mut().cast();
        let events = (&raw const EVENTS).cast();
        let (s, info) = call(|irp| {
            f(self.npi.client, family, 2, 17, FLAG_DATAGRAM, context, events, null_mut(), null_mut(), null_mut(), irp)
        });
        assert_eq!(s, status::SUCCESS);
        Wsk(info as *mut c_void)
    }

    pub(super) fn end(mut self) {
        registration::release(&mut *self.memory);
        registration::deregister(&mut *self.memory);
    }
}

/// What the callback does with a list.
const KEEP: i32 = 1;
const REFUSE: i32 = 2;
const WAIT: i32 = 3;
const RELEASE_EARLY: i32 = 4;

/// Bytes, remote address, control information.
type Datagram = (Vec<u8>, Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Receiver {
    mode: AtomicI32,
    socket: AtomicUsize,
    calls: AtomicUsize,
    ends: AtomicUsize,
    closed: AtomicBool,
    after_close: AtomicBool,
    got: Mutex<Vec<Datagram>>,
    kept: Mutex<Vec<usize>>,
    /// The threads that the calls came on.
    threads: Mutex<Vec<ThreadId>>,
}

static EVENTS: ClientDatagramDispatch = ClientDatagramDispatch { receive_from_event: Some(on_datagrams) };

/// The bytes of a WSK_BUF, as a driver gathers them.
pub(super) fn gather(b: &Buf) -> Vec<u8> {
    let (mut out, mut mdl, mut skip) = (Vec::new(), b.mdl, b.offset as usize);
    while out.len() < b.length {
        // SAFETY: the indication's MDL chain.
        let m = unsafe { &*mdl };
        let n = (m.ByteCount as usize - skip).min(b.length - out.len());
        // SAFETY: mapped, as its flags say.
        out.extend_from_slice(unsafe {
            std::slice::from_raw_parts(m.MappedSystemVa.cast::<u8>().wrapping_add(skip), n)
        });
        skip = 0;
        mdl = m.Next;
    }
    out
}

unsafe extern "win64" fn on_datagrams(context: *mut c_void, flags: u32, list: *mut DatagramIndication) -> NTSTATUS {
    // SAFETY: the context given to WskSocket.
    let r = unsafe { &*context.cast::<Receiver>() };
    assert_eq!(flags, AT_DISPATCH);
    assert_eq!(irql::current(), irql::DISPATCH);
    if list.is_null() {
        r.ends.fetch_add(1, Ordering::SeqCst);
        return status::SUCCESS;
    }
    r.calls.fetch_add(1, Ordering::SeqCst);
    r.threads.lock().expect("lock").push(std::thread::current().id());
    if r.closed.load(Ordering::SeqCst) {
        r.after_close.store(true, Ordering::SeqCst);
    }
    let mode = r.mode.load(Ordering::SeqCst);
    if mode == REFUSE {
        return status::DATA_NOT_ACCEPTED;
    }
    if mode == WAIT {
        super::check_wait();
    }
    let mut node = list;
    while !node.is_null() {
        // SAFETY: a node of the list.
        let n = unsafe { &*node };
        // SAFETY: an address of at most 28 bytes lives with the node.
        let from = unsafe { std::slice::from_raw_parts(n.remote_address, address::MAX) }.to_vec();
        let control = if n.control_info.is_null() {
            Vec::new()
        } else {
            // SAFETY: that many bytes of control information.
            unsafe { std::slice::from_raw_parts(n.control_info.cast::<u8>(), n.control_info_length as usize) }.to_vec()
        };
        r.got.lock().expect("lock").push((gather(&n.buffer), from, control));
        node = n.next;
    }
    if mode == KEEP {
        r.kept.lock().expect("lock").push(list as usize);
        return status::PENDING;
    }
    if mode == RELEASE_EARLY {
        assert_eq!(Wsk(r.socket.load(Ordering::SeqCst) as *mut c_void).release(list as usize), status::SUCCESS);
        return status::PENDING;
    }
    status::SUCCESS
}

#[derive(Clone, Copy)]
struct Wsk(*mut c_void);

// SAFETY: a WSK socket may be used from any thread.
unsafe impl Send for Wsk {}

impl Wsk {
    fn table(self) -> &'static DatagramDispatch {
        // SAFETY: a WSK_SOCKET begins with its dispatch table.
        unsafe { &**self.0.cast::<*const DatagramDispatch>() }
    }

    fn bind(self, address: &[u8]) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: BindFn = unsafe { transmute(self.table().bind) };
        call(|irp| f(self.0, address.as_ptr(), 0, irp)).0
    }

    fn local(self) -> Vec<u8> {
        // SAFETY: the table's function.
        let f: LocalFn = unsafe { transmute(self.table().get_local_address) };
        let mut out = vec![0u8; address::MAX];
        assert_eq!(call(|irp| f(self.0, out.as_mut_ptr(), irp)).0, status::SUCCESS);
        out
    }

    fn events(self, mask: u32) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: ControlFn = unsafe { transmute(self.table().control) };
        let control = EventCallbackControl { npi_id: &INTERFACE_ID, mask };
        f(
            self.0,
            0,
            SO_WSK_EVENT_CALLBACK,
            SOL_SOCKET,
            16,
            (&raw const control).cast(),
            0,
            null_mut(),
            null_mut(),
            null_mut(),
        )
    }

    fn control(self, request: u32, code: u32, level: u32, input: &[u8]) -> NTSTATUS {
        // SAFETY: the table's function.
        let f: ControlFn = unsafe { transmute(self.table().control) };
        call(|irp| f(self.0, request, code, level, input.len(), input.as_ptr().cast(), 0, null_mut(), null_mut(), irp))
            .0
    }

    fn send(self, data: &mut [u8], to: &[u8], control: &[u8]) -> (NTSTATUS, u64) {
        // SAFETY: the table's function.
        let f: SendToFn = unsafe { transmute(self.table().send_to) };
        let mut mdl = mdl_of(data, null_mut());
        let buf = Buf { mdl: &raw mut mdl, offset: 0, length: data.len() };
        let control_at = if control.is_empty() { null() } else { control.as_ptr() };
        call(|irp| f(self.0, &buf, 0, to.as_ptr(), control.len() as u32, control_at, irp))
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

pub(super) fn mdl_of(data: &mut [u8], next: *mut MDL) -> MDL {
    let p = data.as_mut_ptr();
    MDL {
        Next: next,
        Size: 56,
        MdlFlags: mdl_flags::SOURCE_IS_NONPAGED_POOL,
        Process: null_mut(),
        MappedSystemVa: p.cast(),
        StartVa: (p as usize & !0xFFF) as *mut c_void,
        ByteCount: data.len() as u32,
        ByteOffset: (p as usize & 0xFFF) as u32,
    }
}

pub(super) fn loopback(family: u16, port: u16) -> Vec<u8> {
    let mut a = vec![0u8; if family == af::INET { 16 } else { 28 }];
    a[..2].copy_from_slice(&family.to_le_bytes());
    a[2..4].copy_from_slice(&port.to_be_bytes());
    if family == af::INET {
        a[4..8].copy_from_slice(&[127, 0, 0, 1]);
    } else {
        a[23] = 1;
    }
    a
}

fn opened(client: &Client, family: u16, receiver: &Receiver) -> (Wsk, Vec<u8>) {
    let s = client.socket(family, receiver);
    assert_eq!(s.bind(&loopback(family, 0)), status::SUCCESS);
    receiver.socket.store(s.0 as usize, Ordering::SeqCst);
    let local = s.local();
    assert_eq!(u16::from_le_bytes([local[0], local[1]]), family);
    (s, local)
}

#[test]
fn datagrams_travel_both_ways_whatever_completes_when() {
    let _one = alone();
    let before = violations();
    for (mode, family) in [
        (Completion::Inline, af::INET),
        (Completion::Async, af::INET6),
        (Completion::Alternate, af::INET),
        (Completion::Alternate, af::INET6),
    ] {
        set_completion(mode);
        let client = Client::new();
        let (a_rx, b_rx) = (Receiver::default(), Receiver::default());
        let (a, _) = opened(&client, family, &a_rx);
        let (b, b_at) = opened(&client, family, &b_rx);
        assert_eq!(a.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        assert_eq!(b.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        let mut data: Vec<u8> = (0..700).map(|i| i as u8).collect();
        assert_eq!(a.send(&mut data, &b_at, &[]), (status::SUCCESS, 700));
        wait_for("datagram", || b_rx.got.lock().expect("lock").len() == 1);
        let from = {
            let got = b_rx.got.lock().expect("lock");
            assert_eq!(got[0].0, data);
            got[0].1.clone()
        };
        assert_eq!(b.send(&mut [9; 10], &from, &[]), (status::SUCCESS, 10));
        wait_for("answer", || a_rx.got.lock().expect("lock").len() == 1);
        a.close();
        b.close();
        client.end();
    }
    set_completion(Completion::Alternate);
    assert_eq!(violations(), before);
}

#[test]
fn message_lists_go_out_whole_and_in_order() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let rx = Receiver::default();
    rx.mode.store(KEEP, Ordering::SeqCst);
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    let mut data: Vec<[Vec<u8>; 2]> = (0..200u8).map(|i| [vec![i; 3], vec![!i; 100 + usize::from(i)]]).collect();
    // Each datagram in two MDLs, the first entered at an offset.
    let mut mdls: Vec<[MDL; 2]> = Vec::new();
    for [head, body] in &mut data {
        mdls.push([mdl_of(head, null_mut()), mdl_of(body, null_mut())]);
    }
    for pair in &mut mdls {
        pair[0].Next = &raw mut pair[1];
    }
    let mut list: Vec<BufList> = Vec::new();
    for (i, pair) in mdls.iter_mut().enumerate() {
        list.push(BufList { next: null_mut(), buffer: Buf { mdl: &raw mut pair[0], offset: 1, length: 102 + i } });
    }
    for i in 0..199 {
        list[i].next = &raw mut list[i + 1];
    }
    // SAFETY: the table's function.
    let f: SendMessagesFn = unsafe { transmute(s.table().send_messages) };
    let total: u64 = (0..200).map(|i| 102 + i).sum();
    assert_eq!(call(|irp| f(s.0, list.as_ptr(), 0, at.as_ptr(), 0, null(), irp)), (status::SUCCESS, total));
    wait_for("all", || rx.got.lock().expect("lock").len() == 200);
    for (i, (bytes, ..)) in rx.got.lock().expect("lock").iter().enumerate() {
        let [head, body] = &data[i];
        assert_eq!(*bytes, [&head[1..], &body[..]].concat());
    }
    let kept = std::mem::take(&mut *rx.kept.lock().expect("lock"));
    assert!(kept.len() < 200, "lists hold several datagrams");
    for list in kept {
        assert_eq!(s.release(list), status::SUCCESS);
    }
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn retained_lists_are_released_once_and_before_close() {
    let _one = alone();
    let client = Client::new();
    let rx = Receiver::default();
    rx.mode.store(KEEP, Ordering::SeqCst);
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    s.send(&mut [1; 4], &at, &[]);
    wait_for("list", || rx.kept.lock().expect("lock").len() == 1);
    let first = rx.kept.lock().expect("lock")[0];
    let twice = seen("wsk.indication-released-twice");
    assert_eq!(s.release(first), status::SUCCESS);
    assert_eq!(s.release(first), status::INVALID_PARAMETER);
    assert_eq!(seen("wsk.indication-released-twice"), twice + 1);
    // Released on another thread before the callback has returned: allowed.
    rx.mode.store(RELEASE_EARLY, Ordering::SeqCst);
    s.send(&mut [2; 4], &at, &[]);
    wait_for("early", || rx.got.lock().expect("lock").len() == 2);
    assert_eq!(seen("wsk.indication-released-twice"), twice + 1);
    rx.mode.store(KEEP, Ordering::SeqCst);
    s.send(&mut [3; 4], &at, &[]);
    wait_for("kept", || rx.kept.lock().expect("lock").len() == 2);
    std::thread::sleep(Duration::from_millis(5));
    let missing = seen("wsk.release-missing");
    // SAFETY: the table's function.
    let release: ReleaseFn = unsafe { transmute(s.table().release) };
    s.close();
    assert_eq!(seen("wsk.release-missing"), missing + 1);
    let bad = seen("wsk.bad-socket");
    assert_eq!(release(s.0, null_mut()), status::INVALID_PARAMETER);
    assert_eq!(seen("wsk.bad-socket"), bad + 1);
    client.end();
}

#[test]
fn a_large_datagram_comes_as_an_mdl_chain() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    let mut big: Vec<u8> = (0..9000).map(|i| (i / 7) as u8).collect();
    assert_eq!(s.send(&mut big, &at, &[]), (status::SUCCESS, 9000));
    wait_for("big", || rx.got.lock().expect("lock").len() == 1);
    assert_eq!(rx.got.lock().expect("lock")[0].0, big);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn packet_info_arrives_and_is_obeyed() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let (rx, other) = (Receiver::default(), Receiver::default());
    let (s, at) = opened(&client, af::INET, &rx);
    let (t, _) = opened(&client, af::INET, &other);
    assert_eq!(s.control(0, 19, IPPROTO_IP, &1u32.to_le_bytes()), status::SUCCESS);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    // IN_PKTINFO: send from 127.0.0.1 by any interface.
    let mut control = Vec::new();
    control.extend(24usize.to_le_bytes());
    control.extend([0u8, 0, 0, 0, 19, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(t.send(&mut [5; 8], &at, &control), (status::SUCCESS, 8));
    wait_for("datagram", || rx.got.lock().expect("lock").len() == 1);
    let got = rx.got.lock().expect("lock")[0].2.clone();
    assert_eq!(
        got[..24],
        [&control[..20], &1u32.to_le_bytes()[..]].concat()[..24],
        "destination 127.0.0.1 on interface 1"
    );
    s.close();
    t.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn receive_from_pends_and_completes() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    // SAFETY: the table's function.
    let f: ReceiveFromFn = unsafe { transmute(s.table().receive_from) };
    let mut data = [0u8; 32];
    let mut mdl = mdl_of(&mut data, null_mut());
    let buf = Buf { mdl: &raw mut mdl, offset: 4, length: 20 };
    let (done, mut remote) = (Done::default(), [0u8; 28]);
    let irp = irp_for(&done);
    assert_eq!(f(s.0, &buf, 0, remote.as_mut_ptr(), null_mut(), null_mut(), null_mut(), irp), status::PENDING);
    // The same IRP again, while WSK holds it.
    let reused = seen("wsk.irp-reused-while-pending");
    assert_eq!(
        f(s.0, &buf, 0, remote.as_mut_ptr(), null_mut(), null_mut(), null_mut(), irp),
        status::INVALID_PARAMETER
    );
    assert_eq!(seen("wsk.irp-reused-while-pending"), reused + 1);
    s.send(&mut [7; 10], &at, &[]);
    wait_for("received", || done.completed.load(Ordering::SeqCst));
    assert_eq!(done.information.load(Ordering::SeqCst), 10);
    // SAFETY: completed.
    unsafe { io::free_irp(irp) };
    assert_eq!(std::hint::black_box(&data)[4..14], [7; 10]);
    assert_eq!(remote[..8], at[..8]);
    // One that is pending at close completes as cancelled.
    let done = Done::default();
    let irp = irp_for(&done);
    assert_eq!(f(s.0, &buf, 0, null_mut(), null_mut(), null_mut(), null_mut(), irp), status::PENDING);
    s.close();
    assert_eq!(done.status.load(Ordering::SeqCst), status::CANCELLED);
    // SAFETY: completed.
    unsafe { io::free_irp(irp) };
    client.end();
    assert_eq!(violations(), before + 1);
}

#[test]
fn refused_data_comes_again_when_enabled_again() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let rx = Receiver::default();
    rx.mode.store(REFUSE, Ordering::SeqCst);
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    s.send(&mut [1; 4], &at, &[]);
    wait_for("refused", || rx.calls.load(Ordering::SeqCst) == 1);
    s.send(&mut [2; 4], &at, &[]);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(rx.calls.load(Ordering::SeqCst), 1, "no callback until enabled again");
    rx.mode.store(0, Ordering::SeqCst);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    wait_for("both", || rx.got.lock().expect("lock").len() == 2);
    assert_eq!(s.events(EVENT_RECEIVE_FROM | EVENT_DISABLE), status::SUCCESS);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn no_callback_after_close_under_load() {
    let _one = alone();
    let before = violations();
    let out = UdpSocket::bind("127.0.0.1:0").expect("socket");
    for _ in 0..20 {
        let client = Client::new();
        let rx = Box::new(Receiver::default());
        let (s, at) = opened(&client, af::INET, &rx);
        assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        let port = u16::from_be_bytes([at[2], at[3]]);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let _ = out.send_to(&[1; 64], ("127.0.0.1", port));
                }
            });
            wait_for("traffic", || rx.calls.load(Ordering::SeqCst) > 3);
            s.close();
            rx.closed.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(3));
            stop.store(true, Ordering::SeqCst);
        });
        assert!(!rx.after_close.load(Ordering::SeqCst));
        client.end();
    }
    assert_eq!(violations(), before);
}

#[test]
fn an_icmp_error_ends_nothing() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    let port = {
        let gone = UdpSocket::bind("127.0.0.1:0").expect("socket");
        gone.local_addr().expect("address").port()
    };
    assert_eq!(s.control(2, SIO_SET_REMOTE, 0, &loopback(af::INET, port)), status::SUCCESS);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    for _ in 0..5 {
        assert_eq!(s.send(&mut [1; 9], &loopback(af::INET, port), &[]), (status::SUCCESS, 9));
        std::thread::sleep(Duration::from_millis(2));
    }
    let peer = UdpSocket::bind(("127.0.0.1", port)).expect("socket");
    peer.send_to(b"alive", ("127.0.0.1", u16::from_be_bytes([at[2], at[3]]))).expect("send");
    wait_for("datagram", || rx.got.lock().expect("lock").len() == 1);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

/// What arrives of `n` numbered datagrams through a network.
fn through(network: net::Net, n: u32, expected: usize) -> Vec<u32> {
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    net::put(network);
    for i in 0..n {
        assert_eq!(s.send(&mut i.to_le_bytes(), &at, &[]), (status::SUCCESS, 4));
    }
    wait_for("datagrams", || rx.got.lock().expect("lock").len() >= expected);
    net::put(net::CLEAR);
    s.close();
    client.end();
    let got = rx.got.lock().expect("lock");
    got.iter().map(|d| u32::from_le_bytes(d.0[..].try_into().expect("four bytes"))).collect()
}

#[test]
fn the_network_drops_and_reorders_as_its_seed_says() {
    let _one = alone();
    let before = violations();
    // What a socket's choices are, known from its seed and number alone.
    let network = net::parse("drop=10,reorder=5,seed=7").expect("a network");
    let fate = |number: u64| -> Vec<u32> {
        let choices = net::Choices::of(7, number);
        (0..300).filter(|_| !choices.one_in(network.drop) && [choices.one_in(network.reorder)].len() == 1).collect()
    };
    let number = net::sockets();
    net::put(network);
    let expected = fate(number);
    assert!((200..299).contains(&expected.len()));
    assert_ne!(fate(number), fate(number + 1), "each socket has its own");
    let mut got = through(network, 300, expected.len());
    let late = got.windows(2).filter(|w| w[0] > w[1]).count();
    assert!(late > 20, "{late} came behind a later one");
    got.sort_unstable();
    assert_eq!(got, expected);
    assert_eq!(violations(), before);
}

#[test]
fn the_network_delays() {
    let _one = alone();
    let before = violations();
    let start = Instant::now();
    assert_eq!(through(net::parse("delay=40").expect("a network"), 3, 3), [0, 1, 2]);
    assert!(start.elapsed() >= Duration::from_millis(40));
    assert_eq!(violations(), before);
    for bad in ["", "delay", "delay=x", "lose=3"] {
        assert!(net::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn segments_cut_datagrams_into_chains() {
    let _one = alone();
    let before = violations();
    net::set_segments(1);
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    for n in [0usize, 1, 2, 100, 2002, 2003, 5000] {
        let mut data: Vec<u8> = (0..n).map(|i| (i * 31) as u8).collect();
        assert_eq!(s.send(&mut data, &at, &[]), (status::SUCCESS, n as u64));
        wait_for("datagram", || rx.got.lock().expect("lock").iter().any(|d| d.0 == data));
    }
    net::set_segments(0);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn a_dead_socket_tells_so_and_can_be_closed() {
    let _one = alone();
    let before = violations();
    net::put(net::parse("die=3").expect("a network"));
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
    for _ in 0..3 {
        assert_eq!(s.send(&mut [1; 4], &at, &[]).0, status::SUCCESS);
    }
    wait_for("the end", || rx.ends.load(Ordering::SeqCst) == 1);
    assert_eq!(s.send(&mut [1; 4], &at, &[]).0, status::FILE_FORCED_CLOSED);
    net::put(net::CLEAR);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn a_changed_buffer_is_named_when_the_send_is_looked_at() {
    let _one = alone();
    // Through the queue, where nothing takes the call before it is changed: the queue's lock is held meanwhile.
    let data = [7u8; 100];
    let vecs = [libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: 100 }];
    // SAFETY: our array.
    let before = unsafe { super::lent::fingerprint(&vecs) };
    for i in 0..100 {
        let mut other = data;
        other[i] ^= 1;
        let vecs = [libc::iovec { iov_base: other.as_mut_ptr().cast(), iov_len: 100 }];
        // SAFETY: our array.
        assert_ne!(unsafe { super::lent::fingerprint(&vecs) }, before, "byte {i}");
    }
}

#[test]
fn memory_of_a_pending_call_may_not_be_freed() {
    let _one = alone();
    let client = Client::new();
    let rx = Receiver::default();
    let (s, _) = opened(&client, af::INET, &rx);
    // SAFETY: the table's function.
    let f: ReceiveFromFn = unsafe { transmute(s.table().receive_from) };
    let mut data = [0u8; 32];
    let mut mdl = mdl_of(&mut data, null_mut());
    let buf = Buf { mdl: &raw mut mdl, offset: 4, length: 20 };
    let done = Done::default();
    let irp = irp_for(&done);
    assert_eq!(f(s.0, &buf, 0, null_mut(), null_mut(), null_mut(), null_mut(), irp), status::PENDING);
    let freed = "wsk.buffer-freed-before-completion";
    let before = seen(freed);
    super::before_free(data.as_ptr() as usize, 4, "free");
    assert_eq!(seen(freed), before, "not part of the buffer");
    super::before_free(data.as_ptr() as usize, 5, "free");
    super::before_free(&raw const mdl as usize, 48, "free");
    assert_eq!(seen(freed), before + 2);
    // SAFETY: live until freed below.
    assert!(unsafe { io::cancel_irp(irp) });
    wait_for("cancelled", || done.completed.load(Ordering::SeqCst));
    assert_eq!(done.status.load(Ordering::SeqCst), status::CANCELLED);
    super::before_free(data.as_ptr() as usize, 32, "free");
    assert_eq!(seen(freed), before + 2, "given back");
    // SAFETY: completed.
    unsafe { io::free_irp(irp) };
    s.close();
    client.end();
}

#[test]
fn broken_contracts_are_named() {
    let _one = alone();
    let client = Client::new();
    let rx = Receiver::default();
    let (s, at) = opened(&client, af::INET, &rx);
    let once = |rule: &str, f: &mut dyn FnMut()| {
        let before = seen(rule);
        f();
        assert_eq!(seen(rule), before + 1, "{rule}");
    };
    // SAFETY: the table's function.
    let send: SendToFn = unsafe { transmute(s.table().send_to) };
    let mut data = [0u8; 16];
    let mut mdl = mdl_of(&mut data, null_mut());
    once("wsk.buf-bounds", &mut || {
        let buf = Buf { mdl: &raw mut mdl, offset: 4, length: 13 };
        assert_eq!(call(|irp| send(s.0, &buf, 0, at.as_ptr(), 0, null(), irp)).0, status::INVALID_PARAMETER);
    });
    once("wsk.mdl-not-locked", &mut || {
        mdl.MdlFlags = 0;
        let buf = Buf { mdl: &raw mut mdl, offset: 0, length: 16 };
        assert_eq!(call(|irp| send(s.0, &buf, 0, at.as_ptr(), 0, null(), irp)).0, status::INVALID_PARAMETER);
    });
    once("wsk.buffer-freed-before-completion", &mut || {
        mdl.MdlFlags = i16::from_ne_bytes([crate::pool::FREE_PATTERN; 2]);
        let buf = Buf { mdl: &raw mut mdl, offset: 0, length: 16 };
        assert_eq!(call(|irp| send(s.0, &buf, 0, at.as_ptr(), 0, null(), irp)).0, status::INVALID_PARAMETER);
    });
    once("wsk.irp-missing", &mut || {
        let buf = Buf { mdl: &raw mut mdl, offset: 0, length: 0 };
        assert_eq!(send(s.0, &buf, 0, at.as_ptr(), 0, null(), null_mut()), status::INVALID_PARAMETER);
    });
    once("wsk.wait-in-callback", &mut || {
        rx.mode.store(WAIT, Ordering::SeqCst);
        assert_eq!(s.events(EVENT_RECEIVE_FROM), status::SUCCESS);
        s.send(&mut [1; 4], &at, &[]);
        wait_for("datagram", || rx.got.lock().expect("lock").len() == 1);
    });
    let unbound = client.socket(af::INET, &rx);
    once("wsk.events-too-early", &mut || assert_eq!(unbound.events(EVENT_RECEIVE_FROM), status::INVALID_DEVICE_STATE));
    once("wsk.bad-parameter", &mut || {
        // An IPv6 address on an IPv4 socket.
        assert_eq!(s.send(&mut [1; 4], &loopback(af::INET6, 9), &[]).0, status::INVALID_PARAMETER);
    });
    once("irql.too-high", &mut || {
        let before = irql::raise(irql::DISPATCH);
        let mut memory = RegistrationMemory { state: 0, context: null_mut(), lock: 0 };
        registration::register(null(), &raw mut memory);
        irql::lower(before);
    });
    unbound.close();
    once("wsk.deregister-with-open-sockets", &mut || {
        let at = std::ptr::from_ref(&*client.memory).cast_mut();
        registration::release(at);
        registration::deregister(at);
    });
    s.close();
}

/// Not a check: `cargo test --release wsk -- --ignored --nocapture` prints the cost of a datagram.
#[test]
#[ignore = "a measurement"]
fn cost_of_a_datagram() {
    let _one = alone();
    set_completion(Completion::Inline);
    let client = Client::new();
    let (rx, sink) = (Receiver::default(), UdpSocket::bind("127.0.0.1:0").expect("socket"));
    let (s, _) = opened(&client, af::INET, &rx);
    let to = loopback(af::INET, sink.local_addr().expect("address").port());
    let mut data = [0u8; 1400];
    let mut mdl = mdl_of(&mut data, null_mut());
    let mut list = [BufList { next: null_mut(), buffer: Buf { mdl: &raw mut mdl, offset: 0, length: 1400 } }; 32];
    for i in 0..31 {
        list[i].next = list.as_mut_ptr().wrapping_add(i + 1);
    }
    // SAFETY: the table's function.
    let f: SendMessagesFn = unsafe { transmute(s.table().send_messages) };
    let done = Done::default();
    let irp = irp_for(&done);
    let start = Instant::now();
    let rounds = 10_000;
    for _ in 0..rounds {
        irql::at(irql::DISPATCH, || f(s.0, list.as_ptr(), 0, to.as_ptr(), 0, null(), irp));
        // SAFETY: completed inline.
        unsafe {
            io::irp::reuse_irp(irp, 0);
            io::set_completion(irp, on_complete, std::ptr::from_ref(&done).cast_mut().cast());
        }
    }
    println!("{:?} a datagram sent", start.elapsed() / (rounds * 32));
    // SAFETY: completed.
    unsafe { io::free_irp(irp) };
    s.close();
    client.end();
    set_completion(Completion::Alternate);
}
