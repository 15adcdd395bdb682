//! A data key of the epoch format: a snapshot of ciphers, over counters that outlive it.

use super::derive::{EpochIv, EpochSecret};
use super::receiving::{Place, Receiving};
use super::{FUTURE_EPOCHS, LAST_EPOCH};
use crate::aead::{Aead, AeadError, Nonce, Tag};
use crate::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::key::{APART, OpenError, PACKET_ID_LIMIT, SealError, seal_failed, wipe};
use crate::replay::ReplayWindow;
use core::fmt;
use dco_sync::{OutOfMemory, Shared};
use dco_wire::{
    DATA_HEADER_LEN, DATA_OVERHEAD, DataHeader, EPOCH_AAD_LEN, EPOCH_COUNTER_MAX, EPOCH_OVERHEAD, EPOCH_PACKET_ID_LEN,
    EpochPacketId, KeyId, PeerId, TAG_LEN,
};

/// Bytes of a block, as usage is counted.
const BLOCK: usize = 16;

/// Epochs that are opened at once: retiring, current, future.
const OPENED: usize = 2 + FUTURE_EPOCHS as usize;

/// The counter at which an epoch is left, well before the last one.
const COUNTER_ROTATE: u64 = EPOCH_COUNTER_MAX - (1 << 32);

/// The counter at which it is left though the peer does not follow.
const COUNTER_LATE: u64 = EPOCH_COUNTER_MAX - (1 << 31);

/// How many epochs we send ahead of the peer, and how many we can open above the one we send in, at least: of two who both keep to
/// it, neither ever gets where the other cannot follow. The keys for it are there in time, as [`FUTURE_EPOCHS`] is twice as many.
const LEAD: u16 = FUTURE_EPOCHS / 2;

/// How much may be sealed in one epoch, in packets and 16-byte blocks of plaintext together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsageLimit {
    /// Left above this, if the peer follows.
    rotate: u64,
    /// Left above this in any case.
    late: u64,
    /// Never exceeded.
    stop: u64,
}

impl UsageLimit {
    /// AES-GCM's: at most 2^36 - 1, a sixteenth of it kept for the time it may take the peer to follow, and us to make the next key.
    pub const AES_GCM: Self = Self { rotate: (1 << 36) - (1 << 32), late: (1 << 36) - (1 << 31), stop: (1 << 36) - 1 };

    /// ChaCha20-Poly1305 needs none.
    pub const NONE: Self = Self { rotate: u64::MAX, late: u64::MAX, stop: u64::MAX };

    /// The same with an epoch left at `rotate` already, if that is lower and the peer follows: for tests. The rest stays.
    #[must_use]
    pub fn lowered(self, rotate: u64) -> Self {
        Self { rotate: self.rotate.min(rotate), ..self }
    }
}

/// What an epoch key is made of.
pub struct EpochConfig {
    /// As [`KeyConfig::key_id`](crate::KeyConfig::key_id).
    pub key_id: u8,
    /// As [`KeyConfig::peer_id`](crate::KeyConfig::peer_id).
    pub peer_id: Option<PeerId>,
    /// Bytes of the cipher's keys, at most 32.
    pub key_len: usize,
    /// What the first epoch we send in is made of.
    pub seal: EpochSecret,
    /// What the first epoch we receive in is made of.
    pub open: EpochSecret,
    /// When we leave an epoch.
    pub limit: UsageLimit,
}

/// What a cipher is to be made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// What we send.
    Seal,
    /// What we receive.
    Open,
}

/// An epoch we send in. Made once: its counter is what keeps nonces apart.
#[repr(C)]
struct SealEpoch<A> {
    epoch: u16,
    cipher: A,
    iv: EpochIv,
    _apart: [u8; APART],
    /// Packets sealed.
    sealed: AtomicU64,
    /// Packets and blocks.
    used: AtomicU64,
}

impl<A> SealEpoch<A> {
    fn make<E>(
        secret: &EpochSecret,
        key_len: usize,
        make: &mut impl FnMut(&[u8]) -> Result<A, E>,
    ) -> Result<Shared<Self>, E>
    where
        E: From<OutOfMemory>,
    {
        let key = secret.data_key(key_len);
        let cipher = make(key.get(..key_len).unwrap_or_default())?;
        let zero = || AtomicU64::new(0);
        let made =
            Self { epoch: secret.epoch(), cipher, iv: secret.iv(), _apart: [0; APART], sealed: zero(), used: zero() };
        Ok(Shared::try_new(made)?)
    }

    /// Whether it should be left for the next one.
    #[inline]
    fn spent(&self, limit: UsageLimit) -> bool {
        self.used.load(Ordering::Relaxed) > limit.rotate || self.sealed.load(Ordering::Relaxed) >= COUNTER_ROTATE
    }

    /// Whether it must not wait for the peer to follow.
    #[cold]
    fn late(&self, limit: UsageLimit) -> bool {
        self.used.load(Ordering::Relaxed) > limit.late || self.sealed.load(Ordering::Relaxed) >= COUNTER_LATE
    }

    /// Takes the next packet id for a plaintext of `plain_len` bytes, writes header and id, and makes the nonce.
    #[inline]
    fn begin(
        &self,
        header: [u8; DATA_HEADER_LEN],
        plain_len: usize,
        limit: UsageLimit,
        aad: &mut [u8; EPOCH_AAD_LEN],
    ) -> Result<Nonce, SealError> {
        // Both counters go on when an epoch is used past its end; they have 64 bits to do so.
        let cost = (plain_len.div_ceil(BLOCK) as u64).saturating_add(1);
        let used = self.used.fetch_add(cost, Ordering::Relaxed).saturating_add(cost);
        let counter = self.sealed.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if used > limit.stop || counter > EPOCH_COUNTER_MAX {
            return Err(SealError::Exhausted);
        }
        let id = EpochPacketId { epoch: self.epoch, counter }.to_bytes();
        let [h0, h1, h2, h3] = header;
        let [i0, i1, i2, i3, i4, i5, i6, i7] = id;
        *aad = [h0, h1, h2, h3, i0, i1, i2, i3, i4, i5, i6, i7];
        Ok(self.iv.nonce(id))
    }
}

/// An epoch we receive in.
struct OpenEpoch<A> {
    cipher: A,
    iv: EpochIv,
    replay: ReplayWindow,
}

/// An epoch's number beside its key, so that looking for one touches no others.
struct Held<A> {
    epoch: u16,
    key: Shared<OpenEpoch<A>>,
}

impl<A> Held<A> {
    fn make<E>(secret: &EpochSecret, key_len: usize, make: &mut impl FnMut(&[u8]) -> Result<A, E>) -> Result<Self, E>
    where
        E: From<OutOfMemory>,
    {
        let key = secret.data_key(key_len);
        let cipher = make(key.get(..key_len).unwrap_or_default())?;
        let key = Shared::try_new(OpenEpoch { cipher, iv: secret.iv(), replay: ReplayWindow::try_new()? })?;
        Ok(Self { epoch: secret.epoch(), key })
    }
}

impl<A> Clone for Held<A> {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch, key: self.key.clone() }
    }
}

/// What all snapshots of a key have in common.
struct Common {
    receiving: Receiving,
    /// Somebody was told that the key nears its end.
    told_old: AtomicBool,
}

/// A data key of a peer in the epoch format, both directions: the keys that are held at one moment.
///
/// It never changes. [`EpochKey::refilled`] makes the next snapshot, which takes its place as a whole.
pub struct EpochKey<A: Aead> {
    header: [u8; DATA_HEADER_LEN],
    names_peer: bool,
    key_id: Option<KeyId>,
    key_len: usize,
    limit: UsageLimit,
    /// The epoch that seals, until it is spent.
    seal: Shared<SealEpoch<A>>,
    /// The one that seals then; `None` after the last.
    next: Option<Shared<SealEpoch<A>>>,
    open: [Option<Held<A>>; OPENED],
    /// Of the newest epoch in `seal` and `next`.
    seal_secret: EpochSecret,
    /// Of the newest epoch in `open`.
    open_secret: EpochSecret,
    common: Shared<Common>,
}

impl<A: Aead> EpochKey<A> {
    /// A key that has sealed and opened nothing. `make` makes a cipher's key from its bytes. PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// `make`'s, and [`OutOfMemory`].
    pub fn try_new<E: From<OutOfMemory>>(
        config: EpochConfig,
        mut make: impl FnMut(Purpose, &[u8]) -> Result<A, E>,
    ) -> Result<Self, E> {
        let EpochConfig { key_id, peer_id, key_len, seal: seal_secret, open: open_secret, limit } = config;
        let receiving = Receiving::new(open_secret.epoch());
        let mut key = Self {
            header: DataHeader { key_id: KeyId::from_low_bits(key_id), peer_id: peer_id.unwrap_or(PeerId::UNDEFINED) }
                .to_bytes(),
            names_peer: peer_id.is_some(),
            key_id: KeyId::new(key_id),
            key_len,
            limit,
            seal: SealEpoch::make(&seal_secret, key_len, &mut |bytes: &[u8]| make(Purpose::Seal, bytes))?,
            next: None,
            open: [const { None }; OPENED],
            seal_secret,
            open_secret,
            common: Shared::try_new(Common { receiving, told_old: AtomicBool::new(false) })?,
        };
        let mut open = |bytes: &[u8]| make(Purpose::Open, bytes);
        let [first, ..] = &mut key.open;
        *first = Some(Held::make(&key.open_secret, key_len, &mut open)?);
        key.fill_open(&mut open)?;
        key.fill_seal(&mut |bytes: &[u8]| make(Purpose::Seal, bytes))?;
        Ok(key)
    }

    /// The next snapshot: without the epochs that are retired, with those that are wanted. What goes on is shared with this one: keys,
    /// counters, windows. `make` makes a cipher's key like another of the same direction. PASSIVE_LEVEL.
    ///
    /// For the snapshot that is published, and the result has to take its place or be dropped unused: of two successors, each
    /// would begin the same epochs at packet id 1.
    ///
    /// # Errors
    ///
    /// `make`'s, and [`OutOfMemory`]. Keys are wanted as before then.
    pub fn refilled<E: From<OutOfMemory>>(&self, make: impl FnMut(&A, &[u8]) -> Result<A, E>) -> Result<Self, E> {
        self.common.receiving.take_wanted();
        let made = self.successor(make);
        if made.is_err() {
            self.want_keys();
        }
        made
    }

    fn successor<E: From<OutOfMemory>>(&self, mut make: impl FnMut(&A, &[u8]) -> Result<A, E>) -> Result<Self, E> {
        let (retiring, current) = self.common.receiving.epochs();
        let mut key = Self {
            header: self.header,
            names_peer: self.names_peer,
            key_id: self.key_id,
            key_len: self.key_len,
            limit: self.limit,
            seal: self.seal.clone(),
            next: self.next.clone(),
            open: [const { None }; OPENED],
            seal_secret: self.seal_secret.clone(),
            open_secret: self.open_secret.clone(),
            common: self.common.clone(),
        };
        let kept = self.open.iter().flatten().filter(|held| held.epoch == retiring || held.epoch >= current);
        key.open.iter_mut().zip(kept).for_each(|(place, held)| *place = Some(held.clone()));
        if let Some(like) = key.open.iter().flatten().next().map(|held| held.key.clone()) {
            key.fill_open(&mut |bytes: &[u8]| make(&like.cipher, bytes))?;
        }
        let like = self.seal.clone();
        let mut make = |bytes: &[u8]| make(&like.cipher, bytes);
        if key.sealing().1 {
            key.turn_seal();
        }
        while key.seal.epoch < current {
            if key.next.is_none() {
                key.fill_seal(&mut make)?;
            }
            if !key.turn_seal() {
                break;
            }
        }
        key.fill_seal(&mut make)?;
        Ok(key)
    }

    /// Holds receive keys up to [`FUTURE_EPOCHS`] above the current epoch.
    fn fill_open<E: From<OutOfMemory>>(&mut self, make: &mut impl FnMut(&[u8]) -> Result<A, E>) -> Result<(), E> {
        let (_, current) = self.common.receiving.epochs();
        let last = current.saturating_add(FUTURE_EPOCHS).min(LAST_EPOCH);
        for place in &mut self.open {
            if place.is_some() {
                continue;
            }
            match self.open_secret.next() {
                Some(secret) if secret.epoch() <= last => {
                    *place = Some(Held::make(&secret, self.key_len, make)?);
                    self.open_secret = secret;
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// Holds the send key after the one that seals.
    fn fill_seal<E: From<OutOfMemory>>(&mut self, make: &mut impl FnMut(&[u8]) -> Result<A, E>) -> Result<(), E> {
        if self.next.is_none()
            && let Some(secret) = self.seal_secret.next()
        {
            self.next = Some(SealEpoch::make(&secret, self.key_len, make)?);
            self.seal_secret = secret;
        }
        Ok(())
    }

    /// Leaves the epoch that seals for the next one, if that is there.
    fn turn_seal(&mut self) -> bool {
        match self.next.take() {
            Some(next) => {
                self.seal = next;
                true
            }
            None => false,
        }
    }

    /// Whether [`EpochKey::refilled`] has something to do. Any IRQL.
    #[inline]
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        self.common.receiving.wanted()
    }

    /// Has [`EpochKey::wants_keys`] say so, for a successor that did not come to be published. Any IRQL.
    pub fn want_keys(&self) {
        self.common.receiving.want();
    }

    /// The key-id of the packets it opens; `None` if it was given one above 7, which no packet has.
    #[inline]
    #[must_use]
    pub const fn key_id(&self) -> Option<KeyId> {
        self.key_id
    }

    /// As [`Key::header`](crate::Key::header).
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

    /// One of the ciphers that seal, to look at.
    #[must_use]
    pub fn cipher(&self) -> &A {
        &self.seal.cipher
    }

    /// The epoch it sends in.
    #[must_use]
    pub fn seal_epoch(&self) -> u16 {
        self.sealing().0.epoch
    }

    /// The epoch it receives in.
    #[must_use]
    pub fn open_epoch(&self) -> u16 {
        self.common.receiving.epochs().1
    }

    /// The first four bytes of the next packet's id: the epoch and the high bits of the counter; [`PACKET_ID_LIMIT`] at most, which
    /// is where OpenVPN thinks it time for another key.
    #[must_use]
    pub fn next_packet_id(&self) -> u32 {
        let (key, _) = self.sealing();
        let counter = key.sealed.load(Ordering::Relaxed).saturating_add(1).min(EPOCH_COUNTER_MAX);
        let [b0, b1, b2, b3, ..] = EpochPacketId { epoch: key.epoch, counter }.to_bytes();
        u32::from_be_bytes([b0, b1, b2, b3]).min(PACKET_ID_LIMIT)
    }

    /// True for the first who asks once [`EpochKey::next_packet_id`] is `packet_id` or above: time for another key.
    #[must_use]
    pub fn grows_old(&self, packet_id: u32) -> bool {
        self.next_packet_id() >= packet_id
            && !self.common.told_old.load(Ordering::Relaxed)
            && !self.common.told_old.swap(true, Ordering::Relaxed)
    }

    /// The epoch that seals now, and whether that is the next one already. Once it is, it stays so: usage and the epoch heard only grow.
    #[inline]
    fn sealing(&self) -> (&SealEpoch<A>, bool) {
        match &self.next {
            Some(next) if self.seal.spent(self.limit) && (self.followed(next.epoch) || self.seal.late(self.limit)) => {
                (next, true)
            }
            _ => (&self.seal, false),
        }
    }

    /// Whether the peer, by the epoch it was heard in, is near enough to be sent to in this one, and we can open all that it may then send
    /// in: it may have been heard in a later epoch since our keys were made.
    #[inline]
    fn followed(&self, epoch: u16) -> bool {
        let (_, heard) = self.common.receiving.epochs();
        epoch <= heard.saturating_add(LEAD) && epoch.saturating_add(LEAD).min(LAST_EPOCH) <= self.open_secret.epoch()
    }

    /// The epoch that seals a packet. As long as that is the next one, another is wanted.
    #[inline]
    fn take_sealing(&self) -> &SealEpoch<A> {
        let (key, turned) = self.sealing();
        if turned {
            self.common.receiving.want();
        }
        key
    }

    /// Seals `plain` into an epoch packet at the start of `out`: header, packet id, ciphertext, tag. Returns its length,
    /// `plain.len() + 28`. `peer_id` as in [`EpochKey::header`].
    ///
    /// # Errors
    ///
    /// See [`SealError`].
    #[inline]
    pub fn seal(&self, peer_id: PeerId, plain: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        let total = plain.len().checked_add(EPOCH_OVERHEAD).ok_or(SealError::OutputTooSmall)?;
        let out = out.get_mut(..total).ok_or(SealError::OutputTooSmall)?;
        let packet = Packet::split(out).ok_or(SealError::OutputTooSmall)?;
        let key = self.take_sealing();
        let nonce = key.begin(self.header(peer_id), plain.len(), self.limit, packet.aad)?;
        match key.cipher.seal(&nonce, packet.aad, plain, packet.body, packet.tag) {
            Ok(()) => Ok(total),
            Err(error) => Err(seal_failed(error, out)),
        }
    }

    /// Seals the `plain_len` bytes that begin at `out[24]`, where the classic format has them; they are moved down by twelve bytes, where
    /// this one has them. Returns the packet's length, `plain_len + 28`. `peer_id` as in [`EpochKey::header`].
    ///
    /// # Errors
    ///
    /// See [`SealError`]. If the key is exhausted the plaintext is wiped too.
    #[inline]
    pub fn seal_in_place(&self, peer_id: PeerId, out: &mut [u8], plain_len: usize) -> Result<usize, SealError> {
        let total = plain_len.checked_add(EPOCH_OVERHEAD).ok_or(SealError::OutputTooSmall)?;
        let out = out.get_mut(..total).ok_or(SealError::OutputTooSmall)?;
        let end = total.saturating_sub(EPOCH_OVERHEAD - DATA_OVERHEAD);
        if DATA_OVERHEAD > end || end > out.len() {
            return Err(SealError::OutputTooSmall);
        }
        out.copy_within(DATA_OVERHEAD..end, EPOCH_AAD_LEN);
        let packet = Packet::split(out).ok_or(SealError::OutputTooSmall)?;
        let key = self.take_sealing();
        let nonce = match key.begin(self.header(peer_id), plain_len, self.limit, packet.aad) {
            Ok(nonce) => nonce,
            Err(error) => {
                wipe(out);
                return Err(error);
            }
        };
        match key.cipher.seal_in_place(&nonce, packet.aad, packet.body, packet.tag) {
            Ok(()) => Ok(total),
            Err(error) => Err(seal_failed(error, out)),
        }
    }

    /// Opens an epoch packet into the start of `out`; returns the length of its plaintext, `datagram.len() - 28`, which may be 0.
    ///
    /// The epoch is looked at first, then the tag, then the counter against the epoch's replay window. Only a packet that passes all
    /// moves the epochs. `now_ms` as in [`ReplayWindow::accept`](crate::Window::accept).
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    #[inline]
    pub fn open(&self, datagram: &[u8], out: &mut [u8], now_ms: u64) -> Result<usize, OpenError> {
        let (aad, rest) = datagram.split_first_chunk::<EPOCH_AAD_LEN>().ok_or(OpenError::TooShort)?;
        let (cipher, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(OpenError::TooShort)?;
        let &[_, _, _, _, i0, i1, i2, i3, i4, i5, i6, i7] = aad;
        let id: [u8; EPOCH_PACKET_ID_LEN] = [i0, i1, i2, i3, i4, i5, i6, i7];
        let EpochPacketId { epoch, counter } = EpochPacketId::from_bytes(id);
        if epoch == 0 || counter == 0 {
            return Err(OpenError::PacketIdZero);
        }
        let key = self.opening(epoch)?;
        let out = out.get_mut(..cipher.len()).ok_or(OpenError::OutputTooSmall)?;
        if let Err(error) = key.cipher.open(&key.iv.nonce(id), aad, cipher, tag, out) {
            wipe(out);
            return Err(match error {
                AeadError::AuthFailed => OpenError::AuthFailed,
                AeadError::Backend(code) => OpenError::Aead(code),
            });
        }
        if key.replay.accept(counter, now_ms).is_err() {
            wipe(out);
            return Err(OpenError::Replay);
        }
        self.common.receiving.heard(epoch);
        Ok(cipher.len())
    }

    /// The key that opens an epoch.
    #[inline]
    fn opening(&self, epoch: u16) -> Result<&OpenEpoch<A>, OpenError> {
        if self.common.receiving.place(epoch) == Place::Retired {
            return Err(OpenError::EpochRetired);
        }
        let held = self.open.iter().flatten().find(|held| held.epoch == epoch);
        held.map(|held| &*held.key).ok_or(OpenError::EpochTooFar)
    }
}

impl<A: Aead> fmt::Debug for EpochKey<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKey")
            .field("key_id", &self.key_id)
            .field("seal_epoch", &self.seal_epoch())
            .field("open_epoch", &self.open_epoch())
            .finish_non_exhaustive()
    }
}

/// The parts of a packet to be sealed.
struct Packet<'a> {
    aad: &'a mut [u8; EPOCH_AAD_LEN],
    body: &'a mut [u8],
    tag: &'a mut Tag,
}

impl<'a> Packet<'a> {
    /// `None` if `out` has fewer than 28 bytes.
    #[inline]
    fn split(out: &'a mut [u8]) -> Option<Self> {
        let (aad, rest) = out.split_first_chunk_mut::<EPOCH_AAD_LEN>()?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        Some(Self { aad, body, tag })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::vec;

    /// A cipher that leaves rubbish and answers as told.
    struct Scripted(Result<(), AeadError>);

    impl Aead for Scripted {
        fn seal(&self, _: &Nonce, _: &[u8], _: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
            out.fill(0xc1);
            tag.fill(0x7a);
            self.0
        }

        fn seal_in_place(&self, _: &Nonce, _: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
            data.fill(0xc1);
            tag.fill(0x7a);
            self.0
        }

        fn open(&self, _: &Nonce, _: &[u8], _: &[u8], _: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
            out.fill(0x5e);
            self.0
        }
    }

    fn key(first: u16, limit: UsageLimit, answer: Result<(), AeadError>) -> EpochKey<Scripted> {
        let secret = || EpochSecret::of_epoch(first, [7; 32]);
        let config = EpochConfig { key_id: 1, peer_id: None, key_len: 32, seal: secret(), open: secret(), limit };
        EpochKey::try_new(config, |_, _| Ok::<_, OutOfMemory>(Scripted(answer))).expect("memory")
    }

    fn sealed(key: &EpochKey<Scripted>, len: usize) -> Result<EpochPacketId, SealError> {
        let mut out = [0; 128];
        key.seal(PeerId::UNDEFINED, &[0; 64][..len], &mut out)?;
        let (_, [i0, i1, i2, i3, i4, i5, i6, i7, ..]) = out.split_first_chunk::<4>().expect("room") else {
            panic!("room")
        };
        Ok(EpochPacketId::from_bytes([*i0, *i1, *i2, *i3, *i4, *i5, *i6, *i7]))
    }

    fn id(epoch: u16, counter: u64) -> Result<EpochPacketId, SealError> {
        Ok(EpochPacketId { epoch, counter })
    }

    #[test]
    fn limits_are_the_formulas() {
        // q + s <= p^(1/2) * 2^(129/2) - 1 with p = 2^-57.
        assert_eq!(UsageLimit::AES_GCM.stop, (1 << ((129 - 57) / 2)) - 1);
        let UsageLimit { rotate, late, stop } = UsageLimit::AES_GCM;
        assert!(rotate < late && late < stop);
        assert_eq!(UsageLimit::AES_GCM.lowered(5), UsageLimit { rotate: 5, late, stop });
        assert_eq!(UsageLimit::AES_GCM.lowered(u64::MAX), UsageLimit::AES_GCM);
        assert_eq!(UsageLimit::NONE.lowered(9), UsageLimit { rotate: 9, late: u64::MAX, stop: u64::MAX });
    }

    #[test]
    fn an_epoch_is_left_above_its_limit_and_blocks_are_rounded_up() {
        let key = key(1, UsageLimit::NONE.lowered(6), Ok(()));
        // 1, then 1 + 1, then 1 + 2: six, which is not above six.
        for (counter, len) in [(1, 0), (2, 1), (3, 17)] {
            assert_eq!(sealed(&key, len), id(1, counter));
        }
        assert!(!key.wants_keys());
        assert_eq!(sealed(&key, 0), id(1, 4));
        assert_eq!(key.seal_epoch(), 2);
        assert_eq!(sealed(&key, 0), id(2, 1));
        assert!(key.wants_keys());
        // Until keys are made it goes on there.
        for counter in 2..50 {
            assert_eq!(sealed(&key, 64), id(2, counter));
        }
        let key = key.refilled(|_, _| Ok::<_, OutOfMemory>(Scripted(Ok(())))).expect("memory");
        assert!(!key.wants_keys());
        assert_eq!(sealed(&key, 0), id(3, 1));
    }

    #[test]
    fn the_safety_limit_is_never_exceeded() {
        let key = key(LAST_EPOCH, UsageLimit::AES_GCM, Ok(()));
        key.seal.used.store(UsageLimit::AES_GCM.stop - 3, Ordering::Relaxed);
        assert_eq!(sealed(&key, 17), id(LAST_EPOCH, 1));
        assert_eq!(sealed(&key, 0), Err(SealError::Exhausted));
        let mut out = [0xcc; 64];
        assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, 36), Err(SealError::Exhausted));
        assert_eq!(out, [0; 64]);
        // There is nothing to be made that would help.
        assert!(!key.wants_keys());
    }

    #[test]
    fn no_counter_is_used_beyond_the_last() {
        let key = key(LAST_EPOCH, UsageLimit::NONE, Ok(()));
        key.seal.sealed.store(EPOCH_COUNTER_MAX - 1, Ordering::Relaxed);
        assert_eq!(sealed(&key, 0), id(LAST_EPOCH, EPOCH_COUNTER_MAX));
        assert_eq!(sealed(&key, 0), Err(SealError::Exhausted));
        assert_eq!(key.next_packet_id(), PACKET_ID_LIMIT);
    }

    #[test]
    fn an_epoch_is_left_before_its_last_counter() {
        let key = key(1, UsageLimit::NONE, Ok(()));
        key.seal.sealed.store(COUNTER_ROTATE - 1, Ordering::Relaxed);
        assert_eq!(sealed(&key, 0), id(1, COUNTER_ROTATE));
        assert_eq!(sealed(&key, 0), id(2, 1));
    }

    #[test]
    fn an_epoch_is_left_once_the_peer_follows_or_it_is_late() {
        let refill =
            |key: &EpochKey<Scripted>| key.refilled(|_, _| Ok::<_, OutOfMemory>(Scripted(Ok(())))).expect("memory");
        let mut key = key(1, UsageLimit::AES_GCM.lowered(0), Ok(()));
        for (epoch, counter) in [(1, 1), (2, 1), (3, 1), (3, 2), (3, 3)] {
            assert_eq!(sealed(&key, 0), id(epoch, counter));
            key = refill(&key);
        }
        assert!(!key.wants_keys(), "the peer is waited for");
        // It was heard one epoch on: so one more, once there are keys for what it may send then.
        let mut datagram = [0; 28];
        datagram[..12].copy_from_slice(&[0x49, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1]);
        assert_eq!(key.open(&datagram, &mut [], 0), Ok(0));
        assert_eq!(sealed(&key, 0), id(3, 4));
        assert!(key.wants_keys());
        key = refill(&key);
        assert_eq!((sealed(&key, 0), sealed(&key, 0)), (id(4, 1), id(4, 2)));
        let key = refill(&key);
        assert_eq!(sealed(&key, 0), id(4, 3));
        key.seal.used.store(UsageLimit::AES_GCM.late, Ordering::Relaxed);
        assert_eq!((sealed(&key, 0), sealed(&key, 0)), (id(4, 4), id(5, 1)));
        let key = refill(&key);
        key.seal.sealed.store(COUNTER_LATE, Ordering::Relaxed);
        assert_eq!(sealed(&key, 0), id(6, 1));
    }

    #[test]
    fn a_key_grows_old_by_its_epochs_and_says_so_once() {
        let young = key(0xd1ff, UsageLimit::NONE, Ok(()));
        assert_eq!((young.next_packet_id(), young.grows_old(0xd200_0000)), (0xd1ff_0000, false));
        let old = key(0xd200, UsageLimit::NONE, Ok(()));
        assert!(old.grows_old(0xd200_0000));
        let next = old.refilled(|_, _| Ok::<_, OutOfMemory>(Scripted(Ok(())))).expect("memory");
        assert!(!next.grows_old(0xd200_0000), "said by the snapshot before");
        assert_eq!(key(LAST_EPOCH, UsageLimit::NONE, Ok(())).next_packet_id(), PACKET_ID_LIMIT);
    }

    #[test]
    fn a_failing_cipher_leaves_nothing() {
        let broken = key(1, UsageLimit::NONE, Err(AeadError::Backend(-7)));
        let mut out = [0xcc; 40];
        assert_eq!(broken.seal(PeerId::UNDEFINED, &[1; 8], &mut out), Err(SealError::Aead(-7)));
        assert_eq!((&out[..36], &out[36..]), (&[0; 36][..], &[0xcc; 4][..]));
        out = [0xcc; 40];
        assert_eq!(broken.seal_in_place(PeerId::UNDEFINED, &mut out, 8), Err(SealError::Aead(-7)));
        assert_eq!((&out[..36], &out[36..]), (&[0; 36][..], &[0xcc; 4][..]));
        let forged = key(1, UsageLimit::NONE, Err(AeadError::AuthFailed));
        let mut datagram = [0; 36];
        datagram[..12].copy_from_slice(&[0x49, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1]);
        let mut plain = [0xcc; 12];
        assert_eq!(forged.open(&datagram, &mut plain, 0), Err(OpenError::AuthFailed));
        assert_eq!((&plain[..8], &plain[8..]), (&[0; 8][..], &[0xcc; 4][..]));
        assert_eq!((forged.open_epoch(), forged.wants_keys()), (1, false));
    }

    #[test]
    fn too_little_room_is_noticed_first() {
        let key = key(1, UsageLimit::NONE, Ok(()));
        for room in 0..36 {
            let mut out = vec![0xcc; room];
            assert_eq!(key.seal(PeerId::UNDEFINED, &[1; 8], &mut out), Err(SealError::OutputTooSmall));
            for len in [8, usize::MAX, usize::MAX - 28, usize::MAX - 27] {
                assert_eq!(key.seal_in_place(PeerId::UNDEFINED, &mut out, len), Err(SealError::OutputTooSmall));
            }
            assert!(out.iter().all(|byte| *byte == 0xcc));
        }
        let mut datagram = [0; 36];
        datagram[..12].copy_from_slice(&[0x49, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        for room in 0..8 {
            assert_eq!(key.open(&datagram, &mut vec![0; room], 0), Err(OpenError::OutputTooSmall));
        }
        for len in 0..28 {
            assert_eq!(key.open(&datagram[..len], &mut [0; 64], 0), Err(OpenError::TooShort));
        }
        assert_eq!(key.open(&datagram, &mut [0; 8], 0), Ok(8));
        assert_eq!(sealed(&key, 0), id(1, 1), "no id was used");
    }

    #[test]
    fn where_keys_cannot_be_made_all_is_as_it_was() {
        let key = key(1, UsageLimit::NONE.lowered(0), Ok(()));
        assert_eq!((sealed(&key, 0), sealed(&key, 0)), (id(1, 1), id(2, 1)));
        assert!(key.refilled(|_, _| Err::<Scripted, _>(OutOfMemory)).is_err());
        assert!(key.wants_keys());
        assert_eq!(sealed(&key, 0), id(2, 2));
        let next = key.refilled(|_, _| Ok::<_, OutOfMemory>(Scripted(Ok(())))).expect("memory");
        // The epoch that goes on goes on counting; it is spent, too.
        assert_eq!(next.seal.sealed.load(Ordering::Relaxed), 2);
        assert_eq!(sealed(&next, 0), id(3, 1));
    }
}
