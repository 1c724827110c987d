/* SPDX-License-Identifier: GPL-2.0-only */
/* Variants of the family retract-page-tables that are written in C. */
#pragma once

#include <CKernel.h>

#pragma clang assume_nonnull begin
/* new: enters its functions in an era's table. */
void install_retract_page_tables_new(struct kernel_ops *ops);
#pragma clang assume_nonnull end
