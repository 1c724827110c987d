/* SPDX-License-Identifier: GPL-2.0-only */
/* A trace ready to run: plain memory outside the arena, so that running it touches no Swift object. */
#pragma once

#include <ckernel/sched.h>

#pragma clang assume_nonnull begin

#define MAX_ARGUMENTS 6
#define NO_PROCESS 0xff

/* One step of a program. */
struct compiled_op {
	u16 operation;       /* number in the era's table of operations */
	u8 nr_arguments;
	u8 process;          /* whose mm it works on; NO_PROCESS: a kernel thread's or device's step */
	u8 relative;         /* mask: argument i is an offset from a result */
	u8 from_setup;       /* mask: ... of the set-up's, otherwise of the own program's */
	u8 result_op[MAX_ARGUMENTS]; /* ... of that step */
	long arguments[MAX_ARGUMENTS];
	long (*body)(const long *arguments);
};

struct compiled_program {
	const struct compiled_op *ops;
	u16 nr_ops;
};

/* The arguments of a step, given the results so far of its own program and of the set-up. */
static inline void resolve_arguments(const struct compiled_op *op, const long *own, const long *setup, long *arguments)
{
	for (int i = 0; i < op->nr_arguments; i++) {
		unsigned long value = (unsigned long)op->arguments[i];
		if (op->relative >> i & 1)
			value += (unsigned long)(op->from_setup >> i & 1 ? setup : own)[op->result_op[i]];
		arguments[i] = (long)value;
	}
}

#pragma clang assume_nonnull end
