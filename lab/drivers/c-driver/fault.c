/* One fault each, by number: the lab has to stop with the rule that lab/tests/c_driver.rs names. */
#include "c-driver.h"

/* Its unwind data name the handler of structured exceptions: the import has to be there. */
__asm__(
    ".globl WithHandler\n"
    ".seh_proc WithHandler\n"
    "WithHandler:\n"
    "    subq $40, %rsp\n"
    "    .seh_stackalloc 40\n"
    "    .seh_endprologue\n"
    "    movl $0xC0000005, %ecx\n"
    "    callq ExRaiseStatus\n"
    "    nop\n"
    "    addq $40, %rsp\n"
    "    retq\n"
    "    .seh_handler __C_specific_handler, @except\n"
    "    .seh_handlerdata\n"
    "    .long 0\n"
    "    .text\n"
    "    .seh_endproc\n");
extern void WithHandler(void);

static __attribute__((noinline)) VOID Overrun(ULONG Count)
{
    UCHAR frame[16];
    volatile UCHAR *p = frame;

    while (Count--)
        *p++ = 0x41;
}

/* Reads whose value nobody wants are left out by the compiler. */
volatile ULONG64 KeepAlive;

VOID Fault(ULONG Number)
{
    LARGE_INTEGER due = { .QuadPart = -10000 };
    KEVENT event;
    KIRQL old;

    switch (Number) {
    case 1: /* A field of the page that the lab does not keep. */
        (void)((volatile KUSER_SHARED_DATA *)SharedUserData)->CryptoExponent;
        break;
    case 2: /* Drivers may not write to the page. */
        *(volatile ULONG *)((ULONG_PTR)SharedUserData + 0x26C) = 6;
        break;
    case 3: /* Processor state that the lab does not keep: IdtBase. */
        KeepAlive = __readgsqword(0x38);
        break;
    case 4: /* CR8 has four bits. */
        __writecr8(0x20);
        break;
    case 5: /* Waiting above APC_LEVEL, raised without a call. */
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &due);
        break;
    case 6: /* Returning at the raised level. */
        KeRaiseIrql(DISPATCH_LEVEL, &old);
        break;
    case 7: /* Raising an exception, in a function with a handler. */
        WithHandler();
        break;
    case 8: /* Any other bad access is a fault. */
        *(volatile ULONG *)0x10 = 1;
        break;
    case 9: /* CR3 is nobody's business here. */
        KeepAlive = __readcr3();
        break;
    case 10: /* A guarded frame is overrun. */
        Overrun(64);
        break;
    case 11: /* No handle of EtwRegister's. */
        EtwUnregister((REGHANDLE)(ULONG_PTR)&event);
        break;
    }
}
