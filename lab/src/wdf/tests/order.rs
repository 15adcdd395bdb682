//! A parallel queue calls the driver on the thread that brings a request, so that one thread's requests keep their order.

use super::*;
use crate::wdf::queue::{Config, PARALLEL};
use std::cell::Cell;

const THREADS: usize = 4;
const EACH: usize = 3000;

thread_local! {
    /// Whether the driver has been called on this thread since its last request was sent.
    static CAME: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "win64" fn evt_write(_queue: Handle, r: Handle, _length: usize) {
    CAME.set(true);
    let c = current();
    // SAFETY: the request just presented.
    unsafe { wdf!(c, "WdfRequestComplete", fn(Handle, NtStatus))(c.g, r, SUCCESS) };
}

#[test]
fn a_threads_requests_reach_the_driver_in_their_order() {
    let c = Client::bind();
    c.create_driver();
    let (device, wdm) = c.start_device();
    let config = Config {
        size: 96,
        dispatch: PARALLEL,
        power_managed: 0,
        allow_zero_length: 0,
        default: 0,
        evt_default: 0,
        evt_read: 0,
        evt_write: evt_write as *const () as usize,
        evt_control: 0,
        evt_internal: 0,
        evt_stop: 0,
        evt_resume: 0,
        evt_canceled: 0,
        presented: u32::MAX,
        driver: 0,
    };
    let create = wdf!(c, "WdfIoQueueCreate", fn(Handle, *const Config, *const RawAttributes, *mut Handle) -> NtStatus);
    let route = wdf!(c, "WdfDeviceConfigureRequestDispatching", fn(Handle, Handle, u32) -> NtStatus);
    let mut q = 0;
    // SAFETY: live arguments.
    unsafe {
        assert_eq!(create(c.g, device, &raw const config, std::ptr::null(), &raw mut q), SUCCESS);
        assert_eq!(route(c.g, device, q, u32::from(mj::WRITE)), SUCCESS);
    }
    let wdm = wdm.addr();
    let late = |_| {
        move || {
            let mut late = 0;
            for _ in 0..EACH {
                CAME.set(false);
                let (tx, rx) = mpsc::channel();
                let (irp, _) = send(wdm as *mut DEVICE_OBJECT, mj::WRITE, 0, std::ptr::null_mut(), Some(tx));
                late += usize::from(!CAME.get());
                assert_eq!(rx.recv().unwrap(), SUCCESS);
                free(irp);
            }
            late
        }
    };
    let threads: Vec<_> = (0..THREADS).map(late).map(std::thread::spawn).collect();
    let late: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
    assert_eq!(late, 0, "requests of {} that had not reached the driver when their thread went on", THREADS * EACH);
    assert_eq!(pnp(wdm as *mut DEVICE_OBJECT, mn::REMOVE_DEVICE), SUCCESS);
    c.unbind();
}
