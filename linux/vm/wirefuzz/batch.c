// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include "batch.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../nlfuzz/request.h"

#define KEY_ID 1

static const uint8_t ping[16] = {
	0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48,
};

uint64_t fates[FATES];

bool fates_all(void) { return fates[PASS] && fates[DROP] && fates[USER] && fates[PING]; }

void fates_print(const char *what)
{
	printf("%s: %lu came out, %lu might, %lu dropped, %lu pings, %lu to userspace\n", what, fates[PASS], fates[MAY_PASS],
	       fates[DROP], fates[PING], fates[USER]);
	if (!fates_all())
		failed("%s: expected packets of each fate", what);
	memset(fates, 0, sizeof(fates));
}

/* --- device and peer -------------------------------------------------------------------------------------------------- */

bool own_device(struct own_peer *peer, int family, bool mp)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int room = 8 << 20;

	memset(peer, 0, sizeof(*peer));
	peer->family = family;
	peer->mp = mp;
	snprintf(peer->device, sizeof(peer->device), "wf%d%d", family, mp);
	if (link_new(families[family].kind, peer->device, mp) || link_up(peer->device)) {
		failed("%s: expected a device, got none", families[family].kind);
		return false;
	}
	peer->ifindex = at.sll_ifindex = if_nametoindex(peer->device);
	peer->control = nl_open(16 /* NETLINK_GENERIC */);
	peer->tap = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	setsockopt(peer->tap, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return !bind(peer->tap, (void *)&at, sizeof(at));
}

int own_peer_new(struct own_peer *peer, struct rng *r, int fd)
{
	struct request request;
	struct answer answer;
	bool ml = peer->family == ML;
	uint8_t cipher[4] = { 1 + rng_below(r, 2) };

	peer->id = 1;
	peer->seal = (struct seal){ .cipher = cipher[0], .key_id = KEY_ID, .peer_id = peer->id };
	peer->last.len = 0;
	request_base(&request, peer->family, 1, peer->ifindex, peer->mp, peer->id, fd);
	if (peer->tcp) {
		request_omit(&request, NEST, 2);
		if (ml)
			request_omit(&request, NEST, 5);
	}
	request_ask(peer->control, &request, &answer);
	if (answer.error)
		return answer.error;
	request_base(&request, peer->family, ml ? (int)ML_KEY_NEW : (int)V2_NEW_KEY, peer->ifindex, peer->mp, peer->id, fd);
	request_set(&request, NEST, 4, cipher, ml ? 4 : 2);
	request_ask(peer->control, &request, &answer);
	return answer.error;
}

bool own_peer_there(struct own_peer *peer)
{
	struct request request;
	struct answer answer;

	request_base(&request, peer->family, peer->family == ML ? (int)ML_PEER_GET : (int)V2_GET_PEER, peer->ifindex, peer->mp,
		     peer->id, -1);
	request_ask(peer->control, &request, &answer);
	return !answer.error;
}

void own_device_gone(struct own_peer *peer)
{
	close(peer->tap);
	close(peer->control);
	if (link_del(peer->device))
		failed("%s: expected it to go", peer->device);
}

/* --- packets ---------------------------------------------------------------------------------------------------------- */

/* A well-formed inner packet of `len` bytes at least a header, from the peer's own address or another. */
static void inner_good(struct rng *r, const struct own_peer *peer, uint8_t *p, size_t len, bool six, bool own)
{
	static const uint8_t protocols[] = { 1, 6, 17, 47, 58, 132 };

	rng_bytes(r, p, len);
	if (six) {
		p[0] = 0x60;
		put16(p + 4, len - 40);
		p[6] = protocols[rng_below(r, sizeof(protocols))];
		memset(p + 8, 0, 32);
		p[8] = 0xfd, p[23] = own ? peer->id : 77;
		p[24] = 0xfd, p[39] = 200;
		return;
	}
	p[0] = 0x45;
	put16(p + 2, len);
	put16(p + 6, 0);
	p[8] = 64;
	p[9] = protocols[rng_below(r, sizeof(protocols))];
	put32(p + 12, own ? 0x0a000000 | peer->id : 0x0a00004d);
	put32(p + 16, 0x0a0000c8);
	put16(p + 10, 0);
	put16(p + 10, checksum(0, p, 20));
}

/* The header lies about something other than version and addresses. */
static void inner_lies(struct rng *r, uint8_t *p, size_t len)
{
	if (p[0] >> 4 == 6) {
		static const uint8_t headers[] = { 0, 43, 44, 50, 51, 60, 135, 59, 255 };

		if (rng_chance(r, 50))
			put16(p + 4, rng_next(r));
		if (rng_chance(r, 70))
			p[6] = headers[rng_below(r, sizeof(headers))];
		if (rng_chance(r, 50) && len > 42)
			p[40] = headers[rng_below(r, sizeof(headers))], p[41] = rng_next(r);
		return;
	}
	if (rng_chance(r, 50))
		p[0] = 0x40 | rng_below(r, 16);
	if (rng_chance(r, 50))
		put16(p + 2, rng_chance(r, 50) ? rng_below(r, 40) : rng_next(r));
	if (rng_chance(r, 30))
		put16(p + 6, rng_next(r));
	if (rng_chance(r, 70)) {
		put16(p + 10, 0);
		put16(p + 10, checksum(0, p, 20));
	}
}

static void item_seal(struct own_peer *peer, struct item *item)
{
	peer->seal.packet_id++;
	item->len = seal(&peer->seal, item->inner, item->inner_len, item->bytes);
}

static size_t inner_size(struct rng *r, int wanted, size_t least)
{
	if (wanted >= 0)
		return (size_t)wanted < least ? least : (size_t)wanted;
	return least + rng_below(r, rng_chance(r, 50) ? 64 : 1380);
}

void item_good(struct rng *r, struct own_peer *peer, struct item *item, int inner_len)
{
	bool six = rng_chance(r, 50);

	memset(item, 0, offsetof(struct item, bytes));
	item->seen = false;
	item->fate = PASS;
	item->inner_len = inner_size(r, inner_len, six ? 40 : 20);
	inner_good(r, peer, item->inner, item->inner_len, six, true);
	item_seal(peer, item);
}

/* Authentic, but its content is not what it should be. */
static void item_inner(struct rng *r, struct own_peer *peer, struct item *item, int inner_len)
{
	bool six = rng_chance(r, 50);
	size_t header = six ? 40 : 20;

	item->inner_len = inner_size(r, inner_len, header);
	inner_good(r, peer, item->inner, item->inner_len, six, true);
	switch (rng_below(r, 8)) {
	case 0:		/* nobody's source address: only a server with several peers looks */
		inner_good(r, peer, item->inner, item->inner_len, six, false);
		item->fate = peer->mp ? DROP : PASS;
		break;
	case 1:		/* empty */
		item->inner_len = 0;
		item->fate = DROP;
		break;
	case 2:		/* neither version */
		item->inner[0] = rng_next(r) & 0x9f;
		if (item->inner[0] >> 4 == 4)
			item->inner[0] |= 0x80;
		item->fate = DROP;
		break;
	case 3:		/* cut off within the header: with several peers, there is no source to check */
		item->inner_len = 1 + rng_below(r, header - 1);
		item->fate = peer->mp ? DROP : MAY_PASS;
		break;
	case 4:
		inner_lies(r, item->inner, item->inner_len);
		item->fate = MAY_PASS;
		break;
	case 5:
		memcpy(item->inner, ping, sizeof(ping));
		item->inner_len = sizeof(ping);
		item->fate = PING;
		break;
	case 6:		/* nearly one */
		memcpy(item->inner, ping, sizeof(ping));
		item->inner_len = rng_chance(r, 50) ? 1 + rng_below(r, 15) : 17;
		item->inner[16] = 0;
		item->fate = DROP;
		break;
	case 7:		/* martians, multicast, broadcast, link-local, unspecified */
		if (six)
			memset(item->inner + 8, rng_chance(r, 50) ? 0xff : 0, 16), item->inner[8] = rng_chance(r, 50) ? 0xfe : 0, item->inner[9] = 0x80;
		else
			put32(item->inner + 12, rng_chance(r, 50) ? 0 : rng_chance(r, 50) ? 0xffffffff : 0x7f000001);
		item->fate = peer->mp ? DROP : MAY_PASS;
		break;
	}
	item_seal(peer, item);
}

void item_any(struct rng *r, struct own_peer *peer, struct item *item, int inner_len)
{
	item_good(r, peer, item, inner_len);
	if (rng_chance(r, 30))
		return;
	if (rng_chance(r, 50)) {
		item_inner(r, peer, item, inner_len);
		return;
	}
	item->fate = DROP;
	switch (rng_below(r, 9)) {
	case 0:		/* one that came out before */
		if (peer->last.len)
			*item = peer->last;
		else
			item->bytes[9] ^= 1;
		item->fate = DROP;
		item->seen = false;
		break;
	case 1:
		item->bytes[rng_below(r, 8) + 8] ^= 1 << rng_below(r, 8);
		break;
	case 2:
		item->bytes[item->len - 1 - rng_below(r, item->len - DATA_OVERHEAD)] ^= 1 << rng_below(r, 8);
		break;
	case 3:
		item->bytes[0] ^= 1 + rng_below(r, 7);
		break;
	case 4:
		item->bytes[1 + rng_below(r, 3)] ^= 1 << rng_below(r, 8);
		break;
	case 5:
		memset(item->bytes + 4, 0, 4);
		break;
	case 6:
		item->len = 4 + rng_below(r, item->len - 4);
		break;
	case 7:		/* control: any opcode that is not data */
		item->bytes[0] = rng_next(r);
		if (item->bytes[0] >> 3 == 9 || item->bytes[0] >> 3 == 6)
			item->bytes[0] = 7 << 3;
		item->fate = USER;
		break;
	case 8:		/* DATA_V1: the interfaces differ; over TCP it may be the end */
		if (peer->tcp && peer->family == ML) {
			item->bytes[8] ^= 4;
			break;
		}
		item->bytes[0] = 6 << 3 | rng_below(r, 8);
		item->fate = peer->family == V2 ? USER : DROP;
		break;
	}
}

/* --- judging ---------------------------------------------------------------------------------------------------------- */

/* What came out of the device is one of the batch that may. */
static void take_passed(struct own_peer *peer, struct batch *batch)
{
	static uint8_t got[65536];
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	unsigned int i;
	ssize_t len;

	while ((len = recvfrom(peer->tap, got, sizeof(got), MSG_DONTWAIT, (void *)&from, &size)) >= 0) {
		size = sizeof(from);
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		for (i = 0; i < batch->count; i++) {
			struct item *item = &batch->items[i];

			if (!item->seen && item->fate <= MAY_PASS && item->inner_len == (size_t)len && !memcmp(item->inner, got, len)) {
				item->seen = true;
				break;
			}
		}
		if (i == batch->count)
			failed("%s: expected only what may pass to come out, got %zd bytes that begin with %02x %02x %02x", peer->device,
			       len, got[0], got[1], got[2]);
	}
}

static void take_user(struct own_peer *peer, struct batch *batch, unsigned int *next, int (*take)(uint8_t *, size_t))
{
	static uint8_t got[65536];
	int len;

	while ((len = take(got, sizeof(got))) >= 0) {
		while (*next < batch->count && batch->items[*next].fate != USER)
			++*next;
		if (*next == batch->count) {
			failed("%s: expected no more packets for userspace, got one of %d bytes", peer->device, len);
			return;
		}
		struct item *item = &batch->items[*next];

		if ((size_t)len != item->len || memcmp(got, item->bytes, len))
			failed("%s: expected userspace to get %zu bytes as they were sent, got %d", peer->device, item->len, len);
		item->seen = true;
		++*next;
	}
}

void batch_judge(struct own_peer *peer, struct batch *batch, const struct counters *before, int (*take)(uint8_t *, size_t))
{
	unsigned int i, want[FATES] = { 0 }, got[FATES], user = 0;
	uint64_t patience = now_ms() + 20000, passed, dropped;
	struct counters after;
	const struct item *kept = NULL;
	bool done;

	for (i = 0; i < batch->count; i++) {
		want[batch->items[i].fate]++;
		fates[batch->items[i].fate]++;
		if (batch->items[i].fate == PASS)
			kept = &batch->items[i];
	}
	do {
		take_passed(peer, batch);
		take_user(peer, batch, &user, take);
		counters_read(peer->device, &after);
		passed = after.rx_packets - before->rx_packets;
		dropped = after.dropped - before->dropped + after.rx_frame - before->rx_frame;
		memset(got, 0, sizeof(got));
		for (i = 0; i < batch->count; i++)
			if (batch->items[i].seen)
				got[batch->items[i].fate]++;
		done = passed + dropped == want[PASS] + want[MAY_PASS] + want[DROP] && got[USER] == want[USER] &&
		       got[PASS] + got[MAY_PASS] == passed;
	} while (!done && now_ms() < patience && (wait_ms(1), true));
	if (got[PASS] != want[PASS])
		failed("%s: expected %u packets to pass, saw %u of them", peer->device, want[PASS], got[PASS]);
	if (got[USER] != want[USER])
		failed("%s: expected %u packets for userspace, got %u", peer->device, want[USER], got[USER]);
	if (dropped < want[DROP] || dropped > want[DROP] + want[MAY_PASS])
		failed("%s: expected %u to %u drops, got %lu", peer->device, want[DROP], want[DROP] + want[MAY_PASS], dropped);
	if (kept)
		peer->last = *kept;
	if (!done && !failures)
		failed("%s: expected %u packets to be accounted for, got %lu out and %lu dropped", peer->device,
		       want[PASS] + want[MAY_PASS] + want[DROP], passed, dropped);
}
