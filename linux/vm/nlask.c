// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * nlask: asks one of the families about a peer of a device that OpenVPN made, changes it, or listens. Our own attributes, too.
 *
 * Build: cc -std=gnu11 -D_GNU_SOURCE -O2 -static -o nlask nlask.c nlfuzz/nl.c nlfuzz/request.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "nlfuzz/request.h"

enum { A_MSS = 64, A_DROPS = 65, A_EPOCH = 64 };

static const char usage[] =
	"usage: nlask FAMILY DEVICE get PEER | set PEER ATTRIBUTE U32... | listen | epoch PEER CIPHER BYTES SECRET TAIL\n"
	"\n"
	"get prints a peer's counters, mss and drops, a line each; set changes attributes by number; listen prints notifications\n"
	"until it is killed; epoch installs an epoch key (family ovpn): the cipher's number, the bytes of its keys, of each secret and\n"
	"of each nonce tail, which are left out for 0. Exit status 0: done; 1: refused; 2: could not be tried.\n";

static unsigned long long number(const uint8_t *data, size_t len)
{
	uint64_t value = 0;

	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	return value;
}

/* The attributes in the nest `type` of a message. */
static const uint8_t *nest_of(const uint8_t *message, size_t size, uint16_t type, size_t *len)
{
	const uint8_t *attrs = nl_attrs(message, size, &size);

	return attrs ? nl_find(attrs, size, type, len) : NULL;
}

static void print_drops(const uint8_t *drops, size_t size)
{
	while (size > NLA_HDRLEN) {
		struct nlattr a;
		const uint8_t *reason, *packets;
		size_t len, packets_len;

		memcpy(&a, drops, sizeof(a));
		reason = nl_find(drops + NLA_HDRLEN, a.nla_len - NLA_HDRLEN, 1, &len);
		packets = nl_find(drops + NLA_HDRLEN, a.nla_len - NLA_HDRLEN, 2, &packets_len);
		if (reason && packets)
			printf("drop %.*s %llu\n", (int)len, reason, number(packets, packets_len));
		if ((size_t)NLA_ALIGN(a.nla_len) >= size)
			return;
		drops += NLA_ALIGN(a.nla_len);
		size -= NLA_ALIGN(a.nla_len);
	}
}

static int get(int sock, int family, int device, uint32_t peer)
{
	static const char *const names[] = {
		"vpn-rx-bytes", "vpn-tx-bytes", "vpn-rx-packets", "vpn-tx-packets",
		"link-rx-bytes", "link-tx-bytes", "link-rx-packets", "link-tx-packets",
	};
	struct request r;
	struct answer answer;
	const uint8_t *attrs, *found;
	size_t size, len;
	int i;

	request_base(&r, family, family == V2 ? (int)V2_GET_PEER : (int)ML_PEER_GET, device, true, peer, -1);
	request_ask(sock, &r, &answer);
	attrs = answer.error ? NULL : nest_of(answer.reply, answer.reply_len, family == V2 ? 8 : 2, &size);
	if (!attrs) {
		fprintf(stderr, "nlask: get: %s %s\n", strerror(answer.error), answer.said);
		return 1;
	}
	for (i = 0; i < 8; i++) {
		found = nl_find(attrs, size, (family == V2 ? 9 : 16) + i, &len);
		if (found)
			printf("%s %llu\n", names[i], number(found, len));
	}
	found = nl_find(attrs, size, A_MSS, &len);
	if (found)
		printf("mss %llu\n", number(found, len));
	found = nl_find(attrs, size, A_DROPS, &len);
	if (found)
		print_drops(found, len);
	return 0;
}

static int set(int sock, int family, int device, uint32_t peer, char **words)
{
	struct request r;
	struct answer answer;

	request_base(&r, family, family == V2 ? (int)V2_SET_PEER : (int)ML_PEER_SET, device, true, peer, -1);
	request_omit(&r, NEST, family == V2 ? 2 : 13);
	request_omit(&r, NEST, family == V2 ? 3 : 14);
	for (; words[0] && words[1]; words += 2) {
		uint32_t value = strtoul(words[1], NULL, 0);

		request_set(&r, NEST, strtoul(words[0], NULL, 0), &value, sizeof(value));
	}
	request_ask(sock, &r, &answer);
	if (answer.error)
		fprintf(stderr, "nlask: set: %s %s\n", strerror(answer.error), answer.said);
	return answer.error != 0;
}

static int epoch(int sock, int family, int device, char **words)
{
	static const uint8_t bytes[64] = { 1, 2, 3 };
	const uint32_t cipher = strtoul(words[1], NULL, 0), len = strtoul(words[2], NULL, 0);
	const size_t secret = strtoul(words[3], NULL, 0), tail = strtoul(words[4], NULL, 0);
	struct request r;
	struct answer answer;
	int where;

	if (family != ML || secret > sizeof(bytes) || tail > sizeof(bytes)) {
		fputs(usage, stderr);
		return 2;
	}
	request_base(&r, ML, ML_KEY_NEW, device, true, strtoul(words[0], NULL, 0), -1);
	request_set(&r, NEST, 4, &cipher, sizeof(cipher));
	request_set(&r, NEST, A_EPOCH, &len, sizeof(len));
	for (where = ENCRYPT; where <= DECRYPT; where++) {
		request_omit(&r, where, 1);
		request_omit(&r, where, 2);
		if (secret)
			request_put(&r, where, 1, bytes, secret);
		if (tail)
			request_put(&r, where, 2, bytes, tail);
	}
	request_ask(sock, &r, &answer);
	if (answer.error)
		fprintf(stderr, "nlask: epoch: %s: %s\n", strerror(answer.error), answer.said);
	return answer.error != 0;
}

static void print_float(const uint8_t *peer, size_t size)
{
	const uint8_t *id, *ip4, *ip6, *port;
	char text[INET6_ADDRSTRLEN] = "nowhere";
	size_t len;
	uint16_t be = 0;

	id = nl_find(peer, size, 1, &len);
	ip4 = nl_find(peer, size, 2, &len);
	ip6 = nl_find(peer, size, 3, &len);
	port = nl_find(peer, size, 5, &len);
	if (ip4 || ip6)
		inet_ntop(ip4 ? AF_INET : AF_INET6, ip4 ? ip4 : ip6, text, sizeof(text));
	if (port)
		memcpy(&be, port, sizeof(be));
	printf("float %llu %s %u\n", id ? number(id, 4) : 0, text, ntohs(be));
}

static void print_notification(int family, const uint8_t *message, size_t size)
{
	struct genlmsghdr h;
	const uint8_t *nest, *id, *other;
	size_t len, id_len, other_len;

	if (size < NLMSG_HDRLEN + GENL_HDRLEN)
		return;
	memcpy(&h, message + NLMSG_HDRLEN, sizeof(h));
	if (family == ML && h.cmd == ML_PEER_FLOAT_NTF) {
		nest = nest_of(message, size, 2, &len);
		if (nest)
			print_float(nest, len);
	} else if (family == ML && h.cmd == ML_KEY_SWAP_NTF) {
		nest = nest_of(message, size, 3, &len);
		id = nest ? nl_find(nest, len, 1, &id_len) : NULL;
		other = nest ? nl_find(nest, len, 3, &other_len) : NULL;
		if (id && other)
			printf("swap peer %llu key %llu\n", number(id, id_len), number(other, other_len));
	} else if (h.cmd == (family == V2 ? (int)V2_DEL_PEER : (int)ML_PEER_DEL_NTF)) {
		nest = nest_of(message, size, family == V2 ? 4 : 2, &len);
		id = nest ? nl_find(nest, len, family == V2 ? 2 : 1, &id_len) : NULL;
		other = nest ? nl_find(nest, len, family == V2 ? 1 : 15, &other_len) : NULL;
		if (id && other)
			printf("gone peer %llu reason %llu\n", number(id, id_len), number(other, other_len));
	}
}

static int listen_to(int sock, int family)
{
	static _Alignas(8) uint8_t buffer[8192];
	ssize_t size;

	if (!nl_join(sock, families[family].group)) {
		fprintf(stderr, "nlask: group peers: %s\n", strerror(errno));
		return 1;
	}
	printf("listening\n");
	while ((size = recv(sock, buffer, sizeof(buffer), 0)) > 0)
		print_notification(family, buffer, size);
	return 0;
}

int main(int argc, char **argv)
{
	int family = 0, device, sock;

	if (argc < 4) {
		fputs(usage, argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
		return argc == 2 ? 0 : 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (family < FAMILIES && strcmp(families[family].name, argv[1]))
		family++;
	if (family == FAMILIES) {
		fputs(usage, stderr);
		return 2;
	}
	families[family].id = genl_family(argv[1], "peers", &families[family].group);
	device = if_nametoindex(argv[2]);
	sock = nl_open(NETLINK_GENERIC);
	if (!families[family].id || !device || sock < 0) {
		fprintf(stderr, "nlask: expected family %s and device %s\n", argv[1], argv[2]);
		return 2;
	}
	if (!strcmp(argv[3], "listen"))
		return listen_to(sock, family);
	if (argc > 4 && !strcmp(argv[3], "get"))
		return get(sock, family, device, strtoul(argv[4], NULL, 0));
	if (argc > 6 && !strcmp(argv[3], "set"))
		return set(sock, family, device, strtoul(argv[4], NULL, 0), argv + 5);
	if (argc == 9 && !strcmp(argv[3], "epoch"))
		return epoch(sock, family, device, argv + 4);
	fputs(usage, stderr);
	return 2;
}
