//! The socket that carries a tunnel.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, connect, recv, socket_with, sockopt};

use crate::stop::{Stop, Until, wait};

/// A UDP socket.
pub fn udp(local: SocketAddr) -> Result<OwnedFd> {
    Ok(UdpSocket::bind(local).with_context(|| format!("binding to {local}"))?.into())
}

/// A TCP connection to the other end; `None` if told to stop before it is there.
pub fn connected(local: SocketAddr, remote: SocketAddr, stop: &Stop) -> Result<Option<OwnedFd>> {
    let family = if remote.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
        .context("making a TCP socket")?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &local).with_context(|| format!("binding to {local}"))?;
    match connect(&socket, &remote) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error).with_context(|| format!("connecting to {remote}")),
    }
    let [_, stopped] = wait([Until::Writable(socket.as_fd()), Until::Readable(stop.as_fd())], None)?;
    if stopped {
        return Ok(None);
    }
    sockopt::socket_error(&socket)?.with_context(|| format!("connecting to {remote}"))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(Some(socket))
}

/// The other end's TCP connection; `None` if told to stop before it comes. `remote`: whom to wait for (port 0: any), others are
/// turned away.
pub fn accepted(local: SocketAddr, remote: Option<SocketAddr>, stop: &Stop) -> Result<Option<OwnedFd>> {
    let listener = TcpListener::bind(local).with_context(|| format!("listening at {local}"))?;
    listener.set_nonblocking(true)?;
    loop {
        let [_, stopped] = wait([Until::Readable(listener.as_fd()), Until::Readable(stop.as_fd())], None)?;
        if stopped {
            return Ok(None);
        }
        let (stream, from) = match listener.accept() {
            Ok(accepted) => accepted,
            // Gone again.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).with_context(|| format!("listening at {local}")),
        };
        if remote.is_none_or(|remote| expected(remote, from)) {
            stream.set_nodelay(true)?;
            return Ok(Some(stream.into()));
        }
        eprintln!("dco-cli-linux: a connection from {from}, who is not waited for, is turned away");
    }
}

fn expected(remote: SocketAddr, from: SocketAddr) -> bool {
    remote.ip().to_canonical() == from.ip().to_canonical() && [0, from.port()].contains(&remote.port())
}

/// What the module leaves to userspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// A control packet of so many bytes.
    Packet(usize),
    /// Nothing after all.
    Nothing,
    /// Nothing ever again: a connection has ended. Not every module tells of it.
    End,
}

/// Reads it, once the socket can be read.
pub fn control_packet(socket: &OwnedFd) -> Control {
    let mut packet = [0; 2048];
    match recv(socket, &mut packet[..], RecvFlags::DONTWAIT) {
        Ok((0, _)) => Control::End,
        Ok((length, _)) => Control::Packet(length),
        // An ICMP error of an earlier packet, or somebody else was faster.
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNREFUSED | Errno::HOSTUNREACH | Errno::NETUNREACH) => {
            Control::Nothing
        }
        Err(_) => Control::End,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn whoever_is_waited_for_is_known() {
        let expected = |remote: &str, from: &str| {
            super::expected(remote.parse().expect("an address"), from.parse().expect("an address"))
        };
        assert!(expected("192.0.2.1:0", "192.0.2.1:999"));
        assert!(expected("192.0.2.1:0", "[::ffff:192.0.2.1]:999"));
        assert!(expected("[2001:db8::1]:5", "[2001:db8::1]:5"));
        assert!(!expected("192.0.2.1:5", "192.0.2.1:999"));
        assert!(!expected("192.0.2.1:0", "192.0.2.2:999"));
    }
}
