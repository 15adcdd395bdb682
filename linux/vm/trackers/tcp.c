// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * TCP: frames in pieces, ends of the connection, what userspace sees, a reader that does not read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel.h"

static short polled(int sock, short events, int patience)
{
	struct pollfd p = { .fd = sock, .events = events };

	poll(&p, 1, patience);
	return p.revents;
}

/* The other end says goodbye, breaks off, or our own end does: the peer ends, and userspace is told. */
static void remote_close(void)
{
	int index = device("t", true, false), ntf = events(), own, far;
	uint8_t bytes[200];
	size_t len;

	step("a FIN behind a control packet");
	tcp_pair(&own, &far);
	peer(index, true, 1, own, 0);
	len = control_frame(bytes, 1, 40);
	need(send(far, bytes, len, 0) == (ssize_t)len, "to send");
	shutdown(far, SHUT_WR);
	expect_ended(ntf, 1, TRANSPORT_DISCONNECT);
	close(own);
	close(far);

	step("a reset");
	tcp_pair(&own, &far);
	peer(index, true, 2, own, 0);
	reset(far);
	expect_ended(ntf, 2, TRANSPORT_DISCONNECT);
	expect(recv(own, bytes, 1, 0) < 0 && errno == ECONNRESET, "ECONNRESET after a reset");
	close(own);

	step("our end closes");
	tcp_pair(&own, &far);
	peer(index, true, 3, own, 0);
	close(own);
	expect_ended(ntf, 3, TRANSPORT_DISCONNECT);
	expect(!recv_within(far, bytes, 1, 20000), "a FIN at the other end");
	close(far);

	step("bad lengths");
	for (len = 0; len < 4; len++) {
		tcp_pair(&own, &far);
		peer(index, true, 4, own, 0);
		need(send(far, (uint8_t[]){ 0, len, 0x48, 0, 0, 0 }, 6, 0) == 6, "to send");
		expect_ended(ntf, 4, TRANSPORT_ERROR);
		close(own);
		close(far);
	}
	expect(!device_gone("t"), "the device to go");
}

/* poll() and recvmsg() tell of control packets, one at a time, and of nothing else. */
static void readiness(void)
{
	int index = device("t", true, false), own, far, got;
	uint8_t bytes[400];
	size_t len;

	tcp_pair(&own, &far);
	peer(index, true, 1, own, 0);
	fcntl(own, F_SETFL, O_NONBLOCK);
	expect(!polled(own, POLLIN, 0), "no readiness before anything came");
	/* A data packet that no key opens is not userspace's. */
	need(send(far, "\0\50" "\110\0\0\1\0\0\0\1" "0123456789abcdef0123456789abcdef", 42, 0) == 42, "to send");
	expect(!polled(own, POLLIN, 300), "no readiness for a data packet");
	expect(recv(own, bytes, sizeof(bytes), 0) < 0 && errno == EAGAIN, "EAGAIN");
	len = control_frame(bytes, 1, 100);
	len += control_frame(bytes + len, 2, 60);
	need(send(far, bytes, len, 0) == (ssize_t)len, "to send");
	expect(polled(own, POLLIN, 20000) & POLLIN, "readiness for a control packet");
	usleep(100000);
	got = recv(own, bytes, sizeof(bytes), 0);
	expect(got == 102 && bytes[1] == 100, "the first packet with its prefix, got %d bytes", got);
	expect(polled(own, POLLIN, 0) & POLLIN, "readiness for the second");
	got = recv(own, bytes, 10, 0);
	expect(got == 10 && polled(own, POLLIN, 0) & POLLIN, "readiness for the rest of it");
	got = recv(own, bytes, sizeof(bytes), 0);
	expect(got == 52, "the rest, got %d bytes", got);
	expect(!polled(own, POLLIN, 0), "no readiness when all is read");
	/* Its way out of our functions has to be found, too: the module could not go. */
	expect(recv(own, bytes, 1, MSG_OOB) < 0 && recv(own, bytes, 1, MSG_TRUNC) < 0, "no urgent data, no truncation");
	expect(polled(own, POLLOUT, 20000) & POLLOUT, "room to write");
	close(own);
	close(far);
	expect(!device_gone("t"), "the device to go");
}

/* The packets of a stream that come in odd pieces: each is opened, each control packet is read whole, in order. */
static void framing(void)
{
	static uint8_t stream[2000000];
	const unsigned int packets = 400;
	int a = device("a", false, false), b = device("b", false, false), own, tap, peer_own, peer_far, one = 1;
	unsigned int i, controls = 0, read = 0;
	size_t used = 0, have = 0, at, len, piece;
	uint8_t bytes[400];

	/* What the device b sends over its connection, taken from the other end. */
	tcp_pair(&own, &tap);
	peer(b, false, 1, own, 0);
	srandom(1);
	for (i = 0; i < packets; i++)
		inject(b, VPN(1), VPN(2), i % 5 ? 28 + random() % 1300 : 28);
	while (read < packets) {
		ssize_t got = recv_within(tap, stream + used, sizeof(stream) / 2 - used, 20000);

		need(got > 0, "frames of the device");
		used += got;
		for (; used - have >= 2 && used - have >= 2u + (stream[have] << 8 | stream[have + 1]); read++)
			have += 2 + (stream[have] << 8 | stream[have + 1]);
	}
	/* With control packets between them, to the device a, in pieces. */
	tcp_pair(&peer_own, &peer_far);
	peer(a, false, 1, peer_own, 0);
	setsockopt(peer_far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (at = 0, have = sizeof(stream) / 2; at < used; at += len) {
		len = 2 + (stream[at] << 8 | stream[at + 1]);
		memcpy(stream + have, stream + at, len);
		have += len;
		if (random() % 4 == 0)
			have += control_frame(stream + have, controls++, 20 + random() % 300);
	}
	step("the pieces");
	for (at = sizeof(stream) / 2; at < have; at += piece) {
		static const size_t pieces[] = { 1, 2, 3, 700, 1448, 9000 };

		piece = pieces[random() % 6];
		if (piece > have - at)
			piece = have - at;
		need(send(peer_far, stream + at, piece, 0) == (ssize_t)piece, "to send");
		if (random() % 3 == 0)
			usleep(200);
	}
	for (i = 0; i < controls; i++) {
		uint32_t number = ~0;
		int got = recv_within(peer_own, bytes, sizeof(bytes), 20000);

		if (got > 6)
			memcpy(&number, bytes + 3, 4);
		if (!expect(got == 2 + (bytes[0] << 8 | bytes[1]) && number == i, "control packet %u, got %d bytes, number %u", i, got,
			    number))
			break;
	}
	i = received(a, packets);
	expect(i == packets, "%u packets in pieces to be opened, got %u", packets, i);
	expect(!device_gone("a") && !device_gone("b"), "the devices to go");
}

/* The other end does not read for a while: what the queue has no room for is dropped, the rest arrives when it reads. */
static void stalled_reader(void)
{
	int index = device("t", false, true), own, far, sock = udp_at(0, NULL), room = 64 << 20, window = 65536;
	struct counters before, after;
	struct frames frames;
	unsigned int i, sent = 0;

	tcp_pair(&own, &far);
	setsockopt(far, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	peer(index, false, 1, own, 0);
	setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	before = counters(index);
	step("sending to one who does not read");
	for (i = 0; i < 30 && counters(index).tx_dropped == before.tx_dropped; i++) {
		unsigned int burst;

		for (burst = 0; burst < 100; burst++)
			sent += send_inner(sock, VPN(1), 1372);
	}
	after = counters(index);
	expect(after.tx_dropped > before.tx_dropped, "the queue to have an end, %u packets were taken", sent);
	step("reading");
	frames = read_frames(far, 3000);
	expect(frames.data == after.tx_packets - before.tx_packets && !frames.torn,
	       "all %llu frames that were queued once they are read, got %u, %u torn",
	       (unsigned long long)(after.tx_packets - before.tx_packets), frames.data, frames.torn);
	expect(sent == after.tx_packets + after.tx_dropped - before.tx_packets - before.tx_dropped,
	       "each of %u packets counted as sent or dropped, got %llu and %llu", sent,
	       (unsigned long long)(after.tx_packets - before.tx_packets), (unsigned long long)(after.tx_dropped - before.tx_dropped));
	close(own);
	close(far);
	close(sock);
	expect(!device_gone("t"), "the device to go");
}

struct talk {
	int own;
	volatile int stop;
	unsigned int controls;
};

/* Control packets of userspace's, without a pause. */
static void *talk(void *argument)
{
	struct talk *talk = argument;
	uint8_t bytes[400];
	size_t len;

	while (!talk->stop) {
		len = control_frame(bytes, talk->controls, 300);
		if (send(talk->own, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
			talk->controls++;
		else
			usleep(500);
	}
	return NULL;
}

struct reading {
	int far;
	struct frames frames;
};

static void *reading(void *argument)
{
	struct reading *reading = argument;

	reading->frames = read_frames(reading->far, 3000);
	return NULL;
}

/* Userspace and the data path send at the same time, from two processors: no frame is torn, no control packet lost. */
static void both_send(void)
{
	int index = device("t", false, true), own, far, sock = udp_at(0, NULL);
	struct counters before = counters(index), after;
	struct reading reader;
	struct talk talker;
	pthread_t threads[2];
	double end;

	tcp_pair(&own, &far);
	peer(index, false, 1, own, 0);
	talker = (struct talk){ .own = own };
	reader = (struct reading){ .far = far };
	pthread_create(&threads[0], NULL, talk, &talker);
	pthread_create(&threads[1], NULL, reading, &reader);
	for (end = now() + 4; now() < end; )
		if (!send_inner(sock, VPN(1), 200))
			usleep(200);
	talker.stop = 1;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	after = counters(index);
	expect(!reader.frames.torn && reader.frames.control == talker.controls, "%u control packets, got %u, %u torn",
	       talker.controls, reader.frames.control, reader.frames.torn);
	expect(reader.frames.data == after.tx_packets - before.tx_packets, "%llu data packets, got %u",
	       (unsigned long long)(after.tx_packets - before.tx_packets), reader.frames.data);
	close(own);
	close(far);
	close(sock);
	expect(!device_gone("t"), "the device to go");
}

/* The tunnel's own connection is routed into the tunnel; later it is routed right again and goes on. */
static void into_itself(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int listener, other, here, own, far, index, ntf;
	socklen_t len = sizeof(at);
	struct frames frames;
	uint8_t bytes[400];
	size_t size;
	char text[64];

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(!bind(listener, (void *)&at, sizeof(at)) && !listen(listener, 1), "a listening socket");
	getsockname(listener, (void *)&at, &len);
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	need(!unshare(CLONE_NEWNET), "another netns");
	run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	run("ip link set lo up; ip link add w type veth peer name w2");
	run("ip link set w2 netns /proc/%d/fd/%d", getpid(), other);
	run("ip addr add 10.77.0.1/24 dev w; ip link set w up");
	need(!setns(other, CLONE_NEWNET), "the other netns");
	run("ip addr add 10.77.0.2/24 dev w2; ip link set w2 up");
	need(!setns(here, CLONE_NEWNET), "the netns");

	at.sin_addr.s_addr = htonl(0x0a4d0002);
	own = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	need(!connect(own, (void *)&at, sizeof(at)), "a connection");
	far = accept(listener, NULL, NULL);
	ntf = events();
	index = device("t", false, true);
	peer(index, false, 1, own, 0);
	run("ip route add 10.77.0.2/32 dev t");
	step("a connection that is routed into itself");
	size = control_frame(bytes, 1, 300);
	need(send(own, bytes, size, 0) == (ssize_t)size, "to send");
	expect(recv_within(far, text, sizeof(text), 3000) < 0, "nothing to arrive");
	run("ip route del 10.77.0.2/32 dev t");
	step("routed right again");
	frames = read_frames(far, 8000);
	expect(frames.control == 1 && !frames.torn, "the packet once the route is right, got %u", frames.control);
	close(own);
	expect_ended(ntf, 1, TRANSPORT_DISCONNECT);
	expect(!device_gone("t"), "the device to go");
}

const struct test tcp_tests[] = {
	{ "tcp", "remote-close", remote_close },
	{ "tcp", "readiness", readiness },
	{ "tcp", "framing", framing },
	{ "tcp", "both-send", both_send },
	{ "tcp", "stalled-reader", stalled_reader, true },
	{ "tcp", "into-itself", into_itself, true },
	{ 0 },
};
