//! The driver as a server with a client that comes over TCP, beside the one over UDP.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::raw;

use super::{Scene, TICKS, WAITS, cancel};
use crate::device::{Client, Event, PROMPT, Protocol, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, Far};
use crate::key::{Cipher, StaticKey};
use crate::rig::{Side, Transport};
use crate::server::Guest;
use crate::status::NtStatus;

/// The client's id; even, so that its addresses are as of one over IPv4.
const ID: i32 = 4;

impl Scene<'_> {
    /// From a listener to a peer that has exchanged packets and goes with its connection. Done again, it begins with another listener.
    pub(super) fn server_connection(&mut self) -> Result<()> {
        // Of a try that failed before; nobody else has a listener of these numbers.
        let _ = self.device()?.del_client(ID);
        for number in 1..16 {
            let _ = self.device()?.unlisten(number);
        }
        let at = SocketAddr::new(self.rig.wire(Side::A, Transport::V4).ip(), 0);
        let (number, at) = self.device()?.listen_more(Protocol::Tcp, at, true)?;
        let far = self.handshake(number, at)?;
        let mut guest = self.connected_guest(far, number)?;
        self.sent += 1;
        let inside = self.rig.tunnel(Side::A, Transport::V4);
        self.echo(&mut guest, 0, inside)?;
        guest.far.connection()?.reset()?;
        self.gone()?;
        self.device()?.unlisten(number)?;
        self.drained()
    }

    /// A connection over which a control packet went either way. One that is reset, or not accepted, for the injected failure is made again.
    fn handshake(&mut self, number: u32, at: SocketAddr) -> Result<Far> {
        for wait in WAITS {
            self.sent += 1;
            let hello = [b"\x38".as_slice(), &self.sent.to_le_bytes()].concat();
            let far = self.rig.within(Side::B, || Far::connected(at))?;
            far.send(&hello)?;
            let union = raw::SockaddrUnion::from(far.address()?).with_listener(number);
            let prefixed = [&union.bytes[..16], &hello].concat();
            // What nobody made fail is waited for, however slow the machine is.
            let patience = if self.injected()?.is_some() { wait } else { TICKS };
            if self.read_within(&prefixed, patience)? {
                let written = self.device()?.write(&prefixed)?.status;
                ensure!(written == NtStatus::SUCCESS, "write: expected SUCCESS, got {written}");
                if far.receive(patience)?.as_deref() == Some(&*hello) {
                    return Ok(far);
                }
            }
            ensure!(self.injected()?.is_some(), "a handshake over TCP: it did not come");
        }
        bail!("a handshake over TCP: it did not come, try after try")
    }

    fn read_within(&self, expected: &[u8], wait: Duration) -> Result<bool> {
        let deadline = Instant::now() + wait;
        loop {
            let mut read = self.device()?.read(READ_LENGTH)?;
            match read.wait(deadline.saturating_duration_since(Instant::now()))? {
                Some(came) if came.status == NtStatus::SUCCESS && came.output == expected => return Ok(true),
                // Of a connection before it.
                Some(_) => {}
                None => {
                    cancel(read)?;
                    return Ok(false);
                }
            }
        }
    }

    fn connected_guest(&self, far: Far, number: u32) -> Result<Guest> {
        let device = self.device()?;
        let key = DataKey::opposite(&static_key(), 1, ID.cast_unsigned())?;
        let guest = Guest::of(self.rig, ID, far, key);
        let [IpAddr::V4(vpn4), IpAddr::V6(vpn6)] = guest.vpn else { bail!("expected an address of each version") };
        let client = Client { id: ID, remote: guest.far.address()?, vpn4: Some(vpn4), vpn6: Some(vpn6) };
        device.add_peer_by(&client, number)?;
        device.new_key(&static_key(), Slot::Primary, 1, ID.cast_unsigned())?;
        Ok(guest)
    }

    /// The peer's end is told.
    fn gone(&self) -> Result<()> {
        let deadline = Instant::now() + TICKS;
        while Instant::now() < deadline {
            let came = self.device()?.notify_event()?.wait(TICKS)?.context("expected the peer's end, no event came")?;
            if Event::from_bytes(&came.output).is_ok_and(|event| event == Event::DelPeer(ID, 4)) {
                return Ok(());
            }
        }
        bail!("expected the end of peer {ID}")
    }

    /// No event waits that another step would take for its own.
    pub(super) fn drained(&self) -> Result<()> {
        loop {
            let mut pending = self.device()?.notify_event()?;
            if pending.wait(Duration::from_millis(20))?.is_none() {
                pending.cancel()?;
                let ended = pending.wait(PROMPT)?.context("a request that was cancelled")?;
                if ended.status == NtStatus::CANCELLED {
                    return Ok(());
                }
            }
        }
    }
}

fn static_key() -> StaticKey {
    StaticKey::of_test(ID as u64, Cipher::Aes256, DRIVER)
}
