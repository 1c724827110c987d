/* SPDX-License-Identifier: GPL-2.0-only */
/* Variants of the family munlock-split that are written in C. */
#pragma once

#include <CKernel.h>

#pragma clang assume_nonnull begin
/* page_mlock.posted: enters its functions in an era's table. */
void install_page_mlock_posted(struct kernel_ops *ops);
#pragma clang assume_nonnull end
