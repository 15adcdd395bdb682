//! Listening sockets: connections accepted at once and later, cancelled, and left to Linux.

use super::*;

type AcceptFn = extern "win64" fn(
    *mut c_void,
    u32,
    *mut c_void,
    *const ClientConnectionDispatch,
    *mut u8,
    *mut u8,
    Irp,
) -> NTSTATUS;

/// A `WskAccept` in progress, with where its addresses go.
struct Accepting {
    done: Box<Done>,
    irp: Irp,
    addresses: Box<[[u8; 28]; 2]>,
}

impl Accepting {
    fn wait(self) -> (NTSTATUS, Wsk, [[u8; 28]; 2]) {
        wait_for("an accept", || self.done.completed.load(Ordering::SeqCst));
        // SAFETY: completed.
        unsafe { io::free_irp(self.irp) };
        let socket = self.done.information.load(Ordering::SeqCst) as *mut c_void;
        (self.done.status.load(Ordering::SeqCst), Wsk(socket), *self.addresses)
    }
}

fn listening(client: &Client, family: u16) -> Wsk {
    // SAFETY: the provider's table.
    let f: SocketFn = unsafe { transmute((*client.npi.dispatch).wsk_socket) };
    let none = null_mut();
    let (s, info) =
        call(|irp| f(client.npi.client, family, 1, 6, FLAG_LISTEN, none, std::ptr::null(), none, none, none, irp));
    assert_eq!(s, status::SUCCESS);
    Wsk(info as *mut c_void)
}

fn table(listener: Wsk) -> &'static ListenDispatch {
    // SAFETY: a listening socket begins with its dispatch table.
    unsafe { &**listener.0.cast::<*const ListenDispatch>() }
}

/// A listening socket that is bound, and its port.
fn bound(client: &Client, family: u16) -> (Wsk, u16) {
    let listener = listening(client, family);
    assert_eq!(listener.bind(family), status::SUCCESS);
    let (code, at) = listener.address(table(listener).get_local_address);
    assert_eq!(code, status::SUCCESS);
    (listener, u16::from_be_bytes([at[2], at[3]]))
}

fn accept(listener: Wsk, peer: &Peer) -> Accepting {
    // SAFETY: the table's function.
    let f: AcceptFn = unsafe { transmute(table(listener).accept) };
    let done = Box::<Done>::default();
    let irp = irp_for(&done);
    let mut addresses = Box::new([[0; 28]; 2]);
    let context = std::ptr::from_ref(peer).cast_mut().cast();
    let [local, remote] = &mut *addresses;
    f(listener.0, 0, context, &raw const EVENTS, local.as_mut_ptr(), remote.as_mut_ptr(), irp);
    Accepting { done, irp, addresses }
}

fn host(family: u16, port: u16) -> TcpStream {
    TcpStream::connect((if family == af::INET { "127.0.0.1" } else { "::1" }, port)).expect("connection")
}

#[test]
fn connections_are_accepted_whatever_completes_when() {
    let _one = alone();
    let before = violations();
    for (mode, family) in MODES {
        set_completion(mode);
        let client = Client::new();
        let (listener, port) = bound(&client, family);
        for round in 0..6u8 {
            let peer = Peer::default();
            // The connection is there before, or comes to a call that pends.
            let early = (round % 2 == 0).then(|| host(family, port));
            let pending = accept(listener, &peer);
            if early.is_none() {
                assert!(!pending.done.completed.load(Ordering::SeqCst));
            }
            let mut other = early.unwrap_or_else(|| host(family, port));
            let (code, s, [local, remote]) = pending.wait();
            assert_eq!(code, status::SUCCESS);
            let from = other.local_addr().expect("address").port();
            assert_eq!(local[2..4], port.to_be_bytes());
            assert_eq!(remote[..16], loopback(family, from)[..16]);
            let (code, same) = s.address(s.table().get_remote_address);
            assert_eq!((code, &same[..16]), (status::SUCCESS, &remote[..16]));
            assert_eq!(s.send(&[round; 9]), (status::SUCCESS, 9));
            let mut got = [0; 9];
            other.read_exact(&mut got).expect("read");
            assert_eq!(got, [round; 9]);
            other.write_all(&[7; 5]).expect("write");
            assert_eq!(s.receive(100, 0), (status::SUCCESS, vec![7; 5]));
            // No event was enabled by accepting; they may be now.
            assert_eq!(peer.calls.load(Ordering::SeqCst), 0);
            assert_eq!(s.events(EVENT_RECEIVE | EVENT_DISCONNECT), status::SUCCESS);
            other.write_all(&[8; 5]).expect("write");
            wait_for("data", || *peer.got.lock().expect("lock") == [8; 5]);
            drop(other);
            wait_for("the end", || !peer.ends.lock().expect("lock").is_empty());
            s.close();
        }
        listener.close();
        client.end();
    }
    set_completion(Completion::Alternate);
    assert_eq!(violations(), before);
}

#[test]
fn an_accept_is_cancelled_and_the_next_one_gets_the_connection() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (listener, port) = bound(&client, af::INET);
    for _ in 0..20 {
        let pending = accept(listener, &peer);
        // SAFETY: freed by `wait` only.
        let cancelled = unsafe { io::cancel_irp(pending.irp) };
        assert!(cancelled);
        assert_eq!(pending.wait().0, status::CANCELLED);
        let (first, second) = (accept(listener, &peer), accept(listener, &peer));
        let other = host(af::INET, port);
        let (code, s, _) = first.wait();
        assert_eq!(code, status::SUCCESS);
        assert!(!second.done.completed.load(Ordering::SeqCst));
        // A connection comes as the call is cancelled: whoever wins, it is not lost.
        let racing = std::thread::spawn(move || host(af::INET, port));
        // SAFETY: as above.
        unsafe { io::cancel_irp(second.irp) };
        let (code, raced, _) = second.wait();
        let another = racing.join().expect("connected");
        let raced = if code == status::SUCCESS {
            raced
        } else {
            assert_eq!(code, status::CANCELLED);
            accept(listener, &peer).wait().1
        };
        raced.close();
        s.close();
        drop((other, another));
    }
    // The close ends what pends; what nobody accepted is reset.
    let pending = accept(listener, &peer);
    let (served, _s) = (host(af::INET, port), pending.wait().1);
    let mut waiting = host(af::INET, port);
    listener.close();
    waiting.set_read_timeout(Some(Duration::from_secs(10))).expect("option");
    assert!(waiting.read(&mut [0]).is_err());
    _s.close();
    drop(served);
    let (listener, _) = bound(&client, af::INET6);
    let pending = accept(listener, &peer);
    listener.close();
    assert_eq!(pending.wait().0, status::CANCELLED);
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn a_dead_listening_socket_fails_its_accepts_and_can_be_closed() {
    let _one = alone();
    let before = violations();
    for mode in [Completion::Inline, Completion::Async] {
        set_completion(mode);
        net::put(net::parse("die=2").expect("a network"));
        let client = Client::new();
        let peer = Peer::default();
        let (listener, port) = bound(&client, af::INET);
        // Two of three that pend get a connection, and the third ends with the socket.
        let pending = [(); 3].map(|()| accept(listener, &peer));
        let mut others = [(); 2].map(|()| host(af::INET, port));
        let [first, second, third] = pending.map(Accepting::wait);
        assert_eq!([first.0, second.0, third.0], [status::SUCCESS, status::SUCCESS, status::FILE_FORCED_CLOSED]);
        assert_eq!(accept(listener, &peer).wait().0, status::FILE_FORCED_CLOSED);
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
        net::put(net::CLEAR);
        // A connection outlives it.
        listener.close();
        others[0].write_all(&[7; 5]).expect("write");
        assert_eq!(first.1.receive(100, 0), (status::SUCCESS, vec![7; 5]));
        for s in [first.1, second.1] {
            s.close();
        }
        client.end();
    }
    set_completion(Completion::Alternate);
    assert_eq!(violations(), before);
}

#[test]
fn what_a_listening_socket_is_not() {
    let _one = alone();
    let client = Client::new();
    let peer = Peer::default();
    let (bad, unbound) = (seen("wsk.wrong-dispatch"), seen("wsk.accept-unbound"));
    let listener = listening(&client, af::INET);
    assert_eq!(accept(listener, &peer).wait().0, status::INVALID_DEVICE_STATE);
    assert_eq!(seen("wsk.accept-unbound"), unbound + 1);
    let (s, other) = connected(&client, af::INET, &peer);
    // SAFETY: the table's function.
    let f: BufFn = unsafe { transmute(s.table().receive) };
    assert_eq!(f(listener.0, std::ptr::null(), 0, null_mut()), status::INVALID_PARAMETER);
    assert_eq!(seen("wsk.wrong-dispatch"), bad + 1);
    s.close();
    listener.close();
    drop(other);
    client.end();
}
