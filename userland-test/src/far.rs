//! A far end of the tunnel in this process: a UDP socket and the data channel's packets, sealed and opened here.
//!
//! It shares no code with the driver: AES-GCM is RustCrypto's, HKDF the crate hmac-sha256's, ChaCha20-Poly1305 and the layouts are
//! written from their descriptions.

mod chacha;
pub mod epoch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aes::Aes192;
use aes_gcm::{AeadInPlace, Aes128Gcm, Aes256Gcm, AesGcm, KeyInit};
use anyhow::{Context, Result, bail, ensure};

use crate::key::{self, Cipher, Direction, StaticKey};
use crate::tcp;

/// P_DATA_V2, in the top five bits of the first byte.
const OPCODE: u32 = 9 << 27;

/// Header, packet id and tag: what a packet grows by.
pub const OVERHEAD: usize = 24;

const TAG: usize = 16;
const AAD: usize = 8;

/// What an idle end sends, sealed like any packet.
pub const PING: [u8; 16] =
    [0x2A, 0x18, 0x7B, 0xF3, 0x64, 0x1E, 0xB4, 0xCB, 0x07, 0xED, 0x2D, 0x0A, 0x98, 0x1F, 0xC7, 0x48];

enum Aead {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
    ChaCha20([u8; 32]),
}

impl Aead {
    fn new(cipher: Cipher, key: &[u8]) -> Result<Self> {
        if cipher == Cipher::ChaCha20 {
            return Ok(Self::ChaCha20(key.try_into().context("a key of ChaCha20-Poly1305")?));
        }
        Ok(match key.len() {
            16 => Self::Aes128(Box::new(Aes128Gcm::new(GenericArray::from_slice(key)))),
            24 => Self::Aes192(Box::new(AesGcm::new(GenericArray::from_slice(key)))),
            32 => Self::Aes256(Box::new(Aes256Gcm::new(GenericArray::from_slice(key)))),
            length => bail!("no AES key has {length} bytes"),
        })
    }

    fn seal(&self, nonce: &[u8; 12], aad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG]> {
        let number = GenericArray::from_slice(nonce);
        let sealed = match self {
            Self::Aes128(gcm) => gcm.encrypt_in_place_detached(number, aad, bytes),
            Self::Aes192(gcm) => gcm.encrypt_in_place_detached(number, aad, bytes),
            Self::Aes256(gcm) => gcm.encrypt_in_place_detached(number, aad, bytes),
            Self::ChaCha20(key) => return Ok(chacha::seal(key, nonce, aad, bytes)),
        };
        sealed.map(Into::into).map_err(|_| anyhow::anyhow!("sealing {} bytes failed", bytes.len()))
    }

    fn open(&self, nonce: &[u8; 12], aad: &[u8], bytes: &mut [u8], tag: &[u8]) -> bool {
        let (number, expected) = (GenericArray::from_slice(nonce), GenericArray::from_slice(tag));
        let opened = match self {
            Self::Aes128(gcm) => gcm.decrypt_in_place_detached(number, aad, bytes, expected),
            Self::Aes192(gcm) => gcm.decrypt_in_place_detached(number, aad, bytes, expected),
            Self::Aes256(gcm) => gcm.decrypt_in_place_detached(number, aad, bytes, expected),
            Self::ChaCha20(key) => return chacha::open(key, nonce, aad, bytes, tag),
        };
        opened.is_ok()
    }
}

struct Half {
    aead: Aead,
    tail: [u8; 8],
}

impl Half {
    fn new(cipher: Cipher, half: key::Half<'_>) -> Result<Self> {
        let tail = half.nonce_tail.try_into().context("expected 8 bytes of nonce")?;
        Ok(Self { aead: Aead::new(cipher, half.key)?, tail })
    }

    fn nonce(&self, packet_id: [u8; 4]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&packet_id);
        nonce[4..].copy_from_slice(&self.tail);
        nonce
    }
}

/// The far end's side of a key.
pub struct DataKey {
    seal: Half,
    open: Half,
    key_id: u8,
    peer_id: u32,
}

/// A data packet that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Of the key that it was sealed with.
    pub key_id: u8,
    /// Who the header says it is for.
    pub peer_id: u32,
    /// Counts up from 1 under each key.
    pub packet_id: u32,
    /// The inner packet.
    pub inner: Vec<u8>,
}

impl DataKey {
    /// The counterpart of what the driver is given; `direction` is the driver's.
    pub fn opposite(key: &StaticKey, key_id: u8, peer_id: u32) -> Result<Self> {
        let (seal, open) = key.halves();
        // What the driver opens with is what this end seals with.
        Ok(Self { seal: Half::new(key.cipher(), open)?, open: Half::new(key.cipher(), seal)?, key_id, peer_id })
    }

    /// A data packet.
    pub fn seal(&self, packet_id: u32, inner: &[u8]) -> Result<Vec<u8>> {
        self.seal_as(self.peer_id, packet_id, inner)
    }

    /// The same with another peer id in its header.
    pub fn seal_as(&self, peer_id: u32, packet_id: u32, inner: &[u8]) -> Result<Vec<u8>> {
        let header = OPCODE | u32::from(self.key_id & 7) << 24 | peer_id & 0x00FF_FFFF;
        let mut packet = Vec::with_capacity(inner.len() + OVERHEAD);
        packet.extend(header.to_be_bytes());
        packet.extend(packet_id.to_be_bytes());
        let mut sealed = inner.to_vec();
        let tag = self.seal.aead.seal(&self.seal.nonce(packet_id.to_be_bytes()), &packet, &mut sealed)?;
        packet.extend(tag);
        packet.extend(sealed);
        Ok(packet)
    }

    /// Opens what the driver has sealed. `None` for a packet of another key.
    pub fn open(&self, packet: &[u8]) -> Result<Option<Opened>> {
        ensure!(packet.len() >= OVERHEAD, "expected a data packet, got {} bytes", packet.len());
        let word = |at: usize| packet.iter().skip(at).take(4).fold(0u32, |word, &byte| word << 8 | u32::from(byte));
        let (header, packet_id) = (word(0), word(4));
        ensure!(header & 0xF800_0000 == OPCODE, "expected opcode 9, got the header {header:08x}");
        let key_id = (header >> 24 & 7) as u8;
        if key_id != self.key_id {
            return Ok(None);
        }
        let (aad, rest) = packet.split_at(AAD);
        let (tag, sealed) = rest.split_at(TAG);
        let mut inner = sealed.to_vec();
        let nonce = self.open.nonce(packet_id.to_be_bytes());
        ensure!(self.open.aead.open(&nonce, aad, &mut inner, tag), "packet {packet_id} does not open");
        Ok(Some(Opened { key_id, peer_id: header & 0x00FF_FFFF, packet_id, inner }))
    }
}

/// A far end.
pub struct Far(Wire);

enum Wire {
    /// A socket, and where the driver is.
    Udp(UdpSocket, SocketAddr),
    Tcp(Mutex<tcp::Far>, SocketAddr),
}

impl Far {
    /// At a free port of loopback, for a driver that is bound to `driver`.
    pub fn of(driver: SocketAddr) -> Result<Self> {
        let here = match driver {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Self::at(here, driver)
    }

    /// At a free port of this address.
    pub fn at(here: IpAddr, driver: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind((here, 0))?;
        // More than any burst of the suite.
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
        Ok(Self(Wire::Udp(socket, driver)))
    }

    /// Connected to a driver that accepts TCP.
    pub fn connected(driver: SocketAddr) -> Result<Self> {
        let far = tcp::Far::connect(driver)?;
        let here = far.address()?;
        Ok(Self(Wire::Tcp(Mutex::new(far), here)))
    }

    /// Over this connection, which is from `here`.
    pub fn over(connection: tcp::Far, here: SocketAddr) -> Self {
        Self(Wire::Tcp(Mutex::new(connection), here))
    }

    /// The same socket, to talk to another listener of the driver's. What comes is whosever looks first.
    pub fn to(&self, driver: SocketAddr) -> Result<Self> {
        match &self.0 {
            Wire::Udp(socket, _) => Ok(Self(Wire::Udp(socket.try_clone()?, driver))),
            Wire::Tcp(..) => bail!("a connection has one other end"),
        }
    }

    /// The connection, of one that is connected.
    pub fn connection(self) -> Result<tcp::Far> {
        match self.0 {
            Wire::Udp(..) => bail!("expected a connection, this is a socket of UDP"),
            Wire::Tcp(far, _) => Ok(far.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Where the driver has to send to.
    pub fn address(&self) -> Result<SocketAddr> {
        match &self.0 {
            Wire::Udp(socket, _) => Ok(socket.local_addr()?),
            Wire::Tcp(_, here) => Ok(*here),
        }
    }

    /// Sends a packet to the driver. One that nobody takes is no error: the peer may be gone.
    pub fn send(&self, packet: &[u8]) -> Result<()> {
        match &self.0 {
            Wire::Udp(socket, driver) => match socket.send_to(packet, *driver) {
                Ok(_) => Ok(()),
                Err(error) if is_refusal(&error) => Ok(()),
                Err(error) => Err(error.into()),
            },
            Wire::Tcp(far, _) => {
                let sent = far.lock().unwrap_or_else(PoisonError::into_inner).send(&tcp::frame(packet), 0);
                let gone = |error: &anyhow::Error| error.downcast_ref().is_some_and(is_gone);
                if sent.as_ref().is_err_and(gone) { Ok(()) } else { sent }
            }
        }
    }

    /// The next packet that comes from the driver; `None` if none comes in time, or, of a connection, ever.
    pub fn receive(&self, patience: Duration) -> Result<Option<Vec<u8>>> {
        let (socket, driver) = match &self.0 {
            Wire::Udp(socket, driver) => (socket, driver),
            Wire::Tcp(far, _) => {
                return far.lock().unwrap_or_else(PoisonError::into_inner).receive_within(patience);
            }
        };
        let deadline = Instant::now() + patience;
        let mut bytes = [0; 65536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            socket.set_read_timeout(Some(left))?;
            match socket.recv_from(&mut bytes) {
                Ok((length, from)) if from == *driver => return Ok(bytes.get(..length).map(<[u8]>::to_vec)),
                Ok(_) => {}
                Err(error) if is_refusal(&error) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An ICMP answer to an earlier packet, for which nobody was there.
fn is_refusal(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::ConnectionReset)
}

/// The driver has closed the connection.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset)
}

/// A packet of `length` bytes between two addresses of one family, as [`ipv4`] and [`ipv6`] make them.
pub fn between(from: IpAddr, to: IpAddr, length: usize, tag: u32) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut packet = ipv6(length, tag);
            packet[8..24].copy_from_slice(&from.octets());
            packet[24..40].copy_from_slice(&to.octets());
            packet
        }
        _ => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(v4) => v4.octets(),
                IpAddr::V6(_) => [0; 4],
            };
            ipv4_between(octets(from), octets(to), length, tag)
        }
    }
}

/// An IPv4 packet of `length` bytes, 20 or more, of a protocol that no host serves.
pub fn ipv4(length: usize, tag: u32) -> Vec<u8> {
    ipv4_between([10, 99, 0, 2], [10, 99, 0, 1], length, tag)
}

fn ipv4_between(from: [u8; 4], to: [u8; 4], length: usize, tag: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 253, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    let sum: u32 = packet.chunks(2).map(|pair| pair.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))).sum();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(tag.to_be_bytes().into_iter().cycle().take(length.saturating_sub(20)));
    packet
}

/// An IPv6 packet of `length` bytes, 40 or more, without a next header.
pub fn ipv6(length: usize, tag: u32) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((length.saturating_sub(40) as u16).to_be_bytes());
    packet.extend([59, 64]);
    for host in [2, 1] {
        packet.extend(Ipv6Addr::new(0xFD99, 0, 0, 0, 0, 0, 0, host).octets());
    }
    packet.extend(tag.to_be_bytes().into_iter().cycle().take(length.saturating_sub(40)));
    packet
}

/// The driver's direction in the suite's tunnels.
pub const DRIVER: Direction = Direction::Normal;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_seals_the_other_opens_and_nothing_else() {
        for cipher in Cipher::ALL {
            let near = DataKey::opposite(&StaticKey::of_test(3, cipher, Direction::Inverse), 5, 7).expect("a key");
            let far = DataKey::opposite(&StaticKey::of_test(3, cipher, DRIVER), 5, 7).expect("a key");
            let packet = far.seal(9, b"hello").expect("sealed");
            assert_eq!(packet[..8], [0x4D, 0, 0, 7, 0, 0, 0, 9]);
            let opened = near.open(&packet).expect("opens").expect("of this key");
            assert_eq!(opened, Opened { key_id: 5, peer_id: 7, packet_id: 9, inner: b"hello".to_vec() });
            for at in 0..packet.len() {
                let mut forged = packet.clone();
                forged[at] ^= 1;
                assert!(!matches!(near.open(&forged), Ok(Some(_))), "byte {at}");
            }
        }
    }

    /// A packet of OpenVPN's own making would be better evidence; `scripts/tunnel-test` has the driver carry those.
    #[test]
    fn aes_gcm_is_nists() {
        // The GCM specification's test case 13: no plaintext, no additional data, a zero key of 256 bits.
        let aead = Aead::new(Cipher::Aes256, &[0; 32]).expect("a key");
        let tag = aead.seal(&[0; 12], &[], &mut []).expect("a tag");
        assert_eq!(tag[..4], [0x53, 0x0F, 0x8A, 0xFB]);
    }

    #[test]
    fn inner_packets_have_their_length() {
        assert_eq!(ipv4(20, 1).len(), 20);
        assert_eq!(ipv4(1500, 1).len(), 1500);
        assert_eq!(ipv6(40, 1).len(), 40);
        assert_eq!(ipv6(1500, 1)[4..6], [0x05, 0xB4]);
        let header = ipv4(28, 1);
        let words = header[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    }
}
