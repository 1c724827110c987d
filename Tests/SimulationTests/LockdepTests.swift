// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// Each mistake that a lock's user can make, beside the same done right.
    @Suite struct LockdepTests {
        @Test func locksInBothOrders() {
            TinyMachine.boot(nest01, nest10)
            // Nobody meets anybody in this schedule, and yet the order is wrong.
            #expect(TinyMachine.run(.random(seed: 1, switchChance: 0)) == RUN_COMPLETE)
            #expect(onlyViolated(VIOLATION_lock_order))
            TinyMachine.boot(nest01, nest01)
            _ = TinyMachine.search { _ in #expect(kernel.violations == 0) }
        }

        @Test func twoOfAClassNeedASubclass() {
            TinyMachine.boot({
                spin_lock(TinyMachine.lock(0))
                spin_lock_init(TinyMachine.lock(1), LOCK_ptl)
                spin_lock(TinyMachine.lock(1))
                spin_unlock(TinyMachine.lock(1))
                spin_unlock(TinyMachine.lock(0))
            })
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
            #expect(onlyViolated(VIOLATION_lock_order))
            TinyMachine.boot({
                spin_lock(TinyMachine.lock(0))
                spin_lock_init(TinyMachine.lock(1), LOCK_ptl)
                spin_lock(TinyMachine.lock(1), subclass: 1)
                spin_unlock(TinyMachine.lock(1))
                spin_unlock(TinyMachine.lock(0))
            })
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
            #expect(kernel.violations == 0)
        }

        @Test func whatIsHeldAtReturn() {
            let mistakes: [TinyMachine.Program] = [
                { spin_lock(TinyMachine.lock(0)) }, { down_read(TinyMachine.semaphore) }, { rcu_read_lock() },
                { preempt_disable() }, { local_irq_disable() }, { lock_page(kernel.mem_map) },
            ]
            for mistake in mistakes {
                TinyMachine.boot(mistake)
                runChecked()
                #expect(onlyViolated(VIOLATION_held_at_return))
            }
            TinyMachine.boot(nest01)
            runChecked()
            #expect(kernel.violations == 0)
        }

        private func runChecked() {
            scheduler.run_op = { task, op in
                guard op == 0 else { return false }
                TinyMachine.runProgram(of: task)
                checkNothingHeldAtReturn()
                return true
            }
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
        }

        @Test func sleepingWhileAtomic() {
            let mistakes: [TinyMachine.Program] = [
                {
                    spin_lock(TinyMachine.lock(0))
                    down_read(TinyMachine.semaphore)
                    up_read(TinyMachine.semaphore)
                    spin_unlock(TinyMachine.lock(0))
                },
                {
                    rcu_read_lock()
                    lock_page(kernel.mem_map)
                    unlock_page(kernel.mem_map)
                    rcu_read_unlock()
                },
                {
                    local_irq_disable()
                    might_sleep()
                    local_irq_enable()
                },
                {
                    preempt_disable()
                    mutex_lock(TinyMachine.sleepingLock)
                    mutex_unlock(TinyMachine.sleepingLock)
                    preempt_enable()
                },
            ]
            for mistake in mistakes {
                TinyMachine.boot(mistake)
                #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
                #expect(onlyViolated(VIOLATION_sleeping_in_atomic))
            }
            TinyMachine.boot({
                down_read(TinyMachine.semaphore)
                might_sleep()
                up_read(TinyMachine.semaphore)
            })
            #expect(TinyMachine.run(.roundRobin) == RUN_COMPLETE)
            #expect(kernel.violations == 0)
        }

        @Test func unlockingWhatIsNotHeld() {
            let mistakes: [TinyMachine.Program] = [
                { spin_unlock(TinyMachine.lock(0)) }, { up_read(TinyMachine.semaphore) },
                { up_write(TinyMachine.semaphore) }, { unlock_page(kernel.mem_map) },
                { mutex_unlock(TinyMachine.sleepingLock) },
            ]
            for mistake in mistakes {
                TinyMachine.boot(mistake)
                #expect(TinyMachine.run(.roundRobin) == RUN_BUG)
                #expect(onlyViolated(VIOLATION_bad_unlock))
            }
        }

        @Test func unlockingWhatAnotherHolds() {
            TinyMachine.boot(
                {
                    spin_lock(TinyMachine.lock(0))
                    yield_point("inside")
                    spin_unlock(TinyMachine.lock(0))
                },
                {
                    if TinyMachine.lock(0).owner != 0 { spin_unlock(TinyMachine.lock(0)) }
                })
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1)
            #expect(TinyMachine.end == RUN_BUG && onlyViolated(VIOLATION_bad_unlock))
        }

        @Test func aLockWhoseMemoryWasFreed() {
            TinyMachine.boot({
                // What the slab leaves behind.
                TinyMachine.lock(0).class_ = 0x6b
                spin_lock(TinyMachine.lock(0))
            })
            #expect(TinyMachine.run(.roundRobin) == RUN_BUG)
            #expect(onlyViolated(VIOLATION_freed_reachable))
        }

        @Test func waitingForOneself() {
            let mistakes: [TinyMachine.Program] = [
                {
                    spin_lock(TinyMachine.lock(0))
                    spin_lock(TinyMachine.lock(0), subclass: 1)
                },
                {
                    down_write(TinyMachine.semaphore)
                    down_read(TinyMachine.semaphore)
                },
                {
                    down_read(TinyMachine.semaphore)
                    down_write(TinyMachine.semaphore)
                },
                {
                    lock_page(kernel.mem_map)
                    lock_page(kernel.mem_map)
                },
                {
                    mutex_lock(TinyMachine.sleepingLock)
                    mutex_lock(TinyMachine.sleepingLock)
                },
            ]
            for (mistake, lock) in zip(
                mistakes, ["ptl", "mmap_lock", "mmap_lock", "page_lock", "lru_add_drain_all"])
            {
                TinyMachine.boot(mistake)
                #expect(TinyMachine.run(.roundRobin) == RUN_DEADLOCK)
                #expect(onlyViolated(VIOLATION_self_deadlock))
                #expect(waitForCycle() == ["t0 waits for \(lock), held by t0"])
            }
        }

        @Test func locksThatWaitForEachOther() {
            TinyMachine.boot(nest01, nest10)
            var deadlocks = 0
            let result = TinyMachine.search { end in
                guard end == RUN_DEADLOCK else { return }
                deadlocks += 1
                #expect(waitForCycle() == ["t0 waits for lru_lock, held by t1", "t1 waits for ptl, held by t0"])
            }
            #expect(deadlocks > 0 && deadlocks < result.schedules)
            TinyMachine.boot(nest01, nest01)
            _ = TinyMachine.search { #expect($0 == RUN_COMPLETE) }
        }

        @Test func aCycleOfThreeBehindABystander() {
            TinyMachine.boot(
                { spin_lock(TinyMachine.lock(0)) }, nest01,
                {
                    spin_lock(TinyMachine.lock(1))
                    spin_lock(TinyMachine.lock(2))
                },
                {
                    spin_lock(TinyMachine.lock(2))
                    spin_lock(TinyMachine.lock(0))
                })
            TinyMachine.start()
            TinyMachine.step(1, 1, 2, 2, 3, 3, 0, 0, 1, 2, 3)
            #expect(TinyMachine.runnable == [])
            #expect(
                waitForCycle() == [
                    "t1 waits for lru_lock, held by t2", "t2 waits for i_pages, held by t3",
                    "t3 waits for ptl, held by t1",
                ])
        }

        @Test func aReaderThatReturnsBehindAWriter() {
            TinyMachine.boot(
                {
                    down_read(TinyMachine.semaphore)
                    yield_point("again")
                    down_read(TinyMachine.semaphore)
                },
                {
                    down_write(TinyMachine.semaphore)
                    up_write(TinyMachine.semaphore)
                })
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1, 0)
            #expect(TinyMachine.end == RUN_DEADLOCK)
            #expect(
                waitForCycle() == ["t0 waits for mmap_lock, behind t1", "t1 waits for mmap_lock, held by t0"])
        }

        @Test func aLockThatStaysHeld() {
            let takes: TinyMachine.Program = { spin_lock(TinyMachine.lock(0)) }
            TinyMachine.boot(takes, takes)
            #expect(TinyMachine.run(.roundRobin) == RUN_DEADLOCK)
            #expect(waitForCycle() == ["t1 waits for ptl, held by t0"])
            #expect(deadlockedOn() == 1 << UInt64(LOCK_ptl.rawValue))
        }

        /// Who left a spinlock held keeps his CPU as well, and others may not even come for the lock.
        @Test func aCPUThatStaysKept() {
            TinyMachine.boot(
                { spin_lock(TinyMachine.lock(0)) },
                {
                    down_write(TinyMachine.semaphore)
                    yield_point("word")
                }, { down_write(TinyMachine.semaphore) }, cpus: [0, 0, 1])
            TinyMachine.start()
            TinyMachine.step(1, 1, 2, 2, 0, 0)
            #expect(TinyMachine.end == RUN_DEADLOCK)
            #expect(
                waitForCycle() == [
                    "t1 waits for CPU 0, behind t0, which holds ptl", "t2 waits for mmap_lock, held by t1",
                ])
            #expect(deadlockedOn() == 1 << UInt64(LOCK_ptl.rawValue))
        }

        /// Who could have what he waits for, if only he could run, waits for his CPU.
        @Test func waitingForALockThatIsFree() {
            TinyMachine.boot(
                {
                    down_write(TinyMachine.semaphore)
                    yield_point("word")
                    up_write(TinyMachine.semaphore)
                    spin_lock(TinyMachine.lock(0))
                }, { down_write(TinyMachine.semaphore) }, cpus: [0, 0])
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1, 0, 0)
            #expect(TinyMachine.end == RUN_DEADLOCK)
            #expect(waitForCycle() == ["t1 waits for CPU 0, behind t0, which holds ptl"])
        }

        /// Who waits behind somebody who waits says nothing of why.
        @Test func whatADeadlockIsAbout() {
            TinyMachine.boot(
                { spin_lock(TinyMachine.lock(0)) },
                {
                    down_write(TinyMachine.semaphore)
                    spin_lock(TinyMachine.lock(0))
                }, { down_write(TinyMachine.semaphore) })
            #expect(TinyMachine.run(.roundRobin) == RUN_DEADLOCK)
            #expect(waitForCycle().count == 2)
            #expect(deadlockedOn() == 1 << UInt64(LOCK_ptl.rawValue))
        }

        @Test func waitingForWhatNobodyDoes() {
            TinyMachine.boot({
                SetPageWriteback(kernel.mem_map)
                wait_on_page_writeback(kernel.mem_map)
            })
            #expect(TinyMachine.run(.roundRobin) == RUN_DEADLOCK)
            #expect(waitForCycle() == ["t0 waits for the end of writeback"])
            #expect(deadlockedOn() == 1 << UInt64(NR_LOCK_CLASSES.rawValue + WAIT_PAGE_WRITEBACK.rawValue))
        }

        @Test func anEndlessLoopEnds() {
            TinyMachine.boot(
                {
                    while TinyMachine.word(1).pointee == 0 { yield_point("word") }
                }, stepLimit: 100)
            #expect(TinyMachine.run(.roundRobin) == RUN_STEP_LIMIT)
            #expect(kernel.steps == 101)
        }
    }
}

private let nest01: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(0))
    spin_lock(TinyMachine.lock(1))
    spin_unlock(TinyMachine.lock(1))
    spin_unlock(TinyMachine.lock(0))
}

private let nest10: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(1))
    spin_lock(TinyMachine.lock(0))
    spin_unlock(TinyMachine.lock(0))
    spin_unlock(TinyMachine.lock(1))
}
