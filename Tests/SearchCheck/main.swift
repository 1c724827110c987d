// SPDX-License-Identifier: GPL-2.0-only
// Compares what each search finds with what the reference finds, plain depth-first search: on random programs and on
// generated traces.  A program of its own, since it takes the build that records accesses.

import Glibc
import Simulation

guard recordsAccesses else {
    print("searchcheck: this build does not record accesses; make explore-build makes the one that does")
    exit(2)
}
let arguments = CommandLine.arguments
let count = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 0
let seed = arguments.count > 3 ? UInt64(arguments[3]) ?? 1 : 1
guard count > 0 else {
    print("usage: searchcheck programs|traces|large-traces|commutation COUNT [SEED]")
    exit(2)
}
switch arguments[1] {
case "programs": exit(checkPrograms(count, seed: seed) ? 0 : 1)
case "traces": exit(try checkTraces(count, .small, seed: seed) ? 0 : 1)
case "large-traces": exit(try checkTraces(count, .large, seed: seed) ? 0 : 1)
case "commutation": exit(try checkCommutation(count, seed: seed) ? 0 : 1)
default: exit(2)
}
