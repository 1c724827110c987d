// SPDX-License-Identifier: GPL-2.0-only
// A table of operations of the tests' own, so that what the tests expect does not change with the model.

import KernelModel
import Testing
import Traces

private let body: Operation.Body = { _ in 0 }

private let protections = [
    NamedValue("PROT_NONE", 0), NamedValue("PROT_READ", 1), NamedValue("PROT_WRITE", 2), NamedValue("PROT_EXEC", 4),
]
private let mapFlags = [
    NamedValue("MAP_SHARED", 1), NamedValue("MAP_PRIVATE", 2), NamedValue("MAP_FIXED", 0x10),
    NamedValue("MAP_ANONYMOUS", 0x20), NamedValue("MAP_LOCKED", 0x2000), NamedValue("MAP_POPULATE", 0x8000),
]
private let advice = [
    NamedValue("MADV_NORMAL", 0), NamedValue("MADV_DONTNEED", 4), NamedValue("MADV_FREE", 8),
    NamedValue("MADV_HUGEPAGE", 14), NamedValue("MADV_PAGEOUT", 21),
]
private let mremapFlags = [NamedValue("MREMAP_MAYMOVE", 1), NamedValue("MREMAP_FIXED", 2)]

let testOperations = [
    Operation(
        "mmap", .process,
        [
            Parameter("addr", .address), Parameter("length", .length), Parameter("prot", .flags(protections)),
            Parameter("flags", .flags(mapFlags)), Parameter("file", .file(optional: true)),
            Parameter("offset", .pageOffset),
        ], weight: 4, systemCall: "mmap", body: body),
    Operation(
        "munmap", .process, [Parameter("addr", .address), Parameter("length", .length)], weight: 4,
        systemCall: "munmap", body: body),
    Operation(
        "mremap", .process,
        [
            Parameter("old_address", .address), Parameter("old_size", .length), Parameter("new_size", .length),
            Parameter("flags", .flags(mremapFlags)), Parameter("new_address", .address),
        ], weight: 2, systemCall: "mremap", body: body),
    Operation(
        "mprotect", .process,
        [Parameter("addr", .address), Parameter("length", .length), Parameter("prot", .flags(protections))], weight: 2,
        systemCall: "mprotect", body: body),
    Operation("read", .process, [Parameter("addr", .address)], weight: 6, body: body),
    Operation("write", .process, [Parameter("addr", .address)], weight: 8, body: body),
    Operation("fork", .process, [Parameter("child", .process)], weight: 2, systemCall: "fork", body: body),
    Operation("exit", .process, weight: 1, systemCall: "exit_group", body: body),
    Operation(
        "mlock", .process, [Parameter("addr", .address), Parameter("length", .length)], weight: 8,
        systemCall: "mlock", body: body),
    Operation(
        "munlock", .process, [Parameter("addr", .address), Parameter("length", .length)], weight: 8,
        systemCall: "munlock", body: body),
    Operation(
        "mlockall", .process,
        [Parameter("flags", .flags([NamedValue("MCL_CURRENT", 1), NamedValue("MCL_FUTURE", 2)]))], weight: 1,
        systemCall: "mlockall", body: body),
    Operation(
        "madvise", .process,
        [Parameter("addr", .address), Parameter("length", .length), Parameter("advice", .choice(advice))], weight: 4,
        systemCall: "madvise", body: body),
    Operation(
        "move_pages", .process,
        [
            Parameter("process", .process), Parameter("addr", .address), Parameter("length", .length),
            Parameter("node", .node),
        ], weight: 2, body: body),
    Operation("sched_setaffinity", .process, [Parameter("cpu", .cpu)], weight: 1, body: body),
    Operation(
        "truncate", .process, [Parameter("file", .file(optional: false)), Parameter("size", .pageOffset)], weight: 1,
        systemCall: "ftruncate", body: body),
    Operation("kswapd", .kernel, [Parameter("node", .node)], weight: 4, body: body),
    Operation("compact", .kernel, [Parameter("priority", .number(-2...12))], weight: 2, body: body),
    Operation("drain_all", .kernel, weight: 2, body: body),
    Operation(
        "secondary_fault", .device, [Parameter("process", .process), Parameter("addr", .address)], weight: 2,
        body: body),
]

let vocabulary = Vocabulary(era: "v5.13", operations: testOperations)
/// An era without system calls that came later.
let oldVocabulary = Vocabulary(
    era: "v2.6.27", operations: testOperations.filter { !["mlock", "move_pages"].contains($0.name) })
let eras = [oldVocabulary, vocabulary]

func parse(_ text: String) throws -> Trace {
    try Trace(parsing: text, file: "test.trace", eras: eras)
}

func op(_ name: String) -> Operation { vocabulary[name]! }

extension Vocabulary: CustomTestStringConvertible {
    public var testDescription: String { era }
}
