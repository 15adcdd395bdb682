//! The driver as a server with one client, a far end of this process's own in the other namespace.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dco_uapi::{raw, sockaddr};

use super::{Scene, TICKS, ended};
use crate::device::{Event, Hang, PeerSettings, READ_LENGTH, Slot};
use crate::far::DRIVER;
use crate::far::epoch::EpochKey;
use crate::key::{Cipher, StaticKey};
use crate::rig::{Side, Transport};
use crate::server::{Guest, echo, echo_request};
use crate::status::NtStatus;
use crate::tunnel::wait_for_queue;

/// The client's id; even, so that it comes over IPv4.
const ID: i32 = 2;

impl Scene<'_> {
    /// From nothing to a client with keys and networks. Done again, it begins with another handle.
    pub(super) fn serve(&mut self) -> Result<()> {
        if let Some(device) = self.a_device.take() {
            device.close()?;
        }
        if self.without_data_path()? {
            self.disable()?;
            self.restarted = true;
        }
        self.open()?;
        let device = self.device()?;
        device.set_mode_server()?;
        let at = SocketAddr::new([0; 16].into(), self.rig.wire(Side::A, Transport::V4).port());
        let bound = device.listen(at, false)?;
        ensure!(bound == at, "expected to listen at {at}, got {bound}");
        let guest = Guest::join(self.rig, device, ID, None)?;
        device.set_client(
            ID,
            PeerSettings { keepalive_interval: Some(600), keepalive_timeout: Some(1200), mss: Some(1000) },
        )?;
        for n in 0..10 {
            device.add_iroute([172, 16, n, 0].into(), 24, ID)?;
            device.add_iroute([0xfd50, n.into(), 0, 0, 0, 0, 0, 0].into(), 32, ID)?;
        }
        self.guest = Some(guest);
        ensure!(self.a.link_is_up()?, "expected the link up, it is down");
        self.rig.configure_some(&[Side::A])?;
        wait_for_queue(self.device()?, &Guest::far(self.rig, 0)?)
    }

    /// An echo of the stack's, over either IP version.
    pub(super) fn server_echoes(&mut self) -> Result<()> {
        let mut guest = self.guest.take().context("there is no client")?;
        let outcome = (0..2).try_for_each(|version| {
            self.sent += 1;
            let inside = self.rig.tunnel(Side::A, [Transport::V4, Transport::V6][version]);
            self.echo(&mut guest, version, inside)
        });
        self.guest = Some(guest);
        // What is lost without a failure is worth a look at the machine.
        match outcome {
            Err(error) if self.injected()?.is_none() => {
                let machine = self.a.describe(self.device()?);
                let drops: Vec<_> = self.device()?.drops()?.into_iter().filter(|(_, count)| *count != 0).collect();
                Err(error.context(format!("{drops:?}\n{machine}")))
            }
            outcome => outcome,
        }
    }

    pub(super) fn echo(&self, guest: &mut Guest, version: usize, inside: IpAddr) -> Result<()> {
        let request = echo_request(guest.vpn[version], inside, 600, self.sent as u32);
        let (from, to, _, payload) = echo(&request).context("an echo request of our own")?;
        let guest = std::cell::RefCell::new(guest);
        self.deliver("an echo request of a client's", &mut || guest.borrow_mut().send(&request), &mut |wait| {
            // Others are replies to what was sent twice, perhaps under the key before.
            while let Some(packet) = guest.borrow().far.receive(wait)? {
                let Some(opened) = guest.borrow().key.open(&packet)? else { continue };
                if echo(&opened.inner) == Some((to, from, true, payload)) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Control packets both ways, with addresses.
    pub(super) fn server_control(&mut self) -> Result<()> {
        self.sent += 1;
        let guest = self.guest.as_ref().context("there is no client")?;
        let packet = [b"\x38".as_slice(), &self.sent.to_le_bytes()].concat();
        let union: raw::SockaddrUnion = mapped(guest.far.address()?).into();
        let prefixed = [&union.bytes[..sockaddr::V6_LEN], &packet].concat();
        let device = self.device()?;
        self.deliver("a control packet of a client's", &mut || guest.far.send(&packet), &mut |wait| {
            let mut read = device.read(READ_LENGTH)?;
            loop {
                let Some(came) = read.wait(wait)? else {
                    super::cancel(read)?;
                    return Ok(false);
                };
                if came.status == NtStatus::SUCCESS && came.output == prefixed {
                    return Ok(true);
                }
                ensure!(
                    came.status == NtStatus::SUCCESS || self.injected()?.is_some(),
                    "read: expected SUCCESS, got {}",
                    came.status
                );
                read = device.read(READ_LENGTH)?;
            }
        })?;
        self.deliver(
            "a control packet to a client",
            &mut || {
                let written = device.write(&prefixed)?.status;
                ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
                Ok(())
            },
            &mut |wait| {
                while let Some(came) = guest.far.receive(wait)? {
                    if came == packet {
                        return Ok(true);
                    }
                }
                Ok(false)
            },
        )
    }

    /// Another key for the client.
    pub(super) fn server_rekey(&mut self) -> Result<()> {
        let key = StaticKey::of_test(9, Cipher::Aes128, DRIVER);
        let device = self.device()?;
        device.new_key(&key, Slot::Secondary, 5, ID.cast_unsigned())?;
        device.swap_client_keys(ID)?;
        let guest = self.guest.as_mut().context("there is no client")?;
        guest.key = crate::far::DataKey::opposite(&key, 5, ID.cast_unsigned())?;
        self.server_echoes()
    }

    /// A key of the other format. First the client goes through epochs, each of which the driver has to follow, which takes the keys that it makes
    /// meanwhile; then the driver does. Where a key was refused once, it is made a second later.
    pub(super) fn server_epochs(&mut self) -> Result<()> {
        const FOLLOWED: u16 = 7;
        // A driver leads by two, and then waits.
        const LED: u16 = FOLLOWED + 2;
        self.sent += 1;
        let key_id = (self.sent % 7) as u8;
        let secret = StaticKey::of_test(100 + self.sent, Cipher::Aes256, DRIVER);
        let device = self.device()?;
        device.new_epoch_key(&secret, Slot::Secondary, key_id, ID.cast_unsigned())?;
        device.swap_client_keys(ID)?;
        let mut key = EpochKey::opposite(&secret, key_id, ID.cast_unsigned())?;
        let (mut came, mut counter, until) = (0, 0, Instant::now() + 2 * TICKS);
        for epoch in 1..=FOLLOWED {
            counter = 0;
            while came < epoch {
                ensure!(Instant::now() < until, "expected to be followed to epoch {epoch}, got {came}");
                came = self.epoch_echo(&mut key, epoch, &mut counter)?;
            }
        }
        while came < LED && !self.without_limit()? {
            ensure!(Instant::now() < until, "expected to be led to epoch {LED}, got {came}");
            came = self.epoch_echo(&mut key, FOLLOWED, &mut counter)?;
        }
        Ok(())
    }

    /// An echo in this epoch; the epoch of its reply.
    fn epoch_echo(&mut self, key: &mut EpochKey, epoch: u16, counter: &mut u64) -> Result<u16> {
        self.sent += 1;
        let guest = self.guest.as_ref().context("there is no client")?;
        let inside = self.rig.tunnel(Side::A, Transport::V4);
        let request = echo_request(guest.vpn[0], inside, 600, self.sent as u32);
        let (from, to, _, payload) = echo(&request).context("an echo request of our own")?;
        let (key, mut replied) = (std::cell::RefCell::new(key), 0);
        self.deliver(
            "an echo request of a client's, in an epoch",
            &mut || {
                *counter += 1;
                guest.far.send(&key.borrow_mut().seal(epoch, *counter, &request)?)
            },
            &mut |wait| {
                while let Some(packet) = guest.far.receive(wait)? {
                    // Replies under the key before it, to what was sent twice, are no matter here.
                    let Some(opened) = key.borrow_mut().open(&packet)? else { continue };
                    if echo(&opened.inner) == Some((to, from, true, payload)) {
                        replied = opened.epoch;
                        return Ok(true);
                    }
                }
                Ok(false)
            },
        )?;
        Ok(replied)
    }

    /// The client is elsewhere, and userspace is told.
    pub(super) fn server_float(&mut self) -> Result<()> {
        let event = self.device()?.notify_event()?;
        let far = Guest::far(self.rig, ID)?;
        let here = mapped(far.address()?);
        self.guest.as_mut().context("there is no client")?.far = far;
        self.server_echoes()?;
        let mut event = event;
        loop {
            let Some(came) = event.wait(TICKS)? else { return Err(Hang("a float's event".into()).into()) };
            ensure!(came.status == NtStatus::SUCCESS, "NOTIFY_EVENT: expected SUCCESS, got {}", came.status);
            // An earlier one, of a step that was done again.
            if Event::from_bytes(&came.output)? == Event::Float(ID, here) {
                return Ok(());
            }
            event = self.device()?.notify_event()?;
        }
    }

    /// Counters, the end of the client with its networks, its event, and requests that wait when the handle closes.
    pub(super) fn server_ends(&mut self) -> Result<()> {
        let device = self.device()?;
        let there = device.all_client_stats()?;
        if there.is_empty() {
            // It was done already, and what failed came after it.
            ensure!(self.injected()?.is_some(), "expected one peer, got none");
            self.drained()?;
        } else {
            // What a batch has carried is counted when it ends, which may be now.
            let one = device.client_stats(ID)?.peer_id.get();
            ensure!(there.len() == 1 && one == ID, "expected one peer, got {one} and {there:?}");
            device.del_iroute([172, 16, 3, 0].into(), 24)?;
            device.add_iroute([172, 16, 3, 0].into(), 24, ID)?;
            device.del_client(ID)?;
            ended(device.notify_event()?, &[NtStatus::SUCCESS])?;
        }
        let event = device.notify_event()?;
        self.answered()?;
        if let Some(device) = self.a_device.take() {
            device.close()?;
        }
        ended(event, &[NtStatus::CANCELLED])?;
        ensure!(!self.a.link_is_up()?, "expected the link down after close, it is up");
        Ok(())
    }
}

/// As the user of a dual-stack socket sees it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
        other => other,
    }
}
