//! The tunnel over TCP: connected, ended by the other end, and connects that do not end.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{NOWHERE, RELAY, Scene, TICKS, ended};
use crate::device::{Hang, Protocol, READ_LENGTH};
use crate::key::{Cipher, Direction, StaticKey};
use crate::rig::{Side, Transport};
use crate::status::NtStatus;
use crate::tcp::{BlackHole, Listener};
use crate::tunnel::Tunnel;

impl Scene<'_> {
    /// A's connection, relayed to B in small pieces. One step, for a failure may end the connection, and then all of it is done again.
    pub(super) fn over_tcp(&mut self) -> Result<()> {
        if self.relay.is_some() && self.injected()?.is_some_and(|stack| stack.starts_with("WskReceive ")) {
            self.told_of_the_end().context("after a receive that failed")?;
        }
        drop(self.relay.take());
        self.failed_before = self.injected()?.is_some();
        let far = self.rig.wire(Side::B, Transport::V4);
        let [mut local, mut relay_at] = [self.rig.wire(Side::A, Transport::V4), far];
        local.set_port(0);
        relay_at.set_port(RELAY);
        let [near_key, far_key] =
            [Direction::Normal, Direction::Inverse].map(|d| StaticKey::of_test(3, Cipher::Aes256, d));
        let listener = self.rig.within(Side::B, || Listener::bind(far))?;
        let near = Tunnel { local, remote: far, peer_id: 7, key: &near_key, settings: None };
        near.up_over(Protocol::Tcp, self.device()?)?;
        Tunnel { local: far, remote: relay_at, key: &far_key, ..near }.up(self.other()?)?;
        let socket = self.rig.within(Side::B, || {
            let socket = UdpSocket::bind(relay_at).context("binding the relay")?;
            socket.connect(far)?;
            Ok(socket)
        })?;
        self.relay = Some(listener.accept()?.relay(socket, 700)?);
        self.rig.configure_some(&[Side::A])?;
        self.packets()?;
        self.control()
    }

    /// The connection ends: a read that waits is told, or the next.
    pub(super) fn far_end(&mut self) -> Result<()> {
        drop(self.relay.take());
        self.told_of_the_end()?;
        self.device()?.del_peer()?;
        self.other()?.del_peer()
    }

    fn told_of_the_end(&self) -> Result<()> {
        let until = Instant::now() + TICKS;
        loop {
            let mut read = self.device()?.read(READ_LENGTH)?;
            match read.wait(until.saturating_duration_since(Instant::now()))?.map(|completion| completion.status) {
                Some(NtStatus::CONNECTION_ABORTED) => return Ok(()),
                // What came before the end.
                Some(NtStatus::SUCCESS) => {}
                Some(status) => bail!("a read at the connection's end: expected CONNECTION_ABORTED, got {status}"),
                None => return Err(Hang("a read at the connection's end".into()).into()),
            }
        }
    }

    /// Connects that do not end by themselves: cancelled, and taken back by DEL_PEER.
    pub(super) fn connects(&mut self) -> Result<()> {
        let [mut local, mut nowhere] = [Side::A, Side::B].map(|side| self.rig.wire(side, Transport::V4));
        local.set_port(0);
        nowhere.set_port(NOWHERE);
        let _hole = self.rig.within(Side::B, || BlackHole::open(nowhere))?;
        let device = self.device()?;
        for cancelled in [true, false] {
            let mut connect = device.start_new_peer(Protocol::Tcp, local, nowhere)?;
            if let Some(ended) = connect.wait(Duration::from_millis(5))? {
                bail!("NEW_PEER to where nobody answers: expected it to wait, got {}", ended.status);
            }
            if cancelled {
                connect.cancel()?;
            } else {
                device.del_peer()?;
            }
            ended(connect, &[NtStatus::CANCELLED])?;
        }
        Ok(())
    }
}
