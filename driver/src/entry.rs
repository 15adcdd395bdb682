//! The driver object: adds adapters, and keeps the version device while there is one.

use crate::control;
use crate::device::Dco;
use crate::trace;
use core::sync::atomic::{AtomicBool, Ordering};
use dco_uapi as uapi;
use nt::etw::Registration as Tracing;
use nt::lock::WaitLock;
use nt::status::Result;
use nt::wdf::device::{ControlDevice, DeviceEvents, DeviceInit};
use nt::wdf::driver::{Driver, DriverEvents};
use nt::wdf::object::ContextRef;
use nt::wdf::request::Ioctl;
use nt::{context, wide};

/// The driver's context.
pub struct OvpnDco {
    version: WaitLock<VersionDevices>,
    tracing: Option<Tracing>,
}
context!(OvpnDco, c"OvpnDcoDriver");

/// The version device exists from the first adapter to the last.
struct VersionDevices {
    adapters: usize,
    device: Option<ControlDevice>,
}

impl OvpnDco {
    /// The context, made once the framework has its driver object. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES.
    pub fn new() -> Result<Self> {
        let version = WaitLock::of_driver(VersionDevices { adapters: 0, device: None })?;
        let tracing = trace::register();
        let uapi::Version { major, minor, patch } = control::VERSION;
        trace::driver_loaded(env!("CARGO_PKG_VERSION"), major, minor, patch);
        Ok(Self { version, tracing })
    }
}

/// One adapter's share in the version device.
pub struct Registration {
    driver: ContextRef<OvpnDco>,
    ended: AtomicBool,
}

impl Registration {
    /// Gives the share up, once; the last one takes the version device away. PASSIVE_LEVEL.
    pub fn end(&self) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut version = self.driver.version.lock();
        version.adapters = version.adapters.saturating_sub(1);
        if version.adapters == 0 {
            version.device = None;
        }
    }
}

/// For an adapter that failed before it had a context; any other has ended its share when it was deleted.
impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}

impl DriverEvents for OvpnDco {
    fn device_add(&self, driver: Driver<'_>, init: DeviceInit) -> Result<()> {
        let registration = Registration { driver: ContextRef::of_driver(driver)?, ended: AtomicBool::new(false) };
        let mut version = self.version.lock();
        version.adapters = version.adapters.saturating_add(1);
        if version.device.is_none() {
            // Without it OpenVPN asks the adapter for the version, as it does of drivers before 1.3: not worth failing for.
            version.device = ControlDevice::create(
                driver,
                wide!("\\Device\\ovpn-dco-ver"),
                wide!("\\DosDevices\\ovpn-dco-ver"),
                // SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_R_RES_R
                wide!("D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)(A;;GR;;;WD)(A;;GR;;;RC)"),
                |_| Ok(VersionDevice),
            )
            .ok();
        }
        drop(version);
        Dco::add(init, registration)
    }

    fn unload(&self) {
        trace::driver_unloaded();
        if let Some(tracing) = &self.tracing {
            tracing.end();
        }
    }
}

/// `\\.\ovpn-dco-ver`: answers the version while a client holds the adapter.
struct VersionDevice;
context!(VersionDevice, c"OvpnDcoVersion");

impl DeviceEvents for VersionDevice {
    fn ioctl(&self, request: Ioctl, code: u32) {
        control::version_only(request, code);
    }
}
