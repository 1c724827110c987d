// SPDX-License-Identifier: GPL-2.0-only
// What a campaign runs, how far it has come, and where its traces come from.

import KernelModel
import Simulation
import Traces

/// What to run, and how long.
public struct CampaignConfiguration: Codable, Sendable {
    public var seed: UInt64 = CampaignConfiguration.defaultSeed
    /// Traces to run; nil: until the time is up.
    public var traces: Int?
    /// Schedules of each trace before it is compared.
    public var schedules = 128
    /// Seconds; nil: until the traces are run.
    public var seconds: Double?
    /// This part of the traces, of so many parts: how parallel workers share the work.
    public var part = 0
    public var parts = 1
    /// The traces before this one are left out: how a campaign goes on after a trace that ended its process.
    public var first = 0
    /// Preempt in changed functions alone in one schedule of four.
    public var focused = false
    public var strategy = StrategyChoice.portfolio
    /// Lay the second machine's memory out in another order.
    public var permuted = true
    /// See no outcome: for tests of the canary.
    public var blind = false

    public init() {}

    /// Fixed, so that two people who type the same see the same.
    public static let defaultSeed: UInt64 = 1

    /// The number of the first trace to run.
    var firstOfPart: Int {
        guard first > part else { return part }
        return part + (first - part + parts - 1) / parts * parts
    }
}

/// How far a campaign has come.
public struct CampaignProgress: Codable, Sendable {
    public var traces = 0
    /// Traces whose set-up did not run.
    public var skipped = 0
    public var schedules = 0
    /// Different ones among them.
    public var distinct = 0
    /// Schedules that entered a changed function.
    public var reached = 0
    public var steps = 0
    public var differences = 0
    public var seconds = 0.0
    /// The trace that runs now.
    public var current = 0
    /// The earlier trace whose difference is judged now; nil: none is.
    public var judged: Int?

    public init() {}
}

/// Where traces come from: a generator, or one given trace again and again, alone or with other kernel threads each time.
public enum TraceSource: Sendable {
    case generator(Generator)
    case given(Trace)
    case accompanied(Trace, by: [Operation])

    public func trace(_ seed: UInt64, _ number: Int) -> Trace {
        let key = mix(seed ^ mix(UInt64(number)))
        switch self {
        case .generator(let generator): return generator.trace(seed: key)
        case .given(let trace): return trace
        // Whether they can be added is asked before.
        case .accompanied(let trace, let operations):
            return (try? trace.with(kernelTasks: operations, seed: key)) ?? trace
        }
    }

    /// Whether all its traces are one.
    public var isOneTrace: Bool { if case .given = self { true } else { false } }
}
