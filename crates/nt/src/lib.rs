//! Safe wrappers over nt-sys: WDF objects, requests, rings, WSK sockets, BCrypt keys, pool, locks.
#![no_std]
