// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A peer over UDP whose keys are ours: each batch is sent as single datagrams, or as a train that the module gets in one
 * piece (UDP_SEGMENT; the loopback device does not split it).
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define ROUND_BATCHES 24
#define LEAST 48		/* batches, however slow the machine */

static int module_sock;

static int take(uint8_t *bytes, size_t size) { return recv(module_sock, bytes, size, MSG_DONTWAIT); }

static int udp_at(uint16_t port, struct sockaddr_in *at)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 4 << 20;
	socklen_t size = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(sock, (void *)at, sizeof(*at)) || getsockname(sock, (void *)at, &size)) {
		close(sock);
		return -1;
	}
	return sock;
}

static void send_singly(int sock, const struct sockaddr_in *to, const struct batch *batch)
{
	unsigned int i;

	for (i = 0; i < batch->count; i++)
		sendto(sock, batch->items[i].bytes, batch->items[i].len, 0, (const void *)to, sizeof(*to));
}

/* All of one length, the last may be shorter. */
static bool send_train(int sock, const struct sockaddr_in *to, const struct batch *batch)
{
	static uint8_t bytes[65536];
	struct iovec part = { .iov_base = bytes };
	_Alignas(8) uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = { 0 };
	struct msghdr message = {
		.msg_name = (void *)to, .msg_namelen = sizeof(*to), .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	uint16_t size = batch->items[0].len;
	unsigned int i;

	header->cmsg_level = IPPROTO_UDP;
	header->cmsg_type = UDP_SEGMENT;
	header->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(header), &size, sizeof(size));
	for (i = 0; i < batch->count; i++) {
		memcpy(bytes + part.iov_len, batch->items[i].bytes, batch->items[i].len);
		part.iov_len += batch->items[i].len;
	}
	return sendmsg(sock, &message, 0) == (ssize_t)part.iov_len;
}

static void one_batch(struct rng *r, struct own_peer *peer, int sock, const struct sockaddr_in *to)
{
	static struct batch batch;
	bool train = rng_chance(r, 60), pure = rng_chance(r, 70);
	int inner_len = train ? 41 + (int)rng_below(r, 1300) : -1;
	size_t size = inner_len + DATA_OVERHEAD;
	struct counters before;
	unsigned int i;

	batch.count = 1 + rng_below(r, train && inner_len > 900 ? 40 : BATCH_MAX);
	for (i = 0; i < batch.count; i++) {
		struct item *item = &batch.items[i];

		item_any(r, peer, item, inner_len);
		/* Lengths of a train differ at its end only; and one with a control packet is none any more. */
		if (train && ((item->len != size && (i + 1 < batch.count || item->len > size)) || (pure && item->fate == USER)))
			item_good(r, peer, item, inner_len);
	}
	counters_read(peer->device, &before);
	if (!train)
		send_singly(sock, to, &batch);
	else if (!send_train(sock, to, &batch))
		failed("%s: expected a train of %u packets of %zu bytes to be sent", peer->device, batch.count, size);
	batch_judge(peer, &batch, &before, take);
}

int inner_run(struct rng *r, int seconds, int family)
{
	uint64_t end = now_ms() + seconds * 1000ull, batches = 0;
	struct sockaddr_in from, to;
	struct own_peer peer;
	int error, i;

	while ((now_ms() < end || batches < LEAST || !fates_all()) && failures < 20) {
		/* request_base() says where the peer is. */
		int sock = udp_at(4001, &from);

		module_sock = udp_at(0, &to);
		if (sock < 0 || module_sock < 0 || !own_device(&peer, family, rng_chance(r, 50)))
			return -1;
		error = own_peer_new(&peer, r, module_sock);
		if (error) {
			failed("%s: expected a peer, got error %d", peer.device, error);
			return 0;
		}
		for (i = 0; i < ROUND_BATCHES && failures < 20 && (!i || now_ms() < end || batches < LEAST || !fates_all()); i++, batches++)
			one_batch(r, &peer, sock, &to);
		if (!own_peer_there(&peer))
			failed("%s: expected the peer to be there still", peer.device);
		/* The socket goes before the device, or after it. */
		if (rng_chance(r, 50)) {
			close(module_sock);
			own_device_gone(&peer);
		} else {
			own_device_gone(&peer);
			close(module_sock);
		}
		close(sock);
	}
	printf("%lu batches\n", batches);
	fates_print(family ? "ovpn over UDP" : "ovpn-dco-v2 over UDP");
	return 0;
}
