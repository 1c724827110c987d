// SPDX-License-Identifier: GPL-2.0-only
// The entry points of migration, each with drains of its own: move_pages(2), compaction, NUMA balancing.

import CKernel

extension Operation {
    /// move_pages(2) of each page of a range to one node.  Its arrays have no place in a log of strace.
    static let move_pages = Operation(
        "move_pages", .process,
        [
            Parameter("addr", .address), Parameter("len", .length), Parameter("node", .node),
            Parameter(
                "flags",
                .flags([
                    NamedValue("MPOL_MF_MOVE", Int(MPOL_MF_MOVE)),
                    NamedValue("MPOL_MF_MOVE_ALL", Int(MPOL_MF_MOVE_ALL)),
                ])),
        ], weight: 4
    ) { ops.do_move_pages(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), Int32($0[2]), Int32($0[3])) }

    /// Compaction of a whole node, as kcompactd does it ahead of need.
    static let compact = Operation("compact", .kernel, [Parameter("node", .node)], weight: 4) {
        ops.compact_zone(Int32($0[0]), -1)
    }

    /// NUMA balancing: the next access to each page of a range faults, and may move the page.
    static let change_prot_numa = Operation(
        "change_prot_numa", .process, [Parameter("addr", .address), Parameter("len", .length)], weight: 2
    ) {
        task_numa_work(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]))
        return 0
    }
}
