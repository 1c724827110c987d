// SPDX-License-Identifier: GPL-2.0-only
// Which call becomes a step of which program.

import KernelModel

/// The steps of each task, as the log has them.
struct StraceCollector {
    let log: StraceLog
    let tasks: StraceTasks
    let vocabulary: Vocabulary
    /// The part that becomes programs.
    let window: StraceWindow
    private(set) var translator: StraceTranslator
    /// Leading mappings of the first thread; with a window, what came before it, as far as that is needed.
    private(set) var setup: [RealStep] = []
    /// By task.
    private(set) var programs: [[RealStep]]
    /// Calls beyond what a program may have, by task.
    private(set) var beyondLimit: [Int]
    private(set) var droppedTouches = 0
    /// Calls behind the window that could be steps.
    private(set) var behindWindow = 0
    /// Steps before the window that the set-up has no room for.
    private(set) var droppedSetup = 0
    var droppedMappings = 0
    private var inSetup: Bool

    init(
        _ log: StraceLog, processes: Int, window: StraceWindow, _ vocabulary: Vocabulary
    ) throws(TraceError) {
        self.log = log
        self.window = window
        inSetup = !window.hasPast
        tasks = StraceTasks(log, processes: processes) {
            window.contains($0) && StraceTranslator.isStep($0, vocabulary)
        }
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
            if window.isBehind(call) {
                behindWindow += StraceTranslator.isStep(call, vocabulary) ? 1 : 0
                continue
            }
            if let space = created.first, tasks.spaces[space].creation == index {
                created.removeFirst()
                inSetup = false
                fork(tasks.spaces[space].process!, space, from: tasks.spaces[space].creator!, knowsParent: true)
                continue
            }
            guard let thread = tasks[call.pid], case let space = tasks.threads[thread].space else { continue }
            if window.isBefore(call) {
                if let process = tasks.spaces[space].process {
                    addToSetup(try translator.steps(for: call, space: space), process)
                }
            } else if let task = tasks.threads[thread].task {
                if isFull(task) {
                    beyondLimit[task] += StraceTranslator.isStep(call, vocabulary) ? 1 : 0
                } else {
                    add(try translator.steps(for: call, space: space), to: task)
                }
            }
        }
        if window.hasPast { keepWhatTheWindowNeeds() } else { dropBystanders() }
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
        let knowsParent = knowsParent && tasks.threads[creator].space == parentSpace
        let steps = translator.fork(from: parentSpace, to: space, knowsParent: knowsParent)
        let call = tasks.spaces[space].creation.map { log.calls[$0] }
        var step = RealStep(
            operation: operation, arguments: [.value(process)], image: translator.spaces[parentSpace].image,
            kind: .fork, line: call?.line)
        if call?.sharesUntilExecve ?? false { step.note = "shares the memory until execve(), here a copy" }
        let isEarlier = call.map(window.isBefore) ?? true
        if isEarlier {
            step.process = tasks.spaces[parentSpace].process ?? 0
            setup.append(step)
        } else {
            programs[task(of: parent)] += [step] + translator.accessAfterFork(parentSpace)
        }
        if isEarlier && window.hasPast {
            addToSetup(steps, process)
        } else if let own = tasks.threads.first(where: { $0.space == space && $0.task != nil })?.task {
            programs[own] += steps
        }
    }

    private mutating func addToSetup(_ steps: [RealStep], _ process: Int) {
        for var step in steps {
            step.process = process
            let touch = step.isAdviceForLater ? setup.popTouch(within: step) : nil
            setup += [step] + (touch.map { [$0] } ?? [])
        }
        if setup.count >= Self.mostSetup { setup = setup.withoutUndone }
        if setup.count >= Self.mostSetup { droppedSetup += setup.removeOldest(Self.mostSetup / 2) }
    }

    /// Before what the window does not need is left out.
    private static let mostSetup = 4096

    private mutating func keepWhatTheWindowNeeds() {
        setup = setup.withoutUndone.neededBy(programs.flatMap { $0 })
        let room = MachineShape.maximalOps
        if withoutTouches(setup) > room { setup = setup.withoutContents(wanted: room) }
        if withoutTouches(setup) > room { droppedSetup += setup.removeOldest(room) }
    }

    private func withoutTouches(_ steps: [RealStep]) -> Int {
        steps.count { $0.kind != .touch }
    }

    /// Collects more than a program may have, since much of it is left out afterwards.
    private func isFull(_ task: Int) -> Bool {
        programs[task].count + (task == 0 ? setup.count : 0) >= 8 * MachineShape.maximalOps
    }

    private mutating func add(_ steps: [RealStep], to task: Int) {
        var steps = steps
        // Who says how memory is to be used has not used it before.
        if let advice = steps.first, advice.isAdviceForLater {
            if inSetup && task == 0, let touch = setup.popTouch(within: advice) { steps.append(touch) }
            if let touch = programs[task].popTouch(within: advice) { steps.append(touch) }
        }
        for step in steps {
            inSetup =
                inSetup && (task != 0 || step.kind == .mapping || step.kind == .touch || step.isAdviceForLater)
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
