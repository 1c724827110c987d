// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

/// The tests of the engine.  There is one machine, so they run one after the other.
@Suite(.serialized) enum SimulationTests {}

/// A machine without a kernel: a few tasks, each with a program of a few lines, and a few locks and words.
enum TinyMachine {
    /// What a task does.  A C function: a search goes back to snapshots of stacks, which must not own objects.
    typealias Program = @convention(c) () -> Void

    nonisolated(unsafe) static let arena = Arena(slot: Arena.slots - 2)!
    nonisolated(unsafe) private static let programs = UnsafeMutablePointer<Program>.allocate(capacity: Int(MAX_TASKS))
    nonisolated(unsafe) private static var objects = UnsafeMutableRawPointer(bitPattern: 16)!

    /// Boots a machine that runs these programs, each on a CPU of its own unless `cpus` says otherwise.
    static func boot(_ programs: Program..., cpus: [Int]? = nil, stepLimit: UInt32 = 10_000) {
        boot(programs, cpus: cpus, stepLimit: stepLimit)
    }

    static func boot(_ programs: [Program], cpus: [Int]? = nil, stepLimit: UInt32 = 10_000) {
        arena.clear()
        kernel = arena.root
        kernel.simulation = simulationOperations
        kernel.step_limit = stepLimit
        kernel.cpu_moves = 1
        kernel.nr_cpus = UInt8(NR_CPUS)
        kernel.nr_tasks = UInt8(programs.count)
        kernel.cpus = unsafeBitCast(arenaAllocate(sizeof_per_cpu() * Int(NR_CPUS)), to: per_cpu.self)
        kernel.tasks = unsafeBitCast(
            arenaAllocate(sizeof_task_struct() * (programs.count + 1), alignment: 64), to: task_struct.self)
        kernel.mem_map = unsafeBitCast(arenaAllocate(sizeof_page() * 2, alignment: 64), to: page.self)
        objects = arenaAllocate(1024)
        for (number, program) in programs.enumerated() {
            kernel.task(number).number = UInt8(number)
            kernel.task(number).cpu = UInt8(cpus?[number] ?? number)
            self.programs[number] = program
        }
        scheduler.run_op = { task, op in
            guard op == 0 else { return false }
            TinyMachine.runProgram(of: task)
            return true
        }
        for number in 0..<3 { spin_lock_init(lock(number), lockClasses[number]) }
        init_rwsem(semaphore, LOCK_mmap_lock)
        mutex_init(sleepingLock, LOCK_lru_add_drain_all)
        arena.keepAsTemplate()
    }

    static func runProgram(of task: task_struct) {
        programs[Int(task.number)]()
    }

    private static let lockClasses = [LOCK_ptl, LOCK_lru_lock, LOCK_i_pages]

    static func word(_ number: Int) -> UnsafeMutablePointer<Int> {
        objects.assumingMemoryBound(to: Int.self) + number
    }

    static func lock(_ number: Int) -> spinlock_t {
        unsafeBitCast(objects + 512 + number * 16, to: spinlock_t.self)
    }

    static var semaphore: rw_semaphore { unsafeBitCast(objects + 640, to: rw_semaphore.self) }
    static var sleepingLock: mutex { unsafeBitCast(objects + 704, to: mutex.self) }

    // MARK: Runs

    static func run(_ strategy: Strategy) -> run_end {
        strategy.install()
        return runInterleaved(arena)
    }

    static func search(
        preemptionBound: Int? = nil, schedules: Int = 1_000_000, visit: (run_end) -> Void = { _ in }
    ) -> SearchResult {
        DepthFirstSearch(arena).run(preemptionBound: preemptionBound, schedules: schedules) {
            visit($0)
            return true
        }
    }

    /// Starts a run in which the test decides who takes the next step.
    static func start() {
        Strategy.external.install()
        kernel = arena.root
        arena.reset()
        kernel.interleaving = 1
        kernel.run_end = UInt8(RUN_GOES_ON.rawValue)
        scheduler.nr_decisions = 0
        startFibers(arena)
    }

    /// Lets the tasks take a step each, in this order: up to the next place where another one could run.
    static func step(_ tasks: Int..., sourceLocation: SourceLocation = #_sourceLocation) {
        for task in tasks {
            guard end == RUN_GOES_ON, isRunnable(kernel.task(task)) else {
                Issue.record("task \(task) cannot run", sourceLocation: sourceLocation)
                return
            }
            resume(task)
        }
    }

    static var end: run_end { run_end(UInt32(kernel.run_end)) }

    /// The tasks that could take a step.
    static var runnable: [Int] {
        (0..<Int(kernel.nr_tasks)).filter { isRunnable(kernel.task($0)) }
    }
}

/// Appends a digit to the machine's diary, word 0.
func note(_ digit: Int) {
    TinyMachine.word(0).pointee = TinyMachine.word(0).pointee * 10 + digit
}

var diary: Int { TinyMachine.word(0).pointee }

func violated(_ kind: violation_kind) -> Bool {
    kernel.violations & 1 << kind.rawValue != 0
}

/// Nothing but this is broken.
func onlyViolated(_ kind: violation_kind) -> Bool {
    kernel.violations == 1 << kind.rawValue
}
