//! A device's own statistics, as `ethtool -S` shows them: drops that are no single peer's are only there. The kernel has no other way to
//! them than an ioctl.

#![expect(unsafe_code, reason = "the kernel gives a driver's statistics by an ioctl with pointers in it only")]

use std::ffi::c_void;
use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, Result, bail};
use rustix::ioctl::{Updater, ioctl};

const SIOCETHTOOL: rustix::ioctl::Opcode = 0x8946;
const GSTRINGS: u32 = 0x1B;
const GSTATS: u32 = 0x1D;
const GSSET_INFO: u32 = 0x37;
const SET_STATS: u32 = 1;

/// A statistic's name in bytes.
const NAME: usize = 32;

/// More statistics than this no driver of ours has: reasons to drop packets.
const MOST: usize = 256;

/// struct ifreq.
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut c_void,
    rest: [u8; 16],
}

/// struct ethtool_sset_info, asked for one set.
#[repr(C)]
#[derive(Default)]
struct SetInfo {
    command: u32,
    reserved: u32,
    mask: u64,
    count: u32,
}

/// struct ethtool_gstrings and its data.
#[repr(C)]
struct Strings {
    command: u32,
    set: u32,
    count: u32,
    names: [[u8; NAME]; MOST],
}

/// struct ethtool_stats and its data.
#[repr(C)]
struct Values {
    command: u32,
    count: u32,
    values: [u64; MOST],
}

/// Hands `value` to the driver.
///
/// # Safety
///
/// `T` is what the kernel expects with the command it begins with, and has room for all that the driver's answer may be.
unsafe fn ask<T>(socket: &UdpSocket, device: &str, value: &mut T) -> Result<()> {
    let mut request = Request { name: [0; 16], data: std::ptr::from_mut(value).cast(), rest: [0; 16] };
    for (place, byte) in request.name.iter_mut().take(15).zip(device.bytes()) {
        *place = byte;
    }
    // SAFETY: SIOCETHTOOL takes an ifreq that points to what the caller vouches for. The borrow of `value` outlasts the call.
    unsafe { ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }
        .with_context(|| format!("{device}: its driver's statistics"))
}

/// The statistics with their names; `None` if the driver has none.
pub fn statistics(device: &str) -> Result<Option<Vec<(String, u64)>>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("a socket to ask by")?;
    let mut info = SetInfo { command: GSSET_INFO, mask: 1 << SET_STATS, ..SetInfo::default() };
    // SAFETY: the answer to one set is one number.
    let asked = unsafe { ask(&socket, device, &mut info) };
    if asked.is_err() || info.mask == 0 || info.count == 0 {
        return Ok(None);
    }
    let count = info.count as usize;
    if count > MOST {
        bail!("{device}: expected at most {MOST} statistics, its driver has {count}");
    }
    let mut strings = Box::new(Strings { command: GSTRINGS, set: SET_STATS, count: 0, names: [[0; NAME]; MOST] });
    // SAFETY: the driver has `count` of them: that is fixed for a driver, and there is room for MOST.
    unsafe { ask(&socket, device, &mut *strings) }?;
    let mut values = Box::new(Values { command: GSTATS, count: info.count, values: [0; MOST] });
    // SAFETY: as for the names.
    unsafe { ask(&socket, device, &mut *values) }?;
    let named = strings.names.iter().zip(values.values).take(count);
    Ok(Some(named.map(|(name, value)| (text(name), value)).collect()))
}

fn text(name: &[u8; NAME]) -> String {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    name.iter().take(end).map(|byte| char::from(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_the_kernels() {
        assert_eq!(size_of::<Request>(), 40);
        assert_eq!(std::mem::offset_of!(SetInfo, count), 16);
        assert_eq!(std::mem::offset_of!(Strings, names), 12);
        assert_eq!(std::mem::offset_of!(Values, values), 8);
    }

    #[test]
    fn a_name_ends_at_its_first_zero() {
        let mut name = [b'x'; NAME];
        assert_eq!(text(&name).len(), NAME);
        name[2] = 0;
        assert_eq!(text(&name), "xx");
    }

    /// The loopback device has no statistics of its own, and a device that is not there has none either.
    #[test]
    fn a_driver_without_statistics_is_none() {
        assert!(statistics("lo").expect("an answer").is_none());
        assert!(statistics("no-such-device").expect("an answer").is_none());
    }
}
