//! Every request as a row: what it takes, what it gives, what it is answered. The cases about buffers, values and codes are
//! made from the rows, so that a request that comes to work is a changed row.

use dco_uapi::{Ioctl, additive, raw};

use super::cases::{self, OPEN, case, with_peer};
use super::{Case, Expected, Step, server};
use crate::device::VERSION;
use crate::key::EPOCH;
use crate::status::NtStatus;
use crate::targets::Null;

/// Far longer than any buffer that makes sense, and within what the lab's protocol carries.
const HUGE: usize = 1_000_000;

/// What a request gives.
#[derive(Clone, Copy)]
enum Output {
    /// So many bytes.
    Exactly(usize),
    /// A number of records of so many bytes, that the caller does not know.
    Records(usize),
}

/// What a request with sound buffers is answered.
#[derive(Clone, Copy)]
enum Answer {
    /// Success.
    Done,
    /// This, once its input is long enough.
    Refused(NtStatus),
    /// This, whatever its buffers.
    Never(NtStatus),
    /// With room for its answer, nothing for now.
    Pends,
}

struct Row {
    name: &'static str,
    code: u32,
    /// Sound input.
    input: Vec<u8>,
    output: Output,
    /// Without a peer, with one, and as a server with peer 1.
    answers: [Answer; 3],
}

/// Not in this mode.
const NOT_HERE: Answer = Answer::Never(NtStatus::INVALID_DEVICE_STATE);

/// The additive requests that the driver serves, by function number.
const ADDITIVE: &[u32] = &[0x801, 0x802, 0x803, 0x804, 0x805, 0x806, 0x807];

fn rows() -> Vec<Row> {
    use Answer::{Done, Pends, Refused};
    let no_peer = Refused(NtStatus::INVALID_DEVICE_REQUEST);
    let unknown_peer = Refused(NtStatus::OBJECTID_NOT_FOUND);
    let row = |ioctl: Ioctl, input: Vec<u8>, output, [alone, with_peer, server]: [Answer; 3]| Row {
        name: ioctl.name(),
        code: ioctl.code(),
        input,
        output: Output::Exactly(output),
        answers: [alone, with_peer, server],
    };
    // Requests of one mode.
    let client = |ioctl, input: Vec<u8>, alone| row(ioctl, input, 0, [alone, Done, NOT_HERE]);
    let server = |ioctl, input: Vec<u8>, output, answer| row(ioctl, input, output, [NOT_HERE, NOT_HERE, answer]);
    let not_found = Refused(NtStatus::NOT_FOUND);
    let already = Refused(NtStatus::ALREADY_INITIALIZED);
    vec![
        client(Ioctl::NewPeer, cases::quiet_peer(), Done),
        row(Ioctl::GetStats, vec![], 64, [Done; 3]),
        row(Ioctl::NewKey, cases::key_with(|_| ()), 0, [unknown_peer, Done, Done]),
        client(Ioctl::SwapKeys, vec![], no_peer),
        client(Ioctl::SetPeer, cases::set_peer(10, 60, 1400), no_peer),
        client(Ioctl::StartVpn, vec![], no_peer),
        client(Ioctl::DelPeer, vec![], Done),
        row(Ioctl::GetVersion, vec![], 12, [Done; 3]),
        row(Ioctl::NewKeyV2, cases::key_v2(0), 0, [unknown_peer, Done, Done]),
        Row {
            name: "OVPN_IOCTL_NEW_KEY_V2, epoch",
            ..row(Ioctl::NewKeyV2, cases::epoch_key_with(|_| ()), 0, [unknown_peer, Done, Done])
        },
        row(Ioctl::SetMode, server::mode(0), 0, [Done, Done, already]),
        server(Ioctl::MpStartVpn, server::listen(), 32, already),
        server(Ioctl::MpNewPeer, server::quiet(1), 0, Refused(NtStatus::OBJECTID_EXISTS)),
        server(Ioctl::MpSetPeer, server::set_client(1), 0, Done),
        row(Ioctl::NotifyEvent, vec![], 144, [Pends; 3]),
        server(Ioctl::MpDelPeer, cases::peer_ref(2), 0, not_found),
        server(Ioctl::MpSwapKeys, cases::peer_ref(1), 0, Done),
        server(Ioctl::MpAddIroute, server::route([10, 1, 0, 0], 16, 1), 0, Done),
        server(Ioctl::MpDelIroute, server::route([10, 2, 0, 0], 16, -1), 0, not_found),
        row(Ioctl::GetPeerStats, cases::peer_ref(1), 40, [unknown_peer, Done, Done]),
        Row {
            name: "GET_DROPS",
            code: additive::GET_DROPS,
            input: vec![],
            output: Output::Records(40),
            answers: [Done; 3],
        },
        Row {
            name: "DEL_KEY",
            code: additive::DEL_KEY,
            input: vec![0; 4],
            output: Output::Exactly(0),
            answers: [unknown_peer, Done, NOT_HERE],
        },
        Row {
            name: "GET_PEER_DROPS",
            code: additive::GET_PEER_DROPS,
            input: cases::peer_ref(1),
            output: Output::Records(40),
            answers: [unknown_peer, Done, Done],
        },
        Row {
            name: "MP_LISTEN, of a protocol that is none",
            code: additive::MP_LISTEN,
            input: server::listen_by(2),
            output: Output::Exactly(32),
            answers: [NOT_HERE, NOT_HERE, no_peer],
        },
        Row {
            name: "MP_UNLISTEN",
            code: additive::MP_UNLISTEN,
            input: vec![9, 0, 0, 0],
            output: Output::Exactly(0),
            answers: [NOT_HERE, NOT_HERE, not_found],
        },
        Row {
            name: "MP_DISCONNECT",
            code: additive::MP_DISCONNECT,
            input: raw::SockaddrUnion::from(std::net::SocketAddr::from(([127, 9, 0, 1], 9))).bytes.to_vec(),
            output: Output::Exactly(0),
            answers: [NOT_HERE, NOT_HERE, not_found],
        },
        Row {
            name: "KEY_EVENT, of a packet id that no key reaches",
            code: additive::KEY_EVENT,
            input: vec![0xFF; 4],
            output: Output::Exactly(16),
            answers: [Refused(NtStatus::INVALID_PARAMETER), Refused(NtStatus::INVALID_PARAMETER), NOT_HERE],
        },
    ]
}

impl Row {
    /// `None` where it pends.
    fn expected(&self, answer: Answer, given: usize, room: usize) -> Option<Expected> {
        let too_small = Expected::error(NtStatus::BUFFER_TOO_SMALL);
        Some(match (answer, self.output) {
            (Answer::Pends, Output::Exactly(bytes)) if room >= bytes => return None,
            (Answer::Never(status), _) => Expected::error(status),
            _ if given < self.input.len() => too_small,
            (Answer::Refused(status), _) => Expected::error(status),
            (Answer::Done | Answer::Pends, Output::Exactly(bytes)) if room < bytes => too_small,
            (Answer::Done | Answer::Pends, Output::Exactly(bytes)) => Expected::Length(NtStatus::SUCCESS, bytes as u64),
            (Answer::Done, Output::Records(bytes)) if room < 2 * bytes => too_small,
            (Answer::Done | Answer::Pends, Output::Records(bytes)) => {
                Expected::Records(NtStatus::SUCCESS, bytes as u64)
            }
        })
    }

    fn call(&self, answer: Answer, given: usize, room: usize, null: Null) -> Option<Step> {
        let (given_length, room_length) = (if null.input { 0 } else { given }, if null.output { 0 } else { room });
        Some(Step::Ioctl {
            name: self.name.to_owned(),
            code: self.code,
            input: self.input.iter().copied().chain(std::iter::repeat(0xA5)).take(given).collect(),
            output: room,
            null,
            expected: self.expected(answer, given_length, room_length)?,
        })
    }

    /// Each shape of input with each shape of output.
    fn shapes(&self, answer: Answer) -> Vec<Step> {
        let room = match self.output {
            Output::Exactly(bytes) => around(bytes),
            // How many records there are is the driver's affair.
            Output::Records(bytes) => vec![0, 1, bytes - 1, bytes, bytes + 1, HUGE],
        };
        let pairs = around(self.input.len()).into_iter().flat_map(|given| room.iter().map(move |&room| (given, room)));
        pairs.filter_map(|(given, room)| self.call(answer, given, room, Null::default())).collect()
    }

    /// Null pointers with sound lengths: no buffers, whatever the length that comes with them.
    fn nulls(&self, answer: Answer) -> Vec<Step> {
        let given = self.input.len().max(1);
        let room = match self.output {
            Output::Exactly(bytes) => bytes.max(1),
            Output::Records(_) => HUGE,
        };
        let nulls = [(true, false), (false, true), (true, true)];
        let calls = nulls.map(|(input, output)| self.call(answer, given, room, Null { input, output }));
        calls.into_iter().flatten().collect()
    }
}

/// Lengths around `exact`, and far from it.
fn around(exact: usize) -> Vec<usize> {
    let mut lengths = vec![0, 1, exact.saturating_sub(1), exact, exact + 1, 2 * exact, HUGE];
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// Every shape of every request's buffers, without a peer, with one, and as a server.
pub fn shapes() -> Vec<Case> {
    let mut all = Vec::new();
    for row in rows() {
        let states = [
            (vec![OPEN], "without a peer"),
            (with_peer().to_vec(), "with a peer"),
            (server::with_client(1), "as a server with a peer"),
        ];
        for ((before, state), answer) in states.into_iter().zip(row.answers) {
            let steps = row.shapes(answer);
            let name = format!("{}: {} shapes of buffers, {state}", row.name, steps.len());
            all.push(case(name, before.iter().cloned().chain(steps)));
            let name = format!("{}: null pointers with a length, {state}", row.name);
            all.push(case(name, before.into_iter().chain(row.nulls(answer))));
        }
    }
    all
}

/// Codes that mean nothing. OpenVPN falls back to older requests on exactly this status.
pub fn codes() -> Vec<Case> {
    let step = |code: u32| Step::Ioctl {
        name: format!("ioctl 0x{code:06X}"),
        code,
        input: vec![0; 256],
        output: 256,
        null: Null::default(),
        expected: Expected::error(NtStatus::INVALID_DEVICE_REQUEST),
    };
    let code =
        |device: u32, function: u32, access: u32, method: u32| device << 16 | access << 14 | function << 2 | method;
    let known = |function: &u32| (1..20).contains(function);
    let unknown: Vec<Step> = (0..64).filter(|function| !known(function)).map(|n| step(code(0x22, n, 0, 0))).collect();
    let vendor: Vec<Step> =
        (0x800..0x810).filter(|n| !ADDITIVE.contains(n)).map(|n| step(code(0x22, n, 0, 0))).collect();
    let twisted = |twist: &dyn Fn(u32) -> u32| -> Vec<Step> {
        rows().iter().map(|row| row.code >> 2 & 0xFFF).map(|function| step(twist(function))).collect()
    };
    let mut all = vec![
        case("unknown codes: functions 0 and 20 to 63", [OPEN].into_iter().chain(unknown.clone())),
        case("unknown codes: the same with a peer", with_peer().into_iter().chain(unknown)),
        case("unknown codes: functions 0x800 to 0x80F that are not served", [OPEN].into_iter().chain(vendor)),
        case("unknown codes: all ones", [OPEN, step(u32::MAX)]),
    ];
    for (method, name) in [(1, "in-direct"), (2, "out-direct"), (3, "neither")] {
        let steps = twisted(&|function| code(0x22, function, 0, method));
        all.push(case(format!("unknown codes: method {name}"), [OPEN].into_iter().chain(steps)));
    }
    for access in 1..4 {
        let steps = twisted(&|function| code(0x22, function, access, 0));
        all.push(case(format!("unknown codes: access {access}"), [OPEN].into_iter().chain(steps)));
    }
    for device in [0x12, 0x17, 0x21, 0x23, 0x8022] {
        let steps = twisted(&|function| code(device, function, 0, 0));
        all.push(case(format!("unknown codes: device type 0x{device:X}"), [OPEN].into_iter().chain(steps)));
    }
    let others = rows().into_iter().filter(|row| row.code != Ioctl::GetVersion.code()).map(|row| step(row.code));
    let version = Step::Open(VERSION, NtStatus::SUCCESS);
    all.push(case("version device: refuses all but GET_VERSION", [version].into_iter().chain(others)));
    all
}

/// Every field of every structure beyond what it may hold.
pub fn values() -> Vec<Case> {
    let wrong = || Expected::error(NtStatus::INVALID_DEVICE_REQUEST);
    let with = |name: &str, steps: Vec<Step>| case(name.to_owned(), with_peer().into_iter().chain(steps));
    let peer = |input: Vec<u8>, expected| cases::ioctl(Ioctl::NewPeer, &input, 0, expected);
    let set = |interval, timeout, mss, expected| {
        cases::ioctl(Ioctl::SetPeer, &cases::set_peer(interval, timeout, mss), 0, expected)
    };
    let key = |input: &[u8], expected| cases::ioctl(Ioctl::NewKey, input, 0, expected);
    // 2 and 23 are IPv4 and IPv6; a family takes two bytes.
    let families: Vec<u16> =
        (0..64).filter(|n| ![2, 23].contains(n)).chain([0x0102, 0x1702, 0x00FF, u16::MAX]).collect();
    let family = |offset: usize| -> Vec<Step> {
        families
            .iter()
            .map(|&family| peer(cases::patched(cases::quiet_peer(), offset, &family.to_le_bytes()), wrong()))
            .collect()
    };
    let extremes = [i32::MIN, -2, -1, 0, 1, 2, 3, 255, 256, 65_535, 65_536, i32::MAX];
    let protocols = extremes.into_iter().filter(|value| ![0, 1].contains(value));
    let protocols =
        protocols.map(|n| peer(cases::patched(cases::quiet_peer(), 56, &n.to_le_bytes()), wrong())).collect();
    let times = extremes.into_iter().flat_map(|value| {
        let expected = || match value < -1 {
            true => Expected::error(NtStatus::INVALID_PARAMETER),
            false => Expected::DONE,
        };
        [set(value, -1, -1, expected()), set(-1, value, -1, expected()), set(-1, -1, value, Expected::DONE)]
    });
    let length = |bytes: u8| match bytes {
        16 | 24 | 32 => Expected::DONE,
        33.. => wrong(),
        // No cipher has such keys; the existing driver leaves the complaint to CNG.
        _ => Expected::Failure,
    };
    let lengths = (0..=255u8).map(|bytes| {
        let input = cases::key_with(|key| {
            key.encrypt.key_len = bytes;
            key.decrypt.key_len = bytes;
        });
        key(&input, length(bytes))
    });
    let one_sided = (0..=255u8).flat_map(|bytes| {
        let sealing = cases::key_with(|key| key.encrypt.key_len = bytes);
        let opening = cases::key_with(|key| key.decrypt.key_len = bytes);
        [key(&sealing, length(bytes)), key(&opening, length(bytes))]
    });
    let slots = extremes.into_iter().map(|slot| {
        let expected = if [0, 1].contains(&slot) { Expected::DONE } else { wrong() };
        key(&cases::key_with(|key| key.slot = slot.into()), expected)
    });
    let algorithms = extremes.into_iter().filter(|value| ![1, 2].contains(value));
    let algorithms = algorithms.map(|value| key(&cases::key_with(|key| key.alg = value.into()), wrong()));
    let key_ids = (0..=255u8).map(|id| key(&cases::key_with(|key| key.key_id = id), Expected::DONE));
    let peer_ids = extremes.map(|id| key(&cases::key_with(|key| key.peer_id = id.into()), Expected::DONE));
    let v2 = |input: &[u8], expected| cases::ioctl(Ioctl::NewKeyV2, input, 0, expected);
    let options = (0..32).map(|bit| 1 << bit);
    let options = options.map(|bits| v2(&cases::key_v2(bits), if bits == EPOCH { Expected::DONE } else { wrong() }));
    // The length beside the secret that seals is the cipher's, in both directions; the other one says nothing.
    let epoch_lengths = (0..=255u8).flat_map(|bytes| {
        let sealing = cases::epoch_key_with(|key| key.v1.encrypt.key_len = bytes);
        let opening = cases::epoch_key_with(|key| key.v1.decrypt.key_len = bytes);
        let other = if bytes > 32 { wrong() } else { Expected::DONE };
        [v2(&sealing, length(bytes)), v2(&opening, other)]
    });
    let epoch_values = extremes.into_iter().flat_map(|value| {
        let one_of = |sound: [i32; 2]| if sound.contains(&value) { Expected::DONE } else { wrong() };
        let algorithm = if value == 1 || value == 2 { Expected::DONE } else { wrong() };
        [
            v2(&cases::epoch_key_with(|key| key.v1.slot = value.into()), one_of([0, 1])),
            v2(&cases::epoch_key_with(|key| key.v1.alg = value.into()), algorithm),
            v2(&cases::epoch_key_with(|key| key.v1.peer_id = value.into()), Expected::DONE),
        ]
    });
    let epoch_key_ids = (0..=255u8).map(|id| v2(&cases::epoch_key_with(|key| key.v1.key_id = id), Expected::DONE));
    let tails = [0, 0xA5, 0xFF].map(|byte| {
        let request = cases::epoch_key_with(|key| {
            key.v1.encrypt.nonce_tail = [byte; 8];
            key.v1.decrypt.nonce_tail = [byte; 8];
        });
        v2(&request, Expected::DONE)
    });
    let deleted = extremes.map(|slot: i32| Step::Ioctl {
        name: "DEL_KEY".to_owned(),
        code: additive::DEL_KEY,
        input: slot.to_le_bytes().to_vec(),
        output: 0,
        null: Null::default(),
        expected: if [0, 1].contains(&slot) { Expected::DONE } else { wrong() },
    });
    let ids = extremes
        .map(|id| cases::ioctl(Ioctl::GetPeerStats, &cases::peer_ref(id), 40, Expected::Length(NtStatus::SUCCESS, 40)));
    let padded = cases::key_with(|key| {
        key._padding = [0xFF; 2];
        key._padding2 = [0xFF; 3];
    });
    vec![
        with("values: NEW_PEER's local family", family(0)),
        with("values: NEW_PEER's remote family", family(28)),
        with("values: NEW_PEER's protocol", protocols),
        with("values: SET_PEER's times and MSS", times.collect()),
        with("values: NEW_KEY's key length, every one", lengths.collect()),
        with("values: NEW_KEY's key length, one direction's", one_sided.collect()),
        with("values: NEW_KEY's slot", slots.collect()),
        with("values: NEW_KEY's algorithm", algorithms.collect()),
        with("values: NEW_KEY's key id, every one", key_ids.collect()),
        with("values: NEW_KEY's peer id", peer_ids.to_vec()),
        with("values: NEW_KEY's padding is ignored", vec![key(&padded, Expected::DONE)]),
        with("values: NEW_KEY_V2's options, each bit", options.collect()),
        with("values: NEW_KEY_V2's key lengths, epoch, every one", epoch_lengths.collect()),
        with("values: NEW_KEY_V2's slot, algorithm and peer id, epoch", epoch_values.collect()),
        with("values: NEW_KEY_V2's key id, epoch, every one", epoch_key_ids.collect()),
        with("values: NEW_KEY_V2's nonce tail, epoch", tails.to_vec()),
        with("values: GET_PEER_STATS's peer id", ids.to_vec()),
        with("values: DEL_KEY's slot", deleted.to_vec()),
    ]
}
