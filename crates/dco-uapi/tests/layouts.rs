//! Every structure against bytes written out from the interface's tables.

use core::net::SocketAddr;
use dco_uapi::*;
use proptest::prelude::*;
use zerocopy::IntoBytes;

/// Puts `parts` at their offsets in `len` bytes of `fill`.
fn bytes(len: usize, fill: u8, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![fill; len];
    for (at, part) in parts {
        bytes[*at..at + part.len()].copy_from_slice(part);
    }
    bytes
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// 192.0.2.1:1194; the tail of the union is whatever it is.
const V4: [u8; 8] = [2, 0, 0x04, 0xaa, 192, 0, 2, 1];
/// [2001:db8::1]:443, scope 7.
const V6: [u8; 28] =
    [23, 0, 0x01, 0xbb, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 0, 0, 0];

/// Checks that exactly `len` bytes are needed and more are accepted.
fn assert_needs<T: core::fmt::Debug>(parse: fn(&[u8]) -> Result<T, UapiError>, valid: &[u8]) {
    for cut in 0..valid.len() {
        let error = parse(&valid[..cut]).expect_err("too short");
        assert_eq!(error, UapiError::TooShort { needed: valid.len(), given: cut });
        assert_eq!(error.status(), status::BUFFER_TOO_SMALL);
    }
    let mut longer = valid.to_vec();
    longer.resize(valid.len() * 2, 0xcc);
    assert!(parse(valid).is_ok() && parse(&longer[..valid.len() + 1]).is_ok() && parse(&longer).is_ok());
}

#[test]
fn new_peer() {
    let mut input = bytes(60, 0xcc, &[(0, &V4), (28, &V6), (56, &[1, 0, 0, 0])]);
    let SocketAddr::V6(mut remote) = addr("[2001:db8::1]:443") else { panic!("IPv6") };
    remote.set_scope_id(7);
    let wanted = NewPeer { local: addr("192.0.2.1:1194"), remote: remote.into(), protocol: Protocol::Tcp };
    assert_eq!(NewPeer::parse(&input), Ok(wanted));
    assert_needs(NewPeer::parse, &input);
    input[56] = 0;
    assert_eq!(NewPeer::parse(&input).map(|peer| peer.protocol), Ok(Protocol::Udp));
}

#[test]
fn new_peer_refusals() {
    let input = bytes(60, 0, &[(0, &V4), (28, &V6), (56, &[0, 0, 0, 0])]);
    for (at, value, wanted) in [
        (0, 0, UapiError::BadFamily(0)),
        (0, 3, UapiError::BadFamily(3)),
        (1, 1, UapiError::BadFamily(0x102)),
        (28, 24, UapiError::BadFamily(24)),
        (56, 2, UapiError::BadProtocol(2)),
        (59, 0x80, UapiError::BadProtocol(i32::MIN)),
    ] {
        let mut broken = input.clone();
        broken[at] = value;
        assert_eq!(NewPeer::parse(&broken), Err(wanted));
        assert_eq!(wanted.status(), status::INVALID_DEVICE_REQUEST);
    }
}

#[test]
fn set_peer() {
    let input = [10, 0, 0, 0, 0x80, 0x51, 1, 0, 0x50, 0x05, 0, 0];
    let wanted = SetPeer { interval: Some(10), timeout: Some(86400), mss: Some(1360) };
    assert_eq!(SetPeer::parse(&input), Ok(wanted));
    assert_needs(SetPeer::parse, &input);
    assert_eq!(SetPeer::parse(&[0xff; 12]), Ok(SetPeer::default()));
    assert_eq!(SetPeer::parse(&[0; 12]), Ok(SetPeer { interval: Some(0), timeout: Some(0), mss: Some(0) }));
    // An MSS is cut to 16 bits; a time below -1 means nothing.
    let mss = |bits: [u8; 4]| SetPeer::parse(&bytes(12, 0xff, &[(8, &bits)])).map(|set| set.mss);
    assert_eq!(mss([0x50, 5, 1, 0]), Ok(Some(1360)));
    assert_eq!(mss([0xfe, 0xff, 0xff, 0xff]), Ok(Some(0xfffe)));
    assert_eq!(mss([0xff, 0xff, 0, 0]), Ok(Some(0xffff)));
    for at in [0, 4] {
        let refused = SetPeer::parse(&bytes(12, 0xff, &[(at, &[0xfe])]));
        assert_eq!(refused, Err(UapiError::BadInterval(-2)));
    }
    assert_eq!(UapiError::BadInterval(-2).status(), status::INVALID_PARAMETER);
}

fn key_input(len: usize) -> Vec<u8> {
    let encrypt: Vec<u8> = (1..=32).collect();
    let decrypt: Vec<u8> = (101..=132).collect();
    bytes(
        len,
        0xcc,
        &[
            (0, &encrypt),
            (32, &[32, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7]),
            (41, &decrypt),
            (73, &[16, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7]),
            (84, &[1, 0, 0, 0]),
            (88, &[1, 0, 0, 0]),
            (92, &[5]),
            (96, &[0x6e, 0x70, 0x76, 0]),
        ],
    )
}

#[test]
fn new_key() {
    let input = key_input(100);
    let key = NewKey::parse(&input).expect("valid");
    assert_eq!(key.encrypt.key(), (1..=32).collect::<Vec<u8>>());
    assert_eq!(key.decrypt.key(), (101..=116).collect::<Vec<u8>>());
    assert_eq!(key.decrypt.seed().to_vec(), (101..=132).collect::<Vec<u8>>());
    assert_eq!(key.encrypt.nonce_tail(), &[0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7]);
    assert_eq!(key.decrypt.nonce_tail(), &[0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7]);
    assert_eq!((key.slot, key.algorithm), (Slot::Secondary, Algorithm::AesGcm));
    assert_eq!((key.key_id, key.peer_id, key.options.bits()), (5, 0x0076_706e, 0));
    assert_needs(NewKey::parse, &input);
}

#[test]
fn new_key_v2() {
    let mut input = key_input(104);
    input[100..].copy_from_slice(&[2, 0, 0, 0]);
    let key = NewKey::parse_v2(&input).expect("valid");
    assert!(key.options.epoch());
    assert_eq!((key.options.bits(), key.options.unknown(), key.key_id), (2, 0, 5));
    assert_needs(NewKey::parse_v2, &input);
    input[100..].copy_from_slice(&[5, 0, 0, 0x80]);
    let key = NewKey::parse_v2(&input).expect("valid");
    assert!(!key.options.epoch());
    assert_eq!(key.options.unknown(), 0x8000_0005);
}

#[test]
fn key_fields_out_of_range() {
    for (at, value, wanted) in [
        (84, 2, UapiError::BadSlot(2)),
        (87, 0xff, UapiError::BadSlot(0xff00_0001_u32 as i32)),
        (88, 3, UapiError::BadAlgorithm(3)),
        (91, 0x80, UapiError::BadAlgorithm(0x8000_0001_u32 as i32)),
        (32, 33, UapiError::BadKeyLen(33)),
        (32, 255, UapiError::BadKeyLen(255)),
        (73, 33, UapiError::BadKeyLen(33)),
    ] {
        let mut input = key_input(104);
        input[at] = value;
        assert_eq!(NewKey::parse(&input).expect_err("out of range"), wanted);
        assert_eq!(NewKey::parse_v2(&input).expect_err("out of range"), wanted);
        assert_eq!(wanted.status(), status::INVALID_DEVICE_REQUEST);
    }
}

#[test]
fn key_fields_that_are_left_to_others() {
    for (at, value) in [(92, 8), (92, 255), (32, 0), (32, 1), (73, 31), (88, 0), (88, 2), (99, 0xff)] {
        let mut input = key_input(100);
        input[at] = value;
        assert!(NewKey::parse(&input).is_ok());
    }
    let mut input = key_input(100);
    input[73] = 0;
    assert_eq!(NewKey::parse(&input).expect("valid").decrypt.key(), [0u8; 0]);
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", NewKey::parse(&key_input(100)).expect("valid"));
    assert_eq!(
        shown,
        "NewKey { encrypt: KeyDirection { len: 32, .. }, decrypt: KeyDirection { len: 16, .. }, slot: Secondary, algorithm: AesGcm, \
         key_id: 5, peer_id: 7762030, options: CryptoOptions(0) }"
    );
}

#[test]
fn wiping() {
    let mut input = key_input(100);
    wipe(&mut input);
    assert_eq!(input, [0; 100]);
}

#[test]
fn set_mode() {
    assert_eq!(Mode::parse(&[0, 0, 0, 0]), Ok(Mode::P2p));
    assert_eq!(Mode::parse(&[1, 0, 0, 0]), Ok(Mode::Mp));
    assert_eq!(Mode::parse(&[2, 0, 0, 0]), Err(UapiError::BadMode(2)));
    assert_eq!(Mode::parse(&[1, 0, 0, 1]).map_err(UapiError::status), Err(status::INVALID_PARAMETER));
    assert_needs(Mode::parse, &[0; 4]);
}

#[test]
fn mp_start_vpn() {
    let input = bytes(32, 0, &[(0, &V6), (28, &[1, 0, 0, 0])]);
    let parsed = MpStartVpn::parse(&input).expect("valid");
    assert!(parsed.ipv6_only);
    assert_eq!(parsed.to_raw().as_bytes(), input);
    assert_needs(MpStartVpn::parse, &input);
    let mut dual = bytes(32, 0, &[(0, &V4)]);
    let parsed = MpStartVpn::parse(&dual).expect("valid");
    assert!(!parsed.ipv6_only);
    let bound = MpStartVpn { listen: addr("0.0.0.0:1194"), ..parsed };
    dual[4..8].fill(0);
    assert_eq!(bound.to_raw().as_bytes(), dual);
    dual[0] = 0;
    assert_eq!(MpStartVpn::parse(&dual), Err(UapiError::BadFamily(0)));
}

#[test]
fn mp_new_peer() {
    let mut input =
        bytes(80, 0, &[(0, &[23, 0]), (28, &V4), (56, &[10, 8, 0, 2]), (60, &V6[8..24]), (76, &[9, 0, 0, 0])]);
    let wanted = MpNewPeer {
        remote: addr("192.0.2.1:1194"),
        listener: 0,
        vpn4: Some("10.8.0.2".parse().expect("an address")),
        vpn6: Some("2001:db8::1".parse().expect("an address")),
        peer_id: 9,
    };
    assert_eq!(MpNewPeer::parse(&input), Ok(wanted));
    assert_needs(MpNewPeer::parse, &input);
    input[56..76].fill(0);
    assert_eq!(MpNewPeer::parse(&input), Ok(MpNewPeer { vpn4: None, vpn6: None, ..wanted }));
    input[0] = 7;
    assert_eq!(MpNewPeer::parse(&input), Err(UapiError::BadFamily(7)));
    input[0] = 2;
    input[28] = 0;
    assert_eq!(MpNewPeer::parse(&input), Err(UapiError::BadFamily(0)));
}

#[test]
fn mp_set_peer() {
    let input = [9, 0, 0, 0, 10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let settings = SetPeer { interval: Some(10), timeout: None, mss: Some(0) };
    assert_eq!(MpSetPeer::parse(&input), Ok(MpSetPeer { peer_id: 9, settings }));
    assert_needs(MpSetPeer::parse, &input);
}

#[test]
fn peer_ids() {
    assert_eq!(parse_peer_id(&[1, 2, 3, 4]), Ok(0x0403_0201));
    assert_needs(parse_peer_id, &[0; 4]);
    assert_eq!(PeerChoice::parse(&[0xff; 4]), Ok(PeerChoice::All));
    assert_eq!(PeerChoice::parse(&[0xfe, 0xff, 0xff, 0xff]), Ok(PeerChoice::One(-2)));
    assert_eq!(PeerChoice::parse(&[7, 0, 0, 0]), Ok(PeerChoice::One(7)));
    assert_needs(PeerChoice::parse, &[0; 4]);
}

#[test]
fn iroutes() {
    let v4 = bytes(28, 0xcc, &[(0, &[10, 1, 0, 0]), (16, &[16, 0, 0, 0]), (20, &[3, 0, 0, 0]), (24, &[0; 4])]);
    assert_eq!(
        Iroute::parse(&v4),
        Ok(Iroute { addr: "10.1.0.0".parse().expect("an address"), netbits: 16, peer_id: 3 })
    );
    assert_needs(Iroute::parse, &v4);
    let v6 = bytes(28, 0, &[(0, &V6[8..24]), (16, &[128, 0, 0, 0]), (20, &[0xff; 4]), (24, &[1, 0, 0, 0])]);
    assert_eq!(
        Iroute::parse(&v6),
        Ok(Iroute { addr: "2001:db8::1".parse().expect("an address"), netbits: 128, peer_id: -1 })
    );
    for (input, longest) in [(v4, 32u8), (v6, 128)] {
        for netbits in -1..=300i32 {
            let mut input = input.clone();
            input[16..20].copy_from_slice(&netbits.to_le_bytes());
            let refused = Err(UapiError::BadNetbits(netbits));
            let wanted = u8::try_from(netbits).ok().filter(|bits| *bits <= longest).map_or(refused, Ok);
            assert_eq!(Iroute::parse(&input).map(|route| route.netbits), wanted);
        }
    }
}

#[test]
fn version() {
    let version = Version { major: 2, minor: 8, patch: 0x0102 };
    assert_eq!(version.to_raw().as_bytes(), [2, 0, 0, 0, 8, 0, 0, 0, 2, 1, 0, 0]);
}

#[test]
fn device_stats() {
    let stats = DeviceStats {
        lost_in_control: 1,
        lost_out_control: 2,
        lost_in_data: 3,
        lost_out_data: 4,
        received_data: 5,
        received_control: 6,
        sent_control: 7,
        sent_data: 8,
        transport_sent: 0x0102_0304_0506_0708,
        transport_received: 10,
        tun_sent: 11,
        tun_received: 12,
    };
    let wanted = bytes(
        64,
        0,
        &[
            (0, &[1]),
            (4, &[2]),
            (8, &[3]),
            (12, &[4]),
            (16, &[5]),
            (20, &[6]),
            (24, &[7]),
            (28, &[8]),
            (32, &[8, 7, 6, 5, 4, 3, 2, 1]),
            (40, &[10]),
            (48, &[11]),
            (56, &[12]),
        ],
    );
    assert_eq!(stats.to_raw().as_bytes(), wanted);
}

#[test]
fn counters_stay_at_their_maximum() {
    let stats = DeviceStats { lost_in_data: 1 << 31, tun_sent: u64::MAX, ..DeviceStats::default() };
    let raw = stats.to_raw();
    assert_eq!(raw.lost_in_data_packets.get(), i32::MAX);
    assert_eq!(raw.tun_bytes_sent.get(), i64::MAX);
}

#[test]
fn peer_stats() {
    let stats = PeerStats { peer_id: -2, link_rx: 1, link_tx: 2, vpn_rx: 3, vpn_tx: 1 << 40 };
    let wanted = bytes(40, 0, &[(0, &[0xfe, 0xff, 0xff, 0xff]), (8, &[1]), (16, &[2]), (24, &[3]), (37, &[1])]);
    assert_eq!(stats.to_raw().as_bytes(), wanted);
}

#[test]
fn notifications() {
    let deleted = Notification::DelPeer { peer_id: 5, reason: DelReason::TransportDisconnect };
    assert_eq!(deleted.to_raw().as_bytes(), bytes(144, 0, &[(4, &[5]), (8, &[4])]));
    for (number, reason) in [
        DelReason::Teardown,
        DelReason::Userspace,
        DelReason::Expired,
        DelReason::TransportError,
        DelReason::TransportDisconnect,
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(usize::try_from(*reason as i32), Ok(number));
    }
    assert_eq!(
        Notification::SwapKeys { peer_id: -1 }.to_raw().as_bytes(),
        bytes(144, 0, &[(0, &[1]), (4, &[0xff; 4])])
    );
    let floated = Notification::FloatPeer { peer_id: 5, address: addr("192.0.2.1:1194"), listener: 0 };
    assert_eq!(floated.to_raw().as_bytes(), bytes(144, 0, &[(0, &[2]), (4, &[5]), (16, &V4)]));
    let floated = Notification::FloatPeer { peer_id: 5, address: addr("[2001:db8::1]:443"), listener: 0 };
    assert_eq!(floated.to_raw().as_bytes(), bytes(144, 0, &[(0, &[2]), (4, &[5]), (16, &V6[..24])]));
}

#[test]
fn ioctl_codes() {
    let codes: [(u32, &str); 19] = [
        (0x220004, "OVPN_IOCTL_NEW_PEER"),
        (0x220008, "OVPN_IOCTL_GET_STATS"),
        (0x22000C, "OVPN_IOCTL_NEW_KEY"),
        (0x220010, "OVPN_IOCTL_SWAP_KEYS"),
        (0x220014, "OVPN_IOCTL_SET_PEER"),
        (0x220018, "OVPN_IOCTL_START_VPN"),
        (0x22001C, "OVPN_IOCTL_DEL_PEER"),
        (0x220020, "OVPN_IOCTL_GET_VERSION"),
        (0x220024, "OVPN_IOCTL_NEW_KEY_V2"),
        (0x220028, "OVPN_IOCTL_SET_MODE"),
        (0x22002C, "OVPN_IOCTL_MP_START_VPN"),
        (0x220030, "OVPN_IOCTL_MP_NEW_PEER"),
        (0x220034, "OVPN_IOCTL_MP_SET_PEER"),
        (0x220038, "OVPN_IOCTL_NOTIFY_EVENT"),
        (0x22003C, "OVPN_IOCTL_MP_DEL_PEER"),
        (0x220040, "OVPN_IOCTL_MP_SWAP_KEYS"),
        (0x220044, "OVPN_IOCTL_MP_ADD_IROUTE"),
        (0x220048, "OVPN_IOCTL_MP_DEL_IROUTE"),
        (0x22004C, "OVPN_IOCTL_GET_PEER_STATS"),
    ];
    for ((code, name), ioctl) in codes.into_iter().zip(Ioctl::ALL) {
        assert_eq!((ioctl.code(), ioctl.name(), Ioctl::from_code(code)), (code, name, Some(ioctl)));
    }
    assert_eq!(ioctl::OVPN_IOCTL_GET_PEER_STATS, 0x22004C);
    // Function numbers 0 to 63 with every method and access: no other is known.
    let known = (0..0x1_0000u32).filter(|low| Ioctl::from_code(0x22_0000 | low).is_some()).count();
    assert_eq!(known, 19);
    assert_eq!(Ioctl::from_code(0x12_0004), None);
}

#[test]
fn addresses() {
    for text in ["0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[ffff::1]:1"] {
        assert_eq!(raw::SockaddrUnion::from(addr(text)).parse(), Ok(addr(text)));
    }
    let v4 = raw::SockaddrUnion::from(addr("192.0.2.1:1194"));
    assert_eq!(v4.bytes.to_vec(), bytes(28, 0, &[(0, &V4)]));
}

#[test]
fn control_packet_prefixes() {
    let mut packet = [0; 32];
    assert_eq!(sockaddr::write_prefix(addr("192.0.2.1:1194"), &mut packet).map(|rest| rest.len()), Ok(16));
    assert_eq!(packet[..16], bytes(16, 0, &[(0, &V4)]));
    assert_eq!(sockaddr::write_prefix(addr("[2001:db8::1]:443"), &mut packet).map(|rest| rest.len()), Ok(4));
    assert_eq!(packet[..24], V6[..24]);
    for (from, len) in [("192.0.2.1:1194", 16), ("[2001:db8::1]:443", 28)] {
        let mut room = vec![0xcc; len - 1];
        assert!(sockaddr::write_prefix(addr(from), &mut room).is_err());
        assert!(room.iter().all(|byte| *byte == 0xcc));
    }
}

#[test]
fn addresses_with_a_listener() {
    let number = 0x0403_0201;
    let v4 = raw::SockaddrUnion::from(addr("192.0.2.1:1194")).with_listener(number);
    assert_eq!(v4.bytes.to_vec(), bytes(28, 0, &[(0, &V4), (8, &[1, 2, 3, 4])]));
    assert_eq!((v4.listener(), v4.parse()), (number, Ok(addr("192.0.2.1:1194"))));
    let v6 = raw::SockaddrUnion::from(addr("[2001:db8::1]:443")).with_listener(number);
    assert_eq!(v6.bytes.to_vec(), bytes(28, 0, &[(0, &V6[..24]), (4, &[1, 2, 3, 4])]));
    assert_eq!(v6.listener(), number);
    assert_eq!(raw::SockaddrUnion::ZERO.with_listener(number), raw::SockaddrUnion::ZERO);
    let mut packet = [0; 32];
    assert_eq!(sockaddr::write_prefix_by(addr("192.0.2.1:1194"), number, &mut packet).map(|rest| rest.len()), Ok(16));
    assert_eq!(packet[..16], v4.bytes[..16]);
    let (union, payload) = sockaddr::split_union(&packet[..18]).expect("a prefix");
    assert_eq!((union, payload), (v4, &[0, 0][..]));
    let input = bytes(80, 0, &[(0, &[23, 0]), (28, &v4.bytes)]);
    assert_eq!(MpNewPeer::parse(&input).map(|new| (new.remote, new.listener)), Ok((addr("192.0.2.1:1194"), number)));
    let moved = Notification::FloatPeer { peer_id: 5, address: addr("192.0.2.1:1194"), listener: number };
    assert_eq!(moved.to_raw().float_address, v4);
}

#[test]
fn mp_listen() {
    let mut input = bytes(36, 0, &[(0, &V4), (28, &[1]), (32, &[1])]);
    let wanted = additive::MpListen { listen: addr("192.0.2.1:1194"), ipv6_only: true, protocol: Protocol::Tcp };
    assert_eq!(additive::MpListen::parse(&input), Ok(wanted));
    assert_needs(additive::MpListen::parse, &input);
    input[32] = 2;
    assert_eq!(additive::MpListen::parse(&input), Err(UapiError::BadProtocol(2)));
    input[0] = 7;
    assert_eq!(additive::MpListen::parse(&input), Err(UapiError::BadFamily(7)));
    assert_eq!(additive::parse_unlisten(&[4, 3, 2, 1]), Ok(0x0102_0304));
    assert_needs(additive::parse_unlisten, &[0; 4]);
}

#[test]
fn control_packets_to_send() {
    let written = bytes(18, 0x40, &[(0, &V4)]);
    assert_eq!(sockaddr::split_prefix(&written), Ok((addr("192.0.2.1:1194"), &[0x40, 0x40][..])));
    let written = bytes(29, 0x40, &[(0, &V6[..24]), (24, &[0; 4])]);
    assert_eq!(sockaddr::split_prefix(&written), Ok((addr("[2001:db8::1]:443"), &[0x40][..])));
    for cut in 0..29 {
        assert_eq!(sockaddr::split_prefix(&written[..cut]), Err(UapiError::ShortPrefix));
    }
    for cut in 0..17 {
        assert_eq!(sockaddr::split_prefix(&bytes(18, 0, &[(0, &V4)])[..cut]), Err(UapiError::ShortPrefix));
    }
    assert_eq!(sockaddr::split_prefix(&[0, 0, 1]), Err(UapiError::BadPrefixFamily(0)));
    assert_eq!(UapiError::ShortPrefix.status() as u32, 0xC000_0702);
    assert_eq!(UapiError::BadPrefixFamily(0).status() as u32, 0xC000_0141);
}

proptest! {
    #[test]
    fn addresses_round_trip(ip: core::net::IpAddr, port: u16, flow: u32, scope: u32) {
        let mut address = SocketAddr::new(ip, port);
        if let SocketAddr::V6(v6) = &mut address {
            v6.set_flowinfo(flow);
            v6.set_scope_id(scope);
        }
        prop_assert_eq!(raw::SockaddrUnion::from(address).parse(), Ok(address));
        let mut packet = [0x40; 40];
        let rest = sockaddr::write_prefix(address, &mut packet).expect("room").len();
        prop_assert_eq!(sockaddr::split_prefix(&packet), Ok((address, &packet[40 - rest..])));
    }

    #[test]
    fn any_input_is_survived(input in prop::collection::vec(any::<u8>(), 0..160)) {
        let _ = NewPeer::parse(&input);
        let _ = NewKey::parse(&input);
        let _ = NewKey::parse_v2(&input);
        let _ = SetPeer::parse(&input);
        let _ = Mode::parse(&input);
        let _ = MpStartVpn::parse(&input);
        let _ = MpNewPeer::parse(&input);
        let _ = MpSetPeer::parse(&input);
        let _ = PeerChoice::parse(&input);
        let _ = Iroute::parse(&input);
        let _ = sockaddr::split_prefix(&input);
    }
}

#[test]
fn del_key() {
    for (slot, wanted) in [(0, Slot::Primary), (1, Slot::Secondary)] {
        assert_eq!(additive::parse_del_key(&bytes(4, 0, &[(0, &[slot])])), Ok(wanted));
    }
    assert_needs(additive::parse_del_key, &bytes(4, 0, &[]));
    for slot in [2, -1, i32::MIN] {
        let error = additive::parse_del_key(&slot.to_le_bytes()).expect_err("no slot");
        assert_eq!((error, error.status()), (UapiError::BadSlot(slot), status::INVALID_DEVICE_REQUEST));
    }
}

#[test]
fn key_event() {
    assert_eq!(additive::parse_key_event(&[0; 4]), Ok(None));
    assert_eq!(additive::parse_key_event(&[4, 3, 2, 1]), Ok(Some(0x0102_0304)));
    assert_eq!(additive::parse_key_event(&[0, 0, 0, 0xF0]), Ok(Some(0xF000_0000)));
    assert_needs(additive::parse_key_event, &[0; 4]);
    let error = additive::parse_key_event(&[1, 0, 0, 0xF0]).expect_err("never reached");
    assert_eq!((error, error.status()), (UapiError::BadPacketId(0xF000_0001), status::INVALID_PARAMETER));

    let event = additive::KeyEvent { key_id: 5, peer_id: 0x00AB_CDEF, packet_id: 0xD200_0001 };
    let wanted = bytes(16, 0, &[(4, &[5]), (8, &[0xEF, 0xCD, 0xAB]), (12, &[1, 0, 0, 0xD2])]);
    assert_eq!(event.to_raw().as_bytes(), wanted);
}
