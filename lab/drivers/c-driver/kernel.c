/* DPC, timer, events, work item, lookaside list, spin locks. */
#include "c-driver.h"

typedef struct {
    KSPIN_LOCK Lock;
    KEVENT Event;
    ULONG Runs;
    KIRQL Irql;
    PVOID Argument;
    PIO_WORKITEM Item;
} WORK;

static VOID NTAPI Deferred(PKDPC Dpc, PVOID Context, PVOID One, PVOID Two)
{
    WORK *w = Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Two);
    KeAcquireSpinLockAtDpcLevel(&w->Lock);
    w->Runs++;
    w->Irql = KeGetCurrentIrql();
    w->Argument = One;
    KeReleaseSpinLockFromDpcLevel(&w->Lock);
    KeSetEvent(&w->Event, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI Worker(PDEVICE_OBJECT Device, PVOID Context)
{
    WORK *w = Context;

    UNREFERENCED_PARAMETER(Device);
    w->Irql = KeGetCurrentIrql();
    IoFreeWorkItem(w->Item);
    KeSetEvent(&w->Event, IO_NO_INCREMENT, FALSE);
}

ULONG CheckKernel(PDEVICE_OBJECT Device)
{
    NPAGED_LOOKASIDE_LIST list;
    KLOCK_QUEUE_HANDLE queued;
    WORK *w;
    PVOID blocks[8];
    LARGE_INTEGER due;
    KTIMER timer;
    KDPC dpc;
    KIRQL old;
    ULONG i;

    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, sizeof(WORK), TAG, 0);
    for (i = 0; i < RTL_NUMBER_OF(blocks); i++) {
        blocks[i] = ExAllocateFromNPagedLookasideList(&list);
        CHECK(blocks[i]);
    }
    for (i = 1; i < RTL_NUMBER_OF(blocks); i++)
        ExFreeToNPagedLookasideList(&list, blocks[i]);
    w = blocks[0];
    RtlZeroMemory(w, sizeof(*w));
    KeInitializeSpinLock(&w->Lock);
    KeInitializeEvent(&w->Event, SynchronizationEvent, FALSE);

    KeInitializeDpc(&dpc, Deferred, w);
    CHECK(KeInsertQueueDpc(&dpc, &dpc, NULL));
    CHECK(KeWaitForSingleObject(&w->Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    KeAcquireSpinLock(&w->Lock, &old);
    CHECK(old == PASSIVE_LEVEL && KeGetCurrentIrql() == DISPATCH_LEVEL);
    CHECK(w->Runs == 1 && w->Irql == DISPATCH_LEVEL && w->Argument == &dpc);
    KeReleaseSpinLock(&w->Lock, old);

    KeInitializeTimer(&timer);
    due.QuadPart = -10 * 10000;
    CHECK(!KeSetTimerEx(&timer, due, 5, &dpc));
    for (i = 0; i < 3; i++)
        CHECK(KeWaitForSingleObject(&w->Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(KeCancelTimer(&timer));
    KeFlushQueuedDpcs();
    KeAcquireInStackQueuedSpinLock(&w->Lock, &queued);
    CHECK(w->Runs >= 4);
    KeReleaseInStackQueuedSpinLock(&queued);
    KeClearEvent(&w->Event);

    w->Item = IoAllocateWorkItem(Device);
    CHECK(w->Item);
    IoQueueWorkItem(w->Item, Worker, DelayedWorkQueue, w);
    CHECK(KeWaitForSingleObject(&w->Event, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    CHECK(w->Irql == PASSIVE_LEVEL);
    due.QuadPart = -10000;
    CHECK(KeWaitForSingleObject(&w->Event, Executive, KernelMode, FALSE, &due) == STATUS_TIMEOUT);

    ExFreeToNPagedLookasideList(&list, w);
    ExDeleteNPagedLookasideList(&list);
    return 0;
}
