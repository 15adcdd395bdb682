// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The net_device: setup, creation, teardown; tick and wake work; what the core tells of a device, forwarded to its
 * personality.
 *
 * Teardown follows the netdev core's own order. ndo_uninit (nobody finds the device any more, nothing is transmitted on it)
 * removes all peers, which detaches the sockets and so drops their references to the device; the netdev core
 * then waits for a grace period and for the last reference, and priv_destructor frees what readers may have used. The
 * notification NETDEV_UNREGISTER is not used: it is also sent for a device that moves to another netns, which keeps its
 * peers.
 */
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/module.h>
#include <linux/random.h>
#include <net/ip_tunnels.h>

#include "shim.h"

/* A device removes its expired peers and pings the others this often. */
#define DCO_TICK_INTERVAL	HZ

/* The smallest MTU of IPv4. */
#define DCO_MTU_MIN		68

/* Control context. */
static unsigned int dco_dev_tick(struct dco_dev *dev)
{
	if (dev->closing)
		return 0;
	return dco_core_tick(dev->core, dco_shim_now_ms());
}

static void dco_dev_tick_work(struct work_struct *work)
{
	struct dco_dev *dev = container_of(to_delayed_work(work), struct dco_dev, tick);

	mutex_lock(&dev->control);
	if (dco_dev_tick(dev))
		schedule_delayed_work(&dev->tick, DCO_TICK_INTERVAL);
	mutex_unlock(&dev->control);
}

/* Beside the tick, so that it is never put off by being woken. */
static void dco_dev_wake_work(struct work_struct *work)
{
	struct dco_dev *dev = container_of(work, struct dco_dev, wake);

	mutex_lock(&dev->control);
	dco_dev_tick(dev);
	mutex_unlock(&dev->control);
}

void dco_shim_wake(struct dco_dev *dev)
{
	schedule_work(&dev->wake);
}

void dco_dev_peers_changed(struct dco_dev *dev)
{
	lockdep_assert_held(&dev->control);
	schedule_delayed_work(&dev->tick, DCO_TICK_INTERVAL);
	netif_carrier_on(dev->net);
}

static bool dco_dev_needs_peer(const struct dco_dev *dev)
{
	return dev->mode == DCO_MODE_P2P && dev->personality->carrier_follows_peer;
}

void dco_shim_peer_gone(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id, __u32 reason)
{
	netdev_dbg(dev->net, "peer %u: removed, reason %u\n", peer_id, reason);
	if (dco_dev_needs_peer(dev))
		netif_carrier_off(dev->net);
	if (dev->personality->peer_gone)
		dev->personality->peer_gone(dev, link, peer_id, reason);
}

void dco_shim_peer_moved(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id,
			 const struct dco_endpoint *endpoint)
{
	netdev_dbg(dev->net, "peer %u: heard from another address\n", peer_id);
	if (dev->personality->peer_moved)
		dev->personality->peer_moved(dev, link, peer_id, endpoint);
}

void dco_shim_key_old(struct dco_dev *dev, const struct dco_link *link, __u32 peer_id, __u32 key_id)
{
	netdev_dbg(dev->net, "peer %u: key %u nears its last packet id\n", peer_id, key_id);
	if (dev->personality->key_old)
		dev->personality->key_old(dev, link, peer_id, key_id);
}

/* What readers of the device may have used: everything here outlives ndo_uninit by a grace period. */
static void dco_netdev_free(struct net_device *net)
{
	struct dco_dev *dev = dco_dev(net);

	cancel_delayed_work_sync(&dev->tick);
	cancel_work_sync(&dev->wake);
	dco_cells_exit(dev);
	dco_data_exit(dev);
	dco_core_free(dev->core);
	free_percpu(net->tstats);
	net->tstats = NULL;
	mutex_destroy(&dev->control);
}

static int dco_ndo_init(struct net_device *net)
{
	struct dco_dev *dev = dco_dev(net);
	struct dco_core_config config = { .dev = dev, .cpus = nr_cpu_ids, .mode = dev->mode };
	int err;

	dev->net = net;
	mutex_init(&dev->control);
	INIT_DELAYED_WORK(&dev->tick, dco_dev_tick_work);
	INIT_WORK(&dev->wake, dco_dev_wake_work);

	/* Allocated here, not by the netdev core, which does it on some kernels only. */
	net->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!net->tstats)
		return -ENOMEM;
	get_random_bytes(config.seed, sizeof(config.seed));
	err = dco_core_new(&config, &dev->core);
	if (err)
		goto err_stats;
	dco_core_source_check(dev->core, dev->source_check);
	err = dco_data_init(dev);
	if (err)
		goto err_core;
	err = dco_cells_init(dev);
	if (err)
		goto err_data;
	return 0;

err_data:
	dco_data_exit(dev);
err_core:
	dco_core_free(dev->core);
err_stats:
	free_percpu(net->tstats);
	net->tstats = NULL;
	return err;
}

static void dco_ndo_uninit(struct net_device *net)
{
	struct dco_dev *dev = dco_dev(net);

	mutex_lock(&dev->control);
	dev->closing = true;
	dco_core_peers_del(dev->core, NULL, DCO_DEL_TEARDOWN);
	mutex_unlock(&dev->control);
}

static const struct net_device_ops dco_netdev_ops = {
	.ndo_init = dco_ndo_init,
	.ndo_uninit = dco_ndo_uninit,
	.ndo_start_xmit = dco_data_xmit,
	.ndo_get_stats64 = dev_get_tstats64,
};

static void dco_get_drvinfo(struct net_device *net, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, dco_dev(net)->personality->kind, sizeof(info->driver));
	strscpy(info->version, DCO_VERSION, sizeof(info->version));
	strscpy(info->bus_info, "virtual", sizeof(info->bus_info));
}

/* ethtool -S: the device's drops by reason. */
static int dco_get_sset_count(struct net_device *net, int sset)
{
	return sset == ETH_SS_STATS ? dco_core_drop_reasons() : -EOPNOTSUPP;
}

static void dco_get_strings(struct net_device *net, u32 sset, u8 *names)
{
	unsigned int reason;

	if (sset != ETH_SS_STATS)
		return;
	for (reason = 0; reason < dco_core_drop_reasons(); reason++)
		strscpy((char *)names + reason * ETH_GSTRING_LEN, dco_core_drop_name(reason), ETH_GSTRING_LEN);
}

static void dco_get_ethtool_stats(struct net_device *net, struct ethtool_stats *stats, u64 *counts)
{
	dco_core_drops(dco_dev(net)->core, counts, stats->n_stats);
}

static const struct ethtool_ops dco_ethtool_ops = {
	.get_drvinfo = dco_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_sset_count = dco_get_sset_count,
	.get_strings = dco_get_strings,
	.get_ethtool_stats = dco_get_ethtool_stats,
};

void dco_netdev_setup(struct net_device *net, const struct dco_personality *personality)
{
	const netdev_features_t features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM |
					   NETIF_F_GSO | NETIF_F_GSO_SOFTWARE | NETIF_F_HIGHDMA;

	dco_dev(net)->personality = personality;

	net->needs_free_netdev = true;
	net->priv_destructor = dco_netdev_free;
	net->netdev_ops = &dco_netdev_ops;
	net->ethtool_ops = &dco_ethtool_ops;
	net->header_ops = &ip_tunnel_header_ops;	/* a packet socket's frames get their protocol from the IP version */

	net->type = ARPHRD_NONE;
	net->flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST;
	net->priv_flags |= IFF_NO_QUEUE;
	netif_keep_dst(net);		/* the next hop is looked up in the packet's own route */
	net->hard_header_len = 0;
	net->addr_len = 0;
	/*
	 * No needed_headroom: packets are encrypted into buffers of their own, and asking for room here would make
	 * the stack copy forwarded packets for nothing.
	 */

	net->mtu = personality->mtu;
	net->min_mtu = DCO_MTU_MIN;
	net->max_mtu = IP_MAX_MTU - (ETH_DATA_LEN - personality->mtu);	/* what the largest outer packet holds */

	net->features |= features;
	net->hw_features |= features;
	dco_compat_lltx(net);
}
EXPORT_SYMBOL_GPL(dco_netdev_setup);

int dco_netdev_create(struct net_device *net, enum dco_mode mode, bool source_check)
{
	struct dco_dev *dev = dco_dev(net);

	dev->mode = mode;
	dev->source_check = source_check;
	if (dco_dev_needs_peer(dev))
		netif_carrier_off(net);
	return register_netdevice(net);
}

void dco_netdev_delete(struct net_device *net, struct list_head *head)
{
	unregister_netdevice_queue(net, head);
}
EXPORT_SYMBOL_GPL(dco_netdev_delete);

void dco_netdev_source_check(struct dco_dev *dev, bool on)
{
	ASSERT_RTNL();
	dev->source_check = on;
	dco_core_source_check(dev->core, on);
}

struct dco_dev *dco_netdev_find(struct net *netns, int ifindex, const struct dco_personality *personality)
{
	struct net_device *net = dev_get_by_index(netns, ifindex);

	if (!net)
		return ERR_PTR(-ENODEV);
	if (net->netdev_ops != &dco_netdev_ops || dco_dev(net)->personality != personality) {
		dev_put(net);
		return ERR_PTR(-EINVAL);
	}
	return dco_dev(net);
}
EXPORT_SYMBOL_GPL(dco_netdev_find);

void dco_netdev_put(struct dco_dev *dev)
{
	dev_put(dev->net);
}
EXPORT_SYMBOL_GPL(dco_netdev_put);
