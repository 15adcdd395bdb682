// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Segmentation of plain TCP GSO skbs into a buffer: one pass that copies and checksums, no skb a segment. Rarer things
 * (UDP, other tunnels, IPv6 extension headers, accurate ECN) are left to skb_gso_segment().
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/tcp.h>

#include "segment.h"

/* What such an skb may be beside TCPV4 or TCPV6. Accurate ECN is not in it: there each segment keeps CWR. */
#define DCO_SEGMENT_FLAGS	(SKB_GSO_DODGY | SKB_GSO_TCP_ECN | SKB_GSO_TCP_FIXEDID)

bool dco_segments_begin(struct dco_segments *segments, struct sk_buff *skb)
{
	const unsigned int type = skb_shinfo(skb)->gso_type & ~DCO_SEGMENT_FLAGS;
	unsigned int ip;

	if (skb->encapsulation || skb->ip_summed != CHECKSUM_PARTIAL)
		return false;
	if (type == SKB_GSO_TCPV4) {
		if (!pskb_may_pull(skb, sizeof(struct iphdr)))
			return false;
		ip = ip_hdrlen(skb);
		if (ip < sizeof(struct iphdr) || ip_hdr(skb)->protocol != IPPROTO_TCP)
			return false;
	} else if (type == SKB_GSO_TCPV6) {
		ip = sizeof(struct ipv6hdr);
		if (!pskb_may_pull(skb, ip) || ipv6_hdr(skb)->nexthdr != IPPROTO_TCP)
			return false;
	} else {
		return false;
	}
	if (skb_transport_offset(skb) != ip || skb_checksum_start_offset(skb) != ip ||
	    !pskb_may_pull(skb, ip + sizeof(struct tcphdr)) || tcp_hdrlen(skb) < sizeof(struct tcphdr) ||
	    !pskb_may_pull(skb, ip + tcp_hdrlen(skb)))
		return false;

	segments->skb = skb;
	segments->ip = ip;
	segments->headers = ip + tcp_hdrlen(skb);
	segments->size = skb_shinfo(skb)->gso_size;
	segments->at = segments->headers;
	segments->end = skb->len;
	segments->index = 0;
	return segments->size && segments->at < segments->end;
}

/* Completes the IPv4 header at `ip` of segment `index`. Returns what the TCP checksum has of it. */
static __wsum dco_segment_ipv4(struct iphdr *ip, unsigned int len, u16 index)
{
	ip->tot_len = htons(len);
	ip->id = htons(ntohs(ip->id) + index);
	ip_send_check(ip);
	return csum_tcpudp_nofold(ip->saddr, ip->daddr, len - ip->ihl * 4, IPPROTO_TCP, 0);
}

static __wsum dco_segment_ipv6(struct ipv6hdr *ip, unsigned int len)
{
	len -= sizeof(*ip);
	ip->payload_len = htons(len);
	return ~csum_unfold(csum_ipv6_magic(&ip->saddr, &ip->daddr, len, IPPROTO_TCP, 0));
}

unsigned int dco_segments_next(struct dco_segments *segments, u8 *to)
{
	const struct sk_buff *skb = segments->skb;
	const unsigned int payload = min(segments->size, segments->end - segments->at);
	const unsigned int len = segments->headers + payload;
	struct tcphdr *tcp = (struct tcphdr *)(to + segments->ip);
	const bool last = segments->at + payload == segments->end;
	__wsum sum;

	memcpy(to, skb->data, segments->headers);
	if (skb_shinfo(skb)->gso_type & SKB_GSO_TCPV4)
		sum = dco_segment_ipv4((struct iphdr *)to, len,
				       skb_shinfo(skb)->gso_type & SKB_GSO_TCP_FIXEDID ? 0 : segments->index);
	else
		sum = dco_segment_ipv6((struct ipv6hdr *)to, len);

	tcp->seq = htonl(ntohl(tcp->seq) + segments->at - segments->headers);
	if (segments->index)
		tcp->cwr = 0;
	if (!last)
		tcp->fin = tcp->psh = 0;
	tcp->check = 0;
	sum = csum_add(sum, skb_copy_and_csum_bits(skb, segments->at, to + segments->headers, payload));
	tcp->check = csum_fold(csum_partial(tcp, segments->headers - segments->ip, sum));

	segments->at += payload;
	segments->index++;
	return len;
}
