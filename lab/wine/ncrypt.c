/*
 * ncrypt.dll for openvpn.exe under Wine: whether CHACHA20_POLY1305 exists.
 *
 * OpenVPN asks BCrypt for it (mingw's import library has it come from ncrypt.dll) and turns DCO off for that cipher if
 * the answer is no, which it is in Wine. But the driver's cryptography is the lab's and has it. All else is forwarded to
 * Wine's own (the .def file that scripts/lib/wine-openvpn generates).
 */
#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <bcrypt.h>
#include <ntstatus.h>
#include <string.h>

#define EXPORT __declspec(dllexport)

/* The one handle for the algorithm: good for closing it, which is all that OpenVPN does with it. */
static char chacha;

/* Wine's own. It is loaded already, by ncrypt's own import of it. */
static FARPROC wines(const char *name)
{
    return GetProcAddress(GetModuleHandleA("bcrypt.dll"), name);
}

EXPORT NTSTATUS WINAPI BCryptOpenAlgorithmProvider(BCRYPT_ALG_HANDLE *handle, LPCWSTR id, LPCWSTR provider, ULONG flags)
{
    NTSTATUS (WINAPI *open)(BCRYPT_ALG_HANDLE *, LPCWSTR, LPCWSTR, ULONG);

    if (!handle || !id)
        return STATUS_INVALID_PARAMETER;
    if (!wcscmp(id, L"CHACHA20_POLY1305")) {
        *handle = &chacha;
        return STATUS_SUCCESS;
    }
    open = (void *)wines("BCryptOpenAlgorithmProvider");
    return open ? open(handle, id, provider, flags) : STATUS_INVALID_PARAMETER;
}

EXPORT NTSTATUS WINAPI BCryptCloseAlgorithmProvider(BCRYPT_ALG_HANDLE handle, ULONG flags)
{
    NTSTATUS (WINAPI *close)(BCRYPT_ALG_HANDLE, ULONG);

    if (handle == &chacha)
        return STATUS_SUCCESS;
    close = (void *)wines("BCryptCloseAlgorithmProvider");
    return close ? close(handle, flags) : STATUS_INVALID_HANDLE;
}
