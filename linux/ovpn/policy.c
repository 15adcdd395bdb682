// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn`: what each command takes. An attribute that a command has no use for is refused by the netlink core.
 */
#include "ovpn.h"

/* Not const: kernels before 6.8 want it so. */
static struct netlink_range_validation ml_peer_id_range = { .max = DCO_PEER_ID_MAX };
static struct netlink_range_validation ml_keepalive_range = { .max = ML_KEEPALIVE_MAX };
static struct netlink_range_validation ml_mss_range = { .max = U16_MAX };

#define ML_PEER_SET_POLICY								\
	[ML_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),		\
	[ML_PEER_REMOTE_IPV4] = { .type = NLA_BE32 },					\
	[ML_PEER_REMOTE_IPV6] = NLA_POLICY_EXACT_LEN(16),				\
	[ML_PEER_REMOTE_SCOPE_ID] = { .type = NLA_U32 },				\
	[ML_PEER_REMOTE_PORT] = NLA_POLICY_MIN(NLA_BE16, 1),				\
	[ML_PEER_VPN_IPV4] = { .type = NLA_BE32 },					\
	[ML_PEER_VPN_IPV6] = NLA_POLICY_EXACT_LEN(16),					\
	[ML_PEER_LOCAL_IPV4] = { .type = NLA_BE32 },					\
	[ML_PEER_LOCAL_IPV6] = NLA_POLICY_EXACT_LEN(16),				\
	[ML_PEER_INTERVAL] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_keepalive_range),	\
	[ML_PEER_TIMEOUT] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_keepalive_range),	\
	[ML_PEER_TX_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),		\
	[ML_PEER_MSS] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_mss_range)

static const struct nla_policy ml_peer_new_attrs[ML_PEER_MAX + 1] = {
	ML_PEER_SET_POLICY,
	[ML_PEER_SOCKET] = { .type = NLA_U32 },
};

static const struct nla_policy ml_peer_set_attrs[ML_PEER_MAX + 1] = {
	ML_PEER_SET_POLICY,
};

static const struct nla_policy ml_peer_id_attrs[ML_PEER_ID + 1] = {
	[ML_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),
};

static const struct nla_policy ml_keydir_attrs[ML_KEYDIR_TAIL + 1] = {
	[ML_KEYDIR_KEY] = { .type = NLA_BINARY, .len = ML_KEY_LEN_MAX },
	[ML_KEYDIR_TAIL] = NLA_POLICY_EXACT_LEN(8),
};

static const struct nla_policy ml_key_new_attrs[ML_KEYCONF_MAX + 1] = {
	[ML_KEYCONF_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),
	[ML_KEYCONF_SLOT] = NLA_POLICY_MAX(NLA_U32, DCO_SLOT_SECONDARY),
	[ML_KEYCONF_KEY_ID] = NLA_POLICY_MAX(NLA_U32, 7),
	[ML_KEYCONF_CIPHER] = NLA_POLICY_MAX(NLA_U32, DCO_CIPHER_CHACHA20_POLY1305),
	[ML_KEYCONF_ENCRYPT] = NLA_POLICY_NESTED(ml_keydir_attrs),
	[ML_KEYCONF_DECRYPT] = NLA_POLICY_NESTED(ml_keydir_attrs),
#ifdef DCO_EPOCH
	[ML_KEYCONF_EPOCH] = { .type = NLA_U32 },
#endif
};

static const struct nla_policy ml_key_slot_attrs[ML_KEYCONF_SLOT + 1] = {
	[ML_KEYCONF_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),
	[ML_KEYCONF_SLOT] = NLA_POLICY_MAX(NLA_U32, DCO_SLOT_SECONDARY),
};

static const struct nla_policy ml_key_peer_attrs[ML_KEYCONF_PEER_ID + 1] = {
	[ML_KEYCONF_PEER_ID] = NLA_POLICY_FULL_RANGE(NLA_U32, &ml_peer_id_range),
};

#define ML_IFINDEX_POLICY	[ML_A_IFINDEX] = { .type = NLA_U32 }
#define ML_PEER_POLICY(attrs)	{ ML_IFINDEX_POLICY, [ML_A_PEER] = NLA_POLICY_NESTED(attrs) }
#define ML_KEY_POLICY(attrs)	{ ML_IFINDEX_POLICY, [ML_A_KEYCONF] = NLA_POLICY_NESTED(attrs) }

const struct nla_policy ml_peer_new_policy[ML_A_PEER + 1] = ML_PEER_POLICY(ml_peer_new_attrs);
const struct nla_policy ml_peer_set_policy[ML_A_PEER + 1] = ML_PEER_POLICY(ml_peer_set_attrs);
const struct nla_policy ml_peer_id_policy[ML_A_PEER + 1] = ML_PEER_POLICY(ml_peer_id_attrs);
const struct nla_policy ml_key_new_policy[ML_A_KEYCONF + 1] = ML_KEY_POLICY(ml_key_new_attrs);
const struct nla_policy ml_key_slot_policy[ML_A_KEYCONF + 1] = ML_KEY_POLICY(ml_key_slot_attrs);
const struct nla_policy ml_key_peer_policy[ML_A_KEYCONF + 1] = ML_KEY_POLICY(ml_key_peer_attrs);
