//! Tunnels over TCP, and what may happen to their connections.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::Ioctl;

use super::{Checks, PACKETS, Pair};
use crate::device::{Device, Protocol, READ_LENGTH, Slot};
use crate::key::{self, Cipher, Direction, StaticKey};
use crate::rig::{Side, Traffic, Transport};
use crate::status::NtStatus;
use crate::targets::Pending;
use crate::tcp::{BlackHole, End, Far, Listener, Relay, frame};
use crate::tunnel::Tunnel;

/// How long an end may take to be told.
const SOON: Duration = Duration::from_secs(5);

/// The port of the relay's UDP side.
const RELAY: u16 = 1195;

/// All of them.
pub fn check_all(pair: &Pair<'_>, checks: &mut Checks) {
    for (transport, over) in [(Transport::V4, "IPv4"), (Transport::V6, "IPv6")] {
        for cipher in [Cipher::Aes128, Cipher::Aes256] {
            checks.check(&format!("{} over TCP over {over}", cipher.name()), || {
                pair.tunnel_over_tcp(transport, cipher, 0, PACKETS)
            });
        }
    }
    for pieces in [1, 3] {
        checks.check(&format!("TCP in pieces of {pieces}"), || {
            pair.tunnel_over_tcp(Transport::V4, Cipher::Aes256, pieces, 5)
        });
    }
    checks.check("TCP in bursts", || pair.bursts());
    checks.check("TCP control packets", || pair.tcp_control());
    checks.check("TCP frames over every split", || pair.splits());
    checks.check("TCP drops", || pair.tcp_drops());
    checks.check("TCP bad lengths", || pair.bad_lengths());
    checks.check("TCP ends", || pair.ends());
    checks.check("TCP close", || pair.graceful());
    checks.check("TCP refused", || pair.refused());
    checks.check("TCP into a black hole", || pair.black_hole());
}

/// A control packet of `length` bytes.
fn control(length: usize, tag: u8) -> Vec<u8> {
    std::iter::once(0x38).chain((1..length).map(|at| tag ^ at as u8)).collect()
}

fn expect_read(read: &mut dyn Pending, wanted: &[u8]) -> Result<()> {
    let Some(came) = read.wait(SOON)? else { bail!("read: expected {} bytes, waited {SOON:?}", wanted.len()) };
    ensure!(
        came.status == NtStatus::SUCCESS && came.output == wanted,
        "read: expected the {} bytes that were sent, got {} with {} bytes",
        wanted.len(),
        came.status,
        came.output.len()
    );
    Ok(())
}

fn expect_status(pending: &mut dyn Pending, wanted: NtStatus) -> Result<()> {
    let ended = pending.wait(SOON)?.map(|completion| completion.status);
    ensure!(ended == Some(wanted), "expected {wanted}, got {ended:?}");
    Ok(())
}

impl Pair<'_> {
    /// Where the far end of lab a's connection is.
    fn far(&self, transport: Transport) -> SocketAddr {
        self.rig.wire(Side::B, transport)
    }

    fn listen(&self, transport: Transport) -> Result<Listener> {
        let address = self.far(transport);
        self.rig.within(Side::B, || Listener::bind(address))
    }

    fn any(&self, transport: Transport) -> SocketAddr {
        let mut local = self.rig.wire(Side::A, transport);
        local.set_port(0);
        local
    }

    /// Lab a's peer, connected, with a key; its far end is ours.
    fn connected(&self) -> Result<Far> {
        let listener = self.listen(Transport::V4)?;
        let key = StaticKey::of_test(1, Cipher::Aes256, Direction::Normal);
        let (local, remote) = (self.any(Transport::V4), self.far(Transport::V4));
        Tunnel { local, remote, peer_id: 7, key: &key, settings: None }.up_over(Protocol::Tcp, &self.a)?;
        listener.accept()
    }

    /// A tunnel whose one end is lab a's TCP connection and whose other end is lab b, with a relay in between.
    pub fn up_over_tcp(&self, transport: Transport, cipher: Cipher, pieces: usize) -> Result<Relay> {
        let far = self.far(transport);
        let mut relay_at = far;
        relay_at.set_port(RELAY);
        let listener = self.listen(transport)?;
        let key = |direction| StaticKey::of_test(1, cipher, direction);
        let (near_key, far_key) = (key(Direction::Normal), key(Direction::Inverse));
        let near = Tunnel { local: self.any(transport), remote: far, peer_id: 7, key: &near_key, settings: None };
        near.up_over(Protocol::Tcp, &self.a)?;
        Tunnel { local: far, remote: relay_at, key: &far_key, ..near }.up(&self.b)?;
        let socket = self.rig.within(Side::B, || {
            let socket = UdpSocket::bind(relay_at).context("binding the relay")?;
            socket.connect(far)?;
            Ok(socket)
        })?;
        let relay = listener.accept()?.relay(socket, pieces)?;
        self.expect_link(true)?;
        self.rig.configure()?;
        Ok(relay)
    }

    fn tunnel_over_tcp(&self, transport: Transport, cipher: Cipher, pieces: usize, packets: u64) -> Result<String> {
        let relay = self.up_over_tcp(transport, cipher, pieces)?;
        let sum = self.traffic(cipher, packets)?;
        self.expect_counted(sum)?;
        self.down()?;
        drop(relay);
        Ok(format!("{} packets each way, 2 rekeys, counters exact", sum.packets))
    }

    pub fn expect_counted(&self, sum: Traffic) -> Result<()> {
        sum.expect_counted(&self.a).context("lab a")?;
        sum.expect_counted(&self.b).context("lab b")
    }

    /// Many packets at once: frames share segments, and buffers are full.
    fn bursts(&self) -> Result<String> {
        const ROUNDS: u64 = 200;
        const BURST: u64 = 32;
        let relay = self.up_over_tcp(Transport::V6, Cipher::Aes256, 0)?;
        let probe = self.rig.probe(Transport::V4)?;
        let mut sum = Traffic::default();
        for round in 0..ROUNDS {
            sum += probe.burst(probe.largest(), BURST, round).with_context(|| format!("burst {round}"))?;
        }
        self.expect_counted(sum)?;
        self.down()?;
        drop(relay);
        Ok(format!("{} packets of 1500 bytes each way, {BURST} at a time, counters exact", sum.packets))
    }

    /// What is written arrives framed and in order, what arrives is read.
    fn tcp_control(&self) -> Result<String> {
        let mut far = self.connected()?;
        let packets: Vec<Vec<u8>> = [1usize, 2, 3, 4, 5, 255, 256, 257, 1499, 1500].map(|len| control(len, 0)).into();
        for packet in &packets {
            let written = self.a.write(packet)?;
            ensure!(
                written.status == NtStatus::SUCCESS && written.information == packet.len() as u64,
                "write of {} bytes: expected SUCCESS and all of them, got {} and {}",
                packet.len(),
                written.status,
                written.information
            );
        }
        for packet in &packets {
            let came = far.receive()?;
            ensure!(came.as_ref() == Some(packet), "expected the {} bytes that were written, got others", packet.len());
        }
        // Four bytes are the least that is more than a piece of a header.
        let longer: Vec<Vec<u8>> = [4usize, 5, 255, 256, 257, 1500, 2047, 2048].map(|len| control(len, 0)).into();
        for parked in [true, false] {
            for packet in &longer {
                let early = if parked { Some(self.a.read(READ_LENGTH)?) } else { None };
                far.send(&frame(packet), 0)?;
                let mut read = match early {
                    Some(read) => read,
                    None => self.a.read(READ_LENGTH)?,
                };
                expect_read(&mut *read, packet)?;
            }
        }
        let stats = self.a.stats()?.0;
        let counted = (stats.sent_control_packets.get(), stats.received_control_packets.get());
        let expected = (packets.len() as i32, 2 * longer.len() as i32);
        ensure!(counted == expected, "control packets sent and received: expected {expected:?}, got {counted:?}");
        self.a.del_peer()?;
        Ok(format!("{} out and {} in, unchanged", packets.len(), 2 * longer.len()))
    }

    /// A stream of frames, cut in two at each byte in turn, and one byte at a time.
    fn splits(&self) -> Result<String> {
        let mut far = self.connected()?;
        let packets: Vec<Vec<u8>> = (0..6u8).map(|n| control(4 + usize::from(n), n)).collect();
        let stream: Vec<u8> = packets.iter().flat_map(|packet| frame(packet)).collect();
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            far.send(first, 0)?;
            // The first packet is read before the rest is sent, where it is whole: then the cut was seen as one.
            let mut unread = packets.as_slice();
            if let Some((packet, others)) = unread.split_first()
                && first.len() >= frame(packet).len()
            {
                expect_read(&mut *self.a.read(READ_LENGTH)?, packet).with_context(|| format!("cut at {cut}"))?;
                unread = others;
            }
            far.send(second, 0)?;
            for packet in unread {
                expect_read(&mut *self.a.read(READ_LENGTH)?, packet).with_context(|| format!("cut at {cut}"))?;
            }
        }
        for pieces in [1, 2, 3, 5, 7] {
            far.send(&stream, pieces)?;
            for packet in &packets {
                expect_read(&mut *self.a.read(READ_LENGTH)?, packet).with_context(|| format!("pieces of {pieces}"))?;
            }
        }
        self.a.del_peer()?;
        Ok(format!("{} cuts, and pieces of 1, 2, 3, 5 and 7", stream.len() + 1))
    }

    /// Waits until a drop reason has been counted so often.
    fn expect_count(&self, name: &str, wanted: i64) -> Result<()> {
        let deadline = std::time::Instant::now() + SOON;
        while self.count(&self.a, name)? < wanted && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let got = self.count(&self.a, name)?;
        ensure!(got == wanted, "{name}: expected {wanted}, got {got}");
        Ok(())
    }

    /// Forged and short packets are counted one by one, in a stream that carries on.
    fn tcp_drops(&self) -> Result<String> {
        const EACH: i64 = 3000;
        let mut far = self.connected()?;
        let head = [0x48, 0, 0, 7, 0, 0, 0, 1];
        let forged: Vec<u8> = head.into_iter().chain(std::iter::repeat_n(0xA5, 400)).collect();
        for (name, packet) in [("RxAuthFailed", &forged[..]), ("RxTooShort", &[0x48, 0, 0][..])] {
            let before = self.count(&self.a, name)?;
            let stream = frame(packet).repeat(EACH as usize);
            far.send(&stream, 0)?;
            self.expect_count(name, before + EACH)?;
        }
        let last = control(100, 9);
        far.send(&frame(&last), 0)?;
        expect_read(&mut *self.a.read(READ_LENGTH)?, &last).context("after all that")?;
        self.a.del_peer()?;
        Ok(format!("{} packets, each counted by its reason", 2 * EACH))
    }

    /// A length that cannot be ends the connection, after what came before it; a reader is told, and so is the far end.
    fn bad_lengths(&self) -> Result<String> {
        let lengths = [0u16, 2049, 0xFFFF];
        for length in lengths {
            for parked in [true, false] {
                let mut far = self.connected()?;
                let broken = self.count(&self.a, "RxStreamBroken")?;
                let mut early =
                    if parked { Some([self.a.read(READ_LENGTH)?, self.a.read(READ_LENGTH)?]) } else { None };
                let (good, lost) = (control(50, 1), control(60, 2));
                far.send(&[&frame(&good)[..], &length.to_be_bytes(), &frame(&lost)].concat(), 0)?;
                if !parked {
                    // Told to nobody yet.
                    self.expect_count("RxStreamBroken", broken + 1)?;
                }
                let [mut first, mut second] = match early.take() {
                    Some(reads) => reads,
                    None => [self.a.read(READ_LENGTH)?, self.a.read(READ_LENGTH)?],
                };
                expect_read(&mut *first, &good).with_context(|| format!("before the length {length}"))?;
                expect_status(&mut *second, NtStatus::CONNECTION_ABORTED)
                    .with_context(|| format!("length {length}"))?;
                self.expect_count("RxStreamBroken", broken + 1)?;
                let end = far.end()?;
                ensure!(end == End::Reset, "length {length}: expected the far end to see a reset, it saw {end:?}");
                // Only one read is told.
                let mut third = self.a.read(READ_LENGTH)?;
                self.a.del_peer()?;
                expect_status(&mut *third, NtStatus::CANCELLED).context("a read after the one that was told")?;
            }
        }
        Ok(format!("{lengths:?}: what came before was read, one read told, the connection reset"))
    }

    /// However the far end ends the connection, one read is told, whether it waits already or comes too late.
    fn ends(&self) -> Result<String> {
        for (how, reset, unfinished) in [("FIN", false, 0usize), ("FIN in a frame", false, 1), ("reset", true, 0)] {
            for parked in [true, false] {
                let mut far = self.connected()?;
                let broken = self.count(&self.a, "RxStreamBroken")?;
                let early = if parked { Some(self.a.read(READ_LENGTH)?) } else { None };
                let waiting = control(40, 3);
                if !parked {
                    // Comes before the end, and is read before it.
                    far.send(&frame(&waiting), 0)?;
                    expect_received(&self.a, 1)?;
                }
                far.send(&frame(&control(100, 4))[..unfinished * 50], 0)?;
                if reset {
                    far.reset()?;
                } else {
                    far.finish()?;
                }
                let mut read = match early {
                    Some(read) => read,
                    None => {
                        expect_read(&mut *self.a.read(READ_LENGTH)?, &waiting)?;
                        self.a.read(READ_LENGTH)?
                    }
                };
                expect_status(&mut *read, NtStatus::CONNECTION_ABORTED).with_context(|| format!("{how}, {parked}"))?;
                self.expect_count("RxStreamBroken", broken + unfinished as i64)?;
                // The peer is there until it is removed; what is written to it goes nowhere, and nothing breaks.
                let written = self.a.write(&control(10, 5))?.status;
                ensure!(written == NtStatus::SUCCESS, "{how}: a write after it: expected SUCCESS, got {written}");
                self.a.del_peer()?;
            }
        }
        Ok("FIN, FIN in a frame, reset; each told to a read that waits and to one that comes late".into())
    }

    /// DEL_PEER ends the connection in order: what was written arrives, then a FIN.
    fn graceful(&self) -> Result<String> {
        let mut far = self.connected()?;
        let packets: Vec<Vec<u8>> = (0..50).map(|n| control(1000, n)).collect();
        for packet in &packets {
            self.a.write(packet)?;
        }
        self.a.del_peer()?;
        for packet in &packets {
            ensure!(far.receive()?.as_ref() == Some(packet), "expected what was written before DEL_PEER");
        }
        ensure!(far.receive()?.is_none(), "expected the end");
        Ok(format!("{} packets written before DEL_PEER arrive, then a FIN", packets.len()))
    }

    /// There is no peer.
    fn expect_no_peer(&self) -> Result<()> {
        let key = key::request(&StaticKey::of_test(1, Cipher::Aes256, Direction::Normal), Slot::Primary, 0, 1);
        let requests = [
            (Ioctl::StartVpn, vec![], NtStatus::INVALID_DEVICE_REQUEST),
            (Ioctl::SetPeer, vec![0xFF; 12], NtStatus::INVALID_DEVICE_REQUEST),
            (Ioctl::SwapKeys, vec![], NtStatus::INVALID_DEVICE_REQUEST),
            (Ioctl::NewKey, zerocopy::IntoBytes::as_bytes(&key).to_vec(), NtStatus::OBJECTID_NOT_FOUND),
        ];
        for (ioctl, input, wanted) in requests {
            let got = self.a.ioctl(ioctl.code(), &input, 0)?.status;
            ensure!(got == wanted, "{}: expected {wanted}, got {got}", ioctl.name());
        }
        let written = self.a.write(&control(10, 0))?.status;
        ensure!(written == NtStatus::INVALID_DEVICE_STATE, "a write: expected INVALID_DEVICE_STATE, got {written}");
        Ok(())
    }

    /// NEW_PEER carries the status of a connect that fails, and leaves no peer.
    fn refused(&self) -> Result<String> {
        for transport in [Transport::V4, Transport::V6] {
            let mut pending = self.a.start_new_peer(Protocol::Tcp, self.any(transport), self.far(transport))?;
            expect_status(&mut *pending, NtStatus::CONNECTION_REFUSED).with_context(|| format!("{transport:?}"))?;
            self.expect_no_peer()?;
        }
        // An address that is not this machine's: the bind fails.
        let mut pending = self.a.start_new_peer(Protocol::Tcp, self.far(Transport::V4), self.far(Transport::V4))?;
        let ended = pending.wait(SOON)?.map(|completion| completion.status);
        ensure!(
            ended.is_some_and(|status| !status.is_success()),
            "a foreign address: expected an error, got {ended:?}"
        );
        self.expect_no_peer()?;
        Ok("CONNECTION_REFUSED, no peer".into())
    }

    /// A connect that never ends holds nobody up: it can be cancelled, replaced, removed, and left behind (ovpn-dco-win #142).
    fn black_hole(&self) -> Result<String> {
        let far = self.far(Transport::V4);
        let hole = self.rig.within(Side::B, || BlackHole::open(far))?;
        let connect = || self.a.start_new_peer(Protocol::Tcp, self.any(Transport::V4), far);
        let pends = |pending: &mut dyn Pending| -> Result<()> {
            let ended = pending.wait(Duration::from_millis(100))?.map(|completion| completion.status);
            ensure!(ended.is_none(), "expected NEW_PEER to pend, it ended with {ended:?}");
            Ok(())
        };
        let mut first = connect()?;
        pends(&mut *first)?;
        self.expect_no_peer().context("while it connects")?;
        first.cancel()?;
        expect_status(&mut *first, NtStatus::CANCELLED).context("cancelled")?;
        self.expect_no_peer().context("after it was cancelled")?;

        let mut second = connect()?;
        pends(&mut *second)?;
        self.a.del_peer()?;
        expect_status(&mut *second, NtStatus::CANCELLED).context("removed")?;

        let (mut third, mut fourth) = (connect()?, connect()?);
        expect_status(&mut *third, NtStatus::CANCELLED).context("replaced")?;
        pends(&mut *fourth)?;
        // By a peer that needs no connection.
        self.a.new_peer(self.any(Transport::V4), far)?;
        expect_status(&mut *fourth, NtStatus::CANCELLED).context("replaced by a peer over UDP")?;
        self.a.del_peer()?;

        // Cancelled at the very moment it begins, over and over.
        for _ in 0..100 {
            let mut pending = connect()?;
            pending.cancel()?;
            expect_status(&mut *pending, NtStatus::CANCELLED)?;
        }
        drop(hole);
        let far = self.connected().context("afterwards")?;
        drop(far);
        self.a.del_peer()?;
        Ok("pends, is cancelled, replaced and removed; no peer meanwhile; the next one connects".into())
    }

    /// A connect that never ends, for a handle that is about to be closed.
    pub fn connect_into_black_hole(&self) -> Result<Connecting> {
        let far = self.far(Transport::V4);
        let hole = self.rig.within(Side::B, || BlackHole::open(far))?;
        let pending = self.a.start_new_peer(Protocol::Tcp, self.any(Transport::V4), far)?;
        Ok(Connecting { pending, _hole: hole })
    }
}

/// A NEW_PEER that does not end by itself.
pub struct Connecting {
    pending: Box<dyn Pending>,
    _hole: BlackHole,
}

impl Connecting {
    /// It has ended, with CANCELLED.
    pub fn expect_cancelled(mut self) -> Result<()> {
        expect_status(&mut *self.pending, NtStatus::CANCELLED).context("NEW_PEER at close")
    }
}

/// Waits until the driver has received so many control packets.
fn expect_received(device: &Device, wanted: i32) -> Result<()> {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let got = device.stats()?.0.received_control_packets.get();
        if got == wanted {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "received control packets: expected {wanted}, got {got}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
