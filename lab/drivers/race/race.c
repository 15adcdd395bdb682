/* A race and an hourly timer, for lab/tests/schedule.rs and time.rs. Built as drivers/c-driver is. */
#include <ntddk.h>

#define TAG 'ecaR'

/* Buffered; input and output are ULONGs. */
#define REQUEST_RACE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)  /* in: 1: with the bug */
#define REQUEST_HOURS CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS) /* in: how many; out: DPC runs */
#define REQUEST_ALARM CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS) /* in: seconds; by system time */
#define REQUEST_SPIN CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS)  /* contended locks */

typedef struct {
    KSPIN_LOCK Lock;
    KEVENT Event;
    PVOID Block;
    BOOLEAN Buggy;
    volatile LONG Count;
    ULONG Wanted;
} SHARED;

typedef struct {
    SHARED *Shared;
    ULONG Delay;
} PART;

DRIVER_INITIALIZE DriverEntry;

/* Whoever finds the block frees it. With the bug, finding it and taking it are two steps. */
static VOID NTAPI Freer(PVOID Context)
{
    PART *part = Context;
    SHARED *s = part->Shared;
    PVOID found;
    KIRQL old;
    ULONG i;

    for (i = 0; i < part->Delay; i++)
        KeReadStateEvent(&s->Event);
    KeAcquireSpinLock(&s->Lock, &old);
    found = s->Block;
    if (!s->Buggy)
        s->Block = NULL;
    KeReleaseSpinLock(&s->Lock, old);
    if (found) {
        if (s->Buggy) {
            KeAcquireSpinLock(&s->Lock, &old);
            s->Block = NULL;
            KeReleaseSpinLock(&s->Lock, old);
        }
        ExFreePoolWithTag(found, TAG);
        InterlockedIncrement(&s->Count);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* Counts under the lock; the lock is contended by as many threads. */
static VOID NTAPI Counter(PVOID Context)
{
    PART *part = Context;
    SHARED *s = part->Shared;
    KIRQL old;
    ULONG i;

    for (i = 0; i < 20; i++) {
        LONG seen;

        KeAcquireSpinLock(&s->Lock, &old);
        seen = s->Count;
        KeReadStateEvent(&s->Event);
        s->Count = seen + 1;
        KeReleaseSpinLock(&s->Lock, old);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS Together(PKSTART_ROUTINE Routine, PART *Parts, ULONG Count)
{
    PVOID threads[3];
    HANDLE handle;
    ULONG i, made = 0;

    for (i = 0; i < Count; i++) {
        if (!NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Routine, &Parts[i])))
            break;
        if (NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &threads[made], NULL)))
            made++;
        ZwClose(handle);
    }
    for (i = 0; i < made; i++) {
        KeWaitForSingleObject(threads[i], Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(threads[i]);
    }
    return made == Count ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID NTAPI Tick(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    SHARED *s = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(One);
    UNREFERENCED_PARAMETER(Two);
    if ((ULONG)InterlockedIncrement(&s->Count) == s->Wanted)
        KeSetEvent(&s->Event, IO_NO_INCREMENT, FALSE);
}

/* Waits for `Wanted` ticks of a timer, `Due` and then every hour. */
static VOID Wait(SHARED *s, LONGLONG Due)
{
    LARGE_INTEGER due = { .QuadPart = Due };
    KTIMER timer;
    KDPC dpc;

    KeInitializeTimer(&timer);
    KeInitializeDpc(&dpc, Tick, s);
    KeSetTimerEx(&timer, due, 3600 * 1000, &dpc);
    KeWaitForSingleObject(&s->Event, Executive, KernelMode, FALSE, NULL);
    KeCancelTimer(&timer);
    KeFlushQueuedDpcs();
}

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI OpenOrClose(PDEVICE_OBJECT Device, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Device);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_STACK_LOCATION l = IoGetCurrentIrpStackLocation(Irp);
    PULONG words = Irp->AssociatedIrp.SystemBuffer;
    NTSTATUS status = STATUS_SUCCESS;
    PART parts[3];
    LARGE_INTEGER now;
    SHARED *s;
    ULONG i;

    UNREFERENCED_PARAMETER(Device);
    if (l->Parameters.DeviceIoControl.InputBufferLength < 4 || l->Parameters.DeviceIoControl.OutputBufferLength < 4)
        return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    s = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*s), TAG);
    if (!s)
        return Complete(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    RtlZeroMemory(s, sizeof(*s));
    KeInitializeSpinLock(&s->Lock);
    KeInitializeEvent(&s->Event, NotificationEvent, FALSE);
    for (i = 0; i < RTL_NUMBER_OF(parts); i++) {
        parts[i].Shared = s;
        parts[i].Delay = i * 4;
    }
    switch (l->Parameters.DeviceIoControl.IoControlCode) {
    case REQUEST_RACE:
        s->Buggy = words[0] != 0;
        s->Block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TAG);
        status = Together(Freer, parts, 2);
        break;
    case REQUEST_SPIN:
        status = Together(Counter, parts, 3);
        break;
    case REQUEST_HOURS:
        s->Wanted = words[0];
        Wait(s, -36000000000LL);
        break;
    case REQUEST_ALARM:
        s->Wanted = 1;
        KeQuerySystemTime(&now);
        Wait(s, now.QuadPart + words[0] * 10000000LL);
        break;
    default:
        status = STATUS_INVALID_DEVICE_REQUEST;
    }
    words[0] = s->Count;
    ExFreePoolWithTag(s, TAG);
    return Complete(Irp, status, NT_SUCCESS(status) ? 4 : 0);
}

static VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    UNICODE_STRING link;

    RtlInitUnicodeString(&link, L"\\DosDevices\\lab-race");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(Driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Registry)
{
    UNICODE_STRING name, link;
    PDEVICE_OBJECT device;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(Registry);
    RtlInitUnicodeString(&name, L"\\Device\\lab-race");
    RtlInitUnicodeString(&link, L"\\DosDevices\\lab-race");
    status = IoCreateDevice(Driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    Driver->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_CLEANUP] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    Driver->DriverUnload = Unload;
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
