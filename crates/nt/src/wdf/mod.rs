//! KMDF: objects and contexts, the driver, devices, queues, requests, timers.

pub mod deferred;
pub mod device;
pub mod driver;
pub mod object;
pub mod queue;
pub mod request;
pub mod timer;
