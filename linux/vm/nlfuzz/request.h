/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Requests of both families as lists of attributes, so that a test can take one and spoil it. The numbers are those of
 * the interfaces' public headers, written down here once more: what judges does not share them with what is judged.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "nl.h"

enum { V2, ML, FAMILIES };

enum { V2_NEW_PEER = 1, V2_SET_PEER, V2_DEL_PEER, V2_NEW_KEY, V2_SWAP_KEYS, V2_DEL_KEY, V2_GET_PEER };
enum {
	ML_PEER_NEW = 1, ML_PEER_SET, ML_PEER_GET, ML_PEER_DEL, ML_PEER_DEL_NTF, ML_KEY_NEW, ML_KEY_GET, ML_KEY_SWAP,
	ML_KEY_SWAP_NTF, ML_KEY_DEL, ML_PEER_FLOAT_NTF,
};

struct family {
	const char *name, *kind;
	uint16_t id;
	uint32_t group;
	int mp, p2p;			/* interface indices */
};
extern struct family families[FAMILIES];

/* Where an attribute is: at the top, in the command's nest, in one of the nests in that. */
enum { TOP, NEST, ENCRYPT, DECRYPT };

struct attr {
	uint8_t where;
	uint16_t type, len;
	uint8_t data[300];
};

#define ATTRS_MAX 24
struct request {
	int family;
	uint8_t command;
	uint16_t flags;
	uint16_t nest;			/* the command's nest; 0: none is sent */
	uint16_t nest_flag;		/* NLA_F_NESTED, or 0 to forget it */
	int count;
	struct attr attrs[ATTRS_MAX];
};

/* Sockets that requests name. */
enum {
	FD_UDP4, FD_UDP_OTHER, FD_UDP4_ML, FD_UDP_OTHER_ML, FD_UDP6, FD_TCP, FD_TCP_LISTENS, FD_TCP_UNCONNECTED,
	FD_TCP_CLOSE_WAIT, FD_UNIX, FD_FILE, FD_CLOSED, FDS,
};
extern int fds[FDS];
void fds_open(void);
/* Opens one anew (the old one is closed). */
void fd_renew(int which);

void request_put(struct request *r, uint8_t where, uint16_t type, const void *data, size_t len);
struct attr *request_find(struct request *r, uint8_t where, uint16_t type);
void request_omit(struct request *r, uint8_t where, uint16_t type);
/* Adds, or changes what is there. */
void request_set(struct request *r, uint8_t where, uint16_t type, const void *data, size_t len);

/*
 * A request that has to succeed: for peer `id` at 127.0.0.1 and port 4000 + id, VPN addresses 10.0.0.id and fd00::id
 * (MP), with `fd` as the socket; keys: `slot`, key id 1, AES-256-GCM.
 */
void request_base(struct request *r, int family, uint8_t command, int ifindex, bool mp, uint32_t id, int fd);
void request_encode(const struct request *r, struct message *m);
void request_ask(int sock, const struct request *r, struct answer *answer);

#endif
