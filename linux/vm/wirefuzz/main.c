// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * wirefuzz: what a data channel module makes of malformed packets. Three parts:
 *
 *   live    beside a tunnel between the namespaces s and c1: captures its packets and injects spoiled ones at both ends
 *   inner   owns a peer over UDP, and its keys: authentic packets whose content is malformed, trains, control packets
 *   stream  owns a peer over TCP: frames in any chunking, bad lengths, ends in the middle of a frame
 *
 * Build: cc -std=gnu11 -D_GNU_SOURCE -O2 -static -pthread -o wirefuzz *.c ../nlfuzz/nl.c ../nlfuzz/request.c -lcrypto
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../nlfuzz/request.h"
#include "wire.h"

static const char usage[] =
	"usage: wirefuzz live|live6|inner|stream [--seconds N] [--seed N]\n"
	"\n"
	"Sends malformed packets, and looks what comes out of the tunnel's device, what is counted, what userspace gets. Needs\n"
	"root. Exit status 0: all as it has to be; 1: not; 2: could not be tried.\n"
	"\n"
	"  --seconds N  at least, and until each part had enough (default: 10)\n"
	"  --seed N     (default: by the clock; it is printed)\n";

static void hung(int signal)
{
	static const char text[] = "FAIL expected an end, the kernel does not answer\n";

	(void)signal;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

/* The parts that own their peer, with each family that there is. */
static int each_family(struct rng *r, int seconds, int (*part)(struct rng *, int, int))
{
	int family, there = 0;

	if (unshare(CLONE_NEWNET) || link_up("lo")) {
		fprintf(stderr, "wirefuzz: expected to be root: %s\n", strerror(errno));
		return -1;
	}
	for (family = 0; family < FAMILIES; family++) {
		families[family].id = genl_family(families[family].name, "peers", &families[family].group);
		there += !!families[family].id;
	}
	if (!there) {
		fprintf(stderr, "wirefuzz: expected family ovpn-dco-v2 or ovpn, there is none\n");
		return -1;
	}
	for (family = 0; family < FAMILIES; family++)
		if (families[family].id && part(r, seconds / there, family) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", 1, NULL, 's' }, { "seed", 1, NULL, 'd' }, { "help", 0, NULL, 'h' }, { 0 },
	};
	int option, seconds = 10, outcome;
	uint64_t seed = time(NULL);
	const char *part;
	struct rng r;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 's': seconds = atoi(optarg); break;
		case 'd': seed = strtoull(optarg, NULL, 0); break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	part = optind < argc ? argv[optind] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, hung);
	alarm(seconds * 3 + 600);
	r.state = seed;
	printf("%s: seed %llu, %d s\n", part, (unsigned long long)seed, seconds);
	if (!strcmp(part, "live"))
		outcome = live_run(&r, seconds, false);
	else if (!strcmp(part, "live6"))
		outcome = live_run(&r, seconds, true);
	else if (!strcmp(part, "inner"))
		outcome = each_family(&r, seconds, inner_run);
	else if (!strcmp(part, "stream"))
		outcome = each_family(&r, seconds, stream_run);
	else {
		fputs(usage, stderr);
		return 2;
	}
	if (outcome < 0)
		return 2;
	printf("wirefuzz: %s\n", failures ? "FAILED" : "passed");
	return failures != 0;
}
