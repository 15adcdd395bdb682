//! The frames of docs/lab-protocol.md: requests written, responses read. Pure; no I/O.

use alloc::vec::Vec;

/// The largest frame that either side may send, without its length field.
pub const MAX_FRAME: usize = 1 << 20;

/// The smallest response: id, status and information.
pub const MIN_RESPONSE: usize = 20;

/// What the bridge asks of the lab. Borrowed: it lives as long as it takes to write the frame.
pub enum Request<'a> {
    /// `CreateFile`; `share` is the share mask, `path` an NT path.
    Open { access: u32, share: u32, path: &'a str },
    /// Cleanup, cancellation of what is outstanding, and close.
    Close { file: u64 },
    /// `DeviceIoControl` with METHOD_BUFFERED. An empty buffer counts as a null pointer: Wine does not tell them apart.
    Ioctl { file: u64, code: u32, out_len: u32, input: &'a [u8] },
    /// `ReadFile` of at most `len` bytes.
    Read { file: u64, len: u32 },
    /// `WriteFile`.
    Write { file: u64, data: &'a [u8] },
    /// `CancelIoEx` of the request that was sent with this id.
    Cancel { id: u64 },
}

impl Request<'_> {
    /// The whole frame, length field included, or nothing if it would be longer than [`MAX_FRAME`].
    pub fn frame(&self, id: u64) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(&id.to_le_bytes());
        match *self {
            Request::Open { access, share, path } => {
                frame.push(1);
                frame.extend_from_slice(&access.to_le_bytes());
                frame.extend_from_slice(&share.to_le_bytes());
                frame.extend_from_slice(path.as_bytes());
            }
            Request::Close { file } => {
                frame.push(2);
                frame.extend_from_slice(&file.to_le_bytes());
            }
            Request::Ioctl { file, code, out_len, input } => {
                frame.push(3);
                frame.extend_from_slice(&file.to_le_bytes());
                frame.extend_from_slice(&code.to_le_bytes());
                frame.extend_from_slice(&out_len.to_le_bytes());
                frame.push(u8::from(input.is_empty()) | u8::from(out_len == 0) << 1);
                frame.extend_from_slice(input);
            }
            Request::Read { file, len } => {
                frame.push(4);
                frame.extend_from_slice(&file.to_le_bytes());
                frame.extend_from_slice(&len.to_le_bytes());
            }
            Request::Write { file, data } => {
                frame.push(5);
                frame.extend_from_slice(&file.to_le_bytes());
                frame.extend_from_slice(data);
            }
            Request::Cancel { id } => {
                frame.push(6);
                frame.extend_from_slice(&id.to_le_bytes());
            }
        }
        let len = frame.len() - 4;
        if len > MAX_FRAME {
            return None;
        }
        frame[..4].copy_from_slice(&(len as u32).to_le_bytes());
        Some(frame)
    }
}

/// How a request ended. Owns its output bytes.
pub struct Response {
    /// The NTSTATUS.
    pub status: i32,
    /// `IoStatus.Information`.
    pub information: u64,
    /// What is to be copied to the caller's buffer.
    pub output: Vec<u8>,
}

impl Response {
    /// A response that carries a status only.
    pub const fn of(status: i32) -> Self {
        Self { status, information: 0, output: Vec::new() }
    }

    /// Reads a frame's body: the request's id and its response, or nothing if it is malformed.
    pub fn parse(body: &[u8]) -> Option<(u64, Self)> {
        let (id, rest) = body.split_first_chunk::<8>()?;
        let (status, rest) = rest.split_first_chunk::<4>()?;
        let (information, output) = rest.split_first_chunk::<8>()?;
        Some((
            u64::from_le_bytes(*id),
            Self {
                status: i32::from_le_bytes(*status),
                information: u64::from_le_bytes(*information),
                output: output.to_vec(),
            },
        ))
    }
}
