// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn`: PEER_GET's replies, and the notifications, which go to the netns of the peer's socket: that is where
 * its OpenVPN is, wherever the device was moved.
 */
#include <linux/net_namespace.h>

#include "../shim/addr.h"
#include "ovpn.h"

/* netlink's uint: as short as the value allows. */
static int ml_put_uint(struct sk_buff *skb, int attr, u64 value)
{
	return value <= U32_MAX ? nla_put_u32(skb, attr, value) : nla_put(skb, attr, sizeof(value), &value);
}

/* To whichever of two attributes the address' family says; none: nothing. */
static int ml_put_addr(struct sk_buff *skb, int attr4, int attr6, const struct dco_addr *addr)
{
	if (addr->family == AF_INET)
		return nla_put(skb, attr4, 4, addr->addr);
	if (addr->family == AF_INET6)
		return nla_put(skb, attr6, 16, addr->addr);
	return 0;
}

static int ml_put_remote(struct sk_buff *skb, const struct dco_endpoint *endpoint)
{
	if (!endpoint->remote.family)
		return 0;
	if (ml_put_addr(skb, ML_PEER_REMOTE_IPV4, ML_PEER_REMOTE_IPV6, &endpoint->remote) ||
	    (endpoint->remote.family == AF_INET6 &&
	     nla_put_u32(skb, ML_PEER_REMOTE_SCOPE_ID, endpoint->scope_id)))
		return -EMSGSIZE;
	return nla_put_net16(skb, ML_PEER_REMOTE_PORT, endpoint->remote_port);
}

/* Four attributes in the order of struct dco_traffic's: bytes received and sent, packets received and sent. */
static int ml_put_traffic(struct sk_buff *skb, int first, const struct dco_traffic *traffic)
{
	if (ml_put_uint(skb, first, traffic->rx_bytes) ||
	    ml_put_uint(skb, first + 1, traffic->tx_bytes) ||
	    ml_put_uint(skb, first + 2, traffic->rx_packets) ||
	    ml_put_uint(skb, first + 3, traffic->tx_packets))
		return -EMSGSIZE;
	return 0;
}

static int ml_put_drops(struct sk_buff *skb, const struct dco_peer_view *view)
{
	struct nlattr *drops, *drop;
	unsigned int reason;

	drops = nla_nest_start(skb, ML_PEER_DROPS);
	if (!drops)
		return -EMSGSIZE;
	for (reason = 0; reason < view->drop_count; reason++) {
		if (!view->drops[reason])
			continue;
		drop = nla_nest_start(skb, ML_DROP);
		if (!drop ||
		    nla_put_string(skb, ML_DROP_REASON, dco_core_drop_name(reason)) ||
		    ml_put_uint(skb, ML_DROP_PACKETS, view->drops[reason]))
			return -EMSGSIZE;
		nla_nest_end(skb, drop);
	}
	nla_nest_end(skb, drops);
	return 0;
}

/* One peer's message. */
static int ml_put_peer(struct sk_buff *skb, const struct dco_peer_view *view, u32 portid, u32 seq, int flags)
{
	const struct dco_peer_info *info = &view->info;
	struct nlattr *nest;
	void *message;

	message = genlmsg_put(skb, portid, seq, &ml_family, flags, ML_CMD_PEER_GET);
	if (!message)
		return -EMSGSIZE;
	nest = nla_nest_start(skb, ML_A_PEER);
	if (!nest ||
	    nla_put_u32(skb, ML_PEER_ID, info->id) ||
	    nla_put_u32(skb, ML_PEER_TX_ID, info->tx_id) ||
	    (view->netnsid != NETNSA_NSID_NOT_ASSIGNED &&
	     nla_put_s32(skb, ML_PEER_SOCKET_NETNSID, view->netnsid)) ||
	    ml_put_addr(skb, ML_PEER_VPN_IPV4, ML_PEER_VPN_IPV6, &info->vpn4) ||
	    ml_put_addr(skb, ML_PEER_VPN_IPV4, ML_PEER_VPN_IPV6, &info->vpn6) ||
	    nla_put_u32(skb, ML_PEER_INTERVAL, info->interval) ||
	    nla_put_u32(skb, ML_PEER_TIMEOUT, info->timeout) ||
	    ml_put_remote(skb, &info->endpoint) ||
	    ml_put_addr(skb, ML_PEER_LOCAL_IPV4, ML_PEER_LOCAL_IPV6, &info->endpoint.local) ||
	    nla_put_net16(skb, ML_PEER_LOCAL_PORT, view->local_port) ||
	    ml_put_traffic(skb, ML_PEER_VPN_RX_BYTES, &info->vpn) ||
	    ml_put_traffic(skb, ML_PEER_LINK_RX_BYTES, &info->wire) ||
	    (info->mss && nla_put_u32(skb, ML_PEER_MSS, info->mss)) ||
	    ml_put_drops(skb, view)) {
		genlmsg_cancel(skb, message);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	genlmsg_end(skb, message);
	return 0;
}

int ml_peer_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_PEER_ID + 1];
	struct dco_peer_view view;
	struct dco_dev *dev;
	struct sk_buff *reply;
	int err;

	dev = ml_request(info, ML_A_PEER, attrs, ML_PEER_ID);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_PEER], attrs, BIT(ML_PEER_ID), info->extack);
	err = err ?: dco_peer_get(dev, nla_get_u32(attrs[ML_PEER_ID]), genl_info_net(info), &view);
	dco_netdev_put(dev);
	if (err)
		return ml_fail(info->extack, err == -ENOENT ? "there is no peer with this id" : NULL, err);

	reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	err = ml_put_peer(reply, &view, info->snd_portid, info->snd_seq, 0);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return genlmsg_reply(reply, info);
}

/* The peers; args[0] is where to go on. */
int ml_peer_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nlattr **attrs = dco_compat_dump_attrs(cb);
	struct net *netns = sock_net(cb->skb->sk);
	struct dco_peer_view view;
	struct dco_dev *dev;
	u64 cursor;

	if (attrs[ML_A_PEER]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[ML_A_PEER], "a dump is of all peers");
		return -EINVAL;
	}
	dev = ml_device(netns, attrs[ML_A_IFINDEX], cb->extack);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	cursor = cb->args[0];
	while (!dco_peer_next(dev, &cursor, netns, &view)) {
		if (ml_put_peer(skb, &view, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, NLM_F_MULTI))
			break;
		cb->args[0] = cursor;
	}
	dco_netdev_put(dev);
	return skb->len;
}

/* A notification in the making: its device and the opened nest. */
static struct sk_buff *ml_ntf_new(struct dco_dev *dev, u8 command, int nest_attr, void **message, struct nlattr **nest)
{
	struct sk_buff *skb;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return NULL;
	*message = genlmsg_put(skb, 0, 0, &ml_family, 0, command);
	if (*message && !nla_put_u32(skb, ML_A_IFINDEX, dev->net->ifindex)) {
		*nest = nla_nest_start(skb, nest_attr);
		if (*nest)
			return skb;
	}
	nlmsg_free(skb);
	return NULL;
}

static void ml_ntf_send(const struct dco_link *link, struct sk_buff *skb, void *message, struct nlattr *nest)
{
	nla_nest_end(skb, nest);
	genlmsg_end(skb, message);
	genlmsg_multicast_netns(&ml_family, dco_link_net(link), skb, 0, 0, GFP_KERNEL);
}

void ml_peer_gone(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 reason)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *message;

	skb = ml_ntf_new(dev, ML_CMD_PEER_DEL_NTF, ML_A_PEER, &message, &nest);
	if (!skb)
		return;
	if (nla_put_u32(skb, ML_PEER_DEL_REASON, reason) || nla_put_u32(skb, ML_PEER_ID, peer_id))
		nlmsg_free(skb);
	else
		ml_ntf_send(link, skb, message, nest);
}

void ml_peer_moved(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, const struct dco_endpoint *endpoint)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *message;

	skb = ml_ntf_new(dev, ML_CMD_PEER_FLOAT_NTF, ML_A_PEER, &message, &nest);
	if (!skb)
		return;
	if (nla_put_u32(skb, ML_PEER_ID, peer_id) || ml_put_remote(skb, endpoint))
		nlmsg_free(skb);
	else
		ml_ntf_send(link, skb, message, nest);
}

void ml_key_old(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 key_id)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *message;

	skb = ml_ntf_new(dev, ML_CMD_KEY_SWAP_NTF, ML_A_KEYCONF, &message, &nest);
	if (!skb)
		return;
	/* Two bytes of key id: OpenVPN reads a u16 there, as the kernel's own module sends it. */
	if (nla_put_u32(skb, ML_KEYCONF_PEER_ID, peer_id) || nla_put_u16(skb, ML_KEYCONF_KEY_ID, key_id))
		nlmsg_free(skb);
	else
		ml_ntf_send(link, skb, message, nest);
}
