//! TCP: frames in any pieces, ends of connections, connecting that pends; and the requests of the driver's own about keys.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use dco_uapi::{additive, raw};
use zerocopy::{FromBytes, IntoBytes};

use super::{Bench, Body, Case};
use crate::device::{ADAPTER, Device, PROMPT, PeerSettings, Protocol, READ_LENGTH, Slot};
use crate::far::{DRIVER, DataKey, OVERHEAD, PING, ipv4};
use crate::key::{Cipher, StaticKey};
use crate::status::NtStatus;
use crate::targets::Pending;
use crate::tcp::{BlackHole, End, Far, Listener, frame};
use crate::tunnel::Tunnel;

const PEER: u32 = 7;

/// Long enough to see that a request pends.
const A_WHILE: Duration = Duration::from_millis(50);

/// The scenarios.
pub fn all() -> Vec<Case> {
    let case =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    let mut all = Vec::new();
    for v6 in [false, true] {
        for cipher in Cipher::ALL {
            all.push(Case {
                name: format!(
                    "tcp: {} over IPv{}, frames in every kind of pieces",
                    cipher.name(),
                    if v6 { 6 } else { 4 }
                ),
                body: Body::Run(Box::new(move |bench| pieces(bench, v6, cipher))),
            });
        }
    }
    all.extend([
        case("tcp: control packets both ways, none joined or cut", control),
        case("tcp: a far end that does not read holds up a bounded number of writes", unread),
        case("tcp: pings come in frames of their own", pings),
        case("tcp: a length of no packet ends the connection", broken),
        case("tcp: the far end closes, and a parked read is told", |bench| far_end(bench, true, false)),
        case("tcp: the far end closes, and the next read is told", |bench| far_end(bench, false, false)),
        case("tcp: the far end resets, and a parked read is told", |bench| far_end(bench, true, true)),
        case("tcp: the far end sees the driver close", driver_closes),
        case("tcp: connecting pends, and is cancelled", |bench| connecting(bench, Ending::Cancel)),
        case("tcp: connecting pends, and ends with DEL_PEER", |bench| connecting(bench, Ending::DelPeer)),
        case("tcp: connecting pends, and gives way to another peer", |bench| connecting(bench, Ending::NewPeer)),
        case("tcp: connecting pends, and ends with the handle", |bench| connecting(bench, Ending::Close)),
        case("DEL_KEY: the slot that is emptied opens nothing", deleted_keys),
        case("KEY_EVENT: tells of the primary key", key_event),
        case("KEY_EVENT: pends, and ends with its cancel, the peer or the handle", key_event_ends),
    ]);
    all
}

fn loopback(v6: bool) -> SocketAddr {
    if v6 { (Ipv6Addr::LOCALHOST, 0).into() } else { (Ipv4Addr::LOCALHOST, 0).into() }
}

struct Link {
    device: Device,
    far: Far,
    key: DataKey,
}

fn link(bench: &Bench<'_>, v6: bool, cipher: Cipher, settings: Option<PeerSettings>) -> Result<Link> {
    let device = Device::open(bench.target, ADAPTER)?;
    let listener = Listener::bind(loopback(v6))?;
    let key = StaticKey::of_test(1, cipher, DRIVER);
    let tunnel = Tunnel { local: loopback(v6), remote: listener.address()?, peer_id: PEER, key: &key, settings };
    // The system connects; nobody has to accept for that.
    tunnel.up_over(Protocol::Tcp, &device)?;
    Ok(Link { device, far: listener.accept()?, key: DataKey::opposite(&key, 0, PEER)? })
}

impl Link {
    fn taken(&self, expected: i64) -> Result<()> {
        let deadline = Instant::now() + PROMPT;
        loop {
            let stats = self.device.stats()?;
            match stats.0.tun_bytes_received.get() {
                now if now == expected => return Ok(()),
                now if now > expected || Instant::now() > deadline => {
                    bail!("TunBytesReceived: expected {expected}, got {now}; all of them:\n{stats}")
                }
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

fn ended(mut pending: Box<dyn Pending>) -> Result<NtStatus> {
    match pending.wait(PROMPT)? {
        Some(completion) => Ok(completion.status),
        None => bail!("it still pends after {PROMPT:?}"),
    }
}

fn is(what: &str, came: NtStatus, expected: NtStatus) -> Result<()> {
    ensure!(came == expected, "{what}: expected {expected}, got {came}");
    Ok(())
}

fn pieces(bench: &Bench<'_>, v6: bool, cipher: Cipher) -> Result<String> {
    let mut link = link(bench, v6, cipher, None)?;
    let (mut id, mut taken) = (0, 0);
    // Each size of piece cuts lengths, headers, tags and packets at other places; 0 is all in one write.
    for piece in [1, 2, 3, 7, 24, 25, 26, 27, 100, 1459, 0] {
        let mut bytes = Vec::new();
        for length in [20, 21, 63, 64, 65, 1400, 1500] {
            id += 1;
            taken += length as i64;
            bytes.extend(frame(&link.key.seal(id, &ipv4(length, id))?));
        }
        link.far.send(&bytes, piece)?;
        link.taken(taken)?;
    }
    // More than any buffer of the driver's at once.
    let mut bytes = Vec::new();
    for _ in 0..400 {
        id += 1;
        taken += 1500;
        bytes.extend(frame(&link.key.seal(id, &ipv4(1500, id))?));
    }
    link.far.send(&bytes, 0)?;
    link.taken(taken)?;
    let stats = link.device.stats()?;
    let transport = taken + i64::from(id) * OVERHEAD as i64;
    ensure!(
        stats.0.lost_in_data_packets.get() == 0 && stats.0.transport_bytes_received.get() == transport,
        "expected {transport} transport bytes and no loss, got\n{stats}"
    );
    link.device.del_peer()?;
    link.device.close()?;
    Ok(format!("{id} packets"))
}

fn control(bench: &Bench<'_>) -> Result<String> {
    let mut link = link(bench, false, Cipher::Aes256, None)?;
    let packets: Vec<Vec<u8>> = [1usize, 2, 14, 100, 1400, 1500]
        .into_iter()
        .map(|length| std::iter::once(0x38).chain((1..length).map(|at| at as u8)).collect())
        .collect();
    // What is shorter than a data packet's first word is no packet, and dropped.
    let incoming = || packets.iter().filter(|packet| packet.len() >= 4);
    for piece in [1, 5, 0] {
        let short = frame(&[0x38; 3]);
        let bytes: Vec<u8> = incoming().flat_map(|packet| [frame(packet), short.clone()].concat()).collect();
        link.far.send(&bytes, piece)?;
        for packet in incoming() {
            let mut read = link.device.read(READ_LENGTH)?;
            let Some(came) = read.wait(PROMPT)? else { bail!("read: expected {} bytes, none came", packet.len()) };
            ensure!(came.output == *packet, "read: expected {} bytes, got {}", packet.len(), came.output.len());
        }
    }
    for packet in &packets {
        let written = link.device.write(packet)?;
        is("write", written.status, NtStatus::SUCCESS)?;
        ensure!(written.information == packet.len() as u64, "write: expected all bytes, got {}", written.information);
    }
    for packet in &packets {
        let came = link.far.receive()?;
        ensure!(came.as_ref() == Some(packet), "expected a frame of {} bytes, got {came:02x?}", packet.len());
    }
    link.device.close()?;
    Ok(format!("{} in, {} out", incoming().count() * 3, packets.len()))
}

/// ovpn-dco-win #47: a driver that had a buffer made for each packet which the network did not take yet.
fn unread(bench: &Bench<'_>) -> Result<String> {
    /// Far more than what the systems' own buffers and the driver's hold.
    const BOUND: u32 = 1 << 15;
    let mut link = link(bench, false, Cipher::Aes256, None)?;
    let packet = |number: u32| [&[0x38], &number.to_be_bytes()[..], &[0; 1495]].concat();
    let mut taken = 0;
    loop {
        match link.device.write(&packet(taken))?.status {
            NtStatus::SUCCESS => taken += 1,
            NtStatus::INSUFFICIENT_RESOURCES => break,
            status => bail!("write {taken}: expected SUCCESS or INSUFFICIENT_RESOURCES, got {status}"),
        }
        ensure!(taken < BOUND, "expected a write to be refused while nothing is read, {taken} were taken");
    }
    for number in 0..taken {
        let came = link.far.receive()?;
        ensure!(came == Some(packet(number)), "expected packet {number} of {taken} that were taken, got another");
    }
    // All buffers are back.
    is("write afterwards", link.device.write(&packet(taken))?.status, NtStatus::SUCCESS)?;
    ensure!(link.far.receive()? == Some(packet(taken)), "expected the packet that was written afterwards");
    link.device.close()?;
    Ok(format!("{taken}, none of them lost"))
}

fn pings(bench: &Bench<'_>) -> Result<String> {
    let settings = PeerSettings { keepalive_interval: Some(1), keepalive_timeout: Some(0), ..PeerSettings::default() };
    let mut link = link(bench, false, Cipher::Aes256, Some(settings))?;
    for packet_id in 1..=2 {
        let Some(came) = link.far.receive()? else { bail!("expected a ping, the connection ended") };
        let opened = link.key.open(&came)?;
        ensure!(
            opened.as_ref().is_some_and(|opened| opened.inner == PING && opened.packet_id == packet_id),
            "expected ping {packet_id}, got {opened:x?}"
        );
    }
    link.device.close()?;
    Ok("two".into())
}

/// After a length that cannot be, nothing that follows can be trusted to be one.
fn broken(bench: &Bench<'_>) -> Result<String> {
    let mut link = link(bench, false, Cipher::Aes256, None)?;
    let read = link.device.read(READ_LENGTH)?;
    let sound = frame(&link.key.seal(1, &ipv4(100, 1))?);
    link.far.send(&sound, 0)?;
    link.taken(100)?;
    let after = frame(&link.key.seal(2, &ipv4(100, 2))?);
    link.far.send(&[&[0, 0], &after[..]].concat(), 0)?;
    is("the parked read", ended(read)?, NtStatus::CONNECTION_ABORTED)?;
    link.taken(100)?;
    is("DEL_PEER", link.device.del_peer().map(|()| NtStatus::SUCCESS)?, NtStatus::SUCCESS)?;
    link.device.close()?;
    Ok("what follows is not taken".into())
}

fn far_end(bench: &Bench<'_>, parked: bool, reset: bool) -> Result<String> {
    let Link { device, far, .. } = link(bench, false, Cipher::Aes256, None)?;
    let early = if parked { Some(device.read(READ_LENGTH)?) } else { None };
    match reset {
        true => far.reset()?,
        false => drop(far),
    }
    let read = match early {
        Some(read) => read,
        None => {
            // Long since known when the read comes.
            std::thread::sleep(Duration::from_millis(300));
            device.read(READ_LENGTH)?
        }
    };
    is("the read", ended(read)?, NtStatus::CONNECTION_ABORTED)?;
    let mut again = device.read(READ_LENGTH)?;
    let told = again.wait(A_WHILE)?.map(|completion| completion.status);
    ensure!(told.is_none(), "expected to be told once, got {told:?} again");
    device.del_peer()?;
    is("the next read at DEL_PEER", ended(again)?, NtStatus::CANCELLED)?;
    device.close()?;
    Ok("told once".into())
}

fn driver_closes(bench: &Bench<'_>) -> Result<String> {
    for close in [false, true] {
        let Link { device, mut far, .. } = link(bench, close, Cipher::Aes256, None)?;
        if !close {
            device.del_peer()?;
        }
        device.close()?;
        let end = far.end()?;
        ensure!(end == End::Closed, "expected a FIN, got {end:?}");
    }
    Ok("by DEL_PEER, and by the handle's close".into())
}

/// What ends a connect that never would.
#[derive(Clone, Copy)]
enum Ending {
    Cancel,
    DelPeer,
    NewPeer,
    Close,
}

fn connecting(bench: &Bench<'_>, ending: Ending) -> Result<String> {
    let device = Device::open(bench.target, ADAPTER)?;
    let address = Listener::bind(loopback(false))?.address()?;
    // On Windows a full queue refuses; there a network that nobody has (RFC 5737) swallows what is sent to it.
    let (_hole, remote) = match cfg!(windows) && bench.target.passes_null() {
        true => (None, SocketAddr::from(([192, 0, 2, 1], 9))),
        false => (Some(BlackHole::open(address)?), address),
    };
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut connect = device.start_new_peer(Protocol::Tcp, local, remote)?;
    let early = connect.wait(A_WHILE)?.map(|completion| completion.status);
    ensure!(early.is_none(), "expected NEW_PEER to pend, it ended with {early:?}");
    // Until it is connected there is no peer.
    let came = device.ioctl(dco_uapi::Ioctl::StartVpn.code(), &[], 0)?.status;
    is("START_VPN meanwhile", came, NtStatus::INVALID_DEVICE_REQUEST)?;
    match ending {
        Ending::Cancel => is("cancel", connect.cancel()?, NtStatus::SUCCESS)?,
        Ending::DelPeer => device.del_peer()?,
        Ending::NewPeer => device.new_peer(bench.own, bench.own)?,
        Ending::Close => {
            device.close()?;
            is("NEW_PEER", ended(connect)?, NtStatus::CANCELLED)?;
            return Ok(String::new());
        }
    }
    is("NEW_PEER", ended(connect)?, NtStatus::CANCELLED)?;
    let came = device.ioctl(dco_uapi::Ioctl::StartVpn.code(), &[], 0)?.status;
    let expected = match ending {
        Ending::NewPeer => NtStatus::SUCCESS,
        _ => NtStatus::INVALID_DEVICE_REQUEST,
    };
    is("START_VPN afterwards", came, expected)?;
    device.close()?;
    Ok(String::new())
}

fn delete(device: &Device, slot: i32) -> Result<NtStatus> {
    Ok(device.ioctl(additive::DEL_KEY, raw::DelKey { slot: slot.into() }.as_bytes(), 0)?.status)
}

fn deleted_keys(bench: &Bench<'_>) -> Result<String> {
    let mut link = link(bench, false, Cipher::Aes256, None)?;
    is("the empty slot", delete(&link.device, 1)?, NtStatus::SUCCESS)?;
    let next = StaticKey::of_test(2, Cipher::Aes256, DRIVER);
    link.device.new_key(&next, Slot::Secondary, 1, PEER)?;
    let next = DataKey::opposite(&next, 1, PEER)?;
    let send = |link: &mut Link, key: &DataKey, id| -> Result<()> {
        let packet = key.seal(id, &ipv4(100, id))?;
        link.far.send(&frame(&packet), 0)
    };
    send(&mut link, &next, 1)?;
    link.taken(100)?;
    is("the secondary", delete(&link.device, 1)?, NtStatus::SUCCESS)?;
    send(&mut link, &next, 2)?;
    let primary = DataKey::opposite(&StaticKey::of_test(1, Cipher::Aes256, DRIVER), 0, PEER)?;
    // Behind the refused one on the same stream: when it is taken, that has been looked at.
    send(&mut link, &primary, 1)?;
    link.taken(200)?;
    is("the primary", delete(&link.device, 0)?, NtStatus::SUCCESS)?;
    is("the empty primary", delete(&link.device, 0)?, NtStatus::SUCCESS)?;
    send(&mut link, &primary, 2)?;
    link.device.new_key(&StaticKey::of_test(3, Cipher::Aes256, DRIVER), Slot::Primary, 2, PEER)?;
    let third = DataKey::opposite(&StaticKey::of_test(3, Cipher::Aes256, DRIVER), 2, PEER)?;
    send(&mut link, &third, 1)?;
    link.taken(300)?;
    let lost = link.device.stats()?.0.lost_in_data_packets.get();
    ensure!(lost == 2, "expected two packets of deleted keys lost, got {lost}");
    link.device.close()?;
    Ok("both slots".into())
}

fn wait_for_key(device: &Device, packet_id: u32) -> Result<Box<dyn Pending>> {
    let input = raw::AwaitKey { packet_id: packet_id.into() };
    device.start_ioctl(additive::KEY_EVENT, input.as_bytes(), size_of::<raw::KeyEvent>())
}

fn key_event(bench: &Bench<'_>) -> Result<String> {
    let settings = PeerSettings { keepalive_interval: Some(1), keepalive_timeout: Some(0), ..PeerSettings::default() };
    let link = link(bench, false, Cipher::Aes256, Some(settings))?;
    let (mut near, mut far) = (wait_for_key(&link.device, 1)?, wait_for_key(&link.device, 0)?);
    let Some(came) = near.wait(PROMPT)? else { bail!("expected the key's first packet id to be told of") };
    is("KEY_EVENT", came.status, NtStatus::SUCCESS)?;
    let event = raw::KeyEvent::read_from_bytes(&came.output).map_err(|_| anyhow::anyhow!("expected 16 bytes"))?;
    ensure!(
        event.slot.get() == 0 && event.key_id.get() == 0 && event.peer_id.get() == PEER.cast_signed(),
        "expected the primary key's ids, got slot {} key id {} peer id {}",
        event.slot,
        event.key_id,
        event.peer_id
    );
    // The pings are counted.
    let Some(came) = wait_for_key(&link.device, 3)?.wait(PROMPT)? else { bail!("expected two pings to be told of") };
    is("KEY_EVENT", came.status, NtStatus::SUCCESS)?;
    let event = raw::KeyEvent::read_from_bytes(&came.output).map_err(|_| anyhow::anyhow!("expected 16 bytes"))?;
    ensure!(event.packet_id.get() >= 3, "expected a packet id of 3 or more, got {}", event.packet_id);
    let early = far.wait(Duration::ZERO)?.map(|completion| completion.status);
    ensure!(early.is_none(), "expected the far limit to be waited for, got {early:?}");
    link.device.close()?;
    is("the one that waits, at close", ended(far)?, NtStatus::CANCELLED)?;
    Ok("its ids and its next packet".into())
}

fn key_event_ends(bench: &Bench<'_>) -> Result<String> {
    let link = link(bench, false, Cipher::Aes256, None)?;
    let mut cancelled = wait_for_key(&link.device, 1000)?;
    let (mut deleted, closed) = (wait_for_key(&link.device, 1000)?, wait_for_key(&link.device, 0)?);
    drop(closed);
    is("cancel", cancelled.cancel()?, NtStatus::SUCCESS)?;
    is("the cancelled one", ended(cancelled)?, NtStatus::CANCELLED)?;
    let early = deleted.wait(A_WHILE)?.map(|completion| completion.status);
    ensure!(early.is_none(), "expected it to pend, it ended with {early:?}");
    link.device.del_peer()?;
    is("at DEL_PEER", ended(deleted)?, NtStatus::CANCELLED)?;
    is("without a peer", ended(wait_for_key(&link.device, 0)?)?, NtStatus::OBJECTID_NOT_FOUND)?;
    link.device.close()?;
    Ok(String::new())
}
