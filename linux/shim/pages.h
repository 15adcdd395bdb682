/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Buffers of 32 KB, used again once everybody else has let go of them. The page allocator would do, but distributions have
 * it zero each page that it gives (init_on_alloc): a fifth of what a packet costs. One processor's, BH off.
 */
#ifndef DCO_PAGES_H
#define DCO_PAGES_H

#include <linux/gfp.h>
#include <linux/mm.h>

/* As much as the page allocator keeps ready for each processor. */
#define DCO_PAGES_ORDER		PAGE_ALLOC_COSTLY_ORDER
#define DCO_PAGES_SIZE		(PAGE_SIZE << DCO_PAGES_ORDER)

struct dco_pages {
	struct page *ring[8];		/* a reference to each; NULL at first */
	unsigned int next;
};

/* A buffer that nobody else uses, with a reference for the caller; NULL without memory. */
static inline struct page *dco_pages_get(struct dco_pages *pages)
{
	struct page **place = &pages->ring[pages->next++ % ARRAY_SIZE(pages->ring)];
	struct page *page = *place;

	if (likely(page && page_ref_count(page) == 1)) {
		get_page(page);
		return page;
	}
	page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN | __GFP_COMP, DCO_PAGES_ORDER);
	/* Those of the reserve are not kept. */
	if (page && !page_is_pfmemalloc(page)) {
		if (*place)
			put_page(*place);
		*place = page;
		get_page(page);
	}
	return page;
}

static inline void dco_pages_free(struct dco_pages *pages)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages->ring); i++)
		if (pages->ring[i])
			put_page(pages->ring[i]);
}

#endif
