//! A TCP listener: connections before, as and after they are peers.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use dco_uapi::{Ioctl, raw, sockaddr};
use zerocopy::{FromBytes, IntoBytes};

use super::listeners::{by, loopback, read, talks};
use super::quiet_client;
use super::scenarios::{Party, SOON, keepalive};
use crate::conform::{Bench, Body, Case};
use crate::device::Protocol;
use crate::far::Far;
use crate::status::NtStatus;
use crate::tcp::{End, frame};

/// The reason of a peer whose connection ended.
const DISCONNECTED: i32 = 4;

/// Connections that may be nobody's at once.
const STRANGERS: usize = 256;

/// The cases.
pub fn all() -> Vec<Case> {
    let run =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    vec![
        run("connections: a handshake, then a peer, over both IP versions", handshakes),
        run("connections: an IPv4 client of a dual-stack listener", dual),
        run("connections: frames in pieces", pieces),
        run("connections: their ends are told", ends),
        run("connections: MP_DISCONNECT and MP_DEL_PEER send what was written first", in_order),
        run("connections: so many strangers and no more", strangers),
        run("connections: more peers than strangers may be", crowd),
        run("connections: one that never speaks is ended", silent),
        run("connections: MP_UNLISTEN ends them, and tells", unlisten),
        run("connections: the handle's close ends them", close),
    ]
}

/// A server with a UDP listener, number 0, and one for TCP of this IP version: its number, and where it is.
fn served(bench: &Bench<'_>, v6: bool) -> Result<(Party, u32, SocketAddr)> {
    let party = Party::on_loopback(bench, 1)?;
    let (number, at) = party.device.listen_more(Protocol::Tcp, loopback(v6), true)?;
    Ok((party, number, at))
}

/// A client that is connected and has said so much that the driver knows of it.
fn met(party: &Party, listener: u32, at: SocketAddr) -> Result<Far> {
    let far = Far::connected(at)?;
    talks(party, &far, listener, 1)?;
    Ok(far)
}

/// The next event: its command, peer, reason and address.
fn event(party: &Party) -> Result<(i32, i32, i32, Vec<u8>)> {
    let came = party.device.notify_event()?.wait(SOON)?.context("expected an event, none came")?;
    let event = raw::NotifyEvent::read_from_bytes(&came.output);
    let event = event.map_err(|_| anyhow::anyhow!("expected 144 bytes, got {}", came.output.len()))?;
    Ok((event.cmd.get(), event.peer_id.get(), event.del_peer_reason.get(), event.float_address.bytes.to_vec()))
}

/// The next event has to be the end of a connection that was nobody's.
fn stranger_gone(party: &Party, remote: SocketAddr, listener: u32) -> Result<()> {
    let (cmd, peer, reason, address) = event(party)?;
    ensure!((cmd, peer, reason) == (0x800, -1, 0), "expected the end of {remote}, got {cmd:#x}, {peer}, {reason}");
    let (expected, length) = (by(remote, listener, &[]), sockaddr::encoded_len(&remote));
    ensure!(address[..length] == expected, "expected the end of {expected:02x?}, got {address:02x?}");
    Ok(())
}

/// The next event has to be the end of this peer's connection.
fn peer_gone(party: &Party, id: i32) -> Result<()> {
    let (cmd, peer, reason, _) = event(party)?;
    ensure!((cmd, peer, reason) == (0, id, DISCONNECTED), "expected the end of {id}, got {cmd}, {peer}, {reason}");
    Ok(())
}

fn handshakes(bench: &Bench<'_>) -> Result<String> {
    for v6 in [false, true] {
        let (mut party, number, at) = served(bench, v6)?;
        let mut connected = Vec::new();
        for _ in 0..5 {
            connected.push(met(&party, number, at)?);
        }
        // Not yet a peer's: its data packets are nobody's.
        let own = party.guests[0].vpn;
        let mut early = party.guests[0].seal(own)?;
        early[3] = 10;
        let lost = party.drop_count("RxUnknownPeer")?;
        connected[0].send(&early)?;
        party.reaches("RxUnknownPeer", lost + 1, || party.drop_count("RxUnknownPeer"))?;
        for (id, far) in (10..).zip(connected) {
            party.join_by(id, far, number)?;
        }
        // The same again: it is a peer's. One that is not there is nobody's to give.
        let remote = party.guests[1].far.address()?;
        let again = crate::device::Client { remote, ..quiet_client(99) };
        let absent = crate::device::Client { remote: ([127, 0, 0, 9], 9).into(), ..quiet_client(98) };
        for (client, expected) in [(again, NtStatus::NO_MEMORY), (absent, NtStatus::NOT_FOUND)] {
            let request = client.request_by(number);
            let came = party.device.ioctl(Ioctl::MpNewPeer.code(), request.as_bytes(), 0)?.status;
            ensure!(came == expected, "{}: expected {expected}, got {came}", client.remote);
        }
        for _ in 0..3 {
            for guest in 0..party.guests.len() {
                let own = party.guests[guest].vpn;
                party.send(guest, own, None)?;
            }
        }
        for guest in 1..party.guests.len() {
            talks(&party, &party.guests[guest].far, number, guest as u8)?;
            party.device.set_client(party.guests[guest].id, keepalive(1, 0))?;
        }
        for guest in &party.guests[1..] {
            guest.pinged()?;
        }
        // A peer's packet that comes by another's connection, or by UDP, is not taken.
        let own = party.guests[1].vpn;
        let own = party.guests[1].seal(own)?;
        party.offer(2, &own, Some("RxWrongPeer"))?;
        party.offer(0, &own, Some("RxWrongPeer"))?;
        party.no_event()?;
        party.end()?;
    }
    Ok("5 clients of each IP version".into())
}

fn dual(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 1)?;
    let any = (std::net::Ipv6Addr::UNSPECIFIED, 0).into();
    let (number, at) = party.device.listen_more(Protocol::Tcp, any, false)?;
    let far = Far::connected(([127, 0, 0, 1], at.port()).into())?;
    let SocketAddr::V4(here) = far.address()? else { bail!("expected an IPv4 address") };
    let shown: SocketAddr = (here.ip().to_ipv6_mapped(), here.port()).into();
    // An address as the driver shows it and as the client knows it is the same.
    for (n, known) in [shown, here.into()].into_iter().enumerate() {
        let (hello, answer) = ([0x38, n as u8, 1, 2, 3, 4, 5, 6, 7], [0x39, n as u8, 1, 2, 3, 4, 5, 6, 7]);
        far.send(&hello)?;
        ensure!(read(&party)? == by(shown, number, &hello), "expected a packet from {shown}");
        let written = party.device.write(&by(known, number, &answer))?.status;
        ensure!(written == NtStatus::SUCCESS, "write to {known}: got {written}");
        let came = far.receive(SOON)?;
        ensure!(came.as_deref() == Some(&answer[..]), "write to {known}: got {came:x?}");
    }
    party.join_by(2, Far::over(far.connection()?, shown), number)?;
    let own = party.guests[1].vpn;
    party.send(1, own, None)?;
    party.end()?;
    Ok(format!("shown as {shown}"))
}

fn pieces(bench: &Bench<'_>) -> Result<String> {
    let (mut party, number, at) = served(bench, false)?;
    let far = met(&party, number, at)?;
    party.join_by(2, far, number)?;
    let mut total = 0;
    for pieces in [1, 2, 3, 7, 1000, 0] {
        let (taken, own) = (party.taken()?, party.guests[1].vpn);
        let (mut bytes, mut inner, mut controls) = (Vec::new(), 0, Vec::new());
        for n in 0..30u8 {
            let packet = party.guests[1].seal(own)?;
            inner += (packet.len() - crate::far::OVERHEAD) as i64;
            bytes.extend(frame(&packet));
            if n % 10 == 0 {
                controls.push([&[0x38, n][..], &vec![n; 20 + usize::from(n)]].concat());
                bytes.extend(frame(controls.last().context("a packet")?));
            }
        }
        // Behind its back, for the pieces are the connection's.
        let far = std::mem::replace(&mut party.guests[1].far, Far::of(party.at)?);
        let here = far.address()?;
        let mut connection = far.connection()?;
        connection.send(&bytes, pieces)?;
        party.guests[1].far = Far::over(connection, here);
        party.reaches("TunBytesReceived", taken + inner, || party.taken())?;
        for control in controls {
            ensure!(read(&party)? == by(here, number, &control), "expected {control:x?}");
        }
        total += 30;
    }
    party.end()?;
    Ok(format!("{total} packets in pieces from 1 byte on"))
}

fn ends(bench: &Bench<'_>) -> Result<String> {
    let (mut party, number, at) = served(bench, false)?;
    // Of strangers: closed, reset, and broken by a frame that cannot be.
    for how in 0..4 {
        let far = met(&party, number, at)?;
        let remote = far.address()?;
        let mut connection = far.connection()?;
        let broken = party.drop_count("RxStreamBroken")?;
        match how {
            0 => connection.finish()?,
            1 => {
                connection.reset()?;
                stranger_gone(&party, remote, number)?;
                continue;
            }
            2 => connection.send(&[0, 0], 0)?,
            _ => connection.send(&[0xFF, 0xFF, 1], 0)?,
        }
        stranger_gone(&party, remote, number)?;
        connection.end()?;
        let expected = broken + i64::from(how > 1);
        ensure!(party.drop_count("RxStreamBroken")? == expected, "expected RxStreamBroken {expected}");
    }
    // Of peers: the same, and the peer goes with it.
    for (id, how) in (2..).zip(0..4) {
        let far = met(&party, number, at)?;
        party.join_by(id, far, number)?;
        let own = party.guests.last().context("a guest")?.vpn;
        party.send(1, own, None)?;
        let guest = party.guests.pop().context("a guest")?;
        let mut connection = guest.far.connection()?;
        match how {
            0 => connection.finish()?,
            1 => connection.reset()?,
            2 => connection.send(&[0, 0], 0)?,
            _ => connection.send(&[0xFF, 0xFF, 1], 0)?,
        }
        peer_gone(&party, id)?;
        let status = party.device.ioctl(Ioctl::GetPeerStats.code(), &id.to_le_bytes(), 40)?.status;
        ensure!(status == NtStatus::OBJECTID_NOT_FOUND, "peer {id}: expected it gone, got {status}");
    }
    // One that said nothing is nobody's business.
    Far::connected(at)?.connection()?.reset()?;
    party.no_event()?;
    let own = party.guests[0].vpn;
    party.send(0, own, None)?;
    party.end()?;
    Ok("closed, reset, broken; strangers and peers".into())
}

fn in_order(bench: &Bench<'_>) -> Result<String> {
    let (mut party, number, at) = served(bench, true)?;
    let farewell = |n: u8| [&[0x38, n][..], &[n; 1000]].concat();
    for round in 0..3 {
        let far = met(&party, number, at)?;
        let remote = far.address()?;
        if round == 2 {
            party.join_by(7, far, number)?;
            let status = party.device.disconnect(remote, number)?;
            ensure!(status == NtStatus::INVALID_DEVICE_STATE, "a peer's: expected INVALID_DEVICE_STATE, got {status}");
        } else {
            party.guests.push(super::scenarios::Guest::stranger(far)?);
        }
        for n in 0..50 {
            let written = party.device.write(&by(remote, number, &farewell(n)))?.status;
            ensure!(written == NtStatus::SUCCESS, "write {n}: got {written}");
        }
        if round == 2 {
            party.device.del_client(7)?;
            let told = event(&party)?;
            ensure!((told.0, told.1, told.2) == (0, 7, 1), "expected DEL_PEER of 7, got {told:?}");
        } else {
            let status = party.device.disconnect(remote, number)?;
            ensure!(status == NtStatus::SUCCESS, "MP_DISCONNECT: expected SUCCESS, got {status}");
            let status = party.device.disconnect(remote, number)?;
            ensure!(status == NtStatus::NOT_FOUND, "MP_DISCONNECT twice: expected NOT_FOUND, got {status}");
        }
        let written = party.device.write(&by(remote, number, &farewell(0)))?.status;
        ensure!(written == NtStatus::NOT_FOUND, "a write behind it: expected NOT_FOUND, got {written}");
        let mut connection = party.guests.pop().context("a guest")?.far.connection()?;
        for n in 0..50 {
            let came = connection.receive()?;
            ensure!(came.as_deref() == Some(&*farewell(n)), "packet {n}: got {came:x?}");
        }
        ensure!(connection.receive()?.is_none(), "expected the end behind what was written");
    }
    party.no_event()?;
    party.end()?;
    Ok("50 packets, then the end, three times".into())
}

fn strangers(bench: &Bench<'_>) -> Result<String> {
    let (mut party, number, at) = served(bench, false)?;
    let peer = met(&party, number, at)?;
    party.join_by(2, peer, number)?;
    let mut all = Vec::new();
    for _ in 0..STRANGERS {
        all.push(met(&party, number, at)?);
    }
    for _ in 0..3 {
        // The reset may come while it still connects.
        let reset = |error: &anyhow::Error| {
            error.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset)
        };
        let end = match Far::connected(at) {
            Ok(far) => far.connection()?.end()?,
            Err(error) if reset(&error) => End::Reset,
            Err(error) => return Err(error),
        };
        ensure!(end == End::Reset, "one too many: expected a reset, got {end:?}");
    }
    // With one that goes, or that becomes a peer, there is room for one.
    let far = all.pop().context("a stranger")?;
    let remote = far.address()?;
    far.connection()?.reset()?;
    stranger_gone(&party, remote, number)?;
    all.push(met(&party, number, at)?);
    let far = all.pop().context("a stranger")?;
    party.join_by(3, far, number)?;
    all.push(met(&party, number, at)?);
    for guest in 0..3 {
        let own = party.guests[guest].vpn;
        party.send(guest, own, None)?;
    }
    party.end()?;
    for far in all {
        far.connection()?.end()?;
    }
    Ok(format!("{STRANGERS}, and resets"))
}

/// Each becomes a peer before the next one comes, so all of them find room.
fn crowd(bench: &Bench<'_>) -> Result<String> {
    const PEERS: i32 = 300;
    let (mut party, number, at) = served(bench, false)?;
    for id in 2..2 + PEERS {
        let far = met(&party, number, at).with_context(|| format!("connection {id}"))?;
        party.join_by(id, far, number)?;
    }
    for guest in 0..party.guests.len() {
        let own = party.guests[guest].vpn;
        party.send(guest, own, None).with_context(|| format!("guest {guest}"))?;
        party.device.set_client(party.guests[guest].id, keepalive(1, 0))?;
    }
    for guest in &party.guests {
        guest.pinged().with_context(|| format!("peer {}", guest.id))?;
    }
    met(&party, number, at)?;
    let there = party.device.all_client_stats()?.len();
    ensure!(there == party.guests.len(), "expected {} peers, got {there}", party.guests.len());
    party.end()?;
    Ok(format!("{PEERS}, a packet each way"))
}

fn silent(bench: &Bench<'_>) -> Result<String> {
    let (party, number, at) = served(bench, false)?;
    let spoke = met(&party, number, at)?;
    let began = Instant::now();
    let quiet = Far::connected(at)?;
    // It says less than a packet.
    let mut quiet = quiet.connection()?;
    quiet.send(&[0, 40, 0x38], 0)?;
    let patience = Duration::from_secs(40);
    let end = loop {
        match quiet.end() {
            Ok(end) => break end,
            Err(error) if began.elapsed() > patience => return Err(error),
            Err(_) => {}
        }
    };
    ensure!(began.elapsed() > Duration::from_secs(9), "expected it to last 10 s, it ended after {:?}", began.elapsed());
    party.no_event()?;
    talks(&party, &spoke, number, 9)?;
    party.end()?;
    Ok(format!("{end:?}, untold"))
}

fn unlisten(bench: &Bench<'_>) -> Result<String> {
    let (mut party, number, at) = served(bench, false)?;
    let (other, there) = party.device.listen_more(Protocol::Tcp, loopback(true), true)?;
    let stranger = met(&party, number, at)?;
    let (far, stays) = (met(&party, number, at)?, met(&party, other, there)?);
    party.join_by(2, far, number)?;
    party.join_by(3, stays, other)?;
    party.device.unlisten(number)?;
    let (mut seen, remote) = (Vec::new(), stranger.address()?);
    for _ in 0..2 {
        let (cmd, peer, reason, address) = event(&party)?;
        seen.push((cmd, peer, reason));
        ensure!(cmd == 0 || address[..16] == by(remote, number, &[]), "expected {remote}, got {address:02x?}");
    }
    seen.sort_unstable();
    ensure!(seen == [(0, 2, DISCONNECTED), (0x800, -1, 0)], "expected both ends told, got {seen:?}");
    stranger.connection()?.end()?;
    party.guests.remove(1).far.connection()?.end()?;
    ensure!(Far::connected(at).is_err(), "expected nobody to listen at {at}");
    let own = party.guests[1].vpn;
    party.send(1, own, None)?;
    party.no_event()?;
    party.end()?;
    Ok("a peer and a stranger; another listener's peer stays".into())
}

fn close(bench: &Bench<'_>) -> Result<String> {
    for round in 0..5 {
        let (mut party, number, at) = served(bench, round % 2 == 1)?;
        let mut all = Vec::new();
        for id in 10..30 {
            let far = met(&party, number, at)?;
            if id % 2 == 0 {
                party.join_by(id, far, number)?;
            } else {
                all.push(far);
            }
        }
        // Some are not accepted yet, some not heard.
        all.push(Far::connected(at)?);
        all.push(Far::connected(at)?);
        let Party { device, guests, .. } = party;
        device.close()?;
        let guests = guests.into_iter().skip(1).map(|guest| guest.far);
        for far in all.into_iter().chain(guests) {
            far.connection()?.end()?;
        }
        if Far::connected(at).is_ok() {
            bail!("expected nobody to listen at {at}");
        }
    }
    Ok("5 closes under 22 connections".into())
}
