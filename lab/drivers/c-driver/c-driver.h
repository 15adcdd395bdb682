/* The test driver in C: what its files share. Built by lab/tests/c_driver.rs with mingw's DDK headers. */
#ifndef C_DRIVER_H
#define C_DRIVER_H

#include <ntddk.h>

#define TAG 'vrdC'

/* A check that fails makes the request answer with the line it stands in, in its first output word. */
#define CHECK(what) do { if (!(what)) return __LINE__; } while (0)

/* Buffered requests: the output is one ULONG, 0 or the line of the check that failed, and what the request says. */
#define CODE(n) CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800 + (n), METHOD_BUFFERED, FILE_ANY_ACCESS)
#define REQUEST_SHARED CODE(0)    /* KUSER_SHARED_DATA; then its system time */
#define REQUEST_PROCESSOR CODE(1) /* CR8 and gs */
#define REQUEST_TABLES CODE(2)
#define REQUEST_COOKIE CODE(3)
#define REQUEST_ETW CODE(4)
#define REQUEST_KERNEL CODE(5)    /* DPC, timer, events, work item, lookaside list, spin locks */
#define REQUEST_PEND CODE(6)      /* pends with a cancel routine and a remove lock */
#define REQUEST_FAULT CODE(7)     /* input: number of a fault in fault.c */

ULONG CheckShared(PULONGLONG SystemTime);
ULONG CheckProcessor(VOID);
ULONG CheckTables(VOID);
ULONG CheckCookie(VOID);
ULONG CheckEtw(VOID);
ULONG CheckKernel(PDEVICE_OBJECT Device);
VOID Fault(ULONG Number);

extern ULONG_PTR __security_cookie;

#endif
