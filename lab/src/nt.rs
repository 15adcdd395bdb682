//! NT's own structures, as a driver sees them, with NT's names. Asserted against docs/facts/nt-layout.json by
//! `tests/nt_layout.rs`.
#![expect(non_camel_case_types, non_snake_case, reason = "NT's own names, as in the WDK headers")]
#![expect(missing_docs, reason = "the fields are documented in the WDK under these names")]

use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64};

pub type NTSTATUS = i32;
pub type HANDLE = *mut c_void;
/// `KeGetCurrentIrql`'s type.
pub type KIRQL = u8;

/// Whether a status is a success or an informational value.
#[must_use]
pub const fn nt_success(status: NTSTATUS) -> bool {
    status >= 0
}

/// Status codes.
pub mod status {
    use super::NTSTATUS;
    const fn s(v: u32) -> NTSTATUS {
        v.cast_signed()
    }
    pub const SUCCESS: NTSTATUS = 0;
    pub const WAIT_0: NTSTATUS = 0;
    pub const TIMEOUT: NTSTATUS = s(0x0000_0102);
    pub const PENDING: NTSTATUS = s(0x0000_0103);
    pub const REPARSE: NTSTATUS = s(0x0000_0104);
    pub const EVENT_PENDING: NTSTATUS = s(0x4000_0013);
    pub const OBJECT_NAME_EXISTS: NTSTATUS = s(0x4000_0000);
    pub const BUFFER_OVERFLOW: NTSTATUS = s(0x8000_0005);
    pub const NO_MORE_ENTRIES: NTSTATUS = s(0x8000_001A);
    pub const UNSUCCESSFUL: NTSTATUS = s(0xC000_0001);
    pub const NOT_IMPLEMENTED: NTSTATUS = s(0xC000_0002);
    pub const INFO_LENGTH_MISMATCH: NTSTATUS = s(0xC000_0004);
    pub const ACCESS_VIOLATION: NTSTATUS = s(0xC000_0005);
    pub const INVALID_HANDLE: NTSTATUS = s(0xC000_0008);
    pub const INVALID_PARAMETER: NTSTATUS = s(0xC000_000D);
    pub const NO_SUCH_DEVICE: NTSTATUS = s(0xC000_000E);
    pub const NO_SUCH_FILE: NTSTATUS = s(0xC000_000F);
    pub const INVALID_DEVICE_REQUEST: NTSTATUS = s(0xC000_0010);
    pub const MORE_PROCESSING_REQUIRED: NTSTATUS = s(0xC000_0016);
    pub const NO_MEMORY: NTSTATUS = s(0xC000_0017);
    pub const ACCESS_DENIED: NTSTATUS = s(0xC000_0022);
    pub const BUFFER_TOO_SMALL: NTSTATUS = s(0xC000_0023);
    pub const OBJECT_TYPE_MISMATCH: NTSTATUS = s(0xC000_0024);
    pub const OBJECT_NAME_INVALID: NTSTATUS = s(0xC000_0033);
    pub const OBJECT_NAME_NOT_FOUND: NTSTATUS = s(0xC000_0034);
    pub const OBJECT_NAME_COLLISION: NTSTATUS = s(0xC000_0035);
    pub const OBJECT_PATH_NOT_FOUND: NTSTATUS = s(0xC000_003A);
    pub const SHARING_VIOLATION: NTSTATUS = s(0xC000_0043);
    pub const DELETE_PENDING: NTSTATUS = s(0xC000_0056);
    pub const REVISION_MISMATCH: NTSTATUS = s(0xC000_0059);
    pub const DISK_FULL: NTSTATUS = s(0xC000_007F);
    pub const INTEGER_OVERFLOW: NTSTATUS = s(0xC000_0095);
    pub const INSUFFICIENT_RESOURCES: NTSTATUS = s(0xC000_009A);
    pub const RETRY: NTSTATUS = s(0xC000_022D);
    pub const DEVICE_NOT_READY: NTSTATUS = s(0xC000_00A3);
    pub const IO_TIMEOUT: NTSTATUS = s(0xC000_00B5);
    pub const FILE_FORCED_CLOSED: NTSTATUS = s(0xC000_00B6);
    pub const NOT_SUPPORTED: NTSTATUS = s(0xC000_00BB);
    pub const INVALID_PARAMETER_1: NTSTATUS = s(0xC000_00EF);
    pub const CANCELLED: NTSTATUS = s(0xC000_0120);
    pub const FILE_CLOSED: NTSTATUS = s(0xC000_0128);
    pub const INVALID_BUFFER_SIZE: NTSTATUS = s(0xC000_0206);
    pub const NOT_FOUND: NTSTATUS = s(0xC000_0225);
    pub const INVALID_IMAGE_FORMAT: NTSTATUS = s(0xC000_007B);
    pub const INVALID_DEVICE_STATE: NTSTATUS = s(0xC000_0184);
    pub const DEVICE_BUSY: NTSTATUS = s(0x8000_0011);
    pub const ADDRESS_ALREADY_EXISTS: NTSTATUS = s(0xC000_020A);
    pub const CONNECTION_DISCONNECTED: NTSTATUS = s(0xC000_020C);
    pub const CONNECTION_RESET: NTSTATUS = s(0xC000_020D);
    pub const CONNECTION_REFUSED: NTSTATUS = s(0xC000_0236);
    pub const NETWORK_UNREACHABLE: NTSTATUS = s(0xC000_023C);
    pub const HOST_UNREACHABLE: NTSTATUS = s(0xC000_023D);
    pub const PORT_UNREACHABLE: NTSTATUS = s(0xC000_023F);
    pub const CONNECTION_ABORTED: NTSTATUS = s(0xC000_0241);
    pub const INVALID_ADDRESS_COMPONENT: NTSTATUS = s(0xC000_0207);
    pub const DATA_NOT_ACCEPTED: NTSTATUS = s(0xC000_021B);
    pub const AUTH_TAG_MISMATCH: NTSTATUS = s(0xC000_A002);
    pub const DEVICE_DOES_NOT_EXIST: NTSTATUS = s(0xC000_00C0);
    pub const DELETE_FAILED: NTSTATUS = s(0xC000_0001);
}

/// Major function codes.
pub mod mj {
    pub const CREATE: u8 = 0;
    pub const CLOSE: u8 = 2;
    pub const READ: u8 = 3;
    pub const WRITE: u8 = 4;
    pub const QUERY_INFORMATION: u8 = 5;
    pub const DEVICE_CONTROL: u8 = 14;
    pub const INTERNAL_DEVICE_CONTROL: u8 = 15;
    pub const SHUTDOWN: u8 = 16;
    pub const CLEANUP: u8 = 18;
    pub const POWER: u8 = 22;
    pub const SYSTEM_CONTROL: u8 = 23;
    pub const PNP: u8 = 27;
    /// Number of entries in `DRIVER_OBJECT::MajorFunction`.
    pub const COUNT: usize = 28;
}

/// Minor function codes of PNP and POWER.
pub mod mn {
    pub const START_DEVICE: u8 = 0;
    pub const QUERY_REMOVE_DEVICE: u8 = 1;
    pub const REMOVE_DEVICE: u8 = 2;
    pub const CANCEL_REMOVE_DEVICE: u8 = 3;
    pub const STOP_DEVICE: u8 = 4;
    pub const QUERY_STOP_DEVICE: u8 = 5;
    pub const QUERY_DEVICE_RELATIONS: u8 = 7;
    pub const QUERY_INTERFACE: u8 = 8;
    pub const QUERY_CAPABILITIES: u8 = 9;
    pub const QUERY_PNP_DEVICE_STATE: u8 = 20;
    pub const SURPRISE_REMOVAL: u8 = 23;
    pub const SET_POWER: u8 = 2;
    pub const QUERY_POWER: u8 = 3;
}

/// Stack-location control bits and flags.
pub mod sl {
    pub const PENDING_RETURNED: u8 = 0x01;
    pub const ERROR_RETURNED: u8 = 0x02;
    pub const INVOKE_ON_CANCEL: u8 = 0x20;
    pub const INVOKE_ON_SUCCESS: u8 = 0x40;
    pub const INVOKE_ON_ERROR: u8 = 0x80;
}

/// `DEVICE_OBJECT::Flags`.
pub mod dev_flags {
    pub const BUFFERED_IO: u32 = 0x4;
    pub const EXCLUSIVE: u32 = 0x8;
    pub const DIRECT_IO: u32 = 0x10;
    pub const DEVICE_HAS_NAME: u32 = 0x40;
    pub const DEVICE_INITIALIZING: u32 = 0x80;
    pub const BUS_ENUMERATED_DEVICE: u32 = 0x1000;
    pub const POWER_PAGABLE: u32 = 0x2000;
}

/// `IRP::Flags`.
pub mod irp_flags {
    pub const SYNCHRONOUS_API: u32 = 0x4;
    pub const BUFFERED_IO: u32 = 0x10;
    pub const DEALLOCATE_BUFFER: u32 = 0x20;
    pub const INPUT_OPERATION: u32 = 0x40;
    pub const CREATE_OPERATION: u32 = 0x80;
    pub const READ_OPERATION: u32 = 0x100;
    pub const WRITE_OPERATION: u32 = 0x200;
    pub const CLOSE_OPERATION: u32 = 0x400;
}

/// `MDL::MdlFlags`.
pub mod mdl_flags {
    pub const MAPPED_TO_SYSTEM_VA: i16 = 0x0001;
    pub const PAGES_LOCKED: i16 = 0x0002;
    pub const SOURCE_IS_NONPAGED_POOL: i16 = 0x0004;
    pub const ALLOCATED_FIXED_SIZE: i16 = 0x0008;
    pub const PARTIAL: i16 = 0x0010;
    pub const PARTIAL_HAS_BEEN_MAPPED: i16 = 0x0020;
    pub const WRITE_OPERATION: i16 = 0x0080;
}

/// `POOL_FLAG_*` of `ExAllocatePool2`.
pub mod pool_flags {
    pub const USE_QUOTA: u64 = 0x1;
    pub const UNINITIALIZED: u64 = 0x2;
    pub const SESSION: u64 = 0x4;
    pub const CACHE_ALIGNED: u64 = 0x8;
    pub const RAISE_ON_FAILURE: u64 = 0x20;
    pub const NON_PAGED: u64 = 0x40;
    pub const NON_PAGED_EXECUTE: u64 = 0x80;
    pub const PAGED: u64 = 0x100;
}

/// Kinds of dispatcher objects (`DISPATCHER_HEADER::Type`).
pub mod dispatcher {
    pub const NOTIFICATION_EVENT: u8 = 0;
    pub const SYNCHRONIZATION_EVENT: u8 = 1;
    pub const MUTANT: u8 = 2;
    pub const SEMAPHORE: u8 = 5;
    pub const THREAD: u8 = 6;
    pub const NOTIFICATION_TIMER: u8 = 8;
    pub const SYNCHRONIZATION_TIMER: u8 = 9;
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct UNICODE_STRING {
    /// Bytes.
    pub Length: u16,
    /// Bytes.
    pub MaximumLength: u16,
    pub Buffer: *mut u16,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LIST_ENTRY {
    pub Flink: *mut LIST_ENTRY,
    pub Blink: *mut LIST_ENTRY,
}

#[repr(C, align(16))]
#[derive(Debug)]
pub struct SLIST_ENTRY {
    pub Next: *mut SLIST_ENTRY,
}

#[repr(C, align(16))]
#[derive(Debug)]
pub struct SLIST_HEADER {
    pub Alignment: AtomicU64,
    pub Region: AtomicU64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GUID {
    pub Data1: u32,
    pub Data2: u16,
    pub Data3: u16,
    pub Data4: [u8; 8],
}

#[repr(C)]
#[derive(Debug)]
pub struct OBJECT_ATTRIBUTES {
    pub Length: u32,
    pub RootDirectory: HANDLE,
    pub ObjectName: *mut UNICODE_STRING,
    pub Attributes: u32,
    pub SecurityDescriptor: *mut c_void,
    pub SecurityQualityOfService: *mut c_void,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IO_STATUS_BLOCK {
    pub Status: NTSTATUS,
    /// High half of the union with `Pointer`.
    pub Pad: u32,
    pub Information: u64,
}

#[repr(C)]
#[derive(Debug)]
pub struct DISPATCHER_HEADER {
    pub Type: u8,
    pub Signalling: u8,
    /// Size of the object in `u32` units.
    pub Size: u8,
    /// `Inserted` of a timer is bit 6.
    pub Reserved1: u8,
    pub SignalState: AtomicI32,
    pub WaitListHead: LIST_ENTRY,
}

#[repr(C)]
#[derive(Debug)]
pub struct KEVENT {
    pub Header: DISPATCHER_HEADER,
}

#[repr(C)]
#[derive(Debug)]
pub struct KSEMAPHORE {
    pub Header: DISPATCHER_HEADER,
    pub Limit: i32,
}

/// `KSPIN_LOCK` is a `ULONG_PTR`; zero is free.
pub type KSPIN_LOCK = AtomicU64;
/// `EX_SPIN_LOCK` is a `LONG`; zero is free.
pub type EX_SPIN_LOCK = AtomicI32;

pub type PKDEFERRED_ROUTINE = unsafe extern "win64" fn(*mut KDPC, *mut c_void, *mut c_void, *mut c_void);

#[repr(C)]
#[derive(Debug)]
pub struct KDPC {
    pub Type: u8,
    pub Importance: u8,
    pub Number: u16,
    pub DpcListEntry: *mut c_void,
    pub ProcessorHistory: u64,
    pub DeferredRoutine: Option<PKDEFERRED_ROUTINE>,
    pub DeferredContext: *mut c_void,
    pub SystemArgument1: *mut c_void,
    pub SystemArgument2: *mut c_void,
    /// Not null while queued.
    pub DpcData: AtomicPtr<c_void>,
}

#[repr(C)]
#[derive(Debug)]
pub struct KTIMER {
    pub Header: DISPATCHER_HEADER,
    pub DueTime: u64,
    pub TimerListEntry: LIST_ENTRY,
    pub Dpc: *mut KDPC,
    pub Processor: u32,
    pub Period: u32,
}

#[repr(C)]
#[derive(Debug)]
pub struct FAST_MUTEX {
    /// 1: free.
    pub Count: AtomicI32,
    pub Owner: AtomicPtr<c_void>,
    pub Contention: u32,
    pub Event: KEVENT,
    pub OldIrql: u32,
}

/// `Count`: twice the references; bit 0: run down.
#[repr(C)]
#[derive(Debug)]
pub struct EX_RUNDOWN_REF {
    pub Count: AtomicU64,
}

#[repr(C)]
#[derive(Debug)]
pub struct KLOCK_QUEUE_HANDLE {
    pub Next: *mut c_void,
    pub Lock: *mut KSPIN_LOCK,
    pub OldIrql: KIRQL,
}

#[repr(C)]
#[derive(Debug)]
pub struct WORK_QUEUE_ITEM {
    pub List: LIST_ENTRY,
    pub WorkerRoutine: Option<unsafe extern "win64" fn(*mut c_void)>,
    pub Parameter: *mut c_void,
}

#[repr(C)]
#[derive(Debug)]
pub struct KDEVICE_QUEUE {
    pub Type: i16,
    pub Size: i16,
    pub DeviceListHead: LIST_ENTRY,
    pub Lock: KSPIN_LOCK,
    pub Busy: u8,
}

#[repr(C)]
#[derive(Debug)]
pub struct MDL {
    pub Next: *mut MDL,
    pub Size: i16,
    pub MdlFlags: i16,
    pub Process: *mut c_void,
    pub MappedSystemVa: *mut c_void,
    pub StartVa: *mut c_void,
    pub ByteCount: u32,
    pub ByteOffset: u32,
}

pub type PDRIVER_CANCEL = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP);
pub type PIO_COMPLETION_ROUTINE = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void) -> NTSTATUS;
pub type PDRIVER_DISPATCH = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS;
pub type PDRIVER_ADD_DEVICE = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut DEVICE_OBJECT) -> NTSTATUS;
pub type PDRIVER_UNLOAD = unsafe extern "win64" fn(*mut DRIVER_OBJECT);
pub type PDRIVER_INITIALIZE = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS;

/// `Tail.Overlay`, padded to the union's size.
#[repr(C)]
#[derive(Debug)]
pub struct IRP_TAIL {
    pub DriverContext: [*mut c_void; 4],
    pub Thread: *mut c_void,
    pub AuxiliaryBuffer: *mut c_void,
    pub ListEntry: LIST_ENTRY,
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    pub OriginalFileObject: *mut FILE_OBJECT,
    pub Pad: u64,
}

#[repr(C, align(16))]
#[derive(Debug)]
pub struct IRP {
    pub Type: i16,
    pub Size: u16,
    pub MdlAddress: *mut MDL,
    pub Flags: u32,
    /// `AssociatedIrp.SystemBuffer`.
    pub SystemBuffer: *mut c_void,
    pub ThreadListEntry: LIST_ENTRY,
    pub IoStatus: IO_STATUS_BLOCK,
    pub RequestorMode: i8,
    pub PendingReturned: u8,
    pub StackCount: i8,
    pub CurrentLocation: i8,
    pub Cancel: u8,
    pub CancelIrql: KIRQL,
    pub ApcEnvironment: i8,
    pub AllocationFlags: u8,
    pub UserIosb: *mut IO_STATUS_BLOCK,
    pub UserEvent: *mut KEVENT,
    pub Overlay: [u64; 2],
    /// An `Option<PDRIVER_CANCEL>` that is exchanged atomically.
    pub CancelRoutine: AtomicPtr<c_void>,
    pub UserBuffer: *mut c_void,
    pub Tail: IRP_TAIL,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IO_PARAMETERS_CREATE {
    pub SecurityContext: *mut IO_SECURITY_CONTEXT,
    pub Options: u32,
    pub Pad: u32,
    pub FileAttributes: u16,
    pub ShareAccess: u16,
    pub Pad2: u32,
    pub EaLength: u32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IO_PARAMETERS_READ_WRITE {
    pub Length: u32,
    pub Pad: u32,
    pub Key: u32,
    pub Flags: u32,
    pub ByteOffset: i64,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IO_PARAMETERS_DEVICE_CONTROL {
    pub OutputBufferLength: u32,
    pub Pad: u32,
    pub InputBufferLength: u32,
    pub Pad2: u32,
    pub IoControlCode: u32,
    pub Pad3: u32,
    pub Type3InputBuffer: *mut c_void,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct IO_PARAMETERS_POWER {
    pub SystemContext: u32,
    pub Pad: u32,
    /// 0: system, 1: device.
    pub Type: i32,
    pub Pad2: u32,
    pub State: i32,
    pub Pad3: u32,
    pub ShutdownType: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union IO_PARAMETERS {
    pub Create: IO_PARAMETERS_CREATE,
    pub Read: IO_PARAMETERS_READ_WRITE,
    pub Write: IO_PARAMETERS_READ_WRITE,
    pub DeviceIoControl: IO_PARAMETERS_DEVICE_CONTROL,
    pub Power: IO_PARAMETERS_POWER,
    pub Others: [*mut c_void; 4],
}

#[repr(C)]
pub struct IO_STACK_LOCATION {
    pub MajorFunction: u8,
    pub MinorFunction: u8,
    pub Flags: u8,
    pub Control: u8,
    pub Parameters: IO_PARAMETERS,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub FileObject: *mut FILE_OBJECT,
    pub CompletionRoutine: Option<PIO_COMPLETION_ROUTINE>,
    pub Context: *mut c_void,
}

#[repr(C)]
#[derive(Debug)]
pub struct IO_SECURITY_CONTEXT {
    pub SecurityQos: *mut c_void,
    pub AccessState: *mut c_void,
    pub DesiredAccess: u32,
    pub FullCreateOptions: u32,
}

#[repr(C)]
#[derive(Debug)]
pub struct DRIVER_EXTENSION {
    pub DriverObject: *mut DRIVER_OBJECT,
    pub AddDevice: Option<PDRIVER_ADD_DEVICE>,
    pub Count: u32,
    pub ServiceKeyName: UNICODE_STRING,
}

#[repr(C)]
#[derive(Debug)]
pub struct DRIVER_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Flags: u32,
    pub DriverStart: *mut c_void,
    pub DriverSize: u32,
    pub DriverSection: *mut c_void,
    pub DriverExtension: *mut DRIVER_EXTENSION,
    pub DriverName: UNICODE_STRING,
    pub HardwareDatabase: *mut UNICODE_STRING,
    pub FastIoDispatch: *mut c_void,
    pub DriverInit: Option<PDRIVER_INITIALIZE>,
    pub DriverStartIo: *mut c_void,
    pub DriverUnload: Option<PDRIVER_UNLOAD>,
    pub MajorFunction: [Option<PDRIVER_DISPATCH>; mj::COUNT],
}

#[repr(C, align(16))]
#[derive(Debug)]
pub struct DEVICE_OBJECT {
    pub Type: i16,
    pub Size: u16,
    pub ReferenceCount: AtomicI32,
    pub DriverObject: *mut DRIVER_OBJECT,
    pub NextDevice: *mut DEVICE_OBJECT,
    pub AttachedDevice: *mut DEVICE_OBJECT,
    pub CurrentIrp: *mut IRP,
    pub Timer: *mut c_void,
    pub Flags: u32,
    pub Characteristics: u32,
    pub Vpb: *mut c_void,
    pub DeviceExtension: *mut c_void,
    pub DeviceType: u32,
    pub StackSize: i8,
    pub Queue: [u64; 9],
    pub AlignmentRequirement: u32,
    pub DeviceQueue: KDEVICE_QUEUE,
    pub Dpc: KDPC,
    pub ActiveThreadCount: u32,
    pub SecurityDescriptor: *mut c_void,
    pub DeviceLock: KEVENT,
    pub SectorSize: u16,
    pub Spare1: u16,
    pub DeviceObjectExtension: *mut c_void,
    pub Reserved: *mut c_void,
}

#[repr(C)]
#[derive(Debug)]
pub struct FILE_OBJECT {
    pub Type: i16,
    pub Size: i16,
    pub DeviceObject: *mut DEVICE_OBJECT,
    pub Vpb: *mut c_void,
    pub FsContext: *mut c_void,
    pub FsContext2: *mut c_void,
    pub SectionObjectPointer: *mut c_void,
    pub PrivateCacheMap: *mut c_void,
    pub FinalStatus: NTSTATUS,
    pub RelatedFileObject: *mut FILE_OBJECT,
    pub LockOperation: u8,
    pub DeletePending: u8,
    pub ReadAccess: u8,
    pub WriteAccess: u8,
    pub DeleteAccess: u8,
    pub SharedRead: u8,
    pub SharedWrite: u8,
    pub SharedDelete: u8,
    pub Flags: u32,
    pub FileName: UNICODE_STRING,
    pub CurrentByteOffset: i64,
    pub Waiters: u32,
    pub Busy: u32,
    pub LastLock: *mut c_void,
    pub Lock: KEVENT,
    pub Event: KEVENT,
    pub CompletionContext: *mut c_void,
    pub IrpListLock: KSPIN_LOCK,
    pub IrpList: LIST_ENTRY,
    pub FileObjectExtension: *mut c_void,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct PROCESSOR_NUMBER {
    pub Group: u16,
    pub Number: u8,
    pub Reserved: u8,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct GROUP_AFFINITY {
    pub Mask: u64,
    pub Group: u16,
    pub Reserved: [u16; 3],
}

#[repr(C, align(64))]
#[derive(Debug)]
pub struct NPAGED_LOOKASIDE_LIST {
    pub ListHead: SLIST_HEADER,
    pub Depth: u16,
    pub MaximumDepth: u16,
    pub TotalAllocates: u32,
    pub AllocateMisses: u32,
    pub TotalFrees: u32,
    pub FreeMisses: u32,
    pub Type: i32,
    pub Tag: u32,
    pub Size: u32,
    pub Allocate: usize,
    pub Free: usize,
    pub ListEntry: LIST_ENTRY,
    pub LastTotalAllocates: u32,
    pub LastAllocateMisses: u32,
    pub Future: [u32; 2],
}

/// Address families as Windows numbers them.
pub mod af {
    pub const UNSPEC: u16 = 0;
    pub const INET: u16 = 2;
    /// 23 on Windows, 10 on Linux.
    pub const INET6: u16 = 23;
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SOCKADDR {
    pub sa_family: u16,
    pub sa_data: [u8; 14],
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SOCKADDR_IN {
    pub sin_family: u16,
    /// Network order.
    pub sin_port: u16,
    /// Network order.
    pub sin_addr: u32,
    pub sin_zero: [u8; 8],
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct SOCKADDR_IN6 {
    pub sin6_family: u16,
    /// Network order.
    pub sin6_port: u16,
    pub sin6_flowinfo: u32,
    /// Sixteen bytes as in `IN6_ADDR` (which is 2-aligned).
    pub sin6_addr: [u8; 16],
    pub sin6_scope_id: u32,
}

#[repr(C, align(8))]
#[derive(Debug, Clone, Copy)]
pub struct SOCKADDR_STORAGE {
    pub ss_family: u16,
    pub ss_pad: [u8; 126],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union SOCKADDR_INET {
    pub si_family: u16,
    pub Ipv4: SOCKADDR_IN,
    pub Ipv6: SOCKADDR_IN6,
}

impl UNICODE_STRING {
    /// An empty string.
    #[must_use]
    pub const fn empty() -> Self {
        Self { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() }
    }

    /// The string as Rust's, with replacement characters for lone surrogates.
    ///
    /// # Safety
    /// `Buffer` is valid for `Length` bytes, or null.
    #[must_use]
    pub unsafe fn to_string_lossy(&self) -> String {
        if self.Buffer.is_null() || self.Length == 0 {
            return String::new();
        }
        // SAFETY: the caller vouches for Buffer and Length.
        let units = unsafe { core::slice::from_raw_parts(self.Buffer, usize::from(self.Length / 2)) };
        String::from_utf16_lossy(units)
    }
}

/// A UNICODE_STRING with its own buffer, for strings the lab lends to the driver.
#[derive(Debug)]
pub struct OwnedUnicode {
    units: Vec<u16>,
}

impl OwnedUnicode {
    /// From Rust's string, NUL-terminated beyond its length.
    #[must_use]
    pub fn new(s: &str) -> Self {
        Self { units: s.encode_utf16().chain([0]).collect() }
    }

    /// A UNICODE_STRING that borrows this one.
    #[must_use]
    pub fn unicode(&mut self) -> UNICODE_STRING {
        let bytes = u16::try_from(self.units.len() * 2).unwrap_or(u16::MAX - 1);
        UNICODE_STRING { Length: bytes.saturating_sub(2), MaximumLength: bytes, Buffer: self.units.as_mut_ptr() }
    }
}
