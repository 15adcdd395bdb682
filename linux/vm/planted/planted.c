// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Does one thing wrong when it is loaded, so that the rig can prove that it finds it (scripts/linux-vm --plant). For the debug
 * kernel only.
 */
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/ref_tracker.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *kind = "";
module_param(kind, charp, 0);

static DEFINE_SPINLOCK(first);
static DEFINE_SPINLOCK(second);
static DEFINE_SPINLOCK(of_softirq);

static void do_sleep(void)
{
	spin_lock(&first);
	might_sleep();
	spin_unlock(&first);
}

static int target;
static int __rcu *pointer = (int __rcu *)&target;

static void do_rcu(void)
{
	(void)READ_ONCE(*rcu_dereference(pointer));
}

static void do_leak(void)
{
	unsigned int i;

	/* One may stay in a register or on a stack that is scanned. */
	for (i = 0; i < 8; i++) {
		u8 *memory = kmalloc(200, GFP_KERNEL);

		if (memory)
			memset(memory, 0x5a, 200);
	}
}

static void never(struct timer_list *timer) { }

static void do_odebug(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	timer_setup(timer, never, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
}

static struct {
	int inside[4], behind[16];
} array;

static void do_ubsan(void)
{
	int i = 7;

	OPTIMIZER_HIDE_VAR(i);
	WRITE_ONCE(array.inside[i], 1);
}

static void do_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static void do_list(void)
{
	LIST_HEAD(head);
	LIST_HEAD(other);
	struct list_head entry;

	head.next = &other;
	list_add(&entry, &head);
}

static void do_tracker(void)
{
	struct ref_tracker_dir dir;
	struct ref_tracker *tracker;

	ref_tracker_dir_init(&dir, 16);
	ref_tracker_alloc(&dir, &tracker, GFP_KERNEL);
	ref_tracker_dir_exit(&dir);
}

static void do_inversion(void)
{
	spin_lock(&first);
	spin_lock(&second);
	spin_unlock(&second);
	spin_unlock(&first);
	spin_lock(&second);
	spin_lock(&first);
	spin_unlock(&first);
	spin_unlock(&second);
}

static void take_from_timer(struct timer_list *timer)
{
	spin_lock(&of_softirq);
	spin_unlock(&of_softirq);
}

static void do_softirq_lock(void)
{
	static struct timer_list timer;

	spin_lock(&of_softirq);
	spin_unlock(&of_softirq);
	timer_setup(&timer, take_from_timer, 0);
	mod_timer(&timer, jiffies + 1);
	msleep(100);
	del_timer_sync(&timer);
}

static void do_kasan(void)
{
	u8 *memory = kmalloc(64, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
	(void)READ_ONCE(memory[8]);
}

static const struct {
	const char *name;
	void (*commit)(void);
} faults[] = {
	{ "sleep", do_sleep }, { "rcu", do_rcu }, { "leak", do_leak }, { "odebug", do_odebug }, { "ubsan", do_ubsan },
	{ "refcount", do_refcount }, { "list", do_list }, { "tracker", do_tracker }, { "inversion", do_inversion },
	{ "softirq", do_softirq_lock }, { "kasan", do_kasan },
};

static int __init planted_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!strcmp(faults[i].name, kind)) {
			faults[i].commit();
			return 0;
		}
	}
	return -EINVAL;
}
module_init(planted_init);

static void __exit planted_exit(void) { }
module_exit(planted_exit);

MODULE_DESCRIPTION("Faults for the rig to find");
MODULE_LICENSE("Dual MIT/GPL");
