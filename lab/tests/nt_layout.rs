//! `nt.rs` against docs/facts/nt-layout.json: sizes, alignments, offsets.

use dco_lab::nt::*;
use serde_json::Value;
use std::mem::{align_of, offset_of, size_of};

fn facts() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/facts/nt-layout.json");
    let text = std::fs::read_to_string(path).expect("docs/facts/nt-layout.json is there");
    serde_json::from_str(&text).expect("and is JSON")
}

fn number(v: &Value, what: &str) -> usize {
    usize::try_from(v.as_u64().unwrap_or_else(|| panic!("no {what}"))).expect("small")
}

macro_rules! check {
    ($facts:expr, $($t:ident { $($field:ident = $name:literal),* $(,)? })*) => {$(
        let t = &$facts["types"][stringify!($t)];
        assert_eq!(size_of::<$t>(), number(&t["size"], stringify!($t)), "size of {}", stringify!($t));
        assert_eq!(align_of::<$t>(), number(&t["align"], stringify!($t)), "alignment of {}", stringify!($t));
        $(
            let f = &t["fields"][$name];
            assert_eq!(offset_of!($t, $field), number(&f["offset"], $name), "offset of {}.{}", stringify!($t), $name);
        )*
    )*};
}

#[test]
fn structures_have_their_documented_layout() {
    let f = facts();
    check! { f,
        UNICODE_STRING { Length = "Length", MaximumLength = "MaximumLength", Buffer = "Buffer" }
        LIST_ENTRY { Flink = "Flink", Blink = "Blink" }
        SLIST_ENTRY { Next = "Next" }
        SLIST_HEADER { Alignment = "Alignment", Region = "Region" }
        GUID { Data1 = "Data1", Data2 = "Data2", Data3 = "Data3", Data4 = "Data4" }
        OBJECT_ATTRIBUTES { Length = "Length", RootDirectory = "RootDirectory", ObjectName = "ObjectName", Attributes = "Attributes" }
        IO_STATUS_BLOCK { Status = "Status", Information = "Information" }
        DISPATCHER_HEADER { Type = "Type", Size = "Size", SignalState = "SignalState", WaitListHead = "WaitListHead" }
        KEVENT { Header = "Header" }
        KSEMAPHORE { Header = "Header", Limit = "Limit" }
        KDPC {
            Type = "Type", Importance = "Importance", Number = "Number", DpcListEntry = "DpcListEntry", ProcessorHistory = "ProcessorHistory",
            DeferredRoutine = "DeferredRoutine", DeferredContext = "DeferredContext", SystemArgument1 = "SystemArgument1",
            SystemArgument2 = "SystemArgument2", DpcData = "DpcData",
        }
        KTIMER { Header = "Header", DueTime = "DueTime", TimerListEntry = "TimerListEntry", Dpc = "Dpc", Processor = "Processor", Period = "Period" }
        FAST_MUTEX { Count = "Count", Owner = "Owner", Contention = "Contention", Event = "Event", OldIrql = "OldIrql" }
        EX_RUNDOWN_REF { Count = "Count" }
        KLOCK_QUEUE_HANDLE { Next = "LockQueue", OldIrql = "OldIrql" }
        WORK_QUEUE_ITEM { List = "List", WorkerRoutine = "WorkerRoutine", Parameter = "Parameter" }
        KDEVICE_QUEUE { Type = "Type", Size = "Size", DeviceListHead = "DeviceListHead", Lock = "Lock", Busy = "Busy" }
        MDL {
            Next = "Next", Size = "Size", MdlFlags = "MdlFlags", Process = "Process", MappedSystemVa = "MappedSystemVa", StartVa = "StartVa",
            ByteCount = "ByteCount", ByteOffset = "ByteOffset",
        }
        IRP {
            Type = "Type", Size = "Size", MdlAddress = "MdlAddress", Flags = "Flags", SystemBuffer = "AssociatedIrp.SystemBuffer",
            ThreadListEntry = "ThreadListEntry", IoStatus = "IoStatus", RequestorMode = "RequestorMode", PendingReturned = "PendingReturned",
            StackCount = "StackCount", CurrentLocation = "CurrentLocation", Cancel = "Cancel", CancelIrql = "CancelIrql",
            ApcEnvironment = "ApcEnvironment", AllocationFlags = "AllocationFlags", UserIosb = "UserIosb", UserEvent = "UserEvent",
            Overlay = "Overlay", CancelRoutine = "CancelRoutine", UserBuffer = "UserBuffer", Tail = "Tail",
        }
        IO_STACK_LOCATION {
            MajorFunction = "MajorFunction", MinorFunction = "MinorFunction", Flags = "Flags", Control = "Control", Parameters = "Parameters",
            DeviceObject = "DeviceObject", FileObject = "FileObject", CompletionRoutine = "CompletionRoutine", Context = "Context",
        }
        IO_SECURITY_CONTEXT { SecurityQos = "SecurityQos", AccessState = "AccessState", DesiredAccess = "DesiredAccess", FullCreateOptions = "FullCreateOptions" }
        DRIVER_EXTENSION { DriverObject = "DriverObject", AddDevice = "AddDevice", Count = "Count", ServiceKeyName = "ServiceKeyName" }
        DRIVER_OBJECT {
            Type = "Type", Size = "Size", DeviceObject = "DeviceObject", Flags = "Flags", DriverStart = "DriverStart", DriverSize = "DriverSize",
            DriverSection = "DriverSection", DriverExtension = "DriverExtension", DriverName = "DriverName", HardwareDatabase = "HardwareDatabase",
            FastIoDispatch = "FastIoDispatch", DriverInit = "DriverInit", DriverStartIo = "DriverStartIo", DriverUnload = "DriverUnload",
            MajorFunction = "MajorFunction",
        }
        DEVICE_OBJECT {
            Type = "Type", Size = "Size", ReferenceCount = "ReferenceCount", DriverObject = "DriverObject", NextDevice = "NextDevice",
            AttachedDevice = "AttachedDevice", CurrentIrp = "CurrentIrp", Timer = "Timer", Flags = "Flags", Characteristics = "Characteristics",
            Vpb = "Vpb", DeviceExtension = "DeviceExtension", DeviceType = "DeviceType", StackSize = "StackSize", Queue = "Queue",
            AlignmentRequirement = "AlignmentRequirement", DeviceQueue = "DeviceQueue", Dpc = "Dpc", ActiveThreadCount = "ActiveThreadCount",
            SecurityDescriptor = "SecurityDescriptor", DeviceLock = "DeviceLock", SectorSize = "SectorSize", Spare1 = "Spare1",
            DeviceObjectExtension = "DeviceObjectExtension", Reserved = "Reserved",
        }
        FILE_OBJECT {
            Type = "Type", Size = "Size", DeviceObject = "DeviceObject", Vpb = "Vpb", FsContext = "FsContext", FsContext2 = "FsContext2",
            SectionObjectPointer = "SectionObjectPointer", PrivateCacheMap = "PrivateCacheMap", FinalStatus = "FinalStatus",
            RelatedFileObject = "RelatedFileObject", LockOperation = "LockOperation", ReadAccess = "ReadAccess", SharedDelete = "SharedDelete",
            Flags = "Flags", FileName = "FileName", CurrentByteOffset = "CurrentByteOffset", Waiters = "Waiters", Busy = "Busy",
            LastLock = "LastLock", Lock = "Lock", Event = "Event", CompletionContext = "CompletionContext", IrpListLock = "IrpListLock",
            IrpList = "IrpList", FileObjectExtension = "FileObjectExtension",
        }
        PROCESSOR_NUMBER { Group = "Group", Number = "Number", Reserved = "Reserved" }
        GROUP_AFFINITY { Mask = "Mask", Group = "Group" }
        NPAGED_LOOKASIDE_LIST { }
        SOCKADDR { sa_family = "sa_family", sa_data = "sa_data" }
        SOCKADDR_IN { sin_family = "sin_family", sin_port = "sin_port", sin_addr = "sin_addr", sin_zero = "sin_zero" }
        SOCKADDR_IN6 {
            sin6_family = "sin6_family", sin6_port = "sin6_port", sin6_flowinfo = "sin6_flowinfo", sin6_addr = "sin6_addr", sin6_scope_id = "sin6_scope_id",
        }
        SOCKADDR_STORAGE { ss_family = "ss_family" }
        SOCKADDR_INET { Ipv4 = "Ipv4", Ipv6 = "Ipv6", si_family = "si_family" }
    }
    assert_eq!(size_of::<IRP_TAIL>(), number(&f["types"]["IRP"]["fields"]["Tail"]["size"], "Tail"));
}

#[test]
fn unions_and_nested_fields_stand_where_they_should() {
    let f = facts();
    let irp = |n: &str| number(&f["types"]["IRP"]["fields"][n]["offset"], n);
    let tail = offset_of!(IRP, Tail);
    for (at, name) in [
        (offset_of!(IRP_TAIL, DriverContext), "Tail.Overlay.DriverContext"),
        (offset_of!(IRP_TAIL, Thread), "Tail.Overlay.Thread"),
        (offset_of!(IRP_TAIL, ListEntry), "Tail.Overlay.ListEntry"),
        (offset_of!(IRP_TAIL, CurrentStackLocation), "Tail.Overlay.CurrentStackLocation"),
        (offset_of!(IRP_TAIL, OriginalFileObject), "Tail.Overlay.OriginalFileObject"),
    ] {
        assert_eq!(tail + at, irp(name), "{name}");
    }
    let stack = |n: &str| number(&f["types"]["IO_STACK_LOCATION"]["fields"][n]["offset"], n);
    let parameters = offset_of!(IO_STACK_LOCATION, Parameters);
    for (at, name) in [
        (offset_of!(IO_PARAMETERS_CREATE, SecurityContext), "Parameters.Create.SecurityContext"),
        (offset_of!(IO_PARAMETERS_CREATE, Options), "Parameters.Create.Options"),
        (offset_of!(IO_PARAMETERS_CREATE, FileAttributes), "Parameters.Create.FileAttributes"),
        (offset_of!(IO_PARAMETERS_CREATE, ShareAccess), "Parameters.Create.ShareAccess"),
        (offset_of!(IO_PARAMETERS_CREATE, EaLength), "Parameters.Create.EaLength"),
        (offset_of!(IO_PARAMETERS_READ_WRITE, Length), "Parameters.Read.Length"),
        (offset_of!(IO_PARAMETERS_READ_WRITE, Key), "Parameters.Read.Key"),
        (offset_of!(IO_PARAMETERS_READ_WRITE, ByteOffset), "Parameters.Read.ByteOffset"),
        (offset_of!(IO_PARAMETERS_DEVICE_CONTROL, OutputBufferLength), "Parameters.DeviceIoControl.OutputBufferLength"),
        (offset_of!(IO_PARAMETERS_DEVICE_CONTROL, InputBufferLength), "Parameters.DeviceIoControl.InputBufferLength"),
        (offset_of!(IO_PARAMETERS_DEVICE_CONTROL, IoControlCode), "Parameters.DeviceIoControl.IoControlCode"),
        (offset_of!(IO_PARAMETERS_DEVICE_CONTROL, Type3InputBuffer), "Parameters.DeviceIoControl.Type3InputBuffer"),
        (offset_of!(IO_PARAMETERS_POWER, Type), "Parameters.Power.Type"),
        (offset_of!(IO_PARAMETERS_POWER, State), "Parameters.Power.State"),
        (offset_of!(IO_PARAMETERS_POWER, ShutdownType), "Parameters.Power.ShutdownType"),
    ] {
        assert_eq!(parameters + at, stack(name), "{name}");
    }
    let look = |n: &str| number(&f["types"]["GENERAL_LOOKASIDE"]["fields"][n]["offset"], n);
    for (at, name) in [
        (offset_of!(NPAGED_LOOKASIDE_LIST, Depth), "Depth"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, Type), "Type"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, Tag), "Tag"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, Size), "Size"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, Allocate), "Allocate"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, Free), "Free"),
        (offset_of!(NPAGED_LOOKASIDE_LIST, ListEntry), "ListEntry"),
    ] {
        assert_eq!(at, look(name), "{name}");
    }
}

#[test]
fn numbers_are_windows_own() {
    let f = facts();
    let c = |n: &str| f["constants"][n].as_i64().unwrap_or_else(|| panic!("no {n}"));
    let signed = |n: &str| {
        f["constants"][n]["i32"].as_i64().and_then(|v| i32::try_from(v).ok()).unwrap_or_else(|| panic!("no {n}"))
    };
    for (mine, name) in [
        (status::PENDING, "STATUS_PENDING"),
        (status::TIMEOUT, "STATUS_TIMEOUT"),
        (status::BUFFER_OVERFLOW, "STATUS_BUFFER_OVERFLOW"),
        (status::INVALID_PARAMETER, "STATUS_INVALID_PARAMETER"),
        (status::INVALID_HANDLE, "STATUS_INVALID_HANDLE"),
        (status::INVALID_DEVICE_REQUEST, "STATUS_INVALID_DEVICE_REQUEST"),
        (status::MORE_PROCESSING_REQUIRED, "STATUS_MORE_PROCESSING_REQUIRED"),
        (status::ACCESS_DENIED, "STATUS_ACCESS_DENIED"),
        (status::OBJECT_NAME_NOT_FOUND, "STATUS_OBJECT_NAME_NOT_FOUND"),
        (status::OBJECT_NAME_COLLISION, "STATUS_OBJECT_NAME_COLLISION"),
        (status::INSUFFICIENT_RESOURCES, "STATUS_INSUFFICIENT_RESOURCES"),
        (status::DEVICE_NOT_READY, "STATUS_DEVICE_NOT_READY"),
        (status::IO_TIMEOUT, "STATUS_IO_TIMEOUT"),
        (status::CANCELLED, "STATUS_CANCELLED"),
        (status::NOT_FOUND, "STATUS_NOT_FOUND"),
        (status::NOT_SUPPORTED, "STATUS_NOT_SUPPORTED"),
        (status::FILE_FORCED_CLOSED, "STATUS_FILE_FORCED_CLOSED"),
        (status::INVALID_DEVICE_STATE, "STATUS_INVALID_DEVICE_STATE"),
        (status::INVALID_BUFFER_SIZE, "STATUS_INVALID_BUFFER_SIZE"),
        (status::INVALID_ADDRESS_COMPONENT, "STATUS_INVALID_ADDRESS_COMPONENT"),
        (status::DATA_NOT_ACCEPTED, "STATUS_DATA_NOT_ACCEPTED"),
        (status::AUTH_TAG_MISMATCH, "STATUS_AUTH_TAG_MISMATCH"),
        (status::CONNECTION_RESET, "STATUS_CONNECTION_RESET"),
        (status::CONNECTION_REFUSED, "STATUS_CONNECTION_REFUSED"),
        (status::NETWORK_UNREACHABLE, "STATUS_NETWORK_UNREACHABLE"),
        (status::HOST_UNREACHABLE, "STATUS_HOST_UNREACHABLE"),
        (status::PORT_UNREACHABLE, "STATUS_PORT_UNREACHABLE"),
        (status::CONNECTION_ABORTED, "STATUS_CONNECTION_ABORTED"),
        (status::ADDRESS_ALREADY_EXISTS, "STATUS_ADDRESS_ALREADY_EXISTS"),
        (status::EVENT_PENDING, "STATUS_EVENT_PENDING"),
        (status::DEVICE_BUSY, "STATUS_DEVICE_BUSY"),
        (status::REVISION_MISMATCH, "STATUS_REVISION_MISMATCH"),
        (status::DEVICE_DOES_NOT_EXIST, "STATUS_DEVICE_DOES_NOT_EXIST"),
        (status::DELETE_PENDING, "STATUS_DELETE_PENDING"),
        (status::FILE_CLOSED, "STATUS_FILE_CLOSED"),
        (status::BUFFER_TOO_SMALL, "STATUS_BUFFER_TOO_SMALL"),
        (status::NO_SUCH_DEVICE, "STATUS_NO_SUCH_DEVICE"),
    ] {
        assert_eq!(mine, signed(name), "{name}");
    }
    for (mine, name) in [
        (i64::from(mj::CREATE), "IRP_MJ_CREATE"),
        (i64::from(mj::CLEANUP), "IRP_MJ_CLEANUP"),
        (i64::from(mj::DEVICE_CONTROL), "IRP_MJ_DEVICE_CONTROL"),
        (i64::from(mj::PNP), "IRP_MJ_PNP"),
        (i64::from(mj::POWER), "IRP_MJ_POWER"),
        (i64::from(mn::SURPRISE_REMOVAL), "IRP_MN_SURPRISE_REMOVAL"),
        (i64::from(mn::QUERY_CAPABILITIES), "IRP_MN_QUERY_CAPABILITIES"),
        (i64::from(sl::INVOKE_ON_ERROR), "SL_INVOKE_ON_ERROR"),
        (i64::from(dev_flags::DEVICE_INITIALIZING), "DO_DEVICE_INITIALIZING"),
        (i64::from(dev_flags::EXCLUSIVE), "DO_EXCLUSIVE"),
        (i64::from(mdl_flags::SOURCE_IS_NONPAGED_POOL), "MDL_SOURCE_IS_NONPAGED_POOL"),
        (i64::from(irp_flags::DEALLOCATE_BUFFER), "IRP_DEALLOCATE_BUFFER"),
        (i64::try_from(pool_flags::NON_PAGED).expect("small"), "POOL_FLAG_NON_PAGED"),
        (i64::try_from(pool_flags::UNINITIALIZED).expect("small"), "POOL_FLAG_UNINITIALIZED"),
        (i64::from(af::INET6), "AF_INET6"),
    ] {
        assert_eq!(mine, c(name), "{name}");
    }
}
