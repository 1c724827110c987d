// SPDX-License-Identifier: GPL-2.0-only
// mm/rmap.c of Linux v5.13, its first half: anon_vmas, through which the mappings of an anonymous page are
// found, and the chains that tie them to vmas.
//
// Left out: anon_vma_clone()'s first try to allocate without sleeping (the root's lock is kept across an
// allocation that never sleeps here), and the smp_mb() and smp_wmb() around vma->anon_vma and the count,
// since memory is sequentially consistent.

import CKernel
import Simulation

func install_anon_vma(_ ops: kernel_ops) {
    ops.anon_vma_prepare = anon_vma_prepare
    ops.anon_vma_clone = anon_vma_clone
    ops.anon_vma_fork = anon_vma_fork
    ops.unlink_anon_vmas = unlink_anon_vmas
    ops.page_get_anon_vma = page_get_anon_vma
    ops.put_anon_vma = put_anon_vma
    ops.page_lock_anon_vma_read = page_lock_anon_vma_read
    ops.page_unlock_anon_vma_read = page_unlock_anon_vma_read
}

// MARK: - Objects

/// Linux v5.13, mm/rmap.c, anon_vma_alloc().  The cache's constructor, anon_vma_ctor(), runs when an
/// object is handed out for the first time.
private func anon_vma_alloc() -> anon_vma? {
    guard let memory = kmem_cache_zalloc(CACHE_anon_vma) else { return nil }
    let anon_vma = unsafeBitCast(memory, to: anon_vma.self)
    if anon_vma.rwsem.class_ == UInt8(LOCK_none.rawValue) {
        init_rwsem(anon_vma.rwsem, LOCK_anon_vma_rwsem)
        INIT_LIST_HEAD(anon_vma.rb_root)
    }
    anon_vma.refcount = 1
    // A reference for the first vma.
    anon_vma.degree = 1
    anon_vma.parent = anon_vma
    // A fork makes it the parent's root.
    anon_vma.root = anon_vma
    return anon_vma
}

/// Linux v5.13, mm/rmap.c, anon_vma_free().
private func anon_vma_free(_ anon_vma: anon_vma) {
    VM_BUG_ON_PAGE(anon_vma.refcount != 0, "atomic_read(&anon_vma->refcount)")
    // Whoever took the lock after a trylock in page_lock_anon_vma_read() has checked page_mapped(), or
    // will find it false; only those who have the lock now must be waited for.
    might_sleep()
    yield_point("rwsem")
    if rwsem_is_locked(anon_vma.root.rwsem) {
        down_write(anon_vma.root.rwsem)
        up_write(anon_vma.root.rwsem)
    }
    kmem_cache_free(CACHE_anon_vma, address(anon_vma))
}

private func anon_vma_chain_alloc() -> anon_vma_chain? {
    guard let memory = kmem_cache_zalloc(CACHE_anon_vma_chain) else { return nil }
    let avc = unsafeBitCast(memory, to: anon_vma_chain.self)
    INIT_LIST_HEAD(avc.same_vma)
    INIT_LIST_HEAD(avc.rb)
    return avc
}

private func anon_vma_chain_free(_ avc: anon_vma_chain) {
    kmem_cache_free(CACHE_anon_vma_chain, address(avc))
}

/// Linux v5.13, mm/rmap.c, anon_vma_chain_link().
private func anon_vma_chain_link(_ vma: vm_area_struct, _ avc: anon_vma_chain, _ anon_vma: anon_vma) {
    avc.vma = vma
    avc.anon_vma = anon_vma
    list_add(avc.same_vma, vma.anon_vma_chain)
    anon_vma_interval_tree_insert(avc, anon_vma.rb_root)
}

/// Linux v5.13, include/linux/rmap.h, put_anon_vma().
private func put_anon_vma(_ anon_vma: anon_vma) {
    yield_point("refcount")
    anon_vma.refcount -= 1
    if anon_vma.refcount == 0 { __put_anon_vma(anon_vma) }
}

/// Linux v5.13, mm/rmap.c, __put_anon_vma().
private func __put_anon_vma(_ anon_vma: anon_vma) {
    let root = anon_vma.root
    anon_vma_free(anon_vma)
    guard root !== anon_vma else { return }
    yield_point("refcount")
    root.refcount -= 1
    if root.refcount == 0 { anon_vma_free(root) }
}

// MARK: - vmas and their anon_vmas

/// Gives the vma an anon_vma, a neighbour's if it can be shared.
/// Linux v5.13, mm/rmap.c, __anon_vma_prepare(), and include/linux/rmap.h, anon_vma_prepare().
private func anon_vma_prepare(_ vma: vm_area_struct) -> Int32 {
    yield_point("anon_vma")
    if vma.anon_vma != nil { return 0 }
    might_sleep()
    guard let avc = anon_vma_chain_alloc() else { return -ENOMEM }
    let mergeable = find_mergeable_anon_vma(vma)
    guard let anon_vma = mergeable ?? anon_vma_alloc() else {
        anon_vma_chain_free(avc)
        return -ENOMEM
    }
    down_write(anon_vma.root.rwsem)
    // Against other threads, which hold mmap_lock for reading too.
    spin_lock(vma.vm_mm.page_table_lock)
    let won = vma.anon_vma == nil
    if won {
        vma.anon_vma = anon_vma
        anon_vma_chain_link(vma, avc, anon_vma)
        // The vma's reference, or the new root's for being its own parent.
        anon_vma.degree += 1
    }
    spin_unlock(vma.vm_mm.page_table_lock)
    up_write(anon_vma.root.rwsem)
    if !won {
        if mergeable == nil { ops.put_anon_vma(anon_vma) }
        anon_vma_chain_free(avc)
    }
    return 0
}

/// Takes the lock of `anon_vma`'s root, unless `root` is that root and locked already.
/// Linux v5.13, mm/rmap.c, lock_anon_vma_root().
private func lock_anon_vma_root(_ root: anon_vma?, _ anon_vma: anon_vma) -> anon_vma {
    let new_root = anon_vma.root
    if new_root !== root {
        BUG_ON(root != nil, "WARN_ON_ONCE(root)")
        down_write(new_root.rwsem)
    }
    return new_root
}

/// Linux v5.13, mm/rmap.c, unlock_anon_vma_root().
private func unlock_anon_vma_root(_ root: anon_vma?) {
    if let root { up_write(root.rwsem) }
}

/// Ties `dst` to all anon_vmas of `src`, and lets it take one over that has no vma of its own and one
/// child at most.
/// Linux v5.13, mm/rmap.c, anon_vma_clone().
private func anon_vma_clone(_ dst: vm_area_struct, _ src: vm_area_struct) -> Int32 {
    var root: anon_vma?
    var node = src.anon_vma_chain.prev
    while node !== src.anon_vma_chain {
        guard let avc = anon_vma_chain_alloc() else {
            unlock_anon_vma_root(root)
            // Otherwise unlink_anon_vmas() would take back a degree that was never given.
            dst.anon_vma = nil
            ops.unlink_anon_vmas(dst)
            return -ENOMEM
        }
        let anon_vma = avc_of_same_vma(node).anon_vma
        root = lock_anon_vma_root(root, anon_vma)
        anon_vma_chain_link(dst, avc, anon_vma)
        // Never the parent's own, or the first child would always take it; a root has a degree of two.
        if dst.anon_vma == nil && src.anon_vma != nil && anon_vma !== src.anon_vma && anon_vma.degree < 2 {
            dst.anon_vma = anon_vma
        }
        node = node.prev
    }
    if let anon_vma = dst.anon_vma { anon_vma.degree += 1 }
    unlock_anon_vma_root(root)
    return 0
}

/// Ties a child's vma to the parent's anon_vmas and to one of its own.
/// Linux v5.13, mm/rmap.c, anon_vma_fork().
private func anon_vma_fork(_ vma: vm_area_struct, _ pvma: vm_area_struct) -> Int32 {
    guard let parent = pvma.anon_vma else { return 0 }
    vma.anon_vma = nil
    // The parent's first, so that rmap finds the pages the child shares.
    let error = ops.anon_vma_clone(vma, pvma)
    if error != 0 { return error }
    if vma.anon_vma != nil { return 0 }
    guard let anon_vma = anon_vma_alloc() else {
        ops.unlink_anon_vmas(vma)
        return -ENOMEM
    }
    guard let avc = anon_vma_chain_alloc() else {
        ops.put_anon_vma(anon_vma)
        ops.unlink_anon_vmas(vma)
        return -ENOMEM
    }
    anon_vma.root = parent.root
    anon_vma.parent = parent
    // The lock is the root's, so the root must stay as long as this one.
    yield_point("refcount")
    anon_vma.root.refcount += 1
    vma.anon_vma = anon_vma
    down_write(anon_vma.root.rwsem)
    anon_vma_chain_link(vma, avc, anon_vma)
    anon_vma.parent.degree += 1
    up_write(anon_vma.root.rwsem)
    return 0
}

/// Cuts the vma off all its anon_vmas, and frees those that nobody uses any more.
/// Linux v5.13, mm/rmap.c, unlink_anon_vmas().
private func unlink_anon_vmas(_ vma: vm_area_struct) {
    let chain = vma.anon_vma_chain
    var root: anon_vma?
    // From the newest to the oldest, so the root goes last.
    var node = chain.next
    while node !== chain {
        let avc = avc_of_same_vma(node)
        node = node.next
        let anon_vma = avc.anon_vma
        root = lock_anon_vma_root(root, anon_vma)
        anon_vma_interval_tree_remove(avc)
        // What is empty is freed below, without the lock.
        if list_empty(anon_vma.rb_root) {
            anon_vma.parent.degree -= 1
            continue
        }
        list_del(avc.same_vma)
        anon_vma_chain_free(avc)
    }
    if let anon_vma = vma.anon_vma {
        anon_vma.degree -= 1
        // The vma may live on (mremap() with MREMAP_DONTUNMAP): a fault then prepares a new one.
        vma.anon_vma = nil
    }
    unlock_anon_vma_root(root)

    node = chain.next
    while node !== chain {
        let avc = avc_of_same_vma(node)
        node = node.next
        BUG_ON(avc.anon_vma.degree != 0, "VM_WARN_ON(anon_vma->degree)")
        ops.put_anon_vma(avc.anon_vma)
        list_del(avc.same_vma)
        anon_vma_chain_free(avc)
    }
}

// MARK: - From a page to its anon_vma

/// The anon_vma that page->mapping names now; nil if it names none or the page is not mapped.
private func mapped_anon_vma(_ page: page, _ function: StaticString) -> anon_vma? {
    yield_point("mapping", function)
    let anon_mapping = UInt(bitPattern: page.mapping)
    if anon_mapping & PAGE_MAPPING_FLAGS != PAGE_MAPPING_ANON { return nil }
    yield_point("page_mapped", function)
    if !page_mapped(page) { return nil }
    return unsafeBitCast(anon_mapping - PAGE_MAPPING_ANON, to: anon_vma.self)
}

/// Linux v5.13, include/linux/atomic.h, atomic_inc_not_zero().
private func get_anon_vma_unless_zero(_ anon_vma: anon_vma, _ function: StaticString) -> Bool {
    yield_point("refcount", function)
    if anon_vma.refcount == 0 { return false }
    anon_vma.refcount += 1
    return true
}

/// The page's anon_vma with a reference.  Nothing is locked, so it may be another one by the time the
/// caller has it: it was the page's while the page was mapped.
/// Linux v5.13, mm/rmap.c, page_get_anon_vma().
private func page_get_anon_vma(_ page: page) -> anon_vma? {
    rcu_read_lock()
    guard let anon_vma = mapped_anon_vma(page, "page_get_anon_vma"),
        get_anon_vma_unless_zero(anon_vma, "page_get_anon_vma")
    else {
        rcu_read_unlock()
        return nil
    }
    // Still mapped: then it was not freed and reused in between.
    yield_point("page_mapped")
    if !page_mapped(page) {
        rcu_read_unlock()
        ops.put_anon_vma(anon_vma)
        return nil
    }
    rcu_read_unlock()
    return anon_vma
}

/// The page's anon_vma, locked for reading.
/// Linux v5.13, mm/rmap.c, page_lock_anon_vma_read().
private func page_lock_anon_vma_read(_ page: page) -> anon_vma? {
    rcu_read_lock()
    guard let anon_vma = mapped_anon_vma(page, "page_lock_anon_vma_read") else {
        rcu_read_unlock()
        return nil
    }
    yield_point("root")
    let root = anon_vma.root
    if down_read_trylock(root.rwsem) {
        // Still mapped: then this is still its anon_vma, and the lock keeps anon_vma_free() away.
        yield_point("page_mapped")
        let mapped = page_mapped(page)
        if !mapped { up_read(root.rwsem) }
        rcu_read_unlock()
        return mapped ? anon_vma : nil
    }
    // To sleep for the lock needs a reference.
    if !get_anon_vma_unless_zero(anon_vma, "page_lock_anon_vma_read") {
        rcu_read_unlock()
        return nil
    }
    yield_point("page_mapped")
    if !page_mapped(page) {
        rcu_read_unlock()
        ops.put_anon_vma(anon_vma)
        return nil
    }
    rcu_read_unlock()
    down_read(anon_vma.root.rwsem)
    yield_point("refcount")
    anon_vma.refcount -= 1
    if anon_vma.refcount == 0 {
        // Ours was the last.  anon_vma_free() takes the lock for writing, so it must be dropped first.
        up_read(anon_vma.root.rwsem)
        __put_anon_vma(anon_vma)
        return nil
    }
    return anon_vma
}

/// Linux v5.13, mm/rmap.c, page_unlock_anon_vma_read().
private func page_unlock_anon_vma_read(_ anon_vma: anon_vma) {
    up_read(anon_vma.root.rwsem)
}
