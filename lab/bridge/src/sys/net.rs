//! A TCP connection over loopback.

use core::sync::atomic::{AtomicBool, Ordering};

use super::ffi;

const AF_INET: i32 = 2;
const SOCK_STREAM: i32 = 1;
const IPPROTO_TCP: i32 = 6;
const TCP_NODELAY: i32 = 1;
const SOL_SOCKET: i32 = 0xFFFF;
const SO_SNDTIMEO: i32 = 0x1005;
const SO_RCVTIMEO: i32 = 0x1006;
const SD_BOTH: i32 = 2;
const INVALID_SOCKET: usize = usize::MAX;
const WINSOCK_2_2: u16 = 0x0202;
const WSAETIMEDOUT: i32 = 10060;

/// How long a send may wait for the lab to read, in milliseconds.
const SEND_PATIENCE: u32 = 10_000;

/// How often a receive looks whether the socket has been shut down, in milliseconds. Wine 8 does not wake it.
const RECEIVE_TICK: u32 = 250;

/// A connected socket, closed when dropped. Two threads may use it at once, one to send and one to receive.
pub struct Socket {
    raw: usize,
    ended: AtomicBool,
}

impl Socket {
    /// Connects to a port of 127.0.0.1; nothing if none listens there.
    pub fn connect(port: u16) -> Option<Self> {
        let mut data = [0; 64];
        // SAFETY: `data` has the 408 bytes of a WSADATA, and more.
        if unsafe { ffi::WSAStartup(WINSOCK_2_2, &mut data) } != 0 {
            return None;
        }
        // SAFETY: takes numbers only.
        let socket =
            Self { raw: unsafe { ffi::socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) }, ended: AtomicBool::new(false) };
        let address = ffi::SOCKADDR_IN {
            family: AF_INET as u16,
            port: port.to_be_bytes(),
            address: [127, 0, 0, 1],
            zero: [0; 8],
        };
        // SAFETY: the address has the 16 bytes that are announced. An invalid socket is an error, no more.
        if unsafe { ffi::connect(socket.raw, &address, 16) } != 0 {
            return None;
        }
        for (level, name, value) in [
            (IPPROTO_TCP, TCP_NODELAY, 1),
            (SOL_SOCKET, SO_SNDTIMEO, SEND_PATIENCE),
            (SOL_SOCKET, SO_RCVTIMEO, RECEIVE_TICK),
        ] {
            // SAFETY: the value has the 4 bytes that are announced.
            unsafe { ffi::setsockopt(socket.raw, level, name, &value, 4) };
        }
        Some(socket)
    }

    /// Sends all bytes; false if the connection is broken, or does not take them in time.
    pub fn send(&self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            // SAFETY: `bytes` has at least `len` bytes, alive during the call.
            let sent = unsafe { ffi::send(self.raw, bytes.as_ptr(), len, 0) };
            let Some(rest) = usize::try_from(sent).ok().filter(|n| *n > 0).and_then(|n| bytes.get(n..)) else {
                return false;
            };
            bytes = rest;
        }
        true
    }

    /// Fills the buffer, waiting as long as it takes; false at the connection's end.
    pub fn receive(&self, mut buffer: &mut [u8]) -> bool {
        while !buffer.is_empty() {
            let len = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
            // SAFETY: `buffer` has room for `len` bytes, and is ours during the call.
            let got = unsafe { ffi::recv(self.raw, buffer.as_mut_ptr(), len, 0) };
            if got < 0 && last_error() == WSAETIMEDOUT && !self.ended.load(Ordering::SeqCst) {
                continue;
            }
            let Some(rest) = usize::try_from(got).ok().filter(|n| *n > 0).and_then(|n| buffer.get_mut(n..)) else {
                return false;
            };
            buffer = rest;
        }
        true
    }

    /// Ends the connection: who receives or sends on it returns false soon.
    pub fn shut_down(&self) {
        self.ended.store(true, Ordering::SeqCst);
        // SAFETY: the socket is open as long as this value lives.
        unsafe { ffi::shutdown(self.raw, SD_BOTH) };
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.raw != INVALID_SOCKET {
            // SAFETY: the socket is this value's own and is not used again.
            unsafe { ffi::closesocket(self.raw) };
        }
        // SAFETY: matches the WSAStartup of `connect`.
        unsafe { ffi::WSACleanup() };
    }
}

/// Why this thread's last socket call failed.
fn last_error() -> i32 {
    // SAFETY: has no precondition.
    unsafe { ffi::WSAGetLastError() }
}
