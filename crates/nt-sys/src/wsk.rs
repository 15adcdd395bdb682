//! Winsock Kernel, socket addresses and options. Not in `wdk-sys`.

use core::ffi::c_void;

use crate::{
    CHAR, INT, KSPIN_LOCK, LONGLONG, NTSTATUS, PEPROCESS, PETHREAD, PIRP, PMDL, PSECURITY_DESCRIPTOR, PVOID, SIZE_T,
    UCHAR, ULONG, ULONGLONG, USHORT,
};

pub type ADDRESS_FAMILY = USHORT;
pub type PULONG = *mut ULONG;
pub type PSIZE_T = *mut SIZE_T;

/// Opaque: the provider's idea of us.
#[repr(C)]
pub struct WSK_CLIENT {
    _unused: [u8; 0],
}
pub type PWSK_CLIENT = *mut WSK_CLIENT;

#[cfg_attr(windows, link(name = "NETIO.SYS", kind = "raw-dylib", modifiers = "+verbatim"))]
unsafe extern "C" {
    #[must_use]
    pub fn WskRegister(WskClientNpi: PWSK_CLIENT_NPI, WskRegistration: PWSK_REGISTRATION) -> NTSTATUS;
    pub fn WskDeregister(WskRegistration: PWSK_REGISTRATION);
    #[must_use]
    pub fn WskCaptureProviderNPI(
        WskRegistration: PWSK_REGISTRATION,
        WaitTimeout: ULONG,
        WskProviderNpi: PWSK_PROVIDER_NPI,
    ) -> NTSTATUS;
    pub fn WskReleaseProviderNPI(WskRegistration: PWSK_REGISTRATION);
}

/// Version 1.0, what `WSK_CLIENT_DISPATCH` asks for.
pub const WSK_VERSION_1_0: USHORT = 0x0100;

/// The NPI whose callbacks `SO_WSK_EVENT_CALLBACK` switches.
pub const NPI_WSK_INTERFACE_ID: NPIID =
    NPIID { Data1: 0x2227_E803, Data2: 0x8D8B, Data3: 0x11D4, Data4: [0xAB, 0xAD, 0x00, 0x90, 0x27, 0x71, 0x9E, 0x09] };

pub const IPPROTO_TCP: u32 = 6;
pub const IPPROTO_UDP: u32 = 17;
pub const IPPROTO_IPV6: u32 = 41;

// Provider functions.

pub type PFN_WSK_SOCKET = Option<
    unsafe extern "C" fn(
        Client: PWSK_CLIENT,
        AddressFamily: ADDRESS_FAMILY,
        SocketType: USHORT,
        Protocol: ULONG,
        Flags: ULONG,
        SocketContext: PVOID,
        Dispatch: *const c_void,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_SOCKET_CONNECT = Option<
    unsafe extern "C" fn(
        Client: PWSK_CLIENT,
        SocketType: USHORT,
        Protocol: ULONG,
        LocalAddress: PSOCKADDR,
        RemoteAddress: PSOCKADDR,
        Flags: ULONG,
        SocketContext: PVOID,
        Dispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        OwningProcess: PEPROCESS,
        OwningThread: PETHREAD,
        SecurityDescriptor: PSECURITY_DESCRIPTOR,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_CONTROL_CLIENT = Option<
    unsafe extern "C" fn(
        Client: PWSK_CLIENT,
        ControlCode: ULONG,
        InputSize: SIZE_T,
        InputBuffer: PVOID,
        OutputSize: SIZE_T,
        OutputBuffer: PVOID,
        OutputSizeReturned: PSIZE_T,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_CONTROL_SOCKET = Option<
    unsafe extern "C" fn(
        Socket: PWSK_SOCKET,
        RequestType: WSK_CONTROL_SOCKET_TYPE::Type,
        ControlCode: ULONG,
        Level: ULONG,
        InputSize: SIZE_T,
        InputBuffer: PVOID,
        OutputSize: SIZE_T,
        OutputBuffer: PVOID,
        OutputSizeReturned: PSIZE_T,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_CLOSE_SOCKET = Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_BIND =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, LocalAddress: PSOCKADDR, Flags: ULONG, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_ACCEPT = Option<
    unsafe extern "C" fn(
        ListenSocket: PWSK_SOCKET,
        Flags: ULONG,
        AcceptSocketContext: PVOID,
        AcceptSocketDispatch: *const WSK_CLIENT_CONNECTION_DISPATCH,
        LocalAddress: PSOCKADDR,
        RemoteAddress: PSOCKADDR,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
/// Not called, so its arguments are not spelled out.
pub type PFN_WSK_INSPECT_COMPLETE = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_CONNECT =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, RemoteAddress: PSOCKADDR, Flags: ULONG, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_SEND_TO = Option<
    unsafe extern "C" fn(
        Socket: PWSK_SOCKET,
        Buffer: PWSK_BUF,
        Flags: ULONG,
        RemoteAddress: PSOCKADDR,
        ControlInfoLength: ULONG,
        ControlInfo: PCMSGHDR,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_SEND_MESSAGES = Option<
    unsafe extern "C" fn(
        Socket: PWSK_SOCKET,
        BufferList: PWSK_BUF_LIST,
        Flags: ULONG,
        RemoteAddress: PSOCKADDR,
        ControlInfoLength: ULONG,
        ControlInfo: PCMSGHDR,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_RECEIVE_FROM = Option<
    unsafe extern "C" fn(
        Socket: PWSK_SOCKET,
        Buffer: PWSK_BUF,
        Flags: ULONG,
        RemoteAddress: PSOCKADDR,
        ControlLength: PULONG,
        ControlInfo: PCMSGHDR,
        ControlFlags: PULONG,
        Irp: PIRP,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, DatagramIndication: PWSK_DATAGRAM_INDICATION) -> NTSTATUS>;
pub type PFN_WSK_RELEASE_DATA_INDICATION_LIST =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, DataIndication: PWSK_DATA_INDICATION) -> NTSTATUS>;
pub type PFN_WSK_GET_LOCAL_ADDRESS =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, LocalAddress: PSOCKADDR, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_GET_REMOTE_ADDRESS =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, RemoteAddress: PSOCKADDR, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_SEND =
    Option<unsafe extern "C" fn(Socket: PWSK_SOCKET, Buffer: PWSK_BUF, Flags: ULONG, Irp: PIRP) -> NTSTATUS>;
pub type PFN_WSK_RECEIVE = PFN_WSK_SEND;
pub type PFN_WSK_DISCONNECT = PFN_WSK_SEND;
/// Functions this driver does not call.
pub type PFN_WSK_GET_ADDRESS_INFO = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_FREE_ADDRESS_INFO = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_GET_NAME_INFO = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_CONNECT_EX = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_SEND_EX = Option<unsafe extern "C" fn()>;
pub type PFN_WSK_RECEIVE_EX = Option<unsafe extern "C" fn()>;

// Callbacks of the client.

pub type PFN_WSK_CLIENT_EVENT = Option<
    unsafe extern "C" fn(
        ClientContext: PVOID,
        EventType: ULONG,
        Information: PVOID,
        InformationLength: SIZE_T,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_RECEIVE_FROM_EVENT = Option<
    unsafe extern "C" fn(SocketContext: PVOID, Flags: ULONG, DataIndication: PWSK_DATAGRAM_INDICATION) -> NTSTATUS,
>;
pub type PFN_WSK_RECEIVE_EVENT = Option<
    unsafe extern "C" fn(
        SocketContext: PVOID,
        Flags: ULONG,
        DataIndication: PWSK_DATA_INDICATION,
        BytesIndicated: SIZE_T,
        BytesAccepted: PSIZE_T,
    ) -> NTSTATUS,
>;
pub type PFN_WSK_DISCONNECT_EVENT = Option<unsafe extern "C" fn(SocketContext: PVOID, Flags: ULONG) -> NTSTATUS>;
pub type PFN_WSK_SEND_BACKLOG_EVENT =
    Option<unsafe extern "C" fn(SocketContext: PVOID, IdealBacklogSize: SIZE_T) -> NTSTATUS>;

pub mod WSK_CONTROL_SOCKET_TYPE {
    pub type Type = core::ffi::c_int;
    pub const WskSetOption: Type = 0;
    pub const WskGetOption: Type = 1;
    pub const WskIoctl: Type = 2;
    pub const WskControlMax: Type = 3;
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_SOCKET {
    pub Dispatch: *const c_void,
}
pub type PWSK_SOCKET = *mut WSK_SOCKET;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_CLIENT_NPI {
    pub ClientContext: PVOID,
    pub Dispatch: *const WSK_CLIENT_DISPATCH,
}
pub type PWSK_CLIENT_NPI = *mut WSK_CLIENT_NPI;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_CLIENT_DISPATCH {
    pub Version: USHORT,
    pub Reserved: USHORT,
    pub WskClientEvent: PFN_WSK_CLIENT_EVENT,
}
pub type PWSK_CLIENT_DISPATCH = *mut WSK_CLIENT_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_REGISTRATION {
    pub ReservedRegistrationState: ULONGLONG,
    pub ReservedRegistrationContext: PVOID,
    pub ReservedRegistrationLock: KSPIN_LOCK,
}
pub type PWSK_REGISTRATION = *mut WSK_REGISTRATION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_NPI {
    pub Client: PWSK_CLIENT,
    pub Dispatch: *const WSK_PROVIDER_DISPATCH,
}
pub type PWSK_PROVIDER_NPI = *mut WSK_PROVIDER_NPI;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_DISPATCH {
    pub Version: USHORT,
    pub Reserved: USHORT,
    pub WskSocket: PFN_WSK_SOCKET,
    pub WskSocketConnect: PFN_WSK_SOCKET_CONNECT,
    pub WskControlClient: PFN_WSK_CONTROL_CLIENT,
    pub WskGetAddressInfo: PFN_WSK_GET_ADDRESS_INFO,
    pub WskFreeAddressInfo: PFN_WSK_FREE_ADDRESS_INFO,
    pub WskGetNameInfo: PFN_WSK_GET_NAME_INFO,
}
pub type PWSK_PROVIDER_DISPATCH = *mut WSK_PROVIDER_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_CHARACTERISTICS {
    pub HighestVersion: USHORT,
    pub LowestVersion: USHORT,
}
pub type PWSK_PROVIDER_CHARACTERISTICS = *mut WSK_PROVIDER_CHARACTERISTICS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_BASIC_DISPATCH {
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
}
pub type PWSK_PROVIDER_BASIC_DISPATCH = *mut WSK_PROVIDER_BASIC_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_LISTEN_DISPATCH {
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
    pub WskBind: PFN_WSK_BIND,
    pub WskAccept: PFN_WSK_ACCEPT,
    pub WskInspectComplete: PFN_WSK_INSPECT_COMPLETE,
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
}
pub type PWSK_PROVIDER_LISTEN_DISPATCH = *mut WSK_PROVIDER_LISTEN_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_DATAGRAM_DISPATCH {
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
    pub WskBind: PFN_WSK_BIND,
    pub WskSendTo: PFN_WSK_SEND_TO,
    pub WskReceiveFrom: PFN_WSK_RECEIVE_FROM,
    pub WskRelease: PFN_WSK_RELEASE_DATAGRAM_INDICATION_LIST,
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
    pub WskSendMessages: PFN_WSK_SEND_MESSAGES,
}
pub type PWSK_PROVIDER_DATAGRAM_DISPATCH = *mut WSK_PROVIDER_DATAGRAM_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_PROVIDER_CONNECTION_DISPATCH {
    pub WskControlSocket: PFN_WSK_CONTROL_SOCKET,
    pub WskCloseSocket: PFN_WSK_CLOSE_SOCKET,
    pub WskBind: PFN_WSK_BIND,
    pub WskConnect: PFN_WSK_CONNECT,
    pub WskGetLocalAddress: PFN_WSK_GET_LOCAL_ADDRESS,
    pub WskGetRemoteAddress: PFN_WSK_GET_REMOTE_ADDRESS,
    pub WskSend: PFN_WSK_SEND,
    pub WskReceive: PFN_WSK_RECEIVE,
    pub WskDisconnect: PFN_WSK_DISCONNECT,
    pub WskRelease: PFN_WSK_RELEASE_DATA_INDICATION_LIST,
    pub WskConnectEx: PFN_WSK_CONNECT_EX,
    pub WskSendEx: PFN_WSK_SEND_EX,
    pub WskReceiveEx: PFN_WSK_RECEIVE_EX,
}
pub type PWSK_PROVIDER_CONNECTION_DISPATCH = *mut WSK_PROVIDER_CONNECTION_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_CLIENT_DATAGRAM_DISPATCH {
    pub WskReceiveFromEvent: PFN_WSK_RECEIVE_FROM_EVENT,
}
pub type PWSK_CLIENT_DATAGRAM_DISPATCH = *mut WSK_CLIENT_DATAGRAM_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_CLIENT_CONNECTION_DISPATCH {
    pub WskReceiveEvent: PFN_WSK_RECEIVE_EVENT,
    pub WskDisconnectEvent: PFN_WSK_DISCONNECT_EVENT,
    pub WskSendBacklogEvent: PFN_WSK_SEND_BACKLOG_EVENT,
}
pub type PWSK_CLIENT_CONNECTION_DISPATCH = *mut WSK_CLIENT_CONNECTION_DISPATCH;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_BUF {
    pub Mdl: PMDL,
    pub Offset: ULONG,
    pub Length: SIZE_T,
}
pub type PWSK_BUF = *mut WSK_BUF;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_BUF_LIST {
    pub Next: *mut WSK_BUF_LIST,
    pub Buffer: WSK_BUF,
}
pub type PWSK_BUF_LIST = *mut WSK_BUF_LIST;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_DATAGRAM_INDICATION {
    pub Next: *mut WSK_DATAGRAM_INDICATION,
    pub Buffer: WSK_BUF,
    pub ControlInfo: PCMSGHDR,
    pub ControlInfoLength: ULONG,
    pub RemoteAddress: PSOCKADDR,
}
pub type PWSK_DATAGRAM_INDICATION = *mut WSK_DATAGRAM_INDICATION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_DATA_INDICATION {
    pub Next: *mut WSK_DATA_INDICATION,
    pub Buffer: WSK_BUF,
}
pub type PWSK_DATA_INDICATION = *mut WSK_DATA_INDICATION;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WSK_EVENT_CALLBACK_CONTROL {
    pub NpiId: PNPIID,
    pub EventMask: ULONG,
}
pub type PWSK_EVENT_CALLBACK_CONTROL = *mut WSK_EVENT_CALLBACK_CONTROL;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct NPIID {
    pub Data1: ULONG,
    pub Data2: USHORT,
    pub Data3: USHORT,
    pub Data4: [UCHAR; 8],
}
pub type PNPIID = *mut NPIID;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SOCKADDR {
    pub sa_family: ADDRESS_FAMILY,
    pub sa_data: [CHAR; 14],
}
pub type PSOCKADDR = *mut SOCKADDR;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SOCKADDR_IN {
    pub sin_family: ADDRESS_FAMILY,
    pub sin_port: USHORT,
    pub sin_addr: IN_ADDR,
    pub sin_zero: [CHAR; 8],
}
pub type PSOCKADDR_IN = *mut SOCKADDR_IN;

#[repr(C)]
#[derive(Clone, Copy)]
pub union SOCKADDR_IN6_SCOPE {
    pub sin6_scope_id: ULONG,
    /// Low to high: 28 bits zone, 4 bits level.
    pub sin6_scope_struct: ULONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SOCKADDR_IN6 {
    pub sin6_family: ADDRESS_FAMILY,
    pub sin6_port: USHORT,
    pub sin6_flowinfo: ULONG,
    pub sin6_addr: IN6_ADDR,
    pub __bindgen_anon_1: SOCKADDR_IN6_SCOPE,
}
pub type PSOCKADDR_IN6 = *mut SOCKADDR_IN6;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SOCKADDR_STORAGE {
    pub ss_family: ADDRESS_FAMILY,
    pub __ss_pad1: [CHAR; 6],
    pub __ss_align: LONGLONG,
    pub __ss_pad2: [CHAR; 112],
}
pub type PSOCKADDR_STORAGE = *mut SOCKADDR_STORAGE;

#[repr(C)]
#[derive(Clone, Copy)]
pub union SOCKADDR_INET {
    pub Ipv4: SOCKADDR_IN,
    pub Ipv6: SOCKADDR_IN6,
    pub si_family: ADDRESS_FAMILY,
}
pub type PSOCKADDR_INET = *mut SOCKADDR_INET;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN_ADDR_BYTES {
    pub s_b1: UCHAR,
    pub s_b2: UCHAR,
    pub s_b3: UCHAR,
    pub s_b4: UCHAR,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN_ADDR_WORDS {
    pub s_w1: USHORT,
    pub s_w2: USHORT,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub union IN_ADDR_UNION {
    pub S_un_b: IN_ADDR_BYTES,
    pub S_un_w: IN_ADDR_WORDS,
    pub S_addr: ULONG,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN_ADDR {
    pub S_un: IN_ADDR_UNION,
}
pub type PIN_ADDR = *mut IN_ADDR;

#[repr(C)]
#[derive(Clone, Copy)]
pub union IN6_ADDR_UNION {
    pub Byte: [UCHAR; 16],
    pub Word: [USHORT; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN6_ADDR {
    pub u: IN6_ADDR_UNION,
}
pub type PIN6_ADDR = *mut IN6_ADDR;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CMSGHDR {
    pub cmsg_len: SIZE_T,
    pub cmsg_level: INT,
    pub cmsg_type: INT,
}
pub type PCMSGHDR = *mut CMSGHDR;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN_PKTINFO {
    pub ipi_addr: IN_ADDR,
    pub ipi_ifindex: ULONG,
}
pub type PIN_PKTINFO = *mut IN_PKTINFO;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IN6_PKTINFO {
    pub ipi6_addr: IN6_ADDR,
    pub ipi6_ifindex: ULONG,
}
pub type PIN6_PKTINFO = *mut IN6_PKTINFO;

pub const AF_INET: u32 = 2;
pub const AF_INET6: u32 = 0x17;
pub const AF_UNSPEC: u32 = 0;
pub const INADDR_ANY: u32 = 0;
pub const INADDR_BROADCAST: u32 = 0xffffffff;
pub const INADDR_LOOPBACK: u32 = 0x7f000001;
pub const INADDR_NONE: u32 = 0xffffffff;
pub const IPPROTO_IP: u32 = 0;
pub const IPV6_DONTFRAG: u32 = 0xe;
pub const IPV6_MTU: u32 = 0x48;
pub const IPV6_MTU_DISCOVER: u32 = 0x47;
pub const IPV6_PKTINFO: u32 = 0x13;
pub const IPV6_UNICAST_HOPS: u32 = 4;
pub const IPV6_UNICAST_IF: u32 = 0x1f;
pub const IPV6_V6ONLY: u32 = 0x1b;
pub const IP_DONTFRAGMENT: u32 = 0xe;
pub const IP_MTU: u32 = 0x49;
pub const IP_MTU_DISCOVER: u32 = 0x47;
pub const IP_PKTINFO: u32 = 0x13;
pub const IP_TTL: u32 = 4;
pub const IP_UNICAST_IF: u32 = 0x1f;
pub const SIO_WSK_QUERY_IDEAL_SEND_BACKLOG: u32 = 0x4f000003;
pub const SIO_WSK_QUERY_RECEIVE_BACKLOG: u32 = 0x4f000004;
pub const SIO_WSK_SET_REMOTE_ADDRESS: u32 = 0x8f000001;
pub const SIO_WSK_SET_SENDTO_ADDRESS: u32 = 0x8f000006;
pub const SIO_WSK_SET_TCP_SILENT_MODE: u32 = 0x2f000007;
pub const SOCK_DGRAM: u32 = 2;
pub const SOCK_RAW: u32 = 3;
pub const SOCK_STREAM: u32 = 1;
pub const SOL_SOCKET: u32 = 0xffff;
pub const SO_ERROR: u32 = 0x1007;
pub const SO_EXCLUSIVEADDRUSE: u32 = 0xfffffffb;
pub const SO_PORT_SCALABILITY: u32 = 0x3006;
pub const SO_RCVBUF: u32 = 0x1002;
pub const SO_REUSEADDR: u32 = 4;
pub const SO_REUSE_MULTICASTPORT: u32 = 0x3008;
pub const SO_REUSE_UNICASTPORT: u32 = 0x3007;
pub const SO_SNDBUF: u32 = 0x1001;
pub const SO_TYPE: u32 = 0x1008;
pub const SO_WSK_EVENT_CALLBACK: u32 = 0x4002;
pub const SO_WSK_SECURITY: u32 = 0x4001;
pub const TCP_NODELAY: u32 = 1;
pub const WSK_CACHE_SD: u32 = 4;
pub const WSK_EVENT_ACCEPT: u32 = 0x200;
pub const WSK_EVENT_DISABLE: u32 = 0x80000000;
pub const WSK_EVENT_DISCONNECT: u32 = 0x80;
pub const WSK_EVENT_RECEIVE: u32 = 0x40;
pub const WSK_EVENT_RECEIVE_FROM: u32 = 0x100;
pub const WSK_EVENT_SEND_BACKLOG: u32 = 0x10;
pub const WSK_FLAG_ABORTIVE: u32 = 1;
pub const WSK_FLAG_AT_DISPATCH_LEVEL: u32 = 8;
pub const WSK_FLAG_BASIC_SOCKET: u32 = 0;
pub const WSK_FLAG_CONNECTION_SOCKET: u32 = 2;
pub const WSK_FLAG_DATAGRAM_SOCKET: u32 = 4;
pub const WSK_FLAG_DRAIN: u32 = 4;
pub const WSK_FLAG_ENTIRE_MESSAGE: u32 = 4;
pub const WSK_FLAG_LISTEN_SOCKET: u32 = 1;
pub const WSK_FLAG_NODELAY: u32 = 2;
pub const WSK_FLAG_OOB: u32 = 1;
pub const WSK_FLAG_RELEASE_ASAP: u32 = 2;
pub const WSK_FLAG_STREAM_SOCKET: u32 = 8;
pub const WSK_FLAG_WAITALL: u32 = 2;
pub const WSK_INFINITE_WAIT: u32 = 0xffffffff;
pub const WSK_NO_WAIT: u32 = 0;
pub const WSK_RELEASE_SD: u32 = 5;
pub const WSK_SET_STATIC_EVENT_CALLBACKS: u32 = 7;
pub const WSK_SO_BASE: u32 = 0x4000;
pub const WSK_TRANSPORT_LIST_CHANGE: u32 = 3;
pub const WSK_TRANSPORT_LIST_QUERY: u32 = 2;
