//! `WSK_PROVIDER_DISPATCH`: making sockets.

use super::abi::{
    ClientConnectionDispatch, ClientDatagramDispatch, ClientStreamDispatch, EventCallbackControl, FLAG_CONNECTION,
    FLAG_DATAGRAM, FLAG_LISTEN, FLAG_STREAM, INTERFACE_ID, IPPROTO_TCP, IPPROTO_UDP, Irp, ProviderDispatch,
    SET_STATIC_EVENT_CALLBACKS, TDI_BEHAVIOR, VERSION,
};
use super::datagram::Datagram;
use super::irp::Held;
use super::listen::Listening;
use super::registration;
use super::socket::address_of;
use super::stream::{self, Stream};
use super::{BAD_PARAMETER, not_implemented};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, af, status};
use crate::report::{InCall, record};
use crate::thunk::wrap;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;

/// The table that `WskCaptureProviderNPI` hands out.
pub fn dispatch() -> *const ProviderDispatch {
    static TABLE: OnceLock<ProviderDispatch> = OnceLock::new();
    TABLE.get_or_init(|| ProviderDispatch {
        version: VERSION,
        reserved: 0,
        wsk_socket: wrap(socket as *const () as usize),
        wsk_socket_connect: wrap(socket_connect as *const () as usize),
        wsk_control_client: wrap(control_client as *const () as usize),
        wsk_get_address_info: wrap(get_address_info as *const () as usize),
        wsk_free_address_info: wrap(free_address_info as *const () as usize),
        wsk_get_name_info: wrap(get_name_info as *const () as usize),
    })
}

/// `WskSocket`.
extern "win64" fn socket(
    client: *mut c_void,
    family: u16,
    kind: u16,
    protocol: u32,
    flags: u32,
    context: *mut c_void,
    callbacks: *const c_void,
    _owning_process: *mut c_void,
    _owning_thread: *mut c_void,
    _security: *mut c_void,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskSocket");
    irql::require_at_most(irql::DISPATCH);
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    let Some(inside) = registration::enter(client) else { return held.complete(status::INVALID_PARAMETER, 0) };
    match flags {
        FLAG_DATAGRAM | FLAG_CONNECTION | FLAG_STREAM | FLAG_LISTEN => {}
        0 => {
            not_implemented("basic sockets (the lab has datagram, connection, listening and stream sockets)");
            return held.complete(status::NOT_SUPPORTED, 0);
        }
        _ => {
            record(BAD_PARAMETER, &format!("Flags {flags:#x} name no socket category"));
            return held.complete(status::INVALID_PARAMETER, 0);
        }
    }
    let of_category = if flags == FLAG_DATAGRAM { (SOCK_DGRAM, IPPROTO_UDP) } else { (SOCK_STREAM, IPPROTO_TCP) };
    if (family != af::INET && family != af::INET6) || (kind, protocol) != of_category {
        record(
            BAD_PARAMETER,
            &format!("a socket of category {flags}, family {family}, type {kind}, protocol {protocol}"),
        );
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    if fault::fails("WskSocket") {
        return held.finish(None, status::INSUFFICIENT_RESOURCES, 0);
    }
    let made = match flags {
        FLAG_DATAGRAM => {
            // SAFETY: null or the driver's WSK_CLIENT_DATAGRAM_DISPATCH, which lives as long as the socket.
            let event =
                unsafe { callbacks.cast::<ClientDatagramDispatch>().as_ref() }.and_then(|c| c.receive_from_event);
            Datagram::create(inside.client(), family, context, event)
        }
        // Its callbacks are for events that the lab has not.
        FLAG_LISTEN => Listening::create(inside.client(), family, context),
        _ => {
            // SAFETY: null or the driver's dispatch of the category that Flags names.
            let events = unsafe { connection_events(callbacks, flags) };
            Stream::create(inside.client(), family, context, events, flags).map(|s| s.base().handle())
        }
    };
    match made {
        Ok(socket) => held.finish(None, status::SUCCESS, socket as u64),
        Err(s) => held.finish(None, s, 0),
    }
}

/// # Safety
/// `callbacks` is null, or a `WSK_CLIENT_CONNECTION_DISPATCH` or `WSK_CLIENT_STREAM_DISPATCH` as `category` says.
unsafe fn connection_events(callbacks: *const c_void, category: u32) -> ClientConnectionDispatch {
    let none = ClientConnectionDispatch { receive_event: None, disconnect_event: None, send_backlog_event: None };
    // SAFETY: as our caller promises.
    unsafe {
        let events = if category == FLAG_STREAM {
            callbacks.cast::<ClientStreamDispatch>().as_ref().map_or(std::ptr::null(), |c| c.connect)
        } else {
            callbacks.cast::<ClientConnectionDispatch>()
        };
        events.as_ref().copied().unwrap_or(none)
    }
}

/// `WskSocketConnect`.
extern "win64" fn socket_connect(
    client: *mut c_void,
    kind: u16,
    protocol: u32,
    local: *const u8,
    remote: *const u8,
    flags: u32,
    context: *mut c_void,
    callbacks: *const c_void,
    _owning_process: *mut c_void,
    _owning_thread: *mut c_void,
    _security: *mut c_void,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskSocketConnect");
    irql::require_at_most(irql::DISPATCH);
    // SAFETY: what the driver passed.
    let Some(held) = (unsafe { Held::take(irp) }) else { return status::INVALID_PARAMETER };
    let Some(inside) = registration::enter(client) else { return held.complete(status::INVALID_PARAMETER, 0) };
    if (kind, protocol, flags) != (SOCK_STREAM, IPPROTO_TCP, 0) || local.is_null() {
        record(BAD_PARAMETER, &format!("type {kind}, protocol {protocol}, Flags {flags:#x}, LocalAddress {local:p}"));
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    // SAFETY: not null; every SOCKADDR has a family.
    let family = unsafe { local.cast::<u16>().read_unaligned() };
    // SAFETY: the driver's SOCKADDRs.
    let addresses = unsafe {
        address_of(local, family, "LocalAddress")
            .and_then(|l| address_of(remote, family, "RemoteAddress").map(|r| (l, r)))
    };
    let (local, remote) = match addresses {
        Ok(a) => a,
        Err(s) => return held.complete(s, 0),
    };
    // SAFETY: null or the driver's WSK_CLIENT_CONNECTION_DISPATCH.
    let events = unsafe { connection_events(callbacks, FLAG_CONNECTION) };
    stream::socket_connect(inside.client(), &local, remote, family, context, events, held)
}

/// `WskControlClient`.
extern "win64" fn control_client(
    client: *mut c_void,
    code: u32,
    input_len: usize,
    input: *const c_void,
    _output_len: usize,
    _output: *mut c_void,
    _returned: *mut usize,
    irp: Irp,
) -> NTSTATUS {
    let _call = InCall::enter("WskControlClient");
    irql::require_at_most(irql::DISPATCH);
    let Some(inside) = registration::enter(client) else { return status::INVALID_PARAMETER };
    match code {
        SET_STATIC_EVENT_CALLBACKS => {
            if !irp.is_null() || input.is_null() || input_len != size_of::<EventCallbackControl>() {
                record(BAD_PARAMETER, "WSK_SET_STATIC_EVENT_CALLBACKS takes a WSK_EVENT_CALLBACK_CONTROL and no IRP");
                return status::INVALID_PARAMETER;
            }
            // SAFETY: the size was stated; the driver's buffer.
            let control = unsafe { input.cast::<EventCallbackControl>().read_unaligned() };
            // SAFETY: null or the driver's NPIID.
            if unsafe { control.npi_id.as_ref() } != Some(&INTERFACE_ID) {
                record(BAD_PARAMETER, "NpiId is not NPI_WSK_INTERFACE_ID");
                return status::INVALID_PARAMETER;
            }
            if inside.client().sockets.load(Ordering::SeqCst) != 0 {
                record(BAD_PARAMETER, "WSK_SET_STATIC_EVENT_CALLBACKS after a socket was created");
                return status::INVALID_DEVICE_STATE;
            }
            inside.client().static_mask.store(control.mask, Ordering::SeqCst);
            status::SUCCESS
        }
        TDI_BEHAVIOR => status::SUCCESS,
        other => {
            not_implemented(&format!("WskControlClient code {other}"));
            if irp.is_null() {
                return status::NOT_SUPPORTED;
            }
            // SAFETY: what the driver passed.
            match unsafe { Held::take(irp) } {
                Some(held) => held.complete(status::NOT_SUPPORTED, 0),
                None => status::INVALID_PARAMETER,
            }
        }
    }
}

extern "win64" fn get_address_info() -> NTSTATUS {
    super::stop_not_implemented("WskGetAddressInfo")
}

extern "win64" fn free_address_info() {
    super::stop_not_implemented("WskFreeAddressInfo")
}

extern "win64" fn get_name_info() -> NTSTATUS {
    super::stop_not_implemented("WskGetNameInfo")
}
