//! Inner packets, described and built. Checksums are computed over the whole, never adjusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An inner packet's description. [`PacketSpec::bytes`] builds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketSpec {
    /// Source; its family must be the destination's.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// What it carries.
    pub upper: Upper,
    /// Bytes after the upper header, filled from `seed`.
    pub payload: usize,
    /// Makes the payload differ.
    pub seed: u8,
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// UDP to this port.
    Udp {
        /// Destination port.
        port: u16,
    },
    /// TCP with a maximum segment size option, behind a no-operation so that it lies at an odd offset.
    Tcp {
        /// Whether it is a SYN.
        syn: bool,
        /// The option's value.
        mss: u16,
    },
    /// An unassigned protocol.
    Other,
}

impl PacketSpec {
    /// An IPv4 UDP packet of `total` bytes, at least 28.
    #[must_use]
    pub fn udp4(total: usize, seed: u8) -> Self {
        Self {
            src: Ipv4Addr::new(10, 8, 0, 2).into(),
            dst: Ipv4Addr::new(10, 8, 0, 1).into(),
            upper: Upper::Udp { port: 5001 },
            payload: total - 28,
            seed,
        }
    }

    /// A TCP SYN with this segment size, over IPv6 if `v6`.
    #[must_use]
    pub fn syn(v6: bool, mss: u16) -> Self {
        let (src, dst): (IpAddr, IpAddr) = if v6 {
            (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into())
        } else {
            (Ipv4Addr::new(10, 8, 0, 2).into(), Ipv4Addr::new(10, 8, 0, 1).into())
        };
        Self { src, dst, upper: Upper::Tcp { syn: true, mss }, payload: 0, seed: 0 }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn total(&self) -> usize {
        let upper = match self.upper {
            Upper::Udp { .. } => 8,
            Upper::Tcp { .. } => 28,
            Upper::Other => 0,
        };
        (if self.dst.is_ipv4() { 20 } else { 40 }) + upper + self.payload
    }

    /// The packet as a peer with this MSS limit should pass it on; 0 for no limit.
    #[must_use]
    pub fn clamped(&self, limit: u16) -> Self {
        let mut packet = self.clone();
        // A limit that leaves nothing for IPv6 is none.
        let limit = if self.dst.is_ipv4() { limit } else { limit.saturating_sub(20) };
        if let Upper::Tcp { syn: true, mss } = &mut packet.upper
            && limit != 0
        {
            *mss = (*mss).min(limit);
        }
        packet
    }

    /// The packet, with all checksums right.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let (protocol, mut upper) = match self.upper {
            Upper::Udp { port } => {
                let len = u16::try_from(8 + self.payload).expect("a short packet");
                let mut header = vec![0x30, 0x39];
                header.extend(port.to_be_bytes());
                header.extend(len.to_be_bytes());
                header.extend([0, 0]);
                (17, header)
            }
            Upper::Tcp { syn, mss } => {
                let mut header =
                    vec![0xc0, 0, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 7 << 4, 0x10, 0xff, 0xff, 0, 0, 0, 0];
                header[13] = if syn { 0x02 } else { 0x10 };
                header.extend([1, 2, 4]);
                header.extend(mss.to_be_bytes());
                header.extend([1, 1, 0]);
                (6, header)
            }
            Upper::Other => (253, Vec::new()),
        };
        upper.extend((0..self.payload).map(|i| (i as u8).wrapping_mul(31).wrapping_add(self.seed)));

        let mut pseudo = Vec::new();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                pseudo.extend(src.octets());
                pseudo.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                pseudo.extend(src.octets());
                pseudo.extend(dst.octets());
            }
            _ => panic!("two families"),
        }
        pseudo.extend((upper.len() as u32).to_be_bytes());
        pseudo.extend([0, 0, 0, protocol]);
        pseudo.extend(&upper);
        let sum = checksum(&pseudo).to_be_bytes();
        match self.upper {
            Upper::Udp { .. } => upper[6..8].copy_from_slice(&sum),
            Upper::Tcp { .. } => upper[16..18].copy_from_slice(&sum),
            Upper::Other => {}
        }

        let mut packet = Vec::new();
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let total = u16::try_from(20 + upper.len()).expect("a short packet").to_be_bytes();
                packet.extend([0x45, 0, total[0], total[1], 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0]);
                packet.extend(src.octets());
                packet.extend(dst.octets());
                let sum = checksum(&packet).to_be_bytes();
                packet[10..12].copy_from_slice(&sum);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let len = u16::try_from(upper.len()).expect("a short packet").to_be_bytes();
                packet.extend([0x60, 0, 0, 0, len[0], len[1], protocol, 64]);
                packet.extend(src.octets());
                packet.extend(dst.octets());
            }
            _ => panic!("two families"),
        }
        packet.extend(upper);
        packet
    }
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
