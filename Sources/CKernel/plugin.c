/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host needs to compile and load a user's variant: see plugin.h. */
#include "CKernel.h"
#include "ckernel/plugin.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

/* Each header of include/ but plugin.h.  A new one needs its entry here. */
static const struct kernel_header headers[] = {
	{ "mmdiff.h", (const char[]){
#embed "include/mmdiff.h"
	, 0 } },
	{ "CKernel.h", (const char[]){
#embed "include/CKernel.h"
	, 0 } },
	{ "ckernel/accessors.h", (const char[]){
#embed "include/ckernel/accessors.h"
	, 0 } },
	{ "ckernel/compiler.h", (const char[]){
#embed "include/ckernel/compiler.h"
	, 0 } },
	{ "ckernel/kernel_ops.h", (const char[]){
#embed "include/ckernel/kernel_ops.h"
	, 0 } },
	{ "ckernel/rules.h", (const char[]){
#embed "include/ckernel/rules.h"
	, 0 } },
	{ "ckernel/kernel_state.h", (const char[]){
#embed "include/ckernel/kernel_state.h"
	, 0 } },
	{ "ckernel/khugepaged.h", (const char[]){
#embed "include/ckernel/khugepaged.h"
	, 0 } },
	{ "ckernel/list.h", (const char[]){
#embed "include/ckernel/list.h"
	, 0 } },
	{ "ckernel/mm.h", (const char[]){
#embed "include/ckernel/mm.h"
	, 0 } },
	{ "ckernel/mm_types.h", (const char[]){
#embed "include/ckernel/mm_types.h"
	, 0 } },
	{ "ckernel/mmu_notifier.h", (const char[]){
#embed "include/ckernel/mmu_notifier.h"
	, 0 } },
	{ "ckernel/page-flags.h", (const char[]){
#embed "include/ckernel/page-flags.h"
	, 0 } },
	{ "ckernel/pagevec.h", (const char[]){
#embed "include/ckernel/pagevec.h"
	, 0 } },
	{ "ckernel/percpu.h", (const char[]){
#embed "include/ckernel/percpu.h"
	, 0 } },
	{ "ckernel/pgtable.h", (const char[]){
#embed "include/ckernel/pgtable.h"
	, 0 } },
	{ "ckernel/rmap.h", (const char[]){
#embed "include/ckernel/rmap.h"
	, 0 } },
	{ "ckernel/sched.h", (const char[]){
#embed "include/ckernel/sched.h"
	, 0 } },
	{ "ckernel/scheduler.h", (const char[]){
#embed "include/ckernel/scheduler.h"
	, 0 } },
	{ "ckernel/simulation.h", (const char[]){
#embed "include/ckernel/simulation.h"
	, 0 } },
	{ "ckernel/spinlock_types.h", (const char[]){
#embed "include/ckernel/spinlock_types.h"
	, 0 } },
	{ "ckernel/swap.h", (const char[]){
#embed "include/ckernel/swap.h"
	, 0 } },
	{ "ckernel/trace.h", (const char[]){
#embed "include/ckernel/trace.h"
	, 0 } },
	{ "ckernel/types.h", (const char[]){
#embed "include/ckernel/types.h"
	, 0 } },
	{ "ckernel/userfaultfd_k.h", (const char[]){
#embed "include/ckernel/userfaultfd_k.h"
	, 0 } },
};

struct kernel_header kernel_header(unsigned int number)
{
	return number < sizeof(headers) / sizeof(headers[0]) ? headers[number] : (struct kernel_header){ "", "" };
}

static const char *const kernel_op_prototypes[] = {
#define OP(type, name, parameters, arguments) #type " " #name #parameters,
	KERNEL_OPS(OP)
#undef OP
};

const char *kernel_op_prototype(unsigned int number)
{
	return number < NR_KERNEL_OPS ? kernel_op_prototypes[number] : NULL;
}

void plugin_attach(void *mmdiff_kernel)
{
	*(struct kernel_state ***)mmdiff_kernel = &kernel;
}
