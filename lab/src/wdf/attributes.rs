//! WDF_OBJECT_ATTRIBUTES, checked.

use super::abi::{
    ContextTypeInfo, Handle, HandleCallback, NtStatus, RawAttributes, WDF_EXECUTION_LEVEL_INVALID,
    WDF_PARENT_ASSIGNMENT_NOT_ALLOWED, WDF_SYNCHRONIZATION_SCOPE_INVALID,
};
use super::object::{self, Kind, Ref};
use crate::report::{Rule, stop};

/// A structure whose `Size` is not the one of its type.
pub const BAD_CONFIG_SIZE: Rule =
    Rule::new("wdf.bad-config-size", "WDK: each *_INIT sets Size; the framework answers STATUS_INFO_LENGTH_MISMATCH");
const BAD_ATTRIBUTES: Rule = Rule::new("wdf.bad-attributes", "WDK: WDF_OBJECT_ATTRIBUTES");
/// A parent that the object's type does not allow.
pub const WRONG_PARENT: Rule =
    Rule::new("wdf.wrong-parent", "WDK: the ParentObject section of the create call; WDF_OBJECT_ATTRIBUTES");

/// A checked copy.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    /// EvtCleanupCallback.
    pub evt_cleanup: Option<HandleCallback>,
    /// EvtDestroyCallback.
    pub evt_destroy: Option<HandleCallback>,
    /// WDF_EXECUTION_LEVEL; 1 is "inherit".
    pub execution: u8,
    /// WDF_SYNCHRONIZATION_SCOPE; 1 is "inherit".
    pub synchronization: u8,
    /// ParentObject or 0.
    pub parent: Handle,
    /// UniqueType of the context or null.
    pub context_type: *const ContextTypeInfo,
    /// Bytes of the context.
    pub context_size: usize,
}

// SAFETY: `context_type` is a pointer to a static of the driver's image, never written through.
unsafe impl Send for Attributes {}
// SAFETY: as above.
unsafe impl Sync for Attributes {}

/// WDF_NO_OBJECT_ATTRIBUTES.
pub const NONE: Attributes = Attributes {
    evt_cleanup: None,
    evt_destroy: None,
    execution: 1,
    synchronization: 1,
    parent: 0,
    context_type: std::ptr::null(),
    context_size: 0,
};

/// Stops with `wdf.bad-config-size` unless the `u32` at `config` is `size`.
///
/// # Safety
/// `config` points to at least four readable bytes or is null.
pub unsafe fn check_size(config: *const u8, size: usize, name: &str) {
    if config.is_null() {
        stop(BAD_CONFIG_SIZE, &format!("{name} is NULL"));
    }
    // SAFETY: by contract.
    let came = unsafe { config.cast::<u32>().read_unaligned() };
    if usize::try_from(came).ok() != Some(size) {
        stop(BAD_CONFIG_SIZE, &format!("{name}.Size: expected {size}, came {came}"));
    }
}

/// Reads the attributes of a create call; null gives [`NONE`].
///
/// # Safety
/// `raw` is null or points to what the driver passes as WDF_OBJECT_ATTRIBUTES.
#[must_use]
pub unsafe fn read(raw: *const RawAttributes) -> Attributes {
    if raw.is_null() {
        return NONE;
    }
    // SAFETY: by contract; the size is checked before anything behind it is read.
    let a = unsafe {
        check_size(raw.cast(), size_of::<RawAttributes>(), "WDF_OBJECT_ATTRIBUTES");
        raw.read_unaligned()
    };
    let (Some(execution @ 1..=3), Some(synchronization @ 1..=4)) =
        (u8::try_from(a.execution_level).ok(), u8::try_from(a.synchronization_scope).ok())
    else {
        stop(
            BAD_ATTRIBUTES,
            &format!(
                "ExecutionLevel {} or SynchronizationScope {} is invalid (was WDF_OBJECT_ATTRIBUTES_INIT left out?)",
                a.execution_level, a.synchronization_scope
            ),
        );
    };
    let (context_type, context_size) = if a.context_type.is_null() {
        if a.context_size_override != 0 {
            stop(BAD_ATTRIBUTES, "ContextSizeOverride without ContextTypeInfo");
        }
        (std::ptr::null(), 0)
    } else {
        // SAFETY: the driver's static; its Size is checked first.
        let t = unsafe {
            check_size(a.context_type.cast(), size_of::<ContextTypeInfo>(), "WDF_OBJECT_CONTEXT_TYPE_INFO");
            &*a.context_type
        };
        if t.unique.is_null() {
            stop(
                BAD_ATTRIBUTES,
                "WDF_OBJECT_CONTEXT_TYPE_INFO.UniqueType is NULL: the types were not initialised before DriverEntry",
            );
        }
        if t.name.is_null() {
            stop(BAD_ATTRIBUTES, "WDF_OBJECT_CONTEXT_TYPE_INFO.ContextName is NULL");
        }
        if a.context_size_override != 0 && a.context_size_override < t.context_size {
            stop(
                BAD_ATTRIBUTES,
                &format!("ContextSizeOverride {} is below ContextSize {}", a.context_size_override, t.context_size),
            );
        }
        (t.unique, a.context_size_override.max(t.context_size))
    };
    Attributes {
        evt_cleanup: a.evt_cleanup,
        evt_destroy: a.evt_destroy,
        execution,
        synchronization,
        parent: a.parent,
        context_type,
        context_size,
    }
}

impl Attributes {
    /// Levels only where the type takes them.
    ///
    /// # Errors
    /// STATUS_WDF_EXECUTION_LEVEL_INVALID, STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID.
    pub fn check_levels(&self, kind: &Kind) -> Result<(), NtStatus> {
        if kind.takes_levels {
            return Ok(());
        }
        if self.execution != 1 {
            return Err(WDF_EXECUTION_LEVEL_INVALID);
        }
        if self.synchronization != 1 {
            return Err(WDF_SYNCHRONIZATION_SCOPE_INVALID);
        }
        Ok(())
    }

    /// The parent the driver named (a live object of any type), or `default`.
    #[must_use]
    pub fn parent_or(&self, default: Option<Ref>) -> Option<Ref> {
        if self.parent == 0 { default } else { Some(object::any(self.parent)) }
    }

    /// # Errors
    /// STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED where the driver named a parent.
    pub fn no_parent(&self) -> Result<(), NtStatus> {
        if self.parent == 0 { Ok(()) } else { Err(WDF_PARENT_ASSIGNMENT_NOT_ALLOWED) }
    }
}
