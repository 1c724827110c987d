// SPDX-License-Identifier: GPL-2.0-only
// Random programs of a few steps each, on shared words under locks and without: whatever a search can get wrong about
// locks, waits, CPUs and ends, in as few steps as possible.

import CKernel
import Simulation

/// The programs of one machine.
struct RandomPrograms {
    enum Step {
        case read(Int), write(Int, Int), add(Int)
        case spinLock(Int), spinUnlock(Int), trylock(Int)
        case downRead, upRead, downWrite, upWrite, tryDownRead
        case mutexLock, mutexUnlock
        case preemptDisable, preemptEnable, irqDisable, irqEnable
        case readLock, readUnlock, synchronize
        case interrupt(Int), waitFor(Int), waitInterruptibly(Int)
        case mayMove, cpu
        case bugUnless(Int)
    }

    let programs: [[Step]]
    let cpus: [Int]

    /// Programs of which a reduction has once lost outcomes: a step that waits does less than it does elsewhere; who cannot
    /// go on where all others are asleep could have gone on before.
    static let onceWrong = [
        RandomPrograms(
            programs: [
                [.spinLock(1), .spinLock(0), .spinUnlock(0), .spinUnlock(1)],
                [.read(3), .spinLock(0), .spinLock(1), .spinUnlock(1), .spinUnlock(0)],
                [.waitInterruptibly(2), .read(2), .trylock(0), .write(1, 2)],
            ], cpus: [0, 1, 0]),
        RandomPrograms(
            programs: [
                [.spinLock(0), .add(3), .spinUnlock(0)],
                [.spinLock(1), .spinLock(0), .spinUnlock(0), .spinUnlock(1)],
                [.bugUnless(2), .waitFor(1), .write(1, 1)],
            ], cpus: [0, 1, 1]),
    ]

    private init(programs: [[Step]], cpus: [Int]) {
        (self.programs, self.cpus) = (programs, cpus)
    }

    /// Draws programs of about `length` steps for `tasks` tasks.
    init(_ random: inout Random, tasks: Int, length: Int) {
        programs = (0..<tasks).map { _ in
            var program: [Step] = []
            while program.count < length { program += RandomPrograms.sequence(&random) }
            return program
        }
        var cpus: [Int] = []
        for task in 0..<tasks { cpus.append(random.below(3) == 0 ? random.below(task + 1) : task) }
        self.cpus = cpus
    }

    private static func sequence(_ random: inout Random) -> [Step] {
        let word = 1 + random.below(3)
        let access: Step = [.read(word), .write(word, 1 + random.below(3)), .add(word)][random.below(3)]
        switch random.below(20) {
        case 0: return [.spinLock(0), access, .spinUnlock(0)]
        case 1: return [.spinLock(1), access, .spinUnlock(1)]
        case 2: return [.downRead, access, .upRead]
        case 3: return [.downWrite, access, .upWrite]
        case 4: return [.mutexLock, access, .mutexUnlock]
        case 5: return [.preemptDisable, access, .preemptEnable]
        case 6: return [.trylock(0), access]
        case 7: return [.readLock, access, .readUnlock]
        case 8: return [.synchronize, access]
        case 9: return [.spinLock(0), .spinLock(1), .spinUnlock(1), .spinUnlock(0)]
        case 10: return [.spinLock(1), .spinLock(0), .spinUnlock(0), .spinUnlock(1)]
        case 11: return [.irqDisable, access, .irqEnable]
        case 12: return [.interrupt(random.below(3)), access]
        case 13: return [.waitFor(word), access]
        case 14: return [.waitInterruptibly(word), access]
        case 15: return [.mayMove, .cpu, access]
        case 16: return random.below(3) == 0 ? [.bugUnless(word)] : [access]
        case 17: return [.tryDownRead, access]
        default: return [access]
        }
    }
}

/// The machine that runs them.
enum ProgramMachine {
    nonisolated(unsafe) static let arena = Arena(slot: 2)!
    /// What each task does; read by its fiber.
    nonisolated(unsafe) private static let steps = {
        let steps = UnsafeMutablePointer<[RandomPrograms.Step]>.allocate(capacity: Int(MAX_TASKS))
        steps.initialize(repeating: [], count: Int(MAX_TASKS))
        return steps
    }()
    nonisolated(unsafe) private static var objects = UnsafeMutableRawPointer(bitPattern: 16)!

    static func boot(_ programs: RandomPrograms) {
        // Number 0 is where a task stands that has not begun: no other place may have it.
        _ = yieldPointNumber(named: "task", "begin")
        arena.clear()
        kernel = arena.root
        kernel.simulation = simulationOperations
        kernel.step_limit = 10_000
        kernel.cpu_moves = 1
        kernel.nr_cpus = 3
        kernel.nr_tasks = UInt8(programs.programs.count)
        kernel.cpus = unsafeBitCast(arenaAllocate(sizeof_per_cpu() * 3), to: per_cpu.self)
        kernel.tasks = unsafeBitCast(
            arenaAllocate(sizeof_task_struct() * (programs.programs.count + 1), alignment: 64), to: task_struct.self)
        objects = arenaAllocate(1024)
        for (number, program) in programs.programs.enumerated() {
            kernel.task(number).number = UInt8(number)
            kernel.task(number).cpu = UInt8(programs.cpus[number])
            steps[number] = program
        }
        scheduler.run_op = { task, op in
            guard op == 0 else { return false }
            let number = Int(task.number)
            for index in 0..<ProgramMachine.steps[number].count { ProgramMachine.perform(number, index) }
            return true
        }
        spin_lock_init(lock(0), LOCK_ptl)
        spin_lock_init(lock(1), LOCK_lru_lock)
        init_rwsem(semaphore, LOCK_mmap_lock)
        mutex_init(sleepingLock, LOCK_lru_add_drain_all)
        arena.keepAsTemplate()
    }

    private static func word(_ number: Int) -> UnsafeMutablePointer<Int> {
        objects.assumingMemoryBound(to: Int.self) + number
    }

    private static func lock(_ number: Int) -> spinlock_t {
        unsafeBitCast(objects + 512 + number * 16, to: spinlock_t.self)
    }

    private static var semaphore: rw_semaphore { unsafeBitCast(objects + 640, to: rw_semaphore.self) }
    private static var sleepingLock: mutex { unsafeBitCast(objects + 704, to: mutex.self) }

    /// What the task has read so far, in a word of its own.
    private static func note(_ task: Int, _ value: Int) {
        word(10 + task).pointee = word(10 + task).pointee &* 10 &+ value
    }

    private static func perform(_ task: Int, _ index: Int) {
        switch steps[task][index] {
        case .read(let number):
            yield_point("read")
            note(task, word(number).pointee)
        case .write(let number, let value):
            yield_point("write")
            word(number).pointee = value &+ word(10 + task).pointee
        case .add(let number):
            yield_point("add")
            word(number).pointee &+= 1
        case .spinLock(let number): spin_lock(lock(number))
        case .spinUnlock(let number): spin_unlock(lock(number))
        case .trylock(let number):
            let taken = spin_trylock(lock(number))
            note(task, taken ? 1 : 2)
            if taken { spin_unlock(lock(number)) }
        case .downRead: down_read(semaphore)
        case .upRead: up_read(semaphore)
        case .downWrite: down_write(semaphore)
        case .upWrite: up_write(semaphore)
        case .tryDownRead:
            let taken = down_read_trylock(semaphore)
            note(task, taken ? 1 : 2)
            if taken { up_read(semaphore) }
        case .mutexLock: mutex_lock(sleepingLock)
        case .mutexUnlock: mutex_unlock(sleepingLock)
        case .preemptDisable: preempt_disable()
        case .preemptEnable: preempt_enable()
        case .irqDisable: local_irq_disable()
        case .irqEnable: local_irq_enable()
        case .readLock: rcu_read_lock()
        case .readUnlock: rcu_read_unlock()
        case .synchronize: synchronize_rcu()
        case .interrupt(let cpu): interruptCPUs(1 << UInt(cpu))
        case .waitFor(let number):
            waitForChange(of: UnsafeMutableRawPointer(word(number)).assumingMemoryBound(to: UInt.self), from: 0, "word")
        case .waitInterruptibly(let number):
            yield_point("wait")
            waitInterruptibly(
                while: UnsafeMutableRawPointer(word(number)).assumingMemoryBound(to: UInt.self), is: 0)
            note(task, kernel.current.interrupted ? 3 : 4)
        case .mayMove: may_change_cpu()
        case .cpu: note(task, smp_processor_id())
        case .bugUnless(let number):
            yield_point("bug")
            BUG_ON(word(number).pointee == 0, "word")
        }
    }

    /// What a run ended with: how, the words, what was read, what was broken.
    static func outcome(_ end: run_end) -> [Int] {
        [Int(end.rawValue), Int(kernel.violations)] + (1..<14).map { word($0).pointee }
    }
}
