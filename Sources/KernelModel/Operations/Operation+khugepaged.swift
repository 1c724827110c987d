// SPDX-License-Identifier: GPL-2.0-only
// khugepaged, from v5.18-rc1 on.

import CKernel

extension Operation {
    /// The next range of those that khugepaged looks through.  The result says what became of it (enum scan_result: 1 for
    /// a huge page, 15 for one that somebody refers to, ...), or -EAGAIN if there was none.
    static let khugepaged = Operation("khugepaged", .kernel, weight: 6) { _ in ops.khugepaged_do_scan() }
}
