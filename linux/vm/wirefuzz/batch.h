/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Packets for a peer whose keys are ours, and what has to become of each.
 */
#ifndef BATCH_H
#define BATCH_H

#include "wire.h"

#define BATCH_MAX	64

enum fate {
	PASS,		/* has to come out of the device, byte for byte */
	MAY_PASS,	/* or be dropped; never anything else */
	DROP,		/* counted as a drop, or as a bad frame */
	PING,		/* taken, and not counted */
	USER,		/* userspace gets it, byte for byte */
	FATES,
};

struct item {
	enum fate fate;
	size_t len, inner_len;
	uint8_t bytes[PACKET_MAX], inner[PACKET_MAX];
	bool seen;
};

struct batch {
	unsigned int count;
	struct item items[BATCH_MAX];
};

/* A peer of a device of its own. */
struct own_peer {
	int family;
	bool mp, tcp;
	char device[16];
	int ifindex, control, tap;	/* netlink; a packet socket on the device */
	uint32_t id;
	struct seal seal;		/* packet_id: of the last packet */
	struct item last;		/* one that came out, for replays; len 0: none yet */
};

/* The device, up, with a packet socket. False: it could not be made. */
bool own_device(struct own_peer *peer, int family, bool mp);
/* The peer and its key; `fd`: the socket for the module. Its error. */
int own_peer_new(struct own_peer *peer, struct rng *r, int fd);
bool own_peer_there(struct own_peer *peer);
void own_device_gone(struct own_peer *peer);

/* One packet at random. `inner_len` >= 0: its inner packet has this length, unless its fault is the length. */
void item_any(struct rng *r, struct own_peer *peer, struct item *item, int inner_len);
/* One that has to pass. */
void item_good(struct rng *r, struct own_peer *peer, struct item *item, int inner_len);

/* Waits until all of a batch that was sent is accounted for, and looks whether each had its fate. `take` gets one packet for
 * userspace, without waiting: its length, or -1. */
void batch_judge(struct own_peer *peer, struct batch *batch, const struct counters *before, int (*take)(uint8_t *, size_t));

extern uint64_t fates[FATES];
bool fates_all(void);		/* each was had */
void fates_print(const char *what);

#endif
