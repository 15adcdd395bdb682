//! The connection to the lab and the requests that are outstanding on it.
//!
//! There is at most one connection. It is made by the first open, and by the first open after it was lost. When it is
//! lost, all that was outstanding ends with DEVICE_NOT_CONNECTED and so does each later request on a file of it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::sys::irp::Irp;
use crate::sys::net::Socket;
use crate::sys::sync::{Condvar, Lock};
use crate::sys::thread::Thread;
use crate::sys::{log, status};
use crate::wire::{MAX_FRAME, MIN_RESPONSE, Request, Response};

/// How long a synchronous request may take before the lab counts as hung, in milliseconds.
const PATIENCE: u32 = 60_000;

/// Which connection a file belongs to. Zero is none.
pub type Generation = u64;

/// Who waits for a response.
enum Waiter {
    /// An IRP that was left pending; the receiver completes it.
    Irp(Irp),
    /// A dispatch routine, blocked in [`Link::call`].
    Call,
    /// The answer to a [`Waiter::Call`], not fetched yet.
    Answered(Response),
    /// Nobody: a cancel, whose effect is the end of another request.
    Nobody,
}

struct State {
    port: u16,
    generation: Generation,
    connection: Option<Arc<Socket>>,
    receiver: Option<Thread>,
    last_id: u64,
    outstanding: BTreeMap<u64, Waiter>,
}

/// The bridge's one connection. Shared by the dispatch thread, which sends, and the receiver thread.
pub struct Link {
    state: Lock<State>,
    answered: Condvar,
}

impl Link {
    /// A link that is not connected.
    pub const fn new() -> Self {
        Self {
            state: Lock::new(State {
                port: 0,
                generation: 0,
                connection: None,
                receiver: None,
                last_id: 0,
                outstanding: BTreeMap::new(),
            }),
            answered: Condvar::new(),
        }
    }

    /// Sets the lab's port, for the next connection.
    pub fn set_port(&self, port: u16) {
        self.state.lock().port = port;
    }

    /// The current connection, made if there is none. Dispatch thread only, for it alone connects.
    pub fn connect(&'static self) -> Option<Generation> {
        let (port, old_receiver) = {
            let mut state = self.state.lock();
            if state.connection.is_some() {
                return Some(state.generation);
            }
            (state.port, state.receiver.take())
        };
        // The lost connection's receiver has cleared `connection`, its last use of the state: it is about to end.
        drop(old_receiver);
        let Some(socket) = Socket::connect(port).map(Arc::new) else {
            log(format_args!("no lab listens on 127.0.0.1:{port}"));
            return None;
        };
        let generation = {
            let mut state = self.state.lock();
            state.generation += 1;
            state.connection = Some(socket.clone());
            state.generation
        };
        let receiver = Thread::spawn(move || self.receive(&socket));
        let started = receiver.is_some();
        self.state.lock().receiver = receiver;
        if !started {
            log(format_args!("cannot start the receiver thread"));
            self.lost();
            return None;
        }
        Some(generation)
    }

    /// Sends a request and waits for its response. Dispatch thread only. Ends when the lab has answered, when the
    /// connection is lost, or when the lab's time is up, which makes it lost.
    pub fn call(&self, generation: Generation, request: &Request) -> Response {
        let id = match self.send(generation, request, Waiter::Call) {
            Ok(id) => id,
            Err(status) => return Response::of(status),
        };
        let mut state = self.state.lock();
        loop {
            if let Some(Waiter::Answered(_)) = state.outstanding.get(&id)
                && let Some(Waiter::Answered(response)) = state.outstanding.remove(&id)
            {
                return response;
            }
            let in_time;
            (state, in_time) = self.answered.wait(state, PATIENCE);
            if !in_time && let Some(socket) = &state.connection {
                log(format_args!("the lab did not answer within {PATIENCE} ms; giving it up"));
                socket.shut_down();
            }
        }
    }

    /// Sends a request whose response completes the IRP. Dispatch thread only. Takes the IRP: it is completed in
    /// every case, perhaps before this returns.
    pub fn submit(&'static self, generation: Generation, request: &Request, irp: Irp) {
        let _completed_already_if_error = self.send(generation, request, Waiter::Irp(irp));
    }

    /// Asks the lab to cancel the request with this id. The request itself ends with the lab's response to it.
    pub fn cancel(&self, id: u64) {
        let generation = self.state.lock().generation;
        // If this fails, the connection is lost and all requests on it end anyway.
        let _lost_if_error = self.send(generation, &Request::Cancel { id }, Waiter::Nobody);
    }

    /// Ends the connection and waits for the receiver thread. Dispatch thread only.
    pub fn disconnect(&self) {
        let receiver = {
            let mut state = self.state.lock();
            if let Some(socket) = &state.connection {
                socket.shut_down();
            }
            state.receiver.take()
        };
        drop(receiver);
    }

    /// Registers the waiter and sends the request; its id. A status if there is no such connection or the request is
    /// too long; an IRP has then been completed here. Once registered, the waiter is the receiver's: to be served with
    /// the response, or when the connection is lost.
    fn send(&self, generation: Generation, request: &Request, waiter: Waiter) -> Result<u64, i32> {
        let id = {
            let mut state = self.state.lock();
            state.last_id += 1;
            state.last_id
        };
        let waiter = match waiter {
            // Cancelled already, when there was nothing yet to cancel at the lab. (A cancel between here and the
            // insertion below cannot be: its routine runs in this very thread.)
            Waiter::Irp(irp) => match irp.make_cancellable(id) {
                Ok(irp) => Waiter::Irp(irp),
                Err(irp) => {
                    return Err(irp.complete(&Response::of(status::CANCELLED)));
                }
            },
            other => other,
        };
        let Some(frame) = request.frame(id) else {
            serve(waiter, Response::of(status::INVALID_BUFFER_SIZE));
            return Err(status::INVALID_BUFFER_SIZE);
        };
        let mut state = self.state.lock();
        let Some(socket) = state.connection.clone().filter(|_| generation == state.generation) else {
            drop(state);
            serve(waiter, Response::of(status::DEVICE_NOT_CONNECTED));
            return Err(status::DEVICE_NOT_CONNECTED);
        };
        state.outstanding.insert(id, waiter);
        drop(state);
        if !socket.send(&frame) {
            log(format_args!("cannot send to the lab; giving it up"));
            socket.shut_down();
        }
        Ok(id)
    }

    /// The receiver thread: hands out responses until the connection ends.
    fn receive(&self, socket: &Socket) {
        while let Some(body) = read_frame(socket) {
            let Some((id, response)) = Response::parse(&body) else {
                break;
            };
            let waiter = {
                let mut state = self.state.lock();
                match state.outstanding.remove(&id) {
                    Some(Waiter::Call | Waiter::Answered(_)) => {
                        state.outstanding.insert(id, Waiter::Answered(response));
                        self.answered.wake_all();
                        continue;
                    }
                    other => other,
                }
            };
            match waiter {
                Some(waiter) => serve(waiter, response),
                None => log(format_args!("the lab answered request {id}, which is not outstanding")),
            }
        }
        socket.shut_down();
        self.lost();
    }

    /// Forgets the connection and ends all that was outstanding.
    fn lost(&self) {
        let outstanding = {
            let mut state = self.state.lock();
            state.connection = None;
            let all = core::mem::take(&mut state.outstanding);
            let mut pending = Vec::new();
            for (id, waiter) in all {
                match waiter {
                    Waiter::Call => {
                        let answer = Response::of(status::DEVICE_NOT_CONNECTED);
                        state.outstanding.insert(id, Waiter::Answered(answer));
                    }
                    // Answered just before: its caller has yet to fetch it.
                    Waiter::Answered(_) => {
                        state.outstanding.insert(id, waiter);
                    }
                    Waiter::Irp(_) | Waiter::Nobody => pending.push(waiter),
                }
            }
            self.answered.wake_all();
            pending
        };
        log(format_args!("the connection to the lab has ended, {} requests were outstanding", outstanding.len()));
        for waiter in outstanding {
            serve(waiter, Response::of(status::DEVICE_NOT_CONNECTED));
        }
    }
}

/// Gives the response to who waits for it, apart from calls, which fetch theirs. With no lock held.
fn serve(waiter: Waiter, response: Response) {
    if let Waiter::Irp(irp) = waiter {
        irp.end_cancellability().complete(&response);
    }
}

/// One frame's body, or nothing at the connection's end or after a malformed length.
fn read_frame(socket: &Socket) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    if !socket.receive(&mut len) {
        return None;
    }
    let len = u32::from_le_bytes(len) as usize;
    if !(MIN_RESPONSE..=MAX_FRAME).contains(&len) {
        log(format_args!("the lab sent a frame of {len} bytes, expected {MIN_RESPONSE} to {MAX_FRAME}"));
        return None;
    }
    let mut body = vec![0; len];
    socket.receive(&mut body).then_some(body)
}
