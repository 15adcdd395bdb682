//! The version that a test has GET_VERSION say, in the driver's stead.
//!
//! OpenVPN asks for multi-peer mode from 2.0 on and for epoch keys from 2.8 on. A driver that has both but does not claim them
//! is tested with the real OpenVPN so; what it answers to anything else is its own.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::wire::Response;

/// Major and minor version in two halves of a number; 0: the driver's own.
pub struct Version(AtomicU32);

impl Version {
    /// The driver's own.
    pub const fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Sets it: the major version in the upper 16 bits, the minor one in the lower.
    pub fn set(&self, version: u32) {
        self.0.store(version, Ordering::Relaxed);
    }

    /// Puts it into a successful answer to GET_VERSION, which is three numbers of 4 bytes: major, minor, patch.
    pub fn put(&self, response: &mut Response) {
        let version = self.0.load(Ordering::Relaxed);
        if version == 0 || response.status < 0 {
            return;
        }
        let [major, minor] = [version >> 16, version & 0xFFFF];
        if let Some(output) = response.output.first_chunk_mut::<8>() {
            output[..4].copy_from_slice(&major.to_le_bytes());
            output[4..].copy_from_slice(&minor.to_le_bytes());
        }
    }
}
