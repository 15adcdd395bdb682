//! Raw declarations of the NT, KMDF, NetAdapterCx, WSK and CNG interfaces the driver uses.
#![no_std]
