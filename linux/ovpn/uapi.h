/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Family `ovpn`: numbers. From 64 on they are ours.
 */
#ifndef DCO_OVPN_UAPI_H
#define DCO_OVPN_UAPI_H

#define ML_FAMILY	"ovpn"
#define ML_VERSION	1
#define ML_GROUP	"peers"

enum ml_command {
	ML_CMD_PEER_NEW = 1,
	ML_CMD_PEER_SET = 2,
	ML_CMD_PEER_GET = 3,
	ML_CMD_PEER_DEL = 4,
	ML_CMD_PEER_DEL_NTF = 5,
	ML_CMD_KEY_NEW = 6,
	ML_CMD_KEY_GET = 7,
	ML_CMD_KEY_SWAP = 8,
	ML_CMD_KEY_SWAP_NTF = 9,
	ML_CMD_KEY_DEL = 10,
	ML_CMD_PEER_FLOAT_NTF = 11,
};

enum ml_attr {
	ML_A_IFINDEX = 1,		/* u32 */
	ML_A_PEER = 2,			/* nest */
	ML_A_KEYCONF = 3,		/* nest */
};

enum ml_peer {
	ML_PEER_ID = 1,			/* u32 */
	ML_PEER_REMOTE_IPV4 = 2,	/* be32 */
	ML_PEER_REMOTE_IPV6 = 3,	/* 16 bytes */
	ML_PEER_REMOTE_SCOPE_ID = 4,	/* u32 */
	ML_PEER_REMOTE_PORT = 5,	/* be16 */
	ML_PEER_SOCKET = 6,		/* u32, fd */
	ML_PEER_SOCKET_NETNSID = 7,	/* s32, reply */
	ML_PEER_VPN_IPV4 = 8,		/* be32 */
	ML_PEER_VPN_IPV6 = 9,		/* 16 bytes */
	ML_PEER_LOCAL_IPV4 = 10,	/* be32 */
	ML_PEER_LOCAL_IPV6 = 11,	/* 16 bytes */
	ML_PEER_LOCAL_PORT = 12,	/* be16, reply */
	ML_PEER_INTERVAL = 13,		/* u32, seconds */
	ML_PEER_TIMEOUT = 14,		/* u32, seconds */
	ML_PEER_DEL_REASON = 15,	/* u32, enum dco_del_reason */
	ML_PEER_VPN_RX_BYTES = 16,	/* these eight: 4 or 8 bytes */
	ML_PEER_VPN_TX_BYTES = 17,
	ML_PEER_VPN_RX_PACKETS = 18,
	ML_PEER_VPN_TX_PACKETS = 19,
	ML_PEER_LINK_RX_BYTES = 20,
	ML_PEER_LINK_TX_BYTES = 21,
	ML_PEER_LINK_RX_PACKETS = 22,
	ML_PEER_LINK_TX_PACKETS = 23,
	ML_PEER_TX_ID = 24,		/* u32 */
	ML_PEER_MSS = 64,		/* u32, bytes as mssfix means them; 0 for none. New, set, reply */
	ML_PEER_DROPS = 65,		/* reply: nest of ML_DROP nests, one for each reason that counted something */
	ML_PEER_MAX = ML_PEER_MSS,	/* of a request */
};

enum ml_drop {
	ML_DROP = 1,
};

enum ml_drop_entry {
	ML_DROP_REASON = 1,		/* string */
	ML_DROP_PACKETS = 2,		/* 4 or 8 bytes */
};

enum ml_keyconf {
	ML_KEYCONF_PEER_ID = 1,		/* u32 */
	ML_KEYCONF_SLOT = 2,		/* u32 */
	ML_KEYCONF_KEY_ID = 3,		/* u32; u16 in ML_CMD_KEY_SWAP_NTF */
	ML_KEYCONF_CIPHER = 4,		/* u32 */
	ML_KEYCONF_ENCRYPT = 5,		/* nest */
	ML_KEYCONF_DECRYPT = 6,		/* nest */
	ML_KEYCONF_EPOCH = 64,		/* u32: an epoch key; bytes of each of the cipher's keys. New. make EPOCH=1, as the next two */
	ML_KEYCONF_SEND_EPOCH = 65,	/* u32, reply */
	ML_KEYCONF_RECEIVE_EPOCH = 66,	/* u32, reply */
#ifdef DCO_EPOCH
	ML_KEYCONF_MAX = ML_KEYCONF_EPOCH, /* of a request */
#else
	ML_KEYCONF_MAX = ML_KEYCONF_DECRYPT,
#endif
};

enum ml_keydir {
	ML_KEYDIR_KEY = 1,		/* an epoch key's: the secret of the first epoch, 32 bytes */
	ML_KEYDIR_TAIL = 2,		/* 8 bytes; not with an epoch key */
};
#define ML_KEY_LEN_MAX		256
#define ML_KEEPALIVE_MAX	86400

#endif
