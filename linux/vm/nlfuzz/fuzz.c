// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Requests at random. Most begin as valid ones, so that they get past the first check; about half of those stay valid, so
 * that there are peers, keys and busy sockets for the others to meet. Threads share devices and sockets.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "request.h"

struct worker {
	pthread_t thread;
	unsigned int number;
	uint64_t rng;
	int sock;
	time_t end;
	struct fuzz_result result;
};

/* Sockets are replaced while others use their numbers; only the replacing itself is one at a time. */
static pthread_mutex_t renewing = PTHREAD_MUTEX_INITIALIZER;

static uint64_t next(struct worker *w)		/* splitmix64 */
{
	uint64_t z = w->rng += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint32_t below(struct worker *w, uint32_t limit) { return (next(w) >> 16) % limit; }
static bool chance(struct worker *w, uint32_t percent) { return below(w, 100) < percent; }

/* What the interfaces, and the netlink core before them, answer with. */
static bool documented(int error)
{
	static const int known[] = {
		0, EINVAL, ENODEV, ENOENT, EEXIST, ENOTSOCK, EADDRINUSE, EADDRNOTAVAIL, ERANGE, EOPNOTSUPP, EMSGSIZE, ENOBUFS,
	};
	unsigned int i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == error)
			return true;
	return false;
}

/* `busy`: netlink may say that this socket's last dump is not at its end. */
static void count(struct worker *w, const struct request *r, const struct answer *answer, bool busy)
{
	int error = answer->error;

	w->result.requests++;
	if (error < 0 || error >= ERRNO_MAX)
		error = ERRNO_MAX;
	w->result.counts[error]++;
	if (!error && r->command == 1)
		w->result.succeeded_new++;
	if (documented(answer->error) || (busy && error == EBUSY))
		return;
	w->result.undocumented++;
	printf("FAIL %s command %d, at random: expected a documented error, got %d (%s)\n", families[r->family].name, r->command,
	       answer->error, answer->error < 0 ? "no answer" : strerror(answer->error));
}

static int any_family(struct worker *w)
{
	int family = below(w, FAMILIES);

	return families[family].id ? family : !family;
}

static void random_bytes(struct worker *w, uint8_t *bytes, size_t len)
{
	while (len--)
		*bytes++ = chance(w, 30) ? 0 : chance(w, 20) ? 0xff : next(w);
}

/* Each device has a socket that is its own most of the time. */
static int udp_of(int family, bool mp)
{
	if (family == V2)
		return mp ? FD_UDP4 : FD_UDP_OTHER;
	return mp ? FD_UDP4_ML : FD_UDP_OTHER_ML;
}

/* A valid request, if the state is right for it. */
static void any_request(struct worker *w, struct request *r)
{
	static const uint8_t v2[] = { 1, 1, 1, 2, 3, 4, 4, 5, 6, 7 };
	static const uint8_t ml[] = { 1, 1, 1, 2, 3, 4, 6, 6, 7, 8, 10 };
	const int family = any_family(w);
	const struct family *f = &families[family];
	const bool mp = chance(w, 70);
	const uint32_t id = chance(w, 90) ? 1 + below(w, mp ? 6 : 2) : below(w, 0x1000000);
	const int fd = fds[chance(w, 80) ? udp_of(family, mp) : (int)below(w, FDS)];

	request_base(r, family, family == V2 ? v2[below(w, sizeof(v2))] : ml[below(w, sizeof(ml))], mp ? f->mp : f->p2p, mp, id, fd);
	if (r->command == (family == V2 ? (int)V2_NEW_KEY : (int)ML_KEY_NEW) && chance(w, 60)) {
		uint8_t cipher[4] = { 1 + below(w, 2) }, slot[4] = { below(w, 2) }, key_id[4] = { below(w, 8) };

		request_set(r, NEST, 2, slot, family == V2 ? 1 : 4);
		request_set(r, NEST, 3, key_id, family == V2 ? 1 : 4);
		request_set(r, NEST, 4, cipher, family == V2 ? 2 : 4);
	}
	if (r->command == (family == V2 ? (int)V2_GET_PEER : (int)ML_PEER_GET) && chance(w, 30)) {
		r->flags |= NLM_F_DUMP;
		r->nest = 0;
	}
}

/* Spoils what the attributes say. */
static void spoil_attrs(struct worker *w, struct request *r)
{
	static const uint32_t values[] = { 0, 1, 2, 7, 8, 255, 256, 0xffff, 0x10000, 0xffffff, 0x1000000, 0x7fffffff, 0x80000000, 0xffffffff };
	struct attr *a = &r->attrs[below(w, r->count)], *b = &r->attrs[below(w, r->count)], spare;
	uint8_t bytes[300];
	uint32_t value;

	switch (below(w, 11)) {
	case 0: request_omit(r, a->where, a->type); break;
	case 1: a->len = below(w, 20); break;
	case 2: a->len = below(w, sizeof(a->data)); break;
	case 3: a->type = below(w, 70); break;
	case 4: a->type = next(w); break;
	case 5: random_bytes(w, a->data, a->len); break;
	case 6:
		value = values[below(w, sizeof(values) / sizeof(values[0]))];
		memcpy(a->data, &value, sizeof(value));
		break;
	case 7:
		spare = *a;
		*a = *b;
		*b = spare;
		break;
	case 8: a->where = below(w, 4); break;
	case 9:
		random_bytes(w, bytes, sizeof(bytes));
		request_put(r, below(w, 4), chance(w, 80) ? below(w, 26) : 60 + below(w, 8), bytes,
			    chance(w, 60) ? 1u << below(w, 5) : below(w, sizeof(bytes)));
		break;
	case 10: request_put(r, a->where, a->type, b->data, b->len); break;
	}
}

static void spoil_request(struct worker *w, struct request *r)
{
	switch (below(w, 6)) {
	case 0: r->command = below(w, 14); break;
	case 1: r->flags = next(w); break;
	case 2: r->nest = below(w, 10); break;
	case 3: r->nest_flag = chance(w, 50) ? 0 : NLA_F_NET_BYTEORDER; break;
	case 4: request_set(r, TOP, 1, &(uint32_t){ below(w, 12) }, 4); break;
	case 5: r->flags |= NLM_F_DUMP; break;
	}
}

/* Spoils the message as it lies in memory: lengths that lie, nests that end elsewhere, truncation. */
static void spoil_bytes(struct worker *w, struct message *m)
{
	const uint32_t head = NLMSG_HDRLEN + 4;
	uint32_t at, len;
	uint16_t half;

	if (m->used <= head + 8)
		return;
	at = head + below(w, m->used - head - 4);
	switch (below(w, 6)) {
	case 0: m->bytes[at] = next(w); break;
	case 1:
		half = below(w, 64);
		memcpy(m->bytes + (at & ~3u), &half, sizeof(half));
		break;
	case 2:
		half = next(w);
		memcpy(m->bytes + (at & ~3u), &half, sizeof(half));
		break;
	case 3: m->used = at; break;		/* the header says more than there is */
	case 4:
		m->used = at;
		nl_end(m);
		break;
	case 5:
		len = m->used + below(w, 64) - 32;
		memcpy(m->bytes, &len, sizeof(len));
		break;
	}
}

/* Sent, not waited for: what the kernel drops without a word would be waited for in vain. */
static void send_blind(struct worker *w, const struct message *m, const struct request *r)
{
	uint8_t buffer[8192];
	ssize_t size;
	struct nlmsghdr h;

	send(w->sock, m->bytes, m->used, MSG_DONTWAIT);
	w->result.requests++;
	while ((size = recv(w->sock, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0) {
		struct answer answer = { 0 };
		struct nlmsgerr e;

		memcpy(&h, buffer, sizeof(h));
		if (h.nlmsg_type != NLMSG_ERROR || size < (ssize_t)(NLMSG_HDRLEN + sizeof(e)))
			continue;
		memcpy(&e, buffer + NLMSG_HDRLEN, sizeof(e));
		answer.error = -e.error;
		w->result.requests--;
		count(w, r, &answer, true);	/* of this request or an earlier one */
	}
}

static void one_spoilt(struct worker *w)
{
	struct request r;
	struct message m;
	struct answer answer;
	int times;

	any_request(w, &r);
	for (times = 1 + below(w, 3); times; times--)
		if (chance(w, 75) && r.count)
			spoil_attrs(w, &r);
		else
			spoil_request(w, &r);
	r.flags &= ~NLM_F_REQUEST;	/* the header has it */
	request_encode(&r, &m);
	if (chance(w, 30)) {
		for (times = 1 + below(w, 4); times; times--)
			spoil_bytes(w, &m);
		send_blind(w, &m, &r);
		return;
	}
	nl_ask(w->sock, &m, &answer);
	count(w, &r, &answer, r.flags & NLM_F_DUMP);
}

static void one_valid(struct worker *w)
{
	struct request r;
	struct answer answer;

	any_request(w, &r);
	request_ask(w->sock, &r, &answer);
	count(w, &r, &answer, r.flags & NLM_F_DUMP);
}

/* Several messages in one send; the answers are taken by send_blind()'s next callers. */
static void many_at_once(struct worker *w)
{
	struct message all = { 0 }, m;
	struct request r;
	int n = 2 + below(w, 12);

	while (n--) {
		any_request(w, &r);
		if (chance(w, 30))
			spoil_attrs(w, &r);
		request_encode(&r, &m);
		if (all.used + m.used > sizeof(all.bytes))
			break;
		memcpy(all.bytes + all.used, m.bytes, m.used);
		all.used += NLMSG_ALIGN(m.used);
	}
	send_blind(w, &all, &r);
}

/* A dump whose reader goes away, after a buffer or none; or asks for something else in between. */
static void broken_dump(struct worker *w)
{
	const int family = any_family(w), sock = nl_open(NETLINK_GENERIC);
	struct request r;
	struct message m;
	uint8_t buffer[8192];

	if (sock < 0)
		return;
	request_base(&r, family, family == V2 ? (int)V2_GET_PEER : (int)ML_PEER_GET, families[family].mp, true, 1, 0);
	r.flags = NLM_F_DUMP;
	r.nest = 0;
	request_encode(&r, &m);
	send(sock, m.bytes, m.used, MSG_DONTWAIT);
	if (chance(w, 50))
		recv(sock, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (chance(w, 50))
		send(sock, m.bytes, m.used, MSG_DONTWAIT);
	close(sock);
	w->result.requests++;
}

/* Datagrams that look like data, to the sockets that are attached. */
static void datagrams(struct worker *w)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	socklen_t len = sizeof(to);
	uint8_t bytes[1500];
	int n = 1 + below(w, 8), sock;

	if (getsockname(fds[udp_of(any_family(w), chance(w, 70))], (void *)&to, &len) || to.sin_family != AF_INET)
		return;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	while (n--) {
		random_bytes(w, bytes, sizeof(bytes));
		bytes[0] = (chance(w, 80) ? 9 : chance(w, 50) ? 6 : 1) << 3 | below(w, 8);
		if (chance(w, 80)) {
			bytes[1] = bytes[2] = 0;
			bytes[3] = 1 + below(w, 12);
		}
		sendto(sock, bytes, below(w, chance(w, 50) ? 64 : sizeof(bytes)), MSG_DONTWAIT, (void *)&to, sizeof(to));
	}
	close(sock);
}

static void churn_sockets(struct worker *w)
{
	const int which = below(w, FDS);

	pthread_mutex_lock(&renewing);
	if (chance(w, 30))
		shutdown(fds[which], SHUT_RDWR);
	fd_renew(which);
	pthread_mutex_unlock(&renewing);
}

/* A device of this thread's own: comes with a peer, goes with it. */
static void churn_devices(struct worker *w)
{
	const int family = any_family(w);
	const bool mp = chance(w, 50);
	char name[16];
	struct request r;
	struct answer answer;
	int error, fd, n = below(w, 4);

	snprintf(name, sizeof(name), "fuzz%u", w->number);
	error = link_new(families[family].kind, name, mp ? 1 : chance(w, 50) ? 0 : -1);
	if (error) {
		printf("FAIL %s: a device at random: expected success, got %s\n", families[family].kind, strerror(error));
		w->result.undocumented++;
		return;
	}
	if (chance(w, 70))
		link_up(name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	while (n--) {
		request_base(&r, family, 1, if_nametoindex(name), mp, 1 + below(w, 4), fd);
		request_ask(w->sock, &r, &answer);
		count(w, &r, &answer, false);
	}
	if (chance(w, 50)) {
		close(fd);
		fd = -1;
	}
	error = link_del(name);
	if (error) {
		printf("FAIL %s: removing a device: expected success, got %d\n", families[family].kind, error);
		w->result.undocumented++;
	}
	if (fd >= 0)
		close(fd);
}

static void *work(void *argument)
{
	struct worker *w = argument;

	w->sock = nl_open(NETLINK_GENERIC);
	while (time(NULL) < w->end) {
		uint32_t what = below(w, 1000);

		if (what < 440) one_valid(w);
		else if (what < 880) one_spoilt(w);
		else if (what < 920) many_at_once(w);
		else if (what < 950) broken_dump(w);
		else if (what < 985) datagrams(w);
		else if (what < 993) churn_sockets(w);
		else churn_devices(w);
	}
	close(w->sock);
	return NULL;
}

void fuzz_run(uint64_t seed, int threads, int seconds, struct fuzz_result *result)
{
	struct worker *workers = calloc(threads, sizeof(*workers));
	int i, error;

	memset(result, 0, sizeof(*result));
	if (!workers)
		abort();
	for (i = 0; i < threads; i++) {
		workers[i].number = i;
		workers[i].rng = seed + i * 0x632be59bd9b4e019;
		workers[i].end = time(NULL) + seconds;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		result->requests += workers[i].result.requests;
		result->succeeded_new += workers[i].result.succeeded_new;
		result->undocumented += workers[i].result.undocumented;
		for (error = 0; error <= ERRNO_MAX; error++)
			result->counts[error] += workers[i].result.counts[error];
	}
	free(workers);
}
