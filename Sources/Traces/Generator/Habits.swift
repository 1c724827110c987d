// SPDX-License-Identifier: GPL-2.0-only
// What programs do with some operations beyond single steps: they map whole page tables of files that can have huge
// pages, use them, and move them; they let a userfaultfd watch what nothing is in yet; they lock their memory again after a
// fork.  Random steps alone would seldom meet in such states.

import KernelModel

/// Which of the habits an era has the operations for.
struct Habits: Sendable {
    /// Somebody collapses ranges to huge pages: khugepaged, or MADV_COLLAPSE.
    let collapse: Bool
    /// Programs can ask for it; otherwise it is khugepaged that finds what is advised and in use.
    let collapseOnRequest: Bool
    /// A userfaultfd watches ranges.
    let watch: Bool

    init(_ vocabulary: Vocabulary) {
        let madvise = vocabulary[KnownOperation.madvise]
        collapseOnRequest = madvise?.choice?.contains { $0.name == "MADV_COLLAPSE" } ?? false
        collapse = collapseOnRequest || vocabulary[KnownOperation.khugepaged] != nil
        watch = vocabulary[KnownOperation.register]?.flags != nil
    }
}

extension Draft {
    /// Whether the operation is rare only because its opportunity is.
    func isSeldomPossible(_ operation: Operation) -> Bool {
        KnownOperation.watched.contains(operation.name)
            || generator.habits.watch && operation.name == KnownOperation.unpin
    }

    /// A step that is part of a habit; nil: one like any other.
    mutating func drawHabit(_ operation: Operation, _ performer: Performer) -> Step? {
        guard case .process(let process) = performer else { return nil }
        switch operation.name {
        case KnownOperation.mmap where generator.habits.collapse && random.chance(50):
            return drawTableMapping(operation, process)
        case KnownOperation.mremap where generator.habits.collapse && random.chance(50):
            return drawTableMove(operation, process)
        case KnownOperation.madvise where generator.habits.collapse && random.chance(35):
            return drawCollapse(operation, process)
        case KnownOperation.register:
            return drawRegister(operation, process)
        case let name where KnownOperation.rangeLocks.contains(name):
            return drawWholeLock(operation, process)
        case let name where KnownOperation.watched.contains(name):
            return drawWatched(operation, process)
        default:
            return nil
        }
    }
}

// MARK: - Huge pages

extension Draft {
    /// As large as one or two page tables.
    mutating func drawHugeFile(_ machine: MachineShape) -> MachineShape.File {
        let kind: MachineShape.File.Kind = random.draw([(.shmem, 80), (.disk, 20)])
        let tables = 2 * machine.ptrsPerPte <= MachineShape.fileSizeRange.upperBound && random.chance(20) ? 2 : 1
        let (huge, onAdvice) = random.draw(
            generator.habits.collapseOnRequest
                ? [((true, false), 40), ((true, true), 20), ((false, false), 40)]
                : [((true, false), 30), ((true, true), 70)])
        return MachineShape.File(
            kind: kind, size: tables * machine.ptrsPerPte, huge: kind == .shmem && huge, onAdvice: onAdvice)
    }

    private var table: Int { machine.ptrsPerPte }

    /// The first page of one of the tables.
    private mutating func drawTable() -> Int {
        (1 + random.below(machine.ptrsPerPmd - 1)) * table
    }

    /// A whole page table, of a file that fills it if there is one.
    private mutating func drawTableMapping(_ operation: Operation, _ process: Int) -> Step? {
        guard operation.parameters.count == 6, case .flags(let protections) = operation.parameters[2].domain,
            case .flags(let names) = operation.parameters[3].domain
        else { return nil }
        let files = machine.files.indices.filter { machine.files[$0].size >= table }
        let file = files.isEmpty || random.chance(20) ? nil : random.pick(files)
        let offset = file.map { machine.files[$0].size >= 2 * table && random.chance(50) ? table : 0 } ?? 0
        let isShared = file != nil && random.chance(65)
        let isWritable = random.chance(85)
        let words =
            ["MAP_FIXED", isShared ? "MAP_SHARED" : "MAP_PRIVATE"] + (file == nil ? ["MAP_ANONYMOUS"] : [])
            + (random.chance(25) ? ["MAP_POPULATE"] : [])
        let base = Argument.value(drawTable() * pageSize)
        let mapping = AddressSpaceSketch.Mapping(
            base: base, pages: table, file: file, isWritable: isWritable, isShared: isShared)
        spaces[process]?.map(mapping)
        return Step(
            operation,
            [
                base, .value(table * pageSize),
                .value(protections.value(isWritable ? ["PROT_READ", "PROT_WRITE"] : ["PROT_READ"])),
                .value(names.value(words)), .value(file ?? noFile), .value(offset),
            ])
    }

    /// What a program does with the newest mapping of process 0 before anything else.  Rarely would advice come by chance
    /// before the first touch of a range that fits, and as rarely behind it, where khugepaged alone can heed it.
    mutating func drawFirstUse() -> [Step] {
        let advice = random.chance(60) ? adviceForHugePages().map { [$0] } ?? [] : []
        guard generator.habits.collapse else { return advice }
        let accesses = drawFirstAccesses()
        guard !generator.habits.collapseOnRequest, random.chance(60) else { return advice + accesses }
        // Allocators advise what they give out again and again.
        return accesses + advice + (random.chance(50) ? advice : [])
    }

    /// What is there to be collapsed: accesses to some pages of the newest mapping.
    private mutating func drawFirstAccesses() -> [Step] {
        guard let mapping = spaces[0]?.mappings.last, tableWithin(mapping) != nil, random.chance(60) else { return [] }
        // A private mapping of a file is mostly there to be read.
        let share = mapping.isShared || mapping.file == nil ? 70 : 25
        return (0..<1 + random.below(3)).compactMap { _ in
            let writes = mapping.isWritable && random.chance(share)
            guard let access = generator.vocabulary[writes ? KnownOperation.write : KnownOperation.read] else {
                return nil
            }
            return Step(access, [mapping.base.advanced(pages: random.below(max(mapping.usablePages, 1)))])
        }
    }

    /// The first page table that a mapping fills.
    private func tableWithin(_ mapping: AddressSpaceSketch.Mapping) -> Argument? {
        guard case .value(let address) = mapping.base, case let page = address / pageSize,
            case let first = page.roundedUp(to: table), first + table <= page + mapping.pages
        else { return nil }
        return .value(first * pageSize)
    }

    private mutating func drawTableInUse(_ process: Int) -> (base: Argument, mapping: AddressSpaceSketch.Mapping)? {
        let tables = (spaces[process]?.mappings ?? []).compactMap { mapping in
            tableWithin(mapping).map { (base: $0, mapping: mapping) }
        }
        return tables.isEmpty ? nil : random.pick(tables)
    }

    /// To another place that is a table: the kernel moves the page table itself.
    private mutating func drawTableMove(_ operation: Operation, _ process: Int) -> Step? {
        guard operation.parameters.count == 5, case .flags(let names) = operation.parameters[3].domain,
            let (base, mapping) = drawTableInUse(process)
        else { return nil }
        let target = Argument.value(drawTable() * pageSize)
        let words = ["MREMAP_MAYMOVE", "MREMAP_FIXED"] + (random.chance(15) ? ["MREMAP_DONTUNMAP"] : [])
        var moved = mapping.part(from: base.pages(from: mapping.base) ?? 0, pages: table)
        moved.base = target
        let pages = table
        spaces[process]?.unmap(base, pages: pages)
        spaces[process]?.map(moved)
        let length = Argument.value(table * pageSize)
        return Step(operation, [base, length, length, .value(names.value(words)), target])
    }

    private mutating func drawCollapse(_ operation: Operation, _ process: Int) -> Step? {
        guard operation.parameters.count == 3, let names = operation.choice,
            let (base, _) = drawTableInUse(process)
        else { return nil }
        let advice = ["MADV_COLLAPSE", "MADV_HUGEPAGE"].filter { name in names.contains { $0.name == name } }
        guard !advice.isEmpty else { return nil }
        return Step(
            operation,
            [base, .value(table * pageSize), .value(names.value(random.chance(75) ? advice[0] : random.pick(advice)))])
    }
}

// MARK: - Locked memory

extension Draft {
    /// All of a mapping that has room for a huge page, which is locked and unlocked as a whole: a part of it would
    /// have to be split off.
    private mutating func drawWholeLock(_ operation: Operation, _ process: Int) -> Step? {
        guard let (_, mapping) = drawTableInUse(process), random.chance(50) else { return nil }
        var step = Step(operation, [mapping.base, .value(mapping.pages * pageSize)])
        if let names = operation.flags { step.arguments.append(.value(random.chance(50) ? names.onFault : 0)) }
        return step
    }

    /// Locks are not inherited, so a child of somebody who has locked memory mostly locks it, too, perhaps only what it
    /// will touch.
    mutating func drawLockOfChild(after steps: [SetupStep]) -> SetupStep? {
        guard let fork = steps.last?.step, let number = fork.operation.createdProcess,
            case .value(let child) = fork.arguments[number],
            let lock = steps.last(where: { $0.performer == .process(0) && $0.step.operation.locks })?.step,
            random.chance(70)
        else { return nil }
        return SetupStep(.process(child), random.chance(50) ? lock : onFault(lock) ?? lock)
    }

    /// The same for pages that are there, and later for those that are touched.
    private func onFault(_ lock: Step) -> Step? {
        if let names = lock.operation.flags, case .value(let flags)? = lock.arguments.last {
            var step = lock
            step.arguments[step.arguments.count - 1] = .value(flags | names.onFault)
            return step
        }
        guard let mlock2 = generator.vocabulary[KnownOperation.mlock2], let names = mlock2.flags else { return nil }
        return Step(mlock2, lock.arguments + [.value(names.onFault)])
    }
}

extension [NamedValue] {
    fileprivate var onFault: Int { first { $0.name.hasSuffix("ONFAULT") }?.value ?? 0 }
}

// MARK: - userfaultfd

extension Draft {
    /// As a monitor begins: nothing is in the range, or all of it is write-protected.
    mutating func drawWatch(_ process: Int) -> [Step] {
        guard let register = generator.vocabulary[KnownOperation.register],
            let step = drawRegister(register, process)
        else { return [] }
        noteWatch(step, process)
        guard let watch = spaces[process]?.watched.last else { return [step] }
        // Where steps meet.
        if case .value(let address) = watch.base { hotPage = address / pageSize + random.below(watch.pages) }
        let range = [watch.base, .value(watch.pages * pageSize)]
        if watch.modes != ["WP"], let madvise = generator.vocabulary[KnownOperation.madvise],
            let names = madvise.choice, random.chance(80)
        {
            // The pages of a shared file stay in the page cache, where MINOR finds them and MISSING does not.
            let isShared = spaces[process]?.mappings.contains { $0.contains(watch.base) && $0.isShared } ?? false
            let advice = isShared && watch.modes.contains("MISSING") ? "MADV_REMOVE" : "MADV_DONTNEED"
            let write = watch.modes.contains("MINOR") ? generator.vocabulary[KnownOperation.write] : nil
            let writes = write.map { [Step($0, [.value(hotPage * pageSize)])] } ?? []
            return writes + [Step(madvise, range + [.value(names.value(advice))]), step]
        }
        if watch.modes.contains("WP"), let protect = generator.vocabulary[KnownOperation.writeProtect],
            let names = protect.flags, random.chance(60)
        {
            return [step, Step(protect, range + [.value(names.value("WP"))])]
        }
        return [step]
    }

    /// What a monitor does about what it watches, mostly.
    mutating func drawAnswer(_ process: Int) -> [Step] {
        guard let watch = spaces[process]?.watched.last, random.chance(70) else { return [] }
        let answers = candidates(for: .process).filter {
            KnownOperation.answers.contains($0.operation.name) && watch.isFor($0.operation)
        }
        guard !answers.isEmpty else { return [] }
        return [drawStep(answers[random.weighted(answers.map(\.weight))].operation, .process(process))]
    }

    private mutating func drawRegister(_ operation: Operation, _ process: Int) -> Step? {
        guard operation.parameters.count == 3, let names = operation.flags,
            let mappings = spaces[process]?.mappings, !mappings.isEmpty
        else { return nil }
        var modes = random.draw([(["MISSING"], 40), (["WP"], 20), (["MISSING", "WP"], 15), (["MINOR"], 25)])
        let suitable = mappings.filter { mapping in
            let isInMemory = mapping.file.map { machine.files[$0].kind == .shmem } ?? !modes.contains("MINOR")
            return isInMemory && (mapping.isShared || !modes.contains("MINOR"))
        }
        let mapping = random.pick(suitable.isEmpty || random.chance(5) ? mappings : suitable)
        let first = random.chance(70) ? 0 : random.below(mapping.pages)
        let pages = random.chance(70) ? mapping.pages - first : 1 + random.below(mapping.pages - first)
        if suitable.isEmpty && modes == ["MINOR"] { modes = ["MISSING"] }
        if random.chance(8) { modes.append("SIGBUS") }
        return Step(
            operation,
            [mapping.base.advanced(pages: first), .value(pages * pageSize), .value(names.value(modes))])
    }

    func modes(of step: Step) -> [String] {
        guard case .value(let modes)? = step.arguments.last else { return [] }
        return (step.operation.flags ?? []).filter { $0.value & modes != 0 }.map(\.name)
    }

    mutating func noteWatch(_ step: Step, _ process: Int) {
        guard let (base, pages) = step.arguments.range(at: 0) else { return }
        let watch = AddressSpaceSketch.Watch(base: base, pages: pages, modes: modes(of: step))
        spaces[process]?.watched.append(watch)
    }

    /// Where a range is watched for what the step does, mostly one page.
    private mutating func drawWatched(_ operation: Operation, _ process: Int) -> Step? {
        guard let watched = spaces[process]?.watched, !watched.isEmpty else { return nil }
        let fitting = watched.filter { $0.isFor(operation) }
        let watch = random.pick(fitting.isEmpty ? watched : fitting)
        var page = random.below(watch.pages)
        if let hot = Argument.value(hotPage * pageSize).pages(from: watch.base), 0..<watch.pages ~= hot,
            random.chance(50)
        {
            page = hot
        }
        var pages = random.chance(70) ? 1 : 1 + random.below(watch.pages - page)
        if operation.name == KnownOperation.unregister && random.chance(50) { (page, pages) = (0, watch.pages) }
        var step = Step(operation, [watch.base.advanced(pages: page), .value(pages * pageSize)])
        if let names = operation.flags { step.arguments.append(.value(drawMode(operation, names, watch))) }
        return step.arguments.count == operation.parameters.count ? step : nil
    }

    private mutating func drawMode(
        _ operation: Operation, _ names: [NamedValue], _ watch: AddressSpaceSketch.Watch
    ) -> Int {
        let protects = operation.name == KnownOperation.writeProtect ? 60 : watch.modes.contains("WP") ? 40 : 3
        var words = random.chance(protects) ? ["WP"] : []
        if random.chance(8) && words.isEmpty { words.append("DONTWAKE") }
        return names.value(words)
    }
}

extension AddressSpaceSketch.Watch {
    /// Whether the operation is an answer to what is watched for.
    func isFor(_ operation: Operation) -> Bool {
        switch operation.name {
        case "uffd_copy", "uffd_zeropage": modes.contains("MISSING")
        case "uffd_continue": modes.contains("MINOR")
        case KnownOperation.writeProtect: modes.contains("WP")
        default: true
        }
    }
}

extension Operation {
    fileprivate var locks: Bool { KnownOperation.locks.contains(name) }

    /// The flags that its last argument has.
    fileprivate var flags: [NamedValue]? {
        if case .flags(let names)? = parameters.last?.domain { names } else { nil }
    }

    fileprivate var choice: [NamedValue]? {
        if case .choice(let names)? = parameters.last?.domain { names } else { nil }
    }
}

extension [NamedValue] {
    fileprivate func value(_ names: [String]) -> Int {
        names.reduce(0) { $0 | value($1) }
    }
}
