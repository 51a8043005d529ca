package import Adapters
package import Models

/// Finds which rows of which modules an adapter's target changes, in either layout of a family's names.
///
/// Layouts name modules differently, keep projections of attention in one module or in several, and have the halves of a
/// few modules in opposite order. All of that comes from the family's name map.
package struct ModulePlaces {
  /// One of several parts of a fused projection.
  package struct Share {
    package let part: Int
    package let shares: [ModuleNames.Counterpart.Share]
    /// The parts' names, for messages.
    package let names: [String]

    package init(part: Int, of counterpart: ModuleNames.Counterpart) {
      (self.part, shares, names) = (part, counterpart.shares, counterpart.diffusers)
    }
  }

  /// Some rows of a target, and the module that has them.
  package struct Piece {
    package let key: TargetKey
    /// What the module is whatever it is called: a family's authors may have two names for one.
    package let identity: TargetKey
    /// The module's name with dots.
    package let module: String
    package let sourceRows: Range<Int>
    /// Where the rows stand in a module that several targets share; `nil` for a module of its own.
    package let share: Share?
    package let swapsHalves: Bool
  }

  package let family: Family
  private let names: [Component: ModuleNames]

  package init(family: Family, components: some Sequence<Component>) {
    self.family = family
    names = Dictionary(
      uniqueKeysWithValues: Set(components).map { ($0, ModuleNames(family: family, component: $0)) })
  }

  /// The modules that have the target's rows, in the rows' order.
  ///
  /// - Parameters:
  ///   - layout: whose names are asked for.
  ///   - inputs: columns of the module's weight; of a bias they are not its own.
  /// - Returns: `nil` where the family has no module of that name, or where its rows cannot be divided as they should.
  package func pieces(of target: Target, in layout: ModuleNames.Dialect, inputs: Int? = nil) -> [Piece]? {
    guard let (counterpart, module, isPart) = counterpart(of: target, inputs: inputs) else { return nil }
    let inputs = inputs ?? target.inputs, key = target.key
    let isOriginal = counterpart.dialect == .original || (counterpart.dialect == nil && isPart)
    let common = layout == .original ? counterpart.diffusers.joined(separator: "+").underscored : nil
    func piece(
      _ module: String, _ rows: Range<Int>, share: Share? = nil, swaps: Bool = false, identity: String? = nil
    ) -> Piece {
      let path = key.component.isTextEncoder ? key.path : module.underscored
      return Piece(
        key: TargetKey(key.component, path, key.parameter),
        identity: TargetKey(key.component, identity ?? common ?? path, key.parameter), module: module, sourceRows: rows,
        share: share, swapsHalves: swaps)
    }
    func share(_ part: Int) -> Share { Share(part: part, of: counterpart) }
    let all = 0..<target.rows
    if layout == .original {
      if isPart { return firstRows(of: target, counterpart, share) { piece($0, $1, share: $2, swaps: $3) } }
      if counterpart.isOnlyRead, let names = names[key.component] {
        let whole = names.written(for: counterpart)
        return Self.sizes(counterpart.shares, rows: target.rows, inputs: inputs).map { sizes in
          zip(whole, Self.ranges(sizes)).map { other, rows in
            piece(
              other.original, rows, share: other.diffusers.count > 1 ? Share(part: other.part, of: other) : nil,
              swaps: counterpart.swapsHalves != (other.dialect == .diffusers && other.swapsHalves),
              identity: other.diffusers.joined(separator: "+").underscored)
          }
        }
      }
      let isOneOfSeveral = counterpart.dialect == .diffusers && counterpart.diffusers.count > 1
      return [
        piece(
          counterpart.original, all, share: isOneOfSeveral ? share(counterpart.part) : nil,
          swaps: counterpart.dialect == .diffusers && counterpart.swapsHalves)
      ]
    }
    guard isOriginal, counterpart.diffusers.count > 1 else {
      return [
        piece(
          isOriginal ? counterpart.diffusers[0] : module, all, swaps: isOriginal && counterpart.swapsHalves)
      ]
    }
    // The first rows alone are queries, keys and values.
    let count = isPart ? min(3, counterpart.diffusers.count) : counterpart.diffusers.count
    guard let sizes = Self.sizes(Array(counterpart.shares.prefix(count)), rows: target.rows, inputs: inputs)
    else { return nil }
    return zip(counterpart.diffusers, Self.ranges(sizes)).map { piece($0, $1) }
  }

  /// The layout that the target's name belongs to; `nil` where both say the same, or it is no name of the family.
  package func layout(of target: Target) -> ModuleNames.Dialect? { counterpart(of: target, inputs: nil)?.0.dialect }

  /// Whether the family has a module of this name.
  package func contains(_ key: TargetKey) -> Bool { names[key.component]?.contains(flat: key.path) == true }

  /// The name with dots of the target's module in its base.
  package func module(of target: Target) -> String? { counterpart(of: target, inputs: nil)?.module }

  private func counterpart(
    of target: Target, inputs: Int?
  ) -> (ModuleNames.Counterpart, module: String, isPart: Bool)? {
    // XLabs changes only the first rows of some modules.
    let key = target.key.ofWholeWeight, isPart = key != target.key, path = key.path
    guard let names = names[key.component], !target.isTransposed else { return nil }
    // A dotted name is the module's own, unless the key says more: an old spelling, or one of another dialect.
    let own = key.component.isTextEncoder ? nil : target.dottedPath.flatMap { $0.underscored == path ? $0 : nil }
    guard let known = names.dotted(path), case var module = own ?? known else { return nil }
    if key.component.isTextEncoder { module = TargetKey.belowTextModel(module, separator: ".") }
    let counterpart = names.counterpart(of: module, isLast: target.rows == 2 * (inputs ?? target.inputs))
    guard counterpart.isKnown, !counterpart.isParameter else { return nil }
    return (counterpart, module, isPart)
  }

  /// XLabs' queries, keys and values of a single block: the first three parts of its fused projection.
  private func firstRows(
    of target: Target, _ counterpart: ModuleNames.Counterpart, _ share: (Int) -> Share,
    _ piece: (String, Range<Int>, Share?, Bool) -> Piece
  ) -> [Piece]? {
    guard target.rows % 3 == 0, counterpart.diffusers.count == 4 else { return nil }
    let size = target.rows / 3
    return (0..<3).map { piece(counterpart.original, $0 * size..<($0 + 1) * size, share($0), false) }
  }

  /// Rows of each part of a projection; `nil` where they do not come out even.
  package static func sizes(_ shares: [ModuleNames.Counterpart.Share], rows: Int, inputs: Int) -> [Int]? {
    let fixed = shares.count { $0 == .inputs }, free = shares.count - fixed, left = rows - fixed * inputs
    guard left >= 0, free == 0 ? left == 0 : left % free == 0 && left > 0 else { return nil }
    return shares.map { $0 == .inputs ? inputs : left / free }
  }

  /// Parts of these sizes below each other.
  package static func ranges(_ sizes: [Int]) -> [Range<Int>] {
    var start = 0
    return sizes.map { size in
      defer { start += size }
      return start..<start + size
    }
  }

  /// Rows of all parts of a fused projection, of which some are at hand.
  ///
  /// - Parameters:
  ///   - rows: of the parts that are there, by their number.
  ///   - whole: rows of the projection, where it is at hand itself.
  /// - Returns: `nil` where nothing says how many rows a missing part has.
  package static func sizes(
    _ share: Share, rows: [Int: Int], whole: Int? = nil, inputs: Int, in family: Family
  ) -> [Int]? {
    if let whole { return sizes(share.shares, rows: whole, inputs: inputs) }
    let free = share.shares.indices.compactMap { share.shares[$0] == .rest ? rows[$0] : nil }.first
    let perceptron = family.perceptronWidth.map { $0 * inputs }
    var sizes: [Int] = []
    for (part, kind) in share.shares.enumerated() {
      guard let size = rows[part] ?? (kind == .inputs ? inputs : free ?? perceptron) else { return nil }
      sizes.append(size)
    }
    return sizes
  }
}
