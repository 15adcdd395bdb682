//! The cases. Their source is the interface as OpenVPN and the existing driver have it.

use std::net::SocketAddr;

use dco_uapi::{Ioctl, additive, raw};
use zerocopy::IntoBytes;

use super::{Body, Case, Expected, Step};
use crate::device::{ADAPTER, READ_LENGTH, Slot, VERSION};
use crate::key::{self, Cipher, Direction, StaticKey};
use crate::status::NtStatus;
use crate::targets::Null;

/// The adapter's device opens.
pub const OPEN: Step = Step::Open(ADAPTER, NtStatus::SUCCESS);

/// A case of these steps.
pub fn case(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Case {
    Case { name: name.into(), body: Body::Steps(steps.into_iter().collect()) }
}

/// One request, by the interface's name of it.
pub fn ioctl(ioctl: Ioctl, input: &[u8], output: usize, expected: Expected) -> Step {
    let name = ioctl.name().trim_start_matches("OVPN_IOCTL_").to_owned();
    Step::Ioctl { name, code: ioctl.code(), input: input.to_vec(), output, null: Null::default(), expected }
}

fn refused(status: NtStatus) -> Expected {
    Expected::error(status)
}

fn succeeds(length: usize) -> Expected {
    Expected::Length(NtStatus::SUCCESS, length as u64)
}

// --- inputs -----------------------------------------------------------------------------------------------------

/// NEW_PEER's input.
pub fn new_peer(local: SocketAddr, remote: SocketAddr, proto: i32) -> Vec<u8> {
    raw::NewPeer { local: local.into(), remote: remote.into(), proto: proto.into() }.as_bytes().to_vec()
}

/// A peer that nothing is ever sent to.
pub fn quiet_peer() -> Vec<u8> {
    new_peer(SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 1], 9)), 0)
}

/// SET_PEER's input.
pub fn set_peer(interval: i32, timeout: i32, mss: i32) -> Vec<u8> {
    let request =
        raw::SetPeer { keepalive_interval: interval.into(), keepalive_timeout: timeout.into(), mss: mss.into() };
    request.as_bytes().to_vec()
}

fn key() -> raw::CryptoData {
    key::request(&StaticKey::of_test(1, Cipher::Aes256, Direction::Normal), Slot::Primary, 0, 1)
}

/// NEW_KEY's input, with one change.
pub fn key_with(change: impl FnOnce(&mut raw::CryptoData)) -> Vec<u8> {
    let mut key = key();
    change(&mut key);
    key.as_bytes().to_vec()
}

/// NEW_KEY_V2's input.
pub fn key_v2(options: u32) -> Vec<u8> {
    raw::CryptoDataV2 { v1: key(), crypto_options: options.into() }.as_bytes().to_vec()
}

/// NEW_KEY_V2's input for an epoch key, with one change.
pub fn epoch_key_with(change: impl FnOnce(&mut raw::CryptoDataV2)) -> Vec<u8> {
    let key = StaticKey::of_test(1, Cipher::Aes256, Direction::Normal);
    let mut request = key::epoch_request(&key, Slot::Primary, 0, 1);
    change(&mut request);
    request.as_bytes().to_vec()
}

/// GET_PEER_STATS's input.
pub fn peer_ref(id: i32) -> Vec<u8> {
    raw::PeerRef { peer_id: id.into() }.as_bytes().to_vec()
}

/// An address of no family that the driver knows.
fn odd_family(request: Vec<u8>, offset: usize) -> Vec<u8> {
    patched(request, offset, &[7])
}

/// A request with other bytes at `offset`.
pub fn patched(mut request: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    if let Some(field) = request.get_mut(offset..offset + bytes.len()) {
        field.copy_from_slice(bytes);
    }
    request
}

/// A peer that nothing is ever sent to.
pub fn with_peer() -> [Step; 2] {
    [OPEN, ioctl(Ioctl::NewPeer, &quiet_peer(), 0, Expected::DONE)]
}

// --- the list -----------------------------------------------------------------------------------------------------

/// All cases. `own` is a UDP address at which the driver can send to itself.
pub fn all(own: SocketAddr) -> Vec<Case> {
    let mut cases = handles();
    cases.extend(peers());
    cases.extend(keys());
    cases.extend(own_requests());
    cases.extend(peer_stats());
    cases.extend(control_packets(own));
    cases
}

/// DEL_KEY and KEY_EVENT, which are this driver's own.
fn own_requests() -> Vec<Case> {
    let del = |slot: i32, expected| Step::Ioctl {
        name: "DEL_KEY".to_owned(),
        code: additive::DEL_KEY,
        input: slot.to_le_bytes().to_vec(),
        output: 0,
        null: Null::default(),
        expected,
    };
    let wait = |id: u32, room| Step::Wait("KEY_EVENT", additive::KEY_EVENT, id.to_le_bytes().to_vec(), room);
    let ends = |status| Step::Ends(refused(status));
    let new_key = || ioctl(Ioctl::NewKey, &key_with(|key| key.key_id = 5), 0, Expected::DONE);
    // Key 5 of peer 1 has sealed nothing.
    let event = [0, 5, 1, 1u32].map(u32::to_le_bytes).concat();
    let with = |name: &str, steps: Vec<Step>| case(name, with_peer().into_iter().chain(steps));
    let wrong = refused(NtStatus::INVALID_DEVICE_REQUEST);
    vec![
        with("DEL_KEY: empty slots", vec![del(0, Expected::DONE), del(1, Expected::DONE), del(1, Expected::DONE)]),
        with(
            "DEL_KEY: full slots",
            vec![new_key(), del(1, Expected::DONE), del(0, Expected::DONE), del(0, Expected::DONE), new_key()],
        ),
        with("DEL_KEY: slots that are none", [2, -1, i32::MAX, i32::MIN].map(|slot| del(slot, wrong.clone())).into()),
        case("KEY_EVENT: without a peer", [OPEN, wait(0, 16), ends(NtStatus::OBJECTID_NOT_FOUND)]),
        with("KEY_EVENT: no room", vec![wait(0, 15), ends(NtStatus::BUFFER_TOO_SMALL)]),
        with(
            "KEY_EVENT: reached at once",
            vec![
                new_key(),
                wait(1, 16),
                Step::Ends(Expected::Bytes(NtStatus::SUCCESS, event.clone())),
                wait(1, 64),
                Step::Ends(Expected::Bytes(NtStatus::SUCCESS, event.clone())),
            ],
        ),
        with(
            "KEY_EVENT: pends without a key, until there is one",
            vec![wait(1, 16), Step::Pends, new_key(), Step::Ends(Expected::Bytes(NtStatus::SUCCESS, event))],
        ),
        with(
            "KEY_EVENT: cancelled",
            vec![new_key(), wait(0, 16), Step::Pends, Step::Cancel(NtStatus::SUCCESS), ends(NtStatus::CANCELLED)],
        ),
        with(
            "KEY_EVENT: two, ended by DEL_PEER",
            vec![
                new_key(),
                wait(0, 16),
                wait(0xF000_0000, 16),
                Step::Pends,
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                ends(NtStatus::CANCELLED),
                ends(NtStatus::CANCELLED),
            ],
        ),
        with(
            "KEY_EVENT: ended by another NEW_PEER",
            vec![wait(0, 16), ioctl(Ioctl::NewPeer, &quiet_peer(), 0, Expected::DONE), ends(NtStatus::CANCELLED)],
        ),
        with("KEY_EVENT: ended by close", vec![new_key(), wait(0, 16), Step::Close, ends(NtStatus::CANCELLED)]),
    ]
}

fn handles() -> Vec<Case> {
    let denied = Step::Open(ADAPTER, NtStatus::ACCESS_DENIED);
    let version = Step::Open(VERSION, NtStatus::SUCCESS);
    // OpenVPN takes multi-peer mode from 2.0 on, epoch keys from 2.8 on.
    let version_2_8: Vec<u8> = [2i32, 8, 0].into_iter().flat_map(i32::to_le_bytes).collect();
    let get_version = ioctl(Ioctl::GetVersion, &[], 12, Expected::Bytes(NtStatus::SUCCESS, version_2_8));
    let not_here = refused(NtStatus::INVALID_DEVICE_REQUEST);
    let mut cases = vec![
        case("adapter: open and close are harmless", [OPEN, Step::Close, OPEN, Step::Close]),
        case(
            "adapter: a second open is refused",
            [OPEN, denied.clone(), get_version.clone(), denied, Step::Close, OPEN],
        ),
        case(
            "version device: open beside the adapter, several times",
            [OPEN, version.clone(), get_version.clone(), version.clone(), get_version.clone()],
        ),
        case(
            "version device: open and close leave the adapter alone",
            [
                OPEN,
                ioctl(Ioctl::NewPeer, &quiet_peer(), 0, Expected::DONE),
                version.clone(),
                get_version,
                Step::Close,
                ioctl(Ioctl::SetPeer, &set_peer(-1, -1, -1), 0, Expected::DONE),
            ],
        ),
        case(
            "adapter: close ends the peer",
            with_peer().into_iter().chain([
                Step::Close,
                OPEN,
                ioctl(Ioctl::SetPeer, &set_peer(10, 60, 0), 0, not_here.clone()),
                Step::Write(vec![0x38], refused(NtStatus::INVALID_DEVICE_STATE)),
                ioctl(Ioctl::GetPeerStats, &peer_ref(-1), 40, Expected::DONE),
            ]),
        ),
    ];
    let drops = |output, expected| Step::Ioctl {
        name: "GET_DROPS".to_owned(),
        code: additive::GET_DROPS,
        input: Vec::new(),
        output,
        null: Null::default(),
        expected,
    };
    let short = || refused(NtStatus::BUFFER_TOO_SMALL);
    cases.push(case("GET_DROPS: no room, room for one", [OPEN, drops(0, short()), drops(40, short())]));
    cases.push(case("GET_DROPS: version device refuses it", [version.clone(), drops(4096, not_here.clone())]));
    for other in [Ioctl::GetStats, Ioctl::NewPeer, Ioctl::DelPeer, Ioctl::StartVpn, Ioctl::GetPeerStats] {
        let step = ioctl(other, &[0; 128], 128, not_here.clone());
        cases.push(case(format!("version device: refuses {}", other.name()), [version.clone(), step]));
    }
    cases
}

fn peers() -> Vec<Case> {
    let no_peer = || refused(NtStatus::INVALID_DEVICE_REQUEST);
    let peer = |input: &[u8], expected| ioctl(Ioctl::NewPeer, input, 0, expected);
    let (local, remote) = (SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 1], 9)));
    let local6: SocketAddr = ([0u16, 0, 0, 0, 0, 0, 0, 1], 0).into();
    let remote6: SocketAddr = ([0u16, 0, 0, 0, 0, 0, 0, 1], 9).into();
    let mut cases = vec![
        case("NEW_PEER: IPv6", [OPEN, peer(&new_peer(local6, remote6, 0), Expected::DONE)]),
        case(
            "NEW_PEER: again, the first one gives way",
            with_peer()
                .into_iter()
                .chain([peer(&quiet_peer(), Expected::DONE), peer(&new_peer(local6, remote6, 0), Expected::DONE)]),
        ),
        case(
            "NEW_PEER: TCP, nobody listens",
            [OPEN, peer(&new_peer(local, remote, 1), refused(NtStatus::CONNECTION_REFUSED))],
        ),
        case("NEW_PEER: protocol 2", [OPEN, peer(&new_peer(local, remote, 2), no_peer())]),
        case("NEW_PEER: protocol -1", [OPEN, peer(&new_peer(local, remote, -1), no_peer())]),
        case("NEW_PEER: local family unknown", [OPEN, peer(&odd_family(quiet_peer(), 0), no_peer())]),
        case("NEW_PEER: remote family unknown", [OPEN, peer(&odd_family(quiet_peer(), 28), no_peer())]),
        case(
            "NEW_PEER: an address that is not this machine's",
            [OPEN, peer(&new_peer(SocketAddr::from(([192, 0, 2, 1], 0)), remote, 0), Expected::Failure)],
        ),
        case(
            "SET_PEER: after a failed NEW_PEER",
            [
                OPEN,
                peer(&odd_family(quiet_peer(), 28), no_peer()),
                ioctl(Ioctl::SetPeer, &set_peer(10, 60, 0), 0, no_peer()),
            ],
        ),
        case(
            "NEW_PEER: zeroes the counters",
            with_peer().into_iter().chain([ioctl(
                Ioctl::GetStats,
                &[],
                64,
                Expected::Bytes(NtStatus::SUCCESS, vec![0; 64]),
            )]),
        ),
        case(
            "DEL_PEER: without a peer, and twice",
            [OPEN, ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE), ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE)],
        ),
        case(
            "DEL_PEER, then NEW_PEER on the same handle",
            with_peer().into_iter().chain([
                ioctl(Ioctl::StartVpn, &[], 0, Expected::DONE),
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                ioctl(Ioctl::SetPeer, &set_peer(10, 60, 0), 0, no_peer()),
                peer(&quiet_peer(), Expected::DONE),
                ioctl(Ioctl::StartVpn, &[], 0, Expected::DONE),
                ioctl(Ioctl::SetPeer, &set_peer(10, 60, 0), 0, Expected::DONE),
            ]),
        ),
        case(
            "SWAP_KEYS: with empty slots",
            with_peer().into_iter().chain([
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
            ]),
        ),
        case(
            "SET_PEER: separately, as OpenVPN 3 does",
            with_peer().into_iter().chain([
                ioctl(Ioctl::SetPeer, &set_peer(10, 60, -1), 0, Expected::DONE),
                ioctl(Ioctl::SetPeer, &set_peer(-1, -1, 1400), 0, Expected::DONE),
            ]),
        ),
        case(
            "SET_PEER: everything off",
            with_peer().into_iter().chain([ioctl(Ioctl::SetPeer, &set_peer(0, 0, 0), 0, Expected::DONE)]),
        ),
        case(
            "SET_PEER: an MSS of more than 16 bits",
            with_peer().into_iter().chain([ioctl(Ioctl::SetPeer, &set_peer(-1, -1, 0x0001_0578), 0, Expected::DONE)]),
        ),
    ];
    for which in [Ioctl::SwapKeys, Ioctl::StartVpn] {
        cases.push(case(format!("{}: without a peer", which.name()), [OPEN, ioctl(which, &[], 0, no_peer())]));
    }
    cases.push(case("SET_PEER: without a peer", [OPEN, ioctl(Ioctl::SetPeer, &set_peer(10, 60, 0), 0, no_peer())]));
    cases
}

fn keys() -> Vec<Case> {
    let wrong = || refused(NtStatus::INVALID_DEVICE_REQUEST);
    let with = |name: &str, request: Vec<u8>, expected: Expected| {
        let name = format!("NEW_KEY: {name}");
        case(name, with_peer().into_iter().chain([ioctl(Ioctl::NewKey, &request, 0, expected)]))
    };
    let length = |bytes: u8| {
        key_with(|key| {
            key.encrypt.key_len = bytes;
            key.decrypt.key_len = bytes;
        })
    };
    let chacha = |bytes: u8| {
        key_with(|key| {
            key.alg = 2.into();
            key.encrypt.key_len = bytes;
            key.decrypt.key_len = bytes;
        })
    };
    let secondary = key_with(|key| key.slot = 1.into());
    let mut cases = vec![
        with("16 bytes", length(16), Expected::DONE),
        with("24 bytes", length(24), Expected::DONE),
        with("32 bytes", length(32), Expected::DONE),
        with("33 bytes", length(33), wrong()),
        with("255 bytes", length(255), wrong()),
        with("33 bytes to open only", key_with(|key| key.decrypt.key_len = 33), wrong()),
        // No cipher has such keys; the existing driver leaves the complaint to CNG.
        with("no bytes", length(0), Expected::Failure),
        with("15 bytes", length(15), Expected::Failure),
        with("31 bytes", length(31), Expected::Failure),
        with("slot 1", secondary.clone(), Expected::DONE),
        with("slot 2", key_with(|key| key.slot = 2.into()), wrong()),
        with("slot -1", key_with(|key| key.slot = (-1).into()), wrong()),
        with("no cipher", key_with(|key| key.alg = 0.into()), wrong()),
        with("ChaCha20-Poly1305", chacha(32), Expected::DONE),
        with("ChaCha20-Poly1305, 16 bytes", chacha(16), Expected::Failure),
        with("ChaCha20-Poly1305, no bytes", chacha(0), Expected::Failure),
        with("algorithm 3", key_with(|key| key.alg = 3.into()), wrong()),
        with("algorithm -1", key_with(|key| key.alg = (-1).into()), wrong()),
        with("key-id 7", key_with(|key| key.key_id = 7), Expected::DONE),
        with("key-id 8, which never matches", key_with(|key| key.key_id = 8), Expected::DONE),
        with("a peer-id of more than 24 bits", key_with(|key| key.peer_id = 0x7F12_3456.into()), Expected::DONE),
        with("peer-id -1", key_with(|key| key.peer_id = (-1).into()), Expected::DONE),
        case(
            "NEW_KEY: without a peer",
            [OPEN, ioctl(Ioctl::NewKey, &key_with(|_| ()), 0, refused(NtStatus::OBJECTID_NOT_FOUND))],
        ),
        case(
            "NEW_KEY: over a key, in both slots",
            with_peer().into_iter().chain([
                ioctl(Ioctl::NewKey, &key_with(|_| ()), 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &key_with(|key| key.key_id = 1), 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &secondary, 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &secondary, 0, Expected::DONE),
            ]),
        ),
        case(
            "a rekey as OpenVPN does it",
            with_peer().into_iter().chain([
                ioctl(Ioctl::StartVpn, &[], 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &key_with(|_| ()), 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &secondary, 0, Expected::DONE),
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
                ioctl(Ioctl::NewKey, &secondary, 0, Expected::DONE),
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
            ]),
        ),
    ];
    let v2 = |options, expected| ioctl(Ioctl::NewKeyV2, &key_v2(options), 0, expected);
    cases.extend([
        case("NEW_KEY_V2: without options", with_peer().into_iter().chain([v2(0, Expected::DONE)])),
        case("NEW_KEY_V2: epoch", with_peer().into_iter().chain([v2(key::EPOCH, Expected::DONE)])),
        case(
            "NEW_KEY_V2: other options, alone and with epoch",
            with_peer().into_iter().chain([1, 1 << 31, key::EPOCH | 1, u32::MAX].map(|options| v2(options, wrong()))),
        ),
        case(
            "NEW_KEY_V2: without a peer",
            [0, key::EPOCH]
                .into_iter()
                .flat_map(|options| [OPEN, v2(options, refused(NtStatus::OBJECTID_NOT_FOUND)), Step::Close]),
        ),
        case(
            "NEW_KEY_V2: an epoch key and a classic one change places",
            with_peer().into_iter().chain([
                v2(key::EPOCH, Expected::DONE),
                ioctl(Ioctl::NewKey, &secondary, 0, Expected::DONE),
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
                v2(key::EPOCH, Expected::DONE),
                ioctl(Ioctl::SwapKeys, &[], 0, Expected::DONE),
            ]),
        ),
    ]);
    cases
}

fn peer_stats() -> Vec<Case> {
    let get = |id, room, expected| ioctl(Ioctl::GetPeerStats, &peer_ref(id), room, expected);
    let too_small = || refused(NtStatus::BUFFER_TOO_SMALL);
    vec![
        case("GET_PEER_STATS: all, of none", [OPEN, get(-1, 4, Expected::DONE), get(-1, 40, Expected::DONE)]),
        case("GET_PEER_STATS: one, of none", [OPEN, get(0, 40, refused(NtStatus::OBJECTID_NOT_FOUND))]),
        case(
            "GET_PEER_STATS: all, first with too little room, as OpenVPN asks",
            with_peer().into_iter().chain([
                get(-1, 4, Expected::Bytes(NtStatus::BUFFER_OVERFLOW, vec![40, 0, 0, 0])),
                get(-1, 39, Expected::Bytes(NtStatus::BUFFER_OVERFLOW, vec![40, 0, 0, 0])),
                get(-1, 40, succeeds(40)),
                get(-1, 80, succeeds(40)),
            ]),
        ),
        case(
            "GET_PEER_STATS: all, without room for the size",
            with_peer().into_iter().chain([get(-1, 0, too_small()), get(-1, 3, too_small())]),
        ),
        case(
            "GET_PEER_STATS: one, whatever its id",
            with_peer().into_iter().chain([
                get(0, 40, succeeds(40)),
                get(5, 40, succeeds(40)),
                get(5, 80, succeeds(40)),
                get(5, 39, too_small()),
            ]),
        ),
    ]
}

/// Reads and writes. The peer is the driver itself, so that what is written comes back.
fn control_packets(own: SocketAddr) -> Vec<Case> {
    let to_self = || [OPEN, ioctl(Ioctl::NewPeer, &new_peer(own, own, 0), 0, Expected::DONE)];
    let sent = |bytes: &[u8]| Step::Write(bytes.to_vec(), succeeds(bytes.len()));
    let received = |bytes: &[u8]| Step::Ends(Expected::Bytes(NtStatus::SUCCESS, bytes.to_vec()));
    let ends = |status| Step::Ends(refused(status));
    // Opcode 7, P_CONTROL_HARD_RESET_CLIENT_V2, and opcode 9, P_DATA_V2, each with key-id 0.
    let (hello, again, data) = (b"\x38hello".as_slice(), b"\x38again".as_slice(), b"\x48data of no key at all");
    let longest = [0x38; 1500];
    vec![
        case("write: without a peer", [OPEN, Step::Write(hello.to_vec(), refused(NtStatus::INVALID_DEVICE_STATE))]),
        case(
            "write: after DEL_PEER",
            with_peer().into_iter().chain([
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                Step::Write(hello.to_vec(), refused(NtStatus::INVALID_DEVICE_STATE)),
            ]),
        ),
        case(
            "write: 1501 bytes",
            with_peer().into_iter().chain([Step::Write(vec![0x38; 1501], refused(NtStatus::INVALID_PARAMETER))]),
        ),
        case("write: nothing", with_peer().into_iter().chain([Step::Write(vec![], Expected::DONE)])),
        case(
            "read: pends, and is cancelled",
            with_peer().into_iter().chain([
                Step::Read(READ_LENGTH),
                Step::Pends,
                Step::Cancel(NtStatus::SUCCESS),
                ends(NtStatus::CANCELLED),
            ]),
        ),
        case(
            "read: several, cancelled out of order by DEL_PEER",
            with_peer().into_iter().chain([
                Step::Read(READ_LENGTH),
                Step::Read(READ_LENGTH),
                Step::Pends,
                Step::Cancel(NtStatus::SUCCESS),
                ends(NtStatus::CANCELLED),
                Step::Pends,
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                ends(NtStatus::CANCELLED),
            ]),
        ),
        case(
            "read: ends when the file is closed",
            with_peer().into_iter().chain([
                Step::Read(READ_LENGTH),
                Step::Pends,
                Step::Close,
                ends(NtStatus::CANCELLED),
            ]),
        ),
        case(
            "read: waits for a packet",
            to_self().into_iter().chain([Step::Read(READ_LENGTH), Step::Pends, sent(hello), received(hello)]),
        ),
        case(
            "read: finds packets that came before, in order",
            to_self().into_iter().chain([
                sent(hello),
                sent(again),
                Step::Read(READ_LENGTH),
                received(hello),
                Step::Read(READ_LENGTH),
                received(again),
            ]),
        ),
        case(
            "read: one packet a read",
            to_self().into_iter().chain([
                Step::Read(READ_LENGTH),
                Step::Read(READ_LENGTH),
                sent(hello),
                received(hello),
                Step::Pends,
                sent(again),
                received(again),
            ]),
        ),
        case(
            "read: too small a buffer loses the packet",
            to_self().into_iter().chain([
                Step::Read(hello.len() - 1),
                sent(hello),
                ends(NtStatus::BUFFER_TOO_SMALL),
                sent(again),
                Step::Read(READ_LENGTH),
                received(again),
            ]),
        ),
        case(
            "read: packets do not outlive the peer",
            to_self().into_iter().chain([
                sent(hello),
                Step::Read(READ_LENGTH),
                received(hello),
                sent(hello),
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                ioctl(Ioctl::NewPeer, &new_peer(own, own, 0), 0, Expected::DONE),
                sent(again),
                Step::Read(READ_LENGTH),
                received(again),
            ]),
        ),
        case(
            "write: the longest packet",
            to_self().into_iter().chain([Step::Read(READ_LENGTH), sent(&longest), received(&longest)]),
        ),
        case(
            "write: a data packet of no key goes out, and is no control packet",
            to_self().into_iter().chain([
                Step::Read(READ_LENGTH),
                sent(data),
                Step::Pends,
                sent(hello),
                received(hello),
            ]),
        ),
    ]
}
