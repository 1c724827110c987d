/* SPDX-License-Identifier: GPL-2.0-only */
/* What holds in the kernel that a table of operations makes up: bits of its `rules`. */
#pragma once

/* A page on the unevictable list counts the VM_LOCKED vmas that map it, all of them or fewer (mlock_count), or more
 * where munlock did not find it on the list. */
#define RULE_MLOCK_COUNT 0x1UL
/* PG_mlocked may outlive the last mapping: it goes with the last reference. */
#define RULE_MLOCKED_UNTIL_FREED 0x2UL
/* The same: it may be left on the unevictable list. */
#define RULE_STRANDED_PAGES 0x4UL
/* Schedules say on which CPU a task goes on: may_change_cpu(). */
#define RULE_CPU_MOVES 0x8UL
/* What a pte of private memory makes writable is an exclusive page. */
#define RULE_ANON_EXCLUSIVE 0x10UL
