//! WSK's structures and constants as a driver sees them (`wsk.h`), asserted against nt-layout.json by a test.

use crate::nt::{GUID, IRP, MDL, NTSTATUS};
use std::ffi::c_void;
use std::mem::offset_of;

/// `WSK_VERSION` 1.0, the one there is.
pub const VERSION: u16 = 0x0100;
/// `WSK_INFINITE_WAIT`.
pub const INFINITE_WAIT: u32 = u32::MAX;

/// `WSK_FLAG_LISTEN_SOCKET`.
pub const FLAG_LISTEN: u32 = 1;
/// `WSK_FLAG_CONNECTION_SOCKET`.
pub const FLAG_CONNECTION: u32 = 2;
/// `WSK_FLAG_DATAGRAM_SOCKET`.
pub const FLAG_DATAGRAM: u32 = 4;
/// `WSK_FLAG_STREAM_SOCKET`.
pub const FLAG_STREAM: u32 = 8;
/// `WSK_FLAG_AT_DISPATCH_LEVEL`.
pub const AT_DISPATCH: u32 = 8;

/// `WSK_FLAG_ABORTIVE`, of `WskDisconnect` and `WskDisconnectEvent`.
pub const ABORTIVE: u32 = 1;
/// `WSK_FLAG_NODELAY`, of `WskSend`.
pub const NODELAY: u32 = 2;
/// `WSK_FLAG_WAITALL`, of `WskReceive`.
pub const WAITALL: u32 = 2;
/// `WSK_FLAG_DRAIN`, of `WskReceive`.
pub const DRAIN: u32 = 4;
/// `WSK_FLAG_ENTIRE_MESSAGE`, of `WskReceiveEvent`.
pub const ENTIRE_MESSAGE: u32 = 4;

/// `WSK_EVENT_SEND_BACKLOG`.
pub const EVENT_SEND_BACKLOG: u32 = 0x10;
/// `WSK_EVENT_RECEIVE`.
pub const EVENT_RECEIVE: u32 = 0x40;
/// `WSK_EVENT_DISCONNECT`.
pub const EVENT_DISCONNECT: u32 = 0x80;
/// `WSK_EVENT_RECEIVE_FROM`.
pub const EVENT_RECEIVE_FROM: u32 = 0x100;
/// `WSK_EVENT_DISABLE`.
pub const EVENT_DISABLE: u32 = 0x8000_0000;

/// `SOL_SOCKET`.
pub const SOL_SOCKET: u32 = 0xFFFF;
/// `IPPROTO_IP`.
pub const IPPROTO_IP: u32 = 0;
/// `IPPROTO_TCP`.
pub const IPPROTO_TCP: u32 = 6;
/// `IPPROTO_UDP`.
pub const IPPROTO_UDP: u32 = 17;
/// `IPPROTO_IPV6`.
pub const IPPROTO_IPV6: u32 = 41;
/// `SO_WSK_EVENT_CALLBACK`.
pub const SO_WSK_EVENT_CALLBACK: u32 = 0x4002;
/// `SIO_WSK_SET_REMOTE_ADDRESS`.
pub const SIO_SET_REMOTE: u32 = 0x8F00_0001;
/// `SIO_WSK_SET_SENDTO_ADDRESS`.
pub const SIO_SET_SENDTO: u32 = 0x8F00_0006;
/// `SIO_WSK_QUERY_IDEAL_SEND_BACKLOG`.
pub const SIO_IDEAL_BACKLOG: u32 = 0x4F00_0003;
/// `SIO_WSK_QUERY_RECEIVE_BACKLOG`.
pub const SIO_RECEIVE_BACKLOG: u32 = 0x4F00_0004;
/// `WSK_SET_STATIC_EVENT_CALLBACKS`.
pub const SET_STATIC_EVENT_CALLBACKS: u32 = 7;
/// `WSK_TDI_BEHAVIOR`.
pub const TDI_BEHAVIOR: u32 = 8;

/// `NPI_WSK_INTERFACE_ID`.
pub const INTERFACE_ID: GUID =
    GUID { Data1: 0x2227_E803, Data2: 0x8D8B, Data3: 0x11D4, Data4: [0xAB, 0xAD, 0x00, 0x90, 0x27, 0x71, 0x9E, 0x09] };

/// `WSK_CLIENT_NPI`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientNpi {
    /// ClientContext.
    pub context: *mut c_void,
    /// Dispatch.
    pub dispatch: *const ClientDispatch,
}

/// `WSK_CLIENT_DISPATCH`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientDispatch {
    /// Version.
    pub version: u16,
    /// Reserved, 0.
    pub reserved: u16,
    /// WskClientEvent, optional.
    pub client_event: usize,
}

/// `WSK_REGISTRATION`: opaque to the client.
#[repr(C)]
#[derive(Debug)]
pub struct RegistrationMemory {
    /// ReservedRegistrationState.
    pub state: u64,
    /// ReservedRegistrationContext.
    pub context: *mut c_void,
    /// ReservedRegistrationLock.
    pub lock: u64,
}

/// `WSK_PROVIDER_NPI`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ProviderNpi {
    /// Client: the lab's block.
    pub client: *mut c_void,
    /// Dispatch.
    pub dispatch: *const ProviderDispatch,
}

/// `WSK_PROVIDER_DISPATCH`.
#[repr(C)]
#[derive(Debug)]
pub struct ProviderDispatch {
    /// Version.
    pub version: u16,
    /// Reserved.
    pub reserved: u16,
    /// WskSocket.
    pub wsk_socket: usize,
    /// WskSocketConnect.
    pub wsk_socket_connect: usize,
    /// WskControlClient.
    pub wsk_control_client: usize,
    /// WskGetAddressInfo.
    pub wsk_get_address_info: usize,
    /// WskFreeAddressInfo.
    pub wsk_free_address_info: usize,
    /// WskGetNameInfo.
    pub wsk_get_name_info: usize,
}

/// `WSK_PROVIDER_DATAGRAM_DISPATCH`.
#[repr(C)]
#[derive(Debug)]
pub struct DatagramDispatch {
    /// WskControlSocket.
    pub control: usize,
    /// WskCloseSocket.
    pub close: usize,
    /// WskBind.
    pub bind: usize,
    /// WskSendTo.
    pub send_to: usize,
    /// WskReceiveFrom.
    pub receive_from: usize,
    /// WskRelease.
    pub release: usize,
    /// WskGetLocalAddress.
    pub get_local_address: usize,
    /// WskSendMessages.
    pub send_messages: usize,
}

/// `WSK_PROVIDER_CONNECTION_DISPATCH`.
#[repr(C)]
#[derive(Debug)]
pub struct ConnectionDispatch {
    /// WskControlSocket.
    pub control: usize,
    /// WskCloseSocket.
    pub close: usize,
    /// WskBind.
    pub bind: usize,
    /// WskConnect.
    pub connect: usize,
    /// WskGetLocalAddress.
    pub get_local_address: usize,
    /// WskGetRemoteAddress.
    pub get_remote_address: usize,
    /// WskSend.
    pub send: usize,
    /// WskReceive.
    pub receive: usize,
    /// WskDisconnect.
    pub disconnect: usize,
    /// WskRelease.
    pub release: usize,
    /// WskConnectEx.
    pub connect_ex: usize,
    /// WskSendEx.
    pub send_ex: usize,
    /// WskReceiveEx.
    pub receive_ex: usize,
}

/// `WSK_PROVIDER_LISTEN_DISPATCH`.
#[repr(C)]
#[derive(Debug)]
pub struct ListenDispatch {
    /// WskControlSocket.
    pub control: usize,
    /// WskCloseSocket.
    pub close: usize,
    /// WskBind.
    pub bind: usize,
    /// WskAccept.
    pub accept: usize,
    /// WskInspectComplete.
    pub inspect_complete: usize,
    /// WskGetLocalAddress.
    pub get_local_address: usize,
}

/// `WSK_PROVIDER_STREAM_DISPATCH`.
#[repr(C)]
#[derive(Debug)]
pub struct StreamDispatch {
    /// WskControlSocket.
    pub control: usize,
    /// WskCloseSocket.
    pub close: usize,
    /// WskBind.
    pub bind: usize,
    /// WskAccept.
    pub accept: usize,
    /// WskConnect.
    pub connect: usize,
    /// WskListen.
    pub listen: usize,
    /// WskSend.
    pub send: usize,
    /// WskReceive.
    pub receive: usize,
    /// WskDisconnect.
    pub disconnect: usize,
    /// WskRelease.
    pub release: usize,
    /// WskGetLocalAddress.
    pub get_local_address: usize,
    /// WskGetRemoteAddress.
    pub get_remote_address: usize,
    /// WskConnectEx.
    pub connect_ex: usize,
    /// WskSendEx.
    pub send_ex: usize,
    /// WskReceiveEx.
    pub receive_ex: usize,
}

/// `WSK_BUF`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Buf {
    /// First MDL of the chain.
    pub mdl: *mut MDL,
    /// Into the first MDL.
    pub offset: u32,
    /// Over the chain.
    pub length: usize,
}

/// `WSK_BUF_LIST`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct BufList {
    /// Next.
    pub next: *mut BufList,
    /// Buffer.
    pub buffer: Buf,
}

/// `WSK_DATAGRAM_INDICATION`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DatagramIndication {
    /// Next.
    pub next: *mut DatagramIndication,
    /// Buffer.
    pub buffer: Buf,
    /// ControlInfo.
    pub control_info: *mut CmsgHdr,
    /// ControlInfoLength.
    pub control_info_length: u32,
    /// RemoteAddress.
    pub remote_address: *mut u8,
}

/// `WSK_DATA_INDICATION`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DataIndication {
    /// Next.
    pub next: *mut DataIndication,
    /// Buffer.
    pub buffer: Buf,
}

/// `CMSGHDR`; data follows at offset 16.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CmsgHdr {
    /// With header.
    pub len: usize,
    /// Windows' numbers.
    pub level: i32,
    /// Windows' numbers.
    pub kind: i32,
}

/// `WSK_EVENT_CALLBACK_CONTROL`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EventCallbackControl {
    /// NpiId.
    pub npi_id: *const GUID,
    /// EventMask.
    pub mask: u32,
}

/// `WSK_CLIENT_DATAGRAM_DISPATCH`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientDatagramDispatch {
    /// WskReceiveFromEvent, optional.
    pub receive_from_event: Option<ReceiveFromEvent>,
}

/// `PFN_WSK_RECEIVE_FROM_EVENT`.
pub type ReceiveFromEvent =
    unsafe extern "win64" fn(context: *mut c_void, flags: u32, list: *mut DatagramIndication) -> NTSTATUS;

/// `WSK_CLIENT_CONNECTION_DISPATCH`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientConnectionDispatch {
    /// WskReceiveEvent, optional.
    pub receive_event: Option<ReceiveEvent>,
    /// WskDisconnectEvent, optional.
    pub disconnect_event: Option<DisconnectEvent>,
    /// WskSendBacklogEvent, optional.
    pub send_backlog_event: Option<SendBacklogEvent>,
}

/// `WSK_CLIENT_STREAM_DISPATCH`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ClientStreamDispatch {
    /// Listen: `WSK_CLIENT_LISTEN_DISPATCH`, unused here.
    pub listen: *const c_void,
    /// Connect.
    pub connect: *const ClientConnectionDispatch,
}

/// `PFN_WSK_RECEIVE_EVENT`.
pub type ReceiveEvent = unsafe extern "win64" fn(
    context: *mut c_void,
    flags: u32,
    list: *mut DataIndication,
    indicated: usize,
    accepted: *mut usize,
) -> NTSTATUS;

/// `PFN_WSK_DISCONNECT_EVENT`.
pub type DisconnectEvent = unsafe extern "win64" fn(context: *mut c_void, flags: u32) -> NTSTATUS;

/// `PFN_WSK_SEND_BACKLOG_EVENT`.
pub type SendBacklogEvent = unsafe extern "win64" fn(context: *mut c_void, ideal: usize) -> NTSTATUS;

/// An IRP from the driver.
pub type Irp = *mut IRP;

const _: () = {
    assert!(size_of::<ClientNpi>() == 16 && size_of::<ClientDispatch>() == 16);
    assert!(size_of::<RegistrationMemory>() == 24 && size_of::<ProviderNpi>() == 16);
    assert!(size_of::<ProviderDispatch>() == 56 && offset_of!(ProviderDispatch, wsk_control_client) == 24);
    assert!(size_of::<DatagramDispatch>() == 64 && offset_of!(DatagramDispatch, release) == 40);
    assert!(size_of::<ConnectionDispatch>() == 104 && offset_of!(ConnectionDispatch, disconnect) == 64);
    assert!(size_of::<ListenDispatch>() == 48 && offset_of!(ListenDispatch, accept) == 24);
    assert!(size_of::<StreamDispatch>() == 120 && offset_of!(StreamDispatch, disconnect) == 64);
    assert!(size_of::<ClientConnectionDispatch>() == 24 && size_of::<ClientStreamDispatch>() == 16);
    assert!(size_of::<DataIndication>() == 32 && offset_of!(DataIndication, buffer) == 8);
    assert!(size_of::<Buf>() == 24 && offset_of!(Buf, length) == 16);
    assert!(size_of::<BufList>() == 32 && offset_of!(BufList, buffer) == 8);
    assert!(size_of::<DatagramIndication>() == 56 && offset_of!(DatagramIndication, remote_address) == 48);
    assert!(size_of::<CmsgHdr>() == 16 && size_of::<EventCallbackControl>() == 16);
};
