/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory at fixed addresses, for stacks and arenas: see CFiber.h. */
#define _GNU_SOURCE
#include "CFiber.h"
#include <sys/mman.h>

static const size_t guard = 4096;

void *fiber_map(void *address, size_t size)
{
	char *base = mmap((char *)address - guard, size + guard, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	mprotect(base, guard, PROT_NONE);
	return base + guard;
}

void fiber_unmap(void *address, size_t size)
{
	munmap((char *)address - guard, size + guard);
}

void *memory_reserve(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void memory_release(void *address, size_t size)
{
	munmap(address, size);
}
