//! What a class extension (NetAdapterCx) may hang on the framework's objects.

use super::abi::{NtStatus, SUCCESS};
use super::object::Ref;

/// Rules of a class extension about the WDFDEVICE_INIT that it has configured (NetDeviceInitConfig). Set with
/// [`super::init::claim`].
pub trait InitRules: Send + Sync {
    /// Name of the extension: `NetAdapterCx`.
    fn name(&self) -> &'static str;
    /// The driver calls `call` (such as `WdfDeviceInitAssignName`) on the claimed init; the extension records a violation
    /// where it forbids that.
    fn init_call(&self, _call: &'static str) {}
    /// The device has been created from the init. Hang [`DeviceHooks`] on it here or later.
    fn device_created(&self, _device: Ref) {}
}

/// Steps of a device's life, all at PASSIVE_LEVEL on the PnP thread. Add with [`super::device::add_hooks`].
pub trait DeviceHooks: Send + Sync {
    /// EvtDevicePrepareHardware has succeeded.
    fn prepared(&self, _device: Ref) -> NtStatus {
        SUCCESS
    }
    /// The last step of power-up: D0Entry, queues and EvtDeviceSelfManagedIoInit/Restart are done. `first` after a start.
    fn powered_up(&self, _device: Ref, _first: bool) -> NtStatus {
        SUCCESS
    }
    /// The first step of power-down, before EvtDeviceSelfManagedIoSuspend. `removing` when the device goes for good.
    fn powering_down(&self, _device: Ref, _removing: bool) {}
    /// EvtDeviceReleaseHardware has returned.
    fn released(&self, _device: Ref) {}
    /// EvtDeviceSelfManagedIoCleanup has returned; the device is about to be deleted.
    fn removed(&self, _device: Ref) {}
    /// The driver has created a device interface; `reference` is its reference string, if one was given.
    fn interface_created(&self, _device: Ref, _reference: Option<&str>) {}
}
