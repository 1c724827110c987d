// SPDX-License-Identifier: GPL-2.0-only
// What mm/khugepaged.c of Linux v6.5 needs from elsewhere in the kernel, where the model has it not yet.

import CKernel
import Simulation

/// Linux v6.5, include/linux/mm.h, vma_start_write(), vma_try_start_write().
func vma_start_write(_ vma: vm_area_struct) {}
func vma_try_start_write(_ vma: vm_area_struct) -> Bool { true }
