//! Cryptography API: Next Generation in the kernel (`cng.sys`). Not in `wdk-sys`.

use crate::{NTSTATUS, PCWSTR, PUCHAR, PVOID, ULONG, ULONGLONG, wide};

pub type BCRYPT_HANDLE = PVOID;
pub type BCRYPT_ALG_HANDLE = PVOID;
pub type BCRYPT_KEY_HANDLE = PVOID;

#[cfg_attr(windows, link(name = "cng.sys", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "C" {
    #[must_use]
    pub fn BCryptOpenAlgorithmProvider(
        phAlgorithm: *mut BCRYPT_ALG_HANDLE,
        pszAlgId: PCWSTR,
        pszImplementation: PCWSTR,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    pub fn BCryptCloseAlgorithmProvider(hAlgorithm: BCRYPT_ALG_HANDLE, dwFlags: ULONG) -> NTSTATUS;
    #[must_use]
    pub fn BCryptGetProperty(
        hObject: BCRYPT_HANDLE,
        pszProperty: PCWSTR,
        pbOutput: PUCHAR,
        cbOutput: ULONG,
        pcbResult: *mut ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    #[must_use]
    pub fn BCryptSetProperty(
        hObject: BCRYPT_HANDLE,
        pszProperty: PCWSTR,
        pbInput: PUCHAR,
        cbInput: ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    #[must_use]
    pub fn BCryptGenerateSymmetricKey(
        hAlgorithm: BCRYPT_ALG_HANDLE,
        phKey: *mut BCRYPT_KEY_HANDLE,
        pbKeyObject: PUCHAR,
        cbKeyObject: ULONG,
        pbSecret: PUCHAR,
        cbSecret: ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    pub fn BCryptDestroyKey(hKey: BCRYPT_KEY_HANDLE) -> NTSTATUS;
    #[must_use]
    pub fn BCryptEncrypt(
        hKey: BCRYPT_KEY_HANDLE,
        pbInput: PUCHAR,
        cbInput: ULONG,
        pPaddingInfo: PVOID,
        pbIV: PUCHAR,
        cbIV: ULONG,
        pbOutput: PUCHAR,
        cbOutput: ULONG,
        pcbResult: *mut ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    #[must_use]
    pub fn BCryptDecrypt(
        hKey: BCRYPT_KEY_HANDLE,
        pbInput: PUCHAR,
        cbInput: ULONG,
        pPaddingInfo: PVOID,
        pbIV: PUCHAR,
        cbIV: ULONG,
        pbOutput: PUCHAR,
        cbOutput: ULONG,
        pcbResult: *mut ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
    #[must_use]
    pub fn BCryptGenRandom(
        hAlgorithm: BCRYPT_ALG_HANDLE,
        pbBuffer: PUCHAR,
        cbBuffer: ULONG,
        dwFlags: ULONG,
    ) -> NTSTATUS;
}

// Names, NUL-terminated.

pub const BCRYPT_AES_ALGORITHM: &[u16; 4] = wide!("AES");
pub const BCRYPT_CHACHA20_POLY1305_ALGORITHM: &[u16; 18] = wide!("CHACHA20_POLY1305");
pub const BCRYPT_CHAINING_MODE: &[u16; 13] = wide!("ChainingMode");
pub const BCRYPT_CHAIN_MODE_GCM: &[u16; 16] = wide!("ChainingModeGCM");
pub const BCRYPT_CHAIN_MODE_NA: &[u16; 16] = wide!("ChainingModeN/A");
pub const BCRYPT_OBJECT_LENGTH: &[u16; 13] = wide!("ObjectLength");
pub const BCRYPT_AUTH_TAG_LENGTH: &[u16; 14] = wide!("AuthTagLength");
pub const BCRYPT_KEY_LENGTHS: &[u16; 11] = wide!("KeyLengths");
pub const MS_PRIMITIVE_PROVIDER: &[u16; 29] = wide!("Microsoft Primitive Provider");

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO {
    pub cbSize: ULONG,
    pub dwInfoVersion: ULONG,
    pub pbNonce: PUCHAR,
    pub cbNonce: ULONG,
    pub pbAuthData: PUCHAR,
    pub cbAuthData: ULONG,
    pub pbTag: PUCHAR,
    pub cbTag: ULONG,
    pub pbMacContext: PUCHAR,
    pub cbMacContext: ULONG,
    pub cbAAD: ULONG,
    pub cbData: ULONGLONG,
    pub dwFlags: ULONG,
}
pub type PBCRYPT_AUTHENTICATED_CIPHER_MODE_INFO = *mut BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BCRYPT_KEY_LENGTHS_STRUCT {
    pub dwMinLength: ULONG,
    pub dwMaxLength: ULONG,
    pub dwIncrement: ULONG,
}
pub type PBCRYPT_KEY_LENGTHS_STRUCT = *mut BCRYPT_KEY_LENGTHS_STRUCT;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BCRYPT_AUTH_TAG_LENGTHS_STRUCT {
    pub dwMinLength: ULONG,
    pub dwMaxLength: ULONG,
    pub dwIncrement: ULONG,
}
pub type PBCRYPT_AUTH_TAG_LENGTHS_STRUCT = *mut BCRYPT_AUTH_TAG_LENGTHS_STRUCT;

pub const BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO_VERSION: u32 = 1;
pub const BCRYPT_AUTH_MODE_CHAIN_CALLS_FLAG: u32 = 1;
pub const BCRYPT_AUTH_MODE_IN_PROGRESS_FLAG: u32 = 2;
pub const BCRYPT_PROV_DISPATCH: u32 = 1;
pub const BCRYPT_USE_SYSTEM_PREFERRED_RNG: u32 = 2;
