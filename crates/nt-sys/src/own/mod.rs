//! Our own declarations: what `wdk-sys` would give, without the WDK.

pub mod ntddk;
pub mod status;
pub mod types;
pub mod wdf;
