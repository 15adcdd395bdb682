//! What was received: from the socket to a queue of retained lists and stream buffers, from there opened into the receive ring.

use crate::link::{Link, now};
use crate::listening::our_end;
use crate::{message, stream};
use core::net::IpAddr;
use dco_core::{DropReason, Endpoint, Opened, Origin};
use dco_sync::Queue;
use dco_wire::{Class, DATA_HEADER_LEN, PeerId, classify};
use nt::lock::SpinLock;
use nt::netcx::{RxNotifier, RxRing};
use nt::status::Result;
use nt::time;
use nt::wsk::{Datagram, DatagramList, StreamBuffer};

/// Lists that may wait for the receive queue. WSK lends them out of the network stack's buffers, so there is a bound; beyond it
/// datagrams are dropped and counted. A stream has fewer buffers than that.
const LISTS: usize = 512;

/// Packets looked at in one call of Advance. Those that come to nothing (forged, replayed, pings) fill no buffer of the ring, so without
/// a bound a flood of them would keep the call, and its read section, from ending. What is left is seen when the queue is armed.
const BUDGET: usize = 256;

/// The socket talks to the only peer and to nobody else.
const FROM_THE_PEER: Origin = Origin { peer: None, source: None };

/// Where a packet came from, if that is to be looked at: a server's peers are told apart by it. `None` where it cannot be told.
fn origin(server: bool, packet: &Packet<'_>) -> Option<Origin> {
    match packet {
        Packet::Datagram(datagram, listener) if server => {
            let source = Endpoint { remote: datagram.remote()?, local: Some(our_end(*listener)) };
            Some(Origin { peer: None, source: Some(source) })
        }
        Packet::Frame(_, Some(peer)) => Some(Origin { peer: Some(*peer), source: None }),
        _ => Some(FROM_THE_PEER),
    }
}

/// There is no routing table: point to point inner sources are not looked at, and of several peers all routes are the core's.
fn anywhere(_: IpAddr) -> Option<IpAddr> {
    None
}

/// What arrived together.
pub enum Arrival {
    /// Datagrams that WSK indicated to this listener's socket.
    Datagrams(DatagramList, u32),
    /// Whole frames of a stream.
    Stream(Stream),
}

/// Whole frames of a stream.
pub struct Stream {
    pub buffer: StreamBuffer,
    /// A server's: the connection's place, and whose it was when they arrived.
    pub peer: Option<(u32, PeerId)>,
}

/// A socket of a server's: a listener's, by its number, or a connection's, by its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Listener(u32),
    Connection(u32),
}

/// One packet of an arrival.
enum Packet<'a> {
    Datagram(Datagram<'a>, u32),
    Frame(&'a [u8], Option<PeerId>),
}

impl Arrival {
    fn next_packet(&mut self) -> Option<Packet<'_>> {
        match self {
            Self::Datagrams(list, listener) => {
                list.next_datagram().map(|datagram| Packet::Datagram(datagram, *listener))
            }
            Self::Stream(Stream { buffer, peer }) => {
                let peer = peer.map(|(_, id)| id);
                stream::next_frame(buffer).map(|frame| Packet::Frame(frame, peer))
            }
        }
    }

    fn is_of(&self, source: Source) -> bool {
        match self {
            Self::Datagrams(_, listener) => source == Source::Listener(*listener),
            Self::Stream(Stream { peer, .. }) => peer.is_some_and(|(place, _)| source == Source::Connection(place)),
        }
    }
}

impl Packet<'_> {
    fn class(&self) -> Class {
        match self {
            Self::Datagram(datagram, _) => class(datagram),
            Self::Frame(frame, _) => classify(frame),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Datagram(datagram, _) => datagram.len(),
            Self::Frame(frame, _) => frame.len(),
        }
    }

    fn contiguous(&self) -> Option<&[u8]> {
        match self {
            Self::Datagram(datagram, _) => datagram.contiguous(),
            Self::Frame(frame, _) => Some(frame),
        }
    }

    fn gather<'o>(&self, out: &'o mut [u8]) -> Option<&'o mut [u8]> {
        match self {
            Self::Datagram(datagram, _) => datagram.gather(out),
            Self::Frame(..) => None,
        }
    }
}

/// Received and not yet opened.
pub struct Received {
    arrivals: Queue<Arrival>,
    /// The arrival being opened, between two calls of Advance.
    current: SpinLock<Current>,
    /// The receive queue's wake-up.
    pub rx: RxNotifier,
}

struct Current {
    arrival: Option<Arrival>,
    closing: Closing,
}

/// What is given back, not kept, because its socket is going.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Nothing,
    All,
    /// What came from this socket.
    Of(Source),
}

impl Closing {
    fn means(self, arrival: &Arrival) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Of(source) => arrival.is_of(source),
        }
    }
}

impl Received {
    /// Nothing received. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn new() -> Result<Self> {
        Ok(Self {
            arrivals: Queue::try_new(LISTS)?,
            current: SpinLock::new(Current { arrival: None, closing: Closing::Nothing }),
            rx: RxNotifier::new(),
        })
    }

    /// Whether something waits to be opened.
    pub fn pending(&self) -> bool {
        !self.arrivals.is_empty() || self.current.lock().arrival.is_some()
    }

    /// Takes up where the last Advance stopped.
    fn resume(&self) -> Option<Arrival> {
        self.current.lock().arrival.take()
    }

    /// Keeps an arrival for the next Advance, or gives it back to WSK.
    fn suspend(&self, arrival: Arrival) {
        let mut current = self.current.lock();
        if current.closing.means(&arrival) {
            drop(current);
            drop(arrival);
        } else {
            current.arrival = Some(arrival);
        }
    }

    /// All sockets are going: from now on no arrival stays in `current`. PASSIVE_LEVEL.
    pub fn give_back(&self) {
        self.current.lock().closing = Closing::All;
    }

    /// The same of one socket.
    pub fn give_back_of(&self, source: Source) {
        self.current.lock().closing = Closing::Of(source);
    }

    /// No socket is going. PASSIVE_LEVEL.
    pub fn keep_all(&self) {
        self.current.lock().closing = Closing::Nothing;
    }

    /// Takes `current` if it came from this socket.
    fn resume_of(&self, source: Source) -> Option<Arrival> {
        self.current.lock().arrival.take_if(|arrival| arrival.is_of(source))
    }
}

/// The socket's callback: control packets go to userspace, a list with data packets to the receive queue. DISPATCH_LEVEL, on any
/// number of processors.
pub fn receive(link: &Link, listener: u32, mut list: DatagramList) -> Option<DatagramList> {
    let cpu = time::processor();
    let mut data = false;
    while let Some(datagram) = list.next_datagram() {
        match class(&datagram) {
            Class::Data(_) => data = true,
            Class::Control => message::receive_datagram(link, cpu, listener, &datagram),
            Class::TooShort => link.active().count_drop(cpu, DropReason::RxTooShort),
        }
    }
    if !data {
        return Some(list);
    }
    list.rewind();
    match queue(link, cpu, Arrival::Datagrams(list, listener))? {
        Arrival::Datagrams(list, _) => Some(list),
        Arrival::Stream(_) => None,
    }
}

/// Queues what arrived for the receive queue, or counts its data packets as lost and returns it.
/// IRQL <= DISPATCH_LEVEL.
pub fn queue(link: &Link, cpu: usize, arrival: Arrival) -> Option<Arrival> {
    let received = &link.received;
    let refused = if received.rx.running() {
        received.arrivals.push(arrival).err().map(|arrival| (arrival, DropReason::RxQueueFull))
    } else {
        Some((arrival, DropReason::RxNoQueue))
    };
    if let Some((mut arrival, reason)) = refused {
        lose(link, cpu, &mut arrival, reason);
        return Some(arrival);
    }
    received.rx.notify();
    if !received.rx.running() {
        // The queue stopped in between, and may have discarded before this was there.
        discard(link);
    }
    None
}

/// Counts what is left of an arrival's data packets as lost.
fn lose(link: &Link, cpu: usize, arrival: &mut Arrival, reason: DropReason) {
    while let Some(packet) = arrival.next_packet() {
        if matches!(packet.class(), Class::Data(_)) {
            link.active().count_refused(cpu, reason, packet.len());
        }
    }
}

fn class(datagram: &Datagram<'_>) -> Class {
    datagram.prefix::<DATA_HEADER_LEN>().map_or(Class::TooShort, |head| classify(&head))
}

/// Opens what was received into the ring's buffers, as far as there are any. IRQL <= DISPATCH_LEVEL, serialised by NetAdapterCx.
pub fn advance(link: &Link, ring: &mut RxRing<'_>) {
    let server = link.is_server();
    let section = if server { &link.many } else { &link.core }.enter(time::processor());
    let mut batch = section.batch(now());
    let mut arrival = link.received.resume();
    let mut budget = BUDGET;
    ring.fill(|buffer| {
        loop {
            budget = budget.checked_sub(1)?;
            if arrival.is_none() {
                arrival = link.received.arrivals.pop();
            }
            let Some(packet) = arrival.as_mut()?.next_packet() else {
                // The last one: give all back.
                arrival = None;
                continue;
            };
            if !matches!(packet.class(), Class::Data(_)) {
                continue;
            }
            let Some(from) = origin(server, &packet) else {
                batch.refuse(DropReason::RxMalformed, packet.len());
                continue;
            };
            let opened = match packet.contiguous() {
                Some(bytes) => batch.open(from, bytes, buffer, anywhere),
                None => match link.sends.take() {
                    // Several MDLs: gathered in a buffer borrowed from the sending side.
                    Some(mut scratch) => {
                        let opened = match packet.gather(scratch.bytes()) {
                            Some(bytes) => batch.open(from, bytes, buffer, anywhere),
                            None if packet.len() > link.sends.buffer_len() => {
                                Err(batch.refuse(DropReason::RxTooLong, packet.len()))
                            }
                            None => Err(batch.refuse(DropReason::RxMalformed, packet.len())),
                        };
                        link.sends.put(scratch);
                        opened
                    }
                    None => Err(batch.refuse(DropReason::RxNoBuffer, packet.len())),
                },
            };
            if let Ok(Opened::Packet { len, .. }) = opened {
                return Some(len);
            }
        }
    });
    if batch.keys_wanted() {
        link.want_keys();
    }
    if let Some(arrival) = arrival {
        link.received.suspend(arrival);
    }
    if server && batch.moved() {
        // It gives moved peers their names, and tells of them.
        link.connected.enqueue();
    }
}

/// Gives back everything received and counts its data packets as lost. IRQL <= DISPATCH_LEVEL.
pub fn discard(link: &Link) {
    let cpu = time::processor();
    let mut next = link.received.resume();
    while let Some(mut arrival) = next.or_else(|| link.received.arrivals.pop()) {
        lose(link, cpu, &mut arrival, DropReason::RxNoQueue);
        next = None;
    }
}

/// The same for what came from one socket, which receives nothing any more. PASSIVE_LEVEL; what came from others goes on.
pub fn discard_of(link: &Link, source: Source) {
    let cpu = time::processor();
    let received = &link.received;
    if let Some(mut arrival) = received.resume_of(source) {
        lose(link, cpu, &mut arrival, DropReason::RxNoQueue);
    }
    // Once around: what is added meanwhile is not this one's.
    for _ in 0..received.arrivals.len() {
        let Some(mut arrival) = received.arrivals.pop() else { break };
        if arrival.is_of(source) {
            lose(link, cpu, &mut arrival, DropReason::RxNoQueue);
        } else if let Err(mut arrival) = received.arrivals.push(arrival) {
            lose(link, cpu, &mut arrival, DropReason::RxQueueFull);
        }
    }
    received.rx.notify();
}
