//! A thread that is joined when its owner lets go of it.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr::{null_mut, with_exposed_provenance_mut};

use super::ffi::{self, PVOID};

/// A running or ended thread. Dropping it waits for the thread's end.
pub struct Thread {
    /// A handle, kept as a number, for a handle may be used from any thread.
    handle: usize,
}

type Body = Box<dyn FnOnce() + Send>;

impl Thread {
    /// Starts `body` in a thread of its own. Nothing if the system refuses.
    pub fn spawn(body: impl FnOnce() + Send + 'static) -> Option<Self> {
        let body: Box<Body> = Box::new(Box::new(body));
        let context = Box::into_raw(body);
        // SAFETY: `main` takes back the box that `context` is, once.
        let handle = unsafe { ffi::CreateThread(null_mut(), 0, main, context.cast(), 0, null_mut()) };
        if handle.is_null() {
            // SAFETY: no thread was made, so the box is still ours.
            drop(unsafe { Box::from_raw(context) });
            return None;
        }
        Some(Self { handle: handle.expose_provenance() })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let handle: *mut c_void = with_exposed_provenance_mut(self.handle);
        // SAFETY: the handle is this value's own and open.
        unsafe { ffi::WaitForSingleObject(handle, u32::MAX) };
        // SAFETY: the handle is this value's own and is not used again.
        unsafe { ffi::CloseHandle(handle) };
    }
}

unsafe extern "system" fn main(context: PVOID) -> u32 {
    // SAFETY: `spawn` made the context from such a box and gave it to this one thread.
    let body = unsafe { Box::from_raw(context.cast::<Body>()) };
    body();
    0
}
