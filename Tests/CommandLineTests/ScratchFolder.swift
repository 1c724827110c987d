// SPDX-License-Identifier: GPL-2.0-only
// Files that a test hands to mmdiff.

import Foundation

/// A folder that is removed with the test that made it.
final class ScratchFolder {
    let url = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    func path(_ name: String) -> String { url.appending(path: name).path }

    /// - Returns: the file's path.
    func write(_ name: String, _ text: String) throws -> String {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }
}

extension ScratchFolder {
    /// A user's file: page_mlock_one() as posted, with something at its beginning.
    func pageMlockOne(_ beginning: String = "") throws -> String {
        try write(
            "mine.c",
            """
            #include <mmdiff.h>

            bool page_mlock_one(struct page *page, struct vm_area_struct *vma, unsigned long address, void *unused)
            {
                struct page_vma_mapped_walk pvmw = { .page = page, .vma = vma, .address = address };

                \(beginning)
                if (!(READ_ONCE(vma->vm_flags) & VM_LOCKED))
                    return true;
                while (page_vma_mapped_walk(&pvmw)) {
                    if (!PageTransCompound(page))
                        mlock_vma_page(page);
                    page_vma_mapped_walk_done(&pvmw);
                    return false;
                }
                return true;
            }
            """)
    }
}

/// A user's file: page_mlock.fixed in C, which the project's own rewritten functions start from, too.
let pageMlockFixed = try! String(
    contentsOf: project.appending(path: "Variants/MunlockSplit/refactors/page_mlock_fixed.c"), encoding: .utf8)
