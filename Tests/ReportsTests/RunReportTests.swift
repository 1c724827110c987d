// SPDX-License-Identifier: GPL-2.0-only
import Testing

@testable import Differential
@testable import Reports

/// What a run says of its strategies and of what it reached, to the letter.
@Suite struct RunReportTests {
    private func figures(_ name: String, _ parameter: Int? = nil) -> StrategyFigures {
        var figures = StrategyFigures(name, parameter)
        (figures.schedules, figures.traces, figures.tasks, figures.steps) = (1200, 10, 3, 400)
        return figures
    }

    private var report: RunReport {
        var pair = PairReport(family: "munlock-split", pair: "a..b")
        (pair.traces, pair.schedules, pair.distinct, pair.reached) = (12, 1280, 900, 700)
        var pct = figures("pct", 3)
        (pct.probability, pct.detection) = (5.6e-07, 0.00067)
        var delay = figures("delay", 2)
        (delay.distinct, delay.possible) = (1111, 80_201)
        pair.strategies = [pct, delay, figures("pos")].map { ReportedStrategy($0) }
        pair.coverage = Coverage(functions: [
            Coverage.Function(
                name: "page_mlock_one", runs: .init(base: 0, patched: 700), calls: .init(base: 0, patched: 812),
                yieldPoints: [
                    Coverage.YieldPoint(label: "ptl", passed: .init()),
                    Coverage.YieldPoint(label: "vm_flags", passed: .init(base: 0, patched: 1300)),
                ],
                branches: [
                    Coverage.Branch(from: nil, to: "vm_flags", taken: .init(base: 0, patched: 812)),
                    Coverage.Branch(from: "vm_flags", to: "vm_flags", taken: .init(base: 0, patched: 488)),
                ]),
            Coverage.Function(
                name: "try_to_munlock", runs: .init(), calls: .init(), yieldPoints: [], branches: []),
        ])
        return RunReport(seed: 1, pairs: [pair])
    }

    @Test func aRunNamesWhatItNeverEntered() {
        #expect(
            TextReport(report).text == """
                pair  verdict  traces  schedules  distinct  reached  divergent  crash  deadlock  inconclusive  expected  pre-existing
                a..b  equal        12       1280       900      700          -      -         -             -         -             -

                a..b: never entered: try_to_munlock
                a..b: PCT meets a given defect of a trace with at least 6.7e-05 for depth 3

                self-doubt  equal to itself  canary   seen again
                a..b        not run          not run  -

                explored under sequential consistency; seed 1
                """)
    }

    /// Half a doubt is none.
    @Test func doubtsThatEndedEarlyAreToldFromThoseNotRun() {
        var report = report
        report.pairs[0].doubt.stopped = "SIGSEGV at t0 op 0"
        let text = TextReport(report).text
        #expect(text.contains("\na..b        ended early      not run  -\n"))
        #expect(text.contains("a..b: the self-doubt ended early: SIGSEGV at t0 op 0"))
        #expect(report.hasDoubt && !report.isNotToBeBelieved)
    }

    @Test func strategiesSayHowFarTheyWent() {
        let lines = TextReport(report, strategies: true).text.split(separator: "\n").map(String.init)
        #expect(
            Array(lines.dropFirst(3).dropLast(3)) == [
                "a..b, on 10 traces that reach the patch",
                "  pct, depth 3: 1200 schedules; 1/(n·k^2) = 2.1e-06 with n = 3 and k = 400, 5.6e-07 as change points are"
                    + " hashed; a given defect of that depth shows in a trace with at least 6.7e-05 on average",
                "  delay, bound 2: 1200 schedules, 1111 different ones of about 80000 within the bound (0.014)",
                "  pos: 1200 schedules; no bound is known",
            ])
    }

    @Test func coverageIsATable() {
        let lines = TextReport(report, coverage: true).text.split(separator: "\n").map(String.init)
        #expect(
            Array(lines.dropFirst(3).dropLast(4)) == [
                "a..b, what was reached before the patch and after it",
                "                          before  after",
                "  page_mlock_one",
                "    runs that entered it       -    700",
                "    calls                      -    812",
                "    ptl                        -      -",
                "    vm_flags                   -   1300",
                "    entry -> vm_flags          -    812",
                "    vm_flags -> vm_flags       -    488",
                "  try_to_munlock",
                "    runs that entered it       -      -",
                "    calls                      -      -",
                "  never reached: page_mlock_one:ptl",
            ])
    }

    /// A run that entered nothing says so by its verdict, whatever it found.
    @Test func nothingReachedIsAVerdict() {
        var report = report
        report.pairs[0].reached = 0
        #expect(report.pairs[0].verdict == .unreached && report.hasDoubt && !report.hasUnexpected)
        #expect(!TextReport(report).text.contains("never entered"))
    }

    @Test(arguments: [
        (0, "0"), (1, "1.0"), (0.37, "0.37"), (0.999, "1.0"), (0.00042, "0.00042"), (3.14e-7, "3.1e-07"),
        (41_234, "41000"),
        (9.96, "10"), (1.5e12, "1.5e+12"),
    ]) func numbersHaveTwoDigitsThatCount(_ value: Double, _ text: String) {
        #expect(short(value) == text)
    }
}
