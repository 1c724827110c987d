// SPDX-License-Identifier: GPL-2.0-only
// Mutants: a C variant with one thing changed by rule, as people make mistakes.  No rule knows what a function is for.

/// A changed file.
public struct Mutant: Sendable {
    /// `page_mlock_one: check dropped (never): READ_ONCE(vma->vm_flags) & VM_LOCKED`, unique in its file.
    public var name: String
    public var rule: Rule
    public var text: String

    public enum Rule: String, CaseIterable, Codable, Sendable {
        case checkDropped = "check dropped"
        case operandDropped = "operand dropped"
        case comparison = "wrong comparison"
        case callDropped = "call dropped"
        case assignmentDropped = "assignment dropped"
        case lockDropped = "lock dropped"
        case orderSwapped = "order swapped"
        case wrongReturn = "wrong return"
        case wrongJump = "wrong jump"
        case lostFlag = "lost flag"
        case wrongConstant = "wrong constant"
    }
}

/// Makes all mutants of a file.
public struct Mutator {
    private let bytes: [UInt8]
    private let tokens: [CToken]
    private var mutants: [Mutant] = []
    private var function = ""

    private init(_ text: String) {
        bytes = Array(text.utf8)
        tokens = CToken.all(in: bytes)
    }

    /// The mutants, in the order of the file.
    public static func mutants(of text: String) -> [Mutant] {
        var mutator = Mutator(text)
        var parser = CParser(mutator.tokens)
        for function in parser.functions() {
            mutator.function = function.name
            mutator.visit(function.body)
            mutator.dropLocks(in: function.body)
        }
        return mutator.mutants
    }

    // MARK: Changes

    private func source(_ range: Range<Int>) -> String {
        guard !range.isEmpty else { return "" }
        let text = String(
            decoding: bytes[tokens[range.lowerBound].range.lowerBound..<tokens[range.upperBound - 1].range.upperBound],
            as: UTF8.self)
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    /// Adds the mutant that has these tokens replaced.
    private mutating func add(_ rule: Mutant.Rule, _ what: String, _ changes: [(tokens: Range<Int>, text: String)]) {
        var text: [UInt8] = []
        var position = 0
        for change in changes.sorted(by: { $0.tokens.lowerBound < $1.tokens.lowerBound }) {
            text += bytes[position..<tokens[change.tokens.lowerBound].range.lowerBound]
            text += change.text.utf8
            position = tokens[change.tokens.upperBound - 1].range.upperBound
        }
        text += bytes[position...]
        let name = "\(function): \(rule.rawValue): \(what)"
        let same = mutants.count { $0.name == name || $0.name.hasPrefix(name + " #") }
        mutants.append(
            Mutant(
                name: same == 0 ? name : "\(name) #\(same + 1)", rule: rule, text: String(decoding: text, as: UTF8.self)
            ))
    }

    // MARK: Rules

    private mutating func visit(_ statement: CStatement) {
        switch statement.kind {
        case .branch:
            add(.checkDropped, "never \(source(statement.head))", [(statement.head, "0")])
            add(.checkDropped, "always \(source(statement.head))", [(statement.head, "1")])
            changeCondition(statement.head)
        case .loop where tokens[statement.tokens.lowerBound].text == "while":
            add(
                .wrongJump, "once \(source(statement.head))",
                [(statement.tokens.lowerBound..<statement.tokens.lowerBound + 1, "if")])
            changeCondition(statement.head)
        case .expression: changeExpression(statement.tokens)
        case .declaration: changeDeclaration(statement.tokens)
        case .jump: changeJump(statement.tokens)
        case .block: swap(statement.children)
        case .loop, .label, .empty: break
        }
        for child in statement.children { visit(child) }
    }

    /// What stands at the top level of a condition, or in its unlikely().
    private mutating func changeCondition(_ whole: Range<Int>) {
        let isHint = ["likely", "unlikely"].contains(tokens[whole.lowerBound].text)
        let head = isHint ? whole.lowerBound + 2..<whole.upperBound - 1 : whole
        let outer = topLevel(head)
        for mark in ["||", "&&"] {
            let marks = outer.filter { tokens[$0].text == mark }
            guard let first = marks.first else { continue }
            add(.operandDropped, source(head.lowerBound..<first), [(head.lowerBound..<first + 1, "")])
            for (number, index) in marks.enumerated() {
                let end = number + 1 < marks.count ? marks[number + 1] : head.upperBound
                add(.operandDropped, source(index + 1..<end), [(index..<end, "")])
            }
            break
        }
        for index in outer {
            guard let wrong = Mutator.comparisons[tokens[index].text] else { continue }
            add(.comparison, "\(wrong) in \(source(head))", [(index..<index + 1, wrong)])
        }
        loseFlags(head)
    }

    private static let comparisons = ["==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">"]

    private func topLevel(_ range: Range<Int>) -> [Int] {
        var depth = 0
        return range.filter { index in
            if [")", "]", "}"].contains(tokens[index].text) { depth -= 1 }
            defer { if ["(", "[", "{"].contains(tokens[index].text) { depth += 1 } }
            return depth == 0
        }
    }

    /// Of flags that are or-ed, each is lost once.
    private mutating func loseFlags(_ range: Range<Int>) {
        for index in range where tokens[index].text == "|" && index + 1 < range.upperBound {
            if tokens[index + 1].isConstant { add(.lostFlag, tokens[index + 1].text, [(index..<index + 2, "")]) }
            if index > range.lowerBound, tokens[index - 1].isConstant {
                add(.lostFlag, tokens[index - 1].text, [(index - 1..<index + 1, "")])
            }
        }
    }

    private mutating func changeExpression(_ range: Range<Int>) {
        if isAssertion(range) { return }
        let isCall = tokens[range.lowerBound + 1].text == "("
        add(isCall ? .callDropped : .assignmentDropped, source(range), [(range, ";")])
        changeConstants(range)
        loseFlags(range)
    }

    /// `true` for `false`, `false` for `true`.
    private mutating func changeConstants(_ range: Range<Int>) {
        for index in range where ["true", "false"].contains(tokens[index].text) {
            add(.wrongConstant, source(range), [(index..<index + 1, tokens[index].text == "true" ? "false" : "true")])
        }
    }

    /// Fields that an initializer leaves out are zero.
    private mutating func changeDeclaration(_ range: Range<Int>) {
        changeConstants(range)
        loseFlags(range)
        for index in range where tokens[index].text == "." && ["{", ","].contains(tokens[index - 1].text) {
            guard let end = (index..<range.upperBound).first(where: { [",", "}"].contains(tokens[$0].text) }) else {
                continue
            }
            add(.assignmentDropped, source(index..<end), [(index..<(tokens[end].text == "," ? end + 1 : end), "")])
        }
    }

    private mutating func changeJump(_ range: Range<Int>) {
        let (what, inside) = (source(range), range.lowerBound + 1..<range.upperBound - 1)
        switch tokens[range.lowerBound].text {
        case "continue": add(.wrongJump, "break for \(what)", [(range, "break;")])
        case "break": add(.wrongJump, "continue for \(what)", [(range, "continue;")])
        case "return" where !inside.isEmpty: changeResult(inside)
        default: break
        }
    }

    private mutating func changeResult(_ range: Range<Int>) {
        let text = source(range)
        if text == "true" || text == "false" {
            add(
                .wrongReturn, text == "true" ? "false for true" : "true for false",
                [(range, text == "true" ? "false" : "true")])
            return
        }
        let outer = topLevel(range)
        if let question = outer.first(where: { tokens[$0].text == "?" }),
            let colon = outer.first(where: { tokens[$0].text == ":" })
        {
            for part in [question + 1..<colon, colon + 1..<range.upperBound] {
                add(.wrongReturn, "\(source(part)) for \(text)", [(range, source(part))])
            }
        } else if range.count == 1 && tokens[range.lowerBound].isConstant {
            add(.wrongReturn, "0 for \(text)", [(range, "0")])
        } else {
            add(.wrongReturn, "not \(text)", [(range, "!(\(text))")])
        }
    }

    /// Neighbours that do something change places.
    private mutating func swap(_ statements: [CStatement]) {
        for (first, second) in zip(statements, statements.dropFirst()) {
            guard isMovable(first) && isMovable(second) else { continue }
            // Two lines that only compute commute, or do not compile.
            guard isCall(first) || isCall(second) else { continue }
            add(
                .orderSwapped, "\(source(first.tokens)) \(source(second.tokens).prefix(60))",
                [(first.tokens, source(second.tokens)), (second.tokens, source(first.tokens))])
        }
    }

    private func isMovable(_ statement: CStatement) -> Bool {
        switch statement.kind {
        case .expression: !isAssertion(statement.tokens)
        case .branch: true
        default: false
        }
    }

    private func isCall(_ statement: CStatement) -> Bool {
        statement.kind == .expression && tokens[statement.tokens.lowerBound + 1].text == "("
    }

    private func isAssertion(_ range: Range<Int>) -> Bool {
        let name = tokens[range.lowerBound].text
        return name.contains("BUG_ON") || name.contains("WARN_ON") || name == "(" || name == "mmdiff_yield"
    }

    // MARK: Locks

    /// Each lock that a function takes and releases is left out: all that is done to it by calls with the same first
    /// argument.
    private mutating func dropLocks(in body: CStatement) {
        var calls: [(lock: String, isRelease: Bool, tokens: Range<Int>)] = []
        collectLocks(body, &calls)
        var known: [String] = []
        for call in calls where !known.contains(call.lock) {
            known.append(call.lock)
            let same = calls.filter { $0.lock == call.lock }
            guard same.contains(where: \.isRelease), same.contains(where: { !$0.isRelease }) else { continue }
            add(.lockDropped, call.lock, same.map { ($0.tokens, ";") })
        }
    }

    private func collectLocks(
        _ statement: CStatement, _ calls: inout [(lock: String, isRelease: Bool, tokens: Range<Int>)]
    ) {
        if isCall(statement) {
            let range = statement.tokens
            let name = tokens[range.lowerBound].text
            let isRelease = name.contains("unlock") || name.hasPrefix("up_")
            if isRelease || name.contains("lock") || name.hasPrefix("down_") {
                let inside = range.lowerBound + 2..<range.upperBound - 2
                let comma = topLevel(inside).first { tokens[$0].text == "," } ?? inside.upperBound
                calls.append((source(inside.lowerBound..<comma), isRelease, range))
            }
        }
        for child in statement.children { collectLocks(child, &calls) }
    }
}
