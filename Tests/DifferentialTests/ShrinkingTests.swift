// SPDX-License-Identifier: GPL-2.0-only
// Cutting down: what is left is small, shows the same difference, and is the same each time.

import CKernel
import KernelModel
import MlockDrain
import MunlockSplit
import RetractPageTables
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

/// A trace with much that its difference does not need.
struct NoisyTrace: CustomTestStringConvertible {
    var family: Family
    var base, patched: String
    /// What must be found: level, direction, and one name of the subject.
    var finds: (level: String, direction: Finding.Direction, name: String)
    var text: String

    var testDescription: String { "\(base)..\(patched) \(finds.name)" }

    func trace() throws -> Trace { try Trace(parsing: text, file: "test", eras: Vocabulary.all) }

    func pair() throws -> PairOfMachines {
        try PairOfMachines(
            base: #require(family.variant(base)), patched: #require(family.variant(patched)), arenas: arenas)
    }

    func shrink(budget: SettlementBudget = SettlementBudget()) throws -> TraceShrinking {
        let trace = try trace()
        let vocabulary = try #require(Vocabulary.all.first { $0.era == trace.era })
        let claims = family.claims(base: base, patched: patched)
        let shrinking = try pair().shrink(trace, vocabulary, claims: claims, seed: 1, budget: budget)
        return try #require(shrinking)
    }
}

let twoMunlock = """
    mmdiff trace 1
    era v5.13
    machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=8 pagevec=15
    file f0 shmem pages=2
    file f1 disk pages=4
    setup
      p0 mmap(0x8000, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
      p0 mmap(0x10000, 0x4000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
      p0 write(0x11000)
      p0 fork(p1)
      p1 read(0x11000)
      p0 mlock(0x8000, 0x2000)
      p1 mlock(0x8000, 0x2000)
      kernel lru_add_drain_all()
    task t0 p0 cpu=0
      read(0x12000)
      munlock(0x8000, 0x2000)
    task t1 p1 cpu=1
      write(0x13000)
      munlock(0x8000, 0x2000)
      read(0x8000)
    task t2 p0 cpu=1
      write(0x10000)
      munmap(0x12000, 0x1000)

    """

private let compaction = """
    mmdiff trace 1
    era v5.18-rc1
    machine cpus=2 nodes=1 pages=24 ptes=8 pmds=4 swap=4 pagevec=15
    setup
      p0 mmap(0x10000, 0x3000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
      p0 write(0x10000)
      p0 write(0x11000)
      p0 mlock(0x10000, 0x2000)
      kernel lru_add_drain_all()
    task t0 kernel cpu=0
      compact(0)
    task t1 p0 cpu=1
      write(0x12000)

    """

private let collapse = """
    mmdiff trace 1
    era v6.5
    machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=2 pagevec=15
    file f0 shmem pages=8
    setup
      p0 mmap(0x8000, 0x8000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED|MAP_POPULATE, f0, 0)
      p0 mmap(0x18000, 0x2000, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -, 0)
    task t0 p0 cpu=0
      write(0x18000)
      madvise(0x8000, 0x8000, MADV_COLLAPSE)
    task t1 p0 cpu=1
      uffd_register(0x8000, 0x8000, WP)
      uffd_writeprotect(0xa000, 0x1000, WP)

    """

private let cases = [
    NoisyTrace(
        family: munlockSplit, base: "try_to_munlock", patched: "page_mlock.posted",
        finds: ("invariants", .new, "mlocked-without-vma"), text: twoMunlock),
    NoisyTrace(
        family: munlockSplit, base: "page_mlock.posted", patched: "page_mlock.merged",
        finds: ("invariants", .new, "held-at-return"), text: twoMunlock),
    NoisyTrace(
        family: mlockDrain, base: "undrained", patched: "drained", finds: ("attempts", .lost, "migrate: EAGAIN"),
        text: compaction),
    NoisyTrace(
        family: mlockDrain, base: "drained.walk", patched: "drained", finds: ("attempts", .lost, "migrate: EAGAIN"),
        text: compaction),
    NoisyTrace(
        family: retractPageTables, base: "new.v1", patched: "new", finds: ("invariants", .lost, "lost-entry"),
        text: collapse),
]

extension DifferentialTests {
    @Suite struct ShrinkingTests {
        @Test(arguments: cases)
        func whatIsLeftIsSmallAndShowsTheSame(_ noisy: NoisyTrace) throws {
            let shrinking = try noisy.shrink()
            let finding = try #require(shrinking.finding)
            #expect(finding.verdict.isUnexpected)
            #expect(finding.level == noisy.finds.level && finding.direction == noisy.finds.direction)
            #expect(finding.subject.contains(noisy.finds.name), "\(finding.key)")
            let size = try #require(shrinking.after)
            #expect(size.tasks <= 3 && size.operations <= 8 && size.preemptions! <= 2, "\(finding.trace)")
            #expect(size.operations < shrinking.before.operations && size.pages < shrinking.before.pages)

            // Cut down once more, it is the same difference, and nothing is left to cut.
            var again = noisy
            again.text = finding.trace
            let second = try again.shrink()
            #expect(second.finding?.key == finding.key)
            #expect(try #require(second.after).operations <= size.operations)
        }

        @Test func itIsTheSameEachTime() throws {
            let texts = try (0..<2).map { _ in try #require(cases[0].shrink().finding).trace }
            #expect(texts[0] == texts[1])
        }

        @Test func theBudgetEndsIt() throws {
            var budget = SettlementBudget()
            (budget.shrinking, budget.searched, budget.sampledAtTheEnd) = (1, 500, 100)
            let shrinking = try cases[0].shrink(budget: budget)
            if let after = shrinking.after { #expect(after.operations == shrinking.before.operations) }
        }

        @Test func whereNothingDiffersNothingIsLeft() throws {
            var noisy = cases[0]
            noisy.patched = noisy.base
            #expect(try noisy.shrink().finding == nil)
        }

        // MARK: Cuts

        private let scheduled =
            twoMunlock + """
                schedule
                  start t1
                  t1 op 1 map_pte:pte #1 -> t0
                  t0 op 1 map_pte:pte #2 -> t2
                  t2 op 2 task:end #1 => t1

                """

        private func trace() throws -> Trace {
            try Trace(parsing: scheduled, file: "test", eras: Vocabulary.all)
        }

        @Test func decisionsGoWithTheirSteps() throws {
            // The first step of t1 is the third of all.
            let smaller = try trace().without(steps: 2..<3)
            #expect(smaller.tasks[1].steps.count == 2)
            #expect(
                smaller.schedule?.decisions.map(\.description) == [
                    "t1 op 0 map_pte:pte #1 -> t0", "t0 op 1 map_pte:pte #2 -> t2", "t2 op 2 task:end #1 => t1",
                ])
            let without = try trace().without(steps: 3..<4)
            #expect(without.schedule?.decisions.map(\.task) == [0, 2])
        }

        /// Whoever let the task run that is gone lets run whom it let run.
        @Test(arguments: [
            (0, 0, ["t0 op 1 map_pte:pte #1 -> t1", "t1 op 2 task:end #1 => t0"]),
            (1, 0, ["t0 op 1 map_pte:pte #2 -> t1"]),
            (2, 1, ["t1 op 1 map_pte:pte #1 -> t0", "t0 op 1 map_pte:pte #2 -> t1"]),
        ]) func tasksGetNewNumbers(_ task: Int, start: Int, decisions: [String]) throws {
            let smaller = try trace().without(task: task)
            #expect(smaller.schedule?.start == start)
            #expect(smaller.schedule?.decisions.map(\.description) == decisions)
        }

        @Test func tasksWithNothingToDoGo() throws {
            #expect(try trace().without(steps: 0..<2).tasks.count == 2)
        }

        @Test func argumentsBecomeSimplerByTheirDomains() throws {
            let texts = try trace().withSimplerArguments().map(\.description)
            for text in [
                "munlock(0x8000, 0x1000)", "p0 mmap(0x8000, 0x2000, PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)",
                "p0 mmap(0x8000, 0x2000, PROT_READ|PROT_WRITE, MAP_SHARED, f0, 0)", "write(0x12000)",
            ] { #expect(texts.contains { $0.contains(text) }, "\(text)") }
        }

        @Test func machinesBecomeSmaller() throws {
            let machines = try trace().onSimplerMachines()
            #expect(machines.contains { $0.machine.cpus == 1 && $0.tasks.allSatisfy { $0.cpu == 0 } })
            #expect(machines.contains { $0.machine.pages == 8 })
            #expect(machines.contains { $0.machine.swapSlots == 1 })
            // f1 is used by nobody, f0 is.
            #expect(machines.filter { $0.machine.files.count == 1 }.allSatisfy { $0.machine.files[0].kind == .shmem })
        }
    }
}
