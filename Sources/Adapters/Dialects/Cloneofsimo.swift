import Models

/// `unet:0:up`, or a pickled list: cloneofsimo/lora of 2022. Targets are numbers (`CloneofsimoOrder`).
struct CloneofsimoDialect: Dialect {
  func isSpoken(in modules: [String], hasConfiguration: Bool) -> Bool {
    modules.contains { $0.hasPrefix("unet:") || $0.hasPrefix("text_encoder:") }
  }

  /// `unet:12:up`
  func parsed(_ tensor: String) -> ParsedKey? {
    guard tensor.utf8.contains(UInt8(ascii: ":")) else { return nil }
    let parts = tensor.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 3, Int(parts[1]) ?? -1 >= 0, parts[2] == "up" || parts[2] == "down" else { return nil }
    return ParsedKey(module: "\(parts[0]):\(parts[1])", role: parts[2] == "up" ? .up : .down, label: String(parts[2]))
  }

  var alphaRule: AlphaRule { .none }
  var keepsNames: Bool { true }
  var numbersTargets: Bool { true }
  func module(of key: TargetKey, dotted: String?, in setting: SpellingSetting) -> String? { nil }
  func tensorNames(of module: String) -> Target.TensorNames { .init(up: module + ":up", down: module + ":down") }
}
