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
	STRATEGY_PCT,         /* priorities of tasks, lowered at hashed places */
	STRATEGY_POS,         /* priorities of the tasks' next steps */
	STRATEGY_DELAY,       /* the next task in turn is passed over at a few hashed places */
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
	u8 changed;  /* in a function that the pair changes: its number in the coverage + 1; 0: elsewhere */
	u8 near;     /* close to such a function, or at what it touches */
	u32 label_hash;
	u64 hash; /* of "function:label" */
};

/* More than the functions of a patch have; what is beyond counts as the last one. */
#define MAX_CHANGED_PLACES 96
#define MAX_CHANGED_FUNCTIONS 32

/* How often the yield points in functions that the pair changes were passed, on each side. */
struct coverage {
	u32 nr_places;
	u16 places[MAX_CHANGED_PLACES];   /* their yield points' numbers */
	u8 functions[MAX_CHANGED_PLACES]; /* which of the changed functions they are in */
	/* [n][m]: place m was the next one in a call of its function after place n; both + 1, 0: the first one */
	u64 branches[2][MAX_CHANGED_PLACES + 1][MAX_CHANGED_PLACES + 1];
	u64 entered[2][MAX_CHANGED_FUNCTIONS]; /* runs that entered the function */
	u64 calls[2][MAX_CHANGED_FUNCTIONS];
	/* of the run: the last place of a function that a task passed, + 1, and the op it was in, + 1 */
	u8 last[MAX_TASKS + 1][MAX_CHANGED_FUNCTIONS];
	u16 last_op[MAX_TASKS + 1][MAX_CHANGED_FUNCTIONS];
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
	u8 stepwise;  /* the explorer is asked at every yield point, and when nobody can go on */
	u8 watching_locks; /* count where changed functions take locks, and leave one out */
	u64 seed;
	u32 switch_threshold; /* of 2^32: how often STRATEGY_RANDOM moves on */
	u32 change_threshold; /* of 2^32: how often STRATEGY_PCT lowers a priority */
	u32 focus_threshold;  /* the same in functions that the pair changes */
	u32 near_threshold;   /* the same close to them */
	u32 move_threshold;   /* of 2^32: how often a task moves to another CPU where it may */
	u32 delay_bound, nr_delays; /* STRATEGY_DELAY: the most delays of a run, and those of this one */
	u32 nr_cpu_choices;   /* of this run: places where a task could move to another CPU */
	u8 side;              /* of the pair, whose coverage this is */
	u8 covering;          /* count what is covered */
	u32 nr_decisions, nr_replay, nr_log, nr_yield_points;
	struct decision decisions[MAX_DECISIONS];
	struct decision replay[MAX_DECISIONS];
	struct yield_point_name names[MAX_YIELD_POINTS];
	struct yield_point_cache cache[YIELD_POINT_CACHE];
	struct coverage coverage;
	u32 acquired[MAX_YIELD_POINTS]; /* how often a lock was taken there, in changed functions */
	struct log_entry *_Nullable log;
	/* the trace that runs: one program a task, and the set-up's */
	const struct compiled_program *_Nullable programs, *_Nullable setup;
	/* a kernel operation that the pair changes is entered */
	void (*_Nullable note_entry)(unsigned int operation);
	/* runs op `op` of task `task`; false at the end of its program */
	bool (*_Nullable run_op)(struct task_struct *task, unsigned int op);
	/* where the process is, for whoever watches it from outside */
	volatile u32 *_Nullable progress;
};

/*
 * Bytes of the machine that runs by whose value no step decides: sums and masks that are only added to before the
 * run is over, so that no order of two additions shows, and what is known of the current task alone.
 */
struct bookkeeping {
	void *_Nullable start; /* NULL past the last one */
	size_t size;
	bool of_state;         /* but outcomes depend on it, or what is broken */
};
struct bookkeeping bookkeeping(unsigned int number);

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
static inline struct coverage *scheduler_state_coverage(struct scheduler_state *self) SWIFT_NAME("scheduler_state.covered(self:)");
static inline struct coverage *scheduler_state_coverage(struct scheduler_state *self) { return &self->coverage; }
static inline u64 *coverage_branch(struct coverage *self, long side, long from, long to) { return &self->branches[side][from][to]; }
static inline u64 *coverage_entered(struct coverage *self, long side, long function) { return &self->entered[side][function]; }
static inline u64 *coverage_calls(struct coverage *self, long side, long function) { return &self->calls[side][function]; }
static inline u16 *coverage_place(struct coverage *self, long n) { return &self->places[n]; }
static inline u8 *coverage_function(struct coverage *self, long n) { return &self->functions[n]; }
static inline u8 *coverage_last(struct coverage *self, long task, long function) { return &self->last[task][function]; }
static inline u16 *coverage_last_op(struct coverage *self, long task, long function) { return &self->last_op[task][function]; }
static inline u32 *scheduler_state_times_acquired(struct scheduler_state *self, long n) SWIFT_NAME("scheduler_state.times_acquired(self:_:)");
static inline u32 *scheduler_state_times_acquired(struct scheduler_state *self, long n) { return &self->acquired[n]; }

#pragma clang assume_nonnull end
