// SPDX-License-Identifier: GPL-2.0-only
// What a campaign is after, where it is not to use up all its time: certain findings, a number of schedules.

import Differential

struct CampaignGoal: Codable {
    /// All of these must have been found.
    var findings: [FindingPattern] = []
    /// So many schedules must have been run.
    var schedules: Int?
    /// One difference that nobody expected is enough.
    var anyDifference = false

    func isReached(by campaign: Campaign) -> Bool {
        if anyDifference { return campaign.findings.contains { $0.verdict.isUnexpected } }
        if let schedules { return campaign.progress.schedules >= schedules }
        return findings.allSatisfy { wanted in campaign.findings.contains(where: wanted.matches) }
    }
}

/// Findings of a kind.
struct FindingPattern: Codable, Equatable {
    var verdicts: [Verdict]
    var direction: Finding.Direction
    var level: String
    /// One of these is among what differs,
    var subjects: [String]
    /// and none of these.
    var others: [String] = []

    func matches(_ finding: Finding) -> Bool {
        verdicts.contains(finding.verdict) && finding.direction == direction && finding.level == level
            && subjects.contains(where: finding.subject.contains) && !others.contains(where: finding.subject.contains)
    }
}
