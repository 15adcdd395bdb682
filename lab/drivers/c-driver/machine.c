/* What the headers inline: the shared data page, CR8, processor state through gs; and the security cookie. */
#include "c-driver.h"

/* winnt.h's layout of the load configuration, up to the cookie. The linker puts its address into the data directory. */
typedef struct {
    ULONG Size;
    ULONG Other[21];
    ULONG_PTR Cookie;
    ULONG_PTR More[19];
} LOAD_CONFIG;

#define DEFAULT_COOKIE 0x00002B992DDFA232ULL

ULONG_PTR __security_cookie = DEFAULT_COOKIE;
const LOAD_CONFIG _load_config_used = { .Size = sizeof(LOAD_CONFIG), .Cookie = (ULONG_PTR)&__security_cookie };
C_ASSERT(FIELD_OFFSET(LOAD_CONFIG, Cookie) == 88);

/* GCC's stack protector reads its guard by this name: it is the cookie. */
__asm__(".globl __stack_chk_guard\n.set __stack_chk_guard, __security_cookie\n");

void __stack_chk_fail(void)
{
    KeBugCheckEx(0xF7, 0, __security_cookie, ~__security_cookie, 0);
}

static ULONGLONG ReadTime(volatile KSYSTEM_TIME *t)
{
    LONG high;
    ULONG low;

    do {
        high = t->High1Time;
        low = t->LowPart;
    } while (high != t->High2Time);
    return (ULONGLONG)high << 32 | low;
}

ULONG CheckShared(PULONGLONG SystemTime)
{
    volatile KUSER_SHARED_DATA *s = (volatile KUSER_SHARED_DATA *)SharedUserData;
    ULONGLONG before, between, after;
    RTL_OSVERSIONINFOW version = { .dwOSVersionInfoSize = sizeof(version) };
    LARGE_INTEGER ticks, frequency;
    ULONG increment;

    CHECK(NT_SUCCESS(RtlGetVersion(&version)));
    CHECK(s->NtMajorVersion == version.dwMajorVersion);
    CHECK(s->NtMinorVersion == version.dwMinorVersion);
    CHECK(s->NtMajorVersion >= 10);
    CHECK(s->NtProductType == NtProductWinNt && s->ProductTypeIsValid);
    CHECK(s->NtSystemRoot[0] == 'C' && s->NtSystemRoot[1] == ':' && s->NtSystemRoot[2] == '\\');
    CHECK(s->ImageNumberLow == 0x8664 && s->ImageNumberHigh == 0x8664);
    /* Every x86-64 processor has these. */
    CHECK(s->ProcessorFeatures[PF_XMMI64_INSTRUCTIONS_AVAILABLE] == TRUE);
    CHECK(s->ProcessorFeatures[PF_RDTSC_INSTRUCTION_AVAILABLE]);
    CHECK(!s->ProcessorFeatures[PF_FLOATING_POINT_EMULATED]);
    CHECK(s->ActiveProcessorCount == KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));

    /* The kernel's calls and the page tell the same time. */
    before = ReadTime(&s->InterruptTime);
    between = KeQueryInterruptTime();
    after = ReadTime(&s->InterruptTime);
    CHECK(before != 0 && before <= between && between <= after);
    increment = KeQueryTimeIncrement();
    CHECK(s->TickCountMultiplier == (ULONG)(((ULONGLONG)increment << 24) / 10000));
    KeQueryTickCount(&ticks);
    CHECK((ULONGLONG)ticks.QuadPart >= after / increment);
    CHECK((ULONGLONG)ticks.QuadPart <= ReadTime(&s->InterruptTime) / increment);
    CHECK(s->TickCountQuad >= (ULONGLONG)ticks.QuadPart);
    CHECK((ReadTime(&s->TickCount) & 0xFFFFFFFF) >= s->TickCountLowDeprecated || s->TickCountLowDeprecated == 0);
    (void)KeQueryPerformanceCounter(&frequency);
    CHECK(frequency.QuadPart != 0);
    /* Arithmetic with a memory operand, as compilers emit it. */
    CHECK(((ULONGLONG)ticks.QuadPart * s->TickCountMultiplier) >> 24 <= ReadTime(&s->InterruptTime) / 10000 + 1);
    *SystemTime = ReadTime(&s->SystemTime);
    return 0;
}

ULONG CheckProcessor(VOID)
{
    PKPCR pcr;
    KIRQL old;
    ULONG number;

    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    CHECK(old == PASSIVE_LEVEL && KeGetCurrentIrql() == DISPATCH_LEVEL);
    pcr = KeGetPcr();
    CHECK((ULONGLONG)pcr > 0xFFFF800000000000ULL && pcr->Self == pcr);
    CHECK((ULONG_PTR)pcr->CurrentPrcb == (ULONG_PTR)pcr + 0x180);
    CHECK(pcr->MajorVersion == PCR_MAJOR_VERSION);
    number = KeGetCurrentProcessorNumber();
    CHECK(number < 64 && number == __readgsdword(0x1A4));
    CHECK(number == KeGetCurrentProcessorNumberEx(NULL));
    CHECK(*(ULONG *)((PUCHAR)pcr->CurrentPrcb + 0x24) == number);
    KeRaiseIrql(HIGH_LEVEL, &old);
    CHECK(old == DISPATCH_LEVEL && KeGetCurrentIrql() == HIGH_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    KeLowerIrql(PASSIVE_LEVEL);
    CHECK(KeGetCurrentIrql() == PASSIVE_LEVEL);
    CHECK(KeGetCurrentThread() != NULL && (PETHREAD)KeGetCurrentThread() == PsGetCurrentThread());
    return 0;
}

/* Has a guarded frame, which is checked when it returns. */
static __attribute__((noinline)) ULONG Guarded(ULONG n)
{
    volatile UCHAR b[64];
    ULONG i, sum = 0;

    for (i = 0; i < sizeof(b); i++)
        b[i] = (UCHAR)(n + i);
    for (i = 0; i < sizeof(b); i++)
        sum += b[i];
    return sum;
}

ULONG CheckCookie(VOID)
{
    ULONG_PTR cookie = *(volatile ULONG_PTR *)&__security_cookie;

    CHECK(cookie != DEFAULT_COOKIE && cookie != 0);
    CHECK(cookie >> 48 == 0);
    CHECK(Guarded(1) == 64 + 63 * 32);
    return 0;
}
