/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stackful fibers: the three functions of Boost.Context's C ABI, declared by hand because its header is
 * C++, and stacks at fixed addresses with a guard page below.
 */
#pragma once

#include <stddef.h>

typedef void *fcontext_t;
typedef struct transfer {
	fcontext_t fctx; /* the context that was left */
	void *data;
} transfer_t;

transfer_t jump_fcontext(fcontext_t const to, void *data);
fcontext_t make_fcontext(void *stack_top, size_t size, void (*entry)(transfer_t));

/* Maps `size` bytes readable and writable at `address`, with a guard page below; NULL if the addresses
 * are taken. */
void *fiber_map(void *address, size_t size);
void fiber_unmap(void *address, size_t size);

/* Address space that costs memory only where it is touched; NULL if there is none. */
void *memory_reserve(size_t size);
void memory_release(void *address, size_t size);
