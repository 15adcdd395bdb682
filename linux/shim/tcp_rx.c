// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Receiving over TCP: frames are walked where they lie in the receive queue's skbs. Those that are contiguous go to
 * dco_data_receive() in place, as one train; one that is spread over two pieces is put together in `assembly` and goes
 * with them, in its place. Everything here is under the socket's lock.
 */
#include <linux/skbuff.h>

#include "tcp.h"

static void dco_tcp_flush(struct dco_tcp *tcp)
{
	static const struct dco_endpoint nowhere;
	struct dco_link *link = rcu_dereference(tcp->socket->link);

	if (tcp->packets && link)
		dco_data_receive(tcp->socket->dev, tcp->train, tcp->packets, link->peer_id, &nowhere);
	tcp->packets = 0;
	if (tcp->assembled && tcp->unfinished)
		memmove(tcp->assembly, tcp->assembly + tcp->assembled, tcp->unfinished);
	tcp->assembled = 0;
}

/* A control packet, for userspace, its prefix before it. */
static void dco_tcp_to_user(struct dco_tcp *tcp, const u8 *packet, u32 len)
{
	u32 size = len + DCO_TCP_PREFIX;
	struct sk_buff *skb = NULL;

	if (skb_queue_len(&tcp->user) < DCO_TCP_USER_PACKETS && tcp->user_bytes + size <= DCO_TCP_USER_BYTES)
		skb = alloc_skb(size, GFP_ATOMIC | __GFP_NOWARN);
	if (!skb) {
		dco_core_count_drop(tcp->socket->dev->core, smp_processor_id(), DCO_SHIM_RX_NO_MEMORY, 1);
		return;
	}
	skb_put_data(skb, packet - DCO_TCP_PREFIX, size);
	__skb_queue_tail(&tcp->user, skb);
	tcp->user_bytes += size;
}

/* One packet, its prefix before it. False: the peer must go. */
static bool dco_tcp_packet(struct dco_tcp *tcp, const u8 *packet, u32 len)
{
	if (dco_is_data_v2(packet[0])) {
		tcp->train[tcp->packets++] = (struct dco_datagram){ .data = packet, .len = len };
		if (tcp->packets == DCO_TRAIN_MAX)
			dco_tcp_flush(tcp);
		return true;
	}
	if (dco_is_data_v1(packet[0]) && tcp->socket->dev->personality->tcp_data_v1_kills)
		return false;
	dco_tcp_to_user(tcp, packet, len);
	return true;
}

/* Room for an unfinished frame of `size` bytes in all, of which some are there. */
static bool dco_tcp_reserve(struct dco_tcp *tcp, u32 size)
{
	u8 *larger;

	if (tcp->assembled + size <= tcp->assembly_size)
		return true;
	dco_tcp_flush(tcp);
	if (size <= tcp->assembly_size)
		return true;
	size = roundup_pow_of_two(size);
	larger = kmalloc(size, GFP_ATOMIC | __GFP_NOWARN);
	if (!larger)
		return false;
	memcpy(larger, tcp->assembly, tcp->unfinished);
	kfree(tcp->assembly);
	tcp->assembly = larger;
	tcp->assembly_size = size;
	return true;
}

/*
 * Adds to the unfinished frame until it has `size` bytes. Returns the bytes taken; less than were missing is all there
 * was. Negative: no memory.
 */
static int dco_tcp_add(struct dco_tcp *tcp, const u8 *bytes, u32 len, u32 size)
{
	u32 take = min(len, size - tcp->unfinished);

	if (!dco_tcp_reserve(tcp, size))
		return -ENOMEM;
	memcpy(tcp->assembly + tcp->assembled + tcp->unfinished, bytes, take);
	tcp->unfinished += take;
	return take;
}

/* Contiguous bytes of the stream, readable until the train is flushed. False: the peer must go. */
static bool dco_tcp_bytes(struct dco_tcp *tcp, const u8 *bytes, u32 len)
{
	u32 packet_len, size, assembled;
	int taken;

	while (len) {
		if (!tcp->unfinished && len >= DCO_TCP_PREFIX) {
			packet_len = get_unaligned_be16(bytes);
			if (packet_len < DCO_TCP_PACKET_MIN)
				return false;
			size = DCO_TCP_PREFIX + packet_len;
			if (len >= size) {
				if (!dco_tcp_packet(tcp, bytes + DCO_TCP_PREFIX, packet_len))
					return false;
				bytes += size;
				len -= size;
				continue;
			}
		}
		size = DCO_TCP_PREFIX;
		if (tcp->unfinished < DCO_TCP_PREFIX) {
			taken = dco_tcp_add(tcp, bytes, len, size);
			if (taken < 0)
				return false;
			bytes += taken;
			len -= taken;
			if (tcp->unfinished < DCO_TCP_PREFIX)
				return true;
		}
		packet_len = get_unaligned_be16(tcp->assembly + tcp->assembled);
		if (packet_len < DCO_TCP_PACKET_MIN)
			return false;
		size += packet_len;
		taken = dco_tcp_add(tcp, bytes, len, size);
		if (taken < 0)
			return false;
		bytes += taken;
		len -= taken;
		if (tcp->unfinished < size)
			return true;
		/* Finished: it is the train's. In this order, because delivering it may flush. */
		assembled = tcp->assembled;
		tcp->assembled += size;
		tcp->unfinished = 0;
		if (!dco_tcp_packet(tcp, tcp->assembly + assembled + DCO_TCP_PREFIX, packet_len))
			return false;
	}
	return true;
}

/* tcp_read_sock()'s actor: one skb of the receive queue. What is ours of it is copied or used up when this returns. */
static int dco_tcp_actor(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	struct dco_tcp *tcp = desc->arg.data;
	struct skb_seq_state pieces;
	unsigned int done = 0, piece;
	const u8 *bytes;
	bool good = !tcp->ended;

	if (!good)
		return len;
	skb_prepare_seq_read(skb, offset, offset + len, &pieces);
	while (good && (piece = skb_seq_read(done, &bytes, &pieces)) != 0) {
		good = dco_tcp_bytes(tcp, bytes, piece);
		/* The next piece's mapping takes the place of this one's. */
		if (IS_ENABLED(CONFIG_HIGHMEM))
			dco_tcp_flush(tcp);
		done += piece;
	}
	if (!good)
		skb_abort_seq_read(&pieces);
	dco_tcp_flush(tcp);
	if (!good)
		dco_tcp_end(tcp, DCO_DEL_TRANSPORT_ERROR);
	return len;
}

void dco_tcp_receive(struct dco_tcp *tcp)
{
	read_descriptor_t desc = { .arg.data = tcp, .count = 1 };
	unsigned int before = skb_queue_len(&tcp->user);

	/* The bytes stay where they are, in order, until a task comes for them. */
	if (!dco_crypto_usable()) {
		dco_tcp_kick(tcp, 0);
		return;
	}
	/* Not in softirq when release_sock() works through what came while the socket was in use. */
	local_bh_disable();
	rcu_read_lock();
	tcp_read_sock(tcp->sk, &desc, dco_tcp_actor);
	if (skb_queue_len(&tcp->user) != before)
		tcp->old_data_ready(tcp->sk);
	rcu_read_unlock();
	local_bh_enable();
}
