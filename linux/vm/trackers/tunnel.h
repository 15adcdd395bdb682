/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the tests are written with: devices, peers and sockets in a network namespace of the test's own, without OpenVPN
 * and without TLS. All keys are the same, so that any two devices understand each other.
 */
#ifndef TUNNEL_H
#define TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../nlfuzz/request.h"

/* --- checks ----------------------------------------------------------------------------------------------------------- */

/* What the test does at the moment, for the message if it never comes back. */
void step(const char *what);
/* Prints what was expected unless `good`; returns it. */
bool expect(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For what must work before there is anything to test. Ends the test. */
void need(bool good, const char *what);
/* A command line; it has to succeed. */
void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

double now(void);

/* --- devices and peers of the family under test ------------------------------------------------------------------------- */

extern int family;			/* V2 or ML */

/* A device that is up, with 10.0.0.100/24 if `address`. Its index. */
int device(const char *name, bool mp, bool address);
/* 0 or an errno. */
int device_gone(const char *name);

/* PEER_NEW as request_base() makes it, without having asked. `fd`'s peer is at 127.0.0.1:port; port 0: TCP. */
struct request peer_request(int index, bool mp, uint32_t id, int fd, uint16_t port);
int ask(const struct request *r);
/* A peer with a key, which has to work. */
void peer(int index, bool mp, uint32_t id, int fd, uint16_t port);
int peer_new(int index, bool mp, uint32_t id, int fd, uint16_t port);
int peer_del(int index, uint32_t id);
int key_new(int index, uint32_t id);
int peer_keepalive(int index, uint32_t id, uint32_t interval, uint32_t timeout);

/* Reasons of a peer's end. */
enum { TEARDOWN, USERSPACE, EXPIRED, TRANSPORT_ERROR, TRANSPORT_DISCONNECT };

/* Notifications in the netns that this was called in. */
int events(void);
/* The next end of a peer within so many milliseconds. */
bool peer_ended(int events, int patience, uint32_t *id, uint32_t *reason);
/* Checks that the next one is this. */
void expect_ended(int events, uint32_t id, uint32_t reason);

struct counters {
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped;
};
struct counters counters(int index);
/* Until the device has received so many packets, or for some seconds. How many it has. */
uint64_t received(int index, uint64_t packets);

/* --- sockets ------------------------------------------------------------------------------------------------------------ */

/* A UDP socket at this address (host order) and any port; its port. */
int udp_at(uint32_t address, uint16_t *port);
/* A connection over the loopback interface. */
void tcp_pair(int *a, int *b);
/* A datagram of `len` bytes for an address in the tunnel, any port. False: refused. */
bool send_inner(int sock, uint32_t address, size_t len);
/* Puts an IPv4 packet on a device, whatever the routes say. */
void inject(int index, uint32_t source, uint32_t destination, size_t len);
/* Bytes that come within so many milliseconds; 0 at the end, -1 if none came. */
int recv_within(int sock, void *bytes, size_t room, int patience);
/* A control packet with its prefix; its length. */
size_t control_frame(uint8_t *to, uint32_t number, size_t len);
/* Reads frames from a stream until it has been quiet for some milliseconds. */
struct frames { unsigned int data, control, torn; };
struct frames read_frames(int sock, int quiet);
/* Resets the connection. */
void reset(int sock);

#define LOOPBACK_ADDRESS	0x7f000001u
#define VPN(id)			(0x0a000000u + (id))

/* --- tests -------------------------------------------------------------------------------------------------------------- */

struct test {
	const char *group, *name;
	void (*function)(void);
	bool one_processor;		/* what it guards against stops a processor for good: not the first one */
};
extern const struct test sockets_tests[], tcp_tests[], routes_tests[];	/* each ends with no name */

#endif
