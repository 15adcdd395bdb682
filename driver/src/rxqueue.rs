//! Datagrams: from the socket's callback to a queue of retained lists, from there opened into the receive ring.

use crate::link::{Link, now};
use crate::message;
use dco_core::{DropReason, Opened};
use dco_sync::Queue;
use dco_wire::{Class, DATA_HEADER_LEN, classify};
use nt::lock::SpinLock;
use nt::netcx::{RxNotifier, RxRing};
use nt::status::Result;
use nt::time;
use nt::wsk::{Datagram, DatagramList};

/// Lists that may wait for the receive queue. WSK lends them out of the network stack's buffers, so there is a bound; beyond it
/// datagrams are dropped and counted.
const LISTS: usize = 512;

/// Datagrams looked at in one call of Advance. Those that come to nothing (forged, replayed, pings) fill no buffer of the ring, so without
/// a bound a flood of them would keep the call, and its read section, from ending. What is left is seen when the queue is armed.
const BUDGET: usize = 256;

/// Received and not yet opened.
pub struct Received {
    lists: Queue<DatagramList>,
    /// The list being opened, between two calls of Advance.
    current: SpinLock<Current>,
    /// The receive queue's wake-up.
    pub rx: RxNotifier,
}

struct Current {
    list: Option<DatagramList>,
    /// The peer is going: lists are given back, not kept.
    closing: bool,
}

impl Received {
    /// Nothing received. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn new() -> Result<Self> {
        Ok(Self {
            lists: Queue::try_new(LISTS)?,
            current: SpinLock::new(Current { list: None, closing: false }),
            rx: RxNotifier::new(),
        })
    }

    /// Whether something waits to be opened.
    pub fn pending(&self) -> bool {
        !self.lists.is_empty() || self.current.lock().list.is_some()
    }

    /// Takes up where the last Advance stopped.
    fn resume(&self) -> Option<DatagramList> {
        self.current.lock().list.take()
    }

    /// Keeps a list for the next Advance, or gives it back to WSK.
    fn suspend(&self, list: DatagramList) {
        let mut current = self.current.lock();
        if current.closing {
            drop(current);
            drop(list);
        } else {
            current.list = Some(list);
        }
    }

    /// Says whether a peer's socket is going: from then on no list stays in `current`. PASSIVE_LEVEL.
    pub fn set_closing(&self, closing: bool) {
        self.current.lock().closing = closing;
    }
}

/// The socket's callback: control packets go to userspace, a list with data packets to the receive queue. DISPATCH_LEVEL, on any
/// number of processors.
pub fn receive(link: &Link, mut list: DatagramList) -> Option<DatagramList> {
    let cpu = time::processor();
    let mut data = 0;
    while let Some(datagram) = list.next_datagram() {
        match class(&datagram) {
            Class::Data(_) => data += 1,
            Class::Control => message::receive(link, cpu, &datagram),
            Class::TooShort => link.core.count_drop(cpu, DropReason::RxTooShort),
        }
    }
    if data == 0 {
        return Some(list);
    }
    let received = &link.received;
    let refused = if received.rx.running() {
        list.rewind();
        match received.lists.push(list) {
            Ok(()) => None,
            Err(list) => Some((list, DropReason::RxQueueFull)),
        }
    } else {
        Some((list, DropReason::RxNoQueue))
    };
    if let Some((list, reason)) = refused {
        for _ in 0..data {
            link.core.count_drop(cpu, reason);
        }
        return Some(list);
    }
    received.rx.notify();
    if !received.rx.running() {
        // The queue stopped in between, and may have discarded before this list was there.
        discard(link);
    }
    None
}

fn class(datagram: &Datagram<'_>) -> Class {
    datagram.prefix::<DATA_HEADER_LEN>().map_or(Class::TooShort, |head| classify(&head))
}

/// Opens what was received into the ring's buffers, as far as there are any. IRQL <= DISPATCH_LEVEL, serialised by NetAdapterCx.
pub fn advance(link: &Link, ring: &mut RxRing<'_>) {
    let section = link.core.enter(time::processor());
    let mut batch = section.batch(now());
    let mut list = link.received.resume();
    let mut budget = BUDGET;
    ring.fill(|buffer| {
        loop {
            budget = budget.checked_sub(1)?;
            if list.is_none() {
                list = link.received.lists.pop();
            }
            let Some(datagram) = list.as_mut()?.next_datagram() else {
                // The last of its list: give the list back.
                list = None;
                continue;
            };
            if !matches!(class(&datagram), Class::Data(_)) {
                continue;
            }
            let opened = match datagram.contiguous() {
                Some(bytes) => batch.open(bytes, buffer),
                None => match link.sends.take() {
                    // Several MDLs: gathered in a buffer borrowed from the sending side.
                    Some(mut scratch) => {
                        let opened = match datagram.gather(scratch.bytes()) {
                            Some(bytes) => batch.open(bytes, buffer),
                            None => {
                                batch.drop(DropReason::RxMalformed);
                                Err(DropReason::RxMalformed)
                            }
                        };
                        link.sends.put(scratch);
                        opened
                    }
                    None => {
                        batch.drop(DropReason::RxNoBuffer);
                        Err(DropReason::RxNoBuffer)
                    }
                },
            };
            if let Ok(Opened::Packet { len }) = opened {
                return Some(len);
            }
        }
    });
    if let Some(list) = list {
        link.received.suspend(list);
    }
}

/// Gives back everything received and counts its data packets as lost. IRQL <= DISPATCH_LEVEL.
pub fn discard(link: &Link) {
    let cpu = time::processor();
    let mut next = link.received.resume();
    while let Some(mut list) = next.or_else(|| link.received.lists.pop()) {
        while let Some(datagram) = list.next_datagram() {
            if matches!(class(&datagram), Class::Data(_)) {
                link.core.count_drop(cpu, DropReason::RxNoQueue);
            }
        }
        next = None;
    }
}
