import JSON

/// The fields of a PEFT LoRA configuration that decide what its tensors mean.
struct PEFTConfig {
  let fields: [String: JSONValue]
  private let alphas: ModulePatterns
  private let ranks: ModulePatterns

  /// - Parameters:
  ///   - component: what stands before the fields' names in `text`, with a dot.
  ///   - text: what the fields were read from.
  /// - Throws: what is wrong with a field that the deltas depend on.
  init(_ fields: [String: JSONValue], component: String? = nil, text: String) throws(ConfigurationFault) {
    self.fields = fields
    let prefix = component.map { $0 + "." } ?? ""
    for (field, what, isRight) in Self.expected {
      if let value = fields[field], value != .null, !isRight(value) {
        throw ConfigurationFault(prefix + field, what, value)
      }
    }
    alphas = try ModulePatterns(fields["alpha_pattern"], field: prefix + "alpha_pattern", in: text)
    ranks = try ModulePatterns(fields["rank_pattern"], field: prefix + "rank_pattern", in: text)
  }

  /// A value of another kind than PEFT's would be passed over, and the delta be another one.
  private static let expected: [(field: String, what: String, isRight: @Sendable (JSONValue) -> Bool)] = [
    ("peft_type", "expected a text", { $0.string != nil }), ("lora_alpha", "expected a number", { $0.double != nil }),
    ("use_rslora", "expected true or false", { $0.bool != nil }),
    ("fan_in_fan_out", "expected true or false", { $0.bool != nil }),
    ("use_dora", "expected true or false", { $0.bool != nil }),
    ("alpha", "expected a number", { $0.double != nil }), ("init_r", "expected a number", { $0.double != nil }),
    ("coft", "expected true or false", { $0.bool != nil }), ("eps", "expected a number", { $0.double != nil }),
    ("block_share", "expected true or false", { $0.bool != nil }),
    ("use_cayley_neumann", "expected true or false", { $0.bool != nil }),
    (
      "num_cayley_neumann_terms", "expected a number from 1 to 64",
      { $0.double.flatMap { Int(exactly: $0) }.map((1...64).contains) ?? false }
    ),
    ("apply_GS", "expected true or false", { $0.bool != nil }),
    ("group_size", "expected a whole number", { $0.double.flatMap { Int(exactly: $0) } != nil }),
    ("topk", "expected a whole number", { $0.double.flatMap { Int(exactly: $0) } != nil }),
    ("variant", "expected a text", { $0.string != nil }), ("randlora_alpha", "expected a number", { $0.double != nil }),
    ("init_weights", "expected true, false or a text", { $0.bool != nil || $0.string != nil }),
    ("use_bdlora", "expected an object", { $0.object != nil || $0 == .bool(false) }),
    ("alpha_pattern", "expected numbers", { $0.object?.values.allSatisfy { $0.double != nil } ?? false }),
  ]

  var type: String { fields["peft_type"]?.string ?? "LORA" }
  var isFanInFanOut: Bool { fields["fan_in_fan_out"]?.bool ?? false }
  var usesRankStabilisation: Bool { fields["use_rslora"]?.bool ?? false }

  /// α for a module; `nil` when the configuration has none.
  func alpha(of module: String) -> Double? {
    alphas.value(for: module) ?? (fields["lora_alpha"] ?? fields["alpha"])?.double
  }

  /// The rank that the configuration gives a module.
  func rank(of module: String) -> Int? {
    (ranks.value(for: module) ?? fields["r"]?.double).flatMap { Int(exactly: $0) }
  }

  /// α/r, or α/√r for rank-stabilised LoRA; 1 without an alpha.
  func scale(of module: String, rank: Int) -> Double {
    guard let alpha = alpha(of: module) else { return 1 }
    return usesRankStabilisation ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
  }

  /// The algorithm of all targets, where it is not a LoRA's; `nil` for types that Lathe does not know.
  var algorithm: Algorithm? {
    let types: [String: Algorithm] = [
      "LORA": .lora, "LOHA": .loha, "LOKR": .lokr, "ADALORA": .adalora, "IA3": .ia3, "OFT": .oft, "BOFT": .boft,
      "VERA": .vera, "HRA": .hra, "LN_TUNING": .full,
    ]
    return types[type] ?? Self.storedTypes[type] ?? RefusedAlgorithm.byType[type]
  }

  private static let storedTypes = Dictionary(
    StoredAlgorithm.all.map { ($0.type, $0.algorithm) }, uniquingKeysWith: { first, _ in first })

  /// A setting that makes the file more than what its tensors say, where it is one that Lathe cannot honour.
  var unsupported: Algorithm? { isSet("trainable_token_indices") ? .tokenAdapter : nil }

  /// Whether lengths were trained beside the factors (DoRA).
  var isDecomposed: Bool { fields["use_dora"]?.bool ?? false }

  /// AdaLoRA: the rank before pruning.
  var initialRank: Double? { fields["init_r"]?.double }

  // MARK: Rotations, reflections, factors

  /// OFT: whether rotations are a series rather than a quotient. Files of before the setting are read so by PEFT too.
  var usesSeries: Bool { fields["use_cayley_neumann"]?.bool ?? true }
  var seriesTerms: Int { fields["num_cayley_neumann_terms"]?.double.flatMap { Int(exactly: $0) } ?? 5 }
  /// OFT: what bounds each block, where it is bound.
  var rotationLimit: Double? { fields["coft"]?.bool == true ? fields["eps"]?.double ?? 6e-5 : nil }
  /// OFT: whether one block is used for all of the inputs.
  var sharesBlocks: Bool { fields["block_share"]?.bool ?? false }
  /// HRA: whether directions are made orthogonal.
  var orthogonalises: Bool { fields["apply_GS"]?.bool ?? false }

  /// BD-LoRA: into how many blocks a factor of the module is cut, and whether it is the one with the inputs; `nil` for other modules.
  func blocks(of module: String) -> (count: Int, isOfInputs: Bool)? {
    guard let settings = fields["use_bdlora"]?.object,
      let count = settings["nblocks"]?.double.flatMap({ Int(exactly: $0) }),
      count > 1
    else { return nil }
    let name = module.split(separator: ".").last.map(String.init) ?? module
    func names(_ field: String) -> Bool {
      settings[field]?.array?.contains { $0.string.map(name.contains) ?? false } ?? false
    }
    return names("target_modules_bd_a") ? (count, true) : names("target_modules_bd_b") ? (count, false) : nil
  }

  /// (IA)³: whether a module's inputs are multiplied, rather than its outputs.
  func isFeedForward(_ module: String) -> Bool {
    switch fields["feedforward_modules"] {
    case .array(let names): names.contains { $0.string.map { module == $0 || module.hasSuffix("." + $0) } ?? false }
    case .string(let pattern): ModuleExpression("^(?:\(pattern))$")?.matchesEnd(of: module) ?? false
    default: false
    }
  }

  /// Whether a parameter is in one of the modules that were saved as a whole (`modules_to_save`).
  func savesModule(of parameter: String) -> Bool {
    fields["modules_to_save"]?.array?.contains { module in
      module.string.map { ".\(parameter)".includes(".\($0).") } ?? false
    } ?? false
  }

  /// The parameters inside a module that its targets are for (`target_parameters`), rather than for its weight: one, none,
  /// or several of which it is not known which.
  ///
  /// Each more of them lies one `base_layer` deeper, those that the model registers first the deepest.
  func parameters(of path: String) -> (module: String, names: [String]) {
    var module = path, depth = 0
    while module.hasSuffix(".base_layer") { (module, depth) = (module.dropping(suffix: ".base_layer"), depth + 1) }
    var names: [String] = []
    for parameter in fields["target_parameters"]?.array?.compactMap(\.string) ?? [] {
      guard let name = parameter.split(separator: ".").last.map(String.init), !names.contains(name),
        case let full = "\(module).\(name)", full == parameter || full.hasSuffix("." + parameter)
      else { continue }
      names.append(name)
    }
    let registered = ["gate_up_proj", "gate_proj", "up_proj", "down_proj"].filter(names.contains)
    guard names.count > 1, registered.count == names.count, depth < names.count else { return (module, names) }
    return (module, [registered[names.count - 1 - depth]])
  }

  /// A field that no formula for a delta can honour.
  var refusal: String? {
    guard algorithm != nil else { return "peft_type \(type)" }
    return [
      "layer_replication", "use_qalora", "alora_invocation_tokens", "arrow_config", "megatron_config",
    ].first(where: isSet)
  }

  /// An initialisation that changed the base: the adapter is right only on that changed base.
  ///
  /// Source: PEFT 0.21 (`tuners/lora/layer.py`, `variants.py`); `eva`, `mica`, `orthogonal` and `gaussian` leave it alone.
  var changedBase: String? {
    if isSet("kasa_config") { return "kasa" }
    guard let method = fields["init_lora_weights"]?.string?.lowercased() else { return nil }
    return ["pissa", "olora", "corda", "loftq", "lora_ga"].contains { method.hasPrefix($0) } ? method : nil
  }

  private func isSet(_ field: String) -> Bool {
    switch fields[field] {
    case nil, .null, .bool(false): false
    case .array(let items): !items.isEmpty
    case .object(let items): !items.isEmpty
    default: true
    }
  }
}

/// What is wrong with a field of a configuration.
struct ConfigurationFault: Error {
  let reason: String

  init(_ field: String, _ expected: String, _ found: JSONValue) {
    let text = found.compactText
    reason = "\(field): \(expected), found \(text.count > 60 ? text.prefix(60) + " …" : text)"
  }
}
