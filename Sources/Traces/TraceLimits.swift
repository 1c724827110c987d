// SPDX-License-Identifier: GPL-2.0-only
// What a trace may be at most, and why.  The limits of the machine are MachineShape's.

import KernelModel

public enum TraceLimits {
    /// A schedule of the engine's 4,096 decisions, with a comment on each, is half of that.
    public static let bytes = 1 << 20
    /// Two of the longest names of kernel functions and a sentence; a line that is longer is no trace.
    public static let lineBytes = 512
    /// Each step of each task and of the set-up may name its result.
    public static let results = (MachineShape.maximalTasks + 1) * MachineShape.maximalOps
    /// What the engine records, and can replay.
    public static let decisions = 4096
    /// The engine counts so far in one op.
    public static let occurrences = 255
    /// Far beyond the largest file, so that a trace can go past its end.
    public static let pageOffset = 0...255
    /// Longer than any function of mm/.
    public static let nameBytes = 80
}
