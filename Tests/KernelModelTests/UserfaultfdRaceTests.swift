// SPDX-License-Identifier: GPL-2.0-only
// userfaultfd while several tasks work on the memory that it watches.
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let second = base + PAGE_SIZE
private let page = Int(PAGE_SIZE)

@discardableResult
private func perform(_ operation: KernelModel.Operation, _ arguments: Int...) -> Int {
    let result = arguments.withUnsafeBufferPointer { operation.body($0.baseAddress!) }
    current.interrupted = false
    return result
}

private func mapMemory(_ file: Int? = nil, shared: Bool = false, pages: Int = 2) {
    let flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | (file == nil ? MAP_ANONYMOUS : 0)
    perform(.mmap, Int(base), pages * page, Int(PROT_READ | PROT_WRITE), Int(flags), file ?? 0, 0)
}

private let MISSING = Int(UFFDIO_REGISTER_MODE_MISSING)
private let WP = Int(UFFDIO_REGISTER_MODE_WP)

private func register(_ mode: Int, pages: Int = 2) { perform(.uffd_register, Int(base), pages * page, mode) }
private func unregister() { perform(.uffd_unregister, Int(base), 2 * page) }

@discardableResult
private func copy(_ mode: UInt = 0, pages: Int = 1) -> Int { perform(.uffd_copy, Int(base), pages * page, Int(mode)) }

private func protect(pages: Int = 2) {
    perform(.uffd_writeprotect, Int(base), pages * page, Int(UFFDIO_WRITEPROTECT_MODE_WP))
}

private func resolve(pages: Int = 2) { perform(.uffd_writeprotect, Int(base), pages * page, 0) }
private func write(_ address: UInt = base) { perform(.write, Int(address)) }
private func read(_ address: UInt = base) { perform(.read, Int(address)) }
private func reclaim(pages: Int = 2) { perform(.madvise, Int(base), pages * page, Int(MADV_PAGEOUT)) }

/// An access that must not end with a signal: it waited for nobody, or for something that has happened.
private func mustEnd(_ operation: KernelModel.Operation) {
    if perform(operation, Int(base)) == -Int(EINTR) { WARN_ON("nobody woke the fault") }
}

/// As a thread does it that enters the kernel, if its process lives.
private func asThread(_ body: () -> Void) {
    guard let mm = current.mm, mm.live else { return }
    enterKernel(mm)
    body()
    returnToUser()
}

private func shape(nodes: Int = 1, huge: Bool = false, cpus: Int = 3) -> MachineShape {
    var shape = MachineShape()
    shape.nodes = nodes
    shape.cpus = cpus
    shape.files = [MachineShape.File(kind: .shmem, size: 8, huge: huge)]
    return shape
}

private let eras: [Era] = [.v5_18_rc1, .v6_5]

extension KernelModelTests {
    @Suite struct UserfaultfdRaceTests {
        // MARK: - Faults and their end

        @Test(arguments: [nil, 0], [false, true])
        func aFaultEndsWhenItsPageIsCopied(file: Int?, shared: Bool) {
            if file == nil && shared { return }
            for era in eras {
                TestMachine.race(
                    shape(), era: era,
                    setup: {
                        mapMemory(file, shared: shared)
                        register(MISSING)
                    }, .init(0) { mustEnd(.write) }, .init(0) { mustEnd(.read) }, .init(0) { copy() })
            }
        }

        @Test func aFaultEndsWithTheRegistration() {
            for era in eras {
                for end in [unregister, { perform(.uffd_close) }, { perform(.munmap, Int(base), 2 * page) }] {
                    TestMachine.race(
                        shape(), era: era,
                        setup: {
                            mapMemory()
                            register(MISSING)
                        }, .init(0) { perform(.read, Int(base)) }, .init(0) { perform(.write, Int(second)) },
                        .init(0, end))
                }
            }
        }

        @Test func aProtectedPageIsWrittenToOnceItIsNot() {
            for era in eras {
                TestMachine.race(
                    shape(), era: era,
                    setup: {
                        mapMemory()
                        write()
                        write(second)
                        register(WP | MISSING)
                        protect()
                    }, .init(0) { write() }, .init(0) { resolve() }, .init(0) { reclaim() })
            }
        }

        /// One that waits is woken by a signal when its process exits.
        @Test func anExitEndsAWait() {
            for era in eras {
                TestMachine.race(
                    shape(), era: era,
                    setup: {
                        mapMemory()
                        register(MISSING)
                    },
                    .init(0) { asThread { _ = load(base) } }, .init(0) { asThread { perform(.exit) } })
            }
        }

        // MARK: - Protection

        @Test(arguments: [nil, 0], [false, true])
        func protectionAgainstReclaim(file: Int?, shared: Bool) {
            if file == nil && shared { return }
            for era in eras where file == nil || era.name == "v6.5" {
                TestMachine.race(
                    shape(), era: era,
                    setup: {
                        mapMemory(file, shared: shared)
                        write()
                        register(WP)
                    },
                    .init(0) {
                        protect()
                        write()
                        write(second)
                    }, .init(0) { reclaim() },
                    .init(0) {
                        read()
                        read(second)
                    })
            }
        }

        @Test func protectionAgainstMigrationAndFork() {
            for era in eras {
                TestMachine.race(
                    shape(nodes: 2), era: era,
                    setup: {
                        mapMemory()
                        write()
                        write(second)
                        register(WP)
                        protect(pages: 1)
                        ops.lru_add_drain_all()
                    },
                    .init(0) {
                        perform(.move_pages, Int(base), 2 * page, 1, Int(MPOL_MF_MOVE))
                        write()
                    },
                    .init(0) {
                        perform(.fork, 1)
                        write()
                    }, .init(0) { protect() })
            }
        }

        @Test(arguments: [false, true])
        func protectionOfAFileAgainstTruncation(shared: Bool) {
            TestMachine.race(
                shape(), era: .v6_5,
                setup: {
                    mapMemory(0, shared: shared)
                    write()
                    register(WP)
                },
                .init(0) {
                    protect()
                    write()
                    write(second)
                }, .init(0) { perform(.fallocate_punch, 0, 0, 1) },
                .init(0) {
                    perform(.truncate, 0, 1)
                    perform(.truncate, 0, 2)
                })
        }

        @Test func protectionAgainstOtherCalls() {
            for era in eras {
                for call in [
                    { perform(.madvise, Int(base), page, Int(MADV_DONTNEED)) },
                    { perform(.mprotect, Int(base), page, Int(PROT_READ)) },
                    {
                        perform(
                            .mremap, Int(base), 2 * page, 2 * page, Int(MREMAP_MAYMOVE | MREMAP_FIXED), Int(base) * 2)
                    },
                    { perform(.change_prot_numa, Int(base), page) }, { perform(.pin, Int(base), 1) },
                ] {
                    TestMachine.race(
                        shape(), era: era,
                        setup: {
                            mapMemory()
                            write()
                            write(second)
                            register(WP | MISSING)
                        },
                        .init(0) {
                            protect()
                            write()
                        }, .init(0) { _ = call() }, .init(0) { copy(UFFDIO_COPY_MODE_WP, pages: 2) })
                }
            }
        }

        @Test func protectionOfPartsOfAHugePage() {
            for era in eras {
                TestMachine.race(
                    shape(), era: era,
                    setup: {
                        mapMemory(pages: 8)
                        perform(.madvise, Int(base), 8 * page, Int(MADV_HUGEPAGE))
                        write()
                        register(WP, pages: 8)
                    },
                    .init(0) {
                        protect(pages: 1)
                        write()
                        write(second)
                    },
                    .init(0) {
                        protect(pages: 8)
                        write()
                    }, .init(0) { reclaim(pages: 8) })
            }
        }

        /// Until v6.3 a huge page that migrates loses its protection (repaired by 24bf08c4376b).
        @Test func protectionOfAHugePageThatMigrates() {
            let racers: [TestMachine.Racer] = [
                .init(0) {
                    protect(pages: 8)
                    write()
                }, .init(0) { perform(.move_pages, Int(base), 8 * page, 1, Int(MPOL_MF_MOVE)) },
            ]
            let setup = {
                mapMemory(pages: 8)
                perform(.madvise, Int(base), 8 * page, Int(MADV_HUGEPAGE))
                write()
                register(WP, pages: 8)
                ops.lru_add_drain_all()
            }
            TestMachine.race(shape(nodes: 2), era: .v6_5, setup: setup, racers[0], racers[1])
            TestMachine.raceOfMutant(
                { _ in }, breaks: VIOLATION_lost_entry, shape(nodes: 2), era: .v5_18_rc1, setup: setup, racers[0],
                racers[1])
        }

        // MARK: - Files and huge pages

        @Test(arguments: [false, true])
        func fillingAgainstCollapse(shared: Bool) {
            TestMachine.race(
                shape(huge: true), era: .v6_5,
                setup: {
                    for index in 0..<8 { perform(.file_write, 0, index) }
                    mapMemory(0, shared: shared, pages: 8)
                    register(MISSING | WP, pages: 8)
                },
                .init(0) {
                    copy(pages: 2)
                    read()
                    write()
                },
                .init(0) {
                    protect(pages: 8)
                    write(second)
                }, .init(0) { perform(.madvise_with_collapse, Int(base), 8 * page, Int(MADV_COLLAPSE)) })
        }

        // MARK: - Mutants

        private static func raceForStores(
            _ mutant: (kernel_ops) -> Void, sourceLocation: SourceLocation = #_sourceLocation,
            _ other: @escaping () -> Void
        ) {
            TestMachine.raceOfMutant(
                mutant, breaks: VIOLATION_lost_entry, shape(), era: .v6_5, sourceLocation: sourceLocation,
                setup: {
                    mapMemory(0, shared: true)
                    write()
                    register(WP)
                },
                .init(0) {
                    protect()
                    write()
                }, .init(0, other))
        }

        @Test func aZapThatLeavesNoMarkerIsNoticed() {
            Self.raceForStores {
                $0.zap_page_range = { vma, start, size in
                    let flags = vma.vm_flags
                    vma.vm_flags &= ~VM_UFFD_WP
                    originalOps.zap_page_range(vma, start, size)
                    vma.vm_flags = flags
                }
            } _: {
                // Not as an operation: that would give the protection up.
                _ = ops.do_madvise(base, PAGE_SIZE, MADV_DONTNEED)
            }
        }

        /// Page tables that are taken from under a registered vma take markers with them ...
        @Test func aTableThatGoesWithItsMarkersIsNoticed() {
            Self.raceOfRetraction(breaks: VIOLATION_lost_entry, shared: true, of: .write) {
                register(WP, pages: 8)
                protect(pages: 8)
            }
        }

        /// ... and what was filled.
        @Test func aTableThatGoesWithItsPagesIsNoticed() {
            Self.raceOfRetraction(breaks: VIOLATION_table_in_use, shared: false, of: .read) {
                register(MISSING, pages: 8)
                copy()
            }
        }

        private static func raceOfRetraction(
            breaks kind: violation_kind, shared: Bool, of access: KernelModel.Operation,
            sourceLocation: SourceLocation = #_sourceLocation, setup: @escaping () -> Void
        ) {
            let prepare = {
                mapMemory(0, shared: true, pages: 8)
                // Zeros, which no token equals.
                for index in 0..<8 { read(base + UInt(index) * PAGE_SIZE) }
                perform(.fork, 1)
                mapMemory(0, shared: shared, pages: 8)
                setup()
            }
            let racers: [TestMachine.Racer] = [
                .init(1) {
                    perform(.madvise_with_collapse, Int(base), 8 * page, Int(MADV_COLLAPSE))
                    become(0)
                    perform(access, Int(base))
                }, .init(0) { perform(.madvise, Int(base) + 4 * page, page, Int(MADV_COLD)) },
            ]
            TestMachine.race(
                shape(), era: .v6_5, sourceLocation: sourceLocation, setup: prepare, racers[0], racers[1])
            TestMachine.raceOfMutant(
                {
                    $0.retract_page_tables = { mapping, pgoff, _, _, _, _ in
                        retractWithoutLooking(mapping, pgoff)
                        return SCAN_SUCCEED
                    }
                }, breaks: kind, shape(), era: .v6_5, sourceLocation: sourceLocation, setup: prepare, racers[0],
                racers[1])
        }

        @Test func aMissingFlushIsNoticed() {
            Self.raceForStores {
                $0.change_protection = { vma, start, end, prot, flags in
                    let flush = ops.flush_tlb_mm_range
                    ops.flush_tlb_mm_range = { _, _, _ in }
                    defer { ops.flush_tlb_mm_range = flush }
                    return originalOps.change_protection(vma, start, end, prot, flags)
                }
            } _: {
                write()
            }
        }

        @Test func aFaultThatDoesNotWaitIsNoticed() {
            Self.raceForStores {
                $0.handle_userfault = { vmf, _ in
                    let mm = vmf.pointee.vma.vm_mm
                    _ = ops.change_protection(
                        vmf.pointee.vma, vmf.pointee.address, vmf.pointee.address + PAGE_SIZE,
                        vm_page_prot(vmf.pointee.vma), MM_CP_UFFD_WP_RESOLVE)
                    up_read(mm.mmap_lock)
                    return VM_FAULT_RETRY
                }
            } _: {
                read()
            }
        }

        @Test func aSleeperThatNobodyWakesIsNoticed() {
            TestMachine.raceOfMutant(
                { $0.userfaultfd_copy = { originalOps.userfaultfd_copy($0, $1, $2 | UFFDIO_COPY_MODE_DONTWAKE, $3) } },
                breaks: VIOLATION_bug_on, shape(), era: .v6_5,
                setup: {
                    mapMemory()
                    register(MISSING)
                }, .init(0) { mustEnd(.read) }, .init(0) { copy() })
        }

        // MARK: - Mutants alone

        /// A kernel that forgets to leave a marker, where nothing else could tell.
        @Test func aLostMarkerIsNoticed() {
            func violations(_ mutant: (kernel_ops) -> Void) -> UInt32 {
                TestMachine.violations(shape(), era: .v6_5, mutant: mutant) {
                    mapMemory(0, shared: true)
                    write()
                    register(WP)
                    protect()
                    perform(.madvise, Int(base), page, Int(MADV_PAGEOUT))
                    write()
                }
            }
            #expect(violations { _ in } == 0)
            let broken = violations {
                $0.try_to_unmap_one = { page, vma, address, arg in
                    let flags = vma.vm_flags
                    vma.vm_flags &= ~VM_UFFD_WP
                    defer { vma.vm_flags = flags }
                    return originalUnmap(page, vma, address, arg)
                }
            }
            #expect(broken == 1 << VIOLATION_lost_entry.rawValue)
        }

        /// Filled memory that is lost reads as zeros.
        @Test func lostContentIsNoticed() {
            func violations(_ mutant: (kernel_ops) -> Void) -> UInt32 {
                TestMachine.violations(shape(), era: .v6_5, mutant: mutant) {
                    mapMemory(0)
                    register(MISSING)
                    copy()
                    perform(.uffd_unregister, Int(base), 4 * page)
                    ops.zap_page_range(ops.find_vma(current.mm!, base)!, base, PAGE_SIZE)
                    read()
                }
            }
            #expect(violations { _ in } == 1 << VIOLATION_user_data.rawValue)
        }
    }
}

/// retract_page_tables() that takes each page table, whatever its vma is used for.
private func retractWithoutLooking(_ mapping: address_space, _ pgoff: UInt) {
    down_read(mapping.i_mmap_rwsem)
    var next = vma_interval_tree_first(mapping, pgoff, pgoff)
    while let vma = next {
        next = vma_interval_tree_next(mapping, vma, pgoff, pgoff)
        let address = vma.vm_start + (pgoff - vma.vm_pgoff) << UInt(PAGE_SHIFT)
        let pmd = pmd_offset(vma.vm_mm, address)
        let pml = pmd_lock(vma.vm_mm, pmd)
        guard pmd_is_table(pmd.pointee) else {
            spin_unlock(pml)
            continue
        }
        let table = pmd_page_table(pmd.pointee)
        spin_lock(table.ptl, subclass: 1)
        pmd_clear(pmd)
        ops.flush_tlb_mm_range(vma.vm_mm, address, address + PMD_SIZE())
        spin_unlock(table.ptl)
        spin_unlock(pml)
        mm_dec_nr_ptes(vma.vm_mm)
        ops.pte_free_defer(vma.vm_mm, table)
    }
    up_read(mapping.i_mmap_rwsem)
}

nonisolated(unsafe) private let originalOps = makeOperationsTable(Era.v6_5.install)

/// What the mutant of aLostMarkerIsNoticed() breaks.
nonisolated(unsafe) private let originalUnmap = makeOperationsTable(Era.v6_5.install).try_to_unmap_one
