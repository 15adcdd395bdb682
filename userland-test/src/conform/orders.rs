//! Every order of calls, against a small model of what a handle promises.
//!
//! The calls follow a de Bruijn sequence: in one long run each sequence of N calls occurs once, after all kinds of calls before it.
//! Closing and opening is one of the calls, so each sequence of N - 1 calls on a fresh handle is in it too. The peer is the driver
//! itself, so that what is written comes back to a read.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use dco_uapi::{Ioctl, raw};
use zerocopy::FromBytes;

use super::{Bench, cases};
use crate::device::{ADAPTER, PROMPT, READ_LENGTH};
use crate::status::NtStatus;
use crate::targets::{Completion, File, Null, Pending, Request};

/// A call of a sequence. Those that undo come first: a de Bruijn sequence ends with what comes last here, and what they undo is
/// bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Reopen,
    DelPeer,
    NewPeer,
    SetPeer,
    Primary,
    Secondary,
    Swap,
    StartVpn,
    GetStats,
    Write,
    Read,
}

const CALLS: [Call; 11] = [
    Call::Reopen,
    Call::DelPeer,
    Call::NewPeer,
    Call::SetPeer,
    Call::Primary,
    Call::Secondary,
    Call::Swap,
    Call::StartVpn,
    Call::GetStats,
    Call::Write,
    Call::Read,
];

/// Control packets that wait for a reader.
const BACKLOG: usize = 64;

/// The de Bruijn sequence of `symbols` symbols and sequences of `length`, with its beginning again at its end: every sequence once,
/// without wrapping around. Fredricksen, Kessler and Maiorana's: Lyndon words in order.
pub fn de_bruijn(symbols: usize, length: usize) -> Vec<usize> {
    let mut sequence = Vec::new();
    let mut word = vec![0];
    loop {
        if length.is_multiple_of(word.len()) {
            sequence.extend(&word);
        }
        // The next Lyndon word of at most `length` symbols.
        word = word.iter().copied().cycle().take(length).collect();
        while word.last() == Some(&(symbols - 1)) {
            word.pop();
        }
        match word.last_mut() {
            Some(last) => *last += 1,
            None => break,
        }
    }
    let head: Vec<usize> = sequence.iter().copied().take(length - 1).collect();
    sequence.extend(head);
    sequence
}

/// What the handle promises, given what was called on it.
#[derive(Default)]
struct Model {
    peer: bool,
    /// The link is up from START_VPN to the handle's close.
    link: bool,
    /// Control packets sent since the peer was made.
    sent: i32,
    backlog: VecDeque<Vec<u8>>,
}

/// The device under test, and what it owes.
struct Run<'a> {
    bench: &'a Bench<'a>,
    file: Box<dyn File>,
    reads: VecDeque<Box<dyn Pending>>,
    model: Model,
    serial: u32,
}

fn open(bench: &Bench<'_>) -> Result<Box<dyn File>> {
    match bench.target.open(ADAPTER)? {
        Ok(file) => Ok(file),
        Err(status) => bail!("open: expected SUCCESS, got {status}"),
    }
}

fn finish(mut pending: Box<dyn Pending>) -> Result<Completion> {
    match pending.wait(PROMPT)? {
        Some(completion) => Ok(completion),
        None => bail!("it still pends after {PROMPT:?}"),
    }
}

fn expect(came: &Completion, status: NtStatus, information: usize) -> Result<()> {
    ensure!(
        came.status == status && came.information == information as u64 && !came.spilled,
        "expected {status} with {information} bytes, got {} with {}",
        came.status,
        came.information
    );
    Ok(())
}

impl Run<'_> {
    fn ioctl(&self, ioctl: Ioctl, input: &[u8], output: usize, status: NtStatus) -> Result<Completion> {
        let request = Request::Ioctl { code: ioctl.code(), input, output, null: Null::default() };
        let came = finish(self.file.start(request)?)?;
        expect(&came, status, if status == NtStatus::SUCCESS { output } else { 0 })?;
        Ok(came)
    }

    /// The status with a peer, or this one without.
    fn if_peer(&self, without: NtStatus) -> NtStatus {
        if self.model.peer { NtStatus::SUCCESS } else { without }
    }

    /// The peer is gone: so are its packets, and the reads end.
    fn flushed(&mut self) -> Result<()> {
        self.model.backlog.clear();
        while let Some(read) = self.reads.pop_front() {
            expect(&finish(read)?, NtStatus::CANCELLED, 0)?;
        }
        Ok(())
    }

    fn received(&self, came: &Completion, packet: &[u8]) -> Result<()> {
        expect(came, NtStatus::SUCCESS, packet.len())?;
        ensure!(came.output == packet, "expected the packet {packet:02x?}, got {:02x?}", came.output);
        Ok(())
    }

    fn call(&mut self, call: Call) -> Result<()> {
        let key = |slot: i32| cases::key_with(|key| key.slot = slot.into());
        let no_peer = NtStatus::INVALID_DEVICE_REQUEST;
        match call {
            Call::Reopen => {
                ensure!(self.file.close()? == NtStatus::SUCCESS, "close: expected SUCCESS");
                self.flushed()?;
                self.expect_link(false)?;
                self.file = open(self.bench)?;
                self.model = Model::default();
            }
            Call::DelPeer => {
                self.ioctl(Ioctl::DelPeer, &[], 0, NtStatus::SUCCESS)?;
                self.model.peer = false;
                self.flushed()?;
            }
            Call::NewPeer => {
                let own = self.bench.own;
                self.ioctl(Ioctl::NewPeer, &cases::new_peer(own, own, 0), 0, NtStatus::SUCCESS)?;
                if self.model.peer {
                    self.flushed()?;
                }
                self.model.peer = true;
                self.model.sent = 0;
            }
            Call::SetPeer => {
                self.ioctl(Ioctl::SetPeer, &cases::set_peer(0, 0, 1400), 0, self.if_peer(no_peer)).map(drop)?;
            }
            Call::Primary | Call::Secondary => {
                let slot = i32::from(call == Call::Secondary);
                self.ioctl(Ioctl::NewKey, &key(slot), 0, self.if_peer(NtStatus::OBJECTID_NOT_FOUND)).map(drop)?;
            }
            Call::Swap => self.ioctl(Ioctl::SwapKeys, &[], 0, self.if_peer(no_peer)).map(drop)?,
            Call::StartVpn => {
                self.ioctl(Ioctl::StartVpn, &[], 0, self.if_peer(no_peer))?;
                self.model.link |= self.model.peer;
            }
            Call::GetStats => {
                let came = self.ioctl(Ioctl::GetStats, &[], size_of::<raw::Stats>(), NtStatus::SUCCESS)?;
                if self.model.peer {
                    let sent = raw::Stats::read_from_bytes(&came.output).map(|stats| stats.sent_control_packets.get());
                    ensure!(sent == Ok(self.model.sent), "expected {} packets sent, got {sent:?}", self.model.sent);
                }
                self.expect_link(self.model.link)?;
            }
            Call::Write => self.write()?,
            Call::Read => {
                let read = self.file.start(Request::Read { length: READ_LENGTH })?;
                match self.model.backlog.pop_front() {
                    Some(packet) => self.received(&finish(read)?, &packet)?,
                    None => self.reads.push_back(read),
                }
            }
        }
        // None has ended that had no reason to.
        match self.reads.front_mut().map(|read| read.wait(Duration::ZERO)).transpose()?.flatten() {
            Some(came) => bail!("expected the oldest read to pend, it ended with {}", came.status),
            None => Ok(()),
        }
    }

    fn write(&mut self) -> Result<()> {
        self.serial += 1;
        // A control packet: opcode 7.
        let packet: Vec<u8> = std::iter::once(0x38).chain(self.serial.to_be_bytes()).collect();
        let came = finish(self.file.start(Request::Write { bytes: &packet })?)?;
        if !self.model.peer {
            return expect(&came, NtStatus::INVALID_DEVICE_STATE, 0);
        }
        expect(&came, NtStatus::SUCCESS, packet.len())?;
        self.model.sent += 1;
        match self.reads.pop_front() {
            Some(read) => self.received(&finish(read)?, &packet)?,
            None if self.model.backlog.len() < BACKLOG => self.model.backlog.push_back(packet),
            None => {}
        }
        Ok(())
    }

    fn expect_link(&self, up: bool) -> Result<()> {
        match self.bench.target.link_is_up()? {
            Some(is) if is != up => bail!("expected the link {}", if up { "up" } else { "down" }),
            _ => Ok(()),
        }
    }
}

/// Makes these calls in each order of `depth`; `anew` is the one after which nothing of before matters. What was done, in words.
pub fn in_each_order<C: Copy + Debug + PartialEq>(
    calls: &[C],
    depth: usize,
    anew: C,
    mut make: impl FnMut(C) -> Result<()>,
) -> Result<String> {
    let sequence = de_bruijn(calls.len(), depth);
    let mut done: Vec<C> = Vec::new();
    for &place in &sequence {
        let call = calls[place];
        if let Err(problem) = make(call) {
            let begin = done.iter().rposition(|&before| before == anew).unwrap_or(0).max(done.len().saturating_sub(40));
            bail!("call {} of {}, {call:?} after {:?}: {problem:#}", done.len() + 1, sequence.len(), &done[begin..]);
        }
        done.push(call);
    }
    Ok(format!("{} calls: each sequence of {depth} of {} calls", sequence.len(), calls.len()))
}

/// Runs the sequence.
pub fn every_order(bench: &Bench<'_>) -> Result<String> {
    let mut run = Run { bench, file: open(bench)?, reads: VecDeque::new(), model: Model::default(), serial: 0 };
    let done = in_each_order(&CALLS, bench.depth, Call::Reopen, |call| run.call(call))?;
    run.file.close()?;
    run.flushed()?;
    Ok(done)
}

#[cfg(test)]
pub mod mock;

#[cfg(test)]
mod tests {
    use super::mock::{FAULTS, Fault, Mock};
    use super::*;

    fn run(fault: Fault) -> Result<String> {
        let mock = Mock::new(fault);
        let own = ([127, 0, 0, 1], 1).into();
        every_order(&Bench { target: &mock, own, depth: 4, seconds: Duration::ZERO })
    }

    #[test]
    fn a_device_that_keeps_its_promises_passes() {
        run(Fault::None).expect("all is as promised");
    }

    #[test]
    fn each_broken_promise_is_found() {
        for fault in FAULTS {
            let found = run(fault).map(|_| ());
            assert!(found.is_err(), "{fault:?}");
        }
    }

    #[test]
    fn each_sequence_occurs_once() {
        for (symbols, length) in [(2, 3), (3, 4), (11, 3)] {
            let sequence = de_bruijn(symbols, length);
            let mut windows: Vec<&[usize]> = sequence.windows(length).collect();
            assert_eq!(windows.len(), symbols.pow(length as u32));
            windows.sort();
            windows.dedup();
            assert_eq!(windows.len(), symbols.pow(length as u32));
        }
    }
}
