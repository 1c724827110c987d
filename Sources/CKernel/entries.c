/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entries of kernel operations, noted: for each one a function that tells the scheduler and calls the original.  Only the
 * functions that a compared pair changes are replaced by theirs, so all others cost nothing.
 */
#include "CKernel.h"

/* A run that ends inside leaves its fibers, and the count, where they are: the arena is set back. */
static void leave(u8 *inside)
{
	(void)inside;
	kernel->current->in_changed--;
}

#define OP(type, name, parameters, arguments)                                                   \
	static type entered_##name parameters                                                   \
	{                                                                                       \
		u8 inside __attribute__((cleanup(leave))) = ++kernel->current->in_changed;      \
		(void)inside;                                                                   \
		the_scheduler.note_entry(KERNEL_OP_##name);                                     \
		return kernel->ops->original->name arguments;                                   \
	}
KERNEL_OPS(OP)
#undef OP

typedef void (*operation)(void);

static const operation entered[] = {
#define OP(type, name, parameters, arguments) (operation)entered_##name,
	KERNEL_OPS(OP)
#undef OP
};

void note_entries_of(struct kernel_ops *ops, unsigned int number)
{
	operation *entries = (operation *)ops;

	if (number < NR_KERNEL_OPS && ops->original && entries[number])
		entries[number] = entered[number];
}
