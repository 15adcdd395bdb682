// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * trackers: what other data channel modules got wrong between the netlink families, sockets, routes and devices, tried
 * on the module that is loaded. docs/linux-trackers.md says which test is for which report.
 *
 * Each test runs in a process and a network namespace of its own, once for each family there is.
 *
 * Build: cc -std=gnu11 -D_GNU_SOURCE -O2 -static -pthread -o trackers *.c ../nlfuzz/nl.c ../nlfuzz/request.c
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tunnel.h"

/* The slowest take some seconds in an emulated machine. */
#define PATIENCE 60

static const struct test *const groups[] = { sockets_tests, tcp_tests, routes_tests };

/* Shared with the test's process, and with those that it starts. */
struct progress {
	char step[80];
	int checks, failed;
};
static struct progress *progress;
static const char *test_name;

void step(const char *what)
{
	snprintf(progress->step, sizeof(progress->step), "%s", what);
}

bool expect(bool good, const char *format, ...)
{
	char text[400];
	va_list list;

	__atomic_add_fetch(&progress->checks, 1, __ATOMIC_RELAXED);
	if (good)
		return true;
	__atomic_add_fetch(&progress->failed, 1, __ATOMIC_RELAXED);
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	printf("FAIL %s (%s): expected %s\n", test_name, families[family].name, text);
	return false;
}

static void write_to(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void child(const struct test *test)
{
	cpu_set_t cpus;

	setpgid(0, 0);
	if (test->one_processor) {
		CPU_ZERO(&cpus);
		CPU_SET(1, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	need(!unshare(CLONE_NEWNET), "a network namespace");
	/* Devices that come up send nothing of their own. */
	write_to("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	need(!link_up("lo"), "the loopback device");
	test->function();
	step("its sockets are closed");
	exit(0);
}

/* False: it has not ended and never will. */
static bool run_test(const struct test *test)
{
	const double began = now();
	int status = 0;
	pid_t pid, ended;

	memset(progress, 0, sizeof(*progress));
	test_name = test->name;
	fflush(stdout);
	pid = fork();
	if (!pid)
		child(test);
	while (!(ended = waitpid(pid, &status, WNOHANG)) && now() - began < PATIENCE)
		usleep(10000);
	kill(-pid, SIGKILL);
	if (!ended)
		expect(false, "an end within %d s; at: %s", PATIENCE, progress->step);
	else if (!WIFEXITED(status))
		expect(false, "an end, got signal %d; at: %s", WTERMSIG(status), progress->step);
	else if (!progress->checks)
		expect(false, "at least one check");
	if (!progress->failed)
		printf("ok   %s (%s): %d checks, %.1f s\n", test_name, families[family].name, progress->checks, now() - began);
	return ended;
}

static bool wanted(const struct test *test, int count, char **words)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(words[i], test->name) || !strcmp(words[i], test->group))
			return true;
	return !count;
}

int main(int argc, char **argv)
{
	const struct test *test;
	int failed = 0, ran = 0;
	unsigned int group;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && argv[1][0] == '-') {
		printf("usage: trackers [GROUP|NAME]...\n");
		for (group = 0; group < 3; group++)
			for (test = groups[group]; test->name; test++)
				printf("  %-8s %s\n", test->group, test->name);
		return strcmp(argv[1], "--help") ? 2 : 0;
	}
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (family = 0; family < FAMILIES; family++) {
		struct family *f = &families[family];

		f->id = genl_family(f->name, "peers", &f->group);
		if (!f->id)
			continue;
		for (group = 0; group < 3; group++) {
			for (test = groups[group]; test->name; test++) {
				if (!wanted(test, argc - 1, argv + 1))
					continue;
				ran++;
				if (!run_test(test)) {
					printf("trackers: FAILED, the rest was not tried\n");
					return 1;
				}
				failed += progress->failed > 0;
			}
		}
	}
	if (!ran) {
		fprintf(stderr, "trackers: expected a test of that name, and family ovpn-dco-v2 or ovpn\n");
		return 2;
	}
	printf("trackers: %s\n", failed ? "FAILED" : "passed");
	return failed != 0;
}
