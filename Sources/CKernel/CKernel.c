/* SPDX-License-Identifier: GPL-2.0-only */
/* The few definitions behind CKernel's headers. */
#include "CKernel.h"

struct kernel_state *running_kernel;
struct scheduler_state the_scheduler;

size_t sizeof_kernel_ops(void)
{
	return sizeof(struct kernel_ops);
}

static const char *const kernel_op_names[] = {
#define OP(type, name, parameters, arguments) #name,
	KERNEL_OPS(OP)
#undef OP
};

const char *kernel_op_name(unsigned int number)
{
	return number < NR_KERNEL_OPS ? kernel_op_names[number] : NULL;
}

static const char *const lock_class_names[] = {
#define CLASS(name) #name,
	LOCK_CLASSES(CLASS)
#undef CLASS
};

const char *lock_class_name(unsigned int lock_class)
{
	return lock_class < NR_LOCK_CLASSES ? lock_class_names[lock_class] : "freed";
}

static const char *const event_kind_names[] = {
#define EVENT(name) #name,
	EVENT_KINDS(EVENT)
#undef EVENT
};

const char *event_kind_name(unsigned int event)
{
	return event < NR_EVENT_KINDS ? event_kind_names[event] : NULL;
}
