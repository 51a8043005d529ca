import Adapters
import Factoring
import Models
import Spectra
import Tensors

/// Brings the targets of a source together as the output has them: one by one, split, or fused.
struct ConvertGrouping {
  private typealias Member = (source: Target, path: String, place: ConvertNaming.Place)

  private let recipe: ConvertRecipe
  private let sources: [ConvertSource]
  private let naming: ConvertNaming
  private let keepsAlphas: Bool
  private var groups: [(name: String, members: [Member])] = []
  private(set) var skipped: [String] = []
  private(set) var notes: [String] = []

  init(_ recipe: ConvertRecipe, _ sources: [ConvertSource], family: Family, format: AdapterFormat, keepsAlphas: Bool) {
    (self.recipe, self.sources, self.keepsAlphas) = (recipe, sources, keepsAlphas)
    let keys = sources.flatMap { source in source.adapter.targets.map { source.key(of: $0) } }
    // Kohya's only text encoder has no number.
    let isPlain = sources.contains { $0.adapter.targets.contains { $0.name.hasPrefix("lora_te_") } }
    naming = ConvertNaming(
      family: family, candidates: sources[0].adapter.candidates, format: format, keys: keys,
      numbersTextEncoders: family == .unknown ? keys.contains { $0.component == .textEncoder2 } && !isPlain : true)
  }

  /// Finds every target's place.
  ///
  /// - Throws: `FactoringError.noDialectName` for a target without one, unless those may be left out.
  mutating func collect() throws(FactoringError) {
    var places: [String: Int] = [:], unnamed: [(name: String, reason: String, isFamilyOpen: Bool)] = []
    for source in sources {
      unnamed += source.adapter.dependents.filter { !$0.isOptional }.map {
        ($0.name, "\($0.algorithm.rawValue) depends on the base weight, so that it has no factors of its own", false)
      }
      unnamed += source.adapter.frozen.map { ($0.name, "a copy of the base's weight, which only PEFT reads", false) }
      for target in source.adapter.targets {
        guard target.kind != .vector else {
          unnamed.append((target.name, "biases and weights of norms stay in the dialect that they have", false))
          continue
        }
        let key = source.key(of: target)
        switch naming.places(of: target, key: key, in: source.adapter.format) {
        case .none(let reason): unnamed.append((target.name, reason, naming.isFamilyOpen(for: key)))
        case .places(let found):
          for place in found {
            let member = (target, source.adapter.path, place)
            // Networks in folders of their own may have modules of one name.
            let identity = "\(place.key.component.rawValue) \(place.name)"
            if let index = places[identity] {
              groups[index].members.append(member)
            } else {
              places[identity] = groups.count
              groups.append((place.name, [member]))
            }
          }
        }
      }
    }
    guard let first = unnamed.first else { return }
    guard recipe.allowsUnmatched else {
      throw FactoringError(
        .noDialectName(
          target: first.name, reason: first.reason, format: naming.format, count: unnamed.count,
          isFamilyOpen: first.isFamilyOpen),
        path: recipe.path)
    }
    skipped += unnamed.map {
      "\(recipe.path): \($0.name): no name in the \(naming.format.rawValue) dialect: \($0.reason)"
    }
  }

  /// The output's targets; their scales are those of the sources.
  mutating func targets() throws -> [ConvertTarget] {
    var targets: [ConvertTarget] = []
    for (name, members) in groups {
      if let share = members[0].place.share {
        guard let target = try fused(name, members, share) else { continue }
        targets.append(target)
      } else {
        guard members.count == 1 else {
          let (one, other) = (members[0].source.name, members[1].source.name)
          throw FactoringError(
            members.contains { $0.place.share != nil }
              ? .fusedAndSplit(fused: one, split: other) : .sameModule(target: one, other: other), path: recipe.path)
        }
        if let target = single(members[0]) { targets.append(target) }
      }
    }
    guard !targets.isEmpty else {
      throw ConvertingError(.noTargets(format: naming.format), path: recipe.path)
    }
    return targets
  }

  // MARK: One source

  private mutating func single(_ member: Member) -> ConvertTarget? {
    let (source, _, place) = member
    var components = Array(0..<source.rank)
    if place.sourceRows.count < source.rows {
      // A fused projection's part uses only the components that reach its rows.
      components = source.components(reaching: place.sourceRows)
      if components.isEmpty {
        guard !source.components(reaching: 0..<source.rows).isEmpty else {
          components = Array(0..<source.rank)
          return make(member, components)
        }
        notes.append("\(recipe.path): \(source.name): has no effect on \(place.name), which is left out")
        return nil
      }
    }
    return make(member, components)
  }

  private func make(_ member: Member, _ components: [Int]) -> ConvertTarget {
    let (source, _, place) = member, rows = place.sourceRows.count
    let part = ConvertTarget.Part(
      source: source, sourceRows: place.sourceRows, rows: 0..<rows, swapsHalves: place.swapsHalves,
      components: components)
    return target(place, [part], rows: rows, sharesDown: false)
  }

  // MARK: Several

  private mutating func fused(
    _ name: String, _ members: [Member], _ share: ModulePlaces.Share
  ) throws(FactoringError) -> ConvertTarget? {
    let first = members[0].source
    var rows: [Int: Int] = [:], places: [Int: Member] = [:]
    for member in members {
      guard let part = member.place.share?.part, places[part] == nil else {
        throw FactoringError(.fusedAndSplit(fused: name, split: member.source.name), path: recipe.path)
      }
      guard member.source.inputs == first.inputs, member.source.kernel.isEmpty, member.source.mid == nil else {
        throw FactoringError(
          .weightShape(
            tensor: member.source.name, expected: Shape([member.source.rows, first.inputs]), file: first.name,
            found: member.source.shape), path: recipe.path)
      }
      rows[part] = member.place.sourceRows.count
      places[part] = member
    }
    guard let sizes = ModulePlaces.sizes(share, rows: rows, inputs: first.inputs, in: naming.family) else {
      let missing = share.names.indices.filter { places[$0] == nil }.map { share.names[$0] }
      let reason = "the rows of \(missing.joined(separator: ", ")) are not known, which \(name) has too"
      guard recipe.allowsUnmatched else {
        throw FactoringError(
          .noDialectName(
            target: first.name, reason: reason, format: naming.format, count: members.count,
            isFamilyOpen: false),
          path: recipe.path)
      }
      skipped += members.map {
        "\(recipe.path): \($0.source.name): no name in the \(naming.format.rawValue) dialect: \(reason)"
      }
      return nil
    }
    let ordered = places.keys.sorted().map { places[$0]! }
    let sharesDown = ordered.dropFirst().allSatisfy { $0.source.hasSameDown(as: first) }
    var start = 0, parts: [ConvertTarget.Part] = []
    for (part, size) in sizes.enumerated() {
      defer { start += size }
      guard let member = places[part] else { continue }
      parts.append(
        ConvertTarget.Part(
          source: member.source, sourceRows: member.place.sourceRows, rows: start..<start + size, swapsHalves: false,
          components: Array(0..<member.source.rank)))
    }
    return target(ordered[0].place, parts, rows: start, sharesDown: sharesDown)
  }

  // MARK: Factors

  private func target(
    _ place: ConvertNaming.Place, _ parts: [ConvertTarget.Part], rows: Int, sharesDown: Bool
  ) -> ConvertTarget {
    let source = parts[0].source, kernel = source.kernel, dialect = naming.format.dialect
    let keepsMid = source.mid != nil && dialect.alphaRule == .tensor && parts.count == 1 && rows == source.rows
    var names = place.names, scaling = ConvertTarget.Scaling.none
    if dialect.isFolder, recipe.format != nil || sources.contains(where: { $0.adapter.configuration != nil }) {
      scaling = .configuration
    }
    if dialect.alphaRule == .optionalTensor, keepsAlphas { names.alpha = place.name + ".alpha" }
    if names.alpha != nil { scaling = .tensor }
    if keepsMid { names.mid = place.name + ".lora_mid.weight" }
    let cores = keepsMid ? [] : parts.compactMap(\.source.mid?.dtype)
    let hasAlpha = if case .none = scaling { false } else { true }
    func dtype(_ own: [DType]) -> DType { recipe.dtype ?? Self.common(own, keepsBytes: hasAlpha) }
    var target = ConvertTarget(
      key: place.key, name: place.name, dottedPath: place.dottedPath, names: names, parts: parts, rows: rows,
      inputs: source.inputs, kernel: kernel, sharesDown: sharesDown, keepsMid: keepsMid,
      upDType: dtype(parts.map(\.source.upDType)), downDType: dtype(parts.map(\.source.downDType) + cores),
      midDType: keepsMid ? dtype([source.mid!.dtype]) : nil, scaling: scaling, alpha: 0)
    target.alpha = Self.alpha(of: target)
    return target
  }

  /// The alpha that says the sources' own scale: the very number of the source where it has one.
  private static func alpha(of target: ConvertTarget) -> Double {
    let scale = target.parts.map(\.source.scale).commonest(.first) ?? 0, rank = Double(target.alphaRank)
    if let alpha = target.parts[0].source.alpha, alpha / rank == scale { return alpha }
    let alpha = scale * rank, short = Double(Float(alpha))
    // Products of rounded quotients: 2.9999999999999996 was 3.
    return (short - alpha).magnitude <= 4 * alpha.ulp ? short : alpha
  }

  /// The format that holds factors of all of these exactly.
  ///
  /// - Parameter keepsBytes: whether eight bits stay eight bits: dialects without an alpha cannot scale them, and half
  ///   precision holds them with room to spare.
  private static func common(_ dtypes: [DType], keepsBytes: Bool) -> DType {
    let distinct = Set(dtypes)
    guard distinct.count == 1, let one = distinct.first, one.unitRoundoff != nil else {
      return distinct.contains(.f64) ? .f64 : .f32
    }
    return one.bits == 8 && !keepsBytes ? .f16 : one
  }
}

extension Target {
  /// The components whose column of the up factor is not all zero in these rows.
  fileprivate func components(reaching range: Range<Int>) -> [Int] {
    let values = up.doubles(), rank = self.rank
    return (0..<rank).filter { component in range.contains { values[$0 * rank + component] != 0 } }
  }

  /// Whether the down factors are the same, bit for bit.
  fileprivate func hasSameDown(as other: Target) -> Bool {
    guard mid == nil, other.mid == nil, down.dtype == other.down.dtype, down.shape == other.down.shape else {
      return false
    }
    return down.bytes.withUnsafeBytes { a in other.down.bytes.withUnsafeBytes { a.elementsEqual($0) } }
  }
}

extension Target {
  /// Factors that are put together from what is stored hold products of two stored numbers: those of 16 bits fit single
  /// precision exactly.
  fileprivate var upDType: DType { algorithm == .lora ? up.dtype : .f32 }
  fileprivate var downDType: DType { algorithm == .lora ? down.dtype : .f32 }
}
