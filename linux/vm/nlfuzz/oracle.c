// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The table of requests whose answer the interfaces' documentation tells. Each row takes a request that would succeed, spoils
 * it (or not), and says which errno comes back, and which notification.
 *
 * Before each row: fresh sockets; device MP has peer 1 (VPN addresses 10.0.0.1, fd00::1, UDP) with a key in its primary slot;
 * device P2P has peer 1.
 */
#include "oracle.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "request.h"

enum { END, OMIT, U8, U16, U32, BYTES, LENGTH, FD, NO_NEST, BARE_NEST };
enum { MP, P2P, LOOPBACK, NOWHERE };
#define NOTHING (-1)		/* no notification */

struct change {
	int op;
	uint8_t where;
	uint16_t type;
	uint32_t value;			/* or how many bytes */
	const char *bytes;
};

struct row {
	int family;
	uint8_t command;
	const char *what;
	int expected;
	int device;
	int id;				/* of the peer; 0: 2 for a new one, else 1 */
	uint16_t flags;
	struct change changes[4];
	int gone;			/* 1 + the reason of a peer's end that is told; 0: not looked at */
	bool ours;
};

#define R(f, c, w, e, ...) { .family = f, .command = c, .what = w, .expected = e, .changes = { __VA_ARGS__ } }
#define OURS(f, c, w, e, ...) { .family = f, .command = c, .what = w, .expected = e, .changes = { __VA_ARGS__ }, .ours = true }
#define R_ON(d, f, c, w, e, ...) { .family = f, .command = c, .what = w, .expected = e, .device = d, .changes = { __VA_ARGS__ } }

#define SOCKADDR_UNIX "\1\0\17\240\177\0\0\1\0\0\0\0\0\0\0\0"
#define SIX(last) "\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0" last
#define MAPPED "\0\0\0\0\0\0\0\0\0\0\377\377\177\0\0\1"
#define SOCKADDR_IN6 "\12\0\17\240\0\0\0\0" SIX("\1") "\0\0\0\0"
#define SOCKADDR_MAPPED "\12\0\17\240\0\0\0\0" MAPPED "\0\0\0\0"
#define LONG_KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DUMP NLM_F_DUMP

static const struct row rows[] = {
	/* v2: NEW_PEER */
	R(V2, V2_NEW_PEER, "remote of a family that is none", EINVAL, { BYTES, NEST, 2, 16, SOCKADDR_UNIX }),
	R(V2, V2_NEW_PEER, "remote of 8 bytes", ERANGE, { LENGTH, NEST, 2, 8 }),
	R(V2, V2_NEW_PEER, "IPv6 remote of 16 bytes", EINVAL, { BYTES, NEST, 2, 16, SOCKADDR_IN6 }),
	R(V2, V2_NEW_PEER, "v4-mapped remote", 0, { BYTES, NEST, 2, 28, SOCKADDR_MAPPED }),
	R(V2, V2_NEW_PEER, "v4-mapped remote, IPv6 socket", 0, { BYTES, NEST, 2, 28, SOCKADDR_MAPPED }, { FD, NEST, 3, FD_UDP6 }),
	R(V2, V2_NEW_PEER, "IPv6 remote, IPv6 socket", 0, { BYTES, NEST, 2, 28, SOCKADDR_IN6 }, { FD, NEST, 3, FD_UDP6 }),
	R(V2, V2_NEW_PEER, "UDP without remote", EINVAL, { OMIT, NEST, 2 }),
	R(V2, V2_NEW_PEER, "local address of 4 bytes", 0, { BYTES, NEST, 6, 4, "\177\0\0\1" }),
	R(V2, V2_NEW_PEER, "local address of 5 bytes", EINVAL, { BYTES, NEST, 6, 5, "\177\0\0\1\1" }),
	R(V2, V2_NEW_PEER, "local address of 17 bytes", ERANGE, { BYTES, NEST, 6, 17, SIX("\1") "\1" }),
	R(V2, V2_NEW_PEER, "VPN IPv6 of 15 bytes", ERANGE, { LENGTH, NEST, 5, 15 }),
	R(V2, V2_NEW_PEER, "MP without VPN address", EINVAL, { OMIT, NEST, 4 }, { OMIT, NEST, 5 }),
	R(V2, V2_NEW_PEER, "VPN IPv4 alone", 0, { OMIT, NEST, 5 }),
	R(V2, V2_NEW_PEER, "VPN IPv6 alone", 0, { OMIT, NEST, 4 }),
	R(V2, V2_NEW_PEER, "VPN address of another peer", 0, { U32, NEST, 4, 0x0a000001 }),
	{ V2, V2_NEW_PEER, "id of another peer", EEXIST, .id = 1 },
	R(V2, V2_NEW_PEER, "closed fd", ENOTSOCK, { FD, NEST, 3, FD_CLOSED }),
	R(V2, V2_NEW_PEER, "a file", ENOTSOCK, { FD, NEST, 3, FD_FILE }),
	R(V2, V2_NEW_PEER, "a unix socket", ENOTSOCK, { FD, NEST, 3, FD_UNIX }),
	R(V2, V2_NEW_PEER, "a listening socket", ENOTSOCK, { FD, NEST, 3, FD_TCP_LISTENS }, { OMIT, NEST, 2 }),
	R(V2, V2_NEW_PEER, "an unconnected TCP socket", ENOTSOCK, { FD, NEST, 3, FD_TCP_UNCONNECTED }, { OMIT, NEST, 2 }),
	R(V2, V2_NEW_PEER, "a connection that the other end has closed", ENOTSOCK, { FD, NEST, 3, FD_TCP_CLOSE_WAIT }, { OMIT, NEST, 2 }),
	R(V2, V2_NEW_PEER, "a socket of another device", ENOTSOCK, { FD, NEST, 3, FD_UDP_OTHER }),
	R(V2, V2_NEW_PEER, "a socket of 1 byte", EINVAL, { U8, NEST, 3, 3 }),
	R(V2, V2_NEW_PEER, "TCP", 0, { FD, NEST, 3, FD_TCP }, { OMIT, NEST, 2 }),
	R(V2, V2_NEW_PEER, "TCP with a local address", 0, { FD, NEST, 3, FD_TCP }, { OMIT, NEST, 2 }, { BYTES, NEST, 6, 4, "\177\0\0\1" }),
	R(V2, V2_NEW_PEER, "TCP with a remote", 0, { FD, NEST, 3, FD_TCP }),
	{ V2, V2_NEW_PEER, "P2P: the second peer replaces", 0, .device = P2P, .gone = 1 + 0 },
	{ V2, V2_NEW_PEER, "P2P: the same id replaces", 0, .device = P2P, .id = 1, .gone = 1 + 0 },
	/* v2: the others */
	R(V2, V2_SET_PEER, "interval alone", 0, { OMIT, NEST, 3 }),
	R(V2, V2_SET_PEER, "timeout alone", 0, { OMIT, NEST, 2 }),
	R(V2, V2_SET_PEER, "interval of 2 bytes", EINVAL, { U16, NEST, 2, 10 }),
	OURS(V2, V2_SET_PEER, "mss", 0, { U32, NEST, 64, 1400 }),
	{ V2, V2_DEL_PEER, "told as userspace's", 0, .gone = 1 + 1 },
	{ V2, V2_DEL_PEER, "P2P, told as userspace's", 0, .device = P2P, .gone = 1 + 1 },
	R(V2, V2_NEW_KEY, "cipher none", EINVAL, { U16, NEST, 4, 0 }),
	R(V2, V2_NEW_KEY, "an unknown cipher", EINVAL, { U16, NEST, 4, 9 }),
	R(V2, V2_NEW_KEY, "ChaCha20-Poly1305", 0, { U16, NEST, 4, 2 }),
	R(V2, V2_NEW_KEY, "AES-128", 0, { LENGTH, ENCRYPT, 1, 16 }, { LENGTH, DECRYPT, 1, 16 }),
	R(V2, V2_NEW_KEY, "AES-192", 0, { LENGTH, ENCRYPT, 1, 24 }, { LENGTH, DECRYPT, 1, 24 }),
	R(V2, V2_NEW_KEY, "AES key of 15 bytes", EINVAL, { LENGTH, ENCRYPT, 1, 15 }, { LENGTH, DECRYPT, 1, 15 }),
	R(V2, V2_NEW_KEY, "AES key of no bytes", EINVAL, { LENGTH, ENCRYPT, 1, 0 }, { LENGTH, DECRYPT, 1, 0 }),
	R(V2, V2_NEW_KEY, "AES key of 64 bytes", EINVAL, { BYTES, ENCRYPT, 1, 64, LONG_KEY }, { BYTES, DECRYPT, 1, 64, LONG_KEY }),
	R(V2, V2_NEW_KEY, "ChaCha20 key of 16 bytes", EINVAL, { U16, NEST, 4, 2 }, { LENGTH, ENCRYPT, 1, 16 }, { LENGTH, DECRYPT, 1, 16 }),
	R(V2, V2_NEW_KEY, "key of 256 bytes", ERANGE, { LENGTH, ENCRYPT, 1, 256 }),
	R(V2, V2_NEW_KEY, "nonce tail of 7 bytes", ERANGE, { LENGTH, ENCRYPT, 2, 7 }),
	R(V2, V2_NEW_KEY, "nonce tail of 9 bytes", ERANGE, { LENGTH, DECRYPT, 2, 9 }),
	R(V2, V2_NEW_KEY, "slot of 0 bytes", EINVAL, { LENGTH, NEST, 2, 0 }),
	R(V2, V2_NEW_KEY, "secondary slot", 0, { U8, NEST, 2, 1 }),
	R(V2, V2_DEL_KEY, "an empty slot", 0, { U8, NEST, 2, 1 }),
	{ V2, V2_SWAP_KEYS, "one slot empty", 0 },
	{ V2, V2_GET_PEER, "a dump", 0, .flags = DUMP },
	{ V2, V2_GET_PEER, "a dump of P2P", 0, .flags = DUMP, .device = P2P },
	{ V2, V2_GET_PEER, "a dump without ifindex", EINVAL, .flags = DUMP, .changes = { { OMIT, TOP, 1 } } },
	{ V2, V2_GET_PEER, "a dump of no device", ENODEV, .flags = DUMP, .device = NOWHERE },
	{ V2, V2_GET_PEER, "a dump of another device", EINVAL, .flags = DUMP, .device = LOOPBACK },
	R(V2, 8, "a command there is not", EOPNOTSUPP),

	/* ML: PEER_NEW */
	R(ML, ML_PEER_NEW, "id beyond 24 bits", ERANGE, { U32, NEST, 1, 0x1000000 }),
	R(ML, ML_PEER_NEW, "both remote addresses", EINVAL, { BYTES, NEST, 3, 16, SIX("\1") }),
	R(ML, ML_PEER_NEW, "remote without port", EINVAL, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "port without remote", EINVAL, { OMIT, NEST, 2 }),
	R(ML, ML_PEER_NEW, "port 0", ERANGE, { U16, NEST, 5, 0 }),
	R(ML, ML_PEER_NEW, "UDP without remote", EINVAL, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "v4-mapped remote", 0, { OMIT, NEST, 2 }, { BYTES, NEST, 3, 16, MAPPED }),
	R(ML, ML_PEER_NEW, "IPv6 remote", 0, { OMIT, NEST, 2 }, { BYTES, NEST, 3, 16, SIX("\1") }, { FD, NEST, 6, FD_UDP6 }),
	R(ML, ML_PEER_NEW, "IPv6 remote of 15 bytes", ERANGE, { OMIT, NEST, 2 }, { BYTES, NEST, 3, 15, SIX("\1") }),
	R(ML, ML_PEER_NEW, "scope id with IPv4", EINVAL, { U32, NEST, 4, 1 }),
	R(ML, ML_PEER_NEW, "scope id with a v4-mapped remote", EINVAL, { OMIT, NEST, 2 }, { BYTES, NEST, 3, 16, MAPPED }, { U32, NEST, 4, 1 }),
	R(ML, ML_PEER_NEW, "local address", 0, { BYTES, NEST, 10, 4, "\177\0\0\1" }),
	R(ML, ML_PEER_NEW, "local IPv6 for a remote IPv4", EINVAL, { BYTES, NEST, 11, 16, SIX("\1") }),
	R(ML, ML_PEER_NEW, "local IPv4 for a remote IPv6", EINVAL, { OMIT, NEST, 2 }, { BYTES, NEST, 3, 16, SIX("\1") }, { U32, NEST, 10, 0x7f000001 }),
	R(ML, ML_PEER_NEW, "local IPv4 without remote, TCP", EINVAL, { FD, NEST, 6, FD_TCP }, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }, { U32, NEST, 10, 0x7f000001 }),
	R(ML, ML_PEER_NEW, "local port", EINVAL, { U16, NEST, 12, 1194 }),
	R(ML, ML_PEER_NEW, "a netns id", EINVAL, { U32, NEST, 7, 1 }),
	R(ML, ML_PEER_NEW, "a statistic", EINVAL, { U32, NEST, 16, 1 }),
	R(ML, ML_PEER_NEW, "a reason", EINVAL, { U32, NEST, 15, 1 }),
	R(ML, ML_PEER_NEW, "MP without VPN address", EINVAL, { OMIT, NEST, 8 }, { OMIT, NEST, 9 }),
	R(ML, ML_PEER_NEW, "VPN IPv4 alone", 0, { OMIT, NEST, 9 }),
	R(ML, ML_PEER_NEW, "VPN IPv6 alone", 0, { OMIT, NEST, 8 }),
	R_ON(P2P, ML, ML_PEER_NEW, "P2P with a VPN IPv4", EINVAL, { U32, NEST, 8, 0x0a000002 }),
	R_ON(P2P, ML, ML_PEER_NEW, "P2P with a VPN IPv6", EINVAL, { BYTES, NEST, 9, 16, SIX("\2") }),
	R(ML, ML_PEER_NEW, "VPN IPv4 of another peer", EADDRINUSE, { U32, NEST, 8, 0x0a000001 }),
	R(ML, ML_PEER_NEW, "VPN IPv6 of another peer", EADDRINUSE, { BYTES, NEST, 9, 16, SIX("\1") }),
	R(ML, ML_PEER_NEW, "multicast VPN IPv4", EADDRNOTAVAIL, { U32, NEST, 8, 0xe0000001 }),
	R(ML, ML_PEER_NEW, "broadcast VPN IPv4", EADDRNOTAVAIL, { U32, NEST, 8, 0xffffffff }),
	R(ML, ML_PEER_NEW, "multicast VPN IPv6", EADDRNOTAVAIL, { BYTES, NEST, 9, 16, "\377\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1" }),
	{ ML, ML_PEER_NEW, "id of another peer", EEXIST, .id = 1, .changes = { { U32, NEST, 8, 0x0a000007 }, { OMIT, NEST, 9 } } },
	R(ML, ML_PEER_NEW, "interval of more than a day", ERANGE, { U32, NEST, 13, 86401 }, { U32, NEST, 14, 60 }),
	R(ML, ML_PEER_NEW, "an id for sending beyond 24 bits", ERANGE, { U32, NEST, 24, 0x1000000 }),
	R(ML, ML_PEER_NEW, "an id for sending", 0, { U32, NEST, 24, 0xfffffe }),
	R(ML, ML_PEER_NEW, "closed fd", ENOTSOCK, { FD, NEST, 6, FD_CLOSED }),
	R(ML, ML_PEER_NEW, "a file", ENOTSOCK, { FD, NEST, 6, FD_FILE }),
	R(ML, ML_PEER_NEW, "a unix socket", ENOTSOCK, { FD, NEST, 6, FD_UNIX }),
	R(ML, ML_PEER_NEW, "a listening socket", ENOTSOCK, { FD, NEST, 6, FD_TCP_LISTENS }, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "an unconnected TCP socket", ENOTSOCK, { FD, NEST, 6, FD_TCP_UNCONNECTED }, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "a connection that the other end has closed", ENOTSOCK, { FD, NEST, 6, FD_TCP_CLOSE_WAIT }, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "a socket of another device", ENOTSOCK, { FD, NEST, 6, FD_UDP_OTHER }),
	R(ML, ML_PEER_NEW, "TCP", 0, { FD, NEST, 6, FD_TCP }, { OMIT, NEST, 2 }, { OMIT, NEST, 5 }),
	R(ML, ML_PEER_NEW, "TCP with a remote", EINVAL, { FD, NEST, 6, FD_TCP }),
	{ ML, ML_PEER_NEW, "P2P: the second peer replaces", 0, .device = P2P, .gone = 1 + 0 },
	{ ML, ML_PEER_NEW, "P2P: the same id replaces", 0, .device = P2P, .id = 1, .gone = 1 + 0 },
	/* ML: the others */
	R(ML, ML_PEER_SET, "another remote", 0, { U32, NEST, 2, 0x7f000002 }, { U16, NEST, 5, 99 }),
	R(ML, ML_PEER_SET, "remote without port", EINVAL, { U32, NEST, 2, 0x7f000002 }),
	R(ML, ML_PEER_SET, "port without remote", EINVAL, { U16, NEST, 5, 99 }),
	R(ML, ML_PEER_SET, "a socket", EINVAL, { FD, NEST, 6, FD_UDP4 }),
	R(ML, ML_PEER_SET, "timeout of more than a day", ERANGE, { U32, NEST, 14, 86401 }),
	R(ML, ML_PEER_SET, "interval alone", EINVAL, { OMIT, NEST, 14 }),
	R(ML, ML_PEER_SET, "timeout alone", EINVAL, { OMIT, NEST, 13 }),
	R(ML, ML_PEER_NEW, "interval alone", EINVAL, { U32, NEST, 13, 10 }),
	R(ML, ML_PEER_SET, "local address without remote", EINVAL, { U32, NEST, 10, 0x7f000001 }),
	R(ML, ML_PEER_SET, "VPN address of its own", 0, { U32, NEST, 8, 0x0a000001 }),
	R(ML, ML_PEER_SET, "nothing", 0, { OMIT, NEST, 13 }, { OMIT, NEST, 14 }),
	R(ML, ML_PEER_SET, "another VPN address", 0, { U32, NEST, 8, 0x0a000009 }),
	R(ML, ML_PEER_SET, "multicast VPN address", EADDRNOTAVAIL, { U32, NEST, 8, 0xe0000001 }),
	R_ON(P2P, ML, ML_PEER_SET, "P2P with a VPN address", EINVAL, { U32, NEST, 8, 0x0a000002 }),
	OURS(ML, ML_PEER_SET, "mss", 0, { U32, NEST, 64, 1400 }),
	OURS(ML, ML_PEER_SET, "mss beyond 16 bits", ERANGE, { U32, NEST, 64, 65536 }),
	R(ML, ML_PEER_SET, "id of 2 bytes", EINVAL, { U16, NEST, 1, 1 }),
	R(ML, ML_PEER_GET, "more than an id", EINVAL, { U32, NEST, 13, 1 }),
	R(ML, ML_PEER_DEL, "more than an id", EINVAL, { U32, NEST, 15, 1 }),
	{ ML, ML_PEER_DEL, "told as userspace's", 0, .gone = 1 + 1 },
	{ ML, ML_PEER_DEL, "P2P, told as userspace's", 0, .device = P2P, .gone = 1 + 1 },
	{ ML, ML_PEER_GET, "a dump", 0, .flags = DUMP, .changes = { { NO_NEST } } },
	{ ML, ML_PEER_GET, "a dump of P2P", 0, .flags = DUMP, .device = P2P, .changes = { { NO_NEST } } },
	{ ML, ML_PEER_GET, "a dump of one peer", EINVAL, .flags = DUMP },
	{ ML, ML_PEER_GET, "a dump without ifindex", EINVAL, .flags = DUMP, .changes = { { OMIT, TOP, 1 }, { NO_NEST } } },
	{ ML, ML_PEER_GET, "a dump of no device", ENODEV, .flags = DUMP, .device = NOWHERE, .changes = { { NO_NEST } } },
	{ ML, ML_PEER_GET, "a dump of another device", EINVAL, .flags = DUMP, .device = LOOPBACK, .changes = { { NO_NEST } } },
	R(ML, ML_KEY_NEW, "cipher none", EINVAL, { U32, NEST, 4, 0 }),
	R(ML, ML_KEY_NEW, "an unknown cipher", ERANGE, { U32, NEST, 4, 3 }),
	R(ML, ML_KEY_NEW, "ChaCha20-Poly1305", 0, { U32, NEST, 4, 2 }),
	R(ML, ML_KEY_NEW, "AES-128", 0, { LENGTH, ENCRYPT, 1, 16 }, { LENGTH, DECRYPT, 1, 16 }),
	R(ML, ML_KEY_NEW, "AES-192", 0, { LENGTH, ENCRYPT, 1, 24 }, { LENGTH, DECRYPT, 1, 24 }),
	R(ML, ML_KEY_NEW, "AES key of 15 bytes", EINVAL, { LENGTH, ENCRYPT, 1, 15 }, { LENGTH, DECRYPT, 1, 15 }),
	R(ML, ML_KEY_NEW, "AES key of no bytes", EINVAL, { LENGTH, ENCRYPT, 1, 0 }, { LENGTH, DECRYPT, 1, 0 }),
	R(ML, ML_KEY_NEW, "AES key of 64 bytes", EINVAL, { BYTES, ENCRYPT, 1, 64, LONG_KEY }, { BYTES, DECRYPT, 1, 64, LONG_KEY }),
	R(ML, ML_KEY_NEW, "key of 257 bytes", ERANGE, { LENGTH, ENCRYPT, 1, 257 }),
	R(ML, ML_KEY_NEW, "nonce tail of 7 bytes", ERANGE, { LENGTH, ENCRYPT, 2, 7 }),
	R(ML, ML_KEY_NEW, "nonce tail of 9 bytes", ERANGE, { LENGTH, DECRYPT, 2, 9 }),
	R(ML, ML_KEY_NEW, "slot 2", ERANGE, { U32, NEST, 2, 2 }),
	R(ML, ML_KEY_NEW, "key id 8", ERANGE, { U32, NEST, 3, 8 }),
	R(ML, ML_KEY_NEW, "secondary slot", 0, { U32, NEST, 2, 1 }),
	R(ML, ML_KEY_GET, "an empty slot", ENOENT, { U32, NEST, 2, 1 }),
	R(ML, ML_KEY_GET, "slot 2", ERANGE, { U32, NEST, 2, 2 }),
	R(ML, ML_KEY_GET, "more than a slot", EINVAL, { U32, NEST, 3, 1 }),
	R(ML, ML_KEY_DEL, "an empty slot", 0, { U32, NEST, 2, 1 }),
	R(ML, ML_KEY_DEL, "slot 2", ERANGE, { U32, NEST, 2, 2 }),
	{ ML, ML_KEY_SWAP, "one slot empty", 0 },
	R(ML, ML_KEY_SWAP, "a slot", EINVAL, { U32, NEST, 2, 1 }),
	R(ML, ML_PEER_DEL_NTF, "a notification as a command", EOPNOTSUPP),
	R(ML, ML_KEY_SWAP_NTF, "a notification as a command", EOPNOTSUPP),
	R(ML, ML_PEER_FLOAT_NTF, "a notification as a command", EOPNOTSUPP),
	R(ML, 12, "a command there is not", EOPNOTSUPP),
};

/* Attributes without which a command is -EINVAL. */
struct required {
	int family;
	uint8_t command;
	struct { uint8_t where; uint16_t type; } attrs[10];
};
static const struct required required[] = {
	{ V2, V2_NEW_PEER, { { NEST, 1 }, { NEST, 3 } } },
	{ V2, V2_SET_PEER, { { NEST, 1 } } },
	{ V2, V2_DEL_PEER, { { NEST, 2 } } },
	{ V2, V2_NEW_KEY, { { NEST, 1 }, { NEST, 2 }, { NEST, 3 }, { NEST, 4 }, { ENCRYPT, 1 }, { ENCRYPT, 2 }, { DECRYPT, 1 }, { DECRYPT, 2 } } },
	{ V2, V2_SWAP_KEYS, { { NEST, 1 } } },
	{ V2, V2_DEL_KEY, { { NEST, 1 }, { NEST, 2 } } },
	{ V2, V2_GET_PEER, { { NEST, 1 } } },
	{ ML, ML_PEER_NEW, { { NEST, 1 }, { NEST, 6 } } },
	{ ML, ML_PEER_SET, { { NEST, 1 } } },
	{ ML, ML_PEER_GET, { { NEST, 1 } } },
	{ ML, ML_PEER_DEL, { { NEST, 1 } } },
	{ ML, ML_KEY_NEW, { { NEST, 1 }, { NEST, 2 }, { NEST, 3 }, { NEST, 4 }, { ENCRYPT, 1 }, { ENCRYPT, 2 }, { DECRYPT, 1 }, { DECRYPT, 2 } } },
	{ ML, ML_KEY_GET, { { NEST, 1 }, { NEST, 2 } } },
	{ ML, ML_KEY_SWAP, { { NEST, 1 } } },
	{ ML, ML_KEY_DEL, { { NEST, 1 }, { NEST, 2 } } },
};

/* --- one row ---------------------------------------------------------------------------------------------------------- */

static int sock, events;		/* requests; notifications */
static int ran, failed;
static const struct strictness *strict;

static bool is_new(int family, uint8_t command) { return command == (family == V2 ? (int)V2_NEW_PEER : (int)ML_PEER_NEW); }

/* The state that rows begin with. */
static void prepare(int family)
{
	const struct family *f = &families[family];
	const uint8_t del = family == V2 ? (int)V2_DEL_PEER : (int)ML_PEER_DEL, new_ = family == V2 ? (int)V2_NEW_PEER : (int)ML_PEER_NEW;
	const uint8_t key = family == V2 ? (int)V2_NEW_KEY : (int)ML_KEY_NEW;
	struct request r;
	struct answer answer;
	int id, error = 0;

	for (id = 1; id <= 2; id++) {
		request_base(&r, family, del, f->mp, true, id, 0);
		request_ask(sock, &r, &answer);
		request_base(&r, family, del, f->p2p, false, id, 0);
		request_ask(sock, &r, &answer);
	}
	fds_open();
	request_base(&r, family, new_, f->mp, true, 1, fds[FD_UDP4]);
	request_ask(sock, &r, &answer);
	error |= answer.error;
	request_base(&r, family, key, f->mp, true, 1, 0);
	request_ask(sock, &r, &answer);
	error |= answer.error;
	request_base(&r, family, new_, f->p2p, false, 1, fds[FD_UDP_OTHER]);
	request_ask(sock, &r, &answer);
	error |= answer.error;
	if (error) {
		printf("FAIL %s: the rows' beginning: expected peers and a key, got %s\n", f->name, strerror(answer.error));
		failed++;
	}
}

/*
 * Takes notifications until one has the wanted reason of a peer's end, or none comes for some milliseconds; the last
 * reason, or NOTHING.
 */
static int notified(int family, int wanted, int patience)
{
	int reason = NOTHING;
	uint8_t buffer[8192];

	for (;;) {
		struct pollfd p = { .fd = events, .events = POLLIN };
		const uint8_t *attrs, *found;
		size_t size, len;
		ssize_t got;

		if ((wanted != NOTHING && reason == wanted) || poll(&p, 1, patience) <= 0)
			return reason;
		got = recv(events, buffer, sizeof(buffer), 0);
		attrs = got > 0 ? nl_attrs(buffer, got, &size) : NULL;
		if (!attrs || buffer[NLMSG_HDRLEN] != (family == V2 ? (int)V2_DEL_PEER : (int)ML_PEER_DEL_NTF))
			continue;
		attrs = nl_find(attrs, size, family == V2 ? 4 : 2, &size);
		found = attrs ? nl_find(attrs, size, family == V2 ? 1 : 15, &len) : NULL;
		if (found)
			reason = found[0];
	}
}

static void change(struct request *r, const struct change *c)
{
	struct attr *a;
	uint32_t value = c->value;
	uint8_t byte = value;
	uint16_t word = value;

	/* Ports and addresses are big-endian on the wire. */
	if (r->family == ML && c->where == NEST && (c->type == 5 || c->type == 12) && r->nest == 2)
		word = htons(word);
	if (c->where == NEST && is_new(r->family, r->command) && c->type == 4 && r->family == V2)
		value = htonl(value);
	if (r->family == ML && r->nest == 2 && c->where == NEST && (c->type == 2 || c->type == 8 || c->type == 10))
		value = htonl(value);

	switch (c->op) {
	case OMIT: request_omit(r, c->where, c->type); break;
	case U8: request_set(r, c->where, c->type, &byte, 1); break;
	case U16: request_set(r, c->where, c->type, &word, 2); break;
	case U32: request_set(r, c->where, c->type, &value, 4); break;
	case BYTES: request_set(r, c->where, c->type, c->bytes, c->value); break;
	case LENGTH:
		a = request_find(r, c->where, c->type);
		if (a)
			a->len = c->value;
		break;
	case FD: request_set(r, c->where, c->type, &fds[c->value], 4); break;
	case NO_NEST: r->nest = 0; break;
	case BARE_NEST: r->nest_flag = 0; break;
	}
}

static void judge(const struct row *row, const struct answer *answer, int reason)
{
	const char *name = families[row->family].name;

	ran++;
	if (answer->error != row->expected) {
		printf("FAIL %s command %d, %s: expected %s, got %s%s%s\n", name, row->command, row->what,
		       row->expected ? strerrorname_np(row->expected) : "success",
		       answer->error < 0 ? "no answer" : answer->error ? strerrorname_np(answer->error) : "success",
		       answer->text ? ": " : "", answer->said);
		failed++;
	} else if (row->gone && reason != row->gone - 1) {
		printf("FAIL %s command %d, %s: expected notification %d, got %d\n", name, row->command, row->what,
		       row->gone - 1, reason);
		failed++;
	} else if (strict->texts && row->family == ML && answer->error && answer->error != EOPNOTSUPP &&
		   answer->error != EPERM && !answer->text) {
		printf("FAIL %s command %d, %s: expected an extack text, got none\n", name, row->command, row->what);
		failed++;
	}
}

static void run_row(const struct row *row)
{
	const struct family *f = &families[row->family];
	const int index[] = { f->mp, f->p2p, 1, 99999 };
	const bool new_ = is_new(row->family, row->command);
	struct request r;
	struct answer answer;
	unsigned int i;

	prepare(row->family);
	request_base(&r, row->family, row->command, index[row->device], row->device != P2P,
		     row->id ? row->id : new_ ? 2 : 1, fds[row->device == P2P ? FD_UDP_OTHER : FD_UDP4]);
	r.flags = row->flags;
	for (i = 0; i < sizeof(row->changes) / sizeof(row->changes[0]); i++)
		change(&r, &row->changes[i]);
	/* Those of the preparations may come late. */
	notified(row->family, NOTHING, row->gone ? 200 : 0);
	request_ask(sock, &r, &answer);
	judge(row, &answer, row->gone ? notified(row->family, row->gone - 1, 10000) : NOTHING);
}

/* What holds for every command. */
static void run_common(const struct required *command)
{
	struct row row = { .family = command->family, .command = command->command };
	unsigned int i;

	row.what = "as it should be";
	run_row(&row);
	row.what = "without ifindex";
	row.expected = EINVAL;
	row.changes[0] = (struct change){ OMIT, TOP, 1 };
	run_row(&row);
	row.what = "without its nest";
	row.changes[0] = (struct change){ NO_NEST };
	run_row(&row);
	row.what = "nest without its flag";
	row.changes[0] = (struct change){ BARE_NEST };
	run_row(&row);
	row.what = "an ifindex of 2 bytes";
	row.changes[0] = (struct change){ U16, TOP, 1, 1 };
	run_row(&row);
	memset(row.changes, 0, sizeof(row.changes));
	row.what = "no such device";
	row.expected = ENODEV;
	row.device = NOWHERE;
	run_row(&row);
	row.what = "a device of another kind";
	row.expected = EINVAL;
	row.device = LOOPBACK;
	run_row(&row);
	row.device = MP;
	row.what = "an attribute that there is not";
	row.changes[0] = (struct change){ U32, NEST, 200, 1 };
	run_row(&row);
	for (i = 0; command->attrs[i].where; i++) {
		char text[80];

		snprintf(text, sizeof(text), "without attribute %d in %d", command->attrs[i].type, command->attrs[i].where);
		row.what = text;
		row.changes[0] = (struct change){ OMIT, command->attrs[i].where, command->attrs[i].type };
		run_row(&row);
	}
	memset(row.changes, 0, sizeof(row.changes));
	if (!is_new(row.family, row.command)) {
		row.what = "no such peer";
		row.expected = ENOENT;
		row.id = 7;
		run_row(&row);
	}
}

/* In a process of its own: without CAP_NET_ADMIN, or in another netns. */
static void run_elsewhere(const struct required *command, bool netns)
{
	struct row row = {
		.family = command->family, .command = command->command, .expected = netns ? ENODEV : EPERM,
		.what = netns ? "from another netns" : "without CAP_NET_ADMIN",
	};
	pid_t child;
	int status = 0, error;

	prepare(row.family);
	fflush(stdout);
	child = fork();
	if (!child) {
		struct request r;
		struct answer answer;
		int own;

		error = netns ? unshare(CLONE_NEWNET) : setresuid(65534, 65534, 65534);
		own = nl_open(NETLINK_GENERIC);
		request_base(&r, row.family, row.command, families[row.family].mp, true, is_new(row.family, row.command) ? 2 : 1,
			     fds[FD_UDP4]);
		request_ask(own, &r, &answer);
		_exit(error ? 255 : answer.error);
	}
	waitpid(child, &status, 0);
	judge(&row, &(struct answer){ .error = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .text = true }, NOTHING);
}

/* --- replies ---------------------------------------------------------------------------------------------------------- */

static void expect_len(int family, const char *what, const uint8_t *attrs, size_t size, uint16_t type, size_t a, size_t b)
{
	size_t len = 0;
	const uint8_t *found = nl_find(attrs, size, type, &len);

	ran++;
	if (found && (len == a || len == b))
		return;
	printf("FAIL %s %s, attribute %d: expected %zu or %zu bytes, got %s %zu\n", families[family].name, what, type, a, b,
	       found ? "" : "none", len);
	failed++;
}

static void expect_replies(int family, const char *what, int expected, int got)
{
	ran++;
	if (expected == got)
		return;
	printf("FAIL %s %s: expected %d replies, got %d\n", families[family].name, what, expected, got);
	failed++;
}

static void run_replies(int family)
{
	const struct family *f = &families[family];
	const uint8_t get = family == V2 ? (int)V2_GET_PEER : (int)ML_PEER_GET;
	const uint8_t *attrs;
	struct request r;
	struct answer answer;
	size_t size, len;
	uint16_t type;

	prepare(family);
	request_base(&r, family, get, f->mp, true, 1, 0);
	request_ask(sock, &r, &answer);
	expect_replies(family, "GET", 1, answer.replies);
	attrs = nl_attrs(answer.reply, answer.reply_len, &size);
	ran++;
	if (attrs && nl_find(attrs, size, 1, &len)) {
		printf("FAIL %s GET: expected no ifindex in the reply\n", f->name);
		failed++;
	}
	attrs = attrs ? nl_find(attrs, size, family == V2 ? 8 : 2, &size) : NULL;
	if (!attrs) {
		expect_replies(family, "GET's nest", 1, 0);
		return;
	}
	expect_len(family, "GET", attrs, size, 1, 4, 4);
	if (family == V2) {
		expect_len(family, "GET", attrs, size, 2, 16, 16);
		expect_len(family, "GET", attrs, size, 3, 4, 4);
		expect_len(family, "GET", attrs, size, 4, 16, 16);
		expect_len(family, "GET", attrs, size, 6, 2, 2);
		for (type = 9; type <= 16; type++)
			expect_len(family, "GET", attrs, size, type, (type - 9) % 4 < 2 ? 8 : 4, (type - 9) % 4 < 2 ? 8 : 4);
	} else {
		expect_len(family, "GET", attrs, size, 2, 4, 4);
		expect_len(family, "GET", attrs, size, 5, 2, 2);
		expect_len(family, "GET", attrs, size, 8, 4, 4);
		expect_len(family, "GET", attrs, size, 9, 16, 16);
		expect_len(family, "GET", attrs, size, 12, 2, 2);
		for (type = 16; type <= 23; type++)
			expect_len(family, "GET", attrs, size, type, 4, 8);
	}
	/* Dumps: of MP all; of P2P none in v2. */
	request_base(&r, family, get, f->mp, true, 1, 0);
	r.flags = DUMP;
	r.nest = 0;
	request_ask(sock, &r, &answer);
	expect_replies(family, "dump", 1, answer.replies);
	request_base(&r, family, get, f->p2p, false, 1, 0);
	r.flags = DUMP;
	r.nest = 0;
	request_ask(sock, &r, &answer);
	expect_replies(family, "dump of P2P", family == V2 ? 0 : 1, answer.replies);
	if (family == V2)
		return;
	request_base(&r, family, ML_KEY_GET, f->mp, true, 1, 0);
	request_ask(sock, &r, &answer);
	attrs = nl_attrs(answer.reply, answer.reply_len, &size);
	attrs = attrs ? nl_find(attrs, size, 3, &size) : NULL;
	if (!attrs) {
		expect_replies(family, "KEY_GET's nest", 1, 0);
		return;
	}
	for (type = 1; type <= 4; type++)
		expect_len(family, "KEY_GET", attrs, size, type, 4, 4);
	ran++;
	if (nl_find(attrs, size, 5, &len) || nl_find(attrs, size, 6, &len)) {
		printf("FAIL %s KEY_GET: expected no key in the reply\n", f->name);
		failed++;
	}
}

static void begin(int family, const struct strictness *strictness)
{
	strict = strictness;
	ran = failed = 0;
	sock = nl_open(NETLINK_GENERIC);
	events = nl_open(NETLINK_GENERIC);
	if (!nl_join(events, families[family].group)) {
		printf("FAIL %s: expected a group for notifications\n", families[family].name);
		failed++;
	}
}

static int end(int *count)
{
	close(sock);
	close(events);
	*count = ran;
	return failed;
}

int oracle_run(int family, const struct strictness *strictness, int *count)
{
	unsigned int i;

	begin(family, strictness);
	for (i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (required[i].family != family)
			continue;
		run_common(&required[i]);
		run_elsewhere(&required[i], false);
		run_elsewhere(&required[i], true);
	}
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].family == family && (strict->ours || !rows[i].ours))
			run_row(&rows[i]);
	run_replies(family);
	return end(count);
}

int oracle_brief(int family, int *count)
{
	static const struct strictness none;

	begin(family, &none);
	run_replies(family);
	return end(count);
}
