/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Addresses of dco.h from and to what the kernel's structures hold.
 */
#ifndef DCO_ADDR_H
#define DCO_ADDR_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/string.h>
#include <net/ipv6.h>

#include "../include/dco.h"

static inline struct dco_addr dco_addr_v4(__be32 address)
{
	struct dco_addr addr = { .family = AF_INET };

	memcpy(addr.addr, &address, sizeof(address));
	return addr;
}

static inline struct dco_addr dco_addr_v6(const struct in6_addr *address)
{
	struct dco_addr addr = { .family = AF_INET6 };

	memcpy(addr.addr, address, sizeof(*address));
	return addr;
}

/* A transport's address: a v4-mapped one is that of an IPv4 packet. */
static inline struct dco_addr dco_addr_folded(const struct in6_addr *address)
{
	return ipv6_addr_v4mapped(address) ? dco_addr_v4(address->s6_addr32[3]) : dco_addr_v6(address);
}

static inline __be32 dco_addr_be32(const struct dco_addr *addr)
{
	__be32 address;

	memcpy(&address, addr->addr, sizeof(address));
	return address;
}

static inline struct in6_addr dco_addr_in6(const struct dco_addr *addr)
{
	struct in6_addr address;

	memcpy(&address, addr->addr, sizeof(address));
	return address;
}

#endif
