// SPDX-License-Identifier: GPL-2.0-only
// mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2).

import CKernel

extension Operation {
    static let mlock = Operation(
        "mlock", .process, [Parameter("addr", .address), Parameter("len", .length)], weight: 8, systemCall: "mlock"
    ) { ops.do_mlock(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1]), VM_LOCKED) }

    static let mlock2 = Operation(
        "mlock2", .process,
        [
            Parameter("addr", .address), Parameter("len", .length),
            Parameter("flags", .flags([NamedValue("MLOCK_ONFAULT", 1)])),
        ], weight: 3, systemCall: "mlock2"
    ) { arguments in
        let onfault = arguments[2] & 1 != 0 ? VM_LOCKONFAULT : 0
        return ops.do_mlock(UInt(bitPattern: arguments[0]), UInt(bitPattern: arguments[1]), VM_LOCKED | onfault)
    }

    static let munlock = Operation(
        "munlock", .process, [Parameter("addr", .address), Parameter("len", .length)], weight: 8,
        systemCall: "munlock"
    ) { ops.do_munlock(UInt(bitPattern: $0[0]), UInt(bitPattern: $0[1])) }

    static let mlockall = Operation(
        "mlockall", .process,
        [
            Parameter(
                "flags",
                .flags([
                    NamedValue("MCL_CURRENT", MCL_CURRENT), NamedValue("MCL_FUTURE", MCL_FUTURE),
                    NamedValue("MCL_ONFAULT", MCL_ONFAULT),
                ]))
        ], weight: 2, systemCall: "mlockall"
    ) { ops.do_mlockall(UInt(bitPattern: $0[0])) }

    static let munlockall = Operation("munlockall", .process, weight: 2, systemCall: "munlockall") { _ in
        ops.do_munlockall()
    }
}
