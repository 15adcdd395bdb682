//! Packets through the tunnel, and what they have to be counted as.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Side;
use crate::device::{Device, Stats};

/// Bytes of IP packets that went through the tunnel from a side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets each way.
    pub packets: u64,
    /// Bytes each way, IP headers included.
    pub bytes: i64,
}

impl Traffic {
    /// Bytes that each packet grows by on the wire.
    const OVERHEAD: i64 = 24;

    /// That a driver has counted so much, each way, and nothing else.
    ///
    /// A driver counts a batch when it is done with it, which may be after the other end has seen its packets.
    pub fn expect_counted(self, device: &Device) -> Result<()> {
        self.expect_counted_with(Self::OVERHEAD, device)
    }

    /// The same for packets that grow by `overhead` bytes on the wire.
    pub fn expect_counted_with(self, overhead: i64, device: &Device) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match self.compare(overhead, &device.stats()?, &device.peer_stats()?) {
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                compared => return compared,
            }
        }
    }

    fn compare(self, overhead: i64, stats: &Stats, peer: &dco_uapi::raw::PeerStats) -> Result<()> {
        let packets = self.packets.cast_signed();
        let transport = self.bytes + packets * overhead;
        for (name, value) in stats.named() {
            let expected = match name {
                "TunBytesSent" | "TunBytesReceived" => self.bytes,
                "TransportBytesSent" | "TransportBytesReceived" => transport,
                "ReceivedDataPackets" | "SentDataPackets" => packets,
                _ => 0,
            };
            ensure!(value == expected, "{name}: expected {expected}, got {value}; all of them:\n{stats}");
        }
        let counted = [&peer.link_rx_bytes, &peer.link_tx_bytes, &peer.vpn_rx_bytes, &peer.vpn_tx_bytes];
        let counted = counted.map(|counter| counter.get());
        let expected = [transport, transport, self.bytes, self.bytes];
        ensure!(counted == expected, "peer counters: expected {expected:?}, got {counted:?}");
        Ok(())
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Two UDP sockets, one at each end of the tunnel.
pub struct Probe {
    pub(super) ends: [UdpSocket; 2],
    pub(super) addresses: [SocketAddr; 2],
    /// Bytes of the headers around a payload.
    pub(super) headers: i64,
}

impl Probe {
    /// The largest payload that fits the tunnel's 1500 bytes.
    pub fn largest(&self) -> usize {
        self.filling(1500)
    }

    /// The payload of a packet of `bytes`.
    pub fn filling(&self, bytes: usize) -> usize {
        bytes - self.headers.unsigned_abs() as usize
    }

    /// One packet of `size` bytes from A to B, and one back.
    pub fn exchange(&self, size: usize, tag: u64) -> Result<Traffic> {
        let [a, b] = &self.ends;
        let [a_address, b_address] = self.addresses;
        self.one_way(a, b, b_address, size, tag).context("from a to b")?;
        self.one_way(b, a, a_address, size, !tag).context("from b to a")?;
        Ok(Traffic { packets: 1, bytes: size as i64 + self.headers })
    }

    /// One packet of `size` bytes from a side, which nobody waits for.
    pub fn lost(&self, from: Side, size: usize) -> Result<()> {
        let ([a, b], [a_address, b_address]) = (&self.ends, self.addresses);
        let (socket, address) = match from {
            Side::A => (a, b_address),
            Side::B => (b, a_address),
        };
        socket.send_to(&vec![0x5A; size], address).with_context(|| format!("sending {size} bytes"))?;
        Ok(())
    }

    /// So many packets of `size` bytes from A to B before the first is received, and as many back.
    pub fn burst(&self, size: usize, count: u64, tag: u64) -> Result<Traffic> {
        let [a, b] = &self.ends;
        let [a_address, b_address] = self.addresses;
        for (from, to, address, way) in [(a, b, b_address, "from a to b"), (b, a, a_address, "from b to a")] {
            let packets: Vec<_> = (0..count).map(|number| payload(size, tag << 16 | number)).collect();
            for packet in &packets {
                from.send_to(packet, address)?;
            }
            for packet in &packets {
                expect(to, packet).context(way)?;
            }
        }
        Ok(Traffic { packets: count, bytes: (size as i64 + self.headers) * count.cast_signed() })
    }

    fn one_way(&self, from: &UdpSocket, to: &UdpSocket, address: SocketAddr, size: usize, tag: u64) -> Result<()> {
        let sent = payload(size, tag);
        from.send_to(&sent, address).with_context(|| format!("sending {size} bytes"))?;
        expect(to, &sent)
    }
}

fn payload(size: usize, tag: u64) -> Vec<u8> {
    (0..size).map(|at| (tag >> (at % 8 * 8)) as u8 ^ (at / 8) as u8).collect()
}

fn expect(socket: &UdpSocket, sent: &[u8]) -> Result<()> {
    let size = sent.len();
    let mut came = vec![0; 1 << 16];
    let (length, _) = socket.recv_from(&mut came).with_context(|| format!("expected {size} bytes, waited 2 s"))?;
    ensure!(came.get(..length) == Some(sent), "expected the {size} bytes that were sent, got {length} others");
    Ok(())
}
