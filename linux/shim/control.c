// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Both families' operations on a device, serialised by its control mutex.
 */
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/net_namespace.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

#include "shim.h"

/*
 * OpenVPN's default. It has no way to tell a kernel module of its mssfix, and without one each full segment of a
 * connection in the tunnel leaves in two fragments.
 */
static unsigned int mssfix = 1492;
module_param(mssfix, uint, 0644);
MODULE_PARM_DESC(mssfix, "Outer packet size that TCP connections in a tunnel over UDP are made to fit; 0: leave them alone");

/* The mss of a new peer whose maker does not say. As OpenVPN does, none where the device's MTU is not the usual one. */
static u32 dco_default_mss(const struct dco_dev *dev, const struct dco_peer_new *peer)
{
	const u32 headers = (peer->endpoint.remote.family == AF_INET6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)) +
			    sizeof(struct udphdr) + DCO_OVERHEAD + sizeof(struct iphdr) + sizeof(struct tcphdr);
	const u32 outer = min_t(u32, READ_ONCE(mssfix), IP_MAX_MTU);

	return peer->tcp || dev->net->mtu > ETH_DATA_LEN || outer <= headers ? 0 : outer - headers;
}

/* Whether `fd` is a TCP socket (1) or a UDP one (0); -ENOTSOCK for anything else. */
static int dco_fd_is_tcp(int fd)
{
	struct socket *sock;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return -ENOTSOCK;
	if (sock->sk->sk_protocol == IPPROTO_TCP && sock->sk->sk_type == SOCK_STREAM)
		err = 1;
	else if (sock->sk->sk_protocol == IPPROTO_UDP && sock->sk->sk_type == SOCK_DGRAM)
		err = 0;
	else
		err = -ENOTSOCK;
	sockfd_put(sock);
	return err;
}

static bool dco_addr_same(const struct dco_addr *a, const struct dco_addr *b)
{
	return a->family && a->family == b->family && !memcmp(a->addr, b->addr, a->family == AF_INET ? 4 : 16);
}

/* Takes the VPN addresses that a new peer wants away from the peers that have them. Control context. */
static int dco_vpn_addresses_free(struct dco_dev *dev, const struct dco_peer_new *peer)
{
	struct dco_peer_info info;
	u64 cursor = 0;
	int err;

	while (!dco_core_peer_next(dev->core, &cursor, &info)) {
		struct dco_peer_set set = {};	/* no family: no address */

		if (dco_addr_same(&info.vpn4, &peer->vpn4))
			set.what |= DCO_SET_VPN4;
		if (dco_addr_same(&info.vpn6, &peer->vpn6))
			set.what |= DCO_SET_VPN6;
		err = set.what ? dco_core_peer_set(dev->core, info.id, &set) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* Control context. */
static int dco_peer_add(struct dco_dev *dev, const struct dco_peer_new *peer)
{
	int err = dco_core_peer_new(dev->core, peer);

	if (err != -EADDRINUSE || !dev->personality->vpn_address_moves)
		return err;
	err = dco_vpn_addresses_free(dev, peer);
	return err ?: dco_core_peer_new(dev->core, peer);
}

/* Control context. */
static int dco_peer_new_locked(struct dco_dev *dev, int fd, struct dco_peer_new *peer,
			       const struct dco_peer_set *more, const char **why)
{
	struct dco_peer_set set = *more;
	struct dco_peer_info info;
	const u32 tcp = peer->tcp;
	struct dco_link *link;
	int err;

	if (dev->closing) {
		*why = "the device is being removed";
		return -ENODEV;
	}
	/* Before the socket is touched: an attached socket behaves differently from the first moment. */
	if (dev->mode == DCO_MODE_MP && !dco_core_peer_get(dev->core, peer->id, &info)) {
		*why = "there is a peer with this id already";
		return -EEXIST;
	}
	link = dco_link_new(dev, fd, peer);
	if (IS_ERR(link)) {
		err = PTR_ERR(link);
		*why = "the socket cannot be used: not a UDP or established TCP socket, or in use elsewhere";
		return err == -ENOMEM ? err : -ENOTSOCK;
	}
	if (peer->tcp != tcp) {			/* another thread put another socket there */
		dco_shim_link_release(link);
		return -ENOTSOCK;
	}
	peer->link = link;
	err = dco_peer_add(dev, peer);
	if (err) {
		dco_shim_link_release(link);
		if (err == -EEXIST)
			*why = "there is a peer with this id already";
		else if (err == -EADDRINUSE)
			*why = "another peer has this VPN address";
		return err;
	}
	if (!(set.what & DCO_SET_MSS)) {
		set.what |= DCO_SET_MSS;
		set.mss = dco_default_mss(dev, peer);
	}
	err = dco_core_peer_set(dev->core, peer->id, &set);
	if (err) {
		dco_core_peer_del(dev->core, peer->id, DCO_DEL_USERSPACE);
		return err;
	}
	dco_dev_peers_changed(dev);
	return 0;
}

int dco_peer_new(struct dco_dev *dev, int fd, struct dco_peer_new *peer, const struct dco_peer_set *more,
		 const char **why)
{
	int err = dco_fd_is_tcp(fd);

	if (err < 0) {
		*why = "no UDP or TCP socket";
		return err;
	}
	peer->tcp = err;
	if (!peer->tcp && !peer->endpoint.remote.family) {
		*why = "a peer over UDP needs a remote address";
		return -EINVAL;
	}
	if (peer->tcp && peer->endpoint.remote.family) {
		if (dev->personality->tcp_remote_refused) {
			*why = "a peer over TCP has the remote address of its socket";
			return -EINVAL;
		}
		memset(&peer->endpoint, 0, sizeof(peer->endpoint));
	}

	mutex_lock(&dev->control);
	err = dco_peer_new_locked(dev, fd, peer, more, why);
	mutex_unlock(&dev->control);
	netdev_dbg(dev->net, "peer %u: added over %s (%d%s%s)\n", peer->id, peer->tcp ? "TCP" : "UDP", err,
		   err && *why ? ", " : "", err && *why ? *why : "");
	return err;
}
EXPORT_SYMBOL_GPL(dco_peer_new);

int dco_peer_set(struct dco_dev *dev, u32 id, const struct dco_peer_set *set, const char **why)
{
	struct dco_peer_info info;
	int err;

	mutex_lock(&dev->control);
	err = dco_core_peer_get(dev->core, id, &info);
	if (err) {
		*why = "there is no peer with this id";
	} else if (info.tcp && (set->what & DCO_SET_ENDPOINT)) {
		*why = "a peer over TCP has the remote address of its socket";
		err = -EINVAL;
	} else {
		err = dco_core_peer_set(dev->core, id, set);
		if (err == -EADDRINUSE)
			*why = "another peer has this VPN address";
	}
	mutex_unlock(&dev->control);
	if (set->what & (DCO_SET_INTERVAL | DCO_SET_TIMEOUT))
		netdev_dbg(dev->net, "peer %u: keepalive %u and %u s (%d)\n", id, set->interval, set->timeout, err);
	if (set->what & ~(DCO_SET_INTERVAL | DCO_SET_TIMEOUT))
		netdev_dbg(dev->net, "peer %u: changed, fields %#x (%d)\n", id, set->what, err);
	return err;
}
EXPORT_SYMBOL_GPL(dco_peer_set);

/* Completes a view whose `info` the core has filled in. Control context. */
static void dco_view_fill(struct dco_dev *dev, struct net *viewer, struct dco_peer_view *view)
{
	const struct dco_link *link = view->info.link;
	struct net *netns = dco_link_net(link);

	view->local_port = dco_link_local_port(link);
	view->netnsid = NETNSA_NSID_NOT_ASSIGNED;
	if (viewer && !net_eq(viewer, netns))
		view->netnsid = peernet2id_alloc(viewer, netns, GFP_KERNEL);
	view->drop_count = min_t(unsigned int, dco_core_drop_reasons(), DCO_DROPS_MAX);
	if (dco_core_peer_drops(dev->core, view->info.id, view->drops, view->drop_count))
		view->drop_count = 0;
	view->info.link = NULL;
}

int dco_peer_get(struct dco_dev *dev, u32 id, struct net *viewer, struct dco_peer_view *view)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_peer_get(dev->core, id, &view->info);
	if (!err)
		dco_view_fill(dev, viewer, view);
	mutex_unlock(&dev->control);
	return err;
}
EXPORT_SYMBOL_GPL(dco_peer_get);

int dco_peer_next(struct dco_dev *dev, u64 *cursor, struct net *viewer, struct dco_peer_view *view)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_peer_next(dev->core, cursor, &view->info);
	if (!err)
		dco_view_fill(dev, viewer, view);
	mutex_unlock(&dev->control);
	return err;
}
EXPORT_SYMBOL_GPL(dco_peer_next);

int dco_peer_del(struct dco_dev *dev, u32 id, u32 reason)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_peer_del(dev->core, id, reason);
	mutex_unlock(&dev->control);
	return err;
}
EXPORT_SYMBOL_GPL(dco_peer_del);

int dco_key_new(struct dco_dev *dev, const struct dco_key_new *key)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_key_new(dev->core, key);
	mutex_unlock(&dev->control);
	netdev_dbg(dev->net, "peer %u: key %u, slot %u, cipher %u, %u bytes (%d)\n", key->peer_id, key->key_id, key->slot,
		   key->cipher, key->key_len, err);
	return err;
}
EXPORT_SYMBOL_GPL(dco_key_new);

int dco_key_get(struct dco_dev *dev, u32 peer_id, u32 slot, struct dco_key_info *info)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_key_get(dev->core, peer_id, slot, info);
	mutex_unlock(&dev->control);
	return err;
}
EXPORT_SYMBOL_GPL(dco_key_get);

int dco_key_swap(struct dco_dev *dev, u32 peer_id)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_key_swap(dev->core, peer_id);
	mutex_unlock(&dev->control);
	netdev_dbg(dev->net, "peer %u: keys swapped (%d)\n", peer_id, err);
	return err;
}
EXPORT_SYMBOL_GPL(dco_key_swap);

int dco_key_del(struct dco_dev *dev, u32 peer_id, u32 slot)
{
	int err;

	mutex_lock(&dev->control);
	err = dco_core_key_del(dev->core, peer_id, slot);
	mutex_unlock(&dev->control);
	netdev_dbg(dev->net, "peer %u: key of slot %u removed (%d)\n", peer_id, slot, err);
	return err;
}
EXPORT_SYMBOL_GPL(dco_key_del);

/* Others' functions that the thin modules call. */
EXPORT_SYMBOL_GPL(dco_core_drop_name);
EXPORT_SYMBOL_GPL(dco_link_net);
