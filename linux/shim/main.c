// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * ovpn-dco-core.ko: what both interfaces' modules stand on. Loading it does nothing but to test the ciphers.
 */
#include <linux/module.h>

#include "shim.h"

static int __init dco_core_module_init(void)
{
	int error = dco_crypto_init();

	if (error)
		return error;
	error = dco_tcp_init();
	if (error)
		goto err_crypto;
	error = dco_link_init();
	if (error)
		goto err_tcp;
	return 0;
err_tcp:
	dco_tcp_exit();
err_crypto:
	dco_crypto_exit();
	return error;
}

static void __exit dco_core_module_exit(void)
{
	dco_tcp_exit();
	dco_link_exit();
	/* Keys went with their peers; links and sockets are freed by RCU callbacks. */
	rcu_barrier();
	dco_crypto_exit();
}

module_init(dco_core_module_init);
module_exit(dco_core_module_exit);

MODULE_DESCRIPTION("OpenVPN data channel offload, core");
MODULE_AUTHOR("The ovpn-dco developers");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(DCO_VERSION);
MODULE_SOFTDEP("pre: gcm aesni_intel chacha20poly1305");
