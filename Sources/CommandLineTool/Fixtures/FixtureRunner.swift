// SPDX-License-Identifier: GPL-2.0-only
// The parent's side: traces dealt out over workers, and what is to be said of one whose worker crashed.

import Differential
import Processes

struct FixtureRunner {
    /// How many workers run side by side.
    var jobs: Int

    /// Traces that one worker gets at most: a result for each worker must not wait for the last of thousands.
    private static let mostTraces = 500

    /// - Returns: what came of each, in the order of `traces`.
    func observe(_ traces: [TraceToObserve]) throws -> [ObservedTrace] {
        var results = [ObservedTrace?](repeating: nil, count: traces.count)
        var open = parts(Array(traces.indices))
        while !open.isEmpty {
            let jobs = open.map { part in WorkerJob.fixtures(FixtureJob(traces: part.map { traces[$0] })) }
            let ends = try WorkerPool(width: self.jobs).run(jobs) { (job: Int, result: ObservedTrace) in
                let number = open[job][result.number]
                results[number] = result
                results[number]!.number = number
            }
            open = try zip(open, ends).compactMap { part, end in
                // What a worker died of is the first trace that it has not told of.
                let rest = part.filter { results[$0] == nil }
                guard let problem = try problem(end), let victim = rest.first else { return nil }
                results[victim] = try apart(traces[victim], problem)
                return rest.count == 1 ? nil : Array(rest.dropFirst())
            }
        }
        return results.map { $0! }
    }

    /// A trace whose worker died, on each variant in a worker of its own: only the one that kills it is to blame.
    private func apart(_ trace: TraceToObserve, _ problem: String) throws -> ObservedTrace {
        var result = ObservedTrace(number: 0, trace: trace.trace, variants: [])
        if trace.variants.count == 1 {
            result.variants = [.init(variant: trace.variants[0], problem: problem)]
        } else {
            result.variants = try observe(trace.variants.map(trace.alone)).flatMap(\.variants)
        }
        return result
    }

    private func parts(_ numbers: [Int]) -> [[Int]] {
        let size = min(max((numbers.count + jobs - 1) / max(jobs, 1), 1), FixtureRunner.mostTraces)
        return stride(from: 0, to: numbers.count, by: size).map { Array(numbers[$0..<min($0 + size, numbers.count)]) }
    }

    private func problem(_ end: WorkerEnd) throws -> String? {
        switch end {
        case .done: return nil
        case .failed(let complaint): throw InputError(complaint.split(separator: "\n").first.map(String.init) ?? "")
        case .crashed(let signal, let place, _): return "the process ended: \(signalName(signal)) at \(place.text)"
        case .hung(let place): return "no end: an endless loop at \(place.text)"
        }
    }
}
