//! NT types: the subset of `wdm.h` and `ntdef.h` this driver touches, under wdk-sys's names.
//!
//! Sizes and offsets are held to docs/facts/nt-layout.json by `src/asserts.rs`.

use core::ffi::c_void;

pub type CHAR = i8;
pub type CCHAR = i8;
pub type UCHAR = u8;
pub type BYTE = u8;
pub type BOOLEAN = UCHAR;
pub type SHORT = i16;
pub type CSHORT = i16;
pub type USHORT = u16;
pub type WORD = u16;
pub type WCHAR = u16;
pub type INT = i32;
pub type UINT = u32;
pub type LONG = i32;
pub type ULONG = u32;
pub type DWORD = u32;
pub type LONGLONG = i64;
pub type ULONGLONG = u64;
pub type LONG64 = i64;
pub type ULONG64 = u64;
pub type UINT8 = u8;
pub type UINT16 = u16;
pub type UINT32 = u32;
pub type UINT64 = u64;
pub type LONG_PTR = i64;
pub type ULONG_PTR = u64;
pub type SIZE_T = ULONG_PTR;
pub type size_t = usize;
pub type NTSTATUS = LONG;
pub type KIRQL = UCHAR;
pub type KPROCESSOR_MODE = CCHAR;
pub type KPRIORITY = LONG;
pub type KAFFINITY = ULONG_PTR;
pub type KSPIN_LOCK = ULONG_PTR;
pub type EX_SPIN_LOCK = LONG;
pub type POOL_FLAGS = ULONG64;
pub type ACCESS_MASK = ULONG;
pub type DEVICE_TYPE = ULONG;
pub type HANDLE = *mut c_void;
pub type PVOID = *mut c_void;
pub type PCVOID = *const c_void;
pub type PCHAR = *mut CHAR;
pub type PUCHAR = *mut UCHAR;
pub type PBOOLEAN = *mut BOOLEAN;
pub type PUSHORT = *mut USHORT;
pub type PLONG = *mut LONG;
pub type PULONG = *mut ULONG;
pub type PULONG64 = *mut ULONG64;
pub type PLONGLONG = *mut LONGLONG;
pub type PULONGLONG = *mut ULONGLONG;
pub type PULONG_PTR = *mut ULONG_PTR;
pub type PSIZE_T = *mut SIZE_T;
pub type PHANDLE = *mut HANDLE;
pub type PWCHAR = *mut WCHAR;
pub type PWCH = *mut WCHAR;
pub type PWSTR = *mut WCHAR;
pub type LPWSTR = *mut WCHAR;
pub type PCWSTR = *const WCHAR;
pub type PCWCH = *const WCHAR;
pub type PSTR = *mut CHAR;
pub type PCSTR = *const CHAR;
pub type LPCSTR = *const CHAR;
pub type PCCH = *const CHAR;
pub type PKIRQL = *mut KIRQL;
pub type PKSPIN_LOCK = *mut KSPIN_LOCK;
pub type PEX_SPIN_LOCK = *mut EX_SPIN_LOCK;
pub type PSECURITY_DESCRIPTOR = PVOID;
pub type PSID = PVOID;

#[repr(C)]
pub struct _EPROCESS {
    _unused: [u8; 0],
}
pub type EPROCESS = _EPROCESS;
pub type PEPROCESS = *mut EPROCESS;
#[repr(C)]
pub struct _KTHREAD {
    _unused: [u8; 0],
}
pub type KTHREAD = _KTHREAD;
pub type PKTHREAD = *mut KTHREAD;
#[repr(C)]
pub struct _DEVOBJ_EXTENSION {
    _unused: [u8; 0],
}
pub type DEVOBJ_EXTENSION = _DEVOBJ_EXTENSION;
pub type PDEVOBJ_EXTENSION = *mut DEVOBJ_EXTENSION;
#[repr(C)]
pub struct _KQUEUE {
    _unused: [u8; 0],
}
pub type KQUEUE = _KQUEUE;
pub type PKQUEUE = *mut KQUEUE;
#[repr(C)]
pub struct _IO_WORKITEM {
    _unused: [u8; 0],
}
pub type IO_WORKITEM = _IO_WORKITEM;
pub type PIO_WORKITEM = *mut IO_WORKITEM;
pub type PETHREAD = PKTHREAD;
pub type PKPROCESS = PEPROCESS;

pub mod _EVENT_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NotificationEvent: Type = 0;
    pub const SynchronizationEvent: Type = 1;
}

pub use self::_EVENT_TYPE::Type as EVENT_TYPE;

pub mod _TIMER_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NotificationTimer: Type = 0;
    pub const SynchronizationTimer: Type = 1;
}
pub use self::_TIMER_TYPE::Type as TIMER_TYPE;

pub mod _WAIT_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WaitAll: Type = 0;
    pub const WaitAny: Type = 1;
    pub const WaitNotification: Type = 2;
    pub const WaitDequeue: Type = 3;
}
pub use self::_WAIT_TYPE::Type as WAIT_TYPE;

pub mod _KWAIT_REASON {
    pub type Type = core::ffi::c_int;
    pub const Executive: Type = 0;
    pub const FreePage: Type = 1;
    pub const PageIn: Type = 2;
    pub const PoolAllocation: Type = 3;
    pub const DelayExecution: Type = 4;
    pub const Suspended: Type = 5;
    pub const UserRequest: Type = 6;
    pub const WrExecutive: Type = 7;
    pub const WrFreePage: Type = 8;
    pub const WrPageIn: Type = 9;
    pub const WrPoolAllocation: Type = 10;
    pub const WrDelayExecution: Type = 11;
    pub const WrSuspended: Type = 12;
    pub const WrUserRequest: Type = 13;
    pub const WrSpare0: Type = 14;
    pub const WrQueue: Type = 15;
    pub const WrLpcReceive: Type = 16;
    pub const WrLpcReply: Type = 17;
    pub const WrVirtualMemory: Type = 18;
    pub const WrPageOut: Type = 19;
    pub const WrRendezvous: Type = 20;
    pub const WrKeyedEvent: Type = 21;
    pub const WrTerminated: Type = 22;
    pub const WrProcessInSwap: Type = 23;
    pub const WrCpuRateControl: Type = 24;
    pub const WrCalloutStack: Type = 25;
    pub const WrKernel: Type = 26;
    pub const WrResource: Type = 27;
    pub const WrPushLock: Type = 28;
    pub const WrMutex: Type = 29;
    pub const WrQuantumEnd: Type = 30;
    pub const WrDispatchInt: Type = 31;
    pub const WrPreempted: Type = 32;
    pub const WrYieldExecution: Type = 33;
    pub const WrFastMutex: Type = 34;
    pub const WrGuardedMutex: Type = 35;
    pub const WrRundown: Type = 36;
    pub const WrAlertByThreadId: Type = 37;
    pub const WrDeferredPreempt: Type = 38;
    pub const WrPhysicalFault: Type = 39;
    pub const MaximumWaitReason: Type = 40;
}
pub use self::_KWAIT_REASON::Type as KWAIT_REASON;

pub mod _MODE {
    pub type Type = core::ffi::c_int;
    pub const KernelMode: Type = 0;
    pub const UserMode: Type = 1;
    pub const MaximumMode: Type = 2;
}
pub use self::_MODE::Type as MODE;

pub mod _LOCK_OPERATION {
    pub type Type = core::ffi::c_int;
    pub const IoReadAccess: Type = 0;
    pub const IoWriteAccess: Type = 1;
    pub const IoModifyAccess: Type = 2;
}
pub use self::_LOCK_OPERATION::Type as LOCK_OPERATION;

pub mod _MEMORY_CACHING_TYPE {
    pub type Type = core::ffi::c_int;
    pub const MmNonCached: Type = 0;
    pub const MmCached: Type = 1;
    pub const MmWriteCombined: Type = 2;
    pub const MmHardwareCoherentCached: Type = 3;
    pub const MmNonCachedUnordered: Type = 4;
    pub const MmUSWCCached: Type = 5;
    pub const MmMaximumCacheType: Type = 6;
    pub const MmNotMapped: Type = -1;
}
pub use self::_MEMORY_CACHING_TYPE::Type as MEMORY_CACHING_TYPE;

pub mod _POOL_TYPE {
    pub type Type = core::ffi::c_int;
    pub const NonPagedPool: Type = 0;
    pub const NonPagedPoolExecute: Type = 0;
    pub const PagedPool: Type = 1;
    pub const NonPagedPoolMustSucceed: Type = 2;
    pub const DontUseThisType: Type = 3;
    pub const NonPagedPoolCacheAligned: Type = 4;
    pub const PagedPoolCacheAligned: Type = 5;
    pub const NonPagedPoolCacheAlignedMustS: Type = 6;
    pub const MaxPoolType: Type = 7;
    pub const NonPagedPoolBase: Type = 0;
    pub const NonPagedPoolBaseMustSucceed: Type = 2;
    pub const NonPagedPoolBaseCacheAligned: Type = 4;
    pub const NonPagedPoolBaseCacheAlignedMustS: Type = 6;
    pub const NonPagedPoolSession: Type = 32;
    pub const PagedPoolSession: Type = 33;
    pub const NonPagedPoolMustSucceedSession: Type = 34;
    pub const DontUseThisTypeSession: Type = 35;
    pub const NonPagedPoolCacheAlignedSession: Type = 36;
    pub const PagedPoolCacheAlignedSession: Type = 37;
    pub const NonPagedPoolCacheAlignedMustSSession: Type = 38;
    pub const NonPagedPoolNx: Type = 512;
    pub const NonPagedPoolNxCacheAligned: Type = 516;
    pub const NonPagedPoolSessionNx: Type = 544;
}
pub use self::_POOL_TYPE::Type as POOL_TYPE;

pub mod _EX_POOL_PRIORITY {
    pub type Type = core::ffi::c_int;
    pub const LowPoolPriority: Type = 0;
    pub const LowPoolPrioritySpecialPoolOverrun: Type = 8;
    pub const LowPoolPrioritySpecialPoolUnderrun: Type = 9;
    pub const NormalPoolPriority: Type = 16;
    pub const NormalPoolPrioritySpecialPoolOverrun: Type = 24;
    pub const NormalPoolPrioritySpecialPoolUnderrun: Type = 25;
    pub const HighPoolPriority: Type = 32;
    pub const HighPoolPrioritySpecialPoolOverrun: Type = 40;
    pub const HighPoolPrioritySpecialPoolUnderrun: Type = 41;
}
pub use self::_EX_POOL_PRIORITY::Type as EX_POOL_PRIORITY;

pub mod _MM_PAGE_PRIORITY {
    pub type Type = core::ffi::c_int;
    pub const LowPagePriority: Type = 0;
    pub const NormalPagePriority: Type = 16;
    pub const HighPagePriority: Type = 32;
}
pub use self::_MM_PAGE_PRIORITY::Type as MM_PAGE_PRIORITY;

pub mod _SYSTEM_POWER_STATE {
    pub type Type = core::ffi::c_int;
    pub const PowerSystemUnspecified: Type = 0;
    pub const PowerSystemWorking: Type = 1;
    pub const PowerSystemSleeping1: Type = 2;
    pub const PowerSystemSleeping2: Type = 3;
    pub const PowerSystemSleeping3: Type = 4;
    pub const PowerSystemHibernate: Type = 5;
    pub const PowerSystemShutdown: Type = 6;
    pub const PowerSystemMaximum: Type = 7;
}
pub use self::_SYSTEM_POWER_STATE::Type as SYSTEM_POWER_STATE;

pub mod _DEVICE_POWER_STATE {
    pub type Type = core::ffi::c_int;
    pub const PowerDeviceUnspecified: Type = 0;
    pub const PowerDeviceD0: Type = 1;
    pub const PowerDeviceD1: Type = 2;
    pub const PowerDeviceD2: Type = 3;
    pub const PowerDeviceD3: Type = 4;
    pub const PowerDeviceMaximum: Type = 5;
}
pub use self::_DEVICE_POWER_STATE::Type as DEVICE_POWER_STATE;

pub mod _DEVICE_RELATION_TYPE {
    pub type Type = core::ffi::c_int;
    pub const BusRelations: Type = 0;
    pub const EjectionRelations: Type = 1;
    pub const PowerRelations: Type = 2;
    pub const RemovalRelations: Type = 3;
    pub const TargetDeviceRelation: Type = 4;
    pub const SingleBusRelations: Type = 5;
    pub const TransportRelations: Type = 6;
}
pub use self::_DEVICE_RELATION_TYPE::Type as DEVICE_RELATION_TYPE;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _UNICODE_STRING {
    pub Length: USHORT,
    pub MaximumLength: USHORT,
    pub Buffer: PWCH,
}
pub type UNICODE_STRING = _UNICODE_STRING;
pub type PUNICODE_STRING = *mut UNICODE_STRING;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _STRING {
    pub Length: USHORT,
    pub MaximumLength: USHORT,
    pub Buffer: PCHAR,
}
pub type STRING = _STRING;
pub type PSTRING = *mut STRING;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _LIST_ENTRY {
    pub Flink: *mut LIST_ENTRY,
    pub Blink: *mut LIST_ENTRY,
}
pub type LIST_ENTRY = _LIST_ENTRY;
pub type PLIST_ENTRY = *mut LIST_ENTRY;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _SINGLE_LIST_ENTRY {
    pub Next: *mut SINGLE_LIST_ENTRY,
}
pub type SINGLE_LIST_ENTRY = _SINGLE_LIST_ENTRY;
pub type PSINGLE_LIST_ENTRY = *mut SINGLE_LIST_ENTRY;

pub type PCUNICODE_STRING = *const UNICODE_STRING;
pub type PCSTRING = *const STRING;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _LARGE_INTEGER__bindgen_ty_1 {
    pub LowPart: ULONG,
    pub HighPart: LONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _LARGE_INTEGER {
    pub __bindgen_anon_1: _LARGE_INTEGER__bindgen_ty_1,
    pub u: _LARGE_INTEGER__bindgen_ty_1,
    pub QuadPart: LONGLONG,
}
pub type LARGE_INTEGER = _LARGE_INTEGER;
pub type PLARGE_INTEGER = *mut LARGE_INTEGER;
pub type PHYSICAL_ADDRESS = LARGE_INTEGER;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _ULARGE_INTEGER {
    pub QuadPart: ULONGLONG,
}
pub type ULARGE_INTEGER = _ULARGE_INTEGER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _GUID {
    pub Data1: ULONG,
    pub Data2: USHORT,
    pub Data3: USHORT,
    pub Data4: [UCHAR; 8],
}
pub type GUID = _GUID;
pub type PGUID = *mut GUID;
pub type LPCGUID = *const GUID;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _OBJECT_ATTRIBUTES {
    pub Length: ULONG,
    pub RootDirectory: HANDLE,
    pub ObjectName: PUNICODE_STRING,
    pub Attributes: ULONG,
    pub SecurityDescriptor: PVOID,
    pub SecurityQualityOfService: PVOID,
}
pub type OBJECT_ATTRIBUTES = _OBJECT_ATTRIBUTES;
pub type POBJECT_ATTRIBUTES = *mut OBJECT_ATTRIBUTES;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IO_STATUS_BLOCK__bindgen_ty_1 {
    pub Status: NTSTATUS,
    pub Pointer: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STATUS_BLOCK {
    pub __bindgen_anon_1: _IO_STATUS_BLOCK__bindgen_ty_1,
    pub Information: ULONG_PTR,
}
pub type IO_STATUS_BLOCK = _IO_STATUS_BLOCK;
pub type PIO_STATUS_BLOCK = *mut IO_STATUS_BLOCK;

/// The first 4 bytes are a union of many views of the object's type; only the lock word is named here.
#[repr(C)]
#[derive(Clone, Copy)]
pub union _DISPATCHER_HEADER__bindgen_ty_1 {
    pub Lock: LONG,
    pub LockNV: LONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DISPATCHER_HEADER {
    pub __bindgen_anon_1: _DISPATCHER_HEADER__bindgen_ty_1,
    pub SignalState: LONG,
    pub WaitListHead: LIST_ENTRY,
}
pub type DISPATCHER_HEADER = _DISPATCHER_HEADER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KEVENT {
    pub Header: DISPATCHER_HEADER,
}
pub type KEVENT = _KEVENT;
pub type PKEVENT = *mut KEVENT;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KSEMAPHORE {
    pub Header: DISPATCHER_HEADER,
    pub Limit: LONG,
}
pub type KSEMAPHORE = _KSEMAPHORE;
pub type PKSEMAPHORE = *mut KSEMAPHORE;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _FAST_MUTEX {
    pub Count: LONG,
    pub Owner: PVOID,
    pub Contention: ULONG,
    pub Event: KEVENT,
    pub OldIrql: ULONG,
}
pub type FAST_MUTEX = _FAST_MUTEX;
pub type PFAST_MUTEX = *mut FAST_MUTEX;

pub type PRKEVENT = PKEVENT;
pub type PKMUTEX = PVOID;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _KDPC__bindgen_ty_1 {
    pub TargetInfoAsUlong: ULONG,
    pub __bindgen_anon_1: _KDPC__bindgen_ty_1__bindgen_ty_1,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KDPC__bindgen_ty_1__bindgen_ty_1 {
    pub Type: UCHAR,
    pub Importance: UCHAR,
    pub Number: USHORT,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KDPC {
    pub __bindgen_anon_1: _KDPC__bindgen_ty_1,
    pub DpcListEntry: SINGLE_LIST_ENTRY,
    pub ProcessorHistory: KAFFINITY,
    pub DeferredRoutine: PKDEFERRED_ROUTINE,
    pub DeferredContext: PVOID,
    pub SystemArgument1: PVOID,
    pub SystemArgument2: PVOID,
    pub DpcData: PVOID,
}
pub type KDPC = _KDPC;
pub type PKDPC = *mut KDPC;
pub type PRKDPC = *mut KDPC;
pub type PKDEFERRED_ROUTINE = Option<
    unsafe extern "C" fn(Dpc: *mut KDPC, DeferredContext: PVOID, SystemArgument1: PVOID, SystemArgument2: PVOID),
>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KTIMER {
    pub Header: DISPATCHER_HEADER,
    pub DueTime: ULARGE_INTEGER,
    pub TimerListEntry: LIST_ENTRY,
    pub Dpc: *mut KDPC,
    pub Processor: ULONG,
    pub Period: ULONG,
}
pub type KTIMER = _KTIMER;
pub type PKTIMER = *mut KTIMER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KSPIN_LOCK_QUEUE {
    pub Next: *mut _KSPIN_LOCK_QUEUE,
    pub Lock: PKSPIN_LOCK,
}
pub type KSPIN_LOCK_QUEUE = _KSPIN_LOCK_QUEUE;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KLOCK_QUEUE_HANDLE {
    pub LockQueue: KSPIN_LOCK_QUEUE,
    pub OldIrql: KIRQL,
}
pub type KLOCK_QUEUE_HANDLE = _KLOCK_QUEUE_HANDLE;
pub type PKLOCK_QUEUE_HANDLE = *mut KLOCK_QUEUE_HANDLE;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _EX_RUNDOWN_REF__bindgen_ty_1 {
    pub Count: ULONG_PTR,
    pub Ptr: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _EX_RUNDOWN_REF {
    pub __bindgen_anon_1: _EX_RUNDOWN_REF__bindgen_ty_1,
}
pub type EX_RUNDOWN_REF = _EX_RUNDOWN_REF;
pub type PEX_RUNDOWN_REF = *mut EX_RUNDOWN_REF;

/// Opaque here; initialise with `ExInitializeNPagedLookasideList` only.
#[repr(C)]
#[cfg_attr(not(target_arch = "aarch64"), repr(align(64)))]
#[cfg_attr(target_arch = "aarch64", repr(align(128)))]
#[derive(Clone, Copy)]
pub struct _NPAGED_LOOKASIDE_LIST {
    pub L: [ULONGLONG; 16],
}
pub type NPAGED_LOOKASIDE_LIST = _NPAGED_LOOKASIDE_LIST;
pub type PNPAGED_LOOKASIDE_LIST = *mut NPAGED_LOOKASIDE_LIST;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _PROCESSOR_NUMBER {
    pub Group: USHORT,
    pub Number: UCHAR,
    pub Reserved: UCHAR,
}
pub type PROCESSOR_NUMBER = _PROCESSOR_NUMBER;
pub type PPROCESSOR_NUMBER = *mut PROCESSOR_NUMBER;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _GROUP_AFFINITY {
    pub Mask: KAFFINITY,
    pub Group: USHORT,
    pub Reserved: [USHORT; 3],
}
pub type GROUP_AFFINITY = _GROUP_AFFINITY;
pub type PGROUP_AFFINITY = *mut GROUP_AFFINITY;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KDEVICE_QUEUE_ENTRY {
    pub DeviceListEntry: LIST_ENTRY,
    pub SortKey: ULONG,
    pub Inserted: BOOLEAN,
}
pub type KDEVICE_QUEUE_ENTRY = _KDEVICE_QUEUE_ENTRY;
pub type PKDEVICE_QUEUE_ENTRY = *mut KDEVICE_QUEUE_ENTRY;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KDEVICE_QUEUE {
    pub Type: CSHORT,
    pub Size: CSHORT,
    pub DeviceListHead: LIST_ENTRY,
    pub Lock: KSPIN_LOCK,
    pub __bindgen_anon_1: ULONGLONG,
}
pub type KDEVICE_QUEUE = _KDEVICE_QUEUE;

/// Never touched by this driver: it only gives `DEVICE_OBJECT` its size.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WAIT_CONTEXT_BLOCK {
    _opaque: [ULONGLONG; 9],
}
pub type WAIT_CONTEXT_BLOCK = _WAIT_CONTEXT_BLOCK;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _KAPC {
    pub Type: UCHAR,
    pub SpareByte0: UCHAR,
    pub Size: UCHAR,
    pub SpareByte1: UCHAR,
    pub SpareLong0: ULONG,
    pub Thread: *mut KTHREAD,
    pub ApcListEntry: LIST_ENTRY,
    pub Reserved: [PVOID; 3],
    pub NormalContext: PVOID,
    pub SystemArgument1: PVOID,
    pub SystemArgument2: PVOID,
    pub ApcStateIndex: CCHAR,
    pub ApcMode: KPROCESSOR_MODE,
    pub Inserted: BOOLEAN,
}
pub type KAPC = _KAPC;
pub type PKAPC = *mut KAPC;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _MDL {
    pub Next: *mut MDL,
    pub Size: CSHORT,
    pub MdlFlags: CSHORT,
    pub Process: *mut EPROCESS,
    pub MappedSystemVa: PVOID,
    pub StartVa: PVOID,
    pub ByteCount: ULONG,
    pub ByteOffset: ULONG,
}
pub type MDL = _MDL;
pub type PMDL = *mut MDL;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DRIVER_EXTENSION {
    pub DriverObject: *mut DRIVER_OBJECT,
    pub AddDevice: PDRIVER_ADD_DEVICE,
    pub Count: ULONG,
    pub ServiceKeyName: UNICODE_STRING,
}
pub type DRIVER_EXTENSION = _DRIVER_EXTENSION;
pub type PDRIVER_EXTENSION = *mut DRIVER_EXTENSION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _DRIVER_OBJECT {
    pub Type: CSHORT,
    pub Size: CSHORT,
    pub DeviceObject: PDEVICE_OBJECT,
    pub Flags: ULONG,
    pub DriverStart: PVOID,
    pub DriverSize: ULONG,
    pub DriverSection: PVOID,
    pub DriverExtension: PDRIVER_EXTENSION,
    pub DriverName: UNICODE_STRING,
    pub HardwareDatabase: PUNICODE_STRING,
    pub FastIoDispatch: PVOID,
    pub DriverInit: PDRIVER_INITIALIZE,
    pub DriverStartIo: PDRIVER_STARTIO,
    pub DriverUnload: PDRIVER_UNLOAD,
    pub MajorFunction: [PDRIVER_DISPATCH; 28],
}
pub type DRIVER_OBJECT = _DRIVER_OBJECT;
pub type PDRIVER_OBJECT = *mut DRIVER_OBJECT;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _DEVICE_OBJECT__bindgen_ty_1 {
    pub ListEntry: LIST_ENTRY,
    pub Wcb: WAIT_CONTEXT_BLOCK,
}

#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct _DEVICE_OBJECT {
    pub Type: CSHORT,
    pub Size: USHORT,
    pub ReferenceCount: LONG,
    pub DriverObject: *mut DRIVER_OBJECT,
    pub NextDevice: *mut DEVICE_OBJECT,
    pub AttachedDevice: *mut DEVICE_OBJECT,
    pub CurrentIrp: *mut IRP,
    pub Timer: PVOID,
    pub Flags: ULONG,
    pub Characteristics: ULONG,
    pub Vpb: PVOID,
    pub DeviceExtension: PVOID,
    pub DeviceType: ULONG,
    pub StackSize: CCHAR,
    pub Queue: _DEVICE_OBJECT__bindgen_ty_1,
    pub AlignmentRequirement: ULONG,
    pub DeviceQueue: KDEVICE_QUEUE,
    pub Dpc: KDPC,
    pub ActiveThreadCount: ULONG,
    pub SecurityDescriptor: PSECURITY_DESCRIPTOR,
    pub DeviceLock: KEVENT,
    pub SectorSize: USHORT,
    pub Spare1: USHORT,
    pub DeviceObjectExtension: *mut DEVOBJ_EXTENSION,
    pub Reserved: PVOID,
}
pub type DEVICE_OBJECT = _DEVICE_OBJECT;
pub type PDEVICE_OBJECT = *mut DEVICE_OBJECT;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _FILE_OBJECT {
    pub Type: CSHORT,
    pub Size: CSHORT,
    pub DeviceObject: PDEVICE_OBJECT,
    pub Vpb: PVOID,
    pub FsContext: PVOID,
    pub FsContext2: PVOID,
    pub SectionObjectPointer: PVOID,
    pub PrivateCacheMap: PVOID,
    pub FinalStatus: NTSTATUS,
    pub RelatedFileObject: *mut FILE_OBJECT,
    pub LockOperation: BOOLEAN,
    pub DeletePending: BOOLEAN,
    pub ReadAccess: BOOLEAN,
    pub WriteAccess: BOOLEAN,
    pub DeleteAccess: BOOLEAN,
    pub SharedRead: BOOLEAN,
    pub SharedWrite: BOOLEAN,
    pub SharedDelete: BOOLEAN,
    pub Flags: ULONG,
    pub FileName: UNICODE_STRING,
    pub CurrentByteOffset: LARGE_INTEGER,
    pub Waiters: ULONG,
    pub Busy: ULONG,
    pub LastLock: PVOID,
    pub Lock: KEVENT,
    pub Event: KEVENT,
    pub CompletionContext: PVOID,
    pub IrpListLock: KSPIN_LOCK,
    pub IrpList: LIST_ENTRY,
    pub FileObjectExtension: PVOID,
}
pub type FILE_OBJECT = _FILE_OBJECT;
pub type PFILE_OBJECT = *mut FILE_OBJECT;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_SECURITY_CONTEXT {
    pub SecurityQos: PVOID,
    pub AccessState: PVOID,
    pub DesiredAccess: ACCESS_MASK,
    pub FullCreateOptions: ULONG,
}
pub type IO_SECURITY_CONTEXT = _IO_SECURITY_CONTEXT;
pub type PIO_SECURITY_CONTEXT = *mut IO_SECURITY_CONTEXT;

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_1 {
    pub MasterIrp: *mut _IRP,
    pub IrpCount: LONG,
    pub SystemBuffer: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1 {
    pub UserApcRoutine: PIO_APC_ROUTINE,
    pub IssuingProcess: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IRP__bindgen_ty_2__bindgen_ty_1 {
    pub __bindgen_anon_1: _IRP__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1,
    pub UserApcContext: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_2 {
    pub AsynchronousParameters: _IRP__bindgen_ty_2__bindgen_ty_1,
    pub AllocationSize: LARGE_INTEGER,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1 {
    pub DriverContext: [PVOID; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_1 {
    pub DeviceQueueEntry: KDEVICE_QUEUE_ENTRY,
    pub __bindgen_anon_1: _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_1__bindgen_ty_1,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1 {
    pub CurrentStackLocation: *mut _IO_STACK_LOCATION,
    pub PacketType: ULONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_2 {
    pub ListEntry: LIST_ENTRY,
    pub __bindgen_anon_1: _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_2__bindgen_ty_1,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IRP__bindgen_ty_3__bindgen_ty_1 {
    pub __bindgen_anon_1: _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_1,
    pub Thread: PETHREAD,
    pub AuxiliaryBuffer: PCHAR,
    pub __bindgen_anon_2: _IRP__bindgen_ty_3__bindgen_ty_1__bindgen_ty_2,
    pub OriginalFileObject: PFILE_OBJECT,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IRP__bindgen_ty_3 {
    pub Overlay: _IRP__bindgen_ty_3__bindgen_ty_1,
    pub Apc: KAPC,
    pub CompletionKey: PVOID,
}

#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct _IRP {
    pub Type: CSHORT,
    pub Size: USHORT,
    pub MdlAddress: PMDL,
    pub Flags: ULONG,
    pub AssociatedIrp: _IRP__bindgen_ty_1,
    pub ThreadListEntry: LIST_ENTRY,
    pub IoStatus: IO_STATUS_BLOCK,
    pub RequestorMode: KPROCESSOR_MODE,
    pub PendingReturned: BOOLEAN,
    pub StackCount: CHAR,
    pub CurrentLocation: CHAR,
    pub Cancel: BOOLEAN,
    pub CancelIrql: KIRQL,
    pub ApcEnvironment: CCHAR,
    pub AllocationFlags: UCHAR,
    pub UserIosb: PIO_STATUS_BLOCK,
    pub UserEvent: PKEVENT,
    pub Overlay: _IRP__bindgen_ty_2,
    pub CancelRoutine: PDRIVER_CANCEL,
    pub UserBuffer: PVOID,
    pub Tail: _IRP__bindgen_ty_3,
}
pub type IRP = _IRP;
pub type PIRP = *mut IRP;

pub type PALLOCATE_FUNCTION =
    Option<unsafe extern "C" fn(PoolType: POOL_TYPE, NumberOfBytes: SIZE_T, Tag: ULONG) -> PVOID>;
pub type PFREE_FUNCTION = Option<unsafe extern "C" fn(Buffer: PVOID)>;
pub type PIO_APC_ROUTINE =
    Option<unsafe extern "C" fn(ApcContext: PVOID, IoStatusBlock: PIO_STATUS_BLOCK, Reserved: ULONG)>;
pub type PDRIVER_CANCEL = Option<unsafe extern "C" fn(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP)>;
pub type PDRIVER_DISPATCH = Option<unsafe extern "C" fn(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP) -> NTSTATUS>;
pub type PDRIVER_INITIALIZE =
    Option<unsafe extern "C" fn(DriverObject: *mut DRIVER_OBJECT, RegistryPath: PUNICODE_STRING) -> NTSTATUS>;
pub type PDRIVER_STARTIO = Option<unsafe extern "C" fn(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP)>;
pub type PDRIVER_UNLOAD = Option<unsafe extern "C" fn(DriverObject: *mut DRIVER_OBJECT)>;
pub type PDRIVER_ADD_DEVICE = Option<
    unsafe extern "C" fn(DriverObject: *mut DRIVER_OBJECT, PhysicalDeviceObject: *mut DEVICE_OBJECT) -> NTSTATUS,
>;
pub type PIO_COMPLETION_ROUTINE =
    Option<unsafe extern "C" fn(DeviceObject: *mut DEVICE_OBJECT, Irp: *mut IRP, Context: PVOID) -> NTSTATUS>;

// `Parameters` has some forty views; these are the ones a KMDF client meets.

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_1 {
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
pub struct _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_2 {
    pub Length: ULONG,
    pub __bindgen_padding_0: u32,
    pub Key: ULONG,
    pub Flags: ULONG,
    pub ByteOffset: LARGE_INTEGER,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_3 {
    pub Length: ULONG,
    pub __bindgen_padding_0: u32,
    pub Key: ULONG,
    pub Flags: ULONG,
    pub ByteOffset: LARGE_INTEGER,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_4 {
    pub OutputBufferLength: ULONG,
    pub __bindgen_padding_0: u32,
    pub InputBufferLength: ULONG,
    pub __bindgen_padding_1: u32,
    pub IoControlCode: ULONG,
    pub Type3InputBuffer: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_5 {
    pub Argument1: PVOID,
    pub Argument2: PVOID,
    pub Argument3: PVOID,
    pub Argument4: PVOID,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union _IO_STACK_LOCATION__bindgen_ty_1 {
    pub Create: _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_1,
    pub Read: _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_2,
    pub Write: _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_3,
    pub DeviceIoControl: _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_4,
    pub Others: _IO_STACK_LOCATION__bindgen_ty_1__bindgen_ty_5,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _IO_STACK_LOCATION {
    pub MajorFunction: UCHAR,
    pub MinorFunction: UCHAR,
    pub Flags: UCHAR,
    pub Control: UCHAR,
    pub Parameters: _IO_STACK_LOCATION__bindgen_ty_1,
    pub DeviceObject: PDEVICE_OBJECT,
    pub FileObject: PFILE_OBJECT,
    pub CompletionRoutine: PIO_COMPLETION_ROUTINE,
    pub Context: PVOID,
}
pub type IO_STACK_LOCATION = _IO_STACK_LOCATION;
pub type PIO_STACK_LOCATION = *mut IO_STACK_LOCATION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _OSVERSIONINFOW {
    pub dwOSVersionInfoSize: ULONG,
    pub dwMajorVersion: ULONG,
    pub dwMinorVersion: ULONG,
    pub dwBuildNumber: ULONG,
    pub dwPlatformId: ULONG,
    pub szCSDVersion: [WCHAR; 128],
}
pub type OSVERSIONINFOW = _OSVERSIONINFOW;
pub type RTL_OSVERSIONINFOW = _OSVERSIONINFOW;
pub type PRTL_OSVERSIONINFOW = *mut _OSVERSIONINFOW;

pub const TRUE: u32 = 1;
pub const FALSE: u32 = 0;
pub const PASSIVE_LEVEL: u32 = 0;
pub const APC_LEVEL: u32 = 1;
pub const DISPATCH_LEVEL: u32 = 2;
pub const HIGH_LEVEL: u32 = 0xf;
pub const PAGE_SIZE: u32 = 0x1000;
pub const PAGE_SHIFT: u32 = 0xc;
pub const ALL_PROCESSOR_GROUPS: u32 = 0xffff;
pub const IO_NO_INCREMENT: u32 = 0;
pub const IO_NETWORK_INCREMENT: u32 = 2;
pub const SL_PENDING_RETURNED: u32 = 1;
pub const SL_ERROR_RETURNED: u32 = 2;
pub const SL_INVOKE_ON_CANCEL: u32 = 0x20;
pub const SL_INVOKE_ON_SUCCESS: u32 = 0x40;
pub const SL_INVOKE_ON_ERROR: u32 = 0x80;
pub const MDL_MAPPED_TO_SYSTEM_VA: u32 = 1;
pub const MDL_PAGES_LOCKED: u32 = 2;
pub const MDL_SOURCE_IS_NONPAGED_POOL: u32 = 4;
pub const MDL_PARTIAL: u32 = 0x10;
pub const MDL_PARENT_MAPPED_SYSTEM_VA: u32 = 0x100;
pub const MDL_NETWORK_HEADER: u32 = 0x1000;
pub const MDL_MAPPING_CAN_FAIL: u32 = 0x2000;
pub const METHOD_BUFFERED: u32 = 0;
pub const METHOD_IN_DIRECT: u32 = 1;
pub const METHOD_OUT_DIRECT: u32 = 2;
pub const METHOD_NEITHER: u32 = 3;
pub const FILE_ANY_ACCESS: u32 = 0;
pub const FILE_READ_ACCESS: u32 = 1;
pub const FILE_WRITE_ACCESS: u32 = 2;
pub const FILE_READ_DATA: u32 = 1;
pub const FILE_WRITE_DATA: u32 = 2;
pub const FILE_DEVICE_NETWORK: u32 = 0x12;
pub const FILE_DEVICE_UNKNOWN: u32 = 0x22;
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
pub const FILE_AUTOGENERATED_DEVICE_NAME: u32 = 0x80;
pub const DO_BUFFERED_IO: u32 = 4;
pub const DO_DIRECT_IO: u32 = 0x10;
pub const KEY_READ: u32 = 0x20019;
pub const KEY_QUERY_VALUE: u32 = 1;
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
pub const GENERIC_READ: u32 = 0x80000000;
pub const GENERIC_WRITE: u32 = 0x40000000;
pub const SYNCHRONIZE: u32 = 0x100000;
pub const IRP_MJ_CREATE: u32 = 0;
pub const IRP_MJ_CLOSE: u32 = 2;
pub const IRP_MJ_READ: u32 = 3;
pub const IRP_MJ_WRITE: u32 = 4;
pub const IRP_MJ_CLEANUP: u32 = 0x12;
pub const IRP_MJ_DEVICE_CONTROL: u32 = 0xe;
pub const IRP_MJ_INTERNAL_DEVICE_CONTROL: u32 = 0xf;
pub const IRP_MJ_PNP: u32 = 0x1b;
pub const IRP_MJ_POWER: u32 = 0x16;
pub const IRP_MJ_SYSTEM_CONTROL: u32 = 0x17;
pub const IRP_MJ_MAXIMUM_FUNCTION: u32 = 0x1b;
pub const POOL_FLAG_REQUIRED_START: POOL_FLAGS = 1;
pub const POOL_FLAG_USE_QUOTA: POOL_FLAGS = 1;
pub const POOL_FLAG_UNINITIALIZED: POOL_FLAGS = 2;
pub const POOL_FLAG_SESSION: POOL_FLAGS = 4;
pub const POOL_FLAG_CACHE_ALIGNED: POOL_FLAGS = 8;
pub const POOL_FLAG_RAISE_ON_FAILURE: POOL_FLAGS = 0x20;
pub const POOL_FLAG_NON_PAGED: POOL_FLAGS = 0x40;
pub const POOL_FLAG_NON_PAGED_EXECUTE: POOL_FLAGS = 0x80;
pub const POOL_FLAG_PAGED: POOL_FLAGS = 0x100;
pub const POOL_FLAG_SPECIAL_POOL: POOL_FLAGS = 0x100000000;
