// SPDX-License-Identifier: GPL-2.0-only
// A part of a log: what came before it is the state that it starts from.

import KernelModel

/// The lines of a log that become programs.
struct StraceWindow {
    let lines: ClosedRange<Int>

    /// Whether something comes before it.
    var hasPast: Bool { lines.lowerBound > 1 }

    func isBefore(_ call: StraceLog.Call) -> Bool { call.line < lines.lowerBound }
    func isBehind(_ call: StraceLog.Call) -> Bool { call.line > lines.upperBound }
    func contains(_ call: StraceLog.Call) -> Bool { lines.contains(call.line) }
}

/// The set-up of a window.
extension [RealStep] {
    /// Without what later steps take back before anybody else can have seen it.
    var withoutUndone: [RealStep] {
        var replaced = Array<PageSet>(repeating: PageSet(), count: MachineShape.maximalProcesses)
        var kept: [RealStep] = []
        for step in reversed() {
            if step.kind == .fork {
                // The child has what there was.
                replaced[step.process] = PageSet()
            } else if let pages = step.pages, pages.allSatisfy(replaced[step.process].covers) {
                continue
            } else if [KnownOperation.mmap, KnownOperation.munmap].contains(step.operation.name) {
                for range in step.pages ?? [] { replaced[step.process].insert(range) }
            }
            kept.append(step)
        }
        return kept.reversed().withoutIdleUnmaps
    }

    /// Without unmapping what is not mapped.
    private var withoutIdleUnmaps: [RealStep] {
        var mapped = Array<PageSet>(repeating: PageSet(), count: MachineShape.maximalProcesses)
        return filter { step in
            switch step.operation.name {
            case KnownOperation.fork:
                if case .value(let child)? = step.arguments.first { mapped[child] = mapped[step.process] }
            case KnownOperation.mmap, KnownOperation.mremap:
                for range in step.ranges { mapped[step.process].insert(range) }
            case KnownOperation.munmap:
                guard let pages = step.pages else { break }
                guard pages.contains(where: mapped[step.process].overlaps) else { return false }
                for range in pages { mapped[step.process].remove(range) }
            default: break
            }
            return true
        }
    }

    /// Only what some steps meet: of their pages, or of files that they work on.
    func neededBy(_ later: [RealStep]) -> [RealStep] {
        var pages: [Int: PageSet] = [:]
        var files: [Int: PageSet] = [:]
        for step in later {
            for range in step.pages ?? [] { pages[step.image, default: PageSet()].insert(range) }
            if let (file, range) = step.fileReach { files[file, default: PageSet()].insert(range) }
        }
        // Accesses stay with the mappings that they were the first to.
        var mapped: [Int: PageSet] = [:]
        return filter { step in
            if step.kind == .touch {
                return step.pages?.contains { mapped[step.image]?.overlaps($0) ?? false } ?? false
            }
            var isNeeded = step.fileReach.map { files[$0.file]?.overlaps($0.pages) ?? false } ?? false
            if let own = step.pages {
                isNeeded = isNeeded || own.contains { pages[step.image]?.overlaps($0) ?? false }
            } else if step.fileRange == nil {
                isNeeded = true
            }
            guard step.kind == .mapping else { return isNeeded }
            for range in step.ranges where !isNeeded { mapped[step.image]?.remove(range) }
            if isNeeded && step.operation.name == KnownOperation.mmap {
                for range in step.ranges { mapped[step.image, default: PageSet()].insert(range) }
            }
            return isNeeded
        }
    }

    /// Steps that only change what is in the pages go first.
    func withoutContents(wanted: Int) -> [RealStep] {
        var excess = count { $0.kind != .touch } - wanted
        return filter { step in
            guard excess > 0, step.kind == .other, step.pages != nil, !step.isAdviceForLater, !step.isLasting else {
                return true
            }
            excess -= 1
            return false
        }
    }

    /// Leaves so many, and all forks.
    ///
    /// - Returns: how many are gone.
    mutating func removeOldest(_ wanted: Int) -> Int {
        var excess = count { $0.kind != .touch } - wanted
        let before = count
        removeAll { step in
            guard excess > 0, step.kind != .fork else { return false }
            if step.kind != .touch { excess -= 1 }
            return true
        }
        return before - count
    }

    /// Takes out an access of a range that nothing else has happened to since: it comes after `step`.
    mutating func popTouch(within step: RealStep) -> RealStep? {
        for number in indices.reversed().prefix(Self.mostStepsBack) {
            let earlier = self[number]
            guard earlier.kind != .fork else { return nil }
            let meets = (earlier.pages ?? []).contains { page in step.ranges.contains { $0.overlaps(page) } }
            guard meets, earlier.image == step.image, !earlier.isAdviceForLater else { continue }
            return earlier.kind == .touch ? remove(at: number) : nil
        }
        return nil
    }

    private static var mostStepsBack: Int { 16 }
}

extension RealStep {
    /// All pages that it is about; nil: those of the whole address space, or none.
    var pages: [Range<UInt>]? {
        if kind == .touch, case .address(let address)? = arguments.first { return [address.page..<address.page + 1] }
        let ranges = ranges
        return ranges.isEmpty ? nil : ranges
    }

    /// Advice that changes how memory is used from now on, and nothing at once.
    var isAdviceForLater: Bool {
        guard operation.name == KnownOperation.madvise, case .value(let advice)? = arguments.last,
            case .choice(let names)? = operation.parameters.last?.domain,
            let name = names.first(where: { $0.value == advice })?.name
        else { return false }
        return [
            "MADV_NORMAL", "MADV_RANDOM", "MADV_SEQUENTIAL", "MADV_HUGEPAGE", "MADV_NOHUGEPAGE", "MADV_DONTFORK",
            "MADV_DOFORK", "MADV_WIPEONFORK", "MADV_KEEPONFORK",
        ].contains(name)
    }

    /// Whether a mapping keeps it: locks, watchers.
    fileprivate var isLasting: Bool {
        ["mlock", "mlock2", "munlock", "mremap", "pin", "uffd_register", "uffd_unregister"].contains(operation.name)
    }
}
