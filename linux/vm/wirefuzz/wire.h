/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the parts of wirefuzz share: numbers at random, packets, counters of a device. The formats are written down here once
 * more: what judges shares no code with what is judged.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DATA_OVERHEAD	24
#define PACKET_MAX	2048
#define REASONS_MAX	64

/* splitmix64: the same seed, the same packets. */
struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t limit);
bool rng_chance(struct rng *r, uint32_t percent);
void rng_bytes(struct rng *r, uint8_t *bytes, size_t len);

/* A network namespace by its name in /run/netns, and entering it. -1: there is none. */
int netns_open(const char *name);
bool netns_enter(int netns);

/* What a device counted. `dropped` is the sum of its reasons; those have no names if the module has none. */
struct counters {
	uint64_t rx_packets, rx_errors, rx_frame;
	uint64_t dropped, reason[REASONS_MAX];
	unsigned int reasons;
};
/* Of a device in the present namespace. */
bool counters_read(const char *device, struct counters *c);
/* The number of a drop reason by its name; -1: the module has none of that name. */
int reason_number(const char *name);
const char *reason_name(unsigned int reason);

void wait_ms(unsigned int ms);
uint64_t now_ms(void);

/* DATA_V2: what a receiver with the keys of request_base() takes. `cipher` 1: AES-256-GCM; 2: ChaCha20-Poly1305. Its length. */
struct seal {
	int cipher;
	uint8_t key_id;
	uint32_t peer_id, packet_id;
};
size_t seal(const struct seal *s, const uint8_t *inner, size_t len, uint8_t *out);

uint16_t checksum(uint32_t sum, const uint8_t *bytes, size_t len);
void put16(uint8_t *at, uint16_t value);
void put32(uint8_t *at, uint32_t value);
uint16_t get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);

/* The three parts; each returns how many checks failed. */
int live_run(struct rng *r, int seconds, bool ipv6);
int inner_run(struct rng *r, int seconds, int family);
int stream_run(struct rng *r, int seconds, int family);

/* A line that says what was expected; counts it. */
extern int failures;
void failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
