// SPDX-License-Identifier: GPL-2.0-only
import Testing

@testable import VariantKit

/// Mutants are made by rule, each with one thing changed.
@Suite struct MutatorTests {
    private func names(_ body: String) -> [String] {
        Mutator.mutants(of: "static bool f(struct page *page)\n{\n\(body)\n}\n").map {
            String($0.name.dropFirst("f: ".count))
        }
    }

    private func text(_ body: String, _ name: String) throws -> String {
        let whole = "bool f(void)\n{\n\(body)\n}\n"
        let mutant = try #require(Mutator.mutants(of: whole).first { $0.name == "f: " + name })
        return String(mutant.text.dropFirst("bool f(void)\n{\n".count).dropLast("\n}\n".count))
    }

    @Test func checksAreDropped() throws {
        let body = "if (a(x) > 1)\n\tput(x);"
        #expect(
            names(body) == [
                "check dropped: never a(x) > 1", "check dropped: always a(x) > 1",
                "wrong comparison: >= in a(x) > 1", "call dropped: put(x);",
            ])
        #expect(try text(body, "check dropped: never a(x) > 1") == "if (0)\n\tput(x);")
        #expect(try text(body, "call dropped: put(x);") == "if (a(x) > 1)\n\t;")
    }

    @Test func operandsAreDropped() throws {
        let body = "while (a || (b && c) || d) { }"
        #expect(
            names(body) == [
                "wrong jump: once a || (b && c) || d", "operand dropped: a", "operand dropped: (b && c)",
                "operand dropped: d",
            ])
        #expect(try text(body, "operand dropped: a") == "while ( (b && c) || d) { }")
        #expect(try text(body, "operand dropped: (b && c)") == "while (a  || d) { }")
        #expect(try text(body, "operand dropped: d") == "while (a || (b && c) ) { }")
    }

    @Test func neighboursChangePlaces() throws {
        let body = "int x;\n\tlock(l);\n\tx = 1;\n\ty = 2;\n\tassert: ;\n\tVM_BUG_ON(x);\n\tput(x);"
        #expect(
            names(body) == [
                "order swapped: lock(l); x = 1;", "call dropped: lock(l);", "assignment dropped: x = 1;",
                "assignment dropped: y = 2;", "call dropped: put(x);",
            ])
        #expect(try text("lock(l);\n\tx = 1;", "order swapped: lock(l); x = 1;") == "x = 1;\n\tlock(l);")
    }

    /// A lock goes with its release, wherever that is.
    @Test func locksAreDropped() throws {
        let body =
            "spin_lock_nested(ptl, 1);\n\tif (a) {\n\t\tspin_unlock(ptl);\n\t}\n\tspin_unlock(ptl);\n\tlock_page(page);"
        let dropped = names(body).filter { $0.hasPrefix("lock dropped") }
        #expect(dropped == ["lock dropped: ptl"])
        #expect(
            try text(body, "lock dropped: ptl") == ";\n\tif (a) {\n\t\t;\n\t}\n\t;\n\tlock_page(page);")
    }

    @Test func resultsFlagsAndConstantsAreWrong() throws {
        #expect(names("return true;") == ["wrong return: false for true"])
        #expect(names("return a ? B : C;") == ["wrong return: B for a ? B : C", "wrong return: C for a ? B : C"])
        #expect(names("return !a(b);") == ["wrong return: not !a(b)"])
        #expect(names("return SCAN_SUCCEED;") == ["wrong return: 0 for SCAN_SUCCEED"])
        #expect(names("return;") == [])
        #expect(
            names("struct w w = { .page = page, .flags = PVMW_SYNC | PVMW_MIGRATION };") == [
                "lost flag: PVMW_MIGRATION", "lost flag: PVMW_SYNC", "assignment dropped: .page = page",
                "assignment dropped: .flags = PVMW_SYNC | PVMW_MIGRATION",
            ])
        #expect(names("add(page, false);") == ["call dropped: add(page, false);", "wrong constant: add(page, false);"])
        #expect(names("for (;;) { continue; }") == ["wrong jump: break for continue;"])
    }

    /// Comments, directives, prototypes, and the braces of structs are none of its business.
    @Test func onlyFunctionsAreChanged() {
        let text = """
            #include <mmdiff.h>
            /* if (a) b(); */
            struct s { int a; };
            static const int t[] = { 1, 2 };
            int g(int a);
            int g(int a) // { return 0; }
            {
                return a;
            }

            """
        #expect(Mutator.mutants(of: text).map(\.name) == ["g: wrong return: not a"])
    }

    @Test func namesAreUnique() {
        let mutants = Mutator.mutants(of: "void f(void)\n{\n\ta();\n\ta();\n}\n")
        #expect(
            mutants.map(\.name) == [
                "f: order swapped: a(); a();", "f: call dropped: a();", "f: call dropped: a(); #2",
            ])
    }
}
