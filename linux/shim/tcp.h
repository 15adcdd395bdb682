/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the four TCP files share; tcp.c says who holds and locks what.
 */
#ifndef DCO_TCP_H
#define DCO_TCP_H

#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/tcp.h>

#include "shim.h"

#define DCO_TCP_PREFIX		2	/* a frame: length of the packet, 16 bit, big endian, then the packet */
#define DCO_TCP_PACKET_MIN	4	/* the shortest packet that either interface takes; less ends the peer */
#define DCO_TCP_FRAME_MAX	(DCO_TCP_PREFIX + 65535)

/*
 * Bounds, in bytes, of what waits for the connection. A train is taken while less than DATA_MAX waits: one more than
 * the bound at most. At 50 Mbit/s that is 80 ms; longer queues only make inner connections slow to notice that they
 * are.
 */
#define DCO_TCP_DATA_MAX	(512 * 1024)
#define DCO_TCP_CONTROL_MAX	(128 * 1024)
/* Trains of at least this are sent by reference to their pages, smaller ones are copied. */
#define DCO_TCP_BY_REFERENCE	2048

/* What the kernel's own send queue may hold unsent: control frames overtake what waits here, not what is there. */
#define DCO_TCP_UNSENT		(128 * 1024)

/* Control packets that userspace has not read yet. OpenVPN reads each at once and resends what is lost. */
#define DCO_TCP_USER_PACKETS	512
#define DCO_TCP_USER_BYTES	(256 * 1024)

/* Room for frames that are not contiguous in the stream; grows for a longer frame. */
#define DCO_TCP_ASSEMBLY	8192

struct dco_tcp {
	struct sock *sk;		/* sock_hold() until the RCU callback */
	refcount_t users;		/* the attachment, and tasks that sleep in dco_tcp_recvmsg() */
	struct rcu_head rcu;

	/* Under the socket's lock. */
	struct dco_socket *socket;	/* valid while `hooked` */
	bool hooked;
	bool ended;			/* the peer is to be removed: nothing is parsed any more */
	bool pushing;

	/* What stood there before; under the socket's lock. */
	struct proto *old_proto;
	const struct proto_ops *old_ops;
	void (*old_data_ready)(struct sock *sk);
	void (*old_write_space)(struct sock *sk);
	void (*old_state_change)(struct sock *sk);
	gfp_t old_allocation;
	u32 old_notsent_lowat;
	int old_rcvlowat;
	u8 old_nonagle;

	/*
	 * Receive, under the socket's lock. The first `assembled` bytes of `assembly` belong to packets of the train,
	 * the next `unfinished` are the beginning of a frame.
	 */
	u8 *assembly;
	u32 assembly_size;
	u32 assembled;
	u32 unfinished;
	unsigned int packets;
	struct dco_datagram train[DCO_TRAIN_MAX];
	struct sk_buff_head user;	/* control packets with their prefix; poll looks at it without the lock */
	u32 user_bytes;

	/* Transmit. `lock` (BH) is a leaf. */
	spinlock_t lock;
	bool dead;			/* under lock: takes nothing more, starts no work */
	struct sk_buff_head data;	/* under lock, as are the next three */
	struct sk_buff_head control;
	u32 data_bytes;
	u32 control_bytes;		/* read without the lock by poll */
	struct sk_buff *sending;	/* under the socket's lock: taken off its queue, begun perhaps */
	struct sk_buff *fragment;	/* under the socket's lock: an unfinished frame from userspace */
	struct delayed_work work;	/* does what data context could not: see dco_tcp_kick() */
};

extern struct workqueue_struct *dco_tcp_wq;

/* The state of an attached socket, NULL of any other. The socket's lock, or inside rcu_read_lock() for a look. */
struct dco_tcp *dco_tcp_of(const struct sock *sk);
void dco_tcp_put(struct dco_tcp *tcp);
/* Has the peer removed, once. The socket's lock. */
void dco_tcp_end(struct dco_tcp *tcp, u32 reason);
/* Takes everything of ours off the socket. The socket's lock, process context. */
void dco_tcp_unhook(struct dco_tcp *tcp);

/* tcp_rx.c */
/* Takes all that the connection has received. The socket's lock; process context or softirq. */
void dco_tcp_receive(struct dco_tcp *tcp);

/* tcp_tx.c */
/* Hands the connection as much as it takes. The socket's lock, owned or spinning. */
void dco_tcp_push(struct dco_tcp *tcp);
/* Whether anything waits to be pushed; a hint without the socket's lock. */
bool dco_tcp_waiting(const struct dco_tcp *tcp);
/* Has dco_tcp_work() run, unless the socket is being detached. Any context. */
void dco_tcp_kick(struct dco_tcp *tcp, unsigned long delay);
void dco_tcp_work(struct work_struct *work);
/* Takes nothing more, ends a begun frame and sends userspace's frames beyond all bounds. The socket's lock, owned. */
void dco_tcp_finish(struct dco_tcp *tcp);
/* Queues whole frames of userspace's. Takes the skb. The socket's lock. */
void dco_tcp_queue_control(struct dco_tcp *tcp, struct sk_buff *skb);

/* tcp_user.c */
/* Fills in what stands in for `base`. */
void dco_tcp_user_proto(struct proto *proto, const struct proto *base);
void dco_tcp_user_ops(struct proto_ops *ops, const struct proto_ops *base);
/* Waits until no task is in this file's functions. No socket is attached any more. */
void dco_tcp_user_drain(void);

#endif
