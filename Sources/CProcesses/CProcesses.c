/* SPDX-License-Identifier: GPL-2.0-only */
#define _GNU_SOURCE
#include "CProcesses.h"

#include <ckernel/scheduler.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct worker_page *worker_page;

/* The stack of the handler: the fiber's own may be what overflowed. */
static char handler_stack[64 << 10];

struct worker_page *worker_page_create(int *fd)
{
	*fd = memfd_create("mmdiff worker", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct worker_page)))
		return NULL;
	struct worker_page *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (page == MAP_FAILED)
		return NULL;
	page->task = page->op = -1;
	return page;
}

void worker_page_unmap(struct worker_page *page)
{
	munmap(page, sizeof(*page));
}

void worker_page_describe(struct worker_page *page, const char *text)
{
	strncpy(page->activity, text, sizeof(page->activity) - 1);
}

static void write_yield_point(struct worker_page *page, const struct yield_point_name *name)
{
	size_t room = sizeof(page->yield_point) - 1, length = 0;

	for (size_t i = 0; i < name->function_length && length < room; i++)
		page->yield_point[length++] = name->function[i];
	if (length < room)
		page->yield_point[length++] = ':';
	for (size_t i = 0; i < name->label_length && length < room; i++)
		page->yield_point[length++] = name->label[i];
	page->yield_point[length] = '\0';
}

/* The machine may be in ruins.  A fault in here ends the process at once, with what is written so far. */
static void write_place(int signal)
{
	worker_page->signal = signal;
	if (!kernel || !kernel->current)
		return;
	worker_page->task = kernel->current->number;
	worker_page->op = kernel->current->op;
	if (kernel->current->yield_point < scheduler->nr_yield_points)
		write_yield_point(worker_page, &scheduler->names[kernel->current->yield_point]);
}

static void on_signal(int signal)
{
	write_place(signal);
	raise(signal); /* SA_RESETHAND: by default it ends the process */
}

struct worker_page *worker_page_attach(int fd)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, WORKER_REPORT_SIGNAL };
	const stack_t stack = { .ss_sp = handler_stack, .ss_size = sizeof(handler_stack) };
	const struct rlimit no_core = { 0, 0 };

	worker_page = mmap(NULL, sizeof(*worker_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (worker_page == MAP_FAILED)
		return NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	sigaltstack(&stack, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction action = { .sa_handler = on_signal,
					    .sa_flags = SA_ONSTACK | SA_NODEFER | SA_RESETHAND };
		sigaction(signals[i], &action, NULL);
	}
	scheduler->progress = &worker_page->progress;
	return worker_page;
}
