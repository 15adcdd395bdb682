// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A peer over TCP whose keys are ours. The module has one end of a connection, the fuzzer the other: frames in any chunking
 * have the fate that they have in datagrams; then the stream goes wrong, or ends where it should not, and the peer has to
 * go, for the documented reason.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../nlfuzz/request.h"
#include "batch.h"

enum { TRANSPORT_ERROR = 3, TRANSPORT_DISCONNECT = 4, STAYS = -1, ANY = -2 };

#define LEAST 20		/* connections, however slow the machine: each way to go wrong twice */

static int module_sock;

/* The module gives userspace one packet a call, its length before it. */
static int take(uint8_t *bytes, size_t size)
{
	int got = recv(module_sock, bytes, size, MSG_DONTWAIT);

	if (got <= 0)
		return -1;
	if (got < 2 || get16(bytes) != got - 2) {
		failed("userspace: expected a length and its packet, got %d bytes that begin with %02x %02x", got, bytes[0], bytes[1]);
		return -1;
	}
	memmove(bytes, bytes + 2, got - 2);
	return got - 2;
}

static bool pair(int *near, int *far)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	socklen_t size = sizeof(at);
	bool good;

	*near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	good = !bind(listener, (void *)&at, sizeof(at)) && !listen(listener, 1) && !getsockname(listener, (void *)&at, &size) &&
	       !connect(*near, (void *)&at, sizeof(at));
	*far = accept(listener, NULL, NULL);
	close(listener);
	setsockopt(*far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return good && *far >= 0;
}

static void write_all(int sock, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t put = send(sock, bytes, len, MSG_NOSIGNAL);

		if (put <= 0)
			return;
		bytes += put;
		len -= put;
	}
}

/* All at once, byte by byte, or in pieces of any length. */
static void write_chunked(struct rng *r, int sock, const uint8_t *bytes, size_t len)
{
	uint32_t how = rng_below(r, 4), piece;

	for (; len; bytes += piece, len -= piece) {
		piece = how == 0 ? len : how == 1 ? 1 : 1 + rng_below(r, how == 2 ? 40 : 3000);
		if (piece > len)
			piece = len;
		write_all(sock, bytes, piece);
		if (how == 1 && len > 400)
			how = 2;
	}
}

static size_t frame_put(uint8_t *at, const uint8_t *packet, size_t len)
{
	put16(at, len);
	memcpy(at + 2, packet, len);
	return len + 2;
}

static void one_batch(struct rng *r, struct own_peer *peer, int sock)
{
	static uint8_t stream[BATCH_MAX * (PACKET_MAX + 2)];
	static struct batch batch;
	struct counters before;
	size_t len = 0;
	unsigned int i;

	batch.count = 1 + rng_below(r, BATCH_MAX);
	for (i = 0; i < batch.count; i++) {
		item_any(r, peer, &batch.items[i], -1);
		len += frame_put(stream + len, batch.items[i].bytes, batch.items[i].len);
	}
	counters_read(peer->device, &before);
	write_chunked(r, sock, stream, len);
	batch_judge(peer, &batch, &before, take);
}

/* A notification of the peer's end; its reason, or -1. */
static int told(const struct own_peer *peer, int events, unsigned int ms)
{
	static _Alignas(8) uint8_t buffer[16384];
	struct pollfd ready = { .fd = events, .events = POLLIN };
	const uint8_t *attrs, *nest, *found;
	size_t size, len;
	ssize_t got;

	while (poll(&ready, 1, ms) > 0) {
		got = recv(events, buffer, sizeof(buffer), 0);
		if (got < 20 || buffer[16] != (peer->family == ML ? (int)ML_PEER_DEL_NTF : (int)V2_DEL_PEER))
			continue;
		attrs = nl_attrs(buffer, got, &size);
		nest = attrs ? nl_find(attrs, size, peer->family == ML ? 2 : 4, &len) : NULL;
		found = nest ? nl_find(nest, len, peer->family == ML ? 15 : 1, &len) : NULL;
		return found ? *found : -1;
	}
	return -1;
}

/* Ends the stream in one way or other; the reason that has to be told. */
static int go_wrong(struct rng *r, struct own_peer *peer, int *sock)
{
	struct linger reset = { .l_onoff = 1 };
	static uint8_t bytes[2 + 65535];
	static unsigned int way;	/* each in its turn */
	static struct item item;
	size_t len;

	item_good(r, peer, &item, -1);
	len = frame_put(bytes, item.bytes, item.len);
	switch (way++ % 10) {
	case 0:
		memset(bytes, 0, 2);
		write_chunked(r, *sock, bytes, len);
		return TRANSPORT_ERROR;
	case 1:
		put16(bytes, 1 + rng_below(r, 3));
		write_chunked(r, *sock, bytes, len);
		return TRANSPORT_ERROR;
	case 2:
		bytes[2] = 6 << 3;
		write_chunked(r, *sock, bytes, len);
		return peer->family == ML ? TRANSPORT_ERROR : STAYS;
	case 3:		/* the longest frame: nothing wrong with it but what is in it */
		rng_bytes(r, bytes, sizeof(bytes));
		put16(bytes, 65535);
		bytes[2] = 9 << 3 | 1;
		write_all(*sock, bytes, sizeof(bytes));
		return STAYS;
	case 4:		/* in the middle of a frame, or of its length */
		write_all(*sock, bytes, rng_below(r, len));
		close(*sock);
		*sock = -1;
		return TRANSPORT_DISCONNECT;
	case 5:
		write_all(*sock, bytes, rng_below(r, len));
		shutdown(*sock, SHUT_WR);
		return TRANSPORT_DISCONNECT;
	case 6:
		write_all(*sock, bytes, rng_below(r, len));
		setsockopt(*sock, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(*sock);
		*sock = -1;
		return TRANSPORT_DISCONNECT;
	case 7:		/* a byte out of band is missing in the stream, or is not */
		write_all(*sock, bytes, 1 + rng_below(r, len - 1));
		send(*sock, "!", 1, MSG_OOB | MSG_NOSIGNAL);
		write_chunked(r, *sock, bytes, len);
		return ANY;
	case 8:		/* a length that promises more than ever comes */
		put16(bytes, 60000 + rng_below(r, 5536));
		write_chunked(r, *sock, bytes, len);
		return STAYS;
	default:	/* the module's end is closed by its owner */
		write_all(*sock, bytes, rng_below(r, len));
		close(module_sock);
		module_sock = -1;
		return TRANSPORT_DISCONNECT;
	}
}

static void one_connection(struct rng *r, struct own_peer *peer, int events)
{
	int sock, error, expected, reason;
	unsigned int i, batches = rng_below(r, 6);

	if (!pair(&module_sock, &sock)) {
		failed("expected a connection, got none");
		return;
	}
	error = own_peer_new(peer, r, module_sock);
	if (error) {
		failed("%s: expected a peer over TCP, got error %d", peer->device, error);
		goto out;
	}
	for (i = 0; i < batches; i++)
		one_batch(r, peer, sock);
	while (told(peer, events, 0) >= 0)
		;
	if (failures)
		goto out;
	expected = go_wrong(r, peer, &sock);
	if (expected == STAYS || expected == ANY) {
		wait_ms(20);
		if (expected == STAYS && !own_peer_there(peer))
			failed("%s: expected the peer to stay", peer->device);
	} else {
		reason = told(peer, events, 20000);
		if (reason != expected)
			failed("%s: expected the peer's end to be told with reason %d, got %d", peer->device, expected, reason);
		else if (own_peer_there(peer))
			failed("%s: expected the peer to be gone", peer->device);
	}
out:
	/* What is there still goes with its socket. */
	if (module_sock >= 0)
		close(module_sock);
	for (i = 0; i < 20000 && own_peer_there(peer); i++)
		wait_ms(1);
	if (i == 20000)
		failed("%s: expected the peer to go with its socket", peer->device);
	while (told(peer, events, 0) >= 0)
		;
	if (sock >= 0)
		close(sock);
}

int stream_run(struct rng *r, int seconds, int family)
{
	uint64_t end = now_ms() + seconds * 1000ull, connections = 0;
	struct own_peer peer;
	int events, i;

	while ((now_ms() < end || connections < LEAST || !fates_all()) && failures < 20) {
		if (!own_device(&peer, family, rng_chance(r, 50)))
			return -1;
		peer.tcp = true;
		events = nl_open(16 /* NETLINK_GENERIC */);
		nl_join(events, families[family].group);
		for (i = 0; i < 24 && failures < 20 && (!i || now_ms() < end || connections < LEAST || !fates_all()); i++, connections++)
			one_connection(r, &peer, events);
		own_device_gone(&peer);
		close(events);
	}
	printf("%lu connections\n", connections);
	fates_print(family ? "ovpn over TCP" : "ovpn-dco-v2 over TCP");
	return 0;
}
