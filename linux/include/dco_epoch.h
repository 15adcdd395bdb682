/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What epoch keys (docs/epoch.md) add to the boundary, with make EPOCH=1. Included by dco.h, whose words and contexts it uses.
 */
#ifndef DCO_EPOCH_H
#define DCO_EPOCH_H

#define DCO_EPOCH_SECRET	32	/* bytes of an epoch's secret */
#define DCO_EPOCH_LONGER	4	/* bytes that a packet is longer by than in the classic format */

struct dco_epoch_key_new {
	__u32 peer_id;
	__u32 slot;			/* enum dco_slot */
	__u32 key_id;			/* 0 to 7 */
	__u32 cipher;			/* enum dco_cipher */
	__u32 key_len;			/* bytes of each of the cipher's keys, which are derived */
	__u32 reserved;
	__u64 test_limit;		/* tests: packets and 16-byte blocks after which an epoch is left; 0: the cipher's limit alone */
	const __u8 *encrypt_secret;	/* the first epoch's, DCO_EPOCH_SECRET bytes; the caller wipes both when the call returns */
	const __u8 *decrypt_secret;
};

struct dco_epoch_info {
	__u32 send;			/* the epoch that is sent in, and the one that is received in: from 1 on */
	__u32 receive;
};

/* Control context. -EINVAL, -ENOENT, -ENOMEM, or dco_shim_aead_new_epoch()'s error. */
int dco_core_epoch_key_new(struct dco_core *core, const struct dco_epoch_key_new *key);
/* Control context. -ENOENT: no such peer, or no epoch key in the slot. dco_core_key_get() tells of epoch keys, too. */
int dco_core_epoch_get(struct dco_core *core, __u32 peer_id, __u32 slot, struct dco_epoch_info *info);

/*
 * The next epochs' keys are made by dco_core_tick(), which dco_core_seal() and dco_core_open() have come soon (dco_shim_wake()).
 *
 * dco_core_seal() takes each packet's dst_room for DCO_EPOCH_LONGER bytes longer than it is; a packet that needs them, as an epoch key's
 * does, moves the dst of those behind it up by as much: DCO_EPOCH_LONGER * count bytes more are left behind the last packet.
 */

/* As dco_shim_aead_new(), for a key whose calls have 12 bytes at `aad`. Control context. */
int dco_shim_aead_new_epoch(__u32 cipher, const __u8 *key, __u32 key_len, struct dco_aead **aead);

#endif
