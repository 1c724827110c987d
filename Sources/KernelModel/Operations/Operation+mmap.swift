// SPDX-License-Identifier: GPL-2.0-only
// mmap(2), munmap(2), mprotect(2), mremap(2), msync(2).  Each says what it does to the user's data, which
// loads and stores are held against.

import CKernel

private let protections = [
    NamedValue("PROT_NONE", Int(PROT_NONE)), NamedValue("PROT_READ", Int(PROT_READ)),
    NamedValue("PROT_WRITE", Int(PROT_WRITE)), NamedValue("PROT_EXEC", Int(PROT_EXEC)),
]

private let mapFlags = [
    NamedValue("MAP_SHARED", Int(MAP_SHARED)), NamedValue("MAP_PRIVATE", Int(MAP_PRIVATE)),
    NamedValue("MAP_FIXED", Int(MAP_FIXED)), NamedValue("MAP_ANONYMOUS", Int(MAP_ANONYMOUS)),
    NamedValue("MAP_LOCKED", Int(MAP_LOCKED)), NamedValue("MAP_NORESERVE", Int(MAP_NORESERVE)),
    NamedValue("MAP_POPULATE", Int(MAP_POPULATE)), NamedValue("MAP_NONBLOCK", Int(MAP_NONBLOCK)),
    NamedValue("MAP_FIXED_NOREPLACE", Int(MAP_FIXED_NOREPLACE)),
]

extension Operation {
    static let mmap = Operation(
        "mmap", .process,
        [
            Parameter("addr", .address), Parameter("length", .length), Parameter("prot", .flags(protections)),
            Parameter("flags", .flags(mapFlags)), Parameter("file", .file(optional: true)),
            Parameter("offset", .pageOffset),
        ], weight: 4, systemCall: "mmap"
    ) {
        map(
            UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2]), UInt(bitPattern: $0[3]), $0[4],
            UInt(bitPattern: $0[5]))
    }

    static let munmap = Operation(
        "munmap", .process, [Parameter("addr", .address), Parameter("length", .length)], weight: 4,
        systemCall: "munmap"
    ) {
        let mm = current.mm!
        let (start, len) = (UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]))
        let pages = userPages(start, len)
        userDataChangeBegins(mm, changing: pages)
        let result = ops.__vm_munmap(start, len, true)
        // It fails before it unmaps anything, or not at all.
        userDataChangeEnds(mm, pages, result == 0 ? .unmapped : .unchanged)
        userDataChangeEnded()
        return result
    }

    static let mprotect = Operation(
        "mprotect", .process,
        [Parameter("addr", .address), Parameter("length", .length), Parameter("prot", .flags(protections))],
        weight: 4, systemCall: "mprotect"
    ) { ops.do_mprotect(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2])) }

    static let mremap = Operation(
        "mremap", .process,
        [
            Parameter("old_address", .address), Parameter("old_size", .length), Parameter("new_size", .length),
            Parameter(
                "flags",
                .flags([
                    NamedValue("MREMAP_MAYMOVE", Int(MREMAP_MAYMOVE)),
                    NamedValue("MREMAP_FIXED", Int(MREMAP_FIXED)),
                    NamedValue("MREMAP_DONTUNMAP", Int(MREMAP_DONTUNMAP)),
                ])), Parameter("new_address", .address),
        ], weight: 4, systemCall: "mremap"
    ) {
        remap(
            UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2]), UInt(bitPattern: $0[3]),
            UInt(bitPattern: $0[4]))
    }

    static let msync = Operation(
        "msync", .process,
        [
            Parameter("addr", .address), Parameter("length", .length),
            Parameter(
                "flags",
                .flags([
                    NamedValue("MS_ASYNC", Int(MS_ASYNC)), NamedValue("MS_INVALIDATE", Int(MS_INVALIDATE)),
                    NamedValue("MS_SYNC", Int(MS_SYNC)),
                ])),
        ], weight: 2, systemCall: "msync"
    ) { ops.do_msync(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), Int32(truncatingIfNeeded: $0[2])) }
}

/// Linux v5.13, mm/mmap.c, ksys_mmap_pgoff().
private func map(
    _ address: UInt, _ length: UInt, _ prot: UInt, _ flags: UInt, _ fileNumber: Int, _ offset: UInt
) -> Int {
    let mm = current.mm!
    var file: address_space?
    if flags & MAP_ANONYMOUS == 0 {
        guard (0..<Int(kernel.nr_files)).contains(fileNumber) else { return -Int(EBADF) }
        file = kernel.file(fileNumber)
    }
    let replaced = flags & MAP_FIXED != 0 ? userPages(address, length) : 0
    userDataChangeBegins(mm, changing: replaced, watched: allUserPages)
    let result = ops.vm_mmap_pgoff(file, address, length, prot, flags, offset)
    if result < 0 {
        // Out of memory it may have unmapped what was there.
        userDataChangeEnds(mm, replaced, result == -Int(ENOMEM) ? .undecided : .unchanged)
    } else {
        userDataChangeEnds(mm, userPages(UInt(result), length), file == nil ? .zeroed : .notJudged)
    }
    userDataChangeEnded()
    return result
}

/// Linux v5.13, mm/mremap.c, mremap(2).
private func remap(_ old: UInt, _ oldSize: UInt, _ newSize: UInt, _ flags: UInt, _ new: UInt) -> Int {
    let mm = current.mm!
    let (oldLength, newLength) = (PAGE_ALIGN(oldSize), PAGE_ALIGN(newSize))
    var changing = userPages(old, max(oldLength, newLength))
    if flags & MREMAP_FIXED != 0 { changing |= userPages(new, newLength) }
    // The neighbours of the new place lose their userfaultfd when they are merged with what is moved.
    userDataChangeBegins(
        mm, changing: changing, watched: flags & MREMAP_MAYMOVE != 0 ? allUserPages : 0, unprotecting: allUserPages)
    let result = ops.do_mremap(old, oldSize, newSize, flags, new)
    if result < 0 {
        userDataChangeEnds(mm, changing, .undecided)
        userDataChangeEnded()
        return result
    }
    let place = UInt(result)
    let kept = min(oldLength, newLength)
    let anonymous = ops.find_vma(mm, place)?.vm_file == nil
    if place == old {
        userDataChangeEnds(mm, userPages(old, kept), .unchanged)
        if newLength < oldLength { userDataChangeEnds(mm, userPages(old + kept, oldLength - kept), .unmapped) }
    } else {
        userDataMoved(mm, from: old, to: place, kept)
        let left: UserDataOutcome = flags & MREMAP_DONTUNMAP == 0 ? .unmapped : anonymous ? .zeroed : .notJudged
        userDataChangeEnds(mm, userPages(old, oldLength), left)
    }
    if newLength > oldLength {
        userDataChangeEnds(
            mm, userPages(place + oldLength, newLength - oldLength), anonymous ? .zeroed : .notJudged)
    }
    userDataChangeEnded()
    return result
}
