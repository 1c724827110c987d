// SPDX-License-Identifier: GPL-2.0-only
// Traces with simpler arguments.  What is simpler follows from an argument's domain alone: fewer flags, a shorter
// length, an offset of 0.  Addresses and lengths that several steps share change together.

import CKernel
import KernelModel
import Traces

extension Trace {
    /// Traces with one thing simpler, the simplest first.
    func withSimplerArguments() -> [Trace] {
        withLowerAddresses() + withSharedAddresses() + withShorterLengths() + positions.flatMap { withSimpler($0) }
            + withoutUnusedResults()
    }

    /// Where an argument stands.
    private struct Position {
        /// nil: in the set-up.
        var task: Int?
        var step, argument: Int
    }

    private var positions: [Position] {
        setup.steps.indices.flatMap { step in
            setup.steps[step].step.arguments.indices.map { Position(task: nil, step: step, argument: $0) }
        }
            + stepsOfTasks.flatMap { task, step in
                tasks[task].steps[step].arguments.indices.map { Position(task: task, step: step, argument: $0) }
            }
    }

    private func step(_ position: Position) -> Step {
        position.task.map { tasks[$0].steps[position.step] } ?? setup.steps[position.step].step
    }

    private func domain(_ position: Position) -> Domain {
        step(position).operation.parameters[position.argument].domain
    }

    private mutating func set(_ position: Position, _ argument: Argument) {
        if let task = position.task {
            tasks[task].steps[position.step].arguments[position.argument] = argument
        } else {
            setup.steps[position.step].step.arguments[position.argument] = argument
        }
    }

    private func with(_ position: Position, _ value: Int) -> Trace {
        var simpler = self
        simpler.set(position, .value(value))
        return simpler
    }

    // MARK: One argument

    private func withSimpler(_ position: Position) -> [Trace] {
        switch step(position).arguments[position.argument] {
        case .result(let name, let offset):
            guard offset != 0 else { return [] }
            var simpler = self
            simpler.set(position, .result(name, offset: 0))
            return [simpler]
        case .value(let value):
            return simplerValues(value, domain(position)).map { with(position, $0) }
        }
    }

    private func simplerValues(_ value: Int, _ domain: Domain) -> [Int] {
        switch domain {
        case .flags(let names):
            let flags = names.filter { $0.value != 0 && value & $0.value == $0.value }.map { value & ~$0.value }
            return flags.count > 1 ? [0] + flags : flags
        case .length:
            let page = Int(PAGE_SIZE)
            return descending(from: value / page, to: 1).map { $0 * page }
        case .pageOffset, .node, .cpu: return descending(from: value, to: 0)
        case .number(let range): return descending(from: value, to: range.lowerBound)
        case .address, .file, .choice, .process: return []
        }
    }

    /// Smaller numbers, the least first: few, since each is tried.
    private func descending(from value: Int, to least: Int) -> [Int] {
        guard value > least else { return [] }
        let half = least + (value - least) / 2
        return [least] + (half > least ? [half] : []) + (value - 1 > half ? [value - 1] : [])
    }

    // MARK: What steps share

    private func values(of isWanted: (Domain) -> Bool) -> [Int] {
        let all = positions.compactMap { position -> Int? in
            guard isWanted(domain(position)), case .value(let value) = step(position).arguments[position.argument]
            else { return nil }
            return value
        }
        return Array(Set(all)).sorted { UInt(bitPattern: $0) < UInt(bitPattern: $1) }
    }

    private func replacing(_ isWanted: (Domain) -> Bool, _ new: (Int) -> Int) -> Trace {
        var simpler = self
        for position in positions where isWanted(domain(position)) {
            if case .value(let value) = step(position).arguments[position.argument] {
                simpler.set(position, .value(new(value)))
            }
        }
        return simpler
    }

    /// All addresses from a certain one on, moved down by what a page table maps, or by a page.
    private func withLowerAddresses() -> [Trace] {
        let addresses = values(of: \.isAddress).filter { $0 > 0 }
        let distances = [machine.ptrsPerPte * Int(PAGE_SIZE), Int(PAGE_SIZE)]
        return addresses.enumerated().flatMap { number, address in
            let room = address - (number > 0 ? addresses[number - 1] : 0)
            return distances.filter { $0 < room }.map { distance in
                replacing(\.isAddress) { $0 >= address ? $0 - distance : $0 }
            }
        }
    }

    /// One address that no other step has, replaced by one that others have, too.
    private func withSharedAddresses() -> [Trace] {
        let used = positions.compactMap { position -> (Position, Int)? in
            guard domain(position).isAddress, case .value(let value) = step(position).arguments[position.argument]
            else { return nil }
            return (position, value)
        }
        let shared = values(of: \.isAddress)
        return used.filter { own in used.count { $0.1 == own.1 } == 1 }.flatMap { own in
            shared.filter { $0 != own.1 }.map { with(own.0, $0) }
        }
    }

    private func withShorterLengths() -> [Trace] {
        let page = Int(PAGE_SIZE)
        return values(of: \.isLength).filter { $0 > page }.reversed().flatMap { length in
            descending(from: length / page, to: 1).map { pages in
                replacing(\.isLength) { $0 == length ? pages * page : $0 }
            }
        }
    }

    /// Without the names of results that nothing refers to.
    private func withoutUnusedResults() -> [Trace] {
        let used = Set(
            positions.compactMap { position -> Int? in
                if case .result(let name, _) = step(position).arguments[position.argument] { name } else { nil }
            })
        var simpler = self
        for step in simpler.setup.steps.indices {
            if let name = simpler.setup.steps[step].step.result, !used.contains(name) {
                simpler.setup.steps[step].step.result = nil
            }
        }
        for (task, step) in stepsOfTasks {
            if let name = simpler.tasks[task].steps[step].result, !used.contains(name) {
                simpler.tasks[task].steps[step].result = nil
            }
        }
        return simpler == self ? [] : [simpler]
    }
}

extension Domain {
    fileprivate var isAddress: Bool { if case .address = self { true } else { false } }
    fileprivate var isLength: Bool { if case .length = self { true } else { false } }
}
