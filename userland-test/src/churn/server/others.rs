//! What goes on beside the lives: who stays, who has no business here, who asks, who listens.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, sockaddr};
use zerocopy::IntoBytes;

use super::super::add;
use super::{Crowd, SOON, STANDING};
use crate::device::{Client, Event, PROMPT, READ_LENGTH, iroute};
use crate::far::Far;
use crate::server::Guest;
use crate::status::NtStatus;
use crate::targets::{Completion, Pending};

/// NOTIFY_EVENTs and reads that wait at once.
const WAITING: usize = 32;

/// How long a control packet may take before it is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// An id that no peer has.
const NOBODY: i32 = 0x00AB_CDEF;

impl Crowd<'_> {
    /// Keeps requests waiting and takes what ends them, in order, until it is done.
    fn keep_waiting(
        &self,
        done: &AtomicBool,
        start: impl Fn() -> Result<Box<dyn Pending>>,
        mut take: impl FnMut(Completion) -> Result<()>,
    ) -> Result<()> {
        let mut waiting: VecDeque<Box<dyn Pending>> = VecDeque::new();
        while !done.load(Ordering::Acquire) && !self.stop.load(Ordering::Relaxed) {
            while waiting.len() < WAITING {
                waiting.push_back(start()?);
            }
            let Some(oldest) = waiting.front_mut() else { bail!("expected requests that wait") };
            if let Some(came) = oldest.wait(Duration::from_millis(20))? {
                waiting.pop_front();
                take(came)?;
            }
        }
        for mut pending in waiting {
            pending.cancel()?;
            let Some(came) = pending.wait(PROMPT)? else { bail!("a request still pends after {PROMPT:?}") };
            if came.status != NtStatus::CANCELLED {
                take(came)?;
            }
        }
        Ok(())
    }

    /// Takes events.
    pub(super) fn listen(&self, done: &AtomicBool) -> Result<()> {
        self.keep_waiting(
            done,
            || self.device.notify_event(),
            |came| {
                ensure!(came.status == NtStatus::SUCCESS, "NOTIFY_EVENT: expected SUCCESS, got {}", came.status);
                self.told.take(Event::from_bytes(&came.output)?)
            },
        )
    }

    /// Takes control packets, and sends those that ask for it back to where they came from.
    pub(super) fn reads(&self, done: &AtomicBool) -> Result<()> {
        self.keep_waiting(
            done,
            || self.device.read(READ_LENGTH),
            |came| {
                ensure!(came.status == NtStatus::SUCCESS, "read: expected SUCCESS, got {}", came.status);
                let packet = came.output.get(sockaddr::V6_LEN..).context("a packet behind an address")?;
                if packet.first() == Some(&0x38) {
                    let written = self.device.write(&came.output)?.status;
                    let allowed = [NtStatus::SUCCESS, NtStatus::INSUFFICIENT_RESOURCES];
                    ensure!(allowed.contains(&written), "write: expected one of {allowed:?}, got {written}");
                }
                Ok(())
            },
        )
    }

    /// Sends what is nobody's, from where nobody is, and a control packet at the end of each burst, which has to come back: so that no more
    /// is under way than that.
    pub(super) fn strangers(&self, done: &AtomicBool) -> Result<()> {
        let ends = [self.socket(false)?, self.socket(true)?];
        let mut number = 0u64;
        while !done.load(Ordering::Acquire) && !self.stop.load(Ordering::Relaxed) {
            for far in &ends {
                number += 1;
                self.burst(far, number)?;
                self.hello(far, number)?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn burst(&self, far: &Far, number: u64) -> Result<()> {
        // A peer that stays, with its key id: it may not move for it.
        let standing = 1 + number as u8 % STANDING as u8;
        let data = |key_id: u8, peer: [u8; 3], length: usize| -> Vec<u8> {
            let head = [&[0x48 | key_id], peer.as_slice(), &(number as u32).to_be_bytes()].concat();
            head.into_iter().chain(std::iter::repeat(0xA5)).take(length).collect()
        };
        let packets = [
            data(standing % 8, [0, 0, standing], 200),
            data(standing % 8, [0, 0, standing], 24),
            data((standing + 1) % 8, [0, 0, standing], 200),
            data(0, [0xAB, 0xCD, 0xEF], 300),
            data(0, [0xFF; 3], 300),
            data(0, [2, 0, 0], 2000),
            vec![0x48, 0, 0],
            vec![0xFF; 1 + number as usize % 1500],
        ];
        add(&self.totals.unsound, packets.len() as u64);
        packets.iter().try_for_each(|packet| far.send(packet))
    }

    fn hello(&self, far: &Far, number: u64) -> Result<()> {
        let packet = [b"\x38".as_slice(), &number.to_be_bytes(), &[number as u8; 50]].concat();
        let deadline = Instant::now() + SOON;
        far.send(&packet)?;
        loop {
            match far.receive(AGAIN)? {
                Some(came) if came == packet => {
                    add(&self.totals.control, 1);
                    return Ok(());
                }
                // An earlier one, of those that were sent again.
                Some(came) if came.first() == Some(&0x38) => {}
                // Who had this socket before may have left a packet in it.
                Some(_) => {}
                None => {
                    ensure!(!self.stop.load(Ordering::Relaxed), "something else failed");
                    ensure!(Instant::now() < deadline, "expected a control packet back within {SOON:?}");
                    far.send(&packet)?;
                }
            }
        }
    }

    /// Asks for counters, and for what has to be refused: each refusal has to leave nothing behind.
    pub(super) fn questions(&self, done: &AtomicBool) -> Result<()> {
        let IpAddr::V4(taken) = self.taken else { bail!("expected an IPv4 address") };
        while !done.load(Ordering::Acquire) && !self.stop.load(Ordering::Relaxed) {
            let peers = self.device.all_client_stats()?;
            ensure!(peers.len() >= STANDING as usize, "expected {STANDING} peers at least, got {}", peers.len());
            self.device.stats()?;
            self.device.drops()?;
            let elsewhere = ([10, 87, 0, 77], 9).into();
            let new = |id, remote, vpn4| Client { id, remote, vpn4, vpn6: None }.request().as_bytes().to_vec();
            let network = iroute([192, 168, 7, 0].into(), 24, NOBODY).as_bytes().to_vec();
            for (ioctl, input, expected) in [
                (Ioctl::MpNewPeer, new(1, elsewhere, None), NtStatus::OBJECTID_EXISTS),
                (Ioctl::MpNewPeer, new(NOBODY, elsewhere, Some(taken)), NtStatus::NO_MEMORY),
                (Ioctl::MpDelPeer, NOBODY.as_bytes().to_vec(), NtStatus::NOT_FOUND),
                (Ioctl::MpSwapKeys, NOBODY.as_bytes().to_vec(), NtStatus::INVALID_DEVICE_REQUEST),
                (Ioctl::MpAddIroute, network.clone(), NtStatus::NOT_FOUND),
                (Ioctl::MpDelIroute, network, NtStatus::NOT_FOUND),
            ] {
                let came = self.device.ioctl(ioctl.code(), &input, 0)?.status;
                ensure!(came == expected, "{}: expected {expected}, got {came}", ioctl.name());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Those that stay lose nothing: each request is answered, and the driver's packets are numbered without a gap.
    pub(super) fn stay(&self, guests: &mut [Guest], done: &AtomicBool) -> Result<()> {
        let mut tag = 0u32;
        while !done.load(Ordering::Acquire) && !self.stop.load(Ordering::Relaxed) {
            for guest in guests.iter_mut() {
                tag = tag.wrapping_add(1);
                let version = (tag / STANDING as u32) as usize % 2;
                guest.pings(guest.vpn[version], self.inside[version], 60 + tag as usize % 1400, tag)?;
                add(&self.totals.standing, 1);
            }
            // The machine is for the lives.
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}
