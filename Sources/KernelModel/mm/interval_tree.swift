// SPDX-License-Identifier: GPL-2.0-only
// mm/interval_tree.c of Linux v5.13: the mappings of a file by their offsets in it (address_space.i_mmap),
// and the vmas of an anon_vma by theirs (anon_vma.rb_root).
//
// The kernel's augmented red-black trees are lists sorted by the first page offset here; what is equal
// keeps the order in which it came, as in the trees.  Walks visit the same nodes in the same order; only
// the time a search takes differs, and nothing modelled depends on it.

import CKernel

/// The last page offset that a vma maps.  Linux v5.13, mm/interval_tree.c, vma_last_pgoff().
@inline(__always)
private func vma_last_pgoff(_ vma: vm_area_struct) -> UInt {
    vma.vm_pgoff + vma_pages(vma) - 1
}

// MARK: - The mappings of a file

/// Linux v5.13, mm/interval_tree.c, vma_interval_tree_insert().
func vma_interval_tree_insert(_ vma: vm_area_struct, _ root: list_head) {
    var before = root.prev
    while before !== root && vma_of_shared(before).vm_pgoff > vma.vm_pgoff { before = before.prev }
    list_add(vma.shared, before)
}

/// Puts `vma`, which starts at the same offset as `prev`, right behind it.
/// Linux v5.13, mm/interval_tree.c, vma_interval_tree_insert_after().
func vma_interval_tree_insert_after(_ vma: vm_area_struct, _ prev: vm_area_struct) {
    list_add(vma.shared, prev.shared)
}

/// Linux v5.13, mm/interval_tree.c, vma_interval_tree_remove().
func vma_interval_tree_remove(_ vma: vm_area_struct) {
    list_del(vma.shared)
}

/// The first mapping of any page from `first` to `last`.
/// Linux v5.13, mm/interval_tree.c, vma_interval_tree_iter_first().
public func vma_interval_tree_first(_ mapping: address_space, _ first: UInt, _ last: UInt) -> vm_area_struct? {
    vma_interval_tree_iter_first(mapping.i_mmap, first, last)
}

/// Linux v5.13, mm/interval_tree.c, vma_interval_tree_iter_next().
public func vma_interval_tree_next(
    _ mapping: address_space, _ vma: vm_area_struct, _ first: UInt, _ last: UInt
) -> vm_area_struct? {
    vma_interval_tree_iter_next(vma, mapping.i_mmap, first, last)
}

// MARK: - The vmas of an anon_vma

/// Linux v5.13, mm/interval_tree.c, anon_vma_interval_tree_insert().
func anon_vma_interval_tree_insert(_ avc: anon_vma_chain, _ root: list_head) {
    var before = root.prev
    while before !== root && avc_of_rb(before).vma.vm_pgoff > avc.vma.vm_pgoff { before = before.prev }
    list_add(avc.rb, before)
}

/// Linux v5.13, mm/interval_tree.c, anon_vma_interval_tree_remove().
func anon_vma_interval_tree_remove(_ avc: anon_vma_chain) {
    list_del(avc.rb)
}

/// The first vma in which any page from `first` to `last` may be mapped.
/// Linux v5.13, mm/interval_tree.c, anon_vma_interval_tree_iter_first().
func anon_vma_interval_tree_first(_ anon_vma: anon_vma, _ first: UInt, _ last: UInt) -> anon_vma_chain? {
    chain_from(anon_vma.rb_root.next, anon_vma, first, last)
}

/// Linux v5.13, mm/interval_tree.c, anon_vma_interval_tree_iter_next().
func anon_vma_interval_tree_next(
    _ anon_vma: anon_vma, _ avc: anon_vma_chain, _ first: UInt, _ last: UInt
) -> anon_vma_chain? {
    chain_from(avc.rb.next, anon_vma, first, last)
}

private func chain_from(
    _ start: list_head, _ anon_vma: anon_vma, _ first: UInt, _ last: UInt
) -> anon_vma_chain? {
    var node = start
    while node !== anon_vma.rb_root {
        let avc = avc_of_rb(node)
        if avc.vma.vm_pgoff > last { return nil }
        if vma_last_pgoff(avc.vma) >= first { return avc }
        node = node.next
    }
    return nil
}
