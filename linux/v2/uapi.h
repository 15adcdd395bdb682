/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Family `ovpn-dco-v2`: numbers. From 64 on they are ours.
 */
#ifndef DCO_V2_UAPI_H
#define DCO_V2_UAPI_H

#define V2_FAMILY	"ovpn-dco-v2"
#define V2_VERSION	1
#define V2_GROUP	"peers"

enum v2_command {
	V2_CMD_NEW_PEER = 1,
	V2_CMD_SET_PEER = 2,
	V2_CMD_DEL_PEER = 3,		/* also the notification */
	V2_CMD_NEW_KEY = 4,
	V2_CMD_SWAP_KEYS = 5,
	V2_CMD_DEL_KEY = 6,
	V2_CMD_GET_PEER = 7,
};

/* A nest for each command, numbered otherwise than the commands. */
enum v2_attr {
	V2_A_IFINDEX = 1,
	V2_A_NEW_PEER = 2,
	V2_A_SET_PEER = 3,
	V2_A_DEL_PEER = 4,
	V2_A_NEW_KEY = 5,
	V2_A_SWAP_KEYS = 6,
	V2_A_DEL_KEY = 7,
	V2_A_GET_PEER = 8,
	V2_A_MAX = V2_A_GET_PEER,
};

enum v2_new_peer {
	V2_NEW_PEER_ID = 1,		/* u32 */
	V2_NEW_PEER_REMOTE = 2,		/* struct sockaddr_in or sockaddr_in6 */
	V2_NEW_PEER_SOCKET = 3,		/* u32, fd */
	V2_NEW_PEER_IPV4 = 4,		/* be32 */
	V2_NEW_PEER_IPV6 = 5,		/* 16 bytes */
	V2_NEW_PEER_LOCAL_IP = 6,	/* 4 or 16 bytes */
	V2_NEW_PEER_MSS = 64,		/* u32, bytes as mssfix means them; 0 for none */
	V2_NEW_PEER_MAX = V2_NEW_PEER_MSS,
};

enum v2_set_peer {
	V2_SET_PEER_ID = 1,		/* u32 */
	V2_SET_PEER_INTERVAL = 2,	/* u32, seconds */
	V2_SET_PEER_TIMEOUT = 3,	/* u32, seconds */
	V2_SET_PEER_MSS = 64,		/* as V2_NEW_PEER_MSS */
	V2_SET_PEER_MAX = V2_SET_PEER_MSS,
};

enum v2_del_peer {
	V2_DEL_PEER_REASON = 1,		/* u8, enum dco_del_reason */
	V2_DEL_PEER_ID = 2,		/* u32 */
	V2_DEL_PEER_MAX = V2_DEL_PEER_ID,
};

enum v2_new_key {
	V2_NEW_KEY_PEER_ID = 1,		/* u32 */
	V2_NEW_KEY_SLOT = 2,		/* u8 */
	V2_NEW_KEY_ID = 3,		/* u8 */
	V2_NEW_KEY_CIPHER = 4,		/* u16 */
	V2_NEW_KEY_ENCRYPT = 5,		/* nest */
	V2_NEW_KEY_DECRYPT = 6,		/* nest */
	V2_NEW_KEY_MAX = V2_NEW_KEY_DECRYPT,
};

enum v2_direction {
	V2_DIRECTION_KEY = 1,
	V2_DIRECTION_TAIL = 2,		/* 8 bytes */
	V2_DIRECTION_MAX = V2_DIRECTION_TAIL,
};
#define V2_KEY_LEN_MAX	255

enum v2_del_key {
	V2_DEL_KEY_PEER_ID = 1,		/* u32 */
	V2_DEL_KEY_SLOT = 2,		/* u8 */
	V2_DEL_KEY_MAX = V2_DEL_KEY_SLOT,
};

enum v2_swap_keys {
	V2_SWAP_KEYS_PEER_ID = 1,	/* u32 */
	V2_SWAP_KEYS_MAX = V2_SWAP_KEYS_PEER_ID,
};

enum v2_get_peer {
	V2_GET_PEER_ID = 1,		/* u32 */
	V2_GET_PEER_MAX = V2_GET_PEER_ID,
};

/* What V2_A_GET_PEER holds in a reply. */
enum v2_peer {
	V2_PEER_PAD = 0,
	V2_PEER_ID = 1,			/* u32 */
	V2_PEER_REMOTE = 2,		/* struct sockaddr_in or sockaddr_in6 */
	V2_PEER_IPV4 = 3,
	V2_PEER_IPV6 = 4,
	V2_PEER_LOCAL_IP = 5,		/* 4 or 16 bytes */
	V2_PEER_LOCAL_PORT = 6,		/* be16 */
	V2_PEER_INTERVAL = 7,
	V2_PEER_TIMEOUT = 8,
	V2_PEER_VPN_RX_BYTES = 9,	/* u64 */
	V2_PEER_VPN_TX_BYTES = 10,
	V2_PEER_VPN_RX_PACKETS = 11,	/* u32 */
	V2_PEER_VPN_TX_PACKETS = 12,
	V2_PEER_LINK_RX_BYTES = 13,	/* u64 */
	V2_PEER_LINK_TX_BYTES = 14,
	V2_PEER_LINK_RX_PACKETS = 15,	/* u32 */
	V2_PEER_LINK_TX_PACKETS = 16,
	V2_PEER_MSS = 64,		/* u32 */
	V2_PEER_DROPS = 65,		/* nest of V2_DROP nests, one for each reason that counted something */
};

enum v2_drop {
	V2_DROP = 1,
};

enum v2_drop_entry {
	V2_DROP_PAD = 0,
	V2_DROP_REASON = 1,		/* string */
	V2_DROP_PACKETS = 2,		/* u64 */
};

#endif
