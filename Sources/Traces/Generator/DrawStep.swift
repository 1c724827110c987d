// SPDX-License-Identifier: GPL-2.0-only
// The arguments of a random step, and what the step does to the address space.

import KernelModel

/// What earlier arguments of a step were, for those that go with them.
private struct StepContext {
    var operation: Operation
    var performer: Performer
    /// Where the address points to.
    var target: AddressSpaceSketch.Mapping?
    var pageInTarget = 0
    var file: Int?
}

extension Draft {
    mutating func drawStep(_ operation: Operation, _ performer: Performer) -> Step {
        if let step = drawHabit(operation, performer) {
            apply(step, performer)
            return step
        }
        switch operation.name {
        case KnownOperation.mmap: return drawMapping(operation, performer)
        case KnownOperation.mremap: return drawMove(operation, performer)
        default: break
        }
        var context = StepContext(operation: operation, performer: performer)
        var step = Step(operation, [])
        for (number, parameter) in operation.parameters.enumerated() {
            step.arguments.append(
                operation.createdProcess == number
                    ? .value(spaces.firstIndex { $0 == nil } ?? 0) : draw(parameter.domain, &context))
        }
        if operation.name == KnownOperation.madvise { aimAtWholeTables(&step, performer) }
        apply(step, performer)
        return step
    }

    private mutating func draw(_ domain: Domain, _ context: inout StepContext) -> Argument {
        switch domain {
        case .address: return drawAddress(&context)
        case .length: return .value(drawLength(context))
        case .process:
            let process = random.pick(context.performer == .device ? admitting(context.operation) : processes)
            // Later addresses are that process's.
            context.performer = .process(process)
            return .value(process)
        case .file(let optional):
            context.file =
                machine.files.isEmpty || (optional && random.chance(20)) ? nil : random.below(machine.files.count)
            return .value(context.file ?? noFile)
        case .pageOffset: return .value(random.below((context.file.map { machine.files[$0].size } ?? 2) + 1))
        case .flags(let names): return .value(drawFlags(names))
        case .choice(let names):
            guard let weights = generator.weights(of: names, in: context.operation) else {
                return .value(random.pick(names).value)
            }
            return .value(names[random.weighted(weights)].value)
        case .node: return .value(random.below(machine.nodes))
        case .cpu: return .value(random.below(machine.cpus))
        case .number(let range): return .value(range.lowerBound + random.below(min(range.count, 16)))
        }
    }

    /// Mostly one, since most combinations are refused.
    private mutating func drawFlags(_ names: [NamedValue]) -> Int {
        guard !names.isEmpty else { return 0 }
        var flags = random.chance(15) ? 0 : random.pick(names).value
        if random.chance(25) { flags |= random.pick(names).value }
        return flags
    }
}

// MARK: - Addresses

extension Draft {
    /// Pages that a process can have, from the first one on.
    private var userPages: Range<Int> {
        machine.ptrsPerPte..<machine.ptrsPerPte * machine.ptrsPerPmd
    }

    /// A page of the first mapping: where the others meet.
    mutating func drawHotPage() -> Int {
        for mapping in spaces[0]?.mappings ?? [] {
            if case .value(let address) = mapping.base { return address / pageSize + random.below(mapping.pages) }
        }
        return userPages.lowerBound + random.below(userPages.count)
    }

    private mutating func drawAddress(_ context: inout StepContext) -> Argument {
        let space = context.performer.process.flatMap { spaces[$0] }
        if context.operation.admission == KnownOperation.pin, let pinned = space?.pinned, !pinned.isEmpty {
            return random.pick(pinned)
        }
        guard let mappings = space?.mappings, !mappings.isEmpty, !random.chance(3) else {
            return .value((userPages.lowerBound + random.below(userPages.count)) * pageSize)
        }
        let suitable = mappings.filter { isSuitable($0, context.operation) }
        let hot = Argument.value(hotPage * pageSize)
        let target: AddressSpaceSketch.Mapping
        if let meeting = suitable.first(where: { $0.contains(hot) }), random.chance(35) {
            target = meeting
            context.pageInTarget = hot.pages(from: target.base)!
        } else {
            target = random.pick(suitable.isEmpty || random.chance(8) ? mappings : suitable)
            context.pageInTarget = drawPage(in: target)
        }
        context.target = target
        context.file = target.file
        let address = target.base.advanced(pages: context.pageInTarget)
        return random.chance(2) ? address.advanced(bytes: random.pick([1, 0x800, 0xfff])) : address
    }

    /// Whether an access can succeed.
    private func isSuitable(_ mapping: AddressSpaceSketch.Mapping, _ operation: Operation) -> Bool {
        switch operation.name {
        case KnownOperation.read, KnownOperation.pin: mapping.isReadable && mapping.usablePages > 0
        case KnownOperation.write: mapping.isWritable && mapping.usablePages > 0
        default: true
        }
    }

    /// Which page of a mapping: mostly its first or any, sometimes one just outside.
    private mutating func drawPage(in mapping: AddressSpaceSketch.Mapping) -> Int {
        let pages = max(mapping.usablePages, 1)
        switch random.weighted([40, 30, 15, 10, 3, 2]) {
        case 0: return 0
        case 1: return random.below(pages)
        case 2: return pages - 1
        case 3: return firstOfTable(in: mapping)
        case 4: return mapping.pages
        default: return -1
        }
    }

    /// The first page of a mapping that lies in another page table than the one before it.
    private func firstOfTable(in mapping: AddressSpaceSketch.Mapping) -> Int {
        guard case .value(let address) = mapping.base else { return 0 }
        let page = (machine.ptrsPerPte - address / pageSize % machine.ptrsPerPte) % machine.ptrsPerPte
        return page < mapping.pages ? page : 0
    }

    private mutating func drawLength(_ context: StepContext) -> Int {
        let left = max((context.target?.pages ?? 1) - context.pageInTarget, 1)
        switch random.weighted([37, 27, 8, 15, 5, 4, 2, 2]) {
        case 0: return pageSize
        case 1: return left * pageSize
        case 2: return min(left, 2) * pageSize
        case 3: return (1 + random.below(left)) * pageSize
        case 4: return (left + 1) * pageSize
        case 5: return machine.ptrsPerPte * pageSize
        case 6: return random.pick([1, 0x800, 0x1001])
        default: return 0
        }
    }
}

// MARK: - Mappings

extension Draft {
    /// A mapping that the kernel mostly accepts, in a place that says something: across the border of two page
    /// tables, a whole table, next to or over what is there.
    private mutating func drawMapping(_ operation: Operation, _ performer: Performer) -> Step {
        let file = machine.files.isEmpty || random.chance(45) ? nil : random.below(machine.files.count)
        let (page, pages) = drawRange(performer, file.map { machine.files[$0] })
        let isFixed = random.chance(80)
        var offset = 0
        var (isReadable, isWritable, isShared) = (true, true, false)
        var step = Step(operation, [])
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address: step.arguments.append(.value(isFixed ? page * pageSize : 0))
            case .length: step.arguments.append(.value(pages * pageSize))
            case .file: step.arguments.append(.value(file ?? noFile))
            case .pageOffset:
                offset = file == nil || random.chance(80) ? 0 : random.below(4)
                step.arguments.append(.value(offset))
            case .flags(let names) where names.contains { $0.name == "PROT_READ" }:
                let protection = drawProtection(names)
                isReadable = protection & names.value("PROT_READ") != 0
                isWritable = protection & names.value("PROT_WRITE") != 0
                step.arguments.append(.value(protection))
            case .flags(let names):
                let flags = drawMapFlags(names, anonymous: file == nil, fixed: isFixed)
                isShared = flags & names.value("MAP_SHARED") != 0
                step.arguments.append(.value(flags))
            default:
                var context = StepContext(operation: operation, performer: performer)
                step.arguments.append(draw(parameter.domain, &context))
            }
        }
        if !isFixed { step.result = nameResult() }
        if let process = performer.process {
            let base: Argument = step.result.map { .result($0, offset: 0) } ?? .value(page * pageSize)
            spaces[process]?.map(
                AddressSpaceSketch.Mapping(
                    base: base, pages: pages, file: file, isReadable: isReadable, isWritable: isWritable,
                    isShared: isShared, usablePages: file.map { max(machine.files[$0].size - offset, 0) }))
        }
        return step
    }

    /// MADV_HUGEPAGE for the newest mapping of process 0, if that is anonymous and has room for a huge page.
    func adviceForHugePages() -> Step? {
        guard let mapping = spaces[0]?.mappings.last, mapping.file == nil || generator.habits.collapse,
            case .value(let address) = mapping.base,
            case let first = (address / pageSize + machine.ptrsPerPte - 1) / machine.ptrsPerPte * machine.ptrsPerPte,
            first + machine.ptrsPerPte <= address / pageSize + mapping.pages,
            let madvise = generator.vocabulary[KnownOperation.madvise], madvise.parameters.count == 3,
            case .choice(let advices) = madvise.parameters[2].domain
        else { return nil }
        let advice = Argument.value(advices.value("MADV_HUGEPAGE"))
        return Step(madvise, [.value(address), .value(mapping.pages * pageSize), advice])
    }

    /// MADV_COLLAPSE does nothing to a part of a page table: mostly, it gets a whole one.
    private mutating func aimAtWholeTables(_ step: inout Step, _ performer: Performer) {
        guard let collapse = generator.collapseAdvice, step.arguments.last == .value(collapse), !random.chance(15),
            let mappings = performer.process.flatMap({ spaces[$0] })?.mappings
        else { return }
        let tables = mappings.compactMap { wholeTable(in: $0) }
        guard !tables.isEmpty else { return }
        step.arguments[0] = .value(random.pick(tables) * pageSize)
        step.arguments[1] = .value(machine.ptrsPerPte * pageSize)
    }

    /// The first page of a mapping whose page table lies within it as a whole.
    private func wholeTable(in mapping: AddressSpaceSketch.Mapping) -> Int? {
        guard case .value(let address) = mapping.base else { return nil }
        let table = machine.ptrsPerPte
        let first = (address / pageSize + table - 1) / table * table
        return first + table <= address / pageSize + mapping.pages ? first : nil
    }

    private mutating func drawRange(_ performer: Performer, _ file: MachineShape.File?) -> (page: Int, pages: Int) {
        let table = machine.ptrsPerPte
        let border = (1 + random.below(machine.ptrsPerPmd - 1)) * table
        // Huge pages only fit where a whole table does.
        if let file, file.huge || file.size == table && generator.collapseAdvice != nil, random.chance(60) {
            return (border, table)
        }
        var page: Int
        var pages = 1 + random.below(4)
        switch random.weighted([35, 30, 20, 15]) {
        case 0 where border > table:
            let before = 1 + random.below(3)
            (page, pages) = (border - before, before + 1 + random.below(3))
        case 1: (page, pages) = (border, table)
        case 2: page = nextTo(performer) ?? border
        default:
            page = border + random.below(table)
            // A file as a whole, wherever: where it can be huge, no huge page fits.
            if let file { pages = max(pages, file.size) }
        }
        // Mostly not beyond the end of the file.
        if let file, random.chance(75) { pages = min(pages, file.size) }
        page = min(page, userPages.upperBound - 1)
        return (page, min(pages, userPages.upperBound - page))
    }

    /// The end of a mapping, or the last page of it.
    private mutating func nextTo(_ performer: Performer) -> Int? {
        guard let mappings = performer.process.flatMap({ spaces[$0] })?.mappings, !mappings.isEmpty,
            case let mapping = random.pick(mappings), case .value(let address) = mapping.base
        else { return nil }
        return address / pageSize + mapping.pages - (random.chance(30) ? 1 : 0)
    }

    private mutating func drawProtection(_ names: [NamedValue]) -> Int {
        let (read, write) = (names.value("PROT_READ"), names.value("PROT_WRITE"))
        return random.draw([(read | write, 80), (read, 15), (0, 5)])
    }

    private mutating func drawMapFlags(_ names: [NamedValue], anonymous: Bool, fixed: Bool) -> Int {
        let isShared = !anonymous && random.chance(70)
        var flags = names.value(isShared ? "MAP_SHARED" : "MAP_PRIVATE")
        if anonymous { flags |= names.value("MAP_ANONYMOUS") }
        if fixed { flags |= names.value("MAP_FIXED") }
        let decided = ["MAP_SHARED", "MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_FIXED", "MAP_FIXED_NOREPLACE"]
        for name in names where !decided.contains(name.name) {
            if random.chance(min(8 * generator.weight(of: name, in: KnownOperation.mmap), 90)) { flags |= name.value }
        }
        return flags
    }

    /// A part of a mapping goes elsewhere, mostly to a place of its own.
    private mutating func drawMove(_ operation: Operation, _ performer: Performer) -> Step {
        var context = StepContext(operation: operation, performer: performer)
        let old = drawAddress(&context)
        let left = max((context.target?.pages ?? 1) - context.pageInTarget, 1)
        let oldPages = random.chance(60) ? left : 1 + random.below(left)
        let newPages = random.draw([(oldPages, 60), (oldPages + 1, 20), (max(oldPages - 1, 1), 20)])
        let place = (userPages.lowerBound + random.below(userPages.count - min(newPages, userPages.count - 1)))
        let moves = random.chance(50)
        var step = Step(operation, [])
        var addresses = [old, .value(moves ? place * pageSize : 0)]
        var lengths = [oldPages, newPages]
        for parameter in operation.parameters {
            switch parameter.domain {
            case .address where !addresses.isEmpty: step.arguments.append(addresses.removeFirst())
            case .length where !lengths.isEmpty: step.arguments.append(.value(lengths.removeFirst() * pageSize))
            case .flags(let names):
                var flags = moves || random.chance(70) ? names.value("MREMAP_MAYMOVE") : 0
                if moves { flags |= names.value("MREMAP_FIXED") }
                if random.chance(8) { flags |= names.value("MREMAP_DONTUNMAP") }
                step.arguments.append(.value(flags))
            default: step.arguments.append(draw(parameter.domain, &context))
            }
        }
        if !moves { step.result = nameResult() }
        if let process = performer.process {
            let base: Argument = step.result.map { .result($0, offset: 0) } ?? .value(place * pageSize)
            spaces[process]?.unmap(old, pages: oldPages)
            var moved = context.target?.part(from: max(context.pageInTarget, 0), pages: newPages)
            moved?.base = base
            spaces[process]?.map(moved ?? AddressSpaceSketch.Mapping(base: base, pages: newPages))
        }
        return step
    }

    /// What a step other than a mapping does to the sketch.
    private mutating func apply(_ step: Step, _ performer: Performer) {
        guard let process = performer.process else { return }
        switch step.operation.name {
        case KnownOperation.fork:
            if case .value(let child)? = step.operation.createdProcess.map({ step.arguments[$0] }) {
                spaces[child] = spaces[process]
                spaces[child]?.pinned = []
                spaces[child]?.watched = []
            }
        case KnownOperation.munmap:
            guard let (address, length) = step.arguments.range(at: 0) else { return }
            spaces[process]?.unmap(address, pages: length)
        case KnownOperation.register: noteWatch(step, process)
        case KnownOperation.close: spaces[process]?.watched = []
        case KnownOperation.pin: spaces[process]?.pinned.append(step.arguments[0])
        case let name where step.operation.admits: admissions.append((name, process))
        default: break
        }
    }
}

extension [Argument] {
    /// The argument at an index and, in whole pages, the length behind it.
    func range(at index: Int) -> (address: Argument, pages: Int)? {
        guard index + 1 < count, case .value(let length) = self[index + 1], length > 0 else { return nil }
        return (self[index], (length - 1) / pageSize + 1)
    }
}

extension [NamedValue] {
    func value(_ name: String) -> Int {
        first { $0.name == name }?.value ?? 0
    }
}
