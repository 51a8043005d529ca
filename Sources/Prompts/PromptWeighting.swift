/// How the weights of a prompt change what the text encoder made of it. The pooled output is never changed.
public enum PromptWeighting: Equatable, Sendable {
  /// Each token's vector times its weight, then all of the chunk times one number that gives it back its mean: A1111's
  /// "Original".
  case restoringMean
  /// Each token's vector times its weight: A1111's "No norm", which suits SDXL better.
  case product
  /// Each token's vector moves on the line from that of the empty prompt at its place: e + w·(z − e), as in ComfyUI. The
  /// payload is the encoder's output for `PromptChunks.empty`.
  case awayFromEmpty([Float])

  /// Applies the `weights` of one chunk, one for each token, to the encoder's output for it: tokens × `width`, row-major.
  /// Where all weights are 1, not a bit changes.
  public func apply(_ weights: [Float], to output: inout [Float], width: Int) {
    precondition(width > 0 && output.count == weights.count * width, "the output has one row for each weight")
    guard !weights.allSatisfy({ $0 == 1 }) else { return }
    switch self {
    case .restoringMean:
      let before = Self.sum(output)
      Self.multiply(&output, by: weights, width: width)
      let after = Self.sum(output)
      // Weights of 0 alone leave nothing to restore.
      guard after != 0 else { return }
      let ratio = Float(before / after)
      for index in output.indices { output[index] *= ratio }
    case .product: Self.multiply(&output, by: weights, width: width)
    case .awayFromEmpty(let empty):
      precondition(empty.count == output.count, "the empty prompt's output is as large as the prompt's")
      for (row, weight) in weights.enumerated() where weight != 1 {
        for index in row * width..<(row + 1) * width {
          output[index] = empty[index] + weight * (output[index] - empty[index])
        }
      }
    }
  }

  private static func multiply(_ output: inout [Float], by weights: [Float], width: Int) {
    for (row, weight) in weights.enumerated() where weight != 1 {
      for index in row * width..<(row + 1) * width { output[index] *= weight }
    }
  }

  private static func sum(_ values: [Float]) -> Double { values.reduce(0) { $0 + Double($1) } }
}
