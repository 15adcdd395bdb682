/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Segmentation of plain TCP GSO skbs into a buffer. Data context.
 */
#ifndef DCO_SEGMENT_H
#define DCO_SEGMENT_H

#include <linux/skbuff.h>

/* Where a segmentation is. */
struct dco_segments {
	const struct sk_buff *skb;
	unsigned int ip;		/* bytes of the IP header */
	unsigned int headers;		/* of it and the TCP header */
	unsigned int size;		/* of a segment's payload; the last one's may be smaller */
	unsigned int at;		/* offset of the next segment's payload */
	unsigned int end;		/* of the last one's; kept here as the skb goes with the last segment */
	unsigned int index;		/* of the next segment */
};

/* False if it is not an skb of the kind. May move the skb's headers. */
bool dco_segments_begin(struct dco_segments *segments, struct sk_buff *skb);

/* Bytes of the next segment; 0: there is none. */
static inline unsigned int dco_segments_len(const struct dco_segments *segments)
{
	const unsigned int left = segments->end - segments->at;

	return left ? segments->headers + min(left, segments->size) : 0;
}

/* Writes the next segment, dco_segments_len() bytes, at `to`. Returns its length. */
unsigned int dco_segments_next(struct dco_segments *segments, u8 *to);

#endif
