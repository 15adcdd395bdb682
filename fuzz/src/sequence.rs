//! What userspace and the network do to two devices, in any order, held against their models.

use dco_testkit::{
    PacketSpec, Side,
    model::Inner,
    packet::Upper,
    world::{Op, World},
};
use dco_uapi::SetPeer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest sequence: what comes after is not looked at.
const OPS: usize = 48;

/// The first byte says whether the ends begin connected; then operations, a byte each and their arguments.
pub fn run(input: &[u8]) {
    let Some((&begin, rest)) = input.split_first() else { return };
    let mut bytes = Bytes(rest);
    let mut world = World::new();
    if begin & 1 == 1 {
        for side in Side::BOTH {
            world.apply(Op::NewPeer(side));
            world.apply(Op::NewKey(side, 0, u64::from(begin >> 1) % 5));
        }
    }
    for _ in 0..OPS {
        let Some(op) = bytes.op() else { break };
        world.apply(op);
    }
}

/// Arguments, as they come. Where there are none left they are zero.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn some(&mut self, len: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        some
    }

    fn op(&mut self) -> Option<Op> {
        let first = self.next()?;
        let side = if first & 0x80 == 0 { Side::A } else { Side::B };
        Some(match first & 0x1f {
            0 | 1 => Op::NewPeer(side),
            2 => Op::DelPeer(side),
            3..=5 => {
                let which = self.byte();
                Op::NewKey(side, usize::from(which & 1), u64::from(which >> 1) % 5)
            }
            6 => Op::Swap(side),
            7 => Op::DelKey(side, usize::from(first >> 6 & 1)),
            8 => {
                // As the request's bytes; what the interface refuses does not reach the device.
                let SetPeer { interval, timeout, mss } = SetPeer::parse(self.some(12)).ok()?;
                Op::SetPeer(side, interval, timeout, mss)
            }
            9 => {
                let (i, t) = (self.byte(), self.byte());
                Op::SetPeer(side, (i < 8).then_some(u32::from(i)), (t < 8).then_some(u32::from(t)), None)
            }
            10 => {
                let mss = self.word();
                Op::SetPeer(side, None, None, Some(mss))
            }
            11 | 12 => Op::Tick(side),
            13 => Op::Wait(u64::from(self.word())),
            14 => Op::Wait(29_990 + u64::from(self.byte() % 20)),
            15 => Op::Wait(u64::from(self.word()) << 12),
            16 => Op::Idle(side),
            17..=20 => {
                let count = 1 + self.byte() % 5;
                Op::Send(side, (0..count).map(|_| self.inner()).collect())
            }
            21 => Op::SendGathered(side, self.inner()),
            22..=25 => {
                let count = 1 + self.byte() % 5;
                Op::Receive(side, (0..count).map(|_| usize::from(self.byte() % 16)).collect())
            }
            26 => Op::Reflect(side, usize::from(self.byte() % 16)),
            27 | 28 => Op::Damage(side, usize::from(self.byte() % 16), usize::from(self.word()), self.byte()),
            29 => Op::Cut(side, usize::from(self.byte() % 16), usize::from(self.byte())),
            30 => {
                let len = usize::from(self.byte() % 64);
                Op::Noise(side, self.some(len).to_vec())
            }
            _ => {
                // Sealed by whoever has the key, so nothing that looks like IP: the model knows no such packet.
                let len = usize::from(self.byte() % 48);
                let mut plain = self.some(len).to_vec();
                if let Some(first) = plain.first_mut() {
                    *first &= 0x3f;
                }
                Op::Rogue(side, plain)
            }
        })
    }

    fn inner(&mut self) -> Inner {
        let kind = self.byte();
        if kind & 0xf == 0xf {
            let len = usize::from(self.byte() % 40);
            let mut junk = self.some(len).to_vec();
            if let Some(first) = junk.first_mut() {
                // Another version, or too short for a header.
                *first = if len < 20 { *first } else { 0x50 | *first & 0xf };
            }
            return Inner::Junk(junk);
        }
        let upper = match kind & 3 {
            0 => Upper::Udp { port: if kind & 4 == 0 { 1194 } else { self.word() } },
            1 => Upper::Tcp { syn: kind & 4 == 0, mss: self.word() },
            2 => Upper::Tcp { syn: true, mss: 1460 },
            _ => Upper::Other,
        };
        let v4 = |last| (IpAddr::from([10, 8, 0, 2]), IpAddr::from([192, 0, 2, last]));
        let (src, dst) = match kind >> 6 {
            0 => (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into()),
            1 => (Ipv4Addr::new(10, 8, 0, 2).into(), Ipv4Addr::new(10, 8, 0, 1).into()),
            2 => v4(1),
            _ => v4(2),
        };
        let payload = if kind & 0x10 == 0 { usize::from(self.byte() % 64) } else { usize::from(self.word() % 1_500) };
        Inner::Packet(PacketSpec { src, dst, upper, payload, seed: kind })
    }
}
