//! Registration with WSK.

use crate::status::{Result, Status};
use core::cell::UnsafeCell;
use core::ptr::{null, null_mut};
use dco_sync::{Shared, try_box};
use nt_sys::wsk;
extern crate alloc;
use alloc::boxed::Box;

/// A WSK client with its provider captured. Cheap to clone; the last clone's drop releases and deregisters (PASSIVE_LEVEL).
#[derive(Clone)]
pub struct Client(Shared<Registration>);

struct Registration {
    /// Boxed: WSK keeps the address.
    state: Box<State>,
    provider: wsk::WSK_PROVIDER_NPI,
}

struct State {
    registration: UnsafeCell<wsk::WSK_REGISTRATION>,
}

// SAFETY: WSK synchronises access to its registration structure; the provider table is read-only.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

struct Dispatch(wsk::WSK_CLIENT_DISPATCH);
// SAFETY: constant data.
unsafe impl Sync for Dispatch {}

static DISPATCH: Dispatch = Dispatch(wsk::WSK_CLIENT_DISPATCH { Version: 0x0100, Reserved: 0, WskClientEvent: None });

/// How long to wait for the WSK provider. It is there once the network stack has started; never wait for ever in a driver.
const CAPTURE_TIMEOUT_MS: u32 = 5_000;

impl Client {
    /// Registers and captures the provider. PASSIVE_LEVEL; may wait up to five seconds while the system starts.
    ///
    /// # Errors
    /// WSK's status; DEVICE_NOT_READY when the provider does not appear in time.
    pub fn register() -> Result<Self> {
        // SAFETY: an integer-and-pointer structure that WskRegister initialises.
        let state = try_box(State { registration: UnsafeCell::new(unsafe { core::mem::zeroed() }) })?;
        let mut npi = wsk::WSK_CLIENT_NPI { ClientContext: null_mut(), Dispatch: &raw const DISPATCH.0 };
        // SAFETY: the NPI is copied; the registration is boxed, so its address stays valid until WskDeregister.
        Status(unsafe { wsk::WskRegister(&raw mut npi, state.registration.get()) }).ok()?;
        let mut provider = wsk::WSK_PROVIDER_NPI { Client: null_mut(), Dispatch: null() };
        // SAFETY: registered just above; the out pointer is a live local.
        let captured = Status(unsafe {
            wsk::WskCaptureProviderNPI(state.registration.get(), CAPTURE_TIMEOUT_MS, &raw mut provider)
        });
        if let Err(status) = captured.ok() {
            // SAFETY: registered, and no NPI is captured.
            unsafe { wsk::WskDeregister(state.registration.get()) };
            return Err(status);
        }
        Ok(Self(Shared::try_new(Registration { state, provider })?))
    }

    pub(super) fn provider(&self) -> *mut wsk::WSK_CLIENT {
        self.0.provider.Client
    }

    /// The provider's functions.
    pub(super) fn dispatch(&self) -> &wsk::WSK_PROVIDER_DISPATCH {
        // SAFETY: the captured provider's table is valid until WskReleaseProviderNPI, which is this object's drop.
        unsafe { &*self.0.provider.Dispatch }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: captured by `register`; no socket is left, since each holds a reference to this.
        unsafe { wsk::WskReleaseProviderNPI(self.state.registration.get()) };
        // SAFETY: registered by `register`.
        unsafe { wsk::WskDeregister(self.state.registration.get()) };
    }
}
