//! GET_PEER_DROPS: what each peer's packets came to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use dco_uapi::additive;

use super::scenarios::Party;
use crate::conform::traffic::reaches;
use crate::conform::{Bench, cases};
use crate::far::Far;
use crate::status::NtStatus;

/// What is counted of a peer; all else is expected to be zero.
type Counts<'a> = BTreeMap<&'a str, i64>;

fn expect(party: &Party, id: i32, expected: &Counts<'_>) -> Result<()> {
    let all = party.device.peer_drops(id)?;
    let reasons: Vec<_> = party.device.drops()?.into_iter().map(|(name, _)| name).collect();
    let names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    let (passed, lost) = names.split_at_checked(4).context("four counts of what passed")?;
    ensure!(
        passed == ["LinkRxPackets", "LinkTxPackets", "VpnRxPackets", "VpnTxPackets"] && lost == reasons,
        "peer {id}: expected four counts of what passed and GET_DROPS's reasons, got {names:?}"
    );
    let came: Counts<'_> = all.iter().filter(|(_, n)| *n != 0).map(|(name, n)| (name.as_str(), *n)).collect();
    ensure!(came == *expected, "peer {id}: expected {expected:?}, got {came:?}");
    Ok(())
}

/// Waits for a peer's count to be so high: what is given to the adapter may be counted a moment later.
fn comes_to(party: &Party, id: i32, name: &str, expected: i64) -> Result<()> {
    reaches(&party.device, name, expected, || {
        let found = party.device.peer_drops(id)?.into_iter().find(|(found, _)| found == name);
        found.map(|(_, count)| count).with_context(|| format!("expected the count {name}, there is none"))
    })
}

pub fn of_each_peer(bench: &Bench<'_>) -> Result<String> {
    let mut party = Party::on_loopback(bench, 3)?;
    let own = party.guests[0].vpn;
    let stranger = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    for _ in 0..3 {
        party.send(0, own, None)?;
    }
    party.send(0, stranger, Some("RxWrongSource"))?;
    let good = party.guests[0].seal(own)?;
    party.offer(0, &good, None)?;
    for _ in 0..2 {
        party.offer(0, &good, Some("RxReplay"))?;
    }
    let mut forged = party.guests[0].seal(own)?;
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    party.offer(0, &forged, Some("RxAuthFailed"))?;
    let second = party.guests[1].vpn;
    party.send(1, second, None)?;
    // Nobody's: the device counts it, and no peer.
    let mut nobodys = good.clone();
    nobodys[3] = 77;
    party.offer(0, &nobodys, Some("RxUnknownPeer"))?;
    comes_to(&party, 1, "VpnRxPackets", 4)?;
    comes_to(&party, 2, "VpnRxPackets", 1)?;
    // What came over the wrong source was opened, and then lost.
    let first = [("LinkRxPackets", 5), ("VpnRxPackets", 4), ("RxWrongSource", 1), ("RxReplay", 2), ("RxAuthFailed", 1)];
    expect(&party, 1, &first.into_iter().collect())?;
    expect(&party, 2, &[("LinkRxPackets", 1), ("VpnRxPackets", 1)].into_iter().collect())?;
    expect(&party, 3, &Counts::new())?;
    // They go with the peer, and the next of this id starts at zero.
    party.device.del_client(1)?;
    for id in [1, -1, i32::MAX] {
        let status = party.device.ioctl(additive::GET_PEER_DROPS, &cases::peer_ref(id), 4096)?.status;
        ensure!(status == NtStatus::OBJECTID_NOT_FOUND, "peer {id}: expected OBJECTID_NOT_FOUND, got {status}");
    }
    let at = party.at;
    party.join(1, Far::of(at)?)?;
    expect(&party, 1, &Counts::new())?;
    party.end()?;
    Ok("three peers, four reasons".into())
}
