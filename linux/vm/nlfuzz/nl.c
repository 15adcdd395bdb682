// SPDX-License-Identifier: MIT OR GPL-2.0-only
#include "nl.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 20000		/* an emulated machine under load is slow; longer means the kernel hangs */

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int nl_open(int protocol)
{
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), on = 1, room = 1 << 20;
	struct sockaddr_nl local = { .nl_family = AF_NETLINK };

	if (sock < 0)
		return -1;
	setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(sock, (void *)&local, sizeof(local))) {
		close(sock);
		return -1;
	}
	return sock;
}

void nl_begin_raw(struct message *m, uint16_t type, uint16_t flags, const void *header, size_t len)
{
	static _Atomic uint32_t seq;
	struct nlmsghdr h = {
		.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = ++seq,
	};

	memset(m->bytes, 0, NLMSG_HDRLEN + NLMSG_ALIGN(len));
	memcpy(m->bytes, &h, sizeof(h));
	memcpy(m->bytes + NLMSG_HDRLEN, header, len);
	m->used = NLMSG_HDRLEN + NLMSG_ALIGN(len);
}

void nl_begin(struct message *m, uint16_t type, uint16_t flags, uint8_t command, uint8_t version)
{
	struct genlmsghdr h = { .cmd = command, .version = version };

	nl_begin_raw(m, type, flags, &h, sizeof(h));
}

void nl_put(struct message *m, uint16_t type, const void *data, size_t len)
{
	struct nlattr a = { .nla_type = type, .nla_len = NLA_HDRLEN + len };

	if (m->used + NLA_HDRLEN + NLA_ALIGN(len) > MESSAGE_MAX)
		return;
	memset(m->bytes + m->used, 0, NLA_HDRLEN + NLA_ALIGN(len));
	memcpy(m->bytes + m->used, &a, sizeof(a));
	if (len)
		memcpy(m->bytes + m->used + NLA_HDRLEN, data, len);
	m->used += NLA_HDRLEN + NLA_ALIGN(len);
}

void nl_put_u8(struct message *m, uint16_t type, uint8_t value) { nl_put(m, type, &value, sizeof(value)); }
void nl_put_u32(struct message *m, uint16_t type, uint32_t value) { nl_put(m, type, &value, sizeof(value)); }
void nl_put_string(struct message *m, uint16_t type, const char *value) { nl_put(m, type, value, strlen(value) + 1); }

uint32_t nl_nest(struct message *m, uint16_t type)
{
	uint32_t start = m->used;

	nl_put(m, type, NULL, 0);
	return start;
}

void nl_nest_end(struct message *m, uint32_t start)
{
	uint16_t len = m->used - start;

	if (start < m->used)
		memcpy(m->bytes + start, &len, sizeof(len));
}

void nl_end(struct message *m) { memcpy(m->bytes, &m->used, sizeof(m->used)); }

const uint8_t *nl_find(const uint8_t *attrs, size_t size, uint16_t type, size_t *len)
{
	while (size >= NLA_HDRLEN) {
		struct nlattr a;

		memcpy(&a, attrs, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || a.nla_len > size)
			return NULL;
		if ((a.nla_type & NLA_TYPE_MASK) == type) {
			*len = a.nla_len - NLA_HDRLEN;
			return attrs + NLA_HDRLEN;
		}
		if ((size_t)NLA_ALIGN(a.nla_len) >= size)
			return NULL;
		attrs += NLA_ALIGN(a.nla_len);
		size -= NLA_ALIGN(a.nla_len);
	}
	return NULL;
}

const uint8_t *nl_attrs(const uint8_t *message, size_t size, size_t *len)
{
	if (size < NLMSG_HDRLEN + GENL_HDRLEN)
		return NULL;
	*len = size - NLMSG_HDRLEN - GENL_HDRLEN;
	return message + NLMSG_HDRLEN + GENL_HDRLEN;
}

static void take_error(struct answer *answer, const uint8_t *bytes, const struct nlmsghdr *h)
{
	struct nlmsgerr e;
	size_t skip = NLMSG_HDRLEN + sizeof(e), len;
	const uint8_t *text;

	memcpy(&e, bytes + NLMSG_HDRLEN, sizeof(e));
	answer->error = -e.error;
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip = NLMSG_HDRLEN + sizeof(e.error) + NLMSG_ALIGN(e.msg.nlmsg_len);
	if (skip >= h->nlmsg_len)
		return;
	text = nl_find(bytes + skip, h->nlmsg_len - skip, NLMSGERR_ATTR_MSG, &len);
	if (!text)
		return;
	answer->text = true;
	if (len >= sizeof(answer->said))
		len = sizeof(answer->said) - 1;
	memcpy(answer->said, text, len);
}

/* One buffer of answers to `seq`; true: that was the last. */
static bool take(struct answer *answer, const uint8_t *bytes, ssize_t size, uint32_t seq)
{
	struct nlmsghdr h;

	for (; size >= (ssize_t)sizeof(h); bytes += NLMSG_ALIGN(h.nlmsg_len), size -= NLMSG_ALIGN(h.nlmsg_len)) {
		memcpy(&h, bytes, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > size)
			return false;
		if (h.nlmsg_seq != seq)
			continue;		/* what is left of an earlier request */
		if (h.nlmsg_type == NLMSG_ERROR) {
			take_error(answer, bytes, &h);
			return true;
		}
		if (h.nlmsg_type == NLMSG_DONE) {
			int error = 0;

			if (h.nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
				memcpy(&error, bytes + NLMSG_HDRLEN, sizeof(error));
			answer->error = -error;
			if (h.nlmsg_flags & NLM_F_ACK_TLVS) {
				size_t len;

				answer->text = nl_find(bytes + NLMSG_HDRLEN + 4, h.nlmsg_len - NLMSG_HDRLEN - 4,
						       NLMSGERR_ATTR_MSG, &len) != NULL;
			}
			return true;
		}
		answer->replies++;
		answer->reply_len = h.nlmsg_len < sizeof(answer->reply) ? h.nlmsg_len : sizeof(answer->reply);
		memcpy(answer->reply, bytes, answer->reply_len);
	}
	return false;
}

void nl_ask(int sock, struct message *m, struct answer *answer)
{
	static _Thread_local _Alignas(8) uint8_t buffer[65536];
	struct nlmsghdr h;

	memset(answer, 0, sizeof(*answer));
	answer->error = -1;
	memcpy(&h, m->bytes, sizeof(h));
	if (send(sock, m->bytes, m->used, 0) < 0) {
		answer->error = errno;
		return;
	}
	for (;;) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		ssize_t size;

		if (poll(&p, 1, ANSWER_MS) <= 0)
			return;
		size = recv(sock, buffer, sizeof(buffer), 0);
		if (size < 0 && errno != ENOBUFS) {
			answer->error = errno;
			return;
		}
		if (size > 0 && take(answer, buffer, size, h.nlmsg_seq))
			return;
	}
}

uint16_t genl_family(const char *name, const char *group, uint32_t *group_id)
{
	int sock = nl_open(NETLINK_GENERIC);
	struct message m;
	struct answer answer;
	const uint8_t *attrs, *found, *groups;
	size_t len, size;
	uint16_t id = 0;

	*group_id = 0;
	if (sock < 0)
		return 0;
	nl_begin(&m, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 1);
	nl_put_string(&m, CTRL_ATTR_FAMILY_NAME, name);
	nl_end(&m);
	nl_ask(sock, &m, &answer);
	close(sock);
	if (answer.error || !answer.replies)
		return 0;
	attrs = nl_attrs(answer.reply, answer.reply_len, &size);
	found = attrs ? nl_find(attrs, size, CTRL_ATTR_FAMILY_ID, &len) : NULL;
	if (!found || len != sizeof(id))
		return 0;
	memcpy(&id, found, sizeof(id));

	groups = nl_find(attrs, size, CTRL_ATTR_MCAST_GROUPS, &size);
	while (groups && size > NLA_HDRLEN) {
		struct nlattr a;
		const uint8_t *text;

		memcpy(&a, groups, sizeof(a));
		text = nl_find(groups + NLA_HDRLEN, a.nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_NAME, &len);
		if (text && !strcmp((const char *)text, group)) {
			found = nl_find(groups + NLA_HDRLEN, a.nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_ID, &len);
			if (found)
				memcpy(group_id, found, sizeof(*group_id));
		}
		if ((size_t)NLA_ALIGN(a.nla_len) >= size)
			break;
		groups += NLA_ALIGN(a.nla_len);
		size -= NLA_ALIGN(a.nla_len);
	}
	return id;
}

bool nl_join(int sock, uint32_t group)
{
	return !setsockopt(sock, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
}

static int link_ask(struct message *m)
{
	int sock = nl_open(NETLINK_ROUTE);
	struct answer answer = { .error = -1 };

	nl_end(m);
	if (sock >= 0)
		nl_ask(sock, m, &answer);
	close(sock);
	return answer.error;
}

int link_new(const char *kind, const char *name, int mode)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct message m;
	uint32_t nest, data;

	nl_begin_raw(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	nl_put_string(&m, IFLA_IFNAME, name);
	nest = nl_nest(&m, IFLA_LINKINFO);
	nl_put_string(&m, IFLA_INFO_KIND, kind);
	if (mode >= 0) {
		data = nl_nest(&m, IFLA_INFO_DATA);
		nl_put_u8(&m, 1, mode);
		nl_nest_end(&m, data);
	}
	nl_nest_end(&m, nest);
	return link_ask(&m);
}

int link_del(const char *name)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct message m;

	nl_begin_raw(&m, RTM_DELLINK, 0, &info, sizeof(info));
	nl_put_string(&m, IFLA_IFNAME, name);
	return link_ask(&m);
}

int link_up(const char *name)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct message m;

	nl_begin_raw(&m, RTM_NEWLINK, 0, &info, sizeof(info));
	nl_put_string(&m, IFLA_IFNAME, name);
	return link_ask(&m);
}
