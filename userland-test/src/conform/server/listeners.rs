//! Several listeners on one handle: their numbers, whose packets come and go by which, moves between them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use dco_uapi::{Ioctl, additive, raw, sockaddr};
use zerocopy::{FromBytes, IntoBytes};

use super::scenarios::{Party, SOON, keepalive};
use super::{listen, listen_by, prefixed, quiet_client, served, set_mode};
use crate::conform::cases::{OPEN, case, ioctl};
use crate::conform::{Bench, Body, Case, Expected, Step};
use crate::device::{Protocol, READ_LENGTH};
use crate::far::Far;
use crate::status::NtStatus;
use crate::targets::Null;

/// How many a handle may have beside MP_START_VPN's.
const MORE: u32 = 15;

/// The cases.
pub fn all() -> Vec<Case> {
    let mut all = steps();
    let run =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    all.extend([
        run("listeners: each its own clients, both IP versions", each_its_own),
        run("listeners: one remote end, two clients at two listeners", one_remote_end),
        run("listeners: a client moves from one to another", moves),
        run("listeners: one is closed under its clients", closed_under),
    ]);
    all
}

fn additive_step(name: &str, code: u32, input: &[u8], output: usize, expected: Expected) -> Step {
    Step::Ioctl { name: name.to_owned(), code, input: input.to_vec(), output, null: Null::default(), expected }
}

fn more(room: usize, expected: Expected) -> Step {
    additive_step("MP_LISTEN", additive::MP_LISTEN, &listen_by(0), room, expected)
}

fn unlisten(number: u32, expected: Expected) -> Step {
    additive_step("MP_UNLISTEN", additive::MP_UNLISTEN, &number.to_le_bytes(), 0, expected)
}

fn steps() -> Vec<Case> {
    let error = Expected::error;
    let made = || more(32, Expected::Length(NtStatus::SUCCESS, 32));
    let done = |number| unlisten(number, Expected::DONE);
    let none = |number| unlisten(number, error(NtStatus::NOT_FOUND));
    let start = |expected| ioctl(Ioctl::MpStartVpn, &listen(), 32, expected);
    let started = || start(Expected::Length(NtStatus::SUCCESS, 32));
    let new =
        |id, listener, expected| ioctl(Ioctl::MpNewPeer, quiet_client(id).request_by(listener).as_bytes(), 0, expected);
    let no_socket = || error(NtStatus::INVALID_DEVICE_STATE);
    let write = |listener: u32, expected| Step::Write(by(([127, 9, 0, 1], 9).into(), listener, b"\x38hello"), expected);
    let sent = || Expected::Length(NtStatus::SUCCESS, 22);
    let with = |name: &str, steps: Vec<Step>| case(name, served().into_iter().chain(steps));
    let alone = |name: &str, steps: Vec<Step>| case(name, [OPEN, set_mode()].into_iter().chain(steps));
    let short = || error(NtStatus::BUFFER_TOO_SMALL);
    let many = (0..MORE).map(|_| made()).chain([
        more(32, error(NtStatus::INSUFFICIENT_RESOURCES)),
        done(7),
        made(),
        more(32, error(NtStatus::INSUFFICIENT_RESOURCES)),
        done(1),
        done(MORE),
        none(MORE),
        done(0),
        started(),
        start(error(NtStatus::ALREADY_INITIALIZED)),
    ]);
    let far_away = super::cases::patched(listen_by(0), 4, &[192, 0, 2, 1]);
    vec![
        with("MP_LISTEN: as many as there may be, given back and made again", many.collect()),
        with(
            "MP_LISTEN: an address that is not this machine's, then one that is",
            vec![additive_step("MP_LISTEN", additive::MP_LISTEN, &far_away, 32, Expected::Failure), made(), done(1)],
        ),
        with("MP_LISTEN: no room for the answer makes no listener", vec![more(31, short()), none(1), made(), done(1)]),
        with("MP_UNLISTEN: numbers that are nobody's", [1, 15, 16, 17, u32::MAX].map(none).to_vec()),
        alone(
            "MP_LISTEN: without MP_START_VPN, and before it",
            vec![made(), new(1, 0, no_socket()), new(1, 1, Expected::DONE), started(), new(2, 0, Expected::DONE)],
        ),
        with(
            "MP_LISTEN: a peer's listener has to be there",
            vec![made(), new(1, 2, no_socket()), new(1, u32::MAX, no_socket()), new(1, 1, Expected::DONE)],
        ),
        with(
            "MP_LISTEN: a write's listener has to be there",
            vec![made(), write(1, sent()), write(0, sent()), write(2, no_socket()), done(1), write(1, no_socket())],
        ),
        with(
            "MP_LISTEN: who never used it may write what they like in an address's free bytes",
            vec![new(1, 7, Expected::DONE), write(u32::MAX, sent())],
        ),
        with(
            "MP_LISTEN: a handle begins without it",
            vec![made(), Step::Close, OPEN, set_mode(), started(), new(1, 7, Expected::DONE), none(1), made()],
        ),
    ]
}

/// A packet behind an address that names a listener.
pub(super) fn by(address: SocketAddr, listener: u32, packet: &[u8]) -> Vec<u8> {
    let mut bytes = prefixed(address, packet);
    // Where a SOCKADDR_IN is zero, and where a SOCKADDR_IN6 has flow information.
    let at = if address.is_ipv4() { 8 } else { 4 };
    bytes[at..at + 4].copy_from_slice(&listener.to_le_bytes());
    bytes
}

/// What the next read brings.
pub(super) fn read(party: &Party) -> Result<Vec<u8>> {
    let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("expected a control packet, none came")?;
    ensure!(came.status == NtStatus::SUCCESS, "read: expected SUCCESS, got {}", came.status);
    Ok(came.output)
}

/// The next event, which has to be this peer's float to there.
fn floated(party: &Party, id: i32, remote: SocketAddr, listener: u32) -> Result<()> {
    let came = party.device.notify_event()?.wait(SOON)?.context("expected a float, none came")?;
    let event = raw::NotifyEvent::read_from_bytes(&came.output);
    let event = event.map_err(|_| anyhow::anyhow!("expected 144 bytes, got {}", came.output.len()))?;
    let expected = by(remote, listener, &[]);
    let address = event.float_address.bytes.get(..sockaddr::encoded_len(&remote)).unwrap_or_default();
    let (cmd, peer) = (event.cmd.get(), event.peer_id.get());
    ensure!((cmd, peer) == (2, id), "expected a float of {id}, got command {cmd} of {peer}");
    ensure!(address == expected, "expected a float to {expected:02x?}, got {address:02x?}");
    Ok(())
}

/// A control packet each way by this listener.
pub(super) fn talks(party: &Party, far: &Far, listener: u32, tag: u8) -> Result<()> {
    let (hello, answer) = ([[0x38, tag, 1, 0]; 5].concat(), [[0x38, tag, 2, 0]; 5].concat());
    far.send(&hello)?;
    let came = read(party)?;
    let expected = by(far.address()?, listener, &hello);
    ensure!(came == expected, "by listener {listener}: expected {expected:02x?}, got {came:02x?}");
    let written = party.device.write(&by(far.address()?, listener, &answer))?.status;
    ensure!(written == NtStatus::SUCCESS, "write by listener {listener}: got {written}");
    let came = far.receive(SOON)?;
    ensure!(came.as_deref() == Some(&*answer), "by listener {listener}: expected {answer:x?}, got {came:x?}");
    Ok(())
}

pub(super) fn loopback(v6: bool) -> SocketAddr {
    if v6 { (Ipv6Addr::LOCALHOST, 0).into() } else { (Ipv4Addr::LOCALHOST, 0).into() }
}

fn each_its_own(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 2)?;
    let mut at = vec![party.at];
    for number in 1..=4 {
        let (came, bound) = party.device.listen_more(Protocol::Udp, loopback(number % 2 == 1), true)?;
        ensure!(came == number, "expected listener {number}, got {came}");
        ensure!(bound.port() != 0 && !at.contains(&bound), "expected an address of its own, got {bound}");
        at.push(bound);
    }
    for (listener, at) in (0u32..).zip(&at) {
        for n in 0..2 {
            party.join_by(10 + 2 * listener as i32 + n, Far::of(*at)?, listener)?;
        }
    }
    for round in 0..3 {
        for guest in 0..party.guests.len() {
            let own = party.guests[guest].vpn;
            party.send(guest, own, None).with_context(|| format!("round {round}, guest {guest}"))?;
        }
    }
    for (guest, listener) in (2..party.guests.len()).zip((0u32..).flat_map(|listener| [listener; 2])) {
        talks(&party, &party.guests[guest].far, listener, guest as u8)?;
    }
    // What goes out goes by the listener that it came in by: a far end hears its own alone.
    for guest in &party.guests {
        party.device.set_client(guest.id, keepalive(1, 0))?;
    }
    for guest in &party.guests {
        guest.pinged()?;
    }
    let peers = party.guests.len();
    party.end()?;
    Ok(format!("{} listeners, {peers} peers", at.len()))
}

/// Behind one address translator two clients may have one address and port.
fn one_remote_end(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 0)?;
    let (number, second) = party.device.listen_more(Protocol::Udp, loopback(false), false)?;
    let far = Far::of(party.at)?;
    let (there, remote) = (far.to(second)?, far.address()?);
    party.join_by(1, far, 0)?;
    party.join_by(2, there, number)?;
    let sources = [party.guests[0].vpn, party.guests[1].vpn];
    for guest in [0, 1, 1, 0] {
        party.send(guest, sources[guest], None)?;
    }
    for (guest, listener) in [(0, 0), (1, number), (0, 0)] {
        talks(&party, &party.guests[guest].far, listener, guest as u8)?;
    }
    // Nobody has moved.
    party.no_event()?;
    // Headers without an id are whose remote end it is, at the listener that they come to.
    for guest in [1, 0] {
        let mut packet = party.guests[guest].seal_as(sources[guest], 0x00FF_FFFF)?;
        party.offer(guest, &packet, None)?;
        packet[0] ^= 1;
        party.offer(guest, &packet, Some("RxUnknownKey"))?;
    }
    for listener in [0, number] {
        let taken = crate::device::Client { remote, ..quiet_client(9) }.request_by(listener);
        let refused = party.device.ioctl(Ioctl::MpNewPeer.code(), taken.as_bytes(), 0)?.status;
        ensure!(refused == NtStatus::NO_MEMORY, "listener {listener}: expected NO_MEMORY, got {refused}");
    }
    // To where another is, it may not move.
    let own = party.guests[0].seal(sources[0])?;
    party.offer(1, &own, Some("RxWrongPeer"))?;
    party.no_event()?;
    party.end()?;
    Ok(format!("{remote} twice"))
}

fn moves(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 2)?;
    let (number, second) = party.device.listen_more(Protocol::Udp, loopback(false), false)?;
    let (six, third) = party.device.listen_more(Protocol::Udp, loopback(true), true)?;
    let source = party.guests[0].vpn;
    let first = party.at;
    party.send(0, source, None)?;
    party.device.set_client(1, keepalive(1, 0))?;
    party.guests[0].pinged()?;
    // From the same place, from another, and over the other IP version.
    let near = party.guests[0].far.to(second)?;
    for (far, listener) in [(near, number), (Far::of(third)?, six), (Far::of(first)?, 0), (Far::of(second)?, number)] {
        party.guests[0].far = far;
        party.send(0, source, None)?;
        floated(&party, 1, party.guests[0].far.address()?, listener)?;
        party.guests[0].pinged()?;
        talks(&party, &party.guests[0].far, listener, 7)?;
    }
    // The other peer stayed.
    let other = party.guests[1].vpn;
    party.send(1, other, None)?;
    party.no_event()?;
    party.end()?;
    Ok("the same place, another, the other IP version".into())
}

fn closed_under(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 1)?;
    let (number, second) = party.device.listen_more(Protocol::Udp, loopback(false), false)?;
    for id in 2..=4 {
        party.join_by(id, Far::of(second)?, number)?;
    }
    for guest in 0..4 {
        let own = party.guests[guest].vpn;
        party.send(guest, own, None)?;
        party.device.set_client(guest as i32 + 1, keepalive(1, 0))?;
        party.guests[guest].pinged()?;
    }
    party.device.unlisten(number)?;
    // There is no way to three of them: their pings are lost by name. The first one's go on.
    let lost = party.drop_count("TxSendFailed")?;
    party.guests[0].pinged()?;
    let deadline = Instant::now() + SOON;
    while party.drop_count("TxSendFailed")? < lost + 3 {
        ensure!(Instant::now() < deadline, "expected three pings more lost than {lost}");
    }
    // Heard by the first listener they are there again.
    for guest in 1..4 {
        party.guests[guest].far = party.guests[guest].far.to(party.at)?;
        let own = party.guests[guest].vpn;
        party.send(guest, own, None)?;
        floated(&party, guest as i32 + 1, party.guests[guest].far.address()?, 0)?;
        party.guests[guest].pinged()?;
    }
    // A number comes again as late as possible.
    let (next, _) = party.device.listen_more(Protocol::Udp, loopback(false), false)?;
    ensure!(next == number + 1, "expected listener {}, got {next}", number + 1);
    party.end()?;
    Ok("three peers, back by another".into())
}
