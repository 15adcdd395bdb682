//! OpenVPN's data channel on the wire: opcodes, headers, ping, IP headers, MSS.
#![no_std]
