// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Module ovpn-dco-v2: family `ovpn-dco-v2` and link kind `ovpn-dco`, as OpenVPN 2.6 uses them.
 */
#include <linux/module.h>

#include "v2.h"

const struct dco_personality v2_personality = {
	.kind = "ovpn-dco",
	.data_v1_to_user = true,
	.mtu = 1428,
	.vpn_address_moves = true,
	.peer_gone = v2_peer_gone,
};

/* The nests' own policies are applied by their commands: a nest that a command does not use is not looked into. */
static const struct nla_policy v2_policy[V2_A_MAX + 1] = {
	[V2_A_IFINDEX] = { .type = NLA_U32 },
	[V2_A_NEW_PEER] = { .type = NLA_NESTED },
	[V2_A_SET_PEER] = { .type = NLA_NESTED },
	[V2_A_DEL_PEER] = { .type = NLA_NESTED },
	[V2_A_NEW_KEY] = { .type = NLA_NESTED },
	[V2_A_SWAP_KEYS] = { .type = NLA_NESTED },
	[V2_A_DEL_KEY] = { .type = NLA_NESTED },
	[V2_A_GET_PEER] = { .type = NLA_NESTED },
};

#define V2_OP(command, function) {			\
	.cmd = (command),				\
	.flags = GENL_ADMIN_PERM,			\
	.doit = (function),				\
}

static const struct genl_small_ops v2_ops[] = {
	V2_OP(V2_CMD_NEW_PEER, v2_new_peer),
	V2_OP(V2_CMD_SET_PEER, v2_set_peer),
	V2_OP(V2_CMD_DEL_PEER, v2_del_peer),
	V2_OP(V2_CMD_NEW_KEY, v2_new_key),
	V2_OP(V2_CMD_SWAP_KEYS, v2_swap_keys),
	V2_OP(V2_CMD_DEL_KEY, v2_del_key),
	{
		.cmd = V2_CMD_GET_PEER,
		.flags = GENL_ADMIN_PERM,
		.doit = v2_get_peer,
		.dumpit = v2_dump_peers,
	},
};

static const struct genl_multicast_group v2_groups[] = {
	{ .name = V2_GROUP },
};

struct genl_family v2_family __ro_after_init = {
	.name = V2_FAMILY,
	.version = V2_VERSION,
	.maxattr = V2_A_MAX,
	.policy = v2_policy,
	.netnsok = true,
	.parallel_ops = true,		/* the device's mutex is enough */
	.module = THIS_MODULE,
	.small_ops = v2_ops,
	.n_small_ops = ARRAY_SIZE(v2_ops),
	.mcgrps = v2_groups,
	.n_mcgrps = ARRAY_SIZE(v2_groups),
	.resv_start_op = V2_CMD_GET_PEER + 1,
};

struct dco_dev *v2_request(struct genl_info *info, int nest, struct nlattr **attrs, int max,
			   const struct nla_policy *policy)
{
	int err;

	if (!info->attrs[V2_A_IFINDEX] || !info->attrs[nest])
		return ERR_PTR(-EINVAL);
	err = nla_parse_nested(attrs, max, info->attrs[nest], policy, info->extack);
	if (err)
		return ERR_PTR(err);
	return dco_netdev_find(genl_info_net(info), nla_get_u32(info->attrs[V2_A_IFINDEX]), &v2_personality);
}

static const struct device_type v2_device_type = {
	.name = "ovpn-dco",
};

static void v2_setup(struct net_device *net)
{
	dco_netdev_setup(net, &v2_personality);
	SET_NETDEV_DEVTYPE(net, &v2_device_type);
}

static struct rtnl_link_ops v2_link_ops = {
	.kind = "ovpn-dco",
	.priv_size = sizeof(struct dco_dev),
	.setup = v2_setup,
	.policy = dco_rtnl_policy,
	.maxtype = IFLA_DCO_SOURCE_CHECK,
	.newlink = dco_rtnl_newlink,
	.changelink = dco_rtnl_changelink,
	.dellink = dco_netdev_delete,
	.get_size = dco_rtnl_get_size,
	.fill_info = dco_rtnl_fill_info,
};

/* The kind before the family, which is what OpenVPN looks for. */
static int __init v2_init(void)
{
	int err;

	err = rtnl_link_register(&v2_link_ops);
	if (err) {
		pr_err("ovpn-dco-v2: link kind %s: another module has it (%d)\n", v2_link_ops.kind, err);
		return err;
	}
	err = genl_register_family(&v2_family);
	if (err) {
		pr_err("ovpn-dco-v2: netlink family %s: another module has it (%d)\n", v2_family.name, err);
		rtnl_link_unregister(&v2_link_ops);
	}
	return err;
}
module_init(v2_init);

/* The devices first: they still tell of their peers' end. */
static void __exit v2_exit(void)
{
	rtnl_link_unregister(&v2_link_ops);
	genl_unregister_family(&v2_family);
}
module_exit(v2_exit);

MODULE_DESCRIPTION("OpenVPN data channel offload, interface of OpenVPN 2.6");
MODULE_AUTHOR("the authors of ovpn-dco");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(DCO_VERSION);
MODULE_ALIAS_RTNL_LINK("ovpn-dco");
MODULE_ALIAS_GENL_FAMILY(V2_FAMILY);
