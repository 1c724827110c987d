/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's integer types and atomics.  One step of the simulation is atomic by construction. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ckernel/compiler.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long pgoff_t;
typedef unsigned int gfp_t;
typedef unsigned int vm_fault_t;

typedef struct { int counter; } atomic_t;
