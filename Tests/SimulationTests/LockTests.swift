// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Testing

@testable import Simulation

extension SimulationTests {
    /// Who gets a lock, and when.
    @Suite struct LockTests {
        @Test func aHeldSpinlockKeepsOthersOut() {
            TinyMachine.boot(noteUnderLock, noteUnderLock)
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1)
            #expect(TinyMachine.lock(0).owner == 1)
            #expect(TinyMachine.runnable == [0])
            TinyMachine.step(0)
            #expect(TinyMachine.runnable == [1])
            TinyMachine.step(1)
            #expect(diary == 11)
        }

        /// Only there, only in changed functions; its release stays.
        @Test func aLockCanBeLeftOut() {
            func run(inChanged: UInt8, leftOut place: Int?) -> run_end {
                TinyMachine.boot(noteUnderLock, noteUnderLock)
                watchLocks()
                kernel.lock_left_out = UInt16(place.map { $0 + 1 } ?? 0)
                kernel.task(1).in_changed = inChanged
                TinyMachine.arena.keepAsTemplate()
                return TinyMachine.run(.random(seed: 1, switchChance: 0))
            }
            #expect(run(inChanged: 1, leftOut: nil) == RUN_COMPLETE && kernel.violations == 0)
            let places = acquisitions()
            #expect(places.count == 1 && places[0].times == 1)
            #expect(run(inChanged: 0, leftOut: places[0].place) == RUN_COMPLETE && kernel.violations == 0)
            #expect(acquisitions().isEmpty)
            #expect(run(inChanged: 1, leftOut: places[0].place + 1) == RUN_COMPLETE && kernel.violations == 0)
            #expect(run(inChanged: 1, leftOut: places[0].place) == RUN_BUG && onlyViolated(VIOLATION_bad_unlock))
        }

        @Test func trylockFailsWhereTheLockIsHeld() {
            TinyMachine.boot(
                noteUnderLock,
                {
                    if spin_trylock(TinyMachine.lock(0)) {
                        note(5)
                        spin_unlock(TinyMachine.lock(0))
                    } else {
                        note(6)
                    }
                })
            var diaries: Set<Int> = []
            _ = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0)
                diaries.insert(diary)
            }
            #expect(diaries == [15, 51, 16])
        }

        @Test func readersShare() {
            TinyMachine.boot(read, read)
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1)
            #expect(TinyMachine.semaphore.readers == 2)
            #expect(TinyMachine.runnable == [0, 1])
        }

        @Test func aReaderQueuesBehindAWriterThatWaits() {
            TinyMachine.boot(read, write, read)
            TinyMachine.start()
            // The first reader is in, the writer waits, the second reader comes.
            TinyMachine.step(0, 0, 1, 1, 2, 2)
            #expect(TinyMachine.runnable == [0])
            TinyMachine.step(0)
            #expect(TinyMachine.runnable == [1])
            // Now the writer runs to its end, since nobody else can, and lets the reader in.
            TinyMachine.step(1)
            #expect(TinyMachine.runnable == [2])
            TinyMachine.step(2)
            #expect(diary == 123)
            #expect(TinyMachine.end == RUN_COMPLETE)
        }

        @Test func aReaderThatWaitedLongerGoesBeforeTheWriter() {
            TinyMachine.boot(write, read, write)
            TinyMachine.start()
            // The first writer is in; a reader waits, then another writer.
            TinyMachine.step(0, 0, 1, 1, 2, 2, 0)
            #expect(TinyMachine.runnable == [1, 2])
            TinyMachine.step(1)
            #expect(diary == 12)
            #expect(TinyMachine.runnable == [2])
        }

        @Test func aWriterMayStealALockThatIsFree() {
            TinyMachine.boot(write, write, write)
            TinyMachine.start()
            // Task 1 waits for task 0; task 2 comes when the lock has just become free.
            TinyMachine.step(0, 0, 1, 1, 2, 0, 2)
            #expect(diary == 13)
            #expect(TinyMachine.runnable == [1])
        }

        @Test func aDowngradedWriterLetsReadersIn() {
            TinyMachine.boot(
                {
                    down_write(TinyMachine.semaphore)
                    note(1)
                    downgrade_write(TinyMachine.semaphore)
                    yield_point("between")
                    up_read(TinyMachine.semaphore)
                }, read, write)
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1)
            #expect(TinyMachine.runnable == [0, 2])
            TinyMachine.step(0)
            #expect(TinyMachine.semaphore.writer == 0 && TinyMachine.semaphore.readers == 1)
            #expect(TinyMachine.runnable == [0, 1, 2])
            // A writer that comes now waits for both.
            TinyMachine.step(1, 2, 2)
            #expect(TinyMachine.semaphore.readers == 2)
            #expect(TinyMachine.runnable == [0, 1])
            TinyMachine.step(0, 0)
            #expect(TinyMachine.runnable == [1])
            TinyMachine.step(1)
            #expect(TinyMachine.runnable == [2])
        }

        @Test func trylocksOfASemaphore() {
            TinyMachine.boot(
                read,
                {
                    if down_read_trylock(TinyMachine.semaphore) {
                        note(4)
                        up_read(TinyMachine.semaphore)
                    }
                },
                {
                    if down_write_trylock(TinyMachine.semaphore) {
                        note(5)
                        up_write(TinyMachine.semaphore)
                    } else {
                        note(6)
                    }
                })
            TinyMachine.start()
            TinyMachine.step(0, 0, 1, 1, 2, 2)
            #expect(diary == 146)
            #expect(TinyMachine.semaphore.readers == 2)
        }

        @Test func writersExcludeEachOtherAndReaders() {
            TinyMachine.boot(
                {
                    down_write(TinyMachine.semaphore)
                    let value = TinyMachine.word(1).pointee
                    yield_point("word")
                    TinyMachine.word(1).pointee = value + 1
                    up_write(TinyMachine.semaphore)
                },
                {
                    down_read(TinyMachine.semaphore)
                    let value = TinyMachine.word(1).pointee
                    yield_point("word")
                    if TinyMachine.word(1).pointee != value { note(9) }
                    up_read(TinyMachine.semaphore)
                })
            let result = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0 && diary == 0)
                #expect(TinyMachine.word(1).pointee == 1)
            }
            #expect(result.complete)
        }

        @Test func aMutexExcludes() {
            let program: TinyMachine.Program = {
                mutex_lock(TinyMachine.sleepingLock)
                let value = TinyMachine.word(1).pointee
                yield_point("word")
                TinyMachine.word(1).pointee = value + 1
                mutex_unlock(TinyMachine.sleepingLock)
            }
            TinyMachine.boot(program, program, cpus: [0, 0])
            _ = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0)
                #expect(TinyMachine.word(1).pointee == 2)
            }
        }

        @Test func pageLocksWait() {
            let program: TinyMachine.Program = {
                lock_page(kernel.mem_map)
                let value = TinyMachine.word(1).pointee
                yield_point("word")
                TinyMachine.word(1).pointee = value + 1
                unlock_page(kernel.mem_map)
            }
            TinyMachine.boot(program, program)
            _ = TinyMachine.search { end in
                #expect(end == RUN_COMPLETE && kernel.violations == 0)
                #expect(TinyMachine.word(1).pointee == 2)
            }
        }
    }
}

private let noteUnderLock: TinyMachine.Program = {
    spin_lock(TinyMachine.lock(0))
    note(1)
    spin_unlock(TinyMachine.lock(0))
}

private let read: TinyMachine.Program = {
    down_read(TinyMachine.semaphore)
    note(Int(kernel.current.number) + 1)
    up_read(TinyMachine.semaphore)
}

private let write: TinyMachine.Program = {
    down_write(TinyMachine.semaphore)
    note(Int(kernel.current.number) + 1)
    up_write(TinyMachine.semaphore)
}
