public import Tensors

/// Why adapters could not be baked into a checkpoint, or a bake not be undone.
public struct BakingError: Error, CustomStringConvertible {
  /// What went wrong; weights and targets are spelled as in their files.
  public enum Kind: Sendable {
    case wrongFamily(sentence: String)
    case doesNotFit(target: String, finding: AdapterFit.Finding, others: Int)
    case notFinite(weight: String, count: Int, dtype: String, cause: NotFiniteCause)
    case format(weight: String, dtype: String)
    case baseIsOutput
    case undoIsOutput
    case outputName(ending: String, container: BakeRecipe.Container)
    case needsGGUF(kind: String)
    case needsGGUFOutput(String)
    /// Names of llama.cpp in another container, where nobody would know them.
    case llamaNames
    case requantisesGGUF
    case formatOfGGUF(DType)
    case quantisedRounding(weight: String, format: String, Rounding)
    case codes(weight: String, format: String)
    case configuredCodes(weight: String, format: String, method: String)
    case noUndo(base: String, kind: String)
    case undo(reason: String)
    case otherBake(weight: String, expected: String, found: String)
    case notRestored(file: String, expected: String, found: String)
  }

  /// Where a number that is not finite comes from.
  public enum NotFiniteCause: Sendable {
    case base
    case factor(String, target: String)
    /// Too large for the number format.
    case sum
  }

  /// What went wrong, for those who add a hint to it.
  public let kind: Kind
  /// The file that it is about, which begins the message.
  public let path: String

  /// An error about the file at `path`.
  public init(_ kind: Kind, path: String) {
    self.kind = kind
    self.path = path
  }

  /// The whole message, with the file in front.
  public var description: String { "\(path): \(message)" }

  /// The message without the file's name.
  public var message: String {
    switch kind {
    case .wrongFamily(let sentence): sentence
    case .doesNotFit(let target, let finding, let others): "\(target): \(finding)\(Self.more(others))"
    case .notFinite(let weight, let count, let dtype, let cause):
      "\(weight): expected finite \(dtype) numbers, found \(count) NaN or infinite; \(Self.text(cause))"
    case .format(let weight, let dtype):
      "\(weight): dtype: expected F32, F16, BF16 or F8, found \(dtype); hint: convert the base first"
    case .baseIsOutput: "is the base itself; hint: give the output another name"
    case .undoIsOutput: "is the output itself; hint: give the undo file another name"
    case .outputName(let ending, let container):
      "expected a name for \(container == .gguf ? "GGUF" : "safetensors"), which is what comes out, found \(ending); hint: "
        + "end it in \(container == .gguf ? ".gguf" : ".safetensors")"
    case .needsGGUF(let kind):
      "base: expected a GGUF file for an output of GGUF, found \(kind); hint: end the output's name in .safetensors"
    case .needsGGUFOutput(let format):
      "dtype \(format): expected an output of GGUF, found safetensors; hint: end its name in .gguf"
    case .llamaNames:
      "names: expected an output of GGUF for a language model under llama.cpp's, found safetensors; hint: end its name in .gguf"
    case .requantisesGGUF: "requantise: expected a base and an output of GGUF, found safetensors"
    case .formatOfGGUF(let dtype):
      "dtype: expected f32, f16, bf16 or blocks such as q8_0 for GGUF, found \(dtype.rawValue.lowercased())"
    case .quantisedRounding(let weight, let format, let rounding):
      "\(weight): expected nearest rounding for new blocks of \(format), found \(rounding.rawValue)"
    case .codes(let weight, let format):
      "\(weight): expected a number format that a sum can be written in, found \(format), which is only read"
    case .configuredCodes(let weight, let format, let method):
      "\(weight): expected a number format that a sum can be written in, found \(format), and a config.json that says "
        + "\(method) of all weights beside it; hint: use the unquantised checkpoint and quantise the result"
    case .noUndo(let base, let kind):
      "undo: expected a base of safetensors, or of GGUF with an output of GGUF, found \(kind), \(base), which could not be "
        + "restored bit for bit; hint: keep the base, or bake with every adapter at strength 0 first, which makes safetensors "
        + "of it, and bake into that"
    case .undo(let reason): "expected an undo file of lathe bake, \(reason)"
    case .otherBake(let weight, let expected, let found):
      "\(weight): expected \(expected) as the undo file says, found \(found); hint: this is not the checkpoint it belongs to"
    case .notRestored(let file, let expected, let found):
      "\(file): SHA-256: expected \(expected.prefix(12)) after the return, found \(found.prefix(12)); hint: this is not the "
        + "checkpoint that the undo file belongs to, or it was changed since"
    }
  }

  private static func text(_ cause: NotFiniteCause) -> String {
    switch cause {
    case .base: "the base itself is not finite there"
    case .factor(let factor, let target): "the \(factor) factor of \(target) is not finite"
    case .sum: "the sum is too large for the format"
    }
  }

  private static func more(_ count: Int) -> String { count > 0 ? " (and \(count) more)" : "" }
}
