/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the files of the module ovpn-dco-v2 share.
 */
#ifndef DCO_V2_H
#define DCO_V2_H

#include <net/genetlink.h>

#include "../shim/shim.h"
#include "uapi.h"

/* main.c */
extern struct genl_family v2_family;
extern const struct dco_personality v2_personality;
/* A command's device (to be put) and its nest, parsed into `attrs`. -EINVAL, -ENODEV. */
struct dco_dev *v2_request(struct genl_info *info, int nest, struct nlattr **attrs, int max,
			   const struct nla_policy *policy);

/* peer.c, key.c: the commands. */
int v2_new_peer(struct sk_buff *skb, struct genl_info *info);
int v2_set_peer(struct sk_buff *skb, struct genl_info *info);
int v2_del_peer(struct sk_buff *skb, struct genl_info *info);
int v2_get_peer(struct sk_buff *skb, struct genl_info *info);
int v2_dump_peers(struct sk_buff *skb, struct netlink_callback *cb);
int v2_new_key(struct sk_buff *skb, struct genl_info *info);
int v2_swap_keys(struct sk_buff *skb, struct genl_info *info);
int v2_del_key(struct sk_buff *skb, struct genl_info *info);

/* peer.c: a personality's notification. */
void v2_peer_gone(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 reason);

#endif
