//! Frames of the protocol: requests parsed with bounds checks, responses laid out.

use crate::nt::NTSTATUS;
use std::io::{self, Read};

/// Longest frame, without its length word.
pub const MAX_FRAME: usize = 1 << 24;
/// Longest output that fits into a response.
pub const MAX_OUTPUT: usize = MAX_FRAME - 20;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Open a device.
    Open {
        /// `ACCESS_MASK`.
        access: u32,
        /// `FILE_SHARE_*`.
        share: u32,
        /// NT path.
        path: String,
    },
    /// Close a file.
    Close(u64),
    /// Device control.
    Ioctl {
        /// The file.
        file: u64,
        /// The code.
        code: u32,
        /// Length of the output buffer.
        out_len: u32,
        /// Bit 0: null input pointer; bit 1: null output pointer.
        flags: u8,
        /// Input bytes.
        input: Vec<u8>,
    },
    /// Read.
    Read {
        /// The file.
        file: u64,
        /// Length of the buffer.
        len: u32,
    },
    /// Write.
    Write {
        /// The file.
        file: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Cancel a request of this connection.
    Cancel(u64),
    /// Ask the lab.
    Query(String),
    /// Stop the lab.
    Stop,
    /// A plug-and-play transition.
    Pnp(String),
    /// An op this lab does not know.
    Unknown(u8),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller's number for it.
    pub id: u64,
    /// What it asks for.
    pub op: Op,
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = (self.0.get(..n)?, self.0.get(n..)?);
        self.0 = tail;
        Some(head)
    }
    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }
    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
    fn text(&mut self) -> Option<String> {
        String::from_utf8(std::mem::take(&mut self.0).to_vec()).ok()
    }
    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }
}

impl Request {
    /// Parses a frame's bytes; `None` when they are malformed.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut c = Cursor(frame);
        let id = c.u64()?;
        let op = match c.u8()? {
            1 => Op::Open { access: c.u32()?, share: c.u32()?, path: c.text()? },
            2 => Op::Close(c.u64()?),
            3 => Op::Ioctl { file: c.u64()?, code: c.u32()?, out_len: c.u32()?, flags: c.u8()?, input: c.rest() },
            4 => Op::Read { file: c.u64()?, len: c.u32()? },
            5 => Op::Write { file: c.u64()?, bytes: c.rest() },
            6 => Op::Cancel(c.u64()?),
            7 => Op::Query(c.text()?),
            8 => Op::Stop,
            9 => Op::Pnp(c.text()?),
            n => {
                c.rest();
                Op::Unknown(n)
            }
        };
        c.0.is_empty().then_some(Self { id, op })
    }

    /// Reads one frame; `Ok(None)` at a clean end of the stream.
    ///
    /// # Errors
    /// What the stream says, or `InvalidData` for a frame that is malformed.
    pub fn read(from: &mut dyn Read) -> io::Result<Option<Self>> {
        let mut word = [0u8; 4];
        match from.read(&mut word)? {
            0 => return Ok(None),
            n => from.read_exact(word.get_mut(n..).unwrap_or(&mut []))?,
        }
        let n = usize::try_from(u32::from_le_bytes(word)).unwrap_or(usize::MAX);
        if n > MAX_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {n} bytes")));
        }
        let mut frame = vec![0; n];
        from.read_exact(&mut frame)?;
        Self::parse(&frame).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a malformed frame"))
    }
}

/// Lays out a response, with its length word.
#[must_use]
pub fn response(id: u64, status: NTSTATUS, information: u64, output: &[u8]) -> Vec<u8> {
    let output = output.get(..output.len().min(MAX_OUTPUT)).unwrap_or(&[]);
    let mut f = Vec::with_capacity(24 + output.len());
    f.extend(u32::try_from(20 + output.len()).unwrap_or(0).to_le_bytes());
    f.extend(id.to_le_bytes());
    f.extend(status.to_le_bytes());
    f.extend(information.to_le_bytes());
    f.extend(output);
    f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ioctl() -> Vec<u8> {
        let mut f = 7u64.to_le_bytes().to_vec();
        f.push(3);
        f.extend(1u64.to_le_bytes());
        f.extend(0x22_0004u32.to_le_bytes());
        f.extend(16u32.to_le_bytes());
        f.push(2);
        f.extend([1, 2, 3]);
        f
    }

    #[test]
    fn an_ioctl_parses() {
        let r = Request::parse(&ioctl()).expect("well-formed");
        assert_eq!(
            r,
            Request { id: 7, op: Op::Ioctl { file: 1, code: 0x22_0004, out_len: 16, flags: 2, input: vec![1, 2, 3] } }
        );
    }

    #[test]
    fn cuts_are_malformed() {
        let f = ioctl();
        for n in 0..26 {
            assert_eq!(Request::parse(&f[..n]), None, "cut to {n}");
        }
    }

    #[test]
    fn too_long_and_cut_streams_are_errors() {
        assert!(Request::read(&mut &u32::MAX.to_le_bytes()[..]).is_err());
        assert!(Request::read(&mut &[5u8, 0, 0, 0, 1][..]).is_err());
        assert!(matches!(Request::read(&mut &[][..]), Ok(None)));
    }

    #[test]
    fn an_unknown_op_is_answered_not_fatal() {
        let mut f = 9u64.to_le_bytes().to_vec();
        f.extend([200, 1, 2, 3]);
        assert_eq!(Request::parse(&f), Some(Request { id: 9, op: Op::Unknown(200) }));
    }
}
