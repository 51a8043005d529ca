public import Adapters
public import ArgumentParser
public import Factoring
import Files
import JSON
import Reports
public import Tensors

/// Options that every subcommand has.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON object instead of text.")
  var json = false

  @Flag(help: "Show no progress and no warnings.")
  var quiet = false

  @Option(help: ArgumentHelp("Work on this many targets at once.", valueName: "n"))
  var threads = Processors.share

  mutating func validate() throws {
    guard threads >= 1 else { throw ValidationError("--threads: expected at least 1, found \(threads)") }
    // More threads than processors only take memory, and each other's time.
    threads = min(threads, max(Processors.count, Processors.share))
  }

  func warn(_ warnings: [String]) {
    guard !quiet else { return }
    for warning in warnings { Console.complain("warning: \(warning)") }
  }

  /// Tells a person at a terminal what is about to happen.
  func announce(_ text: String) {
    if !quiet, Console.showsProgress { Console.complain(text) }
  }

  /// The report as JSON or text, as asked.
  func show(_ report: some JSONReport, text: @autoclosure () -> String) throws {
    try Console.report(json ? report.jsonText() : text())
  }
}

/// Options of every subcommand that writes an adapter.
struct WriterOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: ArgumentHelp("Write the adapter here.", valueName: "file"))
  var output: String?

  @Flag(help: "Replace files that exist.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Store factors as f32, f16, bf16 or f8_e4m3 (default: as in the input). In resize and merge auto takes f16, or f8_e4m3 "
        + "where twice the rank is worth more than the digits; ComfyUI and kohya's scripts are known to read that.",
      valueName: "format"))
  var dtype: OutputDType?

  @Flag(help: "Compute everything and say what would come out, but write nothing.")
  var dryRun = false

  /// Whether a number format can be chosen.
  func checkAuto(rule: RankRule?) throws {
    guard dtype == .auto, rule?.looksAtWholeFile != true else { return }
    throw ValidationError("--dtype auto: expected --size, --max-error or --until to choose by, found none")
  }

  /// The number format, for commands in which there is no size to choose one by.
  func fixedDType() throws -> DType? {
    guard dtype != .auto else {
      throw ValidationError("--dtype auto: expected a number format; only resize and merge choose one")
    }
    return dtype?.dtype
  }

  /// The output, which must be there unless nothing is written.
  func requiredOutput() throws -> String {
    if let output { return output }
    guard dryRun else { throw ValidationError("expected -o <file>, found no output; hint: --dry-run writes nothing") }
    return "(no output)"
  }
}

/// The number formats that adapters are written in.
enum OutputDType: String, ExpressibleByArgument, CaseIterable {
  case f32, f16, bf16
  case f8e4m3 = "f8_e4m3"
  /// Whichever has the smaller error for a size.
  case auto

  /// `nil` for one that is to be chosen.
  var dtype: DType? {
    switch self {
    case .auto: nil
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .f8e4m3: .f8e4m3
    }
  }
}

extension ByteCount: ExpressibleByArgument {
  /// Reads `20MB` (10⁶), `20MiB` (2²⁰) or plain bytes; `nil` for anything else or less than one byte.
  public init?(argument: String) { self.init(argument) }
}

extension Weighing: ExpressibleByArgument {}
extension Rounding: ExpressibleByArgument {}
extension StrengthRule: ExpressibleByArgument {}

/// An adapter with its strength: `FILE`, `FILE@0.8`, or `FILE@0.8,0.5` for UNet and text encoder.
struct AdapterArgument {
  let input: AdapterInput

  /// - Throws: `ValidationError` for what is no adapter with a strength.
  @Sendable init(_ argument: String) throws {
    guard !argument.isEmpty else { throw ValidationError("expected a file, found an empty name") }
    // A file name may hold an @ of its own: only numbers behind the last one are a strength.
    guard let at = argument.lastIndex(of: "@"), at != argument.startIndex else {
      input = .init(path: argument)
      return
    }
    let numbers = argument[argument.index(after: at)...].split(separator: ",", omittingEmptySubsequences: false).map {
      Double($0)
    }
    let path = String(argument[..<at])
    switch numbers.count {
    case 1: input = numbers[0].map { .init(path: path, strength: $0) } ?? .init(path: argument)
    case 2:
      guard let denoiser = numbers[0], let text = numbers[1] else {
        throw ValidationError("strength: expected a number, or two with a comma, behind the @")
      }
      input = .init(path: path, strength: denoiser, textEncoderStrength: text)
    default: throw ValidationError("strength: expected one number or two, found \(numbers.count)")
    }
    for strength in [input.strength, input.textEncoderStrength] {
      if let reason = AdapterInput.fault(inStrength: strength) { throw ValidationError(reason) }
    }
  }
}

/// Writes a CSV or SVG beside the report.
func writeSideFile(_ text: String, to path: String, overwriting: Bool) throws {
  try sideFile(text, for: path, overwriting: overwriting).commit()
}

/// A text that is complete, and gets its name on commit.
func sideFile(_ text: String, for path: String, overwriting: Bool) throws -> TemporaryFile {
  let file = try TemporaryFile(for: path, overwriting: overwriting)
  try file.write(text)
  return file
}
