/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Netlink by hand: messages that may be as wrong as one likes.
 */
#ifndef NL_H
#define NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_MAX 8192

/* A message in the making. `used` is what will be sent, whatever the headers say. */
struct message {
	uint32_t used;
	_Alignas(8) uint8_t bytes[MESSAGE_MAX];
};

/* What came back for one request. */
struct answer {
	int error;		/* 0, an errno, or -1: nothing came */
	bool text;		/* the error had an extack text */
	char said[160];
	int replies;		/* messages other than acknowledgements */
	uint8_t reply[4096];	/* the last of them */
	uint32_t reply_len;
};

/* A socket of `protocol` (NETLINK_GENERIC, NETLINK_ROUTE), with extended acknowledgements. -1 if there is none. */
int nl_open(int protocol);

void nl_begin(struct message *m, uint16_t type, uint16_t flags, uint8_t command, uint8_t version);
void nl_begin_raw(struct message *m, uint16_t type, uint16_t flags, const void *header, size_t len);
void nl_put(struct message *m, uint16_t type, const void *data, size_t len);
void nl_put_u8(struct message *m, uint16_t type, uint8_t value);
void nl_put_u32(struct message *m, uint16_t type, uint32_t value);
void nl_put_string(struct message *m, uint16_t type, const char *value);
/* nl_nest() returns what nl_nest_end() wants. */
uint32_t nl_nest(struct message *m, uint16_t type);
void nl_nest_end(struct message *m, uint32_t start);
/* Sets the header's length to what there is. */
void nl_end(struct message *m);

/* Sends, and takes answers until the acknowledgement or the end of a dump. */
void nl_ask(int sock, struct message *m, struct answer *answer);

/* The attribute of this type in attributes; NULL if there is none. Its length without header goes to `len`. */
const uint8_t *nl_find(const uint8_t *attrs, size_t size, uint16_t type, size_t *len);
/* The attributes of a generic netlink message. */
const uint8_t *nl_attrs(const uint8_t *message, size_t size, size_t *len);

/* A family's id and its group's (0 for none); 0: there is no such family. */
uint16_t genl_family(const char *name, const char *group, uint32_t *group_id);
bool nl_join(int sock, uint32_t group);

/* Links. 0 or an errno. mode -1: does not say; source_check likewise. */
int link_new(const char *kind, const char *name, int mode);
int link_del(const char *name);
int link_up(const char *name);

#endif
