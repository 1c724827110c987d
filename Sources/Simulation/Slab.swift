// SPDX-License-Identifier: GPL-2.0-only
// Object caches.  What is freed is poisoned and the first to be reused, so that a use after free or an
// ABA shows; a cache that is type-safe by RCU is reused at once too, but never poisoned.

import CKernel
import Glibc

/// The kernel's POISON_FREE (include/linux/poison.h).  As a pointer it is not canonical: using it faults.
private let poisonFree: Int32 = 0x6b

/// Sets up cache `kind` with `count` objects of `size` bytes in the arena.
///
/// - Parameter permutation: 0 for the natural order of first use; otherwise another order, to show that
///   nothing depends on it.
public func kmem_cache_create(
    _ kind: kmem_cache_kind, size: Int, count: Int, typesafeByRCU: Bool = false, permutation: UInt64 = 0
) {
    precondition(count <= 64, "a cache keeps its state in 64-bit masks")
    let cache = kernel.cache(Int(kind.rawValue))
    let spacing = (size + 15) & ~15
    let base = arenaAllocate(spacing * count, alignment: 64)
    if kernel.poison != 0 && !typesafeByRCU { memset(base, Int32(kernel.poison), spacing * count) }
    cache.pointee.base = base.assumingMemoryBound(to: CChar.self)
    cache.pointee.size = UInt32(spacing)
    cache.pointee.count = UInt16(count)
    cache.pointee.nr_free = UInt16(count)
    cache.pointee.typesafe_by_rcu = typesafeByRCU
    var random = Random(seed: permutation)
    for position in 0..<count {
        kmem_cache_free_slot(cache, position).pointee = UInt16(count - 1 - position)
    }
    guard permutation != 0 else { return }
    for position in stride(from: count - 1, to: 0, by: -1) {
        let other = random.below(position + 1)
        let held = kmem_cache_free_slot(cache, position).pointee
        kmem_cache_free_slot(cache, position).pointee = kmem_cache_free_slot(cache, other).pointee
        kmem_cache_free_slot(cache, other).pointee = held
    }
}

/// An object of cache `kind`, nil when the cache is exhausted.  It is zeroed, except in a cache that is
/// type-safe by RCU, whose objects keep what they held: a reader may still look at them.
public func kmem_cache_zalloc(_ kind: kmem_cache_kind) -> UnsafeMutableRawPointer? {
    let cache = kernel.cache(Int(kind.rawValue))
    guard cache.pointee.nr_free > 0 else { return nil }
    cache.pointee.nr_free -= 1
    let index = Int(kmem_cache_free_slot(cache, Int(cache.pointee.nr_free)).pointee)
    cache.pointee.live |= 1 << UInt64(index)
    cache.pointee.in_use += 1
    let object = objectAddress(cache, index)
    if !cache.pointee.typesafe_by_rcu { memset(object, 0, Int(cache.pointee.size)) }
    return object
}

/// Frees an object at once.
public func kmem_cache_free(_ kind: kmem_cache_kind, _ object: UnsafeMutableRawPointer) {
    guard let index = releasableIndex(kind, object) else { return }
    freeNow(Int(kind.rawValue), index)
}

/// Frees an object once a grace period has passed (kfree_rcu(), call_rcu()).
public func kfree_rcu(_ kind: kmem_cache_kind, _ object: UnsafeMutableRawPointer) {
    guard let index = releasableIndex(kind, object) else { return }
    freeAfterGracePeriod(Int(kind.rawValue), index)
}

/// Whether the address is a live object of cache `kind`.
public func isLive(_ kind: kmem_cache_kind, _ object: UnsafeMutableRawPointer) -> Bool {
    let cache = kernel.cache(Int(kind.rawValue))
    guard let index = objectIndex(cache, object) else { return false }
    return cache.pointee.live & 1 << UInt64(index) != 0
}

private func releasableIndex(_ kind: kmem_cache_kind, _ object: UnsafeMutableRawPointer) -> Int? {
    let cache = kernel.cache(Int(kind.rawValue))
    guard let index = objectIndex(cache, object), cache.pointee.live & 1 << UInt64(index) != 0,
        cache.pointee.pending & 1 << UInt64(index) == 0
    else {
        reportViolation(VIOLATION_freed_reachable, UInt(kind.rawValue), 1)
        return nil
    }
    return index
}

func freeNow(_ kind: Int, _ index: Int) {
    let cache = kernel.cache(kind)
    cache.pointee.live &= ~(1 << UInt64(index))
    cache.pointee.in_use -= 1
    if !cache.pointee.typesafe_by_rcu {
        lockdepFreed(objectAddress(cache, index), Int(cache.pointee.size))
        memset(objectAddress(cache, index), poisonFree, Int(cache.pointee.size))
    }
    kmem_cache_free_slot(cache, Int(cache.pointee.nr_free)).pointee = UInt16(index)
    cache.pointee.nr_free += 1
}

private func objectAddress(_ cache: UnsafeMutablePointer<kmem_cache>, _ index: Int) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(cache.pointee.base) + index * Int(cache.pointee.size)
}

private func objectIndex(_ cache: UnsafeMutablePointer<kmem_cache>, _ object: UnsafeMutableRawPointer) -> Int? {
    let offset = object - UnsafeMutableRawPointer(cache.pointee.base)
    guard offset >= 0 && offset < Int(cache.pointee.size) * Int(cache.pointee.count) else { return nil }
    return offset / Int(cache.pointee.size)
}
