// SPDX-License-Identifier: GPL-2.0-only
// The project's own fixtures: small enough to be read, and settled.

import Differential
import Foundation
import Testing

@testable import FixtureStore

@Suite struct CollectionTests {
    @Test func theProjectsFixturesAreCutDown() throws {
        let project = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        // An archive of the sources is no repository.
        guard FileManager.default.fileExists(atPath: project.appending(path: ".git").path) else { return }
        let fixtures = try Store(at: project.path).collection().fixtures.map { try $0.fixture() }
        #expect(fixtures.count > 10)
        for fixture in fixtures {
            let steps = fixture.trace.setup.steps.count + fixture.trace.tasks.reduce(0) { $0 + $1.steps.count }
            let preemptions = fixture.trace.schedule?.decisions.count { !$0.forced && $0.cpu == nil } ?? 0
            #expect(fixture.trace.tasks.count <= 3 && steps <= 8 && preemptions <= 2, "\(fixture.name)")
            #expect(fixture.verdict != .inconclusive && fixture.verdict != .equal, "\(fixture.name)")
            #expect(fixture.provenance.seed != nil && !fixture.provenance.references.isEmpty, "\(fixture.name)")
        }
    }
}
