// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn`, with make EPOCH=1: KEY_NEW of an epoch key, and what KEY_GET tells of one.
 */
#include "ovpn.h"

#define ML_EPOCH_NEEDS	(BIT(ML_KEYCONF_PEER_ID) | BIT(ML_KEYCONF_SLOT) | BIT(ML_KEYCONF_KEY_ID) |	\
			 BIT(ML_KEYCONF_CIPHER) | BIT(ML_KEYCONF_ENCRYPT) | BIT(ML_KEYCONF_DECRYPT))

/* A direction's secret. */
static int ml_secret(struct nlattr *nest, const u8 **secret, struct netlink_ext_ack *extack)
{
	struct nlattr *attrs[ML_KEYDIR_TAIL + 1];
	int err;

	err = nla_parse_nested(attrs, ML_KEYDIR_TAIL, nest, NULL, extack);
	err = err ?: ml_required(nest, attrs, BIT(ML_KEYDIR_KEY), extack);
	if (err)
		return err;
	if (attrs[ML_KEYDIR_TAIL]) {
		NL_SET_ERR_MSG_ATTR(extack, attrs[ML_KEYDIR_TAIL], "an epoch key has no nonce tail");
		return -EINVAL;
	}
	if (nla_len(attrs[ML_KEYDIR_KEY]) != DCO_EPOCH_SECRET) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "an epoch key is made of a secret of 32 bytes");
		return -EINVAL;
	}
	*secret = nla_data(attrs[ML_KEYDIR_KEY]);
	return 0;
}

int ml_epoch_key_new(struct dco_dev *dev, struct nlattr *nest, struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	struct dco_epoch_key_new key = {};
	const char *why = NULL;
	int err;

	err = ml_required(nest, attrs, ML_EPOCH_NEEDS, extack);
	err = err ?: ml_secret(attrs[ML_KEYCONF_ENCRYPT], &key.encrypt_secret, extack);
	err = err ?: ml_secret(attrs[ML_KEYCONF_DECRYPT], &key.decrypt_secret, extack);
	if (err)
		return err;
	key.peer_id = nla_get_u32(attrs[ML_KEYCONF_PEER_ID]);
	key.slot = nla_get_u32(attrs[ML_KEYCONF_SLOT]);
	key.key_id = nla_get_u32(attrs[ML_KEYCONF_KEY_ID]);
	key.cipher = nla_get_u32(attrs[ML_KEYCONF_CIPHER]);
	key.key_len = nla_get_u32(attrs[ML_KEYCONF_EPOCH]);
	err = dco_epoch_key_new(dev, &key);
	if (err == -ENOENT)
		why = "there is no peer with this id, or the kernel lacks the cipher";
	else if (err == -EINVAL)
		why = "the cipher or its key's length is not supported";
	else
		why = "the key could not be set up";
	return ml_fail(extack, why, err);
}

int ml_epoch_put(struct sk_buff *skb, const struct dco_epoch_info *info)
{
	if (!info->send)
		return 0;
	return nla_put_u32(skb, ML_KEYCONF_SEND_EPOCH, info->send) ?:
	       nla_put_u32(skb, ML_KEYCONF_RECEIVE_EPOCH, info->receive);
}
