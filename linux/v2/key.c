// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn-dco-v2`: keys.
 */
#include "v2.h"

static const struct nla_policy v2_new_key_policy[V2_NEW_KEY_MAX + 1] = {
	[V2_NEW_KEY_PEER_ID] = { .type = NLA_U32 },
	[V2_NEW_KEY_SLOT] = { .type = NLA_U8 },
	[V2_NEW_KEY_ID] = { .type = NLA_U8 },
	[V2_NEW_KEY_CIPHER] = { .type = NLA_U16 },
	[V2_NEW_KEY_ENCRYPT] = { .type = NLA_NESTED },
	[V2_NEW_KEY_DECRYPT] = { .type = NLA_NESTED },
};

static const struct nla_policy v2_direction_policy[V2_DIRECTION_MAX + 1] = {
	[V2_DIRECTION_KEY] = { .type = NLA_BINARY, .len = V2_KEY_LEN_MAX },
	[V2_DIRECTION_TAIL] = NLA_POLICY_EXACT_LEN(8),
};

static const struct nla_policy v2_swap_keys_policy[V2_SWAP_KEYS_MAX + 1] = {
	[V2_SWAP_KEYS_PEER_ID] = { .type = NLA_U32 },
};

static const struct nla_policy v2_del_key_policy[V2_DEL_KEY_MAX + 1] = {
	[V2_DEL_KEY_PEER_ID] = { .type = NLA_U32 },
	[V2_DEL_KEY_SLOT] = { .type = NLA_U8 },
};

static int v2_direction(struct nlattr *nest, struct nlattr **key, struct nlattr **tail, struct netlink_ext_ack *extack)
{
	struct nlattr *attrs[V2_DIRECTION_MAX + 1];
	int err;

	if (!nest)
		return -EINVAL;
	err = nla_parse_nested(attrs, V2_DIRECTION_MAX, nest, v2_direction_policy, extack);
	if (err)
		return err;
	if (!attrs[V2_DIRECTION_KEY] || !attrs[V2_DIRECTION_TAIL])
		return -EINVAL;
	*key = attrs[V2_DIRECTION_KEY];
	*tail = attrs[V2_DIRECTION_TAIL];
	return 0;
}

static int v2_new_key_parse(struct nlattr **attrs, struct dco_key_new *key, struct netlink_ext_ack *extack)
{
	struct nlattr *encrypt, *decrypt, *encrypt_tail, *decrypt_tail;
	int err;

	if (!attrs[V2_NEW_KEY_PEER_ID] || !attrs[V2_NEW_KEY_SLOT] || !attrs[V2_NEW_KEY_ID] ||
	    !attrs[V2_NEW_KEY_CIPHER])
		return -EINVAL;
	key->peer_id = nla_get_u32(attrs[V2_NEW_KEY_PEER_ID]);
	key->slot = nla_get_u8(attrs[V2_NEW_KEY_SLOT]);
	key->key_id = nla_get_u8(attrs[V2_NEW_KEY_ID]);
	key->cipher = nla_get_u16(attrs[V2_NEW_KEY_CIPHER]);
	if (key->slot > DCO_SLOT_SECONDARY || key->key_id > 7)
		return -EINVAL;

	err = v2_direction(attrs[V2_NEW_KEY_ENCRYPT], &encrypt, &encrypt_tail, extack);
	if (err)
		return err;
	err = v2_direction(attrs[V2_NEW_KEY_DECRYPT], &decrypt, &decrypt_tail, extack);
	if (err)
		return err;
	if (nla_len(encrypt) != nla_len(decrypt))
		return -EINVAL;
	key->key_len = nla_len(encrypt);
	key->encrypt_key = nla_data(encrypt);
	key->encrypt_tail = nla_data(encrypt_tail);
	key->decrypt_key = nla_data(decrypt);
	key->decrypt_tail = nla_data(decrypt_tail);
	return 0;
}

/* Keys do not stay in the request's buffer, nor are they echoed with an error. */
static void v2_wipe(struct nlattr *nest)
{
	if (nest)
		memzero_explicit(nla_data(nest), nla_len(nest));
}

int v2_new_key(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_NEW_KEY_MAX + 1];
	struct dco_key_new key = {};
	struct dco_dev *dev;
	int err;

	dev = v2_request(info, V2_A_NEW_KEY, attrs, V2_NEW_KEY_MAX, v2_new_key_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = v2_new_key_parse(attrs, &key, info->extack) ?: dco_key_new(dev, &key);
	dco_netdev_put(dev);
	v2_wipe(attrs[V2_NEW_KEY_ENCRYPT]);
	v2_wipe(attrs[V2_NEW_KEY_DECRYPT]);
	return err;
}

int v2_swap_keys(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_SWAP_KEYS_MAX + 1];
	struct dco_dev *dev;
	int err = -EINVAL;

	dev = v2_request(info, V2_A_SWAP_KEYS, attrs, V2_SWAP_KEYS_MAX, v2_swap_keys_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (attrs[V2_SWAP_KEYS_PEER_ID])
		err = dco_key_swap(dev, nla_get_u32(attrs[V2_SWAP_KEYS_PEER_ID]));
	dco_netdev_put(dev);
	return err;
}

int v2_del_key(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[V2_DEL_KEY_MAX + 1];
	struct dco_dev *dev;
	int err = -EINVAL;

	dev = v2_request(info, V2_A_DEL_KEY, attrs, V2_DEL_KEY_MAX, v2_del_key_policy);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	if (attrs[V2_DEL_KEY_PEER_ID] && attrs[V2_DEL_KEY_SLOT] &&
	    nla_get_u8(attrs[V2_DEL_KEY_SLOT]) <= DCO_SLOT_SECONDARY)
		err = dco_key_del(dev, nla_get_u32(attrs[V2_DEL_KEY_PEER_ID]), nla_get_u8(attrs[V2_DEL_KEY_SLOT]));
	dco_netdev_put(dev);
	return err;
}
