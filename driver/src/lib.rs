//! ovpn-dco.sys: OpenVPN data channel offload for Windows.
#![no_std]
