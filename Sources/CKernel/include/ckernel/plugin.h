/* SPDX-License-Identifier: GPL-2.0-only */
/* What the host needs to compile and load a user's variant. */
#pragma once

#pragma clang assume_nonnull begin

/* A header of CKernel as data, so that a variant compiles wherever mmdiff runs. */
struct kernel_header {
	const char *name; /* as #include has it */
	const char *text;
};

/* Header `number`; its name is empty past the last one. */
struct kernel_header kernel_header(unsigned int number);

/* How entry `number` of the table of kernel operations is declared in C; NULL past its end. */
const char *_Nullable kernel_op_prototype(unsigned int number);

/* Lets a plug-in see the host's machine: `mmdiff_kernel` is the address of its variable of that name. */
void plugin_attach(void *mmdiff_kernel);

#pragma clang assume_nonnull end
