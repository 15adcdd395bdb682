// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Routes: how a datagram leaves for a peer, and which peer an inner address is behind.
 *
 * Each link caches its route on each processor (BH off, so no lock). It is void when the peer's endpoint or the
 * socket's mark or bound device changed, or when the kernel says so: a route, an address or a device changed. Not a
 * dst_cache: that one takes a reference a packet, and cannot be voided for certain within a jiffy.
 */
#include <linux/inetdevice.h>
#include <linux/udp.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_fib.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "addr.h"
#include "shim.h"

/* ------------------------------------------------------------------ outer routes --------------------------------- */

/*
 * The source address is the one the peer sent to, else the one the socket is bound to, else routing's choice. Routing
 * refuses an address that this host does not have (any more): then the next best is tried.
 */
static struct dst_entry *dco_route_find4(struct sock *sk, const struct dco_endpoint *to, struct dco_route *route)
{
	const __be32 sources[] = {
		to->local.family == AF_INET ? dco_addr_be32(&to->local) : 0, inet_sk(sk)->inet_saddr, 0,
	};
	struct rtable *rt = ERR_PTR(-ENETUNREACH);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sources); i++) {
		struct flowi4 flow = {
			.flowi4_oif = route->bound_if,
			.flowi4_mark = route->mark,
			.flowi4_proto = IPPROTO_UDP,
			.flowi4_uid = sock_net_uid(sock_net(sk), sk),
			.daddr = dco_addr_be32(&to->remote),
			.saddr = sources[i],
			.fl4_dport = to->remote_port,
			.fl4_sport = inet_sk(sk)->inet_sport,
		};

		if (!sources[i] && i + 1 < ARRAY_SIZE(sources))
			continue;
		rt = ip_route_output_flow(sock_net(sk), &flow, sk);
		if (!IS_ERR(rt)) {
			route->saddr = flow.saddr;
			route->cookie = 0;
			return &rt->dst;
		}
	}
	return ERR_CAST(rt);
}

static struct dst_entry *dco_route_find6(struct sock *sk, const struct dco_endpoint *to, struct dco_route *route)
{
	struct flowi6 flow = {
		.flowi6_oif = route->bound_if,
		.flowi6_mark = route->mark,
		.flowi6_proto = IPPROTO_UDP,
		.flowi6_uid = sock_net_uid(sock_net(sk), sk),
		.daddr = dco_addr_in6(&to->remote),
		.fl6_dport = to->remote_port,
		.fl6_sport = inet_sk(sk)->inet_sport,
	};
	struct dst_entry *dst;

	if (sk->sk_family != AF_INET6)
		return ERR_PTR(-EAFNOSUPPORT);
	if (!flow.flowi6_oif && ipv6_addr_type(&flow.daddr) & IPV6_ADDR_LINKLOCAL)
		flow.flowi6_oif = to->scope_id;

	/* Unlike IPv4's, this look-up takes any source address. */
	flow.saddr = sk->sk_v6_rcv_saddr;
	if (to->local.family == AF_INET6) {
		struct in6_addr local = dco_addr_in6(&to->local);

		if (ipv6_chk_addr(sock_net(sk), &local, NULL, 0))
			flow.saddr = local;
	}
	if (ipv6_addr_v4mapped(&flow.saddr))
		flow.saddr = in6addr_any;
	dst = ip6_dst_lookup_flow(sock_net(sk), sk, &flow, NULL);
	if (!IS_ERR(dst)) {
		route->saddr6 = flow.saddr;
		route->cookie = rt6_get_cookie(dst_rt6_info(dst));
	}
	return dst;
}

/* This processor's route to the link's peer: without a reference, good until rcu_read_unlock(). */
static struct dst_entry *dco_route(struct dco_link *link, const struct dco_endpoint *to, u32 generation)
{
	struct dco_route *route = this_cpu_ptr(link->routes);
	struct sock *sk = link->socket->sk;
	u32 mark = READ_ONCE(sk->sk_mark);
	int bound_if = READ_ONCE(sk->sk_bound_dev_if);
	struct dst_entry *dst;

	if (likely(route->dst && route->generation == generation && route->mark == mark &&
		   route->bound_if == bound_if && dst_check(route->dst, route->cookie)))
		return route->dst;

	dst_release(route->dst);
	route->dst = NULL;
	route->generation = generation;
	route->mark = mark;
	route->bound_if = bound_if;
	dst = to->remote.family == AF_INET ? dco_route_find4(sk, to, route) : dco_route_find6(sk, to, route);
	if (!IS_ERR(dst))
		route->dst = dst;
	return dst;
}

/* ------------------------------------------------------------------ sending -------------------------------------- */

/* Pushes the UDP header; `pseudo` is the folded sum of the pseudo-header. The device, or the stack, does the rest. */
static struct udphdr *dco_udp_push(struct sk_buff *skb, const struct sock *sk, __be16 port)
{
	struct udphdr *uh = __skb_push(skb, sizeof(*uh));

	skb_reset_transport_header(skb);
	uh->source = inet_sk(sk)->inet_sport;
	uh->dest = port;
	uh->len = htons(skb->len);
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct udphdr, check);
	return uh;
}

static int dco_udp_send4(struct sock *sk, const struct dco_endpoint *to, struct dst_entry *dst, __be32 source,
			 struct sk_buff *skb)
{
	struct udphdr *uh = dco_udp_push(skb, sk, to->remote_port);
	__be32 target = dco_addr_be32(&to->remote);
	struct iphdr *iph;

	uh->check = ~udp_v4_check(skb->len, source, target, 0);
	iph = __skb_push(skb, sizeof(*iph));
	skb_reset_network_header(skb);
	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	iph->version = 4;
	iph->ihl = sizeof(*iph) / 4;
	iph->tos = 0;
	iph->frag_off = 0;	/* may be fragmented: the inner packet's size is not up to us */
	iph->ttl = ip4_dst_hoplimit(dst);
	iph->protocol = IPPROTO_UDP;
	iph->saddr = source;
	iph->daddr = target;
	__ip_select_ident(sock_net(sk), iph, skb_shinfo(skb)->gso_segs ?: 1);
	return ip_local_out(sock_net(sk), sk, skb);
}

static int dco_udp_send6(struct sock *sk, const struct dco_endpoint *to, struct dst_entry *dst,
			 const struct in6_addr *source, struct sk_buff *skb)
{
	struct udphdr *uh = dco_udp_push(skb, sk, to->remote_port);
	struct in6_addr target = dco_addr_in6(&to->remote);
	struct ipv6hdr *iph;

	uh->check = ~udp_v6_check(skb->len, source, &target, 0);
	iph = __skb_push(skb, sizeof(*iph));
	skb_reset_network_header(skb);
	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	ip6_flow_hdr(iph, 0, 0);
	iph->payload_len = htons(skb->len - sizeof(*iph));
	iph->nexthdr = IPPROTO_UDP;
	iph->hop_limit = ip6_dst_hoplimit(dst);
	iph->saddr = *source;
	iph->daddr = target;
	return ip6_local_out(sock_net(sk), sk, skb);
}

unsigned int dco_udp_send(struct dco_dev *dev, struct dco_link *link, const struct dco_endpoint *to, u32 generation,
			  struct sk_buff *skb)
{
	const unsigned int headers = sizeof(struct udphdr) + sizeof(struct ipv6hdr);
	unsigned int packets = skb_shinfo(skb)->gso_segs ?: 1;
	struct sock *sk = link->socket->sk;
	struct dco_route *route;
	struct dst_entry *dst;
	int err;

	if (sock_flag(sk, SOCK_DEAD))
		goto drop;	/* closed; its peers are about to be removed */
	dst = dco_route(link, to, generation);
	if (IS_ERR(dst) || dst->dev == dev->net)	/* a tunnel routed into itself */
		goto drop;
	if (skb_cow_head(skb, LL_RESERVED_SPACE(dst->dev) + dst->header_len + headers))
		goto drop;

	route = this_cpu_ptr(link->routes);
	skb->mark = route->mark;
	skb->ignore_df = 1;
	skb_dst_set_noref(skb, dst);
	if (to->remote.family == AF_INET)
		err = dco_udp_send4(sk, to, dst, route->saddr, skb);
	else
		err = dco_udp_send6(sk, to, dst, &route->saddr6, skb);
	return net_xmit_eval(err) ? packets : 0;

drop:
	kfree_skb(skb);
	return packets;
}

/* ------------------------------------------------------------------ inner routes --------------------------------- */

/*
 * With the device as outgoing interface the look-up considers routes through it alone (the longest prefix of those),
 * and its VRF's table if it is in one. Whether other devices have better routes is for rp_filter to mind.
 */
static bool dco_route_back4(struct dco_dev *dev, __be32 source, struct dco_addr *next_hop)
{
	struct flowi4 flow = {
		.flowi4_oif = dev->net->ifindex,
		.flowi4_iif = LOOPBACK_IFINDEX,
		.flowi4_scope = RT_SCOPE_UNIVERSE,
		.daddr = source,
	};
	const struct fib_nh_common *nhc;
	struct fib_result result;

	if (fib_lookup(dev_net(dev->net), &flow, &result, 0) || result.type != RTN_UNICAST)
		return false;
	nhc = result.nhc;
	if (nhc->nhc_dev != dev->net)
		return false;
	if (nhc->nhc_gw_family == AF_INET6)
		*next_hop = dco_addr_v6(&nhc->nhc_gw.ipv6);
	else
		*next_hop = dco_addr_v4(nhc->nhc_gw_family ? nhc->nhc_gw.ipv4 : source);
	return true;
}

static bool dco_route_back6(struct dco_dev *dev, const struct in6_addr *source, struct dco_addr *next_hop)
{
	struct flowi6 flow = {
		.flowi6_oif = dev->net->ifindex,
		.flowi6_iif = LOOPBACK_IFINDEX,
		.daddr = *source,
	};
	const struct rt6_info *rt;
	struct dst_entry *dst;
	bool found = false;

	/* With ipv6.disable=1 there are no tables. */
	if (!ipv6_mod_enabled())
		return false;
	dst = ip6_route_lookup(dev_net(dev->net), &flow, NULL, RT6_LOOKUP_F_IFACE);
	rt = dst_rt6_info(dst);
	if (!dst->error && dst->dev == dev->net && !(rt->rt6i_flags & (RTF_LOCAL | RTF_ANYCAST | RTF_REJECT))) {
		*next_hop = dco_addr_v6(rt->rt6i_flags & RTF_GATEWAY ? &rt->rt6i_gateway : source);
		found = true;
	}
	dst_release(dst);
	return found;
}

bool dco_shim_route_back(struct dco_dev *dev, const struct dco_addr *source, struct dco_addr *next_hop)
{
	struct in6_addr source6;

	if (source->family == AF_INET)
		return dco_route_back4(dev, dco_addr_be32(source), next_hop);
	if (source->family != AF_INET6)
		return false;
	source6 = dco_addr_in6(source);
	return dco_route_back6(dev, &source6, next_hop);
}
