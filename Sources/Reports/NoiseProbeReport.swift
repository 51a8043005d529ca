public import JSON
public import Rendering
import Tensors

/// How far two sets of weights are from each other in what the denoiser predicts.
public struct NoiseProbeReport: Encodable, Sendable {
  struct Row: Encodable, Sendable {
    var time: Float
    var relativeError: Double
    @Explicit var effectError: Double? = nil
  }

  let prompt: String
  let size: String
  let dtype: String
  /// ‖ε_A − ε_B‖ ÷ ‖ε_A‖
  public let relativeError: Double
  /// ‖ε_A − ε_B‖ ÷ ‖ε_A − ε_base‖: the share of A's effect that B lacks or changes; without a base `null`.
  @Explicit public var effectError: Double? = nil
  let times: [Row]

  /// - Parameter effect: the comparison relative to what A changes; `nil` without a base.
  public init(_ probe: NoiseProbe, _ comparison: NoiseComparison, effect: NoiseComparison?) {
    prompt = probe.prompts[0]
    size = "\(probe.size.width)x\(probe.size.height)"
    dtype = probe.precision.rawValue
    relativeError = comparison.relativeError
    times = NoiseProbe.times.indices.map {
      Row(
        time: NoiseProbe.times[$0], relativeError: comparison.relativeErrors[$0],
        effectError: effect?.relativeErrors[$0])
    }
    effectError = effect?.relativeError
  }

  /// - Parameter width: of the terminal.
  func lines(width: Int) -> [String] {
    var lines = ["noise prediction, one pass at \(size) in \(dtype), prompt \"\(prompt)\""]
    lines.append("  relative error  \(Numbers.short(relativeError))   ‖εA − εB‖ ÷ ‖εA‖ over all times")
    if let effectError {
      lines.append(
        "  of A's effect   \(Numbers.short(effectError))   ‖εA − εB‖ ÷ ‖εA − εbase‖: \(Self.meaning(effectError))")
    }
    var table = TextTable(.number("time"), .number("relative"), .number("of A's effect"))
    for row in times {
      table.add(
        Numbers.short(Double(row.time)), Numbers.short(row.relativeError), row.effectError.map(Numbers.short) ?? "–")
    }
    return lines + table.lines(width: width)
  }

  private static func meaning(_ error: Double) -> String {
    switch error {
    case ..<1e-4: "the same up to rounding"
    case ..<0.05: "hardly to be seen"
    case ..<0.2: "small differences"
    case ..<0.6: "clearly different"
    default: "another effect"
    }
  }
}

/// How far two base checkpoints are from each other, by their predictions alone.
public struct CheckpointCompareReport: JSONReport {
  /// The same as that of `CompareReport`: what is not compared here is `null` or empty.
  public static let schema = "lathe.compare/1"

  let a: String
  let b: String
  /// Errors of weights, which are not compared here.
  @Explicit var relativeError: Double? = nil
  @Explicit var cosine: Double? = nil
  let targets: [String] = []
  let noisePrediction: NoiseProbeReport

  /// - Parameters:
  ///   - a: path of the checkpoint that errors are relative to.
  ///   - b: path of the other one.
  public init(a: String, b: String, _ probe: NoiseProbeReport) {
    self.a = a
    self.b = b
    noisePrediction = probe
  }

  /// The two paths and a table of errors by time.
  ///
  /// - Parameter width: of the terminal, in characters.
  public func text(width: Int) -> String {
    (["A  \(a)", "B  \(b)"] + noisePrediction.lines(width: width)).joined(separator: "\n") + "\n"
  }
}
