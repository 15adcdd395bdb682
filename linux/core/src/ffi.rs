//! The boundary of `linux/include/dco.h`, in Rust: structures, constants, and what the C shim offers.
//!
//! [`layout!`](self) below lists every structure with its size and the offset of each field, and every constant. Rust asserts the list
//! here. `cargo xtask linux-object` makes C assertions of the same list, which `linux/shim/layout.c` compiles: two sides that differ do not build.

use core::marker::{PhantomData, PhantomPinned};

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub struct $name {
            _data: [u8; 0],
            // Neither Send, Sync nor Unpin.
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}

opaque! {
    /// The shell's device.
    dco_dev;
    /// The shell's part of a peer.
    dco_link;
    /// One direction's key in the kernel's crypto API.
    dco_aead;
}

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
    )*};
}

structures! {
    /// An IP address; `family` 0 for none.
    dco_addr {
        /// AF_INET, AF_INET6 or 0.
        family: u16,
        /// 0.
        reserved: u16,
        /// IPv4: the first four bytes.
        addr: [u8; 16],
    }
    /// Both ends of a peer's transport.
    dco_endpoint {
        /// Family 0: none known.
        remote: dco_addr,
        /// Family 0: routing chooses.
        local: dco_addr,
        /// Network order.
        remote_port: [u8; 2],
        /// 0.
        reserved: u16,
        /// Of a link-local remote.
        scope_id: u32,
    }
    /// What a core is made with.
    dco_core_config {
        /// Handed back in calls.
        dev: *mut dco_dev,
        /// Number of processors.
        cpus: u32,
        /// DCO_MODE_*.
        mode: u32,
        /// Random.
        seed: [u64; 2],
    }
    /// A peer to be.
    dco_peer_new {
        /// Its id.
        id: u32,
        /// Peer-id of outgoing headers, or [`SAME_TX_ID`].
        tx_id: u32,
        /// 0: UDP.
        tcp: u32,
        /// 0.
        reserved: u32,
        /// VPN address.
        vpn4: dco_addr,
        /// VPN address.
        vpn6: dco_addr,
        /// Its transport's ends.
        endpoint: dco_endpoint,
        /// The shell's part; the core's on success.
        link: *mut dco_link,
    }
    /// Changes to a peer.
    dco_peer_set {
        /// DCO_SET_*: which fields count.
        what: u32,
        /// Seconds.
        interval: u32,
        /// Seconds.
        timeout: u32,
        /// Bytes.
        mss: u32,
        /// Peer-id of outgoing headers.
        tx_id: u32,
        /// VPN address.
        vpn4: dco_addr,
        /// VPN address.
        vpn6: dco_addr,
        /// Its transport's ends.
        endpoint: dco_endpoint,
    }
    /// Counters.
    dco_traffic {
        /// Bytes received.
        rx_bytes: u64,
        /// Bytes sent.
        tx_bytes: u64,
        /// Packets received.
        rx_packets: u64,
        /// Packets sent.
        tx_packets: u64,
    }
    /// A peer as it is.
    dco_peer_info {
        /// Its id.
        id: u32,
        /// Peer-id of outgoing headers.
        tx_id: u32,
        /// Seconds.
        interval: u32,
        /// Seconds.
        timeout: u32,
        /// Bytes.
        mss: u32,
        /// 0: UDP.
        tcp: u32,
        /// VPN address.
        vpn4: dco_addr,
        /// VPN address.
        vpn6: dco_addr,
        /// Its transport's ends.
        endpoint: dco_endpoint,
        /// Inner packets.
        vpn: dco_traffic,
        /// Data packets.
        wire: dco_traffic,
        /// The shell's part.
        link: *mut dco_link,
    }
    /// A key to be.
    dco_key_new {
        /// Whose.
        peer_id: u32,
        /// DCO_SLOT_*.
        slot: u32,
        /// 0 to 7.
        key_id: u32,
        /// DCO_CIPHER_*.
        cipher: u32,
        /// Bytes of each direction's key.
        key_len: u32,
        /// `key_len` bytes.
        encrypt_key: *const u8,
        /// `key_len` bytes.
        decrypt_key: *const u8,
        /// 8 bytes.
        encrypt_tail: *const u8,
        /// 8 bytes.
        decrypt_tail: *const u8,
    }
    /// A key as it is.
    dco_key_info {
        /// 0 to 7.
        key_id: u32,
        /// DCO_CIPHER_*.
        cipher: u32,
    }
    /// One packet of a train.
    dco_buf {
        /// The packet.
        src: *const u8,
        /// Where the result goes.
        dst: *mut u8,
        /// Bytes at `src`.
        src_len: u32,
        /// Bytes at `dst`.
        dst_room: u32,
        /// Out: bytes of the result.
        dst_len: u32,
        /// Out: DCO_DROP, DCO_PASS, DCO_TAKEN.
        verdict: u32,
    }
    /// A train to seal.
    dco_seal {
        /// `count` packets.
        bufs: *mut dco_buf,
        /// How many.
        count: u32,
        /// This processor's number.
        cpu: u32,
        /// The time.
        now_ms: u64,
        /// VPN address the train goes to; point to point family 0.
        next_hop: dco_addr,
        /// Out: the peer's, or null.
        link: *mut dco_link,
        /// Out: where to send.
        to: dco_endpoint,
        /// Out: changes whenever `to` does.
        generation: u32,
        /// Out: how many passed.
        passed: u32,
    }
    /// A train to open.
    dco_open {
        /// `count` packets.
        bufs: *mut dco_buf,
        /// How many.
        count: u32,
        /// This processor's number.
        cpu: u32,
        /// The time.
        now_ms: u64,
        /// TCP: the peer. UDP: more than an id can be.
        peer_id: u32,
        /// Out: how many passed.
        passed: u32,
        /// UDP: both ends.
        from: dco_endpoint,
    }
}

macro_rules! layout {
    (
        constants { $($constant:ident = $value:literal,)* }
        $($name:ident = $size:literal { $($field:ident: $offset:literal,)* })*
    ) => {
        $(#[doc = "As dco.h has it."] pub const $constant: u32 = $value;)*
        $(const _: () = {
            assert!(size_of::<$name>() == $size, stringify!($name));
            $(assert!(core::mem::offset_of!($name, $field) == $offset, stringify!($name.$field));)*
            // No field is missing in the list.
            fn _complete($name { $($field: _,)* }: $name) {}
        };)*
    };
}

#[cfg(feature = "epoch")]
pub(crate) use layout;

// Read by `cargo xtask linux-object` too: one item a line.
layout! {
    constants {
        AF_INET = 2,
        AF_INET6 = 10,
        DCO_SLOT_PRIMARY = 0,
        DCO_SLOT_SECONDARY = 1,
        DCO_DEL_TEARDOWN = 0,
        DCO_DEL_EXPIRED = 2,
        DCO_MODE_P2P = 0,
        DCO_MODE_MP = 1,
        DCO_SET_INTERVAL = 0x01,
        DCO_SET_TIMEOUT = 0x02,
        DCO_SET_MSS = 0x04,
        DCO_SET_TX_ID = 0x08,
        DCO_SET_VPN4 = 0x10,
        DCO_SET_VPN6 = 0x20,
        DCO_SET_ENDPOINT = 0x40,
        DCO_DROP = 0,
        DCO_PASS = 1,
        DCO_TAKEN = 2,
        DCO_TRAIN_MAX = 64,
        DCO_PEER_ID_MAX = 0xff_ffff,
        DCO_SHIM_TX_NO_MEMORY = 0,
        DCO_SHIM_TX_BAD_SKB = 1,
        DCO_SHIM_TX_QUEUE_FULL = 3,
        DCO_SHIM_RX_NO_MEMORY = 4,
        DCO_SHIM_RX_TOO_SHORT = 5,
        DCO_SHIM_RX_NOT_FOR_US = 6,
    }
    dco_addr = 20 {
        family: 0,
        reserved: 2,
        addr: 4,
    }
    dco_endpoint = 48 {
        remote: 0,
        local: 20,
        remote_port: 40,
        reserved: 42,
        scope_id: 44,
    }
    dco_core_config = 32 {
        dev: 0,
        cpus: 8,
        mode: 12,
        seed: 16,
    }
    dco_peer_new = 112 {
        id: 0,
        tx_id: 4,
        tcp: 8,
        reserved: 12,
        vpn4: 16,
        vpn6: 36,
        endpoint: 56,
        link: 104,
    }
    dco_peer_set = 108 {
        what: 0,
        interval: 4,
        timeout: 8,
        mss: 12,
        tx_id: 16,
        vpn4: 20,
        vpn6: 40,
        endpoint: 60,
    }
    dco_traffic = 32 {
        rx_bytes: 0,
        tx_bytes: 8,
        rx_packets: 16,
        tx_packets: 24,
    }
    dco_peer_info = 184 {
        id: 0,
        tx_id: 4,
        interval: 8,
        timeout: 12,
        mss: 16,
        tcp: 20,
        vpn4: 24,
        vpn6: 44,
        endpoint: 64,
        vpn: 112,
        wire: 144,
        link: 176,
    }
    dco_key_new = 56 {
        peer_id: 0,
        slot: 4,
        key_id: 8,
        cipher: 12,
        key_len: 16,
        encrypt_key: 24,
        decrypt_key: 32,
        encrypt_tail: 40,
        decrypt_tail: 48,
    }
    dco_key_info = 8 {
        key_id: 0,
        cipher: 4,
    }
    dco_buf = 32 {
        src: 0,
        dst: 8,
        src_len: 16,
        dst_room: 20,
        dst_len: 24,
        verdict: 28,
    }
    dco_seal = 112 {
        bufs: 0,
        count: 8,
        cpu: 12,
        now_ms: 16,
        next_hop: 24,
        link: 48,
        to: 56,
        generation: 104,
        passed: 108,
    }
    dco_open = 80 {
        bufs: 0,
        count: 8,
        cpu: 12,
        now_ms: 16,
        peer_id: 24,
        passed: 28,
        from: 32,
    }
}

/// `tx_id`: the same as `id`.
pub const SAME_TX_ID: u32 = DCO_PEER_ID_MAX + 1;

unsafe extern "C" {
    pub fn dco_shim_aead_new(cipher: u32, key: *const u8, key_len: u32, aead: *mut *mut dco_aead) -> i32;
    pub fn dco_shim_aead_free(aead: *mut dco_aead);
    pub fn dco_shim_aead_seal(
        aead: *mut dco_aead,
        nonce: *const u8,
        aad: *const u8,
        plain: *const u8,
        out: *mut u8,
        len: u32,
        tag: *mut u8,
    ) -> i32;
    pub fn dco_shim_aead_open(
        aead: *mut dco_aead,
        nonce: *const u8,
        aad: *const u8,
        cipher: *const u8,
        out: *mut u8,
        len: u32,
        tag: *const u8,
    ) -> i32;
    pub fn dco_shim_link_release(link: *mut dco_link);
    pub fn dco_shim_link_uses(link: *const dco_link, sock: *const core::ffi::c_void) -> bool;
    pub fn dco_shim_peer_gone(dev: *mut dco_dev, link: *const dco_link, peer_id: u32, reason: u32);
    pub fn dco_shim_peer_moved(dev: *mut dco_dev, link: *const dco_link, peer_id: u32, endpoint: *const dco_endpoint);
    pub fn dco_shim_key_old(dev: *mut dco_dev, link: *const dco_link, peer_id: u32, key_id: u32);
    pub fn dco_shim_send(
        dev: *mut dco_dev,
        link: *mut dco_link,
        to: *const dco_endpoint,
        generation: u32,
        packet: *const u8,
        len: u32,
    );
    pub fn dco_shim_pause();
    pub fn dco_shim_alloc(size: usize, align: usize) -> *mut u8;
    pub fn dco_shim_free(memory: *mut u8);
    pub fn dco_shim_route_back(dev: *mut dco_dev, source: *const dco_addr, next_hop: *mut dco_addr) -> bool;
    pub fn dco_shim_wake(dev: *mut dco_dev);
    pub fn dco_shim_data_enter() -> u32;
    pub fn dco_shim_data_leave();
    pub fn dco_shim_now_ms() -> u64;
}
