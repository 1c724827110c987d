/* SPDX-License-Identifier: GPL-2.0-only */
/* The few definitions behind CKernel's headers. */
#include "CKernel.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

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

struct bookkeeping bookkeeping(unsigned int number)
{
#define FIELD(field, of_state) { &kernel->field, sizeof(kernel->field), of_state }
	const struct bookkeeping fields[] = {
		FIELD(current, false),
		FIELD(steps, false),
		FIELD(quiet_steps, false),
		FIELD(context_switches, false),
		FIELD(schedule, false),
		FIELD(reached, false),
		FIELD(tally, false),
		FIELD(event_counts, false),
		FIELD(attempts, false),
		FIELD(vm_events, false),
		FIELD(vm_stat, true),
		/* A broken rule is noted once; where, is no part of an outcome. */
		FIELD(nr_violations, false),
		FIELD(violation, false),
		FIELD(violations, true),
		/* Of two tasks that take two locks in two orders, whoever comes second is the one to break the rule. */
		FIELD(lock_order, true),
	};
#undef FIELD
	unsigned int task = (number - ARRAY_SIZE(fields)) / 3;
	struct task_struct *of;

	if (number < ARRAY_SIZE(fields))
		return fields[number];
	/* The last task is the machine's own. */
	if (task > kernel->nr_tasks)
		return (struct bookkeeping){};
	of = &kernel->tasks[task];
	switch ((number - ARRAY_SIZE(fields)) % 3) {
	case 0:
		return (struct bookkeeping){ of->occurrences, sizeof(of->occurrences), false };
	case 1:
		return (struct bookkeeping){ &of->context, sizeof(of->context), false };
	default:
		return (struct bookkeeping){ &of->steps, sizeof(of->steps), false };
	}
}
