// SPDX-License-Identifier: GPL-2.0-only
// The shape of a simulated machine: scaled down from a real one, nothing left out.

import CKernel

/// How large the machine of a trace is.  Small sizes make collisions likely and executions cheap.
public struct MachineShape: Sendable, Equatable {
    public var cpus = 2
    public var nodes = 1
    /// The node, if any, whose memory is in ZONE_MOVABLE, where no page may be pinned for long.
    public var movableNode: Int?
    /// Pages of memory, over all nodes.
    public var pages = 32
    /// Entries of a page table; a huge page is as many base pages.
    public var ptrsPerPte = 8
    /// Page tables of an mm.
    public var ptrsPerPmd = 4
    /// Swap slots, the header's included.
    public var swapSlots = 8
    /// Pages of a per-CPU batch; the kernel's is 15.
    public var pagevecSize = Int(PAGEVEC_SIZE)
    public var files: [File] = []

    public init() {}

    public struct File: Sendable, Equatable {
        public var kind: Kind
        /// In pages.
        public var size: Int
        /// Whether the page cache takes huge pages for it where it can (shmem, huge=always).
        public var huge: Bool
        /// ... and only where madvise() asked for them (huge=advise).
        public var onAdvice: Bool

        public init(kind: Kind, size: Int, huge: Bool = false, onAdvice: Bool = false) {
            self.kind = kind
            self.size = size
            self.huge = huge
            self.onAdvice = huge && onAdvice
        }

        public enum Kind: String, Sendable, CaseIterable {
            case disk
            case shmem
        }
    }

    /// What each number may be, with the reason for the upper bound where the arena sets it.
    public static let cpuRange = 1...Int(NR_CPUS)
    public static let nodeRange = 1...2
    /// From enough for one page table's worth of pages to what keeps an arena small.
    public static let pageRange = 8...64
    public static let ptrsPerPteChoices = [8, Int(MAX_PTRS_PER_PTE)]
    public static let ptrsPerPmdRange = 2...Int(MAX_PTRS_PER_PMD)
    public static let swapSlotRange = 1...Int(MAX_SWAP_SLOTS)
    /// __munlock_pagevec_fill() adds a page to a batch that has one.
    public static let pagevecRange = 2...Int(PAGEVEC_SIZE)
    public static let fileSizeRange = 1...Int(MAX_FILE_PAGES)
    public static let maximalFiles = Int(MAX_FILES)
    public static let maximalProcesses = Int(MAX_MMS)
    /// One task more is the machine's own, which sets it up.
    public static let maximalTasks = Int(MAX_TASKS) - 1
    public static let maximalOps = Int(MAX_OPS)
}

/// A task of a trace: who it is and where it runs.
public struct TaskShape: Sendable, Equatable {
    /// The process it is a thread of; nil for a kernel thread or a device.
    public var process: Int?
    public var cpu: Int

    public init(process: Int?, cpu: Int) {
        self.process = process
        self.cpu = cpu
    }
}
