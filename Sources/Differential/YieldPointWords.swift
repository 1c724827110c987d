// SPDX-License-Identifier: GPL-2.0-only
// What a task is about to do at a yield point, in words.  A label is a lock's class, or a field; whether a field is
// read or written there it does not say, so neither do the words.

import CKernel

extension PassedPlace {
    /// `taking the page table lock`, after "before" and after "after".
    var deed: String {
        switch label {
        case "unlock": "unlocking"
        case "downgrade_write": "downgrading its lock"
        case "ipi": "interrupting other CPUs"
        case "cpu": "turning to its CPU's own data"
        case "grace_period": "waiting for a grace period"
        case "might_sleep": "a place where it might sleep"
        case _ where PassedPlace.lockClasses.contains(label): "taking \(lockName)"
        case "pte", "pmd": "accessing the \(label)"
        default: "accessing \(label)"
        }
    }

    /// The label of a place where it waits for something.
    var awaited: String {
        switch label {
        case _ where PassedPlace.lockClasses.contains(label): lockName
        case "grace_period": "a grace period"
        case "ipi": "other CPUs to take interrupts"
        case "cpu": "its CPU"
        case "pte", "pmd": "the \(label) to change"
        default: label
        }
    }

    private var lockName: String {
        switch label {
        case "ptl": "the page table lock"
        case "page_lock": "the page lock"
        case "vma_lock": "the vma's lock"
        case "anon_vma_rwsem": "the anon_vma's lock"
        default: label
        }
    }

    /// Labels that are locks' classes; some fields are called like the lock that protects them.
    private static let lockClasses: [String] = {
        let fields = ["none", "i_pages", "secondary_mmu"]
        return (0..<UInt32(NR_LOCK_CLASSES.rawValue)).map { String(cString: lock_class_name($0)) }
            .filter { !fields.contains($0) }
    }()
}
