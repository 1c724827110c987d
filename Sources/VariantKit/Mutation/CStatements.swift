// SPDX-License-Identifier: GPL-2.0-only
// The statements of the functions of a C file, as ranges of tokens.

/// A statement with the statements inside it.
struct CStatement {
    enum Kind: Equatable {
        case block, declaration, expression, jump
        /// `if`, with its condition; or a loop, with its head.
        case branch, loop
        case label, empty
    }

    var kind: Kind
    /// Which tokens it is.
    var tokens: Range<Int>
    /// Of a branch or a loop: the tokens between the parentheses.
    var head: Range<Int> = 0..<0
    var children: [CStatement] = []
}

/// A function and its body.
struct CFunction {
    var name: String
    var body: CStatement
}

/// Finds the functions of a file.
struct CParser {
    let tokens: [CToken]
    private var position = 0

    init(_ tokens: [CToken]) {
        self.tokens = tokens
    }

    /// All functions with a body, in the order of the file.
    mutating func functions() -> [CFunction] {
        var functions: [CFunction] = []
        while position < tokens.count {
            guard text(position) == "{" else {
                position += 1
                continue
            }
            // `name(parameters) {` is a function; the braces of a struct or an initializer follow something else.
            let name = text(position - 1) == ")" ? nameBefore(opening(of: position - 1)) : nil
            if let name {
                functions.append(CFunction(name: name, body: block()))
            } else {
                position = closing(of: position) + 1
            }
        }
        return functions
    }

    private func text(_ index: Int) -> String { tokens.indices.contains(index) ? tokens[index].text : "" }

    private func opens(_ index: Int) -> Bool { ["(", "[", "{"].contains(text(index)) }
    private func closes(_ index: Int) -> Bool { [")", "]", "}"].contains(text(index)) }

    private func nameBefore(_ index: Int) -> String? {
        tokens.indices.contains(index - 1) && tokens[index - 1].isName ? tokens[index - 1].text : nil
    }

    private func closing(of index: Int) -> Int {
        var (depth, position) = (0, index)
        while position < tokens.count {
            if opens(position) { depth += 1 }
            if closes(position) { depth -= 1 }
            if depth == 0 { return position }
            position += 1
        }
        return tokens.count - 1
    }

    private func opening(of index: Int) -> Int {
        var (depth, position) = (0, index)
        while position >= 0 {
            if closes(position) { depth += 1 }
            if opens(position) { depth -= 1 }
            if depth == 0 { return position }
            position -= 1
        }
        return 0
    }

    private mutating func block() -> CStatement {
        let start = position
        let end = closing(of: start)
        var children: [CStatement] = []
        position += 1
        while position < end { children.append(statement()) }
        position = end + 1
        return CStatement(kind: .block, tokens: start..<position, children: children)
    }

    private mutating func statement() -> CStatement {
        let start = position
        switch text(start) {
        case "{": return block()
        case ";":
            position += 1
            return CStatement(kind: .empty, tokens: start..<position)
        case "if": return controlled(.branch)
        case "while", "for": return controlled(.loop)
        case "return", "break", "continue", "goto": return simple(.jump)
        default: break
        }
        if tokens[start].isName && text(start + 1) == ":" {
            position += 2
            return CStatement(kind: .label, tokens: start..<position)
        }
        // `vma_interval_tree_foreach(...) statement`: a loop of the kernel's.
        if text(start).hasSuffix("foreach") { return controlled(.loop) }
        return simple(isDeclaration(start) ? .declaration : .expression)
    }

    private mutating func controlled(_ kind: CStatement.Kind) -> CStatement {
        let start = position
        let end = closing(of: start + 1)
        position = end + 1
        var children = [statement()]
        if text(position) == "else" {
            position += 1
            children.append(statement())
        }
        return CStatement(kind: kind, tokens: start..<position, head: start + 2..<end, children: children)
    }

    private mutating func simple(_ kind: CStatement.Kind) -> CStatement {
        let start = position
        while position < tokens.count && text(position) != ";" {
            position = opens(position) ? closing(of: position) + 1 : position + 1
        }
        position += 1
        return CStatement(kind: kind, tokens: start..<position)
    }

    /// `type name`, `type *name`, `const type`, `struct tag`.
    private func isDeclaration(_ start: Int) -> Bool {
        if ["const", "struct", "unsigned", "static", "enum"].contains(text(start)) { return true }
        return tokens[start].isName
            && (tokens.indices.contains(start + 1) && tokens[start + 1].isName || isPointer(start))
    }

    private func isPointer(_ start: Int) -> Bool {
        text(start + 1) == "*" && tokens.indices.contains(start + 2)
            && (tokens[start + 2].isName || text(start + 2) == "*")
            && [";", "=", ",", "*"].contains { mark in
                text(start + 3) == mark || text(start + 2) == "*"
            }
    }
}
