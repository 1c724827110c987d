// SPDX-License-Identifier: GPL-2.0-only
import Glibc

/// `SIGSEGV`, for people.
func signalName(_ signal: Int32) -> String {
    let names = [
        SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGILL: "SIGILL", SIGFPE: "SIGFPE", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGKILL: "SIGKILL",
    ]
    return names[signal] ?? "signal \(signal)"
}
