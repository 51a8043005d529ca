import Checkpoints
public import Tensors

/// What a bake did, measured on what was stored.
public struct BakeResult: Sendable {
  /// One weight that was changed.
  public struct Entry: Sendable {
    /// The stored weight, by the checkpoint's own name.
    public let name: String
    /// The part of the network, for totals.
    public let block: String
    /// The number format that it is stored in now: `F16`, `Q4_K`, `nf4`.
    public let format: String
    /// How much of the delta is left after rounding to that format.
    public let survival: Survival
  }

  /// A file of the output.
  public struct File: Sendable {
    /// Where it lies when the bake is done.
    public let path: String
    /// Its size, header and all.
    public let bytes: Int
  }

  /// The new checkpoint's file or folder, as the user named it.
  public let output: String
  /// The changed weights in the base's order.
  public let entries: [Entry]
  /// Those with weights; empty where the result was measured and not written.
  public let files: [File]
  /// The size of all files with weights, without the undo file.
  public let bytes: Int
  /// The file that undoes the bake, and its size.
  public let undo: (path: String, bytes: Int)?

  /// Over all changed weights.
  public var total: Survival { entries.reduce(into: Survival()) { $0 += $1.survival } }

  /// Whether so little of the delta is left that the bake is hardly what was asked for: less than 95 %.
  public var losesMuch: Bool { total.share.map { !($0 >= 0.95) } ?? false }

  /// By block, in the order of the first weight.
  public var blocks: [(name: String, survival: Survival)] {
    sums(by: \.block).map { ($0.name, $0.survival) }
  }

  /// By the number format that weights are stored in, in the order of the first weight.
  public var formats: [(name: String, weights: Int, survival: Survival)] { sums(by: \.format) }

  private func sums(by label: (Entry) -> String) -> [(name: String, weights: Int, survival: Survival)] {
    var order: [String] = [], sums: [String: (weights: Int, survival: Survival)] = [:]
    for entry in entries {
      let name = label(entry)
      if sums[name] == nil { order.append(name) }
      sums[name, default: (0, Survival())].weights += 1
      sums[name]!.survival += entry.survival
    }
    return order.map { ($0, sums[$0]!.weights, sums[$0]!.survival) }
  }
}

extension Checkpoint.Weight {
  /// The part of the network that the weight is in: `input_blocks.4`, `double_blocks.7`, `text encoder 1`.
  var block: String {
    guard !component.isTextEncoder else { return component.title }
    var words: [Substring] = []
    for word in name.split(separator: ".") {
      guard Int(word) == nil else { return (words + [word]).joined(separator: ".") }
      words.append(word)
    }
    return words.first.map(String.init) ?? name
  }
}
