//! MSS clamping, against packets built again in whole.

use crate::segment::{Network, Opt, Segment};
use dco_wire::mss::{clamp, would_clamp};
use proptest::prelude::*;

/// Clamps a copy, checking on the way what must hold for any bytes.
fn clamped(packet: &[u8], limit: u16) -> Option<Vec<u8>> {
    let mut copy = packet.to_vec();
    let announced = would_clamp(packet, limit);
    let changed = clamp(&mut copy, limit);
    assert_eq!(announced, changed, "would_clamp and clamp disagree");
    assert_eq!(copy == packet, !changed, "changed without saying so, or said so without changing");
    assert!(!would_clamp(&copy, limit), "clamping once was not enough");
    changed.then_some(copy)
}

fn assert_clamps(segment: &Segment, limit: u16) {
    assert_eq!(clamped(&segment.build(), limit), Some(segment.clamped(limit).build()), "{segment:?}");
}

fn assert_left_alone(packet: &[u8], limit: u16) {
    assert_eq!(clamped(packet, limit), None, "{packet:02x?}");
}

#[test]
fn a_syn_is_lowered() {
    assert_clamps(&Segment::syn(&[Opt::Mss(1460)]), 1360);
    assert_clamps(&Segment { flags: 0x12, ..Segment::syn(&[Opt::Mss(1460)]) }, 1360);
}

#[test]
fn ipv6_is_held_to_twenty_less() {
    let segment = Segment::syn(&[Opt::Mss(1340)]).over_v6();
    assert_left_alone(&segment.build(), 1360);
    assert_clamps(&segment, 1359);
    assert_left_alone(&Segment::syn(&[Opt::Mss(1340)]).build(), 1340);
}

#[test]
fn off_is_off() {
    assert_left_alone(&Segment::syn(&[Opt::Mss(1460)]).build(), 0);
    let v6 = Segment::syn(&[Opt::Mss(1460)]).over_v6();
    for limit in 0..=20 {
        assert_left_alone(&v6.build(), limit);
    }
    assert_clamps(&v6, 21);
}

#[test]
fn only_a_syn_is_touched() {
    for flags in (0..=255u8).filter(|flags| flags & 2 == 0) {
        assert_left_alone(&Segment { flags, ..Segment::syn(&[Opt::Mss(1460)]) }.build(), 1360);
    }
}

#[test]
fn small_and_equal_sizes_stay() {
    for value in [0, 1, 536, 1359, 1360] {
        assert_left_alone(&Segment::syn(&[Opt::Mss(value)]).build(), 1360);
    }
}

#[test]
fn an_option_at_an_odd_offset() {
    for nops in 0..8 {
        let mut options = vec![Opt::Nop; nops];
        options.push(Opt::Mss(1460));
        for limit in [1, 255, 256, 1280, 1360, 1459] {
            assert_clamps(&Segment::syn(&options), limit);
            assert_clamps(&Segment::syn(&options).over_v6(), limit + 20);
        }
    }
}

#[test]
fn more_than_one_mss_option() {
    assert_clamps(&Segment::syn(&[Opt::Mss(1460), Opt::Mss(9000), Opt::Nop, Opt::Mss(1000), Opt::Mss(1361)]), 1360);
}

#[test]
fn an_option_after_others_and_at_the_very_end() {
    let timestamps = Opt::Other(8, vec![9; 8]);
    assert_clamps(&Segment::syn(&[Opt::Nop, Opt::Nop, timestamps.clone(), Opt::Mss(1460)]), 1360);
    let fill = Opt::Other(254, vec![7; 34]);
    assert_clamps(&Segment::syn(&[fill, Opt::Mss(1460)]), 1360);
}

#[test]
fn malformed_options_end_the_search() {
    let end = [0, 2, 4, 0x05, 0xb4, 0, 0, 0];
    let zero_length = [3, 0, 2, 4, 0x05, 0xb4, 0, 0];
    let one_length = [3, 1, 2, 4, 0x05, 0xb4, 0, 0];
    let too_long = [3, 9, 2, 4, 0x05, 0xb4, 0, 0];
    let cut = [1, 1, 1, 1, 1, 2, 4, 0x05];
    let kind_only = [1, 1, 1, 1, 1, 1, 1, 2];
    let short_mss = [2, 3, 0xff, 1, 1, 1, 1, 1];
    let long_mss = [2, 6, 0x05, 0xb4, 0, 0, 1, 1];
    for options in [end, zero_length, one_length, too_long, cut, kind_only, short_mss, long_mss] {
        let mut packet = Segment::syn(&[Opt::Other(9, vec![0; 6])]).build();
        packet[40..48].copy_from_slice(&options);
        assert_left_alone(&packet, 1360);
    }
}

#[test]
fn an_mss_option_of_another_length_is_passed_over() {
    assert_clamps(&Segment::syn(&[Opt::Other(2, vec![0xff]), Opt::Mss(1460)]), 1360);
}

#[test]
fn the_payload_is_not_options() {
    // The TCP header ends at 20; what looks like an option is data.
    let segment = Segment { payload: vec![2, 4, 0x05, 0xb4], ..Segment::syn(&[]) };
    assert_left_alone(&segment.build(), 1360);
    let segment = Segment {
        payload: vec![4, 0x05, 0xb4],
        ..Segment::syn(&[Opt::Nop, Opt::Nop, Opt::Nop, Opt::Other(9, vec![])])
    };
    assert_left_alone(&segment.build(), 1360);
}

#[test]
fn a_length_that_does_not_match_is_left_alone() {
    for segment in [Segment::syn(&[Opt::Mss(1460)]), Segment::syn(&[Opt::Mss(1460)]).over_v6()] {
        let packet = segment.build();
        let mut longer = packet.clone();
        longer.push(0);
        assert_left_alone(&longer, 1360);
        for cut in 0..packet.len() {
            assert_left_alone(&packet[..cut], 1360);
        }
    }
}

#[test]
fn a_header_longer_than_the_packet_is_left_alone() {
    let mut packet = Segment::syn(&[Opt::Mss(1460)]).build();
    packet[32] = 0x70;
    assert_left_alone(&packet, 1360);
    packet[32] = 0x40;
    assert_left_alone(&packet, 1360);
    packet[32] = 0;
    assert_left_alone(&packet, 1360);
}

#[test]
fn fragments() {
    let mut packet = Segment::syn(&[Opt::Mss(1460)]).build();
    // The first fragment carries the header and is clamped like a whole packet; later ones carry anything.
    packet[6..8].copy_from_slice(&[0x20, 0]);
    assert!(clamped(&packet, 1360).is_some());
    for offset in [1u16, 0x1000, 0x1fff] {
        for more in [0, 0x2000] {
            packet[6..8].copy_from_slice(&(offset | more).to_be_bytes());
            assert_left_alone(&packet, 1360);
        }
    }
    // The reserved and don't-fragment bits are no offset.
    packet[6..8].copy_from_slice(&[0xc0, 0]);
    assert!(clamped(&packet, 1360).is_some());
}

#[test]
fn ipv6_fragments() {
    let with_field = |field: u16| Segment {
        network: Network::V6(vec![(44, [&[0][..], &field.to_be_bytes(), &[0, 0, 0, 1]].concat())]),
        ..Segment::syn(&[Opt::Mss(1460)])
    };
    assert_clamps(&with_field(0), 1360);
    assert_clamps(&with_field(1), 1360);
    assert_left_alone(&with_field(8).build(), 1360);
    assert_left_alone(&with_field(9).build(), 1360);
}

#[test]
fn other_protocols_are_left_alone() {
    for protocol in (0..=255u8).filter(|&protocol| protocol != 6) {
        let mut v4 = Segment::syn(&[Opt::Mss(1460)]).build();
        v4[9] = protocol;
        assert_left_alone(&v4, 1360);
        let mut v6 = Segment::syn(&[Opt::Mss(1460)]).over_v6().build();
        v6[6] = protocol;
        assert_left_alone(&v6, 1360);
    }
}

fn option() -> impl Strategy<Value = Opt> {
    prop_oneof![
        Just(Opt::Nop),
        prop_oneof![any::<u16>(), 1200..1500u16].prop_map(Opt::Mss),
        (3..=255u8, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(kind, body)| Opt::Other(kind, body)),
    ]
}

fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
    prop_oneof![
        (prop::sample::select(vec![0u8, 43, 60]), 0..4u8)
            .prop_map(|(kind, len)| (kind, [vec![len], vec![0; 6 + 8 * usize::from(len)]].concat())),
        (1..6u8).prop_map(|len| (
            51,
            [vec![len], vec![0; 6 + 4 * (usize::from(len) - 1) + 4]].concat()[..(usize::from(len) + 2) * 4 - 1]
                .to_vec()
        )),
        any::<bool>().prop_map(|more| (44, vec![0, 0, u8::from(more), 0, 0, 0, 9])),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![(0..=10usize).prop_map(Network::V4), prop::collection::vec(extension(), 0..5).prop_map(Network::V6)]
}

prop_compose! {
    fn segment()(
        network in network(),
        flags in prop_oneof![4 => any::<u8>().prop_map(|flags| flags | 2), 1 => any::<u8>()],
        options in prop::collection::vec(option(), 0..5),
        payload in prop::collection::vec(any::<u8>(), 0..40),
        head in any::<[u8; 12]>(),
        checksum_error in prop_oneof![3 => Just(0u16), 1 => any::<u16>()],
    ) -> Segment {
        Segment { network, flags, options, payload, head, checksum_error }
    }
}

/// The checksum field's value, with the two zeroes told apart no more.
fn normalised(packet: &mut [u8], tcp_len: usize) {
    let at = packet.len() - tcp_len + 16;
    if packet[at..at + 2] == [0xff, 0xff] {
        packet[at..at + 2].copy_from_slice(&[0, 0]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn clamping_equals_building_again(segment in segment(), limit in prop_oneof![any::<u16>(), 1200..1500u16]) {
        let before = segment.build();
        let tcp_len = before.len() - match &segment.network {
            Network::V4(words) => 20 + words * 4,
            Network::V6(extensions) => 40 + extensions.iter().map(|e| e.1.len() + 1).sum::<usize>(),
        };
        let mut wanted = segment.clamped(limit).build();
        let changes = wanted != before;
        let got = clamped(&before, limit);
        prop_assert_eq!(got.is_some(), changes);
        let mut got = got.unwrap_or(before);
        if segment.checksum_error != 0 {
            // A wrong checksum may have been either zero; it stays as wrong as it was.
            normalised(&mut got, tcp_len);
            normalised(&mut wanted, tcp_len);
        }
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn any_bytes_are_survived(packet in prop::collection::vec(any::<u8>(), 0..120), limit: u16, version in prop::sample::select(vec![0x40u8, 0x60])) {
        clamped(&packet, limit);
        let mut packet = packet;
        if let Some(first) = packet.first_mut() {
            *first = version | *first & 0x0f;
        }
        clamped(&packet, limit);
    }

    #[test]
    fn broken_segments_are_survived(segment in segment(), at: prop::sample::Index, value: u8, limit in 1200..1500u16) {
        let mut packet = segment.build();
        let at = at.index(packet.len());
        packet[at] = value;
        if let Some(after) = clamped(&packet, limit) {
            prop_assert_eq!(after.len(), packet.len());
        }
    }
}
