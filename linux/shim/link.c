// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Links and attached sockets: how they begin, who holds whom, how they end.
 *
 *   core's peer ---> link ---> socket ---> sock (sock_hold)
 *                                   `----> device (netdev_hold)
 *
 * Nothing points back with a reference: the sock knows its struct dco_socket by sk_user_data, under RCU.
 *
 * A struct dco_socket counts its links. The count rises only under the device's control mutex (peer_new) and when the
 * socket is lost (below), never from 0. Where it falls to 0 the socket is detached at once: process context, the
 * control mutex held, so a peer_new of this device never meets a socket that is half detached; another device's is told
 * -EBUSY. After the detachment no new reader can find the structure; those that did are in an RCU section. One
 * call_rcu() later the references to the sock and the device are dropped and the memory is freed. So an encap_rcv()
 * that is running may use socket->dev, and what hangs on it, without a reference of its own.
 *
 * A link is freed the same way by dco_shim_link_release(): a batch that the core answered with this link may use it,
 * and link->socket, until its rcu_read_unlock(). The link's reference to the socket is given up first, its grace period
 * begins no earlier than the link's last use in the core.
 *
 * The ends that may meet, and why they do not clash:
 *
 * - The socket is closed (its fd, or the process dies), or the TCP connection ends. The transport calls
 *   dco_socket_lost(), in any context. If the count is 0 already, somebody detaches it: nothing is to be done.
 *   Otherwise the work item takes a reference, so the structure outlives the work; nothing ever has to cancel it, from
 *   within itself least of all. The work removes the socket's peers under the control mutex, and its own reference may
 *   be the last one.
 * - peer_new cannot meet a closed fd: it holds the file while it attaches. If that was the last reference, the close
 *   follows and finds an attached socket.
 * - peer_del, expiry, the end of a TCP connection and the work all go through the core under the control mutex; the
 *   core gives each link back once.
 * - The device is unregistered: ndo_uninit removes all peers, which detaches their sockets. A work item that is queued
 *   holds a reference to the device until it ran (it finds no peers) and a grace period passed; it needs only the
 *   control mutex, which nobody holds while waiting for a netdev. So unregister_netdevice() waits for that long and no
 *   longer. What the work uses of the device is freed by priv_destructor, after the last reference.
 * - A netns ends: the sock keeps the sock's netns alive, so it cannot end before the sock is let go of. The device's
 *   netns may be another one; it ends as the device is unregistered.
 * - The module is unloaded: its devices were unregistered before, so each socket is detached; dco_link_exit() waits for
 *   the work items and for the callbacks.
 *
 * Locks: control mutex, then the socket's lock (taken by attach and detach). Nothing here is called with the socket's
 * lock held but dco_socket_lost(), which takes no lock.
 */
#include <linux/file.h>
#include <linux/net.h>
#include <linux/tcp.h>
#include <net/inet_sock.h>

#include "shim.h"

/* Of our own, to be waited for when the module goes, and because a peer's removal may wait for another's readers. */
static struct workqueue_struct *dco_link_wq;

static void dco_socket_free(struct rcu_head *rcu)
{
	struct dco_socket *socket = container_of(rcu, struct dco_socket, rcu);

	sock_put(socket->sk);
	netdev_put(socket->dev->net, &socket->tracker);
	kfree(socket);
}

/* Control context. */
static void dco_socket_put(struct dco_socket *socket)
{
	if (!refcount_dec_and_test(&socket->links))
		return;
	if (socket->tcp)
		dco_tcp_detach(socket);
	else
		dco_udp_detach(socket);
	call_rcu(&socket->rcu, dco_socket_free);
}

static void dco_socket_closed(struct work_struct *work)
{
	struct dco_socket *socket = container_of(work, struct dco_socket, closed);
	struct dco_dev *dev = socket->dev;
	netdevice_tracker tracker;

	/* The socket's reference may go before the mutex is unlocked. */
	netdev_hold(dev->net, &tracker, GFP_KERNEL);
	mutex_lock(&dev->control);
	dco_core_peers_del(dev->core, socket->sk, socket->closed_reason);
	dco_socket_put(socket);
	mutex_unlock(&dev->control);
	netdev_put(dev->net, &tracker);
}

void dco_socket_lost(struct dco_socket *socket, u32 reason)
{
	if (test_and_set_bit(0, &socket->lost) || !refcount_inc_not_zero(&socket->links))
		return;
	socket->closed_reason = reason;
	queue_work(dco_link_wq, &socket->closed);
}

/* Control context. */
static struct dco_socket *dco_socket_new(struct dco_dev *dev, struct sock *sk, bool tcp)
{
	struct dco_socket *socket;
	int err;

	socket = kzalloc(sizeof(*socket), GFP_KERNEL);
	if (!socket)
		return ERR_PTR(-ENOMEM);
	socket->dev = dev;
	socket->sk = sk;
	socket->tcp = tcp;
	refcount_set(&socket->links, 1);
	INIT_WORK(&socket->closed, dco_socket_closed);
	sock_hold(sk);
	netdev_hold(dev->net, &socket->tracker, GFP_KERNEL);

	err = tcp ? dco_tcp_attach(socket) : dco_udp_attach(socket);
	if (err) {
		/* A failed attachment may have been seen by readers for a moment. */
		call_rcu(&socket->rcu, dco_socket_free);
		return ERR_PTR(err);
	}
	return socket;
}

/* The socket's structure with a reference for a link; an attached UDP socket takes further links. Control context. */
static struct dco_socket *dco_socket_get(struct dco_dev *dev, struct sock *sk, bool tcp)
{
	struct dco_socket *socket = NULL;

	if (!tcp) {
		rcu_read_lock();
		socket = dco_udp_socket(sk);
		if (socket && (socket->dev != dev || !refcount_inc_not_zero(&socket->links)))
			socket = ERR_PTR(-EBUSY);
		rcu_read_unlock();
	}
	return socket ?: dco_socket_new(dev, sk, tcp);
}

/* 1: TCP, 0: UDP, -errno: neither. */
static int dco_sock_kind(const struct sock *sk)
{
	if (sk->sk_family != AF_INET && sk->sk_family != AF_INET6)
		return -EAFNOSUPPORT;
	if (sk->sk_type == SOCK_STREAM && sk->sk_protocol == IPPROTO_TCP)
		return 1;
	if (sk->sk_type == SOCK_DGRAM && sk->sk_protocol == IPPROTO_UDP)
		return 0;
	return -EPROTONOSUPPORT;
}

static void dco_link_put_memory(struct rcu_head *rcu)
{
	struct dco_link *link = container_of(rcu, struct dco_link, rcu);
	int cpu;

	for_each_possible_cpu(cpu)
		dst_release(per_cpu_ptr(link->routes, cpu)->dst);
	free_percpu(link->routes);
	kfree(link);
}

struct dco_link *dco_link_new(struct dco_dev *dev, int fd, struct dco_peer_new *peer)
{
	struct dco_socket *socket;
	struct dco_link *link;
	struct socket *sock;
	int err;

	lockdep_assert_held(&dev->control);
	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return ERR_PTR(err);

	err = dco_sock_kind(sock->sk);
	if (err < 0)
		goto err_sock;
	peer->tcp = err;
	if (!peer->tcp && peer->endpoint.remote.family == AF_INET6 && sock->sk->sk_family != AF_INET6) {
		err = -EAFNOSUPPORT;
		goto err_sock;
	}

	err = -ENOMEM;
	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		goto err_sock;
	link->routes = alloc_percpu(struct dco_route);
	if (!link->routes)
		goto err_link;
	link->peer_id = peer->id;

	socket = dco_socket_get(dev, sock->sk, peer->tcp);
	if (IS_ERR(socket)) {
		err = PTR_ERR(socket);
		goto err_routes;
	}
	link->socket = socket;
	if (socket->tcp)
		rcu_assign_pointer(socket->link, link);
	sockfd_put(sock);
	return link;

err_routes:
	free_percpu(link->routes);
err_link:
	kfree(link);
err_sock:
	sockfd_put(sock);
	return ERR_PTR(err);
}

void dco_shim_link_release(struct dco_link *link)
{
	if (link->socket->tcp)
		RCU_INIT_POINTER(link->socket->link, NULL);
	dco_socket_put(link->socket);
	call_rcu(&link->rcu, dco_link_put_memory);
}

bool dco_shim_link_uses(const struct dco_link *link, const void *sock)
{
	return !sock || link->socket->sk == sock;
}

struct net *dco_link_net(const struct dco_link *link)
{
	return sock_net(link->socket->sk);
}

__be16 dco_link_local_port(const struct dco_link *link)
{
	return inet_sk(link->socket->sk)->inet_sport;
}

int dco_link_init(void)
{
	int err;

	dco_link_wq = alloc_workqueue("ovpn-dco-link", WQ_UNBOUND, 0);
	if (!dco_link_wq)
		return -ENOMEM;
	err = dco_udp_init();
	if (err)
		destroy_workqueue(dco_link_wq);
	return err;
}

void dco_link_exit(void)
{
	destroy_workqueue(dco_link_wq);
	dco_udp_exit();
	rcu_barrier();
}
