//! A handle as a server: modes, peers by every name they have, events, control packets with addresses. What takes clients is in
//! [`scenarios`] and [`races`].

mod closing;
mod connections;
mod drops;
mod flood;
mod headers;
mod listeners;
mod orders;
mod races;
mod scenarios;
mod trackers;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;
use dco_uapi::{Ioctl, raw, sockaddr};
use zerocopy::IntoBytes;

use super::cases::{self, OPEN, case, ioctl};
use super::{Bench, Body, Case, Expected, Step};
use crate::device::{Client, READ_LENGTH, iroute};
use crate::status::NtStatus;

/// A reason of DEL_PEER.
const USERSPACE: i32 = 1;

/// SET_MODE's input.
pub fn mode(mode: i32) -> Vec<u8> {
    raw::SetMode { mode: mode.into() }.as_bytes().to_vec()
}

/// MP_START_VPN's input: any port of loopback.
pub fn listen() -> Vec<u8> {
    let at: SocketAddr = ([127, 0, 0, 1], 0).into();
    raw::MpStartVpn { listen_address: at.into(), ipv6_only: 0.into() }.as_bytes().to_vec()
}

/// MP_LISTEN's input: any port of loopback, by this protocol.
pub fn listen_by(protocol: i32) -> Vec<u8> {
    let listen_address = SocketAddr::from(([127, 0, 0, 1], 0)).into();
    raw::MpListen { listen_address, ipv6_only: 0.into(), proto: protocol.into() }.as_bytes().to_vec()
}

/// MP_NEW_PEER's input: a peer that nothing is ever sent to.
pub fn quiet(id: i32) -> Vec<u8> {
    quiet_client(id).request().as_bytes().to_vec()
}

fn quiet_client(id: i32) -> Client {
    let [.., high, low] = id.to_be_bytes();
    let remote = SocketAddr::from(([127, 9, high, low], 9));
    let vpn6 = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, u16::from(high), u16::from(low));
    Client { id, remote, vpn4: Some(Ipv4Addr::new(10, 77, high, low)), vpn6: Some(vpn6) }
}

/// MP_SET_PEER's input.
pub fn set_client(id: i32) -> Vec<u8> {
    [id, 10, 60, 1400].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// MP_ADD_IROUTE's and MP_DEL_IROUTE's input.
pub fn route(address: impl Into<IpAddr>, netbits: i32, id: i32) -> Vec<u8> {
    iroute(address.into(), netbits, id).as_bytes().to_vec()
}

fn set_mode() -> Step {
    ioctl(Ioctl::SetMode, &mode(1), 0, Expected::DONE)
}

/// A server with a socket.
fn served() -> [Step; 3] {
    [OPEN, set_mode(), ioctl(Ioctl::MpStartVpn, &listen(), 32, Expected::Length(NtStatus::SUCCESS, 32))]
}

/// A server with a socket and this peer.
pub fn with_client(id: i32) -> Vec<Step> {
    served().into_iter().chain([ioctl(Ioctl::MpNewPeer, &quiet(id), 0, Expected::DONE)]).collect()
}

fn event(cmd: i32, id: i32, reason: i32) -> Expected {
    let mut bytes = vec![0; 144];
    for (at, word) in [cmd, id, reason].into_iter().enumerate() {
        bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
    }
    Expected::Bytes(NtStatus::SUCCESS, bytes)
}

/// The cases.
pub fn all() -> Vec<Case> {
    let mut all = modes();
    all.extend(peers());
    all.extend(events());
    all.extend(control());
    all.extend(listeners::all());
    all.extend(connections::all());
    let run =
        |name: &str, run: fn(&Bench<'_>) -> Result<String>| Case { name: name.into(), body: Body::Run(Box::new(run)) };
    all.extend([
        run("server: data of several peers, each its own", scenarios::data),
        run("server: control packets, with addresses both ways", scenarios::addressed),
        run("server: control packets that nobody reads, of peers and strangers", flood::shares),
        run("server: packets with no peer's id, found by the remote end", headers::undefined_id),
        run("server: DATA_V1 is user space's, with its address", headers::data_v1),
        run("server: pings go to each, with its id", scenarios::pings),
        run("server: the longest iroute decides whose a source is", scenarios::sources),
        run("server: a rekey of one peer leaves the others alone", scenarios::rekey),
        run("server: float, and refused float", scenarios::float),
        run("server: expiry deletes and tells", scenarios::expiry),
        run("server: more events than wait, none lost that matters", scenarios::many_events),
        run("server: counters of one and of all", scenarios::stats),
        run("GET_PEER_DROPS: what each peer's packets came to", drops::of_each_peer),
        run("server: IPv4 clients of a dual-stack socket", |bench| scenarios::dual(bench, false)),
        run("server: IPv6 clients of a dual-stack socket", |bench| scenarios::dual(bench, true)),
        run("server: close ends all of it", scenarios::close),
        run("tracker 140: a server's peers that are refused leave no name behind", trackers::refused_peers),
        run("tracker 143: a server's networks go with their peer, under traffic", trackers::networks_under_traffic),
        run("tracker 141, 146: a server's peers expire while they are deleted", trackers::expiry_against_deletion),
        run("tracker selfsend: a server writes to its own address while peers come and go", trackers::own_address),
        run("race: a server's close during all of its requests", races::close_during),
        run("race: many events, few requests, some cancelled", races::events),
        run("orders: every order of a server's calls", orders::every_order),
        run("churn: a server's peers come and go from several threads, under traffic", races::churn),
    ]);
    all.extend(closing::all());
    all
}

fn modes() -> Vec<Case> {
    let wrong = || Expected::error(NtStatus::INVALID_DEVICE_STATE);
    let already = || Expected::error(NtStatus::ALREADY_INITIALIZED);
    let set = |n, expected| ioctl(Ioctl::SetMode, &mode(n), 0, expected);
    let new_peer = || ioctl(Ioctl::NewPeer, &cases::quiet_peer(), 0, Expected::DONE);
    let odd = [2, -1, i32::MAX, i32::MIN].map(|n| set(n, Expected::error(NtStatus::INVALID_PARAMETER)));
    let start = |input: &[u8], expected| ioctl(Ioctl::MpStartVpn, input, 32, expected);
    vec![
        case(
            "SET_MODE: P2P is what it is, any number of times",
            [OPEN, set(0, Expected::DONE), set(0, Expected::DONE)],
        ),
        case("SET_MODE: other values", [OPEN].into_iter().chain(odd.clone())),
        case(
            "SET_MODE: sticks",
            [
                OPEN,
                set(1, Expected::DONE),
                set(1, already()),
                set(0, already()),
                start(&listen(), Expected::Length(NtStatus::SUCCESS, 32)),
                set(0, already()),
            ],
        ),
        case("SET_MODE: other values, as a server", [OPEN, set(1, Expected::DONE)].into_iter().chain(odd)),
        case("SET_MODE: until the handle closes", [OPEN, set(1, Expected::DONE), Step::Close, OPEN, new_peer()]),
        case(
            "SET_MODE: with a peer",
            cases::with_peer().into_iter().chain([
                set(1, wrong()),
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                set(1, Expected::DONE),
            ]),
        ),
        case("MP_START_VPN: twice", served().into_iter().chain([start(&listen(), already())])),
        case(
            "MP_START_VPN: an address that is not this machine's, then one that is",
            [
                OPEN,
                set(1, Expected::DONE),
                start(&cases::patched(listen(), 4, &[192, 0, 2, 1]), Expected::Failure),
                start(&listen(), Expected::Length(NtStatus::SUCCESS, 32)),
            ],
        ),
        case(
            "MP_START_VPN: a family that is none",
            [
                OPEN,
                set(1, Expected::DONE),
                start(&cases::patched(listen(), 0, &[7]), Expected::error(NtStatus::INVALID_DEVICE_REQUEST)),
            ],
        ),
        case(
            "MP_START_VPN: no room for the answer makes no socket",
            [
                OPEN,
                set(1, Expected::DONE),
                ioctl(Ioctl::MpStartVpn, &listen(), 31, Expected::error(NtStatus::BUFFER_TOO_SMALL)),
                start(&listen(), Expected::Length(NtStatus::SUCCESS, 32)),
            ],
        ),
        case(
            "MP_NEW_PEER: before the socket",
            [OPEN, set(1, Expected::DONE), ioctl(Ioctl::MpNewPeer, &quiet(1), 0, wrong())],
        ),
    ]
}

fn peers() -> Vec<Case> {
    let error = Expected::error;
    let new = |client: Client, expected| ioctl(Ioctl::MpNewPeer, client.request().as_bytes(), 0, expected);
    let quiet = quiet_client;
    let del = |id, expected| ioctl(Ioctl::MpDelPeer, &cases::peer_ref(id), 0, expected);
    let swap = |id, expected| ioctl(Ioctl::MpSwapKeys, &cases::peer_ref(id), 0, expected);
    let key = |id: i32, expected| ioctl(Ioctl::NewKey, &cases::key_with(|key| key.peer_id = id.into()), 0, expected);
    let set = |id, expected| ioctl(Ioctl::MpSetPeer, &set_client(id), 0, expected);
    let get = |id, expected| ioctl(Ioctl::GetPeerStats, &cases::peer_ref(id), 40, expected);
    let add = |address: [u8; 4], bits, id, expected| ioctl(Ioctl::MpAddIroute, &route(address, bits, id), 0, expected);
    let gone = |address: [u8; 4], bits, id, expected| ioctl(Ioctl::MpDelIroute, &route(address, bits, id), 0, expected);
    let none = || error(NtStatus::OBJECTID_NOT_FOUND);
    let not_found = || error(NtStatus::NOT_FOUND);
    let unknown = || error(NtStatus::INVALID_DEVICE_REQUEST);
    let taken = || error(NtStatus::NO_MEMORY);
    let with = |name: &str, steps: Vec<Step>| case(name, with_client(1).into_iter().chain(steps));
    let ids = [-1, -2, 0x00FF_FFFF, 0x0100_0001, i32::MAX, i32::MIN];
    let mut all = vec![
        with(
            "MP_NEW_PEER: an id that is taken",
            vec![new(Client { id: 1, ..quiet(2) }, error(NtStatus::OBJECTID_EXISTS))],
        ),
        with(
            "MP_NEW_PEER: a VPN address that is taken leaves nothing behind",
            vec![
                new(Client { vpn4: quiet(1).vpn4, ..quiet(2) }, taken()),
                new(Client { vpn6: quiet(1).vpn6, ..quiet(2) }, taken()),
                new(Client { remote: quiet(1).remote, ..quiet(2) }, taken()),
                new(quiet(2), Expected::DONE),
                del(1, Expected::DONE),
                new(Client { id: 3, ..quiet(1) }, Expected::DONE),
            ],
        ),
        with(
            "MP_NEW_PEER: the same remote end, mapped into IPv6",
            vec![new(Client { remote: (Ipv4Addr::new(127, 9, 0, 1).to_ipv6_mapped(), 9).into(), ..quiet(2) }, taken())],
        ),
        with(
            "MP_NEW_PEER: zero addresses are none",
            vec![
                new(Client { vpn4: None, vpn6: None, ..quiet(2) }, Expected::DONE),
                new(Client { vpn4: None, vpn6: None, ..quiet(3) }, Expected::DONE),
            ],
        ),
        with(
            "MP_NEW_PEER: the largest id",
            vec![new(Client { id: 0x00FF_FFFE, ..quiet(2) }, Expected::DONE), key(0x00FF_FFFE, Expected::DONE)],
        ),
        with(
            "MP_NEW_PEER: families that are none",
            vec![
                ioctl(Ioctl::MpNewPeer, &cases::patched(self::quiet(2), 0, &[7]), 0, unknown()),
                ioctl(Ioctl::MpNewPeer, &cases::patched(self::quiet(2), 28, &[7]), 0, unknown()),
            ],
        ),
        with("MP_DEL_PEER: twice", vec![del(1, Expected::DONE), del(1, not_found()), new(quiet(1), Expected::DONE)]),
        with(
            "server: all of a peer that is not there",
            vec![
                del(2, not_found()),
                swap(2, unknown()),
                set(2, unknown()),
                key(2, none()),
                get(2, none()),
                add([10, 1, 0, 0], 16, 2, not_found()),
                gone([10, 1, 0, 0], 16, 2, not_found()),
            ],
        ),
        with(
            "server: keys and settings",
            vec![
                swap(1, Expected::DONE),
                key(1, Expected::DONE),
                set(1, Expected::DONE),
                swap(1, Expected::DONE),
                ioctl(Ioctl::NewKeyV2, &cases::key_v2(0), 0, Expected::DONE),
            ],
        ),
        with(
            "MP_ADD_IROUTE: again, another's, deleted by whom",
            vec![
                new(quiet(2), Expected::DONE),
                add([10, 1, 0, 0], 16, 1, Expected::DONE),
                // Bits beyond the length are not looked at.
                add([10, 1, 2, 3], 16, 1, Expected::DONE),
                add([10, 1, 0, 0], 16, 2, error(NtStatus::OBJECTID_EXISTS)),
                add([10, 1, 0, 0], 17, 2, Expected::DONE),
                gone([10, 1, 0, 0], 16, 2, not_found()),
                gone([10, 1, 0, 0], 16, -1, Expected::DONE),
                gone([10, 1, 0, 0], 16, -1, not_found()),
                add([10, 1, 0, 0], 16, 2, Expected::DONE),
                gone([10, 1, 0, 0], 17, 2, Expected::DONE),
                del(2, Expected::DONE),
                gone([10, 1, 0, 0], 16, -1, not_found()),
                add([10, 1, 0, 0], 16, 1, Expected::DONE),
            ],
        ),
        with(
            "MP_DEL_PEER: with a hundred iroutes",
            (0..100)
                .map(|n| add([10, 1, n, 0], 24, 1, Expected::DONE))
                .chain([del(1, Expected::DONE), new(quiet(1), Expected::DONE)])
                .chain((0..100).map(|n| gone([10, 1, n, 0], 24, -1, not_found())))
                .collect(),
        ),
    ];
    let lengths: Vec<i32> = (-1..=33).chain([64, 128, 129, 255, 256, i32::MAX, i32::MIN]).collect();
    let wrong = || error(NtStatus::INVALID_PARAMETER);
    all.push(with(
        "values: MP_ADD_IROUTE's length, IPv4",
        lengths
            .iter()
            .map(|&bits| add([10, 1, 2, 3], bits, 1, if (0..=32).contains(&bits) { Expected::DONE } else { wrong() }))
            .collect(),
    ));
    let v6 = Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7);
    all.push(with(
        "values: MP_ADD_IROUTE's length, IPv6",
        (-1..=129)
            .chain([255, 256, i32::MAX, i32::MIN])
            .map(|bits| {
                let expected = if (0..=128).contains(&bits) { Expected::DONE } else { wrong() };
                ioctl(Ioctl::MpAddIroute, &route(v6, bits, 1), 0, expected)
            })
            .collect(),
    ));
    for id in ids {
        all.push(with(
            &format!("values: id {id} is nobody's"),
            vec![
                new(Client { id, ..quiet(2) }, unknown()),
                del(id, not_found()),
                swap(id, unknown()),
                set(id, unknown()),
                key(id, none()),
                add([10, 1, 0, 0], 16, id, not_found()),
                gone([10, 1, 0, 0], 16, id, not_found()),
            ],
        ));
    }
    all
}

fn events() -> Vec<Case> {
    let wait = |room| Step::Wait("NOTIFY_EVENT", Ioctl::NotifyEvent.code(), vec![], room);
    let del = |id| ioctl(Ioctl::MpDelPeer, &cases::peer_ref(id), 0, Expected::DONE);
    let new = |id| ioctl(Ioctl::MpNewPeer, &quiet(id), 0, Expected::DONE);
    let ends = |status| Step::Ends(Expected::error(status));
    let told = |id| Step::Ends(event(0, id, USERSPACE));
    let with = |name: &str, steps: Vec<Step>| case(name, with_client(1).into_iter().chain(steps));
    vec![
        case(
            "NOTIFY_EVENT: no room",
            [OPEN, wait(0), ends(NtStatus::BUFFER_TOO_SMALL), wait(143), ends(NtStatus::BUFFER_TOO_SMALL)],
        ),
        case(
            "NOTIFY_EVENT: pends in P2P, and is cancelled",
            [OPEN, wait(144), Step::Pends, Step::Cancel(NtStatus::SUCCESS), ends(NtStatus::CANCELLED)],
        ),
        case(
            "NOTIFY_EVENT: pends in P2P beyond DEL_PEER, until the close",
            cases::with_peer().into_iter().chain([
                wait(144),
                ioctl(Ioctl::DelPeer, &[], 0, Expected::DONE),
                Step::Pends,
                Step::Close,
                ends(NtStatus::CANCELLED),
            ]),
        ),
        with("NOTIFY_EVENT: pends, and is told", vec![wait(144), Step::Pends, del(1), told(1)]),
        with(
            "NOTIFY_EVENT: finds events that came before, in order",
            vec![
                new(2),
                new(3),
                del(2),
                del(1),
                del(3),
                wait(144),
                told(2),
                wait(1000),
                told(1),
                wait(144),
                told(3),
                wait(144),
                Step::Pends,
            ],
        ),
        with(
            "NOTIFY_EVENT: several wait, one event each",
            vec![new(2), wait(144), wait(144), del(2), told(2), Step::Pends, del(1), told(1)],
        ),
        with(
            "NOTIFY_EVENT: one that was cancelled takes no event",
            vec![wait(144), wait(144), Step::Cancel(NtStatus::SUCCESS), ends(NtStatus::CANCELLED), del(1), told(1)],
        ),
        with(
            "NOTIFY_EVENT: too small a buffer loses nothing",
            vec![del(1), wait(100), ends(NtStatus::BUFFER_TOO_SMALL), wait(144), told(1)],
        ),
        with(
            "NOTIFY_EVENT: events do not outlive the handle",
            vec![del(1), Step::Close, OPEN, wait(144), Step::Pends, Step::Close, ends(NtStatus::CANCELLED)],
        ),
    ]
}

fn control() -> Vec<Case> {
    let at = |address: SocketAddr, packet: &[u8]| prefixed(address, packet);
    let nobody: SocketAddr = ([127, 9, 0, 1], 9).into();
    let nobody6: SocketAddr = (Ipv6Addr::LOCALHOST, 9).into();
    let write = |bytes: Vec<u8>, expected| Step::Write(bytes, expected);
    let sent = |length: usize| Expected::Length(NtStatus::SUCCESS, length as u64);
    let error = Expected::error;
    let cut = |length: usize| at(nobody, b"x")[..length].to_vec();
    let served = |name: &str, steps: Vec<Step>| case(name, served().into_iter().chain(steps));
    vec![
        case(
            "server: write before the socket",
            [OPEN, set_mode(), write(at(nobody, b"\x38"), error(NtStatus::INVALID_DEVICE_STATE))],
        ),
        served(
            "server: write to nobody in particular",
            vec![
                write(at(nobody, b"\x38hello"), sent(22)),
                write(at((Ipv4Addr::new(127, 9, 0, 1).to_ipv6_mapped(), 9).into(), b"\x38hello"), sent(34)),
                write(at(nobody6, b"\x38hello"), error(NtStatus::INVALID_ADDRESS)),
            ],
        ),
        served(
            "server: write with a prefix that is cut",
            (1..=16).map(|n| write(cut(n), error(NtStatus::INVALID_MESSAGE))).collect(),
        ),
        served(
            "server: write with a family that is none",
            vec![
                write(cases::patched(at(nobody, b"\x38"), 0, &[7]), error(NtStatus::INVALID_ADDRESS)),
                write(vec![0; 100], error(NtStatus::INVALID_ADDRESS)),
            ],
        ),
        served(
            "server: write of the longest packet, and longer",
            vec![
                write(at(nobody, &[0x38; 1500]), sent(1516)),
                write(at(nobody, &[0x38; 1501]), error(NtStatus::INVALID_PARAMETER)),
                write(at(nobody, &[0x38; 5000]), error(NtStatus::INVALID_PARAMETER)),
            ],
        ),
        served(
            "server: a read pends, and ends when the file is closed",
            vec![Step::Read(READ_LENGTH), Step::Pends, Step::Close, Step::Ends(error(NtStatus::CANCELLED))],
        ),
    ]
}

/// A packet behind the address it comes from, or goes to.
fn prefixed(address: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let union: raw::SockaddrUnion = address.into();
    let mut bytes = union.bytes[..sockaddr::encoded_len(&address)].to_vec();
    bytes.extend(packet);
    bytes
}
