/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>

#define ERRNO_MAX 134		/* counts[ERRNO_MAX]: no answer */

struct fuzz_result {
	uint64_t requests, succeeded_new, counts[ERRNO_MAX + 1];
	unsigned int undocumented;	/* answers with an errno that the interfaces do not have */
};

/* Threads that send valid and malformed requests of the families that there are (id not 0), for some seconds. */
void fuzz_run(uint64_t seed, int threads, int seconds, struct fuzz_result *result);

#endif
