// SPDX-License-Identifier: GPL-2.0-only
// Which call becomes a step of which program.

import KernelModel

/// The steps of each task, as the log has them.
struct StraceCollector {
    let log: StraceLog
    let tasks: StraceTasks
    let vocabulary: Vocabulary
    private(set) var translator: StraceTranslator
    /// Leading mappings of the first thread.
    private(set) var setup: [RealStep] = []
    /// By task.
    private(set) var programs: [[RealStep]]
    /// Calls beyond what a program may have, by task.
    private(set) var beyondLimit: [Int]
    private(set) var droppedTouches = 0
    var droppedMappings = 0
    private var inSetup = true

    init(_ log: StraceLog, processes: Int, _ vocabulary: Vocabulary) throws(TraceError) {
        self.log = log
        tasks = StraceTasks(log, processes: processes) { StraceTranslator.isStep($0, vocabulary) }
        self.vocabulary = vocabulary
        translator = StraceTranslator(log, vocabulary, spaces: tasks.spaces.count)
        let count = tasks.selection.count
        programs = Array(repeating: [], count: count)
        beyondLimit = Array(repeating: 0, count: count)
        try collect()
    }

    private func task(of thread: Int) -> Int {
        tasks.threads[tasks.selected(thread)].task ?? 0
    }

    private mutating func collect() throws(TraceError) {
        // Processes that were there when the log began.
        for (number, space) in tasks.spaces.enumerated() where number > 0 && space.creator == nil {
            if let process = space.process { fork(process, number, from: 0, knowsParent: false) }
        }
        var created = tasks.spaces.indices.filter { tasks.spaces[$0].process != nil && tasks.spaces[$0].creator != nil }
        for (index, call) in log.calls.enumerated() {
            if let space = created.first, tasks.spaces[space].creation == index {
                created.removeFirst()
                inSetup = false
                fork(tasks.spaces[space].process!, space, from: tasks.spaces[space].creator!, knowsParent: true)
                continue
            }
            guard let thread = tasks[call.pid], let task = tasks.threads[thread].task else { continue }
            if isFull(task) {
                beyondLimit[task] += StraceTranslator.isStep(call, vocabulary) ? 1 : 0
            } else {
                add(try translator.steps(for: call, space: tasks.threads[thread].space), to: task)
            }
        }
        dropBystanders()
        cutToLimits()
        dropTouches()
    }

    var allSteps: [RealStep] { setup + programs.flatMap { $0 } }

    mutating func keepSteps(where isKept: (RealStep) -> Bool) {
        setup = setup.filter(isKept)
        programs = programs.map { $0.filter(isKept) }
    }

    private mutating func fork(_ process: Int, _ space: Int, from creator: Int, knowsParent: Bool) {
        guard let operation = vocabulary[KnownOperation.fork], operation.parameters.count == 1 else { return }
        let parent = tasks.selected(creator)
        let parentSpace = tasks.threads[parent].space
        let steps = translator.fork(from: parentSpace, to: space, knowsParent: knowsParent && parent == creator)
        let step = RealStep(
            operation: operation, arguments: [.value(process)], image: translator.spaces[parentSpace].image,
            kind: .fork,
            line: tasks.spaces[space].creation.map { log.calls[$0].line })
        if tasks.spaces[space].creator == nil {
            setup.append(step)
        } else {
            programs[task(of: parent)].append(step)
        }
        if let own = tasks.threads.first(where: { $0.space == space && $0.task != nil })?.task {
            programs[own] += steps
        }
    }

    private func withoutTouches(_ steps: [RealStep]) -> Int {
        steps.count { $0.kind != .touch }
    }

    /// Collects more than a program may have, since much of it is left out afterwards.
    private func isFull(_ task: Int) -> Bool {
        programs[task].count + (task == 0 ? setup.count : 0) >= 8 * MachineShape.maximalOps
    }

    private mutating func add(_ steps: [RealStep], to task: Int) {
        for step in steps {
            inSetup = inSetup && (task != 0 || step.kind == .mapping || step.kind == .touch)
            if inSetup && task == 0 {
                setup.append(step)
            } else {
                programs[task].append(step)
            }
        }
    }

    /// What the set-up has no room for goes to the first program, and what a program has no room for goes.
    private mutating func cutToLimits() {
        let (fits, rest) = divided(setup, room: MachineShape.maximalOps)
        setup = fits
        programs[0] = rest + programs[0]
        for task in programs.indices {
            // Forks stay: others wait for them.
            let forks = programs[task].count { $0.kind == .fork }
            let (fits, rest) = divided(programs[task], room: MachineShape.maximalOps - forks)
            programs[task] = fits + rest.filter { $0.kind == .fork }
            beyondLimit[task] += rest.count { $0.line != nil && $0.kind != .fork }
        }
    }

    /// So many steps, forks and accesses not counted, and the others.
    private func divided(_ steps: [RealStep], room: Int) -> (fits: [RealStep], rest: [RealStep]) {
        var left = room
        let end = steps.firstIndex { step in
            if step.kind == .mapping || step.kind == .other { left -= 1 }
            return left < 0
        }
        return (Array(steps[..<(end ?? steps.count)]), Array(steps[(end ?? steps.count)...]))
    }

    private mutating func dropTouches() {
        setup = withRoom(setup)
        for task in programs.indices { programs[task] = withRoom(programs[task]) }
    }

    private mutating func withRoom(_ steps: [RealStep]) -> [RealStep] {
        var room = MachineShape.maximalOps - withoutTouches(steps)
        return steps.filter { step in
            guard step.kind == .touch else { return true }
            room -= 1
            if room < 0 { droppedTouches += 1 }
            return room >= 0
        }
    }
}
