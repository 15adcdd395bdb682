//! I/O requests: owned, and completed exactly once.

use crate::status::{Result, Status};
use core::mem::ManuallyDrop;
use core::ptr::null_mut;
use nt_sys::{WDFREQUEST, wdf_call};

/// A request that the driver owns. Completing or forwarding it consumes it; one that is dropped instead is completed with
/// INTERNAL_ERROR, so that no request is ever lost. IRQL <= DISPATCH_LEVEL.
pub struct Request(WDFREQUEST);

// SAFETY: a request may be completed from any thread.
unsafe impl Send for Request {}

impl Request {
    /// Takes over a request that the framework handed to the driver.
    ///
    /// # Safety
    /// `raw` was just delivered to the driver, which owns it.
    pub(crate) const unsafe fn adopt(raw: WDFREQUEST) -> Self {
        Self(raw)
    }

    /// Gives the handle away without completing it.
    pub(crate) fn release(self) -> WDFREQUEST {
        ManuallyDrop::new(self).0
    }

    /// The input buffer, if it holds at least `min` (> 0) bytes.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for a shorter buffer.
    pub fn input(&self, min: usize) -> Result<&[u8]> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.0, min as _, &raw mut p, &raw mut len) }).ok()?;
        // SAFETY: the framework vouches for `len` readable bytes until completion; the borrow of `self` keeps completion and
        // `output` (the same memory under METHOD_BUFFERED) out.
        Ok(unsafe { core::slice::from_raw_parts(p.cast(), len) })
    }

    /// The input buffer, writable, for wiping secrets from it.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for a shorter buffer.
    pub fn input_mut(&mut self, min: usize) -> Result<&mut [u8]> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveInputBuffer, self.0, min as _, &raw mut p, &raw mut len) }).ok()?;
        // SAFETY: a buffered ioctl's input lies in the system buffer, which is writable for `len` bytes until completion; the
        // exclusive borrow keeps other views out.
        Ok(unsafe { core::slice::from_raw_parts_mut(p.cast(), len) })
    }

    /// The output buffer, if it holds at least `min` (> 0) bytes.
    ///
    /// # Errors
    /// BUFFER_TOO_SMALL for a shorter buffer.
    pub fn output(&mut self, min: usize) -> Result<&mut [u8]> {
        let (mut p, mut len) = (null_mut(), 0);
        // SAFETY: the request is owned; both out pointers are live locals.
        Status(unsafe { wdf_call!(WdfRequestRetrieveOutputBuffer, self.0, min as _, &raw mut p, &raw mut len) })
            .ok()?;
        // SAFETY: the framework vouches for `len` writable bytes until completion; the exclusive borrow keeps `input` out.
        Ok(unsafe { core::slice::from_raw_parts_mut(p.cast(), len) })
    }

    /// Completes without output.
    pub fn complete(self, status: Status) {
        self.complete_with(status, 0);
    }

    /// Completes with `information` bytes of output (reads, ioctls) or consumed (writes).
    pub fn complete_with(self, status: Status, information: usize) {
        let raw = self.release();
        // SAFETY: the request was owned and is consumed here.
        unsafe { wdf_call!(WdfRequestCompleteWithInformation, raw, status.0, information as _) };
    }

    /// Copies `bytes` to the output and completes with SUCCESS, or with BUFFER_TOO_SMALL where they do not fit.
    pub fn complete_output(mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.complete(Status::SUCCESS);
        }
        let copied = self.output(bytes.len()).map(|out| {
            for (to, from) in out.iter_mut().zip(bytes) {
                *to = *from;
            }
        });
        match copied {
            Ok(()) => self.complete_with(Status::SUCCESS, bytes.len()),
            Err(status) => self.complete(status),
        }
    }

    /// Completes with the outcome of an operation that has no output.
    pub fn complete_result(self, result: Result<()>) {
        self.complete(result.err().unwrap_or(Status::SUCCESS));
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: the request is still owned: completing and forwarding go through `release`, which skips this.
        unsafe { wdf_call!(WdfRequestCompleteWithInformation, self.0, Status::INTERNAL_ERROR.0, 0) };
    }
}
