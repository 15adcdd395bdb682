// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What userspace sees of an attached TCP socket: a stream of frames as ever, without the data channel's. recvmsg()
 * returns at most one frame a call and keeps what the caller had no room for. sendmsg() takes all or nothing (of up to
 * DCO_TCP_FRAME_MAX bytes) and puts frames between the data channel's, when they are whole. poll() tells exactly of
 * that.
 *
 * Each function begins with enter() and ends with leave(): the module's text must outlast them, though a detached
 * socket no longer leads here. A call that finds its socket detached goes to TCP itself, without waiting there.
 */
#include <linux/poll.h>
#include <linux/rcupdate_wait.h>
#include <linux/wait_bit.h>
#include <net/inet_common.h>
#include <net/tcp.h>

#include "tcp.h"

static atomic_t dco_tcp_entered = ATOMIC_INIT(0);

static void enter(void)
{
	atomic_inc(&dco_tcp_entered);
}

static void leave(void)
{
	if (atomic_dec_and_test(&dco_tcp_entered))
		wake_up_var(&dco_tcp_entered);
}

void dco_tcp_user_drain(void)
{
	/* Tasks before enter() and after leave(), which do not sleep there; then those between. */
	synchronize_rcu_tasks();
	wait_var_event(&dco_tcp_entered, !atomic_read(&dco_tcp_entered));
	synchronize_rcu_tasks();
}

/* Sleeps without the socket's lock until there is something to read or nothing to wait for. */
static int dco_tcp_wait(struct dco_tcp *tcp, struct sock *sk, long *timeo)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);
	add_wait_queue(sk_sleep(sk), &wait);
	sk_set_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	sk_wait_event(sk, timeo, !skb_queue_empty_lockless(&tcp->user) || READ_ONCE(sk->sk_err) ||
		      READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN || sk->sk_state == TCP_CLOSE || !READ_ONCE(tcp->hooked),
		      &wait);
	sk_clear_bit(SOCKWQ_ASYNC_WAITDATA, sk);
	remove_wait_queue(sk_sleep(sk), &wait);
	return 0;
}

/* -ESTALE: not attached (any more). The socket's lock, owned; given up while it waits. */
static int dco_tcp_read(struct sock *sk, struct msghdr *msg, size_t len, int flags)
{
	long timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	struct dco_tcp *tcp = dco_tcp_of(sk);
	struct sk_buff *skb;
	int err = 0;

	if (!tcp)
		return -ESTALE;
	refcount_inc(&tcp->users);
	while (!(skb = skb_peek(&tcp->user))) {
		if (!tcp->hooked)
			err = -ESTALE;
		else if (sk->sk_err)
			err = sock_error(sk);
		else if (sk->sk_shutdown & RCV_SHUTDOWN || sock_flag(sk, SOCK_DONE))
			goto out;	/* end of the stream */
		else if (sk->sk_state == TCP_CLOSE)
			err = -ENOTCONN;
		else
			err = dco_tcp_wait(tcp, sk, &timeo);
		if (err)
			goto out;
	}
	len = min_t(size_t, len, skb->len);
	err = skb_copy_datagram_msg(skb, 0, msg, len);
	if (err)
		goto out;
	err = len;
	if (!(flags & MSG_PEEK)) {
		tcp->user_bytes -= len;
		if (len < skb->len) {
			__skb_pull(skb, len);
		} else {
			__skb_unlink(skb, &tcp->user);
			consume_skb(skb);
		}
	}
out:
	dco_tcp_put(tcp);
	return err;
}

static int dco_tcp_recvmsg(struct sock *sk, struct msghdr *msg, size_t len, int flags DCO_COMPAT_ADDR_LEN)
{
	int err;

	enter();
	/* Timestamps and ICMP errors are the connection's. */
	if (flags & MSG_ERRQUEUE) {
		err = tcp_prot.recvmsg(sk, msg, len, flags DCO_COMPAT_PASS_ADDR_LEN);
		goto out;
	}
	err = -EOPNOTSUPP;
	if (flags & (MSG_OOB | MSG_TRUNC))
		goto out;
	lock_sock(sk);
	err = dco_tcp_read(sk, msg, len, flags);
	release_sock(sk);
	if (err == -ESTALE)
		err = tcp_prot.recvmsg(sk, msg, len, flags | MSG_DONTWAIT DCO_COMPAT_PASS_ADDR_LEN);
out:
	leave();
	return err;
}

/* How many of the bytes are whole frames; -EINVAL for one that no peer would take. */
static int dco_tcp_whole(const u8 *bytes, u32 len)
{
	u32 whole = 0, packet_len;

	while (len - whole >= DCO_TCP_PREFIX) {
		packet_len = get_unaligned_be16(bytes + whole);
		if (!packet_len)
			return -EINVAL;
		if (len - whole < DCO_TCP_PREFIX + packet_len)
			break;
		whole += DCO_TCP_PREFIX + packet_len;
	}
	return whole;
}

/* The socket's lock, owned. Bytes taken, or -errno. */
static int dco_tcp_take(struct dco_tcp *tcp, struct msghdr *msg, u32 len)
{
	struct sk_buff *before = tcp->fragment, *rest = NULL, *skb;
	u32 have = before ? before->len : 0;
	int whole, err;

	skb = alloc_skb(have + len, GFP_KERNEL);
	if (!skb)
		return -ENOBUFS;
	if (before)
		skb_put_data(skb, before->data, have);
	err = memcpy_from_msg(skb_put(skb, len), msg, len);
	if (err)
		goto fail;
	whole = dco_tcp_whole(skb->data, skb->len);
	err = whole;
	if (whole < 0)
		goto fail;
	if (whole < skb->len) {
		rest = alloc_skb(skb->len - whole, GFP_KERNEL);
		err = -ENOBUFS;
		if (!rest)
			goto fail;
		skb_put_data(rest, skb->data + whole, skb->len - whole);
		skb_trim(skb, whole);
	}
	kfree_skb(before);
	tcp->fragment = rest;
	if (whole)
		dco_tcp_queue_control(tcp, skb);
	else
		kfree_skb(skb);
	return len;
fail:
	kfree_skb(skb);
	return err;
}

static int dco_tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t len)
{
	struct dco_tcp *tcp;
	int err;

	enter();
	lock_sock(sk);
	tcp = dco_tcp_of(sk);
	if (!tcp) {
		release_sock(sk);
		msg->msg_flags |= MSG_DONTWAIT;
		err = tcp_sendmsg(sk, msg, len);
		goto out;
	}
	if (msg->msg_flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_COMPAT))
		err = -EOPNOTSUPP;
	else if (sk->sk_err)
		err = sk_stream_error(sk, msg->msg_flags, -EPIPE);
	else if (sk->sk_shutdown & SEND_SHUTDOWN || sk->sk_state == TCP_CLOSE)
		err = sk_stream_error(sk, msg->msg_flags, -EPIPE);
	else if (tcp->control_bytes >= DCO_TCP_CONTROL_MAX)
		err = -EAGAIN;	/* also of a socket that blocks; the C modules do so, and OpenVPN's do not */
	else if (!len)
		err = 0;
	else
		err = dco_tcp_take(tcp, msg, min_t(size_t, len, DCO_TCP_FRAME_MAX));
	if (err > 0)
		dco_tcp_push(tcp);
	release_sock(sk);
out:
	leave();
	return err;
}

static __poll_t dco_tcp_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait)
{
	struct sock *sk = sock->sk;
	const struct dco_tcp *tcp;
	__poll_t mask = 0;
	u8 shutdown;

	enter();
	sock_poll_wait(file, sock, wait);
	rcu_read_lock();
	tcp = dco_tcp_of(sk);
	if (tcp) {
		shutdown = READ_ONCE(sk->sk_shutdown);
		if (shutdown == SHUTDOWN_MASK || inet_sk_state_load(sk) == TCP_CLOSE)
			mask |= EPOLLHUP;
		if (shutdown & RCV_SHUTDOWN)
			mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
		if (!skb_queue_empty_lockless(&tcp->user))
			mask |= EPOLLIN | EPOLLRDNORM;
		if (shutdown & SEND_SHUTDOWN || READ_ONCE(tcp->control_bytes) < DCO_TCP_CONTROL_MAX)
			mask |= EPOLLOUT | EPOLLWRNORM;
		if (READ_ONCE(sk->sk_err) || !skb_queue_empty_lockless(&sk->sk_error_queue))
			mask |= EPOLLERR;
	}
	rcu_read_unlock();
	if (!tcp)
		mask = tcp_poll(file, sock, wait);
	leave();
	return mask;
}

/* connect() to nowhere would take the connection away under us. tcp_close() does not come here: see dco_tcp_close(). */
static int dco_tcp_disconnect(struct sock *sk, int flags)
{
	return -EBUSY;
}

static void dco_tcp_close(struct sock *sk, long timeout)
{
	struct dco_tcp *tcp;

	enter();
	lock_sock(sk);
	tcp = dco_tcp_of(sk);
	if (tcp) {
		dco_tcp_end(tcp, DCO_DEL_TRANSPORT_DISCONNECT);
		dco_tcp_finish(tcp);
		dco_tcp_unhook(tcp);
	}
	release_sock(sk);
	tcp_close(sk, timeout);
	leave();
}

void dco_tcp_user_proto(struct proto *proto, const struct proto *base)
{
	*proto = *base;
	proto->recvmsg = dco_tcp_recvmsg;
	proto->sendmsg = dco_tcp_sendmsg;
	proto->close = dco_tcp_close;
	proto->disconnect = dco_tcp_disconnect;
	dco_compat_no_sendpage(proto);
}

void dco_tcp_user_ops(struct proto_ops *ops, const struct proto_ops *base)
{
	*ops = *base;
	ops->poll = dco_tcp_poll;
}
