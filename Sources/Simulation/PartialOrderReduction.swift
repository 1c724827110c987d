// SPDX-License-Identifier: GPL-2.0-only
// Dynamic partial-order reduction: of all schedules that differ only in the order of steps which do not touch the
// same memory, one is run.  Plain: no cache of states and no bound goes with it, since both would lose outcomes.
//
// Sources: Abdulla, Aronis, Jonsson and Sagonas, "Source sets: a foundation for optimal dynamic partial order
// reduction" (JACM 2017); Flanagan and Godefroid, "Dynamic partial-order reduction for model checking software"
// (POPL 2005); Godefroid's sleep sets (LNCS 1032, 1996).  A step is what a task does from one yield point to the next.

import CKernel
import CRecording

/// Runs the machine of an arena under at least one schedule of each kind.
///
/// It needs a build that records accesses.
public final class PartialOrderReduction {
    /// What a search did.
    public struct Result: Sendable, Equatable {
        /// Complete executions.
        public var schedules = 0
        /// Executions left because all that could go on had been covered.
        public var redundant = 0
        /// Steps taken; those before a state that it went back to are not counted again.
        public var steps = 0
        /// Whether a schedule of each kind was run.
        public var complete = true
    }

    /// A place within a step where a task may go on on another CPU.
    struct Choice {
        var snapshot: Snapshots.Position
        var untried: UInt32
        var decisions: UInt32
        /// What the step had done before.
        var beginning: Footprint
    }

    /// A state on the way of the current execution, and the step that was taken from it.
    struct Node {
        var snapshot: Snapshots.Position?
        /// Tasks that could take a step here.
        var enabled: UInt32
        /// Tasks whose step must be tried here.
        var backtrack: UInt32 = 0
        /// Tasks whose step need not be tried here, any more or again, and what it does.
        var asleep: UInt32
        var sleepers: [Footprint]
        /// Decisions recorded before.
        var decisions: UInt32
        /// Who stood here, and whether it would be preempted.
        var current: UInt8?
        var canGoOn: Bool

        // The step.
        var task = 0
        var footprint: Footprint?
        /// Of all CPUs that it has gone on on so far.
        var footprints: Footprint?
        var choices: [Choice] = []
        /// It went on on a CPU that was chosen for it.
        var choseCPU = false
    }

    let arena: Arena
    let snapshots: Snapshots
    private(set) var nodes: [Node] = []
    /// Has both orders of two steps tried that are called independent.
    public var commutation: CommutationOracle?
    private let past = HappensBefore()

    public init(_ arena: Arena) {
        precondition(recordsAccesses, "the plain build does not know what a step touches")
        self.arena = arena
        snapshots = Snapshots(of: arena)
    }

    /// Runs schedule after schedule.
    ///
    /// - Parameters:
    ///   - schedules: how many executions to begin at most, redundant ones included.
    ///   - visit: looks at the machine at the end of each; false ends the search.
    public func run(schedules limit: Int, visit: (run_end) -> Bool) -> Result {
        var result = Result()
        startExploration(arena, stepwise: true)
        defer { scheduler.stepwise = 0 }
        attachRecording(arena)
        snapshots.removeAll()
        nodes.removeAll(keepingCapacity: true)
        past.reset(tasks: Int(kernel.nr_tasks))
        enter(sleepers: [])
        while true {
            while nodes.last!.backtrack != 0 {
                takeStep()
                result.steps += 1
            }
            var more = true
            if kernel.run_end == UInt8(RUN_GOES_ON.rawValue) {
                result.redundant += 1
            } else {
                result.schedules += 1
                more = visit(run_end(UInt32(kernel.run_end)))
            }
            let isLeft = backtrack()
            guard more && isLeft && result.schedules + result.redundant < limit else {
                result.complete = more && !isLeft
                return result
            }
            goOnFromChoice()
            result.steps += 1
        }
    }

    // MARK: Going forward

    /// The machine is in a new state.
    private func enter(sleepers: [Footprint]) {
        var enabled: UInt32 = 0
        if kernel.run_end == UInt8(RUN_GOES_ON.rawValue) {
            enabled = runnableTasks()
            while enabled == 0 {
                triesWaiting()
                guard endStandstill() else { break }
                past.joinAll()
                enabled = runnableTasks()
            }
        }
        let asleep = sleepers.reduce(UInt32(0)) { $0 | 1 << UInt32($1.task) }
        let candidates = enabled & ~asleep
        let current = nodes.isEmpty ? nil : kernel.current
        var node = Node(
            snapshot: candidates & (candidates &- 1) != 0 ? snapshots.save() : nil, enabled: enabled, asleep: asleep,
            sleepers: sleepers, decisions: scheduler.nr_decisions, current: current?.number,
            canGoOn: current?.state == UInt8(TASK_RUNNABLE.rawValue))
        // Going on with who runs keeps the first schedule easy to read.
        let own: UInt32 = current.map { 1 << UInt32($0.number) } ?? 0
        node.backtrack = candidates & own != 0 ? own : candidates & (0 &- candidates)
        nodes.append(node)
    }

    /// Takes the step of the first task that must be tried in the last state.
    private func takeStep() {
        let node = nodes.count - 1
        let task = nodes[node].backtrack.trailingZeroBitCount
        nodes[node].task = task
        nodes[node].choseCPU = false
        if let current = nodes[node].current {
            if task != Int(current) { recordDecision(kernel.task(Int(current)), UInt8(task), !nodes[node].canGoOn) }
        } else {
            recordStart(task)
        }
        startRecording(task)
        resume(task)
        finishStep(after: nil)
    }

    /// The task stands at a yield point, or where it may move to another CPU.
    private func finishStep(after beginning: Footprint?) {
        let node = nodes.count - 1
        let task = kernel.task(nodes[node].task)
        var footprint = recordedStep(task, after: beginning)
        while kernel.run_end == UInt8(RUN_GOES_ON.rawValue) && task.choosing_cpu != 0 {
            nodes[node].choseCPU = true
            nodes[node].choices.append(
                Choice(
                    snapshot: snapshots.save(), untried: otherCPUs(task), decisions: scheduler.nr_decisions,
                    beginning: footprint))
            recording_start()
            resume(nodes[node].task)
            footprint = recordedStep(task, after: footprint)
        }
        nodes[node].footprint = footprint
        if nodes[node].footprints == nil {
            nodes[node].footprints = footprint
        } else {
            nodes[node].footprints!.formUnion(footprint)
        }
        commutation?.check(self)
        for race in past.append(footprint, enabledAt: { nodes[$0].enabled }) { reverse(race) }
        // What the others would have done is lost.
        if footprint.endsRun { nodes[node].backtrack |= nodes[node].enabled & ~nodes[node].asleep }
        enter(sleepers: nodes[node].sleepers.filter { $0.task != nodes[node].task && !$0.conflicts(with: footprint) })
    }

    private func recordedStep(_ task: task_struct, after beginning: Footprint?) -> Footprint {
        recording_stop()
        var footprint = Footprint(
            of: Int(task.number), endsRun: kernel.run_end != UInt8(RUN_GOES_ON.rawValue))
        if let beginning { footprint.formUnion(beginning) }
        return footprint
    }

    // MARK: Races

    /// Nobody can go on.  Who waits might have gone on earlier, before what made it wait.
    private func triesWaiting() {
        for number in 0..<Int(kernel.nr_tasks) where kernel.task(number).state != UInt8(TASK_DONE.rawValue) {
            for race in past.races(of: recordedWait(number), enabledAt: { nodes[$0].enabled }) { reverse(race) }
        }
    }

    /// Has a step tried before one that it was not behind anyway.
    private func reverse(_ race: HappensBefore.Race) {
        let node = race.node
        let initials = race.initials & nodes[node].enabled
        // One that is asleep has been tried, or need not be.
        guard initials & (nodes[node].backtrack | nodes[node].asleep | 1 << UInt32(nodes[node].task)) == 0 else {
            return
        }
        let own = initials & 1 << UInt32(race.task)
        nodes[node].backtrack |= own != 0 ? own : initials & (0 &- initials)
    }

    // MARK: Going back

    /// Goes back to the last state, or place within a step, where something is left to try; false if there is none.
    private func backtrack() -> Bool {
        nodes.removeLast()
        while !nodes.isEmpty {
            let last = nodes.count - 1
            past.removeLast()
            if !nodes[last].choices.isEmpty { return true }
            let task: UInt32 = 1 << UInt32(nodes[last].task)
            nodes[last].asleep |= task
            nodes[last].backtrack &= ~nodes[last].asleep
            nodes[last].sleepers.append(nodes[last].footprints!)
            nodes[last].footprints = nil
            if nodes[last].backtrack != 0 { return true }
            if let snapshot = nodes[last].snapshot { snapshots.remove(from: snapshot) }
            nodes.removeLast()
        }
        return false
    }

    /// Takes the next step from where `backtrack()` has left off.
    private func goOnFromChoice() {
        let last = nodes.count - 1
        guard var choice = nodes[last].choices.popLast() else {
            snapshots.restore(nodes[last].snapshot!)
            scheduler.nr_decisions = nodes[last].decisions
            takeStep()
            return
        }
        snapshots.restore(choice.snapshot)
        scheduler.nr_decisions = choice.decisions
        let cpu = choice.untried.trailingZeroBitCount
        choice.untried &= choice.untried - 1
        if choice.untried != 0 { nodes[last].choices.append(choice) } else { snapshots.remove(from: choice.snapshot) }
        let task = kernel.task(nodes[last].task)
        recordDecision(task, task.number, false, cpu: cpu)
        task.choosing_cpu = UInt8(cpu) + 1
        recording_start()
        resume(nodes[last].task)
        finishStep(after: choice.beginning)
    }
}
