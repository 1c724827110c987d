// SPDX-License-Identifier: GPL-2.0-only
// From the steps of a real program to those of a trace: addresses, lengths and files of the model's machine.

import KernelModel

/// The machine of an imported trace, and how real addresses and files map to it.
struct StraceScaling {
    private let collector: StraceCollector
    private(set) var machine = MachineShape()
    /// By image.
    private var scales: [AddressScale]
    /// Real pages that all images use together, and whether some share a page of the model.
    private(set) var realPages: UInt = 0
    private(set) var piecesShare = false
    /// The model's file of each real one.
    private(set) var fileNumbers: [Int?]
    /// Distinct offsets of each real file, in rising order.
    private var offsets: [[UInt]]

    init(_ collector: StraceCollector) {
        self.collector = collector
        let steps = collector.setup + collector.programs.flatMap { $0 }
        var ranges: [[Range<UInt>]] = Array(repeating: [], count: collector.translator.images)
        for step in steps { ranges[step.image] += step.ranges }
        scales = ranges.map { AddressScale($0) }
        let realFiles = collector.translator.files.count
        fileNumbers = Array(repeating: nil, count: realFiles)
        offsets = Array(repeating: [], count: realFiles)
        var all = PageSet()
        for range in ranges.joined() { all.insert(range) }
        realPages = all.ranges.reduce(0) { $0 + UInt($1.count) }
        chooseTables()
        for image in scales.indices {
            let separate = scales[image].layOut(from: machine.ptrsPerPte, room: userPages)
            piecesShare = piecesShare || !separate
        }
        chooseFiles(steps)
        machine.pages = MachineShape.pageRange.upperBound
        machine.cpus = min(max(collector.programs.count, 1), 2)
    }

    /// Pages of user space: all but the first table.
    var userPages: Int { machine.ptrsPerPte * (machine.ptrsPerPmd - 1) }

    /// The smallest address space in which everything has its place.
    private mutating func chooseTables() {
        let wanted = scales.map(\.wanted).max() ?? 0
        for ptes in MachineShape.ptrsPerPteChoices {
            for pmds in [4, MachineShape.ptrsPerPmdRange.upperBound] {
                (machine.ptrsPerPte, machine.ptrsPerPmd) = (ptes, pmds)
                if userPages >= wanted { return }
            }
        }
    }

    // MARK: - Files

    /// Dealt out in the order of their first use.
    private mutating func chooseFiles(_ steps: [RealStep]) {
        var files = 0
        for argument in steps.flatMap(\.arguments) {
            guard case .offset(let page, let file?) = argument else { continue }
            if !offsets[file].contains(page) { offsets[file].append(page) }
            guard fileNumbers[file] == nil else { continue }
            fileNumbers[file] = files % MachineShape.maximalFiles
            files += 1
            if files <= MachineShape.maximalFiles {
                let isShared = collector.translator.files[file].isShared
                machine.files.append(MachineShape.File(kind: isShared ? .shmem : .disk, size: 1))
            }
        }
        for file in offsets.indices { offsets[file].sort() }
        for step in steps { growFile(step) }
    }

    /// Mappings lie within their files, as far as the model's files reach.
    private mutating func growFile(_ step: RealStep) {
        var pages = 1
        for argument in step.arguments {
            if case .length(let start, let bytes) = argument { pages = length(step.image, start, bytes) / pageSize }
            if case .offset(let page, let file?) = argument, let number = fileNumbers[file] {
                let end = (offsets[file].firstIndex(of: page) ?? 0) + pages
                machine.files[number].size = min(
                    max(machine.files[number].size, end), MachineShape.fileSizeRange.upperBound)
            }
        }
    }

    // MARK: - Steps

    func trace(_ vocabulary: Vocabulary) -> Trace {
        let setup = collector.setup.map { SetupStep(.process(0), step($0)) }
        let programs = collector.tasks.selection.enumerated().map { task, thread in
            let process = collector.tasks.spaces[thread.space].process ?? 0
            let who = thread.pid.map { ["pid \($0)"] } ?? []
            return Program(
                remarks: Remarks(above: who), .process(process), cpu: task % machine.cpus,
                steps: collector.programs[task].map(step))
        }
        return Trace(era: vocabulary.era, machine: machine, setup: Setup(steps: setup), tasks: programs)
    }

    private func step(_ real: RealStep) -> Step {
        let notes = [real.line.map { "line \($0)" }, real.note].compactMap { $0 }
        return Step(
            remarks: Remarks(beside: notes.isEmpty ? nil : notes.joined(separator: ", ")), real.operation,
            real.arguments.map { .value(value($0, real.image)) })
    }

    private func value(_ argument: RealArgument, _ image: Int) -> Int {
        switch argument {
        case .value(let value): value
        case .address(let address): scales[image].page(address.page) * pageSize
        case .length(let start, let bytes): length(image, start, bytes)
        case .file(let file): file.flatMap { fileNumbers[$0] } ?? noFile
        case .offset(let page, let file): offset(page, file)
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
        return min(offsets[file].firstIndex(of: page) ?? 0, machine.files[number].size - 1)
    }
}
