/* A WDM driver: one device, buffered requests, one that pends until it is cancelled or the file is closed. */
#include "c-driver.h"

typedef struct {
    PDEVICE_OBJECT Self;
    IO_REMOVE_LOCK RemoveLock;
    KSPIN_LOCK Lock;
    LIST_ENTRY Pending;
} EXTENSION;

DRIVER_INITIALIZE DriverEntry;

/* Number of the fault that a request brings, whatever its code: lab/tests/rules writes it into copies of the image. */
__attribute__((section(".fault"))) static volatile ULONG FAULT = 0;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static VOID NTAPI CancelPending(PDEVICE_OBJECT Device, PIRP Irp)
{
    EXTENSION *x = Device->DeviceExtension;
    KIRQL old;

    IoReleaseCancelSpinLock(Irp->CancelIrql);
    KeAcquireSpinLock(&x->Lock, &old);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    KeReleaseSpinLock(&x->Lock, old);
    Complete(Irp, STATUS_CANCELLED, 0);
    IoReleaseRemoveLock(&x->RemoveLock, Irp);
}

static NTSTATUS Pend(EXTENSION *x, PIRP Irp)
{
    NTSTATUS status = IoAcquireRemoveLock(&x->RemoveLock, Irp);
    KIRQL old;

    if (!NT_SUCCESS(status))
        return Complete(Irp, status, 0);
    KeAcquireSpinLock(&x->Lock, &old);
    InsertTailList(&x->Pending, &Irp->Tail.Overlay.ListEntry);
    IoMarkIrpPending(Irp);
    IoSetCancelRoutine(Irp, CancelPending);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL)) {
        /* Cancelled before the routine was set: it will not run. */
        RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
        KeReleaseSpinLock(&x->Lock, old);
        Complete(Irp, STATUS_CANCELLED, 0);
        IoReleaseRemoveLock(&x->RemoveLock, Irp);
        return STATUS_PENDING;
    }
    KeReleaseSpinLock(&x->Lock, old);
    return STATUS_PENDING;
}

/* Completes what pends and whose cancel routine has not been taken. */
static VOID Drain(EXTENSION *x)
{
    for (;;) {
        PIRP irp = NULL;
        PLIST_ENTRY e;
        KIRQL old;

        KeAcquireSpinLock(&x->Lock, &old);
        for (e = x->Pending.Flink; e != &x->Pending; e = e->Flink) {
            PIRP i = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);
            if (IoSetCancelRoutine(i, NULL)) {
                RemoveEntryList(e);
                irp = i;
                break;
            }
        }
        KeReleaseSpinLock(&x->Lock, old);
        if (!irp)
            return;
        Complete(irp, STATUS_CANCELLED, 0);
        IoReleaseRemoveLock(&x->RemoveLock, irp);
    }
}

static NTSTATUS NTAPI OpenOrClose(PDEVICE_OBJECT Device, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Device);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI Cleanup(PDEVICE_OBJECT Device, PIRP Irp)
{
    Drain(Device->DeviceExtension);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS NTAPI Read(PDEVICE_OBJECT Device, PIRP Irp)
{
    return Pend(Device->DeviceExtension, Irp);
}

static NTSTATUS NTAPI Control(PDEVICE_OBJECT Device, PIRP Irp)
{
    PIO_STACK_LOCATION s = IoGetCurrentIrpStackLocation(Irp);
    PULONG words = Irp->AssociatedIrp.SystemBuffer;
    ULONG in = s->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out = s->Parameters.DeviceIoControl.OutputBufferLength;
    ULONGLONG time = 0;
    ULONG line;

    if (FAULT) {
        Fault(FAULT);
        return Complete(Irp, STATUS_SUCCESS, 0);
    }
    switch (s->Parameters.DeviceIoControl.IoControlCode) {
    case REQUEST_SHARED: line = CheckShared(&time); break;
    case REQUEST_PROCESSOR: line = CheckProcessor(); break;
    case REQUEST_TABLES: line = CheckTables(); break;
    case REQUEST_COOKIE: line = CheckCookie(); break;
    case REQUEST_ETW: line = CheckEtw(); break;
    case REQUEST_KERNEL: line = CheckKernel(Device); break;
    case REQUEST_PEND: return Pend(Device->DeviceExtension, Irp);
    case REQUEST_FAULT:
        if (in < sizeof(ULONG))
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        Fault(words[0]);
        line = 0;
        break;
    default: return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
    if (out < 3 * sizeof(ULONG))
        return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    words[0] = line;
    words[1] = (ULONG)time;
    words[2] = (ULONG)(time >> 32);
    return Complete(Irp, STATUS_SUCCESS, 3 * sizeof(ULONG));
}

static VOID NTAPI Unload(PDRIVER_OBJECT Driver)
{
    EXTENSION *x = Driver->DeviceObject->DeviceExtension;
    UNICODE_STRING link;

    /* No file is open any more, and no request pends: the lock is taken for the form's sake. */
    IoAcquireRemoveLock(&x->RemoveLock, Driver);
    IoReleaseRemoveLockAndWait(&x->RemoveLock, Driver);
    RtlInitUnicodeString(&link, L"\\DosDevices\\lab-c");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(Driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Registry)
{
    UNICODE_STRING name, link;
    PDEVICE_OBJECT device;
    NTSTATUS status;
    EXTENSION *x;

    UNREFERENCED_PARAMETER(Registry);
    RtlInitUnicodeString(&name, L"\\Device\\lab-c");
    RtlInitUnicodeString(&link, L"\\DosDevices\\lab-c");
    status = IoCreateDevice(Driver, sizeof(EXTENSION), &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status))
        return status;
    x = device->DeviceExtension;
    x->Self = device;
    KeInitializeSpinLock(&x->Lock);
    InitializeListHead(&x->Pending);
    IoInitializeRemoveLock(&x->RemoveLock, TAG, 0, 0);
    status = IoCreateSymbolicLink(&link, &name);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    Driver->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_CLEANUP] = Cleanup;
    Driver->MajorFunction[IRP_MJ_READ] = Read;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    Driver->DriverUnload = Unload;
    device->Flags |= DO_BUFFERED_IO;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
