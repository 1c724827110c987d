/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which memory of an arena the running step reads and writes.
 *
 * Nothing in kernel code notes its own accesses.  A second build of the model and of the variants is compiled
 * with ThreadSanitizer's instrumentation, which calls back for each load and store; the callbacks are here, and
 * the sanitizer's own run-time library is not linked.  In the plain build nobody calls them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* Accesses of a step to eight bytes of the arena: a mask of the bytes read, and of those written. */
struct recorded_access {
	uint32_t word;
	uint8_t read, written;
};

/* As much as an arena can hold: Simulation/Arena.swift. */
#define RECORDED_BYTES (1UL << 20)
#define RECORDED_WORDS (RECORDED_BYTES / 8)

/* Whether this build calls back: it was made with MMDIFF_RECORD_ACCESSES in the environment. */
bool accesses_are_recorded(void);

/* From now on recordings are of the arena at `base`, and nothing in it is left out. */
void recording_attach(const void *base);
/* Leaves these bytes out of recordings and, unless they are part of a machine's state, out of its hash. */
void recording_leave_out(const void *address, size_t size, bool of_state);

/* Begins the recording of a step. */
void recording_start(void);
void recording_stop(void);
/* Stops for a while: what it returns says whether there was a recording to go on with. */
bool recording_pause(void);
void recording_go_on(bool recording);

/* The recording so far, in the order of first access; each word once. */
const struct recorded_access *recorded_accesses(void);
size_t recorded_count(void);
/* A hash of all that the step has read, and where: what its task's local variables depend on. */
uint64_t recorded_reads(void);
/* Begins that anew: an op has ended, and with it all variables. */
void recording_forget_reads(void);
/* A hash of the first `size` bytes of the arena, without what is no part of the state. */
uint64_t recording_state_hash(size_t size);
/* Where they differ from a copy of them, or `size`. */
size_t recording_first_difference(const void *copy, size_t size);

/* What the callbacks call; code that is not instrumented can call it itself. */
void record_access(const void *address, size_t size, bool writes);

#pragma clang assume_nonnull end
