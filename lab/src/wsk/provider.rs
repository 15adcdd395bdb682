//! `WSK_PROVIDER_DISPATCH`: making sockets.

use super::abi::{
    ClientDatagramDispatch, EventCallbackControl, FLAG_CONNECTION, FLAG_DATAGRAM, FLAG_LISTEN, FLAG_STREAM,
    INTERFACE_ID, IPPROTO_UDP, Irp, ProviderDispatch, SET_STATIC_EVENT_CALLBACKS, TDI_BEHAVIOR, VERSION,
};
use super::irp::Held;
use super::registration;
use super::socket::Socket;
use super::{BAD_PARAMETER, not_implemented};
use crate::fault;
use crate::irql;
use crate::nt::{NTSTATUS, af, status};
use crate::report::{InCall, record};
use crate::thunk::wrap;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

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
        FLAG_DATAGRAM => {}
        FLAG_LISTEN | FLAG_CONNECTION | FLAG_STREAM | 0 => {
            not_implemented(&format!("socket category {flags} (the lab has datagram sockets)"));
            return held.complete(status::NOT_SUPPORTED, 0);
        }
        _ => {
            record(BAD_PARAMETER, &format!("Flags {flags:#x} name no socket category"));
            return held.complete(status::INVALID_PARAMETER, 0);
        }
    }
    if (family != af::INET && family != af::INET6) || kind != SOCK_DGRAM || protocol != IPPROTO_UDP {
        record(BAD_PARAMETER, &format!("a datagram socket of family {family}, type {kind}, protocol {protocol}"));
        return held.complete(status::INVALID_PARAMETER, 0);
    }
    let event = if callbacks.is_null() {
        None
    } else {
        // SAFETY: the driver's WSK_CLIENT_DATAGRAM_DISPATCH, which lives as long as the socket.
        unsafe { (*callbacks.cast::<ClientDatagramDispatch>()).receive_from_event }
    };
    if fault::fails("WskSocket") {
        return held.finish(None, status::INSUFFICIENT_RESOURCES, 0);
    }
    match Socket::create(inside.client(), family, context, event) {
        Ok(socket) => held.finish(None, status::SUCCESS, socket as u64),
        Err(s) => held.finish(None, s, 0),
    }
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

extern "win64" fn socket_connect() -> NTSTATUS {
    super::stop_not_implemented("WskSocketConnect")
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
