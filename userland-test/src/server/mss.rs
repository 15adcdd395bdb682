//! What a server's peers make of TCP's segment sizes.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};

use super::{Guest, SOON, Server, checksum};
use crate::device::PeerSettings;

/// What a SYN asks for, unless it is lowered.
const ASKED: u16 = 1460;

/// TCP's protocol number.
const TCP: u8 = 6;

/// The sum over pseudo header and segment: 0 if the segment's own is right.
fn sum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend((segment.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, TCP]);
    bytes.extend(segment);
    checksum(&bytes)
}

/// A SYN with this MSS.
fn syn(from: IpAddr, to: IpAddr, port: u16, mss: u16) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(port.to_be_bytes());
    segment.extend(9u16.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 0, 6 << 4, 2, 0xFF, 0xFF, 0, 0, 0, 0, 2, 4]);
    segment.extend(mss.to_be_bytes());
    let right = sum(from, to, &segment);
    segment[16..18].copy_from_slice(&right.to_be_bytes());
    let header = if from.is_ipv4() { 20 } else { 40 };
    let mut packet = crate::far::between(from, to, header + segment.len(), 0);
    if from.is_ipv4() {
        packet[9] = TCP;
        packet[10..12].fill(0);
        let right = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&right.to_be_bytes());
    } else {
        packet[6] = TCP;
    }
    packet[header..].copy_from_slice(&segment);
    packet
}

/// The MSS of a SYN from `from`; its checksum has to be right. `None` for another packet.
fn mss_of(packet: &[u8], from: IpAddr, to: IpAddr) -> Result<Option<u16>> {
    let (header, protocol) = if from.is_ipv4() { (20, 9) } else { (40, 6) };
    if packet.first().is_none_or(|first| (first >> 4 == 4) != from.is_ipv4()) || packet.get(protocol) != Some(&TCP) {
        return Ok(None);
    }
    let segment = packet.get(header..).context("a segment")?;
    ensure!(sum(from, to, segment) == 0, "{from} to {to}: a wrong checksum");
    let Some(&[2, 4, high, low]) = segment.get(20..24) else { bail!("{from} to {to}: expected MSS alone") };
    Ok(Some(u16::from_be_bytes([high, low])))
}

impl Server<'_> {
    /// A connection between two clients has the lower of their limits, whoever begins it: one applies on the way in, the other on the
    /// way out.
    pub(super) fn mss(&self, clients: &mut [Guest]) -> Result<String> {
        let limits: [Option<u16>; 3] = [Some(1200), Some(1000), None];
        for (client, mss) in clients.iter().zip(limits) {
            self.device.set_client(client.id, PeerSettings { mss, ..PeerSettings::default() })?;
        }
        let mut count: u16 = 0;
        for version in [0, 1] {
            for (from, first) in limits.iter().enumerate() {
                for (to, second) in limits.iter().enumerate() {
                    if from == to {
                        continue;
                    }
                    let (source, target) = (clients[from].vpn[version], clients[to].vpn[version]);
                    let lowest = first.iter().chain(second).min();
                    let expected = lowest.map_or(ASKED, |limit| limit - 20 * version as u16);
                    count += 1;
                    clients[from].send(&syn(source, target, 1024 + count, ASKED))?;
                    let came = loop {
                        let Some(packet) = clients[to].receive(SOON)? else {
                            bail!("{source} to {target}: it did not come")
                        };
                        if let Some(mss) = mss_of(&packet, source, target)? {
                            break mss;
                        }
                    };
                    ensure!(came == expected, "{source} to {target}: expected MSS {expected}, got {came}");
                }
            }
        }
        for client in clients.iter() {
            self.device.set_client(client.id, PeerSettings { mss: Some(0), ..PeerSettings::default() })?;
        }
        Ok(format!("{count} SYNs between clients with 1200, 1000 and no limit"))
    }
}
