//! What breaks a rule, by number, and what breaks none.

use crate::fault;
use crate::nt::{Device, IoFreeMdl, Irp, PENDING, SUCCESS, Status};
use crate::wsk::*;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// What the callback kept, and the event it sets.
static KEPT: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static CALLED: AtomicPtr<Event> = AtomicPtr::new(null_mut());
static SOCKET_TO_CLOSE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// WSK_CLIENT_DATAGRAM_DISPATCH and WSK_CLIENT_CONNECTION_DISPATCH.
#[repr(C)]
struct DatagramEvents(unsafe extern "C" fn(*mut u8, u32, *mut u8) -> Status);
#[repr(C)]
struct ConnectionEvents(unsafe extern "C" fn(*mut u8, u32, *mut u8, usize, *mut usize) -> Status, usize, usize);

static ON_DATAGRAMS: DatagramEvents = DatagramEvents(on_datagrams);
static ON_DATA: ConnectionEvents = ConnectionEvents(on_data, 0, 0);

fn datagram_events() -> *const u8 {
    (&raw const ON_DATAGRAMS).cast()
}

fn connection_events() -> *const u8 {
    (&raw const ON_DATA).cast()
}

unsafe extern "C" fn on_datagrams(_context: *mut u8, _flags: u32, list: *mut u8) -> Status {
    unsafe {
        let status = match fault() {
            15 => UNSUCCESSFUL,
            16 => NOT_ACCEPTED,
            _ => {
                KEPT.store(list, Ordering::Release);
                PENDING
            }
        };
        Event::set(CALLED.load(Ordering::Acquire));
        status
    }
}

unsafe extern "C" fn on_data(
    _context: *mut u8,
    _flags: u32,
    _list: *mut u8,
    indicated: usize,
    accepted: *mut usize,
) -> Status {
    unsafe {
        if fault() == 17 {
            *accepted = indicated + 1;
        }
        BYTES.fetch_add(indicated, Ordering::AcqRel);
        Event::set(CALLED.load(Ordering::Acquire));
    }
    SUCCESS
}

/// Waits in a completion routine.
unsafe extern "C" fn wait_in_completion(_device: Device, _irp: Irp, call: *mut u8) -> Status {
    unsafe { Event::wait(call.cast()) };
    MORE_PROCESSING
}

/// Closes the socket whose call is just completing.
unsafe extern "C" fn close_in_completion(_device: Device, _irp: Irp, call: *mut u8) -> Status {
    unsafe {
        close(SOCKET_TO_CLOSE.load(Ordering::Acquire));
        Event::set(call.cast());
    }
    MORE_PROCESSING
}

/// A new event for the callbacks.
unsafe fn expect_callback() -> *mut Event {
    unsafe {
        let event = allocate(size_of::<Event>()).cast::<Event>();
        Event::init(event);
        CALLED.store(event, Ordering::Release);
        event
    }
}

/// In the driver's entry point, where the network may not be there yet.
pub unsafe fn at_start() {
    if fault() == 30 {
        unsafe { Client::new().end() };
    }
}

pub unsafe fn run(request: Irp) {
    unsafe {
        let client = Client::new();
        match fault() {
            0 => return everything(client),
            2 => {
                client.socket(BASIC, null());
            }
            9 | 16 => client.fix(RECEIVE_FROM),
            18 => {
                client.register();
            }
            19 => {
                client.release();
                client.socket(DATAGRAM, null());
            }
            21 => return client.deregister(),
            22 => {
                let other = allocate(64);
                client.socket_with(other, DATAGRAM, null());
            }
            _ => {}
        }
        let unbound = client.socket(DATAGRAM, datagram_events());
        match fault() {
            1 => {
                let mut ipv6 = LOOPBACK;
                ipv6[0] = 23;
                bind(unbound, &ipv6);
            }
            3 => {
                let call = Call::with(wait_in_completion);
                bind_with(unbound, (*call).irp);
            }
            8 => {
                events(unbound, RECEIVE_FROM);
            }
            11 => {
                bind_with(unbound, Irp(null_mut()));
            }
            12 => {
                // The request's own IRP has no stack location left for WSK.
                bind_with(unbound, request);
            }
            13 => {
                bind_with(unbound, bare_irp());
            }
            20 => {
                client.release();
                client.deregister();
            }
            23 => {
                let bind = bind_function(unbound);
                close(unbound);
                let call = Call::new();
                bind(unbound, LOOPBACK.as_ptr(), 0, (*call).irp);
            }
            _ => {}
        }
        close(unbound);
        match fault() {
            7 | 17 | 26 => connection(&client),
            31..=34 => listening(&client),
            _ => datagrams(&client),
        }
        client.end();
    }
}

unsafe fn datagrams(client: &Client) {
    unsafe {
        let called = expect_callback();
        let (s, at) = client.datagram(if fault() == 10 { null() } else { datagram_events() });
        let m = Memory::new(100);
        match fault() {
            4 => {
                send_to(s, &Buf { length: 101, ..m.buf() }, &at);
            }
            5 => {
                send_to(s, &Memory::unbuilt(100).buf(), &at);
            }
            6 => {
                let call = Call::new();
                receive_from(s, &m.buf(), (*call).irp);
                free(m.data);
            }
            9 => {
                events(s, RECEIVE_FROM | DISABLE);
            }
            10 => {
                events(s, RECEIVE_FROM);
            }
            14 => {
                let call = Call::new();
                receive_from(s, &m.buf(), (*call).irp);
                receive_from(s, &m.buf(), (*call).irp);
            }
            24 => {
                SOCKET_TO_CLOSE.store(s, Ordering::Release);
                let call = Call::with(close_in_completion);
                send_to_with(s, &m.buf(), &at, (*call).irp);
            }
            29 => {
                let call = Call::new();
                receive_from(s, &m.buf(), (*call).irp);
                IoFreeMdl(m.mdl);
            }
            _ => {}
        }
        if fault() != 16 {
            events(s, RECEIVE_FROM);
        }
        send_to(s, &m.buf(), &at);
        Event::wait(called);
        let list = KEPT.swap(null_mut(), Ordering::AcqRel);
        match fault() {
            25 => close(s),
            27 => {
                release(s, list);
                release(s, list);
            }
            28 => {
                release(s, m.data);
            }
            _ => {}
        }
        if !list.is_null() {
            release(s, list);
        }
        close(s);
        m.free();
        free(called.cast());
    }
}

unsafe fn connection(client: &Client) {
    unsafe {
        let called = expect_callback();
        let s = client.connection(connection_events());
        let m = Memory::new(100_000);
        match fault() {
            7 => {
                // Nobody reads: at last a send pends.
                loop {
                    let call = Call::new();
                    if buf_call(s, SEND, &m.buf(), 0, (*call).irp) == PENDING {
                        break;
                    }
                    Call::finish(call);
                }
                *m.data.wrapping_add(99_999) = 1;
                close(s);
            }
            17 => {
                events(s, RECEIVE);
                buf_call_waited(s, SEND, &Buf { length: 10, ..m.buf() }, 0);
                Event::wait(called);
            }
            26 => {
                // The datagram's function on a connection.
                let (d, at) = client.datagram(null());
                type F = unsafe extern "C" fn(Socket, *const Buf, u32, *const u8, u32, *const u8, Irp) -> Status;
                let call = Call::new();
                function::<F>(d, SEND_TO)(s, &m.buf(), 0, at.as_ptr(), 0, null(), (*call).irp);
            }
            _ => {}
        }
        close(s);
        m.free();
        free(called.cast());
    }
}

unsafe fn listening(client: &Client) {
    unsafe {
        let (s, at) = client.listening();
        match fault() {
            31 => {
                let unbound = client.socket(LISTEN, null());
                let call = Call::new();
                accept(unbound, null_mut(), (*call).irp);
                Call::finish(call);
                close(unbound);
            }
            32 => {
                let (remote, call) = (allocate(28), Call::new());
                accept(s, remote, (*call).irp);
                free(remote);
            }
            33 => {
                // The accepted socket is the driver's, too.
                let call = Call::new();
                accept(s, null_mut(), (*call).irp);
                close(client.connected_to(&at));
                Call::finish(call);
                close(s);
                client.release();
                client.deregister();
            }
            34 => {
                // The connection's function on a listening socket.
                let c = client.connected_to(&at);
                let (m, call) = (Memory::new(10), Call::new());
                function::<BufCall>(c, RECEIVE_CALL)(s, &m.buf(), 0, (*call).irp);
            }
            _ => {}
        }
        // An accept that is cancelled, one that is served, one that the close ends.
        let (call, remote) = (Call::new(), allocate(28));
        accept(s, remote, (*call).irp);
        IoCancelIrp((*call).irp);
        Call::finish(call);
        let call = Call::new();
        accept(s, remote, (*call).irp);
        let c = client.connected_to(&at);
        let accepted = Call::finish(call).1 as Socket;
        free(remote);
        let (out, back) = (Memory::new(1000), Memory::new(1000));
        buf_call_waited(c, SEND, &out.buf(), 0);
        buf_call_waited(accepted, RECEIVE_CALL, &back.buf(), 2);
        let call = Call::new();
        accept(s, null_mut(), (*call).irp);
        close(s);
        Call::finish(call);
        close(accepted);
        close(c);
        out.free();
        back.free();
    }
}

/// All that the cases use, by the rules.
unsafe fn everything(client: Client) {
    unsafe {
        datagrams(&client);
        listening(&client);
        let called = expect_callback();
        let s = client.connection(connection_events());
        let (out, back) = (Memory::new(50_000), Memory::new(50_000));
        // A receive that is cancelled, then one that is served.
        let call = Call::new();
        buf_call(s, RECEIVE_CALL, &back.buf(), 0, (*call).irp);
        IoCancelIrp((*call).irp);
        Call::finish(call);
        let call = Call::new();
        buf_call(s, RECEIVE_CALL, &back.buf(), 2, (*call).irp);
        buf_call_waited(s, SEND, &out.buf(), 0);
        Call::finish(call);
        events(s, RECEIVE);
        buf_call_waited(s, SEND, &Buf { length: 10, ..out.buf() }, 0);
        Event::wait(called);
        // Nobody reads: sends pend, and end with the connection.
        let (mut first, mut waiting) = (null_mut::<Call>(), 0);
        events(s, RECEIVE | DISABLE);
        while waiting == 0 {
            let call = Call::new();
            if buf_call(s, SEND, &out.buf(), 0, (*call).irp) == PENDING && !Call::is_done(call) {
                first = call;
                waiting += 1;
            } else {
                Call::finish(call);
            }
        }
        buf_call_waited(s, DISCONNECT, null(), ABORTIVE);
        Call::finish(first);
        close(s);
        out.free();
        back.free();
        free(called.cast());
        client.end();
    }
}
