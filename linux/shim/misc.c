// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * What the core needs of any kernel: memory, a clock, a pause.
 */
#include <linux/bottom_half.h>
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "shim.h"

void *dco_shim_alloc(size_t size, size_t align)
{
	/*
	 * kmalloc() aligns a power of two to itself, anything else to ARCH_KMALLOC_MINALIGN at least, and its caches are
	 * powers of two above 192 bytes.
	 */
	if (align > ARCH_KMALLOC_MINALIGN && size < 256)
		size = roundup_pow_of_two(max(size, align));
	return kvmalloc(size, GFP_KERNEL);
}

void dco_shim_free(void *memory)
{
	kvfree(memory);
}

void dco_shim_pause(void)
{
	/* A batch lasts some microseconds. */
	usleep_range(10, 50);
}

u32 dco_shim_data_enter(void)
{
	local_bh_disable();
	rcu_read_lock();
	return smp_processor_id();
}

void dco_shim_data_leave(void)
{
	rcu_read_unlock();
	local_bh_enable();
}

u64 dco_shim_now_ms(void)
{
	/* Keepalive counts seconds: the clock of the last timer interrupt will do. */
	return ktime_to_ms(ktime_get_coarse_boottime());
}
