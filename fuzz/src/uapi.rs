//! A request from userspace.

use dco_uapi::{
    Ioctl, Iroute, Mode, MpNewPeer, MpSetPeer, MpStartVpn, NewKey, NewPeer, Notification, PeerChoice, SetPeer,
    UapiError, parse_peer_id, raw::SockaddrUnion, sockaddr,
};
use std::net::SocketAddr;

/// One byte of ioctl function number (0: a control packet with its prefix), then the input buffer.
pub fn run(input: &[u8]) {
    let Some((&function, input)) = input.split_first() else { return };
    let Some(ioctl) = Ioctl::from_code(dco_uapi::ioctl::ctl_code(u32::from(function))) else {
        assert!(function == 0 || function > 19);
        return control_packet(input);
    };
    match ioctl {
        Ioctl::NewPeer => check(NewPeer::parse(input), input, 60, |peer| {
            round_trip(peer.local);
            round_trip(peer.remote);
        }),
        Ioctl::NewKey => check(NewKey::parse(input), input, 100, key),
        Ioctl::NewKeyV2 => check(NewKey::parse_v2(input), input, 104, key),
        Ioctl::SetPeer => check(SetPeer::parse(input), input, 12, seconds),
        Ioctl::SetMode => check(Mode::parse(input), input, 4, |_| ()),
        Ioctl::MpStartVpn => check(MpStartVpn::parse(input), input, 32, |start| {
            assert_eq!(MpStartVpn::parse(&bytes(start)), Ok(start));
        }),
        Ioctl::MpNewPeer => check(MpNewPeer::parse(input), input, 80, |peer| {
            round_trip(peer.remote);
            assert!(peer.vpn4.is_none_or(|address| !address.is_unspecified()));
            assert!(peer.vpn6.is_none_or(|address| !address.is_unspecified()));
        }),
        Ioctl::MpSetPeer => check(MpSetPeer::parse(input), input, 16, |set| seconds(set.settings)),
        Ioctl::MpDelPeer | Ioctl::MpSwapKeys => check(parse_peer_id(input), input, 4, |_| ()),
        Ioctl::MpAddIroute | Ioctl::MpDelIroute => check(Iroute::parse(input), input, 28, |route| {
            assert!(route.netbits <= if route.addr.is_ipv4() { 32 } else { 128 });
        }),
        Ioctl::GetPeerStats => check(PeerChoice::parse(input), input, 4, |_| ()),
        Ioctl::GetStats
        | Ioctl::SwapKeys
        | Ioctl::StartVpn
        | Ioctl::DelPeer
        | Ioctl::GetVersion
        | Ioctl::NotifyEvent => (),
    }
}

/// Too short if and only if it is; every refusal has an error status.
fn check<T>(parsed: Result<T, UapiError>, input: &[u8], needed: usize, valid: impl FnOnce(T)) {
    let short = UapiError::TooShort { needed, given: input.len() };
    match parsed {
        Ok(value) => {
            assert!(input.len() >= needed);
            valid(value);
        }
        Err(error) => {
            assert_eq!(error == short, input.len() < needed);
            assert!(error.status() < 0);
        }
    }
}

fn key(key: NewKey) {
    assert!(key.encrypt.key().len() <= 32 && key.decrypt.key().len() <= 32);
    assert!(key.encrypt.seed().starts_with(key.encrypt.key()));
}

fn seconds(set: SetPeer) {
    let longest = i32::MAX.unsigned_abs();
    assert!(set.interval.is_none_or(|s| s <= longest) && set.timeout.is_none_or(|s| s <= longest));
}

fn round_trip(address: SocketAddr) {
    assert_eq!(SockaddrUnion::from(address).parse(), Ok(address));
    let event = Notification::FloatPeer { peer_id: 1, address, listener: 0 }.to_raw();
    assert_eq!(event.float_address.parse(), Ok(address));
}

fn bytes(start: MpStartVpn) -> Vec<u8> {
    let raw = start.to_raw();
    [&raw.listen_address.bytes[..], &raw.ipv6_only.to_bytes()].concat()
}

fn control_packet(written: &[u8]) {
    match sockaddr::split_prefix(written) {
        Ok((address, payload)) => {
            assert!(!payload.is_empty());
            assert_eq!(written.len(), sockaddr::encoded_len(&address) + payload.len());
            let mut copy = vec![0; written.len()];
            let rest = sockaddr::write_prefix(address, &mut copy).expect("room");
            assert_eq!(rest.len(), payload.len());
            rest.copy_from_slice(payload);
            assert_eq!(sockaddr::split_prefix(&copy), Ok((address, payload)));
        }
        Err(error) => assert!(error.status() < 0),
    }
}
