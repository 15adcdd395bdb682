//! IP headers, byte by byte.

use crate::segment::{Network, Opt, Segment};
use core::net::IpAddr;
use dco_wire::ip::{Fragment, IpError, IpHeader, Version, parse, version};
use proptest::prelude::*;

const V4: [u8; 20] = [0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 17, 0xaa, 0xbb, 10, 8, 0, 2, 192, 0, 2, 1];

fn v6(next: u8, payload: u16, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x6a, 0xbc, 0xde, 0xf0];
    packet.extend(payload.to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(rest);
    packet
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn an_ipv4_header() {
    let header = IpHeader {
        src: ip("10.8.0.2"),
        dst: ip("192.0.2.1"),
        protocol: 17,
        header_len: 20,
        total_len: 1500,
        fragment: Fragment::Whole,
    };
    assert_eq!(parse(&V4), Ok(header));
}

#[test]
fn ipv4_refusals() {
    assert_eq!(parse(&[]), Err(IpError::Truncated));
    for cut in 1..20 {
        assert_eq!(parse(&V4[..cut]), Err(IpError::Truncated));
    }
    for ihl in 0..5 {
        let mut packet = V4;
        packet[0] = 0x40 | ihl;
        assert_eq!(parse(&packet), Err(IpError::BadLength));
    }
    for ihl in 6..16 {
        let mut packet = V4.to_vec();
        packet[0] = 0x40 | ihl;
        assert_eq!(parse(&packet), Err(IpError::Truncated));
        packet.resize(usize::from(ihl) * 4, 0);
        assert_eq!(parse(&packet).map(|h| h.header_len), Ok(usize::from(ihl) * 4));
    }
    for total in [0u16, 1, 19] {
        let mut packet = V4;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        assert_eq!(parse(&packet), Err(IpError::BadLength));
    }
}

#[test]
fn versions() {
    for first in 0..=255u8 {
        let wanted = match first >> 4 {
            4 => Some(Version::V4),
            6 => Some(Version::V6),
            _ => None,
        };
        assert_eq!(version(&[first]), wanted);
        if wanted.is_none() {
            assert_eq!(parse(&[first; 64]), Err(IpError::NotIp));
        }
    }
    assert_eq!(version(&[]), None);
}

#[test]
fn an_ipv6_header() {
    let header = IpHeader {
        src: ip("fe80::1"),
        dst: ip("2001:db8::2"),
        protocol: 58,
        header_len: 40,
        total_len: 1040,
        fragment: Fragment::Whole,
    };
    let packet = v6(58, 1000, &[]);
    assert_eq!(parse(&packet), Ok(header));
    for cut in 1..40 {
        assert_eq!(parse(&packet[..cut]), Err(IpError::Truncated));
    }
}

#[test]
fn extension_headers_are_skipped() {
    let hop = [43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing = [51, 0, 0, 0, 0, 0, 0, 0];
    let authentication = [60, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let destination = [6, 0, 1, 4, 0, 0, 0, 0];
    let chain = [&hop[..], &routing, &authentication, &destination, &[0; 20]].concat();
    let header = parse(&v6(0, 76, &chain)).expect("valid");
    assert_eq!((header.protocol, header.header_len, header.total_len), (6, 40 + 16 + 8 + 24 + 8, 116));
}

#[test]
fn a_chain_that_cannot_be_walked_stops_at_its_extension_header() {
    // Cut inside the extension header, or right before it: still an IP packet, of no upper protocol.
    for cut in 0..16 {
        let header =
            parse(&v6(0, 16, &[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..cut])).expect("addresses are there");
        assert_eq!((header.protocol, header.header_len), (0, 40));
    }
    for cut in 0..8 {
        let header = parse(&v6(44, 16, &[6, 0, 0, 9, 0, 0, 0, 0][..cut])).expect("addresses are there");
        assert_eq!((header.protocol, header.header_len, header.fragment), (44, 40, Fragment::Whole));
    }
    // Hop-by-hop after hop-by-hop: the walk is bounded.
    let header = parse(&v6(0, 800, &[0; 800])).expect("addresses are there");
    assert_eq!((header.protocol, header.header_len), (0, 40 + 8 * 8));
}

#[test]
fn fragments_are_told_apart() {
    for (field, wanted) in [
        (0u16, Fragment::Whole),
        (0x4000, Fragment::Whole),
        (0x8000, Fragment::Whole),
        (0x2000, Fragment::First),
        (0x2001, Fragment::Later),
        (1, Fragment::Later),
        (0x1fff, Fragment::Later),
        (0x0100, Fragment::Later),
    ] {
        let mut packet = V4;
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        assert_eq!(parse(&packet).map(|h| h.fragment), Ok(wanted), "{field:x}");
    }
    for (field, wanted) in [
        (0u16, Fragment::Whole),
        (6, Fragment::Whole),
        (1, Fragment::First),
        (8, Fragment::Later),
        (9, Fragment::Later),
        (0x8000, Fragment::Later),
    ] {
        let [hi, lo] = field.to_be_bytes();
        let header = parse(&v6(44, 28, &[6, 0, hi, lo, 0, 0, 0, 1, 0, 0])).expect("valid");
        assert_eq!((header.fragment, header.protocol, header.header_len), (wanted, 6, 48), "{field:x}");
    }
}

#[test]
fn a_later_fragment_is_not_walked_further() {
    // What follows the fragment header is in the middle of something; its next-header value is still told.
    let header = parse(&v6(44, 28, &[60, 0, 0, 8, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0, 0])).expect("valid");
    assert_eq!((header.protocol, header.header_len, header.fragment), (60, 48, Fragment::Later));
}

proptest! {
    #[test]
    fn a_header_never_reaches_past_the_slice(packet in prop::collection::vec(any::<u8>(), 0..200), next in prop::sample::select(vec![0u8, 43, 44, 51, 60, 6])) {
        let mut packet = packet;
        for first in [0x45, 0x60] {
            if let Some(byte) = packet.first_mut() {
                *byte = first;
            }
            if let Some(byte) = packet.get_mut(6) {
                *byte = next;
            }
            if let Ok(header) = parse(&packet) {
                prop_assert!(header.header_len <= packet.len());
                prop_assert!(header.header_len <= header.total_len || first == 0x60);
            }
        }
    }

    #[test]
    fn built_packets_are_read_back(words in 0..=10usize, hops in 0..3u8) {
        let v4 = Segment { network: Network::V4(words), ..Segment::syn(&[Opt::Mss(1)]) }.build();
        let header = parse(&v4).expect("valid");
        prop_assert_eq!((header.protocol, header.header_len, header.total_len), (6, 20 + words * 4, v4.len()));
        let body = [vec![hops], vec![0; 6 + usize::from(hops) * 8]].concat();
        let v6 = Segment { network: Network::V6(vec![(60, body.clone())]), ..Segment::syn(&[Opt::Mss(1)]) }.build();
        let header = parse(&v6).expect("valid");
        prop_assert_eq!((header.protocol, header.header_len, header.total_len), (6, 41 + body.len(), v6.len()));
    }
}
