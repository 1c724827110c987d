// SPDX-License-Identifier: GPL-2.0-only
// Names of yield points.  A place is `function:label`; the first visit gives it a number that is good
// for this process only, so numbers never reach an outcome or a report.

import CKernel

/// The number of the yield point `function:label`.
///
/// A direct-mapped cache on the two pointers makes the common case a few instructions; a miss compares
/// the names themselves, so that Swift and C code that use one name share one number.
@inline(__always)
func yieldPointNumber(_ function: UnsafePointer<CChar>, _ label: UnsafePointer<CChar>) -> Int {
    let key = UInt(bitPattern: function) &* 0x9e37_79b9_7f4a_7c15 ^ UInt(bitPattern: label) &* 0xc2b2_ae3d_27d4_eb4f
    let slot = (key >> 20) % UInt(YIELD_POINT_CACHE)
    var cached = scheduler.cached(slot)
    if cached.pointee.function == function && cached.pointee.label == label {
        return Int(cached.pointee.number)
    }
    // A second place, so that two names that fall on one do not drive each other out.
    cached = scheduler.cached(slot ^ 1)
    if cached.pointee.function == function && cached.pointee.label == label {
        return Int(cached.pointee.number)
    }
    if scheduler.cached(slot).pointee.function == nil { cached = scheduler.cached(slot) }
    let number = internYieldPoint(function, label)
    cached.pointee = yield_point_cache(function: function, label: label, number: UInt32(number))
    return number
}

@inline(never)
private func internYieldPoint(_ function: UnsafePointer<CChar>, _ label: UnsafePointer<CChar>) -> Int {
    let functionLength = length(of: function, upTo: CChar(UInt8(ascii: "(")))
    let labelLength = length(of: label, upTo: 0)
    let hash = nameHash(function, functionLength, label, labelLength)
    if let number = knownYieldPoint(hash) { return number }
    let number = Int(scheduler.nr_yield_points)
    precondition(number < MAX_YIELD_POINTS, "more than \(MAX_YIELD_POINTS) yield points")
    scheduler.name(number).pointee = yield_point_name(
        function: function, label: label, function_length: UInt16(functionLength),
        label_length: UInt16(labelLength), changed: 0, near: 0,
        label_hash: UInt32(truncatingIfNeeded: mix(fnv1a(label, labelLength, 0xcbf2_9ce4_8422_2325))), hash: hash)
    scheduler.nr_yield_points += 1
    markPlace(number)
    return number
}

private func knownYieldPoint(_ hash: UInt64) -> Int? {
    for number in 0..<Int(scheduler.nr_yield_points) where scheduler.name(number).pointee.hash == hash {
        return number
    }
    return nil
}

private func nameHash(
    _ function: UnsafePointer<CChar>, _ functionLength: Int, _ label: UnsafePointer<CChar>, _ labelLength: Int
) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    hash = fnv1a(function, functionLength, hash)
    hash = (hash ^ UInt64(UInt8(ascii: ":"))) &* 0x100_0000_01b3
    return mix(fnv1a(label, labelLength, hash))
}

private func length(of text: UnsafePointer<CChar>, upTo end: CChar) -> Int {
    var n = 0
    while text[n] != 0 && text[n] != end { n += 1 }
    return n
}

private func fnv1a(_ text: UnsafePointer<CChar>, _ count: Int, _ start: UInt64) -> UInt64 {
    var hash = start
    for i in 0..<count { hash = (hash ^ UInt64(UInt8(bitPattern: text[i]))) &* 0x100_0000_01b3 }
    return hash
}

/// `function:label` of a yield point.
public func yieldPointName(_ number: Int) -> String {
    yieldPointFunction(number) + ":" + yieldPointLabel(number)
}

public func yieldPointFunction(_ number: Int) -> String {
    let name = scheduler.name(number)
    return text(name.pointee.function, Int(name.pointee.function_length))
}

public func yieldPointLabel(_ number: Int) -> String {
    let name = scheduler.name(number)
    return text(name.pointee.label, Int(name.pointee.label_length))
}

/// The number of the yield point of that name.  A schedule read from a file may name places that this
/// process has not met yet, so they are entered too, but only while there is room: a file must not take
/// the model's.  Those that find none are nil; no run passes them.
public func yieldPointNumber(named function: String, _ label: String) -> Int? {
    let known = function.withCString { function in
        label.withCString { label in
            knownYieldPoint(
                nameHash(function, length(of: function, upTo: 0), label, length(of: label, upTo: 0)))
        }
    }
    if known != nil || scheduler.nr_yield_points >= UInt32(MAX_YIELD_POINTS) / 4 * 3 { return known }
    // Such names live as long as the process.
    return internYieldPoint(constantCopy(function), constantCopy(label))
}

private func constantCopy(_ text: String) -> UnsafePointer<CChar> {
    let bytes = Array(text.utf8CString)
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    copy.initialize(from: bytes, count: bytes.count)
    return UnsafePointer(copy)
}

private func text(_ start: UnsafePointer<CChar>, _ count: Int) -> String {
    String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
}

extension StaticString {
    /// The characters as C sees them; the terminating zero is there.
    @inline(__always)
    public var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
