// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let second = base + PAGE_SIZE
private let page = Int(PAGE_SIZE)

/// Does an operation as a trace does it, so that user data are looked after.
@discardableResult
private func perform(_ operation: KernelModel.Operation, _ arguments: Int...) -> Int {
    let result = arguments.withUnsafeBufferPointer { operation.body($0.baseAddress!) }
    current.interrupted = false
    return result
}

private func mapMemory(_ file: Int? = nil, shared: Bool = false, at address: UInt = base, pages: Int = 4) {
    let flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (file == nil ? MAP_ANONYMOUS : 0)
    let arguments = [Int(address), pages * page, Int(PROT_READ | PROT_WRITE), Int(flags), file ?? 0, 0]
    #expect(arguments.withUnsafeBufferPointer { KernelModel.Operation.mmap.body($0.baseAddress!) } == Int(address))
}

private let MISSING = Int(UFFDIO_REGISTER_MODE_MISSING)
private let WP = Int(UFFDIO_REGISTER_MODE_WP)
private let MINOR = Int(UFFDIO_REGISTER_MODE_MINOR)
private let SIGBUS = 0x100

@discardableResult
private func register(_ mode: Int, _ address: UInt = base, pages: Int = 4) -> Int {
    perform(.uffd_register, Int(address), pages * page, mode)
}

@discardableResult
private func copy(_ address: UInt = base, pages: Int = 1, _ mode: UInt = 0) -> Int {
    perform(.uffd_copy, Int(address), pages * page, Int(mode))
}

@discardableResult
private func protect(_ address: UInt = base, pages: Int = 4, _ mode: UInt = UFFDIO_WRITEPROTECT_MODE_WP) -> Int {
    perform(.uffd_writeprotect, Int(address), pages * page, Int(mode))
}

@discardableResult private func write(_ address: UInt = base) -> Int { perform(.write, Int(address)) }
private func read(_ address: UInt = base) -> Int { perform(.read, Int(address)) }

private func pte(_ address: UInt = base) -> pte_t {
    let pmd = pmd_offset(current.mm!, address)
    return pmd_is_table(pmd.pointee) ? pte_offset_map(pmd, address).pointee : __pte(0)
}

private func vma(_ address: UInt = base) -> vm_area_struct { ops.find_vma(current.mm!, address)! }
private func userfaults() -> UInt32 { kernel.event_count(Int(EVENT_userfault.rawValue)).pointee }

private func shape(huge: Bool = false) -> MachineShape {
    var shape = MachineShape()
    shape.files = [MachineShape.File(kind: .shmem, size: 8, huge: huge), MachineShape.File(kind: .disk, size: 4)]
    return shape
}

private let eras: [Era] = [.v5_18_rc1, .v6_5]

/// Runs `body` in each era that has userfaultfd.
private func run(_ eras: [Era] = eras, huge: Bool = false, _ body: @escaping () -> Void) {
    for era in eras { TestMachine.run(shape(huge: huge), era: era, body) }
}

/// Writes back what nobody uses, to swap.
private func reclaim(_ address: UInt, pages: Int = 1) {
    #expect(perform(.madvise, Int(address), pages * page, Int(MADV_PAGEOUT)) == 0)
}

extension KernelModelTests {
    @Suite struct UserfaultfdTests {
        // MARK: - Registering

        @Test func registeringSplitsAndUnregisteringMergesAgain() {
            run {
                mapMemory()
                #expect(register(MISSING, second, pages: 2) == 0)
                #expect(current.mm!.map_count == 3 && vma(second).vm_flags & VM_UFFD_MISSING != 0)
                #expect(userfaultfd_armed(vma(second)) && !userfaultfd_armed(vma()))
                #expect(perform(.uffd_unregister, Int(base), 4 * page) == 0)
                #expect(current.mm!.map_count == 1 && !userfaultfd_armed(vma()))
            }
        }

        @Test func onlyWhatCanBeFilledIsRegistered() {
            run {
                mapMemory(1)
                #expect(register(MISSING) == -Int(EINVAL))
                mapMemory()
                #expect(register(MINOR) == -Int(EINVAL))
                #expect(register(0) == -Int(EINVAL))
                #expect(register(MISSING, base + 1) == -Int(EINVAL))
                #expect(register(MISSING, base + 32 * PAGE_SIZE) == -Int(EINVAL))
                #expect(copy() == -Int(ENOENT))
            }
        }

        @Test func sharedMemoryIsProtectedFromV5_19On() {
            run([.v5_18_rc1]) {
                mapMemory(0, shared: true)
                #expect(register(WP) == -Int(EINVAL))
            }
            run([.v6_5]) {
                mapMemory(0, shared: true)
                #expect(register(WP) == 0)
            }
        }

        @Test func nothingCanBeDoneWithoutAUserfaultfd() {
            run {
                mapMemory()
                #expect(copy() == -Int(EBADF))
                #expect(register(MISSING) == 0)
                #expect(perform(.uffd_close) == 0)
                #expect(copy() == -Int(EBADF) && register(MISSING) == -Int(EBADF))
                #expect(read() == 0)
            }
        }

        // MARK: - Missing pages

        @Test func aMissingPageIsReportedAndTheWaitEnded() {
            run {
                mapMemory()
                register(MISSING)
                // Nobody else can go on: a signal ends the wait.
                #expect(read() == -Int(EINTR) && write() == -Int(EINTR))
                #expect(userfaults() == 2)
                #expect(copy() == 0)
                #expect(read() > 0 && userfaults() == 2)
            }
        }

        @Test func withSIGBUSTheAccessFailsAtOnce() {
            run {
                mapMemory()
                register(MISSING | SIGBUS)
                #expect(read() == -Int(EFAULT) && userfaults() == 1)
            }
        }

        @Test func copyFillsAnEmptyRangeOnly() {
            run {
                mapMemory()
                register(MISSING, pages: 3)
                #expect(copy(second) == 0)
                // The first page is filled, the next is there.
                #expect(copy(base, pages: 3) == -Int(EAGAIN))
                #expect(copy(second) == -Int(EEXIST))
                // Not within one vma.
                #expect(copy(base, pages: 4) == -Int(ENOENT))
                #expect(write(second) > 0)
                #expect(read(base + 2 * PAGE_SIZE) == -Int(EINTR))
            }
        }

        @Test func zeropageMapsZeros() {
            run {
                mapMemory()
                register(MISSING)
                #expect(perform(.uffd_zeropage, Int(base), page, 0) == 0)
                #expect(read() == 0 && write() > 0)
                #expect(perform(.uffd_zeropage, Int(base), page, 0) == -Int(EEXIST))
            }
        }

        @Test func copyIntoSharedShmemFillsTheFile() {
            run {
                mapMemory(0, shared: true)
                register(MISSING)
                #expect(read() == -Int(EINTR))
                #expect(copy() == 0)
                let token = read()
                #expect(token > 0 && perform(.file_read, 0, 0) == token)
                #expect(pte_write(pte()) && pte_dirty(pte()))
                // A page that the file has is not missing.
                #expect(perform(.file_write, 0, 1) == page)
                #expect(read(second) > 0 && userfaults() == 1)
                #expect(copy(second) == -Int(EEXIST))
            }
        }

        @Test func copyIntoPrivateShmemIsAnonymous() {
            run {
                mapMemory(0)
                register(MISSING)
                #expect(copy() == 0)
                #expect(read() > 0 && PageAnon(pte_page(pte())) && vma().anon_vma != nil)
                #expect(kernel.file(0).nrpages == 0 && perform(.file_read, 0, 0) == 0)
                // It is out of the file's reach, but for truncation.
                #expect(perform(.file_write, 0, 0) == page)
                let token = read()
                reclaim(base)
                #expect(read() == token)
            }
        }

        @Test func beyondTheEndOfTheFileThereIsNothingToFill() {
            run {
                mapMemory(0, shared: true, pages: 4)
                register(MISSING)
                #expect(perform(.truncate, 0, 1) == 0)
                #expect(copy(second) == -Int(EFAULT))
                #expect(kernel.file(0).nrpages == 0)
                mapMemory(0, at: base + 8 * PAGE_SIZE)
                register(MISSING, base + 8 * PAGE_SIZE)
                #expect(copy(base + 9 * PAGE_SIZE) == -Int(EFAULT))
            }
        }

        @Test func continueMapsWhatTheFileHas() {
            run {
                mapMemory(0, shared: true)
                register(MINOR)
                #expect(perform(.uffd_continue, Int(base), page, 0) == -Int(EFAULT))
                #expect(perform(.file_write, 0, 0) == page)
                #expect(read() == -Int(EINTR) && userfaults() == 1)
                #expect(perform(.uffd_continue, Int(base), page, 0) == 0)
                #expect(read() == perform(.file_read, 0, 0) && userfaults() == 1)
                #expect(perform(.uffd_continue, Int(base), page, 0) == -Int(EEXIST))
            }
        }

        @Test func aHugePageIsMissingToo() {
            run {
                mapMemory(pages: 8)
                #expect(perform(.madvise, Int(base), 8 * page, Int(MADV_HUGEPAGE)) == 0)
                register(MISSING, pages: 8)
                #expect(write() == -Int(EINTR) && userfaults() == 1)
                #expect(copy() == 0 && read() > 0)
            }
        }

        // MARK: - Write protection of anonymous memory

        @Test func aProtectedPageIsReportedWhenItIsWrittenTo() {
            run {
                mapMemory()
                let token = write()
                register(WP)
                #expect(protect(pages: 1) == 0)
                #expect(pte_uffd_wp(pte()) && !pte_write(pte()))
                #expect(read() == token && userfaults() == 0)
                #expect(write() == -Int(EINTR) && userfaults() == 1)
                #expect(protect(pages: 1, 0) == 0)
                #expect(!pte_uffd_wp(pte()) && write() > 0 && userfaults() == 1)
            }
        }

        @Test func emptyAnonymousMemoryIsNotProtected() {
            run {
                mapMemory()
                register(WP)
                #expect(protect() == 0)
                #expect(write() > 0 && userfaults() == 0)
            }
        }

        @Test func copyCanProtectAtOnce() {
            run {
                mapMemory()
                register(MISSING)
                #expect(copy(base, UFFDIO_COPY_MODE_WP) == -Int(EINVAL))
                register(MISSING | WP)
                #expect(copy(base, UFFDIO_COPY_MODE_WP) == 0)
                #expect(read() > 0 && write() == -Int(EINTR) && userfaults() == 1)
            }
        }

        @Test func protectionOutlivesSwap() {
            run {
                mapMemory()
                write()
                register(WP)
                protect(pages: 1)
                reclaim(base)
                #expect(!pte_present(pte()) && pte_swp_uffd_wp(pte()))
                #expect(write() == -Int(EINTR) && pte_uffd_wp(pte()))
                reclaim(base)
                #expect(protect(pages: 1, 0) == 0 && !pte_swp_uffd_wp(pte()))
                #expect(write() > 0)
            }
        }

        @Test func protectionOutlivesMigrationAndMprotect() {
            for era in eras {
                var shape = shape()
                shape.nodes = 2
                TestMachine.run(shape, era: era) {
                    mapMemory()
                    write()
                    ops.lru_add_drain_all()
                    register(WP)
                    protect(pages: 1)
                    #expect(perform(.move_pages, Int(base), page, 1, Int(MPOL_MF_MOVE)) == 0)
                    #expect(pte_uffd_wp(pte()))
                    #expect(perform(.mprotect, Int(base), 4 * page, Int(PROT_READ)) == 0)
                    #expect(perform(.mprotect, Int(base), 4 * page, Int(PROT_READ | PROT_WRITE)) == 0)
                    #expect(write() == -Int(EINTR))
                }
            }
        }

        @Test func aHugePageIsProtectedAsAWholeOrSplit() {
            run {
                mapMemory(pages: 8)
                #expect(perform(.madvise, Int(base), 8 * page, Int(MADV_HUGEPAGE)) == 0)
                #expect(write() > 0 && pmd_trans_huge(pmd_offset(current.mm!, base).pointee))
                register(WP, pages: 8)
                protect(pages: 8)
                #expect(pmd_uffd_wp(pmd_offset(current.mm!, base).pointee))
                #expect(write(second) == -Int(EINTR) && userfaults() == 1)
                protect(pages: 1, 0)
                #expect(!pte_uffd_wp(pte()) && pte_uffd_wp(pte(second)))
                #expect(write() > 0 && write(second) == -Int(EINTR))
            }
        }

        @Test func aChildIsNotProtected() {
            run {
                mapMemory()
                write()
                write(second)
                register(WP | MISSING)
                protect(pages: 2)
                reclaim(second)
                #expect(perform(.fork, 1) == 1)
                #expect(write() == -Int(EINTR))
                become(1)
                #expect(!userfaultfd_armed(vma()) && !pte_uffd_wp(pte()) && !pte_swp_uffd_wp(pte(second)))
                #expect(write() > 0 && write(second) > 0 && read(base + 2 * PAGE_SIZE) == 0)
                become(0)
                #expect(write(second) == -Int(EINTR) && userfaults() == 2)
            }
        }

        @Test func mremapLosesIt() {
            run {
                mapMemory()
                write()
                register(WP | MISSING)
                protect()
                let target = base + 16 * PAGE_SIZE
                let flags = Int(MREMAP_MAYMOVE | MREMAP_FIXED)
                #expect(perform(.mremap, Int(base), 4 * page, 4 * page, flags, Int(target)) == Int(target))
                #expect(!userfaultfd_armed(vma(target)))
                #expect(write(target) > 0 && read(target + PAGE_SIZE) == 0 && userfaults() == 0)
            }
        }

        @Test func unregisteringEndsProtection() {
            run {
                mapMemory()
                write()
                register(WP)
                protect()
                #expect(perform(.uffd_unregister, Int(base), 4 * page) == 0)
                #expect(write() > 0 && userfaults() == 0)
            }
            run([.v6_5]) {
                mapMemory(0, shared: true)
                write()
                register(WP)
                protect()
                #expect(is_pte_marker(pte(second)))
                #expect(perform(.uffd_unregister, Int(base), 4 * page) == 0)
                #expect(pte_none(pte(second)) && !pte_uffd_wp(pte()))
                #expect(write(second) > 0 && write() > 0 && userfaults() == 0)
            }
        }

        // MARK: - Markers

        @Test func markersProtectWhatTheFileHas() {
            for shared in [true, false] {
                run([.v6_5]) {
                    #expect(perform(.file_write, 0, 0) == page)
                    mapMemory(0, shared: shared)
                    register(WP)
                    #expect(protect() == 0 && is_pte_marker(pte()) && is_pte_marker(pte(second)))
                    #expect(write() == -Int(EINTR) && pte_uffd_wp(pte()) && userfaults() == 1)
                    #expect(read(second) == 0 && pte_uffd_wp(pte(second)) && !pte_write(pte(second)))
                    #expect(protect(pages: 2, 0) == 0)
                    #expect(write() > 0 && write(second) > 0 && userfaults() == 1)
                    #expect(is_pte_marker(pte(base + 2 * PAGE_SIZE)))
                }
            }
        }

        @Test func aMarkerIsFilledOver() {
            for shared in [true, false] {
                run([.v6_5]) {
                    mapMemory(0, shared: shared)
                    register(MISSING | WP)
                    protect()
                    #expect(write() == -Int(EINTR) && is_pte_marker(pte()))
                    #expect(copy(base, UFFDIO_COPY_MODE_WP) == 0 && pte_uffd_wp(pte()))
                    #expect(write() == -Int(EINTR) && userfaults() == 2)
                }
            }
        }

        @Test func markersTakeThePlaceOfPagesThatGo() {
            run([.v6_5]) {
                mapMemory(0, shared: true)
                write()
                register(WP)
                protect()
                // The page goes to swap, and leaves the page table.
                reclaim(base)
                #expect(is_pte_marker(pte()) && write() == -Int(EINTR))
                // MADV_DONTNEED of a file's page takes it from the page table, not its protection.
                #expect(perform(.madvise, Int(base), page, Int(MADV_DONTNEED)) == 0)
                #expect(is_pte_marker(pte()) && write() == -Int(EINTR))
                #expect(perform(.fallocate_punch, 0, 1, 1) == 0)
                #expect(is_pte_marker(pte(second)))
                #expect(write(second) == -Int(EINTR) && userfaults() == 3)
            }
        }

        @Test func aHugePageOfAFileIsSplitToBeProtected() {
            run([.v6_5], huge: true) {
                mapMemory(0, shared: true, pages: 8)
                #expect(write() > 0 && pmd_trans_huge(pmd_offset(current.mm!, base).pointee))
                register(WP, pages: 8)
                #expect(protect(second, pages: 1) == 0 && is_pte_marker(pte(second)) && pte_none(pte()))
                #expect(write() > 0 && write(second) == -Int(EINTR))
                #expect(protect(pages: 8) == 0 && write() == -Int(EINTR))
            }
        }

        @Test func markersAreNotMovedIntoAnotherVma() {
            run([.v6_5]) {
                mapMemory(0, shared: true)
                register(WP)
                protect()
                let target = base + 16 * PAGE_SIZE
                let flags = Int(MREMAP_MAYMOVE | MREMAP_FIXED)
                #expect(perform(.mremap, Int(base), 4 * page, 4 * page, flags, Int(target)) == Int(target))
                // v6.5 leaves them; the next fault clears what it meets.
                #expect(write(target) > 0 && userfaults() == 0 && pte_present(pte(target)))
            }
        }

        @Test func aChildHasNoMarkers() {
            run([.v6_5]) {
                mapMemory(0)
                write()
                register(WP)
                protect()
                #expect(perform(.fork, 1) == 1)
                become(1)
                #expect(pte_present(pte()) && !pte_uffd_wp(pte()) && pte_none(pte(second)))
                #expect(write() > 0 && write(second) > 0)
                become(0)
                #expect(is_pte_marker(pte(second)) && userfaults() == 0)
            }
        }

        @Test func protectionMaySpanVmasFromV6_3On() {
            for (era, result) in zip(eras, [-Int(ENOENT), 0]) {
                run([era]) {
                    mapMemory()
                    register(WP)
                    #expect(perform(.mprotect, Int(second), page, Int(PROT_READ)) == 0)
                    #expect(protect() == result)
                }
            }
        }
    }
}
