//! Safe wrappers of what the C shim offers (`dco_shim_*`), and of the memory it hands in.
//!
//! Contexts are named as in dco.h. What may sleep says so.

use core::{
    marker::PhantomData,
    ptr,
    ptr::NonNull,
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use dco_core::Tick;
use dco_crypto::{AeadError, Nonce, Tag};

use crate::ffi::{self, dco_addr, dco_aead, dco_buf, dco_dev, dco_endpoint, dco_link};

/// EBADMSG: the tag is wrong.
const EBADMSG: i32 = -74;

/// A negative errno.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

impl Errno {
    pub const NOENT: Self = Self(-2);
    pub const NOMEM: Self = Self(-12);
    pub const EXIST: Self = Self(-17);
    pub const INVAL: Self = Self(-22);
    pub const ADDRINUSE: Self = Self(-98);
}

/// One direction's key in the kernel's crypto API. Dropped in control context.
pub struct Aead {
    aead: NonNull<dco_aead>,
    cipher: u32,
    /// Bytes that a tag covers besides the payload.
    #[cfg(feature = "epoch")]
    aad_len: usize,
}

// SAFETY: the shim keeps no state of a call in the key (one request a processor), so any processors may use it at once.
unsafe impl Send for Aead {}
// SAFETY: as above.
unsafe impl Sync for Aead {}

impl Aead {
    /// Makes a key. Control context; sleeps.
    ///
    /// # Errors
    /// The shim's: EINVAL for a bad length, ENOENT for a cipher this kernel lacks, ENOMEM.
    pub fn new(cipher: u32, key: &[u8]) -> Result<Self, Errno> {
        let len = u32::try_from(key.len()).map_err(|_| Errno::INVAL)?;
        let mut aead = ptr::null_mut();
        // SAFETY: `key` is readable for `len` bytes and `aead` is a live local.
        match unsafe { ffi::dco_shim_aead_new(cipher, key.as_ptr(), len, &raw mut aead) } {
            0 => NonNull::new(aead)
                .map(|aead| Self {
                    aead,
                    cipher,
                    #[cfg(feature = "epoch")]
                    aad_len: dco_wire::AAD_LEN,
                })
                .ok_or(Errno::NOMEM),
            error => Err(Errno(error)),
        }
    }

    /// Makes the key of an epoch. Control context; sleeps.
    ///
    /// # Errors
    /// As [`Aead::new`].
    #[cfg(feature = "epoch")]
    pub fn of_epoch(cipher: u32, key: &[u8]) -> Result<Self, Errno> {
        let len = u32::try_from(key.len()).map_err(|_| Errno::INVAL)?;
        let mut aead = ptr::null_mut();
        // SAFETY: as in `new`.
        match unsafe { crate::epoch_ffi::dco_shim_aead_new_epoch(cipher, key.as_ptr(), len, &raw mut aead) } {
            0 => NonNull::new(aead)
                .map(|aead| Self { aead, cipher, aad_len: dco_wire::EPOCH_AAD_LEN })
                .ok_or(Errno::NOMEM),
            error => Err(Errno(error)),
        }
    }

    #[cfg(feature = "epoch")]
    #[inline]
    fn aad_len(&self) -> usize {
        self.aad_len
    }

    #[cfg(not(feature = "epoch"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "there is one format")]
    fn aad_len(&self) -> usize {
        dco_wire::AAD_LEN
    }

    /// DCO_CIPHER_*, as it was made.
    pub fn cipher(&self) -> u32 {
        self.cipher
    }
}

impl Drop for Aead {
    fn drop(&mut self) {
        // SAFETY: made by dco_shim_aead_new() and owned by this value alone; the core drops keys in control context, after their last reader.
        unsafe { ffi::dco_shim_aead_free(self.aead.as_ptr()) };
    }
}

impl dco_crypto::Aead for Aead {
    #[inline]
    fn seal(&self, nonce: &Nonce, aad: &[u8], plain: &[u8], out: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        let len = call_len(self.aad_len(), aad, plain.len(), out.len())?;
        // SAFETY: the key lives as long as self; aad has as many bytes as the key's format says, plain and out `len`, tag 16, nonce 12; they do not overlap, being
        // shared and mutable borrows.
        let result = unsafe {
            ffi::dco_shim_aead_seal(
                self.aead.as_ptr(),
                nonce.as_ptr(),
                aad.as_ptr(),
                plain.as_ptr(),
                out.as_mut_ptr(),
                len,
                tag.as_mut_ptr(),
            )
        };
        call_result(result)
    }

    #[inline]
    fn seal_in_place(&self, nonce: &Nonce, aad: &[u8], data: &mut [u8], tag: &mut Tag) -> Result<(), AeadError> {
        let len = call_len(self.aad_len(), aad, data.len(), data.len())?;
        let place = data.as_mut_ptr();
        // SAFETY: as in `seal`; the shim allows plain and out to be the same.
        let result = unsafe {
            ffi::dco_shim_aead_seal(
                self.aead.as_ptr(),
                nonce.as_ptr(),
                aad.as_ptr(),
                place.cast_const(),
                place,
                len,
                tag.as_mut_ptr(),
            )
        };
        call_result(result)
    }

    #[inline]
    fn open(&self, nonce: &Nonce, aad: &[u8], cipher: &[u8], tag: &Tag, out: &mut [u8]) -> Result<(), AeadError> {
        let len = call_len(self.aad_len(), aad, cipher.len(), out.len())?;
        // SAFETY: as in `seal`; the shim writes `out` alone.
        let result = unsafe {
            ffi::dco_shim_aead_open(
                self.aead.as_ptr(),
                nonce.as_ptr(),
                aad.as_ptr(),
                cipher.as_ptr(),
                out.as_mut_ptr(),
                len,
                tag.as_ptr(),
            )
        };
        call_result(result)
    }
}

/// The length of a cipher call, if the lengths of its parts agree.
#[inline]
fn call_len(aad_len: usize, aad: &[u8], from: usize, to: usize) -> Result<u32, AeadError> {
    match u32::try_from(from) {
        Ok(len) if from == to && aad.len() == aad_len => Ok(len),
        _ => Err(AeadError::Backend(Errno::INVAL.0)),
    }
}

#[inline]
fn call_result(result: i32) -> Result<(), AeadError> {
    match result {
        0 => Ok(()),
        EBADMSG => Err(AeadError::AuthFailed),
        error => Err(AeadError::Backend(error)),
    }
}

/// The shell's part of a peer: its socket, routes, queues. Once taken over, it is given back when dropped, in control context.
#[derive(Debug)]
pub struct Link {
    link: NonNull<dco_link>,
    ours: AtomicBool,
}

// SAFETY: a link is used from any processor: the shim's own rule for it (dco.h).
unsafe impl Send for Link {}
// SAFETY: as above.
unsafe impl Sync for Link {}

impl Link {
    /// A link that is the caller's until [`Link::take_over`].
    ///
    /// # Safety
    /// `link` is one of the shim's; after it was taken over, nobody else gives it back.
    pub unsafe fn from_raw(link: NonNull<dco_link>) -> Self {
        Self { link, ours: AtomicBool::new(false) }
    }

    /// From here on dropping it gives it back.
    pub fn take_over(&self) {
        self.ours.store(true, Ordering::Relaxed);
    }

    /// For C. Valid as long as dco.h says of links.
    #[inline]
    pub fn as_ptr(&self) -> *mut dco_link {
        self.link.as_ptr()
    }

    /// Whether it uses this socket.
    pub fn uses(&self, socket: Socket) -> bool {
        // SAFETY: the link is alive as self is; the shim only compares the socket's address.
        unsafe { ffi::dco_shim_link_uses(self.as_ptr(), socket.0) }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if *self.ours.get_mut() {
            // SAFETY: taken over, so ours to give back, once, here; the core drops a peer in control context after its last reader.
            unsafe { ffi::dco_shim_link_release(self.as_ptr()) };
        }
    }
}

/// A kernel socket's address, to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Socket(pub *const core::ffi::c_void);

/// The shell's device. It outlives the core, which it owns.
#[derive(Clone, Copy, Debug)]
pub struct Shell(*mut dco_dev);

// SAFETY: an address that is handed back to the shim, which says of each function where it may be called.
unsafe impl Send for Shell {}
// SAFETY: as above.
unsafe impl Sync for Shell {}

impl Shell {
    /// The shell that calls itself `dev`.
    ///
    /// # Safety
    /// `dev` stays valid for the shim as long as the core with this shell lives.
    pub unsafe fn from_raw(dev: *mut dco_dev) -> Self {
        Self(dev)
    }

    /// Tells of a removed peer. Control context.
    pub fn peer_gone(self, link: &Link, id: u32, reason: u32) {
        // SAFETY: the device is valid (`from_raw`), the link as long as its borrow.
        unsafe { ffi::dco_shim_peer_gone(self.0, link.as_ptr(), id, reason) };
    }

    /// Tells of a peer's other address. Control context.
    pub fn peer_moved(self, link: &Link, id: u32, endpoint: &dco_endpoint) {
        // SAFETY: as in `peer_gone`; the endpoint lives through the call.
        unsafe { ffi::dco_shim_peer_moved(self.0, link.as_ptr(), id, endpoint) };
    }

    /// Tells of a key near its end. Control context.
    pub fn key_old(self, link: &Link, id: u32, key_id: u32) {
        // SAFETY: as in `peer_gone`.
        unsafe { ffi::dco_shim_key_old(self.0, link.as_ptr(), id, key_id) };
    }

    /// Sends a sealed packet, which is copied. Control context.
    pub fn send(self, link: &Link, to: &dco_endpoint, generation: u32, packet: &[u8]) {
        let Ok(len) = u32::try_from(packet.len()) else { return };
        // SAFETY: as in `peer_gone`; packet and endpoint live through the call, which copies them.
        unsafe { ffi::dco_shim_send(self.0, link.as_ptr(), to, generation, packet.as_ptr(), len) };
    }

    /// The next hop that routing has for `source` on this device. Data context.
    pub fn route_back(self, source: &dco_addr) -> Option<dco_addr> {
        let mut hop = dco_addr { family: 0, reserved: 0, addr: [0; 16] };
        // SAFETY: the device is valid (`from_raw`), both addresses are live; the shim keeps neither.
        unsafe { ffi::dco_shim_route_back(self.0, source, &raw mut hop) }.then_some(hop)
    }

    /// Asks for a tick soon. Data context.
    pub fn wake(self) {
        // SAFETY: the device is valid (`from_raw`).
        unsafe { ffi::dco_shim_wake(self.0) };
    }
}

/// Sleeps a little. Control context.
pub fn pause() {
    // SAFETY: without arguments; the core waits in control context only, where sleeping is allowed.
    unsafe { ffi::dco_shim_pause() };
}

/// Entered from control context: BH are off and RCU's read side is open until it is dropped.
pub struct DataContext {
    cpu: u32,
    stays_here: PhantomData<*const ()>,
}

impl DataContext {
    /// Enters it. Control context. Nothing sleeps until it is left.
    pub fn enter() -> Self {
        // SAFETY: without arguments; left when dropped, on this processor, since the value cannot be sent elsewhere.
        Self { cpu: unsafe { ffi::dco_shim_data_enter() }, stays_here: PhantomData }
    }

    /// This processor's number.
    pub fn cpu(&self) -> usize {
        self.cpu as usize
    }
}

impl Drop for DataContext {
    fn drop(&mut self) {
        // SAFETY: entered once, in `enter`.
        unsafe { ffi::dco_shim_data_leave() };
    }
}

/// The time. Any context.
pub fn now() -> Tick {
    // SAFETY: without arguments, callable anywhere.
    Tick(unsafe { ffi::dco_shim_now_ms() })
}

/// The packets of one call from C.
pub struct Train<'a>(&'a mut [dco_buf]);

/// One packet of a train.
pub struct Packet<'a> {
    /// The packet.
    pub src: &'a [u8],
    /// Where the result goes.
    pub dst: &'a mut [u8],
    len: &'a mut u32,
    verdict: &'a mut u32,
}

impl<'a> Train<'a> {
    /// The train of `count` packets at `bufs`; what is beyond [`ffi::DCO_TRAIN_MAX`] is left out.
    ///
    /// # Safety
    /// For 'a: `bufs` has `count` elements that nobody else uses; each `src` is readable for `src_len` bytes; each `dst` is writable
    /// for `dst_room` bytes, also if packet i's is moved up by `gap * (i + 1)` ([`Train::packets`]), and with epoch keys
    /// by DCO_EPOCH_LONGER * i more and so much longer ([`Train::lay`]), and no `dst` so moved overlaps another or a `src`.
    pub unsafe fn from_raw(bufs: *mut dco_buf, count: u32) -> Self {
        let count = count.min(ffi::DCO_TRAIN_MAX) as usize;
        if bufs.is_null() || count == 0 {
            return Self(&mut []);
        }
        // SAFETY: the caller vouches for `count` elements.
        Self(unsafe { slice::from_raw_parts_mut(bufs, count) })
    }

    /// Has `seal` make each packet's result, in order: how long it is, `None` to drop it. Results are laid out as by [`Train::packets`],
    /// each with room for DCO_EPOCH_LONGER bytes more; one that uses them moves up those behind it.
    #[cfg(feature = "epoch")]
    pub fn lay(self, gap: usize, mut seal: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) {
        use crate::epoch_ffi::DCO_EPOCH_LONGER;
        let mut moved = 0_usize;
        for buf in self.0 {
            let room = buf.dst_room;
            moved = moved.wrapping_add(gap);
            buf.dst = buf.dst.wrapping_add(moved);
            // SAFETY: from_raw's caller vouches for `src_len` bytes at `src`.
            let src = unsafe { bytes(buf.src, buf.src_len) };
            // SAFETY: from_raw's caller vouches for so many bytes there. The last of them may be the next packet's, which is not
            // looked at yet, and then begins behind what this one has used.
            let dst = unsafe { bytes_mut(buf.dst, room.saturating_add(DCO_EPOCH_LONGER)) };
            let len = seal(src, dst).and_then(|len| u32::try_from(len).ok());
            buf.verdict = if len.is_some() { ffi::DCO_PASS } else { ffi::DCO_DROP };
            buf.dst_len = len.unwrap_or(0);
            moved = moved.wrapping_add(buf.dst_len.saturating_sub(room) as usize);
        }
    }

    /// Its packets, in order, each with `gap` bytes more before its `dst`. Each is dropped unless [`Packet::pass`] or
    /// [`Packet::taken`] says otherwise.
    pub fn packets(self, gap: usize) -> impl Iterator<Item = Packet<'a>> {
        let mut moved = 0_usize;
        self.0.iter_mut().map(move |buf| {
            moved = moved.wrapping_add(gap);
            buf.dst = buf.dst.wrapping_add(moved);
            buf.verdict = ffi::DCO_DROP;
            buf.dst_len = 0;
            // SAFETY: from_raw's caller vouches for `src_len` bytes at `src`.
            let src = unsafe { bytes(buf.src, buf.src_len) };
            // SAFETY: from_raw's caller vouches for `dst_room` bytes there that are this packet's alone; each is visited once, as the train
            // is consumed.
            let dst = unsafe { bytes_mut(buf.dst, buf.dst_room) };
            Packet { src, dst, len: &mut buf.dst_len, verdict: &mut buf.verdict }
        })
    }
}

impl Packet<'_> {
    /// `len` bytes of the result are in `dst`.
    #[inline]
    pub fn pass(self, len: usize) {
        *self.verdict = ffi::DCO_PASS;
        // No longer than dst_room, which has 32 bits.
        *self.len = u32::try_from(len).unwrap_or(0);
    }

    /// It was for the core alone.
    #[inline]
    pub fn taken(self) {
        *self.verdict = ffi::DCO_TAKEN;
    }
}

/// The `len` bytes at `data`; none if it is NULL.
///
/// # Safety
/// They are readable and unchanged for 'a.
pub unsafe fn bytes<'a>(data: *const u8, len: u32) -> &'a [u8] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: not NULL, and the caller vouches for the bytes.
    unsafe { slice::from_raw_parts(data, len as usize) }
}

/// The `len` bytes at `data`; none if it is NULL.
///
/// # Safety
/// They are the caller's alone for 'a.
unsafe fn bytes_mut<'a>(data: *mut u8, len: u32) -> &'a mut [u8] {
    if data.is_null() {
        return &mut [];
    }
    // SAFETY: not NULL, and the caller vouches for the bytes.
    unsafe { slice::from_raw_parts_mut(data, len as usize) }
}
