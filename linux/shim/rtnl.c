// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * IFLA_INFO_DATA of both kinds: the mode, and the switch of the check of inner source addresses.
 */
#include <linux/module.h>

#include "shim.h"

static bool source_check = true;
module_param(source_check, bool, 0644);
MODULE_PARM_DESC(source_check, "Whether new multi-peer devices drop packets whose inner source address is not their peer's");

const struct nla_policy dco_rtnl_policy[IFLA_DCO_SOURCE_CHECK + 1] = {
	[IFLA_DCO_MODE] = NLA_POLICY_MAX(NLA_U8, DCO_MODE_MP),
	[IFLA_DCO_SOURCE_CHECK] = NLA_POLICY_MAX(NLA_U8, 1),
};
EXPORT_SYMBOL_GPL(dco_rtnl_policy);

DCO_COMPAT_NEWLINK(dco_rtnl_newlink)
{
	struct nlattr **attrs = dco_newlink_data;
	enum dco_mode mode = DCO_MODE_P2P;
	bool check = READ_ONCE(source_check);

	if (attrs && attrs[IFLA_DCO_MODE])
		mode = nla_get_u8(attrs[IFLA_DCO_MODE]);
	if (attrs && attrs[IFLA_DCO_SOURCE_CHECK])
		check = nla_get_u8(attrs[IFLA_DCO_SOURCE_CHECK]);
	return dco_netdev_create(net, mode, check);
}
EXPORT_SYMBOL_GPL(dco_rtnl_newlink);

int dco_rtnl_changelink(struct net_device *net, struct nlattr *tb[], struct nlattr *data[],
			struct netlink_ext_ack *extack)
{
	struct dco_dev *dev = dco_dev(net);

	if (!data)
		return 0;
	if (data[IFLA_DCO_MODE] && nla_get_u8(data[IFLA_DCO_MODE]) != dev->mode) {
		NL_SET_ERR_MSG_ATTR(extack, data[IFLA_DCO_MODE], "a device keeps the mode it was made with");
		return -EOPNOTSUPP;
	}
	if (data[IFLA_DCO_SOURCE_CHECK])
		dco_netdev_source_check(dev, nla_get_u8(data[IFLA_DCO_SOURCE_CHECK]));
	return 0;
}
EXPORT_SYMBOL_GPL(dco_rtnl_changelink);

size_t dco_rtnl_get_size(const struct net_device *net)
{
	return 2 * nla_total_size(sizeof(u8));
}
EXPORT_SYMBOL_GPL(dco_rtnl_get_size);

int dco_rtnl_fill_info(struct sk_buff *skb, const struct net_device *net)
{
	const struct dco_dev *dev = netdev_priv(net);

	if (nla_put_u8(skb, IFLA_DCO_MODE, dev->mode) ||
	    nla_put_u8(skb, IFLA_DCO_SOURCE_CHECK, dev->source_check))
		return -EMSGSIZE;
	return 0;
}
EXPORT_SYMBOL_GPL(dco_rtnl_fill_info);
