// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// RCU read sections, and sections that own their CPU.
    @Suite struct SectionTests {
        /// Boots with a cache of four objects, the first of which the programs find in word 2.
        private func bootWithCache(typesafe: Bool, _ programs: TinyMachine.Program...) {
            TinyMachine.boot(programs)
            kmem_cache_create(CACHE_anon_vma, size: 32, count: 4, typesafeByRCU: typesafe)
            TinyMachine.word(2).pointee = Int(bitPattern: kmem_cache_zalloc(CACHE_anon_vma))
            TinyMachine.arena.keepAsTemplate()
        }

        @Test func memoryLivesUntilTheReaderHasLeft() {
            bootWithCache(
                typesafe: false,
                {
                    rcu_read_lock()
                    let object = sharedObject()
                    yield_point("object")
                    if let object, !isLive(CACHE_anon_vma, object) { note(9) }
                    rcu_read_unlock()
                },
                {
                    let object = sharedObject()!
                    TinyMachine.word(2).pointee = 0
                    kfree_rcu(CACHE_anon_vma, object)
                })
            let result = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0 && diary == 0)
                #expect(kernel.cache(Int(CACHE_anon_vma.rawValue)).pointee.live == 0)
            }
            #expect(result.complete)
        }

        @Test func memoryIsFreedWhenTheLastReaderLeaves() {
            bootWithCache(
                typesafe: false, readTwice, readTwice, { kfree_rcu(CACHE_anon_vma, sharedObject()!) }, readTwice)
            TinyMachine.start()
            TinyMachine.step(0, 1, 2)
            let cache = kernel.cache(Int(CACHE_anon_vma.rawValue))
            // A section that begins after the free is not waited for.
            TinyMachine.step(3)
            #expect(cache.pointee.live == 1 && cache.pointee.pending == 1)
            TinyMachine.step(0)
            #expect(cache.pointee.live == 1)
            TinyMachine.step(1)
            #expect(cache.pointee.live == 0 && cache.pointee.pending == 0)
            #expect(sharedObject()!.load(as: UInt8.self) == 0x6b)
        }

        @Test func typesafeMemoryIsReusedAtOnceAndNotPoisoned() {
            bootWithCache(
                typesafe: true, readTwice,
                {
                    let object = sharedObject()!
                    object.storeBytes(of: 0x1234, as: Int.self)
                    kmem_cache_free(CACHE_anon_vma, object)
                    yield_point("freed")
                    if kmem_cache_zalloc(CACHE_anon_vma) == object { note(1) }
                })
            TinyMachine.start()
            TinyMachine.step(0, 1)
            #expect(sharedObject()!.load(as: Int.self) == 0x1234)
            TinyMachine.step(1)
            #expect(diary == 1)
            #expect(sharedObject()!.load(as: Int.self) == 0x1234)
        }

        @Test func aGracePeriodWaitsForThoseWhoWereIn() {
            TinyMachine.boot(
                readTwice,
                {
                    synchronize_rcu()
                    note(1)
                }, readTwice)
            TinyMachine.start()
            TinyMachine.step(0, 1, 1)
            #expect(TinyMachine.runnable == [0, 2])
            TinyMachine.step(2)
            #expect(TinyMachine.runnable == [0, 2])
            TinyMachine.step(0)
            #expect(TinyMachine.runnable == [1, 2])
            TinyMachine.step(1)
            #expect(diary == 1)
        }

        @Test func freeingTwiceIsSeen() {
            bootWithCache(
                typesafe: false,
                {
                    kmem_cache_free(CACHE_anon_vma, sharedObject()!)
                    kmem_cache_free(CACHE_anon_vma, sharedObject()!)
                })
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
            #expect(onlyViolated(VIOLATION_freed_reachable))
        }

        @Test func anInterruptWaitsForItsCPU() {
            TinyMachine.boot(
                {
                    local_irq_disable()
                    yield_point("irqs_off")
                    local_irq_enable()
                    yield_point("irqs_on")
                },
                {
                    interruptCPUs(1 << 0)
                    note(1)
                }, { interruptCPUs(1 << 2 | 1 << 3) })
            TinyMachine.start()
            TinyMachine.step(0, 1, 1, 2)
            #expect(TinyMachine.runnable == [0, 2])
            TinyMachine.step(0)
            #expect(TinyMachine.runnable == [0, 1, 2])
            TinyMachine.step(1, 2)
            #expect(diary == 1)
        }

        @Test func aSectionWithoutPreemptionOwnsItsCPU() {
            let program: TinyMachine.Program = {
                preempt_disable()
                note(Int(kernel.current.number) + 1)
                yield_point("inside")
                note(Int(kernel.current.number) + 1)
                preempt_enable()
            }
            TinyMachine.boot(program, program, program, cpus: [0, 0, 1])
            var mixed = false
            _ = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE)
                let own = String(diary).filter { $0 != "3" }
                #expect(own == "1122" || own == "2211")
                mixed = mixed || String(diary).contains("131")
            }
            #expect(mixed)
        }
    }
}

private func sharedObject() -> UnsafeMutableRawPointer? {
    UnsafeMutableRawPointer(bitPattern: TinyMachine.word(2).pointee)
}

private let readTwice: TinyMachine.Program = {
    rcu_read_lock()
    yield_point("object")
    rcu_read_unlock()
}
