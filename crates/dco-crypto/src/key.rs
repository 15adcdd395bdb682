//! A data key: both directions' ciphers, nonces, the packet-id counter and the replay window.

use crate::aead::{Aead, AeadError, Nonce, Tag};
use crate::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::replay::ReplayWindow;
use core::fmt;
use dco_sync::OutOfMemory;
use dco_wire::{AAD_LEN, DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, KeyId, PeerId, TAG_LEN, sealed_len};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The packet id that is not reached: a key seals ids 1 to 0xEFFF_FFFF and then no more, well before the 32-bit id repeats.
pub const PACKET_ID_LIMIT: u32 = 0xF000_0000;

/// Distance in bytes that keeps two fields off one cache line, and off a pair that is fetched together. By size, not alignment: kernel
/// allocators give 16.
pub(crate) const APART: usize = 128;

/// The last eight bytes of each nonce, from the key exchange. Secret: zeroed on drop, not shown by `Debug`.
pub struct NonceTail([u8; 8]);

impl NonceTail {
    /// The nonce tail with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The nonce of a packet: its id, then the tail.
    #[inline]
    fn nonce(&self, id: [u8; 4]) -> Nonce {
        let [i0, i1, i2, i3] = id;
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.0;
        [i0, i1, i2, i3, t0, t1, t2, t3, t4, t5, t6, t7]
    }
}

impl Drop for NonceTail {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for NonceTail {}

impl fmt::Debug for NonceTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NonceTail").finish_non_exhaustive()
    }
}

/// What a key is made of.
pub struct KeyConfig<A> {
    /// The key-id. One above 7 is accepted, as the interface has it: it opens no packet, and seals under its low three bits.
    pub key_id: u8,
    /// The peer-id written into outgoing headers, where it is the key's own; `None` where it is the peer's, which may change
    /// in the key's life.
    pub peer_id: Option<PeerId>,
    /// Seals what we send.
    pub seal: A,
    /// Opens what we receive.
    pub open: A,
    /// The sealing nonces' tail.
    pub seal_tail: NonceTail,
    /// The opening nonces' tail.
    pub open_tail: NonceTail,
}

/// Why a packet was not sealed. Nothing of the plaintext is left in the output where the packet would have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealError {
    /// The key has sealed all the packets it may; a new key is needed.
    Exhausted,
    /// The output is shorter than the packet. No packet id was used, the output is untouched.
    OutputTooSmall,
    /// The cipher failed, with its own code (0 if it spoke of authentication, which sealing has none of). The packet id is used up.
    Aead(i32),
}

/// Why a packet was not opened. The output holds nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// Shorter than header, packet id and tag.
    TooShort,
    /// Packet id 0, which nobody sends.
    PacketIdZero,
    /// Not sealed by the peer under this key.
    AuthFailed,
    /// Authentic, but its packet id was seen or is too old.
    Replay,
    /// The output is shorter than the plaintext. Nothing was decrypted, the output is untouched.
    OutputTooSmall,
    /// The cipher failed, with its own code.
    Aead(i32),
    /// An epoch above those that keys are held for. The cipher was not asked.
    #[cfg(feature = "epoch")]
    EpochTooFar,
    /// An epoch that the peer has left for good. The cipher was not asked.
    #[cfg(feature = "epoch")]
    EpochRetired,
}

/// A data key of a peer, both directions.
///
/// `repr(C)`, so that what senders write, what receivers write and what both read stay on different cache lines.
#[repr(C)]
pub struct Key<A: Aead> {
    seal: A,
    open: A,
    seal_tail: NonceTail,
    open_tail: NonceTail,
    /// The header of what it seals; the peer-id is undefined where it is the peer's.
    header: [u8; DATA_HEADER_LEN],
    names_peer: bool,
    key_id: Option<KeyId>,
    /// Somebody was told that it nears its end.
    told_old: AtomicBool,
    _apart_from_sending: [u8; APART],
    /// Packets sealed so far; the next one's id is one more.
    sealed: AtomicU64,
    _apart_from_receiving: [u8; APART],
    replay: ReplayWindow,
}

impl<A: Aead> Key<A> {
    /// A key that has sealed and opened nothing.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new(config: KeyConfig<A>) -> Result<Self, OutOfMemory> {
        let KeyConfig { key_id, peer_id, seal, open, seal_tail, open_tail } = config;
        Ok(Self {
            seal,
            open,
            seal_tail,
            open_tail,
            header: DataHeader { key_id: KeyId::from_low_bits(key_id), peer_id: peer_id.unwrap_or(PeerId::UNDEFINED) }
                .to_bytes(),
            names_peer: peer_id.is_some(),
            key_id: KeyId::new(key_id),
            told_old: AtomicBool::new(false),
            _apart_from_sending: [0; APART],
            sealed: AtomicU64::new(0),
            _apart_from_receiving: [0; APART],
            replay: ReplayWindow::try_new()?,
        })
    }

    /// The key as if it had sealed at least `count` packets: for tests of what happens late in a key's life. It never goes back, so
    /// no packet id is used twice.
    #[must_use]
    pub fn having_sealed(self, count: u64) -> Self {
        self.sealed.fetch_max(count, Ordering::Relaxed);
        self
    }

    /// The key-id of the packets it opens; `None` if it was given one above 7, which no packet has.
    #[inline]
    #[must_use]
    pub const fn key_id(&self) -> Option<KeyId> {
        self.key_id
    }

    /// The cipher that seals; for shells that want to know what it is.
    #[must_use]
    pub const fn cipher(&self) -> &A {
        &self.seal
    }

    /// The header of the packets it seals for a peer that is called `peer_id` where the key itself has no peer-id.
    #[inline]
    #[must_use]
    pub const fn header(&self, peer_id: PeerId) -> [u8; DATA_HEADER_LEN] {
        if self.names_peer {
            return self.header;
        }
        let [first, ..] = self.header;
        let [_, a, b, c] = peer_id.get().to_be_bytes();
        [first, a, b, c]
    }

    /// True for the first who asks once the next packet's id is `packet_id` or above: time for another key.
    #[must_use]
    pub fn grows_old(&self, packet_id: u32) -> bool {
        self.next_packet_id() >= packet_id
            && !self.told_old.load(Ordering::Relaxed)
            && !self.told_old.swap(true, Ordering::Relaxed)
    }

    /// The id of the next packet it seals; [`PACKET_ID_LIMIT`] if it seals none any more.
    #[must_use]
    pub fn next_packet_id(&self) -> u32 {
        let next = self.sealed.load(Ordering::Relaxed).saturating_add(1);
        u32::try_from(next).map_or(PACKET_ID_LIMIT, |next| next.min(PACKET_ID_LIMIT))
    }

    /// How many more packets it can seal.
    #[must_use]
    pub fn packets_left(&self) -> u64 {
        u64::from(PACKET_ID_LIMIT).saturating_sub(1).saturating_sub(self.sealed.load(Ordering::Relaxed))
    }

    /// Seals `plain` into a DATA_V2 packet at the start of `out`: header, packet id, tag, ciphertext. Returns its length,
    /// `plain.len() + 24`. `peer_id` as in [`Key::header`].
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    #[inline]
    pub fn seal(&self, peer_id: PeerId, plain: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        let total = sealed_len(plain.len()).ok_or(SealError::OutputTooSmall)?;
        let out = out.get_mut(..total).ok_or(SealError::OutputTooSmall)?;
        let packet = Packet::split(out).ok_or(SealError::OutputTooSmall)?;
        let nonce = self.begin(peer_id, packet.aad)?;
        match self.seal.seal(&nonce, packet.aad, plain, packet.body, packet.tag) {
            Ok(()) => Ok(total),
            Err(error) => Err(seal_failed(error, out)),
        }
    }

    /// Seals the `plain_len` bytes that begin at `out[24]` where they are, and writes header, packet id and tag before them. Returns the
    /// packet's length, `plain_len + 24`. `peer_id` as in [`Key::header`].
    ///
    /// # Errors
    ///
    /// See [`SealError`]. If the key is exhausted the plaintext is wiped too.
    #[inline]
    pub fn seal_in_place(&self, peer_id: PeerId, out: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        let total = sealed_len(plain_len).ok_or(SealError::OutputTooSmall)?;
        let out = out.get_mut(..total).ok_or(SealError::OutputTooSmall)?;
        let packet = Packet::split(out).ok_or(SealError::OutputTooSmall)?;
        let nonce = match self.begin(peer_id, packet.aad) {
            Ok(nonce) => nonce,
            Err(error) => {
                wipe(out);
                return Err(error);
            }
        };
        match self.seal.seal_in_place(&nonce, packet.aad, packet.body, packet.tag) {
            Ok(()) => Ok(total),
            Err(error) => Err(seal_failed(error, out)),
        }
    }

    /// Opens a DATA_V2 packet into the start of `out`; returns the length of its plaintext, `datagram.len() - 24`, which may be 0.
    ///
    /// The tag is checked first, then the packet id against the replay window. That the header names this key is for the caller to
    /// see; the tag covers it. `now_ms` as in [`ReplayWindow::accept`](crate::Window::accept).
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    #[inline]
    pub fn open(&self, datagram: &[u8], out: &mut [u8], now_ms: u64) -> Result<usize, OpenError> {
        let (aad, rest) = datagram.split_first_chunk::<AAD_LEN>().ok_or(OpenError::TooShort)?;
        let (tag, cipher) = rest.split_first_chunk::<TAG_LEN>().ok_or(OpenError::TooShort)?;
        let &[_, _, _, _, i0, i1, i2, i3] = aad;
        let id = u32::from_be_bytes([i0, i1, i2, i3]);
        if id == 0 {
            return Err(OpenError::PacketIdZero);
        }
        let out = out.get_mut(..cipher.len()).ok_or(OpenError::OutputTooSmall)?;
        let nonce = self.open_tail.nonce([i0, i1, i2, i3]);
        if let Err(error) = self.open.open(&nonce, aad, cipher, tag, out) {
            wipe(out);
            return Err(match error {
                AeadError::AuthFailed => OpenError::AuthFailed,
                AeadError::Backend(code) => OpenError::Aead(code),
            });
        }
        if self.replay.accept(u64::from(id), now_ms).is_err() {
            wipe(out);
            return Err(OpenError::Replay);
        }
        Ok(cipher.len())
    }

    /// Takes the next packet id, writes header and id, and makes the nonce.
    #[inline]
    fn begin(&self, peer_id: PeerId, aad: &mut [u8; AAD_LEN]) -> Result<Nonce, SealError> {
        // The counter goes on past the limit when a key is used after its end; it has 64 bits to do so.
        let id = self.sealed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let id = match u32::try_from(id) {
            Ok(id) if id < PACKET_ID_LIMIT => id.to_be_bytes(),
            _ => return Err(SealError::Exhausted),
        };
        let [h0, h1, h2, h3] = self.header(peer_id);
        let [i0, i1, i2, i3] = id;
        *aad = [h0, h1, h2, h3, i0, i1, i2, i3];
        Ok(self.seal_tail.nonce(id))
    }
}

impl<A: Aead> fmt::Debug for Key<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("key_id", &self.key_id)
            .field("packets_left", &self.packets_left())
            .finish_non_exhaustive()
    }
}

/// The parts of a packet to be sealed.
struct Packet<'a> {
    aad: &'a mut [u8; AAD_LEN],
    tag: &'a mut Tag,
    body: &'a mut [u8],
}

impl<'a> Packet<'a> {
    /// `None` if `out` has fewer than 24 bytes.
    #[inline]
    fn split(out: &'a mut [u8]) -> Option<Self> {
        let (aad, rest) = out.split_first_chunk_mut::<AAD_LEN>()?;
        let (tag, body) = rest.split_first_chunk_mut::<TAG_LEN>()?;
        Some(Self { aad, tag, body })
    }
}

const _: () = assert!(AAD_LEN + TAG_LEN == DATA_OVERHEAD);

#[cold]
pub(crate) fn seal_failed(error: AeadError, out: &mut [u8]) -> SealError {
    wipe(out);
    match error {
        AeadError::AuthFailed => SealError::Aead(0),
        AeadError::Backend(code) => SealError::Aead(code),
    }
}

/// Zeroes an output that must not be used. It is the caller's memory, which lives on, so an ordinary store is enough; a flood of
/// forged packets pays for it, so it should not be slower than that.
#[cold]
#[inline(never)]
pub(crate) fn wipe(out: &mut [u8]) {
    out.fill(0);
}
