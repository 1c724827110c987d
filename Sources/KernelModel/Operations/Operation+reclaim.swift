// SPDX-License-Identifier: GPL-2.0-only
// Reclaim and the drains of LRU batches, as kernel threads do them.  They have no result that a program
// could see.

import CKernel

extension Operation {
    /// One pass of kswapd over a node.
    static let kswapd = Operation("kswapd", .kernel, [Parameter("node", .node)], weight: 6) {
        _ = balance_pgdat($0[0])
        return 0
    }

    /// A drain of the CPU the task runs on.
    static let lru_add_drain = Operation("lru_add_drain", .kernel, weight: 2) { _ in
        ops.lru_add_drain()
        return 0
    }

    static let lru_add_drain_all = Operation("lru_add_drain_all", .kernel, weight: 2) { _ in
        ops.lru_add_drain_all()
        return 0
    }
}
