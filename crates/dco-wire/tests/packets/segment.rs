//! Packets to test with, built independently of the code under test.

/// The options of a TCP header.
#[derive(Clone, Debug)]
pub enum Opt {
    /// No operation.
    Nop,
    /// Maximum segment size.
    Mss(u16),
    /// Another option, with this kind and body.
    Other(u8, Vec<u8>),
}

/// What comes before the TCP header.
#[derive(Clone, Debug)]
pub enum Network {
    /// IPv4 with this many 32-bit words of options.
    V4(usize),
    /// IPv6 with these extension headers: number and bytes after the first two.
    V6(Vec<(u8, Vec<u8>)>),
}

/// A TCP segment in an IP packet.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its network layer.
    pub network: Network,
    /// TCP flags.
    pub flags: u8,
    /// TCP options, padded with end-of-options.
    pub options: Vec<Opt>,
    /// What follows the TCP header.
    pub payload: Vec<u8>,
    /// Ports, sequence number and so on: the first 12 bytes of the TCP header.
    pub head: [u8; 12],
    /// Added to the right checksum, in ones' complement.
    pub checksum_error: u16,
}

impl Segment {
    /// A SYN over IPv4 with these options.
    pub fn syn(options: &[Opt]) -> Self {
        Self {
            network: Network::V4(0),
            flags: 0x02,
            options: options.to_vec(),
            payload: Vec::new(),
            head: [0xc0, 0x01, 0x01, 0xbb, 1, 2, 3, 4, 0, 0, 0, 0],
            checksum_error: 0,
        }
    }

    /// The same over IPv6.
    pub fn over_v6(mut self) -> Self {
        self.network = Network::V6(Vec::new());
        self
    }

    /// The segment as it should be after clamping to `limit`, the IPv4 setting.
    pub fn clamped(&self, limit: u16) -> Self {
        let limit = match self.network {
            Network::V4(_) => limit,
            Network::V6(_) => limit.saturating_sub(20),
        };
        let mut clamped = self.clone();
        if self.flags & 2 != 0 && limit != 0 {
            for option in &mut clamped.options {
                if let Opt::Mss(value) = option {
                    *value = limit.min(*value);
                }
            }
        }
        clamped
    }

    fn tcp(&self) -> Vec<u8> {
        let mut options = Vec::new();
        for option in &self.options {
            match option {
                Opt::Nop => options.push(1),
                Opt::Mss(value) => {
                    options.extend([2, 4]);
                    options.extend(value.to_be_bytes());
                }
                Opt::Other(kind, body) => {
                    options.extend([*kind, u8::try_from(body.len() + 2).expect("short")]);
                    options.extend(body);
                }
            }
        }
        while options.len() % 4 != 0 {
            options.push(0);
        }
        assert!(options.len() <= 40, "too many options");
        let offset = u8::try_from((20 + options.len()) / 4).expect("at most 15") << 4;
        let mut tcp = self.head.to_vec();
        tcp.extend([offset, self.flags, 0x20, 0, 0, 0, 0, 0]);
        tcp.extend(options);
        tcp.extend(&self.payload);
        tcp
    }

    /// The packet's bytes, with its checksum.
    pub fn build(&self) -> Vec<u8> {
        let mut tcp = self.tcp();
        let (mut packet, addresses) = match &self.network {
            Network::V4(words) => {
                let total = u16::try_from(20 + words * 4 + tcp.len()).expect("fits");
                let mut header = vec![0x45 + u8::try_from(*words).expect("at most 10"), 0];
                header.extend(total.to_be_bytes());
                header.extend([0, 7, 0x40, 0, 64, 6, 0, 0, 10, 8, 0, 1, 192, 0, 2, 77]);
                header.extend(vec![1; words * 4]);
                let addresses = header[12..20].to_vec();
                (header, addresses)
            }
            Network::V6(extensions) => {
                let mut chain = Vec::new();
                for (at, (_, body)) in extensions.iter().enumerate() {
                    chain.push(extensions.get(at + 1).map_or(6, |next| next.0));
                    chain.extend(body);
                }
                let payload = u16::try_from(chain.len() + tcp.len()).expect("fits");
                let mut header = vec![0x60, 0, 0, 0];
                header.extend(payload.to_be_bytes());
                header.extend([extensions.first().map_or(6, |first| first.0), 64]);
                header.extend([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                header.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd]);
                let addresses = header[8..40].to_vec();
                header.extend(chain);
                (header, addresses)
            }
        };
        let right = tcp_checksum(&addresses, &tcp);
        let wrong = u32::from(right) + u32::from(self.checksum_error);
        let sum = u16::try_from((wrong & 0xffff) + (wrong >> 16)).expect("folded");
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet.extend(tcp);
        packet
    }
}

/// The TCP checksum in whole, over the pseudo-header of these addresses; the checksum field must be zero.
pub fn tcp_checksum(addresses: &[u8], tcp: &[u8]) -> u16 {
    let mut bytes = addresses.to_vec();
    bytes.extend([0, 6]);
    bytes.extend(u16::try_from(tcp.len()).expect("fits").to_be_bytes());
    bytes.extend(tcp);
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    let mut sum: u32 = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
