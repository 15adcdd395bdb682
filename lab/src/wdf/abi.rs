//! Structures and status values that a KMDF client shares with the framework (wdfobject.h, wdfdriver.h, …).
//!
//! Sizes and offsets are asserted at compile time; the numbers are those of nt-layout.json.

use std::mem::offset_of;

/// NTSTATUS.
pub type NtStatus = crate::nt::NTSTATUS;

/// A handle, as the driver holds it.
pub type Handle = usize;

pub use crate::nt::status::*;

/// STATUS_WDF_PAUSED (wdfstatus.h).
pub const WDF_PAUSED: NtStatus = 0xC020_0203_u32.cast_signed();
/// STATUS_WDF_BUSY.
pub const WDF_BUSY: NtStatus = 0xC020_0204_u32.cast_signed();
/// STATUS_WDF_REQUEST_INVALID_STATE.
pub const WDF_REQUEST_INVALID_STATE: NtStatus = 0xC020_0209_u32.cast_signed();
/// STATUS_WDF_NO_CALLBACK.
pub const WDF_NO_CALLBACK: NtStatus = 0xC020_020B_u32.cast_signed();
/// STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL.
pub const WDF_INCOMPATIBLE_EXECUTION_LEVEL: NtStatus = 0xC020_020C_u32.cast_signed();
/// STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED.
pub const WDF_PARENT_ASSIGNMENT_NOT_ALLOWED: NtStatus = 0xC020_020F_u32.cast_signed();
/// STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID.
pub const WDF_SYNCHRONIZATION_SCOPE_INVALID: NtStatus = 0xC020_0210_u32.cast_signed();
/// STATUS_WDF_EXECUTION_LEVEL_INVALID.
pub const WDF_EXECUTION_LEVEL_INVALID: NtStatus = 0xC020_0211_u32.cast_signed();
/// STATUS_WDF_PARENT_NOT_SPECIFIED.
pub const WDF_PARENT_NOT_SPECIFIED: NtStatus = 0xC020_0212_u32.cast_signed();

/// NT_SUCCESS.
#[must_use]
pub const fn success(status: NtStatus) -> bool {
    status >= 0
}

/// A callback that takes one handle and returns nothing.
pub type HandleCallback = unsafe extern "win64" fn(Handle);

/// WDF_OBJECT_ATTRIBUTES.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RawAttributes {
    /// Size of the structure.
    pub size: u32,
    /// EvtCleanupCallback.
    pub evt_cleanup: Option<HandleCallback>,
    /// EvtDestroyCallback.
    pub evt_destroy: Option<HandleCallback>,
    /// WDF_EXECUTION_LEVEL.
    pub execution_level: u32,
    /// WDF_SYNCHRONIZATION_SCOPE.
    pub synchronization_scope: u32,
    /// ParentObject.
    pub parent: Handle,
    /// ContextSizeOverride.
    pub context_size_override: usize,
    /// ContextTypeInfo.
    pub context_type: *const ContextTypeInfo,
}

/// WDF_OBJECT_CONTEXT_TYPE_INFO.
#[repr(C)]
#[derive(Debug)]
pub struct ContextTypeInfo {
    /// Size of the structure.
    pub size: u32,
    /// ContextName, NUL-terminated.
    pub name: *const u8,
    /// ContextSize.
    pub context_size: usize,
    /// UniqueType: what identifies the type.
    pub unique: *const ContextTypeInfo,
    /// EvtDriverGetUniqueContextType.
    pub get_unique: usize,
}

const _: () = {
    assert!(size_of::<RawAttributes>() == 56);
    assert!(offset_of!(RawAttributes, execution_level) == 24);
    assert!(offset_of!(RawAttributes, parent) == 32);
    assert!(offset_of!(RawAttributes, context_type) == 48);
    assert!(size_of::<ContextTypeInfo>() == 40);
    assert!(offset_of!(ContextTypeInfo, unique) == 24);
};
