// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Simulation
import Testing

@testable import KernelModel

private let base: UInt = 8 * PAGE_SIZE
private let readWrite = Int(PROT_READ | PROT_WRITE)
private let longterm = Int(FOLL_WRITE | FOLL_LONGTERM)

/// A step of its own: what it writes nobody wrote before.
@discardableResult
private func perform(_ operation: KernelModel.Operation, _ arguments: Int...) -> Int {
    current.op += 1
    return arguments.withUnsafeBufferPointer { operation.body($0.baseAddress!) }
}

private func mapAnonymous() {
    let flags = Int(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS)
    #expect(perform(.mmap, Int(base), 2 * Int(PAGE_SIZE), readWrite, flags, 0, 0) == Int(base))
    _ = perform(.write, Int(base))
}

extension KernelModelTests {
    /// Devices that work through pins.
    @Suite struct PinTests {
        @Test func theDeviceAndTheProcessShareThePage() {
            TestMachine.run {
                mapAnonymous()
                #expect(perform(.pin_read, 0, Int(base)) == -Int(EINVAL))
                #expect(perform(.pin, Int(base), longterm) == 0)
                let written = perform(.pin_write, 0, Int(base))
                #expect(perform(.read, Int(base)) == written)
                let stored = perform(.write, Int(base))
                #expect(stored != written && perform(.pin_read, 0, Int(base)) == stored)
                #expect(perform(.unpin, Int(base)) == 0)
                #expect(perform(.read, Int(base)) == stored)
                #expect(perform(.pin_write, 0, Int(base)) == -Int(EINVAL))
            }
        }

        @Test func aPinForReadingIsForReading() {
            TestMachine.run {
                mapAnonymous()
                let stored = load(base)
                #expect(perform(.pin, Int(base), 0) == 0)
                #expect(perform(.pin_write, 0, Int(base)) == -Int(EFAULT))
                #expect(perform(.pin_read, 0, Int(base)) == stored)
                #expect(perform(.unpin, Int(base)) == stored)
            }
        }

        @Test func aPinOutlivesTheMapping() {
            TestMachine.run {
                mapAnonymous()
                #expect(perform(.pin, Int(base), longterm) == 0)
                let free = freePages()
                #expect(perform(.munmap, Int(base), 2 * Int(PAGE_SIZE)) == 0)
                mapAnonymous()
                let stored = load(base)
                let written = perform(.pin_write, 0, Int(base))
                #expect(perform(.pin_read, 0, Int(base)) == written && load(base) == stored)
                #expect(perform(.unpin, Int(base)) == 0)
                ops.lru_add_drain_all()
                #expect(freePages() == free)
            }
        }

        @Test func onlyTheEndOfThePinMakesThePageDirty() {
            var shape = MachineShape()
            shape.files = [MachineShape.File(kind: .disk, size: 2)]
            TestMachine.run(shape) {
                let file = kernel.file(0)
                #expect(
                    perform(.mmap, Int(base), 2 * Int(PAGE_SIZE), readWrite, Int(MAP_SHARED | MAP_FIXED), 0, 0)
                        == Int(base))
                #expect(perform(.pin, Int(base), longterm) == 0)
                #expect(perform(.writeback, 0) >= 0)
                let page = unsafeBitCast(file.slot(0).pointee, to: page.self)
                let written = perform(.pin_write, 0, Int(base))
                #expect(!PageDirty(page) && file.disk(0).pointee != UInt64(written))
                #expect(perform(.unpin, Int(base)) == 0)
                #expect(PageDirty(page))
                _ = perform(.writeback, 0)
                #expect(file.disk(0).pointee == UInt64(written))
            }
        }

        private func work() {
            for _ in 0..<3 {
                _ = perform(.pin_write, 0, Int(base))
                _ = perform(.pin_read, 0, Int(base))
            }
        }

        private func touch() {
            for _ in 0..<2 {
                _ = perform(.read, Int(base))
                _ = perform(.write, Int(base))
            }
        }

        @Test(arguments: [Int(FOLL_WRITE), longterm]) func againstEverything(flags: Int) {
            TestMachine.race(
                setup: {
                    mapAnonymous()
                    _ = perform(.pin, Int(base), flags)
                }, .init(0, work), .init(0, touch),
                .init(0) {
                    _ = perform(.fork, 1)
                    _ = perform(.madvise, Int(base), Int(PAGE_SIZE), Int(MADV_PAGEOUT))
                    _ = perform(.mremap, Int(base), Int(PAGE_SIZE), Int(PAGE_SIZE), 3, Int(base + 4 * PAGE_SIZE))
                    _ = perform(.read, Int(base + 4 * PAGE_SIZE))
                    mapAnonymous()
                    _ = perform(.unpin, Int(base))
                    _ = perform(.pin, Int(base), flags)
                })
        }

        @Test func aFailedCallAgainstTheDevice() {
            // A call that leaves all as it was must not bring back what was expected before the device wrote.
            TestMachine.race(
                setup: {
                    mapAnonymous()
                    _ = perform(.pin, Int(base), longterm)
                }, .init(0, work),
                .init(0) {
                    _ = perform(.mmap, Int(base), Int(PAGE_SIZE), readWrite, Int(MAP_PRIVATE), 7, 0)
                    _ = perform(.munmap, Int(base), 0)
                    _ = perform(.mremap, Int(base), 2 * Int(PAGE_SIZE), Int(PAGE_SIZE), 0, 0)
                    _ = perform(.read, Int(base))
                })
        }

        @Test func aPinWithoutAReferenceIsNoticed() {
            let violations = TestMachine.violations(
                MachineShape(), mutant: { $0.unpin_user_page = { _ in } }, atRest: {},
                {
                    mapAnonymous()
                    _ = perform(.pin, Int(base), longterm)
                    let page = kernel.pin(0).pointee.page!
                    page_ref_sub(page, GUP_PIN_COUNTING_BIAS)
                    _ = perform(.munmap, Int(base), 2 * Int(PAGE_SIZE))
                    _ = perform(.pin_write, 0, Int(base))
                    _ = perform(.unpin, Int(base))
                })
            #expect(violations & 1 << VIOLATION_freed_reachable.rawValue != 0)
        }
    }
}
