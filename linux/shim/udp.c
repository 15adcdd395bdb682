// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The UDP socket: attaching to it, and what it receives.
 *
 * Datagrams come by encap_rcv(), which takes DATA_V2 and leaves the rest to userspace. They come in trains: one GSO skb
 * of many datagrams, merged by GRO on their way in, or never split since a sender on this host (a veth, a virtual
 * machine) made them. The kernel gives a train to encap_rcv() only if its gso_type says that it was meant for a tunnel;
 * it splits any other one first. So a netfilter hook, the last one before the socket, looks at trains for our ports and
 * says so of those which hold nothing but DATA_V2. A train with control packets in it is left to the kernel to split,
 * and userspace never sees a merged skb. Kernels before 6.1.85 do not know this rule and are not supported.
 */
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/netns/generic.h>
#include <net/udp.h>
#include <net/udp_tunnel.h>

#include "shim.h"

/* The shortest datagram that is anything: its first word. */
#define DCO_UDP_MIN	4

/* What encap_rcv() collects for a call of dco_data_receive(). BH off. */
static DEFINE_PER_CPU(struct dco_datagram[DCO_TRAIN_MAX], dco_udp_datagrams);

/* ------------------------------------------------------------------ walking a train ------------------------------ */

/* Where a walk through an skb is: `len` contiguous bytes from `data`, then frag `frag` of `part`. */
struct dco_walk {
	const u8 *data;
	unsigned int len;
	unsigned int frag;
	const struct sk_buff *part;	/* the skb, or one on its frag_list */
	const struct sk_buff *next;	/* the next on the frag_list */
};

static void dco_walk_begin(struct dco_walk *walk, const struct sk_buff *skb)
{
	walk->data = skb->data;
	walk->len = skb_headlen(skb);
	walk->frag = 0;
	walk->part = skb;
	walk->next = skb_shinfo(skb)->frag_list;
}

/* Goes to the next bytes unless some are left. False: the end, or memory that has no address. */
static bool dco_walk_fill(struct dco_walk *walk)
{
	while (!walk->len) {
		const struct skb_shared_info *info = skb_shinfo(walk->part);

		if (walk->frag < info->nr_frags) {
			const skb_frag_t *frag = &info->frags[walk->frag++];

			walk->data = skb_frag_address_safe(frag);
			if (!walk->data)
				return false;
			walk->len = skb_frag_size(frag);
		} else if (walk->next) {
			walk->part = walk->next;
			walk->next = walk->part->next;
			walk->frag = 0;
			walk->data = walk->part->data;
			walk->len = skb_headlen(walk->part);
		} else {
			return false;
		}
	}
	return true;
}

static bool dco_walk_skip(struct dco_walk *walk, unsigned int bytes)
{
	while (bytes) {
		unsigned int step;

		if (!dco_walk_fill(walk))
			return false;
		step = min(bytes, walk->len);
		walk->data += step;
		walk->len -= step;
		bytes -= step;
	}
	return true;
}

/* ------------------------------------------------------------------ before the socket ---------------------------- */

struct dco_udp_netns {
	struct hlist_head sockets;	/* struct dco_socket; RCU */
	unsigned int count;
};

static unsigned int dco_udp_netns_id __read_mostly;
static DEFINE_MUTEX(dco_udp_netns_lock);	/* writers of the above */

static bool dco_udp_is_ours(const struct net *netns, __be16 port)
{
	struct dco_udp_netns *own = net_generic(netns, dco_udp_netns_id);
	struct dco_socket *socket;

	hlist_for_each_entry_rcu(socket, &own->sockets, in_netns)
		if (inet_sk(socket->sk)->inet_sport == port)
			return true;
	return false;
}

/* Whether each datagram of a train is DATA_V2; the first begins at `offset`. */
static bool dco_train_is_data(const struct sk_buff *skb, unsigned int offset)
{
	unsigned int size = skb_shinfo(skb)->gso_size, left = skb->len - offset;
	struct dco_walk walk;

	dco_walk_begin(&walk, skb);
	if (!dco_walk_skip(&walk, offset))
		return false;
	for (;;) {
		if (!dco_walk_fill(&walk) || !dco_is_data_v2(walk.data[0]))
			return false;
		if (left <= size)
			return true;
		dco_walk_skip(&walk, size);
		left -= size;
	}
}

static bool dco_is_train(const struct sk_buff *skb)
{
	return skb_is_gso(skb) && skb_shinfo(skb)->gso_type & SKB_GSO_UDP_L4;
}

static void dco_train_mark(const struct net *netns, struct sk_buff *skb, unsigned int offset)
{
	struct udphdr buffer, *uh;

	uh = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
	if (!uh || !dco_udp_is_ours(netns, uh->dest))
		return;
	/* A clone (somebody is capturing) shares its gso_type: it is left as it is, and split. */
	if (skb_cloned(skb) || !dco_train_is_data(skb, offset + sizeof(buffer)))
		return;
	skb_shinfo(skb)->gso_type |= SKB_GSO_UDP_TUNNEL_CSUM;
}

static unsigned int dco_udp_hook4(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (dco_is_train(skb) && ip_hdr(skb)->protocol == IPPROTO_UDP)
		dco_train_mark(state->net, skb, skb_network_offset(skb) + ip_hdrlen(skb));
	return NF_ACCEPT;
}

static unsigned int dco_udp_hook6(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (dco_is_train(skb) && ipv6_hdr(skb)->nexthdr == IPPROTO_UDP)
		dco_train_mark(state->net, skb, skb_network_offset(skb) + sizeof(struct ipv6hdr));
	return NF_ACCEPT;
}

static const struct nf_hook_ops dco_udp_hooks[] = {
	{ .hook = dco_udp_hook4, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .priority = NF_IP_PRI_LAST },
	{ .hook = dco_udp_hook6, .pf = NFPROTO_IPV6, .hooknum = NF_INET_LOCAL_IN, .priority = NF_IP6_PRI_LAST },
};

/* The hooks are there while a netns has sockets of ours. Process context. */
static int dco_udp_watch(struct dco_socket *socket)
{
	struct net *netns = sock_net(socket->sk);
	struct dco_udp_netns *own = net_generic(netns, dco_udp_netns_id);
	int err = 0;

	mutex_lock(&dco_udp_netns_lock);
	if (!own->count)
		err = nf_register_net_hooks(netns, dco_udp_hooks, ARRAY_SIZE(dco_udp_hooks));
	if (!err) {
		own->count++;
		hlist_add_head_rcu(&socket->in_netns, &own->sockets);
	}
	mutex_unlock(&dco_udp_netns_lock);
	return err;
}

static void dco_udp_unwatch(struct dco_socket *socket)
{
	struct net *netns = sock_net(socket->sk);
	struct dco_udp_netns *own = net_generic(netns, dco_udp_netns_id);

	mutex_lock(&dco_udp_netns_lock);
	hlist_del_rcu(&socket->in_netns);
	if (!--own->count)
		nf_unregister_net_hooks(netns, dco_udp_hooks, ARRAY_SIZE(dco_udp_hooks));
	mutex_unlock(&dco_udp_netns_lock);
}

/* ------------------------------------------------------------------ receiving ------------------------------------ */

static void dco_udp_drop(struct dco_dev *dev, u32 reason)
{
	dco_core_count_drop(dev->core, smp_processor_id(), reason, 1);
	dev_core_stats_rx_dropped_inc(dev->net);
}

/* Where a datagram came from and to. A dual-stack socket's IPv4 datagrams have IPv4 headers: none is v4-mapped. */
static void dco_udp_origin(const struct sk_buff *skb, struct dco_endpoint *from)
{
	memset(from, 0, sizeof(*from));
	from->remote_port = udp_hdr(skb)->source;
	if (ip_hdr(skb)->version == 4) {
		from->remote.family = AF_INET;
		from->local.family = AF_INET;
		memcpy(from->remote.addr, &ip_hdr(skb)->saddr, 4);
		memcpy(from->local.addr, &ip_hdr(skb)->daddr, 4);
	} else {
		from->remote.family = AF_INET6;
		from->local.family = AF_INET6;
		memcpy(from->remote.addr, &ipv6_hdr(skb)->saddr, 16);
		memcpy(from->local.addr, &ipv6_hdr(skb)->daddr, 16);
		if (ipv6_addr_type(&ipv6_hdr(skb)->saddr) & IPV6_ADDR_LINKLOCAL)
			from->scope_id = inet6_iif(skb);
	}
}

/* Hands `count` datagrams on. */
static void dco_udp_flush(struct dco_dev *dev, unsigned int *count, const struct dco_endpoint *from)
{
	if (*count)
		dco_data_receive(dev, *this_cpu_ptr(&dco_udp_datagrams), *count, DCO_PEER_ID_UNDEF + 1, from);
	*count = 0;
}

/* Opens the datagrams of an skb whose data begins at the UDP header. */
static void dco_udp_open(struct dco_dev *dev, struct sk_buff *skb)
{
	struct dco_datagram *datagrams = *this_cpu_ptr(&dco_udp_datagrams);
	unsigned int at = sizeof(struct udphdr), count = 0, size, len;
	struct dco_endpoint from;
	struct dco_walk walk;

	dco_udp_origin(skb, &from);
	size = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : skb->len - at;
	dco_walk_begin(&walk, skb);
	dco_walk_skip(&walk, at);
	for (; at < skb->len; at += len) {
		len = min(skb->len - at, size);
		if (!dco_walk_fill(&walk) || walk.len < len) {
			/* A datagram in pieces. */
			dco_udp_flush(dev, &count, &from);
			if (skb_linearize(skb)) {
				dco_udp_drop(dev, DCO_SHIM_RX_NO_MEMORY);
				return;
			}
			dco_walk_begin(&walk, skb);
			dco_walk_skip(&walk, at);
		}
		datagrams[count].data = walk.data;
		datagrams[count].len = len;
		dco_walk_skip(&walk, len);
		if (++count == DCO_TRAIN_MAX)
			dco_udp_flush(dev, &count, &from);
	}
	dco_udp_flush(dev, &count, &from);
}

void dco_udp_receive_late(struct dco_dev *dev, struct sk_buff *skb)
{
	dco_udp_open(dev, skb);
	consume_skb(skb);
}

/* What encap_rcv() is to do with a single datagram that is not the data path's: 1 to hand it to userspace, else 0. */
static int dco_udp_other(struct dco_dev *dev, struct sk_buff *skb, u8 first)
{
	if (!dco_is_data_v1(first) || dev->personality->data_v1_to_user)
		return 1;
	dco_udp_drop(dev, DCO_SHIM_RX_NOT_FOR_US);
	kfree_skb(skb);
	return 0;
}

/* encap_rcv(): data begins at the UDP header, the checksum was verified. 0: taken; 1: userspace's. BH off, RCU. */
static int dco_udp_receive(struct sock *sk, struct sk_buff *skb)
{
	struct dco_socket *socket = rcu_dereference_sk_user_data(sk);
	struct dco_dev *dev;
	u8 buffer, *first;

	if (unlikely(!socket))
		return 1;	/* being detached */
	dev = socket->dev;

	/* A train was looked at by the hook. */
	if (!skb_is_gso(skb)) {
		first = skb_header_pointer(skb, sizeof(struct udphdr), 1, &buffer);
		if (unlikely(!first || skb->len < sizeof(struct udphdr) + DCO_UDP_MIN)) {
			dco_udp_drop(dev, DCO_SHIM_RX_TOO_SHORT);
			kfree_skb(skb);
			return 0;
		}
		if (!dco_is_data_v2(*first))
			return dco_udp_other(dev, skb, *first);
	}
	if (!dco_data_put_off(dev, skb)) {
		dco_udp_open(dev, skb);
		consume_skb(skb);
	}
	return 0;
}

/* ------------------------------------------------------------------ attaching ------------------------------------ */

/* encap_destroy(): the last file is closed. Process context. */
static void dco_udp_destroy(struct sock *sk)
{
	struct dco_socket *socket;

	rcu_read_lock();
	socket = rcu_dereference_sk_user_data(sk);
	if (socket)
		dco_socket_lost(socket, DCO_DEL_TRANSPORT_DISCONNECT);
	rcu_read_unlock();
}

struct dco_socket *dco_udp_socket(const struct sock *sk)
{
	/* Another module's socket may have our encap_type; only ours has our function. */
	return READ_ONCE(udp_sk(sk)->encap_rcv) == dco_udp_receive ? rcu_dereference_sk_user_data(sk) : NULL;
}

/* Takes sk_user_data, unless somebody has it. Others who want it (l2tp, sockmap) decide under this lock, too. */
static bool dco_udp_claim(struct dco_socket *socket)
{
	struct sock *sk = socket->sk;
	bool free;

	write_lock_bh(&sk->sk_callback_lock);
	free = !READ_ONCE(sk->sk_user_data) && !READ_ONCE(udp_sk(sk)->encap_type);
	if (free)
		rcu_assign_sk_user_data(sk, socket);
	write_unlock_bh(&sk->sk_callback_lock);
	return free;
}

int dco_udp_attach(struct dco_socket *socket)
{
	struct udp_tunnel_sock_cfg config = {
		.sk_user_data = socket,
		.encap_type = UDP_ENCAP_OVPNINUDP,
		.encap_rcv = dco_udp_receive,
		.encap_destroy = dco_udp_destroy,
	};
	struct sock *sk = socket->sk;
	int err;

	err = dco_udp_watch(socket);
	if (err)
		return err;

	lock_sock(sk);
	if (!inet_sk(sk)->inet_num)
		err = -EINVAL;
	else if (!dco_udp_claim(socket))
		err = -EBUSY;
	if (!err) {
		bool loops = dco_compat_mc_loop(sk);

		/* Whoever sets these later by setsockopt() finds them overwritten when the last peer goes. */
		socket->gro = udp_test_bit(GRO_ENABLED, sk);
		socket->trains = udp_test_bit(ACCEPT_L4, sk);
		dco_compat_setup_udp_tunnel_sock(sk, &config);
		/* It does two things for tunnels that we do not want: control packets stay what they were ... */
		dco_compat_set_mc_loop(sk, loops);
		/* ... and nobody needs checksums computed for the datagrams of a train that is split. */
		inet_dec_convert_csum(sk);
		udp_set_bit(ACCEPT_L4, sk);
		udp_set_bit(GRO_ENABLED, sk);
	}
	release_sock(sk);
	if (err)
		dco_udp_unwatch(socket);
	return err;
}

/* The kernel's count of sockets with encapsulation is left alone: it was raised once, and is lowered by the close. */
void dco_udp_detach(struct dco_socket *socket)
{
	struct sock *sk = socket->sk;

	lock_sock(sk);
	udp_assign_bit(GRO_ENABLED, sk, socket->gro);
	udp_assign_bit(ACCEPT_L4, sk, socket->trains);
	WRITE_ONCE(udp_sk(sk)->encap_type, 0);
	WRITE_ONCE(udp_sk(sk)->encap_rcv, NULL);
	WRITE_ONCE(udp_sk(sk)->encap_destroy, NULL);
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
	release_sock(sk);
	dco_udp_unwatch(socket);
}

static struct pernet_operations dco_udp_netns_ops = {
	.id = &dco_udp_netns_id,
	.size = sizeof(struct dco_udp_netns),
};

int dco_udp_init(void)
{
	return register_pernet_subsys(&dco_udp_netns_ops);
}

void dco_udp_exit(void)
{
	unregister_pernet_subsys(&dco_udp_netns_ops);
}
