// SPDX-License-Identifier: GPL-2.0-only
// What a trace may be at most, and why.  The limits of the machine are MachineShape's.

import CKernel
import KernelModel

public enum TraceLimits {
    /// Twice what the longest schedule needs that the engine records.
    public static let bytes = 1 << 20
    /// Two of the longest names of kernel functions and a sentence; a line that is longer is no trace.
    public static let lineBytes = 512
    /// Each step of each task and of the set-up may name its result.
    public static let results = (MachineShape.maximalTasks + 1) * MachineShape.maximalOps
    /// What the engine can replay; who starts is one of its decisions, too.
    public static let decisions = Int(MAX_DECISIONS) - 1
    /// The engine counts so far in one op; 0: not passed in this op yet, as when it waits before anything else.
    public static let occurrences = 0...255
    /// Far beyond the largest file, so that a trace can go past its end.
    public static let pageOffset = 0...255
    /// Longer than any function of mm/.
    public static let nameBytes = 80
}
