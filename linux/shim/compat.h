/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Everything that differs between kernels from 6.1 to 7.x, and nothing else: static inlines and macros keyed on the
 * kernel's version, in the newest kernel's terms where that is possible.
 */
#ifndef DCO_COMPAT_H
#define DCO_COMPAT_H

#include <linux/bvec.h>
#include <linux/netdevice.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <net/genetlink.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif
#include <net/inet_sock.h>
#include <net/ip6_fib.h>
#include <net/rtnetlink.h>
#include <net/tcp.h>
#include <net/udp_tunnel.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* 6.12: a feature flag became a field. */
static inline void dco_compat_lltx(struct net_device *net)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	net->lltx = true;
#else
	net->features |= NETIF_F_LLTX;
#endif
}

/* 6.15: rtnl_link_ops->newlink takes its arguments in a structure. The body's names: net, extack, dco_newlink_data. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define DCO_COMPAT_NEWLINK(name)							\
	int name(struct net_device *net, struct rtnl_newlink_params *params,		\
		 struct netlink_ext_ack *extack)
#define dco_newlink_data (params->data)
#else
#define DCO_COMPAT_NEWLINK(name)							\
	int name(struct net *link_net, struct net_device *net, struct nlattr *tb[],	\
		 struct nlattr *data[], struct netlink_ext_ack *extack)
#define dco_newlink_data (data)
#endif

/* 6.7: a dump's attributes and extack are those of a genl_info. */
static inline struct nlattr **dco_compat_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return genl_dumpit_info(cb)->info.attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* 6.10, and late releases of older series. */
#ifndef dst_rt6_info
#define dst_rt6_info(route) container_of(route, struct rt6_info, dst)
#endif

/* 6.16: named in the kernel's headers; older ones take any number. */
#ifndef UDP_ENCAP_OVPNINUDP
#define UDP_ENCAP_OVPNINUDP	8
#endif

/* 6.6: a bit field of inet_sock became a bit of its flags. */
static inline bool dco_compat_mc_loop(const struct sock *sk)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	return inet_test_bit(MC_LOOP, sk);
#else
	return inet_sk(sk)->mc_loop;
#endif
}

static inline void dco_compat_set_mc_loop(struct sock *sk, bool on)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	inet_assign_bit(MC_LOOP, sk, on);
#else
	inet_sk(sk)->mc_loop = on;
#endif
}

/* 7.1: takes the sock. */
static inline void dco_compat_setup_udp_tunnel_sock(struct sock *sk, struct udp_tunnel_sock_cfg *config)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	setup_udp_tunnel_sock(sock_net(sk), sk, config);
#else
	setup_udp_tunnel_sock(sock_net(sk), sk->sk_socket, config);
#endif
}

/* 7.0: proto->recvmsg has one argument less: what is declared, and what is passed on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define DCO_COMPAT_ADDR_LEN
#define DCO_COMPAT_PASS_ADDR_LEN
#else
#define DCO_COMPAT_ADDR_LEN		, int *addr_len
#define DCO_COMPAT_PASS_ADDR_LEN	, addr_len
#endif

/* 6.5: pages are sent by sendmsg(). `data` is in pages of their own, `flags` as for sendmsg(). The socket's lock. */
static inline int dco_compat_tcp_send_pages(struct sock *sk, const void *data, size_t len, int flags)
{
	struct page *page = virt_to_head_page(data);
	size_t offset = data - page_address(page);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	struct msghdr msg = { .msg_flags = flags | MSG_SPLICE_PAGES };
	struct bio_vec bytes;

	bvec_set_page(&bytes, page, len, offset);
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, &bytes, 1, len);
	return tcp_sendmsg_locked(sk, &msg, len);
#else
	return tcp_sendpage_locked(sk, page, offset, len, flags);
#endif
}

/* 6.5: splice() into a socket uses sendmsg(), as it does before where there is no sendpage(). */
static inline void dco_compat_no_sendpage(struct proto *proto)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	proto->sendpage = NULL;
#endif
}

#endif
