// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

/// All unit tests of the model.  There is one machine, so they run one after the other.
@Suite(.serialized) enum KernelModelTests {}

/// A machine of any era, whose kernel functions a test calls by itself, one after the other.
enum TestMachine {
    /// Slots can be mapped once a process; the last one is the unit tests'.
    nonisolated(unsafe) private static let arena = Arena(slot: Arena.slots - 1)!
    nonisolated(unsafe) private static var tables: [String: kernel_ops] = [:]
    nonisolated(unsafe) private static var program: (() -> Void)?

    private static func operations(of era: Era) -> kernel_ops {
        if let table = tables[era.name] { return table }
        let table = makeOperationsTable(era.install)
        tables[era.name] = table
        return table
    }

    /// Boots a machine with one process, whose only thread is the current task, on CPU 0.
    static func boot(_ shape: MachineShape = MachineShape(), era: Era = .v5_13) {
        let tasks = [TaskShape(process: 0, cpu: 0)]
        arena.boot(shape, tasks: tasks, operations: operations(of: era))
        kernel.current = kernel.task(0)
    }

    /// Runs `body` on a fresh machine as the only thread of process 0, then drains all CPUs and holds the machine
    /// against the invariants.
    static func run(
        _ shape: MachineShape = MachineShape(), era: Era = .v5_13,
        sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping () -> Void
    ) {
        boot(shape, era: era)
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
        let end = Simulation.runAlone(arena, task: kernel.task(0))
        program = nil
        if end == RUN_COMPLETE { checkInvariantsAtRest() }
        _ = report(end, "", sourceLocation)
    }

    /// Runs `body` as `run` does, on a kernel some of whose functions `mutant` has broken; `atRest` may spoil what
    /// is left.  The kinds of what it broke, as a mask.
    static func violations(
        _ shape: MachineShape, era: Era = .v5_13, mutant: (kernel_ops) -> Void = { _ in }, atRest: () -> Void = {},
        _ body: @escaping () -> Void
    ) -> UInt32 {
        boot(shape, era: era)
        let table = makeOperationsTable(era.install)
        mutant(table)
        kernel.ops = table
        let task = kernel.task(0)
        var end = runAlone(task) {
            body()
            checkNothingHeldAtReturn()
        }
        if end == RUN_COMPLETE { end = runAlone(task) { ops.lru_add_drain_all() } }
        if end == RUN_COMPLETE {
            atRest()
            checkInvariantsAtRest()
        }
        return kernel.violations
    }

    /// What one task of a race does, and for which process.
    struct Racer {
        let process: Int
        let body: () -> Void

        init(_ process: Int, _ body: @escaping () -> Void) {
            self.process = process
            self.body = body
        }
    }

    /// Runs `setup` as process 0 on a fresh machine, then `racers` against each other under a schedule for each
    /// seed, and holds the machine against the invariants after each run.  Ends with the first that breaks one.
    ///
    /// - Parameters:
    ///   - moves: whether tasks may move to another CPU.  Who moves in the middle of mlock() leaves its mlocks in the
    ///     batch of the old CPU; munlock() and another mlock() may overtake them, and the page counts one too many.
    ///   - defect: what that kernel is known to break.
    static func race(
        _ shape: MachineShape = MachineShape(), era: Era = .v5_13, seeds: Range<UInt64> = 1..<200, moves: Bool = false,
        defect: violation_kind? = nil, with change: ((kernel_ops) -> Void)? = nil,
        sourceLocation: SourceLocation = #_sourceLocation,
        setup: @escaping () -> Void, _ racers: Racer...
    ) {
        prepareRace(shape, era, racers, setup, sourceLocation)
        let table =
            change.map { change in
                makeOperationsTable {
                    era.install($0); change($0)
                }
            } ?? operations(of: era)
        for seed in seeds {
            let end = runRace(seed, racers, table, moves: moves)
            if report(end, "seed \(seed): ", besides: defect, sourceLocation) { return }
        }
    }

    private static func prepareRace(
        _ shape: MachineShape, _ era: Era, _ racers: [Racer], _ setup: @escaping () -> Void,
        _ sourceLocation: SourceLocation
    ) {
        let tasks = racers.indices.map { TaskShape(process: racers[$0].process, cpu: $0 % shape.cpus) }
        arena.boot(shape, tasks: tasks, operations: operations(of: era))
        if runAlone(kernel.task(tasks.count), setup) != RUN_COMPLETE {
            Issue.record("the set-up did not end", sourceLocation: sourceLocation)
        }
        arena.keepAsTemplate()
        TestMachine.racers = racers
    }

    /// One schedule, and what is true at rest after it.
    private static func runRace(
        _ seed: UInt64, _ racers: [Racer], _ table: kernel_ops, moves: Bool = false
    ) -> run_end {
        Strategy.random(seed: seed, switchChance: 0.2).install()
        if !moves { scheduler.move_threshold = 0 }
        scheduler.run_op = { task, op in
            guard op == 0 else { return false }
            let racer = TestMachine.racers[Int(task.number)]
            task.mm = kernel.mm_slot(racer.process).pointee
            kernel.ops = TestMachine.table!
            racer.body()
            checkNothingHeldAtReturn()
            return true
        }
        TestMachine.table = table
        let end = runInterleaved(arena)
        let own = kernel.task(racers.count)
        if end == RUN_COMPLETE, runAlone(own, { ops.lru_add_drain_all() }) == RUN_COMPLETE {
            checkInvariantsAtRest()
        }
        return end
    }

    nonisolated(unsafe) private static var table: kernel_ops?

    /// The same with some functions of the kernel broken by `change`: one of the schedules must break the invariant
    /// `kind`.  Shows that the invariant has teeth.
    static func raceOfMutant(
        _ change: (kernel_ops) -> Void, breaks kind: violation_kind, _ shape: MachineShape = MachineShape(),
        era: Era = .v5_13, seeds: Range<UInt64> = 1..<400, sourceLocation: SourceLocation = #_sourceLocation,
        setup: @escaping () -> Void, _ racers: Racer...
    ) {
        prepareRace(shape, era, racers, setup, sourceLocation)
        let mutant = makeOperationsTable(era.install)
        change(mutant)
        for seed in seeds {
            _ = runRace(seed, racers, mutant)
            if kernel.violations & 1 << kind.rawValue != 0 { return }
        }
        Issue.record("the mutant went unnoticed", sourceLocation: sourceLocation)
    }

    /// Runs `body` alone as the machine's own task, on process 0.
    private static func runAlone(_ task: task_struct, _ body: @escaping () -> Void) -> run_end {
        program = body
        scheduler.run_op = { task, op in
            guard op == 0 else { return false }
            task.mm = kernel.mm_slot(0).pointee
            TestMachine.program!()
            return true
        }
        task.op = 0
        let end = Simulation.runAlone(arena, task: task)
        program = nil
        task.state = UInt8(TASK_RUNNABLE.rawValue)
        task.op = 0
        return end
    }

    nonisolated(unsafe) private static var racers: [Racer] = []

    /// Records how the run ended, if that is wrong, and what it broke; true if there was something.
    private static func report(
        _ end: run_end, _ prefix: String, besides defect: violation_kind? = nil, _ sourceLocation: SourceLocation
    ) -> Bool {
        if end != RUN_COMPLETE {
            let places = (0..<Int(kernel.nr_tasks)).map { yieldPointName(Int(kernel.task($0).yield_point)) }
            Issue.record(
                "\(prefix)ended as \(end.rawValue) at \(places.joined(separator: ", "))",
                sourceLocation: sourceLocation)
        }
        for number in 0..<Int(kernel.nr_violations) {
            let violation = kernel.broken(number).pointee
            if UInt32(violation.kind) == defect?.rawValue { continue }
            let name = invariants.first { $0.kind == UInt32(violation.kind) }?.name ?? "?"
            let place = yieldPointName(Int(violation.yield_point))
            Issue.record(
                "\(prefix)\(name) \(violation.object) \(violation.value) at \(place)", sourceLocation: sourceLocation)
        }
        return end != RUN_COMPLETE || kernel.violations & ~(defect.map { 1 << $0.rawValue } ?? 0) != 0
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

/// Pins a page a few times for a device: what it writes is there as long as it holds the page.
func writeThroughPins(_ address: UInt) {
    for _ in 0..<3 {
        guard let page = ops.get_user_page_fast(current.mm!, address, FOLL_WRITE | FOLL_PIN), !IS_ERR(page)
        else { continue }
        page.contents = 9
        #expect(load(address) == 9)
        ops.unpin_user_page(page)
    }
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
