//! A server's TCP connections: accepted, peers' or not yet anybody's, ended.
//!
//! A connection has a place from its accept to its close. In between it is found there in read sections of the places' own domain: by the DPC,
//! which takes what it received, and by writes. What comes and goes does so under the control lock, at PASSIVE_LEVEL.

use crate::control::State;
use crate::link::{Link, now};
use crate::rxqueue;
use crate::server::shown;
use crate::trace::{self, Gone};
use crate::transport::Transport;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use dco_core::{PeerSelector, Tick};
use dco_sync::{Box, Domain, Published, Queue, Shared, try_box, try_box_slice};
use dco_uapi::{DelReason, Notification};
use dco_wire::PeerId;
use nt::status::{Result, Status};
use nt::time;
use nt::wsk::{Accepted, BufferSizes, PREFIX_LEN, StreamEvents, StreamSocket};

/// Connections of one handle at once. Each has buffers of its own, a hundred kilobytes.
pub const CONNECTIONS: usize = 1024;

/// How many of them may be nobody's: handshakes under way. What comes beyond is reset.
const STRANGERS: usize = 256;

/// How long one may be nobody's, in milliseconds: until its first packet, and until MP_NEW_PEER (OpenVPN gives a handshake 60 s).
const SILENCE: u64 = 10_000;
const HANDSHAKE: u64 = 90_000;

/// How long a connection's end waits for the other end, in milliseconds.
const FAREWELL: u64 = 2_000;

/// Connections whose arrivals one DPC looks at before it lets others run.
const AT_ONCE: usize = 64;

/// Connections taken in one look.
const ACCEPTS: usize = 64;

/// The peer of a connection that is nobody's.
const NOBODY: u32 = u32::MAX;

/// What one connection receives into: the receive queue is busy with one buffer while the network fills the other.
fn buffers(longest: usize) -> BufferSizes {
    BufferSizes { count: 2, capacity: 32 * 1024, rest: PREFIX_LEN.saturating_add(longest).saturating_sub(1) }
}

/// An accepted connection.
pub struct Connection {
    /// By which listener it came.
    pub listener: u32,
    /// Where it came from, as peers are known by.
    pub remote: SocketAddr,
    /// The same as userspace knows it.
    pub shown: SocketAddr,
    /// Its socket.
    pub transport: Shared<Transport>,
    place: u32,
    peer: AtomicU32,
    /// A control packet came.
    pub spoken: AtomicBool,
    /// The other end, or the stream's framing, has ended it.
    over: AtomicBool,
    since: Tick,
}

impl Connection {
    /// Whose it is. Any IRQL.
    pub fn peer(&self) -> Option<PeerId> {
        match self.peer.load(Ordering::Acquire) {
            NOBODY => None,
            id => Some(PeerId::from_low_bits(id)),
        }
    }

    /// Whether it came from there by this listener, and goes on: the other end may have begun anew from the same port.
    fn came_from(&self, listener: u32, remote: SocketAddr) -> bool {
        self.listener == listener && self.remote == remote && !self.over.load(Ordering::Acquire)
    }

    /// Its place.
    pub fn place(&self) -> u32 {
        self.place
    }

    /// It has ended. Any IRQL.
    pub fn set_over(&self) {
        self.over.store(true, Ordering::Release);
    }
}

/// A connection that is being ended: nobody finds it any more.
pub struct Leaving {
    transport: Shared<Transport>,
    since: Tick,
}

/// The connections of a device.
pub struct Connections {
    domain: Domain,
    places: Box<[Published<Shared<Connection>>]>,
    /// Places whose receive has ended.
    ready: Queue<u32>,
    /// Which places are in `ready`.
    queued: Box<[AtomicBool]>,
    /// How many there are.
    count: AtomicUsize,
}

impl Connections {
    /// No connections. Boxed, for the frame of its caller. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY.
    #[inline(never)]
    pub fn new() -> Result<Box<Self>> {
        let domain = Domain::try_new(time::max_processors())?;
        let places = try_box_slice(CONNECTIONS, |_| Ok(Published::new(&domain, None)))?;
        let queued = try_box_slice(CONNECTIONS, |_| Ok(AtomicBool::new(false)))?;
        let ready = Queue::try_new(CONNECTIONS)?;
        Ok(try_box(Self { domain, places, ready, queued, count: AtomicUsize::new(0) })?)
    }

    /// A receive has ended there. Any IRQL up to DISPATCH_LEVEL.
    fn woken(&self, place: u32) {
        if let Some(queued) = self.queued.get(place as usize)
            && !queued.swap(true, Ordering::SeqCst)
        {
            // There is room for each place once.
            let _ = self.ready.push(place);
        }
    }

    /// Gives each connection with something to look at to `look`; false where some are left. DISPATCH_LEVEL, in the DPC, on several processors
    /// at once.
    pub fn each_ready(&self, cpu: usize, mut look: impl FnMut(&Connection)) -> bool {
        for _ in 0..AT_ONCE {
            let Some(place) = self.ready.pop() else { return true };
            if let Some(queued) = self.queued.get(place as usize) {
                // Before the look, in one order with the receive's end: one that finds the place queued still is seen by the look.
                queued.swap(false, Ordering::SeqCst);
            }
            let guard = self.domain.enter(cpu);
            if let Some(connection) = self.places.get(place as usize).and_then(|place| place.load(&guard)) {
                look(connection);
            }
        }
        self.ready.is_empty()
    }

    /// Uses the connection that came from there by this listener, if there is one. DISPATCH_LEVEL; it must not wait.
    pub fn with<R>(
        &self,
        cpu: usize,
        listener: u32,
        remote: SocketAddr,
        using: impl FnOnce(&Connection) -> R,
    ) -> Option<R> {
        let guard = self.domain.enter(cpu);
        let mut places = self.places.iter().filter_map(|place| place.load(&guard));
        places.find(|it| it.came_from(listener, remote)).map(|it| using(it))
    }

    /// A connection. Under the control lock.
    fn find(&self, is: impl Fn(&Connection) -> bool) -> Option<Shared<Connection>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let guard = self.domain.enter(0);
        let mut places = self.places.iter().filter_map(|place| place.load(&guard));
        places.find(|it| is(it)).map(|it| (*it).clone())
    }

    /// The connection that came from there by this listener. Under the control lock.
    pub fn from(&self, listener: u32, remote: SocketAddr) -> Option<Shared<Connection>> {
        self.find(|it| it.came_from(listener, remote))
    }

    fn at(&self, place: usize) -> Option<Shared<Connection>> {
        let guard = self.domain.enter(0);
        self.places.get(place)?.load(&guard).map(|it| (*it).clone())
    }

    fn publish(&self, place: usize, connection: Shared<Connection>) -> Result<()> {
        let connection = try_box(connection)?;
        if let Some(place) = self.places.get(place) {
            drop(place.replace(Some(connection), &self.domain, time::pause));
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes one away; nobody uses it any more when this returns.
    fn withdraw(&self, place: usize) {
        let taken = self.places.get(place).and_then(|place| place.replace(None, &self.domain, time::pause));
        if taken.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Tells of a connection's receives.
struct Woken {
    link: Shared<Link>,
    place: u32,
}

impl StreamEvents for Woken {
    fn connected(&self) {}

    fn received(&self) {
        self.link.connections.woken(self.place);
        self.link.streamed.enqueue();
    }
}

/// Takes the connections that came to this listener, as far as there is room for them. Where accepting fails, the next try is at the next tick.
pub fn accept(link: &Shared<Link>, state: &mut State, number: u32, listener: &Transport) {
    let Transport::Accepting(socket) = listener else { return };
    for _ in 0..ACCEPTS {
        let accepted = match socket.accepted() {
            Some(Ok(accepted)) => accepted,
            Some(Err(Status::FILE_FORCED_CLOSED)) => {
                link.listening.died(number);
                return link.connected.enqueue();
            }
            Some(Err(_)) | None => return,
        };
        // Where it fails the connection is reset, and that is all that can be done.
        let remote = accepted.remote();
        let admitted = admit(link, state, number, socket.is_ipv4(), accepted);
        link.traced.accepted(number, remote, admitted);
        socket.post();
    }
    link.connected.enqueue();
}

fn admit(link: &Shared<Link>, state: &mut State, listener: u32, ipv4: bool, accepted: Accepted<'_>) -> Result<()> {
    let connections = &link.connections;
    let remote = accepted.remote().ok_or(Status::INVALID_ADDRESS)?;
    let mut strangers = 0usize;
    let mut free = None;
    for (place, leaving) in state.leaving.iter().enumerate() {
        match connections.at(place) {
            Some(it) if it.peer().is_none() => strangers = strangers.saturating_add(1),
            None if leaving.is_none() && free.is_none() => free = Some(place),
            _ => {}
        }
    }
    let place = free.filter(|_| strangers < STRANGERS).ok_or(Status::INSUFFICIENT_RESOURCES)?;
    let number = place as u32;
    let woken = Woken { link: link.clone(), place: number };
    let sizes = buffers(link.sends.buffer_len());
    let socket = StreamSocket::accepted(accepted, &link.sends, sizes, woken)?;
    let transport = Shared::try_new(Transport::Tcp(socket))?;
    let connection = Connection {
        listener,
        remote,
        shown: shown(remote, ipv4),
        transport: transport.clone(),
        place: number,
        peer: AtomicU32::new(NOBODY),
        spoken: AtomicBool::new(false),
        over: AtomicBool::new(false),
        since: now(),
    };
    let published =
        Shared::try_new(connection).map_err(Into::into).and_then(|connection| connections.publish(place, connection));
    if published.is_err()
        && let Some(stream) = transport.stream()
    {
        // Nobody waits for the other end of what was never anybody's.
        stream.hurry();
    }
    published.and_then(|()| transport.start())
}

/// It is this peer's from now on.
pub fn belongs(connection: &Connection, id: PeerId) {
    connection.peer.store(id.get(), Ordering::Release);
}

/// Ends a connection in order: what was sent goes out first. Nobody finds it when this returns.
fn leave(link: &Link, state: &mut State, connection: &Connection) {
    let place = connection.place as usize;
    trace::connection_ended(link.traced.adapter, connection.listener, connection.remote.into());
    link.connections.withdraw(place);
    if let Some(stream) = connection.transport.stream() {
        stream.finish();
    }
    if let Some(leaving) = state.leaving.get_mut(place) {
        *leaving = Some(Leaving { transport: connection.transport.clone(), since: now() });
    }
}

/// The peer is gone: its connection, if it has one, ends.
pub fn peer_gone(link: &Link, state: &mut State, id: PeerId) {
    if let Some(connection) = link.connections.find(|it| it.peer() == Some(id)) {
        leave(link, state, &connection);
    }
}

/// MP_DISCONNECT.
///
/// # Errors
/// NOT_FOUND; INVALID_DEVICE_STATE for a peer's.
pub fn disconnect(link: &Link, state: &mut State, listener: u32, remote: SocketAddr) -> Result<()> {
    let connection = link.connections.from(listener, remote).ok_or(Status::NOT_FOUND)?;
    if connection.peer().is_some() {
        return Err(Status::INVALID_DEVICE_STATE);
    }
    leave(link, state, &connection);
    Ok(())
}

/// Ends those that came by a listener that goes, peers and all. What userspace is told of them waits for room.
pub fn end_of(link: &Link, listener: u32) {
    while let Some(connection) = link.connections.find(|it| it.listener == listener && !it.over.load(Ordering::Acquire))
    {
        connection.set_over();
    }
    link.connected.enqueue();
}

/// The work item: what came to the listeners, what has ended; once a second what is too old.
pub fn work(link: &Shared<Link>, state: &mut State, ticked: bool) {
    for number in 0..crate::listening::LISTENERS as u32 {
        if let Some(listener) = link.listening.get(number) {
            accept(link, state, number, &listener);
            if ticked && let Transport::Accepting(socket) = &*listener {
                socket.post();
            }
        }
    }
    if link.connections.count.load(Ordering::Relaxed) != 0 {
        for place in 0..CONNECTIONS {
            if let Some(connection) = link.connections.at(place) {
                look(link, state, &connection, ticked);
            }
        }
    }
    reap(link, state, ticked);
}

fn look(link: &Link, state: &mut State, connection: &Connection, ticked: bool) {
    let peer = connection.peer();
    let over = connection.over.load(Ordering::Acquire);
    let told = match peer {
        Some(id) if over => {
            let gone = DelReason::TransportDisconnect;
            link.events.post(Notification::DelPeer { peer_id: id.get().cast_signed(), reason: gone })
        }
        None if over || ticked && is_old(connection) => {
            // Who never heard of it is told nothing.
            !connection.spoken.load(Ordering::Acquire)
                || link
                    .events
                    .post(Notification::Disconnected { address: connection.shown, listener: connection.listener })
        }
        _ => false,
    };
    // Where there is no room for the event it stays until the next look.
    if told {
        if let Some(id) = peer {
            drop(link.many.del_peer(&mut state.many, PeerSelector::Id(id), time::pause));
            trace::peer_deleted(link.traced.adapter, id.get().cast_signed(), Gone::Ended.name());
        }
        leave(link, state, connection);
    }
}

fn is_old(connection: &Connection) -> bool {
    let age = now().0.saturating_sub(connection.since.0);
    age > if connection.spoken.load(Ordering::Relaxed) { HANDSHAKE } else { SILENCE }
}

/// Closes what has said farewell.
fn reap(link: &Link, state: &mut State, ticked: bool) {
    let State { leaving, .. } = state;
    for (place, leaving) in leaving.iter_mut().enumerate() {
        let done = leaving.as_ref().is_some_and(|it| {
            let finished = it.transport.stream().is_none_or(StreamSocket::is_finished);
            finished || ticked && now().0.saturating_sub(it.since.0) > FAREWELL
        });
        if done && let Some(gone) = leaving.take() {
            close(link, place as u32, gone);
        }
    }
}

fn close(link: &Link, place: u32, gone: Leaving) {
    if let Some(stream) = gone.transport.stream() {
        stream.hurry();
    }
    // What it received and nobody opened goes back, and it can close.
    let source = rxqueue::Source::Connection(place);
    link.received.give_back_of(source);
    rxqueue::discard_of(link, source);
    drop(gone);
    link.received.keep_all();
}

/// The handle closes, or the adapter stops: takes all connections away. Nobody finds them any more; [`close_all`] closes them.
pub fn withdraw_all(link: &Link, state: &mut State) {
    for place in 0..CONNECTIONS {
        if let Some(connection) = link.connections.at(place) {
            leave(link, state, &connection);
        }
    }
}

/// Closes all that were [withdrawn](withdraw_all). What they received is given back, and stays so.
pub fn close_all(state: &mut State) {
    for leaving in &mut state.leaving {
        if let Some(stream) = leaving.as_ref().and_then(|it| it.transport.stream()) {
            stream.hurry();
        }
        *leaving = None;
    }
}

/// Nobody is leaving.
///
/// # Errors
/// NO_MEMORY.
pub fn nobody_leaving() -> Result<Box<[Option<Leaving>]>> {
    Ok(try_box_slice(CONNECTIONS, |_| Ok(None))?)
}
