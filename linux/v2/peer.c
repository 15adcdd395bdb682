// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn-dco-v2`: peers, their statistics, the notification of their end.
 */
#include "../shim/addr.h"
#include "v2.h"

static const struct nla_policy v2_new_peer_policy[V2_NEW_PEER_MAX + 1] = {
	[V2_NEW_PEER_ID] = { .type = NLA_U32 },
	[V2_NEW_PEER_REMOTE] = NLA_POLICY_MIN_LEN(sizeof(struct sockaddr_in)),
	[V2_NEW_PEER_SOCKET] = { .type = NLA_U32 },
	[V2_NEW_PEER_IPV4] = { .type = NLA_U32 },
	[V2_NEW_PEER_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[V2_NEW_PEER_LOCAL_IP] = { .type = NLA_BINARY, .len = sizeof(struct in6_addr) },
	[V2_NEW_PEER_MSS] = { .type = NLA_U32 },
};

static const struct nla_policy v2_set_peer_policy[V2_SET_PEER_MAX + 1] = {
	[V2_SET_PEER_ID] = { .type = NLA_U32 },
	[V2_SET_PEER_INTERVAL] = { .type = NLA_U32 },
	[V2_SET_PEER_TIMEOUT] = { .type = NLA_U32 },
	[V2_SET_PEER_MSS] = { .type = NLA_U32 },
};

static const struct nla_policy v2_del_peer_policy[V2_DEL_PEER_MAX + 1] = {
	[V2_DEL_PEER_REASON] = { .type = NLA_U8 },
	[V2_DEL_PEER_ID] = { .type = NLA_U32 },
};

static const struct nla_policy v2_get_peer_policy[V2_GET_PEER_MAX + 1] = {
	[V2_GET_PEER_ID] = { .type = NLA_U32 },
};

/* A sockaddr as it came from userspace: as long as its family needs, longer at will, of any alignment. */
static int v2_remote(const struct nlattr *attr, struct dco_endpoint *endpoint)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} remote = {};

	memcpy(&remote, nla_data(attr), min_t(size_t, nla_len(attr), sizeof(remote)));
	switch (remote.sa.sa_family) {
	case AF_INET:
		endpoint->remote = dco_addr_v4(remote.in4.sin_addr.s_addr);
		endpoint->remote_port = remote.in4.sin_port;
		return 0;
	case AF_INET6:
		if (nla_len(attr) < sizeof(remote.in6))
			return -EINVAL;
		endpoint->remote = dco_addr_folded(&remote.in6.sin6_addr);
		endpoint->remote_port = remote.in6.sin6_port;
		if (endpoint->remote.family == AF_INET6)
			endpoint->scope_id = remote.in6.sin6_scope_id;
		return 0;
	default:
		return -EINVAL;
	}
}

static int v2_local(const struct nlattr *attr, struct dco_endpoint *endpoint)
{
	struct in6_addr address;

	if (nla_len(attr) == sizeof(struct in_addr)) {
		endpoint->local = dco_addr_v4(nla_get_in_addr(attr));
	} else if (nla_len(attr) == sizeof(struct in6_addr)) {
		address = nla_get_in6_addr(attr);
		endpoint->local = dco_addr_folded(&address);
	} else {
		return -EINVAL;
	}
	return endpoint->local.family == endpoint->remote.family ? 0 : -EINVAL;
}

static int v2_new_peer_parse(struct nlattr **attrs, enum dco_mode mode, struct dco_peer_new *peer)
{
	struct in6_addr address;
	int err;

	if (!attrs[V2_NEW_PEER_ID] || !attrs[V2_NEW_PEER_SOCKET])
		return -EINVAL;
	peer->id = nla_get_u32(attrs[V2_NEW_PEER_ID]);
	peer->tx_id = DCO_PEER_ID_UNDEF + 1;
	if (peer->id > DCO_PEER_ID_MAX)
		return -EINVAL;

	if (attrs[V2_NEW_PEER_REMOTE]) {
		err = v2_remote(attrs[V2_NEW_PEER_REMOTE], &peer->endpoint);
		if (err)
			return err;
		if (attrs[V2_NEW_PEER_LOCAL_IP]) {
			err = v2_local(attrs[V2_NEW_PEER_LOCAL_IP], &peer->endpoint);
			if (err)
				return err;
		}
	}

	/* A point-to-point device has no use for VPN addresses. */
	if (mode != DCO_MODE_MP)
		return 0;
	if (attrs[V2_NEW_PEER_IPV4])
		peer->vpn4 = dco_addr_v4(nla_get_in_addr(attrs[V2_NEW_PEER_IPV4]));
	if (attrs[V2_NEW_PEER_IPV6]) {
		address = nla_get_in6_addr(attrs[V2_NEW_PEER_IPV6]);
		peer->vpn6 = dco_addr_v6(&address);
	}
	return peer->vpn4.family || peer->vpn6.family ? 0 : -EINVAL;
}

int v2_new_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_NEW_PEER_MAX + 1];
	struct dco_peer_set more = {};
	struct dco_peer_new peer = {};
	const char *why = NULL;
	struct dco_dev *dev;
	int err;

	dev = v2_request(info, V2_A_NEW_PEER, attrs, V2_NEW_PEER_MAX, v2_new_peer_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = v2_new_peer_parse(attrs, dev->mode, &peer);
	if (!err && attrs[V2_NEW_PEER_MSS]) {
		more.what = DCO_SET_MSS;
		more.mss = nla_get_u32(attrs[V2_NEW_PEER_MSS]);
	}
	if (!err)
		err = dco_peer_new(dev, nla_get_u32(attrs[V2_NEW_PEER_SOCKET]), &peer, &more, &why);
	dco_netdev_put(dev);
	return err;
}

int v2_set_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_SET_PEER_MAX + 1];
	struct dco_peer_set set = {};
	const char *why = NULL;
	struct dco_dev *dev;
	int err = -EINVAL;

	dev = v2_request(info, V2_A_SET_PEER, attrs, V2_SET_PEER_MAX, v2_set_peer_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	/* The two go together: OpenVPN always sends both. */
	if (attrs[V2_SET_PEER_INTERVAL] && attrs[V2_SET_PEER_TIMEOUT]) {
		set.what |= DCO_SET_INTERVAL | DCO_SET_TIMEOUT;
		set.interval = nla_get_u32(attrs[V2_SET_PEER_INTERVAL]);
		set.timeout = nla_get_u32(attrs[V2_SET_PEER_TIMEOUT]);
	}
	if (attrs[V2_SET_PEER_MSS]) {
		set.what |= DCO_SET_MSS;
		set.mss = nla_get_u32(attrs[V2_SET_PEER_MSS]);
	}
	if (attrs[V2_SET_PEER_ID])
		err = dco_peer_set(dev, nla_get_u32(attrs[V2_SET_PEER_ID]), &set, &why);
	dco_netdev_put(dev);
	return err;
}

int v2_del_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_DEL_PEER_MAX + 1];
	struct dco_dev *dev;
	int err = -EINVAL;

	dev = v2_request(info, V2_A_DEL_PEER, attrs, V2_DEL_PEER_MAX, v2_del_peer_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (attrs[V2_DEL_PEER_ID])
		err = dco_peer_del(dev, nla_get_u32(attrs[V2_DEL_PEER_ID]), DCO_DEL_USERSPACE);
	dco_netdev_put(dev);
	return err;
}

static int v2_put_remote(struct sk_buff *skb, const struct dco_endpoint *endpoint)
{
	if (endpoint->remote.family == AF_INET) {
		struct sockaddr_in in4 = {
			.sin_family = AF_INET,
			.sin_port = endpoint->remote_port,
			.sin_addr.s_addr = dco_addr_be32(&endpoint->remote),
		};

		return nla_put(skb, V2_PEER_REMOTE, sizeof(in4), &in4);
	}
	if (endpoint->remote.family == AF_INET6) {
		struct sockaddr_in6 in6 = {
			.sin6_family = AF_INET6,
			.sin6_port = endpoint->remote_port,
			.sin6_addr = dco_addr_in6(&endpoint->remote),
			.sin6_scope_id = endpoint->scope_id,
		};

		return nla_put(skb, V2_PEER_REMOTE, sizeof(in6), &in6);
	}
	return 0;
}

static int v2_put_addr(struct sk_buff *skb, int attr, const struct dco_addr *addr)
{
	return addr->family ? nla_put(skb, attr, addr->family == AF_INET ? 4 : 16, addr->addr) : 0;
}

static int v2_put_drops(struct sk_buff *skb, const struct dco_peer_view *view)
{
	struct nlattr *drops, *drop;
	unsigned int reason;

	drops = nla_nest_start(skb, V2_PEER_DROPS);
	if (!drops)
		return -EMSGSIZE;
	for (reason = 0; reason < view->drop_count; reason++) {
		if (!view->drops[reason])
			continue;
		drop = nla_nest_start(skb, V2_DROP);
		if (!drop ||
		    nla_put_string(skb, V2_DROP_REASON, dco_core_drop_name(reason)) ||
		    nla_put_u64_64bit(skb, V2_DROP_PACKETS, view->drops[reason], V2_DROP_PAD))
			return -EMSGSIZE;
		nla_nest_end(skb, drop);
	}
	nla_nest_end(skb, drops);
	return 0;
}

/* One peer's message. */
static int v2_put_peer(struct sk_buff *skb, const struct dco_peer_view *view, u32 portid, u32 seq, int flags)
{
	const struct dco_peer_info *info = &view->info;
	struct nlattr *nest;
	void *message;

	message = genlmsg_put(skb, portid, seq, &v2_family, flags, V2_CMD_GET_PEER);
	if (!message)
		return -EMSGSIZE;
	nest = nla_nest_start(skb, V2_A_GET_PEER);
	if (!nest ||
	    nla_put_u32(skb, V2_PEER_ID, info->id) ||
	    v2_put_remote(skb, &info->endpoint) ||
	    v2_put_addr(skb, V2_PEER_IPV4, &info->vpn4) ||
	    v2_put_addr(skb, V2_PEER_IPV6, &info->vpn6) ||
	    v2_put_addr(skb, V2_PEER_LOCAL_IP, &info->endpoint.local) ||
	    nla_put_net16(skb, V2_PEER_LOCAL_PORT, view->local_port) ||
	    nla_put_u32(skb, V2_PEER_INTERVAL, info->interval) ||
	    nla_put_u32(skb, V2_PEER_TIMEOUT, info->timeout) ||
	    nla_put_u64_64bit(skb, V2_PEER_VPN_RX_BYTES, info->vpn.rx_bytes, V2_PEER_PAD) ||
	    nla_put_u64_64bit(skb, V2_PEER_VPN_TX_BYTES, info->vpn.tx_bytes, V2_PEER_PAD) ||
	    nla_put_u32(skb, V2_PEER_VPN_RX_PACKETS, info->vpn.rx_packets) ||
	    nla_put_u32(skb, V2_PEER_VPN_TX_PACKETS, info->vpn.tx_packets) ||
	    nla_put_u64_64bit(skb, V2_PEER_LINK_RX_BYTES, info->wire.rx_bytes, V2_PEER_PAD) ||
	    nla_put_u64_64bit(skb, V2_PEER_LINK_TX_BYTES, info->wire.tx_bytes, V2_PEER_PAD) ||
	    nla_put_u32(skb, V2_PEER_LINK_RX_PACKETS, info->wire.rx_packets) ||
	    nla_put_u32(skb, V2_PEER_LINK_TX_PACKETS, info->wire.tx_packets) ||
	    (info->mss && nla_put_u32(skb, V2_PEER_MSS, info->mss)) ||
	    v2_put_drops(skb, view)) {
		genlmsg_cancel(skb, message);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	genlmsg_end(skb, message);
	return 0;
}

int v2_get_peer(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_GET_PEER_MAX + 1];
	struct dco_peer_view view;
	struct dco_dev *dev;
	struct sk_buff *reply;
	int err = -EINVAL;

	dev = v2_request(info, V2_A_GET_PEER, attrs, V2_GET_PEER_MAX, v2_get_peer_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (attrs[V2_GET_PEER_ID])
		err = dco_peer_get(dev, nla_get_u32(attrs[V2_GET_PEER_ID]), NULL, &view);
	dco_netdev_put(dev);
	if (err)
		return err;

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = v2_put_peer(reply, &view, info->snd_portid, info->snd_seq, 0);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return genlmsg_reply(reply, info);
}

/* The peers of a multi-peer device; args[0] is where to go on. */
int v2_dump_peers(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = dco_compat_dump_attrs(cb);
	struct dco_peer_view view;
	struct dco_dev *dev;
	u64 cursor;

	if (!attrs[V2_A_IFINDEX])
		return -EINVAL;
	dev = dco_netdev_find(sock_net(cb->skb->sk), nla_get_u32(attrs[V2_A_IFINDEX]), &v2_personality);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	cursor = cb->args[0];
	while (dev->mode == DCO_MODE_MP && !dco_peer_next(dev, &cursor, NULL, &view)) {
		if (v2_put_peer(skb, &view, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, NLM_F_MULTI))
			break;
		cb->args[0] = cursor;
	}
	dco_netdev_put(dev);
	return skb->len;
}

/* To the netns of the device. */
void v2_peer_gone(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 reason)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *message;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return;
	message = genlmsg_put(skb, 0, 0, &v2_family, 0, V2_CMD_DEL_PEER);
	if (!message || nla_put_u32(skb, V2_A_IFINDEX, dev->net->ifindex))
		goto err;
	nest = nla_nest_start(skb, V2_A_DEL_PEER);
	if (!nest ||
	    nla_put_u8(skb, V2_DEL_PEER_REASON, reason) ||
	    nla_put_u32(skb, V2_DEL_PEER_ID, peer_id))
		goto err;
	nla_nest_end(skb, nest);
	genlmsg_end(skb, message);
	genlmsg_multicast_netns(&v2_family, dev_net(dev->net), skb, 0, 0, GFP_KERNEL);
	return;
err:
	nlmsg_free(skb);
}
