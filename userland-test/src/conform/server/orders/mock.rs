//! A server that keeps its promises, except for one: what the orders have to find. It has a socket, for the packets.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dco_uapi::{Ioctl, additive, raw};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::{FATES, LISTEN};
use crate::conform::orders::mock::{MockPending, Slot};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Pending, Request, Target};

/// The promise that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    ModeOutlivesHandle,
    PeersOutliveHandle,
    EventsOutliveHandle,
    RequestsOutliveHandle,
    SecondModeSucceeds,
    SecondSocketSucceeds,
    PeerBeforeSocket,
    SameAddressTwice,
    RefusedPeerStays,
    DelPeerKeepsNetwork,
    DelPeerKeepsKeys,
    DelPeerUntold,
    EventsOutOfOrder,
    NetworkOfTwo,
    NetworkMovesToWhoAsks,
    DelIrouteForgets,
    SwapDoesNothing,
    SecondaryReplacesPrimary,
    KeyWithoutPeer,
}

/// All but none.
pub const FAULTS: [Fault; 19] = [
    Fault::ModeOutlivesHandle,
    Fault::PeersOutliveHandle,
    Fault::EventsOutliveHandle,
    Fault::RequestsOutliveHandle,
    Fault::SecondModeSucceeds,
    Fault::SecondSocketSucceeds,
    Fault::PeerBeforeSocket,
    Fault::SameAddressTwice,
    Fault::RefusedPeerStays,
    Fault::DelPeerKeepsNetwork,
    Fault::DelPeerKeepsKeys,
    Fault::DelPeerUntold,
    Fault::EventsOutOfOrder,
    Fault::NetworkOfTwo,
    Fault::NetworkMovesToWhoAsks,
    Fault::DelIrouteForgets,
    Fault::SwapDoesNothing,
    Fault::SecondaryReplacesPrimary,
    Fault::KeyWithoutPeer,
];

/// A slot's content: 0 nothing, 1 a classic key, 2 an epoch key.
type Keys = [u8; 2];

#[derive(Default)]
struct State {
    server: bool,
    socket: Option<UdpSocket>,
    peers: Vec<(i32, Keys)>,
    keys_left: Keys,
    owners: Vec<i32>,
    events: VecDeque<i32>,
    requests: VecDeque<Slot>,
    taken: i64,
    dropped: [i64; FATES.len()],
}

#[derive(Clone)]
pub struct Mock {
    state: Arc<Mutex<State>>,
    fault: Fault,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ends(status: NtStatus, output: Vec<u8>) -> Completion {
    Completion { status, information: output.len() as u64, output, spilled: false }
}

fn event(id: i32) -> Completion {
    let mut event = raw::NotifyEvent::new_zeroed();
    (event.peer_id, event.del_peer_reason) = (id.into(), 1.into());
    ends(NtStatus::SUCCESS, event.as_bytes().to_vec())
}

fn word(input: &[u8], at: usize) -> i32 {
    i32::read_from_bytes(&input[at..at + 4]).expect("four bytes")
}

impl State {
    fn keys(&mut self, id: i32) -> Option<&mut Keys> {
        self.peers.iter_mut().find(|peer| peer.0 == id).map(|peer| &mut peer.1)
    }

    fn post(&mut self, id: i32) {
        match self.requests.pop_front() {
            Some(request) => *lock(&request) = Some(event(id)),
            None => self.events.push_back(id),
        }
    }

    fn receive(&mut self) {
        let mut bytes = [0; 2048];
        while let Some(Ok(length)) = self.socket.as_ref().map(|socket| socket.recv(&mut bytes)) {
            let owns = self.owners.contains(&1);
            match self.keys(1).copied() {
                None => self.dropped[0] += 1,
                Some(keys) if !keys.contains(&1) => self.dropped[1] += 1,
                Some(_) if !owns => self.dropped[2] += 1,
                Some(_) => self.taken += length as i64 - crate::far::OVERHEAD as i64,
            }
        }
    }
}

impl Mock {
    pub fn new(fault: Fault) -> Self {
        Self { state: Arc::default(), fault }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn served(&self, state: &mut State, code: u32, input: &[u8]) -> Completion {
        let or = |is: bool, otherwise: NtStatus| if is { NtStatus::SUCCESS } else { otherwise };
        let ioctl = Ioctl::from_code(code).expect("a request of the interface");
        let no_data = |status| ends(status, Vec::new());
        match ioctl {
            Ioctl::SetMode => {
                let first = !std::mem::replace(&mut state.server, true);
                no_data(or(first || self.is(Fault::SecondModeSucceeds), NtStatus::ALREADY_INITIALIZED))
            }
            Ioctl::NewKey | Ioctl::NewKeyV2 => {
                let epoch = ioctl == Ioctl::NewKeyV2;
                let both = epoch && self.is(Fault::SecondaryReplacesPrimary);
                let installed = state.keys(1).map(|keys| {
                    keys[usize::from(epoch)] = 1 + u8::from(epoch);
                    if both {
                        keys[0] = 2;
                    }
                });
                no_data(or(installed.is_some() || self.is(Fault::KeyWithoutPeer), NtStatus::OBJECTID_NOT_FOUND))
            }
            Ioctl::GetStats => {
                state.receive();
                let mut stats = raw::Stats::new_zeroed();
                stats.tun_bytes_received = state.taken.into();
                ends(NtStatus::SUCCESS, stats.as_bytes().to_vec())
            }
            Ioctl::GetPeerStats => {
                let records = state.peers.iter().map(|(id, _)| {
                    let mut record = raw::PeerStats::new_zeroed();
                    record.peer_id = (*id).into();
                    record.as_bytes().to_vec()
                });
                ends(NtStatus::SUCCESS, records.collect::<Vec<_>>().concat())
            }
            _ if !state.server => no_data(NtStatus::INVALID_DEVICE_STATE),
            Ioctl::MpStartVpn => {
                if state.socket.is_some() && !self.is(Fault::SecondSocketSucceeds) {
                    return no_data(NtStatus::ALREADY_INITIALIZED);
                }
                state.socket = None;
                let socket = UdpSocket::bind(LISTEN).expect("a free port");
                socket.set_nonblocking(true).expect("a socket that does not block");
                state.socket = Some(socket);
                ends(NtStatus::SUCCESS, input.to_vec())
            }
            Ioctl::MpNewPeer => no_data(self.new_peer(state, word(input, 76), input[59])),
            Ioctl::MpDelPeer => no_data(self.del_peer(state, word(input, 0))),
            Ioctl::MpSwapKeys => {
                let swaps = !self.is(Fault::SwapDoesNothing);
                let swapped = state.keys(1).map(|keys| keys.rotate_left(usize::from(swaps)));
                no_data(or(swapped.is_some(), NtStatus::INVALID_DEVICE_REQUEST))
            }
            Ioctl::MpAddIroute => {
                let id = word(input, 20);
                if state.keys(id).is_none() {
                    return no_data(NtStatus::NOT_FOUND);
                }
                let another = state.owners.iter().any(|&owner| owner != id);
                if another && self.is(Fault::NetworkMovesToWhoAsks) {
                    state.owners.clear();
                } else if another && !self.is(Fault::NetworkOfTwo) {
                    return no_data(NtStatus::OBJECTID_EXISTS);
                }
                state.owners.push(id);
                no_data(NtStatus::SUCCESS)
            }
            Ioctl::MpDelIroute => {
                let was = !state.owners.is_empty();
                if !self.is(Fault::DelIrouteForgets) {
                    state.owners.clear();
                }
                no_data(or(was, NtStatus::NOT_FOUND))
            }
            other => panic!("expected no {other:?}"),
        }
    }

    fn new_peer(&self, state: &mut State, id: i32, host: u8) -> NtStatus {
        if state.socket.is_none() && !self.is(Fault::PeerBeforeSocket) {
            return NtStatus::INVALID_DEVICE_STATE;
        }
        if state.keys(id).is_some() {
            return NtStatus::OBJECTID_EXISTS;
        }
        // The first peer's address is 1's, and 3 asks for it.
        let taken = host == 1 && (state.keys(1).is_some() || state.keys(3).is_some());
        let keys = std::mem::take(&mut state.keys_left);
        if !taken || self.is(Fault::SameAddressTwice) || self.is(Fault::RefusedPeerStays) {
            state.peers.push((id, keys));
            state.peers.sort_unstable();
        }
        if taken && !self.is(Fault::SameAddressTwice) { NtStatus::NO_MEMORY } else { NtStatus::SUCCESS }
    }

    fn del_peer(&self, state: &mut State, id: i32) -> NtStatus {
        let Some(keys) = state.keys(id).copied() else { return NtStatus::NOT_FOUND };
        state.peers.retain(|peer| peer.0 != id);
        if !self.is(Fault::DelPeerKeepsNetwork) {
            state.owners.retain(|&owner| owner != id);
        }
        if self.is(Fault::DelPeerKeepsKeys) {
            state.keys_left = keys;
        }
        if !self.is(Fault::DelPeerUntold) {
            state.post(id);
        }
        NtStatus::SUCCESS
    }

    fn drops(state: &mut State) -> Completion {
        state.receive();
        let names = FATES.into_iter().chain(["RxNoQueue"]);
        let counts = state.dropped.into_iter().chain([0]);
        let records =
            names.zip(counts).map(|(name, count)| raw::DropCount::new(name, count as u64).as_bytes().to_vec());
        ends(NtStatus::SUCCESS, records.collect::<Vec<_>>().concat())
    }
}

impl Target for Mock {
    fn open(&self, _: &str) -> io::Result<Result<Box<dyn File>, NtStatus>> {
        Ok(Ok(Box::new(self.clone())))
    }
}

impl File for Mock {
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>> {
        let mut state = lock(&self.state);
        let Request::Ioctl { code, input, .. } = request else { return Err(io::ErrorKind::Unsupported.into()) };
        let ended = if code == additive::GET_DROPS {
            Some(Self::drops(&mut state))
        } else if code == Ioctl::NotifyEvent.code() {
            let oldest = match self.fault {
                Fault::EventsOutOfOrder => state.events.pop_back(),
                _ => state.events.pop_front(),
            };
            oldest.map(event)
        } else {
            Some(self.served(&mut state, code, input))
        };
        let waiting = Arc::new(Mutex::new(ended));
        if lock(&waiting).is_none() {
            state.requests.push_back(Arc::clone(&waiting));
        }
        Ok(Box::new(MockPending(waiting)))
    }

    fn close(&self) -> io::Result<NtStatus> {
        let mut state = lock(&self.state);
        if !self.is(Fault::RequestsOutliveHandle) {
            state.requests.drain(..).for_each(|one| *lock(&one) = Some(ends(NtStatus::CANCELLED, Vec::new())));
        }
        if !self.is(Fault::EventsOutliveHandle) {
            state.events.clear();
        }
        if !self.is(Fault::PeersOutliveHandle) {
            state.peers.clear();
            state.owners.clear();
        }
        state.server &= self.is(Fault::ModeOutlivesHandle);
        state.socket = None;
        Ok(NtStatus::SUCCESS)
    }
}
