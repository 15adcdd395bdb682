// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The TCP transport: attaching a connection, and taking everything off it again. tcp_rx.c parses, tcp_tx.c sends,
 * tcp_user.c is what userspace sees of the socket meanwhile.
 *
 * Who holds whom. struct dco_socket (link.c) points to struct dco_tcp (`stream`), which holds the sock, so that memory
 * of neither goes while the other may be looked at. sk_user_data points to struct dco_socket exactly while sk_prot is
 * one of ours; both change only under the socket's lock (lock_sock()), by dco_tcp_attach() and dco_tcp_unhook().
 * Unhooking is done by dco_tcp_detach(), when the last link goes, or before by userspace's close(): tcp_close() must
 * find the protocol as it was. Whatever the stream does, dco_tcp_end() only asks link.c to remove the peer, which
 * detaches in its own time: no callback frees anything.
 *
 * Who may still be there after unhooking:
 * - callbacks (data_ready, write_space, state_change) and release_cb: nobody. TCP calls them under the socket's lock.
 * - data context in dco_tcp_send(): has struct dco_tcp by RCU, finds `dead` under tcp->lock.
 * - dco_tcp_work(): not started when `dead`, waited for by dco_tcp_detach().
 * - recvmsg(): holds a reference while it sleeps without the lock, is woken, finds `hooked` gone.
 * - poll(), and whoever read sk_prot just before: look again (dco_tcp_of()) and find nothing.
 * - tasks on their last instructions in our functions: dco_tcp_exit() waits for those.
 *
 * Locks: dev->control, then the socket's lock, then tcp->lock. Data context only tries the socket's lock
 * (spin_trylock()): it may already hold it further up its own stack, when a tunnel's connection is routed into a
 * tunnel. tcp->lock is never held while TCP is called.
 *
 * What the socket has received and userspace has not read when it is attached is parsed as the stream's continuation:
 * userspace has to stand between two frames. OpenVPN does when no packet follows the last one it read before it
 * attaches; it reads as much as there is, so a frame it has a part of (in its `residual` buffer) would be torn. The
 * interface has no way to hand such a rest over; nothing but data packets that the other end sends early can be hit.
 */
#include <linux/module.h>
#include <linux/tcp.h>
#include <net/inet_connection_sock.h>
#include <net/inet_common.h>

#include "tcp.h"

struct workqueue_struct *dco_tcp_wq;

/* What stands in for tcp_prot and inet_stream_ops [0], and for their IPv6 counterparts [1]. */
static struct proto dco_tcp_protos[2];
static struct proto_ops dco_tcp_ops[2];
/* What they stand in for; written once, under dco_tcp_protos_lock, before a socket gets them. */
static struct proto *dco_tcp_base_protos[2];
static const struct proto_ops *dco_tcp_base_ops[2];
static DEFINE_MUTEX(dco_tcp_protos_lock);

struct dco_tcp *dco_tcp_of(const struct sock *sk)
{
	struct dco_socket *socket = rcu_dereference_check(__sk_user_data(sk), lockdep_sock_is_held(sk));
	const struct proto *proto;

	/* Pairs with unhooking: sk_user_data goes before sk_prot, so what was read while sk_prot is ours is ours. */
	smp_rmb();
	proto = READ_ONCE(sk->sk_prot);
	if (!socket || (proto != &dco_tcp_protos[0] && proto != &dco_tcp_protos[1]))
		return NULL;
	return socket->stream;
}

static void dco_tcp_free(struct rcu_head *rcu)
{
	struct dco_tcp *tcp = container_of(rcu, struct dco_tcp, rcu);

	kfree(tcp->assembly);
	sock_put(tcp->sk);
	kfree(tcp);
}

void dco_tcp_put(struct dco_tcp *tcp)
{
	if (refcount_dec_and_test(&tcp->users))
		call_rcu(&tcp->rcu, dco_tcp_free);
}

void dco_tcp_end(struct dco_tcp *tcp, u32 reason)
{
	if (tcp->ended || !tcp->hooked)
		return;
	tcp->ended = true;
	dco_socket_lost(tcp->socket, reason);
}

static void dco_tcp_data_ready(struct sock *sk)
{
	struct dco_tcp *tcp = dco_tcp_of(sk);

	if (tcp)
		dco_tcp_receive(tcp);
}

static void dco_tcp_write_space(struct sock *sk)
{
	struct dco_tcp *tcp = dco_tcp_of(sk);

	if (!tcp)
		return;
	/*
	 * Called for each acknowledgement once the connection has refused something. Filling up again waits until a
	 * third is free (as poll() would): few large writes rather than many small ones.
	 */
	if (dco_tcp_waiting(tcp) && __sk_stream_is_writeable(sk, 1))
		dco_tcp_push(tcp);
	if (!dco_tcp_waiting(tcp))
		tcp->old_write_space(sk);
}

/* A reset, a FIN, a timeout: the other end is gone. A tunnel of one direction is none. */
static void dco_tcp_state_change(struct sock *sk)
{
	struct dco_tcp *tcp = dco_tcp_of(sk);

	if (!tcp)
		return;
	if (sk->sk_state != TCP_ESTABLISHED)
		dco_tcp_end(tcp, DCO_DEL_TRANSPORT_DISCONNECT);
	tcp->old_state_change(sk);
}

/* The socket was in use when something was queued: its user sends it on the way out. Spinning on the lock, BH off. */
static void dco_tcp_release_cb(struct sock *sk)
{
	struct dco_tcp *tcp;

	tcp_prot.release_cb(sk);
	tcp = dco_tcp_of(sk);
	if (tcp && dco_tcp_waiting(tcp))
		dco_tcp_push(tcp);
}

/*
 * tcpv6_prot and inet6_stream_ops are not exported everywhere, so both are taken from the first socket that has them,
 * after a look at whether they are what they should be: sockets of other layers (TLS, MPTCP, BPF maps) are refused.
 */
static int dco_tcp_choose(struct sock *sk)
{
	int family = sk->sk_family == AF_INET6;
	struct proto *proto = sk->sk_prot;
	const struct proto_ops *ops = sk->sk_socket->ops;
	int err = 0;

	if (inet_csk_has_ulp(sk) || proto->recvmsg != tcp_prot.recvmsg || proto->sendmsg != tcp_prot.sendmsg ||
	    proto->close != tcp_prot.close || proto->disconnect != tcp_prot.disconnect ||
	    proto->release_cb != tcp_prot.release_cb || ops->poll != tcp_poll)
		return -EOPNOTSUPP;
	mutex_lock(&dco_tcp_protos_lock);
	if (!dco_tcp_base_protos[family]) {
		dco_tcp_user_proto(&dco_tcp_protos[family], proto);
		dco_tcp_protos[family].release_cb = dco_tcp_release_cb;
		dco_tcp_user_ops(&dco_tcp_ops[family], ops);
		dco_tcp_base_protos[family] = proto;
		dco_tcp_base_ops[family] = ops;
	} else if (dco_tcp_base_protos[family] != proto || dco_tcp_base_ops[family] != ops) {
		err = -EOPNOTSUPP;
	}
	mutex_unlock(&dco_tcp_protos_lock);
	return err ?: family;
}

static void dco_tcp_hook(struct dco_tcp *tcp, struct dco_socket *socket, int family)
{
	struct sock *sk = tcp->sk;
	struct tcp_sock *tp = tcp_sk(sk);

	tcp->socket = socket;
	tcp->hooked = true;
	tcp->old_proto = sk->sk_prot;
	tcp->old_ops = sk->sk_socket->ops;
	tcp->old_data_ready = sk->sk_data_ready;
	tcp->old_write_space = sk->sk_write_space;
	tcp->old_state_change = sk->sk_state_change;
	tcp->old_allocation = sk->sk_allocation;
	tcp->old_notsent_lowat = tp->notsent_lowat;
	tcp->old_rcvlowat = sk->sk_rcvlowat;
	tcp->old_nonagle = tp->nonagle;

	/* Softirqs send on it, so nothing it does may sleep for memory or use a task's fragment page. */
	sk->sk_allocation = GFP_ATOMIC;
	WRITE_ONCE(tp->notsent_lowat, DCO_TCP_UNSENT);
	WRITE_ONCE(sk->sk_rcvlowat, 1);
	/* Waiting for more is ours to decide (MSG_MORE): an inner acknowledgement must not wait for an outer one. */
	tp->nonagle |= TCP_NAGLE_OFF;

	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, socket);
	sk->sk_data_ready = dco_tcp_data_ready;
	sk->sk_write_space = dco_tcp_write_space;
	sk->sk_state_change = dco_tcp_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
	smp_wmb();	/* sk_user_data before sk_prot, for dco_tcp_of() */
	WRITE_ONCE(sk->sk_prot, &dco_tcp_protos[family]);
	WRITE_ONCE(sk->sk_socket->ops, &dco_tcp_ops[family]);
}

void dco_tcp_unhook(struct dco_tcp *tcp)
{
	struct sock *sk = tcp->sk;
	struct tcp_sock *tp = tcp_sk(sk);

	if (!tcp->hooked)
		return;
	tcp->hooked = false;
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, NULL);
	sk->sk_data_ready = tcp->old_data_ready;
	sk->sk_write_space = tcp->old_write_space;
	sk->sk_state_change = tcp->old_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
	smp_wmb();	/* sk_user_data before sk_prot, for dco_tcp_of() */
	WRITE_ONCE(sk->sk_prot, tcp->old_proto);
	if (sk->sk_socket)
		WRITE_ONCE(sk->sk_socket->ops, tcp->old_ops);

	sk->sk_allocation = tcp->old_allocation;
	WRITE_ONCE(tp->notsent_lowat, tcp->old_notsent_lowat);
	WRITE_ONCE(sk->sk_rcvlowat, tcp->old_rcvlowat);
	tp->nonagle = tcp->old_nonagle;
	/* Whoever sleeps in poll() or recvmsg() looks again, at what the socket is by itself. */
	sk->sk_state_change(sk);
}

/*
 * Process context, may sleep. -ENOTCONN unless established, -EBUSY if somebody else's, -EOPNOTSUPP if not plain TCP,
 * -ENOMEM. On success socket->stream is ours until dco_tcp_detach(). Packets for userspace may arrive at once; data
 * packets are dropped until socket->link is there.
 */
int dco_tcp_attach(struct dco_socket *socket)
{
	struct sock *sk = socket->sk;
	struct dco_tcp *tcp;
	int err;

	tcp = kzalloc(sizeof(*tcp), GFP_KERNEL);
	if (!tcp)
		return -ENOMEM;
	tcp->assembly = kmalloc(DCO_TCP_ASSEMBLY, GFP_KERNEL);
	if (!tcp->assembly) {
		kfree(tcp);
		return -ENOMEM;
	}
	tcp->assembly_size = DCO_TCP_ASSEMBLY;
	tcp->sk = sk;
	refcount_set(&tcp->users, 1);
	spin_lock_init(&tcp->lock);
	/* These have no lock of their own in use. */
	__skb_queue_head_init(&tcp->user);
	__skb_queue_head_init(&tcp->data);
	__skb_queue_head_init(&tcp->control);
	INIT_DELAYED_WORK(&tcp->work, dco_tcp_work);

	lock_sock(sk);
	if (sk->sk_state != TCP_ESTABLISHED || !sk->sk_socket || sk->sk_shutdown || sk->sk_err) {
		err = -ENOTCONN;
		goto refuse;
	}
	if (__sk_user_data(sk)) {
		err = -EBUSY;
		goto refuse;
	}
	err = dco_tcp_choose(sk);
	if (err < 0)
		goto refuse;
	sock_hold(sk);
	socket->stream = tcp;
	dco_tcp_hook(tcp, socket, err);
	dco_tcp_receive(tcp);
	release_sock(sk);
	return 0;

refuse:
	release_sock(sk);
	kfree(tcp->assembly);
	kfree(tcp);
	return err;
}

/*
 * Process context, may sleep. The socket is userspace's again, between two frames in the direction it sends in. Control
 * packets that it has not read are lost, as is a frame of which only a part had come: it is about to close.
 */
void dco_tcp_detach(struct dco_socket *socket)
{
	struct dco_tcp *tcp = socket->stream;
	struct sock *sk = tcp->sk;

	lock_sock(sk);
	if (tcp->hooked)
		dco_tcp_finish(tcp);
	dco_tcp_unhook(tcp);
	release_sock(sk);
	/* `dead`, so nothing starts it again; it may be waiting for the socket's lock. */
	cancel_delayed_work_sync(&tcp->work);

	/* Nobody else has these: senders find `dead`, readers find `hooked` gone. */
	lock_sock(sk);
	__skb_queue_purge(&tcp->user);
	release_sock(sk);
	__skb_queue_purge(&tcp->data);
	__skb_queue_purge(&tcp->control);
	kfree_skb(tcp->sending);
	kfree_skb(tcp->fragment);
	dco_tcp_put(tcp);
}

int dco_tcp_init(void)
{
	/* Not bound: the processor that queues this is busy receiving. */
	dco_tcp_wq = alloc_workqueue("dco-tcp", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return dco_tcp_wq ? 0 : -ENOMEM;
}

/* Module exit; no socket is attached. Waits for everything that could still run in these files. */
void dco_tcp_exit(void)
{
	dco_tcp_user_drain();
	destroy_workqueue(dco_tcp_wq);
	rcu_barrier();
}
