// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * nlfuzz: what a data channel module makes of netlink, right and wrong. Works in a network namespace of its own.
 *
 * Build: cc -std=gnu11 -D_GNU_SOURCE -O2 -static -pthread -o nlfuzz *.c
 */
#include <errno.h>
#include <getopt.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"
#include "oracle.h"
#include "request.h"

static const char usage[] =
	"usage: nlfuzz [--family NAME] [--seconds N] [--threads N] [--seed N] [--texts] [--ours]\n"
	"\n"
	"Asks the families there are (ovpn-dco-v2, ovpn) the questions whose answers are documented, then sends valid and\n"
	"malformed requests at random, then looks whether the devices still work and go. Needs root. Exit status 0: all as\n"
	"documented; 1: not; 2: could not be tried.\n"
	"\n"
	"  --family NAME  this one, and it has to be there (default: those that are there)\n"
	"  --seconds N    of requests at random (default: 10; 0: only the questions)\n"
	"  --threads N    that send them (default: 4)\n"
	"  --seed N       (default: by the clock; it is printed)\n"
	"  --texts        family ovpn has to say in words what is wrong, each time\n"
	"  --ours         asks about our own attributes, too\n";

static int make_devices(int family)
{
	struct family *f = &families[family];
	int error = link_new(f->kind, "fzm", 1);

	error = error ? error : link_new(f->kind, "fzp", 0);
	error = error ? error : link_up("fzm");
	error = error ? error : link_up("fzp");
	f->mp = if_nametoindex("fzm");
	f->p2p = if_nametoindex("fzp");
	return error;
}

/* Both families' devices at once have names of their own. */
static int remake_devices(int family)
{
	struct family *f = &families[family];
	char name[2][16];
	int error;

	snprintf(name[0], sizeof(name[0]), "m%d", family);
	snprintf(name[1], sizeof(name[1]), "p%d", family);
	error = link_new(f->kind, name[0], 1);
	error = error ? error : link_new(f->kind, name[1], 0);
	f->mp = if_nametoindex(name[0]);
	f->p2p = if_nametoindex(name[1]);
	link_up(name[0]);
	link_up(name[1]);
	return error;
}

static int delete_devices(int family)
{
	char name[2][16];
	int error;

	snprintf(name[0], sizeof(name[0]), "m%d", family);
	snprintf(name[1], sizeof(name[1]), "p%d", family);
	error = link_del(name[0]);
	return error ? error : link_del(name[1]);
}

/* The kernel's answers take microseconds; this is for its hanging. */
static void hung(int signal)
{
	static const char text[] = "FAIL expected an end, the kernel does not answer\n";

	(void)signal;
	if (write(1, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "family", 1, NULL, 'f' }, { "seconds", 1, NULL, 's' }, { "threads", 1, NULL, 't' }, { "seed", 1, NULL, 'd' },
		{ "texts", 0, NULL, 'x' }, { "ours", 0, NULL, 'o' }, { "help", 0, NULL, 'h' }, { 0 },
	};
	struct strictness strictness = { 0 };
	const char *only = NULL;
	int option, seconds = 10, threads = 4, failed = 0, families_there = 0, family, error, rows;
	uint64_t seed = time(NULL);
	struct fuzz_result result;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'f': only = optarg; break;
		case 's': seconds = atoi(optarg); break;
		case 't': threads = atoi(optarg); break;
		case 'd': seed = strtoull(optarg, NULL, 0); break;
		case 'x': strictness.texts = true; break;
		case 'o': strictness.ours = true; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, hung);
	if (unshare(CLONE_NEWNET) || link_up("lo")) {
		fprintf(stderr, "nlfuzz: expected to be root: %s\n", strerror(errno));
		return 2;
	}
	for (family = 0; family < FAMILIES; family++) {
		struct family *f = &families[family];

		if (!only || !strcmp(only, f->name))
			f->id = genl_family(f->name, "peers", &f->group);
		families_there += !!f->id;
	}
	if (!families_there) {
		fprintf(stderr, "nlfuzz: expected family %s, there is none\n", only ? only : "ovpn-dco-v2 or ovpn");
		return 2;
	}

	for (family = 0; family < FAMILIES; family++) {
		int bad;

		if (!families[family].id)
			continue;
		alarm(600);
		error = make_devices(family);
		if (error) {
			printf("FAIL %s: a device: expected success, got %s\n", families[family].kind, strerror(error));
			return 1;
		}
		bad = oracle_run(family, &strictness, &rows);
		printf("%s: %d answers as documented, %d not\n", families[family].name, rows - bad, bad);
		failed += bad;
		if (link_del("fzm") || link_del("fzp")) {
			printf("FAIL %s: expected the devices to go\n", families[family].kind);
			failed++;
		}
		if (remake_devices(family)) {
			printf("FAIL %s: expected devices once more\n", families[family].kind);
			return 1;
		}
	}

	if (seconds > 0) {
		fds_open();
		printf("seed %llu, %d threads, %d s\n", (unsigned long long)seed, threads, seconds);
		alarm(seconds + 300);
		fuzz_run(seed, threads, seconds, &result);
		printf("%llu requests, %llu peers made:", (unsigned long long)result.requests, (unsigned long long)result.succeeded_new);
		for (error = 0; error <= ERRNO_MAX; error++)
			if (result.counts[error])
				printf(" %s %llu", !error ? "OK" : error == ERRNO_MAX ? "no-answer" : strerrorname_np(error),
				       (unsigned long long)result.counts[error]);
		printf("\n");
		failed += result.undocumented;
		if (!result.succeeded_new || !result.counts[EINVAL] || !result.counts[ENOENT]) {
			printf("FAIL expected peers, EINVAL and ENOENT among the answers\n");
			failed++;
		}
	}

	/* The devices go, with whatever they have, and new ones work as on the first day. */
	alarm(600);
	for (family = 0; family < FAMILIES; family++) {
		if (!families[family].id)
			continue;
		error = delete_devices(family);
		error = error ? error : make_devices(family);
		if (error) {
			printf("FAIL %s: devices afterwards: expected success, got %d\n", families[family].kind, error);
			failed++;
			continue;
		}
		if (seconds > 0)
			failed += oracle_brief(family, &rows);
		if (link_del("fzm") || link_del("fzp")) {
			printf("FAIL %s: expected the devices to go\n", families[family].kind);
			failed++;
		}
	}
	printf("nlfuzz: %s\n", failed ? "FAILED" : "passed");
	return failed != 0;
}
