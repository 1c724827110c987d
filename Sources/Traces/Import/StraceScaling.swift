// SPDX-License-Identifier: GPL-2.0-only
// From the steps of a real program to those of a trace: addresses, lengths and files of the model's machine.

import KernelModel

/// The machine of an imported trace, and how real addresses and files map to it.
struct StraceScaling {
    private let collector: StraceCollector
    private(set) var machine = MachineShape()
    /// By image, and behind these by file.
    private var scales: [PageScale] = []
    /// Real pages that all images use together.
    private(set) var realPages: UInt = 0
    /// Whether there are fewer pages than ranges.
    var piecesShare: Bool { scales[..<images].contains { $0.isShared } }
    /// The model's file of each real one.
    private(set) var fileNumbers: [Int?]
    /// Ranges that may have huge pages, and how many of them lie as in the real program.
    private(set) var hugeRanges = 0
    private(set) var hugeRangesKept = 0

    private let images: Int

    init(_ collector: StraceCollector) {
        self.collector = collector
        images = collector.translator.images
        fileNumbers = Array(repeating: nil, count: collector.translator.files.count)
        let steps = collector.allSteps
        var all = PageSet()
        for range in steps.flatMap(\.ranges) { all.insert(range) }
        realPages = all.ranges.reduce(0) { $0 + UInt($1.count) }
        let plan = ScalePlan(steps, images: images, files: fileNumbers.count)
        layOut(plan)
        chooseFiles(steps, plan)
        machine.pages = MachineShape.pageRange.upperBound
        machine.cpus = min(max(collector.programs.count, 1), 2)
        let usesNodes = steps.contains { $0.arguments.contains { if case .node = $0 { true } else { false } } }
        if usesNodes { machine.nodes = MachineShape.nodeRange.upperBound }
    }

    /// Pages of user space: all but the first table.
    var userPages: Int { machine.ptrsPerPte * (machine.ptrsPerPmd - 1) }

    // MARK: - Addresses

    /// As many huge ranges as there is room for; then as much of gaps and sizes as there is; then the smallest address
    /// space.
    private mutating func layOut(_ plan: ScalePlan) {
        hugeRanges = plan.hugeRanges.count
        for kept in (0...plan.hugeRanges.count).reversed() {
            hugeRangesKept = kept
            let cut = plan.scales(huge: plan.hugeRanges.prefix(kept))
            for level in ScaleLevel.allCases where level != .shared && (level != .huge || kept > 0) {
                for ptes in MachineShape.ptrsPerPteChoices {
                    for pmds in [4, MachineShape.ptrsPerPmdRange.upperBound] {
                        (machine.ptrsPerPte, machine.ptrsPerPmd) = (ptes, pmds)
                        if layOutImages(cut, level) { return layOutFiles(level) }
                    }
                }
            }
        }
        for kept in (0...min(plan.hugeRanges.count, Self.mostHugeIfShared)).reversed() {
            hugeRangesKept = kept
            if layOutImages(plan.scales(huge: plan.hugeRanges.prefix(kept)), .shared) { break }
        }
        layOutFiles(.withoutSizes)
    }

    /// Where there is no room for all pieces, they also need some.
    private static let mostHugeIfShared = 2

    private mutating func layOutImages(_ cut: [PageScale], _ level: ScaleLevel) -> Bool {
        scales = cut
        return (0..<images).allSatisfy {
            scales[$0].layOut(level, from: machine.ptrsPerPte, room: userPages, table: machine.ptrsPerPte)
        }
    }

    private mutating func layOutFiles(_ level: ScaleLevel) {
        let room = MachineShape.fileSizeRange.upperBound
        for file in images..<scales.count {
            for level in ScaleLevel.allCases.drop(while: { $0 != level }) {
                if scales[file].layOut(level, from: 0, room: room, table: machine.ptrsPerPte) { break }
            }
        }
    }

    // MARK: - Files

    /// What is shared or worked on has a file of its own, as far as there are enough; the others share the rest.
    private mutating func chooseFiles(_ steps: [RealStep], _ plan: ScalePlan) {
        let used = plan.filesInUse
        let most = MachineShape.maximalFiles
        let own = used.filter { plan.isOwn[$0] || collector.translator.files[$0].isShared }
        let others = used.filter { !own.contains($0) }
        for (number, file) in own.enumerated() { fileNumbers[file] = number % most }
        let first = own.count < most ? own.count : 0
        for (number, file) in others.enumerated() { fileNumbers[file] = first + number % (most - first) }
        for number in 0..<min(used.count, most) {
            let file = (own + others).first { fileNumbers[$0] == number }!
            let isShared = collector.translator.files[file].isShared
            machine.files.append(MachineShape.File(kind: isShared ? .shmem : .disk, size: 1))
        }
        for step in steps {
            guard let (file, pages) = step.fileRange, let number = fileNumbers[file] else { continue }
            let end = scales[images + file].page(pages.upperBound)
            machine.files[number].size = min(
                max(machine.files[number].size, end), MachineShape.fileSizeRange.upperBound)
        }
        for range in plan.hugeRanges.prefix(hugeRangesKept) {
            for (line, _) in range.places where line >= images {
                guard let number = fileNumbers[line - images] else { continue }
                machine.files[number].huge = machine.files[number].kind == .shmem
                machine.files[number].onAdvice = machine.files[number].huge
            }
        }
    }

    // MARK: - Steps

    func trace(_ vocabulary: Vocabulary) -> Trace {
        let setup = collector.setup.map { SetupStep(.process($0.process), step($0)) }
        var programs = collector.tasks.selection.enumerated().map { task, thread in
            let process = collector.tasks.spaces[thread.space].process ?? 0
            let who = thread.pid.map { ["pid \($0)"] } ?? []
            return Program(
                remarks: Remarks(above: who), .process(process), cpu: 0, steps: collector.programs[task].map(step))
        }
        if programs.contains(where: { !$0.steps.isEmpty }) { programs.removeAll { $0.steps.isEmpty } }
        for task in programs.indices { programs[task].cpu = task % machine.cpus }
        return Trace(era: vocabulary.era, machine: machine, setup: Setup(steps: setup), tasks: programs)
    }

    private func step(_ real: RealStep) -> Step {
        let notes = [real.line.map { "line \($0)" }, real.note].compactMap { $0 }
        return Step(
            remarks: Remarks(beside: notes.isEmpty ? nil : notes.joined(separator: ", ")), real.operation,
            real.arguments.map { .value(value($0, real)) })
    }

    private func value(_ argument: RealArgument, _ step: RealStep) -> Int {
        switch argument {
        case .value(let value): value
        case .address(let address): scales[step.image].page(address.page) * pageSize
        case .length(let start, let bytes): length(step.image, start, bytes)
        case .file(let file): file.flatMap { fileNumbers[$0] } ?? noFile
        case .offset(let page, let file): offset(page, file)
        case .filePages(let pages, let file): filePages(step, pages, file)
        case .fileSize(let page, let file):
            fileNumbers[file].map { min(scales[images + file].page(page), machine.files[$0].size) } ?? 0
        case .node(let node): min(Int(clamping: node), machine.nodes - 1)
        case .wholeStart: machine.ptrsPerPte * pageSize
        case .wholeLength: userPages * pageSize
        }
    }

    /// Lengths that wrap, or are empty, stay as they are.
    private func length(_ image: Int, _ start: UInt, _ bytes: UInt) -> Int {
        guard let pages = pageRange(start, bytes) else { return Int(bitPattern: bytes) }
        return max(scales[image].page(pages.upperBound) - scales[image].page(pages.lowerBound), 1) * pageSize
    }

    private func offset(_ page: UInt, _ file: Int?) -> Int {
        guard let file, let number = fileNumbers[file] else { return 0 }
        return min(scales[images + file].page(page), machine.files[number].size - 1)
    }

    private func filePages(_ step: RealStep, _ pages: UInt, _ file: Int) -> Int {
        guard let range = step.fileRange?.pages else { return 1 }
        let scale = scales[images + file]
        return min(
            max(scale.page(range.upperBound) - scale.page(range.lowerBound), 1), MachineShape.fileSizeRange.upperBound)
    }
}

/// Which parts of addresses and files a program uses, and which of them may have huge pages.
struct ScalePlan {
    private let images: Int
    /// By image, and behind these by file.
    private var used: [[Range<UInt>]]
    private var borders: PageBorders
    /// In the order of their first use.
    private(set) var filesInUse: [Int] = []
    /// By file: it is mapped shared, or worked on by calls.
    private(set) var isOwn: [Bool]
    /// What the program asks huge pages for, what most happens to first.
    private(set) var hugeRanges: [HugeRange] = []

    struct HugeRange {
        /// Everywhere that the same pages are.
        var places: [(line: PageLine, range: Range<UInt>)]
        /// Steps that use it.
        var uses = 0
    }

    /// The model has fewer page tables.
    private static let mostHugeRanges = 12

    init(_ steps: [RealStep], images: Int, files: Int) {
        self.images = images
        used = Array(repeating: [], count: images + files)
        isOwn = Array(repeating: false, count: files)
        borders = PageBorders(lines: images + files)
        for step in steps { add(step) }
        findHugeRanges(steps)
    }

    private mutating func add(_ step: RealStep) {
        for range in step.ranges { use(step.image, range) }
        if let (from, to) = step.movedPages {
            borders.link(.init(line: step.image, range: from, other: step.image, otherStart: to))
        }
        guard let (file, pages) = step.fileRange else { return }
        use(images + file, pages)
        if !filesInUse.contains(file) { filesInUse.append(file) }
        isOwn[file] = isOwn[file] || step.kind == .other || step.mapsShared
        if step.operation.name == KnownOperation.mmap, let range = step.ranges.first {
            borders.link(.init(line: step.image, range: range, other: images + file, otherStart: pages.lowerBound))
        }
    }

    private mutating func use(_ line: PageLine, _ range: Range<UInt>) {
        used[line].append(range)
        borders.cut(line, range)
    }

    private mutating func findHugeRanges(_ steps: [RealStep]) {
        for step in steps where step.asksForHugePages {
            for range in step.ranges {
                // Where addresses are not aligned as a file's pages are, the file still has huge pages.
                let places = borders.everywhere(step.image, range)
                guard let first = places.compactMap({ place in place.range.hugePages.map { (place.line, $0) } }).first,
                    !hugeRanges.contains(where: { $0.places.contains { $0 == first } })
                else { continue }
                let same = borders.everywhere(first.0, first.1).filter { $0.range.hugePages == $0.range }
                hugeRanges.append(HugeRange(places: same))
            }
            if hugeRanges.count > 4 * Self.mostHugeRanges { break }
        }
        for number in hugeRanges.indices {
            let places = hugeRanges[number].places
            hugeRanges[number].uses = steps.count { step in
                places.contains { line, range in
                    step.image == line && step.kind == .other && step.ranges.contains { $0.overlaps(range) }
                        || step.fileReach.map { images + $0.file == line && $0.pages.overlaps(range) } ?? false
                }
            }
        }
        hugeRanges = Array(
            hugeRanges.enumerated().sorted { (-$0.element.uses, $0.offset) < (-$1.element.uses, $1.offset) }
                .map(\.element).prefix(Self.mostHugeRanges))
    }

    /// The cuts of each line, not laid out yet.
    func scales(huge kept: ArraySlice<HugeRange>) -> [PageScale] {
        var borders = borders
        var huge: [[Range<UInt>]] = Array(repeating: [], count: used.count)
        for (line, range) in kept.flatMap(\.places) {
            huge[line].append(range)
            borders.cut(line, range)
        }
        borders.close()
        return used.indices.map { PageScale(borders: borders.borders($0), used: used[$0], huge: huge[$0]) }
    }
}

extension RealStep {
    /// MADV_HUGEPAGE, MADV_COLLAPSE: the program wants huge pages there.
    fileprivate var asksForHugePages: Bool {
        guard operation.name == KnownOperation.madvise, case .value(let advice)? = arguments.last,
            case .choice(let names)? = operation.parameters.last?.domain
        else { return false }
        return ["MADV_HUGEPAGE", "MADV_COLLAPSE"].contains { name in
            names.contains { $0.name == name && $0.value == advice }
        }
    }

    fileprivate var mapsShared: Bool {
        zip(operation.parameters, arguments).contains { parameter, argument in
            guard case .flags(let names) = parameter.domain, case .value(let flags) = argument else { return false }
            return flags & names.value("MAP_SHARED") != 0
        }
    }

    /// mremap(): which pages go where.
    fileprivate var movedPages: (from: Range<UInt>, to: UInt)? {
        guard operation.name == KnownOperation.mremap, arguments.count == 5,
            case .length(let old, let oldLength) = arguments[1], case .length(let new, let newLength) = arguments[2],
            old != new, let from = pageRange(old, min(oldLength, newLength))
        else { return nil }
        return (from, new.page)
    }
}
