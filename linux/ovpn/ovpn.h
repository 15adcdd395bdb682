/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the files of the module ovpn share. Names begin with ml_, for "mainline": the interface that kernels from 6.16 on
 * bring along.
 */
#ifndef DCO_OVPN_H
#define DCO_OVPN_H

#include <net/genetlink.h>

#include "../shim/shim.h"
#include "uapi.h"

/* main.c */
extern struct genl_family ml_family;
extern const struct dco_personality ml_personality;
/*
 * A command's device (to be put) and its nest's attributes, `max + 1` of them, which the netlink core has checked by the
 * command's policy. -EINVAL, -ENODEV.
 */
struct dco_dev *ml_request(struct genl_info *info, int nest, struct nlattr **attrs, int max);
/* A device by its index, for a request from `netns`; to be put. */
struct dco_dev *ml_device(struct net *netns, struct nlattr *ifindex, struct netlink_ext_ack *extack);
/* -EINVAL, and extack names what is missing, unless `attrs` has all attributes whose bits are set in `required`. */
int ml_required(struct nlattr *nest, struct nlattr **attrs, u32 required, struct netlink_ext_ack *extack);

/* For texts that are no literals; `why` is static or NULL. Returns `err`. */
static inline int ml_fail(struct netlink_ext_ack *extack, const char *why, int err)
{
	if (extack && err && why)
		extack->_msg = why;
	return err;
}

/* policy.c: what each command takes. */
extern const struct nla_policy ml_peer_new_policy[ML_A_PEER + 1];
extern const struct nla_policy ml_peer_set_policy[ML_A_PEER + 1];
extern const struct nla_policy ml_peer_id_policy[ML_A_PEER + 1];
extern const struct nla_policy ml_key_new_policy[ML_A_KEYCONF + 1];
extern const struct nla_policy ml_key_slot_policy[ML_A_KEYCONF + 1];
extern const struct nla_policy ml_key_peer_policy[ML_A_KEYCONF + 1];

/* peer.c, key.c: the commands. */
int ml_peer_new(struct sk_buff *skb, struct genl_info *info);
int ml_peer_set(struct sk_buff *skb, struct genl_info *info);
int ml_peer_del(struct sk_buff *skb, struct genl_info *info);
int ml_key_new(struct sk_buff *skb, struct genl_info *info);
int ml_key_get(struct sk_buff *skb, struct genl_info *info);
int ml_key_swap(struct sk_buff *skb, struct genl_info *info);
int ml_key_del(struct sk_buff *skb, struct genl_info *info);

/*
 * epoch.c: KEY_NEW of an epoch key, whose attributes are the request's; what KEY_GET's reply says of one more, -EMSGSIZE.
 */
#ifdef DCO_EPOCH
int ml_epoch_key_new(struct dco_dev *dev, struct nlattr *nest, struct nlattr **attrs, struct netlink_ext_ack *extack);
int ml_epoch_put(struct sk_buff *skb, const struct dco_epoch_info *info);
#endif

/* report.c: replies and notifications. */
int ml_peer_get(struct sk_buff *skb, struct genl_info *info);
int ml_peer_dump(struct sk_buff *skb, struct netlink_callback *cb);
void ml_peer_gone(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 reason);
void ml_peer_moved(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, const struct dco_endpoint *endpoint);
void ml_key_old(struct dco_dev *dev, const struct dco_link *link, u32 peer_id, u32 key_id);

#endif
