//! Written by `cargo xtask layout` from docs/facts/nt-layout.json; do not edit.
//!
//! Every declaration of this crate that the facts know is compared with them when the crate is compiled: with
//! our own declarations for the host and for Windows, and with wdk-sys's. What wdk-sys names differently (the
//! members C leaves without a name) is compared in our own only.

use core::mem::offset_of;

/// SYSTEM_CACHE_ALIGNMENT_SIZE, to which some structures are aligned. All else is the same on ARM64 as on x64.
const CACHE_LINE: usize = if cfg!(target_arch = "aarch64") { 128 } else { 64 };

/// Sets a bit-field to ones and asks which bits of its structure became ones.
macro_rules! bits {
    ($structure:ident, $bytes:literal, $setter:ident($ones:expr), $first:literal, $width:literal) => {{
        // SAFETY: integers only.
        let mut value: crate::net::$structure = unsafe { core::mem::zeroed() };
        value.$setter($ones);
        // SAFETY: integers only, without padding.
        let bytes: [u8; $bytes] = unsafe { core::mem::transmute(value) };
        let mut i = 0;
        while i < $bytes * 8 {
            let expected = usize::wrapping_sub(i, $first) < $width;
            assert!((bytes[i / 8] >> (i % 8) & 1 != 0) == expected);
            i += 1;
        }
    }};
}

const _: () = {
    use crate::UNICODE_STRING as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Length) == 0);
    assert!(offset_of!(T, MaximumLength) == 2);
    assert!(offset_of!(T, Buffer) == 8);
};

const _: () = {
    use crate::STRING as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Length) == 0);
    assert!(offset_of!(T, MaximumLength) == 2);
    assert!(offset_of!(T, Buffer) == 8);
};

const _: () = {
    use crate::LIST_ENTRY as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Flink) == 0);
    assert!(offset_of!(T, Blink) == 8);
};

const _: () = {
    use crate::SINGLE_LIST_ENTRY as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Next) == 0);
};

const _: () = {
    use crate::LARGE_INTEGER as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, u) == 0);
    assert!(offset_of!(T, u.LowPart) == 0);
    assert!(offset_of!(T, u.HighPart) == 4);
    assert!(offset_of!(T, QuadPart) == 0);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, __bindgen_anon_1.LowPart) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.HighPart) == 4);
    }
};

const _: () = {
    use crate::GUID as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Data1) == 0);
    assert!(offset_of!(T, Data2) == 4);
    assert!(offset_of!(T, Data3) == 6);
    assert!(offset_of!(T, Data4) == 8);
};

const _: () = {
    use crate::OBJECT_ATTRIBUTES as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Length) == 0);
    assert!(offset_of!(T, RootDirectory) == 8);
    assert!(offset_of!(T, ObjectName) == 16);
    assert!(offset_of!(T, Attributes) == 24);
    assert!(offset_of!(T, SecurityDescriptor) == 32);
    assert!(offset_of!(T, SecurityQualityOfService) == 40);
};

const _: () = {
    use crate::IO_STATUS_BLOCK as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Information) == 8);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, __bindgen_anon_1.Status) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.Pointer) == 0);
    }
};

const _: () = {
    use crate::IRP as T;
    assert!(size_of::<T>() == 208);
    assert!(align_of::<T>() == 16);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, MdlAddress) == 8);
    assert!(offset_of!(T, Flags) == 16);
    assert!(offset_of!(T, AssociatedIrp) == 24);
    assert!(offset_of!(T, AssociatedIrp.MasterIrp) == 24);
    assert!(offset_of!(T, AssociatedIrp.IrpCount) == 24);
    assert!(offset_of!(T, AssociatedIrp.SystemBuffer) == 24);
    assert!(offset_of!(T, ThreadListEntry) == 32);
    assert!(offset_of!(T, IoStatus) == 48);
    assert!(offset_of!(T, RequestorMode) == 64);
    assert!(offset_of!(T, PendingReturned) == 65);
    assert!(offset_of!(T, StackCount) == 66);
    assert!(offset_of!(T, CurrentLocation) == 67);
    assert!(offset_of!(T, Cancel) == 68);
    assert!(offset_of!(T, CancelIrql) == 69);
    assert!(offset_of!(T, ApcEnvironment) == 70);
    assert!(offset_of!(T, AllocationFlags) == 71);
    assert!(offset_of!(T, UserIosb) == 72);
    assert!(offset_of!(T, UserEvent) == 80);
    assert!(offset_of!(T, Overlay) == 88);
    assert!(offset_of!(T, Overlay.AsynchronousParameters) == 88);
    assert!(offset_of!(T, Overlay.AsynchronousParameters.UserApcContext) == 96);
    assert!(offset_of!(T, Overlay.AllocationSize) == 88);
    assert!(offset_of!(T, CancelRoutine) == 104);
    assert!(offset_of!(T, UserBuffer) == 112);
    assert!(offset_of!(T, Tail) == 120);
    assert!(offset_of!(T, Tail.Overlay) == 120);
    assert!(offset_of!(T, Tail.Overlay.Thread) == 152);
    assert!(offset_of!(T, Tail.Overlay.AuxiliaryBuffer) == 160);
    assert!(offset_of!(T, Tail.Overlay.OriginalFileObject) == 192);
    assert!(offset_of!(T, Tail.Apc) == 120);
    assert!(offset_of!(T, Tail.CompletionKey) == 120);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, Overlay.AsynchronousParameters.__bindgen_anon_1.UserApcRoutine) == 88);
        assert!(offset_of!(T, Overlay.AsynchronousParameters.__bindgen_anon_1.IssuingProcess) == 88);
        assert!(offset_of!(T, Tail.Overlay.__bindgen_anon_1.DeviceQueueEntry) == 120);
        assert!(offset_of!(T, Tail.Overlay.__bindgen_anon_1.__bindgen_anon_1.DriverContext) == 120);
        assert!(offset_of!(T, Tail.Overlay.__bindgen_anon_2.ListEntry) == 168);
        assert!(offset_of!(T, Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation) == 184);
        assert!(offset_of!(T, Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.PacketType) == 184);
    }
};

const _: () = {
    use crate::IO_STACK_LOCATION as T;
    assert!(size_of::<T>() == 72);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, MajorFunction) == 0);
    assert!(offset_of!(T, MinorFunction) == 1);
    assert!(offset_of!(T, Flags) == 2);
    assert!(offset_of!(T, Control) == 3);
    assert!(offset_of!(T, Parameters) == 8);
    assert!(offset_of!(T, Parameters.Create) == 8);
    assert!(offset_of!(T, Parameters.Create.SecurityContext) == 8);
    assert!(offset_of!(T, Parameters.Create.Options) == 16);
    assert!(offset_of!(T, Parameters.Create.FileAttributes) == 24);
    assert!(offset_of!(T, Parameters.Create.ShareAccess) == 26);
    assert!(offset_of!(T, Parameters.Create.EaLength) == 32);
    assert!(offset_of!(T, Parameters.Read) == 8);
    assert!(offset_of!(T, Parameters.Read.Length) == 8);
    assert!(offset_of!(T, Parameters.Read.Key) == 16);
    assert!(offset_of!(T, Parameters.Read.Flags) == 20);
    assert!(offset_of!(T, Parameters.Read.ByteOffset) == 24);
    assert!(offset_of!(T, Parameters.Write) == 8);
    assert!(offset_of!(T, Parameters.Write.Length) == 8);
    assert!(offset_of!(T, Parameters.Write.Key) == 16);
    assert!(offset_of!(T, Parameters.Write.Flags) == 20);
    assert!(offset_of!(T, Parameters.Write.ByteOffset) == 24);
    assert!(offset_of!(T, Parameters.DeviceIoControl) == 8);
    assert!(offset_of!(T, Parameters.DeviceIoControl.OutputBufferLength) == 8);
    assert!(offset_of!(T, Parameters.DeviceIoControl.InputBufferLength) == 16);
    assert!(offset_of!(T, Parameters.DeviceIoControl.IoControlCode) == 24);
    assert!(offset_of!(T, Parameters.DeviceIoControl.Type3InputBuffer) == 32);
    assert!(offset_of!(T, Parameters.Others) == 8);
    assert!(offset_of!(T, Parameters.Others.Argument1) == 8);
    assert!(offset_of!(T, Parameters.Others.Argument2) == 16);
    assert!(offset_of!(T, Parameters.Others.Argument3) == 24);
    assert!(offset_of!(T, Parameters.Others.Argument4) == 32);
    assert!(offset_of!(T, DeviceObject) == 40);
    assert!(offset_of!(T, FileObject) == 48);
    assert!(offset_of!(T, CompletionRoutine) == 56);
    assert!(offset_of!(T, Context) == 64);
};

const _: () = {
    use crate::MDL as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Next) == 0);
    assert!(offset_of!(T, Size) == 8);
    assert!(offset_of!(T, MdlFlags) == 10);
    assert!(offset_of!(T, Process) == 16);
    assert!(offset_of!(T, MappedSystemVa) == 24);
    assert!(offset_of!(T, StartVa) == 32);
    assert!(offset_of!(T, ByteCount) == 40);
    assert!(offset_of!(T, ByteOffset) == 44);
};

const _: () = {
    use crate::DISPATCHER_HEADER as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, SignalState) == 4);
    assert!(offset_of!(T, WaitListHead) == 8);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, __bindgen_anon_1.Lock) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.LockNV) == 0);
    }
};

const _: () = {
    use crate::KEVENT as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Header) == 0);
};

const _: () = {
    use crate::KSEMAPHORE as T;
    assert!(size_of::<T>() == 32);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Header) == 0);
    assert!(offset_of!(T, Limit) == 24);
};

const _: () = {
    use crate::FAST_MUTEX as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Count) == 0);
    assert!(offset_of!(T, Owner) == 8);
    assert!(offset_of!(T, Contention) == 16);
    assert!(offset_of!(T, Event) == 24);
    assert!(offset_of!(T, OldIrql) == 48);
};

const _: () = {
    use crate::KDPC as T;
    assert!(size_of::<T>() == 64);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, DpcListEntry) == 8);
    assert!(offset_of!(T, ProcessorHistory) == 16);
    assert!(offset_of!(T, DeferredRoutine) == 24);
    assert!(offset_of!(T, DeferredContext) == 32);
    assert!(offset_of!(T, SystemArgument1) == 40);
    assert!(offset_of!(T, SystemArgument2) == 48);
    assert!(offset_of!(T, DpcData) == 56);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, __bindgen_anon_1.TargetInfoAsUlong) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.__bindgen_anon_1.Type) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.__bindgen_anon_1.Importance) == 1);
        assert!(offset_of!(T, __bindgen_anon_1.__bindgen_anon_1.Number) == 2);
    }
};

const _: () = {
    use crate::KTIMER as T;
    assert!(size_of::<T>() == 64);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Header) == 0);
    assert!(offset_of!(T, DueTime) == 24);
    assert!(offset_of!(T, TimerListEntry) == 32);
    assert!(offset_of!(T, Dpc) == 48);
    assert!(offset_of!(T, Processor) == 56);
    assert!(offset_of!(T, Period) == 60);
};

const _: () = {
    use crate::EX_RUNDOWN_REF as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    #[cfg(not(feature = "wdk"))]
    {
        assert!(offset_of!(T, __bindgen_anon_1.Count) == 0);
        assert!(offset_of!(T, __bindgen_anon_1.Ptr) == 0);
    }
};

const _: () = {
    use crate::KAPC as T;
    assert!(size_of::<T>() == 88);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, SpareByte0) == 1);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, SpareByte1) == 3);
    assert!(offset_of!(T, SpareLong0) == 4);
    assert!(offset_of!(T, Thread) == 8);
    assert!(offset_of!(T, ApcListEntry) == 16);
    assert!(offset_of!(T, Reserved) == 32);
    assert!(offset_of!(T, NormalContext) == 56);
    assert!(offset_of!(T, SystemArgument1) == 64);
    assert!(offset_of!(T, SystemArgument2) == 72);
    assert!(offset_of!(T, ApcStateIndex) == 80);
    assert!(offset_of!(T, ApcMode) == 81);
    assert!(offset_of!(T, Inserted) == 82);
};

const _: () = {
    use crate::KLOCK_QUEUE_HANDLE as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, LockQueue) == 0);
    assert!(offset_of!(T, OldIrql) == 16);
};

const _: () = {
    use crate::KDEVICE_QUEUE as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, DeviceListHead) == 8);
    assert!(offset_of!(T, Lock) == 24);
};

const _: () = {
    use crate::KDEVICE_QUEUE_ENTRY as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, DeviceListEntry) == 0);
    assert!(offset_of!(T, SortKey) == 16);
    assert!(offset_of!(T, Inserted) == 20);
};

const _: () = {
    use crate::WAIT_CONTEXT_BLOCK as T;
    assert!(size_of::<T>() == 72);
    assert!(align_of::<T>() == 8);
};

const _: () = {
    use crate::DRIVER_OBJECT as T;
    assert!(size_of::<T>() == 336);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, DeviceObject) == 8);
    assert!(offset_of!(T, Flags) == 16);
    assert!(offset_of!(T, DriverStart) == 24);
    assert!(offset_of!(T, DriverSize) == 32);
    assert!(offset_of!(T, DriverSection) == 40);
    assert!(offset_of!(T, DriverExtension) == 48);
    assert!(offset_of!(T, DriverName) == 56);
    assert!(offset_of!(T, HardwareDatabase) == 72);
    assert!(offset_of!(T, FastIoDispatch) == 80);
    assert!(offset_of!(T, DriverInit) == 88);
    assert!(offset_of!(T, DriverStartIo) == 96);
    assert!(offset_of!(T, DriverUnload) == 104);
    assert!(offset_of!(T, MajorFunction) == 112);
};

const _: () = {
    use crate::DRIVER_EXTENSION as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, DriverObject) == 0);
    assert!(offset_of!(T, AddDevice) == 8);
    assert!(offset_of!(T, Count) == 16);
    assert!(offset_of!(T, ServiceKeyName) == 24);
};

const _: () = {
    use crate::DEVICE_OBJECT as T;
    assert!(size_of::<T>() == 336);
    assert!(align_of::<T>() == 16);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, ReferenceCount) == 4);
    assert!(offset_of!(T, DriverObject) == 8);
    assert!(offset_of!(T, NextDevice) == 16);
    assert!(offset_of!(T, AttachedDevice) == 24);
    assert!(offset_of!(T, CurrentIrp) == 32);
    assert!(offset_of!(T, Timer) == 40);
    assert!(offset_of!(T, Flags) == 48);
    assert!(offset_of!(T, Characteristics) == 52);
    assert!(offset_of!(T, Vpb) == 56);
    assert!(offset_of!(T, DeviceExtension) == 64);
    assert!(offset_of!(T, DeviceType) == 72);
    assert!(offset_of!(T, StackSize) == 76);
    assert!(offset_of!(T, Queue) == 80);
    assert!(offset_of!(T, Queue.ListEntry) == 80);
    assert!(offset_of!(T, Queue.Wcb) == 80);
    assert!(offset_of!(T, AlignmentRequirement) == 152);
    assert!(offset_of!(T, DeviceQueue) == 160);
    assert!(offset_of!(T, Dpc) == 200);
    assert!(offset_of!(T, ActiveThreadCount) == 264);
    assert!(offset_of!(T, SecurityDescriptor) == 272);
    assert!(offset_of!(T, DeviceLock) == 280);
    assert!(offset_of!(T, SectorSize) == 304);
    assert!(offset_of!(T, Spare1) == 306);
    assert!(offset_of!(T, DeviceObjectExtension) == 312);
    assert!(offset_of!(T, Reserved) == 320);
};

const _: () = {
    use crate::FILE_OBJECT as T;
    assert!(size_of::<T>() == 216);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Type) == 0);
    assert!(offset_of!(T, Size) == 2);
    assert!(offset_of!(T, DeviceObject) == 8);
    assert!(offset_of!(T, Vpb) == 16);
    assert!(offset_of!(T, FsContext) == 24);
    assert!(offset_of!(T, FsContext2) == 32);
    assert!(offset_of!(T, SectionObjectPointer) == 40);
    assert!(offset_of!(T, PrivateCacheMap) == 48);
    assert!(offset_of!(T, FinalStatus) == 56);
    assert!(offset_of!(T, RelatedFileObject) == 64);
    assert!(offset_of!(T, LockOperation) == 72);
    assert!(offset_of!(T, DeletePending) == 73);
    assert!(offset_of!(T, ReadAccess) == 74);
    assert!(offset_of!(T, WriteAccess) == 75);
    assert!(offset_of!(T, DeleteAccess) == 76);
    assert!(offset_of!(T, SharedRead) == 77);
    assert!(offset_of!(T, SharedWrite) == 78);
    assert!(offset_of!(T, SharedDelete) == 79);
    assert!(offset_of!(T, Flags) == 80);
    assert!(offset_of!(T, FileName) == 88);
    assert!(offset_of!(T, CurrentByteOffset) == 104);
    assert!(offset_of!(T, Waiters) == 112);
    assert!(offset_of!(T, Busy) == 116);
    assert!(offset_of!(T, LastLock) == 120);
    assert!(offset_of!(T, Lock) == 128);
    assert!(offset_of!(T, Event) == 152);
    assert!(offset_of!(T, CompletionContext) == 176);
    assert!(offset_of!(T, IrpListLock) == 184);
    assert!(offset_of!(T, IrpList) == 192);
    assert!(offset_of!(T, FileObjectExtension) == 208);
};

const _: () = {
    use crate::PROCESSOR_NUMBER as T;
    assert!(size_of::<T>() == 4);
    assert!(align_of::<T>() == 2);
    assert!(offset_of!(T, Group) == 0);
    assert!(offset_of!(T, Number) == 2);
    assert!(offset_of!(T, Reserved) == 3);
};

const _: () = {
    use crate::GROUP_AFFINITY as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Mask) == 0);
    assert!(offset_of!(T, Group) == 8);
    assert!(offset_of!(T, Reserved) == 10);
};

const _: () = {
    use crate::NPAGED_LOOKASIDE_LIST as T;
    assert!(size_of::<T>() == 128);
    assert!(align_of::<T>() == CACHE_LINE);
    assert!(offset_of!(T, L) == 0);
};

const _: () = {
    use crate::IO_SECURITY_CONTEXT as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, SecurityQos) == 0);
    assert!(offset_of!(T, AccessState) == 8);
    assert!(offset_of!(T, DesiredAccess) == 16);
    assert!(offset_of!(T, FullCreateOptions) == 20);
};

const _: () = {
    use crate::net::NET_LUID as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Value) == 0);
    assert!(offset_of!(T, Info) == 0);
};

const _: () = {
    use crate::WDF_OBJECT_ATTRIBUTES as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtCleanupCallback) == 8);
    assert!(offset_of!(T, EvtDestroyCallback) == 16);
    assert!(offset_of!(T, ExecutionLevel) == 24);
    assert!(offset_of!(T, SynchronizationScope) == 28);
    assert!(offset_of!(T, ParentObject) == 32);
    assert!(offset_of!(T, ContextSizeOverride) == 40);
    assert!(offset_of!(T, ContextTypeInfo) == 48);
};

const _: () = {
    use crate::WDF_OBJECT_CONTEXT_TYPE_INFO as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, ContextName) == 8);
    assert!(offset_of!(T, ContextSize) == 16);
    assert!(offset_of!(T, UniqueType) == 24);
    assert!(offset_of!(T, EvtDriverGetUniqueContextType) == 32);
};

const _: () = {
    use crate::WDF_DRIVER_CONFIG as T;
    assert!(size_of::<T>() == 32);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtDriverDeviceAdd) == 8);
    assert!(offset_of!(T, EvtDriverUnload) == 16);
    assert!(offset_of!(T, DriverInitFlags) == 24);
    assert!(offset_of!(T, DriverPoolTag) == 28);
};

const _: () = {
    use crate::WDF_DRIVER_GLOBALS as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Driver) == 0);
    assert!(offset_of!(T, DriverFlags) == 8);
    assert!(offset_of!(T, DriverTag) == 12);
    assert!(offset_of!(T, DriverName) == 16);
    assert!(offset_of!(T, DisplaceDriverUnload) == 48);
};

const _: () = {
    use crate::WDF_DRIVER_VERSION_AVAILABLE_PARAMS as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, MajorVersion) == 4);
    assert!(offset_of!(T, MinorVersion) == 8);
};

const _: () = {
    use crate::WDF_IO_QUEUE_CONFIG as T;
    assert!(size_of::<T>() == 96);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, DispatchType) == 4);
    assert!(offset_of!(T, PowerManaged) == 8);
    assert!(offset_of!(T, AllowZeroLengthRequests) == 12);
    assert!(offset_of!(T, DefaultQueue) == 13);
    assert!(offset_of!(T, EvtIoDefault) == 16);
    assert!(offset_of!(T, EvtIoRead) == 24);
    assert!(offset_of!(T, EvtIoWrite) == 32);
    assert!(offset_of!(T, EvtIoDeviceControl) == 40);
    assert!(offset_of!(T, EvtIoInternalDeviceControl) == 48);
    assert!(offset_of!(T, EvtIoStop) == 56);
    assert!(offset_of!(T, EvtIoResume) == 64);
    assert!(offset_of!(T, EvtIoCanceledOnQueue) == 72);
    assert!(offset_of!(T, Settings) == 80);
    assert!(offset_of!(T, Settings.Parallel) == 80);
    assert!(offset_of!(T, Settings.Parallel.NumberOfPresentedRequests) == 80);
    assert!(offset_of!(T, Driver) == 88);
};

const _: () = {
    use crate::WDF_FILEOBJECT_CONFIG as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtDeviceFileCreate) == 8);
    assert!(offset_of!(T, EvtFileClose) == 16);
    assert!(offset_of!(T, EvtFileCleanup) == 24);
    assert!(offset_of!(T, AutoForwardCleanupClose) == 32);
    assert!(offset_of!(T, FileObjectClass) == 36);
};

const _: () = {
    use crate::WDF_TIMER_CONFIG as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtTimerFunc) == 8);
    assert!(offset_of!(T, Period) == 16);
    assert!(offset_of!(T, AutomaticSerialization) == 20);
    assert!(offset_of!(T, TolerableDelay) == 24);
    assert!(offset_of!(T, UseHighResolutionTimer) == 32);
};

const _: () = {
    use crate::WDF_WORKITEM_CONFIG as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtWorkItemFunc) == 8);
    assert!(offset_of!(T, AutomaticSerialization) == 16);
};

const _: () = {
    use crate::WDF_DPC_CONFIG as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtDpcFunc) == 8);
    assert!(offset_of!(T, AutomaticSerialization) == 16);
};

const _: () = {
    use crate::WDF_PNPPOWER_EVENT_CALLBACKS as T;
    assert!(size_of::<T>() == 144);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtDeviceD0Entry) == 8);
    assert!(offset_of!(T, EvtDeviceD0EntryPostInterruptsEnabled) == 16);
    assert!(offset_of!(T, EvtDeviceD0Exit) == 24);
    assert!(offset_of!(T, EvtDeviceD0ExitPreInterruptsDisabled) == 32);
    assert!(offset_of!(T, EvtDevicePrepareHardware) == 40);
    assert!(offset_of!(T, EvtDeviceReleaseHardware) == 48);
    assert!(offset_of!(T, EvtDeviceSelfManagedIoCleanup) == 56);
    assert!(offset_of!(T, EvtDeviceSelfManagedIoFlush) == 64);
    assert!(offset_of!(T, EvtDeviceSelfManagedIoInit) == 72);
    assert!(offset_of!(T, EvtDeviceSelfManagedIoSuspend) == 80);
    assert!(offset_of!(T, EvtDeviceSelfManagedIoRestart) == 88);
    assert!(offset_of!(T, EvtDeviceSurpriseRemoval) == 96);
    assert!(offset_of!(T, EvtDeviceQueryRemove) == 104);
    assert!(offset_of!(T, EvtDeviceQueryStop) == 112);
    assert!(offset_of!(T, EvtDeviceUsageNotification) == 120);
    assert!(offset_of!(T, EvtDeviceRelationsQuery) == 128);
    assert!(offset_of!(T, EvtDeviceUsageNotificationEx) == 136);
};

const _: () = {
    use crate::WDF_POWER_POLICY_EVENT_CALLBACKS as T;
    assert!(size_of::<T>() == 64);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtDeviceArmWakeFromS0) == 8);
    assert!(offset_of!(T, EvtDeviceDisarmWakeFromS0) == 16);
    assert!(offset_of!(T, EvtDeviceWakeFromS0Triggered) == 24);
    assert!(offset_of!(T, EvtDeviceArmWakeFromSx) == 32);
    assert!(offset_of!(T, EvtDeviceDisarmWakeFromSx) == 40);
    assert!(offset_of!(T, EvtDeviceWakeFromSxTriggered) == 48);
    assert!(offset_of!(T, EvtDeviceArmWakeFromSxWithReason) == 56);
};

const _: () = {
    use crate::WDF_DEVICE_PNP_CAPABILITIES as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, LockSupported) == 4);
    assert!(offset_of!(T, EjectSupported) == 8);
    assert!(offset_of!(T, Removable) == 12);
    assert!(offset_of!(T, DockDevice) == 16);
    assert!(offset_of!(T, UniqueID) == 20);
    assert!(offset_of!(T, SilentInstall) == 24);
    assert!(offset_of!(T, SurpriseRemovalOK) == 28);
    assert!(offset_of!(T, HardwareDisabled) == 32);
    assert!(offset_of!(T, NoDisplayInUI) == 36);
    assert!(offset_of!(T, Address) == 40);
    assert!(offset_of!(T, UINumber) == 44);
};

const _: () = {
    use crate::WDF_DEVICE_POWER_CAPABILITIES as T;
    assert!(size_of::<T>() == 80);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, DeviceD1) == 4);
    assert!(offset_of!(T, DeviceD2) == 8);
    assert!(offset_of!(T, WakeFromD0) == 12);
    assert!(offset_of!(T, WakeFromD1) == 16);
    assert!(offset_of!(T, WakeFromD2) == 20);
    assert!(offset_of!(T, WakeFromD3) == 24);
    assert!(offset_of!(T, DeviceState) == 28);
    assert!(offset_of!(T, DeviceWake) == 56);
    assert!(offset_of!(T, SystemWake) == 60);
    assert!(offset_of!(T, D1Latency) == 64);
    assert!(offset_of!(T, D2Latency) == 68);
    assert!(offset_of!(T, D3Latency) == 72);
    assert!(offset_of!(T, IdealDxStateForSx) == 76);
};

const _: () = {
    use crate::WDF_REQUEST_PARAMETERS as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, MinorFunction) == 2);
    assert!(offset_of!(T, Type) == 4);
    assert!(offset_of!(T, Parameters) == 8);
    assert!(offset_of!(T, Parameters.Create) == 8);
    assert!(offset_of!(T, Parameters.Create.SecurityContext) == 8);
    assert!(offset_of!(T, Parameters.Create.Options) == 16);
    assert!(offset_of!(T, Parameters.Create.FileAttributes) == 24);
    assert!(offset_of!(T, Parameters.Create.ShareAccess) == 26);
    assert!(offset_of!(T, Parameters.Create.EaLength) == 32);
    assert!(offset_of!(T, Parameters.Read) == 8);
    assert!(offset_of!(T, Parameters.Read.Length) == 8);
    assert!(offset_of!(T, Parameters.Read.Key) == 16);
    assert!(offset_of!(T, Parameters.Read.DeviceOffset) == 24);
    assert!(offset_of!(T, Parameters.Write) == 8);
    assert!(offset_of!(T, Parameters.Write.Length) == 8);
    assert!(offset_of!(T, Parameters.Write.Key) == 16);
    assert!(offset_of!(T, Parameters.Write.DeviceOffset) == 24);
    assert!(offset_of!(T, Parameters.DeviceIoControl) == 8);
    assert!(offset_of!(T, Parameters.DeviceIoControl.OutputBufferLength) == 8);
    assert!(offset_of!(T, Parameters.DeviceIoControl.InputBufferLength) == 16);
    assert!(offset_of!(T, Parameters.DeviceIoControl.IoControlCode) == 24);
    assert!(offset_of!(T, Parameters.DeviceIoControl.Type3InputBuffer) == 32);
    assert!(offset_of!(T, Parameters.Others) == 8);
    assert!(offset_of!(T, Parameters.Others.Arg1) == 8);
    assert!(offset_of!(T, Parameters.Others.Arg2) == 16);
    assert!(offset_of!(T, Parameters.Others.IoControlCode) == 24);
    assert!(offset_of!(T, Parameters.Others.Arg4) == 32);
};

const _: () = {
    use crate::WDF_REQUEST_SEND_OPTIONS as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, Flags) == 4);
    assert!(offset_of!(T, Timeout) == 8);
};

const _: () = {
    use crate::WDFMEMORY_OFFSET as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, BufferOffset) == 0);
    assert!(offset_of!(T, BufferLength) == 8);
};

const _: () = {
    use crate::WDF_IO_TYPE_CONFIG as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, ReadWriteIoType) == 4);
    assert!(offset_of!(T, DeviceControlIoType) == 8);
    assert!(offset_of!(T, DirectTransferThreshold) == 12);
};

#[cfg(not(feature = "wdk"))]
const _: () = {
    use crate::bind::WDF_VERSION as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Major) == 0);
    assert!(offset_of!(T, Minor) == 4);
    assert!(offset_of!(T, Build) == 8);
};

#[cfg(not(feature = "wdk"))]
const _: () = {
    use crate::bind::WDF_BIND_INFO as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, Component) == 8);
    assert!(offset_of!(T, Version) == 16);
    assert!(offset_of!(T, FuncCount) == 28);
    assert!(offset_of!(T, FuncTable) == 32);
    assert!(offset_of!(T, Module) == 40);
};

const _: () = {
    use crate::bind::WDF_CLASS_VERSION as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Major) == 0);
    assert!(offset_of!(T, Minor) == 4);
    assert!(offset_of!(T, Build) == 8);
};

const _: () = {
    use crate::bind::WDF_CLASS_BIND_INFO as T;
    assert!(size_of::<T>() == 80);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, ClassName) == 8);
    assert!(offset_of!(T, Version) == 16);
    assert!(offset_of!(T, FunctionTable) == 32);
    assert!(offset_of!(T, FunctionTableCount) == 40);
    assert!(offset_of!(T, ClassBindInfo) == 48);
    assert!(offset_of!(T, ClientBindClass) == 56);
    assert!(offset_of!(T, ClientUnbindClass) == 64);
    assert!(offset_of!(T, ClassModule) == 72);
};

const _: () = {
    use crate::net::NET_DRIVER_GLOBALS as T;
    assert!(size_of::<T>() == 4);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Unused) == 0);
};

const _: () = {
    use crate::net::NET_ADAPTER_DATAPATH_CALLBACKS as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtAdapterCreateTxQueue) == 8);
    assert!(offset_of!(T, EvtAdapterCreateRxQueue) == 16);
};

const _: () = {
    use crate::net::NET_ADAPTER_LINK_LAYER_CAPABILITIES as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, MaxTxLinkSpeed) == 8);
    assert!(offset_of!(T, MaxRxLinkSpeed) == 16);
};

const _: () = {
    use crate::net::NET_ADAPTER_LINK_LAYER_ADDRESS as T;
    assert!(size_of::<T>() == 34);
    assert!(align_of::<T>() == 2);
    assert!(offset_of!(T, Length) == 0);
    assert!(offset_of!(T, Address) == 2);
};

const _: () = {
    use crate::net::NET_ADAPTER_TX_CAPABILITIES as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, MappingRequirement) == 4);
    assert!(offset_of!(T, PayloadBackfill) == 8);
    assert!(offset_of!(T, MaximumNumberOfFragments) == 16);
    assert!(offset_of!(T, FragmentBufferAlignment) == 24);
    assert!(offset_of!(T, FragmentRingNumberOfElementsHint) == 32);
    assert!(offset_of!(T, MaximumNumberOfQueues) == 40);
    assert!(offset_of!(T, DmaCapabilities) == 48);
};

const _: () = {
    use crate::net::NET_ADAPTER_RX_CAPABILITIES as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, AllocationMode) == 4);
    assert!(offset_of!(T, AttachmentMode) == 8);
    assert!(offset_of!(T, FragmentRingNumberOfElementsHint) == 12);
    assert!(offset_of!(T, MaximumFrameSize) == 16);
    assert!(offset_of!(T, MaximumNumberOfQueues) == 24);
    assert!(offset_of!(T, __bindgen_anon_1.EvtAdapterReturnRxBuffer) == 32);
    assert!(offset_of!(T, __bindgen_anon_1.System.MappingRequirement) == 32);
    assert!(offset_of!(T, __bindgen_anon_1.System.FragmentBufferAlignment) == 40);
    assert!(offset_of!(T, __bindgen_anon_1.System.DmaCapabilities) == 48);
};

const _: () = {
    use crate::net::NET_ADAPTER_DMA_CAPABILITIES as T;
    assert!(size_of::<T>() == 32);
    assert!(align_of::<T>() == 8);
};

const _: () = {
    use crate::net::NET_ADAPTER_LINK_STATE as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, TxLinkSpeed) == 8);
    assert!(offset_of!(T, RxLinkSpeed) == 16);
    assert!(offset_of!(T, MediaConnectState) == 24);
    assert!(offset_of!(T, MediaDuplexState) == 28);
    assert!(offset_of!(T, SupportedPauseFunctions) == 32);
    assert!(offset_of!(T, AutoNegotiationFlags) == 36);
};

const _: () = {
    use crate::net::NET_PACKET_QUEUE_CONFIG as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtStart) == 8);
    assert!(offset_of!(T, EvtStop) == 16);
    assert!(offset_of!(T, EvtAdvance) == 24);
    assert!(offset_of!(T, EvtSetNotificationEnabled) == 32);
    assert!(offset_of!(T, EvtCancel) == 40);
};

const _: () = {
    use crate::net::NET_EXTENSION as T;
    assert!(size_of::<T>() == 40);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Reserved) == 0);
    assert!(offset_of!(T, Enabled) == 32);
};

const _: () = {
    use crate::net::NET_EXTENSION_QUERY as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, Name) == 8);
    assert!(offset_of!(T, Version) == 16);
    assert!(offset_of!(T, Type) == 20);
};

const _: () = {
    use crate::net::NET_RING as T;
    assert!(size_of::<T>() == 2 * CACHE_LINE);
    assert!(align_of::<T>() == CACHE_LINE);
    assert!(offset_of!(T, OSReserved1) == 0);
    assert!(offset_of!(T, ElementStride) == 2);
    assert!(offset_of!(T, NumberOfElements) == 4);
    assert!(offset_of!(T, ElementIndexMask) == 8);
    assert!(offset_of!(T, EndIndex) == 12);
    assert!(offset_of!(T, OSReserved2) == 16);
    assert!(offset_of!(T, BeginIndex) == 48);
    assert!(offset_of!(T, NextIndex) == 52);
    assert!(offset_of!(T, Scratch) == 56);
    assert!(offset_of!(T, Buffer) == CACHE_LINE);
};

const _: () = {
    use crate::net::NET_RING_COLLECTION as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Rings) == 0);
};

const _: () = {
    use crate::net::NET_PACKET as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, FragmentIndex) == 0);
    assert!(offset_of!(T, FragmentCount) == 4);
    assert!(offset_of!(T, Layout) == 6);
    bits!(NET_PACKET, 12, set_Ignore(true), 88, 1);
    bits!(NET_PACKET, 12, set_Scratch(true), 89, 1);
};

const _: () = {
    use crate::net::NET_PACKET_LAYOUT as T;
    assert!(size_of::<T>() == 5);
    assert!(align_of::<T>() == 1);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer2HeaderLength((1 << 7) - 1), 0, 7);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer3HeaderLength((1 << 9) - 1), 7, 9);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer4HeaderLength((1 << 8) - 1), 16, 8);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer2Type((1 << 4) - 1), 24, 4);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer3Type((1 << 4) - 1), 28, 4);
    bits!(NET_PACKET_LAYOUT, 5, set_Layer4Type((1 << 4) - 1), 32, 4);
};

const _: () = {
    use crate::net::NET_FRAGMENT as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    bits!(NET_FRAGMENT, 8, set_ValidLength((1 << 26) - 1), 0, 26);
    bits!(NET_FRAGMENT, 8, set_Capacity((1 << 26) - 1), 26, 26);
    bits!(NET_FRAGMENT, 8, set_Offset((1 << 10) - 1), 52, 10);
    bits!(NET_FRAGMENT, 8, set_Scratch(true), 62, 1);
};

const _: () = {
    use crate::net::NET_FRAGMENT_VIRTUAL_ADDRESS as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, VirtualAddress) == 0);
};

const _: () = {
    use crate::net::NET_FRAGMENT_LOGICAL_ADDRESS as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, LogicalAddress) == 0);
};

const _: () = {
    use crate::net::NET_FRAGMENT_MDL as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Mdl) == 0);
};

const _: () = {
    use crate::net::NET_PACKET_CHECKSUM as T;
    assert!(size_of::<T>() == 1);
    assert!(align_of::<T>() == 1);
    bits!(NET_PACKET_CHECKSUM, 1, set_Layer2((1 << 2) - 1), 0, 2);
    bits!(NET_PACKET_CHECKSUM, 1, set_Layer3((1 << 2) - 1), 2, 2);
    bits!(NET_PACKET_CHECKSUM, 1, set_Layer4((1 << 2) - 1), 4, 2);
};

const _: () = {
    use crate::net::NET_ADAPTER_OFFLOAD_CHECKSUM_CAPABILITIES as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, IPv4) == 4);
    assert!(offset_of!(T, Tcp) == 5);
    assert!(offset_of!(T, Udp) == 6);
    assert!(offset_of!(T, EvtAdapterOffloadSetChecksum) == 8);
};

const _: () = {
    use crate::net::NET_ADAPTER_OFFLOAD_TX_CHECKSUM_CAPABILITIES as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, Layer3Flags) == 4);
    assert!(offset_of!(T, Layer4Flags) == 8);
    assert!(offset_of!(T, Layer3HeaderOffsetLimit) == 12);
    assert!(offset_of!(T, Layer4HeaderOffsetLimit) == 14);
    assert!(offset_of!(T, EvtAdapterOffloadSetTxChecksum) == 16);
};

const _: () = {
    use crate::net::NET_ADAPTER_OFFLOAD_RX_CHECKSUM_CAPABILITIES as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Size) == 0);
    assert!(offset_of!(T, EvtAdapterOffloadSetRxChecksum) == 8);
};

const _: () = {
    use crate::wsk::WSK_SOCKET as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Dispatch) == 0);
};

const _: () = {
    use crate::wsk::WSK_CLIENT_NPI as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, ClientContext) == 0);
    assert!(offset_of!(T, Dispatch) == 8);
};

const _: () = {
    use crate::wsk::WSK_CLIENT_DISPATCH as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Version) == 0);
    assert!(offset_of!(T, Reserved) == 2);
    assert!(offset_of!(T, WskClientEvent) == 8);
};

const _: () = {
    use crate::wsk::WSK_REGISTRATION as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, ReservedRegistrationState) == 0);
    assert!(offset_of!(T, ReservedRegistrationContext) == 8);
    assert!(offset_of!(T, ReservedRegistrationLock) == 16);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_NPI as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Client) == 0);
    assert!(offset_of!(T, Dispatch) == 8);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_DISPATCH as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Version) == 0);
    assert!(offset_of!(T, Reserved) == 2);
    assert!(offset_of!(T, WskSocket) == 8);
    assert!(offset_of!(T, WskSocketConnect) == 16);
    assert!(offset_of!(T, WskControlClient) == 24);
    assert!(offset_of!(T, WskGetAddressInfo) == 32);
    assert!(offset_of!(T, WskFreeAddressInfo) == 40);
    assert!(offset_of!(T, WskGetNameInfo) == 48);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_CHARACTERISTICS as T;
    assert!(size_of::<T>() == 4);
    assert!(align_of::<T>() == 2);
    assert!(offset_of!(T, HighestVersion) == 0);
    assert!(offset_of!(T, LowestVersion) == 2);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_BASIC_DISPATCH as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskControlSocket) == 0);
    assert!(offset_of!(T, WskCloseSocket) == 8);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_DATAGRAM_DISPATCH as T;
    assert!(size_of::<T>() == 64);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskControlSocket) == 0);
    assert!(offset_of!(T, WskCloseSocket) == 8);
    assert!(offset_of!(T, WskBind) == 16);
    assert!(offset_of!(T, WskSendTo) == 24);
    assert!(offset_of!(T, WskReceiveFrom) == 32);
    assert!(offset_of!(T, WskRelease) == 40);
    assert!(offset_of!(T, WskGetLocalAddress) == 48);
    assert!(offset_of!(T, WskSendMessages) == 56);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_LISTEN_DISPATCH as T;
    assert!(size_of::<T>() == 48);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskControlSocket) == 0);
    assert!(offset_of!(T, WskCloseSocket) == 8);
    assert!(offset_of!(T, WskBind) == 16);
    assert!(offset_of!(T, WskAccept) == 24);
    assert!(offset_of!(T, WskInspectComplete) == 32);
    assert!(offset_of!(T, WskGetLocalAddress) == 40);
};

const _: () = {
    use crate::wsk::WSK_PROVIDER_CONNECTION_DISPATCH as T;
    assert!(size_of::<T>() == 104);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskControlSocket) == 0);
    assert!(offset_of!(T, WskCloseSocket) == 8);
    assert!(offset_of!(T, WskBind) == 16);
    assert!(offset_of!(T, WskConnect) == 24);
    assert!(offset_of!(T, WskGetLocalAddress) == 32);
    assert!(offset_of!(T, WskGetRemoteAddress) == 40);
    assert!(offset_of!(T, WskSend) == 48);
    assert!(offset_of!(T, WskReceive) == 56);
    assert!(offset_of!(T, WskDisconnect) == 64);
    assert!(offset_of!(T, WskRelease) == 72);
    assert!(offset_of!(T, WskConnectEx) == 80);
    assert!(offset_of!(T, WskSendEx) == 88);
    assert!(offset_of!(T, WskReceiveEx) == 96);
};

const _: () = {
    use crate::wsk::WSK_CLIENT_DATAGRAM_DISPATCH as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskReceiveFromEvent) == 0);
};

const _: () = {
    use crate::wsk::WSK_CLIENT_CONNECTION_DISPATCH as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, WskReceiveEvent) == 0);
    assert!(offset_of!(T, WskDisconnectEvent) == 8);
    assert!(offset_of!(T, WskSendBacklogEvent) == 16);
};

const _: () = {
    use crate::wsk::WSK_BUF as T;
    assert!(size_of::<T>() == 24);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Mdl) == 0);
    assert!(offset_of!(T, Offset) == 8);
    assert!(offset_of!(T, Length) == 16);
};

const _: () = {
    use crate::wsk::WSK_BUF_LIST as T;
    assert!(size_of::<T>() == 32);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Next) == 0);
    assert!(offset_of!(T, Buffer) == 8);
};

const _: () = {
    use crate::wsk::WSK_DATAGRAM_INDICATION as T;
    assert!(size_of::<T>() == 56);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Next) == 0);
    assert!(offset_of!(T, Buffer) == 8);
    assert!(offset_of!(T, ControlInfo) == 32);
    assert!(offset_of!(T, ControlInfoLength) == 40);
    assert!(offset_of!(T, RemoteAddress) == 48);
};

const _: () = {
    use crate::wsk::WSK_DATA_INDICATION as T;
    assert!(size_of::<T>() == 32);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, Next) == 0);
    assert!(offset_of!(T, Buffer) == 8);
};

const _: () = {
    use crate::wsk::WSK_EVENT_CALLBACK_CONTROL as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, NpiId) == 0);
    assert!(offset_of!(T, EventMask) == 8);
};

const _: () = {
    use crate::wsk::NPIID as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Data1) == 0);
    assert!(offset_of!(T, Data2) == 4);
    assert!(offset_of!(T, Data3) == 6);
    assert!(offset_of!(T, Data4) == 8);
};

const _: () = {
    use crate::wsk::SOCKADDR as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 2);
    assert!(offset_of!(T, sa_family) == 0);
    assert!(offset_of!(T, sa_data) == 2);
};

const _: () = {
    use crate::wsk::SOCKADDR_IN as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, sin_family) == 0);
    assert!(offset_of!(T, sin_port) == 2);
    assert!(offset_of!(T, sin_addr) == 4);
    assert!(offset_of!(T, sin_zero) == 8);
};

const _: () = {
    use crate::wsk::SOCKADDR_IN6 as T;
    assert!(size_of::<T>() == 28);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, sin6_family) == 0);
    assert!(offset_of!(T, sin6_port) == 2);
    assert!(offset_of!(T, sin6_flowinfo) == 4);
    assert!(offset_of!(T, sin6_addr) == 8);
    assert!(offset_of!(T, __bindgen_anon_1.sin6_scope_id) == 24);
    assert!(offset_of!(T, __bindgen_anon_1.sin6_scope_struct) == 24);
};

const _: () = {
    use crate::wsk::SOCKADDR_STORAGE as T;
    assert!(size_of::<T>() == 128);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, ss_family) == 0);
    assert!(offset_of!(T, __ss_pad1) == 2);
    assert!(offset_of!(T, __ss_align) == 8);
    assert!(offset_of!(T, __ss_pad2) == 16);
};

const _: () = {
    use crate::wsk::SOCKADDR_INET as T;
    assert!(size_of::<T>() == 28);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, Ipv4) == 0);
    assert!(offset_of!(T, Ipv6) == 0);
    assert!(offset_of!(T, si_family) == 0);
};

const _: () = {
    use crate::wsk::IN_ADDR as T;
    assert!(size_of::<T>() == 4);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, S_un) == 0);
    assert!(offset_of!(T, S_un.S_un_b) == 0);
    assert!(offset_of!(T, S_un.S_un_b.s_b1) == 0);
    assert!(offset_of!(T, S_un.S_un_b.s_b2) == 1);
    assert!(offset_of!(T, S_un.S_un_b.s_b3) == 2);
    assert!(offset_of!(T, S_un.S_un_b.s_b4) == 3);
    assert!(offset_of!(T, S_un.S_un_w) == 0);
    assert!(offset_of!(T, S_un.S_un_w.s_w1) == 0);
    assert!(offset_of!(T, S_un.S_un_w.s_w2) == 2);
    assert!(offset_of!(T, S_un.S_addr) == 0);
};

const _: () = {
    use crate::wsk::IN6_ADDR as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 2);
    assert!(offset_of!(T, u) == 0);
    assert!(offset_of!(T, u.Byte) == 0);
    assert!(offset_of!(T, u.Word) == 0);
};

const _: () = {
    use crate::wsk::CMSGHDR as T;
    assert!(size_of::<T>() == 16);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, cmsg_len) == 0);
    assert!(offset_of!(T, cmsg_level) == 8);
    assert!(offset_of!(T, cmsg_type) == 12);
};

const _: () = {
    use crate::wsk::IN_PKTINFO as T;
    assert!(size_of::<T>() == 8);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, ipi_addr) == 0);
    assert!(offset_of!(T, ipi_ifindex) == 4);
};

const _: () = {
    use crate::wsk::IN6_PKTINFO as T;
    assert!(size_of::<T>() == 20);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, ipi6_addr) == 0);
    assert!(offset_of!(T, ipi6_ifindex) == 16);
};

const _: () = {
    use crate::cng::BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO as T;
    assert!(size_of::<T>() == 88);
    assert!(align_of::<T>() == 8);
    assert!(offset_of!(T, cbSize) == 0);
    assert!(offset_of!(T, dwInfoVersion) == 4);
    assert!(offset_of!(T, pbNonce) == 8);
    assert!(offset_of!(T, cbNonce) == 16);
    assert!(offset_of!(T, pbAuthData) == 24);
    assert!(offset_of!(T, cbAuthData) == 32);
    assert!(offset_of!(T, pbTag) == 40);
    assert!(offset_of!(T, cbTag) == 48);
    assert!(offset_of!(T, pbMacContext) == 56);
    assert!(offset_of!(T, cbMacContext) == 64);
    assert!(offset_of!(T, cbAAD) == 68);
    assert!(offset_of!(T, cbData) == 72);
    assert!(offset_of!(T, dwFlags) == 80);
};

const _: () = {
    use crate::cng::BCRYPT_KEY_LENGTHS_STRUCT as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, dwMinLength) == 0);
    assert!(offset_of!(T, dwMaxLength) == 4);
    assert!(offset_of!(T, dwIncrement) == 8);
};

const _: () = {
    use crate::cng::BCRYPT_AUTH_TAG_LENGTHS_STRUCT as T;
    assert!(size_of::<T>() == 12);
    assert!(align_of::<T>() == 4);
    assert!(offset_of!(T, dwMinLength) == 0);
    assert!(offset_of!(T, dwMaxLength) == 4);
    assert!(offset_of!(T, dwIncrement) == 8);
};

// Constants.
const _: () = {
    assert!(crate::wsk::AF_INET as i64 == 2);
    assert!(crate::wsk::AF_INET6 as i64 == 23);
    assert!(crate::wsk::AF_UNSPEC as i64 == 0);
    assert!(crate::ALL_PROCESSOR_GROUPS as i64 == 65535);
    assert!(crate::APC_LEVEL as i64 == 1);
    assert!(crate::cng::BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO_VERSION as i64 == 1);
    assert!(crate::cng::BCRYPT_AUTH_MODE_CHAIN_CALLS_FLAG as i64 == 1);
    assert!(crate::cng::BCRYPT_AUTH_MODE_IN_PROGRESS_FLAG as i64 == 2);
    assert!(crate::cng::BCRYPT_PROV_DISPATCH as i64 == 1);
    assert!(crate::cng::BCRYPT_USE_SYSTEM_PREFERRED_RNG as i64 == 2);
    assert!(crate::DISPATCH_LEVEL as i64 == 2);
    assert!(crate::DO_BUFFERED_IO as i64 == 4);
    assert!(crate::DO_DIRECT_IO as i64 == 16);
    assert!(crate::FILE_ANY_ACCESS as i64 == 0);
    assert!(crate::FILE_AUTOGENERATED_DEVICE_NAME as i64 == 128);
    assert!(crate::FILE_DEVICE_NETWORK as i64 == 18);
    assert!(crate::FILE_DEVICE_SECURE_OPEN as i64 == 256);
    assert!(crate::FILE_DEVICE_UNKNOWN as i64 == 34);
    assert!(crate::FILE_READ_ACCESS as i64 == 1);
    assert!(crate::FILE_READ_DATA as i64 == 1);
    assert!(crate::FILE_WRITE_ACCESS as i64 == 2);
    assert!(crate::FILE_WRITE_DATA as i64 == 2);
    assert!(crate::GENERIC_READ as i64 == 2147483648);
    assert!(crate::GENERIC_WRITE as i64 == 1073741824);
    assert!(crate::HIGH_LEVEL as i64 == 15);
    assert!(crate::wsk::INADDR_ANY as i64 == 0);
    assert!(crate::wsk::INADDR_BROADCAST as i64 == 4294967295);
    assert!(crate::wsk::INADDR_LOOPBACK as i64 == 2130706433);
    assert!(crate::wsk::INADDR_NONE as i64 == 4294967295);
    assert!(crate::IO_NETWORK_INCREMENT as i64 == 2);
    assert!(crate::IO_NO_INCREMENT as i64 == 0);
    assert!(crate::wsk::IPPROTO_IP as i64 == 0);
    assert!(crate::wsk::IPV6_DONTFRAG as i64 == 14);
    assert!(crate::wsk::IPV6_MTU as i64 == 72);
    assert!(crate::wsk::IPV6_MTU_DISCOVER as i64 == 71);
    assert!(crate::wsk::IPV6_PKTINFO as i64 == 19);
    assert!(crate::wsk::IPV6_UNICAST_HOPS as i64 == 4);
    assert!(crate::wsk::IPV6_UNICAST_IF as i64 == 31);
    assert!(crate::wsk::IPV6_V6ONLY as i64 == 27);
    assert!(crate::wsk::IP_DONTFRAGMENT as i64 == 14);
    assert!(crate::wsk::IP_MTU as i64 == 73);
    assert!(crate::wsk::IP_MTU_DISCOVER as i64 == 71);
    assert!(crate::wsk::IP_PKTINFO as i64 == 19);
    assert!(crate::wsk::IP_TTL as i64 == 4);
    assert!(crate::wsk::IP_UNICAST_IF as i64 == 31);
    assert!(crate::IRP_MJ_CLEANUP as i64 == 18);
    assert!(crate::IRP_MJ_CLOSE as i64 == 2);
    assert!(crate::IRP_MJ_CREATE as i64 == 0);
    assert!(crate::IRP_MJ_DEVICE_CONTROL as i64 == 14);
    assert!(crate::IRP_MJ_INTERNAL_DEVICE_CONTROL as i64 == 15);
    assert!(crate::IRP_MJ_MAXIMUM_FUNCTION as i64 == 27);
    assert!(crate::IRP_MJ_PNP as i64 == 27);
    assert!(crate::IRP_MJ_POWER as i64 == 22);
    assert!(crate::IRP_MJ_READ as i64 == 3);
    assert!(crate::IRP_MJ_SYSTEM_CONTROL as i64 == 23);
    assert!(crate::IRP_MJ_WRITE as i64 == 4);
    assert!(crate::KEY_QUERY_VALUE as i64 == 1);
    assert!(crate::KEY_READ as i64 == 131097);
    assert!(crate::MDL_MAPPED_TO_SYSTEM_VA as i64 == 1);
    assert!(crate::MDL_MAPPING_CAN_FAIL as i64 == 8192);
    assert!(crate::MDL_NETWORK_HEADER as i64 == 4096);
    assert!(crate::MDL_PAGES_LOCKED as i64 == 2);
    assert!(crate::MDL_PARENT_MAPPED_SYSTEM_VA as i64 == 256);
    assert!(crate::MDL_PARTIAL as i64 == 16);
    assert!(crate::MDL_SOURCE_IS_NONPAGED_POOL as i64 == 4);
    assert!(crate::METHOD_BUFFERED as i64 == 0);
    assert!(crate::METHOD_IN_DIRECT as i64 == 1);
    assert!(crate::METHOD_NEITHER as i64 == 3);
    assert!(crate::METHOD_OUT_DIRECT as i64 == 2);
    assert!(crate::OBJ_CASE_INSENSITIVE as i64 == 64);
    assert!(crate::OBJ_KERNEL_HANDLE as i64 == 512);
    assert!(crate::PAGE_SHIFT as i64 == 12);
    assert!(crate::PAGE_SIZE as i64 == 4096);
    assert!(crate::PASSIVE_LEVEL as i64 == 0);
    assert!(crate::wsk::SIO_WSK_QUERY_IDEAL_SEND_BACKLOG as i64 == 1325400067);
    assert!(crate::wsk::SIO_WSK_QUERY_RECEIVE_BACKLOG as i64 == 1325400068);
    assert!(crate::wsk::SIO_WSK_SET_REMOTE_ADDRESS as i64 == 2399141889);
    assert!(crate::wsk::SIO_WSK_SET_SENDTO_ADDRESS as i64 == 2399141894);
    assert!(crate::wsk::SIO_WSK_SET_TCP_SILENT_MODE as i64 == 788529159);
    assert!(crate::SL_ERROR_RETURNED as i64 == 2);
    assert!(crate::SL_INVOKE_ON_CANCEL as i64 == 32);
    assert!(crate::SL_INVOKE_ON_ERROR as i64 == 128);
    assert!(crate::SL_INVOKE_ON_SUCCESS as i64 == 64);
    assert!(crate::SL_PENDING_RETURNED as i64 == 1);
    assert!(crate::wsk::SOCK_DGRAM as i64 == 2);
    assert!(crate::wsk::SOCK_RAW as i64 == 3);
    assert!(crate::wsk::SOCK_STREAM as i64 == 1);
    assert!(crate::wsk::SOL_SOCKET as i64 == 65535);
    assert!(crate::wsk::SO_ERROR as i64 == 4103);
    assert!(crate::wsk::SO_EXCLUSIVEADDRUSE as i64 == 4294967291);
    assert!(crate::wsk::SO_PORT_SCALABILITY as i64 == 12294);
    assert!(crate::wsk::SO_RCVBUF as i64 == 4098);
    assert!(crate::wsk::SO_REUSEADDR as i64 == 4);
    assert!(crate::wsk::SO_REUSE_MULTICASTPORT as i64 == 12296);
    assert!(crate::wsk::SO_REUSE_UNICASTPORT as i64 == 12295);
    assert!(crate::wsk::SO_SNDBUF as i64 == 4097);
    assert!(crate::wsk::SO_TYPE as i64 == 4104);
    assert!(crate::wsk::SO_WSK_EVENT_CALLBACK as i64 == 16386);
    assert!(crate::wsk::SO_WSK_SECURITY as i64 == 16385);
    assert!(crate::SYNCHRONIZE as i64 == 1048576);
    assert!(crate::wsk::TCP_NODELAY as i64 == 1);
    assert!(crate::wsk::WSK_CACHE_SD as i64 == 4);
    assert!(crate::wsk::WSK_EVENT_ACCEPT as i64 == 512);
    assert!(crate::wsk::WSK_EVENT_DISABLE as i64 == 2147483648);
    assert!(crate::wsk::WSK_EVENT_DISCONNECT as i64 == 128);
    assert!(crate::wsk::WSK_EVENT_RECEIVE as i64 == 64);
    assert!(crate::wsk::WSK_EVENT_RECEIVE_FROM as i64 == 256);
    assert!(crate::wsk::WSK_EVENT_SEND_BACKLOG as i64 == 16);
    assert!(crate::wsk::WSK_FLAG_ABORTIVE as i64 == 1);
    assert!(crate::wsk::WSK_FLAG_AT_DISPATCH_LEVEL as i64 == 8);
    assert!(crate::wsk::WSK_FLAG_BASIC_SOCKET as i64 == 0);
    assert!(crate::wsk::WSK_FLAG_CONNECTION_SOCKET as i64 == 2);
    assert!(crate::wsk::WSK_FLAG_DATAGRAM_SOCKET as i64 == 4);
    assert!(crate::wsk::WSK_FLAG_DRAIN as i64 == 4);
    assert!(crate::wsk::WSK_FLAG_ENTIRE_MESSAGE as i64 == 4);
    assert!(crate::wsk::WSK_FLAG_LISTEN_SOCKET as i64 == 1);
    assert!(crate::wsk::WSK_FLAG_NODELAY as i64 == 2);
    assert!(crate::wsk::WSK_FLAG_OOB as i64 == 1);
    assert!(crate::wsk::WSK_FLAG_RELEASE_ASAP as i64 == 2);
    assert!(crate::wsk::WSK_FLAG_STREAM_SOCKET as i64 == 8);
    assert!(crate::wsk::WSK_FLAG_WAITALL as i64 == 2);
    assert!(crate::wsk::WSK_INFINITE_WAIT as i64 == 4294967295);
    assert!(crate::wsk::WSK_NO_WAIT as i64 == 0);
    assert!(crate::wsk::WSK_RELEASE_SD as i64 == 5);
    assert!(crate::wsk::WSK_SET_STATIC_EVENT_CALLBACKS as i64 == 7);
    assert!(crate::wsk::WSK_SO_BASE as i64 == 16384);
    assert!(crate::wsk::WSK_TRANSPORT_LIST_CHANGE as i64 == 3);
    assert!(crate::wsk::WSK_TRANSPORT_LIST_QUERY as i64 == 2);
    assert!(crate::STATUS_ABANDONED as i64 == 128);
    assert!(crate::STATUS_ACCESS_DENIED as i64 == -1073741790);
    assert!(crate::STATUS_ACCESS_VIOLATION as i64 == -1073741819);
    assert!(crate::STATUS_ADDRESS_ALREADY_ASSOCIATED as i64 == -1073741256);
    assert!(crate::STATUS_ADDRESS_ALREADY_EXISTS as i64 == -1073741302);
    assert!(crate::STATUS_ADDRESS_CLOSED as i64 == -1073741301);
    assert!(crate::STATUS_ADDRESS_NOT_ASSOCIATED as i64 == -1073741255);
    assert!(crate::STATUS_ALERTED as i64 == 257);
    assert!(crate::STATUS_ALREADY_COMMITTED as i64 == -1073741791);
    assert!(crate::STATUS_ALREADY_INITIALIZED as i64 == -1073740528);
    assert!(crate::STATUS_ALREADY_REGISTERED as i64 == -1073740008);
    assert!(crate::STATUS_AUTH_TAG_MISMATCH as i64 == -1073700862);
    assert!(crate::STATUS_BAD_NETWORK_PATH as i64 == -1073741634);
    assert!(crate::STATUS_BUFFER_OVERFLOW as i64 == -2147483643);
    assert!(crate::STATUS_BUFFER_TOO_SMALL as i64 == -1073741789);
    assert!(crate::STATUS_CANCELLED as i64 == -1073741536);
    assert!(crate::STATUS_CONNECTION_ABORTED as i64 == -1073741247);
    assert!(crate::STATUS_CONNECTION_ACTIVE as i64 == -1073741253);
    assert!(crate::STATUS_CONNECTION_COUNT_LIMIT as i64 == -1073741242);
    assert!(crate::STATUS_CONNECTION_DISCONNECTED as i64 == -1073741300);
    assert!(crate::STATUS_CONNECTION_INVALID as i64 == -1073741254);
    assert!(crate::STATUS_CONNECTION_REFUSED as i64 == -1073741258);
    assert!(crate::STATUS_CONNECTION_RESET as i64 == -1073741299);
    assert!(crate::STATUS_CRYPTO_SYSTEM_INVALID as i64 == -1073741069);
    assert!(crate::STATUS_DATATYPE_MISALIGNMENT as i64 == -2147483646);
    assert!(crate::STATUS_DATA_ERROR as i64 == -1073741762);
    assert!(crate::STATUS_DATA_NOT_ACCEPTED as i64 == -1073741285);
    assert!(crate::STATUS_DATA_OVERRUN as i64 == -1073741764);
    assert!(crate::STATUS_DECRYPTION_FAILED as i64 == -1073741173);
    assert!(crate::STATUS_DELETE_PENDING as i64 == -1073741738);
    assert!(crate::STATUS_DEVICE_ALREADY_ATTACHED as i64 == -1073741768);
    assert!(crate::STATUS_DEVICE_BUSY as i64 == -2147483631);
    assert!(crate::STATUS_DEVICE_DOES_NOT_EXIST as i64 == -1073741632);
    assert!(crate::STATUS_DEVICE_NOT_CONNECTED as i64 == -1073741667);
    assert!(crate::STATUS_DEVICE_NOT_READY as i64 == -1073741661);
    assert!(crate::STATUS_DEVICE_POWER_FAILURE as i64 == -1073741666);
    assert!(crate::STATUS_DEVICE_REMOVED as i64 == -1073741130);
    assert!(crate::STATUS_DRIVER_INTERNAL_ERROR as i64 == -1073741437);
    assert!(crate::STATUS_DUPLICATE_NAME as i64 == -1073741635);
    assert!(crate::STATUS_DUPLICATE_OBJECTID as i64 == -1073741270);
    assert!(crate::STATUS_ENCRYPTION_FAILED as i64 == -1073741174);
    assert!(crate::STATUS_END_OF_FILE as i64 == -1073741807);
    assert!(crate::STATUS_EVENT_PENDING as i64 == 1073741843);
    assert!(crate::STATUS_FILE_CLOSED as i64 == -1073741528);
    assert!(crate::STATUS_FILE_FORCED_CLOSED as i64 == -1073741642);
    assert!(crate::STATUS_FWP_NULL_POINTER as i64 == -1071513572);
    assert!(crate::STATUS_GRACEFUL_DISCONNECT as i64 == -1073741257);
    assert!(crate::STATUS_HASH_NOT_SUPPORTED as i64 == -1073700608);
    assert!(crate::STATUS_HOST_UNREACHABLE as i64 == -1073741251);
    assert!(crate::STATUS_INFO_LENGTH_MISMATCH as i64 == -1073741820);
    assert!(crate::STATUS_INSUFFICIENT_RESOURCES as i64 == -1073741670);
    assert!(crate::STATUS_INTEGER_DIVIDE_BY_ZERO as i64 == -1073741676);
    assert!(crate::STATUS_INTEGER_OVERFLOW as i64 == -1073741675);
    assert!(crate::STATUS_INTERNAL_ERROR as i64 == -1073741595);
    assert!(crate::STATUS_INVALID_ACCOUNT_NAME as i64 == -1073741726);
    assert!(crate::STATUS_INVALID_ADDRESS as i64 == -1073741503);
    assert!(crate::STATUS_INVALID_ADDRESS_COMPONENT as i64 == -1073741305);
    assert!(crate::STATUS_INVALID_BUFFER_SIZE as i64 == -1073741306);
    assert!(crate::STATUS_INVALID_DEVICE_OBJECT_PARAMETER as i64 == -1073740951);
    assert!(crate::STATUS_INVALID_DEVICE_REQUEST as i64 == -1073741808);
    assert!(crate::STATUS_INVALID_DEVICE_STATE as i64 == -1073741436);
    assert!(crate::STATUS_INVALID_HANDLE as i64 == -1073741816);
    assert!(crate::STATUS_INVALID_IMAGE_FORMAT as i64 == -1073741701);
    assert!(crate::STATUS_INVALID_NETWORK_RESPONSE as i64 == -1073741629);
    assert!(crate::STATUS_INVALID_PARAMETER as i64 == -1073741811);
    assert!(crate::STATUS_INVALID_PARAMETER_1 as i64 == -1073741585);
    assert!(crate::STATUS_INVALID_PARAMETER_2 as i64 == -1073741584);
    assert!(crate::STATUS_INVALID_PARAMETER_MIX as i64 == -1073741776);
    assert!(crate::STATUS_INVALID_SIGNATURE as i64 == -1073700864);
    assert!(crate::STATUS_INVALID_USER_BUFFER as i64 == -1073741592);
    assert!(crate::STATUS_IO_DEVICE_ERROR as i64 == -1073741435);
    assert!(crate::STATUS_IO_TIMEOUT as i64 == -1073741643);
    assert!(crate::STATUS_LINK_FAILED as i64 == -1073741506);
    assert!(crate::STATUS_LOCAL_DISCONNECT as i64 == -1073741509);
    assert!(crate::STATUS_MORE_ENTRIES as i64 == 261);
    assert!(crate::STATUS_MORE_PROCESSING_REQUIRED as i64 == -1073741802);
    assert!(crate::STATUS_NDIS_MEDIA_DISCONNECTED as i64 == -1071448033);
    assert!(crate::STATUS_NETWORK_BUSY as i64 == -1073741633);
    assert!(crate::STATUS_NETWORK_CREDENTIAL_CONFLICT as i64 == -1073741419);
    assert!(crate::STATUS_NETWORK_NAME_DELETED as i64 == -1073741623);
    assert!(crate::STATUS_NETWORK_UNREACHABLE as i64 == -1073741252);
    assert!(crate::STATUS_NOINTERFACE as i64 == -1073741127);
    assert!(crate::STATUS_NONEXISTENT_SECTOR as i64 == -1073741803);
    assert!(crate::STATUS_NOT_FOUND as i64 == -1073741275);
    assert!(crate::STATUS_NOT_IMPLEMENTED as i64 == -1073741822);
    assert!(crate::STATUS_NOT_SAME_DEVICE as i64 == -1073741612);
    assert!(crate::STATUS_NOT_SUPPORTED as i64 == -1073741637);
    assert!(crate::STATUS_NO_MEMORY as i64 == -1073741801);
    assert!(crate::STATUS_NO_MORE_ENTRIES as i64 == -2147483622);
    assert!(crate::STATUS_NO_SUCH_DEVICE as i64 == -1073741810);
    assert!(crate::STATUS_NO_SUCH_FILE as i64 == -1073741809);
    assert!(crate::STATUS_OBJECTID_EXISTS as i64 == -1073741269);
    assert!(crate::STATUS_OBJECTID_NOT_FOUND as i64 == -1073741072);
    assert!(crate::STATUS_OBJECT_NAME_COLLISION as i64 == -1073741771);
    assert!(crate::STATUS_OBJECT_NAME_EXISTS as i64 == 1073741824);
    assert!(crate::STATUS_OBJECT_NAME_INVALID as i64 == -1073741773);
    assert!(crate::STATUS_OBJECT_NAME_NOT_FOUND as i64 == -1073741772);
    assert!(crate::STATUS_OBJECT_PATH_NOT_FOUND as i64 == -1073741766);
    assert!(crate::STATUS_OBJECT_TYPE_MISMATCH as i64 == -1073741788);
    assert!(crate::STATUS_PENDING as i64 == 259);
    assert!(crate::STATUS_PIPE_BROKEN as i64 == -1073741493);
    assert!(crate::STATUS_PLUGPLAY_NO_DEVICE as i64 == -1073741218);
    assert!(crate::STATUS_PORT_UNREACHABLE as i64 == -1073741249);
    assert!(crate::STATUS_PRIVILEGE_NOT_HELD as i64 == -1073741727);
    assert!(crate::STATUS_PROTOCOL_NOT_SUPPORTED as i64 == -1073700845);
    assert!(crate::STATUS_PROTOCOL_UNREACHABLE as i64 == -1073741250);
    assert!(crate::STATUS_QUOTA_EXCEEDED as i64 == -1073741756);
    assert!(crate::STATUS_REMOTE_DISCONNECT as i64 == -1073741508);
    assert!(crate::STATUS_REMOTE_RESOURCES as i64 == -1073741507);
    assert!(crate::STATUS_REQUEST_ABORTED as i64 == -1073741248);
    assert!(crate::STATUS_REQUEST_CANCELED as i64 == -1073740029);
    assert!(crate::STATUS_REQUEST_NOT_ACCEPTED as i64 == -1073741616);
    assert!(crate::STATUS_RETRY as i64 == -1073741267);
    assert!(crate::STATUS_REVISION_MISMATCH as i64 == -1073741735);
    assert!(crate::STATUS_SHARING_VIOLATION as i64 == -1073741757);
    assert!(crate::STATUS_SHUTDOWN_IN_PROGRESS as i64 == -1073741058);
    assert!(crate::STATUS_SUCCESS as i64 == 0);
    assert!(crate::STATUS_SYSTEM_SHUTDOWN as i64 == -1073741077);
    assert!(crate::STATUS_TIMEOUT as i64 == 258);
    assert!(crate::STATUS_TOO_MANY_ADDRESSES as i64 == -1073741303);
    assert!(crate::STATUS_TOO_MANY_LINKS as i64 == -1073741211);
    assert!(crate::STATUS_TRANSACTION_ABORTED as i64 == -1073741297);
    assert!(crate::STATUS_UNEXPECTED_NETWORK_ERROR as i64 == -1073741628);
    assert!(crate::STATUS_UNKNOWN_REVISION as i64 == -1073741736);
    assert!(crate::STATUS_UNSUCCESSFUL as i64 == -1073741823);
    assert!(crate::STATUS_USER_APC as i64 == 192);
    assert!(crate::STATUS_VIRTUAL_CIRCUIT_CLOSED as i64 == -1073741610);
    assert!(crate::STATUS_WAIT_0 as i64 == 0);
    assert!(crate::STATUS_WAIT_63 as i64 == 63);
    assert!(crate::POOL_FLAG_REQUIRED_START as i64 == 1);
    assert!(crate::POOL_FLAG_USE_QUOTA as i64 == 1);
    assert!(crate::POOL_FLAG_UNINITIALIZED as i64 == 2);
    assert!(crate::POOL_FLAG_SESSION as i64 == 4);
    assert!(crate::POOL_FLAG_CACHE_ALIGNED as i64 == 8);
    assert!(crate::POOL_FLAG_RAISE_ON_FAILURE as i64 == 32);
    assert!(crate::POOL_FLAG_NON_PAGED as i64 == 64);
    assert!(crate::POOL_FLAG_NON_PAGED_EXECUTE as i64 == 128);
    assert!(crate::POOL_FLAG_PAGED as i64 == 256);
    assert!(crate::POOL_FLAG_SPECIAL_POOL as i64 == 4294967296);
};

// Enumerations.
const _: () = {
    assert!(crate::_EVENT_TYPE::NotificationEvent as i64 == 0);
    assert!(crate::_EVENT_TYPE::SynchronizationEvent as i64 == 1);
    assert!(crate::_TIMER_TYPE::NotificationTimer as i64 == 0);
    assert!(crate::_TIMER_TYPE::SynchronizationTimer as i64 == 1);
    assert!(crate::_WAIT_TYPE::WaitAll as i64 == 0);
    assert!(crate::_WAIT_TYPE::WaitAny as i64 == 1);
    assert!(crate::_WAIT_TYPE::WaitNotification as i64 == 2);
    assert!(crate::_WAIT_TYPE::WaitDequeue as i64 == 3);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemUnspecified as i64 == 0);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemWorking as i64 == 1);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemSleeping1 as i64 == 2);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemSleeping2 as i64 == 3);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemSleeping3 as i64 == 4);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemHibernate as i64 == 5);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemShutdown as i64 == 6);
    assert!(crate::_SYSTEM_POWER_STATE::PowerSystemMaximum as i64 == 7);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceUnspecified as i64 == 0);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceD0 as i64 == 1);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceD1 as i64 == 2);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceD2 as i64 == 3);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceD3 as i64 == 4);
    assert!(crate::_DEVICE_POWER_STATE::PowerDeviceMaximum as i64 == 5);
    assert!(crate::_MODE::KernelMode as i64 == 0);
    assert!(crate::_MODE::UserMode as i64 == 1);
    assert!(crate::_MODE::MaximumMode as i64 == 2);
    assert!(crate::_LOCK_OPERATION::IoReadAccess as i64 == 0);
    assert!(crate::_LOCK_OPERATION::IoWriteAccess as i64 == 1);
    assert!(crate::_LOCK_OPERATION::IoModifyAccess as i64 == 2);
    assert!(crate::_KWAIT_REASON::Executive as i64 == 0);
    assert!(crate::_KWAIT_REASON::FreePage as i64 == 1);
    assert!(crate::_KWAIT_REASON::PageIn as i64 == 2);
    assert!(crate::_KWAIT_REASON::PoolAllocation as i64 == 3);
    assert!(crate::_KWAIT_REASON::DelayExecution as i64 == 4);
    assert!(crate::_KWAIT_REASON::Suspended as i64 == 5);
    assert!(crate::_KWAIT_REASON::UserRequest as i64 == 6);
    assert!(crate::_KWAIT_REASON::WrExecutive as i64 == 7);
    assert!(crate::_KWAIT_REASON::WrFreePage as i64 == 8);
    assert!(crate::_KWAIT_REASON::WrPageIn as i64 == 9);
    assert!(crate::_KWAIT_REASON::WrPoolAllocation as i64 == 10);
    assert!(crate::_KWAIT_REASON::WrDelayExecution as i64 == 11);
    assert!(crate::_KWAIT_REASON::WrSuspended as i64 == 12);
    assert!(crate::_KWAIT_REASON::WrUserRequest as i64 == 13);
    assert!(crate::_KWAIT_REASON::WrSpare0 as i64 == 14);
    assert!(crate::_KWAIT_REASON::WrQueue as i64 == 15);
    assert!(crate::_KWAIT_REASON::WrLpcReceive as i64 == 16);
    assert!(crate::_KWAIT_REASON::WrLpcReply as i64 == 17);
    assert!(crate::_KWAIT_REASON::WrVirtualMemory as i64 == 18);
    assert!(crate::_KWAIT_REASON::WrPageOut as i64 == 19);
    assert!(crate::_KWAIT_REASON::WrRendezvous as i64 == 20);
    assert!(crate::_KWAIT_REASON::WrKeyedEvent as i64 == 21);
    assert!(crate::_KWAIT_REASON::WrTerminated as i64 == 22);
    assert!(crate::_KWAIT_REASON::WrProcessInSwap as i64 == 23);
    assert!(crate::_KWAIT_REASON::WrCpuRateControl as i64 == 24);
    assert!(crate::_KWAIT_REASON::WrCalloutStack as i64 == 25);
    assert!(crate::_KWAIT_REASON::WrKernel as i64 == 26);
    assert!(crate::_KWAIT_REASON::WrResource as i64 == 27);
    assert!(crate::_KWAIT_REASON::WrPushLock as i64 == 28);
    assert!(crate::_KWAIT_REASON::WrMutex as i64 == 29);
    assert!(crate::_KWAIT_REASON::WrQuantumEnd as i64 == 30);
    assert!(crate::_KWAIT_REASON::WrDispatchInt as i64 == 31);
    assert!(crate::_KWAIT_REASON::WrPreempted as i64 == 32);
    assert!(crate::_KWAIT_REASON::WrYieldExecution as i64 == 33);
    assert!(crate::_KWAIT_REASON::WrFastMutex as i64 == 34);
    assert!(crate::_KWAIT_REASON::WrGuardedMutex as i64 == 35);
    assert!(crate::_KWAIT_REASON::WrRundown as i64 == 36);
    assert!(crate::_KWAIT_REASON::WrAlertByThreadId as i64 == 37);
    assert!(crate::_KWAIT_REASON::WrDeferredPreempt as i64 == 38);
    assert!(crate::_KWAIT_REASON::WrPhysicalFault as i64 == 39);
    assert!(crate::_KWAIT_REASON::MaximumWaitReason as i64 == 40);
    assert!(crate::_MEMORY_CACHING_TYPE::MmNonCached as i64 == 0);
    assert!(crate::_MEMORY_CACHING_TYPE::MmCached as i64 == 1);
    assert!(crate::_MEMORY_CACHING_TYPE::MmWriteCombined as i64 == 2);
    assert!(crate::_MEMORY_CACHING_TYPE::MmHardwareCoherentCached as i64 == 3);
    assert!(crate::_MEMORY_CACHING_TYPE::MmNonCachedUnordered as i64 == 4);
    assert!(crate::_MEMORY_CACHING_TYPE::MmUSWCCached as i64 == 5);
    assert!(crate::_MEMORY_CACHING_TYPE::MmMaximumCacheType as i64 == 6);
    assert!(crate::_MEMORY_CACHING_TYPE::MmNotMapped as i64 == -1);
    assert!(crate::_POOL_TYPE::NonPagedPool as i64 == 0);
    assert!(crate::_POOL_TYPE::NonPagedPoolExecute as i64 == 0);
    assert!(crate::_POOL_TYPE::PagedPool as i64 == 1);
    assert!(crate::_POOL_TYPE::NonPagedPoolMustSucceed as i64 == 2);
    assert!(crate::_POOL_TYPE::DontUseThisType as i64 == 3);
    assert!(crate::_POOL_TYPE::NonPagedPoolCacheAligned as i64 == 4);
    assert!(crate::_POOL_TYPE::PagedPoolCacheAligned as i64 == 5);
    assert!(crate::_POOL_TYPE::NonPagedPoolCacheAlignedMustS as i64 == 6);
    assert!(crate::_POOL_TYPE::MaxPoolType as i64 == 7);
    assert!(crate::_POOL_TYPE::NonPagedPoolBase as i64 == 0);
    assert!(crate::_POOL_TYPE::NonPagedPoolBaseMustSucceed as i64 == 2);
    assert!(crate::_POOL_TYPE::NonPagedPoolBaseCacheAligned as i64 == 4);
    assert!(crate::_POOL_TYPE::NonPagedPoolBaseCacheAlignedMustS as i64 == 6);
    assert!(crate::_POOL_TYPE::NonPagedPoolSession as i64 == 32);
    assert!(crate::_POOL_TYPE::PagedPoolSession as i64 == 33);
    assert!(crate::_POOL_TYPE::NonPagedPoolMustSucceedSession as i64 == 34);
    assert!(crate::_POOL_TYPE::DontUseThisTypeSession as i64 == 35);
    assert!(crate::_POOL_TYPE::NonPagedPoolCacheAlignedSession as i64 == 36);
    assert!(crate::_POOL_TYPE::PagedPoolCacheAlignedSession as i64 == 37);
    assert!(crate::_POOL_TYPE::NonPagedPoolCacheAlignedMustSSession as i64 == 38);
    assert!(crate::_POOL_TYPE::NonPagedPoolNx as i64 == 512);
    assert!(crate::_POOL_TYPE::NonPagedPoolNxCacheAligned as i64 == 516);
    assert!(crate::_POOL_TYPE::NonPagedPoolSessionNx as i64 == 544);
    assert!(crate::_EX_POOL_PRIORITY::LowPoolPriority as i64 == 0);
    assert!(crate::_EX_POOL_PRIORITY::LowPoolPrioritySpecialPoolOverrun as i64 == 8);
    assert!(crate::_EX_POOL_PRIORITY::LowPoolPrioritySpecialPoolUnderrun as i64 == 9);
    assert!(crate::_EX_POOL_PRIORITY::NormalPoolPriority as i64 == 16);
    assert!(crate::_EX_POOL_PRIORITY::NormalPoolPrioritySpecialPoolOverrun as i64 == 24);
    assert!(crate::_EX_POOL_PRIORITY::NormalPoolPrioritySpecialPoolUnderrun as i64 == 25);
    assert!(crate::_EX_POOL_PRIORITY::HighPoolPriority as i64 == 32);
    assert!(crate::_EX_POOL_PRIORITY::HighPoolPrioritySpecialPoolOverrun as i64 == 40);
    assert!(crate::_EX_POOL_PRIORITY::HighPoolPrioritySpecialPoolUnderrun as i64 == 41);
    assert!(crate::_MM_PAGE_PRIORITY::LowPagePriority as i64 == 0);
    assert!(crate::_MM_PAGE_PRIORITY::NormalPagePriority as i64 == 16);
    assert!(crate::_MM_PAGE_PRIORITY::HighPagePriority as i64 == 32);
    assert!(crate::_DEVICE_RELATION_TYPE::BusRelations as i64 == 0);
    assert!(crate::_DEVICE_RELATION_TYPE::EjectionRelations as i64 == 1);
    assert!(crate::_DEVICE_RELATION_TYPE::PowerRelations as i64 == 2);
    assert!(crate::_DEVICE_RELATION_TYPE::RemovalRelations as i64 == 3);
    assert!(crate::_DEVICE_RELATION_TYPE::TargetDeviceRelation as i64 == 4);
    assert!(crate::_DEVICE_RELATION_TYPE::SingleBusRelations as i64 == 5);
    assert!(crate::_DEVICE_RELATION_TYPE::TransportRelations as i64 == 6);
    assert!(crate::_WDF_TRI_STATE::WdfFalse as i64 == 0);
    assert!(crate::_WDF_TRI_STATE::WdfTrue as i64 == 1);
    assert!(crate::_WDF_TRI_STATE::WdfUseDefault as i64 == 2);
    assert!(crate::_WDF_EXECUTION_LEVEL::WdfExecutionLevelInvalid as i64 == 0);
    assert!(crate::_WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent as i64 == 1);
    assert!(crate::_WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive as i64 == 2);
    assert!(crate::_WDF_EXECUTION_LEVEL::WdfExecutionLevelDispatch as i64 == 3);
    assert!(crate::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInvalid as i64 == 0);
    assert!(crate::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent as i64 == 1);
    assert!(crate::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeDevice as i64 == 2);
    assert!(crate::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeQueue as i64 == 3);
    assert!(crate::_WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeNone as i64 == 4);
    assert!(crate::_WDF_MEMORY_DESCRIPTOR_TYPE::WdfMemoryDescriptorTypeInvalid as i64 == 0);
    assert!(crate::_WDF_MEMORY_DESCRIPTOR_TYPE::WdfMemoryDescriptorTypeBuffer as i64 == 1);
    assert!(crate::_WDF_MEMORY_DESCRIPTOR_TYPE::WdfMemoryDescriptorTypeMdl as i64 == 2);
    assert!(crate::_WDF_MEMORY_DESCRIPTOR_TYPE::WdfMemoryDescriptorTypeHandle as i64 == 3);
    assert!(crate::_WDF_DEVICE_STATE_FLAGS::WdfDevStateNP as i64 == 32768);
    assert!(crate::_WDF_STATE_NOTIFICATION_TYPE::StateNotificationInvalid as i64 == 0);
    assert!(crate::_WDF_STATE_NOTIFICATION_TYPE::StateNotificationEnterState as i64 == 1);
    assert!(crate::_WDF_STATE_NOTIFICATION_TYPE::StateNotificationPostProcessState as i64 == 2);
    assert!(crate::_WDF_STATE_NOTIFICATION_TYPE::StateNotificationLeaveState as i64 == 4);
    assert!(crate::_WDF_STATE_NOTIFICATION_TYPE::StateNotificationAllStates as i64 == 7);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_CAPABILITIES::IdleCapsInvalid as i64 == 0);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_CAPABILITIES::IdleCannotWakeFromS0 as i64 == 1);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_CAPABILITIES::IdleCanWakeFromS0 as i64 == 2);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_CAPABILITIES::IdleUsbSelectiveSuspend as i64 == 3);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_USER_CONTROL::IdleUserControlInvalid as i64 == 0);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_USER_CONTROL::IdleDoNotAllowUserControl as i64 == 1);
    assert!(crate::_WDF_POWER_POLICY_S0_IDLE_USER_CONTROL::IdleAllowUserControl as i64 == 2);
    assert!(crate::_WDF_POWER_POLICY_IDLE_TIMEOUT_CONSTANTS::IdleTimeoutDefaultConstant as i64 == 0);
    assert!(crate::_WDF_POWER_POLICY_SX_WAKE_USER_CONTROL::WakeUserControlInvalid as i64 == 0);
    assert!(crate::_WDF_POWER_POLICY_SX_WAKE_USER_CONTROL::WakeDoNotAllowUserControl as i64 == 1);
    assert!(crate::_WDF_POWER_POLICY_SX_WAKE_USER_CONTROL::WakeAllowUserControl as i64 == 2);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceInvalid as i64 == 0);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceD0 as i64 == 1);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceD1 as i64 == 2);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceD2 as i64 == 3);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3 as i64 == 4);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceD3Final as i64 == 5);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDevicePrepareForHibernation as i64 == 6);
    assert!(crate::_WDF_POWER_DEVICE_STATE::WdfPowerDeviceMaximum as i64 == 7);
    assert!(crate::_WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS::WDF_DISPATCH_IRP_TO_IO_QUEUE_NO_FLAGS as i64 == 0);
    assert!(
        crate::_WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS::WDF_DISPATCH_IRP_TO_IO_QUEUE_INVOKE_INCALLERCTX_CALLBACK as i64
            == 1
    );
    assert!(crate::_WDF_DISPATCH_IRP_TO_IO_QUEUE_FLAGS::WDF_DISPATCH_IRP_TO_IO_QUEUE_PREPROCESSED_IRP as i64 == 2);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileUndefined as i64 == 0);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFilePaging as i64 == 1);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileHibernation as i64 == 2);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileDump as i64 == 3);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileBoot as i64 == 4);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFilePostDisplay as i64 == 5);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileGuestAssigned as i64 == 6);
    assert!(crate::_WDF_SPECIAL_FILE_TYPE::WdfSpecialFileMax as i64 == 7);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoUndefined as i64 == 0);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoNeither as i64 == 1);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoBuffered as i64 == 2);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoDirect as i64 == 3);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoBufferedOrDirect as i64 == 4);
    assert!(crate::_WDF_DEVICE_IO_TYPE::WdfDeviceIoMaximum as i64 == 5);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectInvalid as i64 == 0);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectNotRequired as i64 == 1);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCanUseFsContext as i64 == 2);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCanUseFsContext2 as i64 == 3);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts as i64 == 4);
    assert!(crate::_WDF_FILEOBJECT_CLASS::WdfFileObjectCanBeOptional as i64 == -2147483648);
    assert!(crate::_WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedUndefined as i64 == 0);
    assert!(crate::_WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedAttemptRestart as i64 == 1);
    assert!(crate::_WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedNoRestart as i64 == 2);
    assert!(crate::_WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE::WdfReleaseHardwareOrderOnFailureInvalid as i64 == 0);
    assert!(crate::_WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE::WdfReleaseHardwareOrderOnFailureEarly as i64 == 1);
    assert!(
        crate::_WDF_RELEASE_HARDWARE_ORDER_ON_FAILURE::WdfReleaseHardwareOrderOnFailureAfterDescendants as i64 == 2
    );
    assert!(crate::_WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE::DriverManagedIdleTimeout as i64 == 0);
    assert!(crate::_WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE::SystemManagedIdleTimeout as i64 == 1);
    assert!(crate::_WDF_POWER_POLICY_IDLE_TIMEOUT_TYPE::SystemManagedIdleTimeoutWithHint as i64 == 2);
    assert!(crate::_WDF_REMOVE_LOCK_OPTIONS_FLAGS::WDF_REMOVE_LOCK_OPTION_ACQUIRE_FOR_IO as i64 == 1);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeCreate as i64 == 0);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeCreateNamedPipe as i64 == 1);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeClose as i64 == 2);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeRead as i64 == 3);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeWrite as i64 == 4);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeQueryInformation as i64 == 5);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSetInformation as i64 == 6);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeQueryEA as i64 == 7);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSetEA as i64 == 8);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeFlushBuffers as i64 == 9);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeQueryVolumeInformation as i64 == 10);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSetVolumeInformation as i64 == 11);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeDirectoryControl as i64 == 12);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeFileSystemControl as i64 == 13);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeDeviceControl as i64 == 14);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeDeviceControlInternal as i64 == 15);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeShutdown as i64 == 16);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeLockControl as i64 == 17);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeCleanup as i64 == 18);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeCreateMailSlot as i64 == 19);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeQuerySecurity as i64 == 20);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSetSecurity as i64 == 21);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypePower as i64 == 22);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSystemControl as i64 == 23);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeDeviceChange as i64 == 24);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeQueryQuota as i64 == 25);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeSetQuota as i64 == 26);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypePnp as i64 == 27);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeOther as i64 == 28);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeUsb as i64 == 64);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeNoFormat as i64 == 255);
    assert!(crate::_WDF_REQUEST_TYPE::WdfRequestTypeMax as i64 == 256);
    assert!(crate::_WDF_REQUEST_REUSE_FLAGS::WDF_REQUEST_REUSE_NO_FLAGS as i64 == 0);
    assert!(crate::_WDF_REQUEST_REUSE_FLAGS::WDF_REQUEST_REUSE_SET_NEW_IRP as i64 == 1);
    assert!(crate::_WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopActionInvalid as i64 == 0);
    assert!(crate::_WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopActionSuspend as i64 == 1);
    assert!(crate::_WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopActionPurge as i64 == 2);
    assert!(crate::_WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopRequestCancelable as i64 == 268435456);
    assert!(crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_TIMEOUT as i64 == 1);
    assert!(crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_SYNCHRONOUS as i64 == 2);
    assert!(crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE as i64 == 4);
    assert!(crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET as i64 == 8);
    assert!(crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_IMPERSONATE_CLIENT as i64 == 65536);
    assert!(
        crate::_WDF_REQUEST_SEND_OPTIONS_FLAGS::WDF_REQUEST_SEND_OPTION_IMPERSONATION_IGNORE_FAILURE as i64 == 131072
    );
    assert!(crate::_WDF_REQUEST_FORWARD_OPTIONS_FLAGS::WDF_REQUEST_FORWARD_OPTION_SEND_AND_FORGET as i64 == 1);
    assert!(crate::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchInvalid as i64 == 0);
    assert!(crate::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchSequential as i64 == 1);
    assert!(crate::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel as i64 == 2);
    assert!(crate::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual as i64 == 3);
    assert!(crate::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchMax as i64 == 4);
    assert!(crate::_WDF_IO_QUEUE_STATE::WdfIoQueueAcceptRequests as i64 == 1);
    assert!(crate::_WDF_IO_QUEUE_STATE::WdfIoQueueDispatchRequests as i64 == 2);
    assert!(crate::_WDF_IO_QUEUE_STATE::WdfIoQueueNoRequests as i64 == 4);
    assert!(crate::_WDF_IO_QUEUE_STATE::WdfIoQueueDriverNoRequests as i64 == 8);
    assert!(crate::_WDF_IO_QUEUE_STATE::WdfIoQueuePnpHeld as i64 == 16);
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_ACTION::WdfIoForwardProgressActionInvalid as i64 == 0);
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_ACTION::WdfIoForwardProgressActionFailRequest as i64 == 1);
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_ACTION::WdfIoForwardProgressActionUseReservedRequest as i64 == 2);
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY::WdfIoForwardProgressInvalidPolicy as i64 == 0);
    assert!(
        crate::_WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY::WdfIoForwardProgressReservedPolicyAlwaysUseReservedRequest
            as i64
            == 1
    );
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY::WdfIoForwardProgressReservedPolicyUseExamine as i64 == 2);
    assert!(crate::_WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY::WdfIoForwardProgressReservedPolicyPagingIO as i64 == 3);
    assert!(crate::_WDF_DEVICE_SHUTDOWN_FLAGS::WdfDeviceShutdown as i64 == 1);
    assert!(crate::_WDF_DEVICE_SHUTDOWN_FLAGS::WdfDeviceLastChanceShutdown as i64 == 2);
    assert!(crate::_WDF_REQUEST_FATAL_ERROR_CODES::WDF_REQUEST_FATAL_ERROR_NO_MORE_STACK_LOCATIONS as i64 == 1);
    assert!(crate::_WDF_REQUEST_FATAL_ERROR_CODES::WDF_REQUEST_FATAL_ERROR_NULL_IRP as i64 == 2);
    assert!(crate::_WDF_REQUEST_FATAL_ERROR_CODES::WDF_REQUEST_FATAL_ERROR_REQUEST_ALREADY_SENT as i64 == 3);
    assert!(crate::_WDF_REQUEST_FATAL_ERROR_CODES::WDF_REQUEST_FATAL_ERROR_INFORMATION_LENGTH_MISMATCH as i64 == 4);
    assert!(crate::_WDF_REQUEST_FATAL_ERROR_CODES::WDF_REQUEST_FATAL_ERROR_REQUEST_NOT_IN_QUEUE as i64 == 5);
    assert!(crate::net::_NET_IF_CONNECTION_TYPE::NET_IF_CONNECTION_DEDICATED as i64 == 1);
    assert!(crate::net::_NET_IF_CONNECTION_TYPE::NET_IF_CONNECTION_PASSIVE as i64 == 2);
    assert!(crate::net::_NET_IF_CONNECTION_TYPE::NET_IF_CONNECTION_DEMAND as i64 == 3);
    assert!(crate::net::_NET_IF_CONNECTION_TYPE::NET_IF_CONNECTION_MAXIMUM as i64 == 4);
    assert!(crate::net::_NET_IF_ACCESS_TYPE::NET_IF_ACCESS_LOOPBACK as i64 == 1);
    assert!(crate::net::_NET_IF_ACCESS_TYPE::NET_IF_ACCESS_BROADCAST as i64 == 2);
    assert!(crate::net::_NET_IF_ACCESS_TYPE::NET_IF_ACCESS_POINT_TO_POINT as i64 == 3);
    assert!(crate::net::_NET_IF_ACCESS_TYPE::NET_IF_ACCESS_POINT_TO_MULTI_POINT as i64 == 4);
    assert!(crate::net::_NET_IF_ACCESS_TYPE::NET_IF_ACCESS_MAXIMUM as i64 == 5);
    assert!(crate::net::_NET_IF_DIRECTION_TYPE::NET_IF_DIRECTION_SENDRECEIVE as i64 == 0);
    assert!(crate::net::_NET_IF_DIRECTION_TYPE::NET_IF_DIRECTION_SENDONLY as i64 == 1);
    assert!(crate::net::_NET_IF_DIRECTION_TYPE::NET_IF_DIRECTION_RECEIVEONLY as i64 == 2);
    assert!(crate::net::_NET_IF_DIRECTION_TYPE::NET_IF_DIRECTION_MAXIMUM as i64 == 3);
    assert!(crate::net::_NET_IF_MEDIA_CONNECT_STATE::MediaConnectStateUnknown as i64 == 0);
    assert!(crate::net::_NET_IF_MEDIA_CONNECT_STATE::MediaConnectStateConnected as i64 == 1);
    assert!(crate::net::_NET_IF_MEDIA_CONNECT_STATE::MediaConnectStateDisconnected as i64 == 2);
    assert!(crate::net::_NET_IF_MEDIA_DUPLEX_STATE::MediaDuplexStateUnknown as i64 == 0);
    assert!(crate::net::_NET_IF_MEDIA_DUPLEX_STATE::MediaDuplexStateHalf as i64 == 1);
    assert!(crate::net::_NET_IF_MEDIA_DUPLEX_STATE::MediaDuplexStateFull as i64 == 2);
    assert!(crate::net::_NET_RING_TYPE::NetRingTypePacket as i64 == 0);
    assert!(crate::net::_NET_RING_TYPE::NetRingTypeFragment as i64 == 1);
    assert!(crate::net::_NET_RING_TYPE::NetRingTypeDataBuffer as i64 == 2);
    assert!(crate::net::_NET_PACKET_LAYER2_TYPE::NetPacketLayer2TypeUnspecified as i64 == 0);
    assert!(crate::net::_NET_PACKET_LAYER2_TYPE::NetPacketLayer2TypeNull as i64 == 1);
    assert!(crate::net::_NET_PACKET_LAYER2_TYPE::NetPacketLayer2TypeEthernet as i64 == 2);
    assert!(crate::net::_NET_PACKET_LAYER2_TYPE::NetPacketLayer2TypeIeee80211 as i64 == 3);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeUnspecified as i64 == 0);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv4UnspecifiedOptions as i64 == 1);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv4WithOptions as i64 == 2);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv4NoOptions as i64 == 3);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv6UnspecifiedExtensions as i64 == 4);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv6WithExtensions as i64 == 5);
    assert!(crate::net::_NET_PACKET_LAYER3_TYPE::NetPacketLayer3TypeIPv6NoExtensions as i64 == 6);
    assert!(crate::net::_NET_PACKET_LAYER4_TYPE::NetPacketLayer4TypeUnspecified as i64 == 0);
    assert!(crate::net::_NET_PACKET_LAYER4_TYPE::NetPacketLayer4TypeTcp as i64 == 1);
    assert!(crate::net::_NET_PACKET_LAYER4_TYPE::NetPacketLayer4TypeUdp as i64 == 2);
    assert!(crate::net::_NET_PACKET_LAYER4_TYPE::NetPacketLayer4TypeIPFragment as i64 == 3);
    assert!(crate::net::_NET_PACKET_LAYER4_TYPE::NetPacketLayer4TypeIPNotFragment as i64 == 4);
    assert!(crate::net::_NET_EXTENSION_TYPE::NetExtensionTypePacket as i64 == 1);
    assert!(crate::net::_NET_EXTENSION_TYPE::NetExtensionTypeFragment as i64 == 2);
    assert!(crate::net::_NET_EXTENSION_TYPE::NetExtensionTypeBuffer as i64 == 3);
    assert!(crate::net::_NET_PACKET_TX_CHECKSUM_ACTION::NetPacketTxChecksumActionPassthrough as i64 == 0);
    assert!(crate::net::_NET_PACKET_TX_CHECKSUM_ACTION::NetPacketTxChecksumActionRequired as i64 == 2);
    assert!(crate::net::_NET_PACKET_RX_CHECKSUM_EVALUATION::NetPacketRxChecksumEvaluationNotChecked as i64 == 0);
    assert!(crate::net::_NET_PACKET_RX_CHECKSUM_EVALUATION::NetPacketRxChecksumEvaluationValid as i64 == 1);
    assert!(crate::net::_NET_PACKET_RX_CHECKSUM_EVALUATION::NetPacketRxChecksumEvaluationInvalid as i64 == 2);
    assert!(crate::net::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::NetAdapterPauseFunctionTypeUnsupported as i64 == 0);
    assert!(crate::net::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::NetAdapterPauseFunctionTypeSendOnly as i64 == 1);
    assert!(crate::net::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::NetAdapterPauseFunctionTypeReceiveOnly as i64 == 2);
    assert!(crate::net::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::NetAdapterPauseFunctionTypeSendAndReceive as i64 == 3);
    assert!(crate::net::_NET_ADAPTER_PAUSE_FUNCTION_TYPE::NetAdapterPauseFunctionTypeUnknown as i64 == 4);
    assert!(crate::net::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::NetAdapterAutoNegotiationFlagNone as i64 == 0);
    assert!(
        crate::net::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::NetAdapterAutoNegotiationFlagXmitLinkSpeedAutoNegotiated
            as i64
            == 1
    );
    assert!(
        crate::net::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::NetAdapterAutoNegotiationFlagRcvLinkSpeedautoNegotiated as i64
            == 2
    );
    assert!(
        crate::net::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::NetAdapterAutoNegotiationFlagDuplexAutoNegotiated as i64 == 4
    );
    assert!(
        crate::net::_NET_ADAPTER_AUTO_NEGOTIATION_FLAGS::NetAdapterAutoNegotiationFlagPauseFunctionsAutoNegotiated
            as i64
            == 8
    );
    assert!(crate::net::_NET_MEMORY_MAPPING_REQUIREMENT::NetMemoryMappingRequirementNone as i64 == 0);
    assert!(crate::net::_NET_MEMORY_MAPPING_REQUIREMENT::NetMemoryMappingRequirementDmaMapped as i64 == 1);
    assert!(crate::net::_NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE::NetRxFragmentBufferAllocationModeSystem as i64 == 0);
    assert!(crate::net::_NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE::NetRxFragmentBufferAllocationModeDriver as i64 == 1);
    assert!(crate::net::_NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE::NetRxFragmentBufferAttachmentModeSystem as i64 == 0);
    assert!(crate::net::_NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE::NetRxFragmentBufferAttachmentModeDriver as i64 == 1);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER3_FLAGS::NetAdapterOffloadLayer3FlagIPv4NoOptions as i64 == 1);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER3_FLAGS::NetAdapterOffloadLayer3FlagIPv4WithOptions as i64 == 2);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER3_FLAGS::NetAdapterOffloadLayer3FlagIPv6NoExtensions as i64 == 4);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER3_FLAGS::NetAdapterOffloadLayer3FlagIPv6WithExtensions as i64 == 8);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER4_FLAGS::NetAdapterOffloadLayer4FlagTcpNoOptions as i64 == 1);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER4_FLAGS::NetAdapterOffloadLayer4FlagTcpWithOptions as i64 == 2);
    assert!(crate::net::_NET_ADAPTER_OFFLOAD_LAYER4_FLAGS::NetAdapterOffloadLayer4FlagUdp as i64 == 4);
    assert!(crate::net::_NET_CONFIGURATION_QUERY_ULONG_FLAGS::NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS as i64 == 0);
    assert!(
        crate::net::_NET_CONFIGURATION_QUERY_ULONG_FLAGS::NET_CONFIGURATION_QUERY_ULONG_MAY_BE_STORED_AS_HEX_STRING
            as i64
            == 1
    );
    assert!(crate::wsk::WSK_CONTROL_SOCKET_TYPE::WskSetOption as i64 == 0);
    assert!(crate::wsk::WSK_CONTROL_SOCKET_TYPE::WskGetOption as i64 == 1);
    assert!(crate::wsk::WSK_CONTROL_SOCKET_TYPE::WskIoctl as i64 == 2);
    assert!(crate::wsk::WSK_CONTROL_SOCKET_TYPE::WskControlMax as i64 == 3);
};

// Names.
const _: () = {
    assert!(same(crate::cng::BCRYPT_AES_ALGORITHM, "AES"));
    assert!(same(crate::cng::BCRYPT_AUTH_TAG_LENGTH, "AuthTagLength"));
    assert!(same(crate::cng::BCRYPT_CHAINING_MODE, "ChainingMode"));
    assert!(same(crate::cng::BCRYPT_CHAIN_MODE_GCM, "ChainingModeGCM"));
    assert!(same(crate::cng::BCRYPT_CHAIN_MODE_NA, "ChainingModeN/A"));
    assert!(same(crate::cng::BCRYPT_KEY_LENGTHS, "KeyLengths"));
    assert!(same(crate::cng::BCRYPT_OBJECT_LENGTH, "ObjectLength"));
    assert!(same(crate::cng::MS_PRIMITIVE_PROVIDER, "Microsoft Primitive Provider"));
    assert!(same(crate::net::NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME, "ms_fragment_virtualaddress"));
    assert!(same(crate::net::NET_PACKET_EXTENSION_CHECKSUM_NAME, "ms_packet_checksum"));
    assert!(same(crate::cng::BCRYPT_CHACHA20_POLY1305_ALGORITHM, "CHACHA20_POLY1305"));
};

// Function tables.
const _: () = {
    assert!(crate::_WDFFUNCENUM::WdfControlDeviceInitAllocateTableIndex as usize == 25);
    assert!(crate::_WDFFUNCENUM::WdfControlFinishInitializingTableIndex as usize == 27);
    assert!(crate::_WDFFUNCENUM::WdfWdmDeviceGetWdfDeviceHandleTableIndex as usize == 30);
    assert!(crate::_WDFFUNCENUM::WdfDeviceWdmGetDeviceObjectTableIndex as usize == 31);
    assert!(crate::_WDFFUNCENUM::WdfDeviceWdmGetPhysicalDeviceTableIndex as usize == 33);
    assert!(crate::_WDFFUNCENUM::WdfDeviceGetDriverTableIndex as usize == 39);
    assert!(crate::_WDFFUNCENUM::WdfDeviceOpenRegistryKeyTableIndex as usize == 48);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitFreeTableIndex as usize == 54);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetPnpPowerEventCallbacksTableIndex as usize == 55);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyEventCallbacksTableIndex as usize == 56);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyOwnershipTableIndex as usize == 57);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetIoTypeTableIndex as usize == 61);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetExclusiveTableIndex as usize == 62);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetDeviceTypeTableIndex as usize == 66);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitAssignNameTableIndex as usize == 67);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitAssignSDDLStringTableIndex as usize == 68);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetDeviceClassTableIndex as usize == 69);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetCharacteristicsTableIndex as usize == 70);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetFileObjectConfigTableIndex as usize == 71);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetRequestAttributesTableIndex as usize == 72);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetIoInCallerContextCallbackTableIndex as usize == 74);
    assert!(crate::_WDFFUNCENUM::WdfDeviceCreateTableIndex as usize == 75);
    assert!(crate::_WDFFUNCENUM::WdfDeviceCreateDeviceInterfaceTableIndex as usize == 77);
    assert!(crate::_WDFFUNCENUM::WdfDeviceSetDeviceInterfaceStateTableIndex as usize == 78);
    assert!(crate::_WDFFUNCENUM::WdfDeviceCreateSymbolicLinkTableIndex as usize == 80);
    assert!(crate::_WDFFUNCENUM::WdfDeviceSetPnpCapabilitiesTableIndex as usize == 83);
    assert!(crate::_WDFFUNCENUM::WdfDeviceSetPowerCapabilitiesTableIndex as usize == 84);
    assert!(crate::_WDFFUNCENUM::WdfDeviceSetFailedTableIndex as usize == 87);
    assert!(crate::_WDFFUNCENUM::WdfDeviceEnqueueRequestTableIndex as usize == 91);
    assert!(crate::_WDFFUNCENUM::WdfDeviceGetDefaultQueueTableIndex as usize == 92);
    assert!(crate::_WDFFUNCENUM::WdfDeviceConfigureRequestDispatchingTableIndex as usize == 93);
    assert!(crate::_WDFFUNCENUM::WdfDpcCreateTableIndex as usize == 111);
    assert!(crate::_WDFFUNCENUM::WdfDpcEnqueueTableIndex as usize == 112);
    assert!(crate::_WDFFUNCENUM::WdfDpcCancelTableIndex as usize == 113);
    assert!(crate::_WDFFUNCENUM::WdfDpcGetParentObjectTableIndex as usize == 114);
    assert!(crate::_WDFFUNCENUM::WdfDriverCreateTableIndex as usize == 116);
    assert!(crate::_WDFFUNCENUM::WdfDriverGetRegistryPathTableIndex as usize == 117);
    assert!(crate::_WDFFUNCENUM::WdfDriverWdmGetDriverObjectTableIndex as usize == 118);
    assert!(crate::_WDFFUNCENUM::WdfDriverOpenParametersRegistryKeyTableIndex as usize == 119);
    assert!(crate::_WDFFUNCENUM::WdfFileObjectGetFileNameTableIndex as usize == 137);
    assert!(crate::_WDFFUNCENUM::WdfFileObjectGetDeviceTableIndex as usize == 139);
    assert!(crate::_WDFFUNCENUM::WdfFileObjectWdmGetFileObjectTableIndex as usize == 140);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueCreateTableIndex as usize == 152);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueGetStateTableIndex as usize == 153);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueStartTableIndex as usize == 154);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueStopTableIndex as usize == 155);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueStopSynchronouslyTableIndex as usize == 156);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueGetDeviceTableIndex as usize == 157);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueRetrieveNextRequestTableIndex as usize == 158);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueRetrieveRequestByFileObjectTableIndex as usize == 159);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueFindRequestTableIndex as usize == 160);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueRetrieveFoundRequestTableIndex as usize == 161);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueDrainSynchronouslyTableIndex as usize == 162);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueDrainTableIndex as usize == 163);
    assert!(crate::_WDFFUNCENUM::WdfIoQueuePurgeSynchronouslyTableIndex as usize == 164);
    assert!(crate::_WDFFUNCENUM::WdfIoQueuePurgeTableIndex as usize == 165);
    assert!(crate::_WDFFUNCENUM::WdfIoQueueReadyNotifyTableIndex as usize == 166);
    assert!(crate::_WDFFUNCENUM::WdfMemoryCreateTableIndex as usize == 192);
    assert!(crate::_WDFFUNCENUM::WdfMemoryCreatePreallocatedTableIndex as usize == 193);
    assert!(crate::_WDFFUNCENUM::WdfMemoryGetBufferTableIndex as usize == 194);
    assert!(crate::_WDFFUNCENUM::WdfLookasideListCreateTableIndex as usize == 198);
    assert!(crate::_WDFFUNCENUM::WdfMemoryCreateFromLookasideTableIndex as usize == 199);
    assert!(crate::_WDFFUNCENUM::WdfObjectGetTypedContextWorkerTableIndex as usize == 202);
    assert!(crate::_WDFFUNCENUM::WdfObjectAllocateContextTableIndex as usize == 203);
    assert!(crate::_WDFFUNCENUM::WdfObjectContextGetObjectTableIndex as usize == 204);
    assert!(crate::_WDFFUNCENUM::WdfObjectReferenceActualTableIndex as usize == 205);
    assert!(crate::_WDFFUNCENUM::WdfObjectDereferenceActualTableIndex as usize == 206);
    assert!(crate::_WDFFUNCENUM::WdfObjectCreateTableIndex as usize == 207);
    assert!(crate::_WDFFUNCENUM::WdfObjectDeleteTableIndex as usize == 208);
    assert!(crate::_WDFFUNCENUM::WdfRegistryCloseTableIndex as usize == 231);
    assert!(crate::_WDFFUNCENUM::WdfRegistryQueryULongTableIndex as usize == 240);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetStatusTableIndex as usize == 254);
    assert!(crate::_WDFFUNCENUM::WdfRequestMarkCancelableTableIndex as usize == 255);
    assert!(crate::_WDFFUNCENUM::WdfRequestUnmarkCancelableTableIndex as usize == 256);
    assert!(crate::_WDFFUNCENUM::WdfRequestIsCanceledTableIndex as usize == 257);
    assert!(crate::_WDFFUNCENUM::WdfRequestCompleteTableIndex as usize == 263);
    assert!(crate::_WDFFUNCENUM::WdfRequestCompleteWithPriorityBoostTableIndex as usize == 264);
    assert!(crate::_WDFFUNCENUM::WdfRequestCompleteWithInformationTableIndex as usize == 265);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetParametersTableIndex as usize == 266);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveInputMemoryTableIndex as usize == 267);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveOutputMemoryTableIndex as usize == 268);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveInputBufferTableIndex as usize == 269);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveOutputBufferTableIndex as usize == 270);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveInputWdmMdlTableIndex as usize == 271);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveOutputWdmMdlTableIndex as usize == 272);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserInputBufferTableIndex as usize == 273);
    assert!(crate::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserOutputBufferTableIndex as usize == 274);
    assert!(crate::_WDFFUNCENUM::WdfRequestSetInformationTableIndex as usize == 275);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetInformationTableIndex as usize == 276);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetFileObjectTableIndex as usize == 277);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetRequestorModeTableIndex as usize == 280);
    assert!(crate::_WDFFUNCENUM::WdfRequestForwardToIoQueueTableIndex as usize == 281);
    assert!(crate::_WDFFUNCENUM::WdfRequestGetIoQueueTableIndex as usize == 282);
    assert!(crate::_WDFFUNCENUM::WdfRequestRequeueTableIndex as usize == 283);
    assert!(crate::_WDFFUNCENUM::WdfRequestStopAcknowledgeTableIndex as usize == 284);
    assert!(crate::_WDFFUNCENUM::WdfRequestWdmGetIrpTableIndex as usize == 285);
    assert!(crate::_WDFFUNCENUM::WdfStringCreateTableIndex as usize == 308);
    assert!(crate::_WDFFUNCENUM::WdfStringGetUnicodeStringTableIndex as usize == 309);
    assert!(crate::_WDFFUNCENUM::WdfObjectAcquireLockTableIndex as usize == 310);
    assert!(crate::_WDFFUNCENUM::WdfObjectReleaseLockTableIndex as usize == 311);
    assert!(crate::_WDFFUNCENUM::WdfWaitLockCreateTableIndex as usize == 312);
    assert!(crate::_WDFFUNCENUM::WdfWaitLockAcquireTableIndex as usize == 313);
    assert!(crate::_WDFFUNCENUM::WdfWaitLockReleaseTableIndex as usize == 314);
    assert!(crate::_WDFFUNCENUM::WdfSpinLockCreateTableIndex as usize == 315);
    assert!(crate::_WDFFUNCENUM::WdfSpinLockAcquireTableIndex as usize == 316);
    assert!(crate::_WDFFUNCENUM::WdfSpinLockReleaseTableIndex as usize == 317);
    assert!(crate::_WDFFUNCENUM::WdfTimerCreateTableIndex as usize == 318);
    assert!(crate::_WDFFUNCENUM::WdfTimerStartTableIndex as usize == 319);
    assert!(crate::_WDFFUNCENUM::WdfTimerStopTableIndex as usize == 320);
    assert!(crate::_WDFFUNCENUM::WdfTimerGetParentObjectTableIndex as usize == 321);
    assert!(crate::_WDFFUNCENUM::WdfVerifierDbgBreakPointTableIndex as usize == 367);
    assert!(crate::_WDFFUNCENUM::WdfVerifierKeBugCheckTableIndex as usize == 368);
    assert!(crate::_WDFFUNCENUM::WdfWorkItemCreateTableIndex as usize == 379);
    assert!(crate::_WDFFUNCENUM::WdfWorkItemEnqueueTableIndex as usize == 380);
    assert!(crate::_WDFFUNCENUM::WdfWorkItemGetParentObjectTableIndex as usize == 381);
    assert!(crate::_WDFFUNCENUM::WdfWorkItemFlushTableIndex as usize == 382);
    assert!(crate::_WDFFUNCENUM::WdfRequestMarkCancelableExTableIndex as usize == 393);
    assert!(crate::_WDFFUNCENUM::WdfDeviceInitSetIoTypeExTableIndex as usize == 432);
    assert!(crate::net::table::NetAdapterInitAllocate.index() == 0);
    assert!(crate::net::table::NetAdapterInitFree.index() == 1);
    assert!(crate::net::table::NetAdapterInitSetDatapathCallbacks.index() == 2);
    assert!(crate::net::table::NetAdapterCreate.index() == 3);
    assert!(crate::net::table::NetAdapterStart.index() == 4);
    assert!(crate::net::table::NetAdapterStop.index() == 5);
    assert!(crate::net::table::NetAdapterSetLinkLayerCapabilities.index() == 6);
    assert!(crate::net::table::NetAdapterSetLinkLayerMtuSize.index() == 7);
    assert!(crate::net::table::NetAdapterSetDataPathCapabilities.index() == 14);
    assert!(crate::net::table::NetAdapterSetLinkState.index() == 15);
    assert!(crate::net::table::NetAdapterGetNetLuid.index() == 16);
    assert!(crate::net::table::NetAdapterOpenConfiguration.index() == 17);
    assert!(crate::net::table::NetAdapterSetPermanentLinkLayerAddress.index() == 18);
    assert!(crate::net::table::NetAdapterSetCurrentLinkLayerAddress.index() == 19);
    assert!(crate::net::table::NetAdapterOffloadSetChecksumCapabilities.index() == 20);
    assert!(crate::net::table::NetOffloadIsChecksumIPv4Enabled.index() == 21);
    assert!(crate::net::table::NetOffloadIsChecksumTcpEnabled.index() == 22);
    assert!(crate::net::table::NetOffloadIsChecksumUdpEnabled.index() == 23);
    assert!(crate::net::table::NetAdapterGetParent.index() == 30);
    assert!(crate::net::table::NetAdapterGetLinkLayerMtuSize.index() == 31);
    assert!(crate::net::table::NetConfigurationClose.index() == 35);
    assert!(crate::net::table::NetConfigurationQueryUlong.index() == 37);
    assert!(crate::net::table::NetDeviceInitConfig.index() == 46);
    assert!(crate::net::table::NetDeviceOpenConfiguration.index() == 47);
    assert!(crate::net::table::NetRxQueueCreate.index() == 58);
    assert!(crate::net::table::NetRxQueueNotifyMoreReceivedPacketsAvailable.index() == 59);
    assert!(crate::net::table::NetRxQueueInitGetQueueId.index() == 60);
    assert!(crate::net::table::NetRxQueueGetRingCollection.index() == 61);
    assert!(crate::net::table::NetRxQueueGetExtension.index() == 62);
    assert!(crate::net::table::NetTxQueueCreate.index() == 63);
    assert!(crate::net::table::NetTxQueueNotifyMoreCompletedPacketsAvailable.index() == 64);
    assert!(crate::net::table::NetTxQueueInitGetQueueId.index() == 65);
    assert!(crate::net::table::NetTxQueueGetRingCollection.index() == 66);
    assert!(crate::net::table::NetTxQueueGetExtension.index() == 67);
    assert!(crate::net::NET_FUNCTION_COUNT == 75);
};

#[cfg(not(feature = "wdk"))]
const _: () = {
    assert!(crate::bind::KMDF_FUNCTION_COUNT == 444);
    assert!(
        crate::__wdf::WdfControlDeviceInitAllocate.index()
            == crate::_WDFFUNCENUM::WdfControlDeviceInitAllocateTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfControlFinishInitializing.index()
            == crate::_WDFFUNCENUM::WdfControlFinishInitializingTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfWdmDeviceGetWdfDeviceHandle.index()
            == crate::_WDFFUNCENUM::WdfWdmDeviceGetWdfDeviceHandleTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceWdmGetDeviceObject.index()
            == crate::_WDFFUNCENUM::WdfDeviceWdmGetDeviceObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceWdmGetPhysicalDevice.index()
            == crate::_WDFFUNCENUM::WdfDeviceWdmGetPhysicalDeviceTableIndex as usize
    );
    assert!(crate::__wdf::WdfDeviceGetDriver.index() == crate::_WDFFUNCENUM::WdfDeviceGetDriverTableIndex as usize);
    assert!(
        crate::__wdf::WdfDeviceOpenRegistryKey.index()
            == crate::_WDFFUNCENUM::WdfDeviceOpenRegistryKeyTableIndex as usize
    );
    assert!(crate::__wdf::WdfDeviceInitFree.index() == crate::_WDFFUNCENUM::WdfDeviceInitFreeTableIndex as usize);
    assert!(
        crate::__wdf::WdfDeviceInitSetPnpPowerEventCallbacks.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetPnpPowerEventCallbacksTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetPowerPolicyEventCallbacks.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyEventCallbacksTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetPowerPolicyOwnership.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetPowerPolicyOwnershipTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetIoType.index() == crate::_WDFFUNCENUM::WdfDeviceInitSetIoTypeTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetExclusive.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetExclusiveTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetDeviceType.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetDeviceTypeTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitAssignName.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitAssignNameTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitAssignSDDLString.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitAssignSDDLStringTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetDeviceClass.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetDeviceClassTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetCharacteristics.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetCharacteristicsTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetFileObjectConfig.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetFileObjectConfigTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetRequestAttributes.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetRequestAttributesTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetIoInCallerContextCallback.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetIoInCallerContextCallbackTableIndex as usize
    );
    assert!(crate::__wdf::WdfDeviceCreate.index() == crate::_WDFFUNCENUM::WdfDeviceCreateTableIndex as usize);
    assert!(
        crate::__wdf::WdfDeviceCreateDeviceInterface.index()
            == crate::_WDFFUNCENUM::WdfDeviceCreateDeviceInterfaceTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceSetDeviceInterfaceState.index()
            == crate::_WDFFUNCENUM::WdfDeviceSetDeviceInterfaceStateTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceCreateSymbolicLink.index()
            == crate::_WDFFUNCENUM::WdfDeviceCreateSymbolicLinkTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceSetPnpCapabilities.index()
            == crate::_WDFFUNCENUM::WdfDeviceSetPnpCapabilitiesTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceSetPowerCapabilities.index()
            == crate::_WDFFUNCENUM::WdfDeviceSetPowerCapabilitiesTableIndex as usize
    );
    assert!(crate::__wdf::WdfDeviceSetFailed.index() == crate::_WDFFUNCENUM::WdfDeviceSetFailedTableIndex as usize);
    assert!(
        crate::__wdf::WdfDeviceEnqueueRequest.index()
            == crate::_WDFFUNCENUM::WdfDeviceEnqueueRequestTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceGetDefaultQueue.index()
            == crate::_WDFFUNCENUM::WdfDeviceGetDefaultQueueTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceConfigureRequestDispatching.index()
            == crate::_WDFFUNCENUM::WdfDeviceConfigureRequestDispatchingTableIndex as usize
    );
    assert!(crate::__wdf::WdfDpcCreate.index() == crate::_WDFFUNCENUM::WdfDpcCreateTableIndex as usize);
    assert!(crate::__wdf::WdfDpcEnqueue.index() == crate::_WDFFUNCENUM::WdfDpcEnqueueTableIndex as usize);
    assert!(crate::__wdf::WdfDpcCancel.index() == crate::_WDFFUNCENUM::WdfDpcCancelTableIndex as usize);
    assert!(
        crate::__wdf::WdfDpcGetParentObject.index() == crate::_WDFFUNCENUM::WdfDpcGetParentObjectTableIndex as usize
    );
    assert!(crate::__wdf::WdfDriverCreate.index() == crate::_WDFFUNCENUM::WdfDriverCreateTableIndex as usize);
    assert!(
        crate::__wdf::WdfDriverGetRegistryPath.index()
            == crate::_WDFFUNCENUM::WdfDriverGetRegistryPathTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDriverWdmGetDriverObject.index()
            == crate::_WDFFUNCENUM::WdfDriverWdmGetDriverObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDriverOpenParametersRegistryKey.index()
            == crate::_WDFFUNCENUM::WdfDriverOpenParametersRegistryKeyTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfFileObjectGetFileName.index()
            == crate::_WDFFUNCENUM::WdfFileObjectGetFileNameTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfFileObjectGetDevice.index() == crate::_WDFFUNCENUM::WdfFileObjectGetDeviceTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfFileObjectWdmGetFileObject.index()
            == crate::_WDFFUNCENUM::WdfFileObjectWdmGetFileObjectTableIndex as usize
    );
    assert!(crate::__wdf::WdfIoQueueCreate.index() == crate::_WDFFUNCENUM::WdfIoQueueCreateTableIndex as usize);
    assert!(crate::__wdf::WdfIoQueueGetState.index() == crate::_WDFFUNCENUM::WdfIoQueueGetStateTableIndex as usize);
    assert!(crate::__wdf::WdfIoQueueStart.index() == crate::_WDFFUNCENUM::WdfIoQueueStartTableIndex as usize);
    assert!(crate::__wdf::WdfIoQueueStop.index() == crate::_WDFFUNCENUM::WdfIoQueueStopTableIndex as usize);
    assert!(
        crate::__wdf::WdfIoQueueStopSynchronously.index()
            == crate::_WDFFUNCENUM::WdfIoQueueStopSynchronouslyTableIndex as usize
    );
    assert!(crate::__wdf::WdfIoQueueGetDevice.index() == crate::_WDFFUNCENUM::WdfIoQueueGetDeviceTableIndex as usize);
    assert!(
        crate::__wdf::WdfIoQueueRetrieveNextRequest.index()
            == crate::_WDFFUNCENUM::WdfIoQueueRetrieveNextRequestTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfIoQueueRetrieveRequestByFileObject.index()
            == crate::_WDFFUNCENUM::WdfIoQueueRetrieveRequestByFileObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfIoQueueFindRequest.index() == crate::_WDFFUNCENUM::WdfIoQueueFindRequestTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfIoQueueRetrieveFoundRequest.index()
            == crate::_WDFFUNCENUM::WdfIoQueueRetrieveFoundRequestTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfIoQueueDrainSynchronously.index()
            == crate::_WDFFUNCENUM::WdfIoQueueDrainSynchronouslyTableIndex as usize
    );
    assert!(crate::__wdf::WdfIoQueueDrain.index() == crate::_WDFFUNCENUM::WdfIoQueueDrainTableIndex as usize);
    assert!(
        crate::__wdf::WdfIoQueuePurgeSynchronously.index()
            == crate::_WDFFUNCENUM::WdfIoQueuePurgeSynchronouslyTableIndex as usize
    );
    assert!(crate::__wdf::WdfIoQueuePurge.index() == crate::_WDFFUNCENUM::WdfIoQueuePurgeTableIndex as usize);
    assert!(
        crate::__wdf::WdfIoQueueReadyNotify.index() == crate::_WDFFUNCENUM::WdfIoQueueReadyNotifyTableIndex as usize
    );
    assert!(crate::__wdf::WdfMemoryCreate.index() == crate::_WDFFUNCENUM::WdfMemoryCreateTableIndex as usize);
    assert!(
        crate::__wdf::WdfMemoryCreatePreallocated.index()
            == crate::_WDFFUNCENUM::WdfMemoryCreatePreallocatedTableIndex as usize
    );
    assert!(crate::__wdf::WdfMemoryGetBuffer.index() == crate::_WDFFUNCENUM::WdfMemoryGetBufferTableIndex as usize);
    assert!(
        crate::__wdf::WdfLookasideListCreate.index() == crate::_WDFFUNCENUM::WdfLookasideListCreateTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfMemoryCreateFromLookaside.index()
            == crate::_WDFFUNCENUM::WdfMemoryCreateFromLookasideTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfObjectGetTypedContextWorker.index()
            == crate::_WDFFUNCENUM::WdfObjectGetTypedContextWorkerTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfObjectAllocateContext.index()
            == crate::_WDFFUNCENUM::WdfObjectAllocateContextTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfObjectContextGetObject.index()
            == crate::_WDFFUNCENUM::WdfObjectContextGetObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfObjectReferenceActual.index()
            == crate::_WDFFUNCENUM::WdfObjectReferenceActualTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfObjectDereferenceActual.index()
            == crate::_WDFFUNCENUM::WdfObjectDereferenceActualTableIndex as usize
    );
    assert!(crate::__wdf::WdfObjectCreate.index() == crate::_WDFFUNCENUM::WdfObjectCreateTableIndex as usize);
    assert!(crate::__wdf::WdfObjectDelete.index() == crate::_WDFFUNCENUM::WdfObjectDeleteTableIndex as usize);
    assert!(crate::__wdf::WdfRegistryClose.index() == crate::_WDFFUNCENUM::WdfRegistryCloseTableIndex as usize);
    assert!(
        crate::__wdf::WdfRegistryQueryULong.index() == crate::_WDFFUNCENUM::WdfRegistryQueryULongTableIndex as usize
    );
    assert!(crate::__wdf::WdfRequestGetStatus.index() == crate::_WDFFUNCENUM::WdfRequestGetStatusTableIndex as usize);
    assert!(
        crate::__wdf::WdfRequestMarkCancelable.index()
            == crate::_WDFFUNCENUM::WdfRequestMarkCancelableTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestUnmarkCancelable.index()
            == crate::_WDFFUNCENUM::WdfRequestUnmarkCancelableTableIndex as usize
    );
    assert!(crate::__wdf::WdfRequestIsCanceled.index() == crate::_WDFFUNCENUM::WdfRequestIsCanceledTableIndex as usize);
    assert!(crate::__wdf::WdfRequestComplete.index() == crate::_WDFFUNCENUM::WdfRequestCompleteTableIndex as usize);
    assert!(
        crate::__wdf::WdfRequestCompleteWithPriorityBoost.index()
            == crate::_WDFFUNCENUM::WdfRequestCompleteWithPriorityBoostTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestCompleteWithInformation.index()
            == crate::_WDFFUNCENUM::WdfRequestCompleteWithInformationTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestGetParameters.index()
            == crate::_WDFFUNCENUM::WdfRequestGetParametersTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveInputMemory.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveInputMemoryTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveOutputMemory.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveOutputMemoryTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveInputBuffer.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveInputBufferTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveOutputBuffer.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveOutputBufferTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveInputWdmMdl.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveInputWdmMdlTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveOutputWdmMdl.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveOutputWdmMdlTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveUnsafeUserInputBuffer.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserInputBufferTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestRetrieveUnsafeUserOutputBuffer.index()
            == crate::_WDFFUNCENUM::WdfRequestRetrieveUnsafeUserOutputBufferTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestSetInformation.index()
            == crate::_WDFFUNCENUM::WdfRequestSetInformationTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestGetInformation.index()
            == crate::_WDFFUNCENUM::WdfRequestGetInformationTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestGetFileObject.index()
            == crate::_WDFFUNCENUM::WdfRequestGetFileObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestGetRequestorMode.index()
            == crate::_WDFFUNCENUM::WdfRequestGetRequestorModeTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfRequestForwardToIoQueue.index()
            == crate::_WDFFUNCENUM::WdfRequestForwardToIoQueueTableIndex as usize
    );
    assert!(crate::__wdf::WdfRequestGetIoQueue.index() == crate::_WDFFUNCENUM::WdfRequestGetIoQueueTableIndex as usize);
    assert!(crate::__wdf::WdfRequestRequeue.index() == crate::_WDFFUNCENUM::WdfRequestRequeueTableIndex as usize);
    assert!(
        crate::__wdf::WdfRequestStopAcknowledge.index()
            == crate::_WDFFUNCENUM::WdfRequestStopAcknowledgeTableIndex as usize
    );
    assert!(crate::__wdf::WdfRequestWdmGetIrp.index() == crate::_WDFFUNCENUM::WdfRequestWdmGetIrpTableIndex as usize);
    assert!(crate::__wdf::WdfStringCreate.index() == crate::_WDFFUNCENUM::WdfStringCreateTableIndex as usize);
    assert!(
        crate::__wdf::WdfStringGetUnicodeString.index()
            == crate::_WDFFUNCENUM::WdfStringGetUnicodeStringTableIndex as usize
    );
    assert!(crate::__wdf::WdfObjectAcquireLock.index() == crate::_WDFFUNCENUM::WdfObjectAcquireLockTableIndex as usize);
    assert!(crate::__wdf::WdfObjectReleaseLock.index() == crate::_WDFFUNCENUM::WdfObjectReleaseLockTableIndex as usize);
    assert!(crate::__wdf::WdfWaitLockCreate.index() == crate::_WDFFUNCENUM::WdfWaitLockCreateTableIndex as usize);
    assert!(crate::__wdf::WdfWaitLockAcquire.index() == crate::_WDFFUNCENUM::WdfWaitLockAcquireTableIndex as usize);
    assert!(crate::__wdf::WdfWaitLockRelease.index() == crate::_WDFFUNCENUM::WdfWaitLockReleaseTableIndex as usize);
    assert!(crate::__wdf::WdfSpinLockCreate.index() == crate::_WDFFUNCENUM::WdfSpinLockCreateTableIndex as usize);
    assert!(crate::__wdf::WdfSpinLockAcquire.index() == crate::_WDFFUNCENUM::WdfSpinLockAcquireTableIndex as usize);
    assert!(crate::__wdf::WdfSpinLockRelease.index() == crate::_WDFFUNCENUM::WdfSpinLockReleaseTableIndex as usize);
    assert!(crate::__wdf::WdfTimerCreate.index() == crate::_WDFFUNCENUM::WdfTimerCreateTableIndex as usize);
    assert!(crate::__wdf::WdfTimerStart.index() == crate::_WDFFUNCENUM::WdfTimerStartTableIndex as usize);
    assert!(crate::__wdf::WdfTimerStop.index() == crate::_WDFFUNCENUM::WdfTimerStopTableIndex as usize);
    assert!(
        crate::__wdf::WdfTimerGetParentObject.index()
            == crate::_WDFFUNCENUM::WdfTimerGetParentObjectTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfVerifierDbgBreakPoint.index()
            == crate::_WDFFUNCENUM::WdfVerifierDbgBreakPointTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfVerifierKeBugCheck.index() == crate::_WDFFUNCENUM::WdfVerifierKeBugCheckTableIndex as usize
    );
    assert!(crate::__wdf::WdfWorkItemCreate.index() == crate::_WDFFUNCENUM::WdfWorkItemCreateTableIndex as usize);
    assert!(crate::__wdf::WdfWorkItemEnqueue.index() == crate::_WDFFUNCENUM::WdfWorkItemEnqueueTableIndex as usize);
    assert!(
        crate::__wdf::WdfWorkItemGetParentObject.index()
            == crate::_WDFFUNCENUM::WdfWorkItemGetParentObjectTableIndex as usize
    );
    assert!(crate::__wdf::WdfWorkItemFlush.index() == crate::_WDFFUNCENUM::WdfWorkItemFlushTableIndex as usize);
    assert!(
        crate::__wdf::WdfRequestMarkCancelableEx.index()
            == crate::_WDFFUNCENUM::WdfRequestMarkCancelableExTableIndex as usize
    );
    assert!(
        crate::__wdf::WdfDeviceInitSetIoTypeEx.index()
            == crate::_WDFFUNCENUM::WdfDeviceInitSetIoTypeExTableIndex as usize
    );
};

/// Whether a wide string is `text` and a NUL.
const fn same(wide: &[u16], text: &str) -> bool {
    let text = text.as_bytes();
    if wide.len() != text.len() + 1 || wide[text.len()] != 0 {
        return false;
    }
    let mut i = 0;
    while i < text.len() {
        if wide[i] != text[i] as u16 {
            return false;
        }
        i += 1;
    }
    true
}
