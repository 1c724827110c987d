// SPDX-License-Identifier: GPL-2.0-only
// mm/mmap.c of Linux v5.13, continued: moving the borders of vmas, merging them, and sharing anon_vmas so
// that they can be merged later.
//
// Left out: what is said in mmap.swift, close() of vm_ops and userfaultfd contexts as reasons not to merge
// (no vma has either).

import CKernel
import Simulation

func install_mmap_adjust(_ ops: kernel_ops) {
    ops.__vma_adjust = __vma_adjust
    ops.vma_merge = vma_merge
}

// MARK: - Moving borders

/// Takes the vma off the trees that its offsets order.
/// Linux v5.13, mm/mmap.c, anon_vma_interval_tree_pre_update_vma().
private func anon_vma_interval_tree_pre_update_vma(_ vma: vm_area_struct) {
    var node = vma.anon_vma_chain.next
    while node !== vma.anon_vma_chain {
        anon_vma_interval_tree_remove(avc_of_same_vma(node))
        node = node.next
    }
}

/// Linux v5.13, mm/mmap.c, anon_vma_interval_tree_post_update_vma().
private func anon_vma_interval_tree_post_update_vma(_ vma: vm_area_struct) {
    var node = vma.anon_vma_chain.next
    while node !== vma.anon_vma_chain {
        let avc = avc_of_same_vma(node)
        anon_vma_interval_tree_insert(avc, avc.anon_vma.rb_root)
        node = node.next
    }
}

/// Linux v5.13, include/linux/rmap.h, anon_vma_merge().
private func anon_vma_merge(_ vma: vm_area_struct, _ next: vm_area_struct) {
    BUG_ON(vma.anon_vma !== next.anon_vma, "VM_BUG_ON_VMA(vma->anon_vma != next->anon_vma)")
    ops.unlink_anon_vmas(next)
}

/// What __vma_adjust() does with the vma behind.
private enum Neighbour {
    case kept
    /// vma grows over it (cases 1 and 7 of vma_merge()).
    case removed
    /// vma grows over it and over the one behind it (case 6).
    case removedWithNext
    /// It grows down over vma, which goes (case 8): the two have been swapped.
    case swapped
}

/// Gives `area` other borders, which may move those of the vma behind it or remove it; or lets it shrink to
/// make room for `insert`.
/// Linux v5.13, mm/mmap.c, __vma_adjust().
private func __vma_adjust(
    _ area: vm_area_struct, _ start: UInt, _ newEnd: UInt, _ pgoff: UInt, _ insert: vm_area_struct?,
    _ expand: vm_area_struct?
) -> Int32 {
    let mm = area.vm_mm
    let orig_vma = area
    let mapping = area.vm_file
    var vma = area
    var next = area.vm_next
    var end = newEnd
    var adjust_next = 0
    var neighbour = Neighbour.kept

    if let behind = next, insert == nil {
        var exporter: vm_area_struct?
        var importer: vm_area_struct?
        if end >= behind.vm_end {
            if behind === expand {
                neighbour = .swapped
                (vma, next) = (behind, area)
            } else {
                neighbour = end > behind.vm_end ? .removedWithNext : .removed
                // The first of two passes, in case 6.
                end = behind.vm_end
            }
            exporter = next
            importer = vma
            if neighbour == .removedWithNext && behind.anon_vma == nil { exporter = behind.vm_next }
        } else if end > behind.vm_start {
            // mprotect() moves the border up: case 5.
            adjust_next = Int(end - behind.vm_start)
            exporter = behind
            importer = vma
        } else if end < vma.vm_end {
            // mprotect() moves it down: case 4.
            adjust_next = -Int(vma.vm_end - end)
            exporter = vma
            importer = behind
        }
        // The vma that grows gets the anon_vma of the pages that come to it.
        if let exporter, let importer, exporter.anon_vma != nil && importer.anon_vma == nil {
            vma_start_write(importer)
            importer.anon_vma = exporter.anon_vma
            let error = ops.anon_vma_clone(importer, exporter)
            if error != 0 { return error }
        }
    }

    // From v6.4 on: faults on vmas that change are waited for (vma_prepare()).
    vma_start_write(vma)
    if let next, adjust_next != 0 || neighbour != .kept { vma_start_write(next) }
    if neighbour == .removedWithNext { vma_start_write(next!.vm_next!) }

    while true {
        let adjusted = adjust_next != 0 ? next : nil
        ops.vma_adjust_trans_huge(orig_vma, start, end, adjust_next)
        if let mapping {
            down_write(mapping.i_mmap_rwsem)
            if let insert { __vma_link_file(insert) }
        }
        let anon_vma = vma.anon_vma ?? adjusted?.anon_vma
        if let anon_vma {
            down_write(anon_vma.root.rwsem)
            anon_vma_interval_tree_pre_update_vma(vma)
            if let adjusted { anon_vma_interval_tree_pre_update_vma(adjusted) }
        }
        if mapping != nil {
            vma_interval_tree_remove(vma)
            if let adjusted { vma_interval_tree_remove(adjusted) }
        }

        vma.vm_start = start
        vma.vm_end = end
        vma.vm_pgoff = pgoff
        if let adjusted {
            adjusted.vm_start &+= UInt(bitPattern: adjust_next)
            adjusted.vm_pgoff &+= UInt(bitPattern: adjust_next >> Int(PAGE_SHIFT))
        }

        if let mapping {
            if let adjusted { vma_interval_tree_insert(adjusted, mapping.i_mmap) }
            vma_interval_tree_insert(vma, mapping.i_mmap)
        }
        if neighbour != .kept {
            // Merged: it goes before the locks are dropped.
            __vma_unlink_list(mm, next!)
            if let mapping { __remove_shared_vm_struct(next!, mapping) }
        } else if let insert {
            // Split: it comes before the locks are dropped, in front or behind.
            __insert_vm_struct(mm, insert)
        }
        if let anon_vma {
            anon_vma_interval_tree_post_update_vma(vma)
            if let adjusted { anon_vma_interval_tree_post_update_vma(adjusted) }
            up_write(anon_vma.root.rwsem)
        }
        if let mapping { up_write(mapping.i_mmap_rwsem) }

        guard neighbour != .kept, let removed = next else { return 0 }
        ops.vma_mark_detached(removed, true)
        if removed.anon_vma != nil { anon_vma_merge(vma, removed) }
        mm.map_count -= 1
        ops.vm_area_free(removed)
        guard neighbour == .removedWithNext else { return 0 }
        neighbour = .removed
        next = vma.vm_next
        end = next!.vm_end
    }
}

/// Linux v5.13, include/linux/mm.h, vma_adjust().
func vma_adjust(
    _ vma: vm_area_struct, _ start: UInt, _ end: UInt, _ pgoff: UInt, _ insert: vm_area_struct?
) -> Int32 {
    ops.__vma_adjust(vma, start, end, pgoff, insert, nil)
}

// MARK: - Merging

/// Linux v5.13, mm/mmap.c, is_mergeable_anon_vma().
private func is_mergeable_anon_vma(_ a: anon_vma?, _ b: anon_vma?, _ vma: vm_area_struct?) -> Bool {
    // A vma with a longer chain was cloned from a parent: merging it would let the chains grow.
    if (a == nil || b == nil) && (vma == nil || list_is_singular(vma!.anon_vma_chain)) { return true }
    return a === b
}

/// Linux v5.13, mm/mmap.c, is_mergeable_vma().
private func is_mergeable_vma(_ vma: vm_area_struct, _ file: address_space?, _ vm_flags: UInt) -> Bool {
    (vma.vm_flags ^ vm_flags) & ~VM_SOFTDIRTY == 0 && vma.vm_file === file
}

/// Linux v5.13, mm/mmap.c, can_vma_merge_before().
private func can_vma_merge_before(
    _ vma: vm_area_struct, _ vm_flags: UInt, _ anon_vma: anon_vma?, _ file: address_space?, _ pgoff: UInt
) -> Bool {
    is_mergeable_vma(vma, file, vm_flags) && is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma)
        && vma.vm_pgoff == pgoff
}

/// Linux v5.13, mm/mmap.c, can_vma_merge_after().
private func can_vma_merge_after(
    _ vma: vm_area_struct, _ vm_flags: UInt, _ anon_vma: anon_vma?, _ file: address_space?, _ pgoff: UInt
) -> Bool {
    is_mergeable_vma(vma, file, vm_flags) && is_mergeable_anon_vma(anon_vma, vma.anon_vma, vma)
        && vma.vm_pgoff + vma_pages(vma) == pgoff
}

/// Tries to cover a range, new or with new flags, by a neighbour.  The numbers of the cases are those of
/// the kernel's picture.
/// Linux v5.13, mm/mmap.c, vma_merge().
private func vma_merge(
    _ mm: mm_struct, _ prev: vm_area_struct?, _ start: UInt, _ end: UInt, _ vm_flags: UInt,
    _ anon_vma: anon_vma?, _ file: address_space?, _ pgoff: UInt
) -> vm_area_struct? {
    let pglen = (end - start) >> UInt(PAGE_SHIFT)
    if vm_flags & VM_SPECIAL != 0 { return nil }
    let area = vma_next(mm, prev)
    // In cases 6, 7 and 8 the range is that of `area`.
    let next = area?.vm_end == end ? area?.vm_next : area

    let before =
        next != nil && end == next!.vm_start
        && can_vma_merge_before(next!, vm_flags, anon_vma, file, pgoff + pglen)
    if let prev, prev.vm_end == start && can_vma_merge_after(prev, vm_flags, anon_vma, file, pgoff) {
        let error: Int32
        if before && is_mergeable_anon_vma(prev.anon_vma, next!.anon_vma, nil) {
            error = ops.__vma_adjust(prev, prev.vm_start, next!.vm_end, prev.vm_pgoff, nil, prev)  // 1, 6
        } else {
            error = ops.__vma_adjust(prev, prev.vm_start, end, prev.vm_pgoff, nil, prev)  // 2, 5, 7
        }
        if error != 0 { return nil }
        _ = ops.khugepaged_enter_vma_merge(prev, vm_flags)
        return prev
    }
    if before, let next {
        let error: Int32
        if let prev, start < prev.vm_end {
            error = ops.__vma_adjust(prev, prev.vm_start, start, prev.vm_pgoff, nil, next)  // 4
        } else {
            error = ops.__vma_adjust(area!, start, next.vm_end, next.vm_pgoff - pglen, nil, next)  // 3, 8
        }
        if error != 0 { return nil }
        _ = ops.khugepaged_enter_vma_merge(next, vm_flags)
        return next
    }
    return nil
}

// MARK: - Sharing anon_vmas

/// Whether two neighbours would merge if their access flags were equal.
/// Linux v5.13, mm/mmap.c, anon_vma_compatible().
private func anon_vma_compatible(_ a: vm_area_struct, _ b: vm_area_struct) -> Bool {
    a.vm_end == b.vm_start && a.vm_file === b.vm_file
        && (a.vm_flags ^ b.vm_flags) & ~(VM_ACCESS_FLAGS | VM_SOFTDIRTY) == 0
        && b.vm_pgoff == a.vm_pgoff + (b.vm_start - a.vm_start) >> UInt(PAGE_SHIFT)
}

/// Linux v5.13, mm/mmap.c, reusable_anon_vma().
private func reusable_anon_vma(_ old: vm_area_struct, _ a: vm_area_struct, _ b: vm_area_struct) -> anon_vma? {
    guard anon_vma_compatible(a, b) else { return nil }
    // Another thread may be in anon_vma_prepare() for it.
    yield_point("anon_vma")
    guard let anon_vma = old.anon_vma, list_is_singular(old.anon_vma_chain) else { return nil }
    return anon_vma
}

/// A neighbour's anon_vma, so that mprotect() can merge the two again later.
/// Linux v5.13, mm/mmap.c, find_mergeable_anon_vma().
func find_mergeable_anon_vma(_ vma: vm_area_struct) -> anon_vma? {
    if let next = vma.vm_next, let anon_vma = reusable_anon_vma(next, vma, next) { return anon_vma }
    if let prev = vma.vm_prev { return reusable_anon_vma(prev, prev, vma) }
    return nil
}
