/* SPDX-License-Identifier: GPL-2.0-only */
/* libgit2, and what Swift does not import of it: git_libgit2_opts() takes a variable list of arguments. */
#ifndef MMDIFF_CLIBGIT2_H
#define MMDIFF_CLIBGIT2_H

#include <git2.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>

static inline int git_enable_fsync(int on)
{
	return git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, on);
}

static inline int git_enable_strict_hash_verification(int on)
{
	return git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, on);
}

/* Linux has it, the C library's default headers do not show it: flushes the filesystem that a file is on. */
int syncfs(int descriptor);

#endif
