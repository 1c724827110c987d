// SPDX-License-Identifier: GPL-2.0-only
// How many mappings an imported trace needs, and which of them nothing happens to.

import KernelModel

/// Mappings that the model has room for, over all processes: it has 64 vmas on a large machine, and splitting and
/// merging takes a few at a time.
private let maximalMappings = 56
/// Mappings, or groups of them next to each other, that are kept although nothing happens to them: neighbours
/// to merge with, and something to reclaim.
private let keptBystanders = 2

extension StraceCollector {
    /// Leaves out mappings that are only made and changed, such as the shared libraries of most programs.
    mutating func dropBystanders() {
        var kept = Array(repeating: PageSet(), count: translator.images)
        var bystanders = Array(repeating: 0, count: translator.images)
        var files: [Int: PageSet] = [:]
        for step in allSteps where step.kind == .other {
            for range in step.ranges { kept[step.image].insert(range) }
            if let (file, pages) = step.fileReach { files[file, default: PageSet()].insert(pages) }
        }
        for step in allSteps where step.operation.name == KnownOperation.mmap {
            guard let range = step.ranges.first else { continue }
            let isWorkedOn = step.fileReach.map { files[$0.file]?.overlaps($0.pages) ?? false } ?? false
            if !kept[step.image].overlaps(range) && !isWorkedOn {
                bystanders[step.image] += 1
                if bystanders[step.image] > keptBystanders { continue }
            }
            kept[step.image].insert(range)
        }
        keepSteps { step in
            guard step.kind != .other, let pages = step.pages else { return true }
            return pages.contains { kept[step.image].overlaps($0) }
        }
        droppedMappings = bystanders.reduce(0) { $0 + max($1 - keptBystanders, 0) }
    }

    /// Whether the model has room for the mappings of all processes, each at its largest.
    var fits: Bool {
        var largest = Array(repeating: 0, count: tasks.spaces.count)
        var pieces = Array(repeating: PageSet(), count: tasks.spaces.count)
        func follow(_ steps: [RealStep], _ space: Int) {
            for step in steps {
                if step.kind == .fork, case .value(let process)? = step.arguments.first,
                    let child = tasks.spaces.firstIndex(where: { $0.process == process })
                {
                    pieces[child] = pieces[space]
                } else {
                    pieces[space].follow(step)
                }
                largest[space] = max(largest[space], pieces[space].ranges.count)
            }
        }
        for step in setup {
            follow([step], tasks.spaces.firstIndex { $0.process == step.process } ?? 0)
        }
        // Parents come before their children.
        for (task, thread) in tasks.selection.enumerated() { follow(programs[task], thread.space) }
        return largest.reduce(0, +) <= maximalMappings
    }
}

extension PageSet {
    /// What a step does to the mappings: each range is one.
    fileprivate mutating func follow(_ step: RealStep) {
        switch step.operation.name {
        case KnownOperation.mmap, KnownOperation.mremap:
            for range in step.ranges { insert(range) }
        case KnownOperation.munmap:
            if step.ranges.isEmpty {
                self = PageSet()
            } else {
                for range in step.ranges { remove(range) }
            }
        default:
            guard step.kind != .touch else { return }
            for range in step.ranges { cut(range) }
        }
    }

    /// Mappings that reach over an end of the range become two.
    private mutating func cut(_ range: Range<UInt>) {
        for end in [range.lowerBound, range.upperBound] {
            guard let whole = ranges.first(where: { $0.lowerBound < end && end < $0.upperBound }) else { continue }
            insert(whole.lowerBound..<end)
            insert(end..<whole.upperBound)
        }
    }
}
