// SPDX-License-Identifier: GPL-2.0-only
// The language: what is printed, and that it is read back as it was.

import KernelModel
import Testing
import Traces

/// Everything the language has, in canonical form.
let example = """
    mmdiff trace 1
    # Two processes share a page of a file; one locks it while the other unlocks it.
    era v5.13
    machine cpus=2 nodes=2 pages=24 ptes=8 pmds=4 swap=6 pagevec=15 movable=1
    file f0 shmem pages=4 huge
    file f1 disk pages=2
    # runs first, alone, in order
    setup
      r0 = p0 mmap(0x10000, 0x4000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
      p0 write(r0)
      p0 fork(p1)  # shares all of it
      # the pages go to swap
      kernel kswapd(1)
      r1 = p1 mmap(0, 0x1000, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -, 0)
    task t0 p0 cpu=0
      munlock(r0+0x1000, 0xfffffffffffff000)
      r2 = mmap(r0-0x1000, 0, 0, 0, -, 3)
      write(r2)
    # a second thread of p1 would be t2
    task t1 p1 cpu=1
      mlock(r0, 0x2000)
      madvise(r1, 0x1000, MADV_DONTNEED)
      fork(p2)
      exit()
    task t2 kernel cpu=1
      kswapd(0)
      compact(-2)
    task t3 device cpu=0
      secondary_fault(p2, r0+0x1000)
    schedule
      start t1
      t1 op 0 page_mlock_one:vm_flags #1 -> t0  # preempted there
      t0 op 0 munlock_vma_pages_range:vm_stat[item + 1] #255 => t1
      t1 op 1 munlock_page:cpu #2 -> cpu0
    # the end

    """.replacing("\n\n", with: "\n")

@Suite struct TextTests {
    @Test func canonicalTextIsPrintedAsItWasRead() throws {
        // PROT_NONE and 0 are the same value; the name is canonical.
        let canonical = example.replacing(
            "mmap(r0-0x1000, 0, 0, 0, -, 3)", with: "mmap(r0-0x1000, 0, PROT_NONE, 0, -, 3)")
        let trace = try parse(example)
        #expect(trace.description == canonical)
        #expect(try parse(canonical) == trace)
    }

    @Test func whatIsReadIsWhatIsMeant() throws {
        let trace = try parse(example)
        #expect(trace.remarks.above.count == 1)
        #expect(trace.machine.nodes == 2 && trace.machine.movableNode == 1)
        #expect(trace.machine.ptrsPerPmd == 4 && trace.machine.swapSlots == 6)
        #expect(trace.machine.files == [.init(kind: .shmem, size: 4, huge: true), .init(kind: .disk, size: 2)])
        #expect(trace.setup.remarks.above == ["runs first, alone, in order"])
        #expect(trace.setup.steps.map(\.performer) == [.process(0), .process(0), .process(0), .kernel, .process(1)])
        #expect(
            trace.setup.steps[0].step
                == Step(
                    result: 0, op("mmap"),
                    [.value(0x10000), .value(0x4000), .value(3), .value(0x11), .value(0), .value(0)]))
        #expect(trace.setup.steps[2].step.remarks == Remarks(beside: "shares all of it"))
        #expect(trace.setup.steps[3].step.remarks == Remarks(above: ["the pages go to swap"]))
        #expect(
            trace.tasks[0].steps[0].arguments
                == [.result(0, offset: 0x1000), .value(Int(bitPattern: 0xffff_ffff_ffff_f000))])
        #expect(trace.tasks[0].steps[1].arguments[0] == .result(0, offset: -0x1000))
        #expect(trace.tasks[0].steps[1].arguments[4] == .value(noFile))
        #expect(trace.tasks.map(\.performer) == [.process(0), .process(1), .kernel, .device])
        #expect(trace.tasks.map(\.cpu) == [0, 1, 1, 0])
        #expect(trace.schedule?.start == 1)
        #expect(
            trace.schedule?.decisions
                == [
                    Decision(
                        remarks: Remarks(beside: "preempted there"), task: 1, op: 0, function: "page_mlock_one",
                        label: "vm_flags", occurrence: 1, forced: false, next: 0),
                    Decision(
                        task: 0, op: 0, function: "munlock_vma_pages_range", label: "vm_stat[item + 1]",
                        occurrence: 255, forced: true, next: 1),
                    Decision(
                        task: 1, op: 1, function: "munlock_page", label: "cpu", occurrence: 2, forced: false, next: 1,
                        cpu: 0),
                ])
        #expect(trace.closingRemarks == ["the end"])
    }

    @Test func layoutIsFree() throws {
        let loose = """
            # before everything\r
            mmdiff  trace\t1 # first
            \t
            era v5.13#second
            machine swap=3   cpus=1
            task   t0 p0   cpu=0
            mlock ( 4096,0x1000 )   #  third
            	r7=mmap(0x00,0x0,PROT_WRITE | PROT_READ|PROT_READ,0x22,-,0)
            read(r7 + 1)
            """
        #expect(
            try parse(loose).description == """
                mmdiff trace 1  # first
                # before everything
                # second
                era v5.13
                machine cpus=1 nodes=1 pages=32 ptes=8 pmds=4 swap=3 pagevec=15
                task t0 p0 cpu=0
                  mlock(0x1000, 0x1000)  #  third
                  r7 = mmap(0, 0, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -, 0)
                  read(r7+0x1)

                """)
    }

    /// The example of docs/TRACES.md is a trace of the model's own, in canonical form.
    @Test func theDocumentedExample() throws {
        let page = String(decoding: try input("../../docs/TRACES.md"), as: UTF8.self)
        let text = String(page.split(separator: "```\n", maxSplits: 2)[1])
        #expect(try Trace(parsing: text, file: "TRACES.md", eras: Vocabulary.all).description == text)
    }

    /// A trace means the same in another era, as far as that has what the trace uses.
    @Test func aTraceInAnotherEra() throws {
        let text = "mmdiff trace 1\nera v5.13\ntask t0 p0 cpu=0\n  read(0x8000)\n"
        let trace = try Trace(parsing: text, file: "x", eras: eras, as: oldVocabulary)
        #expect(trace.era == "v2.6.27")
        #expect(trace.tasks == (try parse(text)).tasks)
        _ = try CompiledTrace(trace, oldVocabulary)
        #expect(try Trace(parsing: text, file: "x", eras: eras, as: vocabulary) == parse(text))

        let newer = text + "  mlock(0x8000, 0x1000)\n"
        let error = #expect(throws: TraceError.self) {
            try Trace(parsing: newer, file: "x", eras: eras, as: oldVocabulary)
        }
        #expect(
            error?.description == "x:5:3: error: unknown operation 'mlock', in a trace of v5.13 that is to run in "
                + "v2.6.27; expected an operation of v2.6.27, perhaps 'munlock'")
    }

    @Test func aScheduleMayBeEmpty() throws {
        let text = "mmdiff trace 1\nera v5.13\ntask t0 p0 cpu=0\nschedule\n"
        let trace = try parse(text)
        #expect(trace.schedule == Schedule())
        #expect(try parse(trace.description) == trace)
    }
}
