public import FoundationEssentials
import JSON

/// What the `scheduler_config.json` of a rectified flow says: x = (1 − σ)·x₀ + σ·noise, and the network predicts the velocity
/// noise − x₀ (Liu and others 2022, arXiv:2209.03003).
public struct FlowSettings: Equatable, Sendable {
  /// How the even noise levels 1 … 1/n are moved: σ' = shift·σ ÷ (1 + (shift − 1)·σ); 1 leaves them.
  public var shift = 1.0
  /// What the network's time is a multiple of: it is told σ times this.
  public var timestepCount = 1000

  /// Even levels.
  public init() {}

  /// - Parameter shift: above 0.
  public init(shift: Double) { self.shift = shift }

  /// Reads the text of a `scheduler_config.json`. Names that mean nothing here are ignored.
  ///
  /// - Throws: `SamplingError` for text that is not such an object, and for settings that no sampler here heeds.
  public init(json: Data) throws(SamplingError) {
    guard let fields = JSONValue(parsing: String(decoding: json, as: UTF8.self))?.object else {
      throw SamplingError(.settingsText(reason: "expected a JSON object"))
    }
    if let name = fields["_class_name"]?.string, name != "FlowMatchEulerDiscreteScheduler" {
      throw SamplingError(.setting(name: "_class_name", expected: "FlowMatchEulerDiscreteScheduler", found: name))
    }
    for name in Self.unheeded {
      if let value = fields[name], value != .null, value != .bool(false) {
        throw SamplingError(.setting(name: name, expected: "false", found: value.text.trimmedLine))
      }
    }
    func number(_ name: String, _ usual: Double) throws(SamplingError) -> Double {
      guard let value = fields[name], value != .null else { return usual }
      guard let number = value.double, number > 0, Float(number).isFinite else {
        throw SamplingError(.setting(name: name, expected: "a number above 0", found: value.text.trimmedLine))
      }
      return number
    }
    shift = try number("shift", 1)
    let count = try number("num_train_timesteps", 1000)
    guard count == count.rounded(), count <= 1_000_000 else {
      throw SamplingError(
        .setting(name: "num_train_timesteps", expected: "a whole number up to 1000000", found: "\(count)"))
    }
    timestepCount = Int(count)
  }

  /// What changes noise levels or steps in ways that are not here.
  private static let unheeded = [
    "use_dynamic_shifting", "shift_terminal", "invert_sigmas", "stochastic_sampling", "use_karras_sigmas",
    "use_exponential_sigmas", "use_beta_sigmas",
  ]

  /// σ before each of `steps` steps, in single precision as diffusers has them, and 0 after the last.
  public func sigmas(steps: Int) -> [Float] {
    let shift = Float(self.shift)
    return (0..<steps).map { step in
      let sigma = Float(Double(steps - step) / Double(steps))
      return shift * sigma / (1 + (shift - 1) * sigma)
    } + [0]
  }
}

extension String {
  fileprivate var trimmedLine: String { split(whereSeparator: \.isWhitespace).joined(separator: " ") }
}
