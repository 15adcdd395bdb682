//! Packets that do not say whose they are, and packets that are not the data channel's of today.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};

use super::prefixed;
use super::scenarios::{Party, SERVER, SOON, static_key};
use crate::conform::Bench;
use crate::device::{Event, READ_LENGTH};
use crate::far::{DataKey, Far, between};

/// The id of no peer: whoever is at the packet's remote end is meant.
const UNDEFINED: u32 = 0x00FF_FFFF;

pub fn undefined_id(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 3)?;
    let mut number = 1000;
    let mut from = |party: &Party, guest: usize, whose: usize| -> Result<Vec<u8>> {
        number += 1;
        let Some(owner) = party.guests.get(whose) else { anyhow::bail!("no guest {whose}") };
        let key = DataKey::opposite(&static_key(owner.id), 0, UNDEFINED)?;
        key.seal(number, &between(owner.vpn, SERVER, 100 + guest, number))
    };
    for guest in 0..3 {
        let packet = from(&party, guest, guest)?;
        party.offer(guest, &packet, None)?;
    }
    // At another's remote end it is that one's, whose key does not open it.
    let packet = from(&party, 0, 1)?;
    party.offer(0, &packet, Some("RxAuthFailed"))?;
    // From where nobody is, it is nobody's, and moves nobody.
    let elsewhere = Far::of(party.at)?;
    let here = elsewhere.address()?;
    let home = std::mem::replace(&mut party.guests[0].far, elsewhere);
    let packet = from(&party, 0, 0)?;
    party.offer(0, &packet, Some("RxUnknownPeer"))?;
    party.no_event()?;
    // Once the peer has moved there, by a packet with its id, it is found there, and nowhere else.
    let own = party.guests[0].vpn;
    party.send(0, own, None)?;
    let came = party.event()?;
    ensure!(came == Event::Float(1, here), "expected a float of 1 to {here}, got {came:?}");
    let packet = from(&party, 0, 0)?;
    party.offer(0, &packet, None)?;
    party.guests[0].far = home;
    let packet = from(&party, 0, 0)?;
    party.offer(0, &packet, Some("RxUnknownPeer"))?;
    party.end()?;
    Ok("found by the remote end alone, and after a float at the new one".into())
}

/// An end that was given no peer id sends DATA_V1 (openvpn #422). It is user space's, as all is that is no DATA_V2.
pub fn data_v1(bench: &Bench<'_>) -> Result<String> {
    let party = Party::on_loopback(bench, 2)?;
    let stranger = Far::at(Ipv4Addr::new(127, 0, 0, 21).into(), party.at)?;
    let before = party.device.stats()?.0;
    let mut sent = 0;
    for far in [&party.guests[0].far, &party.guests[1].far, &stranger] {
        for key_id in [0, 7] {
            for length in [40, 1400] {
                let packet = [&[6 << 3 | key_id][..], &vec![0xA5; length]].concat();
                far.send(&packet)?;
                let came = party.device.read(READ_LENGTH)?.wait(SOON)?.context("a read that should have ended")?;
                ensure!(came.output == prefixed(far.address()?, &packet), "DATA_V1: got {came:x?}");
                sent += 1;
            }
        }
    }
    let stats = party.device.stats()?.0;
    let data = stats.received_data_packets.get() - before.received_data_packets.get();
    let control = stats.received_control_packets.get() - before.received_control_packets.get();
    ensure!((data, control) == (0, sent), "expected {sent} control packets and no data, got {control} and {data}");
    party.end()?;
    Ok(format!("{sent} packets, of peers and of a stranger"))
}
