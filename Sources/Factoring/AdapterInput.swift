import Adapters
package import Models

/// An adapter file and how strongly it is used.
public struct AdapterInput: Sendable, Equatable {
  /// The adapter's file or folder, as the user named it.
  public var path: String
  /// What deltas of the denoiser are multiplied by; negative for the opposite effect.
  public var strength: Double
  /// For targets in text encoders.
  public var textEncoderStrength: Double
  /// Multiplies both.
  public var blocks: BlockWeights?

  /// Text encoders have the same strength where none is given for them.
  public init(path: String, strength: Double = 1, textEncoderStrength: Double? = nil, blocks: BlockWeights? = nil) {
    self.path = path
    self.strength = strength
    self.textEncoderStrength = textEncoderStrength ?? strength
    self.blocks = blocks
  }

  /// Why a number is no strength, in the words of a message; `nil` for one that is. What is smaller or larger leaves the
  /// range of the numbers that deltas are made of.
  package static func fault(inStrength strength: Double) -> String? {
    guard strength.isFinite else { return "strength: expected a finite number" }
    return strength == 0 || (1e-30...1e30).contains(strength.magnitude)
      ? nil : "strength: expected 0 or a number of 1e-30 to 1e30, found \(strength)"
  }

  /// The strength for a target.
  package func strength(for key: TargetKey) -> Double {
    (key.component.isTextEncoder ? textEncoderStrength : strength) * (blocks?.weight(for: key) ?? 1)
  }

  /// For people: `style 0.8`, or `style 0.8,0.5` where the text encoder has another strength.
  package var label: String {
    let strength = strength.shortText, text = textEncoderStrength.shortText
    return "\(path.fileStem) \(strength)\(strength == text ? "" : ",\(text)")"
  }

  /// The same with all strengths multiplied.
  package func scaled(by factor: Double) -> AdapterInput {
    var input = self
    input.strength *= factor
    input.textEncoderStrength *= factor
    return input
  }
}

extension String {
  /// A path's last part without the endings that files of weights have.
  package var fileStem: String {
    let path = count > 1 && hasSuffix("/") ? String(dropLast()) : self
    let name = path.split(separator: "/").last.map(String.init) ?? path
    for suffix in [".safetensors", ".ckpt", ".pt", ".bin"] where name.hasSuffix(suffix) && name != suffix {
      return String(name.dropLast(suffix.count))
    }
    return name
  }
}

extension Double {
  /// A number without digits that only binary fractions have: 0.24, not 0.24000000000000002.
  package var shortText: String {
    let rounded = (self * 1e6).rounded() / 1e6
    let text = "\(rounded == 0 ? 0 : rounded)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
