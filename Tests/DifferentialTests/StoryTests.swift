// SPDX-License-Identifier: GPL-2.0-only
// Schedules in words.

import CKernel
import KernelModel
import MunlockSplit
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

/// Two processes munlock the page that they share.
private let race = """
    mmdiff trace 1
    era v5.13
    machine cpus=1 nodes=1 pages=8 ptes=8 pmds=2 swap=1 pagevec=15
    file f0 shmem pages=1
    setup
      p0 mmap(0x8000, 0x1000, PROT_WRITE, MAP_SHARED, f0, 0)
      p0 fork(p1)
      p0 mlock(0x8000, 0x1000)
      p1 mlock(0x8000, 0x1000)
    task t0 p0 cpu=0
      munlock(0x8000, 0x1000)
    task t1 p1 cpu=0
      munlock(0x8000, 0x1000)
    schedule
      start t0

    """

extension DifferentialTests {
    @Suite struct StoryTests {
        /// The story of a trace with these decisions, as it runs on a variant.
        private func run(_ variant: String, _ decisions: String) throws -> [String] {
            let trace = try Trace(parsing: race + decisions, file: "test", eras: [vocabulary])
            let pair = try pair(variant, variant)
            #expect(pair.load(try CompiledTrace(trace, vocabulary)))
            let compiled = CompiledSchedule(try #require(trace.schedule))
            compiled.install()
            let log = StepLog()
            let detail = log.record { RunDetail(running: pair.base) }
            return Story(trace, detail.schedule, log.places(), end: nil).clauses
        }

        @Test func aPreemptionIsToldByThePlacesAroundIt() throws {
            #expect(
                try run("page_mlock.posted", "  t0 op 0 map_pte:pte #1 -> t1\n  t1 op 1 task:end #1 => t0\n") == [
                    "t0 is stopped in map_pte after accessing the pmd in page_vma_mapped_walk, before accessing the pte,"
                        + " past vm_flags in page_mlock_one",
                    "t1 runs to the end of munlock", "t0 goes on",
                ])
        }

        @Test func whoIsNotStoppedRunsToTheEnd() throws {
            #expect(
                try run("page_mlock.posted", "") == ["t0 runs to the end of munlock", "t1 runs to the end of munlock"])
        }

        // MARK: By hand

        private let places = [
            PassedPlace(task: 0, op: 0, function: "munlock", label: "mmap_lock", occurrence: 1),
            PassedPlace(task: 0, op: 0, function: "munlock", label: "vm_flags", occurrence: 1),
            PassedPlace(task: 0, op: 0, function: "drain", label: "cpu", occurrence: 1),
            PassedPlace(task: 0, op: 0, function: "walk", label: "ptl", occurrence: 1),
            PassedPlace(task: 1, op: 0, function: "walk", label: "page_lock", occurrence: 1),
        ]

        private func told(_ decisions: [Decision], end: String? = nil) throws -> [String] {
            let trace = try Trace(parsing: race, file: "test", eras: [vocabulary])
            return Story(trace, Schedule(start: 0, decisions: decisions), places, end: end).clauses
        }

        private func decision(
            _ task: Int, _ function: String, _ label: String, forced: Bool = false, next: Int, cpu: Int? = nil
        ) -> Decision {
            Decision(
                task: task, op: 0, function: function, label: label, occurrence: 1, forced: forced, next: next, cpu: cpu
            )
        }

        @Test func theFirstPlaceOfAStep() throws {
            #expect(
                try told([decision(0, "munlock", "mmap_lock", next: 1)]) == [
                    "t0 is stopped in munlock before taking mmap_lock", "t1 runs to the end of munlock",
                ])
        }

        @Test func aMoveToAnotherCPU() throws {
            #expect(
                try told([decision(0, "drain", "cpu", next: 0, cpu: 1)]) == [
                    "t0 moves to CPU 1 in drain after accessing vm_flags in munlock and goes on"
                ])
        }

        @Test func aWait() throws {
            let waits = [
                decision(0, "walk", "ptl", next: 1), decision(1, "walk", "page_lock", forced: true, next: 0),
            ]
            #expect(
                try told(waits) == [
                    "t0 is stopped in walk after turning to its CPU's own data in drain, before taking the page table"
                        + " lock",
                    "t1 runs until it waits for the page lock in walk", "t0 goes on",
                ])
            #expect(try told(waits, end: "deadlock").last == "t0 goes on until the run ends: deadlock")
        }
    }
}
