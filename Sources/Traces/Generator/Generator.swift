// SPDX-License-Identifier: GPL-2.0-only
// Random traces.  It knows operations and who does them, never a bug: what makes collisions likely is that
// there is little of everything, and that most steps aim at what is there.

import KernelModel
import Simulation

/// Makes traces; each is a pure function of the generator and a seed.
public struct Generator: Sendable {
    public let vocabulary: Vocabulary
    /// At most so many tasks.  Few suffice: most races need two tasks, a few need a third that looks on.
    public var maximalTasks = 4
    /// At most so many steps a task.
    public var maximalSteps = 4

    /// An operation and how often it is drawn.
    struct Candidate: Sendable {
        let operation: Operation
        let weight: Int
    }
    private let candidates: [Candidate]
    private let weights: [String: Int]
    let habits: Habits

    /// - Parameter weights: factors to the operations' own weights, by name; 0 leaves one out.  Factors to the values
    ///   of an argument are named by both: `madvise MADV_COLLAPSE`.
    public init(_ vocabulary: Vocabulary, weights: [String: Int] = [:]) {
        self.vocabulary = vocabulary
        self.weights = weights
        habits = Habits(vocabulary)
        candidates = vocabulary.operations.map { operation in
            Candidate(operation: operation, weight: operation.weight * max(weights[operation.name] ?? 1, 0))
        }
    }

    public func trace(seed: UInt64) -> Trace {
        var draft = Draft(self, seed: seed)
        return draft.trace()
    }

    func candidates(for actor: Actor) -> [Candidate] {
        candidates.filter { $0.operation.actor == actor && $0.weight > 0 }
    }

    /// The advice that makes huge pages at once, where programs can give it.
    var collapseAdvice: Int? {
        guard case .choice(let advices)? = vocabulary[KnownOperation.madvise]?.parameters.last?.domain else {
            return nil
        }
        return advices.first { $0.name == "MADV_COLLAPSE" }?.value
    }

    /// A value's factor.
    func weight(of value: NamedValue, in operation: String) -> Int {
        max(weights["\(operation) \(value.name)"] ?? 1, 0)
    }

    /// How often each of the values is drawn; nil if all are as likely.
    func weights(of values: [NamedValue], in operation: Operation) -> [Int]? {
        let factors = values.map { weights["\(operation.name) \($0.name)"] }
        return factors.contains { $0 != nil } ? factors.map { max($0 ?? 1, 0) } : nil
    }
}

/// A trace that comes into being.
struct Draft {
    let generator: Generator
    var random: Random
    var machine = MachineShape()
    /// What each process has mapped; nil: there is no such process.
    var spaces: [AddressSpaceSketch?] = []
    /// Pages that steps aim at again and again.
    var hotPage = 0
    /// The processes that have let devices in, and by which operation.
    var admissions: [(operation: String, process: Int)] = []
    private var namedResults = 0
    private let ofProcess, ofKernel, ofDevice: [Generator.Candidate]

    init(_ generator: Generator, seed: UInt64) {
        self.generator = generator
        random = Random(seed: seed)
        ofProcess = generator.candidates(for: .process)
        ofKernel = generator.candidates(for: .kernel)
        ofDevice = generator.candidates(for: .device)
    }

    mutating func trace() -> Trace {
        machine = drawMachine()
        spaces = [AddressSpaceSketch()] + Array(repeating: nil, count: MachineShape.maximalProcesses - 1)
        let setup = drawSetup()
        var tasks: [Program] = []
        for number in 0..<drawTaskCount() { tasks.append(drawProgram(number, after: tasks)) }
        return Trace(era: generator.vocabulary.era, machine: machine, setup: setup, tasks: tasks)
    }

    func candidates(for actor: Actor) -> [Generator.Candidate] {
        switch actor {
        case .process: ofProcess
        case .kernel: ofKernel
        case .device: ofDevice
        }
    }

    mutating func nameResult() -> Int {
        namedResults += 1
        return namedResults - 1
    }

    var processes: [Int] { spaces.indices.filter { spaces[$0] != nil } }

    /// Processes that have done what the operation needs: what is pinned is known for each, since it is an address.
    func admitting(_ operation: Operation) -> [Int] {
        guard let admission = operation.admission else { return [] }
        if admission == KnownOperation.pin { return processes.filter { spaces[$0]?.pinned.isEmpty == false } }
        return spaces.indices.filter { process in admissions.contains { $0 == (admission, process) } }
    }
}

// MARK: - The machine

extension Draft {
    private mutating func drawMachine() -> MachineShape {
        var machine = MachineShape()
        machine.cpus = random.draw([(2, 75), (3, 15), (1, 10)])
        machine.nodes = random.draw([(1, 75), (2, 25)])
        machine.pages = random.draw([(32, 60), (24, 30), (16, 10)])
        // Tables of 8 entries never fill the kernel's batches of 15, so there are larger tables and smaller batches.
        machine.ptrsPerPte = random.draw([(8, 80), (16, 20)])
        machine.swapSlots = random.draw([(8, 70), (4, 20), (2, 10)])
        machine.pagevecSize = random.draw([(15, 60), (4, 15), (2, 25)])
        for _ in 0..<random.draw([(0, 20), (1, 60), (2, 20)]) { machine.files.append(drawFile(machine)) }
        if machine.nodes > 1 { machine.movableNode = random.draw([(nil, 50), (0, 30), (1, 20)]) }
        return machine
    }

    private mutating func drawFile(_ machine: MachineShape) -> MachineShape.File {
        if generator.habits.collapse && random.chance(65) { return drawHugeFile(machine) }
        let size = random.draw([(1, 15), (2, 20), (4, 30), (machine.ptrsPerPte, 35)])
        let kind: MachineShape.File.Kind = random.draw([(.shmem, 60), (.disk, 40)])
        let huge = kind == .shmem && size == machine.ptrsPerPte && random.chance(50)
        return MachineShape.File(kind: kind, size: size, huge: huge)
    }
}

// MARK: - Programs

extension Draft {
    /// Mappings first, then processes, accesses and other steps in any order.
    private mutating func drawSetup() -> Setup {
        var steps: [SetupStep] = []
        let mappings = random.draw([(1, 55), (2, 45)])
        var forks = random.draw([(0, 15), (1, 60), (2, 25)])
        var touches = random.draw([(0, 5), (1, 35), (2, 40), (3, 20)])
        var others = random.draw([(0, 35), (1, 40), (2, 25)])
        var devices = ofDevice.isEmpty || random.chance(80) ? 0 : 1
        if generator.vocabulary[KnownOperation.fork] == nil { forks = 0 }
        if let mmap = generator.vocabulary[KnownOperation.mmap] {
            for _ in 0..<mappings {
                steps.append(SetupStep(.process(0), drawStep(mmap, .process(0))))
                steps += drawFirstUse().map { SetupStep(.process(0), $0) }
            }
        }
        hotPage = drawHotPage()
        while forks + touches + others + devices > 0 {
            switch random.weighted([forks, touches, others, devices]) {
            case 0:
                forks -= 1
                append(generator.vocabulary[KnownOperation.fork], by: .process(0), to: &steps)
                if let step = drawLockOfChild(after: steps) { steps.append(step) }
            case 1:
                touches -= 1
                let name = random.chance(75) ? KnownOperation.write : KnownOperation.read
                append(generator.vocabulary[name], by: .process(random.pick(processes)), to: &steps)
            case 3:
                devices -= 1
                let admissions = ofProcess.map(\.operation).filter(\.admits)
                append(
                    admissions.isEmpty ? nil : random.pick(admissions), by: .process(random.pick(processes)), to: &steps
                )
            default:
                others -= 1
                let performer = random.chance(25) && !ofKernel.isEmpty ? .kernel : drawPerformer(after: [])
                append(drawOperation(performer, inSetup: true), by: performer, to: &steps)
            }
        }
        if generator.habits.watch && random.chance(35) {
            steps += drawWatch(0).map { SetupStep(.process(0), $0) }
        }
        return Setup(steps: steps)
    }

    private mutating func append(_ operation: Operation?, by performer: Performer, to steps: inout [SetupStep]) {
        guard let operation, operation.createdProcess == nil || spaces.contains(where: { $0 == nil }) else { return }
        steps.append(SetupStep(performer, drawStep(operation, performer)))
    }

    private mutating func drawTaskCount() -> Int {
        min(random.draw([(2, 60), (3, 35), (4, 5)]), generator.maximalTasks, MachineShape.maximalTasks)
    }

    private mutating func drawProgram(_ number: Int, after others: [Program]) -> Program {
        let performer = drawPerformer(after: others)
        let cpu = random.chance(75) ? number % machine.cpus : random.below(machine.cpus)
        var program = Program(performer, cpu: cpu)
        // What other tasks do meanwhile is unknown: each starts from what the set-up left.
        let spacesBefore = spaces
        let count = min(random.draw([(1, 35), (2, 30), (3, 20), (4, 15)]), generator.maximalSteps)
        if let process = performer.process, generator.habits.watch && random.chance(20) {
            let watch = drawWatch(process)
            program.steps = Array((watch + drawAnswer(process)).prefix(generator.maximalSteps))
        }
        while program.steps.count < count, let operation = drawOperation(performer, inSetup: false) {
            program.steps.append(drawStep(operation, performer))
            if operation.name == KnownOperation.exit { break }
        }
        let left = performer.process.flatMap { spacesBefore[$0] }
        for process in spaces.indices where spaces[process] != nil { spaces[process] = spacesBefore[process] ?? left }
        return program
    }

    /// The first task is a process's; the others are as the weights of what they could do say.
    private mutating func drawPerformer(after others: [Program]) -> Performer {
        let possible = [ofProcess, ofKernel, ofDevice.filter { isPossible($0.operation, .device, inSetup: false) }]
        var weights = possible.map { $0.reduce(0) { $0 + $1.weight } }
        // A device that was let in is there to be used.
        if !others.contains(where: { $0.performer == .device }) && weights[2] > 0 { weights[2] = max(weights[0], 1) }
        let actor = others.isEmpty || weights.reduce(0, +) == 0 ? 0 : random.weighted(weights)
        guard actor == 0 else { return actor == 1 ? .kernel : .device }
        // Who waits for a fault is helped by a thread of its own process.
        let watched = processes.filter { !(spaces[$0]?.watched.isEmpty ?? true) }
        if !watched.isEmpty && random.chance(60) { return .process(random.pick(watched)) }
        let fresh = processes.filter { process in !others.contains { $0.performer == .process(process) } }
        return .process(fresh.isEmpty || random.chance(20) ? random.pick(processes) : random.pick(fresh))
    }

    private mutating func drawOperation(_ performer: Performer, inSetup: Bool) -> Operation? {
        let candidates = candidates(for: performer.actor)
        let weights = candidates.map { candidate in
            guard isPossible(candidate.operation, performer, inSetup: inSetup) else { return 0 }
            return candidate.weight * (isSeldomPossible(candidate.operation) ? 4 : 1)
        }
        guard weights.contains(where: { $0 > 0 }) else { return nil }
        return candidates[random.weighted(weights)].operation
    }

    private func isPossible(_ operation: Operation, _ performer: Performer, inSetup: Bool) -> Bool {
        if operation.createdProcess != nil { return spaces.contains { $0 == nil } }
        // A process that has left is of no use to the tasks.
        if operation.name == KnownOperation.exit { return !inSetup }
        if KnownOperation.watched.contains(operation.name) || operation.name == KnownOperation.close {
            return performer.process.flatMap { spaces[$0] }.map { $0.watched.contains { $0.isFor(operation) } } ?? false
        }
        if performer == .device || operation.admission != nil {
            let admitting = admitting(operation)
            return performer.process.map(admitting.contains) ?? !admitting.isEmpty
        }
        return !machine.files.isEmpty
            || !operation.parameters.contains { if case .file(optional: false) = $0.domain { true } else { false } }
    }
}

extension Random {
    /// True in so many of 100 cases.
    mutating func chance(_ percent: Int) -> Bool {
        below(100) < percent
    }

    /// One of the values, each as likely as its weight says.
    mutating func draw<Value>(_ choices: [(Value, Int)]) -> Value {
        choices[weighted(choices.map(\.1))].0
    }
}
