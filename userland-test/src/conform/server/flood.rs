//! More control packets than anybody reads: whose wait, and whose are lost.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};

use super::prefixed;
use super::scenarios::{Party, SOON};
use crate::conform::Bench;
use crate::device::READ_LENGTH;
use crate::far::Far;

/// Packets that wait, of one address, of all addresses that are no peer's, and in all (docs/server.md).
const OF_ONE: usize = 256;
const OF_STRANGERS: usize = 768;
const ALL: usize = 1024;

/// Packets sent before the driver is asked whether it has them: a socket's buffer holds so many.
const CHUNK: usize = 32;

/// The `n`-th packet of an end: a handshake's first, of some length.
fn hello(from: usize, n: usize) -> Vec<u8> {
    [&[0x38, from as u8, (n >> 8) as u8, n as u8][..], &vec![from as u8; n % 200]].concat()
}

/// Sends packets `from..to` of an end, which the driver gets all.
fn send(party: &Party, far: &Far, who: usize, packets: std::ops::Range<usize>) -> Result<()> {
    let received = || Ok(i64::from(party.device.stats()?.0.received_control_packets.get()));
    let all: Vec<usize> = packets.collect();
    for some in all.chunks(CHUNK) {
        let before = received()?;
        some.iter().try_for_each(|&n| far.send(&hello(who, n)))?;
        party.reaches("ReceivedControlPackets", before + some.len() as i64, received)?;
    }
    Ok(())
}

/// Nobody reads. An address has its share, addresses that are no peer's have theirs together, peers' packets find room all the same; then all
/// is read, in order.
pub fn shares(bench: &Bench<'_>) -> Result<String> {
    let party = Party::on_loopback(bench, 2)?;
    let lost = || party.drop_count("ControlInBacklogFull");
    let before = lost()?;
    let strangers: Vec<Far> =
        (11..15).map(|host| Far::at(Ipv4Addr::new(127, 0, 0, host).into(), party.at)).collect::<Result<_>>()?;
    let mut expected = Vec::new();
    for (who, far) in strangers.iter().enumerate().take(OF_STRANGERS / OF_ONE) {
        send(&party, far, who, 0..OF_ONE)?;
        expected.extend((0..OF_ONE).map(|n| (far, who, n)));
        ensure!(lost()? == before + 10 * who as i64, "stranger {who}: expected {OF_ONE} packets kept");
        // Another port is no other sender.
        let again = Far::at(far.address()?.ip(), party.at)?;
        send(&party, &again, who, 0..10)?;
        ensure!(lost()? == before + 10 * (who as i64 + 1), "stranger {who}: expected no more of one address");
    }
    let before = lost()?;
    send(&party, &strangers[OF_STRANGERS / OF_ONE], 3, 0..5)?;
    ensure!(lost()? == before + 5, "expected no more of ends that are no peers");
    let peer = &party.guests[0].far;
    send(&party, peer, 4, 0..ALL - OF_STRANGERS)?;
    expected.extend((0..ALL - OF_STRANGERS).map(|n| (peer, 4, n)));
    ensure!(lost()? == before + 5, "expected a peer's packets kept");
    send(&party, &party.guests[1].far, 5, 0..1)?;
    ensure!(lost()? == before + 6, "expected no room for a packet more");
    for (far, who, n) in expected {
        let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
        ensure!(came.output == prefixed(far.address()?, &hello(who, n)), "packet {n} of {who}: got {came:x?}");
    }
    let far = &strangers[3];
    send(&party, far, 3, 7..8)?;
    let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
    ensure!(came.output == prefixed(far.address()?, &hello(3, 7)), "the last packet: got {came:x?}");
    party.end()?;
    Ok(format!("{ALL} wait: {OF_ONE} of an address, {OF_STRANGERS} of strangers"))
}
