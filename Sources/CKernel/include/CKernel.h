/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything the model of the kernel's memory management works on: the kernel's structs under the
 * kernel's names, its small header inlines, and the table of replaceable functions.  Swift imports it
 * as the module CKernel; a variant written in C includes it.
 *
 * Each struct is one superset layout that serves all eras; what an era lacks stays zero.  Structs that
 * are only ever reached by pointer are KERNEL_OBJECTs: Swift sees them as references, so that the same
 * line (`vma->vm_flags`, `vma.vm_flags`) means the same in both languages and nothing is counted.
 */
#pragma once

#include <ckernel/compiler.h>
#include <ckernel/types.h>
#include <ckernel/list.h>
#include <ckernel/spinlock_types.h>
#include <ckernel/mm_types.h>
#include <ckernel/page-flags.h>
#include <ckernel/mmu_notifier.h>
#include <ckernel/khugepaged.h>
#include <ckernel/percpu.h>
#include <ckernel/sched.h>
#include <ckernel/kernel_state.h>
#include <ckernel/pgtable.h>
#include <ckernel/swap.h>
#include <ckernel/pagevec.h>
#include <ckernel/rmap.h>
#include <ckernel/mm.h>
#include <ckernel/userfaultfd_k.h>
#include <ckernel/kernel_ops.h>
#include <ckernel/rules.h>
#include <ckernel/simulation.h>
#include <ckernel/accessors.h>
#include <ckernel/scheduler.h>
#include <ckernel/trace.h>
