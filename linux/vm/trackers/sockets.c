// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Lives and ends: of sockets, peers and devices, with packets on their way.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tunnel.h"

#define CROWD 50

/* A process that sends to 10.0.0.1 and on until it is killed. */
static pid_t flood(unsigned int addresses)
{
	pid_t pid = fork();
	unsigned int i;
	int sock;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sock = udp_at(0, NULL);
	for (i = 0;; i++)
		if (!send_inner(sock, VPN(1 + i % addresses), 1000))
			usleep(1000);
}

static void flood_ends(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Every one of so many peers ends once, for one of the reasons given (as bits). */
static void expect_all_ended(int ntf, uint32_t first, uint32_t count, uint32_t reasons)
{
	uint32_t told[256] = { 0 }, id, reason, i, missing = 0, twice = 0, wrong = 0;

	for (i = 0; i < count; i++) {
		if (!peer_ended(ntf, 20000, &id, &reason))
			break;
		if (id - first >= count)
			continue;
		told[id - first]++;
		wrong += !(reasons >> reason & 1);
	}
	while (peer_ended(ntf, 50, &id, &reason))
		told[(id - first) % 256]++;
	for (i = 0; i < count; i++) {
		missing += !told[i];
		twice += told[i] > 1;
	}
	expect(!missing && !twice && !wrong, "%u peers to end once: %u not told, %u told twice, %u for another reason", count,
	       missing, twice, wrong);
}

/* One UDP socket of many peers is closed: each of them ends, and the device can go. */
static void udp_closed(void)
{
	int index = device("t", true, true), ntf = events(), fd = udp_at(0, NULL), i;

	for (i = 1; i <= CROWD; i++)
		need(!peer_new(index, true, i, fd, 4000 + i), "a peer");
	step("the socket is closed");
	close(fd);
	expect_all_ended(ntf, 1, CROWD, 1 << TRANSPORT_DISCONNECT);
	expect(!device_gone("t"), "the device to go");
}

/* The device goes while it has peers and packets are sent to them; their socket is whole afterwards. */
static void device_under_traffic(void)
{
	uint16_t port;
	int round, far = udp_at(LOOPBACK_ADDRESS, &port);

	for (round = 0; round < 6; round++) {
		int index = device("t", round & 1, true), fd = udp_at(LOOPBACK_ADDRESS, NULL);
		pid_t traffic;

		peer(index, round & 1, 1, fd, port);
		need(!peer_keepalive(index, 1, 1, 10), "a keepalive");
		traffic = flood(1);
		usleep(20000);
		expect(!device_gone("t"), "the device to go under traffic");
		step("afterwards");
		flood_ends(traffic);
		expect(send(fd, "x", 1, MSG_DONTWAIT) < 0 && errno == EDESTADDRREQ, "a UDP socket as any other");
		close(fd);
	}
	/* What was to run a second later. */
	sleep(2);
	close(far);
}

/* A point-to-point end reconnects again and again on one socket, with packets on their way. */
static void p2p_reconnects(void)
{
	int index = device("t", false, true), ntf = events(), fd = udp_at(LOOPBACK_ADDRESS, NULL), round, before = 0;
	uint16_t port;
	int far = udp_at(LOOPBACK_ADDRESS, &port);
	pid_t traffic = flood(1);

	for (round = 1; round <= 120; round++) {
		peer(index, false, round, fd, port);
		if (before)
			expect_ended(ntf, before, TEARDOWN);	/* replaced */
		before = round;
		if (round % 2)
			continue;
		expect(!peer_del(index, round), "a peer to be deleted");
		expect_ended(ntf, round, USERSPACE);
		before = 0;
	}
	peer(index, false, round, fd, port);
	expect(!device_gone("t"), "the device to go under traffic");
	expect_ended(ntf, round, TEARDOWN);
	flood_ends(traffic);
	close(fd);
	close(far);
}

struct storm {
	int index, fds[2], own[CROWD], far[CROWD];
	pthread_barrier_t start;
};

static void *storm_deletes(void *argument)
{
	struct storm *storm = argument;
	int i;

	pthread_barrier_wait(&storm->start);
	for (i = 1; i <= CROWD; i++)
		peer_del(storm->index, i);
	return NULL;
}

static void *storm_closes(void *argument)
{
	struct storm *storm = argument;
	int i;

	pthread_barrier_wait(&storm->start);
	for (i = CROWD - 1; i >= 0; i--) {
		if (i == CROWD / 2)
			close(storm->fds[0]);
		if (storm->own[i] < 0)
			continue;
		if (i % 3)
			reset(storm->far[i]);
		if (i % 3 != 1)
			close(storm->own[i]);
	}
	close(storm->fds[1]);
	return NULL;
}

/* Peers over UDP and TCP end by request, by their sockets and by resets, all at once, with packets on their way. */
static void storm(void)
{
	int index = device("t", true, true), ntf = events(), round, i;
	pid_t traffic = flood(CROWD);
	struct storm storm = { .index = index };
	pthread_t threads[2];

	for (round = 0; round < 12; round++) {
		pthread_barrier_init(&storm.start, NULL, 2);
		for (i = 0; i < 2; i++)
			storm.fds[i] = udp_at(0, NULL);
		for (i = 0; i < CROWD; i++) {
			storm.own[i] = storm.far[i] = -1;
			if (i % 2) {
				peer(index, true, i + 1, storm.fds[i / 2 % 2], 4000 + i);
				continue;
			}
			tcp_pair(&storm.own[i], &storm.far[i]);
			peer(index, true, i + 1, storm.own[i], 0);
		}
		step("the storm");
		pthread_create(&threads[0], NULL, storm_deletes, &storm);
		pthread_create(&threads[1], NULL, storm_closes, &storm);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		expect_all_ended(ntf, 1, CROWD, 1 << USERSPACE | 1 << TRANSPORT_DISCONNECT);
		for (i = 0; i < CROWD; i++) {
			if (storm.own[i] < 0)
				continue;
			if (i % 3 == 0)
				close(storm.far[i]);
			if (i % 3 == 1)
				close(storm.own[i]);
		}
	}
	flood_ends(traffic);
	expect(!device_gone("t"), "the device to go");
}

/* Peers from whom nothing comes expire, over UDP and over TCP; the sockets are userspace's again. */
static void expiry(void)
{
	int index = device("t", true, false), ntf = events(), fd = udp_at(0, NULL), own, far;
	struct frames frames;
	char text[16];

	tcp_pair(&own, &far);
	peer(index, true, 1, fd, 4001);
	need(!peer_keepalive(index, 1, 1, 2), "a keepalive");
	expect_ended(ntf, 1, EXPIRED);
	peer(index, true, 2, own, 0);
	need(!peer_keepalive(index, 2, 1, 3), "a keepalive");
	expect_ended(ntf, 2, EXPIRED);
	frames = read_frames(far, 200);
	expect(frames.data && !frames.torn, "pings before it expired, got %u frames, %u torn", frames.data, frames.torn);
	expect(send(own, "plain", 5, MSG_NOSIGNAL) == 5 && recv_within(far, text, sizeof(text), 20000) == 5, "a plain socket afterwards");
	expect(send(far, "plain", 5, MSG_NOSIGNAL) == 5 && recv_within(own, text, sizeof(text), 20000) == 5, "a plain socket afterwards");
	close(own);
	close(far);
	close(fd);
	expect(!device_gone("t"), "the device to go");
}

const struct test sockets_tests[] = {
	{ "sockets", "udp-closed", udp_closed },
	{ "sockets", "device-under-traffic", device_under_traffic },
	{ "sockets", "p2p-reconnects", p2p_reconnects },
	{ "sockets", "peer-storm", storm },
	{ "sockets", "expiry", expiry },
	{ 0 },
};
