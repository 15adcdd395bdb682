/*
 * setupapi.dll for openvpn.exe under Wine: the adapter enumeration that Wine 8 cannot do.
 *
 * Wine enumerates no network adapter that only a registry entry stands for, and has no CM_Get_Device_Interface_ListA.
 * Here every subkey of the Net class key that has a NetCfgInstanceId and a DcoDeviceInterface (our own value, the
 * path to open) is a present device; its instance id is ROOT\NET\<subkey>. All state is the registry.
 *
 * Wrong arguments end with the error that Windows gives. No call crashes on a bad handle: a handle is a slot's number.
 */
#define _SETUPAPI_ /* declare these functions as ours, not as imports */
#define _CFGMGR32_
#include <windows.h>
#include <setupapi.h>
#include <cfgmgr32.h>
#include <stdio.h>
#include <string.h>

#define EXPORT __declspec(dllexport)
#define CLASS_KEY "System\\CurrentControlSet\\Control\\Class\\{4D36E972-E325-11CE-BFC1-08002BE10318}"
#define ID_PREFIX "ROOT\\NET\\"

static const GUID net_class = {0x4d36e972, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
static const GUID net_interface = {0xcac88484, 0x7515, 0x4c03, {0x82, 0xe6, 0x71, 0xa8, 0x7a, 0xba, 0xc3, 0x61}};

/* --- device information sets: a slot says what its set lists --- */

enum set_kind { FREE = 0, NO_DEVICES, NET_DEVICES };

#define SLOTS 64
#define FIRST_HANDLE 0x5e70

static volatile LONG slots[SLOTS];

/* The set's slot, or NULL and ERROR_INVALID_HANDLE. */
static volatile LONG *slot_of(HDEVINFO set)
{
    UINT_PTR i = (UINT_PTR)set - FIRST_HANDLE;

    if (i >= SLOTS || slots[i] == FREE) {
        SetLastError(ERROR_INVALID_HANDLE);
        return NULL;
    }
    return &slots[i];
}

/* --- devices --- */

struct device {
    char subkey[16];
    char path[MAX_PATH];
};

static BOOL has_text(HKEY key, const char *name, char *text, DWORD size)
{
    return RegGetValueA(key, NULL, name, RRF_RT_REG_SZ, NULL, text, &size) == ERROR_SUCCESS && text[0];
}

/* The device with this index, counting from 0. */
static BOOL device_at(DWORD index, struct device *device)
{
    HKEY class_key, key;
    DWORD i;
    BOOL found = FALSE;

    if (RegOpenKeyExA(HKEY_LOCAL_MACHINE, CLASS_KEY, 0, KEY_READ, &class_key) != ERROR_SUCCESS)
        return FALSE;
    for (i = 0; !found; i++) {
        char guid[64];
        DWORD size = sizeof(device->subkey);
        LONG status = RegEnumKeyExA(class_key, i, device->subkey, &size, NULL, NULL, NULL, NULL);

        if (status == ERROR_MORE_DATA)
            continue; /* a longer name than class instances have */
        if (status != ERROR_SUCCESS)
            break;
        if (RegOpenKeyExA(class_key, device->subkey, 0, KEY_READ, &key) != ERROR_SUCCESS)
            continue;
        if (has_text(key, "NetCfgInstanceId", guid, sizeof(guid)) &&
            has_text(key, "DcoDeviceInterface", device->path, sizeof(device->path)))
            found = index-- == 0;
        RegCloseKey(key);
    }
    RegCloseKey(class_key);
    return found;
}

/* The device with this instance id. */
static BOOL device_named(const char *id, struct device *device)
{
    DWORD i;

    if (_strnicmp(id, ID_PREFIX, strlen(ID_PREFIX)))
        return FALSE;
    for (i = 0; device_at(i, device); i++)
        if (!_stricmp(id + strlen(ID_PREFIX), device->subkey))
            return TRUE;
    return FALSE;
}

/* The device that an SP_DEVINFO_DATA of SetupDiEnumDeviceInfo stands for; FALSE with the last error set. */
static BOOL device_of(HDEVINFO set, const SP_DEVINFO_DATA *data, struct device *device)
{
    volatile LONG *slot = slot_of(set);

    if (!slot)
        return FALSE;
    if (!data || data->cbSize != sizeof(*data)) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (*slot != NET_DEVICES || data->DevInst == 0 || !device_at(data->DevInst - 1, device)) {
        SetLastError(ERROR_NO_SUCH_DEVINST);
        return FALSE;
    }
    return TRUE;
}

/* --- SetupDi --- */

EXPORT HDEVINFO WINAPI SetupDiGetClassDevsExA(const GUID *class, PCSTR enumerator, HWND parent, DWORD flags,
                                              HDEVINFO set, PCSTR machine, PVOID reserved)
{
    LONG kind = NO_DEVICES;
    int i;

    (void)enumerator;
    (void)parent;
    if ((!class && !(flags & DIGCF_ALLCLASSES)) || reserved) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return INVALID_HANDLE_VALUE;
    }
    if (set || machine) {
        SetLastError(ERROR_CALL_NOT_IMPLEMENTED);
        return INVALID_HANDLE_VALUE;
    }
    if (!(flags & DIGCF_DEVICEINTERFACE) && ((flags & DIGCF_ALLCLASSES) || IsEqualGUID(class, &net_class)))
        kind = NET_DEVICES;
    for (i = 0; i < SLOTS; i++)
        if (InterlockedCompareExchange(&slots[i], kind, FREE) == FREE)
            return (HDEVINFO)(UINT_PTR)(FIRST_HANDLE + i);
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return INVALID_HANDLE_VALUE;
}

EXPORT BOOL WINAPI SetupDiDestroyDeviceInfoList(HDEVINFO set)
{
    volatile LONG *slot = slot_of(set);

    if (!slot)
        return FALSE;
    InterlockedExchange(slot, FREE);
    return TRUE;
}

EXPORT BOOL WINAPI SetupDiEnumDeviceInfo(HDEVINFO set, DWORD index, PSP_DEVINFO_DATA data)
{
    volatile LONG *slot = slot_of(set);
    struct device device;

    if (!slot)
        return FALSE;
    if (!data || data->cbSize != sizeof(*data)) {
        SetLastError(data ? ERROR_INVALID_USER_BUFFER : ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (*slot != NET_DEVICES || !device_at(index, &device)) {
        SetLastError(ERROR_NO_MORE_ITEMS);
        return FALSE;
    }
    data->ClassGuid = net_class;
    data->DevInst = index + 1;
    data->Reserved = 0;
    return TRUE;
}

EXPORT BOOL WINAPI SetupDiGetDeviceInstanceIdA(HDEVINFO set, PSP_DEVINFO_DATA data, PSTR id, DWORD size,
                                               PDWORD needed)
{
    struct device device;
    DWORD length;

    if (!device_of(set, data, &device))
        return FALSE;
    length = strlen(ID_PREFIX) + strlen(device.subkey) + 1;
    if (needed)
        *needed = length;
    if (!id && size) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    if (size < length) {
        SetLastError(ERROR_INSUFFICIENT_BUFFER);
        return FALSE;
    }
    snprintf(id, size, "%s%s", ID_PREFIX, device.subkey);
    return TRUE;
}

EXPORT HKEY WINAPI SetupDiOpenDevRegKey(HDEVINFO set, PSP_DEVINFO_DATA data, DWORD scope, DWORD profile,
                                        DWORD key_type, REGSAM access)
{
    struct device device;
    char path[sizeof(CLASS_KEY) + sizeof(device.subkey) + 1];
    HKEY key;
    LONG status;

    if (!device_of(set, data, &device))
        return INVALID_HANDLE_VALUE;
    if (scope != DICS_FLAG_GLOBAL || profile || key_type != DIREG_DRV) {
        SetLastError(scope == DICS_FLAG_GLOBAL && !profile ? ERROR_INVALID_DATA : ERROR_INVALID_FLAGS);
        return INVALID_HANDLE_VALUE;
    }
    snprintf(path, sizeof(path), "%s\\%s", CLASS_KEY, device.subkey);
    status = RegOpenKeyExA(HKEY_LOCAL_MACHINE, path, 0, access, &key);
    if (status != ERROR_SUCCESS) {
        SetLastError(status);
        return INVALID_HANDLE_VALUE;
    }
    return key;
}

/* --- CM: the interfaces of a device, as a list of strings that an empty one ends --- */

/* The bytes that the list takes: 1 for none. */
static CONFIGRET interface_list(const GUID *class, const char *id, struct device *device, ULONG *size)
{
    if (!class)
        return CR_INVALID_POINTER;
    *size = 1;
    if (!IsEqualGUID(class, &net_interface))
        return CR_SUCCESS;
    if (!id || !*id) {
        if (!device_at(0, device))
            return CR_SUCCESS;
    } else if (!device_named(id, device)) {
        return CR_NO_SUCH_DEVNODE;
    }
    *size = strlen(device->path) + 2;
    return CR_SUCCESS;
}

EXPORT CONFIGRET WINAPI CM_Get_Device_Interface_List_SizeA(PULONG size, LPGUID class, DEVINSTID_A id, ULONG flags)
{
    struct device device;

    if (!size)
        return CR_INVALID_POINTER;
    if (flags & ~(ULONG)CM_GET_DEVICE_INTERFACE_LIST_BITS)
        return CR_INVALID_FLAG;
    return interface_list(class, id, &device, size);
}

EXPORT CONFIGRET WINAPI CM_Get_Device_Interface_ListA(LPGUID class, DEVINSTID_A id, PCHAR list, ULONG size,
                                                      ULONG flags)
{
    struct device device;
    ULONG needed;
    CONFIGRET status;

    if (!list || !size)
        return CR_INVALID_POINTER;
    if (flags & ~(ULONG)CM_GET_DEVICE_INTERFACE_LIST_BITS)
        return CR_INVALID_FLAG;
    status = interface_list(class, id, &device, &needed);
    if (status != CR_SUCCESS)
        return status;
    if (size < needed)
        return CR_BUFFER_SMALL;
    memset(list, 0, size);
    if (needed > 1)
        memcpy(list, device.path, needed - 2);
    return CR_SUCCESS;
}
