// SPDX-License-Identifier: GPL-2.0-only
// The page allocator.  Source: Linux v5.13, mm/page_alloc.c.
//
// Modelled: lists of free pages per CPU, last freed first reused; two orders of blocks in a node (a base page,
// a huge page) with break-up and merge; direct reclaim, direct compaction and the drain of all CPUs when
// nothing is left; the checks for bad pages at free and at allocation.
// Left out: watermarks and reserves (an allocation fails when nothing is left, and kswapd is a task of its own);
// what the OOM killer does besides sending a signal; migrate types and cpusets, which only choose among free
// pages; zone->lock, because what it protects is one step here.  A node has one zone: ZONE_NORMAL, or ZONE_MOVABLE
// (a node of the boot parameter movable_node).

import CKernel
import Simulation

/// What a free page holds (CONFIG_PAGE_POISONING): who still reads one sees it.
public let PAGE_POISON: UInt64 = 0xaaaa_aaaa_aaaa_aaaa

/// Pages moved at a time between a CPU's list and its node.
private var pcp_batch: Int { Int(HPAGE_PMD_NR()) / 2 }

/// A CPU keeps fewer free pages of a node than this.
private var pcp_high: Int { Int(HPAGE_PMD_NR()) + pcp_batch }

/// How often an allocation reclaims without progress (the kernel: 16).
private let MAX_RECLAIM_RETRIES = 2

func install_page_alloc(_ ops: kernel_ops) {
    // By closures: Swift gives a function of this name the calling convention of an Objective-C allocator.
    ops.alloc_pages = { alloc_pages($0, $1) }
    ops.alloc_pages_node = { alloc_pages_node($0, $1, $2) }
    ops.free_unref_page = free_unref_page
    ops.free_compound_page = free_compound_page
}

// MARK: - Boot

/// Gives each node its share of all pages, free: whole blocks first, the rest one by one.
///
/// - Parameter permutation: 0 for the natural order of first use; otherwise another one.
/// Linux v5.13, mm/page_alloc.c, free_area_init() and memblock_free_all().
public func page_alloc_init(permutation: UInt64) {
    for nid in 0..<Int(kernel.nr_nodes) {
        let node = kernel.node(nid)
        node.nid = Int32(nid)
        node.nr_free = 0
        INIT_LIST_HEAD(node.free_area)
        INIT_LIST_HEAD(node.free_list)
    }
    for cpu in 0..<Int(kernel.nr_cpus) { INIT_LIST_HEAD(kernel.cpu(cpu).pcp) }
    for pfn in 0..<Int(kernel.nr_pages) { initializePage(pfn) }

    let block = Int(HPAGE_PMD_NR())
    let blocks = (Int(kernel.nr_pages) + block - 1) / block
    var random = Random(seed: permutation)
    kernel.break_up_order = permutation == 0 ? 0 : UInt8(random.below(block))
    // A random walk over the blocks: each step takes one that is not taken yet.
    var taken: UInt64 = 0
    for position in 0..<blocks {
        var choice = permutation == 0 ? 0 : random.below(blocks - position)
        var index = 0
        while taken & 1 << UInt64(index) != 0 || choice > 0 {
            if taken & 1 << UInt64(index) == 0 { choice -= 1 }
            index += 1
        }
        taken |= 1 << UInt64(index)
        for pfn in index * block..<min((index + 1) * block, Int(kernel.nr_pages)) {
            free_one_page(pfn_to_page(UInt(pfn)), tail: true)
        }
    }
}

private func initializePage(_ pfn: Int) {
    let page = pfn_to_page(UInt(pfn))
    let block = Int(HPAGE_PMD_NR())
    let blocks = (Int(kernel.nr_pages) + block - 1) / block
    page.nid = UInt8(pfn / block * Int(kernel.nr_nodes) / blocks)
    page._mapcount = -1
    page.compound_mapcount = -1
    page.contents = PAGE_POISON
    INIT_LIST_HEAD(page.lru)
    INIT_LIST_HEAD(page.deferred_list)
}

// MARK: - Free

/// Linux v5.13, mm/page_alloc.c, free_unref_page(), free_unref_page_commit(): an order-0 page without references.
private func free_unref_page(_ page: page) {
    yield_point("pcp")
    guard free_pages_prepare(page, 0) else { return }
    let node = page_pgdat(page)
    page.free_state = UInt8(PAGE_on_pcp.rawValue)
    list_add(page.lru, this_cpu.pcp)
    node.nr_free += 1
    if pcp_count(this_cpu, Int(page.nid)) >= pcp_high { free_pcppages_bulk(this_cpu, Int(page.nid), pcp_batch) }
}

/// Linux v5.13, mm/page_alloc.c, free_compound_page(), __free_pages_ok(): all pages of a huge page.
private func free_compound_page(_ page: page) {
    yield_point("free_area")
    guard free_pages_prepare(page, UInt32(kernel.hpage_pmd_order)) else { return }
    for n in 0..<Int(HPAGE_PMD_NR()) { free_one_page(page_add(page, n)) }
}

/// Linux v5.13, mm/page_alloc.c, free_pages_prepare().  A bad page is never used again.
private func free_pages_prepare(_ page: page, _ order: UInt32) -> Bool {
    VM_BUG_ON_PAGE(PageTail(page), "PageTail(page)")
    checkNoTranslation(page, 1 << Int(order))
    checkNoSecondaryTranslation(page, 1 << Int(order))
    checkNoTranslationOfIOMMU(page, 1 << Int(order))
    var bad = false
    for n in 1..<1 << Int(order) {
        let tail = page_add(page, n)
        if free_tail_pages_check(page, tail) { bad = true }
        if check_free_page(tail) { bad = true }
        tail.flags &= ~PAGE_FLAGS_CHECK_AT_PREP
        poison(tail)
    }
    if PageAnon(page) { page.mapping = nil }
    if check_free_page(page) { bad = true }
    if bad { return false }
    page.flags &= ~PAGE_FLAGS_CHECK_AT_PREP
    page.order = 0
    poison(page)
    return true
}

private func poison(_ page: page) {
    page.contents = PAGE_POISON
    page.private_ = 0
    page.index = 0
}

/// Linux v5.13, mm/page_alloc.c, free_tail_pages_check().  Tails have no mapping of their own in this model.
private func free_tail_pages_check(_ head: page, _ tail: page) -> Bool {
    let bad = tail.compound_head !== head || head.compound_mapcount != -1 || head.deferred != 0
    if bad { bad_page(head, BAD_tail) }
    tail.compound_head = nil
    return bad
}

/// Linux v5.13, mm/page_alloc.c, check_free_page(), page_expected_state().
private func check_free_page(_ page: page) -> Bool {
    check_page(page, PAGE_FLAGS_CHECK_AT_FREE)
}

/// Linux v5.13, mm/page_alloc.c, page_bad_reason().
private func check_page(_ page: page, _ flags: UInt) -> Bool {
    if page._mapcount != -1 { return bad_page(page, BAD_mapcount) }
    if page.mapping != nil { return bad_page(page, BAD_mapping) }
    if page._refcount != 0 { return bad_page(page, BAD_refcount) }
    if page.flags & flags != 0 { return bad_page(page, BAD_flags) }
    return page.free_state != UInt8(PAGE_in_use.rawValue) && bad_page(page, BAD_double_free)
}

/// Notes a bad page: its flags, and why it is bad.
/// Linux v5.13, mm/page_alloc.c, bad_page().
@discardableResult
private func bad_page(_ page: page, _ reason: bad_page_reason) -> Bool {
    reportViolation(VIOLATION_bad_page, page.flags, UInt(reason.rawValue))
    return true
}

/// Puts a page on its node's lists; the last page of a block makes it a free huge page.
/// Linux v5.13, mm/page_alloc.c, free_one_page(), __free_one_page().
private func free_one_page(_ page: page, tail: Bool = false) {
    let node = page_pgdat(page)
    page.free_state = UInt8(PAGE_in_free_area.rawValue)
    node.nr_free += 1
    list_add(page.lru, node.free_list)
    let first = block_of(page)
    for n in 0..<Int(HPAGE_PMD_NR()) {
        guard page_to_pfn(first) + UInt(n) < UInt(kernel.nr_pages),
            page_add(first, n).free_state == UInt8(PAGE_in_free_area.rawValue)
        else { return }
    }
    for n in 0..<Int(HPAGE_PMD_NR()) { list_del(page_add(first, n).lru) }
    if tail {
        list_add_tail(first.lru, node.free_area)
    } else {
        list_add(first.lru, node.free_area)
    }
}

/// The first page of the huge-page-sized block that `page` lies in.
private func block_of(_ page: page) -> page {
    pfn_to_page(page_to_pfn(page) & ~(HPAGE_PMD_NR() - 1))
}

/// Linux v5.13, mm/page_alloc.c, free_pcppages_bulk(): the pages freed longest ago go first.
private func free_pcppages_bulk(_ cpu: per_cpu, _ nid: Int, _ count: Int) {
    var left = count
    var entry = cpu.pcp.prev
    while entry !== cpu.pcp && left > 0 {
        let page = lru_to_page(entry)
        entry = entry.prev
        guard Int(page.nid) == nid else { continue }
        list_del(page.lru)
        page_pgdat(page).nr_free -= 1
        free_one_page(page)
        left -= 1
    }
}

private func pcp_count(_ cpu: per_cpu, _ nid: Int) -> Int {
    var count = 0
    var entry = cpu.pcp.next
    while entry !== cpu.pcp {
        if Int(lru_to_page(entry).nid) == nid { count += 1 }
        entry = entry.next
    }
    return count
}

/// Empties the lists of all CPUs, so that blocks can merge.
/// Linux v5.13, mm/page_alloc.c, drain_all_pages(): by work on each CPU, waited for; one step here, since nothing
/// but the place of free pages changes.
func drain_all_pages() {
    yield_point("pcp")
    for cpu in 0..<Int(kernel.nr_cpus) {
        for nid in 0..<Int(kernel.nr_nodes) { free_pcppages_bulk(kernel.cpu(cpu), nid, Int.max) }
    }
}

/// Linux v5.13, mm/page_alloc.c, drain_local_pages().
func drain_local_pages() {
    for nid in 0..<Int(kernel.nr_nodes) { free_pcppages_bulk(this_cpu, nid, Int.max) }
}

// MARK: - Compaction

/// A free page of the node for compaction's free scanner, in none of the blocks in the mask `passed`.
/// Linux v5.13, mm/compaction.c, isolate_freepages_block(), split_map_pages().
func isolate_freepage(_ nid: Int, outside passed: UInt64) -> page? {
    let node = kernel.node(nid)
    var entry = node.free_list.next
    while entry !== node.free_list && passed & blockBit(lru_to_page(entry)) != 0 { entry = entry.next }
    if entry === node.free_list {
        // Free blocks are unbroken, so compaction has passed none of them.
        guard !list_empty(node.free_area) else { return nil }
        break_up(node)
        entry = node.free_list.prev
    }
    let page = lru_to_page(entry)
    list_del(entry)
    node.nr_free -= 1
    prep_new_page(page, 0)
    return page
}

private func blockBit(_ page: page) -> UInt64 {
    1 << UInt64(page_to_pfn(page) / HPAGE_PMD_NR())
}

// MARK: - Allocation

/// Linux v5.13, mm/mempolicy.c, alloc_pages(): the default policy, the local node first.
private func alloc_pages(_ gfp: gfp_t, _ order: UInt32) -> page? {
    // Which CPU's list a page comes from is nothing that anybody sees, but the node is.
    if kernel.nr_nodes > 1 { may_change_cpu() }
    return ops.alloc_pages_node(Int32(this_cpu.nid), gfp, order)
}

/// Linux v5.13, mm/page_alloc.c, __alloc_pages().
private func alloc_pages_node(_ nid: Int32, _ gfp: gfp_t, _ order: UInt32) -> page? {
    if gfp_direct_reclaim(gfp) { might_sleep() }
    yield_point("pcp")
    if let page = get_page_from_freelist(Int(nid), gfp, order) { return page }
    return alloc_pages_slowpath(Int(nid), gfp, order)
}

private func gfp_direct_reclaim(_ gfp: gfp_t) -> Bool {
    gfp & (GFP_KERNEL | GFP_USER | GFP_HIGHUSER_MOVABLE) != 0
}

/// Whether an allocation may take the node's zone.
/// Linux v5.13, include/linux/gfp.h, gfp_zone(); include/linux/sched/mm.h, current_gfp_context().
func zoneAllowed(_ nid: Int, _ gfp: gfp_t) -> Bool {
    !kernel.node(nid).movable || gfp & (GFP_KERNEL | GFP_USER) == 0 && !current.memalloc_pin
}

/// Linux v5.13, include/linux/mmzone.h, is_zone_movable_page().
func is_zone_movable_page(_ page: page) -> Bool {
    page_pgdat(page).movable
}

/// Linux v5.13, mm/page_alloc.c, __alloc_pages_slowpath().
/// Left out: waking kswapd, the reserves of PF_MEMALLOC.
private func alloc_pages_slowpath(_ nid: Int, _ gfp: gfp_t, _ order: UInt32) -> page? {
    guard gfp_direct_reclaim(gfp) && !current.memalloc else { return nil }
    if order > 0 { return alloc_costly_order(nid, gfp, order) }
    var retries = 0
    while retries <= MAX_RECLAIM_RETRIES {
        let progress = ops.try_to_free_pages(gfp)
        if let page = alloc_after_reclaim(nid, gfp, order) { return page }
        retries = progress > 0 ? 0 : retries + 1
    }
    out_of_memory()
    return nil
}

/// The slow path for a huge page, which is not worth more than one round.
private func alloc_costly_order(_ nid: Int, _ gfp: gfp_t, _ order: UInt32) -> page? {
    if let page = alloc_pages_direct_compact(nid, gfp, order) { return page }
    if gfp & __GFP_NORETRY != 0 { return nil }
    _ = ops.try_to_free_pages(gfp)
    return alloc_after_reclaim(nid, gfp, order) ?? alloc_pages_direct_compact(nid, gfp, order)
}

/// The end of __alloc_pages_direct_reclaim(): pages that other CPUs keep are taken if nothing else is left.
private func alloc_after_reclaim(_ nid: Int, _ gfp: gfp_t, _ order: UInt32) -> page? {
    yield_point("pcp", "__alloc_pages_direct_reclaim")
    if let page = get_page_from_freelist(nid, gfp, order) { return page }
    drain_all_pages()
    return get_page_from_freelist(nid, gfp, order)
}

/// The victim is always the task that asks: its call gives up where it looks for fatal signals.  The process
/// lives on, as if another of its size had been killed.
/// Linux v5.13, mm/oom_kill.c, out_of_memory().
private func out_of_memory() {
    if !current.kthread { current.fatal_signal = true }
}

/// Linux v5.13, mm/page_alloc.c, __alloc_pages_direct_compact().
private func alloc_pages_direct_compact(_ nid: Int, _ gfp: gfp_t, _ order: UInt32) -> page? {
    drain_all_pages()
    if let page = get_page_from_freelist(nid, gfp, order) { return page }
    if zoneAllowed(nid, gfp) { _ = ops.compact_zone(Int32(nid), Int32(order)) }
    yield_point("pcp")
    return get_page_from_freelist(nid, gfp, order)
}

/// Linux v5.13, mm/page_alloc.c, get_page_from_freelist(): the wanted node, then the others.
private func get_page_from_freelist(_ nid: Int, _ gfp: gfp_t, _ order: UInt32) -> page? {
    let nr_nodes = gfp & __GFP_THISNODE != 0 ? 1 : Int(kernel.nr_nodes)
    for n in 0..<nr_nodes {
        let nid = (nid + n) % Int(kernel.nr_nodes)
        guard zoneAllowed(nid, gfp) else { continue }
        if let page = rmqueue(nid, order) {
            prep_new_page(page, order)
            return page
        }
    }
    return nil
}

/// Linux v5.13, mm/page_alloc.c, rmqueue(), rmqueue_pcplist().
private func rmqueue(_ nid: Int, _ order: UInt32) -> page? {
    guard order == 0 else { return rmqueue_block(nid) }
    if let page = take_from_pcp(nid) { return page }
    rmqueue_bulk(nid)
    return take_from_pcp(nid)
}

private func take_from_pcp(_ nid: Int) -> page? {
    let pcp = this_cpu.pcp
    var entry = pcp.next
    while entry !== pcp && Int(lru_to_page(entry).nid) != nid { entry = entry.next }
    guard entry !== pcp else { return nil }
    list_del(entry)
    kernel.node(nid).nr_free -= 1
    return lru_to_page(entry)
}

/// Refills this CPU's list: from blocks that are broken up already, if there are any.
/// Linux v5.13, mm/page_alloc.c, rmqueue_bulk(), __rmqueue_smallest(), expand().
private func rmqueue_bulk(_ nid: Int) {
    let node = kernel.node(nid)
    for _ in 0..<pcp_batch {
        if list_empty(node.free_list) && !list_empty(node.free_area) { break_up(node) }
        guard !list_empty(node.free_list) else { return }
        let page = lru_to_page(node.free_list.next)
        page.free_state = UInt8(PAGE_on_pcp.rawValue)
        list_del(page.lru)
        list_add_tail(page.lru, this_cpu.pcp)
    }
}

private func break_up(_ node: pglist_data) {
    let first = lru_to_page(node.free_area.next)
    list_del(first.lru)
    for n in 0..<Int(HPAGE_PMD_NR()) {
        list_add_tail(page_add(first, n ^ Int(kernel.break_up_order)).lru, node.free_list)
    }
}

private func rmqueue_block(_ nid: Int) -> page? {
    let node = kernel.node(nid)
    guard !list_empty(node.free_area) else { return nil }
    let first = lru_to_page(node.free_area.next)
    list_del(first.lru)
    node.nr_free -= Int32(HPAGE_PMD_NR())
    return first
}

/// Linux v5.13, mm/page_alloc.c, prep_new_page(), post_alloc_hook(), check_new_page().  A page that changed
/// while it was free was used after its free.
private func prep_new_page(_ page: page, _ order: UInt32) {
    for n in 0..<1 << Int(order) {
        let page = page_add(page, n)
        page.free_state = UInt8(PAGE_in_use.rawValue)
        kernel.births += 1
        page.birth = kernel.births
        if page.contents != PAGE_POISON { bad_page(page, BAD_written) }
        _ = check_page(page, PAGE_FLAGS_CHECK_AT_PREP)
        page.flags = 0
        page.mapping = nil
        page._mapcount = -1
        page._refcount = 0
        page.contents = 0
        page.lost_mlock = 0
    }
    page._refcount = 1
    if order > 0 { prep_compound_page(page, order) }
}

/// Linux v5.13, mm/page_alloc.c, prep_compound_page(); mm/huge_memory.c, prep_transhuge_page().
private func prep_compound_page(_ page: page, _ order: UInt32) {
    SetPageHead(page)
    for n in 1..<1 << Int(order) { page_add(page, n).compound_head = page }
    page.order = UInt8(order)
    page.compound_mapcount = -1
    page.deferred = 0
    INIT_LIST_HEAD(page.deferred_list)
}
