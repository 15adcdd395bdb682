//! A datagram from the network, or a packet from the adapter.

use dco_wire::{Class, DataHeader, Opcode, classify, ip, is_ping, mss};

/// Two bytes of MSS limit, then the packet.
pub fn run(input: &[u8]) {
    let Some((limit, packet)) = input.split_first_chunk() else { return };
    datagram(packet);
    header(packet);
    clamping(packet, u16::from_be_bytes(*limit));
}

fn datagram(packet: &[u8]) {
    match classify(packet) {
        Class::TooShort => assert!(packet.len() < 4),
        Class::Control => assert!(packet[0] >> 3 != Opcode::DataV2.number()),
        Class::Data(header) => {
            assert_eq!(DataHeader::parse(packet), Some(header));
            assert_eq!(header.to_bytes(), packet[..4]);
        }
    }
    assert_eq!(is_ping(packet), packet == dco_wire::PING);
}

fn header(packet: &[u8]) {
    let Ok(header) = ip::parse(packet) else { return };
    assert!(header.header_len >= 20 && header.header_len <= packet.len());
    assert_eq!(header.src.is_ipv4(), packet[0] >> 4 == 4);
    assert_eq!(header.src.is_ipv4(), header.dst.is_ipv4());
    // More bytes behind it change nothing about a header that was read to its end.
    let mut longer = packet.to_vec();
    longer.extend([0; 8]);
    let again = ip::parse(&longer).expect("a longer packet is no worse");
    assert_eq!((again.src, again.dst, again.total_len), (header.src, header.dst, header.total_len));
    assert!(again.header_len >= header.header_len);
}

/// The ones' complement sum of the packet's 16-bit words: what a checksum keeps.
fn sum(packet: &[u8]) -> u64 {
    packet.chunks(2).map(|word| u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0))).sum::<u64>()
        % 0xffff
}

fn clamping(packet: &[u8], limit: u16) {
    let mut clamped = packet.to_vec();
    let changed = mss::clamp(&mut clamped, limit);
    assert_eq!(mss::would_clamp(packet, limit), changed);
    assert_eq!(clamped != packet, changed);
    assert!(!mss::would_clamp(&clamped, limit));
    if changed {
        let header = ip::parse(packet).expect("only a readable packet is changed");
        assert_eq!(header.total_len, packet.len());
        assert_eq!(sum(packet), sum(&clamped), "the checksum went wrong");
        let tcp_end = header.header_len + usize::from(packet[header.header_len + 12] >> 4) * 4;
        for (at, _) in packet.iter().zip(&clamped).enumerate().filter(|(_, (before, after))| before != after) {
            assert!(
                (header.header_len + 16..header.header_len + 18).contains(&at)
                    || (header.header_len + 20..tcp_end).contains(&at)
            );
        }
    }
}
