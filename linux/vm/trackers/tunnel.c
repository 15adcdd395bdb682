// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include "tunnel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int family;

static int requests = -1;

void need(bool good, const char *what)
{
	if (good)
		return;
	expect(false, "%s (%s)", what, strerror(errno));
	exit(1);
}

void run(const char *format, ...)
{
	char words[512];
	va_list list;

	va_start(list, format);
	vsnprintf(words, sizeof(words), format, list);
	va_end(list);
	if (system(words)) {
		expect(false, "'%s' to succeed", words);
		exit(1);
	}
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- devices and peers ------------------------------------------------------------------------------------------------- */

int device(const char *name, bool mp, bool address)
{
	int error = link_new(families[family].kind, name, mp);

	errno = error;
	need(!error, "a device");
	error = link_up(name);
	errno = error;
	need(!error, "a device that comes up");
	if (address)
		run("ip addr add 10.0.0.100/24 dev %s", name);
	return if_nametoindex(name);
}

int device_gone(const char *name)
{
	step("the device goes");
	return link_del(name);
}

/* One socket a netns: requests are for the devices of the netns that the caller is in. */
int ask(const struct request *r)
{
	struct answer answer;

	if (requests < 0)
		requests = nl_open(NETLINK_GENERIC);
	request_ask(requests, r, &answer);
	return answer.error;
}

static uint8_t command(uint8_t v2, uint8_t ml) { return family == V2 ? v2 : ml; }

struct request peer_request(int index, bool mp, uint32_t id, int fd, uint16_t port)
{
	struct sockaddr_in remote = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(LOOPBACK_ADDRESS),
	};
	struct request r;

	request_base(&r, family, command(V2_NEW_PEER, ML_PEER_NEW), index, mp, id, fd);
	request_omit(&r, NEST, 2);
	if (family == ML)
		request_omit(&r, NEST, 5);
	if (!port)
		return r;
	if (family == V2) {
		request_set(&r, NEST, 2, &remote, sizeof(remote));
	} else {
		request_set(&r, NEST, 2, &remote.sin_addr, 4);
		request_set(&r, NEST, 5, &remote.sin_port, 2);
	}
	return r;
}

int peer_new(int index, bool mp, uint32_t id, int fd, uint16_t port)
{
	struct request r = peer_request(index, mp, id, fd, port);

	return ask(&r);
}

static int peer_ask(int index, uint32_t id, uint8_t which)
{
	struct request r;

	request_base(&r, family, which, index, false, id, -1);
	return ask(&r);
}

int peer_del(int index, uint32_t id) { return peer_ask(index, id, command(V2_DEL_PEER, ML_PEER_DEL)); }
int key_new(int index, uint32_t id) { return peer_ask(index, id, command(V2_NEW_KEY, ML_KEY_NEW)); }

int peer_keepalive(int index, uint32_t id, uint32_t interval, uint32_t timeout)
{
	const uint16_t first = family == V2 ? 2 : 13;
	struct request r;

	request_base(&r, family, command(V2_SET_PEER, ML_PEER_SET), index, false, id, -1);
	request_set(&r, NEST, first, &interval, 4);
	request_set(&r, NEST, first + 1, &timeout, 4);
	return ask(&r);
}

void peer(int index, bool mp, uint32_t id, int fd, uint16_t port)
{
	int error = peer_new(index, mp, id, fd, port);

	errno = error;
	need(!error, "a peer");
	error = key_new(index, id);
	errno = error;
	need(!error, "a key");
}

int events(void)
{
	int sock = nl_open(NETLINK_GENERIC), room = 8 << 20;

	setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	need(nl_join(sock, families[family].group), "a group of notifications");
	return sock;
}

bool peer_ended(int events, int patience, uint32_t *id, uint32_t *reason)
{
	const double end = now() + patience / 1e3;
	uint8_t buffer[8192];

	for (;;) {
		struct pollfd p = { .fd = events, .events = POLLIN };
		const uint8_t *attrs, *found;
		size_t size, len;
		ssize_t got;
		int left = (end - now()) * 1e3;

		if (poll(&p, 1, left > 0 ? left : 0) <= 0)
			return false;
		got = recv(events, buffer, sizeof(buffer), 0);
		attrs = got > 0 ? nl_attrs(buffer, got, &size) : NULL;
		if (!attrs || buffer[NLMSG_HDRLEN] != command(V2_DEL_PEER, ML_PEER_DEL_NTF))
			continue;
		attrs = nl_find(attrs, size, family == V2 ? 4 : 2, &size);
		if (!attrs)
			continue;
		found = nl_find(attrs, size, family == V2 ? 1 : 15, &len);
		*reason = found ? found[0] : 255;
		found = nl_find(attrs, size, family == V2 ? 2 : 1, &len);
		*id = 0;
		if (found)
			memcpy(id, found, sizeof(*id));
		return true;
	}
}

void expect_ended(int events, uint32_t id, uint32_t reason)
{
	uint32_t got_id = 0, got_reason = 0;

	if (expect(peer_ended(events, 20000, &got_id, &got_reason), "a notification of peer %u's end, got none", id))
		expect(got_id == id && got_reason == reason, "peer %u to end for reason %u, got peer %u, reason %u", id, reason,
		       got_id, got_reason);
}

struct counters counters(int index)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = index };
	int sock = nl_open(NETLINK_ROUTE);
	struct counters counters = { 0 };
	struct answer answer;
	const uint8_t *found;
	struct message m;
	size_t len;

	nl_begin_raw(&m, RTM_GETLINK, 0, &info, sizeof(info));
	nl_end(&m);
	nl_ask(sock, &m, &answer);
	close(sock);
	found = answer.replies ? nl_find(answer.reply + NLMSG_HDRLEN + sizeof(info),
					 answer.reply_len - NLMSG_HDRLEN - sizeof(info), IFLA_STATS64, &len) : NULL;
	need(found && len >= sizeof(counters), "a device's counters");
	memcpy(&counters, found, sizeof(counters));
	return counters;
}

uint64_t received(int index, uint64_t packets)
{
	const double end = now() + 20;
	uint64_t got;

	while ((got = counters(index).rx_packets) < packets && now() < end)
		usleep(2000);
	return got;
}

/* --- sockets ------------------------------------------------------------------------------------------------------------ */

int udp_at(uint32_t address, uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	need(sock >= 0 && !bind(sock, (void *)&at, sizeof(at)) && !getsockname(sock, (void *)&at, &len), "a UDP socket");
	if (port)
		*port = ntohs(at.sin_port);
	return sock;
}

void tcp_pair(int *a, int *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOOPBACK_ADDRESS) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);

	need(!bind(listener, (void *)&at, sizeof(at)) && !listen(listener, 4), "a listening socket");
	getsockname(listener, (void *)&at, &len);
	*a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(!connect(*a, (void *)&at, sizeof(at)), "a connection");
	*b = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	need(*b >= 0, "a connection");
	close(listener);
}

bool send_inner(int sock, uint32_t address, size_t len)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(address) };
	static const uint8_t bytes[65000];

	return sendto(sock, bytes, len, MSG_DONTWAIT, (void *)&to, sizeof(to)) == (ssize_t)len;
}

void inject(int index, uint32_t source, uint32_t destination, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index };
	int sock = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t packet[2048] = { 0x45, [8] = 64, [9] = 253 };
	uint32_t sum = 0, i, word;

	need(sock >= 0, "a packet socket");
	packet[2] = len >> 8;
	packet[3] = len;
	word = htonl(source);
	memcpy(packet + 12, &word, 4);
	word = htonl(destination);
	memcpy(packet + 16, &word, 4);
	for (i = 0; i < 20; i += 2)
		sum += packet[i] << 8 | packet[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	packet[10] = sum >> 8;
	packet[11] = sum;
	need(sendto(sock, packet, len, 0, (void *)&to, sizeof(to)) == (ssize_t)len, "to put a packet on a device");
	close(sock);
}

int recv_within(int sock, void *bytes, size_t room, int patience)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	ssize_t got;

	if (poll(&p, 1, patience) <= 0)
		return -1;
	got = recv(sock, bytes, room, MSG_DONTWAIT);
	return got < 0 ? -1 : got;
}

/* Opcode 4, P_CONTROL_V1. */
size_t control_frame(uint8_t *to, uint32_t number, size_t len)
{
	to[0] = len >> 8;
	to[1] = len;
	memset(to + 2, number, len);
	to[2] = 0x20;
	memcpy(to + 3, &number, sizeof(number));
	return len + 2;
}

struct frames read_frames(int sock, int quiet)
{
	static uint8_t bytes[200000];
	struct frames frames = { 0 };
	size_t have = 0, at, len;
	int got;

	while ((got = recv_within(sock, bytes + have, sizeof(bytes) - have, quiet)) > 0) {
		have += got;
		for (at = 0; have - at >= 2; at += 2 + len) {
			len = bytes[at] << 8 | bytes[at + 1];
			if (have - at < 2 + len)
				break;
			if (bytes[at + 2] >> 3 == 9)
				frames.data++;
			else if (bytes[at + 2] == 0x20)
				frames.control++;
			else
				frames.torn++;
		}
		memmove(bytes, bytes + at, have - at);
		have -= at;
	}
	frames.torn += have > 0;
	return frames;
}

void reset(int sock)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(sock, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(sock);
}
