//! The other side of the adapter: a TUN device, or (in tests) a socket pair that keeps packet boundaries as TUN does.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use std::sync::PoisonError;

const TUNSETIFF: libc::c_ulong = 0x4004_54CA;
const TUNSETCARRIER: libc::c_ulong = 0x4004_54E2;
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;

/// An open packet device.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: Option<String>,
}

#[repr(C)]
struct IfReq {
    name: [u8; 16],
    data: [u8; 24],
}

impl IfReq {
    fn new(name: &str) -> Self {
        let mut r = Self { name: [0; 16], data: [0; 24] };
        for (to, from) in r.name.iter_mut().take(15).zip(name.bytes()) {
            *to = from;
        }
        r
    }
    fn name(&self) -> String {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(16);
        String::from_utf8_lossy(self.name.get(..end).unwrap_or_default()).into_owned()
    }
    fn int(&self) -> i32 {
        i32::from_ne_bytes([self.data[0], self.data[1], self.data[2], self.data[3]])
    }
}

fn control(request: libc::c_ulong, r: &mut IfReq) -> io::Result<()> {
    // SAFETY: no pointers.
    let s = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if s < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: an ifreq of ours, for requests that take one.
    let done = unsafe { libc::ioctl(s, request, std::ptr::from_mut(r)) };
    let error = io::Error::last_os_error();
    // SAFETY: our own descriptor.
    unsafe { libc::close(s) };
    if done < 0 { Err(error) } else { Ok(()) }
}

impl Tun {
    /// Opens (creating it unless it exists) the TUN device `name` in the current network namespace.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        let mut r = IfReq::new(name);
        r.data[..2].copy_from_slice(&(IFF_TUN | IFF_NO_PI).to_ne_bytes());
        // SAFETY: an ifreq of ours.
        if unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut r) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { fd: file.into(), name: Some(r.name()) })
    }

    /// Packets over a descriptor that keeps their boundaries.
    pub fn over(fd: OwnedFd) -> Self {
        Self { fd, name: None }
    }

    /// For poll, readv, writev; nonblocking.
    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Name of the device.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("(test)")
    }

    /// The device's MTU.
    pub fn set_mtu(&self, mtu: u32) {
        let Some(name) = &self.name else { return };
        let mut r = IfReq::new(name);
        r.data[..4].copy_from_slice(&mtu.cast_signed().to_ne_bytes());
        if let Err(e) = control(libc::SIOCSIFMTU, &mut r) {
            eprintln!("dco-lab: MTU {mtu} of {name}: {e}");
        }
    }

    /// The device's carrier.
    pub fn set_carrier(&self, up: bool) {
        let Some(name) = &self.name else { return };
        let on = i32::from(up);
        // SAFETY: an int of ours.
        if unsafe { libc::ioctl(self.raw(), TUNSETCARRIER, &raw const on) } < 0 {
            eprintln!("dco-lab: carrier of {name}: {}", io::Error::last_os_error());
        }
    }

    /// The interface's index, 0 where there is none.
    pub fn index(&self) -> u32 {
        let Some(name) = &self.name else { return 0 };
        let mut r = IfReq::new(name);
        control(libc::SIOCGIFINDEX, &mut r).map_or(0, |()| r.int().unsigned_abs())
    }
}

static HANDED: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// The next adapter runs over this descriptor rather than a TUN device: a nonblocking one that keeps packet boundaries.
pub fn hand_over(fd: OwnedFd) {
    *HANDED.lock().unwrap_or_else(PoisonError::into_inner) = Some(fd);
}

/// What [`hand_over`] left.
pub fn handed() -> Option<OwnedFd> {
    HANDED.lock().unwrap_or_else(PoisonError::into_inner).take()
}
