//! With the feature `wdk`: link flags of a driver binary, from the WDK that wdk-build finds. Nothing otherwise; `cargo xtask driver`
//! gives the linker its flags then.

#[cfg(feature = "wdk")]
fn main() -> Result<(), wdk_build::ConfigError> {
    wdk_build::configure_wdk_binary_build()
}

#[cfg(not(feature = "wdk"))]
fn main() {}
