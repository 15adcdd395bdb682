// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * C's half of the assertions of dco.h's layout; Rust's is in linux/core/src/ffi.rs, and layout.h is made of that (cargo xtask
 * linux-object). No code.
 */
#include <linux/build_bug.h>
#include <linux/socket.h>
#include <linux/stddef.h>

#include "../include/dco.h"

#define DCO_SIZE(name, bytes) static_assert(sizeof(struct name) == (bytes));
#define DCO_FIELD(name, field, at) static_assert(offsetof(struct name, field) == (at));
#define DCO_VALUE(name, value) static_assert((name) == (value));

#include "../rust/layout.h"
