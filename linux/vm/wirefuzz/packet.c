// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include "wire.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <openssl/evp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- numbers ---------------------------------------------------------------------------------------------------------- */

uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *r, uint32_t limit) { return limit ? (rng_next(r) >> 16) % limit : 0; }
bool rng_chance(struct rng *r, uint32_t percent) { return rng_below(r, 100) < percent; }

void rng_bytes(struct rng *r, uint8_t *bytes, size_t len)
{
	while (len--)
		*bytes++ = rng_chance(r, 20) ? 0 : rng_chance(r, 15) ? 0xff : rng_next(r);
}

void put16(uint8_t *at, uint16_t value) { at[0] = value >> 8, at[1] = value; }
void put32(uint8_t *at, uint32_t value) { put16(at, value >> 16), put16(at + 2, value); }
uint16_t get16(const uint8_t *at) { return at[0] << 8 | at[1]; }
uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }

uint16_t checksum(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (; len > 1; bytes += 2, len -= 2)
		sum += get16(bytes);
	if (len)
		sum += *bytes << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* --- time and places -------------------------------------------------------------------------------------------------- */

void wait_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

int netns_open(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

bool netns_enter(int netns) { return !setns(netns, CLONE_NEWNET); }

/* --- counters --------------------------------------------------------------------------------------------------------- */

static char names[REASONS_MAX][ETH_GSTRING_LEN];
static unsigned int names_known;

int reason_number(const char *name)
{
	unsigned int i;

	for (i = 0; i < names_known; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

const char *reason_name(unsigned int reason) { return names[reason]; }

/* ethtool -S, without knowing how many there are: the driver says in the answer. */
static void reasons_read(const char *device, struct counters *c)
{
	static _Alignas(8) uint8_t buffer[sizeof(struct ethtool_gstrings) + REASONS_MAX * ETH_GSTRING_LEN];
	struct {
		struct ethtool_sset_info info;
		uint32_t count;
	} set = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_STATS } };
	struct ethtool_gstrings *strings = (void *)buffer;
	struct ethtool_stats *stats = (void *)buffer;
	struct ifreq request = { .ifr_data = (void *)&set };
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int i;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(sock, SIOCETHTOOL, &request) || !set.info.sset_mask || !set.count || set.count > REASONS_MAX)
		goto out;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_STATS;
	strings->len = set.count;
	request.ifr_data = (void *)buffer;
	if (ioctl(sock, SIOCETHTOOL, &request))
		goto out;
	memcpy(names, strings->data, set.count * ETH_GSTRING_LEN);
	names_known = c->reasons = set.count;
	stats->cmd = ETHTOOL_GSTATS;
	stats->n_stats = set.count;
	if (ioctl(sock, SIOCETHTOOL, &request))
		goto out;
	for (i = 0; i < c->reasons; i++) {
		memcpy(&c->reason[i], (uint8_t *)stats->data + i * sizeof(uint64_t), sizeof(uint64_t));
		if (!strncmp(names[i], "Rx", 2))
			c->dropped += c->reason[i];
	}
out:
	close(sock);
}

bool counters_read(const char *device, struct counters *c)
{
	char line[512], *colon, *name;
	FILE *file = fopen("/proc/thread-self/net/dev", "re");
	bool found = false;

	memset(c, 0, sizeof(*c));
	while (file && !found && fgets(line, sizeof(line), file)) {
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		name = line + strspn(line, " ");
		if (strcmp(name, device))
			continue;
		found = sscanf(colon + 1, "%*u %lu %lu %*u %*u %lu", &c->rx_packets, &c->rx_errors, &c->rx_frame) == 3;
	}
	if (file)
		fclose(file);
	if (found)
		reasons_read(device, c);
	return found;
}

/* --- sealing ---------------------------------------------------------------------------------------------------------- */

size_t seal(const struct seal *s, const uint8_t *inner, size_t len, uint8_t *out)
{
	static const uint8_t key[33] = "0123456789abcdef0123456789abcde", tail[9] = "tailtai";
	static EVP_CIPHER_CTX *context;
	uint8_t nonce[12];
	int size;

	if (!context)
		context = EVP_CIPHER_CTX_new();
	put32(out, 9u << 27 | (uint32_t)s->key_id << 24 | s->peer_id);
	put32(out + 4, s->packet_id);
	memcpy(nonce, out + 4, 4);
	memcpy(nonce + 4, tail, 8);
	if (!EVP_EncryptInit_ex(context, s->cipher == 2 ? EVP_chacha20_poly1305() : EVP_aes_256_gcm(), NULL, key, nonce) ||
	    !EVP_EncryptUpdate(context, NULL, &size, out, 8) ||
	    (len && !EVP_EncryptUpdate(context, out + DATA_OVERHEAD, &size, inner, len)) ||
	    !EVP_EncryptFinal_ex(context, out + DATA_OVERHEAD + len, &size) ||
	    !EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out + 8)) {
		fprintf(stderr, "wirefuzz: the cipher failed\n");
		exit(2);
	}
	return len + DATA_OVERHEAD;
}

/* --- the verdict ------------------------------------------------------------------------------------------------------ */

int failures;

void failed(const char *format, ...)
{
	va_list arguments;

	failures++;
	if (failures > 20)
		return;
	printf("FAIL ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}
