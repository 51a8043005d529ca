public import Adapters
public import Checkpoints
public import Models
import Tensors

/// How an adapter's targets match a base checkpoint's weights.
public struct AdapterFit: Sendable {
  /// Whether a target changes the base, and if not, why.
  public enum Finding: Sendable, Equatable {
    case fits
    /// The checkpoint has no weight of this name.
    case missing(reason: String)
    case shape(expected: String, found: String)
    /// No delta of this kind can be computed.
    case unsupported(Algorithm)
    /// Another target of the same adapter changes the same rows and is used instead.
    case overlapping(with: String)
  }

  /// One of the adapter's targets and what the base has for it.
  public struct Entry: Sendable {
    /// As the adapter spells it.
    public let target: String
    /// The target under any dialect, by which the weight was looked for.
    public let key: TargetKey
    /// Whether its delta will be added.
    public let finding: Finding
    /// The checkpoint's names of the weights that it changes.
    public let weights: [String]
  }

  /// With the deltas of targets that depend on the base.
  public let adapter: Adapter
  /// The checkpoint that was looked at.
  public let base: Checkpoint
  /// In the adapter's order; then targets without a delta.
  public let entries: [Entry]
  /// What goes where, for the targets that fit.
  let placements: [Placement]
  /// What targets that depend on the base were made of, by their index in the adapter's targets.
  let origins: [Int: BoundTarget]
  /// Notes for the user about targets that fit.
  public let notes: [String]

  /// Some rows of a stored weight, and the target whose delta belongs there.
  struct Placement: Sendable {
    /// Index into the checkpoint's weights.
    let stored: Int
    let storedRows: Range<Int>
    /// Index into the adapter's targets.
    let target: Int
    /// The delta's rows that belong there.
    let deltaRows: Range<Int>
    let swapsHalves: Bool
    /// Whether the delta must be transposed to be added.
    let isTransposed: Bool
  }

  /// How many targets have their place in the base.
  public var fittingCount: Int { entries.count { $0.finding == .fits } }
  /// Whether every target fits, those without a delta too.
  public var isComplete: Bool { fittingCount == entries.count }

  /// The sentence that explains an adapter for another kind of model; `nil` when the kinds agree or are not known, and when
  /// every target has its weight: nothing is surer than that.
  public var familyMismatch: String? {
    guard !isComplete else { return nil }
    guard adapter.family != .unknown, base.family != .unknown, adapter.family != base.family else { return nil }
    if base.family.takesAdapters(of: adapter.family) { return nil }
    return "this is \(adapter.family.withArticle) adapter; the checkpoint is \(base.family.name)"
  }

  /// - Throws: `CheckpointError` for a base weight whose numbers are needed and cannot be read.
  public init(_ adapter: Adapter, on base: Checkpoint) throws {
    let bound = try adapter.bound(to: base), adapter = bound.adapter
    var entries: [Entry] = [], placements: [Placement] = [], notes: [String] = []
    for (index, target) in adapter.targets.enumerated() {
      let (finding, own, note) = Self.match(
        target, index: index, base, isTransposed: bound.origins[index] == nil ? nil : target.isTransposed)
      placements += own
      if let note, !notes.contains(note) { notes.append(note) }
      entries.append(
        Entry(
          target: target.name, key: target.key, finding: finding,
          weights: own.map { base.weights[$0.stored].entry.name }.unique))
    }
    for (target, misfit) in bound.misfits {
      let finding: Finding =
        switch misfit {
        case .missing: .missing(reason: Self.reason(target.key, base))
        case .shape(let expected, let found): .shape(expected: expected, found: found)
        }
      entries.append(Entry(target: target.name, key: target.key, finding: finding, weights: []))
    }
    for target in adapter.unsupported {
      entries.append(Entry(target: target.name, key: target.key, finding: .unsupported(target.algorithm), weights: []))
    }
    (self.adapter, self.base, origins) = (adapter, base, bound.origins)
    (self.entries, self.placements) = Self.withoutOverlaps(entries, placements, adapter)
    self.notes = notes + AdapterProblem.grouped(adapter.problems.filter { $0.kind == .otherBaseWeight })
  }

  /// Where a target's rows go.
  func placements(of target: Int) -> [Placement] { placements.filter { $0.target == target } }

  // MARK: One target

  /// - Parameter isTransposed: whether the base stores the weight as (inputs, outputs), where binding has found out.
  private static func match(
    _ target: Target, index: Int, _ base: Checkpoint, isTransposed: Bool?
  ) -> (Finding, [Placement], note: String?) {
    // XLabs changes only the first rows of some weights.
    let key = target.key.ofWholeWeight, isPart = key != target.key
    guard let (weight, flatName) = base.weight(for: key) else {
      return (.missing(reason: reason(target.key, base)), [], nil)
    }
    // What the model is says more than the adapter's configuration, which PEFT corrects too when the two disagree.
    let orientations =
      isTransposed.map { [$0] } ?? [base.storesTransposed(module: key.path), target.isTransposed].compactMap { $0 }
    guard
      let isTransposed = orientations.first(where: { target.matches(weight.shape, isTransposed: $0, isPart: isPart) })
    else { return (.shape(expected: "\(weight.shape)", found: "\(target.shape)"), [], nil) }
    let extents = weight.shape.extents
    let rows = isTransposed ? extents[0] : target.rows
    let placements = weight.pieces.filter { $0.ownRows.lowerBound < rows }.map { piece in
      let own = piece.ownRows.clamped(to: 0..<rows), first = piece.storedRows.lowerBound
      return Placement(
        stored: piece.stored, storedRows: piece.isTransposed ? piece.storedRows : first..<first + own.count,
        target: index, deltaRows: own, swapsHalves: piece.swapsHalves, isTransposed: piece.isTransposed != isTransposed)
    }
    return (.fits, placements, base.tieNote(flatName: flatName, in: target.key.component))
  }

  private static func reason(_ key: TargetKey, _ base: Checkpoint) -> String {
    base.absence(flatNames: key.weightNames, in: key.component)
  }

  // MARK: Overlaps

  /// Some files hold a fused projection and its parts too; the parts are what their trainer meant. Two other targets on
  /// the same rows cannot both be right.
  private static func withoutOverlaps(
    _ entries: [Entry], _ placements: [Placement], _ adapter: Adapter
  ) -> ([Entry], [Placement]) {
    var dropped: [Int: Int] = [:]
    // In the weights' order: of several winners the same is told each time.
    for (_, group) in Dictionary(grouping: placements, by: \.stored).sorted(by: { $0.key < $1.key })
    where group.count > 1 {
      for a in group {
        for b in group where b.target > a.target && a.storedRows.overlaps(b.storedRows) {
          let isFirstLarger = adapter.targets[a.target].rows >= adapter.targets[b.target].rows
          let loser = isFirstLarger ? a.target : b.target
          dropped[loser] = isFirstLarger ? b.target : a.target
        }
      }
    }
    guard !dropped.isEmpty else { return (entries, placements) }
    var entries = entries
    for (loser, winner) in dropped.sorted(by: { $0.key < $1.key }) {
      entries[loser] = Entry(
        target: entries[loser].target, key: entries[loser].key,
        finding: .overlapping(with: adapter.targets[winner].name), weights: [])
    }
    return (entries, placements.filter { dropped[$0.target] == nil })
  }
}

extension Target {
  /// Whether the delta can be added to a weight of this shape.
  ///
  /// - Parameters:
  ///   - isTransposed: whether the weight is stored as (inputs, outputs).
  ///   - isPart: whether the delta is one of the weight's first rows only.
  fileprivate func matches(_ shape: Shape, isTransposed: Bool, isPart: Bool) -> Bool {
    let extents = shape.extents
    if kind == .vector { return extents == [rows] }
    // Tables of embeddings are stored one way round whatever the model does with its matrices.
    if algorithm == .embedding, !isTransposed { return false }
    if isTransposed { return extents == [inputs, rows] }
    let isFlat = algorithm != .lora && kernel.isEmpty
    guard extents.count >= 2, extents[1] == inputs || isFlat, columns == extents.dropFirst().reduce(1, *) else {
      return false
    }
    // A kernel of one point is none: 1 × 1 convolutions and linear targets are alike.
    // What stores convolutions flat has the same numbers in the same order.
    let hasSameKernel =
      kernel.allSatisfy { $0 == 1 } || extents.dropFirst(2).withoutOnesAtEnd == kernel[...].withoutOnesAtEnd || isFlat
    return hasSameKernel && (isPart ? extents[0] >= rows : extents[0] == rows)
  }
}

extension AdapterFit.Finding: CustomStringConvertible {
  /// What a message says after the target's name.
  public var description: String {
    switch self {
    case .fits: "fits"
    case .missing(let reason): "\(reason)"
    case .shape(let expected, let found): "shape: expected \(expected), found \(found)"
    case .unsupported(let algorithm): "this version cannot apply \(algorithm.rawValue)"
    case .overlapping(let other): "changes the same rows as \(other), which is used"
    }
  }
}

extension ArraySlice<Int> {
  /// Extents but for those of 1 at the end: PEFT's cores of one-dimensional convolutions have such a one more.
  fileprivate var withoutOnesAtEnd: ArraySlice<Int> {
    dropLast(count - (lastIndex { $0 != 1 }.map { $0 + 1 - startIndex } ?? 0))
  }
}

extension [String] {
  /// Each text once, in order.
  fileprivate var unique: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
