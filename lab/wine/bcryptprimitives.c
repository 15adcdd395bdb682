/*
 * bcryptprimitives.dll for dco-cli.exe under Wine: Wine 8 has none, and Rust's standard library takes its random numbers from it.
 */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return length <= MAXDWORD && RtlGenRandom(data, (ULONG)length);
}
