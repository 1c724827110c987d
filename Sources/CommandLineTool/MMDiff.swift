// SPDX-License-Identifier: GPL-2.0-only
// The command line: its subcommands, each in a file of its own, and how they end.

import ArgumentParser
import FixtureStore
import Foundation
import Processes
import Traces
import VariantKit

public struct MMDiff: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "mmdiff",
        abstract: "A behavioural diff of Linux memory-management patches.",
        discussion: """
            Runs the same traces under the same controlled interleavings on two versions of the kernel code \
            that a patch touches, and reports every outcome that one can reach and the other cannot.

            Exit status: 0 no unexpected difference, 1 an unexpected difference, 125 cannot tell, 2 bad usage \
            or bad input, 128 and above an internal failure.
            """,
        subcommands: [
            RunCommand.self, ExploreCommand.self, ReplayCommand.self, ShrinkCommand.self, ImportCommand.self,
            FixtureCommand.self,
            ListCommand.self, DoctorCommand.self, BenchCommand.self, StrategiesCommand.self, GroundTruthCommand.self,
            MutateCommand.self, WorkerCommand.self,
            DigestCommand.self,
        ])

    public init() {}

    /// Runs the command line of this process with the families of `catalog`.
    public static func main(_ catalog: Catalog) -> Never {
        commandLineCatalog = catalog
        do {
            var command = try parseAsRoot()
            try command.run()
            leave(.noDifference)
        } catch let status as ExitStatus {
            leave(status)
        } catch {
            leave(report(error))
        }
    }

    /// Says what was wrong, in the way of the command that failed.
    private static func report(_ error: any Error) -> ExitStatus {
        switch error {
        case is UserVariantError:
            // Whether a file compiles changes from revision to revision; `git bisect run` takes any other status
            // below 128 for a bad one, and would blame the revision for what it does not do.
            complain("mmdiff: \(error)")
            return .cannotTell
        case is NameError, is TraceError, is ClaimsError, is KernelTaskFault, is InputError,
            is StoreError, is RepositoryError:
            complain("mmdiff: \(error)")
            return .badInput
        case is CrashedRun:
            complain("mmdiff: \(error)")
            return .difference
        default:
            let code = exitCode(for: error)
            guard code != .success else {
                print(fullMessage(for: error))
                return .noDifference
            }
            guard code == .validationFailure else {
                complain("mmdiff: internal failure: \(error)")
                return .internalFailure
            }
            complain(fullMessage(for: error))
            return .badInput
        }
    }

    private static func leave(_ status: ExitStatus) -> Never {
        fflush(nil)
        Foundation.exit(status.rawValue)
    }
}

/// What this executable knows; set once, before the command line is read.
nonisolated(unsafe) var commandLineCatalog = Catalog(families: [], eras: [])

/// How mmdiff ends, for `git bisect run` and CI.
public enum ExitStatus: Int32, Error {
    case noDifference = 0
    case difference = 1
    case badInput = 2
    case cannotTell = 125
    case internalFailure = 128
}

/// mmdiff itself is broken.
struct InternalFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Input that is no good, in one line.
struct InputError: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}

func complain(_ text: String) {
    fflush(nil)
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
