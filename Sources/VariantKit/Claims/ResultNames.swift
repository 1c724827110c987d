// SPDX-License-Identifier: GPL-2.0-only
// Results of operations by the kernel's names.

import CKernel

/// Error numbers, which results have with a minus, and what a scan of khugepaged ends as.
private let errors: [(name: String, value: Int32)] = [
    ("EPERM", EPERM), ("EINTR", EINTR), ("EIO", EIO), ("EAGAIN", EAGAIN), ("ENOMEM", ENOMEM), ("EACCES", EACCES),
    ("EFAULT", EFAULT), ("EBUSY", EBUSY), ("EEXIST", EEXIST), ("ENOENT", ENOENT), ("EINVAL", EINVAL),
    ("ENOSPC", ENOSPC), ("EOPNOTSUPP", EOPNOTSUPP),
]

private let scanResults: [(name: String, value: Int)] = [
    ("SCAN_FAIL", Int(SCAN_FAIL)), ("SCAN_SUCCEED", Int(SCAN_SUCCEED)), ("SCAN_PMD_NULL", Int(SCAN_PMD_NULL)),
    ("SCAN_PMD_NONE", Int(SCAN_PMD_NONE)), ("SCAN_PMD_MAPPED", Int(SCAN_PMD_MAPPED)),
    ("SCAN_PTE_UFFD_WP", Int(SCAN_PTE_UFFD_WP)), ("SCAN_PTE_MAPPED_HUGEPAGE", Int(SCAN_PTE_MAPPED_HUGEPAGE)),
    ("SCAN_PAGE_ANON", Int(SCAN_PAGE_ANON)), ("SCAN_ANY_PROCESS", Int(SCAN_ANY_PROCESS)),
    ("SCAN_VMA_CHECK", Int(SCAN_VMA_CHECK)),
]

/// The result that a claims file names: a number, an error with a minus, what a scan ends as.
func resultValue(_ text: String) -> Int? {
    if let number = Int(text) { return number }
    if text.hasPrefix("-"), let error = errors.first(where: { $0.name == text.dropFirst() }) {
        return -Int(error.value)
    }
    return scanResults.first { $0.name == text }?.value
}

/// A result of an operation as `resultValue()` reads it.
func resultText(_ value: Int, of operation: String) -> String {
    if operation == "khugepaged", let scan = scanResults.first(where: { $0.value == value }) { return scan.name }
    return errors.first { -Int($0.value) == value }.map { "-" + $0.name } ?? "\(value)"
}
