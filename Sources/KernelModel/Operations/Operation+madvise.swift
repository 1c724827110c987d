// SPDX-License-Identifier: GPL-2.0-only
// madvise(2).

import CKernel

private let advice = [
    NamedValue("MADV_NORMAL", Int(MADV_NORMAL)), NamedValue("MADV_RANDOM", Int(MADV_RANDOM)),
    NamedValue("MADV_SEQUENTIAL", Int(MADV_SEQUENTIAL)), NamedValue("MADV_WILLNEED", Int(MADV_WILLNEED)),
    NamedValue("MADV_DONTNEED", Int(MADV_DONTNEED)), NamedValue("MADV_FREE", Int(MADV_FREE)),
    NamedValue("MADV_REMOVE", Int(MADV_REMOVE)), NamedValue("MADV_DONTFORK", Int(MADV_DONTFORK)),
    NamedValue("MADV_DOFORK", Int(MADV_DOFORK)), NamedValue("MADV_HUGEPAGE", Int(MADV_HUGEPAGE)),
    NamedValue("MADV_NOHUGEPAGE", Int(MADV_NOHUGEPAGE)), NamedValue("MADV_WIPEONFORK", Int(MADV_WIPEONFORK)),
    NamedValue("MADV_KEEPONFORK", Int(MADV_KEEPONFORK)), NamedValue("MADV_COLD", Int(MADV_COLD)),
    NamedValue("MADV_PAGEOUT", Int(MADV_PAGEOUT)),
]

extension Operation {
    static let madvise = madvise(advice)

    /// From v6.1 on.
    static let madvise_with_collapse = madvise(advice + [NamedValue("MADV_COLLAPSE", Int(MADV_COLLAPSE))])

    private static func madvise(_ advice: [NamedValue]) -> Operation {
        Operation(
            "madvise", .process,
            [Parameter("addr", .address), Parameter("length", .length), Parameter("advice", .choice(advice))],
            weight: 8, systemCall: "madvise"
        ) { advise(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), Int32(truncatingIfNeeded: $0[2])) }
    }
}

private func advise(_ start: UInt, _ length: UInt, _ behavior: Int32) -> Int {
    if behavior == MADV_REMOVE { return removeFromFile(start, length) }
    guard behavior == MADV_DONTNEED || behavior == MADV_FREE else { return ops.do_madvise(start, length, behavior) }
    let mm = current.mm!
    let pages = userPages(start, length)
    userDataChangeBegins(mm, changing: pages)
    let result = ops.do_madvise(start, length, behavior)
    // ENOMEM says that there was a hole; the rest is done.
    if behavior == MADV_DONTNEED && (result == 0 || result == -Int(ENOMEM)) {
        userDataDiscarded(mm, pages)
    } else {
        userDataChangeEnds(mm, pages, .undecided)
    }
    userDataChangeEnded()
    return result
}

/// Which files it concerns is known under mmap_lock only.
private func removeFromFile(_ start: UInt, _ length: UInt) -> Int {
    for number in 0..<Int(kernel.nr_files) { userDataFileShrinks(kernel.file(number)) }
    defer { for number in 0..<Int(kernel.nr_files) { userDataFileShrinks(kernel.file(number)) } }
    return ops.do_madvise(start, length, MADV_REMOVE)
}
