// SPDX-License-Identifier: GPL-2.0-only
// What can be wrong with a user's C file: one line each, then what the compiler says, indented.

/// Why a user's C file is no variant.
public enum UserVariantError: Error, Equatable {
    case unreadable(String, String)
    case noCompiler(String)
    case doesNotCompile(String, String)
    /// A function has the name of a kernel operation, but another type.
    case mistyped(String, function: String, String)
    /// A function that is to replace a kernel operation cannot be seen from outside.
    case isStatic(String, function: String, String)
    /// It defines these functions, and none is a kernel operation.
    case replacesNothing(String, [String])
    /// It keeps these variables between calls.
    case hasData(String, [String])
    case doesNotLoad(String, String)

    /// The error behind what the compiler of `source` said.
    static func compilation(of source: String, _ output: String) -> UserVariantError {
        for line in output.split(separator: "\n") {
            if let name = line.quoted(after: "conflicting types for "), kernelOperations.contains(name) {
                return .mistyped(source, function: name, output)
            }
            if let name = line.quoted(after: "static declaration of "), kernelOperations.contains(name) {
                return .isStatic(source, function: name, output)
            }
        }
        return .doesNotCompile(source, output)
    }
}

extension UserVariantError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreadable(let source, let reason):
            return "\(source): \(reason)"
        case .noCompiler(let source):
            return "\(source): no C compiler found; install clang or gcc, or name one in CC"
        case .doesNotCompile(let source, let output):
            return "\(source): does not compile\n" + indented(output)
        case .mistyped(let source, let function, let output):
            return "\(source): \(function)() must be: \(prototype(of: function)!)\n" + indented(output)
        case .isStatic(let source, let function, let output):
            return "\(source): \(function)() must not be static, it is found by its name\n" + indented(output)
        case .replacesNothing(let source, let functions):
            return "\(source): replaces no kernel operation" + nearMisses(functions)
        case .hasData(let source, let variables):
            return "\(source): keeps data of its own (\(variables.joined(separator: ", "))), "
                + "which no snapshot covers; only constants may be static"
        case .doesNotLoad(let source, let reason):
            return "\(source): does not load: \(reason)"
        }
    }

    private func indented(_ output: String) -> String {
        output.split(separator: "\n", omittingEmptySubsequences: false)
            .map { $0.isEmpty ? "" : "    " + $0 }.joined(separator: "\n")
    }

    private func nearMisses(_ functions: [String]) -> String {
        guard !functions.isEmpty else { return ": it defines no function" }
        let guesses = functions.map { name in
            if let meant = closest(to: name, in: kernelOperations) { return "\(name) (did you mean \(meant)?)" }
            return name
        }
        return "; it defines \(guesses.joined(separator: ", "))"
    }
}

extension Substring {
    /// The word between single quotes after `text`.
    fileprivate func quoted(after text: String) -> String? {
        guard let range = self.firstRange(of: text) else { return nil }
        let rest = self[range.upperBound...].drop { $0 != "'" }.dropFirst()
        return rest.isEmpty ? nil : String(rest.prefix { $0 != "'" })
    }
}
