// SPDX-License-Identifier: GPL-2.0-only
// userfaultfd(2): the ioctls of a process's one userfaultfd, and its close().  A log of strace shows them as
// ioctl(fd, UFFDIO_COPY, ...): `systemCall` names the request.
//
// The first UFFDIO_REGISTER opens the userfaultfd.  SIGBUS among its modes stands for UFFD_FEATURE_SIGBUS, which
// UFFDIO_API asks for; it counts in the first one only.

import CKernel

private let registerModes = [
    NamedValue("MISSING", Int(UFFDIO_REGISTER_MODE_MISSING)), NamedValue("WP", Int(UFFDIO_REGISTER_MODE_WP)),
    NamedValue("MINOR", Int(UFFDIO_REGISTER_MODE_MINOR)), NamedValue("SIGBUS", SIGBUS),
]

/// Beside the modes of UFFDIO_REGISTER.
private let SIGBUS = 0x100

private let range = [Parameter("addr", .address), Parameter("length", .length)]

private func range(_ name: String, _ flags: [NamedValue]) -> [Parameter] {
    range + [Parameter(name, .flags(flags))]
}

private let dontwake = NamedValue("DONTWAKE", Int(UFFDIO_COPY_MODE_DONTWAKE))

extension Operation {
    /// What programs can do from v5.18-rc1 on, as far as the model goes.
    static let userfaultfd: [Operation] = [
        uffd_register, uffd_unregister, uffd_copy, uffd_zeropage, uffd_continue, uffd_writeprotect, uffd_wake,
        uffd_close,
    ]

    static let uffd_register = Operation(
        "uffd_register", .process, range("mode", registerModes), weight: 4, systemCall: "UFFDIO_REGISTER"
    ) { register(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2])) }

    static let uffd_unregister = Operation(
        "uffd_unregister", .process, range, weight: 2, systemCall: "UFFDIO_UNREGISTER"
    ) {
        let (start, len) = (UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]))
        userDataChangeBegins(current.mm!, changing: 0, unprotecting: userPages(start, len))
        let result = ops.userfaultfd_unregister(start, len)
        userDataChangeEnded()
        return result
    }

    /// The source is a buffer with a new token for each page.
    static let uffd_copy = Operation(
        "uffd_copy", .process, range("mode", [dontwake, NamedValue("WP", Int(UFFDIO_COPY_MODE_WP))]), weight: 4,
        systemCall: "UFFDIO_COPY"
    ) { copy(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2])) }

    static let uffd_zeropage = Operation(
        "uffd_zeropage", .process, range("mode", [dontwake]), weight: 2, systemCall: "UFFDIO_ZEROPAGE"
    ) {
        let (start, len) = (UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]))
        userDataChangeBegins(current.mm!, changing: userPages(start, len))
        return filled(start, len, token: 0, ops.userfaultfd_zeropage(start, len, UInt(bitPattern: $0[2])))
    }

    static let uffd_continue = Operation(
        "uffd_continue", .process, range("mode", [dontwake]), weight: 2, systemCall: "UFFDIO_CONTINUE"
    ) { ops.userfaultfd_continue(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2])) }

    static let uffd_writeprotect = Operation(
        "uffd_writeprotect", .process,
        range(
            "mode",
            [
                NamedValue("WP", Int(UFFDIO_WRITEPROTECT_MODE_WP)),
                NamedValue("DONTWAKE", Int(UFFDIO_WRITEPROTECT_MODE_DONTWAKE)),
            ]), weight: 4, systemCall: "UFFDIO_WRITEPROTECT"
    ) { writeprotect(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), UInt(bitPattern: $0[2])) }

    static let uffd_wake = Operation("uffd_wake", .process, range, weight: 1, systemCall: "UFFDIO_WAKE") {
        ops.userfaultfd_wake(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]))
    }

    /// Never drawn: a task in GUP that holds mmap_lock meanwhile faults without end on what it cannot get, and close
    /// waits for that lock (repaired by fe4cdc2c4e24, v6.15).
    static let uffd_close = Operation("uffd_close", .process, weight: 0) { _ in
        userDataChangeBegins(current.mm!, changing: 0, unprotecting: allUserPages)
        let result = ops.userfaultfd_release()
        userDataChangeEnded()
        return result
    }
}

private func register(_ start: UInt, _ len: UInt, _ modes: UInt) -> Int {
    let mode = modes & ~UInt(SIGBUS)
    // Other modes take the place of those before.
    let ends = mode & UFFDIO_REGISTER_MODE_WP == 0
    userDataChangeBegins(current.mm!, changing: 0, unprotecting: ends ? userPages(start, len) : 0)
    let result = ops.userfaultfd_register(start, len, mode, modes & UInt(SIGBUS) != 0 ? UFFD_FEATURE_SIGBUS : 0)
    userDataChangeEnded()
    return result
}

private func copy(_ start: UInt, _ len: UInt, _ mode: UInt) -> Int {
    let token = newToken()
    userDataChangeBegins(current.mm!, changing: userPages(start, len))
    let result = ops.userfaultfd_copy(start, len, mode, token)
    if result == 0 && mode & UFFDIO_COPY_MODE_WP != 0 { writeProtected(current.mm!, start, len) }
    return filled(start, len, token: token, result)
}

/// What a call that fills a range has left behind: everything, or a part (EAGAIN), or what was there.
private func filled(_ start: UInt, _ len: UInt, token: UInt64, _ result: Int) -> Int {
    if result == 0 {
        userDataFilled(current.mm!, start, len, token)
    } else {
        userDataChangeEnds(current.mm!, userPages(start, len), result == -Int(EAGAIN) ? .undecided : .unchanged)
    }
    userDataChangeEnded()
    return result
}

private func writeprotect(_ start: UInt, _ len: UInt, _ mode: UInt) -> Int {
    let protects = mode & UFFDIO_WRITEPROTECT_MODE_WP != 0
    userDataChangeBegins(current.mm!, changing: 0, unprotecting: protects ? 0 : userPages(start, len))
    let result = ops.userfaultfd_writeprotect(start, len, mode)
    if result == 0 && protects { writeProtected(current.mm!, start, len) }
    userDataChangeEnded()
    return result
}
