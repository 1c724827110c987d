// SPDX-License-Identifier: GPL-2.0-only
// mm/khugepaged.c of Linux v6.5: collapse of anonymous memory.
//
// Left out as yet: all of it; no range of anonymous memory is worth a huge page.

import CKernel
import Simulation

/// Linux v6.5, mm/khugepaged.c, hpage_collapse_scan_pmd().
func hpage_collapse_scan_pmd(
    _ mm: mm_struct, _ vma: vm_area_struct, _ address: UInt, _ mmap_locked: UnsafeMutablePointer<Bool>,
    _ cc: UnsafeMutablePointer<collapse_control>
) -> Int32 {
    SCAN_FAIL
}
