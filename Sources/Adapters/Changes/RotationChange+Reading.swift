import Tensors

extension RotationChange {
  /// LyCORIS' and kohya's blocks, of which the skew part counts; and the older ones, which are the rotations themselves.
  ///
  /// - Parameters:
  ///   - alpha: bounds the norm of all blocks together by alpha · outputs.
  ///   - isKohya: whether a bound of nothing is one. LyCORIS has no bound then.
  /// - Throws: the problem with the tensors.
  init(blocks parts: [String: Tensor], alpha: Double, isKohya: Bool) throws(TargetFault) {
    @Sendable func bound(_ skew: [Double], outputs: Int, _ rule: StrengthRule) -> [Double] {
      let limit = rule == .comfy ? alpha : alpha * Double(outputs)
      let norm = skew.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard isKohya else { return limit > 0 && norm + 1e-8 > limit ? skew.map { $0 * limit / (norm + 1e-8) } : skew }
      let factor = (min(norm, limit) + 1e-8) / (norm + 1e-8)
      return skew.map { $0 * factor }
    }
    lengths = parts["rescale"]
    (axis, isShared, turnsKernelsBack) = (.outputs, false, false)
    if let tensor = parts["oft_diag"] {
      try Self.check(tensor, axes: 3)
      let (count, size) = (tensor.shape[0], tensor.shape[1])
      stages = [Stage(size: size, count: count, order: nil) { _ in tensor.doubles() }]
      isTransposed = true
      return
    }
    guard let tensor = parts["oft_blocks"] else { throw TargetFault.missing("oft_blocks") }
    if tensor.shape.rank == 4 {
      try Self.check(tensor, axes: 4)
      let (depth, count, size) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
      guard size % 2 == 0 else { throw TargetFault.shape("blocks of an even size", "\(tensor.shape)") }
      let one = count * size * size
      var stages: [Stage] = []
      for depth in 0..<depth {
        guard depth < 32, count * size % (size << depth) == 0 else {
          throw TargetFault.shape("at most \(depth) stages for \(count) blocks", "\(tensor.shape)")
        }
        let order = Self.butterfly(count * size, step: (size / 2) << depth)
        stages.append(
          Stage(size: size, count: count, order: order) { rule in
            // The bound is on all stages together.
            let skew = bound(Cayley.skew(tensor.doubles(), size: size), outputs: size * count, rule)
            return Cayley.rotations(Array(skew[depth * one..<(depth + 1) * one]), size: size)
          })
      }
      (self.stages, isTransposed) = (stages, false)
      return
    }
    try Self.check(tensor, axes: 3)
    let (count, size) = (tensor.shape[0], tensor.shape[1])
    let stage = Stage(size: size, count: count, order: nil) { rule in
      Cayley.rotations(bound(Cayley.skew(tensor.doubles(), size: size), outputs: size * count, rule), size: size)
    }
    (stages, isTransposed) = ([stage], true)
  }

  /// The rows (g, 2, step) in the order (g, step, 2).
  private static func butterfly(_ extent: Int, step: Int) -> [Int] {
    (0..<extent).map { place in
      let (pair, half) = (place / 2, place % 2)
      return pair / step * 2 * step + half * step + pair % step
    }
  }

  private static func check(_ tensor: Tensor, axes: Int) throws(TargetFault) {
    let extents = tensor.shape.extents
    guard extents.count == axes, tensor.elementCount > 0, extents[axes - 1] == extents[axes - 2] else {
      throw TargetFault.shape("square blocks", "\(tensor.shape)")
    }
  }

  /// PEFT's and OneTrainer's triangles.
  ///
  /// - Parameters:
  ///   - settings: of PEFT's configuration; `nil` for OneTrainer, whose files have none.
  init(triangles parts: [String: Tensor], settings: PEFTConfig?) throws(TargetFault) {
    guard let tensor = parts["oft_R.weight"] ?? parts["oft_R"] else { throw TargetFault.missing("oft_R.weight") }
    guard tensor.shape.rank == 2, tensor.elementCount > 0 else {
      throw TargetFault.shape("triangles as rows", "\(tensor.shape)")
    }
    let (count, width) = (tensor.shape[0], tensor.shape[1])
    let size = Int((1 + (1 + 8 * Double(width)).squareRoot()) / 2)
    guard size * (size - 1) / 2 == width else { throw TargetFault.shape("rows of b(b−1)/2 numbers", "\(tensor.shape)") }
    let isScaled = parts["oft_R.scaled_oft"] != nil
    let terms = settings.map { $0.usesSeries ? $0.seriesTerms : 0 } ?? 5
    let limit = settings?.rotationLimit.map { $0 / Double(count).squareRoot() }
    stages = [
      Stage(size: size, count: count, order: nil) { _ in
        var skew = Cayley.unpacked(tensor.doubles(), size: size)
        if isScaled { skew = skew.map { $0 / (2 * Double(size - 1).squareRoot()) } }
        if let limit { skew = skew.bounded(by: limit, blockCount: size * size) }
        return terms > 0
          ? Cayley.series(skew, size: size, terms: terms) : Cayley.rotations(skew.map { -$0 }, size: size)
      }
    ]
    (axis, lengths) = (.columns, nil)
    (isTransposed, turnsKernelsBack) = (false, settings == nil)
    isShared = settings?.sharesBlocks ?? (count == 1)
  }

  /// PEFT's butterflies, with a factor for each row.
  init(butterflies parts: [String: Tensor]) throws(TargetFault) {
    guard let tensor = parts["boft_R"] else { throw TargetFault.missing("boft_R") }
    try Self.check(tensor, axes: 4)
    let (depth, count, size) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
    guard depth == 1 || size % 2 == 0 else { throw TargetFault.shape("blocks of an even size", "\(tensor.shape)") }
    let one = count * size * size
    var stages: [Stage] = []
    for stage in 0..<depth {
      let blocks = count >> stage
      guard depth == 1 || (blocks > 0 && count * size / blocks * blocks == count * size) else {
        throw TargetFault.shape("at most \(stage) stages for \(count) blocks", "\(tensor.shape)")
      }
      let order = depth == 1 ? nil : Self.sorted(count * size, blocks: blocks, half: size / 2)
      stages.append(
        Stage(size: size, count: count, order: order) { _ in
          let skew = Cayley.skew(Array(tensor.doubles()[stage * one..<(stage + 1) * one]), size: size)
          return Cayley.rotations(skew.map { -$0 / 2 }, size: size)
        })
    }
    self.stages = stages
    (axis, isTransposed, turnsKernelsBack, isShared, lengths) = (.columns, false, false, false, parts["boft_s"])
  }

  /// PEFT's order: in each of `blocks` equal stretches, runs of `half` with even numbers before those with odd ones.
  private static func sorted(_ extent: Int, blocks: Int, half: Int) -> [Int] {
    let length = extent / blocks, runs = length / half
    let sequence = Array(stride(from: 0, to: runs, by: 2)) + Array(stride(from: 1, to: runs, by: 2))
    var order = [Int](repeating: 0, count: extent)
    for start in stride(from: 0, to: extent, by: length) {
      for (place, run) in sequence.enumerated() {
        // What stands at a place is sent to where it came from: the order is turned round.
        for i in 0..<half { order[start + run * half + i] = start + place * half + i }
      }
    }
    return order
  }
}

extension [Double] {
  /// Each block shortened to a norm of `limit` where it is longer.
  fileprivate func bounded(by limit: Double, blockCount: Int) -> [Double] {
    var result = self
    for start in stride(from: 0, to: count, by: blockCount) {
      let norm = self[start..<start + blockCount].reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard norm > limit else { continue }
      for i in start..<start + blockCount { result[i] *= limit / norm }
    }
    return result
  }
}
