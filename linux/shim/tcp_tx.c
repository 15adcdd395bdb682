// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Sending over TCP: two queues of skbs, whole frames each, userspace's before the data channel's. Whoever holds the
 * socket's lock hands them to TCP: the sender itself if it gets the lock, else the lock's holder on its way
 * out (release_cb), else dco_tcp_work(). What TCP takes of a frame is taken; the rest of it goes before anything else.
 *
 * Why uploads do not collapse:
 * - Nothing is thrown away because the connection is busy just now; only when half a megabyte waits.
 * - A local sender is slowed down rather than made to lose: the inner skb stays charged to its socket until its frames
 *   are in the connection's send queue, so TCP small queues stop it at a train or two.
 * - A write that is cut short has TCP call write_space when there is room again; the queue is emptied there, in the
 *   acknowledgement's softirq. No timer and no thread is waited for.
 * - The connection's own queue of unsent bytes is short (TCP_NOTSENT_LOWAT), so inner round-trip times stay honest and
 *   inner timers do not fire for data that is merely queued.
 * - No Nagle: the end of a queue leaves at once; while there is more, MSG_MORE fills segments.
 */
#include <linux/skbuff.h>
#include <linux/uio.h>

#include "tcp.h"

bool dco_tcp_waiting(const struct dco_tcp *tcp)
{
	return READ_ONCE(tcp->sending) || !skb_queue_empty_lockless(&tcp->control) ||
	       !skb_queue_empty_lockless(&tcp->data);
}

/* Userspace may send again. */
static void dco_tcp_wake_writer(struct sock *sk)
{
	struct socket_wq *wq;

	rcu_read_lock();
	wq = rcu_dereference(sk->sk_wq);
	if (skwq_has_sleeper(wq))
		wake_up_interruptible_poll(&wq->wait, EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND);
	rcu_read_unlock();
}

/* The next skb to send; `more`: others follow. `data` false: only what must not be lost. */
static struct sk_buff *dco_tcp_next(struct dco_tcp *tcp, bool data, bool *more)
{
	struct sk_buff *skb = tcp->sending;
	bool wake = false;

	spin_lock_bh(&tcp->lock);
	if (!skb) {
		skb = __skb_dequeue(&tcp->control);
		if (skb) {
			wake = tcp->control_bytes >= DCO_TCP_CONTROL_MAX;
			WRITE_ONCE(tcp->control_bytes, tcp->control_bytes - skb->len);
			wake = wake && tcp->control_bytes < DCO_TCP_CONTROL_MAX;
		} else if (data) {
			skb = __skb_dequeue(&tcp->data);
			if (skb)
				tcp->data_bytes -= skb->len;
		}
	}
	*more = !skb_queue_empty(&tcp->control) || (data && !skb_queue_empty(&tcp->data));
	spin_unlock_bh(&tcp->lock);
	WRITE_ONCE(tcp->sending, skb);
	if (wake)
		dco_tcp_wake_writer(tcp->sk);
	return skb;
}

/*
 * A train's buffer is pages of its own: TCP takes references to them. Anything else is small, or userspace's, and copied.
 */
static int dco_tcp_write(struct sock *sk, struct sk_buff *skb, bool more)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0) };
	struct kvec bytes = { .iov_base = skb->data, .iov_len = skb_headlen(skb) };

	if (skb->head_frag && bytes.iov_len >= DCO_TCP_BY_REFERENCE)
		return dco_compat_tcp_send_pages(sk, bytes.iov_base, bytes.iov_len, msg.msg_flags);
	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &bytes, 1, bytes.iov_len);
	return tcp_sendmsg_locked(sk, &msg, bytes.iov_len);
}

static void dco_tcp_drain(struct dco_tcp *tcp, bool data)
{
	struct sk_buff *skb;
	bool more;
	int sent;

	/* TCP may work through a backlog in between, whose acknowledgements bring us here again. */
	if (tcp->pushing)
		return;
	tcp->pushing = true;
	while ((skb = dco_tcp_next(tcp, data, &more)) != NULL) {
		sent = dco_tcp_write(tcp->sk, skb, more);
		if (sent == -EAGAIN)
			break;
		if (sent >= 0 && sent < skb_headlen(skb)) {
			__skb_pull(skb, sent);
			continue;
		}
		/* Sent, or the connection is broken, of which state_change tells. */
		WRITE_ONCE(tcp->sending, NULL);
		if (sent < 0)
			kfree_skb(skb);
		else
			consume_skb(skb);
	}
	tcp->pushing = false;
}

void dco_tcp_push(struct dco_tcp *tcp)
{
	dco_tcp_drain(tcp, true);
	/* TCP had room but no memory: no acknowledgement need come that would call write_space. */
	if (READ_ONCE(tcp->sending) && sk_stream_memory_free(tcp->sk))
		dco_tcp_kick(tcp, 1);
}

void dco_tcp_finish(struct dco_tcp *tcp)
{
	struct sock *sk = tcp->sk;
	int sndbuf = sk->sk_sndbuf;

	/* Its other part will come from userspace directly. */
	if (tcp->fragment)
		dco_tcp_queue_control(tcp, tcp->fragment);
	tcp->fragment = NULL;
	spin_lock_bh(&tcp->lock);
	tcp->dead = true;
	spin_unlock_bh(&tcp->lock);
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	WRITE_ONCE(tcp_sk(sk)->notsent_lowat, UINT_MAX);
	dco_tcp_drain(tcp, false);
	WRITE_ONCE(sk->sk_sndbuf, sndbuf);
}

void dco_tcp_kick(struct dco_tcp *tcp, unsigned long delay)
{
	spin_lock_bh(&tcp->lock);
	if (!tcp->dead)
		mod_delayed_work(dco_tcp_wq, &tcp->work, delay);
	spin_unlock_bh(&tcp->lock);
}

void dco_tcp_work(struct work_struct *work)
{
	struct dco_tcp *tcp = container_of(to_delayed_work(work), struct dco_tcp, work);

	lock_sock(tcp->sk);
	if (tcp->hooked) {
		dco_tcp_receive(tcp);
		dco_tcp_push(tcp);
	}
	release_sock(tcp->sk);
}

void dco_tcp_queue_control(struct dco_tcp *tcp, struct sk_buff *skb)
{
	spin_lock_bh(&tcp->lock);
	__skb_queue_tail(&tcp->control, skb);
	WRITE_ONCE(tcp->control_bytes, tcp->control_bytes + skb->len);
	spin_unlock_bh(&tcp->lock);
}

/* A tunnel's own connection routed into the tunnel would feed itself. */
static bool dco_tcp_is_loop(const struct sock *sk, const struct sk_buff *skb)
{
	const struct sk_buff *inner;

	skb_walk_frags(skb, inner)
		if (inner->sk == sk)
			return true;
	return false;
}

/*
 * The inner skbs that the frames came from may hang on skb_shinfo(skb)->frag_list (skb->data_len stays 0): they are
 * freed with it.
 */
unsigned int dco_tcp_send(struct dco_link *link, struct sk_buff *skb, unsigned int packets)
{
	struct dco_tcp *tcp = link->socket->stream;
	struct sock *sk = tcp->sk;
	bool taken = false;

	if (dco_tcp_is_loop(sk, skb)) {
		kfree_skb(skb);
		return packets;
	}
	spin_lock(&tcp->lock);
	if (!tcp->dead && tcp->data_bytes < DCO_TCP_DATA_MAX) {
		__skb_queue_tail(&tcp->data, skb);
		tcp->data_bytes += skb->len;
		taken = true;
	}
	spin_unlock(&tcp->lock);
	if (!taken) {
		kfree_skb(skb);
		return packets;
	}
	if (!spin_trylock(&sk->sk_lock.slock)) {
		dco_tcp_kick(tcp, 0);
		return 0;
	}
	/* An owner sends it in release_cb. Hooked: `dead` may have been set since. */
	if (!sock_owned_by_user(sk) && tcp->hooked)
		dco_tcp_push(tcp);
	spin_unlock(&sk->sk_lock.slock);
	return 0;
}
