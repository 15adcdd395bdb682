/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The boundary between the Rust core and the C shim of the Linux module.
 *
 * C owns every kernel object: netdevs, sockets, skbs, ciphers, timers. Rust owns what they mean: peers, keys, packet ids,
 * replay windows, who a packet belongs to, what is counted. Each side calls the other directly by name; no function
 * pointer crosses, so neither side makes an indirect call into the other (IBT, retpolines).
 *
 * Names: dco_core_* is implemented in Rust (linux/core) and called by C. dco_shim_* is implemented in C (linux/shim) and
 * called by Rust. Structures have one layout, asserted on both sides.
 *
 * Contexts. "control": process context, may sleep, the device's control mutex held. "data": BH disabled on one processor
 * (softirq, or process context after local_bh_disable()) and inside rcu_read_lock(); never sleeps, never takes the
 * control mutex. A function says which it is for.
 *
 * Errors are 0 or a negative errno, unless said otherwise.
 */
#ifndef DCO_H
#define DCO_H

#include <linux/types.h>

/* A device's peers, keys and counters. Made and freed by C in control context, opaque to it. */
struct dco_core;

/* The shell's device: the private area of the net_device. Opaque to Rust, which hands it back in dco_shim_* calls. */
struct dco_dev;

/*
 * The shell's part of a peer: a reference to its socket, cached routes, TCP queues. Opaque to Rust, which keeps one
 * pointer a peer. It is valid as long as Rust may hand it out: from dco_core_peer_new() until dco_shim_link_release().
 * Memory goes after an RCU grace period, so data context may use one that a batch returned until its
 * rcu_read_unlock().
 */
struct dco_link;

/* One direction's key in the kernel's crypto API. Opaque to Rust, which keeps one pointer a key and direction. */
struct dco_aead;

/* An IP address. family is AF_INET (first 4 bytes of addr), AF_INET6, or 0 for none. */
struct dco_addr {
	__u16 family;
	__u16 reserved;
	__u8 addr[16];
};

/* A peer's place in the network: both ends of its transport. remote.family 0: none known (TCP has its socket). */
struct dco_endpoint {
	struct dco_addr remote;
	struct dco_addr local;		/* family 0: let routing choose */
	__be16 remote_port;
	__u16 reserved;
	__u32 scope_id;			/* of remote, for link-local IPv6 */
};

#define DCO_PEER_ID_UNDEF	0xffffffu
#define DCO_PEER_ID_MAX		0xffffffu

enum dco_cipher {			/* as both netlink interfaces number them */
	DCO_CIPHER_NONE = 0,
	DCO_CIPHER_AES_GCM = 1,
	DCO_CIPHER_CHACHA20_POLY1305 = 2,
};

enum dco_slot {
	DCO_SLOT_PRIMARY = 0,
	DCO_SLOT_SECONDARY = 1,
};

enum dco_del_reason {			/* as both netlink interfaces number them */
	DCO_DEL_TEARDOWN = 0,
	DCO_DEL_USERSPACE = 1,
	DCO_DEL_EXPIRED = 2,
	DCO_DEL_TRANSPORT_ERROR = 3,
	DCO_DEL_TRANSPORT_DISCONNECT = 4,
};

enum dco_mode {				/* IFLA_*_MODE */
	DCO_MODE_P2P = 0,
	DCO_MODE_MP = 1,
};

/* ------------------------------------------------------------------ control: C calls Rust ------------------------ */

struct dco_core_config {
	struct dco_dev *dev;
	__u32 cpus;			/* nr_cpu_ids */
	__u32 mode;			/* enum dco_mode */
	__u64 seed[2];			/* random: keys the hash of peers' names, so that nobody outside can choose a bucket */
};

struct dco_peer_new {
	__u32 id;
	__u32 tx_id;			/* peer-id written into outgoing headers; DCO_PEER_ID_UNDEF + 1: the same as id */
	__u32 tcp;			/* 0: UDP */
	__u32 reserved;
	struct dco_addr vpn4;		/* family 0: none. P2P: both none */
	struct dco_addr vpn6;
	struct dco_endpoint endpoint;
	struct dco_link *link;		/* taken over on success; on failure it stays the caller's */
};

/* Fields that `what` does not name are left as they are. */
struct dco_peer_set {
	__u32 what;			/* DCO_SET_* */
	__u32 interval;			/* seconds; 0 for never */
	__u32 timeout;			/* seconds; 0 for never */
	__u32 mss;			/* bytes, as OpenVPN's mssfix means them for IPv4; 0 for none */
	__u32 tx_id;
	struct dco_addr vpn4;
	struct dco_addr vpn6;
	struct dco_endpoint endpoint;
};
#define DCO_SET_INTERVAL	0x01
#define DCO_SET_TIMEOUT		0x02
#define DCO_SET_MSS		0x04
#define DCO_SET_TX_ID		0x08
#define DCO_SET_VPN4		0x10
#define DCO_SET_VPN6		0x20
#define DCO_SET_ENDPOINT	0x40

struct dco_traffic {
	__u64 rx_bytes, tx_bytes, rx_packets, tx_packets;
};

struct dco_peer_info {
	__u32 id;
	__u32 tx_id;
	__u32 interval;
	__u32 timeout;
	__u32 mss;
	__u32 tcp;
	struct dco_addr vpn4;
	struct dco_addr vpn6;
	struct dco_endpoint endpoint;
	struct dco_traffic vpn;		/* inner packets, without keepalives */
	struct dco_traffic wire;	/* data packets as they are in the transport's payload, keepalives included */
	struct dco_link *link;		/* valid while the control mutex is held */
};

struct dco_key_new {
	__u32 peer_id;
	__u32 slot;			/* enum dco_slot */
	__u32 key_id;			/* 0 to 7 */
	__u32 cipher;			/* enum dco_cipher */
	__u32 key_len;			/* bytes of each direction's key */
	const __u8 *encrypt_key;	/* the caller wipes all four when the call returns */
	const __u8 *decrypt_key;
	const __u8 *encrypt_tail;	/* 8 bytes each */
	const __u8 *decrypt_tail;
};

struct dco_key_info {
	__u32 key_id;
	__u32 cipher;
};

/* How many drop reasons there are, and their names (static, NUL-terminated; NULL beyond the last). Any context. */
unsigned int dco_core_drop_reasons(void);
const char *dco_core_drop_name(unsigned int reason);

/* -ENOMEM. Process context. */
int dco_core_new(const struct dco_core_config *config, struct dco_core **core);
/* No peer may be left (dco_core_peers_del()), no batch may run. Process context. */
void dco_core_free(struct dco_core *core);

/*
 * All of the following: control context. They wait until no batch uses what they removed (microseconds, seldom more).
 *
 * peer_new: MP: -EEXIST for a taken id, -EADDRINUSE for a taken VPN address. P2P: a peer that was there is removed, and
 * dco_shim_peer_gone() told with DCO_DEL_TEARDOWN. peer_*, key_*: -ENOENT for an unknown peer.
 */
int dco_core_peer_new(struct dco_core *core, const struct dco_peer_new *peer);
int dco_core_peer_set(struct dco_core *core, __u32 id, const struct dco_peer_set *set);
int dco_core_peer_get(struct dco_core *core, __u32 id, struct dco_peer_info *info);
/*
 * The next peer of a walk; -ENOENT at its end. `cursor` begins as 0 and may be kept between calls without the control
 * mutex: a peer that is there all the while comes once. In no order. For dumps.
 */
int dco_core_peer_next(struct dco_core *core, __u64 *cursor, struct dco_peer_info *info);
/* Drops of one peer by reason; `count` entries are written. */
int dco_core_peer_drops(struct dco_core *core, __u32 id, __u64 *drops, unsigned int count);
/* Removes a peer and tells dco_shim_peer_gone() `reason`. */
int dco_core_peer_del(struct dco_core *core, __u32 id, __u32 reason);
/* Removes every peer whose link dco_shim_link_uses() says to use `sock` (NULL: every peer); how many. Cannot fail. */
unsigned int dco_core_peers_del(struct dco_core *core, const void *sock, __u32 reason);

int dco_core_key_new(struct dco_core *core, const struct dco_key_new *key);	/* -EINVAL, or dco_shim_aead_new()'s error */
int dco_core_key_get(struct dco_core *core, __u32 peer_id, __u32 slot, struct dco_key_info *info); /* -ENOENT: empty */
int dco_core_key_swap(struct dco_core *core, __u32 peer_id);
int dco_core_key_del(struct dco_core *core, __u32 peer_id, __u32 slot);

/*
 * Once a second while there are peers, and soon after dco_shim_wake(): sends pings (dco_shim_send()), removes expired
 * peers, tells of floats and of keys that near their end. Returns how many peers are left. `now_ms` counts suspend.
 */
unsigned int dco_core_tick(struct dco_core *core, __u64 now_ms);

/* ------------------------------------------------------------------ control: Rust calls C ------------------------ */

/* -ENOENT, -EINVAL for a bad key length, -ENOMEM. May sleep. Zeroes and frees in dco_shim_aead_free(). */
int dco_shim_aead_new(__u32 cipher, const __u8 *key, __u32 key_len, struct dco_aead **aead);
void dco_shim_aead_free(struct dco_aead *aead);

/* Gives a link back: nothing in the core points to it any more. May sleep. Detaches the socket if it was its last link. */
void dco_shim_link_release(struct dco_link *link);
/* Whether the link uses this socket. */
bool dco_shim_link_uses(const struct dco_link *link, const void *sock);

/* A peer was removed; `link` is valid during the call. */
void dco_shim_peer_gone(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id, __u32 reason);
/* A peer was heard from another address. */
void dco_shim_peer_moved(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id,
			 const struct dco_endpoint *endpoint);
/* A peer's primary key nears its last packet id (once a key). */
void dco_shim_key_old(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id, __u32 key_id);

/* Sends one sealed packet (a ping): copies it. Called in control context from dco_core_tick(). */
void dco_shim_send(struct dco_dev *dev, struct dco_link *link, const struct dco_endpoint *to, __u32 generation,
		   const __u8 *packet, __u32 len);

/* Enters data context from control context, and leaves it: dco_core_tick() seals pings. smp_processor_id(). */
__u32 dco_shim_data_enter(void);
void dco_shim_data_leave(void);

/* A clock in milliseconds that counts suspend. Any context. */
__u64 dco_shim_now_ms(void);

/* Sleeps a little: dco_core_* waits for batches with it. */
void dco_shim_pause(void);
/* Memory for the core: GFP_KERNEL, at least `align` aligned (at most 16), NULL if there is none. */
void *dco_shim_alloc(size_t size, size_t align);
void dco_shim_free(void *memory);

/* ------------------------------------------------------------------ data: C calls Rust --------------------------- */

/* One packet of a train. */
struct dco_buf {
	const __u8 *src;		/* the packet, contiguous */
	__u8 *dst;			/* where the result goes; does not overlap src. TCP: see dco_core_seal() */
	__u32 src_len;
	__u32 dst_room;			/* seal: src_len + 24 at least. open: src_len - 24 at least */
	__u32 dst_len;			/* out: bytes of the result */
	__u32 verdict;			/* out: enum dco_verdict */
};

enum dco_verdict {
	DCO_DROP = 0,			/* counted with its reason in the core; C frees */
	DCO_PASS = 1,			/* dst holds dst_len bytes */
	DCO_TAKEN = 2,			/* open: a ping; nothing to deliver */
};

#define DCO_OVERHEAD	24		/* bytes of header, packet id and tag */
#define DCO_TRAIN_MAX	64		/* packets in one call */

struct dco_seal {
	struct dco_buf *bufs;		/* inner packets, from their IP header on, all for one destination */
	__u32 count;			/* at most DCO_TRAIN_MAX */
	__u32 cpu;			/* smp_processor_id() */
	__u64 now_ms;
	struct dco_addr next_hop;	/* MP: the VPN address that routing chose (gateway, else destination). P2P: family 0 */
	/* out; link is NULL if no packet passed */
	struct dco_link *link;
	struct dco_endpoint to;
	__u32 generation;		/* changes whenever `to` does: forget cached routes */
	__u32 passed;
};

/*
 * Seals a train. Data context.
 *
 * Only the core knows whether the packets go over TCP. If they do, it moves the dst of packet i up by 2 * (i + 1) bytes
 * before it seals, so that packets that C laid out one behind the other have room for their frames' lengths, which C
 * writes. C leaves 2 * count bytes behind the last packet for that.
 */
void dco_core_seal(struct dco_core *core, struct dco_seal *seal);

struct dco_open {
	struct dco_buf *bufs;		/* data packets, from the opcode byte on, all from one endpoint */
	__u32 count;
	__u32 cpu;
	__u64 now_ms;
	__u32 peer_id;			/* TCP: the connection's peer. UDP: DCO_PEER_ID_UNDEF + 1, the headers say */
	__u32 passed;			/* out */
	struct dco_endpoint from;	/* UDP: where the datagrams came from and to. TCP: remote.family 0 */
};

/*
 * Opens a train. Data context. Authentic packets from elsewhere move their peer (float); the shim is woken then
 * (dco_shim_wake()) and told from dco_core_tick(). MP: a packet whose inner source belongs to no or another peer is dropped,
 * unless source checking is off (dco_core_source_check()).
 */
void dco_core_open(struct dco_core *core, struct dco_open *open);

/* Whether a datagram is the data path's: opcode DATA_V2. Inline, so that C need not call for each control packet. */
static inline bool dco_is_data_v2(__u8 first) { return first >> 3 == 9; }
static inline bool dco_is_data_v1(__u8 first) { return first >> 3 == 6; }

/* Counts packets that C lost, with one of the reasons below. Data context. */
enum dco_shim_drop {
	DCO_SHIM_TX_NO_MEMORY = 0,	/* no buffer for the sealed packet */
	DCO_SHIM_TX_BAD_SKB = 1,	/* could not be segmented, linearised or checksummed */
	DCO_SHIM_TX_SEND_FAILED = 2,	/* no route, or the transport refused */
	DCO_SHIM_TX_QUEUE_FULL = 3,	/* TCP: the connection is congested */
	DCO_SHIM_RX_NO_MEMORY = 4,
	DCO_SHIM_RX_TOO_SHORT = 5,
	DCO_SHIM_RX_NOT_FOR_US = 6,	/* DATA_V1 where the interface says to drop it */
};
void dco_core_count_drop(struct dco_core *core, __u32 cpu, __u32 reason, __u32 packets);
/* Drops of the device by reason; `count` entries are written. Any context. */
void dco_core_drops(struct dco_core *core, __u64 *drops, unsigned int count);
/* Switches the check of inner source addresses (MP; on at first). Any context. */
void dco_core_source_check(struct dco_core *core, bool on);

/* ------------------------------------------------------------------ data: Rust calls C --------------------------- */

/*
 * Encrypts `len` bytes from `plain` to `out` (the same or not overlapping) and writes 16 bytes at `tag` over the 8 bytes at
 * `aad` and the ciphertext. All in the kernel's direct map. -errno. Data context.
 */
int dco_shim_aead_seal(struct dco_aead *aead, const __u8 *nonce, const __u8 *aad, const __u8 *plain, __u8 *out,
		       __u32 len, __u8 *tag);
/* The reverse; -EBADMSG for a wrong tag. Data context. */
int dco_shim_aead_open(struct dco_aead *aead, const __u8 *nonce, const __u8 *aad, const __u8 *cipher, __u8 *out,
		       __u32 len, const __u8 *tag);

/*
 * The next hop that the routing tables have for `source` on this device: the gateway, else `source` itself. False: it is
 * routed elsewhere. Data context.
 */
bool dco_shim_route_back(struct dco_dev *dev, const struct dco_addr *source, struct dco_addr *next_hop);

/* Asks for a dco_core_tick() soon. Data context; many calls are one. */
void dco_shim_wake(struct dco_dev *dev);

#ifdef DCO_EPOCH
#include "dco_epoch.h"
#endif

#endif
