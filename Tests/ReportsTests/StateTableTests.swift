// SPDX-License-Identifier: GPL-2.0-only
import Foundation
import Testing

@testable import Differential
@testable import Reports

/// What explore says, to the letter.
@Suite struct StateTableTests {
    private func reached(_ schedules: Int, _ witness: String...) -> Exploration.Reached {
        var reached = Exploration.Reached()
        (reached.schedules, reached.witness, reached.preemptions) = (schedules, witness, witness.count - 1)
        return reached
    }

    private var exploration: Exploration {
        var base = Exploration.Search(mode: .reduced)
        (base.schedules, base.redundant, base.steps, base.complete) = (1208, 1, 40_960, true)
        var patched = Exploration.Search(mode: .stateful)
        (patched.schedules, patched.states, patched.steps, patched.limit) = (1, 400, 501, 400)
        return Exploration(
            base: base, patched: patched,
            states: [
                .init(end: "complete", broken: [], base: reached(1203, "start t0"), patched: nil, difference: []),
                .init(
                    end: "complete", broken: [], base: reached(4, "start t1", "t1 op 0 f:ptl #1 -> t0"),
                    patched: reached(1, "start t0", "t0 op 0 f:ptl #2 -> t1"),
                    difference: ["page 3", "-   mapcount: 1", "+   mapcount: 0"]),
                .init(
                    end: "deadlock", broken: ["lock-order"], base: reached(1, "start t1"),
                    patched: reached(2, "start t1"), difference: []),
                .init(
                    end: "complete", broken: ["held-at-return", "refcount"], base: nil, patched: reached(3, "start t2"),
                    difference: []),
            ])
    }

    @Test func theTable() {
        #expect(
            StateTable(exploration, title: "my.trace a..b").text == """
                Test my.trace a..b
                States 4
                only before      1203         0 *> s0
                both                4         1 :> s1
                                                     page 3
                                                     -   mapcount: 1
                                                     +   mapcount: 0
                both                1         2 :> s2  deadlock, lock-order
                only after          0         3 *> s3  held-at-return, refcount
                Witnesses
                schedule  # s0, before
                  start t0
                schedule  # s3, after
                  start t2
                schedule  # s1, before
                  start t1
                  t1 op 0 f:ptl #1 -> t0
                schedule  # s1, after
                  start t0
                  t0 op 0 f:ptl #2 -> t1
                schedule  # s2, both
                  start t1
                Observation 2 in both, 1 only before, 1 only after
                before: reduced, 1208 schedules, 1 left early, 40960 steps, 3 outcomes, complete
                after: stateful, 1 schedule, 400 states visited, 501 steps, 3 outcomes, not complete: ended at 400 states
                explored under sequential consistency
                """)
    }

    @Test func boundsAreNamed() {
        var exploration = exploration
        exploration.base = Exploration.Search(mode: .bounded)
        exploration.base.preemptionBound = 1
        exploration.patched = exploration.base
        exploration.patched.limit = 7
        let lines = StateTable(exploration, title: "").text.split(separator: "\n").suffix(3).map(String.init)
        #expect(lines[0] == "before: bounded, 0 schedules, 0 steps, 3 outcomes, all with at most 1 preemption")
        #expect(lines[1].hasSuffix(", not complete: ended at 7 schedules with at most 1 preemption"))
    }

    @Test func theSameAsJSON() throws {
        var exploration = exploration
        exploration.states.removeFirst(2)
        exploration.base.preemptionBound = 2
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let text = String(decoding: try encoder.encode(exploration), as: UTF8.self)
        #expect(
            text == """
                {
                  "base" : {
                    "complete" : true,
                    "mode" : "reduced",
                    "preemptionBound" : 2,
                    "redundant" : 1,
                    "schedules" : 1208,
                    "steps" : 40960
                  },
                  "patched" : {
                    "complete" : false,
                    "limit" : 400,
                    "mode" : "stateful",
                    "schedules" : 1,
                    "states" : 400,
                    "steps" : 501
                  },
                  "states" : [
                    {
                      "base" : {
                        "preemptions" : 0,
                        "schedules" : 1,
                        "witness" : [
                          "start t1"
                        ]
                      },
                      "broken" : [
                        "lock-order"
                      ],
                      "difference" : [

                      ],
                      "end" : "deadlock",
                      "patched" : {
                        "preemptions" : 0,
                        "schedules" : 2,
                        "witness" : [
                          "start t1"
                        ]
                      }
                    },
                    {
                      "broken" : [
                        "held-at-return",
                        "refcount"
                      ],
                      "difference" : [

                      ],
                      "end" : "complete",
                      "patched" : {
                        "preemptions" : 0,
                        "schedules" : 3,
                        "witness" : [
                          "start t2"
                        ]
                      }
                    }
                  ]
                }
                """)
    }
}
