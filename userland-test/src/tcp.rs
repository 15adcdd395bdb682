//! The far end of a TCP transport: frames in whatever pieces a test wants, and a relay to a driver that speaks UDP.
//!
//! The driver is a client and cannot be the far end of a driver. Framing is written here from its description (16 bits of length,
//! big-endian, before each packet) and shared with nobody.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;

/// How long anything may take that is not waiting for anybody.
const PATIENCE: Duration = Duration::from_secs(10);

/// A packet behind its length.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![(packet.len() >> 8) as u8, packet.len() as u8];
    bytes.extend(packet);
    bytes
}

/// Waits for connections.
pub struct Listener(TcpListener);

impl Listener {
    /// At this address.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    /// The next connection.
    pub fn accept(&self) -> Result<Far> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.0.accept() {
                Ok((stream, _)) => return Far::new(stream),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Err(_) => bail!("expected a connection, waited {PATIENCE:?}"),
            }
        }
    }
}

/// An address where connecting neither succeeds nor fails: the queue of a listener that accepts nothing is full.
pub struct BlackHole {
    _listener: socket2::Socket,
    _filling: Vec<socket2::Socket>,
}

impl BlackHole {
    /// At this address.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let listener = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        listener.set_reuse_address(true)?;
        listener.bind(&address.into()).with_context(|| format!("listening at {address}"))?;
        listener.listen(0)?;
        // Linux queues one more than it is told; what comes then is ignored.
        let filling = (0..4).map(|_| -> Result<_> {
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            // In progress, which is all that is wanted.
            let _ = socket.connect(&address.into());
            Ok(socket)
        });
        let hole = Self { _filling: filling.collect::<Result<_>>()?, _listener: listener };
        // The queue is full when the first two are established.
        thread::sleep(Duration::from_millis(20));
        Ok(hole)
    }
}

/// How a connection ended for its far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a FIN.
    Closed,
    /// With a reset.
    Reset,
}

/// A connection of the driver's.
pub struct Far {
    stream: TcpStream,
    /// Received, and not yet a whole frame.
    bytes: Vec<u8>,
}

impl Far {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, bytes: Vec::new() })
    }

    /// Connects to a driver that accepts connections.
    pub fn connect(driver: SocketAddr) -> Result<Self> {
        Self::new(TcpStream::connect_timeout(&driver, PATIENCE).with_context(|| format!("connecting to {driver}"))?)
    }

    /// Where it is.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Whether the driver has closed or reset the connection by now; what has come stays.
    pub fn is_over(&self) -> Result<bool> {
        self.stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        Ok(match self.stream.peek(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        })
    }

    /// The next packet; `None` if none comes in time, or the driver has closed or reset the connection.
    pub fn receive_within(&mut self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + patience;
        let mut more = [0; 65536];
        loop {
            if let Some(packet) = whole(&mut self.bytes) {
                return Ok(Some(packet));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut more) {
                Ok(0) => return Ok(None),
                Ok(length) => self.bytes.extend(more.iter().take(length)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends bytes, so many at a time (0: all at once), each in a segment of its own.
    pub fn send(&mut self, bytes: &[u8], pieces: usize) -> Result<()> {
        send(&mut self.stream, bytes, pieces)
    }

    /// The next packet; `None` when the driver has closed its side.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>> {
        receive(&mut self.stream, &mut self.bytes)
    }

    /// Closes this side and goes on receiving.
    pub fn finish(&self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) -> Result<()> {
        Ok(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?)
    }

    /// Receives until the end, and says which it was.
    pub fn end(&mut self) -> Result<End> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        let mut sink = [0; 4096];
        loop {
            match self.stream.read(&mut sink) {
                Ok(0) => return Ok(End::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(End::Reset),
                Err(error) => return Err(error).context("waiting for the connection's end"),
            }
        }
    }

    /// Relays between this connection and a driver that `socket` is connected to, with frames in pieces of so many bytes.
    pub fn relay(self, socket: UdpSocket, pieces: usize) -> Result<Relay> {
        let sockref = SockRef::from(&socket);
        sockref.set_recv_buffer_size(4 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (mut reading, mut writing) = (self.stream.try_clone()?, self.stream.try_clone()?);
        let (to_udp, from_udp, stopped) = (socket.try_clone()?, socket, Arc::clone(&stop));
        let mut bytes = self.bytes;
        reading.set_read_timeout(None)?;
        let threads = vec![
            thread::spawn(move || {
                // Ends with the connection, however that ends. A datagram that nobody takes is no error.
                while let Ok(Some(packet)) = receive(&mut reading, &mut bytes) {
                    let _ = to_udp.send(&packet);
                }
            }),
            thread::spawn(move || {
                let mut packet = [0; 65536];
                while !stopped.load(Ordering::Relaxed) {
                    let mut frames = Vec::new();
                    // What is there already goes into one write.
                    while let Ok(length) = from_udp.recv(&mut packet) {
                        frames.extend(frame(packet.get(..length).unwrap_or_default()));
                        if from_udp.set_nonblocking(true).is_err() || frames.len() > 1 << 18 {
                            break;
                        }
                    }
                    if from_udp.set_nonblocking(false).is_err() || send(&mut writing, &frames, pieces).is_err() {
                        return;
                    }
                }
            }),
        ];
        Ok(Relay { stream: self.stream, stop, threads })
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8], pieces: usize) -> Result<()> {
    for piece in bytes.chunks(if pieces == 0 { bytes.len().max(1) } else { pieces }) {
        stream.write_all(piece)?;
    }
    Ok(())
}

/// Takes the first frame's packet, if all of it is there.
fn whole(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (&[high, low], rest) = bytes.split_first_chunk()?;
    let length = usize::from(high) << 8 | usize::from(low);
    let packet = rest.get(..length)?.to_vec();
    bytes.drain(..2 + length);
    Some(packet)
}

fn receive(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Vec<u8>>> {
    loop {
        if let Some(packet) = whole(bytes) {
            return Ok(Some(packet));
        }
        let mut more = [0; 65536];
        match stream.read(&mut more).context("receiving from the driver")? {
            0 => {
                ensure!(bytes.is_empty(), "expected whole frames, the stream ends with {} bytes of one", bytes.len());
                return Ok(None);
            }
            length => bytes.extend(more.iter().take(length)),
        }
    }
}

/// A relay that runs. It ends with its connection, or when it is dropped.
pub struct Relay {
    stream: TcpStream,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Fails where the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            // One that panicked has printed why.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn connected() -> (Far, Far) {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a listener");
        let near = TcpStream::connect(listener.0.local_addr().expect("an address")).expect("connected");
        (Far::new(near).expect("a connection"), listener.accept().expect("a connection"))
    }

    #[test]
    fn frames_arrive_whole_however_they_are_sent() {
        let (mut near, mut far) = connected();
        let packets: Vec<Vec<u8>> = [1, 2, 255, 256, 2048].map(|length| vec![length as u8; length]).into();
        let bytes: Vec<u8> = packets.iter().flat_map(|packet| frame(packet)).collect();
        for pieces in [0, 1, 3] {
            near.send(&bytes, pieces).expect("sent");
            for packet in &packets {
                assert_eq!(far.receive().expect("received").as_ref(), Some(packet));
            }
        }
        near.finish().expect("finished");
        assert_eq!(far.receive().expect("the end"), None);
        near.reset().expect("reset");
    }

    #[test]
    fn a_reset_is_told_from_an_end() {
        let (near, mut far) = connected();
        drop(near);
        assert_eq!(far.end().expect("an end"), End::Closed);
        let (near, mut far) = connected();
        near.reset().expect("reset");
        assert_eq!(far.end().expect("an end"), End::Reset);
    }

    #[test]
    fn connecting_to_a_black_hole_does_not_end() {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let _hole = BlackHole::open(address).expect("a black hole");
        let error = TcpStream::connect_timeout(&address, Duration::from_millis(300)).expect_err("nothing answers");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
