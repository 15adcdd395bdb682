/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdbool.h>

/* What the module under test has to keep beyond the facts that hold for all. */
struct strictness {
	bool texts;		/* family `ovpn`: every error has an extack text */
	bool ours;		/* rows about attributes that are ours */
};

/* Goes through the table for a family whose devices exist. How many rows failed; how many there were goes to `rows`. */
int oracle_run(int family, const struct strictness *strictness, int *rows);
/* Only what replies hold. */
int oracle_brief(int family, int *rows);

#endif
