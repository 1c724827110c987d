/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The scheduler's own memory: what steers a run and what is remembered of it.  It lies outside every
 * arena, so that going back to a snapshot does not forget it.
 */
#pragma once

#include <ckernel/kernel_state.h>
#include <ckernel/trace.h>

#pragma clang assume_nonnull begin

/* Who decides at a yield point. */
enum strategy_kind {
	STRATEGY_SEQUENTIAL,  /* nobody is preempted */
	STRATEGY_RANDOM,      /* a hash of the seed and the place */
	STRATEGY_PCT,         /* priorities, lowered at hashed places */
	STRATEGY_ROUND_ROBIN,
	STRATEGY_REPLAY,      /* a list of decisions */
	STRATEGY_EXTERNAL,    /* back to the explorer, which picks */
};

/* A task was left at a place for another one, or moved to another CPU there.  Places have names, never step numbers. */
struct decision {
	u8 task, next;
	u16 op, yield_point, occurrence;
	u8 forced; /* the task could not go on */
	u8 cpu;    /* number + 1 of the CPU it moved to, and went on (next is the task itself); 0: it was left */
};

/* The name of a yield point.  Pointers are into constant data. */
struct yield_point_name {
	const char *function, *label;
	u16 function_length, label_length;
	u8 changed;  /* in a function that the pair changes */
	u64 hash; /* of "function:label" */
};

struct yield_point_cache {
	const char *_Nullable function, *_Nullable label;
	u32 number;
};

/* One line of a replay's log. */
struct log_entry {
	u8 kind; /* enum log_kind */
	u8 task, cpu, event;
	u16 op, yield_point;
	u64 object, value;
};

enum log_kind { LOG_STEP, LOG_EVENT, LOG_OP_START, LOG_OP_END, LOG_SWITCH, LOG_MOVE, LOG_VIOLATION };

#define MAX_DECISIONS 4096
#define YIELD_POINT_CACHE 4096
#define MAX_LOG_ENTRIES 65536

KERNEL_OBJECT(scheduler_state) {
	void *_Nullable main_context;
	u8 strategy; /* enum strategy_kind */
	u8 recording; /* keep decisions */
	u8 logging;   /* keep log entries */
	u64 seed;
	u32 switch_threshold; /* of 2^32: how often STRATEGY_RANDOM moves on */
	u32 change_threshold; /* of 2^32: how often STRATEGY_PCT lowers a priority */
	u32 focus_threshold;  /* the same in functions that the pair changes */
	u32 move_threshold;   /* of 2^32: how often a task moves to another CPU where it may */
	u32 nr_decisions, nr_replay, nr_log, nr_yield_points;
	struct decision decisions[MAX_DECISIONS];
	struct decision replay[MAX_DECISIONS];
	struct yield_point_name names[MAX_YIELD_POINTS];
	struct yield_point_cache cache[YIELD_POINT_CACHE];
	u32 reached[MAX_YIELD_POINTS]; /* how often each yield point was passed */
	struct log_entry *_Nullable log;
	/* the trace that runs: one program a task, and the set-up's */
	const struct compiled_program *_Nullable programs, *_Nullable setup;
	/* runs op `op` of task `task`; false at the end of its program */
	bool (*_Nullable run_op)(struct task_struct *task, unsigned int op);
	/* where the process is, for whoever watches it from outside */
	volatile u32 *_Nullable progress;
};

/* Swift reads it through a function, as it does `kernel`. */
extern struct scheduler_state the_scheduler __attribute__((swift_private)) NONISOLATED_UNSAFE;
#define scheduler (&the_scheduler)
static inline struct scheduler_state *get_scheduler(void) SWIFT_NAME("getter:scheduler()");
static inline struct scheduler_state *get_scheduler(void) { return &the_scheduler; }

static inline struct decision *scheduler_state_decision(struct scheduler_state *self, long n) SWIFT_NAME("scheduler_state.decision(self:_:)");
static inline struct decision *scheduler_state_decision(struct scheduler_state *self, long n) { return &self->decisions[n]; }
static inline struct decision *scheduler_state_replayed(struct scheduler_state *self, long n) SWIFT_NAME("scheduler_state.replayed(self:_:)");
static inline struct decision *scheduler_state_replayed(struct scheduler_state *self, long n) { return &self->replay[n]; }
static inline struct yield_point_name *scheduler_state_name(struct scheduler_state *self, long n) SWIFT_NAME("scheduler_state.name(self:_:)");
static inline struct yield_point_name *scheduler_state_name(struct scheduler_state *self, long n) { return &self->names[n]; }
static inline struct yield_point_cache *scheduler_state_cached(struct scheduler_state *self, unsigned long n) SWIFT_NAME("scheduler_state.cached(self:_:)");
static inline struct yield_point_cache *scheduler_state_cached(struct scheduler_state *self, unsigned long n) { return &self->cache[n]; }
static inline u32 *scheduler_state_times_reached(struct scheduler_state *self, long n) SWIFT_NAME("scheduler_state.times_reached(self:_:)");
static inline u32 *scheduler_state_times_reached(struct scheduler_state *self, long n) { return &self->reached[n]; }

#pragma clang assume_nonnull end
