//! ovpn-dco's ioctl codes and structures, byte-exact.
#![no_std]
