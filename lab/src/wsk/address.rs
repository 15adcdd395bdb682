//! Socket addresses and control messages, Windows' to Linux's and back. The layouts agree but for the number of
//! `AF_INET6` (23 and 10) and for `IN_PKTINFO`.

use super::abi::{CmsgHdr, IPPROTO_IP, IPPROTO_IPV6};
use crate::nt::af;
use std::os::fd::RawFd;

/// Bytes of `SOCKADDR_IN6`, the longest address.
pub const MAX: usize = 28;

/// An address in Linux's form.
#[repr(C, align(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinuxAddress {
    /// `sockaddr_in` or `sockaddr_in6`.
    pub bytes: [u8; MAX],
    /// Bytes used; 0 means none.
    pub len: u32,
}

impl LinuxAddress {
    /// No address.
    pub const NONE: Self = Self { bytes: [0; MAX], len: 0 };

    /// From the driver's `SOCKADDR`; `None` for a family other than `family` (Windows' number).
    ///
    /// # Safety
    /// `p` points at a `SOCKADDR_IN` or `SOCKADDR_IN6` as its family says.
    pub unsafe fn from_windows(p: *const u8, family: u16) -> Option<Self> {
        // SAFETY: every SOCKADDR has a family.
        let f = unsafe { p.cast::<u16>().read_unaligned() };
        if f != family {
            return None;
        }
        let (len, linux) = match f {
            af::INET => (16, libc::AF_INET),
            af::INET6 => (MAX, libc::AF_INET6),
            _ => return None,
        };
        let mut a = Self { bytes: [0; MAX], len: u32::try_from(len).ok()? };
        // SAFETY: the family says that this many bytes are there.
        unsafe { std::ptr::copy_nonoverlapping(p, a.bytes.as_mut_ptr(), len) };
        let family = u16::try_from(linux).ok()?.to_ne_bytes();
        a.bytes[..2].copy_from_slice(&family);
        Some(a)
    }

    /// Where a socket is bound; [`Self::NONE`] if that cannot be told.
    pub fn local(fd: RawFd) -> Self {
        let mut a = Self { len: u32::try_from(MAX).unwrap_or(0), ..Self::NONE };
        // SAFETY: `len` bytes of ours.
        match unsafe { libc::getsockname(fd, a.bytes.as_mut_ptr().cast(), &raw mut a.len) } {
            0 => a,
            _ => Self::NONE,
        }
    }

    /// Behind family and port: the IP address, before it IPv6's flow.
    fn ip(&self) -> &[u8] {
        if self.len == 16 { &self.bytes[4..8] } else { &self.bytes[8..24] }
    }

    /// Of every local address, with the family and port of `other`.
    pub fn is_any_with_port_of(&self, other: &Self) -> bool {
        self.bytes[..4] == other.bytes[..4] && self.ip().iter().all(|&b| b == 0)
    }

    /// 127.0.0.0/8 or ::1.
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            [first, _, _, _] => *first == 127,
            ip => ip.iter().rev().skip(1).all(|&b| b == 0) && ip.last() == Some(&1),
        }
    }

    /// For system calls.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        self.bytes.as_ptr().cast()
    }
}

/// Turns an address that Linux wrote at `p` into Windows' form in place; says how long it is.
///
/// # Safety
/// `p` points at `MAX` writable bytes holding a `sockaddr_in` or `sockaddr_in6`.
pub unsafe fn to_windows_in_place(p: *mut u8) -> usize {
    // SAFETY: the family is there.
    let f = i32::from(unsafe { p.cast::<u16>().read_unaligned() });
    if f == libc::AF_INET6 {
        // SAFETY: as above.
        unsafe { p.cast::<u16>().write_unaligned(af::INET6) };
        MAX
    } else {
        16
    }
}

/// Room for the control messages of one datagram, either form.
pub const CONTROL_ROOM: usize = 64;
const PKTINFO: i32 = 19;

/// Translates the driver's control information into Linux's. `None` for what the lab does not know.
pub fn control_to_linux(windows: &[u8], out: &mut [u8; CONTROL_ROOM]) -> Option<usize> {
    let (level, kind, data) = first(windows)?;
    let (linux_level, linux_kind, body) = match (level as u32, kind) {
        (IPPROTO_IP, PKTINFO) => {
            let addr = data.get(..4)?;
            let index = data.get(4..8)?;
            // in_pktinfo: interface, source to use, (destination, unused here).
            (libc::IPPROTO_IP, libc::IP_PKTINFO, [index, addr, &[0; 4]].concat())
        }
        (IPPROTO_IPV6, PKTINFO) => (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data.get(..20)?.to_vec()),
        _ => return None,
    };
    Some(write(out, linux_level, linux_kind, &body))
}

/// Translates Linux's control messages of a received datagram into Windows'; gives the length.
pub fn control_to_windows(linux: &[u8], out: &mut [u8; CONTROL_ROOM]) -> usize {
    let Some((level, kind, data)) = first(linux) else { return 0 };
    if level == libc::IPPROTO_IP && kind == libc::IP_PKTINFO && data.len() >= 12 {
        let mut body = [0u8; 8];
        body[..4].copy_from_slice(&data[8..12]);
        body[4..].copy_from_slice(&data[..4]);
        return write(out, 0, PKTINFO, &body);
    }
    if level == libc::IPPROTO_IPV6 && kind == libc::IPV6_PKTINFO && data.len() >= 20 {
        return write(out, 41, PKTINFO, &data[..20]);
    }
    0
}

fn first(control: &[u8]) -> Option<(i32, i32, &[u8])> {
    let len = usize::from_ne_bytes(control.get(..8)?.try_into().ok()?);
    let level = i32::from_ne_bytes(control.get(8..12)?.try_into().ok()?);
    let kind = i32::from_ne_bytes(control.get(12..16)?.try_into().ok()?);
    Some((level, kind, control.get(size_of::<CmsgHdr>()..len)?))
}

fn write(out: &mut [u8; CONTROL_ROOM], level: i32, kind: i32, body: &[u8]) -> usize {
    let len = size_of::<CmsgHdr>() + body.len();
    out[..8].copy_from_slice(&len.to_ne_bytes());
    out[8..12].copy_from_slice(&level.to_ne_bytes());
    out[12..16].copy_from_slice(&kind.to_ne_bytes());
    out[16..len].copy_from_slice(body);
    len.next_multiple_of(8)
}
