// SPDX-License-Identifier: GPL-2.0-only
// Dynamic partial-order reduction: of all schedules that differ only in the order of steps which do not touch the
// same memory, one is run.  Plain: no cache of states and no bound goes with it, since both would lose outcomes.
//
// Sources: Abdulla, Aronis, Jonsson and Sagonas, "Source sets: a foundation for optimal dynamic partial order
// reduction" (JACM 2017); Flanagan and Godefroid, "Dynamic partial-order reduction for model checking software"
// (POPL 2005); Godefroid's sleep sets (LNCS 1032, 1996).  A step is what a task does from one yield point to the next.

import CKernel
import CRecording
import Dependence

/// Runs the machine of an arena under at least one schedule of each kind.
///
/// It needs a build that records accesses.
public final class PartialOrderReduction {
    /// A place within a step where a task may go on on another CPU.
    struct Choice {
        var snapshot: Snapshots.Position
        var untried: UInt32
        var decisions: UInt32
        /// The step, and what it had done before.
        var step: Step
    }

    /// A step that is being taken.
    struct Step {
        /// Where it began, and on which CPUs it has gone on.
        var place: UInt64
        /// What it has done so far; nil: nothing.
        var footprint: Footprint?
        var reads: TaskReads
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
        /// Who stood here; nil at the start.
        var current: UInt8?
        var reads: TaskReads

        // The step.
        var task = 0
        /// What it did.
        var footprint: Footprint?
        /// What it may do, on all CPUs that it has gone on on so far.
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
    private var known = KnownSteps()
    private var reads = TaskReads()

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
    public func run(schedules limit: Int, visit: (run_end) -> Bool) -> SearchResult {
        var result = SearchResult()
        known.removeAll()
        repeat {
            result.complete = goThrough(limit, &result, visit)
        } while result.complete && known.haveChanged()
        return result
    }

    /// Runs the schedules that are needed as far as is known; false if it was not all.
    private func goThrough(_ limit: Int, _ result: inout SearchResult, _ visit: (run_end) -> Bool) -> Bool {
        startExploration(arena, stepwise: true)
        defer { scheduler.stepwise = 0 }
        attachRecording(arena)
        snapshots.removeAll()
        nodes.removeAll(keepingCapacity: true)
        past.reset(tasks: Int(kernel.nr_tasks))
        reads = TaskReads()
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
            guard more && isLeft && result.schedules + result.redundant < limit else { return more && !isLeft }
            goOnFromChoice()
            result.steps += 1
        }
    }

    // MARK: Going forward

    /// The machine is in a new state.
    private func enter(sleepers: [Footprint]) {
        let asleep = sleepers.reduce(UInt32(0)) { $0 | 1 << UInt32($1.task) }
        var enabled: UInt32 = 0
        while kernel.run_end == UInt8(RUN_GOES_ON.rawValue) {
            enabled = runnableTasks()
            if enabled & ~asleep == 0 { tryWaiting(besides: enabled) }
            guard enabled == 0, endStandstill() else { break }
            past.joinAll()
        }
        let candidates = enabled & ~asleep
        let current = nodes.isEmpty ? nil : kernel.current
        var node = Node(
            snapshot: candidates & (candidates &- 1) != 0 ? snapshots.save() : nil, enabled: enabled, asleep: asleep,
            sleepers: sleepers, decisions: scheduler.nr_decisions, current: current?.number, reads: reads)
        node.backtrack = firstChoice(candidates, current)
        nodes.append(node)
    }

    /// Takes the step of the first task that must be tried in the last state.
    private func takeStep() {
        let node = nodes.count - 1
        let task = nodes[node].backtrack.trailingZeroBitCount
        nodes[node].task = task
        nodes[node].choseCPU = false
        goOn(to: task, from: nodes[node].current.map { kernel.task(Int($0)) })
        finish(Step(place: place(of: task), reads: reads))
    }

    /// Where the next step of task `number` begins, as `KnownSteps` tells it.
    private func place(of number: Int) -> UInt64 {
        mix(reads[number] ^ UInt64(number) << 32 ^ UInt64(kernel.task(number).op) << 40)
    }

    /// Lets the task go on up to its next yield point; where it may move to another CPU, it stays first.
    private func finish(_ begun: Step) {
        let node = nodes.count - 1
        let task = kernel.task(nodes[node].task)
        var step = begun
        perform(&step, task)
        while kernel.run_end == UInt8(RUN_GOES_ON.rawValue) && task.choosing_cpu != 0 {
            nodes[node].choseCPU = true
            nodes[node].choices.append(
                Choice(
                    snapshot: snapshots.save(), untried: otherCPUs(task), decisions: scheduler.nr_decisions,
                    step: step))
            step.place = mix(step.place ^ UInt64(task.cpu))
            perform(&step, task)
        }
        reads = step.reads
        nodes[node].footprint = step.footprint!
        let footprint = known.add(step.footprint!, at: step.place)
        if nodes[node].footprints == nil {
            nodes[node].footprints = footprint
        } else {
            nodes[node].footprints!.formUnion(footprint)
        }
        commutation?.check(self)
        for race in past.append(footprint, enabledAt: { nodes[$0].enabled }) { reverse(race) }
        // What the others would have done is lost.
        if step.footprint!.endsRun { nodes[node].backtrack |= nodes[node].enabled & ~nodes[node].asleep }
        enter(sleepers: nodes[node].sleepers.filter { $0.task != nodes[node].task && !$0.conflicts(with: footprint) })
    }

    /// Lets the task go on from where it stands.
    private func perform(_ step: inout Step, _ task: task_struct) {
        let op = task.op
        step.footprint = recordedStep(of: task, after: step.footprint)
        step.reads.add(task, since: op)
    }

    // MARK: Races

    /// Nobody goes on here.  Who cannot might have gone on earlier, before what keeps it from that.
    private func tryWaiting(besides enabled: UInt32) {
        for number in 0..<Int(kernel.nr_tasks) where enabled & 1 << UInt32(number) == 0 {
            guard kernel.task(number).state != UInt8(TASK_DONE.rawValue) else { continue }
            let wait = known.add(recordedWait(number), at: place(of: number))
            for race in past.races(of: wait, enabledAt: { nodes[$0].enabled }) { reverse(race) }
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
            reads = nodes[last].reads
            takeStep()
            return
        }
        snapshots.restore(choice.snapshot)
        scheduler.nr_decisions = choice.decisions
        let cpu = choice.untried.trailingZeroBitCount
        choice.untried &= choice.untried - 1
        if choice.untried != 0 { nodes[last].choices.append(choice) } else { snapshots.remove(from: choice.snapshot) }
        goOn(kernel.task(nodes[last].task), onCPU: cpu)
        choice.step.place = mix(choice.step.place ^ UInt64(cpu))
        finish(choice.step)
    }
}
