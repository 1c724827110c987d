// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import KernelModel
import MunlockSplit
import RetractPageTables
import Simulation
import Testing
import Traces
import VariantKit

@testable import Differential

extension DifferentialTests {
    /// Which schedules a campaign draws, what is said of them, and what they reach.
    @Suite struct StrategyMixTests {
        private func campaign(
            _ choice: StrategyChoice, traces count: Int = 20, focused: Bool = false, survey: Bool = false,
            _ source: TraceSource = traces
        ) throws -> Campaign {
            var configuration = CampaignConfiguration()
            (configuration.traces, configuration.strategy, configuration.focused) = (count, choice, focused)
            let pair = try pair("try_to_munlock", "page_mlock.fixed")
            let campaign = Campaign(
                pair, source, vocabulary,
                claims: munlockSplit.claims(base: "try_to_munlock", patched: "page_mlock.fixed"),
                configuration: configuration)
            if survey { campaign.survey(traces) }
            campaign.run()
            return campaign
        }

        @Test func aChoiceIsOneStrategyInSeveralVariations() {
            let names = { (choice: StrategyChoice) in
                Set(
                    (1..<9).map {
                        StrategyFigures(ScheduleSeed(seed: 1, trace: 2, schedule: $0, choice: choice).strategy())
                    }
                    .map { "\($0.name) \($0.parameter ?? 0)" })
            }
            #expect(names(.random) == ["random 0"])
            #expect(names(.pct) == ["pct 2", "pct 3", "pct 4"])
            #expect(names(.pos) == ["pos 0"])
            #expect(names(.delay) == ["delay 2", "delay 3"])
            #expect(names(.portfolio) == ["random 0", "pct 2", "pct 3", "pct 4"])
            // The first one preempts nobody, whatever is chosen.
            for choice in StrategyChoice.allCases {
                let first = ScheduleSeed(seed: 3, trace: 1, schedule: 0, choice: choice).strategy()
                #expect(StrategyFigures(first).name == "sequential")
            }
        }

        /// What old reports name by a seed is the same schedule still.
        @Test func thePortfolioIsWhatItWas() {
            let plain = ScheduleSeed(seed: 1, trace: 5, schedule: 3)
            #expect(plain == ScheduleSeed(seed: 1, trace: 5, schedule: 3, choice: .portfolio))
            #expect(plain.strategy() == .pct(seed: mix(1 ^ mix(5 << 24 ^ 3)), depth: 3, steps: 200))
        }

        @Test func pctSaysItsBound() throws {
            let figures = try campaign(.pct).strategies
            #expect(figures.map(\.name) == ["sequential", "pct", "pct", "pct"])
            for item in figures.dropFirst() {
                let depth = try #require(item.parameter)
                let published = try #require(item.published)
                #expect(published == 1 / (Double(item.tasks) * power(Double(item.steps), depth - 1)))
                let (probability, detection) = (try #require(item.probability), try #require(item.detection))
                #expect(probability < published * 0.4 && probability > published * 0.05)
                #expect(detection > probability * Double(item.schedules) * 0.5 && detection < Double(item.traces))
                #expect(item.tasks >= 2 && item.tasks <= 4 && item.steps > 50)
            }
        }

        @Test func delaysSayHowManyOfTheirBound() throws {
            for item in try campaign(.delay).strategies.dropFirst() {
                let (distinct, possible) = (try #require(item.distinct), try #require(item.possible))
                #expect(distinct > item.schedules / 4 && distinct <= item.schedules)
                #expect(possible > Double(distinct))
            }
        }

        /// All schedules of a given trace count together.
        @Test func aGivenTraceIsOneTrace() throws {
            let trace = try #require((0..<50).lazy.map { traces.trace(1, $0) }.first { reaches($0) })
            let once = try campaign(.pct, traces: 1, .given(trace)).strategies
            let twice = try campaign(.pct, traces: 2, .given(trace)).strategies
            #expect(twice.map(\.traces) == once.map { _ in 1 })
            #expect(twice.map(\.schedules) == once.map { $0.schedules * 2 })
            #expect(try #require(twice[1].detection) > (try #require(once[1].detection)) * 1.5)
        }

        private func reaches(_ trace: Trace) -> Bool {
            (try? campaign(.pct, traces: 1, .given(trace)).progress.reached > 100) ?? false
        }

        // MARK: Focus

        @Test func aSurveyFindsWhatIsNear() throws {
            let pair = try pair("page_mlock.posted", "page_mlock.merged")
            pair.survey(traces, vocabulary)
            defer { Focus.current = Focus() }
            let near = nearPlaces()
            // Who else looks at VM_LOCKED, and who else takes the page table lock.
            for label in ["vm_flags", "ptl"] {
                #expect(near.contains { $0.hasSuffix(":\(label)") && !$0.hasPrefix("page_mlock_one") }, "\(near)")
            }
            // What comes right after the walk.
            #expect(near.contains { $0.hasPrefix("page_vma_mapped_walk") }, "\(near)")
            #expect(!near.contains { $0.hasPrefix("do_mmap:") }, "\(near)")
            #expect(Focus.current.nearChance > 0 && Focus.current.nearChance < 1)
            let chance = Focus.current.nearChance
            // Only who asks for it preempts there.
            _ = try campaign(.portfolio, traces: 1, survey: true)
            #expect(Focus.current == Focus())
            _ = try campaign(.focused, traces: 1, survey: true)
            let after = Focus.current.nearChance
            pair.survey(traces, vocabulary)
            #expect(after > 0 && Focus.current.nearChance == chance)
        }

        private func nearPlaces() -> [String] {
            (0..<Int(scheduler.nr_yield_points)).filter { scheduler.name($0).pointee.near != 0 }.map(yieldPointName)
                .sorted()
        }

        // MARK: Coverage

        @Test func coverageCountsBothSides() throws {
            let coverage = try campaign(.portfolio, survey: true).coverage
            defer { Focus.current = Focus() }
            let functions = Dictionary(uniqueKeysWithValues: coverage.functions.map { ($0.name, $0) })
            let walker = try #require(functions["page_mlock_one"])
            #expect(walker.runs.base == 0 && walker.runs.patched > 0)
            #expect(walker.calls.patched >= walker.runs.patched)
            // It has no yield point of its own.
            let caller = try #require(functions["page_mlock"])
            #expect(caller.calls.patched > 0 && caller.calls.base == 0 && caller.yieldPoints.isEmpty)
            #expect(try #require(functions["try_to_munlock"]).calls.base > 0)
            let flags = try #require(walker.yieldPoints.first { $0.label == "vm_flags" })
            #expect(flags.passed.patched >= walker.calls.patched && flags.passed.base == 0)
            // What flows into a place is what passed it.
            for function in coverage.functions {
                for point in function.yieldPoints {
                    let into = function.branches.filter { $0.to == point.label }.reduce(0) { $0 + $1.taken.patched }
                    #expect(into == point.passed.patched)
                }
                let entries = function.branches.filter { $0.from == nil }.reduce(0) { $0 + $1.taken.patched }
                #expect(entries <= function.calls.patched && function.runs.patched <= function.calls.patched)
            }
        }

        @Test func partsOfARunAddUp() throws {
            var sum = try campaign(.portfolio).coverage
            let other = sum
            #expect(other.functions.contains { $0.runs.patched > 0 } && other.functions.contains { $0.calls.base > 0 })
            sum.add(other)
            for (function, one) in zip(sum.functions, other.functions) {
                #expect(function.runs.patched == one.runs.patched * 2 && function.calls.base == one.calls.base * 2)
                #expect(function.branches.map(\.taken.patched) == one.branches.map { $0.taken.patched * 2 })
                #expect(function.yieldPoints.map(\.label) == one.yieldPoints.map(\.label))
            }
        }
    }
}
