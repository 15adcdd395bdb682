// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Beside a live tunnel: OpenVPN in namespace s serves OpenVPN in c1, device tun0 in both, joined by `wire`; nothing else is
 * in the tunnel. Frames are injected at the wire's other end, as if they came from there.
 *
 * What must hold: none of them comes out of tun0; each data packet that is valid up to UDP is counted as one drop, by
 * the reason that its fault has; the tunnel answers as before.
 */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SAMPLES		32
#define FRAME_MAX	9100
#define BURST_MAX	48
#define SERVER_PORT	1194
#define LEAST		64	/* bursts, however slow the machine */

enum { SERVER, CLIENT, ENDS };		/* who is attacked */

/* A DATA_V2 packet that was on its way to an end, and from where. */
struct sample {
	size_t len;
	uint8_t bytes[PACKET_MAX];
};

static struct end {
	const char *name;
	int netns, inject;		/* a packet socket at the other end of the wire */
	uint8_t to_mac[6], from_mac[6];
	uint8_t address[16], from[16];	/* its own, and its peer's: 4 or 16 bytes */
	uint16_t port, from_port;
	struct sample samples[SAMPLES];
	unsigned int count;
} ends[ENDS] = { { .name = "s" }, { .name = "c1" } };

static bool six;
static int ping_sock;

/* What a burst has to lead to. */
struct expected {
	unsigned int dropped;			/* data packets that arrive at the module */
	unsigned int reason[REASONS_MAX];	/* of these, with this reason */
	unsigned int maybe;			/* may arrive, or not */
};

/* --- capturing -------------------------------------------------------------------------------------------------------- */

static int packet_socket(const char *device, uint16_t protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = if_nametoindex(device) };
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), room = 4 << 20;

	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (sock >= 0 && bind(sock, (void *)&at, sizeof(at))) {
		close(sock);
		return -1;
	}
	return sock;
}

/* A captured frame: if it is a data packet of the tunnel it becomes a sample. */
static void take_frame(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HLEN, *udp;
	struct end *end;
	size_t address = six ? 16 : 4, payload;
	uint16_t to, from;

	if (len < ETH_HLEN + 60 || get16(frame + 12) != (six ? ETH_P_IPV6 : ETH_P_IP) || ip[six ? 6 : 9] != IPPROTO_UDP)
		return;
	if (!six && (ip[0] != 0x45 || get16(ip + 6) & 0x3fff))
		return;
	udp = ip + (six ? 40 : 20);
	from = get16(udp), to = get16(udp + 2), payload = get16(udp + 4) - 8;
	if ((to != SERVER_PORT && from != SERVER_PORT) || payload > PACKET_MAX || payload < 40 || udp[8] >> 3 != 9 ||
	    udp + 8 + payload > frame + len)
		return;
	end = &ends[to == SERVER_PORT ? SERVER : CLIENT];
	memcpy(end->to_mac, frame, 6);
	memcpy(end->from_mac, frame + 6, 6);
	memcpy(end->from, ip + (six ? 8 : 12), address);
	memcpy(end->address, ip + (six ? 24 : 16), address);
	end->port = to, end->from_port = from;
	struct sample *sample = &end->samples[end->count++ % SAMPLES];
	sample->len = payload;
	memcpy(sample->bytes, udp + 8, payload);
}

/* One ping through the tunnel, from c1's end, that must be answered. */
static bool ping(uint16_t number, size_t size)
{
	static const struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in to = to4;
	uint8_t packet[PACKET_MAX] = { 8 }, answer[PACKET_MAX];
	struct pollfd ready = { .fd = ping_sock, .events = POLLIN };
	uint64_t end = now_ms() + 20000;
	ssize_t got;

	inet_pton(AF_INET, "10.8.0.1", &to.sin_addr);
	put16(packet + 4, 0x7766);
	put16(packet + 6, number);
	put16(packet + 2, checksum(0, packet, size));
	if (sendto(ping_sock, packet, size, 0, (void *)&to, sizeof(to)) < 0)
		return false;
	while (now_ms() < end) {
		if (poll(&ready, 1, 1000) <= 0)
			continue;
		got = recv(ping_sock, answer, sizeof(answer), 0);
		if (got >= 28 && answer[20] == 0 && get16(answer + 24) == 0x7766 && get16(answer + 26) == number)
			return true;
	}
	return false;
}

/* Pings that must be answered and be all that both devices receive. */
static void pings(struct rng *r, unsigned int count)
{
	static uint16_t number;
	struct counters before[ENDS], after[ENDS];
	unsigned int i;

	for (i = 0; i < ENDS; i++) {
		netns_enter(ends[i].netns);
		counters_read("tun0", &before[i]);
	}
	for (i = 0; i < count; i++)
		if (!ping(number++, 8 + rng_below(r, 1000)))
			failed("a ping through the tunnel: expected an answer, got none");
	for (i = 0; i < ENDS; i++) {
		netns_enter(ends[i].netns);
		counters_read("tun0", &after[i]);
		if (after[i].rx_packets - before[i].rx_packets != count)
			failed("%s: expected %u packets out of the tunnel, the pings, got %lu", ends[i].name, count,
			       after[i].rx_packets - before[i].rx_packets);
	}
}

static bool capture(struct rng *r)
{
	static uint8_t frame[FRAME_MAX];
	ssize_t got;
	int sock;

	netns_enter(ends[CLIENT].netns);
	sock = packet_socket("wire", ETH_P_ALL);
	ends[SERVER].count = ends[CLIENT].count = 0;
	pings(r, 12);
	while ((got = recv(sock, frame, sizeof(frame), MSG_DONTWAIT)) > 0)
		take_frame(frame, got);
	close(sock);
	return ends[SERVER].count && ends[CLIENT].count;
}

/* --- injecting -------------------------------------------------------------------------------------------------------- */

/* How a frame's outside differs from what is right. */
struct outside {
	bool bad_checksum, no_checksum;
	int udp_len, ip_len;			/* added to what is right */
	uint8_t from[16];
	uint16_t from_port;
	uint16_t fragment, id;			/* IPv4: offset and flags, identification */
	bool raw;				/* payload is all behind the IP header, a fragment */
};

static size_t frame_build(const struct end *end, const struct outside *o, const uint8_t *payload, size_t len, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_HLEN, *udp;
	size_t udp_len = o->raw ? len : len + 8, address = six ? 16 : 4;
	uint32_t sum = 0;
	unsigned int i;

	memcpy(frame, end->to_mac, 6);
	memcpy(frame + 6, end->from_mac, 6);
	put16(frame + 12, six ? ETH_P_IPV6 : ETH_P_IP);
	memset(ip, 0, 40);
	if (six) {
		ip[0] = 0x60;
		put16(ip + 4, udp_len + o->ip_len);
		ip[6] = IPPROTO_UDP, ip[7] = 64;
		memcpy(ip + 8, o->from, 16);
		memcpy(ip + 24, end->address, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 20 + udp_len + o->ip_len);
		put16(ip + 4, o->id);
		put16(ip + 6, o->fragment);
		ip[8] = 64, ip[9] = IPPROTO_UDP;
		memcpy(ip + 12, o->from, 4);
		memcpy(ip + 16, end->address, 4);
		put16(ip + 10, checksum(0, ip, 20));
	}
	udp = ip + (six ? 40 : 20);
	if (o->raw) {
		memcpy(udp, payload, len);
		return udp + len - frame;
	}
	put16(udp, o->from_port);
	put16(udp + 2, end->port);
	put16(udp + 4, udp_len + o->udp_len);
	put16(udp + 6, 0);
	memcpy(udp + 8, payload, len);
	for (i = 0; i < 2 * address; i += 2)
		sum += get16(ip + (six ? 8 : 12) + i);
	sum += IPPROTO_UDP + udp_len;
	sum = checksum(sum, udp, udp_len);
	if (!o->no_checksum || six)
		put16(udp + 6, o->bad_checksum ? sum ^ 0x1111 : sum ? sum : 0xffff);
	return udp + udp_len - frame;
}

static void outside_right(const struct end *end, struct outside *o)
{
	memset(o, 0, sizeof(*o));
	memcpy(o->from, end->from, 16);
	o->from_port = end->from_port;
}

static void inject(const struct end *end, const struct outside *o, const uint8_t *payload, size_t len)
{
	static uint8_t frame[FRAME_MAX];
	size_t size = frame_build(end, o, payload, len, frame);
	int tries = 0;

	while (send(end->inject, frame, size, 0) < 0 && errno == ENOBUFS && ++tries < 1000)
		wait_ms(1);
}

/* --- what is sent ----------------------------------------------------------------------------------------------------- */

static void expect(struct expected *e, const char *reason)
{
	int number = reason ? reason_number(reason) : -1;

	e->dropped++;
	if (number >= 0)
		e->reason[number]++;
}

/* Somebody else, in the wire's network or not. */
static void from_elsewhere(struct rng *r, const struct end *end, struct outside *o)
{
	size_t last = six ? 15 : 3;

	outside_right(end, o);
	o->from_port = 1 + rng_below(r, 65535);
	if (rng_chance(r, 70))
		o->from[last] = 60 + rng_below(r, 100);
}

static void put_fragments(struct rng *r, const struct end *end, const uint8_t *payload, size_t len, struct expected *e)
{
	static uint16_t id = 1;
	static uint8_t whole[FRAME_MAX];
	struct outside o;
	size_t total, cut, second;

	outside_right(end, &o);
	total = frame_build(end, &o, payload, len, whole) - ETH_HLEN - 20;
	cut = 8 * (1 + rng_below(r, total / 8 - 1));
	o.raw = true;
	o.id = id++;
	o.fragment = 0x2000;
	second = cut;
	switch (rng_below(r, 4)) {
	case 0:		/* the second part is missing */
		inject(end, &o, whole + ETH_HLEN + 20, cut);
		return;
	case 1:		/* they overlap: the kernel gives up on both */
		second = cut > 8 ? cut - 8 : cut;
		break;
	}
	inject(end, &o, whole + ETH_HLEN + 20, cut);
	o.fragment = second / 8;
	inject(end, &o, whole + ETH_HLEN + 20 + second, total - second);
	if (second == cut)
		expect(e, "RxReplay");
}

/* A copy of a real packet, spoiled in one way. */
static void put_one(struct rng *r, const struct end *end, struct expected *e)
{
	const struct sample *sample = &end->samples[rng_below(r, end->count < SAMPLES ? end->count : SAMPLES)];
	uint8_t p[FRAME_MAX];
	size_t len = sample->len, at;
	struct outside o;

	outside_right(end, &o);
	memcpy(p, sample->bytes, len);
	switch (rng_below(r, 17)) {
	case 0:
		expect(e, "RxReplay");
		break;
	case 1:		/* in the tag or the ciphertext; seen packet ids may be told before or after */
		p[8 + rng_below(r, len - 8)] ^= 1 << rng_below(r, 8);
		expect(e, NULL);
		break;
	case 2:		/* a packet id that was not seen, and so another nonce and AAD */
		put32(p + 4, get32(p + 4) + 1000 + rng_below(r, 1000000));
		expect(e, "RxAuthFailed");
		break;
	case 3:
		put32(p + 4, 0);
		expect(e, NULL);
		break;
	case 4:		/* another key */
		p[0] ^= 1 + rng_below(r, 7);
		expect(e, "RxUnknownKey");
		break;
	case 5:		/* another peer */
		at = rng_next(r);
		p[1] = at | 0x40, p[2] = at >> 8, p[3] = at >> 16;
		p[1] &= 0x7f;
		expect(e, "RxUnknownPeer");
		break;
	case 6:		/* nobody: found by the address, but it is not what was authenticated */
		memset(p + 1, 0xff, 3);
		put32(p + 4, get32(p + 4) + 5000);
		expect(e, NULL);
		break;
	case 7:		/* cut off within the header: four bytes are the least of a packet */
		len = 4 + rng_below(r, DATA_OVERHEAD - 4);
		expect(e, "RxTooShort");
		break;
	case 8:
		len = DATA_OVERHEAD + rng_below(r, len - DATA_OVERHEAD);
		put32(p + 4, get32(p + 4) + 7000);
		expect(e, NULL);
		break;
	case 9:		/* too long, up to what the wire carries */
		at = 1 + rng_below(r, 1400);
		rng_bytes(r, p + len, at);
		if (len + at > 1440)
			at = 1440 - len;
		len += at;
		put32(p + 4, get32(p + 4) + 9000);
		expect(e, "RxAuthFailed");
		break;
	case 10:	/* nothing but the opcode is right */
		len = 4 + rng_below(r, rng_chance(r, 50) ? 61 : 1400);
		rng_bytes(r, p, len);
		p[0] = 9 << 3 | rng_below(r, 8);
		expect(e, NULL);
		break;
	case 11:	/* shorter than any packet */
		len = rng_below(r, 4);
		expect(e, "RxTooShort");
		break;
	case 12:	/* every other opcode and key id, from elsewhere: userspace's, who does not know them */
		from_elsewhere(r, end, &o);
		len = 4 + rng_below(r, rng_chance(r, 50) ? 61 : 1400);
		rng_bytes(r, p, len);
		if (p[0] >> 3 == 9 || p[0] >> 3 == 6)
			p[0] = rng_below(r, 48);
		break;
	case 13:	/* what UDP drops: it is not counted here */
		if (rng_chance(r, 50))
			o.bad_checksum = true;
		else
			o.udp_len = 1 + rng_below(r, 60000);
		break;
	case 14:	/* UDP's length ends earlier than IP's: the rest is padding, and the checksum is of something else */
		if (rng_chance(r, 50)) {
			o.udp_len = -1 - (int)rng_below(r, len);
			o.no_checksum = !six;
			if (six)
				break;		/* dropped for its checksum */
			e->maybe++;
		} else {
			o.ip_len = rng_chance(r, 50) ? 1 + (int)rng_below(r, 2000) : -1 - (int)rng_below(r, len + 8);
		}
		break;
	case 15:	/* from somebody else: it must not move the peer */
		from_elsewhere(r, end, &o);
		if (rng_chance(r, 50)) {
			put32(p + 4, get32(p + 4) + 11000);
			expect(e, "RxAuthFailed");
		} else {
			expect(e, "RxReplay");
		}
		break;
	case 16:
		if (six)
			return;
		put_fragments(r, end, p, len, e);
		return;
	}
	inject(end, &o, p, len);
}

/* One fault many times over, equal lengths: what GRO would merge. */
static void put_train(struct rng *r, const struct end *end, struct expected *e)
{
	const struct sample *sample = &end->samples[rng_below(r, end->count < SAMPLES ? end->count : SAMPLES)];
	unsigned int i, count = 2 + rng_below(r, BURST_MAX - 2);
	bool replays = rng_chance(r, 50);
	uint8_t p[PACKET_MAX];
	struct outside o;

	outside_right(end, &o);
	memcpy(p, sample->bytes, sample->len);
	for (i = 0; i < count; i++) {
		if (!replays)
			put32(p + 4, get32(sample->bytes + 4) + 20000 + i);
		inject(end, &o, p, i + 1 < count || rng_chance(r, 50) ? sample->len : DATA_OVERHEAD + 1);
		expect(e, NULL);
	}
}

/*
 * Data packets that the module dropped. The other end's stack sends some of its own accord, from a link-local address, which is no peer's inside:
 * they have authenticated, as no packet from here does, and are not counted.
 */
static uint64_t dropped_since(const struct counters *before, const struct counters *after)
{
	uint64_t dropped = after->dropped - before->dropped;
	int own = reason_number("RxWrongSource");

	return own < 0 ? dropped : dropped - (after->reason[own] - before->reason[own]);
}

static unsigned int burst(struct rng *r, const struct end *end)
{
	struct expected e = { 0 };
	struct counters before, after;
	unsigned int i, count = 1 + rng_below(r, BURST_MAX);
	uint64_t patience = now_ms() + 20000, dropped;

	netns_enter(end->netns);
	counters_read("tun0", &before);
	if (rng_chance(r, 20)) {
		put_train(r, end, &e);
	} else {
		for (i = 0; i < count; i++)
			put_one(r, end, &e);
	}
	do {
		counters_read("tun0", &after);
		dropped = dropped_since(&before, &after);
	} while (dropped < e.dropped && now_ms() < patience && (wait_ms(1), true));
	if (after.rx_packets != before.rx_packets)
		failed("%s: expected nothing to come out of the tunnel, got %lu packets", end->name, after.rx_packets - before.rx_packets);
	if (dropped < e.dropped || dropped > e.dropped + e.maybe)
		failed("%s: expected %u to %u drops, got %lu", end->name, e.dropped, e.dropped + e.maybe, dropped);
	for (i = 0; i < after.reasons; i++) {
		dropped = after.reason[i] - before.reason[i];
		if (dropped < e.reason[i])
			failed("%s: expected %u drops of %s, got %lu", end->name, e.reason[i], reason_name(i), dropped);
	}
	return e.dropped;
}

int live_run(struct rng *r, int seconds, bool ipv6)
{
	uint64_t end = now_ms() + seconds * 1000ull, bursts = 0, dropped = 0;
	struct counters all;
	unsigned int i;

	six = ipv6;
	for (i = 0; i < ENDS; i++) {
		ends[i].netns = netns_open(ends[i].name);
		if (ends[i].netns < 0 || !netns_enter(ends[i].netns)) {
			fprintf(stderr, "wirefuzz: expected namespace %s, there is none\n", ends[i].name);
			return -1;
		}
		/* What is sent out of one end's wire arrives at the other. */
		ends[!i].inject = packet_socket("wire", 0);
		if (!counters_read("tun0", &all) || ends[!i].inject < 0) {
			fprintf(stderr, "wirefuzz: expected tun0 and wire in %s\n", ends[i].name);
			return -1;
		}
	}
	ping_sock = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (!all.reasons) {
		fprintf(stderr, "wirefuzz: expected tun0 to count drops by reason\n");
		return -1;
	}
	if (!capture(r)) {
		failed("expected data packets on the wire, got none");
		return 0;
	}
	while ((now_ms() < end || bursts < LEAST) && failures < 20) {
		dropped += burst(r, &ends[rng_below(r, ENDS)]);
		if (++bursts % 8 == 0)
			pings(r, 2);
		if (bursts % 64 == 0 && !capture(r))
			failed("expected data packets on the wire, got none");
	}
	pings(r, 10);
	printf("%lu bursts, %lu data packets dropped\n", bursts, dropped);
	if (!dropped)
		failed("expected drops");
	for (i = 0; i < ENDS; i++) {
		unsigned int reason;

		netns_enter(ends[i].netns);
		counters_read("tun0", &all);
		printf("%s:", ends[i].name);
		for (reason = 0; reason < all.reasons; reason++)
			if (all.reason[reason])
				printf(" %s %lu", reason_name(reason), all.reason[reason]);
		printf("\n");
	}
	return 0;
}
