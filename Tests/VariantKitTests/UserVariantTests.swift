// SPDX-License-Identifier: GPL-2.0-only
import CKernel
import Foundation
import KernelModel
import Simulation
import Testing

@testable import VariantKit

/// Variants written in C, from the file to the table of kernel operations.
@Suite(.serialized) final class UserVariantTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

    init() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    /// Writes `code` to a file and compiles it.
    private func compile(_ code: String) throws -> UserVariant {
        let path = folder.appending(path: "mine.c").path
        try ("#include <mmdiff.h>\n" + code).write(toFile: path, atomically: true, encoding: .utf8)
        return try UserVariant(source: path)
    }

    private func error(_ code: String) -> UserVariantError? {
        do {
            _ = try compile(code)
            return nil
        } catch {
            return error as? UserVariantError
        }
    }

    @Test func replacedFunctionsAreThoseWithNamesOfKernelOperations() throws {
        let variant = try compile(
            """
            static int helper(int n) { return n + 1; }
            int other(int n) { return helper(n); }
            int page_swapcount(struct page *page) { return other(page->_mapcount); }
            """)
        #expect(variant.library.replacedFunctions == ["page_swapcount"])
        #expect(variant.warnings == "")
    }

    @Test func functionsThatAreNotReplacedAreCalledThroughTheTable() throws {
        let machine = TestMachine()
        let variant = try compile("int page_mkclean(struct page *page) { return page_swapcount(page) + 1; }")
        machine.operations.page_swapcount = { _ in 41 }
        try variant.library.load()(machine.operations)
        #expect(machine.operations.page_mkclean(machine.page) == 42)
    }

    @Test func mlockVmaPageIsTheOneOfItsEra() throws {
        let machine = TestMachine()
        let variant = try compile(
            """
            void mlock_vma_page(struct page *page) { page->_mapcount++; }
            void page_add_file_rmap(struct page *page, struct vm_area_struct *vma, bool compound)
            {
                mlock_vma_page(page);
                mlock_vma_page(page, vma, compound);
                vma->vm_flags = VM_LOCKED | VM_IO;
                mlock_vma_page(page, vma, compound);
                munlock_vma_page(page, vma, compound);
                mlock_page_drain(smp_processor_id());
                mlock_page_drain_local();
            }
            """)
        #expect(variant.library.replacedFunctions == ["page_add_file_rmap", "mlock_vma_page"])
        machine.operations.mlock_page = { $0.mlock_count += 1 }
        machine.operations.munlock_page = { $0.mlock_count += 10 }
        machine.operations.mlock_page_drain = { _ in kernel.lru_drain_gen += 1 }
        try variant.library.load()(machine.operations)
        let (page, vma) = (machine.page, machine.vma)
        (page._mapcount, page.mlock_count, vma.vm_flags) = (0, 0, VM_LOCKED)
        machine.operations.page_add_file_rmap(page, vma, false)
        #expect(page._mapcount == 1 && page.mlock_count == 11 && kernel.lru_drain_gen == 2)
    }

    @Test func accessesYieldByTheirNames() throws {
        let machine = TestMachine()
        let variant = try compile(
            """
            static bool locked(struct vm_area_struct *vma) { return READ_ONCE(vma->vm_flags) & VM_LOCKED; }
            void page_move_anon_rmap(struct page *page, struct vm_area_struct *vma)
            {
                pmd_t *pmd = vma->vm_mm->pgd;
                pte_t pte = __pte(0);

                if (locked(vma) && TestClearPageMlocked(page))
                    WRITE_ONCE(page->mapping, NULL);
                (void)READ_ONCE(*pmd);
                set_pte_at(vma->vm_mm, 0, &pte, pte_mkdirty(pte));
                BUG_ON(!pte_dirty(pte) || PageLRU(page));
                VM_BUG_ON_PAGE(pte_dirty(pte) && !PageLRU(page), page);
                if (PageLRU(page))
                    get_page(page);
            }
            """)
        try variant.library.load()(machine.operations)
        machine.vma.vm_flags = VM_LOCKED
        SetPageMlocked(machine.page)
        machine.operations.page_move_anon_rmap(machine.page, machine.vma)
        #expect(
            machine.yieldPoints == [
                "locked:vm_flags", "page_move_anon_rmap:PageMlocked", "page_move_anon_rmap:mapping",
                "page_move_anon_rmap:pmd", "page_move_anon_rmap:pte",
                "page_move_anon_rmap:pte_dirty(pte) && !PageLRU(page)", "page_move_anon_rmap:PageLRU",
            ])
        #expect(!PageMlocked(machine.page))
    }

    @Test func tasksInterruptEachOtherInsideC() throws {
        let variant = try compile(
            """
            int page_mkclean(struct page *page)
            {
                int index = READ_ONCE(page->index);

                WRITE_ONCE(page->index, index + 1);
                return 0;
            }
            """)
        let enter = try variant.library.load()
        let arena = try #require(Arena(slot: 2))
        let tasks = [TaskShape(process: nil, cpu: 0), TaskShape(process: nil, cpu: 1)]
        arena.boot(MachineShape(), tasks: tasks, operations: makeOperationsTable(enter))
        arena.keepAsTemplate()
        scheduler.run_op = { _, op in
            guard op == 0 else { return false }
            _ = kernel.ops.page_mkclean(kernel.mem_map)
            return true
        }
        func index(under strategy: strategy_kind) -> UInt {
            scheduler.strategy = UInt8(strategy.rawValue)
            #expect(runInterleaved(arena) == RUN_COMPLETE)
            return kernel.mem_map.index
        }
        #expect(index(under: STRATEGY_SEQUENTIAL) == 2)
        #expect(index(under: STRATEGY_ROUND_ROBIN) == 1, "one task's update is lost")
    }

    @Test func userVariantIsAnotherVariantWithItsFunctionsInstead() throws {
        let machine = TestMachine()
        let base = Variant(name: "base", era: "v5.13", summary: "A base.", changedFunctions: []) {
            $0.page_swapcount = { _ in 1 }
            $0.page_mkclean = { _ in 1 }
        }
        let variant = try compile("int page_mkclean(struct page *page) { return 2; }").library.variant(on: base)
        variant.install(machine.operations)
        #expect(machine.operations.page_swapcount(machine.page) == 1)
        #expect(machine.operations.page_mkclean(machine.page) == 2)
        #expect(variant.era == "v5.13")
        #expect(variant.changedFunctions == ["page_mkclean"])
    }

    @Test func everyHeaderIsEmbedded() throws {
        let include = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/CKernel/include").standardized
        let names = try FileManager.default.subpathsOfDirectory(atPath: include.path).filter { $0.hasSuffix(".h") }
        var embedded: [String] = []
        var number: UInt32 = 0
        while kernel_header(number).name.pointee != 0 {
            embedded.append(String(cString: kernel_header(number).name))
            number += 1
        }
        #expect(Set(names).subtracting(["ckernel/plugin.h"]) == Set(embedded), "see Sources/CKernel/plugin.c")
    }

    @Test func compileErrorsAreShownIndented() {
        let error = error("int page_mkclean(struct page *page) { return no_such_function(page); }")
        guard case .doesNotCompile(_, let output) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(output.contains("no_such_function"))
        #expect("\(error!)".contains("mine.c: does not compile\n    "))
    }

    @Test func unknownIncludesAndLinkErrorsAreCompileErrors() {
        guard case .doesNotCompile = error("#include <linux/mm.h>\nint page_mkclean(struct page *page);") else {
            Issue.record("an include that is not there was not refused")
            return
        }
        guard
            case .doesNotCompile = error(
                "int elsewhere(void);\nint page_mkclean(struct page *page) { return elsewhere(); }")
        else {
            Issue.record("a function that is defined nowhere was not refused")
            return
        }
    }

    @Test func wrongTypesAreNamed() {
        let error = error("int page_mlock_one(struct page *page) { return 1; }")
        #expect(
            "\(error!)".contains(
                "mine.c: page_mlock_one() must be: bool page_mlock_one(struct page *page, "
                    + "struct vm_area_struct *vma, unsigned long address, void *arg)\n    "))
    }

    @Test func staticFunctionsThatWouldReplaceAreNamed() {
        let error = error("static int page_mkclean(struct page *page) { return 1; }")
        #expect("\(error!)".contains("mine.c: page_mkclean() must not be static"))
    }

    @Test func fileThatReplacesNothingIsRefusedWithGuesses() {
        let error = error("int page_mkclaen(struct page *page) { return 1; }\nint unrelated(void) { return 1; }")
        #expect(
            "\(error!)".hasSuffix(
                "mine.c: replaces no kernel operation; it defines page_mkclaen (did you mean page_mkclean?), unrelated")
        )
    }

    @Test(arguments: ["static int calls;", "int calls = 1;", "static __thread int calls;"])
    func ownDataIsRefused(_ declaration: String) {
        let error = error("\(declaration)\nint page_mkclean(struct page *page) { return calls++; }")
        #expect(error == .hasData(folder.appending(path: "mine.c").path, ["calls"]))
    }

    @Test func constantsAreAllowed() throws {
        _ = try compile(
            """
            static const int limits[] = { 1, 2 };
            static int (*const steps[])(struct page *) = { page_swapcount, page_mkclean };
            int page_mkclean(struct page *page) { return steps[limits[0] - 1](page); }
            """)
    }

    @Test func missingFileIsNamed() {
        #expect(throws: UserVariantError.unreadable("/no/such.c", "No such file or directory")) {
            try UserVariant(source: "/no/such.c")
        }
    }

    @Test func libraryThatIsNoneDoesNotLoad() {
        let library = UserLibrary(source: "mine.c", path: "/no/such.so", replacedFunctions: [])
        #expect(throws: UserVariantError.self) { try library.load() }
    }
}

/// A page, a vma and a table of operations, enough to call a function; no simulation.
private final class TestMachine {
    let operations: kernel_ops
    let page: page
    let vma: vm_area_struct
    private let table: UnsafeMutablePointer<simulation_ops>
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 64)
    nonisolated(unsafe) fileprivate static var passed: [String] = []

    var yieldPoints: [String] { TestMachine.passed }

    init() {
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 1 << 16)
        operations = unsafeBitCast(memory, to: kernel_ops.self)
        page = unsafeBitCast(memory + 0x4000, to: CKernel.page.self)
        vma = unsafeBitCast(memory + 0x5000, to: vm_area_struct.self)
        vma.vm_mm = unsafeBitCast(memory + 0x6000, to: mm_struct.self)
        table = .allocate(capacity: 1)
        table.initialize(to: simulationOperations.pointee)
        table.pointee.yield_point = { TestMachine.passed.append("\(String(cString: $0)):\(String(cString: $1))") }
        table.pointee.bug_on = table.pointee.yield_point
        TestMachine.passed = []
        kernel = unsafeBitCast(memory + 0x8000, to: kernel_state.self)
        kernel.ops = operations
        kernel.simulation = UnsafePointer(table)
        kernel.current = unsafeBitCast(memory + 0x7000, to: task_struct.self)
    }

    deinit {
        memory.deallocate()
        table.deallocate()
    }
}
