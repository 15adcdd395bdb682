// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn`: PEER_NEW, PEER_SET, PEER_DEL.
 */
#include "../shim/addr.h"
#include "ovpn.h"

static const char ml_no_such_peer[] = "there is no peer with this id";

/* A rule that attributes have to keep. */
#define ML_REFUSE_IF(condition, extack, text)			\
	do {							\
		if (condition) {				\
			NL_SET_ERR_MSG(extack, text);		\
			return -EINVAL;				\
		}						\
	} while (0)

static int ml_peer_rules(struct nlattr **attrs, enum dco_mode mode, struct netlink_ext_ack *extack)
{
	const bool v4 = attrs[ML_PEER_REMOTE_IPV4], v6 = attrs[ML_PEER_REMOTE_IPV6];

	ML_REFUSE_IF(v4 && v6, extack, "the remote address is either IPv4 or IPv6");
	ML_REFUSE_IF((v4 || v6) && !attrs[ML_PEER_REMOTE_PORT], extack, "a remote address needs a port");
	ML_REFUSE_IF(!v4 && !v6 && attrs[ML_PEER_REMOTE_PORT], extack, "a remote port needs an address");
	ML_REFUSE_IF(attrs[ML_PEER_LOCAL_IPV4] && attrs[ML_PEER_LOCAL_IPV6], extack,
		     "the local address is either IPv4 or IPv6");
	ML_REFUSE_IF(attrs[ML_PEER_LOCAL_IPV4] && !v4, extack, "a local IPv4 address needs a remote one");
	ML_REFUSE_IF(attrs[ML_PEER_LOCAL_IPV6] && !v6, extack, "a local IPv6 address needs a remote one");
	ML_REFUSE_IF(attrs[ML_PEER_REMOTE_SCOPE_ID] && !v6, extack, "a scope id needs a remote IPv6 address");
	ML_REFUSE_IF(mode == DCO_MODE_P2P && (attrs[ML_PEER_VPN_IPV4] || attrs[ML_PEER_VPN_IPV6]), extack,
		     "a point-to-point peer has no VPN address");
	ML_REFUSE_IF(!attrs[ML_PEER_INTERVAL] != !attrs[ML_PEER_TIMEOUT], extack,
		     "the keepalive interval and timeout go together");
	return 0;
}

static int ml_endpoint(struct nlattr **attrs, struct dco_endpoint *endpoint, struct netlink_ext_ack *extack)
{
	struct in6_addr address;

	if (attrs[ML_PEER_REMOTE_PORT])
		endpoint->remote_port = nla_get_be16(attrs[ML_PEER_REMOTE_PORT]);
	if (attrs[ML_PEER_REMOTE_IPV4])
		endpoint->remote = dco_addr_v4(nla_get_in_addr(attrs[ML_PEER_REMOTE_IPV4]));
	if (attrs[ML_PEER_REMOTE_IPV6]) {
		address = nla_get_in6_addr(attrs[ML_PEER_REMOTE_IPV6]);
		endpoint->remote = dco_addr_folded(&address);
	}
	if (attrs[ML_PEER_REMOTE_SCOPE_ID]) {
		ML_REFUSE_IF(endpoint->remote.family != AF_INET6, extack, "a v4-mapped remote address has no scope id");
		endpoint->scope_id = nla_get_u32(attrs[ML_PEER_REMOTE_SCOPE_ID]);
	}
	if (attrs[ML_PEER_LOCAL_IPV4])
		endpoint->local = dco_addr_v4(nla_get_in_addr(attrs[ML_PEER_LOCAL_IPV4]));
	if (attrs[ML_PEER_LOCAL_IPV6]) {
		address = nla_get_in6_addr(attrs[ML_PEER_LOCAL_IPV6]);
		endpoint->local = dco_addr_folded(&address);
		ML_REFUSE_IF(endpoint->local.family != endpoint->remote.family, extack,
			     "the local and the remote address are of different families");
	}
	return 0;
}

static int ml_vpn_addresses(struct nlattr **attrs, struct dco_addr *vpn4, struct dco_addr *vpn6,
			    struct netlink_ext_ack *extack)
{
	if (attrs[ML_PEER_VPN_IPV4]) {
		__be32 address = nla_get_in_addr(attrs[ML_PEER_VPN_IPV4]);

		if (ipv4_is_multicast(address) || ipv4_is_lbcast(address) || ipv4_is_zeronet(address)) {
			NL_SET_ERR_MSG_ATTR(extack, attrs[ML_PEER_VPN_IPV4], "the VPN address is not a unicast one");
			return -EADDRNOTAVAIL;
		}
		*vpn4 = dco_addr_v4(address);
	}
	if (attrs[ML_PEER_VPN_IPV6]) {
		struct in6_addr address = nla_get_in6_addr(attrs[ML_PEER_VPN_IPV6]);

		if (!(ipv6_addr_type(&address) & IPV6_ADDR_UNICAST)) {
			NL_SET_ERR_MSG_ATTR(extack, attrs[ML_PEER_VPN_IPV6], "the VPN address is not a unicast one");
			return -EADDRNOTAVAIL;
		}
		*vpn6 = dco_addr_v6(&address);
	}
	return 0;
}

/* What PEER_NEW and PEER_SET have in common, as a dco_peer_set. */
static int ml_peer_parse(struct nlattr **attrs, enum dco_mode mode, struct dco_peer_set *set,
			 struct netlink_ext_ack *extack)
{
	int err;

	err = ml_peer_rules(attrs, mode, extack);
	err = err ?: ml_endpoint(attrs, &set->endpoint, extack);
	err = err ?: ml_vpn_addresses(attrs, &set->vpn4, &set->vpn6, extack);
	if (err)
		return err;
	if (set->endpoint.remote.family)
		set->what |= DCO_SET_ENDPOINT;
	if (set->vpn4.family)
		set->what |= DCO_SET_VPN4;
	if (set->vpn6.family)
		set->what |= DCO_SET_VPN6;
	if (attrs[ML_PEER_INTERVAL] && attrs[ML_PEER_TIMEOUT]) {
		set->what |= DCO_SET_INTERVAL | DCO_SET_TIMEOUT;
		set->interval = nla_get_u32(attrs[ML_PEER_INTERVAL]);
		set->timeout = nla_get_u32(attrs[ML_PEER_TIMEOUT]);
	}
	if (attrs[ML_PEER_TX_ID]) {
		set->what |= DCO_SET_TX_ID;
		set->tx_id = nla_get_u32(attrs[ML_PEER_TX_ID]);
	}
	if (attrs[ML_PEER_MSS]) {
		set->what |= DCO_SET_MSS;
		set->mss = nla_get_u32(attrs[ML_PEER_MSS]);
	}
	return 0;
}

static int ml_peer_new_parse(struct genl_info *info, struct nlattr **attrs, enum dco_mode mode,
			     struct dco_peer_new *peer, struct dco_peer_set *more)
{
	int err;

	err = ml_required(info->attrs[ML_A_PEER], attrs, BIT(ML_PEER_ID) | BIT(ML_PEER_SOCKET), info->extack);
	err = err ?: ml_peer_parse(attrs, mode, more, info->extack);
	if (err)
		return err;
	ML_REFUSE_IF(mode == DCO_MODE_MP && !more->vpn4.family && !more->vpn6.family, info->extack,
		     "a peer of a multi-peer device needs a VPN address");
	peer->id = nla_get_u32(attrs[ML_PEER_ID]);
	peer->tx_id = more->what & DCO_SET_TX_ID ? more->tx_id : DCO_PEER_ID_UNDEF + 1;
	peer->vpn4 = more->vpn4;
	peer->vpn6 = more->vpn6;
	peer->endpoint = more->endpoint;
	more->what &= DCO_SET_INTERVAL | DCO_SET_TIMEOUT | DCO_SET_MSS;
	return 0;
}

int ml_peer_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_PEER_MAX + 1];
	struct dco_peer_set more = {};
	struct dco_peer_new peer = {};
	const char *why = NULL;
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_PEER, attrs, ML_PEER_MAX);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_peer_new_parse(info, attrs, dev->mode, &peer, &more);
	if (!err)
		err = dco_peer_new(dev, nla_get_u32(attrs[ML_PEER_SOCKET]), &peer, &more, &why);
	dco_netdev_put(dev);
	return ml_fail(info->extack, why, err);
}

int ml_peer_set(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_PEER_MAX + 1];
	struct dco_peer_set set = {};
	const char *why = NULL;
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_PEER, attrs, ML_PEER_MAX);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_PEER], attrs, BIT(ML_PEER_ID), info->extack);
	err = err ?: ml_peer_parse(attrs, dev->mode, &set, info->extack);
	err = err ?: dco_peer_set(dev, nla_get_u32(attrs[ML_PEER_ID]), &set, &why);
	dco_netdev_put(dev);
	return ml_fail(info->extack, why, err);
}

int ml_peer_del(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_PEER_ID + 1];
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_PEER, attrs, ML_PEER_ID);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_PEER], attrs, BIT(ML_PEER_ID), info->extack);
	err = err ?: dco_peer_del(dev, nla_get_u32(attrs[ML_PEER_ID]), DCO_DEL_USERSPACE);
	dco_netdev_put(dev);
	return ml_fail(info->extack, err == -ENOENT ? ml_no_such_peer : NULL, err);
}
