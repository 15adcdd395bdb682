// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The data path between the device and the core.
 *
 * Sending works on trains: what one skb of the stack holds. A GSO skb is segmented, into memory (segment.c) or by the
 * kernel into linear skbs; the core encrypts from there into one buffer, packet behind packet. For UDP the buffer
 * becomes the page fragment of a GSO skb of equal datagrams (the last may be shorter), for TCP the linear data of one
 * skb of frames. Only the core knows which of them it is: it leaves room for the lengths of frames (dco.h).
 *
 * All of this is for one processor with BH off: the scratch is that processor's.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ip_tunnels.h>
#include <net/route.h>

#include "addr.h"
#include "pages.h"
#include "segment.h"
#include "shim.h"

/* What a train's buffer holds. */
#define DCO_BUFFER_TAIL		SKB_DATA_ALIGN(sizeof(struct skb_shared_info))
#define DCO_BUFFER_MAX		(DCO_PAGES_SIZE - DCO_BUFFER_TAIL)

/* What a packet takes in it, the length of a frame included. */
#define DCO_SEALED(len)		((len) + DCO_OVERHEAD + DCO_LONGER + DCO_FRAME_LENGTH)
#define DCO_FRAME_LENGTH	2
#ifdef DCO_EPOCH
#define DCO_LONGER		DCO_EPOCH_LONGER
#else
#define DCO_LONGER		0
#endif

/* Room before a received packet, for the headers of where it is forwarded to. */
#define DCO_RX_HEADROOM		(NET_SKB_PAD + NET_IP_ALIGN)

/* Packets that wait for a context in which ciphers may be used: a few milliseconds' worth. */
#define DCO_PUT_OFF_MAX		1024

struct dco_scratch {
	bool sending;
	struct page *plain;			/* segments on their way to the cipher; made by the first who needs it */
	struct dco_pages sealed;		/* trains' buffers */
	struct dco_pages opened;		/* received packets' data */
	struct page *opening;			/* of `opened`, whose first `left` bytes are free */
	unsigned int left;
	struct dco_buf tx[DCO_TRAIN_MAX];
	struct dco_buf rx[DCO_TRAIN_MAX];
	struct sk_buff *inner[DCO_TRAIN_MAX];	/* those that rx decrypts into */
};

/* ------------------------------------------------------------------ sending -------------------------------------- */

static void dco_tx_dropped(struct dco_dev *dev, u32 reason, unsigned int packets)
{
	dco_core_count_drop(dev->core, smp_processor_id(), reason, packets);
	DEV_STATS_ADD(dev->net, tx_dropped, packets);
}

/*
 * MP: which VPN address a packet goes to: the gateway that routing chose, else the destination. A packet without a
 * route of this device (a packet socket's, one redirected by tc) is looked up.
 */
static struct dco_addr dco_next_hop(struct dco_dev *dev, const struct sk_buff *skb)
{
	const struct dst_entry *dst = skb_valid_dst(skb) ? skb_dst(skb) : NULL;
	const bool ipv4 = ip_hdr(skb)->version == 4;
	struct dco_addr target, next_hop;

	target = ipv4 ? dco_addr_v4(ip_hdr(skb)->daddr) : dco_addr_v6(&ipv6_hdr(skb)->daddr);
	if (dst && dst->dev == dev->net) {
		if (ipv4) {
			const struct rtable *rt = container_of(dst, struct rtable, dst);

			if (!rt->rt_gw_family)
				return target;
			return rt->rt_gw_family == AF_INET ? dco_addr_v4(rt->rt_gw4) : dco_addr_v6(&rt->rt_gw6);
		}
		return dco_addr_v6(rt6_nexthop(container_of(dst, struct rt6_info, dst), &ipv6_hdr(skb)->daddr));
	}
	return dco_shim_route_back(dev, &target, &next_hop) ? next_hop : target;
}

/* Makes a packet one that can be read from skb->data on, with its checksum in place. */
static bool dco_segment_ready(struct sk_buff *skb)
{
	if (skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(skb))
		return false;
	return !skb_linearize(skb);
}

/* Frees inner packets that were sent. */
static void dco_inner_sent(struct sk_buff *inner)
{
	struct sk_buff *next;

	for (; inner; inner = next) {
		next = inner->next;
		skb_mark_not_on_list(inner);
		napi_consume_skb(inner, 1);
	}
}

/*
 * Moves a local socket's hold on the packet it sent to what is sent in its place, so that the socket (TCP small queues,
 * SO_SNDBUF) waits for the outer packet. What is given back in the end is what was charged: the inner skb's truesize.
 */
static void dco_owner_move(struct sk_buff *to, struct sk_buff *inner)
{
	struct sock *sk = inner ? inner->sk : NULL;

	/* Packet sockets have destructors that want their own skb. TCP's ACKs are charged next to nothing. */
	if (!sk || inner->next || !sk_fullsock(sk) || (sk->sk_family != AF_INET && sk->sk_family != AF_INET6) ||
	    inner->truesize < inner->len)
		return;
	to->sk = sk;
	to->destructor = inner->destructor;
	to->truesize = inner->truesize;
	inner->sk = NULL;
	inner->destructor = NULL;
}

static void dco_inner_dropped(struct sk_buff *inner)
{
	kfree_skb_list(inner);
}

/* A datagram, or a run of datagrams of `size` bytes, as a fragment of `page`. Takes a reference to the page. */
static struct sk_buff *dco_run_skb(struct page *page, unsigned int offset, unsigned int len, unsigned int size,
				   unsigned int packets)
{
	struct sk_buff *skb = alloc_skb(DCO_UDP_HEADROOM, GFP_ATOMIC | __GFP_NOWARN);

	if (!skb)
		return NULL;
	skb_reserve(skb, DCO_UDP_HEADROOM);
	get_page(page);
	skb_add_rx_frag(skb, 0, page, offset, len, len);
	if (packets > 1) {
		skb_shinfo(skb)->gso_type = SKB_GSO_UDP_L4;
		skb_shinfo(skb)->gso_size = size;
		skb_shinfo(skb)->gso_segs = packets;
	}
	return skb;
}

/*
 * Sends the datagrams of a train that passed, as runs: neighbours of one length, the last of them perhaps shorter. The
 * last run takes over from `inner`. Returns packets lost.
 */
static unsigned int dco_send_runs(struct dco_dev *dev, const struct dco_seal *seal, struct page *page,
				  struct sk_buff *inner, u32 priority)
{
	const u8 *start = page_address(page);
	unsigned int i = 0, lost = 0;

	while (i < seal->count) {
		const struct dco_buf *first = &seal->bufs[i], *buf = first;
		unsigned int packets = 0, len = 0;
		struct sk_buff *skb;

		for (; i < seal->count; i++, buf++) {
			if (buf->verdict != DCO_PASS || buf->dst != first->dst + len || buf->dst_len > first->dst_len)
				break;
			packets++;
			len += buf->dst_len;
			if (buf->dst_len < first->dst_len) {
				i++;
				break;
			}
		}
		if (!packets) {
			i++;
			continue;
		}
		skb = dco_run_skb(page, first->dst - start, len, first->dst_len, packets);
		if (!skb) {
			lost += packets;
			continue;
		}
		skb->priority = priority;
		if (i == seal->count)
			dco_owner_move(skb, inner);
		lost += dco_udp_send(dev, seal->link, &seal->to, seal->generation, skb);
	}
	return lost;
}

/* Writes the frames' lengths and closes gaps that dropped packets left. Returns the bytes of all frames. */
static unsigned int dco_frames_finish(const struct dco_seal *seal, u8 *start)
{
	unsigned int i, len = 0;

	for (i = 0; i < seal->count; i++) {
		const struct dco_buf *buf = &seal->bufs[i];
		u8 *frame = buf->dst - DCO_FRAME_LENGTH;

		if (buf->verdict != DCO_PASS)
			continue;
		put_unaligned_be16(buf->dst_len, frame);
		if (frame != start + len)
			memmove(start + len, frame, DCO_FRAME_LENGTH + buf->dst_len);
		len += DCO_FRAME_LENGTH + buf->dst_len;
	}
	return len;
}

/* Sends frames whose buffer is `skb`'s. The connection keeps the inner packets, so that their sockets wait for it. */
static unsigned int dco_send_frames(const struct dco_seal *seal, struct sk_buff *skb, struct sk_buff *inner)
{
	struct sk_buff *each;

	skb_put(skb, dco_frames_finish(seal, skb->data));
	for (each = inner; each; each = each->next) {
		skb_dst_drop(each);
		nf_reset_ct(each);
		skb_ext_reset(each);
	}
	skb_shinfo(skb)->frag_list = inner;
	return dco_tcp_send(seal->link, skb, seal->passed);
}

/* Lays the results out from `start` on, seals, and counts what the core dropped. False if nothing is left to send. */
static bool dco_seal_train(struct dco_dev *dev, struct dco_seal *seal, u8 *start)
{
	unsigned int i;

	for (i = 0; i < seal->count; i++) {
		struct dco_buf *buf = &seal->bufs[i];

		buf->dst = start;
		buf->dst_room = buf->src_len + DCO_OVERHEAD;
		start += buf->dst_room;
	}
	dco_core_seal(dev->core, seal);
	if (seal->passed < seal->count)
		DEV_STATS_ADD(dev->net, tx_dropped, seal->count - seal->passed);
	return seal->passed;
}

/* Counts what became of a train that was sealed. */
static void dco_sent(struct dco_dev *dev, const struct dco_seal *seal, unsigned int lost)
{
	unsigned int i, bytes = 0;

	if (unlikely(lost)) {
		dco_tx_dropped(dev, seal->link->socket->tcp ? DCO_SHIM_TX_QUEUE_FULL : DCO_SHIM_TX_SEND_FAILED, lost);
		return;
	}
	for (i = 0; i < seal->count; i++)
		if (seal->bufs[i].verdict == DCO_PASS)
			bytes += seal->bufs[i].src_len;
	dev_sw_netstats_tx_add(dev->net, seal->passed, bytes);
}

/* One packet: sealed into a linear skb. Takes `inner`. */
static void dco_send_one(struct dco_dev *dev, struct dco_seal *seal, struct sk_buff *inner, u32 priority)
{
	struct sk_buff *skb;

	skb = alloc_skb(DCO_UDP_HEADROOM + DCO_SEALED(seal->bufs[0].src_len), GFP_ATOMIC | __GFP_NOWARN);
	if (!skb) {
		dco_tx_dropped(dev, DCO_SHIM_TX_NO_MEMORY, 1);
		dco_inner_dropped(inner);
		return;
	}
	skb_reserve(skb, DCO_UDP_HEADROOM);
	if (!dco_seal_train(dev, seal, skb->data)) {
		kfree_skb(skb);
		dco_inner_dropped(inner);
		return;
	}
	skb->priority = priority;
	if (seal->link->socket->tcp) {
		dco_sent(dev, seal, dco_send_frames(seal, skb, inner));
		return;
	}
	dco_owner_move(skb, inner);
	dco_inner_sent(inner);
	skb_put(skb, seal->bufs[0].dst_len);
	dco_sent(dev, seal, dco_udp_send(dev, seal->link, &seal->to, seal->generation, skb));
}

/* Several packets: sealed into pages. Takes `inner` and the pages. */
static void dco_send_many(struct dco_dev *dev, struct dco_seal *seal, struct sk_buff *inner, u32 priority,
			  struct page *page)
{
	struct sk_buff *skb;

	if (!dco_seal_train(dev, seal, page_address(page))) {
		put_page(page);
		dco_inner_dropped(inner);
		return;
	}
	if (!seal->link->socket->tcp) {
		dco_sent(dev, seal, dco_send_runs(dev, seal, page, inner, priority));
		dco_inner_sent(inner);
		put_page(page);
		return;
	}
	skb = build_skb(page_address(page), DCO_PAGES_SIZE);
	if (skb) {
		dco_sent(dev, seal, dco_send_frames(seal, skb, inner));
		return;
	}
	put_page(page);
	dco_inner_dropped(inner);
	dco_tx_dropped(dev, DCO_SHIM_TX_NO_MEMORY, seal->passed);
}

/*
 * Sends the packets of a train, which fit a buffer if they are more than one. Takes `inner`: the skbs that it came from, or NULL
 * if more of them is to come.
 */
static void dco_send_train(struct dco_dev *dev, struct dco_seal *seal, struct sk_buff *inner, u32 priority)
{
	struct dco_buf *bufs = seal->bufs;
	unsigned int count = seal->count, i;
	struct page *page;

	if (count > 1) {
		page = dco_pages_get(&this_cpu_ptr(dev->scratch)->sealed);
		if (page) {
			dco_send_many(dev, seal, inner, priority, page);
			return;
		}
	}
	/* Or one by one, where memory is in pieces. */
	for (i = 0; i < count; i++) {
		seal->bufs = &bufs[i];
		seal->count = 1;
		dco_send_one(dev, seal, i + 1 == count ? inner : NULL, priority);
	}
	seal->bufs = bufs;
}

/* Adds a packet to a train. False if it is full. */
static bool dco_train_add(struct dco_seal *seal, unsigned int *room, const u8 *packet, unsigned int len)
{
	struct dco_buf *buf = &seal->bufs[seal->count];

	if (seal->count && (seal->count == DCO_TRAIN_MAX || *room + DCO_SEALED(len) > DCO_BUFFER_MAX))
		return false;
	*room += DCO_SEALED(len);
	buf->src = packet;
	buf->src_len = len;
	seal->count++;
	return true;
}

/* Sends a TCP GSO skb. Takes it, unless it is not for this way or there is no memory: false. */
static bool dco_send_tcp_segments(struct dco_dev *dev, struct dco_seal *seal, struct sk_buff *skb)
{
	struct dco_scratch *scratch = this_cpu_ptr(dev->scratch);
	struct dco_segments segments;
	unsigned int room, at, len;

	if (!dco_segments_begin(&segments, skb) || DCO_SEALED(dco_segments_len(&segments)) > DCO_BUFFER_MAX)
		return false;
	if (!scratch->plain)
		scratch->plain = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, DCO_PAGES_ORDER);
	if (!scratch->plain)
		return false;
	while (dco_segments_len(&segments)) {
		seal->count = 0;
		for (room = 0, at = 0; (len = dco_segments_len(&segments)); at += len) {
			u8 *to = page_address(scratch->plain) + at;

			if (!dco_train_add(seal, &room, to, len))
				break;
			dco_segments_next(&segments, to);
		}
		dco_send_train(dev, seal, len ? NULL : skb, skb->priority);
	}
	return true;
}

/* Sends a list of linear skbs with complete checksums. Takes them. */
static void dco_send_list(struct dco_dev *dev, struct dco_seal *seal, struct sk_buff *inner)
{
	while (inner) {
		struct sk_buff *first = inner, *last = NULL;
		unsigned int room = 0;

		seal->count = 0;
		for (; inner && dco_train_add(seal, &room, inner->data, inner->len); inner = inner->next)
			last = inner;
		last->next = NULL;
		dco_send_train(dev, seal, first, first->priority);
	}
}

/* The segments of an skb, fit for dco_send_list(); those that are not are dropped. Takes the skb. */
static struct sk_buff *dco_segment(struct dco_dev *dev, struct sk_buff *skb)
{
	struct sk_buff *inner = skb, **each;

	if (skb_is_gso(skb)) {
		inner = skb_gso_segment(skb, 0);
		if (IS_ERR(inner)) {
			dco_tx_dropped(dev, DCO_SHIM_TX_BAD_SKB, 1);
			kfree_skb(skb);
			return NULL;
		}
		if (inner)
			consume_skb(skb);
		else
			inner = skb;
	}
	for (each = &inner; *each; ) {
		skb = *each;
		if (likely(dco_segment_ready(skb))) {
			each = &skb->next;
			continue;
		}
		*each = skb->next;
		skb_mark_not_on_list(skb);
		dco_tx_dropped(dev, DCO_SHIM_TX_BAD_SKB, 1);
		kfree_skb(skb);
	}
	return inner;
}

/* Sends an skb of the stack. Takes it. Data context, ciphers usable. */
static void dco_data_send(struct dco_dev *dev, struct sk_buff *skb)
{
	struct dco_scratch *scratch = this_cpu_ptr(dev->scratch);
	struct dco_seal seal = {
		.bufs = scratch->tx, .cpu = smp_processor_id(), .now_ms = dco_shim_now_ms(),
	};

	/*
	 * Only a tunnel that is routed into itself comes here twice. The stack would stop it after some rounds; but
	 * each of them costs stack, and the scratch is in use.
	 */
	if (unlikely(scratch->sending)) {
		DEV_STATS_INC(dev->net, collisions);
		dco_tx_dropped(dev, DCO_SHIM_TX_SEND_FAILED, 1);
		kfree_skb(skb);
		return;
	}
	scratch->sending = true;
	if (dev->mode == DCO_MODE_MP)
		seal.next_hop = dco_next_hop(dev, skb);
	if (!skb_is_gso(skb) || !dco_send_tcp_segments(dev, &seal, skb))
		dco_send_list(dev, &seal, dco_segment(dev, skb));
	scratch->sending = false;
}

/* ------------------------------------------------------------------ receiving ------------------------------------ */

/* Memory for a packet in a shared buffer, to be freed by skb_free_frag(); NULL without memory. */
static void *dco_opened_alloc(struct dco_scratch *scratch, unsigned int size)
{
	if (scratch->left < size) {
		if (scratch->opening)
			put_page(scratch->opening);
		scratch->opening = dco_pages_get(&scratch->opened);
		scratch->left = scratch->opening ? DCO_PAGES_SIZE : 0;
		if (unlikely(!scratch->opening))
			return NULL;
	}
	scratch->left -= size;
	get_page(scratch->opening);
	return page_address(scratch->opening) + scratch->left;
}

static struct sk_buff *dco_inner_new(struct dco_scratch *scratch, unsigned int len)
{
	unsigned int size = SKB_DATA_ALIGN(DCO_RX_HEADROOM + len) + SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct sk_buff *skb;
	void *data;

	if (unlikely(size > PAGE_SIZE)) {
		skb = alloc_skb(DCO_RX_HEADROOM + len, GFP_ATOMIC | __GFP_NOWARN);
	} else {
		data = dco_opened_alloc(scratch, size);
		if (unlikely(!data))
			return NULL;
		skb = napi_build_skb(data, size);
		if (unlikely(!skb))
			skb_free_frag(data);
	}
	if (likely(skb))
		skb_reserve(skb, DCO_RX_HEADROOM);
	return skb;
}

/* Makes an skb an inner packet for the stack. False: it is neither IPv4 nor IPv6. */
static bool dco_inner_ready(struct dco_dev *dev, struct sk_buff *skb, unsigned int len)
{
	u8 version = len ? skb->data[0] >> 4 : 0;

	if (unlikely(version != 4 && version != 6)) {
		DEV_STATS_INC(dev->net, rx_errors);
		DEV_STATS_INC(dev->net, rx_frame_errors);
		kfree_skb(skb);
		return false;
	}
	skb_put(skb, len);
	skb->protocol = version == 4 ? htons(ETH_P_IP) : htons(ETH_P_IPV6);
	skb->dev = dev->net;
	skb->ip_summed = CHECKSUM_UNNECESSARY;	/* it was authenticated */
	skb_reset_mac_header(skb);
	skb_reset_network_header(skb);
	return true;
}

/* At most DCO_TRAIN_MAX datagrams. */
static void dco_receive_train(struct dco_dev *dev, const struct dco_datagram *datagrams, struct dco_open *open)
{
	struct dco_scratch *scratch = this_cpu_ptr(dev->scratch);
	unsigned int count = 0, packets, bytes = 0, i;
	struct sk_buff_head train;

	for (i = 0; i < open->count; i++) {
		unsigned int room = datagrams[i].len > DCO_OVERHEAD ? datagrams[i].len - DCO_OVERHEAD : 0;
		struct sk_buff *skb = dco_inner_new(scratch, room);

		if (unlikely(!skb)) {
			dco_core_count_drop(dev->core, open->cpu, DCO_SHIM_RX_NO_MEMORY, 1);
			DEV_STATS_INC(dev->net, rx_dropped);
			continue;
		}
		scratch->inner[count] = skb;
		scratch->rx[count].src = datagrams[i].data;
		scratch->rx[count].src_len = datagrams[i].len;
		scratch->rx[count].dst = skb->data;
		scratch->rx[count].dst_room = room;
		count++;
	}
	open->bufs = scratch->rx;
	open->count = count;
	dco_core_open(dev->core, open);

	__skb_queue_head_init(&train);
	for (i = 0; i < count; i++) {
		const struct dco_buf *buf = &scratch->rx[i];

		if (likely(buf->verdict == DCO_PASS)) {
			if (dco_inner_ready(dev, scratch->inner[i], buf->dst_len)) {
				__skb_queue_tail(&train, scratch->inner[i]);
				bytes += buf->dst_len;
			}
			continue;
		}
		napi_consume_skb(scratch->inner[i], 1);
		if (buf->verdict == DCO_DROP)
			DEV_STATS_INC(dev->net, rx_dropped);
	}
	packets = skb_queue_len(&train);
	if (packets && unlikely(!dco_cells_receive(dev, &train))) {
		DEV_STATS_ADD(dev->net, rx_dropped, packets);
	} else if (packets) {
		struct pcpu_sw_netstats *stats = this_cpu_ptr(dev->net->tstats);

		u64_stats_update_begin(&stats->syncp);
		u64_stats_add(&stats->rx_packets, packets);
		u64_stats_add(&stats->rx_bytes, bytes);
		u64_stats_update_end(&stats->syncp);
	}
}

void dco_data_receive(struct dco_dev *dev, const struct dco_datagram *datagrams, unsigned int count, u32 peer_id,
		      const struct dco_endpoint *from)
{
	struct dco_open open = {
		.cpu = smp_processor_id(), .now_ms = dco_shim_now_ms(), .peer_id = peer_id, .from = *from,
	};

	while (count) {
		open.count = min_t(unsigned int, count, DCO_TRAIN_MAX);
		count -= open.count;
		datagrams += open.count;
		dco_receive_train(dev, datagrams - open.count, &open);
	}
}

/* ------------------------------------------------------------------ one packet, made by the core ----------------- */

void dco_shim_send(struct dco_dev *dev, struct dco_link *link, const struct dco_endpoint *to, __u32 generation,
		   const __u8 *packet, __u32 len)
{
	const bool tcp = link->socket->tcp;
	struct sk_buff *skb;
	unsigned int lost;

	local_bh_disable();
	rcu_read_lock();
	skb = alloc_skb(DCO_UDP_HEADROOM + DCO_FRAME_LENGTH + len, GFP_ATOMIC | __GFP_NOWARN);
	if (skb) {
		skb_reserve(skb, DCO_UDP_HEADROOM);
		if (tcp)
			put_unaligned_be16(len, skb_put(skb, DCO_FRAME_LENGTH));
		skb_put_data(skb, packet, len);
		lost = tcp ? dco_tcp_send(link, skb, 1) : dco_udp_send(dev, link, to, generation, skb);
		if (lost)
			dco_tx_dropped(dev, tcp ? DCO_SHIM_TX_QUEUE_FULL : DCO_SHIM_TX_SEND_FAILED, lost);
	} else {
		dco_tx_dropped(dev, DCO_SHIM_TX_NO_MEMORY, 1);
	}
	rcu_read_unlock();
	local_bh_enable();
}

/* ------------------------------------------------------------------ where ciphers may not be used ---------------- */

/* Queues an skb for the work item: to be sent if its device is ours, else received. Takes it. */
static void dco_put_off(struct dco_dev *dev, struct sk_buff *skb)
{
	const bool tx = skb->dev == dev->net;

	if (skb_queue_len_lockless(&dev->put_off) >= DCO_PUT_OFF_MAX) {
		if (tx)
			dco_tx_dropped(dev, DCO_SHIM_TX_NO_MEMORY, 1);
		else
			dco_core_count_drop(dev->core, smp_processor_id(), DCO_SHIM_RX_NO_MEMORY, 1);
		kfree_skb(skb);
		return;
	}
	skb_queue_tail(&dev->put_off, skb);
	schedule_work(&dev->put_off_work);
}

/* Whether a packet has to wait. Those behind one that waits do, too, so that they keep their order. */
static bool dco_must_wait(struct dco_dev *dev)
{
	return unlikely(!dco_crypto_usable() || !skb_queue_empty_lockless(&dev->put_off));
}

bool dco_data_put_off(struct dco_dev *dev, struct sk_buff *skb)
{
	if (!dco_must_wait(dev))
		return false;
	skb_orphan(skb);
	skb_dst_drop(skb);
	skb->dev = NULL;	/* it may go away */
	dco_put_off(dev, skb);
	return true;
}

static void dco_put_off_work(struct work_struct *work)
{
	struct dco_dev *dev = container_of(work, struct dco_dev, put_off_work);
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&dev->put_off))) {
		local_bh_disable();
		rcu_read_lock();
		if (skb->dev == dev->net)
			dco_data_send(dev, skb);
		else
			dco_udp_receive_late(dev, skb);
		rcu_read_unlock();
		local_bh_enable();
		cond_resched();
	}
}

/* ------------------------------------------------------------------ the device's side ---------------------------- */

netdev_tx_t dco_data_xmit(struct sk_buff *skb, struct net_device *net)
{
	struct dco_dev *dev = dco_dev(net);

	/* tc and packet sockets send anything. */
	if (unlikely(!ip_tunnel_parse_protocol(skb) || skb_network_offset(skb))) {
		rcu_read_lock();
		dco_tx_dropped(dev, DCO_SHIM_TX_BAD_SKB, 1);
		rcu_read_unlock();
		kfree_skb(skb);
		return NETDEV_TX_OK;
	}

	rcu_read_lock();
	if (dco_must_wait(dev)) {
		skb_dst_force(skb);
		dco_put_off(dev, skb);
	} else {
		dco_data_send(dev, skb);
	}
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

int dco_data_init(struct dco_dev *dev)
{
	skb_queue_head_init(&dev->put_off);
	INIT_WORK(&dev->put_off_work, dco_put_off_work);
	dev->scratch = alloc_percpu(struct dco_scratch);
	return dev->scratch ? 0 : -ENOMEM;
}

void dco_data_exit(struct dco_dev *dev)
{
	int cpu;

	cancel_work_sync(&dev->put_off_work);
	skb_queue_purge(&dev->put_off);
	for_each_possible_cpu(cpu) {
		struct dco_scratch *scratch = per_cpu_ptr(dev->scratch, cpu);

		if (scratch->plain)
			__free_pages(scratch->plain, DCO_PAGES_ORDER);
		if (scratch->opening)
			put_page(scratch->opening);
		dco_pages_free(&scratch->sealed);
		dco_pages_free(&scratch->opened);
	}
	free_percpu(dev->scratch);
}
