/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the C files of the core module share. docs/linux.md has the whole picture; dco.h is the boundary to Rust.
 *
 * Contexts are named as in dco.h: "control" (sleeps, dev->control held) and "data" (BH off, rcu_read_lock()).
 * Locks, in order: rtnl or genl, then dev->control, then a socket's lock, then link->lock or dev->links_lock (BH).
 * Data context takes none but link->lock (TCP queues only).
 */
#ifndef DCO_SHIM_H
#define DCO_SHIM_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "../include/dco.h"
#include "compat.h"

#define DCO_VERSION "0.1.0"	/* the workspace's version; the build checks it */

/* A message for a bug report; make DEBUG=1, which defines DEBUG for netdev_dbg(), too. Never a packet's content or a key. */
#ifdef DCO_DEBUG
#define dco_dbg(fmt, ...) printk(KERN_DEBUG pr_fmt(fmt), ##__VA_ARGS__)
#else
#define dco_dbg(fmt, ...) no_printk(KERN_DEBUG pr_fmt(fmt), ##__VA_ARGS__)
#endif

/* DATA_V2 24, UDP 8, IPv6 40: what a sealed packet has over the inner one; TCP's two bytes of length fit in too. */
#define DCO_HEADROOM	(DCO_OVERHEAD + 8 + 40)

/* ------------------------------------------------------------------ personalities -------------------------------- */

/*
 * What the two interfaces differ in, filled in by the thin modules (linux/v2, linux/ovpn). Static, lives as long as its
 * module, which every device of it pins by being a netdev of its rtnl_link_ops.
 */
struct dco_personality {
	const char *kind;			/* rtnl kind */
	bool data_v1_to_user;			/* UDP: DATA_V1 goes up (v2) or is dropped (ovpn) */
	bool tcp_data_v1_kills;			/* TCP: DATA_V1 ends the peer (ovpn) or goes up (v2) */
	unsigned int mtu;			/* a new device's */
	bool carrier_follows_peer;		/* P2P: carrier is on while there is a peer (ovpn) or always (v2) */
	bool tcp_remote_refused;		/* TCP: a remote address is -EINVAL (ovpn) or ignored (v2) */
	bool vpn_address_moves;			/* MP: a taken VPN address goes to the newer peer (v2) or is -EADDRINUSE */
	/* Notifications; process context, control mutex held, link valid during the call. NULL: the interface has none. */
	void (*peer_gone)(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 reason);
	void (*peer_moved)(struct dco_dev *dev, const struct dco_link *link, u32 peer_id,
			   const struct dco_endpoint *endpoint);
	void (*key_old)(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 key_id);
};

/* ------------------------------------------------------------------ device --------------------------------------- */

struct dco_dev {
	struct net_device *net;
	struct dco_core *core;
	const struct dco_personality *personality;
	enum dco_mode mode;
	struct mutex control;			/* serialises dco_core's control functions */
	bool closing;				/* written under control: no new peers, no more ticks */
	bool source_check;			/* what dco_core_source_check() was last told; under rtnl */
	struct delayed_work tick;		/* dco_core_tick(): each second while there are peers, or when woken */
	struct work_struct wake;
	struct dco_cell __percpu *cells;
	/* data.c: scratch, one a processor; packets that wait for a context in which ciphers may be used */
	struct dco_scratch __percpu *scratch;
	struct sk_buff_head put_off;
	struct work_struct put_off_work;
};

static inline struct dco_dev *dco_dev(struct net_device *net) { return netdev_priv(net); }

/*
 * netdev.c: what the thin modules' rtnl_link_ops are made of. setup() is ops->setup's body; create() registers the device;
 * unregister is generic. The thin module's ops->priv_size is sizeof(struct dco_dev). All under rtnl.
 */
void dco_netdev_setup(struct net_device *net, const struct dco_personality *personality);
int dco_netdev_create(struct net_device *net, enum dco_mode mode, bool source_check);
void dco_netdev_delete(struct net_device *net, struct list_head *head);	/* ops->dellink */
void dco_netdev_source_check(struct dco_dev *dev, bool on);
/* A device of this personality by its index: -ENODEV if there is none, -EINVAL for any other netdev. To be put. */
struct dco_dev *dco_netdev_find(struct net *netns, int ifindex, const struct dco_personality *personality);
void dco_netdev_put(struct dco_dev *dev);

/* rtnl.c: IFLA_INFO_DATA, the same for both kinds: what a thin module's rtnl_link_ops point to. */
#define IFLA_DCO_MODE		1	/* u8, enum dco_mode */
#define IFLA_DCO_SOURCE_CHECK	48	/* u8, 0 or 1; ours. The kernel takes numbers up to 50 */
extern const struct nla_policy dco_rtnl_policy[IFLA_DCO_SOURCE_CHECK + 1];
DCO_COMPAT_NEWLINK(dco_rtnl_newlink);
int dco_rtnl_changelink(struct net_device *net, struct nlattr *tb[], struct nlattr *data[],
			struct netlink_ext_ack *extack);
size_t dco_rtnl_get_size(const struct net_device *net);
int dco_rtnl_fill_info(struct sk_buff *skb, const struct net_device *net);

/* Schedules the tick that there has to be while there are peers, sets the carrier. Control context; after a peer was added. */
void dco_dev_peers_changed(struct dco_dev *dev);

/* ------------------------------------------------------------------ control operations, for the thin modules ----- */

/* A peer as the replies show it. */
#define DCO_DROPS_MAX	40			/* reasons shown; the core has fewer */
struct dco_peer_view {
	struct dco_peer_info info;		/* info.link is NULL: it may be gone by now */
	__be16 local_port;
	int netnsid;				/* of the socket's netns in the viewer's; NETNSA_NSID_NOT_ASSIGNED: the same */
	unsigned int drop_count;
	u64 drops[DCO_DROPS_MAX];
};

/*
 * control.c: both families' commands. Each takes and drops dev->control; process context, may sleep. `why` gets a static
 * text for extack where the errno alone does not tell.
 *
 * peer_new looks the socket up by `fd` in the caller's file table, attaches it (UDP encap or TCP), makes the link and the
 * peer; `peer`'s tcp and link are filled in. `more` is set on the peer at once; if it has no mss, the module parameter
 * mssfix says it. -ENOTSOCK for whatever is wrong with the socket, a busy one included; -ENODEV for a device that is going.
 * `viewer`: where the reply goes (for netnsid), or NULL. peer_next: as dco_core_peer_next().
 */
int dco_peer_new(struct dco_dev *dev, int fd, struct dco_peer_new *peer, const struct dco_peer_set *more,
		 const char **why);
int dco_peer_set(struct dco_dev *dev, u32 id, const struct dco_peer_set *set, const char **why);
int dco_peer_get(struct dco_dev *dev, u32 id, struct net *viewer, struct dco_peer_view *view);
int dco_peer_next(struct dco_dev *dev, u64 *cursor, struct net *viewer, struct dco_peer_view *view);
int dco_peer_del(struct dco_dev *dev, u32 id, u32 reason);
int dco_key_new(struct dco_dev *dev, const struct dco_key_new *key);
int dco_key_get(struct dco_dev *dev, u32 peer_id, u32 slot, struct dco_key_info *info);
int dco_key_swap(struct dco_dev *dev, u32 peer_id);
int dco_key_del(struct dco_dev *dev, u32 peer_id, u32 slot);

#ifdef DCO_EPOCH
/* epoch.c: the same for epoch keys; `key`'s test_limit is filled in. get: -ENOENT, no epoch key is there. */
int dco_epoch_key_new(struct dco_dev *dev, struct dco_epoch_key_new *key);
int dco_epoch_get(struct dco_dev *dev, u32 peer_id, u32 slot, struct dco_epoch_info *info);
#endif

/* The netns and local UDP/TCP port of a link's socket. Control context (notifications, peer_get). */
struct net *dco_link_net(const struct dco_link *link);
__be16 dco_link_local_port(const struct dco_link *link);

/* ------------------------------------------------------------------ links and sockets ---------------------------- */

/*
 * link.c. One struct dco_socket a kernel socket that is attached, shared by its peers' links: it hangs on sk_user_data,
 * belongs to one device, holds the sock (sock_hold), not the file: a socket that userspace closes takes its peers along
 * (DCO_DEL_TRANSPORT_DISCONNECT). A TCP socket has one link.
 */
struct dco_socket {
	struct sock *sk;
	struct dco_dev *dev;			/* pinned until the structure is freed */
	netdevice_tracker tracker;
	refcount_t links;			/* links, and `closed` while it is queued; at 0 it detaches */
	bool tcp;
	struct rcu_head rcu;
	unsigned long lost;			/* bit 0: dco_socket_lost() was called */
	struct work_struct closed;		/* the socket died under us: remove its peers */
	u32 closed_reason;
	/* UDP: udp.c's */
	struct hlist_node in_netns;
	bool gro, trains;			/* what the socket had, to be restored */
	/* TCP: tcp.c's state; the one link */
	struct dco_tcp *stream;
	struct dco_link __rcu *link;
};

/* A processor's cached route to a link's peer: udp.c. BH off, that processor only. */
struct dco_route {
	struct dst_entry *dst;			/* NULL: none */
	u32 cookie;
	u32 generation;				/* of the endpoint, mark and bound_if of the socket that it is for */
	u32 mark;
	int bound_if;
	union {
		__be32 saddr;
		struct in6_addr saddr6;
	};
};

struct dco_link {
	struct dco_socket *socket;
	u32 peer_id;
	struct dco_route __percpu *routes;
	struct rcu_head rcu;
};

/* Module init and exit; exit waits for all work and callbacks of link.c and udp.c. */
int dco_link_init(void);
void dco_link_exit(void);

/*
 * Attach: looks `fd` up and checks the socket. Sets peer->tcp. Control context. -errno: -ENOTSOCK, -EBADF, -EBUSY
 * (somebody else's), -EAFNOSUPPORT, -EPROTONOSUPPORT, -EINVAL (UDP: not bound), dco_tcp_attach()'s, -ENOMEM.
 */
struct dco_link *dco_link_new(struct dco_dev *dev, int fd, struct dco_peer_new *peer);
/* dco_shim_link_release() takes it back, also one that no peer got. */
/*
 * The socket is gone or useless: its peers are removed soon, for `reason`. Any context, also under the socket's lock;
 * more than once does no harm.
 */
void dco_socket_lost(struct dco_socket *socket, u32 reason);

/* udp.c */
int dco_udp_init(void);
void dco_udp_exit(void);
/* Whose UDP socket it is: ours, or NULL. RCU. */
struct dco_socket *dco_udp_socket(const struct sock *sk);
/* Attach: -EBUSY if it is taken, -EINVAL unless bound. Both: process context, socket's lock not held. */
int dco_udp_attach(struct dco_socket *socket);
void dco_udp_detach(struct dco_socket *socket);
/* An skb that dco_data_put_off() took. Data context. Takes the skb. */
void dco_udp_receive_late(struct dco_dev *dev, struct sk_buff *skb);
/*
 * Sends a sealed datagram, or a train of them in one GSO skb (skb_shinfo()->gso_size and gso_segs set), whose data
 * begins at the opcode and which has DCO_UDP_HEADROOM before it. Takes the skb. Data context. Returns packets lost (0, or
 * all).
 */
#define DCO_UDP_HEADROOM	(MAX_HEADER + sizeof(struct ipv6hdr) + sizeof(struct udphdr))
unsigned int dco_udp_send(struct dco_dev *dev, struct dco_link *link, const struct dco_endpoint *to, u32 generation,
			  struct sk_buff *skb);

/* tcp.c */
int dco_tcp_init(void);				/* module init */
void dco_tcp_exit(void);				/* module exit, when no device is left: waits for callers */
int dco_tcp_attach(struct dco_socket *socket);
void dco_tcp_detach(struct dco_socket *socket);
/*
 * Queues bytes of whole frames (each with its length before it). Takes the skb: linear, data at the first length; its
 * frag_list holds inner skbs that are to be freed when the bytes were taken (not counted in len). `packets` frames.
 * Data context; may send at once. Returns packets lost: 0, or all if the connection is congested.
 */
unsigned int dco_tcp_send(struct dco_link *link, struct sk_buff *skb, unsigned int packets);

/* ------------------------------------------------------------------ data path ------------------------------------ */

/*
 * data.c. xmit is ndo_start_xmit. dco_data_receive() opens datagrams of one endpoint and hands their inner packets to the
 * stack (cell.c): `bufs[i].src/src_len` are set by the caller, contiguous and readable until it returns; dst is
 * data.c's. Data context.
 */
netdev_tx_t dco_data_xmit(struct sk_buff *skb, struct net_device *net);
struct dco_datagram {
	const u8 *data;
	u32 len;
};
void dco_data_receive(struct dco_dev *dev, const struct dco_datagram *datagrams, unsigned int count, u32 peer_id,
		      const struct dco_endpoint *from);
int dco_data_init(struct dco_dev *dev);		/* scratch; -ENOMEM */
void dco_data_exit(struct dco_dev *dev);	/* process context; nothing is received or transmitted any more */

/*
 * Whether a received UDP train has to wait: ciphers may not be used in this context, or others wait already. If so, the
 * skb is taken and handed to dco_udp_receive_late() from a work item. Data context.
 */
bool dco_data_put_off(struct dco_dev *dev, struct sk_buff *skb);

/*
 * cell.c: the way of received packets into the stack. receive() takes the packets of a train, at least one, for this
 * device, network header and protocol set; false: they are dropped. Data context. init(): -ENOMEM. exit(): process context,
 * nothing is received any more.
 */
int dco_cells_init(struct dco_dev *dev);
void dco_cells_exit(struct dco_dev *dev);
bool dco_cells_receive(struct dco_dev *dev, struct sk_buff_head *train);

/*
 * crypto.c: dco_shim_aead_*, and whether ciphers may be used in this context on this processor. If not, a train is put
 * off to process context, where they may. Any context. init() tests the ciphers.
 */
int dco_crypto_init(void);
void dco_crypto_exit(void);
bool dco_crypto_usable(void);

#endif
