// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Which way packets go, outside and inside; how large they may be; who is told, and what is counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel.h"

#define OTHER_ADDRESS	0x7f000002u
#define THIRD_ADDRESS	0x7f000003u

static uint32_t came_from(int sock)
{
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	uint8_t bytes[2048];
	struct pollfd p = { .fd = sock, .events = POLLIN };

	if (poll(&p, 1, 5000) <= 0 || recvfrom(sock, bytes, sizeof(bytes), MSG_DONTWAIT, (void *)&from, &len) <= 0)
		return 0;
	return ntohl(from.sin_addr.s_addr);
}

/* Datagrams leave with the address that the socket is bound to, or the one that userspace named. */
static void source_address(void)
{
	const uint32_t third = htonl(THIRD_ADDRESS);
	int index = device("t", true, true), sock = udp_at(0, NULL), far;
	struct request r;
	uint16_t port;
	uint32_t from;

	far = udp_at(LOOPBACK_ADDRESS, &port);
	peer(index, true, 1, udp_at(OTHER_ADDRESS, NULL), port);
	need(send_inner(sock, VPN(1), 10), "to send");
	from = came_from(far);
	expect(from == OTHER_ADDRESS, "a datagram from 127.0.0.2, where the socket is bound, got one from %08x", from);

	r = peer_request(index, true, 2, udp_at(0, NULL), port);
	request_set(&r, NEST, family == V2 ? 6 : 10, &third, 4);
	errno = ask(&r);
	need(!errno && !key_new(index, 2), "a peer with a local address");
	need(send_inner(sock, VPN(2), 10), "to send");
	from = came_from(far);
	expect(from == THIRD_ADDRESS, "a datagram from 127.0.0.3, the peer's local address, got one from %08x", from);
	expect(!device_gone("t"), "the device to go");
}

/* A socket that is bound to a VRF is routed by the VRF's table. */
static void bound_device(void)
{
	int index = device("t", true, true), sock = udp_at(0, NULL), fd = udp_at(0, NULL), wire, i;
	struct sockaddr_in remote = { .sin_family = AF_INET, .sin_port = htons(5000), .sin_addr.s_addr = htonl(0x0a4d0002) };
	struct request r;

	run("ip link add blue type vrf table 10; ip link set blue up");
	run("ip link add wire type dummy; ip link set wire master blue; ip addr add 10.77.0.1/24 dev wire; ip link set wire up");
	run("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev wire nud permanent");
	need(!setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "blue", 5), "a socket bound to a VRF");
	r = peer_request(index, true, 1, fd, 5000);
	if (family == V2)
		request_set(&r, NEST, 2, &remote, sizeof(remote));
	else
		request_set(&r, NEST, 2, &remote.sin_addr, 4);
	errno = ask(&r);
	need(!errno && !key_new(index, 1), "a peer");
	wire = if_nametoindex("wire");
	usleep(100000);
	i = counters(wire).tx_packets;
	need(send_inner(sock, VPN(1), 10), "to send");
	i = counters(wire).tx_packets - i;
	expect(i == 1, "a datagram on the VRF's wire, got %d", i);
	expect(!device_gone("t"), "the device to go");
}

/* A network behind a client is reached by a route whose gateway is the client's VPN address. */
static void iroute(void)
{
	int index = device("t", true, true), sock = udp_at(0, NULL), fd = udp_at(LOOPBACK_ADDRESS, NULL), far[2], i;
	uint16_t port[2];

	for (i = 0; i < 2; i++) {
		far[i] = udp_at(LOOPBACK_ADDRESS, &port[i]);
		peer(index, true, i + 1, fd, port[i]);
	}
	run("ip route add 192.168.71.0/24 via 10.0.0.2 dev t; ip route add 10.9.9.9/32 via 10.0.0.1 dev t");
	need(send_inner(sock, VPN(1), 10), "to send");
	expect(came_from(far[0]), "a packet for peer 1");
	need(send_inner(sock, 0xc0a84705, 10), "to send");
	expect(came_from(far[1]), "a packet for the network behind peer 2");
	need(send_inner(sock, 0x0a090909, 10), "to send");
	expect(came_from(far[0]), "a packet for an address behind peer 1 that is not of the device's subnet");
	expect(!device_gone("t"), "the device to go");
}

/* Two devices that are each other's ends: what is put on `b` comes out of `a`, whose peer 1 it is. */
static void two_devices(int *a, int *b)
{
	uint16_t at_a, at_b;
	int fa = udp_at(LOOPBACK_ADDRESS, &at_a), fb = udp_at(LOOPBACK_ADDRESS, &at_b);

	*a = device("a", true, true);
	*b = device("b", false, false);
	peer(*a, true, 1, fa, at_b);
	peer(*b, false, 1, fb, at_a);
}

/* Whether a packet of this source passes the check. */
static bool passes(int a, int b, uint32_t source)
{
	struct counters before = counters(a), after;
	const double end = now() + 20;

	inject(b, source, 0x0a000064, 40);
	do {
		after = counters(a);
	} while (now() < end && after.rx_packets == before.rx_packets && after.rx_dropped == before.rx_dropped);
	return after.rx_packets > before.rx_packets;
}

static int set_source_check(const char *name, uint8_t on)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = if_nametoindex(name) };
	int sock = nl_open(NETLINK_ROUTE);
	uint32_t nest, data;
	struct answer answer;
	struct message m;

	nl_begin_raw(&m, RTM_NEWLINK, 0, &info, sizeof(info));
	nest = nl_nest(&m, IFLA_LINKINFO);
	nl_put_string(&m, IFLA_INFO_KIND, families[family].kind);
	data = nl_nest(&m, IFLA_INFO_DATA);
	nl_put_u8(&m, 48, on);
	nl_nest_end(&m, data);
	nl_nest_end(&m, nest);
	nl_end(&m);
	nl_ask(sock, &m, &answer);
	close(sock);
	return answer.error;
}

/* Inner sources: a peer's own address and the networks behind it, whatever routes other devices have; and the switch. */
static void source_check(void)
{
	int a, b;

	two_devices(&a, &b);
	run("ip route add 192.168.71.0/24 via 10.0.0.1 dev a");
	run("ip link add lan type dummy; ip link set lan up; ip route add 192.168.71.128/25 dev lan");
	expect(passes(a, b, VPN(1)), "a packet from the peer's own address to pass");
	expect(passes(a, b, 0xc0a84705), "a packet from the network behind the peer to pass");
	expect(passes(a, b, 0xc0a847c8), "a packet from a part of that network that another device has as well to pass");
	run("ip rule add from all lookup 99 prio 1; ip route add default dev lan table 99");
	expect(passes(a, b, 0xc0a84705), "a packet from the network behind the peer to pass whatever ip rule says");
	run("ip rule del prio 1");
	expect(!passes(a, b, VPN(2)), "a packet from another's address to be dropped");
	expect(!passes(a, b, 0xc0a84801), "a packet from a network that is not behind the peer to be dropped");
	expect(!set_source_check("a", 0), "the check to be switched off");
	expect(passes(a, b, 0xc0a84801), "a packet from anywhere to pass without the check");
	expect(!device_gone("a") && !device_gone("b"), "the devices to go");
}

/* A packet as large as the device takes, over a wire that is not larger: the outer one is fragmented. */
static void large_packets(void)
{
	static const uint8_t localhost[16] = { [15] = 1 };
	int index = device("t", true, true), sock = udp_at(0, NULL), far, got, six;
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr.s6_addr = { [15] = 1 } };
	socklen_t len = sizeof(at);
	struct request r;
	uint16_t port;
	uint8_t bytes[2048];

	run("ip link set lo mtu 1500; ip link set dev t mtu 1500");
	far = udp_at(LOOPBACK_ADDRESS, &port);
	peer(index, true, 1, udp_at(LOOPBACK_ADDRESS, NULL), port);
	need(send_inner(sock, VPN(1), 1472), "to send");
	got = recv_within(far, bytes, sizeof(bytes), 5000);
	expect(got == 1524, "1500 bytes over IPv4 to arrive as 1524, got %d", got);

	far = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	need(!bind(far, (void *)&at, sizeof(at)) && !getsockname(far, (void *)&at, &len), "an IPv6 socket");
	six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	need(!bind(six, (void *)&(struct sockaddr_in6){ .sin6_family = AF_INET6 }, sizeof(at)), "an IPv6 socket");
	r = peer_request(index, true, 2, six, 1);
	if (family == V2) {
		request_set(&r, NEST, 2, &at, sizeof(at));
	} else {
		request_omit(&r, NEST, 2);
		request_set(&r, NEST, 3, localhost, 16);
		request_set(&r, NEST, 5, &at.sin6_port, 2);
	}
	errno = ask(&r);
	need(!errno && !key_new(index, 2), "a peer over IPv6");
	need(send_inner(sock, VPN(2), 1472), "to send");
	got = recv_within(far, bytes, sizeof(bytes), 5000);
	expect(got == 1524, "1500 bytes over IPv6 to arrive as 1524, got %d", got);
	expect(!device_gone("t"), "the device to go");
}

static uint64_t peer_counter(int index, uint16_t type)
{
	int sock = nl_open(NETLINK_GENERIC);
	struct request r;
	struct answer answer;
	const uint8_t *attrs;
	uint64_t value = 0;
	size_t size, len;

	request_base(&r, family, family == V2 ? (int)V2_GET_PEER : (int)ML_PEER_GET, index, false, 1, -1);
	request_ask(sock, &r, &answer);
	close(sock);
	attrs = nl_attrs(answer.reply, answer.reply_len, &size);
	attrs = attrs ? nl_find(attrs, size, family == V2 ? 8 : 2, &size) : NULL;
	attrs = attrs ? nl_find(attrs, size, type, &len) : NULL;
	need(attrs && len <= sizeof(value), "a peer's counters");
	memcpy(&value, attrs, len);
	return value;
}

/* Packets and bytes of a device and of its peer, to the byte. */
static void counted(void)
{
	const uint16_t first = family == V2 ? 9 : 16;		/* VPN_RX_BYTES; then VPN_TX_BYTES, packets; LINK_... */
	struct counters at_a, at_b;
	int a, b, i;

	two_devices(&a, &b);
	for (i = 0; i < 10; i++)
		inject(b, VPN(1), VPN(2), 128);
	received(a, 10);
	at_a = counters(a);
	at_b = counters(b);
	expect(at_b.tx_packets == 10 && at_b.tx_bytes == 1280, "10 packets and 1280 bytes sent, got %llu and %llu",
	       (unsigned long long)at_b.tx_packets, (unsigned long long)at_b.tx_bytes);
	expect(at_a.rx_packets == 10 && at_a.rx_bytes == 1280, "10 packets and 1280 bytes received, got %llu and %llu",
	       (unsigned long long)at_a.rx_packets, (unsigned long long)at_a.rx_bytes);
	expect(peer_counter(b, first + 1) == 1280 && peer_counter(b, first + 3) == 10, "the peer's bytes and packets sent");
	expect(peer_counter(a, first) == 1280 && peer_counter(a, first + 2) == 10, "the peer's bytes and packets received");
	expect(peer_counter(b, first + 5) == 1520 && peer_counter(a, first + 4) == 1520, "24 bytes more a packet on the wire");
	expect(!device_gone("a") && !device_gone("b"), "the devices to go");
}

/* The device is in another netns than its socket: OpenVPN is told where its interface says. */
static void moved_device(void)
{
	int index = device("t", true, false), fd = udp_at(0, NULL), here = events(), other, there, home;
	uint32_t id, reason;

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	peer(index, true, 1, fd, 4001);
	need(!unshare(CLONE_NEWNET), "another netns");
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	there = events();
	need(!setns(home, CLONE_NEWNET), "the netns");
	run("ip link set dev t netns /proc/%d/fd/%d", getpid(), other);
	expect(!peer_ended(here, 300, &id, &reason) && !peer_ended(there, 0, &id, &reason), "the peer to outlive the move");
	close(fd);
	expect_ended(family == V2 ? there : here, 1, TRANSPORT_DISCONNECT);
	expect(!peer_ended(family == V2 ? here : there, 100, &id, &reason), "nobody else to be told");
	need(!setns(other, CLONE_NEWNET), "the other netns");
	expect(!device_gone("t"), "the device to go");
}

const struct test routes_tests[] = {
	{ "routes", "source-address", source_address },
	{ "routes", "bound-device", bound_device },
	{ "routes", "iroute", iroute },
	{ "routes", "source-check", source_check },
	{ "routes", "large-packets", large_packets },
	{ "routes", "counted", counted },
	{ "routes", "moved-device", moved_device },
	{ 0 },
};
