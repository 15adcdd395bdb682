//! Connects: how they end, cancelled, and made with their socket.

use super::*;

#[test]
fn a_connect_completes_with_its_reason() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let s = socket(&client, af::INET, &peer);
    let port = {
        let gone = TcpListener::bind("127.0.0.1:0").expect("socket");
        gone.local_addr().expect("address").port()
    };
    let to = loopback(af::INET, port);
    assert_eq!(s.start_connect(&to).wait().0, status::INVALID_DEVICE_STATE, "not bound");
    assert_eq!(s.bind(af::INET), status::SUCCESS);
    assert_eq!(s.start_connect(&to).wait().0, status::CONNECTION_REFUSED);
    // Broadcast: Linux refuses the connect itself.
    let mut far = to.clone();
    far[4..8].copy_from_slice(&[255, 255, 255, 255]);
    assert_ne!(s.start_connect(&far).wait().0, status::SUCCESS);
    assert_eq!(s.send(&[1]).0, status::INVALID_DEVICE_STATE);
    assert_eq!(s.receive(1, 0).0, status::INVALID_DEVICE_STATE);
    assert_eq!(s.disconnect(0), status::INVALID_DEVICE_STATE);
    // The same socket connects where somebody listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("socket");
    let to = loopback(af::INET, listener.local_addr().expect("address").port());
    assert_eq!(s.start_connect(&to).wait().0, status::SUCCESS);
    s.close();
    client.end();
    assert_eq!(violations(), before);
}

/// A port whose listener's queue is full, so that a connect to it does not end.
fn deaf() -> (TcpListener, Vec<TcpStream>, u16) {
    use std::os::fd::AsRawFd;
    let listener = TcpListener::bind("127.0.0.1:0").expect("socket");
    // SAFETY: an open socket.
    unsafe { libc::listen(listener.as_raw_fd(), 0) };
    let at = listener.local_addr().expect("address");
    let mut fill = Vec::new();
    while let Ok(c) = TcpStream::connect_timeout(&at, Duration::from_millis(200)) {
        fill.push(c);
    }
    (listener, fill, at.port())
}

#[test]
fn a_connect_can_be_cancelled() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Peer::default();
    let (_listener, _fill, port) = deaf();
    let s = socket(&client, af::INET, &peer);
    assert_eq!(s.bind(af::INET), status::SUCCESS);
    let c = s.start_connect(&loopback(af::INET, port));
    assert!(!c.is_done());
    assert!(c.cancel(), "there is a cancel routine");
    assert_eq!(c.wait().0, status::CANCELLED);
    // Closing ends one, too.
    let c = s.start_connect(&loopback(af::INET, port));
    assert!(!c.is_done());
    s.close();
    assert_eq!(c.wait().0, status::CANCELLED);
    client.end();
    assert_eq!(violations(), before);
}

#[test]
fn socket_connect_makes_binds_and_connects() {
    let _one = alone();
    let before = violations();
    let client = Client::new();
    let peer = Arc::new(Peer::default());
    let listener = TcpListener::bind("127.0.0.1:0").expect("socket");
    let port = listener.local_addr().expect("address").port();
    type ConnectFn = extern "win64" fn(
        *mut c_void,
        u16,
        u32,
        *const u8,
        *const u8,
        u32,
        *mut c_void,
        *const c_void,
        *mut c_void,
        *mut c_void,
        *mut c_void,
        Irp,
    ) -> NTSTATUS;
    // SAFETY: the provider's table.
    let f: ConnectFn = unsafe { transmute((*client.npi.dispatch).wsk_socket_connect) };
    let connect = |port| {
        let (local, remote) = (loopback(af::INET, 0), loopback(af::INET, port));
        let context = Arc::as_ptr(&peer).cast_mut().cast();
        let events = (&raw const EVENTS).cast();
        call(|irp| {
            let (l, r) = (local.as_ptr(), remote.as_ptr());
            f(client.npi.client, 1, 6, l, r, 0, context, events, null_mut(), null_mut(), null_mut(), irp)
        })
    };
    let (code, socket) = connect(port);
    assert_eq!(code, status::SUCCESS);
    let s = Wsk(socket as *mut c_void);
    let (mut other, _) = listener.accept().expect("connection");
    other.write_all(b"hello").expect("write");
    assert_eq!(s.receive(5, WAITALL), (status::SUCCESS, b"hello".to_vec()));
    s.close();
    drop((other, listener));
    assert_eq!(connect(port), (status::CONNECTION_REFUSED, 0));
    client.end();
    assert_eq!(violations(), before);
}
