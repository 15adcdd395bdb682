// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Module ovpn: family `ovpn` and link kind `ovpn`, as OpenVPN 2.7 and later use them.
 */
#include <linux/module.h>

#include "ovpn.h"

const struct dco_personality ml_personality = {
	.kind = "ovpn",
	.tcp_data_v1_kills = true,
	.mtu = 1416,
	.carrier_follows_peer = true,
	.tcp_remote_refused = true,
	.peer_gone = ml_peer_gone,
	.peer_moved = ml_peer_moved,
	.key_old = ml_key_old,
};

#define ML_OP(command, function, takes)		\
	.cmd = (command),			\
	.flags = GENL_ADMIN_PERM,		\
	.doit = (function),			\
	.policy = (takes),			\
	.maxattr = ARRAY_SIZE(takes) - 1

static const struct genl_ops ml_ops[] = {
	{ ML_OP(ML_CMD_PEER_NEW, ml_peer_new, ml_peer_new_policy) },
	{ ML_OP(ML_CMD_PEER_SET, ml_peer_set, ml_peer_set_policy) },
	{ ML_OP(ML_CMD_PEER_GET, ml_peer_get, ml_peer_id_policy), .dumpit = ml_peer_dump },
	{ ML_OP(ML_CMD_PEER_DEL, ml_peer_del, ml_peer_id_policy) },
	{ ML_OP(ML_CMD_KEY_NEW, ml_key_new, ml_key_new_policy) },
	{ ML_OP(ML_CMD_KEY_GET, ml_key_get, ml_key_slot_policy) },
	{ ML_OP(ML_CMD_KEY_SWAP, ml_key_swap, ml_key_peer_policy) },
	{ ML_OP(ML_CMD_KEY_DEL, ml_key_del, ml_key_slot_policy) },
};

static const struct genl_multicast_group ml_groups[] = {
	{ .name = ML_GROUP },
};

struct genl_family ml_family __ro_after_init = {
	.name = ML_FAMILY,
	.version = ML_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = ml_ops,
	.n_ops = ARRAY_SIZE(ml_ops),
	.mcgrps = ml_groups,
	.n_mcgrps = ARRAY_SIZE(ml_groups),
};

struct dco_dev *ml_device(struct net *netns, struct nlattr *ifindex, struct netlink_ext_ack *extack)
{
	struct dco_dev *dev;

	if (!ifindex) {
		NL_SET_ERR_MSG(extack, "the interface index is missing");
		return ERR_PTR(-EINVAL);
	}
	dev = dco_netdev_find(netns, nla_get_u32(ifindex), &ml_personality);
	if (PTR_ERR_OR_ZERO(dev) == -ENODEV)
		NL_SET_ERR_MSG_ATTR(extack, ifindex, "there is no interface with this index");
	else if (IS_ERR(dev))
		NL_SET_ERR_MSG_ATTR(extack, ifindex, "this interface is not of kind ovpn");
	return dev;
}

struct dco_dev *ml_request(struct genl_info *info, int nest, struct nlattr **attrs, int max)
{
	struct dco_dev *dev;
	int err;

	dev = ml_device(genl_info_net(info), info->attrs[ML_A_IFINDEX], info->extack);
	if (IS_ERR(dev))
		return dev;
	if (info->attrs[nest])
		err = nla_parse_nested(attrs, max, info->attrs[nest], NULL, info->extack);
	else
		err = ml_fail(info->extack, nest == ML_A_PEER ? "the peer is missing" : "the key is missing", -EINVAL);
	if (!err)
		return dev;
	dco_netdev_put(dev);
	return ERR_PTR(err);
}

int ml_required(struct nlattr *nest, struct nlattr **attrs, u32 required, struct netlink_ext_ack *extack)
{
	unsigned int type;

	for (type = 0; type < 32; type++) {
		if (!(required & BIT(type)) || attrs[type])
			continue;
		NL_SET_ERR_ATTR_MISS(extack, nest, type);
		NL_SET_ERR_MSG_ATTR(extack, nest, "a required attribute is missing");
		return -EINVAL;
	}
	return 0;
}

static const struct device_type ml_device_type = {
	.name = "ovpn",
};

static void ml_setup(struct net_device *net)
{
	dco_netdev_setup(net, &ml_personality);
	SET_NETDEV_DEVTYPE(net, &ml_device_type);
}

static struct rtnl_link_ops ml_link_ops = {
	.kind = "ovpn",
	.priv_size = sizeof(struct dco_dev),
	.setup = ml_setup,
	.policy = dco_rtnl_policy,
	.maxtype = IFLA_DCO_SOURCE_CHECK,
	.newlink = dco_rtnl_newlink,
	.changelink = dco_rtnl_changelink,
	.dellink = dco_netdev_delete,
	.get_size = dco_rtnl_get_size,
	.fill_info = dco_rtnl_fill_info,
};

/* The kind before the family, which is what OpenVPN looks for. */
static int __init ml_init(void)
{
	int err;

	err = rtnl_link_register(&ml_link_ops);
	if (err) {
		pr_err("ovpn: link kind %s: another module has it, the kernel's own ovpn perhaps (%d)\n",
		       ml_link_ops.kind, err);
		return err;
	}
	err = genl_register_family(&ml_family);
	if (err) {
		pr_err("ovpn: netlink family %s: another module has it, the kernel's own ovpn perhaps (%d)\n",
		       ml_family.name, err);
		rtnl_link_unregister(&ml_link_ops);
	}
	return err;
}
module_init(ml_init);

/* The devices first: they still tell of their peers' end. */
static void __exit ml_exit(void)
{
	rtnl_link_unregister(&ml_link_ops);
	genl_unregister_family(&ml_family);
}
module_exit(ml_exit);

MODULE_DESCRIPTION("OpenVPN data channel offload, interface of OpenVPN 2.7");
MODULE_AUTHOR("the authors of ovpn-dco");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(DCO_VERSION);
MODULE_ALIAS_RTNL_LINK("ovpn");
MODULE_ALIAS_GENL_FAMILY(ML_FAMILY);
