//! I/O requests: owned, and completed exactly once.

use crate::status::{Result, Status};
use core::mem::ManuallyDrop;
use core::ptr::null_mut;
use nt_sys::{WDFREQUEST, wdf_call};

/// A request that the driver owns. Completing or forwarding it consumes it; one that is dropped instead is completed with
/// INTERNAL_ERROR, so that no request is ever lost. IRQL <= DISPATCH_LEVEL.
pub struct Request {
    raw: WDFREQUEST,
    /// Bytes copied from or to its buffer: what it reports when it succeeds.
    copied: usize,
    on_failure: Option<OnFailure>,
}

/// Who is told that a request fails, and of which.
#[derive(Clone, Copy)]
struct OnFailure {
    tell: fn(u32, u32, Status),
    device: u32,
    code: u32,
}

// SAFETY: a request may be completed from any thread.
unsafe impl Send for Request {}

impl Request {
    /// Takes over a request that the framework handed to the driver.
    ///
    /// # Safety
    /// `raw` was just delivered to the driver, which owns it.
    pub(crate) const unsafe fn adopt(raw: WDFREQUEST) -> Self {
        Self { raw, copied: 0, on_failure: None }
    }

    /// Gives the handle away without completing it.
    pub(crate) fn release(self) -> WDFREQUEST {
        ManuallyDrop::new(self).raw
    }

    /// Copies the input of a write to the front of `out` and returns its length. The input of a device with direct I/O is memory that
    /// its owner may change meanwhile, so it is copied before it is looked at.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for no input, INVALID_PARAMETER for more than `out` holds.
    pub fn copy_input(&mut self, out: &mut [u8]) -> Result<usize> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.raw, 1, &raw mut p, &raw mut len) }).ok()?;
        let out = out.get_mut(..len).ok_or(Status::INVALID_PARAMETER)?;
        // SAFETY: the framework vouches for `len` readable bytes until completion; `out` is as long and ours.
        unsafe { core::ptr::copy_nonoverlapping(p.cast::<u8>().cast_const(), out.as_mut_ptr(), len) };
        self.copied = len;
        Ok(len)
    }

    /// Copies the beginning of a write's input to `out`, as much as that holds; returns the length of all of it. For a look at what is
    /// copied whole, or from somewhere on, after that.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for no input.
    pub fn copy_beginning(&mut self, out: &mut [u8]) -> Result<usize> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.raw, 1, &raw mut p, &raw mut len) }).ok()?;
        // SAFETY: the framework vouches for `len` readable bytes until completion; `out` has at least as many of them.
        unsafe { core::ptr::copy_nonoverlapping(p.cast::<u8>().cast_const(), out.as_mut_ptr(), out.len().min(len)) };
        Ok(len)
    }

    /// Copies the input of a write from `skip` on to the front of `out` and returns the length of that. It reports the whole of it.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for no input, or none from there on; INVALID_PARAMETER for more than `out` holds.
    pub fn copy_input_from(&mut self, skip: usize, out: &mut [u8]) -> Result<usize> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.raw, 1, &raw mut p, &raw mut len) }).ok()?;
        let rest = len.checked_sub(skip).filter(|rest| *rest != 0).ok_or(Status::BUFFER_TOO_SMALL)?;
        let out = out.get_mut(..rest).ok_or(Status::INVALID_PARAMETER)?;
        // SAFETY: as above; `skip` and `rest` make `len`, and `out` has `rest` bytes and is ours.
        unsafe { core::ptr::copy_nonoverlapping(p.cast::<u8>().cast_const().add(skip), out.as_mut_ptr(), rest) };
        self.copied = len;
        Ok(rest)
    }

    /// Copies `head`, and `bytes` behind it, to the output buffer of a read, as [`copy_output`](Self::copy_output) does.
    ///
    /// # Errors
    /// As there.
    pub fn copy_parts(&mut self, head: &[u8], bytes: &[u8]) -> Result<usize> {
        let all = head.len().saturating_add(bytes.len());
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe {
            wdf_call!(WdfRequestRetrieveOutputBuffer, self.raw, all.max(1) as _, &raw mut p, &raw mut len)
        })
        .ok()?;
        let p = p.cast::<u8>();
        // SAFETY: the framework vouches for at least as many writable bytes as were asked for, until completion.
        unsafe {
            core::ptr::copy_nonoverlapping(head.as_ptr(), p, head.len());
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), p.add(head.len()), bytes.len());
        }
        self.copied = all;
        Ok(all)
    }

    /// Copies `bytes` to the output buffer of a read.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL where they do not fit (an empty buffer holds nothing, not even nothing); a mapping failure.
    pub fn copy_output(&mut self, bytes: &[u8]) -> Result<usize> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe {
            wdf_call!(WdfRequestRetrieveOutputBuffer, self.raw, bytes.len().max(1) as _, &raw mut p, &raw mut len)
        })
        .ok()?;
        // SAFETY: the framework vouches for at least as many writable bytes as were asked for, until completion.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), p.cast::<u8>(), bytes.len()) };
        self.copied = bytes.len();
        Ok(bytes.len())
    }

    /// Completes without output.
    pub fn complete(self, status: Status) {
        self.finish(status, 0);
    }

    /// Completes a read or write: with SUCCESS and the bytes that were copied, or with the error.
    pub fn complete_copied(self, result: Result<()>) {
        let copied = self.copied;
        match result {
            Ok(()) => self.finish(Status::SUCCESS, copied),
            Err(status) => self.finish(status, 0),
        }
    }

    /// Completes with `information` bytes, which the caller has seen copied.
    fn finish(self, status: Status, information: usize) {
        if let Some(OnFailure { tell, device, code }) = self.on_failure
            && status.is_error()
        {
            tell(device, code, status);
        }
        let raw = self.release();
        // SAFETY: the request was owned and is consumed here.
        unsafe { wdf_call!(WdfRequestCompleteWithInformation, raw, status.0, information as _) };
    }
}

/// A buffered ioctl: its input and output share one buffer of the system's, which nobody else touches.
pub struct Ioctl(pub(super) Request);

impl Ioctl {
    /// Takes over an ioctl that the framework handed to the driver. All of this driver's codes are METHOD_BUFFERED, and so is every
    /// other code it is asked to look into.
    ///
    /// # Safety
    /// `raw` was just delivered to the driver, which owns it, by a device control callback.
    pub(crate) const unsafe fn adopt(raw: WDFREQUEST) -> Self {
        // SAFETY: handed through.
        Self(unsafe { Request::adopt(raw) })
    }

    /// The input buffer.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for an empty one.
    pub fn input(&self) -> Result<&[u8]> {
        let (p, len) = self.raw_input()?;
        // SAFETY: `len` bytes of the system buffer, until completion; the borrow of `self` keeps completion and output out.
        Ok(unsafe { core::slice::from_raw_parts(p, len) })
    }

    /// Where the input lies in the system buffer, and how long it is.
    fn raw_input(&self) -> Result<(*mut u8, usize)> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.0.raw, 1, &raw mut p, &raw mut len) }).ok()?;
        Ok((p.cast(), len))
    }

    /// Reads the input buffer by `read` and then overwrites it, up to `len` bytes, by `wipe`. It is looked up once, for a second time
    /// could fail and leave there what was read.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn read_and_wipe<T>(
        &mut self,
        len: usize,
        read: impl FnOnce(&[u8]) -> T,
        wipe: impl FnOnce(&mut [u8]),
    ) -> Result<T> {
        let (p, all) = self.raw_input()?;
        // SAFETY: the system buffer holds `all` bytes, and the exclusive borrow of `self` keeps other views out.
        let value = read(unsafe { core::slice::from_raw_parts(p, all) });
        // SAFETY: as above; the buffer is writable, and the view of it has ended.
        wipe(unsafe { core::slice::from_raw_parts_mut(p, all.min(len)) });
        Ok(value)
    }

    /// Has `tell(device, code, status)` called before the request ends with an error, unless it is parked before. IRQL is that of the
    /// completion.
    pub const fn on_failure(&mut self, device: u32, code: u32, tell: fn(u32, u32, Status)) {
        self.0.on_failure = Some(OnFailure { tell, device, code });
    }

    /// The request, to be parked.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.0
    }

    /// Completes without output.
    pub fn complete(self, status: Status) {
        self.0.complete(status);
    }

    /// Copies `bytes` to the output, for [`complete_copied`](Self::complete_copied).
    ///
    /// # Errors
    /// As [`Request::copy_output`].
    pub fn copy_output(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.copy_output(bytes)
    }

    /// Completes with SUCCESS and the bytes that were copied, or with the error.
    pub fn complete_copied(self, result: Result<()>) {
        self.0.complete_copied(result);
    }

    /// Completes with the outcome of an operation that has no output.
    pub fn complete_result(self, result: Result<()>) {
        self.0.complete(result.err().unwrap_or(Status::SUCCESS));
    }

    /// Copies `bytes` to the output and completes with SUCCESS, or with BUFFER_TOO_SMALL where they do not fit.
    pub fn complete_output(self, bytes: &[u8]) {
        self.complete_output_as(Status::SUCCESS, bytes);
    }

    /// [`complete_output`](Self::complete_output) with a success or warning of the caller's.
    pub fn complete_output_as(mut self, status: Status, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.0.complete(status);
        }
        match self.0.copy_output(bytes) {
            Ok(len) => self.0.finish(status, len),
            Err(status) => self.0.complete(status),
        }
    }

    /// Has `fill` write pieces of output one after the other, each behind the one before, and completes with SUCCESS and what they make;
    /// with BUFFER_TOO_SMALL where they do not fit into `room` bytes, or these not into the output. Any IRQL <= DISPATCH_LEVEL.
    pub fn complete_pieces(mut self, room: usize, fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> bool)) {
        let (mut p, mut len) = (null_mut(), 0);
        if room == 0 {
            return self.0.complete(Status::SUCCESS);
        }
        // SAFETY: the request is owned; both out pointers are live locals.
        let buffer = Status(unsafe {
            wdf_call!(WdfRequestRetrieveOutputBuffer, self.0.raw, room as _, &raw mut p, &raw mut len)
        });
        if let Err(status) = buffer.ok() {
            return self.0.complete(status);
        }
        let mut used = 0usize;
        let mut fits = true;
        fill(&mut |piece: &[u8]| {
            let end = used.saturating_add(piece.len());
            fits &= end <= room;
            if fits {
                // SAFETY: the system buffer holds `room` bytes at least, of which the piece takes those from `used` to `end`.
                unsafe { core::ptr::copy_nonoverlapping(piece.as_ptr(), p.cast::<u8>().add(used), piece.len()) };
                used = end;
            }
            fits
        });
        self.0.copied = used;
        self.0.complete_copied(if fits { Ok(()) } else { Err(Status::BUFFER_TOO_SMALL) });
    }

    /// Whether the output buffer holds `len` bytes.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        let (mut p, mut room) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe {
            wdf_call!(WdfRequestRetrieveOutputBuffer, self.0.raw, len.max(1) as _, &raw mut p, &raw mut room)
        })
        .is_success()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the request is still owned: completing and forwarding go through `release`, which skips this.
        unsafe { wdf_call!(WdfRequestCompleteWithInformation, self.raw, Status::INTERNAL_ERROR.0, 0) };
    }
}
