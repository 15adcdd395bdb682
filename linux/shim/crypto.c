// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Ciphers: dco_shim_aead_* over the kernel's crypto API, synchronously.
 *
 * One request a processor serves all keys: BH is off from its first use to its last, so nobody else comes in between.
 * It is kmalloc'd, not per-CPU memory: ciphers put parts of a request into scatterlists, which want the direct map.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/aead.h>
#include <crypto/internal/simd.h>
#include <linux/bottom_half.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <asm/simd.h>

#include "shim.h"

#define DCO_AAD		8
#define DCO_EPOCH_AAD	12
#define DCO_TAG		16
#define DCO_NONCE	12
/* Largest request of any cipher: the SIMD wrappers' is some 400 bytes, the software ones' 700. */
#define DCO_REQUEST	2048

struct dco_aead {
	struct crypto_aead *tfm;
#ifdef DCO_EPOCH
	unsigned int aad;	/* bytes that the tag covers besides the payload */
#endif
};

static unsigned int dco_aad(const struct dco_aead *aead)
{
#ifdef DCO_EPOCH
	return aead->aad;
#else
	return DCO_AAD;
#endif
}

/* What one processor works with. */
struct dco_cipher_slot {
	/* aad, data, tag: of the packet in its datagram; and of the other side, without the tag */
	struct scatterlist sealed[3];
	struct scatterlist plain[2];
	u8 nonce[DCO_NONCE];
	struct aead_request request;
	/* the request's context follows */
};

static struct dco_cipher_slot **slots;	/* by processor */

bool dco_crypto_usable(void)
{
	return crypto_simd_usable();
}

/*
 * 1 if the cipher answers at once where SIMD may be used, 0 if not, or an error. The flag CRYPTO_ALG_ASYNC does not tell: the kernel's AES-NI has
 * it, though it is asynchronous only where SIMD may not be used.
 */
static int dco_is_synchronous(struct crypto_aead *tfm)
{
	DECLARE_CRYPTO_WAIT(wait);
	struct aead_request *request = aead_request_alloc(tfm, GFP_KERNEL);
	u8 *data = kzalloc(DCO_AAD + 2 * DCO_TAG, GFP_KERNEL);
	struct scatterlist sg;
	u8 nonce[DCO_NONCE] = {};
	int error = -ENOMEM;

	if (!request || !data)
		goto out;
	sg_init_one(&sg, data, DCO_AAD + 2 * DCO_TAG);
	aead_request_set_callback(request, 0, crypto_req_done, &wait);
	aead_request_set_crypt(request, &sg, &sg, DCO_TAG, nonce);
	aead_request_set_ad(request, DCO_AAD);
	local_bh_disable();
	error = crypto_aead_encrypt(request);
	local_bh_enable();
	if (error == -EINPROGRESS) {
		crypto_wait_req(error, &wait);
		error = 0;
	} else if (!error) {
		error = 1;
	}
out:
	kfree_sensitive(data);
	aead_request_free(request);
	return error;
}

static struct crypto_aead *dco_tfm_new(const char *name, u32 mask, const u8 *key, u32 key_len)
{
	struct crypto_aead *tfm = crypto_alloc_aead(name, 0, mask);
	int error;

	if (IS_ERR(tfm))
		return tfm;
	error = crypto_aead_setauthsize(tfm, DCO_TAG);
	if (!error)
		error = crypto_aead_setkey(tfm, key, key_len);
	if (!error && (crypto_aead_ivsize(tfm) != DCO_NONCE || crypto_aead_reqsize(tfm) > DCO_REQUEST))
		error = -EOPNOTSUPP;
	if (error) {
		crypto_free_aead(tfm);
		return ERR_PTR(error);
	}
	return tfm;
}

int dco_shim_aead_new(u32 cipher, const u8 *key, u32 key_len, struct dco_aead **aead)
{
	struct crypto_aead *tfm;
	struct dco_aead *made;
	const char *name;
	int error;

	switch (cipher) {
	case DCO_CIPHER_AES_GCM:
		name = "gcm(aes)";
		break;
	case DCO_CIPHER_CHACHA20_POLY1305:
		name = "rfc7539(chacha20,poly1305)";
		break;
	default:
		return -EINVAL;
	}
	made = kzalloc(sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	tfm = dco_tfm_new(name, 0, key, key_len);
	error = PTR_ERR_OR_ZERO(tfm);
	if (!error && crypto_aead_alg(tfm)->base.cra_flags & CRYPTO_ALG_ASYNC) {
		error = dco_is_synchronous(tfm);
		if (error <= 0) {
			dco_dbg("%s is asynchronous (%d)\n", crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)), error);
			crypto_free_aead(tfm);
			tfm = error ? ERR_PTR(error) : dco_tfm_new(name, CRYPTO_ALG_ASYNC, key, key_len);
		}
		error = PTR_ERR_OR_ZERO(tfm);
	}
	if (error) {
		kfree(made);
		return error;
	}
	dco_dbg("cipher %s, request of %u bytes\n", crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)),
		crypto_aead_reqsize(tfm));
	made->tfm = tfm;
#ifdef DCO_EPOCH
	made->aad = DCO_AAD;
#endif
	*aead = made;
	return 0;
}

#ifdef DCO_EPOCH
int dco_shim_aead_new_epoch(u32 cipher, const u8 *key, u32 key_len, struct dco_aead **aead)
{
	int error = dco_shim_aead_new(cipher, key, key_len, aead);

	if (!error)
		(*aead)->aad = DCO_EPOCH_AAD;
	return error;
}
#endif

void dco_shim_aead_free(struct dco_aead *aead)
{
	/* Wipes the key. */
	crypto_free_aead(aead->tfm);
	kfree(aead);
}

/* Unlike sg_set_buf() for a pointer that may be read only. */
static void dco_sg_set(struct scatterlist *sg, const void *data, unsigned int len)
{
	sg_set_buf(sg, (void *)data, len);
}

/*
 * Begins a call on this processor: its slot, with the packet's parts in its lists. A list's empty part may not be in the middle
 * of it, so a packet without payload, which is rare, has lists of other shape.
 */
static struct dco_cipher_slot *dco_slot(struct dco_aead *aead, const u8 *nonce, const u8 *aad, const u8 *sealed,
					const u8 *tag, const u8 *plain, u32 len)
{
	struct dco_cipher_slot *slot = slots[smp_processor_id()];

	if (likely(len)) {
		sg_unmark_end(&slot->sealed[1]);
		sg_unmark_end(&slot->plain[0]);
		dco_sg_set(&slot->sealed[1], sealed, len);
		dco_sg_set(&slot->sealed[2], tag, DCO_TAG);
		dco_sg_set(&slot->plain[1], plain, len);
	} else {
		sg_mark_end(&slot->sealed[1]);
		sg_mark_end(&slot->plain[0]);
		dco_sg_set(&slot->sealed[1], tag, DCO_TAG);
	}
	dco_sg_set(&slot->sealed[0], aad, dco_aad(aead));
	dco_sg_set(&slot->plain[0], aad, dco_aad(aead));
	memcpy(slot->nonce, nonce, DCO_NONCE);
	aead_request_set_tfm(&slot->request, aead->tfm);
	aead_request_set_callback(&slot->request, 0, NULL, NULL);
	aead_request_set_ad(&slot->request, dco_aad(aead));
	return slot;
}

int dco_shim_aead_seal(struct dco_aead *aead, const u8 *nonce, const u8 *aad, const u8 *plain, u8 *out, u32 len, u8 *tag)
{
	struct dco_cipher_slot *slot;

	if (unlikely(!dco_crypto_usable()))
		return -EBUSY;
	if (unlikely(len <= DCO_TAG)) {
		/* A ping is a constant of the module, and that is not in the direct map. */
		memmove(out, plain, len);
		plain = out;
	}
	slot = dco_slot(aead, nonce, aad, out, tag, plain, len);
	aead_request_set_crypt(&slot->request, slot->plain, slot->sealed, len, slot->nonce);
	return crypto_aead_encrypt(&slot->request);
}

int dco_shim_aead_open(struct dco_aead *aead, const u8 *nonce, const u8 *aad, const u8 *cipher, u8 *out, u32 len,
		       const u8 *tag)
{
	struct dco_cipher_slot *slot;

	if (unlikely(!dco_crypto_usable()))
		return -EBUSY;
	slot = dco_slot(aead, nonce, aad, cipher, tag, out, len);
	aead_request_set_crypt(&slot->request, slot->sealed, slot->plain, len + DCO_TAG, slot->nonce);
	return crypto_aead_decrypt(&slot->request);
}

/* ------------------------------------------------------------------ self-test ------------------------------------ */

/*
 * One DATA_V2 packet a cipher: key byte i is i, header and packet id 48 00 00 07 00 00 00 01, nonce tail a0 to a7, payload byte i is
 * i. The results are OpenSSL's.
 */
#define DCO_TEST_LEN	40

struct dco_vector {
	const char *name;
	u32 cipher;
	u32 key_len;
	u8 tag[DCO_TAG];
	u8 sealed[DCO_TEST_LEN];
};

static const struct dco_vector vectors[] = {
	{
		.name = "AES-128-GCM", .cipher = DCO_CIPHER_AES_GCM, .key_len = 16,
		.tag = {
			0xb5, 0x7d, 0xe3, 0x4b, 0x8a, 0xf5, 0x82, 0x93, 0x24, 0x83, 0xa6, 0x84,
			0x91, 0xc6, 0x1c, 0x4c
		},
		.sealed = {
			0x43, 0x0f, 0x58, 0xe3, 0x12, 0x2e, 0x43, 0xce, 0x5c, 0x99, 0xf1, 0x20,
			0xa7, 0x89, 0xce, 0x82, 0x33, 0x19, 0x56, 0x05, 0x30, 0xa8, 0x0f, 0x34,
			0x56, 0xde, 0x91, 0xba, 0x21, 0x01, 0x93, 0x87, 0x38, 0xfe, 0x44, 0x32,
			0x70, 0xe9, 0x9d, 0x23
		},
	},
	{
		.name = "AES-192-GCM", .cipher = DCO_CIPHER_AES_GCM, .key_len = 24,
		.tag = {
			0xbd, 0xf3, 0x65, 0xd4, 0xfd, 0xb1, 0xda, 0x49, 0xcf, 0x8b, 0xc8, 0x18,
			0x7f, 0x43, 0x60, 0x93
		},
		.sealed = {
			0xc1, 0x7b, 0xb7, 0xab, 0x81, 0x48, 0x11, 0xdd, 0x69, 0x5d, 0x56, 0x24,
			0x73, 0x59, 0xcf, 0x23, 0xbc, 0x34, 0xc1, 0xab, 0x47, 0xb0, 0xb8, 0xd4,
			0x04, 0xb7, 0x7e, 0xd0, 0x8f, 0xc9, 0xb0, 0x28, 0x2a, 0x62, 0x5b, 0x5e,
			0x91, 0x76, 0xe1, 0xb4
		},
	},
	{
		.name = "AES-256-GCM", .cipher = DCO_CIPHER_AES_GCM, .key_len = 32,
		.tag = {
			0x2e, 0x62, 0x99, 0x28, 0xb8, 0x58, 0xe8, 0xd5, 0x82, 0x95, 0x9a, 0xbd,
			0x9e, 0x2a, 0x53, 0xcd
		},
		.sealed = {
			0xcc, 0x68, 0xb0, 0x3a, 0x61, 0x1b, 0xf3, 0x4e, 0xe3, 0x85, 0xfe, 0x53,
			0xea, 0x14, 0xa0, 0x4f, 0x60, 0x31, 0x9c, 0x70, 0x0a, 0x05, 0x2c, 0xfb,
			0xbb, 0x09, 0xbb, 0xbf, 0xb4, 0x87, 0x10, 0x45, 0x22, 0x0f, 0x5f, 0x7b,
			0xec, 0x28, 0x0a, 0xef
		},
	},
	{
		.name = "ChaCha20-Poly1305", .cipher = DCO_CIPHER_CHACHA20_POLY1305, .key_len = 32,
		.tag = {
			0x9f, 0x14, 0xfa, 0x16, 0xf8, 0xbc, 0x16, 0x50, 0x72, 0x3a, 0x4b, 0x8d,
			0xc6, 0xbc, 0x2d, 0x69
		},
		.sealed = {
			0xb3, 0xa0, 0xfe, 0x72, 0x4c, 0xa3, 0xaa, 0x78, 0x3f, 0x1b, 0x86, 0x13,
			0x25, 0xdb, 0x78, 0xaa, 0x34, 0x53, 0x1d, 0x68, 0x52, 0x2b, 0xef, 0x88,
			0xf5, 0xd7, 0x6c, 0x21, 0x06, 0x66, 0x79, 0x9f, 0xed, 0x92, 0x82, 0x3f,
			0x52, 0x2f, 0x0f, 0xe6
		},
	},
};

static int dco_test_vector(const struct dco_vector *vector, u8 *room)
{
	static const u8 aad[DCO_AAD] = { 0x48, 0, 0, 7, 0, 0, 0, 1 };
	static const u8 nonce[DCO_NONCE] = { 0, 0, 0, 1, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7 };
	u8 *packet = room, *tag = packet + DCO_AAD, *body = tag + DCO_TAG;
	u8 *plain = body + DCO_TEST_LEN, *again = plain + DCO_TEST_LEN;
	struct dco_aead *aead;
	const char *what = NULL;
	u8 key[32];
	int error, i;

	for (i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (i = 0; i < DCO_TEST_LEN; i++)
		plain[i] = i;
	memcpy(packet, aad, DCO_AAD);
	error = dco_shim_aead_new(vector->cipher, key, vector->key_len, &aead);
	if (error == -ENOENT) {
		pr_notice("%s: this kernel has no such cipher\n", vector->name);
		return 0;
	}
	if (error) {
		pr_err("%s: cannot make a key (%d)\n", vector->name, error);
		return error;
	}
	local_bh_disable();
	error = dco_shim_aead_seal(aead, nonce, packet, plain, body, DCO_TEST_LEN, tag);
	if (error)
		what = "does not seal";
	else if (memcmp(tag, vector->tag, DCO_TAG) || memcmp(body, vector->sealed, DCO_TEST_LEN))
		what = "seals wrongly";
	if (!what) {
		error = dco_shim_aead_open(aead, nonce, packet, body, again, DCO_TEST_LEN, tag);
		if (error || memcmp(again, plain, DCO_TEST_LEN))
			what = "does not open what it sealed";
	}
	if (!what) {
		tag[DCO_TAG - 1] ^= 1;
		error = dco_shim_aead_open(aead, nonce, packet, body, again, DCO_TEST_LEN, tag);
		if (error != -EBADMSG)
			what = "opens a packet with a wrong tag";
	}
	if (!what) {
		/* Nothing but a header: the lists' other shape. */
		error = dco_shim_aead_seal(aead, nonce, packet, plain, body, 0, tag);
		if (!error)
			error = dco_shim_aead_open(aead, nonce, packet, body, again, 0, tag);
		if (error)
			what = "fails without a payload";
	}
	local_bh_enable();
	dco_shim_aead_free(aead);
	if (!what)
		return 0;
	pr_err("self-test: %s %s (%d)\n", vector->name, what, error);
	return -ELIBBAD;
}

static int dco_self_test(void)
{
	u8 *room = kzalloc(DCO_OVERHEAD + 3 * DCO_TEST_LEN, GFP_KERNEL);
	int error = room ? 0 : -ENOMEM;
	int i;

	for (i = 0; !error && i < ARRAY_SIZE(vectors); i++)
		error = dco_test_vector(&vectors[i], room);
	kfree(room);
	return error;
}

int dco_crypto_init(void)
{
	unsigned int cpu;
	int error;

	slots = kcalloc(nr_cpu_ids, sizeof(*slots), GFP_KERNEL);
	if (!slots)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct dco_cipher_slot *slot;

		slot = kzalloc_node(sizeof(*slot) + DCO_REQUEST, GFP_KERNEL, cpu_to_node(cpu));
		if (!slot) {
			dco_crypto_exit();
			return -ENOMEM;
		}
		sg_init_table(slot->sealed, ARRAY_SIZE(slot->sealed));
		sg_init_table(slot->plain, ARRAY_SIZE(slot->plain));
		slots[cpu] = slot;
	}
	error = dco_self_test();
	if (error)
		dco_crypto_exit();
	return error;
}

void dco_crypto_exit(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		kfree_sensitive(slots[cpu]);
	kfree(slots);
}
