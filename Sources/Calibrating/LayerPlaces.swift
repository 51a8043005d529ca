import Adapters
import Checkpoints
import Factoring
import Models

/// Which layers of a base the targets of a plan change.
struct LayerPlaces {
  private let base: Checkpoint
  /// For each stored weight the rows that layers take of it.
  private var layers: [Int: [(rows: Range<Int>, name: WeightName)]] = [:]

  /// - Parameter names: of the layers' weights.
  init(_ base: Checkpoint, layers names: some Sequence<WeightName>) {
    self.base = base
    for name in names {
      for piece in base.weight(named: name)?.pieces ?? [] {
        layers[piece.stored, default: []].append((piece.storedRows, name))
      }
    }
  }

  /// The layers whose weights a target changes; none where the base has no such weight, or nothing goes through it.
  func layers(of target: OutputTarget) -> [WeightName] {
    guard let weight = Self.weight(of: target, in: base) else { return [] }
    return weight.pieces.flatMap { piece in
      (layers[piece.stored] ?? []).filter { $0.rows.overlaps(piece.storedRows) }.map(\.name)
    }
  }

  /// The weight that a target changes; `nil` for one of another size too.
  static func weight(of target: OutputTarget, in base: Checkpoint) -> NamedWeight? {
    let count = target.delta.rows * target.delta.columns
    return target.delta.terms.lazy.compactMap { weight(of: $0.target.key, elements: count, in: base) }.first
  }

  /// The same for a target that is known by its key and the size of its delta.
  static func weight(of key: TargetKey, elements count: Int, in base: Checkpoint) -> NamedWeight? {
    let whole = key.ofWholeWeight
    guard let weight = base.weight(for: whole)?.weight else { return nil }
    let own = weight.shape.elementCount
    return whole == key ? own == count ? weight : nil : own >= count ? weight : nil
  }
}
