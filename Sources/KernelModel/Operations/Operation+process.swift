// SPDX-License-Identifier: GPL-2.0-only
// fork(2) and exit_group(2).

import CKernel

extension Operation {
    /// The trace says which process the child becomes, so that its number is no matter of timing.
    static let fork = Operation("fork", .process, [Parameter("child", .process)], weight: 2, systemCall: "fork") {
        let child = UInt32($0[0])
        let parent = current.mm!
        if kernel.mm_slot(Int(child)).pointee != nil { return -Int(EAGAIN) }
        userDataForkBegins(parent, child: Int(child))
        guard let mm = ops.dup_mm(child, parent) else {
            userDataForget(Int(child))
            userDataChangeEnded()
            return -Int(ENOMEM)
        }
        userDataForkEnds(parent, child: mm)
        forgetWipedPages(mm)
        return Int(child)
    }

    static let exit = Operation("exit", .process, weight: 1, systemCall: "exit_group") { _ in
        userDataForget(Int(current.mm!.number))
        do_group_exit()
        return 0
    }
}

/// The child does not get what MADV_WIPEONFORK keeps from it.
private func forgetWipedPages(_ mm: mm_struct) {
    var next = mm.mmap
    while let vma = next {
        if vma.vm_flags & VM_WIPEONFORK != 0 {
            kernel.data_of(Int(mm.number)).pointee.known &= ~userPages(vma.vm_start, vma.vm_end - vma.vm_start)
        }
        next = vma.vm_next
    }
}
