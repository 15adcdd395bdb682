/*
 * tap-windows.h - the few names OpenVPN for Windows takes from the TAP driver's header.
 *
 * Debian has no package with it and OpenVPN does not compile without it. Only numbers and names of the TAP
 * driver's interface stand here; with the DCO driver none of them is ever sent to a device.
 */
#ifndef TAP_WINDOWS_H
#define TAP_WINDOWS_H

#define TAP_IOCTL(n) CTL_CODE(FILE_DEVICE_UNKNOWN, (n), METHOD_BUFFERED, FILE_ANY_ACCESS)

#define TAP_WIN_IOCTL_GET_MAC               TAP_IOCTL(1)
#define TAP_WIN_IOCTL_GET_VERSION           TAP_IOCTL(2)
#define TAP_WIN_IOCTL_GET_MTU               TAP_IOCTL(3)
#define TAP_WIN_IOCTL_GET_INFO              TAP_IOCTL(4)
#define TAP_WIN_IOCTL_CONFIG_POINT_TO_POINT TAP_IOCTL(5)
#define TAP_WIN_IOCTL_SET_MEDIA_STATUS      TAP_IOCTL(6)
#define TAP_WIN_IOCTL_CONFIG_DHCP_MASQ      TAP_IOCTL(7)
#define TAP_WIN_IOCTL_GET_LOG_LINE          TAP_IOCTL(8)
#define TAP_WIN_IOCTL_CONFIG_DHCP_SET_OPT   TAP_IOCTL(9)
#define TAP_WIN_IOCTL_CONFIG_TUN            TAP_IOCTL(10)

#define NET_CLASS_GUID "{4D36E972-E325-11CE-BFC1-08002BE10318}"

#define ADAPTER_KEY             "SYSTEM\\CurrentControlSet\\Control\\Class\\" NET_CLASS_GUID
#define NETWORK_CONNECTIONS_KEY "SYSTEM\\CurrentControlSet\\Control\\Network\\" NET_CLASS_GUID

#define USERMODEDEVICEDIR "\\\\.\\Global\\"
#define TAP_WIN_SUFFIX    ".tap"

#endif
