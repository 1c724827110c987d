// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

/// All unit tests of the model.  There is one machine, so they run one after the other.
@Suite(.serialized) enum KernelModelTests {}

/// A machine whose kernel functions a test calls by itself, one after the other.
enum TestMachine {
    /// Slots can be mapped once a process; the last one is the unit tests'.
    nonisolated(unsafe) private static let arena = Arena(slot: Arena.slots - 1)!
    nonisolated(unsafe) private static let operations = makeOperationsTable(Era.v5_13.install)
    nonisolated(unsafe) private static var program: (() -> Void)?

    /// Boots a machine with one process, whose only thread is the current task, on CPU 0.
    static func boot(_ shape: MachineShape = MachineShape()) {
        let tasks = [TaskShape(process: 0, cpu: 0)]
        arena.boot(shape, tasks: tasks, operations: operations)
        kernel.current = kernel.task(0)
    }

    /// Runs `body` on a fresh machine as the only thread of process 0, then drains all CPUs and holds the machine
    /// against the invariants.
    static func run(
        _ shape: MachineShape = MachineShape(), sourceLocation: SourceLocation = #_sourceLocation,
        _ body: @escaping () -> Void
    ) {
        boot(shape)
        program = {
            body()
            checkNothingHeldAtReturn()
            ops.lru_add_drain_all()
        }
        scheduler.run_op = { _, op in
            guard op == 0 else { return false }
            TestMachine.program!()
            return true
        }
        let end = runAlone(arena, task: kernel.task(0))
        program = nil
        let place = yieldPointName(Int(kernel.task(0).yield_point))
        #expect(end == RUN_COMPLETE, "stopped at \(place)", sourceLocation: sourceLocation)
        if end == RUN_COMPLETE { checkInvariantsAtRest() }
        for number in 0..<Int(kernel.nr_violations) {
            let violation = kernel.broken(number).pointee
            let name = invariants.first { $0.kind == UInt32(violation.kind) }?.name ?? "?"
            let place = yieldPointName(Int(violation.yield_point))
            Issue.record(
                "\(name) \(violation.object) \(violation.value) at \(place)", sourceLocation: sourceLocation)
        }
    }

    static func boot(pagevecSize: Int) {
        var shape = MachineShape()
        shape.pagevecSize = pagevecSize
        boot(shape)
    }
}

/// A new page, as anonymous memory has it: swap-backed and up to date.
func newPage(order: UInt32 = 0) -> page {
    let page = ops.alloc_pages(GFP_HIGHUSER_MOVABLE, order)!
    SetPageSwapBacked(page)
    SetPageUptodate(page)
    return page
}

func pages(on lru: lru_list) -> Int {
    kernel.stat(Int(lru.rawValue)).pointee
}

func statistic(_ item: node_stat_item) -> Int {
    kernel.stat(Int(item.rawValue)).pointee
}

func events(_ item: vm_event_item) -> UInt32 {
    kernel.event(Int(item.rawValue)).pointee
}

/// Pages of all nodes that are free.
func freePages() -> Int {
    (0..<Int(kernel.nr_nodes)).reduce(0) { $0 + Int(kernel.node($1).nr_free) }
}

// MARK: - What programs do

/// Maps `pages` pages at `address`.
func map(
    _ address: UInt, pages: Int, file: address_space? = nil, shared: Bool = false, prot: UInt = PROT_READ | PROT_WRITE
) {
    let flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE)
    #expect(ops.vm_mmap_pgoff(file, address, UInt(pages) * PAGE_SIZE, prot, flags, 0) == Int(address))
}

/// Stores a token; true if that worked.
@discardableResult
func store(_ token: Int, _ address: UInt) -> Bool {
    access_memory(current.mm!, address, write: true, token: UInt64(token)) == token
}

/// What a load sees, or a negative errno.
func load(_ address: UInt) -> Int {
    access_memory(current.mm!, address, write: false, token: 0)
}

/// Makes process `number` a copy of the current one.
func fork(_ number: Int) {
    #expect(ops.dup_mm(UInt32(number), current.mm!) != nil)
}

/// Goes on as a thread of process `number`.
func become(_ number: Int) {
    current.mm = kernel.mm_slot(number).pointee!
}

/// Ends process `number`.
func exit(_ number: Int) {
    let mm = kernel.mm_slot(number).pointee!
    if current.mm === mm { current.mm = nil }
    ops.mmput(mm)
}
