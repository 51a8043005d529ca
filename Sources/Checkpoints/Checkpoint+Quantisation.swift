import Tensors

extension Checkpoint {
  /// The place in `weights` of what `scaleWeight(of:)` returns.
  public func scaleIndex(of weight: Weight) -> Int? {
    guard weight.entry.name.hasSuffix(".weight"), weight.entry.dtype.bits == 8 else { return nil }
    return index(of: weight.entry.name.dropping(suffix: "weight") + "scale_weight", inFile: weight.file)
  }

  /// Refuses weights whose numbers are not what they stand for.
  ///
  /// A change that is added to such numbers would be another one, or none, and nothing in the file would show it. So all that
  /// is not known to leave a coarse weight as it is counts as a part of its meaning.
  ///
  /// - Throws: `CheckpointError`: `quantised`, or `scaled` for an 8-bit weight with something beside it.
  func requirePlainWeights() throws(CheckpointError) {
    for weight in weights {
      for (suffix, scheme) in Self.quantisedSuffixes where weight.entry.name.hasSuffix(suffix) {
        throw CheckpointError(.quantised(tensor: weight.entry.name, scheme: scheme), path: path)
      }
    }
    let coarse = weights.filter { $0.entry.dtype.bits <= 8 && $0.entry.dtype != .bool && $0.entry.shape.rank > 0 }
    guard !coarse.isEmpty else { return }
    // Shards of one network share its names, so a scale may lie in another file than its weight.
    let companions = QuantisationCompanions(weights.map { (folder: folder(of: $0), name: $0.entry.name) })
    for weight in coarse {
      let known = scaleWeight(of: weight)?.entry.name
      if let side = companions.first(
        beside: weight.entry.name, kind: Self.kind(weight.entry), in: folder(of: weight), except: known)
      {
        throw CheckpointError(
          .scaled(weight: weight.entry.name, dtype: weight.entry.dtype.rawValue, side: side), path: path)
      }
    }
  }

  private static func kind(_ entry: WeightFile.Entry) -> QuantisationCompanions.Kind {
    if entry.shape.rank == 1 { return .vector }
    return [.u8, .i8].contains(entry.dtype) ? .wholeNumbers : .fractions
  }

  private func folder(of weight: Weight) -> Substring {
    let place = files[weight.file].relativePath
    return place.lastIndex(of: "/").map { place[..<$0] } ?? ""
  }

  private static let quantisedSuffixes = [
    (".comfy_quant", "a quantisation of ComfyUI"), (".weight_scale", "weights with separate quantisation scales"),
    (".quant_state.bitsandbytes__nf4", "NF4 of bitsandbytes"),
    (".quant_state.bitsandbytes__fp4", "FP4 of bitsandbytes"),
    (".quant_map", "8-bit weights of bitsandbytes"), (".SCB", "8-bit weights of bitsandbytes"),
    (".qweight", "packed integer weights (GPTQ, AWQ or SVDQuant)"), (".wscales", "packed weights of SVDQuant"),
  ]
}
