// SPDX-License-Identifier: GPL-2.0-only
// The state of a machine at rest, told in an order and with names that hold for any arena: pages, swap
// slots and objects are numbered by first use.  One walk serves the hash that is compared for each
// schedule and the text that a report shows.

import CKernel
import Simulation

/// Receives the state of a machine, field by field.
public protocol StateVisitor {
    /// Begins the description of one thing: a process, a vma, a page.
    mutating func enter(_ kind: StaticString, _ key: UInt64)
    mutating func leave()
    mutating func field(_ name: StaticString, _ value: UInt64, _ format: StateFormat)
    /// What it does not want to be told.
    var claimed: ClaimableFields { get }
}

extension StateVisitor {
    public var claimed: ClaimableFields { [] }
}

/// How a field's value reads.
public enum StateFormat: UInt8, Sendable {
    case number, address, vmFlags, pageFlags, lru, token, page, pteFlags, pteMarker
}

extension StateVisitor {
    mutating func number(_ name: StaticString, _ value: Int) {
        field(name, UInt64(bitPattern: Int64(value)), .number)
    }
}

/// Hashes what it is told.
public struct StateHash: StateVisitor {
    public private(set) var value: UInt64 = 0x6d6d_6469_6666
    public let claimed: ClaimableFields

    /// - Parameter claimed: fields to leave out.
    public init(without claimed: ClaimableFields = []) { self.claimed = claimed }

    @inline(__always)
    public mutating func enter(_ kind: StaticString, _ key: UInt64) {
        value = (value ^ key) &* 0x9e37_79b9_7f4a_7c15 ^ (value >> 29)
    }

    @inline(__always)
    public mutating func leave() {
        value = value &+ 0xd6e8_feb8_6659_fd93
    }

    @inline(__always)
    public mutating func field(_ name: StaticString, _ field: UInt64, _ format: StateFormat) {
        value = (value ^ field) &* 0x9e37_79b9_7f4a_7c15 ^ (value >> 31)
    }
}

/// Tells `visitor` the state of the machine: what user space could see, and what the kernel keeps.
public func visitState<Visitor: StateVisitor>(_ visitor: inout Visitor) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(kernel.nr_pages)) { names in
        names.initialize(repeating: 0)
        var walk = StateWalk(names: names.baseAddress!)
        for number in 0..<Int(MAX_MMS) {
            if let mm = kernel.mm_slot(number).pointee { walk.process(mm, &visitor) }
        }
        for number in 0..<Int(kernel.nr_files) { walk.file(kernel.file(number), &visitor) }
        walk.swap(&visitor)
        walk.devices(&visitor)
        walk.pages(&visitor)
    }
    visitor.enter("counters", 0)
    for item in 0..<Int(NR_VM_NODE_STAT_ITEMS.rawValue) {
        let claimable = ClaimableFields.counter(item)
        if !claimable.isEmpty && visitor.claimed.contains(claimable) { continue }
        visitor.number(nodeStatName(item), kernel.stat(item).pointee)
    }
    visitor.leave()
}

/// One walk, with the names it has given so far: page `pfn` is number `names[pfn]`, 0 for not met yet.
private struct StateWalk {
    let names: UnsafeMutablePointer<UInt8>
    var named: UInt8 = 0

    mutating func name(_ page: page) -> UInt64 {
        let pfn = Int(page_to_pfn(page))
        if names[pfn] == 0 {
            named += 1
            names[pfn] = named
        }
        return UInt64(names[pfn])
    }

    // MARK: Processes

    mutating func process<Visitor: StateVisitor>(_ mm: mm_struct, _ visitor: inout Visitor) {
        visitor.enter("process", UInt64(mm.number))
        visitor.number("locked_vm", Int(mm.locked_vm))
        visitor.number("total_vm", Int(mm.total_vm))
        visitor.number("map_count", Int(mm.map_count))
        if !visitor.claimed.contains(.nr_ptes) { visitor.number("nr_ptes", Int(mm.nr_ptes)) }
        visitor.field("def_flags", UInt64(mm.def_flags), .vmFlags)
        if !visitor.claimed.contains(.file_rss) {
            visitor.number("file_rss", mm.rss(Int(MM_FILEPAGES.rawValue)).pointee)
        }
        visitor.number("anon_rss", mm.rss(Int(MM_ANONPAGES.rawValue)).pointee)
        visitor.number("swap_rss", mm.rss(Int(MM_SWAPENTS.rawValue)).pointee)
        if !visitor.claimed.contains(.shmem_rss) {
            visitor.number("shmem_rss", mm.rss(Int(MM_SHMEMPAGES.rawValue)).pointee)
        }
        if !visitor.claimed.contains(.pte_mapped_thp), let mm_slot = get_mm_slot(mm) {
            for number in 0..<Int(mm_slot.nr_pte_mapped_thp) {
                visitor.enter("pte_mapped_thp", UInt64(mm_slot.address(number).pointee))
                visitor.leave()
            }
        }
        var next = mm.mmap
        while let vma = next {
            area(vma, &visitor)
            next = vma.vm_next
        }
        visitor.leave()
    }

    private mutating func area<Visitor: StateVisitor>(_ vma: vm_area_struct, _ visitor: inout Visitor) {
        visitor.enter("vma", UInt64(vma.vm_start))
        visitor.field("vm_end", UInt64(vma.vm_end), .address)
        visitor.field("vm_flags", UInt64(vma.vm_flags), .vmFlags)
        visitor.number("vm_pgoff", Int(vma.vm_pgoff))
        visitor.number("vm_file", vma.vm_file.map { Int($0.number) } ?? -1)
        visitor.number("anon_vma", vma.anon_vma == nil ? 0 : 1)
        var address = vma.vm_start
        while address < vma.vm_end {
            let pmd = pmd_offset(vma.vm_mm, address).pointee
            if pmd_is_table(pmd) {
                entry(address, pte_offset_map(pmd_offset(vma.vm_mm, address), address).pointee, &visitor)
                address += PAGE_SIZE
            } else {
                if !pmd_none(pmd) { hugeEntry(address, pmd, &visitor) }
                address = (address + PMD_SIZE()) & PMD_MASK()
            }
        }
        visitor.leave()
    }

    private mutating func entry<Visitor: StateVisitor>(
        _ address: UInt, _ pte: pte_t, _ visitor: inout Visitor
    ) {
        if pte_none(pte) { return }
        if visitor.claimed.contains(.pte) && pte_present(pte) && !PageAnon(pte_page(pte)) { return }
        visitor.enter("pte", UInt64(address))
        if pte_present(pte) {
            visitor.field("page", name(pte_page(pte)), .page)
            visitor.field("flags", UInt64(pte.pte) & (UInt64(PAGE_SIZE) - 1), .pteFlags)
        } else {
            let entry = pte_to_swp_entry(pte)
            if is_pte_marker_entry(entry) {
                visitor.field("marker", UInt64(pte_marker_get(entry)), .pteMarker)
            } else if is_migration_entry(entry) {
                visitor.field("migrates", name(migration_entry_to_page(entry)), .page)
            } else {
                visitor.number("swap_slot", Int(swp_offset(entry)))
            }
            if pte_swp_uffd_wp(pte) { visitor.field("flags", UInt64(_PAGE_UFFD_WP), .pteFlags) }
        }
        visitor.leave()
    }

    private mutating func hugeEntry<Visitor: StateVisitor>(
        _ address: UInt, _ pmd: pmd_t, _ visitor: inout Visitor
    ) {
        if visitor.claimed.contains(.pmd) && pmd_present(pmd) && !PageAnon(pmd_page(pmd)) { return }
        visitor.enter("pmd", UInt64(address & PMD_MASK()))
        if pmd_present(pmd) {
            visitor.field("page", name(pmd_page(pmd)), .page)
            visitor.field("flags", UInt64(pmd.pmd) & (UInt64(PAGE_SIZE) - 1), .pteFlags)
        } else {
            visitor.field("migrates", name(migration_entry_to_page(pmd_to_swp_entry(pmd))), .page)
            if pmd_swp_uffd_wp(pmd) { visitor.field("flags", UInt64(_PAGE_UFFD_WP), .pteFlags) }
        }
        visitor.leave()
    }

    // MARK: Caches and devices

    mutating func file<Visitor: StateVisitor>(_ mapping: address_space, _ visitor: inout Visitor) {
        visitor.enter("file", UInt64(mapping.number))
        visitor.number("i_size", Int(mapping.i_size))
        visitor.number("nrpages", Int(mapping.nrpages))
        visitor.field("flags", UInt64(mapping.as_flags), .number)
        for index in 0..<Int(MAX_FILE_PAGES) {
            let slot = mapping.slot(index).pointee
            if slot == 0 { continue }
            visitor.enter("index", UInt64(index))
            if slot & 1 != 0 {
                visitor.number("swap_slot", Int(swp_offset(swp_entry_t(val: slot & ~1))))
            } else {
                visitor.field("page", name(unsafeBitCast(slot, to: page.self)), .page)
            }
            visitor.leave()
        }
        if mapping.kind == UInt8(MAPPING_FILE.rawValue) {
            for index in 0..<Int(mapping.i_size) {
                visitor.field("disk", mapping.disk(index).pointee, .token)
            }
        }
        visitor.leave()
    }

    mutating func swap<Visitor: StateVisitor>(_ visitor: inout Visitor) {
        for slot in 1..<max(Int(kernel.swap_info.max), 1) where kernel.swap_info.users(slot).pointee != 0 {
            visitor.enter("swap", UInt64(slot))
            visitor.number("swap_map", Int(kernel.swap_info.users(slot).pointee))
            let cached = kernel.swap_info.slot(slot).pointee
            if cached != 0 { visitor.field("page", name(unsafeBitCast(cached, to: page.self)), .page) }
            visitor.leave()
        }
    }

    mutating func devices<Visitor: StateVisitor>(_ visitor: inout Visitor) {
        for number in 0..<Int(MAX_MMS) {
            guard let device = kernel.secondary_mmu_slot(number).pointee else { continue }
            visitor.enter("device", UInt64(number))
            for index in 0..<Int(SECONDARY_MMU_ENTRIES) {
                let entry = device.entry(index).pointee
                if entry.address == 0 { continue }
                visitor.enter("entry", UInt64(entry.address))
                // Of a huge page that a pmd maps, only the head has a name before.
                let page = pfn_to_page(entry.pfn)
                let head = compound_head(page)
                visitor.field("page", name(head), .page)
                if page !== head { visitor.number("part", Int(page_to_pfn(page) - page_to_pfn(head))) }
                visitor.number("write", Int(entry.write))
                visitor.leave()
            }
            visitor.leave()
        }
        for number in 0..<Int(MAX_PINS) {
            guard let page = kernel.pin(number).pointee.page else { continue }
            visitor.enter("pin", UInt64(number))
            visitor.field("page", name(page), .page)
            visitor.leave()
        }
    }

    // MARK: Pages

    /// Pages in the order of their names; then those in use that nothing above has named.
    mutating func pages<Visitor: StateVisitor>(_ visitor: inout Visitor) {
        let count = Int(kernel.nr_pages)
        var order: UInt8 = 1
        while order <= named {
            for pfn in 0..<count where names[pfn] == order {
                one(pfn_to_page(UInt(pfn)), UInt64(order), &visitor)
            }
            order += 1
        }
        var strays = 0
        for pfn in 0..<count where names[pfn] == 0 && pfn_to_page(UInt(pfn))._refcount != 0 { strays += 1 }
        visitor.number("unreachable_pages", strays)
    }

    private func one<Visitor: StateVisitor>(_ page: page, _ number: UInt64, _ visitor: inout Visitor) {
        visitor.enter("page", number)
        visitor.field("flags", UInt64(page.flags), .pageFlags)
        let claimed = PageAnon(page) ? [] : visitor.claimed
        if !claimed.contains(.refcount) { visitor.number("refcount", Int(page._refcount)) }
        if !claimed.contains(.mapcount) { visitor.number("mapcount", Int(page._mapcount) + 1) }
        if PageHead(page) && !claimed.contains(.compound_mapcount) {
            visitor.number("compound_mapcount", Int(page.compound_mapcount) + 1)
        }
        visitor.field("lru", PageLRU(page) ? UInt64(page_lru(page).rawValue) : UInt64(NR_LRU_LISTS.rawValue), .lru)
        // Off the list, and in tails, the kernel has no room for it.
        if ops.rules & RULE_MLOCK_COUNT != 0 && PageLRU(page) && PageUnevictable(page) && !PageTail(page) {
            visitor.number("mlock_count", Int(page.mlock_count))
        }
        visitor.field("contents", page.contents, .token)
        visitor.leave()
    }
}
