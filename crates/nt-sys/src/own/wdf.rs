//! KMDF 1.15: handles, structures, callback types, and the function table's entries by type.
//!
//! A function missing here is one the driver does not call; add it to the table at the end (name, index,
//! type) together with its `PFN_` alias. Indices and layouts are held to docs/facts/nt-layout.json by
//! `src/asserts.rs`.

use super::types::*;

#[repr(C)]
pub struct WDFDRIVER__ {
    _unused: core::ffi::c_int,
}
pub type WDFDRIVER = *mut WDFDRIVER__;
#[repr(C)]
pub struct WDFDEVICE__ {
    _unused: core::ffi::c_int,
}
pub type WDFDEVICE = *mut WDFDEVICE__;
#[repr(C)]
pub struct WDFQUEUE__ {
    _unused: core::ffi::c_int,
}
pub type WDFQUEUE = *mut WDFQUEUE__;
#[repr(C)]
pub struct WDFREQUEST__ {
    _unused: core::ffi::c_int,
}
pub type WDFREQUEST = *mut WDFREQUEST__;
#[repr(C)]
pub struct WDFFILEOBJECT__ {
    _unused: core::ffi::c_int,
}
pub type WDFFILEOBJECT = *mut WDFFILEOBJECT__;
#[repr(C)]
pub struct WDFTIMER__ {
    _unused: core::ffi::c_int,
}
pub type WDFTIMER = *mut WDFTIMER__;
#[repr(C)]
pub struct WDFWORKITEM__ {
    _unused: core::ffi::c_int,
}
pub type WDFWORKITEM = *mut WDFWORKITEM__;
#[repr(C)]
pub struct WDFDPC__ {
    _unused: core::ffi::c_int,
}
pub type WDFDPC = *mut WDFDPC__;
#[repr(C)]
pub struct WDFSPINLOCK__ {
    _unused: core::ffi::c_int,
}
pub type WDFSPINLOCK = *mut WDFSPINLOCK__;
#[repr(C)]
pub struct WDFWAITLOCK__ {
    _unused: core::ffi::c_int,
}
pub type WDFWAITLOCK = *mut WDFWAITLOCK__;
#[repr(C)]
pub struct WDFMEMORY__ {
    _unused: core::ffi::c_int,
}
pub type WDFMEMORY = *mut WDFMEMORY__;
#[repr(C)]
pub struct WDFLOOKASIDE__ {
    _unused: core::ffi::c_int,
}
pub type WDFLOOKASIDE = *mut WDFLOOKASIDE__;
#[repr(C)]
pub struct WDFKEY__ {
    _unused: core::ffi::c_int,
}
pub type WDFKEY = *mut WDFKEY__;
#[repr(C)]
pub struct WDFSTRING__ {
    _unused: core::ffi::c_int,
}
pub type WDFSTRING = *mut WDFSTRING__;
#[repr(C)]
pub struct WDFCOLLECTION__ {
    _unused: core::ffi::c_int,
}
pub type WDFCOLLECTION = *mut WDFCOLLECTION__;
#[repr(C)]
pub struct WDFIOTARGET__ {
    _unused: core::ffi::c_int,
}
pub type WDFIOTARGET = *mut WDFIOTARGET__;
#[repr(C)]
pub struct WDFINTERRUPT__ {
    _unused: core::ffi::c_int,
}
pub type WDFINTERRUPT = *mut WDFINTERRUPT__;
#[repr(C)]
pub struct WDFCMRESLIST__ {
    _unused: core::ffi::c_int,
}
pub type WDFCMRESLIST = *mut WDFCMRESLIST__;
#[repr(C)]
pub struct WDFCHILDLIST__ {
    _unused: core::ffi::c_int,
}
pub type WDFCHILDLIST = *mut WDFCHILDLIST__;
#[repr(C)]
pub struct WDFDMAENABLER__ {
    _unused: core::ffi::c_int,
}
pub type WDFDMAENABLER = *mut WDFDMAENABLER__;
pub type WDFOBJECT = HANDLE;

/// Opaque: made and freed by the framework.
#[repr(C)]
pub struct WDFDEVICE_INIT {
    _unused: [u8; 0],
}
pub type PWDFDEVICE_INIT = *mut WDFDEVICE_INIT;

/// One entry of a framework function table, before it is cast to its `PFN_` type.
pub type WDFFUNC = Option<unsafe extern "C" fn()>;

pub const WDF_NO_OBJECT_ATTRIBUTES: PWDF_OBJECT_ATTRIBUTES = core::ptr::null_mut();
pub const WDF_NO_EVENT_CALLBACK: PVOID = core::ptr::null_mut();
pub const WDF_NO_HANDLE: PVOID = core::ptr::null_mut();
pub const WDF_NO_CONTEXT: PVOID = core::ptr::null_mut();

pub mod _WDF_TRI_STATE {
    pub type Type = core::ffi::c_int;
    pub const WdfFalse: Type = 0;
    pub const WdfTrue: Type = 1;
    pub const WdfUseDefault: Type = 2;
}
pub use self::_WDF_TRI_STATE::Type as WDF_TRI_STATE;

pub mod _WDF_EXECUTION_LEVEL {
    pub type Type = core::ffi::c_int;
    pub const WdfExecutionLevelInvalid: Type = 0;
    pub const WdfExecutionLevelInheritFromParent: Type = 1;
    pub const WdfExecutionLevelPassive: Type = 2;
    pub const WdfExecutionLevelDispatch: Type = 3;
}
pub use self::_WDF_EXECUTION_LEVEL::Type as WDF_EXECUTION_LEVEL;

pub mod _WDF_SYNCHRONIZATION_SCOPE {
    pub type Type = core::ffi::c_int;
    pub const WdfSynchronizationScopeInvalid: Type = 0;
    pub const WdfSynchronizationScopeInheritFromParent: Type = 1;
    pub const WdfSynchronizationScopeDevice: Type = 2;
    pub const WdfSynchronizationScopeQueue: Type = 3;
    pub const WdfSynchronizationScopeNone: Type = 4;
}
pub use self::_WDF_SYNCHRONIZATION_SCOPE::Type as WDF_SYNCHRONIZATION_SCOPE;

pub mod _WDF_MEMORY_DESCRIPTOR_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WdfMemoryDescriptorTypeInvalid: Type = 0;
    pub const WdfMemoryDescriptorTypeBuffer: Type = 1;
    pub const WdfMemoryDescriptorTypeMdl: Type = 2;
    pub const WdfMemoryDescriptorTypeHandle: Type = 3;
}
pub use self::_WDF_MEMORY_DESCRIPTOR_TYPE::Type as WDF_MEMORY_DESCRIPTOR_TYPE;

pub mod _WDF_DEVICE_STATE_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WdfDevStateNP: Type = 32768;
}
pub use self::_WDF_DEVICE_STATE_FLAGS::Type as WDF_DEVICE_STATE_FLAGS;

pub mod _WDF_STATE_NOTIFICATION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const StateNotificationInvalid: Type = 0;
    pub const StateNotificationEnterState: Type = 1;
    pub const StateNotificationPostProcessState: Type = 2;
    pub const StateNotificationLeaveState: Type = 4;
    pub const StateNotificationAllStates: Type = 7;
}
pub use self::_WDF_STATE_NOTIFICATION_TYPE::Type as WDF_STATE_NOTIFICATION_TYPE;

pub mod _WDF_POWER_POLICY_S0_IDLE_CAPABILITIES {
    pub type Type = core::ffi::c_int;
    pub const IdleCapsInvalid: Type = 0;
    pub const IdleCannotWakeFromS0: Type = 1;
    pub const IdleCanWakeFromS0: Type = 2;
    pub const IdleUsbSelectiveSuspend: Type = 3;
}
pub use self::_WDF_POWER_POLICY_S0_IDLE_CAPABILITIES::Type as WDF_POWER_POLICY_S0_IDLE_CAPABILITIES;

pub mod _WDF_POWER_POLICY_S0_IDLE_USER_CONTROL {
    pub type Type = core::ffi::c_int;
    pub const IdleUserControlInvalid: Type = 0;
    pub const IdleDoNotAllowUserControl: Type = 1;
    pub const IdleAllowUserControl: Type = 2;
}
pub use self::_WDF_POWER_POLICY_S0_IDLE_USER_CONTROL::Type as WDF_POWER_POLICY_S0_IDLE_USER_CONTROL;

pub mod _WDF_POWER_POLICY_IDLE_TIMEOUT_CONSTANTS {
    pub type Type = core::ffi::c_int;
    pub const IdleTimeoutDefaultConstant: Type = 0;
}
pub use self::_WDF_POWER_POLICY_IDLE_TIMEOUT_CONSTANTS::Type as WDF_POWER_POLICY_IDLE_TIMEOUT_CONSTANTS;

pub mod _WDF_POWER_POLICY_SX_WAKE_USER_CONTROL {
    pub type Type = core::ffi::c_int;
    pub const WakeUserControlInvalid: Type = 0;
    pub const WakeDoNotAllowUserControl: Type = 1;
    pub const WakeAllowUserControl: Type = 2;
}
pub use self::_WDF_POWER_POLICY_SX_WAKE_USER_CONTROL::Type as WDF_POWER_POLICY_SX_WAKE_USER_CONTROL;

pub mod _WDF_POWER_DEVICE_STATE {
    pub type Type = core::ffi::c_int;
    pub const WdfPowerDeviceInvalid: Type = 0;
    pub const WdfPowerDeviceD0: Type = 1;
    pub const WdfPowerDeviceD1: Type = 2;
    pub const WdfPowerDeviceD2: Type = 3;
    pub const WdfPowerDeviceD3: Type = 4;
    pub const WdfPowerDeviceD3Final: Type = 5;
    pub const WdfPowerDevicePrepareForHibernation: Type = 6;
    pub const WdfPowerDeviceMaximum: Type = 7;
}
pub use self::_WDF_POWER_DEVICE_STATE::Type as WDF_POWER_DEVICE_STATE;

pub mod _WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WDF_DISPATCH_IRP_TO_IO_QUEUE_NO_FLAGS: Type = 0;
    pub const WDF_DISPATCH_IRP_TO_IO_QUEUE_INVOKE_INCALLERCTX_CALLBACK: Type = 1;
    pub const WDF_DISPATCH_IRP_TO_IO_QUEUE_PREPROCESSED_IRP: Type = 2;
}
pub use self::_WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS::Type as WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS;

pub mod _WDF_SPECIAL_FILE_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WdfSpecialFileUndefined: Type = 0;
    pub const WdfSpecialFilePaging: Type = 1;
    pub const WdfSpecialFileHibernation: Type = 2;
    pub const WdfSpecialFileDump: Type = 3;
    pub const WdfSpecialFileBoot: Type = 4;
    pub const WdfSpecialFilePostDisplay: Type = 5;
    pub const WdfSpecialFileGuestAssigned: Type = 6;
    pub const WdfSpecialFileMax: Type = 7;
}
pub use self::_WDF_SPECIAL_FILE_TYPE::Type as WDF_SPECIAL_FILE_TYPE;

pub mod _WDF_DEVICE_IO_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WdfDeviceIoUndefined: Type = 0;
    pub const WdfDeviceIoNeither: Type = 1;
    pub const WdfDeviceIoBuffered: Type = 2;
    pub const WdfDeviceIoDirect: Type = 3;
    pub const WdfDeviceIoBufferedOrDirect: Type = 4;
    pub const WdfDeviceIoMaximum: Type = 5;
}
pub use self::_WDF_DEVICE_IO_TYPE::Type as WDF_DEVICE_IO_TYPE;

pub mod _WDF_FILEOBJECT_CLASS {
    pub type Type = core::ffi::c_int;
    pub const WdfFileObjectInvalid: Type = 0;
    pub const WdfFileObjectNotRequired: Type = 1;
    pub const WdfFileObjectWdfCanUseFsContext: Type = 2;
    pub const WdfFileObjectWdfCanUseFsContext2: Type = 3;
    pub const WdfFileObjectWdfCannotUseFsContexts: Type = 4;
    pub const WdfFileObjectCanBeOptional: Type = -2147483648;
}
pub use self::_WDF_FILEOBJECT_CLASS::Type as WDF_FILEOBJECT_CLASS;

pub mod _WDF_DEVICE_FAILED_ACTION {
    pub type Type = core::ffi::c_int;
    pub const WdfDeviceFailedUndefined: Type = 0;
    pub const WdfDeviceFailedAttemptRestart: Type = 1;
    pub const WdfDeviceFailedNoRestart: Type = 2;
}
pub use self::_WDF_DEVICE_FAILED_ACTION::Type as WDF_DEVICE_FAILED_ACTION;

pub mod _WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE {
    pub type Type = core::ffi::c_int;
    pub const WdfReleaseHardwareOrderOnFailureInvalid: Type = 0;
    pub const WdfReleaseHardwareOrderOnFailureEarly: Type = 1;
    pub const WdfReleaseHardwareOrderOnFailureAfterDescendants: Type = 2;
}
pub use self::_WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE::Type as WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE;

pub mod _WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE {
    pub type Type = core::ffi::c_int;
    pub const DriverManagedIdleTimeout: Type = 0;
    pub const SystemManagedIdleTimeout: Type = 1;
    pub const SystemManagedIdleTimeoutWithHint: Type = 2;
}
pub use self::_WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE::Type as WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE;

pub mod _WDF_REMOVE_LOCK_OPTIONS_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WDF_REMOVE_LOCK_OPTION_ACQUIRE_FOR_IO: Type = 1;
}
pub use self::_WDF_REMOVE_LOCK_OPTIONS_FLAGS::Type as WDF_REMOVE_LOCK_OPTIONS_FLAGS;

pub mod _WDF_REQUEST_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WdfRequestTypeCreate: Type = 0;
    pub const WdfRequestTypeCreateNamedPipe: Type = 1;
    pub const WdfRequestTypeClose: Type = 2;
    pub const WdfRequestTypeRead: Type = 3;
    pub const WdfRequestTypeWrite: Type = 4;
    pub const WdfRequestTypeQueryInformation: Type = 5;
    pub const WdfRequestTypeSetInformation: Type = 6;
    pub const WdfRequestTypeQueryEA: Type = 7;
    pub const WdfRequestTypeSetEA: Type = 8;
    pub const WdfRequestTypeFlushBuffers: Type = 9;
    pub const WdfRequestTypeQueryVolumeInformation: Type = 10;
    pub const WdfRequestTypeSetVolumeInformation: Type = 11;
    pub const WdfRequestTypeDirectoryControl: Type = 12;
    pub const WdfRequestTypeFileSystemControl: Type = 13;
    pub const WdfRequestTypeDeviceControl: Type = 14;
    pub const WdfRequestTypeDeviceControlInternal: Type = 15;
    pub const WdfRequestTypeShutdown: Type = 16;
    pub const WdfRequestTypeLockControl: Type = 17;
    pub const WdfRequestTypeCleanup: Type = 18;
    pub const WdfRequestTypeCreateMailSlot: Type = 19;
    pub const WdfRequestTypeQuerySecurity: Type = 20;
    pub const WdfRequestTypeSetSecurity: Type = 21;
    pub const WdfRequestTypePower: Type = 22;
    pub const WdfRequestTypeSystemControl: Type = 23;
    pub const WdfRequestTypeDeviceChange: Type = 24;
    pub const WdfRequestTypeQueryQuota: Type = 25;
    pub const WdfRequestTypeSetQuota: Type = 26;
    pub const WdfRequestTypePnp: Type = 27;
    pub const WdfRequestTypeOther: Type = 28;
    pub const WdfRequestTypeUsb: Type = 64;
    pub const WdfRequestTypeNoFormat: Type = 255;
    pub const WdfRequestTypeMax: Type = 256;
}
pub use self::_WDF_REQUEST_TYPE::Type as WDF_REQUEST_TYPE;

pub mod _WDF_REQUEST_REUSE_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WDF_REQUEST_REUSE_NO_FLAGS: Type = 0;
    pub const WDF_REQUEST_REUSE_SET_NEW_IRP: Type = 1;
}
pub use self::_WDF_REQUEST_REUSE_FLAGS::Type as WDF_REQUEST_REUSE_FLAGS;

pub mod _WDF_REQUEST_STOP_ACTION_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WdfRequestStopActionInvalid: Type = 0;
    pub const WdfRequestStopActionSuspend: Type = 1;
    pub const WdfRequestStopActionPurge: Type = 2;
    pub const WdfRequestStopRequestCancelable: Type = 268435456;
}
pub use self::_WDF_REQUEST_STOP_ACTION_FLAGS::Type as WDF_REQUEST_STOP_ACTION_FLAGS;

pub mod _WDF_REQUEST_SEND_OPTIONS_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WDF_REQUEST_SEND_OPTION_TIMEOUT: Type = 1;
    pub const WDF_REQUEST_SEND_OPTION_SYNCHRONOUS: Type = 2;
    pub const WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE: Type = 4;
    pub const WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET: Type = 8;
    pub const WDF_REQUEST_SEND_OPTION_IMPERSONATE_CLIENT: Type = 65536;
    pub const WDF_REQUEST_SEND_OPTION_IMPERSONATION_IGNORE_FAILURE: Type = 131072;
}
pub use self::_WDF_REQUEST_SEND_OPTIONS_FLAGS::Type as WDF_REQUEST_SEND_OPTIONS_FLAGS;

pub mod _WDF_REQUEST_FORWARD_OPTIONS_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WDF_REQUEST_FORWARD_OPTION_SEND_AND_FORGET: Type = 1;
}
pub use self::_WDF_REQUEST_FORWARD_OPTIONS_FLAGS::Type as WDF_REQUEST_FORWARD_OPTIONS_FLAGS;

pub mod _WDF_IO_QUEUE_DISPATCH_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WdfIoQueueDispatchInvalid: Type = 0;
    pub const WdfIoQueueDispatchSequential: Type = 1;
    pub const WdfIoQueueDispatchParallel: Type = 2;
    pub const WdfIoQueueDispatchManual: Type = 3;
    pub const WdfIoQueueDispatchMax: Type = 4;
}
pub use self::_WDF_IO_QUEUE_DISPATCH_TYPE::Type as WDF_IO_QUEUE_DISPATCH_TYPE;

pub mod _WDF_IO_QUEUE_STATE {
    pub type Type = core::ffi::c_int;
    pub const WdfIoQueueAcceptRequests: Type = 1;
    pub const WdfIoQueueDispatchRequests: Type = 2;
    pub const WdfIoQueueNoRequests: Type = 4;
    pub const WdfIoQueueDriverNoRequests: Type = 8;
    pub const WdfIoQueuePnpHeld: Type = 16;
}
pub use self::_WDF_IO_QUEUE_STATE::Type as WDF_IO_QUEUE_STATE;

pub mod _WDF_IO_FORWARD_PROGRESS_ACTION {
    pub type Type = core::ffi::c_int;
    pub const WdfIoForwardProgressActionInvalid: Type = 0;
    pub const WdfIoForwardProgressActionFailRequest: Type = 1;
    pub const WdfIoForwardProgressActionUseReservedRequest: Type = 2;
}
pub use self::_WDF_IO_FORWARD_PROGRESS_ACTION::Type as WDF_IO_FORWARD_PROGRESS_ACTION;

pub mod _WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY {
    pub type Type = core::ffi::c_int;
    pub const WdfIoForwardProgressInvalidPolicy: Type = 0;
    pub const WdfIoForwardProgressReservedPolicyAlwaysUseReservedRequest: Type = 1;
    pub const WdfIoForwardProgressReservedPolicyUseExamine: Type = 2;
    pub const WdfIoForwardProgressReservedPolicyPagingIO: Type = 3;
}
pub use self::_WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY::Type as WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY;

pub mod _WDF_DEVICE_SHUTDOWN_FLAGS {
    pub type Type = core::ffi::c_int;
    pub const WdfDeviceShutdown: Type = 1;
    pub const WdfDeviceLastChanceShutdown: Type = 2;
}
pub use self::_WDF_DEVICE_SHUTDOWN_FLAGS::Type as WDF_DEVICE_SHUTDOWN_FLAGS;

pub mod _WDF_REQUEST_FATAL_ERROR_CODES {
    pub type Type = core::ffi::c_int;
    pub const WDF_REQUEST_FATAL_ERROR_NO_MORE_STACK_LOCATIONS: Type = 1;
    pub const WDF_REQUEST_FATAL_ERROR_NULL_IRP: Type = 2;
    pub const WDF_REQUEST_FATAL_ERROR_REQUEST_ALREADY_SENT: Type = 3;
    pub const WDF_REQUEST_FATAL_ERROR_INFORMATION_LENGTH_MISMATCH: Type = 4;
    pub const WDF_REQUEST_FATAL_ERROR_REQUEST_NOT_IN_QUEUE: Type = 5;
}
pub use self::_WDF_REQUEST_FATAL_ERROR_CODES::Type as WDF_REQUEST_FATAL_ERROR_CODES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_OBJECT_ATTRIBUTES {
    pub Size: ULONG,
    pub EvtCleanupCallback: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    pub EvtDestroyCallback: PFN_WDF_OBJECT_CONTEXT_DESTROY,
    pub ExecutionLevel: WDF_EXECUTION_LEVEL,
    pub SynchronizationScope: WDF_SYNCHRONIZATION_SCOPE,
    pub ParentObject: WDFOBJECT,
    pub ContextSizeOverride: size_t,
    pub ContextTypeInfo: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
}
pub type WDF_OBJECT_ATTRIBUTES = _WDF_OBJECT_ATTRIBUTES;
pub type PWDF_OBJECT_ATTRIBUTES = *mut WDF_OBJECT_ATTRIBUTES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    pub Size: ULONG,
    pub ContextName: LPCSTR,
    pub ContextSize: size_t,
    pub UniqueType: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
    pub EvtDriverGetUniqueContextType: PFN_GET_UNIQUE_CONTEXT_TYPE,
}
pub type WDF_OBJECT_CONTEXT_TYPE_INFO = _WDF_OBJECT_CONTEXT_TYPE_INFO;
pub type PWDF_OBJECT_CONTEXT_TYPE_INFO = *mut WDF_OBJECT_CONTEXT_TYPE_INFO;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DRIVER_CONFIG {
    pub Size: ULONG,
    pub EvtDriverDeviceAdd: PFN_WDF_DRIVER_DEVICE_ADD,
    pub EvtDriverUnload: PFN_WDF_DRIVER_UNLOAD,
    pub DriverInitFlags: ULONG,
    pub DriverPoolTag: ULONG,
}
pub type WDF_DRIVER_CONFIG = _WDF_DRIVER_CONFIG;
pub type PWDF_DRIVER_CONFIG = *mut WDF_DRIVER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DRIVER_GLOBALS {
    pub Driver: WDFDRIVER,
    pub DriverFlags: ULONG,
    pub DriverTag: ULONG,
    pub DriverName: [CHAR; 32],
    pub DisplaceDriverUnload: BOOLEAN,
}
pub type WDF_DRIVER_GLOBALS = _WDF_DRIVER_GLOBALS;
pub type PWDF_DRIVER_GLOBALS = *mut WDF_DRIVER_GLOBALS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DRIVER_VERSION_AVAILABLE_PARAMS {
    pub Size: ULONG,
    pub MajorVersion: ULONG,
    pub MinorVersion: ULONG,
}
pub type WDF_DRIVER_VERSION_AVAILABLE_PARAMS = _WDF_DRIVER_VERSION_AVAILABLE_PARAMS;
pub type PWDF_DRIVER_VERSION_AVAILABLE_PARAMS = *mut WDF_DRIVER_VERSION_AVAILABLE_PARAMS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1 {
    pub NumberOfPresentedRequests: ULONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_IO_QUEUE_CONFIG__bindgen_ty_1 {
    pub Parallel: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_QUEUE_CONFIG {
    pub Size: ULONG,
    pub DispatchType: WDF_IO_QUEUE_DISPATCH_TYPE,
    pub PowerManaged: WDF_TRI_STATE,
    pub AllowZeroLengthRequests: BOOLEAN,
    pub DefaultQueue: BOOLEAN,
    pub EvtIoDefault: PFN_WDF_IO_QUEUE_IO_DEFAULT,
    pub EvtIoRead: PFN_WDF_IO_QUEUE_IO_READ,
    pub EvtIoWrite: PFN_WDF_IO_QUEUE_IO_WRITE,
    pub EvtIoDeviceControl: PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL,
    pub EvtIoInternalDeviceControl: PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL,
    pub EvtIoStop: PFN_WDF_IO_QUEUE_IO_STOP,
    pub EvtIoResume: PFN_WDF_IO_QUEUE_IO_RESUME,
    pub EvtIoCanceledOnQueue: PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE,
    pub Settings: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1,
    pub Driver: WDFDRIVER,
}
pub type WDF_IO_QUEUE_CONFIG = _WDF_IO_QUEUE_CONFIG;
pub type PWDF_IO_QUEUE_CONFIG = *mut WDF_IO_QUEUE_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_FILEOBJECT_CONFIG {
    pub Size: ULONG,
    pub EvtDeviceFileCreate: PFN_WDF_DEVICE_FILE_CREATE,
    pub EvtFileClose: PFN_WDF_FILE_CLOSE,
    pub EvtFileCleanup: PFN_WDF_FILE_CLEANUP,
    pub AutoForwardCleanupClose: WDF_TRI_STATE,
    pub FileObjectClass: WDF_FILEOBJECT_CLASS,
}
pub type WDF_FILEOBJECT_CONFIG = _WDF_FILEOBJECT_CONFIG;
pub type PWDF_FILEOBJECT_CONFIG = *mut WDF_FILEOBJECT_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_TIMER_CONFIG {
    pub Size: ULONG,
    pub EvtTimerFunc: PFN_WDF_TIMER,
    pub Period: ULONG,
    pub AutomaticSerialization: BOOLEAN,
    pub TolerableDelay: ULONG,
    pub __bindgen_padding_0: u32,
    pub UseHighResolutionTimer: BOOLEAN,
}
pub type WDF_TIMER_CONFIG = _WDF_TIMER_CONFIG;
pub type PWDF_TIMER_CONFIG = *mut WDF_TIMER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_WORKITEM_CONFIG {
    pub Size: ULONG,
    pub EvtWorkItemFunc: PFN_WDF_WORKITEM,
    pub AutomaticSerialization: BOOLEAN,
}
pub type WDF_WORKITEM_CONFIG = _WDF_WORKITEM_CONFIG;
pub type PWDF_WORKITEM_CONFIG = *mut WDF_WORKITEM_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DPC_CONFIG {
    pub Size: ULONG,
    pub EvtDpcFunc: PFN_WDF_DPC,
    pub AutomaticSerialization: BOOLEAN,
}
pub type WDF_DPC_CONFIG = _WDF_DPC_CONFIG;
pub type PWDF_DPC_CONFIG = *mut WDF_DPC_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_PNPPOWER_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceD0Entry: PFN_WDF_DEVICE_D0_ENTRY,
    pub EvtDeviceD0EntryPostInterruptsEnabled: PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED,
    pub EvtDeviceD0Exit: PFN_WDF_DEVICE_D0_EXIT,
    pub EvtDeviceD0ExitPreInterruptsDisabled: PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED,
    pub EvtDevicePrepareHardware: PFN_WDF_DEVICE_PREPARE_HARDWARE,
    pub EvtDeviceReleaseHardware: PFN_WDF_DEVICE_RELEASE_HARDWARE,
    pub EvtDeviceSelfManagedIoCleanup: PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP,
    pub EvtDeviceSelfManagedIoFlush: PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH,
    pub EvtDeviceSelfManagedIoInit: PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT,
    pub EvtDeviceSelfManagedIoSuspend: PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND,
    pub EvtDeviceSelfManagedIoRestart: PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART,
    pub EvtDeviceSurpriseRemoval: PFN_WDF_DEVICE_SURPRISE_REMOVAL,
    pub EvtDeviceQueryRemove: PFN_WDF_DEVICE_QUERY_REMOVE,
    pub EvtDeviceQueryStop: PFN_WDF_DEVICE_QUERY_STOP,
    pub EvtDeviceUsageNotification: PFN_WDF_DEVICE_USAGE_NOTIFICATION,
    pub EvtDeviceRelationsQuery: PFN_WDF_DEVICE_RELATIONS_QUERY,
    pub EvtDeviceUsageNotificationEx: PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX,
}
pub type WDF_PNPPOWER_EVENT_CALLBACKS = _WDF_PNPPOWER_EVENT_CALLBACKS;
pub type PWDF_PNPPOWER_EVENT_CALLBACKS = *mut WDF_PNPPOWER_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_POWER_POLICY_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceArmWakeFromS0: PFN_WDF_DEVICE_ARM_WAKE_FROM_S0,
    pub EvtDeviceDisarmWakeFromS0: PFN_WDF_DEVICE_DISARM_WAKE_FROM_S0,
    pub EvtDeviceWakeFromS0Triggered: PFN_WDF_DEVICE_WAKE_FROM_S0_TRIGGERED,
    pub EvtDeviceArmWakeFromSx: PFN_WDF_DEVICE_ARM_WAKE_FROM_SX,
    pub EvtDeviceDisarmWakeFromSx: PFN_WDF_DEVICE_DISARM_WAKE_FROM_SX,
    pub EvtDeviceWakeFromSxTriggered: PFN_WDF_DEVICE_WAKE_FROM_SX_TRIGGERED,
    pub EvtDeviceArmWakeFromSxWithReason: PFN_WDF_DEVICE_ARM_WAKE_FROM_SX_WITH_REASON,
}
pub type WDF_POWER_POLICY_EVENT_CALLBACKS = _WDF_POWER_POLICY_EVENT_CALLBACKS;
pub type PWDF_POWER_POLICY_EVENT_CALLBACKS = *mut WDF_POWER_POLICY_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DEVICE_PNP_CAPABILITIES {
    pub Size: ULONG,
    pub LockSupported: WDF_TRI_STATE,
    pub EjectSupported: WDF_TRI_STATE,
    pub Removable: WDF_TRI_STATE,
    pub DockDevice: WDF_TRI_STATE,
    pub UniqueID: WDF_TRI_STATE,
    pub SilentInstall: WDF_TRI_STATE,
    pub SurpriseRemovalOK: WDF_TRI_STATE,
    pub HardwareDisabled: WDF_TRI_STATE,
    pub NoDisplayInUI: WDF_TRI_STATE,
    pub Address: ULONG,
    pub UINumber: ULONG,
}
pub type WDF_DEVICE_PNP_CAPABILITIES = _WDF_DEVICE_PNP_CAPABILITIES;
pub type PWDF_DEVICE_PNP_CAPABILITIES = *mut WDF_DEVICE_PNP_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_DEVICE_POWER_CAPABILITIES {
    pub Size: ULONG,
    pub DeviceD1: WDF_TRI_STATE,
    pub DeviceD2: WDF_TRI_STATE,
    pub WakeFromD0: WDF_TRI_STATE,
    pub WakeFromD1: WDF_TRI_STATE,
    pub WakeFromD2: WDF_TRI_STATE,
    pub WakeFromD3: WDF_TRI_STATE,
    pub DeviceState: [DEVICE_POWER_STATE; 7],
    pub DeviceWake: DEVICE_POWER_STATE,
    pub SystemWake: SYSTEM_POWER_STATE,
    pub D1Latency: ULONG,
    pub D2Latency: ULONG,
    pub D3Latency: ULONG,
    pub IdealDxStateForSx: DEVICE_POWER_STATE,
}
pub type WDF_DEVICE_POWER_CAPABILITIES = _WDF_DEVICE_POWER_CAPABILITIES;
pub type PWDF_DEVICE_POWER_CAPABILITIES = *mut WDF_DEVICE_POWER_CAPABILITIES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_1 {
    pub SecurityContext: PIO_SECURITY_CONTEXT,
    pub Options: ULONG,
    pub __bindgen_padding_0: u32,
    pub FileAttributes: USHORT,
    pub ShareAccess: USHORT,
    pub __bindgen_padding_1: u32,
    pub EaLength: ULONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_2 {
    pub Length: size_t,
    pub Key: ULONG,
    pub DeviceOffset: LONGLONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_3 {
    pub Length: size_t,
    pub Key: ULONG,
    pub DeviceOffset: LONGLONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_4 {
    pub OutputBufferLength: size_t,
    pub InputBufferLength: size_t,
    pub IoControlCode: ULONG,
    pub Type3InputBuffer: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_5 {
    pub Arg1: PVOID,
    pub Arg2: PVOID,
    pub IoControlCode: ULONG,
    pub Arg4: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_REQUEST_PARAMETERS__bindgen_ty_1 {
    pub Create: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_1,
    pub Read: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_2,
    pub Write: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_3,
    pub DeviceIoControl: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_4,
    pub Others: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_5,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS {
    pub Size: USHORT,
    pub MinorFunction: UCHAR,
    pub Type: WDF_REQUEST_TYPE,
    pub Parameters: _WDF_REQUEST_PARAMETERS__bindgen_ty_1,
}
pub type WDF_REQUEST_PARAMETERS = _WDF_REQUEST_PARAMETERS;
pub type PWDF_REQUEST_PARAMETERS = *mut WDF_REQUEST_PARAMETERS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_SEND_OPTIONS {
    pub Size: ULONG,
    pub Flags: ULONG,
    pub Timeout: LONGLONG,
}
pub type WDF_REQUEST_SEND_OPTIONS = _WDF_REQUEST_SEND_OPTIONS;
pub type PWDF_REQUEST_SEND_OPTIONS = *mut WDF_REQUEST_SEND_OPTIONS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDFMEMORY_OFFSET {
    pub BufferOffset: size_t,
    pub BufferLength: size_t,
}
pub type WDFMEMORY_OFFSET = _WDFMEMORY_OFFSET;
pub type PWDFMEMORY_OFFSET = *mut WDFMEMORY_OFFSET;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_TYPE_CONFIG {
    pub Size: ULONG,
    pub ReadWriteIoType: WDF_DEVICE_IO_TYPE,
    pub DeviceControlIoType: WDF_DEVICE_IO_TYPE,
    pub DirectTransferThreshold: ULONG,
}
pub type WDF_IO_TYPE_CONFIG = _WDF_IO_TYPE_CONFIG;
pub type PWDF_IO_TYPE_CONFIG = *mut WDF_IO_TYPE_CONFIG;

pub type PCWDF_OBJECT_CONTEXT_TYPE_INFO = *const WDF_OBJECT_CONTEXT_TYPE_INFO;
pub type PFN_GET_UNIQUE_CONTEXT_TYPE = Option<unsafe extern "C" fn() -> PCWDF_OBJECT_CONTEXT_TYPE_INFO>;

// Callbacks of the driver.

pub type PFN_WDF_DEVICE_ARM_WAKE_FROM_S0 = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_ARM_WAKE_FROM_SX = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_ARM_WAKE_FROM_SX_WITH_REASON =
    Option<unsafe extern "C" fn(WDFDEVICE, UCHAR, UCHAR) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_D0_ENTRY = Option<unsafe extern "C" fn(WDFDEVICE, _WDF_POWER_DEVICE_STATE::Type) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED =
    Option<unsafe extern "C" fn(WDFDEVICE, _WDF_POWER_DEVICE_STATE::Type) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_D0_EXIT = Option<unsafe extern "C" fn(WDFDEVICE, _WDF_POWER_DEVICE_STATE::Type) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED =
    Option<unsafe extern "C" fn(WDFDEVICE, _WDF_POWER_DEVICE_STATE::Type) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_DISARM_WAKE_FROM_S0 = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_DISARM_WAKE_FROM_SX = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_FILE_CREATE = Option<unsafe extern "C" fn(WDFDEVICE, WDFREQUEST, WDFFILEOBJECT)>;
pub type PFN_WDF_DEVICE_PREPARE_HARDWARE =
    Option<unsafe extern "C" fn(WDFDEVICE, WDFCMRESLIST, WDFCMRESLIST) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_QUERY_REMOVE = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_QUERY_STOP = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_RELATIONS_QUERY = Option<unsafe extern "C" fn(WDFDEVICE, _DEVICE_RELATION_TYPE::Type)>;
pub type PFN_WDF_DEVICE_RELEASE_HARDWARE = Option<unsafe extern "C" fn(WDFDEVICE, WDFCMRESLIST) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND = Option<unsafe extern "C" fn(WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SURPRISE_REMOVAL = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_USAGE_NOTIFICATION =
    Option<unsafe extern "C" fn(WDFDEVICE, _WDF_SPECIAL_FILE_TYPE::Type, UCHAR)>;
pub type PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX =
    Option<unsafe extern "C" fn(WDFDEVICE, _WDF_SPECIAL_FILE_TYPE::Type, UCHAR) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_WAKE_FROM_S0_TRIGGERED = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DEVICE_WAKE_FROM_SX_TRIGGERED = Option<unsafe extern "C" fn(WDFDEVICE)>;
pub type PFN_WDF_DPC = Option<unsafe extern "C" fn(WDFDPC)>;
pub type PFN_WDF_DRIVER_DEVICE_ADD = Option<unsafe extern "C" fn(WDFDRIVER, *mut WDFDEVICE_INIT) -> NTSTATUS>;
pub type PFN_WDF_DRIVER_UNLOAD = Option<unsafe extern "C" fn(WDFDRIVER)>;
pub type PFN_WDF_FILE_CLEANUP = Option<unsafe extern "C" fn(WDFFILEOBJECT)>;
pub type PFN_WDF_FILE_CLOSE = Option<unsafe extern "C" fn(WDFFILEOBJECT)>;
pub type PFN_WDF_IO_IN_CALLER_CONTEXT = Option<unsafe extern "C" fn(WDFDEVICE, WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_DEFAULT = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, size_t, size_t, ULONG)>;
pub type PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL =
    Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, size_t, size_t, ULONG)>;
pub type PFN_WDF_IO_QUEUE_IO_READ = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, size_t)>;
pub type PFN_WDF_IO_QUEUE_IO_RESUME = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_STOP = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, ULONG)>;
pub type PFN_WDF_IO_QUEUE_IO_WRITE = Option<unsafe extern "C" fn(WDFQUEUE, WDFREQUEST, size_t)>;
pub type PFN_WDF_IO_QUEUE_STATE = Option<unsafe extern "C" fn(WDFQUEUE, PVOID)>;
pub type PFN_WDF_OBJECT_CONTEXT_CLEANUP = Option<unsafe extern "C" fn(PVOID)>;
pub type PFN_WDF_OBJECT_CONTEXT_DESTROY = Option<unsafe extern "C" fn(PVOID)>;
pub type PFN_WDF_REQUEST_CANCEL = Option<unsafe extern "C" fn(WDFREQUEST)>;
pub type PFN_WDF_TIMER = Option<unsafe extern "C" fn(WDFTIMER)>;
pub type PFN_WDF_WORKITEM = Option<unsafe extern "C" fn(WDFWORKITEM)>;

// The table's function types.

pub type PFN_WDFCONTROLDEVICEINITALLOCATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDRIVER, *const UNICODE_STRING) -> *mut WDFDEVICE_INIT>;
pub type PFN_WDFCONTROLFINISHINITIALIZING = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE)>;
pub type PFN_WDFWDMDEVICEGETWDFDEVICEHANDLE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut DEVICE_OBJECT) -> WDFDEVICE>;
pub type PFN_WDFDEVICEWDMGETDEVICEOBJECT =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE) -> *mut DEVICE_OBJECT>;
pub type PFN_WDFDEVICEWDMGETPHYSICALDEVICE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE) -> *mut DEVICE_OBJECT>;
pub type PFN_WDFDEVICEGETDRIVER = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE) -> WDFDRIVER>;
pub type PFN_WDFDEVICEOPENREGISTRYKEY = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        WDFDEVICE,
        ULONG,
        ULONG,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFKEY,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDEVICEINITFREE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT)>;
pub type PFN_WDFDEVICEINITSETPNPPOWEREVENTCALLBACKS =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *mut WDF_PNPPOWER_EVENT_CALLBACKS)>;
pub type PFN_WDFDEVICEINITSETPOWERPOLICYEVENTCALLBACKS =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *mut WDF_POWER_POLICY_EVENT_CALLBACKS)>;
pub type PFN_WDFDEVICEINITSETPOWERPOLICYOWNERSHIP =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, UCHAR)>;
pub type PFN_WDFDEVICEINITSETIOTYPE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, _WDF_DEVICE_IO_TYPE::Type)>;
pub type PFN_WDFDEVICEINITSETEXCLUSIVE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, UCHAR)>;
pub type PFN_WDFDEVICEINITSETDEVICETYPE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, ULONG)>;
pub type PFN_WDFDEVICEINITASSIGNNAME =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *const UNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICEINITASSIGNSDDLSTRING =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *const UNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICEINITSETDEVICECLASS =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *const GUID)>;
pub type PFN_WDFDEVICEINITSETCHARACTERISTICS =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, ULONG, UCHAR)>;
pub type PFN_WDFDEVICEINITSETFILEOBJECTCONFIG = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut WDFDEVICE_INIT,
        *mut WDF_FILEOBJECT_CONFIG,
        *mut WDF_OBJECT_ATTRIBUTES,
    ),
>;
pub type PFN_WDFDEVICEINITSETREQUESTATTRIBUTES =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *mut WDF_OBJECT_ATTRIBUTES)>;
pub type PFN_WDFDEVICEINITSETIOINCALLERCONTEXTCALLBACK =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, PFN_WDF_IO_IN_CALLER_CONTEXT)>;
pub type PFN_WDFDEVICECREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut *mut WDFDEVICE_INIT,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFDEVICE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDEVICECREATEDEVICEINTERFACE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, *const GUID, *const UNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICESETDEVICEINTERFACESTATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, *const GUID, *const UNICODE_STRING, UCHAR)>;
pub type PFN_WDFDEVICECREATESYMBOLICLINK =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, *const UNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICESETPNPCAPABILITIES =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, *mut WDF_DEVICE_PNP_CAPABILITIES)>;
pub type PFN_WDFDEVICESETPOWERCAPABILITIES =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, *mut WDF_DEVICE_POWER_CAPABILITIES)>;
pub type PFN_WDFDEVICESETFAILED =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, _WDF_DEVICE_FAILED_ACTION::Type)>;
pub type PFN_WDFDEVICEENQUEUEREQUEST =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFDEVICEGETDEFAULTQUEUE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE) -> WDFQUEUE>;
pub type PFN_WDFDEVICECONFIGUREREQUESTDISPATCHING =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDEVICE, WDFQUEUE, _WDF_REQUEST_TYPE::Type) -> NTSTATUS>;
pub type PFN_WDFDPCCREATE = Option<
    unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDF_DPC_CONFIG, *mut WDF_OBJECT_ATTRIBUTES, *mut WDFDPC) -> NTSTATUS,
>;
pub type PFN_WDFDPCENQUEUE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDPC) -> UCHAR>;
pub type PFN_WDFDPCCANCEL = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDPC, UCHAR) -> UCHAR>;
pub type PFN_WDFDPCGETPARENTOBJECT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDPC) -> PVOID>;
pub type PFN_WDFDRIVERCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut DRIVER_OBJECT,
        *const UNICODE_STRING,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDF_DRIVER_CONFIG,
        *mut WDFDRIVER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDRIVERGETREGISTRYPATH = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDRIVER) -> *mut USHORT>;
pub type PFN_WDFDRIVERWDMGETDRIVEROBJECT =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDRIVER) -> *mut DRIVER_OBJECT>;
pub type PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY = Option<
    unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFDRIVER, ULONG, *mut WDF_OBJECT_ATTRIBUTES, *mut WDFKEY) -> NTSTATUS,
>;
pub type PFN_WDFFILEOBJECTGETFILENAME =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFFILEOBJECT) -> *mut UNICODE_STRING>;
pub type PFN_WDFFILEOBJECTGETDEVICE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFFILEOBJECT) -> WDFDEVICE>;
pub type PFN_WDFFILEOBJECTWDMGETFILEOBJECT =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFFILEOBJECT) -> *mut FILE_OBJECT>;
pub type PFN_WDFIOQUEUECREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        WDFDEVICE,
        *mut WDF_IO_QUEUE_CONFIG,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFQUEUE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOQUEUEGETSTATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, *mut ULONG, *mut ULONG) -> _WDF_IO_QUEUE_STATE::Type>;
pub type PFN_WDFIOQUEUESTART = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE)>;
pub type PFN_WDFIOQUEUESTOP =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, PFN_WDF_IO_QUEUE_STATE, PVOID)>;
pub type PFN_WDFIOQUEUESTOPSYNCHRONOUSLY = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE)>;
pub type PFN_WDFIOQUEUEGETDEVICE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE) -> WDFDEVICE>;
pub type PFN_WDFIOQUEUERETRIEVENEXTREQUEST =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, *mut WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFIOQUEUERETRIEVEREQUESTBYFILEOBJECT =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, WDFFILEOBJECT, *mut WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFIOQUEUEFINDREQUEST = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        WDFQUEUE,
        WDFREQUEST,
        WDFFILEOBJECT,
        *mut WDF_REQUEST_PARAMETERS,
        *mut WDFREQUEST,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOQUEUERETRIEVEFOUNDREQUEST =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, WDFREQUEST, *mut WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFIOQUEUEDRAINSYNCHRONOUSLY = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE)>;
pub type PFN_WDFIOQUEUEDRAIN =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, PFN_WDF_IO_QUEUE_STATE, PVOID)>;
pub type PFN_WDFIOQUEUEPURGESYNCHRONOUSLY = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE)>;
pub type PFN_WDFIOQUEUEPURGE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, PFN_WDF_IO_QUEUE_STATE, PVOID)>;
pub type PFN_WDFIOQUEUEREADYNOTIFY =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFQUEUE, PFN_WDF_IO_QUEUE_STATE, PVOID) -> NTSTATUS>;
pub type PFN_WDFMEMORYCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut WDF_OBJECT_ATTRIBUTES,
        _POOL_TYPE::Type,
        ULONG,
        size_t,
        *mut WDFMEMORY,
        *mut PVOID,
    ) -> NTSTATUS,
>;
pub type PFN_WDFMEMORYCREATEPREALLOCATED = Option<
    unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDF_OBJECT_ATTRIBUTES, PVOID, size_t, *mut WDFMEMORY) -> NTSTATUS,
>;
pub type PFN_WDFMEMORYGETBUFFER = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFMEMORY, *mut size_t) -> PVOID>;
pub type PFN_WDFLOOKASIDELISTCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut WDF_OBJECT_ATTRIBUTES,
        size_t,
        _POOL_TYPE::Type,
        *mut WDF_OBJECT_ATTRIBUTES,
        ULONG,
        *mut WDFLOOKASIDE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFMEMORYCREATEFROMLOOKASIDE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFLOOKASIDE, *mut WDFMEMORY) -> NTSTATUS>;
pub type PFN_WDFOBJECTGETTYPEDCONTEXTWORKER =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID, *const WDF_OBJECT_CONTEXT_TYPE_INFO) -> PVOID>;
pub type PFN_WDFOBJECTALLOCATECONTEXT =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID, *mut WDF_OBJECT_ATTRIBUTES, *mut PVOID) -> NTSTATUS>;
pub type PFN_WDFOBJECTCONTEXTGETOBJECT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID) -> PVOID>;
pub type PFN_WDFOBJECTREFERENCEACTUAL =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID, PVOID, LONG, *const CHAR)>;
pub type PFN_WDFOBJECTDEREFERENCEACTUAL =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID, PVOID, LONG, *const CHAR)>;
pub type PFN_WDFOBJECTCREATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDF_OBJECT_ATTRIBUTES, *mut PVOID) -> NTSTATUS>;
pub type PFN_WDFOBJECTDELETE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID)>;
pub type PFN_WDFREGISTRYCLOSE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFKEY)>;
pub type PFN_WDFREGISTRYQUERYULONG =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFKEY, *const UNICODE_STRING, *mut ULONG) -> NTSTATUS>;
pub type PFN_WDFREQUESTGETSTATUS = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFREQUESTMARKCANCELABLE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, PFN_WDF_REQUEST_CANCEL)>;
pub type PFN_WDFREQUESTUNMARKCANCELABLE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFREQUESTISCANCELED = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> UCHAR>;
pub type PFN_WDFREQUESTCOMPLETE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, LONG)>;
pub type PFN_WDFREQUESTCOMPLETEWITHPRIORITYBOOST =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, LONG, CHAR)>;
pub type PFN_WDFREQUESTCOMPLETEWITHINFORMATION =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, LONG, ULONG_PTR)>;
pub type PFN_WDFREQUESTGETPARAMETERS =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, *mut WDF_REQUEST_PARAMETERS)>;
pub type PFN_WDFREQUESTRETRIEVEINPUTMEMORY =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, *mut WDFMEMORY) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEOUTPUTMEMORY =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, *mut WDFMEMORY) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEINPUTBUFFER =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, size_t, *mut PVOID, *mut size_t) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, size_t, *mut PVOID, *mut size_t) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEINPUTWDMMDL =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, *mut *mut MDL) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEOUTPUTWDMMDL =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, *mut *mut MDL) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEUNSAFEUSERINPUTBUFFER =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, size_t, *mut PVOID, *mut size_t) -> NTSTATUS>;
pub type PFN_WDFREQUESTRETRIEVEUNSAFEUSEROUTPUTBUFFER =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, size_t, *mut PVOID, *mut size_t) -> NTSTATUS>;
pub type PFN_WDFREQUESTSETINFORMATION = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, ULONG_PTR)>;
pub type PFN_WDFREQUESTGETINFORMATION = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> ULONG_PTR>;
pub type PFN_WDFREQUESTGETFILEOBJECT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> WDFFILEOBJECT>;
pub type PFN_WDFREQUESTGETREQUESTORMODE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> CHAR>;
pub type PFN_WDFREQUESTFORWARDTOIOQUEUE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, WDFQUEUE) -> NTSTATUS>;
pub type PFN_WDFREQUESTGETIOQUEUE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> WDFQUEUE>;
pub type PFN_WDFREQUESTREQUEUE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> NTSTATUS>;
pub type PFN_WDFREQUESTSTOPACKNOWLEDGE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, UCHAR)>;
pub type PFN_WDFREQUESTWDMGETIRP = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST) -> *mut IRP>;
pub type PFN_WDFSTRINGCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *const UNICODE_STRING,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFSTRING,
    ) -> NTSTATUS,
>;
pub type PFN_WDFSTRINGGETUNICODESTRING =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFSTRING, *mut UNICODE_STRING)>;
pub type PFN_WDFOBJECTACQUIRELOCK = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID)>;
pub type PFN_WDFOBJECTRELEASELOCK = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, PVOID)>;
pub type PFN_WDFWAITLOCKCREATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDF_OBJECT_ATTRIBUTES, *mut WDFWAITLOCK) -> NTSTATUS>;
pub type PFN_WDFWAITLOCKACQUIRE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFWAITLOCK, *mut LONGLONG) -> NTSTATUS>;
pub type PFN_WDFWAITLOCKRELEASE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFWAITLOCK)>;
pub type PFN_WDFSPINLOCKCREATE =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDF_OBJECT_ATTRIBUTES, *mut WDFSPINLOCK) -> NTSTATUS>;
pub type PFN_WDFSPINLOCKACQUIRE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFSPINLOCK)>;
pub type PFN_WDFSPINLOCKRELEASE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFSPINLOCK)>;
pub type PFN_WDFTIMERCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut WDF_TIMER_CONFIG,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFTIMER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFTIMERSTART = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFTIMER, LONGLONG) -> UCHAR>;
pub type PFN_WDFTIMERSTOP = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFTIMER, UCHAR) -> UCHAR>;
pub type PFN_WDFTIMERGETPARENTOBJECT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFTIMER) -> PVOID>;
pub type PFN_WDFVERIFIERDBGBREAKPOINT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS)>;
pub type PFN_WDFVERIFIERKEBUGCHECK =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, ULONG, ULONG_PTR, ULONG_PTR, ULONG_PTR, ULONG_PTR)>;
pub type PFN_WDFWORKITEMCREATE = Option<
    unsafe extern "C" fn(
        PWDF_DRIVER_GLOBALS,
        *mut WDF_WORKITEM_CONFIG,
        *mut WDF_OBJECT_ATTRIBUTES,
        *mut WDFWORKITEM,
    ) -> NTSTATUS,
>;
pub type PFN_WDFWORKITEMENQUEUE = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFWORKITEM)>;
pub type PFN_WDFWORKITEMGETPARENTOBJECT = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFWORKITEM) -> PVOID>;
pub type PFN_WDFWORKITEMFLUSH = Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFWORKITEM)>;
pub type PFN_WDFREQUESTMARKCANCELABLEEX =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, WDFREQUEST, PFN_WDF_REQUEST_CANCEL) -> NTSTATUS>;
pub type PFN_WDFDEVICEINITSETIOTYPEEX =
    Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, *mut WDFDEVICE_INIT, *mut WDF_IO_TYPE_CONFIG)>;

/// Indices into the framework's function table, as wdk-sys spells them.
pub mod _WDFFUNCENUM {
    pub type Type = core::ffi::c_int;
    pub const WdfControlDeviceInitAllocateTableIndex: Type = 25;
    pub const WdfControlFinishInitializingTableIndex: Type = 27;
    pub const WdfWdmDeviceGetWdfDeviceHandleTableIndex: Type = 30;
    pub const WdfDeviceWdmGetDeviceObjectTableIndex: Type = 31;
    pub const WdfDeviceWdmGetPhysicalDeviceTableIndex: Type = 33;
    pub const WdfDeviceGetDriverTableIndex: Type = 39;
    pub const WdfDeviceOpenRegistryKeyTableIndex: Type = 48;
    pub const WdfDeviceInitFreeTableIndex: Type = 54;
    pub const WdfDeviceInitSetPnpPowerEventCallbacksTableIndex: Type = 55;
    pub const WdfDeviceInitSetPowerPolicyEventCallbacksTableIndex: Type = 56;
    pub const WdfDeviceInitSetPowerPolicyOwnershipTableIndex: Type = 57;
    pub const WdfDeviceInitSetIoTypeTableIndex: Type = 61;
    pub const WdfDeviceInitSetExclusiveTableIndex: Type = 62;
    pub const WdfDeviceInitSetDeviceTypeTableIndex: Type = 66;
    pub const WdfDeviceInitAssignNameTableIndex: Type = 67;
    pub const WdfDeviceInitAssignSDDLStringTableIndex: Type = 68;
    pub const WdfDeviceInitSetDeviceClassTableIndex: Type = 69;
    pub const WdfDeviceInitSetCharacteristicsTableIndex: Type = 70;
    pub const WdfDeviceInitSetFileObjectConfigTableIndex: Type = 71;
    pub const WdfDeviceInitSetRequestAttributesTableIndex: Type = 72;
    pub const WdfDeviceInitSetIoInCallerContextCallbackTableIndex: Type = 74;
    pub const WdfDeviceCreateTableIndex: Type = 75;
    pub const WdfDeviceCreateDeviceInterfaceTableIndex: Type = 77;
    pub const WdfDeviceSetDeviceInterfaceStateTableIndex: Type = 78;
    pub const WdfDeviceCreateSymbolicLinkTableIndex: Type = 80;
    pub const WdfDeviceSetPnpCapabilitiesTableIndex: Type = 83;
    pub const WdfDeviceSetPowerCapabilitiesTableIndex: Type = 84;
    pub const WdfDeviceSetFailedTableIndex: Type = 87;
    pub const WdfDeviceEnqueueRequestTableIndex: Type = 91;
    pub const WdfDeviceGetDefaultQueueTableIndex: Type = 92;
    pub const WdfDeviceConfigureRequestDispatchingTableIndex: Type = 93;
    pub const WdfDpcCreateTableIndex: Type = 111;
    pub const WdfDpcEnqueueTableIndex: Type = 112;
    pub const WdfDpcCancelTableIndex: Type = 113;
    pub const WdfDpcGetParentObjectTableIndex: Type = 114;
    pub const WdfDriverCreateTableIndex: Type = 116;
    pub const WdfDriverGetRegistryPathTableIndex: Type = 117;
    pub const WdfDriverWdmGetDriverObjectTableIndex: Type = 118;
    pub const WdfDriverOpenParametersRegistryKeyTableIndex: Type = 119;
    pub const WdfFileObjectGetFileNameTableIndex: Type = 137;
    pub const WdfFileObjectGetDeviceTableIndex: Type = 139;
    pub const WdfFileObjectWdmGetFileObjectTableIndex: Type = 140;
    pub const WdfIoQueueCreateTableIndex: Type = 152;
    pub const WdfIoQueueGetStateTableIndex: Type = 153;
    pub const WdfIoQueueStartTableIndex: Type = 154;
    pub const WdfIoQueueStopTableIndex: Type = 155;
    pub const WdfIoQueueStopSynchronouslyTableIndex: Type = 156;
    pub const WdfIoQueueGetDeviceTableIndex: Type = 157;
    pub const WdfIoQueueRetrieveNextRequestTableIndex: Type = 158;
    pub const WdfIoQueueRetrieveRequestByFileObjectTableIndex: Type = 159;
    pub const WdfIoQueueFindRequestTableIndex: Type = 160;
    pub const WdfIoQueueRetrieveFoundRequestTableIndex: Type = 161;
    pub const WdfIoQueueDrainSynchronouslyTableIndex: Type = 162;
    pub const WdfIoQueueDrainTableIndex: Type = 163;
    pub const WdfIoQueuePurgeSynchronouslyTableIndex: Type = 164;
    pub const WdfIoQueuePurgeTableIndex: Type = 165;
    pub const WdfIoQueueReadyNotifyTableIndex: Type = 166;
    pub const WdfMemoryCreateTableIndex: Type = 192;
    pub const WdfMemoryCreatePreallocatedTableIndex: Type = 193;
    pub const WdfMemoryGetBufferTableIndex: Type = 194;
    pub const WdfLookasideListCreateTableIndex: Type = 198;
    pub const WdfMemoryCreateFromLookasideTableIndex: Type = 199;
    pub const WdfObjectGetTypedContextWorkerTableIndex: Type = 202;
    pub const WdfObjectAllocateContextTableIndex: Type = 203;
    pub const WdfObjectContextGetObjectTableIndex: Type = 204;
    pub const WdfObjectReferenceActualTableIndex: Type = 205;
    pub const WdfObjectDereferenceActualTableIndex: Type = 206;
    pub const WdfObjectCreateTableIndex: Type = 207;
    pub const WdfObjectDeleteTableIndex: Type = 208;
    pub const WdfRegistryCloseTableIndex: Type = 231;
    pub const WdfRegistryQueryULongTableIndex: Type = 240;
    pub const WdfRequestGetStatusTableIndex: Type = 254;
    pub const WdfRequestMarkCancelableTableIndex: Type = 255;
    pub const WdfRequestUnmarkCancelableTableIndex: Type = 256;
    pub const WdfRequestIsCanceledTableIndex: Type = 257;
    pub const WdfRequestCompleteTableIndex: Type = 263;
    pub const WdfRequestCompleteWithPriorityBoostTableIndex: Type = 264;
    pub const WdfRequestCompleteWithInformationTableIndex: Type = 265;
    pub const WdfRequestGetParametersTableIndex: Type = 266;
    pub const WdfRequestRetrieveInputMemoryTableIndex: Type = 267;
    pub const WdfRequestRetrieveOutputMemoryTableIndex: Type = 268;
    pub const WdfRequestRetrieveInputBufferTableIndex: Type = 269;
    pub const WdfRequestRetrieveOutputBufferTableIndex: Type = 270;
    pub const WdfRequestRetrieveInputWdmMdlTableIndex: Type = 271;
    pub const WdfRequestRetrieveOutputWdmMdlTableIndex: Type = 272;
    pub const WdfRequestRetrieveUnsafeUserInputBufferTableIndex: Type = 273;
    pub const WdfRequestRetrieveUnsafeUserOutputBufferTableIndex: Type = 274;
    pub const WdfRequestSetInformationTableIndex: Type = 275;
    pub const WdfRequestGetInformationTableIndex: Type = 276;
    pub const WdfRequestGetFileObjectTableIndex: Type = 277;
    pub const WdfRequestGetRequestorModeTableIndex: Type = 280;
    pub const WdfRequestForwardToIoQueueTableIndex: Type = 281;
    pub const WdfRequestGetIoQueueTableIndex: Type = 282;
    pub const WdfRequestRequeueTableIndex: Type = 283;
    pub const WdfRequestStopAcknowledgeTableIndex: Type = 284;
    pub const WdfRequestWdmGetIrpTableIndex: Type = 285;
    pub const WdfStringCreateTableIndex: Type = 308;
    pub const WdfStringGetUnicodeStringTableIndex: Type = 309;
    pub const WdfObjectAcquireLockTableIndex: Type = 310;
    pub const WdfObjectReleaseLockTableIndex: Type = 311;
    pub const WdfWaitLockCreateTableIndex: Type = 312;
    pub const WdfWaitLockAcquireTableIndex: Type = 313;
    pub const WdfWaitLockReleaseTableIndex: Type = 314;
    pub const WdfSpinLockCreateTableIndex: Type = 315;
    pub const WdfSpinLockAcquireTableIndex: Type = 316;
    pub const WdfSpinLockReleaseTableIndex: Type = 317;
    pub const WdfTimerCreateTableIndex: Type = 318;
    pub const WdfTimerStartTableIndex: Type = 319;
    pub const WdfTimerStopTableIndex: Type = 320;
    pub const WdfTimerGetParentObjectTableIndex: Type = 321;
    pub const WdfVerifierDbgBreakPointTableIndex: Type = 367;
    pub const WdfVerifierKeBugCheckTableIndex: Type = 368;
    pub const WdfWorkItemCreateTableIndex: Type = 379;
    pub const WdfWorkItemEnqueueTableIndex: Type = 380;
    pub const WdfWorkItemGetParentObjectTableIndex: Type = 381;
    pub const WdfWorkItemFlushTableIndex: Type = 382;
    pub const WdfRequestMarkCancelableExTableIndex: Type = 393;
    pub const WdfDeviceInitSetIoTypeExTableIndex: Type = 432;
}

/// The table's entries by name: what `wdf_call!` looks up.
#[doc(hidden)]
pub mod table {
    use super::*;
    use crate::table::Entry;

    pub const WdfControlDeviceInitAllocate: Entry<PFN_WDFCONTROLDEVICEINITALLOCATE> =
        Entry::new(super::_WDFFUNCENUM::WdfControlDeviceInitAllocateTableIndex as usize);
    pub const WdfControlFinishInitializing: Entry<PFN_WDFCONTROLFINISHINITIALIZING> =
        Entry::new(super::_WDFFUNCENUM::WdfControlFinishInitializingTableIndex as usize);
    pub const WdfWdmDeviceGetWdfDeviceHandle: Entry<PFN_WDFWDMDEVICEGETWDFDEVICEHANDLE> =
        Entry::new(super::_WDFFUNCENUM::WdfWdmDeviceGetWdfDeviceHandleTableIndex as usize);
    pub const WdfDeviceWdmGetDeviceObject: Entry<PFN_WDFDEVICEWDMGETDEVICEOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceWdmGetDeviceObjectTableIndex as usize);
    pub const WdfDeviceWdmGetPhysicalDevice: Entry<PFN_WDFDEVICEWDMGETPHYSICALDEVICE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceWdmGetPhysicalDeviceTableIndex as usize);
    pub const WdfDeviceGetDriver: Entry<PFN_WDFDEVICEGETDRIVER> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceGetDriverTableIndex as usize);
    pub const WdfDeviceOpenRegistryKey: Entry<PFN_WDFDEVICEOPENREGISTRYKEY> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceOpenRegistryKeyTableIndex as usize);
    pub const WdfDeviceInitFree: Entry<PFN_WDFDEVICEINITFREE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitFreeTableIndex as usize);
    pub const WdfDeviceInitSetPnpPowerEventCallbacks: Entry<PFN_WDFDEVICEINITSETPNPPOWEREVENTCALLBACKS> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetPnpPowerEventCallbacksTableIndex as usize);
    pub const WdfDeviceInitSetPowerPolicyEventCallbacks: Entry<PFN_WDFDEVICEINITSETPOWERPOLICYEVENTCALLBACKS> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyEventCallbacksTableIndex as usize);
    pub const WdfDeviceInitSetPowerPolicyOwnership: Entry<PFN_WDFDEVICEINITSETPOWERPOLICYOWNERSHIP> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyOwnershipTableIndex as usize);
    pub const WdfDeviceInitSetIoType: Entry<PFN_WDFDEVICEINITSETIOTYPE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetIoTypeTableIndex as usize);
    pub const WdfDeviceInitSetExclusive: Entry<PFN_WDFDEVICEINITSETEXCLUSIVE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetExclusiveTableIndex as usize);
    pub const WdfDeviceInitSetDeviceType: Entry<PFN_WDFDEVICEINITSETDEVICETYPE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetDeviceTypeTableIndex as usize);
    pub const WdfDeviceInitAssignName: Entry<PFN_WDFDEVICEINITASSIGNNAME> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitAssignNameTableIndex as usize);
    pub const WdfDeviceInitAssignSDDLString: Entry<PFN_WDFDEVICEINITASSIGNSDDLSTRING> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitAssignSDDLStringTableIndex as usize);
    pub const WdfDeviceInitSetDeviceClass: Entry<PFN_WDFDEVICEINITSETDEVICECLASS> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetDeviceClassTableIndex as usize);
    pub const WdfDeviceInitSetCharacteristics: Entry<PFN_WDFDEVICEINITSETCHARACTERISTICS> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetCharacteristicsTableIndex as usize);
    pub const WdfDeviceInitSetFileObjectConfig: Entry<PFN_WDFDEVICEINITSETFILEOBJECTCONFIG> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetFileObjectConfigTableIndex as usize);
    pub const WdfDeviceInitSetRequestAttributes: Entry<PFN_WDFDEVICEINITSETREQUESTATTRIBUTES> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetRequestAttributesTableIndex as usize);
    pub const WdfDeviceInitSetIoInCallerContextCallback: Entry<PFN_WDFDEVICEINITSETIOINCALLERCONTEXTCALLBACK> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetIoInCallerContextCallbackTableIndex as usize);
    pub const WdfDeviceCreate: Entry<PFN_WDFDEVICECREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceCreateTableIndex as usize);
    pub const WdfDeviceCreateDeviceInterface: Entry<PFN_WDFDEVICECREATEDEVICEINTERFACE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceCreateDeviceInterfaceTableIndex as usize);
    pub const WdfDeviceSetDeviceInterfaceState: Entry<PFN_WDFDEVICESETDEVICEINTERFACESTATE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceSetDeviceInterfaceStateTableIndex as usize);
    pub const WdfDeviceCreateSymbolicLink: Entry<PFN_WDFDEVICECREATESYMBOLICLINK> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceCreateSymbolicLinkTableIndex as usize);
    pub const WdfDeviceSetPnpCapabilities: Entry<PFN_WDFDEVICESETPNPCAPABILITIES> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceSetPnpCapabilitiesTableIndex as usize);
    pub const WdfDeviceSetPowerCapabilities: Entry<PFN_WDFDEVICESETPOWERCAPABILITIES> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceSetPowerCapabilitiesTableIndex as usize);
    pub const WdfDeviceSetFailed: Entry<PFN_WDFDEVICESETFAILED> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceSetFailedTableIndex as usize);
    pub const WdfDeviceEnqueueRequest: Entry<PFN_WDFDEVICEENQUEUEREQUEST> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceEnqueueRequestTableIndex as usize);
    pub const WdfDeviceGetDefaultQueue: Entry<PFN_WDFDEVICEGETDEFAULTQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceGetDefaultQueueTableIndex as usize);
    pub const WdfDeviceConfigureRequestDispatching: Entry<PFN_WDFDEVICECONFIGUREREQUESTDISPATCHING> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceConfigureRequestDispatchingTableIndex as usize);
    pub const WdfDpcCreate: Entry<PFN_WDFDPCCREATE> = Entry::new(super::_WDFFUNCENUM::WdfDpcCreateTableIndex as usize);
    pub const WdfDpcEnqueue: Entry<PFN_WDFDPCENQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfDpcEnqueueTableIndex as usize);
    pub const WdfDpcCancel: Entry<PFN_WDFDPCCANCEL> = Entry::new(super::_WDFFUNCENUM::WdfDpcCancelTableIndex as usize);
    pub const WdfDpcGetParentObject: Entry<PFN_WDFDPCGETPARENTOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfDpcGetParentObjectTableIndex as usize);
    pub const WdfDriverCreate: Entry<PFN_WDFDRIVERCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfDriverCreateTableIndex as usize);
    pub const WdfDriverGetRegistryPath: Entry<PFN_WDFDRIVERGETREGISTRYPATH> =
        Entry::new(super::_WDFFUNCENUM::WdfDriverGetRegistryPathTableIndex as usize);
    pub const WdfDriverWdmGetDriverObject: Entry<PFN_WDFDRIVERWDMGETDRIVEROBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfDriverWdmGetDriverObjectTableIndex as usize);
    pub const WdfDriverOpenParametersRegistryKey: Entry<PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY> =
        Entry::new(super::_WDFFUNCENUM::WdfDriverOpenParametersRegistryKeyTableIndex as usize);
    pub const WdfFileObjectGetFileName: Entry<PFN_WDFFILEOBJECTGETFILENAME> =
        Entry::new(super::_WDFFUNCENUM::WdfFileObjectGetFileNameTableIndex as usize);
    pub const WdfFileObjectGetDevice: Entry<PFN_WDFFILEOBJECTGETDEVICE> =
        Entry::new(super::_WDFFUNCENUM::WdfFileObjectGetDeviceTableIndex as usize);
    pub const WdfFileObjectWdmGetFileObject: Entry<PFN_WDFFILEOBJECTWDMGETFILEOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfFileObjectWdmGetFileObjectTableIndex as usize);
    pub const WdfIoQueueCreate: Entry<PFN_WDFIOQUEUECREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueCreateTableIndex as usize);
    pub const WdfIoQueueGetState: Entry<PFN_WDFIOQUEUEGETSTATE> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueGetStateTableIndex as usize);
    pub const WdfIoQueueStart: Entry<PFN_WDFIOQUEUESTART> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueStartTableIndex as usize);
    pub const WdfIoQueueStop: Entry<PFN_WDFIOQUEUESTOP> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueStopTableIndex as usize);
    pub const WdfIoQueueStopSynchronously: Entry<PFN_WDFIOQUEUESTOPSYNCHRONOUSLY> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueStopSynchronouslyTableIndex as usize);
    pub const WdfIoQueueGetDevice: Entry<PFN_WDFIOQUEUEGETDEVICE> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueGetDeviceTableIndex as usize);
    pub const WdfIoQueueRetrieveNextRequest: Entry<PFN_WDFIOQUEUERETRIEVENEXTREQUEST> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueRetrieveNextRequestTableIndex as usize);
    pub const WdfIoQueueRetrieveRequestByFileObject: Entry<PFN_WDFIOQUEUERETRIEVEREQUESTBYFILEOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueRetrieveRequestByFileObjectTableIndex as usize);
    pub const WdfIoQueueFindRequest: Entry<PFN_WDFIOQUEUEFINDREQUEST> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueFindRequestTableIndex as usize);
    pub const WdfIoQueueRetrieveFoundRequest: Entry<PFN_WDFIOQUEUERETRIEVEFOUNDREQUEST> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueRetrieveFoundRequestTableIndex as usize);
    pub const WdfIoQueueDrainSynchronously: Entry<PFN_WDFIOQUEUEDRAINSYNCHRONOUSLY> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueDrainSynchronouslyTableIndex as usize);
    pub const WdfIoQueueDrain: Entry<PFN_WDFIOQUEUEDRAIN> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueDrainTableIndex as usize);
    pub const WdfIoQueuePurgeSynchronously: Entry<PFN_WDFIOQUEUEPURGESYNCHRONOUSLY> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueuePurgeSynchronouslyTableIndex as usize);
    pub const WdfIoQueuePurge: Entry<PFN_WDFIOQUEUEPURGE> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueuePurgeTableIndex as usize);
    pub const WdfIoQueueReadyNotify: Entry<PFN_WDFIOQUEUEREADYNOTIFY> =
        Entry::new(super::_WDFFUNCENUM::WdfIoQueueReadyNotifyTableIndex as usize);
    pub const WdfMemoryCreate: Entry<PFN_WDFMEMORYCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfMemoryCreateTableIndex as usize);
    pub const WdfMemoryCreatePreallocated: Entry<PFN_WDFMEMORYCREATEPREALLOCATED> =
        Entry::new(super::_WDFFUNCENUM::WdfMemoryCreatePreallocatedTableIndex as usize);
    pub const WdfMemoryGetBuffer: Entry<PFN_WDFMEMORYGETBUFFER> =
        Entry::new(super::_WDFFUNCENUM::WdfMemoryGetBufferTableIndex as usize);
    pub const WdfLookasideListCreate: Entry<PFN_WDFLOOKASIDELISTCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfLookasideListCreateTableIndex as usize);
    pub const WdfMemoryCreateFromLookaside: Entry<PFN_WDFMEMORYCREATEFROMLOOKASIDE> =
        Entry::new(super::_WDFFUNCENUM::WdfMemoryCreateFromLookasideTableIndex as usize);
    pub const WdfObjectGetTypedContextWorker: Entry<PFN_WDFOBJECTGETTYPEDCONTEXTWORKER> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectGetTypedContextWorkerTableIndex as usize);
    pub const WdfObjectAllocateContext: Entry<PFN_WDFOBJECTALLOCATECONTEXT> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectAllocateContextTableIndex as usize);
    pub const WdfObjectContextGetObject: Entry<PFN_WDFOBJECTCONTEXTGETOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectContextGetObjectTableIndex as usize);
    pub const WdfObjectReferenceActual: Entry<PFN_WDFOBJECTREFERENCEACTUAL> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectReferenceActualTableIndex as usize);
    pub const WdfObjectDereferenceActual: Entry<PFN_WDFOBJECTDEREFERENCEACTUAL> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectDereferenceActualTableIndex as usize);
    pub const WdfObjectCreate: Entry<PFN_WDFOBJECTCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectCreateTableIndex as usize);
    pub const WdfObjectDelete: Entry<PFN_WDFOBJECTDELETE> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectDeleteTableIndex as usize);
    pub const WdfRegistryClose: Entry<PFN_WDFREGISTRYCLOSE> =
        Entry::new(super::_WDFFUNCENUM::WdfRegistryCloseTableIndex as usize);
    pub const WdfRegistryQueryULong: Entry<PFN_WDFREGISTRYQUERYULONG> =
        Entry::new(super::_WDFFUNCENUM::WdfRegistryQueryULongTableIndex as usize);
    pub const WdfRequestGetStatus: Entry<PFN_WDFREQUESTGETSTATUS> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetStatusTableIndex as usize);
    pub const WdfRequestMarkCancelable: Entry<PFN_WDFREQUESTMARKCANCELABLE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestMarkCancelableTableIndex as usize);
    pub const WdfRequestUnmarkCancelable: Entry<PFN_WDFREQUESTUNMARKCANCELABLE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestUnmarkCancelableTableIndex as usize);
    pub const WdfRequestIsCanceled: Entry<PFN_WDFREQUESTISCANCELED> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestIsCanceledTableIndex as usize);
    pub const WdfRequestComplete: Entry<PFN_WDFREQUESTCOMPLETE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestCompleteTableIndex as usize);
    pub const WdfRequestCompleteWithPriorityBoost: Entry<PFN_WDFREQUESTCOMPLETEWITHPRIORITYBOOST> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestCompleteWithPriorityBoostTableIndex as usize);
    pub const WdfRequestCompleteWithInformation: Entry<PFN_WDFREQUESTCOMPLETEWITHINFORMATION> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestCompleteWithInformationTableIndex as usize);
    pub const WdfRequestGetParameters: Entry<PFN_WDFREQUESTGETPARAMETERS> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetParametersTableIndex as usize);
    pub const WdfRequestRetrieveInputMemory: Entry<PFN_WDFREQUESTRETRIEVEINPUTMEMORY> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveInputMemoryTableIndex as usize);
    pub const WdfRequestRetrieveOutputMemory: Entry<PFN_WDFREQUESTRETRIEVEOUTPUTMEMORY> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveOutputMemoryTableIndex as usize);
    pub const WdfRequestRetrieveInputBuffer: Entry<PFN_WDFREQUESTRETRIEVEINPUTBUFFER> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveInputBufferTableIndex as usize);
    pub const WdfRequestRetrieveOutputBuffer: Entry<PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveOutputBufferTableIndex as usize);
    pub const WdfRequestRetrieveInputWdmMdl: Entry<PFN_WDFREQUESTRETRIEVEINPUTWDMMDL> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveInputWdmMdlTableIndex as usize);
    pub const WdfRequestRetrieveOutputWdmMdl: Entry<PFN_WDFREQUESTRETRIEVEOUTPUTWDMMDL> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveOutputWdmMdlTableIndex as usize);
    pub const WdfRequestRetrieveUnsafeUserInputBuffer: Entry<PFN_WDFREQUESTRETRIEVEUNSAFEUSERINPUTBUFFER> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserInputBufferTableIndex as usize);
    pub const WdfRequestRetrieveUnsafeUserOutputBuffer: Entry<PFN_WDFREQUESTRETRIEVEUNSAFEUSEROUTPUTBUFFER> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserOutputBufferTableIndex as usize);
    pub const WdfRequestSetInformation: Entry<PFN_WDFREQUESTSETINFORMATION> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestSetInformationTableIndex as usize);
    pub const WdfRequestGetInformation: Entry<PFN_WDFREQUESTGETINFORMATION> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetInformationTableIndex as usize);
    pub const WdfRequestGetFileObject: Entry<PFN_WDFREQUESTGETFILEOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetFileObjectTableIndex as usize);
    pub const WdfRequestGetRequestorMode: Entry<PFN_WDFREQUESTGETREQUESTORMODE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetRequestorModeTableIndex as usize);
    pub const WdfRequestForwardToIoQueue: Entry<PFN_WDFREQUESTFORWARDTOIOQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestForwardToIoQueueTableIndex as usize);
    pub const WdfRequestGetIoQueue: Entry<PFN_WDFREQUESTGETIOQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestGetIoQueueTableIndex as usize);
    pub const WdfRequestRequeue: Entry<PFN_WDFREQUESTREQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestRequeueTableIndex as usize);
    pub const WdfRequestStopAcknowledge: Entry<PFN_WDFREQUESTSTOPACKNOWLEDGE> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestStopAcknowledgeTableIndex as usize);
    pub const WdfRequestWdmGetIrp: Entry<PFN_WDFREQUESTWDMGETIRP> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestWdmGetIrpTableIndex as usize);
    pub const WdfStringCreate: Entry<PFN_WDFSTRINGCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfStringCreateTableIndex as usize);
    pub const WdfStringGetUnicodeString: Entry<PFN_WDFSTRINGGETUNICODESTRING> =
        Entry::new(super::_WDFFUNCENUM::WdfStringGetUnicodeStringTableIndex as usize);
    pub const WdfObjectAcquireLock: Entry<PFN_WDFOBJECTACQUIRELOCK> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectAcquireLockTableIndex as usize);
    pub const WdfObjectReleaseLock: Entry<PFN_WDFOBJECTRELEASELOCK> =
        Entry::new(super::_WDFFUNCENUM::WdfObjectReleaseLockTableIndex as usize);
    pub const WdfWaitLockCreate: Entry<PFN_WDFWAITLOCKCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfWaitLockCreateTableIndex as usize);
    pub const WdfWaitLockAcquire: Entry<PFN_WDFWAITLOCKACQUIRE> =
        Entry::new(super::_WDFFUNCENUM::WdfWaitLockAcquireTableIndex as usize);
    pub const WdfWaitLockRelease: Entry<PFN_WDFWAITLOCKRELEASE> =
        Entry::new(super::_WDFFUNCENUM::WdfWaitLockReleaseTableIndex as usize);
    pub const WdfSpinLockCreate: Entry<PFN_WDFSPINLOCKCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfSpinLockCreateTableIndex as usize);
    pub const WdfSpinLockAcquire: Entry<PFN_WDFSPINLOCKACQUIRE> =
        Entry::new(super::_WDFFUNCENUM::WdfSpinLockAcquireTableIndex as usize);
    pub const WdfSpinLockRelease: Entry<PFN_WDFSPINLOCKRELEASE> =
        Entry::new(super::_WDFFUNCENUM::WdfSpinLockReleaseTableIndex as usize);
    pub const WdfTimerCreate: Entry<PFN_WDFTIMERCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfTimerCreateTableIndex as usize);
    pub const WdfTimerStart: Entry<PFN_WDFTIMERSTART> =
        Entry::new(super::_WDFFUNCENUM::WdfTimerStartTableIndex as usize);
    pub const WdfTimerStop: Entry<PFN_WDFTIMERSTOP> = Entry::new(super::_WDFFUNCENUM::WdfTimerStopTableIndex as usize);
    pub const WdfTimerGetParentObject: Entry<PFN_WDFTIMERGETPARENTOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfTimerGetParentObjectTableIndex as usize);
    pub const WdfVerifierDbgBreakPoint: Entry<PFN_WDFVERIFIERDBGBREAKPOINT> =
        Entry::new(super::_WDFFUNCENUM::WdfVerifierDbgBreakPointTableIndex as usize);
    pub const WdfVerifierKeBugCheck: Entry<PFN_WDFVERIFIERKEBUGCHECK> =
        Entry::new(super::_WDFFUNCENUM::WdfVerifierKeBugCheckTableIndex as usize);
    pub const WdfWorkItemCreate: Entry<PFN_WDFWORKITEMCREATE> =
        Entry::new(super::_WDFFUNCENUM::WdfWorkItemCreateTableIndex as usize);
    pub const WdfWorkItemEnqueue: Entry<PFN_WDFWORKITEMENQUEUE> =
        Entry::new(super::_WDFFUNCENUM::WdfWorkItemEnqueueTableIndex as usize);
    pub const WdfWorkItemGetParentObject: Entry<PFN_WDFWORKITEMGETPARENTOBJECT> =
        Entry::new(super::_WDFFUNCENUM::WdfWorkItemGetParentObjectTableIndex as usize);
    pub const WdfWorkItemFlush: Entry<PFN_WDFWORKITEMFLUSH> =
        Entry::new(super::_WDFFUNCENUM::WdfWorkItemFlushTableIndex as usize);
    pub const WdfRequestMarkCancelableEx: Entry<PFN_WDFREQUESTMARKCANCELABLEEX> =
        Entry::new(super::_WDFFUNCENUM::WdfRequestMarkCancelableExTableIndex as usize);
    pub const WdfDeviceInitSetIoTypeEx: Entry<PFN_WDFDEVICEINITSETIOTYPEEX> =
        Entry::new(super::_WDFFUNCENUM::WdfDeviceInitSetIoTypeExTableIndex as usize);
}
