//! `WskControlSocket`: options, addresses, event callbacks.

use super::abi::{
    EVENT_DISABLE, EVENT_DISCONNECT, EVENT_RECEIVE, EVENT_RECEIVE_FROM, EVENT_SEND_BACKLOG, EventCallbackControl,
    INTERFACE_ID, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, Irp, SIO_IDEAL_BACKLOG, SIO_RECEIVE_BACKLOG, SIO_SET_REMOTE,
    SIO_SET_SENDTO, SO_WSK_EVENT_CALLBACK, SOL_SOCKET,
};
use super::address::LinuxAddress;
use super::datagram::Datagram;
use super::irp::Held;
use super::socket::{self, AnySocket, Base, last_error};
use super::stream::Stream;
use super::{BAD_PARAMETER, not_implemented, receive};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, status};
use crate::report::{InCall, Rule, record};
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::PoisonError;

const TOO_EARLY: Rule = Rule::new(
    "wsk.events-too-early",
    "WDK: SO_WSK_EVENT_CALLBACK (on a datagram socket after it is bound, on a connection after it is connected)",
);
const STATIC: Rule =
    Rule::new("wsk.static-disabled", "WDK: WSK_SET_STATIC_EVENT_CALLBACKS (these callbacks cannot be disabled)");
const BAD_DISPATCH: Rule =
    Rule::new("wsk.bad-dispatch", "WDK: WskSocket (Dispatch holds each callback that is enabled)");

const SET_OPTION: u32 = 0;
const GET_OPTION: u32 = 1;
const IOCTL: u32 = 2;

/// `setsockopt` of an int.
pub fn set_int(fd: RawFd, level: i32, option: i32, value: i32) -> Result<(), NTSTATUS> {
    // SAFETY: an int of ours, its size stated.
    let r = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), 4) };
    if r == 0 { Ok(()) } else { Err(last_error()) }
}

fn get_int(fd: RawFd, level: i32, option: i32) -> Result<i32, NTSTATUS> {
    let (mut value, mut len) = (0i32, 4u32);
    // SAFETY: an int of ours, its size stated.
    let r = unsafe { libc::getsockopt(fd, level, option, (&raw mut value).cast(), &raw mut len) };
    if r == 0 { Ok(value) } else { Err(last_error()) }
}

/// Level, option, and how a value is translated.
type LinuxOption = (i32, i32, fn(i32) -> i32);

/// Linux's level and option for Windows', and the value to set for a value that Windows would take.
fn option(level: u32, code: u32) -> Option<LinuxOption> {
    fn same(v: i32) -> i32 {
        v
    }
    fn fragment(v: i32) -> i32 {
        if v != 0 { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT }
    }
    fn milliseconds(v: i32) -> i32 {
        v.saturating_mul(1000)
    }
    /// `IP_PMTUDISC_NOT_SET`, `_DO`, `_DONT`, `_PROBE`.
    fn discover(v: i32) -> i32 {
        match v {
            1 => libc::IP_PMTUDISC_DO,
            2 => libc::IP_PMTUDISC_DONT,
            3 => libc::IP_PMTUDISC_PROBE,
            _ => libc::IP_PMTUDISC_WANT,
        }
    }
    Some(match (level, code) {
        (SOL_SOCKET, 0x1002) => (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, same),
        (SOL_SOCKET, 0x1001) => (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, same),
        (SOL_SOCKET, 4) => (libc::SOL_SOCKET, libc::SO_REUSEADDR, same),
        (SOL_SOCKET, 8) => (libc::SOL_SOCKET, libc::SO_KEEPALIVE, same),
        (SOL_SOCKET, 0x20) => (libc::SOL_SOCKET, libc::SO_BROADCAST, same),
        (IPPROTO_IP, 4) => (libc::IPPROTO_IP, libc::IP_TTL, same),
        (IPPROTO_IP, 3) => (libc::IPPROTO_IP, libc::IP_TOS, same),
        (IPPROTO_IP, 14) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, fragment),
        (IPPROTO_IP, 71) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, discover),
        (IPPROTO_IP, 19) => (libc::IPPROTO_IP, libc::IP_PKTINFO, same),
        (IPPROTO_IP, 31) => (libc::IPPROTO_IP, libc::IP_UNICAST_IF, same),
        (IPPROTO_IPV6, 27) => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, same),
        (IPPROTO_IPV6, 4) => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, same),
        (IPPROTO_IPV6, 14) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, fragment),
        (IPPROTO_IPV6, 71) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, discover),
        (IPPROTO_IPV6, 19) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, same),
        (IPPROTO_IPV6, 31) => (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_IF, same),
        (IPPROTO_TCP, 1) => (libc::IPPROTO_TCP, libc::TCP_NODELAY, same),
        (IPPROTO_TCP, 3) => (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, same),
        (IPPROTO_TCP, 5) => (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, milliseconds),
        (IPPROTO_TCP, 16) => (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, same),
        (IPPROTO_TCP, 17) => (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, same),
        _ => return None,
    })
}

/// An option's value: Windows takes a DWORD, and a BOOLEAN's single byte for some.
fn value(input: *const c_void, len: usize) -> Option<i32> {
    if input.is_null() {
        return None;
    }
    match len {
        // SAFETY: the driver states the size of its buffer.
        4 => Some(unsafe { input.cast::<i32>().read_unaligned() }),
        // SAFETY: as above.
        1 => Some(i32::from(unsafe { input.cast::<u8>().read() })),
        _ => None,
    }
}

fn set_option(socket: &'static Base, level: u32, code: u32, input: *const c_void, len: usize) -> NTSTATUS {
    // SO_EXCLUSIVEADDRUSE is Linux's only behaviour for UDP; SO_RANDOMIZE_PORT and port scalability change nothing here.
    if level == SOL_SOCKET && matches!(code.cast_signed(), -5 | 12293 | 12294) {
        return status::SUCCESS;
    }
    let Some(v) = value(input, len) else {
        record(BAD_PARAMETER, &format!("option {level:#x}/{code:#x}: InputBuffer {input:p} of {len} bytes"));
        return status::INVALID_PARAMETER;
    };
    let Some((l, o, map)) = option(level, code) else {
        not_implemented(&format!("socket option {level:#x}/{code:#x}"));
        return status::NOT_SUPPORTED;
    };
    match set_int(socket.raw(), l, o, map(v)) {
        Ok(()) => status::SUCCESS,
        Err(s) => s,
    }
}

fn get_option(socket: &'static Base, level: u32, code: u32, output: *mut c_void, len: usize) -> Result<u64, NTSTATUS> {
    let Some((l, o, _)) = option(level, code) else {
        not_implemented(&format!("reading socket option {level:#x}/{code:#x}"));
        return Err(status::NOT_SUPPORTED);
    };
    if output.is_null() || len < 4 {
        return Err(status::BUFFER_TOO_SMALL);
    }
    let o = match o {
        libc::SO_RCVBUFFORCE if l == libc::SOL_SOCKET => libc::SO_RCVBUF,
        libc::SO_SNDBUFFORCE if l == libc::SOL_SOCKET => libc::SO_SNDBUF,
        o => o,
    };
    let v = get_int(socket.raw(), l, o)?;
    // SAFETY: the driver states at least 4 bytes there.
    unsafe { output.cast::<i32>().write_unaligned(v) };
    Ok(4)
}

fn ioctl(socket: &'static Datagram, code: u32, input: *const c_void, len: usize) -> NTSTATUS {
    if code != SIO_SET_REMOTE && code != SIO_SET_SENDTO {
        not_implemented(&format!("socket ioctl {code:#x}"));
        return status::NOT_SUPPORTED;
    }
    if !socket.is_bound() {
        return status::INVALID_DEVICE_STATE;
    }
    let mut address = LinuxAddress::NONE;
    if !input.is_null() && len >= 16 {
        // SAFETY: the driver's SOCKADDR, at least 16 bytes by its own word; checked below to be whole for IPv6.
        let a = unsafe { LinuxAddress::from_windows(input.cast(), socket.family) };
        match a {
            Some(a) if len >= a.len as usize => address = a,
            _ => {
                record(BAD_PARAMETER, "the address is not of the socket's family, or cut short");
                return status::INVALID_PARAMETER;
            }
        }
    }
    if code == SIO_SET_REMOTE {
        let unspecified = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
        let (p, n) = if address.len == 0 { (&raw const unspecified, 16) } else { (address.as_ptr(), address.len) };
        // SAFETY: an open socket, an address of its length.
        if unsafe { libc::connect(socket.raw(), p, n) } != 0 {
            return last_error();
        }
    }
    *socket.default_remote.lock().unwrap_or_else(PoisonError::into_inner) = address;
    status::SUCCESS
}

/// What a connection-oriented socket answers: a SIZE_T.
fn stream_ioctl(socket: &'static Stream, code: u32, output: *mut c_void, len: usize) -> Result<u64, NTSTATUS> {
    let n = match code {
        SIO_IDEAL_BACKLOG => socket.ideal_backlog(),
        SIO_RECEIVE_BACKLOG => {
            let mut n = 0i32;
            // SAFETY: an int of ours.
            unsafe { libc::ioctl(socket.raw(), libc::FIONREAD, &raw mut n) };
            usize::try_from(n).unwrap_or(0)
        }
        _ => {
            not_implemented(&format!("ioctl {code:#x} of a connection-oriented socket"));
            return Err(status::NOT_SUPPORTED);
        }
    };
    if output.is_null() || len < 8 {
        return Err(status::BUFFER_TOO_SMALL);
    }
    // SAFETY: the driver states at least 8 bytes there.
    unsafe { output.cast::<usize>().write_unaligned(n) };
    Ok(8)
}

fn event_callback(socket: &'static AnySocket, input: *const c_void, len: usize, irp: Irp) -> NTSTATUS {
    if input.is_null() || len != size_of::<EventCallbackControl>() {
        record(BAD_PARAMETER, &format!("SO_WSK_EVENT_CALLBACK: InputBuffer {input:p} of {len} bytes, expected 16"));
        return status::INVALID_PARAMETER;
    }
    // SAFETY: the driver's buffer of that size.
    let control = unsafe { input.cast::<EventCallbackControl>().read_unaligned() };
    // SAFETY: null or the driver's NPIID.
    if unsafe { control.npi_id.as_ref() } != Some(&INTERFACE_ID) {
        record(BAD_PARAMETER, "NpiId is not NPI_WSK_INTERFACE_ID");
        return status::INVALID_PARAMETER;
    }
    let (events, disable) = (control.mask & !EVENT_DISABLE, control.mask & EVENT_DISABLE != 0);
    let (known, present, ready) = match socket {
        AnySocket::Datagram(d) => {
            (EVENT_RECEIVE_FROM, if d.event.is_some() { EVENT_RECEIVE_FROM } else { 0 }, d.is_bound())
        }
        AnySocket::Stream(s) => (EVENT_RECEIVE | EVENT_DISCONNECT | EVENT_SEND_BACKLOG, s.present(), s.is_connected()),
        AnySocket::Listening(_) => {
            not_implemented("events of a listening socket");
            return status::NOT_SUPPORTED;
        }
    };
    if events == 0 || events & !known != 0 || disable && !events.is_power_of_two() {
        record(
            BAD_PARAMETER,
            &format!("EventMask {:#x}: this category has {known:#x}; one event is disabled at a time", control.mask),
        );
        return status::INVALID_PARAMETER;
    }
    if !ready {
        record(TOO_EARLY, "the socket is not bound (a datagram socket) or connected (a connection)");
        return status::INVALID_DEVICE_STATE;
    }
    if disable {
        if socket.base().client.fixed_events() & events != 0 {
            record(STATIC, &format!("EventMask {:#x}", control.mask));
            return status::INVALID_PARAMETER;
        }
        // SAFETY: what the driver passed; optional here.
        let held = if irp.is_null() { None } else { unsafe { Held::take(irp) } };
        return match socket {
            AnySocket::Datagram(d) => receive::disable(d, held),
            AnySocket::Stream(s) => s.disable(events, held),
            AnySocket::Listening(_) => status::NOT_SUPPORTED,
        };
    }
    if !irp.is_null() {
        record(BAD_PARAMETER, "enabling event callbacks takes no IRP");
        return status::INVALID_PARAMETER;
    }
    if events & !present != 0 {
        record(BAD_DISPATCH, &format!("{:#x} is enabled, and the socket was created without it", events & !present));
        return status::INVALID_PARAMETER;
    }
    if fault::fails("WskControlSocket") {
        return status::INSUFFICIENT_RESOURCES;
    }
    match socket {
        AnySocket::Datagram(d) => receive::enable(d, false),
        AnySocket::Stream(s) => s.enable(events),
        AnySocket::Listening(_) => return status::NOT_SUPPORTED,
    }
    status::SUCCESS
}

/// `WskControlSocket`.
pub extern "win64" fn control_socket(
    handle: *mut c_void,
    request: u32,
    code: u32,
    level: u32,
    input_len: usize,
    input: *const c_void,
    output_len: usize,
    output: *mut c_void,
    returned: *mut usize,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskControlSocket");
    irql::require_at_most(irql::DISPATCH);
    let Some(entered) = socket::enter(handle) else { return status::INVALID_PARAMETER };
    let socket = entered.socket();
    if request == SET_OPTION && level == SOL_SOCKET && code == SO_WSK_EVENT_CALLBACK {
        return event_callback(socket, input, input_len, irp);
    }
    let base = socket.base();
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    if fault::fails("WskControlSocket") {
        return held.finish(Some(base), status::INSUFFICIENT_RESOURCES, 0);
    }
    let both = |r: Result<u64, NTSTATUS>| r.map_or_else(|s| (s, 0), |n| (status::SUCCESS, n));
    let (s, information) = match request {
        SET_OPTION => (set_option(base, level, code, input, input_len), 0),
        GET_OPTION => both(get_option(base, level, code, output, output_len)),
        IOCTL => match socket {
            AnySocket::Datagram(d) => (ioctl(d, code, input, input_len), 0),
            AnySocket::Stream(s) => both(stream_ioctl(s, code, output, output_len)),
            AnySocket::Listening(_) => {
                not_implemented(&format!("ioctl {code:#x} of a listening socket"));
                (status::NOT_SUPPORTED, 0)
            }
        },
        other => {
            record(BAD_PARAMETER, &format!("RequestType {other}"));
            (status::INVALID_PARAMETER, 0)
        }
    };
    if !returned.is_null() {
        // SAFETY: the driver's variable; asked for with an IRP too, it must stay valid as the buffers do.
        unsafe { returned.write(usize::try_from(information).unwrap_or(0)) };
    }
    held.finish(Some(base), s, information)
}
