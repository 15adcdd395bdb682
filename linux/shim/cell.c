// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The way of received packets into the stack: on each processor a queue, and a NAPI instance that merges them by GRO.
 *
 * Not the kernel's gro_cells: a poll of those takes 64 packets, a poll of the queue before us (the backlog that a veth
 * fills) 64 trains. They take turns, so packets would come much faster than they go, and the limit of a thousand be
 * reached, and packets dropped that were just decrypted, whenever some dozen trains come at once. Here a poll takes
 * trains, too.
 */
#include <linux/netdevice.h>

#include "shim.h"

/* Packets that may wait: two polls' worth. */
#define DCO_CELL_MAX	(2 * NAPI_POLL_WEIGHT * DCO_TRAIN_MAX)

struct dco_cell {
	struct sk_buff_head queue;	/* that processor's, BH off */
	struct napi_struct napi;
};

/* Whether a queued skb is the last of its train. */
static bool *dco_cell_last(struct sk_buff *skb)
{
	return (bool *)skb->cb;
}

static int dco_cell_poll(struct napi_struct *napi, int budget)
{
	struct dco_cell *cell = container_of(napi, struct dco_cell, napi);
	struct sk_buff *skb;
	int trains = 0;

	while (trains < budget) {
		skb = __skb_dequeue(&cell->queue);
		if (!skb)
			break;
		trains += *dco_cell_last(skb);
		napi_gro_receive(napi, skb);
	}
	if (trains < budget)
		napi_complete_done(napi, trains);
	return trains;
}

bool dco_cells_receive(struct dco_dev *dev, struct sk_buff_head *train)
{
	struct dco_cell *cell = this_cpu_ptr(dev->cells);

	if (unlikely(!(dev->net->flags & IFF_UP)) || skb_queue_len(&cell->queue) > DCO_CELL_MAX) {
		__skb_queue_purge(train);
		return false;
	}
	*dco_cell_last(skb_peek_tail(train)) = true;
	skb_queue_splice_tail_init(train, &cell->queue);
	napi_schedule(&cell->napi);
	return true;
}

int dco_cells_init(struct dco_dev *dev)
{
	int cpu;

	dev->cells = alloc_percpu(struct dco_cell);
	if (!dev->cells)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct dco_cell *cell = per_cpu_ptr(dev->cells, cpu);

		__skb_queue_head_init(&cell->queue);
		/* It has no interrupt to take the place of. */
		set_bit(NAPI_STATE_NO_BUSY_POLL, &cell->napi.state);
		netif_napi_add(dev->net, &cell->napi, dco_cell_poll);
		napi_enable(&cell->napi);
	}
	return 0;
}

void dco_cells_exit(struct dco_dev *dev)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct dco_cell *cell = per_cpu_ptr(dev->cells, cpu);

		napi_disable(&cell->napi);
		__netif_napi_del(&cell->napi);
		__skb_queue_purge(&cell->queue);
	}
	/* netpoll walks a device's NAPI instances under RCU. */
	synchronize_net();
	free_percpu(dev->cells);
}
