/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The page that a worker process shares with its parent, and the signal handler that writes into it where
 * the simulation stood.  It is C so that nothing but plain memory is touched after a crash.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* A worker writes, its parent reads. */
struct worker_page {
	volatile uint32_t progress; /* changes as long as all is well */
	volatile int32_t signal;    /* what ended the worker, or asked where it is; 0: nothing yet */
	volatile int32_t task, op;  /* -1: no simulated task ran */
	char activity[256];         /* what it works on, in its own words */
	char yield_point[256];      /* function:label where the task last stood */
};

/* A new page, and in *fd the file to share it by; NULL and errno if there is none. */
struct worker_page *_Nullable worker_page_create(int *fd);

/* In the worker: maps the page behind `fd` and notes there where a crash happens, even when a stack has
 * overflowed.  The process dies with its parent and leaves no core file. */
struct worker_page *_Nullable worker_page_attach(int fd);

void worker_page_unmap(struct worker_page *page);

/* Makes `text` the worker's activity. */
void worker_page_describe(struct worker_page *page, const char *text);

static inline const char *worker_page_activity(struct worker_page *page) { return page->activity; }
static inline const char *worker_page_yield_point(struct worker_page *page) { return page->yield_point; }

/* Asks a worker for its place; it ends. */
#define WORKER_REPORT_SIGNAL 3 /* SIGQUIT */

#pragma clang assume_nonnull end
