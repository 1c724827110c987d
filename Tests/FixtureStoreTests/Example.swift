// SPDX-License-Identifier: GPL-2.0-only
import Differential
import FixtureStore
import Traces

/// Everything the language has, in canonical form.
let example = """
    mmdiff fixture 1
    shows page_mlock.merged leaves the page table lock held.
    family munlock-split
    pair page_mlock.posted..page_mlock.merged
    verdict divergent
    schedule-of page_mlock.merged
    seed 18446744073709551615
    version 0.5
    sources 0123456789ab
    Link: https://lore.kernel.org/all/example
    Fixes: cd62734ca60d ("mm/rmap: split try_to_munlock from try_to_unmap")

    mmdiff trace 1
    # Two processes share a page; one locks what the other unlocks.
    era v5.13
    machine cpus=2 nodes=1 pages=32 ptes=8 pmds=4 swap=8 pagevec=15
    file f0 shmem pages=4
    setup
      r0 = p0 mmap(0x10000, 0x4000, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, f0, 0)
      p0 fork(p1)
    task t0 p0 cpu=0
      munlock(r0, 0x1000)  # looks at the flag too early
    task t1 p1 cpu=1
      mlock(r0, 0x1000)
      read(r0)
    schedule
      start t1
      t1 op 0 page_mlock_one:vm_flags #1 -> t0  # here

    outcome try_to_munlock page_mlock.posted
      end complete
      results t0 0
      results t1 0 65537
      state 0123456789abcdef
      differs page 0 / flags: PG_lru

    outcome page_mlock.merged
      end complete
      breaks held-at-return
      breaks nr-mlock
      attempt migrate: EAGAIN
      results t0 0
      results t1

    """

func parsed(_ text: String) throws -> Fixture { try Fixture(parsing: Array(text.utf8), file: "x") }

/// The example without its line that begins with `prefix`, or with another one there.
func example(_ prefix: String, becomes new: String? = nil) -> String {
    example.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line in
        line.hasPrefix(prefix) ? new : String(line)
    }.joined(separator: "\n")
}
