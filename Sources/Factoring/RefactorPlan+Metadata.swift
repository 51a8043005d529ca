import Adapters
import JSON

extension RefactorPlan {
  /// The metadata of the output.
  ///
  /// - Parameters:
  ///   - rule: what the ranks were chosen by.
  ///   - weighing: what errors counted.
  ///   - commonRank: the rank of all targets, where the rule says so beforehand.
  ///   - isConcatenated: whether components are in the order of the inputs' own, and not of their size.
  ///   - alpha: of all targets, where the format has one.
  package func metadata(
    rule: RankRule, weighing: ErrorWeighing?, commonRank: Int?, isConcatenated: Bool, alpha: Double?
  ) -> OutputMetadata {
    let recipe = recipe, names = adapters.map { fileName($0.path) }, origin = origin
    var metadata = OutputMetadata(format.dialect) { hashes in
      var fields = recipe.fields(files: names, rule: rule, origin == nil ? hashes : nil)
      if let origin {
        fields["inputs"] = nil
        fields.merge(origin.fields(hashes)) { _, told in told }
      }
      if isConcatenated { fields["order"] = .string("concatenated") }
      return fields.merging(weighing?.fields ?? [:]) { own, _ in own }
    }
    let numbersTargets = format.dialect.numbersTargets
    metadata.inherit(from: adapters) { key, _ in
      (leavesFamily && ["ss_network_module", "ss_network_args"].contains(key))
        || (numbersTargets && key.hasSuffix(":rank"))
        || isAnotherWork && ["modelspec.title", "ss_output_name", "name"].contains(key)
    }
    if adapters.allSatisfy(\.metadata.isEmpty) { metadata.set("format", "pt") }
    metadata.tellNetwork(rank: commonRank, alpha: alpha?.alphaText, isAnother: leavesFamily)
    metadata.tellHashes()
    if isAnotherWork, metadata.isInInputs("modelspec.sai_model_spec") {
      metadata.set("modelspec.merged_from", names.joined(separator: ", "))
    }
    metadata.tellNumberedRanks(of: targets.map(\.name))
    if commonRank == nil { metadata.tellRanks(by: RankPatterns(targets)) }
    return metadata
  }
}

extension RefactorRecipe {
  /// What metadata says of it.
  ///
  /// - Parameters:
  ///   - files: the inputs' names.
  ///   - rule: what the ranks were chosen by.
  ///   - hashes: of the inputs; `nil` where nothing is said of them.
  fileprivate func fields(files: [String], rule: RankRule, _ hashes: RecipeHashes?) -> [String: JSONValue] {
    let entries = zip(files, inputs).enumerated().map { index, input in
      JSONValue.object([
        "file": .string(input.0),
        "content_sha256": hashes?.ofInput(index) ?? .null,
        "strength": .number(input.1.strength),
        "text_encoder_strength": .number(input.1.textEncoderStrength),
      ])
    }
    var fields: [String: JSONValue] = [
      "operation": .string(operation.rawValue), "inputs": .array(entries), "rule": .string(rule.description),
      "weigh": .string(weighing.rawValue),
    ]
    if let dtype { fields["dtype"] = .string(dtype.rawValue) }
    if !method.isUsual {
      fields[method.name] = method.settings.isEmpty ? .bool(true) : .object(method.settings)
    }
    switch clipping {
    case .none: break
    case .spikes(let medians): fields["clip_spikes"] = .number(medians)
    case .above(let sigma): fields["clip_sigma"] = .number(sigma)
    }
    if let averageWidth { fields["ema"] = .number(averageWidth) }
    if keepsAllTargets { fields["keep_all_targets"] = .bool(true) }
    if countsLikeKohya { fields["compat"] = .string("kohya") }
    return fields
  }
}
