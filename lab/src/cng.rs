//! CNG (cng.sys) over OpenSSL: AES-GCM, ChaCha20-Poly1305 and the random number generator.
//!
//! Packet-rate calls (`BCryptEncrypt`, `BCryptDecrypt`) take no lock and allocate nothing once their key is warm: a key
//! keeps contexts whose key schedule is set, and a call only sets a new nonce.

mod chain;
mod handles;
mod key;
mod provider;
#[cfg(test)]
mod tests;

use crate::Export;
use crate::nt::status::{
    AUTH_TAG_MISMATCH, BUFFER_TOO_SMALL, INVALID_HANDLE, INVALID_PARAMETER, NO_MEMORY, NOT_FOUND, NOT_SUPPORTED,
    SUCCESS, UNSUCCESSFUL,
};
use crate::report::{Rule, record, record_of};

pub use provider::offer_chacha;

/// `BCRYPT_OBJECT_LENGTH` of every algorithm here.
const OBJECT_LENGTH: u32 = 654;
const AEAD_DOC: &str = "WDK: BCryptEncrypt, BCryptDecrypt, BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO";

const BAD_INFO: Rule = Rule::new("cng.bad-info", AEAD_DOC);
const LEAK: Rule =
    Rule::new("cng.leak", "WDK: BCryptCloseAlgorithmProvider, BCryptDestroyKey; Driver Verifier pool tracking");
const NOT_IMPLEMENTED: Rule = Rule::new("cng.not-implemented", "the lab");

fn not_implemented(what: &str) {
    record(NOT_IMPLEMENTED, what);
}

/// The text of a NUL-terminated UTF-16 string.
///
/// # Safety
/// `p` must point at one.
unsafe fn wide(p: *const u16) -> String {
    let mut units = Vec::new();
    for i in 0..256 {
        // SAFETY: no NUL so far, so the string goes on here.
        let u = unsafe { p.add(i).read_unaligned() };
        if u == 0 {
            break;
        }
        units.push(u);
    }
    String::from_utf16_lossy(&units)
}

/// Records `cng.leak` for every provider and key alive; called after the driver's unload.
pub fn check_leaks() {
    for (handle, what) in handles::live() {
        record_of(LEAK, &handles::describe(handle), &format!("{what}, handle {handle:#x}, is alive after unload"));
    }
}

/// Live providers and keys.
#[must_use]
pub fn live() -> usize {
    handles::live().len()
}

/// What this family exports.
#[must_use]
pub fn exports() -> Vec<Export> {
    let list: [(&'static str, usize); 10] = [
        ("BCryptOpenAlgorithmProvider", provider::open as *const () as usize),
        ("BCryptCloseAlgorithmProvider", provider::close as *const () as usize),
        ("BCryptSetProperty", provider::set_property as *const () as usize),
        ("BCryptGetProperty", provider::get_property as *const () as usize),
        ("BCryptGenRandom", provider::gen_random as *const () as usize),
        ("BCryptGenerateSymmetricKey", key::generate as *const () as usize),
        ("BCryptImportKey", key::import as *const () as usize),
        ("BCryptDestroyKey", key::destroy as *const () as usize),
        ("BCryptEncrypt", key::encrypt as *const () as usize),
        ("BCryptDecrypt", key::decrypt as *const () as usize),
    ];
    list.into_iter().map(|(name, address)| Export { module: "cng.sys", name, address }).collect()
}
