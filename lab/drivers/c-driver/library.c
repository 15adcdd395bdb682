/* Generic tables and ETW. */
#include "c-driver.h"

typedef struct {
    ULONG Key;
    ULONG Value;
} ENTRY;

#define COUNT 257
static LONG Live;

static RTL_GENERIC_COMPARE_RESULTS Compare(const ENTRY *a, const ENTRY *b)
{
    return a->Key < b->Key ? GenericLessThan : a->Key > b->Key ? GenericGreaterThan : GenericEqual;
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI CompareSplay(PRTL_GENERIC_TABLE t, PVOID a, PVOID b)
{
    UNREFERENCED_PARAMETER(t);
    return Compare(a, b);
}

static RTL_GENERIC_COMPARE_RESULTS NTAPI CompareAvl(PRTL_AVL_TABLE t, PVOID a, PVOID b)
{
    UNREFERENCED_PARAMETER(t);
    return Compare(a, b);
}

static PVOID Allocate(CLONG n)
{
    InterlockedIncrement(&Live);
    return ExAllocatePoolWithTag(NonPagedPoolNx, n, TAG);
}

static VOID Free(PVOID p)
{
    InterlockedDecrement(&Live);
    ExFreePoolWithTag(p, TAG);
}

static PVOID NTAPI AllocateSplay(PRTL_GENERIC_TABLE t, CLONG n)
{
    return t->TableContext == &Live ? Allocate(n) : NULL;
}

static PVOID NTAPI AllocateAvl(PRTL_AVL_TABLE t, CLONG n)
{
    return t->TableContext == &Live ? Allocate(n) : NULL;
}

static VOID NTAPI FreeSplay(PRTL_GENERIC_TABLE t, PVOID p)
{
    UNREFERENCED_PARAMETER(t);
    Free(p);
}

static VOID NTAPI FreeAvl(PRTL_AVL_TABLE t, PVOID p)
{
    UNREFERENCED_PARAMETER(t);
    Free(p);
}

/* Every key below COUNT once, in no order: 100 has no factor in common with 257. */
static ULONG Key(ULONG i)
{
    return i * 100 % COUNT;
}

static ULONG Splay(VOID)
{
    RTL_GENERIC_TABLE t;
    ENTRY e, *p;
    BOOLEAN fresh;
    PVOID restart = NULL;
    ULONG i;

    RtlInitializeGenericTable(&t, CompareSplay, AllocateSplay, FreeSplay, &Live);
    CHECK(RtlIsGenericTableEmpty(&t));
    for (i = 0; i < COUNT; i++) {
        e.Key = Key(i);
        e.Value = i;
        p = RtlInsertElementGenericTable(&t, &e, sizeof(e), &fresh);
        CHECK(p && fresh && p->Key == e.Key && p->Value == i);
    }
    e.Key = 5;
    p = RtlInsertElementGenericTable(&t, &e, sizeof(e), &fresh);
    CHECK(p && !fresh && p->Value != e.Value + 1000 && p->Key == 5);
    CHECK(RtlNumberGenericTableElements(&t) == COUNT && Live == COUNT);
    for (i = 0, p = RtlEnumerateGenericTable(&t, TRUE); p; p = RtlEnumerateGenericTable(&t, FALSE), i++)
        CHECK(p->Key == i);
    CHECK(i == COUNT);
    for (i = 0; (p = RtlEnumerateGenericTableWithoutSplaying(&t, &restart)) != NULL; i++)
        CHECK(p->Key == i);
    CHECK(i == COUNT);
    /* By order of insertion. */
    for (i = 0; i < COUNT; i += 16) {
        p = RtlGetElementGenericTable(&t, i);
        CHECK(p && p->Key == Key(i));
    }
    CHECK(!RtlGetElementGenericTable(&t, COUNT));
    for (i = 0; i < COUNT; i += 2) {
        e.Key = i;
        CHECK(RtlDeleteElementGenericTable(&t, &e));
        CHECK(!RtlDeleteElementGenericTable(&t, &e));
    }
    for (i = 0; i < COUNT; i++) {
        e.Key = i;
        p = RtlLookupElementGenericTable(&t, &e);
        CHECK((p != NULL) == (i % 2 == 1) && (!p || p->Key == i));
    }
    while ((p = RtlGetElementGenericTable(&t, 0)) != NULL)
        CHECK(RtlDeleteElementGenericTable(&t, p));
    CHECK(RtlIsGenericTableEmpty(&t) && Live == 0);
    return 0;
}

static ULONG Avl(VOID)
{
    RTL_AVL_TABLE t;
    ENTRY e, *p;
    BOOLEAN fresh;
    PVOID place, restart = NULL;
    TABLE_SEARCH_RESULT how;
    ULONG i;

    RtlInitializeGenericTableAvl(&t, CompareAvl, AllocateAvl, FreeAvl, &Live);
    for (i = 0; i < COUNT; i++) {
        e.Key = Key(i);
        e.Value = i;
        CHECK(!RtlLookupElementGenericTableFullAvl(&t, &e, &place, &how));
        p = RtlInsertElementGenericTableFullAvl(&t, &e, sizeof(e), &fresh, place, how);
        CHECK(p && fresh && p->Key == e.Key);
    }
    CHECK(RtlNumberGenericTableElementsAvl(&t) == COUNT && Live == COUNT);
    p = RtlInsertElementGenericTableAvl(&t, &e, sizeof(e), &fresh);
    CHECK(p && !fresh && p->Key == e.Key);
    for (i = 0, p = RtlEnumerateGenericTableAvl(&t, TRUE); p; p = RtlEnumerateGenericTableAvl(&t, FALSE), i++)
        CHECK(p->Key == i);
    CHECK(i == COUNT);
    for (i = 0; (p = RtlEnumerateGenericTableWithoutSplayingAvl(&t, &restart)) != NULL; i++)
        CHECK(p->Key == i);
    CHECK(i == COUNT);
    p = RtlGetElementGenericTableAvl(&t, 40);
    CHECK(p && p->Key == 40);
    for (i = 0; i < COUNT; i += 3) {
        e.Key = i;
        CHECK(RtlDeleteElementGenericTableAvl(&t, &e));
    }
    for (i = 0; i < COUNT; i++) {
        e.Key = i;
        p = RtlLookupElementGenericTableAvl(&t, &e);
        CHECK((p != NULL) == (i % 3 != 0) && (!p || p->Key == i));
    }
    while ((p = RtlGetElementGenericTableAvl(&t, 0)) != NULL)
        CHECK(RtlDeleteElementGenericTableAvl(&t, p));
    CHECK(RtlIsGenericTableEmptyAvl(&t) && Live == 0);
    return 0;
}

ULONG CheckTables(VOID)
{
    ULONG line = Splay();

    return line ? line : Avl();
}

ULONG CheckEtw(VOID)
{
    static const GUID provider = { 0x6d1c0a55, 0x91d0, 0x4d6b, { 0x8f, 0x5e, 0x10, 0x2b, 0x4a, 0xc3, 0x77, 0x01 } };
    static const EVENT_DESCRIPTOR event = { .Id = 1, .Level = 4 };
    GUID activity = { 0 };
    EVENT_DATA_DESCRIPTOR data;
    REGHANDLE h;
    ULONG value = 7;

    CHECK(NT_SUCCESS(EtwRegister(&provider, NULL, NULL, &h)));
    CHECK(!EtwEventEnabled(h, &event) && !EtwProviderEnabled(h, 4, 0));
    EventDataDescCreate(&data, &value, sizeof(value));
    CHECK(NT_SUCCESS(EtwWrite(h, &event, NULL, 1, &data)));
    CHECK(NT_SUCCESS(EtwWriteString(h, 4, 0, NULL, L"text")));
    CHECK(NT_SUCCESS(EtwActivityIdControl(EVENT_ACTIVITY_CTRL_CREATE_ID, &activity)));
    CHECK(activity.Data1 || activity.Data2 || activity.Data3);
    CHECK(NT_SUCCESS(EtwWriteTransfer(h, &event, &activity, NULL, 0, NULL)));
    CHECK(NT_SUCCESS(EtwUnregister(h)));
    return 0;
}
