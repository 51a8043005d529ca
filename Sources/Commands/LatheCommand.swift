import ArgumentParser
import Audit
import Baking
import Checkpoints
import Extracting
import Factoring
import Files
import Images
import LinearAlgebra
import Prompts
import Rendering
import Sampling

/// What a command did, apart from its report.
enum Outcome {
  case done
  /// Done, but the report or a warning names something that was left aside.
  case skipped
  /// The report was made, and what it reports on cannot be used.
  case badData
  /// The report was made, and its verdict is fail.
  case failed
}

/// A subcommand: its errors become one line on standard error and the right exit code.
protocol LatheCommand: ParsableCommand {
  /// Whether networks will run.
  var usesEngine: Bool { get }
  /// Whether matrices will be multiplied or decomposed, so that it pays to see to the best kernels.
  var multiplies: Bool { get }

  func execute() throws -> Outcome
}

extension LatheCommand {
  var usesEngine: Bool { false }
  var multiplies: Bool { false }

  func run() throws {
    OwnEnvironment.prepare(multiplies: multiplies, usesEngine: usesEngine)
    let outcome: Outcome
    do {
      outcome = try execute()
    } catch let code as ExitCode {
      throw code
    } catch let error as ValidationError {
      Console.tell(error.text(of: Self.self))
      throw ExitCode.validationFailure
    } catch {
      let error = error.cause
      Console.complain("error: \(error.line)")
      throw ExitCode(rawValue: error.exitCode)
    }
    switch outcome {
    case .done: break
    case .skipped: throw ExitCode(2)
    case .badData: throw ExitCode(65)
    case .failed: throw ExitCode(1)
    }
  }
}

extension ValidationError {
  /// What the argument parser says of wrong arguments. For those that are found only while a command runs it would show the
  /// usage of the whole program.
  fileprivate func text(of command: any ParsableCommand.Type) -> String {
    let usage = Lathe.usageString(for: command)
    let name = usage.split(separator: " ").prefix { !$0.hasPrefix("[") && !$0.hasPrefix("<") }.joined(separator: " ")
    return "Error: \(message.harmless)\nUsage: \(usage)\n  See '\(name) --help' for more information.\n"
  }
}

extension Error {
  /// Why it came to this error: most likely a file that changed while it was read, where one did.
  var cause: any Error { InputFiles.changed.map { FileError(.changed, path: $0) } ?? self }

  /// The code of sysexits.h that fits.
  var exitCode: Int32 {
    switch self {
    case let error as FileError:
      switch error.kind {
      case .missing: 66
      case .exists, .folderExists, .isInput, .notWritable, .noSpace: 73
      case .system, .changed, .verification: 74
      default: 65
      }
    case let error as FactoringError:
      switch error.kind {
      case .tooSmall, .unreachableError, .needsFolder, .noAlpha, .noName, .noNameToKeep, .blockWeights: 64
      case .verification: 74
      default: 65
      }
    case let error as ExtractingError:
      switch error.kind {
      case .rankCap, .severalNetworks: 64
      case .unmatched, .unchanged: 65
      }
    case let error as CheckpointError:
      if case .missingShard = error.kind { 66 } else { 65 }
    case let error as BakingError:
      switch error.kind {
      case .baseIsOutput, .undoIsOutput: 73
      case .outputName, .noUndo, .needsGGUF, .needsGGUFOutput, .llamaNames, .requantisesGGUF, .formatOfGGUF,
        .quantisedRounding:
        64
      default: 65
      }
    case let error as ImageError:
      switch error.kind {
      case .missing: 66
      case .system, .writing: 74
      default: 65
      }
    case let error as PromptError:
      switch error.kind {
      case .construct, .weight, .tagKind, .tag, .tooDeep, .tooLong: 64
      default: 65
      }
    case let error as SamplingError:
      switch error.kind {
      case .settingsText, .setting: 65
      default: 64
      }
    case let error as LinearAlgebraError:
      if case .addressSpace = error.kind { 74 } else { 65 }
    case let error as RenderingError:
      if case .addressSpace = error.kind { 74 } else { 65 }
    case let error as RenderError: error.exitCode
    case let error as AuditBatchError: error.exitCode
    case is ConsoleError: 74
    default: 65
    }
  }
}
