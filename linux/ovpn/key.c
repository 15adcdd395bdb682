// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Family `ovpn`: KEY_NEW, KEY_GET, KEY_SWAP, KEY_DEL.
 */
#include "ovpn.h"

#define ML_SLOT_NEEDS	(BIT(ML_KEYCONF_PEER_ID) | BIT(ML_KEYCONF_SLOT))
#define ML_KEY_NEEDS	(ML_SLOT_NEEDS | BIT(ML_KEYCONF_KEY_ID) | BIT(ML_KEYCONF_CIPHER) |	\
			 BIT(ML_KEYCONF_ENCRYPT) | BIT(ML_KEYCONF_DECRYPT))

static int ml_keydir(struct nlattr *nest, struct nlattr **attrs, struct netlink_ext_ack *extack)
{
	int err;

	err = nla_parse_nested(attrs, ML_KEYDIR_TAIL, nest, NULL, extack);
	return err ?: ml_required(nest, attrs, BIT(ML_KEYDIR_KEY) | BIT(ML_KEYDIR_TAIL), extack);
}

static int ml_key_parse(struct nlattr *nest, struct nlattr **attrs, struct dco_key_new *key,
			struct netlink_ext_ack *extack)
{
	struct nlattr *encrypt[ML_KEYDIR_TAIL + 1], *decrypt[ML_KEYDIR_TAIL + 1];
	int err;

	err = ml_required(nest, attrs, ML_KEY_NEEDS, extack);
	err = err ?: ml_keydir(attrs[ML_KEYCONF_ENCRYPT], encrypt, extack);
	err = err ?: ml_keydir(attrs[ML_KEYCONF_DECRYPT], decrypt, extack);
	if (err)
		return err;
	if (nla_len(encrypt[ML_KEYDIR_KEY]) != nla_len(decrypt[ML_KEYDIR_KEY])) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "both directions' keys have the same length");
		return -EINVAL;
	}
	key->peer_id = nla_get_u32(attrs[ML_KEYCONF_PEER_ID]);
	key->slot = nla_get_u32(attrs[ML_KEYCONF_SLOT]);
	key->key_id = nla_get_u32(attrs[ML_KEYCONF_KEY_ID]);
	key->cipher = nla_get_u32(attrs[ML_KEYCONF_CIPHER]);
	key->key_len = nla_len(encrypt[ML_KEYDIR_KEY]);
	key->encrypt_key = nla_data(encrypt[ML_KEYDIR_KEY]);
	key->encrypt_tail = nla_data(encrypt[ML_KEYDIR_TAIL]);
	key->decrypt_key = nla_data(decrypt[ML_KEYDIR_KEY]);
	key->decrypt_tail = nla_data(decrypt[ML_KEYDIR_TAIL]);
	return 0;
}

/* Keys do not stay in the request's buffer, nor are they echoed with an error. */
static void ml_wipe(struct nlattr *nest)
{
	if (nest)
		memzero_explicit(nla_data(nest), nla_len(nest));
}

int ml_key_new(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_KEYCONF_MAX + 1];
	struct dco_key_new key = {};
	const char *why = NULL;
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_KEYCONF, attrs, ML_KEYCONF_MAX);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
#ifdef DCO_EPOCH
	if (attrs[ML_KEYCONF_EPOCH]) {
		err = ml_epoch_key_new(dev, info->attrs[ML_A_KEYCONF], attrs, info->extack);
		goto out;
	}
#endif
	err = ml_key_parse(info->attrs[ML_A_KEYCONF], attrs, &key, info->extack);
	if (!err) {
		err = dco_key_new(dev, &key);
		if (err == -ENOENT)
			why = "there is no peer with this id, or the kernel lacks the cipher";
		else if (err == -EINVAL)
			why = "the cipher or its key's length is not supported";
		else
			why = "the key could not be set up";
	}
#ifdef DCO_EPOCH
out:
#endif
	dco_netdev_put(dev);
	ml_wipe(attrs[ML_KEYCONF_ENCRYPT]);
	ml_wipe(attrs[ML_KEYCONF_DECRYPT]);
	return ml_fail(info->extack, why, err);
}

/* What a reply says beside that: nothing, or an epoch key's epochs. */
#ifdef DCO_EPOCH
typedef struct dco_epoch_info ml_key_more;
#define ml_key_more_get(dev, peer_id, slot, more)	((void)dco_epoch_get(dev, peer_id, slot, more))
#define ml_key_more_put(skb, more)			ml_epoch_put(skb, more)
#else
typedef struct {} ml_key_more;
#define ml_key_more_get(dev, peer_id, slot, more)	do { } while (0)
#define ml_key_more_put(skb, more)			0
#endif

/* A key's number and cipher; its bytes are never given back. */
static int ml_key_reply(struct genl_info *info, u32 peer_id, u32 slot, const struct dco_key_info *key,
			const ml_key_more *more)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *message;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	message = genlmsg_put(skb, info->snd_portid, info->snd_seq, &ml_family, 0, ML_CMD_KEY_GET);
	if (!message)
		goto err;
	nest = nla_nest_start(skb, ML_A_KEYCONF);
	if (!nest ||
	    nla_put_u32(skb, ML_KEYCONF_PEER_ID, peer_id) ||
	    nla_put_u32(skb, ML_KEYCONF_SLOT, slot) ||
	    nla_put_u32(skb, ML_KEYCONF_KEY_ID, key->key_id) ||
	    nla_put_u32(skb, ML_KEYCONF_CIPHER, key->cipher) ||
	    ml_key_more_put(skb, more))
		goto err;
	nla_nest_end(skb, nest);
	genlmsg_end(skb, message);
	return genlmsg_reply(skb, info);
err:
	nlmsg_free(skb);
	return -EMSGSIZE;
}

int ml_key_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_KEYCONF_SLOT + 1];
	struct dco_key_info key;
	ml_key_more more = {};
	struct dco_dev *dev;
	u32 peer_id, slot;
	int err;

	dev = ml_request(info, ML_A_KEYCONF, attrs, ML_KEYCONF_SLOT);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_KEYCONF], attrs, ML_SLOT_NEEDS, info->extack);
	if (!err) {
		peer_id = nla_get_u32(attrs[ML_KEYCONF_PEER_ID]);
		slot = nla_get_u32(attrs[ML_KEYCONF_SLOT]);
		err = dco_key_get(dev, peer_id, slot, &key);
		ml_key_more_get(dev, peer_id, slot, &more);
	}
	dco_netdev_put(dev);
	if (err)
		return ml_fail(info->extack, err == -ENOENT ? "there is no such peer, or no key in the slot" : NULL, err);
	return ml_key_reply(info, peer_id, slot, &key, &more);
}

int ml_key_swap(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_KEYCONF_PEER_ID + 1];
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_KEYCONF, attrs, ML_KEYCONF_PEER_ID);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_KEYCONF], attrs, BIT(ML_KEYCONF_PEER_ID), info->extack);
	err = err ?: dco_key_swap(dev, nla_get_u32(attrs[ML_KEYCONF_PEER_ID]));
	dco_netdev_put(dev);
	return ml_fail(info->extack, err == -ENOENT ? "there is no peer with this id" : NULL, err);
}

int ml_key_del(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attrs[ML_KEYCONF_SLOT + 1];
	struct dco_dev *dev;
	int err;

	dev = ml_request(info, ML_A_KEYCONF, attrs, ML_KEYCONF_SLOT);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	err = ml_required(info->attrs[ML_A_KEYCONF], attrs, ML_SLOT_NEEDS, info->extack);
	err = err ?: dco_key_del(dev, nla_get_u32(attrs[ML_KEYCONF_PEER_ID]), nla_get_u32(attrs[ML_KEYCONF_SLOT]));
	dco_netdev_put(dev);
	return ml_fail(info->extack, err == -ENOENT ? "there is no peer with this id" : NULL, err);
}
