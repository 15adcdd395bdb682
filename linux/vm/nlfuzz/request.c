// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include "request.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct family families[FAMILIES] = {
	[V2] = { .name = "ovpn-dco-v2", .kind = "ovpn-dco" },
	[ML] = { .name = "ovpn", .kind = "ovpn" },
};

int fds[FDS] = { [0 ... FDS - 1] = -1 };

/* --- sockets ---------------------------------------------------------------------------------------------------------- */

static int listener = -1, accepted = -1;

static int udp(int family)
{
	struct sockaddr_in6 local = { .sin6_family = family };

	int sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	bind(sock, (void *)&local, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(local));
	return sock;
}

static int tcp_connected(int *far)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0) {
		listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bind(listener, (void *)&at, sizeof(at));
		listen(listener, 16);
	}
	getsockname(listener, (void *)&at, &len);
	connect(sock, (void *)&at, sizeof(at));
	if (*far >= 0)
		close(*far);
	*far = accept(listener, NULL, NULL);
	return sock;
}

static int open_one(int which)
{
	int sock, far = -1;

	switch (which) {
	case FD_UDP4:
	case FD_UDP_OTHER:
	case FD_UDP4_ML:
	case FD_UDP_OTHER_ML: return udp(AF_INET);
	case FD_UDP6: return udp(AF_INET6);
	case FD_TCP: return tcp_connected(&accepted);
	case FD_TCP_LISTENS:
		sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		listen(sock, 1);
		return sock;
	case FD_TCP_UNCONNECTED: return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case FD_TCP_CLOSE_WAIT:
		sock = tcp_connected(&far);
		close(far);
		return sock;
	case FD_UNIX: return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	case FD_FILE: return open("/dev/null", O_RDWR | O_CLOEXEC);
	default: return 1000000;	/* no such file */
	}
}

void fd_renew(int which)
{
	int old = fds[which];

	fds[which] = open_one(which);
	if (old >= 0 && old < 1000000)
		close(old);
}

void fds_open(void)
{
	int i;

	for (i = 0; i < FDS; i++)
		fd_renew(i);
}

/* --- requests --------------------------------------------------------------------------------------------------------- */

void request_put(struct request *r, uint8_t where, uint16_t type, const void *data, size_t len)
{
	struct attr *a = &r->attrs[r->count];

	if (r->count == ATTRS_MAX || len > sizeof(a->data))
		return;
	r->count++;
	memset(a, 0, sizeof(*a));
	a->where = where;
	a->type = type;
	a->len = len;
	if (data)
		memcpy(a->data, data, len);
}

struct attr *request_find(struct request *r, uint8_t where, uint16_t type)
{
	int i;

	for (i = 0; i < r->count; i++)
		if (r->attrs[i].where == where && r->attrs[i].type == type)
			return &r->attrs[i];
	return NULL;
}

void request_omit(struct request *r, uint8_t where, uint16_t type)
{
	struct attr *a = request_find(r, where, type);

	if (a)
		memmove(a, a + 1, (uint8_t *)&r->attrs[r->count--] - (uint8_t *)(a + 1));
}

void request_set(struct request *r, uint8_t where, uint16_t type, const void *data, size_t len)
{
	request_omit(r, where, type);
	request_put(r, where, type, data, len);
}

static void put8(struct request *r, uint8_t where, uint16_t type, uint8_t v) { request_put(r, where, type, &v, 1); }
static void put16(struct request *r, uint8_t where, uint16_t type, uint16_t v) { request_put(r, where, type, &v, 2); }
static void put32(struct request *r, uint8_t where, uint16_t type, uint32_t v) { request_put(r, where, type, &v, 4); }

static void put_vpn(struct request *r, uint16_t type4, uint16_t type6, uint32_t id)
{
	uint8_t six[16] = { 0xfd, [13] = id >> 16, [14] = id >> 8, [15] = id };

	put32(r, NEST, type4, htonl(0x0a000000 | (id & 0xffffff)));
	request_put(r, NEST, type6, six, sizeof(six));
}

static void base_v2(struct request *r, bool mp, uint32_t id, int fd)
{
	static const uint16_t nests[] = { 0, 2, 3, 4, 5, 6, 7, 8 };
	struct sockaddr_in remote = { .sin_family = AF_INET, .sin_port = htons(4000 + (id & 0xfff)) };

	r->nest = nests[r->command & 7];
	put32(r, NEST, r->command == V2_DEL_PEER ? 2 : 1, id);
	switch (r->command) {
	case V2_NEW_PEER:
		remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (fd != fds[FD_TCP])
			request_put(r, NEST, 2, &remote, sizeof(remote));
		put32(r, NEST, 3, fd);
		if (mp)
			put_vpn(r, 4, 5, id);
		break;
	case V2_SET_PEER:
		put32(r, NEST, 2, 10);
		put32(r, NEST, 3, 60);
		break;
	case V2_NEW_KEY:
		put8(r, NEST, 2, 0);
		put8(r, NEST, 3, 1);
		put16(r, NEST, 4, 1);
		break;
	case V2_DEL_KEY:
		put8(r, NEST, 2, 0);
		break;
	}
}

static void base_ml(struct request *r, bool mp, uint32_t id, int fd)
{
	bool key = r->command == ML_KEY_NEW || r->command == ML_KEY_GET || r->command == ML_KEY_SWAP ||
		   r->command == ML_KEY_DEL;

	r->nest = key ? 3 : 2;
	put32(r, NEST, 1, id);
	switch (r->command) {
	case ML_PEER_NEW:
		if (fd != fds[FD_TCP]) {
			put32(r, NEST, 2, htonl(INADDR_LOOPBACK));
			put16(r, NEST, 5, htons(4000 + (id & 0xfff)));
		}
		put32(r, NEST, 6, fd);
		if (mp)
			put_vpn(r, 8, 9, id);
		break;
	case ML_PEER_SET:
		put32(r, NEST, 13, 10);
		put32(r, NEST, 14, 60);
		break;
	case ML_KEY_NEW:
		put32(r, NEST, 2, 0);
		put32(r, NEST, 3, 1);
		put32(r, NEST, 4, 1);
		break;
	case ML_KEY_GET:
	case ML_KEY_DEL:
		put32(r, NEST, 2, 0);
		break;
	}
}

void request_base(struct request *r, int family, uint8_t command, int ifindex, bool mp, uint32_t id, int fd)
{
	static const uint8_t key[32] = "0123456789abcdef0123456789abcde", tail[8] = "tailtai";

	memset(r, 0, sizeof(*r));
	r->family = family;
	r->command = command;
	r->nest_flag = NLA_F_NESTED;
	put32(r, TOP, 1, ifindex);
	if (family == V2)
		base_v2(r, mp, id, fd);
	else
		base_ml(r, mp, id, fd);
	if (command == (family == V2 ? (int)V2_NEW_KEY : (int)ML_KEY_NEW)) {
		request_put(r, ENCRYPT, 1, key, sizeof(key));
		request_put(r, ENCRYPT, 2, tail, sizeof(tail));
		request_put(r, DECRYPT, 1, key, sizeof(key));
		request_put(r, DECRYPT, 2, tail, sizeof(tail));
	}
}

static void encode_where(const struct request *r, struct message *m, uint8_t where)
{
	int i;

	for (i = 0; i < r->count; i++)
		if (r->attrs[i].where == where)
			nl_put(m, r->attrs[i].type, r->attrs[i].data, r->attrs[i].len);
}

static bool has_where(const struct request *r, uint8_t where)
{
	int i;

	for (i = 0; i < r->count; i++)
		if (r->attrs[i].where == where)
			return true;
	return false;
}

void request_encode(const struct request *r, struct message *m)
{
	uint32_t nest, inner;
	uint8_t where;

	nl_begin(m, families[r->family].id, r->flags, r->command, 1);
	encode_where(r, m, TOP);
	if (r->nest) {
		nest = nl_nest(m, r->nest | r->nest_flag);
		encode_where(r, m, NEST);
		for (where = ENCRYPT; where <= DECRYPT; where++) {
			if (!has_where(r, where))
				continue;
			inner = nl_nest(m, (where == ENCRYPT ? 5 : 6) | r->nest_flag);
			encode_where(r, m, where);
			nl_nest_end(m, inner);
		}
		nl_nest_end(m, nest);
	}
	nl_end(m);
}

void request_ask(int sock, const struct request *r, struct answer *answer)
{
	struct message m;

	request_encode(r, &m);
	nl_ask(sock, &m, answer);
}
