//! The configuration of a network device: its keywords, which the INF and the adapter's properties write.

use crate::status::{Result, Status};
use crate::wdf::device::Handle;
use crate::wide::Wide;
use core::ptr::null_mut;
use nt_sys::net::{_NET_CONFIGURATION_QUERY_ULONG_FLAGS::NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS, NETCONFIGURATION};
use nt_sys::net_call;

/// The number that a keyword of `device` has, whether stored as one or as a decimal string. PASSIVE_LEVEL, from EvtDriverDeviceAdd on.
///
/// # Errors
/// OBJECT_NAME_NOT_FOUND for one that is not there, and what else NetAdapterCx says.
pub fn keyword(device: Handle<'_>, name: Wide) -> Result<u32> {
    let (name, mut value) = (name.unicode(), 0u32);
    let mut configuration: NETCONFIGURATION = null_mut();
    // SAFETY: the device is live; NULL attributes mean none; the out pointer is a live local.
    Status(unsafe { net_call!(NetDeviceOpenConfiguration, device.raw(), null_mut(), &raw mut configuration) }).ok()?;
    // SAFETY: the configuration was just opened and is closed once; name and out pointer are live locals.
    let queried = unsafe {
        let status = net_call!(
            NetConfigurationQueryUlong,
            configuration,
            NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS,
            &raw const name,
            &raw mut value,
        );
        net_call!(NetConfigurationClose, configuration);
        status
    };
    Status(queried).ok()?;
    Ok(value)
}
