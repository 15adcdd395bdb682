// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Epoch keys, with make EPOCH=1: the operations on a device, and C's half of the assertions of dco_epoch.h's layout.
 */
#include <linux/build_bug.h>
#include <linux/module.h>
#include <linux/stddef.h>

#include "shim.h"

#define DCO_SIZE(name, bytes) static_assert(sizeof(struct name) == (bytes));
#define DCO_FIELD(name, field, at) static_assert(offsetof(struct name, field) == (at));
#define DCO_VALUE(name, value) static_assert((name) == (value));

#include "../rust/layout-epoch.h"

static unsigned int test_epoch_limit;
module_param(test_epoch_limit, uint, 0644);
MODULE_PARM_DESC(test_epoch_limit,
		 "For tests: packets and 16-byte blocks after which a key that comes later leaves an epoch; 0: the cipher's limit");

int dco_epoch_key_new(struct dco_dev *dev, struct dco_epoch_key_new *key)
{
	int err;

	key->test_limit = READ_ONCE(test_epoch_limit);
	mutex_lock(&dev->control);
	err = dco_core_epoch_key_new(dev->core, key);
	mutex_unlock(&dev->control);
	netdev_dbg(dev->net, "peer %u: epoch key %u, slot %u, cipher %u, %u bytes (%d)\n", key->peer_id, key->key_id,
		   key->slot, key->cipher, key->key_len, err);
	return err;
}
EXPORT_SYMBOL_GPL(dco_epoch_key_new);

int dco_epoch_get(struct dco_dev *dev, u32 peer_id, u32 slot, struct dco_epoch_info *info)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_epoch_get(dev->core, peer_id, slot, info);
	mutex_unlock(&dev->control);
	return err;
}
EXPORT_SYMBOL_GPL(dco_epoch_get);
