//! Inline functions and macros of the C headers, which no binding generator carries over.
//!
//! `*_INIT` functions return the structure instead of filling one.

use crate::net::{
    NET_ADAPTER_AUTO_NEGOTIATION_FLAGS, NET_ADAPTER_DATAPATH_CALLBACKS, NET_ADAPTER_LINK_LAYER_CAPABILITIES,
    NET_ADAPTER_LINK_STATE, NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES, NET_ADAPTER_PAUSE_FUNCTION_TYPE,
    NET_ADAPTER_RX_CAPABILITIES, NET_ADAPTER_TX_CAPABILITIES, NET_EXTENSION_QUERY, NET_EXTENSION_TYPE,
    NET_IF_MEDIA_CONNECT_STATE, NET_IF_MEDIA_DUPLEX_STATE, NET_PACKET_QUEUE_CONFIG, PFN_NET_ADAPTER_CREATE_RXQUEUE,
    PFN_NET_ADAPTER_CREATE_TXQUEUE, PFN_NET_ADAPTER_OFFLOAD_SET_CHECKSUM, PFN_PACKET_QUEUE_ADVANCE,
    PFN_PACKET_QUEUE_CANCEL, PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED,
};
use crate::{
    _EVENT_TYPE, _MEMORY_CACHING_TYPE, _WDF_EXECUTION_LEVEL, _WDF_FILEOBJECT_CLASS, _WDF_IO_QUEUE_DISPATCH_TYPE,
    _WDF_SYNCHRONIZATION_SCOPE, _WDF_TRI_STATE, PFN_WDF_DEVICE_FILE_CREATE, PFN_WDF_DPC, PFN_WDF_DRIVER_DEVICE_ADD,
    PFN_WDF_FILE_CLEANUP, PFN_WDF_FILE_CLOSE, PFN_WDF_TIMER, PFN_WDF_WORKITEM, WDF_DEVICE_PNP_CAPABILITIES,
    WDF_DPC_CONFIG, WDF_DRIVER_CONFIG, WDF_FILEOBJECT_CONFIG, WDF_IO_QUEUE_CONFIG, WDF_IO_QUEUE_DISPATCH_TYPE,
    WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_REQUEST_PARAMETERS, WDF_TIMER_CONFIG, WDF_WORKITEM_CONFIG,
};
use crate::{
    BOOLEAN, FAST_MUTEX, KIRQL, KSPIN_LOCK, LARGE_INTEGER, LONGLONG, NTSTATUS, PDRIVER_CANCEL, PIO_COMPLETION_ROUTINE,
    PIO_STACK_LOCATION, PIRP, PMDL, PVOID, ULONG, ULONG_PTR, USHORT, ntddk,
};

/// A NUL-terminated UTF-16 string of ASCII characters: `wide!("NetAdapterCx")` is a `&'static [u16; 13]`.
#[macro_export]
macro_rules! wide {
    ($text:literal) => {{
        const TEXT: &str = $text;
        const WIDE: [u16; TEXT.len() + 1] = $crate::widen(TEXT);
        &WIDE
    }};
}

#[doc(hidden)]
#[must_use]
pub const fn widen<const N: usize>(text: &str) -> [u16; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() + 1 == N);
    let mut wide = [0; N];
    let mut i = 0;
    while i < bytes.len() {
        assert!(bytes[i].is_ascii() && bytes[i] != 0);
        wide[i] = bytes[i] as u16;
        i += 1;
    }
    wide
}

/// An `IOCTL_` code.
#[must_use]
pub const fn CTL_CODE(device_type: u32, function: u32, method: u32, access: u32) -> u32 {
    device_type << 16 | access << 14 | function << 2 | method
}

/// Stops the machine with a bug check.
///
/// # Safety
///
/// Always sound; unsafe because nothing may follow from a call by mistake.
pub unsafe fn bug_check(code: ULONG, parameters: [ULONG_PTR; 4]) -> ! {
    let [a, b, c, d] = parameters;
    // SAFETY: stops the machine; touches nothing of ours.
    unsafe {
        #[cfg(not(feature = "wdk"))]
        ntddk::KeBugCheckEx(code, a, b, c, d);
        #[cfg(feature = "wdk")]
        {
            // Declared there as returning.
            let _ = ntddk::KeBugCheckEx(code, a, b, c, d);
            loop {
                core::hint::spin_loop();
            }
        }
    }
}

// IRPs.

/// # Safety
///
/// `irp` is valid and owned by the caller.
#[must_use]
#[inline]
pub unsafe fn IoGetCurrentIrpStackLocation(irp: PIRP) -> PIO_STACK_LOCATION {
    // SAFETY: a valid IRP's tail is an overlay while it is not queued as an APC.
    unsafe { (*irp).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation }
}

/// # Safety
///
/// `irp` is valid, owned by the caller, and has a location left.
#[must_use]
#[inline]
pub unsafe fn IoGetNextIrpStackLocation(irp: PIRP) -> PIO_STACK_LOCATION {
    // SAFETY: locations lie before the current one, one for each driver still to be called.
    unsafe { IoGetCurrentIrpStackLocation(irp).sub(1) }
}

/// # Safety
///
/// As [`IoGetNextIrpStackLocation`]; `context` is what `routine` expects when the IRP completes.
#[inline]
pub unsafe fn IoSetCompletionRoutine(
    irp: PIRP,
    routine: PIO_COMPLETION_ROUTINE,
    context: PVOID,
    on_success: bool,
    on_error: bool,
    on_cancel: bool,
) {
    // SAFETY: the next location is ours to fill until the IRP is passed on.
    unsafe {
        let next = IoGetNextIrpStackLocation(irp);
        (*next).CompletionRoutine = routine;
        (*next).Context = context;
        (*next).Control = (if on_success { crate::SL_INVOKE_ON_SUCCESS as u8 } else { 0 })
            | (if on_error { crate::SL_INVOKE_ON_ERROR as u8 } else { 0 })
            | (if on_cancel { crate::SL_INVOKE_ON_CANCEL as u8 } else { 0 });
    }
}

/// # Safety
///
/// `irp` is valid and owned by the caller.
#[inline]
pub unsafe fn IoMarkIrpPending(irp: PIRP) {
    // SAFETY: the current location belongs to the driver that owns the IRP.
    unsafe { (*IoGetCurrentIrpStackLocation(irp)).Control |= crate::SL_PENDING_RETURNED as u8 };
}

/// The cancel routine of the IRP, exchanged.
///
/// # Safety
///
/// `irp` is valid.
#[inline]
pub unsafe fn IoSetCancelRoutine(irp: PIRP, routine: PDRIVER_CANCEL) -> PDRIVER_CANCEL {
    use core::sync::atomic::{AtomicPtr, Ordering::AcqRel};
    // SAFETY: the field is a pointer that the I/O manager too exchanges atomically.
    let place = unsafe { AtomicPtr::<core::ffi::c_void>::from_ptr((&raw mut (*irp).CancelRoutine).cast()) };
    let new = routine.map_or(core::ptr::null_mut(), |f| f as *mut core::ffi::c_void);
    let old = place.swap(new, AcqRel);
    // SAFETY: the field holds null or a routine of this type, which `Option` spells the same way.
    unsafe { core::mem::transmute::<*mut core::ffi::c_void, PDRIVER_CANCEL>(old) }
}

/// What the IRP was completed with.
///
/// # Safety
///
/// `irp` is valid and completed, or owned by the caller.
#[must_use]
#[inline]
pub unsafe fn IrpStatus(irp: PIRP) -> (NTSTATUS, ULONG_PTR) {
    // SAFETY: valid by contract; the status is the view every completion writes.
    unsafe { ((*irp).IoStatus.__bindgen_anon_1.Status, (*irp).IoStatus.Information) }
}

// MDLs.

/// Maps the MDL's pages; null when that fails. Both kinds of memory that WSK and NetAdapterCx hand out are
/// mapped already, so this is usually one load.
///
/// # Safety
///
/// `mdl` is valid and describes locked or non-paged memory.
#[must_use]
#[inline]
pub unsafe fn MmGetSystemAddressForMdlSafe(mdl: PMDL, priority: ULONG) -> PVOID {
    let mapped = (crate::MDL_MAPPED_TO_SYSTEM_VA | crate::MDL_SOURCE_IS_NONPAGED_POOL) as i16;
    // SAFETY: the MDL is valid; mapping it is legal at <= DISPATCH_LEVEL.
    unsafe {
        if (*mdl).MdlFlags & mapped != 0 {
            (*mdl).MappedSystemVa
        } else {
            ntddk::MmMapLockedPagesSpecifyCache(
                mdl,
                0,
                _MEMORY_CACHING_TYPE::MmCached,
                core::ptr::null_mut(),
                0,
                priority,
            )
        }
    }
}

/// # Safety
///
/// `mdl` is valid.
#[must_use]
#[inline]
pub unsafe fn MmGetMdlByteCount(mdl: PMDL) -> ULONG {
    // SAFETY: valid by contract.
    unsafe { (*mdl).ByteCount }
}

/// # Safety
///
/// `mdl` is valid.
#[must_use]
#[inline]
pub unsafe fn MmGetMdlByteOffset(mdl: PMDL) -> ULONG {
    // SAFETY: valid by contract.
    unsafe { (*mdl).ByteOffset }
}

// IRQL, locks, time.

/// # Safety
///
/// `new` is at or above the current IRQL; the caller lowers to the returned one.
#[inline]
pub unsafe fn KeRaiseIrql(new: KIRQL) -> KIRQL {
    // SAFETY: the caller's contract.
    unsafe { ntddk::KfRaiseIrql(new) }
}

/// # Safety
///
/// `lock` is an initialised spin lock that this processor does not hold; IRQL <= DISPATCH_LEVEL.
#[inline]
pub unsafe fn KeAcquireSpinLock(lock: *mut KSPIN_LOCK) -> KIRQL {
    // SAFETY: the caller's contract.
    unsafe { ntddk::KeAcquireSpinLockRaiseToDpc(lock) }
}

/// # Safety
///
/// `lock` is valid, and nobody uses it yet.
#[inline]
pub unsafe fn KeInitializeSpinLock(lock: *mut KSPIN_LOCK) {
    // SAFETY: valid by contract.
    unsafe { lock.write(0) };
}

/// # Safety
///
/// `mutex` is valid non-paged memory that stays where it is, and nobody uses it yet.
#[inline]
pub unsafe fn ExInitializeFastMutex(mutex: *mut FAST_MUTEX) {
    // SAFETY: valid by contract.
    unsafe {
        // FM_LOCK_BIT: free.
        (*mutex).Count = 1;
        (*mutex).Owner = core::ptr::null_mut();
        (*mutex).Contention = 0;
        ntddk::KeInitializeEvent(&raw mut (*mutex).Event, _EVENT_TYPE::SynchronizationEvent, 0);
    }
}

/// A time-out in units of 100 ns: negative is relative.
#[must_use]
pub const fn timeout(quad: LONGLONG) -> LARGE_INTEGER {
    LARGE_INTEGER { QuadPart: quad }
}

// KMDF.

/// `T` with all bytes zero.
///
/// # Safety
///
/// That is a value of `T`.
const unsafe fn zeroed<T>() -> T {
    // SAFETY: the caller's contract.
    unsafe { core::mem::zeroed() }
}

const fn size<T>() -> ULONG {
    size_of::<T>() as ULONG
}

/// Attributes that inherit execution level and synchronisation.
#[must_use]
pub const fn WDF_OBJECT_ATTRIBUTES_INIT() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size::<WDF_OBJECT_ATTRIBUTES>(),
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        // SAFETY: integers, pointers and optional function pointers.
        ..unsafe { zeroed() }
    }
}

/// Driver configuration.
#[must_use]
pub const fn WDF_DRIVER_CONFIG_INIT(device_add: PFN_WDF_DRIVER_DEVICE_ADD) -> WDF_DRIVER_CONFIG {
    WDF_DRIVER_CONFIG {
        Size: size::<WDF_DRIVER_CONFIG>(),
        EvtDriverDeviceAdd: device_add,
        // SAFETY: integers and optional function pointers.
        ..unsafe { zeroed() }
    }
}

/// Queue configuration; a parallel queue presents any number of requests.
#[must_use]
pub const fn WDF_IO_QUEUE_CONFIG_INIT(dispatch: WDF_IO_QUEUE_DISPATCH_TYPE) -> WDF_IO_QUEUE_CONFIG {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size::<WDF_IO_QUEUE_CONFIG>(),
        PowerManaged: _WDF_TRI_STATE::WdfUseDefault,
        DispatchType: dispatch,
        // SAFETY: integers, handles, a union of integers, optional function pointers.
        ..unsafe { zeroed() }
    };
    if dispatch == _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel {
        config.Settings.Parallel.NumberOfPresentedRequests = ULONG::MAX;
    }
    config
}

/// Configuration of a device's default queue.
#[must_use]
pub const fn WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(dispatch: WDF_IO_QUEUE_DISPATCH_TYPE) -> WDF_IO_QUEUE_CONFIG {
    let mut config = WDF_IO_QUEUE_CONFIG_INIT(dispatch);
    config.DefaultQueue = 1;
    config
}

/// File object configuration. The class is the header's default; beside NetAdapterCx, which uses the file
/// object's contexts itself, set `WdfFileObjectWdfCannotUseFsContexts`.
#[must_use]
pub const fn WDF_FILEOBJECT_CONFIG_INIT(
    create: PFN_WDF_DEVICE_FILE_CREATE,
    close: PFN_WDF_FILE_CLOSE,
    cleanup: PFN_WDF_FILE_CLEANUP,
) -> WDF_FILEOBJECT_CONFIG {
    WDF_FILEOBJECT_CONFIG {
        Size: size::<WDF_FILEOBJECT_CONFIG>(),
        EvtDeviceFileCreate: create,
        EvtFileClose: close,
        EvtFileCleanup: cleanup,
        AutoForwardCleanupClose: _WDF_TRI_STATE::WdfUseDefault,
        FileObjectClass: _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCanUseFsContext,
    }
}

/// Timer configuration, one shot, serialised with its parent's callbacks.
#[must_use]
pub const fn WDF_TIMER_CONFIG_INIT(function: PFN_WDF_TIMER) -> WDF_TIMER_CONFIG {
    WDF_TIMER_CONFIG {
        Size: size::<WDF_TIMER_CONFIG>(),
        EvtTimerFunc: function,
        AutomaticSerialization: 1,
        // SAFETY: integers and an optional function pointer.
        ..unsafe { zeroed() }
    }
}

/// Timer configuration with a period in milliseconds.
#[must_use]
pub const fn WDF_TIMER_CONFIG_INIT_PERIODIC(function: PFN_WDF_TIMER, period: ULONG) -> WDF_TIMER_CONFIG {
    let mut config = WDF_TIMER_CONFIG_INIT(function);
    config.Period = period;
    config
}

/// Work item configuration, serialised with its parent's callbacks.
#[must_use]
pub const fn WDF_WORKITEM_CONFIG_INIT(function: PFN_WDF_WORKITEM) -> WDF_WORKITEM_CONFIG {
    WDF_WORKITEM_CONFIG { Size: size::<WDF_WORKITEM_CONFIG>(), EvtWorkItemFunc: function, AutomaticSerialization: 1 }
}

/// DPC configuration, serialised with its parent's callbacks.
#[must_use]
pub const fn WDF_DPC_CONFIG_INIT(function: PFN_WDF_DPC) -> WDF_DPC_CONFIG {
    WDF_DPC_CONFIG { Size: size::<WDF_DPC_CONFIG>(), EvtDpcFunc: function, AutomaticSerialization: 1 }
}

/// No plug-and-play or power callback.
#[must_use]
pub const fn WDF_PNPPOWER_EVENT_CALLBACKS_INIT() -> WDF_PNPPOWER_EVENT_CALLBACKS {
    WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size::<WDF_PNPPOWER_EVENT_CALLBACKS>(),
        // SAFETY: optional function pointers.
        ..unsafe { zeroed() }
    }
}

/// Capabilities left to the bus driver.
#[must_use]
pub const fn WDF_DEVICE_PNP_CAPABILITIES_INIT() -> WDF_DEVICE_PNP_CAPABILITIES {
    let default = _WDF_TRI_STATE::WdfUseDefault;
    WDF_DEVICE_PNP_CAPABILITIES {
        Size: size::<WDF_DEVICE_PNP_CAPABILITIES>(),
        LockSupported: default,
        EjectSupported: default,
        Removable: default,
        DockDevice: default,
        UniqueID: default,
        SilentInstall: default,
        SurpriseRemovalOK: default,
        HardwareDisabled: default,
        NoDisplayInUI: default,
        Address: ULONG::MAX,
        UINumber: ULONG::MAX,
    }
}

/// To be filled by `WdfRequestGetParameters`.
#[must_use]
pub const fn WDF_REQUEST_PARAMETERS_INIT() -> WDF_REQUEST_PARAMETERS {
    WDF_REQUEST_PARAMETERS {
        Size: size_of::<WDF_REQUEST_PARAMETERS>() as USHORT,
        // SAFETY: integers and a union of integers and pointers.
        ..unsafe { zeroed() }
    }
}

// NetAdapterCx.

/// Queue creation callbacks.
#[must_use]
pub const fn NET_ADAPTER_DATAPATH_CALLBACKS_INIT(
    create_tx_queue: PFN_NET_ADAPTER_CREATE_TXQUEUE,
    create_rx_queue: PFN_NET_ADAPTER_CREATE_RXQUEUE,
) -> NET_ADAPTER_DATAPATH_CALLBACKS {
    NET_ADAPTER_DATAPATH_CALLBACKS {
        Size: size::<NET_ADAPTER_DATAPATH_CALLBACKS>(),
        EvtAdapterCreateTxQueue: create_tx_queue,
        EvtAdapterCreateRxQueue: create_rx_queue,
    }
}

/// Greatest link speeds, bits per second.
#[must_use]
pub const fn NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(tx: u64, rx: u64) -> NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    NET_ADAPTER_LINK_LAYER_CAPABILITIES {
        Size: size::<NET_ADAPTER_LINK_LAYER_CAPABILITIES>(),
        MaxTxLinkSpeed: tx,
        MaxRxLinkSpeed: rx,
    }
}

/// Tx side without DMA: any number of fragments, any alignment.
#[must_use]
pub const fn NET_ADAPTER_TX_CAPABILITIES_INIT(queues: u64) -> NET_ADAPTER_TX_CAPABILITIES {
    NET_ADAPTER_TX_CAPABILITIES {
        Size: size::<NET_ADAPTER_TX_CAPABILITIES>(),
        MaximumNumberOfFragments: u64::MAX,
        FragmentBufferAlignment: 1,
        MaximumNumberOfQueues: queues,
        // SAFETY: integers and a pointer.
        ..unsafe { zeroed() }
    }
}

/// Rx side whose buffers NetAdapterCx allocates and attaches, without DMA.
#[must_use]
pub const fn NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED(frame: u64, queues: u64) -> NET_ADAPTER_RX_CAPABILITIES {
    let mut capabilities = NET_ADAPTER_RX_CAPABILITIES {
        Size: size::<NET_ADAPTER_RX_CAPABILITIES>(),
        MaximumFrameSize: frame,
        MaximumNumberOfQueues: queues,
        // SAFETY: integers and a union of a function pointer and integers.
        ..unsafe { zeroed() }
    };
    capabilities.__bindgen_anon_1.System.FragmentBufferAlignment = 1;
    capabilities
}

/// Link state with one speed for both directions.
#[must_use]
pub const fn NET_ADAPTER_LINK_STATE_INIT(
    speed: u64,
    connect: NET_IF_MEDIA_CONNECT_STATE,
    duplex: NET_IF_MEDIA_DUPLEX_STATE,
    pause: NET_ADAPTER_PAUSE_FUNCTION_TYPE,
    negotiation: NET_ADAPTER_AUTO_NEGOTIATION_FLAGS,
) -> NET_ADAPTER_LINK_STATE {
    NET_ADAPTER_LINK_STATE {
        Size: size::<NET_ADAPTER_LINK_STATE>(),
        TxLinkSpeed: speed,
        RxLinkSpeed: speed,
        MediaConnectState: connect,
        MediaDuplexState: duplex,
        SupportedPauseFunctions: pause,
        AutoNegotiationFlags: negotiation,
    }
}

/// Packet queue callbacks; start and stop are optional.
#[must_use]
pub const fn NET_PACKET_QUEUE_CONFIG_INIT(
    advance: PFN_PACKET_QUEUE_ADVANCE,
    set_notification_enabled: PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED,
    cancel: PFN_PACKET_QUEUE_CANCEL,
) -> NET_PACKET_QUEUE_CONFIG {
    NET_PACKET_QUEUE_CONFIG {
        Size: size::<NET_PACKET_QUEUE_CONFIG>(),
        EvtStart: None,
        EvtStop: None,
        EvtAdvance: advance,
        EvtSetNotificationEnabled: set_notification_enabled,
        EvtCancel: cancel,
    }
}

/// Asks for an extension by its NUL-terminated name.
#[must_use]
pub const fn NET_EXTENSION_QUERY_INIT(
    name: &'static [u16],
    version: ULONG,
    kind: NET_EXTENSION_TYPE,
) -> NET_EXTENSION_QUERY {
    NET_EXTENSION_QUERY { Size: size::<NET_EXTENSION_QUERY>(), Name: name.as_ptr(), Version: version, Type: kind }
}

/// Checksum offloads of a 2.0 client.
#[must_use]
pub const fn NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES_INIT(
    ipv4: bool,
    tcp: bool,
    udp: bool,
    set: PFN_NET_ADAPTER_OFFLOAD_SET_CHECKSUM,
) -> NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES {
    NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES {
        Size: size::<NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES>(),
        IPv4: ipv4 as BOOLEAN,
        Tcp: tcp as BOOLEAN,
        Udp: udp as BOOLEAN,
        EvtAdapterOffloadSetChecksum: set,
    }
}
