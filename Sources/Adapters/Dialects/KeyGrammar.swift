/// What a tensor means to its target.
package enum Role: Hashable, Sendable {
  case up
  case down
  case mid
  case alpha
  case scale
  /// A parameter of an algorithm other than plain LoRA.
  case other(Algorithm)
}

/// A tensor name taken apart into the target it belongs to and the role it plays there.
package struct ParsedKey {
  package var module: String
  package var role: Role
  /// What the tensor is called in its target, whatever the adapter's own name may stand in the middle.
  package var label: String
}

/// The spellings of tensor names in all dialects.
///
/// Source: the loaders of kohya sd-scripts, LyCORIS, diffusers, PEFT, ComfyUI and XLabs.
enum KeyGrammar {
  /// Takes `key` apart, or returns `nil` for a name that no known trainer writes.
  static func parse(_ key: String) -> ParsedKey? {
    for format in AdapterFormat.reading { if let parsed = format.dialect.parsed(key) { return parsed } }
    for (suffix, role) in suffixes where key.hasSuffix(suffix) && key.utf8.count > suffix.utf8.count {
      return ParsedKey(module: key.dropping(suffix: suffix), role: role, label: String(suffix.dropFirst()))
    }
    return parseNamedAdapter(key)
  }

  /// Longest suffixes first, so that the most specific spelling wins.
  private static let suffixes: [(String, Role)] = rotary + sides + plain + named

  private static let rotary: [(String, Role)] = endings(.rotaryLoRA, StoredAlgorithm.rotaryLoRA.tensors)

  private static let sides: [(String, Role)] = [("up", Role.up), ("down", .down), ("mid", .mid)].flatMap {
    (side, role) in
    [".lora_\(side).weight", ".lora.\(side).weight", "_lora.\(side).weight", ".lora_linear_layer.\(side).weight"]
      .map { ($0, role) }
  }.sorted { $0.0.count > $1.0.count }

  private static let plain: [(String, Role)] = [
    (".lora_A.weight", .down), (".lora_B.weight", .up), (".lora_A", .down), (".lora_B", .up),
    // Flux's Control-LoRA replaces the norms of queries and keys.
    (".query_norm.scale", .other(.controlLora)), (".key_norm.scale", .other(.controlLora)), (".alpha", .alpha),
    (".scale", .scale),
  ]

  private static let named: [(String, Role)] =
    (others + StoredAlgorithm.all.map { ($0.algorithm, $0.tensors) }).flatMap(endings)

  private static func endings(_ algorithm: Algorithm, _ names: [String]) -> [(String, Role)] {
    names.map { ("." + $0, .other(algorithm)) }
  }

  private static let others: [(Algorithm, [String])] = [
    (.dora, ["dora_scale", "lora_magnitude_vector.weight", "lora_magnitude_vector", "magnitude"]),
    (.loha, ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"]),
    (.lokr, ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t1", "lokr_t2"]),
    (.glora, ["a1.weight", "a2.weight", "b1.weight", "b2.weight", "bm.weight"]),
    (.norm, ["w_norm", "b_norm"]),
    (.full, ["diff", "diff_b", "set_weight"]),
    (.reshape, ["reshape_weight", "row_offset"]),
    (.boft, ["boft_R", "boft_s"]),
    (.oft, ["oft_blocks", "oft_diag", "rescale", "oft_R.weight", "oft_R", "oft_R.scaled_oft", "oft_r", "oft_s"]),
    (.ia3, ["ia3_l", "on_input"]),
    (.tlora, ["q_layer.weight", "p_layer.weight", "lambda_layer"]),
    (.sparseBias, ["bias_indices", "bias_values", "bias_size"]),
    (.adalora, ["lora_E", "ranknum"]),
    (.kasa, ["lora_diag"]),
    (.vera, ["vera_lambda_b", "vera_lambda_d"]),
    (.embedding, ["lora_embedding_A", "lora_embedding_B"]),
    (.bias, ["lora_B.bias", "lora_up.bias"]),
    (.fourierft, ["fourierft_spectrum"]),
    (.hra, ["hra_u"]),
  ]

  /// PEFT's state dict before saving, which keeps the adapter's own name: `….lora_A.default.weight`; and OFT blocks
  /// that are numbered.
  private static func parseNamedAdapter(_ key: String) -> ParsedKey? {
    let parts = key.split(separator: ".", omittingEmptySubsequences: false)
    if parts.count >= 3, parts[parts.count - 2] == "oft_blocks", Int(parts.last!) != nil {
      return ParsedKey(
        module: parts.dropLast(2).joined(separator: "."), role: .other(.oft),
        label: parts.suffix(2).joined(separator: "."))
    }
    let named: [Substring: Role] = [
      "lora_A": .down, "lora_B": .up, "lora_magnitude_vector": .other(.dora), "lora_embedding_A": .other(.embedding),
      "lora_embedding_B": .other(.embedding),
    ]
    // The name may stand before ".weight" or at the very end.
    for back in [3, 2] where parts.count > back {
      guard back == 2 || parts.last == "weight", let role = named[parts[parts.count - back]] else { continue }
      if back == 2, parts.last == "weight" || parts.last == "bias" { continue }
      return ParsedKey(
        module: parts.dropLast(back).joined(separator: "."), role: role, label: String(parts[parts.count - back]))
    }
    return nil
  }
}
