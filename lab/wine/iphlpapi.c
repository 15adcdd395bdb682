/*
 * iphlpapi.dll for openvpn.exe under Wine: the calls that Wine 8 lacks. A missing import ends the program when it is
 * first called, and OpenVPN calls some right after START_VPN.
 *
 * Nothing is configured here: addresses, MTU and routes of the tunnel are set on the lab's TUN device, from Linux. So a
 * query answers with an interface that is up and a change succeeds. All other functions are forwarded to Wine's own
 * (the .def file that scripts/lib/wine-openvpn generates).
 */
#include <winsock2.h>
#include <ws2ipdef.h>
#include <windows.h>
#include <iphlpapi.h>
#include <netioapi.h>
#include <string.h>

#define EXPORT __declspec(dllexport)

#define LINK_MTU 1500

static BOOL is_ip(ADDRESS_FAMILY family)
{
    return family == AF_INET || family == AF_INET6;
}

EXPORT void WINAPI InitializeIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
    if (row)
        memset(row, 0, sizeof(*row));
}

EXPORT DWORD WINAPI GetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
    if (!row || !is_ip(row->Family))
        return ERROR_INVALID_PARAMETER;
    row->Connected = TRUE;
    row->NlMtu = LINK_MTU;
    return NO_ERROR;
}

EXPORT DWORD WINAPI SetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
    return row && is_ip(row->Family) ? NO_ERROR : ERROR_INVALID_PARAMETER;
}

static DWORD check_route(const MIB_IPFORWARD_ROW2 *row)
{
    ADDRESS_FAMILY family;

    if (!row)
        return ERROR_INVALID_PARAMETER;
    family = row->DestinationPrefix.Prefix.si_family;
    if (!is_ip(family) || row->DestinationPrefix.PrefixLength > (family == AF_INET ? 32 : 128))
        return ERROR_INVALID_PARAMETER;
    return NO_ERROR;
}

EXPORT DWORD WINAPI CreateIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    return check_route(row);
}

EXPORT DWORD WINAPI DeleteIpForwardEntry2(const MIB_IPFORWARD_ROW2 *row)
{
    return check_route(row);
}
