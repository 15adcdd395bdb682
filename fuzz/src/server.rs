//! What userspace and the network do to a device with several peers, in any order, held against its model.

use dco_testkit::many::{Op, Packet, Server};

/// Longest sequence: what comes after is not looked at.
const OPS: usize = 64;

/// The first byte chooses the number of buckets and whether there are peers to begin with; then operations, a byte each and their
/// arguments.
pub fn run(input: &[u8]) {
    let Some((&begin, rest)) = input.split_first() else { return };
    let mut bytes = Bytes(rest);
    let mut server = Server::new([1, 3, 64][usize::from(begin >> 1) % 3]);
    if begin & 1 == 1 {
        for n in 0..6 {
            server.apply(Op::Join(n, n, n, n, n % 2 == 1));
            server.apply(Op::Key(n, false));
        }
    }
    for _ in 0..OPS {
        let Some(op) = bytes.op() else { break };
        server.apply(op);
    }
}

/// Arguments, as they come. Where there are none left they are zero.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn some(&mut self) -> Option<u8> {
        let byte = self.byte();
        (byte & 0x80 == 0).then_some(byte)
    }

    fn op(&mut self) -> Option<Op> {
        let first = self.next()?;
        // Whom it is about.
        let n = first >> 5;
        Some(match first & 0x1f {
            0..=3 => Op::Join(n, self.byte(), self.byte(), self.byte(), first & 3 == 3),
            4 => Op::Leave(n),
            5 | 6 => Op::Readdress(n, self.some(), self.some()),
            7 => Op::Place(n, self.byte()),
            8 => Op::TxId(n, u32::from_be_bytes([0, self.byte(), self.byte(), self.byte()])),
            9 => Op::Timers(n, u32::from(self.byte() % 8), u32::from(self.byte() % 8)),
            10 | 11 => Op::Key(n, first & 1 == 1),
            12 => Op::OldKey(n),
            13..=15 => Op::Send(n, first & 1 == 1, self.byte()),
            16..=22 => Op::Receive(self.packet(n)),
            23 => Op::Replay(self.packet(n), self.byte()),
            24 | 25 => Op::Forge(self.packet(n), self.byte(), self.byte()),
            26 => {
                let len = usize::from(self.byte() % 48);
                Op::Noise(n, (0..len).map(|_| self.byte()).collect())
            }
            27 => Op::Wait(u16::from_be_bytes([self.byte(), self.byte()])),
            28 => Op::Tick,
            29 | 30 => Op::Moved,
            _ => Op::Check(n & 1 == 0),
        })
    }

    fn packet(&mut self, id: u8) -> Packet {
        let (kind, from, source) = (self.byte(), self.byte(), self.byte());
        Packet {
            id,
            second: kind & 1 == 1,
            header: if kind & 2 == 0 { 0 } else { kind >> 2 & 3 },
            from,
            tcp: (kind & 0x70 == 0x70).then_some(from),
            ping: kind & 0x80 != 0,
            // Its own address, if it is as at the beginning, or any.
            source: if source & 0x80 == 0 { id } else { source & 0x7f },
        }
    }
}
