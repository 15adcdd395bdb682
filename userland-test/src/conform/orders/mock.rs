//! A device that keeps its promises, except for one: what the orders have to find.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dco_uapi::{Ioctl, raw};
use zerocopy::{FromZeros, IntoBytes};

use crate::status::NtStatus;
use crate::targets::{Completion, File, Pending, Request, Target};

/// The promise that is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    SwapWithoutPeer,
    KeyWithoutPeerIsInvalidRequest,
    DelPeerKeepsReads,
    DelPeerKeepsPackets,
    DelPeerTakesLinkDown,
    CloseKeepsPeer,
    CloseKeepsLink,
    SecondPeerKeepsReads,
    SecondPeerKeepsPackets,
    ReadsEndOutOfOrder,
    PacketsComeOutOfOrder,
    StatsOutlivePeer,
    SpilledOutput,
}

/// All but none.
pub const FAULTS: [Fault; 13] = [
    Fault::SwapWithoutPeer,
    Fault::KeyWithoutPeerIsInvalidRequest,
    Fault::DelPeerKeepsReads,
    Fault::DelPeerKeepsPackets,
    Fault::DelPeerTakesLinkDown,
    Fault::CloseKeepsPeer,
    Fault::CloseKeepsLink,
    Fault::SecondPeerKeepsReads,
    Fault::SecondPeerKeepsPackets,
    Fault::ReadsEndOutOfOrder,
    Fault::PacketsComeOutOfOrder,
    Fault::StatsOutlivePeer,
    Fault::SpilledOutput,
];

pub type Slot = Arc<Mutex<Option<Completion>>>;

#[derive(Default)]
struct State {
    peer: bool,
    link: bool,
    sent: i32,
    backlog: VecDeque<Vec<u8>>,
    reads: VecDeque<Slot>,
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

impl Mock {
    pub fn new(fault: Fault) -> Self {
        Self { state: Arc::default(), fault }
    }

    fn flush(&self, state: &mut State, reads: bool, packets: bool) {
        if packets {
            state.backlog.clear();
        }
        if reads {
            state.reads.drain(..).for_each(|read| *lock(&read) = Some(ends(NtStatus::CANCELLED, Vec::new())));
        }
    }

    fn ioctl(&self, state: &mut State, code: u32) -> Completion {
        let done = |fits: bool, otherwise| ends(if fits { NtStatus::SUCCESS } else { otherwise }, Vec::new());
        let no_peer = NtStatus::INVALID_DEVICE_REQUEST;
        let fault = self.fault;
        match Ioctl::from_code(code) {
            Some(Ioctl::NewPeer) => {
                if state.peer {
                    self.flush(state, fault != Fault::SecondPeerKeepsReads, fault != Fault::SecondPeerKeepsPackets);
                }
                state.peer = true;
                if fault != Fault::StatsOutlivePeer {
                    state.sent = 0;
                }
                done(true, no_peer)
            }
            Some(Ioctl::DelPeer) => {
                state.peer = false;
                state.link &= fault != Fault::DelPeerTakesLinkDown;
                self.flush(state, fault != Fault::DelPeerKeepsReads, fault != Fault::DelPeerKeepsPackets);
                done(true, no_peer)
            }
            Some(Ioctl::StartVpn) => {
                state.link |= state.peer;
                done(state.peer, no_peer)
            }
            Some(Ioctl::SwapKeys) => done(state.peer || fault == Fault::SwapWithoutPeer, no_peer),
            Some(Ioctl::SetPeer) => done(state.peer, no_peer),
            Some(Ioctl::NewKey) if fault == Fault::KeyWithoutPeerIsInvalidRequest => done(state.peer, no_peer),
            Some(Ioctl::NewKey) => done(state.peer, NtStatus::OBJECTID_NOT_FOUND),
            Some(Ioctl::GetStats) => {
                let mut stats = raw::Stats::new_zeroed();
                stats.sent_control_packets = state.sent.into();
                let answer = ends(NtStatus::SUCCESS, stats.as_bytes().to_vec());
                Completion { spilled: fault == Fault::SpilledOutput, ..answer }
            }
            _ => ends(NtStatus::INVALID_DEVICE_REQUEST, Vec::new()),
        }
    }

    fn write(&self, state: &mut State, bytes: &[u8]) -> Completion {
        if !state.peer {
            return ends(NtStatus::INVALID_DEVICE_STATE, Vec::new());
        }
        state.sent += 1;
        let read = match self.fault {
            Fault::ReadsEndOutOfOrder => state.reads.pop_back(),
            _ => state.reads.pop_front(),
        };
        match read {
            Some(read) => *lock(&read) = Some(ends(NtStatus::SUCCESS, bytes.to_vec())),
            None if state.backlog.len() < super::BACKLOG => state.backlog.push_back(bytes.to_vec()),
            None => {}
        }
        Completion { information: bytes.len() as u64, ..ends(NtStatus::SUCCESS, Vec::new()) }
    }
}

impl Target for Mock {
    fn open(&self, _: &str) -> io::Result<Result<Box<dyn File>, NtStatus>> {
        Ok(Ok(Box::new(self.clone())))
    }

    fn link_is_up(&self) -> io::Result<Option<bool>> {
        Ok(Some(lock(&self.state).link))
    }
}

impl File for Mock {
    fn start(&self, request: Request<'_>) -> io::Result<Box<dyn Pending>> {
        let mut state = lock(&self.state);
        let ended = match request {
            Request::Ioctl { code, .. } => Some(self.ioctl(&mut state, code)),
            Request::Write { bytes } => Some(self.write(&mut state, bytes)),
            Request::Read { .. } => match self.fault {
                Fault::PacketsComeOutOfOrder => state.backlog.pop_back(),
                _ => state.backlog.pop_front(),
            }
            .map(|packet| ends(NtStatus::SUCCESS, packet)),
        };
        let slot = Arc::new(Mutex::new(ended));
        if lock(&slot).is_none() {
            state.reads.push_back(Arc::clone(&slot));
        }
        Ok(Box::new(MockPending(slot)))
    }

    fn close(&self) -> io::Result<NtStatus> {
        let mut state = lock(&self.state);
        self.flush(&mut state, true, true);
        state.peer &= self.fault == Fault::CloseKeepsPeer;
        state.link &= self.fault == Fault::CloseKeepsLink;
        Ok(NtStatus::SUCCESS)
    }
}

/// A request that ends when its slot is filled.
pub struct MockPending(pub Slot);

impl Pending for MockPending {
    fn wait(&mut self, _: Duration) -> io::Result<Option<Completion>> {
        Ok(lock(&self.0).take())
    }

    fn cancel(&mut self) -> io::Result<NtStatus> {
        Ok(NtStatus::NOT_FOUND)
    }
}
