// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * epochfar: the far end of a tunnel with epoch keys, in userspace and from the format's description (openvpn-rfc, "epoch data channel
 * keys"), with libcrypto. It answers pings, and leaves an epoch by itself after so many packets.
 *
 * Build: cc -std=gnu11 -D_GNU_SOURCE -O2 -static -o epochfar epochfar.c -lcrypto
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { HEADER = 4, ID = 8, AAD = HEADER + ID, TAG = 16, OVERHEAD = AAD + TAG, SECRET = 32, NONCE = 12 };

static const char usage[] =
	"usage: epochfar PORT KEY-FILE DIRECTION PEER-ID CIPHER EVERY\n"
	"\n"
	"Listens at the UDP port, answers what is an IPv4 ping, and prints `epochs SENT RECEIVED packets N bad N` when it is\n"
	"interrupted. The key file is OpenVPN's static key; DIRECTION says which half is sent with, CIPHER is AES-128-GCM, AES-256-GCM or\n"
	"CHACHA20-POLY1305, EVERY how many packets are sent in an epoch; 0: epochs are only followed.\n";

static volatile sig_atomic_t ended;
static const EVP_CIPHER *cipher;
static size_t key_len;

/* One direction: the secret of an epoch and what comes of it. */
struct chain {
	uint16_t epoch;
	uint8_t secret[SECRET], key[SECRET], iv[NONCE];
	uint64_t counter;
};

/* The first block of HKDF-Expand: HMAC-SHA256(secret, info | 1). */
static void expand(const uint8_t *secret, const char *label, uint8_t *out, size_t len)
{
	uint8_t info[64], block[32];
	size_t at = 0;
	unsigned int size = sizeof(block);

	info[at++] = len >> 8;
	info[at++] = len;
	info[at++] = 5 + strlen(label);
	memcpy(info + at, "ovpn ", 5);
	at += 5;
	memcpy(info + at, label, strlen(label));
	at += strlen(label);
	info[at++] = 0;		/* no context */
	info[at++] = 1;		/* the first block */
	HMAC(EVP_sha256(), secret, SECRET, info, at, block, &size);
	memcpy(out, block, len);
}

static void chain_fill(struct chain *c)
{
	expand(c->secret, "data_key", c->key, key_len);
	expand(c->secret, "data_iv", c->iv, NONCE);
	c->counter = 0;
}

static void chain_next(struct chain *c)
{
	uint8_t next[SECRET];

	expand(c->secret, "datakey upd", next, SECRET);
	memcpy(c->secret, next, SECRET);
	c->epoch++;
	chain_fill(c);
}

static void nonce_of(const struct chain *c, const uint8_t *id, uint8_t *nonce)
{
	int i;

	memcpy(nonce, c->iv, NONCE);
	for (i = 0; i < ID; i++)
		nonce[i] ^= id[i];
}

static size_t seal(struct chain *c, uint32_t header, const uint8_t *inner, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint64_t id = (uint64_t)c->epoch << 48 | ++c->counter;
	uint8_t nonce[NONCE];
	int i, size;

	header = htonl(header);
	memcpy(out, &header, HEADER);
	for (i = 0; i < ID; i++)
		out[HEADER + i] = id >> (56 - 8 * i);
	nonce_of(c, out + HEADER, nonce);
	if (!EVP_EncryptInit_ex(context, cipher, NULL, c->key, nonce) || !EVP_EncryptUpdate(context, NULL, &size, out, AAD) ||
	    !EVP_EncryptUpdate(context, out + AAD, &size, inner, len) ||
	    !EVP_EncryptFinal_ex(context, out + AAD + len, &size) ||
	    !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, TAG, out + AAD + len)) {
		fprintf(stderr, "epochfar: the cipher failed\n");
		exit(2);
	}
	EVP_CIPHER_CTX_free(context);
	return len + OVERHEAD;
}

/* Opens with a chain that may be moved on for it. The inner packet's length, or -1. */
static int open_with(struct chain *c, uint8_t *packet, size_t len, uint8_t *inner)
{
	struct chain at = *c;
	EVP_CIPHER_CTX *context;
	uint16_t epoch = packet[HEADER] << 8 | packet[HEADER + 1];
	uint8_t nonce[NONCE];
	int size, done;

	if (len < OVERHEAD || epoch < at.epoch || epoch > at.epoch + 16)
		return -1;
	while (at.epoch < epoch)
		chain_next(&at);
	context = EVP_CIPHER_CTX_new();
	nonce_of(&at, packet + HEADER, nonce);
	done = EVP_DecryptInit_ex(context, cipher, NULL, at.key, nonce) &&
	       EVP_DecryptUpdate(context, NULL, &size, packet, AAD) &&
	       EVP_DecryptUpdate(context, inner, &size, packet + AAD, len - OVERHEAD) &&
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, TAG, packet + len - TAG) &&
	       EVP_DecryptFinal_ex(context, inner + len - OVERHEAD, &size);
	EVP_CIPHER_CTX_free(context);
	if (!done)
		return -1;
	*c = at;
	return len - OVERHEAD;
}

/* Makes a ping its answer. False: it is none. */
static int answered(uint8_t *inner, int len)
{
	uint8_t address[4];
	uint32_t sum;

	if (len < 28 || inner[0] != 0x45 || inner[9] != IPPROTO_ICMP || inner[20] != 8)
		return 0;
	memcpy(address, inner + 12, 4);
	memcpy(inner + 12, inner + 16, 4);
	memcpy(inner + 16, address, 4);
	inner[20] = 0;
	/* RFC 1624: the checksum grows by what the word has become less. */
	sum = (inner[22] << 8 | inner[23]) + 0x0800;
	sum = (sum & 0xffff) + (sum >> 16);
	inner[22] = sum >> 8;
	inner[23] = sum;
	return 1;
}

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

/* A half's first secret. */
static void secret_read(const char *file, int half, uint8_t *secret)
{
	FILE *f = fopen(file, "re");
	char line[128];
	int at = 0, begun = 0, i;
	unsigned int byte;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "-----", 5)) {
			begun = !begun;
			continue;
		}
		for (i = 0; begun && sscanf(line + i, "%2x", &byte) == 1 && line[i] != '\n'; i += 2, at++)
			if (at >= half * 128 && at < half * 128 + SECRET)
				secret[at - half * 128] = byte;
	}
	if (f)
		fclose(f);
	if (at != 256) {
		fprintf(stderr, "epochfar: %s: expected a static key of 256 bytes, got %d\n", file, at);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct chain send = { .epoch = 1 }, receive = { .epoch = 1 };
	struct sockaddr_in local = { .sin_family = AF_INET }, from;
	static uint8_t packet[4096], inner[4096];
	unsigned long good = 0, bad = 0, every;
	int sock, direction, on = 1;
	struct timeval patience = { .tv_usec = 200000 };

	if (argc != 7) {
		fputs(usage, argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr);
		return argc == 2 ? 0 : 2;
	}
	cipher = !strcmp(argv[5], "AES-128-GCM") ? EVP_aes_128_gcm() :
		 !strcmp(argv[5], "AES-256-GCM") ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
	key_len = EVP_CIPHER_get_key_length(cipher);
	direction = atoi(argv[3]);
	every = strtoul(argv[6], NULL, 0);
	secret_read(argv[2], direction, send.secret);
	secret_read(argv[2], !direction, receive.secret);
	chain_fill(&send);
	chain_fill(&receive);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	local.sin_port = htons(atoi(argv[1]));
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (sock < 0 || bind(sock, (void *)&local, sizeof(local))) {
		perror("epochfar: socket");
		return 2;
	}
	signal(SIGINT, end);
	printf("listening\n");
	fflush(stdout);
	while (!ended) {
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(sock, packet, sizeof(packet), 0, (void *)&from, &size);
		int plain;

		if (len < 0)
			continue;
		plain = len >= OVERHEAD ? open_with(&receive, packet, len, inner) : -1;
		if (plain < 0) {
			bad++;
			continue;
		}
		good++;
		if (!answered(inner, plain))
			continue;
		/* Who hears of a later epoch follows; who has sent enough goes first. */
		while (send.epoch < receive.epoch || (every && send.counter >= every))
			chain_next(&send);
		plain = seal(&send, 9u << 27 | (packet[0] & 7u) << 24 | strtoul(argv[4], NULL, 0), inner, plain, packet);
		sendto(sock, packet, plain, 0, (void *)&from, size);
	}
	printf("epochs %u %u packets %lu bad %lu\n", send.epoch, receive.epoch, good, bad);
	return 0;
}
