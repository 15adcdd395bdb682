//! Event Tracing for Windows in the kernel (wdm.h, evntprov.h). Ours with `wdk-sys` too, which names other types for the same.

use crate::{GUID, NTSTATUS, PVOID, ULONG, ULONGLONG};

pub type REGHANDLE = ULONGLONG;

/// ETW tells a provider what the sessions that listen want to have, all of them together. PASSIVE_LEVEL.
pub type PETWENABLECALLBACK = Option<
    unsafe extern "C" fn(
        SourceId: *const GUID,
        ControlCode: ULONG,
        Level: u8,
        MatchAnyKeyword: ULONGLONG,
        MatchAllKeyword: ULONGLONG,
        FilterData: PVOID,
        CallbackContext: PVOID,
    ),
>;

/// `ControlCode`s.
pub const EVENT_CONTROL_CODE_DISABLE_PROVIDER: ULONG = 0;
pub const EVENT_CONTROL_CODE_ENABLE_PROVIDER: ULONG = 1;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EVENT_DESCRIPTOR {
    pub Id: u16,
    pub Version: u8,
    pub Channel: u8,
    pub Level: u8,
    pub Opcode: u8,
    pub Task: u16,
    pub Keyword: ULONGLONG,
}

/// One piece of an event; `Type` is the low byte of the header's `Reserved`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EVENT_DATA_DESCRIPTOR {
    pub Ptr: ULONGLONG,
    pub Size: ULONG,
    pub Type: ULONG,
}

pub const EVENT_DATA_DESCRIPTOR_TYPE_NONE: ULONG = 0;
pub const EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA: ULONG = 1;
pub const EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA: ULONG = 2;

/// Of `EVENT_INFO_CLASS`.
pub const EventProviderSetTraits: ULONG = 2;

/// The channel of events that carry their own description.
pub const WINEVENT_CHANNEL_TRACELOGGING: u8 = 11;

// Layouts, from the headers: docs/facts has none of these.
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<EVENT_DESCRIPTOR>() == 16 && align_of::<EVENT_DESCRIPTOR>() == 8);
    assert!(offset_of!(EVENT_DESCRIPTOR, Version) == 2 && offset_of!(EVENT_DESCRIPTOR, Channel) == 3);
    assert!(offset_of!(EVENT_DESCRIPTOR, Level) == 4 && offset_of!(EVENT_DESCRIPTOR, Opcode) == 5);
    assert!(offset_of!(EVENT_DESCRIPTOR, Task) == 6 && offset_of!(EVENT_DESCRIPTOR, Keyword) == 8);
    assert!(size_of::<EVENT_DATA_DESCRIPTOR>() == 16 && align_of::<EVENT_DATA_DESCRIPTOR>() == 8);
    assert!(offset_of!(EVENT_DATA_DESCRIPTOR, Size) == 8 && offset_of!(EVENT_DATA_DESCRIPTOR, Type) == 12);
};

// With the WDK its import library has them.
#[cfg_attr(
    all(windows, not(feature = "wdk")),
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    #[must_use]
    pub fn EtwRegister(
        ProviderId: *const GUID,
        EnableCallback: PETWENABLECALLBACK,
        CallbackContext: PVOID,
        RegHandle: *mut REGHANDLE,
    ) -> NTSTATUS;
    pub fn EtwUnregister(RegHandle: REGHANDLE) -> NTSTATUS;
    pub fn EtwSetInformation(
        RegHandle: REGHANDLE,
        InformationClass: ULONG,
        EventInformation: PVOID,
        InformationLength: ULONG,
    ) -> NTSTATUS;
    pub fn EtwWriteTransfer(
        RegHandle: REGHANDLE,
        EventDescriptor: *const EVENT_DESCRIPTOR,
        ActivityId: *const GUID,
        RelatedActivityId: *const GUID,
        UserDataCount: ULONG,
        UserData: *mut EVENT_DATA_DESCRIPTOR,
    ) -> NTSTATUS;
}
